//! Admission by queue delay: how long datagrams wait before they are looked at.
//!
//! Over the limit for long enough, a growing share of new INVITEs is refused without any state; over five
//! times the limit, all of them, since T1 (500 ms) must not be reached: retransmissions would multiply
//! the load. Everything within calls always passes.

use std::time::{Duration, Instant};

/// The controller; one for each SIP thread.
#[derive(Debug)]
pub(super) struct Admission {
    limit: Duration,
    lasting: Duration,
    /// Since when the delay has been over the limit.
    over_since: Option<Instant>,
    /// Share of new INVITEs refused, in 1/256.
    share: u32,
    /// When the share was changed last.
    changed: Option<Instant>,
    /// Spreads refusals evenly.
    counter: u32,
}

/// How often the share changes.
const STEP_EVERY: Duration = Duration::from_millis(100);

/// By how much: a tenth.
const STEP: u32 = 26;

impl Admission {
    pub(super) fn new(limit: Duration, lasting: Duration) -> Self {
        Self { limit, lasting, over_since: None, share: 0, changed: None, counter: 0 }
    }

    /// Tells the controller how long the oldest datagram of a batch had waited.
    pub(super) fn observe(&mut self, now: Instant, delay: Duration) {
        if delay <= self.limit {
            self.over_since = None;
        } else if self.over_since.is_none() {
            self.over_since = Some(now);
        }
        if delay > self.limit.saturating_mul(5) {
            self.share = 256;
            self.changed = Some(now);
            return;
        }
        if self.changed.is_some_and(|at| now.saturating_duration_since(at) < STEP_EVERY) {
            return;
        }
        let lasts = self.over_since.is_some_and(|since| now.saturating_duration_since(since) >= self.lasting);
        let next = if lasts {
            self.share.saturating_add(STEP).min(256)
        } else if self.over_since.is_none() {
            self.share.saturating_sub(STEP)
        } else {
            self.share
        };
        self.share = next;
        self.changed = Some(now);
    }

    /// Whether the next new INVITE is to be refused.
    pub(super) fn refuses(&mut self) -> bool {
        if self.share == 0 {
            return false;
        }
        self.counter += self.share;
        let refuse = self.counter >= 256;
        self.counter %= 256;
        refuse
    }

    /// Whether anything is refused at the moment.
    pub(super) fn is_active(&self) -> bool {
        self.share > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_short_peak_refuses_nothing_and_a_lasting_one_a_growing_share() {
        let mut admission = Admission::new(50 * MS, 500 * MS);
        let start = Instant::now();
        for step in 0..40 {
            admission.observe(start + step * 10 * MS, 80 * MS);
        }
        assert!(!admission.is_active(), "400 ms are not enough");
        let refused = |admission: &mut Admission| (0..256).filter(|_| admission.refuses()).count();
        for step in 40..70 {
            admission.observe(start + step * 10 * MS, 80 * MS);
        }
        let first = refused(&mut admission);
        for step in 70..120 {
            admission.observe(start + step * 10 * MS, 80 * MS);
        }
        let later = refused(&mut admission);
        assert!(first > 0 && later > first, "{first}, then {later}");
        for step in 120..400 {
            admission.observe(start + step * 10 * MS, MS);
        }
        assert!(!admission.is_active(), "recovered");
    }

    #[test]
    fn far_over_the_limit_everything_new_is_refused_at_once() {
        let mut admission = Admission::new(50 * MS, 500 * MS);
        admission.observe(Instant::now(), 251 * MS);
        assert!((0..100).all(|_| admission.refuses()));
    }
}
