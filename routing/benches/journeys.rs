//! What routing costs: a resolution, a step of an IVR, whole journeys, a day of opening hours.
//!
//! Prints figures with their units, and judges none: `config/benches` holds the bound of a look-up.
//! `cargo bench -p vestibule-routing` runs it; a run of the tests makes it small.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, reads the clock, and stops when it cannot go on"
)]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    digit::Digit,
    id::NodeId,
    journey::{Action, Actions, Event, Journey, PlaybackId},
    outcome::{Outcome, Reason, Side},
    plan::{EntryPoint, Ivr, IvrKind, NumberVoice, Plan, node::Node, schedule::Period},
    resolve::{Route, exit_key},
    time::Now,
};

/// Nodes as they stand in documents: greeting, hours, menu, exits.
const INITIAL: &str = r#"{
    "start": {"type": "message", "prompt": "welcome", "next": "hours"},
    "hours": {"type": "schedule", "default": "menu", "rows": [
        {"when": {"name": "closed", "weekdays": ["sunday"], "zone": "America/New_York"}, "next": "closed"}]},
    "menu": {"type": "menu", "prompt": "menu", "choices": {"1": "sales", "2": "care", "9": "start"}, "default": "care"},
    "sales": {"type": "exit"}, "care": {"type": "exit"}, "closed": {"type": "hang_up"}
}"#;

const QUEUE: &str = r#"{
    "start": {"type": "message", "prompt": "busy", "next": "stay"},
    "stay": {"type": "continue"}
}"#;

/// The full size under `cargo bench`, a small one when the tests run all benches.
fn size(full: u64) -> u64 {
    if std::env::args().any(|arg| arg == "--bench") { full } else { full / 1000 }
}

fn number(index: u64) -> E164 {
    E164::parse(&format!("+1{}", 2_000_000_000_u64.saturating_add(index))).expect("a number")
}

fn ivr(id: &str, kind: IvrKind, nodes: &str) -> Arc<Ivr> {
    let nodes: std::collections::BTreeMap<NodeId, Node<NodeId>> = serde_json::from_str(nodes).expect("nodes");
    let nodes: Vec<_> = nodes.into_iter().collect();
    Arc::new(Ivr::build(id.into(), id.to_owned(), kind, &"start".into(), &nodes).expect("an IVR"))
}

/// Numbers of which every second has an Initial IVR and every tenth an exception.
fn plan(numbers: u64) -> Arc<Plan> {
    let mut plan = Plan::default();
    plan.default_inboxes.insert(Channel::Voice, "ib_general".into());
    plan.default_inboxes.insert(Channel::Ivr, "ib_general".into());
    plan.ivrs.insert("first".into(), ivr("first", IvrKind::Initial, INITIAL));
    plan.ivrs.insert("wait".into(), ivr("wait", IvrKind::Queue, QUEUE));
    let sales = EntryPoint { inbox: Some("ib_sales".into()), ..EntryPoint::default() };
    plan.entry_points.insert(exit_key(&"first".into(), &"sales".into()), sales.clone());
    let direct = Arc::new(NumberVoice::default());
    let linked = Arc::new(NumberVoice {
        initial_ivr: Some("first".into()),
        queue_ivr: Some("wait".into()),
        ..NumberVoice::default()
    });
    for index in 0..numbers {
        let number = number(index);
        let voice = if index.is_multiple_of(2) { &linked } else { &direct };
        plan.numbers.insert(number, voice.clone());
        if index.is_multiple_of(10) {
            plan.entry_points.insert((Channel::Voice, Address::Number(number)), sales.clone());
        }
    }
    Arc::new(plan)
}

fn contact(index: u64, now: Now) -> Contact {
    Contact {
        id: "ct_bench".into(),
        channel: Channel::Voice,
        to: Address::Number(number(index)),
        from: Caller { number: E164::parse("+12125550199").ok(), ..Caller::default() },
        arrived: now,
        seed: 0,
    }
}

fn now() -> Now {
    Now { mono: Instant::now(), wall: "2026-03-02T15:00:00Z".parse().expect("a moment") }
}

/// Nanoseconds of one of `count`.
fn each(elapsed: Duration, count: u64) -> f64 {
    elapsed.as_secs_f64() * 1e9 / count.max(1) as f64
}

/// Single resolutions, timed one by one, at a table's full size: median and p99.
fn resolutions(plan: &Plan, numbers: u64, count: u64) -> (Duration, Duration) {
    let now = now();
    let mut times: Vec<Duration> = (0..count)
        .map(|step| {
            // A stride that visits the table in no order the caches could follow.
            let contact = contact(step.wrapping_mul(7_919_777).checked_rem(numbers).unwrap_or(0), now);
            let started = Instant::now();
            let route = black_box(plan.resolve_voice(&contact));
            let elapsed = started.elapsed();
            assert!(!matches!(route, Route::Reject { .. }), "every number is ours");
            elapsed
        })
        .collect();
    times.sort();
    let at = |percent: usize| {
        let index = times.len().saturating_mul(percent).checked_div(100).unwrap_or(0);
        times.get(index).copied().unwrap_or_default()
    };
    (at(50), at(99))
}

/// The playback that an action started last.
fn playing(out: &Actions) -> Option<PlaybackId> {
    out.iter().rev().find_map(|action| match action {
        Action::Play(playback) if !playback.looped => Some(playback.id),
        _ => None,
    })
}

/// Steps of an IVR: a key leads from the menu to the greeting, its end to the hours and the menu.
fn steps(plan: &Arc<Plan>, count: u64) -> (Duration, u64) {
    let (now, nine) = (now(), Digit::from_char('9').expect("a key"));
    let mut out = Actions::new();
    let (mut elapsed, mut nodes) = (Duration::ZERO, 0_u64);
    while nodes < count {
        // A run is bounded: each is a new call, whose arrival is not counted.
        let mut journey = Journey::new(plan.clone(), contact(0, now), now, &mut out);
        let started = Instant::now();
        for _ in 0..300 {
            if let Some(id) = playing(&out) {
                out.clear();
                journey.handle(now, Event::PlaybackDone(id), &mut out);
            }
            out.clear();
            journey.handle(now, Event::Digit(nine), &mut out);
            // Greeting, hours, menu.
            nodes = nodes.saturating_add(3);
        }
        elapsed = elapsed.saturating_add(started.elapsed());
        assert!(journey.outcome().is_none() && playing(&out).is_some(), "the run goes on");
        out.clear();
    }
    (elapsed, nodes)
}

/// A whole call: greeting, menu, a key, the queue, ringback, one Queue IVR, music, hang-up.
fn call(plan: &Arc<Plan>, start: Now, out: &mut Actions) -> u64 {
    let mut actions = 0_u64;
    let mut journey = Journey::new(plan.clone(), contact(0, start), start, out);
    let mut tell = |journey: &mut Journey, seconds: u64, event: Event, out: &mut Actions| {
        actions = actions.saturating_add(out.len() as u64);
        out.clear();
        journey.handle(start.after(Duration::from_secs(seconds)), event, out);
    };
    if let Some(welcome) = playing(out) {
        tell(&mut journey, 4, Event::PlaybackDone(welcome), out);
    }
    tell(&mut journey, 7, Event::Digit(Digit::from_char('1').expect("a key")), out);
    tell(&mut journey, 37, Event::Deadline, out);
    if let Some(busy) = playing(out) {
        tell(&mut journey, 41, Event::PlaybackDone(busy), out);
    }
    let gone = Outcome::new(Side::Caller, Reason::Completed);
    tell(&mut journey, 60, Event::HungUp(gone), out);
    let abandoned = Outcome::new(Side::Caller, Reason::AbandonedInQueue);
    assert_eq!(journey.outcome(), Some(abandoned), "the call went the way it should");
    actions = actions.saturating_add(out.len() as u64);
    out.clear();
    actions
}

fn hours(count: u64) -> Duration {
    let json = r#"{"name": "open", "weekdays": ["monday"], "start": "09:00", "end": "17:00", "zone": "America/New_York"}"#;
    let row: Period = serde_json::from_str(json).expect("a row");
    let first: jiff::Timestamp = "2026-03-02T00:00:00Z".parse().expect("a moment");
    let started = Instant::now();
    for step in 0..count {
        let second = i64::try_from(step).unwrap_or(i64::MAX).wrapping_mul(61).wrapping_rem(31_536_000);
        let moment = first.saturating_add(jiff::SignedDuration::from_secs(second)).expect("in range");
        black_box(row.covers(black_box(moment)));
    }
    started.elapsed()
}

fn main() {
    let numbers = size(1_000_000);
    let plan = plan(numbers);
    let (median, p99) = resolutions(&plan, numbers, size(200_000));
    println!("resolution among {numbers} numbers: median {median:?}, p99 {p99:?}");

    let (elapsed, nodes) = steps(&plan, size(1_000_000));
    println!("a step of an IVR: {:.0} ns a node, over {nodes} nodes", each(elapsed, nodes));

    let (calls, start, mut out, mut actions) = (size(200_000), now(), Actions::new(), 0_u64);
    let started = Instant::now();
    for _ in 0..calls {
        actions = actions.saturating_add(call(&plan, start, &mut out));
    }
    let elapsed = started.elapsed();
    println!(
        "whole journeys: {:.0} a second on one core, {:.2} µs each, {} actions each",
        calls as f64 / elapsed.as_secs_f64(),
        each(elapsed, calls) / 1e3,
        actions.checked_div(calls.max(1)).unwrap_or(0),
    );

    let rows = size(1_000_000);
    println!("a row of opening hours: {:.0} ns", each(hours(rows), rows));
}
