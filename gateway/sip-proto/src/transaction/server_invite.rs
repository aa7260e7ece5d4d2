//! INVITE server transaction: RFC 3261 figure 7 with RFC 6026's *Accepted*.
//!
//! | state | request | 2xx | 300–699 | ACK | timer |
//! | --- | --- | --- | --- | --- | --- |
//! | Proceeding | resend last | Accepted | Completed | – | – |
//! | Completed | resend last | – | – | Confirmed | G resend, H over |
//! | Confirmed | absorb | – | – | absorb | I over |
//! | Accepted | absorb | pass | – | up | L over |

use std::time::Instant;

use super::{Step, Timer, TimerValues, Timers};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Proceeding,
    Completed,
    Confirmed,
    Accepted,
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerInvite {
    pub(crate) state: State,
    timers: Timers,
    reliable: bool,
}

impl ServerInvite {
    pub(crate) fn new(reliable: bool) -> Self {
        Self { state: State::Proceeding, timers: Timers::default(), reliable }
    }

    /// The INVITE came again.
    pub(crate) fn request(&mut self) -> Step {
        match self.state {
            State::Proceeding | State::Completed => Step::Resend,
            // The user of the transaction repeats the 2xx on its own clock (RFC 3261 §13.3.1.4).
            State::Confirmed | State::Accepted => Step::Nothing,
        }
    }

    /// A final response was sent.
    pub(crate) fn responded(&mut self, now: Instant, status: u16, values: &TimerValues) {
        match (self.state, status) {
            (State::Proceeding, 200..=299) => {
                self.state = State::Accepted;
                self.timers.end(now, Timer::L, values.timeout());
            }
            (State::Proceeding, 300..) => {
                self.state = State::Completed;
                if !self.reliable {
                    self.timers.repeat(now, Timer::G, values.t1);
                }
                self.timers.end(now, Timer::H, values.timeout());
            }
            _ => {}
        }
    }

    /// An ACK of this transaction came.
    pub(crate) fn ack(&mut self, now: Instant, values: &TimerValues) -> Step {
        match self.state {
            State::Completed if self.reliable => Step::Terminated,
            State::Completed => {
                self.state = State::Confirmed;
                self.timers.stop();
                self.timers.end(now, Timer::I, values.t4);
                Step::Nothing
            }
            State::Accepted => Step::Deliver,
            State::Proceeding | State::Confirmed => Step::Nothing,
        }
    }

    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.deadline()
    }

    pub(crate) fn timeout(&mut self, now: Instant, values: &TimerValues) -> Step {
        match self.timers.due(now, values.t2) {
            None => Step::Nothing,
            Some(Timer::G) => Step::Resend,
            Some(Timer::H) => Step::TimedOut,
            Some(_) => Step::Terminated,
        }
    }
}
