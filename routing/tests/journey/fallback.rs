//! A broken IVR never drops a caller: the number's fallback, else its direct inbox.

use vestibule_routing::{
    channel::Channel,
    id::InboxId,
    journey::FeedEvent,
    outcome::{Outcome, Reason, Side},
    plan::{EntryPoint, IvrKind, NumberVoice, Plan, Treatment},
};

use super::bench::{Bench, NUMBER, number_key, plan, with_ivr, with_number};

/// An Initial IVR that fails at once; the number's own inbox is `ib_sales`.
fn broken(fallback: Option<Treatment>) -> Plan {
    let voice = NumberVoice { initial_ivr: Some("broken".into()), fallback, ..NumberVoice::default() };
    let mut plan = with_ivr(
        with_number(plan(), voice),
        "broken",
        IvrKind::Initial,
        r#"{"start": {"type": "continue"}}"#,
    );
    let own = EntryPoint { inbox: Some("ib_sales".into()), ..EntryPoint::default() };
    plan.entry_points.insert(number_key(Channel::Voice, NUMBER), own);
    plan
}

fn queued_in(fallback: Option<Treatment>) -> Option<String> {
    let bench = Bench::new(broken(fallback));
    assert_eq!(bench.ended, None);
    bench.queued_in().map(str::to_owned)
}

#[test]
fn without_a_fallback_it_is_the_direct_inbox() {
    assert_eq!(queued_in(None).as_deref(), Some("ib_sales"));
}

#[test]
fn a_fallback_that_cannot_be_applied_is_the_direct_inbox_too() {
    for fallback in [Treatment::Forward("sip:desk@example.com".into()), Treatment::Ivr("missing".into())] {
        let told = format!("{fallback:?}");
        assert_eq!(queued_in(Some(fallback)).as_deref(), Some("ib_sales"), "{told}");
    }
}

#[test]
fn a_fallback_inbox_is_taken() {
    assert_eq!(queued_in(Some(Treatment::Inbox("ib_general".into()))).as_deref(), Some("ib_general"));
}

#[test]
fn a_fallback_ivr_runs_and_its_exit_counts() {
    let plan = with_ivr(
        broken(Some(Treatment::Ivr("spare".into()))),
        "spare",
        IvrKind::Initial,
        r#"{"start": {"type": "message", "prompt": "sorry", "next": "x"}, "x": {"type": "exit"}}"#,
    );
    let mut bench = Bench::new(plan);
    assert_eq!(bench.hears(), ["sorry"]);
    bench.played();
    assert_eq!(bench.queued_in(), Some("ib_general"), "the default of the ivr section");
}

#[test]
fn a_fallback_voicemail_records_a_message() {
    let bench = Bench::new(broken(Some(Treatment::Voicemail(InboxId::from("ib_general")))));
    assert_eq!((bench.hears(), bench.answered), (vec!["builtin:voicemail_greeting".to_owned()], true));
}

#[test]
fn a_fallback_prompt_is_heard_to_its_end_and_ends_the_call_as_failed() {
    let mut bench = Bench::new(broken(Some(Treatment::PromptThenHangUp("sorry".into()))));
    assert_eq!(bench.hears(), ["sorry"]);
    bench.played();
    assert_eq!(bench.ended.unwrap().0, Outcome::new(Side::Gateway, Reason::Failed));
}

#[test]
fn a_fallback_status_ends_the_call_with_it() {
    let bench = Bench::new(broken(Some(Treatment::SipCode(503))));
    assert_eq!(bench.ended.unwrap(), (Outcome::new(Side::Gateway, Reason::Failed), 503));
}

#[test]
fn a_sound_that_cannot_be_played_is_a_failure_of_the_ivr() {
    let voice = NumberVoice {
        initial_ivr: Some("i".into()),
        fallback: Some(Treatment::Forward("+14155550199".into())),
        ..NumberVoice::default()
    };
    let nodes = r#"{"start": {"type": "message", "prompt": "m", "next": "x"}, "x": {"type": "hang_up"}}"#;
    let mut bench = Bench::new(with_ivr(with_number(plan(), voice), "i", IvrKind::Initial, nodes));
    bench.fails("a prompt is missing");
    assert_eq!(bench.queued_in(), Some("ib_general"));
    assert!(bench.events.iter().any(|event| {
        matches!(event, FeedEvent::IvrExited { failure: Some("a prompt is missing"), node: None, .. })
    }));
}
