//! A prompt whose end is never told keeps no call waiting for ever.

use vestibule_routing::{
    id::PromptId,
    journey::{Event, FeedEvent, PROMPT_SECONDS_MAX, Timer},
    outcome::{Outcome, Reason, Side},
    plan::Treatment,
};

use super::bench::{Bench, call, edit, initial, queue};

const LONGEST: u64 = PROMPT_SECONDS_MAX as u64;

#[test]
fn a_message_whose_end_is_lost_leads_on_after_the_longest_prompt() {
    let mut bench = Bench::new(initial());
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::PlaybackOverdue);
    bench.pass(LONGEST);
    assert_eq!(bench.hears(), ["welcome"], "the longest prompt may take that long");
    bench.pass(60);
    assert_eq!(bench.hears(), ["menu"]);
    assert!(bench.traced("never told"));
}

#[test]
fn a_menu_whose_prompts_never_end_still_leaves_by_default() {
    let mut bench = Bench::new(initial());
    bench.played();
    bench.pass(LONGEST + 30);
    assert!(bench.hears().is_empty(), "what hangs is stopped, and the menu listens");
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::MenuTimeout);
    bench.pass(5);
    assert_eq!(bench.hears(), ["no_input", "menu"]);
    bench.pass(LONGEST + 31);
    assert_eq!(bench.hears(), ["no_input", "menu"], "two prompts may take twice as long");
    bench.pass(2 * (2 * LONGEST + 60));
    assert_eq!(bench.queued_in(), Some("ib_general"));
}

#[test]
fn a_key_after_the_lost_end_of_a_menu_without_barge_in_is_used() {
    let mut bench = call(
        r#"{"start": {"type": "menu", "prompt": "menu", "barge_in": false, "choices": {"1": "x"}, "default": "y"},
            "x": {"type": "exit"}, "y": {"type": "hang_up"}}"#,
    );
    bench.press("1");
    assert_eq!(bench.queued_in(), None);
    bench.pass(LONGEST + 30);
    assert_eq!(bench.queued_in(), Some("ib_general"));
}

#[test]
fn an_input_whose_prompt_never_ends_times_out() {
    let mut bench = call(
        r#"{"start": {"type": "input", "prompt": "ask", "next": "y", "timeout": "x"},
            "x": {"type": "exit"}, "y": {"type": "hang_up"}}"#,
    );
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::PlaybackOverdue);
    bench.pass(LONGEST + 30);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::FirstDigitTimeout);
    bench.pass(5);
    assert_eq!(bench.queued_in(), Some("ib_general"));
}

#[test]
fn a_hang_up_whose_prompt_never_ends_hangs_up() {
    let mut bench = call(r#"{"start": {"type": "hang_up", "prompt": "closed", "sip_status": 480}}"#);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::PlaybackOverdue);
    bench.pass(LONGEST + 30);
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Plan, Reason::HungUpByIvr), 480));
}

#[test]
fn the_last_words_of_a_treatment_end_the_call_though_their_end_is_lost() {
    let mut plan = queue();
    edit(&mut plan, "ib_general", |inbox| {
        inbox.wait_max = Some((10, Treatment::PromptThenHangUp(PromptId::from("sorry"))));
    });
    let mut bench = Bench::new(plan);
    bench.pass(10);
    assert_eq!(bench.hears(), ["sorry"]);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::PlaybackOverdue);
    bench.pass(LONGEST);
    assert!(bench.ended.is_none());
    bench.pass(30);
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Plan, Reason::QueueLimit));
}

#[test]
fn a_queue_ivr_whose_message_never_ends_gives_the_caller_music_again() {
    let mut bench = Bench::new(queue());
    bench.pass(30);
    assert_eq!(bench.hears(), ["busy"]);
    bench.pass(LONGEST + 30);
    assert_eq!(bench.hears(), ["stay"]);
    bench.pass(LONGEST + 35);
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    assert!(!bench.events.iter().any(|e| matches!(e, FeedEvent::IvrExited { failure: Some(_), .. })));
}

#[test]
fn the_late_end_of_a_prompt_that_was_given_up_changes_nothing() {
    let mut bench = Bench::new(initial());
    let welcome = bench.playing.as_ref().unwrap().id;
    bench.pass(LONGEST + 30);
    assert_eq!(bench.hears(), ["menu"]);
    bench.tell(Event::PlaybackDone(welcome));
    assert_eq!(bench.hears(), ["menu"]);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::PlaybackOverdue, "the menu's prompt still plays");
}
