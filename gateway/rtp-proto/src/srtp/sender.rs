//! The sending side: one source, protected in place.

use super::{
    INDEX_LEN, MasterKey, SrtpError, Suite,
    keys::{Purpose, SessionKeys},
    replay::Window,
    transform::{ENCRYPTED, Transform, rtcp_source, rtp_header},
};
use crate::rtp::Ssrc;

/// Protects what one source sends. Make one for a master key that was never used before, and only one: two
/// would use the same indices.
#[derive(Debug)]
pub struct Sender {
    master: MasterKey,
    source: Ssrc,
    rtp: Transform,
    rtcp: Transform,
    window: Window,
    rtcp_index: u32,
}

impl Sender {
    /// Derives the session keys.
    pub fn new(master: &MasterKey, source: Ssrc) -> Self {
        let transform = |purpose| Transform::new(master.suite, &SessionKeys::derive(master, purpose));
        Self {
            master: *master,
            source,
            rtp: transform(Purpose::Rtp),
            rtcp: transform(Purpose::Rtcp),
            window: Window::default(),
            rtcp_index: 0,
        }
    }

    /// The master key it was made of.
    pub const fn master(&self) -> &MasterKey {
        &self.master
    }

    /// The suite of its key.
    pub const fn suite(&self) -> Suite {
        self.master.suite
    }

    /// Protects the RTP packet in the first `len` bytes of a buffer that has room for
    /// [`Suite::rtp_tag_len`] more; says how long the packet is then. Packets may come a little out of order.
    ///
    /// # Errors
    /// [`SrtpError::IndexUsed`] for a sequence number used before, whatever the packet holds; others for a packet
    /// or buffer that cannot be protected. The buffer is unchanged then.
    pub fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let header = rtp_header(buffer.get(..len).ok_or(SrtpError::Malformed)?)?;
        self.check_source(header.source)?;
        let index = self.window.estimate(header.sequence).ok_or(SrtpError::IndexUsed)?;
        self.window.check(index).map_err(|_| SrtpError::IndexUsed)?;
        let whole = len.checked_add(self.suite().rtp_tag_len());
        let packet = whole.and_then(|whole| buffer.get_mut(..whole)).ok_or(SrtpError::NoRoom)?;
        self.rtp.seal_rtp(packet, &header, index)?;
        self.window.note(index);
        Ok(packet.len())
    }

    /// Protects the RTCP packet in the first `len` bytes of a buffer that has room for [`Suite::rtcp_tag_len`]
    /// and [`INDEX_LEN`] more; says how long the packet is then.
    ///
    /// # Errors
    /// For a packet or buffer that cannot be protected, and when all indices were used.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.check_source(rtcp_source(buffer.get(..len).ok_or(SrtpError::Malformed)?)?)?;
        let index = self.rtcp_index.checked_add(1).filter(|index| index & ENCRYPTED == 0);
        let index = index.ok_or(SrtpError::IndexUsed)?;
        let whole = len.checked_add(self.suite().rtcp_tag_len()).and_then(|len| len.checked_add(INDEX_LEN));
        let packet = whole.and_then(|whole| buffer.get_mut(..whole)).ok_or(SrtpError::NoRoom)?;
        self.rtcp.seal_rtcp(packet, self.source, index)?;
        self.rtcp_index = index;
        Ok(packet.len())
    }

    fn check_source(&self, source: Ssrc) -> Result<(), SrtpError> {
        if source == self.source { Ok(()) } else { Err(SrtpError::OtherSource) }
    }

    #[cfg(test)]
    pub(super) fn given(master: &MasterKey, source: Ssrc, keys: [&SessionKeys; 2], rtcp_index: u32) -> Self {
        let [rtp, rtcp] = keys.map(|keys| Transform::new(master.suite, keys));
        Self { rtp, rtcp, rtcp_index, ..Self::new(master, source) }
    }
}
