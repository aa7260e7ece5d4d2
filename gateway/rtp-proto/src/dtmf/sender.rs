//! Telephone events that we send.

use std::collections::VecDeque;

use super::{Digit, EventPayload};
use crate::rtp::RtpTimestamp;

/// Turns digits into event packets, one digit after the other (RFC 4733 §2.5.1).
///
/// An event is updated with every packet time; its last packet is sent three times, since the loss of one
/// would prolong the digit. Two digits are 40 ms or more apart.
#[derive(Clone, Debug)]
pub struct EventSender {
    waiting: VecDeque<(Digit, u16)>,
    event: Option<Sending>,
    /// The end of the last event.
    ended: Option<RtpTimestamp>,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    digit: Digit,
    started: RtpTimestamp,
    wanted: u16,
    duration: u16,
    /// How often the end was sent.
    ends: u8,
}

/// One packet of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// The first of its event.
    pub marker: bool,
    /// The start of the event, the same for all its packets.
    pub timestamp: RtpTimestamp,
    /// What it says.
    pub payload: EventPayload,
}

impl Default for EventSender {
    fn default() -> Self {
        Self::new()
    }
}

impl EventSender {
    /// A sender with nothing to send. It takes [`DIGITS_MAX`] digits without allocating again.
    pub fn new() -> Self {
        Self { waiting: VecDeque::with_capacity(DIGITS_MAX), event: None, ended: None }
    }

    /// Takes a digit to send, after those that wait, for so many timestamp units (at least one packet time
    /// is sent). False when [`DIGITS_MAX`] wait.
    pub fn press(&mut self, digit: Digit, duration: u16) -> bool {
        let taken = self.waiting.len() < DIGITS_MAX;
        if taken {
            self.waiting.push_back((digit, duration));
        }
        taken
    }

    /// Whether digits are being sent or wait; sound makes room for them as long.
    pub fn is_busy(&self) -> bool {
        self.event.is_some() || !self.waiting.is_empty()
    }

    /// Gives up all digits that are not sent whole; how many those were.
    pub fn clear(&mut self) -> usize {
        let count = self.waiting.len().saturating_add(usize::from(self.event.is_some()));
        self.waiting.clear();
        self.event = None;
        count
    }

    /// The packet for the packet time that begins at `clock` and lasts `step` units; `None` between two
    /// digits and when there is nothing to send.
    pub fn next(&mut self, clock: RtpTimestamp, step: u16) -> Option<EventPacket> {
        let mut event = match self.event {
            Some(event) => event,
            None => self.begin(clock)?,
        };
        let marker = event.duration == 0;
        if event.ends == 0 {
            let lasted = clock.since(event.started).saturating_add(i32::from(step));
            event.duration = u16::try_from(lasted.max(1)).unwrap_or(u16::MAX);
        }
        if event.duration >= event.wanted {
            event.ends = event.ends.saturating_add(1);
        }
        let over = event.ends >= ENDS;
        if over {
            self.ended = Some(event.started.advanced(u32::from(event.duration)));
        }
        self.event = (!over).then_some(event);
        let payload = EventPayload {
            code: event.digit.event(),
            end: event.ends > 0,
            volume: VOLUME,
            duration: event.duration,
        };
        Some(EventPacket { marker, timestamp: event.started, payload })
    }

    fn begin(&mut self, clock: RtpTimestamp) -> Option<Sending> {
        if self.ended.is_some_and(|ended| (0..PAUSE_UNITS).contains(&clock.since(ended))) {
            return None;
        }
        let (digit, wanted) = self.waiting.pop_front()?;
        Some(Sending { digit, started: clock, wanted, duration: 0, ends: 0 })
    }
}

/// Digits that wait while one is sent.
pub const DIGITS_MAX: usize = 32;
/// The end is sent three times (RFC 4733 §2.5.1.4).
const ENDS: u8 = 3;
/// 40 ms, the shortest pause that every receiver knows (ITU-T Q.24).
const PAUSE_UNITS: i32 = 320;
/// 10 dB below 0 dBm0.
const VOLUME: u8 = 10;
