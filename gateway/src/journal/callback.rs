//! Callbacks that are still to be made: kept until they are, whatever happens to the process.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use vestibule_routing::id::{ContactId, InboxId, TrunkId};

/// A callback that is still to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackRow {
    /// Its id, `cb_…`.
    pub id: String,
    /// The contact that asked for it.
    pub contact: ContactId,
    /// The number to call.
    pub number: String,
    /// The number of ours that was called.
    pub company: String,
    /// The trunk that the contact came by.
    pub trunk: Option<TrunkId>,
    /// The inbox it waits in.
    pub inbox: InboxId,
    /// 0 (lowest) to 9.
    pub priority: u8,
    /// Since when it counts as waiting: the place in the queue.
    pub since: Timestamp,
    /// When it is given up.
    pub expires: Timestamp,
    /// Seconds between two attempts.
    pub gap_seconds: u32,
    /// Attempts that are left.
    pub attempts_left: u8,
    /// Attempts so far.
    pub attempts: u8,
    /// The next attempt is not made before.
    pub not_before: Timestamp,
}

/// A change of a callback, written with the event that tells of it.
#[derive(Clone, Debug)]
pub enum CallbackUpdate {
    /// It is asked for, or was tried: this is what it is now.
    Put(Box<CallbackRow>),
    /// It is made, or given up.
    Remove(String),
}

/// Most callbacks that are read at a start.
const CALLBACKS_MAX: u32 = 100_000;

pub(super) const TABLE: &str = "
CREATE TABLE callback(
  id TEXT PRIMARY KEY,
  contact TEXT NOT NULL,
  number TEXT NOT NULL,
  company TEXT NOT NULL,
  trunk TEXT,
  inbox TEXT NOT NULL,
  priority INTEGER NOT NULL,
  since_us INTEGER NOT NULL,
  expires_us INTEGER NOT NULL,
  gap_seconds INTEGER NOT NULL,
  attempts_left INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  not_before_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

pub(super) fn apply(transaction: &Transaction<'_>, update: &CallbackUpdate) -> rusqlite::Result<()> {
    match update {
        CallbackUpdate::Put(row) => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO callback VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)")?
                .execute(params![
                    row.id,
                    row.contact.as_str(),
                    row.number,
                    row.company,
                    row.trunk.as_ref().map(|trunk| trunk.as_str()),
                    row.inbox.as_str(),
                    row.priority,
                    row.since.as_microsecond(),
                    row.expires.as_microsecond(),
                    row.gap_seconds,
                    row.attempts_left,
                    row.attempts,
                    row.not_before.as_microsecond(),
                ])?;
        }
        CallbackUpdate::Remove(id) => {
            transaction.prepare_cached("DELETE FROM callback WHERE id = ?")?.execute([id])?;
        }
    }
    Ok(())
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<CallbackRow>> {
    let at = |micros: i64| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    connection
        .prepare_cached("SELECT * FROM callback ORDER BY since_us, id LIMIT ?")?
        .query_map([CALLBACKS_MAX], |row| {
            Ok(CallbackRow {
                id: row.get(0)?,
                contact: ContactId::from(row.get_ref(1)?.as_str()?),
                number: row.get(2)?,
                company: row.get(3)?,
                trunk: row.get::<_, Option<String>>(4)?.map(TrunkId::new),
                inbox: InboxId::from(row.get_ref(5)?.as_str()?),
                priority: row.get(6)?,
                since: at(row.get(7)?),
                expires: at(row.get(8)?),
                gap_seconds: row.get(9)?,
                attempts_left: row.get(10)?,
                attempts: row.get(11)?,
                not_before: at(row.get(12)?),
            })
        })?
        .collect()
}
