//! Writing messages: straight into the caller's buffer.
//!
//! Everything copied from a peer was framed as a header value by the parser, so no line end can slip
//! in; values made by us are checked by [`clean`].

use std::{io::Write, net::SocketAddr};

use crate::{
    header::{HeaderName, Via},
    lex::{parameter, split_outside, trim},
    message::Message,
};

/// The lines that every response to a request repeats: Via (with `received` and `rport` filled in, RFC
/// 3581 §4), Record-Route, From, To with our tag, Call-ID, CSeq, Timestamp. Headers that could not be read are
/// left out.
pub(crate) fn response_head(out: &mut Vec<u8>, request: &Message<'_>, source: SocketAddr, to_tag: &[u8]) {
    let mut first = true;
    for via in request.elements(HeaderName::Via) {
        out.extend_from_slice(b"Via: ");
        if first {
            top_via(out, via, source);
        } else {
            out.extend_from_slice(via);
        }
        out.extend_from_slice(b"\r\n");
        first = false;
    }
    for route in request.all(HeaderName::RecordRoute) {
        line(out, "Record-Route", route);
    }
    if let Some(from) = request.header(HeaderName::From) {
        line(out, "From", from);
    }
    if let Some(to) = request.header(HeaderName::To) {
        out.extend_from_slice(b"To: ");
        out.extend_from_slice(to);
        let tagged = request.to().is_some_and(|to| to.tag().is_some());
        if !tagged && !to_tag.is_empty() {
            out.extend_from_slice(b";tag=");
            out.extend_from_slice(to_tag);
        }
        out.extend_from_slice(b"\r\n");
    }
    // Timestamp: RFC 3261 §8.2.6.1.
    for name in [HeaderName::CallId, HeaderName::CSeq, HeaderName::Timestamp] {
        if let Some(value) = request.header(name) {
            line(out, name.as_str(), value);
        }
    }
}

fn top_via(out: &mut Vec<u8>, raw: &[u8], source: SocketAddr) {
    let parsed = Via::parse(raw);
    let mut has_rport = false;
    for (index, piece) in split_outside(raw, b';').enumerate() {
        let (name, _) = parameter(piece);
        if index > 0 && name.eq_ignore_ascii_case(b"received") {
            continue;
        }
        if index > 0 {
            out.push(b';');
        }
        if index > 0 && name.eq_ignore_ascii_case(b"rport") {
            has_rport = true;
            write!(out, "rport={}", source.port()).ok();
        } else {
            out.extend_from_slice(trim(piece));
        }
    }
    let named = parsed.and_then(|via| std::str::from_utf8(via.host).ok()?.parse().ok());
    if has_rport || named != Some(source.ip()) {
        write!(out, ";received={}", source.ip()).ok();
    }
}

/// One header line.
pub(crate) fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The status line.
pub(crate) fn status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    write!(out, "SIP/2.0 {status} {}\r\n", clean(reason)).ok();
}

/// The end of the headers, and the body.
pub(crate) fn finish(out: &mut Vec<u8>, body: Option<(&str, &[u8])>) {
    match body {
        Some((kind, bytes)) => {
            write!(out, "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", bytes.len()).ok();
            out.extend_from_slice(bytes);
        }
        None => out.extend_from_slice(b"Content-Length: 0\r\n\r\n"),
    }
}

/// Text without line ends, which would begin a header of somebody else's choice.
pub(crate) fn clean(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

/// The reason phrase of a status code.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        410 => "Gone",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        _ => class_phrase(status),
    }
}

/// What a status means by its first digit (RFC 3261 §8.1.3.2).
fn class_phrase(status: u16) -> &'static str {
    match status {
        ..200 => "Progress",
        200..300 => "OK",
        300..400 => "Redirection",
        400..500 => "Request Failure",
        500..600 => "Server Failure",
        600.. => "Global Failure",
    }
}
