//! INVITE client transaction: RFC 3261 figure 5 with RFC 6026's *Accepted*.

use std::time::{Duration, Instant};

use super::{Step, Timer, TimerValues, Timers};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Completed,
    Accepted,
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientInvite {
    state: State,
    timers: Timers,
    reliable: bool,
}

/// Timer D: at least 32 s on unreliable transports (RFC 3261 §17.1.1.2).
const TIMER_D: Duration = Duration::from_secs(32);

impl ClientInvite {
    /// A transaction whose INVITE has just been sent.
    pub(crate) fn new(now: Instant, reliable: bool, values: &TimerValues) -> Self {
        let mut timers = Timers::default();
        if !reliable {
            timers.repeat(now, Timer::A, values.t1);
        }
        timers.end(now, Timer::B, values.timeout());
        Self { state: State::Calling, timers, reliable }
    }

    /// A response came.
    pub(crate) fn response(&mut self, now: Instant, status: u16, values: &TimerValues) -> Step {
        match (self.state, status) {
            (State::Calling | State::Proceeding, 0..=199) => {
                // Ringing may take long; how long is the user's decision.
                self.state = State::Proceeding;
                self.timers.stop();
                Step::Deliver
            }
            (State::Calling | State::Proceeding, 200..=299) => {
                self.state = State::Accepted;
                self.timers.stop();
                self.timers.end(now, Timer::M, values.timeout());
                Step::Deliver
            }
            (State::Calling | State::Proceeding, _) => {
                self.state = State::Completed;
                self.timers.stop();
                self.timers.end(now, Timer::D, if self.reliable { Duration::ZERO } else { TIMER_D });
                Step::Acknowledge { first: true }
            }
            (State::Completed, 300..) => Step::Acknowledge { first: false },
            // RFC 6026 §7.2: further 2xx are handed up, since each needs its ACK.
            (State::Accepted, 200..=299) => Step::Deliver,
            (State::Completed | State::Accepted, _) => Step::Nothing,
        }
    }

    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.deadline()
    }

    pub(crate) fn timeout(&mut self, now: Instant, values: &TimerValues) -> Step {
        // Timer A doubles without a ceiling until B ends it (RFC 3261 §17.1.1.2).
        match self.timers.due(now, values.timeout()) {
            None => Step::Nothing,
            Some(Timer::A) => Step::Resend,
            Some(Timer::B) => Step::TimedOut,
            Some(_) => Step::Terminated,
        }
    }
}
