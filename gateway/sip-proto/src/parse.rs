//! The framing of messages: start line, header lines, body (RFC 3261 §7, §18.3).

use crate::{
    header::HeaderName,
    lex::{is_token, number, trim},
    message::{HEADERS_MAX, Header, Message, Method, StartLine},
    uri::Uri,
};

/// The largest message taken from a stream.
pub const STREAM_MESSAGE_BYTES_MAX: usize = 65_536;

/// A message whose frame is not sound.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct ParseError<'a> {
    /// What is wrong, fit for a reason phrase.
    pub reason: &'static str,
    /// What could be read: enough to answer a request with 400, when it was one.
    pub salvage: Option<Box<Message<'a>>>,
}

/// Reads one message.
pub(crate) fn parse(bytes: &[u8]) -> Result<Message<'_>, ParseError<'_>> {
    // Empty lines before a message are ignored (RFC 3261 §7.5).
    let mut rest = bytes;
    while let Some(after) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
        rest = after;
    }
    let Some((line, mut rest)) = take_line(rest) else {
        return Err(ParseError { reason: "Missing End of Start Line", salvage: None });
    };
    let (start, mut problem) = match start_line(line) {
        Ok(start) => (start, None),
        // A request line that is nearly right can still be answered.
        Err((reason, Some(start))) => (start, Some(reason)),
        Err((reason, None)) => return Err(ParseError { reason, salvage: None }),
    };
    let blank = Header { name: HeaderName::Other, raw_name: b"", value: b"" };
    let mut message = Message { start, headers: [blank; HEADERS_MAX], header_count: 0, body: b"" };
    loop {
        let Some((line, after)) = take_folded(rest) else {
            problem = problem.or(Some("Missing End of Headers"));
            break;
        };
        rest = after;
        if line.is_empty() {
            break;
        }
        let fault = header_line(line).and_then(|header| push(&mut message, header)).err();
        problem = problem.or(fault);
    }
    match body(&message, rest) {
        Ok(body) => message.body = body,
        Err(reason) => problem = problem.or(Some(reason)),
    }
    match problem {
        None => Ok(message),
        Some(reason) => Err(ParseError { reason, salvage: Some(Box::new(message)) }),
    }
}

fn push<'a>(message: &mut Message<'a>, header: Header<'a>) -> Result<(), &'static str> {
    let slot = message.headers.get_mut(message.header_count).ok_or("Too Many Header Fields")?;
    *slot = header;
    message.header_count = message.header_count.saturating_add(1);
    Ok(())
}

/// A line without its end, and what follows it. Lines end in CRLF; a bare LF is taken too.
pub(crate) fn take_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&b| b == b'\n')?;
    let line = bytes.get(..at)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), bytes.get(at.checked_add(1)?..)?))
}

/// A header line with its continuation lines, which begin with white space.
pub(crate) fn take_folded(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut line, mut rest) = take_line(bytes)?;
    while !line.is_empty() && matches!(rest.first(), Some(b' ' | b'\t')) {
        let (_, after) = take_line(rest)?;
        let length = bytes.len().checked_sub(after.len())?;
        let whole = bytes.get(..length)?;
        let whole = whole.strip_suffix(b"\n").unwrap_or(whole);
        line = whole.strip_suffix(b"\r").unwrap_or(whole);
        rest = after;
    }
    Some((line, rest))
}

type StartLineFault<'a> = (&'static str, Option<StartLine<'a>>);

fn start_line(line: &[u8]) -> Result<StartLine<'_>, StartLineFault<'_>> {
    if let Some((version, rest)) = line.split_at_checked(8)
        && version.eq_ignore_ascii_case(b"SIP/2.0 ")
    {
        let (digits, reason) = rest.split_at_checked(3).ok_or(("Malformed Status Line", None))?;
        let status = number(digits).and_then(|n| u16::try_from(n).ok()).filter(|n| (100..700).contains(n));
        let reason = match reason {
            [] => reason,
            [b' ', reason @ ..] => reason,
            _ => return Err(("Malformed Status Line", None)),
        };
        return Ok(StartLine::Response { status: status.ok_or(("Malformed Status Line", None))?, reason });
    }
    let malformed = "Malformed Request Line";
    let first = line.iter().position(|&b| b == b' ').ok_or((malformed, None))?;
    let last = line.iter().rposition(|&b| b == b' ').ok_or((malformed, None))?;
    let token = line.get(..first).filter(|t| is_token(t)).ok_or((malformed, None))?;
    let method = Method::from_bytes(token);
    let salvage = |uri| Some(StartLine::Request { method, token, uri, version_known: true });
    let uri = line.get(first.saturating_add(1)..last).unwrap_or_default();
    let version = line.get(last.saturating_add(1)..).unwrap_or_default();
    if !is_version(version) {
        return Err((malformed, salvage(uri)));
    }
    match Uri::parse(uri) {
        Ok(parsed) if parsed.headers.is_none() => Ok(StartLine::Request {
            method,
            token,
            uri,
            version_known: version.eq_ignore_ascii_case(b"SIP/2.0"),
        }),
        Ok(_) => Err(("Headers in Request-URI", salvage(uri))),
        Err(_) => Err(("Malformed Request-URI", salvage(uri))),
    }
}

/// `SIP/` digits `.` digits.
fn is_version(bytes: &[u8]) -> bool {
    let Some((name, number)) = bytes.split_at_checked(4) else { return false };
    let mut parts = number.split(|&b| b == b'.');
    let digits =
        |part: Option<&[u8]>| part.is_some_and(|p| !p.is_empty() && p.iter().all(u8::is_ascii_digit));
    name.eq_ignore_ascii_case(b"SIP/")
        && digits(parts.next())
        && digits(parts.next())
        && parts.next().is_none()
}

pub(crate) fn header_line(line: &[u8]) -> Result<Header<'_>, &'static str> {
    if !is_clean(line) {
        return Err("Stray Line End in Header Field");
    }
    let (name, value) = crate::lex::split_once(line, b':').ok_or("Header Line Without Colon")?;
    // White space may stand before the colon, not before the name: that would be a continuation.
    let name = name.trim_ascii_end();
    if !is_token(name) {
        return Err("Malformed Header Name");
    }
    Ok(Header { name: HeaderName::from_bytes(name), raw_name: name, value: trim(value) })
}

/// Line ends only where a fold is: what we copy into other messages must stay one header for
/// every reader, those that take a lone CR as a line end included.
fn is_clean(line: &[u8]) -> bool {
    let mut rest = line;
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        rest = match rest.get(at..) {
            Some([b'\r', b'\n', b' ' | b'\t', after @ ..] | [b'\n', b' ' | b'\t', after @ ..]) => after,
            _ => return false,
        };
    }
    true
}

/// RFC 3261 §18.3: octets after the body are dropped on datagrams; a shorter body is an error.
fn body<'a>(message: &Message<'a>, rest: &'a [u8]) -> Result<&'a [u8], &'static str> {
    let mut length = None;
    for value in message.all(HeaderName::ContentLength) {
        let this = number(value).ok_or("Malformed Content-Length Header Field")?;
        if length.is_some_and(|other| other != this) {
            return Err("Conflicting Content-Length Header Fields");
        }
        length = Some(this);
    }
    match length {
        None => Ok(rest),
        Some(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            rest.get(..length).ok_or("Content-Length Larger Than Body")
        }
    }
}

/// What stands at the beginning of a stream's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// More bytes are needed.
    NeedMore,
    /// A whole message of so many bytes.
    Message(usize),
    /// A keep-alive of four bytes (RFC 5626 §3.5.1): answer with CRLF.
    Ping,
    /// Two bytes of CRLF: the answer to our keep-alive, or space between messages.
    Pong,
    /// This can never become a message: close the connection.
    Broken(&'static str),
}

/// Looks for one message at the beginning of a stream's buffer (RFC 3261 §18.3: Content-Length is
/// mandatory on streams).
pub fn frame(buffer: &[u8]) -> Framing {
    if buffer.starts_with(b"\r\n\r\n") {
        return Framing::Ping;
    }
    if let Some(rest) = buffer.strip_prefix(b"\r\n") {
        // One more byte tells a lone CRLF from the first half of a ping.
        return if matches!(rest, [] | [b'\r']) { Framing::NeedMore } else { Framing::Pong };
    }
    let Some(head) = find(buffer, b"\r\n\r\n") else {
        return if buffer.len() >= STREAM_MESSAGE_BYTES_MAX {
            Framing::Broken("Message Too Large")
        } else {
            Framing::NeedMore
        };
    };
    let head_length = head.saturating_add(4);
    let (_, mut rest) = buffer.get(..head_length).and_then(take_line).unwrap_or_default();
    let mut length = None;
    while let Some((line, after)) = take_folded(rest) {
        rest = after;
        if line.is_empty() && !rest.is_empty() {
            // Bare line ends made an empty line before ours: the two of us would disagree on the body.
            return Framing::Broken("Malformed Line End");
        }
        let Ok(header) = header_line(line) else { continue };
        if header.name == HeaderName::ContentLength {
            match number(header.value).and_then(|n| usize::try_from(n).ok()) {
                Some(this) if length.is_none_or(|other| other == this) => length = Some(this),
                _ => return Framing::Broken("Malformed Content-Length Header Field"),
            }
        }
    }
    let Some(total) = length.and_then(|length| head_length.checked_add(length)) else {
        return Framing::Broken("Missing Content-Length Header Field");
    };
    if total > STREAM_MESSAGE_BYTES_MAX {
        return Framing::Broken("Message Too Large");
    }
    if buffer.len() < total { Framing::NeedMore } else { Framing::Message(total) }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
