//! The way of time: whoever is woken looks which of its timers is due.

use std::time::Instant;

use super::{
    Endpoint, Event, HangUpCause, Outputs, Reply, Wake,
    call::{Call, Phase},
    tables::{ClientMachine, Handle, ServerMachine},
};
use crate::transaction::Step;

impl Endpoint {
    /// Does everything that is due by `now`. May be called at any time.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outputs) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.expire(now, &mut due);
        for (_, who) in due.drain(..) {
            match who {
                Wake::Server(handle) => self.server_timeout(now, handle, out),
                Wake::Client(handle) => self.client_timeout(now, handle, out),
                Wake::Call(handle) => self.call_timeout(now, handle, out),
            }
        }
        self.due = due;
    }

    fn server_timeout(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(entry) = self.servers.entry(handle) else { return };
        let step = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.timeout(now, &self.settings.timers),
            ServerMachine::Other(machine) => machine.timeout(now, &self.settings.timers),
        };
        match step {
            Step::Resend => {
                let bytes = &entry.last_response;
                out.repeat(entry.path, bytes);
                self.wake_server(handle);
            }
            // Timer H: the refusal was never acknowledged; nobody waits for that (RFC 3261 §17.2.1).
            Step::TimedOut | Step::Terminated => self.forget_server(handle),
            Step::Nothing | Step::Deliver | Step::Acknowledge { .. } => {}
        }
    }

    fn client_timeout(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(entry) = self.clients.entry(handle) else { return };
        let step = match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.timeout(now, &self.settings.timers),
            ClientMachine::Other(machine) => machine.timeout(now, &self.settings.timers),
        };
        let (method, call) = (entry.method, entry.call);
        match step {
            Step::Resend => {
                let bytes = &entry.bytes;
                out.repeat(entry.path, bytes);
                self.wake_client(handle);
            }
            Step::TimedOut | Step::Terminated => {
                // Timer F: nobody answers.
                if let Some((inquiry, series)) = self.inquiry_of(handle) {
                    out.replies.push(Reply::without(408, *inquiry, series));
                }
                self.forget_client(handle);
                if step == Step::TimedOut
                    && let Some(call) = call
                {
                    self.request_timed_out(now, handle, method, call, out);
                }
            }
            Step::Nothing | Step::Deliver | Step::Acknowledge { .. } => {}
        }
    }

    fn call_timeout(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        if call.wake_at.is_none_or(|at| at > now) {
            return;
        }
        call.wake_at = None;
        if call.deadline().is_none_or(|at| at > now) {
            // Woken for a timer that was moved or stopped.
            return self.wake_call(handle);
        }
        if let Some(incoming) = call.incoming()
            && incoming.trying_at.take_if(|at| *at <= now).is_some()
        {
            self.trying(now, handle, out);
        }
        self.cancel_timeout(now, handle);
        self.repeat_ok(now, handle, out);
        self.repeat_provisional(now, handle, out);
        self.session_timeout(now, handle, out);
        self.wake_call(handle);
    }

    fn trying(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle).filter(|call| call.phase == Phase::Early) else { return };
        let Some(incoming) = call.incoming() else { return };
        let (transaction, head) = (incoming.transaction, incoming.head.clone());
        self.respond_invite(now, (transaction, &head), 100, (&[], None), out);
    }

    /// RFC 3261 §13.3.1.4: the 2xx is repeated until its ACK, on every transport; after 64·T1 the call is
    /// over, and BYE says so.
    fn repeat_ok(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let t2 = self.settings.timers.t2;
        let Some(call) = self.calls.entry(handle) else { return };
        let Some(waiting) = &mut call.unacknowledged else { return };
        if waiting.give_up_at <= now {
            let told = call.phase == Phase::Answered;
            if told {
                out.events.push((handle, Event::HungUp(HangUpCause::NoAck)));
            }
            return self.send_bye(now, handle, Some(408), out);
        }
        if waiting.resend_at <= now {
            waiting.interval = waiting.interval.saturating_mul(2).min(t2);
            waiting.resend_at = now.checked_add(waiting.interval).unwrap_or(now);
            let response = &waiting.response;
            out.repeat(waiting.path, response);
        }
    }

    /// RFC 3262 §3: repeated at doubling intervals; without PRACK after 64·T1 the INVITE is refused.
    fn repeat_provisional(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(incoming) = self.calls.entry(handle).and_then(Call::incoming) else { return };
        let transaction = incoming.transaction;
        let Some(pending) = &mut incoming.reliable.pending else { return };
        if pending.give_up_at <= now {
            return self.end_early(now, handle, 504, Some(HangUpCause::NoAck), &[], out);
        }
        if pending.resend_at <= now {
            pending.interval = pending.interval.saturating_mul(2);
            pending.resend_at = now.checked_add(pending.interval).unwrap_or(now);
            let response = pending.response.clone();
            if let Some(entry) = self.servers.entry(transaction) {
                out.repeat(entry.path, &response);
            }
        }
    }

    fn session_timeout(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle).filter(|call| call.phase == Phase::Answered) else {
            return;
        };
        let Some(session) = &mut call.session else { return };
        if session.expires_at <= now {
            out.events.push((handle, Event::HungUp(HangUpCause::SessionExpired)));
            return self.send_bye(now, handle, Some(408), out);
        }
        if session.refresh_at.is_some_and(|at| at <= now) {
            session.refresh_at = None;
            self.refresh(now, handle, out);
        }
    }
}
