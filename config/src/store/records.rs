//! Records of carriers, purchases, registrations and transfers, with the audit of their changes; and sealed secrets, which
//! this module neither opens nor shows to the audit.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde_json::Value;

use super::{
    Store, StoreError,
    audit::{self, By, Line},
};
use crate::carrier::Record;

/// Made with the step of the schema that they are.
pub(super) const TABLES: &str = "
CREATE TABLE records (
  kind TEXT NOT NULL, id TEXT NOT NULL, key TEXT, open INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX records_key ON records (kind, key) WHERE key IS NOT NULL;
CREATE INDEX records_open ON records (kind, id) WHERE open = 1;
CREATE TABLE sealed (id TEXT PRIMARY KEY, secret BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX numbers_releasing ON numbers (number) WHERE json_extract(record, '$.holding') = 'releasing';
CREATE TABLE stock (number TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// What a form says by which another company knows its customer; the log does not say it.
const PROOFS: [&str; 2] = ["pin", "account"];

/// Open records looked at in one go.
const OPEN_MAX: u32 = 1000;

impl Store {
    /// A record.
    ///
    /// # Errors
    /// The store fails.
    pub fn record<T: Record>(&self, id: &str) -> Result<Option<T>, StoreError> {
        read(&self.lock(), id)
    }

    /// The record with this key.
    ///
    /// # Errors
    /// The store fails.
    pub fn record_by_key<T: Record>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let connection = self.lock();
        let text: Option<String> = connection
            .prepare_cached("SELECT record FROM records WHERE kind = ?1 AND key = ?2")?
            .query_row(params![T::KIND, key], |row| row.get(0))
            .optional()?;
        text.map(|text| parse(&text)).transpose()
    }

    /// Records after `after` by their ids, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn records<T: Record>(&self, after: Option<&str>, limit: u32) -> Result<Vec<T>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT record FROM records WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3")?;
        let after = after.unwrap_or_default();
        let rows = statement.query_map(params![T::KIND, after, limit], |row| row.get::<_, String>(0))?;
        rows.map(|text| parse(&text?)).collect()
    }

    /// Records that something is to be done about, the first thousand after `after`.
    ///
    /// # Errors
    /// The store fails.
    pub fn open_records<T: Record>(&self, after: Option<&str>) -> Result<Vec<T>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT record FROM records WHERE kind = ?1 AND open = 1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let after = after.unwrap_or_default();
        let rows = statement.query_map(params![T::KIND, after, OPEN_MAX], |row| row.get::<_, String>(0))?;
        rows.map(|text| parse(&text?)).collect()
    }

    /// Adds a record; `allowed` looks at what else is open in the same transaction, so that two requests at a time
    /// cannot both pass.
    ///
    /// # Errors
    /// There is one with its id or key, `allowed` refuses, or the store fails.
    pub fn add_record<T: Record>(
        &self,
        record: &T,
        actor: &str,
        allowed: impl FnOnce(&[T]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // All open ones, in pages, before the transaction would hold others up; the lock is ours throughout.
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let mut statement =
            transaction.prepare_cached("SELECT record FROM records WHERE kind = ?1 AND open = 1")?;
        let rows = statement.query_map([T::KIND], |row| row.get::<_, String>(0))?;
        let open: Vec<T> = rows.map(|text| parse(&text?)).collect::<Result<_, StoreError>>()?;
        drop(statement);
        // First of all: who asks for the same thing a second time is told of the first.
        if read::<T>(&transaction, record.id())?.is_some() || has_key(&transaction, record)? {
            return Err(StoreError::RecordExists { kind: T::KIND, id: record.id().to_owned() });
        }
        allowed(&open)?;
        put(&transaction, record, self.by(actor))?;
        transaction.commit()?;
        Ok(())
    }

    /// Changes a record in one transaction, and hands back how it is then.
    ///
    /// # Errors
    /// No such record, `change` refuses, or the store fails; nothing is changed then.
    pub fn change_record<T: Record + PartialEq + Clone>(
        &self,
        id: &str,
        actor: &str,
        change: impl FnOnce(&mut T) -> Result<(), StoreError>,
    ) -> Result<T, StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let before: T = read(&transaction, id)?
            .ok_or_else(|| StoreError::NoRecord { kind: T::KIND, id: id.to_owned() })?;
        let mut after = before.clone();
        change(&mut after)?;
        if after != before {
            put(&transaction, &after, self.by(actor))?;
            transaction.commit()?;
        }
        Ok(after)
    }

    /// Removes a record with what is sealed for it.
    ///
    /// # Errors
    /// No such record, or the store fails.
    pub fn remove_record<T: Record>(&self, id: &str, actor: &str) -> Result<(), StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let before: T = read(&transaction, id)?
            .ok_or_else(|| StoreError::NoRecord { kind: T::KIND, id: id.to_owned() })?;
        let [_, _, removed] = T::ACTIONS;
        note(&transaction, (self.by(actor), removed, id), Some(text(&before)), None)?;
        transaction.execute("DELETE FROM records WHERE kind = ?1 AND id = ?2", params![T::KIND, id])?;
        transaction.execute("DELETE FROM sealed WHERE id = ?1", [sealed_id::<T>(id)])?;
        transaction.commit()?;
        Ok(())
    }

    /// Puts a record together with what is sealed for it; new or not.
    ///
    /// # Errors
    /// The store fails.
    pub fn put_sealed<T: Record>(
        &self,
        record: &T,
        sealed: Option<&[u8]>,
        actor: &str,
    ) -> Result<(), StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        put(&transaction, record, self.by(actor))?;
        if let Some(sealed) = sealed {
            transaction.execute(
                "INSERT OR REPLACE INTO sealed (id, secret) VALUES (?1, ?2)",
                params![sealed_id::<T>(record.id()), sealed],
            )?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// What is sealed for a record.
    ///
    /// # Errors
    /// The store fails.
    pub fn sealed<T: Record>(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT secret FROM sealed WHERE id = ?1")?;
        Ok(statement.query_row([sealed_id::<T>(id)], |row| row.get(0)).optional()?)
    }

    /// Seals everything anew in one transaction; how many that were.
    ///
    /// # Errors
    /// `reseal` refuses one, or the store fails; nothing is changed then.
    pub fn reseal(
        &self,
        actor: &str,
        reseal: impl Fn(&str, &[u8]) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<usize, StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let all: Vec<(String, Vec<u8>)> = transaction
            .prepare("SELECT id, secret FROM sealed")?
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let mut count = 0;
        for (id, sealed) in all {
            let Some(fresh) = reseal(&id, &sealed)? else { continue };
            transaction.execute("UPDATE sealed SET secret = ?2 WHERE id = ?1", params![id, fresh])?;
            count += 1;
        }
        // Also of none: the head is signed with the newest key from this line on.
        let after = Some(format!("{{\"count\":{count}}}"));
        note(&transaction, (self.by(actor), "secrets.resealed", "secrets"), None, after)?;
        transaction.commit()?;
        Ok(count)
    }

    /// What the sandbox has sold of its stock under a number, a registration or an order.
    ///
    /// # Errors
    /// The store fails.
    pub fn sandbox_sold(&self, name: &str) -> Result<Option<Value>, StoreError> {
        let connection = self.lock();
        let text: Option<String> = connection
            .prepare_cached("SELECT record FROM stock WHERE number = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Has the sandbox sell, or take back.
    ///
    /// # Errors
    /// The store fails.
    pub fn sandbox_sell(&self, name: &str, record: Option<&Value>) -> Result<(), StoreError> {
        let connection = self.lock();
        match record {
            Some(record) => connection.execute(
                "INSERT OR REPLACE INTO stock (number, record) VALUES (?1, ?2)",
                params![name, record.to_string()],
            )?,
            None => connection.execute("DELETE FROM stock WHERE number = ?1", [name])?,
        };
        Ok(())
    }
}

/// The name that a record's secrets are sealed under.
pub(crate) fn sealed_id<T: Record>(id: &str) -> String {
    format!("{}/{id}", T::KIND)
}

/// Writes a record with its line of the audit log.
pub(super) fn put<T: Record>(connection: &Connection, record: &T, by: By<'_>) -> Result<(), StoreError> {
    let before: Option<String> = connection
        .prepare_cached("SELECT record FROM records WHERE kind = ?1 AND id = ?2")?
        .query_row(params![T::KIND, record.id()], |row| row.get(0))
        .optional()?;
    let [added, changed, _] = T::ACTIONS;
    let action = if before.is_some() { changed } else { added };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO records (kind, id, key, open, record) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![T::KIND, record.id(), record.key(), record.is_open(), text(record)])?;
    note(connection, (by, action, record.id()), before, Some(text(record)))
}

/// A line of the audit log: who did what to what, and how that was before and after.
fn note(
    connection: &Connection,
    (by, action, subject): (By<'_>, &'static str, &str),
    before: Option<String>,
    after: Option<String>,
) -> Result<(), StoreError> {
    let value = |text: String| {
        let mut value: Value = serde_json::from_str(&text).unwrap_or_default();
        for name in PROOFS {
            if let Some(proof) = value.get_mut("form").and_then(|form| form.get_mut(name)) {
                *proof = "…".into();
            }
        }
        value
    };
    let (before, after) = (before.map(value), after.map(value));
    audit::append(connection, by, &Line { action, subject: subject.to_owned(), before, after })
}

fn has_key<T: Record>(connection: &Connection, record: &T) -> Result<bool, StoreError> {
    let Some(key) = record.key() else { return Ok(false) };
    Ok(connection
        .prepare_cached("SELECT 1 FROM records WHERE kind = ?1 AND key = ?2")?
        .exists(params![T::KIND, key])?)
}

fn read<T: Record>(connection: &Connection, id: &str) -> Result<Option<T>, StoreError> {
    let text: Option<String> = connection
        .prepare_cached("SELECT record FROM records WHERE kind = ?1 AND id = ?2")?
        .query_row(params![T::KIND, id], |row| row.get(0))
        .optional()?;
    text.map(|text| parse(&text)).transpose()
}

fn text<T: Record>(record: &T) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

fn parse<T: Record>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)).into()
    })
}
