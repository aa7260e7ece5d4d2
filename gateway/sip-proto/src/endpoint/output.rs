//! What an endpoint gives back: bytes to send and things that happened.

use super::{CallKey, Path, Reply};
use crate::sdp::Negotiated;

/// A reusable sink. All messages to send lie one after the other in one buffer.
#[derive(Debug, Default)]
pub struct Outputs {
    pub(super) buffer: Vec<u8>,
    pub(super) transmits: Vec<Transmit>,
    /// How many of the messages were sent before, and are repeated for want of an answer or because the request
    /// was.
    pub repeats: u64,
    /// What happened, in order.
    pub events: Vec<(CallKey, Event)>,
    /// What came of requests outside calls, in order.
    pub replies: Vec<Reply>,
}

/// One message to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub path: Path,
    start: usize,
    end: usize,
}

impl Outputs {
    /// Messages to send, in order.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = (Path, &[u8])> {
        self.transmits.iter().map(|t| (t.path, self.buffer.get(t.start..t.end).unwrap_or_default()))
    }

    /// Empties the sink, keeping its memory.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.transmits.clear();
        self.repeats = 0;
        self.events.clear();
        self.replies.clear();
    }

    /// Lists a message that was sent before.
    pub(super) fn repeat(&mut self, path: Path, bytes: &[u8]) {
        self.repeats = self.repeats.saturating_add(1);
        self.message(path, |buffer| buffer.extend_from_slice(bytes));
    }

    /// Lets `write` append one message, and lists it.
    pub(super) fn message(&mut self, path: Path, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let start = self.buffer.len();
        write(&mut self.buffer);
        let end = self.buffer.len();
        self.transmits.push(Transmit { path, start, end });
        self.buffer.get(start..end).unwrap_or_default()
    }
}

/// Something that happened to a call.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new call. The application answers, refuses or hangs up.
    Incoming(Box<Invite>),
    /// The caller has acknowledged our 200.
    Acknowledged,
    /// A provisional response (101–199) to a call of ours. [`Event::Media`] before [`Event::Answered`] is
    /// early media.
    Progress(u16),
    /// A call of ours was answered; what the answer agrees on came before, as [`Event::Media`].
    Answered,
    /// A call of ours was not taken; nothing follows.
    Failed(Box<Failure>),
    /// Media was agreed, or changed by a re-INVITE or UPDATE.
    Media(Box<Negotiated>),
    /// A digit came by INFO.
    Digit(char),
    /// The other side asks us to call somebody in its place (RFC 3515). It was told that we look at it;
    /// [`Command::Referred`](super::Command::Referred) tells what came of it.
    Refer(Box<Refer>),
    /// The call is over; nothing follows.
    HungUp(HangUpCause),
}

/// What a REFER asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refer {
    /// Whom to call: the URI of Refer-To, without its headers.
    pub target: String,
    /// The call that ours is to take the place of (RFC 3891): the value of the Replaces header that the
    /// INVITE has to carry.
    pub replaces: Option<String>,
    /// The URI of Referred-By (RFC 3892), as received and not verified.
    pub by: Option<String>,
}

/// Why a call of ours was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The final response's status, 300 to 699; 408 when none came, 503 when the INVITE could not be sent
    /// (RFC 3261 §8.1.3.1), 488 when the answer cannot be used.
    pub status: u16,
    /// The reason phrase as received, bytes that are not UTF-8 replaced; ours where no response came.
    pub reason: String,
    /// Seconds of a Retry-After header.
    pub retry_after_seconds: Option<u32>,
    /// The URIs of the Contact headers of a redirection (3xx), the most wanted first.
    pub contacts: Vec<String>,
}

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUpCause {
    /// The caller cancelled before the answer.
    Cancelled,
    /// The caller sent BYE.
    Bye,
    /// No ACK came within 64·T1; BYE was sent.
    NoAck,
    /// The session timer ran out, or a refresh failed; BYE was sent.
    SessionExpired,
    /// The offer could not be taken; 488 was sent, or BYE when it came in the ACK.
    MediaRefused,
}

/// What a new call's INVITE says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Where it came from.
    pub path: Path,
    /// The Call-ID as received, bytes that are not UTF-8 replaced.
    pub call_id: String,
    /// The Request-URI as received; credentials are made for it.
    pub request_uri: String,
    /// The Request-URI's user part, decoded, or the number of a `tel:` URI.
    pub user: String,
    /// The To header: whom the caller called, before anybody forwarded the call.
    pub to: Party,
    /// The P-Called-Party-ID header (RFC 7315 §4.2): for which of the addresses that are registered with one Contact
    /// the call is.
    pub called: Option<Party>,
    /// The From header.
    pub from: Party,
    /// The P-Asserted-Identity header (RFC 3325); to be believed only from trusted trunks.
    pub asserted: Option<Party>,
    /// Who had the call before it was diverted here, by Diversion (RFC 5806) or History-Info (RFC 7044), unless they
    /// want that withheld; to be believed only from trusted trunks.
    pub diverted_from: Option<Party>,
    /// Privacy asks that the identity be withheld (RFC 3323).
    pub private: bool,
    /// The INVITE carries an offer.
    pub has_offer: bool,
    /// The Authorization headers, as received: one for each realm or algorithm.
    pub authorization: Vec<String>,
    /// Hops that the request may still make (RFC 3261 §20.22), 70 when it does not say.
    pub max_forwards: u8,
}

/// One party's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// User part, decoded.
    pub user: String,
    /// Host.
    pub host: String,
    /// Display name.
    pub display: String,
}
