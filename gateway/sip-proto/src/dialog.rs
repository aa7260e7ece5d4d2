//! A dialog (RFC 3261 §12): who the two sides are, where requests go, which number comes next.

use std::{io::Write, net::SocketAddr};

use crate::{
    builder::line,
    endpoint::Transport,
    header::{HeaderName, NameAddr},
    message::{Message, Method, StartLine},
    uri::{Scheme, Uri},
};

/// One dialog, from our side.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: Box<[u8]>,
    pub(crate) local_tag: Box<[u8]>,
    pub(crate) remote_tag: Box<[u8]>,
    /// The value of our From header.
    local: Box<[u8]>,
    /// The value of our To header.
    remote: Box<[u8]>,
    /// The Request-URI of our requests.
    remote_target: Box<[u8]>,
    routes: Vec<Box<[u8]>>,
    local_cseq: u32,
    pub(crate) remote_cseq: u32,
    max_forwards: u8,
    /// It was begun by a `sips` URI (RFC 3261 §12.1.1): both sides are reached by such alone.
    pub(crate) secure: bool,
}

/// Hops a request of ours may make (RFC 3261 §8.1.1.6).
const MAX_FORWARDS: u8 = 70;

/// The two sides of a call of ours before anybody answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calling<'a> {
    pub(crate) call_id: &'a str,
    pub(crate) local_tag: &'a str,
    /// The value of From, without a tag.
    pub(crate) from: &'a str,
    /// The Request-URI, which is To as well.
    pub(crate) uri: &'a str,
    pub(crate) first_cseq: u32,
    pub(crate) max_forwards: u8,
}

impl Dialog {
    /// What an INVITE of ours is written from; it has no remote tag, so that no request belongs to it.
    pub(crate) fn calling(calling: Calling<'_>) -> Self {
        Self {
            call_id: calling.call_id.as_bytes().into(),
            local_tag: calling.local_tag.as_bytes().into(),
            remote_tag: Box::default(),
            local: format!("{};tag={}", calling.from, calling.local_tag).into_bytes().into(),
            remote: format!("<{}>", calling.uri).into_bytes().into(),
            remote_target: calling.uri.as_bytes().into(),
            routes: Vec::new(),
            local_cseq: calling.first_cseq,
            remote_cseq: 0,
            max_forwards: calling.max_forwards,
            secure: is_secure(calling.uri.as_bytes()),
        }
    }

    /// The dialog that a response with a To tag makes of an INVITE of ours (RFC 3261 §12.1.2).
    pub(crate) fn of_client(invite: &Message<'_>, response: &Message<'_>) -> Option<Self> {
        let (from, to) = (invite.from()?, response.to()?);
        let uri = match invite.start {
            StartLine::Request { uri, .. } => uri,
            StartLine::Response { .. } => return None,
        };
        let mut routes: Vec<Box<[u8]>> = response.elements(HeaderName::RecordRoute).map(Into::into).collect();
        routes.reverse();
        Some(Self {
            call_id: invite.call_id()?.into(),
            local_tag: from.tag()?.into(),
            remote_tag: to.tag()?.into(),
            local: from.raw.into(),
            remote: to.raw.into(),
            remote_target: response.contacts().next().map_or(uri, |contact| contact.uri.raw).into(),
            routes,
            local_cseq: invite.cseq()?.number,
            remote_cseq: 0,
            max_forwards: MAX_FORWARDS,
            secure: is_secure(uri),
        })
    }

    /// The dialog that an INVITE from the other side creates (RFC 3261 §12.1.1).
    pub(crate) fn of_server(invite: &Message<'_>, local_tag: &[u8], first_cseq: u32) -> Option<Self> {
        let (from, to) = (invite.from()?, invite.to()?);
        let target = invite.contacts().next().map_or(from.uri.raw, |contact| contact.uri.raw);
        let mut local = to.raw.to_vec();
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag);
        let asked_for = match invite.start {
            StartLine::Request { uri, .. } => uri,
            StartLine::Response { .. } => b"",
        };
        // RFC 3261 §12.1.1, §12.1.2: whichever of them asks for it.
        let first_route = invite.elements(HeaderName::RecordRoute).next().and_then(NameAddr::parse);
        let next = first_route.map_or(target, |route| route.uri.raw);
        Some(Self {
            call_id: invite.call_id()?.into(),
            local_tag: local_tag.into(),
            // RFC 3261 §12.1.1: a missing tag is a null value, for RFC 2543 peers.
            remote_tag: from.tag().unwrap_or_default().into(),
            local: local.into(),
            remote: from.raw.into(),
            remote_target: target.into(),
            routes: invite.elements(HeaderName::RecordRoute).map(Into::into).collect(),
            local_cseq: first_cseq,
            remote_cseq: invite.cseq()?.number,
            max_forwards: MAX_FORWARDS,
            secure: is_secure(asked_for) || is_secure(next),
        })
    }

    /// The 2xx says it all anew: the target, and the route set as it stands at the answer (RFC 3261 §13.2.2.4).
    /// Numbers go on.
    pub(crate) fn answered(&mut self, invite: &Message<'_>, response: &Message<'_>) {
        if let Some(whole) = Self::of_client(invite, response) {
            let (local_cseq, remote_cseq) = (self.local_cseq.max(whole.local_cseq), self.remote_cseq);
            *self = Self { local_cseq, remote_cseq, ..whole };
        }
    }

    /// As text, one field a line: no field of a message holds a line end.
    pub(crate) fn to_lines(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut lines = vec![
            text(&self.call_id),
            text(&self.local_tag),
            text(&self.remote_tag),
            text(&self.local),
            text(&self.remote),
            text(&self.remote_target),
            self.local_cseq.to_string(),
        ];
        lines.extend(self.routes.iter().map(|route| text(route)));
        lines.join("\n")
    }

    /// Reads what [`Dialog::to_lines`] wrote.
    pub(crate) fn from_lines(text: &str) -> Option<Self> {
        let mut lines = text.split('\n').map(|line| Box::<[u8]>::from(line.as_bytes()));
        let [call_id, local_tag, remote_tag, local, remote, remote_target] =
            [lines.next()?, lines.next()?, lines.next()?, lines.next()?, lines.next()?, lines.next()?];
        Some(Self {
            secure: is_secure(&remote_target),
            call_id,
            local_tag,
            remote_tag,
            local,
            remote,
            remote_target,
            local_cseq: std::str::from_utf8(&lines.next()?).ok()?.parse().ok()?,
            routes: lines.collect(),
            remote_cseq: 0,
            max_forwards: MAX_FORWARDS,
        })
    }

    /// Leaves out numbers that may have been used elsewhere.
    pub(crate) fn skip_numbers(&mut self, count: u32) {
        self.local_cseq = self.local_cseq.saturating_add(count);
    }

    /// Whether a request from the other side belongs here.
    pub(crate) fn matches(&self, call_id: &[u8], local_tag: &[u8], remote_tag: &[u8]) -> bool {
        *self.call_id == *call_id && *self.local_tag == *local_tag && *self.remote_tag == *remote_tag
    }

    /// RFC 3261 §12.2: a re-INVITE or UPDATE may move the target.
    pub(crate) fn refresh_target(&mut self, request: &Message<'_>) {
        if let Some(contact) = request.contacts().next() {
            self.remote_target = contact.uri.raw.into();
        }
    }

    /// The host of the other side's address of record, from To or From.
    pub(crate) fn remote_host(&self) -> Option<&[u8]> {
        NameAddr::parse(&self.remote).map(|party| party.uri.host).filter(|host| !host.is_empty())
    }

    /// The address our requests go to, and by which transport, when the next hop names an IP address. There is no
    /// DNS here: a name leads back to where the peer's requests come from. So does a private address named by a
    /// public source, which is a peer behind NAT. What came over TLS stays there, whatever the peer names.
    pub(crate) fn next_hop(&self, source: SocketAddr, by: Transport) -> (SocketAddr, Transport) {
        let uri = match self.routes.first() {
            Some(route) => NameAddr::parse(route).map(|route| route.uri),
            None => Uri::parse(&self.remote_target).ok(),
        };
        let named = uri.and_then(|uri| {
            let ip = std::str::from_utf8(uri.host).ok()?.parse().ok()?;
            let transport = match (uri.scheme, by) {
                (Scheme::Sips, _) | (_, Transport::Tls) => Transport::Tls,
                _ => uri.param("transport").and_then(Transport::from_param).unwrap_or(by),
            };
            // RFC 3261 §19.1.2.
            let usual = if transport == Transport::Tls { 5061 } else { 5060 };
            Some((SocketAddr::new(ip, uri.port.unwrap_or(usual)), transport))
        });
        match named {
            Some((named, _)) if is_private(named) && !is_private(source) => (source, by),
            Some((named, transport)) if named.is_ipv4() == source.is_ipv4() => (named, transport),
            _ => (source, by),
        }
    }

    /// The strict router at the head of the route set, if there is one: it is named by the Request-URI itself,
    /// and the target comes last (RFC 3261 §12.2.1.1).
    fn strict_router(&self) -> Option<Uri<'_>> {
        let first = NameAddr::parse(self.routes.first()?)?.uri;
        first.param("lr").is_none().then_some(first)
    }

    /// The Request-URI of the next request.
    pub(crate) fn request_uri(&self) -> &[u8] {
        self.strict_router().map_or(&*self.remote_target, |strict| strict.raw)
    }

    /// Writes the head of a request within the dialog, up to but without Content-Length; the CSeq number
    /// used. An ACK passes the number of the INVITE it is for.
    pub(crate) fn request(
        &mut self,
        out: &mut Vec<u8>,
        method: Method,
        via: &str,
        cseq_of_invite: Option<u32>,
    ) -> u32 {
        let cseq = cseq_of_invite.unwrap_or_else(|| {
            self.local_cseq = self.local_cseq.wrapping_add(1);
            self.local_cseq
        });
        let name = method.as_str();
        let strict = self.strict_router().is_some();
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.request_uri());
        write!(out, " SIP/2.0\r\nVia: {via}\r\nMax-Forwards: {}\r\n", self.max_forwards).ok();
        for route in self.routes.iter().skip(usize::from(strict)) {
            line(out, "Route", route);
        }
        if strict {
            line(out, "Route", &[b"<", &*self.remote_target, b">"].concat());
        }
        line(out, "From", &self.local);
        line(out, "To", &self.remote);
        line(out, "Call-ID", &self.call_id);
        write!(out, "CSeq: {cseq} {name}\r\n").ok();
        cseq
    }
}

fn is_secure(uri: &[u8]) -> bool {
    uri.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"))
}

fn is_private(address: SocketAddr) -> bool {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
