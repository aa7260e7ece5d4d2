//! Every publish error, shown by the smallest change of a good document that brings it about.

use serde_json::{Value, json};

use super::*;
use crate::{document, sample::SAMPLE};

fn context<'a>() -> Context<'a> {
    Context {
        now: "2026-03-02T15:00:00Z".parse().unwrap(),
        owned: &|number| number.to_string().starts_with("+1415555010"),
        recorded: &|_| false,
        speech: false,
        provider_kinds: &[],
        event_types: &[],
        run_tests: true,
    }
}

fn compile_value(value: &Value) -> Outcome {
    let raw = document::from_value(value.clone()).unwrap();
    let changes =
        raw.iter().map(|(key, body)| (key.clone(), Some(document::read(key, body).unwrap()))).collect();
    compile(Compiled::default(), changes, &context())
}

fn sample() -> Value {
    document::to_value(&document::parse(SAMPLE).unwrap())
}

/// The codes found in the sample after an edit.
fn codes(edit: impl FnOnce(&mut Value)) -> Vec<&'static str> {
    let mut value = sample();
    value["tests"] = json!({});
    edit(&mut value);
    let outcome = compile_value(&value);
    let errors = outcome.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(outcome.compiled.is_none(), errors, "{:#?}", outcome.diagnostics);
    outcome.diagnostics.iter().map(|finding| finding.code.as_str()).collect()
}

/// The codes found when a node of the main IVR is put or replaced.
fn node(name: &str, body: Value) -> Vec<&'static str> {
    codes(|doc| doc["ivrs"]["ivr_main"]["nodes"][name] = body)
}

#[test]
fn the_sample_has_no_findings_and_its_tests_pass() {
    let outcome = compile_value(&sample());
    assert_eq!(outcome.diagnostics, []);
    let compiled = outcome.compiled.unwrap();
    assert_eq!(compiled.parts.tests.len(), 6);
    let trunk = compiled.trunks.find("127.1.2.3".parse().unwrap()).unwrap();
    assert!(trunk.calls_per_second_max.is_none_or(|rate| rate >= 10_000));
}

#[test]
fn transitions_lead_to_nodes() {
    let astray = json!({"type": "message", "prompt": "builtin:welcome", "next": "nowhere"});
    assert!(node("greeting", astray).contains(&"R-1201"));
    assert!(codes(|doc| doc["ivrs"]["ivr_main"]["start"] = json!("nowhere")).contains(&"R-1201"));
    assert_eq!(node("second", json!({"type": "start", "next": "menu"})), ["R-1210", "R-1202"]);
}

#[test]
fn exits_are_reached_and_resolve_to_an_inbox() {
    assert_eq!(node("lonely", json!({"type": "exit"})), ["R-1203"]);
    assert_eq!(node("lonely", json!({"type": "hang_up"})), ["R-1202"]);
    let found = codes(|doc| {
        doc["settings"] = json!({});
        doc["channels"] = json!({"voice": {"inbox": "ib_general"}});
    });
    // Three exits have no exception: one of each IVR that has one, as the main one keeps exit_general.
    assert_eq!(found.iter().filter(|code| **code == "R-1204").count(), 2, "{found:?}");
    assert_eq!(found.iter().filter(|code| **code == "R-1101").count(), 11, "{found:?}");
}

#[test]
fn what_is_named_exists() {
    for (pointer, value, code) in [
        ("/ivrs/ivr_main/nodes/greeting/prompt", json!("pr_none"), "R-1106"),
        ("/numbers/+14155550101/initial_ivr", json!("ivr_none"), "R-1103"),
        ("/numbers/+14155550101/initial_ivr", json!("ivr_waiting"), "R-1301"),
        ("/numbers/+14155550102/queue_ivr", json!("ivr_main"), "R-1301"),
        ("/numbers/+14155550100/queue_music", json!("builtin:none"), "R-1106"),
        ("/entry_points/voice~1+14155550100/inbox", json!("ib_none"), "R-1102"),
        ("/entry_points/voice~1+14155550100/sla_minutes", json!(0), "R-1211"),
        ("/settings/default_inbox", json!("ib_none"), "R-1102"),
        ("/settings/block_list", json!("ls_none"), "R-1105"),
        ("/settings/reject_codes", json!({"blocked": 200}), "R-1309"),
        ("/inboxes/ib_sales/priority", json!(10), "R-1211"),
        ("/inboxes/ib_sales/wait_max", json!({"at": 60, "then": {"inbox": "ib_none"}}), "R-1102"),
        ("/inboxes/ib_sales/wait_max", json!({"at": 0, "then": {"inbox": "ib_general"}}), "R-1211"),
        ("/inboxes/ib_sales/no_one_available", json!({"forward": "nobody"}), "R-1308"),
        ("/inboxes/ib_sales/no_one_available", json!({"sip_code": 200}), "R-1309"),
    ] {
        let found = codes(|doc| {
            let (parent, last) = pointer.rsplit_once('/').unwrap();
            doc.pointer_mut(parent).unwrap()[last.replace("~1", "/")] = value.clone();
        });
        assert!(found.contains(&code), "{pointer}: {found:?}");
    }
}

#[test]
fn nodes_that_change_the_place_name_what_exists_and_stand_in_a_queue_ivr() {
    let queue = |body: Value| {
        let found = codes(|doc| doc["ivrs"]["ivr_waiting"]["nodes"]["place"] = body.clone());
        found.into_iter().filter(|code| *code != "R-1202").collect::<Vec<_>>()
    };
    let start = sample()["ivrs"]["ivr_waiting"]["start"].clone();
    let start = if start.is_null() { json!("start") } else { start };
    let priority = |value: u8| json!({"type": "change_priority", "priority": value, "next": start});
    let inbox = |id: &str| json!({"type": "move_inbox", "inbox": id, "next": start});
    assert!(queue(priority(0)).is_empty() && queue(priority(9)).is_empty());
    assert_eq!(queue(priority(10)), ["R-1211"]);
    assert!(queue(inbox("ib_sales")).is_empty());
    assert_eq!(queue(inbox("ib_none")), ["R-1102"]);
    for body in [priority(5), inbox("ib_sales")] {
        let mut body = body;
        body["next"] = json!("menu");
        assert!(node("place", body).contains(&"R-1209"), "not in an Initial IVR");
    }
}

#[test]
fn a_percent_split_has_a_share_of_a_hundred() {
    let split = |percent: u8| {
        let body = json!({"type": "percent_split", "percent": percent, "next": "menu", "rest": "menu"});
        node("split", body).into_iter().filter(|code| *code != "R-1202").collect::<Vec<_>>()
    };
    assert!(split(0).is_empty() && split(100).is_empty());
    assert_eq!(split(101), ["R-1211"]);
}

#[test]
fn numbers_wait_within_their_range() {
    let wait =
        |seconds: u32| codes(|doc| doc["numbers"]["+14155550102"]["queue_wait_seconds"] = json!(seconds));
    assert_eq!(wait(4), ["R-1302"]);
    assert_eq!(wait(601), ["R-1302"]);
    assert_eq!(wait(5), ["R-1303"]);
    assert_eq!(wait(29), ["R-1303"]);
    assert_eq!(wait(46), ["R-1303"]);
    assert_eq!(wait(600), ["R-1303"]);
    assert!(wait(30).is_empty() && wait(45).is_empty());
    assert_eq!(codes(|doc| doc["numbers"]["+14155550102"]["repeat_every_seconds"] = json!(4)), ["R-1211"]);
    assert_eq!(codes(|doc| doc["numbers"]["+14155550102"]["answer"] = json!("taken")), ["R-1305"]);
    assert_eq!(codes(|doc| doc["numbers"]["+442079460000"] = json!({})), ["R-1304"]);
}

#[test]
fn a_cycle_without_wait_or_input_is_refused_and_one_with_them_is_not() {
    let busy = codes(|doc| {
        let nodes = &mut doc["ivrs"]["ivr_short"]["nodes"];
        nodes["start"]["next"] = json!("a");
        nodes["a"] = json!({"type": "set_variable", "name": "x", "value": "1", "next": "b"});
        nodes["b"] = json!({"type": "match", "value": "x", "patterns": [{"pattern": "1", "next": "a"}], "default": "greeting"});
    });
    assert_eq!(busy, ["R-1205"]);
    let guarded = codes(|doc| {
        let nodes = &mut doc["ivrs"]["ivr_short"]["nodes"];
        nodes["start"]["next"] = json!("a");
        nodes["a"] = json!({"type": "set_variable", "name": "x", "value": "1", "next": "b"});
        nodes["b"] = json!({"type": "loop_guard", "times_max": 3, "next": "a", "exceeded": "greeting"});
    });
    assert!(guarded.is_empty(), "{guarded:?}");
}

#[test]
fn a_pattern_that_matches_everything_is_refused() {
    let found = |pattern: &str| {
        node(
            "greeting",
            json!({"type": "match", "value": "{{customer_number}}",
            "patterns": [{"pattern": pattern, "next": "closed"}], "default": "menu"}),
        )
    };
    assert_eq!(found("*"), ["R-1206"]);
    assert_eq!(found("?*"), ["R-1206"]);
    assert!(found("+1212*").is_empty());
    for prefix in ["", "+", "1212", "+1x"] {
        assert_eq!(
            codes(|doc| doc["lists"] = json!({"ls_bad": {"prefixes": [prefix]}})),
            ["R-1206"],
            "{prefix}"
        );
    }
    assert!(codes(|doc| doc["lists"] = json!({"ls_good": {"prefixes": ["+1900"]}})).is_empty());
}

#[test]
fn schedules_are_covered_and_hold_at_some_time() {
    let row = |name: &str| json!({"name": name, "weekdays": ["monday"], "zone": "America/New_York"});
    let shared = |rows: Value, led: Value| {
        codes(|doc| {
            doc["calendars"] = json!({"cal_shop": {"rows": rows}});
            doc["ivrs"]["ivr_main"]["nodes"]["hours"] = json!({"type": "schedule", "calendar": "cal_shop",
                "calendar_rows": led, "default": "closed"});
        })
    };
    assert!(shared(json!([row("open")]), json!({"open": "greeting"})).is_empty());
    assert_eq!(shared(json!([row("open"), row("late")]), json!({"open": "greeting"})), ["R-1207"]);
    assert_eq!(shared(json!([row("open")]), json!({"open": "greeting", "shut": "closed"})), ["R-1207"]);
    assert_eq!(shared(json!([row("open"), row("open")]), json!({"open": "greeting"})), ["R-1214"]);
    let never = json!({"name": "open", "zone": "America/New_York"});
    assert_eq!(shared(json!([never]), json!({"open": "greeting"})), ["R-1213"]);
    let dated = |first: &str, last: &str| {
        let row =
            json!({"name": "open", "dates": {"first": first, "last": last}, "zone": "America/New_York"});
        shared(json!([row]), json!({"open": "greeting"}))
    };
    assert_eq!(dated("2026-02-01", "2026-03-01"), ["R-1213"; 0], "it runs over midnight into today");
    assert_eq!(dated("2026-02-01", "2026-02-28"), ["R-1208"]);
    assert_eq!(dated("2026-02-02", "2026-02-01"), ["R-1213", "R-1208"]);
    let none = json!({"type": "schedule", "rows": [], "default": "greeting"});
    assert!(node("hours", none).contains(&"R-1213"));
    let unknown = json!({"type": "schedule", "calendar": "cal_none", "default": "greeting"});
    assert!(node("hours", unknown).contains(&"R-1104"));
}

#[test]
fn nodes_stand_where_they_belong_and_within_their_ranges() {
    let lead = |body: Value| {
        codes(|doc| {
            doc["ivrs"]["ivr_short"]["nodes"]["greeting"]["next"] = json!("new");
            doc["ivrs"]["ivr_short"]["nodes"]["connecting"] = json!({"type": "exit"});
            doc["ivrs"]["ivr_short"]["nodes"]["new"] = body;
        })
    };
    let menu = |key: &str, timeout: u32| {
        lead(json!({"type": "menu", "prompt": "builtin:menu", "timeout_seconds": timeout,
            "choices": {key: "connecting"}, "default": "exit"}))
    };
    assert!(menu("1", 5).is_empty());
    assert_eq!(menu("12", 5), ["R-1212"]);
    assert_eq!(menu("A", 5), ["R-1212"]);
    assert_eq!(menu("1", 0), ["R-1211"]);
    let unreached = ["R-1203"];
    for (body, code) in [
        (json!({"type": "wait_music", "seconds": 5, "next": "exit"}), "R-1209"),
        (json!({"type": "continue"}), "R-1209"),
        (json!({"type": "send_sms", "text": "x", "success": "exit", "error": "exit"}), "R-1215"),
        (json!({"type": "voicemail", "greeting": "builtin:menu", "inbox": "ib_none"}), "R-1102"),
        (json!({"type": "voicemail", "greeting": "none", "inbox": "ib_sales"}), "R-1106"),
        (
            json!({"type": "voicemail", "greeting": "builtin:menu", "inbox": "ib_sales", "seconds_max": 4}),
            "R-1211",
        ),
        (json!({"type": "position", "next": "exit"}), "R-1209"),
        (json!({"type": "sub_ivr", "ivr": "ivr_none", "next": "exit", "error": "exit"}), "R-1103"),
        (json!({"type": "sub_ivr", "ivr": "ivr_short", "next": "exit", "error": "exit"}), "R-1217"),
        (json!({"type": "data_dip", "url": "ftp://x", "next": "exit", "error": "exit"}), "R-1216"),
        (json!({"type": "loop_guard", "times_max": 0, "next": "exit", "exceeded": "exit"}), "R-1211"),
        (json!({"type": "hang_up", "sip_status": 302}), "R-1309"),
        (json!({"type": "block_list", "list": "ls_none", "blocked": "exit", "default": "exit"}), "R-1105"),
        (
            json!({"type": "input", "prompt": "builtin:menu", "digits_max": 65, "next": "exit", "timeout": "exit"}),
            "R-1211",
        ),
        (
            json!({"type": "input", "prompt": "builtin:menu", "terminator": "##", "next": "exit", "timeout": "exit"}),
            "R-1212",
        ),
    ] {
        let found = lead(body.clone());
        assert!(found.contains(&code), "{body}: {found:?}");
        assert!(found.iter().all(|found| *found == code || unreached.contains(found)), "{body}: {found:?}");
    }
    assert_eq!(
        codes(|doc| doc["ivrs"]["ivr_short"]["nodes"]["a/b"] = json!({"type": "hang_up"})),
        ["R-1004", "R-1202"]
    );
}

#[test]
fn prompts_have_one_source_that_is_there() {
    let prompt = |body: Value| codes(|doc| doc["prompts"] = json!({"pr_x": body}));
    assert!(prompt(json!({"builtin": "welcome"})).is_empty());
    assert_eq!(prompt(json!({"builtin": "none"})), ["R-1106"]);
    assert_eq!(prompt(json!({"file": "abc"})), ["R-1107"]);
    assert_eq!(prompt(json!({"file": "a".repeat(64)})), ["R-1107"]);
    assert_eq!(prompt(json!({"text": "hello"})), ["R-1108"]);
    assert_eq!(prompt(json!({})), ["R-1003"]);
    assert_eq!(prompt(json!({"builtin": "menu", "text": "hello"})), ["R-1003"]);
}

#[test]
fn trunks_have_networks_of_their_own() {
    let trunk = |body: Value| codes(|doc| doc["trunks"]["tr_x"] = body);
    assert!(trunk(json!({"name": "X", "allowed": ["203.0.113.0/24", "2001:db8::/32"]})).is_empty());
    assert_eq!(trunk(json!({"name": "X", "allowed": ["127.0.0.0/8"]})), ["R-1402"]);
    for bad in ["203.0.113.1/24", "203.0.113.0/33", "carrier.example", "/8"] {
        assert_eq!(trunk(json!({"name": "X", "allowed": [bad]})), ["R-1401"], "{bad}");
    }
    for bad in ["*.carrier.example", "", "carrier..example", "sip:carrier.example", "a b"] {
        let body = json!({"name": "X", "allowed": ["192.0.2.1"], "tls_identity": bad});
        assert_eq!(trunk(body), ["R-1405"], "{bad}");
    }
    assert_eq!(trunk(json!({"name": "X", "allowed": []})), ["R-1404"]);
    assert_eq!(trunk(json!({"name": "X", "allowed": ["192.0.2.1"], "codecs": []})), ["R-1404"]);
    assert_eq!(trunk(json!({"name": "X", "allowed": ["192.0.2.1"], "concurrent_max": 0})), ["R-1404"]);
}

#[test]
fn a_trunk_takes_encrypted_media_unless_it_says_otherwise() {
    let srtp = |word: Option<&str>| {
        let mut value = sample();
        value["trunks"] = json!({"tr_x": {"name": "X", "allowed": ["192.0.2.1"]}});
        if let Some(word) = word {
            value["trunks"]["tr_x"]["srtp"] = word.into();
        }
        compile_value(&value).compiled.map(|compiled| compiled.trunks.get(&"tr_x".into()).unwrap().srtp)
    };
    assert_eq!(srtp(None), Some(document::Srtp::Allowed));
    assert_eq!(srtp(Some("off")), Some(document::Srtp::Off));
    assert_eq!(srtp(Some("required")), Some(document::Srtp::Required));
}

#[test]
fn a_registration_names_a_registrar_a_user_and_an_interval() {
    let trunk = |register: Value| {
        let body = json!({"name": "X", "allowed": ["192.0.2.1"], "register": register});
        codes(|doc| doc["trunks"]["tr_x"] = body)
    };
    let good =
        json!({"target": "sip:carrier.example.net:5070;transport=tcp", "user": "edge", "secret": "env:S"});
    assert!(trunk(good.clone()).is_empty());
    let but = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        trunk(changed)
    };
    assert_eq!(but("target", json!("carrier.example.net")), ["R-1406"]);
    assert_eq!(but("target", json!("sip:edge@carrier.example.net")), ["R-1406"]);
    assert_eq!(but("user", json!("edge@carrier")), ["R-1406"]);
    assert!(but("address", json!("+14155550100")).is_empty());
    assert_eq!(but("address", json!("a b")), ["R-1406"]);
    assert_eq!(but("expires_seconds", json!(59)), ["R-1406"]);
}

#[test]
fn a_registration_says_its_addresses() {
    let register = |target: &str| {
        let body = json!({"target": target, "user": "edge", "secret": "env:S", "address": "+14155550100"});
        let register: document::Register = serde_json::from_value(body).unwrap();
        (register.uri(), register.address_uri())
    };
    let both = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        register("sip:carrier.example.net:5070;transport=tcp"),
        both("sip:carrier.example.net:5070;transport=tcp", "sip:+14155550100@carrier.example.net")
    );
    assert_eq!(register("sips:[2001:db8::1]"), both("sips:[2001:db8::1]", "sips:+14155550100@[2001:db8::1]"));
    assert_eq!(register("sip:[::1]:5060").1, "sip:+14155550100@[::1]");
}

#[test]
fn the_longest_network_finds_the_trunk() {
    let mut value = sample();
    value["trunks"] = json!({
        "tr_wide": {"name": "W", "allowed": ["10.0.0.0/8"]},
        "tr_narrow": {"name": "N", "allowed": ["10.1.0.0/16", "::/0"]},
    });
    let trunks = compile_value(&value).compiled.unwrap().trunks;
    let found =
        |address: &str| trunks.find(address.parse().unwrap()).map(|trunk| trunk.id.as_str().to_owned());
    assert_eq!(found("10.2.3.4").as_deref(), Some("tr_wide"));
    assert_eq!(found("10.1.3.4").as_deref(), Some("tr_narrow"));
    assert_eq!(found("::ffff:10.2.3.4").as_deref(), Some("tr_wide"), "mapped addresses are the same hosts");
    assert_eq!(found("2001:db8::1").as_deref(), Some("tr_narrow"));
}

#[test]
fn a_trunk_with_an_identity_is_found_by_it_alone() {
    let mut value = sample();
    value["trunks"] = json!({
        "tr_open": {"name": "O", "allowed": ["10.0.0.0/8"]},
        "tr_known": {"name": "K", "allowed": ["10.0.0.0/8", "192.0.2.0/24"], "tls_identity": "Sip.Carrier.Example"},
    });
    let trunks = compile_value(&value).compiled.unwrap().trunks;
    let found = |address: &str, proven: &[&str]| {
        let trunk = trunks.find_proven(address.parse().unwrap(), proven.iter().copied());
        trunk.map(|trunk| trunk.id.as_str().to_owned())
    };
    assert_eq!(found("10.1.1.1", &["other.example", "sip.carrier.example"]).as_deref(), Some("tr_known"));
    assert_eq!(found("10.1.1.1", &["carrier.example"]).as_deref(), Some("tr_open"));
    assert_eq!(found("192.0.2.1", &["sip.carrier.example"]).as_deref(), Some("tr_known"));
    assert_eq!(found("192.0.2.1", &["evil.example"]), None, "another identity is none");
    assert_eq!(found("192.0.2.1", &[]), None, "the network alone proves nothing");
    assert_eq!(found("198.51.100.1", &["sip.carrier.example"]), None, "nor does the identity from anywhere");
    assert!(
        trunks.find("192.0.2.1".parse().unwrap()).is_none() && trunks.may_prove("192.0.2.1".parse().unwrap())
    );
    assert!(!trunks.may_prove("198.51.100.1".parse().unwrap()));
}

#[test]
fn entry_points_of_nothing_are_warned_about() {
    for id in ["voice/+14155550109", "sms/+442079460000", "ivr/ivr_main/nothing", "ivr/ivr_none/exit"] {
        assert_eq!(codes(|doc| doc["entry_points"][id] = json!({"inbox": "ib_sales"})), ["R-1307"], "{id}");
    }
}

#[test]
fn a_stored_test_that_fails_stops_the_publish_and_says_how() {
    let mut value = sample();
    value["tests"] = json!({
        "wrong": {"from": "+12125550199", "to": "+14155550100", "at": "2026-03-02T15:00:00Z",
            "expect": {"inbox": "ib_sales", "reason": "completed"}},
        "odd": {"to": "+14155550100", "at": "2026-03-02T15:00:00Z", "keys": {"1": "x"}, "expect": {}},
    });
    let outcome = compile_value(&value);
    assert!(outcome.compiled.is_none());
    let texts: Vec<String> = outcome.diagnostics.iter().map(ToString::to_string).collect();
    assert!(
        texts.iter().any(|text| text.contains("expected the inbox ib_sales, found ib_general")),
        "{texts:#?}"
    );
    assert!(texts.iter().any(|text| text.contains("\"x\" is no telephone key")), "{texts:#?}");
}

#[test]
fn faults_of_form_name_their_place() {
    let fault = |text: &str| {
        let raw = document::parse(text)?;
        let faults: Vec<_> = raw.iter().filter_map(|(key, body)| document::read(key, body).err()).collect();
        Err::<(), _>(faults)
    };
    for (text, code, path) in [
        ("inboxes: [", "R-1001", ""),
        ("{\"inboxes\": ", "R-1001", ""),
        ("3", "R-1001", ""),
        ("boxes: {}", "R-1002", "/boxes"),
        ("version: 2", "R-1005", "/version"),
        ("inboxes: [1]", "R-1003", "/inboxes"),
        ("inboxes: {ib: {name: X, colour: red}}", "R-1003", "/inboxes/ib/colour"),
        ("inboxes: {\"ib/x\": {name: X}}", "R-1004", "/inboxes/ib~1x"),
        ("channels: {fax: {inbox: ib}}", "R-1004", "/channels/fax"),
        ("numbers: {\"4155550100\": {}}", "R-1306", "/numbers/4155550100"),
        ("entry_points: {\"voice/abc\": {}}", "R-1306", "/entry_points/voice~1abc"),
        ("entry_points: {\"email/nobody\": {}}", "R-1306", "/entry_points/email~1nobody"),
        ("entry_points: {\"ivr/only\": {}}", "R-1306", "/entry_points/ivr~1only"),
        (
            "trunks: {t: {name: X, allowed: [], digest: {user: u, secret: hunter2}}}",
            "R-1003",
            "/trunks/t/digest/secret",
        ),
        ("calendars: {c: {rows: [{name: a, zone: Mars/Base}]}}", "R-1003", "/calendars/c/rows/0/zone"),
    ] {
        let faults = fault(text).unwrap_err();
        assert_eq!((faults[0].code.as_str(), faults[0].path.as_str()), (code, path), "{text}: {faults:#?}");
        assert!(!faults[0].sentence.contains("hunter2"), "a secret is not repeated: {}", faults[0].sentence);
    }
}

#[test]
fn yaml_and_json_say_the_same() {
    let yaml = document::parse(SAMPLE).unwrap();
    let json = document::parse(&document::to_value(&yaml).to_string()).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn a_bomb_of_aliases_is_refused_quickly() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", before.trim_end_matches(", ")));
    }
    let started = std::time::Instant::now();
    assert!(document::parse(&bomb).is_err());
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
}
