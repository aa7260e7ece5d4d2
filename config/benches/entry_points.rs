//! A million entry points: look-up, memory, one change, many changes, cold start.
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
    number::{Holding, Sms},
    store::{Options, Store},
};
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    time::Now,
};

const OPTIONS: Options = Options { arm_new: true, speech: false };

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

fn fill(store: &Store, count: u64) {
    let base = json!({
        "settings": {"default_inbox": "ib_0"},
        "inboxes": (0..100).map(|n| (format!("ib_{n}"), json!({"name": format!("Inbox {n}")}))).collect::<serde_json::Map<_, _>>(),
    });
    store.seed(&base.to_string()).expect("the base");
    for index in 0..count {
        if index % 1000 == 0 || index < 200 {
            let number = E164::parse(&number(index)).expect("a number");
            store.add_number(number, Holding::Owned, Sms::Off, "bench").expect("a record");
        }
    }
    for start in (0..count).step_by(50_000) {
        let changes: BTreeMap<_, _> = (start..(start + 50_000).min(count))
            .map(|index| {
                // Mailboxes: entry points that need no record of a number.
                let key = Key::new(Kind::EntryPoints, format!("email/box{index}@example.com"));
                (key, Some(json!({"inbox": format!("ib_{}", index % 100), "armed": true})))
            })
            .collect();
        store.publish_changes(changes, "bench", "fill").expect("a publish");
    }
    let voices: BTreeMap<_, _> = (0..count)
        .filter(|index| index % 1000 == 0 || *index < 200)
        .map(|index| (Key::new(Kind::Numbers, number(index)), Some(json!({}))))
        .collect();
    store.publish_changes(voices, "bench", "numbers").expect("a publish");
}

fn look_ups(store: &Store, count: u64) -> Duration {
    let plan = store.active().load().plan.clone();
    let now = Now { mono: Instant::now(), wall: jiff::Timestamp::UNIX_EPOCH };
    let mut times = Vec::with_capacity(200_000);
    for step in 0..200_000_u64 {
        // A stride that visits the table in no order the caches could follow.
        let index = step.wrapping_mul(7_919_777) % count;
        let contact = Contact {
            id: "ct_bench".into(),
            channel: Channel::Email,
            to: Address::Text(format!("box{index}@example.com").into()),
            from: Caller::default(),
            arrived: now,
            seed: 0,
        };
        let started = Instant::now();
        let inbox = black_box(plan.direct_inbox(&contact));
        times.push(started.elapsed());
        assert_eq!(inbox.map(|inbox| inbox.to_string()), Some(format!("ib_{}", index % 100)));
    }
    times.sort();
    times[times.len() * 99 / 100]
}

fn change(store: &Store, index: u64, round: u64) {
    let key = Key::new(Kind::EntryPoints, format!("email/box{index}@example.com"));
    let body = json!({"inbox": format!("ib_{}", round % 100), "sla_minutes": round + 1, "armed": true});
    store.publish_changes(BTreeMap::from([(key, Some(body))]), "bench", "one change").expect("a publish");
}

/// A thousand changes, all of whose plans are still held by callers: changes a second, and live bytes for each
/// plan that is held.
fn many_changes(store: &Store, count: u64) -> (f64, u64) {
    let mut held = Vec::with_capacity(1000);
    let before = live();
    let started = Instant::now();
    for round in 0..1000 {
        change(store, round * 997 % count, round);
        held.push(store.active().load());
    }
    let rate = 1000.0 / seconds(started);
    (rate, live().saturating_sub(before) / held.len() as u64)
}

fn main() {
    let count = count();
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path(), OPTIONS).expect("a store");
    let started = Instant::now();
    fill(&store, count);
    println!("{count} entry points published in {:.1} s", seconds(started));
    drop(store);

    let empty = live();
    let started = Instant::now();
    let store = Store::open(folder.path(), OPTIONS).expect("a store");
    let cold_start = seconds(started);
    let each = live().saturating_sub(empty) / count;
    println!("cold start {cold_start:.2} s; {each} bytes of heap each");
    assert!(each > 50, "{each} bytes cannot hold an entry point: the count is wrong");

    let look_up = look_ups(&store, count);
    println!("look-up p99 {look_up:?}");

    let mut single: Vec<f64> = (0..100)
        .map(|round| {
            let started = Instant::now();
            change(&store, round * 31 % count, round);
            seconds(started)
        })
        .collect();
    single.sort_by(f64::total_cmp);
    println!("one change live: median {:.2} ms, worst {:.2} ms", single[50] * 1e3, single[99] * 1e3);

    let (rate, grown) = many_changes(&store, count);
    println!(
        "{rate:.0} changes a second; each old plan that a call still holds costs {:.1} kB",
        grown as f64 / 1e3
    );
    assert!(grown > 100, "{grown} bytes cannot hold a change: the count is wrong");

    if count >= 1_000_000 {
        assert!(look_up <= Duration::from_micros(2), "look-up");
        assert!(each <= 500, "memory");
        assert!(cold_start <= 3.0, "cold start");
        assert!(single[99] <= 1.0, "one change");
        // A plan that shares nothing would cost hundreds of megabytes.
        assert!(rate >= 100.0 && grown < 100_000, "many changes");
    }
}
