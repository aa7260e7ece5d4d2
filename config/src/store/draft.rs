//! The draft: edits on top of what is active, shared by all who edit.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde_json::Value;

use super::{
    Draft, Reader, Store, StoreError,
    audit::{Line, shown},
    objects,
};
use crate::{
    diagnostic::Diagnostic,
    document::{self, Key, Kind, RawDocument},
};

impl Store {
    /// The edits that are not published.
    ///
    /// # Errors
    /// The store fails.
    pub fn draft(&self) -> Result<Draft, StoreError> {
        read(&self.lock())
    }

    /// The edits that are not published, each with what is active in its place.
    ///
    /// # Errors
    /// The store fails.
    pub fn draft_beside_active(&self) -> Result<(Draft, BTreeMap<Key, Value>), StoreError> {
        let connection = self.lock();
        let draft = read(&connection)?;
        let mut active = BTreeMap::new();
        for key in draft.changes.keys() {
            if let Some(body) = objects::live(&connection, key)? {
                active.insert(key.clone(), body);
            }
        }
        Ok((draft, active))
    }

    /// How many edits are not published.
    ///
    /// # Errors
    /// The store fails.
    pub fn draft_size(&self) -> Result<u64, StoreError> {
        let count: i64 = self.lock().query_row("SELECT count(*) FROM draft", [], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// What is active with the draft's edits applied.
    ///
    /// # Errors
    /// The store fails.
    pub fn draft_document(&self) -> Result<(u64, RawDocument), StoreError> {
        let connection = self.lock();
        let draft = read(&connection)?;
        let mut document = objects::document_at(&connection, objects::newest_revision(&connection)?)?;
        for (key, body) in draft.changes {
            match body {
                Some(body) => drop(document.insert(key, body)),
                None => drop(document.remove(&key)),
            }
        }
        Ok((draft.version, document))
    }

    /// One object as the draft has it: edited, or as published.
    ///
    /// # Errors
    /// The store fails.
    pub fn draft_object(&self, key: &Key) -> Result<(u64, Option<Value>), StoreError> {
        let connection = self.lock();
        let draft = read(&connection)?;
        let body = match draft.changes.get(key) {
            Some(edited) => edited.clone(),
            None => objects::live(&connection, key)?,
        };
        Ok((draft.version, body))
    }

    /// Edits one object: a body, or none to remove it. Its form is checked at once, its references on
    /// publish, so that objects which need each other can be edited in any order.
    ///
    /// # Errors
    /// A body of the wrong form, another version of the draft than `expected`, or the store fails.
    pub fn edit(&self, key: &Key, body: Option<&Value>, expected: Option<u64>) -> Result<u64, StoreError> {
        let changes = BTreeMap::from([(key.clone(), body.cloned())]);
        super::read_changes(&changes)?;
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = begin(&transaction, expected)?;
        let base = objects::newest_revision(&transaction)?;
        let before = drafted(&transaction, key)?;
        put(&transaction, key, body, base)?;
        if before.as_ref() != body {
            self.tell_of_caller(&transaction, &edited(key, before, body.cloned()))?;
        }
        transaction.commit()?;
        Ok(version)
    }

    /// Says what [`Store::edit`] would, without editing: for those who have something costly to do before.
    ///
    /// # Errors
    /// As [`Store::edit`].
    pub fn check_edit(
        &self,
        key: &Key,
        body: Option<&Value>,
        expected: Option<u64>,
    ) -> Result<(), StoreError> {
        super::read_changes(&BTreeMap::from([(key.clone(), body.cloned())]))?;
        let found = version(&self.lock())?;
        match expected.filter(|expected| *expected != found) {
            Some(expected) => Err(StoreError::VersionMismatch { found, expected }),
            None => Ok(()),
        }
    }

    /// Makes the draft such that the given document would be published: what it does not hold is removed.
    ///
    /// # Errors
    /// Bodies of the wrong form, another version of the draft than `expected`, or the store fails.
    pub fn edit_all(&self, document: &RawDocument, expected: Option<u64>) -> Result<u64, StoreError> {
        let wanted: BTreeMap<_, _> =
            document.iter().map(|(key, body)| (key.clone(), Some(body.clone()))).collect();
        super::read_changes(&wanted)?;
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = begin(&transaction, expected)?;
        let base = objects::newest_revision(&transaction)?;
        let published = objects::document_at(&transaction, base)?;
        let before = shown::edits(&transaction)?;
        transaction.execute("DELETE FROM draft", [])?;
        for (key, body) in document.iter().filter(|(key, body)| published.get(*key) != Some(*body)) {
            put(&transaction, key, Some(body), base)?;
        }
        for key in published.keys().filter(|key| !document.contains_key(*key)) {
            put(&transaction, key, None, base)?;
        }
        let edits = shown::edits(&transaction)?;
        self.tell_of_caller(&transaction, &draft_line("draft.replaced", Some(before), Some(edits)))?;
        transaction.commit()?;
        Ok(version)
    }

    /// Forgets the edit of one object, where there is one.
    ///
    /// # Errors
    /// The store fails.
    pub fn forget_edit(&self, key: &Key) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = drafted(&transaction, key)?;
        let gone = transaction
            .prepare_cached("DELETE FROM draft WHERE kind = ?1 AND id = ?2")?
            .execute(params![key.kind.as_str(), key.id])?;
        if gone > 0 {
            begin(&transaction, None)?;
            let after = objects::live(&transaction, key)?;
            let line = Line { action: "draft.edit_forgotten", ..edited(key, before, after) };
            self.tell_of_caller(&transaction, &line)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// One object as it is published.
    ///
    /// # Errors
    /// The store fails.
    pub fn published_object(&self, key: &Key) -> Result<Option<Value>, StoreError> {
        objects::live(&self.lock(), key)
    }

    /// The objects of a section as they are published.
    ///
    /// # Errors
    /// The store fails.
    pub fn published_of(&self, kind: Kind) -> Result<Vec<(Key, Value)>, StoreError> {
        let connection = self.lock();
        let newest = objects::newest_revision(&connection)?;
        objects::section_at(&connection, kind, newest)
    }

    /// Edits objects by what is published of them, as an act of one step would ([`Store::act`]); the draft's version
    /// after that.
    ///
    /// # Errors
    /// What `change` says, bodies of the wrong form, or the store fails.
    pub fn edit_some(
        &self,
        change: impl Fn(&Reader<'_>) -> Result<BTreeMap<Key, Option<Value>>, StoreError>,
    ) -> Result<u64, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changes = change(&Reader::new(&transaction))?;
        super::read_changes(&changes)?;
        let version = begin(&transaction, None)?;
        let base = objects::newest_revision(&transaction)?;
        for (key, body) in &changes {
            let before = drafted(&transaction, key)?;
            put(&transaction, key, body.as_ref(), base)?;
            if before != *body {
                self.tell_of_caller(&transaction, &edited(key, before, body.clone()))?;
            }
        }
        transaction.commit()?;
        Ok(version)
    }

    /// Forgets all edits.
    ///
    /// # Errors
    /// Another version of the draft than `expected`, or the store fails.
    pub fn discard_draft(&self, expected: Option<u64>) -> Result<u64, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let version = begin(&transaction, expected)?;
        let before = shown::edits(&transaction)?;
        let gone = transaction.execute("DELETE FROM draft", [])?;
        if gone > 0 {
            self.tell_of_caller(&transaction, &draft_line("draft.discarded", Some(before), None))?;
        }
        transaction.commit()?;
        Ok(version)
    }

    /// What publishing the draft would say, without publishing it.
    ///
    /// # Errors
    /// The store fails; findings are no error.
    pub fn validate(&self) -> Result<Vec<Diagnostic>, StoreError> {
        let connection = self.lock();
        let draft = read(&connection)?;
        match self.compile_changes(&connection, draft.changes, &super::Numbers::new()) {
            Ok((_, _, diagnostics)) => Ok(diagnostics),
            Err(StoreError::Invalid(diagnostics)) => Ok(diagnostics),
            Err(other) => Err(other),
        }
    }

    /// What publishing a whole document would say; nothing is stored.
    ///
    /// # Errors
    /// The store fails; findings are no error.
    pub fn validate_document(&self, text: &str) -> Result<Vec<Diagnostic>, StoreError> {
        let document = match document::parse(text) {
            Ok(document) => document,
            Err(diagnostics) => return Ok(diagnostics),
        };
        let connection = self.lock();
        let published = objects::document_at(&connection, objects::newest_revision(&connection)?)?;
        let mut changes: BTreeMap<_, _> = published
            .keys()
            .filter(|key| !document.contains_key(*key))
            .map(|key| (key.clone(), None))
            .collect();
        changes.extend(document.into_iter().map(|(key, body)| (key, Some(body))));
        match self.compile_changes(&connection, changes, &super::Numbers::new()) {
            Ok((_, _, diagnostics)) => Ok(diagnostics),
            Err(StoreError::Invalid(diagnostics)) => Ok(diagnostics),
            Err(other) => Err(other),
        }
    }
}

/// One object as the draft has it.
fn drafted(connection: &Connection, key: &Key) -> Result<Option<Value>, StoreError> {
    let edit: Option<Option<String>> = connection
        .prepare_cached("SELECT body FROM draft WHERE kind = ?1 AND id = ?2")?
        .query_row(params![key.kind.as_str(), key.id], |row| row.get(0))
        .optional()?;
    match edit {
        Some(body) => Ok(body.and_then(|text| serde_json::from_str(&text).ok())),
        None => objects::live(connection, key),
    }
}

fn edited(key: &Key, before: Option<Value>, after: Option<Value>) -> Line {
    Line { action: "draft.edited", subject: key.to_string(), before, after }
}

fn draft_line(action: &'static str, before: Option<Value>, after: Option<Value>) -> Line {
    Line { action, subject: "draft".to_owned(), before, after }
}

/// Reads the draft.
pub(super) fn read(connection: &Connection) -> Result<Draft, StoreError> {
    let mut statement = connection.prepare_cached("SELECT kind, id, body FROM draft")?;
    let mut rows = statement.query([])?;
    let mut changes = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let Some(kind) = Kind::parse(&row.get::<_, String>(0)?) else { continue };
        let body: Option<String> = row.get(2)?;
        let body = body.map(|text| serde_json::from_str(&text).unwrap_or_default());
        changes.insert(Key::new(kind, row.get::<_, String>(1)?), body);
    }
    Ok(Draft { version: version(connection)?, changes })
}

/// The draft's objects that somebody else published in the meantime.
pub(super) fn conflicts(connection: &Connection, draft: &Draft) -> Result<Vec<Key>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT base FROM draft WHERE kind = ?1 AND id = ?2")?;
    let mut all = Vec::new();
    for key in draft.changes.keys() {
        let base: i64 = statement.query_row(params![key.kind.as_str(), key.id], |row| row.get(0))?;
        if objects::changed_after(connection, key, base.unsigned_abs())? {
            all.push(key.clone());
        }
    }
    Ok(all)
}

pub(super) fn version(connection: &Connection) -> Result<u64, StoreError> {
    let version: i64 = connection.query_row("SELECT version FROM draft_version", [], |row| row.get(0))?;
    Ok(version.unsigned_abs())
}

/// Checks the version that the caller read, and counts the edit.
pub(super) fn begin(connection: &Connection, expected: Option<u64>) -> Result<u64, StoreError> {
    let found = version(connection)?;
    if let Some(expected) = expected.filter(|expected| *expected != found) {
        return Err(StoreError::VersionMismatch { found, expected });
    }
    connection.execute("UPDATE draft_version SET version = version + 1", [])?;
    Ok(found + 1)
}

fn put(connection: &Connection, key: &Key, body: Option<&Value>, base: u64) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO draft (kind, id, body, base) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![key.kind.as_str(), key.id, body.map(Value::to_string), objects::signed(base)])?;
    Ok(())
}
