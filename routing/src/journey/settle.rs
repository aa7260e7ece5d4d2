//! What must not be cut off: a message that is being left, a callback that is being stored. Whoever hangs up
//! meanwhile has left what was recorded until then.

use std::time::Instant;

use super::{
    Journey, Stage,
    action::{Action, Actions},
    event::{Event, Recorded},
    hand_off::Refusal,
    ivr_run::IvrRun,
    scope::in_seconds,
    spoken::word,
    told::Told,
    voicemail::{Left, STORING_SECONDS, Voicemail},
};
use crate::{
    outcome::{Outcome, Reason, Side},
    time::Now,
};

/// The status of a call that ends because the gateway stops.
const CLOSING: u16 = 503;

impl Journey {
    /// A treatment's voicemail went on, or is over.
    pub(super) fn message_left(&mut self, now: Now, left: Option<Left>, out: &mut Actions) {
        let Stage::Voicemail { inbox, outcome, .. } = &self.stage else { return };
        match left {
            None => {}
            Some(Left::Message) => {
                self.end(now, Outcome::new(Side::Plan, Reason::LeftVoicemail), 200, out);
            }
            Some(Left::Nothing) => self.end(now, *outcome, 200, out),
            // Where nothing can be recorded, people are to look after the caller.
            Some(Left::Failed) => self.enter_queue(now, inbox.clone(), out),
        }
    }

    /// The gateway stops. Who hears us is told why; a talk, and what is being said to us, just end.
    pub(super) fn close(&mut self, now: Now, out: &mut Actions) {
        let outcome = Outcome::new(Side::Gateway, Reason::Restarted);
        let hears = match &self.stage {
            Stage::InIvr(_) | Stage::Waiting(_) => self.answered && !self.is_committed(),
            Stage::LastWords { .. } | Stage::Ended(_) => return,
            Stage::Voicemail { .. } | Stage::Connected(_) => false,
        };
        if !hears {
            return self.end(now, outcome, CLOSING, out);
        }
        self.scope.note(now, "the gateway stops");
        self.leave_queue(out);
        self.give_up_ringing(out);
        let prompt = self.scope.say(now, vec![word("closing")], out);
        self.stage = Stage::LastWords { prompt, outcome, sip_status: CLOSING };
    }

    /// The call is gone: say where it was left.
    pub(super) fn gone(&mut self, now: Now, outcome: Outcome, out: &mut Actions) {
        let unsettled = self.voicemail().is_some_and(Voicemail::is_unsettled);
        let runs = self.voicemail().is_some_and(Voicemail::is_recording);
        if unsettled && self.hung_up.is_none() {
            // Whether there is a message is known when the recording is closed.
            self.scope.note(now, "the caller is gone: what was recorded is kept");
            self.hung_up = Some((outcome, in_seconds(now, STORING_SECONDS)));
            if runs {
                out.push(Action::EndRecording);
            }
            return;
        }
        let stored = self.voicemail().is_some_and(Voicemail::is_stored);
        self.end_gone(now, outcome, stored, out);
    }

    fn end_gone(&mut self, now: Now, outcome: Outcome, message: bool, out: &mut Actions) {
        let by_caller = outcome.side == Side::Caller && outcome.reason == Reason::Completed;
        let in_ivr = matches!(self.stage, Stage::InIvr(_));
        let in_queue = matches!(self.stage, Stage::Waiting(_) | Stage::Voicemail { .. });
        let reason = match () {
            () if message => Reason::LeftVoicemail,
            () if self.is_called_back() => Reason::CallbackRequested,
            () if by_caller && in_ivr => Reason::AbandonedInIvr,
            () if by_caller && in_queue => Reason::AbandonedInQueue,
            () => outcome.reason,
        };
        self.end(now, Outcome::new(outcome.side, reason), 0, out);
    }

    /// The caller is gone, and what was recorded is on its way.
    pub(super) fn settle_message(
        &mut self,
        (now, until): (Now, Instant),
        outcome: Outcome,
        event: &Event,
        out: &mut Actions,
    ) {
        let message = match Told::of(event) {
            Some(Told::Recorded(recorded)) => recorded == Recorded::Kept,
            Some(Told::Time) if until <= now.mono => false,
            _ => return self.reply_gone(event, out),
        };
        self.end_gone(now, outcome, message, out);
    }

    /// Who asks for a caller who is gone hears so.
    fn reply_gone(&self, event: &Event, out: &mut Actions) {
        if let Event::Requested(request, _) = event {
            out.push(Action::Reply { request: *request, result: Err(Refusal::Committed) });
        }
    }

    /// The message that the caller leaves, while that lasts.
    pub(super) fn voicemail(&self) -> Option<&Voicemail> {
        match &self.stage {
            Stage::Voicemail { voicemail, .. } => Some(voicemail),
            Stage::InIvr(run) => run.voicemail(),
            Stage::Waiting(wait) => wait.current_run().and_then(IvrRun::voicemail),
            Stage::Connected(_) | Stage::LastWords { .. } | Stage::Ended(_) => None,
        }
    }

    /// Whether the caller does what must not be cut off.
    pub(super) fn is_committed(&self) -> bool {
        match &self.stage {
            Stage::Voicemail { voicemail, .. } => voicemail.is_committed(),
            Stage::InIvr(run) => run.is_committed(),
            Stage::Waiting(wait) => wait.is_committed(),
            Stage::Connected(_) | Stage::LastWords { .. } | Stage::Ended(_) => false,
        }
    }

    fn is_called_back(&self) -> bool {
        match &self.stage {
            Stage::InIvr(run) => run.is_called_back(),
            Stage::Waiting(wait) => wait.current_run().is_some_and(IvrRun::is_called_back),
            Stage::Voicemail { .. } | Stage::Connected(_) | Stage::LastWords { .. } | Stage::Ended(_) => {
                false
            }
        }
    }
}
