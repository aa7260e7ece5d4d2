//! The database file: how it is opened, and its tables.
//!
//! `synchronous=FULL` is the promise: a commit returns when the write-ahead log is on the disk.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    sync::Arc,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::JournalError;

/// Takes the lock that keeps a second gateway off the same journal. It is held as long as the file is open,
/// and goes with the process however that ends.
pub(super) fn lock(path: &Path) -> Result<File, JournalError> {
    let path = path.with_extension("lock");
    let failed = |source| JournalError::Lock { path: path.clone(), source: Arc::new(source) };
    let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Opens the database for its one writer, making or migrating the tables.
pub(super) fn open_writer(path: &Path) -> Result<Connection, JournalError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "page_size", 8192)?;
    let mode: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(JournalError::NotWal { mode });
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", 2000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "foreign_keys", "OFF")?;
    // What is deleted is overwritten (decision 0033).
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.set_prepared_statement_cache_capacity(32);
    migrate(&connection)?;
    Ok(connection)
}

/// Writes the whole log back into the database file, and cuts it to nothing.
pub(super) fn cut_log(path: &Path) -> Result<(), JournalError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(2))?;
    // Most of it is written back while others read and write; what is left keeps them waiting for a moment only.
    for mode in ["PASSIVE", "TRUNCATE", "TRUNCATE", "TRUNCATE"] {
        let busy: i64 =
            connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0))?;
        if busy == 0 && mode == "TRUNCATE" {
            return Ok(());
        }
    }
    Err(JournalError::LogInUse)
}

/// Opens the database for reading beside the writer.
pub(super) fn open_reader(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// The last sequence that was given out; 0 in an empty journal.
pub(super) fn last_seq(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = connection
        .query_row("SELECT seq + count - 1 FROM event ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    Ok(last.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0))
}

/// A random number for this opening of the journal. Event ids are made of it and the sequence, so that
/// a data folder restored from a backup never gives an old id to a new event.
pub(super) fn new_run() -> u64 {
    StdRng::from_os_rng().random::<u64>() >> 19
}

fn migrate(connection: &Connection) -> Result<(), JournalError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let missing = usize::try_from(found).ok().and_then(|done| STEPS.get(done..));
    let Some(missing) = missing else { return Err(JournalError::UnknownVersion { found, known }) };
    if !missing.is_empty() {
        let steps: String = missing.iter().flat_map(|step| step.iter().copied()).collect();
        connection.execute_batch(&format!("BEGIN IMMEDIATE;{steps}PRAGMA user_version={known};COMMIT;"))?;
    }
    Ok(())
}

/// What each version added to the one before. Never changed, only added to.
const STEPS: [&[&str]; 11] = [
    &[TABLES],
    &[super::callback::TABLE],
    &[DIVERSIONS],
    &[super::message::TABLES, super::outbox::TABLE],
    &[super::chat::TABLE],
    &[super::media::TABLE],
    &[super::consumer::TABLE],
    &[super::chat::TAKEN],
    &[super::chat::FILES],
    &[super::message::KEPT_LONGER, super::outbox::OWED],
    &[super::erasure::TABLES],
];

const DIVERSIONS: &str = "ALTER TABLE contact ADD COLUMN diverted_from TEXT;";

/// Times are microseconds since 1970 (UTC). `event.events` is a JSON array of `{type, at, data}`, one
/// element for each of `count` sequences from `seq` on.
const TABLES: &str = "
CREATE TABLE event(
  seq INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  run INTEGER NOT NULL,
  written_us INTEGER NOT NULL,
  contact TEXT NOT NULL,
  events TEXT NOT NULL
) STRICT;
CREATE TABLE contact(
  id TEXT PRIMARY KEY,
  channel TEXT NOT NULL,
  from_address TEXT NOT NULL,
  to_address TEXT NOT NULL,
  arrived_us INTEGER NOT NULL,
  answered_us INTEGER,
  ended_us INTEGER,
  entry_point TEXT,
  ivr TEXT,
  inbox TEXT,
  revision INTEGER,
  trunk TEXT,
  call_id TEXT,
  outcome_side TEXT,
  outcome_reason TEXT,
  abandoned_at TEXT,
  trace TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX contact_open ON contact(id) WHERE ended_us IS NULL;
CREATE TABLE consumer(
  name TEXT PRIMARY KEY,
  cursor INTEGER NOT NULL,
  updated_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";
