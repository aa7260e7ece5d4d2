//! The examples compile, say nothing worth a warning, and their tests pass; documents survive the way
//! into a plan and back.

#![allow(clippy::expect_used, reason = "a test that cannot read the examples has failed")]

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use vestibule_config::{
    compile::{Change, Compiled, Context, Outcome, compile},
    document::{self, NumberDoc, RawDocument},
};
use vestibule_routing::address::E164;

fn run(raw: &RawDocument, speech: bool) -> Outcome {
    let changes: Vec<Change> = raw
        .iter()
        .map(|(key, body)| {
            (key.clone(), Some(document::read(key, body).expect("an object of the right form")))
        })
        .collect();
    let context = Context {
        now: "2026-03-02T15:00:00Z".parse().expect("an instant"),
        owned: &|_| true,
        recorded: &|_| true,
        speech,
        provider_kinds: &[],
        event_types: &[],
        run_tests: true,
    };
    compile(Compiled::default(), changes, &context)
}

#[test]
fn every_example_compiles_without_a_warning_and_passes_its_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("an example").path();
        let text = std::fs::read_to_string(&path).expect("an example");
        let raw = document::parse(&text).expect("a document");
        let outcome = run(&raw, true);
        assert!(outcome.diagnostics.is_empty(), "{}: {:#?}", path.display(), outcome.diagnostics);
        assert!(raw.keys().any(|key| key.kind == document::Kind::Tests), "{} has no tests", path.display());
        seen += 1;
    }
    assert!(seen >= 2);
}

fn number_doc() -> impl Strategy<Value = Value> {
    (
        any::<bool>(),
        prop::option::of(Just("ivr_i")),
        prop::option::of(Just("ivr_q")),
        5_u32..=600,
        prop::option::of(5_u32..=3600),
        any::<bool>(),
        prop::option::of(prop_oneof![
            Just(json!({"inbox": "ib_b"})),
            Just(json!({"ivr": "ivr_i"})),
            Just(json!({"prompt_then_hang_up": "builtin:goodbye"})),
            Just(json!({"voicemail": "ib_a"})),
            Just(json!({"forward": "sip:a@example.com"})),
            (400_u16..=699).prop_map(|code| json!({"sip_code": code})),
        ]),
    )
        .prop_map(|(voice, initial, queue, wait, repeat, music, fallback)| {
            let mut body = json!({"voice": voice, "queue_wait_seconds": wait});
            for (name, value) in [
                ("initial_ivr", initial.map(Value::from)),
                ("queue_ivr", queue.map(Value::from)),
                ("repeat_every_seconds", repeat.map(Value::from)),
                ("queue_music", music.then(|| Value::from("builtin:queue_music"))),
                ("fallback", fallback),
            ] {
                if let Some(value) = value {
                    body[name] = value;
                }
            }
            body
        })
}

fn entry_point() -> impl Strategy<Value = Value> {
    (
        prop::option::of(prop::sample::select(vec!["ib_a", "ib_b"])),
        prop::option::of(1_u32..10_000),
        any::<bool>(),
    )
        .prop_map(|(inbox, sla, armed)| {
            let mut body = json!({"armed": armed});
            if let Some(inbox) = inbox {
                body["inbox"] = inbox.into();
            }
            if let Some(sla) = sla {
                body["sla_minutes"] = sla.into();
            }
            body
        })
}

fn base() -> Value {
    json!({
        "version": 1,
        "settings": {"default_inbox": "ib_a"},
        "inboxes": {"ib_a": {"name": "A"}, "ib_b": {"name": "B"}},
        "ivrs": {
            "ivr_i": {"name": "I", "kind": "initial", "nodes": {"start": {"type": "exit"}}},
            "ivr_q": {"name": "Q", "kind": "queue", "nodes": {"start": {"type": "continue"}}},
        },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_document_survives_the_way_into_a_plan_and_back(
        numbers in prop::collection::btree_map(1_000_000_u64..2_000_000, (number_doc(), entry_point()), 1..20),
    ) {
        let mut value = base();
        for (number, (voice, entry)) in &numbers {
            value["numbers"][format!("+{number}")] = voice.clone();
            value["entry_points"][format!("voice/+{number}")] = entry.clone();
        }
        let raw = document::from_value(value).expect("sections");
        // Text and back.
        prop_assert_eq!(&document::parse(&document::to_yaml(&raw)).expect("YAML"), &raw);
        let compiled = run(&raw, false).compiled.expect("no errors");
        // Plan and back.
        for (number, (voice, entry)) in &numbers {
            let number = E164::parse(&format!("+{number}")).expect("a number");
            let wanted: NumberDoc = serde_json::from_value(voice.clone()).expect("a number's body");
            prop_assert_eq!(NumberDoc::from(&*compiled.plan.numbers[&number]), wanted);
            let key = document::EntryPointRef::parse(&format!("voice/{number}")).expect("a name").key();
            let found = &compiled.plan.entry_points[&key];
            prop_assert_eq!(found.disarmed, entry["armed"] == json!(false));
            prop_assert_eq!(found.inbox.as_ref().map(|inbox| inbox.as_str()), entry["inbox"].as_str());
            prop_assert_eq!(found.sla_minutes.map(u64::from), entry["sla_minutes"].as_u64());
        }
        // One at a time gives the same plan as all at once.
        let mut step_by_step = run(&document::from_value(base()).expect("sections"), false).compiled.expect("no errors");
        for (key, body) in raw.iter().filter(|(key, _)| matches!(key.kind, document::Kind::Numbers | document::Kind::EntryPoints)) {
            let change = vec![(key.clone(), Some(document::read(key, body).expect("an object")))];
            let context = Context {
                now: jiff::Timestamp::UNIX_EPOCH, owned: &|_| true, recorded: &|_| true, speech: false, provider_kinds: &[], event_types: &[], run_tests: false,
            };
            step_by_step = compile(step_by_step, change, &context).compiled.expect("no errors");
        }
        prop_assert_eq!(&step_by_step.plan.numbers, &compiled.plan.numbers);
        prop_assert_eq!(&step_by_step.plan.entry_points, &compiled.plan.entry_points);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,200}") {
        if let Ok(raw) = document::parse(&text) {
            for (key, body) in &raw {
                let _read = document::read(key, body);
            }
        }
    }
}
