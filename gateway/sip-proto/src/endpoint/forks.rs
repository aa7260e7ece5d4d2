//! The answers to a call of ours: provisional ones, each with its early dialog, and 2xx, of which the first wins
//! (RFC 3261 §13.2.2.4, RFC 3262 §4).

use std::time::Instant;

use super::{
    Endpoint, Event, Failure, Outputs, Path,
    call::{Call, Cancel, Fork, Phase},
    session_timer,
    tables::{Acknowledgement, Handle},
};
use crate::{
    builder::{finish, line},
    dialog::Dialog,
    header::{HeaderName, SessionExpires},
    lex::{number, trim},
    message::{Message, Method},
    sdp,
};

/// Places that may answer one INVITE; what comes from more is left to its own timers.
const FORKS_MAX: usize = 16;

impl Endpoint {
    /// A provisional response to our INVITE.
    pub(super) fn invite_proceeds(
        &mut self,
        now: Instant,
        (transaction, handle): (Handle, Handle),
        status: u16,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let Some(outgoing) = self.calls.entry(handle).and_then(Call::outgoing) else { return };
        outgoing.proceeding = true;
        if outgoing.cancel == Cancel::Wanted {
            return self.send_cancel(now, handle, out);
        }
        if outgoing.cancel != Cancel::No || status == 100 {
            return;
        }
        let fork = self.fork_of(transaction, handle, message);
        if let Some(tag) = &fork {
            if !self.acknowledge_provisional(now, handle, tag, message, out) {
                // Out of order, or said before (RFC 3262 §4).
                return;
            }
            self.early_media(handle, tag, message, out);
        }
        out.events.push((handle, Event::Progress(status)));
    }

    /// The early dialog of a response, made when it is new: its remote tag. None without a To tag.
    fn fork_of(&mut self, transaction: Handle, handle: Handle, message: &Message<'_>) -> Option<Box<[u8]>> {
        let invite = self.clients.entry(transaction)?.bytes.clone();
        let dialog = Dialog::of_client(&Message::parse(&invite).ok()?, message)?;
        let tag = dialog.remote_tag.clone();
        let key = self.call_key(&dialog.call_id, &dialog.local_tag, &tag);
        let outgoing = self.calls.entry(handle)?.outgoing()?;
        let known = outgoing.forks.iter().any(|fork| fork.key == key);
        if !known {
            if outgoing.forks.len() >= FORKS_MAX {
                return None;
            }
            outgoing.forks.push(Fork { key, dialog, rseq: None, negotiated: None });
            self.call_index.insert(key, handle);
        }
        Some(tag)
    }

    /// PRACK for a reliable provisional response; whether the response is to be taken.
    fn acknowledge_provisional(
        &mut self,
        now: Instant,
        handle: Handle,
        tag: &[u8],
        message: &Message<'_>,
        out: &mut Outputs,
    ) -> bool {
        if !message.lists(HeaderName::Require, "100rel") {
            return true;
        }
        let Some(rseq) = message.header(HeaderName::RSeq).map(trim).and_then(number) else { return true };
        let Some(call) = self.calls.entry(handle) else { return false };
        let (source, invite_cseq) = (call.path, call.invite_cseq);
        let Some(fork) = fork_with(call, tag) else { return false };
        if fork.rseq.is_some_and(|last| rseq != last.wrapping_add(1)) {
            return false;
        }
        fork.rseq = Some(rseq);
        let path = self.next_path(handle, Some(tag), source);
        let (via, branch) = self.new_via(&path);
        let Some(fork) = self.calls.entry(handle).and_then(|call| fork_with(call, tag)) else { return false };
        let mut cseq = 0;
        let rack = format!("{rseq} {invite_cseq} INVITE");
        let bytes = out
            .message(path, |buffer| {
                cseq = fork.dialog.request(buffer, Method::Prack, &via, None);
                line(buffer, "RAck", rack.as_bytes());
                finish(buffer, None);
            })
            .into();
        self.keep_client(now, (path, Method::Prack, branch.as_bytes()), (Some(handle), cseq), bytes);
        true
    }

    /// Media before the answer: what the last response with a description agrees on.
    fn early_media(&mut self, handle: Handle, tag: &[u8], message: &Message<'_>, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        let Some(agreed) = agreed_by(call, message) else { return };
        if let Some(fork) = fork_with(call, tag) {
            fork.negotiated = Some(agreed);
        }
        if call.negotiated.replace(agreed) != Some(agreed) {
            out.events.push((handle, Event::Media(agreed.into())));
        }
    }

    /// A 2xx to an INVITE of ours whose call is `handle`. The first makes the call, any from elsewhere is
    /// acknowledged and ended at once; repetitions never come here.
    pub(super) fn invite_answered(
        &mut self,
        now: Instant,
        (transaction, handle): (Handle, Option<Handle>),
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let Some(entry) = self.clients.entry(transaction) else { return };
        let (bytes, source) = (entry.bytes.clone(), entry.path);
        let Ok(invite) = Message::parse(&bytes) else { return };
        let tag = message.to().and_then(|to| to.tag().map(Box::<[u8]>::from)).unwrap_or_default();
        let wins = handle.filter(|handle| {
            self.calls
                .entry(*handle)
                .and_then(Call::outgoing)
                .is_some_and(|outgoing| outgoing.transaction == Some(transaction))
        });
        let Some(handle) = wins else {
            return self.end_fork(now, (transaction, source), (&invite, message), out);
        };
        let Some(call) = self.calls.entry(handle) else { return };
        let Some(outgoing) = call.outgoing() else { return };
        outgoing.transaction = None;
        outgoing.cancel = Cancel::No;
        let mut forks = std::mem::take(&mut outgoing.forks);
        let at = forks.iter().position(|fork| fork.dialog.remote_tag == tag);
        let early = at.map(|at| forks.swap_remove(at));
        let early_agreed = early.as_ref().and_then(|fork| fork.negotiated);
        let dialog = match early {
            Some(mut fork) => {
                fork.dialog.answered(&invite, message);
                Some(fork.dialog)
            }
            None => Dialog::of_client(&invite, message),
        };
        self.forget_forks(&forks);
        // RFC 2543 peers may leave out the tag: there is no dialog to speak of, and no way to end it but ACK.
        let Some(dialog) = dialog else {
            return self.not_taken(handle, Failure::of_our_own(500), out);
        };
        let key = self.call_key(&dialog.call_id, &dialog.local_tag, &dialog.remote_tag);
        self.call_index.insert(key, handle);
        let Some(call) = self.calls.entry(handle) else { return };
        call.key = Some(key);
        call.dialog = dialog;
        call.peer.update = message.lists(HeaderName::Allow, "UPDATE");
        self.acknowledge(transaction, handle, &tag, out);
        self.established(now, handle, early_agreed, message, out);
    }

    /// The dialog stands and its ACK is sent: the call goes on, or ends at once when nobody wants it any more or
    /// it has no media.
    fn established(
        &mut self,
        now: Instant,
        handle: Handle,
        early: Option<sdp::Negotiated>,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let seconds = self.settings.session_expires_seconds;
        let Some(call) = self.calls.entry(handle) else { return };
        if call.phase == Phase::Ending {
            return self.send_bye(now, handle, None, out);
        }
        // The answer may stand in a reliable provisional response only (RFC 3262 §5).
        let Some(agreed) = agreed_by(call, message).or(early) else {
            out.events.push((handle, Event::Failed(Box::new(Failure::of_our_own(488)))));
            return self.send_bye(now, handle, Some(488), out);
        };
        call.phase = Phase::Answered;
        let asked = message.header(HeaderName::SessionExpires).and_then(SessionExpires::parse);
        // Without a word on it the other side knows no timers: we still look whether it is there
        // (RFC 4028 §7.2). In the answer to our request, `uac` is us.
        let seconds = asked.map_or(seconds, |asked| asked.seconds).max(call.min_se);
        let ours = asked.and_then(|asked| asked.refresher_is_uac).unwrap_or(true);
        call.session = Some(session_timer::started(seconds, ours, now));
        if call.negotiated.replace(agreed) != Some(agreed) {
            out.events.push((handle, Event::Media(agreed.into())));
        }
        out.events.push((handle, Event::Answered));
        self.wake_call(handle);
    }

    /// A second place has answered: ACK and BYE, each in a dialog that nothing else knows of.
    fn end_fork(
        &mut self,
        now: Instant,
        (transaction, source): (Handle, Path),
        (invite, message): (&Message<'_>, &Message<'_>),
        out: &mut Outputs,
    ) {
        let Some(mut dialog) = Dialog::of_client(invite, message) else { return };
        let known = self.clients.entry(transaction).map_or(0, |entry| entry.acks.len());
        if known >= FORKS_MAX {
            return;
        }
        let path = self.path_of(&dialog, source);
        let (via, _) = self.new_via(&path);
        let cseq = invite.cseq().map(|cseq| cseq.number);
        let ack: Box<[u8]> = out
            .message(path, |buffer| {
                dialog.request(buffer, Method::Ack, &via, cseq);
                finish(buffer, None);
            })
            .into();
        if let Some(entry) = self.clients.entry(transaction) {
            entry.acks.push(Acknowledgement { tag: dialog.remote_tag.clone(), bytes: ack });
        }
        let (via, branch) = self.new_via(&path);
        let mut cseq = 0;
        let bye = out
            .message(path, |buffer| {
                cseq = dialog.request(buffer, Method::Bye, &via, None);
                finish(buffer, None);
            })
            .into();
        self.keep_client(now, (path, Method::Bye, branch.as_bytes()), (None, cseq), bye);
    }

    /// Takes early dialogs out of the index.
    pub(super) fn forget_forks(&mut self, forks: &[Fork]) {
        for fork in forks {
            self.call_index.remove(&fork.key);
        }
    }
}

fn fork_with<'a>(call: &'a mut Call, tag: &[u8]) -> Option<&'a mut Fork> {
    call.outgoing()?.forks.iter_mut().find(|fork| *fork.dialog.remote_tag == *tag)
}

/// What a response's description and our offer agree on.
fn agreed_by(call: &Call, message: &Message<'_>) -> Option<sdp::Negotiated> {
    call.agreed_by(message.description().sdp()?)
}
