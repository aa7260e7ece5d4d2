//! Telephone events (RFC 4733): each press is heard once, whatever is lost, repeated or late.

use std::time::{Duration, Instant};

use rtp_proto::{
    dtmf::{Digit, EventPayload, EventReceiver, GAP, KeyPress},
    rtp::{RtpTimestamp, Ssrc},
};

/// A receiver with its clock and what it heard.
struct Line {
    now: Instant,
    receiver: EventReceiver,
    heard: Vec<KeyPress>,
}

impl Line {
    fn new() -> Self {
        Self { now: Instant::now(), receiver: EventReceiver::new(), heard: Vec::new() }
    }

    fn packet(&mut self, start: u32, code: u8, duration: u16, end: bool) {
        let payload = EventPayload { code, end, volume: 10, duration }.to_bytes();
        self.now += Duration::from_millis(20);
        let heard = &mut self.heard;
        self.receiver
            .handle(self.now, Ssrc::new(1), RtpTimestamp::new(start), &payload, |press| heard.push(press));
    }

    /// A press as it is sent: updates every 20 ms, then three ends.
    fn press(&mut self, start: u32, code: u8) {
        for duration in [160, 320, 480] {
            self.packet(start, code, duration, false);
        }
        for _ in 0..3 {
            self.packet(start, code, 640, true);
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        let heard = &mut self.heard;
        self.receiver.handle_timeout(self.now, |press| heard.push(press));
    }

    fn digits(&self) -> String {
        self.heard.iter().map(|press| press.digit.as_char()).collect()
    }
}

#[test]
fn all_sixteen_keys_are_heard_once_and_other_events_never() {
    let mut line = Line::new();
    for code in 0..=255 {
        line.press(u32::from(code) * 2000, code);
    }
    line.wait(GAP);
    assert_eq!(line.digits(), "0123456789*#ABCD");
    assert!(line.heard.iter().all(|press| press.duration == 640));
}

#[test]
fn two_equal_digits_in_a_row_are_two() {
    let mut line = Line::new();
    line.press(1000, 5);
    line.press(2000, 5);
    assert_eq!(line.digits(), "55");
}

#[test]
fn a_press_of_which_only_one_packet_arrives_is_heard() {
    for (duration, end) in [(160, false), (640, true)] {
        let mut line = Line::new();
        line.packet(1000, 7, duration, end);
        line.wait(GAP);
        line.wait(GAP);
        assert_eq!(line.digits(), "7", "end bit {end}");
        assert!(!line.receiver.is_pressed());
    }
}

#[test]
fn a_press_whose_ends_are_lost_is_heard_when_the_next_begins_or_nothing_comes() {
    let mut line = Line::new();
    line.packet(1000, 1, 160, false);
    assert!(line.receiver.is_pressed() && line.heard.is_empty());
    line.packet(2000, 2, 160, false);
    assert_eq!(line.digits(), "1");
    line.wait(GAP - Duration::from_millis(1));
    assert_eq!(line.digits(), "1");
    line.wait(Duration::from_millis(1));
    assert_eq!((line.digits().as_str(), line.receiver.deadline()), ("12", None));
}

#[test]
fn an_end_that_follows_a_lost_press_tells_both() {
    let mut line = Line::new();
    line.packet(1000, 1, 160, false);
    line.packet(2000, 2, 640, true);
    assert_eq!(line.digits(), "12");
}

#[test]
fn late_copies_of_an_earlier_press_are_not_heard_again() {
    let mut line = Line::new();
    line.press(1000, 1);
    line.packet(2000, 2, 160, false);
    line.packet(1000, 1, 640, true);
    line.packet(2000, 2, 640, true);
    line.packet(2000, 2, 320, false);
    line.wait(GAP);
    assert_eq!(line.digits(), "12");
}

#[test]
fn updates_after_the_end_out_of_order_change_nothing() {
    let mut line = Line::new();
    line.packet(1000, 1, 640, true);
    for duration in [480, 160, 320] {
        line.packet(1000, 1, duration, false);
    }
    line.wait(GAP);
    assert_eq!(line.heard.len(), 1);
    assert_eq!(line.heard[0].duration, 640);
}

#[test]
fn a_press_of_half_a_minute_in_segments_is_one_with_its_whole_length() {
    let mut line = Line::new();
    let start = u32::MAX - 70_000;
    for segment in 0..4 {
        for duration in (160..65_000).step_by(4000) {
            line.packet(start.wrapping_add(segment * 65_535), 9, duration, false);
        }
    }
    line.packet(start.wrapping_add(3 * 65_535), 9, 65_000, true);
    assert_eq!(line.digits(), "9");
    assert_eq!(line.heard[0].duration, 3 * 65_535 + 65_000);
    assert_eq!(line.heard[0].timestamp, RtpTimestamp::new(start));
}

#[test]
fn another_source_begins_another_press_at_the_same_timestamp() {
    let mut line = Line::new();
    line.press(1000, 3);
    let payload = EventPayload { code: 3, end: true, volume: 0, duration: 640 }.to_bytes();
    let heard = &mut line.heard;
    line.receiver
        .handle(line.now, Ssrc::new(2), RtpTimestamp::new(1000), &payload, |press| heard.push(press));
    assert_eq!(line.digits(), "33");
}

#[test]
fn a_clock_of_another_rate_only_changes_the_units() {
    let mut line = Line::new();
    for duration in [960, 1920] {
        line.packet(48_000, 4, duration, false);
    }
    line.packet(48_000, 4, 4800, true);
    line.press(96_000, 4);
    assert_eq!(line.digits(), "44");
    assert_eq!(line.heard[0].duration, 4800);
}

#[test]
fn a_payload_is_read_as_it_was_written_and_its_reserved_bit_ignored() {
    for volume in [0, 10, 63] {
        let event = EventPayload { code: 11, end: true, volume, duration: 0xabcd };
        let mut bytes = event.to_bytes();
        assert_eq!(bytes, [11, 0x80 | volume, 0xab, 0xcd]);
        bytes[1] |= 0x40;
        assert_eq!(EventPayload::parse(&bytes), Some(event));
    }
    for len in 0..4 {
        assert_eq!(EventPayload::parse(&[0; 4][..len]), None);
    }
}

#[test]
fn keys_codes_and_characters_agree() {
    for (code, digit) in Digit::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(digit.event()), code);
        assert_eq!(Digit::from_event(digit.event()), Some(digit));
        assert_eq!(Digit::from_char(digit.as_char().to_ascii_lowercase()), Some(digit));
    }
    assert_eq!((Digit::from_event(16), Digit::from_char('E')), (None, None));
}
