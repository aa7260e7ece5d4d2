//! The protection of one leg's media: what it sends and what it takes (RFC 3711), and the change of keys.

use rtp_proto::{
    rtp::Ssrc,
    srtp::{Receiver, Sender, SrtpError},
};

use super::LegState;
use crate::media::{
    SrtpKeys,
    metrics::add,
    thread::{Context, DATAGRAM_BYTES_MAX},
};

/// The keys in use. Made where keys are agreed and freed there, since both take memory.
#[derive(Debug)]
pub(crate) struct Secure {
    sender: Sender,
    receiver: Receiver,
    keys: SrtpKeys,
    /// What was in use before: the other side changes its key when it has our answer, so packets under its old one
    /// may still be on their way.
    before: Option<Box<Self>>,
    /// Nothing came under the new key yet. From then on the old one is worth nothing.
    changing: bool,
}

impl Secure {
    pub(crate) fn new(keys: SrtpKeys, source: Ssrc) -> Self {
        let sender = Sender::new(&keys.ours, source);
        let receiver = Receiver::new(&keys.theirs, keys.key_identifier);
        Self { sender, receiver, keys, before: None, changing: false }
    }

    /// Goes on where others stop: a key that stays keeps its counts, since it must never protect an index twice
    /// nor take one twice. Gives back what nobody needs any more.
    fn succeed(&mut self, mut old: Box<Self>) -> Option<Box<Self>> {
        if self.keys.ours == old.keys.ours {
            std::mem::swap(&mut self.sender, &mut old.sender);
        }
        let same = (self.keys.theirs, self.keys.key_identifier) == (old.keys.theirs, old.keys.key_identifier);
        if same {
            std::mem::swap(&mut self.receiver, &mut old.receiver);
            self.before = old.before.take();
            self.changing = old.changing;
            Some(old)
        } else {
            let oldest = old.before.take();
            self.before = Some(old);
            self.changing = true;
            oldest
        }
    }

    fn open(
        &mut self,
        packet: &mut [u8],
        open: impl Fn(&mut Receiver, &mut [u8]) -> Result<usize, SrtpError>,
    ) -> Result<usize, SrtpError> {
        let Some(old) = self.before.as_mut().filter(|_| self.changing) else {
            return open(&mut self.receiver, packet);
        };
        // A packet that was not opened is worthless, so the other try needs a copy.
        let mut copy = [0; DATAGRAM_BYTES_MAX];
        let copy = copy.get_mut(..packet.len()).ok_or(SrtpError::Malformed)?;
        copy.copy_from_slice(packet);
        match open(&mut self.receiver, packet) {
            Ok(len) => {
                self.changing = false;
                Ok(len)
            }
            Err(_) => {
                let len = open(&mut old.receiver, copy)?;
                packet.copy_from_slice(copy);
                Ok(len)
            }
        }
    }
}

impl LegState {
    /// Puts other keys into use, or none; gives back what is to be freed elsewhere.
    pub(super) fn set_secure(&mut self, secure: Option<Box<Secure>>) -> Option<Box<Secure>> {
        let old = std::mem::replace(&mut self.secure, secure);
        match (old, &mut self.secure) {
            (Some(old), Some(secure)) => secure.succeed(old),
            (old, _) => old,
        }
    }

    /// Protects the RTP packet in the first bytes of a buffer; how long it is then. None: it must not be sent.
    pub(super) fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        match &mut self.secure {
            Some(secure) => secure.sender.protect_rtp(buffer, len).ok(),
            None => Some(len),
        }
    }

    /// The same for RTCP.
    pub(super) fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        match &mut self.secure {
            Some(secure) => secure.sender.protect_rtcp(buffer, len).ok(),
            None => Some(len),
        }
    }

    /// The RTP packet that a datagram holds; none when it must not be believed, which is counted.
    pub(super) fn unprotect_rtp<'d>(
        &mut self,
        context: &Context,
        datagram: &'d mut [u8],
    ) -> Option<&'d [u8]> {
        let Some(secure) = &mut self.secure else { return Some(datagram) };
        let opened = secure.open(datagram, Receiver::unprotect_rtp);
        believed(context, datagram, opened)
    }

    /// The same for RTCP.
    pub(super) fn unprotect_rtcp<'d>(
        &mut self,
        context: &Context,
        datagram: &'d mut [u8],
    ) -> Option<&'d [u8]> {
        let Some(secure) = &mut self.secure else { return Some(datagram) };
        let opened = secure.open(datagram, Receiver::unprotect_rtcp);
        believed(context, datagram, opened)
    }
}

fn believed<'d>(
    context: &Context,
    datagram: &'d mut [u8],
    opened: Result<usize, SrtpError>,
) -> Option<&'d [u8]> {
    let counters = &context.counters;
    match opened {
        Ok(len) => return datagram.get(..len),
        Err(SrtpError::Replayed) => add(&counters.srtp_replayed, 1),
        Err(SrtpError::Malformed) => add(&counters.malformed, 1),
        Err(
            SrtpError::Authentication
            | SrtpError::KeyIdentifier
            | SrtpError::NoRoom
            | SrtpError::OtherSource
            | SrtpError::IndexUsed,
        ) => add(&counters.srtp_unauthentic, 1),
    }
    None
}
