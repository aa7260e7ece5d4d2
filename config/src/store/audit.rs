//! The audit log: who changed what, from where, with before and after; each line is chained to the one before.
//!
//! A line is written in the transaction of the change that it tells of, so that there is neither without the other. Its hash
//! is SHA-256 over the hash before it and the line itself; the newest hash with the count of lines stands apart, as the
//! head, signed with a key that the database does not hold ([`AuditKeys`]). [`verify`] says which line was changed, taken out,
//! put in or moved, and whether the end was cut off. Triggers refuse to change or remove lines at all; the chain is for those
//! who get around them. Who has the master key too can compute everything anew: against him a line that was noted elsewhere
//! helps, which [`verify`] takes as well.
//!
//! Lines whose time is over go by a checkpoint ([`Store::retire_audit`]): the hash that the chain goes on from, which a
//! line of the chain itself vouches for. Decision 0031.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params, types::Value as Sql};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Store, StoreError};

mod acting;
mod head;
pub(super) mod shown;
mod verify;

pub(super) use acting::now;
pub use acting::{Acting, acting};
pub use head::AuditKeys;
pub(super) use head::begin_signing;
pub use verify::{AuditEnd, AuditFault, AuditFaultKind, AuditFindings, verify};

/// The table of earlier versions, without hashes, is named apart; [`chain_earlier`] takes it over.
pub(super) const TABLES: &str = "
ALTER TABLE audit RENAME TO audit_unchained;
DROP INDEX audit_subject;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, origin TEXT NOT NULL, action TEXT NOT NULL,
  subject TEXT NOT NULL, before TEXT, after TEXT, hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, seq);
CREATE INDEX audit_actor ON audit (actor, seq);
-- Lines up to `seq` are gone; the chain goes on from `hash`.
CREATE TABLE audit_checkpoint (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
-- The newest line, once more: a cut end does not fit to it. `mac` is its signature; none: it was never signed.
CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL, mac BLOB)
  STRICT;
INSERT INTO audit_head VALUES (1, 0, zeroblob(32), NULL);
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'lines of the audit log are not changed'); END;
CREATE TRIGGER audit_keeps BEFORE DELETE ON audit
  WHEN OLD.seq > coalesce((SELECT max(seq) FROM audit_checkpoint), 0)
  BEGIN SELECT RAISE(ABORT, 'lines of the audit log are not removed'); END;
CREATE TRIGGER audit_grows BEFORE INSERT ON audit
  WHEN NEW.seq <= max(coalesce((SELECT max(seq) FROM audit), 0),
                      coalesce((SELECT max(seq) FROM audit_checkpoint), 0))
  BEGIN SELECT RAISE(ABORT, 'lines are added at the end of the audit log'); END;
CREATE TRIGGER checkpoint_stays BEFORE UPDATE ON audit_checkpoint
  BEGIN SELECT RAISE(ABORT, 'checkpoints of the audit log are not changed'); END;
CREATE TRIGGER checkpoint_keeps BEFORE DELETE ON audit_checkpoint
  BEGIN SELECT RAISE(ABORT, 'checkpoints of the audit log are not removed'); END;
";

/// A change that is to stand in the audit log. What is secret must not be in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What was done, such as `user.added`.
    pub action: &'static str,
    /// What it was done to.
    pub subject: String,
    /// The record before; none when it was made.
    pub before: Option<Value>,
    /// The record after; none when it was removed.
    pub after: Option<Value>,
}

/// Who a line is of, and what the head behind it is signed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct By<'a> {
    pub(super) actor: &'a str,
    pub(super) keys: Option<&'a AuditKeys>,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRow {
    /// Counts lines from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a user's login, a key's name, or `system`.
    pub actor: String,
    /// From where: an address, with the session or key; empty when the gateway did it by itself.
    pub from: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// The record before.
    pub before: Option<Value>,
    /// The record after.
    pub after: Option<Value>,
    /// SHA-256 over the hash of the line before and this line, hexadecimal.
    pub hash: String,
}

/// Which lines are wanted; what is none does not matter.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Lines before this one.
    pub before: Option<u64>,
    /// Who.
    pub actor: Option<String>,
    /// What was done: the whole action, or what it begins with up to a dot (`user`).
    pub action: Option<String>,
    /// What it was done to.
    pub subject: Option<String>,
    /// From then on.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
}

/// A line as it is stored.
#[derive(Debug)]
struct Stored {
    seq: i64,
    at_ms: i64,
    actor: String,
    origin: String,
    action: String,
    subject: String,
    before: Option<String>,
    after: Option<String>,
    hash: Vec<u8>,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            at_ms: row.get(1)?,
            actor: row.get(2)?,
            origin: row.get(3)?,
            action: row.get(4)?,
            subject: row.get(5)?,
            before: row.get(6)?,
            after: row.get(7)?,
            hash: row.get(8)?,
        })
    }

    /// What its hash must be behind another. The line is hashed as a JSON array, in which no two lines look alike.
    fn chained_to(&self, previous: &[u8]) -> [u8; 32] {
        let Self { seq, at_ms, actor, origin, action, subject, before, after, .. } = self;
        let line = json!([seq, at_ms, actor, origin, action, subject, before, after]).to_string();
        Sha256::new().chain_update(previous).chain_update(line).finalize().into()
    }

    fn shown(self) -> AuditRow {
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        AuditRow {
            seq: self.seq.unsigned_abs(),
            at: Timestamp::from_millisecond(self.at_ms).unwrap_or_default(),
            actor: self.actor,
            from: self.origin,
            action: self.action,
            subject: self.subject,
            before: value(self.before),
            after: value(self.after),
            hash: hex(&self.hash),
        }
    }
}

const COLUMNS: &str = "seq, at_ms, actor, origin, action, subject, before, after, hash";

impl Store {
    /// The audit of a subject (a number), the newest first.
    ///
    /// # Errors
    /// The store fails.
    pub fn audit(&self, subject: &str, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let filter = AuditFilter { subject: Some(subject.to_owned()), ..AuditFilter::default() };
        self.audit_page(&filter, limit)
    }

    /// Lines of the audit log, the newest first, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn audit_page(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let (wanted, mut values) = conditions(filter);
        values.push(Sql::Integer(limit.into()));
        let query = format!("SELECT {COLUMNS} FROM audit WHERE {wanted} ORDER BY seq DESC LIMIT ?");
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&query)?;
        let rows = statement.query_map(rusqlite::params_from_iter(values), Stored::read)?;
        rows.map(|row| Ok(row?.shown())).collect()
    }

    /// One line by its number.
    ///
    /// # Errors
    /// The store fails.
    pub fn audit_line(&self, seq: u64) -> Result<Option<AuditRow>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM audit WHERE seq = ?1");
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let connection = self.lock();
        let line = connection.prepare_cached(&query)?.query_row([seq], Stored::read).optional()?;
        Ok(line.map(Stored::shown))
    }

    /// The end of the chain, to be noted elsewhere; none when there is no line.
    ///
    /// # Errors
    /// The store fails.
    pub fn newest_audit(&self) -> Result<Option<AuditEnd>, StoreError> {
        let head = head::read(&self.lock())?;
        Ok((head.seq > 0).then(|| AuditEnd { seq: head.seq.unsigned_abs(), hash: hex(&head.hash) }))
    }

    /// Looks at every line over a connection of its own, so that nobody waits meanwhile.
    ///
    /// # Errors
    /// The store fails; a broken chain is a finding.
    pub fn verify_audit(&self, noted: Option<&AuditEnd>) -> Result<AuditFindings, StoreError> {
        verify(self.folder(), self.audit_keys.get(), noted)
    }

    /// Signs the head with these keys from now on; call it once, before anything is changed. A head that was never
    /// signed (of an earlier version, or of a new store) is signed now, and a line says so.
    ///
    /// # Errors
    /// The store fails.
    pub fn sign_audit_with(&self, keys: AuditKeys) -> Result<(), StoreError> {
        let keys = self.audit_keys.get_or_init(|| keys);
        begin_signing(&mut self.lock(), keys)
    }

    /// Signs a head whose signature does not hold, after its keys were lost or somebody has looked into it; a line keeps why.
    ///
    /// # Errors
    /// The store fails.
    pub fn sign_audit_anew(&self, actor: &str, note: &str) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        head::sign_anew(&transaction, (actor, note), self.audit_keys.get())?;
        Ok(transaction.commit()?)
    }

    /// Adds a line for a change that is kept elsewhere than here.
    ///
    /// # Errors
    /// The store fails.
    pub fn note(&self, actor: &str, line: &Line) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.tell(&transaction, actor, line)?;
        Ok(transaction.commit()?)
    }

    /// Removes lines from before a time by a checkpoint, which the chain vouches for; says how many. At most 10,000 go at
    /// once, and the newest stays.
    ///
    /// # Errors
    /// The store fails.
    pub fn retire_audit(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (start, _) = beginning(&transaction)?;
        let newest = head::read(&transaction)?.seq;
        // The first line that is to stay; times need not rise with numbers, but lines go in their order.
        let stays: Option<i64> = transaction
            .prepare_cached("SELECT seq FROM audit WHERE at_ms >= ?1 ORDER BY seq LIMIT 1")?
            .query_row([before.as_millisecond()], |row| row.get(0))
            .optional()?;
        let through = stays.unwrap_or(newest).min(newest).saturating_sub(1).min(start + RETIRED_AT_ONCE_MAX);
        if through <= start {
            return Ok(0);
        }
        let hash: Vec<u8> =
            transaction.query_row("SELECT hash FROM audit WHERE seq = ?1", [through], |row| row.get(0))?;
        let lines = through - start;
        let after = json!({"through": through, "hash": hex(&hash), "lines": lines});
        let line = Line { action: RETIRED, subject: "audit".into(), before: None, after: Some(after) };
        self.tell(&transaction, "system", &line)?;
        transaction
            .execute("INSERT INTO audit_checkpoint (seq, hash) VALUES (?1, ?2)", params![through, hash])?;
        transaction.execute("DELETE FROM audit WHERE seq <= ?1", [through])?;
        transaction.commit()?;
        Ok(lines.unsigned_abs())
    }

    /// Whom lines of this store are of.
    pub(super) fn by<'a>(&'a self, actor: &'a str) -> By<'a> {
        By { actor, keys: self.audit_keys.get() }
    }

    /// Adds a line, in the transaction of the change that it tells of.
    pub(super) fn tell(&self, connection: &Connection, actor: &str, line: &Line) -> Result<(), StoreError> {
        append(connection, self.by(actor), line)
    }

    /// The same for whom this thread works.
    pub(super) fn tell_of_caller(&self, connection: &Connection, line: &Line) -> Result<(), StoreError> {
        self.tell(connection, &now().actor, line)
    }
}

/// What a query asks for, with its values.
fn conditions(filter: &AuditFilter) -> (String, Vec<Sql>) {
    let (mut wanted, mut values) = (vec!["1"], Vec::<Sql>::new());
    let mut want = |condition, value: Option<Sql>| {
        if let Some(value) = value {
            wanted.push(condition);
            values.push(value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Sql::Text);
    let ms = |at: Option<Timestamp>| at.map(|at| Sql::Integer(at.as_millisecond()));
    want("seq < ?", filter.before.map(|seq| Sql::Integer(i64::try_from(seq).unwrap_or(i64::MAX))));
    want("subject = ?", text(&filter.subject));
    want("actor = ?", text(&filter.actor));
    want("at_ms >= ?", ms(filter.since));
    want("at_ms < ?", ms(filter.until));
    match &filter.action {
        Some(action) if !action.contains('.') => {
            want("action GLOB ?", Some(Sql::Text(format!("{}.*", plain(action)))));
        }
        action => want("action = ?", text(action)),
    }
    (wanted.join(" AND "), values)
}

/// The action of a line that vouches for a checkpoint.
const RETIRED: &str = "audit.retired";
const RETIRED_AT_ONCE_MAX: i64 = 10_000;

/// Adds a line, in the transaction of the change that it tells of, which must be one that writes from its beginning.
pub(super) fn append(
    connection: &Connection,
    By { actor, keys }: By<'_>,
    line: &Line,
) -> Result<(), StoreError> {
    let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let line = Stored {
        seq: 0,
        at_ms: Timestamp::now().as_millisecond(),
        actor: actor.to_owned(),
        origin: now().from,
        action: line.action.to_owned(),
        subject: line.subject.clone(),
        before: text(&line.before),
        after: text(&line.after),
        hash: Vec::new(),
    };
    append_at(connection, line, keys)
}

/// Puts a line behind the head, and moves the head on.
fn append_at(connection: &Connection, mut line: Stored, keys: Option<&AuditKeys>) -> Result<(), StoreError> {
    let head = head::read(connection)?;
    line.seq = head.seq + 1;
    line.hash = line.chained_to(&head.hash).to_vec();
    let Stored { seq, at_ms, actor, origin, action, subject, before, after, hash } = &line;
    connection
        .prepare_cached(&format!(
            "INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        ))?
        .execute(params![seq, at_ms, actor, origin, action, subject, before, after, hash])?;
    head::move_on(connection, &head, (*seq, hash), keys)
}

/// Chains the lines of earlier versions, in their order.
pub(super) fn chain_earlier(connection: &Connection) -> Result<(), StoreError> {
    {
        let mut statement = connection.prepare(
            "SELECT 0, at_ms, actor, '', action, subject, before, after, x'' FROM audit_unchained ORDER BY id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            append_at(connection, Stored::read(row)?, None)?;
        }
    }
    Ok(connection.execute_batch("DROP TABLE audit_unchained;")?)
}

/// What the first line that is left is chained to.
fn beginning(connection: &Connection) -> Result<(i64, Vec<u8>), StoreError> {
    let checkpoint = connection
        .prepare_cached("SELECT seq, hash FROM audit_checkpoint ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(checkpoint.unwrap_or_else(|| (0, vec![0; 32])))
}

/// A word for GLOB: letters, digits and `_` only.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
