//! Deliveries to consumers that did not succeed at once: kept until they do, or are given up.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::json;
use vestibule_routing::id::ContactId;

use super::{Event, EventKind, writer::write_events};

/// An event that a consumer does not have yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its sequence in the feed.
    pub seq: u64,
    /// The contact it is about; empty when it is about none.
    pub subject: String,
    /// The conversation it is about; empty when it is about none.
    pub conversation: String,
    /// Attempts so far; 0 for one that waits behind another of the same contact or conversation.
    pub attempts: u8,
    /// The next attempt is not made before.
    pub due: Timestamp,
    /// Why the last attempt failed.
    pub error: String,
    /// Given up: only a person sends it again.
    pub dead: bool,
}

/// What became of deliveries to one consumer.
#[derive(Clone, Debug, Default)]
pub struct OutboxUpdate {
    /// The consumer's name among those that have a cursor.
    pub consumer: String,
    /// Everything up to here is delivered or kept as a row; none leaves the cursor.
    pub cursor: Option<u64>,
    /// Rows as they are now.
    pub put: Vec<OutboxRow>,
    /// Rows that are delivered.
    pub remove: Vec<u64>,
    /// Contacts whose `contact.queued` was delivered.
    pub delivered: Vec<ContactId>,
}

pub(super) const TABLE: &str = "
CREATE TABLE outbox(
  consumer TEXT NOT NULL,
  seq INTEGER NOT NULL,
  subject TEXT NOT NULL,
  conversation TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  due_us INTEGER NOT NULL,
  error TEXT NOT NULL,
  dead INTEGER NOT NULL,
  PRIMARY KEY(consumer, seq)
) STRICT, WITHOUT ROWID;
";

/// What finds the oldest event that is still to be delivered.
pub(super) const OWED: &str = "
CREATE INDEX outbox_seq ON outbox(dead, seq);
";

/// Most rows read of one consumer: more than are ever kept.
const ROWS_MAX: u32 = 100_000;

pub(super) fn apply(
    transaction: &Transaction<'_>,
    update: &OutboxUpdate,
    (run, now): (u64, Timestamp),
    seq: &mut u64,
) -> rusqlite::Result<()> {
    for row in &update.put {
        transaction.prepare_cached("INSERT OR REPLACE INTO outbox VALUES(?,?,?,?,?,?,?,?)")?.execute(
            params![
                update.consumer,
                signed(row.seq),
                row.subject,
                row.conversation,
                row.attempts,
                row.due.as_microsecond(),
                row.error,
                row.dead,
            ],
        )?;
    }
    for gone in &update.remove {
        transaction
            .prepare_cached("DELETE FROM outbox WHERE consumer = ? AND seq = ?")?
            .execute(params![update.consumer, signed(*gone)])?;
    }
    if let Some(cursor) = update.cursor {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO consumer(name, cursor, updated_us) VALUES(?,?,?)")?
            .execute(params![update.consumer, signed(cursor), now.as_microsecond()])?;
    }
    for contact in &update.delivered {
        let consumer = update.consumer.strip_prefix("webhook:").unwrap_or(&update.consumer);
        let event = Event::new(EventKind::ContactDelivered, now, &json!({ "consumer": consumer }));
        write_events(transaction, contact.as_str(), &[event], (run, now), seq)?;
    }
    Ok(())
}

pub(super) fn rows(connection: &Connection, consumer: &str) -> rusqlite::Result<Vec<OutboxRow>> {
    connection
        .prepare_cached(
            "SELECT seq, subject, conversation, attempts, due_us, error, dead FROM outbox WHERE consumer = ? \
             ORDER BY seq LIMIT ?",
        )?
        .query_map(params![consumer, ROWS_MAX], |row| {
            Ok(OutboxRow {
                seq: u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0),
                subject: row.get(1)?,
                conversation: row.get(2)?,
                attempts: row.get(3)?,
                due: Timestamp::from_microsecond(row.get(4)?).unwrap_or(Timestamp::UNIX_EPOCH),
                error: row.get(5)?,
                dead: row.get(6)?,
            })
        })?
        .collect()
}

/// The last event that nobody is owed: those behind it are still to be delivered to a consumer that was heard of since
/// `heard_us`. None when all was delivered, or given up.
pub(super) fn settled(transaction: &Transaction<'_>, heard_us: i64) -> rusqlite::Result<Option<i64>> {
    transaction
        .prepare_cached(
            "SELECT outbox.seq - 1 FROM outbox CROSS JOIN consumer ON consumer.name = outbox.consumer \
             WHERE outbox.dead = 0 AND consumer.updated_us > ? ORDER BY outbox.seq LIMIT 1",
        )?
        .query_row([heard_us], |row| row.get(0))
        .optional()
}

/// Forgets rows whose events are gone, when nobody has tried them since `before_us`.
pub(super) fn forget(transaction: &Transaction<'_>, before_us: i64, batch: i64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "DELETE FROM outbox WHERE (consumer, seq) IN (SELECT consumer, seq FROM outbox WHERE dead IN (0, 1) \
             AND seq < (SELECT min(seq) FROM event) AND due_us < ?1 LIMIT ?2)",
        )?
        .execute(params![before_us, batch])
        .map(drop)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
