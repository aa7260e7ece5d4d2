//! The console's pages over the router: for whom they are, that they hold, and that hostile words stay words.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;
use vestibule::{
    api::{self, live::Stage},
    journal::{ContactStart, Entry},
};
use vestibule_routing::channel::Channel;

use crate::support::gateway::Gateway;

const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"></script><script>alert(1)</script>'&";

/// Every page that can be read without naming anything.
const PAGES: [&str; 42] = [
    "/console/live",
    "/console/contacts",
    "/console/contacts?q=nobody&channel=voice&state=ended&outcome=completed&since=24h",
    "/console/inboxes",
    "/console/inboxes/new",
    "/console/inboxes/ib_general",
    "/console/entry-points",
    "/console/entry-points?channel=voice&armed=yes&exception=no&text=415",
    "/console/entry-points/voice/%2B14155550100",
    "/console/entry-points/ivr/ivr_main%2Fexit_sales",
    "/console/entry-points/import",
    "/console/ivrs",
    "/console/ivrs/prompts",
    "/console/settings/blocked-callers",
    "/console/settings/customers",
    "/console/settings/mail-domains",
    "/console/settings/mailboxes",
    "/console/settings/mailboxes/help%40example.com",
    "/console/ivrs/ivr_main",
    "/console/revisions",
    "/console/revisions/1",
    "/console/numbers",
    "/console/numbers/set-up/search",
    "/console/numbers/sms",
    "/console/numbers/transfers",
    "/console/numbers/carriers",
    "/console/settings",
    "/console/settings/about",
    "/console/settings/roles",
    "/console/settings/users",
    "/console/settings/keys",
    "/console/settings/audit",
    "/console/settings/audit?actor=system&object=revision%2F1&since=2026-01-01",
    "/console/settings/audit/verify",
    "/console/settings/audit/1",
    "/console/settings/trunks",
    "/console/settings/trunks/tr_local",
    "/console/settings/providers/sample",
    "/console/settings/chat_apps/sample",
    "/console/settings/consumers/new",
    "/console/settings/calendars",
    "/console/account",
];

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn goes_to(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }
}

async fn send(gateway: &Gateway, request: Request<Body>) -> Answer {
    let response = api::router(gateway.state.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 8 << 20).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

/// Opens a page as whoever has a key; no key: as nobody.
async fn open(gateway: &Gateway, key: &str, path: &str) -> Answer {
    let mut request = Request::get(path);
    if !key.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    send(gateway, request.body(Body::empty()).unwrap()).await
}

/// Sends a form, as the browser does from a page of ours.
async fn submit(gateway: &Gateway, who: (&str, &str), path: &str, fields: &[(&str, &str)]) -> Answer {
    let form: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            format!("{name}={encoded}")
        })
        .collect();
    let request = Request::post(path)
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(who.0, who.1);
    send(gateway, request.body(Body::from(form.join("&"))).unwrap()).await
}

/// A key with one role.
async fn key(gateway: &Gateway, role: &str) -> String {
    let (status, made) = gateway
        .ask("POST", "/api/v1/keys", Some(json!({"name": format!("the {role}"), "roles": [role]})))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["secret"].as_str().unwrap().to_owned()
}

/// Calls that wait and talk, calls that are over, and a conversation; all of hostile people.
async fn fill(gateway: &Gateway) -> Vec<api::live::LiveEntry> {
    gateway.publish(&json!({"inboxes": {"ib_hostile": {"name": HOSTILE, "sla_minutes": 1}}})).await;
    for id in ["ct_1", "ct_2", "ct_3"] {
        let start = ContactStart {
            channel: Channel::Voice,
            from: HOSTILE.into(),
            to: "+14155550100".into(),
            arrived: Timestamp::now(),
            entry_point: Some("voice/+14155550100".into()),
            revision: Some(1),
            trunk: Some("tr_local".into()),
            call_id: Some(HOSTILE.into()),
            callback: None,
            diverted_from: Some(HOSTILE.into()),
        };
        gateway.state.journal.append(Entry::started(id.into(), start)).await.unwrap();
    }
    gateway.end("ct_3").await;
    let stages = [
        ("ct_1", Stage::Waiting { inbox: "ib_hostile".into(), position: 1 }),
        ("ct_2", Stage::InIvr { ivr: "ivr_main".into(), node: "menu".into() }),
    ];
    let enter = |(id, stage): (&str, Stage)| {
        let entry = gateway.state.live.enter(id.into()).unwrap();
        entry.update(|state| state.stage = stage);
        entry
    };
    stages.into_iter().map(enter).collect()
}

/// What stands behind words, until a letter.
fn between(text: &str, before: &str, until: char) -> String {
    let (_, rest) = text.split_once(before).expect("the page has no such words");
    rest.chars().take_while(|letter| *letter != until).collect()
}

fn is_a_page(path: &str, answer: &Answer) {
    let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
    assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
    let text = &answer.text;
    assert!(text.trim_end().ends_with("</html>"), "{path}: {text}");
    for bad in [" style=", " onclick=", "javascript:", "<script>", "<style"] {
        assert!(!text.contains(bad), "{path} has {bad}");
    }
    for elsewhere in ["src=\"http", "href=\"http", "src=\"//", "href=\"//"] {
        assert!(!text.contains(elsewhere), "{path} loads from elsewhere");
    }
    assert!(!text.contains("<img"), "{path}: hostile words became markup");
}

#[tokio::test]
async fn every_page_is_drawn_for_every_role_or_refused_on_a_page() {
    let gateway = Gateway::new();
    let calls = fill(&gateway).await;
    let mut keys = vec![("administrator", gateway.key.clone())];
    for role in ["team_manager", "analyst", "compliance", "agent_platform", "api"] {
        keys.push((role, key(&gateway, role).await));
    }
    for (role, key) in &keys {
        for path in
            PAGES.into_iter().chain(["/console/contacts/ct_1", "/console/contacts/ct_3", "/console/nowhere"])
        {
            let answer = open(&gateway, key, path).await;
            let wanted = if path.ends_with("nowhere") { [404, 404] } else { [200, 403] };
            assert!(
                wanted.contains(&answer.status.as_u16()),
                "{role} {path}: {} {}",
                answer.status,
                answer.text
            );
            let all_may = *role == "administrator" && wanted[0] == 200;
            assert!(!all_may || answer.status == 200, "{path}: {} {}", answer.status, answer.text);
            is_a_page(path, &answer);
        }
    }
    let live = open(&gateway, &gateway.key, "/console/live").await.text;
    assert!(live.contains("&#60;img src=x onerror=") && live.contains("Waits in"), "{live}");
    assert!(live.contains("/console/contacts/ct_1/hang_up"), "an administrator may hang up");
    let read_only = open(&gateway, &keys[2].1, "/console/live").await.text;
    assert!(!read_only.contains("/hang_up"), "an analyst is shown no button for it");
    drop(calls);
}

#[tokio::test]
async fn a_new_gateway_explains_what_is_not_there_yet() {
    let gateway = Gateway::new();
    for path in PAGES {
        let answer = open(&gateway, &gateway.key, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        is_a_page(path, &answer);
    }
    let contacts = open(&gateway, &gateway.key, "/console/contacts").await.text;
    assert!(contacts.contains("No contacts yet"), "{contacts}");
    let calendars = open(&gateway, &gateway.key, "/console/settings/calendars").await.text;
    assert!(calendars.contains("No calendar yet"));
}

#[tokio::test]
async fn nothing_is_shown_to_nobody_but_the_doors() {
    let gateway = Gateway::new();
    for path in PAGES.into_iter().chain([
        "/console/contacts/ct_1/pcap",
        "/console/nowhere",
        "/console/settings/users/us_1",
    ]) {
        let answer = open(&gateway, "", path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.goes_to().starts_with("/console/sign-in?next="), "{path}");
        assert!(answer.headers.contains_key(header::CONTENT_SECURITY_POLICY), "{path}");
    }
    assert_eq!(open(&gateway, "", "/console/live/stream").await.status, 401);
    let forms = [
        "/console/inboxes/new",
        "/console/revisions/publish",
        "/console/contacts/ct_1/hang_up",
        "/console/sign-out",
    ];
    for path in forms {
        let answer = submit(&gateway, ("x-nobody", "x"), path, &[("note", "x"), ("name", "x")]).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.goes_to().starts_with("/console/sign-in"), "{path}");
    }
    let door = open(&gateway, "", "/console/sign-in?next=//evil.example").await;
    assert_eq!(door.status, 200);
    assert!(door.text.contains("name=\"next\" value=\"/console/live\""), "{}", door.text);
    is_a_page("the door", &door);
    assert_eq!(open(&gateway, "", "/").await.goes_to(), "/console/live");
    let (status, inboxes) = gateway.get("/api/v1/routing/draft/changes").await;
    assert_eq!((status, inboxes["changes"].as_array().unwrap().len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let gateway = Gateway::new();
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let request = Request::post("/console/inboxes/new")
            .header(name, value)
            .header(header::HOST, "127.0.0.1:8080")
            .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
            .body(Body::from("name=Evil"))
            .unwrap();
        assert_eq!(send(&gateway, request).await.status, 403, "{name}");
    }
    let (_, changes) = gateway.get("/api/v1/routing/draft/changes").await;
    assert_eq!(changes["changes"], json!([]));
}

#[tokio::test]
async fn files_of_the_console_are_kept_by_their_hash() {
    let gateway = Gateway::new();
    let door = open(&gateway, "", "/console/sign-in").await.text;
    let style = format!("/console/assets/{}", between(&door, "/console/assets/", '"'));
    let folder = style.rsplit_once('/').unwrap().0.to_owned();
    for (name, kind) in [
        ("console.css", "text/css"),
        ("console.js", "text/javascript"),
        ("live.js", "text/javascript"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let answer = open(&gateway, "", &format!("{folder}/{name}")).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with(kind), "{name}");
        assert!(answer.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        let again = Request::get(format!("{folder}/{name}"))
            .header(header::IF_NONE_MATCH, answer.headers[header::ETAG].clone())
            .body(Body::empty())
            .unwrap();
        assert_eq!(send(&gateway, again).await.status, 304);
    }
    assert_eq!(open(&gateway, "", &format!("{folder}/../../secret")).await.status, 404);
    let old = open(&gateway, "", "/console/assets/0000000000000000/console.css").await;
    assert_eq!(old.headers[header::CACHE_CONTROL], "no-cache");
}

#[tokio::test]
async fn an_inbox_is_added_corrected_and_published_by_forms() {
    let gateway = Gateway::new();
    let bearer = format!("Bearer {}", gateway.key);
    let who = ("authorization", bearer.as_str());
    let wrong =
        submit(&gateway, who, "/console/inboxes/new", &[("name", "Night"), ("sla_minutes", "soon")]).await;
    assert_eq!(wrong.status, 422);
    is_a_page("the form", &wrong);
    assert!(
        wrong.text.contains("value=\"soon\"") && wrong.text.contains("value=\"Night\""),
        "what was typed stays"
    );
    assert!(wrong.text.contains("class=\"fault\""), "the finding stands at the field: {}", wrong.text);
    let right =
        submit(&gateway, who, "/console/inboxes/new", &[("name", "Night"), ("sla_minutes", "30")]).await;
    assert_eq!((right.status.as_u16(), right.goes_to()), (303, "/console/inboxes/ib_night?saved=1"));
    let page = open(&gateway, &gateway.key, "/console/inboxes/ib_night").await.text;
    let was = between(&page, "name=\"was\" value=\"", '"');
    let fields = [("name", "Night shift"), ("sla_minutes", "45"), ("was", was.as_str())];
    assert_eq!(submit(&gateway, who, "/console/inboxes/ib_night", &fields).await.status, 303);
    // Somebody else had the older page open.
    let late = submit(&gateway, who, "/console/inboxes/ib_night", &fields).await;
    assert_eq!(late.status, 422);
    assert!(late.text.contains("Somebody else changed this"), "{}", late.text);
    let review = open(&gateway, &gateway.key, "/console/revisions").await.text;
    assert!(review.contains("ib_night") && review.contains("No call is in progress"), "{review}");
    let version = between(&review, "name=\"version\" value=\"", '"');
    let without_note =
        submit(&gateway, who, "/console/revisions/publish", &[("version", &version), ("note", "")]).await;
    assert_eq!(without_note.status, 422);
    let fields = [("version", version.as_str()), ("note", "A night shift")];
    let published = submit(&gateway, who, "/console/revisions/publish", &fields).await;
    assert_eq!(published.goes_to(), "/console/revisions", "{}", published.text);
    let flash = published.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(flash.contains("Revision+2+is+active") && flash.contains("HttpOnly"), "{flash}");
    let (_, list) = gateway.get("/api/v1/inboxes").await;
    let night = list["inboxes"].as_array().unwrap().iter().find(|inbox| inbox["id"] == "ib_night").unwrap();
    assert_eq!((night["name"].as_str(), night["sla_minutes"].as_u64()), (Some("Night shift"), Some(45)));
}

#[tokio::test]
async fn a_trunk_is_set_up_by_its_form() {
    let gateway = Gateway::new();
    let bearer = format!("Bearer {}", gateway.key);
    let who = ("authorization", bearer.as_str());
    let fields = [
        ("id", "tr_new"),
        ("name", "Carrier"),
        ("allowed", "nowhere"),
        ("trusted", "on"),
        ("concurrent_max", "many"),
    ];
    let wrong = submit(&gateway, who, "/console/settings/trunks/new", &fields).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.text.contains("Nothing was saved") && wrong.text.contains(">nowhere</textarea>"),
        "{}",
        wrong.text
    );
    // A draft may be wrong for a while; its page says so.
    let fields = [("id", "tr_odd"), ("name", "Carrier"), ("allowed", "nowhere"), ("trusted", "on")];
    let odd = submit(&gateway, who, "/console/settings/trunks/new", &fields).await;
    assert_eq!((odd.status.as_u16(), odd.goes_to()), (303, "/console/settings/trunks/tr_odd?saved=1"));
    let odd = open(&gateway, &gateway.key, odd.goes_to()).await;
    assert!(odd.text.contains("class=\"fault\"") && odd.text.contains(">nowhere</textarea>"), "{}", odd.text);
    let fields = [
        ("id", "tr_new"),
        ("name", "Carrier"),
        ("allowed", "192.0.2.0/24"),
        ("trusted", "on"),
        ("srtp", "required"),
    ];
    assert_eq!(submit(&gateway, who, "/console/settings/trunks/new", &fields).await.status, 303);
    let (_, trunk) = gateway.get("/api/v1/routing/draft/trunks/tr_new").await;
    assert_eq!(trunk, json!({"name": "Carrier", "allowed": ["192.0.2.0/24"], "srtp": "required"}));
    // What is wrong with it only beside the rest is said once it stands in the draft.
    let fields = [("id", "sms"), ("inbox", "ib_nowhere")];
    let odd = submit(&gateway, who, "/console/settings/channels/new", &fields).await;
    assert_eq!((odd.status.as_u16(), odd.goes_to()), (303, "/console/settings/channels/sms?saved=1"));
    let odd = open(&gateway, &gateway.key, odd.goes_to()).await;
    assert_eq!(odd.status, 200);
    assert!(odd.text.contains("cannot be published like this"), "{}", odd.text);
    let list = open(&gateway, &gateway.key, "/console/settings/trunks").await.text;
    assert!(list.contains("tr_new") && list.contains(">added<"), "{list}");
}

#[tokio::test]
async fn the_first_administrator_comes_by_a_link_and_signs_in_and_out() {
    let gateway = Gateway::new();
    let link = gateway.state.identity.first_link(Timestamp::now()).unwrap().expect("nobody can sign in yet");
    let page = open(&gateway, "", &link.path()).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("Welcome to Vestibule"), "{}", page.text);
    is_a_page("the link", &page);
    let nobody = ("x-nobody", "x");
    let good = "correct horse battery";
    let fields = [
        ("token", link.token.as_str()),
        ("name", "Ann"),
        ("login", "ann@example.com"),
        ("password", good),
        ("again", "other"),
    ];
    let differs = submit(&gateway, nobody, "/console/sign-in/link", &fields).await;
    assert_eq!(differs.status, 422);
    assert!(differs.text.contains("not the same") && differs.text.contains("value=\"Ann\""));
    let fields = [
        ("token", link.token.as_str()),
        ("name", "Ann"),
        ("login", "ann@example.com"),
        ("password", good),
        ("again", good),
    ];
    let begun = submit(&gateway, nobody, "/console/sign-in/link", &fields).await;
    assert_eq!((begun.status.as_u16(), begun.goes_to()), (303, "/console/live"), "{}", begun.text);
    let cookie = begun.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let with_cookie =
        |path: &str| Request::get(path).header(header::COOKIE, cookie.clone()).body(Body::empty()).unwrap();
    let account = send(&gateway, with_cookie("/console/account")).await;
    assert!(
        account.text.contains("ann@example.com") && account.text.contains("this one"),
        "{}",
        account.text
    );
    let wrong =
        submit(&gateway, nobody, "/console/sign-in", &[("login", "ann@example.com"), ("password", "wrong")])
            .await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("do not fit") && !wrong.text.contains("\"wrong\""), "{}", wrong.text);
    let fields = [("login", "ann@example.com"), ("password", good), ("next", "/console/inboxes")];
    assert_eq!(submit(&gateway, nobody, "/console/sign-in", &fields).await.goes_to(), "/console/inboxes");
    let out = submit(&gateway, ("cookie", &cookie), "/console/sign-out", &[]).await;
    assert_eq!(out.goes_to(), "/console/sign-in");
    assert_eq!(send(&gateway, with_cookie("/console/live")).await.status, 303, "the session has ended");
    let used = open(&gateway, "", &link.path()).await;
    assert_eq!(used.status, 404, "a link works once");
    is_a_page("the used link", &used);
}

#[tokio::test]
async fn the_live_page_is_told_what_changes() {
    let gateway = Gateway::new();
    let request =
        Request::get("/console/live/stream").header(header::AUTHORIZATION, format!("Bearer {}", gateway.key));
    let response =
        api::router(gateway.state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(gateway.state.metrics.api.console_streams.get(), 1);
    let mut stream = response.into_body().into_data_stream();
    let first = next_pieces(&mut stream).await;
    assert_eq!(first.len(), 5, "all of it at first: {first:?}");
    let calls = fill(&gateway).await;
    let changed = next_pieces(&mut stream).await;
    let calls_piece = changed.iter().find(|piece| piece["id"] == "live-calls").expect("calls have changed");
    let html = calls_piece["html"].as_str().unwrap();
    assert!(html.contains("ct_2") && !html.contains("<img"), "{html}");
    drop((calls, stream));
    assert_eq!(gateway.state.metrics.api.console_streams.get(), 0);
}

async fn next_pieces(stream: &mut axum::body::BodyDataStream) -> Vec<Value> {
    use futures_util::StreamExt;
    let mut text = String::new();
    while !text.ends_with("\n\n") || !text.contains("data:") {
        let bytes = tokio::time::timeout(std::time::Duration::from_secs(20), stream.next()).await;
        text.push_str(&String::from_utf8_lossy(&bytes.expect("nothing came").unwrap().unwrap()));
    }
    let data = text.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
    serde_json::from_str(data.trim()).unwrap()
}

#[tokio::test]
async fn the_events_of_a_contact_are_listed_and_its_sip_is_a_capture_file() {
    let gateway = Gateway::new();
    for index in 0..40 {
        gateway.start(&format!("ct_{index:02}"), "+14155550100").await;
    }
    gateway.end("ct_20").await;
    let (status, events) = gateway.get("/api/v1/contacts/ct_20/events").await;
    assert_eq!(status, 200);
    let kinds: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["contact.started", "contact.ended"]);
    assert_eq!(gateway.get("/api/v1/contacts/ct_99/events").await.0, StatusCode::NOT_FOUND);
    let (status, headers, file) = gateway.fetch("/api/v1/contacts/ct_20/pcap").await;
    assert_eq!((status.as_u16(), file.len()), (200, 24), "a head without packets");
    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1]);
    assert!(headers[header::CONTENT_DISPOSITION].to_str().unwrap().contains("ct_20.pcap"));
}

#[tokio::test]
async fn contacts_are_found_by_a_part_of_their_address_and_by_their_end() {
    let gateway = Gateway::new();
    gateway.start("ct_a", "+14155550100").await;
    gateway.start("ct_b", "+14155550101").await;
    gateway.end("ct_b").await;
    let found = async |query: &str| {
        let (status, page) = gateway.get(&format!("/api/v1/contacts?{query}")).await;
        assert_eq!(status, 200, "{page}");
        page["contacts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("address=550101").await, ["ct_b"]);
    assert_eq!(found("address=5550199").await, ["ct_b", "ct_a"], "the caller's too");
    assert_eq!(found("outcome=completed").await, ["ct_b"]);
    assert_eq!(found("outcome=failed").await, Vec::<String>::new());
    assert_eq!(found("since=2001-01-01T00:00:00Z").await.len(), 2);
    assert_eq!(found("until=2001-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(gateway.get("/api/v1/contacts?address=12").await.0, StatusCode::BAD_REQUEST);
}
