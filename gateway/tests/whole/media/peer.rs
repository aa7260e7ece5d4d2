//! The other side of a leg: a socket that talks and listens like a carrier's media gateway.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use rtp_proto::{
    dtmf::{Digit, EventPayload},
    rtp::{Header, Packet, PayloadType, RtpTimestamp, SequenceNumber, Ssrc, is_rtcp},
};

/// A packet as it was heard.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
}

/// One RTP endpoint.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
    pub(crate) to: SocketAddr,
    pub(crate) header: Header,
}

impl Peer {
    /// Bound beside the leg it talks to.
    pub(crate) fn new(to: SocketAddr) -> Self {
        Self::at(SocketAddr::new(to.ip(), 0), to)
    }

    pub(crate) fn at(local: SocketAddr, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind(local).expect("a port for the peer");
        socket.set_read_timeout(Some(Duration::from_millis(400))).expect("a time-out");
        let header = Header {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber::new(65_530),
            timestamp: RtpTimestamp::new(7),
            ssrc: Ssrc::new(0x5eed),
        };
        Self { socket, to, header }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.addr().ip()
    }

    /// Sends one packet with a payload type and lets the clock go on.
    pub(crate) fn send(&mut self, payload_type: PayloadType, payload: &[u8]) {
        self.header.payload_type = payload_type;
        let mut packet = self.header.to_bytes().to_vec();
        packet.extend_from_slice(payload);
        self.socket.send_to(&packet, self.to).expect("sent");
        self.header.sequence = self.header.sequence.next();
        self.header.timestamp = self.header.timestamp.advanced(160);
    }

    /// Frames of silence, enough of them for the leg to learn this source when three or more.
    pub(crate) fn talk(&mut self, frames: usize) {
        for _ in 0..frames {
            let payload_type = if self.header.payload_type == PayloadType::PCMA {
                PayloadType::PCMA
            } else {
                PayloadType::PCMU
            };
            self.send(payload_type, &[0xff; 160]);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A telephone event with so many updates and ends, all with the timestamp of its start.
    pub(crate) fn press(&mut self, payload_type: PayloadType, digit: Digit, updates: u16, ends: u16) {
        let start = self.header.timestamp;
        for at in 0..updates + ends {
            let event = EventPayload {
                code: digit.event(),
                end: at >= updates,
                volume: 10,
                duration: at.min(updates).max(1) * 160,
            };
            self.header.timestamp = start;
            self.send(payload_type, &event.to_bytes());
            std::thread::sleep(Duration::from_millis(10));
        }
        self.header.timestamp = start.advanced(u32::from(updates + ends) * 160);
    }

    /// The next RTP packet; none when nothing comes for 400 ms.
    pub(crate) fn hear(&self) -> Option<Heard> {
        let mut buffer = [0; 2048];
        loop {
            let (len, _) = self.socket.recv_from(&mut buffer).ok()?;
            if is_rtcp(&buffer[..len]) {
                continue;
            }
            let packet = Packet::parse(&buffer[..len]).expect("RTP");
            return Some(Heard { header: packet.header, payload: packet.payload.to_vec() });
        }
    }

    /// So many packets, or fewer when the stream stops.
    pub(crate) fn hear_many(&self, count: usize) -> Vec<Heard> {
        std::iter::from_fn(|| self.hear()).take(count).collect()
    }

    /// The next RTCP datagram within a time.
    pub(crate) fn hear_rtcp(&self, within: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + within;
        let mut buffer = [0; 2048];
        while Instant::now() < until {
            if let Ok((len, _)) = self.socket.recv_from(&mut buffer)
                && is_rtcp(&buffer[..len])
            {
                return Some(buffer[..len].to_vec());
            }
        }
        None
    }
}

/// Asserts one unbroken line: one source, sequence numbers without a gap, timestamps by the packet time
/// (or, when the machine was slow, whole packet times more), a marker at the start only.
pub(crate) fn assert_unbroken(heard: &[Heard], samples: u32) {
    assert!(heard[0].header.marker, "the first packet after silence is marked");
    for pair in heard.windows(2) {
        let (before, after) = (&pair[0].header, &pair[1].header);
        assert_eq!(after.ssrc, before.ssrc);
        assert_eq!(after.sequence, before.sequence.next());
        let step = u32::try_from(after.timestamp.since(before.timestamp)).expect("forward");
        assert!(step >= samples && step % samples == 0, "a step of {step}");
        assert!(!after.marker);
    }
}
