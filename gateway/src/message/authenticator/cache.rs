//! Records that were read already: keys above all, whose reading costs more than looking them up.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use mail_auth::{ResolverCache, Txt};

/// Text records by name, so many at most.
pub(super) struct Cache {
    kept: Mutex<HashMap<Box<str>, (Txt, Instant)>>,
    answers_max: usize,
}

/// The longest time for which one is kept, whatever it says.
const KEPT_MAX: Duration = Duration::from_secs(3600);

impl Cache {
    pub(super) fn new(answers_max: u64) -> Self {
        Self { kept: Mutex::default(), answers_max: usize::try_from(answers_max).unwrap_or(usize::MAX) }
    }
}

impl ResolverCache<Box<str>, Txt> for Cache {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (record, until) = kept.get(name)?;
        (*until > Instant::now()).then(|| record.clone())
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(name).map(|(record, _)| record)
    }

    fn insert(&self, name: Box<str>, record: Txt, valid_until: Instant) {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.answers_max {
            kept.retain(|_, (_, until)| *until > now);
        }
        if kept.len() >= self.answers_max {
            // Strangers choose the names: keeping the oldest would be no better than keeping any.
            let mut odd = false;
            kept.retain(|_, _| {
                odd = !odd;
                odd
            });
        }
        if self.answers_max > 0 {
            kept.insert(name, (record, valid_until.min(now + KEPT_MAX)));
        }
    }
}
