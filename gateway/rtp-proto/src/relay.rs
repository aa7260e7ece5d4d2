//! Relaying a stream onto a line of our own: which sequence number and timestamp a packet of another source
//! gets there.
//!
//! The line has one SSRC and one clock for its whole life, whoever speaks on it (RFC 3550 §5.1). While one
//! source speaks, its numbers are moved by a fixed distance, so that its losses, its reordering and its pauses
//! show on the line as they were: the far end conceals and reports them itself. The distance is learnt anew
//! when the source changes, when its numbers jump, and after something else was sent on the line. Packets
//! of any length pass as they come (RFC 3551 §4.2 lets a receiver take every packet time).

use std::time::{Duration, Instant};

use crate::{
    SAMPLE_RATE,
    rtp::{Header, RtpTimestamp, SequenceNumber, Ssrc},
};

/// What a packet carries, as far as its time is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Sound that begins at the packet's timestamp.
    Audio,
    /// A telephone event (RFC 4733) that began at the packet's timestamp.
    Event {
        /// How long it has lasted, in timestamp units.
        duration: u16,
    },
}

/// Where the outgoing line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The sequence number after the highest one sent.
    pub next: SequenceNumber,
    /// The end of all that was sent: nothing new may have an earlier timestamp.
    pub sent_until: RtpTimestamp,
    /// What the line's own clock shows now.
    pub clock: RtpTimestamp,
}

/// The numbers of a packet on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Its place on the line.
    pub sequence: SequenceNumber,
    /// Its time on the line.
    pub timestamp: RtpTimestamp,
    /// Whether it is the first after a silence, after another source, or of an event.
    pub marker: bool,
}

/// The distance between a source's numbers and those of a line.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    sync: Option<Sync>,
}

#[derive(Clone, Debug)]
struct Sync {
    ssrc: Ssrc,
    /// Added to the source's sequence numbers.
    sequence_offset: u16,
    /// Added to its timestamps.
    timestamp_offset: u32,
    /// The oldest sequence number for which the offset holds.
    first: SequenceNumber,
    /// The newest packet: its number, the source's clock in it, and when it came.
    newest: SequenceNumber,
    clock: RtpTimestamp,
    arrived: Instant,
    /// Start and duration of the newest event.
    event: Option<(RtpTimestamp, u16)>,
}

impl Rewrite {
    /// Something else was sent, or packets of the source were left out: the next one begins anew.
    pub fn reset(&mut self) {
        self.sync = None;
    }

    /// The numbers for a packet that is sent now; `None` when it is late and its place on the line is taken.
    pub fn pass(
        &mut self,
        now: Instant,
        source: &Header,
        content: Content,
        line: &Line,
    ) -> Option<Rewritten> {
        let clock = content.clock(source);
        let fresh = !self.sync.as_ref().is_some_and(|sync| sync.is_continued_by(now, source, clock));
        if fresh {
            self.sync = Some(Sync::new(now, source, content, line));
        }
        let sync = self.sync.as_mut()?;
        if source.sequence.since(sync.first) < 0 {
            return None;
        }
        let is_newest = source.sequence.since(sync.newest) >= 0;
        let marker = match content {
            Content::Audio => source.marker,
            Content::Event { duration } => is_newest && sync.begins_event(source.timestamp, duration),
        };
        if is_newest {
            sync.advance(now, source.sequence, clock);
        }
        Some(Rewritten {
            sequence: SequenceNumber::new(source.sequence.value().wrapping_add(sync.sequence_offset)),
            timestamp: source.timestamp.advanced(sync.timestamp_offset),
            marker: marker || fresh,
        })
    }

    /// A packet of the source that the line does not carry, because its far end did not agree on such ones:
    /// its number is given to the next, so that it is not taken for a loss.
    pub fn withhold(&mut self, now: Instant, source: &Header, content: Content) {
        let clock = content.clock(source);
        match &mut self.sync {
            Some(sync) if sync.is_continued_by(now, source, clock) => {
                if source.sequence.since(sync.newest) > 0 {
                    sync.advance(now, source.sequence, clock);
                    sync.sequence_offset = sync.sequence_offset.wrapping_sub(1);
                    sync.first = source.sequence.next();
                }
            }
            Some(_) | None => self.sync = None,
        }
    }
}

impl Content {
    /// What the source's clock shows at the end of what an event packet reports, or at the start of a sound.
    const fn clock(self, source: &Header) -> RtpTimestamp {
        source.timestamp.advanced(self.lasted())
    }

    const fn lasted(self) -> u32 {
        match self {
            Self::Audio => 0,
            Self::Event { duration } => duration as u32,
        }
    }
}

impl Sync {
    /// The packet gets the next number and the line's present time. An event began before that, but not
    /// before the end of what was sent.
    fn new(now: Instant, source: &Header, content: Content, line: &Line) -> Self {
        let began = RtpTimestamp::new(line.clock.value().wrapping_sub(content.lasted()));
        let timestamp = if began.since(line.sent_until) < 0 { line.sent_until } else { began };
        Self {
            ssrc: source.ssrc,
            sequence_offset: line.next.value().wrapping_sub(source.sequence.value()),
            timestamp_offset: timestamp.value().wrapping_sub(source.timestamp.value()),
            first: source.sequence,
            newest: source.sequence,
            clock: content.clock(source),
            arrived: now,
            event: None,
        }
    }

    /// Whether the offsets still hold. Time may stand still (a pause of the sender's clock) or come late in
    /// a burst, but neither run ahead of ours nor back.
    fn is_continued_by(&self, now: Instant, source: &Header, clock: RtpTimestamp) -> bool {
        let ahead = source.sequence.since(self.newest);
        let step = clock.since(self.clock);
        let passed = clock_units(now.saturating_duration_since(self.arrived));
        self.ssrc == source.ssrc
            && (-MISORDER_MAX..=DROPOUT_MAX).contains(&ahead)
            && (-JUMP_MAX..=passed.saturating_add(JUMP_MAX)).contains(&step)
    }

    fn advance(&mut self, now: Instant, sequence: SequenceNumber, clock: RtpTimestamp) {
        self.newest = sequence;
        self.clock = clock;
        self.arrived = now;
        // Followed, or it would come to lie ahead when the numbers wrap.
        if sequence.since(self.first) > MISORDER_MAX {
            self.first = SequenceNumber::new(sequence.value().wrapping_sub(MISORDER_MAX.unsigned_abs()));
        }
    }

    /// Whether an event packet is the first of its event, and no further segment of a long one, which begins
    /// where the last one ended (RFC 4733 §2.5.1.3).
    fn begins_event(&mut self, timestamp: RtpTimestamp, duration: u16) -> bool {
        let begins = match self.event {
            Some((start, lasted)) => {
                let since = timestamp.since(start);
                since != 0 && since != i32::from(lasted) && since != i32::from(u16::MAX)
            }
            None => true,
        };
        let lasted = match self.event {
            Some((start, lasted)) if start == timestamp => lasted.max(duration),
            Some(_) | None => duration,
        };
        self.event = Some((timestamp, lasted));
        begins
    }
}

/// Units of the 8 kHz clock, no more than a step can show.
fn clock_units(duration: Duration) -> i32 {
    let units = duration.as_millis().saturating_mul(u128::from(SAMPLE_RATE)) / 1000;
    i32::try_from(units).unwrap_or(i32::MAX)
}

/// As in the count of losses (RFC 3550 §A.1): a larger step forward is a restart.
const DROPOUT_MAX: i16 = 3000;
/// A packet so far back is late, not a restart.
const MISORDER_MAX: i16 = 100;
/// Two seconds: more than jitter, less than a clock that was set anew.
const JUMP_MAX: i32 = 2 * SAMPLE_RATE as i32;
