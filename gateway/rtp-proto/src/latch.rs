//! Symmetric RTP (RFC 4961, RFC 7362): which source is the caller's.
//!
//! Behind a NAT the address in SDP is not the one packets come from, so the source is learned from the
//! packets. Whoever can send to our port must not be able to take the stream over (AST-2017-005, AST-2017-008):
//!
//! * learning takes [`PROBATION`] packets in sequence, of one SSRC and of negotiated payload types;
//! * when the address in SDP is public, only that address may be learned (its port may differ);
//! * once learned, others are dropped and counted. Learning begins anew only for [`WINDOW`] after signalling
//!   ([`Latch::signalled`]), or for the same address and SSRC after [`SILENCE`] (a NAT that changed the port).
//!
//! With SRTP a packet comes here after it was authenticated. Sockets are not its matter: the caller connects
//! its socket on [`Verdict::Latched`] and may send to [`Latch::destination`] at any time.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use crate::rtp::{Header, PayloadTypes, SequenceNumber, Ssrc};

/// Packets in sequence that make a source the caller's.
pub const PROBATION: u8 = 3;

/// Silence of the learned source after which the same address and SSRC may come from another port.
pub const SILENCE: Duration = Duration::from_secs(5);

/// How long after signalling a known source may be replaced.
pub const WINDOW: Duration = Duration::from_secs(10);

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It comes from the caller: use it.
    Accepted,
    /// It completes a probation: connect to the source, send there from now on, and use the packet.
    Latched(SocketAddr),
    /// Its source may become the caller's; drop it.
    Probation,
    /// Not the caller's, or of a payload type that was not negotiated; drop it.
    Dropped,
}

/// The source of one stream: being learned, or known.
#[derive(Clone, Debug)]
pub struct Latch {
    signalled: SocketAddr,
    payload_types: PayloadTypes,
    locked: Option<Locked>,
    /// One place for the signalled address and one for all others, so that strangers cannot keep a
    /// caller from completing its probation.
    expected: Option<Candidate>,
    other: Option<Candidate>,
    wrong_source_count: u64,
    wrong_payload_count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Locked {
    source: SocketAddr,
    ssrc: Ssrc,
    heard: Instant,
    /// Signalling allowed another source at this time; this one stays until that has passed its probation.
    reopened: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: Ssrc,
    sequence: SequenceNumber,
    count: u8,
    heard: Instant,
}

impl Latch {
    /// A latch for the address and the payload types in the other side's SDP.
    pub const fn new(signalled: SocketAddr, payload_types: PayloadTypes) -> Self {
        Self {
            signalled,
            payload_types,
            locked: None,
            expected: None,
            other: None,
            wrong_source_count: 0,
            wrong_payload_count: 0,
        }
    }

    /// New SDP arrived (re-INVITE, UPDATE): the source may be learned anew. The one known stays in use
    /// until another has passed its probation, unless the address was changed to that of another host.
    pub fn signalled(&mut self, now: Instant, signalled: SocketAddr, payload_types: PayloadTypes) {
        let moved = self.signalled.ip() != signalled.ip();
        self.signalled = signalled;
        self.payload_types = payload_types;
        self.expected = None;
        self.other = None;
        if moved {
            self.locked = None;
        } else if let Some(locked) = &mut self.locked {
            locked.reopened = Some(now);
        }
    }

    /// Judges a packet by its source and header.
    pub fn handle(&mut self, now: Instant, source: SocketAddr, header: &Header) -> Verdict {
        let source = canonical(source);
        if !self.payload_types.contains(header.payload_type) {
            self.wrong_payload_count = self.wrong_payload_count.saturating_add(1);
            return Verdict::Dropped;
        }
        if let Some(locked) = self.locked.as_mut().filter(|locked| locked.source == source) {
            locked.heard = now;
            locked.ssrc = header.ssrc;
            return Verdict::Accepted;
        }
        if !self.may_learn(now, source, header.ssrc) {
            self.wrong_source_count = self.wrong_source_count.saturating_add(1);
            return Verdict::Dropped;
        }
        self.learn(now, source, header)
    }

    /// Where to send: the learned source, before that the address in SDP; `None` when SDP names no usable
    /// address (RFC 3264 §8.4: 0.0.0.0 or port 0).
    pub fn destination(&self) -> Option<SocketAddr> {
        match &self.locked {
            Some(locked) => Some(locked.source),
            None => Some(self.signalled).filter(|to| to.port() != 0 && !to.ip().is_unspecified()),
        }
    }

    /// Whether the source is known.
    pub const fn is_latched(&self) -> bool {
        self.locked.is_some()
    }

    /// Whether another source than the known one could be learned now: a connected socket must then be
    /// disconnected first, or the kernel drops its packets.
    pub fn is_open(&self, now: Instant) -> bool {
        self.locked.is_none_or(|locked| locked.is_reopened(now) || locked.is_silent(now))
    }

    /// Packets dropped because of where they came from.
    pub const fn wrong_source_count(&self) -> u64 {
        self.wrong_source_count
    }

    /// Packets dropped because of their payload type.
    pub const fn wrong_payload_count(&self) -> u64 {
        self.wrong_payload_count
    }

    fn may_learn(&self, now: Instant, source: SocketAddr, ssrc: Ssrc) -> bool {
        let by_address = !is_public(self.signalled.ip()) || canonical(self.signalled).ip() == source.ip();
        match self.locked {
            None => by_address,
            Some(locked) if locked.is_reopened(now) => by_address,
            Some(locked) => {
                by_address
                    && locked.is_silent(now)
                    && locked.source.ip() == source.ip()
                    && locked.ssrc == ssrc
            }
        }
    }

    fn learn(&mut self, now: Instant, source: SocketAddr, header: &Header) -> Verdict {
        let is_expected = source.ip() == canonical(self.signalled).ip();
        let place = if is_expected { &mut self.expected } else { &mut self.other };
        let fresh = Candidate { source, ssrc: header.ssrc, sequence: header.sequence, count: 1, heard: now };
        let candidate = match place {
            Some(known) if known.source == source => {
                let in_sequence = known.ssrc == header.ssrc && header.sequence == known.sequence.next();
                let count = if in_sequence { known.count.saturating_add(1) } else { 1 };
                Candidate { count, ..fresh }
            }
            // Two senders: the first keeps the place as long as it goes on sending.
            Some(known) if now.saturating_duration_since(known.heard) < CANDIDATE_GAP => {
                self.wrong_source_count = self.wrong_source_count.saturating_add(1);
                return Verdict::Dropped;
            }
            Some(_) | None => fresh,
        };
        if candidate.count < PROBATION {
            *place = Some(candidate);
            return Verdict::Probation;
        }
        self.expected = None;
        self.other = None;
        self.locked = Some(Locked { source, ssrc: header.ssrc, heard: now, reopened: None });
        Verdict::Latched(source)
    }
}

impl Locked {
    fn is_reopened(&self, now: Instant) -> bool {
        self.reopened.is_some_and(|since| now.saturating_duration_since(since) < WINDOW)
    }

    fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= SILENCE
    }
}

/// Whether an address is reachable from the whole Internet, so that no NAT stands before it.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_documentation()
                || v4.is_multicast()
                || shared
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(v6) => !(is_local_v6(v6) || v6.is_multicast()),
    }
}

fn is_local_v6(v6: Ipv6Addr) -> bool {
    v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
}

/// An IPv4 address as such even when a dual-stack socket reports it mapped into IPv6; without flow label.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(IpAddr::V4(v4), address.port()),
        IpAddr::V6(_) => address,
    }
}

/// A candidate that sent nothing for so long gives its place to another.
const CANDIDATE_GAP: Duration = Duration::from_millis(200);
