//! The audit log: who changed what, with before and after; each line is chained to the one before.
//!
//! A line's hash is SHA-256 over the hash before it and the line itself, so that a line that was changed or taken out is
//! found ([`Store::verify_audit`]). Triggers refuse to change or remove lines; who has the file can get around them, and
//! around a chain too if he computes all of it anew. So its newest hash is shown ([`Store::newest_audit`]), to be noted
//! elsewhere: from a hash that was noted on, nothing can be changed before it unseen.
//!
//! Lines whose time is over go by a checkpoint ([`Store::retire_audit`]): the hash that the chain goes on from, which a
//! line of the chain itself vouches for.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params, types::Value as Sql};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Store, StoreError};

/// The table of earlier versions, without hashes, is named apart; [`chain_earlier`] takes it over.
pub(super) const TABLES: &str = "
ALTER TABLE audit RENAME TO audit_unchained;
DROP INDEX audit_subject;
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
  before TEXT, after TEXT, hash BLOB NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, seq);
-- Lines up to `seq` are gone; the chain goes on from `hash`.
CREATE TABLE audit_checkpoint (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL) STRICT;
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

/// What the first line is chained to.
const BEGINNING: [u8; 32] = [0; 32];

/// Lines looked at before others get their turn.
const CHUNK: u32 = 5_000;

/// Objects of one change that are shown one by one; of more, only how many there are.
pub(super) const OBJECTS_SHOWN_MAX: usize = 200;

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

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AuditRow {
    /// Counts lines from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a user's login, a key's name, or `system`.
    pub actor: String,
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

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEnd {
    /// The line's number.
    pub seq: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// What a look at all lines found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFindings {
    /// Nothing was changed, added in between, or taken out.
    pub sound: bool,
    /// Lines looked at.
    pub lines: u64,
    /// Lines before this one went by a checkpoint; 1 when none did.
    pub first: u64,
    /// The last line; none when there is none.
    pub newest: Option<AuditEnd>,
    /// What is wrong first.
    pub fault: Option<String>,
}

struct Stored {
    seq: i64,
    at_ms: i64,
    actor: String,
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
            action: row.get(3)?,
            subject: row.get(4)?,
            before: row.get(5)?,
            after: row.get(6)?,
            hash: row.get(7)?,
        })
    }

    /// What its hash must be behind another. The line is hashed as a JSON array, in which no two lines look alike.
    fn chained_to(&self, previous: &[u8]) -> [u8; 32] {
        let Self { seq, at_ms, actor, action, subject, before, after, .. } = self;
        let line = json!([seq, at_ms, actor, action, subject, before, after]).to_string();
        Sha256::new().chain_update(previous).chain_update(line).finalize().into()
    }

    fn shown(self) -> AuditRow {
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        AuditRow {
            seq: self.seq.unsigned_abs(),
            at: Timestamp::from_millisecond(self.at_ms).unwrap_or_default(),
            actor: self.actor,
            action: self.action,
            subject: self.subject,
            before: value(self.before),
            after: value(self.after),
            hash: hex(&self.hash),
        }
    }
}

const COLUMNS: &str = "seq, at_ms, actor, action, subject, before, after, hash";

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
        let (mut wanted, mut values) = (vec!["1"], Vec::<Sql>::new());
        let mut want = |condition, value: Option<Sql>| {
            if let Some(value) = value {
                wanted.push(condition);
                values.push(value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Sql::Text);
        let ms = |at: Option<Timestamp>| at.map(|at| Sql::Integer(at.as_millisecond()));
        let before = filter.before.map(|seq| Sql::Integer(i64::try_from(seq).unwrap_or(i64::MAX)));
        want("seq < ?", before);
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
        values.push(Sql::Integer(limit.into()));
        let wanted = wanted.join(" AND ");
        let connection = self.lock();
        let query = format!("SELECT {COLUMNS} FROM audit WHERE {wanted} ORDER BY seq DESC LIMIT ?");
        let mut statement = connection.prepare_cached(&query)?;
        let rows = statement.query_map(rusqlite::params_from_iter(values), Stored::read)?;
        rows.map(|row| Ok(row?.shown())).collect()
    }

    /// The end of the chain, to be noted elsewhere; none when there is no line.
    ///
    /// # Errors
    /// The store fails.
    pub fn newest_audit(&self) -> Result<Option<AuditEnd>, StoreError> {
        let (seq, hash) = end(&self.lock())?;
        Ok((seq > 0).then(|| AuditEnd { seq: seq.unsigned_abs(), hash: hex(&hash) }))
    }

    /// Looks at every line, and whether the chain still holds what was noted of it.
    ///
    /// # Errors
    /// The store fails; a broken chain is a finding.
    pub fn verify_audit(&self, noted: Option<&AuditEnd>) -> Result<AuditFindings, StoreError> {
        let (mut at, mut hash) = beginning(&self.lock())?;
        let mut findings =
            AuditFindings { sound: false, lines: 0, first: at.unsigned_abs() + 1, newest: None, fault: None };
        let mut vouched = at == 0;
        let (start, start_hash) = (at, hex(&hash));
        let mut noted_holds = noted.is_none_or(|noted| noted.seq < findings.first);
        loop {
            let chunk = chunk_after(&self.lock(), at)?;
            let Some(last) = chunk.last().map(|line| line.seq) else { break };
            for line in chunk {
                let must_be = line.chained_to(&hash);
                let fault = if line.seq != at + 1 {
                    Some(format!("line {} is missing", at + 1))
                } else if must_be[..] != line.hash[..] {
                    Some(format!("line {} is not as it was written", line.seq))
                } else {
                    None
                };
                if fault.is_some() {
                    findings.fault = fault;
                    return Ok(findings);
                }
                (at, hash) = (line.seq, must_be.to_vec());
                findings.lines += 1;
                vouched |= line.action == RETIRED && vouches(&line, start, &start_hash);
                noted_holds |=
                    noted.is_some_and(|noted| noted.seq == line.seq.unsigned_abs() && noted.hash == hex(&hash));
            }
            at = last;
        }
        findings.newest = (at > 0).then(|| AuditEnd { seq: at.unsigned_abs(), hash: hex(&hash) });
        findings.fault = if !vouched {
            Some(format!("no line vouches for the checkpoint at line {start}"))
        } else if !noted_holds {
            Some("the line that was noted is not there any more".to_owned())
        } else {
            None
        };
        findings.sound = findings.fault.is_none();
        Ok(findings)
    }

    /// Adds a line for a change that is kept elsewhere than here.
    ///
    /// # Errors
    /// The store fails.
    pub fn note(&self, actor: &str, line: &Line) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        append(&transaction, actor, line)?;
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
        let (newest, _) = end(&transaction)?;
        // The first line that is to stay; times need not rise with numbers, but lines go in their order.
        let stays: Option<i64> = transaction
            .prepare_cached("SELECT seq FROM audit WHERE at_ms >= ?1 ORDER BY seq LIMIT 1")?
            .query_row([before.as_millisecond()], |row| row.get(0))
            .optional()?;
        let through = (stays.unwrap_or(newest) - 1).min(newest - 1).min(start + RETIRED_AT_ONCE_MAX);
        if through <= start {
            return Ok(0);
        }
        let hash: Vec<u8> =
            transaction.query_row("SELECT hash FROM audit WHERE seq = ?1", [through], |row| row.get(0))?;
        let lines = through - start;
        let after = json!({"through": through, "hash": hex(&hash), "lines": lines});
        let line = Line { action: RETIRED, subject: "audit".into(), before: None, after: Some(after) };
        append(&transaction, "system", &line)?;
        transaction.execute("INSERT INTO audit_checkpoint (seq, hash) VALUES (?1, ?2)", params![through, hash])?;
        transaction.execute("DELETE FROM audit WHERE seq <= ?1", [through])?;
        transaction.commit()?;
        Ok(lines.unsigned_abs())
    }
}

/// The action of a line that vouches for a checkpoint.
const RETIRED: &str = "audit.retired";
const RETIRED_AT_ONCE_MAX: i64 = 10_000;

/// Adds a line, in the transaction of the change that it tells of.
pub(super) fn append(connection: &Connection, actor: &str, line: &Line) -> Result<(), StoreError> {
    let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    append_at(connection, Timestamp::now().as_millisecond(), (actor, line.action), (
        &line.subject,
        text(&line.before),
        text(&line.after),
    ))
}

fn append_at(
    connection: &Connection,
    at_ms: i64,
    (actor, action): (&str, &str),
    (subject, before, after): (&str, Option<String>, Option<String>),
) -> Result<(), StoreError> {
    let (newest, previous) = end(connection)?;
    let mut line = Stored {
        seq: newest + 1,
        at_ms,
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        before,
        after,
        hash: Vec::new(),
    };
    line.hash = line.chained_to(&previous).to_vec();
    let Stored { seq, at_ms, actor, action, subject, before, after, hash } = &line;
    connection
        .prepare_cached(&format!("INSERT INTO audit ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"))?
        .execute(params![seq, at_ms, actor, action, subject, before, after, hash])?;
    Ok(())
}

/// Chains the lines of earlier versions, in their order.
pub(super) fn chain_earlier(connection: &Connection) -> Result<(), StoreError> {
    {
        let mut statement = connection.prepare(
            "SELECT at_ms, actor, action, subject, before, after FROM audit_unchained ORDER BY id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (actor, action): (String, String) = (row.get(1)?, row.get(2)?);
            let subject: String = row.get(3)?;
            append_at(connection, row.get(0)?, (&actor, &action), (&subject, row.get(4)?, row.get(5)?))?;
        }
    }
    connection.execute_batch("DROP TABLE audit_unchained;")?;
    Ok(())
}

/// What the first line that is left is chained to.
fn beginning(connection: &Connection) -> Result<(i64, Vec<u8>), StoreError> {
    let checkpoint = connection
        .prepare_cached("SELECT seq, hash FROM audit_checkpoint ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(checkpoint.unwrap_or_else(|| (0, BEGINNING.to_vec())))
}

/// What the next line is chained to.
fn end(connection: &Connection) -> Result<(i64, Vec<u8>), StoreError> {
    let newest = connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    newest.map_or_else(|| beginning(connection), Ok)
}

fn chunk_after(connection: &Connection, seq: i64) -> Result<Vec<Stored>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2");
    let mut statement = connection.prepare_cached(&query)?;
    let rows = statement.query_map(params![seq, CHUNK], Stored::read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a line says that lines through `seq` went, the last of which had this hash.
fn vouches(line: &Stored, seq: i64, hash: &str) -> bool {
    let says: Option<Value> = line.after.as_deref().and_then(|text| serde_json::from_str(text).ok());
    says.is_some_and(|says| says["through"] == seq && says["hash"] == hash)
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
