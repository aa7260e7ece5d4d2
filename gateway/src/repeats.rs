//! INVITEs that callers repeat over a restart: each goes on under the record it had before.
//!
//! Filled once, from what the journal's recovery left undecided; empty a few seconds after the start.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use vestibule_routing::{
    id::ContactId,
    outcome::{Outcome, Reason, Side},
};

use crate::journal::{ContactEnd, ContactStart, Entry, Journal, Undecided};

/// The contacts that wait for their INVITE; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    waiting: Arc<Mutex<HashMap<String, Undecided>>>,
    /// How many wait, so that a new call takes no lock when none does.
    count: Arc<AtomicUsize>,
}

impl Repeats {
    /// What recovery left open.
    pub fn new(undecided: Vec<Undecided>) -> Self {
        let count = Arc::new(AtomicUsize::new(undecided.len()));
        let waiting = undecided.into_iter().map(|contact| (contact.call_id.clone(), contact)).collect();
        Self { waiting: Arc::new(Mutex::new(waiting)), count }
    }

    /// The contact that a new INVITE continues, if any. It is given out once.
    pub fn take(&self, start: &ContactStart) -> Option<ContactId> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let call_id = start.call_id.as_deref()?;
        let mut waiting = self.lock();
        let same = |contact: &Undecided| contact.from == start.from && contact.to == start.to;
        if !waiting.get(call_id).is_some_and(same) {
            return None;
        }
        let contact = waiting.remove(call_id).map(|contact| contact.contact);
        self.count.store(waiting.len(), Ordering::Relaxed);
        contact
    }

    /// Ends contacts as their time comes; returns when none is left.
    pub async fn settle(self, journal: Journal) {
        while self.count.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LOOK_EVERY).await;
            self.end_due(&journal, Timestamp::now());
        }
    }

    /// Ends those whose time has come; all of them by [`Timestamp::MAX`].
    pub fn end_due(&self, journal: &Journal, now: Timestamp) {
        let mut waiting = self.lock();
        let due: Vec<Undecided> =
            waiting.extract_if(|_, contact| contact.until <= now).map(|(_, contact)| contact).collect();
        self.count.store(waiting.len(), Ordering::Relaxed);
        drop(waiting);
        for contact in due {
            let outcome = Outcome::new(Side::Gateway, Reason::Restarted);
            let entry = Entry::ended(contact.contact, ContactEnd::new(Timestamp::now(), outcome));
            // The end of a contact is taken whenever the journal is open.
            if let Err(error) = journal.append_later(entry) {
                // The next start finds it open.
                tracing::error!(%error, "a contact of before the restart could not be ended");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Undecided>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(250);
