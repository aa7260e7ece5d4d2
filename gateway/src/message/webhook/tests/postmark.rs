//! Bodies have the provider's form of its own examples; Basic credentials are made by curl's rule (RFC 7617).

use super::*;
use crate::message::Content;

const SECRET: &str = "pm:secret";
const AUTHORIZATION: &str = "Basic cG06c2VjcmV0";
const BODY: &str = r#"{"From":"from+test@example.org","MessageStream":"inbound",
    "FromFull":{"Email":"From+test@example.org","Name":"Displayed From","MailboxHash":"test"},
    "ToFull":[{"Email":"other@example.com","Name":"","MailboxHash":""}],
    "OriginalRecipient":"Help@inbound.example.com","Subject":"Gr\u00fc\u00dfe",
    "MessageID":"22c74902-a0c1-4511-804f2-341342852c90","Date":"Wed, 11 Oct 2017 18:31:04 -0700",
    "TextBody":"Plain","HtmlBody":"<b>Rich</b>","StrippedTextReply":"P","Tag":"",
    "Headers":[{"Name":"Received","Value":"by 10.10.1.71"},{"Name":"In-Reply-To","Value":"<one@x>"},
        {"Name":"Precedence","Value":"bulk\r\nX-Evil: 1"},{"Name":"Message-ID","Value":"<CAEPk3R+4Zr@mail.example.org>"}],
    "Attachments":[{"Name":"test.txt","ContentType":"text/plain; charset=utf-8","ContentID":"a@b","Data":"VGhp\ncw==",
        "ContentLength":4}]}"#;

fn signed(body: &str) -> Post {
    Post::new("https://gw.example.com/webhooks/pm", body).header("authorization", AUTHORIZATION)
}

fn content(told: &[Incoming]) -> &Content {
    match told {
        [Incoming { what: What::Message(content), .. }] => content,
        _ => panic!("{told:?}"),
    }
}

#[test]
fn a_mail_that_was_taken_apart_is_read() {
    let told = signed(BODY).tells(Kind::Postmark, &[SECRET]);
    let said = content(&told);
    assert_eq!(told[0].id, "22c74902-a0c1-4511-804f2-341342852c90");
    assert_eq!(
        (told[0].customer.as_str(), told[0].address.as_str()),
        ("from+test@example.org", "help@inbound.example.com")
    );
    assert_eq!(
        (told[0].channel, told[0].at),
        (Channel::Email, Some("2017-10-12T01:31:04Z".parse().unwrap()))
    );
    assert_eq!((said.message_id.as_str(), said.text.as_str()), ("CAEPk3R+4Zr@mail.example.org", "Plain"));
    assert_eq!((said.html.as_deref(), said.name.as_deref()), (Some("<b>Rich</b>"), Some("Displayed From")));
    assert_eq!((said.subject.as_deref(), said.reply_to.as_deref()), (Some("Gr\u{fc}\u{df}e"), Some("one@x")));
    assert!(said.automatic);
    let file = &said.attachments[0];
    assert_eq!(
        (file.name.as_deref(), file.media_type.as_str(), &file.data[..]),
        (Some("test.txt"), "text/plain", &b"This"[..])
    );
    assert_eq!((file.bytes, file.content_id.as_deref()), (4, Some("a@b")));
}

#[test]
fn a_mail_as_it_came_goes_before_what_was_made_of_it() {
    let body = r#"{"MessageID":"1-2","OriginalRecipient":"mailbox+Hash@inbound.postmarkapp.com","TextBody":"made",
        "RawEmail":"From: Support <support@postmarkapp.com>\r\nSubject: Test\r\n\r\nraw\r\n"}"#;
    let told = signed(body).tells(Kind::Postmark, &[SECRET]);
    assert_eq!((content(&told).text.as_str(), told[0].id.as_str()), ("raw", "1-2"));
    assert_eq!(told[0].address, "mailbox+hash@inbound.postmarkapp.com");
}

#[test]
fn what_is_proven_and_not_understood_is_kept() {
    for body in [
        "{}",
        "",
        r#"{"MessageStream":"inbound","FromFull":{"Email":"noreply@spam.example.com","Name":"x"}}"#,
    ] {
        let told = signed(body).tells(Kind::Postmark, &[SECRET]);
        assert!(
            matches!(&told[..], [Incoming { what: What::Other { kind, .. }, .. }] if kind == "unparsed"),
            "{body}"
        );
    }
}

#[test]
fn without_the_right_password_nothing_is_read() {
    let refused = |post: Post, secrets: &[&str]| post.receive(Kind::Postmark, secrets).unwrap_err();
    let bare = || Post::new("https://gw.example.com/webhooks/pm", BODY);
    assert!(signed(BODY).receive(Kind::Postmark, &["pm:new", SECRET]).is_ok());
    assert_eq!(refused(signed(BODY), &["pm:other"]), Refused::WrongSignature);
    assert_eq!(refused(signed(BODY), &["pm"]), Refused::WrongSignature);
    assert_eq!(refused(bare(), &[SECRET]), Refused::Unsigned);
    assert_eq!(refused(bare().header("authorization", "Bearer cG06c2VjcmV0"), &[SECRET]), Refused::Unsigned);
    assert_eq!(refused(bare().header("authorization", "Basic %%%"), &[SECRET]), Refused::Unsigned);
    assert_eq!(refused(bare().header("authorization", "Basic cG0="), &["pm"]), Refused::WrongSignature);
    assert_eq!(refused(signed(BODY).header("authorization", AUTHORIZATION), &[SECRET]), Refused::Repeated);
}
