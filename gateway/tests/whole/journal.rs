//! The journal's promises: gapless sequences, one record a contact, failures that acknowledge nothing.

use std::{collections::BTreeSet, path::Path, time::Duration};

use jiff::Timestamp;
use vestibule::{
    feed::{Feed, FeedPage, Wanted},
    journal::{
        ContactEnd, ContactFilter, ContactProgress, ContactStart, ContactState, ContactUpdate, Entry,
        EventKind, FeedRow, Journal, JournalError, Options, Place, Recovered, Undecided,
    },
    repeats::Repeats,
    telemetry::{JournalMetrics, JournalRefusal},
};
use vestibule_routing::{
    channel::Channel,
    id::{ContactId, InboxId},
    journey::FeedEvent,
    outcome::{Outcome, Reason, Side},
};

fn open(folder: &Path) -> (Journal, Recovered) {
    open_with(folder, |_| {})
}

fn open_with(folder: &Path, change: impl FnOnce(&mut Options)) -> (Journal, Recovered) {
    let mut options = Options::new(folder.join("journal.sqlite"));
    change(&mut options);
    Journal::open(options, JournalMetrics::unregistered().unwrap()).unwrap()
}

fn start() -> ContactStart {
    ContactStart {
        channel: Channel::Voice,
        from: "+14155550199".into(),
        to: "+14155550100".into(),
        arrived: Timestamp::now(),
        entry_point: Some("+14155550100".into()),
        revision: Some(7),
        trunk: None,
        call_id: Some("a@b".into()),
        callback: None,
        diverted_from: None,
    }
}

/// What takes each version back to the one before, the newest first.
const BACK: [&str; 10] = [
    "DROP TABLE erasure; DROP TABLE erasure_found;",
    "DROP INDEX contact_held_at; CREATE INDEX contact_held ON contact(id) WHERE held = 1; DROP INDEX conversation_closed;
     DROP INDEX dedup_of_day; ALTER TABLE dedup DROP COLUMN lasting; CREATE INDEX dedup_day ON dedup(day);
     DROP INDEX outbox_seq;",
    "ALTER TABLE chat_line DROP COLUMN files;",
    "DROP INDEX contact_chat_handled; ALTER TABLE contact DROP COLUMN taken_us;",
    "DROP TABLE lease;",
    "DROP TABLE media;",
    "DROP TABLE chat_line; DROP INDEX contact_chat_waits;",
    "DROP TABLE outbox; DROP TABLE dedup; DROP TABLE conversation; DROP TABLE opt_out;
     DROP INDEX contact_of_conversation; DROP INDEX contact_held; ALTER TABLE contact DROP COLUMN conversation;
     ALTER TABLE contact DROP COLUMN taken_by; ALTER TABLE contact DROP COLUMN held;",
    "ALTER TABLE contact DROP COLUMN diverted_from;",
    "DROP TABLE callback;",
];

#[tokio::test]
async fn a_journal_of_any_version_before_is_brought_up_to_date() {
    for back in 1..=BACK.len() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(folder.path());
        let tables = |folder: &Path| -> Vec<String> {
            let database = rusqlite::Connection::open(folder.join("journal.sqlite")).unwrap();
            let mut names = database.prepare("SELECT sql FROM sqlite_schema ORDER BY name").unwrap();
            names.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap().flatten().flatten().collect()
        };
        journal.append(Entry::started("ct_old".into(), start())).await.unwrap();
        journal.close();
        let fresh = tables(folder.path());
        let old = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
        old.execute_batch(&BACK[..back].concat()).unwrap();
        old.pragma_update(None, "user_version", i64::try_from(BACK.len() + 1 - back).unwrap()).unwrap();
        drop(old);
        let (journal, _) = open(folder.path());
        let diverted = ContactStart { diverted_from: Some("+14155550177".into()), ..start() };
        journal.append(Entry::started("ct_new".into(), diverted)).await.unwrap();
        let row = |id: &str| journal.reader().contact(id.into());
        assert_eq!(row("ct_old").await.unwrap().unwrap().diverted_from, None);
        assert_eq!(row("ct_new").await.unwrap().unwrap().diverted_from.as_deref(), Some("+14155550177"));
        journal.close();
        assert_eq!(tables(folder.path()).len(), fresh.len(), "{back} versions back");
    }
}

fn end(reason: Reason) -> ContactEnd {
    ContactEnd::new(Timestamp::now(), Outcome::new(Side::Caller, reason))
}

fn queued(contact: &ContactId) -> Entry {
    let mut entry = Entry::new(contact.clone());
    entry.push(Timestamp::now(), &FeedEvent::Queued { inbox: "ib_a".into(), sla_due: Timestamp::now() });
    entry
}

async fn all_events(journal: &Journal) -> Vec<FeedRow> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |row: &FeedRow| row.seq);
        let page = journal.reader().events(after, 1000, Vec::new()).await.unwrap();
        if page.rows.is_empty() {
            return all;
        }
        all.extend(page.rows);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequences_have_no_gap_under_sixty_four_committers() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                for call in 0..10 {
                    let id = ContactId::new(format!("ct_{task:03}{call:03}"));
                    let receipt = journal.append(Entry::started(id.clone(), start())).await.unwrap();
                    seqs.push(receipt.first_seq());
                    let mut last = queued(&id);
                    last.end(end(Reason::Completed));
                    let receipt = journal.append(last).await.unwrap();
                    assert_eq!(receipt.count(), 2);
                    seqs.extend([receipt.first_seq(), receipt.first_seq() + 1]);
                }
                seqs
            })
        })
        .collect();
    let mut seqs = BTreeSet::new();
    for task in tasks {
        seqs.extend(task.await.unwrap());
    }
    assert_eq!(seqs, (1..=64 * 10 * 3).collect::<BTreeSet<_>>());
    let stored: Vec<_> = all_events(&journal).await.iter().map(|row| row.seq).collect();
    assert_eq!(stored, (1..=64 * 10 * 3).collect::<Vec<_>>());
    assert_eq!(*journal.committed().borrow(), 64 * 10 * 3);
}

#[tokio::test]
async fn a_contact_left_open_by_a_crash_gets_exactly_one_end() {
    let folder = tempfile::tempdir().unwrap();
    let (open_id, ended_id) = (ContactId::from("ct_open"), ContactId::from("ct_over"));
    {
        let (journal, recovered) = open(folder.path());
        assert_eq!(recovered.contacts, 0);
        let long_ago = Timestamp::now() - jiff::SignedDuration::from_secs(60);
        let started = ContactStart { arrived: long_ago, ..start() };
        journal.append(Entry::started(open_id.clone(), started)).await.unwrap();
        journal.append(Entry::started(ended_id.clone(), start())).await.unwrap();
        journal.append(Entry::ended(ended_id.clone(), end(Reason::Completed))).await.unwrap();
        journal.close();
    }
    for expected in [1, 0] {
        let (journal, recovered) = open(folder.path());
        assert_eq!((recovered.contacts, recovered.undecided.len()), (expected, 0));
        assert_eq!(ended_contacts(&journal).await, ["ct_over", "ct_open"]);
        assert_restarted(&journal, "ct_open").await;
        journal.close();
    }
}

#[tokio::test]
async fn an_invite_repeated_over_a_crash_goes_on_under_its_first_record() {
    let folder = tempfile::tempdir().unwrap();
    let call = |call_id: &str| ContactStart { call_id: Some(call_id.into()), ..start() };
    {
        let (journal, _) = open(folder.path());
        for id in ["repeated", "silent"] {
            let contact = ContactId::from(format!("ct_{id}").as_str());
            journal.append(Entry::started(contact, call(id))).await.unwrap();
        }
        journal.close();
    }
    let (journal, recovered) = open(folder.path());
    assert_eq!((recovered.contacts, recovered.undecided.len()), (0, 2));
    let until = recovered.undecided.iter().map(|contact| contact.until).max().unwrap();
    assert!(until.duration_since(Timestamp::now()) < jiff::SignedDuration::from_secs(3));
    let twin = |from: &str| Undecided {
        from: from.into(),
        contact: ContactId::from(format!("ct_{from}").as_str()),
        ..recovered.undecided[0].clone()
    };
    let twins = Repeats::new(vec![twin("a"), twin("b")]);
    let start_of_twin =
        |from: &str| ContactStart { from: from.into(), ..call(&recovered.undecided[0].call_id) };
    assert_eq!(twins.take(&start_of_twin("b")), Some("ct_b".into()));
    assert_eq!(twins.take(&start_of_twin("a")), Some("ct_a".into()), "one Call-ID, two callers");
    let repeats = Repeats::new(recovered.undecided);
    assert_eq!(repeats.take(&call("another")), None);
    assert_eq!(repeats.take(&ContactStart { from: "+14155550111".into(), ..call("repeated") }), None);
    assert_eq!(repeats.take(&call("repeated")), Some("ct_repeated".into()));
    assert_eq!(repeats.take(&call("repeated")), None, "given out once");
    repeats.end_due(&journal, Timestamp::now());
    assert!(ended_contacts(&journal).await.is_empty(), "its time has not come");
    repeats.end_due(&journal, Timestamp::MAX);
    journal.append(Entry::ended("ct_repeated".into(), end(Reason::Completed))).await.unwrap();
    assert_eq!(ended_contacts(&journal).await, ["ct_silent", "ct_repeated"]);
    assert_restarted(&journal, "ct_silent").await;
    assert_eq!(repeats.take(&call("silent")), None);
}

async fn ended_contacts(journal: &Journal) -> Vec<String> {
    let ended = |row: &FeedRow| row.kind == EventKind::ContactEnded;
    all_events(journal).await.into_iter().filter(ended).map(|row| row.contact).collect()
}

async fn assert_restarted(journal: &Journal, contact: &str) {
    let record = journal.reader().contact(contact.into()).await.unwrap().unwrap();
    assert_eq!(record.outcome_side.as_deref(), Some("gateway"));
    assert_eq!(record.outcome_reason.as_deref(), Some("restarted"));
}

#[tokio::test]
async fn a_record_takes_what_its_updates_say_and_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let id = ContactId::from("ct_1");
    journal.append(Entry::started(id.clone(), start())).await.unwrap();
    let again = journal.append(Entry::started(id.clone(), start())).await;
    assert!(matches!(again, Err(JournalError::DuplicateContact(_))), "{again:?}");

    let mut progress = queued(&id);
    let inbox = Some(InboxId::from("ib_a"));
    progress.record =
        Some(ContactUpdate::Progress(Box::new(ContactProgress { inbox, ..Default::default() })));
    journal.append(progress).await.unwrap();

    let mut over = end(Reason::AbandonedInQueue);
    over.abandoned_at = Some(Place::Queue { inbox: "ib_a".into(), waited_ms: 1500 });
    over.trace = Some("[1]".into());
    journal.append(Entry::ended(id.clone(), over)).await.unwrap();
    let twice = journal.append(Entry::ended(id.clone(), end(Reason::Completed))).await;
    assert!(matches!(twice, Err(JournalError::NotOpen(_))), "{twice:?}");

    let record = journal.reader().contact("ct_1".into()).await.unwrap().unwrap();
    assert_eq!(record.inbox.as_deref(), Some("ib_a"));
    assert_eq!(record.outcome_reason.as_deref(), Some("abandoned_in_queue"));
    assert_eq!(record.abandoned_at.as_deref(), Some(r#"{"in":"queue","inbox":"ib_a","waited_ms":1500}"#));
    assert_eq!((record.revision, record.trace.as_deref()), (Some(7), Some("[1]")));
    let kinds: Vec<_> = all_events(&journal).await.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(kinds, ["contact.started", "contact.queued", "contact.ended"]);
    let ended = ContactFilter { state: Some(ContactState::Ended), ..Default::default() };
    assert_eq!(journal.reader().contacts(ended, 10).await.unwrap().0.len(), 1);
}

#[tokio::test]
async fn a_failed_commit_acknowledges_nothing_of_its_batch_and_ends_are_still_written() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open_with(folder.path(), |options| options.commit_window = Duration::from_millis(100));
    let live = ContactId::from("ct_live");
    journal.append(Entry::started(live.clone(), start())).await.unwrap();
    let saboteur = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
    saboteur
        .execute_batch(
            "CREATE TRIGGER sabotage BEFORE INSERT ON event WHEN new.contact = 'ct_bad'
             BEGIN SELECT RAISE(ABORT, 'the disk broke'); END",
        )
        .unwrap();

    // One batch, since the window after the last commit is long.
    let good = journal.append(Entry::started("ct_good".into(), start()));
    journal.append_later(Entry::ended(live.clone(), end(Reason::Completed))).unwrap();
    let bad = journal.append(Entry::started("ct_bad".into(), start()));
    assert!(matches!(good.await, Err(JournalError::CommitFailed(_))));
    assert!(matches!(bad.await, Err(JournalError::CommitFailed(_))));

    saboteur.execute_batch("DROP TRIGGER sabotage").unwrap();
    let mut committed = journal.committed();
    tokio::time::timeout(Duration::from_secs(5), committed.wait_for(|seq| *seq >= 2)).await.unwrap().unwrap();
    let events = all_events(&journal).await;
    let told: Vec<_> = events.iter().map(|row| (row.contact.as_str(), row.kind)).collect();
    assert_eq!(told, [("ct_live", EventKind::ContactStarted), ("ct_live", EventKind::ContactEnded)]);
    assert!(journal.is_ready());
    journal.append(Entry::started("ct_after".into(), start())).await.unwrap();
    assert!(journal.reader().contact("ct_good".into()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_full_queue_refuses_starts_but_takes_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(folder.path().join("journal.sqlite"));
    (options.queue_events_max, options.commit_window) = (4, Duration::from_millis(300));
    let metrics = JournalMetrics::unregistered().unwrap();
    let (journal, _) = Journal::open(options, metrics.clone()).unwrap();
    let live = ContactId::from("ct_live");
    journal.append(Entry::started(live.clone(), start())).await.unwrap();

    let waiting: Vec<_> =
        (0..4).map(|n| journal.append(Entry::started(ContactId::new(format!("ct_{n}")), start()))).collect();
    let refused = journal.append(Entry::started("ct_more".into(), start())).await;
    assert!(matches!(refused, Err(JournalError::Overloaded)), "{refused:?}");
    assert_eq!(metrics.refused.of(JournalRefusal::QueueFull).get(), 1);
    journal.append_later(Entry::ended(live, end(Reason::Completed))).unwrap();
    for receipt in waiting {
        receipt.await.unwrap();
    }
    journal.close();
    assert_eq!(metrics.events.get(), 6);
    let closed = journal.append(Entry::started("ct_late".into(), start())).await;
    assert!(matches!(closed, Err(JournalError::Closed)), "{closed:?}");
}

#[tokio::test]
async fn what_is_larger_than_all_that_may_wait_is_taken_when_nothing_else_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open_with(folder.path(), |options| options.queue_bytes_max = 1);
    for id in ["ct_1", "ct_2"] {
        journal.append(Entry::started(id.into(), start())).await.unwrap();
    }
}

#[tokio::test]
async fn trimming_spares_active_consumers_and_tells_the_others_of_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (journal, _) = open(folder.path());
        for n in 0..10 {
            let id = ContactId::new(format!("ct_{n}"));
            journal.append(Entry::started(id.clone(), start())).await.unwrap();
            journal.append(Entry::ended(id, end(Reason::Completed))).await.unwrap();
        }
        journal.set_cursor("slow".into(), 0, 5).await.unwrap();
        journal.close();
    }
    let (journal, _) = open_with(folder.path(), |options| options.retention.events_age_max = Duration::ZERO);
    let feed = Feed::new(journal.clone(), "/test");
    let page = wait_for_gap(&feed).await;
    assert_eq!(page.events[0].kind, EventKind::FeedGap);
    assert_eq!(page.events[0].data.get(), r#"{"from":1,"to":5}"#);
    assert_eq!(page.events[0].sequence, "5");
    assert_eq!(page.events[1].sequence, "6");
    let slow = feed.read(&Wanted { after: 5, limit: 100, kinds: Vec::new() }).await.unwrap();
    assert_eq!(slow.events.len(), 15, "what the consumer has not read is kept");
    assert_eq!(slow.events[0].sequence, "6");

    // Once it has read on, all goes but the newest row, from which the sequence continues.
    journal.set_cursor("slow".into(), 5, 20).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let rest = feed.read(&Wanted { after: 5, limit: 100, kinds: Vec::new() }).await.unwrap();
    assert_eq!(rest.events.len(), 2);
    assert_eq!(rest.events[1].sequence, "20");
    journal.close();
    drop((journal, feed));
    let (journal, _) = open(folder.path());
    let receipt = journal.append(Entry::started("ct_next".into(), start())).await.unwrap();
    assert_eq!(receipt.first_seq(), 21);
}

async fn wait_for_gap(feed: &Feed) -> FeedPage {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    loop {
        let page = feed.read(&Wanted { after: 0, limit: 100, kinds: Vec::new() }).await.unwrap();
        if page.events.first().is_some_and(|event| event.kind == EventKind::FeedGap) {
            return page;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing was trimmed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_cursor_moves_only_from_where_it_stands_and_never_beyond_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    journal.append(Entry::started("ct_1".into(), start())).await.unwrap();
    assert_eq!(journal.reader().cursor("crm".into()).await.unwrap(), None);
    journal.set_cursor("crm".into(), 0, 1).await.unwrap();
    let moved = journal.set_cursor("crm".into(), 0, 1).await;
    assert!(matches!(moved, Err(JournalError::CursorMoved { expected: 0, current: 1 })), "{moved:?}");
    let ahead = journal.set_cursor("crm".into(), 1, 2).await;
    assert!(matches!(ahead, Err(JournalError::CursorAhead { cursor: 2, last: 1 })), "{ahead:?}");
    assert_eq!(journal.reader().cursor("crm".into()).await.unwrap(), Some(1));
}

#[tokio::test]
async fn event_ids_stay_the_same_over_a_restart_and_a_sole_entry_does_not_wait_for_company() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = Wanted { after: 0, limit: 10, kinds: Vec::new() };
    let before = {
        let (journal, _) = open_with(folder.path(), |options| options.commit_window = Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let begun = std::time::Instant::now();
        journal.append(Entry::started("ct_1".into(), start())).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        journal.append_later(Entry::ended("ct_1".into(), end(Reason::Completed))).unwrap();
        journal.close();
        Feed::new(journal, "/test").read(&wanted).await.unwrap()
    };
    let (journal, _) = open(folder.path());
    let after = Feed::new(journal, "/test").read(&wanted).await.unwrap();
    let ids = |page: &FeedPage| page.events.iter().map(|e| e.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&after));
    assert_eq!(ids(&after).len(), 2);
}

#[tokio::test]
async fn a_second_gateway_on_the_same_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    let options = Options::new(folder.path().join("journal.sqlite"));
    let second = Journal::open(options, JournalMetrics::unregistered().unwrap());
    assert!(matches!(second, Err(JournalError::InUse { .. })), "{second:?}");
    journal.close();
    open(folder.path());
}

#[tokio::test]
async fn a_cursor_ahead_of_the_journal_is_told_so_and_not_kept_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(folder.path());
    journal.append(Entry::started("ct_1".into(), start())).await.unwrap();
    let feed = Feed::new(journal, "/test");
    let wanted = |after| Wanted { after, limit: 10, kinds: Vec::new() };
    assert!(feed.read(&wanted(1)).await.unwrap().events.is_empty());
    let ahead = feed.read_or_wait(wanted(2), Duration::from_secs(30)).await;
    assert!(matches!(ahead, Err(JournalError::CursorAhead { cursor: 2, last: 1 })), "{ahead:?}");
}
