//! What the media threads count. Counters are atomics that one thread writes and anyone reads.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::port::PortUse;

/// Upper bounds, in microseconds, of the lateness histogram; one more bucket has no bound.
pub const LATENESS_BOUNDS_US: [u32; 11] =
    [50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 200_000];

/// Everything the media engine counts, at one moment.
#[derive(Clone, Debug, Default)]
pub struct MediaSnapshot {
    /// One for each media thread.
    pub threads: Vec<ThreadSnapshot>,
    /// How the ports are used.
    pub ports: PortUse,
    /// What the recorder thread counts.
    pub recorder: RecorderSnapshot,
}

/// What the recorder thread counts; all but `active` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderSnapshot {
    /// Recordings that go on.
    pub active: u64,
    /// Bytes of audio written to files.
    pub bytes: u64,
    /// Frames of 20 ms that are silence in a file because the disk or the recorder was too slow, or because they
    /// came too late.
    pub lost_frames: u64,
    /// Recordings that failed.
    pub failed: u64,
}

impl MediaSnapshot {
    /// The sum of one counter over all threads.
    pub fn sum(&self, counter: impl Fn(&ThreadSnapshot) -> u64) -> u64 {
        self.threads.iter().map(counter).sum()
    }
}

/// What one media thread counts; all but `legs`, `busy_percent` and `realtime` only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadSnapshot {
    /// Legs open now.
    pub legs: u32,
    /// Share of a core used in the last second, 0 to 100.
    pub busy_percent: u32,
    /// Runs under SCHED_FIFO.
    pub realtime: bool,
    /// RTP packets accepted.
    pub received: u64,
    /// RTP packets sent.
    pub sent: u64,
    /// Of those, what came in at the other leg of a bridge.
    pub relayed: u64,
    /// RTP packets the kernel did not take, or that could not be protected.
    pub send_errors: u64,
    /// RTP packets missing by sequence number, of legs that closed.
    pub lost: u64,
    /// Datagrams from a source that is not the leg's peer.
    pub wrong_source: u64,
    /// Datagrams that are neither RTP nor RTCP, or of a payload type not agreed.
    pub malformed: u64,
    /// SRTP and SRTCP packets that are not authentic, clear ones among them.
    pub srtp_unauthentic: u64,
    /// SRTP and SRTCP packets that came before, or too late to tell.
    pub srtp_replayed: u64,
    /// Frames left out because the thread was late.
    pub skipped_frames: u64,
    /// Digits by RFC 4733.
    pub digits_rfc4733: u64,
    /// Digits by their tones.
    pub digits_inband: u64,
    /// Digits sent as telephone events, beside those that were relayed.
    pub digits_sent: u64,
    /// Digits not sent: without telephone events, while held, or more than 32 at once.
    pub digits_unsent: u64,
    /// Legs that fell silent.
    pub inactive: u64,
    /// Commands refused because the ring to the thread was full.
    pub commands_refused: u64,
    /// Commands for legs that are closed.
    pub commands_late: u64,
    /// Events that were lost because a ring or a leg's channel was full, and the list of those that wait too.
    pub events_lost: u64,
    /// How late slots were served: counts by [`LATENESS_BOUNDS_US`], the last without bound.
    pub lateness: [u64; LATENESS_BOUNDS_US.len() + 1],
    /// Sum of the lateness of all slots in microseconds.
    pub lateness_sum_us: u64,
}

/// Legs for which a thread is made.
const LEGS_EXPECTED: usize = 2000;

/// The counters behind a [`ThreadSnapshot`].
#[derive(Debug, Default)]
pub(crate) struct ThreadCounters {
    pub(crate) legs: AtomicU32,
    pub(crate) busy_percent: AtomicU32,
    /// As many legs as keep a thread busy that may just take more, by what they have cost; 0: not known yet.
    pub(super) legs_bearable: AtomicU32,
    pub(crate) realtime: AtomicBool,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) relayed: AtomicU64,
    pub(crate) send_errors: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) wrong_source: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) srtp_unauthentic: AtomicU64,
    pub(crate) srtp_replayed: AtomicU64,
    pub(crate) skipped_frames: AtomicU64,
    pub(crate) digits_rfc4733: AtomicU64,
    pub(crate) digits_inband: AtomicU64,
    pub(crate) digits_sent: AtomicU64,
    pub(crate) digits_unsent: AtomicU64,
    pub(crate) inactive: AtomicU64,
    pub(crate) commands_refused: AtomicU64,
    pub(crate) commands_late: AtomicU64,
    pub(crate) events_lost: AtomicU64,
    lateness: [AtomicU64; LATENESS_BOUNDS_US.len() + 1],
    lateness_sum_us: AtomicU64,
}

impl ThreadCounters {
    /// Legs that the thread can have without being too busy for more.
    pub(crate) fn legs_bearable(&self) -> usize {
        match self.legs_bearable.load(Relaxed) {
            0 => LEGS_EXPECTED,
            legs => legs as usize,
        }
    }

    /// Counts one slot served so late.
    pub(crate) fn late(&self, late_us: u64) {
        let bucket = LATENESS_BOUNDS_US.iter().position(|&bound| late_us <= u64::from(bound));
        add(&self.lateness[bucket.unwrap_or(LATENESS_BOUNDS_US.len())], 1);
        add(&self.lateness_sum_us, late_us);
    }

    pub(crate) fn snapshot(&self) -> ThreadSnapshot {
        ThreadSnapshot {
            legs: self.legs.load(Relaxed),
            busy_percent: self.busy_percent.load(Relaxed),
            realtime: self.realtime.load(Relaxed),
            received: self.received.load(Relaxed),
            sent: self.sent.load(Relaxed),
            relayed: self.relayed.load(Relaxed),
            send_errors: self.send_errors.load(Relaxed),
            lost: self.lost.load(Relaxed),
            wrong_source: self.wrong_source.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            srtp_unauthentic: self.srtp_unauthentic.load(Relaxed),
            srtp_replayed: self.srtp_replayed.load(Relaxed),
            skipped_frames: self.skipped_frames.load(Relaxed),
            digits_rfc4733: self.digits_rfc4733.load(Relaxed),
            digits_inband: self.digits_inband.load(Relaxed),
            digits_sent: self.digits_sent.load(Relaxed),
            digits_unsent: self.digits_unsent.load(Relaxed),
            inactive: self.inactive.load(Relaxed),
            commands_refused: self.commands_refused.load(Relaxed),
            commands_late: self.commands_late.load(Relaxed),
            events_lost: self.events_lost.load(Relaxed),
            lateness: std::array::from_fn(|i| self.lateness[i].load(Relaxed)),
            lateness_sum_us: self.lateness_sum_us.load(Relaxed),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Relaxed);
}
