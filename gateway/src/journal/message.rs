//! Messages in the journal: duplicates, conversations, opt-outs and hand-offs, in one transaction with their events.
//!
//! Only the writer knows what came before, so it is here that a message finds its conversation and its number in it.

mod merge;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::{Value, json};
use vestibule_routing::{
    channel::Channel,
    id::{ContactId, ConversationId, InboxId, ProviderId},
    outcome::{Outcome, Reason, Side},
};

use super::{
    ContactEnd, ContactStart, Entry, Event, EventKind, JournalError, Receipt,
    chat::{self, ChatFile, NewLine},
    media::{self, Home, MediaJob},
    writer::{apply_entry, snake_case, write_events},
};
use crate::message::{Attachment, Content, Incoming, Keyword, What};

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
    /// Files of messages that a [`MediaJob`] changed.
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

/// How long a provider's id is remembered: longer than any provider repeats.
const DEDUP_DAYS: i64 = 8;
/// After the customer's last message, social channels let an inbox answer for so long.
const WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// Most contacts ended with one conversation in one transaction; a conversation that has more is closed in steps.
const CLOSED_AT_ONCE: u32 = 500;

impl MessageJob {
    pub(super) fn events(&self) -> usize {
        match self {
            Self::Arrive(arrivals) => arrivals.len().saturating_mul(4).max(1),
            Self::Say { .. } => 2,
            Self::Identified { .. } => 2,
            Self::Take { .. } | Self::Refuse { .. } | Self::Release { .. } | Self::Close { .. } => 1,
            Self::Media(_) => 1,
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
    };
    let count = u32::try_from(pen.seq.saturating_add(1).saturating_sub(first)).unwrap_or(u32::MAX);
    Ok(outcome.map(|()| MessageDone { receipt: Receipt { first, count }, duplicates, changed }))
}

impl Pen<'_, '_> {
    fn write(&mut self, contact: &str, events: &[Event]) -> rusqlite::Result<()> {
        write_events(self.transaction, contact, events, (self.run, self.now), self.seq)?;
        Ok(())
    }

    /// Whether it is new.
    fn arrive(&mut self, arrival: &Arrival) -> rusqlite::Result<bool> {
        let fresh = self
            .transaction
            .prepare_cached("INSERT OR IGNORE INTO dedup VALUES(?,?)")?
            .execute(params![arrival.fingerprint, day(arrival.arrived)])?;
        if fresh == 0 {
            return Ok(false);
        }
        let (incoming, at) = (&arrival.incoming, arrival.arrived);
        if chat::is_there(self.transaction, incoming)? {
            // Said before the visitor was known: it comes again under another name.
            return Ok(false);
        }
        let base = |more: Value| {
            let mut data = json!({
                "provider": arrival.provider, "channel": incoming.channel,
                "customer": incoming.customer, "address": incoming.address, "at": incoming.at,
            });
            if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
                data.extend(more);
            }
            data
        };
        match &incoming.what {
            What::Message(content) => self.message(arrival, content, base)?,
            What::Changed { message, change } => {
                let mut data = base(json!({"message_id": message}));
                if let (Value::Object(data), Ok(Value::Object(change))) =
                    (&mut data, serde_json::to_value(change))
                {
                    data.extend(change);
                }
                self.write("", &[Event::new(EventKind::MessageUpdated, at, &data)])?;
            }
            What::Delivery { message, status, error } => {
                let data = base(json!({"message_id": message, "status": status, "error": error}));
                self.write("", &[Event::new(EventKind::MessageDeliveryReported, at, &data)])?;
            }
            What::OptOut { out } => {
                let change = self.opt_out(arrival, *out, "provider", "")?;
                self.write("", change.as_slice())?;
            }
            What::Other { kind, raw } => {
                let data = base(json!({"kind": kind, "raw": raw}));
                self.write("", &[Event::new(EventKind::MessageUnparsed, at, &data)])?;
            }
        }
        Ok(true)
    }

    fn message(
        &mut self,
        arrival: &Arrival,
        content: &Content,
        base: impl Fn(Value) -> Value,
    ) -> rusqlite::Result<()> {
        let (incoming, at) = (&arrival.incoming, arrival.arrived);
        let thread = self.join(arrival)?;
        let goes_on = match incoming.channel {
            // A chat is one contact, however much is said in it.
            Channel::Chat => chat::contact(self.transaction, thread.id.as_str())?,
            _ => None,
        };
        let contact = goes_on.as_ref().unwrap_or(&arrival.contact);
        if goes_on.is_none() {
            self.begin(arrival, &thread)?;
        }
        let line = match incoming.channel {
            Channel::Chat => self.line(arrival, content, contact)?,
            _ => None,
        };
        let changed = match arrival.keyword {
            Some(Keyword::Stop) => self.opt_out(arrival, true, content.text.trim(), contact.as_str())?,
            Some(Keyword::Start) => self.opt_out(arrival, false, content.text.trim(), contact.as_str())?,
            Some(Keyword::Help) | None => None,
        };
        let opted_out = opted_out(self.transaction, incoming)?;
        let refused = opted_out.then_some("opted_out").or(arrival.route.reply_refused);
        let mut received = base(json!({
            "conversation": thread.id, "number": thread.number, "message": content, "keyword": arrival.keyword,
            "reply_allowed": refused.is_none(), "reply_refused_for": refused,
            "window_expires_at": window(incoming.channel, at), "held": arrival.route.held,
        }));
        if let (Value::Object(received), Some(line)) = (&mut received, line) {
            received.insert("line".to_owned(), line.into());
        }
        let home = Home { contact, conversation: &thread.id, provider: &arrival.provider, arrived: at };
        media::begin(self.transaction, &home, (content, arrival.media_max), &mut received)?;
        let mut events = Vec::with_capacity(4);
        if goes_on.is_none() {
            events.push(Event::new(EventKind::ContactStarted, at, &start_of(arrival)));
        }
        events.push(Event::new(EventKind::MessageReceived, at, &received));
        events.extend(changed);
        if goes_on.is_none() && !arrival.route.held {
            let queued = json!({"inbox": thread.inbox, "sla_due": thread.sla_due});
            events.push(Event::new(EventKind::ContactQueued, at, &queued));
        }
        let contact = contact.clone();
        self.write(contact.as_str(), &events)
    }

    /// The record of a new contact.
    fn begin(&self, arrival: &Arrival, thread: &Thread) -> rusqlite::Result<()> {
        let incoming = &arrival.incoming;
        self.transaction
            .prepare_cached(
                "INSERT INTO contact(id, channel, from_address, to_address, arrived_us, entry_point, inbox, revision, \
                 conversation, held) VALUES(?,?,?,?,?,?,?,?,?,?)",
            )?
            .execute(params![
                arrival.contact.as_str(),
                name(incoming.channel),
                incoming.customer,
                incoming.address,
                arrival.arrived.as_microsecond(),
                arrival.route.entry_point,
                thread.inbox.as_str(),
                i64::try_from(arrival.route.revision).unwrap_or(i64::MAX),
                thread.id.as_str(),
                arrival.route.held,
            ])?;
        Ok(())
    }

    /// Writes what a visitor said where the agents' answers stand too.
    fn line(
        &self,
        arrival: &Arrival,
        content: &Content,
        contact: &ContactId,
    ) -> rusqlite::Result<Option<u64>> {
        let incoming = &arrival.incoming;
        chat::write(
            self.transaction,
            &NewLine {
                thread: (&incoming.address, &incoming.customer),
                contact,
                at: arrival.arrived,
                by: None,
                message_id: &content.message_id,
                text: &content.text,
                files: &ChatFile::of(&content.attachments),
            },
        )
    }

    /// Whether it is new.
    fn say(
        &mut self,
        id: &ConversationId,
        by: &str,
        (message_id, text, files): (&str, &str, &[Attachment]),
    ) -> rusqlite::Result<Result<bool, JournalError>> {
        // Whoever answers keeps the chat open.
        let thread = self
            .transaction
            .prepare_cached(
                "UPDATE conversation SET last_us = max(last_us, ?2) \
                 WHERE id = ?1 AND channel = 'chat' AND closed_us IS NULL RETURNING address, customer",
            )?
            .query_row(params![id.as_str(), self.now.as_microsecond()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        let contact = chat::contact(self.transaction, id.as_str())?;
        let (Some((app, visitor)), Some(contact)) = (thread, contact) else {
            return Ok(Err(JournalError::NotOpenConversation));
        };
        let new = NewLine {
            thread: (&app, &visitor),
            contact: &contact,
            at: self.now,
            by: Some(by),
            message_id,
            text,
            files: &ChatFile::of(files),
        };
        let Some(line) = chat::write(self.transaction, &new)? else { return Ok(Ok(false)) };
        // Who answers has taken it, if nobody had.
        match self.take(&contact, by)? {
            Ok(()) | Err(JournalError::TakenBy { .. } | JournalError::NotOpen(_)) => {}
            Err(error) => return Ok(Err(error)),
        }
        let data = json!({
            "channel": Channel::Chat, "customer": visitor, "address": app, "conversation": id,
            "message_id": message_id, "text": text, "by": by, "line": line, "attachments": files,
        });
        self.write(contact.as_str(), &[Event::new(EventKind::MessageSent, self.now, &data)])?;
        Ok(Ok(true))
    }

    /// Finds the open conversation of a message, or begins one.
    fn join(&self, arrival: &Arrival) -> rusqlite::Result<Thread> {
        let (incoming, at) = (&arrival.incoming, arrival.arrived);
        let due =
            at.checked_add(SignedDuration::from_mins(i64::from(arrival.route.sla_minutes))).unwrap_or(at);
        // An earlier due date stays; an older message never moves the conversation's time back.
        let joined = self
            .transaction
            .prepare_cached(
                "UPDATE conversation SET messages = messages + 1, last_us = max(last_us, ?4), \
                 sla_due_us = min(coalesce(sla_due_us, ?5), ?5) \
                 WHERE channel = ?1 AND address = ?2 AND customer = ?3 AND closed_us IS NULL \
                 RETURNING id, inbox, messages, sla_due_us",
            )?
            .query_row(
                params![
                    name(incoming.channel),
                    incoming.address,
                    incoming.customer,
                    at.as_microsecond(),
                    due.as_microsecond()
                ],
                |row| {
                    Ok(Thread {
                        id: ConversationId::from(row.get_ref(0)?.as_str()?),
                        inbox: InboxId::from(row.get_ref(1)?.as_str()?),
                        number: row.get(2)?,
                        sla_due: time(row.get(3)?),
                    })
                },
            )
            .optional()?;
        if let Some(thread) = joined {
            return Ok(thread);
        }
        self.transaction
            .prepare_cached("INSERT INTO conversation VALUES(?,?,?,?,?,?,?,1,?,NULL,NULL)")?
            .execute(params![
                arrival.conversation.as_str(),
                name(incoming.channel),
                incoming.address,
                incoming.customer,
                arrival.route.inbox.as_str(),
                at.as_microsecond(),
                at.as_microsecond(),
                due.as_microsecond(),
            ])?;
        Ok(Thread {
            id: arrival.conversation.clone(),
            inbox: arrival.route.inbox.clone(),
            number: 1,
            sla_due: due,
        })
    }

    /// Notes a customer's wish, and gives the event when it is a new one.
    fn opt_out(
        &self,
        arrival: &Arrival,
        out: bool,
        word: &str,
        contact: &str,
    ) -> rusqlite::Result<Option<Event>> {
        let Incoming { channel, address, customer, .. } = &arrival.incoming;
        // Nobody is in the ledger until the first wish: an opt-in of somebody who never left changes nothing.
        if opted_out(self.transaction, &arrival.incoming)? == out {
            return Ok(None);
        }
        self.transaction.prepare_cached("INSERT OR REPLACE INTO opt_out VALUES(?,?,?,?,?,?,?)")?.execute(
            params![name(*channel), address, customer, out, arrival.arrived.as_microsecond(), word, contact],
        )?;
        let data = json!({
            "channel": channel, "address": address, "customer": customer, "opted_out": out, "word": word,
        });
        Ok(Some(Event::new(EventKind::OptoutChanged, arrival.arrived, &data)))
    }

    fn take(&mut self, contact: &ContactId, by: &str) -> rusqlite::Result<Result<(), JournalError>> {
        let Some(open) = self.open(contact)? else { return Ok(Err(JournalError::NotOpen(contact.clone()))) };
        match open.taken_by {
            Some(other) if other == by => return Ok(Ok(())),
            Some(by) => return Ok(Err(JournalError::TakenBy { by })),
            None => {}
        }
        self.transaction
            .prepare_cached("UPDATE contact SET taken_by = ?2, taken_us = ?3 WHERE id = ?1")?
            .execute(params![contact.as_str(), by, self.now.as_microsecond()])?;
        // What nobody has taken yet is still due.
        self.transaction
            .prepare_cached(
                "UPDATE conversation SET taken_by = ?2, sla_due_us = CASE WHEN EXISTS(SELECT 1 FROM contact WHERE \
                 conversation = ?1 AND ended_us IS NULL AND taken_by IS NULL) THEN sla_due_us END WHERE id = ?1",
            )?
            .execute(params![open.conversation, by])?;
        let data = json!({"inbox": open.inbox, "by": by, "target": null});
        self.write(contact.as_str(), &[Event::new(EventKind::ContactTaken, self.now, &data)])?;
        Ok(Ok(()))
    }

    fn refuse(&mut self, contact: &ContactId, by: &str) -> rusqlite::Result<Result<(), JournalError>> {
        match self.open(contact)? {
            None => Ok(Err(JournalError::NotOpen(contact.clone()))),
            Some(Open { taken_by: Some(by), .. }) => Ok(Err(JournalError::TakenBy { by })),
            Some(open) => {
                let data = json!({"inbox": open.inbox, "by": by, "target": null, "status": null});
                self.write(contact.as_str(), &[Event::new(EventKind::ContactRefused, self.now, &data)])?;
                Ok(Ok(()))
            }
        }
    }

    fn release(
        &mut self,
        contact: &ContactId,
        route: &MessageRoute,
    ) -> rusqlite::Result<Result<(), JournalError>> {
        let released = self
            .transaction
            .prepare_cached(
                "UPDATE contact SET held = 0 WHERE id = ?1 AND held = 1 RETURNING inbox, arrived_us",
            )?
            .query_row([contact.as_str()], |row| Ok((row.get::<_, String>(0)?, time(row.get(1)?))))
            .optional()?;
        let Some((inbox, arrived)) = released else { return Ok(Ok(())) };
        let due = arrived.checked_add(SignedDuration::from_mins(i64::from(route.sla_minutes))).ok();
        let data = json!({"inbox": inbox, "sla_due": due});
        self.write(contact.as_str(), &[Event::new(EventKind::ContactQueued, self.now, &data)])?;
        Ok(Ok(()))
    }

    fn close(&mut self, id: &ConversationId, by: Option<&str>) -> rusqlite::Result<Result<(), JournalError>> {
        let contacts: Vec<ContactId> = self
            .transaction
            .prepare_cached("SELECT id FROM contact WHERE conversation = ? AND ended_us IS NULL LIMIT ?")?
            .query_map(params![id.as_str(), CLOSED_AT_ONCE], |row| {
                Ok(ContactId::from(row.get_ref(0)?.as_str()?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let full = u32::try_from(contacts.len()).unwrap_or(u32::MAX) >= CLOSED_AT_ONCE;
        let side = if by.is_some() { Side::Inbox } else { Side::Gateway };
        for contact in contacts {
            let entry =
                Entry::ended(contact, ContactEnd::new(self.now, Outcome::new(side, Reason::Completed)));
            // Read as open just now, by the only writer: the end is always written.
            let _receipt = apply_entry(self.transaction, &entry, self.run, self.now, self.seq)?;
        }
        if full {
            return Ok(Ok(()));
        }
        let closed = self
            .transaction
            .prepare_cached("UPDATE conversation SET closed_us = ?2 WHERE id = ?1 AND closed_us IS NULL")?
            .execute(params![id.as_str(), self.now.as_microsecond()])?;
        Ok(if closed == 0 { Err(JournalError::NotOpenConversation) } else { Ok(()) })
    }

    /// A message's contact that is open, with its inbox.
    fn open(&self, contact: &ContactId) -> rusqlite::Result<Option<Open>> {
        self.transaction
            .prepare_cached(
                "SELECT conversation, inbox, taken_by FROM contact \
                 WHERE id = ? AND ended_us IS NULL AND conversation IS NOT NULL AND held = 0",
            )?
            .query_row([contact.as_str()], |row| {
                Ok(Open { conversation: row.get(0)?, inbox: row.get(1)?, taken_by: row.get(2)? })
            })
            .optional()
    }
}

fn start_of(arrival: &Arrival) -> ContactStart {
    ContactStart {
        channel: arrival.incoming.channel,
        from: arrival.incoming.customer.clone(),
        to: arrival.incoming.address.clone(),
        arrived: arrival.arrived,
        entry_point: Some(arrival.route.entry_point.clone()),
        revision: Some(arrival.route.revision),
        trunk: None,
        call_id: None,
        diverted_from: None,
        callback: None,
    }
}

struct Thread {
    id: ConversationId,
    inbox: InboxId,
    number: i64,
    sla_due: Timestamp,
}

struct Open {
    conversation: String,
    inbox: String,
    taken_by: Option<String>,
}

fn opted_out(connection: &Connection, incoming: &Incoming) -> rusqlite::Result<bool> {
    let out = connection
        .prepare_cached("SELECT out FROM opt_out WHERE channel = ? AND address = ? AND customer = ?")?
        .query_row(params![name(incoming.channel), incoming.address, incoming.customer], |row| row.get(0))
        .optional()?;
    Ok(out.unwrap_or(false))
}

/// Forgets ids of long ago; true when there may be more of them.
pub(super) fn forget(transaction: &Transaction<'_>, now: Timestamp, batch: i64) -> rusqlite::Result<bool> {
    let gone = transaction
        .prepare_cached(
            "DELETE FROM dedup WHERE fingerprint IN (SELECT fingerprint FROM dedup WHERE day < ?1 LIMIT ?2)",
        )?
        .execute(params![day(now) - DEDUP_DAYS, batch])?;
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
