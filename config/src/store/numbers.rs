//! Records of numbers, with the audit of their changes.

use std::sync::PoisonError;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde::Serialize;
use vestibule_routing::address::E164;

use super::{Numbers, Store, StoreError};
use crate::{
    diagnostic::Code,
    number::{Holding, HoldingEvent, NumberRecord, Sms, SmsEvent, SmsUse},
};

/// Records read at once at the start.
const PAGE: u32 = 10_000;

/// A change of a number's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberChange {
    /// Of whether we hold it.
    Holding(HoldingEvent),
    /// Of its registration for SMS.
    Sms(SmsEvent),
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
    pub before: Option<serde_json::Value>,
    /// The record after.
    pub after: Option<serde_json::Value>,
}

impl Store {
    /// Records of numbers after `after` in their order, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn numbers(&self, after: Option<E164>, limit: u32) -> Result<Vec<NumberRecord>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT record FROM numbers WHERE number > ?1 ORDER BY number LIMIT ?2")?;
        let after = after.map(|number| number.to_string()).unwrap_or_default();
        let rows = statement.query_map(params![after, limit], |row| row.get::<_, String>(0))?;
        rows.map(|text| parse(&text?)).collect()
    }

    /// One number's record.
    ///
    /// # Errors
    /// The store fails.
    pub fn number(&self, number: E164) -> Result<Option<NumberRecord>, StoreError> {
        read(&self.lock(), number)
    }

    /// Takes a number up: bought, or on its way.
    ///
    /// # Errors
    /// It has a record already, or the store fails.
    pub fn add_number(
        &self,
        number: E164,
        holding: Holding,
        sms: Sms,
        actor: &str,
    ) -> Result<NumberRecord, StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        if read(&transaction, number)?.is_some() {
            return Err(StoreError::NumberExists(number));
        }
        let record = NumberRecord { number, holding, sms, changed: now() };
        write(&transaction, None, &record, "number.added", actor)?;
        transaction.commit()?;
        self.note_sms(&record);
        Ok(record)
    }

    /// Changes a number's record along its state machine.
    ///
    /// # Errors
    /// No such number, no such transition, or the store fails.
    pub fn change_number(
        &self,
        number: E164,
        change: NumberChange,
        actor: &str,
    ) -> Result<NumberRecord, StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let before = read(&transaction, number)?.ok_or(StoreError::NoNumber(number))?;
        let now = now();
        let mut after = NumberRecord { changed: now, ..before.clone() };
        let action = match change {
            NumberChange::Holding(event) => {
                let days = now.duration_since(before.changed).as_secs() / 86_400;
                after.holding = before.holding.after(event, days)?;
                if !after.holding.is_ours() && self.active.load().plan.numbers.contains_key(&number) {
                    let path = format!("/numbers/{number}");
                    return Err(super::invalid(
                        Code::StillUsed,
                        &path,
                        "the active revision routes this number",
                    ));
                }
                "number.holding"
            }
            NumberChange::Sms(event) => {
                after.sms = before.sms.after(event, now)?;
                "number.sms"
            }
        };
        write(&transaction, Some(&before), &after, action, actor)?;
        transaction.commit()?;
        self.note_sms(&after);
        Ok(after)
    }

    /// What a number's registration means for messages; none for a number without a record. Never waits for the database.
    pub fn sms_use(&self, number: E164) -> Option<SmsUse> {
        self.sms.read().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }

    fn note_sms(&self, record: &NumberRecord) {
        let mut sms = self.sms.write().unwrap_or_else(PoisonError::into_inner);
        sms.insert(record.number, record.sms.use_of());
    }

    pub(super) fn load_sms(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.numbers(after, PAGE)?;
            page.iter().for_each(|record| self.note_sms(record));
            match page.last() {
                Some(last) => after = Some(last.number),
                None => return Ok(()),
            }
        }
    }

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

/// A number of the first document: ours, and good for SMS once registered.
pub(super) fn seed(connection: &Connection, number: E164, actor: &str) -> Result<(), StoreError> {
    let record = NumberRecord { number, holding: Holding::Owned, sms: Sms::Required, changed: now() };
    write(connection, None, &record, "number.added", actor)
}

pub(super) fn is_ours(connection: &Connection, number: E164) -> Result<bool, StoreError> {
    let ours: Option<bool> = connection
        .prepare_cached("SELECT ours FROM numbers WHERE number = ?1")?
        .query_row([number.to_string()], |row| row.get(0))
        .optional()?;
    Ok(ours.unwrap_or(false))
}

pub(super) fn all_ours(connection: &Connection) -> Result<Numbers, StoreError> {
    let mut statement = connection.prepare_cached("SELECT number FROM numbers WHERE ours = 1")?;
    let mut rows = statement.query([])?;
    let mut all = Numbers::new();
    while let Some(row) = rows.next()? {
        all.extend(E164::parse(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?).ok());
    }
    Ok(all)
}

fn read(connection: &Connection, number: E164) -> Result<Option<NumberRecord>, StoreError> {
    let text: Option<String> = connection
        .prepare_cached("SELECT record FROM numbers WHERE number = ?1")?
        .query_row([number.to_string()], |row| row.get(0))
        .optional()?;
    text.map(|text| parse(&text)).transpose()
}

fn write(
    connection: &Connection,
    before: Option<&NumberRecord>,
    after: &NumberRecord,
    action: &str,
    actor: &str,
) -> Result<(), StoreError> {
    let text = |record: &NumberRecord| serde_json::to_string(record).unwrap_or_default();
    let subject = after.number.to_string();
    connection
        .prepare_cached("INSERT OR REPLACE INTO numbers (number, ours, record) VALUES (?1, ?2, ?3)")?
        .execute(params![subject, after.holding.is_ours(), text(after)])?;
    connection
        .prepare_cached(
            "INSERT INTO audit (at_ms, actor, action, subject, before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            after.changed.as_millisecond(),
            actor,
            action,
            subject,
            before.map(text),
            text(after)
        ])?;
    Ok(())
}

fn parse(text: &str) -> Result<NumberRecord, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        let wrong = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(0, wrong, Box::new(error)).into()
    })
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
