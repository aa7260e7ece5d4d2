//! Random plans: every kind of node and treatment, transitions to anywhere.

use std::sync::Arc;

use proptest::prelude::*;
use vestibule_routing::{
    channel::Channel,
    id::{InboxId, IvrId, NodeId},
    plan::{
        AnswerMode, Inbox, InitialSound, Ivr, IvrKind, NumberVoice, Plan, Treatment,
        list::NumberList,
        node::{Node, Pattern, ScheduleRow},
        schedule::{Period, Schedule},
    },
};

use super::super::bench::{inbox, with_number};

const INBOXES: [&str; 3] = ["ib_a", "ib_b", "ib_c"];
const IVRS: [&str; 3] = ["ivr_a", "ivr_b", "ivr_c"];

/// One node: its kind, a number for its settings, and where its transitions lead.
type Seed = (u8, u8, [u8; 3]);

/// Kinds that [`node`] knows.
const KINDS: u8 = 26;

pub(super) fn any_plan() -> impl Strategy<Value = Plan> {
    let ivr = || prop::collection::vec((0..KINDS, any::<u8>(), any::<[u8; 3]>()), 1..9);
    let limits = || (any_limit(), any_limit(), prop::option::weighted(0.2, any_treatment()));
    let ivrs = (ivr(), ivr(), ivr());
    let inboxes = (limits(), limits(), limits());
    (ivrs, inboxes, any_voice()).prop_map(|(ivrs, inboxes, voice)| {
        let mut plan = Plan::default();
        for channel in [Channel::Voice, Channel::Ivr] {
            plan.default_inboxes.insert(channel, INBOXES[0].into());
        }
        for (id, limits) in INBOXES.into_iter().zip([inboxes.0, inboxes.1, inboxes.2]) {
            let (key, mut inbox): (InboxId, Arc<Inbox>) = inbox(id);
            let changed = Arc::make_mut(&mut inbox);
            (changed.wait_max, changed.queue_length_max, changed.no_one_available) = limits;
            plan.inboxes.insert(key, inbox);
        }
        for (id, seeds) in IVRS.into_iter().zip([ivrs.0, ivrs.1, ivrs.2]) {
            plan.ivrs.insert(IvrId::from(id), Arc::new(any_ivr(id, &seeds)));
        }
        plan.calendars.insert("cal".into(), Arc::new(Schedule { rows: vec![always("open")] }));
        let callers = NumberList { prefixes: vec!["+1212".into()], ..NumberList::default() };
        plan.lists.insert("ls".into(), Arc::new(callers));
        with_number(plan, voice)
    })
}

fn any_voice() -> impl Strategy<Value = NumberVoice> {
    let ivr = || prop::option::weighted(0.8, 0..IVRS.len()).prop_map(|ivr| ivr.map(|ivr| IVRS[ivr].into()));
    let fallback = prop::option::of(any_treatment());
    (ivr(), ivr(), fallback, any::<[bool; 2]>(), 5_u32..60, prop::option::of(5_u32..60)).prop_map(
        |(initial_ivr, queue_ivr, fallback, [taken, music], queue_wait_seconds, repeat_every_seconds)| {
            // Answering late does not go with IVRs: such a plan is never published.
            let late = taken && initial_ivr.is_none() && queue_ivr.is_none();
            NumberVoice {
                initial_ivr,
                queue_ivr,
                fallback,
                queue_wait_seconds,
                repeat_every_seconds,
                answer: if late { AnswerMode::Taken } else { AnswerMode::Arrival },
                initial_sound: if music { InitialSound::QueueMusic } else { InitialSound::Ringback },
                ..NumberVoice::default()
            }
        },
    )
}

fn any_limit() -> impl Strategy<Value = Option<(u32, Treatment)>> {
    prop::option::weighted(0.3, (1_u32..120, any_treatment()))
}

fn any_treatment() -> impl Strategy<Value = Treatment> {
    (0_u8..7, 0_usize..3).prop_map(|(kind, which)| match kind {
        0 => Treatment::PromptThenHangUp("sorry".into()),
        1 => Treatment::Inbox(INBOXES[which].into()),
        2 => Treatment::Ivr(IVRS[which].into()),
        3 => Treatment::Ivr("ivr_missing".into()),
        4 => Treatment::Voicemail(INBOXES[which].into()),
        5 => Treatment::Forward("sip:desk@example.com".into()),
        _ => Treatment::SipCode(503),
    })
}

fn always(name: &str) -> Period {
    let day = r#"["monday","tuesday","wednesday","thursday","friday","saturday","sunday"]"#;
    serde_json::from_str(&format!(r#"{{"name": "{name}", "weekdays": {day}, "zone": "UTC"}}"#)).unwrap()
}

fn any_ivr(id: &str, seeds: &[Seed]) -> Ivr {
    let name = |index: usize| NodeId::new(format!("n{}", index % seeds.len()));
    let nodes: Vec<(NodeId, Node<NodeId>)> = seeds
        .iter()
        .enumerate()
        .map(|(index, (kind, value, ways))| {
            (name(index), node(*kind, *value, ways.map(|way| name(usize::from(way)))))
        })
        .collect();
    Ivr::build(id.into(), id.to_owned(), IvrKind::Initial, &name(0), &nodes).unwrap()
}

fn node(kind: u8, value: u8, [next, other, third]: [NodeId; 3]) -> Node<NodeId> {
    let flag = value.is_multiple_of(2);
    let small = u32::from(value % 4);
    match kind {
        0 => Node::Start { next },
        1 | 2 => Node::Message { prompt: "message".into(), interruptible: flag, next },
        3 | 4 => Node::Menu {
            prompt: "menu".into(),
            timeout_seconds: small + 1,
            retries: small,
            no_input_prompt: flag.then(|| "no_input".into()),
            no_match_prompt: flag.then(|| "no_match".into()),
            barge_in: !value.is_multiple_of(3),
            choices: [("1".to_owned(), next), ("2".to_owned(), other)].into(),
            default: third.clone(),
            error: flag.then_some(third),
        },
        5 => Node::Input {
            prompt: "input".into(),
            digits_max: small + 1,
            terminator: "#".into(),
            restart: "*".into(),
            first_digit_seconds: small + 1,
            between_digits_seconds: 3,
            secret: flag,
            next,
            timeout: other,
            error: flag.then_some(third),
        },
        6 => Node::DataDip {
            url: "https://example.com/{{customer_number}}".into(),
            post: flag,
            headers: [("x".to_owned(), "{{node.n0}}".to_owned())].into(),
            body: flag.then(|| "{}".to_owned()),
            timeout_ms: 100 + 1000 * small,
            captures: [("x".to_owned(), "/x".to_owned())].into(),
            next,
            error: other,
        },
        7 => Node::SetVariable { name: "x".into(), value: "{{x}}{{node.n1}}-".into(), next },
        _ => quiet_node(kind, value, [next, other, third]),
    }
}

fn quiet_node(kind: u8, value: u8, [next, other, third]: [NodeId; 3]) -> Node<NodeId> {
    let flag = value.is_multiple_of(2);
    match kind {
        8 => Node::Match {
            value: "{{x}}".into(),
            patterns: vec![
                Pattern { pattern: "-*".into(), next },
                Pattern { pattern: "?".into(), next: other },
            ],
            default: third,
        },
        9 => Node::CallerMatch {
            list: flag.then(|| "ls".into()),
            prefixes: vec!["+44".into()],
            anonymous: flag,
            attestation: flag.then_some(vestibule_routing::plan::node::Attestation::A),
            matched: next,
            no_match: other,
        },
        10 => Node::BlockList { list: "ls".into(), blocked: next, default: other },
        11 => Node::Schedule {
            rows: if flag { vec![ScheduleRow { period: always("row"), next }] } else { Vec::new() },
            calendar: Some("cal".into()),
            calendar_rows: [("open".to_owned(), other)].into(),
            default: third,
        },
        12 => Node::LoopGuard { times_max: u32::from(value % 5) + 1, next, exceeded: other },
        13 | 14 => Node::WaitMusic { seconds: u32::from(value % 20) + 1, next },
        15 => Node::Continue {},
        16 => Node::Exit {},
        17 => Node::HangUp { sip_status: 480, prompt: flag.then(|| "closed".into()) },
        18 => Node::SendSms { text: "{{x}}".into(), success: next, error: other },
        19 => Node::Voicemail {
            greeting: "greeting".into(),
            inbox: INBOXES[1].into(),
            seconds_max: 180,
            seconds_min: 2,
            error: flag.then_some(next),
        },
        20 => Node::Callback {
            prompt: "callback".into(),
            attempts: 3,
            gap_minutes: 10,
            window_hours: 24,
            prefixes: if flag { vec!["+1".into()] } else { Vec::new() },
            next,
            declined: flag.then_some(third),
            error: other,
        },
        21 => Node::Forward { to: "+14155550199".into(), ring_seconds: 20, failed: next },
        22 => Node::PercentSplit { percent: value % 101, next, rest: other },
        23 => Node::SubIvr { ivr: IVRS[usize::from(value) % 3].into(), next, error: other },
        24 => {
            if flag {
                Node::Position { next }
            } else {
                Node::EstimatedWait { next, unknown: other }
            }
        }
        _ => {
            if flag {
                Node::ChangePriority { priority: value % 10, next }
            } else {
                Node::MoveInbox { inbox: INBOXES[usize::from(value) % 3].into(), next }
            }
        }
    }
}
