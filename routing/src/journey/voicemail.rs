//! Leaving a message.
//!
//! ```text
//! greeting ── over, or a key ──► tone ──► recording ── #, silence, too long ──► being stored ──► thanks
//! ```
//! From the tone on the caller is not taken out of it by anybody.

#![expect(clippy::wildcard_enum_match_arm, reason = "what a state is not waiting for is ignored")]

use std::time::Instant;

use super::{
    Timer,
    action::{Action, Actions, Message, Sound},
    event::Recorded,
    prompting::Prompting,
    scope::{Scope, in_seconds},
    spoken::word,
    told::Told,
};
use crate::{id::PromptId, time::Now};

/// How long after the longest message its recorder must have spoken, in seconds.
const RECORDING_MARGIN: u32 = 5;

/// How long a message may take to be stored, in seconds: a slow disk is waited for.
pub(super) const STORING_SECONDS: u32 = 10;

/// What the caller left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// A message.
    Message,
    /// Nothing, or too little.
    Nothing,
    /// It could not be recorded.
    Failed,
}

/// One message on its way.
#[derive(Debug)]
pub(super) struct Voicemail {
    message: Message,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Greeting(Prompting),
    Tone(Prompting),
    Recording { until: Instant },
    Storing { until: Instant },
    Thanks(Prompting),
}

impl Voicemail {
    pub(super) fn begin(
        now: Now,
        greeting: &PromptId,
        message: Message,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Self {
        // A key pressed earlier does not cut the greeting of a message.
        scope.digits.clear();
        Self { message, at: At::Greeting(scope.play_prompts(now, &[greeting], out)) }
    }

    /// When it wants to be woken.
    pub(super) fn deadline(&self) -> (Instant, Timer) {
        match self.at {
            At::Greeting(prompt) | At::Tone(prompt) | At::Thanks(prompt) => {
                (prompt.overdue, Timer::PlaybackOverdue)
            }
            At::Recording { until } | At::Storing { until } => (until, Timer::RecordingOverdue),
        }
    }

    /// Whether the caller speaks, or what was said is still on its way.
    pub(super) fn is_committed(&self) -> bool {
        match self.at {
            At::Greeting(_) => false,
            At::Tone(_) | At::Recording { .. } | At::Storing { .. } | At::Thanks(_) => true,
        }
    }

    /// Whether the message is not stored yet: who hangs up now may still have left one.
    pub(super) fn is_unsettled(&self) -> bool {
        matches!(self.at, At::Recording { .. } | At::Storing { .. })
    }

    /// Whether the recorder still runs: somebody has to end it, once.
    pub(super) fn is_recording(&self) -> bool {
        matches!(self.at, At::Recording { .. })
    }

    /// Whether the message is stored.
    pub(super) fn is_stored(&self) -> bool {
        matches!(self.at, At::Thanks(_))
    }

    /// Tells it what happened; what was left, once that is settled.
    pub(super) fn handle(
        &mut self,
        now: Now,
        told: Told<'_>,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Option<Left> {
        match self.at {
            At::Greeting(prompt) => {
                let over = match told {
                    Told::Digit(_) => {
                        scope.stop(out);
                        true
                    }
                    // Without a greeting the tone says enough.
                    Told::Failure(_) => true,
                    told => scope.is_over(now, &prompt, told, out),
                };
                if over {
                    scope.digits.clear();
                    self.at = At::Tone(scope.say(now, vec![Sound::Beep], out));
                }
            }
            At::Tone(prompt) => {
                if matches!(told, Told::Failure(_)) || scope.is_over(now, &prompt, told, out) {
                    scope.note(now, format!("a message for {} is recorded", self.message.inbox));
                    out.push(Action::Record(self.message.clone()));
                    let longest = self.message.seconds_max.saturating_add(RECORDING_MARGIN);
                    self.at = At::Recording { until: in_seconds(now, longest) };
                }
            }
            At::Recording { until } => {
                let done = match told {
                    Told::Digit(digit) => digit.as_char() == '#',
                    Told::RecordingSilent => true,
                    Told::Recorded(recorded) => return self.recorded(now, recorded, scope, out),
                    told => matches!(told, Told::Time) && until <= now.mono,
                };
                // Keys are no part of the message, nor of what follows.
                scope.digits.clear();
                if done {
                    out.push(Action::EndRecording);
                    self.at = At::Storing { until: in_seconds(now, STORING_SECONDS) };
                }
            }
            At::Storing { until } => match told {
                Told::Recorded(recorded) => return self.recorded(now, recorded, scope, out),
                Told::Time if until <= now.mono => return Some(Left::Failed),
                _ => {}
            },
            At::Thanks(prompt) => {
                let over = matches!(told, Told::Failure(_)) || scope.is_over(now, &prompt, told, out);
                return over.then_some(Left::Message);
            }
        }
        None
    }

    fn recorded(
        &mut self,
        now: Now,
        recorded: Recorded,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Option<Left> {
        scope.note(now, format!("the message: {recorded:?}"));
        match recorded {
            Recorded::Kept => {
                self.at = At::Thanks(scope.say(now, vec![word("voicemail_thanks")], out));
                None
            }
            Recorded::TooShort => Some(Left::Nothing),
            Recorded::Failed => Some(Left::Failed),
        }
    }
}
