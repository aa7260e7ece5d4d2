//! The tables, and how the file is opened.

use std::{
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::StoreError;

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

/// What each version added to the one before. Never changed, only added to.
const STEPS: &[&str] = &[
    TABLES,
    super::identity::TABLES,
    super::records::TABLES,
    super::mail::TABLES,
    super::audit::TABLES,
    super::approval::TABLES,
];

pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    keep_private(path).map_err(|cause| StoreError::File { path: path.to_owned(), cause })?;
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.set_prepared_statement_cache_capacity(64);
    migrate(&connection)?;
    Ok(connection)
}

/// Hashes of passwords and keys stand in the file: it is its owner's alone. What SQLite puts beside it has its mode.
fn keep_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

fn migrate(connection: &Connection) -> Result<(), StoreError> {
    if missing_after(version(connection)?)?.is_empty() {
        return Ok(());
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let found = version(&transaction)?;
    transaction.execute_batch(&missing_after(found)?.concat())?;
    if found < CHAINED {
        super::audit::chain_earlier(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", known())?;
    Ok(transaction.commit()?)
}

/// Refuses a file of another version, for those who only read.
pub(super) fn must_be_known(connection: &Connection) -> Result<(), StoreError> {
    let (found, known) = (version(connection)?, known());
    if found == known { Ok(()) } else { Err(StoreError::OtherVersion { found, known }) }
}

fn missing_after(found: i64) -> Result<&'static [&'static str], StoreError> {
    let missing = usize::try_from(found).ok().and_then(|done| STEPS.get(done..));
    missing.ok_or_else(|| StoreError::TooNew { found, known: known() })
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn known() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// How long somebody waits for another process that writes.
pub(super) const BUSY_MAX: Duration = Duration::from_secs(5);

/// The version from which on lines of the audit log are chained.
const CHAINED: i64 = 5;

/// The tables as the first version made them.
#[cfg(test)]
pub(super) fn first_version() -> &'static str {
    TABLES
}
