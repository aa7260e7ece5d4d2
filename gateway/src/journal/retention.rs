//! Trimming: the oldest events and contact records go, a small batch at a time.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

use super::{JournalError, Retention, chat, media, message};

/// What one batch of trimming did.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    pub(super) events: u64,
    /// Bytes of the database in use, after the batch.
    pub(super) size_bytes: u64,
    /// Whether there may be more to trim at once.
    pub(super) more: bool,
}

/// Trims one batch of events and one of contacts.
///
/// Events that a consumer with a live cursor has not read are kept, whatever their age and the size. The
/// newest event always stays: the sequence goes on from it.
pub(super) fn trim(
    connection: &mut Connection,
    retention: &Retention,
    now: Timestamp,
) -> Result<Trimmed, JournalError> {
    let size_bytes = used_bytes(connection)?;
    let too_old = micros_before(now, retention.events_age_max);
    // The size rule is the age rule with everything too old.
    let cut = if size_bytes > retention.bytes_max { i64::MAX } else { too_old };
    let consumer_cut = micros_before(now, retention.consumer_idle_max);
    let contact_cut = micros_before(now, retention.contacts_age_max);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
    let slowest: i64 = transaction
        .prepare_cached("SELECT coalesce(min(cursor), ?2) FROM consumer WHERE updated_us > ?1")?
        .query_row(params![consumer_cut, i64::MAX - 1], |row| row.get(0))?;
    let (rows, events): (i64, i64) = {
        let mut doomed = transaction.prepare_cached(
            "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq < (SELECT max(seq) FROM event) \
             ORDER BY seq LIMIT ?1) AND written_us < ?2 AND seq + count - 1 <= ?3 RETURNING count",
        )?;
        let counts = doomed.query_map(params![BATCH, cut, slowest], |row| row.get::<_, i64>(0))?;
        counts.into_iter().try_fold((0, 0), |(rows, events), count| count.map(|n| (rows + 1, events + n)))?
    };
    let contacts = transaction
        .prepare_cached(
            "DELETE FROM contact WHERE id IN (SELECT id FROM contact ORDER BY id LIMIT ?1) \
             AND ended_us IS NOT NULL AND ended_us < ?2",
        )?
        .execute(params![BATCH, contact_cut])?;
    let forgotten = message::forget(&transaction, now, BATCH)?
        | chat::forget(&transaction, contact_cut, BATCH)?
        | media::forget(&transaction, contact_cut, BATCH)?;
    transaction.commit()?;
    Ok(Trimmed {
        events: u64::try_from(events).unwrap_or(0),
        size_bytes,
        more: rows >= BATCH || i64::try_from(contacts).unwrap_or(0) >= BATCH || forgotten,
    })
}

fn used_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let pragma = |name| connection.query_row(name, [], |row| row.get::<_, i64>(0));
    let pages = pragma("PRAGMA page_count")? - pragma("PRAGMA freelist_count")?;
    let bytes = pages.saturating_mul(pragma("PRAGMA page_size")?);
    Ok(u64::try_from(bytes).unwrap_or(0))
}

fn micros_before(now: Timestamp, age: Duration) -> i64 {
    now.as_microsecond().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

const BATCH: i64 = 500;
