//! What reviews found in administration, each by its symptom.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
    response::Response,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;
use vestibule::{
    api,
    journal::{Entry, Event, EventKind},
};
use vestibule_config::{settings, store::Options};

use crate::support::{
    gateway::Gateway,
    pages::key,
    people::{Person, sign_in},
};

const EXPORT: &str = "/api/v1/customers/export?address=";

/// An answer whose body nobody has read yet.
async fn begun(gateway: &Gateway, key: &str, path: &str) -> Response {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {key}"));
    api::router(gateway.state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_plus_that_stands_bare_in_a_query_is_a_plus() {
    let gateway = Gateway::new();
    gateway.start("ct_a", "+14155550100").await;
    let (status, document) = gateway.get(&format!("{EXPORT}+14155550199")).await;
    assert_eq!((status, &document["address"]), (StatusCode::OK, &json!("+14155550199")));
    assert_eq!(document["contacts"].as_array().unwrap().len(), 1, "{document}");
}

#[tokio::test]
async fn readers_who_stall_keep_no_other_from_an_export() {
    let gateway = Gateway::new();
    for index in 0..40 {
        gateway.start(&format!("ct_{index:04}"), "+14155550100").await;
    }
    let path = format!("{EXPORT}%2B14155550199");
    let mut stalled = Vec::new();
    for _ in 0..4 {
        stalled.push(begun(&gateway, &gateway.key, &path).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (_, document) = timeout(Duration::from_secs(10), gateway.get(&path)).await.unwrap();
    assert_eq!((&document["complete"], stalled.len()), (&json!(true), 4));
}

#[tokio::test]
async fn an_export_says_where_events_of_a_contact_are_cut_and_how_to_go_on() {
    let gateway = Gateway::new();
    gateway.start("ct_a", "+14155550100").await;
    for _ in 0..5 {
        let mut entry = Entry::new("ct_a".into());
        let node = Event::new(EventKind::ContactNodeEntered, Timestamp::now(), &json!({}));
        entry.events.extend(std::iter::repeat_n(node, 2100));
        gateway.state.journal.append(entry).await.unwrap();
    }
    gateway.start("ct_b", "+14155550100").await;
    let answer = begun(&gateway, &gateway.key, &format!("{EXPORT}%2B14155550199")).await;
    let document: Value =
        serde_json::from_slice(&to_bytes(answer.into_body(), 16 << 20).await.unwrap()).unwrap();
    let [whole, cut] = [&document["contacts"][0], &document["contacts"][1]];
    assert_eq!((&whole["id"], &whole["events_cut"]), (&json!("ct_b"), &Value::Null));
    let events = cut["events"].as_array().unwrap();
    let last = events.last().unwrap()["sequence"].as_str().unwrap();
    assert_eq!((events.len(), cut["events_cut"]["after"].to_string().as_str()), (10_000, last));
    let (_, rest) = gateway.get(&format!("/api/v1/events?after={last}&limit=1000")).await;
    let rest = rest["events"].as_array().unwrap().iter().filter(|event| event["subject"] == "ct_a").count();
    assert_eq!(rest, 501);
}

#[tokio::test]
async fn an_address_is_found_in_whatever_case_it_is_written() {
    let gateway = Gateway::new();
    let start = vestibule::journal::ContactStart {
        channel: vestibule_routing::channel::Channel::Chat,
        from: "Visitor:Ann".into(),
        to: "shop".into(),
        arrived: Timestamp::now(),
        entry_point: None,
        revision: None,
        trunk: None,
        call_id: None,
        callback: None,
        diverted_from: None,
    };
    gateway.state.journal.append(Entry::started("ct_a".into(), start)).await.unwrap();
    let (_, document) = gateway.get(&format!("{EXPORT}Visitor:Ann")).await;
    assert_eq!(document["contacts"].as_array().unwrap().len(), 1, "{document}");
}

#[tokio::test]
async fn a_stream_of_events_ends_when_its_key_is_revoked_and_when_its_user_is_disabled() {
    let gateway = Gateway::new();
    let (_, made) =
        gateway.ask("POST", "/api/v1/keys", Some(json!({"name": "crm", "roles": ["agent_platform"]}))).await;
    let ann = Person::new(&gateway, "ann@example.com", &["analyst"]).await;
    let by_key = begun(&gateway, made["secret"].as_str().unwrap(), "/api/v1/events/stream?after=0").await;
    let request = Request::get("/api/v1/events/stream?after=0").header(header::COOKIE, &ann.cookie);
    let by_user =
        api::router(gateway.state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!((by_key.status(), by_user.status()), (StatusCode::OK, StatusCode::OK));
    let (_, users) = gateway.get("/api/v1/users").await;
    let id = users["users"]
        .as_array()
        .unwrap()
        .iter()
        .find(|user| user["login"] == "ann@example.com")
        .unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        gateway
            .ask(
                "DELETE",
                &format!("/api/v1/keys/{}", made["key"]["id"].as_str().or(made["id"].as_str()).unwrap()),
                None
            )
            .await
            .0
            .is_success()
    );
    let (status, answer) =
        gateway.ask("PATCH", &format!("/api/v1/users/{id}"), Some(json!({"disabled": true}))).await;
    assert!(status.is_success(), "{answer}");
    for stream in [by_key, by_user] {
        let body = timeout(Duration::from_secs(15), to_bytes(stream.into_body(), 1 << 20)).await;
        assert!(body.is_ok_and(|body| body.is_ok()), "it goes on");
    }
}

#[tokio::test]
async fn the_pin_of_a_port_is_shown_to_those_who_order_and_to_no_reader() {
    let gateway = Gateway::new();
    let order = json!({"carrier": "manual", "kind": "port", "numbers": ["+13035550188"],
        "form": {"name": "Ann", "account": "907", "pin": "4471"}});
    let (status, made) = gateway.ask("POST", "/api/v1/numbers/transfers", Some(order)).await;
    assert_eq!((status, &made["form"]["pin"]), (StatusCode::CREATED, &json!("4471")), "{made}");
    let analyst = key(&gateway, "analyst").await;
    let one = format!("/api/v1/numbers/transfers/{}", made["id"].as_str().unwrap());
    for path in [one.as_str(), "/api/v1/numbers/transfers"] {
        let read = begun(&gateway, &analyst, path).await;
        let text = String::from_utf8(to_bytes(read.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap();
        assert!(
            text.contains("\"name\":\"Ann\"") && !text.contains("4471") && !text.contains("907"),
            "{text}"
        );
        assert!(gateway.get(path).await.1.to_string().contains("4471"));
    }
}

#[tokio::test]
async fn team_managers_set_the_sla_of_an_inbox_and_nothing_else_of_it() {
    let gateway = Gateway::new();
    let before = gateway.get("/api/v1/routing/draft/inboxes/ib_general").await.1;
    let ann = Person::new(&gateway, "ann@example.com", &["team_manager"]).await;
    let path = "/api/v1/inboxes/ib_general/sla";
    let (status, done) = ann.ask("PUT", path, Some(json!({"sla_minutes": 17}))).await;
    assert_eq!((status, &done["done"]["published"]), (StatusCode::OK, &json!(true)), "{done}");
    let (_, list) = gateway.get("/api/v1/inboxes").await;
    let general = list["inboxes"].as_array().unwrap().iter().find(|one| one["id"] == "ib_general").unwrap();
    assert_eq!((&general["sla_minutes"], &general["name"]), (&json!(17), &before["name"]));
    let inbox = json!({"name": "Mine", "sla_minutes": 3});
    let edit = "/api/v1/routing/draft/inboxes/ib_general";
    assert_eq!(ann.ask("PUT", edit, Some(inbox)).await.0, StatusCode::FORBIDDEN);
    let none = ann.ask("PUT", "/api/v1/inboxes/ib_none/sla", Some(json!({"sla_minutes": 17}))).await;
    assert_eq!((none.0, &none.1["code"]), (StatusCode::NOT_FOUND, &json!("no_such_inbox")));
    assert_eq!(ann.ask("PUT", path, Some(json!({"sla_minutes": 0}))).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn who_approves_is_told_how_many_changes_are_not_shown() {
    let gateway = Gateway::with_routing(Options { publish_needs_second: true, ..Options::default() });
    for index in 0..203 {
        let path = format!("/api/v1/routing/draft/inboxes/ib_{index:03}");
        gateway.ask("PUT", &path, Some(json!({"name": "One of many"}))).await;
    }
    let (status, asked) = gateway.ask("POST", "/api/v1/routing/publish", Some(json!({"note": "Many"}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{asked}");
    let path = format!("/api/v1/routing/publish-requests/{}", asked["request"]["id"]);
    let (_, whole) = gateway.get(&path).await;
    assert_eq!((whole["objects"].as_array().unwrap().len(), &whole["left_out"]), (200, &json!(3)));
}

#[tokio::test]
async fn strangers_cannot_fill_the_audit_log_with_failed_sign_ins() {
    let identity = settings::Identity { strangers_told_max: 3, ..Gateway::settings().identity };
    let gateway = Gateway::with_identity(&identity);
    for index in 0..9 {
        assert_ne!(sign_in(&gateway, &format!("nobody{index}@example.com"), "wrong password").await.0, 200);
    }
    let (_, log) = gateway.get("/api/v1/audit?action=user.sign_in_failed&limit=100").await;
    let lines = log["lines"].as_array().unwrap_or_else(|| panic!("{log}"));
    assert_eq!(lines.len(), 3, "{log}");
}
