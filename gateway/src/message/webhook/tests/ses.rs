//! Certificate and signatures are made by Python `cryptography` 50.0 (PKCS #1 v1.5; version 1 with SHA-1, version 2 with
//! SHA-256) over the text that Amazon's manual describes, and found good by npm `sns-validator` 0.3.5; what is signed has
//! the form of its examples.

use super::*;
use crate::message::Content;

const PEM: &str = include_str!("ses/sns.pem");
const UTF8: &str = include_str!("ses/utf8_v1.json");
const BASE64: &str = include_str!("ses/base64_v2.json");
const BUCKET: &str = include_str!("ses/s3_v2.json");
const CONFIRM: &str = include_str!("ses/confirm.json");
const ELSEWHERE: &str = include_str!("ses/confirm_elsewhere.json");
const TOPIC: &str = "arn:aws:sns:us-east-1:111111111111:SES_Inbound";
/// 2018-03-30T17:21:52Z.
const SECOND: i64 = 1_522_430_512;

fn received(body: &str, certificate: Option<&str>, account: &str, second: i64) -> Result<Received, Refused> {
    let arrived = Arrived {
        method: &Method::POST,
        url: "https://gw.example.com/webhooks/ses",
        query: "",
        headers: &HeaderMap::new(),
        body: body.as_bytes(),
        now: Timestamp::from_second(second).unwrap(),
    };
    let credentials = Credentials { secrets: &[], verify_token: None, account: Some(account) };
    receive_with(Kind::Ses, &arrived, &credentials, certificate)
}

fn tells(body: &str) -> Vec<Incoming> {
    match received(body, Some(PEM), TOPIC, SECOND) {
        Ok(Received::Tells(told)) => told.into_inner(),
        other => panic!("{other:?}"),
    }
}

fn content(told: &[Incoming]) -> &Content {
    match told {
        [Incoming { what: What::Message(content), .. }] => content,
        _ => panic!("{told:?}"),
    }
}

#[test]
fn mails_of_both_encodings_and_signature_versions_are_read() {
    for body in [UTF8, BASE64] {
        let told = tells(body);
        assert_eq!(told[0].id, "jili9m351il3gkburn7o2f0u6788stij94c8ld01/inbound@example.com");
        assert_eq!(
            (told[0].customer.as_str(), told[0].address.as_str()),
            ("from@example.org", "inbound@example.com")
        );
        assert_eq!(content(&told).message_id, "CAEPk3RKsi@mail.example.org");
        assert_eq!(content(&told).text, "Body \u{2026}");
    }
}

#[test]
fn a_mail_in_a_bucket_is_kept_as_it_was_told() {
    let told = tells(BUCKET);
    assert!(matches!(&told[0].what, What::Other { kind, raw } if kind == "S3" && raw == BUCKET), "{told:?}");
    assert_eq!(told[0].id, "8f6dee70-c885-558a-be7d-bd48bbf5335e");
}

#[test]
fn the_certificate_is_asked_for_first() {
    let link = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";
    assert_eq!(received(UTF8, None, TOPIC, SECOND), Ok(Received::NeedsCertificate(link.into())));
}

#[test]
fn no_certificate_of_another_host_is_asked_for() {
    for host in [
        "https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-0.pem",
        "https://evil.example/sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com:444/SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-0.pem",
        "https://a@sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.evil.example/.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.a.b.amazonaws.com/SimpleNotificationService-0.pem",
        "https://s3.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns..amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com/?Action=ListTopics",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0/../x.pem",
    ] {
        let known = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem";
        let body = UTF8.replace(known, host);
        assert_ne!(body, UTF8);
        assert_eq!(received(&body, None, TOPIC, SECOND), Err(Refused::WrongSignature), "{host}");
    }
    let china = UTF8.replace("sns.us-east-1.amazonaws.com/Simple", "sns.cn-north-1.amazonaws.com.cn/Simple");
    assert!(matches!(received(&china, None, TOPIC, SECOND), Ok(Received::NeedsCertificate(_))));
}

#[test]
fn what_is_altered_of_another_topic_or_old_is_refused() {
    let refused = |body: &str, second| received(body, Some(PEM), TOPIC, second).unwrap_err();
    for body in [UTF8, BASE64, CONFIRM] {
        let altered = body.replace("\"MessageId\": \"", "\"MessageId\": \"0");
        assert_eq!(refused(&altered, SECOND), Refused::WrongSignature);
        assert_eq!(
            received(body, Some(PEM), "arn:aws:sns:us-east-1:2:Other", SECOND),
            Err(Refused::WrongSignature)
        );
        assert_eq!(refused(body, SECOND + 7202), Refused::Stale);
        assert_eq!(refused(body, SECOND - 7202), Refused::Stale);
        assert!(received(body, Some(PEM), TOPIC, SECOND + 7200).is_ok());
    }
    let version = |from, to| {
        UTF8.replace(&format!("\"SignatureVersion\": \"{from}\""), &format!("\"SignatureVersion\": \"{to}\""))
    };
    assert_eq!(refused(&version(1, 2), SECOND), Refused::WrongSignature);
    assert_eq!(refused(&version(1, 3), SECOND), Refused::Unsigned);
    assert_eq!(refused(&UTF8.replace("\"Signature\"", "\"S\""), SECOND), Refused::Unsigned);
    assert_eq!(refused("{}", SECOND), Refused::Unsigned);
    for certificate in ["", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(received(UTF8, Some(certificate), TOPIC, SECOND), Err(Refused::WrongSignature));
    }
}

#[test]
fn a_subscription_is_confirmed_on_a_host_of_amazon_alone() {
    let link = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37";
    assert_eq!(received(CONFIRM, Some(PEM), TOPIC, SECOND), Ok(Received::Confirms(Verified(link.into()))));
    let told = tells(ELSEWHERE);
    assert!(
        matches!(&told[0].what, What::Other { kind, .. } if kind == "SubscriptionConfirmation"),
        "{told:?}"
    );
}
