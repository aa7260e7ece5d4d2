//! The way in: what every message must pass before it reaches a call.
//!
//! Order: framing → version → typed headers → transaction (retransmission, ACK, CANCEL) → method →
//! scheme → extensions → dialog or new call. The RFC wants the transaction before the rest
//! (RFC 3261 §8.2), so that a retransmission is never judged twice.

use std::time::Instant;

use super::{Endpoint, HangUpCause, Outputs, Path, Wake, respond::ALLOW, tables::ServerMachine};
use crate::{
    header::{BRANCH_COOKIE, HeaderName},
    message::{Message, Method, ParseError, StartLine},
    transaction::Step,
    uri::{Scheme, Uri},
};

/// Extensions that a request may require of us.
const KNOWN_EXTENSIONS: [&str; 2] = ["100rel", "timer"];

impl Endpoint {
    /// Takes one datagram, or one framed message of a stream.
    pub fn receive(&mut self, now: Instant, path: Path, bytes: &[u8], out: &mut Outputs) {
        match Message::parse(bytes) {
            Ok(message) => match message.start {
                StartLine::Request { .. } => self.request(now, path, &message, out),
                StartLine::Response { status, .. } => {
                    if message.check().is_ok() {
                        self.response(now, status, &message, out);
                    }
                }
            },
            Err(error) => self.malformed(path, error, out),
        }
    }

    /// Refuses a new INVITE without keeping anything, for overload; other messages are left alone.
    /// Whether it was one that was refused.
    pub fn refuse_overload(&mut self, path: Path, bytes: &[u8], retry_after: u32, out: &mut Outputs) -> bool {
        let Ok(message) = Message::parse(bytes) else { return false };
        let new =
            message.method() == Some(Method::Invite) && message.to().is_some_and(|to| to.tag().is_none());
        if new {
            let seconds = retry_after.to_string();
            self.respond_stateless(
                &message,
                path,
                (503, "Service Unavailable"),
                &[("Retry-After", &seconds)],
                out,
            );
        }
        new
    }

    fn malformed(&mut self, path: Path, error: ParseError<'_>, out: &mut Outputs) {
        let Some(message) = error.salvage else { return };
        if matches!(message.start, StartLine::Request { .. }) {
            self.respond_stateless(&message, path, (400, error.reason), &[], out);
        }
    }

    fn request(&mut self, now: Instant, path: Path, message: &Message<'_>, out: &mut Outputs) {
        let StartLine::Request { method, uri, version_known, .. } = message.start else { return };
        if !version_known {
            return self.respond_stateless(message, path, (505, "Version Not Supported"), &[], out);
        }
        if let Err(bad) = message.check() {
            return self.respond_stateless(message, path, (400, bad.0), &[], out);
        }
        let Some(via) = message.top_via() else { return };
        if via.branch.is_some_and(|branch| branch == BRANCH_COOKIE) {
            return self.respond_stateless(message, path, (400, "Empty Branch"), &[], out);
        }
        let key = self.server_key(message, &via, method);
        if let Some(handle) = self.server_index.get(&key).copied() {
            return self.known_transaction(now, handle, method, message, out);
        }
        if method == Method::Ack {
            return self.acknowledged(now, message, out);
        }
        if method == Method::Cancel {
            return self.cancel(now, path, message, out);
        }
        if method == Method::Unknown {
            return self.respond(now, message, path, 501, (&[("Allow", ALLOW)], None), out);
        }
        if !matches!(
            method,
            Method::Invite
                | Method::Bye
                | Method::Options
                | Method::Info
                | Method::Prack
                | Method::Update
                | Method::Refer
        ) {
            return self.respond(now, message, path, 405, (&[("Allow", ALLOW)], None), out);
        }
        if !matches!(Uri::parse(uri).map(|uri| uri.scheme), Ok(Scheme::Sip | Scheme::Sips | Scheme::Tel)) {
            return self.refuse(now, path, message, 416, &[], out);
        }
        if let Some(unknown) = unsupported(message) {
            return self.refuse(now, path, message, 420, &[("Unsupported", &unknown)], out);
        }
        if message.to().is_some_and(|to| to.tag().is_some()) {
            return self.in_dialog(now, path, message, out);
        }
        if method == Method::Invite {
            self.invite(now, path, message, out);
        } else if method == Method::Options {
            match self.draining {
                Some(seconds) => {
                    let extra = [("Retry-After", seconds.to_string())];
                    let extra = extra.each_ref().map(|(name, value)| (*name, value.as_str()));
                    self.respond(now, message, path, 503, (&extra, None), out);
                }
                None => self.options(now, path, message, out),
            }
        } else {
            self.respond(now, message, path, 481, (&[], None), out);
        }
    }

    /// Refuses a request before anything was made of it. An INVITE is refused without a transaction: a
    /// retransmission is refused again in the same words (RFC 3261 §8.2.7), its ACK matches nothing.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        path: Path,
        message: &Message<'_>,
        status: u16,
        extra: &[super::respond::Extra<'_>],
        out: &mut Outputs,
    ) {
        if message.method() == Some(Method::Invite) {
            let reason = crate::builder::reason_phrase(status);
            self.respond_stateless(message, path, (status, reason), extra, out);
        } else {
            self.respond(now, message, path, status, (extra, None), out);
        }
    }

    pub(super) fn options(&mut self, now: Instant, path: Path, message: &Message<'_>, out: &mut Outputs) {
        let extra =
            [("Allow", ALLOW), ("Accept", super::respond::ACCEPT), ("Supported", super::respond::SUPPORTED)];
        self.respond(now, message, path, 200, (&extra, None), out);
    }

    /// A retransmission, or the ACK of a refused INVITE.
    fn known_transaction(
        &mut self,
        now: Instant,
        handle: super::tables::Handle,
        method: Method,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let Some(entry) = self.servers.entry(handle) else { return };
        let step = match &mut entry.machine {
            ServerMachine::Invite(machine) if method == Method::Ack => {
                machine.ack(now, &self.settings.timers)
            }
            ServerMachine::Invite(machine) => machine.request(),
            ServerMachine::Other(machine) => machine.request(),
        };
        match step {
            Step::Resend if !entry.last_response.is_empty() => {
                let bytes = &entry.last_response;
                out.repeat(entry.path, bytes);
            }
            // The ACK of a 2xx has its own branch, but RFC 2543 peers reuse the INVITE's.
            Step::Deliver => self.acknowledged(now, message, out),
            Step::Terminated => self.forget_server(handle),
            Step::Resend | Step::Nothing | Step::TimedOut | Step::Acknowledge { .. } => {
                let deadline = match &entry.machine {
                    ServerMachine::Invite(machine) => machine.deadline(),
                    ServerMachine::Other(machine) => machine.deadline(),
                };
                self.wake_at(deadline.map(|(at, _)| at), Wake::Server(handle));
            }
        }
    }

    /// RFC 3261 §9.2.
    fn cancel(&mut self, now: Instant, path: Path, message: &Message<'_>, out: &mut Outputs) {
        let invite = message.top_via().map(|via| self.server_key(message, &via, Method::Invite));
        let Some(handle) = invite.and_then(|key| self.server_index.get(&key).copied()) else {
            return self.respond(now, message, path, 481, (&[], None), out);
        };
        let call = self.servers.entry(handle).and_then(|entry| entry.call);
        // RFC 3261 §9.2: the To tag of the responses to the INVITE.
        let tag = call.and_then(|call| self.calls.entry(call)).map(|call| call.dialog.local_tag.clone());
        self.respond_tagged(now, message, path, 200, (&[], None), tag.as_deref(), out);
        if let Some(call) = call {
            self.end_early(now, call, 487, Some(HangUpCause::Cancelled), &[], out);
        }
    }
}

/// The extensions that are required and unknown, as the value of Unsupported.
fn unsupported(message: &Message<'_>) -> Option<String> {
    let unknown: Vec<_> = [HeaderName::Require, HeaderName::ProxyRequire]
        .into_iter()
        .flat_map(|name| message.elements(name))
        .filter(|tag| !KNOWN_EXTENSIONS.iter().any(|known| tag.eq_ignore_ascii_case(known.as_bytes())))
        .map(String::from_utf8_lossy)
        .collect();
    (!unknown.is_empty()).then(|| unknown.join(", "))
}
