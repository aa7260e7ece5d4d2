//! Signatures are made by Python `cryptography` 50.0 and found good by the provider's own library (PyPI `sendgrid`
//! 6.12.5, `EventWebhook.verify_signature`).

use proptest::prelude::*;

use super::*;
use crate::message::{Content, webhook::sendgrid as provider};

const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEwGfcht/fFnmvzrtXcBinFwM9X/t4bcxz5VEqCw+eFcviuTGG3MrwmsSAPLioz11Q8BMs\
                   k28IW/rAIkRUW0Zg9w==";
const OTHER: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEfRo/cRJ07+EZcUCeo+o2slHl31v9lUBrG6yXBeIrpLXbCA0iB/qFJAxjsPnfEok+\
                     qdeP4ngBB6SdxWQPvcDu4Q==";
const SIGNATURE: &str =
    "MEQCIEIyExhL7tJ8ku1/nUSZ0fbEoCU8WADKnMLfbcuCGUnPAiAAxiRq6op6qc+HRnTRyFxA5G5ExloBmbNiY3jW4y26LQ==";
const BODY: &str = "--xYzZY\r\nContent-Disposition: form-data; name=\"email\"\r\n\r\nFrom: A tester <test@example.org>\n\
    Message-ID: <CAEPk3RKEx@mail.example.org>\nSubject: Raw MIME test\nTo: test@inbound.example.com\n\nBody\n\r\n\
    --xYzZY\r\nContent-Disposition: form-data; name=\"envelope\"\r\n\r\n\
    {\"to\":[\"Hidden@inbound.example.com\"],\"from\":\"envelope-from@example.org\"}\r\n--xYzZY--\r\n";
const SECOND: i64 = 1_600_112_502;
const SIGNATURE_NAME: &str = "x-twilio-email-event-webhook-signature";
const STAMP_NAME: &str = "x-twilio-email-event-webhook-timestamp";

fn unsigned(body: &str) -> Post {
    Post::new("https://gw.example.com/webhooks/sg", body)
        .header("content-type", "multipart/form-data; boundary=xYzZY")
        .at(SECOND)
}

fn signed() -> Post {
    unsigned(BODY).header(SIGNATURE_NAME, SIGNATURE).header(STAMP_NAME, "1600112502")
}

/// What is read of a body, the proof left out.
fn read(body: &[u8], media_type: &str) -> Vec<Incoming> {
    let headers = Post::new("", "").header("content-type", media_type).headers;
    let now = Timestamp::from_second(SECOND).unwrap();
    provider::read(&Arrived { method: &Method::POST, url: "", query: "", headers: &headers, body, now })
}

fn content(told: &Incoming) -> &Content {
    match &told.what {
        What::Message(content) => content,
        what => panic!("{what:?}"),
    }
}

#[test]
fn a_signed_mail_is_read_for_the_recipient_of_the_envelope() {
    let told = signed().tells(Kind::Sendgrid, &[OTHER, KEY]);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].customer.as_str(), told[0].address.as_str()),
        ("test@example.org", "hidden@inbound.example.com")
    );
    assert_eq!(
        (content(&told[0]).text.as_str(), content(&told[0]).message_id.as_str()),
        ("Body", "CAEPk3RKEx@mail.example.org")
    );
}

#[test]
fn what_is_not_signed_as_it_came_is_refused() {
    let refused = |post: Post, key: &str| post.receive(Kind::Sendgrid, &[key]).unwrap_err();
    assert_eq!(refused(signed(), OTHER), Refused::WrongSignature);
    assert_eq!(refused(signed(), "AAAA"), Refused::WrongSignature);
    let mut altered = signed();
    altered.body.push(b' ');
    assert_eq!(refused(altered, KEY), Refused::WrongSignature);
    let restamped = unsigned(BODY).header(SIGNATURE_NAME, SIGNATURE).header(STAMP_NAME, "1600112503");
    assert_eq!(refused(restamped, KEY), Refused::WrongSignature);
    assert_eq!(refused(unsigned(BODY), KEY), Refused::Unsigned);
    assert_eq!(refused(unsigned(BODY).header(SIGNATURE_NAME, SIGNATURE), KEY), Refused::Unsigned);
    assert_eq!(refused(signed().header(SIGNATURE_NAME, SIGNATURE), KEY), Refused::Repeated);
    assert_eq!(refused(signed().header(STAMP_NAME, "1600112502"), KEY), Refused::Repeated);
    assert_eq!(refused(signed().at(SECOND + 4 * 86_400 + 1), KEY), Refused::Stale);
    assert!(signed().at(SECOND + 4 * 86_400).receive(Kind::Sendgrid, &[KEY]).is_ok());
}

#[test]
fn a_mail_that_was_taken_apart_is_read_in_its_character_sets() {
    let head = "From: D <from@example.org>\nMessage-ID: <a@b>\nSubject: S\nTo: t@example.com";
    let fields: [(&str, &[u8]); 5] = [
        ("name=\"headers\"", head.as_bytes()),
        ("name=\"text\"", b"caf\xe9"),
        ("name=\"charsets\"", br#"{"text":"iso-8859-1"}"#),
        (
            "name=\"attachment-info\"",
            br#"{"attachment1":{"filename":"b.png","type":"image/png","content-id":"c@d"}}"#,
        ),
        ("name=\"attachment1\"; filename=\"x\"", b"\x89PNG\r\n"),
    ];
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(format!("--b\r\nContent-Disposition: form-data; {name}\r\n\r\n").as_bytes());
        body.extend_from_slice(value);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--");
    let told = read(&body, "multipart/form-data; boundary=b");
    let said = content(&told[0]);
    assert_eq!((told[0].address.as_str(), said.text.as_str()), ("t@example.com", "caf\u{e9}"));
    let file = &said.attachments[0];
    assert_eq!((file.name.as_deref(), file.media_type.as_str(), file.bytes), (Some("b.png"), "image/png", 6));
}

#[test]
fn a_mail_to_several_is_a_message_to_each() {
    let body = BODY.replace("[\"Hidden", "[\"two@inbound.example.com\",\"Hidden");
    let told = read(body.as_bytes(), "multipart/form-data; boundary=xYzZY");
    assert_eq!(told.len(), 2);
    assert_ne!(told[0].id, told[1].id);
}

#[test]
fn what_cannot_be_read_is_kept() {
    for (body, media_type) in [
        ("{}", "application/json"),
        ("--b--", "multipart/form-data; boundary=b"),
        ("a=b", "multipart/form-data"),
    ] {
        let told = read(body.as_bytes(), media_type);
        assert!(matches!(&told[0].what, What::Other { kind, .. } if kind == "unparsed"), "{body}");
    }
}

proptest! {
    #[test]
    fn no_form_makes_it_fail(pieces in prop::collection::vec(prop::sample::select(vec![
        "--b", "--b--", "\r\n", "\r\n\r\n", "Content-Disposition: form-data; name=\"", "headers\"", "text\"", "email\"",
        "envelope\"", "attachment1\"; filename=\"", "charsets\"", "{\"to\":[\"", "\"]}", "{\"text\":\"utf-16\"}", "\u{20ac}",
        "Subject: x", "=?utf-8?q?", "--", ";",
    ]), 0..40)) {
        let body = pieces.concat();
        prop_assert!(!read(body.as_bytes(), "multipart/form-data; boundary=b").is_empty());
        let named = body.replace(['\r', '\n', '\u{20ac}'], "");
        prop_assert!(!read(body.as_bytes(), &named).is_empty());
    }
}

#[test]
fn a_million_fields_are_read_soon_and_not_all() {
    let start = std::time::Instant::now();
    let body = "--b\r\n\r\n".repeat(1_000_000);
    assert_eq!(read(body.as_bytes(), "multipart/form-data; boundary=b").len(), 1);
    assert!(start.elapsed().as_secs() < 8);
}
