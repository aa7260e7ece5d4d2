//! What a caller leaves behind: messages, and requests to be called back.

use std::time::Duration;

use vestibule_routing::{
    journey::{Callback, Callee, Event, FeedEvent, Message, Recorded, Refusal, Request, Timer},
    outcome::{Outcome, Reason, Side},
    plan::{Inbox, IvrKind, NumberVoice, Plan, Treatment},
};

use super::bench::{Bench, call, edit, plan, with_ivr, with_number};

const LEAVE: &str = r#"{
    "start": {"type": "voicemail", "greeting": "speak", "inbox": "ib_sales", "seconds_max": 60, "error": "sorry"},
    "sorry": {"type": "message", "prompt": "sorry", "next": "out"}, "out": {"type": "exit"}
}"#;

fn gone() -> Event {
    Event::HungUp(Outcome::new(Side::Caller, Reason::Completed))
}

fn recording(mut bench: Bench) -> Bench {
    bench.played();
    assert_eq!(bench.hears(), ["Beep"]);
    bench.played();
    assert!(bench.recording.is_some());
    bench
}

fn reason(bench: &Bench) -> Reason {
    bench.ended.unwrap().0.reason
}

#[test]
fn a_message_is_recorded_after_the_tone_and_the_call_ends_with_thanks() {
    let bench = call(LEAVE);
    assert_eq!(bench.hears(), ["speak"]);
    let mut bench = recording(bench);
    let wanted = Message { inbox: "ib_sales".into(), seconds_max: 60, seconds_min: 2 };
    assert_eq!(bench.recording, Some(wanted));
    bench.press("1#");
    assert_eq!((bench.recording.is_none(), bench.ended), (true, None));
    bench.tell(Event::Recorded(Recorded::Kept));
    assert_eq!(bench.hears(), ["builtin:voicemail_thanks"]);
    bench.played();
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Plan, Reason::LeftVoicemail), 200));
    assert_eq!(bench.left_by(), Some("start"));
}

#[test]
fn a_message_ends_by_silence_by_its_length_or_by_the_recorder() {
    let mut bench = recording(call(LEAVE));
    bench.tell(Event::RecordingSilent);
    assert!(bench.recording.is_none());
    let mut bench = recording(call(LEAVE));
    bench.pass(64);
    assert!(bench.recording.is_some());
    assert_eq!(bench.journey.deadline().unwrap().1, Timer::RecordingOverdue);
    bench.pass(1);
    assert!(bench.recording.is_none());
    bench.pass(10);
    assert_eq!(bench.hears(), ["sorry"], "nobody told what came of it");
    let mut bench = recording(call(LEAVE));
    bench.tell(Event::Recorded(Recorded::Kept));
    assert_eq!(bench.hears(), ["builtin:voicemail_thanks"]);
    bench.tell(gone());
    assert_eq!(reason(&bench), Reason::LeftVoicemail);
}

#[test]
fn what_is_too_short_or_fails_leads_on_by_error() {
    for recorded in [Recorded::TooShort, Recorded::Failed] {
        let mut bench = recording(call(LEAVE));
        bench.press("#");
        bench.tell(Event::Recorded(recorded));
        assert_eq!(bench.hears(), ["sorry"]);
    }
    let bare = r#"{"start": {"type": "voicemail", "greeting": "speak", "inbox": "ib_sales"}}"#;
    let mut bench = recording(call(bare));
    bench.tell(Event::Recorded(Recorded::TooShort));
    assert_eq!(reason(&bench), Reason::HungUpByIvr);
    let mut bench = recording(call(bare));
    bench.tell(Event::Recorded(Recorded::Failed));
    assert_eq!(bench.queued_in(), Some("ib_general"), "the direct inbox of the number");
}

#[test]
fn who_hangs_up_while_speaking_has_left_a_message_if_it_is_kept() {
    let mut bench = recording(call(LEAVE));
    bench.tell(gone());
    assert_eq!((bench.recording.is_none(), bench.ended), (true, None), "what was said is waited for");
    bench.tell(gone());
    bench.press("1");
    bench.tell(Event::Recorded(Recorded::Kept));
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Caller, Reason::LeftVoicemail), 0));
    let mut bench = recording(call(LEAVE));
    bench.tell(gone());
    bench.tell(Event::Recorded(Recorded::TooShort));
    assert_eq!(reason(&bench), Reason::AbandonedInIvr);
    let mut bench = recording(call(LEAVE));
    bench.tell(gone());
    bench.pass(10);
    assert_eq!(reason(&bench), Reason::AbandonedInIvr, "a recorder that says nothing holds up nobody");
    let mut bench = call(LEAVE);
    bench.tell(gone());
    assert_eq!(reason(&bench), Reason::AbandonedInIvr, "in the greeting nothing was said yet");
}

#[test]
fn who_hangs_up_while_a_message_is_being_stored_is_waited_for_too() {
    let mut bench = recording(call(LEAVE));
    bench.press("#");
    assert!(bench.recording.is_none(), "the recorder is told to end once, which the bench looks at");
    bench.tell(gone());
    assert_eq!(bench.ended, None);
    bench.tell(Event::Recorded(Recorded::Kept));
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Caller, Reason::LeftVoicemail), 0));
}

#[test]
fn a_queue_that_is_full_leads_away_after_the_message_only() {
    let bench = waits_with(IN_QUEUE, |inbox| {
        inbox.queue_length_max = Some((1, Treatment::PromptThenHangUp("full".into())));
    });
    let mut bench = recording(bench);
    bench.tell(Event::QueueFull);
    assert!(bench.recording.is_some());
    bench.press("#");
    bench.tell(Event::Recorded(Recorded::TooShort));
    assert_eq!(bench.hears(), ["full"]);
}

#[test]
fn a_key_in_the_greeting_leads_to_the_tone_and_earlier_keys_do_not() {
    let mut bench = call(
        r#"{"start": {"type": "message", "prompt": "hello", "interruptible": false, "next": "mail"},
            "mail": {"type": "voicemail", "greeting": "speak", "inbox": "ib_sales"}}"#,
    );
    bench.press("##");
    bench.played();
    assert_eq!(bench.hears(), ["speak"]);
    bench.press("#");
    assert_eq!(bench.hears(), ["Beep"]);
    bench.press("#");
    bench.played();
    assert!(bench.recording.is_some());
    let mut bench = call(LEAVE);
    bench.fails("the greeting is missing");
    assert_eq!(bench.hears(), ["Beep"], "the tone says enough");
    bench.fails("so is the tone");
    assert!(bench.recording.is_some());
}

fn waits_with(nodes: &str, limits: impl FnOnce(&mut Inbox)) -> Bench {
    let voice = NumberVoice { queue_ivr: Some("wait".into()), ..NumberVoice::default() };
    let mut plan: Plan = with_ivr(with_number(plan(), voice), "wait", IvrKind::Queue, nodes);
    edit(&mut plan, "ib_general", limits);
    let mut bench = Bench::new(plan);
    bench.pass(30);
    bench
}

/// What leads away who waits too long, or for nobody.
fn impatient(inbox: &mut Inbox) {
    inbox.wait_max = Some((60, Treatment::PromptThenHangUp("too long".into())));
    inbox.no_one_available = Some(Treatment::PromptThenHangUp("nobody".into()));
}

fn take() -> Request {
    let targets = vec!["sip:ann@example.net".to_owned()];
    Request::Take(Callee { targets, ring: Duration::from_secs(45), by: "ann".into() })
}

const IN_QUEUE: &str = r#"{
    "start": {"type": "voicemail", "greeting": "speak", "inbox": "ib_sales", "error": "back"},
    "back": {"type": "continue"}
}"#;

#[test]
fn who_leaves_a_message_is_not_taken_and_no_limit_cuts_it_off() {
    let mut bench = waits_with(IN_QUEUE, impatient);
    bench.ask(take()).unwrap();
    bench.played();
    assert_eq!(bench.ringing, None, "with the tone the phone stops");
    assert_eq!(bench.ask(take()), Err(Refusal::Committed));
    bench.played();
    let moved = Request::Move { inbox: "ib_sales".into(), by: "ann".into() };
    assert_eq!(bench.ask(moved), Err(Refusal::Committed));
    bench.tell(Event::Availability(Some(0)));
    bench.pass(60);
    assert!(bench.recording.is_some(), "the longest wait is over, and the caller still speaks");
    bench.press("#");
    bench.tell(Event::Recorded(Recorded::Kept));
    assert_eq!(bench.ask(take()), Err(Refusal::Committed));
    bench.played();
    assert_eq!(reason(&bench), Reason::LeftVoicemail);
    assert_eq!(bench.place, None);
}

#[test]
fn limits_that_passed_meanwhile_hold_after_a_message_that_was_none() {
    let mut bench = recording(waits_with(IN_QUEUE, impatient));
    bench.tell(Event::Availability(Some(0)));
    bench.press("#");
    bench.tell(Event::Recorded(Recorded::TooShort));
    assert_eq!(bench.hears(), ["nobody"]);
    let mut bench = recording(waits_with(IN_QUEUE, impatient));
    bench.tell(Event::Availability(Some(0)));
    bench.tell(Event::Availability(Some(2)));
    bench.pass(40);
    bench.press("#");
    bench.tell(Event::Recorded(Recorded::TooShort));
    assert_eq!(bench.hears(), ["too long"]);
}

#[test]
fn an_answer_that_crosses_the_tone_is_hung_up() {
    let mut bench = waits_with(IN_QUEUE, impatient);
    bench.ask(take()).unwrap();
    let request = bench.ringing.as_ref().unwrap().0;
    bench.played();
    bench.tell(Event::CallAnswered(request, 0));
    assert_eq!(bench.talks, None);
    assert_eq!(bench.hears(), ["Beep"]);
}

#[test]
fn a_treatment_has_the_caller_leave_a_message() {
    let mut plan = with_number(plan(), NumberVoice::default());
    edit(&mut plan, "ib_general", |inbox| {
        inbox.wait_max = Some((20, Treatment::Voicemail("ib_sales".into())))
    });
    let waited = || {
        let mut bench = Bench::new(plan.clone());
        bench.pass(20);
        assert_eq!(
            (bench.hears(), bench.place.is_none()),
            (vec!["builtin:voicemail_greeting".to_owned()], true)
        );
        assert_eq!(bench.journey.place(), ("voicemail", "ib_sales".to_owned()));
        recording(bench)
    };
    let mut bench = waited();
    assert_eq!(bench.ask(take()), Err(Refusal::Committed));
    bench.tell(Event::RecordingSilent);
    bench.tell(Event::Recorded(Recorded::Kept));
    bench.played();
    assert_eq!(reason(&bench), Reason::LeftVoicemail);
    let mut bench = waited();
    bench.tell(Event::Recorded(Recorded::TooShort));
    assert_eq!(reason(&bench), Reason::QueueLimit);
    let mut bench = waited();
    bench.tell(Event::Recorded(Recorded::Failed));
    assert_eq!(bench.queued_in(), Some("ib_sales"), "people look after who could not leave a message");
    let mut bench = waited();
    bench.tell(gone());
    bench.tell(Event::Recorded(Recorded::Kept));
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Caller, Reason::LeftVoicemail));
}

const CALL_BACK: &str = r#"{
    "start": {"type": "callback", "prompt": "offer", "attempts": 2, "gap_minutes": 5, "window_hours": 8,
              "next": "bye", "declined": "back", "error": "sorry"},
    "bye": {"type": "message", "prompt": "bye", "next": "back"},
    "sorry": {"type": "message", "prompt": "sorry", "next": "back"},
    "back": {"type": "continue"}
}"#;

fn number(digits: &str) -> Vec<String> {
    digits.chars().map(|digit| format!("builtin:number_{digit}")).collect()
}

#[test]
fn a_callback_is_stored_and_the_call_ends_when_all_is_said() {
    let mut bench = waits_with(CALL_BACK, impatient);
    let mut offer = vec!["offer".to_owned()];
    offer.extend(number("12125550199"));
    offer.push("builtin:callback_keys".to_owned());
    assert_eq!(bench.hears(), offer);
    bench.press("2");
    assert!(bench.callbacks.is_empty(), "other numbers are not taken here");
    bench.press("1");
    let number = "+12125550199".parse_number();
    assert_eq!(bench.callbacks, [Callback { number, attempts: 2, gap_minutes: 5, window_hours: 8 }]);
    assert_eq!(bench.ask(take()), Err(Refusal::Committed));
    bench.tell(Event::CallbackStored(true));
    assert_eq!(bench.hears(), ["bye"]);
    assert_eq!(bench.ask(take()), Err(Refusal::Committed));
    bench.played();
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Plan, Reason::CallbackRequested), 200));
    let mut bench = waits_with(CALL_BACK, impatient);
    bench.press("1");
    bench.tell(Event::CallbackStored(true));
    bench.tell(gone());
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Caller, Reason::CallbackRequested));
}

trait ParseNumber {
    fn parse_number(&self) -> vestibule_routing::address::E164;
}

impl ParseNumber for str {
    fn parse_number(&self) -> vestibule_routing::address::E164 {
        vestibule_routing::address::E164::parse(self).unwrap()
    }
}

#[test]
fn who_wants_no_callback_waits_on_and_can_be_taken() {
    let mut bench = waits_with(CALL_BACK, impatient);
    bench.press("*");
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    assert!(bench.place.is_some());
    bench.ask(take()).unwrap();
    let mut bench = waits_with(CALL_BACK, impatient);
    bench.played();
    bench.pass(8);
    assert_eq!(bench.hears(), ["builtin:queue_music"], "no key is no");
    let mut bench = waits_with(CALL_BACK, impatient);
    bench.ask(take()).unwrap();
    bench.picks_up();
    assert_eq!(bench.journey.place().0, "connected", "an offer can be cut off");
}

#[test]
fn a_callback_that_could_not_be_stored_leads_on_by_error_and_the_place_stays() {
    for told in [Some(Event::CallbackStored(false)), None] {
        let mut bench = waits_with(CALL_BACK, impatient);
        bench.press("1");
        match told {
            Some(event) => bench.tell(event),
            None => bench.pass(5),
        }
        assert_eq!(bench.hears(), ["sorry"]);
        assert!(bench.place.is_some());
        bench.ask(take()).unwrap();
    }
}

#[test]
fn another_number_is_keyed_said_and_confirmed_where_that_is_allowed() {
    let nodes = CALL_BACK.replace(r#""attempts""#, r#""prefixes": ["+1", "+44"], "attempts""#);
    let keyed = |keys: &str| {
        let mut bench = waits_with(&nodes, impatient);
        bench.press("2");
        assert_eq!(bench.hears(), ["builtin:callback_enter"]);
        bench.press(keys);
        bench
    };
    for (keys, wanted) in [
        ("4155550123#", "+14155550123"),
        ("14155550123#", "+14155550123"),
        ("011442079460000#", "+442079460000"),
        ("44*4155550123#", "+14155550123"),
    ] {
        let mut bench = keyed(keys);
        let mut said = vec!["builtin:callback_number".to_owned()];
        said.extend(number(wanted.trim_start_matches('+')));
        said.push("builtin:callback_keys_or_other".to_owned());
        assert_eq!(bench.hears(), said, "{keys}");
        bench.press("1");
        assert_eq!(bench.callbacks[0].number, wanted.parse_number());
    }
    for keys in ["0114930123456#", "123#", "#", "9999999999999999999"] {
        assert_eq!(keyed(keys).hears(), ["sorry"], "{keys}");
    }
    let mut bench = keyed("4155550123");
    bench.pass(5);
    assert_eq!(bench.hears()[0], "builtin:callback_number", "a pause ends the number");
}

#[test]
fn who_withholds_the_number_is_asked_for_one_or_cannot_be_called_back() {
    let voice = NumberVoice { queue_ivr: Some("wait".into()), ..NumberVoice::default() };
    let with = |nodes: &str| {
        let plan = with_ivr(with_number(plan(), voice.clone()), "wait", IvrKind::Queue, nodes);
        let mut bench = Bench::called_by(plan, "");
        bench.pass(30);
        bench
    };
    assert_eq!(with(CALL_BACK).hears(), ["sorry"]);
    let nodes = CALL_BACK.replace(r#""attempts""#, r#""prefixes": ["+1"], "attempts""#);
    assert_eq!(with(&nodes).hears(), ["builtin:callback_enter"]);
    assert!(!with(&nodes).events.iter().any(|event| matches!(event, FeedEvent::Ended(_))));
}

#[test]
fn who_waits_when_the_gateway_stops_hears_so_and_everybody_else_just_ends() {
    let restarted = Outcome::new(Side::Gateway, Reason::Restarted);
    let mut bench = Bench::new(with_number(plan(), NumberVoice::default()));
    bench.ask(take()).unwrap();
    bench.tell(Event::Closing);
    assert_eq!((bench.hears(), bench.place.is_some()), (vec!["builtin:closing".to_owned()], false));
    assert_eq!(bench.ringing, None);
    bench.tell(Event::Closing);
    bench.played();
    assert_eq!(bench.ended.unwrap(), (restarted, 503));
    let mut bench = Bench::new(with_number(plan(), NumberVoice::default()));
    bench.ask(take()).unwrap();
    bench.picks_up();
    bench.tell(Event::Closing);
    assert_eq!(bench.ended.unwrap(), (restarted, 503));
    let mut bench = recording(call(LEAVE));
    bench.tell(Event::Closing);
    assert_eq!(bench.ended.unwrap(), (restarted, 503));
}
