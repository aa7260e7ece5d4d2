//! The events of one contact, without an index for it: events are in the order in which they were written, so where the
//! contact began is found by halving, and from there on a bounded number is looked at.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{StoredEvent, time, unsigned};
use crate::journal::{FeedRow, JournalError};

/// Rows looked at for one contact.
const ROWS_MAX: usize = 200_000;

/// What is still told of a contact that has ended: recordings that are stored, deliveries.
const AFTERWARDS: SignedDuration = SignedDuration::from_hours(1);

/// By how much clocks may have been set meanwhile.
const BEFORE: SignedDuration = SignedDuration::from_secs(10);

pub(super) fn events(
    connection: &Connection,
    contact: &str,
    (arrived, ended): (Timestamp, Option<Timestamp>),
    limit: usize,
) -> Result<Vec<FeedRow>, JournalError> {
    let begin = arrived.checked_sub(BEFORE).unwrap_or(Timestamp::MIN).as_microsecond();
    let end =
        ended.and_then(|ended| ended.checked_add(AFTERWARDS).ok()).unwrap_or(Timestamp::MAX).as_microsecond();
    let from = first_written_after(connection, begin)?;
    let mut statement = connection.prepare_cached(
        "SELECT seq, run, contact, events, written_us FROM event WHERE seq >= ?1 ORDER BY seq LIMIT ?2",
    )?;
    let mut rows = statement.query(params![from, i64::try_from(ROWS_MAX).unwrap_or(i64::MAX)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(4)? > end || found.len() >= limit {
            break;
        }
        if row.get_ref(2)?.as_str().unwrap_or_default() != contact {
            continue;
        }
        let (first, run) = (unsigned(row.get(0)?), unsigned(row.get(1)?));
        let text = row.get_ref(3)?.as_str().map_err(|_| JournalError::Corrupt { seq: first })?;
        let stored: Vec<StoredEvent<'_>> =
            serde_json::from_str(text).map_err(|_| JournalError::Corrupt { seq: first })?;
        for (seq, event) in (first..).zip(stored) {
            let (at, data) = (time(event.at), event.data.to_owned());
            found.push(FeedRow { seq, run, contact: contact.to_owned(), kind: event.kind, at, data });
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// The sequence of the first row that was written at a moment or later.
fn first_written_after(connection: &Connection, micros: i64) -> Result<i64, JournalError> {
    let bounds = "SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM event";
    let (mut low, mut high): (i64, i64) =
        connection.prepare_cached(bounds)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut written = connection.prepare_cached(
        "SELECT seq, written_us FROM event WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq LIMIT 1",
    )?;
    while low < high {
        let middle = low + (high - low) / 2;
        // Rows hold several events each, so sequences have holes: the row at the middle, or the next one behind it.
        let row: Option<(i64, i64)> =
            written.query_row(params![middle, high], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match row {
            Some((seq, at)) if at < micros => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
