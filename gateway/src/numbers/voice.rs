//! What calls do at a number, set in one step: one publish that changes this number and nothing else.
//!
//! Numbers, entry points and IVRs are routing, with a draft that several people may be editing. So the change is published
//! past the draft, and refused where the draft has an edit of the very same object.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use vestibule_config::{
    document::{Key, Kind},
    number::{NumberRecord, SetupStep},
    store::{Published, Reader, StoreError},
};
use vestibule_routing::address::E164;

use super::{Numbers, NumbersError};
use crate::journal::EventKind;

/// What is wanted; an outer none leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct Voice {
    /// Calls are taken.
    pub active: Option<bool>,
    /// The Initial IVR; an inner none unlinks it.
    pub initial_ivr: Option<Option<String>>,
    /// The Queue IVR; an inner none unlinks it.
    pub queue_ivr: Option<Option<String>>,
    /// Seconds before the Queue IVR or the music.
    pub queue_wait_seconds: Option<u32>,
    /// The number's inbox; an inner none returns it to the default.
    pub inbox: Option<Option<String>>,
    /// Inboxes of exits, by `ivr/exit`; an inner none returns one to the default.
    pub exits: BTreeMap<String, Option<String>>,
}

impl Voice {
    /// What it makes of the objects as they are published.
    fn changes(
        &self,
        number: E164,
        published: impl Fn(&Key) -> Result<Option<Value>, StoreError>,
    ) -> Result<BTreeMap<Key, Option<Value>>, StoreError> {
        let mut changes = BTreeMap::new();
        let key = Key::new(Kind::Numbers, number.to_string());
        let before = published(&key)?;
        let after = number_body(before.as_ref(), self);
        if before.as_ref() != Some(&after) && (before.is_some() || self.active != Some(false)) {
            changes.insert(key, Some(after));
        }
        let own = self.inbox.iter().map(|inbox| (format!("voice/{number}"), inbox));
        let exits = self.exits.iter().map(|(exit, inbox)| (format!("ivr/{exit}"), inbox));
        for (id, inbox) in own.chain(exits) {
            let key = Key::new(Kind::EntryPoints, id);
            let before = published(&key)?;
            let after = with(before.as_ref(), "inbox", inbox.clone().map(Value::from));
            if before.as_ref() != Some(&after) && (before.is_some() || inbox.is_some()) {
                changes.insert(key, Some(after));
            }
        }
        Ok(changes)
    }
}

impl Numbers {
    /// Sets what calls do at a number. None when nothing changed.
    ///
    /// # Errors
    /// It is not ours, the draft edits the same, or routing does not allow it.
    pub async fn set_voice(
        &self,
        number: E164,
        wanted: Voice,
        actor: String,
    ) -> Result<Option<Published>, NumbersError> {
        let record = self.record(number).await?;
        let published = self
            .blocking(move |store| {
                let changes = wanted.changes(number, |key| store.published_object(key))?;
                let draft = store.draft()?;
                if let Some(key) = changes.keys().find(|key| draft.changes.contains_key(key)) {
                    return Ok(Err(NumbersError::Drafted(key.to_string())));
                }
                let note = format!("Voice of {number}");
                // Read again under the lock of the publish: what somebody else changes meanwhile (arming) stays.
                let act = |reader: &Reader<'_>| wanted.changes(number, |key| Ok(reader.live(key)?.body));
                Ok(Ok(store.act(&actor, &note, act)?))
            })
            .await??;
        if published.is_some() {
            self.tell(EventKind::NumberChanged, &record).await?;
        }
        Ok(published)
    }

    /// Keeps where the set-up of a number was left; none when it is done.
    ///
    /// # Errors
    /// There is no such number, or the store fails.
    pub async fn set_setup(
        &self,
        number: E164,
        step: Option<SetupStep>,
        actor: String,
    ) -> Result<NumberRecord, NumbersError> {
        self.blocking(move |store| store.amend_number(number, &actor, |record| record.setup = step)).await
    }
}

fn number_body(before: Option<&Value>, wanted: &Voice) -> Value {
    let mut body = before.cloned().unwrap_or_else(|| json!({"voice": false}));
    if let Some(active) = wanted.active {
        // Voice is on unless it is said to be off.
        let off = (!active).then_some(Value::Bool(false));
        body = with(Some(&body), "voice", off);
    }
    for (name, ivr) in [("initial_ivr", &wanted.initial_ivr), ("queue_ivr", &wanted.queue_ivr)] {
        if let Some(ivr) = ivr {
            body = with(Some(&body), name, ivr.clone().map(Value::from));
        }
    }
    if let Some(seconds) = wanted.queue_wait_seconds {
        body = with(Some(&body), "queue_wait_seconds", Some(seconds.into()));
    }
    body
}

/// An object with a field set or removed.
fn with(object: Option<&Value>, name: &str, value: Option<Value>) -> Value {
    let mut fields = object.and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    match value {
        Some(value) => drop(fields.insert(name.to_owned(), value)),
        None => drop(fields.remove(name)),
    }
    Value::Object(fields)
}
