//! Two legs bridged: what one peer says, the other hears, on one unbroken line.

use std::time::Duration;

use rtp_proto::{
    dtmf::{Digit as Key, EventPayload},
    frames::Audio,
    g711::{Law, alaw_to_ulaw, ulaw_to_alaw},
    rtp::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc},
};
use tokio::{
    sync::mpsc::{Receiver, channel},
    task::block_in_place,
    time::timeout,
};
use vestibule::media::{
    CommandError, DigitSource, Direction, Leg, Media, MediaEvent, MediaSettings, OpenLeg, Remote, Sound,
};
use vestibule_routing::{digit::Digit, journey::PlaybackId};

use super::{
    EVENT, closed, digits, engine, next, open,
    peer::{Heard, Peer},
    settings, until,
};

/// The payload type for telephone events of the second side.
const OTHER_EVENT: PayloadType = match PayloadType::new(96) {
    Some(payload_type) => payload_type,
    None => PayloadType::PCMU,
};

/// One side of a bridge: a leg, what it tells, and who is at its far end.
struct Side {
    leg: Leg,
    events: Receiver<MediaEvent>,
    peer: Peer,
    remote: Remote,
}

impl Side {
    /// Agreed and latched.
    async fn new((leg, events): (Leg, Receiver<MediaEvent>), remote: Remote) -> Self {
        let mut peer = Peer::new(leg.local_addr());
        peer.header.payload_type = remote.payload_type;
        let remote = Remote { address: peer.addr(), ..remote };
        leg.set_remote(remote).expect("taken");
        let mut side = Self { leg, events, peer, remote };
        block_in_place(|| side.peer.talk(4));
        until(&mut side.events, |event| matches!(event, MediaEvent::Latched { .. })).await;
        // The last of the packets may still wait for the leg's slot.
        settle();
        side
    }

    /// Says so many packets of one byte, one every few milliseconds.
    fn say(&mut self, byte: u8, packets: usize) {
        for _ in 0..packets {
            self.peer.send(self.remote.payload_type, &[byte; 160]);
            block_in_place(|| std::thread::sleep(Duration::from_millis(3)));
        }
    }

    fn set(&self, remote: Remote) {
        self.leg.set_remote(remote).expect("taken");
        settle();
    }

    /// All packets until it is quiet.
    fn hear_all(&self) -> Vec<Heard> {
        block_in_place(|| self.peer.hear_many(10_000))
    }
}

/// Until the media thread has surely taken what it was told.
fn settle() {
    block_in_place(|| std::thread::sleep(Duration::from_millis(60)));
}

/// Any address; the side puts its own.
fn remote(law: Law) -> Remote {
    Remote::new("127.0.0.1:9".parse().expect("an address"), law)
}

async fn sides(media: &Media, one: Remote, other: Remote) -> (Side, Side) {
    let one = Side::new(open(media), one).await;
    let (events, receiver) = channel(64);
    let leg = media.open_beside(&one.leg, OpenLeg { events }).expect("a leg");
    let other = Side::new((leg, receiver), other).await;
    (one, other)
}

async fn bridged(media: &Media, one: Remote, other: Remote) -> (Side, Side) {
    let (one, other) = sides(media, one, other).await;
    one.leg.bridge(&other.leg).expect("taken");
    settle();
    (one, other)
}

/// Steps of sequence number and timestamp between each packet and the next, and the latter's marker.
fn steps(heard: &[Heard]) -> Vec<(i16, i32, bool)> {
    heard
        .windows(2)
        .map(|pair| {
            let (before, after) = (&pair[0].header, &pair[1].header);
            assert_eq!(after.ssrc, before.ssrc, "one line has one source");
            let sequence = after.sequence.since(before.sequence);
            (sequence, after.timestamp.since(before.timestamp), after.marker)
        })
        .collect()
}

fn says(heard: &[Heard], byte: u8) -> usize {
    heard.iter().filter(|packet| packet.payload.iter().all(|&heard| heard == byte)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hears_the_other_bit_for_bit_with_the_legs_own_numbers() {
    let media = engine(settings(47_000));
    let (mut one, mut other) = bridged(&media, remote(Law::Mu), remote(Law::Mu)).await;
    other.peer.header.ssrc = Ssrc::new(0xfeed);
    let payload = |at: usize| -> Vec<u8> { (0..160).map(|place| (place * 7 + at * 31) as u8).collect() };
    for at in 0..40 {
        one.peer.send(PayloadType::PCMU, &payload(at));
        other.peer.send(PayloadType::PCMU, &payload(at + 100));
        block_in_place(|| std::thread::sleep(Duration::from_millis(3)));
    }
    for (side, source, offset) in [(&one, 0xfeed, 100), (&other, 0x5eed, 0)] {
        let heard = side.hear_all();
        assert_eq!(heard.len(), 40);
        for (at, packet) in heard.iter().enumerate() {
            assert_eq!(packet.payload, payload(at + offset));
        }
        assert_eq!(heard[0].header.payload_type, PayloadType::PCMU);
        assert!(heard[0].header.marker);
        assert_ne!(heard[0].header.ssrc, Ssrc::new(source), "a leg speaks with its own voice");
        assert_eq!(steps(&heard), [(1, 160, false); 39]);
    }
    assert_eq!(media.snapshot().sum(|thread| thread.relayed), 80);
    drop(one.leg);
    let stats = closed(one.events).await;
    assert_eq!((stats.sent, stats.received, stats.lost), (40, 42, 0), "two of four were its probation");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_law_is_told_by_table_and_any_packet_time_passes() {
    let media = engine(settings(47_200));
    let (mut one, mut other) = bridged(&media, remote(Law::Mu), remote(Law::A)).await;
    let all: Vec<u8> = (0..=255).collect();
    for length in [256, 80, 240] {
        one.peer.send(PayloadType::PCMU, &all[..length]);
        other.peer.send(PayloadType::PCMA, &all[..length]);
        block_in_place(|| std::thread::sleep(Duration::from_millis(5)));
    }
    let in_a = |byte: &u8| ulaw_to_alaw(*byte);
    let in_mu = |byte: &u8| alaw_to_ulaw(*byte);
    let (to_other, to_one) = (other.hear_all(), one.hear_all());
    assert_eq!((to_other.len(), to_one.len()), (3, 3));
    for (at, length) in [256, 80, 240].into_iter().enumerate() {
        assert_eq!(to_other[at].payload, all[..length].iter().map(in_a).collect::<Vec<_>>());
        assert_eq!(to_one[at].payload, all[..length].iter().map(in_mu).collect::<Vec<_>>());
        assert_eq!(to_other[at].header.payload_type, PayloadType::PCMA);
        assert_eq!(to_one[at].header.payload_type, PayloadType::PCMU);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn music_stands_in_for_the_partner_and_the_line_never_breaks() {
    let media = engine(settings(47_400));
    let (one, mut other) = sides(&media, remote(Law::Mu), remote(Law::Mu)).await;
    let music = || vec![Sound::Audio(Audio::encode(&[8000; 160]))];
    let (voice, note) = (0x11, Law::Mu.encode(8000));
    other.leg.play(PlaybackId(1), music(), true, 0).expect("taken");
    settle();
    one.leg.bridge(&other.leg).expect("taken");
    let mut talker = one.peer;
    let talking = std::thread::spawn(move || {
        for _ in 0..60 {
            talker.send(PayloadType::PCMU, &[voice; 160]);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let pause = || block_in_place(|| std::thread::sleep(Duration::from_millis(300)));
    pause();
    other.leg.stop_playback().expect("taken");
    pause();
    other.leg.play(PlaybackId(2), music(), true, 0).expect("taken");
    pause();
    other.leg.stop_playback().expect("taken");
    block_in_place(|| talking.join()).expect("said");
    for id in [1, 2] {
        let stopped = next(&mut other.events).await;
        assert!(matches!(stopped, Some(MediaEvent::PlaybackStopped { id: PlaybackId(at), .. }) if at == id));
    }
    let heard = other.hear_all();
    let mut speakers = Vec::new();
    for packet in &heard {
        let speaker = packet.payload[0];
        assert!(speaker == voice || speaker == note, "{speaker:x}");
        let changed = speakers.last() != Some(&speaker);
        assert_eq!(packet.header.marker, changed, "a marker with each change and nowhere else");
        if changed {
            speakers.push(speaker);
        }
    }
    assert_eq!(speakers, [note, voice, note, voice]);
    for (sequence, timestamp, _) in steps(&heard) {
        assert_eq!(sequence, 1);
        assert!(timestamp >= 160, "{timestamp}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_packets_of_the_source_show_and_another_source_does_not() {
    let media = engine(settings(47_600));
    let (mut one, other) = bridged(&media, remote(Law::Mu), remote(Law::Mu)).await;
    one.say(1, 5);
    let header = &mut one.peer.header;
    header.sequence = SequenceNumber::new(header.sequence.value().wrapping_add(3));
    header.timestamp = header.timestamp.advanced(480);
    one.say(2, 5);
    let header = &mut one.peer.header;
    header.ssrc = Ssrc::new(77);
    header.sequence = SequenceNumber::new(header.sequence.value().wrapping_add(30_000));
    header.timestamp = RtpTimestamp::new(header.timestamp.value().wrapping_sub(123_456));
    one.say(3, 5);
    let heard = other.hear_all();
    assert_eq!([says(&heard, 1), says(&heard, 2), says(&heard, 3)], [5, 5, 5]);
    let steps = steps(&heard);
    for (at, step) in steps.iter().enumerate() {
        match at {
            4 => assert_eq!(*step, (4, 640, false), "three are missing"),
            9 => assert!(step.0 == 1 && (160..8000).contains(&step.1) && step.2, "{step:?}"),
            _ => assert_eq!(*step, (1, 160, false)),
        }
    }
    drop(one.leg);
    assert_eq!(closed(one.events).await.lost, 3);
    drop(other.leg);
    assert_eq!(closed(other.events).await.lost, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_pass_as_events_of_the_partners_payload_type_and_are_told() {
    let media = engine(settings(47_800));
    let other = Remote { telephone_event: Some(OTHER_EVENT), ..remote(Law::A) };
    let (mut one, mut other) = bridged(&media, remote(Law::Mu), other).await;
    one.say(1, 2);
    block_in_place(|| one.peer.press(EVENT, Key::Six, 4, 3));
    one.say(1, 2);
    let heard = other.hear_all();
    let events: Vec<_> =
        heard.iter().filter(|packet| packet.header.payload_type == OTHER_EVENT).cloned().collect();
    assert_eq!((heard.len(), events.len()), (11, 7));
    for (at, packet) in events.iter().enumerate() {
        let event = EventPayload::parse(&packet.payload).expect("an event");
        let at = u16::try_from(at).expect("small");
        assert_eq!((event.code, event.end), (6, at >= 4));
        assert_eq!(event.duration, at.clamp(1, 4) * 160, "untouched");
        assert_eq!(packet.header.marker, at == 0);
        assert_eq!(packet.header.timestamp, events[0].header.timestamp, "that of the start");
    }
    let steps = steps(&heard);
    assert!(steps.iter().all(|step| step.0 == 1));
    assert_eq!((steps[1].1, steps[8].1), (160, 7 * 160), "the source's own distances");
    assert_eq!(digits(&mut one.events).await, [('6', DigitSource::Rfc4733)]);
    assert_eq!(digits(&mut other.events).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_for_a_partner_without_events_are_only_told_and_leave_no_gap() {
    let media = engine(settings(48_000));
    let other = Remote { telephone_event: None, ..remote(Law::Mu) };
    let (mut one, other) = bridged(&media, remote(Law::Mu), other).await;
    one.say(1, 3);
    block_in_place(|| one.peer.press(EVENT, Key::Star, 4, 3));
    one.say(1, 3);
    let heard = other.hear_all();
    assert_eq!((heard.len(), says(&heard, 1)), (6, 6));
    assert!(steps(&heard).iter().all(|step| step.0 == 1));
    assert_eq!(steps(&heard)[2].1, 8 * 160, "time passed");
    assert_eq!(digits(&mut one.events).await, [('*', DigitSource::Rfc4733)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digit_of_our_own_takes_the_place_of_the_relay_and_of_a_playback() {
    let media = engine(settings(48_200));
    let other = Remote { telephone_event: Some(OTHER_EVENT), ..remote(Law::Mu) };
    let (mut one, other) = bridged(&media, remote(Law::Mu), other).await;
    let key = |key| Digit::from_char(key).expect("a key");
    one.say(1, 3);
    other.leg.send_digit(key('5'), Duration::from_millis(500)).expect("taken");
    settle();
    one.say(2, 3);
    block_in_place(|| std::thread::sleep(Duration::from_millis(800)));
    one.say(3, 3);
    other.leg.play(PlaybackId(1), vec![Sound::Silence { samples: 1600 }], false, 0).expect("taken");
    other.leg.send_digit(key('#'), Duration::ZERO).expect("taken");
    let heard = other.hear_all();
    assert_eq!([says(&heard, 1), says(&heard, 2), says(&heard, 3)], [3, 0, 3]);
    for (code, duration) in [(5, 4000), (11, 320)] {
        let events: Vec<_> = heard
            .iter()
            .filter(|packet| packet.header.payload_type == OTHER_EVENT)
            .map(|packet| (packet.header, EventPayload::parse(&packet.payload).expect("an event")))
            .filter(|(_, event)| event.code == code)
            .collect();
        assert!(events.iter().all(|(header, _)| header.timestamp == events[0].0.timestamp));
        assert!(events.iter().enumerate().all(|(at, (header, _))| header.marker == (at == 0)));
        let ends: Vec<_> = events.iter().filter(|(_, event)| event.end).collect();
        assert_eq!(ends.len(), 3, "{events:?}");
        assert!(ends.iter().all(|(_, event)| event.duration >= duration));
    }
    assert!(steps(&heard).iter().all(|step| step.0 == 1 && step.1 >= 0), "{:?}", steps(&heard));
    let quiet = Remote { telephone_event: None, ..other.remote };
    other.set(quiet);
    other.leg.send_digit(key('1'), Duration::from_millis(100)).expect("taken");
    assert_eq!(other.hear_all().len(), 0);
    let snapshot = media.snapshot();
    assert_eq!(snapshot.sum(|thread| thread.digits_sent), 2);
    assert_eq!(snapshot.sum(|thread| thread.digits_unsent), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_outlives_its_partner_and_may_be_bridged_again() {
    let media = engine(settings(48_400));
    let (mut one, mut other) = bridged(&media, remote(Law::Mu), remote(Law::Mu)).await;
    one.say(1, 2);
    other.say(2, 3);
    assert_eq!((one.hear_all().len(), other.hear_all().len()), (3, 2));
    drop(other.leg);
    closed(other.events).await;
    one.say(1, 3);
    assert!(one.events.try_recv().is_err(), "nothing happened to it");
    one.leg.play(PlaybackId(1), vec![Sound::Audio(Audio::encode(&[8000; 480]))], false, 0).expect("taken");
    let music = one.hear_all();
    assert_eq!(music.len(), 3);
    assert!(music[0].header.marker);
    let (events, receiver) = channel(64);
    let leg = media.open_beside(&one.leg, OpenLeg { events }).expect("a leg");
    let mut third = Side::new((leg, receiver), remote(Law::A)).await;
    third.leg.bridge(&one.leg).expect("taken");
    settle();
    third.say(0xd5, 3);
    one.say(4, 3);
    let heard = one.hear_all();
    assert_eq!(says(&heard, alaw_to_ulaw(0xd5)), 3);
    assert_eq!(heard[0].header.sequence, music[2].header.sequence.next());
    assert!(heard[0].header.timestamp.since(music[2].header.timestamp) >= 160);
    assert_eq!(third.hear_all().len(), 3);
    one.leg.unbridge().expect("taken");
    settle();
    one.say(5, 3);
    third.say(5, 3);
    assert_eq!((one.hear_all().len(), third.hear_all().len()), (0, 0));
    drop(third.leg);
    assert_eq!(closed(third.events).await.received, 2 + 3 + 3, "it went on listening");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_bridge_takes_a_leg_out_of_its_last_one() {
    let media = engine(settings(48_600));
    let (mut one, mut other) = bridged(&media, remote(Law::Mu), remote(Law::Mu)).await;
    let (events, receiver) = channel(64);
    let leg = media.open_beside(&one.leg, OpenLeg { events }).expect("a leg");
    let third = Side::new((leg, receiver), remote(Law::Mu)).await;
    one.leg.bridge(&third.leg).expect("taken");
    settle();
    one.say(1, 3);
    other.say(2, 3);
    assert_eq!((one.hear_all().len(), other.hear_all().len(), third.hear_all().len()), (0, 0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_legs_direction_is_honoured() {
    let media = engine(settings(48_800));
    let (mut one, mut other) = bridged(&media, remote(Law::Mu), remote(Law::Mu)).await;
    one.say(1, 3);
    assert_eq!(other.hear_all().len(), 3);
    let cases = [
        // Direction of the second leg; whether its peer hears, whether the first one does.
        (Direction::ReceiveOnly, 0, 3),
        (Direction::SendOnly, 3, 0),
        (Direction::Inactive, 0, 0),
        (Direction::SendReceive, 3, 3),
    ];
    let mut last = None;
    for (direction, to_other, to_one) in cases {
        other.set(Remote { direction, ..other.remote });
        one.say(2, 3);
        other.say(3, 3);
        let heard = other.hear_all();
        assert_eq!((heard.len(), one.hear_all().len()), (to_other, to_one), "{direction:?}");
        if let (Some(last), Some(first)) = (last, heard.first()) {
            assert_eq!(first.header.sequence, SequenceNumber::next(last), "what was held back is no loss");
            assert!(first.header.marker);
        }
        last = heard.last().map(|packet| packet.header.sequence).or(last);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_leg_watches_its_own_silence() {
    let media = engine(MediaSettings { silence: Duration::from_millis(900), ..settings(49_000) });
    let (mut one, mut other) = bridged(&media, remote(Law::Mu), remote(Law::Mu)).await;
    let mut talker = one.peer;
    let talking = std::thread::spawn(move || {
        for _ in 0..70 {
            talker.send(PayloadType::PCMU, &[1; 160]);
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(next(&mut other.events).await, Some(MediaEvent::Inactive { heard_before: true }));
    block_in_place(|| talking.join()).expect("said");
    assert!(timeout(Duration::from_millis(10), one.events.recv()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_legs_beside_each_other_are_bridged() {
    let media = engine(MediaSettings { threads: 2, ..settings(49_200) });
    let (one, _one_events) = open(&media);
    let (apart, _apart_events) = open(&media);
    assert_eq!(one.bridge(&apart), Err(CommandError::Apart));
    assert_eq!(one.bridge(&one), Err(CommandError::Apart));
    let beside = media.open_beside(&one, OpenLeg { events: channel(1).0 }).expect("a leg");
    assert_eq!(one.bridge(&beside), Ok(()));
}
