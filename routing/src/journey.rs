//! One contact's run through routing, pinned to the plan it began with.
//!
//! | stage | what it is | leaves by |
//! | --- | --- | --- |
//! | `InIvr` | the Initial IVR runs | exit → `Waiting`, hang-up → `Ended`, failure → fallback |
//! | `Waiting` | in an inbox's queue | taken → `Connected`, limits' treatments, hang-up → `Ended` |
//! | `Connected` | somebody talks to the caller | hang-up of either → `Ended`, transfer → `Waiting` |
//! | `Voicemail` | a treatment has the caller leave a message | stored, or nothing said → `Ended`, failed → `Waiting` |
//! | `LastWords` | a prompt plays before the end | its end, told or overdue → `Ended` |
//! | `Ended` | nothing follows | – |
//!
//! Spurious calls are harmless; whatever comes after `Ended` is ignored.

use std::{sync::Arc, time::Instant};

pub mod action;
pub mod event;
pub mod hand_off;
mod ivr_run;
mod prompting;
mod queue_wait;
mod scope;
mod settle;
mod spoken;
mod told;
pub mod trace;
mod voicemail;

pub use action::{Action, Actions, Callback, DataDip, FeedEvent, Message, Playback, PlaybackId, Sound};
pub use event::{Event, QueueView, Recorded};
pub use hand_off::{BUILT_IN_HOLD_MUSIC, Callee, HoldBy, Refusal, Request, RequestId, TargetIndex};
pub use prompting::PROMPT_SECONDS_MAX;
pub use trace::{Step, Trace};

use crate::{
    address::Address,
    contact::Contact,
    id::{InboxId, IvrId, NodeId, PromptId},
    outcome::{Outcome, Reason, Side},
    plan::{AnswerMode, Ivr, IvrKind, NumberVoice, Plan, Treatment, node::Node},
    resolve::Route,
    time::Now,
};
use hand_off::{Ringing, Talk};
use ivr_run::{IvrRun, RunEnd};
use prompting::Prompting;
use queue_wait::QueueWait;
use scope::Scope;
use told::Told;
use voicemail::Voicemail;

/// The music of the gateway itself, heard where nobody named another.
pub const BUILT_IN_MUSIC: &str = "builtin:queue_music";

/// The IVR of the gateway itself that who is called back runs through.
pub const CALLBACK_IVR: &str = "builtin:callback";

/// What is heard before a message is recorded that a treatment asks for.
pub const BUILT_IN_GREETING: &str = "builtin:voicemail_greeting";

/// The longest message that a treatment asks for, in seconds.
const MESSAGE_SECONDS_MAX: u32 = 180;

/// What is shorter is no message, in seconds.
const MESSAGE_SECONDS_MIN: u32 = 2;

/// Treatments applied one after the other before a contact is let go.
const TREATMENTS_MAX: u32 = 8;

/// Why a journey wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The end of a prompt was never told, though it is over for certain: the journey goes on without.
    PlaybackOverdue,
    /// A menu heard no key.
    MenuTimeout,
    /// An input heard no first key.
    FirstDigitTimeout,
    /// An input heard no further key.
    NextDigitTimeout,
    /// A web service took too long.
    DataDipTimeout,
    /// The carrier took too long with a text.
    SmsTimeout,
    /// A `wait_music` node is over.
    WaitMusicEnd,
    /// The first interval of a queue wait is over.
    FirstInterval,
    /// The Queue IVR is to run again.
    QueueIvrAgain,
    /// Ringback or music that could not be played is tried again.
    SoundAgain,
    /// The longest wait is over.
    WaitMax,
    /// A phone has rung long enough.
    TakeTimeout,
    /// The queue was not seen in time.
    QueueLookTimeout,
    /// The end of a recording was never told.
    RecordingOverdue,
    /// A callback could not be stored in time.
    CallbackTimeout,
}

/// One contact's run. See the module's text.
#[derive(Debug)]
pub struct Journey {
    scope: Scope,
    number: Arc<NumberVoice>,
    answered: bool,
    treatments: u32,
    /// The fallback was tried: a second failure goes straight to the direct inbox.
    fell_back: bool,
    /// A phone that rings for the contact, while it waits or is to be transferred.
    ringing: Option<Ringing>,
    /// Calls forwarded so far.
    forwards: u32,
    /// The caller is gone, and what was recorded until then is still on its way: until when it is waited for.
    hung_up: Option<(Outcome, Instant)>,
    /// Where a caller who was called back had waited.
    returns_to: Option<InboxId>,
    /// Nobody is available, which was told while the caller could not be led away.
    nobody: bool,
    /// The queue is full, told likewise.
    full: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    InIvr(IvrRun),
    Waiting(QueueWait),
    Connected(Talk),
    Voicemail { voicemail: Voicemail, inbox: InboxId, outcome: Outcome },
    LastWords { prompt: Prompting, outcome: Outcome, sip_status: u16 },
    Ended(Outcome),
}

impl Journey {
    /// Resolves a call that has just arrived, and takes its first steps.
    pub fn new(plan: Arc<Plan>, contact: Contact, now: Now, out: &mut Actions) -> Self {
        let route = plan.resolve_voice(&contact);
        let refused = Outcome::new(Side::Plan, Reason::VoiceOff);
        let mut journey = Self::at(Scope::new(plan, contact), Stage::Ended(refused));
        out.push(Action::Emit(FeedEvent::Started));
        match route {
            Route::Reject { status, reason } => {
                journey.scope.note(now, format!("refused with {status}: {reason:?}"));
                journey.end(now, Outcome::new(Side::Plan, reason), status, out);
            }
            Route::Ivr(number, ivr) => {
                journey.number = number;
                journey.run_ivr(now, ivr, out);
            }
            Route::Inbox(number, inbox) => {
                journey.number = number;
                journey.scope.note(now, format!("direct to {inbox}"));
                journey.enter_queue(now, inbox, out);
            }
        }
        journey.settle(now, out);
        journey
    }

    /// Begins with a caller who was called back and has answered: asked for a key, so that no answering machine
    /// gets into the line, and then in the queue of the inbox waited in before.
    pub fn called_back(
        plan: Arc<Plan>,
        contact: Contact,
        inbox: InboxId,
        now: Now,
        out: &mut Actions,
    ) -> Self {
        let refused = Outcome::new(Side::Gateway, Reason::Failed);
        let mut journey = Self::at(Scope::new(plan, contact), Stage::Ended(refused));
        if let Address::Number(number) = &journey.scope.contact.to
            && let Some(number) = journey.scope.plan.numbers.get(number)
        {
            journey.number = number.clone();
        }
        journey.answered = true;
        journey.returns_to = Some(inbox);
        out.push(Action::Emit(FeedEvent::Started));
        journey.scope.note(now, "called back");
        match greeting_ivr() {
            Some(ivr) => journey.run_ivr(now, Arc::new(ivr), out),
            None => journey.technical_failure(now, "there is no greeting", out),
        }
        journey.settle(now, out);
        journey
    }

    fn at(scope: Scope, stage: Stage) -> Self {
        Self {
            scope,
            number: Arc::new(NumberVoice::default()),
            answered: false,
            treatments: 0,
            fell_back: false,
            ringing: None,
            forwards: 0,
            hung_up: None,
            returns_to: None,
            nobody: false,
            full: false,
            stage,
        }
    }

    /// Tells the journey what happened.
    pub fn handle(&mut self, now: Now, event: Event, out: &mut Actions) {
        if matches!(self.stage, Stage::Ended(_)) {
            return;
        }
        self.check_ringing(now, out);
        self.happened(now, event, out);
        self.settle(now, out);
    }

    /// What the event has left to do about telephones.
    fn settle(&mut self, now: Now, out: &mut Actions) {
        self.settle_ringing(out);
        self.grant_forward(now, out);
        if self.full && !self.is_committed() {
            self.full = false;
            self.queue_full(now, out);
        }
        if self.nobody && !self.is_committed() {
            self.nobody = false;
            self.no_one_available(now, out);
        }
    }

    fn happened(&mut self, now: Now, event: Event, out: &mut Actions) {
        if let Some((outcome, until)) = self.hung_up {
            return self.settle_message((now, until), outcome, &event, out);
        }
        match event {
            Event::HungUp(outcome) => return self.gone(now, outcome, out),
            Event::HangUpRequested => {
                return self.end(now, Outcome::new(Side::Inbox, Reason::HungUpByApi), 200, out);
            }
            Event::Closing => return self.close(now, out),
            Event::QueueFull if self.is_committed() => {
                self.full = true;
                return;
            }
            Event::QueueFull => return self.queue_full(now, out),
            // Whose phone rings is not available: that is no reason to lead the caller away.
            Event::Availability(agents) if self.is_committed() => {
                self.nobody = agents == Some(0);
                return;
            }
            Event::Availability(Some(0)) if !self.is_ringing() => return self.no_one_available(now, out),
            Event::PlaybackFailed(id, why) if !self.scope.hears(id) => {
                return self.scope.note(now, format!("{why}: no longer heard"));
            }
            Event::Requested(id, request) => return self.requested(now, id, request, out),
            Event::CallAnswered(id, index) => return self.call_answered(now, id, index, out),
            Event::CallFailed(id, index, status) => return self.call_failed(now, (id, index), status, out),
            Event::TakerGone(reason) => return self.taker_gone(now, reason, out),
            Event::TakerHeld(held) => return self.taker_held(now, held, out),
            Event::Digit(_)
            | Event::PlaybackDone(_)
            | Event::PlaybackFailed(..)
            | Event::DataDip { .. }
            | Event::SmsSent { .. }
            | Event::InQueue(_)
            | Event::RecordingSilent
            | Event::Recorded(_)
            | Event::CallbackStored(_)
            | Event::Availability(_)
            | Event::Deadline => {}
        }
        match &mut self.stage {
            Stage::LastWords { prompt, outcome, sip_status } => {
                let (prompt, outcome, sip_status) = (*prompt, *outcome, *sip_status);
                let over = Told::of(&event).is_some_and(|told| {
                    matches!(told, Told::Failure(_)) || self.scope.is_over(now, &prompt, told, out)
                });
                if over {
                    self.end(now, outcome, sip_status, out);
                }
            }
            Stage::InIvr(run) => {
                if let Some(told) = Told::of(&event) {
                    let end = run.handle(now, told, &mut self.scope, out);
                    self.ivr_ended(now, end, out);
                }
            }
            Stage::Voicemail { voicemail, .. } => {
                let left =
                    Told::of(&event).and_then(|told| voicemail.handle(now, told, &mut self.scope, out));
                self.message_left(now, left, out);
            }
            Stage::Waiting(_) => self.waiting(now, &event, out),
            // Keys belong to the two who talk; hold music that fails is silence.
            Stage::Connected(_) | Stage::Ended(_) => {}
        }
    }

    /// When [`Event::Deadline`] is due, and why.
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        if let Some((_, until)) = self.hung_up {
            return Some((until, Timer::RecordingOverdue)).filter(|_| self.outcome().is_none());
        }
        let of_stage = match &self.stage {
            Stage::InIvr(run) => Some(run.deadline()),
            Stage::Waiting(wait) => wait.deadline(),
            Stage::Voicemail { voicemail, .. } => Some(voicemail.deadline()),
            Stage::LastWords { prompt, .. } => Some((prompt.overdue, Timer::PlaybackOverdue)),
            Stage::Connected(_) | Stage::Ended(_) => None,
        };
        [of_stage, self.ringing_deadline()].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match &self.stage {
            Stage::Ended(outcome) => Some(*outcome),
            Stage::InIvr(_)
            | Stage::Waiting(_)
            | Stage::Connected(_)
            | Stage::Voicemail { .. }
            | Stage::LastWords { .. } => None,
        }
    }

    /// Why it went where it went.
    pub fn trace(&self) -> &Trace {
        &self.scope.trace
    }

    /// The contact.
    pub fn contact(&self) -> &Contact {
        &self.scope.contact
    }

    /// The plan the journey is pinned to.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.scope.plan
    }

    /// Where it is, in one word and its object: for live views.
    pub fn place(&self) -> (&'static str, String) {
        match &self.stage {
            Stage::InIvr(run) => ("ivr", run.ivr.id.to_string()),
            Stage::Waiting(wait) => ("queue", wait.inbox().to_string()),
            Stage::Connected(talk) => {
                ("connected", talk.inbox.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            Stage::Voicemail { inbox, .. } => ("voicemail", inbox.to_string()),
            Stage::LastWords { .. } => ("last_words", String::new()),
            Stage::Ended(_) => ("ended", String::new()),
        }
    }

    fn answer(&mut self, out: &mut Actions) {
        if !self.answered {
            self.answered = true;
            out.push(Action::Answer);
        }
    }

    fn run_ivr(&mut self, now: Now, ivr: Arc<Ivr>, out: &mut Actions) {
        self.answer(out);
        self.scope.emit(FeedEvent::IvrEntered { ivr: ivr.id.clone(), queue: false }, out);
        let (run, end) = IvrRun::begin(ivr, (self.music(None), false), now, &mut self.scope, out);
        self.stage = Stage::InIvr(run);
        self.ivr_ended(now, end, out);
    }

    /// The Initial IVR went on, or ended.
    fn ivr_ended(&mut self, now: Now, end: Option<RunEnd>, out: &mut Actions) {
        let (Some(end), Stage::InIvr(run)) = (end, &self.stage) else { return };
        let ivr = run.whole().id.clone();
        let called_back = run.is_called_back();
        match end {
            end if called_back => {
                // Only Queue IVRs have callbacks: this one was let through by a plan of other making.
                let (node, failure) = end.parts();
                self.scope.emit(FeedEvent::IvrExited { ivr, node, inbox: None, failure }, out);
                self.end(now, Outcome::new(Side::Plan, Reason::CallbackRequested), 200, out);
            }
            RunEnd::Exit(node) => {
                let back = self.returns_to.take();
                let inbox = back.or_else(|| self.scope.plan.exit_inbox(&ivr, &node));
                let exited =
                    FeedEvent::IvrExited { ivr, node: Some(node), inbox: inbox.clone(), failure: None };
                self.scope.emit(exited, out);
                match inbox {
                    Some(inbox) => self.enter_queue(now, inbox, out),
                    None => self.technical_failure(now, "exit without inbox", out),
                }
            }
            RunEnd::HangUp { node, sip_status } => {
                self.scope
                    .emit(FeedEvent::IvrExited { ivr, node: Some(node), inbox: None, failure: None }, out);
                self.end(now, Outcome::new(Side::Plan, Reason::HungUpByIvr), sip_status, out);
            }
            RunEnd::LeftVoicemail(node) => {
                self.scope
                    .emit(FeedEvent::IvrExited { ivr, node: Some(node), inbox: None, failure: None }, out);
                self.end(now, Outcome::new(Side::Plan, Reason::LeftVoicemail), 200, out);
            }
            RunEnd::Continue(node) => {
                let why = "continue outside a queue";
                let exited = FeedEvent::IvrExited { ivr, node: Some(node), inbox: None, failure: Some(why) };
                self.scope.emit(exited, out);
                self.technical_failure(now, why, out);
            }
            RunEnd::Failed(why) => {
                self.scope
                    .emit(FeedEvent::IvrExited { ivr, node: None, inbox: None, failure: Some(why) }, out);
                self.technical_failure(now, why, out);
            }
        }
    }

    /// A caller is never dropped for a broken IVR: the number's fallback, else its direct inbox.
    fn technical_failure(&mut self, now: Now, why: &'static str, out: &mut Actions) {
        self.scope.note(now, format!("the IVR failed: {why}"));
        if let Some(inbox) = self.returns_to.take() {
            return self.enter_queue(now, inbox, out);
        }
        let fallback = if self.fell_back { None } else { self.number.fallback.clone() };
        self.fell_back = true;
        match fallback {
            Some(treatment) => {
                self.treat(now, &treatment, Outcome::new(Side::Gateway, Reason::Failed), out);
            }
            None => self.queue_directly(now, out),
        }
    }

    fn queue_directly(&mut self, now: Now, out: &mut Actions) {
        match self.scope.plan.direct_inbox(&self.scope.contact) {
            Some(inbox) => self.enter_queue(now, inbox, out),
            None => self.end(now, Outcome::new(Side::Gateway, Reason::Failed), 500, out),
        }
    }

    fn enter_queue(&mut self, now: Now, inbox: InboxId, out: &mut Actions) {
        self.full = false;
        if let Stage::Waiting(wait) = &mut self.stage {
            return wait.move_to(now, inbox, &mut self.scope, out);
        }
        let silent = self.number.answer == AnswerMode::Taken && !self.answered;
        if silent {
            out.push(Action::Ring);
        } else {
            self.answer(out);
        }
        let music = self.music(Some(&inbox));
        self.stage =
            Stage::Waiting(QueueWait::begin(now, inbox, (&self.number, music, silent), &mut self.scope, out));
    }

    fn waiting(&mut self, now: Now, event: &Event, out: &mut Actions) {
        self.wait_told(now, Told::of(event), out);
    }

    fn wait_told(&mut self, now: Now, told: Option<Told<'_>>, out: &mut Actions) {
        let Stage::Waiting(wait) = &mut self.stage else { return };
        match wait.handle(now, told, &mut self.scope, out) {
            queue_wait::Next::Stay => {}
            queue_wait::Next::HangUp(sip_status) => {
                self.end(now, Outcome::new(Side::Plan, Reason::HungUpByIvr), sip_status, out);
            }
            queue_wait::Next::Ended(reason) => self.end(now, Outcome::new(Side::Plan, reason), 200, out),
            queue_wait::Next::WaitedTooLong => {
                let treatment =
                    self.inbox_limit(|inbox| inbox.wait_max.clone().map(|(_, treatment)| treatment));
                self.limit(now, "longest wait reached", treatment, out);
            }
        }
    }

    fn queue_full(&mut self, now: Now, out: &mut Actions) {
        let treatment =
            self.inbox_limit(|inbox| inbox.queue_length_max.clone().map(|(_, treatment)| treatment));
        // Without a place in the queue, staying is no way out.
        let spent = self.treatments >= TREATMENTS_MAX;
        let treatment = treatment.filter(|treatment| !spent && !self.leads_here(treatment));
        if let Some(treatment) = treatment.as_ref().filter(|treatment| !self.can(treatment)) {
            self.scope.note(now, format!("queue full, and not available: {treatment:?}"));
            if let Stage::Waiting(wait) = &self.stage {
                wait.join_beyond_length(&self.scope, out);
            }
            return;
        }
        self.limit(now, "queue full", treatment, out);
    }

    fn no_one_available(&mut self, now: Now, out: &mut Actions) {
        if let Some(treatment) = self.inbox_limit(|inbox| inbox.no_one_available.clone()) {
            self.limit(now, "no one available", Some(treatment), out);
        }
    }

    fn inbox_limit(&self, pick: impl Fn(&crate::plan::Inbox) -> Option<Treatment>) -> Option<Treatment> {
        let Stage::Waiting(wait) = &self.stage else { return None };
        self.scope.plan.inbox(wait.inbox()).and_then(|inbox| pick(inbox))
    }

    fn limit(&mut self, now: Now, why: &str, treatment: Option<Treatment>, out: &mut Actions) {
        if !matches!(self.stage, Stage::Waiting(_)) {
            return;
        }
        self.scope.note(now, why);
        match treatment {
            Some(treatment) => {
                self.treat(now, &treatment, Outcome::new(Side::Plan, Reason::QueueLimit), out);
            }
            None => self.end(now, Outcome::new(Side::Plan, Reason::QueueLimit), 486, out),
        }
    }

    /// Whether the treatment leads to the inbox the contact already waits in.
    fn leads_here(&self, treatment: &Treatment) -> bool {
        matches!((&self.stage, treatment), (Stage::Waiting(wait), Treatment::Inbox(to)) if wait.inbox() == to)
    }

    /// Applies a treatment; `outcome` is how the contact ends if the treatment ends it.
    fn treat(&mut self, now: Now, treatment: &Treatment, outcome: Outcome, out: &mut Actions) {
        if self.leads_here(treatment) {
            return self.scope.note(now, "treatment leads to the same inbox: keeps its place");
        }
        if !self.can(treatment) {
            self.scope.note(now, format!("not available: {treatment:?}"));
            if matches!(self.stage, Stage::Waiting(_)) {
                return self.scope.note(now, "keeps its place");
            }
            return self.queue_directly(now, out);
        }
        self.treatments = self.treatments.saturating_add(1);
        if self.treatments > TREATMENTS_MAX {
            self.scope.note(now, "too many treatments");
            if matches!(self.stage, Stage::Waiting(_)) {
                return;
            }
            return self.queue_directly(now, out);
        }
        self.scope.note(now, format!("treatment: {treatment:?}"));
        match treatment {
            Treatment::PromptThenHangUp(prompt) => {
                self.leave_queue(out);
                self.answer(out);
                let prompt = self.scope.play_prompts(now, &[prompt], out);
                self.stage = Stage::LastWords { prompt, outcome, sip_status: 200 };
            }
            Treatment::Inbox(inbox) => self.enter_queue(now, inbox.clone(), out),
            Treatment::Ivr(ivr) => {
                if let Some(ivr) = self.scope.plan.ivrs.get(ivr).cloned() {
                    self.leave_queue(out);
                    self.run_ivr(now, ivr, out);
                }
            }
            Treatment::SipCode(status) => self.end(now, outcome, *status, out),
            Treatment::Voicemail(inbox) => {
                self.leave_queue(out);
                self.answer(out);
                let message = Message {
                    inbox: inbox.clone(),
                    seconds_max: MESSAGE_SECONDS_MAX,
                    seconds_min: MESSAGE_SECONDS_MIN,
                };
                let greeting = PromptId::from(BUILT_IN_GREETING);
                let voicemail = Voicemail::begin(now, &greeting, message, &mut self.scope, out);
                self.stage = Stage::Voicemail { voicemail, inbox: inbox.clone(), outcome };
            }
            Treatment::Forward(to) => {
                // The caller waits in a queue until somebody answers there, and after nobody has.
                if !matches!(self.stage, Stage::Waiting(_)) {
                    self.queue_directly(now, out);
                }
                self.forward_waiting(now, to, out);
            }
        }
    }

    /// Whether the treatment can be carried out. One that cannot never costs a caller the call: who waits
    /// goes on waiting, and who comes from a broken IVR gets the direct inbox.
    fn can(&self, treatment: &Treatment) -> bool {
        match treatment {
            Treatment::Ivr(ivr) => self.scope.plan.ivrs.contains_key(ivr),
            Treatment::PromptThenHangUp(_)
            | Treatment::Inbox(_)
            | Treatment::Voicemail(_)
            | Treatment::Forward(_)
            | Treatment::SipCode(_) => true,
        }
    }

    fn leave_queue(&mut self, out: &mut Actions) {
        if matches!(self.stage, Stage::Waiting(_)) {
            out.push(Action::LeaveQueue);
        }
    }

    fn end(&mut self, now: Now, outcome: Outcome, sip_status: u16, out: &mut Actions) {
        self.leave_queue(out);
        self.give_up_ringing(out);
        self.scope.note(now, format!("ended: {:?}, {:?}", outcome.side, outcome.reason));
        self.stage = Stage::Ended(outcome);
        out.push(Action::Emit(FeedEvent::Ended(outcome)));
        out.push(Action::End { outcome, sip_status });
    }

    fn music(&self, inbox: Option<&InboxId>) -> PromptId {
        music(self.number.queue_music.as_ref(), inbox, &self.scope.plan)
    }
}

/// What who is called back hears: a key is asked for, twice again if need be.
fn greeting_ivr() -> Option<Ivr> {
    let prompt = PromptId::from("builtin:callback_greeting");
    let key = NodeId::from("key");
    let menu = Node::Menu {
        prompt,
        timeout_seconds: 6,
        retries: 2,
        no_input_prompt: None,
        no_match_prompt: None,
        barge_in: true,
        choices: [("1".to_owned(), NodeId::from("line"))].into(),
        default: NodeId::from("nobody"),
        error: None,
    };
    let nodes = [
        (key.clone(), menu),
        (NodeId::from("line"), Node::Exit {}),
        (NodeId::from("nobody"), Node::HangUp { sip_status: 200, prompt: None }),
    ];
    Ivr::build(IvrId::from(CALLBACK_IVR), "Callback".to_owned(), IvrKind::Initial, &key, &nodes).ok()
}

/// The number's music, else the inbox's, else the built-in one.
fn music(of_number: Option<&PromptId>, inbox: Option<&InboxId>, plan: &Plan) -> PromptId {
    let of_inbox = || inbox.and_then(|id| plan.inbox(id)).and_then(|inbox| inbox.queue_music.as_ref());
    of_number.or_else(of_inbox).cloned().unwrap_or_else(|| PromptId::from(BUILT_IN_MUSIC))
}
