//! What comes in on a leg: the source lock, digits, statistics, RTCP.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
};

use rtp_proto::{
    dtmf::EventPayload,
    latch::Verdict,
    rtp::{Packet, is_rtcp},
    srtp::OVERHEAD_MAX,
};

use super::LegState;
use crate::media::{DigitSource, command::What, metrics::add, recording::Content, thread::Context};

impl LegState {
    /// Takes what waits on the leg's sockets, a few datagrams at most. The thread itself reads RTP for a
    /// bridged leg, and more often.
    pub(super) fn listen(&mut self, context: &mut Context, buffer: &mut [u8]) {
        self.follow_latch(context);
        if self.bridge.is_none() {
            self.listen_rtp(context, buffer, None);
        }
        self.listen_rtcp(context, buffer);
        let (key, events) = (self.key, &mut self.events);
        events.handle_timeout(context.now, |press| {
            add(&context.counters.digits_rfc4733, 1);
            let digit = What::Digit { digit: press.digit, source: DigitSource::Rfc4733 };
            context.report_once(key, digit);
        });
    }

    /// Takes what waits on the RTP socket, and gives it to the partner on a bridge.
    pub(crate) fn listen_rtp(
        &mut self,
        context: &mut Context,
        buffer: &mut [u8],
        mut partner: Option<&mut Self>,
    ) {
        let most = if self.is_watched() { DATAGRAMS_PER_TICK } else { DATAGRAMS_PER_VISIT };
        for _ in 0..most {
            let Some((len, source)) = next_datagram(&self.socket, buffer) else { break };
            let datagram = buffer.get_mut(..len).unwrap_or_default();
            self.take_datagram(context, source, datagram, partner.as_deref_mut());
        }
    }

    /// Filters to the known source in the kernel, and stops that while another may be learnt.
    fn follow_latch(&mut self, context: &Context) {
        let Some(latch) = &self.latch else { return };
        let filter = latch.is_latched() && !latch.is_open(context.now);
        if filter == self.connected {
            return;
        }
        let done = match latch.destination() {
            Some(source) if filter => self.socket.connect(source).is_ok(),
            _ => rustix::net::connect_unspec(&self.socket).is_ok(),
        };
        if done {
            self.connected = filter;
        }
    }

    fn take_datagram(
        &mut self,
        context: &mut Context,
        source: SocketAddr,
        datagram: &mut [u8],
        partner: Option<&mut Self>,
    ) {
        if is_rtcp(datagram) {
            return self.take_rtcp(context, source, datagram, true);
        }
        // Before anything is learnt from it.
        let Some(datagram) = self.unprotect_rtp(context, datagram) else { return };
        let Some(latch) = &mut self.latch else { return };
        let Ok(packet) = Packet::parse(datagram) else {
            add(&context.counters.malformed, 1);
            return;
        };
        let strangers = latch.wrong_source_count();
        match latch.handle(context.now, source, &packet.header) {
            Verdict::Accepted => self.take_packet(context, &packet, partner),
            Verdict::Latched(source) => {
                self.follow_latch(context);
                context.report_once(self.key, What::Latched(source));
                self.take_packet(context, &packet, partner);
            }
            Verdict::Probation => {}
            Verdict::Dropped if latch.wrong_source_count() > strangers => {
                add(&context.counters.wrong_source, 1);
            }
            Verdict::Dropped => add(&context.counters.malformed, 1),
        }
    }

    fn take_packet(&mut self, context: &mut Context, packet: &Packet<'_>, partner: Option<&mut Self>) {
        self.reception.handle(context.now, &packet.header);
        self.heard = true;
        add(&context.counters.received, 1);
        self.note_life(context);
        self.hand_to_recorder(context, packet);
        let header = &packet.header;
        if self.telephone_event == Some(header.payload_type) {
            let key = self.key;
            self.events.handle(context.now, header.ssrc, header.timestamp, packet.payload, |press| {
                add(&context.counters.digits_rfc4733, 1);
                let digit = What::Digit { digit: press.digit, source: DigitSource::Rfc4733 };
                context.report_once(key, digit);
            });
        } else if self.telephone_event.is_none() && header.payload_type == self.payload_type {
            self.listen_for_tones(context, packet.payload);
        }
        if let Some(partner) = partner {
            self.hand_over(context, packet, partner);
        }
    }

    /// What is not to be heard, because we hold the other side, is not to be kept either.
    fn hand_to_recorder(&mut self, context: &Context, packet: &Packet<'_>) {
        let Some(tap) = self.tap.as_mut().filter(|_| self.direction.receives()) else { return };
        let header = &packet.header;
        if header.payload_type == self.payload_type {
            tap.take(context.now, header, Content::Audio(self.law), packet.payload);
        } else if self.telephone_event == Some(header.payload_type)
            && let Some(event) = EventPayload::parse(packet.payload)
        {
            tap.take(context.now, header, Content::Event { duration: event.duration }, &[]);
        }
    }

    /// Only where telephone events were not agreed: a caller that sends both would be heard twice.
    fn listen_for_tones(&mut self, context: &mut Context, payload: &[u8]) {
        let key = self.key;
        self.detector.handle_g711(self.law, payload, |digit| {
            add(&context.counters.digits_inband, 1);
            context.report_once(key, What::Digit { digit, source: DigitSource::Inband });
        });
    }

    fn listen_rtcp(&mut self, context: &mut Context, buffer: &mut [u8]) {
        for _ in 0..DATAGRAMS_PER_VISIT {
            let Some(socket) = self.control.socket() else { return };
            let Some((len, source)) = next_datagram(socket, buffer) else { return };
            self.take_rtcp(context, source, buffer.get_mut(..len).unwrap_or_default(), false);
        }
    }

    /// RTCP is believed from the host that RTP comes from; its port may be another one's translation.
    fn take_rtcp(
        &mut self,
        context: &mut Context,
        source: SocketAddr,
        datagram: &mut [u8],
        shared_port: bool,
    ) {
        let peer = self.latch.as_ref().and_then(|latch| latch.destination());
        if peer.is_none_or(|peer| peer.ip() != source.ip() || (shared_port && peer != source)) {
            add(&context.counters.wrong_source, 1);
            return;
        }
        let Some(datagram) = self.unprotect_rtcp(context, datagram) else { return };
        if self.control.take(context.now, datagram, (!shared_port).then_some(source)) {
            self.heard = true;
            self.note_life(context);
        } else {
            add(&context.counters.malformed, 1);
        }
    }

    /// Sends a report when one is due.
    pub(super) fn report_rtcp(&mut self, context: &mut Context) {
        if !self.control.is_due(context.now) {
            return;
        }
        if self.control.wants_socket() {
            // With a full ring it is asked for again when the next report is due.
            context.report(self.key, What::WantsRtcp).ok();
        } else {
            let timestamp = self.timestamp;
            let block = self.reception.report();
            self.send_rtcp(context.now, timestamp, block, false);
        }
    }

    /// The last report, with BYE: the other side need not wait for a time-out.
    pub(super) fn say_goodbye(&mut self, now: std::time::Instant) {
        if self.latch.is_some() {
            let block = self.reception.report();
            self.send_rtcp(now, self.timestamp, block, true);
        }
    }

    fn send_rtcp(
        &mut self,
        now: std::time::Instant,
        timestamp: rtp_proto::rtp::RtpTimestamp,
        block: Option<rtp_proto::rtcp::ReportBlock>,
        bye: bool,
    ) {
        let Some(peer) = self.latch.as_ref().and_then(|latch| latch.destination()) else { return };
        let latched = self.latch.as_ref().is_some_and(|latch| latch.is_latched());
        let mut buffer = [0; RTCP_BYTES_MAX + OVERHEAD_MAX];
        let Some(room) = buffer.get_mut(..RTCP_BYTES_MAX) else { return };
        let len = self.control.write(now, timestamp, block, bye, room).map(<[u8]>::len);
        let len = len.and_then(|len| self.protect_rtcp(&mut buffer, len));
        let Some(datagram) = len.and_then(|len| buffer.get(..len)) else { return };
        // Nothing depends on a report: the next one comes in five seconds.
        let _sent = match self.control.socket() {
            Some(socket) => socket.send_to(datagram, self.control.destination(peer, latched)),
            None if !self.control.shares_port() => return,
            None if self.connected => self.socket.send(datagram),
            None => self.socket.send_to(datagram, peer),
        };
    }
}

/// The next datagram that waits; errors that an ICMP message left on the socket are passed over.
fn next_datagram(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    for _ in 0..ERRORS_PER_VISIT {
        match socket.recv_from(buffer) {
            Ok(datagram) => return Some(datagram),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(_) => {}
        }
    }
    None
}

/// Four times what a sender at 10 ms needs in a turn, so that a backlog drains and a flood does not rule.
const DATAGRAMS_PER_VISIT: usize = 8;
/// The same for a leg that is looked at every millisecond: what a peer can make us relay has a limit.
const DATAGRAMS_PER_TICK: usize = 2;
const ERRORS_PER_VISIT: usize = 3;
const RTCP_BYTES_MAX: usize = 160;
