//! Who listens to which leg of one thread, and the events of listeners that are behind.
//!
//! A contact's task may be busy when its channel is full of events. They wait here then, in their order, and
//! the seat of a leg is free again only when its last event was taken or nobody listens any more.

use std::collections::VecDeque;

use tokio::sync::mpsc::{Sender, error::TrySendError};

use super::{MediaEvent, command::LegKey};

/// The table of one thread's legs, as the tokio side knows them.
#[derive(Debug)]
pub(crate) struct Seats {
    seats: Vec<Seat>,
    free: Vec<u32>,
    /// Seats with waiting events.
    behind: Vec<u32>,
}

#[derive(Debug, Default)]
struct Seat {
    generation: u32,
    port: u16,
    events: Option<Sender<MediaEvent>>,
    /// What the channel had no room for. Nothing goes past it.
    waiting: VecDeque<MediaEvent>,
    /// The leg is closed: the seat is free when nothing waits.
    closed: bool,
}

impl Seats {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            seats: (0..count).map(|_| Seat::default()).collect(),
            free: (0..u32::try_from(count).unwrap_or(u32::MAX)).rev().collect(),
            behind: Vec::new(),
        }
    }

    /// How many are not free.
    pub(crate) fn held(&self) -> usize {
        self.seats.len() - self.free.len()
    }

    /// Takes a free seat for a leg on this port.
    pub(crate) fn take(&mut self, port: u16, events: Sender<MediaEvent>) -> Option<LegKey> {
        let index = self.free.pop()?;
        let seat = self.seats.get_mut(index as usize)?;
        seat.generation = seat.generation.wrapping_add(1);
        seat.port = port;
        seat.events = Some(events);
        seat.closed = false;
        Some(LegKey { index, generation: seat.generation })
    }

    /// Gives back a seat whose leg never began.
    pub(crate) fn give_back(&mut self, key: LegKey) {
        if let Some(seat) = self.seat(key) {
            seat.events = None;
            self.free.push(key.index);
        }
    }

    /// The RTP port of a leg.
    pub(crate) fn port(&mut self, key: LegKey) -> Option<u16> {
        self.seat(key).map(|seat| seat.port)
    }

    /// Tells a leg's listener. False when the event is lost, because [`WAITING_MAX`] wait before it.
    pub(crate) fn tell(&mut self, key: LegKey, event: MediaEvent) -> bool {
        match self.seat(key) {
            Some(seat) if seat.waiting.len() >= WAITING_MAX => false,
            Some(seat) => {
                if seat.tell(event) {
                    self.behind.push(key.index);
                }
                true
            }
            None => true,
        }
    }

    /// Tells the last event of a leg, however many wait, and frees the seat as soon as it is taken.
    pub(crate) fn close(&mut self, key: LegKey, event: MediaEvent) {
        let Some(seat) = self.seat(key) else { return };
        seat.closed = true;
        if seat.tell(event) {
            self.behind.push(key.index);
        } else if seat.waiting.is_empty() {
            seat.events = None;
            self.free.push(key.index);
        }
    }

    /// Hands out what waits as far as there is room; true when something still waits.
    pub(crate) fn catch_up(&mut self) -> bool {
        let Self { seats, free, behind } = self;
        behind.retain(|&index| {
            let Some(seat) = seats.get_mut(index as usize) else { return false };
            seat.drain();
            if !seat.waiting.is_empty() {
                return true;
            }
            if seat.closed {
                seat.events = None;
                free.push(index);
            }
            false
        });
        !behind.is_empty()
    }

    fn seat(&mut self, key: LegKey) -> Option<&mut Seat> {
        self.seats
            .get_mut(key.index as usize)
            .filter(|seat| seat.generation == key.generation && seat.events.is_some())
    }
}

impl Seat {
    /// True when the listener is behind from now on.
    fn tell(&mut self, event: MediaEvent) -> bool {
        let first = self.waiting.is_empty();
        self.waiting.push_back(event);
        if first {
            self.drain();
        }
        first && !self.waiting.is_empty()
    }

    fn drain(&mut self) {
        while let (Some(events), Some(event)) = (&self.events, self.waiting.pop_front()) {
            match events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return;
                }
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
        // A burst is rare: its memory is not kept.
        self.waiting = VecDeque::new();
    }
}

/// Events that wait for one listener: minutes of a caller who presses keys as fast as can be.
const WAITING_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{Receiver, channel};
    use vestibule_routing::journey::PlaybackId;

    use super::*;
    use crate::media::LegStats;

    fn done(id: u32) -> MediaEvent {
        MediaEvent::PlaybackDone { id: PlaybackId(id), frames_played: 0 }
    }

    fn closed() -> MediaEvent {
        MediaEvent::Closed { stats: LegStats::default() }
    }

    fn one_seat(room: usize) -> (Seats, LegKey, Receiver<MediaEvent>) {
        let mut seats = Seats::new(1);
        let (events, receiver) = channel(room);
        let key = seats.take(20_000, events).expect("a seat");
        (seats, key, receiver)
    }

    #[test]
    fn what_a_channel_has_no_room_for_waits_and_comes_in_order_with_the_end_last() {
        let (mut seats, key, mut receiver) = one_seat(2);
        for id in 0..7 {
            assert!(seats.tell(key, done(id)));
        }
        seats.close(key, closed());
        assert_eq!(seats.held(), 1, "the end is not taken yet");
        let mut heard = Vec::new();
        loop {
            let behind = seats.catch_up();
            while let Ok(event) = receiver.try_recv() {
                heard.push(event);
            }
            if !behind {
                break;
            }
        }
        let expected: Vec<_> = (0..7).map(done).chain([closed()]).collect();
        assert_eq!(heard, expected);
        assert_eq!(seats.held(), 0);
    }

    #[test]
    fn nothing_goes_past_what_waits_when_room_comes() {
        let (mut seats, key, mut receiver) = one_seat(1);
        assert!(seats.tell(key, done(0)) && seats.tell(key, done(1)));
        assert_eq!(receiver.try_recv().ok(), Some(done(0)));
        assert!(seats.tell(key, done(2)), "there is room, but an earlier one waits");
        assert!(receiver.try_recv().is_err());
        for id in 1..3 {
            seats.catch_up();
            assert_eq!(receiver.try_recv().ok(), Some(done(id)));
        }
        assert!(!seats.catch_up());
    }

    #[test]
    fn more_than_the_limit_is_lost_and_said_so_but_never_the_end() {
        let (mut seats, key, mut receiver) = one_seat(1);
        let told = (0..2000).filter(|&id| seats.tell(key, done(id))).count();
        assert_eq!(told, 1 + WAITING_MAX);
        seats.close(key, closed());
        let mut last = None;
        while seats.catch_up() {
            last = receiver.try_recv().ok();
        }
        assert_eq!(last, Some(done(WAITING_MAX as u32)));
        assert_eq!(receiver.try_recv().ok(), Some(closed()));
    }

    #[test]
    fn a_listener_that_is_gone_keeps_no_seat() {
        let (mut seats, key, receiver) = one_seat(1);
        assert!(seats.tell(key, done(0)) && seats.tell(key, done(1)));
        drop(receiver);
        seats.close(key, closed());
        assert!(!seats.catch_up());
        assert_eq!(seats.held(), 0);
        let (events, mut receiver) = channel(1);
        let next = seats.take(20_002, events).expect("a seat");
        assert_ne!(next, key);
        assert!(seats.tell(key, done(2)), "a late one is nobody's");
        assert!(receiver.try_recv().is_err());
        assert_eq!((seats.port(key), seats.port(next)), (None, Some(20_002)));
    }
}
