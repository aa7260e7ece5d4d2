//! The audit log: who changed what, with before and after.

use rusqlite::{Connection, params};
use serde::Serialize;
use serde_json::Value;

use super::{Store, StoreError};

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
    /// When.
    pub at: jiff::Timestamp,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// The record before.
    pub before: Option<Value>,
    /// The record after.
    pub after: Option<Value>,
}

impl Store {
    /// The audit of a subject (a number), the newest first.
    ///
    /// # Errors
    /// The store fails.
    pub fn audit(&self, subject: &str, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT at_ms, actor, action, subject, before, after FROM audit
             WHERE subject = ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        let rows = statement.query_map(params![subject, limit], |row| {
            Ok(AuditRow {
                at: jiff::Timestamp::from_millisecond(row.get(0)?).unwrap_or_default(),
                actor: row.get(1)?,
                action: row.get(2)?,
                subject: row.get(3)?,
                before: value(row.get(4)?),
                after: value(row.get(5)?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Adds a line, in the transaction of the change that it tells of.
pub(super) fn append(connection: &Connection, actor: &str, line: &Line) -> Result<(), StoreError> {
    let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    connection
        .prepare_cached(
            "INSERT INTO audit (at_ms, actor, action, subject, before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            jiff::Timestamp::now().as_millisecond(),
            actor,
            line.action,
            line.subject,
            text(&line.before),
            text(&line.after)
        ])?;
    Ok(())
}
