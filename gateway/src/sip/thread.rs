//! The SIP thread: sockets, inbox and timers around one endpoint.
//!
//! Turn by turn: read what the sockets hold, do what others ask, let time pass, send everything in
//! batches, tell contacts what happened; then sleep until a datagram, an item or a timer.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Arc, mpsc::Receiver},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sip_proto::{
    endpoint::{Endpoint, Listener, Outputs, Path, SavedDialog, Settings, Transport},
    message::Method,
};
use tokio::net::TcpListener;

mod calls;
mod inquiries;
mod streams;

use calls::{Calls, Reach};
use inquiries::Inquiries;
use streams::{Sent, Streams};

use super::{
    admission::Admission,
    capture::Capture,
    credentials::Credentials,
    gate::Gate,
    inbox::{Item, SipInbox, Wake},
    socket::{BATCH, BatchSocket, Batches, SocketOptions},
    survivors::Survivors,
    tcp::{self, Connections, TcpLimits},
    tls::Tls,
};
use crate::{
    hub::Hub,
    telemetry::{SipMethod, SipMetrics, SipRejection, StatusClass},
};

/// Why the edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum SipError {
    /// A socket could not be set up.
    #[error("a SIP socket could not be set up")]
    Socket(#[source] std::io::Error),
}

/// The running edge.
#[derive(Debug)]
pub struct Sip {
    inbox: SipInbox,
    thread: Option<JoinHandle<()>>,
}

/// The sockets that take SIP, bound already.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Datagrams.
    pub udp: Vec<UdpSocket>,
    /// TCP.
    pub tcp: Vec<std::net::TcpListener>,
    /// TCP with TLS on it.
    pub tls: Vec<std::net::TcpListener>,
}

impl Sip {
    /// Starts the thread and the tasks of the TCP and TLS listeners.
    ///
    /// # Errors
    /// When a socket cannot be set up or a thread not started.
    pub fn start(
        settings: &vestibule_config::settings::Sip,
        (listening, tls): (Sockets, Option<Arc<Tls>>),
        (hub, gate, metrics): (Hub, Arc<Gate>, SipMetrics),
        capture: Capture,
        (survivors, orphans): (Survivors, Vec<SavedDialog>),
    ) -> Result<Self, SipError> {
        let options = SocketOptions { buffer_bytes: settings.socket_buffer_bytes, dscp: settings.dscp };
        let sockets: Vec<BatchSocket> = listening
            .udp
            .into_iter()
            .map(|socket| BatchSocket::new(socket, options))
            .collect::<Result<_, _>>()
            .map_err(SipError::Socket)?;
        let mut reach: Vec<Reach> =
            sockets.iter().map(|socket| Reach { transport: Transport::Udp, bound: socket.local() }).collect();
        let tcp = listening.tcp.into_iter().map(|socket| (Transport::Tcp, socket));
        let streams: Vec<_> =
            tcp.chain(listening.tls.into_iter().map(|socket| (Transport::Tls, socket))).collect();
        for (transport, socket) in &streams {
            let bound = socket.local_addr().map_err(SipError::Socket)?;
            reach.push(Reach { transport: *transport, bound });
        }
        let listeners = reach.iter().map(|own| own.listener(settings.advertised_address)).collect();
        let (inbox, items, wake) =
            SipInbox::new(settings.limits.inbox_messages_max, metrics.rings_full.clone())
                .map_err(|error| SipError::Socket(error.into()))?;
        let limits = TcpLimits {
            connections_max: settings.limits.tcp_connections_max,
            per_source_max: settings.limits.tcp_connections_per_source_max,
            idle: Duration::from_secs(settings.limits.tcp_idle_seconds),
        };
        let connections = Connections::new(inbox.clone(), gate.clone(), tls, limits, metrics.clone());
        for (index, (transport, listener)) in (0_u16..).zip(streams) {
            listener.set_nonblocking(true).map_err(SipError::Socket)?;
            let listener = TcpListener::from_std(listener).map_err(SipError::Socket)?;
            let index = index + u16::try_from(sockets.len()).unwrap_or(u16::MAX);
            hub.runtime().spawn(tcp::listen(listener, transport, index, connections.clone()));
        }
        let endpoint =
            Endpoint::new(endpoint_settings(settings, listeners), StdRng::from_os_rng(), Instant::now());
        let thread = SipThread {
            endpoint,
            sockets,
            items,
            wake,
            inbox: inbox.clone(),
            out: Outputs::default(),
            calls: Calls::default(),
            inquiries: Inquiries::default(),
            streams: Streams::default(),
            listeners: reach,
            connections,
            admission: Admission::new(
                Duration::from_millis(settings.overload.delay_ms),
                Duration::from_millis(settings.overload.lasting_ms),
                settings.overload.tasks_waiting_max.saturating_mul(hub.runtime().metrics().num_workers()),
            ),
            retry_after: RetryAfter::new(settings.overload.retry_after_seconds),
            credentials: Credentials::new(settings.realm.clone(), StdRng::from_os_rng(), Instant::now()),
            capture,
            survivors,
            orphans,
            hub,
            gate,
            metrics,
            drops_seen: 0,
            gathering: Gathering::default(),
            stopping: false,
        };
        let thread = std::thread::Builder::new()
            .name("sip-0".into())
            .spawn(move || thread.run())
            .map_err(SipError::Socket)?;
        Ok(Self { inbox, thread: Some(thread) })
    }

    /// The way to the thread.
    pub fn inbox(&self) -> SipInbox {
        self.inbox.clone()
    }

    /// Tells those who ask that calls are better sent elsewhere for so many seconds.
    pub fn drain(&self, seconds: u32) {
        self.inbox.push(Item::Drain(seconds));
    }

    /// Stops the thread; calls that are still there are ended, without waiting for their answers.
    pub fn stop(mut self) {
        self.inbox.push(Item::Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the SIP thread had panicked");
        }
    }
}

fn endpoint_settings(settings: &vestibule_config::settings::Sip, listeners: Vec<Listener>) -> Settings {
    Settings {
        listeners,
        server: settings.user_agent.clone(),
        calls_max: settings.limits.calls_max,
        transactions_max: settings.limits.transactions_max,
        min_se_seconds: settings.session_min_seconds,
        session_expires_seconds: settings.session_expires_seconds,
        ..Settings::default()
    }
}

/// What the thread owns.
struct SipThread {
    endpoint: Endpoint,
    sockets: Vec<BatchSocket>,
    items: Receiver<Item>,
    wake: Arc<Wake>,
    inbox: SipInbox,
    out: Outputs,
    calls: Calls,
    inquiries: Inquiries,
    streams: Streams,
    listeners: Vec<Reach>,
    connections: Connections,
    admission: Admission,
    retry_after: RetryAfter,
    credentials: Credentials,
    capture: Capture,
    survivors: Survivors,
    /// Calls of the process before that are to be ended.
    orphans: Vec<SavedDialog>,
    hub: Hub,
    gate: Arc<Gate>,
    metrics: SipMetrics,
    drops_seen: u64,
    gathering: Gathering,
    stopping: bool,
}

/// Seconds for Retry-After: the setting and up to as much again, so that carriers do not all come back at once.
struct RetryAfter {
    seconds: u32,
    rng: StdRng,
}

impl RetryAfter {
    fn new(seconds: u32) -> Self {
        Self { seconds, rng: StdRng::from_os_rng() }
    }

    fn next(&mut self) -> u32 {
        self.seconds.saturating_add(self.rng.random_range(0..=self.seconds))
    }
}

/// Before everything but media: on a core that it shares with the service it has to get nearly all that it asks for, or
/// refusals and BYEs wait for the answers to calls that should not have been let in. It asks for little.
const NICE: i32 = -20;

/// Items done before the sockets are looked at again.
const ITEMS_PER_TURN: usize = 256;

/// Above one wake-up in this time the thread gathers: it lets datagrams and items come together for so long
/// before it looks again. A wake-up costs as much as the handling of a message, and everyone we wake in
/// turn (contact tasks, the journal) is woken once for several calls.
const GATHER: Duration = Duration::from_millis(1);

/// Whether wake-ups come so thick that gathering saves work; below, every datagram is handled at once.
#[derive(Debug, Default)]
struct Gathering {
    window_began: Option<Instant>,
    wake_ups: u32,
    on: bool,
}

impl Gathering {
    /// Over how long wake-ups are counted.
    const WINDOW: Duration = Duration::from_millis(20);
    /// Wake-ups in a window from which gathering pays, 500 a second.
    const WAKE_UPS: u32 = 10;

    /// Counts a wake-up; whether to gather before the next look.
    fn wake_up(&mut self, now: Instant) -> bool {
        let began = *self.window_began.get_or_insert(now);
        if now.saturating_duration_since(began) >= Self::WINDOW {
            self.on = self.wake_ups >= Self::WAKE_UPS;
            self.window_began = Some(now);
            self.wake_ups = 0;
        }
        self.wake_ups += 1;
        self.on
    }
}

impl SipThread {
    fn run(mut self) {
        // What is left to contacts and consumers is only as good as the signalling: a BYE that waits costs more than
        // all that is done meanwhile. For Linux, "process" 0 is the calling thread.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::info!(%error, "the SIP thread keeps its ordinary priority: give the service CAP_SYS_NICE");
        }
        let mut batches = Batches::new();
        loop {
            let read = self.read_sockets(&mut batches);
            let more = self.do_items() | self.end_orphans(Instant::now());
            self.endpoint.handle_timeout(Instant::now(), &mut self.out);
            self.tell_contacts();
            self.tell_inquirers();
            self.send(&mut batches);
            if self.stopping {
                return;
            }
            if !read && !more {
                self.sleep();
            }
        }
    }

    fn read_sockets(&mut self, batches: &mut Batches) -> bool {
        let mut any = false;
        for index in 0..self.sockets.len() {
            let listener = u16::try_from(index).unwrap_or(u16::MAX);
            let now = Instant::now();
            let wall = jiff::Timestamp::now();
            let mut oldest = Duration::ZERO;
            let (endpoint, out, gate) = (&mut self.endpoint, &mut self.out, &self.gate);
            let (admission, metrics, retry_after) =
                (&mut self.admission, &self.metrics, &mut self.retry_after);
            let capture = &self.capture;
            admission.tasks_wait(self.hub.runtime().metrics().global_queue_depth());
            let full = self.hub.is_full();
            let received = self.sockets[index].receive(batches, |peer, at, bytes| {
                if let Some(at) = at {
                    let waited = Duration::try_from(wall.duration_since(at)).unwrap_or_default();
                    oldest = oldest.max(waited);
                }
                if !gate.knows(peer.ip()) {
                    metrics.rejected.of(SipRejection::Acl).inc();
                    return;
                }
                let path = Path { transport: Transport::Udp, peer, listener, connection: None };
                count_request(metrics, bytes);
                if admission.turns_away(full, bytes)
                    && endpoint.refuse_overload(path, bytes, retry_after.next(), out)
                {
                    metrics.rejected.of(SipRejection::Overload).inc();
                    return;
                }
                capture.note(false, path, bytes);
                endpoint.receive(now, path, bytes, out);
            });
            match received {
                Ok(0) => {}
                Ok(count) => {
                    any |= count == BATCH;
                    self.metrics.queue_delay_seconds.observe(oldest.as_secs_f64());
                    self.admission.observe(now, oldest);
                }
                Err(error) => tracing::error!(%error, "a SIP socket could not be read"),
            }
        }
        let drops: u64 = self.sockets.iter().map(|socket| u64::from(socket.dropped())).sum();
        self.metrics.udp_drops.inc_by(drops.saturating_sub(self.drops_seen));
        self.drops_seen = drops;
        any
    }

    /// Does what others ask; whether more may be waiting.
    fn do_items(&mut self) -> bool {
        for _ in 0..ITEMS_PER_TURN {
            let Ok(item) = self.items.try_recv() else { return false };
            self.do_item(item);
        }
        true
    }

    fn do_item(&mut self, item: Item) {
        let now = Instant::now();
        match item {
            Item::Command(call, command) => self.command(now, call, command),
            Item::Place { id, placing, signals } => self.place(now, id, *placing, signals),
            Item::Inquire(inquiring, reply) => self.inquire(now, *inquiring, reply),
            Item::Message(path, bytes) => {
                count_request(&self.metrics, &bytes);
                if self.admission.turns_away(self.hub.is_full(), &bytes)
                    && self.endpoint.refuse_overload(path, &bytes, self.retry_after.next(), &mut self.out)
                {
                    self.metrics.rejected.of(SipRejection::Overload).inc();
                    return;
                }
                self.capture.note(false, path, &bytes);
                self.endpoint.receive(now, path, &bytes, &mut self.out);
            }
            Item::Opened(path, writer, proven) => self.streams.opened(path, writer, proven),
            Item::Closed(path) => {
                self.streams.closed(path);
                self.endpoint.unreachable(path, &mut self.out);
            }
            Item::Unreachable(path) => {
                self.streams.unreachable(path);
                self.endpoint.unreachable(path, &mut self.out);
            }
            Item::Drain(seconds) => self.endpoint.drain(seconds),
            Item::Stop => {
                self.end_all(now);
                self.stopping = true;
            }
        }
    }

    fn send(&mut self, batches: &mut Batches) {
        for (path, bytes) in self.out.messages() {
            self.capture.note(true, path, bytes);
            if let Some(status) = response_status(bytes) {
                self.metrics.responses.of(StatusClass::of(status)).inc();
            }
            if path.transport.is_reliable()
                && let Sent::NotConnected(path, domain) =
                    self.streams.send(path, bytes, || self.connections.next_id())
            {
                self.hub.runtime().spawn(self.connections.clone().dial(path, domain));
            }
        }
        for (index, socket) in self.sockets.iter().enumerate() {
            let mine = |path: &Path| !path.transport.is_reliable() && usize::from(path.listener) == index;
            let batch: Vec<(SocketAddr, &[u8])> = self
                .out
                .messages()
                .filter(|(path, _)| mine(path))
                .map(|(path, bytes)| (path.peer, bytes))
                .collect();
            let unsent = socket.send(batches, batch.into_iter());
            if unsent > 0 {
                tracing::debug!(unsent, "datagrams the kernel did not take");
            }
        }
        self.metrics.retransmissions.inc_by(self.out.repeats);
        self.out.clear();
        let sizes = self.endpoint.sizes();
        self.metrics.dialogs.set(i64::try_from(sizes.calls).unwrap_or(i64::MAX));
        let transactions = sizes.server_transactions.saturating_add(sizes.client_transactions);
        self.metrics.transactions.set(i64::try_from(transactions).unwrap_or(i64::MAX));
    }

    fn sleep(&mut self) {
        let now = Instant::now();
        if self.gathering.wake_up(now) && self.endpoint.deadline().is_none_or(|at| at > now) {
            std::thread::sleep(GATHER);
            // What came meanwhile makes the look below return at once.
        }
        self.wake.sleep();
        if let Ok(item) = self.items.try_recv() {
            // It came between the last look and the announcement.
            self.wake.awake();
            return self.do_item(item);
        }
        let wait = self.endpoint.deadline().map(|at| at.saturating_duration_since(Instant::now()));
        let millis = wait.map_or(1000, |wait| wait.as_millis().saturating_add(1).min(1000));
        let timeout = PollTimeout::from(u16::try_from(millis).unwrap_or(1000));
        let mut fds: Vec<PollFd<'_>> =
            self.sockets.iter().map(|socket| PollFd::new(socket.fd(), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(self.wake.fd(), PollFlags::POLLIN));
        if let Err(error) = poll(&mut fds, timeout)
            && error != nix::errno::Errno::EINTR
        {
            tracing::error!(%error, "the SIP thread could not wait");
        }
        self.wake.awake();
    }
}

/// Requests by method, from the first bytes alone.
fn count_request(metrics: &SipMetrics, bytes: &[u8]) {
    let token = bytes.split(|&byte| byte == b' ').next().unwrap_or_default();
    if !token.starts_with(b"SIP/") {
        metrics.requests.of(method_label(Method::from_bytes(token))).inc();
    }
}

fn method_label(method: Method) -> SipMethod {
    match method {
        Method::Invite => SipMethod::Invite,
        Method::Ack => SipMethod::Ack,
        Method::Bye => SipMethod::Bye,
        Method::Cancel => SipMethod::Cancel,
        Method::Options => SipMethod::Options,
        Method::Register => SipMethod::Register,
        Method::Prack => SipMethod::Prack,
        Method::Update => SipMethod::Update,
        Method::Info => SipMethod::Info,
        Method::Message => SipMethod::Message,
        Method::Refer => SipMethod::Refer,
        Method::Subscribe => SipMethod::Subscribe,
        Method::Notify => SipMethod::Notify,
        Method::Publish => SipMethod::Publish,
        Method::Unknown => SipMethod::Other,
    }
}

/// The status of a response, from its first bytes alone.
fn response_status(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
