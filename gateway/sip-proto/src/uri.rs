//! URIs as they stand in SIP messages (RFC 3261 §19.1, RFC 3966), borrowed and never re-escaped.

use crate::lex::{split_once, trim};

/// A URI, decoded as far as a gateway needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The text as received.
    pub raw: &'a [u8],
    /// Its scheme.
    pub scheme: Scheme<'a>,
    /// The user part (or the number of a `tel:` URI) as received, escapes included.
    pub user: Option<&'a [u8]>,
    /// The host as received; IPv6 without its brackets. Empty for `tel:` and unknown schemes.
    pub host: &'a [u8],
    /// The port, when there is one.
    pub port: Option<u16>,
    /// Parameters, from after the first `;`, as received.
    pub params: &'a [u8],
    /// Headers, from after the `?`, as received. Never applied to anything.
    pub headers: Option<&'a [u8]>,
}

/// A URI's scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Anything else; answered with 416 in a Request-URI.
    Other(&'a [u8]),
}

/// Why bytes are not a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// There is no scheme.
    #[error("URI without scheme")]
    Scheme,
    /// The host is empty or has characters that no host has.
    #[error("URI with bad host")]
    Host,
    /// The port is not a number up to 65535.
    #[error("URI with bad port")]
    Port,
    /// White space, control characters, quotes or angle brackets inside.
    #[error("URI with white space, control characters or brackets")]
    Characters,
}

impl<'a> Uri<'a> {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`UriError`] says which part is wrong. Unknown schemes are values, not errors.
    pub fn parse(raw: &'a [u8]) -> Result<Self, UriError> {
        if raw
            .iter()
            .any(|b| b.is_ascii_whitespace() || b.is_ascii_control() || matches!(b, b'<' | b'>' | b'"'))
        {
            return Err(UriError::Characters);
        }
        let (scheme, rest) = split_once(raw, b':').ok_or(UriError::Scheme)?;
        let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
        if !valid {
            return Err(UriError::Scheme);
        }
        if scheme.eq_ignore_ascii_case(b"sip") {
            Self::sip(raw, Scheme::Sip, rest)
        } else if scheme.eq_ignore_ascii_case(b"sips") {
            Self::sip(raw, Scheme::Sips, rest)
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            let (number, params) = split_once(rest, b';').unwrap_or((rest, b""));
            if number.is_empty() {
                return Err(UriError::Host);
            }
            Ok(Self {
                raw,
                scheme: Scheme::Tel,
                user: Some(number),
                host: b"",
                port: None,
                params,
                headers: None,
            })
        } else {
            let scheme = Scheme::Other(scheme);
            Ok(Self { raw, scheme, user: None, host: b"", port: None, params: b"", headers: None })
        }
    }

    fn sip(raw: &'a [u8], scheme: Scheme<'a>, rest: &'a [u8]) -> Result<Self, UriError> {
        // The user part may hold ';', '?' and '/', so the last '@' before the headers ends it; an '@' is
        // never legal in host, parameters, or unescaped in headers (RFC 3261 §25.1).
        let (userinfo, rest) = match rest.iter().rposition(|&b| b == b'@') {
            Some(at) => (rest.get(..at), rest.get(at.saturating_add(1)..).unwrap_or_default()),
            None => (None, rest),
        };
        let (rest, headers) = match split_once(rest, b'?') {
            Some((rest, headers)) => (rest, Some(headers)),
            None => (rest, None),
        };
        let (hostport, params) = split_once(rest, b';').unwrap_or((rest, b""));
        let (host, port) = host_port(hostport)?;
        let user = userinfo.map(|info| split_once(info, b':').map_or(info, |(user, _password)| user));
        Ok(Self { raw, scheme, user, host, port, params, headers })
    }

    /// The value of a parameter, empty when it has none; `None` when it is absent.
    pub fn param(&self, name: &str) -> Option<&'a [u8]> {
        self.params.split(|&b| b == b';').find_map(|piece| {
            let (key, value) = split_once(piece, b'=').unwrap_or((piece, b""));
            key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)
        })
    }

    /// The user part with its escapes decoded (RFC 3261 §19.1.2), and without parameters inside it
    /// (`+1415;npdi` as some carriers send). The visual separators of a `tel:` number are left out
    /// (RFC 3966 §5.1.1). Bytes that are not UTF-8 are replaced.
    pub fn user_text(&self) -> Option<String> {
        let user = self.user?;
        let user = split_once(user, b';').map_or(user, |(user, _)| user);
        let mut decoded = percent_decoded(user);
        if self.scheme == Scheme::Tel {
            decoded.retain(|b| !b"-.()".contains(b));
        }
        Some(String::from_utf8_lossy(&decoded).into_owned())
    }
}

/// A host and an optional port: names, IPv4, bracketed IPv6 (returned without brackets).
///
/// # Errors
/// [`UriError::Host`] or [`UriError::Port`].
pub fn host_port(bytes: &[u8]) -> Result<(&[u8], Option<u16>), UriError> {
    let bytes = trim(bytes);
    if let Some(rest) = bytes.strip_prefix(b"[") {
        let (host, after) = split_once(rest, b']').ok_or(UriError::Host)?;
        if !is_ipv6(host) {
            return Err(UriError::Host);
        }
        let after = trim(after);
        return match after.strip_prefix(b":") {
            Some(digits) => Ok((host, Some(port(digits)?))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(UriError::Host),
        };
    }
    let (host, digits) = match split_once(bytes, b':') {
        Some((host, digits)) => (trim(host), Some(digits)),
        None => (bytes, None),
    };
    let valid = !host.is_empty() && host.iter().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(b));
    if !valid {
        return Err(UriError::Host);
    }
    Ok((host, digits.map(port).transpose()?))
}

fn port(digits: &[u8]) -> Result<u16, UriError> {
    crate::lex::number(trim(digits)).and_then(|n| u16::try_from(n).ok()).ok_or(UriError::Port)
}

/// IPv6 text; a fourth colon before an embedded IPv4 address is tolerated (RFC 5118 §4.10).
pub(crate) fn is_ipv6(host: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(host) else { return false };
    text.parse::<std::net::Ipv6Addr>().is_ok()
        || text.replace(":::", "::").parse::<std::net::Ipv6Addr>().is_ok()
}

/// Percent escapes decoded; a `%` without two hex digits stays.
pub fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        if let ([b'%'], [high, low, after @ ..]) = ([*first], tail) {
            let pair = [*high, *low];
            let value = std::str::from_utf8(&pair).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
            if let Some(value) = value.filter(|_| pair.iter().all(u8::is_ascii_hexdigit)) {
                out.push(value);
                rest = after;
                continue;
            }
        }
        out.push(*first);
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_carrier_uri_comes_apart() {
        let uri = parsed("sip:+14155550100;npdi=yes@[2001:db8::1]:5070;user=phone;lr?x=y");
        assert_eq!(uri.user_text().unwrap(), "+14155550100");
        assert_eq!((uri.host, uri.port), (&b"2001:db8::1"[..], Some(5070)));
        assert_eq!(uri.param("user"), Some(&b"phone"[..]));
        assert_eq!(uri.param("LR"), Some(&b""[..]));
        assert_eq!(uri.headers, Some(&b"x=y"[..]));
    }

    #[test]
    fn a_user_part_may_hold_semicolons_and_question_marks_and_escapes() {
        assert_eq!(parsed("sip:user;par=u%40example.net@example.com").host, b"example.com");
        assert_eq!(parsed("sip:a?b@host").user, Some(&b"a?b"[..]));
        assert_eq!(parsed("sip:sip%3Auser%40example.com@h").user_text().unwrap(), "sip:user@example.com");
    }

    #[test]
    fn tel_and_unknown_schemes_are_values() {
        assert_eq!(parsed("tel:+1415;ext=3").user, Some(&b"+1415"[..]));
        assert_eq!(parsed("tel:+1-(415)-555.0100").user_text().unwrap(), "+14155550100");
        assert_eq!(parsed("soap.beep://192.0.2.1/x").scheme, Scheme::Other(b"soap.beep"));
    }

    #[test]
    fn broken_uris_say_which_part() {
        assert_eq!(Uri::parse(b"sip:a@2001:db8::10"), Err(UriError::Port));
        assert_eq!(Uri::parse(b"sip:a@"), Err(UriError::Host));
        assert_eq!(Uri::parse(b"sip:a@h:99999"), Err(UriError::Port));
        assert_eq!(Uri::parse(b"no-scheme"), Err(UriError::Scheme));
        assert_eq!(Uri::parse(b"sip:a b@h"), Err(UriError::Characters));
        assert_eq!(Uri::parse(b"sip:a\0b@h"), Err(UriError::Characters));
    }
}
