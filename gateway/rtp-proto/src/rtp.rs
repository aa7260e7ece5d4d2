//! RTP packets (RFC 3550 §5): reading, writing, and the numbers that wrap.
//!
//! Reading has a short way for the plain 12-byte header that nearly every packet has, and a general one for
//! CSRC lists, header extensions and padding. It does not judge the source: see [`crate::latch`].

use std::fmt;

/// Length in bytes of a header without CSRC list and extension (RFC 3550 §5.1).
pub const HEADER_LEN: usize = 12;

/// A sequence number: 16 bits that wrap (RFC 3550 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SequenceNumber(u16);

impl SequenceNumber {
    /// The number with this value.
    pub const fn new(value: u16) -> Self {
        Self(value)
    }

    /// The value as sent.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// The number of the next packet.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// How many packets this one lies after `earlier`, taken the short way round; negative when before it.
    pub const fn since(self, earlier: Self) -> i16 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// A media timestamp in units of the clock rate: 32 bits that wrap (RFC 3550 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(u32);

impl RtpTimestamp {
    /// The timestamp with this value.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The value as sent.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The timestamp so many clock units later.
    #[must_use]
    pub const fn advanced(self, units: u32) -> Self {
        Self(self.0.wrapping_add(units))
    }

    /// How many clock units this one lies after `earlier`, taken the short way round; negative when before it.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// A synchronisation source (RFC 3550 §3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(u32);

impl Ssrc {
    /// The source with this identifier.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The identifier as sent.
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssrc({:08x})", self.0)
    }
}

/// A payload type: 7 bits (RFC 3551 §6, or dynamic from SDP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PayloadType(u8);

impl PayloadType {
    /// G.711 mu-law.
    pub const PCMU: Self = Self(0);
    /// G.711 A-law.
    pub const PCMA: Self = Self(8);
    /// Comfort noise at 8 kHz (RFC 3389).
    pub const COMFORT_NOISE: Self = Self(13);

    /// The payload type with this number; none above 127.
    pub const fn new(value: u8) -> Option<Self> {
        if value < 128 { Some(Self(value)) } else { None }
    }

    /// The number, 0 to 127.
    pub const fn value(self) -> u8 {
        self.0
    }
}

/// A set of payload types, as one stream negotiated them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadTypes(u128);

impl PayloadTypes {
    /// The set without members.
    pub const NONE: Self = Self(0);

    /// The set with one more member.
    #[must_use]
    pub const fn with(self, payload_type: PayloadType) -> Self {
        Self(self.0 | 1_u128.wrapping_shl(payload_type.0 as u32))
    }

    /// Whether the payload type was negotiated.
    pub const fn contains(self, payload_type: PayloadType) -> bool {
        self.0.wrapping_shr(payload_type.0 as u32) & 1 == 1
    }
}

impl FromIterator<PayloadType> for PayloadTypes {
    fn from_iter<T: IntoIterator<Item = PayloadType>>(types: T) -> Self {
        types.into_iter().fold(Self::NONE, Self::with)
    }
}

/// The fields of the fixed header that change or matter (RFC 3550 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// For audio: the first packet after silence (RFC 3551 §4.1).
    pub marker: bool,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// Counts packets.
    pub sequence: SequenceNumber,
    /// Counts clock units; runs on through silence.
    pub timestamp: RtpTimestamp,
    /// Who sends.
    pub ssrc: Ssrc,
}

impl Header {
    /// The twelve bytes that stand before a payload.
    pub const fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let marker = if self.marker { 0x80 } else { 0 };
        let [s0, s1] = self.sequence.0.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.0.to_be_bytes();
        let [c0, c1, c2, c3] = self.ssrc.0.to_be_bytes();
        [0x80, marker | self.payload_type.0, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3]
    }

    /// Writes header and payload into a buffer and returns the part written; `None` if it is too short.
    pub fn write<'b>(&self, payload: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let whole = buffer.get_mut(..HEADER_LEN.checked_add(payload.len())?)?;
        let (head, body) = whole.split_at_mut_checked(HEADER_LEN)?;
        head.copy_from_slice(&self.to_bytes());
        body.copy_from_slice(payload);
        Some(whole)
    }
}

/// A header extension (RFC 3550 §5.3.1), not interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Defined by the profile, for example 0xBEDE (RFC 8285).
    pub profile: u16,
    /// A whole number of 32-bit words.
    pub data: &'a [u8],
}

/// An RTP packet as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The fixed part.
    pub header: Header,
    /// Contributing sources, four bytes each; empty unless a mixer sent the packet.
    pub csrcs: &'a [u8],
    /// The header extension, when there is one.
    pub extension: Option<Extension<'a>>,
    /// The media, without padding.
    pub payload: &'a [u8],
}

/// Why a datagram is no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It ends before its header does.
    #[error("the datagram ends inside the RTP header")]
    Short,
    /// The first two bits are not 2.
    #[error("not RTP version 2")]
    Version,
    /// The last byte counts more padding than there is, or none (RFC 3550 §5.1).
    #[error("the RTP padding count is wrong")]
    Padding,
}

impl<'a> Packet<'a> {
    /// Reads a datagram. RTCP on the same port must have been told apart before: see [`is_rtcp`].
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let (fixed, rest) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(ParseError::Short)?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        let header = Header {
            marker: second & 0x80 != 0,
            payload_type: PayloadType(second & 0x7f),
            sequence: SequenceNumber(u16::from_be_bytes([s0, s1])),
            timestamp: RtpTimestamp(u32::from_be_bytes([t0, t1, t2, t3])),
            ssrc: Ssrc(u32::from_be_bytes([c0, c1, c2, c3])),
        };
        if first == 0x80 {
            return Ok(Self { header, csrcs: &[], extension: None, payload: rest });
        }
        Self::parse_general(first, header, rest)
    }

    fn parse_general(first: u8, header: Header, rest: &'a [u8]) -> Result<Self, ParseError> {
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let csrc_len = usize::from(first & 0x0f).wrapping_mul(4);
        let (csrcs, rest) = rest.split_at_checked(csrc_len).ok_or(ParseError::Short)?;
        let (extension, rest) = if first & 0x10 == 0 {
            (None, rest)
        } else {
            let (head, rest) = rest.split_first_chunk::<4>().ok_or(ParseError::Short)?;
            let [p0, p1, l0, l1] = *head;
            let data_len = usize::from(u16::from_be_bytes([l0, l1])).wrapping_mul(4);
            let (data, rest) = rest.split_at_checked(data_len).ok_or(ParseError::Short)?;
            (Some(Extension { profile: u16::from_be_bytes([p0, p1]), data }), rest)
        };
        let payload = if first & 0x20 == 0 { rest } else { without_padding(rest)? };
        Ok(Self { header, csrcs, extension, payload })
    }
}

/// Whether a datagram on a port shared by RTP and RTCP is RTCP (RFC 5761 §4): its second byte, marker
/// included, is 192 to 223.
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [_, 192..=223, ..])
}

/// "The last octet of the padding contains a count of how many padding octets should be ignored, including
/// itself" (RFC 3550 §5.1).
fn without_padding(rest: &[u8]) -> Result<&[u8], ParseError> {
    let count = usize::from(*rest.last().ok_or(ParseError::Padding)?);
    if count == 0 {
        return Err(ParseError::Padding);
    }
    let kept = rest.len().checked_sub(count).ok_or(ParseError::Padding)?;
    rest.get(..kept).ok_or(ParseError::Padding)
}
