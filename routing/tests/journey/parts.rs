//! IVRs within IVRs, and what is said of the queue.

use std::time::Duration;

use vestibule_routing::{
    journey::{Event, FeedEvent, QueueView},
    outcome::Reason,
    plan::{IvrKind, NumberVoice, Plan},
};

use super::bench::{Bench, plan, queue, with_initial, with_ivr, with_number};

const CALLER: &str = r#"{
    "start": {"type": "sub_ivr", "ivr": "part", "next": "which", "error": "broken"},
    "which": {"type": "match", "value": "{{node.start}}-{{x}}", "default": "other",
              "patterns": [{"pattern": "yes-1", "next": "yes"}]},
    "yes": {"type": "exit"}, "other": {"type": "exit"},
    "broken": {"type": "message", "prompt": "broken", "next": "other"}
}"#;

const PART: &str = r#"{
    "start": {"type": "menu", "prompt": "sure", "choices": {"1": "set", "2": "no", "3": "bye"}, "default": "no"},
    "set": {"type": "set_variable", "name": "x", "value": "1", "next": "yes"},
    "yes": {"type": "exit"}, "no": {"type": "exit"},
    "bye": {"type": "hang_up"}
}"#;

fn with_part(part: &str) -> Plan {
    with_ivr(with_initial(plan(), CALLER), "part", IvrKind::Initial, part)
}

fn ivrs(bench: &Bench) -> Vec<String> {
    let named = |event: &FeedEvent| match event {
        FeedEvent::IvrEntered { ivr, .. } => Some(format!("+{ivr}")),
        FeedEvent::IvrExited { ivr, node, inbox, failure } => {
            let node = node.as_ref().map(ToString::to_string).unwrap_or_default();
            let inbox = inbox.as_ref().map(ToString::to_string).unwrap_or_default();
            Some(format!("-{ivr} {node} {inbox}{}", failure.unwrap_or_default()))
        }
        _ => None,
    };
    bench.events.iter().filter_map(named).collect()
}

#[test]
fn an_exit_of_a_part_leads_back_and_its_name_and_variables_stay() {
    let mut bench = Bench::new(with_part(PART));
    assert_eq!(bench.hears(), ["sure"]);
    bench.press("1");
    assert_eq!(bench.left_by(), Some("yes"));
    assert_eq!(ivrs(&bench), ["+i", "+part", "-part yes ", "-i yes ib_general"]);
    let mut bench = Bench::new(with_part(PART));
    bench.press("2");
    assert_eq!(bench.left_by(), Some("other"));
    assert_eq!(bench.queued_in(), Some("ib_general"));
}

#[test]
fn a_hang_up_in_a_part_ends_the_call_by_the_node_that_called_it() {
    let mut bench = Bench::new(with_part(PART));
    bench.press("3");
    assert_eq!(ivrs(&bench), ["+i", "+part", "-part bye ", "-i start "]);
    assert_eq!(bench.ended.unwrap().0.reason, Reason::HungUpByIvr);
}

#[test]
fn a_part_that_fails_or_is_missing_leads_on_by_error() {
    let bench = Bench::new(with_initial(plan(), CALLER));
    assert_eq!(bench.hears(), ["broken"]);
    let mut bench = Bench::new(with_part(
        r#"{"start": {"type": "message", "prompt": "gone", "next": "out"}, "out": {"type": "exit"}}"#,
    ));
    bench.fails("missing");
    assert_eq!(bench.hears(), ["broken"]);
    assert!(ivrs(&bench)[2].starts_with("-part "), "{:?}", ivrs(&bench));
}

#[test]
fn parts_within_parts_come_to_an_end() {
    let own = r#"{"start": {"type": "sub_ivr", "ivr": "part", "next": "out", "error": "out"}, "out": {"type": "exit"}}"#;
    let bench = Bench::new(with_part(own));
    assert_eq!(bench.left_by(), Some("other"), "too deep is an error of the innermost");
    let entered = ivrs(&bench).iter().filter(|told| *told == "+part").count();
    assert_eq!(entered, 8);
    assert_eq!(bench.queued_in(), Some("ib_general"));
}

#[test]
fn a_loop_guard_counts_in_its_own_ivr() {
    let nodes = r#"{"start": {"type": "loop_guard", "times_max": 1, "next": "part", "exceeded": "out"},
                    "part": {"type": "sub_ivr", "ivr": "part", "next": "start", "error": "out"}, "out": {"type": "exit"}}"#;
    let part = r#"{"start": {"type": "loop_guard", "times_max": 1, "next": "once", "exceeded": "out"},
                   "once": {"type": "message", "prompt": "once", "next": "out"}, "out": {"type": "exit"}}"#;
    let mut bench = Bench::new(with_ivr(with_initial(plan(), nodes), "part", IvrKind::Initial, part));
    assert_eq!(bench.hears(), ["once"]);
    bench.played();
    assert_eq!(bench.queued_in(), Some("ib_general"));
}

fn waits_with(nodes: &str) -> Bench {
    let voice = NumberVoice { queue_ivr: Some("wait".into()), ..NumberVoice::default() };
    let mut bench = Bench::new(with_ivr(with_number(plan(), voice), "wait", IvrKind::Queue, nodes));
    bench.pass(30);
    bench
}

fn seen(position: u32, wait: Option<u64>) -> Event {
    Event::InQueue(Some(QueueView { position, wait: wait.map(Duration::from_secs) }))
}

const SAYS: &str = r#"{
    "start": {"type": "position", "next": "wait"},
    "wait": {"type": "estimated_wait", "next": "match", "unknown": "unknown"},
    "match": {"type": "match", "value": "{{node.start}}/{{node.wait}}", "default": "back",
              "patterns": [{"pattern": "3/7", "next": "told"}]},
    "told": {"type": "message", "prompt": "told", "next": "back"},
    "unknown": {"type": "message", "prompt": "unknown", "next": "back"},
    "back": {"type": "continue"}
}"#;

#[test]
fn the_place_and_the_wait_are_said_and_can_be_compared() {
    let mut bench = waits_with(SAYS);
    assert_eq!(bench.looks, 1);
    bench.tell(seen(3, None));
    assert_eq!(bench.hears(), ["builtin:position_before", "builtin:number_3", "builtin:position_after"]);
    bench.played();
    assert_eq!(bench.looks, 2);
    bench.tell(seen(3, Some(390)));
    assert_eq!(bench.hears(), ["builtin:wait_before", "builtin:number_7", "builtin:wait_minutes"]);
    bench.played();
    assert_eq!(bench.hears(), ["told"]);
}

#[test]
fn what_cannot_be_told_is_not_said() {
    let mut bench = waits_with(SAYS);
    bench.tell(seen(1000, None));
    assert_eq!(bench.looks, 2, "nothing is said of a place so far back");
    bench.tell(seen(3, None));
    assert_eq!(bench.hears(), ["unknown"]);
    let mut bench = waits_with(SAYS);
    bench.pass(2);
    assert_eq!(bench.looks, 2, "a look that is not answered is given up");
    bench.tell(Event::InQueue(None));
    assert_eq!(bench.hears(), ["unknown"]);
    let mut bench = waits_with(SAYS);
    bench.tell(seen(1, None));
    bench.fails("a word is missing");
    assert_eq!(bench.looks, 2);
}

#[test]
fn a_key_cuts_what_is_said_and_is_kept() {
    let mut bench = waits_with(
        r#"{"start": {"type": "position", "next": "menu"},
            "menu": {"type": "menu", "prompt": "menu", "choices": {"1": "one"}, "default": "back"},
            "one": {"type": "message", "prompt": "one", "next": "back"}, "back": {"type": "continue"}}"#,
    );
    bench.tell(seen(2, None));
    bench.press("1");
    assert_eq!(bench.hears(), ["one"]);
}

#[test]
fn a_part_of_a_queue_ivr_goes_back_to_waiting_from_any_depth() {
    let part =
        r#"{"start": {"type": "message", "prompt": "inner", "next": "back"}, "back": {"type": "continue"}}"#;
    let nodes = r#"{"start": {"type": "sub_ivr", "ivr": "part", "next": "out", "error": "out"}, "out": {"type": "exit"}}"#;
    let voice = NumberVoice { queue_ivr: Some("wait".into()), ..NumberVoice::default() };
    let plan = with_ivr(with_number(plan(), voice), "wait", IvrKind::Queue, nodes);
    let mut bench = Bench::new(with_ivr(plan, "part", IvrKind::Queue, part));
    bench.pass(30);
    bench.played();
    assert_eq!(bench.hears(), ["builtin:queue_music"]);
    assert_eq!(bench.left_by(), Some("start"));
    let mut bench = Bench::new(queue());
    bench.pass(30);
    assert_eq!(bench.hears(), ["busy"]);
}
