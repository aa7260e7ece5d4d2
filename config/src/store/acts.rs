//! Acts of one step: changes of published objects that become a revision of their own at once.
//!
//! The draft is not looked at, and stays as it is. What is changed is read under the same lock under which it is
//! published, so that no change of somebody else in between is lost.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::Value;

use super::{
    Numbers, Published, Store, StoreError, objects,
    publish::{Changes, Request, Rule},
};
use crate::{
    diagnostic::Code,
    document::{Key, Kind},
};

/// An object as it is published.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Its body; none when there is no such object.
    pub body: Option<Value>,
    /// The revision that changed it last; 0 when there is no such object.
    pub since: u64,
}

/// Reads published objects while an act is prepared.
#[expect(missing_debug_implementations, reason = "borrows the database")]
pub struct Reader<'a> {
    connection: &'a Connection,
}

impl<'a> Reader<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// An object as it is published.
    ///
    /// # Errors
    /// The store fails.
    pub fn live(&self, key: &Key) -> Result<Live, StoreError> {
        live(self.connection, key)
    }

    /// The same, when its last change is the one that the caller has read.
    ///
    /// # Errors
    /// It is not, or the store fails.
    pub fn live_at(&self, key: &Key, expected: Option<u64>) -> Result<Live, StoreError> {
        let live = self.live(key)?;
        match expected.filter(|expected| *expected != live.since) {
            Some(expected) => {
                Err(StoreError::ObjectChanged { key: key.clone(), found: live.since, expected })
            }
            None => Ok(live),
        }
    }
}

impl Store {
    /// An object as it is published.
    ///
    /// # Errors
    /// The store fails.
    pub fn live(&self, key: &Key) -> Result<Live, StoreError> {
        live(&self.lock(), key)
    }

    /// Every object of a section as it is published, by its name.
    ///
    /// # Errors
    /// The store fails.
    pub fn live_section(&self, kind: Kind) -> Result<BTreeMap<String, Live>, StoreError> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("SELECT id, body, since FROM objects WHERE kind = ?1 AND until IS NULL")?;
        let mut rows = statement.query([kind.as_str()])?;
        let mut all = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let key = Key::new(kind, row.get::<_, String>(0)?);
            let body = objects::body(&key, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
            let since = row.get::<_, i64>(2)?.unsigned_abs();
            all.insert(key.id, Live { body: Some(body), since });
        }
        Ok(all)
    }

    /// Publishes at once what `change` makes of the objects as they are published; none when that is what is there
    /// already. It may be asked more than once.
    ///
    /// # Errors
    /// What `change` says, or as [`Store::publish_changes`].
    pub fn act(
        &self,
        author: &str,
        note: &str,
        change: impl Fn(&Reader<'_>) -> Result<Changes, StoreError>,
    ) -> Result<Option<Published>, StoreError> {
        self.act_by(Rule::Ordinary, (author, note), change)
    }

    /// The same for acts of operation, which wait for no second person: arming, blocking a caller, taking something back.
    ///
    /// # Errors
    /// As [`Store::act`].
    pub fn act_at_once(
        &self,
        author: &str,
        note: &str,
        change: impl Fn(&Reader<'_>) -> Result<Changes, StoreError>,
    ) -> Result<Option<Published>, StoreError> {
        self.act_by(Rule::AtOnce, (author, note), change)
    }

    fn act_by(
        &self,
        rule: Rule<'_>,
        (author, note): (&str, &str),
        change: impl Fn(&Reader<'_>) -> Result<Changes, StoreError>,
    ) -> Result<Option<Published>, StoreError> {
        let nobody = Numbers::new();
        let request = Request { rule, ..Request::of_changes(author, note, &nobody) };
        let published = self.publish_ready(&request, |connection| {
            let mut changes = change(&Reader::new(connection))?;
            let mut same = Vec::new();
            for (key, body) in &changes {
                if objects::live(connection, key)? == *body {
                    same.push(key.clone());
                }
            }
            for key in same {
                changes.remove(&key);
            }
            Ok(changes)
        });
        match published {
            Ok(published) => Ok(Some(published)),
            Err(StoreError::Invalid(findings))
                if findings.iter().all(|finding| finding.code == Code::NothingToPublish) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn live(connection: &Connection, key: &Key) -> Result<Live, StoreError> {
    let row: Option<(String, i64)> = connection
        .prepare_cached(
            "SELECT body, since FROM objects WHERE kind = ?1 AND id = ?2 AND until IS NULL
             ORDER BY since DESC LIMIT 1",
        )?
        .query_row(params![key.kind.as_str(), key.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((text, since)) = row else { return Ok(Live::default()) };
    Ok(Live { body: Some(objects::body(key, &text)?), since: since.unsigned_abs() })
}
