//! Connections that the SIP thread writes to: one for all requests to a peer, and those that peers have made.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;
use sip_proto::endpoint::{Path, Transport};
use tokio::sync::mpsc;

use crate::sip::tls::Identities;

/// All of them, by their names.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: HashMap<u64, Stream>,
    /// Whom a name leads to, for as long as requests may want the connection made anew.
    peers: HashMap<u64, Peer>,
    /// The name of the connection that requests to a peer share.
    shared: HashMap<Peer, u64>,
    /// The names in `peers`, the oldest first.
    remembered: VecDeque<u64>,
}

/// Where a connection leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) transport: Transport,
    pub(super) address: SocketAddr,
    /// The domain that it must prove to be, over TLS.
    pub(super) domain: Option<Arc<str>>,
}

#[derive(Debug)]
enum Stream {
    /// Being connected; what was sent meanwhile.
    Opening(Vec<Bytes>),
    Open(mpsc::Sender<Bytes>, Identities),
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on its way, waits for the connection, or is lost: what repeats a message repeats this one.
    Done,
    /// There is no connection: this one is to be made, and takes the message along. The domain is what the other
    /// side must prove to be.
    NotConnected(Path, Option<Arc<str>>),
}

/// Messages that wait for a connection: INVITEs of some calls, and what may follow them.
const WAITING_MAX: usize = 256;

/// Peers that are remembered without a connection.
const PEERS_MAX: usize = 4096;

impl Streams {
    /// The name of the connection that requests to a peer go by; a new one when there was none yet.
    pub(super) fn name(&mut self, peer: Peer, new: impl FnOnce() -> u64) -> u64 {
        if let Some(id) = self.shared.get(&peer) {
            return *id;
        }
        let id = new();
        self.shared.insert(peer.clone(), id);
        self.remember(id, peer);
        id
    }

    /// A connection is there.
    pub(super) fn opened(&mut self, path: Path, writer: mpsc::Sender<Bytes>, proven: Identities) {
        let Some(id) = path.connection else { return };
        if let Some(Stream::Opening(waiting)) = self.streams.remove(&id) {
            // An empty channel takes them.
            waiting.into_iter().all(|bytes| writer.try_send(bytes).is_ok());
        }
        if !self.peers.contains_key(&id)
            && let Some(domain) = proven.iter().next()
        {
            // Made anew, it must lead to the same one.
            let Path { transport, peer: address, .. } = path;
            self.remember(id, Peer { transport, address, domain: Some(domain.into()) });
        }
        self.streams.insert(id, Stream::Open(writer, proven));
    }

    /// A connection is gone; one of the same name that is being made is another.
    pub(super) fn closed(&mut self, path: Path) {
        let Some(id) = path.connection else { return };
        if matches!(self.streams.get(&id), Some(Stream::Open(writer, _)) if writer.is_closed()) {
            self.streams.remove(&id);
        }
    }

    /// A connection could not be made.
    pub(super) fn unreachable(&mut self, path: Path) {
        let Some(id) = path.connection else { return };
        if matches!(self.streams.get(&id), Some(Stream::Opening(_))) {
            self.streams.remove(&id);
        }
    }

    /// Whom the other side of an open connection has proven to be.
    pub(super) fn proven(&self, path: Path) -> Identities {
        match path.connection.and_then(|id| self.streams.get(&id)) {
            Some(Stream::Open(_, proven)) => proven.clone(),
            Some(Stream::Opening(_)) | None => Identities::default(),
        }
    }

    /// Sends a message over its connection.
    pub(super) fn send(&mut self, path: Path, bytes: &[u8], new: impl FnOnce() -> u64) -> Sent {
        let id = path.connection.unwrap_or_else(|| {
            let Path { transport, peer: address, .. } = path;
            self.name(Peer { transport, address, domain: None }, new)
        });
        let message = || Bytes::copy_from_slice(bytes);
        match self.streams.get_mut(&id) {
            Some(Stream::Open(writer, _)) => {
                if writer.try_send(message()).is_err() {
                    // A peer that does not read loses its connection: the task ends when the writer is gone.
                    self.streams.remove(&id);
                }
                Sent::Done
            }
            Some(Stream::Opening(waiting)) => {
                if waiting.len() < WAITING_MAX {
                    waiting.push(message());
                }
                Sent::Done
            }
            // An answer goes back on the connection that its request came by, or not at all.
            None if bytes.starts_with(b"SIP/") => Sent::Done,
            None => {
                self.streams.insert(id, Stream::Opening(vec![message()]));
                let domain = self.peers.get(&id).and_then(|peer| peer.domain.clone());
                Sent::NotConnected(Path { connection: Some(id), ..path }, domain)
            }
        }
    }

    fn remember(&mut self, id: u64, peer: Peer) {
        for _ in PEERS_MAX..=self.remembered.len() {
            let Some(oldest) = self.remembered.pop_front() else { break };
            if self.streams.contains_key(&oldest) {
                self.remembered.push_back(oldest);
            } else if let Some(peer) = self.peers.remove(&oldest)
                && self.shared.get(&peer) == Some(&oldest)
            {
                self.shared.remove(&peer);
            }
        }
        self.peers.insert(id, peer);
        self.remembered.push_back(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> Path {
        let peer = "127.0.0.1:5060".parse().unwrap();
        Path { transport: Transport::Tcp, peer, listener: 0, connection: Some(7) }
    }

    fn peer(domain: Option<&str>) -> Peer {
        let Path { transport, peer: address, .. } = path();
        Peer { transport, address, domain: domain.map(Into::into) }
    }

    fn send(streams: &mut Streams, bytes: &[u8]) -> Sent {
        streams.send(path(), bytes, || 99)
    }

    fn connect(domain: Option<&str>) -> Sent {
        Sent::NotConnected(path(), domain.map(Into::into))
    }

    #[test]
    fn requests_wait_for_the_connection_and_go_out_in_order() {
        let mut streams = Streams::default();
        assert_eq!(send(&mut streams, b"INVITE"), connect(None));
        assert_eq!(send(&mut streams, b"CANCEL"), Sent::Done, "one connection is enough");
        let (writer, mut written) = mpsc::channel(8);
        streams.opened(path(), writer, Identities::default());
        assert_eq!(send(&mut streams, b"ACK"), Sent::Done);
        let mut sent = Vec::new();
        while let Ok(bytes) = written.try_recv() {
            sent.push(bytes);
        }
        assert_eq!(sent, [&b"INVITE"[..], b"CANCEL", b"ACK"]);
    }

    #[test]
    fn answers_open_no_connection_and_a_closed_one_is_made_anew_for_requests() {
        let mut streams = Streams::default();
        assert_eq!(send(&mut streams, b"SIP/2.0 200 OK"), Sent::Done);
        let (writer, written) = mpsc::channel(1);
        streams.opened(path(), writer, Identities::default());
        drop(written);
        assert_eq!(send(&mut streams, b"BYE"), Sent::Done);
        assert_eq!(send(&mut streams, b"BYE"), connect(None), "the repetition finds a new one");
        streams.closed(path());
        assert_eq!(
            send(&mut streams, b"ACK"),
            Sent::Done,
            "the end of the old one is not that of the new one"
        );
    }

    #[test]
    fn calls_to_one_peer_share_a_connection_and_other_domains_there_have_their_own() {
        let mut streams = Streams::default();
        assert_eq!(streams.name(peer(Some("a.example")), || 7), 7);
        assert_eq!(streams.name(peer(Some("b.example")), || 8), 8);
        assert_eq!(streams.name(peer(Some("a.example")), || 9), 7);
        assert_eq!(
            send(&mut streams, b"INVITE"),
            connect(Some("a.example")),
            "it must be who it was meant to be"
        );
    }

    #[test]
    fn who_has_proven_a_domain_must_prove_it_again_when_we_connect() {
        let mut streams = Streams::default();
        let (writer, written) = mpsc::channel(1);
        let proven: Identities = ["Carrier.example".to_owned()].into_iter().collect();
        streams.opened(path(), writer, proven.clone());
        assert_eq!(streams.proven(path()), proven);
        drop(written);
        streams.closed(path());
        assert_eq!(streams.proven(path()), Identities::default());
        assert_eq!(send(&mut streams, b"BYE"), connect(Some("carrier.example")));
    }

    #[test]
    fn peers_without_a_connection_are_forgotten_in_the_end() {
        let mut streams = Streams::default();
        let (writer, _written) = mpsc::channel(1);
        let first = streams.name(peer(Some("first.example")), || 7);
        streams.opened(path(), writer, Identities::default());
        for id in 0..3 * u64::try_from(PEERS_MAX).unwrap() {
            streams.name(peer(Some(&format!("{id}.example"))), || 100 + id);
        }
        assert!(streams.peers.len() <= PEERS_MAX + 1 && streams.shared.len() <= PEERS_MAX + 1);
        assert_eq!(streams.name(peer(Some("first.example")), || 8), first, "its connection is open");
    }
}
