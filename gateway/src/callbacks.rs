//! Callers who are called back when it is their turn.
//!
//! Who asks for a callback keeps the place in the queue: a place of the callback's own, as old as the caller's was. When
//! it comes to the front and somebody is there, the number is called; who answers and presses the key waits in the old
//! place, and is taken as anybody is. Callbacks are in the journal until they are made or given up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::Notify;
use vestibule_routing::id::{ContactId, InboxId};

use crate::{
    availability::Availability,
    dialler::Dialler,
    hub::Hub,
    journal::{CallbackRow, CallbackUpdate, Entry, Event, EventKind, Journal, JournalError},
    queue::{Queues, Ticket},
    sip::SipInbox,
    telemetry::{CallbackMetrics, CallbackResult},
};

#[cfg(test)]
mod tests;

/// Callbacks to be made at once, at most.
const CALLBACKS_MAX: usize = 100_000;

/// How long after the start nobody is called: time for agents to say that they are there.
const SETTLING: Duration = Duration::from_secs(10);

/// How often it is looked who is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a callback waits for which there was no room.
const NO_ROOM: SignedDuration = SignedDuration::from_secs(5);

/// Callbacks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Callbacks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    journal: Journal,
    queues: Queues,
    metrics: CallbackMetrics,
    pending: Mutex<HashMap<String, Pending>>,
    bell: Notify,
}

/// A callback that is still to be made.
#[derive(Debug)]
struct Pending {
    row: CallbackRow,
    /// Its place in the queue; none while it rests, so that it holds up nobody.
    place: Option<Ticket>,
    /// The number is being called.
    busy: bool,
}

/// Why a callback cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NotStored {
    /// There are too many.
    #[error("{CALLBACKS_MAX} callbacks wait already")]
    TooMany,
    /// It could not be made durable.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// How a callback is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackEnd {
    /// They answered, and wait in their place.
    Reached,
    /// They did not answer, as often as was tried.
    NotReached,
    /// Its time was over.
    Expired,
    /// It was taken back.
    Cancelled,
}

/// One attempt; dropped without having reached anybody, it has failed.
#[derive(Debug)]
pub struct Attempt {
    callbacks: Callbacks,
    row: CallbackRow,
    settled: bool,
}

impl Callbacks {
    /// No callbacks yet.
    pub fn new(journal: Journal, queues: Queues, metrics: CallbackMetrics) -> Self {
        let (pending, bell) = (Mutex::default(), Notify::new());
        Self { inner: Arc::new(Inner { journal, queues, metrics, pending, bell }) }
    }

    /// Takes over those that the journal has from before the start.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn load(&self) -> Result<(), JournalError> {
        for row in self.inner.journal.reader().callbacks().await? {
            self.keep(row);
        }
        Ok(())
    }

    /// Stores a callback; it is durable when this returns. Of two to one number for one inbox the older place
    /// stays, with the terms of the newer.
    ///
    /// # Errors
    /// [`NotStored`], and then there is none.
    pub async fn store(&self, mut row: CallbackRow) -> Result<(), NotStored> {
        {
            let pending = self.inner.lock();
            let same = |old: &&Pending| old.row.number == row.number && old.row.inbox == row.inbox;
            match pending.values().find(same) {
                Some(old) => (row.id, row.since) = (old.row.id.clone(), old.row.since.min(row.since)),
                None if pending.len() >= CALLBACKS_MAX => return Err(NotStored::TooMany),
                None => {}
            }
        }
        let mut entry = Entry::new(row.contact.clone());
        let data = json!({
            "callback": row.id, "inbox": row.inbox, "number": row.number, "waits_since": row.since,
            "attempts": row.attempts_left, "gap_seconds": row.gap_seconds, "expires": row.expires,
        });
        entry.events.push(Event::new(EventKind::CallbackRequested, Timestamp::now(), &data));
        entry.callback = Some(CallbackUpdate::Put(Box::new(row.clone())));
        self.inner.journal.append(entry).await?;
        self.keep(row);
        self.inner.bell.notify_one();
        Ok(())
    }

    /// Those that are still to be made, in the order of their places.
    pub fn list(&self) -> Vec<CallbackRow> {
        let mut rows: Vec<_> = self.inner.lock().values().map(|pending| pending.row.clone()).collect();
        rows.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        rows
    }

    /// Takes a callback back; none when there is none, or its number is being called.
    pub fn cancel(&self, id: &str) -> Option<CallbackRow> {
        let row = {
            let mut pending = self.inner.lock();
            pending.get(id).filter(|pending| !pending.busy)?;
            pending.remove(id)?.row
        };
        self.end(&row, CallbackEnd::Cancelled, None);
        Some(row)
    }

    /// Calls back whoever is due, for as long as the process runs.
    pub async fn run(self, hub: Hub, sip: SipInbox, (availability, dialler): (Availability, Dialler)) {
        tokio::time::sleep(SETTLING).await;
        loop {
            let now = Timestamp::now();
            for row in self.expired(now) {
                self.end(&row, CallbackEnd::Expired, None);
            }
            let free = |inbox: &InboxId| agents_of(&hub, inbox, (&availability, &dialler));
            for row in self.due(now, free) {
                let attempt = Attempt { callbacks: self.clone(), row, settled: false };
                if let Some(attempt) = hub.call_back(attempt, sip.clone()) {
                    attempt.put_off();
                }
            }
            // Whichever comes first; both lead to another look.
            let _elapsed = tokio::time::timeout(LOOK_EVERY, self.inner.bell.notified()).await.is_err();
        }
    }

    fn keep(&self, row: CallbackRow) {
        let mut pending = self.inner.lock();
        match pending.get_mut(&row.id) {
            // Its number is being called: what is new holds for the next attempt, if there has to be one.
            Some(busy) if busy.busy => busy.row = row,
            Some(_) | None => {
                // The place of the one before goes first: the new one may be the same.
                drop(pending.remove(&row.id));
                let place = self.inner.place(&row);
                pending.insert(row.id.clone(), Pending { row, place, busy: false });
            }
        }
        self.inner.count(&pending);
    }

    fn expired(&self, now: Timestamp) -> Vec<CallbackRow> {
        let mut pending = self.inner.lock();
        let over = pending.extract_if(|_, pending| !pending.busy && pending.row.expires <= now);
        over.map(|(_, pending)| pending.row).collect()
    }

    /// Those whose number is to be called now. `free` says to how many callers of an inbox people can talk; none
    /// when that is not known.
    fn due(&self, now: Timestamp, free: impl Fn(&InboxId) -> Option<u32>) -> Vec<CallbackRow> {
        let mut pending = self.inner.lock();
        let mut due = Vec::new();
        for callback in pending.values_mut().filter(|pending| !pending.busy) {
            if callback.row.not_before > now {
                continue;
            }
            let place = callback.place.get_or_insert_with(|| self.inner.place_of(&callback.row));
            // Nobody known to be there is not nobody: the first in line may be called.
            if place.position() <= free(&callback.row.inbox).unwrap_or(1) {
                callback.busy = true;
                due.push(callback.row.clone());
            }
        }
        due
    }

    /// A callback is over: the journal has it no more, and the feed says why.
    fn end(&self, row: &CallbackRow, end: CallbackEnd, reached: Option<&ContactId>) {
        let mut entry = Entry::new(row.contact.clone());
        let data = json!({
            "callback": row.id, "inbox": row.inbox, "number": row.number, "result": end,
            "attempts": row.attempts, "contact": reached,
        });
        entry.events.push(Event::new(EventKind::CallbackDone, Timestamp::now(), &data));
        entry.callback = Some(CallbackUpdate::Remove(row.id.clone()));
        if let Err(error) = self.inner.journal.append_later(entry) {
            // It is found again at the next start, and called once more rather than never.
            tracing::error!(callback = %row.id, %error, "the end of a callback could not be journalled");
        }
        self.inner.count(&self.inner.lock());
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        // A panic elsewhere ends one contact; the map stays consistent between statements.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, pending: &HashMap<String, Pending>) {
        self.metrics.waiting.set(i64::try_from(pending.len()).unwrap_or(i64::MAX));
    }

    /// A place for a callback that does not rest.
    fn place(&self, row: &CallbackRow) -> Option<Ticket> {
        (row.not_before <= Timestamp::now()).then(|| self.place_of(row))
    }

    fn place_of(&self, row: &CallbackRow) -> Ticket {
        self.queues.keep(&row.inbox, &ContactId::from(row.id.as_str()), row.since, row.priority)
    }
}

impl Attempt {
    /// What is to be done.
    pub fn row(&self) -> &CallbackRow {
        &self.row
    }

    /// They are there, and wait in their place as this contact.
    pub fn reached(mut self, contact: &ContactId) {
        self.settled = true;
        self.row.attempts = self.row.attempts.saturating_add(1);
        drop(self.callbacks.inner.lock().remove(&self.row.id));
        self.callbacks.inner.metrics.attempts.of(CallbackResult::Reached).inc();
        self.callbacks.end(&self.row, CallbackEnd::Reached, Some(contact));
    }

    /// The gateway could not try at all: that counts for nothing.
    fn put_off(mut self) {
        self.settled = true;
        if let Some(pending) = self.callbacks.inner.lock().get_mut(&self.row.id) {
            pending.busy = false;
            pending.row.not_before = later(NO_ROOM);
        }
    }

    fn failed(&mut self) {
        let callbacks = &self.callbacks;
        callbacks.inner.metrics.attempts.of(CallbackResult::NotReached).inc();
        let row = {
            let mut pending = callbacks.inner.lock();
            let Some(callback) = pending.get_mut(&self.row.id) else { return };
            let row = &mut callback.row;
            row.attempts = row.attempts.saturating_add(1);
            row.attempts_left = row.attempts_left.saturating_sub(1);
            row.not_before = later(SignedDuration::from_secs(i64::from(row.gap_seconds)));
            let row = row.clone();
            (callback.busy, callback.place) = (false, None);
            if row.attempts_left == 0 {
                drop(pending.remove(&row.id));
            }
            row
        };
        if row.attempts_left == 0 {
            return callbacks.end(&row, CallbackEnd::NotReached, None);
        }
        let mut entry = Entry::new(row.contact.clone());
        entry.callback = Some(CallbackUpdate::Put(Box::new(row.clone())));
        if let Err(error) = callbacks.inner.journal.append_later(entry) {
            tracing::error!(callback = %row.id, %error, "an attempt could not be journalled");
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.settled {
            self.failed();
        }
    }
}

/// To how many of an inbox people can talk now: agents as told, or telephones that are free.
fn agents_of(hub: &Hub, inbox: &InboxId, (availability, dialler): (&Availability, &Dialler)) -> Option<u32> {
    availability.agents(inbox).or_else(|| {
        let plan = hub.plan();
        let dial = plan.inbox(inbox)?.dial.as_ref()?;
        Some(dialler.free(dial))
    })
}

fn later(by: SignedDuration) -> Timestamp {
    let now = Timestamp::now();
    now.checked_add(by).unwrap_or(now)
}
