//! A section of the draft, page by page.

use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;
use serde_json::Value;

use super::{Store, StoreError, objects};
use crate::document::{Key, Kind};

/// An object beside what the draft makes of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// Its name.
    pub id: String,
    /// As it is active; none when it is not.
    pub active: Option<Value>,
    /// As the draft has it; none when it is removed.
    pub body: Option<Value>,
    /// Whether the draft touches it.
    pub edited: bool,
}

impl Store {
    /// Objects of a section behind a name, by their names: those that are active, and those that the draft adds.
    ///
    /// # Errors
    /// The store fails.
    pub fn draft_page(&self, kind: Kind, after: &str, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let connection = self.lock();
        let ids: Vec<String> = connection
            .prepare_cached(
                "SELECT id FROM objects WHERE kind = ?1 AND id > ?2 AND until IS NULL
                 UNION SELECT id FROM draft WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
            )?
            .query_map(params![kind.as_str(), after, limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut draft = connection.prepare_cached("SELECT body FROM draft WHERE kind = ?1 AND id = ?2")?;
        let mut page = Vec::with_capacity(ids.len());
        for id in ids {
            let active = objects::live(&connection, &Key::new(kind, id.clone()))?;
            let edit: Option<Option<String>> =
                draft.query_row(params![kind.as_str(), id], |row| row.get(0)).optional()?;
            let edited = edit.is_some();
            let body = match edit {
                Some(text) => text.map(|text| serde_json::from_str(&text).unwrap_or_default()),
                None => active.clone(),
            };
            page.push(Listed { id, active, body, edited });
        }
        Ok(page)
    }
}
