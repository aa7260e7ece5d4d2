//! What is kept of one customer, as one document; how long it is kept; and the page for both.

use axum::http::{StatusCode, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{
    gateway::Gateway,
    pages::{HOSTILE, key, open},
};

const SECRET: &[u8] = b"a secret of thirty-two bytes long";
const PAGE: &str = "/console/settings/customers";

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

/// A message of a customer, signed by Standard Webhooks.
async fn write(gateway: &Gateway, id: &str, from: &str, text: &str) {
    let body = json!({"from": from, "to": "shop-1", "text": text});
    let stamp = jiff::Timestamp::now().as_second().to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let signature = ring::hmac::sign(&key, format!("{id}.{stamp}.{body}").as_bytes());
    let headers = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", stamp),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(signature))),
    ];
    assert_eq!(gateway.post("/webhooks/shop", &headers, body.to_string()).await, StatusCode::OK);
}

async fn exported(gateway: &Gateway, address: &str) -> Value {
    let (status, document) = gateway.get(&format!("/api/v1/customers/export?address={address}")).await;
    assert_eq!(status, 200, "{document}");
    assert_eq!(document["complete"], true, "{document}");
    document
}

#[tokio::test]
async fn a_customer_gets_all_that_is_kept_of_him_and_nothing_of_others() {
    let gateway = with_provider().await;
    write(&gateway, "m1", "ann@shop", HOSTILE).await;
    write(&gateway, "m2", "ann@shop", "the second").await;
    write(&gateway, "m3", "joann@shop", "of somebody else").await;
    let document = exported(&gateway, "ann@shop").await;
    let contacts = document["contacts"].as_array().unwrap();
    assert_eq!(contacts.len(), 2, "{document}");
    let texts: Vec<&Value> = contacts
        .iter()
        .flat_map(|contact| contact["events"].as_array().unwrap())
        .filter(|event| event["type"] == "message.received")
        .map(|event| &event["data"]["message"]["text"])
        .collect();
    assert_eq!(texts, [&json!("the second"), &json!(HOSTILE)], "the newest first");
    let conversations = document["conversations"].as_array().unwrap();
    assert_eq!((conversations.len(), &conversations[0]["messages"]), (1, &json!(2)), "{document}");
    assert!(!document.to_string().contains("somebody else"));
    let nobody = exported(&gateway, "nobody%20at%20all").await;
    assert_eq!((&nobody["contacts"], &nobody["conversations"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_call_is_exported_with_its_trace_its_events_and_its_recordings() {
    let gateway = Gateway::new();
    gateway.start("ct_a", "+14155550100").await;
    gateway.end("ct_a").await;
    std::fs::write(gateway.folder.path().join("recordings/ct_a-1.wav"), b"RIFF").unwrap();
    let document = exported(&gateway, "%2B14155550199").await;
    let call = &document["contacts"][0];
    assert_eq!((&call["id"], &call["trace"]), (&json!("ct_a"), &json!([{"step": "one"}])), "{document}");
    assert_eq!(call["recordings"][0]["fetch"], "/api/v1/contacts/ct_a/recordings/ct_a-1.wav");
    let kinds: Vec<&str> =
        call["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["contact.started", "contact.ended"]);
}

#[tokio::test]
async fn a_document_of_very_many_contacts_is_whole() {
    let gateway = Gateway::new();
    for index in 0..450 {
        gateway.start(&format!("ct_{index:04}"), "+14155550100").await;
    }
    let document = exported(&gateway, "%2B14155550199").await;
    let ids: std::collections::BTreeSet<&str> = document["contacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contact| contact["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 450, "each once");
}

#[tokio::test]
async fn only_who_looks_after_privacy_exports_and_addresses_are_checked() {
    let gateway = Gateway::new();
    for bad in ["", "ab", "a%0Ab%0Ac", &"x".repeat(321)] {
        let (status, refused) = gateway.get(&format!("/api/v1/customers/export?address={bad}")).await;
        assert_eq!(status, 400, "{refused}");
    }
    let analyst = key(&gateway, "analyst").await;
    let path = format!("{PAGE}/export?address=nobody");
    assert_eq!(open(&gateway, &analyst, &path).await.status, 403);
    let page = open(&gateway, &analyst, PAGE).await;
    assert!(page.status == 200 && !page.shows("/export"), "{}", page.text);
    let compliance = key(&gateway, "compliance").await;
    assert!(open(&gateway, &compliance, PAGE).await.shows(">Export</button>"));
    let file = open(&gateway, &compliance, &path).await;
    assert_eq!(file.status, 200);
    assert_eq!(file.headers[header::CONTENT_DISPOSITION], "attachment; filename=\"customer.json\"");
    assert!(file.shows("\"complete\":true"), "{}", file.text);
    let platform = key(&gateway, "agent_platform").await;
    assert_eq!(open(&gateway, &platform, PAGE).await.status, 403);
}

#[tokio::test]
async fn the_page_says_how_long_each_kind_is_kept() {
    let gateway = Gateway::new();
    let (status, list) = gateway.get("/api/v1/retention").await;
    assert_eq!(status, 200);
    let page = open(&gateway, &gateway.key, PAGE).await;
    for kind in list["retention"].as_array().unwrap() {
        assert!(page.shows(kind["setting"].as_str().unwrap()), "{kind} is missing in {}", page.text);
    }
    assert!(page.shows("400 days") && page.shows("recordings.days_kept"), "{}", page.text);
    let wrong = open(&gateway, &gateway.key, &format!("{PAGE}/export?address=a")).await;
    assert!(wrong.status == 422 && wrong.shows("value=\"a\""), "{}", wrong.text);
}
