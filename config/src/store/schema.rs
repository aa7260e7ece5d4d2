//! The tables, and how the file is opened.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;

const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE revisions (
  number INTEGER PRIMARY KEY, author TEXT NOT NULL, note TEXT NOT NULL, created_ms INTEGER NOT NULL,
  restores INTEGER, changes INTEGER NOT NULL
) STRICT;
-- A body holds from revision `since` until before revision `until`; none means it still holds.
CREATE TABLE objects (
  kind TEXT NOT NULL, id TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER, body TEXT NOT NULL,
  PRIMARY KEY (kind, id, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX objects_since ON objects (since);
CREATE INDEX objects_until ON objects (until) WHERE until IS NOT NULL;
-- Unpublished edits; a body of NULL removes. `base` is the revision that was active at the edit.
CREATE TABLE draft (
  kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT, base INTEGER NOT NULL, PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE draft_version (version INTEGER NOT NULL) STRICT;
INSERT INTO draft_version VALUES (0);
CREATE TABLE numbers (
  number TEXT PRIMARY KEY, ours INTEGER NOT NULL, record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
  subject TEXT NOT NULL, before TEXT, after TEXT
) STRICT;
CREATE INDEX audit_subject ON audit (subject, id);
";

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        VERSION => {}
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        _ => return Err(StoreError::TooNew { found, known: VERSION }),
    }
    Ok(connection)
}
