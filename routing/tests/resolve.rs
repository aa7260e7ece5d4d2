//! Where a call goes: every line of the precedence, and that each goes before the next.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    digit::Digit,
    journey::{Event, FeedEvent, Journey},
    outcome::Reason,
    plan::{
        EntryPoint, Inbox, Ivr, IvrKind, NumberVoice, Plan, RejectCodes, Treatment, list::NumberList,
        node::Node,
    },
    resolve::{Route, exit_key},
    time::Now,
};

const NUMBER: &str = "+14155550100";
const CALLER: &str = "+12125550199";

fn key() -> (Channel, Address) {
    (Channel::Voice, Address::Number(E164::parse(NUMBER).unwrap()))
}

fn to(inbox: &str) -> EntryPoint {
    EntryPoint { inbox: Some(inbox.into()), ..EntryPoint::default() }
}

fn ivr(id: &str, kind: IvrKind, nodes: &[(&str, Node<vestibule_routing::id::NodeId>)]) -> Arc<Ivr> {
    let nodes: Vec<_> = nodes.iter().map(|(id, node)| ((*id).into(), node.clone())).collect();
    Arc::new(Ivr::build(id.into(), id.to_owned(), kind, &nodes[0].0, &nodes).unwrap())
}

fn voice(change: impl FnOnce(&mut NumberVoice)) -> Arc<NumberVoice> {
    let mut voice = NumberVoice::default();
    change(&mut voice);
    Arc::new(voice)
}

/// A number of ours with an Initial IVR of one exit, and a default for every section.
fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.default_inboxes.insert(Channel::Voice, "ib_voice".into());
    plan.default_inboxes.insert(Channel::Ivr, "ib_ivr".into());
    let initial = ivr("first", IvrKind::Initial, &[("out", Node::Exit {})]);
    plan.ivrs.insert("first".into(), initial);
    let voice = voice(|voice| voice.initial_ivr = Some("first".into()));
    plan.numbers.insert(E164::parse(NUMBER).unwrap(), voice);
    plan
}

/// An inbox with an SLA of 30 minutes.
fn half_an_hour(id: &str) -> Arc<Inbox> {
    Arc::new(Inbox {
        id: id.into(),
        name: "Inbox".into(),
        sla_minutes: 30,
        wait_max: None,
        queue_length_max: None,
        no_one_available: None,
        queue_music: None,
        priority: 5,
        dial: None,
    })
}

#[test]
fn a_message_goes_to_its_exception_else_to_the_default_of_its_channel() {
    let mut plan = Plan::default();
    plan.default_inboxes.insert(Channel::Sms, "ib_sms".into());
    plan.inboxes.insert("ib_sms".into(), half_an_hour("ib_sms"));
    let key = (Channel::Sms, Address::Number(E164::parse(NUMBER).unwrap()));
    let route = |plan: &Plan| {
        plan.resolve_message(&key).map(|to| (to.inbox.to_string(), to.sla_minutes, to.disarmed))
    };
    assert_eq!(route(&plan), Some(("ib_sms".into(), 30, false)));
    let own = EntryPoint { sla_minutes: Some(5), disarmed: true, ..to("ib_own") };
    plan.entry_points.insert(key.clone(), own);
    assert_eq!(route(&plan), Some(("ib_own".into(), 5, true)));
    // The same number on another channel is another entry point.
    assert_eq!(plan.resolve_message(&(Channel::Whatsapp, key.1.clone())), None);
}

fn direct(mut plan: Plan) -> Plan {
    plan.numbers.insert(E164::parse(NUMBER).unwrap(), voice(|_| {}));
    plan
}

fn blocking(mut plan: Plan) -> Plan {
    let numbers = [E164::parse(CALLER).unwrap()].into();
    plan.lists.insert("ls".into(), Arc::new(NumberList { numbers, ..NumberList::default() }));
    plan.block_list = Some("ls".into());
    plan
}

fn contact(to: Address) -> Contact {
    Contact {
        id: "ct".into(),
        channel: Channel::Voice,
        to,
        from: Caller { number: E164::parse(CALLER).ok(), ..Caller::default() },
        arrived: Now { mono: Instant::now(), wall: "2026-03-02T10:00:00Z".parse().unwrap() },
        seed: 0,
    }
}

/// The route in a word: `404 UnknownNumber`, `ivr first`, `inbox ib_voice`.
fn route_to(plan: &Plan, address: Address) -> String {
    match plan.resolve_voice(&contact(address)) {
        Route::Reject { status, reason } => format!("{status} {reason:?}"),
        Route::Ivr(_, ivr) => format!("ivr {}", ivr.id),
        Route::Inbox(_, inbox) => format!("inbox {inbox}"),
    }
}

fn route(plan: &Plan) -> String {
    route_to(plan, key().1)
}

/// Where a call waits after its first steps and a time, with every prompt's end told.
fn inboxes(plan: Plan, seconds: u64) -> Vec<String> {
    let mut out = Vec::new();
    let contact = contact(key().1);
    let start = contact.arrived;
    let mut journey = Journey::new(Arc::new(plan), contact, start, &mut out);
    let end = start.after(Duration::from_secs(seconds)).mono;
    while let Some((at, _)) = journey.deadline().filter(|(at, _)| *at <= end) {
        journey.handle(start.after(at - start.mono), Event::Deadline, &mut out);
    }
    out.iter()
        .filter_map(|action| match action {
            vestibule_routing::journey::Action::Emit(FeedEvent::Queued { inbox, .. }) => {
                Some(inbox.to_string())
            }
            vestibule_routing::journey::Action::Emit(FeedEvent::Moved { to, .. }) => Some(format!("to {to}")),
            _ => None,
        })
        .collect()
}

#[test]
fn first_a_number_that_nobody_holds_is_refused() {
    let unknown = Address::Number(E164::parse("+14155550199").unwrap());
    assert_eq!(route_to(&plan(), unknown.clone()), "404 UnknownNumber");
    assert_eq!(route_to(&blocking(plan()), unknown.clone()), "404 UnknownNumber", "before the block list");
    assert_eq!(route_to(&plan(), Address::Text("alice".into())), "404 UnknownNumber");
    let mut exceptional = plan();
    exceptional.entry_points.insert((Channel::Voice, unknown.clone()), to("ib_x"));
    assert_eq!(route_to(&exceptional, unknown), "404 UnknownNumber", "an exception makes no number ours");
}

#[test]
fn first_voice_off_and_disarmed_are_refused_before_the_block_list_and_the_ivr() {
    let mut off = blocking(plan());
    let inactive = voice(|voice| {
        voice.active = false;
        voice.initial_ivr = Some("first".into());
    });
    off.numbers.insert(E164::parse(NUMBER).unwrap(), inactive);
    assert_eq!(route(&off), "480 VoiceOff");
    let mut disarmed = blocking(plan());
    disarmed.entry_points.insert(key(), EntryPoint { disarmed: true, ..to("ib_x") });
    assert_eq!(route(&disarmed), "480 VoiceOff");
}

#[test]
fn second_a_blocked_caller_is_refused_before_the_ivr_and_the_inbox() {
    assert_eq!(route(&blocking(plan())), "603 Blocked");
    assert_eq!(route(&blocking(direct(plan()))), "603 Blocked");
    let mut gone = blocking(plan());
    gone.lists = Default::default();
    assert_eq!(route(&gone), "ivr first", "a list that is gone blocks nobody");
}

#[test]
fn third_the_initial_ivr_goes_before_the_numbers_exception() {
    let mut plan = plan();
    plan.entry_points.insert(key(), to("ib_own"));
    assert_eq!(route(&plan), "ivr first");
}

#[test]
fn third_an_exit_goes_to_its_exception_else_to_the_default_of_the_ivr_section() {
    let mut exceptional = plan();
    exceptional.entry_points.insert(key(), to("ib_own"));
    assert_eq!(inboxes(exceptional.clone(), 0), ["ib_ivr"], "neither the number's inbox nor voice's default");
    exceptional.entry_points.insert(exit_key(&"first".into(), &"out".into()), to("ib_exit"));
    assert_eq!(inboxes(exceptional.clone(), 0), ["ib_exit"]);
    exceptional.entry_points.insert(exit_key(&"second".into(), &"out".into()), to("ib_other"));
    assert_eq!(inboxes(exceptional, 0), ["ib_exit"], "an exit of the same name of another IVR");
    let mut only_sla = plan();
    let sla = EntryPoint { sla_minutes: Some(5), ..EntryPoint::default() };
    only_sla.entry_points.insert(exit_key(&"first".into(), &"out".into()), sla);
    assert_eq!(inboxes(only_sla, 0), ["ib_ivr"], "an SLA of its own is no exception");
}

#[test]
fn fourth_without_an_initial_ivr_it_is_the_exception_else_the_default() {
    let mut plan = direct(plan());
    assert_eq!(route(&plan), "inbox ib_voice");
    plan.entry_points.insert(key(), EntryPoint { sla_minutes: Some(5), ..EntryPoint::default() });
    assert_eq!(route(&plan), "inbox ib_voice");
    plan.entry_points.insert(key(), to("ib_own"));
    assert_eq!(route(&plan), "inbox ib_own");
    plan.entry_points.insert((Channel::Sms, key().1), to("ib_sms"));
    assert_eq!(route(&plan), "inbox ib_own", "an exception on another channel");
    let mut unlinked = self::plan();
    unlinked.ivrs.clear();
    assert_eq!(route(&unlinked), "inbox ib_voice", "an IVR that is gone");
}

/// A direct line with a Queue IVR of one exit, which leads to `exit`.
fn queue(exit: Option<&str>) -> Plan {
    let mut plan = plan();
    plan.ivrs.insert("queue".into(), ivr("queue", IvrKind::Queue, &[("out", Node::Exit {})]));
    let linked = voice(|voice| {
        voice.queue_ivr = Some("queue".into());
        voice.repeat_every_seconds = Some(600);
    });
    plan.numbers.insert(E164::parse(NUMBER).unwrap(), linked);
    if let Some(inbox) = exit {
        plan.entry_points.insert(exit_key(&"queue".into(), &"out".into()), to(inbox));
    }
    plan
}

#[test]
fn fifth_the_exits_of_the_numbers_queue_ivr_resolve_likewise() {
    assert_eq!(inboxes(queue(None), 29), ["ib_voice"]);
    assert_eq!(inboxes(queue(None), 30), ["ib_voice", "to ib_ivr"]);
    assert_eq!(inboxes(queue(Some("ib_exit")), 30), ["ib_voice", "to ib_exit"]);
    assert_eq!(inboxes(queue(Some("ib_voice")), 3000), ["ib_voice"], "the same inbox is no move");
}

#[test]
fn sixth_a_broken_ivr_leads_to_the_fallback_else_to_the_direct_inbox() {
    let broken = |fallback: Option<Treatment>| {
        let mut plan = plan();
        plan.ivrs.insert("first".into(), ivr("first", IvrKind::Initial, &[("out", Node::Continue {})]));
        let voice = voice(|voice| {
            voice.initial_ivr = Some("first".into());
            voice.fallback = fallback;
        });
        plan.numbers.insert(E164::parse(NUMBER).unwrap(), voice);
        plan
    };
    assert_eq!(inboxes(broken(None), 0), ["ib_voice"], "voice's default, not the ivr section's");
    let mut own = broken(None);
    own.entry_points.insert(key(), to("ib_own"));
    assert_eq!(inboxes(own, 0), ["ib_own"]);
    assert_eq!(inboxes(broken(Some(Treatment::Inbox("ib_x".into()))), 0), ["ib_x"]);
    let mut homeless = plan();
    homeless.default_inboxes.remove(&Channel::Ivr);
    assert_eq!(inboxes(homeless, 0), ["ib_voice"], "an exit that resolves to no inbox");
}

#[test]
fn the_status_codes_of_refusals_are_settings() {
    let codes = RejectCodes { unknown_number: 604, voice_off: 410, blocked: 607 };
    let with_codes = |mut plan: Plan| {
        plan.reject_codes = codes;
        plan
    };
    let unknown = Address::Number(E164::parse("+14155550199").unwrap());
    assert_eq!(route_to(&with_codes(plan()), unknown), "604 UnknownNumber");
    assert_eq!(route(&with_codes(blocking(plan()))), "607 Blocked");
    let mut homeless = with_codes(direct(plan()));
    homeless.default_inboxes = Default::default();
    assert_eq!(route(&homeless), "410 VoiceOff", "nowhere to go");
}

#[test]
fn the_sla_is_the_entry_points_else_the_inboxs_else_a_day() {
    let mut plan = plan();
    plan.inboxes.insert("ib".into(), half_an_hour("ib"));
    let own = EntryPoint { sla_minutes: Some(90), ..EntryPoint::default() };
    assert_eq!(plan.sla_minutes(Some(&own), &"ib".into()), 90, "longer than the inbox's");
    assert_eq!(plan.sla_minutes(Some(&EntryPoint::default()), &"ib".into()), 30);
    assert_eq!(plan.sla_minutes(None, &"ib".into()), 30);
    assert_eq!(plan.sla_minutes(None, &"ib_unknown".into()), 1440);
}

#[test]
fn a_refused_call_is_recorded_and_takes_no_more_events() {
    let mut out = Vec::new();
    let contact = contact(key().1);
    let now = contact.arrived;
    let mut journey = Journey::new(Arc::new(blocking(plan())), contact, now, &mut out);
    assert_eq!(journey.outcome().unwrap().reason, Reason::Blocked);
    let told = out.len();
    journey.handle(now, Event::Digit(Digit::from_char('1').unwrap()), &mut out);
    journey.handle(now, Event::Deadline, &mut out);
    assert_eq!((out.len(), journey.deadline()), (told, None));
}
