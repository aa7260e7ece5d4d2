//! A leg that is bridged: what comes in goes out at its partner, on the partner's own line.
//!
//! The partner's line stays one line (see [`rtp_proto::relay`]): a playback, a digit or a keep-alive on it
//! interrupts the relay, and the next packet that comes goes on behind it, with a marker.

use rtp_proto::{
    dtmf::{EventPayload, EventSender},
    g711::{Law, alaw_to_ulaw_in_place, ulaw_to_alaw_in_place},
    relay::{Content, Line, Rewrite},
    rtp::{HEADER_LEN, Header, Packet, RtpTimestamp},
    srtp::OVERHEAD_MAX,
};

use super::{LegState, send::PACKET_BYTES_MAX};
use crate::media::{
    command::LegKey,
    metrics::add,
    thread::{Context, DATAGRAM_BYTES_MAX},
};

/// What a leg that is bridged or sends digits needs besides; kept apart from the hot state.
#[derive(Debug, Default)]
pub(super) struct Relay {
    pub(super) rewrite: Rewrite,
    pub(super) digits: EventSender,
}

/// The other end of a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    partner: LegKey,
    /// The thread looks at the socket every millisecond; without that it is read in the leg's slot.
    watched: bool,
}

/// A packet on its way from one leg to the other.
struct Relayed<'p> {
    header: &'p Header,
    payload: &'p [u8],
    law: Law,
    content: Content,
    /// Of a kind that a partner may have agreed to.
    known: bool,
}

impl LegState {
    /// From now on what comes in goes to the partner.
    pub(crate) fn join(&mut self, partner: LegKey, watched: bool) {
        self.bridge = Some(Bridge { partner, watched });
        self.relay.rewrite.reset();
    }

    /// The end of the bridge; the leg goes on alone. Says who the partner was.
    pub(crate) fn part(&mut self) -> Option<LegKey> {
        self.bridge.take().map(|bridge| bridge.partner)
    }

    /// The other end of the bridge.
    pub(crate) fn partner(&self) -> Option<LegKey> {
        self.bridge.map(|bridge| bridge.partner)
    }

    /// Whether its socket is read every millisecond.
    pub(crate) fn is_watched(&self) -> bool {
        self.bridge.is_some_and(|bridge| bridge.watched)
    }

    /// Takes a digit to send as a telephone event; false when it cannot be sent.
    pub(crate) fn send_digit(&mut self, digit: rtp_proto::dtmf::Digit, duration: u16) -> bool {
        self.telephone_event.is_some() && self.direction.sends() && self.relay.digits.press(digit, duration)
    }

    /// Gives a packet to the partner.
    pub(super) fn hand_over(&self, context: &mut Context, packet: &Packet<'_>, partner: &mut Self) {
        if !self.direction.receives() {
            partner.relay.rewrite.reset();
            return;
        }
        let header = &packet.header;
        let event = EventPayload::parse(packet.payload)
            .filter(|_| self.telephone_event == Some(header.payload_type))
            .map(|event| Content::Event { duration: event.duration });
        let is_audio = header.payload_type == self.payload_type && !packet.payload.is_empty();
        partner.relay(
            context,
            &Relayed {
                header,
                payload: packet.payload,
                law: self.law,
                content: event.unwrap_or(Content::Audio),
                known: event.is_some() || is_audio,
            },
        );
    }

    /// Sends a packet of the partner, unless something of our own is heard.
    fn relay(&mut self, context: &mut Context, relayed: &Relayed<'_>) {
        if self.playback.is_some() || self.relay.digits.is_busy() || !self.direction.sends() {
            self.relay.rewrite.reset();
            return;
        }
        let agreed = match relayed.content {
            _ if !relayed.known => None,
            Content::Audio => Some(self.payload_type),
            Content::Event { .. } => self.telephone_event,
        };
        let Some(payload_type) = agreed else {
            return self.relay.rewrite.withhold(context.now, relayed.header, relayed.content);
        };
        let line =
            Line { next: self.sequence, sent_until: self.sent_until, clock: self.clock_at(context.tick) };
        let Some(numbers) = self.relay.rewrite.pass(context.now, relayed.header, relayed.content, &line)
        else {
            return;
        };
        let header = Header {
            marker: numbers.marker,
            payload_type,
            sequence: numbers.sequence,
            timestamp: numbers.timestamp,
            ssrc: self.ssrc,
        };
        let mut buffer = [0; DATAGRAM_BYTES_MAX + OVERHEAD_MAX];
        let Some(body) = buffer.get_mut(HEADER_LEN..HEADER_LEN + relayed.payload.len()) else { return };
        body.copy_from_slice(relayed.payload);
        if relayed.content == Content::Audio {
            change_law(relayed.law, self.law, body);
        }
        // Its own sound is a change of speaker again.
        self.talking = false;
        if self.send(context, &header, relayed.content, relayed.payload.len(), &mut buffer) {
            add(&context.counters.relayed, 1);
        }
    }

    /// Sends the packet of a digit that is due, which takes the place of sound; false when there is no digit.
    pub(super) fn send_event(&mut self, context: &mut Context, samples: usize) -> bool {
        if !self.relay.digits.is_busy() {
            return false;
        }
        let payload_type = self.telephone_event.filter(|_| self.direction.sends());
        let Some(payload_type) = payload_type else {
            // The caller holds us since, or agreed on something else.
            add(&context.counters.digits_unsent, self.relay.digits.clear() as u64);
            return false;
        };
        self.talking = false;
        self.relay.rewrite.reset();
        self.pass_sent();
        let step = u16::try_from(samples).unwrap_or(u16::MAX);
        let Some(event) = self.relay.digits.next(self.timestamp, step) else { return true };
        if event.marker {
            add(&context.counters.digits_sent, 1);
        }
        let header = Header {
            marker: event.marker,
            payload_type,
            sequence: self.sequence,
            timestamp: event.timestamp,
            ssrc: self.ssrc,
        };
        let mut packet = [0; PACKET_BYTES_MAX];
        let payload = event.payload.to_bytes();
        if let Some(body) = packet.get_mut(HEADER_LEN..HEADER_LEN + payload.len()) {
            body.copy_from_slice(&payload);
        }
        let content = Content::Event { duration: event.payload.duration };
        self.send(context, &header, content, payload.len(), &mut packet);
        true
    }

    /// What the clock of the outgoing line shows at a tick, also between two packet times.
    fn clock_at(&self, tick: u64) -> RtpTimestamp {
        // `timestamp` is that of the packet time before `next_send`. Wraps like every RTP timestamp.
        let since = tick.wrapping_add(u64::from(self.ptime_ms)).wrapping_sub(self.next_send);
        self.timestamp.advanced(since.wrapping_mul(8) as u32)
    }
}

fn change_law(from: Law, to: Law, sound: &mut [u8]) {
    match (from, to) {
        (Law::Mu, Law::A) => ulaw_to_alaw_in_place(sound),
        (Law::A, Law::Mu) => alaw_to_ulaw_in_place(sound),
        (Law::Mu, Law::Mu) | (Law::A, Law::A) => {}
    }
}
