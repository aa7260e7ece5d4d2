//! What a relayed packet is called on the outgoing line.

#![expect(clippy::unwrap_used, reason = "a test fails where nothing comes")]

use std::time::{Duration, Instant};

use rtp_proto::{
    relay::{Content, Line, Rewrite, Rewritten},
    rtp::{Header, PayloadType, RtpTimestamp, SequenceNumber, Ssrc},
};

/// A source, a line, and the wall clock between them.
struct Relay {
    start: Instant,
    ms: u64,
    rewrite: Rewrite,
    line: Line,
    source: Header,
}

impl Relay {
    fn new() -> Self {
        let source = Header {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber::new(65_500),
            timestamp: RtpTimestamp::new(u32::MAX - 800),
            ssrc: Ssrc::new(1),
        };
        let line = Line {
            next: SequenceNumber::new(100),
            sent_until: RtpTimestamp::new(5000),
            clock: RtpTimestamp::new(5000),
        };
        Self { start: Instant::now(), ms: 0, rewrite: Rewrite::default(), line, source }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    fn wait(&mut self, ms: u32) {
        self.ms += u64::from(ms);
        self.line.clock = self.line.clock.advanced(ms * 8);
    }

    /// Lets the source go on without anything reaching us.
    fn lose(&mut self, packets: u16) {
        for _ in 0..packets {
            self.source.sequence = self.source.sequence.next();
            self.source.timestamp = self.source.timestamp.advanced(160);
            self.wait(20);
        }
    }

    fn pass(&mut self, header: &Header, content: Content) -> Option<Rewritten> {
        let out = self.rewrite.pass(self.now(), header, content, &self.line)?;
        if out.sequence.since(self.line.next) >= 0 {
            self.line.next = out.sequence.next();
        }
        let until = match content {
            Content::Audio => out.timestamp.advanced(160),
            Content::Event { duration } => out.timestamp.advanced(u32::from(duration)),
        };
        if until.since(self.line.sent_until) > 0 {
            self.line.sent_until = until;
        }
        Some(out)
    }

    /// The next packet of sound: sequence number, timestamp, marker.
    fn sound(&mut self) -> Option<(u16, u32, bool)> {
        let header = self.source;
        let out = self.pass(&header, Content::Audio);
        self.lose(1);
        self.source.marker = false;
        out.map(|out| (out.sequence.value(), out.timestamp.value(), out.marker))
    }

    fn event(&mut self, start: RtpTimestamp, duration: u16) -> (u16, u32, bool) {
        let header = Header { timestamp: start, ..self.source };
        let out = self.pass(&header, Content::Event { duration }).unwrap();
        self.source.sequence = self.source.sequence.next();
        self.wait(20);
        (out.sequence.value(), out.timestamp.value(), out.marker)
    }
}

#[test]
fn one_source_keeps_one_distance_over_both_wraps_and_its_losses_show() {
    let mut relay = Relay::new();
    assert_eq!(relay.sound(), Some((100, 5000, true)));
    for at in 1..200_u16 {
        assert_eq!(relay.sound(), Some((100 + at, 5000 + u32::from(at) * 160, false)));
    }
    relay.lose(7);
    assert_eq!(relay.sound(), Some((307, 5000 + 207 * 160, false)));
    // Eleven minutes: half of all sequence numbers, after which the first would seem to lie ahead.
    for _ in 0..40_000 {
        assert!(relay.sound().is_some());
    }
}

#[test]
fn a_pause_with_a_running_clock_and_its_marker_come_through() {
    let mut relay = Relay::new();
    relay.sound();
    relay.source.timestamp = relay.source.timestamp.advanced(30 * 8000);
    relay.wait(30_000);
    relay.source.marker = true;
    assert_eq!(relay.sound(), Some((101, 5160 + 30 * 8000, true)));
}

#[test]
fn late_packets_keep_their_place_and_those_from_before_a_switch_are_dropped() {
    let mut relay = Relay::new();
    let before = relay.source;
    relay.lose(1);
    relay.sound();
    let late = relay.source;
    relay.lose(1);
    assert_eq!(relay.sound(), Some((102, 5160 + 320, false)));
    let out = relay.pass(&late, Content::Audio).unwrap();
    assert_eq!((out.sequence.value(), out.timestamp.value(), out.marker), (101, 5160 + 160, false));
    assert_eq!(relay.pass(&before, Content::Audio), None, "its number was used by somebody else");
    assert_eq!(relay.sound().unwrap().0, 103);
}

#[test]
fn after_something_else_was_sent_the_numbers_go_on_behind_it() {
    let mut relay = Relay::new();
    relay.sound();
    // Five packets of music, the last of which lasts until 12 ms from now.
    relay.lose(5);
    relay.rewrite.reset();
    relay.line.next = SequenceNumber::new(106);
    relay.line.sent_until = relay.line.clock.advanced(96);
    let until = relay.line.sent_until.value();
    assert_eq!(relay.sound(), Some((106, until, true)));
    assert_eq!(relay.sound(), Some((107, until + 160, false)));
    // After a second of nothing the line's clock decides.
    relay.rewrite.reset();
    relay.lose(50);
    let clock = relay.line.clock.value();
    assert_eq!(relay.sound(), Some((108, clock, true)));
}

#[test]
fn a_new_source_or_numbers_set_anew_do_not_show_but_for_a_marker() {
    let changes: [fn(&mut Header); 4] = [
        |source| source.ssrc = Ssrc::new(2),
        |source| source.sequence = SequenceNumber::new(source.sequence.value().wrapping_add(20_000)),
        |source| source.timestamp = source.timestamp.advanced(1_000_000_000),
        |source| source.timestamp = source.timestamp.advanced(3_000_000_000),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut relay = Relay::new();
        relay.sound();
        change(&mut relay.source);
        assert_eq!(relay.sound(), Some((101, 5160, true)), "change {at}");
        assert_eq!(relay.sound(), Some((102, 5320, false)), "change {at}");
    }
}

#[test]
fn a_burst_after_a_stall_of_the_network_keeps_its_times() {
    let mut relay = Relay::new();
    relay.sound();
    relay.wait(5000);
    for at in 1..50_u16 {
        let header = relay.source;
        let out = relay.pass(&header, Content::Audio).unwrap();
        assert_eq!((out.timestamp.value(), out.marker), (5000 + u32::from(at) * 160, false));
        relay.source.sequence = relay.source.sequence.next();
        relay.source.timestamp = relay.source.timestamp.advanced(160);
    }
}

#[test]
fn an_event_has_one_timestamp_and_one_marker_and_sound_goes_on_behind_it() {
    let mut relay = Relay::new();
    relay.sound();
    let start = relay.source.timestamp;
    for at in 0..5_u16 {
        assert_eq!(relay.event(start, (at + 1) * 160), (101 + at, 5160, at == 0));
    }
    relay.source.timestamp = start.advanced(800);
    assert_eq!(relay.sound(), Some((106, 5960, false)));
    // The second event loses its marked first packet.
    let start = relay.source.timestamp;
    relay.source.sequence = relay.source.sequence.next();
    assert_eq!(relay.event(start, 320), (108, 6120, true));
    assert_eq!(relay.event(start, 480), (109, 6120, false));
}

#[test]
fn a_further_segment_of_a_long_event_is_not_marked_as_a_new_one() {
    let mut relay = Relay::new();
    relay.sound();
    let start = relay.source.timestamp;
    assert!(relay.event(start, 65_000).2);
    assert!(!relay.event(start, u16::MAX).2);
    assert!(!relay.event(start.advanced(65_535), 160).2);
    assert!(relay.event(start.advanced(65_535 + 8000), 160).2);
}

#[test]
fn a_line_that_comes_in_amid_an_event_does_not_run_ahead_of_its_clock() {
    let mut relay = Relay::new();
    relay.lose(50);
    let clock = relay.line.clock.value();
    let start = RtpTimestamp::new(relay.source.timestamp.value().wrapping_sub(4000));
    assert_eq!(relay.event(start, 4000), (100, clock - 4000, true));
    assert_eq!(relay.sound(), Some((101, clock, false)));
    // Within what was already sent it may not begin.
    relay.rewrite.reset();
    relay.line.sent_until = relay.line.clock;
    let clock = relay.line.clock.value();
    let start = RtpTimestamp::new(relay.source.timestamp.value().wrapping_sub(4000));
    assert_eq!(relay.event(start, 4000).1, clock);
}

#[test]
fn what_is_withheld_leaves_no_gap_and_what_was_lost_does() {
    let mut relay = Relay::new();
    relay.sound();
    for _ in 0..3 {
        let header = relay.source;
        relay.rewrite.withhold(relay.now(), &header, Content::Audio);
        // A copy of it changes nothing more.
        relay.rewrite.withhold(relay.now(), &header, Content::Audio);
        relay.lose(1);
    }
    assert_eq!(relay.sound(), Some((101, 5000 + 4 * 160, false)));
    let lost = relay.source;
    relay.lose(1);
    let header = relay.source;
    relay.rewrite.withhold(relay.now(), &header, Content::Audio);
    relay.lose(1);
    assert_eq!(relay.sound().unwrap().0, 103, "one of the two was lost");
    assert_eq!(relay.pass(&lost, Content::Audio), None, "too late: it cannot be told from the other");
}
