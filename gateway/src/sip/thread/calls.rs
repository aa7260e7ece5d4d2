//! The calls that contacts look after, as the SIP thread knows them: who is told what of each.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use sip_proto::{
    endpoint::{CallError, CallKey, Command, Event, Invite, Listener, Path, Target, Transport},
    sdp::Codec,
};
use vestibule_config::{compile::Trunk, document as config_codec};
use vestibule_routing::digit::Digit;

use super::{SipThread, streams::Peer};
use crate::{
    leg::{ArrivingCall, CallRef, Destination, LegId, Placing, Signal, SignalLeg, SignalSink, srtp_of},
    sip::{
        credentials::Verdict,
        gate::{Guest, TrunkPlace},
    },
    telemetry::SipRejection,
};

/// Calls that contacts look after.
#[derive(Debug, Default)]
pub(super) struct Calls {
    live: HashMap<CallKey, LiveCall>,
    /// Calls that we placed, by the names that contacts gave them.
    placed: HashMap<u64, CallKey>,
}

/// One of them, and what ends with it.
#[derive(Debug)]
struct LiveCall {
    signals: SignalSink,
    /// When it came, until it has an answer above 100.
    unanswered: Option<Instant>,
    placed: Option<u64>,
    _trunk: Option<TrunkPlace>,
    _guest: Option<Guest>,
}

impl Calls {
    fn insert(&mut self, key: CallKey, call: LiveCall) {
        if let Some(id) = call.placed {
            self.placed.insert(id, key);
        }
        self.live.insert(key, call);
    }

    fn key(&self, call: CallRef) -> Option<CallKey> {
        match call {
            CallRef::Arrived(key) => Some(key),
            CallRef::Placed(id) => self.placed.get(&id).copied(),
        }
    }

    fn forget(&mut self, key: CallKey) {
        if let Some(id) = self.live.remove(&key).and_then(|call| call.placed) {
            self.placed.remove(&id);
        }
    }
}

/// What one of our sockets can reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) transport: Transport,
    pub(super) bound: SocketAddr,
}

impl Reach {
    /// The socket as the endpoint knows it.
    pub(super) fn listener(self, advertised: Option<IpAddr>) -> Listener {
        let mut address = self.bound;
        if let Some(ip) = advertised {
            address.set_ip(ip);
        }
        Listener { transport: self.transport, advertised: address }
    }

    pub(super) fn reaches(self, transport: Transport, to: SocketAddr) -> bool {
        let (own, peer) = (self.bound.ip(), to.ip());
        self.transport == transport
            && own.is_ipv4() == peer.is_ipv4()
            && (own.is_unspecified() || own.is_loopback() == peer.is_loopback())
    }
}

impl SipThread {
    /// Does what a contact wants of a call.
    pub(super) fn command(&mut self, now: Instant, call: CallRef, command: Command) {
        let Some(key) = self.calls.key(call) else { return };
        if let Some(came) = self.calls.live.get_mut(&key).and_then(|call| call.unanswered.take()) {
            self.admission.answered(now.saturating_duration_since(came));
        }
        let last = matches!(command, Command::HangUp { .. } | Command::Reject { .. });
        self.endpoint.command(now, key, command, &mut self.out);
        if last {
            // Nothing more is told of it.
            self.forget(key);
        }
    }

    /// Places a call for a contact.
    pub(super) fn place(&mut self, now: Instant, id: u64, placing: Placing, signals: SignalSink) {
        let Placing { story, to, uri, from, media, codecs, srtp, login, headers, max_forwards, trunk } =
            placing;
        let own = (0_u16..).zip(&self.listeners).find(|(_, own)| own.reaches(to.transport, to.peer));
        let Some((listener, _)) = own else {
            tracing::warn!(transport = to.transport.as_str(), "no listener of ours reaches a target");
            return self.not_placed(&signals, 503);
        };
        let place = match trunk.as_ref().map(|trunk| self.gate.leave_by(trunk)).transpose() {
            Ok(place) => place.flatten(),
            Err(_) => {
                tracing::info!(
                    trunk = trunk.map(tracing::field::display),
                    "a trunk has as many calls as it may"
                );
                self.metrics.trunks_full.inc();
                return self.not_placed(&signals, 503);
            }
        };
        let Destination { transport, peer, domain } = to;
        let path =
            Path { transport, peer, listener, connection: self.connection_to(transport, peer, domain) };
        let target = Target { path, uri, from, media, codecs, srtp, login, headers, max_forwards };
        let guest = self.gate.invite(peer.ip());
        match self.endpoint.call(now, target, &mut self.out) {
            Ok(key) => {
                if let Some(call_id) = self.endpoint.call_id(key) {
                    self.capture.follow(call_id, &story);
                }
                let call = LiveCall {
                    signals,
                    unanswered: None,
                    placed: Some(id),
                    _trunk: place,
                    _guest: Some(guest),
                };
                self.calls.insert(key, call);
            }
            Err(error) => {
                tracing::warn!(%error, "a call was not placed");
                self.not_placed(&signals, status_of(error));
            }
        }
    }

    /// The connection that requests to a peer go by; none for datagrams.
    pub(super) fn connection_to(
        &mut self,
        transport: Transport,
        address: SocketAddr,
        domain: Option<Arc<str>>,
    ) -> Option<u64> {
        let connections = &self.connections;
        let peer = Peer { transport, address, domain };
        transport.is_reliable().then(|| self.streams.name(peer, || connections.next_id()))
    }

    /// New calls go to the hub, everything else to the contact task that looks after the call.
    pub(super) fn tell_contacts(&mut self) {
        // Refusing a call makes further output, never further events.
        for (call, event) in std::mem::take(&mut self.out.events) {
            let signal = match event {
                Event::Incoming(invite) => {
                    self.incoming(call, invite);
                    continue;
                }
                // Nobody waits for it: a call without an ACK is ended by the endpoint.
                Event::Acknowledged => {
                    self.keep(call);
                    continue;
                }
                // The caller hears the queue until the answer.
                Event::Progress(_) => continue,
                Event::Answered => {
                    self.keep(call);
                    Signal::Answered
                }
                Event::Failed(failure) => Signal::Failed(failure.status),
                Event::Media(agreed) => {
                    // A re-INVITE may have moved the other side.
                    if self.survivors.has(call.place()) {
                        self.keep(call);
                    }
                    Signal::Media(agreed)
                }
                Event::Refer(refer) => Signal::Refer(refer),
                Event::Digit(key) => match Digit::from_char(key) {
                    Some(digit) => Signal::Digit(digit),
                    None => continue,
                },
                Event::HungUp(cause) => Signal::HungUp(cause),
            };
            let over = matches!(signal, Signal::HungUp(_) | Signal::Failed(_));
            let Some(live) = self.calls.live.get(&call) else { continue };
            self.tell(&live.signals, signal);
            if over {
                self.forget(call);
            }
        }
    }

    /// Keeps what a process after this one needs to end the call.
    fn keep(&mut self, call: CallKey) {
        if let Some(dialog) = self.endpoint.saved(call) {
            self.survivors.keep(call.place(), &dialog.to_text());
        }
    }

    fn forget(&mut self, call: CallKey) {
        self.calls.forget(call);
        self.survivors.forget(call.place());
    }

    /// Ends calls of the process before, some at a time; whether more are left.
    pub(super) fn end_orphans(&mut self, now: Instant) -> bool {
        for _ in 0..ORPHANS_PER_TURN {
            let Some(orphan) = self.orphans.pop() else { return false };
            let path = orphan.path();
            let own = (0_u16..).zip(&self.listeners).find(|(_, own)| own.reaches(path.transport, path.peer));
            let Some((listener, _)) = own else { continue };
            let domain = orphan.peer_domain().map(Into::into);
            let connection = self.connection_to(path.transport, path.peer, domain);
            let orphan = orphan.by(listener, connection);
            // Its answer is let in for a while; it need not be on a trunk.
            drop(self.gate.invite(path.peer.ip()));
            self.endpoint.end_saved(now, &orphan, RESTARTED, &mut self.out);
        }
        !self.orphans.is_empty()
    }

    /// Ends every call, once: the process stops.
    pub(super) fn end_all(&mut self, now: Instant) {
        let all: Vec<CallKey> = self.calls.live.keys().copied().collect();
        for call in all {
            self.endpoint.command(now, call, Command::HangUp { cause: RESTARTED }, &mut self.out);
            self.forget(call);
        }
    }

    fn not_placed(&self, signals: &SignalSink, status: u16) {
        self.tell(signals, Signal::Failed(status));
    }

    fn tell(&self, signals: &SignalSink, signal: Signal) {
        if !signals.tell(signal) && !signals.is_closed() {
            // The channel holds more than a call can make of signals; its task is stuck.
            self.metrics.rings_full.inc();
        }
    }

    fn incoming(&mut self, call: CallKey, mut invite: Box<Invite>) {
        let now = Instant::now();
        let refuse = |this: &mut Self, status, reason| {
            this.metrics.rejected.of(reason).inc();
            let retry_after_seconds = (status == 503).then(|| this.retry_after.next());
            let command = Command::Reject { status, retry_after_seconds };
            this.endpoint.command(now, call, command, &mut this.out);
        };
        // The trunk may have been taken away between the datagram and here; over TCP and TLS this is the check.
        let proven = self.streams.proven(invite.path);
        let Some(trunk) = self.gate.trunk_of(invite.path.peer.ip(), &proven) else {
            return refuse(self, 403, SipRejection::Acl);
        };
        match self.credentials.judge(&self.gate, &trunk, &invite, now) {
            Verdict::Admitted => {}
            Verdict::Challenge(challenges) => {
                let command = Command::Challenge { challenges };
                return self.endpoint.command(now, call, command, &mut self.out);
            }
            Verdict::Refused(status) => return refuse(self, status, SipRejection::Auth),
        }
        let place = match self.gate.enter(&trunk, now) {
            Ok(place) => place,
            Err(_) => return refuse(self, 503, SipRejection::Rate),
        };
        if trunk.register.as_ref().is_some_and(|register| register.contact_user() == invite.user) {
            invite.user = called_number(&invite);
        }
        if !trunk.trusted {
            (invite.asserted, invite.diverted_from) = (None, None);
        }
        let leg = SignalLeg { call: CallRef::Arrived(call), inbox: self.inbox.clone() };
        let (codecs, srtp) = (codecs_of(&trunk), srtp_of(&trunk));
        let arriving = ArrivingCall { leg, invite, trunk: trunk.id.clone(), codecs, srtp };
        match self.hub.arrive(arriving) {
            Some(contact) => {
                let signals = SignalSink::new(LegId::Caller, contact);
                let live = LiveCall {
                    signals,
                    unanswered: Some(now),
                    placed: None,
                    _trunk: Some(place),
                    _guest: None,
                };
                self.calls.insert(call, live);
            }
            None => refuse(self, 503, SipRejection::Overload),
        }
    }
}

/// The cause of calls that end with the process: 503, since the caller may ring again.
const RESTARTED: u16 = 503;

/// Calls of the process before that are ended at once: a burst that sockets take.
const ORPHANS_PER_TURN: usize = 64;

/// The status that tells a contact why its call was not placed.
fn status_of(error: CallError) -> u16 {
    match error {
        CallError::Uri(_) | CallError::Kind => 400,
        CallError::TooManyHops => 483,
        CallError::Full => 503,
    }
}

/// The number that a call to a Contact which we registered is for: its Request-URI says only who registered.
fn called_number(invite: &Invite) -> String {
    let named = invite.called.as_ref().unwrap_or(&invite.to);
    if named.user.is_empty() { invite.user.clone() } else { named.user.clone() }
}

/// A trunk's codecs in the words of SDP.
fn codecs_of(trunk: &Trunk) -> Vec<Codec> {
    let codec = |codec: &config_codec::Codec| match codec {
        config_codec::Codec::Pcmu => Codec::Pcmu,
        config_codec::Codec::Pcma => Codec::Pcma,
    };
    trunk.codecs.iter().map(codec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_reaches_its_own_kind_of_addresses_only() {
        let reaches = |bound: &str, transport, peer: &str| {
            let own = Reach { transport: Transport::Udp, bound: bound.parse().unwrap() };
            own.reaches(transport, peer.parse().unwrap())
        };
        assert!(reaches("0.0.0.0:5060", Transport::Udp, "192.0.2.1:5060"));
        assert!(reaches("127.0.0.1:5060", Transport::Udp, "127.0.0.9:5060"));
        assert!(reaches("192.0.2.7:5060", Transport::Udp, "198.51.100.1:5060"));
        assert!(!reaches("127.0.0.1:5060", Transport::Udp, "192.0.2.1:5060"));
        assert!(!reaches("0.0.0.0:5060", Transport::Udp, "[::1]:5060"));
        assert!(!reaches("0.0.0.0:5060", Transport::Tcp, "192.0.2.1:5060"));
    }
}
