//! Trying edits out before anything is kept: what a publish would say of them, and the plan that they would make.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use serde_json::Value;
use vestibule_routing::plan::Plan;

use super::{Numbers, Store, StoreError, draft, objects};
use crate::{
    diagnostic::Diagnostic,
    document::{Key, Kind},
};

/// An object of a section, as the draft has it.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionObject {
    /// Its body; none when the draft removes it.
    pub body: Option<Value>,
    /// Whether the draft edits it.
    pub edited: bool,
    /// The revision, author and moment of its last publish; none when it never was.
    pub published: Option<(u64, String, Timestamp)>,
}

/// A section by the names of its objects.
pub type Section = BTreeMap<String, SectionObject>;

impl Store {
    /// What publishing the draft would say if it had this body of an object as well; nothing is kept. A body of the
    /// wrong form is a finding.
    ///
    /// # Errors
    /// The store fails.
    pub fn try_out(&self, key: &Key, body: &Value) -> Result<Vec<Diagnostic>, StoreError> {
        let connection = self.lock();
        let mut changes = draft::read(&connection)?.changes;
        changes.insert(key.clone(), Some(body.clone()));
        match self.compile_some(&connection, changes, &Numbers::new(), true) {
            Ok((_, _, diagnostics)) | Err(StoreError::Invalid(diagnostics)) => Ok(diagnostics),
            Err(other) => Err(other),
        }
    }

    /// The plan that publishing the draft would make active, with this body of an object in it. The tests of the
    /// document are not run: one that fails is no reason not to see why.
    ///
    /// # Errors
    /// Findings that would stop the publish, or the store fails.
    pub fn draft_plan(&self, edit: Option<(&Key, &Value)>) -> Result<Arc<Plan>, StoreError> {
        let connection = self.lock();
        let mut changes = draft::read(&connection)?.changes;
        if let Some((key, body)) = edit {
            changes.insert(key.clone(), Some(body.clone()));
        }
        let (_, compiled, _) = self.compile_some(&connection, changes, &Numbers::new(), false)?;
        Ok(Arc::new(compiled.plan))
    }

    /// A section as the draft has it; made for sections of few objects.
    ///
    /// # Errors
    /// The store fails.
    pub fn draft_section(&self, kind: Kind) -> Result<Section, StoreError> {
        let connection = self.lock();
        let mut section = Section::new();
        objects::each_body_at(&connection, kind, objects::newest_revision(&connection)?, |id, body| {
            section.insert(id, SectionObject { body: Some(body), edited: false, published: None });
        })?;
        let mut last = connection.prepare_cached(
            "SELECT r.number, r.author, r.created_ms FROM objects o JOIN revisions r ON r.number = o.since
             WHERE o.kind = ?1 AND o.id = ?2 AND o.until IS NULL ORDER BY o.since DESC LIMIT 1",
        )?;
        for (id, object) in &mut section {
            object.published = last
                .query_row(params![kind.as_str(), id], |row| {
                    let created = Timestamp::from_millisecond(row.get(2)?).unwrap_or_default();
                    Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?, created))
                })
                .optional()?;
        }
        for (key, body) in draft::read(&connection)?.changes {
            if key.kind == kind {
                let object = section.entry(key.id).or_insert(SectionObject {
                    body: None,
                    edited: true,
                    published: None,
                });
                (object.body, object.edited) = (body, true);
            }
        }
        Ok(section)
    }
}
