//! Webhooks over the router: by GET, again after long, and as many large bodies as there are places.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::gateway::Gateway;

const URL: &str = "https://gw.example.com/webhooks/sms";
const TOKEN: &str = "a token";

async fn with_sms() -> Gateway {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("secret");
    std::fs::write(&secret, TOKEN).unwrap();
    let provider = json!({"name": "SMS", "kind": "twilio", "url": URL,
                          "secrets": [format!("file:{}", secret.display())]});
    gateway.publish(&json!({"providers": {"sms": provider}})).await;
    gateway
}

/// Asks as the provider does that is told to send by GET.
async fn by_get(gateway: &Gateway, query: &str, signed: &str) -> StatusCode {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, TOKEN.as_bytes());
    let signature = ring::hmac::sign(&key, format!("{URL}?{signed}").as_bytes());
    let request = Request::get(format!("/webhooks/sms?{query}"))
        .header("x-twilio-signature", STANDARD.encode(signature))
        .body(Body::empty());
    use tower::ServiceExt as _;
    vestibule::api::router(gateway.state.clone()).oneshot(request.unwrap()).await.unwrap().status()
}

async fn received(gateway: &Gateway) -> Vec<Value> {
    let (_, page) = gateway.get("/api/v1/events?after=0&limit=1000&type=message.received").await;
    page["events"].as_array().unwrap().clone()
}

const QUERY: &str = "MessageSid=SM2&From=%2B14155550177&To=%2B14155550101&Body=By+GET&NumMedia=0";

#[tokio::test]
async fn a_message_that_comes_by_get_is_proven_kept_and_left_out_when_it_comes_again() {
    let gateway = with_sms().await;
    let other = QUERY.replace("By+GET", "Forged");
    assert_eq!(by_get(&gateway, &other, QUERY).await, StatusCode::UNAUTHORIZED);
    assert_eq!(received(&gateway).await.len(), 0);
    for _ in 0..2 {
        assert_eq!(by_get(&gateway, QUERY, QUERY).await, StatusCode::OK);
    }
    let [event] = received(&gateway).await.try_into().unwrap();
    assert_eq!(event["data"]["message"]["text"], "By GET");
    assert_eq!(event["data"]["customer"], "+14155550177");
}

#[tokio::test]
async fn a_request_that_is_signed_without_a_time_is_known_again_after_months() {
    let mut gateway = with_sms().await;
    assert_eq!(by_get(&gateway, QUERY, QUERY).await, StatusCode::OK);
    let database = rusqlite::Connection::open(gateway.folder.path().join("journal.sqlite")).unwrap();
    assert_eq!(database.execute("UPDATE dedup SET day = day - 80", []).unwrap(), 1);
    drop(database);
    gateway = gateway.restarted();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(by_get(&gateway, QUERY, QUERY).await, StatusCode::OK);
    assert_eq!(received(&gateway).await.len(), 1, "it was not taken again");
}

#[tokio::test]
async fn a_large_document_takes_one_of_few_places_and_a_small_one_none() {
    let gateway = Gateway::new();
    let put = async |name: &str| {
        let path = "/api/v1/routing/draft/inboxes/ib_new";
        let (status, answer) = gateway.ask("PUT", path, Some(json!({"name": name}))).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let large = "x".repeat(gateway.state.limits.webhook_bytes_max + 1);
    let all = u32::try_from(vestibule::api::LARGE_BODIES_MAX).unwrap();
    let places = gateway.state.large_bodies.clone().acquire_many_owned(all).await.unwrap();
    assert_eq!(put(&large).await, (StatusCode::SERVICE_UNAVAILABLE, "too_many_large_bodies".into()));
    assert!(put("New").await.0.is_success());
    drop(places);
    let (status, code) = put(&large).await;
    assert_ne!(status, StatusCode::SERVICE_UNAVAILABLE, "{code}");
    assert_eq!(gateway.state.large_bodies.available_permits(), vestibule::api::LARGE_BODIES_MAX);
}

#[tokio::test]
async fn a_large_mail_keeps_its_place_until_it_is_taken_though_its_client_has_left() {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("secret");
    std::fs::write(&secret, "user:pass").unwrap();
    let provider = json!({"name": "Mails", "kind": "postmark", "url": "https://gw.example.com/webhooks/mails",
                          "secrets": [format!("file:{}", secret.display())]});
    gateway.publish(&json!({"providers": {"mails": provider}})).await;
    let mail = json!({"MessageID": "m1", "FromFull": {"Email": "ann@example.com"},
                      "ToFull": [{"Email": "help@example.com"}], "TextBody": "x".repeat(5 << 20)});
    let free = || gateway.state.large_bodies.available_permits();
    let basic = [("authorization", format!("Basic {}", STANDARD.encode("user:pass")))];
    // Nothing is committed meanwhile.
    let journal = rusqlite::Connection::open(gateway.folder.path().join("journal.sqlite")).unwrap();
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    let sent = gateway.post("/webhooks/mails", &basic, mail.to_string());
    let left = tokio::time::timeout(std::time::Duration::from_millis(500), sent).await;
    assert!(left.is_err(), "{left:?}");
    assert_eq!(free(), vestibule::api::LARGE_BODIES_MAX - 1, "it waits for the journal");
    journal.execute_batch("ROLLBACK").unwrap();
    for _ in 0..100 {
        if free() == vestibule::api::LARGE_BODIES_MAX {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!((free(), received(&gateway).await.len()), (vestibule::api::LARGE_BODIES_MAX, 1));
}
