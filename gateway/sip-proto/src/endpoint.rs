//! The user agent: transactions, dialogs and calls behind one door.
//!
//! [`Endpoint::receive`] takes a message, [`Endpoint::command`] takes what the application wants,
//! [`Endpoint::handle_timeout`] takes the time; all three put what is to be sent and what happened into
//! [`Outputs`]. One endpoint belongs to one thread. Every table has a cap; at the cap, new calls get a
//! stateless 503.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    net::SocketAddr,
    time::{Duration, Instant},
};

use rand::{Rng, rngs::StdRng};

use crate::{
    sdp::{Codec, Srtp},
    transaction::TimerValues,
    wheel::Wheel,
};

mod call;
mod client;
mod command;
mod diversion;
mod forks;
mod in_dialog;
mod inquiry;
mod invite;
mod key;
mod outgoing;
mod output;
mod receive;
mod refer;
mod respond;
mod saved;
mod session_timer;
mod tables;
mod timeout;

pub use inquiry::{Inquiry, Reply, Series};
pub use outgoing::{CallError, Target};
pub use output::{Event, Failure, HangUpCause, Invite, Outputs, Party, Refer, Transmit};
pub use saved::SavedDialog;

use call::Call;
use tables::{ClientTransaction, ServerTransaction, Slab};

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// A TLS connection.
    Tls,
}

impl Transport {
    /// The name in Via.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The transport that a `transport` parameter of a URI names (RFC 3261 §19.1.1); none for others.
    pub fn from_param(value: &[u8]) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls]
            .into_iter()
            .find(|transport| value.eq_ignore_ascii_case(transport.as_str().as_bytes()))
    }

    /// Whether it repeats lost bytes by itself.
    pub fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }
}

/// Where a message came from, or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// How.
    pub transport: Transport,
    /// The other side's address.
    pub peer: SocketAddr,
    /// Which of our listeners (an index the caller gives meaning to).
    pub listener: u16,
    /// The connection, on reliable transports.
    pub connection: Option<u64>,
}

/// One of the sockets that messages come and go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What it speaks.
    pub transport: Transport,
    /// The host and port that others reach it by (Contact, Via).
    pub advertised: SocketAddr,
}

/// A call's name: late commands for a call that is gone are harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey {
    index: u32,
    generation: u32,
}

impl CallKey {
    /// Its place among the calls that live: no other live call has it, a later one may.
    pub fn place(self) -> u32 {
        self.index
    }
}

/// What the application wants of a call.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send a provisional response (101–199); reliably when the caller requires it (RFC 3262).
    Progress {
        /// The status.
        status: u16,
    },
    /// Answer with 200: the offer is answered, or our own offer made.
    Answer {
        /// The address and port put into SDP, as the outside sees them.
        media: SocketAddr,
        /// Codecs allowed, the most wanted first.
        codecs: Vec<Codec>,
        /// Whether media is encrypted.
        srtp: Srtp,
    },
    /// Refuse with a final status of 300–699.
    Reject {
        /// The status.
        status: u16,
        /// Seconds for a Retry-After header.
        retry_after_seconds: Option<u32>,
    },
    /// Refuse with 401 and ask for credentials (RFC 3261 §22.2).
    Challenge {
        /// The values of the WWW-Authenticate headers, from
        /// [`Authenticator::challenges`](crate::digest::Authenticator::challenges).
        challenges: Vec<String>,
    },
    /// Send a key by INFO (`application/dtmf-relay`), to a side that takes no telephone events.
    Key {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        key: char,
        /// How long it is pressed, in milliseconds.
        duration_ms: u16,
    },
    /// Tell the sender of a REFER what came of it: a final status.
    Referred {
        /// The status of whom we called, 200 to 699.
        status: u16,
    },
    /// End the call, whatever state it is in: BYE once it is answered, else 480.
    HangUp {
        /// Cause for a Reason header (RFC 3326), a SIP status.
        cause: u16,
    },
}

/// How an endpoint behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Number of the thread that owns the endpoint; it stands in every tag and branch that we make.
    pub shard: u8,
    /// The listeners, by the index that stands in [`Path::listener`].
    pub listeners: Vec<Listener>,
    /// Text of the Server header; empty for none.
    pub server: String,
    /// Base timers.
    pub timers: TimerValues,
    /// A 100 is sent when there is no other answer within this time; default 200 ms.
    pub trying_after: Duration,
    /// Calls at once.
    pub calls_max: usize,
    /// Server transactions at once, and as many client transactions, finished ones included for 32 s.
    pub transactions_max: usize,
    /// The smallest session interval we accept (RFC 4028 §5), in seconds; default 90.
    pub min_se_seconds: u32,
    /// The longest session interval we agree to, in seconds; default 1800.
    pub session_expires_seconds: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shard: 0,
            listeners: Vec::new(),
            server: "Vestibule".to_owned(),
            timers: TimerValues::default(),
            trying_after: Duration::from_millis(200),
            calls_max: 100_000,
            transactions_max: 500_000,
            min_se_seconds: 90,
            session_expires_seconds: 1800,
        }
    }
}

/// The user agent. See the module's text.
pub struct Endpoint {
    settings: Settings,
    rng: StdRng,
    hash_key: (u64, u64),
    servers: Slab<ServerTransaction>,
    server_index: Index,
    clients: Slab<ClientTransaction>,
    client_index: Index,
    calls: Slab<Call>,
    call_index: Index,
    wheel: Wheel<Wake>,
    due: Vec<(u64, Wake)>,
    /// Pings are refused, with so many seconds to wait.
    draining: Option<u32>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("calls", &self.calls.len())
            .field("server_transactions", &self.servers.len())
            .field("client_transactions", &self.clients.len())
            .finish_non_exhaustive()
    }
}

/// Who is woken by the wheel.
#[derive(Clone, Copy, Debug)]
enum Wake {
    Server(tables::Handle),
    Client(tables::Handle),
    Call(tables::Handle),
}

type Index = HashMap<u128, tables::Handle, BuildHasherDefault<KeyedHash>>;

/// Keys are keyed 128-bit hashes already: their low half is as good as any hash of them.
#[derive(Clone, Copy, Debug, Default)]
struct KeyedHash(u64);

impl Hasher for KeyedHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = u64::try_from(key & u128::from(u64::MAX)).unwrap_or(0);
    }
}

/// Sizes of an endpoint's tables, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Calls from their INVITE until their end.
    pub calls: usize,
    /// Server transactions, finished ones included.
    pub server_transactions: usize,
    /// Client transactions, finished ones included.
    pub client_transactions: usize,
}

impl Endpoint {
    /// A new endpoint. Time begins at `now`; all randomness (tags, branches, hash keys) comes from `rng`.
    pub fn new(settings: Settings, mut rng: StdRng, now: Instant) -> Self {
        let hash_key = rng.random();
        Self {
            settings,
            rng,
            hash_key,
            servers: Slab::default(),
            server_index: Index::default(),
            clients: Slab::default(),
            client_index: Index::default(),
            calls: Slab::default(),
            call_index: Index::default(),
            wheel: Wheel::new(now),
            due: Vec::new(),
            draining: None,
        }
    }

    /// From now on a ping (OPTIONS outside calls) gets 503, so that peers send their calls elsewhere; everything else
    /// goes on. `retry_after_seconds` is what the 503 says.
    pub fn drain(&mut self, retry_after_seconds: u32) {
        self.draining = Some(retry_after_seconds);
    }

    /// When [`Endpoint::handle_timeout`] is worth calling next.
    pub fn deadline(&self) -> Option<Instant> {
        self.wheel.deadline()
    }

    /// How full the tables are.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            calls: self.calls.len(),
            server_transactions: self.servers.len(),
            client_transactions: self.clients.len(),
        }
    }

    /// A tag of our own: the shard's number and 64 random bits.
    fn new_tag(&mut self) -> String {
        format!("{:02x}{:016x}", self.settings.shard, self.rng.random::<u64>())
    }

    /// The value of a Via header of our own; the branch is part of it.
    fn new_via(&mut self, path: &Path) -> (String, String) {
        let branch = format!("z9hG4bK{:02x}{:016x}", self.settings.shard, self.rng.random::<u64>());
        let host = self.contact_host(path.listener, path.peer);
        (format!("SIP/2.0/{} {host};branch={branch};rport", path.transport.as_str()), branch)
    }

    fn contact_host(&self, listener: u16, fallback: SocketAddr) -> SocketAddr {
        self.settings.listeners.get(usize::from(listener)).map_or(fallback, |own| own.advertised)
    }

    /// The same way by another transport, from a listener that speaks it; unchanged where none does.
    fn path_over(&self, path: Path, transport: Transport) -> Path {
        let own = (0_u16..)
            .zip(&self.settings.listeners)
            .find(|(_, own)| own.transport == transport && own.advertised.is_ipv4() == path.peer.is_ipv4());
        match own {
            Some((listener, _)) if transport != path.transport => {
                Path { transport, listener, connection: None, ..path }
            }
            Some(_) | None => path,
        }
    }
}
