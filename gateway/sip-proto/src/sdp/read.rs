//! Reading a description: lines in, sections out. Unknown lines and attributes are ignored, and so are
//! lines that are none; what cannot be read of a section makes that section unusable, not the whole.

use std::net::IpAddr;

use super::{Connection, Direction, Media, Session};

/// m= sections taken at most; real offers have one to six.
const SECTIONS_MAX: usize = 32;

/// Attributes of one kind kept for a section.
const ATTRIBUTES_MAX: usize = 64;

/// Why bytes are not a session description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// An m= or c= line that is not UTF-8 text.
    #[error("SDP is not UTF-8 text")]
    NotText,
    /// The first line is not `v=0`.
    #[error("SDP does not begin with v=0")]
    Version,
    /// An m= line that cannot be read.
    #[error("malformed m= line")]
    Media,
    /// More sections than anybody needs.
    #[error("too many m= lines")]
    TooMany,
}

/// Reads a description.
///
/// # Errors
/// [`SdpError`] when it is none, or when a line that decides where media goes cannot be read.
pub fn read(bytes: &[u8]) -> Result<Session<'_>, SdpError> {
    // Some devices end the body with a NUL.
    let mut lines =
        bytes.split(|b| matches!(b, b'\r' | b'\n' | 0)).filter(|line| !line.trim_ascii().is_empty());
    if lines.next().map(<[u8]>::trim_ascii_end) != Some(b"v=0") {
        return Err(SdpError::Version);
    }
    let mut session =
        Session { origin: "", connection: None, direction: None, timing: "0 0", media: Vec::new() };
    for line in lines {
        // Names and remarks come in any encoding; what decides where media goes must be text.
        let Ok(line) = std::str::from_utf8(line) else {
            if matches!(line.first(), Some(b'm' | b'c')) {
                return Err(SdpError::NotText);
            }
            continue;
        };
        let Some((kind, value)) = line.split_once('=') else { continue };
        let value = value.trim_end();
        match kind {
            "o" => session.origin = value,
            "t" if session.media.is_empty() => session.timing = value,
            "c" => {
                let connection = Some(connection(value));
                match session.media.last_mut() {
                    Some(media) => media.connection = connection,
                    None => session.connection = connection,
                }
            }
            "m" => {
                if session.media.len() >= SECTIONS_MAX {
                    return Err(SdpError::TooMany);
                }
                session.media.push(media(value)?);
            }
            "a" => attribute(&mut session, value),
            _ => {}
        }
    }
    Ok(session)
}

fn connection(value: &str) -> Connection<'_> {
    let mut words = value.split_ascii_whitespace();
    let (Some("IN"), Some("IP4" | "IP6"), Some(address)) = (words.next(), words.next(), words.next()) else {
        return Connection::Unusable(value);
    };
    // A multicast address may carry /ttl; nobody sends telephony there, but the line is legal.
    let address = address.split('/').next().unwrap_or(address);
    match address.parse::<IpAddr>() {
        Ok(ip) => Connection::Ip(ip),
        Err(_) if is_name(address) => Connection::Name(address),
        Err(_) => Connection::Unusable(value),
    }
}

/// Letters, digits, dots and the like, and not a broken IPv4 address.
fn is_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

fn media(value: &str) -> Result<Media<'_>, SdpError> {
    let mut words = value.split_ascii_whitespace();
    let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
        return Err(SdpError::Media);
    };
    let port = port.split('/').next().unwrap_or(port).parse().map_err(|_| SdpError::Media)?;
    Ok(Media {
        kind,
        port,
        protocol,
        formats: words.take(ATTRIBUTES_MAX).collect(),
        connection: None,
        direction: None,
        rtpmaps: Vec::new(),
        ptime_ms: None,
        maxptime_ms: None,
        rtcp_mux: false,
        rtcp: None,
        crypto: Vec::new(),
    })
}

fn attribute<'a>(session: &mut Session<'a>, value: &'a str) {
    let (name, value) = value.split_once(':').unwrap_or((value, ""));
    let direction = match name {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    };
    let Some(media) = session.media.last_mut() else {
        session.direction = direction.or(session.direction);
        return;
    };
    if direction.is_some() {
        media.direction = direction;
    }
    // Some devices write fractions ("20.0"); the whole milliseconds count.
    let millis = || value.trim().split('.').next().and_then(|v| v.parse().ok());
    match name {
        "rtpmap" if media.rtpmaps.len() < ATTRIBUTES_MAX => media.rtpmaps.extend(rtpmap(value)),
        "ptime" => media.ptime_ms = millis(),
        "maxptime" => media.maxptime_ms = millis(),
        "rtcp-mux" => media.rtcp_mux = true,
        "rtcp" => media.rtcp = rtcp(value),
        "crypto" if media.crypto.len() < ATTRIBUTES_MAX => media.crypto.push(value),
        _ => {}
    }
}

/// `port` or `port IN IP4 address`.
fn rtcp(value: &str) -> Option<(u16, Option<IpAddr>)> {
    let mut words = value.split_ascii_whitespace();
    Some((words.next()?.parse().ok()?, words.nth(2).and_then(|address| address.parse().ok())))
}

fn rtpmap(value: &str) -> Option<(u8, &str, u32)> {
    let (payload_type, encoding) = value.trim().split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    let (name, rate) = (parts.next()?, parts.next()?);
    Some((payload_type.parse().ok()?, name, rate.trim().parse().ok()?))
}
