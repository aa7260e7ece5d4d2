//! How many agents are available to each inbox, as whoever runs the agents tells us.
//!
//! Not known is a value of its own: it is what holds before anybody told, and again when what was told is too old.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use vestibule_routing::id::InboxId;

/// What was told of one inbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Agents who could take a contact now.
    agents: Option<u32>,
    /// Until when that may be believed.
    until: Option<Instant>,
}

impl Told {
    /// Agents available; none when that is not known, or was told too long ago.
    pub fn agents(self, now: Instant) -> Option<u32> {
        self.agents.filter(|_| self.until.is_none_or(|until| now < until))
    }
}

/// What was told of all inboxes; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Availability {
    inboxes: Arc<Mutex<HashMap<InboxId, watch::Sender<Told>>>>,
}

impl Availability {
    /// Takes over what was told of an inbox; it holds until it is told anew, or for so long.
    pub fn tell(&self, inbox: &InboxId, agents: Option<u32>, valid: Option<Duration>) {
        let until = valid.and_then(|valid| Instant::now().checked_add(valid));
        self.of(inbox, |told| told.send_modify(|told| *told = Told { agents, until }));
    }

    /// What is known of an inbox now, and word of every change.
    pub fn watch(&self, inbox: &InboxId) -> watch::Receiver<Told> {
        self.of(inbox, |told| told.subscribe())
    }

    /// Agents available to an inbox, when that is known.
    pub fn agents(&self, inbox: &InboxId) -> Option<u32> {
        let told = self.lock().get(inbox).map(|told| *told.borrow())?;
        told.agents(Instant::now())
    }

    fn of<T>(&self, inbox: &InboxId, f: impl FnOnce(&watch::Sender<Told>) -> T) -> T {
        let mut inboxes = self.lock();
        match inboxes.get(inbox) {
            Some(told) => f(told),
            None => f(inboxes.entry(inbox.clone()).or_insert_with(|| watch::channel(Told::default()).0)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InboxId, watch::Sender<Told>>> {
        // Nothing between lock and unlock panics half-way through a change.
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_told_is_not_zero_and_what_was_told_ages() {
        let availability = Availability::default();
        let inbox = InboxId::from("ib_a");
        assert_eq!(availability.agents(&inbox), None);
        availability.tell(&inbox, Some(0), None);
        assert_eq!(availability.agents(&inbox), Some(0));
        assert_eq!(availability.agents(&"ib_b".into()), None);
        availability.tell(&inbox, Some(3), Some(Duration::ZERO));
        assert_eq!(availability.agents(&inbox), None, "too old");
        availability.tell(&inbox, None, None);
        assert_eq!(availability.agents(&inbox), None);
    }

    #[test]
    fn who_watches_hears_of_every_change() {
        let availability = Availability::default();
        let inbox = InboxId::from("ib_a");
        let mut watch = availability.watch(&inbox);
        assert_eq!(watch.borrow_and_update().agents(Instant::now()), None);
        availability.tell(&inbox, Some(2), None);
        assert!(watch.has_changed().unwrap());
        assert_eq!(watch.borrow_and_update().agents(Instant::now()), Some(2));
    }
}
