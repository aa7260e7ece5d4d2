//! The media engine over real sockets on the loopback address, heard from the other side.

mod bridge;
pub(crate) mod peer;
mod recording;
mod secure;

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use peer::{Peer, assert_unbroken};
use rtp_proto::{
    dtmf::Digit as Key,
    frames::Audio,
    g711::Law,
    rtcp::{Packet as Rtcp, packets},
    rtp::PayloadType,
    tone,
};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, channel},
    task::block_in_place,
    time::timeout,
};
use vestibule::media::{
    DigitSource, Direction, Leg, LegStats, Media, MediaEvent, MediaSettings, OpenError, OpenLeg, Remote,
    Sound,
};
use vestibule_routing::{digit::Digit, journey::PlaybackId};

const EVENT: PayloadType = match PayloadType::new(101) {
    Some(payload_type) => payload_type,
    None => PayloadType::PCMU,
};

fn settings(first_port: u16) -> MediaSettings {
    MediaSettings { ports: first_port..=first_port + 199, ..MediaSettings::default() }
}

fn engine(settings: MediaSettings) -> Media {
    Media::start(settings, &Handle::current()).expect("the engine starts")
}

fn open(media: &Media) -> (Leg, Receiver<MediaEvent>) {
    let (events, receiver) = channel(64);
    (media.open(OpenLeg { events }).expect("a leg"), receiver)
}

/// A leg with its peer, agreed on mu-law with telephone events.
fn call(media: &Media) -> (Leg, Receiver<MediaEvent>, Peer) {
    let (leg, events) = open(media);
    let peer = Peer::new(leg.local_addr());
    leg.set_remote(Remote::new(peer.addr(), Law::Mu)).expect("taken");
    (leg, events, peer)
}

/// Audio in which every byte is told from its neighbours.
fn ramp(frames: usize) -> Audio {
    let samples: Vec<i16> = (0..frames * 160).map(|at| ((at * 37) % 30_000) as i16 - 15_000).collect();
    Audio::encode(&samples)
}

async fn next(events: &mut Receiver<MediaEvent>) -> Option<MediaEvent> {
    timeout(Duration::from_secs(3), events.recv()).await.ok().flatten()
}

async fn until(events: &mut Receiver<MediaEvent>, wanted: impl Fn(&MediaEvent) -> bool) -> MediaEvent {
    loop {
        let event = next(events).await.expect("the event comes");
        if wanted(&event) {
            return event;
        }
    }
}

/// The digits that come until nothing comes for a while.
async fn digits(events: &mut Receiver<MediaEvent>) -> Vec<(char, DigitSource)> {
    let mut heard = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_millis(500), events.recv()).await {
        if let MediaEvent::Digit { digit, source } = event {
            heard.push((digit.as_char(), source));
        }
    }
    heard
}

async fn closed(mut events: Receiver<MediaEvent>) -> LegStats {
    loop {
        if let MediaEvent::Closed { stats } = next(&mut events).await.expect("the leg closes") {
            return stats;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_heard_byte_for_byte_on_one_unbroken_line() {
    let media = engine(settings(42_000));
    let (leg, mut events, peer) = call(&media);
    let prompt = ramp(25);
    leg.play(PlaybackId(7), vec![Sound::Audio(prompt.clone())], false, 0).expect("taken");
    let heard = block_in_place(|| peer.hear_many(30));
    assert_eq!(heard.len(), 25, "nothing is sent after the prompt");
    assert_unbroken(&heard, 160);
    if media.snapshot().sum(|thread| thread.skipped_frames) == 0 {
        let bytes: Vec<u8> = heard.iter().flat_map(|packet| packet.payload.clone()).collect();
        assert_eq!(bytes, prompt.law(Law::Mu).to_vec());
    }
    let done = next(&mut events).await;
    assert_eq!(done, Some(MediaEvent::PlaybackDone { id: PlaybackId(7), frames_played: 25 }));

    // The second prompt goes on with the same line; its clock ran through the silence.
    let last = heard[24].header;
    leg.play(PlaybackId(8), vec![Sound::Audio(ramp(3))], false, 0).expect("taken");
    let again = block_in_place(|| peer.hear_many(3));
    assert_unbroken(&again, 160);
    assert_eq!(again[0].header.ssrc, last.ssrc);
    assert_eq!(again[0].header.sequence, last.sequence.next());
    assert!(again[0].header.timestamp.since(last.timestamp) >= 160 * 10, "400 ms of silence passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn sounds_follow_each_other_and_a_loop_goes_on_until_it_is_stopped() {
    let media = engine(settings(42_200));
    let (leg, mut events, peer) = call(&media);
    let (one, two) = (ramp(2), Audio::encode(&[8000; 160]));
    let sounds = vec![Sound::Audio(one.clone()), Sound::Silence { samples: 160 }, Sound::Audio(two.clone())];
    // Starting at the second frame of the first sound, as music that goes on where it was left.
    leg.play(PlaybackId(1), sounds, true, 160).expect("taken");
    let heard = block_in_place(|| peer.hear_many(9));
    assert_unbroken(&heard, 160);
    if media.snapshot().sum(|thread| thread.skipped_frames) == 0 {
        let frame = |index| one.frame(Law::Mu, index).expect("a frame").to_vec();
        let round = [frame(0), frame(1), vec![0xff; 160], two.law(Law::Mu).to_vec()];
        for (at, packet) in heard.iter().enumerate() {
            assert_eq!(packet.payload, round[(at + 1) % 4], "frame {at}");
        }
    }
    leg.stop_playback().expect("taken");
    let stopped = next(&mut events).await.expect("an event");
    let MediaEvent::PlaybackStopped { id, frames_played, position_samples } = stopped else {
        panic!("{stopped:?}")
    };
    assert_eq!(id, PlaybackId(1));
    assert!(frames_played >= 9);
    assert_eq!(position_samples, (frames_played + 1) % 4 * 160);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_playback_is_done_at_once_looped_or_not() {
    let media = engine(settings(42_400));
    let (leg, mut events, _peer) = call(&media);
    for (id, looped) in [(PlaybackId(1), false), (PlaybackId(2), true)] {
        leg.play(id, vec![Sound::Silence { samples: 0 }], looped, 99).expect("taken");
        assert_eq!(next(&mut events).await, Some(MediaEvent::PlaybackDone { id, frames_played: 0 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_one_digit_however_often_its_end_comes() {
    let media = engine(settings(42_600));
    let (_leg, mut events, mut peer) = call(&media);
    block_in_place(|| {
        peer.talk(4);
        peer.press(EVENT, Key::Five, 3, 3);
        // No end at all: heard after the gap.
        peer.press(EVENT, Key::Pound, 4, 0);
        std::thread::sleep(Duration::from_millis(200));
        // The same key twice is two digits.
        peer.press(EVENT, Key::One, 2, 1);
        peer.press(EVENT, Key::One, 2, 6);
    });
    let by_event = |key| (key, DigitSource::Rfc4733);
    assert_eq!(digits(&mut events).await, ['5', '#', '1', '1'].map(by_event));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_task_loses_nothing_hears_its_end_last_and_holds_up_nobody() {
    // Room for two legs, so that the seat of the first must come back.
    let media = engine(MediaSettings { ports: 46_400..=46_403, ..MediaSettings::default() });
    let (events, mut busy) = channel(1);
    let leg = media.open(OpenLeg { events }).expect("a leg");
    let mut peer = Peer::new(leg.local_addr());
    leg.set_remote(Remote::new(peer.addr(), Law::Mu)).expect("taken");
    let (_other, mut others, mut beside) = call(&media);
    leg.play(PlaybackId(1), vec![Sound::Audio(ramp(2))], false, 0).expect("taken");
    block_in_place(|| {
        peer.talk(3);
        Key::ALL.iter().chain(&Key::ALL).for_each(|&key| peer.press(EVENT, key, 1, 1));
        beside.talk(3);
        beside.press(EVENT, Key::Two, 1, 1);
    });
    assert_eq!(digits(&mut others).await, [('2', DigitSource::Rfc4733)]);
    drop(leg);
    block_in_place(|| std::thread::sleep(Duration::from_millis(60)));
    assert!(media.open(OpenLeg { events: channel(1).0 }).is_err(), "nobody took the end of the first leg");
    let mut heard = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::from_secs(3), busy.recv()).await {
        heard.push(event);
    }
    let keys: String = heard
        .iter()
        .filter_map(|event| match event {
            MediaEvent::Digit { digit, .. } => Some(digit.as_char()),
            _ => None,
        })
        .collect();
    assert_eq!(keys, "0123456789*#ABCD".repeat(2));
    assert!(heard.contains(&MediaEvent::PlaybackDone { id: PlaybackId(1), frames_played: 2 }));
    assert!(matches!(heard.last(), Some(MediaEvent::Closed { .. })));
    assert_eq!(media.snapshot().sum(|thread| thread.events_lost), 0);
    assert!(media.open(OpenLeg { events: channel(1).0 }).is_ok(), "its seat is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn tones_are_digits_only_when_telephone_events_were_not_agreed() {
    let media = engine(settings(42_800));
    let (leg, mut events, mut peer) = call(&media);
    let mut samples = vec![0; 800];
    samples.extend(tone::dtmf(Key::Nine, -10.0, 800));
    samples.extend(vec![0; 800]);
    let audio = Audio::encode(&samples);
    let say = |peer: &mut Peer| {
        block_in_place(|| {
            peer.talk(3);
            for at in 0..audio.frame_count() {
                peer.send(PayloadType::PCMU, audio.frame(Law::Mu, at).expect("a frame"));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
    };
    say(&mut peer);
    assert_eq!(digits(&mut events).await, []);
    let without = Remote { telephone_event: None, ..Remote::new(peer.addr(), Law::Mu) };
    leg.set_remote(without).expect("taken");
    std::thread::sleep(Duration::from_millis(40));
    say(&mut peer);
    assert_eq!(digits(&mut events).await, [('9', DigitSource::Inband)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_source_is_learnt_and_strangers_are_not_heard() {
    let media = engine(settings(43_000));
    let (leg, mut events) = open(&media);
    // SDP names a private address that never sends: the caller is behind a translator.
    let named = Peer::new(leg.local_addr());
    let mut real = Peer::new(leg.local_addr());
    let mut stranger = Peer::new(leg.local_addr());
    stranger.header.ssrc = rtp_proto::rtp::Ssrc::new(0xbad);
    leg.set_remote(Remote::new(named.addr(), Law::Mu)).expect("taken");
    leg.play(PlaybackId(1), vec![Sound::Audio(ramp(10))], true, 0).expect("taken");
    assert_eq!(block_in_place(|| named.hear_many(2)).len(), 2, "before learning, SDP decides");
    block_in_place(|| real.talk(5));
    assert_eq!(next(&mut events).await, Some(MediaEvent::Latched { source: real.addr() }));
    assert!(block_in_place(|| real.hear()).is_some(), "sound goes to where packets come from");
    block_in_place(|| {
        stranger.talk(10);
        stranger.press(EVENT, Key::Zero, 2, 3);
        real.press(EVENT, Key::Two, 2, 3);
    });
    assert_eq!(digits(&mut events).await, [('2', DigitSource::Rfc4733)]);
    assert!(block_in_place(|| stranger.hear()).is_none(), "a stranger is never answered");

    // A new offer names another address: learning opens, and the stranger's packets still are not sound.
    let mut moved = Peer::new(leg.local_addr());
    moved.header.ssrc = rtp_proto::rtp::Ssrc::new(0xcafe);
    leg.set_remote(Remote::new(moved.addr(), Law::Mu)).expect("taken");
    std::thread::sleep(Duration::from_millis(60));
    block_in_place(|| moved.talk(6));
    let latched = until(&mut events, |event| matches!(event, MediaEvent::Latched { .. })).await;
    assert_eq!(latched, MediaEvent::Latched { source: moved.addr() });
    assert!(block_in_place(|| moved.hear()).is_some());
    drop(leg);
    let stats = closed(events).await;
    assert!(stats.received >= 9, "both sources are in one count: {stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_of_the_caller_is_told_once_and_not_while_held() {
    let media = engine(MediaSettings {
        never_heard: Duration::from_millis(200),
        silence: Duration::from_millis(300),
        ..settings(43_200)
    });
    let (leg, mut events, mut peer) = call(&media);
    assert_eq!(next(&mut events).await, Some(MediaEvent::Inactive { heard_before: false }));
    block_in_place(|| peer.talk(4));
    until(&mut events, |event| matches!(event, MediaEvent::Latched { .. })).await;
    assert_eq!(next(&mut events).await, Some(MediaEvent::Active));
    assert_eq!(next(&mut events).await, Some(MediaEvent::Inactive { heard_before: true }));
    let held = Remote { direction: Direction::SendOnly, ..Remote::new(peer.addr(), Law::Mu) };
    block_in_place(|| peer.talk(1));
    assert_eq!(next(&mut events).await, Some(MediaEvent::Active));
    leg.set_remote(held).expect("taken");
    assert!(timeout(Duration::from_millis(700), events.recv()).await.is_err(), "held callers may be silent");
    leg.set_remote(Remote::new(peer.addr(), Law::Mu)).expect("taken");
    assert_eq!(next(&mut events).await, Some(MediaEvent::Inactive { heard_before: true }));
    assert_eq!(media.snapshot().sum(|thread| thread.inactive), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_caller_who_holds_us_and_sound_comes_back() {
    let media = engine(settings(43_400));
    let (leg, mut events, peer) = call(&media);
    leg.set_remote(Remote { direction: Direction::ReceiveOnly, ..Remote::new(peer.addr(), Law::Mu) })
        .expect("taken");
    leg.play(PlaybackId(1), vec![Sound::Audio(ramp(5))], false, 0).expect("taken");
    assert!(block_in_place(|| peer.hear()).is_none());
    let done = next(&mut events).await;
    assert_eq!(done, Some(MediaEvent::PlaybackDone { id: PlaybackId(1), frames_played: 5 }));
    leg.set_remote(Remote::new(peer.addr(), Law::Mu)).expect("taken");
    leg.play(PlaybackId(2), vec![Sound::Audio(ramp(5))], false, 0).expect("taken");
    assert_unbroken(&block_in_place(|| peer.hear_many(5)), 160);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_packet_time_and_both_laws_are_honoured() {
    let media = engine(settings(43_600));
    for (law, ptime_ms) in [(Law::A, 20), (Law::Mu, 40), (Law::A, 10), (Law::Mu, 30), (Law::Mu, 60)] {
        let (leg, _events) = open(&media);
        let peer = Peer::new(leg.local_addr());
        leg.set_remote(Remote { ptime_ms, ..Remote::new(peer.addr(), law) }).expect("taken");
        let prompt = ramp(30);
        let skipped = media.snapshot().sum(|thread| thread.skipped_frames);
        leg.play(PlaybackId(1), vec![Sound::Audio(prompt.clone())], false, 0).expect("taken");
        let heard = block_in_place(|| peer.hear_many(100));
        let samples = usize::from(ptime_ms) * 8;
        assert_unbroken(&heard, u32::try_from(samples).expect("small"));
        assert!(heard.iter().all(|packet| packet.payload.len() == samples));
        let payload_type = if law == Law::A { PayloadType::PCMA } else { PayloadType::PCMU };
        assert!(heard.iter().all(|packet| packet.header.payload_type == payload_type));
        if media.snapshot().sum(|thread| thread.skipped_frames) == skipped {
            let bytes: Vec<u8> = heard.iter().flat_map(|packet| packet.payload.clone()).collect();
            assert_eq!(bytes, prompt.law(law).to_vec(), "{law:?} at {ptime_ms} ms");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_and_the_goodbye_are_sent_on_the_port_above_or_the_same_one() {
    let media = engine(settings(43_800));
    for rtcp_mux in [false, true] {
        let (leg, events) = open(&media);
        let peer = Peer::new(leg.local_addr());
        let control = Peer::new(leg.local_addr());
        let remote = Remote {
            rtcp_mux,
            rtcp_address: (!rtcp_mux).then(|| control.addr()),
            ..Remote::new(peer.addr(), Law::Mu)
        };
        leg.set_remote(remote).expect("taken");
        leg.play(PlaybackId(1), vec![Sound::Audio(ramp(3))], false, 0).expect("taken");
        let heard = block_in_place(|| peer.hear_many(3));
        let listener = if rtcp_mux { &peer } else { &control };
        if !rtcp_mux {
            // A port of its own is opened when the first report is due, half an interval after the start.
            let report = block_in_place(|| listener.hear_rtcp(Duration::from_secs(5))).expect("a report");
            let kinds: Vec<_> = packets(&report).map(|packet| packet.expect("well formed")).collect();
            let [Rtcp::SenderReport { ssrc, info, .. }, Rtcp::SourceDescription { .. }] = kinds[..] else {
                panic!("{kinds:?}")
            };
            assert_eq!((ssrc, info.packet_count, info.octet_count), (heard[0].header.ssrc, 3, 480));
        }
        drop(leg);
        let datagram = block_in_place(|| listener.hear_rtcp(Duration::from_secs(2))).expect("a goodbye");
        let kinds: Vec<_> = packets(&datagram).map(|packet| packet.expect("well formed")).collect();
        if !rtcp_mux {
            // Nothing was sent since the report.
            let [Rtcp::ReceiverReport { ssrc, .. }, Rtcp::SourceDescription { .. }, Rtcp::Bye { ssrcs }] =
                kinds[..]
            else {
                panic!("{kinds:?}")
            };
            assert_eq!((ssrc, ssrcs), (heard[0].header.ssrc, &ssrc.value().to_be_bytes()[..]));
            assert_eq!(closed(events).await.sent, 3);
            continue;
        }
        let [Rtcp::SenderReport { ssrc, info, .. }, Rtcp::SourceDescription { cname }, Rtcp::Bye { ssrcs }] =
            kinds[..]
        else {
            panic!("{kinds:?}")
        };
        assert_eq!(ssrc, heard[0].header.ssrc);
        assert_eq!((info.packet_count, info.octet_count), (3, 480));
        assert!(info.rtp.since(heard[2].header.timestamp) >= 0);
        assert_eq!(cname.len(), 24);
        assert_eq!(ssrcs, ssrc.value().to_be_bytes());
        assert_eq!(closed(events).await.sent, 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_on_ipv6_plays_and_hears() {
    let media = engine(MediaSettings { local_ip: IpAddr::V6(Ipv6Addr::LOCALHOST), ..settings(44_000) });
    let (leg, mut events, mut peer) = call(&media);
    assert!(peer.ip().is_ipv6());
    leg.play(PlaybackId(1), vec![Sound::Audio(ramp(4))], false, 0).expect("taken");
    assert_unbroken(&block_in_place(|| peer.hear_many(4)), 160);
    block_in_place(|| {
        peer.talk(3);
        peer.press(EVENT, Key::Star, 2, 3);
    });
    assert_eq!(digits(&mut events).await, [('*', DigitSource::Rfc4733)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_not_there_does_not_end_the_leg() {
    let media = engine(settings(44_200));
    let (leg, mut events, mut peer) = call(&media);
    block_in_place(|| peer.talk(4));
    until(&mut events, |event| matches!(event, MediaEvent::Latched { .. })).await;
    let address = peer.addr();
    drop(peer);
    leg.play(PlaybackId(1), vec![Sound::Audio(ramp(10))], false, 0).expect("taken");
    let done = next(&mut events).await;
    assert_eq!(done, Some(MediaEvent::PlaybackDone { id: PlaybackId(1), frames_played: 10 }));
    // It is back on the same port, and is heard again.
    let mut back = Peer::at(address, leg.local_addr());
    block_in_place(|| {
        back.talk(4);
        back.press(EVENT, Key::Seven, 2, 3);
    });
    assert_eq!(digits(&mut events).await, [('7', DigitSource::Rfc4733)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_come_back_after_their_legs_and_exhaustion_is_an_error() {
    let media = engine(MediaSettings { ports: 44_400..=44_407, ..MediaSettings::default() });
    let legs: Vec<_> = (0..4).map(|_| open(&media)).collect();
    let (events, _receiver) = channel(1);
    assert!(matches!(media.open(OpenLeg { events }), Err(OpenError::Port(_))));
    assert_eq!(media.snapshot().ports.used, 4);
    for (leg, events) in legs {
        drop(leg);
        assert_eq!(closed(events).await, LegStats::default());
    }
    let ports = media.snapshot().ports;
    assert_eq!((ports.used, ports.draining, ports.free, ports.exhausted), (0, 0, 4, 1), "no RTP, no drain");
    let (leg, mut events, mut peer) = call(&media);
    block_in_place(|| peer.talk(4));
    until(&mut events, |event| matches!(event, MediaEvent::Latched { .. })).await;
    drop(leg);
    assert!(closed(events).await.received > 0);
    assert_eq!(media.snapshot().ports.draining, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_leg_frees_its_seat_and_the_next_one_is_not_disturbed() {
    let media = engine(settings(44_600));
    for round in 0..5_u32 {
        let (leg, events, peer) = call(&media);
        leg.play(PlaybackId(round), vec![Sound::Audio(ramp(50))], true, 0).expect("taken");
        assert!(block_in_place(|| peer.hear()).is_some());
        // Commands that the thread finds after the end of the leg are harmless.
        leg.play(PlaybackId(99), vec![Sound::Audio(ramp(50))], true, 0).expect("taken");
        drop(leg);
        closed(events).await;
    }
    assert_eq!(media.snapshot().sum(|thread| u64::from(thread.legs)), 0);
    assert!(media.admits(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_legs_play_together_without_one_wrong_packet() {
    let media = engine(MediaSettings { ports: 45_000..=45_999, ..MediaSettings::default() });
    let music = ramp(50);
    let calls: Vec<_> = (0..200).map(|_| call(&media)).collect();
    for (leg, _, _) in &calls {
        leg.play(PlaybackId(1), vec![Sound::Audio(music.clone())], false, 0).expect("taken");
    }
    for (leg, events, peer) in calls {
        let heard = block_in_place(|| peer.hear_many(50));
        assert_unbroken(&heard, 160);
        assert!(heard.len() >= 40, "{} packets", heard.len());
        drop((leg, events));
    }
    let snapshot = media.snapshot();
    assert_eq!(snapshot.sum(|thread| thread.send_errors), 0);
    assert_eq!(snapshot.sum(|thread| thread.events_lost), 0);
    assert_eq!(snapshot.sum(|thread| thread.commands_refused), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_ports_of_a_leg_changes_nothing_but_counters() {
    let media = engine(settings(46_200));
    let (leg, mut events, mut peer) = call(&media);
    leg.play(PlaybackId(1), vec![Sound::Audio(ramp(20))], true, 0).expect("taken");
    block_in_place(|| {
        peer.talk(4);
        let mut control = leg.local_addr();
        control.set_port(control.port() + 1);
        let mut state = 0x1234_5678_u32;
        for at in 0..600_usize {
            let garbage: Vec<u8> = (0..at % 90)
                .map(|place| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Half of them look like RTP or RTCP at first.
                    if place == 0 && at % 2 == 0 { 0x80 | (state >> 28) as u8 } else { (state >> 24) as u8 }
                })
                .collect();
            let to = if at % 3 == 0 { control } else { leg.local_addr() };
            peer.socket.send_to(&garbage, to).expect("sent");
            if at % 8 == 0 {
                std::thread::sleep(Duration::from_millis(3));
            }
        }
        std::thread::sleep(Duration::from_millis(200));
        peer.press(EVENT, Key::Eight, 2, 3);
    });
    let digits = digits(&mut events).await;
    assert_eq!(digits.last(), Some(&('8', DigitSource::Rfc4733)), "{digits:?}");
    assert!(media.snapshot().sum(|thread| thread.malformed) > 100);
    let heard = block_in_place(|| peer.hear_many(60));
    assert_unbroken(&heard[..20], 160);
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_told_by_the_domain_type() {
    let media = engine(settings(46_000));
    let (_leg, mut events, mut peer) = call(&media);
    block_in_place(|| {
        peer.talk(3);
        peer.press(EVENT, Key::D, 1, 1);
    });
    let heard = until(&mut events, |event| matches!(event, MediaEvent::Digit { .. })).await;
    let digit = Digit::from_char('d').expect("a key");
    assert_eq!(heard, MediaEvent::Digit { digit, source: DigitSource::Rfc4733 });
}

#[test]
fn a_range_without_a_port_pair_does_not_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    let none = MediaSettings { ports: 44_001..=44_002, ..MediaSettings::default() };
    assert!(Media::start(none, runtime.handle()).is_err());
}
