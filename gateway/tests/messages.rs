//! Messages over the router: proven, kept once, in order, taken, closed; and what is not proven leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

#[path = "support/gateway.rs"]
mod gateway;

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::Gateway;
use serde_json::{Value, json};

const SECRET: &[u8] = b"a secret of thirty-two bytes long";

/// A request signed by Standard Webhooks.
fn signed(id: &str, body: &Value) -> Vec<(&'static str, String)> {
    let stamp = jiff::Timestamp::now().as_second().to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let signature = ring::hmac::sign(&key, format!("{id}.{stamp}.{body}").as_bytes());
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", stamp),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(signature))),
    ]
}

async fn with_provider() -> Gateway {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    gateway
        .publish(&json!({"providers": {"shop": {
            "name": "Shop", "kind": "generic", "url": "https://gw.example.com/webhooks/shop",
            "secrets": [format!("file:{}", secret.display())],
        }}}))
        .await;
    gateway
}

async fn send(gateway: &Gateway, id: &str, text: &str) -> StatusCode {
    let body = json!({"from": "ann", "to": "shop-1", "text": text});
    gateway.post("/webhooks/shop", &signed(id, &body), body.to_string()).await
}

async fn kinds(gateway: &Gateway) -> Vec<String> {
    let (_, page) = gateway.get("/api/v1/events?after=0&limit=1000").await;
    page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect()
}

async fn received(gateway: &Gateway) -> Vec<Value> {
    let (_, page) = gateway.get("/api/v1/events?after=0&limit=1000&type=message.received").await;
    page["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_message_is_kept_once_and_in_the_order_of_its_conversation() {
    let gateway = with_provider().await;
    for (id, text) in [("m1", "one"), ("m2", "two"), ("m1", "one"), ("m3", "three")] {
        assert_eq!(send(&gateway, id, text).await, StatusCode::OK, "{id}");
    }
    let events = received(&gateway).await;
    let told: Vec<_> = events
        .iter()
        .map(|event| (event["data"]["number"].clone(), event["data"]["message"]["text"].clone()))
        .collect();
    assert_eq!(told, [(json!(1), json!("one")), (json!(2), json!("two")), (json!(3), json!("three"))]);
    let conversation = events[0]["data"]["conversation"].as_str().unwrap();
    assert!(events.iter().all(|event| event["data"]["conversation"] == conversation));
    let (status, view) = gateway.get(&format!("/api/v1/conversations/{conversation}")).await;
    assert_eq!(
        (status, &view["messages"], &view["reply_allowed"]),
        (StatusCode::OK, &json!(3), &json!(true))
    );
    let (_, list) = gateway.get("/api/v1/conversations?open=true&customer=ann").await;
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_proven_is_refused_and_leaves_nothing_behind() {
    let gateway = with_provider().await;
    let body = json!({"from": "ann", "to": "shop-1", "text": "hello"});
    let good = signed("m1", &body);
    let post = async |headers: &[(&'static str, String)], body: String| {
        gateway.post("/webhooks/shop", headers, body).await
    };
    assert_eq!(post(&[], body.to_string()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&good, format!("{body} ")).await, StatusCode::UNAUTHORIZED);
    let twice: Vec<_> = good.iter().chain(&good).cloned().collect();
    assert_eq!(post(&twice, body.to_string()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(gateway.post("/webhooks/nobody", &good, body.to_string()).await, StatusCode::NOT_FOUND);
    assert_eq!(received(&gateway).await.len(), 0);
    assert_eq!(post(&good, body.to_string()).await, StatusCode::OK);
    assert_eq!(received(&gateway).await.len(), 1);
}

#[tokio::test]
async fn a_message_is_taken_by_one_and_refused_by_others_until_the_conversation_is_closed() {
    let gateway = with_provider().await;
    assert_eq!(send(&gateway, "m1", "hello").await, StatusCode::OK);
    let contact = received(&gateway).await[0]["subject"].as_str().unwrap().to_owned();
    let ask = async |what: &str, body: Value| {
        gateway.ask("POST", &format!("/api/v1/contacts/{contact}/{what}"), Some(body)).await.0
    };
    assert_eq!(ask("refuse", json!({"by": "bob"})).await, StatusCode::NO_CONTENT);
    assert_eq!(
        ask("take", json!({"by": "eve", "target": "sip:eve@127.0.0.1"})).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(ask("take", json!({"by": "eve"})).await, StatusCode::OK);
    assert_eq!(ask("take", json!({"by": "eve"})).await, StatusCode::OK);
    assert_eq!(ask("take", json!({"by": "bob"})).await, StatusCode::CONFLICT);
    assert_eq!(ask("refuse", json!({"by": "bob"})).await, StatusCode::CONFLICT);
    let (_, list) = gateway.get("/api/v1/conversations").await;
    let view = &list["conversations"][0];
    assert_eq!((&view["taken_by"], &view["sla_due"]), (&json!("eve"), &Value::Null));
    let close = format!("/api/v1/conversations/{}/close", view["id"].as_str().unwrap());
    assert_eq!(gateway.ask("POST", &close, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.ask("POST", &close, None).await.0, StatusCode::CONFLICT);
    assert_eq!(ask("take", json!({"by": "bob"})).await, StatusCode::CONFLICT);
    let kinds = kinds(&gateway).await;
    let wanted = [
        "contact.started",
        "message.received",
        "contact.queued",
        "contact.refused",
        "contact.taken",
        "contact.ended",
    ];
    assert_eq!(kinds, wanted);
    // The next message begins another conversation.
    assert_eq!(send(&gateway, "m2", "again").await, StatusCode::OK);
    let events = received(&gateway).await;
    assert_ne!(events[0]["data"]["conversation"], events[1]["data"]["conversation"]);
    assert_eq!(events[1]["data"]["number"], 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_acknowledged() {
    let gateway = with_provider().await;
    let body = json!({"from": 7});
    assert_eq!(gateway.post("/webhooks/shop", &signed("m1", &body), body.to_string()).await, StatusCode::OK);
    assert_eq!(kinds(&gateway).await, ["message.unparsed"]);
}

#[tokio::test]
async fn a_disarmed_entry_point_holds_messages_until_it_is_armed() {
    let gateway = with_provider().await;
    let armed = async |armed: bool| {
        gateway.publish(&json!({"entry_points": {"custom/shop-1": {"armed": armed}}})).await
    };
    armed(false).await;
    assert_eq!(send(&gateway, "m1", "hello").await, StatusCode::OK);
    assert_eq!(kinds(&gateway).await, ["contact.started", "message.received"]);
    assert_eq!(received(&gateway).await[0]["data"]["held"], true);
    let contact = received(&gateway).await[0]["subject"].as_str().unwrap().to_owned();
    let take = format!("/api/v1/contacts/{contact}/take");
    assert_eq!(gateway.ask("POST", &take, Some(json!({"by": "eve"}))).await.0, StatusCode::CONFLICT);
    let looking = tokio::spawn(gateway.state.intake.clone().go_on());
    armed(true).await;
    for _ in 0..100 {
        if kinds(&gateway).await.len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    looking.abort();
    assert_eq!(kinds(&gateway).await, ["contact.started", "message.received", "contact.queued"]);
    assert_eq!(gateway.ask("POST", &take, Some(json!({"by": "eve"}))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn messages_and_their_order_survive_a_restart() {
    let mut gateway = with_provider().await;
    assert_eq!(send(&gateway, "m1", "one").await, StatusCode::OK);
    gateway = gateway.restarted();
    assert_eq!(send(&gateway, "m1", "one").await, StatusCode::OK);
    assert_eq!(send(&gateway, "m2", "two").await, StatusCode::OK);
    let events = received(&gateway).await;
    let numbers: Vec<_> = events.iter().map(|event| event["data"]["number"].clone()).collect();
    assert_eq!(numbers, [1, 2]);
    assert_eq!(kinds(&gateway).await.iter().filter(|kind| *kind == "contact.ended").count(), 0);
}
