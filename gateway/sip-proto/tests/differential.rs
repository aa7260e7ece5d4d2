//! Another parser reads the same messages: where both accept one, their fields agree.
//!
//! `rsip` does not know IPv6, `tel:`, unknown methods or Content-Length, so it judges only what it
//! takes; the known differences are named where they are left out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may fail loudly")]

use rsip::{
    SipMessage,
    headers::UntypedHeader,
    prelude::{HasHeaders, HeadersExt, ToTypedHeader},
};
use sip_proto::{
    header::NameAddr,
    message::{Message, StartLine},
    uri::Scheme,
};

#[path = "support/messages.rs"]
mod messages;

/// How many fields were compared.
#[derive(Debug, Default)]
struct Compared {
    messages: usize,
    fields: usize,
    differences: Vec<String>,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Compared {
    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, ours: T, theirs: T, of: &str) {
        self.fields += 1;
        if ours != theirs {
            self.differences.push(format!("{of}: {what}: ours {ours:?}, theirs {theirs:?}"));
        }
    }

    fn message(&mut self, of: &str, bytes: &[u8]) {
        let Ok(ours) = Message::parse(bytes) else { return };
        if ours.check().is_err() {
            return;
        }
        let Ok(theirs) = SipMessage::try_from(bytes) else { return };
        self.messages += 1;
        match (ours.start, &theirs) {
            (StartLine::Request { token, .. }, SipMessage::Request(request)) => {
                self.equal("method", text(token), request.method.to_string(), of);
            }
            (StartLine::Response { status, .. }, SipMessage::Response(response)) => {
                self.equal("status", status, response.status_code.code(), of);
            }
            (ours, _) => self.differences.push(format!("{of}: {ours:?} is of another kind")),
        }
        if let Ok(call_id) = theirs.call_id_header() {
            self.equal("Call-ID", text(ours.call_id().unwrap()), call_id.value().trim().to_owned(), of);
        }
        if let Some(cseq) = theirs.cseq_header().ok().and_then(|header| header.typed().ok()) {
            let own = ours.cseq().unwrap();
            self.equal("CSeq", (own.number, text(own.method)), (cseq.seq, cseq.method.to_string()), of);
        }
        if let Some(from) = theirs.from_header().ok().and_then(|header| header.typed().ok()) {
            self.address("From", ours.from().unwrap(), &from.uri, of);
            let tag = from.tag().map(|tag| tag.value().trim().to_owned());
            self.equal("From tag", ours.from().unwrap().tag().map(text), tag, of);
        }
        if let Some(to) = theirs.to_header().ok().and_then(|header| header.typed().ok()) {
            self.address("To", ours.to().unwrap(), &to.uri, of);
        }
        if let Some(via) = theirs.via_header().ok().and_then(|header| header.typed().ok()) {
            let own = ours.top_via().unwrap();
            let host = via.uri.host_with_port;
            self.equal("Via host", text(own.host), host.host.to_string(), of);
            self.equal("Via port", own.port, host.port.map(|port| *port.value()), of);
        }
        self.equal("headers", ours.headers().len(), theirs.headers().iter().count(), of);
    }

    fn address(&mut self, what: &str, ours: NameAddr<'_>, theirs: &rsip::Uri, of: &str) {
        // Other schemes have no host for us. A dot in the user part makes the other parser take the whole
        // for a host.
        let is_sip = matches!(ours.uri.scheme, Scheme::Sip | Scheme::Sips);
        if !is_sip || theirs.host_with_port.host.to_string().contains('@') {
            return;
        }
        self.equal(what, text(ours.uri.host), theirs.host_with_port.host.to_string(), of);
        self.equal(what, ours.uri.port, theirs.host_with_port.port.as_ref().map(|port| *port.value()), of);
        let user = theirs.auth.as_ref().map(|auth| auth.user.clone());
        self.equal(what, ours.uri.user.map(text), user, of);
    }
}

#[test]
fn where_another_parser_accepts_a_stored_message_too_the_fields_agree() {
    let mut compared = Compared::default();
    for folder in ["tests/torture", "fuzz/corpus/sip_message"] {
        for (file, bytes) in messages::stored(folder) {
            compared.message(&file, &bytes);
        }
    }
    assert!(compared.differences.is_empty(), "{}", compared.differences.join("\n"));
    assert!(compared.messages >= 20 && compared.fields >= 200, "{compared:?}");
}
