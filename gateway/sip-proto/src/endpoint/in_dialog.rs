//! Requests within a call: ACK, BYE, re-INVITE, UPDATE, INFO, PRACK, OPTIONS.

use std::time::Instant;

use super::{
    Endpoint, Event, HangUpCause, Outputs, Path, Wake,
    call::{Call, Phase, Role},
    respond::{ALLOW, Extra},
    session_timer,
    tables::{Handle, ServerMachine, ServerTransaction},
};
use crate::{
    builder::response_head,
    dialog::Dialog,
    header::{HeaderName, RAck},
    lex::{number, split_once, trim},
    message::{Description, Message, Method},
    sdp::{self, LocalMedia},
    transaction::server_invite::ServerInvite,
};

/// A session description, and what it agrees on unless it is an offer.
type Described = (String, Option<sdp::Negotiated>);

/// A status, and a header that says more.
type Refusal<'a> = (u16, Option<Extra<'a>>);

impl Endpoint {
    /// The call a request with a To tag belongs to.
    pub(super) fn call_of(&mut self, message: &Message<'_>) -> Option<Handle> {
        let (call_id, from, to) = (message.call_id()?, message.from()?, message.to()?);
        let remote_tag = from.tag().unwrap_or_default();
        let handle = self.call_index.get(&self.call_key(call_id, to.tag()?, remote_tag)).copied()?;
        let call = self.calls.entry(handle)?;
        call.dialog_of(call_id, to.tag()?, remote_tag).map(|_| handle)
    }

    pub(super) fn in_dialog(&mut self, now: Instant, path: Path, message: &Message<'_>, out: &mut Outputs) {
        let Some(handle) = self.call_of(message) else {
            return self.refuse(now, path, message, 481, &[], out);
        };
        let (Some(method), Some(cseq)) = (message.method(), message.cseq()) else { return };
        let Some(call) = self.calls.entry(handle) else { return };
        let (phase, ours) = (call.phase, call.outgoing().is_some());
        let Some(dialog) = dialog_of(call, message) else { return };
        // RFC 3261 §12.2.2: out of order, and not a retransmission (those met their transaction).
        if cseq.number < dialog.remote_cseq {
            return self.refuse(now, path, message, 500, &[], out);
        }
        dialog.remote_cseq = cseq.number;
        let ending = phase == Phase::Ending;
        match method {
            // Only the caller may end an early dialog by BYE (RFC 3261 §15).
            Method::Bye if phase == Phase::Early && ours => {
                self.refuse(now, path, message, 481, &[], out);
            }
            Method::Bye => self.bye(now, path, handle, message, out),
            _ if ending => self.refuse(now, path, message, 481, &[], out),
            Method::Invite => self.reinvite(now, path, handle, message, out),
            Method::Update => self.update(now, path, handle, message, out),
            Method::Info => self.info(now, path, handle, message, out),
            Method::Prack => self.prack(now, path, handle, message, out),
            Method::Options => self.options(now, path, message, out),
            Method::Refer => self.refer(now, path, handle, message, out),
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Message
            | Method::Subscribe
            | Method::Notify
            | Method::Publish
            | Method::Unknown => self.respond(now, message, path, 405, (&[("Allow", ALLOW)], None), out),
        }
    }

    fn bye(&mut self, now: Instant, path: Path, handle: Handle, message: &Message<'_>, out: &mut Outputs) {
        self.respond(now, message, path, 200, (&[], None), out);
        let Some(call) = self.calls.entry(handle) else { return };
        match call.phase {
            // RFC 3261 §15.1.2: requests still pending are answered with 487.
            Phase::Early => self.end_early(now, handle, 487, Some(HangUpCause::Bye), &[], out),
            Phase::Answered => {
                out.events.push((handle, Event::HungUp(HangUpCause::Bye)));
                self.forget_call(handle);
            }
            // Our own BYE crossed this one.
            Phase::Ending => self.forget_call(handle),
        }
    }

    /// An ACK that matches no refused INVITE: for a 2xx.
    pub(super) fn acknowledged(&mut self, now: Instant, message: &Message<'_>, out: &mut Outputs) {
        let Some(handle) = self.call_of(message) else { return };
        let cseq = message.cseq().map(|cseq| cseq.number);
        let Some(call) = self.calls.entry(handle) else { return };
        let Some(waiting) = call.unacknowledged.take_if(|waiting| Some(waiting.cseq) == cseq) else { return };
        let first = waiting.cseq == call.invite_cseq;
        let hang_up = call.hang_up_after_ack.take();
        if call.phase == Phase::Answered && first {
            out.events.push((handle, Event::Acknowledged));
        }
        if waiting.wants_answer && call.phase == Phase::Answered {
            self.take_answer(now, handle, message.description().sdp().unwrap_or_default(), out);
        }
        if let Some(cause) = hang_up {
            self.send_bye(now, handle, Some(cause), out);
        }
    }

    /// The answer to our offer, out of the ACK. Without a usable one there is no session: BYE.
    fn take_answer(&mut self, now: Instant, handle: Handle, body: &[u8], out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        match call.agreed_by(body) {
            Some(agreed) => {
                call.negotiated = Some(agreed);
                out.events.push((handle, Event::Media(agreed.into())));
            }
            None if call.negotiated.is_some() => {}
            None => {
                out.events.push((handle, Event::HungUp(HangUpCause::MediaRefused)));
                self.send_bye(now, handle, Some(488), out);
            }
        }
    }

    /// RFC 3261 §14.2. The endpoint answers by itself: our media stays where it is.
    ///
    /// Refusals have a transaction too: why we refuse may be over when a late duplicate comes, and an answer to
    /// that, which nobody would acknowledge, would end the call.
    fn reinvite(
        &mut self,
        now: Instant,
        path: Path,
        handle: Handle,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        if self.servers.len() >= self.settings.transactions_max {
            return self.refuse(now, path, message, 503, &[("Retry-After", "5")], out);
        }
        let Some((transaction, head)) = self.open_transaction(path, message) else { return };
        let min_se = self.settings.min_se_seconds.to_string();
        let judged = self.judge_reinvite(handle, message, &min_se);
        let (body, agreed) = match judged {
            Ok(described) => described,
            Err((status, extra)) => {
                self.respond_invite(now, (transaction, &head), status, (extra.as_slice(), None), out);
                return;
            }
        };
        let Some(call) = self.calls.entry(handle) else { return };
        call.path = path;
        call.dialog.refresh_target(message);
        self.restart_session(now, handle, message);
        let wants_answer = agreed.is_none();
        let cseq = message.cseq().map_or(0, |cseq| cseq.number);
        self.send_ok(now, handle, (transaction, &head), (cseq, wants_answer), &body, out);
        if let Some(agreed) = agreed {
            self.media_changed(handle, agreed, out);
        }
    }

    /// What to answer a re-INVITE with: a description and what it agrees on, or a status with a header.
    fn judge_reinvite<'a>(
        &mut self,
        handle: Handle,
        message: &Message<'_>,
        min_se: &'a str,
    ) -> Result<Described, Refusal<'a>> {
        if session_timer::too_small(message, self.settings.min_se_seconds) {
            return Err((422, Some(("Min-SE", min_se))));
        }
        let Some(call) = self.calls.entry(handle) else { return Err((481, None)) };
        // Our own INVITE is under way (RFC 3261 §14.2).
        if call.phase == Phase::Early && call.outgoing().is_some() {
            return Err((491, None));
        }
        if call.phase == Phase::Early || call.unacknowledged.is_some() {
            return Err((500, Some(("Retry-After", "1"))));
        }
        if call.refresh.is_some() {
            return Err((491, None));
        }
        let described = if message.description() == Description::None {
            let last = sdp::read(call.description.as_bytes()).ok();
            call.media.as_mut().map(|local| {
                local.version = local.version.wrapping_add(1);
                let text = match last {
                    Some(last) => sdp::offer_again(&last, local, &mut self.rng),
                    None => sdp::offer(local, &mut self.rng),
                };
                (text, None)
            })
        } else {
            self.answered_offer(handle, message.description().sdp().unwrap_or_default())
        };
        described.ok_or((488, None))
    }

    /// A server transaction for an INVITE within a call, and the lines that its responses repeat.
    fn open_transaction(&mut self, path: Path, message: &Message<'_>) -> Option<(Handle, Vec<u8>)> {
        let via = message.top_via()?;
        let mut head = Vec::with_capacity(512);
        response_head(&mut head, message, path.peer, b"");
        let key = self.server_key(message, &via, Method::Invite);
        let transaction = self.servers.insert(ServerTransaction {
            key,
            machine: ServerMachine::Invite(ServerInvite::new(path.transport.is_reliable())),
            path: Self::response_path(message, path),
            last_response: Box::default(),
            call: None,
        })?;
        self.server_index.insert(key, transaction);
        Some((transaction, head))
    }

    /// RFC 3311 §5.2.
    fn update(&mut self, now: Instant, path: Path, handle: Handle, message: &Message<'_>, out: &mut Outputs) {
        let min_se = self.settings.min_se_seconds;
        if session_timer::too_small(message, min_se) {
            return self.refuse(now, path, message, 422, &[("Min-SE", &min_se.to_string())], out);
        }
        let described = if message.description() == Description::None {
            None
        } else {
            let Some(call) = self.calls.entry(handle) else { return };
            let early = call.phase == Phase::Early;
            // Our offer is not answered yet: theirs crosses it.
            let crosses = match call.outgoing() {
                Some(outgoing) => early && outgoing.forks.iter().all(|fork| fork.negotiated.is_none()),
                None => false,
            };
            if crosses || call.refresh.is_some() || call.unacknowledged.is_some() {
                return self.respond(now, message, path, 491, (&[], None), out);
            }
            // The offer of their INVITE is not answered yet.
            if early && call.incoming().is_some() {
                let seconds = rand::Rng::random_range(&mut self.rng, 0..=10_u8).to_string();
                return self.respond(now, message, path, 500, (&[("Retry-After", &seconds)], None), out);
            }
            match self.answered_offer(handle, message.description().sdp().unwrap_or_default()) {
                Some(described) => Some(described),
                None => return self.respond(now, message, path, 488, (&[], None), out),
            }
        };
        self.restart_session(now, handle, message);
        let Some(call) = self.calls.entry(handle) else { return };
        call.path = path;
        if let Some(dialog) = dialog_of(call, message) {
            dialog.refresh_target(message);
        }
        let timer = call.session.filter(|_| call.phase == Phase::Answered);
        let headers = timer.as_ref().map(session_timer::headers).unwrap_or_default();
        let secure = call.dialog.secure;
        let contact = self.contact(path, secure);
        let mut extra: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        extra.push(("Contact", &contact));
        let body = described.as_ref().map(|(text, _)| ("application/sdp", text.as_bytes()));
        if let (Some((text, _)), Some(call)) = (&described, self.calls.entry(handle)) {
            call.description = text.as_str().into();
        }
        self.respond(now, message, path, 200, (&extra, body), out);
        if let Some((_, Some(agreed))) = described {
            self.media_changed(handle, agreed, out);
        }
    }

    /// The answer to an offer within a call; none when it cannot be taken, and the session stays.
    fn answered_offer(&mut self, handle: Handle, body: &[u8]) -> Option<Described> {
        let call = self.calls.entry(handle)?;
        let in_use = call.negotiated.and_then(|agreed| agreed.srtp);
        let local = call.media.as_mut()?;
        let next = LocalMedia { version: local.version.wrapping_add(1), ..local.clone() };
        let (text, agreed) = sdp::answer(&sdp::read(body).ok()?, &next, in_use, &mut self.rng).ok()?;
        *local = next;
        Some((text, Some(agreed)))
    }

    fn media_changed(&mut self, handle: Handle, agreed: sdp::Negotiated, out: &mut Outputs) {
        if let Some(call) = self.calls.entry(handle) {
            call.negotiated = Some(agreed);
            out.events.push((handle, Event::Media(agreed.into())));
        }
    }

    /// A re-INVITE or UPDATE refreshes the session (RFC 4028 §10).
    fn restart_session(&mut self, now: Instant, handle: Handle, message: &Message<'_>) {
        let wanted = session_timer::wanted(message, &self.settings, now);
        if let Some(call) = self.calls.entry(handle) {
            let running = call.session.filter(|_| message.header(HeaderName::SessionExpires).is_none());
            // A request that says nothing of the timer leaves it as agreed: it only starts again.
            call.session = match running {
                Some(timer) => Some(session_timer::started(timer.seconds, timer.ours, now)),
                None => wanted.or(call.session),
            };
        }
        self.wake_call(handle);
    }

    /// Digits by INFO: `application/dtmf-relay` (`Signal=5`) or `application/dtmf` (`5`).
    fn info(&mut self, now: Instant, path: Path, handle: Handle, message: &Message<'_>, out: &mut Outputs) {
        if message.body.is_empty() {
            return self.respond(now, message, path, 200, (&[], None), out);
        }
        let kind = message.content_type().unwrap_or_default();
        let relay = kind.eq_ignore_ascii_case(b"application/dtmf-relay");
        if !relay && !kind.eq_ignore_ascii_case(b"application/dtmf") {
            let accept = [("Accept", "application/dtmf-relay, application/dtmf")];
            return self.respond(now, message, path, 415, (&accept, None), out);
        }
        match info_digit(message.body, relay) {
            Some(digit) => {
                self.respond(now, message, path, 200, (&[], None), out);
                if self.calls.entry(handle).is_some_and(|call| call.phase == Phase::Answered) {
                    out.events.push((handle, Event::Digit(digit)));
                }
            }
            None => self.respond(now, message, path, 400, (&[], None), out),
        }
    }

    /// RFC 3262 §3.
    fn prack(&mut self, now: Instant, path: Path, handle: Handle, message: &Message<'_>, out: &mut Outputs) {
        let rack = message.header(HeaderName::RAck).and_then(RAck::parse);
        let Some(call) = self.calls.entry(handle) else { return };
        let cseq = call.invite_cseq;
        let rseq = rack.filter(|rack| rack.cseq.number == cseq).map(|rack| rack.rseq);
        let matched = call.incoming().is_some_and(|incoming| {
            let reliable = &mut incoming.reliable;
            let waiting = reliable.pending.take_if(|pending| rseq == Some(pending.rseq)).is_some();
            waiting || reliable.crossed.take_if(|crossed| rseq == Some(*crossed)).is_some()
        });
        let status = if matched { 200 } else { 481 };
        self.respond(now, message, path, status, (&[], None), out);
    }

    /// Forgets a transaction.
    pub(super) fn forget_server(&mut self, handle: Handle) {
        if let Some(entry) = self.servers.remove(handle) {
            self.server_index.remove(&entry.key);
        }
    }

    /// Forgets a call; what its transactions still owe lives on in them.
    pub(super) fn forget_call(&mut self, handle: Handle) {
        let Some(call) = self.calls.remove(handle) else { return };
        if let Some(key) = call.key {
            self.call_index.remove(&key);
        }
        match call.role {
            Role::Server(incoming) => {
                self.call_index.remove(&incoming.merge_key);
            }
            Role::Client(outgoing) => self.forget_forks(&outgoing.forks),
        }
        // A refresh that was answered with a provisional response only has no timer to end it.
        if let Some(client) = call.refresh.and_then(|refresh| self.clients.remove(refresh)) {
            self.client_index.remove(&client.key);
        }
    }

    /// Wakes a server transaction's timer after its state changed.
    pub(super) fn wake_server(&mut self, handle: Handle) {
        let deadline = self.servers.entry(handle).and_then(|entry| match &entry.machine {
            ServerMachine::Invite(machine) => machine.deadline(),
            ServerMachine::Other(machine) => machine.deadline(),
        });
        self.wake_at(deadline.map(|(at, _)| at), Wake::Server(handle));
    }
}

/// The dialog a request belongs to.
fn dialog_of<'a>(call: &'a mut Call, message: &Message<'_>) -> Option<&'a mut Dialog> {
    let (call_id, from, to) = (message.call_id()?, message.from()?, message.to()?);
    call.dialog_of(call_id, to.tag()?, from.tag().unwrap_or_default())
}

fn info_digit(body: &[u8], relay: bool) -> Option<char> {
    let signal = if relay {
        body.split(|b| matches!(b, b'\r' | b'\n')).find_map(|line| {
            let (name, value) = split_once(line, b'=')?;
            trim(name).eq_ignore_ascii_case(b"Signal").then_some(trim(value))
        })?
    } else {
        trim(body)
    };
    match signal {
        [key] if key.is_ascii_digit() || b"*#ABCDabcd".contains(key) => {
            Some(char::from(*key).to_ascii_uppercase())
        }
        // Some devices send the event's number: 10 is the star, 11 the hash key.
        _ => match number(signal)? {
            10 => Some('*'),
            11 => Some('#'),
            n @ 12..=15 => char::from_u32(u32::from(b'A').saturating_add(n.saturating_sub(12))),
            _ => None,
        },
    }
}
