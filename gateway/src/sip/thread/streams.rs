//! Connections that the SIP thread writes to.

use std::collections::HashMap;

use bytes::Bytes;
use sip_proto::endpoint::Path;
use tokio::sync::mpsc;

/// All of them, by their names.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: HashMap<u64, Stream>,
}

#[derive(Debug)]
enum Stream {
    /// Being connected; what was sent meanwhile.
    Opening(Vec<Bytes>),
    Open(mpsc::Sender<Bytes>),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on its way, waits for the connection, or is lost: what repeats a message repeats this one.
    Done,
    /// There is no connection: one is to be made, and takes the message along.
    NotConnected,
}

/// Messages that wait for a connection: an INVITE, and what may follow it.
const WAITING_MAX: usize = 16;

impl Streams {
    pub(super) fn opened(&mut self, id: u64, writer: mpsc::Sender<Bytes>) {
        if let Some(Stream::Opening(waiting)) = self.streams.remove(&id) {
            // An empty channel takes them.
            waiting.into_iter().all(|bytes| writer.try_send(bytes).is_ok());
        }
        self.streams.insert(id, Stream::Open(writer));
    }

    pub(super) fn closed(&mut self, id: u64) {
        self.streams.remove(&id);
    }

    pub(super) fn send(&mut self, path: Path, bytes: &[u8]) -> Sent {
        let Some(id) = path.connection else { return Sent::Done };
        let message = || Bytes::copy_from_slice(bytes);
        match self.streams.get_mut(&id) {
            Some(Stream::Open(writer)) => {
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
                Sent::NotConnected
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sip_proto::endpoint::Transport;

    use super::*;

    fn path() -> Path {
        let peer = "127.0.0.1:5060".parse().unwrap();
        Path { transport: Transport::Tcp, peer, listener: 0, connection: Some(7) }
    }

    #[test]
    fn requests_wait_for_the_connection_and_go_out_in_order() {
        let mut streams = Streams::default();
        assert_eq!(streams.send(path(), b"INVITE"), Sent::NotConnected);
        assert_eq!(streams.send(path(), b"CANCEL"), Sent::Done, "one connection is enough");
        let (writer, mut written) = mpsc::channel(8);
        streams.opened(7, writer);
        assert_eq!(streams.send(path(), b"ACK"), Sent::Done);
        let mut sent = Vec::new();
        while let Ok(bytes) = written.try_recv() {
            sent.push(bytes);
        }
        assert_eq!(sent, [&b"INVITE"[..], b"CANCEL", b"ACK"]);
    }

    #[test]
    fn answers_open_no_connection_and_a_closed_one_is_made_anew_for_requests() {
        let mut streams = Streams::default();
        assert_eq!(streams.send(path(), b"SIP/2.0 200 OK"), Sent::Done);
        let (writer, written) = mpsc::channel(1);
        streams.opened(7, writer);
        drop(written);
        assert_eq!(streams.send(path(), b"BYE"), Sent::Done);
        assert_eq!(streams.send(path(), b"BYE"), Sent::NotConnected, "the repetition finds a new one");
    }
}
