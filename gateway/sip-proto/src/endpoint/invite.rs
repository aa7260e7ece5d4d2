//! A new call: the INVITE without a To tag.

use std::time::Instant;

use super::{
    Endpoint, Event, Invite, Outputs, Party, Path,
    call::{Call, Incoming, PeerAbilities, Phase, Reliable, Role},
    diversion::diverted_from,
    respond::ACCEPT,
    session_timer,
    tables::{ServerMachine, ServerTransaction},
};
use crate::{
    builder::response_head,
    dialog::Dialog,
    header::{HeaderName, NameAddr},
    lex::trim,
    message::{Description, Message, Method, StartLine},
    sdp,
    transaction::server_invite::ServerInvite,
    uri::Uri,
};

impl Endpoint {
    pub(super) fn invite(&mut self, now: Instant, path: Path, message: &Message<'_>, out: &mut Outputs) {
        if self.refused(now, path, message, out) {
            return;
        }
        let (Some(call_id), Some(from), Some(via)) = (message.call_id(), message.from(), message.top_via())
        else {
            return;
        };
        let from_tag = from.tag().unwrap_or_default();
        let cseq = message.cseq().map_or(0, |cseq| cseq.number);
        // The same request by another way: a forked INVITE that met again here (RFC 3261 §8.2.2.2).
        let merge_key = self.merge_key(call_id, from_tag, cseq);
        if self.call_index.contains_key(&merge_key) {
            return self.refuse(now, path, message, 482, &[], out);
        }
        let tag = self.new_tag();
        let key = self.call_key(call_id, tag.as_bytes(), from_tag);
        let first_cseq = rand::Rng::random_range(&mut self.rng, 1..1 << 20);
        let Some(dialog) = Dialog::of_server(message, tag.as_bytes(), first_cseq) else { return };
        let mut head = Vec::with_capacity(512);
        response_head(&mut head, message, path.peer, tag.as_bytes());
        let transaction = ServerTransaction {
            key: self.server_key(message, &via, Method::Invite),
            machine: ServerMachine::Invite(ServerInvite::new(path.transport.is_reliable())),
            path: Self::response_path(message, path),
            last_response: Box::default(),
            call: None,
        };
        let server_key = transaction.key;
        let Some(transaction) = self.servers.insert(transaction) else { return };
        self.server_index.insert(server_key, transaction);
        let call = Call {
            key: Some(key),
            role: Role::Server(Incoming {
                merge_key,
                head: head.into(),
                transaction,
                offer: message.description().sdp().map(Into::into),
                reliable: Reliable {
                    required: message.lists(HeaderName::Require, "100rel"),
                    next_rseq: rand::Rng::random_range(&mut self.rng, 1..1 << 20),
                    pending: None,
                    crossed: None,
                },
                trying_at: now.checked_add(self.settings.trying_after),
            }),
            phase: Phase::Early,
            path,
            invite_cseq: dialog.remote_cseq,
            dialog,
            media: None,
            negotiated: None,
            unacknowledged: None,
            hang_up_after_ack: None,
            session: session_timer::wanted(message, &self.settings, now),
            peer: PeerAbilities { update: message.lists(HeaderName::Allow, "UPDATE") },
            refresh: None,
            referral: None,
            min_se: 0,
            login: None,
            description: Box::default(),
            wake_at: None,
        };
        let Some(handle) = self.calls.insert(call) else { return };
        self.call_index.insert(key, handle);
        self.call_index.insert(merge_key, handle);
        if let Some(entry) = self.servers.entry(transaction) {
            entry.call = Some(handle);
        }
        self.wake_call(handle);
        out.events.push((handle, Event::Incoming(Box::new(described(message, path)))));
    }

    /// Whether a new INVITE was refused before a call was made of it.
    fn refused(&mut self, now: Instant, path: Path, message: &Message<'_>, out: &mut Outputs) -> bool {
        if let Some((status, extra)) = unacceptable(message) {
            self.refuse(now, path, message, status, &extra, out);
            return true;
        }
        if message.max_forwards() == Some(0) {
            self.refuse(now, path, message, 483, &[], out);
            return true;
        }
        let min_se = self.settings.min_se_seconds;
        if session_timer::too_small(message, min_se) {
            self.refuse(now, path, message, 422, &[("Min-SE", &min_se.to_string())], out);
            return true;
        }
        if self.calls.len() >= self.settings.calls_max || self.servers.len() >= self.settings.transactions_max
        {
            self.refuse(now, path, message, 503, &[("Retry-After", "5")], out);
            return true;
        }
        false
    }
}

/// Body, encoding and acceptable answers (RFC 3261 §8.2.3, §13.2.1).
fn unacceptable(message: &Message<'_>) -> Option<(u16, Vec<(&'static str, &'static str)>)> {
    match message.description() {
        Description::None => {}
        Description::Unsupported => return Some((415, vec![("Accept", ACCEPT)])),
        Description::Sdp(offer) => {
            if message.elements(HeaderName::ContentEncoding).any(|e| !e.eq_ignore_ascii_case(b"identity")) {
                return Some((415, vec![("Accept-Encoding", "identity")]));
            }
            if sdp::read(offer).is_err() {
                return Some((488, vec![("Warning", "399 vestibule \"malformed session description\"")]));
            }
        }
    }
    let mut accepts = message.elements(HeaderName::Accept).peekable();
    if accepts.peek().is_some()
        && !accepts.any(|kind| {
            let kind = trim(kind.split(|&b| b == b';').next().unwrap_or(kind));
            [&b"application/sdp"[..], b"application/*", b"*/*"].iter().any(|k| kind.eq_ignore_ascii_case(k))
        })
    {
        return Some((406, Vec::new()));
    }
    None
}

fn described(message: &Message<'_>, path: Path) -> Invite {
    let request_uri = match message.start {
        StartLine::Request { uri, .. } => uri,
        StartLine::Response { .. } => b"",
    };
    let user = Uri::parse(request_uri).ok().and_then(|uri| uri.user_text());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let party = |address: NameAddr<'_>| Party {
        user: address.uri.user_text().unwrap_or_default(),
        host: text(address.uri.host),
        display: address.display_text(),
    };
    Invite {
        path,
        call_id: message.call_id().map(text).unwrap_or_default(),
        request_uri: text(request_uri),
        user: user.unwrap_or_default(),
        to: message.to().map(party).unwrap_or_default(),
        called: message.header(HeaderName::PCalledPartyId).and_then(NameAddr::parse).map(party),
        from: message.from().map(party).unwrap_or_default(),
        asserted: message.elements(HeaderName::PAssertedIdentity).find_map(NameAddr::parse).map(party),
        diverted_from: diverted_from(message).map(party),
        private: message
            .all(HeaderName::Privacy)
            .flat_map(|value| value.split(|b| matches!(b, b';' | b',')))
            .any(|value| {
                [&b"id"[..], b"user", b"header"].iter().any(|p| trim(value).eq_ignore_ascii_case(p))
            }),
        has_offer: message.description().sdp().is_some(),
        max_forwards: message.max_forwards().and_then(|hops| u8::try_from(hops).ok()).unwrap_or(70),
        authorization: message.all(HeaderName::Authorization).map(text).collect(),
    }
}
