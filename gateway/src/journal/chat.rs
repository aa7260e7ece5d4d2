//! What was said in chats: the one channel whose both sides the gateway keeps, since it holds the visitor's socket.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use vestibule_routing::{channel::Channel, id::ContactId};

use super::message::time;
use crate::message::{Attachment, Incoming, What};

/// Lines are counted from 1 in each thread of a chat app and a visitor. `said_by` is the agent; null: the visitor.
pub(super) const TABLE: &str = "
CREATE TABLE chat_line(
  app TEXT NOT NULL,
  visitor TEXT NOT NULL,
  line INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  contact TEXT NOT NULL,
  said_by TEXT,
  message_id TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY(app, visitor, line)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX chat_line_id ON chat_line(app, visitor, message_id);
CREATE INDEX chat_line_at ON chat_line(at_us);
CREATE INDEX contact_chat_waits ON contact(inbox, arrived_us)
  WHERE channel = 'chat' AND ended_us IS NULL AND taken_by IS NULL;
";

/// When a contact was taken: how long chats are handled is told by it.
pub(super) const TAKEN: &str = "
ALTER TABLE contact ADD COLUMN taken_us INTEGER;
CREATE INDEX contact_chat_handled ON contact(inbox, ended_us)
  WHERE channel = 'chat' AND taken_us IS NOT NULL AND ended_us IS NOT NULL;
";

/// The chats of an inbox that wait to be taken, and those that were lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatQueue {
    /// How many wait.
    pub waiting: u32,
    /// Since when the first of them does.
    pub since: Option<Timestamp>,
    /// How long those lasted that ended in the last half hour, from being taken, on average; none when there were none.
    pub handle_seconds: Option<i64>,
}

/// How far back chats count.
const LATELY: SignedDuration = SignedDuration::from_mins(30);
/// What came with a line, as JSON; null: nothing.
pub(super) const FILES: &str = "ALTER TABLE chat_line ADD COLUMN files TEXT;";

/// A file that came with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChatFile {
    /// Its id among the files.
    pub file: String,
    /// The name that its writer gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is, by its bytes.
    pub media_type: String,
    /// Its size.
    pub bytes: usize,
}

impl ChatFile {
    /// Those of what is kept.
    pub(super) fn of(attachments: &[Attachment]) -> Vec<Self> {
        let kept = |file: &Attachment| {
            let Attachment { name, media_type, bytes, file, .. } = file.clone();
            Some(Self { file: file?, name, media_type, bytes })
        };
        attachments.iter().filter_map(kept).collect()
    }
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatLine {
    /// Its place in the thread, from 1.
    pub line: u64,
    /// When.
    pub at: Timestamp,
    /// The agent; none: the visitor.
    pub by: Option<String>,
    /// The id that its writer gave it.
    pub message_id: String,
    /// What.
    pub text: String,
    /// What came with it.
    pub files: Vec<ChatFile>,
}

/// A line to be written.
pub(super) struct NewLine<'a> {
    pub(super) thread: (&'a str, &'a str),
    pub(super) contact: &'a ContactId,
    pub(super) at: Timestamp,
    pub(super) by: Option<&'a str>,
    pub(super) message_id: &'a str,
    pub(super) text: &'a str,
    pub(super) files: &'a [ChatFile],
}

/// Ids of agents stand apart from those of visitors.
const BY_AGENT: &str = "agent:";

/// Writes a line; its number, or none when it is there already.
pub(super) fn write(transaction: &Transaction<'_>, line: &NewLine<'_>) -> rusqlite::Result<Option<u64>> {
    let (app, visitor) = line.thread;
    let prefix = if line.by.is_some() { BY_AGENT } else { "" };
    transaction
        .prepare_cached(
            "INSERT OR IGNORE INTO chat_line SELECT ?1, ?2, coalesce(max(line), 0) + 1, ?3, ?4, ?5, ?6, ?7, ?8 \
             FROM chat_line WHERE app = ?1 AND visitor = ?2 RETURNING line",
        )?
        .query_row(
            params![
                app,
                visitor,
                line.at.as_microsecond(),
                line.contact.as_str(),
                line.by,
                format!("{prefix}{}", line.message_id),
                line.text,
                files(line.files),
            ],
            |row| number(row, 0),
        )
        .optional()
}

/// Whether this is something of a chat that is there already.
pub(super) fn is_there(transaction: &Transaction<'_>, incoming: &Incoming) -> rusqlite::Result<bool> {
    match &incoming.what {
        What::Message(content) if incoming.channel == Channel::Chat => {
            let thread = (incoming.address.as_str(), incoming.customer.as_str());
            of_id(transaction, thread, &content.message_id, false).map(|line| line.is_some())
        }
        _ => Ok(false),
    }
}

/// The contact of a conversation that goes on.
pub(super) fn contact(
    transaction: &Transaction<'_>,
    conversation: &str,
) -> rusqlite::Result<Option<ContactId>> {
    transaction
        .prepare_cached(
            "SELECT id FROM contact WHERE conversation = ? AND ended_us IS NULL ORDER BY id LIMIT 1",
        )?
        .query_row([conversation], |row| Ok(ContactId::from(row.get_ref(0)?.as_str()?)))
        .optional()
}

/// Lines after a line, the oldest first.
pub(super) fn after(
    connection: &Connection,
    (app, visitor): (&str, &str),
    line: u64,
    limit: u32,
) -> rusqlite::Result<Vec<ChatLine>> {
    connection
        .prepare_cached(
            "SELECT line, at_us, said_by, message_id, text, files FROM chat_line \
             WHERE app = ?1 AND visitor = ?2 AND line > ?3 ORDER BY line LIMIT ?4",
        )?
        .query_map(params![app, visitor, i64::try_from(line).unwrap_or(i64::MAX), limit], read)?
        .collect()
}

/// The newest lines, the oldest first.
pub(super) fn newest(
    connection: &Connection,
    (app, visitor): (&str, &str),
    limit: u32,
) -> rusqlite::Result<Vec<ChatLine>> {
    let mut lines: Vec<ChatLine> = connection
        .prepare_cached(
            "SELECT line, at_us, said_by, message_id, text, files FROM chat_line \
             WHERE app = ?1 AND visitor = ?2 ORDER BY line DESC LIMIT ?3",
        )?
        .query_map(params![app, visitor, limit], read)?
        .collect::<rusqlite::Result<_>>()?;
    lines.reverse();
    Ok(lines)
}

/// The line that a visitor, or an agent, gave an id to.
pub(super) fn of_id(
    connection: &Connection,
    (app, visitor): (&str, &str),
    message_id: &str,
    by_agent: bool,
) -> rusqlite::Result<Option<u64>> {
    let prefix = if by_agent { BY_AGENT } else { "" };
    connection
        .prepare_cached("SELECT line FROM chat_line WHERE app = ? AND visitor = ? AND message_id = ?")?
        .query_row(params![app, visitor, format!("{prefix}{message_id}")], |row| number(row, 0))
        .optional()
}

/// Whether a file came with a line of a thread.
pub(super) fn has_file(
    connection: &Connection,
    (app, visitor): (&str, &str),
    file: &str,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS(SELECT 1 FROM chat_line, json_each(files) WHERE app = ? AND visitor = ? \
             AND files IS NOT NULL AND json_each.value ->> 'file' = ?)",
        )?
        .query_row([app, visitor, file], |row| row.get(0))
}

/// Whether a visitor has a conversation that is not closed.
pub(super) fn goes_on(connection: &Connection, (app, visitor): (&str, &str)) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS(SELECT 1 FROM conversation \
             WHERE channel = 'chat' AND address = ? AND customer = ? AND closed_us IS NULL)",
        )?
        .query_row([app, visitor], |row| row.get(0))
}

/// The chats of an inbox.
pub(super) fn queue(connection: &Connection, inbox: &str, now: Timestamp) -> rusqlite::Result<ChatQueue> {
    let (waiting, since): (u32, Option<i64>) = connection
        .prepare_cached(
            "SELECT count(*), min(arrived_us) FROM contact \
             WHERE channel = 'chat' AND ended_us IS NULL AND taken_by IS NULL AND inbox = ?",
        )?
        .query_row([inbox], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let lately = now.checked_sub(LATELY).unwrap_or(now).as_microsecond();
    let handle_seconds: Option<i64> = connection
        .prepare_cached(
            "SELECT CAST(avg(ended_us - taken_us) / 1000000 AS INTEGER) FROM contact WHERE channel = 'chat' \
             AND taken_us IS NOT NULL AND ended_us IS NOT NULL AND inbox = ?1 AND ended_us > ?2",
        )?
        .query_row(params![inbox, lately], |row| row.get(0))?;
    Ok(ChatQueue { waiting, since: since.map(time), handle_seconds })
}

/// Forgets lines that are older than records are kept; true when there may be more of them.
pub(super) fn forget(transaction: &Transaction<'_>, before_us: i64, batch: i64) -> rusqlite::Result<bool> {
    let gone = transaction
        .prepare_cached(
            "DELETE FROM chat_line WHERE (app, visitor, line) IN \
             (SELECT app, visitor, line FROM chat_line WHERE at_us < ?1 LIMIT ?2)",
        )?
        .execute(params![before_us, batch])?;
    Ok(i64::try_from(gone).unwrap_or(0) >= batch)
}

fn read(row: &Row<'_>) -> rusqlite::Result<ChatLine> {
    let id = row.get_ref(3)?.as_str()?;
    Ok(ChatLine {
        line: number(row, 0)?,
        at: time(row.get(1)?),
        by: row.get(2)?,
        message_id: id.strip_prefix(BY_AGENT).unwrap_or(id).to_owned(),
        text: row.get(4)?,
        files: row
            .get::<_, Option<String>>(5)?
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default(),
    })
}

/// As they are stored.
fn files(files: &[ChatFile]) -> Option<String> {
    if files.is_empty() { None } else { serde_json::to_string(files).ok() }
}

fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}
