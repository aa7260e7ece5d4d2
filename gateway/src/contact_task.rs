//! Where the pure meets the sockets: one task drives one contact's journey.
//!
//! The task tells the journey what happened and does what it asks, in this order for every wake-up:
//! first the journal (one entry for all events), then signalling, media and queue. A 200 waits for the
//! journal's receipt; nothing else does.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use rand::{Rng, rngs::StdRng};
use tokio::sync::{mpsc, watch};
use vestibule_routing::{
    address::Address,
    id::{ContactId, InboxId},
    journey::{Action, Callee, Event, FeedEvent, Journey, Playback, RequestId, Sound},
    outcome::{Outcome, Reason, Side},
    time::Now,
};

use crate::{
    api::live::{LiveEntry, Located, Stage},
    availability::Told,
    callbacks::Attempt,
    contact_id::new_contact_id,
    dialler::DialWait,
    hub::{Place, Services},
    journal::{ContactEnd, ContactProgress, ContactUpdate, Entry, JournalError},
    leg::{ArrivingCall, LegId, Signal, SignalLeg},
    media::{self, MediaEvent, Recording},
    message::sender::Text,
    queue::Ticket,
    sound::Prompts,
    telemetry::{DigitSource, OutcomeLabel, TakeResult},
};

mod arrival;
pub(crate) mod called_back;
mod hand_off;
mod media_leg;
mod message;
mod queueing;
mod record;
mod recording;
mod routing;
mod takers;

use arrival::{contact_of, outcome_of, start_of};
use media_leg::MediaLeg;
use record::Record;
use recording::TalkRecording;
use routing::routing_for;
use takers::{KeyCame, Takers};

/// Media events that wait for one contact: room for the digits of a fast caller.
const MEDIA_EVENTS_MAX: usize = 32;

/// Answers of others that wait for one contact.
const ANSWERS_MAX: usize = 4;

/// What a contact has asked of others.
#[derive(Debug)]
enum Answer {
    /// Of a web service, or a recorder.
    Event(Event),
    /// Where a forwarded call goes.
    Located { request: RequestId, callee: Callee, targets: Vec<Located> },
}

/// Where a contact hears of its legs, and how further legs come to speak to it.
pub(crate) type Signals = (mpsc::Receiver<(LegId, Signal)>, mpsc::WeakSender<(LegId, Signal)>);

/// Runs one contact from arrival to end.
pub(crate) async fn run(
    services: Arc<Services>,
    call: ArrivingCall,
    (signals, back): Signals,
    (place, mut rng): (Place, StdRng),
) {
    let now = now();
    let routing = routing_for(&services, &call.invite.user).await;
    let mut contact = contact_of(&call, new_contact_id(now.wall, &mut rng), rng.random(), now);
    let start = start_of(&call, &contact, routing.revision);
    let continued = services.repeats.take(&start);
    let record = Record::new(start, continued.is_some());
    contact.id = continued.unwrap_or(contact.id);
    let Some(live) = services.live.enter(contact.id.clone()) else { return call.leg.reject(500, None) };
    let sounds = services.sounds.of(&routing.prompts);
    let mut actions = Vec::new();
    let journey = Journey::new(routing.plan.clone(), contact, now, &mut actions);
    drop(routing);
    let (media_events, media_receiver) = mpsc::channel(MEDIA_EVENTS_MAX);
    let begun = Begun {
        media: MediaLeg::new(media_events, call.invite.path.peer.ip()),
        max_forwards: call.invite.max_forwards.saturating_sub(1),
        leg: call.leg,
        codecs: call.codecs,
        srtp: call.srtp,
        journey,
        actions,
        record,
        sounds,
        live,
        waits_since: now.wall,
        attempt: None,
    };
    let (mut task, answers) = ContactTask::new(services, begun, back, place);
    task.drive(signals, media_receiver, answers).await;
}

/// A contact that begins.
struct Begun {
    leg: SignalLeg,
    codecs: Vec<sip_proto::sdp::Codec>,
    srtp: sip_proto::sdp::Srtp,
    media: MediaLeg,
    journey: Journey,
    actions: Vec<Action>,
    record: Record,
    sounds: Prompts,
    live: LiveEntry,
    waits_since: jiff::Timestamp,
    max_forwards: u8,
    /// The callback by which we called.
    attempt: Option<Attempt>,
}

/// What one contact's task owns.
struct ContactTask {
    services: Arc<Services>,
    id: ContactId,
    leg: SignalLeg,
    codecs: Vec<sip_proto::sdp::Codec>,
    srtp: sip_proto::sdp::Srtp,
    media: MediaLeg,
    takers: Takers,
    /// Those of the plan that the journey keeps.
    sounds: Prompts,
    journey: Journey,
    actions: Vec<Action>,
    /// What our own doing made happen: told to the journey before anything else.
    pending: VecDeque<Event>,
    record: Record,
    recording: TalkRecording,
    /// The message that the caller leaves.
    message: Option<Recording>,
    /// Messages so far.
    messages: u32,
    /// Since when somebody who took the contact talks to the caller, and for which inbox.
    talk_since: Option<(Instant, InboxId)>,
    /// The callback by which we called, until they wait in their place.
    attempt: Option<Attempt>,
    ticket: Option<Ticket>,
    dial_wait: Option<DialWait>,
    /// Agents available to the inbox that the contact waits in.
    agents: Option<watch::Receiver<Told>>,
    /// Since when the caller counts as waiting: a place that was lost and had back keeps its time.
    waits_since: jiff::Timestamp,
    queued_at: Option<Instant>,
    live: LiveEntry,
    /// What was asked of others, and comes back.
    answers: mpsc::Sender<Answer>,
    arrived: Instant,
    /// The caller has heard something above 100.
    responded: bool,
    ended: bool,
    _place: Place,
}

impl ContactTask {
    fn new(
        services: Arc<Services>,
        begun: Begun,
        back: mpsc::WeakSender<(LegId, Signal)>,
        place: Place,
    ) -> (Self, mpsc::Receiver<Answer>) {
        let (answers, receiver) = mpsc::channel(ANSWERS_MAX);
        services.metrics.call.started.inc();
        let Begun { journey, record, .. } = begun;
        let story = record.story(&journey.contact().id);
        let task = Self {
            id: journey.contact().id.clone(),
            arrived: journey.contact().arrived.mono,
            takers: Takers::new((begun.max_forwards, story), &journey, back),
            // Whom we called has heard enough already.
            responded: record.progress.answered.is_some(),
            leg: begun.leg,
            codecs: begun.codecs,
            srtp: begun.srtp,
            media: begun.media,
            sounds: begun.sounds,
            journey,
            actions: begun.actions,
            pending: VecDeque::new(),
            record,
            recording: TalkRecording::default(),
            message: None,
            messages: 0,
            talk_since: None,
            attempt: begun.attempt,
            ticket: None,
            dial_wait: None,
            agents: None,
            waits_since: begun.waits_since,
            queued_at: None,
            live: begun.live,
            answers,
            ended: false,
            services,
            _place: place,
        };
        (task, receiver)
    }

    async fn drive(
        &mut self,
        mut signals: mpsc::Receiver<(LegId, Signal)>,
        mut media_events: mpsc::Receiver<MediaEvent>,
        mut answers: mpsc::Receiver<Answer>,
    ) {
        loop {
            self.perform().await;
            while let Some(event) = self.pending.pop_front() {
                self.journey.handle(now(), event, &mut self.actions);
                self.perform().await;
            }
            if self.ended {
                return;
            }
            let deadline = self.journey.deadline().map(|(at, _)| at);
            let event = tokio::select! {
                signal = signals.recv() => self.signalled(signal),
                Some(event) = media_events.recv() => self.media_event(event),
                (leg, event) = self.takers.media_event() => self.taker_media(leg, event),
                Some(answer) = answers.recv() => self.answered(answer),
                wish = self.live.wish() => self.wished(wish),
                agents = changed(&mut self.agents) => Some(Event::Availability(agents)),
                () = sleep_until(deadline) => Some(Event::Deadline),
            };
            if let Some(event) = event {
                self.journey.handle(now(), event, &mut self.actions);
            }
        }
    }

    fn signalled(&mut self, signal: Option<(LegId, Signal)>) -> Option<Event> {
        match signal {
            Some((LegId::Caller, signal)) => self.caller_signalled(signal),
            Some((LegId::Callee(request, index), signal)) => self.taker_signalled((request, index), signal),
            // The SIP thread is gone: the process stops.
            None => Some(Event::HungUp(Outcome::new(Side::Gateway, Reason::Restarted))),
        }
    }

    fn answered(&mut self, answer: Answer) -> Option<Event> {
        match answer {
            Answer::Event(event) => Some(event),
            Answer::Located { request, callee, targets } => {
                self.located(request, &callee, targets);
                None
            }
        }
    }

    fn caller_signalled(&mut self, signal: Signal) -> Option<Event> {
        match signal {
            Signal::Media(agreed) => {
                self.media.agreed(&agreed);
                None
            }
            Signal::Digit(digit) => {
                self.services.metrics.media.digits.of(DigitSource::Info).inc();
                self.takers.press(digit, KeyCame::ByInfo);
                self.live.pressed(digit.as_char());
                Some(Event::Digit(digit))
            }
            Signal::HungUp(cause) => Some(Event::HungUp(outcome_of(cause))),
            // Callers are transferred; they transfer nobody.
            Signal::Refer(_) => {
                self.leg.referred(603);
                None
            }
            // Told of calls that we place only.
            Signal::Answered | Signal::Failed(_) => None,
        }
    }

    fn media_event(&mut self, event: MediaEvent) -> Option<Event> {
        match event {
            MediaEvent::Digit { digit, source } => {
                let label = match source {
                    media::DigitSource::Rfc4733 => DigitSource::TelephoneEvent,
                    media::DigitSource::Inband => DigitSource::Inband,
                };
                self.services.metrics.media.digits.of(label).inc();
                if source == media::DigitSource::Rfc4733 {
                    self.takers.press(digit, KeyCame::AsEvent);
                }
                self.live.pressed(digit.as_char());
                Some(Event::Digit(digit))
            }
            MediaEvent::PlaybackDone { id, .. } => {
                (!self.consent_heard(id, true)).then_some(Event::PlaybackDone(id))
            }
            MediaEvent::PlaybackStopped { id, position_samples, .. } => {
                self.consent_heard(id, false);
                self.media.stopped(id, position_samples);
                None
            }
            MediaEvent::Inactive { .. } => {
                self.services.metrics.media.timeouts.inc();
                self.leg.hang_up(408);
                Some(Event::HungUp(Outcome::new(Side::Carrier, Reason::MediaTimeout)))
            }
            MediaEvent::Latched { .. } => {
                self.live.update(|state| state.heard = true);
                None
            }
            MediaEvent::Active | MediaEvent::Closed { .. } => None,
        }
    }

    /// Does what the journey asked for.
    async fn perform(&mut self) {
        if self.actions.is_empty() || self.ended {
            self.actions.clear();
            return;
        }
        let actions = std::mem::take(&mut self.actions);
        let wall = jiff::Timestamp::now();
        let receipts = self.write(wall, &actions);
        if actions.iter().any(|action| matches!(action, Action::Answer)) {
            // Invariant 2: no 200 without the receipt of contact.started.
            if let Err(error) = receipts.await {
                tracing::error!(%error, "a call was refused for want of the journal");
                return self.refuse_unrecorded();
            }
        }
        for action in actions {
            self.act(action);
        }
        self.show();
    }

    /// Writes the events of this wake-up; the future is the receipt.
    fn write(
        &mut self,
        wall: jiff::Timestamp,
        actions: &[Action],
    ) -> impl Future<Output = Result<(), JournalError>> + use<> {
        let mut entry = Entry::new(self.id.clone());
        let mut last = None;
        let answers = actions.iter().any(|action| matches!(action, Action::Answer));
        if answers {
            self.record.progress.answered = Some(wall);
        }
        for action in actions {
            let Action::Emit(event) = action else { continue };
            self.record.note(event);
            self.count(event);
            self.follow(event);
            match event {
                // It was said before the restart, under the same id.
                FeedEvent::Started if self.record.continued => {
                    entry.record = Some(ContactUpdate::Progress(Box::default()));
                }
                FeedEvent::Started => entry = Entry::started(self.id.clone(), self.record.start.clone()),
                FeedEvent::Ended(outcome) => last = Some(self.end_of(wall, *outcome)),
                other => entry.push(wall, other),
            }
        }
        self.live.update(|state| state.events.extend(entry.events.iter().cloned()));
        if entry.record.is_none() && self.record.take_change() {
            entry.record = Some(ContactUpdate::Progress(Box::new(self.record.progress.clone())));
        }
        let first = (!entry.events.is_empty() || entry.record.is_some()).then(|| {
            if answers {
                Some(self.services.journal.append(entry))
            } else {
                self.write_later(entry);
                None
            }
        });
        if let Some(end) = last {
            self.write_later(Entry::ended(self.id.clone(), end));
        }
        async move {
            match first.flatten() {
                Some(receipt) => receipt.await.map(|_receipt| ()),
                None => Ok(()),
            }
        }
    }

    fn count(&self, event: &FeedEvent) {
        match event {
            FeedEvent::Taken { .. } => self.count_take(TakeResult::Taken),
            FeedEvent::Refused { .. } => self.count_take(TakeResult::Refused),
            FeedEvent::TakeTimedOut { .. } => self.count_take(TakeResult::TimedOut),
            _ => {}
        }
    }

    fn write_later(&self, entry: Entry) {
        if let Err(error) = self.services.journal.append_later(entry) {
            tracing::error!(%error, "an event could not be journalled");
        }
    }

    fn end_of(&self, wall: jiff::Timestamp, outcome: Outcome) -> ContactEnd {
        let ContactProgress { answered, ivr, inbox } = self.record.progress.clone();
        let abandoned_at = self.record.abandoned_at(outcome, self.queued_at);
        let trace = serde_json::to_string(self.journey.trace()).ok();
        ContactEnd { answered, ivr, inbox, abandoned_at, trace, ..ContactEnd::new(wall, outcome) }
    }

    /// Shows the API where the contact is.
    fn show(&self) {
        let stage = self.stage();
        let answered = self.record.progress.answered;
        let hand_off = self.record.hand_off.clone();
        let place = self.ticket.as_ref().map(Ticket::place);
        self.live.update(|state| {
            state.hand_off = hand_off;
            state.stage = stage;
            state.answered = answered;
            state.place = place;
        });
    }

    fn stage(&self) -> Stage {
        if self.record.is_connected()
            && let Some(inbox) = &self.record.progress.inbox
        {
            return Stage::Connected { inbox: inbox.clone() };
        }
        if let (Some(_), Some(inbox)) = (&self.ticket, &self.record.progress.inbox) {
            return Stage::Waiting { inbox: inbox.clone(), position: 0 };
        }
        match (&self.record.progress.ivr, &self.record.node) {
            (Some(ivr), Some(node)) => Stage::InIvr { ivr: ivr.clone(), node: node.clone() },
            _ => Stage::Ringing,
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Ring => {
                self.leg.ring();
                self.measure_setup();
            }
            Action::Answer => {
                self.answer();
                self.measure_setup();
            }
            Action::Play(playback) => self.play(&playback),
            Action::StopPlayback => self.media.stop_playback(),
            Action::Emit(_) => {}
            Action::EnterQueue { inbox, priority, length_max } => {
                self.enter_queue(&inbox, priority, length_max);
            }
            Action::LeaveQueue => self.leave_queue(),
            Action::LookAtQueue => self.look_at_queue(),
            Action::Record(message) => self.record_message(message),
            Action::EndRecording => self.end_message(),
            Action::StoreCallback(callback) => self.store_callback(callback),
            Action::SendSms { request, text } => self.send_text(request, text),
            Action::DataDip(dip) => {
                let (services, answers) = (self.services.clone(), self.answers.clone());
                tokio::spawn(async move {
                    let request = dip.request;
                    let values = services.dips.ask(&dip).await;
                    // The contact may be gone by now, and nobody wants the answer.
                    answers.send(Answer::Event(Event::DataDip { request, values })).await.unwrap_or_default();
                });
            }
            Action::Call { request, callee } => self.call(request, &callee),
            Action::GiveUp(request) => self.give_up(request),
            Action::Connect(request, index) => self.connect((request, index)),
            Action::Separate => self.media.unbridge(),
            Action::Join => self.join(),
            Action::Release => self.release(),
            Action::Reply { request, result } => self.takers.reply(request, result),
            Action::End { outcome, sip_status } => self.end(outcome, sip_status),
        }
    }

    /// Sends the caller a text from the number that was called.
    fn send_text(&mut self, request: u32, text: String) {
        let contact = self.journey.contact();
        let (Address::Number(from), Some(to)) = (&contact.to, contact.from.number) else {
            return self.pending.push_back(Event::SmsSent { request, sent: false });
        };
        let text = Text { from: *from, to, text, contact: self.id.clone() };
        let (services, answers) = (self.services.clone(), self.answers.clone());
        tokio::spawn(async move {
            let sent = services.texts.send(&text).await;
            if let Err(why) = &sent {
                let why: &dyn std::error::Error = why;
                tracing::warn!(contact = %text.contact, why, "a text was not sent");
            }
            // The contact may be gone by now, and nobody wants the answer.
            answers
                .send(Answer::Event(Event::SmsSent { request, sent: sent.is_ok() }))
                .await
                .unwrap_or_default();
        });
    }

    fn answer(&mut self) {
        match self.media.open(&self.services, self.takers.media_beside()) {
            Some(address) => self.leg.answer(address, self.codecs.clone(), self.srtp),
            None => {
                tracing::error!("a call was refused for want of a media port");
                self.leg.reject(503, Some(5));
                self.pending.push_back(Event::HungUp(Outcome::new(Side::Gateway, Reason::Overloaded)));
            }
        }
    }

    fn play(&mut self, playback: &Playback) {
        let mut sounds = Vec::with_capacity(playback.sounds.len());
        for sound in &playback.sounds {
            match sound {
                Sound::Prompt(prompt) => match self.sounds.get(prompt) {
                    Some(audio) => sounds.push(media::Sound::Audio(audio)),
                    None => return self.not_played(playback, "a prompt is missing"),
                },
                Sound::Ringback => sounds.push(media::Sound::Audio(self.services.sounds.ringback())),
                Sound::Beep => sounds.push(media::Sound::Audio(self.services.sounds.beep())),
                Sound::Silence(length) => {
                    let samples = u32::try_from(length.as_millis().saturating_mul(8)).unwrap_or(u32::MAX);
                    sounds.push(media::Sound::Silence { samples });
                }
            }
        }
        if !self.media.play(playback, sounds) {
            self.not_played(playback, "the media thread is busy");
        }
    }

    fn not_played(&mut self, playback: &Playback, why: &'static str) {
        self.pending.push_back(Event::PlaybackFailed(playback.id, why));
    }

    fn end(&mut self, outcome: Outcome, sip_status: u16) {
        self.ended = true;
        self.count_end(outcome);
        self.services.guard.ended(self.record.start.revision, &self.record.course, outcome);
        self.keep_place(outcome);
        self.takers.end(sip_status);
        match sip_status {
            // The call is gone already.
            0 => {}
            status @ 300.. if self.record.progress.answered.is_none() => {
                self.leg.reject(status, None);
                self.measure_setup();
            }
            status => self.leg.hang_up(status),
        }
    }

    /// The first answer above 100 is on its way (RFC 6076 §4.3).
    fn measure_setup(&mut self) {
        if !std::mem::replace(&mut self.responded, true) {
            self.services.metrics.sip.setup_seconds.observe(self.arrived.elapsed().as_secs_f64());
        }
    }

    fn count_end(&self, outcome: Outcome) {
        if outcome.reason == Reason::AbandonedInQueue {
            self.services.metrics.queue.abandoned.inc();
        }
        let metrics = &self.services.metrics.call;
        metrics.ended.of(OutcomeLabel(outcome)).inc();
        if self.record.progress.answered.is_some() {
            metrics.duration_seconds.observe(self.arrived.elapsed().as_secs_f64());
        }
    }

    /// The journal took nothing: the call is refused and only counted.
    fn refuse_unrecorded(&mut self) {
        self.leg.reject(503, Some(5));
        self.ended = true;
        self.ticket = None;
        self.count_end(Outcome::new(Side::Gateway, Reason::Overloaded));
    }
}

impl Drop for ContactTask {
    /// A panic ends one contact, never the process: the caller is told, the record is closed.
    fn drop(&mut self) {
        self.ticket = None;
        if self.ended {
            return;
        }
        if std::thread::panicking() {
            self.services.metrics.call.panics.inc();
        }
        self.leg.hang_up(500);
        self.takers.end(500);
        let outcome = Outcome::new(Side::Gateway, Reason::Failed);
        self.count_end(outcome);
        self.write_later(Entry::ended(self.id.clone(), self.end_of(jiff::Timestamp::now(), outcome)));
    }
}

fn now() -> Now {
    Now { mono: Instant::now(), wall: jiff::Timestamp::now() }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Agents available, when that has changed.
async fn changed(agents: &mut Option<watch::Receiver<Told>>) -> Option<u32> {
    if let Some(agents) = agents
        && agents.changed().await.is_ok()
    {
        return agents.borrow_and_update().agents(Instant::now());
    }
    std::future::pending().await
}
