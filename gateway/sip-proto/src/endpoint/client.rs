//! Requests of ours within a call: BYE, and session refreshes by UPDATE or re-INVITE.

use std::time::Instant;

use super::{
    Endpoint, Event, HangUpCause, Outputs, Path, Wake,
    call::Phase,
    command::reason_value,
    session_timer,
    tables::{ClientMachine, ClientTransaction, Handle},
};
use crate::{
    builder::{finish, line},
    header::{HeaderName, SessionExpires},
    message::{Message, Method},
    sdp,
    transaction::{Step, client::Client, client_invite::ClientInvite},
};

impl Endpoint {
    /// Ends an answered call with BYE. The application is not told: it either asked, or is told by
    /// whoever calls this.
    pub(super) fn send_bye(&mut self, now: Instant, handle: Handle, cause: Option<u16>, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        call.phase = Phase::Ending;
        call.unacknowledged = None;
        call.session = None;
        let reason = cause.filter(|cause| *cause >= 300).map(reason_value);
        let extra: Vec<(&str, &str)> = reason.iter().map(|value| ("Reason", value.as_str())).collect();
        self.send_request(now, handle, Method::Bye, (&extra, None), out);
    }

    /// Refreshes the session: UPDATE where the other side allows it, else a re-INVITE that repeats our
    /// description.
    pub(super) fn refresh(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        let Some(timer) = call.session else { return };
        if call.refresh.is_some() || call.unacknowledged.is_some() {
            return;
        }
        let (update, path) = (call.peer.update, call.path);
        // In a request of ours we are the uac.
        let expires = format!("{};refresher=uac", timer.seconds);
        let contact = self.contact(path);
        let extra =
            [("Session-Expires", expires.as_str()), ("Supported", "timer"), ("Contact", contact.as_str())];
        if update {
            let sent = self.send_request(now, handle, Method::Update, (&extra, None), out);
            return self.refresh_sent(handle, sent);
        }
        // Unchanged, its version included: nothing is to be agreed anew (RFC 4028 §7.4).
        let body = self.calls.entry(handle).map(|call| call.description.to_string());
        let sent = self.send_request(now, handle, Method::Invite, (&extra, body.as_deref()), out);
        self.refresh_sent(handle, sent);
    }

    fn refresh_sent(&mut self, handle: Handle, transaction: Option<Handle>) {
        if let Some(call) = self.calls.entry(handle) {
            call.refresh = transaction;
        }
    }

    fn send_request(
        &mut self,
        now: Instant,
        handle: Handle,
        method: Method,
        (extra, body): (&[(&str, &str)], Option<&str>),
        out: &mut Outputs,
    ) -> Option<Handle> {
        let call = self.calls.entry(handle)?;
        let mut path = call.path;
        // A reliable transport's connection is used while it lasts; this is where to open the next one.
        path.peer = call.dialog.next_hop(path.peer);
        let (via, branch) = self.new_via(&path);
        let call = self.calls.entry(handle)?;
        let mut cseq = 0;
        let bytes = out.message(path, |buffer| {
            cseq = call.dialog.request(buffer, method, &via, None);
            for (name, value) in extra {
                line(buffer, name, value.as_bytes());
            }
            finish(buffer, body.map(|body| ("application/sdp", body.as_bytes())));
        });
        let reliable = path.transport.is_reliable();
        let machine = if method == Method::Invite {
            ClientMachine::Invite(ClientInvite::new(now, reliable, &self.settings.timers))
        } else {
            ClientMachine::Other(Client::new(now, reliable, &self.settings.timers))
        };
        let bytes = bytes.into();
        let key = self.client_key(branch.as_bytes(), method);
        let entry = ClientTransaction { key, machine, method, path, bytes, call: handle, cseq };
        let transaction = self.clients.insert(entry)?;
        self.client_index.insert(key, transaction);
        self.wake_client(transaction);
        Some(transaction)
    }

    /// A response: to one of our requests, or to nothing, and then it is dropped.
    pub(super) fn response(&mut self, now: Instant, status: u16, message: &Message<'_>, out: &mut Outputs) {
        // RFC 3261 §18.1.2: with more than one Via it is not for us.
        if message.elements(HeaderName::Via).count() != 1 {
            return;
        }
        let Some(branch) = message.top_via().and_then(|via| via.branch) else { return };
        let Some(method) = message.cseq_method() else { return };
        let key = self.client_key(branch, method);
        let Some(handle) = self.client_index.get(&key).copied() else { return };
        let Some(entry) = self.clients.entry(handle) else { return };
        let step = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.response(now, status, &self.settings.timers),
            ClientMachine::Other(machine) => machine.response(now, status, &self.settings.timers),
        };
        let (call, method, cseq, path) = (entry.call, entry.method, entry.cseq, entry.path);
        match step {
            Step::Deliver if method == Method::Invite && (200..300).contains(&status) => {
                self.acknowledge(call, path, cseq, out);
                self.refreshed(now, call, status, message, out);
            }
            Step::Deliver if method == Method::Bye => self.forget_call(call),
            Step::Deliver if status >= 200 => self.refreshed(now, call, status, message, out),
            Step::Acknowledge { first } => {
                self.acknowledge_refusal(handle, message, out);
                if first {
                    self.refreshed(now, call, status, message, out);
                }
            }
            Step::Deliver | Step::Nothing | Step::Resend | Step::TimedOut | Step::Terminated => {}
        }
        self.wake_client(handle);
    }

    /// The ACK of a 2xx: a request of its own within the dialog (RFC 3261 §13.2.2.4).
    fn acknowledge(&mut self, call: Handle, path: Path, cseq: u32, out: &mut Outputs) {
        let (via, _) = self.new_via(&path);
        if let Some(call) = self.calls.entry(call) {
            out.message(path, |buffer| {
                call.dialog.request(buffer, Method::Ack, &via, Some(cseq));
                finish(buffer, None);
            });
        }
    }

    /// The ACK of a refusal: part of the transaction, with the INVITE's own Via (RFC 3261 §17.1.1.3).
    fn acknowledge_refusal(&mut self, handle: Handle, response: &Message<'_>, out: &mut Outputs) {
        let Some(entry) = self.clients.entry(handle) else { return };
        let Ok(invite) = Message::parse(&entry.bytes) else { return };
        let crate::message::StartLine::Request { uri, .. } = invite.start else { return };
        out.message(entry.path, |buffer| {
            buffer.extend_from_slice(b"ACK ");
            buffer.extend_from_slice(uri);
            buffer.extend_from_slice(b" SIP/2.0\r\n");
            for (name, source) in [
                (HeaderName::Via, &invite),
                (HeaderName::Route, &invite),
                (HeaderName::From, &invite),
                (HeaderName::To, response),
                (HeaderName::CallId, &invite),
            ] {
                for value in source.all(name) {
                    line(buffer, name.as_str(), value);
                }
            }
            line(buffer, "CSeq", format!("{} ACK", entry.cseq).as_bytes());
            line(buffer, "Max-Forwards", b"70");
            finish(buffer, None);
        });
    }

    /// The final answer to a refresh.
    fn refreshed(
        &mut self,
        now: Instant,
        handle: Handle,
        status: u16,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let min_se = self.settings.min_se_seconds;
        let Some(call) = self.calls.entry(handle) else { return };
        call.refresh = None;
        // Our BYE went out meanwhile: there is no session left to refresh or to end.
        if call.phase != Phase::Answered {
            return;
        }
        match status {
            200..=299 => {
                call.dialog.refresh_target(message);
                let agreed = message.header(HeaderName::SessionExpires).and_then(SessionExpires::parse);
                let seconds = agreed.map(|a| a.seconds.max(min_se)).or(call.session.map(|s| s.seconds));
                // In the answer to our request, `uac` is us.
                let ours = agreed.and_then(|a| a.refresher_is_uac).unwrap_or(true);
                call.session = seconds.map(|seconds| session_timer::started(seconds, ours, now));
                let agreed = call.media.as_ref().and_then(|local| {
                    sdp::accept_answer(&sdp::read(message.description().sdp()?).ok()?, local).ok()
                });
                if let Some(agreed) = agreed.filter(|agreed| call.negotiated != Some(*agreed)) {
                    call.negotiated = Some(agreed);
                    out.events.push((handle, Event::Media(agreed)));
                }
                self.wake_call(handle);
            }
            // RFC 3261 §12.2.1.2: the other side knows nothing of the call any more.
            408 | 481 => {
                out.events.push((handle, Event::HungUp(HangUpCause::SessionExpired)));
                self.send_bye(now, handle, Some(408), out);
            }
            // Glare or a refusal: the session runs on until its timer ends it; try again shortly before.
            _ => {
                if let Some(session) = &mut call.session {
                    let left = session.expires_at.saturating_duration_since(now);
                    session.refresh_at = left.checked_div(2).and_then(|half| now.checked_add(half));
                }
                self.wake_call(handle);
            }
        }
    }

    /// A request of ours got no answer.
    pub(super) fn request_timed_out(
        &mut self,
        now: Instant,
        method: Method,
        call: Handle,
        out: &mut Outputs,
    ) {
        if method == Method::Bye {
            return self.forget_call(call);
        }
        if self.calls.entry(call).is_some_and(|call| call.phase == Phase::Answered) {
            out.events.push((call, Event::HungUp(HangUpCause::SessionExpired)));
            self.send_bye(now, call, Some(408), out);
        }
    }

    pub(super) fn wake_client(&mut self, handle: Handle) {
        let deadline = self.clients.entry(handle).and_then(|entry| match &entry.machine {
            ClientMachine::Invite(machine) => machine.deadline(),
            ClientMachine::Other(machine) => machine.deadline(),
        });
        self.wake_at(deadline.map(|(at, _)| at), Wake::Client(handle));
    }
}
