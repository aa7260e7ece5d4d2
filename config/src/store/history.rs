//! What one object was, from revision to revision.

use rusqlite::params;
use serde::Serialize;
use serde_json::Value;

use super::{Store, StoreError, objects};
use crate::document::Key;

/// A form of an object, from one revision on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectVersion {
    /// The revision that published it.
    pub revision: u64,
    /// The revision that replaced or removed it; none while it holds.
    pub until: Option<u64>,
    /// Who published it.
    pub author: String,
    /// What for.
    pub note: String,
    /// When.
    pub created: jiff::Timestamp,
}

impl Store {
    /// The forms of an object before the revision `before` (all, when none), the newest first, at most `limit`. What a
    /// pruned revision published is left out.
    ///
    /// # Errors
    /// The store fails.
    pub fn versions(
        &self,
        key: &Key,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ObjectVersion>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT o.since, o.until, r.author, r.note, r.created_ms FROM objects o
             JOIN revisions r ON r.number = o.since
             WHERE o.kind = ?1 AND o.id = ?2 AND o.since < ?3 ORDER BY o.since DESC LIMIT ?4",
        )?;
        let before = before.map_or(i64::MAX, objects::signed);
        let rows = statement.query_map(params![key.kind.as_str(), key.id, before, limit], |row| {
            Ok(ObjectVersion {
                revision: row.get::<_, i64>(0)?.unsigned_abs(),
                until: row.get::<_, Option<i64>>(1)?.map(i64::unsigned_abs),
                author: row.get(2)?,
                note: row.get(3)?,
                created: jiff::Timestamp::from_millisecond(row.get(4)?).unwrap_or_default(),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// An object as it was at a revision; none when there was no such object.
    ///
    /// # Errors
    /// No such revision, or the store fails.
    pub fn object_at(&self, key: &Key, revision: u64) -> Result<Option<Value>, StoreError> {
        let connection = self.lock();
        objects::require_revision(&connection, revision)?;
        objects::body_at(&connection, key, revision)
    }
}
