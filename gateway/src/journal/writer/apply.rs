//! Entries and cursors as SQL, inside the writer's transaction.

use std::fmt::Write as _;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::journal::{
    ContactEnd, ContactProgress, ContactStart, ContactUpdate, Entry, Event, JournalError, Receipt, callback,
};

/// Writes an entry and moves `seq` on. The inner error answers this entry only; the outer one ends the
/// transaction.
pub(in crate::journal) fn apply_entry(
    transaction: &Transaction<'_>,
    entry: &Entry,
    run: u64,
    now: Timestamp,
    seq: &mut u64,
) -> rusqlite::Result<Result<Receipt, JournalError>> {
    let id = entry.contact.as_str();
    match &entry.record {
        Some(ContactUpdate::Started(start)) if insert_contact(transaction, id, start)? == 0 => {
            return Ok(Err(JournalError::DuplicateContact(entry.contact.clone())));
        }
        Some(ContactUpdate::Progress(progress)) => update_contact(transaction, id, progress)?,
        Some(ContactUpdate::Ended(end)) if end_contact(transaction, id, end)? == 0 => {
            return Ok(Err(JournalError::NotOpen(entry.contact.clone())));
        }
        Some(ContactUpdate::Started(_) | ContactUpdate::Ended(_)) | None => {}
    }
    if let Some(update) = &entry.callback {
        callback::apply(transaction, update)?;
    }
    Ok(Ok(write_events(transaction, id, &entry.events, (run, now), seq)?))
}

/// Writes events about `contact` (empty: about none) as one row, and moves `seq` on.
pub(in crate::journal) fn write_events(
    transaction: &Transaction<'_>,
    contact: &str,
    events: &[Event],
    (run, now): (u64, Timestamp),
    seq: &mut u64,
) -> rusqlite::Result<Receipt> {
    let first = *seq + 1;
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    if count > 0 {
        transaction
            .prepare_cached(
                "INSERT INTO event(seq, count, run, written_us, contact, events) VALUES(?,?,?,?,?,?)",
            )?
            .execute(params![
                signed(first),
                count,
                signed(run),
                now.as_microsecond(),
                contact,
                events_json(events)
            ])?;
        *seq += u64::from(count);
    }
    Ok(Receipt { first, count })
}

fn insert_contact(transaction: &Transaction<'_>, id: &str, start: &ContactStart) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO contact(id, channel, from_address, to_address, arrived_us, entry_point, \
             revision, trunk, call_id, diverted_from) VALUES(?,?,?,?,?,?,?,?,?,?)",
        )?
        .execute(params![
            id,
            snake_case(&start.channel),
            start.from,
            start.to,
            start.arrived.as_microsecond(),
            start.entry_point,
            start.revision.map(signed),
            start.trunk.as_ref().map(|trunk| trunk.as_str()),
            start.call_id,
            start.diverted_from,
        ])
}

fn update_contact(
    transaction: &Transaction<'_>,
    id: &str,
    progress: &ContactProgress,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "UPDATE contact SET answered_us = coalesce(?2, answered_us), ivr = coalesce(?3, ivr), \
             inbox = coalesce(?4, inbox) WHERE id = ?1 AND ended_us IS NULL",
        )?
        .execute(params![
            id,
            progress.answered.map(Timestamp::as_microsecond),
            progress.ivr.as_ref().map(|ivr| ivr.as_str()),
            progress.inbox.as_ref().map(|inbox| inbox.as_str()),
        ])?;
    Ok(())
}

fn end_contact(transaction: &Transaction<'_>, id: &str, end: &ContactEnd) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "UPDATE contact SET ended_us = ?2, outcome_side = ?3, outcome_reason = ?4, \
             answered_us = coalesce(?5, answered_us), ivr = coalesce(?6, ivr), inbox = coalesce(?7, inbox), \
             abandoned_at = ?8, trace = ?9 WHERE id = ?1 AND ended_us IS NULL",
        )?
        .execute(params![
            id,
            end.ended.as_microsecond(),
            snake_case(&end.outcome.side),
            snake_case(&end.outcome.reason),
            end.answered.map(Timestamp::as_microsecond),
            end.ivr.as_ref().map(|ivr| ivr.as_str()),
            end.inbox.as_ref().map(|inbox| inbox.as_str()),
            end.abandoned_at.as_ref().and_then(|place| serde_json::to_string(place).ok()),
            end.trace,
        ])
}

fn events_json(events: &[Event]) -> String {
    let bytes: usize = events.iter().map(|event| event.data().len() + 64).sum();
    let mut json = String::with_capacity(bytes + 2);
    for event in events {
        json.push(if json.is_empty() { '[' } else { ',' });
        // Writing to a string cannot fail.
        let _ok = write!(
            json,
            r#"{{"type":"{}","at":{},"data":{}}}"#,
            event.kind.as_str(),
            event.at.as_microsecond(),
            event.data()
        );
    }
    json.push(']');
    json
}

/// The name serde gives a unit variant.
pub(in crate::journal) fn snake_case(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
