//! Nothing is signed: the name and the password are what there is.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

fn post(body: &str, credentials: &str) -> Post {
    let basic = format!("Basic {}", STANDARD.encode(credentials));
    Post::new("https://gw.example.com/webhooks/bw", body).header("authorization", &basic)
}

const RECEIVED: &str = r#"[{"time":"2024-09-14T18:20:45.160744Z","type":"message-received","to":"+12345678902","description":"x",
    "message":{"id":"bw-1","owner":"+12345678902","direction":"in","to":["+12345678902","+12345678903"],"from":"+12345678901",
    "text":"Hi","media":["https://messaging.bandwidth.com/api/v2/users/1/media/bw.png"]}}]"#;

#[test]
fn only_who_knows_the_password_passes() {
    assert!(post(RECEIVED, "us:pass").receive(Kind::Bandwidth, &["a:b", "us:pass"]).is_ok());
    for wrong in ["us:pas", "us:pass ", "other:pass", ""] {
        assert!(post(RECEIVED, wrong).receive(Kind::Bandwidth, &["us:pass"]).is_err(), "{wrong}");
    }
    assert_eq!(Post::new("", RECEIVED).receive(Kind::Bandwidth, &["us:pass"]), Err(Refused::Unsigned));
}

#[test]
fn messages_and_reports_are_read_by_whose_number_it_is() {
    let told = |body: &str| post(body, "us:pass").tells(Kind::Bandwidth, &["us:pass"]);
    let (incoming, content) = message(told(RECEIVED));
    assert_eq!((incoming.id.as_str(), incoming.address.as_str()), ("bw-1/+12345678902", "+12345678902"));
    assert_eq!((incoming.customer.as_str(), content.media.len()), ("+12345678901", 1));
    let both = r#"[{"type":"message-failed","to":"+5234567890","errorCode":4432,"message":{"id":"bw-2","owner":"+12345678901"}},
        {"type":"other","message":{}}]"#;
    let [failed, other] = &told(both)[..] else { panic!() };
    assert!(
        matches!(&failed.what, What::Delivery { status, error: Some(code), .. } if status == "failed" && code == "4432")
    );
    assert!(matches!(&other.what, What::Other { kind, .. } if kind == "bandwidth.other"));
    assert!(matches!(only(told("[]")).what, What::Other { kind, .. } if kind == "unparsed"));
}
