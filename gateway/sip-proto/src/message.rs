//! A SIP message as borrowed slices: one pass over the datagram, no allocation.
//!
//! Two verdicts. What has no sound frame is a [`ParseError`], and carries what could be read so that a
//! request can still be refused with 400. Everything else is a [`Message`]; whether its typed headers
//! are sound is [`Message::check`]'s business.

use crate::{
    header::{CSeq, HeaderName, NameAddr, Via},
    lex::{is_token, number, split_outside, trim},
};

pub use crate::body::Description;
pub use crate::parse::{Framing, ParseError, STREAM_MESSAGE_BYTES_MAX, frame};

/// Headers kept in a message; a message with more is refused.
pub const HEADERS_MAX: usize = 64;

/// A request's method (a closed list of what we know; methods are case-sensitive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "the variants are the method names of RFC 3261, 3262, 3311, 3428, 3515, 3903, 6086, 6665"
)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Message,
    Refer,
    Subscribe,
    Notify,
    Publish,
    /// Any other token.
    Unknown,
}

impl Method {
    /// The method a token names.
    pub fn from_bytes(token: &[u8]) -> Self {
        ALL_METHODS
            .iter()
            .find(|(_, name)| name.as_bytes() == token)
            .map_or(Self::Unknown, |(method, _)| *method)
    }

    /// The method's token; empty for an unknown one.
    pub fn as_str(self) -> &'static str {
        ALL_METHODS.iter().find(|(method, _)| *method == self).map_or("", |(_, name)| name)
    }
}

const ALL_METHODS: [(Method, &str); 14] = [
    (Method::Invite, "INVITE"),
    (Method::Ack, "ACK"),
    (Method::Bye, "BYE"),
    (Method::Cancel, "CANCEL"),
    (Method::Options, "OPTIONS"),
    (Method::Register, "REGISTER"),
    (Method::Prack, "PRACK"),
    (Method::Update, "UPDATE"),
    (Method::Info, "INFO"),
    (Method::Message, "MESSAGE"),
    (Method::Refer, "REFER"),
    (Method::Subscribe, "SUBSCRIBE"),
    (Method::Notify, "NOTIFY"),
    (Method::Publish, "PUBLISH"),
];

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// A request.
    Request {
        /// What it asks for.
        method: Method,
        /// The method's token as received.
        token: &'a [u8],
        /// The Request-URI as received.
        uri: &'a [u8],
        /// The version says `SIP/2.0`; anything else is answered with 505.
        version_known: bool,
    },
    /// A response.
    Response {
        /// 100 to 699.
        status: u16,
        /// The reason phrase, which may be empty and need not be UTF-8.
        reason: &'a [u8],
    },
}

/// A header line: folded lines are one value, with the fold left in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name's meaning.
    pub name: HeaderName,
    /// The name as received.
    pub raw_name: &'a [u8],
    /// The value, trimmed.
    pub value: &'a [u8],
}

/// A message with a sound frame.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// The first line.
    pub start: StartLine<'a>,
    pub(crate) headers: [Header<'a>; HEADERS_MAX],
    pub(crate) header_count: usize,
    /// The body, as long as Content-Length says (RFC 3261 §18.3), else what the datagram holds.
    pub body: &'a [u8],
}

/// What is wrong with a message's typed headers: the reason phrase of the 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadHeader(pub &'static str);

impl<'a> Message<'a> {
    /// Reads one datagram, or one framed message of a stream.
    ///
    /// # Errors
    /// [`ParseError`] when the frame is not sound; it carries the part that could be read.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError<'a>> {
        crate::parse::parse(bytes)
    }

    /// All headers, in order.
    pub fn headers(&self) -> &[Header<'a>] {
        self.headers.get(..self.header_count).unwrap_or_default()
    }

    /// The first header of this name.
    pub fn header(&self, name: HeaderName) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Every header line of this name.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.headers().iter().filter(move |h| h.name == name).map(|h| h.value)
    }

    /// Every comma-separated element of all header lines of this name, trimmed, empty ones left out.
    pub fn elements(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.all(name).flat_map(|value| split_outside(value, b',')).map(trim).filter(|e| !e.is_empty())
    }

    /// Whether a token stands in a list header (Require, Supported, Allow), in any case.
    pub fn lists(&self, name: HeaderName, token: &str) -> bool {
        self.elements(name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The hops, topmost first; an element that is no Via is left out.
    pub fn vias(&self) -> impl Iterator<Item = Via<'a>> + '_ {
        self.elements(HeaderName::Via).filter_map(Via::parse)
    }

    /// The topmost hop.
    pub fn top_via(&self) -> Option<Via<'a>> {
        self.elements(HeaderName::Via).next().and_then(Via::parse)
    }

    /// The From header.
    pub fn from(&self) -> Option<NameAddr<'a>> {
        self.header(HeaderName::From).and_then(NameAddr::parse)
    }

    /// The To header.
    pub fn to(&self) -> Option<NameAddr<'a>> {
        self.header(HeaderName::To).and_then(NameAddr::parse)
    }

    /// The Call-ID; none when it is absent or empty.
    pub fn call_id(&self) -> Option<&'a [u8]> {
        self.header(HeaderName::CallId).filter(|id| !id.is_empty())
    }

    /// The CSeq header.
    pub fn cseq(&self) -> Option<CSeq<'a>> {
        self.header(HeaderName::CSeq).and_then(CSeq::parse)
    }

    /// Contacts; an element that is no address is left out. `*` is no address.
    pub fn contacts(&self) -> impl Iterator<Item = NameAddr<'a>> + '_ {
        self.elements(HeaderName::Contact).filter_map(NameAddr::parse)
    }

    /// Max-Forwards; none when absent or unreadable.
    pub fn max_forwards(&self) -> Option<u32> {
        self.header(HeaderName::MaxForwards).and_then(number)
    }

    /// The media type of the body, without parameters, as received.
    pub fn content_type(&self) -> Option<&'a [u8]> {
        self.header(HeaderName::ContentType).and_then(|value| split_outside(value, b';').next()).map(trim)
    }

    /// The request's method; none for responses.
    pub fn method(&self) -> Option<Method> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// Decodes every header that a user agent must understand, and looks for what RFC 4475 calls
    /// invalid.
    ///
    /// # Errors
    /// [`BadHeader`] with the reason phrase of the 400.
    pub fn check(&self) -> Result<(), BadHeader> {
        for (name, text) in SINGLETONS {
            if self.all(*name).count() > 1 {
                return Err(BadHeader(text));
            }
        }
        let mut vias = self.elements(HeaderName::Via).peekable();
        if vias.peek().is_none() {
            return Err(BadHeader("Missing Via Header Field"));
        }
        if vias.any(|via| Via::parse(via).is_none()) {
            return Err(BadHeader("Malformed Via Header Field"));
        }
        self.from().ok_or(BadHeader("Missing or Malformed From Header Field"))?;
        self.to().ok_or(BadHeader("Missing or Malformed To Header Field"))?;
        let call_id = self.call_id().ok_or(BadHeader("Missing Call-ID Header Field"))?;
        if call_id.iter().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
            return Err(BadHeader("Malformed Call-ID Header Field"));
        }
        let cseq = self.cseq().ok_or(BadHeader("Missing or Malformed CSeq Header Field"))?;
        if self.header(HeaderName::MaxForwards).is_some() && self.max_forwards().is_none_or(|n| n > 255) {
            return Err(BadHeader("Malformed Max-Forwards Header Field"));
        }
        for name in [HeaderName::Contact, HeaderName::RecordRoute, HeaderName::Route] {
            if self.elements(name).any(|e| e != b"*" && NameAddr::parse(e).is_none()) {
                return Err(BadHeader("Malformed Contact or Route Header Field"));
            }
        }
        if let StartLine::Request { token, .. } = self.start
            && cseq.method != token
        {
            return Err(BadHeader("CSeq Method Does Not Match Request"));
        }
        Ok(())
    }

    /// The method token a response answers, or a request has; from CSeq.
    pub fn cseq_method(&self) -> Option<Method> {
        self.cseq().map(|cseq| Method::from_bytes(cseq.method))
    }

    /// Whether every element of a token list is a token.
    pub fn is_token_list(&self, name: HeaderName) -> bool {
        self.elements(name).all(is_token)
    }
}

/// Headers that may stand once only, and the reason phrase when they do not.
const SINGLETONS: &[(HeaderName, &str)] = &[
    (HeaderName::From, "Multiple From Header Fields"),
    (HeaderName::To, "Multiple To Header Fields"),
    (HeaderName::CallId, "Multiple Call-ID Header Fields"),
    (HeaderName::CSeq, "Multiple CSeq Header Fields"),
    (HeaderName::MaxForwards, "Multiple Max-Forwards Header Fields"),
];
