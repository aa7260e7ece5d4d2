//! A dialog (RFC 3261 §12): who the two sides are, where requests go, which number comes next.

use std::{io::Write, net::SocketAddr};

use crate::{
    builder::line,
    header::{HeaderName, NameAddr},
    message::{Message, Method},
    uri::Uri,
};

/// One dialog, from our side.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) call_id: Box<[u8]>,
    pub(crate) local_tag: Box<[u8]>,
    pub(crate) remote_tag: Box<[u8]>,
    /// The value of our From header: the To of the INVITE with our tag.
    local: Box<[u8]>,
    /// The value of our To header: the From of the INVITE.
    remote: Box<[u8]>,
    /// The Request-URI of our requests.
    remote_target: Box<[u8]>,
    routes: Vec<Box<[u8]>>,
    local_cseq: u32,
    pub(crate) remote_cseq: u32,
}

impl Dialog {
    /// The dialog that an INVITE from the other side creates (RFC 3261 §12.1.1).
    pub(crate) fn of_server(invite: &Message<'_>, local_tag: &[u8], first_cseq: u32) -> Option<Self> {
        let (from, to) = (invite.from()?, invite.to()?);
        let target = invite.contacts().next().map_or(from.uri.raw, |contact| contact.uri.raw);
        let mut local = to.raw.to_vec();
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag);
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
        })
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

    /// The address our requests go to, when the next hop names an IP address. There is no DNS here: a
    /// name leads back to where the peer's requests come from. So does a private address named by a
    /// public source, which is a peer behind NAT.
    pub(crate) fn next_hop(&self, source: SocketAddr) -> SocketAddr {
        let uri = match self.routes.first() {
            Some(route) => NameAddr::parse(route).map(|route| route.uri),
            None => Uri::parse(&self.remote_target).ok(),
        };
        let named = uri.and_then(|uri| {
            let ip = std::str::from_utf8(uri.host).ok()?.parse().ok()?;
            Some(SocketAddr::new(ip, uri.port.unwrap_or(5060)))
        });
        match named {
            Some(named) if is_private(named) && !is_private(source) => source,
            Some(named) if named.is_ipv4() == source.is_ipv4() => named,
            _ => source,
        }
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
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
        out.extend_from_slice(&self.remote_target);
        write!(out, " SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\n").ok();
        for route in &self.routes {
            line(out, "Route", route);
        }
        line(out, "From", &self.local);
        line(out, "To", &self.remote);
        line(out, "Call-ID", &self.call_id);
        write!(out, "CSeq: {cseq} {name}\r\n").ok();
        cseq
    }
}

fn is_private(address: SocketAddr) -> bool {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
