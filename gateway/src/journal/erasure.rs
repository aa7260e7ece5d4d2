//! Erasing what is kept of a customer: the request, how far it is, and each of its steps as one small transaction.
//!
//! A step names what it writes, so that one which comes twice writes the same. What the steps are and in which order they
//! come is the business of [`crate::erasure`]. Decision 0033.

mod reading;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(super) use self::reading::{calls, doomed, found_of, list, named, one, open};
use super::{Event, EventKind, writer::write_events};

/// `place` is where a state goes on; `found` has what belongs to the customer, until the erasure is done.
pub(super) const TABLES: &str = "
CREATE TABLE erasure(
  id TEXT PRIMARY KEY,
  address TEXT,
  print TEXT NOT NULL,
  asked_us INTEGER NOT NULL,
  asked_by TEXT NOT NULL,
  state TEXT NOT NULL,
  settled_us INTEGER NOT NULL,
  place TEXT NOT NULL,
  last_seq INTEGER NOT NULL,
  waits_for INTEGER NOT NULL,
  contacts INTEGER NOT NULL,
  conversations INTEGER NOT NULL,
  lines INTEGER NOT NULL,
  events INTEGER NOT NULL,
  files INTEGER NOT NULL,
  done_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX erasure_open ON erasure(id) WHERE state <> 'done';
CREATE TABLE erasure_found(
  erasure TEXT NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  done INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(erasure, kind, id)
) STRICT, WITHOUT ROWID;
";

/// What stands for an address that was erased.
pub const ERASED: &str = "erased";

/// Rows of one kind that a step writes.
pub const ERASED_AT_ONCE: usize = 200;

/// Events that are looked at in one go.
const LOOKED_AT: u64 = 20_000;

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasureState {
    /// Conversations are closed, callbacks taken back, calls that go on are waited for.
    Settling,
    /// What belongs to the customer is looked for.
    Finding,
    /// Records, conversations, lines of chats and the ledger of opt-outs are emptied.
    Records,
    /// Events become tombstones.
    Events,
    /// Recordings, files and mails go.
    Files,
    /// Nothing is left.
    Done,
}

impl ErasureState {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Settling, "settling"),
        (Self::Finding, "finding"),
        (Self::Records, "records"),
        (Self::Events, "events"),
        (Self::Files, "files"),
        (Self::Done, "done"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("done", |(_, name)| name)
    }

    fn parse(text: &str) -> Self {
        Self::ALL.iter().find(|(_, name)| *name == text).map_or(Self::Settling, |(state, _)| *state)
    }
}

/// An erasure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureRow {
    /// Its id, `er_…`.
    pub id: String,
    /// Whose data; none once nothing is left.
    pub address: Option<String>,
    /// By which somebody who knows the address can tell that it was this one's.
    pub print: String,
    /// When it was asked for.
    pub asked: Timestamp,
    /// By whom.
    pub asked_by: String,
    /// How far it is.
    pub state: ErasureState,
    /// What came later is not erased.
    pub settled: Timestamp,
    /// Where the state goes on.
    pub place: String,
    /// Events up to here are looked at.
    pub last_seq: u64,
    /// Calls that go on, and callbacks that are being made.
    pub waits_for: u64,
    /// Records of contacts that were emptied.
    pub contacts: u64,
    /// Conversations that were.
    pub conversations: u64,
    /// Lines of chats that went.
    pub lines: u64,
    /// Events that are tombstones now.
    pub events: u64,
    /// Recordings, files and mails that went.
    pub files: u64,
    /// When nothing was left.
    pub done: Option<Timestamp>,
}

/// What is found of a customer beside events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoundKind {
    /// A contact.
    Contact,
    /// A conversation.
    Conversation,
    /// A file of a message.
    File,
    /// A mail as it came.
    Mail,
}

impl FoundKind {
    fn name(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Conversation => "conversation",
            Self::File => "file",
            Self::Mail => "mail",
        }
    }
}

/// A step of an erasure.
#[derive(Clone, Debug)]
pub struct EraseStep {
    /// Of which one.
    pub id: String,
    /// What is done.
    pub what: Erase,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Erase {
    /// It is asked for. One that is under way for the same address goes on instead.
    Ask {
        /// Whose data.
        address: String,
        /// Who asks.
        by: String,
    },
    /// So many calls and callbacks are still waited for; with none, it is settled now.
    Settled {
        /// How many.
        waits_for: u64,
    },
    /// What was found; `next` is where to look on, none at the end.
    Found {
        /// The kind of all of them.
        kind: FoundKind,
        /// Which.
        ids: Vec<String>,
        /// Where to look on.
        next: Option<String>,
    },
    /// Some records are emptied, and wishes of the ledger made unreadable (channel and address of ours).
    Records {
        /// Which wishes.
        wishes: Vec<(String, String)>,
    },
    /// Some rows of events become tombstones; all up to `upto` were looked at.
    Events {
        /// The first sequences of the rows.
        rows: Vec<u64>,
        /// How far it was looked.
        upto: u64,
    },
    /// Nothing is left but this record, which forgets the address; the log of the database is still to be cut.
    Forget {
        /// Files that went.
        files: u64,
    },
    /// The log is cut: no page of before is left.
    Done,
}

/// By which somebody who knows an address can tell that it was meant.
pub fn print_of(address: &str) -> String {
    hashed(&["vestibule.address", address]).chars().take(32).collect()
}

/// What stands in the ledger of opt-outs for a customer who was erased.
pub(super) fn print_of_wish(customer: &str) -> String {
    let hash: String = hashed(&["vestibule.opt-out", customer]).chars().take(32).collect();
    format!("{ERASED}:{hash}")
}

fn hashed(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a step; how many rows it changed. One of an erasure that is over, or was never asked for, changes nothing.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    step: &EraseStep,
    (run, now): (u64, Timestamp),
    seq: &mut u64,
) -> rusqlite::Result<usize> {
    if let Erase::Ask { address, by } = &step.what {
        return ask(transaction, &step.id, (address, by), now);
    }
    let Some(row) = one(transaction, &step.id)? else { return Ok(0) };
    let Some(address) = row.address.clone() else {
        // Forgotten already; what is left is to say so.
        return if matches!(step.what, Erase::Done) { done(transaction, &row.id, now) } else { Ok(0) };
    };
    match &step.what {
        Erase::Ask { .. } | Erase::Done => Ok(0),
        Erase::Settled { waits_for } => settled(transaction, &row, *waits_for, now),
        Erase::Found { kind, ids, next } => found(transaction, &row, (*kind, ids), next.as_deref()),
        Erase::Records { wishes } => {
            hide(transaction, &address, wishes)?;
            records(transaction, &row, &address, (run, now), seq)
        }
        Erase::Events { rows, upto } => {
            let mut erased = 0;
            for first in rows {
                erased += bury(transaction, &row, &address, *first)?;
            }
            events_done(transaction, &row, erased, *upto)
        }
        Erase::Forget { files } => forget(transaction, &row.id, *files),
    }
}

fn ask(
    transaction: &Transaction<'_>,
    id: &str,
    (address, by): (&str, &str),
    now: Timestamp,
) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO erasure SELECT ?1, ?2, ?3, ?4, ?5, 'settling', ?4, '', 0, 0, 0, 0, 0, 0, 0, NULL \
             WHERE NOT EXISTS (SELECT 1 FROM erasure WHERE address = ?2)",
        )?
        .execute(params![id, address, print_of(address), now.as_microsecond(), by])
}

fn settled(
    transaction: &Transaction<'_>,
    row: &ErasureRow,
    waits_for: u64,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    let state = if waits_for == 0 { ErasureState::Finding } else { ErasureState::Settling };
    transaction
        .prepare_cached(
            "UPDATE erasure SET state = ?2, waits_for = ?3, settled_us = ?4, place = '' WHERE id = ?1",
        )?
        .execute(params![row.id, state.name(), signed(waits_for), now.as_microsecond()])
}

fn found(
    transaction: &Transaction<'_>,
    row: &ErasureRow,
    (kind, ids): (FoundKind, &[String]),
    next: Option<&str>,
) -> rusqlite::Result<usize> {
    for id in ids {
        note(transaction, &row.id, kind, id)?;
    }
    // Contacts first, then conversations.
    let (state, place) = match (kind, next) {
        (FoundKind::Contact, Some(next)) => (ErasureState::Finding, format!("contact {next}")),
        (FoundKind::Contact, None) => (ErasureState::Finding, "conversation ".to_owned()),
        (_, Some(next)) => (ErasureState::Finding, format!("conversation {next}")),
        (_, None) => (ErasureState::Records, String::new()),
    };
    transaction
        .prepare_cached("UPDATE erasure SET state = ?2, place = ?3 WHERE id = ?1")?
        .execute(params![row.id, state.name(), place])?;
    Ok(ids.len())
}

fn note(transaction: &Transaction<'_>, erasure: &str, kind: FoundKind, id: &str) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO erasure_found(erasure, kind, id) VALUES(?,?,?)")?
        .execute([erasure, kind.name(), id])
}

/// Wishes stay, under a name that nobody can read them by who does not know the address.
fn hide(transaction: &Transaction<'_>, customer: &str, wishes: &[(String, String)]) -> rusqlite::Result<()> {
    for (channel, address) in wishes {
        transaction
            .prepare_cached(
                "UPDATE OR REPLACE opt_out SET customer = ?4, contact = '' \
                 WHERE channel = ?1 AND address = ?2 AND customer = ?3",
            )?
            .execute([channel, address, customer, &print_of_wish(customer)])?;
    }
    Ok(())
}

/// A customer who was erased writes again: their wish is theirs again, by name.
pub(super) fn recall(
    transaction: &Transaction<'_>,
    channel: &str,
    address: &str,
    customer: &str,
) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "UPDATE OR IGNORE opt_out SET customer = ?4 WHERE channel = ?1 AND address = ?2 AND customer = ?3",
        )?
        .execute([channel, address, &print_of_wish(customer), customer])
}

/// Empties some records, and tells consumers whose they were, so that they erase them too. With nothing left to be
/// emptied, events are next.
fn records(
    transaction: &Transaction<'_>,
    row: &ErasureRow,
    address: &str,
    (run, now): (u64, Timestamp),
    seq: &mut u64,
) -> rusqlite::Result<usize> {
    let lines = lines(transaction, row, address)?;
    let conversations = due(transaction, &row.id, FoundKind::Conversation)?;
    for id in &conversations {
        empty_conversation(transaction, row, address, id)?;
    }
    let contacts = due(transaction, &row.id, FoundKind::Contact)?;
    for id in &contacts {
        transaction
            .prepare_cached(
                "UPDATE contact SET from_address = ?2, to_address = CASE WHEN to_address = ?3 THEN ?2 ELSE to_address END, \
                 call_id = NULL, diverted_from = NULL, trace = NULL WHERE id = ?1 AND ended_us IS NOT NULL",
            )?
            .execute([id, ERASED, address])?;
    }
    for (kind, ids) in [(FoundKind::Conversation, &conversations), (FoundKind::Contact, &contacts)] {
        for id in ids {
            transaction
                .prepare_cached(
                    "UPDATE erasure_found SET done = 1 WHERE erasure = ? AND kind = ? AND id = ?",
                )?
                .execute([&row.id, kind.name(), id])?;
        }
    }
    let emptied = contacts.len() + conversations.len();
    if emptied > 0 {
        let data = json!({ "erasure": row.id, "contacts": contacts, "conversations": conversations });
        let event = Event::new(EventKind::CustomerErased, now, &data);
        write_events(transaction, "", &[event], (run, now), seq)?;
    }
    let state = if emptied == 0 && lines == 0 { ErasureState::Events } else { ErasureState::Records };
    transaction
        .prepare_cached(
            "UPDATE erasure SET state = ?2, contacts = contacts + ?3, conversations = conversations + ?4, \
             lines = lines + ?5, place = '0', last_seq = ?6 WHERE id = ?1",
        )?
        .execute(params![
            row.id,
            state.name(),
            counted(contacts.len()),
            counted(conversations.len()),
            counted(lines),
            signed(*seq)
        ])?;
    Ok(emptied + lines)
}

fn empty_conversation(
    transaction: &Transaction<'_>,
    row: &ErasureRow,
    address: &str,
    id: &str,
) -> rusqlite::Result<()> {
    let files: Vec<String> = transaction
        .prepare_cached("DELETE FROM media WHERE conversation = ? RETURNING file")?
        .query_map([id], |row| row.get::<_, Option<String>>(0))?
        .filter_map(Result::transpose)
        .collect::<rusqlite::Result<_>>()?;
    for file in files {
        note(transaction, &row.id, FoundKind::File, &file)?;
    }
    transaction
        .prepare_cached(
            "UPDATE conversation SET customer = ?2 WHERE id = ?1 AND customer = ?3 AND closed_us IS NOT NULL",
        )?
        .execute([id, ERASED, address])?;
    Ok(())
}

/// Lines of chats, of both sides; how many went.
fn lines(transaction: &Transaction<'_>, row: &ErasureRow, visitor: &str) -> rusqlite::Result<usize> {
    let mut gone = 0;
    let mut app = String::new();
    // Each chat app by the first part of the key, so that no line of others is looked at.
    while let Some(next) = transaction
        .prepare_cached("SELECT app FROM chat_line WHERE app > ? ORDER BY app LIMIT 1")?
        .query_row([&app], |row| row.get::<_, String>(0))
        .optional()?
    {
        app = next;
        let files: Vec<Option<String>> = transaction
            .prepare_cached(
                "DELETE FROM chat_line WHERE (app, visitor, line) IN (SELECT app, visitor, line FROM chat_line \
                 WHERE app = ?1 AND visitor = ?2 AND at_us <= ?3 ORDER BY line LIMIT ?4) RETURNING files",
            )?
            .query_map(
                params![app, visitor, row.settled.as_microsecond(), counted(ERASED_AT_ONCE)],
                |row| row.get(0),
            )?
            .collect::<rusqlite::Result<_>>()?;
        gone += files.len();
        for files in files.into_iter().flatten() {
            let files: Value = serde_json::from_str(&files).unwrap_or_default();
            note_files(transaction, &row.id, &files)?;
        }
    }
    Ok(gone)
}

fn due(transaction: &Transaction<'_>, erasure: &str, kind: FoundKind) -> rusqlite::Result<Vec<String>> {
    transaction
        .prepare_cached(
            "SELECT id FROM erasure_found WHERE erasure = ?1 AND kind = ?2 AND done = 0 LIMIT ?3",
        )?
        .query_map(params![erasure, kind.name(), counted(ERASED_AT_ONCE)], |row| row.get(0))?
        .collect()
}

/// Makes tombstones of a row's events: of all when its contact is the customer's, else of those that are about the
/// customer. Sequences and times stay, so that cursors do. What is still owed to consumers of it is owed no more.
fn bury(
    transaction: &Transaction<'_>,
    row: &ErasureRow,
    address: &str,
    first: u64,
) -> rusqlite::Result<usize> {
    let stored = transaction
        .prepare_cached("SELECT contact, events, written_us FROM event WHERE seq = ?")?
        .query_row([signed(first)], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        })
        .optional()?;
    let Some((contact, text, written_us)) = stored else { return Ok(0) };
    let Ok(Value::Array(mut events)) = serde_json::from_str(&text) else { return Ok(0) };
    let whole = is_found(transaction, &row.id, FoundKind::Contact, &contact)?;
    let before = written_us <= row.settled.as_microsecond();
    let mut erased = Vec::new();
    for (event, seq) in events.iter_mut().zip(first..) {
        let was = event["type"].as_str().unwrap_or_default().to_owned();
        let theirs = whole || (before && is_about(&event["data"], address));
        if !theirs || was == EventKind::EventErased.as_str() {
            continue;
        }
        note_files(transaction, &row.id, &event["data"])?;
        event["data"] = json!({ "was": was });
        event["type"] = EventKind::EventErased.as_str().into();
        erased.push(seq);
    }
    if erased.is_empty() {
        return Ok(0);
    }
    transaction
        .prepare_cached("UPDATE event SET events = ?2 WHERE seq = ?1")?
        .execute(params![signed(first), Value::Array(events).to_string()])?;
    let consumers: Vec<String> = transaction
        .prepare_cached("SELECT name FROM consumer")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for seq in &erased {
        for consumer in &consumers {
            transaction
                .prepare_cached("DELETE FROM outbox WHERE consumer = ? AND seq = ?")?
                .execute(params![consumer, signed(*seq)])?;
        }
    }
    Ok(erased.len())
}

/// Whether an event of no contact, or of somebody else's, is about a customer: by the fields that name one.
fn is_about(data: &Value, address: &str) -> bool {
    ["customer", "was", "from", "number"].iter().any(|field| data[*field] == address)
}

/// Notes the files and mails that something names.
fn note_files(transaction: &Transaction<'_>, erasure: &str, value: &Value) -> rusqlite::Result<()> {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let kind = match name.as_str() {
                    "file" => Some(FoundKind::File),
                    "raw" => Some(FoundKind::Mail),
                    _ => None,
                };
                match (kind, value.as_str().filter(|id| is_file_id(id))) {
                    (Some(kind), Some(id)) => {
                        note(transaction, erasure, kind, id)?;
                    }
                    _ => note_files(transaction, erasure, value)?,
                }
            }
            Ok(())
        }
        Value::Array(values) => values.iter().try_for_each(|value| note_files(transaction, erasure, value)),
        _ => Ok(()),
    }
}

fn is_file_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn events_done(
    transaction: &Transaction<'_>,
    row: &ErasureRow,
    erased: usize,
    upto: u64,
) -> rusqlite::Result<usize> {
    let state = if upto >= row.last_seq { ErasureState::Files } else { ErasureState::Events };
    transaction
        .prepare_cached("UPDATE erasure SET state = ?2, place = ?3, events = events + ?4 WHERE id = ?1")?
        .execute(params![row.id, state.name(), upto.to_string(), counted(erased)])?;
    Ok(erased)
}

fn forget(transaction: &Transaction<'_>, id: &str, files: u64) -> rusqlite::Result<usize> {
    transaction.prepare_cached("DELETE FROM erasure_found WHERE erasure = ?")?.execute([id])?;
    transaction
        .prepare_cached("UPDATE erasure SET address = NULL, place = '', files = files + ?2 WHERE id = ?1")?
        .execute(params![id, signed(files)])
}

fn done(transaction: &Transaction<'_>, id: &str, now: Timestamp) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached("UPDATE erasure SET state = 'done', done_us = ?2 WHERE id = ?1 AND state <> 'done'")?
        .execute(params![id, now.as_microsecond()])
}

fn is_found(connection: &Connection, erasure: &str, kind: FoundKind, id: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS(SELECT 1 FROM erasure_found WHERE erasure = ? AND kind = ? AND id = ?)",
        )?
        .query_row([erasure, kind.name(), id], |row| row.get(0))
}

fn counted(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
