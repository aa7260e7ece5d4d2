//! Reading beside the writer: two read-only connections, used off the async threads.

mod conversations;
mod erasures;
mod of_contact;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use vestibule_routing::id::InboxId;

use super::{
    CallbackRow, Consumer, EventKind, JournalError, MediaFilter, MediaRow, OutboxRow, callback, consumer,
    media, outbox, schema,
};
use crate::places::LostPlace;

/// A pool of two read-only connections.
#[derive(Clone, Debug)]
pub struct Reader {
    connections: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

/// One event as it is stored.
#[derive(Clone, Debug)]
pub struct FeedRow {
    /// Its sequence: gapless, in order of commit, the feed's cursor.
    pub seq: u64,
    /// The random number of the opening that wrote it; part of its id.
    pub run: u64,
    /// The contact it is about.
    pub contact: String,
    /// What happened.
    pub kind: EventKind,
    /// When it happened.
    pub at: Timestamp,
    /// The payload, a JSON object.
    pub data: Box<RawValue>,
}

/// Events in order, and how far the reading came.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The events that were asked for.
    pub rows: Vec<FeedRow>,
    /// The sequence to read on after; events of other kinds are skipped by it too.
    pub next: u64,
    /// The first sequence that is still kept, when events after the cursor were trimmed.
    pub trimmed_to: Option<u64>,
}

/// Which contacts.
#[derive(Clone, Debug, Default)]
pub struct ContactFilter {
    /// Only ids before (older than) this one.
    pub before: Option<String>,
    /// Live ones, ended ones, or both.
    pub state: Option<ContactState>,
    /// The channel's name.
    pub channel: Option<String>,
    /// The customer's address, exactly.
    pub from: Option<String>,
    /// The address that was dialled or written to, exactly.
    pub to: Option<String>,
    /// The inbox.
    pub inbox: Option<String>,
    /// A part of the customer's address, or of the one that was dialled or written to.
    pub address: Option<String>,
    /// Why it ended.
    pub outcome: Option<String>,
    /// Arrived then or later: the search ends at older ones.
    pub since: Option<Timestamp>,
    /// Arrived before.
    pub until: Option<Timestamp>,
}

/// Whether a contact goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// It goes on.
    Live,
    /// It is over.
    Ended,
}

/// A contact's record.
#[derive(Clone, Debug)]
pub struct ContactRow {
    /// Its id.
    pub id: String,
    /// The channel's name.
    pub channel: String,
    /// The customer's address; empty when withheld.
    pub from: String,
    /// What was dialled or written to.
    pub to: String,
    /// When it arrived.
    pub arrived: Timestamp,
    /// When it was answered.
    pub answered: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The entry point.
    pub entry_point: Option<String>,
    /// The IVR it was in last.
    pub ivr: Option<String>,
    /// The inbox it belonged to last.
    pub inbox: Option<String>,
    /// The revision it ran under.
    pub revision: Option<u64>,
    /// The trunk it came in by.
    pub trunk: Option<String>,
    /// The SIP Call-ID.
    pub call_id: Option<String>,
    /// Who had the call before it was diverted here.
    pub diverted_from: Option<String>,
    /// Whose doing the end was.
    pub outcome_side: Option<String>,
    /// Why it ended.
    pub outcome_reason: Option<String>,
    /// Where it was abandoned, JSON.
    pub abandoned_at: Option<String>,
    /// The trace, JSON; only when one contact is read.
    pub trace: Option<String>,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, JournalError> {
        let connections =
            (0..CONNECTIONS).map(|_| schema::open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            connections: Arc::new(Mutex::new(connections)),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
        })
    }

    /// Callbacks that are still to be made, in the order of their places.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn callbacks(&self) -> Result<Vec<CallbackRow>, JournalError> {
        self.with(|connection| Ok(callback::all(connection)?)).await
    }

    /// Events after a cursor; only some kinds when `kinds` is not empty. At most `limit` of them, and at
    /// most 10 000 are looked at.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events(
        &self,
        after: u64,
        limit: usize,
        kinds: Vec<EventKind>,
    ) -> Result<Page, JournalError> {
        self.with(move |connection| events(connection, after, limit, &kinds)).await
    }

    /// Events of one contact that arrived and ended then, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_of(
        &self,
        contact: String,
        lived: (Timestamp, Option<Timestamp>),
        limit: usize,
    ) -> Result<Vec<FeedRow>, JournalError> {
        self.with(move |connection| of_contact::events(connection, &contact, lived, limit)).await
    }

    /// Records of contacts, newest first, without their traces; and where to go on, when the search
    /// stopped before the oldest record.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn contacts(
        &self,
        filter: ContactFilter,
        limit: usize,
    ) -> Result<(Vec<ContactRow>, Option<String>), JournalError> {
        self.with(move |connection| contacts(connection, &filter, limit)).await
    }

    /// One contact's record, with its trace.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn contact(&self, id: String) -> Result<Option<ContactRow>, JournalError> {
        self.with(move |connection| {
            let sql = "SELECT id, channel, from_address, to_address, arrived_us, answered_us, ended_us, \
                       entry_point, ivr, inbox, revision, trunk, call_id, outcome_side, outcome_reason, \
                       abandoned_at, diverted_from, trace FROM contact WHERE id = ?";
            Ok(connection.prepare_cached(sql)?.query_row([id], contact_row).optional()?)
        })
        .await
    }

    /// What is still to be delivered to a consumer, or was given up, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outbox(&self, consumer: String) -> Result<Vec<OutboxRow>, JournalError> {
        self.with(move |connection| Ok(outbox::rows(connection, &consumer)?)).await
    }

    /// Files of messages that are due to be fetched, the longest due first, but for those at some sources.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn media_due(
        &self,
        now: Timestamp,
        but_for: Vec<String>,
        limit: usize,
    ) -> Result<Vec<MediaRow>, JournalError> {
        self.with(move |connection| Ok(media::due(connection, now, &but_for, limit)?)).await
    }

    /// How many files of messages are still to be fetched.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn media_pending(&self) -> Result<u64, JournalError> {
        self.with(|connection| Ok(media::pending(connection)?)).await
    }

    /// Files of messages that lay elsewhere, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn media(&self, filter: MediaFilter, limit: usize) -> Result<Vec<MediaRow>, JournalError> {
        self.with(move |connection| Ok(media::list(connection, &filter, limit)?)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn one_media(&self, id: String) -> Result<Option<MediaRow>, JournalError> {
        self.with(move |connection| Ok(media::one(connection, &id)?)).await
    }

    /// Callers who left a queue, or were cut off in it, so shortly before `now`; of the newest contacts.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lost_places(
        &self,
        within: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<LostPlace>, JournalError> {
        let Ok(since) = now.checked_sub(within) else { return Ok(Vec::new()) };
        self.with(move |connection| {
            let sql = "SELECT from_address, to_address, inbox, arrived_us, ended_us FROM \
                       (SELECT * FROM contact ORDER BY id DESC LIMIT 65536) \
                       WHERE ended_us > ?1 AND inbox IS NOT NULL AND outcome_reason IN \
                       ('abandoned_in_queue', 'restarted', 'media_timeout', 'signalling_timeout') \
                       ORDER BY ended_us";
            let time = |micros| Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
            let mut statement = connection.prepare(sql)?;
            let rows = statement.query_map([since.as_microsecond()], |row| {
                Ok(LostPlace {
                    from: row.get(0)?,
                    to: row.get(1)?,
                    inbox: InboxId::from(row.get_ref(2)?.as_str()?),
                    arrived: time(row.get(3)?),
                    lost: time(row.get(4)?),
                })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Where a consumer's stored cursor stands; none when it never stored one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn cursor(&self, consumer: String) -> Result<Option<u64>, JournalError> {
        self.with(move |connection| {
            let cursor: Option<i64> = connection
                .prepare_cached("SELECT cursor FROM consumer WHERE name = ?")?
                .query_row([consumer], |row| row.get(0))
                .optional()?;
            Ok(cursor.and_then(|cursor| u64::try_from(cursor).ok()))
        })
        .await
    }

    /// Every consumer that has a cursor, by name; those of deliveries too.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn consumers(&self) -> Result<Vec<Consumer>, JournalError> {
        self.with(|connection| Ok(consumer::all(connection, Timestamp::now())?)).await
    }

    /// The sequence of the last event in the database.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_seq(&self) -> Result<u64, JournalError> {
        self.with(|connection| Ok(schema::last_seq(connection)?)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| JournalError::Closed)?;
        let connections = self.connections.clone();
        let work = move || {
            let _permit = permit;
            let lock = || connections.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = lock().pop().ok_or(JournalError::Closed)?;
            let result = read(&connection);
            lock().push(connection);
            result
        };
        crate::blocking::blocking(work).await.unwrap_or(Err(JournalError::Closed))
    }
}

#[derive(Deserialize)]
struct StoredEvent<'a> {
    #[serde(rename = "type")]
    kind: EventKind,
    at: i64,
    #[serde(borrow)]
    data: &'a RawValue,
}

fn events(
    connection: &Connection,
    after: u64,
    limit: usize,
    kinds: &[EventKind],
) -> Result<Page, JournalError> {
    let mut page = Page { next: after, ..Page::default() };
    let mut statement = connection.prepare_cached(
        "SELECT seq, run, contact, events FROM event WHERE seq >= coalesce((SELECT max(seq) FROM event \
         WHERE seq <= ?1), 0) ORDER BY seq",
    )?;
    let from = i64::try_from(after.saturating_add(1)).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![from])?;
    let mut looked_at = 0_usize;
    let mut first_row = true;
    while let Some(row) = rows.next()? {
        let first = unsigned(row.get(0)?);
        if std::mem::take(&mut first_row) && first > after.saturating_add(1) {
            page.trimmed_to = Some(first);
        }
        let (run, contact) = (unsigned(row.get(1)?), row.get_ref(2)?.as_str().unwrap_or_default());
        let text = row.get_ref(3)?.as_str().map_err(|_| JournalError::Corrupt { seq: first })?;
        let stored: Vec<StoredEvent<'_>> =
            serde_json::from_str(text).map_err(|_| JournalError::Corrupt { seq: first })?;
        for (seq, event) in (first..).zip(stored).filter(|(seq, _)| *seq > after) {
            if page.rows.len() >= limit || looked_at >= LOOKED_AT_MAX {
                return Ok(page);
            }
            page.next = seq;
            looked_at += 1;
            if kinds.is_empty() || kinds.contains(&event.kind) {
                let (contact, data) = (contact.to_owned(), event.data.to_owned());
                page.rows.push(FeedRow { seq, run, contact, kind: event.kind, at: time(event.at), data });
            }
        }
    }
    Ok(page)
}

fn contacts(
    connection: &Connection,
    filter: &ContactFilter,
    limit: usize,
) -> Result<(Vec<ContactRow>, Option<String>), JournalError> {
    // No indexes but the id's: an index on addresses would cost every call, and this is for people. The
    // search looks at a bounded number of records and hands back where to go on.
    let mut statement = connection.prepare_cached(
        "SELECT id, channel, from_address, to_address, arrived_us, answered_us, ended_us, entry_point, ivr, \
         inbox, revision, trunk, call_id, outcome_side, outcome_reason, abandoned_at, diverted_from, NULL FROM contact \
         WHERE id < coalesce(?1, 'd') ORDER BY id DESC",
    )?;
    let mut rows = statement.query(params![filter.before])?;
    let mut found = Vec::new();
    let mut looked_at = 0_usize;
    let mut last = None;
    while let Some(row) = rows.next()? {
        if found.len() >= limit || looked_at >= LOOKED_AT_MAX {
            return Ok((found, last));
        }
        looked_at += 1;
        let contact = contact_row(row)?;
        if filter
            .since
            .is_some_and(|since| contact.arrived < since.checked_sub(ID_DISORDER).unwrap_or(Timestamp::MIN))
        {
            break;
        }
        last = Some(contact.id.clone());
        if filter.wants(&contact) {
            found.push(contact);
        }
    }
    Ok((found, None))
}

impl ContactFilter {
    fn wants(&self, contact: &ContactRow) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let state = if contact.ended.is_some() { ContactState::Ended } else { ContactState::Live };
        self.state.is_none_or(|wanted| wanted == state)
            && same(&self.channel, &contact.channel)
            && same(&self.from, &contact.from)
            && same(&self.to, &contact.to)
            && same(&self.inbox, contact.inbox.as_deref().unwrap_or_default())
            && same(&self.outcome, contact.outcome_reason.as_deref().unwrap_or_default())
            && self.since.is_none_or(|since| contact.arrived >= since)
            && self.until.is_none_or(|until| contact.arrived < until)
            && self.address.as_deref().is_none_or(|part| {
                contact.from.to_lowercase().contains(part) || contact.to.to_lowercase().contains(part)
            })
    }
}

fn contact_row(row: &Row<'_>) -> rusqlite::Result<ContactRow> {
    Ok(ContactRow {
        id: row.get(0)?,
        channel: row.get(1)?,
        from: row.get(2)?,
        to: row.get(3)?,
        arrived: time(row.get(4)?),
        answered: row.get::<_, Option<i64>>(5)?.map(time),
        ended: row.get::<_, Option<i64>>(6)?.map(time),
        entry_point: row.get(7)?,
        ivr: row.get(8)?,
        inbox: row.get(9)?,
        revision: row.get::<_, Option<i64>>(10)?.map(unsigned),
        trunk: row.get(11)?,
        call_id: row.get(12)?,
        outcome_side: row.get(13)?,
        outcome_reason: row.get(14)?,
        abandoned_at: row.get(15)?,
        diverted_from: row.get(16)?,
        trace: row.get(17)?,
    })
}

fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

const CONNECTIONS: usize = 2;
/// Most rows looked at for one page.
const LOOKED_AT_MAX: usize = 10_000;

/// By how much the ids of contacts may be out of the order of their arrival: a clock that was set, a call repeated over
/// a restart.
const ID_DISORDER: SignedDuration = SignedDuration::from_mins(10);
