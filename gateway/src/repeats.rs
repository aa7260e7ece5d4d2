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

type Waiting = HashMap<String, Vec<Undecided>>;

/// The contacts that wait for their INVITE; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    /// By Call-ID: one contact each, but for calls that share one.
    waiting: Arc<Mutex<Waiting>>,
    /// How many wait, so that a new call takes no lock when none does.
    count: Arc<AtomicUsize>,
}

impl Repeats {
    /// What recovery left open.
    pub fn new(undecided: Vec<Undecided>) -> Self {
        let count = Arc::new(AtomicUsize::new(undecided.len()));
        let mut waiting = Waiting::new();
        for contact in undecided {
            waiting.entry(contact.call_id.clone()).or_default().push(contact);
        }
        Self { waiting: Arc::new(Mutex::new(waiting)), count }
    }

    /// The contact that a new INVITE continues, if any. It is given out once.
    pub fn take(&self, start: &ContactStart) -> Option<ContactId> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let call_id = start.call_id.as_deref()?;
        let mut waiting = self.lock();
        let contacts = waiting.get_mut(call_id)?;
        let same = |contact: &Undecided| contact.from == start.from && contact.to == start.to;
        let contact = contacts.swap_remove(contacts.iter().position(same)?);
        self.count.fetch_sub(1, Ordering::Relaxed);
        Some(contact.contact)
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
        let due: Vec<Undecided> = waiting
            .values_mut()
            .flat_map(|contacts| contacts.extract_if(.., |contact| contact.until <= now))
            .collect();
        self.count.fetch_sub(due.len(), Ordering::Relaxed);
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

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(250);
