//! The hot state of one leg: its socket, its one outgoing RTP line, and what it knows of the other side.
//!
//! Owned by one media thread and touched by nobody else; made on the tokio side and sent back there to be
//! freed. The outgoing line has one SSRC, sequence and timestamp for the whole life of the leg: the clock runs
//! on through silence and loss, so that the other side's jitter buffer never starts anew (RFC 3550 §5.1).

mod receive;
mod relay;
mod secure;
mod send;

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rand::Rng;
use rtp_proto::{
    dtmf::EventReceiver,
    g711::Law,
    inband::Detector,
    latch::Latch,
    rtp::{PayloadType, PayloadTypes, RtpTimestamp, SequenceNumber, Ssrc},
    stats::Reception,
};

pub(crate) use self::secure::Secure;

use self::relay::{Bridge, Relay};
use super::{
    Direction, LegStats, Remote,
    command::{LegKey, What},
    metrics::add,
    playback::Playback,
    recording::Tap,
    rtcp::Control,
    thread::Context,
};

/// What comes of a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    Stay,
    Close,
}

/// What a leg is made of.
#[derive(Debug)]
pub(crate) struct NewLeg {
    pub(crate) key: LegKey,
    pub(crate) socket: UdpSocket,
    pub(crate) local: SocketAddr,
    pub(crate) closing: Arc<AtomicBool>,
    pub(crate) never_heard: Duration,
    pub(crate) silence: Duration,
}

/// A leg inside its thread; at most 512 bytes.
#[derive(Debug)]
pub(crate) struct LegState {
    key: LegKey,
    closing: Arc<AtomicBool>,
    socket: UdpSocket,
    local_port: u16,
    connected: bool,
    direction: Direction,
    // The outgoing line.
    law: Law,
    payload_type: PayloadType,
    ptime_ms: u8,
    talking: bool,
    ssrc: Ssrc,
    sequence: SequenceNumber,
    timestamp: RtpTimestamp,
    next_send: u64,
    last_sent: u64,
    /// The end of all that was sent: nothing new may have an earlier timestamp.
    sent_until: RtpTimestamp,
    sent: u64,
    skipped: u64,
    playback: Option<Playback>,
    // The incoming one.
    latch: Option<Latch>,
    telephone_event: Option<PayloadType>,
    events: EventReceiver,
    quiet_since: Option<Instant>,
    never_heard_ms: u32,
    silence_ms: u32,
    heard: bool,
    reported_inactive: bool,
    bridge: Option<Bridge>,
    /// Without it media is clear, in both directions.
    secure: Option<Box<Secure>>,
    tap: Option<Box<Tap>>,
    // Touched rarely, or large.
    detector: Box<Detector>,
    reception: Box<Reception>,
    control: Box<Control>,
    relay: Box<Relay>,
}

impl LegState {
    pub(crate) fn new(new: NewLeg, rng: &mut impl Rng) -> Self {
        let ssrc = Ssrc::new(rng.random());
        let timestamp = RtpTimestamp::new(rng.random());
        Self {
            key: new.key,
            closing: new.closing,
            socket: new.socket,
            local_port: new.local.port(),
            connected: false,
            direction: Direction::Inactive,
            law: Law::Mu,
            payload_type: PayloadType::PCMU,
            ptime_ms: 20,
            talking: false,
            ssrc,
            // In the lower half: who misses the packets before a wrap that comes at once would count the wraps
            // wrongly, and open nothing (RFC 3711 §3.3.1).
            sequence: SequenceNumber::new(rng.random::<u16>() >> 1),
            timestamp,
            next_send: 0,
            last_sent: 0,
            sent_until: timestamp,
            sent: 0,
            skipped: 0,
            playback: None,
            latch: None,
            telephone_event: None,
            events: EventReceiver::new(),
            quiet_since: None,
            never_heard_ms: milliseconds(new.never_heard),
            silence_ms: milliseconds(new.silence),
            heard: false,
            reported_inactive: false,
            bridge: None,
            secure: None,
            tap: None,
            detector: Box::new(Detector::new()),
            reception: Box::default(),
            control: Box::new(Control::new(ssrc, rng)),
            relay: Box::default(),
        }
    }

    pub(crate) fn key(&self) -> LegKey {
        self.key
    }

    /// Who we are on the outgoing line.
    pub(crate) fn source(&self) -> Ssrc {
        self.ssrc
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub(crate) fn local_port(&self) -> u16 {
        self.local_port
    }

    /// The tick at which the next packet is due.
    pub(crate) fn next_send(&self) -> u64 {
        self.next_send
    }

    /// Packets of 10, 30 or 50 ms fall due between two turns of the wheel.
    pub(crate) fn needs_half_slots(&self) -> bool {
        !self.ptime_ms.is_multiple_of(20)
    }

    /// Takes its place on the wheel; its clock starts at this tick.
    pub(crate) fn start(&mut self, tick: u64) {
        self.next_send = tick;
        self.last_sent = tick;
    }

    /// One turn of the wheel: listen, then send what is due.
    pub(crate) fn visit(&mut self, context: &mut Context, buffer: &mut [u8]) -> Visit {
        if self.closing.load(Relaxed) {
            self.say_goodbye(context.now);
            return Visit::Close;
        }
        if self.latch.is_none() {
            // No offer or answer yet: keep the clock, take nothing.
            self.keep_clock(context.tick);
            return Visit::Stay;
        }
        self.listen(context, buffer);
        self.watch_silence(context);
        self.send_due(context);
        self.report_rtcp(context);
        Visit::Stay
    }

    /// Replaces the playback; returns the one that was cut off.
    pub(crate) fn play(&mut self, playback: Playback) -> Option<Playback> {
        self.playback.replace(playback)
    }

    /// Stops the playback and returns it.
    pub(crate) fn stop(&mut self) -> Option<Playback> {
        self.playback.take()
    }

    /// Hands what comes in to a recorder from now on; returns the tap of an earlier one.
    pub(crate) fn set_tap(&mut self, tap: Box<Tap>) -> Option<Box<Tap>> {
        self.tap.replace(tap)
    }

    /// Takes off the tap of a recording.
    pub(crate) fn untap(&mut self, recording: u64) -> Option<Box<Tap>> {
        self.tap.take_if(|tap| tap.recording() == recording)
    }

    /// What was agreed, first or anew; gives back what is to be freed elsewhere.
    pub(crate) fn set_remote(
        &mut self,
        remote: &Remote,
        secure: Option<Box<Secure>>,
        now: Instant,
    ) -> Option<Box<Secure>> {
        let unused = self.set_secure(secure);
        let was_receiving = self.latch.is_some() && self.direction.receives();
        self.law = remote.law;
        self.payload_type = remote.payload_type;
        self.telephone_event = remote.telephone_event;
        let types: PayloadTypes = [remote.payload_type, PayloadType::COMFORT_NOISE]
            .into_iter()
            .chain(remote.telephone_event)
            .collect();
        self.direction = remote.direction;
        self.set_ptime(remote.ptime_ms);
        self.control.set_remote(remote);
        let agreed = (remote.address, types);
        match &mut self.latch {
            // Said again (session timers): whoever we know stays, and nobody else may be learnt.
            Some(_) if self.control.agreed == Some(agreed) => {}
            Some(latch) => latch.signalled(now, remote.address, types),
            None => self.latch = Some(Latch::new(remote.address, types)),
        }
        self.control.agreed = Some(agreed);
        if !was_receiving {
            self.quiet_since = Some(now);
            self.reported_inactive = false;
        }
        unused
    }

    /// The socket for reports, which it asked for.
    pub(crate) fn set_rtcp(&mut self, socket: UdpSocket, now: Instant) {
        self.control.set_socket(socket, now);
    }

    /// The counts of its whole life.
    pub(crate) fn stats(&self) -> LegStats {
        let (round_trip_ms, remote_lost) = self.control.far_end();
        let heard = self.reception.summary();
        LegStats {
            sent: self.sent,
            received: heard.received,
            lost: heard.lost,
            jitter_ms: heard.jitter_ms,
            wrong_source: self.latch.as_ref().map_or(0, Latch::wrong_source_count),
            skipped_frames: self.skipped,
            round_trip_ms,
            remote_lost,
        }
    }

    /// Tells once that nothing has come for too long.
    fn watch_silence(&mut self, context: &mut Context) {
        let Some(since) = self.quiet_since.filter(|_| self.direction.receives() && !self.reported_inactive)
        else {
            return;
        };
        let limit_ms = if self.heard { self.silence_ms } else { self.never_heard_ms };
        if context.now.saturating_duration_since(since).as_millis() >= u128::from(limit_ms) {
            let said = context.report(self.key, What::Inactive { heard_before: self.heard });
            // When the ring is full it is said in the next slot.
            if said.is_ok() {
                self.reported_inactive = true;
                add(&context.counters.inactive, 1);
            }
        }
    }

    /// Something came that is surely the other side's.
    fn note_life(&mut self, context: &mut Context) {
        self.quiet_since = Some(context.now);
        if std::mem::take(&mut self.reported_inactive) {
            context.report_once(self.key, What::Active);
        }
    }
}

/// Fifty days at most: the state of a leg is to stay small.
fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn leg() -> LegState {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let local = socket.local_addr().expect("bound");
        let new = NewLeg {
            key: LegKey { index: 0, generation: 1 },
            socket,
            local,
            closing: Arc::new(AtomicBool::new(false)),
            never_heard: Duration::from_secs(15),
            silence: Duration::from_secs(30),
        };
        LegState::new(new, &mut StdRng::seed_from_u64(1))
    }

    #[test]
    fn the_hot_state_of_a_leg_fits_512_bytes() {
        assert!(size_of::<LegState>() <= 512, "{} bytes", size_of::<LegState>());
    }

    #[test]
    fn lost_time_moves_the_clock_by_whole_packets_and_is_counted_once() {
        let mut leg = leg();
        leg.start(1000);
        let start = leg.timestamp;
        assert_eq!(leg.keep_clock(999), 0);
        assert_eq!(leg.timestamp, start, "not due yet");
        assert_eq!(leg.keep_clock(1000), 0);
        assert_eq!((leg.timestamp.since(start), leg.next_send()), (160, 1020));
        // Due at 1020, 1040 and 1060, but looked at only now: two are lost, the third is late by 7 ms.
        assert_eq!(leg.keep_clock(1067), 2);
        assert_eq!((leg.timestamp.since(start), leg.next_send()), (640, 1080));
        assert_eq!(leg.keep_clock(1080), 0);
    }

    #[test]
    fn another_packet_time_does_not_move_the_clock() {
        for (before, after) in [(20, 60), (60, 20), (10, 30)] {
            let mut leg = leg();
            leg.set_ptime(before);
            leg.start(1000);
            leg.keep_clock(1000);
            let first = leg.timestamp;
            leg.set_ptime(after);
            let due = leg.next_send();
            leg.keep_clock(due);
            assert_eq!((due, leg.timestamp.since(first)), (1000 + u64::from(before), i32::from(before) * 8));
        }
    }

    #[test]
    fn packet_times_are_brought_to_what_the_wheel_paces() {
        let mut leg = leg();
        for (asked, kept) in [(0, 10), (10, 10), (25, 20), (30, 30), (60, 60), (255, 60)] {
            leg.set_ptime(asked);
            assert_eq!(leg.ptime_ms, kept, "asked for {asked}");
            assert_eq!(leg.needs_half_slots(), matches!(kept, 10 | 30 | 50));
        }
    }
}
