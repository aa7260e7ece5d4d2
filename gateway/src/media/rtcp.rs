//! The RTCP side of a leg (RFC 3550 §6): what was sent, when to report, what the other side reports.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rand::Rng;
use rtp_proto::{
    rtcp::{Compound, NtpTime, Packet, ReportBlock, ReportBlocks, SenderInfo, delay_units, packets},
    rtp::{PayloadTypes, RtpTimestamp, Ssrc},
};

use super::Remote;

/// Kept apart from the hot state of a leg: touched for each packet sent, read every five seconds.
#[derive(Debug)]
pub(crate) struct Control {
    ssrc: Ssrc,
    /// Random for each leg (RFC 7022), so that it tells nothing.
    cname: String,
    shared_port: bool,
    socket: Option<UdpSocket>,
    signalled: Option<SocketAddr>,
    learnt: Option<SocketAddr>,
    /// RTP address and payload types of the last SDP.
    pub(crate) agreed: Option<(SocketAddr, PayloadTypes)>,
    packet_count: u32,
    octet_count: u32,
    /// Timestamp and time of the last packet sent.
    sent_last: Option<(RtpTimestamp, Instant)>,
    sent_since_report: bool,
    next_report: Option<Instant>,
    /// Middle bits of the other side's last sender report, and when it came.
    far_report: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
    far_lost: Option<i32>,
    dice: u32,
}

impl Control {
    pub(crate) fn new(ssrc: Ssrc, rng: &mut impl Rng) -> Self {
        Self {
            ssrc,
            cname: format!("{:024x}", rng.random::<u128>() >> 32),
            shared_port: false,
            socket: None,
            signalled: None,
            learnt: None,
            agreed: None,
            packet_count: 0,
            octet_count: 0,
            sent_last: None,
            sent_since_report: false,
            next_report: None,
            far_report: None,
            round_trip: None,
            far_lost: None,
            // Zero would stay zero.
            dice: rng.random_range(1..=u32::MAX),
        }
    }

    pub(crate) fn set_remote(&mut self, remote: &Remote) {
        self.shared_port = remote.rtcp_mux;
        let signalled = remote.rtcp_address.or_else(|| above(remote.address));
        if self.signalled != signalled {
            self.signalled = signalled;
            self.learnt = None;
        }
    }

    /// Takes the socket that was asked for; the report that waited for it is due at once.
    pub(crate) fn set_socket(&mut self, socket: UdpSocket, now: Instant) {
        self.socket = Some(socket);
        self.next_report = Some(now);
    }

    /// Whether the socket is to be asked for; again with each report, until it is there.
    pub(crate) fn wants_socket(&self) -> bool {
        !self.shared_port && self.socket.is_none()
    }

    /// Whether reports share RTP's port (RFC 5761).
    pub(crate) fn shares_port(&self) -> bool {
        self.shared_port
    }

    /// The socket for RTCP; none when it shares RTP's.
    pub(crate) fn socket(&self) -> Option<&UdpSocket> {
        self.socket.as_ref().filter(|_| !self.shared_port)
    }

    /// Where reports go on a port of their own: to where they come from, else beside the known source of
    /// RTP, else to the address in SDP.
    pub(crate) fn destination(&self, peer: SocketAddr, latched: bool) -> SocketAddr {
        let beside = above(peer).unwrap_or(peer);
        match (self.learnt, self.signalled) {
            (Some(learnt), _) => learnt,
            (None, Some(signalled)) if !latched || signalled.ip() == peer.ip() => signalled,
            (None, _) => beside,
        }
    }

    /// Counts an RTP packet that was sent.
    pub(crate) fn sent(&mut self, payload_bytes: usize, timestamp: RtpTimestamp, now: Instant) {
        self.packet_count = self.packet_count.wrapping_add(1);
        self.octet_count = self.octet_count.wrapping_add(payload_bytes as u32);
        self.sent_last = Some((timestamp, now));
        self.sent_since_report = true;
    }

    /// Whether a report is due; the first one half an interval after the first look.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        match self.next_report {
            Some(due) if now < due => false,
            Some(_) => {
                self.next_report = Some(now + self.interval());
                true
            }
            None => {
                self.next_report = Some(now + self.interval() / 2);
                false
            }
        }
    }

    /// A compound packet, ready to send.
    pub(crate) fn write<'b>(
        &mut self,
        now: Instant,
        timestamp: RtpTimestamp,
        block: Option<ReportBlock>,
        bye: bool,
        buffer: &'b mut [u8],
    ) -> Option<&'b [u8]> {
        let sender = std::mem::take(&mut self.sent_since_report).then(|| SenderInfo {
            ntp: ntp_now(),
            rtp: self.sent_last.map_or(timestamp, |(last, at)| last.advanced(clock_units(now, at))),
            packet_count: self.packet_count,
            octet_count: self.octet_count,
        });
        let reception = block.map(|mut block| {
            if let Some((report, at)) = self.far_report {
                block.last_report = report;
                block.delay = delay_units(now.saturating_duration_since(at));
            }
            block
        });
        Compound { ssrc: self.ssrc, sender, reception, cname: &self.cname, bye }.write(buffer).ok()
    }

    /// Reads what the other side reports; false when it is no RTCP.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        datagram: &[u8],
        own_port_source: Option<SocketAddr>,
    ) -> bool {
        let mut understood = false;
        for packet in packets(datagram).take(PACKETS_MAX).map_while(Result::ok) {
            understood = true;
            match packet {
                Packet::SenderReport { info, blocks, .. } => {
                    self.far_report = Some((info.ntp.middle(), now));
                    self.take_blocks(blocks);
                }
                Packet::ReceiverReport { blocks, .. } => self.take_blocks(blocks),
                // The end of a call is said by signalling, never by RTCP.
                Packet::SourceDescription { .. } | Packet::Bye { .. } | Packet::Other { .. } => {}
            }
        }
        if understood && own_port_source.is_some() {
            self.learnt = own_port_source;
        }
        understood
    }

    /// Round trip in milliseconds and packets lost on the way to the other side, when reported.
    pub(crate) fn far_end(&self) -> (Option<f64>, Option<i32>) {
        (self.round_trip.map(|time| time.as_secs_f64() * 1000.0), self.far_lost)
    }

    fn take_blocks(&mut self, blocks: ReportBlocks<'_>) {
        for block in blocks.filter(|block| block.ssrc == self.ssrc) {
            self.far_lost = Some(block.cumulative_lost);
            if let Some(time) = block.round_trip(ntp_now()) {
                self.round_trip = Some(time);
            }
        }
    }

    /// Five seconds, spread over 0.5 to 1.5 of it so that reports do not come in step (RFC 3550 §6.3.1).
    fn interval(&mut self) -> Duration {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 17;
        self.dice ^= self.dice << 5;
        Duration::from_millis(2500 + u64::from(self.dice % 5001))
    }
}

fn ntp_now() -> NtpTime {
    NtpTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn clock_units(now: Instant, since: Instant) -> u32 {
    let units = now.saturating_duration_since(since).as_micros() * 8 / 1000;
    u32::try_from(units).unwrap_or(u32::MAX)
}

fn above(address: SocketAddr) -> Option<SocketAddr> {
    Some(SocketAddr::new(address.ip(), address.port().checked_add(1)?))
}

/// More packets in one compound are no report of a telephone.
const PACKETS_MAX: usize = 16;
