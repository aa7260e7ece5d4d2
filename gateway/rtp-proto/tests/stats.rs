//! Reception statistics against RFC 3550 §6.4.1 and appendices A.1, A.3 and A.8.

use std::time::{Duration, Instant};

use rtp_proto::{
    rtp::{Header, PayloadType, RtpTimestamp, SequenceNumber, Ssrc},
    stats::Reception,
};

/// A receiver and the arrival of its packets, 20 ms apart unless said otherwise.
struct Line {
    start: Instant,
    reception: Reception,
}

impl Line {
    fn new() -> Self {
        Self { start: Instant::now(), reception: Reception::default() }
    }

    /// A packet with the timestamp of its place, that arrives so much later than it should.
    fn arrive(&mut self, ssrc: u32, base: u16, place: u32, late_ms: u64) {
        let header = Header {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber::new(base.wrapping_add(place as u16)),
            timestamp: RtpTimestamp::new(u32::MAX - 500).advanced(place * 160),
            ssrc: Ssrc::new(ssrc),
        };
        let at = self.start + Duration::from_millis(u64::from(place) * 20 + late_ms);
        self.reception.handle(at, &header);
    }

    fn all(&mut self, base: u16, places: impl IntoIterator<Item = u32>) {
        places.into_iter().for_each(|place| self.arrive(1, base, place, 0));
    }
}

#[test]
fn nothing_received_is_nothing_to_report() {
    assert_eq!(Line::new().reception.report(), None);
}

#[test]
fn a_whole_stream_loses_nothing_and_wraps_into_the_next_cycle() {
    let mut line = Line::new();
    line.all(65_500, 0..100);
    let report = line.reception.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost, report.jitter), (0, 0, 0));
    assert_eq!(report.highest_sequence, 0x1_0000 + 63);
    assert_eq!(line.reception.summary().expected, 100);
}

#[test]
fn two_wraps_make_two_cycles() {
    let mut line = Line::new();
    line.all(0, 0..131_080);
    assert_eq!(line.reception.report().unwrap().highest_sequence, 131_079);
    assert_eq!((line.reception.summary().received, line.reception.summary().lost), (131_080, 0));
}

#[test]
fn loss_is_reported_for_the_interval_and_in_all() {
    let mut line = Line::new();
    line.all(65_530, (0..100).filter(|place| place % 4 != 1));
    let report = line.reception.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (64, 25));
    line.all(65_530, 100..200);
    let report = line.reception.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 25));
    assert_eq!(line.reception.summary().lost, 25);
}

#[test]
fn late_packets_make_up_for_their_loss_and_copies_bring_it_below_zero() {
    let mut line = Line::new();
    line.all(10, [0, 1, 3, 2, 4, 5]);
    assert_eq!(line.reception.report().unwrap().cumulative_lost, 0);
    line.all(10, [5, 5, 4]);
    let report = line.reception.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost), (0, -3));
    assert_eq!(line.reception.summary().lost, 0);
}

#[test]
fn reordering_over_the_wrap_is_no_second_cycle() {
    let mut line = Line::new();
    line.all(65_534, [0, 2, 1, 3]);
    assert_eq!(line.reception.report().unwrap().highest_sequence, 0x1_0001);
    assert_eq!(line.reception.summary().expected, 4);
}

#[test]
fn one_stray_packet_is_not_counted_and_two_in_a_row_are_a_restart() {
    let mut line = Line::new();
    line.all(100, 0..10);
    line.arrive(1, 20_000, 0, 0);
    line.all(100, 10..20);
    assert_eq!((line.reception.summary().expected, line.reception.summary().source_changes), (20, 0));
    line.all(30_000, 0..2);
    let summary = line.reception.summary();
    assert_eq!(summary.source_changes, 1);
    assert!(summary.expected < 30, "{summary:?}");
    assert_eq!(line.reception.report().unwrap().highest_sequence, 30_001);
}

#[test]
fn another_source_begins_another_count_and_the_totals_go_on() {
    let mut line = Line::new();
    line.all(0, (0..10).filter(|place| *place != 5));
    for place in 0..5 {
        line.arrive(2, 500, place, 0);
    }
    let report = line.reception.report().unwrap();
    assert_eq!((report.ssrc, report.cumulative_lost), (Ssrc::new(2), 0));
    let summary = line.reception.summary();
    assert_eq!((summary.received, summary.expected, summary.lost, summary.source_changes), (14, 15, 1, 1));
}

#[test]
fn jitter_is_that_of_the_algorithm_in_the_standard() {
    let mut line = Line::new();
    let late = [0, 5, 0, 12, 3, 3, 40, 0, 0, 1];
    let (mut expected, mut before) = (0_i64, 0_i64);
    for (place, late) in late.into_iter().enumerate() {
        line.arrive(1, 0, place as u32, late);
        let transit = i64::try_from(late).unwrap() * 8;
        if place > 0 {
            expected += (transit - before).abs() - ((expected + 8) >> 4);
        }
        before = transit;
    }
    assert_eq!(i64::from(line.reception.report().unwrap().jitter), expected >> 4);
    assert!(expected > 0);
}

#[test]
fn packets_that_repeat_a_timestamp_add_no_jitter() {
    let mut line = Line::new();
    line.all(0, 0..10);
    for at in 0..10_u64 {
        let header = Header {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber::new(10 + at as u16),
            timestamp: RtpTimestamp::new(u32::MAX - 500).advanced(1600),
            ssrc: Ssrc::new(1),
        };
        line.reception.handle(line.start + Duration::from_millis(200 + at * 20), &header);
    }
    assert_eq!(line.reception.report().unwrap().jitter, 0);
    assert_eq!(line.reception.summary().received, 20);
}
