//! Which part of a message's body is a session description (RFC 5621): the body itself, or one part of
//! a `multipart/…` body, as carriers send it beside ISUP or a caller's location.

use crate::{
    header::HeaderName,
    lex::{parameter, split_outside, trim},
    message::Message,
    parse::{header_line, take_folded, take_line},
};

/// What a body is to a user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Description<'a> {
    /// There is no body, or one that may be ignored (`handling=optional`).
    None,
    /// The session description.
    Sdp(&'a [u8]),
    /// A body that must be understood and is not: 415.
    Unsupported,
}

impl<'a> Description<'a> {
    /// The description's bytes, when there is one.
    pub fn sdp(self) -> Option<&'a [u8]> {
        match self {
            Self::Sdp(bytes) => Some(bytes),
            Self::None | Self::Unsupported => None,
        }
    }
}

impl<'a> Message<'a> {
    /// The session description in the body; without a Content-Type, the body that looks like one.
    pub fn description(&self) -> Description<'a> {
        if self.body.is_empty() {
            return Description::None;
        }
        let Some(kind) = self.header(HeaderName::ContentType) else {
            let looks = self.body.starts_with(b"v=0");
            return if looks { Description::Sdp(self.body) } else { Description::Unsupported };
        };
        if is_kind(kind, b"application/sdp") {
            return Description::Sdp(self.body);
        }
        let part = boundary(kind).and_then(|boundary| part(self.body, boundary, b"application/sdp"));
        match part {
            Some(part) => Description::Sdp(part),
            None if self.header(HeaderName::ContentDisposition).is_some_and(is_optional) => Description::None,
            None => Description::Unsupported,
        }
    }
}

fn is_kind(value: &[u8], kind: &[u8]) -> bool {
    split_outside(value, b';').next().is_some_and(|first| trim(first).eq_ignore_ascii_case(kind))
}

fn is_optional(disposition: &[u8]) -> bool {
    find_parameter(disposition, b"handling").is_some_and(|value| value.eq_ignore_ascii_case(b"optional"))
}

fn boundary(kind: &[u8]) -> Option<&[u8]> {
    let multipart = kind.get(..10)?.eq_ignore_ascii_case(b"multipart/");
    // RFC 2046 §5.1.1: 1 to 70 characters.
    find_parameter(kind, b"boundary").filter(|value| multipart && (1..=70).contains(&value.len()))
}

fn find_parameter<'a>(value: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    split_outside(value, b';').skip(1).find_map(|piece| {
        let (name, value) = parameter(piece);
        value.filter(|_| name.eq_ignore_ascii_case(wanted))
    })
}

/// The content of the first part of this kind.
fn part<'a>(body: &'a [u8], boundary: &[u8], kind: &[u8]) -> Option<&'a [u8]> {
    let mut rest = body;
    let mut open: Option<&'a [u8]> = None;
    while !rest.is_empty() {
        let (line, after) = take_line(rest).unwrap_or((rest, b""));
        if line.strip_prefix(b"--").is_some_and(|line| line.starts_with(boundary)) {
            let content = open.and_then(|part| part.get(..part.len().checked_sub(rest.len())?));
            if let Some(found) = content.and_then(|content| content_of(content, kind)) {
                return Some(found);
            }
            open = Some(after);
        }
        rest = after;
    }
    None
}

/// The content of a part without its headers, if it is of this kind. The line end before the next
/// delimiter belongs to the delimiter.
fn content_of<'a>(part: &'a [u8], kind: &[u8]) -> Option<&'a [u8]> {
    let part = part.strip_suffix(b"\n")?;
    let mut rest = part.strip_suffix(b"\r").unwrap_or(part);
    let mut fits = false;
    loop {
        let (line, after) = take_folded(rest)?;
        rest = after;
        if line.is_empty() {
            return fits.then_some(rest);
        }
        let header = header_line(line).ok()?;
        fits |= header.name == HeaderName::ContentType && is_kind(header.value, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(kind: &str, extra: &str, body: &str) -> Option<String> {
        let text = format!(
            "INVITE sip:a@b SIP/2.0\r\nContent-Type: {kind}\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        match Message::parse(text.as_bytes()).unwrap().description() {
            Description::None => Some(String::new()),
            Description::Sdp(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Description::Unsupported => None,
        }
    }

    const MIXED: &str = "preamble\r\n--cut here\r\nContent-Type: application/isup;version=itu-t92+\r\n\
        Content-Disposition: signal;handling=optional\r\n\r\n\x01\x00\r\n--\r\n--cut here\r\n\
        content-type : Application/SDP\r\nContent-ID: <1>\r\n\r\nv=0\r\ns=-\r\n--cut here--\r\nepilogue";

    #[test]
    fn a_description_is_found_beside_other_parts() {
        let kind = "multipart/mixed ; boundary=\"cut here\"";
        assert_eq!(described(kind, "", MIXED).unwrap(), "v=0\r\ns=-");
        let reversed = "--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n--x\r\n\
            Content-Type: application/pidf+xml\r\n\r\n<a/>\r\n--x--";
        assert_eq!(described("Multipart/Related;type=a;boundary=x", "", reversed).unwrap(), "v=0\r\n");
    }

    #[test]
    fn a_body_that_is_none_is_unsupported_unless_it_may_be_ignored() {
        let isup = "application/isup";
        assert_eq!(described(isup, "", "\x01"), None);
        assert_eq!(described(isup, "Content-Disposition: signal;handling=optional\r\n", "\x01").unwrap(), "");
        for kind in ["multipart/mixed", "multipart/mixed;boundary=other", "multipart/mixed;boundary=\"\""] {
            assert_eq!(described(kind, "", MIXED), None, "{kind}");
        }
        assert_eq!(described("application/sdp;charset=utf-8", "", "v=0").unwrap(), "v=0");
    }
}
