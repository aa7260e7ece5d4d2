//! The token was made with PyPI `PyJWT` 2.10 and is taken by the provider's own library (PyPI `vonage-jwt` 1.1,
//! `verify_signature`), which looks at neither the body nor the time: we do.

use super::*;
use crate::message::Change;

const SECRET: &str = "signature secret of at least 32 bytes";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDAsImp0aSI6ImoiLCJpc3MiOiJWb25hZ2UiLCJwYXlsb2FkX2hhc2giOiIxODlmYzhmMGM0MTY5NzViMzBiNDBiMjMwMWMxZmMzNDk0YjhmMGM3MDcxZmZmMDdlZDY3NTcwNjU1YzJhY2NhIiwiYXBpX2tleSI6ImsifQ.Xw32MOHicG_5AXP3kEIPbJVoR8DqNDm4PMhqx_t9XJ4";
const BODY: &str = r#"{"channel":"mms","from":"14155550177","to":"14155550100","message_uuid":"vo-1","message_type":"image","timestamp":"2026-01-23T18:10:02Z","image":{"url":"https://media.example.com/v.jpg","caption":"cat"}}"#;
const SECOND: i64 = 1_700_000_000;

fn signed() -> Post {
    Post::new("https://gw.example.com/webhooks/vo", BODY)
        .header("authorization", &format!("Bearer {TOKEN}"))
        .at(SECOND)
}

#[test]
fn only_what_the_provider_signed_lately_passes() {
    passes_only_as_it_came(signed, Kind::Vonage, (SECRET, "other"), "authorization");
    assert_eq!(signed().at(SECOND + 301).receive(Kind::Vonage, &[SECRET]), Err(Refused::Stale));
    let (told, content) = message(signed().tells(Kind::Vonage, &[SECRET]));
    assert_eq!((told.id.as_str(), told.channel), ("vo-1", Channel::Sms));
    assert_eq!((told.customer.as_str(), told.address.as_str()), ("+14155550177", "+14155550100"));
    assert_eq!(
        (content.text.as_str(), content.media[0].link.as_str()),
        ("cat", "https://media.example.com/v.jpg")
    );
}

fn read(body: &str) -> Incoming {
    only(read_into(Kind::Vonage, body, None))
}

#[test]
fn both_versions_and_all_channels_are_read() {
    let old = r#"{"message_uuid":"m","to":{"type":"whatsapp","number":"447700900000"},"from":{"type":"whatsapp","number":"447700900001"},
        "message":{"content":{"type":"location","location":{"longitude":"-122.4","latitude":"37.7","name":"HQ"}}}}"#;
    let told = read(old);
    assert_eq!((told.channel, told.customer.as_str()), (Channel::Whatsapp, "+447700900001"));
    assert!(matches!(told.what, What::Message(content) if content.text == "geo:37.7,-122.4 HQ"));
    let page = r#"{"message_uuid":"m","to":{"type":"messenger","id":"999"},"from":{"type":"messenger","id":"0123456789012"},
        "message":{"content":{"type":"text","text":"hi"}}}"#;
    assert_eq!(read(page).customer, "0123456789012", "ids of people are no numbers");
    let flat = |more: &str| {
        read(&format!(
            r#"{{"channel":"whatsapp","from":"447700900001","to":"447700900000","message_uuid":"m"{more}}}"#
        ))
    };
    let pressed =
        flat(r#","message_type":"reply","reply":{"id":"a","title":"A"},"context":{"message_uuid":"ours"}"#);
    let What::Message(content) = pressed.what else { panic!() };
    assert_eq!((content.payload.as_deref(), content.reply_to.as_deref()), (Some("a"), Some("ours")));
    let reacted = flat(
        r#","message_type":"reaction","reaction":{"action":"react","emoji":"😀"},"context":{"message_uuid":"ours"}"#,
    );
    assert_eq!(
        reacted.what,
        What::Changed { message: "ours".into(), change: Change::Reaction { emoji: Some("😀".into()) } }
    );
    let report = flat(r#","status":"rejected","error":{"title":"1022"}"#);
    assert_eq!(
        (report.customer.as_str(), report.id.as_str()),
        ("+447700900000", "m/rejected"),
        "the receiver is the customer"
    );
    assert!(matches!(flat(r#","message_type":"unsupported""#).what, What::Other { .. }));
    assert!(matches!(read("{}").what, What::Other { .. }));
}
