//! Non-INVITE server transaction: RFC 3261 figure 8.
//!
//! *Trying* and *Proceeding* differ only in whether there is something to resend; this stack answers
//! non-INVITE requests at once, so a transaction begins with its final response.

use std::time::Instant;

use super::{Step, Timer, TimerValues, Timers};

/// The machine, in *Completed* from birth.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    timers: Timers,
}

impl Server {
    /// A transaction whose final response has just been sent; none is needed on reliable transports,
    /// where Timer J takes no time.
    pub(crate) fn completed(now: Instant, values: &TimerValues) -> Self {
        let mut timers = Timers::default();
        timers.end(now, Timer::J, values.timeout());
        Self { timers }
    }

    /// The request came again.
    pub(crate) fn request(&self) -> Step {
        Step::Resend
    }

    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.deadline()
    }

    pub(crate) fn timeout(&mut self, now: Instant, values: &TimerValues) -> Step {
        match self.timers.due(now, values.t2) {
            Some(_) => Step::Terminated,
            None => Step::Nothing,
        }
    }
}
