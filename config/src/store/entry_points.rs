//! Entry points in their order, whether somebody set them up or they are there by themselves.
//!
//! By themselves there are: those of numbers with voice, of numbers that can carry SMS, of chat apps and of the exits
//! of IVRs. Mailboxes and accounts are there when they are named.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde_json::Value;
use vestibule_routing::{address::E164, channel::Channel, plan::node::Node};

use super::{Store, StoreError, objects};
use crate::{
    active::ActiveRouting,
    document::{Key, Kind, channel_name},
    number::Sms,
};

/// Which entry points are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct EntryPointFilter {
    /// Of this channel only.
    pub channel: Option<Channel>,
}

/// An entry point.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryPointRow {
    /// Its name, `voice/+14155550100`.
    pub id: String,
    /// What somebody set up for it; none when it is there by itself.
    pub body: Option<Value>,
    /// The revision that changed that last; 0 when there is nothing.
    pub since: u64,
}

impl Store {
    /// Whether a number of ours can carry SMS.
    pub fn carries_sms(&self, number: E164) -> bool {
        self.number(number)
            .ok()
            .flatten()
            .is_some_and(|record| record.holding.is_ours() && record.sms != Sms::NotCapable)
    }

    /// How many numbers of ours can carry SMS; none when the store fails.
    pub fn sms_numbers(&self) -> usize {
        let query = "SELECT count(*) FROM numbers WHERE ours = 1
             AND json_extract(record, '$.sms.state') <> 'not_capable'";
        let count = self.lock().query_row(query, [], |row| row.get::<_, i64>(0));
        count.ok().and_then(|count| usize::try_from(count).ok()).unwrap_or_default()
    }

    /// Entry points after `after` in the order of their names, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn entry_points(
        &self,
        after: &str,
        filter: EntryPointFilter,
        limit: usize,
    ) -> Result<Vec<EntryPointRow>, StoreError> {
        // '0' is the character after '/'.
        let (low, high) = match filter.channel {
            Some(channel) => (format!("{}/", channel_name(channel)), format!("{}0", channel_name(channel))),
            None => (String::new(), "\u{10FFFF}".to_owned()),
        };
        let range = Range { low: low.max(after.to_owned()), high, limit };
        let active = self.active.load();
        let mut found = of_parts(&active, &range);
        let connection = self.lock();
        of_numbers(&connection, &range, &mut found)?;
        set_up(&connection, &range, &mut found)?;
        Ok(found.into_values().take(limit).collect())
    }
}

struct Range {
    /// Names come after it.
    low: String,
    /// Names come before it.
    high: String,
    limit: usize,
}

impl Range {
    fn holds(&self, id: &str) -> bool {
        self.low.as_str() < id && id < self.high.as_str()
    }

    /// Where the rows of a channel begin; none when it has none in the range.
    fn after(&self, prefix: &str) -> Option<String> {
        if let Some(after) = self.low.strip_prefix(prefix) {
            return Some(after.to_owned());
        }
        (self.low.as_str() < prefix && prefix < self.high.as_str()).then(String::new)
    }
}

type Found = BTreeMap<String, EntryPointRow>;

fn by_itself(id: String) -> (String, EntryPointRow) {
    (id.clone(), EntryPointRow { id, body: None, since: 0 })
}

/// Those of exits and chat apps: few, and all known to the active routing.
fn of_parts(active: &ActiveRouting, range: &Range) -> Found {
    let exits = active.plan.ivrs.iter().flat_map(|(ivr, body)| {
        let exits = body.nodes().filter(|(_, node)| matches!(node, Node::Exit {}));
        exits.map(move |(node, _)| format!("ivr/{ivr}/{node}"))
    });
    let chats = active.compiled.parts.chat_apps.keys().map(|id| format!("chat/{id}"));
    exits.chain(chats).filter(|id| range.holds(id)).map(by_itself).collect()
}

/// Those of numbers with voice, and of numbers that can carry SMS.
fn of_numbers(connection: &Connection, range: &Range, found: &mut Found) -> Result<(), StoreError> {
    let sources = [
        (
            "sms/",
            "SELECT number FROM numbers WHERE number > ?1 AND ours = 1
             AND json_extract(record, '$.sms.state') <> 'not_capable' ORDER BY number LIMIT ?2",
        ),
        (
            "voice/",
            "SELECT id FROM objects WHERE kind = 'numbers' AND id > ?1 AND until IS NULL
             AND ifnull(json_extract(body, '$.voice'), 1) = 1 ORDER BY id LIMIT ?2",
        ),
    ];
    for (prefix, query) in sources {
        let Some(after) = range.after(prefix) else { continue };
        let mut statement = connection.prepare_cached(query)?;
        let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![after, limit], |row| row.get::<_, String>(0))?;
        for number in rows {
            let id = format!("{prefix}{}", number?);
            found.extend(range.holds(&id).then(|| by_itself(id)));
        }
    }
    Ok(())
}

/// Those that somebody set up.
fn set_up(connection: &Connection, range: &Range, found: &mut Found) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, body, since FROM objects WHERE kind = 'entry_points' AND id > ?1 AND id < ?2
         AND until IS NULL ORDER BY id LIMIT ?3",
    )?;
    let limit = i64::try_from(range.limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![range.low, range.high, limit])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let text = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let body = objects::body(&Key::new(Kind::EntryPoints, &id), text)?;
        let since = row.get::<_, i64>(2)?.unsigned_abs();
        found.insert(id.clone(), EntryPointRow { id, body: Some(body), since });
    }
    Ok(())
}
