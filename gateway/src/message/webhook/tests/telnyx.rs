//! The signature was made with PyNaCl 1.6 as the provider documents it, and taken by its own library (PyPI `telnyx` 2.1,
//! `Webhook.construct_event`).

use super::*;

const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const OTHER: &str = "ebVWLo/mVPlAeLES6KmLp5AfhTrmlb7X4OORC60ElmQ=";
const BODY: &str = r#"{"data":{"event_type":"message.received","id":"ev-1","occurred_at":"2026-01-23T18:10:02.574Z","payload":{"id":"tx-1","type":"MMS","from":{"phone_number":"+14155550177"},"to":[{"phone_number":"+14155550100","status":"delivered"}],"text":"Gr\u00fc\u00dfe","media":[{"url":"https://media.example.com/1.png","content_type":"image/png"}]}}}"#;
const SECOND: i64 = 1_700_000_000;

fn signed() -> Post {
    Post::new("https://gw.example.com/webhooks/tx", BODY)
        .header(
            "telnyx-signature-ed25519",
            "nxVlQs3ietYgYEEpW9iypLFLJiFXOdguqKco0e2hFPyUW8eH5bnMTIoG6yJo+YJ96E8cWB83NbTG7bdX/sqJCg==",
        )
        .header("telnyx-timestamp", "1700000000")
        .at(SECOND)
}

#[test]
fn only_what_the_provider_signed_lately_passes() {
    passes_only_as_it_came(signed, Kind::Telnyx, (KEY, OTHER), "telnyx-signature-ed25519");
    for second in [SECOND + 301, SECOND - 301] {
        assert_eq!(signed().at(second).receive(Kind::Telnyx, &[KEY]), Err(Refused::Stale));
    }
    assert!(signed().at(SECOND + 299).receive(Kind::Telnyx, &[KEY]).is_ok());
}

#[test]
fn a_message_passes_unchanged() {
    let (told, content) = message(signed().tells(Kind::Telnyx, &[KEY]));
    assert_eq!((told.id.as_str(), told.channel), ("tx-1", Channel::Sms));
    assert_eq!((told.customer.as_str(), told.address.as_str()), ("+14155550177", "+14155550100"));
    assert_eq!(
        (content.text.as_str(), content.media[0].link.as_str()),
        ("Grüße", "https://media.example.com/1.png")
    );
}

fn read(body: &str) -> Vec<Incoming> {
    read_into(Kind::Telnyx, body, None)
}

#[test]
fn reports_go_to_each_receiver_and_the_rest_is_kept() {
    let report = r#"{"data":{"event_type":"message.finalized","id":"ev-2","payload":{"id":"tx-2","from":{"phone_number":"+14155550100"},
        "to":[{"phone_number":"+14155550177","status":"delivered"},{"phone_number":"+14155550178","status":"delivery_failed"}],
        "errors":[{"code":"40300"}]}}}"#;
    let told = read(report);
    assert_eq!(told.len(), 2);
    assert_eq!(told[1].customer, "+14155550178");
    let What::Delivery { message, status, error } = &told[1].what else { panic!("{told:?}") };
    assert_eq!(
        (message.as_str(), status.as_str(), error.as_deref()),
        ("tx-2", "delivery_failed", Some("40300"))
    );
    let kept = only(read(r#"{"data":{"event_type":"call.initiated","id":"ev-3","payload":{}}}"#));
    assert_eq!(kept.id, "ev-3");
    assert!(matches!(kept.what, What::Other { kind, .. } if kind == "telnyx.call.initiated"));
    assert!(matches!(only(read("<no json>")).what, What::Other { kind, .. } if kind == "unparsed"));
}
