//! Who waits where: the queues of all inboxes, in order of priority and arrival.
//!
//! One registry for the process. Contact tasks take and leave places; nobody else does. The order is
//! (priority high to low, arrival, contact id), so that a contact that moves keeps its arrival time.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use vestibule_routing::id::{ContactId, InboxId};

/// A place in a queue: sorts before those who are served later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// 9 − priority, so that the highest priority sorts first.
    rank: u8,
    arrived: jiff::Timestamp,
    contact: ContactId,
}

/// The queues of all inboxes.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    inboxes: Arc<Mutex<HashMap<InboxId, BTreeSet<Place>>>>,
}

/// The queue had as many contacts as it may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct QueueFull;

/// A contact's place; dropping it gives the place up.
#[derive(Debug)]
pub struct Ticket(PlaceInQueue);

/// Looks at a place without holding it.
#[derive(Clone, Debug)]
pub struct PlaceInQueue {
    queues: Queues,
    inbox: InboxId,
    place: Place,
}

impl Queues {
    /// Takes a place in an inbox's queue.
    ///
    /// # Errors
    /// [`QueueFull`] when `length_max` contacts wait already.
    pub fn join(
        &self,
        inbox: &InboxId,
        contact: &ContactId,
        arrived: jiff::Timestamp,
        priority: u8,
        length_max: Option<u32>,
    ) -> Result<Ticket, QueueFull> {
        let place = Place { rank: 9_u8.saturating_sub(priority), arrived, contact: contact.clone() };
        let mut inboxes = self.lock();
        let queue = inboxes.entry(inbox.clone()).or_default();
        if length_max.is_some_and(|max| queue.len() >= max as usize) {
            return Err(QueueFull);
        }
        queue.insert(place.clone());
        Ok(Ticket(PlaceInQueue { queues: self.clone(), inbox: inbox.clone(), place }))
    }

    /// Takes a place, however long the queue is: for who has had one.
    pub fn keep(
        &self,
        inbox: &InboxId,
        contact: &ContactId,
        arrived: jiff::Timestamp,
        priority: u8,
    ) -> Ticket {
        let place = Place { rank: 9_u8.saturating_sub(priority), arrived, contact: contact.clone() };
        self.lock().entry(inbox.clone()).or_default().insert(place.clone());
        Ticket(PlaceInQueue { queues: self.clone(), inbox: inbox.clone(), place })
    }

    /// Contacts waiting, by inbox; only inboxes with at least one.
    pub fn lengths(&self) -> Vec<(InboxId, usize)> {
        self.lock().iter().map(|(inbox, queue)| (inbox.clone(), queue.len())).collect()
    }

    /// The arrival of the contact that came first of all that wait.
    pub fn oldest(&self) -> Option<jiff::Timestamp> {
        let inboxes = self.lock();
        // In order of arrival within each priority, so the first of each priority is enough.
        let first = |queue: &BTreeSet<Place>, rank: u8| {
            let from = Place { rank, arrived: jiff::Timestamp::MIN, contact: ContactId::from("") };
            queue.range(from..).next().map(|place| place.arrived)
        };
        inboxes.values().flat_map(|queue| (0..=9).filter_map(move |rank| first(queue, rank))).min()
    }

    /// Contacts waiting in all inboxes.
    pub fn waiting(&self) -> usize {
        self.lock().values().map(BTreeSet::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InboxId, BTreeSet<Place>>> {
        // A panic elsewhere ends one contact; the sets stay consistent between statements.
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// The inbox waited in.
    pub fn inbox(&self) -> &InboxId {
        &self.0.inbox
    }

    /// Our position; 1 is next.
    pub fn position(&self) -> u32 {
        self.0.position()
    }

    /// The priority, 0 (lowest) to 9.
    pub fn priority(&self) -> u8 {
        9_u8.saturating_sub(self.0.place.rank)
    }

    /// The place, for others to look at.
    pub fn place(&self) -> PlaceInQueue {
        self.0.clone()
    }
}

impl PlaceInQueue {
    /// Its position; 1 is next.
    pub fn position(&self) -> u32 {
        let inboxes = self.queues.lock();
        let Some(queue) = inboxes.get(&self.inbox) else { return 1 };
        // Whoever has just come is mostly the last: no need to count the others one by one.
        let before = match queue.last() {
            Some(last) if *last == self.place => queue.len() - 1,
            _ => queue.range(..&self.place).count(),
        };
        u32::try_from(before).unwrap_or(u32::MAX).saturating_add(1)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let PlaceInQueue { queues, inbox, place } = &self.0;
        let mut inboxes = queues.lock();
        if let Some(queue) = inboxes.get_mut(inbox) {
            queue.remove(place);
            if queue.is_empty() {
                inboxes.remove(inbox);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn priority_goes_before_arrival_and_arrival_before_the_rest() {
        let queues = Queues::default();
        let inbox = InboxId::from("ib_a");
        let late = queues.join(&inbox, &"ct_1".into(), at(20), 5, None).unwrap();
        let early = queues.join(&inbox, &"ct_2".into(), at(10), 5, None).unwrap();
        let urgent = queues.join(&inbox, &"ct_3".into(), at(30), 9, None).unwrap();
        assert_eq!((urgent.position(), early.position(), late.position()), (1, 2, 3));
        assert_eq!(queues.oldest(), Some(at(10)));
        drop(urgent);
        assert_eq!((early.position(), late.position()), (1, 2));
    }

    #[test]
    fn a_full_queue_refuses_and_an_empty_one_leaves_no_row() {
        let queues = Queues::default();
        let inbox = InboxId::from("ib_a");
        let first = queues.join(&inbox, &"ct_1".into(), at(1), 5, Some(1)).unwrap();
        assert!(matches!(queues.join(&inbox, &"ct_2".into(), at(2), 5, Some(1)), Err(QueueFull)));
        drop(first);
        assert!(queues.lengths().is_empty());
    }
}
