//! RTCP (RFC 3550 §6): compound packets of reports, SDES and BYE, and the round-trip time from them.
//!
//! Reading is an iterator over borrowed packets; kinds we do not use come out as [`Packet::Other`]. When to send
//! is the caller's decision.

use std::time::Duration;

use crate::rtp::{RtpTimestamp, Ssrc};

/// A time as NTP writes it: seconds since 1900 and a 32-bit fraction (RFC 3550 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NtpTime(u64);

impl NtpTime {
    /// The time so long after 1 January 1970 UTC.
    pub const fn from_unix(since_1970: Duration) -> Self {
        let seconds = since_1970.as_secs().wrapping_add(SECONDS_1900_TO_1970);
        let fraction = (since_1970.subsec_nanos() as u64).wrapping_shl(32) / 1_000_000_000;
        Self(seconds.wrapping_shl(32) | fraction)
    }

    /// All 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The middle 32 bits, in units of 1/65536 s, as `last_report` has them (RFC 3550 §6.4.1).
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// What a sender says about itself (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall time of this report.
    pub ntp: NtpTime,
    /// The same time in the media clock.
    pub rtp: RtpTimestamp,
    /// Packets sent; wraps.
    pub packet_count: u32,
    /// Payload bytes sent; wraps.
    pub octet_count: u32,
}

/// What a receiver says about a source (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source reported on.
    pub ssrc: Ssrc,
    /// Lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost since the beginning, 24 bits with sign; below zero when copies arrived.
    pub cumulative_lost: i32,
    /// Highest sequence number, with the count of its cycles above.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle bits of the NTP time of the source's last sender report; 0 when there was none.
    pub last_report: u32,
    /// Time since that report arrived, in 1/65536 s.
    pub delay: u32,
}

impl ReportBlock {
    /// The round-trip time when this block about us arrives at `now` (RFC 3550 §6.4.1: A - LSR - DLSR); `None`
    /// when the other side had no sender report yet, or when the figures make no sense.
    pub fn round_trip(&self, now: NtpTime) -> Option<Duration> {
        if self.last_report == 0 {
            return None;
        }
        let units = now.middle().wrapping_sub(self.last_report).wrapping_sub(self.delay);
        if units >= 1 << 31 {
            // Below zero: clocks tick in steps, and a tick too few is no error.
            return (units > 0_u32.wrapping_sub(ROUND_TRIP_SLACK)).then_some(Duration::ZERO);
        }
        Some(Duration::from_micros(u64::from(units).wrapping_mul(1_000_000) >> 16))
    }

    fn parse(bytes: &[u8; BLOCK_LEN]) -> Self {
        let [s0, s1, s2, s3, fraction, l0, l1, l2, rest @ ..] = *bytes;
        let [h0, h1, h2, h3, j0, j1, j2, j3, r0, r1, r2, r3, d0, d1, d2, d3] = rest;
        Self {
            ssrc: Ssrc::new(u32::from_be_bytes([s0, s1, s2, s3])),
            fraction_lost: fraction,
            cumulative_lost: i32::from_be_bytes([l0, l1, l2, 0]) >> 8,
            highest_sequence: u32::from_be_bytes([h0, h1, h2, h3]),
            jitter: u32::from_be_bytes([j0, j1, j2, j3]),
            last_report: u32::from_be_bytes([r0, r1, r2, r3]),
            delay: u32::from_be_bytes([d0, d1, d2, d3]),
        }
    }
}

/// The time since a report arrived in units of 1/65536 s, as [`ReportBlock::delay`] wants it.
pub fn delay_units(since: Duration) -> u32 {
    u32::try_from(since.as_micros().saturating_mul(65_536) / 1_000_000).unwrap_or(u32::MAX)
}

/// A compound packet to send: SR or RR, then SDES with CNAME, then BYE when the stream ends (RFC 3550 §6.1).
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    /// Our source.
    pub ssrc: Ssrc,
    /// Our sending since the last report: makes it an SR. `None` when nothing was sent: an RR.
    pub sender: Option<SenderInfo>,
    /// Our reception, when anything was received.
    pub reception: Option<ReportBlock>,
    /// The canonical name, at most 255 bytes; random for each call (RFC 7022).
    pub cname: &'a str,
    /// Whether this is the last packet of the source.
    pub bye: bool,
}

/// The compound packet does not fit into the buffer, or the canonical name is longer than 255 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the RTCP packet does not fit: the buffer is too short or the canonical name longer than 255 bytes")]
pub struct DoesNotFit;

impl Compound<'_> {
    /// Writes the packet and returns the part of the buffer that was written.
    pub fn write<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], DoesNotFit> {
        let mut writer = Writer { buffer, len: 0 };
        self.write_report(&mut writer)?;
        self.write_description(&mut writer)?;
        if self.bye {
            writer.head(1, BYE, 2)?;
            writer.word(self.ssrc.value())?;
        }
        let Writer { buffer, len } = writer;
        buffer.get(..len).ok_or(DoesNotFit)
    }

    fn write_report(&self, writer: &mut Writer<'_>) -> Result<(), DoesNotFit> {
        let count = u8::from(self.reception.is_some());
        let block_words = u16::from(count).wrapping_mul(6);
        if let Some(info) = &self.sender {
            writer.head(count, SENDER_REPORT, block_words.wrapping_add(7))?;
            writer.word(self.ssrc.value())?;
            writer.bytes(&info.ntp.bits().to_be_bytes())?;
            writer.word(info.rtp.value())?;
            writer.word(info.packet_count)?;
            writer.word(info.octet_count)?;
        } else {
            writer.head(count, RECEIVER_REPORT, block_words.wrapping_add(2))?;
            writer.word(self.ssrc.value())?;
        }
        let Some(block) = &self.reception else { return Ok(()) };
        let [_, l0, l1, l2] = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        writer.word(block.ssrc.value())?;
        writer.bytes(&[block.fraction_lost, l0, l1, l2])?;
        writer.word(block.highest_sequence)?;
        writer.word(block.jitter)?;
        writer.word(block.last_report)?;
        writer.word(block.delay)
    }

    fn write_description(&self, writer: &mut Writer<'_>) -> Result<(), DoesNotFit> {
        let name_len = u8::try_from(self.cname.len()).map_err(|_| DoesNotFit)?;
        // Source, item head, name, and one to four zero bytes up to a word (RFC 3550 §6.5).
        let items_len = u16::from(name_len).wrapping_add(2).wrapping_add(4) & !3;
        writer.head(1, SOURCE_DESCRIPTION, (items_len / 4).wrapping_add(2))?;
        writer.word(self.ssrc.value())?;
        writer.bytes(&[CNAME, name_len])?;
        writer.bytes(self.cname.as_bytes())?;
        let padding = items_len.wrapping_sub(2).wrapping_sub(u16::from(name_len));
        writer.bytes([0; 4].get(..usize::from(padding)).ok_or(DoesNotFit)?)
    }
}

/// One packet out of a compound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// SR: the other side sends and perhaps receives.
    SenderReport {
        /// Who reports.
        ssrc: Ssrc,
        /// About its own sending.
        info: SenderInfo,
        /// About what it receives.
        blocks: ReportBlocks<'a>,
    },
    /// RR: the other side only receives.
    ReceiverReport {
        /// Who reports.
        ssrc: Ssrc,
        /// About what it receives.
        blocks: ReportBlocks<'a>,
    },
    /// SDES: the canonical name of its first source; empty when it has none.
    SourceDescription {
        /// The CNAME as sent, which need not be UTF-8.
        cname: &'a [u8],
    },
    /// BYE of these sources, four bytes each.
    Bye {
        /// The sources that leave.
        ssrcs: &'a [u8],
    },
    /// A kind we do not interpret (APP, feedback, XR).
    Other {
        /// The packet type.
        kind: u8,
    },
}

/// The report blocks of one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlocks<'a>(&'a [u8]);

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_first_chunk::<BLOCK_LEN>()?;
        self.0 = rest;
        Some(ReportBlock::parse(block))
    }
}

/// Why a datagram is no RTCP, or not to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It ends inside a packet.
    #[error("the datagram ends inside an RTCP packet")]
    Short,
    /// The first two bits of a packet are not 2.
    #[error("not RTP version 2")]
    Version,
    /// The padding count is wrong.
    #[error("the RTCP padding count is wrong")]
    Padding,
}

/// The packets of a compound, up to the first that cannot be read.
pub const fn packets(datagram: &[u8]) -> Packets<'_> {
    Packets { rest: datagram }
}

/// Iterator of [`packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let result = self.take();
        if result.is_err() {
            self.rest = &[];
        }
        Some(result)
    }
}

impl<'a> Packets<'a> {
    fn take(&mut self) -> Result<Packet<'a>, ParseError> {
        let (head, rest) = self.rest.split_first_chunk::<4>().ok_or(ParseError::Short)?;
        let [first, kind, l0, l1] = *head;
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let len = usize::from(u16::from_be_bytes([l0, l1])).wrapping_mul(4);
        let (body, rest) = rest.split_at_checked(len).ok_or(ParseError::Short)?;
        self.rest = rest;
        let body = if first & 0x20 == 0 { body } else { without_padding(body)? };
        read(kind, usize::from(first & 0x1f), body)
    }
}

fn read(kind: u8, count: usize, body: &[u8]) -> Result<Packet<'_>, ParseError> {
    match kind {
        SENDER_REPORT => {
            let (ssrc, rest) = take_ssrc(body)?;
            let (info, rest) = rest.split_first_chunk::<20>().ok_or(ParseError::Short)?;
            Ok(Packet::SenderReport { ssrc, info: sender_info(info), blocks: blocks(count, rest)? })
        }
        RECEIVER_REPORT => {
            let (ssrc, rest) = take_ssrc(body)?;
            Ok(Packet::ReceiverReport { ssrc, blocks: blocks(count, rest)? })
        }
        SOURCE_DESCRIPTION => Ok(Packet::SourceDescription { cname: cname(body) }),
        BYE => {
            let ssrcs = body.get(..count.wrapping_mul(4)).ok_or(ParseError::Short)?;
            Ok(Packet::Bye { ssrcs })
        }
        kind => Ok(Packet::Other { kind }),
    }
}

fn take_ssrc(body: &[u8]) -> Result<(Ssrc, &[u8]), ParseError> {
    let (ssrc, rest) = body.split_first_chunk::<4>().ok_or(ParseError::Short)?;
    Ok((Ssrc::new(u32::from_be_bytes(*ssrc)), rest))
}

fn sender_info(bytes: &[u8; 20]) -> SenderInfo {
    let [n0, n1, n2, n3, n4, n5, n6, n7, rest @ ..] = *bytes;
    let [t0, t1, t2, t3, p0, p1, p2, p3, o0, o1, o2, o3] = rest;
    SenderInfo {
        ntp: NtpTime(u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7])),
        rtp: RtpTimestamp::new(u32::from_be_bytes([t0, t1, t2, t3])),
        packet_count: u32::from_be_bytes([p0, p1, p2, p3]),
        octet_count: u32::from_be_bytes([o0, o1, o2, o3]),
    }
}

fn blocks(count: usize, rest: &[u8]) -> Result<ReportBlocks<'_>, ParseError> {
    rest.get(..count.wrapping_mul(BLOCK_LEN)).map(ReportBlocks).ok_or(ParseError::Short)
}

/// The CNAME in the first chunk; empty when there is none or the items are cut short.
fn cname(body: &[u8]) -> &[u8] {
    let mut items = body.get(4..).unwrap_or_default();
    while let Some((&[kind, len], rest)) = items.split_first_chunk::<2>() {
        let Some((text, rest)) = rest.split_at_checked(usize::from(len)) else { break };
        match kind {
            0 => break,
            CNAME => return text,
            _ => items = rest,
        }
    }
    &[]
}

fn without_padding(body: &[u8]) -> Result<&[u8], ParseError> {
    let count = usize::from(*body.last().ok_or(ParseError::Padding)?);
    if count == 0 {
        return Err(ParseError::Padding);
    }
    let kept = body.len().checked_sub(count).ok_or(ParseError::Padding)?;
    body.get(..kept).ok_or(ParseError::Padding)
}

/// Appends to the buffer.
struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit> {
        let end = self.len.checked_add(bytes.len()).ok_or(DoesNotFit)?;
        self.buffer.get_mut(self.len..end).ok_or(DoesNotFit)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    fn word(&mut self, word: u32) -> Result<(), DoesNotFit> {
        self.bytes(&word.to_be_bytes())
    }

    /// A packet head; `words` is the length in 32-bit words, this head included.
    fn head(&mut self, count: u8, kind: u8, words: u16) -> Result<(), DoesNotFit> {
        let [l0, l1] = words.saturating_sub(1).to_be_bytes();
        self.bytes(&[0x80 | (count & 0x1f), kind, l0, l1])
    }
}

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const CNAME: u8 = 1;
const BLOCK_LEN: usize = 24;
const SECONDS_1900_TO_1970: u64 = 2_208_988_800;
/// About 15 ms in units of 1/65536 s.
const ROUND_TRIP_SLACK: u32 = 1000;
