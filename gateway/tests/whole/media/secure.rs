//! Encrypted legs: what is on the wire, whom they believe, and bridges between encrypted and clear ones.

use std::time::Duration;

use rtp_proto::{
    dtmf::Digit as Key,
    g711::Law,
    rtcp::{Packet as Rtcp, packets},
    rtp::{HEADER_LEN, Packet, PayloadType, SequenceNumber, is_rtcp},
    srtp::{
        KeyIdentifier, MasterKey, OVERHEAD_MAX, Receiver as SrtpReceiver, Sender as SrtpSender, SrtpError,
        Suite,
    },
};
use tokio::{
    sync::mpsc::{Receiver, channel},
    task::block_in_place,
};
use vestibule::media::{
    DigitSource, Leg, Media, MediaEvent, MediaSnapshot, OpenLeg, Remote, Sound, SrtpKeys, ThreadSnapshot,
};
use vestibule_routing::journey::PlaybackId;

use super::{
    EVENT, digits, engine, open,
    peer::{Heard, Peer},
    ramp, settings, until,
};

/// A leg and an encrypted peer.
struct Side {
    leg: Leg,
    events: Receiver<MediaEvent>,
    peer: Peer,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    keys: SrtpKeys,
}

fn key(suite: Suite, seed: u8) -> MasterKey {
    MasterKey::new(suite, &vec![seed; suite.key_len() + suite.salt_len()]).expect("of its length")
}

fn keys(suite: Suite, seed: u8) -> SrtpKeys {
    SrtpKeys { ours: key(suite, seed), theirs: key(suite, seed + 1), key_identifier: None }
}

fn settle() {
    block_in_place(|| std::thread::sleep(Duration::from_millis(60)));
}

fn count(media: &Media, of: impl Fn(&ThreadSnapshot) -> u64) -> u64 {
    let snapshot: MediaSnapshot = media.snapshot();
    snapshot.sum(of)
}

impl Side {
    /// Agreed, not latched.
    fn new((leg, events): (Leg, Receiver<MediaEvent>), keys: SrtpKeys) -> Self {
        let peer = Peer::new(leg.local_addr());
        let sender = SrtpSender::new(&keys.theirs, peer.header.ssrc);
        let receiver = SrtpReceiver::new(&keys.ours, None);
        let side = Self { leg, events, peer, sender, receiver, keys };
        side.leg.set_secure_remote(side.remote(), keys).expect("taken");
        settle();
        side
    }

    fn remote(&self) -> Remote {
        Remote { rtcp_mux: true, ..Remote::new(self.peer.addr(), Law::Mu) }
    }

    async fn latched(mut self) -> Self {
        self.say(0xff, 4);
        until(&mut self.events, |event| matches!(event, MediaEvent::Latched { .. })).await;
        settle();
        self
    }

    /// The next packet of the peer, protected and not sent.
    fn packet(&mut self, payload_type: PayloadType, payload: &[u8]) -> Vec<u8> {
        self.peer.header.payload_type = payload_type;
        let plain = [&self.peer.header.to_bytes(), payload].concat();
        self.peer.header.sequence = self.peer.header.sequence.next();
        self.peer.header.timestamp = self.peer.header.timestamp.advanced(160);
        let mut packet = [&plain[..], &[0; OVERHEAD_MAX]].concat();
        let len = self.sender.protect_rtp(&mut packet, plain.len()).expect("in order");
        packet.truncate(len);
        packet
    }

    fn send(&self, packet: &[u8]) {
        self.peer.socket.send_to(packet, self.peer.to).expect("sent");
    }

    fn say(&mut self, byte: u8, packets: usize) {
        for _ in 0..packets {
            let packet = self.packet(PayloadType::PCMU, &[byte; 160]);
            self.send(&packet);
            block_in_place(|| std::thread::sleep(Duration::from_millis(5)));
        }
    }

    /// Both sides go over to other keys.
    fn rekey(&mut self, keys: SrtpKeys) {
        self.keys = keys;
        self.leg.set_secure_remote(self.remote(), keys).expect("taken");
        settle();
    }

    /// The next packet, opened; none when it is quiet. What does not open is a failure.
    fn hear(&mut self) -> Option<Heard> {
        let mut buffer = [0; 2048];
        loop {
            let len = block_in_place(|| self.peer.socket.recv_from(&mut buffer)).ok()?.0;
            if is_rtcp(&buffer[..len]) {
                continue;
            }
            let len = self.receiver.unprotect_rtp(&mut buffer[..len]).expect("opens");
            let packet = Packet::parse(&buffer[..len]).expect("RTP");
            return Some(Heard { header: packet.header, payload: packet.payload.to_vec() });
        }
    }

    fn hear_many(&mut self, count: usize) -> Vec<Heard> {
        std::iter::from_fn(|| self.hear()).take(count).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_every_suite_sound_digits_and_reports_are_encrypted_both_ways() {
    let media = engine(settings(44_000));
    for (suite, seed) in Suite::ALL.into_iter().zip([10, 20, 30, 40]) {
        let mut side = Side::new(open(&media), keys(suite, seed)).latched().await;
        side.leg.play(PlaybackId(1), vec![Sound::Audio(ramp(10))], false, 0).expect("taken");
        let heard = side.hear_many(10);
        let bytes: Vec<u8> = heard.iter().flat_map(|packet| packet.payload.clone()).collect();
        assert_eq!(bytes, ramp(10).law(Law::Mu).to_vec(), "{suite:?}");
        assert!(heard[0].header.sequence.value() < 0x8000, "far from the first wrap");
        let start = side.peer.header.timestamp;
        for at in 0..6_u8 {
            side.peer.header.timestamp = start;
            let end = if at > 2 { 0x8a } else { 0x0a };
            let event = [Key::ALL[5].event(), end, 0, 160_u8.wrapping_mul(at.min(3) + 1)];
            let packet = side.packet(EVENT, &event);
            side.send(&packet);
            block_in_place(|| std::thread::sleep(Duration::from_millis(10)));
        }
        assert_eq!(digits(&mut side.events).await, [('5', DigitSource::Rfc4733)], "{suite:?}");
        if suite == Suite::ALL[0] || suite == Suite::ALL[2] {
            let mut report =
                block_in_place(|| side.peer.hear_rtcp(Duration::from_secs(8))).expect("a report");
            let len = side.receiver.unprotect_rtcp(&mut report).expect("opens");
            let first = packets(&report[..len]).next().expect("a packet").expect("RTCP");
            assert!(matches!(first, Rtcp::SenderReport { .. } | Rtcp::ReceiverReport { .. }), "{first:?}");
        }
    }
    assert_eq!(count(&media, |thread| thread.srtp_unauthentic + thread.srtp_replayed), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clear_forged_and_repeated_packets_are_dropped_and_counted() {
    let media = engine(settings(44_200));
    let mut side = Side::new(open(&media), keys(Suite::AesCm128HmacSha1Tag80, 10));
    side.peer.talk(5);
    let stranger = key(Suite::AesCm128HmacSha1Tag80, 99);
    let honest = std::mem::replace(&mut side.sender, SrtpSender::new(&stranger, side.peer.header.ssrc));
    side.say(0xff, 5);
    settle();
    assert_eq!(count(&media, |thread| thread.srtp_unauthentic), 10);
    assert!(side.events.try_recv().is_err(), "nobody is learnt from packets that prove nothing");
    side.sender = honest;
    side.peer.header.sequence = SequenceNumber::new(100);
    let mut side = side.latched().await;
    let packet = side.packet(PayloadType::PCMU, &[0x55; 160]);
    for _ in 0..3 {
        side.send(&packet);
    }
    settle();
    assert_eq!(count(&media, |thread| thread.srtp_replayed), 2);
    assert_eq!(count(&media, |thread| thread.srtp_unauthentic), 10);
    side.say(0x55, 1);
    settle();
    assert_eq!(count(&media, |thread| thread.received), 4, "probation takes two, one counts with the lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_and_a_clear_leg_hear_each_other_bit_for_bit() {
    let media = engine(settings(44_400));
    let mut safe = Side::new(open(&media), keys(Suite::AeadAes128Gcm, 10)).latched().await;
    let (events, mut clear_events) = channel(64);
    let clear_leg = media.open_beside(&safe.leg, OpenLeg { events }).expect("a leg");
    let mut clear = Peer::new(clear_leg.local_addr());
    clear_leg.set_remote(Remote::new(clear.addr(), Law::Mu)).expect("taken");
    block_in_place(|| clear.talk(4));
    until(&mut clear_events, |event| matches!(event, MediaEvent::Latched { .. })).await;
    safe.leg.bridge(&clear_leg).expect("taken");
    settle();
    let payload = |at: usize| -> Vec<u8> { (0..160).map(|place| (place * 7 + at * 31) as u8).collect() };
    for at in 0..30 {
        let packet = safe.packet(PayloadType::PCMU, &payload(at));
        safe.send(&packet);
        clear.send(PayloadType::PCMU, &payload(at + 100));
        block_in_place(|| std::thread::sleep(Duration::from_millis(3)));
    }
    // Signs of life of who said nothing yet may come between.
    let speech = |packet: &Heard| packet.payload != [0xff; 160];
    let there: Vec<Heard> =
        block_in_place(|| std::iter::from_fn(|| clear.hear()).take(200).filter(speech).take(30).collect());
    let here: Vec<Heard> = std::iter::from_fn(|| safe.hear()).take(200).filter(speech).take(30).collect();
    for (heard, offset) in [(&there, 0), (&here, 100)] {
        assert_eq!(heard.len(), 30);
        for (at, packet) in heard.iter().enumerate() {
            assert_eq!(packet.payload, payload(at + offset), "packet {at}");
        }
    }
    // A repetition on the clear side must not become a second content under one index.
    let unsent = count(&media, |thread| thread.send_errors);
    clear.header.sequence = SequenceNumber::new(clear.header.sequence.value().wrapping_sub(1));
    clear.header.timestamp = clear.header.timestamp.advanced(0_u32.wrapping_sub(160));
    clear.send(PayloadType::PCMU, &[0x11; 160]);
    assert!(safe.hear().is_none_or(|heard| heard.payload != [0x11; 160]));
    assert!(count(&media, |thread| thread.send_errors) <= unsent + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_encrypted_legs_of_different_suites_hear_each_other() {
    let media = engine(settings(44_600));
    let mut one = Side::new(open(&media), keys(Suite::AeadAes256Gcm, 10)).latched().await;
    let (events, receiver) = channel(64);
    let leg = media.open_beside(&one.leg, OpenLeg { events }).expect("a leg");
    let mut other = Side::new((leg, receiver), keys(Suite::AesCm128HmacSha1Tag32, 30)).latched().await;
    one.leg.bridge(&other.leg).expect("taken");
    settle();
    one.say(0x31, 20);
    other.say(0x32, 20);
    assert!(other.hear_many(20).iter().all(|heard| heard.payload == [0x31; 160]));
    assert!(one.hear_many(20).iter().all(|heard| heard.payload == [0x32; 160]));
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_take_over_without_a_gap_and_the_old_one_ends() {
    let media = engine(settings(44_800));
    let mut side = Side::new(open(&media), keys(Suite::AesCm128HmacSha1Tag80, 10)).latched().await;
    side.leg.play(PlaybackId(1), vec![Sound::Audio(ramp(1))], true, 0).expect("taken");
    let before = side.hear_many(5);
    let late: Vec<_> = (0..3).map(|_| side.packet(PayloadType::PCMU, &[0x21; 160])).collect();
    side.rekey(keys(Suite::AeadAes256Gcm, 50));
    let received = count(&media, |thread| thread.received);
    side.send(&late[0]);
    settle();
    assert_eq!(count(&media, |thread| thread.received), received + 1, "on its way under the old key");
    // Ours is new at once; what the socket still holds is old.
    side.receiver = SrtpReceiver::new(&side.keys.ours, None);
    let mut buffer = [0; 2048];
    let mut last = before[4].header;
    loop {
        let (len, _) = block_in_place(|| side.peer.socket.recv_from(&mut buffer)).expect("it goes on");
        if is_rtcp(&buffer[..len]) {
            continue;
        }
        let header = Packet::parse(&buffer[..len]).expect("RTP").header;
        assert_eq!((header.sequence, header.ssrc), (last.sequence.next(), last.ssrc), "one line");
        last = header;
        if side.receiver.unprotect_rtp(&mut buffer[..len]).is_ok() {
            break;
        }
    }
    side.sender = SrtpSender::new(&side.keys.theirs, side.peer.header.ssrc);
    side.say(0x22, 2);
    settle();
    assert_eq!(count(&media, |thread| thread.received), received + 3);
    side.send(&late[1]);
    settle();
    assert_eq!(count(&media, |thread| thread.received), received + 3, "the old key is worth nothing now");
    assert_eq!(count(&media, |thread| thread.srtp_unauthentic + thread.srtp_replayed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_said_again_go_on_counting() {
    let media = engine(settings(45_000));
    let mut side = Side::new(open(&media), keys(Suite::AeadAes128Gcm, 10)).latched().await;
    side.leg.play(PlaybackId(1), vec![Sound::Audio(ramp(1))], true, 0).expect("taken");
    let used = side.packet(PayloadType::PCMU, &[0x21; 160]);
    side.send(&used);
    assert_eq!(side.hear_many(5).len(), 5);
    side.rekey(side.keys);
    // Every packet opens in the same context, so no index comes twice.
    assert_eq!(side.hear_many(10).len(), 10);
    side.send(&used);
    settle();
    assert_eq!(count(&media, |thread| thread.srtp_replayed), 1, "also over a repeated offer");
    // Only their key changes: ours goes on.
    side.rekey(SrtpKeys { theirs: key(Suite::AeadAes128Gcm, 77), ..side.keys });
    assert_eq!(side.hear_many(10).len(), 10);
    side.send(&used);
    settle();
    assert_eq!(count(&media, |thread| thread.srtp_replayed), 2, "under the old key too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_identifier_is_taken_out_of_each_packet() {
    let media = engine(settings(45_200));
    let identifier = KeyIdentifier::new(1, 4);
    let agreed = SrtpKeys { key_identifier: identifier, ..keys(Suite::AesCm128HmacSha1Tag80, 10) };
    let mut side = Side::new(open(&media), agreed);
    for _ in 0..4 {
        let mut packet = side.packet(PayloadType::PCMU, &[0xff; 160]);
        let tag = packet.split_off(HEADER_LEN + 160);
        side.send(&[&packet[..], &[0, 0, 0, 1], &tag].concat());
    }
    until(&mut side.events, |event| matches!(event, MediaEvent::Latched { .. })).await;
    side.say(0xff, 2);
    settle();
    assert_eq!(count(&media, |thread| thread.srtp_unauthentic), 2, "without it a packet is nobody's");
    assert_eq!(side.receiver.unprotect_rtp(&mut [0x80; 40]), Err(SrtpError::Authentication));
}
