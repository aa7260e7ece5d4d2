//! Requests of ours within a call: BYE, and session refreshes by UPDATE or re-INVITE.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    Endpoint, Event, Failure, HangUpCause, Outputs, Path, Transport, Wake,
    call::Phase,
    command::reason_value,
    outgoing::{derived, raise_min_se},
    respond::Extra,
    session_timer,
    tables::{Acknowledgement, ClientMachine, ClientTransaction, Handle},
};
use crate::{
    builder::{clean, finish, line},
    dialog::Dialog,
    header::{HeaderName, SessionExpires},
    message::{Message, Method},
    transaction::{Step, client::Client, client_invite::ClientInvite},
};

/// The body of a request, with its type.
pub(super) type Body<'a> = Option<(&'a str, &'a [u8])>;

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
        let (update, path, secure) = (call.peer.update, call.path, call.dialog.secure);
        // In a request of ours we are the uac.
        let expires = format!("{};refresher=uac", timer.seconds);
        let min_se = (call.min_se > 0).then(|| call.min_se.to_string());
        let contact = self.contact(path, secure);
        let mut extra = vec![
            ("Session-Expires", expires.as_str()),
            ("Supported", "timer"),
            ("Contact", contact.as_str()),
        ];
        extra.extend(min_se.iter().map(|seconds| ("Min-SE", seconds.as_str())));
        if update {
            let sent = self.send_request(now, handle, Method::Update, (&extra, None), out);
            return self.refresh_sent(now, handle, sent);
        }
        // Unchanged, its version included: nothing is to be agreed anew (RFC 4028 §7.4).
        let body = self.calls.entry(handle).map(|call| call.description.to_string());
        let body = body.as_ref().map(|body| ("application/sdp", body.as_bytes()));
        let sent = self.send_request(now, handle, Method::Invite, (&extra, body), out);
        self.refresh_sent(now, handle, sent);
    }

    fn refresh_sent(&mut self, now: Instant, handle: Handle, transaction: Option<Handle>) {
        let Some(call) = self.calls.entry(handle) else { return };
        call.refresh = transaction;
        if transaction.is_none() {
            // No room for its transaction now; perhaps later.
            call.refresh_later(now);
        }
        self.wake_call(handle);
    }

    /// Sends a request within a call, or its first INVITE. Where there is no room for its transaction, BYE is
    /// sent all the same, and its answer not waited for; nothing else is sent.
    pub(super) fn send_request(
        &mut self,
        now: Instant,
        handle: Handle,
        method: Method,
        (extra, body): (&[Extra<'_>], Body<'_>),
        out: &mut Outputs,
    ) -> Option<Handle> {
        let full = self.clients.len() >= self.settings.transactions_max;
        if full && method != Method::Bye {
            return None;
        }
        let source = self.calls.entry(handle)?.path;
        let first = self.calls.entry(handle)?.dialog.remote_tag.is_empty() && method == Method::Invite;
        let path = if first { source } else { self.next_path(handle, None, source) };
        let (via, branch) = self.new_via(&path);
        let proof = self.proof(handle, method);
        let call = self.calls.entry(handle)?;
        let mut cseq = 0;
        let bytes = out
            .message(path, |buffer| {
                cseq = call.dialog.request(buffer, method, &via, None);
                for (name, value) in extra {
                    line(buffer, name, clean(value).as_bytes());
                }
                for (name, value) in &proof {
                    line(buffer, name, clean(value).as_bytes());
                }
                finish(buffer, body);
            })
            .into();
        if full {
            self.forget_call(handle);
            return None;
        }
        self.keep_client(now, (path, method, branch.as_bytes()), (Some(handle), cseq), bytes)
    }

    /// Begins the client transaction of a request that was just written.
    pub(super) fn keep_client(
        &mut self,
        now: Instant,
        (path, method, branch): (Path, Method, &[u8]),
        (call, cseq): (Option<Handle>, u32),
        bytes: Box<[u8]>,
    ) -> Option<Handle> {
        let reliable = path.transport.is_reliable();
        let machine = if method == Method::Invite {
            ClientMachine::Invite(ClientInvite::new(now, reliable, &self.settings.timers))
        } else {
            ClientMachine::Other(Client::new(now, reliable, &self.settings.timers))
        };
        let key = self.client_key(branch, method);
        let entry = ClientTransaction {
            key,
            machine,
            method,
            path,
            bytes,
            call,
            cseq,
            acks: Vec::new(),
            inquiry: None,
        };
        let transaction = self.clients.insert(entry)?;
        self.client_index.insert(key, transaction);
        self.wake_client(transaction);
        Some(transaction)
    }

    pub(super) fn forget_client(&mut self, handle: Handle) {
        if let Some(entry) = self.clients.remove(handle) {
            self.client_index.remove(&entry.key);
        }
    }

    /// What proves us in a request, when the other side has asked.
    fn proof(&mut self, handle: Handle, method: Method) -> Vec<(&'static str, String)> {
        let Some(call) = self.calls.entry(handle) else { return Vec::new() };
        let Some(login) = &mut call.login else { return Vec::new() };
        let cnonce = rand::Rng::random(&mut self.rng);
        login.headers(method.as_str(), call.dialog.request_uri(), cnonce)
    }

    /// The way of the next request of a call, or of one of its early dialogs.
    pub(super) fn next_path(&mut self, handle: Handle, fork: Option<&[u8]>, source: Path) -> Path {
        let Some(call) = self.calls.entry(handle) else { return source };
        let dialog = match fork {
            None => &call.dialog,
            Some(tag) => {
                let forks = call.outgoing().map(|outgoing| outgoing.forks.as_slice()).unwrap_or_default();
                match forks.iter().find(|fork| *fork.dialog.remote_tag == *tag) {
                    Some(fork) => &fork.dialog,
                    None => return source,
                }
            }
        };
        let hop = dialog.next_hop(source.peer, source.transport);
        self.path_to(source, hop)
    }

    pub(super) fn path_of(&self, dialog: &Dialog, source: Path) -> Path {
        self.path_to(source, dialog.next_hop(source.peer, source.transport))
    }

    /// A reliable transport's connection is used while it lasts; the peer is where to open the next one.
    fn path_to(&self, source: Path, (peer, transport): (SocketAddr, Transport)) -> Path {
        self.path_over(Path { peer, ..source }, transport)
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
        let call = entry.call;
        if status >= 200 && !matches!(status, 401 | 407) {
            let login = call.and_then(|call| self.calls.entry(call)).and_then(|call| call.login.as_mut());
            if let Some(login) = login {
                login.accepted();
            }
        }
        match step {
            Step::Deliver if method == Method::Invite => {
                self.invite_response(now, (handle, call), status, message, out);
            }
            Step::Acknowledge { first } => {
                self.acknowledge_refusal(handle, message, out);
                if first {
                    self.final_response(now, (handle, call), method, status, message, out);
                }
            }
            Step::Deliver => self.final_response(now, (handle, call), method, status, message, out),
            Step::Nothing | Step::Resend | Step::TimedOut | Step::Terminated => {}
        }
        self.wake_client(handle);
    }

    /// A provisional response or a 2xx to an INVITE.
    fn invite_response(
        &mut self,
        now: Instant,
        (transaction, call): (Handle, Option<Handle>),
        status: u16,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let refreshes = call
            .is_some_and(|call| self.calls.entry(call).is_some_and(|call| call.refresh == Some(transaction)));
        if status < 200 {
            if let Some(call) = call.filter(|_| !refreshes) {
                self.invite_proceeds(now, (transaction, call), status, message, out);
            }
            return;
        }
        let tag = message.to().and_then(|to| to.tag()).unwrap_or_default();
        let Some(entry) = self.clients.entry(transaction) else { return };
        if let Some(ack) = entry.acks.iter().find(|ack| *ack.tag == *tag) {
            out.repeat(entry.path, &ack.bytes);
            return;
        }
        match call.filter(|_| refreshes) {
            Some(call) => {
                self.acknowledge(transaction, call, tag, out);
                self.refreshed(now, call, status, message, out);
            }
            None => self.invite_answered(now, (transaction, call), message, out),
        }
    }

    /// The final response to a request, other than a 2xx to an INVITE.
    fn final_response(
        &mut self,
        now: Instant,
        (transaction, call): (Handle, Option<Handle>),
        method: Method,
        status: u16,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        if let Some(inquiry) = self.inquiry_of(transaction) {
            return self.inquiry_answered(now, inquiry, status, message, out);
        }
        let Some(handle) = call else { return };
        let Some(call) = self.calls.entry(handle) else { return };
        let begins = call.outgoing().is_some_and(|outgoing| outgoing.transaction == Some(transaction));
        if begins {
            return self.invite_refused(now, handle, status, message, out);
        }
        let asked = matches!(status, 401 | 407);
        match method {
            Method::Bye => {
                let again = asked && call.login.as_mut().is_some_and(|login| login.challenged(message));
                if again {
                    self.send_request(now, handle, Method::Bye, (&[], None), out);
                } else {
                    self.forget_call(handle);
                }
            }
            Method::Invite | Method::Update if call.refresh == Some(transaction) => {
                self.refreshed(now, handle, status, message, out);
            }
            // PRACK was refused: its INVITE tells what becomes of the call.
            Method::Prack
            | Method::Invite
            | Method::Update
            | Method::Ack
            | Method::Cancel
            | Method::Options
            | Method::Register
            | Method::Info
            | Method::Message
            | Method::Refer
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Unknown => {}
        }
    }

    /// The ACK of a 2xx: a request of its own within the dialog, with the INVITE's number (RFC 3261 §13.2.2.4).
    /// It is kept for repetitions of that 2xx.
    pub(super) fn acknowledge(&mut self, transaction: Handle, handle: Handle, tag: &[u8], out: &mut Outputs) {
        let Some(entry) = self.clients.entry(transaction) else { return };
        let (cseq, source) = (entry.cseq, entry.path);
        let path = self.next_path(handle, None, source);
        let (via, _) = self.new_via(&path);
        let Some(call) = self.calls.entry(handle) else { return };
        let ack: Box<[u8]> = out
            .message(path, |buffer| {
                call.dialog.request(buffer, Method::Ack, &via, Some(cseq));
                finish(buffer, None);
            })
            .into();
        if let Some(entry) = self.clients.entry(transaction) {
            entry.path = path;
            entry.acks.push(Acknowledgement { tag: tag.into(), bytes: ack });
        }
    }

    /// The ACK of a refusal: part of the transaction, with the INVITE's own Via (RFC 3261 §17.1.1.3).
    fn acknowledge_refusal(&mut self, handle: Handle, response: &Message<'_>, out: &mut Outputs) {
        let Some(entry) = self.clients.entry(handle) else { return };
        let Ok(invite) = Message::parse(&entry.bytes) else { return };
        out.message(entry.path, |buffer| derived(buffer, &invite, response, Method::Ack));
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
        let floor = self.settings.min_se_seconds;
        let Some(call) = self.calls.entry(handle) else { return };
        let min_se = floor.max(call.min_se);
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
                let agreed = message.description().sdp().and_then(|body| call.agreed_by(body));
                if let Some(agreed) = agreed.filter(|agreed| call.negotiated != Some(*agreed)) {
                    call.negotiated = Some(agreed);
                    out.events.push((handle, Event::Media(agreed.into())));
                }
                self.wake_call(handle);
            }
            // RFC 3261 §12.2.1.2: the other side knows nothing of the call any more.
            408 | 481 => {
                out.events.push((handle, Event::HungUp(HangUpCause::SessionExpired)));
                self.send_bye(now, handle, Some(408), out);
            }
            401 | 407 if call.login.as_mut().is_some_and(|login| login.challenged(message)) => {
                self.refresh(now, handle, out);
            }
            // RFC 4028 §7.4: at once, with the interval that the other side wants.
            422 if raise_min_se(call, message) => {
                let min_se = call.min_se;
                call.session = call.session.map(|timer| {
                    let wanted = session_timer::started(timer.seconds.max(min_se), timer.ours, now);
                    // What is agreed still ends when it ends.
                    session_timer::SessionTimer { expires_at: timer.expires_at, ..wanted }
                });
                self.refresh(now, handle, out);
            }
            // RFC 3261 §14.1: whoever made the Call-ID waits longer, so that the next two do not cross as well.
            491 => {
                let millis = if call.outgoing().is_some() { 2_100..=4_000 } else { 0..=2_000_u64 };
                let wait = Duration::from_millis(rand::Rng::random_range(&mut self.rng, millis));
                if let Some(session) = &mut call.session {
                    session.refresh_at = now.checked_add(wait);
                }
                self.wake_call(handle);
            }
            // A refusal: the session runs on until its timer ends it; try again shortly before.
            _ => {
                call.refresh_later(now);
                self.wake_call(handle);
            }
        }
    }

    /// A request of ours got no answer.
    pub(super) fn request_timed_out(
        &mut self,
        now: Instant,
        transaction: Handle,
        method: Method,
        call: Handle,
        out: &mut Outputs,
    ) {
        if method == Method::Bye {
            return self.forget_call(call);
        }
        let Some(entry) = self.calls.entry(call) else { return };
        if entry.outgoing().is_some_and(|outgoing| outgoing.transaction == Some(transaction)) {
            // Timer B: nobody is there (RFC 3261 §8.1.3.1).
            return self.not_taken(call, Failure::of_our_own(408), out);
        }
        // PRACK belongs to an INVITE that has its own timers; a key or a notice that is lost ends no call.
        if matches!(method, Method::Prack | Method::Info | Method::Notify) {
            return;
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
