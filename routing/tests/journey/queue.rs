//! Waiting: what is heard, when the Queue IVR runs, and where the place is.

use vestibule_routing::{
    channel::Channel,
    journey::{Event, FeedEvent, Sound, Timer},
    outcome::{Outcome, Reason, Side},
    plan::{AnswerMode, EntryPoint, InitialSound, IvrKind, NumberVoice, Plan, Treatment},
    resolve::exit_key,
};

use super::bench::{Bench, NUMBER, edit, number_key, plan, queue, with_ivr, with_number};

/// A Queue IVR of one message that goes back to waiting.
const BUSY: &str =
    r#"{"start": {"type": "message", "prompt": "busy", "next": "stay"}, "stay": {"type": "continue"}}"#;

fn waiting(voice: NumberVoice) -> Plan {
    let voice = NumberVoice { queue_ivr: Some("busy".into()), ..voice };
    with_ivr(with_number(plan(), voice), "busy", IvrKind::Queue, BUSY)
}

fn hung_up() -> Event {
    Event::HungUp(Outcome::new(Side::Caller, Reason::Completed))
}

#[test]
fn the_first_interval_lasts_as_long_as_the_number_says() {
    for seconds in [5, 30, 600] {
        let voice = NumberVoice { queue_wait_seconds: seconds, ..NumberVoice::default() };
        let mut bench = Bench::new(waiting(voice));
        assert_eq!(bench.journey.deadline().unwrap().1, Timer::FirstInterval);
        bench.pass(u64::from(seconds) - 1);
        assert_eq!(bench.hears(), ["Ringback"]);
        bench.pass(1);
        assert_eq!(bench.hears(), ["busy"], "after {seconds} s");
    }
}

#[test]
fn the_queue_ivr_repeats_after_the_end_of_its_last_run() {
    for (every, expected) in [(Some(7), 7), (None, 30)] {
        let voice = NumberVoice { repeat_every_seconds: every, ..NumberVoice::default() };
        let mut bench = Bench::new(waiting(voice));
        bench.pass(30);
        for _ in 0..3 {
            assert_eq!(bench.hears(), ["busy"]);
            bench.pass(100);
            bench.played();
            assert_eq!(bench.hears(), ["builtin:queue_music"], "music fills the gap");
            assert_eq!(bench.journey.deadline().unwrap().1, Timer::QueueIvrAgain);
            bench.pass(expected - 1);
            assert_eq!(bench.hears(), ["builtin:queue_music"]);
            bench.pass(1);
        }
    }
}

#[test]
fn the_timers_are_set_anew_for_hours() {
    let mut bench = Bench::new(waiting(NumberVoice::default()));
    bench.pass(30);
    for _ in 0..1000 {
        assert_eq!(bench.hears(), ["busy"]);
        bench.played();
        bench.pass(30);
    }
    assert!(bench.ended.is_none());
}

#[test]
fn music_goes_on_where_it_was_left_and_ringback_does_not() {
    let mut bench = Bench::new(waiting(NumberVoice::default()));
    let ringback = bench.playing.clone().unwrap();
    assert!(ringback.looped && !ringback.resume);
    assert_eq!(ringback.sounds, [Sound::Ringback]);
    bench.pass(30);
    bench.played();
    let music = bench.playing.clone().unwrap();
    assert!(music.looped && music.resume);
}

#[test]
fn the_numbers_music_goes_before_the_inboxs_and_that_before_the_built_in_one() {
    let music = |of_number: Option<&str>, of_inbox: Option<&str>| {
        let voice = NumberVoice {
            initial_sound: InitialSound::QueueMusic,
            queue_music: of_number.map(Into::into),
            ..NumberVoice::default()
        };
        let mut plan = with_number(plan(), voice);
        edit(&mut plan, "ib_general", |inbox| inbox.queue_music = of_inbox.map(Into::into));
        Bench::new(plan).hears()
    };
    assert_eq!(music(Some("number"), Some("inbox")), ["number"]);
    assert_eq!(music(None, Some("inbox")), ["inbox"]);
    assert_eq!(music(None, None), ["builtin:queue_music"]);
}

/// A call that is moved to `ib_sales` within the first interval.
fn moved_early(voice: NumberVoice) -> Bench {
    let mut plan = with_number(plan(), voice);
    edit(&mut plan, "ib_general", |inbox| {
        inbox.queue_music = Some("general_music".into());
        inbox.no_one_available = Some(Treatment::Inbox("ib_sales".into()));
    });
    edit(&mut plan, "ib_sales", |inbox| inbox.queue_music = Some("sales_music".into()));
    let mut bench = Bench::new(plan);
    bench.pass(10);
    bench.tell(Event::Availability(Some(0)));
    assert_eq!(bench.queued_in(), Some("ib_sales"));
    bench
}

#[test]
fn a_move_in_the_first_interval_changes_the_music_that_plays() {
    let music = NumberVoice { initial_sound: InitialSound::QueueMusic, ..NumberVoice::default() };
    let mut bench = moved_early(music.clone());
    assert_eq!(bench.hears(), ["sales_music"]);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::FirstInterval, "which is not begun anew");
    bench.pass(20);
    assert_eq!(bench.journey.deadline(), None);
    let own = NumberVoice { queue_music: Some("own".into()), ..music };
    let bench = moved_early(own);
    assert_eq!(bench.hears(), ["own"]);
    assert_eq!(bench.playing.unwrap().id.0, 1, "the number's own music plays on");
}

#[test]
fn a_move_in_the_first_interval_lets_it_ring_on() {
    let mut bench = moved_early(NumberVoice::default());
    assert_eq!(bench.hears(), ["Ringback"]);
    assert_eq!(bench.playing.as_ref().unwrap().id.0, 1, "without a break");
    bench.pass(20);
    assert_eq!(bench.hears(), ["sales_music"]);
}

#[test]
fn music_that_cannot_be_played_is_tried_again_with_the_built_in_one() {
    let voice = NumberVoice { queue_music: Some("gone".into()), ..NumberVoice::default() };
    let mut bench = Bench::new(with_number(plan(), voice));
    bench.pass(30);
    for _ in 0..3 {
        bench.playing = None;
        bench.fails("a prompt is missing");
        assert_eq!(bench.journey.deadline().unwrap().1, Timer::SoundAgain);
        bench.pass(5);
        assert_eq!(bench.hears(), ["builtin:queue_music"]);
    }
    assert_eq!(bench.journey.deadline(), None);
}

#[test]
fn ringback_that_cannot_be_played_is_tried_again_and_keeps_no_one_from_the_queue_ivr() {
    let mut bench = Bench::new(waiting(NumberVoice::default()));
    bench.playing = None;
    bench.fails("the media thread is busy");
    bench.pass(5);
    assert_eq!(bench.hears(), ["Ringback"]);
    bench.pass(22);
    bench.playing = None;
    bench.fails("the media thread is busy");
    bench.pass(3);
    assert_eq!(bench.hears(), ["busy"]);
    bench.pass(2);
    assert_eq!(bench.hears(), ["busy"], "what was to be tried again is out of date");
}

#[test]
fn answer_on_taken_rings_for_hours_and_neither_keys_nor_time_change_it() {
    let voice = NumberVoice { answer: AnswerMode::Taken, ..NumberVoice::default() };
    let mut bench = Bench::new(with_number(plan(), voice));
    assert!(bench.rings && !bench.answered && bench.playing.is_none());
    assert_eq!(bench.journey.deadline(), None);
    bench.press("12#");
    bench.tell(Event::Deadline);
    bench.fails("late");
    bench.pass(7200);
    assert!(!bench.answered && bench.playing.is_none() && bench.ended.is_none());
    bench.tell(hung_up());
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Caller, Reason::AbandonedInQueue));
}

#[test]
fn answer_on_taken_moves_in_silence_and_answers_before_last_words() {
    let voice = NumberVoice {
        answer: AnswerMode::Taken,
        initial_sound: InitialSound::QueueMusic,
        ..NumberVoice::default()
    };
    let mut plan = with_number(plan(), voice);
    edit(&mut plan, "ib_general", |inbox| inbox.wait_max = Some((10, Treatment::Inbox("ib_sales".into()))));
    edit(&mut plan, "ib_sales", |inbox| {
        inbox.queue_music = Some("sales_music".into());
        inbox.wait_max = Some((20, Treatment::PromptThenHangUp("sorry".into())));
    });
    let mut bench = Bench::new(plan);
    bench.pass(10);
    assert_eq!(bench.queued_in(), Some("ib_sales"));
    assert!(!bench.answered && bench.playing.is_none());
    bench.pass(10);
    assert!(bench.answered);
    assert_eq!(bench.hears(), ["sorry"]);
}

#[test]
fn a_place_has_the_priority_and_the_length_of_its_inbox() {
    let mut plan = queue();
    edit(&mut plan, "ib_general", |inbox| inbox.priority = 2);
    edit(&mut plan, "ib_sales", |inbox| {
        inbox.priority = 9;
        inbox.queue_length_max = Some((40, Treatment::SipCode(503)));
    });
    let mut bench = Bench::new(plan);
    assert_eq!(bench.place, Some(("ib_general".to_owned(), 2, None)));
    bench.pass(30);
    bench.press("2");
    assert_eq!(bench.place, Some(("ib_sales".to_owned(), 9, Some(40))));
    bench.tell(hung_up());
    assert_eq!(bench.place, None, "the place is given up");
}

#[test]
fn an_exit_to_the_inbox_of_the_wait_keeps_the_place() {
    let mut plan = queue();
    let here = EntryPoint { inbox: Some("ib_general".into()), ..EntryPoint::default() };
    plan.entry_points.insert(exit_key(&"ivr_wait".into(), &"leave".into()), here);
    let mut bench = Bench::new(plan);
    bench.place = None;
    bench.pass(30);
    bench.press("2");
    assert_eq!(bench.place, None, "no place is taken anew");
    assert!(!bench.events.iter().any(|event| matches!(event, FeedEvent::Moved { .. })));
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    bench.pass(45);
    assert_eq!(bench.hears(), ["busy"]);
}

#[test]
fn the_sla_of_the_entry_point_goes_before_the_inboxs_and_counts_from_the_arrival() {
    let due = |of_entry_point: Option<u32>| {
        let mut plan = with_number(plan(), NumberVoice::default());
        edit(&mut plan, "ib_general", |inbox| inbox.sla_minutes = 60);
        let entry_point = EntryPoint { sla_minutes: of_entry_point, ..EntryPoint::default() };
        plan.entry_points.insert(number_key(Channel::Voice, NUMBER), entry_point);
        let bench = Bench::new(plan);
        let due = bench.events.iter().find_map(|event| match event {
            FeedEvent::Queued { sla_due, .. } => Some(*sla_due),
            _ => None,
        });
        due.unwrap().duration_since(bench.start.wall).as_mins()
    };
    assert_eq!((due(None), due(Some(5)), due(Some(600))), (60, 5, 600));
}

#[test]
fn a_queue_ivr_that_fails_leaves_the_caller_with_music_and_is_not_tried_again() {
    let mut bench = Bench::new(waiting(NumberVoice::default()));
    bench.pass(30);
    bench.fails("a prompt is missing");
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    assert_eq!(bench.journey.deadline(), None);
    assert!(bench.ended.is_none());
    assert!(bench.events.iter().any(|event| matches!(event, FeedEvent::IvrExited { failure: Some(_), .. })));
}

#[test]
fn a_caller_who_hangs_up_in_the_queue_ivr_abandoned_the_queue() {
    let mut bench = Bench::new(waiting(NumberVoice::default()));
    bench.pass(30);
    bench.tell(hung_up());
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Caller, Reason::AbandonedInQueue));
}

#[test]
fn keys_pressed_while_it_rings_are_not_kept_for_the_queue_ivr() {
    let mut bench = Bench::new(queue());
    bench.press("22");
    bench.pass(30);
    assert_eq!(bench.hears(), ["busy"]);
    bench.played();
    assert_eq!(bench.hears(), ["stay"]);
}

/// A Queue IVR that goes round once a second.
const TURNS: &str = r#"{
    "start": {"type": "set_variable", "name": "x", "value": "y", "next": "music"},
    "music": {"type": "wait_music", "seconds": 1, "next": "start"}
}"#;

#[test]
fn a_queue_ivr_that_takes_its_time_turns_for_hours() {
    let voice = NumberVoice { queue_ivr: Some("turns".into()), ..NumberVoice::default() };
    let mut bench = Bench::new(with_ivr(with_number(plan(), voice), "turns", IvrKind::Queue, TURNS));
    bench.pass(30 + 4 * 3600);
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::WaitMusicEnd);
    assert!(!bench.events.iter().any(|event| matches!(event, FeedEvent::IvrExited { .. })));
}

#[test]
fn a_queue_ivr_driven_round_in_no_time_ends_and_the_caller_keeps_the_place() {
    let nodes = r#"{
        "start": {"type": "data_dip", "url": "http://localhost/", "next": "start", "error": "start"}
    }"#;
    let voice = NumberVoice { queue_ivr: Some("turns".into()), ..NumberVoice::default() };
    let mut bench = Bench::new(with_ivr(with_number(plan(), voice), "turns", IvrKind::Queue, nodes));
    bench.pass(30);
    for _ in 0..300 {
        bench.dip_answers(None);
    }
    assert_eq!(bench.dips.len(), 200);
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    assert!(bench.ended.is_none());
}
