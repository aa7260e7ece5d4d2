//! Bridged legs: their sockets are read every millisecond, not only in the leg's slot.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::MediaThread;
use crate::media::{command::LegKey, leg::LegState};

/// The sockets of all bridged legs of a thread. One look a tick is cheaper than being woken for each packet.
#[derive(Debug)]
pub(super) struct Watch {
    epoll: Epoll,
    ready: Box<[EpollEvent]>,
    count: usize,
}

impl Watch {
    pub(super) fn new() -> std::io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self { epoll, ready: vec![EpollEvent::empty(); READY_MAX].into(), count: 0 })
    }

    fn add(&mut self, leg: &LegState) -> bool {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::from(leg.key().index));
        let added = self.epoll.add(leg.socket(), event).is_ok();
        self.count += usize::from(added);
        added
    }

    fn remove(&mut self, leg: &LegState) {
        self.epoll.delete(leg.socket()).ok();
        self.count -= 1;
    }
}

impl MediaThread {
    /// Joins two legs, taking them out of other bridges first.
    pub(super) fn bridge(&mut self, one: LegKey, other: LegKey) {
        if one == other || self.leg(one).is_none() || self.leg(other).is_none() {
            return;
        }
        self.unbridge(one);
        self.unbridge(other);
        for (key, partner) in [(one, other), (other, one)] {
            if let Some(leg) = self.legs.get_mut(key.index as usize).and_then(Option::as_mut) {
                let watched = self.watch.add(leg);
                leg.join(partner, watched);
            }
        }
    }

    /// Takes a leg and its partner out of their bridge; both go on alone.
    pub(super) fn unbridge(&mut self, key: LegKey) {
        let partner = self.part(key);
        if let Some(partner) = partner {
            self.part(partner);
        }
    }

    fn part(&mut self, key: LegKey) -> Option<LegKey> {
        let leg = self.legs.get_mut(key.index as usize)?.as_deref_mut().filter(|leg| leg.key() == key)?;
        if leg.is_watched() {
            self.watch.remove(leg);
        }
        leg.part()
    }

    /// Relays what has come for bridged legs since the last tick.
    pub(super) fn relay(&mut self) {
        if self.watch.count == 0 {
            return;
        }
        // Level-triggered: what is not taken now, or after an interruption, is told again with the next tick.
        let count = self.watch.epoll.wait(&mut self.watch.ready, EpollTimeout::ZERO).unwrap_or(0);
        for at in 0..count {
            let index = self.watch.ready.get(at).map_or(u64::MAX, EpollEvent::data);
            self.relay_from(u32::try_from(index).unwrap_or(u32::MAX));
        }
    }

    /// Relays in a leg's slot when the kernel did not take its socket into the set.
    pub(super) fn relay_unwatched(&mut self, index: u32) {
        let leg = self.legs.get(index as usize).and_then(Option::as_ref);
        if leg.is_some_and(|leg| leg.partner().is_some() && !leg.is_watched()) {
            self.relay_from(index);
        }
    }

    /// Takes what waits for one bridged leg and hands it to its partner.
    fn relay_from(&mut self, index: u32) {
        // It is out of the table while its partner is at hand.
        let Some(mut leg) = self.legs.get_mut(index as usize).and_then(Option::take) else { return };
        let partner = leg.partner().and_then(|key| {
            let partner = self.legs.get_mut(key.index as usize)?.as_deref_mut();
            partner.filter(|partner| partner.key() == key)
        });
        leg.listen_rtp(&mut self.context, &mut self.buffer, partner);
        if let Some(place) = self.legs.get_mut(index as usize) {
            *place = Some(leg);
        }
    }
}

/// Sockets read in one tick: every bridged leg of a full thread at 10 ms sends fewer.
const READY_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::{
        net::{SocketAddr, UdpSocket},
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering::Relaxed},
        },
        time::{Duration, Instant},
    };

    use rand::{SeedableRng, rngs::StdRng};
    use rtp_proto::{
        g711::Law,
        rtp::{Header, Packet, PayloadType, RtpTimestamp, SequenceNumber, Ssrc},
    };
    use rtrb::RingBuffer;
    use rustix::event::{EventfdFlags, eventfd};
    use vestibule_routing::journey::PlaybackId;

    use super::*;
    use crate::media::{
        Remote, Sound,
        command::Command,
        leg::NewLeg,
        playback::Playback,
        thread::{Parts, SLOTS},
    };

    /// Two bridged and latched legs on a thread whose time the test makes.
    struct Bridged {
        thread: MediaThread,
        peers: [UdpSocket; 2],
        legs: [SocketAddr; 2],
        closing: [Arc<AtomicBool>; 2],
        tick: u64,
        start: Instant,
        sequence: u16,
    }

    impl Bridged {
        fn new() -> Self {
            let (mut commands_in, commands) = RingBuffer::new(16);
            let (reports, _) = RingBuffer::new(64);
            let wake = eventfd(0, EventfdFlags::NONBLOCK).expect("a descriptor");
            let mut thread = MediaThread::new(Parts {
                commands,
                reports,
                counters: Arc::default(),
                stop: Arc::new(AtomicBool::new(false)),
                wake: Arc::new(wake),
                legs_max: 2,
            })
            .expect("an epoll set");
            let peers = std::array::from_fn(|_| UdpSocket::bind("127.0.0.1:0").expect("a port"));
            let closing: [Arc<AtomicBool>; 2] = Default::default();
            let legs = std::array::from_fn(|index| {
                let local =
                    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
                // Asked for by number, as the engine does: the kernel takes one that it chose back with
                // the end of a connection.
                let socket = UdpSocket::bind(local).expect("the same port");
                socket.set_nonblocking(true).expect("set");
                let key = key(index);
                let new = NewLeg {
                    key,
                    socket,
                    local,
                    closing: Arc::clone(&closing[index]),
                    never_heard: Duration::from_secs(15),
                    silence: Duration::from_secs(3000),
                };
                let leg = Box::new(LegState::new(new, &mut StdRng::seed_from_u64(1)));
                let peer: &UdpSocket = &peers[index];
                peer.set_nonblocking(true).expect("set");
                let remote = Remote::new(peer.local_addr().expect("bound"), Law::Mu);
                for command in [Command::Add(leg), Command::SetRemote { key, remote, secure: None }] {
                    commands_in.push(command).expect("room");
                }
                local
            });
            commands_in.push(Command::Bridge { one: key(0), other: key(1) }).expect("room");
            thread.take_commands(1000);
            let mut bridged =
                Self { thread, peers, legs, closing, tick: 1000, start: Instant::now(), sequence: 0 };
            for _ in 0..3 {
                bridged.say(0);
                bridged.say(1);
                bridged.turn();
            }
            while bridged.hear(0).is_some() || bridged.hear(1).is_some() {}
            bridged
        }

        fn say(&mut self, peer: usize) {
            let header = Header {
                marker: false,
                payload_type: PayloadType::PCMU,
                sequence: SequenceNumber::new(self.sequence),
                timestamp: RtpTimestamp::new(u32::from(self.sequence) * 160),
                ssrc: Ssrc::new(0x5eed),
            };
            let mut packet = [0x11; 172];
            packet[..12].copy_from_slice(&header.to_bytes());
            self.peers[peer].send_to(&packet, self.legs[peer]).expect("sent");
            // Each peer's packets are in sequence when they speak by turns.
            self.sequence += u16::from(peer == 1);
        }

        /// Header and first byte of what a peer hears.
        fn hear(&self, peer: usize) -> Option<(Header, u8)> {
            let mut buffer = [0; 2048];
            let len = self.peers[peer].recv(&mut buffer).ok()?;
            let packet = Packet::parse(&buffer[..len]).expect("RTP");
            Some((packet.header, packet.payload[0]))
        }

        fn now(&mut self, tick: u64) {
            self.thread.context.tick = tick;
            self.thread.context.now = self.start + Duration::from_millis(tick);
        }

        /// One turn of the wheel.
        fn turn(&mut self) {
            for _ in 0..SLOTS {
                self.tick += 1;
                self.now(self.tick);
                self.thread.relay();
                self.thread.serve(self.tick);
            }
        }

        fn leg(&mut self, index: usize) -> &mut LegState {
            self.thread.legs[index].as_mut().expect("a leg")
        }
    }

    fn key(index: usize) -> LegKey {
        LegKey { index: index as u32, generation: 1 }
    }

    #[test]
    fn what_came_for_a_bridged_leg_is_relayed_in_the_next_tick_whatever_its_slot() {
        let mut bridged = Bridged::new();
        for _ in 0..2 * SLOTS {
            bridged.say(0);
            bridged.say(1);
            bridged.tick += 1;
            bridged.now(bridged.tick);
            bridged.thread.relay();
            assert!(bridged.hear(0).is_some() && bridged.hear(1).is_some());
        }
    }

    #[test]
    fn a_socket_that_the_kernel_did_not_take_is_read_in_its_slot() {
        let mut bridged = Bridged::new();
        bridged.thread.unbridge(key(1));
        for (one, other) in [(0, 1), (1, 0)] {
            bridged.leg(one).join(key(other), false);
        }
        bridged.say(0);
        bridged.say(1);
        bridged.thread.relay();
        assert_eq!((bridged.hear(0), bridged.hear(1)), (None, None));
        bridged.turn();
        assert!(bridged.hear(0).is_some() && bridged.hear(1).is_some());
        bridged.thread.unbridge(key(0));
        assert!(bridged.leg(1).partner().is_none());
    }

    #[test]
    fn a_partner_that_says_nothing_is_covered_by_silence_now_and_then() {
        let mut bridged = Bridged::new();
        bridged.say(0);
        bridged.say(1);
        bridged.turn();
        let (last, _) = bridged.hear(1).expect("relayed");
        for _ in 0..800 {
            bridged.turn();
        }
        let (silence, byte) = bridged.hear(1).expect("a sign of life");
        assert_eq!((silence.sequence, silence.marker, byte), (last.sequence.next(), true, Law::Mu.silence()));
        assert_eq!(bridged.hear(1), None, "one in 15 seconds");
        bridged.say(0);
        bridged.turn();
        let (header, byte) = bridged.hear(1).expect("relayed");
        assert_eq!((header.sequence, header.marker, byte), (silence.sequence.next(), true, 0x11));
        assert!(header.timestamp.since(silence.timestamp) >= 160);
    }

    #[test]
    fn a_source_whose_clock_runs_ahead_is_followed_and_not_overlapped() {
        let mut bridged = Bridged::new();
        for _ in 0..10 {
            bridged.say(0);
            bridged.sequence += 1;
            bridged.tick += 1;
            bridged.now(bridged.tick);
            bridged.thread.relay();
        }
        // 200 ms of sound in ten.
        let last = std::iter::from_fn(|| bridged.hear(1)).last().expect("relayed").0;
        let sounds = vec![Sound::Silence { samples: 320 }];
        bridged.leg(1).play(Playback::new(PlaybackId(1), sounds, false, 0));
        bridged.turn();
        let (header, byte) = bridged.hear(1).expect("played");
        assert_eq!((header.sequence, header.marker, byte), (last.sequence.next(), true, Law::Mu.silence()));
        assert_eq!(header.timestamp.since(last.timestamp), 160);
    }

    #[test]
    fn the_end_of_a_leg_is_the_end_of_its_bridge() {
        let mut bridged = Bridged::new();
        assert_eq!(bridged.thread.watch.count, 2);
        bridged.closing[0].store(true, Relaxed);
        bridged.turn();
        assert!(bridged.thread.legs[0].is_none());
        assert_eq!((bridged.leg(1).partner(), bridged.thread.watch.count), (None, 0));
        bridged.say(1);
        bridged.turn();
        assert_eq!(bridged.leg(1).stats().received, 2, "it listens in its slot again");
    }

    #[test]
    fn a_flood_of_one_peer_is_relayed_no_faster_than_two_packets_a_tick() {
        let mut bridged = Bridged::new();
        (0..20).for_each(|_| {
            bridged.say(0);
            bridged.sequence += 1;
        });
        bridged.tick += 1;
        bridged.now(bridged.tick);
        bridged.thread.relay();
        assert_eq!(std::iter::from_fn(|| bridged.hear(1)).count(), 2);
        bridged.turn();
        assert_eq!(std::iter::from_fn(|| bridged.hear(1)).count(), 18, "and none is lost");
    }
}
