//! Nodes of a Queue IVR that change the place of the caller.

use vestibule_routing::{
    journey::{Event, FeedEvent, Timer},
    outcome::{Outcome, Reason, Side},
    plan::{IvrKind, NumberVoice, Treatment},
};

use super::bench::{Bench, edit, plan, with_ivr, with_number};

/// A call that waits, thirty seconds on: the Queue IVR of these nodes has begun.
fn waits(nodes: &str) -> Bench {
    let voice = NumberVoice { queue_ivr: Some("q".into()), ..NumberVoice::default() };
    let mut plan = with_ivr(with_number(plan(), voice), "q", IvrKind::Queue, nodes);
    edit(&mut plan, "ib_sales", |inbox| {
        inbox.priority = 3;
        inbox.queue_length_max = Some((4, Treatment::SipCode(486)));
        inbox.wait_max = Some((100, Treatment::SipCode(480)));
        inbox.queue_music = Some("sales_music".into());
    });
    let mut bench = Bench::new(plan);
    bench.place = None;
    bench.pass(30);
    bench
}

fn place(inbox: &str, priority: u8, length_max: Option<u32>) -> Option<(String, u8, Option<u32>)> {
    Some((inbox.to_owned(), priority, length_max))
}

#[test]
fn change_priority_takes_the_place_anew_and_no_full_queue_can_refuse_it() {
    let mut bench = waits(
        r#"{"start": {"type": "change_priority", "priority": 8, "next": "m"},
            "m": {"type": "message", "prompt": "sooner", "next": "stay"}, "stay": {"type": "continue"}}"#,
    );
    assert_eq!(bench.place, place("ib_general", 8, None));
    assert_eq!(bench.hears(), ["sooner"]);
    assert!(bench.traced("priority 8"));
    bench.place = None;
    bench.played();
    bench.pass(30);
    assert_eq!(bench.hears(), ["sooner"]);
    assert_eq!(bench.place, None, "the same priority again changes nothing");
    assert!(!bench.events.iter().any(|event| matches!(event, FeedEvent::Moved { .. })));
}

#[test]
fn move_inbox_keeps_the_arrival_and_the_run_goes_on() {
    let mut bench = waits(
        r#"{"start": {"type": "move_inbox", "inbox": "ib_sales", "next": "m"},
            "m": {"type": "message", "prompt": "moved", "next": "stay"}, "stay": {"type": "continue"}}"#,
    );
    assert_eq!(bench.place, place("ib_sales", 3, Some(4)), "with what the new inbox says");
    assert_eq!(bench.queued_in(), Some("ib_sales"));
    assert_eq!(bench.hears(), ["moved"]);
    bench.played();
    assert_eq!(bench.hears(), ["sales_music"]);
    bench.pass(30);
    assert_eq!(bench.hears(), ["moved"], "the Queue IVR repeats");
    let moves = bench.events.iter().filter(|event| matches!(event, FeedEvent::Moved { .. }));
    assert_eq!(moves.count(), 1, "it is there already");
    bench.played();
    bench.pass(9);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::QueueIvrAgain);
    bench.pass(31);
    let limit = Outcome::new(Side::Plan, Reason::QueueLimit);
    assert_eq!(bench.ended, Some((limit, 480)), "the longest wait counts from the arrival in the queue");
}

#[test]
fn a_changed_priority_goes_along_to_the_next_inbox() {
    let bench = waits(
        r#"{"start": {"type": "change_priority", "priority": 9, "next": "move"},
            "move": {"type": "move_inbox", "inbox": "ib_sales", "next": "stay"},
            "stay": {"type": "continue"}}"#,
    );
    assert_eq!(bench.place, place("ib_sales", 9, Some(4)));
}

#[test]
fn a_move_to_a_full_inbox_meets_its_treatment() {
    let mut bench = waits(
        r#"{"start": {"type": "move_inbox", "inbox": "ib_sales", "next": "m"},
            "m": {"type": "message", "prompt": "moved", "next": "stay"}, "stay": {"type": "continue"}}"#,
    );
    bench.tell(Event::QueueFull);
    assert_eq!(bench.ended, Some((Outcome::new(Side::Plan, Reason::QueueLimit), 486)));
}

#[test]
fn an_inbox_that_does_not_exist_is_no_move() {
    let bench = waits(
        r#"{"start": {"type": "move_inbox", "inbox": "gone", "next": "stay"}, "stay": {"type": "continue"}}"#,
    );
    assert_eq!(bench.place, None);
    assert!(bench.traced("no inbox gone"));
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
}
