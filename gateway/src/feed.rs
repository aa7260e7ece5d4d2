//! The durable feed: journal rows as CloudEvents 1.0, by cursor, with waiting.
//!
//! Consumers pull; what they have read is theirs to say (a cursor). This module knows no HTTP.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::journal::{EventKind, FeedRow, Journal, JournalError};

/// A CloudEvents 1.0 event in JSON form.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct CloudEvent {
    /// Always `1.0`.
    pub specversion: &'static str,
    /// Stable over every delivery, also after a restart; unique also after a restore from a backup.
    pub id: String,
    /// The gateway that wrote it.
    pub source: String,
    /// What happened, for example `contact.started`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "contact.started")]
    pub kind: EventKind,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    pub time: jiff::Timestamp,
    /// The contact it is about; absent when it is about none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// Always `application/json`.
    pub datacontenttype: &'static str,
    /// The feed's cursor at this event, decimal (CloudEvents extension `sequence`).
    pub sequence: String,
    /// The payload of the published table.
    #[schema(value_type = Object)]
    pub data: Box<RawValue>,
}

/// Some events, and where to read on.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct FeedPage {
    /// The events, in order.
    pub events: Vec<CloudEvent>,
    /// The cursor to pass as `after` next time.
    pub next: u64,
    /// The sequence of the newest event in the journal.
    pub last: u64,
}

/// What a reader wants.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Events behind this cursor; 0 for all that are kept.
    pub after: u64,
    /// At most so many.
    pub limit: usize,
    /// Only these kinds; all when empty. `feed.gap` always comes.
    pub kinds: Vec<EventKind>,
}

/// The feed of a journal.
#[derive(Clone, Debug)]
pub struct Feed {
    journal: Journal,
    source: String,
}

impl Feed {
    /// The feed of `journal`, whose events name `source` (a URI reference) as their source.
    pub fn new(journal: Journal, source: impl Into<String>) -> Self {
        Self { journal, source: source.into() }
    }

    /// Reads once, without waiting.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn read(&self, wanted: &Wanted) -> Result<FeedPage, JournalError> {
        let last = *self.journal.committed().borrow();
        if wanted.after >= last {
            // Nothing new: no need to trouble the database for it.
            self.check(wanted.after).await?;
            return Ok(FeedPage { events: Vec::new(), next: wanted.after, last });
        }
        let page = self.journal.reader().events(wanted.after, wanted.limit, wanted.kinds.clone()).await?;
        let gap = page.trimmed_to.map(|first| self.gap(wanted.after, first));
        let events = page.rows.into_iter().map(|row| self.cloud_event(row));
        Ok(FeedPage {
            events: gap.into_iter().chain(events).collect(),
            next: page.next,
            last: last.max(page.next),
        })
    }

    /// Whether a cursor can be one of this feed: after a restore from a backup, a consumer may be ahead of
    /// the journal, and would silently miss what comes until the journal has caught up.
    ///
    /// # Errors
    /// [`JournalError::CursorAhead`], or when the journal cannot be read.
    pub async fn check(&self, cursor: u64) -> Result<(), JournalError> {
        if cursor <= *self.journal.committed().borrow() {
            return Ok(());
        }
        // A commit can be read a moment before word of it is out: the database knows best.
        let last = self.journal.reader().last_seq().await?;
        if cursor > last { Err(JournalError::CursorAhead { cursor, last }) } else { Ok(()) }
    }

    /// Reads, and when there is nothing, waits for something at most `patience`.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn read_or_wait(
        &self,
        mut wanted: Wanted,
        patience: Duration,
    ) -> Result<FeedPage, JournalError> {
        let deadline = Instant::now() + patience;
        let mut committed = self.journal.committed();
        loop {
            // Marked as seen before the read, so that a commit during the read wakes us.
            committed.mark_unchanged();
            let page = self.read(&wanted).await?;
            let caught_up = page.next >= *committed.borrow();
            if !page.events.is_empty() || Instant::now() >= deadline {
                return Ok(page);
            }
            wanted.after = page.next;
            if caught_up
                && !matches!(tokio::time::timeout_at(deadline, committed.changed()).await, Ok(Ok(())))
            {
                return Ok(page);
            }
        }
    }

    /// Rows of the journal as the feed tells them.
    pub fn told(&self, rows: Vec<FeedRow>) -> Vec<CloudEvent> {
        rows.into_iter().map(|row| self.cloud_event(row)).collect()
    }

    fn cloud_event(&self, row: FeedRow) -> CloudEvent {
        CloudEvent {
            specversion: "1.0",
            id: event_id(row.run, row.seq),
            source: self.source.clone(),
            kind: row.kind,
            time: row.at,
            subject: row.contact,
            datacontenttype: "application/json",
            sequence: row.seq.to_string(),
            data: row.data,
        }
    }

    /// Tells a reader that the events between its cursor and `first` are gone.
    fn gap(&self, after: u64, first: u64) -> CloudEvent {
        let (from, to) = (after.saturating_add(1), first.saturating_sub(1));
        CloudEvent {
            specversion: "1.0",
            // The same gap has the same id; a run of 0 is never drawn by chance in practice.
            id: format!("{}-{to}", event_id(0, from)),
            source: self.source.clone(),
            kind: EventKind::FeedGap,
            time: jiff::Timestamp::now(),
            subject: String::new(),
            datacontenttype: "application/json",
            sequence: to.to_string(),
            data: RawValue::from_string(format!(r#"{{"from":{from},"to":{to}}}"#)).unwrap_or_default(),
        }
    }
}

/// `ev_` and 22 characters: the opening of the journal that wrote it, then the sequence.
fn event_id(run: u64, seq: u64) -> String {
    let mut id = String::with_capacity(25);
    id.push_str("ev_");
    for (value, digits) in [(run, 9_u32), (seq, 13)] {
        for digit in (0..digits).rev() {
            let index = usize::try_from(value >> (digit * 5) & 31).unwrap_or(0);
            id.push(BASE32.get(index).copied().map_or('0', char::from));
        }
    }
    id
}

/// Crockford's base 32, as in contact ids.
const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

#[cfg(test)]
mod tests {
    use super::event_id;

    #[test]
    fn event_ids_of_one_run_sort_by_sequence_and_show_their_prefix() {
        let ids: Vec<_> = [1, 31, 32, 1 << 40].map(|seq| event_id(77, seq)).into();
        assert!(ids.is_sorted(), "{ids:?}");
        assert!(ids.iter().all(|id| id.len() == 25 && id.starts_with("ev_")), "{ids:?}");
        assert_ne!(event_id(1, 5), event_id(2, 5));
    }
}
