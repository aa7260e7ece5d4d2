//! Tokens were made with PyPI `PyJWT` 2.10 by the claims that the provider's own library (PyPI `messagebird`,
//! `RequestValidator`) asks for; its 44 vectors were run beside.

use super::*;

const SECRET: &str = "signing key of thirty-two bytes!";
const BODY: &str =
    r#"{"id":"mb-1","originator":"14155550177","recipient":"14155550100","body":"Gr\u00fc\u00dfe"}"#;
const SECOND: i64 = 1_700_000_000;
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwMDYwLCJqdGkiOiJqIiwidXJsX2hhc2giOiI0MzZmMWE2YTE3MjA4MzZlOWY2ZGQyZjkxNjE2ZWY3ZmJhYWVlYTI5NmU4MDBjNTk2NDBmMjk1OWU4ZmNlZjM2IiwicGF5bG9hZF9oYXNoIjoiOWU2OWZlYWQ4MWU5OTQxNTU5ZjkwNTBmMjhhNzQ3MDNjZTc4NmQ2MDM2MThjODUyN2JlOWFmOTI0ZWRhODA4ZiJ9.bgvbNpAc3kDoFApFllbA4wraI4Tw48uSL3kTqbMvtTA";
const TOKEN_OF_GET: &str = "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwMDYwLCJqdGkiOiJqIiwidXJsX2hhc2giOiIxN2I1ZjczNTA2NWNjZjZkMjU5ZDBhZmExZmNlMDVlNmQyNTQ3OTZkMmNjYWFhOGE3NTRkMDk3NTIwZWI3ZjFkIn0.Fiq052mSixf_7KKRfIohlVHeiyM5y5MOv6Nx-L0GgkCLOkNbe1sQQpn6TG2u4wZbGepp6seIqgro1stF4aAdog";

fn signed() -> Post {
    Post::new("https://gw.example.com/webhooks/mb", BODY)
        .header("messagebird-signature-jwt", TOKEN)
        .at(SECOND)
}

#[test]
fn only_what_the_provider_signed_in_this_minute_passes() {
    passes_only_as_it_came(signed, Kind::Messagebird, (SECRET, "other"), "messagebird-signature-jwt");
    for second in [SECOND - 2, SECOND + 62] {
        assert_eq!(signed().at(second).receive(Kind::Messagebird, &[SECRET]), Err(Refused::Stale));
    }
    let mut elsewhere = signed();
    elsewhere.query = "a=b".into();
    assert_eq!(elsewhere.receive(Kind::Messagebird, &[SECRET]), Err(Refused::WrongSignature));
    let mut emptied = signed();
    emptied.body.clear();
    assert_eq!(emptied.receive(Kind::Messagebird, &[SECRET]), Err(Refused::WrongSignature));
    let (told, content) = message(signed().tells(Kind::Messagebird, &[SECRET]));
    assert_eq!((told.customer.as_str(), told.address.as_str()), ("+14155550177", "+14155550100"));
    assert_eq!((told.id.as_str(), content.text.as_str()), ("mb-1", "Grüße"));
}

#[test]
fn a_get_is_read_by_its_query() {
    let got = Post::new("https://gw.example.com/webhooks/mb", "")
        .header("messagebird-signature-jwt", TOKEN_OF_GET)
        .at(SECOND + 60);
    let query = "id=mb-2&originator=14155550177&recipient=14155550100&body=Hi".to_owned();
    let got = Post { method: Method::GET, query, ..got };
    assert_eq!(message(got.tells(Kind::Messagebird, &[SECRET])).1.text, "Hi");
    let mut added = got;
    added.body = b"{}".to_vec();
    assert_eq!(
        added.receive(Kind::Messagebird, &[SECRET]),
        Err(Refused::WrongSignature),
        "a body that was added"
    );
}

#[test]
fn reports_and_conversations_are_read() {
    let told = |body: &str| read_into(Kind::Messagebird, body, None);
    let report = only(told("id=mb-3&recipient=14155550177&status=delivery_failed&statusErrorCode=9"));
    assert!(matches!(report.what, What::Delivery { error: Some(code), .. } if code == "9"));
    let talk = |more: &str| {
        only(told(&format!(
            r#"{{"type":"message.created","contact":{{"displayName":"Ann"}},"message":{{"id":"m","channelId":"c","platform":"whatsapp",
            "from":"14155550177","to":"14155550100",{more}}}}}"#
        )))
    };
    let picture = talk(
        r#""direction":"received","type":"image","content":{"image":{"url":"https://media.example.com/i","caption":"c"}}"#,
    );
    assert_eq!((picture.channel, picture.customer.as_str()), (Channel::Whatsapp, "+14155550177"));
    assert!(
        matches!(picture.what, What::Message(content) if content.media.len() == 1 && content.text == "c")
    );
    let ours = talk(r#""direction":"sent","status":"read","type":"text","content":{"text":"x"}"#);
    assert_eq!((ours.customer.as_str(), ours.id.as_str()), ("+14155550100", "m/read"));
    let kept = talk(r#""direction":"received","type":"hsm","content":{}"#);
    assert!(matches!(kept.what, What::Other { kind, .. } if kind == "messagebird.message.created"));
    assert!(matches!(only(told("")).what, What::Other { kind, .. } if kind == "unparsed"));
}
