//! SIP over TCP: each connection is a task that frames messages and hands them to the SIP thread.
//!
//! Framing is by Content-Length (RFC 3261 §18.3); keep-alives are answered here (RFC 5626 §3.5.1). What
//! the thread sends comes over a bounded channel; a peer that does not read loses its connection.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use sip_proto::{
    endpoint::{Path, Transport},
    message::{Framing, STREAM_MESSAGE_BYTES_MAX, frame},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{
    gate::Gate,
    inbox::{Item, SipInbox},
};
use crate::telemetry::SipMetrics;

/// Bounds of the TCP edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpLimits {
    pub(super) connections_max: usize,
    pub(super) per_source_max: usize,
    pub(super) idle: Duration,
}

/// Longest set-up of a connection of ours.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Messages that wait for a slow peer.
const WRITES_MAX: usize = 256;

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Connections {
    inbox: SipInbox,
    gate: Arc<Gate>,
    limits: TcpLimits,
    metrics: SipMetrics,
    open: Open,
    next: Arc<AtomicU64>,
}

impl Connections {
    pub(super) fn new(inbox: SipInbox, gate: Arc<Gate>, limits: TcpLimits, metrics: SipMetrics) -> Self {
        Self { inbox, gate, limits, metrics, open: Arc::default(), next: Arc::new(AtomicU64::new(1)) }
    }

    /// A name for a connection that is to be made.
    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Serves a connection; false when nothing was made of it.
    fn start(&self, stream: TcpStream, path: Path) -> bool {
        // Sources of no trunk get no byte at all.
        if !self.gate.knows(path.peer.ip()) {
            return false;
        }
        let Some(place) = Place::take(&self.open, path.peer.ip(), self.limits, &self.metrics) else {
            return false;
        };
        tokio::spawn(connection(stream, path, self.inbox.clone(), place, self.limits.idle));
        true
    }

    /// Connects to where a request goes (RFC 3261 §18.1.1); [`Item::Opened`] or [`Item::Unreachable`] tells
    /// what came of it.
    pub(super) async fn dial(self, path: Path) {
        // What a caller's Contact names need not be a trunk's.
        let opened = self.gate.knows(path.peer.ip()) && {
            match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(path.peer)).await {
                Ok(Ok(stream)) => self.start(stream, path),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a SIP peer could not be connected to");
                    false
                }
                Err(_) => {
                    tracing::debug!("a SIP peer could not be connected to in time");
                    false
                }
            }
        };
        if !opened {
            self.inbox.push(Item::Unreachable(path));
        }
    }
}

/// Accepts connections until the process ends.
pub(super) async fn listen(listener: TcpListener, index: u16, connections: Connections) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let connection = Some(connections.next_id());
                let path = Path { transport: Transport::Tcp, peer, listener: index, connection };
                connections.start(stream, path);
            }
            Err(error) => {
                // Out of descriptors, most likely: accepting again at once would spin.
                tracing::warn!(%error, "a SIP connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, path: Path, inbox: SipInbox, place: Place, idle: Duration) {
    let id = path.connection.unwrap_or_default();
    let (writer, writes) = mpsc::channel(WRITES_MAX);
    if inbox.push(Item::Opened(id, writer)) {
        if let Err(why) = converse(stream, path, &inbox, writes, idle).await {
            tracing::debug!(%why, "a SIP connection ended");
        }
        inbox.push(Item::Closed(id));
    }
    drop(place);
}

async fn converse(
    mut stream: TcpStream,
    path: Path,
    inbox: &SipInbox,
    mut writes: mpsc::Receiver<Bytes>,
    idle: Duration,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        tokio::select! {
            read = tokio::time::timeout(idle, stream.read_buf(&mut buffer)) => {
                match read {
                    Err(_) => return Err(std::io::Error::other("idle")),
                    Ok(Ok(0)) => return Ok(()),
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return Err(error),
                }
                if !take_messages(&mut buffer, path, inbox, &mut stream).await? {
                    return Ok(());
                }
            }
            write = writes.recv() => match write {
                Some(bytes) => {
                    let written = tokio::time::timeout(Duration::from_secs(10), stream.write_all(&bytes)).await;
                    written.map_err(|_| std::io::Error::other("the peer does not read"))??;
                }
                None => return Ok(()),
            }
        }
    }
}

/// Hands every whole message on; false when the stream cannot go on.
async fn take_messages(
    buffer: &mut BytesMut,
    path: Path,
    inbox: &SipInbox,
    stream: &mut TcpStream,
) -> std::io::Result<bool> {
    loop {
        match frame(buffer) {
            Framing::NeedMore => {
                buffer.reserve(2048.min(STREAM_MESSAGE_BYTES_MAX));
                return Ok(true);
            }
            Framing::Ping => {
                buffer.advance(4);
                stream.write_all(b"\r\n").await?;
            }
            Framing::Pong => buffer.advance(2),
            Framing::Message(length) => {
                let message = buffer.split_to(length).freeze();
                if !inbox.push(Item::Message(path, message)) {
                    return Ok(false);
                }
            }
            Framing::Broken(reason) => {
                // Where the next message begins is unknown: refuse what can be read, then close
                // (RFC 3261 §18.3, RFC 4475 §3.1.2.2).
                inbox.push(Item::Message(path, buffer.split().freeze()));
                tracing::debug!(reason, "a SIP stream lost its framing");
                tokio::time::sleep(Duration::from_millis(100)).await;
                return Ok(false);
            }
        }
    }
}

type Open = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection's place among those allowed.
struct Place {
    open: Open,
    source: IpAddr,
    metrics: SipMetrics,
}

impl Place {
    fn take(open: &Open, source: IpAddr, limits: TcpLimits, metrics: &SipMetrics) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = counts.values().sum();
        let count = counts.entry(source).or_default();
        if total >= limits.connections_max || *count >= limits.per_source_max {
            return None;
        }
        *count += 1;
        metrics.connections.inc();
        Some(Self { open: open.clone(), source, metrics: metrics.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
        self.metrics.connections.dec();
    }
}
