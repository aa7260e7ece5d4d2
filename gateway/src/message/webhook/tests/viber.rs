//! The signature is taken by the provider's own library (PyPI `viberbot` 1.0, `Api.verify_signature`).

use super::*;

const SECRET: &str = "bot token";
const BODY: &str = r#"{"event":"message","timestamp":1700000000000,"message_token":4912661846655238145,"sender":{"id":"v-ann","name":"Ann"},"message":{"type":"picture","text":"look","media":"https://media.example.com/p.jpg","file_name":"p.jpg"}}"#;

fn post(body: &str, signature: &str) -> Post {
    let post =
        Post::new("https://gw.example.com/webhooks/vb", body).header("x-viber-content-signature", signature);
    Post { account: Some("shop"), ..post }
}

fn signed() -> Post {
    post(BODY, "0b69d1dbab6139bfa2b60a1a2417b46a09e0ea20b3b2e92336f4735b468756ba")
}

fn told(body: &str) -> Vec<Incoming> {
    post(body, &hex(&signed_with(SECRET, body))).tells(Kind::Viber, &[SECRET])
}

#[test]
fn only_what_the_provider_signed_passes() {
    passes_only_as_it_came(signed, Kind::Viber, (SECRET, "other"), "x-viber-content-signature");
    let (told, content) = message(signed().tells(Kind::Viber, &[SECRET]));
    assert_eq!(
        (told.id.as_str(), told.customer.as_str(), told.address.as_str()),
        ("4912661846655238145", "v-ann", "shop")
    );
    assert_eq!((content.text.as_str(), content.name.as_deref()), ("look", Some("Ann")));
    assert_eq!(content.media[0].link, "https://media.example.com/p.jpg");
}

#[test]
fn every_event_is_read_or_kept() {
    assert_eq!(
        told(r#"{"event":"webhook","timestamp":1,"message_token":1}"#),
        [],
        "an address that is tried"
    );
    let event = |kind: &str| {
        only(told(&format!(
            r#"{{"event":"{kind}","timestamp":1,"message_token":5,"user_id":"v-ann","desc":"why"}}"#
        )))
    };
    let What::Delivery { message, status, error } = event("failed").what else { panic!() };
    assert_eq!((message.as_str(), status.as_str(), error.as_deref()), ("5", "failed", Some("why")));
    assert_ne!(event("delivered").id, event("seen").id);
    assert_eq!(event("unsubscribed").what, What::OptOut { out: true });
    assert!(matches!(event("conversation_started").what, What::Other { .. }));
    assert!(matches!(only(told("[]")).what, What::Other { kind, .. } if kind == "unparsed"));
}
