//! The bounded queue between those who append and the writer's thread.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{
    Entry, JournalError, Options, Receipt,
    consumer::{Consumer, ConsumerChange},
    message::{MessageDone, MessageJob},
    outbox::OutboxUpdate,
};
use crate::telemetry::{JournalMetrics, JournalRefusal};

/// Something for the writer to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Write an entry.
    Append { entry: Entry, reply: Option<oneshot::Sender<Result<Receipt, JournalError>>> },
    /// Write about messages.
    Messages { job: MessageJob, reply: oneshot::Sender<Result<MessageDone, JournalError>> },
    /// Write what became of deliveries.
    Outbox { update: OutboxUpdate, reply: oneshot::Sender<Result<(), JournalError>> },
    /// Change a consumer.
    Consumer { name: String, change: ConsumerChange, reply: oneshot::Sender<Result<Consumer, JournalError>> },
}

impl Job {
    fn events(&self) -> usize {
        match self {
            Self::Append { entry, .. } => entry.events.len().max(1),
            Self::Messages { job, .. } => job.events(),
            Self::Outbox { update, .. } => update.delivered.len().max(1),
            Self::Consumer { .. } => 1,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Append { entry, .. } => entry.cost_bytes(),
            Self::Messages { job, .. } => job.cost_bytes(),
            Self::Outbox { update, .. } => 256 * (1 + update.put.len() + update.delivered.len()),
            Self::Consumer { name, .. } => 256 + name.len(),
        }
    }

    fn always_taken(&self) -> bool {
        matches!(self, Self::Append { entry, .. } if entry.ends_contact())
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    events_max: usize,
    bytes_max: usize,
    /// Set by the writer: the disk is full.
    disk_full: AtomicBool,
    /// Set by the writer: the database is not open.
    down: AtomicBool,
    metrics: JournalMetrics,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    events: usize,
    bytes: usize,
    closed: bool,
    /// The writer sleeps until the first job comes.
    idle: bool,
}

impl Queue {
    pub(super) fn new(options: &Options, metrics: JournalMetrics) -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            events_max: options.queue_events_max,
            bytes_max: options.queue_bytes_max,
            disk_full: AtomicBool::new(false),
            down: AtomicBool::new(false),
            metrics,
        }
    }

    /// Queues a job, or says why not.
    pub(super) fn push(&self, job: Job) -> Result<(), JournalError> {
        let (events, bytes, always) = (job.events(), job.bytes(), job.always_taken());
        if !always && self.disk_full.load(Ordering::Relaxed) {
            self.metrics.refused.of(JournalRefusal::DiskFull).inc();
            return Err(JournalError::DiskFull);
        }
        if !always && self.down.load(Ordering::Relaxed) {
            self.metrics.refused.of(JournalRefusal::Down).inc();
            return Err(JournalError::Down);
        }
        let mut waiting = self.lock();
        if waiting.closed {
            self.metrics.refused.of(JournalRefusal::Closed).inc();
            return Err(JournalError::Closed);
        }
        // One that is larger than all that may wait is bounded elsewhere, and waits alone: refused, it would be for ever.
        let full = !waiting.jobs.is_empty()
            && (waiting.events.saturating_add(events) > self.events_max
                || waiting.bytes.saturating_add(bytes) > self.bytes_max);
        if full && !always {
            self.metrics.refused.of(JournalRefusal::QueueFull).inc();
            return Err(JournalError::Overloaded);
        }
        waiting.events += events;
        waiting.bytes += bytes;
        waiting.jobs.push_back(job);
        self.measure(&waiting);
        let wake = waiting.idle || is_batch(&waiting);
        waiting.idle = false;
        drop(waiting);
        if wake {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes the next batch into `batch`: waits for a first job at most `patience`, then for more until
    /// `commit_from`, unless a batch is full. False once the queue is closed and empty.
    pub(super) fn take(&self, batch: &mut Vec<Job>, patience: Duration, commit_from: Instant) -> bool {
        let mut waiting = self.lock();
        if waiting.jobs.is_empty() && !waiting.closed {
            waiting.idle = true;
            (waiting, _) = self.wake.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner);
            waiting.idle = false;
        }
        if waiting.jobs.is_empty() {
            return !waiting.closed;
        }
        while !waiting.closed && !is_batch(&waiting) {
            let left = commit_from.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (waiting, _) = self.wake.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner);
        }
        let mut bytes = 0_usize;
        while batch.len() < BATCH_ROWS && (bytes < BATCH_BYTES || batch.is_empty()) {
            let Some(job) = waiting.jobs.pop_front() else { break };
            bytes += job.bytes();
            waiting.events = waiting.events.saturating_sub(job.events());
            waiting.bytes = waiting.bytes.saturating_sub(job.bytes());
            batch.push(job);
        }
        self.measure(&waiting);
        true
    }

    /// No more jobs are taken in; the writer finishes what is queued.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    pub(super) fn set_disk_full(&self, full: bool) {
        self.disk_full.store(full, Ordering::Relaxed);
    }

    pub(super) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub(super) fn is_ready(&self) -> bool {
        let stopped = self.disk_full.load(Ordering::Relaxed) || self.down.load(Ordering::Relaxed);
        !stopped && !self.lock().closed
    }

    fn measure(&self, waiting: &Waiting) {
        self.metrics.queue_events.set(i64::try_from(waiting.events).unwrap_or(i64::MAX));
        self.metrics.queue_bytes.set(i64::try_from(waiting.bytes).unwrap_or(i64::MAX));
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing between lock and unlock panics half-way through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_batch(waiting: &Waiting) -> bool {
    waiting.jobs.len() >= BATCH_ROWS || waiting.bytes >= BATCH_BYTES
}

/// Most rows in one commit.
const BATCH_ROWS: usize = 1024;
/// Bytes after which a commit takes no more rows.
const BATCH_BYTES: usize = 4 << 20;
