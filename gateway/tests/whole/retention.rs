//! What is trimmed of the journal, and what is not: nothing old holds up what is old too, and nothing goes that somebody is
//! owed.

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use vestibule::{
    journal::{
        Arrival, ContactFilter, Entry, Journal, MediaFilter, MessageJob, MessageRoute, Options, OutboxRow,
        OutboxUpdate, Remembered,
    },
    message::{Content, Incoming, What},
    telemetry::JournalMetrics,
};
use vestibule_routing::channel::Channel;

const DAY: Duration = Duration::from_secs(86_400);

fn open(folder: &Path, change: impl FnOnce(&mut Options)) -> Journal {
    let mut options = Options::new(folder.join("journal.sqlite"));
    change(&mut options);
    Journal::open(options, JournalMetrics::unregistered().unwrap()).unwrap().0
}

/// Writes into the closed journal what the past has left there.
fn past(folder: &Path, sql: &str) {
    open(folder, |_| {}).close();
    let database = rusqlite::Connection::open(folder.join("journal.sqlite")).unwrap();
    database.execute_batch(sql).unwrap();
}

fn days_ago(days: i64) -> i64 {
    Timestamp::now().as_microsecond() - days * 86_400_000_000
}

/// Waits for some rounds of trimming until it is so.
async fn becomes(what: &str, so: impl AsyncFn() -> bool) {
    for _ in 0..200 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}");
}

async fn contacts(journal: &Journal) -> Vec<String> {
    let (rows, _) = journal.reader().contacts(ContactFilter::default(), 1000).await.unwrap();
    rows.into_iter().map(|row| row.id).collect()
}

#[tokio::test]
async fn old_contacts_that_ended_go_though_many_older_ones_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (old, young) = (days_ago(50), days_ago(1));
    past(
        folder.path(),
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
             INSERT INTO contact(id, channel, from_address, to_address, arrived_us, conversation, ended_us)
             SELECT printf('ct_%05d', i), 'sms', 'a', 'b', {old}, 'cv_1', iif(i % 600 = 0, {old}, NULL) FROM n;
             INSERT INTO contact(id, channel, from_address, to_address, arrived_us, ended_us)
             VALUES('ct_10000', 'voice', 'a', 'b', {young}, {young});"
        ),
    );
    let journal = open(folder.path(), |options| options.retention.contacts_age_max = DAY * 10);
    becomes("the old ones that ended go", async || {
        let left = contacts(&journal).await;
        !left.contains(&"ct_00600".to_owned()) && !left.contains(&"ct_01200".to_owned())
    })
    .await;
    assert!(contacts(&journal).await.contains(&"ct_10000".to_owned()), "what is young stays");
    let database = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
    let live: i64 = database
        .query_row("SELECT count(*) FROM contact WHERE ended_us IS NULL", [], |row| row.get(0))
        .unwrap();
    assert_eq!(live, 1198, "who goes on stays");
}

#[tokio::test]
async fn closed_conversations_go_in_time_with_their_messages_and_files_and_open_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (old, young) = (days_ago(50), days_ago(1));
    let conversation = |id: &str, customer: &str, closed: &str| {
        format!(
            "INSERT INTO conversation VALUES('{id}', 'chat', 'shop', '{customer}', 'ib_a', {old}, {old}, 1, NULL, NULL, {closed});
             INSERT INTO contact(id, channel, from_address, to_address, arrived_us, conversation, ended_us)
             VALUES('ct_{customer}', 'chat', '{customer}', 'shop', {old}, '{id}', {closed});
             INSERT INTO chat_line(app, visitor, line, at_us, contact, message_id, text)
             VALUES('shop', '{customer}', 1, coalesce({closed}, {young}), 'ct_{customer}', 'm', 'hello');
             INSERT INTO media VALUES('md_{customer}', 'ct_{customer}', '{id}', 'p', 'm', 0, 'l', 's', NULL, NULL,
             coalesce({closed}, {young}), 'failed', 0, 0, 1, NULL, NULL, NULL, NULL, NULL);"
        )
    };
    let (old_text, young_text) = (old.to_string(), young.to_string());
    past(
        folder.path(),
        &[
            conversation("cv_1", "gone", &old_text),
            conversation("cv_2", "lately", &young_text),
            conversation("cv_3", "open", "NULL"),
        ]
        .concat(),
    );
    let journal = open(folder.path(), |options| options.retention.contacts_age_max = DAY * 10);
    becomes("what was closed long ago goes", async || {
        journal.reader().conversation("cv_1".into()).await.unwrap().is_none()
            && !contacts(&journal).await.contains(&"ct_gone".to_owned())
            && journal.reader().chat(("shop".into(), "gone".into()), 9).await.unwrap().0.is_empty()
    })
    .await;
    let media = journal.reader().media(MediaFilter::default(), 9).await.unwrap();
    assert_eq!(media.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["md_open", "md_lately"]);
    for (id, customer) in [("cv_2", "lately"), ("cv_3", "open")] {
        assert!(journal.reader().conversation(id.into()).await.unwrap().is_some(), "{id}");
        assert!(contacts(&journal).await.contains(&format!("ct_{customer}")), "{customer}");
        let lines = journal.reader().chat(("shop".into(), customer.into()), 9).await.unwrap().0;
        assert_eq!(lines.len(), 1, "{customer}");
    }
}

fn note() -> Entry {
    let mut entry = Entry::new("".into());
    entry.push(
        Timestamp::now(),
        &vestibule_routing::journey::FeedEvent::Queued { inbox: "ib_a".into(), sla_due: Timestamp::now() },
    );
    entry
}

async fn oldest(journal: &Journal) -> u64 {
    journal.reader().events(0, 1, Vec::new()).await.unwrap().rows[0].seq
}

#[tokio::test]
async fn an_event_that_is_owed_is_kept_until_it_is_delivered_or_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path(), |options| options.retention.events_age_max = Duration::from_secs(2));
    for _ in 0..20 {
        journal.append(note()).await.unwrap();
    }
    let row = |seq: u64, dead: bool| OutboxRow {
        seq,
        subject: format!("ct_{seq}"),
        conversation: String::new(),
        attempts: 1,
        due: Timestamp::now(),
        error: "it answered 500".into(),
        dead,
    };
    let update = OutboxUpdate { consumer: "webhook:crm".into(), ..OutboxUpdate::default() };
    let owed = OutboxUpdate { cursor: Some(20), put: vec![row(5, false), row(9, false)], ..update.clone() };
    journal.outbox(owed).await.unwrap();
    becomes("what is owed to nobody goes", async || oldest(&journal).await == 5).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(oldest(&journal).await, 5, "the first that is owed stays, whatever its age");
    journal.outbox(OutboxUpdate { remove: vec![5], ..update.clone() }).await.unwrap();
    becomes("once it is delivered, the next holds", async || oldest(&journal).await == 9).await;
    journal.outbox(OutboxUpdate { put: vec![row(9, true)], ..update }).await.unwrap();
    becomes("once it is given up, none does", async || oldest(&journal).await == 20).await;
    becomes("nor is a row kept that nobody can send again", async || {
        journal.reader().outbox("webhook:crm".into()).await.unwrap().is_empty()
    })
    .await;
}

fn arrival(contact: &str, number: u8, remembered: Remembered) -> Arrival {
    let content = Content { message_id: format!("m{number}"), text: "hello".into(), ..Content::default() };
    Arrival {
        contact: contact.into(),
        conversation: format!("cv_{number}").as_str().into(),
        fingerprint: [number; 16],
        provider: "sms".into(),
        arrived: Timestamp::now(),
        incoming: Incoming {
            id: format!("m{number}"),
            channel: Channel::Sms,
            customer: "+14155550199".into(),
            address: "+14155550100".into(),
            at: None,
            what: What::Message(Box::new(content)),
        },
        route: MessageRoute {
            entry_point: "sms/+14155550100".into(),
            inbox: "ib_a".into(),
            sla_minutes: 10,
            revision: 1,
            held: false,
            reply_refused: None,
        },
        keyword: None,
        media_max: 0,
        remembered,
    }
}

#[tokio::test]
async fn a_replay_of_what_is_signed_for_ever_is_known_as_long_as_records_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let take = async |journal: &Journal, contact: &str, number, remembered| {
        let job = MessageJob::Arrive(vec![arrival(contact, number, remembered)]);
        journal.messages(job).await.unwrap().duplicates
    };
    let journal = open(folder.path(), |_| {});
    for (number, remembered) in [(1, Remembered::Repeats), (2, Remembered::Records), (3, Remembered::Records)]
    {
        assert_eq!(take(&journal, &format!("ct_{number}"), number, remembered).await, 0);
    }
    journal.close();
    // The first two came twenty days ago, the third before records of now begin.
    let database = rusqlite::Connection::open(folder.path().join("journal.sqlite")).unwrap();
    database.execute("UPDATE dedup SET day = day - 20 WHERE fingerprint != ?", [[3_u8; 16]]).unwrap();
    database.execute("UPDATE dedup SET day = day - 91 WHERE fingerprint = ?", [[3_u8; 16]]).unwrap();
    let journal = open(folder.path(), |options| options.retention.contacts_age_max = DAY * 90);
    becomes("what need not be remembered is forgotten", async || {
        let known: i64 = database.query_row("SELECT count(*) FROM dedup", [], |row| row.get(0)).unwrap();
        known == 1
    })
    .await;
    assert_eq!(take(&journal, "ct_8", 2, Remembered::Records).await, 1, "known after eight days");
    assert_eq!(take(&journal, "ct_9", 1, Remembered::Repeats).await, 0);
}
