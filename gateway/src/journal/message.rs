//! Messages in the journal: duplicates, conversations, opt-outs and hand-offs, in one transaction with their events.
//!
//! Only the writer knows what came before, so it is here that a message finds its conversation and its number in it.

mod arrive;
mod hand_off;
mod merge;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};
use vestibule_routing::{
    channel::Channel,
    id::{ContactId, ConversationId, InboxId, ProviderId},
};

use super::{
    Event, JournalError, Receipt,
    erasure::{self, EraseStep},
    media::{self, MediaJob},
    writer::{snake_case, write_events},
};
use crate::message::{Attachment, Incoming, Keyword};

/// Something to write about messages.
#[derive(Clone, Debug)]
pub enum MessageJob {
    /// What one request told us: all of it or nothing is written.
    Arrive(Vec<Arrival>),
    /// Somebody takes a message's contact.
    Take {
        /// The contact.
        contact: ContactId,
        /// Who.
        by: String,
    },
    /// Somebody does not take it; it waits on.
    Refuse {
        /// The contact.
        contact: ContactId,
        /// Who.
        by: String,
    },
    /// The entry point of a held message is armed: it is handed to its inbox.
    Release {
        /// The contact.
        contact: ContactId,
        /// Where it goes.
        route: MessageRoute,
    },
    /// Somebody answers in a chat.
    Say {
        /// The conversation.
        conversation: ConversationId,
        /// Who.
        by: String,
        /// The id that they gave it: what comes twice is left out.
        message_id: String,
        /// What.
        text: String,
        /// What comes with it.
        files: Vec<Attachment>,
    },
    /// A visitor of a chat app turns out to be somebody whom the site knows.
    Identified {
        /// The chat app.
        app: String,
        /// The visitor that it was.
        was: String,
        /// Who it is.
        customer: String,
    },
    /// A conversation is over, and with it the contacts in it.
    Close {
        /// The conversation.
        conversation: ConversationId,
        /// Who says so; none when it was idle for too long.
        by: Option<String>,
    },
    /// What became of a message's file.
    Media(MediaJob),
    /// A step of erasing a customer.
    Erase(EraseStep),
}

/// One thing that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The contact that a message becomes.
    pub contact: ContactId,
    /// The conversation that it begins when there is none.
    pub conversation: ConversationId,
    /// A keyed hash of the provider and its id of the thing.
    pub fingerprint: [u8; 16],
    /// Who brought it.
    pub provider: ProviderId,
    /// When.
    pub arrived: Timestamp,
    /// What it is.
    pub incoming: Incoming,
    /// Where it goes.
    pub route: MessageRoute,
    /// The whole text is a word that means something to opt-outs.
    pub keyword: Option<Keyword>,
    /// How many of its files are fetched.
    pub media_max: usize,
    /// For how long its provider's id is remembered.
    pub remembered: Remembered,
}

/// For how long the id of something that arrived is remembered, so that it is left out when it comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// Longer than any provider repeats. What is older is refused for its age, or whoever sends it could as well send
    /// anything.
    Repeats,
    /// As long as records of contacts are kept: the signature holds for ever, and the id alone tells a replay.
    Records,
}

/// Where the routing sends a message.
#[derive(Clone, Debug)]
pub struct MessageRoute {
    /// The entry point's name.
    pub entry_point: String,
    /// Its inbox; an open conversation stays in its own.
    pub inbox: InboxId,
    /// Minutes until it should be answered.
    pub sla_minutes: u32,
    /// The revision that says so.
    pub revision: u64,
    /// The entry point is disarmed, or the number's SMS is off: kept, and handed on when that changes.
    pub held: bool,
    /// Why nobody may answer, as far as the number is concerned.
    pub reply_refused: Option<&'static str>,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageDone {
    /// The proof.
    pub receipt: Receipt,
    /// Things that had come before, and were left out.
    pub duplicates: usize,
    /// Rows that a [`MediaJob`] or an [`EraseStep`] changed.
    pub changed: usize,
}

/// Times are microseconds since 1970 (UTC); `dedup.day` counts days.
pub(super) const TABLES: &str = "
CREATE TABLE dedup(
  fingerprint BLOB PRIMARY KEY,
  day INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_day ON dedup(day);
CREATE TABLE conversation(
  id TEXT PRIMARY KEY,
  channel TEXT NOT NULL,
  address TEXT NOT NULL,
  customer TEXT NOT NULL,
  inbox TEXT NOT NULL,
  opened_us INTEGER NOT NULL,
  last_us INTEGER NOT NULL,
  messages INTEGER NOT NULL,
  sla_due_us INTEGER,
  taken_by TEXT,
  closed_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX conversation_open ON conversation(channel, address, customer) WHERE closed_us IS NULL;
CREATE INDEX conversation_idle ON conversation(last_us) WHERE closed_us IS NULL;
CREATE TABLE opt_out(
  channel TEXT NOT NULL,
  address TEXT NOT NULL,
  customer TEXT NOT NULL,
  out INTEGER NOT NULL,
  since_us INTEGER NOT NULL,
  word TEXT NOT NULL,
  contact TEXT NOT NULL,
  PRIMARY KEY(channel, address, customer)
) STRICT, WITHOUT ROWID;
ALTER TABLE contact ADD COLUMN conversation TEXT;
ALTER TABLE contact ADD COLUMN taken_by TEXT;
ALTER TABLE contact ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
CREATE INDEX contact_of_conversation ON contact(conversation) WHERE conversation IS NOT NULL AND ended_us IS NULL;
CREATE INDEX contact_held ON contact(id) WHERE held = 1;
";

/// What finds held messages by their entry point and conversations by their end, and remembers some ids for longer.
pub(super) const KEPT_LONGER: &str = "
DROP INDEX contact_held;
CREATE INDEX contact_held_at ON contact(entry_point, id) WHERE held = 1 AND ended_us IS NULL;
CREATE INDEX conversation_closed ON conversation(closed_us) WHERE closed_us IS NOT NULL;
ALTER TABLE dedup ADD COLUMN lasting INTEGER NOT NULL DEFAULT 0;
DROP INDEX dedup_day;
CREATE INDEX dedup_of_day ON dedup(lasting, day);
";

/// How long a provider's id is remembered at least: longer than any provider repeats.
const DEDUP_DAYS: i64 = 8;
/// After the customer's last message, social channels let an inbox answer for so long.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);

impl MessageJob {
    pub(super) fn events(&self) -> usize {
        match self {
            Self::Arrive(arrivals) => arrivals.len().saturating_mul(4).max(1),
            Self::Say { .. } => 2,
            Self::Identified { .. } => 2,
            Self::Take { .. } | Self::Refuse { .. } | Self::Release { .. } | Self::Close { .. } => 1,
            Self::Media(_) | Self::Erase(_) => 1,
        }
    }

    pub(super) fn cost_bytes(&self) -> usize {
        match self {
            Self::Arrive(arrivals) => arrivals.iter().map(|arrival| 1024 + arrival.incoming.size()).sum(),
            Self::Say { text, files, .. } => 1024 + text.len() + 512 * files.len(),
            Self::Take { .. }
            | Self::Refuse { .. }
            | Self::Release { .. }
            | Self::Identified { .. }
            | Self::Media(_)
            | Self::Erase(_)
            | Self::Close { .. } => 512,
        }
    }
}

/// The transaction, and what its rows are numbered by.
struct Pen<'a, 'c> {
    transaction: &'a Transaction<'c>,
    run: u64,
    now: Timestamp,
    seq: &'a mut u64,
}

/// Writes a job. The inner error answers this job only; the outer one ends the transaction.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    job: &MessageJob,
    run: u64,
    now: Timestamp,
    seq: &mut u64,
) -> rusqlite::Result<Result<MessageDone, JournalError>> {
    let first = *seq + 1;
    let mut pen = Pen { transaction, run, now, seq };
    let (mut duplicates, mut changed) = (0, 0);
    let outcome = match job {
        MessageJob::Arrive(arrivals) => {
            for arrival in arrivals {
                duplicates += usize::from(!pen.arrive(arrival)?);
            }
            Ok(())
        }
        MessageJob::Take { contact, by } => pen.take(contact, by)?,
        MessageJob::Refuse { contact, by } => pen.refuse(contact, by)?,
        MessageJob::Release { contact, route } => pen.release(contact, route)?,
        MessageJob::Say { conversation, by, message_id, text, files } => {
            let said = pen.say(conversation, by, (message_id, text, files))?;
            duplicates += usize::from(matches!(said, Ok(false)));
            said.map(drop)
        }
        MessageJob::Identified { app, was, customer } => {
            pen.merge(app, was, customer)?;
            Ok(())
        }
        MessageJob::Close { conversation, by } => pen.close(conversation, by.as_deref())?,
        MessageJob::Media(job) => {
            changed = media::apply(transaction, job, (run, now), pen.seq)?;
            Ok(())
        }
        MessageJob::Erase(step) => {
            changed = erasure::apply(transaction, step, (run, now), pen.seq)?;
            Ok(())
        }
    };
    let count = u32::try_from(pen.seq.saturating_add(1).saturating_sub(first)).unwrap_or(u32::MAX);
    Ok(outcome.map(|()| MessageDone { receipt: Receipt { first, count }, duplicates, changed }))
}

impl Pen<'_, '_> {
    fn write(&mut self, contact: &str, events: &[Event]) -> rusqlite::Result<()> {
        write_events(self.transaction, contact, events, (self.run, self.now), self.seq)?;
        Ok(())
    }
}

/// Forgets ids of long ago, and those that last when records of before `records_cut_us` go; true when there may be more.
pub(super) fn forget(
    transaction: &Transaction<'_>,
    (now, records_cut_us): (Timestamp, i64),
    batch: i64,
) -> rusqlite::Result<bool> {
    let repeats = day(now) - DEDUP_DAYS;
    let records = repeats.min(day(time(records_cut_us)));
    let gone = transaction
        .prepare_cached(
            "DELETE FROM dedup WHERE fingerprint IN (SELECT fingerprint FROM dedup \
             WHERE (lasting = 0 AND day < ?1) OR (lasting = 1 AND day < ?2) LIMIT ?3)",
        )?
        .execute(params![repeats, records, batch])?;
    Ok(i64::try_from(gone).unwrap_or(0) >= batch)
}

/// Until when the channel lets an inbox answer, where it has such a rule.
pub fn window(channel: Channel, last: Timestamp) -> Option<Timestamp> {
    let bounded = matches!(channel, Channel::Messenger | Channel::Instagram | Channel::Whatsapp);
    if bounded { last.checked_add(WINDOW).ok() } else { None }
}

fn name(channel: Channel) -> String {
    snake_case(&channel)
}

fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

pub(super) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}
