//! Sending responses, and remembering them for retransmissions.

use std::{io::Write, net::SocketAddr, time::Instant};

use super::{
    Endpoint, Outputs, Path, Transport, Wake,
    tables::{Handle, ServerMachine, ServerTransaction},
};
use crate::{
    builder::{finish, reason_phrase, response_head, status_line},
    message::{Message, Method},
    transaction::server::Server,
};

/// Methods we take.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER";
/// Bodies we take in an INVITE.
pub(super) const ACCEPT: &str = "application/sdp, multipart/mixed";
/// Extensions we know.
pub(super) const SUPPORTED: &str = "100rel, timer";

/// One extra header of a response.
pub(super) type Extra<'a> = (&'a str, &'a str);

impl Endpoint {
    /// Where the response to a request goes: back over the connection; on UDP by RFC 3261 §18.2.2 and
    /// RFC 3581 §4.
    pub(super) fn response_path(request: &Message<'_>, path: Path) -> Path {
        if path.transport != Transport::Udp {
            return path;
        }
        match request.top_via() {
            Some(via) if !via.rport => {
                Path { peer: SocketAddr::new(path.peer.ip(), via.port.unwrap_or(5060)), ..path }
            }
            _ => path,
        }
    }

    /// Answers without any memory of it: refusals of broken requests, overload.
    pub(super) fn respond_stateless(
        &mut self,
        request: &Message<'_>,
        path: Path,
        (status, reason): (u16, &str),
        extra: &[Extra<'_>],
        out: &mut Outputs,
    ) {
        if request.method() == Some(Method::Ack) {
            return;
        }
        let tag = self.stateless_tag(request);
        let server = self.settings.server.as_str();
        out.message(Self::response_path(request, path), |buffer| {
            status_line(buffer, status, reason);
            response_head(buffer, request, path.peer, tag.as_bytes());
            extras(buffer, extra, server);
            finish(buffer, None);
        });
    }

    /// Answers a non-INVITE request, and keeps the answer for retransmissions (Timer J).
    pub(super) fn respond(
        &mut self,
        now: Instant,
        request: &Message<'_>,
        path: Path,
        status: u16,
        (extra, body): (&[Extra<'_>], Option<(&str, &[u8])>),
        out: &mut Outputs,
    ) {
        self.respond_tagged(now, request, path, status, (extra, body), None, out);
    }

    /// The same with a To tag that is known already; without one, a new one is made.
    #[expect(clippy::too_many_arguments, reason = "an answer has that many parts")]
    pub(super) fn respond_tagged(
        &mut self,
        now: Instant,
        request: &Message<'_>,
        path: Path,
        status: u16,
        (extra, body): (&[Extra<'_>], Option<(&str, &[u8])>),
        tag: Option<&[u8]>,
        out: &mut Outputs,
    ) {
        let made = tag.is_none().then(|| self.new_tag());
        let tag = tag.or(made.as_ref().map(String::as_bytes)).unwrap_or_default();
        let response_path = Self::response_path(request, path);
        let server = self.settings.server.as_str();
        let bytes = out.message(response_path, |buffer| {
            status_line(buffer, status, reason_phrase(status));
            response_head(buffer, request, path.peer, tag);
            extras(buffer, extra, server);
            finish(buffer, body);
        });
        // Timer J takes no time on reliable transports: nothing to remember.
        if path.transport.is_reliable() || self.servers.len() >= self.settings.transactions_max {
            return;
        }
        let (Some(via), Some(method)) = (request.top_via(), request.method()) else { return };
        let last_response = bytes.into();
        let machine = Server::completed(now, &self.settings.timers);
        let key = self.server_key(request, &via, method);
        let deadline = machine.deadline();
        let transaction = ServerTransaction {
            key,
            machine: ServerMachine::Other(machine),
            path: response_path,
            last_response,
            call: None,
        };
        if let Some(handle) = self.servers.insert(transaction) {
            self.server_index.insert(key, handle);
            self.wake_at(deadline.map(|(at, _)| at), Wake::Server(handle));
        }
    }

    /// Sends a response of an INVITE transaction from the lines kept of its request.
    pub(super) fn respond_invite(
        &mut self,
        now: Instant,
        (transaction, head): (Handle, &[u8]),
        status: u16,
        (extra, body): (&[Extra<'_>], Option<(&str, &[u8])>),
        out: &mut Outputs,
    ) -> Box<[u8]> {
        let server = self.settings.server.as_str();
        let Some(entry) = self.servers.entry(transaction) else { return Box::default() };
        let bytes: Box<[u8]> = out
            .message(entry.path, |buffer| {
                status_line(buffer, status, reason_phrase(status));
                buffer.extend_from_slice(head);
                extras(buffer, extra, server);
                finish(buffer, body);
            })
            .into();
        if let ServerMachine::Invite(machine) = &mut entry.machine {
            machine.responded(now, status, &self.settings.timers);
            let deadline = machine.deadline();
            // A 2xx is repeated by the call, everything else by the transaction.
            entry.last_response = if (200..300).contains(&status) { Box::default() } else { bytes.clone() };
            self.wake_at(deadline.map(|(at, _)| at), Wake::Server(transaction));
        }
        bytes
    }

    /// Wakes somebody; no deadline, no wake-up.
    pub(super) fn wake_at(&mut self, at: Option<Instant>, who: Wake) {
        if let Some(at) = at {
            self.wheel.insert(at, who);
        }
    }

    /// Inserts the call's soonest timer into the wheel, unless it is woken before anyway.
    pub(super) fn wake_call(&mut self, handle: Handle) {
        let horizon = self.wheel.horizon();
        let Some(call) = self.calls.entry(handle) else { return };
        let Some(deadline) = call.deadline() else { return };
        let at = horizon.map_or(deadline, |horizon| deadline.min(horizon));
        if call.wake_at.is_none_or(|soonest| at < soonest) {
            call.wake_at = Some(at);
            self.wake_at(Some(at), Wake::Call(handle));
        }
    }
}

fn extras(buffer: &mut Vec<u8>, extra: &[Extra<'_>], server: &str) {
    for (name, value) in extra {
        crate::builder::line(buffer, name, crate::builder::clean(value).as_bytes());
    }
    if !server.is_empty() {
        write!(buffer, "Server: {server}\r\n").ok();
    }
}
