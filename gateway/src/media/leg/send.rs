//! The outgoing line of a leg: one packet each packet time while something plays.

use std::net::SocketAddr;

use rtp_proto::{
    relay::Content,
    rtp::{HEADER_LEN, Header},
    srtp::OVERHEAD_MAX,
};

use super::LegState;
use crate::media::{command::What, metrics::add, thread::Context};

impl LegState {
    /// Sends the packet that is due at this tick, if one is. When time was lost, the frames of that time are
    /// left out: position and timestamp go on, the sequence number counts only what is sent.
    pub(super) fn send_due(&mut self, context: &mut Context) {
        if context.tick < self.next_send {
            return;
        }
        let lost = self.keep_clock(context.tick);
        let samples = self.packet_samples();
        if lost > 0 && self.playback.is_some() {
            self.skipped += lost;
            add(&context.counters.skipped_frames, lost);
            if let Some(playback) = &mut self.playback {
                playback.skip(lost * samples as u64);
            }
        }
        if self.send_event(context, samples) {
            // What plays goes on unheard.
            if let Some(playback) = &mut self.playback {
                playback.skip(samples as u64);
            }
            self.end_playback(context);
            return;
        }
        if self.end_playback(context) {
            self.keep_alive(context);
            return;
        }
        let mut packet = [0; PACKET_BYTES_MAX];
        let Some(payload) = packet.get_mut(HEADER_LEN..HEADER_LEN + samples) else { return };
        if let Some(playback) = &mut self.playback {
            playback.fill(self.law, payload);
        }
        if self.direction.sends() {
            self.send_sound(context, &mut packet, samples);
        } else {
            self.talking = false;
        }
        // The last frame may have been this one; its end is told without waiting another turn.
        self.end_playback(context);
    }

    /// Moves the clock past this tick; how many whole packet times were lost before it. The timestamp then
    /// is that of the packet due now.
    pub(super) fn keep_clock(&mut self, tick: u64) -> u64 {
        if tick < self.next_send {
            return 0;
        }
        let ptime = u64::from(self.ptime_ms);
        let lost = (tick - self.next_send) / ptime;
        let periods = lost + 1;
        self.next_send += periods * ptime;
        // 8 samples a millisecond; wraps like every RTP timestamp.
        let units = periods.wrapping_mul(ptime).wrapping_mul(8);
        self.timestamp = self.timestamp.advanced(units as u32);
        lost
    }

    /// Moves the clock to the end of all that was sent: what was relayed may run ahead of it.
    pub(super) fn pass_sent(&mut self) {
        if self.sent_until.since(self.timestamp) > 0 {
            self.timestamp = self.sent_until;
        }
    }

    /// A new packet time. What the wheel cannot pace is brought to a multiple of 10 ms between 10 and 60.
    pub(super) fn set_ptime(&mut self, ptime_ms: u8) {
        let before = self.ptime_ms;
        self.ptime_ms = (ptime_ms / 10).clamp(1, 6) * 10;
        // The timestamp is that of one packet time before the next packet.
        let back = u32::from(before).wrapping_sub(u32::from(self.ptime_ms)).wrapping_mul(8);
        self.timestamp = self.timestamp.advanced(back);
    }

    /// Reports a playback that is over; true when nothing plays.
    fn end_playback(&mut self, context: &mut Context) -> bool {
        let Some(playback) = self.playback.take() else { return true };
        if !playback.is_done() {
            self.playback = Some(playback);
            return false;
        }
        if let Err(What::PlaybackDone(playback)) = context.report(self.key, What::PlaybackDone(playback)) {
            // A journey waits for it, so it is not lost: tried again in the next slot.
            self.playback = Some(playback);
        }
        true
    }

    /// Between playbacks nothing is sent, but for a frame of silence now and then: it keeps address
    /// translators open (RFC 6263) and carriers from thinking that we are gone.
    fn keep_alive(&mut self, context: &mut Context) {
        self.talking = false;
        if !self.direction.sends() || context.tick < self.last_sent + KEEP_ALIVE_MS {
            return;
        }
        let samples = self.packet_samples();
        let mut packet = [self.law.silence(); PACKET_BYTES_MAX];
        self.send_sound(context, &mut packet, samples);
        self.talking = false;
    }

    /// Sends sound of our own: on a bridge it stands in for the partner.
    fn send_sound(&mut self, context: &mut Context, packet: &mut [u8], samples: usize) {
        self.pass_sent();
        let header = Header {
            marker: !self.talking,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        self.talking = true;
        self.relay.rewrite.reset();
        self.send(context, &header, Content::Audio, samples, packet);
    }

    /// Sends a packet whose payload is in place, with [`OVERHEAD_MAX`] bytes of room behind it, and keeps the line's
    /// books; false when it could not be protected, or the kernel refused it.
    pub(super) fn send(
        &mut self,
        context: &mut Context,
        header: &Header,
        content: Content,
        payload_len: usize,
        packet: &mut [u8],
    ) -> bool {
        if let Some(head) = packet.first_chunk_mut::<HEADER_LEN>() {
            *head = header.to_bytes();
        }
        if header.sequence.since(self.sequence) >= 0 {
            self.sequence = header.sequence.next();
        }
        let (shown, until) = match content {
            // A byte of G.711 is a sample.
            Content::Audio => (header.timestamp, header.timestamp.advanced(payload_len as u32)),
            Content::Event { duration } => {
                let now = header.timestamp.advanced(u32::from(duration));
                (now, now)
            }
        };
        if until.since(self.sent_until) > 0 {
            self.sent_until = until;
        }
        self.last_sent = context.tick;
        let len = self.protect_rtp(packet, HEADER_LEN + payload_len);
        let sent = len.and_then(|len| packet.get(..len)).is_some_and(|packet| self.transmit(packet));
        if sent {
            self.sent += 1;
            self.control.sent(payload_len, shown, context.now);
            add(&context.counters.sent, 1);
        } else {
            add(&context.counters.send_errors, 1);
        }
        sent
    }

    /// ECONNREFUSED is the echo of an earlier packet (ICMP) and says nothing about this one, which was not
    /// sent; the call goes on, and one more try clears it.
    fn transmit(&self, packet: &[u8]) -> bool {
        let Some(remote) = self.latch.as_ref().and_then(|latch| latch.destination()) else { return false };
        (0..2).any(|_| self.transmit_once(packet, remote))
    }

    fn transmit_once(&self, packet: &[u8], remote: SocketAddr) -> bool {
        if self.connected {
            self.socket.send(packet).is_ok()
        } else {
            self.socket.send_to(packet, remote).is_ok()
        }
    }

    fn packet_samples(&self) -> usize {
        usize::from(self.ptime_ms) * 8
    }
}

/// 60 ms of G.711, and what protects it.
pub(super) const PACKET_BYTES_MAX: usize = HEADER_LEN + 480 + OVERHEAD_MAX;
const KEEP_ALIVE_MS: u64 = 15_000;
