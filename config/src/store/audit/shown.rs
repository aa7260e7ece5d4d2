//! What lines show of changes of routing: every object with its body before and after, up to a bound. The whole stands in the
//! revision.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::Line;
use crate::{
    document::Key,
    store::{Revision, StoreError, draft, objects},
};

/// The line of a revision. `objects` is what [`changes`] made of them.
pub(in crate::store) fn published(revision: &Revision, objects: Value) -> Line {
    let action = if revision.restores.is_some() { "revision.restored" } else { "revision.published" };
    let before = revision.number.checked_sub(1).filter(|number| *number > 0);
    Line {
        action,
        subject: format!("revision/{}", revision.number),
        before: before.map(|number| json!({ "revision": number })),
        after: Some(json!({
            "revision": revision.number, "note": revision.note, "restores": revision.restores,
            "changes": revision.changes, "objects": objects,
        })),
    }
}

/// Changed objects beside what is published in their place.
pub(in crate::store) fn changes(
    connection: &Connection,
    changes: &BTreeMap<Key, Option<Value>>,
) -> Result<Value, StoreError> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    for (key, after) in changes.iter().take(OBJECTS_MAX) {
        let before = objects::live(connection, key)?;
        let object = json!({"key": key.to_string(), "before": before, "after": after});
        bytes += object.to_string().len();
        if bytes > BYTES_MAX {
            break;
        }
        all.push(object);
    }
    Ok(all.into())
}

/// The edits of the draft, beside what is published.
pub(in crate::store) fn edits(connection: &Connection) -> Result<Value, StoreError> {
    let edits = draft::read(connection)?.changes;
    Ok(json!({"edits": edits.len(), "objects": changes(connection, &edits)?}))
}

/// Objects of one change that are shown one by one, and their bytes: a line stays small enough to be read.
const OBJECTS_MAX: usize = 200;
const BYTES_MAX: usize = 256 << 10;
