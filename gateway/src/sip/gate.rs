//! Who may call, and how much: the trunks' networks, rates and concurrent calls.
//!
//! Asked for every datagram before it is parsed, so that a stranger costs next to nothing and hears
//! nothing. Replaced as a whole when routing changes; calls that are here keep their place.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use sip_proto::endpoint::Transport;
use vestibule_config::compile::{Trunk, Trunks};
use vestibule_routing::id::TrunkId;

use super::tls::Identities;

/// The gate; shared by the SIP thread and the TCP listeners.
#[derive(Debug, Default)]
pub struct Gate {
    trunks: ArcSwap<Trunks>,
    /// Secrets of the trunks that must authenticate; read when routing changes, not while calls come.
    secrets: ArcSwap<HashMap<TrunkId, Secret>>,
    usage: DashMap<TrunkId, Arc<Usage>>,
    guests: Arc<Guests>,
}

/// Hosts that we have called: they are heard while the call lasts, and until its last requests are answered.
#[derive(Debug, Default)]
struct Guests {
    hosts: DashMap<IpAddr, Stay>,
    /// How many hosts there are, so that strangers cost no look-up when there are none.
    count: AtomicUsize,
}

/// How long a guest is heard.
#[derive(Clone, Copy, Debug)]
struct Stay {
    calls: u32,
    until: Instant,
}

/// A host that is heard because we call it; dropping it lets the host's last answers in, and no more.
#[derive(Debug)]
pub(super) struct Guest {
    guests: Arc<Guests>,
    host: IpAddr,
}

/// Timer F, for a BYE sent at the last moment, and as long again for what crosses it.
const GUEST_LINGERS: Duration = Duration::from_secs(64);

/// What a trunk uses at the moment.
#[derive(Debug, Default)]
struct Usage {
    calls: AtomicU32,
    bucket: Mutex<Option<Bucket>>,
}

/// A password that no log shows.
struct Secret(Arc<str>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(withheld)")
    }
}

/// A token bucket that holds one second's worth.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// A call's place on its trunk; dropping it gives the place up.
#[derive(Debug)]
pub struct TrunkPlace {
    usage: Arc<Usage>,
}

/// Why a trunk takes no further call now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many a second.
    Rate,
    /// Too many at once.
    Concurrent,
}

impl Gate {
    /// Replaces the trunks, and reads their secrets. One that cannot be read leaves its trunk unable to call.
    pub fn set(&self, trunks: Arc<Trunks>) {
        let secret_of = |trunk: &Arc<Trunk>| match trunk.digest.as_ref()?.secret.reveal() {
            Ok(secret) => Some((trunk.id.clone(), Secret(secret.into()))),
            Err(error) => {
                tracing::error!(trunk = %trunk.id, %error, "the secret of a trunk cannot be read");
                None
            }
        };
        self.secrets.store(Arc::new(trunks.iter().filter_map(secret_of).collect()));
        self.trunks.store(trunks);
    }

    /// Whether an address belongs to any trunk that asks for no certificate, or to somebody whom we have called.
    pub(super) fn knows(&self, source: IpAddr) -> bool {
        self.trunks.load().find(source).is_some() || self.guests.has(source)
    }

    /// The same for a connection: over TLS, trunks that ask for a certificate count too.
    pub(super) fn knows_over(&self, transport: Transport, source: IpAddr) -> bool {
        match transport {
            Transport::Udp | Transport::Tcp => self.knows(source),
            Transport::Tls => self.trunks.load().may_prove(source) || self.guests.has(source),
        }
    }

    /// Lets a host in for as long as we call it.
    pub(super) fn invite(&self, host: IpAddr) -> Guest {
        self.guests.add(host);
        Guest { guests: self.guests.clone(), host }
    }

    /// The secret of a trunk that must authenticate, when it could be read.
    pub(super) fn secret(&self, trunk: &TrunkId) -> Option<Arc<str>> {
        self.secrets.load().get(trunk).map(|secret| secret.0.clone())
    }

    /// The trunk an address belongs to, once it has proven this much of itself.
    pub(super) fn trunk_of(&self, source: IpAddr, proven: &Identities) -> Option<Arc<Trunk>> {
        self.trunks.load().find_proven(source, proven.iter()).cloned()
    }

    /// Takes a place for a call that we place by a trunk; none when routing has it no more.
    pub(super) fn leave_by(&self, trunk: &TrunkId) -> Result<Option<TrunkPlace>, Refusal> {
        let trunks = self.trunks.load();
        let Some(trunk) = trunks.get(trunk) else { return Ok(None) };
        let usage = self.with_room(trunk)?;
        usage.calls.fetch_add(1, Ordering::Relaxed);
        Ok(Some(TrunkPlace { usage }))
    }

    /// What a trunk uses, when it has room for another call.
    fn with_room(&self, trunk: &Trunk) -> Result<Arc<Usage>, Refusal> {
        let usage = self.usage.entry(trunk.id.clone()).or_default().clone();
        let full = trunk.concurrent_max.is_some_and(|max| usage.calls.load(Ordering::Relaxed) >= max);
        if full { Err(Refusal::Concurrent) } else { Ok(usage) }
    }

    /// Takes a place for a new call.
    pub(super) fn enter(&self, trunk: &Trunk, now: Instant) -> Result<TrunkPlace, Refusal> {
        let usage = self.with_room(trunk)?;
        if trunk.calls_per_second_max.is_some_and(|rate| !usage.take_token(f64::from(rate), now)) {
            return Err(Refusal::Rate);
        }
        usage.calls.fetch_add(1, Ordering::Relaxed);
        Ok(TrunkPlace { usage })
    }
}

impl Guests {
    fn has(&self, host: IpAddr) -> bool {
        if self.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let now = Instant::now();
        let Some(stay) = self.hosts.get(&host).map(|stay| *stay) else { return false };
        if stay.calls > 0 || stay.until > now {
            return true;
        }
        // Removed when the next guest comes.
        false
    }

    fn add(&self, host: IpAddr) {
        // Those who never sent anything again.
        let now = Instant::now();
        self.hosts.retain(|_, stay| stay.calls > 0 || stay.until > now);
        self.hosts.entry(host).or_insert(Stay { calls: 0, until: now }).calls += 1;
        self.count.store(self.hosts.len(), Ordering::Relaxed);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(mut stay) = self.guests.hosts.get_mut(&self.host) {
            stay.calls = stay.calls.saturating_sub(1);
            stay.until = Instant::now() + GUEST_LINGERS;
        }
    }
}

impl Usage {
    fn take_token(&self, rate: f64, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let full = Bucket { tokens: rate.max(1.0), filled: now };
        let current = bucket.get_or_insert(full);
        let passed = now.saturating_duration_since(current.filled).as_secs_f64();
        current.tokens = (current.tokens + passed * rate).min(full.tokens);
        current.filled = now;
        let there = current.tokens >= 1.0;
        if there {
            current.tokens -= 1.0;
        }
        there
    }
}

impl Drop for TrunkPlace {
    fn drop(&mut self) {
        self.usage.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trunk(rate: Option<u32>, concurrent: Option<u32>) -> Trunk {
        Trunk {
            id: "tr_a".into(),
            name: String::new(),
            networks: Vec::new(),
            tls_identity: None,
            digest: None,
            trusted: true,
            codecs: Vec::new(),
            srtp: Default::default(),
            calls_per_second_max: rate,
            concurrent_max: concurrent,
            outbound: None,
            register: None,
        }
    }

    #[test]
    fn strangers_have_no_trunk() {
        assert!(!Gate::default().knows("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn whom_we_call_is_heard_until_the_last_call_is_over_and_a_little_longer() {
        let gate = Gate::default();
        let host = "192.0.2.7".parse().unwrap();
        let (first, second) = (gate.invite(host), gate.invite(host));
        assert!(gate.knows(host) && !gate.knows("192.0.2.8".parse().unwrap()));
        drop(first);
        assert!(gate.knows(host));
        drop(second);
        assert!(gate.knows(host), "the answer to our BYE is still to come");
        gate.guests.hosts.get_mut(&host).unwrap().until = Instant::now();
        assert!(!gate.knows(host));
        let other = gate.invite("192.0.2.9".parse().unwrap());
        assert_eq!(gate.guests.hosts.len(), 1, "nothing is left of the first");
        drop(other);
    }

    #[test]
    fn a_rate_is_held_over_time_and_a_place_is_given_back() {
        let (gate, trunk) = (Gate::default(), trunk(Some(10), Some(2)));
        let now = Instant::now();
        let first = gate.enter(&trunk, now).unwrap();
        let _second = gate.enter(&trunk, now).unwrap();
        assert_eq!(gate.enter(&trunk, now).unwrap_err(), Refusal::Concurrent);
        drop(first);
        for _ in 0..8 {
            drop(gate.enter(&trunk, now).unwrap());
        }
        assert_eq!(gate.enter(&trunk, now).unwrap_err(), Refusal::Rate);
        assert!(gate.enter(&trunk, now + Duration::from_millis(150)).is_ok());
    }

    #[test]
    fn calls_that_we_place_count_for_the_limit_of_their_trunk_but_not_for_its_rate() {
        let gate = Gate::default();
        let folder = tempfile::tempdir().unwrap();
        let store = vestibule_config::store::Store::open(folder.path(), Default::default()).unwrap();
        let limited =
            "trunks:\n  tr_x: {name: X, allowed: [192.0.2.1], concurrent_max: 2, calls_per_second_max: 1}\n";
        let document = vestibule_config::sample::SAMPLE.replacen("trunks:\n", limited, 1);
        store.seed(&document).unwrap();
        let trunks = store.active().load().trunks.clone();
        gate.set(trunks.clone());
        let id = TrunkId::new("tr_x");
        let trunk = trunks.get(&id).unwrap();
        let placed = gate.leave_by(&id).unwrap();
        let arrived = gate.enter(trunk, Instant::now()).unwrap();
        assert_eq!(gate.leave_by(&id).unwrap_err(), Refusal::Concurrent);
        assert_eq!(gate.enter(trunk, Instant::now()).unwrap_err(), Refusal::Concurrent);
        drop(arrived);
        let again = gate.leave_by(&id).unwrap();
        assert!(placed.is_some() && again.is_some());
        assert!(gate.leave_by(&TrunkId::new("tr_gone")).unwrap().is_none());
    }
}
