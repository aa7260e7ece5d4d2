//! The handle an edge gives the hub when a call is born: commands out, signals in.
//!
//! It breaks the circle: edges know the hub, the hub knows only legs.

use std::net::SocketAddr;

use sip_proto::{
    endpoint::{CallKey, Command},
    sdp::{Codec, Negotiated},
};
use vestibule_routing::{digit::Digit, id::TrunkId, outcome::Outcome};

use crate::sip::SipInbox;

/// What the signalling tells a contact.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// Media was agreed or changed.
    Media(Negotiated),
    /// A key came by INFO.
    Digit(Digit),
    /// The call is over.
    HungUp(Outcome),
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
}

/// One call's signalling. Commands for a call that is gone are harmless.
#[derive(Clone, Debug)]
pub struct SignalLeg {
    pub(crate) call: CallKey,
    pub(crate) inbox: SipInbox,
}

impl SignalLeg {
    /// 180.
    pub fn ring(&self) {
        self.inbox.command(self.call, Command::Progress { status: 180 });
    }

    /// 200 with our media address as the outside sees it.
    pub fn answer(&self, media: SocketAddr, codecs: Vec<Codec>) {
        self.inbox.command(self.call, Command::Answer { media, codecs });
    }

    /// A final refusal.
    pub fn reject(&self, status: u16, retry_after_seconds: Option<u32>) {
        self.inbox.command(self.call, Command::Reject { status, retry_after_seconds });
    }

    /// Ends the call, whatever state it is in.
    pub fn hang_up(&self, cause: u16) {
        self.inbox.command(self.call, Command::HangUp { cause });
    }
}
