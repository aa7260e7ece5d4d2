//! The table of keys: under way, or answered, until they expire.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension as _, params};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS keys (
  name TEXT PRIMARY KEY, print TEXT NOT NULL, at_ms INTEGER NOT NULL,
  status INTEGER, kind TEXT, location TEXT, tag TEXT, body BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS keys_at ON keys (at_ms);
";

/// Answers may name a new key or link: the file is its owner's alone. What SQLite puts beside it has its mode.
fn keep_private(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
}

/// The keys.
#[derive(Debug)]
pub(super) struct Table {
    inner: Mutex<Inner>,
    kept: Duration,
    keys_max: u64,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    /// Those that this process is answering: what else has no answer was left by another.
    under_way: HashSet<String>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) kind: Option<String>,
    pub(super) location: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) body: Vec<u8>,
}

/// What is known of a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Nothing; it is under way from now on. So many others were forgotten before their time to make room.
    Free {
        /// How many.
        forgotten: u64,
    },
    /// It is under way.
    UnderWay,
    /// It was under way when the process died.
    Unknown,
    /// It was used for something else.
    Other,
    /// It was answered.
    Answered(Answer),
}

impl Table {
    pub(super) fn open(path: &Path, kept: Duration, keys_max: u64) -> rusqlite::Result<Self> {
        keep_private(path).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is deleted is overwritten (decision 0033).
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.execute_batch(TABLES)?;
        let inner = Inner { connection, under_way: HashSet::new() };
        Ok(Self { inner: Mutex::new(inner), kept, keys_max: keys_max.max(1) })
    }

    /// Looks a key up, and takes it when it is free.
    pub(super) fn begin(&self, name: &str, print: &str) -> rusqlite::Result<Kept> {
        let mut inner = self.lock();
        let now = jiff::Timestamp::now().as_millisecond();
        let kept_ms = i64::try_from(self.kept.as_millis()).unwrap_or(i64::MAX);
        inner.connection.execute("DELETE FROM keys WHERE at_ms < ?1", [now.saturating_sub(kept_ms)])?;
        let known = inner
            .connection
            .prepare_cached("SELECT print, status, kind, location, tag, body FROM keys WHERE name = ?1")?
            .query_row([name], |row| {
                let status: Option<u16> = row.get(1)?;
                let answer = |status| -> rusqlite::Result<Answer> {
                    let body: Option<Vec<u8>> = row.get(5)?;
                    let (kind, location, tag) = (row.get(2)?, row.get(3)?, row.get(4)?);
                    Ok(Answer { status, kind, location, tag, body: body.unwrap_or_default() })
                };
                Ok((row.get::<_, String>(0)?, status.map(answer).transpose()?))
            })
            .optional()?;
        match known {
            Some((other, _)) if other != print => return Ok(Kept::Other),
            Some((_, Some(answer))) => return Ok(Kept::Answered(answer)),
            Some((_, None)) if inner.under_way.contains(name) => return Ok(Kept::UnderWay),
            Some((_, None)) => return Ok(Kept::Unknown),
            None => {}
        }
        let forgotten = inner.make_room(self.keys_max)?;
        inner
            .connection
            .prepare_cached("INSERT INTO keys (name, print, at_ms) VALUES (?1, ?2, ?3)")?
            .execute(params![name, print, now])?;
        inner.under_way.insert(name.to_owned());
        Ok(Kept::Free { forgotten })
    }

    /// Keeps the answer.
    pub(super) fn finish(&self, name: &str, answer: &Answer) -> rusqlite::Result<()> {
        let mut inner = self.lock();
        inner.under_way.remove(name);
        inner
            .connection
            .prepare_cached(
                "UPDATE keys SET status = ?2, kind = ?3, location = ?4, tag = ?5, body = ?6 WHERE name = ?1",
            )?
            .execute(params![name, answer.status, answer.kind, answer.location, answer.tag, answer.body])?;
        Ok(())
    }

    /// Nothing was done: the key may be used again.
    pub(super) fn give_up(&self, name: &str) {
        let mut inner = self.lock();
        inner.under_way.remove(name);
        if let Err(error) = inner.connection.execute("DELETE FROM keys WHERE name = ?1", [name]) {
            tracing::error!(%error, "a key of an idempotent request cannot be given back");
        }
    }

    /// Forgets the answers in which something stands, and leaves no page of before in the log.
    pub(super) fn erase(&self, text: &str) -> rusqlite::Result<()> {
        let inner = self.lock();
        inner.connection.execute(
            "DELETE FROM keys WHERE instr(CAST(body AS TEXT), ?1) > 0 AND status IS NOT NULL",
            [text],
        )?;
        inner.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each statement is whole by itself.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The oldest go when there are too many.
    fn make_room(&self, keys_max: u64) -> rusqlite::Result<u64> {
        let count: i64 = self.connection.query_row("SELECT count(*) FROM keys", [], |row| row.get(0))?;
        let over = count.unsigned_abs().saturating_add(1).saturating_sub(keys_max);
        if over == 0 {
            return Ok(0);
        }
        let gone = self.connection.execute(
            "DELETE FROM keys WHERE name IN
             (SELECT name FROM keys WHERE status IS NOT NULL ORDER BY at_ms LIMIT ?1)",
            [i64::try_from(over).unwrap_or(i64::MAX)],
        )?;
        Ok(gone as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer { status: 201, kind: None, location: None, tag: Some("\"4\"".into()), body: b"{}".to_vec() }
    }

    #[test]
    fn a_key_is_answered_once_and_then_the_same_again_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Table::open(&folder.path().join("keys.db"), Duration::from_secs(60), 10).unwrap();
        let table = open();
        assert_eq!(table.begin("a", "1").unwrap(), Kept::Free { forgotten: 0 });
        assert_eq!(table.begin("a", "1").unwrap(), Kept::UnderWay);
        assert_eq!(table.begin("a", "2").unwrap(), Kept::Other);
        table.finish("a", &answer()).unwrap();
        assert_eq!(table.begin("a", "1").unwrap(), Kept::Answered(answer()));
        assert_eq!(table.begin("b", "1").unwrap(), Kept::Free { forgotten: 0 });
        assert_eq!(table.begin("c", "1").unwrap(), Kept::Free { forgotten: 0 });
        table.give_up("c");
        assert_eq!(table.begin("c", "2").unwrap(), Kept::Free { forgotten: 0 });
        drop(table);
        let table = open();
        assert_eq!(table.begin("a", "1").unwrap(), Kept::Answered(answer()));
        assert_eq!(table.begin("b", "1").unwrap(), Kept::Unknown, "it was under way when the process ended");
    }

    #[test]
    fn the_oldest_answers_go_when_there_are_too_many_and_all_go_with_time() {
        let folder = tempfile::tempdir().unwrap();
        let table = Table::open(&folder.path().join("keys.db"), Duration::from_secs(60), 3).unwrap();
        for name in ["a", "b", "c"] {
            table.begin(name, "1").unwrap();
            table.finish(name, &answer()).unwrap();
        }
        assert_eq!(table.begin("d", "1").unwrap(), Kept::Free { forgotten: 1 });
        let soon = Table::open(&folder.path().join("soon.db"), Duration::ZERO, 3).unwrap();
        soon.begin("a", "1").unwrap();
        soon.finish("a", &answer()).unwrap();
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(soon.begin("a", "2").unwrap(), Kept::Free { forgotten: 0 });
    }
}
