//! SIP over TCP and TLS: each connection is a task that frames messages and hands them to the SIP thread.
//!
//! Framing is by Content-Length (RFC 3261 §18.3); keep-alives are answered here (RFC 5626 §3.5.1). What
//! the thread sends comes over a bounded channel; a peer that does not read loses its connection. Its place among
//! those allowed is taken before the TLS handshake, which costs more than all that follows.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use rustix::net::sockopt;
use sip_proto::{
    endpoint::{Path, Transport},
    message::{Framing, STREAM_MESSAGE_BYTES_MAX, frame},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsStream;

use super::{
    gate::Gate,
    inbox::{Item, SipInbox},
    tls::{self, HandshakeError, Identities, Tls},
};
use crate::telemetry::SipMetrics;

/// Bounds of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpLimits {
    pub(super) connections_max: usize,
    pub(super) per_source_max: usize,
    pub(super) idle: Duration,
}

/// Longest set-up of a connection of ours.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Longest time that a peer may take to read what it is sent.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

/// Longest time that the end of a connection may take.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// Silence after which the kernel asks whether the other side is still there, and between its questions.
const PROBED_AFTER: Duration = Duration::from_secs(30);

/// Messages that wait for a slow peer.
const WRITES_MAX: usize = 256;

/// What every connection shares.
#[derive(Clone)]
pub(super) struct Connections {
    inbox: SipInbox,
    gate: Arc<Gate>,
    tls: Option<Arc<Tls>>,
    limits: TcpLimits,
    metrics: SipMetrics,
    open: Arc<Mutex<Open>>,
    next: Arc<AtomicU64>,
}

/// Why a connection was not made.
#[derive(Debug, thiserror::Error)]
enum NotMade {
    #[error("its source is on no trunk, and called by nobody")]
    Stranger,
    #[error("there are as many connections as may be")]
    Full,
    #[error("it could not be connected to: {0}")]
    Refused(#[from] std::io::Error),
    #[error("it could not be connected to in time")]
    TimedOut,
    #[error("there is no TLS here")]
    NoTls,
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

impl Connections {
    pub(super) fn new(
        inbox: SipInbox,
        gate: Arc<Gate>,
        tls: Option<Arc<Tls>>,
        limits: TcpLimits,
        metrics: SipMetrics,
    ) -> Self {
        Self { inbox, gate, tls, limits, metrics, open: Arc::default(), next: Arc::new(AtomicU64::new(1)) }
    }

    /// A name for a connection that is to be made.
    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn place(&self, path: Path) -> Result<Place, NotMade> {
        // Sources of no trunk get no byte at all.
        if !self.gate.knows_over(path.transport, path.peer.ip()) {
            return Err(NotMade::Stranger);
        }
        Place::take(&self.open, path.peer.ip(), self.limits, &self.metrics).ok_or(NotMade::Full)
    }

    /// Serves one who has connected, as long as the connection lasts.
    async fn serve(self, stream: TcpStream, path: Path, place: Place) {
        match path.transport {
            Transport::Tls => match self.accept(stream).await {
                Ok(stream) => {
                    let proven = tls::proven(&stream);
                    self.connection(stream, path, proven, place).await;
                }
                Err(why) => tracing::debug!(%why, "a TLS connection was not made"),
            },
            Transport::Udp | Transport::Tcp => {
                self.connection(stream, path, Identities::default(), place).await;
            }
        }
    }

    async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, NotMade> {
        Ok(self.tls.as_ref().ok_or(NotMade::NoTls)?.accept(stream).await?)
    }

    /// Connects to where a request goes (RFC 3261 §18.1.1); [`Item::Opened`] or [`Item::Unreachable`] tells
    /// what came of it. Over TLS the other side must prove to be that domain, or the address where there is none.
    pub(super) async fn dial(self, path: Path, domain: Option<Arc<str>>) {
        if let Err(why) = self.dialled(path, domain).await {
            tracing::debug!(%why, "a SIP peer could not be connected to");
            self.inbox.push(Item::Unreachable(path));
        }
    }

    async fn dialled(&self, path: Path, domain: Option<Arc<str>>) -> Result<(), NotMade> {
        // What a caller's Contact names need not be a trunk's.
        let place = self.place(path)?;
        let stream = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(path.peer))
            .await
            .map_err(|_| NotMade::TimedOut)??;
        prepare(&stream)?;
        let connections = self.clone();
        match path.transport {
            Transport::Tls => {
                let tls = self.tls.as_ref().ok_or(NotMade::NoTls)?;
                let host = domain.map_or_else(|| path.peer.ip().to_string(), |domain| domain.to_string());
                let stream = tls.connect(stream, &host).await?;
                let proven = tls::proven(&stream);
                tokio::spawn(async move { connections.connection(stream, path, proven, place).await });
            }
            Transport::Udp | Transport::Tcp => {
                let nobody = Identities::default();
                tokio::spawn(async move { connections.connection(stream, path, nobody, place).await });
            }
        }
        Ok(())
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut stream: S,
        path: Path,
        proven: Identities,
        place: Place,
    ) {
        let (writer, writes) = mpsc::channel(WRITES_MAX);
        if self.inbox.push(Item::Opened(path, writer, proven)) {
            if let Err(why) = converse(&mut stream, path, &self.inbox, writes, self.limits.idle).await {
                tracing::debug!(%why, "a SIP connection ended");
            }
            self.inbox.push(Item::Closed(path));
            // TLS says that it is the end; who does not want to hear it is not waited for.
            let farewell = tokio::time::timeout(FAREWELL_WITHIN, stream.shutdown());
            drop(farewell.await);
        }
        drop(place);
    }
}

/// A message is sent at once, and a peer that is gone without a word is noticed: calls share the connection to it.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, PROBED_AFTER)?;
    sockopt::set_tcp_keepintvl(stream, PROBED_AFTER)?;
    // What is not acknowledged by then ends the connection, a probe as well (RFC 5482).
    let millis = u32::try_from(WRITTEN_WITHIN.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(stream, millis)?)
}

/// Accepts connections until the process ends.
pub(super) async fn listen(
    listener: TcpListener,
    transport: Transport,
    index: u16,
    connections: Connections,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let path = Path { transport, peer, listener: index, connection: Some(connections.next_id()) };
                let place = connections.place(path);
                match place.and_then(|place| prepare(&stream).map(|()| place).map_err(NotMade::from)) {
                    Ok(place) => drop(tokio::spawn(connections.clone().serve(stream, path, place))),
                    Err(why) => tracing::debug!(%why, "a SIP connection was not taken"),
                }
            }
            Err(error) => {
                // Out of descriptors, most likely: accepting again at once would spin.
                tracing::warn!(%error, "a SIP connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    path: Path,
    inbox: &SipInbox,
    mut writes: mpsc::Receiver<Bytes>,
    idle: Duration,
) -> std::io::Result<()> {
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
                if !take_messages(&mut buffer, path, inbox, stream).await? {
                    return Ok(());
                }
            }
            write = writes.recv() => match write {
                Some(bytes) => send(stream, &bytes).await?,
                None => return Ok(()),
            }
        }
    }
}

/// Sends all of it, as far as the peer's side of the connection; TLS keeps back what is not flushed.
async fn send<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> std::io::Result<()> {
    let sent = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    tokio::time::timeout(WRITTEN_WITHIN, sent)
        .await
        .map_err(|_| std::io::Error::other("the peer does not read"))?
}

/// Hands every whole message on; false when the stream cannot go on.
async fn take_messages<S: AsyncRead + AsyncWrite + Unpin>(
    buffer: &mut BytesMut,
    path: Path,
    inbox: &SipInbox,
    stream: &mut S,
) -> std::io::Result<bool> {
    loop {
        match frame(buffer) {
            Framing::NeedMore => {
                buffer.reserve(2048.min(STREAM_MESSAGE_BYTES_MAX));
                return Ok(true);
            }
            Framing::Ping => {
                buffer.advance(4);
                send(stream, b"\r\n").await?;
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

/// How many connections there are.
#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// A connection's place among those allowed.
#[derive(Debug)]
struct Place {
    open: Arc<Mutex<Open>>,
    source: IpAddr,
    metrics: SipMetrics,
}

impl Place {
    fn take(
        open: &Arc<Mutex<Open>>,
        source: IpAddr,
        limits: TcpLimits,
        metrics: &SipMetrics,
    ) -> Option<Self> {
        let mut counts = open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = counts.by_source.get(&source).copied().unwrap_or_default();
        if counts.total >= limits.connections_max || of_source >= limits.per_source_max {
            return None;
        }
        counts.total += 1;
        counts.by_source.insert(source, of_source + 1);
        metrics.connections.inc();
        Some(Self { open: open.clone(), source, metrics: metrics.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        if let Entry::Occupied(mut count) = counts.by_source.entry(self.source) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests;
