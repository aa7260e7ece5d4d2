//! Reading and writing objects by revision.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;

use super::{Difference, Revision, StoreError};
use crate::{
    diagnostic::{Code, Diagnostic},
    document::{self, Key, Kind, Object, RawDocument},
};

pub(super) fn newest_revision(connection: &Connection) -> Result<u64, StoreError> {
    let newest: Option<i64> =
        connection.query_row("SELECT max(number) FROM revisions", [], |row| row.get(0))?;
    Ok(newest.unwrap_or_default().unsigned_abs())
}

pub(super) fn require_revision(connection: &Connection, number: u64) -> Result<(), StoreError> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM revisions WHERE number = ?1")?
        .query_row([signed(number)], |row| row.get(0))
        .optional()?;
    found.map(|_| ()).ok_or(StoreError::NoRevision(number))
}

pub(super) fn revisions(
    connection: &Connection,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<Revision>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, author, note, created_ms, restores, changes, approved_by FROM revisions
         WHERE number < ?1 ORDER BY number DESC LIMIT ?2",
    )?;
    let before = before.map_or(i64::MAX, signed);
    let rows = statement.query_map(params![before, limit], |row| {
        Ok(Revision {
            number: row.get::<_, i64>(0)?.unsigned_abs(),
            author: row.get(1)?,
            note: row.get(2)?,
            created: jiff::Timestamp::from_millisecond(row.get(3)?).unwrap_or_default(),
            restores: row.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs),
            changes: row.get::<_, i64>(5)?.unsigned_abs(),
            approved_by: row.get(6)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn insert_revision(connection: &Connection, revision: &Revision) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO revisions (number, author, note, created_ms, restores, changes, approved_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            signed(revision.number),
            revision.author,
            revision.note,
            revision.created.as_millisecond(),
            revision.restores.map(signed),
            signed(revision.changes),
            revision.approved_by
        ])?;
    Ok(())
}

/// The body that holds now.
pub(super) fn live(connection: &Connection, key: &Key) -> Result<Option<Value>, StoreError> {
    let text: Option<String> = connection
        .prepare_cached(
            "SELECT body FROM objects WHERE kind = ?1 AND id = ?2 AND until IS NULL ORDER BY since DESC LIMIT 1",
        )?
        .query_row(params![key.kind.as_str(), key.id], |row| row.get(0))
        .optional()?;
    text.map(|text| body(key, &text)).transpose()
}

/// Whether the object changed after a revision. When that revision is kept no more, and what the object was
/// then is forgotten with it, it counts as changed.
pub(super) fn changed_after(connection: &Connection, key: &Key, revision: u64) -> Result<bool, StoreError> {
    let changed = connection
        .prepare_cached(
            "SELECT 1 FROM objects WHERE kind = ?1 AND id = ?2 AND (since > ?3 OR until > ?3) LIMIT 1",
        )?
        .exists(params![key.kind.as_str(), key.id, signed(revision)])?;
    if changed || revision == 0 || require_revision(connection, revision).is_ok() {
        return Ok(changed);
    }
    Ok(live(connection, key)?.is_none())
}

/// Forgets the revisions that are too many, and bodies that held in them only. A publish forgets little more
/// than it adds, so that none takes long.
pub(super) fn prune(connection: &Connection, newest: &Revision, kept_max: u64) -> Result<(), StoreError> {
    let oldest = signed((newest.number + 1).saturating_sub(kept_max));
    let most = signed(newest.changes.saturating_mul(2).max(PRUNED_AT_ONCE));
    connection
        .prepare_cached(
            "DELETE FROM revisions WHERE number IN
             (SELECT number FROM revisions WHERE number < ?1 ORDER BY number LIMIT ?2)",
        )?
        .execute(params![oldest, most])?;
    connection
        .prepare_cached(
            "DELETE FROM objects WHERE (kind, id, since) IN
             (SELECT kind, id, since FROM objects WHERE until <= ?1 LIMIT ?2)",
        )?
        .execute(params![oldest, most])?;
    Ok(())
}

/// Revisions and bodies that any publish may forget, however small it is.
const PRUNED_AT_ONCE: u64 = 1000;

/// Makes a change part of a revision.
pub(super) fn write(
    connection: &Connection,
    key: &Key,
    body: Option<&Value>,
    revision: u64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE objects SET until = ?3 WHERE kind = ?1 AND id = ?2 AND until IS NULL")?
        .execute(params![key.kind.as_str(), key.id, signed(revision)])?;
    if let Some(body) = body {
        connection
            .prepare_cached(
                "INSERT INTO objects (kind, id, since, until, body) VALUES (?1, ?2, ?3, NULL, ?4)",
            )?
            .execute(params![key.kind.as_str(), key.id, signed(revision), body.to_string()])?;
    }
    Ok(())
}

/// The same, also for an object that this revision has written already.
pub(super) fn replace(
    connection: &Connection,
    key: &Key,
    body: Option<&Value>,
    revision: u64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM objects WHERE kind = ?1 AND id = ?2 AND since = ?3")?
        .execute(params![key.kind.as_str(), key.id, signed(revision)])?;
    write(connection, key, body, revision)
}

/// Calls with every object of a kind that held at a revision, read.
pub(super) fn each_at(
    connection: &Connection,
    kind: Kind,
    revision: u64,
    mut each: impl FnMut(Key, Object) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    rows_at(connection, kind, revision, |key, text| {
        let body = body(&key, text)?;
        let object = document::read(&key, &body).map_err(|fault| StoreError::Invalid(vec![fault]))?;
        each(key, object)
    })
}

pub(super) fn document_at(connection: &Connection, revision: u64) -> Result<RawDocument, StoreError> {
    let mut document = RawDocument::new();
    for kind in Kind::ALL {
        rows_at(connection, kind, revision, |key, text| {
            let body = body(&key, text)?;
            document.insert(key, body);
            Ok(())
        })?;
    }
    Ok(document)
}

/// The bodies of one section.
pub(super) fn section_at(
    connection: &Connection,
    kind: Kind,
    revision: u64,
) -> Result<Vec<(Key, Value)>, StoreError> {
    let mut all = Vec::new();
    rows_at(connection, kind, revision, |key, text| {
        let body = body(&key, text)?;
        all.push((key, body));
        Ok(())
    })?;
    Ok(all)
}

/// Every body of a section at a revision, by name.
pub(super) fn each_body_at(
    connection: &Connection,
    kind: Kind,
    revision: u64,
    mut each: impl FnMut(String, Value),
) -> Result<(), StoreError> {
    rows_at(connection, kind, revision, |key, text| {
        let body = body(&key, text)?;
        each(key.id, body);
        Ok(())
    })
}

fn rows_at(
    connection: &Connection,
    kind: Kind,
    revision: u64,
    mut each: impl FnMut(Key, &str) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, body FROM objects
         WHERE kind = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2)",
    )?;
    let mut rows = statement.query(params![kind.as_str(), signed(revision)])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let text = row.get_ref(1)?;
        each(Key::new(kind, id), text.as_str().map_err(rusqlite::Error::from)?)?;
    }
    Ok(())
}

/// How two revisions differ: looks only at what changed between them.
pub(super) fn diff(connection: &Connection, from: u64, to: u64) -> Result<Vec<Difference>, StoreError> {
    let (low, high) = (signed(from.min(to)), signed(from.max(to)));
    let mut statement = connection.prepare_cached(
        "SELECT kind, id FROM objects WHERE since > ?1 AND since <= ?2
         UNION SELECT kind, id FROM objects WHERE until > ?1 AND until <= ?2 ORDER BY kind, id",
    )?;
    let key = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let keys: Vec<(String, String)> =
        statement.query_map(params![low, high], key)?.collect::<Result<_, rusqlite::Error>>()?;
    let mut all = Vec::new();
    for (kind, id) in keys {
        let Some(kind) = Kind::parse(&kind) else { continue };
        let key = Key::new(kind, id);
        let (before, after) = (body_at(connection, &key, from)?, body_at(connection, &key, to)?);
        if before != after {
            all.push(Difference { key, before, after });
        }
    }
    all.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(all)
}

pub(super) fn body_at(
    connection: &Connection,
    key: &Key,
    revision: u64,
) -> Result<Option<Value>, StoreError> {
    let text: Option<String> = connection
        .prepare_cached(
            "SELECT body FROM objects
             WHERE kind = ?1 AND id = ?2 AND since <= ?3 AND (until IS NULL OR until > ?3)",
        )?
        .query_row(params![key.kind.as_str(), key.id, signed(revision)], |row| row.get(0))
        .optional()?;
    text.map(|text| body(key, &text)).transpose()
}

pub(super) fn body(key: &Key, text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        StoreError::Invalid(vec![Diagnostic::new(Code::NotReadable, key.path(), error.to_string())])
    })
}

/// Changes as a difference, for who undoes them.
pub(super) fn as_changes(differences: Vec<Difference>) -> BTreeMap<Key, Option<Value>> {
    differences.into_iter().map(|difference| (difference.key, difference.after)).collect()
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
