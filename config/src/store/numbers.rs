//! Records of numbers; their changes stand in the audit log.

use std::sync::PoisonError;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use vestibule_routing::address::E164;

use super::{
    Numbers, Store, StoreError,
    audit::{self, By},
};
use crate::{
    carrier::Record,
    diagnostic::Code,
    number::{Holding, HoldingEvent, NumberFacts, NumberRecord, Sms, SmsEvent, SmsUse},
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
        let record = NumberRecord::new(number, holding, sms, NumberFacts::default());
        write(&transaction, None, &record, "number.added", self.by(actor))?;
        transaction.commit()?;
        self.note_sms(&record);
        Ok(record)
    }

    /// Takes a number up that a carrier holds for us, or takes it up again after its cool-down. `with` is written in
    /// the same transaction: what the number comes from is never told without the number.
    ///
    /// # Errors
    /// It is held already or still cools down, or the store fails.
    pub fn acquire_number<T: Record>(
        &self,
        record: NumberRecord,
        with: Option<&T>,
        actor: &str,
    ) -> Result<NumberRecord, StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let before = read(&transaction, record.number)?;
        if let Some(before) = &before {
            // What comes back from another carrier need not cool down.
            let comes_back = matches!(record.holding, Holding::Porting | Holding::Forwarding)
                && before.holding == Holding::Released;
            if !comes_back {
                before.may_be_taken_up(now()).map_err(|_| StoreError::NumberExists(record.number))?;
            }
        }
        write(&transaction, before.as_ref(), &record, "number.added", self.by(actor))?;
        if let Some(with) = with {
            super::records::put(&transaction, with, self.by(actor))?;
        }
        transaction.commit()?;
        self.note_sms(&record);
        Ok(record)
    }

    /// Changes what is known of a number: its facts, and where its set-up was left.
    ///
    /// # Errors
    /// No such number, or the store fails.
    pub fn amend_number(
        &self,
        number: E164,
        actor: &str,
        change: impl FnOnce(&mut NumberRecord),
    ) -> Result<NumberRecord, StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let before = read(&transaction, number)?.ok_or(StoreError::NoNumber(number))?;
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(before);
        }
        // The state machines are no business of this.
        after = NumberRecord {
            number,
            holding: before.holding,
            sms: before.sms.clone(),
            changed: now(),
            ..after
        };
        write(&transaction, Some(&before), &after, "number.amended", self.by(actor))?;
        transaction.commit()?;
        Ok(after)
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
                after.holding = before.holding.after(event, before.held_days(now))?;
                after.holding_since = Some(now);
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
        write(&transaction, Some(&before), &after, action, self.by(actor))?;
        transaction.commit()?;
        self.note_sms(&after);
        Ok(after)
    }

    /// Numbers that are being given back, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn numbers_releasing(&self, limit: u32) -> Result<Vec<NumberRecord>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT record FROM numbers WHERE json_extract(record, '$.holding') = 'releasing' LIMIT ?1",
        )?;
        let rows = statement.query_map([limit], |row| row.get::<_, String>(0))?;
        rows.map(|text| parse(&text?)).collect()
    }

    /// A number that is held at an account; none when there is no such.
    ///
    /// # Errors
    /// The store fails.
    pub fn number_held_at(&self, carrier: &str) -> Result<Option<E164>, StoreError> {
        let connection = self.lock();
        let found: Option<String> = connection
            .prepare_cached(
                "SELECT number FROM numbers WHERE json_extract(record, '$.facts.carrier') = ?1
                 AND json_extract(record, '$.holding') <> 'released' LIMIT 1",
            )?
            .query_row([carrier], |row| row.get(0))
            .optional()?;
        Ok(found.and_then(|number| E164::parse(&number).ok()))
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
}

/// A number of the first document: ours, and good for SMS once registered.
pub(super) fn seed(connection: &Connection, number: E164, by: By<'_>) -> Result<(), StoreError> {
    let record = NumberRecord::new(number, Holding::Owned, Sms::Required, NumberFacts::default());
    write(connection, None, &record, "number.added", by)
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
    action: &'static str,
    by: By<'_>,
) -> Result<(), StoreError> {
    let text = |record: &NumberRecord| serde_json::to_string(record).unwrap_or_default();
    let subject = after.number.to_string();
    connection
        .prepare_cached("INSERT OR REPLACE INTO numbers (number, ours, record) VALUES (?1, ?2, ?3)")?
        .execute(params![subject, after.holding.is_ours(), text(after)])?;
    let value = |record: &NumberRecord| serde_json::to_value(record).unwrap_or_default();
    let line = audit::Line { action, subject, before: before.map(value), after: Some(value(after)) };
    audit::append(connection, by, &line)
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
