//! Texts of IVRs over real HTTP, to carriers of our own making that look at each request.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    routing::post,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vestibule::message::{
    Providers, Sender,
    sender::{NotSent, Text},
};
use vestibule_routing::address::E164;

use crate::support::gateway::Gateway;

const OURS: &str = "+14155550100";
const CUSTOMER: &str = "+14155550177";

/// Requests so far, and what is answered.
#[derive(Clone, Default)]
struct Carrier {
    heard: Arc<Mutex<Vec<(String, HeaderMap, String)>>>,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Carrier {
    async fn open(status: u16, answer: &Value) -> (Self, String) {
        let carrier = Self::default();
        *carrier.answer.lock().unwrap() = (status, answer.to_string());
        let hear = async |State(carrier): State<Self>, uri: Uri, headers: HeaderMap, body: Bytes| {
            let text = String::from_utf8(body.to_vec()).unwrap();
            carrier.heard.lock().unwrap().push((uri.path().to_owned(), headers, text));
            let (status, answer) = carrier.answer.lock().unwrap().clone();
            (StatusCode::from_u16(status).unwrap(), answer)
        };
        let router = Router::new().route("/{*path}", post(hear)).with_state(carrier.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        (carrier, address)
    }

    fn heard(&self) -> Vec<(String, HeaderMap, String)> {
        self.heard.lock().unwrap().clone()
    }
}

/// A gateway that sends by such a carrier, from a number that is registered.
async fn with_carrier(kind: &str, api: &str, key: &str) -> (Gateway, Sender) {
    let gateway = Gateway::new();
    let file = |name: &str, text: &str| {
        let path = gateway.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("file:{}", path.display())
    };
    let (secret, key) = (file("secret", "s"), file("key", key));
    let provider = json!({"name": "S", "kind": kind, "url": "https://gw.example.com/webhooks/s", "account": "AC1",
        "secrets": [secret], "send": {"key": key, "api": api}});
    gateway.publish(&json!({"providers": {"s": provider}})).await;
    for event in ["submit", "approve"] {
        let path = format!("/api/v1/numbers/{OURS}/registration");
        assert_eq!(gateway.ask("POST", &path, Some(json!({"event": event}))).await.0, StatusCode::OK);
    }
    let sender = sender(&gateway);
    (gateway, sender)
}

fn sender(gateway: &Gateway) -> Sender {
    let state = &gateway.state;
    let metrics = state.metrics.sms.clone();
    Sender::new(state.providers.clone(), state.store.clone(), state.journal.clone(), metrics).unwrap()
}

fn text() -> Text {
    let number = |text: &str| E164::parse(text).unwrap();
    Text { from: number(OURS), to: number(CUSTOMER), text: "Grüße & more".into(), contact: "ct_1".into() }
}

async fn sent_events(gateway: &Gateway) -> Vec<Value> {
    let (_, page) = gateway.get("/api/v1/events?after=0&type=message.sent").await;
    page["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn twilio_is_asked_as_it_documents_and_the_feed_is_told() {
    let (carrier, api) = Carrier::open(201, &json!({"sid": "SM9", "status": "queued"})).await;
    let (gateway, sender) = with_carrier("twilio", &api, "SK1:hush").await;
    let sent = sender.send(&text()).await.unwrap();
    assert_eq!((sent.provider.as_str(), sent.message_id.as_str()), ("s", "SM9"));
    let [(path, headers, body)] = &carrier.heard()[..] else { panic!() };
    assert_eq!(path, "/2010-04-01/Accounts/AC1/Messages.json");
    assert_eq!(headers["authorization"], "Basic U0sxOmh1c2g=");
    let form: Vec<_> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let wanted = [
        ("From", OURS),
        ("To", CUSTOMER),
        ("Body", "Grüße & more"),
        ("StatusCallback", "https://gw.example.com/webhooks/s"),
    ];
    assert_eq!(form, wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let events = sent_events(&gateway).await;
    assert_eq!((&events[0]["data"]["message_id"], &events[0]["data"]["by"]), (&json!("SM9"), &json!("ivr")));
    assert_eq!(events[0]["subject"], json!("ct_1"));
}

#[tokio::test]
async fn telnyx_is_asked_as_it_documents() {
    let (carrier, api) = Carrier::open(200, &json!({"data": {"id": "tx-9"}})).await;
    let (_gateway, sender) = with_carrier("telnyx", &api, "KEY1").await;
    assert_eq!(sender.send(&text()).await.unwrap().message_id, "tx-9");
    let [(path, headers, body)] = &carrier.heard()[..] else { panic!() };
    assert_eq!((path.as_str(), headers["authorization"].to_str().unwrap()), ("/v2/messages", "Bearer KEY1"));
    let body: Value = serde_json::from_str(body).unwrap();
    let wanted = json!({"from": OURS, "to": CUSTOMER, "text": "Grüße & more", "webhook_url": "https://gw.example.com/webhooks/s"});
    assert_eq!(body, wanted);
}

#[tokio::test]
async fn what_a_carrier_refuses_is_told_and_asked_once() {
    let (carrier, api) = Carrier::open(400, &json!({"code": 21610, "message": "unsubscribed"})).await;
    let (gateway, sender) = with_carrier("twilio", &api, "token").await;
    let refused = sender.send(&text()).await.unwrap_err();
    assert!(
        matches!(&refused, NotSent::Refused { status: 400, says } if says == "21610 unsubscribed"),
        "{refused}"
    );
    for (status, answer) in [(500, "<html>"), (302, ""), (200, "no json"), (200, "{}")] {
        *carrier.answer.lock().unwrap() = (status, answer.to_owned());
        assert!(sender.send(&text()).await.is_err(), "{status} {answer}");
    }
    *carrier.answer.lock().unwrap() = (200, "x".repeat(100 << 10));
    assert!(matches!(sender.send(&text()).await, Err(NotSent::NotUnderstood)), "more than is read");
    assert_eq!(carrier.heard().len(), 6, "each was asked once");
    assert!(sent_events(&gateway).await.is_empty());
}

#[tokio::test]
async fn who_may_not_be_written_to_is_not() {
    let (carrier, api) = Carrier::open(201, &json!({"sid": "SM9"})).await;
    let (gateway, sender) = with_carrier("twilio", &api, "token").await;
    let other = Text { from: E164::parse("+14155550101").unwrap(), ..text() };
    assert!(matches!(sender.send(&other).await, Err(NotSent::NotRegistered)));
    // STOP of this customer to this number.
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"s");
    let signed = format!("https://gw.example.com/webhooks/sBodySTOPFrom{CUSTOMER}MessageSidSM1To{OURS}");
    let signature = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        ring::hmac::sign(&key, signed.as_bytes()),
    );
    let body = "Body=STOP&From=%2B14155550177&MessageSid=SM1&To=%2B14155550100".to_owned();
    assert_eq!(gateway.post("/webhooks/s", &[("x-twilio-signature", signature)], body).await, StatusCode::OK);
    assert!(matches!(sender.send(&text()).await, Err(NotSent::OptedOut)));
    let friend = Text { to: E164::parse("+14155550178").unwrap(), ..text() };
    assert!(sender.send(&friend).await.is_ok(), "others still may");
    assert_eq!(carrier.heard().len(), 1);
    let nobody = Sender::new(
        Providers::default(),
        gateway.state.store.clone(),
        gateway.state.journal.clone(),
        gateway.state.metrics.sms.clone(),
    );
    assert!(matches!(nobody.unwrap().send(&friend).await, Err(NotSent::NoProvider)));
}

#[tokio::test]
async fn a_carrier_that_is_not_there_is_an_error_in_time() {
    let (_gateway, sender) = with_carrier("twilio", "http://127.0.0.1:9", "token").await;
    assert!(matches!(sender.send(&text()).await, Err(NotSent::NotReached(_))));
}
