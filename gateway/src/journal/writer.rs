//! The one thread that writes: batches, commits, answers; reopens after a failure; trims when idle.

mod apply;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{oneshot, watch};
use vestibule_routing::{
    id::ContactId,
    outcome::{Outcome, Reason, Side},
};

pub(super) use self::apply::{apply_entry, snake_case, write_events};
use super::{
    ContactEnd, ContactUpdate, Entry, JournalError, Options, Receipt, Retention,
    consumer::{self, Consumer},
    free_bytes,
    message::{self, MessageDone},
    outbox,
    queue::{Job, Queue},
    retention, schema,
};
use crate::telemetry::{JournalMetrics, JournalRefusal};

pub(super) struct Writer {
    /// None while the database could not be reopened.
    connection: Option<Connection>,
    path: PathBuf,
    window: Duration,
    free_warn_bytes: u64,
    free_stop_bytes: u64,
    retention: Retention,
    /// This opening's random number; see [`schema::new_run`].
    run: u64,
    /// The last sequence given out.
    last: u64,
    queue: Arc<Queue>,
    tell: watch::Sender<u64>,
    metrics: JournalMetrics,
    /// Ends of contacts that a failed commit kept from being written. One for each contact at most, and
    /// a second end finds its record closed and writes nothing: so trying these again is safe.
    owed: Vec<Entry>,
    last_commit: Instant,
    next_check: Instant,
    next_reopen: Instant,
    trimming: retention::Walk,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        options: Options,
        run: u64,
        last: u64,
        queue: Arc<Queue>,
        tell: watch::Sender<u64>,
        metrics: JournalMetrics,
    ) -> Self {
        let now = Instant::now();
        metrics.last_seq.set(i64::try_from(last).unwrap_or(i64::MAX));
        Self {
            connection: Some(connection),
            path: options.path,
            window: options.commit_window,
            free_warn_bytes: options.free_warn_bytes,
            free_stop_bytes: options.free_stop_bytes,
            retention: options.retention,
            run,
            last,
            queue,
            tell,
            metrics,
            owed: Vec::new(),
            last_commit: now,
            next_check: now,
            next_reopen: now,
            trimming: retention::Walk::default(),
        }
    }

    /// Runs until the queue is closed and empty.
    pub(super) fn run(mut self) {
        // Whatever ends this thread, nobody shall wait for it.
        let _closing = CloseOnDrop(self.queue.clone());
        let mut batch = Vec::new();
        loop {
            self.check();
            // An entry that comes alone commits at once; under load commits are a window apart, so that
            // nothing waits longer than the window for its companions.
            let patience = PATIENCE.min(self.next_check.saturating_duration_since(Instant::now()));
            if !self.queue.take(&mut batch, patience, self.last_commit + self.window) {
                break;
            }
            if !batch.is_empty() || !self.owed.is_empty() {
                self.last_commit = Instant::now();
                self.write(&mut batch);
            }
        }
        self.finish();
    }

    fn write(&mut self, batch: &mut Vec<Job>) {
        self.reopen();
        let Some(mut connection) = self.connection.take() else {
            return self.refuse(batch, &JournalError::Down);
        };
        let begun = Instant::now();
        let mut seq = self.last;
        match commit(&mut connection, batch, &self.owed, self.run, &mut seq) {
            Ok(answers) => {
                self.connection = Some(connection);
                let written = seq.saturating_sub(self.last);
                self.last = seq;
                self.owed.clear();
                self.metrics.events.inc_by(written);
                self.metrics.commits.inc();
                self.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
                self.metrics.last_seq.set(i64::try_from(seq).unwrap_or(i64::MAX));
                batch.clear();
                answers.into_iter().for_each(Answer::give);
                if written > 0 {
                    self.tell.send_replace(seq);
                }
            }
            Err(error) => {
                tracing::error!(%error, entries = batch.len(), "the journal could not commit");
                self.metrics.failed_commits.inc();
                // The connection is dropped: after a failed fsync, what SQLite holds in memory proves nothing.
                drop(connection);
                self.queue.set_down(true);
                self.refuse(batch, &JournalError::CommitFailed(Arc::new(error)));
            }
        }
    }

    /// Answers an error to all of a batch, and keeps what is owed to contact records.
    fn refuse(&mut self, batch: &mut Vec<Job>, error: &JournalError) {
        for job in batch.drain(..) {
            match job {
                Job::Append { entry, reply } => {
                    let tried = matches!(error, JournalError::CommitFailed(_));
                    if let Some(entry) = owed_for(entry, tried, Timestamp::now()) {
                        self.owe(entry);
                    }
                    if let Some(reply) = reply {
                        Answer::Append(reply, Err(error.clone())).give();
                    }
                }
                Job::Messages { reply, .. } => Answer::Messages(reply, Err(error.clone())).give(),
                Job::Outbox { reply, .. } => Answer::Outbox(reply, Err(error.clone())).give(),
                Job::Consumer { reply, .. } => Answer::Consumer(reply, Err(error.clone())).give(),
            }
        }
    }

    fn owe(&mut self, entry: Entry) {
        if self.owed.len() < OWED_MAX {
            self.owed.push(entry);
        } else {
            self.metrics.refused.of(JournalRefusal::QueueFull).inc();
        }
    }

    fn reopen(&mut self) {
        if self.connection.is_some() || Instant::now() < self.next_reopen {
            return;
        }
        self.next_reopen = Instant::now() + REOPEN_EVERY;
        let opened = schema::open_writer(&self.path).and_then(|connection| {
            // The log may hold pages that a failed fsync left in the page cache only. A full checkpoint
            // writes them anew to the database file and syncs that, so that they are durable or refused.
            let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            tracing::debug!(busy, "checkpoint after reopening the journal");
            let last = schema::last_seq(&connection)?;
            Ok((connection, last))
        });
        match opened {
            Ok((connection, last)) => {
                tracing::warn!(last, "the journal is open again");
                self.connection = Some(connection);
                self.last = last;
                self.run = schema::new_run();
                self.tell.send_replace(last);
                self.queue.set_down(false);
            }
            Err(error) => tracing::error!(%error, "the journal could not be reopened"),
        }
    }

    /// Free space, size and trimming, once a second; one small batch of trimming at a time.
    fn check(&mut self) {
        let now = Instant::now();
        if now < self.next_check {
            return;
        }
        self.next_check = now + CHECK_EVERY;
        self.reopen();
        if let Some(bytes) = free_bytes(&self.path) {
            self.metrics.free_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.metrics.disk_low.set(i64::from(bytes < self.free_warn_bytes));
            self.queue.set_disk_full(bytes < self.free_stop_bytes);
        }
        let Some(connection) = self.connection.as_mut() else { return };
        match retention::trim(connection, &self.retention, &mut self.trimming, Timestamp::now()) {
            Ok(trimmed) => {
                self.metrics.trimmed.inc_by(trimmed.events);
                self.metrics.size_bytes.set(i64::try_from(trimmed.size_bytes).unwrap_or(i64::MAX));
                if trimmed.more {
                    self.next_check = now + TRIM_EVERY;
                }
            }
            Err(error) => tracing::error!(%error, "the journal could not be trimmed"),
        }
    }

    fn finish(mut self) {
        for _ in 0..REOPEN_TRIES_AT_END {
            if self.owed.is_empty() {
                break;
            }
            std::thread::sleep(REOPEN_EVERY);
            self.write(&mut Vec::new());
        }
        if !self.owed.is_empty() {
            tracing::error!(
                contacts = self.owed.len(),
                "ends of contacts are left to the next start's recovery"
            );
        }
    }
}

enum Answer {
    Append(oneshot::Sender<Result<Receipt, JournalError>>, Result<Receipt, JournalError>),
    Outbox(oneshot::Sender<Result<(), JournalError>>, Result<(), JournalError>),
    Consumer(oneshot::Sender<Result<Consumer, JournalError>>, Result<Consumer, JournalError>),
    Messages(oneshot::Sender<Result<MessageDone, JournalError>>, Result<MessageDone, JournalError>),
}

impl Answer {
    fn give(self) {
        // One who no longer waits is not told: its entry stands all the same.
        match self {
            Self::Append(reply, result) => drop(reply.send(result)),
            Self::Outbox(reply, result) => drop(reply.send(result)),
            Self::Consumer(reply, result) => drop(reply.send(result)),
            Self::Messages(reply, result) => drop(reply.send(result)),
        }
    }
}

/// Writes a batch in one transaction. The answers may be given when this returns, and not before.
fn commit(
    connection: &mut Connection,
    batch: &mut Vec<Job>,
    owed: &[Entry],
    run: u64,
    seq: &mut u64,
) -> rusqlite::Result<Vec<Answer>> {
    let now = Timestamp::now();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for entry in owed {
        // Closed already or never begun: nothing is owed any more.
        let _settled = apply_entry(&transaction, entry, run, now, seq)?;
    }
    let mut results = Vec::with_capacity(batch.len());
    for job in batch.iter() {
        results.push(match job {
            Job::Append { entry, .. } => Applied::Entry(apply_entry(&transaction, entry, run, now, seq)?),
            Job::Outbox { update, .. } => {
                Applied::Outbox(outbox::apply(&transaction, update, (run, now), seq).map(Ok)?)
            }
            Job::Messages { job, .. } => Applied::Messages(message::apply(&transaction, job, run, now, seq)?),
            Job::Consumer { name, change, .. } => {
                Applied::Consumer(consumer::apply(&transaction, name, change, *seq, now)?)
            }
        });
    }
    transaction.commit()?;
    let answers = batch.drain(..).zip(results).filter_map(|(job, applied)| match (job, applied) {
        (Job::Append { reply: Some(reply), .. }, Applied::Entry(result)) => {
            Some(Answer::Append(reply, result))
        }
        (Job::Outbox { reply, .. }, Applied::Outbox(result)) => Some(Answer::Outbox(reply, result)),
        (Job::Consumer { reply, .. }, Applied::Consumer(result)) => Some(Answer::Consumer(reply, result)),
        (Job::Messages { reply, .. }, Applied::Messages(result)) => Some(Answer::Messages(reply, result)),
        _ => None,
    });
    Ok(answers.collect())
}

enum Applied {
    Entry(Result<Receipt, JournalError>),
    Outbox(Result<(), JournalError>),
    Consumer(Result<Consumer, JournalError>),
    Messages(Result<MessageDone, JournalError>),
}

/// What stays owed when an entry could not be committed: the end of a contact; and for one whose start
/// was refused after a commit was `tried` the end too, since a commit that failed may have reached the disk.
fn owed_for(entry: Entry, tried: bool, now: Timestamp) -> Option<Entry> {
    match &entry.record {
        Some(ContactUpdate::Ended(_)) => Some(entry),
        Some(ContactUpdate::Started(_)) if tried => Some(ended_by_us(entry.contact, now, Reason::Overloaded)),
        _ => None,
    }
}

/// The end of a contact that this gateway is to blame for.
pub(super) fn ended_by_us(contact: ContactId, now: Timestamp, reason: Reason) -> Entry {
    Entry::ended(contact, ContactEnd::new(now, Outcome::new(Side::Gateway, reason)))
}

struct CloseOnDrop(Arc<Queue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        // Those who wait find their reply dropped, and read that as closed.
        let mut rest = Vec::new();
        while self.0.take(&mut rest, Duration::ZERO, Instant::now()) {
            rest.clear();
        }
    }
}

/// How long the writer sleeps without work before it looks at the disk.
const PATIENCE: Duration = Duration::from_millis(250);
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Between two batches of trimming, when there is more to trim.
const TRIM_EVERY: Duration = Duration::from_millis(50);
const REOPEN_EVERY: Duration = Duration::from_millis(250);
/// Most ends of contacts kept while the database is not open; beyond, recovery ends them at the next start.
const OWED_MAX: usize = 65_536;
const REOPEN_TRIES_AT_END: u32 = 8;
