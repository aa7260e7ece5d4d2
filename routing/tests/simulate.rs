//! What a simulation tells of a call.

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
    id::{IvrId, NodeId},
    outcome::Reason,
    plan::{Ivr, IvrKind, NumberVoice, Plan, node::Node},
    simulate::{Script, Simulation, simulate},
    time::Now,
};

const NUMBER: &str = "+14155550100";

fn with_ivr(plan: &mut Plan, id: &str, kind: IvrKind, nodes: &str) {
    let nodes: serde_json::Map<String, serde_json::Value> = serde_json::from_str(nodes).unwrap();
    let nodes: Vec<(NodeId, Node<NodeId>)> = nodes
        .into_iter()
        .map(|(id, node)| (NodeId::new(id), serde_json::from_value(node).unwrap()))
        .collect();
    let ivr = Ivr::build(id.into(), id.to_owned(), kind, &"start".into(), &nodes).unwrap();
    plan.ivrs.insert(IvrId::from(id), Arc::new(ivr));
}

/// A caller who presses 1 in the Initial IVR and keeps waiting; `queue` is what the Queue IVR does then.
fn called(queue: &str) -> Simulation {
    let mut plan = Plan::default();
    plan.default_inboxes.insert(Channel::Voice, "ib".into());
    plan.default_inboxes.insert(Channel::Ivr, "ib".into());
    let voice = NumberVoice {
        initial_ivr: Some("first".into()),
        queue_ivr: Some("queue".into()),
        ..NumberVoice::default()
    };
    plan.numbers.insert(E164::parse(NUMBER).unwrap(), Arc::new(voice));
    let menu = r#"{"start": {"type": "menu", "prompt": "menu", "choices": {"1": "sales"}, "default": "other"},
        "sales": {"type": "exit"}, "other": {"type": "exit"}}"#;
    with_ivr(&mut plan, "first", IvrKind::Initial, menu);
    with_ivr(&mut plan, "queue", IvrKind::Queue, queue);
    let contact = Contact {
        id: "ct".into(),
        channel: Channel::Voice,
        to: Address::Number(E164::parse(NUMBER).unwrap()),
        from: Caller::default(),
        arrived: Now { mono: Instant::now(), wall: "2026-03-02T10:00:00Z".parse().unwrap() },
        seed: 0,
    };
    let script = Script {
        contact,
        digits: vec![(Duration::from_secs(2), Digit::from_char('1').unwrap())],
        hangs_up_after: Duration::from_secs(120),
        prompt_length: Duration::from_secs(3),
    };
    simulate(Arc::new(plan), &script)
}

#[test]
fn the_exit_stays_when_the_queue_ivr_goes_back_to_waiting() {
    let found = called(r#"{"start": {"type": "continue"}}"#);
    assert_eq!(found.exit, Some("sales".into()));
    assert_eq!(found.outcome.reason, Reason::AbandonedInQueue);
}

#[test]
fn the_exit_stays_when_a_later_ivr_fails() {
    let found = called(
        r#"{"start": {"type": "start", "next": "a"},
            "a": {"type": "set_variable", "name": "x", "value": "y", "next": "start"}}"#,
    );
    assert_eq!(found.exit, Some("sales".into()));
    assert!(found.steps.iter().any(|step| step.what.contains("Queue IVR failed")));
}

#[test]
fn a_later_exit_or_hang_up_takes_its_place() {
    let found = called(r#"{"start": {"type": "hang_up"}}"#);
    assert_eq!(found.exit, Some("start".into()));
    let found = called(r#"{"start": {"type": "start", "next": "away"}, "away": {"type": "exit"}}"#);
    assert_eq!(found.exit, Some("away".into()));
}

#[test]
fn the_path_names_every_node_and_the_transition_by_which_it_was_reached() {
    let found = called(r#"{"start": {"type": "continue"}}"#);
    let path: Vec<_> = found
        .path
        .iter()
        .map(|visit| (visit.ivr.as_str(), visit.node.as_str(), visit.by.as_deref()))
        .collect();
    assert_eq!(path[..2], [("first", "start", None), ("first", "sales", Some("1"))]);
    assert_eq!(path[2], ("queue", "start", None));
    assert_eq!(found.path[1].at_ms, 2000);
}
