//! Two endpoints and the network between them, in virtual time: it may lose, repeat and overtake.
#![allow(dead_code, reason = "each test uses its part")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use sip_proto::{
    digest::Login,
    endpoint::{
        CallKey, Command, Endpoint, Event, Listener, Outputs, Party, Path, Settings, Target, Transport,
    },
    sdp::{Codec, Srtp},
};

pub(crate) const ADDRESSES: [&str; 2] = ["198.51.100.1:5060", "198.51.100.2:5060"];

/// How bad the network is, in percent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) lost: u32,
    pub(crate) repeated: u32,
}

pub(crate) struct Pair {
    pub(crate) ends: [Endpoint; 2],
    pub(crate) now: Instant,
    pub(crate) began: Instant,
    pub(crate) transport: Transport,
    pub(crate) faults: Faults,
    /// By the time they arrive: to which end, from where, what.
    flying: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    sequence: u64,
    pub(crate) rng: StdRng,
    pub(crate) events: [Vec<(CallKey, Event)>; 2],
    /// Everything sent: when, by which end, the first line.
    pub(crate) sent: Vec<(Duration, usize, String)>,
}

impl Pair {
    pub(crate) fn new(seed: u64, transport: Transport, faults: Faults) -> Self {
        let now = Instant::now();
        let end = |index: usize| {
            let advertised = ADDRESSES[index].parse().unwrap();
            let settings =
                Settings { listeners: vec![Listener { transport, advertised }], ..Settings::default() };
            let rng = StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(index as u64));
            Endpoint::new(settings, rng, now)
        };
        Self {
            ends: [end(0), end(1)],
            now,
            began: now,
            transport,
            faults,
            flying: BTreeMap::new(),
            sequence: 0,
            rng: StdRng::seed_from_u64(seed),
            events: [Vec::new(), Vec::new()],
            sent: Vec::new(),
        }
    }

    pub(crate) fn path_to(&self, end: usize) -> Path {
        let connection = self.transport.is_reliable().then_some(7);
        Path { transport: self.transport, peer: ADDRESSES[end].parse().unwrap(), listener: 0, connection }
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            path: self.path_to(1),
            uri: format!("sip:agent@{}", ADDRESSES[1]),
            from: Party { user: "+14155550101".into(), host: String::new(), display: "Edge \"1\"".into() },
            media: "198.51.100.1:30000".parse().unwrap(),
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            srtp: Srtp::Allowed,
            login: None::<Login>,
            headers: Vec::new(),
            max_forwards: 70,
        }
    }

    /// End 0 calls end 1.
    pub(crate) fn call(&mut self, target: Target) -> CallKey {
        let mut out = Outputs::default();
        let key = self.ends[0].call(self.now, target, &mut out).unwrap();
        self.take(0, out);
        key
    }

    pub(crate) fn command(&mut self, end: usize, call: CallKey, command: Command) {
        let mut out = Outputs::default();
        self.ends[end].command(self.now, call, command, &mut out);
        self.take(end, out);
    }

    pub(crate) fn answer(&mut self, call: CallKey) {
        let media = "198.51.100.2:40000".parse().unwrap();
        self.command(
            1,
            call,
            Command::Answer { media, codecs: vec![Codec::Pcma, Codec::Pcmu], srtp: Srtp::Allowed },
        );
    }

    fn take(&mut self, from: usize, mut out: Outputs) {
        for (path, bytes) in out.messages() {
            let first = String::from_utf8_lossy(bytes).lines().next().unwrap_or_default().to_owned();
            self.sent.push((self.now.duration_since(self.began), from, first));
            let to = ADDRESSES.iter().position(|address| path.peer == address.parse().unwrap());
            let to = to.unwrap_or_else(|| panic!("sent to {}", path.peer));
            let copies = if self.transport.is_reliable() {
                1
            } else if self.rng.random_range(0..100) < self.faults.lost {
                0
            } else {
                1 + u32::from(self.rng.random_range(0..100) < self.faults.repeated)
            };
            for _ in 0..copies {
                let spread = if self.transport.is_reliable() { 0 } else { self.rng.random_range(0..60) };
                let at = self.now + Duration::from_millis(20 + spread);
                self.sequence += 1;
                self.flying.insert((at, self.sequence), (to, bytes.to_vec()));
            }
        }
        self.events[from].append(&mut out.events);
    }

    /// When something happens next.
    fn next(&self) -> Option<Instant> {
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        self.ends.iter().filter_map(Endpoint::deadline).chain(arrival).min()
    }

    /// One thing that is due; whether there was one before `end`.
    pub(crate) fn step(&mut self, end: Instant) -> bool {
        let Some(next) = self.next().filter(|at| *at <= end) else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = self.now.max(next);
        if let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, bytes) = entry.remove();
            let path = self.path_to(1 - to);
            let mut out = Outputs::default();
            self.ends[to].receive(self.now, path, &bytes, &mut out);
            self.take(to, out);
        }
        for end in 0..2 {
            let mut out = Outputs::default();
            self.ends[end].handle_timeout(self.now, &mut out);
            self.take(end, out);
        }
        true
    }

    pub(crate) fn pass(&mut self, by: Duration) {
        let end = self.now + by;
        while self.step(end) {}
    }

    /// The call that has come in at end 1.
    pub(crate) fn incoming(&mut self) -> Option<CallKey> {
        let at = self.events[1].iter().position(|(_, event)| matches!(event, Event::Incoming(_)))?;
        Some(self.events[1].remove(at).0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.iter().all(|end| {
            let sizes = end.sizes();
            (sizes.calls, sizes.client_transactions, sizes.server_transactions) == (0, 0, 0)
        })
    }
}
