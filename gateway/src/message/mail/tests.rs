//! Mails of the kinds that come, and of the kinds that should not.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const MIXED: &str = "Received: by 10.1.1.1\r\n\
    From: =?iso-8859-1?Q?J=F6rg_M=FCller?= <Joerg@Example.ORG>\r\n\
    To: \"Help, desk\" <Help@shop.example>, b@c.example\r\n\
    Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n =?UTF-8?Q?_aus_K=C3=B6ln?=\r\n\
    Date: Fri, 30 Mar 2018 10:21:50 -0700\r\n\
    Message-ID: <CAEPk3RKsi@mail.example.org>\r\n\
    In-Reply-To: <two@x>\r\n\
    References: <one@x>\r\n <two@x>\r\n\
    Content-Type: multipart/mixed; boundary=\"out er\"\r\n\r\n\
    preamble\r\n--out er\r\n\
    Content-Type: multipart/alternative; boundary=inner\r\n\r\n\
    --inner\r\nContent-Type: text/plain; charset=iso-8859-15\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Zehn =A4, bitte=\r\n sehr  \r\n\r\n--inner\r\n\
    Content-Type: text/html; charset=utf-8\r\n\r\n<p>Zehn \u{20ac}</p>\r\n--inner--\r\nepilogue\r\n--out er\r\n\
    Content-Type: image/png; name=\"a.png\"\r\nContent-ID: <img@x>\r\nContent-Transfer-Encoding: base64\r\n\
    Content-Disposition: inline; filename*=utf-8''..%2F%E2%82%ACuro.png\r\n\r\niVBORw0K\r\nGgo=\r\n--out er--\r\n";

#[test]
fn a_mail_is_read_with_its_text_its_thread_and_its_files() {
    let mail = read(MIXED.as_bytes(), Some("joerg@example.org"));
    assert_eq!((mail.from.as_str(), mail.to.as_deref()), ("joerg@example.org", Some("help@shop.example")));
    assert_eq!(mail.at, Some("2018-03-30T17:21:50Z".parse().unwrap()));
    let file = Attachment {
        name: Some("\u{20ac}uro.png".into()),
        media_type: "image/png".into(),
        bytes: 8,
        winmail: false,
        content_id: Some("img@x".into()),
        data: Bytes::from_static(b"\x89PNG\r\n\x1a\n"),
        file: None,
    };
    let content = Content {
        message_id: "CAEPk3RKsi@mail.example.org".into(),
        text: "Zehn \u{20ac}, bitte sehr".into(),
        name: Some("J\u{f6}rg M\u{fc}ller".into()),
        subject: Some("Gr\u{fc}\u{df}e aus K\u{f6}ln".into()),
        reply_to: Some("two@x".into()),
        html: Some("<p>Zehn \u{20ac}</p>".into()),
        references: vec!["one@x".into(), "two@x".into()],
        attachments: vec![file],
        ..Content::default()
    };
    assert_eq!(mail.content, content);
}

#[test]
fn exactly_one_line_end_belongs_to_the_delimiter() {
    let body = b"--b\r\n\r\none\r\n\r\n--b  \r\n\r\n\r\n--b\r\n--bc\r\n--b-\r\n--b--\r\n--b\r\nno part";
    let (found, all) = parts(body, b"b", 9);
    assert_eq!(found, [&b"\r\none\r\n"[..], b"\r\n", b"--bc\r\n--b-"]);
    assert!(all);
    assert_eq!(parts(b"--b\n--b\nx\n--b--", b"b", 9).0, [&b""[..], b"x"]);
    assert_eq!(parts(b"--b\r\nopen", b"b", 9), (vec![&b"open"[..]], true));
    assert_eq!(parts(b"--b\r\n1\r\n--b\r\n2\r\n--b--", b"b", 1), (vec![&b"1"[..]], false));
}

#[test]
fn html_alone_is_read_as_text() {
    let raw = "From: a@b.example\nContent-Type: text/html\n\n<head><title>T</title><style>p{}</style></head>\
               <!-- a --- > b --><h1>Hi &amp; bye</h1>Line<br>two 1 < 2 &nbsp;&#8364; &bogus; <ul><li>x<li>y</ul>\
               <script>if (a</b) {}</script><a title=it's href='>'>end</a>";
    let mail = read(raw.as_bytes(), None);
    assert_eq!(mail.content.text, "Hi & bye\n\nLine\ntwo 1 < 2 \u{20ac} &bogus;\n\n- x\n- y\nend");
    assert!(mail.content.html.is_some());
}

#[test]
fn a_mail_within_a_mail_is_a_file() {
    let raw = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nSee below\n--b\nContent-Type: message/rfc822\n\n\
               Subject: inner\n\nsecret\n--b--\n";
    let content = read(raw.as_bytes(), None).content;
    assert_eq!(content.text, "See below");
    assert_eq!(content.attachments[0].media_type, "message/rfc822");
    assert_eq!(&content.attachments[0].data[..], b"Subject: inner\n\nsecret");
}

#[test]
fn a_mail_without_an_id_is_named_by_what_it_is() {
    let named = |raw: &str| read(raw.as_bytes(), None).content.message_id;
    assert!(named("From: a@b\n\nx").starts_with("sha256:"));
    assert_eq!(named("From: a@b\n\nx"), named("From: a@b\n\nx"));
    assert_ne!(named("From: a@b\n\nx"), named("From: a@b\n\ny"));
    assert!(named(&format!("Message-ID: <{}@x>\n\nx", "a".repeat(2000))).starts_with("sha256:"));
}

#[test]
fn machines_are_recognised() {
    let automatic =
        |head: &str, path| read(format!("From: a@b\n{head}\n\nx").as_bytes(), path).content.automatic;
    for head in [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated; owner-email=\"x\"",
        "Precedence: bulk",
        "precedence: AUTO_REPLY",
        "List-Id: All <all.example>",
        "X-Auto-Response-Suppress: OOF, AutoReply",
        "Return-Path: <>",
        "Content-Type: multipart/report; boundary=b",
        &"Received: from a by b\n".repeat(31),
    ] {
        assert!(automatic(head.trim_end(), None), "{head}");
    }
    for head in ["Auto-Submitted: no", "Precedence: first-class", "Return-Path: <a@b>", "X: y"] {
        assert!(!automatic(head, Some("a@b")), "{head}");
    }
    assert!(automatic("X: y", Some("")));
    assert!(!automatic("Received: from a by b\n".repeat(30).trim_end(), None));
}

#[test]
fn the_question_of_a_forwarder_is_recognised() {
    let asked = |raw: &str| read(raw.as_bytes(), None).content.confirmation;
    let gmail = "From: Gmail Team <forwarding-noreply@google.com>\n\
                 Subject: (#123456789) Gmail-Weiterleitung\n\nKlicken: ";
    let link = "https://mail-settings.google.com/mail/vf-%5BANGjdJ%5D-xyz";
    assert_eq!(asked(&format!("{gmail}{link}\n")).as_deref(), Some(link));
    assert_eq!(asked(gmail).as_deref(), Some("123456789"));
    let elsewhere = format!("{gmail}https://mail-settings.google.com.evil.example/mail/vf-1");
    assert_eq!(asked(&elsewhere).as_deref(), Some("123456789"));
    assert_eq!(asked("From: a@google.com\nSubject: (#123456789) forward verify\n\n"), None);
    assert_eq!(asked("From: a@evil.example\nSubject: forward verify 123456\n\n"), None);
    let other =
        "From: Zoho Mail <NoReply@zoho.com>\nSubject: Confirm forwarding\n\nYour verification code: 482913.";
    assert_eq!(asked(other).as_deref(), Some("482913"));
}

#[test]
fn who_has_a_mailbox_at_a_forwarder_is_none() {
    for from in [
        "eve@outlook.com",
        "eve@yahoo.com",
        "eve@gmail.com",
        "eve@google.com",
        "eve@icloud.com",
        "eve@proton.me",
        "eve@fastmail.com",
        "eve@zoho.com",
        "noreply@eve.zoho.com",
        "forwarding-noreply@gmail.com",
    ] {
        let asks = format!(
            "From: {from}\nSubject: Confirm forwarding (#123456789)\n\nVerify: https://mail.google.com/mail/vf-1"
        );
        assert_eq!(read(asks.as_bytes(), None).content.confirmation, None, "{from}");
        let domain = from.rsplit_once('@').unwrap().1;
        assert!(!is_of_forwarder(from, &[domain.to_owned()]), "{from}, signed by its own provider");
    }
    let signed = |domain: &str| is_of_forwarder("forwarding-noreply@google.com", &[domain.to_owned()]);
    assert!(signed("google.com") && signed("Google.com"));
    assert!(!signed("gmail.com") && !signed("eve.google.com") && !signed("notgoogle.com"));
}

#[test]
fn broken_character_sets_and_encodings_are_read_as_far_as_they_go() {
    let text = |head: &str, body: &[u8]| {
        read(&[format!("From: a@b\n{head}\n\n").as_bytes(), body].concat(), None).content.text
    };
    assert_eq!(text("X: y", b"caf\xe9"), "caf\u{e9}");
    assert_eq!(text("Content-Type: text/plain; charset=utf-8", b"caf\xe9"), "caf\u{fffd}");
    assert_eq!(text("Content-Type: text/plain; charset=nonsense", "caf\u{e9}".as_bytes()), "caf\u{e9}");
    assert_eq!(text("Content-Type: text/plain; charset=shift_jis", b"\x93\xfa\x96{"), "\u{65e5}\u{672c}");
    assert_eq!(text("Content-Type: text/plain; charset=iso-2022-jp", b"\x1b$BF|\x1b(B"), "\u{65e5}");
    assert_eq!(text("Content-Transfer-Encoding: base64", b"aGV\n*sbG8\n=\n-- list footer"), "hello");
    assert_eq!(text("Content-Transfer-Encoding: quoted-printable", b"a=ZZ=4=\n1=3D =\n"), "a=ZZ=41=");
}

#[test]
fn file_names_lead_nowhere() {
    assert_eq!(file_name("../../etc/passwd").as_deref(), Some("passwd"));
    assert_eq!(file_name("C:\\x\\a\u{0}b.txt").as_deref(), Some("ab.txt"));
    assert_eq!((file_name(".."), file_name("a/"), file_name(" ")), (None, None, None));
}

/// Far above what a linear way takes, even unoptimised, and far below what a quadratic one does.
const SOON: Duration = Duration::from_secs(8);

#[test]
fn hostile_mails_take_no_more_than_linear_time() {
    let head = "From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
    let nested: String = (0..20_000)
        .map(|depth| format!("Content-Type: multipart/mixed; boundary={depth}\r\n\r\n--{depth}\r\n"))
        .collect();
    let hostile = [
        ("parts", format!("{head}{}", "--b\r\n\r\n".repeat(1_000_000))),
        ("nested", nested),
        ("messages", "Content-Type: message/rfc822\r\n\r\n".repeat(100_000)),
        ("words", format!("Subject: {}\r\n\r\n", "=?utf-8?q?".repeat(200_000))),
        ("half words", format!("Subject: {}\r\n\r\n", "=?=?".repeat(500_000))),
        ("names", format!("From: {}\r\n\r\n", "(\"<a@b,".repeat(200_000))),
        ("headers", "A:b\r\n".repeat(500_000)),
        ("parameters", format!("Content-Type: a/b{}\r\n\r\n", "; a*0*=''%".repeat(100_000))),
        ("ids", format!("References: {}\r\n\r\n", "<a@b> ".repeat(200_000))),
        ("received", "Received: from (((((((((\r\n".repeat(50_000)),
        ("tags", format!("Content-Type: text/html\r\n\r\n{}", "<a href=\"".repeat(100_000))),
        ("comments", format!("Content-Type: text/html\r\n\r\n{}", "<!--<script></".repeat(100_000))),
        ("entities", format!("Content-Type: text/html\r\n\r\n{}", "&amp".repeat(200_000))),
        ("folds", format!("Subject: a{}\r\n\r\n", "\r\n ".repeat(300_000))),
    ];
    for (what, raw) in &hostile {
        let start = Instant::now();
        let content = read(raw.as_bytes(), None).content;
        assert!(start.elapsed() < SOON, "{what}: {:?}", start.elapsed());
        assert!(content.text.len() <= TEXT_MAX && content.attachments.len() <= PARTS_MAX, "{what}");
        assert!(content.references.len() <= REFERENCES_MAX, "{what}");
    }
    assert!(read(hostile[0].1.as_bytes(), None).content.cut);
}

#[test]
fn too_much_text_is_cut_between_characters() {
    let raw = format!("From: a@b\n\n{}", "\u{20ac}".repeat(300_000));
    let content = read(raw.as_bytes(), None).content;
    assert!(content.cut && content.text.len() <= TEXT_MAX && content.text.ends_with('\u{20ac}'));
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "From: ",
        "Subject: =?",
        "?= <",
        "\r\n",
        "\n",
        "\r\n\r\n",
        "--b",
        "--b--",
        "Date: Fri, 30 Mar 99999 10:",
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
        "Content-Type: text/html; charset=",
        "utf-7",
        "utf-16",
        "iso-2022-jp",
        "gb18030",
        "Content-Transfer-Encoding: base64\r\n\r\n",
        "=E2=8",
        "<p",
        "&#x110000;",
        "<!--",
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
        "Message-ID: <",
        "References: ",
        "+AGE-",
        "\u{20ac}",
        "Content-Disposition: attachment; filename*0*=",
        "Received: ",
        "https://",
        "From: forwarding-noreply@google.com",
    ];
    prop_oneof![
        3 => prop::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_it_fail(pieces in prop::collection::vec(piece(), 0..40), sender in prop::option::of(".*")) {
        let raw = pieces.concat();
        let content = read(&raw, sender.as_deref()).content;
        prop_assert!(!content.message_id.is_empty());
        let kept: usize = content.attachments.iter().map(|file| file.data.len()).sum();
        prop_assert!(kept <= raw.len());
    }

    #[test]
    fn what_is_split_is_within_what_came(body in prop::collection::vec(prop::sample::select(b"-b\r\n x".to_vec()), 0..200)) {
        let (found, _) = parts(&body, b"b", 50);
        prop_assert!(found.iter().map(|part| part.len()).sum::<usize>() <= body.len());
    }
}

#[test]
fn a_mail_that_was_here_before_is_in_a_circle_and_outlooks_wrapping_is_flagged() {
    let mail = "From: a@b\r\nDelivered-To: Help@example.com\r\nContent-Type: application/ms-tnef\r\n\r\nx";
    let told = |to: &str| {
        let raw = mail.as_bytes();
        let incoming = read(raw, Some("a@b")).incoming(&Envelope { id: None, to: Some(to), raw });
        incoming.content().unwrap().clone()
    };
    assert!(told("help@example.com").automatic);
    assert!(!told("sales@example.com").automatic, "forwarders write their own such headers");
    assert!(told("help@example.com").attachments[0].winmail);
    assert!(is_winmail("application/octet-stream", Some("WinMail.dat")));
}

#[test]
fn what_stands_behind_a_plus_is_told_as_it_was_written() {
    let both = |plain: &str, tag: &str| Some((plain.to_owned(), tag.to_owned()));
    assert_eq!(tagged("<Help+Case-7@Example.com>"), both("help@example.com", "Case-7"));
    assert_eq!(tagged("help+a+b@example.com"), both("help@example.com", "a+b"));
    assert_eq!((tagged("help@example.com"), tagged("help+@example.com"), tagged("a+b")), (None, None, None));
}
