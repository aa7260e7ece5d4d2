//! The receiving side: any source that has the key, opened in place.

use super::{
    KeyIdentifier, MasterKey, SrtpError,
    keys::{Purpose, SessionKeys},
    replay::Window,
    transform::{ENCRYPTED, Transform, rtcp_source, rtp_header},
};
use crate::rtp::Ssrc;

/// Opens what the other side sends under one master key.
#[derive(Debug)]
pub struct Receiver {
    master: MasterKey,
    key_identifier: Option<KeyIdentifier>,
    rtp: Transform,
    rtcp: Transform,
    /// Those heard most lately. Telephones change theirs when a call is held or moved, not for each packet.
    streams: [Option<Stream>; STREAMS_MAX],
    /// Packets opened: tells which stream was heard the longest ago.
    opened: u64,
}

/// What is known of one source.
#[derive(Clone, Copy, Debug)]
struct Stream {
    source: Ssrc,
    heard: u64,
    rtp: Window,
    rtcp: Window,
}

impl Receiver {
    /// Derives the session keys. With a key identifier, each packet must carry it.
    pub fn new(master: &MasterKey, key_identifier: Option<KeyIdentifier>) -> Self {
        let transform = |purpose| Transform::new(master.suite, &SessionKeys::derive(master, purpose));
        Self {
            master: *master,
            key_identifier,
            rtp: transform(Purpose::Rtp),
            rtcp: transform(Purpose::Rtcp),
            streams: [None; STREAMS_MAX],
            opened: 0,
        }
    }

    /// The master key it was made of.
    pub const fn master(&self) -> &MasterKey {
        &self.master
    }

    /// Opens an RTP packet; says how long it is without its protection.
    ///
    /// # Errors
    /// [`SrtpError`]; nothing is remembered of the packet then, and what is in the buffer is worthless.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let header = rtp_header(packet)?;
        let packet = self.without_identifier(packet, self.master.suite.rtp_tag_len())?;
        let mut stream = self.stream(header.source);
        let index = stream.rtp.estimate(header.sequence).ok_or(SrtpError::Replayed)?;
        stream.rtp.check(index)?;
        let len = self.rtp.open_rtp(packet, &header, index)?;
        stream.rtp.note(index);
        self.keep(stream);
        Ok(len)
    }

    /// Opens an RTCP packet, also one that is authenticated only; says how long it is without its protection.
    ///
    /// # Errors
    /// As [`Receiver::unprotect_rtp`].
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let source = rtcp_source(packet)?;
        let packet = self.without_identifier(packet, self.master.suite.rtcp_tag_len())?;
        let word = self.rtcp.rtcp_word(packet)?;
        let index = u64::from(word & !ENCRYPTED);
        let mut stream = self.stream(source);
        stream.rtcp.check(index)?;
        let len = self.rtcp.open_rtcp(packet, source, word)?;
        stream.rtcp.note(index);
        self.keep(stream);
        Ok(len)
    }

    /// Takes the key identifier out of the packet, when there is to be one.
    fn without_identifier<'p>(
        &self,
        packet: &'p mut [u8],
        tag_len: usize,
    ) -> Result<&'p mut [u8], SrtpError> {
        let Some(identifier) = &self.key_identifier else { return Ok(packet) };
        let identifier = identifier.as_bytes();
        let behind = if self.master.suite.tag_is_last() { tag_len } else { 0 };
        let end = packet.len().checked_sub(behind).ok_or(SrtpError::Malformed)?;
        let start = end.checked_sub(identifier.len()).ok_or(SrtpError::Malformed)?;
        if packet.get(start..end) != Some(identifier) {
            return Err(SrtpError::KeyIdentifier);
        }
        packet.copy_within(end.., start);
        let len = start.saturating_add(behind);
        packet.get_mut(..len).ok_or(SrtpError::Malformed)
    }

    fn stream(&self, source: Ssrc) -> Stream {
        let known = self.streams.iter().flatten().find(|stream| stream.source == source).copied();
        known.unwrap_or(Stream { source, heard: 0, rtp: Window::default(), rtcp: Window::default() })
    }

    /// Puts a stream back after an authentic packet; a new one may take the place of the one longest silent.
    fn keep(&mut self, mut stream: Stream) {
        self.opened = self.opened.wrapping_add(1);
        stream.heard = self.opened;
        let known = self.streams.iter().position(|place| place.is_some_and(|s| s.source == stream.source));
        let oldest = || self.streams.iter().enumerate().min_by_key(|(_, place)| place.map(|s| s.heard));
        let place = known.or_else(|| oldest().map(|(place, _)| place));
        if let Some(place) = place.and_then(|place| self.streams.get_mut(place)) {
            *place = Some(stream);
        }
    }

    #[cfg(test)]
    pub(super) fn given(
        master: &MasterKey,
        key_identifier: Option<KeyIdentifier>,
        keys: [&SessionKeys; 2],
    ) -> Self {
        let [rtp, rtcp] = keys.map(|keys| Transform::new(master.suite, keys));
        Self { rtp, rtcp, ..Self::new(master, key_identifier) }
    }
}

/// Sources remembered under one key.
const STREAMS_MAX: usize = 16;
