//! A call as the endpoint keeps it: its dialog, its INVITE transaction, its timers.

use std::time::Instant;

use super::{Path, tables::Handle};
use crate::{
    dialog::Dialog,
    sdp::{LocalMedia, Negotiated},
};

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) key: u128,
    /// The key of its INVITE, which may come again by another way.
    pub(super) merge_key: u128,
    pub(super) phase: Phase,
    /// Where its requests come from.
    pub(super) path: Path,
    pub(super) dialog: Dialog,
    /// The lines every response to the INVITE repeats.
    pub(super) invite_head: Box<[u8]>,
    /// The INVITE's server transaction.
    pub(super) invite: Handle,
    pub(super) invite_cseq: u32,
    /// The caller's offer, until it is answered.
    pub(super) offer: Option<Box<[u8]>>,
    pub(super) media: Option<LocalMedia>,
    pub(super) negotiated: Option<Negotiated>,
    /// The 2xx that waits for its ACK.
    pub(super) unacknowledged: Option<Unacknowledged>,
    /// BYE is to be sent as soon as the ACK is there (RFC 3261 §15: not before).
    pub(super) hang_up_after_ack: Option<u16>,
    pub(super) reliable: Reliable,
    /// A 100 is due.
    pub(super) trying_at: Option<Instant>,
    pub(super) session: Option<SessionTimer>,
    pub(super) peer: PeerAbilities,
    /// The client transaction of our own refresh, while it is under way.
    pub(super) refresh: Option<Handle>,
    /// The last description we sent.
    pub(super) description: Box<str>,
    /// The wake-up in the wheel that counts; any other is left over and does nothing. So a call has one
    /// that stays, however many requests come.
    pub(super) wake_at: Option<Instant>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not answered yet.
    Early,
    /// Answered with 2xx.
    Answered,
    /// Over for the application; the entry lives until our BYE is answered.
    Ending,
}

/// A 2xx to an INVITE or re-INVITE, repeated until its ACK comes (RFC 3261 §13.3.1.4).
#[derive(Clone, Debug)]
pub(super) struct Unacknowledged {
    pub(super) cseq: u32,
    pub(super) response: Box<[u8]>,
    pub(super) path: Path,
    pub(super) resend_at: Instant,
    pub(super) interval: std::time::Duration,
    pub(super) give_up_at: Instant,
    /// The ACK has to carry the answer to an offer of ours.
    pub(super) wants_answer: bool,
}

/// Reliable provisional responses (RFC 3262).
#[derive(Debug, Default)]
pub(super) struct Reliable {
    /// The caller requires them.
    pub(super) required: bool,
    pub(super) next_rseq: u32,
    /// The one that waits for its PRACK.
    pub(super) pending: Option<PendingProvisional>,
    /// The number of the one whose PRACK may still cross our 2xx (RFC 3262 §3).
    pub(super) crossed: Option<u32>,
}

#[derive(Debug)]
pub(super) struct PendingProvisional {
    pub(super) rseq: u32,
    pub(super) response: Box<[u8]>,
    pub(super) resend_at: Instant,
    pub(super) interval: std::time::Duration,
    pub(super) give_up_at: Instant,
}

/// A running session timer (RFC 4028).
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionTimer {
    pub(super) seconds: u32,
    /// We refresh; otherwise the caller does.
    pub(super) ours: bool,
    pub(super) refresh_at: Option<Instant>,
    pub(super) expires_at: Instant,
}

/// What the INVITE said the other side can do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PeerAbilities {
    /// UPDATE may be sent to it.
    pub(super) update: bool,
}

impl Call {
    /// The soonest of the call's own timers.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let unacknowledged = self.unacknowledged.as_ref().map(|u| u.resend_at.min(u.give_up_at));
        let provisional = self.reliable.pending.as_ref().map(|p| p.resend_at.min(p.give_up_at));
        let session = self
            .session
            .filter(|_| self.phase == Phase::Answered)
            .map(|s| s.refresh_at.unwrap_or(s.expires_at).min(s.expires_at));
        [self.trying_at, unacknowledged, provisional, session].into_iter().flatten().min()
    }
}
