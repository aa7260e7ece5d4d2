//! Keys of the tables: keyed 128-bit hashes, so that no peer can choose collisions.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::Endpoint;
use crate::{
    header::{BRANCH_COOKIE, HeaderName, Via},
    message::{Message, Method},
};

impl Endpoint {
    fn hash(&self, parts: &[&[u8]]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_key.0, self.hash_key.1);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish128().as_u128()
    }

    /// The key of a server transaction (RFC 3261 §17.2.3). ACK finds its INVITE; CANCEL has a key of its
    /// own, and finds its INVITE with `method` set to it.
    pub(super) fn server_key(&self, request: &Message<'_>, via: &Via<'_>, method: Method) -> u128 {
        let method = if method == Method::Ack { Method::Invite } else { method };
        let port = via.port.unwrap_or(5060).to_be_bytes();
        match via
            .branch
            .filter(|branch| branch.len() > BRANCH_COOKIE.len() && branch.starts_with(BRANCH_COOKIE))
        {
            // Beyond the RFC the Call-ID counts too: ACK and CANCEL carry their INVITE's, and a peer whose
            // branches repeat must not get one call's response for another.
            Some(branch) => {
                let call_id = request.call_id().unwrap_or_default();
                self.hash(&[b"3261", branch, via.host, &port, call_id, method.as_str().as_bytes()])
            }
            None => {
                // RFC 2543 peers: Request-URI, From tag, Call-ID, CSeq number and the topmost Via.
                let uri = match request.start {
                    crate::message::StartLine::Request { uri, .. } => uri,
                    crate::message::StartLine::Response { .. } => b"",
                };
                let from = request.from();
                let tag = from.as_ref().and_then(|from| from.tag()).unwrap_or_default();
                let number = request.cseq().map_or(0, |cseq| cseq.number).to_be_bytes();
                let call_id = request.call_id().unwrap_or_default();
                self.hash(&[b"2543", uri, tag, call_id, &number, via.raw, method.as_str().as_bytes()])
            }
        }
    }

    /// A tag for a response that nothing is kept of: the same for each retransmission of the request
    /// (RFC 3261 §8.2.7).
    pub(super) fn stateless_tag(&self, request: &Message<'_>) -> String {
        let header = |name| request.header(name).unwrap_or_default();
        let names = [HeaderName::Via, HeaderName::From, HeaderName::CallId, HeaderName::CSeq];
        let hash = self.hash(&names.map(header));
        format!("{:02x}{:016x}", self.settings.shard, hash & u128::from(u64::MAX))
    }

    /// The key of a client transaction: the branch we made, and the method.
    pub(super) fn client_key(&self, branch: &[u8], method: Method) -> u128 {
        self.hash(&[b"client", branch, method.as_str().as_bytes()])
    }

    /// The key of a call: its dialog's identifier (RFC 3261 §12).
    pub(super) fn call_key(&self, call_id: &[u8], local_tag: &[u8], remote_tag: &[u8]) -> u128 {
        self.hash(&[b"call", call_id, local_tag, remote_tag])
    }

    /// The key by which a merged INVITE finds the call of the first one (RFC 3261 §8.2.2.2).
    pub(super) fn merge_key(&self, call_id: &[u8], from_tag: &[u8], cseq: u32) -> u128 {
        self.hash(&[b"merge", call_id, from_tag, &cseq.to_be_bytes()])
    }
}
