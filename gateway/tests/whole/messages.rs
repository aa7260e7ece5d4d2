//! Messages over the router: proven, kept once, in order, taken, closed; and what is not proven leaves nothing behind.

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::gateway::Gateway;

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

const OURS: &str = "+14155550100";

async fn with_sms() -> Gateway {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("token");
    std::fs::write(&secret, "12345").unwrap();
    let provider = json!({"name": "S", "kind": "twilio", "url": "https://gw.example.com/webhooks/s",
        "secrets": [format!("file:{}", secret.display())]});
    gateway.publish(&json!({"providers": {"s": provider}})).await;
    gateway
}

async fn sms(gateway: &Gateway, id: &str) -> Value {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345");
    let text = format!("https://gw.example.com/webhooks/sBodyhiFrom+14155550177MessageSid{id}To{OURS}");
    let signature = STANDARD.encode(ring::hmac::sign(&key, text.as_bytes()));
    let body = format!("Body=hi&From=%2B14155550177&MessageSid={id}&To=%2B14155550100");
    assert_eq!(gateway.post("/webhooks/s", &[("x-twilio-signature", signature)], body).await, StatusCode::OK);
    received(gateway).await.pop().unwrap()["data"].clone()
}

async fn registration(gateway: &Gateway, event: &str) {
    let path = format!("/api/v1/numbers/{OURS}/registration");
    let (status, number) = gateway.ask("POST", &path, Some(json!({"event": event}))).await;
    assert_eq!(status, StatusCode::OK, "{number}");
}

#[tokio::test]
async fn a_number_answers_when_it_is_registered_only() {
    let gateway = with_sms().await;
    let data = sms(&gateway, "SM1").await;
    assert_eq!(
        (&data["reply_allowed"], &data["reply_refused_for"]),
        (&json!(false), &json!("not_registered"))
    );
    let conversation = data["conversation"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/conversations/{conversation}");
    assert_eq!(gateway.get(&path).await.1["reply_refused_for"], json!("not_registered"));
    for event in ["submit", "review_begun", "approve"] {
        registration(&gateway, event).await;
    }
    assert_eq!(gateway.get(&path).await.1["reply_allowed"], json!(true));
    assert_eq!(sms(&gateway, "SM2").await["reply_allowed"], json!(true));
    let gateway = gateway.restarted();
    assert_eq!(gateway.get(&path).await.1["reply_allowed"], json!(true), "after a restart too");
    registration(&gateway, "suspend").await;
    assert_eq!(gateway.get(&path).await.1["reply_allowed"], json!(false));
    let told = kinds(&gateway).await;
    assert_eq!(told.iter().filter(|kind| *kind == "registration.changed").count(), 4);
    let wrong = gateway
        .ask("POST", &format!("/api/v1/numbers/{OURS}/registration"), Some(json!({"event": "submit"})))
        .await;
    assert_eq!((wrong.0, &wrong.1["code"]), (StatusCode::CONFLICT, &json!("not_possible")));
}

#[tokio::test]
async fn what_comes_while_sms_is_off_is_kept_and_handed_on_later() {
    let gateway = with_sms().await;
    registration(&gateway, "switch_off").await;
    assert_eq!(sms(&gateway, "SM1").await["held"], json!(true));
    assert!(!kinds(&gateway).await.contains(&"contact.queued".to_owned()));
    tokio::spawn(gateway.state.intake.clone().go_on());
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert!(!kinds(&gateway).await.contains(&"contact.queued".to_owned()), "it is off still");
    registration(&gateway, "switch_on").await;
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    assert!(kinds(&gateway).await.contains(&"contact.queued".to_owned()));
}

#[tokio::test]
async fn numbers_are_taken_up_and_given_back_under_audit() {
    let gateway = Gateway::new();
    let add =
        async |number: &str| gateway.ask("POST", "/api/v1/numbers", Some(json!({"number": number}))).await;
    assert_eq!(add("4155550123").await.0, StatusCode::BAD_REQUEST);
    let (status, number) = add("+14155550123").await;
    assert_eq!(
        (status, &number["state"], &number["sms"]["state"]),
        (StatusCode::CREATED, &json!("owned_idle"), &json!("required"))
    );
    assert_eq!(add("+14155550123").await.1["code"], json!("number_exists"));
    let holding = async |number: &str, event: &str| {
        let path = format!("/api/v1/numbers/{number}/holding");
        gateway.ask("POST", &path, Some(json!({"event": event}))).await
    };
    assert_eq!(holding("+14155550123", "release").await.1["state"], json!("releasing"));
    assert_eq!(holding("+14155550123", "gone").await.1["state"], json!("released"));
    assert_eq!(holding("+14155550123", "buy").await.1["code"], json!("not_possible"), "the cool-down");
    assert_eq!(holding("+14155550100", "release").await.0, StatusCode::OK);
    assert_eq!(holding("+14155550100", "gone").await.0, StatusCode::UNPROCESSABLE_ENTITY, "it is routed");
    assert_eq!(holding("+14155550199", "release").await.0, StatusCode::NOT_FOUND);
    let (_, read) = gateway.get("/api/v1/numbers/+14155550123").await;
    let actions: Vec<_> = read["audit"].as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
    assert_eq!(actions, [json!("number.holding"), json!("number.holding"), json!("number.added")]);
    assert_eq!(kinds(&gateway).await.iter().filter(|kind| *kind == "number.changed").count(), 4);
}

async fn with_mails() -> Gateway {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("secret");
    std::fs::write(&secret, "user:pass").unwrap();
    gateway
        .publish(&json!({"providers": {"mails": {
            "name": "Mails", "kind": "postmark", "url": "https://gw.example.com/webhooks/mails",
            "secrets": [format!("file:{}", secret.display())],
        }}}))
        .await;
    gateway
}

fn basic() -> [(&'static str, String); 2] {
    [
        ("authorization", format!("Basic {}", STANDARD.encode("user:pass"))),
        ("content-type", "application/json".to_owned()),
    ]
}

#[tokio::test]
async fn a_mail_may_be_larger_than_other_messages_and_few_are_read_at_once() {
    let gateway = with_mails().await;
    let mail = |id: &str| {
        json!({
            "MessageID": id, "FromFull": {"Email": "ann@example.com"}, "ToFull": [{"Email": "help@example.com"}],
            "TextBody": "x".repeat(5 << 20),
        })
        .to_string()
    };
    assert_eq!(gateway.post("/webhooks/mails", &basic(), mail("m1")).await, StatusCode::OK);
    assert_eq!(received(&gateway).await[0]["data"]["message"]["cut"], json!(true), "the text is bounded");
    let all = u32::try_from(vestibule::api::LARGE_BODIES_MAX).unwrap();
    let places = gateway.state.large_bodies.clone().acquire_many_owned(all).await.unwrap();
    let refused = gateway.post("/webhooks/mails", &basic(), mail("m2")).await;
    assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE, "it comes again");
    drop(places);
    assert_eq!(gateway.post("/webhooks/mails", &basic(), mail("m2")).await, StatusCode::OK);
    assert_eq!(received(&gateway).await.len(), 2);
    let elsewhere = with_provider().await;
    let refused = elsewhere.post("/webhooks/shop", &[], "x".repeat(5 << 20)).await;
    assert_eq!(refused, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_came_with_a_mail_is_kept_and_fetched_by_its_hash() {
    let gateway = with_mails().await;
    let body = json!({
        "MessageID": "m1", "FromFull": {"Email": "ann@example.com"}, "ToFull": [{"Email": "help@example.com"}],
        "OriginalRecipient": "help@example.com", "Subject": "A file", "TextBody": "Here it is.",
        "Attachments": [
            {"Name": "a.txt", "ContentType": "text/plain", "Content": STANDARD.encode("what it says")},
            {"Name": "b.txt", "ContentType": "text/html", "Content": STANDARD.encode("<script>")},
        ],
    });
    let basic = basic();
    assert_eq!(gateway.post("/webhooks/mails", &basic, body.to_string()).await, StatusCode::OK);
    let files = received(&gateway).await[0]["data"]["message"]["attachments"].clone();
    for (number, what) in [(0, "what it says"), (1, "<script>")] {
        let id = files[number]["file"].as_str().unwrap();
        let (status, headers, bytes) = gateway.fetch(&format!("/api/v1/files/{id}")).await;
        assert_eq!((status, bytes.as_slice()), (StatusCode::OK, what.as_bytes()));
        assert_eq!(headers["content-type"], "application/octet-stream", "a stranger's page is not shown");
        assert_eq!(headers["content-disposition"], "attachment");
    }
    let (status, problem) = gateway.get("/api/v1/files/..%2Fjournal.sqlite").await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{problem}");
    let (status, problem) = gateway.get(&format!("/api/v1/files/{}", "0".repeat(64))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("no_such_file")));
}

#[tokio::test]
async fn a_providers_verdict_on_a_mail_is_told_and_the_mail_is_kept_as_it_came() {
    let gateway = with_mails().await;
    let raw = "From: ann@example.com\r\nTo: help+order7@example.com\r\nSubject: Hello\r\n\r\nHello\r\n";
    let body = json!({
        "MessageID": "m1", "FromFull": {"Email": "ann@example.com"}, "ToFull": [],
        "OriginalRecipient": "help+order7@example.com", "RawEmail": raw,
        "Headers": [{"Name": "X-Spam-Status", "Value": "Yes"}, {"Name": "X-Spam-Score", "Value": "7.2"},
            {"Name": "Received-SPF", "Value": "Pass (sender SPF authorized)"}],
    });
    assert_eq!(gateway.post("/webhooks/mails", &basic(), body.to_string()).await, StatusCode::OK);
    let told = received(&gateway).await[0]["data"].clone();
    assert_eq!((&told["address"], &told["message"]["tag"]), (&json!("help@example.com"), &json!("order7")));
    let message = &told["message"];
    assert_eq!(message["spam"]["marked"], json!(true));
    assert_eq!(message["spam"]["reasons"], json!(["the provider's filter says so (7.2)"]));
    assert_eq!(message["authentication"]["spf"]["result"], json!("pass"));
    assert_eq!(message["authentication"]["dkim"], json!({"result": "none", "domain": null, "reason": null}));
    let id = message["raw"].as_str().unwrap();
    let (status, headers, bytes) = gateway.fetch(&format!("/api/v1/mails/{id}")).await;
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, raw.as_bytes()));
    assert_eq!(headers["content-type"], "message/rfc822");
    assert_eq!(headers["content-disposition"], "attachment");
}

#[tokio::test]
async fn a_mailbox_is_set_up_over_the_api_and_live_only_when_both_are_verified() {
    let gateway = Gateway::new();
    let address = "help@mail.example.net";
    let mailbox = format!("/api/v1/mailboxes/{address}");
    let ask = |method: &'static str, path: String, body: Option<Value>| {
        let gateway = &gateway;
        async move { gateway.ask(method, &path, body).await }
    };
    let new = Some(json!({"address": address}));
    let (status, problem) = ask("POST", "/api/v1/mailboxes".into(), new.clone()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("no_such_mail_record")));
    let domain = Some(json!({"domain": "Mail.Example.NET"}));
    let (status, added) = ask("POST", "/api/v1/mail-domains".into(), domain.clone()).await;
    assert_eq!((status, &added["state"]), (StatusCode::CREATED, &json!("pending")));
    assert_eq!(added["records"][0]["name"], json!("_vestibule.mail.example.net"));
    assert_eq!(added["records"][1]["value"], json!("10 mx.example.com"));
    assert_eq!(ask("POST", "/api/v1/mail-domains".into(), domain).await.0, StatusCode::CONFLICT);
    assert_eq!(ask("POST", "/api/v1/mailboxes".into(), new).await.0, StatusCode::CREATED);
    assert_eq!(
        ask("POST", "/api/v1/mailboxes".into(), Some(json!({"address": "no address"}))).await.0,
        StatusCode::BAD_REQUEST
    );
    let (status, test) = ask("POST", format!("{mailbox}/test"), None).await;
    assert_eq!(status, StatusCode::OK);
    let word = test["word"].as_str().unwrap();
    assert!(word.starts_with("vestibule-test-"), "{word}");
    let verify = |note: &str| Some(json!({"event": "verify", "note": note}));
    assert_eq!(ask("POST", format!("{mailbox}/state"), verify(" ")).await.0, StatusCode::BAD_REQUEST);
    let (status, verified) = ask("POST", format!("{mailbox}/state"), verify("seen")).await;
    assert_eq!((status, &verified["state"]), (StatusCode::OK, &json!("verified")));
    assert_eq!(verified["live"], json!(false), "its domain is not proven, and it leads nowhere");
    let (_, read) = ask("GET", mailbox.clone(), None).await;
    assert_eq!(read["audit"][0]["action"], json!("mailbox.verified_by_hand"));
    assert!(!read.to_string().contains(word), "the word is told once");
    let (_, sample) = ask("GET", "/api/v1/mailboxes/help@example.com".into(), None).await;
    assert_eq!(sample["mailbox"]["live"], json!(true), "the sample's mailbox can be tried at once");
    let (_, list) = ask("GET", "/api/v1/mailboxes?limit=1".into(), None).await;
    assert_eq!((list["mailboxes"].as_array().unwrap().len(), &list["next"]), (1, &json!("help@example.com")));
    let path = "/api/v1/mail-domains/mail.example.net".to_owned();
    assert_eq!(ask("DELETE", path.clone(), None).await.0, StatusCode::CONFLICT);
    assert_eq!(ask("DELETE", mailbox, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask("DELETE", path, None).await.0, StatusCode::NO_CONTENT);
    let (_, events) = ask("GET", "/api/v1/events?after=0&type=mailbox.changed".into(), None).await;
    assert_eq!(events["events"].as_array().unwrap().len(), 2, "the test and the hand: {events}");
}
