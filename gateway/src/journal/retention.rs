//! Trimming: the oldest events and contact records go, a small batch at a time.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{JournalError, Retention, chat, conversation, media, message, outbox};

/// What one batch of trimming did.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    pub(super) events: u64,
    /// Bytes of the database in use, after the batch.
    pub(super) size_bytes: u64,
    /// Whether there may be more to trim at once.
    pub(super) more: bool,
}

/// Where trimming has come to among the records of contacts, from the oldest to those that are young; then it begins anew.
#[derive(Debug, Default)]
pub(super) struct Walk {
    after: String,
}

/// Trims one batch of events, one of contacts, and one of all else.
///
/// Events that a consumer with a live cursor has not read, or that it is still owed, are kept, whatever their age and the
/// size. The newest event always stays: the sequence goes on from it.
pub(super) fn trim(
    connection: &mut Connection,
    retention: &Retention,
    walk: &mut Walk,
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
    let slowest = outbox::settled(&transaction, consumer_cut)?.unwrap_or(i64::MAX).min(slowest);
    let (rows, events): (i64, i64) = {
        let mut doomed = transaction.prepare_cached(
            "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq < (SELECT max(seq) FROM event) \
             ORDER BY seq LIMIT ?1) AND written_us < ?2 AND seq + count - 1 <= ?3 RETURNING count",
        )?;
        let counts = doomed.query_map(params![BATCH, cut, slowest], |row| row.get::<_, i64>(0))?;
        counts.into_iter().try_fold((0, 0), |(rows, events), count| count.map(|n| (rows + 1, events + n)))?
    };
    outbox::forget(&transaction, too_old, BATCH)?;
    let forgotten = contacts(&transaction, walk, contact_cut)?
        | conversation::forget(&transaction, contact_cut, BATCH)?
        | message::forget(&transaction, (now, contact_cut), BATCH)?
        | chat::forget(&transaction, contact_cut, BATCH)?
        | media::forget(&transaction, contact_cut, BATCH)?;
    transaction.commit()?;
    Ok(Trimmed { events: u64::try_from(events).unwrap_or(0), size_bytes, more: rows >= BATCH || forgotten })
}

/// Trims the records of contacts that ended before `cut_us` among the next of the walk; true when there may be more.
fn contacts(transaction: &Transaction<'_>, walk: &mut Walk, cut_us: i64) -> rusqlite::Result<bool> {
    let gone = transaction
        .prepare_cached(
            "DELETE FROM contact WHERE id IN (SELECT id FROM contact WHERE id > ?1 ORDER BY id LIMIT ?2) \
             AND ended_us IS NOT NULL AND ended_us < ?3",
        )?
        .execute(params![walk.after, BATCH, cut_us])?;
    // What stays of them is passed by: old ones that go on stand in nobody's way. Ids are in the order of arrival, so that
    // behind the first young one all are.
    let mut passed = transaction.prepare_cached(
        "SELECT id, arrived_us < ?3 FROM contact WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2",
    )?;
    let stayed = BATCH.saturating_sub(i64::try_from(gone).unwrap_or(BATCH));
    let next: Option<(String, bool)> = match stayed {
        0 => None,
        _ => passed
            .query_row(params![walk.after, stayed - 1, cut_us], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?,
    };
    match next {
        None if stayed == 0 => return Ok(true),
        Some((id, true)) => walk.after = id,
        None | Some(_) => walk.after.clear(),
    }
    Ok(gone > 0 && !walk.after.is_empty())
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
