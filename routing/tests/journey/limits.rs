//! The limits of a queue: each off by default, each with a treatment.

use vestibule_routing::{
    journey::{Event, Timer},
    outcome::{Outcome, Reason, Side},
    plan::{Inbox, IvrKind, NumberVoice, Plan, Treatment},
};

use super::bench::{Bench, edit, plan, with_ivr, with_number};

const LIMIT: Outcome = Outcome::new(Side::Plan, Reason::QueueLimit);

/// A direct line whose inbox has limits, and an IVR that treatments may name.
fn limited(limits: impl FnOnce(&mut Inbox)) -> Plan {
    let mut plan = with_number(plan(), NumberVoice::default());
    edit(&mut plan, "ib_general", limits);
    let nodes = r#"{"start": {"type": "message", "prompt": "spare", "next": "x"}, "x": {"type": "hang_up"}}"#;
    with_ivr(plan, "spare", IvrKind::Initial, nodes)
}

fn full(treatment: Treatment) -> Bench {
    let mut bench = Bench::new(limited(|inbox| inbox.queue_length_max = Some((3, treatment))));
    assert_eq!(bench.place, Some(("ib_general".to_owned(), 5, Some(3))));
    bench.tell(Event::QueueFull);
    bench
}

fn waited(treatment: Treatment) -> Bench {
    let mut bench = Bench::new(limited(|inbox| inbox.wait_max = Some((90, treatment))));
    bench.pass(89);
    assert_eq!(bench.queued_in(), Some("ib_general"));
    assert!(bench.ended.is_none());
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::WaitMax);
    bench.pass(1);
    bench
}

fn deserted(treatment: Treatment) -> Bench {
    let mut bench = Bench::new(limited(|inbox| inbox.no_one_available = Some(treatment)));
    bench.tell(Event::Availability(None));
    bench.tell(Event::Availability(Some(1)));
    assert_eq!(bench.hears(), ["Ringback"], "unknown is not zero");
    bench.tell(Event::Availability(Some(0)));
    bench
}

const REACHED: [fn(Treatment) -> Bench; 3] = [full, waited, deserted];

#[test]
fn a_prompt_is_heard_to_its_end_before_the_call_ends() {
    for reached in REACHED {
        let mut bench = reached(Treatment::PromptThenHangUp("sorry".into()));
        assert_eq!(bench.hears(), ["sorry"]);
        assert_eq!(bench.place, None, "the place is given up");
        bench.press("1");
        bench.tell(Event::QueueFull);
        bench.tell(Event::Availability(Some(0)));
        assert!(bench.ended.is_none());
        bench.played();
        assert_eq!(bench.ended, Some((LIMIT, 200)));
    }
}

#[test]
fn another_inbox_takes_the_caller_with_the_arrival_time() {
    for reached in REACHED {
        let bench = reached(Treatment::Inbox("ib_sales".into()));
        assert_eq!(bench.queued_in(), Some("ib_sales"));
        assert_eq!(bench.place.as_ref().unwrap().0, "ib_sales");
        assert!(bench.ended.is_none());
    }
}

#[test]
fn an_ivr_runs_and_the_place_is_given_up() {
    for reached in REACHED {
        let mut bench = reached(Treatment::Ivr("spare".into()));
        assert_eq!(bench.hears(), ["spare"]);
        assert_eq!(bench.place, None);
        bench.played();
        assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Plan, Reason::HungUpByIvr));
    }
}

#[test]
fn a_status_ends_the_call_with_it() {
    for reached in REACHED {
        assert_eq!(reached(Treatment::SipCode(503)).ended, Some((LIMIT, 503)));
    }
}

#[test]
fn what_cannot_be_done_keeps_the_caller_waiting() {
    for reached in REACHED {
        let mut bench = reached(Treatment::Ivr("missing".into()));
        assert!(bench.traced("not available"));
        assert_eq!(bench.place.as_ref().unwrap().0, "ib_general");
        assert_eq!(bench.hears().len(), 1, "something is heard");
        bench.pass(7200);
        assert_eq!(bench.ended, None);
    }
}

#[test]
fn who_is_forwarded_waits_until_somebody_answers_and_after_nobody_has() {
    for reached in REACHED {
        let forward = || reached(Treatment::Forward("sip:a@example.com".into()));
        let mut bench = forward();
        assert_eq!(bench.ringing.as_ref().unwrap().1.targets, ["sip:a@example.com"]);
        assert_eq!(bench.place.as_ref().unwrap().0, "ib_general", "the place is kept");
        bench.does_not_pick_up(486);
        bench.pass(7200);
        assert_eq!((bench.ended, bench.place.is_some()), (None, true));
        let mut bench = forward();
        bench.picks_up();
        assert_eq!((bench.place.is_none(), bench.journey.place().0), (true, "connected"));
        bench.tell(Event::TakerGone(Reason::Completed));
        assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Plan, Reason::Completed));
    }
}

#[test]
fn a_full_queue_whose_treatment_cannot_be_done_takes_one_more() {
    let bench = full(Treatment::Ivr("missing".into()));
    assert_eq!(bench.place, Some(("ib_general".to_owned(), 5, None)), "and is not asked again");
}

#[test]
fn limits_are_off_by_default() {
    let mut bench = Bench::new(limited(|_| {}));
    bench.tell(Event::Availability(Some(0)));
    bench.pass(100_000);
    assert!(bench.ended.is_none());
    assert_eq!(bench.place, Some(("ib_general".to_owned(), 5, None)));
}

#[test]
fn a_treatment_that_leads_to_the_same_inbox_keeps_the_place_unless_there_is_none() {
    let same = || Treatment::Inbox("ib_general".into());
    for reached in [waited, deserted] {
        let mut bench = reached(same());
        assert!(bench.ended.is_none());
        assert_eq!(bench.queued_in(), Some("ib_general"));
        bench.pass(3600);
        assert!(bench.ended.is_none(), "and is applied once");
    }
    assert_eq!(full(same()).ended, Some((LIMIT, 486)));
}

#[test]
fn inboxes_that_are_full_in_a_circle_end_the_call_and_do_not_turn_for_ever() {
    let mut plan = limited(|inbox| inbox.queue_length_max = Some((1, Treatment::Inbox("ib_sales".into()))));
    edit(&mut plan, "ib_sales", |inbox| {
        inbox.queue_length_max = Some((1, Treatment::Inbox("ib_general".into())));
    });
    let mut bench = Bench::new(plan);
    for _ in 0..9 {
        if bench.ended.is_none() {
            bench.tell(Event::QueueFull);
        }
    }
    assert_eq!(bench.ended, Some((LIMIT, 486)));
}

#[test]
fn the_longest_wait_counts_from_the_queue_and_not_from_a_move() {
    let mut plan = limited(|inbox| inbox.no_one_available = Some(Treatment::Inbox("ib_sales".into())));
    edit(&mut plan, "ib_sales", |inbox| inbox.wait_max = Some((60, Treatment::SipCode(480))));
    let mut bench = Bench::new(plan);
    bench.pass(50);
    bench.tell(Event::Availability(Some(0)));
    bench.pass(9);
    assert!(bench.ended.is_none());
    bench.pass(1);
    assert_eq!(bench.ended, Some((LIMIT, 480)));
}
