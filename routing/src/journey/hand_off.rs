//! Handing the contact to somebody: a phone that rings while the caller waits on, and the talk that follows.
//!
//! ```text
//! waits ── take ──► waits, a phone rings ── answered ──► talks ── either hangs up ──► ended
//!   ▲                         │                          ▲   │
//!   ├── refused, no answer ───┘                          │   └─ transfer: hold music, another phone rings ─┐
//!   └── transferred to an inbox ◄────────────────────────┴──────────── answered, or back to the first ─────┘
//! ```
//! What is heard in the queue goes on while a phone rings; only its answer cuts it. Phones ring for one request at
//! a time; the first to be answered has the caller.

use std::time::{Duration, Instant};

use super::{
    Journey, Stage, Timer,
    action::{Action, Actions, FeedEvent, Sound},
    told::Told,
};
use crate::{
    id::{InboxId, PromptId},
    outcome::{Outcome, Reason, Side},
    time::Now,
};

/// The hold music of the gateway itself, heard where the number names none.
pub const BUILT_IN_HOLD_MUSIC: &str = "builtin:hold_music";

/// Who hands a contact over that is forwarded.
const FORWARD: &str = "forward";

/// How long the phone rings to which a treatment forwards.
const FORWARD_SECONDS: u32 = 45;

/// The status of a phone that nobody answered.
const NO_ANSWER: u16 = 408;

/// Names one request to a contact, and the call made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// Whom to call, for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callee {
    /// SIP URIs, all called at once: who answers first has the contact. At least one.
    pub targets: Vec<String>,
    /// How long the phones ring at most.
    pub ring: Duration,
    /// Who asked for it.
    pub by: String,
}

/// What somebody wants of a live contact. Each is answered by [`Action::Reply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Take the contact out of its queue: call somebody, and connect them when they answer.
    Take(Callee),
    /// The inbox does not take the contact now; it waits on.
    Refuse {
        /// Who says so.
        by: String,
    },
    /// Connect the caller with somebody else; whoever talks to the caller is let go when they answer.
    Transfer(Callee),
    /// To another inbox's queue; the arrival time stays.
    Move {
        /// The inbox.
        inbox: InboxId,
        /// Who wants it.
        by: String,
    },
    /// The caller hears hold music.
    Hold,
    /// The caller is talked to again.
    Resume,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The contact is not in a queue.
    #[error("the contact does not wait in a queue")]
    NotWaiting,
    /// A phone rings for it already.
    #[error("somebody is being called for this contact already")]
    UnderWay,
    /// Somebody has taken it.
    #[error("the contact was taken already")]
    Taken,
    /// The caller leaves a message, or will be called back.
    #[error("the caller is leaving a message or will be called back")]
    Committed,
    /// Nobody talks to it.
    #[error("nobody talks to this contact")]
    NotConnected,
    /// The contact's plan has no such inbox.
    #[error("the contact's routing has no such inbox")]
    NoSuchInbox,
}

/// Who put a call on hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldBy {
    /// A request.
    Request,
    /// The taker's telephone (re-INVITE).
    Taker,
}

/// Which of the targets of a call.
pub type TargetIndex = usize;

/// Phones that ring for one request.
#[derive(Debug)]
pub(super) struct Ringing {
    id: RequestId,
    by: String,
    until: Instant,
    /// By their index; none where a phone rings no more.
    targets: Vec<Option<String>>,
    what_for: WhatFor,
}

/// Why phones ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhatFor {
    /// A request wants the contact taken or transferred.
    Request,
    /// A forward node of the IVR that runs.
    Node,
    /// A treatment forwards who waits.
    Treatment,
}

impl Ringing {
    fn stop(&mut self, index: TargetIndex) -> Option<String> {
        self.targets.get_mut(index)?.take()
    }

    fn is_over(&self) -> bool {
        self.targets.iter().all(Option::is_none)
    }
}

/// A caller who is talked to.
#[derive(Debug)]
pub(super) struct Talk {
    /// The inbox waited in; none for who was forwarded out of an IVR.
    pub(super) inbox: Option<InboxId>,
    /// Nobody took the contact: it was forwarded.
    forwarded: bool,
    held: bool,
    /// The taker hung up while a transfer was tried.
    alone: bool,
}

impl Journey {
    /// Grants a request or refuses it, and says which.
    pub(super) fn requested(&mut self, now: Now, id: RequestId, request: Request, out: &mut Actions) {
        let result = match request {
            Request::Take(callee) => self.take(now, id, callee, out),
            Request::Refuse { by } => self.refuse(now, by, out),
            Request::Transfer(callee) => self.transfer(now, id, callee, out),
            Request::Move { inbox, by } => self.move_contact(now, inbox, by, out),
            Request::Hold => self.hold(now, HoldBy::Request, out),
            Request::Resume => self.resume(now, HoldBy::Request, out),
        };
        if let Err(refusal) = result {
            self.scope.note(now, format!("a request was refused: {refusal}"));
        }
        out.push(Action::Reply { request: id, result });
    }

    /// When the phone that rings has rung long enough.
    pub(super) fn ringing_deadline(&self) -> Option<(Instant, Timer)> {
        self.ringing.as_ref().map(|ringing| (ringing.until, Timer::TakeTimeout))
    }

    /// Whether a phone rings for the contact.
    pub(super) fn is_ringing(&self) -> bool {
        self.ringing.is_some()
    }

    fn take(&mut self, now: Now, id: RequestId, callee: Callee, out: &mut Actions) -> Result<(), Refusal> {
        match &self.stage {
            Stage::Waiting(wait) if wait.is_committed() => Err(Refusal::Committed),
            Stage::Waiting(_) if self.is_ringing() => Err(Refusal::UnderWay),
            Stage::Waiting(_) => {
                self.ring(now, id, callee, out);
                Ok(())
            }
            Stage::Connected(_) => Err(Refusal::Taken),
            Stage::Voicemail { .. } => Err(Refusal::Committed),
            Stage::InIvr(_) | Stage::LastWords { .. } | Stage::Ended(_) => Err(Refusal::NotWaiting),
        }
    }

    fn refuse(&mut self, now: Now, by: String, out: &mut Actions) -> Result<(), Refusal> {
        let Stage::Waiting(wait) = &self.stage else { return Err(Refusal::NotWaiting) };
        if self.is_ringing() {
            return Err(Refusal::UnderWay);
        }
        let inbox = wait.inbox().clone();
        self.scope.note(now, format!("{inbox} does not take it"));
        self.scope.emit(FeedEvent::Refused { inbox, by, target: None, status: None }, out);
        Ok(())
    }

    fn transfer(
        &mut self,
        now: Now,
        id: RequestId,
        callee: Callee,
        out: &mut Actions,
    ) -> Result<(), Refusal> {
        let Stage::Connected(talk) = &self.stage else { return Err(Refusal::NotConnected) };
        if self.is_ringing() {
            return Err(Refusal::UnderWay);
        }
        if !talk.held {
            self.separate(out);
        }
        self.ring(now, id, callee, out);
        Ok(())
    }

    fn move_contact(
        &mut self,
        now: Now,
        inbox: InboxId,
        by: String,
        out: &mut Actions,
    ) -> Result<(), Refusal> {
        if self.scope.plan.inbox(&inbox).is_none() {
            return Err(Refusal::NoSuchInbox);
        }
        match &self.stage {
            Stage::Waiting(wait) if wait.is_committed() => Err(Refusal::Committed),
            Stage::Voicemail { .. } => Err(Refusal::Committed),
            Stage::Waiting(_) => {
                self.enter_queue(now, inbox, out);
                Ok(())
            }
            Stage::Connected(_) => {
                self.give_up_ringing(out);
                out.push(Action::Release);
                self.scope.note(now, format!("transferred to {inbox} by {by}"));
                self.scope
                    .emit(FeedEvent::Transferred { to_inbox: Some(inbox.clone()), to_target: None, by }, out);
                self.enter_queue(now, inbox, out);
                Ok(())
            }
            Stage::InIvr(_) | Stage::LastWords { .. } | Stage::Ended(_) => Err(Refusal::NotConnected),
        }
    }

    /// Whoever talks to the caller has put the call on hold by telephone, or talks again.
    pub(super) fn taker_held(&mut self, now: Now, held: bool, out: &mut Actions) {
        let by = HoldBy::Taker;
        let result = if held { self.hold(now, by, out) } else { self.resume(now, by, out) };
        if result.is_err() {
            self.scope.note(now, "a hold came late: nobody talks to the caller");
        }
    }

    /// Puts the caller on hold; once is enough.
    fn hold(&mut self, now: Now, by: HoldBy, out: &mut Actions) -> Result<(), Refusal> {
        let ringing = self.is_ringing();
        let Stage::Connected(talk) = &mut self.stage else { return Err(Refusal::NotConnected) };
        if talk.held {
            return Ok(());
        }
        talk.held = true;
        self.scope.note(now, "held");
        self.scope.emit(FeedEvent::Held { by }, out);
        // During a transfer the caller hears hold music already.
        if !ringing {
            self.separate(out);
        }
        Ok(())
    }

    /// Ends the hold; harmless when there is none.
    fn resume(&mut self, now: Now, by: HoldBy, out: &mut Actions) -> Result<(), Refusal> {
        let ringing = self.is_ringing();
        let Stage::Connected(talk) = &mut self.stage else { return Err(Refusal::NotConnected) };
        if !std::mem::take(&mut talk.held) {
            return Ok(());
        }
        self.scope.note(now, "resumed");
        self.scope.emit(FeedEvent::Resumed { by }, out);
        if !ringing {
            self.join(out);
        }
        Ok(())
    }

    /// Somebody answered a phone that rang.
    pub(super) fn call_answered(&mut self, now: Now, id: RequestId, index: TargetIndex, out: &mut Actions) {
        let Some(ringing) = self.ringing.as_mut().filter(|ringing| ringing.id == id) else {
            // Given up a moment ago: the answer crossed it.
            return out.push(Action::GiveUp(id));
        };
        // A phone that failed before is not answered any more; the others ring on.
        let Some(target) = ringing.stop(index) else { return };
        let (by, what_for) = (std::mem::take(&mut ringing.by), ringing.what_for);
        self.ringing = None;
        if what_for != WhatFor::Request {
            return self.forwarded(now, (id, index), target, out);
        }
        match &mut self.stage {
            Stage::Waiting(wait) => {
                let inbox = wait.inbox().clone();
                self.scope.note(now, format!("taken by {by}"));
                self.answer(out);
                out.push(Action::LeaveQueue);
                self.scope.stop(out);
                self.scope.digits.clear();
                let taken = FeedEvent::Taken { inbox: inbox.clone(), by, target: target.clone() };
                self.scope.emit(taken, out);
                out.push(Action::Connect(id, index));
                self.scope.emit(FeedEvent::Connected { inbox: inbox.clone(), target }, out);
                self.stage = Stage::Connected(Talk {
                    inbox: Some(inbox),
                    forwarded: false,
                    held: false,
                    alone: false,
                });
            }
            Stage::Connected(talk) => {
                (talk.held, talk.alone) = (false, false);
                self.scope.note(now, format!("transferred by {by}"));
                let transferred = FeedEvent::Transferred { to_inbox: None, to_target: Some(target), by };
                self.scope.emit(transferred, out);
                self.scope.stop(out);
                out.push(Action::Connect(id, index));
            }
            Stage::InIvr(_) | Stage::Voicemail { .. } | Stage::LastWords { .. } | Stage::Ended(_) => {
                out.push(Action::GiveUp(id));
            }
        }
    }

    /// Whom a forward had called has answered.
    fn forwarded(
        &mut self,
        now: Now,
        (id, index): (RequestId, TargetIndex),
        target: String,
        out: &mut Actions,
    ) {
        let (inbox, run) = match &mut self.stage {
            Stage::InIvr(run) => (None, Some(&mut *run)),
            Stage::Waiting(wait) => (Some(wait.inbox().clone()), wait.run()),
            Stage::Connected(_) | Stage::Voicemail { .. } | Stage::LastWords { .. } | Stage::Ended(_) => {
                return out.push(Action::GiveUp(id));
            }
        };
        let exited = run.filter(|run| run.is_forwarding()).map(|run| {
            let node = run.leave_all(now, &mut self.scope, out);
            FeedEvent::IvrExited { ivr: run.ivr.id.clone(), node, inbox: None, failure: None }
        });
        self.scope.note(now, "forwarded");
        self.answer(out);
        self.leave_queue(out);
        self.scope.stop(out);
        if let Some(exited) = exited {
            self.scope.emit(exited, out);
        }
        let by = FORWARD.to_owned();
        self.scope.emit(FeedEvent::Transferred { to_inbox: None, to_target: Some(target), by }, out);
        out.push(Action::Connect(id, index));
        self.stage = Stage::Connected(Talk { inbox, forwarded: true, held: false, alone: false });
    }

    /// Has somebody called in the caller's name, for a treatment.
    pub(super) fn forward_waiting(&mut self, now: Now, to: &str, out: &mut Actions) {
        if let Stage::Waiting(wait) = &self.stage {
            // Who is forwarded because the queue is full needs a place for when nobody answers.
            wait.join_beyond_length(&self.scope, out);
            self.forward(now, to.to_owned(), FORWARD_SECONDS, WhatFor::Treatment, out);
        }
    }

    /// Grants what a forward node wishes.
    pub(super) fn grant_forward(&mut self, now: Now, out: &mut Actions) {
        let run = match &mut self.stage {
            Stage::InIvr(run) => Some(run),
            Stage::Waiting(wait) => wait.run(),
            Stage::Connected(_) | Stage::Voicemail { .. } | Stage::LastWords { .. } | Stage::Ended(_) => None,
        };
        if let Some((to, seconds)) = run.and_then(|run| run.wishes.forward.take()) {
            self.forward(now, to, seconds, WhatFor::Node, out);
        }
    }

    fn forward(&mut self, now: Now, to: String, seconds: u32, what_for: WhatFor, out: &mut Actions) {
        // The caller has chosen otherwise than whoever was being called.
        self.give_up_ringing(out);
        self.forwards = self.forwards.wrapping_add(1);
        // From the other end than requests are named.
        let id = RequestId(u32::MAX.wrapping_sub(self.forwards));
        let ring = Duration::from_secs(u64::from(seconds));
        self.ring(now, id, Callee { targets: vec![to], ring, by: FORWARD.to_owned() }, out);
        if let Some(ringing) = &mut self.ringing {
            ringing.what_for = what_for;
        }
    }

    /// A phone that rang was refused, busy, or cannot be reached.
    pub(super) fn call_failed(
        &mut self,
        now: Now,
        (id, index): (RequestId, TargetIndex),
        status: u16,
        out: &mut Actions,
    ) {
        let Some(ringing) = self.ringing.as_mut().filter(|ringing| ringing.id == id) else { return };
        let Some(target) = ringing.stop(index) else { return };
        let (by, over, what_for) = (ringing.by.clone(), ringing.is_over(), ringing.what_for);
        self.tell_not_taken(now, (by, what_for), target, status, out);
        if over {
            self.ringing = None;
            self.not_taken(now, what_for, out);
        }
    }

    /// Phones that ring are given up when they have rung long enough.
    pub(super) fn check_ringing(&mut self, now: Now, out: &mut Actions) {
        let Some(ringing) = self.ringing.take_if(|ringing| ringing.until <= now.mono) else { return };
        out.push(Action::GiveUp(ringing.id));
        for target in ringing.targets.into_iter().flatten() {
            self.tell_not_taken(now, (ringing.by.clone(), ringing.what_for), target, NO_ANSWER, out);
        }
        self.not_taken(now, ringing.what_for, out);
    }

    /// Whoever talked to the caller is gone.
    pub(super) fn taker_gone(&mut self, now: Now, reason: Reason, out: &mut Actions) {
        let ringing = self.is_ringing();
        let Stage::Connected(talk) = &mut self.stage else { return };
        if ringing {
            talk.alone = true;
            return self.scope.note(now, "the taker hung up before the transfer was answered");
        }
        let side = if talk.forwarded { Side::Plan } else { Side::Inbox };
        self.end(now, Outcome::new(side, reason), 200, out);
    }

    /// Nobody is called any more where the caller neither waits nor talks.
    pub(super) fn settle_ringing(&mut self, out: &mut Actions) {
        let Some(what_for) = self.ringing.as_ref().map(|ringing| ringing.what_for) else { return };
        let wanted = match (&mut self.stage, what_for) {
            // What must not be cut off is not cut off by an answer.
            (Stage::Waiting(wait), WhatFor::Request | WhatFor::Treatment) => !wait.is_committed(),
            (Stage::Connected(_), WhatFor::Request) => true,
            (Stage::InIvr(run), WhatFor::Node) => run.is_forwarding(),
            (Stage::Waiting(wait), WhatFor::Node) => wait.run().is_some_and(|run| run.is_forwarding()),
            (Stage::InIvr(_), WhatFor::Request | WhatFor::Treatment)
            | (Stage::Connected(_), WhatFor::Node | WhatFor::Treatment)
            | (Stage::Voicemail { .. } | Stage::LastWords { .. } | Stage::Ended(_), _) => false,
        };
        if !wanted {
            self.give_up_ringing(out);
        }
    }

    pub(super) fn give_up_ringing(&mut self, out: &mut Actions) {
        if let Some(ringing) = self.ringing.take() {
            out.push(Action::GiveUp(ringing.id));
        }
    }

    fn ring(&mut self, now: Now, id: RequestId, callee: Callee, out: &mut Actions) {
        self.scope.note(now, format!("{} has somebody called", callee.by));
        let targets = callee.targets.iter().cloned().map(Some).collect();
        let until = now.after(callee.ring).mono;
        let what_for = WhatFor::Request;
        self.ringing = Some(Ringing { id, by: callee.by.clone(), until, targets, what_for });
        out.push(Action::Call { request: id, callee });
    }

    /// Says that somebody who was called does not take the contact.
    fn tell_not_taken(
        &mut self,
        now: Now,
        (by, what_for): (String, WhatFor),
        target: String,
        status: u16,
        out: &mut Actions,
    ) {
        self.scope.note(now, format!("not taken: {status}"));
        let inbox = match &self.stage {
            Stage::Waiting(wait) => Some(wait.inbox().clone()),
            Stage::Connected(talk) => talk.inbox.clone(),
            Stage::InIvr(_) | Stage::Voicemail { .. } | Stage::LastWords { .. } | Stage::Ended(_) => None,
        };
        let Some(inbox) = inbox.filter(|_| what_for == WhatFor::Request) else { return };
        let event = if status == NO_ANSWER {
            FeedEvent::TakeTimedOut { inbox, by, target }
        } else {
            FeedEvent::Refused { inbox, by, target: Some(target), status: Some(status) }
        };
        self.scope.emit(event, out);
    }

    /// No phone rings any more, and nobody answered.
    fn not_taken(&mut self, now: Now, what_for: WhatFor, out: &mut Actions) {
        if what_for == WhatFor::Node {
            return self.forward_failed(now, out);
        }
        let Stage::Connected(talk) = &self.stage else { return };
        match (talk.held, talk.alone) {
            // The one who transferred is gone: the inbox is to look after the caller again.
            (_, true) => match talk.inbox.clone() {
                Some(inbox) => self.enter_queue(now, inbox, out),
                None => self.queue_directly(now, out),
            },
            (false, false) => self.join(out),
            (true, false) => {}
        }
    }

    /// The IVR goes on where its forward node leads when nobody answers.
    fn forward_failed(&mut self, now: Now, out: &mut Actions) {
        match &mut self.stage {
            Stage::InIvr(run) => {
                let end = run.handle(now, Told::ForwardFailed, &mut self.scope, out);
                self.ivr_ended(now, end, out);
            }
            Stage::Waiting(_) => self.wait_told(now, Some(Told::ForwardFailed), out),
            Stage::Connected(_) | Stage::Voicemail { .. } | Stage::LastWords { .. } | Stage::Ended(_) => {}
        }
    }

    /// The two hear each other no more, and the caller hears hold music.
    fn separate(&mut self, out: &mut Actions) {
        out.push(Action::Separate);
        let music = self.number.hold_music.clone();
        let music = music.unwrap_or_else(|| PromptId::from(BUILT_IN_HOLD_MUSIC));
        self.scope.play(vec![Sound::Prompt(music)], true, true, out);
    }

    fn join(&mut self, out: &mut Actions) {
        self.scope.stop(out);
        out.push(Action::Join);
    }
}
