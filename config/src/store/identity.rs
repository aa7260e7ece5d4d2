//! Who may do what, as records: users, roles, keys, sessions, one-time links.
//!
//! Only keeping is done here, each change in one transaction with its line of the audit log; what the records mean and
//! who may change them is the gateway's business. It has a connection of its own, so that nobody who signs in waits
//! for a publish. Several processes may use it at once (the gateway, and its command line): a change says which version
//! it was made from.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde_json::Value;

use super::{StoreError, audit, schema};

pub(super) const TABLES: &str = "
CREATE TABLE identity (
  kind TEXT NOT NULL, id TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE identity_version (version INTEGER NOT NULL) STRICT;
INSERT INTO identity_version VALUES (0);
";

/// One record that is put, or removed.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordChange {
    /// `user`, `role`, `key`, `session` or `link`.
    pub kind: &'static str,
    /// Its id among those of its kind.
    pub id: String,
    /// The record; none removes it.
    pub record: Option<Value>,
}

/// The records of one kind and id.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What it is of.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// What it says.
    pub record: Value,
}

/// The records, over a connection of their own.
#[derive(Debug)]
pub struct IdentityStore {
    connection: Connection,
    audit_keys: Option<audit::AuditKeys>,
}

impl IdentityStore {
    /// Opens `config.db` in the folder.
    ///
    /// # Errors
    /// The file cannot be opened, or is newer than this program.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: schema::open(&folder.join("config.db"))?, audit_keys: None })
    }

    /// Signs the head of the audit log with these keys from now on; as [`Store::sign_audit_with`](super::Store::sign_audit_with).
    ///
    /// # Errors
    /// The store fails.
    pub fn sign_audit_with(&mut self, keys: audit::AuditKeys) -> Result<(), StoreError> {
        audit::begin_signing(&mut self.connection, &keys)?;
        self.audit_keys = Some(keys);
        Ok(())
    }

    /// Adds lines for what is no change of a record: somebody who could not sign in.
    ///
    /// # Errors
    /// The store fails.
    pub fn note(&mut self, actor: &str, lines: &[audit::Line]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for line in lines {
            audit::append(&transaction, audit::By { actor, keys: self.audit_keys.as_ref() }, line)?;
        }
        Ok(transaction.commit()?)
    }

    /// Counts changes.
    ///
    /// # Errors
    /// The store fails.
    pub fn version(&self) -> Result<u64, StoreError> {
        version(&self.connection)
    }

    /// All records, with the version that they are of.
    ///
    /// # Errors
    /// The store fails.
    pub fn load(&self) -> Result<(u64, Vec<Record>), StoreError> {
        let transaction = self.connection.unchecked_transaction()?;
        let version = version(&transaction)?;
        let mut statement = transaction.prepare_cached("SELECT kind, id, record FROM identity")?;
        let rows = statement.query_map([], |row| {
            let text: String = row.get(2)?;
            let record = serde_json::from_str(&text).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(error))
            })?;
            Ok(Record { kind: row.get(0)?, id: row.get(1)?, record })
        })?;
        let records = rows.collect::<Result<_, _>>()?;
        drop(statement);
        transaction.commit()?;
        Ok((version, records))
    }

    /// Makes changes together with the lines of the audit log that tell of them; says the new version.
    ///
    /// # Errors
    /// The records have another version than `expected`, or the store fails; nothing is changed then.
    pub fn commit(
        &mut self,
        expected: u64,
        changes: &[RecordChange],
        (actor, lines): (&str, &[audit::Line]),
    ) -> Result<u64, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&transaction)?;
        if found != expected {
            return Err(StoreError::IdentityChanged { found, expected });
        }
        for change in changes {
            write(&transaction, change)?;
        }
        for line in lines {
            audit::append(&transaction, audit::By { actor, keys: self.audit_keys.as_ref() }, line)?;
        }
        transaction.execute("UPDATE identity_version SET version = version + 1", [])?;
        transaction.commit()?;
        Ok(found + 1)
    }

    /// Puts records that are there still, without counting it as a change: when somebody was last seen.
    ///
    /// # Errors
    /// The store fails.
    pub fn refresh(&mut self, changes: &[RecordChange]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in changes {
            let there = transaction
                .prepare_cached("SELECT 1 FROM identity WHERE kind = ?1 AND id = ?2")?
                .query_row(params![change.kind, change.id], |_| Ok(()))
                .optional()?;
            if there.is_some() {
                write(&transaction, change)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn write(connection: &Connection, change: &RecordChange) -> Result<(), StoreError> {
    let RecordChange { kind, id, record } = change;
    match record {
        Some(record) => connection
            .prepare_cached("INSERT OR REPLACE INTO identity (kind, id, record) VALUES (?1, ?2, ?3)")?
            .execute(params![kind, id, record.to_string()])?,
        None => connection
            .prepare_cached("DELETE FROM identity WHERE kind = ?1 AND id = ?2")?
            .execute(params![kind, id])?,
    };
    Ok(())
}

fn version(connection: &Connection) -> Result<u64, StoreError> {
    let version: i64 = connection.query_row("SELECT version FROM identity_version", [], |row| row.get(0))?;
    Ok(version.unsigned_abs())
}
