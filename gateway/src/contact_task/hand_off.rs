//! The contact's task, as far as it hands the contact to somebody: requests, calls to takers, the bridge.

use sip_proto::endpoint::HangUpCause;
use vestibule_routing::{
    journey::{Callee, Event, RequestId},
    outcome::Reason,
};

use super::{
    ContactTask,
    takers::{Taker, TakerId},
};
use crate::{api::live::Wish, leg::Signal, media::MediaEvent, telemetry::TakeResult};

impl ContactTask {
    pub(super) fn wished(&mut self, wish: Wish) -> Option<Event> {
        match wish {
            Wish::HangUp => Some(Event::HangUpRequested),
            Wish::Request(asked) => {
                let id = self.takers.ask(asked.reply, asked.targets);
                Some(Event::Requested(id, asked.request))
            }
        }
    }

    pub(super) fn call(&mut self, request: RequestId, callee: &Callee) {
        self.record.rings(callee);
        self.show_hand_off();
        for index in self.takers.call(request, callee, (&self.services, &self.media, &self.leg)) {
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
        self.media.unbridge();
        self.takers.release();
    }

    /// What the signalling says of a call that we placed.
    pub(super) fn taker_signalled(&mut self, leg: TakerId, signal: Signal) -> Option<Event> {
        match signal {
            Signal::Media(agreed) => {
                let held = self.takers.find(leg)?.agreed(&agreed)?;
                Some(Event::TakerHeld(held))
            }
            Signal::Digit(digit) => {
                self.takers.find(leg)?;
                self.media.send_digit(digit);
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
            // Keys go to the caller within the media.
            MediaEvent::Digit { .. }
            | MediaEvent::PlaybackDone { .. }
            | MediaEvent::PlaybackStopped { .. }
            | MediaEvent::Latched { .. }
            | MediaEvent::Active
            | MediaEvent::Closed { .. } => None,
        }
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
