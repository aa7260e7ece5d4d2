//! A call as the endpoint keeps it: its dialog, its timers, and who began it.

use std::time::Instant;

use super::{Path, Target, tables::Handle};
use crate::{
    dialog::Dialog,
    digest::Login,
    sdp::{self, LocalMedia, Negotiated},
};

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// Its dialog's key in the index; none while a call of ours has no dialog.
    pub(super) key: Option<u128>,
    pub(super) role: Role,
    pub(super) phase: Phase,
    /// Where its requests come from, and ours go to.
    pub(super) path: Path,
    pub(super) dialog: Dialog,
    pub(super) invite_cseq: u32,
    pub(super) media: Option<LocalMedia>,
    pub(super) negotiated: Option<Negotiated>,
    /// The 2xx that waits for its ACK.
    pub(super) unacknowledged: Option<Unacknowledged>,
    /// BYE is to be sent as soon as the ACK is there (RFC 3261 §15: not before).
    pub(super) hang_up_after_ack: Option<u16>,
    pub(super) session: Option<SessionTimer>,
    pub(super) peer: PeerAbilities,
    /// The client transaction of our own refresh, while it is under way.
    pub(super) refresh: Option<Handle>,
    /// What the other side has asked us to do by REFER, until it is told what came of it.
    pub(super) referral: Option<Referral>,
    /// The smallest session interval the other side has named in a 422, in seconds.
    pub(super) min_se: u32,
    /// What proves us to the other side, once it asked.
    pub(super) login: Option<Box<Login>>,
    /// The last description we sent.
    pub(super) description: Box<str>,
    /// The wake-up in the wheel that counts; any other is left over and does nothing. So a call has one
    /// that stays, however many requests come.
    pub(super) wake_at: Option<Instant>,
}

/// A REFER whose sender waits for the outcome (RFC 3515 §2.4.4).
#[derive(Clone, Copy, Debug)]
pub(super) struct Referral {
    /// The CSeq number of the REFER: it tells its notices from those of another.
    pub(super) id: u32,
    /// The sender wants no notices (RFC 4488).
    pub(super) quiet: bool,
}

/// Who began the call, and what only its beginning needs.
#[derive(Debug)]
pub(super) enum Role {
    /// The other side did.
    Server(Incoming),
    /// We did.
    Client(Box<Outgoing>),
}

/// What is kept of an INVITE from the other side.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The key of its INVITE, which may come again by another way.
    pub(super) merge_key: u128,
    /// The lines every response to the INVITE repeats.
    pub(super) head: Box<[u8]>,
    /// The INVITE's server transaction.
    pub(super) transaction: Handle,
    /// The caller's offer, until it is answered.
    pub(super) offer: Option<Box<[u8]>>,
    pub(super) reliable: Reliable,
    /// A 100 is due.
    pub(super) trying_at: Option<Instant>,
}

/// What is kept of an INVITE of ours.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) target: Target,
    /// The INVITE's client transaction, until its final response.
    pub(super) transaction: Option<Handle>,
    /// Early dialogs, one for each place that answered (RFC 3261 §13.2.2.4).
    pub(super) forks: Vec<Fork>,
    pub(super) cancel: Cancel,
    /// INVITEs sent: a challenge or a longer session interval takes another.
    pub(super) tries: u8,
    /// Something came back: CANCEL may be sent (RFC 3261 §9.1).
    pub(super) proceeding: bool,
}

/// An early dialog of an INVITE of ours.
#[derive(Debug)]
pub(super) struct Fork {
    pub(super) key: u128,
    pub(super) dialog: Dialog,
    /// The last reliable provisional response taken (RFC 3262 §4).
    pub(super) rseq: Option<u32>,
    pub(super) negotiated: Option<Negotiated>,
}

/// Whether an INVITE of ours is being taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cancel {
    No,
    /// As soon as something comes back.
    Wanted,
    /// CANCEL is sent; without a final response by then, none will come (RFC 3261 §9.1).
    Sent {
        give_up_at: Instant,
    },
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
    /// What an answer to the description that we sent last agrees on; none when that cannot be used.
    pub(super) fn agreed_by(&self, answer: &[u8]) -> Option<Negotiated> {
        let offer = sdp::read(self.description.as_bytes()).ok()?;
        sdp::accept_answer(&sdp::read(answer).ok()?, &offer, self.media.as_ref()?).ok()
    }

    /// The soonest of the call's own timers.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let unacknowledged = self.unacknowledged.as_ref().map(|u| u.resend_at.min(u.give_up_at));
        let (trying, provisional, cancel) = match &self.role {
            Role::Server(incoming) => {
                let pending = incoming.reliable.pending.as_ref();
                (incoming.trying_at, pending.map(|p| p.resend_at.min(p.give_up_at)), None)
            }
            Role::Client(outgoing) => match outgoing.cancel {
                Cancel::Sent { give_up_at } => (None, None, Some(give_up_at)),
                Cancel::No | Cancel::Wanted => (None, None, None),
            },
        };
        let session = self
            .session
            .filter(|_| self.phase == Phase::Answered)
            .map(|s| s.refresh_at.unwrap_or(s.expires_at).min(s.expires_at));
        [trying, unacknowledged, provisional, cancel, session].into_iter().flatten().min()
    }

    /// Refreshes the session after half of the time that is left of it.
    pub(super) fn refresh_later(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            let left = session.expires_at.saturating_duration_since(now);
            session.refresh_at = left.checked_div(2).and_then(|half| now.checked_add(half));
        }
    }

    /// What is kept of the other side's INVITE, when it began the call.
    pub(super) fn incoming(&mut self) -> Option<&mut Incoming> {
        match &mut self.role {
            Role::Server(incoming) => Some(incoming),
            Role::Client(_) => None,
        }
    }

    /// What is kept of our INVITE, when we began the call.
    pub(super) fn outgoing(&mut self) -> Option<&mut Outgoing> {
        match &mut self.role {
            Role::Server(_) => None,
            Role::Client(outgoing) => Some(outgoing),
        }
    }

    /// The dialog that a request from the other side belongs to: the call's own, or an early one.
    pub(super) fn dialog_of(
        &mut self,
        call_id: &[u8],
        local_tag: &[u8],
        remote_tag: &[u8],
    ) -> Option<&mut Dialog> {
        let Self { dialog, role, .. } = self;
        if dialog.matches(call_id, local_tag, remote_tag) {
            return Some(dialog);
        }
        match role {
            Role::Server(_) => None,
            Role::Client(outgoing) => outgoing
                .forks
                .iter_mut()
                .map(|fork| &mut fork.dialog)
                .find(|dialog| dialog.matches(call_id, local_tag, remote_tag)),
        }
    }
}
