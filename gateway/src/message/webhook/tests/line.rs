//! The signature is taken by the provider's own library (PyPI `line-bot-sdk` 3.27, `SignatureValidator`).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;
use crate::message::Change;

const SECRET: &str = "channel secret";
const BODY: &str = r#"{"destination":"U-shop","events":[{"type":"message","webhookEventId":"01LINE","timestamp":1700000000000,"source":{"type":"user","userId":"U-ann"},"deliveryContext":{"isRedelivery":false},"message":{"id":"325708","type":"text","text":"Hello \u4e16"}}]}"#;

fn signed() -> Post {
    Post::new("https://gw.example.com/webhooks/ln", BODY)
        .header("x-line-signature", "ar4zwjElTbMriEBjiqu6iEM/5aPoC6t5vLw6AmU41sU=")
}

fn told(events: &str) -> Vec<Incoming> {
    let body = format!("{{\"destination\":\"U-shop\",\"events\":{events}}}");
    let signature = STANDARD.encode(signed_with(SECRET, &body));
    Post::new("", body).header("x-line-signature", &signature).tells(Kind::Line, &[SECRET])
}

#[test]
fn only_what_the_provider_signed_passes() {
    passes_only_as_it_came(signed, Kind::Line, (SECRET, "other"), "x-line-signature");
    let (told, content) = message(signed().tells(Kind::Line, &[SECRET]));
    assert_eq!(
        (told.id.as_str(), told.customer.as_str(), told.address.as_str()),
        ("01LINE", "U-ann", "U-shop")
    );
    assert_eq!((content.message_id.as_str(), content.text.as_str()), ("325708", "Hello 世"));
}

#[test]
fn the_consoles_question_tells_nothing() {
    assert_eq!(told("[]"), []);
}

#[test]
fn every_event_is_read_or_kept() {
    let event = |kind: &str, more: &str| {
        let source = r#""source":{"type":"group","groupId":"G1","userId":"U-ann"}"#;
        only(told(&format!(
            r#"[{{"type":"{kind}","webhookEventId":"e1","timestamp":1700000000000,{source}{more}}}]"#
        )))
    };
    let file = event("message", r#","message":{"id":"7","type":"file","fileName":"a.pdf"}"#);
    assert_eq!(file.customer, "G1", "a group is a thread of its own");
    let What::Message(content) = file.what else { panic!() };
    assert_eq!((content.media[0].link.as_str(), content.media[0].file_name.as_deref()), ("7", Some("a.pdf")));
    let place =
        r#","message":{"id":"8","type":"location","latitude":35.6,"longitude":139.7,"address":"Tokyo"}"#;
    assert!(
        matches!(event("message", place).what, What::Message(content) if content.text == "geo:35.6,139.7 Tokyo")
    );
    let unsent = event("unsend", r#","unsend":{"messageId":"7"}"#).what;
    assert_eq!(unsent, What::Changed { message: "7".into(), change: Change::Deleted });
    let edited = event("messageEdited", r#","message":{"id":"7","type":"text","text":"new"}"#).what;
    assert_eq!(edited, What::Changed { message: "7".into(), change: Change::Edited { text: "new".into() } });
    let pressed = event("postback", r#","postback":{"data":"a=b"}"#).what;
    assert!(matches!(pressed, What::Message(content) if content.payload.as_deref() == Some("a=b")));
    assert_eq!(event("unfollow", "").what, What::OptOut { out: true });
    assert_eq!(event("follow", "").what, What::OptOut { out: false });
    assert!(
        matches!(event("memberJoined", "").what, What::Other { kind, .. } if kind == "line.memberJoined")
    );
}
