//! Publishing by two people, over the API and the console: what waits, who may decide, and what waits for nobody.

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use vestibule::api;
use vestibule_config::store::Options;

use crate::support::{gateway::Gateway, people::Person};

const REQUESTS: &str = "/api/v1/routing/publish-requests";

fn careful() -> Gateway {
    Gateway::with_routing(Options { publish_needs_second: true, ..Options::default() })
}

impl Gateway {
    fn revision(&self) -> u64 {
        self.state.store.active().load().revision
    }
}

/// Edits an inbox, and asks for a publish.
async fn ask(who: &Person<'_>, minutes: u64) -> Value {
    let path = "/api/v1/routing/draft/inboxes/ib_general";
    let (status, answer) =
        who.ask("PUT", path, Some(json!({"name": "General", "sla_minutes": minutes}))).await;
    assert!(status.is_success(), "{answer}");
    let (status, answer) = who.ask("POST", "/api/v1/routing/publish", Some(json!({"note": "Faster"}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    answer["request"].clone()
}

#[tokio::test]
async fn a_publish_waits_for_another_person_and_neither_oneself_nor_ones_key_will_do() {
    let gateway = careful();
    let ann = Person::new(&gateway, "ann@example.com", &["administrator"]).await;
    let ben = Person::new(&gateway, "ben@example.com", &["administrator"]).await;
    let viewer = Person::new(&gateway, "vi@example.com", &["analyst"]).await;
    let request = ask(&ann, 7).await;
    assert_eq!((gateway.revision(), &request["state"]), (1, &json!("open")));
    let approve = format!("{REQUESTS}/{}/approve", request["id"]);
    let (status, answer) = ann.ask("POST", &approve, None).await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("second_person_needed")));
    let key = json!({"name": "ann's robot", "roles": ["administrator"]});
    let (_, made) = ann.ask("POST", "/api/v1/keys", Some(key)).await;
    let robot = format!("Bearer {}", made["secret"].as_str().unwrap());
    let by_robot = |method: &'static str, path: String, body: Value| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, &robot)
            .header(header::CONTENT_TYPE, "application/json");
        gateway.send(request.body(Body::from(body.to_string())).unwrap())
    };
    let (status, answer) = by_robot("POST", approve.clone(), Value::Null).await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("person_needed")));
    assert_eq!(viewer.ask("POST", &approve, None).await.0, StatusCode::FORBIDDEN);
    let (_, whole) = ben.ask("GET", &format!("{REQUESTS}/{}", request["id"]), None).await;
    assert_eq!(whole["objects"][0]["after"]["sla_minutes"], 7);
    let (status, published) = ben.ask("POST", &approve, None).await;
    assert_eq!((status, gateway.revision()), (StatusCode::CREATED, 2), "{published}");
    assert_eq!(published["revision"]["approved_by"], "ben@example.com");
    assert_eq!(ben.ask("POST", &approve, None).await.0, StatusCode::CONFLICT);
    // What her key asks for, she asks for.
    let (_, edited) = by_robot(
        "PUT",
        "/api/v1/routing/draft/inboxes/ib_general".into(),
        json!({"name": "General", "sla_minutes": 8}),
    )
    .await;
    assert_eq!(edited, "");
    let (status, asked) = by_robot("POST", "/api/v1/routing/publish".into(), json!({"note": "By key"})).await;
    assert_eq!((status, &asked["request"]["person"]), (StatusCode::ACCEPTED, &json!("ann@example.com")));
    let of_robot = format!("{REQUESTS}/{}", asked["request"]["id"]);
    let (status, answer) = ann.ask("POST", &format!("{of_robot}/approve"), None).await;
    assert_eq!((status, &answer["code"]), (StatusCode::FORBIDDEN, &json!("second_person_needed")));
    let no = Some(json!({"reason": "Too fast"}));
    let (status, refused) = ben.ask("POST", &format!("{of_robot}/refuse"), no).await;
    assert_eq!((status, &refused["request"]["reason"]), (StatusCode::OK, &json!("Too fast")));
    let (_, list) = ben.ask("GET", &format!("{REQUESTS}?open=true"), None).await;
    assert_eq!((&list["requests"], &list["needed"]), (&json!([]), &json!(true)));
}

#[tokio::test]
async fn acts_of_one_step_wait_too_but_for_those_of_operation() {
    let gateway = careful();
    let ann = Person::new(&gateway, "ann@example.com", &["administrator"]).await;
    let default_inbox = Some(json!({"inbox": "ib_sales"}));
    let (status, answer) = ann.ask("PUT", "/api/v1/channels/voice/default-inbox", default_inbox).await;
    assert_eq!((status, &answer["done"]["published"]), (StatusCode::OK, &json!(false)), "{answer}");
    assert!(answer["done"]["request"].is_u64(), "{answer}");
    let voice = Some(json!({"queue_wait_seconds": 44}));
    let (status, answer) = ann.ask("POST", "/api/v1/numbers/%2B14155550100/voice", voice).await;
    assert_eq!((status, &answer["code"]), (StatusCode::CONFLICT, &json!("awaits_second_person")), "{answer}");
    let line = "{\"entry_point\": \"voice/+14155550100\", \"inbox\": \"ib_sales\"}\n";
    let import = Request::post("/api/v1/entry-points/import")
        .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
        .header(header::CONTENT_TYPE, "application/x-ndjson");
    let (status, answer) = gateway.send(import.body(Body::from(line)).unwrap()).await;
    assert_eq!(
        (status, &answer["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("routing_invalid")),
        "{answer}"
    );
    assert_eq!(gateway.revision(), 1);
    let arming = Some(json!({"entry_points": ["voice/+14155550100"], "armed": false}));
    let (_, answer) = ann.ask("POST", "/api/v1/entry-points/arm", arming).await;
    assert_eq!(answer["done"], json!({"published": true, "revision": 2}));
    let (_, answer) = ann.ask("PUT", "/api/v1/blocked-callers/%2B14155550166", None).await;
    assert_eq!(answer["done"]["revision"], 3, "{answer}");
}

#[tokio::test]
async fn the_console_shows_what_waits_and_another_person_approves_it_there() {
    let gateway = careful();
    let ann = Person::new(&gateway, "ann@example.com", &["administrator"]).await;
    let ben = Person::new(&gateway, "ben@example.com", &["administrator"]).await;
    let request = ask(&ann, 9).await;
    let page = |who: &Person<'_>| {
        let request = Request::get("/console/revisions").header(header::COOKIE, &who.cookie);
        api::router(gateway.state.clone()).oneshot(request.body(Body::empty()).unwrap())
    };
    let text = |response: axum::response::Response| async move {
        String::from_utf8(to_bytes(response.into_body(), 8 << 20).await.unwrap().to_vec()).unwrap()
    };
    let own = text(page(&ann).await.unwrap()).await;
    assert!(own.contains("Take it back") && !own.contains("Approve and publish"), "{own}");
    let others = text(page(&ben).await.unwrap()).await;
    assert!(others.contains("Approve and publish") && others.contains("Faster"), "{others}");
    let approve = Request::post(format!("/console/revisions/requests/{}/approve", request["id"]))
        .header(header::COOKIE, &ben.cookie)
        .header("sec-fetch-site", "same-origin");
    let response =
        api::router(gateway.state.clone()).oneshot(approve.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!((response.status(), gateway.revision()), (StatusCode::SEE_OTHER, 2));
}
