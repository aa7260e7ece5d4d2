//! What uses what: asked of the compiler, which knows every reference.
//!
//! An object is used by whatever would be faulty without it. So it is taken away, nothing is kept of that, and what
//! the compiler finds more than before is the answer.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vestibule_routing::address::E164;

use super::{Store, StoreError, numbers};
use crate::{
    compile::{Change, Context, compile},
    document::{self, Key, Kind},
};

/// A place that uses an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Usage {
    /// The section of what uses it.
    pub section: &'static str,
    /// The name of what uses it.
    pub id: String,
    /// Where in the document, as a JSON pointer.
    pub path: String,
}

impl Store {
    /// Every place in the active revision that uses an object, at most a thousand.
    ///
    /// # Errors
    /// The store fails.
    pub fn usage(&self, key: &Key) -> Result<Vec<Usage>, StoreError> {
        let active = self.active.load();
        let connection = self.lock();
        let owned = |number: E164| numbers::is_ours(&connection, number).unwrap_or(false);
        let context = Context {
            now: jiff::Timestamp::now(),
            owned: &owned,
            recorded: &|_| true,
            speech: true,
            provider_kinds: &[],
            event_types: &[],
            run_tests: false,
        };
        let findings = |change: Change| {
            let outcome = compile(active.compiled.clone(), vec![change], &context);
            outcome.diagnostics.into_iter().map(|finding| (finding.code.as_str(), finding.path)).collect()
        };
        let before: BTreeSet<(&str, String)> = match super::objects::live(&connection, key)? {
            Some(body) => document::read(key, &body)
                .map(|object| findings((key.clone(), Some(object))))
                .unwrap_or_default(),
            None => return Ok(Vec::new()),
        };
        let without: BTreeSet<(&str, String)> = findings((key.clone(), None));
        let own = key.path();
        let mut used: BTreeMap<String, Usage> = BTreeMap::new();
        for (_, path) in without.difference(&before).filter(|(_, path)| *path != own) {
            used.extend(user(path).map(|usage| (path.clone(), usage)));
        }
        let tests = active.compiled.parts.tests.iter().filter(|(_, test)| match key.kind {
            Kind::Numbers => test.to.to_string() == key.id,
            Kind::Inboxes => test.expect.inbox.as_ref().is_some_and(|inbox| inbox.as_str() == key.id),
            _ => false,
        });
        used.extend(tests.map(|(name, _)| {
            let path = Key::new(Kind::Tests, name).path();
            let usage = Usage { section: Kind::Tests.as_str(), id: name.clone(), path: path.clone() };
            (path, usage)
        }));
        Ok(used.into_values().collect())
    }
}

/// The object that a path leads into.
fn user(path: &str) -> Option<Usage> {
    let mut steps = path.strip_prefix('/')?.split('/');
    let kind = Kind::parse(steps.next()?)?;
    let id = match kind {
        Kind::Settings => Key::SETTINGS_ID.to_owned(),
        _ => steps.next()?.replace("~1", "/").replace("~0", "~"),
    };
    Some(Usage { section: kind.as_str(), id, path: path.to_owned() })
}
