//! Watches what a publish does to callers, and takes it back when too many fare badly.
//!
//! For `guard.bake_minutes` after a revision that changed what callers hear, the ends of calls are counted that ran an IVR under it
//! or a later one. When enough calls have ended, and too many of them took an error transition, or were hung up by their callers
//! at the first node, exactly what that revision changed is put back as a new revision. What others have changed since stays.
//! Off unless the settings say otherwise. Every revision that becomes active is told to the feed here, too.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::sync::{Notify, watch};
use vestibule_config::{
    document::Kind,
    settings,
    store::{Revision, Store, StoreError},
};
use vestibule_routing::{
    id::ContactId,
    journey::FeedEvent,
    outcome::{Outcome, Side},
};

use crate::{
    journal::{Entry, Event, EventKind, Journal},
    telemetry::GuardMetrics,
};

/// The author of what is taken back.
pub const AUTHOR: &str = "guard";

/// Revisions told at once after many were published quickly.
const TOLD_AT_ONCE: u32 = 500;

/// How a call fared in its IVRs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    nodes: u32,
    erred: bool,
    left: bool,
}

impl Course {
    /// Takes over what an event says.
    pub fn note(&mut self, event: &FeedEvent) {
        match event {
            FeedEvent::NodeEntered { by, .. } => {
                self.nodes = self.nodes.saturating_add(1);
                self.erred |= by.as_deref() == Some("error");
            }
            FeedEvent::IvrExited { failure, .. } => {
                self.left = true;
                self.erred |= failure.is_some();
            }
            _ => {}
        }
    }

    /// The caller hung up before anything but the start and the first node behind it.
    fn ended_at_first_node(&self, outcome: Outcome) -> bool {
        outcome.side == Side::Caller && !self.left && self.nodes <= 2
    }
}

/// Counts the ends of calls after a publish; cheap to clone.
#[derive(Clone, Debug)]
pub struct Guard {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: settings::Guard,
    baking: Mutex<Option<Baking>>,
    /// Rung when something is to be taken back.
    bell: Notify,
    metrics: GuardMetrics,
}

/// A revision whose callers are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Baking {
    revision: u64,
    until: Instant,
    calls: u64,
    erred: u64,
    hung_up: u64,
    /// Why it is to be taken back.
    verdict: Option<String>,
}

impl Guard {
    /// A guard that watches nothing yet.
    pub fn new(settings: settings::Guard, metrics: GuardMetrics) -> Self {
        let inner = Inner { settings, baking: Mutex::default(), bell: Notify::new(), metrics };
        Self { inner: Arc::new(inner) }
    }

    /// A call has ended.
    pub fn ended(&self, revision: Option<u64>, course: &Course, outcome: Outcome) {
        if course.nodes == 0 {
            return;
        }
        let mut baking = self.inner.baking.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watched) = baking.as_mut() else { return };
        if Instant::now() > watched.until {
            *baking = None;
            return;
        }
        if revision.is_none_or(|revision| revision < watched.revision) || watched.verdict.is_some() {
            return;
        }
        watched.calls += 1;
        watched.erred += u64::from(course.erred);
        watched.hung_up += u64::from(course.ended_at_first_node(outcome));
        watched.verdict = watched.judge(&self.inner.settings);
        if watched.verdict.is_some() {
            self.inner.bell.notify_one();
        }
    }

    /// Follows the active routing for as long as the process runs.
    pub async fn follow(self, store: Arc<Store>, journal: Journal) {
        let (tell, mut changes) = watch::channel(0);
        store.active().subscribe(move |routing| {
            tell.send_replace(routing.revision);
        });
        let mut told = *changes.borrow_and_update();
        loop {
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let newest = *changes.borrow_and_update();
                    self.activated(&store, &journal, (told, newest)).await;
                    told = newest;
                }
                () = self.inner.bell.notified() => self.take_back(&store).await,
            }
        }
    }

    /// Tells of revisions that became active, and watches the last that changed what callers hear.
    async fn activated(&self, store: &Arc<Store>, journal: &Journal, (told, newest): (u64, u64)) {
        let read = store.clone();
        let found = tokio::task::spawn_blocking(move || {
            let mut revisions = read.revisions(newest.checked_add(1), TOLD_AT_ONCE)?;
            revisions.retain(|revision| revision.number > told);
            revisions.reverse();
            let watched = revisions.iter().rev().find_map(|revision| match touches_callers(&read, revision) {
                Ok(true) => Some(Ok(revision.number)),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            });
            Ok::<_, StoreError>((revisions, watched.transpose()?))
        });
        let (revisions, watched) = match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return tracing::error!(%error, "a new revision could not be read"),
            Err(_) => return tracing::error!("reading a new revision had panicked"),
        };
        for revision in revisions {
            let data = json!(revision);
            let mut entry = Entry::new(ContactId::from(""));
            entry.events.push(Event::new(EventKind::RevisionActivated, revision.created, &data));
            if let Err(error) = journal.append(entry).await {
                tracing::error!(%error, revision = revision.number, "a revision could not be told to the feed");
            }
        }
        if let Some(revision) = watched {
            self.watch(revision);
        }
    }

    fn watch(&self, revision: u64) {
        let minutes = self.inner.settings.bake_minutes;
        if minutes == 0 {
            return;
        }
        let until = Instant::now() + Duration::from_secs(minutes.saturating_mul(60));
        let mut baking = self.inner.baking.lock().unwrap_or_else(PoisonError::into_inner);
        *baking = Some(Baking { revision, until, calls: 0, erred: 0, hung_up: 0, verdict: None });
    }

    /// Puts back what the watched revision has changed.
    async fn take_back(&self, store: &Arc<Store>) {
        let watched = self.inner.baking.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Baking { revision, verdict: Some(verdict), .. }) = watched else { return };
        let note = format!("Undid revision {revision}: {verdict}");
        let write = store.clone();
        match tokio::task::spawn_blocking(move || write.undo(revision, AUTHOR, &note)).await {
            Ok(Ok(Some(published))) => {
                self.inner.metrics.rolled_back.inc();
                tracing::error!(
                    revision,
                    by = published.revision.number,
                    verdict,
                    "a revision was taken back by the guard"
                );
            }
            Ok(Ok(None)) => {
                tracing::warn!(revision, verdict, "callers fare badly, and nothing of the revision is left to take back");
            }
            Ok(Err(error)) => {
                self.inner.metrics.failed.inc();
                tracing::error!(%error, revision, verdict, "callers fare badly, and the revision could not be taken back");
            }
            Err(_) => tracing::error!(revision, "taking a revision back had panicked"),
        }
    }
}

impl Baking {
    fn judge(&self, settings: &settings::Guard) -> Option<String> {
        if self.calls < settings.calls_min {
            return None;
        }
        let over = |count: u64, percent_max: u64| count * 100 > self.calls * percent_max;
        let (calls, erred, hung_up) = (self.calls, self.erred, self.hung_up);
        if over(erred, settings.errors_percent_max) {
            return Some(format!("{erred} of {calls} calls took an error transition"));
        }
        over(hung_up, settings.hang_ups_percent_max)
            .then(|| format!("{hung_up} of {calls} callers hung up at the first node"))
    }
}

/// Whether a revision changed what callers hear, and is none that takes something back.
fn touches_callers(store: &Store, revision: &Revision) -> Result<bool, StoreError> {
    if revision.restores.is_some() || revision.author == AUTHOR || revision.number < 2 {
        return Ok(false);
    }
    let heard = [Kind::Ivrs, Kind::Prompts, Kind::Calendars, Kind::Numbers];
    let differences = match store.diff(revision.number - 1, revision.number) {
        Ok(differences) => differences,
        // Its predecessor is kept no more: then it cannot be taken back either.
        Err(StoreError::NoRevision(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(differences.iter().any(|difference| heard.contains(&difference.key.kind)))
}

#[cfg(test)]
mod tests {
    use vestibule_routing::outcome::Reason;

    use super::*;

    fn guard(bake_minutes: u64) -> Guard {
        let settings = settings::Guard {
            bake_minutes,
            calls_min: 4,
            errors_percent_max: 25,
            hang_ups_percent_max: 50,
        };
        Guard::new(settings, GuardMetrics::unregistered().unwrap())
    }

    fn verdict(guard: &Guard) -> Option<String> {
        guard.inner.baking.lock().unwrap().as_ref().and_then(|baking| baking.verdict.clone())
    }

    const LEFT: Outcome = Outcome { side: Side::Caller, reason: Reason::Completed };
    const FINE: Course = Course { nodes: 5, erred: false, left: true };
    const BAD: Course = Course { nodes: 5, erred: true, left: true };
    const SHORT: Course = Course { nodes: 2, erred: false, left: false };

    #[test]
    fn too_many_errors_or_early_hang_ups_are_a_verdict_and_fewer_are_none() {
        for (ends, said) in [
            ([FINE, FINE, FINE, BAD], None),
            ([FINE, FINE, BAD, BAD], Some("2 of 4 calls took an error transition")),
            ([FINE, FINE, SHORT, SHORT], None),
            ([FINE, SHORT, SHORT, SHORT], Some("3 of 4 callers hung up at the first node")),
        ] {
            let guard = guard(10);
            guard.watch(7);
            for course in ends {
                guard.ended(Some(7), &course, LEFT);
            }
            assert_eq!(verdict(&guard).as_deref(), said);
        }
    }

    #[test]
    fn calls_under_other_revisions_and_without_ivr_are_not_counted_and_off_is_off() {
        let guard_on = guard(10);
        guard_on.watch(7);
        for _ in 0..10 {
            guard_on.ended(Some(6), &BAD, LEFT);
            guard_on.ended(None, &BAD, LEFT);
            guard_on.ended(Some(7), &Course::default(), LEFT);
        }
        assert_eq!(verdict(&guard_on), None);
        let off = guard(0);
        off.watch(7);
        assert!(off.inner.baking.lock().unwrap().is_none());
    }
}
