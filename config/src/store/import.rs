//! Very many entry points in one revision, in memory that does not grow with their number.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::TransactionBehavior;
use serde_json::{Value, json};
use vestibule_routing::address::E164;

use super::{
    CHUNK, Numbers, Published, Revision, Store, StoreError, approval, audit::shown, draft, invalid, numbers,
    objects, publish, read_changes,
};
use crate::{
    active::ActiveRouting,
    compile::{Context, compile},
    diagnostic::Code,
    document::{Key, Kind},
};

impl Store {
    /// Publishes rows as one revision: none when all of them are there already. Compiled and written in pieces, so that
    /// memory is bounded; nothing is active before all of it is. Other edits wait meanwhile; calls and messages do not.
    ///
    /// `row` gives the next row, and is called until it gives none; `done` hears how many were taken in.
    ///
    /// # Errors
    /// What `row` says; a row that is no entry point; or as [`Store::publish_changes`]. Nothing is changed then.
    pub fn import(
        &self,
        (author, note): (&str, &str),
        mut row: impl FnMut() -> Result<Option<(Key, Value)>, StoreError>,
        mut done: impl FnMut(u64),
    ) -> Result<Option<Published>, StoreError> {
        publish::check_note(note)?;
        if self.options.publish_needs_second {
            return Err(approval::no_import());
        }
        let connection = self.lock();
        let active = self.active.load();
        let owned = |number: E164| numbers::is_ours(&connection, number).unwrap_or(false);
        let context = |run_tests| Context {
            now: jiff::Timestamp::now(),
            owned: &owned,
            recorded: &|_| true,
            speech: true,
            provider_kinds: &[],
            event_types: &[],
            run_tests,
        };
        let mut compiled = active.compiled.clone();
        let mut apply = |changes: Vec<_>, run_tests| {
            let outcome = compile(std::mem::take(&mut compiled), changes, &context(run_tests));
            compiled = outcome.compiled.ok_or_else(|| StoreError::Invalid(outcome.diagnostics.clone()))?;
            Ok::<_, StoreError>(outcome.diagnostics)
        };
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let number = objects::newest_revision(&transaction)? + 1;
        let (mut taken, mut changed, mut warnings) = (0, 0, Vec::new());
        loop {
            let mut rows = BTreeMap::new();
            while rows.len() < CHUNK {
                let Some((key, body)) = row()? else { break };
                if key.kind != Kind::EntryPoints {
                    return Err(invalid(Code::BadName, &key.path(), "only entry points are imported"));
                }
                taken += 1;
                rows.insert(key, Some(body));
            }
            if rows.is_empty() {
                break;
            }
            self.fill_armed(&active, &mut rows);
            let mut same = BTreeSet::new();
            for (key, body) in &rows {
                if objects::live(&transaction, key)? == *body {
                    same.insert(key.clone());
                }
            }
            rows.retain(|key, _| !same.contains(key));
            warnings.extend(apply(read_changes(&rows)?, false)?);
            warnings.truncate(WARNINGS_MAX);
            for (key, body) in &rows {
                objects::replace(&transaction, key, body.as_ref(), number)?;
            }
            changed += rows.len() as u64;
            done(taken);
        }
        if changed == 0 {
            return Ok(None);
        }
        warnings.extend(apply(Vec::new(), true)?);
        let revision = imported(number, (author, note), changed);
        objects::insert_revision(&transaction, &revision)?;
        objects::prune(&transaction, &revision, self.options.revisions_kept_max)?;
        self.tell(&transaction, author, &shown::published(&revision, json!([])))?;
        transaction.commit()?;
        self.active.swap(ActiveRouting::new(revision.number, compiled));
        Ok(Some(Published { revision, warnings }))
    }

    /// Takes back what one revision has changed, as a new one; what was changed since stays. None when nothing is left
    /// to take back.
    ///
    /// # Errors
    /// No such revision or none before it, or as [`Store::publish_changes`].
    pub fn undo(&self, revision: u64, author: &str, note: &str) -> Result<Option<Published>, StoreError> {
        let before = revision.checked_sub(1).filter(|before| *before > 0).ok_or(StoreError::NoRevision(0))?;
        let differences = self.diff(before, revision)?;
        self.act_at_once(author, note, |reader| {
            let mut changes = publish::Changes::new();
            for difference in &differences {
                // As that revision left it: nobody has changed it since.
                if reader.live(&difference.key)?.body == difference.after {
                    changes.insert(difference.key.clone(), difference.before.clone());
                }
            }
            Ok(changes)
        })
    }

    /// Publishes the draft's edits of some objects, and leaves the others in the draft.
    ///
    /// # Errors
    /// As [`Store::publish`].
    pub fn publish_some(
        &self,
        keys: &BTreeSet<Key>,
        author: &str,
        note: &str,
        expected: Option<u64>,
    ) -> Result<Published, StoreError> {
        let nobody = Numbers::new();
        let request =
            publish::Request { of_draft: true, ..publish::Request::of_changes(author, note, &nobody) };
        self.publish_ready(&request, |connection| {
            let mut draft = draft::read(connection)?;
            if let Some(expected) = expected.filter(|expected| *expected != draft.version) {
                return Err(StoreError::VersionMismatch { found: draft.version, expected });
            }
            draft.changes.retain(|key, _| keys.contains(key));
            publish::no_conflicts(connection, &draft)?;
            Ok(draft.changes)
        })
    }
}

fn imported(number: u64, (author, note): (&str, &str), changes: u64) -> Revision {
    let now = jiff::Timestamp::now();
    Revision {
        number,
        author: author.to_owned(),
        note: note.trim().to_owned(),
        created: jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
        restores: None,
        changes,
        approved_by: None,
    }
}

/// The author of revisions that the guard makes; no user and no key has this name.
pub const GUARD: &str = "guard";

/// Warnings that one import reports.
const WARNINGS_MAX: usize = 1000;
