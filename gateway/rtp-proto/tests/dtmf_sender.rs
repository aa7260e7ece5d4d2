//! Telephone events that we send, as RFC 4733 wants them.

use std::time::Instant;

use rtp_proto::{
    dtmf::{DIGITS_MAX, Digit, EventPacket, EventReceiver, EventSender},
    rtp::{RtpTimestamp, Ssrc},
};

/// What is sent in so many packet times; `None` where nothing is.
fn sent(sender: &mut EventSender, start: u32, step: u16, times: u32) -> Vec<Option<EventPacket>> {
    (0..times)
        .map(|at| sender.next(RtpTimestamp::new(start.wrapping_add(at * u32::from(step))), step))
        .collect()
}

#[test]
fn a_digit_is_updated_with_every_packet_time_and_ended_three_times() {
    let mut sender = EventSender::new();
    assert!(!sender.is_busy());
    assert!(sender.press(Digit::Seven, 800));
    let packets = sent(&mut sender, 1000, 160, 8);
    let told: Vec<_> = packets
        .iter()
        .flatten()
        .map(|packet| {
            let payload = packet.payload;
            (packet.marker, packet.timestamp.value(), payload.code, payload.duration, payload.end)
        })
        .collect();
    let update = |marker, duration, end| (marker, 1000, 7, duration, end);
    assert_eq!(
        told,
        [
            update(true, 160, false),
            update(false, 320, false),
            update(false, 480, false),
            update(false, 640, false),
            update(false, 800, true),
            update(false, 800, true),
            update(false, 800, true),
        ]
    );
    assert_eq!(packets[7], None);
    assert!(!sender.is_busy());
}

#[test]
fn digits_follow_each_other_with_a_pause_at_every_packet_time() {
    for step in [80, 160, 240, 480] {
        let mut sender = EventSender::new();
        let keys = [Digit::One, Digit::One, Digit::Pound];
        assert!(keys.into_iter().all(|digit| sender.press(digit, 400)));
        let start = u32::MAX - 500;
        let packets: Vec<_> = sent(&mut sender, start, step, 60);
        let mut receiver = EventReceiver::new();
        let mut heard = Vec::new();
        for packet in packets.iter().flatten() {
            let payload = packet.payload.to_bytes();
            receiver
                .handle(Instant::now(), Ssrc::new(1), packet.timestamp, &payload, |press| heard.push(press));
        }
        assert_eq!(heard.iter().map(|press| press.digit).collect::<Vec<_>>(), keys, "{step}");
        for pair in heard.windows(2) {
            let ended = pair[0].timestamp.advanced(pair[0].duration);
            assert!(pair[0].duration >= 400 && pair[1].timestamp.since(ended) >= 320, "{step}");
        }
        assert_eq!(packets.iter().flatten().filter(|packet| packet.marker).count(), 3);
    }
}

#[test]
fn time_that_was_lost_counts_as_held_and_the_waiting_list_has_an_end() {
    let mut sender = EventSender::new();
    let taken = (0..DIGITS_MAX + 5).filter(|_| sender.press(Digit::A, 800)).count();
    assert_eq!(taken, DIGITS_MAX);
    let first = sender.next(RtpTimestamp::new(0), 160).map(|packet| packet.payload.end);
    let late =
        sender.next(RtpTimestamp::new(1600), 160).map(|packet| (packet.payload.end, packet.payload.duration));
    assert_eq!((first, late), (Some(false), Some((true, 1760))));
    assert_eq!(sender.clear(), DIGITS_MAX);
    assert!(!sender.is_busy());
    assert_eq!(sender.next(RtpTimestamp::new(9000), 160), None);
}
