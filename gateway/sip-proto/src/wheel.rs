//! A hierarchical timer wheel: 512 slots of 10 ms, then 512 slots of 5.12 s (44 minutes).
//!
//! Inserting costs no allocation once the slots have grown. Nothing is cancelled: an entry is a wake-up,
//! and whoever is woken looks which of its own timers is due. Spurious wake-ups are harmless.

use std::time::{Duration, Instant};

const SLOTS: usize = 512;
const TICK_MS: u64 = 10;

/// The wheel; `T` names who is to be woken.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    origin: Instant,
    /// The next tick to be looked at.
    tick: u64,
    near: Level<T>,
    far: Level<T>,
}

#[derive(Debug)]
struct Level<T> {
    slots: Vec<Vec<(u64, T)>>,
    occupied: [u64; SLOTS / 64],
}

impl<T> Level<T> {
    fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), occupied: [0; SLOTS / 64] }
    }

    fn push(&mut self, position: u64, due: u64, who: T) {
        let slot = usize::try_from(position & 511).unwrap_or(0);
        if let Some(entries) = self.slots.get_mut(slot) {
            entries.push((due, who));
        }
        if let Some(word) = self.occupied.get_mut(slot >> 6) {
            *word |= 1 << (slot & 63);
        }
    }

    fn take(&mut self, position: u64, into: &mut Vec<(u64, T)>) {
        let slot = usize::try_from(position & 511).unwrap_or(0);
        if let Some(entries) = self.slots.get_mut(slot) {
            into.append(entries);
        }
        if let Some(word) = self.occupied.get_mut(slot >> 6) {
            *word &= !(1 << (slot & 63));
        }
    }

    /// The first occupied position at or after `from`, within one turn.
    fn next(&self, from: u64) -> Option<u64> {
        (from..from.saturating_add(512)).find(|position| {
            let slot = usize::try_from(position & 511).unwrap_or(0);
            self.occupied.get(slot >> 6).is_some_and(|word| word & (1 << (slot & 63)) != 0)
        })
    }
}

impl<T: Copy> Wheel<T> {
    pub(crate) fn new(origin: Instant) -> Self {
        Self { origin, tick: 0, near: Level::new(), far: Level::new() }
    }

    /// Wakes `who` at `when`, up to 10 ms late, never early; a time past wakes at the next look. What
    /// lies further ahead than the wheel reaches is woken at its end, and must insert itself again.
    pub(crate) fn insert(&mut self, when: Instant, who: T) {
        let due = self.tick_of(when).saturating_add(1).max(self.tick);
        if due.saturating_sub(self.tick) < 512 {
            self.near.push(due, due, who);
        } else {
            let turn = (due >> 9).min((self.tick >> 9).saturating_add(511));
            self.far.push(turn, due, who);
        }
    }

    /// The latest time that is sure to lie within the wheel's reach.
    pub(crate) fn horizon(&self) -> Option<Instant> {
        self.time_of(self.tick.saturating_add(510 << 9))
    }

    /// Everyone due by `now`, appended to `into`.
    pub(crate) fn expire(&mut self, now: Instant, into: &mut Vec<(u64, T)>) {
        let end = self.tick_of(now);
        while self.tick <= end {
            if self.near.next(self.tick).is_none_or(|next| next > end)
                && self.far.next(self.tick >> 9).is_none()
            {
                // Nothing before `end`: jump.
                self.tick = end.saturating_add(1);
                return;
            }
            if self.tick & 511 == 0 {
                self.cascade();
            }
            self.near.take(self.tick, into);
            self.tick = self.tick.saturating_add(1);
        }
    }

    /// When `expire` is worth calling next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let near = self.near.next(self.tick);
        let far = self.far.next(self.tick >> 9).map(|turn| (turn << 9).max(self.tick));
        let tick = [near, far].into_iter().flatten().min()?;
        self.time_of(tick)
    }

    /// The entries of the far level whose turn begins now move to the near one.
    fn cascade(&mut self) {
        let mut moved = Vec::new();
        self.far.take(self.tick >> 9, &mut moved);
        for (due, who) in moved {
            let due = due.clamp(self.tick, self.tick.saturating_add(511));
            self.near.push(due, due, who);
        }
    }

    fn time_of(&self, tick: u64) -> Option<Instant> {
        self.origin.checked_add(Duration::from_millis(tick.saturating_mul(TICK_MS)))
    }

    fn tick_of(&self, when: Instant) -> u64 {
        let millis = when.saturating_duration_since(self.origin).as_millis();
        u64::try_from(millis).unwrap_or(u64::MAX).checked_div(TICK_MS).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_woken_in_time_and_never_early() {
        let origin = Instant::now_for_tests();
        let mut wheel = Wheel::new(origin);
        let delays: Vec<u64> = (0..3000).map(|i| i * 137 % 2_000_000).collect();
        for (who, delay) in delays.iter().enumerate() {
            wheel.insert(origin + Duration::from_millis(*delay), who);
        }
        let mut woken = vec![None; delays.len()];
        let mut now = origin;
        while let Some(deadline) = wheel.deadline() {
            now = now.max(deadline);
            let mut out = Vec::new();
            wheel.expire(now, &mut out);
            for (_, who) in out {
                assert!(woken[who].is_none());
                woken[who] = Some(now);
            }
            now += Duration::from_millis(1);
        }
        for (who, delay) in delays.iter().enumerate() {
            let wanted = origin + Duration::from_millis(*delay);
            let at = woken[who].expect("woken");
            assert!(at >= wanted && at <= wanted + Duration::from_millis(30), "{who}: {delay} ms");
        }
    }

    #[test]
    fn years_after_its_start_it_still_names_its_next_deadline() {
        let origin = Instant::now_for_tests();
        let mut wheel = Wheel::new(origin);
        let years = origin + Duration::from_secs(86_400 * 365 * 3);
        wheel.expire(years, &mut Vec::new());
        wheel.insert(years + Duration::from_secs(1), 1);
        let deadline = wheel.deadline().expect("somebody waits");
        assert!(deadline > years && deadline <= years + Duration::from_millis(1020));
        assert!(wheel.horizon().is_some_and(|horizon| horizon > years));
    }

    #[test]
    fn a_long_idle_wheel_jumps() {
        let origin = Instant::now_for_tests();
        let mut wheel = Wheel::new(origin);
        let mut out = Vec::new();
        wheel.expire(origin + Duration::from_secs(86_400 * 30), &mut out);
        wheel.insert(origin + Duration::from_secs(86_400 * 30 + 40), 1);
        wheel.expire(origin + Duration::from_secs(86_400 * 30 + 39), &mut out);
        assert!(out.is_empty());
        wheel.expire(origin + Duration::from_secs(86_400 * 30 + 41), &mut out);
        assert_eq!(out.len(), 1);
    }

    trait Start {
        fn now_for_tests() -> Instant;
    }

    impl Start for Instant {
        #[expect(clippy::disallowed_methods, reason = "a test needs one real starting point")]
        fn now_for_tests() -> Instant {
            Instant::now()
        }
    }
}
