//! Admission by delay: how long datagrams wait before they are looked at, and how long calls wait for our answer.
//!
//! Over the limit for long enough, a growing share of new INVITEs is refused without any state. All of them are
//! refused when datagrams wait three times the limit (a refusal must be there within 200 ms, and T1, 500 ms, must not
//! be reached: retransmissions would multiply the load), or answers six times. Of the answers of a tenth of a second
//! the quickest counts, so that one slow commit is no overload. Both are known when it is late; so nothing new is let
//! in either while too many tasks wait for their turn. Everything within calls always passes.

use std::time::{Duration, Instant};

/// The controller; one for each SIP thread.
#[derive(Debug)]
pub(super) struct Admission {
    limit: Duration,
    lasting: Duration,
    /// Tasks that may wait for their turn.
    tasks_max: usize,
    /// More of them wait at the moment.
    crowded: bool,
    /// Since when a delay has been over the limit.
    over_since: Option<Instant>,
    /// The quickest answer of this step; none when there was none.
    quickest: Option<Duration>,
    /// That of the step before.
    answers_took: Duration,
    /// Share of new INVITEs refused, in 1/256.
    share: u32,
    /// When the last step began.
    stepped: Option<Instant>,
    /// Spreads refusals evenly.
    counter: u32,
}

/// How often the share changes.
const STEP_EVERY: Duration = Duration::from_millis(100);

/// Times the limit that datagrams wait when every new INVITE is refused.
const WAITED_ALL_REFUSED: u32 = 3;

/// Times the limit that answers take when every new INVITE is refused.
const ANSWERED_ALL_REFUSED: u32 = 6;

/// By how much: a tenth.
const STEP: u32 = 26;

impl Admission {
    pub(super) fn new(limit: Duration, lasting: Duration, tasks_max: usize) -> Self {
        Self {
            limit,
            lasting,
            tasks_max,
            crowded: false,
            over_since: None,
            quickest: None,
            answers_took: Duration::ZERO,
            share: 0,
            stepped: None,
            counter: 0,
        }
    }

    /// Tells the controller how long a call waited for our first answer.
    pub(super) fn answered(&mut self, took: Duration) {
        self.quickest = Some(self.quickest.map_or(took, |quickest| quickest.min(took)));
    }

    /// Tells the controller how many tasks of contacts wait for their turn.
    pub(super) fn tasks_wait(&mut self, tasks: usize) {
        self.crowded = tasks > self.tasks_max;
    }

    /// Tells the controller how long the oldest datagram of a batch had waited.
    pub(super) fn observe(&mut self, now: Instant, waited: Duration) {
        let step = self.stepped.is_none_or(|at| now.saturating_duration_since(at) >= STEP_EVERY);
        if step {
            self.stepped = Some(now);
            // Where nobody is answered nobody waits, or all are refused: both are to change.
            self.answers_took = self.quickest.take().unwrap_or_default();
        }
        if waited.max(self.answers_took) <= self.limit {
            self.over_since = None;
        } else if self.over_since.is_none() {
            self.over_since = Some(now);
        }
        if waited > self.limit.saturating_mul(WAITED_ALL_REFUSED)
            || self.answers_took > self.limit.saturating_mul(ANSWERED_ALL_REFUSED)
        {
            self.share = 256;
            return;
        }
        if !step {
            return;
        }
        let lasts = self.over_since.is_some_and(|since| now.saturating_duration_since(since) >= self.lasting);
        if lasts {
            self.share = self.share.saturating_add(STEP).min(256);
        } else if self.over_since.is_none() {
            self.share = self.share.saturating_sub(STEP);
        }
    }

    /// Whether the next new INVITE is to be refused.
    pub(super) fn refuses(&mut self) -> bool {
        if self.crowded {
            return true;
        }
        if self.share == 0 {
            return false;
        }
        self.counter += self.share;
        let refuse = self.counter >= 256;
        self.counter %= 256;
        refuse
    }

    /// Whether a message is a new call that is to be turned away; `full` is full: what would be refused with state is
    /// refused without. Whoever turns it away looks whether it is new.
    pub(super) fn turns_away(&mut self, full: bool, message: &[u8]) -> bool {
        (full || self.is_active()) && message.starts_with(b"INVITE ") && (full || self.refuses())
    }

    /// Whether anything is refused at the moment.
    pub(super) fn is_active(&self) -> bool {
        self.crowded || self.share > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn admission() -> Admission {
        Admission::new(50 * MS, 500 * MS, 256)
    }

    #[test]
    fn a_short_peak_refuses_nothing_and_a_lasting_one_a_growing_share() {
        let mut admission = admission();
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
    fn slow_answers_refuse_and_one_quick_answer_is_enough_against_it() {
        let start = Instant::now();
        let run = |quick: bool| {
            let mut admission = admission();
            for step in 0..10 {
                admission.answered(if quick && step % 5 == 0 { 5 * MS } else { 400 * MS });
                admission.observe(start + step * 20 * MS, MS);
            }
            admission
        };
        assert_eq!((0..100).filter(|_| run(false).refuses()).count(), 100);
        assert!(!run(true).is_active());
        // Nothing is answered any more: that is no reason to refuse for ever.
        let mut admission = run(false);
        for step in 10..100 {
            admission.observe(start + step * 20 * MS, MS);
        }
        assert!(!admission.is_active());
    }

    #[test]
    fn while_tasks_wait_nothing_new_is_let_in_and_as_soon_as_they_had_their_turn_everything_is() {
        let mut admission = admission();
        admission.tasks_wait(256);
        assert!(!admission.is_active());
        admission.tasks_wait(257);
        assert!((0..100).all(|_| admission.is_active() && admission.refuses()));
        admission.tasks_wait(256);
        assert!((0..100).all(|_| !admission.is_active() && !admission.refuses()));
    }

    #[test]
    fn only_invites_are_turned_away_and_when_it_is_full_all_of_them() {
        let mut admission = admission();
        assert!(!admission.turns_away(false, b"INVITE sip:a@b SIP/2.0"));
        assert!(admission.turns_away(true, b"INVITE sip:a@b SIP/2.0"));
        admission.tasks_wait(257);
        assert!(admission.turns_away(false, b"INVITE sip:a@b SIP/2.0"));
        assert!(!admission.turns_away(true, b"BYE sip:a@b SIP/2.0"));
    }

    #[test]
    fn far_over_the_limit_everything_new_is_refused_at_once() {
        let mut admission = admission();
        admission.observe(Instant::now(), 151 * MS);
        assert!((0..100).all(|_| admission.refuses()));
    }
}
