//! Non-INVITE client transaction: RFC 3261 figure 6.

use std::time::{Duration, Instant};

use super::{Step, Timer, TimerValues, Timers};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Trying,
    Proceeding,
    Completed,
}

/// The machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    state: State,
    timers: Timers,
    reliable: bool,
}

impl Client {
    /// A transaction whose request has just been sent.
    pub(crate) fn new(now: Instant, reliable: bool, values: &TimerValues) -> Self {
        let mut timers = Timers::default();
        if !reliable {
            timers.repeat(now, Timer::E, values.t1);
        }
        timers.end(now, Timer::F, values.timeout());
        Self { state: State::Trying, timers, reliable }
    }

    /// Nobody waits longer than `patience` for an answer: Timer F fires that early, when it would be later.
    pub(crate) fn give_up_within(&mut self, now: Instant, patience: Duration, values: &TimerValues) {
        self.timers.end(now, Timer::F, patience.min(values.timeout()));
    }

    /// A response came.
    pub(crate) fn response(&mut self, now: Instant, status: u16, values: &TimerValues) -> Step {
        match (self.state, status) {
            (State::Completed, _) => Step::Nothing,
            (State::Trying | State::Proceeding, 0..=199) => {
                // RFC 3261 §17.1.2.2: Timer E fires once more when it would, and then every T2.
                self.timers.repeat_then(values.t2);
                self.state = State::Proceeding;
                Step::Nothing
            }
            (State::Trying | State::Proceeding, _) => {
                self.state = State::Completed;
                self.timers.stop();
                self.timers.end(now, Timer::K, if self.reliable { Duration::ZERO } else { values.t4 });
                Step::Deliver
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.deadline()
    }

    pub(crate) fn timeout(&mut self, now: Instant, values: &TimerValues) -> Step {
        match self.timers.due(now, values.t2) {
            None => Step::Nothing,
            Some(Timer::E) => Step::Resend,
            Some(Timer::F) => Step::TimedOut,
            Some(_) => Step::Terminated,
        }
    }
}
