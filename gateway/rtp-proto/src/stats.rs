//! What was received on one stream: loss, jitter and the extended sequence number (RFC 3550 §6.4.1, A.1, A.3, A.8).

use std::time::{Duration, Instant};

use crate::{
    SAMPLE_RATE,
    rtcp::ReportBlock,
    rtp::{Header, RtpTimestamp, Ssrc},
};

/// Statistics of reception over the life of a stream. A change of SSRC or a sequence number set anew begins
/// another count; the totals go on.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    source: Option<Source>,
    /// Of sources that came before the present one.
    earlier_received: u64,
    earlier_expected: u64,
    source_changes: u32,
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: Ssrc,
    base: u16,
    max: u16,
    cycles: u32,
    /// The number after an unlikely jump; a second packet in sequence proves a restart (A.1).
    bad: Option<u16>,
    received: u32,
    expected_prior: u32,
    received_prior: u32,
    origin: Instant,
    /// Timestamp and transit time of the last packet.
    last: Option<(RtpTimestamp, i32)>,
    /// Sixteen times the jitter in timestamp units (A.8).
    jitter_16: u32,
}

/// Totals for a record of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// Packets that arrived, copies included.
    pub received: u64,
    /// Packets that should have arrived, by their sequence numbers.
    pub expected: u64,
    /// Packets that did not arrive; never below zero, though copies may make up for losses.
    pub lost: u64,
    /// Interarrival jitter in milliseconds at the end.
    pub jitter_ms: f64,
    /// How often the source changed or restarted.
    pub source_changes: u32,
}

impl Reception {
    /// Counts a packet that arrived now.
    pub fn handle(&mut self, now: Instant, header: &Header) {
        let sequence = header.sequence.value();
        match &mut self.source {
            Some(source) if source.ssrc == header.ssrc => {
                if source.update_sequence(sequence) {
                    source.update_jitter(now, header);
                } else if source.bad != Some(sequence.wrapping_add(1)) {
                    self.restart(now, header);
                }
            }
            Some(_) | None => self.restart(now, header),
        }
    }

    /// The block for the next report about this source, and the start of the next interval; `None` before
    /// the first packet. The caller fills in `last_report` and `delay` from the other side's last SR.
    pub fn report(&mut self) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        let expected = source.expected();
        let expected_interval = expected.wrapping_sub(source.expected_prior);
        let received_interval = source.received.wrapping_sub(source.received_prior);
        source.expected_prior = expected;
        source.received_prior = source.received;
        let lost_interval = expected_interval.saturating_sub(received_interval);
        let fraction =
            u64::from(lost_interval).wrapping_shl(8).checked_div(u64::from(expected_interval)).unwrap_or(0);
        let lost = i64::from(expected).wrapping_sub(i64::from(source.received));
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost.clamp(-0x80_0000, 0x7f_ffff)).unwrap_or(0),
            highest_sequence: source.cycles.wrapping_add(u32::from(source.max)),
            jitter: source.jitter_16 >> 4,
            last_report: 0,
            delay: 0,
        })
    }

    /// Totals so far.
    pub fn summary(&self) -> Summary {
        let (received, expected, jitter_16) = self.source.as_ref().map_or((0, 0, 0), |source| {
            (u64::from(source.received), u64::from(source.expected()), source.jitter_16)
        });
        let received = self.earlier_received.saturating_add(received);
        let expected = self.earlier_expected.saturating_add(expected);
        Summary {
            received,
            expected,
            lost: expected.saturating_sub(received),
            jitter_ms: f64::from(jitter_16 >> 4) * 1000.0 / f64::from(SAMPLE_RATE),
            source_changes: self.source_changes,
        }
    }

    fn restart(&mut self, now: Instant, header: &Header) {
        if let Some(old) = self.source.take() {
            self.earlier_received = self.earlier_received.saturating_add(u64::from(old.received));
            self.earlier_expected = self.earlier_expected.saturating_add(u64::from(old.expected()));
            self.source_changes = self.source_changes.saturating_add(1);
        }
        let sequence = header.sequence.value();
        let mut source = Source {
            ssrc: header.ssrc,
            base: sequence,
            max: sequence,
            cycles: 0,
            bad: None,
            received: 1,
            expected_prior: 0,
            received_prior: 0,
            origin: now,
            last: None,
            jitter_16: 0,
        };
        source.update_jitter(now, header);
        self.source = Some(source);
    }
}

impl Source {
    /// A.1. False when the packet is not to be counted: the first after a jump, or, with `bad` met, a restart.
    fn update_sequence(&mut self, sequence: u16) -> bool {
        let ahead = sequence.wrapping_sub(self.max);
        if ahead < MAX_DROPOUT {
            if sequence < self.max {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.max = sequence;
            self.bad = None;
        } else if ahead <= 0_u16.wrapping_sub(MAX_MISORDER) {
            if self.bad == Some(sequence) {
                return false;
            }
            self.bad = Some(sequence.wrapping_add(1));
            return false;
        }
        self.received = self.received.wrapping_add(1);
        true
    }

    /// A.8, in integers. Packets that repeat a timestamp (telephone events) were not sent at that time, so they
    /// say nothing about jitter.
    fn update_jitter(&mut self, now: Instant, header: &Header) {
        if self.last.is_some_and(|(timestamp, _)| timestamp == header.timestamp) {
            return;
        }
        let arrival = clock_units(now.saturating_duration_since(self.origin));
        let transit = arrival.wrapping_sub(header.timestamp.value()).cast_signed();
        if let Some((_, before)) = self.last.replace((header.timestamp, transit)) {
            let change = transit.wrapping_sub(before).unsigned_abs();
            // A timestamp set anew is no jitter.
            if change < JITTER_STEP_MAX {
                let decay = self.jitter_16.saturating_add(8) >> 4;
                self.jitter_16 = self.jitter_16.saturating_add(change).saturating_sub(decay);
            }
        }
    }

    fn expected(&self) -> u32 {
        self.cycles.wrapping_add(u32::from(self.max)).wrapping_sub(u32::from(self.base)).wrapping_add(1)
    }
}

/// A duration in units of the 8 kHz clock; it wraps as timestamps do.
fn clock_units(duration: Duration) -> u32 {
    let units = duration.as_micros().wrapping_mul(u128::from(SAMPLE_RATE)) / 1_000_000;
    (units & u128::from(u32::MAX)) as u32
}

/// A.1: a larger step forward is a restart, not loss.
const MAX_DROPOUT: u16 = 3000;
/// A.1: a packet so far back is late, not a restart.
const MAX_MISORDER: u16 = 100;
/// Ten seconds.
const JITTER_STEP_MAX: u32 = 10 * SAMPLE_RATE;
