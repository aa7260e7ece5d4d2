//! Erasing a customer: nothing of them is left in any file, what is others' stays, cursors stay valid, and a restart in the
//! middle changes nothing of that.

use std::{path::Path, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use vestibule::{
    erasure,
    journal::{
        ContactEnd, ContactStart, Entry, Erase, EraseStep, Event, EventKind, MessageJob, OutboxRow,
        OutboxUpdate,
    },
    places::Places,
};
use vestibule_routing::{
    channel::Channel,
    outcome::{Outcome, Reason, Side},
};

use crate::support::{
    gateway::Gateway,
    pages::{key, open, submit},
};

const TOKEN: &str = "a secret of thirty-two bytes long";
const ORIGIN: &str = "https://www.example.com";
const PHONE: &str = "+14155550177";
const MAIL: &str = "ann.smith@customers.example";
const ACCOUNT: &str = "ann:4711";
/// Stands in everything that the customer writes.
const WORDS: &str = "parrot-and-lighthouse";
/// A file that two customers send.
const SHARED: &str = "a picture that goes round";
const PAGE: &str = "/console/settings/customers";

async fn with_everything() -> Gateway {
    let gateway = Gateway::new();
    let file = |name: &str, text: &str| {
        let path = gateway.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("file:{}", path.display())
    };
    let provider = |name: &str, kind: &str, secret: &str| json!({"name": name, "kind": kind, "url": format!("https://gw.example.com/webhooks/{name}"), "secrets": [secret]});
    let providers = json!({
        "shop": provider("shop", "generic", &file("secret", TOKEN)),
        "s": provider("s", "twilio", &file("token", "12345")),
        "mails": provider("mails", "postmark", &file("password", "user:pass")),
    });
    let apps = json!({"shop": {"name": "Shop", "origins": [ORIGIN]}});
    gateway.publish(&json!({"providers": providers, "chat_apps": apps})).await;
    gateway
}

async fn account_writes(gateway: &Gateway, id: &str, from: &str, text: &str) {
    let body = json!({"from": from, "to": "shop-1", "text": text, "name": format!("{text} name")});
    let stamp = Timestamp::now().as_second().to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, TOKEN.as_bytes());
    let signature = ring::hmac::sign(&key, format!("{id}.{stamp}.{body}").as_bytes());
    let headers = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", stamp),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(signature))),
    ];
    assert_eq!(gateway.post("/webhooks/shop", &headers, body.to_string()).await, StatusCode::OK);
}

async fn text_comes(gateway: &Gateway, id: &str, text: &str) {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345");
    let signed =
        format!("https://gw.example.com/webhooks/sBody{text}From{PHONE}MessageSid{id}To+14155550100");
    let signature = STANDARD.encode(ring::hmac::sign(&key, signed.as_bytes()));
    let body = format!("Body={text}&From=%2B14155550177&MessageSid={id}&To=%2B14155550100");
    let status = gateway.post("/webhooks/s", &[("x-twilio-signature", signature)], body).await;
    assert_eq!(status, StatusCode::OK);
}

async fn mail_comes(gateway: &Gateway, id: &str, from: &str, attached: &[&str]) {
    let files: String = attached
        .iter()
        .map(|text| {
            let text = STANDARD.encode(text);
            format!("--b\r\nContent-Type: text/plain; name=a.txt\r\nContent-Disposition: attachment; filename=a.txt\r\n\
                     Content-Transfer-Encoding: base64\r\n\r\n{text}\r\n")
        })
        .collect();
    let raw = format!(
        "From: Ann <{from}>\r\nTo: help@example.com\r\nSubject: {WORDS} {id}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nabout {id}\r\n{files}--b--\r\n"
    );
    let body = json!({
        "MessageID": id, "FromFull": {"Email": from}, "ToFull": [], "OriginalRecipient": "help@example.com", "RawEmail": raw,
    });
    let basic = [
        ("authorization", format!("Basic {}", STANDARD.encode("user:pass"))),
        ("content-type", "application/json".to_owned()),
    ];
    assert_eq!(gateway.post("/webhooks/mails", &basic, body.to_string()).await, StatusCode::OK);
}

async fn chat_asks(gateway: &Gateway, path: &str, token: &str, body: &Value) -> Value {
    let request = Request::post(format!("/chat/shop/{path}"))
        .header("origin", ORIGIN)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    let (status, answer) = gateway.send(request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

/// A chat of both sides with a file, and one that is uploaded and never named; the visitor.
async fn chats(gateway: &Gateway) -> String {
    let session = chat_asks(gateway, "session", "", &json!({})).await;
    let token = session["token"].as_str().unwrap();
    for name in ["named", "left"] {
        let request = Request::post(format!("/chat/shop/files?name={WORDS}-{name}.txt"))
            .header("origin", ORIGIN)
            .header("content-type", "text/plain")
            .header("authorization", format!("Bearer {token}"));
        let (status, upload) =
            gateway.send(request.body(Body::from(format!("{WORDS} {name}"))).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{upload}");
        if name == "named" {
            let said = json!({"id": "m1", "text": WORDS, "files": [upload["upload"]]});
            chat_asks(gateway, "messages", token, &said).await;
        }
    }
    let (_, list) = gateway.get("/api/v1/conversations?open=true").await;
    let chat = list["conversations"].as_array().unwrap().iter().find(|one| one["channel"] == "chat").unwrap();
    let answer = json!({"text": format!("Dear {WORDS}"), "message_id": "a1", "by": "Bob"});
    let path = format!("/api/v1/conversations/{}/messages", chat["id"].as_str().unwrap());
    let request = Request::post(path)
        .header("authorization", format!("Bearer {}", gateway.key))
        .header("content-type", "application/json")
        .header("idempotency-key", "once");
    let (status, said) = gateway.send(request.body(Body::from(answer.to_string())).unwrap()).await;
    assert!(status.is_success(), "{said}");
    chat["customer"].as_str().unwrap().to_owned()
}

/// A call with a trace, digits, a recording and a voicemail.
async fn calls(gateway: &Gateway, id: &str, from: &str) {
    let start = ContactStart {
        channel: Channel::Voice,
        from: from.into(),
        to: "+14155550100".into(),
        arrived: Timestamp::now(),
        entry_point: None,
        revision: Some(1),
        trunk: None,
        call_id: Some(format!("{WORDS}@{id}")),
        callback: None,
        diverted_from: Some(from.into()),
    };
    gateway.state.journal.append(Entry::started(id.into(), start)).await.unwrap();
    let mut entry = Entry::new(id.into());
    let digits = json!({"ivr": "main", "node": "menu", "by": "1", "digits": WORDS});
    entry.events.push(Event::new(EventKind::ContactNodeEntered, Timestamp::now(), &digits));
    gateway.state.journal.append(entry).await.unwrap();
    for name in ["1.wav", "voicemail-1.wav"] {
        let path = gateway.folder.path().join(format!("recordings/{id}-{name}"));
        std::fs::write(path, format!("RIFF {WORDS}")).unwrap();
    }
}

async fn hangs_up(gateway: &Gateway, id: &str) {
    let mut end = ContactEnd::new(Timestamp::now(), Outcome::new(Side::Caller, Reason::Completed));
    end.trace = Some(format!(r#"[{{"step":"{WORDS}"}}]"#));
    gateway.state.journal.append(Entry::ended(id.into(), end)).await.unwrap();
}

fn goes_on(gateway: &Gateway) -> tokio::task::JoinHandle<()> {
    tokio::spawn(erasure::go_on(gateway.state.clone(), Places::new(60)))
}

async fn asks(gateway: &Gateway, address: &str) -> String {
    let (status, asked) =
        gateway.ask("POST", "/api/v1/customers/erasures", Some(json!({"address": address}))).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{asked}");
    asked["id"].as_str().unwrap().to_owned()
}

async fn read(gateway: &Gateway, id: &str) -> Value {
    gateway.get(&format!("/api/v1/customers/erasures/{id}")).await.1
}

async fn done(gateway: &Gateway, id: &str) -> Value {
    for _ in 0..300 {
        let erasure = read(gateway, id).await;
        if erasure["state"] == "done" {
            assert!(erasure["done"].is_string());
            assert_eq!(erasure.get("address"), None);
            return erasure;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it does not end: {}", read(gateway, id).await);
}

/// Files of a folder in which something stands, whatever kind they are of.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn nothing_of_a_customer_is_left_in_any_file_and_what_is_others_stays() {
    let gateway = with_everything().await;
    account_writes(&gateway, "m1", ACCOUNT, WORDS).await;
    account_writes(&gateway, "m2", "bob:1", "of somebody else").await;
    text_comes(&gateway, "SM1", WORDS).await;
    mail_comes(&gateway, "first", MAIL, &[SHARED, &format!("a file, {WORDS}")]).await;
    mail_comes(&gateway, "second", "bob@customers.example", &[SHARED]).await;
    let visitor = chats(&gateway).await;
    calls(&gateway, "ct_ann", PHONE).await;
    hangs_up(&gateway, "ct_ann").await;
    calls(&gateway, "ct_bob", "+14155550188").await;
    hangs_up(&gateway, "ct_bob").await;
    assert_eq!(gateway.get(&format!("/api/v1/customers/export?address={MAIL}")).await.0, 200);
    let (_, before) = gateway.get("/api/v1/events?after=0&limit=1000").await;
    assert!(!files_with(gateway.folder.path(), WORDS).is_empty());
    goes_on(&gateway);
    let mut erased = Vec::new();
    for address in [PHONE, MAIL, ACCOUNT, &visitor] {
        erased.push(done(&gateway, &asks(&gateway, address).await).await);
    }
    // Bob's mail says the words too, in its subject.
    let others = ["bob@customers.example", "of somebody else", "+14155550188"];
    for kept in others {
        assert!(!files_with(gateway.folder.path(), kept).is_empty(), "{kept} is another customer's");
    }
    for address in [PHONE, MAIL, ACCOUNT, visitor.as_str(), "about first", "a file, parrot", "Dear parrot"] {
        assert_eq!(files_with(gateway.folder.path(), address), [""; 0], "{address} is left");
    }
    let (_, after) = gateway.get("/api/v1/events?after=0&limit=1000").await;
    let (before, after) = (before["events"].as_array().unwrap(), after["events"].as_array().unwrap());
    for (was, is) in before.iter().zip(after) {
        assert_eq!((&was["sequence"], &was["id"], &was["time"]), (&is["sequence"], &is["id"], &is["time"]));
        if is["type"] == "event.erased" {
            assert_eq!(is["data"], json!({"was": was["type"]}));
        }
    }
    let told: Vec<&Value> = after.iter().filter(|event| event["type"] == "customer.erased").collect();
    assert_eq!(told.len(), 4, "one for each");
    assert_eq!(told[0]["data"]["contacts"].as_array().unwrap().len(), 2, "a text and a call");
    assert!(after.iter().any(|event| event["data"]["message"]["text"] == "of somebody else"));
    assert_eq!((&erased[0]["contacts"], &erased[3]["lines"]), (&json!(2), &json!(2)), "{erased:?}");
    let (_, contact) = gateway.get("/api/v1/contacts/ct_ann").await;
    assert!(contact.to_string().contains("erased") && contact.to_string().contains("completed"), "{contact}");
    let recordings = gateway.folder.path().join("recordings");
    assert!(recordings.join("ct_bob-1.wav").exists() && !recordings.join("ct_ann-1.wav").exists());
    let (_, log) = gateway.get("/api/v1/audit?limit=100").await;
    for action in ["customer.erasure_asked", "customer.erased", "customer.exported"] {
        assert!(log.to_string().contains(action), "{action} is missing in {log}");
    }
}

#[tokio::test]
async fn rows_that_grew_and_moved_leave_nothing_behind_either() {
    let gateway = with_everything().await;
    for index in 0..400 {
        let (id, from) = (format!("ct_{index:04}"), if index % 3 == 0 { PHONE } else { "+14155550188" });
        calls(&gateway, &id, from).await;
        hangs_up(&gateway, &id).await;
    }
    goes_on(&gateway);
    let erased = done(&gateway, &asks(&gateway, PHONE).await).await;
    assert_eq!(erased["contacts"], 134);
    assert_eq!(files_with(gateway.folder.path(), PHONE), [""; 0]);
}

#[tokio::test]
async fn a_call_is_waited_for_and_a_restart_in_the_middle_changes_nothing() {
    let gateway = with_everything().await;
    calls(&gateway, "ct_ann", PHONE).await;
    text_comes(&gateway, "SM1", WORDS).await;
    let working = goes_on(&gateway);
    let id = asks(&gateway, PHONE).await;
    assert_eq!(asks(&gateway, PHONE).await, id, "it is the same one while it goes on");
    for _ in 0..100 {
        if read(&gateway, &id).await["waits_for"] == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let waits = read(&gateway, &id).await;
    assert_eq!((&waits["state"], &waits["waits_for"]), (&json!("settling"), &json!(1)), "{waits}");
    assert_eq!(gateway.get("/api/v1/conversations?open=true").await.1["conversations"], json!([]));
    working.abort();
    assert!(working.await.unwrap_err().is_cancelled());
    // The restart ends the call, as one whose phone is gone.
    let gateway = gateway.restarted();
    assert_eq!(read(&gateway, &id).await["state"], "settling");
    goes_on(&gateway);
    done(&gateway, &id).await;
    assert_eq!(files_with(gateway.folder.path(), PHONE), [""; 0]);
    let (_, told) = gateway.get("/api/v1/events?after=0&limit=1000&type=customer.erased").await;
    assert_eq!(told["events"].as_array().unwrap().len(), 1, "{told}");
    // Once more finds nothing, and tells nobody.
    let again = done(&gateway, &asks(&gateway, PHONE).await).await;
    assert_eq!((&again["contacts"], &again["events"]), (&json!(0), &json!(0)), "{again}");
}

#[tokio::test]
async fn an_opt_out_holds_for_one_who_was_erased() {
    let gateway = with_everything().await;
    text_comes(&gateway, "SM1", "STOP").await;
    goes_on(&gateway);
    done(&gateway, &asks(&gateway, PHONE).await).await;
    assert_eq!(files_with(gateway.folder.path(), PHONE), [""; 0]);
    let wishes = gateway.state.journal.reader().opt_outs(PHONE.into()).await.unwrap();
    assert!(wishes.len() == 1 && wishes[0].out, "{wishes:?}");
    text_comes(&gateway, "SM2", "hello").await;
    let (_, page) = gateway.get("/api/v1/events?after=0&limit=1000&type=message.received").await;
    let received = page["events"].as_array().unwrap().last().unwrap();
    assert_eq!(received["data"]["reply_refused_for"], "opted_out", "{received}");
    text_comes(&gateway, "SM3", "START").await;
    let wishes = gateway.state.journal.reader().opt_outs(PHONE.into()).await.unwrap();
    assert!(wishes.len() == 1 && !wishes[0].out, "{wishes:?}");
}

#[tokio::test]
async fn what_consumers_were_still_owed_is_owed_no_more_and_cursors_stay() {
    let gateway = with_everything().await;
    account_writes(&gateway, "m1", ACCOUNT, WORDS).await;
    account_writes(&gateway, "m2", "bob:1", "of somebody else").await;
    let (_, page) = gateway.get("/api/v1/events?after=0&limit=1000").await;
    let rows = page["events"].as_array().unwrap().iter().map(|event| OutboxRow {
        seq: event["sequence"].as_str().unwrap().parse().unwrap(),
        subject: event["subject"].as_str().unwrap_or_default().to_owned(),
        conversation: String::new(),
        attempts: 1,
        due: Timestamp::now(),
        error: "refused".into(),
        dead: true,
    });
    let (put, last) = (rows.collect::<Vec<_>>(), page["last"].as_u64());
    let all = put.len();
    let update =
        OutboxUpdate { consumer: "webhook:desk".into(), cursor: last, put, ..OutboxUpdate::default() };
    gateway.state.journal.outbox(update).await.unwrap();
    goes_on(&gateway);
    let erased = done(&gateway, &asks(&gateway, ACCOUNT).await).await;
    let left = gateway.state.journal.reader().outbox("webhook:desk".into()).await.unwrap();
    let gone = all - left.len();
    assert!(gone >= 3 && !left.is_empty(), "{left:?}");
    assert!(erased["events"].as_u64().unwrap() >= gone as u64, "{erased}");
    assert_eq!(gateway.state.journal.reader().cursor("webhook:desk".into()).await.unwrap(), last);
}

#[tokio::test]
async fn only_who_looks_after_privacy_erases_and_never_an_address_of_ours() {
    let gateway = with_everything().await;
    for (address, code) in
        [("+14155550100", "own_address"), ("ab", "bad_request"), ("a\nb\nc", "bad_request")]
    {
        let (_, refused) =
            gateway.ask("POST", "/api/v1/customers/erasures", Some(json!({"address": address}))).await;
        assert_eq!(refused["code"], code, "{address:?}: {refused}");
    }
    let analyst = key(&gateway, "analyst").await;
    assert_eq!(open(&gateway, &analyst, &format!("{PAGE}/erase?address={PHONE}")).await.status, 403);
    let compliance = key(&gateway, "compliance").await;
    let sure = open(&gateway, &compliance, &format!("{PAGE}/erase?address=%2B14155550177")).await;
    assert!(sure.shows("What goes") && sure.shows("What stays") && sure.shows(PHONE), "{}", sure.text);
    let typed = |text| [("address", PHONE), ("confirm", text)];
    let wrong = submit(&gateway, &compliance, &format!("{PAGE}/erase"), &typed("+14155550178")).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    let asked = submit(&gateway, &compliance, &format!("{PAGE}/erase"), &typed(PHONE)).await;
    assert_eq!(asked.status, 303, "{}", asked.text);
    let page = open(&gateway, &compliance, PAGE).await;
    assert!(page.shows("Erasures") && page.shows(PHONE), "{}", page.text);
}

#[tokio::test]
async fn a_step_that_comes_twice_or_too_late_changes_nothing() {
    let gateway = with_everything().await;
    calls(&gateway, "ct_ann", PHONE).await;
    hangs_up(&gateway, "ct_ann").await;
    goes_on(&gateway);
    let id = asks(&gateway, PHONE).await;
    done(&gateway, &id).await;
    for what in
        [Erase::Records { wishes: Vec::new() }, Erase::Settled { waits_for: 3 }, Erase::Forget { files: 9 }]
    {
        let step = EraseStep { id: id.clone(), what };
        let written = gateway.state.journal.messages(MessageJob::Erase(step)).await.unwrap();
        assert_eq!(written.changed, 0);
    }
    let erasure = read(&gateway, &id).await;
    assert_eq!((&erasure["state"], &erasure["files"]), (&json!("done"), &json!(2)), "{erasure}");
}
