//! Signatures are made by the provider's own library (PyPI `twilio` 9.13, `RequestValidator.compute_signature`).

use super::*;
use crate::message::{Content, MediaLink};

const TOKEN: &str = "12345";
const BODY: &str = "MessageSid=SM1234567890abcdef1234567890abcdef&AccountSid=AC1&From=%2B14155550177&To=%2B14155550101\
                    &Body=Gr%C3%BC%C3%9Fe+%26+more%0A&NumMedia=1&MediaUrl0=https%3A%2F%2Fapi.twilio.com%2Fx\
                    &MediaContentType0=image%2Fjpeg";

fn signed() -> Post {
    Post::new("https://gw.example.com/webhooks/tw", BODY)
        .header("x-twilio-signature", "9igkaHqbRb3OlxOrD1pbL+Zp+QQ=")
}

#[test]
fn a_signed_message_passes_unchanged() {
    let told = signed().tells(Kind::Twilio, &[TOKEN]);
    let content = Content {
        message_id: "SM1234567890abcdef1234567890abcdef".into(),
        text: "Grüße & more\n".into(),
        media: vec![MediaLink {
            link: "https://api.twilio.com/x".into(),
            media_type: Some("image/jpeg".into()),
            file_name: None,
        }],
        ..Content::default()
    };
    assert_eq!(
        told,
        [Incoming {
            id: "SM1234567890abcdef1234567890abcdef".into(),
            channel: Channel::Sms,
            customer: "+14155550177".into(),
            address: "+14155550101".into(),
            at: None,
            what: What::Message(Box::new(content)),
        }]
    );
}

#[test]
fn a_message_by_get_stands_in_the_query() {
    let mut post = Post::new("https://gw.example.com/webhooks/tw", "")
        .header("x-twilio-signature", "Suanvpbj6Yyep3eTfuO9z5ffo+8=");
    post.method = Method::GET;
    post.query = "MessageSid=SM2&From=%2B14155550177&To=%2B14155550101&Body=By+GET&NumMedia=0".into();
    let told = post.tells(Kind::Twilio, &[TOKEN]);
    let [Incoming { id, what: What::Message(content), .. }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((id.as_str(), content.text.as_str()), ("SM2", "By GET"));
}

#[test]
fn either_secret_and_either_form_of_the_port_pass_during_a_change() {
    assert!(signed().receive(Kind::Twilio, &["new", TOKEN]).is_ok());
    let mut post = signed();
    post.url = "https://gw.example.com:443/webhooks/tw";
    assert!(post.receive(Kind::Twilio, &[TOKEN]).is_ok());
}

#[test]
fn what_is_not_signed_as_it_came_is_refused() {
    assert_eq!(signed().receive(Kind::Twilio, &["other"]), Err(Refused::WrongSignature));
    let mut altered = signed();
    altered.body.extend_from_slice(b"&Extra=1");
    assert_eq!(altered.receive(Kind::Twilio, &[TOKEN]), Err(Refused::WrongSignature));
    let mut elsewhere = signed();
    elsewhere.query = "a=b".into();
    assert_eq!(elsewhere.receive(Kind::Twilio, &[TOKEN]), Err(Refused::WrongSignature));
    let twice = signed().header("x-twilio-signature", "9igkaHqbRb3OlxOrD1pbL+Zp+QQ=");
    assert_eq!(twice.receive(Kind::Twilio, &[TOKEN]), Err(Refused::Repeated));
    assert_eq!(
        Post::new("https://gw.example.com/", BODY).receive(Kind::Twilio, &[TOKEN]),
        Err(Refused::Unsigned)
    );
}
