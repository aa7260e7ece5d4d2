//! Whole calls, and faults that were found once.

use std::{sync::Arc, time::Duration};

use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    id::{InboxId, PromptId},
    journey::{Event, FeedEvent, Timer},
    outcome::{Outcome, Reason, Side},
    plan::{AnswerMode, EntryPoint, IvrKind, NumberVoice, Treatment},
};

use super::bench::{Bench, NUMBER, edit, initial, plan, queue, with_ivr, with_number};

#[test]
fn a_number_nobody_holds_is_refused_and_recorded() {
    let bench = Bench::new(plan());
    assert_eq!(bench.ended, Some((Outcome::new(Side::Plan, Reason::UnknownNumber), 404)));
    assert!(matches!(bench.events[..], [FeedEvent::Started, FeedEvent::Ended(_)]));
}

#[test]
fn voice_off_and_disarmed_are_480_and_a_blocked_caller_is_603() {
    let off = Bench::new(with_number(plan(), NumberVoice { active: false, ..NumberVoice::default() }));
    assert_eq!(off.ended.unwrap().1, 480);
    let mut disarmed = with_number(plan(), NumberVoice::default());
    let key = (Channel::Voice, Address::Number(E164::parse(NUMBER).unwrap()));
    disarmed.entry_points.insert(key, EntryPoint { disarmed: true, ..EntryPoint::default() });
    assert_eq!(Bench::new(disarmed).ended.unwrap().1, 480);
    let mut blocked = with_number(plan(), NumberVoice::default());
    let list =
        vestibule_routing::plan::list::NumberList { prefixes: vec!["+1212".into()], ..Default::default() };
    blocked.lists.insert("ls_blocked".into(), Arc::new(list));
    blocked.block_list = Some("ls_blocked".into());
    assert_eq!(Bench::new(blocked).ended.unwrap(), (Outcome::new(Side::Plan, Reason::Blocked), 603));
}

#[test]
fn a_direct_line_rings_for_the_wait_duration_then_plays_music_for_ever() {
    let mut bench = Bench::new(with_number(plan(), NumberVoice::default()));
    assert!(bench.answered);
    assert_eq!((bench.queued_in(), bench.hears()), (Some("ib_general"), vec!["Ringback".to_owned()]));
    bench.pass(29);
    assert_eq!(bench.hears(), ["Ringback"]);
    bench.pass(1);
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    bench.pass(7200);
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    bench.tell(Event::HungUp(Outcome::new(Side::Caller, Reason::Completed)));
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Caller, Reason::AbandonedInQueue));
}

#[test]
fn a_key_pressed_during_a_finish_first_message_is_used_by_the_menu() {
    let mut bench = Bench::new(initial());
    assert_eq!(bench.hears(), ["welcome"]);
    bench.press("1");
    assert_eq!(bench.hears(), ["welcome"], "not interruptible");
    bench.played();
    assert_eq!(bench.queued_in(), Some("ib_sales"));
}

#[test]
fn keys_are_buffered_over_several_nodes() {
    let mut bench = Bench::new(initial());
    bench.press("21");
    bench.played();
    assert_eq!(bench.queued_in(), Some("ib_sales"), "2 leads to the message, 1 is used by the menu after it");
}

#[test]
fn wrong_keys_and_silence_are_asked_again_twice_and_then_leave_by_default() {
    let mut bench = Bench::new(initial());
    bench.played();
    bench.press("9");
    assert_eq!(bench.hears(), ["no_match", "menu"]);
    bench.played();
    bench.pass(5);
    assert_eq!(bench.hears(), ["no_input", "menu"]);
    bench.played();
    bench.pass(5);
    assert_eq!(
        bench.queued_in(),
        Some("ib_general"),
        "the exit without exception goes to the section's default"
    );
}

#[test]
fn an_input_collects_until_its_terminator_and_masks_secrets() {
    let nodes = r##"{
        "start": {"type": "input", "prompt": "ask", "secret": true, "digits_max": 6, "next": "set", "timeout": "gone"},
        "set": {"type": "match", "value": "{{node.start}}", "patterns": [{"pattern": "12*", "next": "sales"}], "default": "gone"},
        "sales": {"type": "exit"}, "gone": {"type": "hang_up"}
    }"##;
    let voice = NumberVoice { initial_ivr: Some("ivr_in".into()), ..NumberVoice::default() };
    let plan = with_ivr(with_number(plan(), voice), "ivr_in", IvrKind::Initial, nodes);
    let mut bench = Bench::new(plan.clone());
    bench.press("99*123#");
    assert_eq!(bench.queued_in(), Some("ib_general"));
    let shown = bench.events.iter().find_map(|event| match event {
        FeedEvent::NodeEntered { node, digits, .. } if node.as_str() == "set" => Some(digits.clone()),
        _ => None,
    });
    assert_eq!(shown.as_deref(), Some("***"));
    let mut slow = Bench::new(plan);
    slow.played();
    slow.pass(5);
    assert_eq!(slow.ended.unwrap().0, Outcome::new(Side::Plan, Reason::HungUpByIvr));
}

#[test]
fn a_cycle_without_waiting_fails_over_to_the_direct_inbox() {
    let nodes = r#"{"start": {"type": "start", "next": "a"},
        "a": {"type": "set_variable", "name": "x", "value": "y", "next": "start"}}"#;
    let voice = NumberVoice { initial_ivr: Some("ivr_loop".into()), ..NumberVoice::default() };
    let bench = Bench::new(with_ivr(with_number(plan(), voice), "ivr_loop", IvrKind::Initial, nodes));
    assert_eq!(bench.queued_in(), Some("ib_general"));
    assert!(bench.events.iter().any(|e| matches!(e, FeedEvent::IvrExited { failure: Some(_), .. })));
}

#[test]
fn the_queue_ivr_starts_after_the_wait_duration_and_repeats_after_its_end() {
    let mut bench = Bench::new(queue());
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::FirstInterval);
    bench.pass(30);
    assert_eq!(bench.hears(), ["busy"]);
    bench.pass(10);
    bench.played();
    bench.press("1");
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    bench.pass(44);
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    bench.pass(1);
    assert_eq!(bench.hears(), ["busy"], "45 s after the end of its last run");
}

#[test]
fn moving_to_another_inbox_keeps_the_timers() {
    let mut bench = Bench::new(queue());
    bench.pass(30);
    bench.press("2");
    assert_eq!(bench.queued_in(), Some("ib_sales"));
    assert_eq!(bench.events.iter().filter(|e| matches!(e, FeedEvent::Queued { .. })).count(), 1);
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::QueueIvrAgain);
}

#[test]
fn the_longest_wait_is_treated_even_while_the_queue_ivr_runs() {
    let mut plan = queue();
    let mut general = (**plan.inboxes.get(&InboxId::from("ib_general")).unwrap()).clone();
    general.wait_max = Some((33, Treatment::PromptThenHangUp(PromptId::from("sorry"))));
    plan.inboxes.insert("ib_general".into(), Arc::new(general));
    let mut bench = Bench::new(plan);
    bench.pass(33);
    assert_eq!(bench.hears(), ["sorry"]);
    bench.played();
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Plan, Reason::QueueLimit));
}

#[test]
fn a_full_queue_without_treatment_ends_the_call() {
    let mut bench = Bench::new(queue());
    bench.tell(Event::QueueFull);
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Plan, Reason::QueueLimit), 486));
}

#[test]
fn answer_on_taken_rings_without_answering() {
    let bench =
        Bench::new(with_number(plan(), NumberVoice { answer: AnswerMode::Taken, ..NumberVoice::default() }));
    assert!(!bench.answered && bench.ended.is_none());
    assert_eq!(bench.queued_in(), Some("ib_general"));
}

#[test]
fn event_at_longest_wait_is_not_swallowed() {
    let mut plan = queue();
    edit(&mut plan, "ib_general", |i| i.wait_max = Some((33, Treatment::Inbox("ib_sales".into()))));
    let mut b = Bench::new(plan);
    b.pass(30);
    assert_eq!(b.hears(), ["busy"]);
    b.now = b.now.after(Duration::from_secs(3));
    b.played(); // the prompt ends at the same moment, told before the deadline
    assert_eq!(b.queued_in(), Some("ib_sales"));
    b.played();
    b.press("1");
    assert_eq!(b.hears(), ["builtin:queue_music"]);
}

#[test]
fn broken_fallback_ivr_still_reaches_the_direct_inbox() {
    let nodes = r#"{"start": {"type": "start", "next": "a"},
        "a": {"type": "set_variable", "name": "x", "value": "y", "next": "start"}}"#;
    let voice = NumberVoice {
        initial_ivr: Some("l".into()),
        fallback: Some(Treatment::Ivr("l".into())),
        ..NumberVoice::default()
    };
    let b = Bench::new(with_ivr(with_number(plan(), voice), "l", IvrKind::Initial, nodes));
    assert_eq!(b.queued_in(), Some("ib_general"), "{:?}", b.ended);
}

#[test]
fn repeated_no_one_available_does_not_end_a_moved_caller() {
    let mut plan = queue();
    edit(&mut plan, "ib_general", |i| i.no_one_available = Some(Treatment::Inbox("ib_general".into())));
    let mut b = Bench::new(plan);
    for _ in 0..12 {
        b.tell(Event::Availability(Some(0)));
    }
    assert!(b.ended.is_none(), "{:?}", b.ended);
}

#[test]
fn hang_up_whose_prompt_fails_hangs_up() {
    let nodes = r#"{"start": {"type": "hang_up", "prompt": "closed", "sip_status": 480}}"#;
    let voice = NumberVoice { initial_ivr: Some("h".into()), ..NumberVoice::default() };
    let mut b = Bench::new(with_ivr(with_number(plan(), voice), "h", IvrKind::Initial, nodes));
    b.fails("no such sound");
    assert!(b.ended.is_some(), "queued in {:?}", b.queued_in());
}

#[test]
fn the_new_inbox_music_is_heard_after_a_move() {
    let mut plan = queue();
    edit(&mut plan, "ib_sales", |i| i.queue_music = Some("sales_music".into()));
    let mut b = Bench::new(plan);
    b.pass(30);
    b.press("2");
    assert_eq!(b.hears(), ["sales_music"]);
}

#[test]
fn restart_then_keys_stop_the_prompt() {
    let nodes = r#"{"start": {"type":"message","prompt":"m","interruptible":false,"next":"in"},
      "in": {"type":"input","prompt":"say","next":"x","timeout":"x"}, "x":{"type":"exit"}}"#;
    let voice = NumberVoice { initial_ivr: Some("i".into()), ..NumberVoice::default() };
    let mut b = Bench::new(with_ivr(with_number(plan(), voice), "i", IvrKind::Initial, nodes));
    b.press("1*2");
    b.played();
    assert!(b.hears().is_empty(), "{:?}", b.hears());
}

#[test]
fn two_buffered_keys_wrong_then_right_choose_at_once() {
    let mut b = Bench::new(initial());
    b.press("91");
    b.played();
    assert!(b.queued_in().is_some(), "hears {:?}", b.hears());
}

#[test]
fn continue_in_an_initial_ivr_still_tells_its_exit() {
    let nodes = r#"{"start": {"type": "continue"}}"#;
    let voice = NumberVoice { initial_ivr: Some("c".into()), ..NumberVoice::default() };
    let b = Bench::new(with_ivr(with_number(plan(), voice), "c", IvrKind::Initial, nodes));
    assert!(b.events.iter().any(|e| matches!(e, FeedEvent::IvrExited { .. })));
}

#[test]
fn a_failed_ivr_hung_up_by_its_fallback_is_a_failure_not_a_queue_limit() {
    let nodes = r#"{"start": {"type": "continue"}}"#;
    let voice = NumberVoice {
        initial_ivr: Some("c".into()),
        fallback: Some(Treatment::SipCode(503)),
        ..NumberVoice::default()
    };
    let b = Bench::new(with_ivr(with_number(plan(), voice), "c", IvrKind::Initial, nodes));
    assert_eq!(b.ended.unwrap().0.reason, Reason::Failed);
}

#[test]
fn a_move_finds_a_passed_longest_wait_treated() {
    let mut plan = queue();
    edit(&mut plan, "ib_sales", |i| i.wait_max = Some((20, Treatment::PromptThenHangUp("sorry".into()))));
    let mut b = Bench::new(plan);
    b.pass(30);
    b.press("2");
    b.pass(60);
    assert_eq!(b.hears(), ["sorry"]);
}
