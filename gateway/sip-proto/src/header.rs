//! Header names, and the typed values of the headers a user agent reads.

use crate::{
    lex::{is_lws, is_token, number, parameter, quoted_end, split_once, split_outside, trim},
    uri::{Uri, host_port},
};

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $long:literal $(| $short:literal)?),* $(,)?) => {
        /// The headers this stack knows by name; all others are kept as they came.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum HeaderName {
            $($(#[$doc])* #[doc = concat!("`", $long, "`")] $variant,)*
            /// Any other header.
            Other,
        }

        impl HeaderName {
            /// The name's meaning, long or compact form, in any case.
            pub fn from_bytes(name: &[u8]) -> Self {
                $(if name.eq_ignore_ascii_case($long.as_bytes()) $(|| name.eq_ignore_ascii_case($short.as_bytes()))? {
                    return Self::$variant;
                })*
                Self::Other
            }

            /// The long form, as we write it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $long,)*
                    Self::Other => "",
                }
            }
        }
    };
}

names! {
    Via = "Via" | "v",
    From = "From" | "f",
    To = "To" | "t",
    CallId = "Call-ID" | "i",
    CSeq = "CSeq",
    Contact = "Contact" | "m",
    MaxForwards = "Max-Forwards",
    ContentLength = "Content-Length" | "l",
    ContentType = "Content-Type" | "c",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding" | "e",
    Allow = "Allow",
    Supported = "Supported" | "k",
    Require = "Require",
    ProxyRequire = "Proxy-Require",
    Accept = "Accept",
    RecordRoute = "Record-Route",
    Route = "Route",
    PAssertedIdentity = "P-Asserted-Identity",
    PCalledPartyId = "P-Called-Party-ID",
    Privacy = "Privacy",
    SessionExpires = "Session-Expires" | "x",
    MinSe = "Min-SE",
    RSeq = "RSeq",
    RAck = "RAck",
    Authorization = "Authorization",
    WwwAuthenticate = "WWW-Authenticate",
    ProxyAuthenticate = "Proxy-Authenticate",
    Reason = "Reason",
    RetryAfter = "Retry-After",
    Expires = "Expires",
    MinExpires = "Min-Expires",
    UserAgent = "User-Agent",
    Server = "Server",
    Warning = "Warning",
    Date = "Date",
    Diversion = "Diversion",
    HistoryInfo = "History-Info",
    Identity = "Identity" | "y",
    ReferTo = "Refer-To" | "r",
    ReferredBy = "Referred-By" | "b",
    ReferSub = "Refer-Sub",
    Replaces = "Replaces",
    Timestamp = "Timestamp",
}

/// One hop of a Via header (RFC 3261 §20.42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The hop as received, without surrounding white space.
    pub raw: &'a [u8],
    /// `UDP`, `TCP`, `TLS` and so on, as received.
    pub transport: &'a [u8],
    /// The host the sender names, IPv6 without brackets.
    pub host: &'a [u8],
    /// The port the sender names.
    pub port: Option<u16>,
    /// The branch, when there is one.
    pub branch: Option<&'a [u8]>,
    /// The sender asks for `rport` (RFC 3581).
    pub rport: bool,
}

/// What begins every RFC 3261 branch.
pub const BRANCH_COOKIE: &[u8] = b"z9hG4bK";

impl<'a> Via<'a> {
    /// Reads one hop.
    pub fn parse(raw: &'a [u8]) -> Option<Self> {
        let raw = trim(raw);
        let mut pieces = split_outside(raw, b';');
        let head = pieces.next()?;
        let (protocol, rest) = split_once(head, b'/')?;
        let (version, rest) = split_once(rest, b'/')?;
        let rest = trim(rest);
        let end = rest.iter().position(|&b| is_lws(b))?;
        let (transport, sent_by) = (rest.get(..end)?, trim(rest.get(end..)?));
        if !trim(protocol).eq_ignore_ascii_case(b"SIP") || trim(version) != b"2.0" || !is_token(transport) {
            return None;
        }
        let (host, port) = host_port(sent_by).ok()?;
        let mut via = Self { raw, transport, host, port, branch: None, rport: false };
        for piece in pieces {
            let (name, value) = parameter(piece);
            if !is_token(name) {
                return None;
            }
            if name.eq_ignore_ascii_case(b"branch") {
                via.branch = Some(value?);
            } else if name.eq_ignore_ascii_case(b"rport") {
                via.rport = true;
            } else if name.eq_ignore_ascii_case(b"ttl") || name.eq_ignore_ascii_case(b"received") {
                value.filter(|v| !v.is_empty())?;
            }
        }
        Some(via)
    }
}

/// A `name-addr` or `addr-spec` with its header parameters: From, To, Contact, Route and their like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The whole value as received, trimmed.
    pub raw: &'a [u8],
    /// The display name without its quotes, escapes left in.
    pub display: &'a [u8],
    /// The URI.
    pub uri: Uri<'a>,
    /// Header parameters as received, from after the first `;`.
    pub params: &'a [u8],
}

impl<'a> NameAddr<'a> {
    /// Reads one value.
    pub fn parse(raw: &'a [u8]) -> Option<Self> {
        let raw = trim(raw);
        let (display, rest) = if raw.first() == Some(&b'"') {
            let end = quoted_end(raw)?;
            let quoted = raw.get(1..end.checked_sub(1)?)?;
            let rest = trim(raw.get(end..)?);
            if rest.first() != Some(&b'<') {
                return None;
            }
            (quoted, rest)
        } else if let Some(at) = raw.iter().position(|&b| b == b'<') {
            let display = trim(raw.get(..at)?);
            // RFC 3261 §25.1 wants tokens and white space here. Carriers also send names as their customers
            // typed them; what cannot be taken is what would end or split the value.
            if display.iter().any(|b| b"\",;:\\>".contains(b) || (b.is_ascii_control() && !is_lws(*b))) {
                return None;
            }
            (display, raw.get(at..)?)
        } else {
            return Self::addr_spec(raw);
        };
        let (uri, after) = split_once(rest.get(1..)?, b'>')?;
        let after = trim(after);
        let params = match after.first() {
            None => &b""[..],
            Some(b';') => after.get(1..)?,
            Some(_) => return None,
        };
        let uri = Uri::parse(uri).ok()?;
        params_are_sound(params).then_some(Self { raw, display, uri, params })
    }

    /// Without angle brackets every `;` begins a header parameter, and `?` or `,` is not allowed in the
    /// URI (RFC 3261 §20.10).
    fn addr_spec(raw: &'a [u8]) -> Option<Self> {
        let (uri, params) = split_once(raw, b';').unwrap_or((raw, b""));
        let uri = trim(uri);
        if uri.contains(&b'?') || uri.contains(&b',') {
            return None;
        }
        let uri = Uri::parse(uri).ok()?;
        params_are_sound(params).then_some(Self { raw, display: b"", uri, params })
    }

    /// A header parameter's value, empty when it has none.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        split_outside(self.params, b';').find_map(|piece| {
            let (key, value) = parameter(piece);
            key.eq_ignore_ascii_case(name.as_bytes()).then_some(value.unwrap_or_default())
        })
    }

    /// The display name as text: escapes resolved, folds and runs of spaces made one space.
    pub fn display_text(&self) -> String {
        crate::lex::quoted_text(self.display)
    }

    /// The tag, when there is one that is not empty.
    pub fn tag(&self) -> Option<&'a [u8]> {
        self.param("tag").filter(|tag| !tag.is_empty())
    }
}

/// Every parameter has a name, and a value where there is an equals sign.
fn params_are_sound(params: &[u8]) -> bool {
    trim(params).is_empty()
        || split_outside(params, b';').all(|piece| {
            let (name, value) = parameter(piece);
            is_token(name) && value.is_none_or(|v| !v.is_empty() || trim(piece).ends_with(b"\"\""))
        })
}

/// A CSeq header's value (RFC 3261 §20.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The number, below 2³¹ in what conforming peers send; the whole 32 bits are taken.
    pub number: u32,
    /// The method as received.
    pub method: &'a [u8],
}

impl<'a> CSeq<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        let end = value.iter().position(|&b| is_lws(b))?;
        let number = number(value.get(..end)?)?;
        let method = trim(value.get(end..)?);
        is_token(method).then_some(Self { number, method })
    }
}

/// A RAck header's value (RFC 3262 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RAck<'a> {
    /// The RSeq of the acknowledged provisional response.
    pub rseq: u32,
    /// The CSeq of the request it answered.
    pub cseq: CSeq<'a>,
}

impl<'a> RAck<'a> {
    /// Reads the value.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        let end = value.iter().position(|&b| is_lws(b))?;
        Some(Self { rseq: number(value.get(..end)?)?, cseq: CSeq::parse(value.get(end..)?)? })
    }
}

/// A Session-Expires header's value (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// The interval in seconds.
    pub seconds: u32,
    /// Who refreshes: `Some(true)` for the caller (`uac`), `Some(false)` for us (`uas`).
    pub refresher_is_uac: Option<bool>,
}

impl SessionExpires {
    /// Reads the value.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut pieces = split_outside(value, b';');
        let seconds = number(trim(pieces.next()?))?;
        let refresher_is_uac = pieces.find_map(|piece| {
            let (name, value) = parameter(piece);
            if !name.eq_ignore_ascii_case(b"refresher") {
                return None;
            }
            match value {
                Some(v) if v.eq_ignore_ascii_case(b"uac") => Some(true),
                Some(v) if v.eq_ignore_ascii_case(b"uas") => Some(false),
                _ => None,
            }
        });
        Some(Self { seconds, refresher_is_uac })
    }
}
