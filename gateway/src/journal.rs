//! The durable log of contacts and their records: SQLite, one writer thread, group commit.
//!
//! Contact tasks append, the feed and the control API read. An acknowledgement towards the outside
//! (a 200 to an INVITE, a 2xx to a webhook) needs a [`Receipt`], and a receipt comes out of nothing but a
//! commit that the disk has confirmed. This module decides nothing about routing, and sends nothing.

mod callback;
mod chat;
mod consumer;
mod contact;
mod conversation;
mod erasure;
mod event;
mod media;
mod message;
mod outbox;
mod queue;
mod reader;
mod recover;
mod retention;
mod schema;
mod writer;

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::{oneshot, watch};
use vestibule_routing::id::ContactId;

pub use self::{
    callback::{CallbackRow, CallbackUpdate},
    chat::{ChatFile, ChatLine, ChatQueue},
    consumer::{Consumer, ConsumerChange, Lease},
    contact::{ContactEnd, ContactProgress, ContactStart, ContactUpdate, Place},
    conversation::{ConversationRow, OptOutRow},
    erasure::{ERASED, ERASED_AT_ONCE, Erase, EraseStep, ErasureRow, ErasureState, FoundKind, print_of},
    event::{Entry, Event, EventKind},
    media::{MediaFilter, MediaJob, MediaOutcome, MediaReason, MediaRow, MediaState, RETRIED_AT_ONCE},
    message::{Arrival, MessageDone, MessageJob, MessageRoute, Remembered, window},
    outbox::{OutboxRow, OutboxUpdate},
    reader::{ContactFilter, ContactRow, ContactState, FeedRow, Page, Reader},
};
use self::{
    queue::{Job, Queue},
    writer::Writer,
};
use crate::telemetry::JournalMetrics;

/// How the journal is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file; its folder must exist.
    pub path: PathBuf,
    /// Longest wait of an entry for others to share its commit with.
    pub commit_window: Duration,
    /// Most events waiting for the writer before appends are refused.
    pub queue_events_max: usize,
    /// Most bytes waiting for the writer before appends are refused.
    pub queue_bytes_max: usize,
    /// Free disk space in bytes under which `vestibule_journal_disk_low` is 1.
    pub free_warn_bytes: u64,
    /// Free disk space in bytes under which new entries are refused; ends of contacts are taken all the same.
    pub free_stop_bytes: u64,
    /// What is kept, and for how long.
    pub retention: Retention,
}

/// What the journal keeps. Trimming goes on in small batches between commits.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Age at which events are trimmed.
    pub events_age_max: Duration,
    /// Age at which records of ended contacts and closed conversations are trimmed.
    pub contacts_age_max: Duration,
    /// Size of the database at which the oldest events are trimmed before their age.
    pub bytes_max: u64,
    /// A consumer that has not moved its cursor for so long holds trimming back no more; it finds a
    /// `feed.gap` when it comes back.
    pub consumer_idle_max: Duration,
}

impl Options {
    /// The usual limits, for a database file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            commit_window: Duration::from_millis(5),
            queue_events_max: 8192,
            queue_bytes_max: 64 << 20,
            free_warn_bytes: 2 << 30,
            free_stop_bytes: 512 << 20,
            retention: Retention {
                events_age_max: DAY * 30,
                contacts_age_max: DAY * 90,
                bytes_max: 20 << 30,
                consumer_idle_max: DAY * 7,
            },
        }
    }
}

/// Why something could not be written or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Too many events wait for the writer; try again in a moment.
    #[error("the journal's queue is full")]
    Overloaded,
    /// Less of the disk is free than the settings ask for.
    #[error("the disk of the journal is full: less is free than journal.free_space_stop_bytes")]
    DiskFull,
    /// The commit failed; nothing of it was acknowledged, and it will not be tried again.
    #[error("the journal could not commit")]
    CommitFailed(#[source] Arc<rusqlite::Error>),
    /// The database cannot be opened at the moment; it is tried again every quarter of a second.
    #[error("the journal's database is not open")]
    Down,
    /// A contact with this id was started already.
    #[error("contact {0} was started before")]
    DuplicateContact(ContactId),
    /// Somebody else took this contact before.
    #[error("{by} has taken the contact")]
    TakenBy {
        /// Who.
        by: String,
    },
    /// There is no such conversation, or it is closed.
    #[error("the conversation is closed, or there was none")]
    NotOpenConversation,
    /// This contact has ended already, and ends once.
    #[error("contact {0} has ended already, or was never started")]
    NotOpen(ContactId),
    /// The write-ahead log is in use whenever it is to be cut.
    #[error("the journal's log is in use and could not be cut")]
    LogInUse,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// A stored cursor was not where the consumer thought.
    #[error("the cursor stands at {current}, not at {expected}")]
    CursorMoved {
        /// Where the consumer thought it was.
        expected: u64,
        /// Where it is.
        current: u64,
    },
    /// A cursor cannot stand behind the last event.
    #[error("the cursor {cursor} is beyond the last event, {last}")]
    CursorAhead {
        /// What was asked for.
        cursor: u64,
        /// The last event's sequence.
        last: u64,
    },
    /// Somebody else reads for a consumer.
    #[error("{holder} reads for this consumer until {until}")]
    LeaseHeld {
        /// Who.
        holder: String,
        /// Until when, unless it goes on.
        until: jiff::Timestamp,
        /// Where the cursor stands.
        cursor: u64,
    },
    /// A lease is not, or no longer, the consumer's.
    #[error("this lease is not the consumer's, or no longer")]
    LeaseLost,
    /// There is no consumer of this name.
    #[error("there is no consumer of this name")]
    NoSuchConsumer,
    /// As many consumers have a stored cursor as may have one.
    #[error("{max} consumers have a cursor already")]
    TooManyConsumers {
        /// The bound.
        max: u32,
    },
    /// The file system does not let SQLite keep a write-ahead log.
    #[error("the database runs in journal mode {mode}, not in WAL: is the data folder on a network disk?")]
    NotWal {
        /// The mode SQLite chose.
        mode: String,
    },
    /// The file was written by another version of the gateway.
    #[error("the database has schema version {found}; this gateway knows {known}")]
    UnknownVersion {
        /// What the file says.
        found: i64,
        /// What we know.
        known: i64,
    },
    /// SQLite refused.
    #[error("the journal's database failed")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// A stored row could not be read back.
    #[error("the events at {seq} cannot be read")]
    Corrupt {
        /// The first sequence of the row.
        seq: u64,
    },
    /// Another gateway has this journal open.
    #[error("another gateway uses this journal ({path} is locked); give each its own data folder")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file could not be made.
    #[error("cannot lock {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The writer's thread could not be started.
    #[error("the journal's thread could not be started")]
    Thread(#[source] Arc<std::io::Error>),
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(Arc::new(error))
    }
}

/// Proof that events are on the disk. It has no constructor outside the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    first: u64,
    count: u32,
}

impl Receipt {
    /// Sequence of the first event of the entry; that of the next event when the entry had none.
    pub fn first_seq(&self) -> u64 {
        self.first
    }

    /// How many events the entry had.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// The journal, shared by everyone who writes to it or reads from it.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: Arc<Queue>,
    committed: watch::Receiver<u64>,
    reader: Reader,
    path: PathBuf,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens (or makes) the journal, ends the contacts that a crash left open, and starts the writer.
    ///
    /// # Errors
    /// When the file cannot be opened, is of another version, or recovery cannot be committed.
    pub fn open(options: Options, metrics: JournalMetrics) -> Result<(Self, Recovered), JournalError> {
        let lock = schema::lock(&options.path)?;
        let mut connection = schema::open_writer(&options.path)?;
        let run = schema::new_run();
        let recovered = recover::recover(&mut connection, run, jiff::Timestamp::now())?;
        let last = schema::last_seq(&connection)?;
        let reader = Reader::open(&options.path)?;
        let (tell, committed) = watch::channel(last);
        let path = options.path.clone();
        let queue = Arc::new(Queue::new(&options, metrics.clone()));
        let writer = Writer::new(connection, options, run, last, queue.clone(), tell, metrics);
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || {
                writer.run();
                drop(lock);
            })
            .map_err(|error| JournalError::Thread(Arc::new(error)))?;
        let inner = Inner { queue, committed, reader, path, thread: Mutex::new(Some(thread)) };
        Ok((Self { inner: Arc::new(inner) }, recovered))
    }

    /// Queues an entry at once; the future is ready when it is on the disk, or is known not to be.
    ///
    /// Dropping the future does not take the entry back.
    ///
    /// # Errors
    /// [`JournalError::Overloaded`] and [`JournalError::DiskFull`] before anything was written; the others
    /// when the commit failed. Whatever the error, nothing may be acknowledged.
    pub fn append(
        &self,
        entry: Entry,
    ) -> impl Future<Output = Result<Receipt, JournalError>> + Send + 'static + use<> {
        let (reply, answer) = oneshot::channel();
        let queued = self.inner.queue.push(Job::Append { entry, reply: Some(reply) });
        async move {
            queued?;
            answer.await.unwrap_or(Err(JournalError::Closed))
        }
    }

    /// Queues an entry that nobody waits for.
    ///
    /// The end of a contact is always taken while the journal is open, and is kept until it could be
    /// written; other entries are refused as by [`Journal::append`], and are lost if their commit fails.
    ///
    /// # Errors
    /// [`JournalError::Overloaded`], [`JournalError::DiskFull`], [`JournalError::Closed`].
    pub fn append_later(&self, entry: Entry) -> Result<(), JournalError> {
        self.inner.queue.push(Job::Append { entry, reply: None })
    }

    /// Writes about messages: arrivals, hand-offs, ends of conversations. Ready when it is on the disk.
    ///
    /// # Errors
    /// As by [`Journal::append`]; and what the job itself was refused for.
    pub async fn messages(&self, job: MessageJob) -> Result<MessageDone, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.inner.queue.push(Job::Messages { job, reply })?;
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// Writes what became of deliveries to a consumer. Ready when it is on the disk.
    ///
    /// # Errors
    /// As by [`Journal::append`].
    pub async fn outbox(&self, update: OutboxUpdate) -> Result<(), JournalError> {
        let (reply, answer) = oneshot::channel();
        self.inner.queue.push(Job::Outbox { update, reply })?;
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// Moves a consumer's stored cursor from `expected` (0 for a new consumer) to `cursor`.
    ///
    /// # Errors
    /// [`JournalError::CursorMoved`] when it stands elsewhere; nothing is changed then.
    pub async fn set_cursor(&self, consumer: String, expected: u64, cursor: u64) -> Result<(), JournalError> {
        let change = ConsumerChange::Move { expected, cursor, epoch: None };
        self.change_consumer(consumer, change).await.map(drop)
    }

    /// Changes a consumer, or leases it; gives back how it stands then. Ready when it is on the disk.
    ///
    /// # Errors
    /// What stands against it; nothing is changed then.
    pub async fn change_consumer(
        &self,
        name: String,
        change: ConsumerChange,
    ) -> Result<Consumer, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.inner.queue.push(Job::Consumer { name, change, reply })?;
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// The sequence of the last event on the disk, and word of every change.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.inner.committed.clone()
    }

    /// Reads beside the writer.
    pub fn reader(&self) -> &Reader {
        &self.inner.reader
    }

    /// Writes the database's log back into the file and cuts it, so that no page of before is left in it.
    ///
    /// # Errors
    /// When it cannot, or readers and the writer leave no moment for it.
    pub async fn cut_log(&self) -> Result<(), JournalError> {
        let path = self.inner.path.clone();
        let cut = crate::blocking::blocking(move || schema::cut_log(&path)).await;
        cut.unwrap_or(Err(JournalError::Closed))
    }

    /// Whether an entry would be accepted now: open, committing, and room on the disk.
    pub fn is_ready(&self) -> bool {
        self.inner.queue.is_ready()
    }

    /// Writes what is queued and stops. Later appends are refused. Blocks until the writer is done.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's thread had panicked");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Joined, so that the file may be opened again at once.
        self.close();
    }
}

/// What recovery found at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Contacts that were live when the gateway stopped, and are ended now as `gateway`/`restarted`.
    pub contacts: usize,
    /// Contacts left open because their INVITE may be repeated. Whoever opened the journal lets the
    /// repetition continue the record, or ends it in time as `gateway`/`restarted`.
    pub undecided: Vec<Undecided>,
}

/// A contact whose 200 may not have left before the gateway stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// The contact.
    pub contact: ContactId,
    /// The Call-ID of its INVITE.
    pub call_id: String,
    /// The caller, as recorded.
    pub from: String,
    /// Who was called, as recorded.
    pub to: String,
    /// When no repetition is to be expected any more.
    pub until: jiff::Timestamp,
}

/// Bytes free on the database's disk; none when it cannot be told.
fn free_bytes(database: &Path) -> Option<u64> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

const DAY: Duration = Duration::from_secs(86_400);
