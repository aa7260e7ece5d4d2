//! What the application wants of a call.

use std::{net::SocketAddr, time::Instant};

use super::{
    CallKey, Command, Endpoint, Event, HangUpCause, Outputs, Path, Transport,
    call::{Call, PendingProvisional, Phase, Unacknowledged},
    respond::{ALLOW, Extra, SUPPORTED},
    session_timer,
    tables::Handle,
};
use crate::{
    builder::reason_phrase,
    message::Method,
    sdp::{self, Codec, LocalMedia, Srtp},
};

impl Endpoint {
    /// Does what the application wants. A command that comes too late, or for a call that is gone, does
    /// nothing.
    pub fn command(&mut self, now: Instant, call: CallKey, command: Command, out: &mut Outputs) {
        let Some(phase) = self.calls.entry(call).map(|call| call.phase) else { return };
        match (phase, command) {
            (Phase::Early, Command::Progress { status }) => self.progress(now, call, status, out),
            (Phase::Early, Command::Answer { media, codecs, srtp }) => {
                self.answer(now, call, (media, codecs, srtp), out);
            }
            (Phase::Early, Command::Reject { status, retry_after_seconds }) => {
                let seconds = retry_after_seconds.map(|seconds| seconds.to_string());
                let extra: Vec<Extra<'_>> = seconds.iter().map(|s| ("Retry-After", s.as_str())).collect();
                self.end_early(now, call, status.clamp(300, 699), None, &extra, out);
            }
            (Phase::Early, Command::Challenge { challenges }) => {
                let extra: Vec<Extra<'_>> =
                    challenges.iter().map(|value| ("WWW-Authenticate", value.as_str())).collect();
                self.end_early(now, call, 401, None, &extra, out);
            }
            (Phase::Early, Command::HangUp { .. }) => match self.calls.entry(call).and_then(Call::outgoing) {
                Some(_) => self.take_back(now, call, out),
                None => self.end_early(now, call, 480, None, &[], out),
            },
            (Phase::Answered, Command::HangUp { cause } | Command::Reject { status: cause, .. }) => {
                self.hang_up(now, call, cause, out);
            }
            (Phase::Answered, Command::Key { key, duration_ms }) => {
                let body = format!("Signal={key}\r\nDuration={duration_ms}\r\n");
                let body = Some(("application/dtmf-relay", body.as_bytes()));
                self.send_request(now, call, Method::Info, (&[], body), out);
            }
            (Phase::Answered, Command::Referred { status }) => {
                self.tell_referral(now, call, status.clamp(200, 699), out);
            }
            (
                Phase::Answered,
                Command::Progress { .. } | Command::Answer { .. } | Command::Challenge { .. },
            )
            | (Phase::Early, Command::Key { .. } | Command::Referred { .. })
            | (Phase::Ending, _) => {}
        }
    }

    fn progress(&mut self, now: Instant, handle: Handle, status: u16, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        let (path, secure) = (call.path, call.dialog.secure);
        let Some(incoming) = call.incoming() else { return };
        incoming.trying_at = None;
        if incoming.reliable.pending.is_some() {
            // One at a time (RFC 3262 §3); what it says is repeated anyway.
            return;
        }
        let (transaction, head) = (incoming.transaction, incoming.head.clone());
        let rseq = incoming.reliable.required.then(|| {
            incoming.reliable.next_rseq = incoming.reliable.next_rseq.wrapping_add(1);
            incoming.reliable.next_rseq
        });
        let contact = self.contact(path, secure);
        let number = rseq.map(|rseq| rseq.to_string());
        let mut extra = vec![("Contact", contact.as_str())];
        if let Some(number) = &number {
            extra.extend([("Require", "100rel"), ("RSeq", number.as_str())]);
        }
        let status = status.clamp(101, 199);
        let response = self.respond_invite(now, (transaction, &head), status, (&extra, None), out);
        let t1 = self.settings.timers.t1;
        let give_up_at = now.checked_add(self.settings.timers.timeout()).unwrap_or(now);
        if let (Some(rseq), Some(incoming)) = (rseq, self.calls.entry(handle).and_then(Call::incoming)) {
            let resend_at = now.checked_add(t1).unwrap_or(now);
            incoming.reliable.pending =
                Some(PendingProvisional { rseq, response, resend_at, interval: t1, give_up_at });
        }
        self.wake_call(handle);
    }

    fn answer(
        &mut self,
        now: Instant,
        handle: Handle,
        (address, codecs, srtp): (SocketAddr, Vec<Codec>, Srtp),
        out: &mut Outputs,
    ) {
        let session_id = u64::from(rand::Rng::random::<u32>(&mut self.rng));
        let Some(call) = self.calls.entry(handle) else { return };
        let local = LocalMedia { address, codecs, srtp, session_id, version: 1 };
        let Some(incoming) = call.incoming() else { return };
        let described = match incoming.offer.take() {
            Some(offer) => match sdp::read(&offer) {
                Ok(session) => sdp::answer(&session, &local, None, &mut self.rng)
                    .map(|(text, agreed)| (text, Some(agreed))),
                Err(_) => Err(sdp::NegotiationError::NoAudio),
            },
            None => Ok((sdp::offer(&local, &mut self.rng), None)),
        };
        let (body, agreed) = match described {
            Ok(described) => described,
            Err(error) => {
                // RFC 3261 §20.43: 304 is "media type not available", 305 "incompatible format".
                let warning = format!("305 vestibule \"{error}\"");
                let cause = Some(HangUpCause::MediaRefused);
                return self.end_early(now, handle, 488, cause, &[("Warning", &warning)], out);
            }
        };
        incoming.trying_at = None;
        incoming.reliable.crossed = incoming.reliable.pending.take().map(|pending| pending.rseq);
        let (transaction, head) = (incoming.transaction, std::mem::take(&mut incoming.head));
        call.phase = Phase::Answered;
        call.media = Some(local);
        call.negotiated = agreed;
        call.session = call.session.map(|timer| session_timer::started(timer.seconds, timer.ours, now));
        let cseq = call.invite_cseq;
        self.send_ok(now, handle, (transaction, &head), (cseq, agreed.is_none()), &body, out);
        if let Some(agreed) = agreed {
            out.events.push((handle, Event::Media(agreed.into())));
        }
    }

    /// Sends the 200 to an INVITE, and repeats it until its ACK comes.
    pub(super) fn send_ok(
        &mut self,
        now: Instant,
        handle: Handle,
        (transaction, head): (Handle, &[u8]),
        (cseq, wants_answer): (u32, bool),
        description: &str,
        out: &mut Outputs,
    ) {
        let Some(call) = self.calls.entry(handle) else { return };
        let headers = call.session.as_ref().map(session_timer::headers).unwrap_or_default();
        let (call_path, secure) = (call.path, call.dialog.secure);
        let contact = self.contact(call_path, secure);
        let mut extra: Vec<Extra<'_>> =
            vec![("Contact", contact.as_str()), ("Allow", ALLOW), ("Supported", SUPPORTED)];
        extra.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
        let body = Some(("application/sdp", description.as_bytes()));
        let response = self.respond_invite(now, (transaction, head), 200, (&extra, body), out);
        let (t1, timeout) = (self.settings.timers.t1, self.settings.timers.timeout());
        let Some(path) = self.servers.entry(transaction).map(|entry| entry.path) else { return };
        if let Some(call) = self.calls.entry(handle) {
            call.description = description.into();
            call.unacknowledged = Some(Unacknowledged {
                cseq,
                response,
                path,
                resend_at: now.checked_add(t1).unwrap_or(now),
                interval: t1,
                give_up_at: now.checked_add(timeout).unwrap_or(now),
                wants_answer,
            });
        }
        self.wake_call(handle);
    }

    /// Ends a call that is not answered: a final response to its INVITE.
    pub(super) fn end_early(
        &mut self,
        now: Instant,
        handle: Handle,
        status: u16,
        cause: Option<HangUpCause>,
        extra: &[Extra<'_>],
        out: &mut Outputs,
    ) {
        let Some(call) = self.calls.entry(handle).filter(|call| call.phase == Phase::Early) else { return };
        let Some(incoming) = call.incoming() else { return };
        let (transaction, head) = (incoming.transaction, std::mem::take(&mut incoming.head));
        self.respond_invite(now, (transaction, &head), status, (extra, None), out);
        if let Some(cause) = cause {
            out.events.push((handle, Event::HungUp(cause)));
        }
        self.forget_call(handle);
    }

    fn hang_up(&mut self, now: Instant, handle: Handle, cause: u16, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        if call.unacknowledged.is_some() {
            call.phase = Phase::Ending;
            call.hang_up_after_ack = Some(cause);
        } else {
            self.send_bye(now, handle, Some(cause), out);
        }
    }

    /// The value of a Contact header for a peer on this path: `sips` where the dialog was begun by such a URI
    /// (RFC 3261 §8.1.1.8, §12.1.1), which alone says the transport.
    pub(super) fn contact(&self, path: Path, secure: bool) -> String {
        self.contact_as("", path, secure)
    }

    /// The same with what stands before the host: a user and `@`, or nothing.
    pub(super) fn contact_as(&self, user: &str, path: Path, secure: bool) -> String {
        let host = self.contact_host(path.listener, path.peer);
        match path.transport {
            _ if secure => format!("<sips:{user}{host}>"),
            Transport::Udp => format!("<sip:{user}{host}>"),
            Transport::Tcp => format!("<sip:{user}{host};transport=tcp>"),
            Transport::Tls => format!("<sip:{user}{host};transport=tls>"),
        }
    }
}

/// The value of a Reason header (RFC 3326).
pub(super) fn reason_value(cause: u16) -> String {
    format!("SIP;cause={cause};text=\"{}\"", reason_phrase(cause))
}
