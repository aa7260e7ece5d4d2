//! The store: publish, diff, roll back, drafts, records, restart.

use serde_json::json;

use super::*;
use crate::{
    document::{from_value, parse, to_value},
    number::{Holding, HoldingEvent, NumberState, Sms, SmsEvent},
    sample::SAMPLE,
};

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(folder.path(), Options::default()).unwrap()
}

fn seeded() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    assert!(store.seed(SAMPLE).unwrap());
    (folder, store)
}

fn inbox(name: &str) -> Value {
    json!({"name": name})
}

/// The first finding of a publish that was refused.
fn code(result: Result<Published, StoreError>) -> Code {
    match result {
        Err(StoreError::Invalid(findings)) => findings[0].code,
        other => panic!("{other:?}"),
    }
}

fn number(text: &str) -> E164 {
    E164::parse(text).unwrap()
}

#[test]
fn the_sample_is_published_into_an_empty_store_and_only_there() {
    let (_folder, store) = seeded();
    let active = store.active().load();
    assert_eq!(active.revision, 1);
    assert_eq!(active.plan.revision, 1);
    assert_eq!(active.plan.numbers.len(), 3);
    assert!(active.trunks.find("127.0.0.1".parse().unwrap()).is_some());
    assert!(active.trunks.find("::1".parse().unwrap()).is_some());
    assert!(active.trunks.find("192.0.2.1".parse().unwrap()).is_none());
    assert_eq!(store.numbers(None, 10).unwrap().len(), 3);
    assert!(!store.seed(SAMPLE).unwrap(), "a second seed does nothing");
    assert_eq!(store.active().load().revision, 1);
}

#[test]
fn a_restart_finds_the_same_routing() {
    let (folder, store) = seeded();
    let before = store.active().load();
    drop(store);
    let after = open(&folder).active().load();
    assert_eq!(after.revision, before.revision);
    assert_eq!(after.plan.numbers, before.plan.numbers);
    assert_eq!(after.plan.entry_points, before.plan.entry_points);
    assert_eq!(after.plan.default_inboxes, before.plan.default_inboxes);
    assert_eq!(after.trunks, before.trunks);
    assert_eq!(after.plan.ivrs.len(), before.plan.ivrs.len());
}

#[test]
fn a_document_comes_out_of_the_store_as_it_went_in() {
    let (_folder, store) = seeded();
    let mut written = parse(SAMPLE).unwrap();
    // Publishing writes down that entry points are armed.
    for (key, body) in &mut written {
        if key.kind == Kind::EntryPoints {
            body["armed"] = json!(true);
        }
    }
    let kept = store.document_at(1).unwrap();
    assert_eq!(kept, written);
    assert_eq!(from_value(to_value(&kept)).unwrap(), kept);
    assert_eq!(parse(&document::to_yaml(&kept)).unwrap(), kept);
}

#[test]
fn a_publish_shares_with_the_plan_before_it_what_it_does_not_touch() {
    let (_folder, store) = seeded();
    let before = store.active().load();
    let key = Key::new(Kind::EntryPoints, "voice/+14155550100");
    store.edit(&key, Some(&json!({"inbox": "ib_sales", "sla_minutes": 5})), None).unwrap();
    let Err(StoreError::Invalid(findings)) = store.publish("ann", "too early", None) else {
        panic!("published")
    };
    assert_eq!(findings[0].code, Code::TestFailed, "the stored test expects the old inbox");
    store.edit(&Key::new(Kind::Tests, "a direct line leads to its inbox"), None, None).unwrap();
    let published = store.publish("ann", "Sales takes the direct line", None).unwrap();
    assert_eq!((published.revision.number, published.revision.changes), (2, 2));
    let after = store.active().load();
    for (id, ivr) in &before.plan.ivrs {
        assert!(Arc::ptr_eq(ivr, &after.plan.ivrs[id]), "{id} was built again");
    }
    let entry = |routing: &ActiveRouting| {
        let reference = document::EntryPointRef::parse("voice/+14155550100").unwrap();
        routing.plan.entry_points[&reference.key()].clone()
    };
    assert_eq!(entry(&before).inbox, Some("ib_general".into()), "the old plan stays as it was");
    assert_eq!(entry(&after).inbox, Some("ib_sales".into()));
    assert_eq!(entry(&after).sla_minutes, Some(5));
    assert!(store.draft().unwrap().changes.is_empty());
}

#[test]
fn a_draft_is_edited_by_one_at_a_time() {
    let (_folder, store) = seeded();
    let key = Key::new(Kind::Inboxes, "ib_new");
    let version = store.draft().unwrap().version;
    let next = store.edit(&key, Some(&inbox("New")), Some(version)).unwrap();
    let late = store.edit(&key, Some(&inbox("Newer")), Some(version));
    assert!(matches!(late, Err(StoreError::VersionMismatch { found, .. }) if found == next));
    assert_eq!(store.draft_object(&key).unwrap(), (next, Some(inbox("New"))));
    assert!(matches!(store.publish("ann", "x", Some(version)), Err(StoreError::VersionMismatch { .. })));
    store.discard_draft(Some(next)).unwrap();
    assert!(store.draft().unwrap().changes.is_empty());
}

#[test]
fn an_edit_that_collides_with_a_publish_is_not_published() {
    let (_folder, store) = seeded();
    let key = Key::new(Kind::Inboxes, "ib_sales");
    store.edit(&key, Some(&inbox("Mine")), None).unwrap();
    store
        .publish_changes(BTreeMap::from([(Key::new(Kind::Inboxes, "ib_x"), Some(inbox("X")))]), "bob", "x")
        .unwrap();
    assert!(store.validate().unwrap().is_empty());
    // Bob rolls back over the object that Ann has edited.
    let body = json!({"name": "Sales", "sla_minutes": 61});
    let changes = BTreeMap::from([(key, Some(body))]);
    let request = publish::Request {
        author: "bob",
        note: "y",
        restores: Some(1),
        seeds: &Numbers::new(),
        of_draft: false,
        rule: publish::Rule::Ordinary,
    };
    store.publish_ready(&request, |_| Ok(changes.clone())).unwrap();
    let Err(StoreError::Invalid(findings)) = store.publish("ann", "mine", None) else { panic!("published") };
    assert_eq!(findings[0].code, Code::Conflict);
}

#[test]
fn what_is_in_use_cannot_be_removed() {
    let (_folder, store) = seeded();
    for (kind, id, codes) in [
        (Kind::Inboxes, "ib_sales", vec![Code::StillUsed, Code::StillUsed]),
        (Kind::Ivrs, "ivr_waiting", vec![Code::StillUsed, Code::UnusedEntryPoint]),
        (Kind::Inboxes, "ib_general", vec![]),
    ] {
        let changes = BTreeMap::from([(Key::new(kind, id), None)]);
        let Err(StoreError::Invalid(findings)) = store.publish_changes(changes, "ann", "x") else {
            panic!("{id} was removed")
        };
        let found: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        if codes.is_empty() {
            assert!(found.contains(&Code::UnknownInbox), "a default inbox: {found:?}");
        } else {
            assert_eq!(found, codes, "{findings:#?}");
        }
    }
    assert_eq!(store.active().load().revision, 1);
}

#[test]
fn a_roll_back_is_a_new_revision_that_undoes_everything_since() {
    let (_folder, store) = seeded();
    let first = store.document_at(1).unwrap();
    let set = |id: &str, body| {
        store.publish_changes(BTreeMap::from([(Key::new(Kind::Inboxes, id), body)]), "ann", "change").unwrap()
    };
    set("ib_extra", Some(inbox("Extra")));
    set("ib_sales", Some(json!({"name": "Sales", "sla_minutes": 7})));
    set("ib_extra", None);
    let differences = store.diff(1, 4).unwrap();
    assert_eq!(differences.len(), 1, "what came and went is no difference: {differences:?}");
    assert_eq!(differences[0].key.id, "ib_sales");
    assert_eq!(differences[0].after.as_ref().unwrap()["sla_minutes"], 7);
    assert_eq!(store.diff(4, 1).unwrap()[0].before, differences[0].after);
    let published = store.roll_back(1, "ann", "back").unwrap();
    assert_eq!((published.revision.number, published.revision.restores), (5, Some(1)));
    assert_eq!(store.document_at(5).unwrap(), first);
    assert_eq!(store.document_at(2).unwrap().len(), first.len() + 1);
    let numbers: Vec<u64> = store.revisions(None, 3).unwrap().iter().map(|r| r.number).collect();
    assert_eq!(numbers, [5, 4, 3]);
    assert_eq!(store.revisions(Some(3), 10).unwrap().len(), 2);
    assert!(matches!(store.roll_back(99, "ann", "x"), Err(StoreError::NoRevision(99))));
    assert!(matches!(store.diff(1, 99), Err(StoreError::NoRevision(99))));
    let old = store.routing_at(3).unwrap();
    assert_eq!(old.plan.inboxes[&vestibule_routing::id::InboxId::from("ib_sales")].sla_minutes, 7);
    assert!(old.plan.inboxes.contains_key(&vestibule_routing::id::InboxId::from("ib_extra")));
}

#[test]
fn a_roll_back_brings_no_number_back_that_was_released() {
    let (_folder, store) = seeded();
    let gone = number("+14155550100");
    let release = |event| store.change_number(gone, NumberChange::Holding(event), "ann");
    release(HoldingEvent::Release).unwrap();
    assert!(matches!(release(HoldingEvent::Gone), Err(StoreError::Invalid(_))), "it is still routed");
    let keys = ["voice/+14155550100"].map(|id| (Key::new(Kind::EntryPoints, id), None));
    let mut changes = BTreeMap::from(keys);
    changes.insert(Key::new(Kind::Numbers, "+14155550100"), None);
    changes.insert(Key::new(Kind::Tests, "a direct line leads to its inbox"), None);
    store.publish_changes(changes, "ann", "give the number back").unwrap();
    assert_eq!(release(HoldingEvent::Gone).unwrap().holding, Holding::Released);
    // The old test expects the number: with the number left out, it fails and says so.
    let Err(StoreError::Invalid(findings)) = store.roll_back(1, "ann", "back") else { panic!("rolled back") };
    assert!(findings.iter().any(|finding| finding.code == Code::TestFailed), "{findings:#?}");
    assert!(!store.active().load().plan.numbers.contains_key(&gone));
}

#[test]
fn a_publish_needs_a_note_and_a_change_and_numbers_of_ours() {
    let (_folder, store) = seeded();
    assert_eq!(code(store.publish("ann", "x", None)), Code::NothingToPublish);
    let change = |kind, id: &str, body| BTreeMap::from([(Key::new(kind, id), Some(body))]);
    assert_eq!(
        code(store.publish_changes(change(Kind::Inboxes, "ib", inbox("I")), "ann", " ")),
        Code::NoNote
    );
    let strange = change(Kind::Numbers, "+14155550177", json!({}));
    assert_eq!(code(store.publish_changes(strange.clone(), "ann", "x")), Code::NotOurNumber);
    store.add_number(number("+14155550177"), Holding::Owned, Sms::NotCapable, "ann").unwrap();
    store.publish_changes(strange, "ann", "x").unwrap();
}

#[test]
fn new_entry_points_are_armed_or_not_as_the_settings_say_and_stay_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options { arm_new: false, ..Options::default() }).unwrap();
    store
        .seed(&SAMPLE.split("\ntests:").next().unwrap().replace("armed: true", "armed: true, sla_minutes: 9"))
        .unwrap();
    let disarmed = |id: &str| {
        let key = document::EntryPointRef::parse(id).unwrap().key();
        store.active().load().plan.entry_points.get(&key).is_some_and(|entry| entry.disarmed)
    };
    assert!(!disarmed("voice/+14155550100"), "it says so itself");
    assert!(disarmed("voice/+14155550101"), "a new number waits to be armed");
    assert!(!disarmed("ivr/ivr_main/exit_sales"), "exits are never shut");
    assert!(disarmed("chat/sample"), "a new chat app waits to be armed");
    let key = Key::new(Kind::EntryPoints, "voice/+14155550101");
    store
        .publish_changes(BTreeMap::from([(key.clone(), Some(json!({"armed": true})))]), "ann", "arm")
        .unwrap();
    store.publish_changes(BTreeMap::from([(key, Some(json!({"sla_minutes": 3})))]), "ann", "sla").unwrap();
    assert!(!disarmed("voice/+14155550101"), "what is armed stays armed");
}

#[test]
fn a_whole_document_can_be_put_and_removes_what_it_lacks() {
    let (_folder, store) = seeded();
    let mut wanted = store.document_at(1).unwrap();
    let gone = Key::new(Kind::Tests, "an unknown number is refused");
    wanted.remove(&gone);
    wanted.insert(Key::new(Kind::Inboxes, "ib_more"), inbox("More"));
    store.edit_all(&wanted, None).unwrap();
    let draft = store.draft().unwrap();
    assert_eq!(draft.changes.len(), 2, "{draft:?}");
    assert_eq!(draft.changes[&gone], None);
    assert_eq!(store.draft_document().unwrap().1, wanted);
    store.publish("ann", "put", None).unwrap();
    assert_eq!(store.document_at(2).unwrap(), wanted);
    assert!(store.validate_document(SAMPLE).unwrap().is_empty());
    assert!(!store.validate_document("inboxes: 3").unwrap().is_empty());
}

#[test]
fn an_edit_of_the_wrong_form_is_refused_with_its_place() {
    let (_folder, store) = seeded();
    let body = json!({"name": "x", "priority": "high"});
    let Err(StoreError::Invalid(findings)) = store.edit(&Key::new(Kind::Inboxes, "ib_x"), Some(&body), None)
    else {
        panic!("accepted")
    };
    assert_eq!(findings[0].path, "/inboxes/ib_x/priority");
}

#[test]
fn records_of_numbers_are_audited_and_follow_their_state_machine() {
    let (_folder, store) = seeded();
    let known = number("+14155550101");
    let record = store.change_number(known, NumberChange::Sms(SmsEvent::Submit), "ann").unwrap();
    assert_eq!(record.sms, Sms::Submitted);
    assert!(matches!(
        store.change_number(known, NumberChange::Sms(SmsEvent::Suspend), "ann"),
        Err(StoreError::NotPossible(_))
    ));
    let audit = store.audit("+14155550101", 10).unwrap();
    assert_eq!(audit.len(), 2, "a refused change leaves no line");
    assert_eq!((audit[0].actor.as_str(), audit[0].action.as_str()), ("ann", "number.sms"));
    assert_eq!(audit[0].before.as_ref().unwrap()["sms"]["state"], "required");
    assert_eq!(audit[0].after.as_ref().unwrap()["sms"]["state"], "submitted");
    assert!(matches!(
        store.add_number(known, Holding::Owned, Sms::Off, "ann"),
        Err(StoreError::NumberExists(_))
    ));
    assert!(matches!(
        store.change_number(number("+4412345678"), NumberChange::Holding(HoldingEvent::Release), "ann"),
        Err(StoreError::NoNumber(_))
    ));
    let routing = store.active().load();
    assert_eq!(
        NumberState::of(record.holding, routing.plan.numbers.get(&known).map(|voice| &**voice)),
        NumberState::IvrLinked
    );
    let page = store.numbers(Some(known), 10).unwrap();
    assert_eq!(page.len(), 1);
}

#[test]
fn subscribers_hear_of_every_revision_in_order() {
    let (_folder, store) = seeded();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    store.active().subscribe(move |routing| kept.lock().unwrap().push(routing.revision));
    for id in ["ib_a", "ib_b"] {
        store
            .publish_changes(BTreeMap::from([(Key::new(Kind::Inboxes, id), Some(inbox(id)))]), "ann", "x")
            .unwrap();
    }
    assert_eq!(*heard.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn a_recording_is_stored_once_under_its_hash_and_needed_by_prompts() {
    let (_folder, store) = seeded();
    let hash = store.add_recording(b"sound").unwrap();
    assert_eq!(hash, store.add_recording(b"sound").unwrap());
    assert_eq!(std::fs::read(store.recording(&hash)).unwrap(), b"sound");
    let prompt =
        |hash: &str| BTreeMap::from([(Key::new(Kind::Prompts, "pr_hello"), Some(json!({"file": hash})))]);
    assert!(store.publish_changes(prompt(&"0".repeat(64)), "ann", "x").is_err());
    store.publish_changes(prompt(&hash), "ann", "x").unwrap();
    let routing = store.active().load();
    assert_eq!(
        routing.prompts.get(&"pr_hello".into()),
        Some(&crate::compile::PromptSource::File { sha256: hash })
    );
}

#[test]
fn a_store_of_a_newer_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let connection = Connection::open(folder.path().join("config.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(
        Store::open(folder.path(), Options::default()),
        Err(StoreError::TooNew { found: 99, .. })
    ));
}

/// Publishes the prompt, and has `each` look on whenever its sounds are made.
fn with_sounds(store: &Arc<Store>, each: impl Fn(&Store) -> Vec<Diagnostic> + Send + Sync + 'static) {
    let weak = Arc::downgrade(store);
    store.prepare_with(move |_| weak.upgrade().map(|store| each(&store)).unwrap_or_default());
}

fn prompt(hash: &str) -> BTreeMap<Key, Option<Value>> {
    BTreeMap::from([(Key::new(Kind::Prompts, "pr_new"), Some(json!({"file": hash})))])
}

#[test]
fn sounds_of_a_publish_and_of_a_roll_back_are_made_once_while_others_use_the_store() {
    let (_folder, store) = seeded();
    let hash = store.add_recording(b"RIFF").unwrap();
    let (store, free) = (Arc::new(store), Arc::new(Mutex::new(Vec::new())));
    let seen = free.clone();
    with_sounds(&store, move |store| {
        seen.lock().unwrap().push(store.connection.try_lock().is_ok());
        Vec::new()
    });
    store.publish_changes(prompt(&hash), "ann", "a prompt").unwrap();
    store.roll_back(1, "ann", "back").unwrap();
    assert_eq!(*free.lock().unwrap(), [true, true]);
    // What touches no prompt asks for no sounds.
    let inboxes = BTreeMap::from([(Key::new(Kind::Inboxes, "ib_x"), Some(inbox("X")))]);
    store.publish_changes(inboxes, "ann", "an inbox").unwrap();
    assert_eq!(free.lock().unwrap().len(), 2);
}

#[test]
fn a_publish_whose_sounds_cannot_be_made_changes_nothing() {
    let (_folder, store) = seeded();
    let hash = store.add_recording(b"RIFF").unwrap();
    let store = Arc::new(store);
    with_sounds(&store, |_| vec![Diagnostic::new(Code::NoSound, "/prompts/pr_new", "no sound")]);
    assert_eq!(code(store.publish_changes(prompt(&hash), "ann", "a prompt")), Code::NoSound);
    assert_eq!(store.active().load().revision, 1);
    assert_eq!(store.revisions(None, 10).unwrap().len(), 1);
}

#[test]
fn a_publish_makes_sounds_again_when_others_changed_prompts_meanwhile() {
    let (_folder, store) = seeded();
    let hash = store.add_recording(b"RIFF").unwrap();
    let (store, made) = (Arc::new(store), Arc::new(Mutex::new(0)));
    let (count, other) = (made.clone(), hash.clone());
    with_sounds(&store, move |store| {
        let mut count = count.lock().unwrap();
        *count += 1;
        if *count == 1 {
            drop(count);
            let changes = BTreeMap::from([(Key::new(Kind::Prompts, "pr_bob"), Some(json!({"file": other})))]);
            store.publish_changes(changes, "bob", "quicker").unwrap();
        }
        Vec::new()
    });
    assert_eq!(store.publish_changes(prompt(&hash), "ann", "slower").unwrap().revision.number, 3);
    assert_eq!(*made.lock().unwrap(), 3, "once for bob, and for ann before and after him");
    let prompts = store.active().load().prompts.clone();
    assert!(prompts.get(&"pr_new".into()).is_some() && prompts.get(&"pr_bob".into()).is_some());
}

#[test]
fn the_oldest_revisions_are_forgotten_with_what_only_they_held() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { revisions_kept_max: 11, ..Options::default() };
    let store = Store::open(folder.path(), options).unwrap();
    store.seed(SAMPLE).unwrap();
    let key = Key::new(Kind::Inboxes, "ib_turn");
    for turn in 2..=20 {
        let body = (turn != 15).then(|| inbox(&format!("Turn {turn}")));
        store.publish_changes(BTreeMap::from([(key.clone(), body)]), "ann", "turn").unwrap();
    }
    let kept: Vec<u64> = store.revisions(None, 100).unwrap().iter().map(|r| r.number).collect();
    assert_eq!(kept, (10..=20).rev().collect::<Vec<_>>());
    assert!(matches!(store.document_at(9), Err(StoreError::NoRevision(9))));
    assert!(matches!(store.roll_back(9, "ann", "too late"), Err(StoreError::NoRevision(9))));
    assert_eq!(store.document_at(10).unwrap()[&key], inbox("Turn 10"));
    assert!(!store.document_at(15).unwrap().contains_key(&key));
    let sample = parse(SAMPLE).unwrap();
    assert!(
        sample.keys().all(|key| store.document_at(10).unwrap().contains_key(key)),
        "what still holds stays"
    );
    let bodies: i64 = store
        .lock()
        .query_row("SELECT count(*) FROM objects WHERE id = 'ib_turn'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(bodies, 10, "revisions 10 to 20 but 15");
    assert_eq!(store.roll_back(12, "ann", "back").unwrap().revision.number, 21);
    assert_eq!(store.document_at(21).unwrap()[&key], inbox("Turn 12"));
    drop(store);
    assert_eq!(Store::open(folder.path(), options).unwrap().active().load().revision, 21);
}

#[test]
fn an_edit_older_than_all_kept_revisions_is_published_only_over_what_it_was_made_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options { revisions_kept_max: 11, ..Options::default() }).unwrap();
    store.seed(SAMPLE).unwrap();
    let (gone, stays, turn) = ("ib_gone", "ib_stays", "ib_turn");
    let publish = |id: &str, body: Option<Value>| {
        store.publish_changes(BTreeMap::from([(Key::new(Kind::Inboxes, id), body)]), "bob", "x").unwrap();
    };
    publish(gone, Some(inbox("Gone")));
    publish(stays, Some(inbox("Stays")));
    store.edit(&Key::new(Kind::Inboxes, gone), Some(&inbox("Edited")), None).unwrap();
    publish(gone, None);
    store.edit(&Key::new(Kind::Inboxes, gone), Some(&inbox("Edited")), None).unwrap();
    store.edit(&Key::new(Kind::Inboxes, stays), Some(&inbox("Edited")), None).unwrap();
    for round in 0..20 {
        publish(turn, Some(inbox(&format!("Turn {round}"))));
    }
    assert_eq!(code(store.publish("ann", "late", None)), Code::Conflict, "nobody knows what it was any more");
    store.edit(&Key::new(Kind::Inboxes, gone), Some(&inbox("Edited")), None).unwrap();
    store.publish("ann", "in time", None).unwrap();
}

#[test]
fn recordings_that_nothing_names_go_when_their_time_is_over() {
    let (_folder, store) = seeded();
    let hashes: Vec<String> =
        [&b"published"[..], b"drafted", b"unused"].iter().map(|b| store.add_recording(b).unwrap()).collect();
    store.publish_changes(prompt(&hashes[0]), "ann", "a prompt").unwrap();
    store
        .publish_changes(BTreeMap::from([(Key::new(Kind::Prompts, "pr_new"), None)]), "ann", "no more")
        .unwrap();
    store.edit(&Key::new(Kind::Prompts, "pr_d"), Some(&json!({"file": hashes[1]})), None).unwrap();
    std::fs::write(store.recording("half.part"), b"half").unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let now = std::time::SystemTime::now();
    assert_eq!(store.prune_recordings(now - hour).unwrap(), 0, "their time is not over");
    assert_eq!(store.prune_recordings(now + hour).unwrap(), 10, "unused and half");
    let left: HashSet<String> = store.recordings(None, 10).unwrap().into_iter().map(|r| r.sha256).collect();
    assert_eq!(left, HashSet::from([hashes[0].clone(), hashes[1].clone()]));
    store.roll_back(2, "ann", "back").unwrap();
}

#[test]
fn recordings_fill_no_more_than_their_room() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Store::open(folder.path(), Options { recordings_bytes_max: 10, ..Options::default() }).unwrap();
    let first = store.add_recording(b"12345678").unwrap();
    assert!(matches!(store.add_recording(b"abc"), Err(StoreError::RecordingsFull { max: 10 })));
    assert_eq!(store.add_recording(b"12345678").unwrap(), first, "what is there needs no room");
    store.add_recording(b"ab").unwrap();
}
