//! Calls between two endpoints over a network that loses, repeats and overtakes: whatever is done and in
//! whatever order, both sides agree in the end and nothing is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "helpers of tests may fail loudly"
)]

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use sip_proto::endpoint::{Command, Event, Transport};

#[path = "support/pair.rs"]
mod pair;

use pair::{Faults, Pair};

/// What one side was told, as far as it must agree with the other's.
#[derive(Debug, Default)]
struct Told {
    answered: bool,
    /// Ended by the endpoint; nothing may follow.
    over: u32,
}

impl Told {
    fn note(&mut self, event: &Event) {
        assert_eq!(self.over, 0, "{event:?} after the end");
        match event {
            Event::Answered => {
                assert!(!std::mem::replace(&mut self.answered, true), "answered twice");
            }
            Event::HungUp(_) | Event::Failed(_) => self.over += 1,
            Event::Progress(_) => assert!(!self.answered, "progress after the answer"),
            Event::Incoming(_)
            | Event::Acknowledged
            | Event::Media(_)
            | Event::Digit(_)
            | Event::Refer(_) => {}
        }
    }
}

fn run(seed: u64, transport: Transport, faults: Faults) -> (bool, bool) {
    let mut script = StdRng::seed_from_u64(seed ^ 0x5eed);
    let mut pair = Pair::new(seed, transport, faults);
    let target = pair.target();
    let call = pair.call(target);
    let mut told = [Told::default(), Told::default()];
    let mut theirs = None;
    let mut hung_up = [false, false];
    for _ in 0..script.random_range(2..14) {
        pair.pass(Duration::from_millis(script.random_range(0..3_000)));
        theirs = theirs.or_else(|| pair.incoming());
        let end = usize::from(script.random_bool(0.75));
        let Some(theirs) = theirs.filter(|_| !hung_up[end]) else { continue };
        let key = [call, theirs][end];
        match script.random_range(0..10) {
            0..=2 if end == 1 => pair.command(end, key, Command::Progress { status: 180 }),
            3..=6 if end == 1 => pair.answer(key),
            7 if end == 1 => {
                pair.command(end, key, Command::Reject { status: 486, retry_after_seconds: None });
                hung_up[end] = true;
            }
            8 => {
                pair.command(end, key, Command::HangUp { cause: 200 });
                hung_up[end] = true;
            }
            _ => {}
        }
    }
    // Whoever is left hangs up, as applications do in the end; then the longest timers run out.
    pair.pass(Duration::from_secs(40));
    for (end, key) in [(0, Some(call)), (1, theirs.or_else(|| pair.incoming()))] {
        if let Some(key) = key {
            pair.command(end, key, Command::HangUp { cause: 200 });
        }
    }
    pair.pass(Duration::from_secs(120));
    for (told, events) in told.iter_mut().zip(&pair.events) {
        events.iter().for_each(|(_, event)| told.note(event));
    }
    assert!(pair.is_empty(), "seed {seed}: {:?}", pair.ends);
    assert!(pair.sent.len() < 2_000, "seed {seed}: {} messages", pair.sent.len());
    (told[0].answered, told[1].over > 0)
}

#[test]
fn whatever_is_lost_both_ends_come_to_rest() {
    let mut answered = 0;
    for seed in 0..40 {
        let faults = Faults { lost: [0, 10, 30, 60][seed as usize % 4], repeated: 10 };
        answered += u32::from(run(seed, Transport::Udp, faults).0);
    }
    assert!(answered > 6, "the scripts must reach the answer often: {answered}");
}

#[test]
fn over_a_reliable_transport_too() {
    let (mut answered, mut ended) = (0, 0);
    for seed in 0..20 {
        let (up, over) = run(seed, Transport::Tcp, Faults { lost: 0, repeated: 0 });
        answered += u32::from(up);
        ended += u32::from(over);
    }
    assert!(answered > 4 && ended > 2, "{answered} answered, {ended} ended by the other side");
}

/// With a third of everything lost a call is still answered and ended as wanted: by T1·64 each step has had
/// seven chances or more.
#[test]
fn a_call_gets_through_a_third_of_loss() {
    let (mut through, runs) = (0, 20);
    for seed in 0..runs {
        let mut pair = Pair::new(seed, Transport::Udp, Faults { lost: 33, repeated: 5 });
        let target = pair.target();
        let call = pair.call(target);
        pair.pass(Duration::from_secs(20));
        let Some(theirs) = pair.incoming() else { continue };
        pair.answer(theirs);
        pair.pass(Duration::from_secs(20));
        pair.command(0, call, Command::HangUp { cause: 200 });
        pair.pass(Duration::from_secs(40));
        let bye = |(_, event): &(_, Event)| matches!(event, Event::HungUp(_));
        let answered = pair.events[0].iter().any(|(_, event)| matches!(event, Event::Answered));
        through += u64::from(answered && pair.events[1].iter().any(bye));
    }
    assert!(through >= runs * 95 / 100, "{through} of {runs}");
}
