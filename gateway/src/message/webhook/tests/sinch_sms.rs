//! Nothing is signed: the name and the password are what there is.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::*;

fn post(body: &str, credentials: &str) -> Post {
    let basic = format!("Basic {}", STANDARD.encode(credentials));
    Post::new("https://gw.example.com/webhooks/ss", body).header("authorization", &basic)
}

const TEXT: &str = r#"{"id":"s1","from":"46701234567","to":"+46709876543","body":"Hi","type":"mo_text","received_at":"2024-06-06T09:22:14.304Z"}"#;

#[test]
fn only_who_knows_the_password_passes() {
    assert!(post(TEXT, "us:pass").receive(Kind::SinchSms, &["us:pass"]).is_ok());
    assert!(post(TEXT, "us:no").receive(Kind::SinchSms, &["us:pass"]).is_err());
    assert_eq!(Post::new("", TEXT).receive(Kind::SinchSms, &["us:pass"]), Err(Refused::Unsigned));
}

#[test]
fn texts_media_and_reports_are_read() {
    let told = |body: &str| read_into(Kind::SinchSms, body, None);
    let (incoming, content) = message(told(TEXT));
    assert_eq!((incoming.customer.as_str(), incoming.address.as_str()), ("+46701234567", "+46709876543"));
    assert_eq!((incoming.id.as_str(), content.text.as_str()), ("s1", "Hi"));
    let picture = r#"{"id":"s2","from":"+46701234567","to":"+46709876543","type":"mo_media",
        "body":{"subject":"S","message":"M","media":[{"url":"https://media.example.com/a","content_type":"image/png"}]}}"#;
    let (_, content) = message(told(picture));
    assert_eq!((content.text.as_str(), content.media[0].link.as_str()), ("M", "https://media.example.com/a"));
    let report = r#"{"type":"recipient_delivery_report_sms","batch_id":"b","recipient":"46701234567","code":401,"status":"Dispatched"}"#;
    assert!(matches!(only(told(report)).what, What::Delivery { error: Some(code), .. } if code == "401"));
    for kept in [r#"{"type":"delivery_report_sms"}"#, "{}", "[]"] {
        assert!(matches!(only(told(kept)).what, What::Other { .. }), "{kept}");
    }
}
