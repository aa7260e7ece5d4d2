//! The provider has no library that signs: signatures are made with Python's `hmac` by the rule of its manual
//! (HMAC-SHA256 of timestamp and token, in hexadecimal digits).

use super::*;
use crate::message::Content;

const KEY: &str = "key-mailgun";
const SECOND: i64 = 1_461_261_330;
const TOKEN: &str = "06c96bafc3f42a66b9edd546347a2fe18dc23461fe80dc52f0";
const SIGNATURE: &str = "fb88aadd45fda939e2cb475228d16bd0437762fbaa572384dcbb31bc97852482";
const RAW: &str = "From: A tester <test@example.org>\nMessage-ID: <CAEPk3RKEx@mail.example.org>\nSubject: Raw\n\
                   To: listed@example.com\n\nIt's a body\n";

fn form(fields: &[(&str, &str)]) -> Post {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("timestamp", "1461261330")
        .append_pair("token", TOKEN)
        .append_pair("signature", SIGNATURE);
    body.extend_pairs(fields);
    Post::new("https://gw.example.com/webhooks/mg", body.finish())
        .header("content-type", "application/x-www-form-urlencoded")
        .at(SECOND)
}

fn mime() -> Post {
    form(&[("recipient", "Test@inbound.example.com"), ("sender", "envelope@example.org"), ("body-mime", RAW)])
}

fn content(told: &[Incoming]) -> &Content {
    match told {
        [Incoming { what: What::Message(content), .. }] => content,
        _ => panic!("{told:?}"),
    }
}

#[test]
fn a_mail_as_it_came_is_read_for_the_recipient_of_the_envelope() {
    let told = mime().tells(Kind::Mailgun, &["new", KEY]);
    assert_eq!(
        (told[0].customer.as_str(), told[0].address.as_str()),
        ("test@example.org", "test@inbound.example.com")
    );
    assert!(told[0].id.starts_with("CAEPk3RKEx@mail.example.org/test@inbound.example.com/"));
    assert_eq!((content(&told).text.as_str(), content(&told).automatic), ("It's a body", false));
    assert_eq!(told, mime().at(SECOND + 3600).tells(Kind::Mailgun, &[KEY]));
}

#[test]
fn a_mail_that_was_taken_apart_is_read_with_its_files() {
    let fields = [
        ("timestamp", "1461261330"),
        ("token", TOKEN),
        ("signature", SIGNATURE),
        ("recipient", "test@inbound.example.com"),
        ("sender", "envelope@example.org"),
        ("body-plain", "Test body plain"),
        ("body-html", "<div>Test body html</div>"),
        (
            "message-headers",
            r#"[["From","\"D\" <from+test@example.org>"],["Message-Id","<a@b>"],["Subject","S"]]"#,
        ),
        ("attachment-count", "1"),
    ];
    let mut body = String::new();
    for (name, value) in fields {
        body += &format!("--xx\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += "--xx\r\nContent-Disposition: form-data; name=\"attachment-1\"; filename=\"a.pdf\"\r\n\
             Content-Type: application/pdf\r\n\r\n%PDF\r\n\r\n--xx--\r\n";
    let post = Post::new("https://gw.example.com/webhooks/mg", body)
        .header("content-type", "multipart/form-data; boundary=xx")
        .at(SECOND);
    let told = post.tells(Kind::Mailgun, &[KEY]);
    let said = content(&told);
    assert_eq!((said.message_id.as_str(), said.text.as_str()), ("a@b", "Test body plain"));
    assert_eq!((told[0].customer.as_str(), said.subject.as_deref()), ("from+test@example.org", Some("S")));
    let file = &said.attachments[0];
    assert_eq!((file.name.as_deref(), file.media_type.as_str()), (Some("a.pdf"), "application/pdf"));
    assert_eq!(&file.data[..], b"%PDF\r\n");
}

#[test]
fn what_comes_by_mistaken_settings_is_kept() {
    let stored = form(&[
        ("recipient", "test@inbound.example.com"),
        ("sender", "envelope@example.org"),
        ("body-plain", "Plain"),
        (
            "attachments",
            r#"[{"url":"https://storage.mailgun.net/0","content-type":"application/pdf","name":"a.pdf"}]"#,
        ),
    ]);
    let told = stored.tells(Kind::Mailgun, &[KEY]);
    assert_eq!((told[0].customer.as_str(), content(&told).text.as_str()), ("envelope@example.org", "Plain"));
    assert_eq!(content(&told).media[0].link, "https://storage.mailgun.net/0");

    let kind = |post: Post| match &post.tells(Kind::Mailgun, &[KEY])[..] {
        [Incoming { what: What::Other { kind, .. }, .. }] => kind.clone(),
        told => panic!("{told:?}"),
    };
    assert_eq!(kind(form(&[("event", "delivered"), ("recipient", "r@example.com")])), "delivered");
    assert_eq!(kind(form(&[])), "unparsed");
    let event = format!(
        r#"{{"signature":{{"timestamp":"1461261330","token":"{TOKEN}","signature":"{SIGNATURE}"}},
            "event-data":{{"event":"clicked"}}}}"#
    );
    assert_eq!(kind(Post::new("https://gw.example.com/", event).at(SECOND)), "clicked");
}

#[test]
fn what_is_not_signed_or_signed_long_ago_is_refused() {
    let refused = |post: Post| post.receive(Kind::Mailgun, &[KEY]).unwrap_err();
    assert_eq!(mime().receive(Kind::Mailgun, &["other"]), Err(Refused::WrongSignature));
    assert_eq!(refused(mime().at(SECOND + 9 * 3600 + 1)), Refused::Stale);
    assert_eq!(refused(mime().at(SECOND - 9 * 3600 - 1)), Refused::Stale);
    assert!(mime().at(SECOND + 9 * 3600).receive(Kind::Mailgun, &[KEY]).is_ok());
    let altered = |from: &str, to: &str| {
        let mut post = mime();
        post.body = String::from_utf8(post.body).unwrap().replacen(from, to, 1).into_bytes();
        post
    };
    assert_eq!(refused(altered("1461261330", "1461261331")), Refused::WrongSignature);
    assert_eq!(refused(altered(TOKEN, "0")), Refused::WrongSignature);
    assert_eq!(refused(altered(SIGNATURE, "zz")), Refused::Unsigned);
    assert_eq!(refused(altered("signature=", "s=")), Refused::Unsigned);
    assert_eq!(refused(Post::new("https://gw.example.com/", RAW)), Refused::Unsigned);
}
