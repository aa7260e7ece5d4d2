use std::path::Path;

use vestibule_routing::id::TrunkId;

use super::*;
use crate::{
    journal::{Options, Retention},
    telemetry::JournalMetrics,
};

fn journal(folder: &Path) -> Journal {
    let options = Options {
        free_stop_bytes: 0,
        retention: Retention { ..Options::new("").retention },
        ..Options::new(folder.join("journal.db"))
    };
    Journal::open(options, JournalMetrics::unregistered().unwrap()).unwrap().0
}

fn callbacks(journal: &Journal) -> Callbacks {
    Callbacks::new(journal.clone(), Queues::default(), CallbackMetrics::unregistered().unwrap())
}

fn row(id: &str, number: &str, since: i64) -> CallbackRow {
    let now = Timestamp::now();
    CallbackRow {
        id: id.to_owned(),
        contact: "ct_1".into(),
        number: number.to_owned(),
        company: "+14155550100".to_owned(),
        trunk: Some(TrunkId::from("tr_a")),
        inbox: "ib_a".into(),
        priority: 5,
        since: Timestamp::from_second(since).unwrap(),
        expires: Timestamp::from_second(now.as_second() + 3600).unwrap(),
        gap_seconds: 60,
        attempts_left: 2,
        attempts: 0,
        not_before: Timestamp::from_second(since).unwrap(),
    }
}

fn due(callbacks: &Callbacks, free: Option<u32>) -> Vec<String> {
    callbacks.due(Timestamp::now(), |_| free).into_iter().map(|row| row.id).collect()
}

fn attempt(callbacks: &Callbacks, row: CallbackRow) -> Attempt {
    Attempt { callbacks: callbacks.clone(), row, settled: false }
}

#[tokio::test]
async fn a_stored_callback_is_there_again_after_a_restart_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let stored = row("cb_1", "+12125550199", 10);
    {
        let journal = journal(folder.path());
        callbacks(&journal).store(stored.clone()).await.unwrap();
        journal.close();
    }
    let journal = journal(folder.path());
    let again = callbacks(&journal);
    again.load().await.unwrap();
    assert_eq!(again.list(), [stored]);
    assert_eq!(again.inner.queues.waiting(), 1, "it has its place");
    assert!(again.cancel("cb_1").is_some());
    assert!(again.cancel("cb_1").is_none());
    assert_eq!(again.inner.queues.waiting(), 0);
    journal.close();
    let journal = self::journal(folder.path());
    assert!(journal.reader().callbacks().await.unwrap().is_empty());
    let kinds: Vec<EventKind> =
        journal.reader().events(0, 10, Vec::new()).await.unwrap().rows.iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [EventKind::CallbackRequested, EventKind::CallbackDone]);
}

#[tokio::test]
async fn who_is_next_is_called_when_somebody_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let callbacks = callbacks(&journal);
    for (id, number, since) in
        [("cb_2", "+12125550102", 20), ("cb_1", "+12125550101", 10), ("cb_3", "+12125550103", 30)]
    {
        callbacks.store(row(id, number, since)).await.unwrap();
    }
    assert!(due(&callbacks, Some(0)).is_empty(), "nobody is there");
    assert_eq!(due(&callbacks, None), ["cb_1"], "unknown: the first only");
    assert!(due(&callbacks, None).is_empty(), "it is being called");
    assert!(callbacks.cancel("cb_1").is_none());
    assert_eq!(due(&callbacks, Some(2)), ["cb_2"]);
}

#[tokio::test]
async fn a_caller_on_the_line_who_came_earlier_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let callbacks = callbacks(&journal);
    let at = |second| Timestamp::from_second(second).unwrap();
    let earlier = callbacks.inner.queues.join(&"ib_a".into(), &"ct_9".into(), at(5), 5, None).unwrap();
    callbacks.store(row("cb_1", "+12125550101", 10)).await.unwrap();
    assert!(due(&callbacks, Some(1)).is_empty());
    drop(earlier);
    assert_eq!(due(&callbacks, Some(1)), ["cb_1"]);
}

#[tokio::test]
async fn an_attempt_that_fails_rests_and_the_last_one_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let callbacks = callbacks(&journal);
    callbacks.store(row("cb_1", "+12125550101", 10)).await.unwrap();
    callbacks.store(row("cb_2", "+12125550102", 20)).await.unwrap();
    let first = callbacks.due(Timestamp::now(), |_| None).remove(0);
    drop(attempt(&callbacks, first));
    let [_, left] = &callbacks.list()[..] else { panic!("{:?}", callbacks.list()) };
    assert_eq!(left.id, "cb_2");
    let rested = callbacks.list().remove(0);
    assert_eq!((rested.attempts, rested.attempts_left), (1, 1));
    assert!(rested.not_before > Timestamp::now());
    assert_eq!(due(&callbacks, None), ["cb_2"], "who rests holds up nobody");
    let later = rested.not_before;
    let again = callbacks.due(later, |_| Some(9));
    assert_eq!(again.len(), 1);
    drop(attempt(&callbacks, again[0].clone()));
    assert_eq!(callbacks.list().len(), 1, "the last attempt was the last");
    journal.close();
    let journal = self::journal(folder.path());
    let kept = journal.reader().callbacks().await.unwrap();
    assert_eq!(kept.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["cb_2"]);
    let page = journal.reader().events(0, 10, vec![EventKind::CallbackDone]).await.unwrap();
    assert!(page.rows[0].data.get().contains(r#""result":"not_reached""#), "{}", page.rows[0].data);
    assert!(page.rows[0].data.get().contains(r#""attempts":2"#), "{}", page.rows[0].data);
}

#[tokio::test]
async fn who_is_reached_gives_the_place_up_and_who_could_not_be_tried_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let callbacks = callbacks(&journal);
    callbacks.store(row("cb_1", "+12125550101", 10)).await.unwrap();
    let due = callbacks.due(Timestamp::now(), |_| None).remove(0);
    attempt(&callbacks, due).put_off();
    assert_eq!((callbacks.list()[0].attempts, callbacks.inner.queues.waiting()), (0, 1));
    let due = callbacks.due(later(NO_ROOM), |_| None).remove(0);
    attempt(&callbacks, due).reached(&"ct_2".into());
    assert_eq!((callbacks.list().len(), callbacks.inner.queues.waiting()), (0, 0));
}

#[tokio::test]
async fn the_same_number_has_one_callback_with_the_older_place() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let callbacks = callbacks(&journal);
    callbacks.store(row("cb_1", "+12125550101", 10)).await.unwrap();
    callbacks.store(CallbackRow { attempts_left: 9, ..row("cb_2", "+12125550101", 20) }).await.unwrap();
    let all = callbacks.list();
    assert_eq!((all.len(), all[0].id.as_str(), all[0].attempts_left), (1, "cb_1", 9));
    assert_eq!(all[0].since, Timestamp::from_second(10).unwrap());
    assert_eq!(callbacks.inner.queues.waiting(), 1);
}

#[tokio::test]
async fn who_asks_again_while_being_called_is_not_called_twice() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let callbacks = callbacks(&journal);
    callbacks.store(CallbackRow { attempts_left: 1, ..row("cb_1", "+12125550101", 10) }).await.unwrap();
    let attempt = attempt(&callbacks, callbacks.due(Timestamp::now(), |_| None).remove(0));
    callbacks.store(CallbackRow { attempts_left: 3, ..row("cb_2", "+12125550101", 20) }).await.unwrap();
    assert!(due(&callbacks, Some(9)).is_empty(), "the number is being called");
    drop(attempt);
    let left = callbacks.list();
    assert_eq!((left.len(), left[0].attempts, left[0].attempts_left), (1, 1, 2), "the newer terms hold");
}

#[tokio::test]
async fn a_callback_is_given_up_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let callbacks = callbacks(&journal);
    callbacks
        .store(CallbackRow { expires: Timestamp::now(), ..row("cb_1", "+12125550101", 10) })
        .await
        .unwrap();
    let over = callbacks.expired(Timestamp::now());
    assert_eq!(over.len(), 1);
    assert!(callbacks.list().is_empty());
}
