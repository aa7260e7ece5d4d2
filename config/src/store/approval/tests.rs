use super::*;
use crate::{
    sample::SAMPLE,
    store::{Acting, Options, acting},
};

fn open(folder: &tempfile::TempDir) -> Store {
    let options = Options { publish_needs_second: true, publish_requests_max: 3, ..Options::default() };
    let store = Store::open(folder.path(), options).unwrap();
    store.seed(SAMPLE).unwrap();
    store
}

fn inbox(id: &str) -> Key {
    Key::new(Kind::Inboxes, id)
}

/// Edits an inbox, and asks for a publish of the draft.
fn ask(store: &Store, id: &str, name: &str) -> PublishRequest {
    store.edit(&inbox(id), Some(&json!({ "name": name })), None).unwrap();
    let ann = Acting { actor: "ann's key".into(), from: String::new(), person: "ann".into() };
    let refused = acting(ann, || store.publish("ann's key", "Renamed", None));
    let Err(StoreError::AwaitsSecond(request)) = refused else { panic!("it was published: {refused:?}") };
    *request
}

const BEN: Decider<'_> = Decider { name: "ben", person: "ben" };

#[test]
fn a_publish_waits_until_another_person_approves_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let asked = ask(&store, "ib_sales", "Selling");
    assert_eq!((asked.state, asked.changes, store.active().load().revision), (RequestState::Open, 1, 1));
    for same in ["ann", "ann's key"] {
        let decider = Decider { name: same, person: "ann" };
        assert!(matches!(store.approve_publish(asked.id, decider), Err(StoreError::SamePerson(1))));
        let under_another_name = Decider { name: "another key", person: "ann" };
        assert!(store.approve_publish(asked.id, under_another_name).is_err());
        assert!(store.refuse_publish(asked.id, decider, "no").is_err());
    }
    let published = store.approve_publish(asked.id, BEN).unwrap().revision;
    assert_eq!((published.author.as_str(), published.approved_by.as_deref()), ("ann's key", Some("ben")));
    assert_eq!(store.active().load().revision, 2);
    assert!(store.draft().unwrap().changes.is_empty());
    assert!(store.approve_publish(asked.id, BEN).is_err(), "once");
    let (asked, _) = store.publish_request(asked.id).unwrap();
    assert_eq!((asked.state, asked.revision), (RequestState::Approved, Some(2)));
    assert_eq!(store.revisions(None, 1).unwrap()[0].approved_by.as_deref(), Some("ben"));
    let told: Vec<_> = store
        .audit("publish-request/1", 10)
        .unwrap()
        .into_iter()
        .map(|line| (line.actor, line.action))
        .collect();
    let line = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(told, [line("ben", "publish.approved"), line("ann's key", "publish.requested")]);
}

#[test]
fn nothing_that_publishes_goes_around_it_but_what_is_done_at_once_on_purpose() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let change = || Changes::from([(inbox("ib_sales"), Some(json!({"name": "Selling"})))]);
    assert!(matches!(store.publish_changes(change(), "ann", "x"), Err(StoreError::AwaitsSecond(_))));
    assert!(matches!(store.act("ann", "x", |_| Ok(change())), Err(StoreError::AwaitsSecond(_))));
    store.edit(&inbox("ib_sales"), Some(&json!({"name": "Sold"})), None).unwrap();
    let keys = std::collections::BTreeSet::from([inbox("ib_sales")]);
    assert!(matches!(store.publish_some(&keys, "ann", "x", None), Err(StoreError::AwaitsSecond(_))));
    assert!(
        matches!(store.publish("ann", "x", None), Err(StoreError::InTheWay(_))),
        "three wait, and no more may"
    );
    let refused = store.import(("ann", "x"), || Ok(None), |_| ());
    assert!(matches!(refused, Err(StoreError::Invalid(_))));
    assert_eq!(store.active().load().revision, 1);
    assert!(store.act_at_once("ann", "x", |_| Ok(change())).unwrap().is_some());
    assert_eq!(store.active().load().revision, 2);
    store.refuse_publish(1, BEN, "no").unwrap();
    assert!(matches!(store.roll_back(1, "ann", "Back"), Err(StoreError::AwaitsSecond(_))));
    let store_again = store.publish_requests(true, None, 10).unwrap();
    assert_eq!(store_again[0].restores, Some(1));
    assert_eq!(store.approve_publish(store_again[0].id, BEN).unwrap().revision.restores, Some(1));
}

#[test]
fn what_was_asked_for_is_frozen_and_collides_with_what_was_published_since() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    let first = ask(&store, "ib_sales", "Selling");
    store.edit(&inbox("ib_sales"), Some(&json!({"name": "Edited on"})), None).unwrap();
    store.edit(&inbox("ib_other"), Some(&json!({"name": "Other"})), None).unwrap();
    store.approve_publish(first.id, BEN).unwrap();
    let live = |id: &str| store.live(&inbox(id)).unwrap().body.map(|body| body["name"].clone());
    assert_eq!((live("ib_sales"), live("ib_other")), (Some(json!("Selling")), None));
    assert_eq!(store.draft().unwrap().changes.len(), 2, "what was edited since stays");
    let second = ask(&store, "ib_sales", "Edited on");
    let third = ask(&store, "ib_sales", "Otherwise");
    store.approve_publish(second.id, BEN).unwrap();
    assert!(matches!(store.approve_publish(third.id, BEN), Err(StoreError::Invalid(_))), "it collides");
    let ann = Decider { name: "ann", person: "ann" };
    assert!(store.withdraw_publish(third.id, BEN).is_err());
    assert_eq!(store.withdraw_publish(third.id, ann).unwrap().state, RequestState::Withdrawn);
    assert!(store.publish_requests(true, None, 10).unwrap().is_empty());
    assert_eq!(store.publish_requests(false, None, 10).unwrap().len(), 3);
}
