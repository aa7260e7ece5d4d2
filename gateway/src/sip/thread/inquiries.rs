//! Requests of ours outside calls: who waits for the reply of each.

use std::{collections::HashMap, time::Instant};

use sip_proto::endpoint::{Inquiry, Path, Reply};
use tokio::sync::oneshot;

use super::SipThread;
use crate::{
    leg::Destination,
    sip::{gate::Guest, inbox::Inquiring},
};

/// Those that go on.
#[derive(Debug, Default)]
pub(super) struct Inquiries {
    last: u64,
    waiting: HashMap<u64, Waiting>,
}

/// Who waits, and whose answer is let in meanwhile.
#[derive(Debug)]
struct Waiting {
    reply: oneshot::Sender<Reply>,
    _guest: Guest,
}

impl SipThread {
    /// Sends a request. Where it cannot be sent, `reply` is dropped.
    pub(super) fn inquire(&mut self, now: Instant, inquiring: Inquiring, reply: oneshot::Sender<Reply>) {
        let Inquiring { to, method, uri, from, to_uri, contact_user, headers, login, series, patience } =
            inquiring;
        let own = (0_u16..).zip(&self.listeners).find(|(_, own)| own.reaches(to.transport, to.peer));
        let Some((listener, _)) = own else {
            tracing::warn!(transport = to.transport.as_str(), "no listener of ours reaches a trunk");
            return;
        };
        let Destination { transport, peer, domain } = to;
        let path =
            Path { transport, peer, listener, connection: self.connection_to(transport, peer, domain) };
        let id = self.inquiries.last.wrapping_add(1);
        self.inquiries.last = id;
        let guest = self.gate.invite(peer.ip());
        let inquiry = Inquiry {
            id,
            path,
            method,
            uri,
            from,
            to: to_uri,
            contact_user,
            headers,
            login,
            series,
            patience,
        };
        match self.endpoint.inquire(now, inquiry, &mut self.out) {
            Ok(()) => {
                self.inquiries.waiting.insert(id, Waiting { reply, _guest: guest });
            }
            Err(error) => tracing::warn!(%error, "a request to a trunk was not sent"),
        }
    }

    /// Hands replies to who waits for them.
    pub(super) fn tell_inquirers(&mut self) {
        for reply in self.out.replies.drain(..) {
            if let Some(waiting) = self.inquiries.waiting.remove(&reply.id) {
                // Whoever asked may have gone away.
                drop(waiting.reply.send(reply));
            }
        }
    }
}
