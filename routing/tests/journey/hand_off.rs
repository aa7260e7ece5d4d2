//! Takes, transfers and holds: who hears what, and what the feed says of it.

use std::time::Duration;

use vestibule_routing::{
    journey::{Callee, Event, FeedEvent, Refusal, Request, RequestId, Timer},
    outcome::{Outcome, Reason, Side},
    plan::{AnswerMode, NumberVoice, Treatment},
};

use super::bench::{Bench, call, edit, plan, queue, with_number};

fn callee() -> Callee {
    Callee { targets: vec!["sip:ann@example.net".into()], ring: Duration::from_secs(45), by: "ann".into() }
}

fn waiting() -> Bench {
    Bench::new(with_number(plan(), NumberVoice::default()))
}

fn talking() -> Bench {
    let mut bench = waiting();
    bench.ask(Request::Take(callee())).unwrap();
    bench.picks_up();
    bench
}

fn last(bench: &Bench) -> &FeedEvent {
    bench.events.last().unwrap()
}

fn place(bench: &Bench) -> &'static str {
    bench.journey.place().0
}

#[test]
fn the_caller_hears_the_queue_until_the_taker_answers_and_then_the_taker() {
    let mut bench = waiting();
    let heard = bench.hears();
    bench.ask(Request::Take(callee())).unwrap();
    assert_eq!(bench.ringing.as_ref().unwrap().1, callee());
    assert_eq!(bench.hears(), heard);
    bench.pass(20);
    assert_eq!(bench.hears(), heard, "the phone rings for 20 s");
    assert!(bench.place.is_some(), "the place is kept while it rings");
    bench.picks_up();
    assert_eq!((bench.place, bench.playing), (None, None));
    assert_eq!(bench.talks, Some((RequestId(1), true)));
    let inbox = "ib_general".into();
    let target = callee().targets[0].clone();
    assert_eq!(
        bench.events[bench.events.len() - 2..],
        [
            FeedEvent::Taken { inbox, by: "ann".into(), target: target.clone() },
            FeedEvent::Connected { inbox: "ib_general".into(), target }
        ]
    );
    assert_eq!(bench.journey.deadline(), None, "a talk has no limit");
}

#[test]
fn whoever_hangs_up_first_is_named_in_the_outcome() {
    let mut bench = talking();
    bench.tell(Event::HungUp(Outcome::new(Side::Caller, Reason::Completed)));
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Caller, Reason::Completed));
    let mut bench = talking();
    bench.tell(Event::TakerGone(Reason::Completed));
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Inbox, Reason::Completed), 200));
    let mut bench = talking();
    bench.tell(Event::HangUpRequested);
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Inbox, Reason::HungUpByApi));
}

#[test]
fn who_is_not_taken_keeps_the_place_and_may_be_taken_again() {
    for (status, wanted) in [(486, "Refused"), (603, "Refused"), (503, "Refused"), (408, "TakeTimedOut")] {
        let mut bench = waiting();
        let heard = bench.hears();
        bench.ask(Request::Take(callee())).unwrap();
        bench.does_not_pick_up(status);
        assert!(bench.told().last().unwrap().starts_with(wanted), "{status}: {:?}", last(&bench));
        assert_eq!((place(&bench), bench.hears()), ("queue", heard));
        assert!(bench.place.is_some());
        bench.ask(Request::Take(callee())).unwrap();
        bench.picks_up();
        assert_eq!(place(&bench), "connected");
    }
}

#[test]
fn a_phone_that_is_not_answered_is_given_up_after_its_time() {
    let mut bench = waiting();
    bench.ask(Request::Take(callee())).unwrap();
    bench.pass(29);
    assert!(bench.ringing.is_some());
    bench.pass(15);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::TakeTimeout);
    bench.pass(1);
    assert_eq!(bench.ringing, None);
    assert!(matches!(last(&bench), FeedEvent::TakeTimedOut { .. }));
    let before = bench.events.len();
    bench.tell(Event::CallFailed(RequestId(1), 0, 487));
    assert_eq!(bench.events.len(), before, "what we took back fails as it should");
}

#[test]
fn an_answer_that_crosses_its_own_end_is_hung_up() {
    let mut bench = waiting();
    bench.ask(Request::Take(callee())).unwrap();
    bench.pass(45);
    bench.tell(Event::CallAnswered(RequestId(1), 0));
    assert_eq!((place(&bench), bench.talks), ("queue", None));
}

#[test]
fn a_second_taker_is_refused_while_the_first_is_called_and_after() {
    let mut bench = waiting();
    bench.ask(Request::Take(callee())).unwrap();
    assert_eq!(bench.ask(Request::Take(callee())), Err(Refusal::UnderWay));
    assert_eq!(bench.ask(Request::Refuse { by: "bob".into() }), Err(Refusal::UnderWay));
    bench.picks_up();
    assert_eq!(bench.ask(Request::Take(callee())), Err(Refusal::Taken));
    assert_eq!(bench.ask(Request::Refuse { by: "bob".into() }), Err(Refusal::NotWaiting));
}

#[test]
fn nobody_is_taken_out_of_an_initial_ivr() {
    let nodes = r#"{"start": {"type": "menu", "prompt": "menu", "choices": {"1": "out"}, "default": "out"},
                    "out": {"type": "exit"}}"#;
    let mut bench = call(nodes);
    for request in [Request::Take(callee()), Request::Refuse { by: "ann".into() }] {
        assert_eq!(bench.ask(request), Err(Refusal::NotWaiting));
    }
    for request in [Request::Hold, Request::Resume, Request::Transfer(callee())] {
        assert_eq!(bench.ask(request), Err(Refusal::NotConnected));
    }
}

#[test]
fn a_queue_ivr_that_runs_is_cut_by_the_answer_only() {
    let mut bench = Bench::new(queue());
    bench.pass(30);
    assert_eq!(bench.hears(), ["busy"]);
    bench.ask(Request::Take(callee())).unwrap();
    bench.played();
    assert_eq!(bench.hears(), ["stay"], "the IVR goes on while the phone rings");
    bench.press("2");
    assert_eq!(bench.queued_in(), Some("ib_sales"), "and leads where the caller wants");
    bench.picks_up();
    assert!(matches!(last(&bench), FeedEvent::Connected { inbox, .. } if inbox.as_str() == "ib_sales"));
    bench.press("1");
    bench.pass(600);
    assert_eq!(place(&bench), "connected");
}

#[test]
fn a_caller_who_is_gone_stops_the_phone() {
    let mut bench = waiting();
    bench.ask(Request::Take(callee())).unwrap();
    bench.tell(Event::HungUp(Outcome::new(Side::Caller, Reason::Completed)));
    assert_eq!(bench.ended.unwrap().0.reason, Reason::AbandonedInQueue);
    assert_eq!(bench.ringing, None);
}

#[test]
fn a_limit_that_leads_out_of_the_queue_stops_the_phone() {
    let mut plan = with_number(plan(), NumberVoice::default());
    edit(&mut plan, "ib_general", |inbox| {
        inbox.wait_max = Some((20, Treatment::PromptThenHangUp("sorry".into())));
    });
    let mut bench = Bench::new(plan);
    bench.ask(Request::Take(callee())).unwrap();
    bench.pass(20);
    assert_eq!((bench.hears(), bench.ringing.is_some()), (vec!["sorry".to_owned()], false));
}

#[test]
fn an_agent_who_is_busy_with_the_ringing_phone_does_not_lead_the_caller_away() {
    let mut plan = with_number(plan(), NumberVoice::default());
    edit(&mut plan, "ib_general", |inbox| {
        inbox.no_one_available = Some(Treatment::PromptThenHangUp("sorry".into()));
    });
    let mut bench = Bench::new(plan);
    bench.ask(Request::Take(callee())).unwrap();
    bench.tell(Event::Availability(Some(0)));
    assert_eq!(place(&bench), "queue");
    bench.does_not_pick_up(486);
    bench.tell(Event::Availability(Some(0)));
    assert_eq!(bench.hears(), ["sorry"]);
}

#[test]
fn a_number_that_answers_when_taken_is_answered_by_the_taker() {
    let voice = NumberVoice { answer: AnswerMode::Taken, ..NumberVoice::default() };
    let mut bench = Bench::new(with_number(plan(), voice));
    assert!(bench.rings && !bench.answered);
    bench.ask(Request::Take(callee())).unwrap();
    assert!(!bench.answered);
    bench.picks_up();
    assert!(bench.answered);
    assert_eq!(bench.talks, Some((RequestId(1), true)));
}

#[test]
fn a_held_caller_hears_the_numbers_hold_music_and_once_is_enough() {
    let voice = NumberVoice { hold_music: Some("harp".into()), ..NumberVoice::default() };
    let mut bench = Bench::new(with_number(plan(), voice));
    bench.ask(Request::Take(callee())).unwrap();
    bench.picks_up();
    for _ in 0..2 {
        bench.ask(Request::Hold).unwrap();
        assert_eq!((bench.hears(), bench.talks), (vec!["harp".to_owned()], Some((RequestId(1), false))));
    }
    for _ in 0..2 {
        bench.ask(Request::Resume).unwrap();
        assert_eq!((bench.playing.is_none(), bench.talks), (true, Some((RequestId(1), true))));
    }
    let count = |name: &str| bench.told().iter().filter(|told| told.starts_with(name)).count();
    assert_eq!((count("Held"), count("Resumed")), (1, 1));
    let mut bench = talking();
    bench.tell(Event::TakerHeld(true));
    assert_eq!(bench.hears(), ["builtin:hold_music"]);
    bench.tell(Event::TakerHeld(false));
    assert_eq!(bench.talks, Some((RequestId(1), true)));
}

#[test]
fn a_transfer_holds_the_caller_until_the_other_answers() {
    let mut bench = talking();
    bench.ask(Request::Transfer(Callee { targets: vec!["sip:bob@example.net".into()], ..callee() })).unwrap();
    assert_eq!(
        (bench.hears(), bench.talks),
        (vec!["builtin:hold_music".to_owned()], Some((RequestId(1), false)))
    );
    assert_eq!(bench.ask(Request::Transfer(callee())), Err(Refusal::UnderWay));
    bench.picks_up();
    assert_eq!((bench.playing.is_none(), bench.talks), (true, Some((RequestId(2), true))));
    assert!(
        matches!(last(&bench), FeedEvent::Transferred { to_target: Some(to), .. } if to == "sip:bob@example.net")
    );
}

#[test]
fn a_transfer_that_fails_leads_back_to_the_taker() {
    let mut bench = talking();
    bench.ask(Request::Transfer(callee())).unwrap();
    bench.does_not_pick_up(486);
    assert_eq!((bench.playing.is_none(), bench.talks), (true, Some((RequestId(1), true))));
    // One who was held before stays held.
    bench.ask(Request::Hold).unwrap();
    bench.ask(Request::Transfer(callee())).unwrap();
    bench.pass(45);
    assert_eq!(
        (bench.hears(), bench.talks),
        (vec!["builtin:hold_music".to_owned()], Some((RequestId(1), false)))
    );
}

#[test]
fn a_transfer_outlives_the_taker_and_a_caller_left_alone_waits_again() {
    let mut bench = talking();
    bench.ask(Request::Transfer(callee())).unwrap();
    bench.tell(Event::TakerGone(Reason::Completed));
    assert_eq!(bench.ended, None);
    bench.picks_up();
    assert_eq!((place(&bench), bench.talks), ("connected", Some((RequestId(2), true))));
    bench.ask(Request::Transfer(callee())).unwrap();
    bench.tell(Event::TakerGone(Reason::Completed));
    bench.does_not_pick_up(603);
    assert_eq!((place(&bench), bench.queued_in()), ("queue", Some("ib_general")));
    assert!(bench.place.is_some());
    bench.ask(Request::Take(callee())).unwrap();
}

#[test]
fn a_talk_can_be_moved_to_another_inbox_where_the_caller_waits_again() {
    let mut bench = talking();
    let to = |inbox: &str| Request::Move { inbox: inbox.into(), by: "ann".into() };
    assert_eq!(bench.ask(to("ib_nowhere")), Err(Refusal::NoSuchInbox));
    bench.ask(to("ib_sales")).unwrap();
    assert_eq!((bench.talks, bench.queued_in(), place(&bench)), (None, Some("ib_sales"), "queue"));
    assert_eq!(bench.hears(), ["Ringback"]);
    bench.ask(to("ib_general")).unwrap();
    assert_eq!(bench.queued_in(), Some("ib_general"));
    bench.ask(Request::Take(callee())).unwrap();
    bench.picks_up();
    assert_eq!(place(&bench), "connected");
}

#[test]
fn an_inbox_that_refuses_is_told_to_the_feed_and_the_caller_waits_on() {
    let mut bench = waiting();
    bench.ask(Request::Refuse { by: "ann".into() }).unwrap();
    assert!(matches!(last(&bench), FeedEvent::Refused { target: None, status: None, by, .. } if by == "ann"));
    assert_eq!(place(&bench), "queue");
}

fn three() -> Request {
    let targets = ["ann", "bob", "eve"].map(|name| format!("sip:{name}@example.net")).to_vec();
    Request::Take(Callee { targets, ..callee() })
}

#[test]
fn of_phones_that_ring_together_the_first_to_answer_has_the_caller() {
    let mut bench = waiting();
    bench.ask(three()).unwrap();
    bench.tell(Event::CallFailed(RequestId(1), 0, 486));
    assert!(matches!(last(&bench), FeedEvent::Refused { target: Some(to), .. } if to.contains("ann")));
    assert!(bench.ringing.is_some(), "two go on ringing");
    assert_eq!(bench.ask(Request::Take(callee())), Err(Refusal::UnderWay));
    bench.tell(Event::CallAnswered(RequestId(1), 2));
    assert_eq!((bench.talks, bench.talks_to, bench.ringing.is_none()), (Some((RequestId(1), true)), 2, true));
    assert!(matches!(last(&bench), FeedEvent::Connected { target, .. } if target.contains("eve")));
    let told = bench.events.len();
    bench.tell(Event::CallFailed(RequestId(1), 1, 487));
    assert_eq!(bench.events.len(), told, "the others were taken back");
}

#[test]
fn phones_that_ring_together_are_over_when_the_last_is() {
    let mut bench = waiting();
    bench.ask(three()).unwrap();
    for (index, status) in [(1, 486), (1, 486), (0, 603), (7, 486), (2, 503)] {
        assert!(bench.ringing.is_some());
        bench.tell(Event::CallFailed(RequestId(1), index, status));
    }
    assert_eq!(bench.told().iter().filter(|told| told.starts_with("Refused")).count(), 3);
    bench.ask(three()).unwrap();
    bench.pass(45);
    assert_eq!(bench.told().iter().filter(|told| told.starts_with("TakeTimedOut")).count(), 3);
    assert_eq!((place(&bench), bench.ringing.is_none()), ("queue", true));
}

const FORWARD: &str = r#"{
    "start": {"type": "message", "prompt": "welcome", "next": "away"},
    "away": {"type": "forward", "to": "+14155550199", "ring_seconds": 20, "failed": "sorry"},
    "sorry": {"type": "message", "prompt": "sorry", "next": "out"},
    "out": {"type": "exit"}
}"#;

#[test]
fn a_forward_node_rings_and_connects_or_goes_on() {
    let mut bench = call(FORWARD);
    bench.played();
    assert_eq!(bench.hears(), ["Ringback"]);
    let (id, callee) = bench.ringing.clone().unwrap();
    assert_eq!((callee.targets, callee.ring), (vec!["+14155550199".to_owned()], Duration::from_secs(20)));
    assert!(id.0 > u32::MAX / 2, "{id:?} is no name of a request");
    bench.picks_up();
    assert_eq!((place(&bench), bench.playing.is_none()), ("connected", true));
    assert_eq!(bench.left_by(), Some("away"));
    assert!(matches!(last(&bench), FeedEvent::Transferred { to_target: Some(_), by, .. } if by == "forward"));
    bench.tell(Event::HungUp(Outcome::new(Side::Caller, Reason::Completed)));
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Caller, Reason::Completed));
    for status in [404, 486, 408] {
        let mut bench = call(FORWARD);
        bench.played();
        bench.does_not_pick_up(status);
        assert_eq!(bench.hears(), ["sorry"]);
    }
    let mut bench = call(FORWARD);
    bench.played();
    bench.pass(20);
    assert_eq!((bench.hears(), bench.ringing.is_none()), (vec!["sorry".to_owned()], true), "nobody answered");
}

#[test]
fn a_forwarded_caller_who_is_gone_or_taken_elsewhere_stops_the_phone() {
    let mut bench = call(FORWARD);
    bench.played();
    assert_eq!(bench.ask(Request::Take(callee())), Err(Refusal::NotWaiting));
    bench.tell(Event::HungUp(Outcome::new(Side::Caller, Reason::Completed)));
    assert_eq!((bench.ended.unwrap().0.reason, bench.ringing.is_none()), (Reason::AbandonedInIvr, true));
}
