//! From a leg to the recorder: a ring of bytes that a media thread writes and never waits for.
//!
//! What does not fit is counted and left out; the recorder finds nothing in its place and writes silence.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rtp_proto::{
    g711::Law,
    rtp::{Header, RtpTimestamp, SequenceNumber, Ssrc},
};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::media::thread::DATAGRAM_BYTES_MAX;

/// The leg's end.
#[derive(Debug)]
pub(crate) struct Tap {
    recording: u64,
    began: Instant,
    ring: Producer<u8>,
    lost: Arc<AtomicU64>,
}

/// The recorder's end.
#[derive(Debug)]
pub(crate) struct TapReader {
    ring: Consumer<u8>,
    next: Option<Entry>,
    payload: Vec<u8>,
}

/// One packet as it came. Times are samples of 8 kHz since the recording began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) arrived: u32,
    pub(crate) ssrc: Ssrc,
    pub(crate) timestamp: RtpTimestamp,
    pub(crate) sequence: SequenceNumber,
    pub(crate) what: Content,
}

/// What the packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The payload is G.711.
    Audio(Law),
    /// A telephone event that has lasted so many samples.
    Event { duration: u16 },
}

/// A pair for one leg. What is lost on the way is added to `lost`, in samples.
pub(crate) fn tap(recording: u64, began: Instant, lost: Arc<AtomicU64>) -> (Box<Tap>, TapReader) {
    let (producer, consumer) = RingBuffer::new(RING_BYTES);
    let tap = Box::new(Tap { recording, began, ring: producer, lost });
    (tap, TapReader { ring: consumer, next: None, payload: Vec::with_capacity(PAYLOAD_BYTES) })
}

/// A moment on the clock of a recording that began at another.
pub(crate) fn samples_since(began: Instant, now: Instant) -> u64 {
    samples(now.saturating_duration_since(began))
}

/// How many samples a time holds.
pub(crate) fn samples(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(8000) + u64::from(duration.subsec_nanos() / 125_000)
}

impl Tap {
    /// The number of the recording it belongs to.
    pub(crate) fn recording(&self) -> u64 {
        self.recording
    }

    /// Takes a packet of the leg's peer.
    pub(crate) fn take(&mut self, now: Instant, header: &Header, what: Content, payload: &[u8]) {
        let mut bytes = [0; HEAD_BYTES + DATAGRAM_BYTES_MAX];
        let length = HEAD_BYTES + payload.len();
        let Some(place) = bytes.get_mut(HEAD_BYTES..length) else { return };
        place.copy_from_slice(payload);
        // No recording lasts the six days after which this would wrap.
        let arrived = samples_since(self.began, now) as u32;
        let (kind, last) = match what {
            Content::Audio(Law::Mu) => (MU_LAW, payload.len() as u16),
            Content::Audio(Law::A) => (A_LAW, payload.len() as u16),
            Content::Event { duration } => (EVENT, duration),
        };
        bytes[..4].copy_from_slice(&arrived.to_ne_bytes());
        bytes[4..8].copy_from_slice(&header.ssrc.value().to_ne_bytes());
        bytes[8..12].copy_from_slice(&header.timestamp.value().to_ne_bytes());
        bytes[12..14].copy_from_slice(&header.sequence.value().to_ne_bytes());
        bytes[14..16].copy_from_slice(&last.to_ne_bytes());
        bytes[16] = kind;
        // All or nothing.
        if self.ring.push_entire_slice(&bytes[..length]).is_err() {
            self.lost.fetch_add(payload.len() as u64, Relaxed);
        }
    }
}

impl TapReader {
    /// When the next packet came, if there is one.
    pub(crate) fn next_arrival(&mut self) -> Option<u32> {
        if self.next.is_none() {
            self.next = self.read();
        }
        self.next.map(|entry| entry.arrived)
    }

    /// The next packet and its payload.
    pub(crate) fn pop(&mut self) -> Option<(Entry, &[u8])> {
        self.next_arrival()?;
        let entry = self.next.take()?;
        Some((entry, &self.payload))
    }

    /// Whether the leg is gone and all of it was read.
    pub(crate) fn is_over(&mut self) -> bool {
        self.ring.is_abandoned() && self.next_arrival().is_none()
    }

    fn read(&mut self) -> Option<Entry> {
        let mut head = [0; HEAD_BYTES];
        self.ring.pop_entire_slice(&mut head).ok()?;
        let [a0, a1, a2, a3, s0, s1, s2, s3, t0, t1, t2, t3, n0, n1, l0, l1, kind] = head;
        let last = u16::from_ne_bytes([l0, l1]);
        let (what, len) = match kind {
            MU_LAW => (Content::Audio(Law::Mu), last),
            A_LAW => (Content::Audio(Law::A), last),
            _ => (Content::Event { duration: last }, 0),
        };
        self.payload.resize(usize::from(len), 0);
        self.ring.pop_entire_slice(&mut self.payload).ok()?;
        Some(Entry {
            arrived: u32::from_ne_bytes([a0, a1, a2, a3]),
            ssrc: Ssrc::new(u32::from_ne_bytes([s0, s1, s2, s3])),
            timestamp: RtpTimestamp::new(u32::from_ne_bytes([t0, t1, t2, t3])),
            sequence: SequenceNumber::new(u16::from_ne_bytes([n0, n1])),
            what,
        })
    }
}

/// 3.5 seconds of sound in packets of 20 ms: a disk may stall that long before anything is lost.
const RING_BYTES: usize = 32 << 10;
const HEAD_BYTES: usize = 17;
const PAYLOAD_BYTES: usize = 480;
const MU_LAW: u8 = 0;
const A_LAW: u8 = 8;
const EVENT: u8 = 101;

#[cfg(test)]
mod tests {
    use rtp_proto::rtp::PayloadType;

    use super::*;

    fn header(sequence: u16) -> Header {
        Header {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber::new(sequence),
            timestamp: RtpTimestamp::new(u32::from(sequence) * 160),
            ssrc: Ssrc::new(7),
        }
    }

    #[test]
    fn packets_come_out_as_they_went_in_also_over_the_end_of_the_ring() {
        let began = Instant::now();
        let (mut tap, mut reader) = tap(1, began, Arc::default());
        for at in 0..2000_u16 {
            let now = began + Duration::from_millis(u64::from(at) * 20);
            let payload = vec![at as u8; usize::from(at % 481)];
            let what = match at % 3 {
                0 => Content::Audio(Law::Mu),
                1 => Content::Audio(Law::A),
                _ => Content::Event { duration: at },
            };
            let payload = if at % 3 == 2 { &[][..] } else { &payload };
            tap.take(now, &header(at), what, payload);
            assert_eq!(reader.next_arrival(), Some(u32::from(at) * 160));
            let (entry, heard) = reader.pop().expect("a packet");
            assert_eq!(
                (entry.what, entry.sequence, entry.timestamp),
                (what, header(at).sequence, header(at).timestamp)
            );
            assert_eq!(heard, payload);
        }
        assert!(reader.pop().is_none() && !reader.is_over());
        drop(tap);
        assert!(reader.is_over());
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_rest_stays_whole() {
        let lost = Arc::new(AtomicU64::new(0));
        let began = Instant::now();
        let (mut tap, mut reader) = tap(1, began, Arc::clone(&lost));
        for at in 0..500 {
            tap.take(began, &header(at), Content::Audio(Law::Mu), &[at as u8; 160]);
        }
        let fitted = RING_BYTES / (HEAD_BYTES + 160);
        assert_eq!(lost.load(Relaxed), (500 - fitted as u64) * 160);
        for at in 0..fitted {
            assert_eq!(reader.pop().map(|(_, payload)| payload.to_vec()), Some(vec![at as u8; 160]));
        }
        assert!(reader.pop().is_none());
    }
}
