//! Telephone events (RFC 4733): digits as RTP payloads, received and sent.
//!
//! A digit is one event, known by its source and the timestamp of its start. It is heard once: at the first
//! packet with the end bit, or, when every end packet was lost, as soon as another event begins or nothing
//! has come for [`GAP`]. The volume is ignored, as are codes above 15. Digits in the audio itself are the
//! matter of [`crate::inband`].

mod sender;

use std::time::{Duration, Instant};

pub use self::sender::{DIGITS_MAX, EventPacket, EventSender};
use crate::rtp::{RtpTimestamp, Ssrc};

/// An event whose end is lost is over when no update has come for so long.
pub const GAP: Duration = Duration::from_millis(100);

/// A key of the sixteen on a DTMF keypad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Digit {
    Zero,
    One,
    Two,
    Three,
    Four,
    Five,
    Six,
    Seven,
    Eight,
    Nine,
    Star,
    Pound,
    A,
    B,
    C,
    D,
}

impl Digit {
    /// All keys, in the order of their event codes.
    pub const ALL: [Self; 16] = [
        Self::Zero,
        Self::One,
        Self::Two,
        Self::Three,
        Self::Four,
        Self::Five,
        Self::Six,
        Self::Seven,
        Self::Eight,
        Self::Nine,
        Self::Star,
        Self::Pound,
        Self::A,
        Self::B,
        Self::C,
        Self::D,
    ];

    /// The key for an event code (RFC 4733 §3.2); none above 15.
    pub fn from_event(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The event code, 0 to 15.
    pub const fn event(self) -> u8 {
        self as u8
    }

    /// The key for a character out of `0-9 * # A-D`, upper or lower case.
    pub fn from_char(key: char) -> Option<Self> {
        let key = key.to_ascii_uppercase();
        Self::ALL.into_iter().find(|digit| digit.as_char() == key)
    }

    /// The character on the key.
    pub const fn as_char(self) -> char {
        match self {
            Self::Zero => '0',
            Self::One => '1',
            Self::Two => '2',
            Self::Three => '3',
            Self::Four => '4',
            Self::Five => '5',
            Self::Six => '6',
            Self::Seven => '7',
            Self::Eight => '8',
            Self::Nine => '9',
            Self::Star => '*',
            Self::Pound => '#',
            Self::A => 'A',
            Self::B => 'B',
            Self::C => 'C',
            Self::D => 'D',
        }
    }
}

impl std::fmt::Display for Digit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.as_char())
    }
}

/// The payload of one event packet (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPayload {
    /// The event code; keys are 0 to 15.
    pub code: u8,
    /// Whether the event is over.
    pub end: bool,
    /// Power below 0 dBm0 in dB, 0 to 63.
    pub volume: u8,
    /// How long it has lasted, in timestamp units.
    pub duration: u16,
}

impl EventPayload {
    /// Reads the first event of a payload; `None` when it is shorter than four bytes.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [code, flags, d0, d1] = *payload.first_chunk::<4>()?;
        Some(Self {
            code,
            end: flags & 0x80 != 0,
            volume: flags & 0x3f,
            duration: u16::from_be_bytes([d0, d1]),
        })
    }

    /// The four bytes as sent.
    pub const fn to_bytes(&self) -> [u8; 4] {
        let [d0, d1] = self.duration.to_be_bytes();
        [self.code, if self.end { 0x80 } else { 0 } | (self.volume & 0x3f), d0, d1]
    }
}

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// Which key.
    pub digit: Digit,
    /// When it began, in the sender's media clock.
    pub timestamp: RtpTimestamp,
    /// How long it was held, as far as received, in timestamp units.
    pub duration: u32,
}

/// Turns event packets of one stream into key presses.
#[derive(Clone, Debug, Default)]
pub struct EventReceiver {
    event: Option<Event>,
}

/// The newest event. It stays after it was heard, so that late copies are known for what they are.
#[derive(Clone, Copy, Debug)]
struct Event {
    ssrc: Ssrc,
    digit: Digit,
    started: RtpTimestamp,
    /// Start of the current segment; a long event has several (RFC 4733 §2.5.1.3).
    segment: RtpTimestamp,
    segment_duration: u16,
    updated: Instant,
    ended: bool,
    heard: bool,
}

impl EventReceiver {
    /// A receiver that has heard nothing.
    pub const fn new() -> Self {
        Self { event: None }
    }

    /// Takes the payload of a telephone-event packet. Calls `heard` for each key press that is complete:
    /// none, one, or two when this packet both shows that the last event is over and is itself an end.
    pub fn handle(
        &mut self,
        now: Instant,
        ssrc: Ssrc,
        timestamp: RtpTimestamp,
        payload: &[u8],
        mut heard: impl FnMut(KeyPress),
    ) {
        let Some(packet) = EventPayload::parse(payload) else { return };
        let Some(digit) = Digit::from_event(packet.code) else { return };
        if let Some(event) = self.event.as_mut().filter(|event| event.ssrc == ssrc) {
            let since = timestamp.since(event.segment);
            if event.is_continued_by(digit, since) {
                event.segment = timestamp;
                event.segment_duration = 0;
            } else if event.is_after(now, since) {
                // A late copy of an earlier event or segment, which has been told already.
                return;
            } else if since != 0 || digit != event.digit {
                event.finish(&mut heard);
                self.event = None;
            }
        } else if let Some(event) = &mut self.event {
            event.finish(&mut heard);
            self.event = None;
        }
        let event = self.event.get_or_insert(Event {
            ssrc,
            digit,
            started: timestamp,
            segment: timestamp,
            segment_duration: 0,
            updated: now,
            ended: false,
            heard: false,
        });
        event.updated = now;
        event.segment_duration = event.segment_duration.max(packet.duration);
        if packet.end {
            event.ended = true;
            event.finish(&mut heard);
        }
    }

    /// Tells of an event whose end never came. Harmless at any time.
    pub fn handle_timeout(&mut self, now: Instant, heard: impl FnMut(KeyPress)) {
        if self.deadline().is_some_and(|deadline| now >= deadline)
            && let Some(event) = &mut self.event
        {
            event.finish(heard);
        }
    }

    /// When [`EventReceiver::handle_timeout`] should be called; `None` while no event is open.
    pub fn deadline(&self) -> Option<Instant> {
        self.event.filter(|event| !event.heard).and_then(|event| event.updated.checked_add(GAP))
    }

    /// Whether a key is held down now.
    pub fn is_pressed(&self) -> bool {
        self.event.is_some_and(|event| !event.heard)
    }
}

impl Event {
    /// "the next segment's timestamp is the old one plus the duration reported" (RFC 4733 §2.5.1.3), which is
    /// 65535 units; the last report may be lost, so that figure stands for itself.
    fn is_continued_by(&self, digit: Digit, since: i32) -> bool {
        let reported = i32::from(self.segment_duration);
        !self.ended && self.digit == digit && since > 0 && (since == SEGMENT_UNITS || since == reported)
    }

    /// Whether a packet so far from the current segment is a late one, and not the first on a clock set anew.
    fn is_after(&self, now: Instant, since: i32) -> bool {
        (-REORDER_UNITS..0).contains(&since) && now.saturating_duration_since(self.updated) < REORDER
    }

    fn finish(&mut self, mut heard: impl FnMut(KeyPress)) {
        if self.heard {
            return;
        }
        self.heard = true;
        let before = u32::try_from(self.segment.since(self.started)).unwrap_or(0);
        heard(KeyPress {
            digit: self.digit,
            timestamp: self.started,
            duration: before.saturating_add(u32::from(self.segment_duration)),
        });
    }
}

/// The longest duration one segment can report.
const SEGMENT_UNITS: i32 = 0xffff;

/// Timestamps so little older than the newest are late copies, for so long.
const REORDER: Duration = Duration::from_secs(1);

/// Three segments: a long event's own earlier ones must stay known.
const REORDER_UNITS: i32 = 3 * SEGMENT_UNITS;
