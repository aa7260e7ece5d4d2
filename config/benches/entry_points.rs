//! A million entry points, and a million numbers with voice: look-up, memory, one change, many changes, cold
//! start.
//!
//! Prints figures and fails when one is over its bound. `cargo bench -p vestibule-config` runs it;
//! `ENTRY_POINTS=10000` makes it small.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops when it cannot go on"
)]

use std::{
    collections::BTreeMap,
    hint::black_box,
    time::{Duration, Instant},
};

use peak_alloc::PeakAlloc;
use serde_json::json;
use vestibule_config::{
    document::{Key, Kind},
    store::{Options, Store},
};
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    time::Now,
};

/// A test run of all benches passes `--test`: then a small table must do.
fn count() -> u64 {
    let asked = std::env::var("ENTRY_POINTS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(if std::env::args().any(|arg| arg == "--bench") { 1_000_000 } else { 2_000 })
}

fn number(index: u64) -> String {
    format!("+1{}", 2_000_000_000 + index)
}

/// Counts what is allocated and not yet freed: the kernel's figures say nothing here, since pages that were
/// freed stay with the process.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Live bytes of the heap.
fn live() -> u64 {
    HEAP.current_usage() as u64
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// What a bench fills a store with.
#[derive(Clone, Copy)]
enum Filling {
    /// Entry points that need no record of a number.
    Mailboxes,
    /// Each with a record and voice settings; every tenth has an exception, which names its inbox.
    Numbers,
}

impl Filling {
    /// Of how many one has an entry point in the documents.
    fn step(self) -> u64 {
        match self {
            Self::Mailboxes => 1,
            Self::Numbers => 10,
        }
    }

    fn inbox(self, index: u64) -> String {
        if index.is_multiple_of(self.step()) {
            format!("ib_{}", index / self.step() % 100)
        } else {
            "ib_0".to_owned()
        }
    }

    fn key(self, index: u64) -> Key {
        match self {
            Self::Mailboxes => Key::new(Kind::EntryPoints, format!("email/box{index}@example.com")),
            Self::Numbers => Key::new(Kind::EntryPoints, format!("voice/{}", number(index))),
        }
    }

    fn contact(self, index: u64) -> Contact {
        let (channel, to) = match self {
            Self::Mailboxes => (Channel::Email, Address::Text(format!("box{index}@example.com").into())),
            Self::Numbers => {
                (Channel::Voice, Address::Number(E164::parse(&number(index)).expect("a number")))
            }
        };
        let arrived = Now { mono: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
        Contact { id: "ct_bench".into(), channel, to, from: Caller::default(), arrived, seed: 0 }
    }
}

fn fill(store: &Store, filling: Filling, count: u64) {
    let mut base = json!({
        "settings": {"default_inbox": "ib_0"},
        "inboxes": (0..100).map(|n| (format!("ib_{n}"), json!({"name": format!("Inbox {n}")}))).collect::<serde_json::Map<_, _>>(),
    });
    if matches!(filling, Filling::Numbers) {
        let numbers = (0..count).map(|index| (number(index), json!({"queue_wait_seconds": 30 + index % 10})));
        base["numbers"] = serde_json::Value::Object(numbers.collect());
    }
    store.seed(&base.to_string()).expect("the base");
    for start in (0..count).step_by(50_000) {
        let changes: BTreeMap<_, _> = (start..(start + 50_000).min(count))
            .step_by(usize::try_from(filling.step()).expect("small"))
            .map(|index| {
                let body = json!({"inbox": filling.inbox(index), "armed": true});
                (filling.key(index), Some(body))
            })
            .collect();
        store.publish_changes(changes, "bench", "fill").expect("a publish");
    }
}

fn look_ups(store: &Store, filling: Filling, count: u64) -> Duration {
    let plan = store.active().load().plan.clone();
    let mut times = Vec::with_capacity(200_000);
    for step in 0..200_000_u64 {
        // A stride that visits the table in no order the caches could follow.
        let index = step.wrapping_mul(7_919_777) % count;
        let contact = filling.contact(index);
        let started = Instant::now();
        if let Address::Number(number) = &contact.to {
            assert!(black_box(plan.numbers.get(number)).is_some_and(|voice| voice.active));
        }
        let inbox = black_box(plan.direct_inbox(&contact));
        times.push(started.elapsed());
        assert_eq!(inbox.map(|inbox| inbox.to_string()), Some(filling.inbox(index)));
    }
    times.sort();
    times[times.len() * 99 / 100]
}

fn change(store: &Store, filling: Filling, index: u64, round: u64) {
    let body = json!({"inbox": format!("ib_{}", round % 100), "sla_minutes": round + 1, "armed": true});
    let changes = BTreeMap::from([(filling.key(index / filling.step() * filling.step()), Some(body))]);
    store.publish_changes(changes, "bench", "one change").expect("a publish");
}

/// A thousand changes, all of whose plans are still held by callers: changes a second, and live bytes for each
/// plan that is held.
fn many_changes(store: &Store, filling: Filling, count: u64) -> (f64, u64) {
    let mut held = Vec::with_capacity(1000);
    let before = live();
    let started = Instant::now();
    for round in 0..1000 {
        change(store, filling, round * 997 % count, round);
        held.push(store.active().load());
    }
    let rate = 1000.0 / seconds(started);
    (rate, live().saturating_sub(before) / held.len() as u64)
}

/// Measures one filling; true when every figure holds.
fn measure(filling: Filling, what: &str, count: u64) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), Options::default()).expect("a store");
    let started = Instant::now();
    fill(&store, filling, count);
    println!("{count} {what} published in {:.1} s", seconds(started));
    drop(store);

    let empty = live();
    let started = Instant::now();
    let store = Store::open(folder.path(), Options::default()).expect("a store");
    let cold_start = seconds(started);
    let each = live().saturating_sub(empty) / count;
    println!("  cold start {cold_start:.2} s; {each} bytes of heap each");
    assert!(each > 50, "{each} bytes cannot hold an entry point: the count is wrong");

    let look_up = look_ups(&store, filling, count);
    println!("  look-up p99 {look_up:?}");

    let mut single: Vec<f64> = (0..100)
        .map(|round| {
            let started = Instant::now();
            change(&store, filling, round * 31 % count, round);
            seconds(started)
        })
        .collect();
    single.sort_by(f64::total_cmp);
    println!("  one change live: median {:.2} ms, worst {:.2} ms", single[50] * 1e3, single[99] * 1e3);

    let (rate, grown) = many_changes(&store, filling, count);
    println!(
        "  {rate:.0} changes a second; each old plan that a call still holds costs {:.1} kB",
        grown as f64 / 1e3
    );
    assert!(grown > 100, "{grown} bytes cannot hold a change: the count is wrong");

    let figures = [
        ("look-up over 2 us", look_up <= Duration::from_micros(2)),
        ("more than 500 bytes each", each <= 500),
        ("cold start over 3 s", cold_start <= 3.0),
        ("a change takes over 1 s", single[99] <= 1.0),
        ("less than 100 changes a second", rate >= 100.0),
        // A plan that shares nothing would cost hundreds of megabytes.
        ("an old plan costs over 100 kB", grown < 100_000),
    ];
    // The figures are those of a million.
    for (figure, _) in figures.iter().filter(|(_, holds)| count >= 1_000_000 && !holds) {
        println!("  MISSED: {figure}");
    }
    count < 1_000_000 || figures.iter().all(|(_, holds)| *holds)
}

fn main() {
    let count = count();
    let held = [(Filling::Mailboxes, "mailboxes"), (Filling::Numbers, "numbers with voice")]
        .map(|(filling, what)| measure(filling, what, count));
    assert!(held.iter().all(|held| *held), "a figure is missed");
}
