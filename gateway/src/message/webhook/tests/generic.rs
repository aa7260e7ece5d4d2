//! Signatures are made by the standard's own library (PyPI `standardwebhooks` 1.1, `Webhook.sign`).

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SECOND: i64 = 1_614_265_330;

fn signed() -> Post {
    Post::new("https://gw.example.com/webhooks/g", r#"{"from":"ann","to":"shop","text":"Hi é"}"#)
        .header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
        .header("webhook-timestamp", "1614265330")
        .header("webhook-signature", "v1,AAAA v1,wJnAR3g6E7DiT8zUAEt+XPvjEoIPXxM20rY+aQpTpxg=")
        .at(SECOND)
}

#[test]
fn a_signed_message_passes_unchanged() {
    let told = signed().tells(Kind::Generic, &["whsec_AAAA", SECRET]);
    let [Incoming { id, channel: Channel::Custom, customer, address, what: What::Message(content), .. }] =
        &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(
        (id.as_str(), customer.as_str(), address.as_str()),
        ("msg_p5jXN8AQM9LWM0D4loKWxJek", "ann", "shop")
    );
    assert_eq!(content.text, "Hi é");
}

#[test]
fn another_secret_an_altered_body_and_an_old_time_are_refused() {
    assert_eq!(signed().receive(Kind::Generic, &["whsec_AAAA"]), Err(Refused::WrongSignature));
    let mut altered = signed();
    altered.body.push(b' ');
    assert_eq!(altered.receive(Kind::Generic, &[SECRET]), Err(Refused::WrongSignature));
    assert_eq!(signed().at(SECOND + 301).receive(Kind::Generic, &[SECRET]), Err(Refused::Stale));
    assert_eq!(signed().at(SECOND - 301).receive(Kind::Generic, &[SECRET]), Err(Refused::Stale));
    assert!(signed().at(SECOND + 299).receive(Kind::Generic, &[SECRET]).is_ok());
}

#[test]
fn an_empty_secret_proves_nothing() {
    for secret in ["", "whsec_", "whsec_%%%"] {
        assert_eq!(signed().receive(Kind::Generic, &[secret]), Err(Refused::WrongSignature), "{secret:?}");
    }
}
