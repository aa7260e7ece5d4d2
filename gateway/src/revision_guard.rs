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
    store::{GUARD, Revision, Store, StoreError},
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
    watched: Mutex<Vec<Watched>>,
    /// Rung when something is to be taken back.
    bell: Notify,
    metrics: GuardMetrics,
}

/// A revision whose callers are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watched {
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
        let inner = Inner { settings, watched: Mutex::default(), bell: Notify::new(), metrics };
        Self { inner: Arc::new(inner) }
    }

    /// A call has ended that went by a revision. Calls under an older one say nothing of what is watched.
    pub fn ended(&self, revision: Option<u64>, course: &Course, outcome: Outcome) {
        let Some(revision) = revision.filter(|_| course.nodes > 0) else { return };
        let now = Instant::now();
        let mut watched = self.watched();
        watched.retain(|one| one.until > now || one.verdict.is_some());
        self.shows(&watched);
        for one in watched.iter_mut().filter(|one| revision >= one.revision && one.verdict.is_none()) {
            one.calls += 1;
            one.erred += u64::from(course.erred);
            one.hung_up += u64::from(course.ended_at_first_node(outcome));
            one.verdict = one.judge(&self.inner.settings);
            if one.verdict.is_some() {
                self.inner.bell.notify_one();
            }
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

    /// Tells of revisions that became active, and watches those that changed what callers hear.
    async fn activated(&self, store: &Arc<Store>, journal: &Journal, (told, newest): (u64, u64)) {
        let (read, on) = (store.clone(), self.inner.settings.bake_minutes > 0);
        let found = tokio::task::spawn_blocking(move || {
            let mut revisions = read.revisions(newest.checked_add(1), TOLD_AT_ONCE)?;
            revisions.retain(|revision| revision.number > told);
            revisions.reverse();
            let mut watched = Vec::new();
            for revision in revisions.iter().filter(|_| on) {
                if touches_callers(&read, revision)? {
                    watched.push(revision.number);
                }
            }
            Ok::<_, StoreError>((revisions, watched))
        });
        let (revisions, watched) = match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return tracing::error!(%error, "a new revision could not be read"),
            Err(_) => return tracing::error!("reading a new revision met a fault in the gateway"),
        };
        for revision in revisions {
            let mut entry = Entry::new(ContactId::from(""));
            entry.events.push(Event::new(EventKind::RevisionActivated, revision.created, &json!(revision)));
            if let Err(error) = journal.append(entry).await {
                tracing::error!(%error, revision = revision.number, "a revision could not be told to the feed");
            }
        }
        watched.into_iter().for_each(|revision| self.watch(revision));
    }

    fn watch(&self, revision: u64) {
        let minutes = self.inner.settings.bake_minutes;
        if minutes == 0 {
            return;
        }
        let until = Instant::now() + Duration::from_secs(minutes.saturating_mul(60));
        let mut watched = self.watched();
        if watched.len() >= WATCHED_MAX {
            watched.remove(0);
            self.inner.metrics.dropped.inc();
        }
        watched.push(Watched { revision, until, calls: 0, erred: 0, hung_up: 0, verdict: None });
        self.shows(&watched);
    }

    /// Puts back what the newest of the revisions has changed that callers fare badly under. The others are watched anew: what
    /// was counted is no witness against them.
    async fn take_back(&self, store: &Arc<Store>) {
        let (revision, verdict) = {
            let mut watched = self.watched();
            let Some(at) = watched.iter().rposition(|one| one.verdict.is_some()) else { return };
            let taken = watched.remove(at);
            for one in watched.iter_mut() {
                *one = Watched { calls: 0, erred: 0, hung_up: 0, verdict: None, ..one.clone() };
            }
            self.shows(&watched);
            (taken.revision, taken.verdict.unwrap_or_default())
        };
        let note = format!("Undid revision {revision}: {verdict}");
        let write = store.clone();
        match tokio::task::spawn_blocking(move || write.undo(revision, GUARD, &note)).await {
            Ok(Ok(Some(published))) => {
                self.inner.metrics.rolled_back.inc();
                let by = published.revision.number;
                tracing::error!(revision, by, verdict, "a revision was taken back by the guard");
            }
            Ok(Ok(None)) => {
                self.inner.metrics.failed.inc();
                tracing::error!(
                    revision,
                    verdict,
                    "callers fare badly, and nothing of the revision is left to take back"
                );
            }
            Ok(Err(error)) => {
                self.inner.metrics.failed.inc();
                tracing::error!(%error, revision, verdict, "callers fare badly, and the revision could not be taken back");
            }
            Err(_) => {
                self.inner.metrics.failed.inc();
                tracing::error!(revision, "taking a revision back met a fault in the gateway");
            }
        }
    }

    fn watched(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.inner.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shows(&self, watched: &[Watched]) {
        self.inner.metrics.watched.set(i64::try_from(watched.len()).unwrap_or(i64::MAX));
    }
}

impl Watched {
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

/// Whether a revision changed what callers hear, and is none that puts something back.
fn touches_callers(store: &Store, revision: &Revision) -> Result<bool, StoreError> {
    if revision.restores.is_some() || revision.author == GUARD || revision.number < 2 {
        return Ok(false);
    }
    let heard = [Kind::Ivrs, Kind::Prompts, Kind::Calendars, Kind::Lists, Kind::Numbers];
    let differences = match store.diff(revision.number - 1, revision.number) {
        Ok(differences) => differences,
        // Its predecessor is kept no more: then it cannot be taken back either.
        Err(StoreError::NoRevision(_)) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(differences.iter().any(|difference| heard.contains(&difference.key.kind)))
}

/// Revisions told at once after many were published quickly.
const TOLD_AT_ONCE: u32 = 500;

/// Revisions watched at once; of more the oldest is watched no longer.
const WATCHED_MAX: usize = 16;

#[cfg(test)]
mod tests;
