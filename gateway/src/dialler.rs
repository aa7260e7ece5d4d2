//! Calls the telephones of inboxes for those who wait there.
//!
//! One task for the process. It looks at who waits in the order of each queue, chooses free telephones by the inbox's
//! strategy, and asks the contact to be taken: from there on it is a take like any other, and the journey decides. A
//! telephone has one call at a time, whatever inboxes name it; one that did not take a call rests a little.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::Notify;
use vestibule_routing::{
    id::{ContactId, InboxId},
    journey::{Callee, Request},
    plan::{Dial, Strategy},
};

use crate::{
    api::live::{LiveContacts, Located},
    sip::Locator,
};

/// How long a telephone is left alone that did not take a call.
const REST: Duration = Duration::from_secs(10);

/// How long a contact is left alone, and others go before it, that cannot be taken now.
const PAUSE: Duration = Duration::from_secs(1);

/// Who took a contact that the dialler had called for.
const BY: &str = "dial";

/// Telephones remembered for how long they have been idle.
const PHONES_MAX: usize = 10_000;

/// The dialler; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Dialler {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<InboxId, BTreeMap<Place, Waiting>>,
    phones: HashMap<String, Phone>,
    /// Where the next round begins, by inbox.
    turns: HashMap<InboxId, usize>,
}

/// A place in a queue: sorts before those who are served later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// 9 − priority.
    rank: u8,
    arrived: Timestamp,
    contact: ContactId,
}

#[derive(Debug)]
struct Waiting {
    dial: Arc<Dial>,
    /// Telephones ring for it, or are about to.
    called: bool,
    not_before: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Phone {
    in_use: bool,
    idle_since: Option<Instant>,
    rests_until: Option<Instant>,
}

impl Phone {
    fn is_free(self, now: Instant) -> bool {
        !self.in_use && self.rests_until.is_none_or(|at| at <= now)
    }
}

/// A contact's wait for telephones; dropping it ends the wait.
#[derive(Debug)]
pub struct DialWait {
    inner: Arc<Inner>,
    inbox: InboxId,
    place: Place,
}

/// A telephone that is in use; dropping it makes it free.
#[derive(Debug)]
pub struct PhoneInUse {
    target: String,
    rests: bool,
    attempt: Arc<Attempt>,
}

/// Telephones called together for one contact; with the last of them the contact may be called for again.
#[derive(Debug)]
struct Attempt {
    inner: Arc<Inner>,
    inbox: InboxId,
    place: Place,
    /// The contact would not be taken: somebody else calls for it, or it has gone on.
    refused: AtomicBool,
}

/// What is to be called for whom.
#[derive(Debug)]
struct Assignment {
    contact: ContactId,
    ring_seconds: u32,
    phones: Vec<PhoneInUse>,
}

impl Dialler {
    /// Has telephones called for a contact, from now until the wait is dropped.
    pub fn wait(
        &self,
        inbox: &InboxId,
        contact: &ContactId,
        arrived: Timestamp,
        priority: u8,
        dial: Arc<Dial>,
    ) -> DialWait {
        let place = Place { rank: 9_u8.saturating_sub(priority), arrived, contact: contact.clone() };
        let waiting = Waiting { dial, called: false, not_before: None };
        self.inner.lock().waiting.entry(inbox.clone()).or_default().insert(place.clone(), waiting);
        self.inner.bell.notify_one();
        DialWait { inner: self.inner.clone(), inbox: inbox.clone(), place }
    }

    /// How many telephones could be called now.
    pub fn free(&self, dial: &Dial) -> u32 {
        let (now, state) = (Instant::now(), self.inner.lock());
        let free = dial
            .targets
            .iter()
            .filter(|target| state.phones.get(*target).is_none_or(|phone| phone.is_free(now)));
        u32::try_from(free.count()).unwrap_or(u32::MAX)
    }

    /// Calls telephones for as long as the process runs.
    pub async fn run(self, live: LiveContacts, locator: Locator) {
        loop {
            let (assignments, again) = self.inner.assign(Instant::now());
            for assignment in assignments {
                tokio::spawn(call(assignment, live.clone(), locator.clone()));
            }
            let rung = self.inner.bell.notified();
            match again {
                Some(at) => {
                    // Whichever comes first; both lead to another look.
                    let _elapsed = tokio::time::timeout_at(at.into(), rung).await.is_err();
                }
                None => rung.await,
            }
        }
    }
}

/// Finds the telephones, and asks the contact.
async fn call(assignment: Assignment, live: LiveContacts, locator: Locator) {
    let Assignment { contact, ring_seconds, phones } = assignment;
    let (mut targets, mut located) = (Vec::new(), Vec::new());
    let Some(attempt) = phones.first().map(|phone| phone.attempt.clone()) else { return };
    for mut phone in phones {
        match locator.locate(&phone.target).await {
            Ok(destinations) => {
                targets.push(phone.target.clone());
                located.push(Located { phone: Some(phone), ..Located::at(destinations) });
            }
            Err(error) => {
                tracing::warn!(inbox = %phone.attempt.inbox, %error, "a telephone of an inbox cannot be called");
                phone.rest();
            }
        }
    }
    if targets.is_empty() {
        return;
    }
    let ring = Duration::from_secs(u64::from(ring_seconds));
    let request = Request::Take(Callee { targets, ring, by: BY.to_owned() });
    let accepted = match live.find(contact.as_str()) {
        Some(contact) => matches!(contact.ask(request, located).await, Ok(Ok(()))),
        None => false,
    };
    attempt.refused.store(!accepted, Ordering::Relaxed);
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere ends one contact; the maps stay consistent between statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives free telephones to those who wait; and when it is worth looking again.
    fn assign(self: &Arc<Self>, now: Instant) -> (Vec<Assignment>, Option<Instant>) {
        let mut guard = self.lock();
        let State { waiting, phones, turns } = &mut *guard;
        let mut assignments = Vec::new();
        let mut again: Option<Instant> = None;
        let mut later = |at: Instant| again = Some(again.map_or(at, |other| other.min(at)));
        for (inbox, queue) in waiting {
            for (place, waiting) in queue.iter_mut().filter(|(_, waiting)| !waiting.called) {
                if let Some(at) = waiting.not_before.filter(|at| *at > now) {
                    later(at);
                    continue;
                }
                let turn = turns.entry(inbox.clone()).or_default();
                let chosen = choose(&waiting.dial, phones, turn, now);
                if chosen.is_empty() {
                    let resting = waiting.dial.targets.iter().filter_map(|target| phones.get(target));
                    resting.filter_map(|phone| phone.rests_until.filter(|at| *at > now)).for_each(&mut later);
                    // Who came later does not go before.
                    break;
                }
                waiting.called = true;
                let attempt = Arc::new(Attempt {
                    inner: self.clone(),
                    inbox: inbox.clone(),
                    place: place.clone(),
                    refused: AtomicBool::new(false),
                });
                let take = |target: String| {
                    phones.entry(target.clone()).or_default().in_use = true;
                    PhoneInUse { target, rests: false, attempt: attempt.clone() }
                };
                assignments.push(Assignment {
                    contact: place.contact.clone(),
                    ring_seconds: waiting.dial.ring_seconds,
                    phones: chosen.into_iter().map(take).collect(),
                });
            }
        }
        (assignments, again)
    }
}

/// The telephones that are called next.
fn choose(dial: &Dial, phones: &HashMap<String, Phone>, turn: &mut usize, now: Instant) -> Vec<String> {
    let state = |target: &String| phones.get(target).copied().unwrap_or_default();
    let free = |target: &&String| state(target).is_free(now);
    match dial.strategy {
        Strategy::RingAll => dial.targets.iter().filter(free).cloned().collect(),
        Strategy::RoundRobin => {
            let count = dial.targets.len();
            let order = (0..count).map(|step| turn.wrapping_add(step) % count.max(1));
            let found = order.filter_map(|index| dial.targets.get(index).map(|target| (index, target)));
            let next = found.into_iter().find(|(_, target)| free(target));
            next.map(|(index, target)| {
                *turn = index.wrapping_add(1);
                target.clone()
            })
            .into_iter()
            .collect()
        }
        Strategy::LongestIdle => {
            // Never called at all is the longest; of equals the first of the list.
            let longest = dial.targets.iter().filter(free).min_by_key(|target| state(target).idle_since);
            longest.cloned().into_iter().collect()
        }
    }
}

impl PhoneInUse {
    /// It did not take the call, and is left alone for a while.
    pub fn rest(&mut self) {
        self.rests = true;
    }
}

impl Drop for PhoneInUse {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.attempt.inner.lock();
        if state.phones.len() > PHONES_MAX {
            state.phones.retain(|_, phone| phone.in_use);
        }
        let rests_until = self.rests.then(|| now + REST);
        let phone = Phone { in_use: false, idle_since: Some(now), rests_until };
        state.phones.insert(std::mem::take(&mut self.target), phone);
        drop(state);
        self.attempt.inner.bell.notify_one();
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        let waiting = state.waiting.get_mut(&self.inbox).and_then(|queue| queue.get_mut(&self.place));
        if let Some(waiting) = waiting {
            waiting.called = false;
            waiting.not_before = self.refused.load(Ordering::Relaxed).then(|| Instant::now() + PAUSE);
        }
        drop(state);
        self.inner.bell.notify_one();
    }
}

impl Drop for DialWait {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        if let Some(queue) = state.waiting.get_mut(&self.inbox) {
            queue.remove(&self.place);
            if queue.is_empty() {
                state.waiting.remove(&self.inbox);
            }
        }
    }
}

#[cfg(test)]
mod tests;
