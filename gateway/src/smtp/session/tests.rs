use super::*;

const BOUNDS: Bounds = Bounds { mail_bytes_max: 1000, recipients_max: 2, mails_max: 2, errors_max: 3 };

fn standing(address: &str) -> Standing {
    match address {
        "help@example.com" | "sales@example.com" | "third@example.com" | "j\u{f6}rg@example.com" => {
            Standing::Known
        }
        "later@example.com" => Standing::NotNow,
        _ => Standing::Unknown,
    }
}

fn session() -> Session<'static> {
    Session::new("mx.example.com", IpAddr::from([192, 0, 2, 1]), BOUNDS, true)
}

fn code(next: &Next) -> u16 {
    match next {
        Next::Say(reply) | Next::Leave(reply) => reply.code,
        Next::Introduce(_) => 250,
        Next::Data => 354,
        Next::Chunk { refused, .. } => refused.map_or(1, |reply| reply.code),
        Next::Secure => 220,
    }
}

/// What is said to each line.
fn told(session: &mut Session<'_>, lines: &[&str]) -> Vec<u16> {
    lines.iter().map(|line| code(&session.line(format!("{line}\r\n").as_bytes(), &standing))).collect()
}

#[test]
fn a_mail_goes_to_known_addresses_only() {
    let mut session = session();
    let lines = [
        "MAIL FROM:<a@b.example>",
        "EHLO client.example",
        "RCPT TO:<help@example.com>",
        "MAIL FROM:<a@b.example> SIZE=900 BODY=8BITMIME",
        "DATA",
        "RCPT TO:<later@example.com>",
        "RCPT TO:<help@example.com>",
        "RCPT TO:<HELP@EXAMPLE.COM>",
    ];
    let mut bounds = BOUNDS;
    bounds.errors_max = 10;
    session.bounds = bounds;
    assert_eq!(told(&mut session, &lines), [503, 250, 503, 250, 503, 451, 250, 550]);
    assert_eq!(
        told(&mut session, &["RCPT TO:<sales@example.com>", "RCPT TO:<third@example.com>"]),
        [250, 452]
    );
    assert_eq!(told(&mut session, &["MAIL FROM:<>", "DATA"]), [503, 354]);
    let envelope = session.ended();
    assert_eq!(envelope.from, "a@b.example");
    assert_eq!(envelope.recipients, ["help@example.com", "sales@example.com"]);
    assert_eq!(
        told(&mut session, &["DATA", "MAIL FROM:<>", "RCPT TO:<help@example.com>", "DATA"]),
        [503, 250, 250, 354]
    );
    assert_eq!(session.ended().from, "");
    assert_eq!(session.line(b"MAIL FROM:<>\r\n", &standing), Next::Leave(reply::TOO_MANY_MAILS));
}

#[test]
fn what_is_offered_is_told() {
    let mut session = session();
    let Next::Introduce(lines) = session.line(b"EHLO a\r\n", &standing) else {
        panic!("EHLO is not answered")
    };
    assert_eq!(lines.first().map(String::as_str), Some("mx.example.com"));
    for word in
        ["PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "CHUNKING", "STARTTLS", "ENHANCEDSTATUSCODES"]
    {
        assert!(lines.iter().any(|line| line == word), "{word}");
    }
    assert_eq!(session.line(b"STARTTLS\r\n", &standing), Next::Secure);
    session.secured();
    assert_eq!(told(&mut session, &["MAIL FROM:<a@b.example>", "STARTTLS"]), [503, 503]);
    let Next::Introduce(lines) = session.line(b"EHLO a\r\n", &standing) else {
        panic!("EHLO is not answered")
    };
    assert!(!lines.iter().any(|line| line == "STARTTLS"));
}

#[test]
fn what_is_not_offered_or_too_large_is_refused() {
    let mut session = session();
    session.bounds.errors_max = 20;
    let lines = [
        "EHLO a",
        "AUTH PLAIN AGEAYg==",
        "EXPN list",
        "ETRN example.com",
        "XYZZY",
        "MAIL FROM:<a@b> SIZE=1001",
        "MAIL FROM:<a@b> BODY=BINARYMIME",
        "MAIL FROM:a@b c",
        "MAIL FROM:<a@b> SMTPUTF8",
        "RCPT TO:<j\u{f6}rg@example.com>",
        "VRFY help@example.com",
        "NOOP",
        "RSET",
        "RCPT TO:<help@example.com>",
        "QUIT",
    ];
    let got = told(&mut session, &lines);
    assert_eq!(got[..7], [250, 502, 502, 502, 500, 552, 555]);
    assert!(got[7] >= 500, "{got:?}");
    assert_eq!(got[8..], [250, 250, 252, 250, 250, 503, 221]);
}

#[test]
fn lines_are_whole_or_refused() {
    let mut session = session();
    session.bounds.errors_max = 20;
    for bad in [&b"NOOP\n"[..], b"NOOP a\rb\r\n", b"NOOP\0\r\n", b"\r\n", b"\xff\xfe\r\n"] {
        assert_eq!(code(&session.line(bad, &standing)), 500, "{bad:?}");
    }
}

#[test]
fn whoever_errs_too_often_is_told_to_go() {
    let mut session = session();
    let bad = ["X", "X", "X", "X"];
    assert_eq!(told(&mut session, &bad), [500, 500, 500, 421]);
}

#[test]
fn chunks_are_read_whether_they_are_wanted_or_not() {
    let mut session = session();
    let chunk = |session: &mut Session<'_>, line: &[u8]| session.line(line, &standing);
    let refused = Some(reply::MAIL_FIRST);
    assert_eq!(chunk(&mut session, b"BDAT 5\r\n"), Next::Chunk { bytes: 5, last: false, refused });
    told(&mut session, &["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<help@example.com>"]);
    let taken = Next::Chunk { bytes: 7, last: false, refused: None };
    assert_eq!(chunk(&mut session, b"BDAT 7\r\n"), taken);
    assert_eq!(told(&mut session, &["DATA", "RCPT TO:<sales@example.com>"]), [503, 503]);
    let last = Next::Chunk { bytes: 0, last: true, refused: None };
    assert_eq!(chunk(&mut session, b"BDAT 0 LAST\r\n"), last);
    assert_eq!(session.ended().recipients, ["help@example.com"]);
}

proptest::proptest! {
    #[test]
    fn any_lines_are_answered(lines in proptest::collection::vec("[ -~]{0,60}|(MAIL|RCPT|BDAT|EHLO|DATA|RSET)[ -~\u{80}-\u{ff}]{0,40}", 0..40)) {
        let mut session = session();
        for line in lines {
            let next = session.line(format!("{line}\r\n").as_bytes(), &standing);
            if matches!(next, Next::Leave(_)) {
                break;
            }
            proptest::prop_assert!(session.errors <= BOUNDS.errors_max);
        }
    }
}

#[test]
fn an_address_that_is_not_proven_has_a_mail_by_itself() {
    let unproven = |address: &str| match address {
        "new@example.com" => Standing::Unproven,
        "later@example.com" => Standing::Unrecorded,
        _ => Standing::Known,
    };
    let told = |lines: &[&str]| {
        let mut session = session();
        let line = |line: &&str| code(&session.line(format!("{line}\r\n").as_bytes(), &unproven));
        let codes: Vec<u16> = lines.iter().map(line).collect();
        (codes, session.ended())
    };
    let begin = ["EHLO a", "MAIL FROM:<a@b>"];
    let (new, known) = ("RCPT TO:<new@example.com>", "RCPT TO:<help@example.com>");
    let (codes, envelope) = told(&[begin[0], begin[1], new, known, new, "DATA"]);
    assert_eq!(codes, [250, 250, 250, 452, 452, 354]);
    assert!(envelope.unproven && envelope.recipients == ["new@example.com"]);
    let (codes, envelope) = told(&[begin[0], begin[1], known, new, "RCPT TO:<later@example.com>"]);
    assert_eq!(codes, [250, 250, 250, 452, 451]);
    assert!(!envelope.unproven);
}
