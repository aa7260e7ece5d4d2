//! Conversations, held messages and opt-outs as they are read; [`super::message`] writes them.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use vestibule_routing::id::{ContactId, ConversationId, InboxId};

use super::{erasure::print_of_wish, message::time};

/// A conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationRow {
    /// Its id.
    pub id: ConversationId,
    /// Its channel, as in documents.
    pub channel: String,
    /// Our address.
    pub address: String,
    /// The customer's address.
    pub customer: String,
    /// The inbox it is in.
    pub inbox: InboxId,
    /// When it began.
    pub opened: Timestamp,
    /// When the customer wrote last.
    pub last: Timestamp,
    /// Messages so far.
    pub messages: u64,
    /// When the oldest message that nobody took should be answered.
    pub sla_due: Option<Timestamp>,
    /// Who took it last.
    pub taken_by: Option<String>,
    /// When it was closed.
    pub closed: Option<Timestamp>,
    /// Whether the customer wants no messages.
    pub opted_out: bool,
}

/// What is known of a customer's wish to hear from an address of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOutRow {
    /// The channel, as in documents.
    pub channel: String,
    /// Our address.
    pub address: String,
    /// The customer's address.
    pub customer: String,
    /// Whether no messages are wanted.
    pub out: bool,
    /// Since when.
    pub since: Timestamp,
    /// The proof: the word that was written, or `provider`.
    pub word: String,
    /// The proof: the contact that said so; empty when the provider did.
    pub contact: String,
}

/// Conversations before `before`, the newest first; open ones only, or of one customer, if so wanted.
pub(super) fn conversations(
    connection: &Connection,
    (before, open_only, customer): (Option<&str>, bool, Option<&str>),
    limit: usize,
) -> rusqlite::Result<Vec<ConversationRow>> {
    connection
        .prepare_cached(&format!(
            "{CONVERSATION} WHERE c.id < coalesce(?1, 'd') AND (NOT ?2 OR c.closed_us IS NULL) \
             AND (?3 IS NULL OR c.customer = ?3) ORDER BY c.id DESC LIMIT ?4"
        ))?
        .query_map(
            params![before, open_only, customer, i64::try_from(limit).unwrap_or(i64::MAX)],
            conversation,
        )?
        .collect()
}

pub(super) fn one_conversation(
    connection: &Connection,
    id: &str,
) -> rusqlite::Result<Option<ConversationRow>> {
    connection
        .prepare_cached(&format!("{CONVERSATION} WHERE c.id = ?"))?
        .query_row([id], conversation)
        .optional()
}

/// Open conversations in which nobody wrote since `before`. One with a message that is held back stays: nobody could see
/// it yet.
pub(super) fn idle(
    connection: &Connection,
    channel: &str,
    before: Timestamp,
) -> rusqlite::Result<Vec<ConversationId>> {
    connection
        .prepare_cached(
            "SELECT id FROM conversation WHERE closed_us IS NULL AND last_us < ?1 AND channel = ?2 AND NOT EXISTS \
             (SELECT 1 FROM contact c WHERE c.conversation = conversation.id AND c.ended_us IS NULL AND c.held = 1) LIMIT 100",
        )?
        .query_map(params![before.as_microsecond(), channel], |row| {
            Ok(ConversationId::from(row.get_ref(0)?.as_str()?))
        })?
        .collect()
}

/// The names of entry points at which messages wait for them to be armed. Looked up one behind the other, however many
/// messages wait at each.
pub(super) fn held_at(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached(
            "WITH RECURSIVE at(name) AS (\
             SELECT min(entry_point) FROM contact WHERE held = 1 AND ended_us IS NULL UNION ALL \
             SELECT (SELECT min(entry_point) FROM contact WHERE held = 1 AND ended_us IS NULL AND entry_point > at.name) \
             FROM at WHERE at.name IS NOT NULL) SELECT name FROM at WHERE name IS NOT NULL",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Some of the messages that wait at an entry point, the oldest first.
pub(super) fn held(
    connection: &Connection,
    entry_point: &str,
    limit: usize,
) -> rusqlite::Result<Vec<ContactId>> {
    connection
        .prepare_cached(
            "SELECT id FROM contact WHERE held = 1 AND ended_us IS NULL AND entry_point = ? ORDER BY id LIMIT ?",
        )?
        .query_map(params![entry_point, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            Ok(ContactId::from(row.get_ref(0)?.as_str()?))
        })?
        .collect()
}

/// Forgets conversations that were closed before `before_us`, with the rows of their files; true when there may be more.
/// Their contacts ended no later, and their lines were said before: these go by the same age.
pub(super) fn forget(transaction: &Transaction<'_>, before_us: i64, batch: i64) -> rusqlite::Result<bool> {
    let gone: Vec<String> = transaction
        .prepare_cached(
            "DELETE FROM conversation WHERE id IN (SELECT id FROM conversation \
             WHERE closed_us IS NOT NULL AND closed_us < ?1 ORDER BY closed_us LIMIT ?2) RETURNING id",
        )?
        .query_map(params![before_us, batch], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut files = transaction.prepare_cached("DELETE FROM media WHERE conversation = ?")?;
    for conversation in &gone {
        files.execute([conversation])?;
    }
    Ok(i64::try_from(gone.len()).unwrap_or(0) >= batch)
}

/// What the ledger of opt-outs has of one customer.
pub(super) fn opt_outs(connection: &Connection, customer: &str) -> rusqlite::Result<Vec<OptOutRow>> {
    // Of one who was erased, wishes stand under a hash.
    connection
        .prepare_cached("SELECT * FROM opt_out WHERE customer IN (?, ?) LIMIT 1000")?
        .query_map([customer, &print_of_wish(customer)], |row| {
            Ok(OptOutRow {
                channel: row.get(0)?,
                address: row.get(1)?,
                customer: row.get(2)?,
                out: row.get(3)?,
                since: time(row.get(4)?),
                word: row.get(5)?,
                contact: row.get(6)?,
            })
        })?
        .collect()
}

const CONVERSATION: &str = "SELECT c.id, c.channel, c.address, c.customer, c.inbox, c.opened_us, c.last_us, c.messages, \
    c.sla_due_us, c.taken_by, c.closed_us, coalesce(o.out, 0) FROM conversation c LEFT JOIN opt_out o \
    ON o.channel = c.channel AND o.address = c.address AND o.customer = c.customer";

fn conversation(row: &Row<'_>) -> rusqlite::Result<ConversationRow> {
    Ok(ConversationRow {
        id: ConversationId::from(row.get_ref(0)?.as_str()?),
        channel: row.get(1)?,
        address: row.get(2)?,
        customer: row.get(3)?,
        inbox: InboxId::from(row.get_ref(4)?.as_str()?),
        opened: time(row.get(5)?),
        last: time(row.get(6)?),
        messages: u64::try_from(row.get::<_, i64>(7)?).unwrap_or(0),
        sla_due: row.get::<_, Option<i64>>(8)?.map(time),
        taken_by: row.get(9)?,
        closed: row.get::<_, Option<i64>>(10)?.map(time),
        opted_out: row.get(11)?,
    })
}
