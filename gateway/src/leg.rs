//! The handle an edge gives the hub when a call is born: commands out, signals in.
//!
//! It breaks the circle: edges know the hub, the hub knows only legs. A leg is a call that came to us, or one
//! that we placed for a contact.

use std::{net::SocketAddr, sync::Arc};

use sip_proto::{
    digest::Login,
    endpoint::{CallKey, Command, HangUpCause, Party, Refer, Transport},
    sdp::{Codec, Negotiated, Srtp},
};
use tokio::sync::mpsc;
use vestibule_config::{compile::Trunk, document};
use vestibule_routing::{
    digit::Digit,
    id::TrunkId,
    journey::{RequestId, TargetIndex},
};

use crate::{sip::SipInbox, trunks::Way};

/// Which of a contact's legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegId {
    /// The caller's.
    Caller,
    /// That of whom a request has called, by the index among its targets.
    Callee(RequestId, TargetIndex),
}

/// What the signalling tells a contact of one of its legs.
#[derive(Clone, Debug)]
pub enum Signal {
    /// Media was agreed or changed.
    Media(Box<Negotiated>),
    /// A key came by INFO.
    Digit(Digit),
    /// A call that we placed was answered.
    Answered,
    /// A call that we placed was not answered: the SIP status. Nothing follows.
    Failed(u16),
    /// The other side asks to be put in touch with somebody else (REFER).
    Refer(Box<Refer>),
    /// The call is over. Nothing follows.
    HungUp(HangUpCause),
}

/// Where the signals of one leg go.
#[derive(Clone, Debug)]
pub struct SignalSink {
    leg: LegId,
    contact: mpsc::Sender<(LegId, Signal)>,
}

impl SignalSink {
    /// The way to a contact, for one of its legs.
    pub fn new(leg: LegId, contact: mpsc::Sender<(LegId, Signal)>) -> Self {
        Self { leg, contact }
    }

    /// Hands a signal over; false when the contact is gone or stuck.
    pub fn tell(&self, signal: Signal) -> bool {
        self.contact.try_send((self.leg, signal)).is_ok()
    }

    /// Whether the contact is gone.
    pub fn is_closed(&self) -> bool {
        self.contact.is_closed()
    }
}

/// A call that has just arrived.
#[derive(Debug)]
pub struct ArrivingCall {
    /// Its leg.
    pub leg: SignalLeg,
    /// What its INVITE says.
    pub invite: Box<sip_proto::endpoint::Invite>,
    /// The trunk it came by.
    pub trunk: TrunkId,
    /// Codecs allowed on that trunk, the most wanted first.
    pub codecs: Vec<Codec>,
    /// Whether media is encrypted on that trunk.
    pub srtp: Srtp,
}

/// Where a SIP request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// How.
    pub transport: Transport,
    /// To whom.
    pub peer: SocketAddr,
    /// The domain of the target, which the certificate of a TLS connection must name (RFC 5922 §7.3); none for
    /// other transports.
    pub domain: Option<Arc<str>>,
}

/// A call to be placed.
#[derive(Clone, Debug)]
pub struct Placing {
    /// The contact's story, which its messages belong to (see [`crate::sip::Capture`]).
    pub story: Arc<str>,
    /// Where the INVITE goes.
    pub to: Destination,
    /// The Request-URI.
    pub uri: String,
    /// Who calls; our own address where the host is empty.
    pub from: Party,
    /// Our media address as the outside sees it.
    pub media: SocketAddr,
    /// Codecs to offer, the most wanted first.
    pub codecs: Vec<Codec>,
    /// Whether media is encrypted.
    pub srtp: Srtp,
    /// What proves us, if the other side asks.
    pub login: Option<Login>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// Hops that the INVITE may make.
    pub max_forwards: u8,
    /// The trunk that it is a session of, whose limit it counts for.
    pub trunk: Option<TrunkId>,
}

impl Placing {
    /// Places it in another way.
    pub fn go_by(&mut self, way: Way) {
        let Way { to, uri, login, srtp, trunk } = way;
        self.to = to;
        self.login = login;
        self.trunk = trunk;
        self.srtp = srtp.unwrap_or_default();
        if let Some(uri) = uri {
            self.uri = uri;
        }
    }
}

/// How the SIP thread knows a call: a placed one has no key before the thread comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallRef {
    Arrived(CallKey),
    Placed(u64),
}

/// One call's signalling. Commands for a call that is gone are harmless.
#[derive(Clone, Debug)]
pub struct SignalLeg {
    pub(crate) call: CallRef,
    pub(crate) inbox: SipInbox,
}

impl SignalLeg {
    /// 180.
    pub fn ring(&self) {
        self.inbox.command(self.call, Command::Progress { status: 180 });
    }

    /// 200 with our media address as the outside sees it.
    pub fn answer(&self, media: SocketAddr, codecs: Vec<Codec>, srtp: Srtp) {
        self.inbox.command(self.call, Command::Answer { media, codecs, srtp });
    }

    /// A final refusal.
    pub fn reject(&self, status: u16, retry_after_seconds: Option<u32>) {
        self.inbox.command(self.call, Command::Reject { status, retry_after_seconds });
    }

    /// Ends the call, whatever state it is in: a placed one that is not answered is taken back.
    pub fn hang_up(&self, cause: u16) {
        self.inbox.command(self.call, Command::HangUp { cause });
    }

    /// Sends a key by INFO.
    pub fn press(&self, digit: Digit) {
        self.inbox.command(self.call, Command::Key { key: digit.as_char(), duration_ms: KEY_PRESS_MS });
    }

    /// Tells what came of a REFER; harmless when there was none.
    pub fn referred(&self, status: u16) {
        self.inbox.command(self.call, Command::Referred { status });
    }

    /// Places another call by the same edge; none when the edge is too busy.
    pub fn place(&self, placing: Placing, signals: SignalSink) -> Option<Self> {
        self.inbox.place(placing, signals)
    }
}

/// A trunk's encryption in the words of SDP.
pub(crate) fn srtp_of(trunk: &Trunk) -> Srtp {
    match trunk.srtp {
        document::Srtp::Off => Srtp::Off,
        document::Srtp::Allowed => Srtp::Allowed,
        document::Srtp::Required => Srtp::Required,
    }
}

/// How long a key is said to be pressed.
const KEY_PRESS_MS: u16 = 100;
