//! What is read of erasures, and of what they look for. Nothing is written here.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::{ERASED_AT_ONCE, ErasureRow, ErasureState, FoundKind, LOOKED_AT, counted, signed};
use crate::journal::message::time;

/// Those that are under way, the oldest first.
pub(in crate::journal) fn open(connection: &Connection) -> rusqlite::Result<Vec<ErasureRow>> {
    connection
        .prepare_cached(&format!("{SELECT} WHERE state <> 'done' ORDER BY id LIMIT 1000"))?
        .query_map([], read)?
        .collect()
}

/// Those before an id, the newest first.
pub(in crate::journal) fn list(
    connection: &Connection,
    before: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<ErasureRow>> {
    connection
        .prepare_cached(&format!("{SELECT} WHERE id < coalesce(?1, 'f') ORDER BY id DESC LIMIT ?2"))?
        .query_map(params![before, i64::try_from(limit).unwrap_or(i64::MAX)], read)?
        .collect()
}

/// One of them.
pub(in crate::journal) fn one(connection: &Connection, id: &str) -> rusqlite::Result<Option<ErasureRow>> {
    connection.prepare_cached(&format!("{SELECT} WHERE id = ?"))?.query_row([id], read).optional()
}

/// What was found of a kind; all of it, or what is not done.
pub(in crate::journal) fn found_of(
    connection: &Connection,
    erasure: &str,
    kind: FoundKind,
    all: bool,
) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT id FROM erasure_found WHERE erasure = ? AND kind = ? AND (done = 0 OR ?)")?
        .query_map(params![erasure, kind.name(), all], |row| row.get(0))?
        .collect()
}

/// How many calls of a customer go on.
pub(in crate::journal) fn calls(connection: &Connection, customer: &str) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM contact WHERE ended_us IS NULL AND channel = 'voice' \
             AND (from_address = ?1 OR to_address = ?1)",
        )?
        .query_row([customer], |row| Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0)))
}

/// Rows of events behind a sequence that may be about the customer, and how far was looked.
pub(in crate::journal) fn doomed(
    connection: &Connection,
    row: &ErasureRow,
) -> rusqlite::Result<(Vec<u64>, u64)> {
    let after: u64 = row.place.parse().unwrap_or(0);
    // What is before the oldest event is not looked for.
    let oldest: i64 = connection
        .prepare_cached("SELECT coalesce(min(seq), 0) FROM event")?
        .query_row([], |row| row.get(0))?;
    let after = after.max(u64::try_from(oldest).unwrap_or(0).saturating_sub(1));
    let upto = after.saturating_add(LOOKED_AT).min(row.last_seq);
    let quoted = Value::from(row.address.as_deref().unwrap_or_default()).to_string();
    let rows: Vec<i64> = connection
        .prepare_cached(
            "SELECT seq FROM event WHERE seq > ?1 AND seq <= ?2 AND (instr(events, ?4) > 0 OR contact IN \
             (SELECT id FROM erasure_found WHERE erasure = ?3 AND kind = 'contact')) ORDER BY seq LIMIT ?5",
        )?
        .query_map(params![signed(after), signed(upto), row.id, quoted, counted(ERASED_AT_ONCE)], |row| {
            row.get(0)
        })?
        .collect::<rusqlite::Result<_>>()?;
    let rows: Vec<u64> = rows.into_iter().filter_map(|seq| u64::try_from(seq).ok()).collect();
    let full = rows.len() >= ERASED_AT_ONCE;
    let upto = rows.last().copied().filter(|_| full).unwrap_or(upto);
    Ok((rows, upto))
}

/// Which of some files anything that is kept still names, in a part of the events behind a sequence; and how far was looked,
/// none at the end.
pub(in crate::journal) fn named(
    connection: &Connection,
    files: &HashSet<String>,
    after: u64,
) -> rusqlite::Result<(Vec<String>, Option<u64>)> {
    let mut found = Vec::new();
    if after == 0 {
        let json = Value::from(files.iter().cloned().collect::<Vec<_>>()).to_string();
        let mut statement = connection.prepare_cached(
            "SELECT file FROM media WHERE file IN (SELECT value FROM json_each(?1)) UNION SELECT json_each.value ->> 'file' \
             FROM chat_line, json_each(files) WHERE files IS NOT NULL \
             AND json_each.value ->> 'file' IN (SELECT value FROM json_each(?1))",
        )?;
        for file in statement.query_map([json], |row| row.get::<_, String>(0))? {
            found.push(file?);
        }
    }
    let mut statement =
        connection.prepare_cached("SELECT seq, events FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query(params![signed(after), signed(LOOKED_AT)])?;
    let (mut looked_at, mut last) = (0, after);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        last = u64::try_from(row.get::<_, i64>(0)?).unwrap_or(last);
        let text = row.get_ref(1)?.as_str()?;
        for name in ["\"file\":\"", "\"raw\":\""] {
            found.extend(text.match_indices(name).filter_map(|(at, _)| {
                let from = at + name.len();
                text.get(from..from + 64).filter(|id| files.contains(*id)).map(str::to_owned)
            }));
        }
    }
    Ok((found, (looked_at >= LOOKED_AT).then_some(last)))
}

const SELECT: &str = "SELECT id, address, print, asked_us, asked_by, state, settled_us, place, last_seq, waits_for, \
    contacts, conversations, lines, events, files, done_us FROM erasure";

fn read(row: &Row<'_>) -> rusqlite::Result<ErasureRow> {
    let whole = |at| row.get::<_, i64>(at).map(|value| u64::try_from(value).unwrap_or(0));
    Ok(ErasureRow {
        id: row.get(0)?,
        address: row.get(1)?,
        print: row.get(2)?,
        asked: time(row.get(3)?),
        asked_by: row.get(4)?,
        state: ErasureState::parse(row.get_ref(5)?.as_str()?),
        settled: time(row.get(6)?),
        place: row.get(7)?,
        last_seq: whole(8)?,
        waits_for: whole(9)?,
        contacts: whole(10)?,
        conversations: whole(11)?,
        lines: whole(12)?,
        events: whole(13)?,
        files: whole(14)?,
        done: row.get::<_, Option<i64>>(15)?.map(time),
    })
}
