//! The contact's task, as far as it hands the contact to somebody: requests, calls to takers, the bridge.

use std::time::Duration;

use sip_proto::endpoint::{HangUpCause, Refer};
use vestibule_routing::{
    address::E164,
    id::TrunkId,
    journey::{Callee, Event, Request, RequestId},
    outcome::Reason,
};

use super::{
    Answer, ContactTask,
    takers::{KeyCame, Taker, TakerId},
};
use crate::{
    api::live::{Located, Wish},
    hub::Services,
    leg::Signal,
    media::{DigitSource, MediaEvent},
    telemetry::TakeResult,
};

impl ContactTask {
    pub(super) fn wished(&mut self, wish: Wish) -> Option<Event> {
        match wish {
            Wish::HangUp => Some(Event::HangUpRequested),
            Wish::Close => Some(Event::Closing),
            Wish::Request(asked) => {
                let id = self.takers.ask(asked.reply, asked.targets);
                Some(Event::Requested(id, asked.request))
            }
            Wish::Recording { action, reply } => {
                // Whoever asked may have gone away.
                reply.send(self.record(action)).unwrap_or_default();
                None
            }
        }
    }

    pub(super) fn call(&mut self, request: RequestId, callee: &Callee) {
        if !self.takers.has_asked(request) {
            return self.forward(request, callee.clone());
        }
        self.record.rings(callee);
        self.show_hand_off();
        for index in self.takers.call(request, callee, (&self.services, &self.media, &self.leg)) {
            self.pending.push_back(Event::CallFailed(request, index, NOT_PLACED));
        }
    }

    /// The journey calls somebody of its own accord: where that is, is still to be found out.
    fn forward(&mut self, request: RequestId, callee: Callee) {
        self.takers.forwards = Some(request);
        let (services, answers) = (self.services.clone(), self.answers.clone());
        let (contact, trunk) = (self.id.clone(), self.record.start.trunk.clone());
        tokio::spawn(async move {
            let mut targets = Vec::new();
            for target in &callee.targets {
                let located = forward_to(&services, trunk.as_ref(), target).await;
                targets.push(located.unwrap_or_else(|why| {
                    tracing::warn!(%contact, %why, "a call cannot be forwarded");
                    // Nowhere to call: it fails as a call does that cannot be placed.
                    Located::at(Vec::new())
                }));
            }
            // The contact may be gone by now.
            answers.send(Answer::Located { request, callee, targets }).await.unwrap_or_default();
        });
    }

    /// Where a forwarded call goes is known.
    pub(super) fn located(&mut self, request: RequestId, callee: &Callee, targets: Vec<Located>) {
        if self.takers.forwards.take_if(|wanted| *wanted == request).is_none() {
            return;
        }
        let with = (&*self.services, &self.media, &self.leg);
        for index in self.takers.call_located(request, callee, targets, with) {
            self.pending.push_back(Event::CallFailed(request, index, NOT_PLACED));
        }
    }

    pub(super) fn give_up(&mut self, request: RequestId) {
        self.takers.give_up(request);
        self.record.rings_no_more();
        self.show_hand_off();
    }

    /// Lets the caller and the taker hear each other.
    pub(super) fn connect(&mut self, leg: TakerId) {
        if self.takers.connect(leg) {
            self.join();
            self.record_next_taker();
            if self.takers.talking().is_some_and(Taker::holds) {
                // It answered on hold, as telephones do whose user is busy with another line.
                self.pending.push_back(Event::TakerHeld(true));
            }
        } else {
            // Its end crossed its answer.
            self.pending.push_back(Event::TakerGone(Reason::Completed));
        }
    }

    pub(super) fn join(&mut self) {
        let joined = self.takers.talking().is_some_and(|taker| self.media.bridge(&taker.media));
        if !joined && self.takers.talking().is_some() {
            tracing::error!("a caller and a taker could not be joined");
            self.takers.release();
            self.pending.push_back(Event::TakerGone(Reason::Failed));
        }
    }

    pub(super) fn release(&mut self) {
        self.end_recording();
        self.media.unbridge();
        self.takers.release();
    }

    /// What the signalling says of a call that we placed.
    pub(super) fn taker_signalled(&mut self, leg: TakerId, signal: Signal) -> Option<Event> {
        match signal {
            Signal::Media(agreed) => {
                let held = self.takers.find(leg)?.agreed(&agreed)?;
                // A phone that still rings for a transfer holds nobody.
                self.takers.talking().filter(|taker| taker.is(leg))?;
                Some(Event::TakerHeld(held))
            }
            Signal::Digit(digit) => {
                self.takers.find(leg)?;
                KeyCame::ByInfo.pass_on(digit, &self.media, &self.leg);
                None
            }
            Signal::Refer(refer) => {
                self.refer(leg, *refer);
                None
            }
            Signal::Answered => Some(Event::CallAnswered(leg.0, leg.1)),
            Signal::Failed(status) => {
                let elsewhere = matches!(status, 408 | 503) && self.takers.call_elsewhere(leg, &self.leg);
                if elsewhere {
                    return None;
                }
                self.takers.find(leg).into_iter().for_each(Taker::rest);
                self.takers.forget(leg);
                self.takers.tell_referrer(status);
                Some(Event::CallFailed(leg.0, leg.1, status))
            }
            Signal::HungUp(cause) => Some(self.taker_gone(leg, reason_of(cause))),
        }
    }

    /// What the media of a call says that we placed.
    pub(super) fn taker_media(&mut self, leg: TakerId, event: MediaEvent) -> Option<Event> {
        match event {
            MediaEvent::Inactive { .. } => {
                self.services.metrics.media.timeouts.inc();
                self.takers.find(leg)?.hang_up(408);
                Some(self.taker_gone(leg, Reason::MediaTimeout))
            }
            MediaEvent::Digit { digit, source: DigitSource::Rfc4733 } => {
                KeyCame::AsEvent.pass_on(digit, &self.media, &self.leg);
                None
            }
            // Tones go to the caller as they are heard.
            MediaEvent::Digit { source: DigitSource::Inband, .. }
            | MediaEvent::PlaybackDone { .. }
            | MediaEvent::PlaybackStopped { .. }
            | MediaEvent::Latched { .. }
            | MediaEvent::Active
            | MediaEvent::Closed { .. } => None,
        }
    }

    /// Who talks to the caller wants him to be put in touch with somebody else: a transfer like any other.
    fn refer(&mut self, leg: TakerId, refer: Refer) {
        let Some((signal, by)) = self.takers.find(leg).map(|taker| taker.signalling()) else { return };
        let services = self.services.clone();
        let contact = self.id.clone();
        tokio::spawn(async move {
            let Refer { target, replaces, .. } = refer;
            let destinations = match services.locator.locate(&target).await {
                Ok(destinations) => destinations,
                Err(error) => {
                    tracing::info!(%contact, %error, "a REFER was declined");
                    return signal.referred(DECLINED);
                }
            };
            let ring = Duration::from_secs(services.hand_off.ring_seconds);
            let request = Request::Transfer(Callee { targets: vec![target], ring, by });
            let located = vec![Located { replaces, ..Located::at(destinations) }];
            let granted = match services.live.find(contact.as_str()) {
                Some(contact) => matches!(contact.ask(request, located).await, Ok(Ok(()))),
                None => false,
            };
            if !granted {
                signal.referred(DECLINED);
            }
        });
    }

    fn taker_gone(&mut self, leg: TakerId, reason: Reason) -> Event {
        if self.takers.forget(leg) {
            Event::TakerGone(reason)
        } else {
            // It was answered, and is over before anybody was connected.
            Event::CallFailed(leg.0, leg.1, GONE_AGAIN)
        }
    }

    /// Counts what became of a take.
    pub(super) fn count_take(&self, result: TakeResult) {
        self.services.metrics.hand_off.takes.of(result).inc();
    }

    fn show_hand_off(&self) {
        let hand_off = self.record.hand_off.clone();
        self.live.update(|state| state.hand_off = hand_off);
    }
}

/// Where a call is forwarded to: a SIP URI that may be called, or a number by a trunk.
pub(super) async fn forward_to(
    services: &Services,
    trunk: Option<&TrunkId>,
    target: &str,
) -> Result<Located, String> {
    if target.starts_with("sip:") || target.starts_with("sips:") {
        let found = services.locator.locate(target).await;
        return found.map(Located::at).map_err(|error| error.to_string());
    }
    let number = E164::parse(target).map_err(|error| error.to_string())?;
    let trunks = services.routing.active().load().trunks.clone();
    Ok(Located::by(services.trunks.ways_to(&number, trunk, &trunks).await?))
}

/// What the end of a taker's call means for the contact.
fn reason_of(cause: HangUpCause) -> Reason {
    match cause {
        HangUpCause::Bye | HangUpCause::Cancelled => Reason::Completed,
        HangUpCause::NoAck | HangUpCause::SessionExpired => Reason::SignallingTimeout,
        HangUpCause::MediaRefused => Reason::MediaRefused,
    }
}

/// The status of a call that could not be placed.
const NOT_PLACED: u16 = 503;
/// The status of a call that was answered and over at once.
const GONE_AGAIN: u16 = 480;
/// The status of a REFER that is not followed.
const DECLINED: u16 = 603;
