//! Transactions (RFC 3261 §17, RFC 6026): one file per figure.
//!
//! Each machine is told what happened and answers with a [`Step`]; it owns no bytes and sends nothing.
//! On reliable transports the retransmission timers (A, E, G) never run and the absorbing ones (D, I, J,
//! K) take no time (RFC 3261 §17.1.1.2 and following).

use std::time::{Duration, Instant};

pub(crate) mod client;
pub(crate) mod client_invite;
pub(crate) mod server;
pub(crate) mod server_invite;
#[cfg(test)]
mod tests;

/// The three base timers (RFC 3261 §17.1.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerValues {
    /// Round-trip estimate; default 500 ms.
    pub t1: Duration,
    /// Longest retransmission interval; default 4 s.
    pub t2: Duration,
    /// Longest time a message stays in the network; default 5 s.
    pub t4: Duration,
}

impl Default for TimerValues {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl TimerValues {
    /// 64·T1: timers B, F, H, J, L, M.
    pub fn timeout(&self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

/// The timers of RFC 3261 §17 and RFC 6026 §8, each with what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// INVITE request retransmission.
    A,
    /// INVITE transaction time-out.
    B,
    /// Wait for response retransmissions (INVITE).
    D,
    /// Non-INVITE request retransmission.
    E,
    /// Non-INVITE transaction time-out.
    F,
    /// INVITE final response retransmission.
    G,
    /// Wait for ACK.
    H,
    /// Wait for ACK retransmissions.
    I,
    /// Wait for retransmissions of a non-INVITE request.
    J,
    /// Wait for response retransmissions (non-INVITE).
    K,
    /// Wait for INVITE retransmissions after a 2xx.
    L,
    /// Wait for 2xx retransmissions.
    M,
}

/// What a machine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Nothing,
    /// Send the kept message again (a response by servers, the request by clients).
    Resend,
    /// Hand the message up to whoever uses the transaction.
    Deliver,
    /// Send the ACK of a refused INVITE, and hand the response up when it is the first.
    Acknowledge {
        /// The response has not been handed up before.
        first: bool,
    },
    /// No answer came: tell the user, and forget the transaction.
    TimedOut,
    /// The transaction is over: forget it.
    Terminated,
}

/// At most two timers run in a machine: one repeats a message, one ends the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Timers {
    repeat: Option<(Instant, Timer, Duration)>,
    end: Option<(Instant, Timer)>,
}

impl Timers {
    /// Starts the repeating timer.
    pub(crate) fn repeat(&mut self, now: Instant, timer: Timer, every: Duration) {
        self.repeat = now.checked_add(every).map(|at| (at, timer, every));
    }

    /// Lets the repeating timer fire when it would, and from then on at this interval.
    pub(crate) fn repeat_then(&mut self, interval: Duration) {
        if let Some((_, _, every)) = &mut self.repeat {
            *every = interval;
        }
    }

    /// Starts the timer that ends the state.
    pub(crate) fn end(&mut self, now: Instant, timer: Timer, after: Duration) {
        self.end = now.checked_add(after).map(|at| (at, timer));
    }

    /// Stops both.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// The soonest, and why.
    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        let repeat = self.repeat.map(|(at, timer, _)| (at, timer));
        [self.end, repeat].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The timer that is due, taken out; a repeating one is started again at twice its interval, up to
    /// `ceiling`.
    pub(crate) fn due(&mut self, now: Instant, ceiling: Duration) -> Option<Timer> {
        if let Some((_, timer)) = self.end.filter(|(at, _)| *at <= now) {
            self.stop();
            return Some(timer);
        }
        let (_, timer, every) = self.repeat.filter(|(at, _, _)| *at <= now)?;
        self.repeat(now, timer, every.saturating_mul(2).min(ceiling));
        Some(timer)
    }
}
