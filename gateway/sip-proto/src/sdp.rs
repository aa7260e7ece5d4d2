//! Session descriptions for telephony: our own reader, since every m= line must be kept and answered.
//!
//! Reads RFC 8866 leniently, answers offers by RFC 3264: one audio stream is taken, everything else is
//! refused with port 0, in order. Knows PCMU, PCMA and telephone-event (RFC 4733), and streams encrypted by
//! keys in the description (RFC 4568; on `RTP/AVP` too, RFC 8643).

use std::net::{IpAddr, SocketAddr};

mod answer;
mod crypto;
mod read;

pub use answer::{Negotiated, NegotiationError, accept_answer, answer, offer, offer_again};
pub use crypto::{CryptoKey, CryptoSuite, KeyIdentifier, Srtp, SrtpKeys};
pub use read::{SdpError, read};

/// A session description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// The `o=` line's value.
    pub origin: &'a str,
    /// The session-level connection address.
    pub connection: Option<Connection<'a>>,
    /// The session-level direction.
    pub direction: Option<Direction>,
    /// The `t=` line's value.
    pub timing: &'a str,
    /// Every m= section, in order.
    pub media: Vec<Media<'a>>,
}

/// A connection address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection<'a> {
    /// An IP address.
    Ip(IpAddr),
    /// A host name; it is not resolved.
    Name(&'a str),
    /// Neither: another kind of network, or garbage. A stream with it cannot be taken.
    Unusable(&'a str),
}

/// One m= section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// `audio`, `image`, `video` and so on, as received.
    pub kind: &'a str,
    /// The port; 0 means refused or removed.
    pub port: u16,
    /// `RTP/AVP`, `RTP/SAVP`, `udptl` and so on, as received.
    pub protocol: &'a str,
    /// The formats as received.
    pub formats: Vec<&'a str>,
    /// The section's own connection address.
    pub connection: Option<Connection<'a>>,
    /// The section's own direction.
    pub direction: Option<Direction>,
    /// `a=rtpmap`: payload type, encoding name, clock rate.
    pub rtpmaps: Vec<(u8, &'a str, u32)>,
    /// Preferred packet length in milliseconds.
    pub ptime_ms: Option<u32>,
    /// Longest packet in milliseconds.
    pub maxptime_ms: Option<u32>,
    /// `a=rtcp-mux` is there.
    pub rtcp_mux: bool,
    /// `a=rtcp:` port, and address where it names one (RFC 3605).
    pub rtcp: Option<(u16, Option<IpAddr>)>,
    /// `a=crypto:` lines as received.
    pub crypto: Vec<&'a str>,
}

/// The direction of a stream, from the describer's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// The describer only sends: it has put the other side on hold.
    SendOnly,
    /// The describer only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// The attribute's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same stream seen from the other side (RFC 3264 §6.1).
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::SendRecv | Self::Inactive => self,
        }
    }
}

/// An audio codec we can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
}

impl Codec {
    /// The encoding name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The static payload type (RFC 3551 §6).
    pub fn static_payload_type(self) -> u8 {
        match self {
            Self::Pcmu => 0,
            Self::Pcma => 8,
        }
    }
}

/// Our side of the media of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// The address and port we put into SDP (the advertised one).
    pub address: SocketAddr,
    /// Codecs allowed on this trunk, the most wanted first.
    pub codecs: Vec<Codec>,
    /// Whether media is encrypted.
    pub srtp: Srtp,
    /// Session id of our descriptions.
    pub session_id: u64,
    /// Version of the next description; counts up with each that differs.
    pub version: u64,
}

impl Media<'_> {
    /// The codec a payload type stands for, by rtpmap or statically.
    pub(crate) fn codec(&self, payload_type: u8) -> Option<Codec> {
        match self.rtpmaps.iter().find(|(pt, _, _)| *pt == payload_type) {
            Some((_, name, 8000)) if name.eq_ignore_ascii_case("PCMU") => Some(Codec::Pcmu),
            Some((_, name, 8000)) if name.eq_ignore_ascii_case("PCMA") => Some(Codec::Pcma),
            Some(_) => None,
            None if payload_type == 0 => Some(Codec::Pcmu),
            None if payload_type == 8 => Some(Codec::Pcma),
            None => None,
        }
    }

    /// The payload type of telephone-event at 8000 Hz.
    pub(crate) fn telephone_event(&self) -> Option<u8> {
        self.payload_types().find(|pt| {
            self.rtpmaps.iter().any(|(p, name, rate)| {
                p == pt && *rate == 8000 && name.eq_ignore_ascii_case("telephone-event")
            })
        })
    }

    /// The payload types, in order of preference.
    pub(crate) fn payload_types(&self) -> impl Iterator<Item = u8> + '_ {
        self.formats.iter().filter_map(|f| f.parse().ok()).filter(|pt: &u8| *pt < 128)
    }
}
