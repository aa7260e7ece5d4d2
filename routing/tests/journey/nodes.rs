//! What each node does.

use std::sync::Arc;

use vestibule_routing::{
    address::E164,
    journey::{Event, FeedEvent, Timer},
    outcome::{Outcome, Reason, Side},
    plan::{IvrKind, NumberVoice, list::NumberList},
};

use super::bench::{Bench, call, plan, with_initial, with_ivr, with_number};

/// Where `{{x}}` leads, when it is `value`: the name of the exit.
fn matched(value: &str, patterns: &[&str]) -> String {
    let patterns: Vec<_> =
        patterns.iter().map(|pattern| serde_json::json!({"pattern": pattern, "next": "yes"})).collect();
    let nodes = serde_json::json!({
        "start": {"type": "set_variable", "name": "x", "value": value, "next": "match"},
        "match": {"type": "match", "value": "{{x}}", "patterns": patterns, "default": "no"},
        "yes": {"type": "exit"}, "no": {"type": "exit"},
    });
    call(&nodes.to_string()).left_by().unwrap().to_owned()
}

#[test]
fn patterns_match_whole_texts_in_any_case() {
    for (pattern, text) in [
        ("abc", "abc"),
        ("abc", "ABC"),
        ("STRASSE", "strasse"),
        ("a?c", "abc"),
        ("a?c", "aéc"),
        ("a*", "a"),
        ("a*", "abcdef"),
        ("*c", "abc"),
        ("*b*", "abc"),
        ("a*b*c", "axxbyyc"),
        ("a*bc", "abcbc"),
        ("**a", "a"),
        ("?*", "x"),
        ("", ""),
        ("*", ""),
        ("+1212*", "+12125550199"),
        ("ÄÖ*", "äöü"),
    ] {
        assert_eq!(matched(text, &[pattern]), "yes", "{pattern} on {text}");
    }
    for (pattern, text) in [
        ("abc", "abcd"),
        ("abc", "xabc"),
        ("a?c", "ac"),
        ("a?c", "abbc"),
        ("?", ""),
        ("?", "ab"),
        ("a*c", "abd"),
        ("", "a"),
        ("a.c", "abc"),
        ("[a]", "a"),
        ("?*", ""),
    ] {
        assert_eq!(matched(text, &[pattern]), "no", "{pattern} on {text}");
    }
}

#[test]
fn a_hostile_pattern_is_answered_in_no_time() {
    let text = "a".repeat(4000);
    assert_eq!(matched(&text, &[&format!("{}b", "*a".repeat(500))]), "no");
}

#[test]
fn the_first_pattern_that_matches_leads_on() {
    let mut bench = call(
        r#"{"start": {"type": "input", "prompt": "ask", "digits_max": 2, "next": "match", "timeout": "no"},
            "match": {"type": "match", "value": "{{node.start}}", "default": "no", "patterns": [
                {"pattern": "9*", "next": "nine"}, {"pattern": "91", "next": "no"}]},
            "nine": {"type": "exit"}, "no": {"type": "exit"}}"#,
    );
    bench.press("91");
    assert_eq!(bench.left_by(), Some("nine"));
}

#[test]
fn templates_know_the_call_and_what_was_set() {
    for (template, text) in [
        ("{{customer_number}}", "+12125550199"),
        ("{{company_number}}", "+14155550100"),
        ("{{entry_point}}", "+14155550100"),
        ("a {{ customer_number }} b", "a +12125550199 b"),
        ("{{nobody.set.this}}", ""),
        ("{{customer_number", "{{customer_number"),
        ("}}{{customer_number}}{{", "}}+12125550199{{"),
        ("{customer_number}", "{customer_number}"),
        ("plain", "plain"),
    ] {
        assert_eq!(matched(template, &[text]), "yes", "{template}");
    }
}

#[test]
fn a_variable_is_set_from_itself_and_stays_bounded() {
    // Doubles itself a hundred times: without a bound that would be more than the universe holds.
    let mut bench = call(
        r#"{"start": {"type": "set_variable", "name": "x", "value": "ab", "next": "double"},
            "double": {"type": "set_variable", "name": "x", "value": "{{x}}{{x}}", "next": "guard"},
            "guard": {"type": "loop_guard", "times_max": 60, "next": "double", "exceeded": "ask"},
            "ask": {"type": "data_dip", "url": "https://example.com/{{x}}", "next": "x", "error": "x"},
            "x": {"type": "exit"}}"#,
    );
    assert!(bench.dips[0].url.len() <= 5000, "{}", bench.dips[0].url.len());
    bench.dip_answers(None);
    assert_eq!(bench.left_by(), Some("x"));
}

const DIP: &str = r#"{
    "start": {"type": "data_dip", "url": "https://example.com/{{customer_number}}", "post": true,
              "headers": {"X-Number": "{{company_number}}"}, "body": "{\"who\": \"{{customer_number}}\"}",
              "timeout_ms": 1500, "captures": {"tier": "/customer/tier"}, "next": "match", "error": "failed"},
    "match": {"type": "match", "value": "{{tier}}", "patterns": [{"pattern": "gold", "next": "gold"}], "default": "plain"},
    "gold": {"type": "exit"}, "plain": {"type": "exit"}, "failed": {"type": "exit"}
}"#;

#[test]
fn a_data_dip_asks_with_its_variables_filled_in() {
    let bench = call(DIP);
    let dip = &bench.dips[0];
    assert_eq!(dip.url, "https://example.com/+12125550199");
    assert!(dip.post);
    assert_eq!(dip.headers, [("X-Number".to_owned(), "+14155550100".to_owned())]);
    assert_eq!(dip.body.as_deref(), Some(r#"{"who": "+12125550199"}"#));
    assert_eq!(dip.captures, [("tier".to_owned(), "/customer/tier".to_owned())]);
    assert_eq!(dip.timeout.as_millis(), 1500);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::DataDipTimeout);
}

#[test]
fn the_answer_of_a_data_dip_is_used_by_the_next_node() {
    let mut bench = call(DIP);
    bench.dip_answers(Some(&[("tier", "gold")]));
    assert_eq!(bench.left_by(), Some("gold"));
    let mut bench = call(DIP);
    bench.dip_answers(Some(&[]));
    assert_eq!(bench.left_by(), Some("plain"), "an answer without the value");
}

#[test]
fn a_data_dip_that_fails_or_takes_too_long_leaves_by_error() {
    let mut bench = call(DIP);
    bench.dip_answers(None);
    assert_eq!(bench.left_by(), Some("failed"));
    let mut bench = call(DIP);
    bench.pass(1);
    assert_eq!(bench.left_by(), None);
    bench.pass(1);
    assert_eq!(bench.left_by(), Some("failed"));
}

#[test]
fn the_answer_to_an_older_data_dip_is_not_taken_for_this_one() {
    let mut bench = call(DIP);
    let request = bench.dips[0].request;
    let values = Some(vec![("tier".to_owned(), "gold".to_owned())]);
    bench.tell(Event::DataDip { request: request.wrapping_sub(1), values: values.clone() });
    bench.tell(Event::DataDip { request: request.wrapping_add(1), values });
    assert_eq!(bench.left_by(), None);
    bench.press("1");
    bench.dip_answers(Some(&[("tier", "gold")]));
    assert_eq!(bench.left_by(), Some("gold"), "a key in between is kept and disturbs nothing");
}

/// Who leaves a node by the way that leads to the exit `yes`.
fn leaves(node: &str, caller: &str) -> Bench {
    let nodes = format!(r#"{{"start": {node}, "yes": {{"type": "exit"}}, "no": {{"type": "exit"}}}}"#);
    let mut plan = with_initial(plan(), &nodes);
    let numbers = [E164::parse("+442071838750").unwrap()].into();
    let list = NumberList { numbers, prefixes: vec!["+1212".into()], anonymous: false };
    plan.lists.insert("ls_known".into(), Arc::new(list));
    let nameless = NumberList { anonymous: true, ..NumberList::default() };
    plan.lists.insert("ls_nameless".into(), Arc::new(nameless));
    Bench::called_by(plan, caller)
}

#[test]
fn caller_match_looks_at_lists_prefixes_and_missing_numbers() {
    for (settings, caller, exit) in [
        (r#""list": "ls_known""#, "+442071838750", "yes"),
        (r#""list": "ls_known""#, "+442071838751", "no"),
        (r#""list": "ls_known""#, "+12125550199", "yes"),
        (r#""list": "ls_known""#, "", "no"),
        (r#""list": "ls_nameless""#, "", "yes"),
        (r#""list": "ls_nameless""#, "+12125550199", "no"),
        (r#""list": "ls_missing""#, "+12125550199", "no"),
        (r#""prefixes": ["+44", "+1212"]"#, "+12125550199", "yes"),
        (r#""prefixes": ["+44", "+1213"]"#, "+12125550199", "no"),
        (r#""prefixes": ["+44"]"#, "", "no"),
        (r#""prefixes": []"#, "+12125550199", "no"),
        (r#""anonymous": true"#, "", "yes"),
        (r#""anonymous": true"#, "+12125550199", "no"),
        (r#""anonymous": false"#, "", "no"),
        (r#""anonymous": true, "prefixes": ["+1"]"#, "+12125550199", "yes"),
    ] {
        let node = format!(r#"{{"type": "caller_match", {settings}, "match": "yes", "no_match": "no"}}"#);
        assert_eq!(leaves(&node, caller).left_by(), Some(exit), "{settings} for \"{caller}\"");
    }
}

#[test]
fn a_failure_told_late_does_not_hit_what_is_heard_now() {
    let nodes = r#"{
        "start": {"type": "message", "prompt": "first", "next": "second"},
        "second": {"type": "message", "prompt": "second", "interruptible": false, "next": "ask"},
        "ask": {"type": "menu", "prompt": "ask", "choices": {"1": "x"}, "default": "x"},
        "x": {"type": "exit"}
    }"#;
    let mut bench = call(nodes);
    let first = bench.begun;
    bench.press("1");
    assert_eq!(bench.hears(), ["second"]);
    bench.tell(Event::PlaybackFailed(first, "late"));
    assert_eq!(bench.hears(), ["second"], "the first was over");
    assert!(bench.traced("no longer heard"));
    bench.fails("a prompt is missing");
    assert!(bench.events.iter().any(|event| matches!(event, FeedEvent::IvrExited { failure: Some(_), .. })));
    assert_eq!(bench.queued_in(), Some("ib_general"));
}

#[test]
fn a_failure_told_after_the_key_that_stopped_the_prompt_leaves_the_data_dip_alone() {
    let nodes = r#"{
        "start": {"type": "message", "prompt": "first", "next": "dip"},
        "dip": {"type": "data_dip", "url": "http://localhost/", "next": "yes", "error": "no"},
        "yes": {"type": "exit"}, "no": {"type": "exit"}
    }"#;
    let mut bench = call(nodes);
    bench.press("1");
    bench.fails("late");
    bench.dip_answers(Some(&[]));
    assert_eq!(bench.left_by(), Some("yes"));
}

#[test]
fn caller_match_on_attestation_says_in_the_trace_that_it_is_unknown() {
    let node = r#"{"type": "caller_match", "attestation": "A", "match": "yes", "no_match": "no"}"#;
    let bench = leaves(node, "+12125550199");
    assert_eq!(bench.left_by(), Some("no"));
    assert!(bench.traced("attestation A: unknown"), "{:?}", bench.journey.trace());
    let node = r#"{"type": "caller_match", "attestation": "unknown", "match": "yes", "no_match": "no"}"#;
    assert_eq!(leaves(node, "+12125550199").left_by(), Some("yes"), "every caller is unknown");
    let node = r#"{"type": "caller_match", "prefixes": ["+1"], "match": "yes", "no_match": "no"}"#;
    assert!(!leaves(node, "+12125550199").traced("attestation"));
}

#[test]
fn a_block_list_leads_away_who_stands_on_it() {
    for (list, caller, exit) in [
        ("ls_known", "+442071838750", "yes"),
        ("ls_known", "+12125550199", "yes"),
        ("ls_known", "+13125550199", "no"),
        ("ls_known", "", "no"),
        ("ls_nameless", "", "yes"),
        ("ls_missing", "+12125550199", "no"),
    ] {
        let node =
            format!(r#"{{"type": "block_list", "list": "{list}", "blocked": "yes", "default": "no"}}"#);
        assert_eq!(leaves(&node, caller).left_by(), Some(exit), "{list} for \"{caller}\"");
    }
}

#[test]
fn a_schedule_takes_its_first_row_then_the_calendar_then_the_default() {
    let nodes = |rows: &str, calendar: &str| {
        format!(
            r#"{{"start": {{"type": "schedule", "rows": [{rows}], {calendar} "default": "default"}},
                "first": {{"type": "exit"}}, "second": {{"type": "exit"}}, "shared": {{"type": "exit"}},
                "default": {{"type": "exit"}}}}"#
        )
    };
    // The call arrives on Monday 2 March 2026, 10:00 UTC.
    let row = |name: &str, when: &str| {
        format!(r#"{{"when": {{"name": "{name}", {when}, "zone": "UTC"}}, "next": "{name}"}}"#)
    };
    let monday = r#""weekdays": ["monday"]"#;
    let holiday = r#""dates": {"first": "2026-03-02", "last": "2026-03-02"}"#;
    let tuesday = r#""weekdays": ["tuesday"]"#;
    let shared = r#""calendar": "cal", "calendar_rows": {"open": "shared"},"#;
    for (rows, calendar, exit) in [
        (format!("{},{}", row("first", holiday), row("second", monday)), "", "first"),
        (format!("{},{}", row("first", tuesday), row("second", monday)), shared, "second"),
        (row("first", tuesday), shared, "shared"),
        (row("first", tuesday), r#""calendar": "cal", "calendar_rows": {"other": "shared"},"#, "default"),
        (row("first", tuesday), "", "default"),
        (String::new(), r#""calendar": "missing", "calendar_rows": {"open": "shared"},"#, "default"),
    ] {
        let mut plan = with_initial(plan(), &nodes(&rows, calendar));
        let json = format!(r#"{{"rows": [{{"name": "open", {monday}, "zone": "UTC"}}]}}"#);
        plan.calendars.insert("cal".into(), Arc::new(serde_json::from_str(&json).unwrap()));
        assert_eq!(Bench::new(plan).left_by(), Some(exit), "{rows} {calendar}");
    }
}

#[test]
fn an_interruptible_message_ends_with_a_key_that_the_menu_then_uses() {
    let mut bench = call(
        r#"{"start": {"type": "message", "prompt": "long", "next": "menu"},
            "menu": {"type": "menu", "prompt": "menu", "choices": {"7": "x"}, "default": "y"},
            "x": {"type": "exit"}, "y": {"type": "exit"}}"#,
    );
    bench.press("7");
    assert_eq!(bench.left_by(), Some("x"));
}

#[test]
fn an_input_keeps_its_times_its_restart_and_its_length() {
    let nodes = r##"{"start": {"type": "input", "prompt": "ask", "digits_max": 3, "first_digit_seconds": 7,
              "between_digits_seconds": 2, "next": "match", "timeout": "late"},
        "match": {"type": "match", "value": "{{node.start}}", "default": "other", "patterns": [
              {"pattern": "123", "next": "all"}, {"pattern": "1", "next": "one"}]},
        "all": {"type": "exit"}, "one": {"type": "exit"}, "other": {"type": "exit"}, "late": {"type": "exit"}}"##;
    let pressed = |keys: &str, seconds: u64| {
        let mut bench = call(nodes);
        bench.press(keys);
        bench.pass(seconds);
        bench.left_by().map(str::to_owned)
    };
    assert_eq!(pressed("123", 0).as_deref(), Some("all"), "full without a terminator");
    assert_eq!(pressed("1#", 0).as_deref(), Some("one"));
    assert_eq!(pressed("1", 1), None);
    assert_eq!(pressed("1", 2).as_deref(), Some("one"), "no further key");
    assert_eq!(pressed("99*1#", 0).as_deref(), Some("one"), "begun again");
    assert_eq!(pressed("#", 0).as_deref(), Some("late"), "ended with nothing");
    assert_eq!(pressed("AB#", 0).as_deref(), Some("other"));
    let mut bench = call(nodes);
    bench.played();
    bench.pass(6);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::FirstDigitTimeout);
    bench.pass(1);
    assert_eq!(bench.left_by(), Some("late"));
    let mut bench = call(nodes);
    bench.press("1*");
    assert_eq!(bench.hears(), ["ask"], "asked again after the restart");
}

#[test]
fn a_hang_up_says_its_words_and_its_status() {
    let bench = call(r#"{"start": {"type": "hang_up", "sip_status": 480}}"#);
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Plan, Reason::HungUpByIvr), 480));
    let mut bench = call(r#"{"start": {"type": "hang_up", "prompt": "bye"}}"#);
    assert_eq!(bench.hears(), ["bye"]);
    bench.played();
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Plan, Reason::HungUpByIvr), 200));
}

#[test]
fn a_loop_guard_counts_and_lets_go() {
    let mut bench = call(
        r#"{"start": {"type": "message", "prompt": "again", "next": "guard"},
            "guard": {"type": "loop_guard", "times_max": 2, "next": "start", "exceeded": "x"},
            "x": {"type": "exit"}}"#,
    );
    for _ in 0..3 {
        assert_eq!(bench.hears(), ["again"]);
        bench.played();
    }
    assert_eq!(bench.left_by(), Some("x"));
}

const GUARDED: &str = r#"{
    "start": {"type": "message", "prompt": "again", "next": "guard"},
    "guard": {"type": "loop_guard", "times_max": 1, "next": "start", "exceeded": "stay"},
    "stay": {"type": "continue"}
}"#;

#[test]
fn each_run_of_the_queue_ivr_counts_its_loops_anew() {
    let voice = NumberVoice { queue_ivr: Some("q".into()), ..NumberVoice::default() };
    let mut bench = Bench::new(with_ivr(with_number(plan(), voice), "q", IvrKind::Queue, GUARDED));
    for run in 0..3 {
        bench.pass(30);
        for _ in 0..2 {
            assert_eq!(bench.hears(), ["again"], "run {run}");
            bench.played();
        }
        assert_eq!(bench.hears(), ["builtin:queue_music"], "run {run}");
    }
}

#[test]
fn wait_music_plays_for_its_time_and_keys_pressed_meanwhile_are_kept() {
    let nodes = r#"{
        "start": {"type": "wait_music", "seconds": 20, "next": "menu"},
        "menu": {"type": "menu", "prompt": "menu", "choices": {"1": "leave"}, "default": "stay"},
        "stay": {"type": "continue"}, "leave": {"type": "exit"}}"#;
    let voice = NumberVoice {
        queue_ivr: Some("q".into()),
        queue_music: Some("pr_song".into()),
        ..NumberVoice::default()
    };
    let mut bench = Bench::new(with_ivr(with_number(plan(), voice), "q", IvrKind::Queue, nodes));
    bench.pass(30);
    assert_eq!(bench.hears(), ["pr_song"]);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::WaitMusicEnd);
    let playback = bench.playing.clone().unwrap();
    assert!(playback.looped && playback.resume);
    bench.press("1");
    bench.pass(19);
    assert_eq!(bench.hears(), ["pr_song"]);
    assert_eq!(bench.left_by(), None);
    bench.pass(1);
    assert_eq!(bench.left_by(), Some("leave"));
}

#[test]
fn continue_goes_back_to_the_queue_and_keeps_the_place() {
    let voice = NumberVoice { queue_ivr: Some("q".into()), ..NumberVoice::default() };
    let nodes = r#"{"start": {"type": "continue"}}"#;
    let mut bench = Bench::new(with_ivr(with_number(plan(), voice), "q", IvrKind::Queue, nodes));
    let place = bench.place.clone();
    bench.pass(31);
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    assert_eq!(bench.place, place);
    let queued = bench
        .events
        .iter()
        .filter(|event| matches!(event, FeedEvent::Queued { .. } | FeedEvent::Moved { .. }));
    assert_eq!(queued.count(), 1);
    assert!(bench.events.iter().any(|event| {
        matches!(event, FeedEvent::IvrExited { inbox: Some(inbox), failure: None, .. } if inbox.as_str() == "ib_general")
    }));
}

#[test]
fn a_percent_split_gives_each_way_its_share_and_the_same_seed_the_same_way() {
    let taken = |percent: u8, seed: u64| {
        let nodes = format!(
            r#"{{"start": {{"type": "percent_split", "percent": {percent}, "next": "yes", "rest": "no"}},
                "yes": {{"type": "exit"}}, "no": {{"type": "exit"}}}}"#
        );
        let bench = Bench::with_seed(with_initial(plan(), &nodes), seed);
        bench.left_by() == Some("yes")
    };
    let share = |percent: u8| (0..2000).filter(|seed| taken(percent, *seed)).count();
    assert_eq!((share(0), share(100)), (0, 2000));
    for (percent, least, most) in [(1, 5, 45), (25, 430, 570), (50, 920, 1080), (99, 1955, 1995)] {
        let share = share(percent);
        assert!((least..=most).contains(&share), "{percent} %: {share} of 2000");
    }
    for seed in 0..50 {
        assert_eq!(taken(50, seed), taken(50, seed));
    }
}

#[test]
fn two_splits_of_one_call_are_independent() {
    let nodes = r#"{
        "start": {"type": "percent_split", "percent": 50, "next": "second", "rest": "second_too"},
        "second": {"type": "percent_split", "percent": 50, "next": "a", "rest": "b"},
        "second_too": {"type": "percent_split", "percent": 50, "next": "c", "rest": "d"},
        "a": {"type": "exit"}, "b": {"type": "exit"}, "c": {"type": "exit"}, "d": {"type": "exit"}
    }"#;
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for seed in 0..2000 {
        let bench = Bench::with_seed(with_initial(plan(), nodes), seed);
        *counts.entry(bench.left_by().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(counts.len(), 4);
    assert!(counts.values().all(|count| (420..=580).contains(count)), "{counts:?}");
}

const TEXT: &str = r#"{
    "start": {"type": "send_sms", "text": "Hello {{customer_number}}", "success": "sent", "error": "failed"},
    "sent": {"type": "exit"}, "failed": {"type": "exit"}
}"#;

#[test]
fn a_text_is_sent_with_its_variables_and_leads_on_by_what_became_of_it() {
    for (sent, left) in [(true, "sent"), (false, "failed")] {
        let mut bench = call(TEXT);
        let (request, text) = bench.texts.pop().unwrap();
        assert_eq!(text, "Hello +12125550199");
        assert_eq!(bench.journey.deadline().unwrap().1, Timer::SmsTimeout);
        bench.tell(Event::SmsSent { request: request.wrapping_add(1), sent: !sent });
        assert_eq!(bench.left_by(), None, "an answer to something else");
        bench.tell(Event::SmsSent { request, sent });
        assert_eq!(bench.left_by(), Some(left));
    }
    let mut bench = call(TEXT);
    bench.pass(9);
    assert_eq!(bench.left_by(), None);
    bench.pass(1);
    assert_eq!(bench.left_by(), Some("failed"), "the carrier takes too long");
}
