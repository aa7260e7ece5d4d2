use vestibule_config::{document::Key, sample::SAMPLE, store::Options};
use vestibule_routing::{
    id::{IvrId, NodeId},
    outcome::Reason,
};

use super::*;

fn guard(bake_minutes: u64) -> Guard {
    let settings =
        settings::Guard { bake_minutes, calls_min: 4, errors_percent_max: 25, hang_ups_percent_max: 50 };
    Guard::new(settings, GuardMetrics::unregistered().unwrap())
}

fn verdict(guard: &Guard) -> Option<String> {
    guard.watched().last().and_then(|one| one.verdict.clone())
}

const LEFT: Outcome = Outcome { side: Side::Caller, reason: Reason::Completed };
const FINE: Course = Course { nodes: 5, erred: false, left: true };
const BAD: Course = Course { nodes: 5, erred: true, left: true };
const SHORT: Course = Course { nodes: 2, erred: false, left: false };

#[test]
fn too_many_errors_or_early_hang_ups_are_a_verdict_and_fewer_are_none() {
    for (ends, said) in [
        ([FINE, FINE, FINE, BAD], None),
        ([FINE, FINE, BAD, BAD], Some("2 of 4 calls took an error transition")),
        ([FINE, FINE, SHORT, SHORT], None),
        ([FINE, SHORT, SHORT, SHORT], Some("3 of 4 callers hung up at the first node")),
    ] {
        let guard = guard(10);
        guard.watch(7);
        for course in ends {
            guard.ended(Some(7), &course, LEFT);
        }
        assert_eq!(verdict(&guard).as_deref(), said);
    }
}

#[test]
fn calls_under_older_revisions_and_without_ivr_are_not_counted_and_off_is_off() {
    let on = guard(10);
    on.watch(7);
    for _ in 0..10 {
        on.ended(Some(6), &BAD, LEFT);
        on.ended(None, &BAD, LEFT);
        on.ended(Some(7), &Course::default(), LEFT);
    }
    assert_eq!(verdict(&on), None);
    let off = guard(0);
    off.watch(7);
    assert!(off.watched().is_empty());
}

#[test]
fn a_course_is_what_the_events_of_a_call_say() {
    let entered = |by: Option<&str>| FeedEvent::NodeEntered {
        ivr: IvrId::from("ivr_main"),
        node: NodeId::from("x"),
        by: by.map(str::to_owned),
        digits: String::new(),
    };
    let mut course = Course::default();
    course.note(&entered(None));
    course.note(&entered(Some("next")));
    assert!(course.ended_at_first_node(LEFT) && !course.erred);
    assert!(!course.ended_at_first_node(Outcome { side: Side::Plan, reason: Reason::HungUpByIvr }));
    course.note(&entered(Some("error")));
    assert!(course.erred && !course.ended_at_first_node(LEFT));
    let mut failed = Course::default();
    failed.note(&FeedEvent::IvrExited {
        ivr: IvrId::from("x"),
        node: None,
        inbox: None,
        failure: Some("loop"),
    });
    assert!(failed.erred);
}

#[tokio::test]
async fn a_bad_revision_is_taken_back_alone_and_what_others_changed_since_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path(), Options::default()).unwrap());
    store.seed(SAMPLE).unwrap();
    let journal = Journal::open(
        crate::journal::Options::new(folder.path().join("journal.db")),
        crate::telemetry::Metrics::new().unwrap().journal.clone(),
    );
    let journal = journal.unwrap().0;
    let guard = guard(10);
    let follows = tokio::spawn(guard.clone().follow(store.clone(), journal));
    let number = Key::new(Kind::Numbers, "+14155550100");
    let before = store.live(&number).unwrap().body.unwrap();
    tokio::task::yield_now().await;
    let mut after = before.clone();
    after["queue_wait_seconds"] = json!(60);
    store.publish_changes([(number.clone(), Some(after))].into(), "ann", "Longer").unwrap();
    let inbox = Key::new(Kind::Inboxes, "ib_new");
    store.publish_changes([(inbox.clone(), Some(json!({"name": "New"})))].into(), "ben", "New").unwrap();
    wait_for(|| !guard.watched().is_empty()).await;
    assert_eq!(
        guard.watched().iter().map(|one| one.revision).collect::<Vec<_>>(),
        [2],
        "an inbox is not heard"
    );
    for _ in 0..4 {
        guard.ended(Some(3), &BAD, LEFT);
    }
    wait_for(|| store.active().load().revision == 4).await;
    assert_eq!(store.live(&number).unwrap().body.unwrap(), before);
    assert!(store.live(&inbox).unwrap().body.is_some());
    let revision = store.revisions(None, 1).unwrap().remove(0);
    assert_eq!(revision.note, "Undid revision 2: 4 of 4 calls took an error transition");
    assert_eq!(store.audit("revision/4", 1).unwrap()[0].actor, GUARD);
    assert_eq!(guard.inner.metrics.rolled_back.get(), 1);
    wait_for(|| guard.watched().is_empty()).await;
    follows.abort();
}

async fn wait_for(done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to that within 5 seconds");
}
