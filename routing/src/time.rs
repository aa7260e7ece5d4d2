//! The only form in which time enters this crate.

use std::time::{Duration, Instant};

/// One moment on both clocks: timers use the monotonic one, schedules and records the civil one.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Monotonic clock, for timers.
    pub mono: Instant,
    /// Wall clock, for schedules, arrival times and records.
    pub wall: jiff::Timestamp,
}

impl Now {
    /// This moment moved forward on both clocks; saturates at the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self {
            mono: self.mono.checked_add(by).unwrap_or(self.mono),
            wall: self.wall.saturating_add(by).unwrap_or(jiff::Timestamp::MAX),
        }
    }
}
