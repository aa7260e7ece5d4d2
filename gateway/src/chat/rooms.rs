//! Who listens to which thread: sockets of visitors, and agents who look on.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::broadcast::{self, error::RecvError};

/// What listeners are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// There are lines that were not there before.
    Lines,
    /// Somebody writes just now: an agent, or else the visitor. Never kept.
    Typing(Option<Arc<str>>),
}

/// A chat app's id and a visitor.
type Thread = (String, String);

/// The threads that somebody listens to.
#[derive(Clone, Debug, Default)]
pub struct Rooms {
    open: Arc<DashMap<Arc<Thread>, broadcast::Sender<Told>>>,
}

/// Told at once, before a slow listener is told of lines only. Room for them is taken by every thread.
const TOLD_MAX: usize = 2;

impl Rooms {
    /// Listens to a thread.
    pub fn join(&self, thread: Thread) -> Member {
        let thread = Arc::new(thread);
        let room = self.open.entry(thread.clone()).or_insert_with(|| broadcast::channel(TOLD_MAX).0);
        let told = Some(room.subscribe());
        drop(room);
        Member { told, thread, rooms: self.clone() }
    }

    /// Tells all who listen to a thread.
    pub fn tell(&self, thread: &Thread, told: Told) {
        if let Some(room) = self.open.get(thread) {
            // Nobody may listen any more.
            room.send(told).unwrap_or_default();
        }
    }
}

/// One who listens, until it is dropped.
#[derive(Debug)]
pub struct Member {
    told: Option<broadcast::Receiver<Told>>,
    thread: Arc<Thread>,
    rooms: Rooms,
}

impl Member {
    /// What is told next. Whoever was too slow to hear all of it hears that there may be lines.
    pub async fn told(&mut self) -> Told {
        match &mut self.told {
            Some(told) => match told.recv().await {
                Ok(told) => told,
                Err(RecvError::Lagged(_)) => Told::Lines,
                Err(RecvError::Closed) => std::future::pending().await,
            },
            None => std::future::pending().await,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.told = None;
        self.rooms.open.remove_if(&self.thread, |_, room| room.receiver_count() == 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(visitor: &str) -> Thread {
        ("shop".to_owned(), visitor.to_owned())
    }

    #[tokio::test]
    async fn all_who_listen_to_a_thread_are_told_and_no_others() {
        let rooms = Rooms::default();
        let (mut one, mut two, other) =
            (rooms.join(thread("a")), rooms.join(thread("a")), rooms.join(thread("b")));
        rooms.tell(&thread("a"), Told::Lines);
        rooms.tell(&thread("a"), Told::Typing(Some("ann".into())));
        rooms.tell(&thread("nobody"), Told::Lines);
        for member in [&mut one, &mut two] {
            assert_eq!(member.told().await, Told::Lines);
            assert_eq!(member.told().await, Told::Typing(Some("ann".into())));
        }
        assert!(other.told.as_ref().unwrap().is_empty());
        drop((one, other));
        assert_eq!(rooms.open.len(), 1);
        drop(two);
        assert!(rooms.open.is_empty(), "an empty room is no room");
    }

    #[tokio::test]
    async fn who_is_too_slow_hears_of_lines() {
        let rooms = Rooms::default();
        let mut slow = rooms.join(thread("a"));
        for _ in 0..100 {
            rooms.tell(&thread("a"), Told::Typing(None));
        }
        assert_eq!(slow.told().await, Told::Lines);
    }
}
