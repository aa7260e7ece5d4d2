//! How long people talk to those they take, inbox by inbox: what an estimated wait is made of.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use vestibule_routing::id::InboxId;

/// How far back talks count.
const WINDOW: Duration = Duration::from_secs(1800);

/// Talks that are remembered of one inbox; of more the last ones count.
const TALKS_MAX: usize = 1000;

/// Talks that have ended, by inbox; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct HandleTimes {
    inboxes: Arc<Mutex<HashMap<InboxId, VecDeque<Talk>>>>,
}

#[derive(Clone, Copy, Debug)]
struct Talk {
    ended: Instant,
    lasted: Duration,
}

impl HandleTimes {
    /// A talk has ended.
    pub fn note(&self, inbox: &InboxId, lasted: Duration) {
        self.note_at(Instant::now(), inbox, lasted);
    }

    fn note_at(&self, ended: Instant, inbox: &InboxId, lasted: Duration) {
        let mut inboxes = self.lock();
        let talks = inboxes.entry(inbox.clone()).or_default();
        if talks.len() >= TALKS_MAX {
            talks.pop_front();
        }
        talks.push_back(Talk { ended, lasted });
    }

    /// How long somebody waits at a place of an inbox's queue: place times mean talk, shared among the agents.
    /// None when no talk has ended in the last 30 minutes, or nobody is there.
    pub fn wait(&self, inbox: &InboxId, position: u32, agents: u32) -> Option<Duration> {
        self.wait_at(Instant::now(), inbox, position, agents)
    }

    fn wait_at(&self, now: Instant, inbox: &InboxId, position: u32, agents: u32) -> Option<Duration> {
        let mut inboxes = self.lock();
        let talks = inboxes.get_mut(inbox)?;
        while talks.front().is_some_and(|talk| now.saturating_duration_since(talk.ended) > WINDOW) {
            talks.pop_front();
        }
        let count = u32::try_from(talks.len()).ok()?;
        let sum: Duration = talks.iter().map(|talk| talk.lasted).sum();
        let mean = sum.checked_div(count)?;
        mean.saturating_mul(position).checked_div(agents)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InboxId, VecDeque<Talk>>> {
        // Nothing between lock and unlock panics half-way through a change.
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_the_place_times_the_mean_talk_shared_among_the_agents() {
        let (times, inbox, now) = (HandleTimes::default(), InboxId::from("ib_a"), Instant::now());
        assert_eq!(times.wait_at(now, &inbox, 1, 2), None, "nothing is known yet");
        for seconds in [100, 200, 300] {
            times.note_at(now, &inbox, Duration::from_secs(seconds));
        }
        assert_eq!(times.wait_at(now, &inbox, 4, 2), Some(Duration::from_secs(400)));
        assert_eq!(times.wait_at(now, &inbox, 4, 0), None, "nobody is there");
        assert_eq!(times.wait_at(now, &"ib_b".into(), 1, 1), None, "another inbox");
    }

    #[test]
    fn talks_count_for_half_an_hour_and_of_many_the_last() {
        let (times, inbox, now) = (HandleTimes::default(), InboxId::from("ib_a"), Instant::now());
        times.note_at(now, &inbox, Duration::from_secs(1000));
        let later = now + WINDOW;
        times.note_at(later, &inbox, Duration::from_secs(10));
        assert_eq!(times.wait_at(later, &inbox, 2, 1), Some(Duration::from_secs(1010)));
        let later = later + Duration::from_secs(1);
        assert_eq!(times.wait_at(later, &inbox, 2, 1), Some(Duration::from_secs(20)));
        assert_eq!(times.wait_at(later + WINDOW, &inbox, 2, 1), None);
        for _ in 0..2 * TALKS_MAX {
            times.note_at(later, &inbox, Duration::from_secs(30));
        }
        assert_eq!(times.wait_at(later, &inbox, 1, 1), Some(Duration::from_secs(30)));
    }
}
