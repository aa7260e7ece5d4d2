//! Reading a description: lines in, sections out. Unknown lines and attributes are ignored.

use std::net::IpAddr;

use super::{Connection, Direction, Media, Session};

/// m= sections taken at most; real offers have one to six.
const SECTIONS_MAX: usize = 32;

/// Attributes of one kind kept for a section.
const ATTRIBUTES_MAX: usize = 64;

/// Why bytes are not a session description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Not UTF-8 text.
    #[error("SDP is not UTF-8 text")]
    NotText,
    /// A line is not `letter=value`.
    #[error("SDP line without type")]
    Line,
    /// The first line is not `v=0`.
    #[error("SDP does not begin with v=0")]
    Version,
    /// A c= line that is no address.
    #[error("malformed c= line")]
    Connection,
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
    let text = std::str::from_utf8(bytes).map_err(|_| SdpError::NotText)?;
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.trim().is_empty());
    if lines.next().map(str::trim_end) != Some("v=0") {
        return Err(SdpError::Version);
    }
    let mut session =
        Session { origin: "", connection: None, direction: None, timing: "0 0", media: Vec::new() };
    for line in lines {
        let (kind, value) = line.split_once('=').ok_or(SdpError::Line)?;
        let value = value.trim_end();
        match kind {
            "o" => session.origin = value,
            "t" if session.media.is_empty() => session.timing = value,
            "c" => {
                let connection = Some(connection(value)?);
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

fn connection(value: &str) -> Result<Connection<'_>, SdpError> {
    let mut words = value.split_ascii_whitespace();
    let (Some("IN"), Some("IP4" | "IP6"), Some(address)) = (words.next(), words.next(), words.next()) else {
        return Err(SdpError::Connection);
    };
    // A multicast address may carry /ttl; nobody sends telephony there, but the line is legal.
    let address = address.split('/').next().unwrap_or(address);
    match address.parse::<IpAddr>() {
        Ok(ip) => Ok(Connection::Ip(ip)),
        Err(_) if address.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) => {
            Ok(Connection::Name(address))
        }
        Err(_) => Err(SdpError::Connection),
    }
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
        rtcp_port: None,
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
        "rtcp" => media.rtcp_port = value.split_ascii_whitespace().next().and_then(|v| v.parse().ok()),
        "crypto" if media.crypto.len() < ATTRIBUTES_MAX => media.crypto.push(value),
        _ => {}
    }
}

fn rtpmap(value: &str) -> Option<(u8, &str, u32)> {
    let (payload_type, encoding) = value.trim().split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    let (name, rate) = (parts.next()?, parts.next()?);
    Some((payload_type.parse().ok()?, name, rate.trim().parse().ok()?))
}
