//! How much is taken of one in a minute.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Counts by minutes of the clock, not sliding: twice as much may come at a turn of the minute.
#[derive(Debug)]
pub struct PerMinute<K> {
    most: u32,
    counts: Mutex<(Instant, HashMap<K, u32>)>,
}

/// Counted at once, at most; whoever comes beyond is refused until the minute is over.
const KEYS_MAX: usize = 200_000;

impl<K: Hash + Eq + Clone> PerMinute<K> {
    /// At most so many of each.
    pub fn new(most: u32) -> Self {
        Self { most, counts: Mutex::new((Instant::now(), HashMap::new())) }
    }

    /// Counts one more, if it is allowed.
    pub fn allows(&self, key: &K) -> bool {
        self.allows_at(key, Instant::now())
    }

    fn allows_at(&self, key: &K, now: Instant) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(counts.0) >= Duration::from_secs(60) {
            *counts = (now, HashMap::new());
        }
        let known = &mut counts.1;
        if !known.contains_key(key) && known.len() >= KEYS_MAX {
            return false;
        }
        let count = known.entry(key.clone()).or_insert(0);
        if *count >= self.most {
            return false;
        }
        *count += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_in_a_minute() {
        let limit = PerMinute::new(2);
        let now = Instant::now();
        let at = |key: &str, seconds| limit.allows_at(&key.to_owned(), now + Duration::from_secs(seconds));
        assert_eq!([at("a", 0), at("a", 1), at("a", 2), at("b", 2)], [true, true, false, true]);
        assert_eq!([at("a", 59), at("a", 61), at("a", 61), at("a", 61)], [false, true, true, false]);
        assert!(!PerMinute::new(0).allows(&1));
    }
}
