//! Waiting in an inbox's queue.
//!
//! ```text
//! arrival ── D seconds of initial sound ──► Queue IVR ──► music ── repeat_every ──► Queue IVR ──► …
//!                                     └─ without one: music for as long as it takes
//! ```
//! Moving to another inbox keeps the arrival time and the timers.

use std::{sync::Arc, time::Instant};

use super::{
    BUILT_IN_MUSIC, Timer,
    action::{Action, Actions, FeedEvent, Sound},
    ivr_run::{IvrRun, RunEnd, Wishes},
    scope::{Scope, in_seconds},
    told::Told,
};
use crate::{
    channel::Channel,
    id::{InboxId, PromptId},
    outcome::Reason,
    plan::{InitialSound, Ivr, NumberVoice},
    time::Now,
};

/// One wait.
#[derive(Debug)]
pub(super) struct QueueWait {
    inbox: InboxId,
    since: Now,
    /// Given by a node of the Queue IVR, and kept from inbox to inbox; else it is the inbox's.
    priority: Option<u8>,
    queue_ivr: Option<Arc<Ivr>>,
    repeat_every_seconds: u32,
    music: PromptId,
    /// The number's own music, which goes before any inbox's.
    number_music: Option<PromptId>,
    /// When the longest wait is over.
    wait_max: Option<Instant>,
    /// Nothing is heard before somebody takes the call.
    silent: bool,
    /// When a sound that could not be played is tried again.
    sound_again: Option<Instant>,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// The first interval.
    Initial { until: Instant, sound: InitialSound },
    /// Music, until the Queue IVR runs again; for ever without one.
    Music { again: Option<Instant> },
    /// The Queue IVR runs.
    InIvr(Box<IvrRun>),
}

/// What the journey has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    HangUp(u16),
    /// The caller has left a message, or will be called back.
    Ended(Reason),
    WaitedTooLong,
}

impl QueueWait {
    pub(super) fn begin(
        now: Now,
        inbox: InboxId,
        (number, music, silent): (&NumberVoice, PromptId, bool),
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Self {
        let entry_key = (Channel::Voice, scope.contact.to.clone());
        let sla = scope.plan.sla_minutes(scope.plan.entry_points.get(&entry_key), &inbox);
        let due = std::time::Duration::from_secs(u64::from(sla).saturating_mul(60));
        let sla_due = scope.contact.arrived.after(due).wall;
        scope.note(now, format!("waits in {inbox}"));
        scope.emit(FeedEvent::Queued { inbox: inbox.clone(), sla_due }, out);
        let mut wait = Self {
            queue_ivr: number.queue_ivr.as_ref().and_then(|ivr| scope.plan.ivrs.get(ivr)).cloned(),
            repeat_every_seconds: number.repeat_every_seconds.unwrap_or(number.queue_wait_seconds),
            since: now,
            priority: None,
            music,
            number_music: number.queue_music.clone(),
            wait_max: None,
            silent,
            sound_again: None,
            phase: Phase::Initial {
                until: in_seconds(now, number.queue_wait_seconds),
                sound: number.initial_sound,
            },
            inbox,
        };
        wait.wait_max = wait.deadline_of_wait(scope);
        wait.join(scope, out);
        // Keys pressed before the queue belong to the IVR that is over.
        scope.digits.clear();
        wait.play(wait.music.clone(), scope, out);
        wait
    }

    pub(super) fn inbox(&self) -> &InboxId {
        &self.inbox
    }

    /// The run of the Queue IVR, to be looked at.
    pub(super) fn current_run(&self) -> Option<&IvrRun> {
        match &self.phase {
            Phase::InIvr(run) => Some(run),
            Phase::Initial { .. } | Phase::Music { .. } => None,
        }
    }

    /// The run of the Queue IVR, while there is one.
    pub(super) fn run(&mut self) -> Option<&mut IvrRun> {
        match &mut self.phase {
            Phase::InIvr(run) => Some(run),
            Phase::Initial { .. } | Phase::Music { .. } => None,
        }
    }

    /// Whether the caller does what must not be cut off.
    pub(super) fn is_committed(&self) -> bool {
        self.current_run().is_some_and(IvrRun::is_committed)
    }

    fn deadline_of_wait(&self, scope: &Scope) -> Option<Instant> {
        let inbox = scope.plan.inbox(&self.inbox)?;
        inbox.wait_max.as_ref().map(|(seconds, _)| in_seconds(self.since, *seconds))
    }

    pub(super) fn deadline(&self) -> Option<(Instant, Timer)> {
        let phase = match &self.phase {
            Phase::Initial { .. } | Phase::Music { .. } if self.silent => None,
            Phase::Initial { until, .. } => Some((*until, Timer::FirstInterval)),
            Phase::Music { again } => again.map(|at| (at, Timer::QueueIvrAgain)),
            Phase::InIvr(run) => Some(run.deadline()),
        };
        let sound = self.sound_again.map(|at| (at, Timer::SoundAgain));
        let wait_max = self.wait_max.filter(|_| !self.is_committed()).map(|at| (at, Timer::WaitMax));
        [phase, sound, wait_max].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// To another inbox, keeping the arrival time; to the same one is no move at all.
    pub(super) fn move_to(&mut self, now: Now, inbox: InboxId, scope: &mut Scope, out: &mut Actions) {
        if inbox != self.inbox {
            scope.note(now, format!("moves to {inbox}"));
            let from = std::mem::replace(&mut self.inbox, inbox);
            scope.emit(FeedEvent::Moved { from, to: self.inbox.clone() }, out);
            // A longest wait that has passed already is treated at once.
            self.wait_max = self.deadline_of_wait(scope);
            self.join(scope, out);
            let music = super::music(self.number_music.as_ref(), Some(&self.inbox), &scope.plan);
            let changed = std::mem::replace(&mut self.music, music) != self.music;
            let music_plays = match self.phase {
                Phase::Initial { sound, .. } => sound == InitialSound::QueueMusic,
                Phase::Music { .. } => true,
                Phase::InIvr(_) => false,
            };
            if music_plays && changed {
                self.play(self.music.clone(), scope, out);
            }
        }
    }

    pub(super) fn handle(
        &mut self,
        now: Now,
        told: Option<Told<'_>>,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Next {
        // The event first: a playback's end that is swallowed would leave silence behind.
        let next = told.map_or(Next::Stay, |told| self.told(now, told, scope, out));
        let too_long = self.wait_max.is_some_and(|at| at <= now.mono);
        if next == Next::Stay && too_long && !self.is_committed() {
            self.wait_max = None;
            return Next::WaitedTooLong;
        }
        next
    }

    fn told(&mut self, now: Now, told: Told<'_>, scope: &mut Scope, out: &mut Actions) -> Next {
        match &mut self.phase {
            Phase::InIvr(run) => {
                let end = run.handle(now, told, scope, out);
                self.grant(now, scope, out);
                self.ivr_ended(now, end, scope, out)
            }
            Phase::Initial { .. } | Phase::Music { .. } => match told {
                Told::Time => self.time(now, scope, out),
                Told::Digit(_) => {
                    scope.note(now, "key dropped: no IVR runs");
                    Next::Stay
                }
                Told::Failure(why) => {
                    scope.note(now, format!("the sound of the wait failed: {why}"));
                    self.sound_again = Some(in_seconds(now, SOUND_AGAIN_SECONDS));
                    Next::Stay
                }
                Told::PlaybackDone(_)
                | Told::DataDip { .. }
                | Told::SmsSent { .. }
                | Told::ForwardFailed
                | Told::InQueue(_)
                | Told::RecordingSilent
                | Told::Recorded(_)
                | Told::CallbackStored(_) => Next::Stay,
            },
        }
    }

    fn time(&mut self, now: Now, scope: &mut Scope, out: &mut Actions) -> Next {
        let due = match &self.phase {
            Phase::Initial { until, .. } => *until <= now.mono,
            Phase::Music { again } => again.is_some_and(|at| at <= now.mono),
            Phase::InIvr(_) => false,
        };
        if !due || self.silent {
            if self.sound_again.is_some_and(|at| at <= now.mono) {
                // The music may be what is missing; the built-in one is always there.
                self.play(PromptId::from(BUILT_IN_MUSIC), scope, out);
            }
            return Next::Stay;
        }
        self.sound_again = None;
        match self.queue_ivr.clone() {
            Some(ivr) => {
                scope.emit(FeedEvent::IvrEntered { ivr: ivr.id.clone(), queue: true }, out);
                let (run, end) = IvrRun::begin(ivr, (self.music.clone(), true), now, scope, out);
                self.phase = Phase::InIvr(Box::new(run));
                self.grant(now, scope, out);
                self.ivr_ended(now, end, scope, out)
            }
            None => {
                self.play_music(None, scope, out);
                Next::Stay
            }
        }
    }

    /// Does what the nodes of the Queue IVR asked for.
    fn grant(&mut self, now: Now, scope: &mut Scope, out: &mut Actions) {
        let Phase::InIvr(run) = &mut self.phase else { return };
        // A forward is the journey's to grant.
        let wishes = Wishes { forward: None, ..run.wishes.clone() };
        run.wishes = Wishes { forward: run.wishes.forward.take(), ..Wishes::default() };
        let before = self.priority_in(scope);
        self.priority = wishes.priority.map(|priority| priority.min(PRIORITY_MAX)).or(self.priority);
        let priority = self.priority_in(scope);
        if let Some(inbox) = wishes.inbox.filter(|inbox| *inbox != self.inbox) {
            if scope.plan.inbox(&inbox).is_some() {
                // The new place is taken with the new priority.
                return self.move_to(now, inbox, scope, out);
            }
            scope.note(now, format!("there is no inbox {inbox}: stays"));
        }
        if priority != before {
            scope.note(now, format!("priority {priority}"));
            self.join_within(None, scope, out);
        }
    }

    fn priority_in(&self, scope: &Scope) -> u8 {
        let of_inbox = || scope.plan.inbox(&self.inbox).map(|inbox| inbox.priority);
        self.priority.or_else(of_inbox).unwrap_or(PRIORITY_DEFAULT)
    }

    fn ivr_ended(&mut self, now: Now, end: Option<RunEnd>, scope: &mut Scope, out: &mut Actions) -> Next {
        let (Some(end), Phase::InIvr(run)) = (end, &self.phase) else { return Next::Stay };
        let ivr = run.whole().id.clone();
        let exited = |node, inbox, failure| FeedEvent::IvrExited { ivr: ivr.clone(), node, inbox, failure };
        if run.is_called_back() {
            // The callback has the place: there is nothing left to wait for on the line.
            let (node, failure) = end.parts();
            scope.emit(exited(node, None, failure), out);
            return Next::Ended(Reason::CallbackRequested);
        }
        match end {
            RunEnd::Exit(node) => {
                let inbox = scope.plan.exit_inbox(&ivr, &node);
                scope.emit(exited(Some(node), inbox.clone(), None), out);
                if let Some(inbox) = inbox {
                    self.move_to(now, inbox, scope, out);
                }
            }
            RunEnd::Continue(node) => scope.emit(exited(Some(node), Some(self.inbox.clone()), None), out),
            RunEnd::HangUp { node, sip_status } => {
                scope.emit(exited(Some(node), None, None), out);
                return Next::HangUp(sip_status);
            }
            RunEnd::LeftVoicemail(node) => {
                scope.emit(exited(Some(node), None, None), out);
                return Next::Ended(Reason::LeftVoicemail);
            }
            RunEnd::Failed(why) => {
                // The caller keeps the place and hears music; a broken IVR is not tried again.
                scope.note(now, format!("the Queue IVR failed: {why}"));
                scope.emit(exited(None, None, Some(why)), out);
                self.queue_ivr = None;
            }
        }
        scope.digits.clear();
        let again = self.queue_ivr.is_some().then(|| in_seconds(now, self.repeat_every_seconds));
        self.play_music(again, scope, out);
        Next::Stay
    }

    fn play_music(&mut self, again: Option<Instant>, scope: &mut Scope, out: &mut Actions) {
        self.phase = Phase::Music { again };
        self.play(self.music.clone(), scope, out);
    }

    /// What is heard between two runs of the Queue IVR, and before the first.
    fn play(&mut self, music: PromptId, scope: &mut Scope, out: &mut Actions) {
        self.sound_again = None;
        if self.silent {
            return;
        }
        match self.phase {
            Phase::Initial { sound: InitialSound::Ringback, .. } => {
                scope.play(vec![Sound::Ringback], true, false, out);
            }
            Phase::Initial { sound: InitialSound::QueueMusic, .. } | Phase::Music { .. } => {
                scope.play(vec![Sound::Prompt(music)], true, true, out);
            }
            Phase::InIvr(_) => {}
        }
    }

    fn join(&self, scope: &Scope, out: &mut Actions) {
        let inbox = scope.plan.inbox(&self.inbox);
        let length_max = inbox.and_then(|inbox| inbox.queue_length_max.as_ref()).map(|(length, _)| *length);
        self.join_within(length_max, scope, out);
    }

    /// Takes a place in a full queue: for whom nothing else can be done.
    pub(super) fn join_beyond_length(&self, scope: &Scope, out: &mut Actions) {
        self.join_within(None, scope, out);
    }

    fn join_within(&self, length_max: Option<u32>, scope: &Scope, out: &mut Actions) {
        let priority = self.priority_in(scope);
        out.push(Action::EnterQueue { inbox: self.inbox.clone(), priority, length_max });
    }
}

/// How soon a sound that could not be played is tried again: a busy media thread has drained by then.
const SOUND_AGAIN_SECONDS: u32 = 5;

/// The highest priority.
const PRIORITY_MAX: u8 = 9;

/// The middle of 0 to 9.
const PRIORITY_DEFAULT: u8 = 5;
