//! The files of messages that lie elsewhere: a row each, written with its message, until it is fetched or given up.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde_json::{Value, json};
use vestibule_routing::id::{ContactId, ConversationId, ProviderId};

use super::{Event, EventKind, message::time, writer::write_events};
use crate::message::{Content, MediaLink};

/// `place` counts the files of a message from 0; `source` is what fetches at once are counted by.
pub(super) const TABLE: &str = "
CREATE TABLE media(
  id TEXT PRIMARY KEY,
  contact TEXT NOT NULL,
  conversation TEXT NOT NULL,
  provider TEXT NOT NULL,
  message_id TEXT NOT NULL,
  place INTEGER NOT NULL,
  link TEXT NOT NULL,
  source TEXT NOT NULL,
  claimed_type TEXT,
  file_name TEXT,
  arrived_us INTEGER NOT NULL,
  state TEXT NOT NULL,
  since_us INTEGER NOT NULL,
  due_us INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  reason TEXT,
  detail TEXT,
  file TEXT,
  bytes INTEGER,
  media_type TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX media_due ON media(due_us) WHERE state = 'pending';
CREATE INDEX media_failed ON media(id) WHERE state = 'failed';
CREATE INDEX media_of_conversation ON media(conversation);
CREATE INDEX media_arrived ON media(arrived_us);
";

/// How far a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// It is still to be fetched.
    Pending,
    /// It is kept.
    Stored,
    /// It is given up: only a person has it tried again.
    Failed,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// Why the last attempt failed: a closed table, published in the reference of events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
        pub enum MediaReason {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl MediaReason {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in events.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
            }
        }
    };
}

reasons! {
    /// The active routing has no such provider.
    NoProvider = "no_provider",
    /// The provider's document names no key.
    NoKey = "no_key",
    /// What stands for the link cannot be followed.
    BadLink = "bad_link",
    /// The address is not public.
    ForbiddenAddress = "forbidden_address",
    /// The server was not reached, or broke off.
    Unreachable = "unreachable",
    /// It took too long.
    TimedOut = "timed_out",
    /// The server did not give it.
    Refused = "refused",
    /// It is too large.
    TooLarge = "too_large",
    /// It is of a type that is not kept.
    WrongType = "wrong_type",
    /// It could not be written.
    NotKept = "not_kept",
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRow {
    /// Its id, `md_…`.
    pub id: String,
    /// The contact that the message became.
    pub contact: ContactId,
    /// The conversation of the message.
    pub conversation: ConversationId,
    /// Who brought the message.
    pub provider: ProviderId,
    /// The provider's id of the message.
    pub message_id: String,
    /// Its place among the files of the message, from 0.
    pub place: u32,
    /// The link, or the provider's id of it.
    pub link: String,
    /// Where it lies, as far as is known before it is asked for.
    pub source: String,
    /// The media type that the provider claims.
    pub claimed_type: Option<String>,
    /// The name that the customer gave it.
    pub file_name: Option<String>,
    /// When the message came.
    pub arrived: Timestamp,
    /// How far it is.
    pub state: MediaState,
    /// Since when it is tried.
    pub since: Timestamp,
    /// When it is tried next.
    pub due: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub reason: Option<MediaReason>,
    /// The same in words.
    pub detail: Option<String>,
    /// Its id among the files, once it is kept.
    pub file: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
    /// Its type, by its bytes.
    pub media_type: Option<String>,
}

/// Something to write about files of messages.
#[derive(Clone, Debug)]
pub enum MediaJob {
    /// An attempt is over.
    Done {
        /// Of which file.
        id: String,
        /// What became of it.
        outcome: MediaOutcome,
    },
    /// What was given up is tried anew: one, or the oldest of all.
    Retry {
        /// Which.
        id: Option<String>,
    },
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub enum MediaOutcome {
    /// It is kept.
    Stored {
        /// Its id among the files.
        file: String,
        /// Its size.
        bytes: u64,
        /// Its type.
        media_type: String,
    },
    /// It is tried again.
    Again {
        /// When.
        due: Timestamp,
        /// Why it failed.
        reason: MediaReason,
        /// The same in words.
        detail: String,
    },
    /// It is given up.
    Failed {
        /// Why.
        reason: MediaReason,
        /// The same in words.
        detail: String,
    },
}

/// Which files of messages.
#[derive(Clone, Debug, Default)]
pub struct MediaFilter {
    /// Only ids before (older than) this one.
    pub before: Option<String>,
    /// Only those of this state.
    pub state: Option<MediaState>,
    /// Only those of this conversation.
    pub conversation: Option<String>,
}

/// Most files that are tried anew at once.
pub const RETRIED_AT_ONCE: u32 = 1000;

/// Where a message stands.
pub(super) struct Home<'a> {
    pub(super) contact: &'a ContactId,
    pub(super) conversation: &'a ConversationId,
    pub(super) provider: &'a ProviderId,
    pub(super) arrived: Timestamp,
}

/// Notes the files of a message that are to be fetched, `max` at most, and says in its JSON which they are.
pub(super) fn begin(
    transaction: &Transaction<'_>,
    home: &Home<'_>,
    (content, max): (&Content, usize),
    told: &mut Value,
) -> rusqlite::Result<()> {
    for (place, link) in content.media.iter().take(max).enumerate() {
        let id = format!("md_{}-{place}", home.contact.as_str().trim_start_matches("ct_"));
        let at = home.arrived.as_microsecond();
        transaction
            .prepare_cached(
                "INSERT OR IGNORE INTO media VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,'pending',?11,?11,0,\
                 NULL,NULL,NULL,NULL,NULL)",
            )?
            .execute(params![
                id,
                home.contact.as_str(),
                home.conversation.as_str(),
                home.provider.as_str(),
                content.message_id,
                i64::try_from(place).unwrap_or(i64::MAX),
                link.link,
                source(link, home.provider),
                link.media_type,
                link.file_name,
                at,
            ])?;
        let item = told.pointer_mut(&format!("/message/media/{place}")).and_then(Value::as_object_mut);
        if let Some(item) = item {
            item.insert("id".to_owned(), id.into());
            item.insert("state".to_owned(), json!(MediaState::Pending));
        }
    }
    Ok(())
}

/// The host of a link; what is no link lies at the provider.
fn source(link: &MediaLink, provider: &ProviderId) -> String {
    let host = link.link.split_once("://").and_then(|(_, rest)| {
        let host = rest.split(['/', '?', '#', '\\']).next()?;
        host.rsplit('@').next().map(str::to_ascii_lowercase)
    });
    host.unwrap_or_else(|| provider.as_str().to_owned())
}

/// Writes a job; how many rows it changed.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    job: &MediaJob,
    (run, now): (u64, Timestamp),
    seq: &mut u64,
) -> rusqlite::Result<usize> {
    let (id, outcome) = match job {
        MediaJob::Done { id, outcome } => (id, outcome),
        MediaJob::Retry { id } => return retry(transaction, id.as_deref(), now),
    };
    let changed = match outcome {
        MediaOutcome::Stored { file, bytes, media_type } => transaction
            .prepare_cached(
                "UPDATE media SET state = 'stored', attempts = attempts + 1, file = ?2, bytes = ?3, media_type = ?4, \
                 reason = NULL, detail = NULL WHERE id = ?1 AND state = 'pending'",
            )?
            .execute(params![id, file, i64::try_from(*bytes).unwrap_or(i64::MAX), media_type])?,
        MediaOutcome::Again { due, reason, detail } => transaction
            .prepare_cached(
                "UPDATE media SET attempts = attempts + 1, due_us = ?2, reason = ?3, detail = ?4 \
                 WHERE id = ?1 AND state = 'pending'",
            )?
            .execute(params![id, due.as_microsecond(), reason.as_str(), detail])?,
        MediaOutcome::Failed { reason, detail } => transaction
            .prepare_cached(
                "UPDATE media SET state = 'failed', attempts = attempts + 1, reason = ?2, detail = ?3 \
                 WHERE id = ?1 AND state = 'pending'",
            )?
            .execute(params![id, reason.as_str(), detail])?,
    };
    if changed > 0 && !matches!(outcome, MediaOutcome::Again { .. }) {
        tell(transaction, id, (run, now), seq)?;
    }
    Ok(changed)
}

fn retry(transaction: &Transaction<'_>, id: Option<&str>, now: Timestamp) -> rusqlite::Result<usize> {
    transaction
        .prepare_cached(
            "UPDATE media SET state = 'pending', attempts = 0, since_us = ?2, due_us = ?2 WHERE id IN \
             (SELECT id FROM media WHERE state = 'failed' AND (?1 IS NULL OR id = ?1) ORDER BY id LIMIT ?3)",
        )?
        .execute(params![id, now.as_microsecond(), RETRIED_AT_ONCE])
}

/// Tells what became of a file as a change of its message.
fn tell(
    transaction: &Transaction<'_>,
    id: &str,
    (run, now): (u64, Timestamp),
    seq: &mut u64,
) -> rusqlite::Result<()> {
    let Some(row) = one(transaction, id)? else { return Ok(()) };
    let about = transaction
        .prepare_cached("SELECT channel, from_address, to_address FROM contact WHERE id = ?")?
        .query_row([row.contact.as_str()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((channel, customer, address)) = about else { return Ok(()) };
    let data = json!({
        "provider": row.provider, "channel": channel, "customer": customer, "address": address, "at": null,
        "conversation": row.conversation, "message_id": row.message_id, "change": "media",
        "media": {
            "id": row.id, "place": row.place, "state": row.state, "file": row.file, "bytes": row.bytes,
            "media_type": row.media_type, "file_name": row.file_name, "reason": row.reason, "detail": row.detail,
        },
    });
    let event = Event::new(EventKind::MessageUpdated, now, &data);
    write_events(transaction, row.contact.as_str(), &[event], (run, now), seq)?;
    Ok(())
}

/// Files that are due, the longest due first, but for those at some sources.
pub(super) fn due(
    connection: &Connection,
    now: Timestamp,
    but_for: &[String],
    limit: usize,
) -> rusqlite::Result<Vec<MediaRow>> {
    connection
        .prepare_cached(&format!(
            "{SELECT} WHERE state = 'pending' AND due_us <= ?1 AND source NOT IN (SELECT value FROM json_each(?2)) \
             ORDER BY due_us LIMIT ?3"
        ))?
        .query_map(
            params![now.as_microsecond(), json!(but_for).to_string(), i64::try_from(limit).unwrap_or(i64::MAX)],
            read,
        )?
        .collect()
}

/// How many are still to be fetched.
pub(super) fn pending(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT count(*) FROM media WHERE state = 'pending'")?
        .query_row([], |row| Ok(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0)))
}

pub(super) fn one(connection: &Connection, id: &str) -> rusqlite::Result<Option<MediaRow>> {
    connection.prepare_cached(&format!("{SELECT} WHERE id = ?"))?.query_row([id], read).optional()
}

/// Files of messages, the newest first.
pub(super) fn list(
    connection: &Connection,
    filter: &MediaFilter,
    limit: usize,
) -> rusqlite::Result<Vec<MediaRow>> {
    // Each has an index that it is found by: the conversation's is the narrowest.
    let state = filter.state.map(name);
    let wanted = match (&filter.conversation, filter.state) {
        (Some(_), _) => "+state = coalesce(?3, state) AND conversation = ?2",
        (None, Some(MediaState::Failed)) => "state = 'failed' AND ?2 IS NULL AND ?3 IS NOT NULL",
        (None, _) => "state = coalesce(?3, state) AND ?2 IS NULL",
    };
    connection
        .prepare_cached(&format!(
            "{SELECT} WHERE id < coalesce(?1, 'n') AND {wanted} ORDER BY id DESC LIMIT ?4"
        ))?
        .query_map(
            params![filter.before, filter.conversation, state, i64::try_from(limit).unwrap_or(i64::MAX)],
            read,
        )?
        .collect()
}

/// Forgets what is older than records are kept; true when there may be more.
pub(super) fn forget(transaction: &Transaction<'_>, before_us: i64, batch: i64) -> rusqlite::Result<bool> {
    let gone = transaction
        .prepare_cached(
            "DELETE FROM media WHERE id IN (SELECT id FROM media WHERE arrived_us < ?1 LIMIT ?2)",
        )?
        .execute(params![before_us, batch])?;
    Ok(i64::try_from(gone).unwrap_or(0) >= batch)
}

const SELECT: &str = "SELECT id, contact, conversation, provider, message_id, place, link, source, claimed_type, file_name, \
    arrived_us, state, since_us, due_us, attempts, reason, detail, file, bytes, media_type FROM media";

fn read(row: &Row<'_>) -> rusqlite::Result<MediaRow> {
    let reason = row.get::<_, Option<String>>(15)?;
    Ok(MediaRow {
        id: row.get(0)?,
        contact: ContactId::from(row.get_ref(1)?.as_str()?),
        conversation: ConversationId::from(row.get_ref(2)?.as_str()?),
        provider: ProviderId::from(row.get_ref(3)?.as_str()?),
        message_id: row.get(4)?,
        place: row.get(5)?,
        link: row.get(6)?,
        source: row.get(7)?,
        claimed_type: row.get(8)?,
        file_name: row.get(9)?,
        arrived: time(row.get(10)?),
        state: match row.get_ref(11)?.as_str()? {
            "stored" => MediaState::Stored,
            "failed" => MediaState::Failed,
            _ => MediaState::Pending,
        },
        since: time(row.get(12)?),
        due: time(row.get(13)?),
        attempts: row.get(14)?,
        reason: reason.as_deref().and_then(MediaReason::parse),
        detail: row.get(16)?,
        file: row.get(17)?,
        bytes: row.get::<_, Option<i64>>(18)?.and_then(|bytes| u64::try_from(bytes).ok()),
        media_type: row.get(19)?,
    })
}

const fn name(state: MediaState) -> &'static str {
    match state {
        MediaState::Pending => "pending",
        MediaState::Stored => "stored",
        MediaState::Failed => "failed",
    }
}
