//! Places in queues that callers have lost: who rings again in time gets the same place.
//!
//! Kept by caller and number dialled, for a while after the caller left the queue or was cut off; over a restart the
//! journal tells what was kept. Callers who withhold their number cannot be known again.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use vestibule_routing::id::InboxId;

/// Places kept at once; beyond, further ones are lost.
const PLACES_MAX: usize = 100_000;

/// Places that may be had back; cheap to clone.
#[derive(Clone, Debug)]
pub struct Places {
    kept_for: SignedDuration,
    kept: Arc<Mutex<HashMap<Key, Place>>>,
}

/// Caller and number dialled.
type Key = (String, String);

#[derive(Clone, Debug)]
struct Place {
    inbox: InboxId,
    arrived: Timestamp,
    lost: Timestamp,
}

/// A place that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostPlace {
    /// The caller, as recorded.
    pub from: String,
    /// The number dialled, as recorded.
    pub to: String,
    /// The inbox waited in.
    pub inbox: InboxId,
    /// Since when: the place in the queue.
    pub arrived: Timestamp,
    /// When it was lost.
    pub lost: Timestamp,
}

impl Places {
    /// Places are kept for so many seconds; none when it is zero.
    pub fn new(kept_seconds: u64) -> Self {
        let kept_for = SignedDuration::from_secs(i64::try_from(kept_seconds).unwrap_or(i64::MAX));
        Self { kept_for, kept: Arc::default() }
    }

    /// How long places are kept.
    pub fn kept_for(&self) -> SignedDuration {
        self.kept_for
    }

    /// Keeps a place. Of two of the same caller the older one stays.
    pub fn keep(&self, place: LostPlace) {
        let LostPlace { from, to, inbox, arrived, lost } = place;
        if from.is_empty() || self.kept_for.is_zero() {
            return;
        }
        let mut kept = self.lock();
        if kept.len() >= PLACES_MAX {
            kept.retain(|_, place| lost.duration_since(place.lost) <= self.kept_for);
            if kept.len() >= PLACES_MAX {
                return;
            }
        }
        match kept.entry((from, to)) {
            Entry::Vacant(vacant) => drop(vacant.insert(Place { inbox, arrived, lost })),
            Entry::Occupied(mut occupied) => {
                let old = occupied.get_mut();
                let older = old.inbox == inbox && old.arrived < arrived && self.holds(old, lost);
                *old = Place { arrived: if older { old.arrived } else { arrived }, inbox, lost };
            }
        }
    }

    /// Gives a place back: since when its caller waits in the inbox. A place is given back once.
    pub fn take(&self, from: &str, to: &str, inbox: &InboxId, now: Timestamp) -> Option<Timestamp> {
        if from.is_empty() {
            return None;
        }
        let mut kept = self.lock();
        if kept.is_empty() {
            return None;
        }
        let key = (from.to_owned(), to.to_owned());
        let place = kept.get(&key)?;
        if !self.holds(place, now) {
            kept.remove(&key);
            return None;
        }
        // In another inbox's queue it is no place, but the caller may still get to the right one.
        if place.inbox != *inbox {
            return None;
        }
        kept.remove(&key).map(|place| place.arrived)
    }

    /// Forgets the places of a caller.
    pub fn forget(&self, from: &str) {
        self.lock().retain(|(caller, _), _| caller != from);
    }

    fn holds(&self, place: &Place, now: Timestamp) -> bool {
        now.duration_since(place.lost) <= self.kept_for
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Place>> {
        // Nothing between lock and unlock panics half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn lost(inbox: &str, arrived: i64, lost: i64) -> LostPlace {
        LostPlace {
            from: "+1".into(),
            to: "+2".into(),
            inbox: inbox.into(),
            arrived: at(arrived),
            lost: at(lost),
        }
    }

    #[test]
    fn a_place_is_given_back_once_in_its_inbox_and_in_time() {
        let places = Places::new(600);
        places.keep(lost("ib_a", 0, 100));
        assert_eq!(places.take("+1", "+2", &"ib_b".into(), at(200)), None, "another inbox");
        assert_eq!(places.take("+9", "+2", &"ib_a".into(), at(200)), None, "another caller");
        assert_eq!(places.take("+1", "+9", &"ib_a".into(), at(200)), None, "another number");
        assert_eq!(places.take("+1", "+2", &"ib_a".into(), at(700)), Some(at(0)));
        assert_eq!(places.take("+1", "+2", &"ib_a".into(), at(700)), None, "once");
        places.keep(lost("ib_a", 0, 100));
        assert_eq!(places.take("+1", "+2", &"ib_a".into(), at(701)), None, "too late");
    }

    #[test]
    fn who_left_twice_has_the_older_place_and_the_nameless_have_none() {
        let places = Places::new(600);
        places.keep(lost("ib_a", 0, 100));
        places.keep(lost("ib_a", 120, 130));
        assert_eq!(places.take("+1", "+2", &"ib_a".into(), at(200)), Some(at(0)));
        places.keep(LostPlace { from: String::new(), ..lost("ib_a", 0, 100) });
        assert_eq!(places.take("", "+2", &"ib_a".into(), at(200)), None);
        let never = Places::new(0);
        never.keep(lost("ib_a", 0, 100));
        assert_eq!(never.take("+1", "+2", &"ib_a".into(), at(100)), None);
    }
}
