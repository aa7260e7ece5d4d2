//! Drafts, revisions and number records, in one SQLite file; and the active routing compiled from it.
//!
//! Objects are kept by the revisions between which they held: a publish writes what it changes, and any
//! old revision can be read, compared and restored. Everything a caller is told is durable when he is told
//! (WAL, `synchronous=FULL`). Calls block on the disk: do not make them on a thread that must not wait.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
};

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;
use vestibule_routing::address::E164;

use crate::{
    active::{Active, ActiveRouting},
    compile::{Change, Compiled, Context, PromptTable, ProviderKind, compile},
    diagnostic::{Code, Diagnostic},
    document::{self, Key, Kind, RawDocument},
    number::SmsUse,
    settings::Settings,
};

mod acts;
mod approval;
mod audit;
mod difference;
mod draft;
mod drafted;
mod entry_points;
mod history;
mod identity;
mod import;
mod mail;
mod numbers;
mod objects;
mod publish;
mod recordings;
mod records;
mod schema;
mod section;
mod try_out;
mod usage;

pub use acts::{Live, Reader};
pub use approval::{Decider, PublishRequest, RequestState};
pub use audit::{
    Acting, AuditEnd, AuditFault, AuditFaultKind, AuditFilter, AuditFindings, AuditKeys, AuditRow,
    Line as AuditLine, acting, verify as verify_audit,
};
pub use difference::{ValueDifference, differences};
pub use drafted::Drafted;
pub use entry_points::{EntryPointFilter, EntryPointRow};
pub use history::ObjectVersion;
pub use identity::{IdentityStore, Record, RecordChange};
pub use import::GUARD;
pub use numbers::NumberChange;
use recordings::Recordings;
pub use recordings::{Recording, is_sha256};
pub use section::Listed;
pub use try_out::{Section, SectionObject};
pub use usage::Usage;

/// Objects compiled at once at a start: bounds the memory it needs.
const CHUNK: usize = 20_000;

/// How a store treats documents.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// New entry points are armed (`routing.arm_new`).
    pub arm_new: bool,
    /// Text prompts can be spoken (`tts.command` is set).
    pub speech: bool,
    /// The kinds of providers there are; empty: not looked at.
    pub provider_kinds: &'static [ProviderKind],
    /// The types of events there are; empty: not looked at.
    pub event_types: &'static [&'static str],
    /// Revisions that are kept; the oldest go first (`routing.revisions_kept_max`).
    pub revisions_kept_max: u64,
    /// Recordings that are kept, in bytes (`routing.recordings_bytes_max`).
    pub recordings_bytes_max: u64,
    /// A publish waits until a second person approves it (`routing.publish_needs_second`).
    pub publish_needs_second: bool,
    /// Publishes that wait for that (`routing.publish_requests_max`).
    pub publish_requests_max: u64,
}

impl Default for Options {
    /// As the settings are delivered, but without speech.
    fn default() -> Self {
        Self {
            arm_new: true,
            speech: false,
            provider_kinds: &[],
            event_types: &[],
            revisions_kept_max: 100_000,
            recordings_bytes_max: 10_737_418_240,
            publish_needs_second: false,
            publish_requests_max: 100,
        }
    }
}

impl From<&Settings> for Options {
    fn from(settings: &Settings) -> Self {
        let routing = &settings.routing;
        Self {
            arm_new: routing.arm_new,
            speech: !settings.tts.command.is_empty(),
            provider_kinds: &[],
            event_types: &[],
            revisions_kept_max: routing.revisions_kept_max,
            recordings_bytes_max: routing.recordings_bytes_max,
            publish_needs_second: routing.publish_needs_second,
            publish_requests_max: routing.publish_requests_max,
        }
    }
}

/// The configuration store.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    active: Active,
    options: Options,
    folder: PathBuf,
    recordings: Recordings,
    prepare: Prepare,
    drafted: drafted::Kept,
    audit_keys: OnceLock<AuditKeys>,
    /// What each number's registration means, so that messages need not wait for the database.
    sms: RwLock<HashMap<E164, SmsUse>>,
    /// What mail is taken for, likewise.
    mail: mail::Known,
}

/// Makes the sounds of a table ready, and says which cannot be made.
type MakeReady = dyn Fn(&Arc<PromptTable>) -> Vec<Diagnostic> + Send + Sync;

#[derive(Default)]
struct Prepare(OnceLock<Box<MakeReady>>);

impl fmt::Debug for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepare({})", self.0.get().is_some())
    }
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the configuration store failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// A file failed.
    #[error("{path}: {cause}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The database was written by a newer version.
    #[error(
        "the configuration store has version {found}, and this program knows {known}; start the newer program"
    )]
    TooNew {
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The database was written by another version, and may not be changed here.
    #[error(
        "the configuration store has version {found}, and this program knows {known}; start the gateway once with this program"
    )]
    OtherVersion {
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The documents do not compile, or a request makes no sense.
    #[error("{} finding(s), the first: {}", .0.len(), .0.first().map(ToString::to_string).unwrap_or_default())]
    Invalid(Vec<Diagnostic>),
    /// Somebody else changed the draft.
    #[error("the draft has version {found}, not {expected}; read it again")]
    VersionMismatch {
        /// The version in the store.
        found: u64,
        /// The version that the request named.
        expected: u64,
    },
    /// Somebody else changed users, roles or keys.
    #[error("users, roles and keys have version {found}, not {expected} any more")]
    IdentityChanged {
        /// The version in the store.
        found: u64,
        /// The version that the change was made from.
        expected: u64,
    },
    /// Somebody else changed an object that was to be changed.
    #[error("{key} was last changed by revision {found}, not {expected}; read it again")]
    ObjectChanged {
        /// The object.
        key: Key,
        /// The revision that changed it last; 0 when it does not exist.
        found: u64,
        /// The one that the request named.
        expected: u64,
    },
    /// It is not published: it waits for a second person.
    #[error("it waits for a second person, as request {}", .0.id)]
    AwaitsSecond(Box<PublishRequest>),
    /// Who asked for something would approve it himself.
    #[error("request {0} was made by the same person")]
    SamePerson(u64),
    /// A revision that does not exist.
    #[error("there is no revision {0}")]
    NoRevision(u64),
    /// Recordings fill all the room that they may have.
    #[error("recordings may fill {max} bytes, and this one does not fit any more")]
    RecordingsFull {
        /// The room.
        max: u64,
    },
    /// A number that has no record.
    #[error("there is no number {0}")]
    NoNumber(E164),
    /// A number that has one already.
    #[error("the number {0} has a record already")]
    NumberExists(E164),
    /// A record that does not exist.
    #[error("there is no {kind} {id}")]
    NoRecord {
        /// Its kind.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// A record that exists already.
    #[error("there is a {kind} {id} already, or one for the same key")]
    RecordExists {
        /// Its kind.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Something else has to come to its end first.
    #[error("{0}")]
    InTheWay(String),
    /// What is sealed cannot be opened.
    #[error("what is sealed for {0} cannot be opened with the keys there are")]
    Sealed(String),
    /// A mail domain or a mailbox that has no record.
    #[error("{0} has no record")]
    NoMailRecord(String),
    /// One that has one already.
    #[error("{0} has a record already")]
    MailRecordExists(String),
    /// A mail domain that mailboxes need.
    #[error("{0} has mailboxes still")]
    MailDomainUsed(String),
    /// Whoever did it met a fault.
    #[error("the change was broken off by a fault in the gateway")]
    Interrupted,
    /// A transition that does not exist.
    #[error(transparent)]
    NotPossible(#[from] crate::number::NotPossible),
}

/// A frozen numbered form of the documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Revision {
    /// Counts from 1.
    pub number: u64,
    /// Who published it.
    pub author: String,
    /// What for.
    pub note: String,
    /// When.
    pub created: jiff::Timestamp,
    /// The revision that it restored, when it is a roll back.
    pub restores: Option<u64>,
    /// How many objects changed.
    pub changes: u64,
    /// Who approved it, when that was needed.
    pub approved_by: Option<String>,
}

/// How one object differs between two revisions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The object.
    pub key: Key,
    /// Its body before; none when it did not exist.
    pub before: Option<Value>,
    /// Its body after; none when it was removed.
    pub after: Option<Value>,
}

/// Edits that are not published.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Draft {
    /// Counts edits; the `ETag` of the draft.
    pub version: u64,
    /// The edits: a body, or none for a removal.
    pub changes: BTreeMap<Key, Option<Value>>,
}

/// What came of a publish.
#[derive(Clone, Debug)]
pub struct Published {
    /// The new revision.
    pub revision: Revision,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

impl Store {
    /// Opens `config.db` in the folder, makes it when it is missing, and compiles the active revision.
    ///
    /// # Errors
    /// The file cannot be opened, is newer than this program, or what it holds does not compile.
    pub fn open(folder: &Path, options: Options) -> Result<Self, StoreError> {
        let recordings = Recordings::open(folder.join("prompts"), options.recordings_bytes_max)?;
        let connection = schema::open(&folder.join("config.db"))?;
        let store = Self {
            connection: Mutex::new(connection),
            active: Active::default(),
            options,
            folder: folder.to_owned(),
            recordings,
            prepare: Prepare::default(),
            drafted: drafted::Kept::default(),
            audit_keys: OnceLock::new(),
            sms: RwLock::default(),
            mail: mail::Known::default(),
        };
        store.load_sms()?;
        store.load_mail()?;
        store.load_active()?;
        Ok(store)
    }

    /// What is active; also the place to subscribe.
    pub fn active(&self) -> &Active {
        &self.active
    }

    /// Has `ready` called with the sounds of what is about to be published, before anything is changed: what
    /// it finds stops the publish. It may take long. Only the first one set counts.
    pub fn prepare_with(&self, ready: impl Fn(&Arc<PromptTable>) -> Vec<Diagnostic> + Send + Sync + 'static) {
        let _first = self.prepare.0.set(Box::new(ready)).is_ok();
    }

    /// Whether a publish waits for a second person.
    pub fn needs_second(&self) -> bool {
        self.options.publish_needs_second
    }

    /// The folder that it is kept in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn make_ready(&self, prompts: &Arc<PromptTable>) -> Result<(), StoreError> {
        let findings = self.prepare.0.get().map(|ready| ready(prompts)).unwrap_or_default();
        if findings.is_empty() { Ok(()) } else { Err(StoreError::Invalid(findings)) }
    }

    /// Puts a document into an empty store and publishes it; the numbers in it become ours. Says whether
    /// the store was empty.
    ///
    /// # Errors
    /// The document does not compile, or the store fails.
    pub fn seed(&self, text: &str) -> Result<bool, StoreError> {
        if objects::newest_revision(&self.lock())? > 0 {
            return Ok(false);
        }
        let document = document::parse(text).map_err(StoreError::Invalid)?;
        let numbers: Numbers = document
            .keys()
            .filter(|key| key.kind == Kind::Numbers)
            .filter_map(|key| E164::parse(&key.id).ok())
            .collect();
        let changes: BTreeMap<_, _> = document.into_iter().map(|(key, body)| (key, Some(body))).collect();
        let request = publish::Request {
            rule: publish::Rule::AtOnce,
            ..publish::Request::of_changes("system", "First start", &numbers)
        };
        self.publish_ready(&request, |_| Ok(changes.clone()))?;
        self.load_sms()?;
        let mailboxes = changes.keys().filter(|key| key.kind == Kind::EntryPoints);
        let mailboxes = mailboxes.filter_map(|key| Some(key.id.strip_prefix("email/")?.to_lowercase()));
        self.seed_mailboxes(&mailboxes.collect::<Vec<_>>())?;
        Ok(true)
    }

    fn load_active(&self) -> Result<(), StoreError> {
        let connection = self.lock();
        let revision = objects::newest_revision(&connection)?;
        if revision > 0 {
            let compiled = self.compile_at(&connection, revision)?;
            self.active.swap(ActiveRouting::new(revision, compiled));
        }
        Ok(())
    }

    /// A revision compiled for itself, to simulate on it.
    ///
    /// # Errors
    /// No such revision, or the store fails.
    pub fn routing_at(&self, revision: u64) -> Result<ActiveRouting, StoreError> {
        let active = self.active.load();
        if active.revision == revision {
            return Ok((*active).clone());
        }
        let connection = self.lock();
        objects::require_revision(&connection, revision)?;
        Ok(ActiveRouting::new(revision, self.compile_at(&connection, revision)?))
    }

    /// The shared parts first, then numbers, then entry points, in pieces.
    fn compile_at(&self, connection: &Connection, revision: u64) -> Result<Compiled, StoreError> {
        let ours = numbers::all_ours(connection)?;
        let owned = |number: E164| ours.contains(&number);
        // Recordings and speech were there when it was published; a start must not fail over them.
        let context = Context {
            now: jiff::Timestamp::now(),
            owned: &owned,
            recorded: &|_| true,
            speech: true,
            provider_kinds: &[],
            event_types: &[],
            run_tests: false,
        };
        let mut compiled = Compiled::default();
        let mut apply = |changes: Vec<Change>| -> Result<(), StoreError> {
            let outcome = compile(std::mem::take(&mut compiled), changes, &context);
            compiled = outcome.compiled.ok_or(StoreError::Invalid(outcome.diagnostics))?;
            Ok(())
        };
        let mut shared = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Numbers | Kind::EntryPoints)) {
            objects::each_at(connection, kind, revision, |key, object| {
                shared.push((key, Some(object)));
                Ok(())
            })?;
        }
        apply(shared)?;
        for kind in [Kind::Numbers, Kind::EntryPoints] {
            let mut chunk = Vec::new();
            objects::each_at(connection, kind, revision, |key, object| {
                // A number that went after the revision was published is no part of routing any more.
                if kind == Kind::Numbers && E164::parse(&key.id).is_ok_and(|number| !owned(number)) {
                    return Ok(());
                }
                chunk.push((key, Some(object)));
                if chunk.len() >= CHUNK { apply(std::mem::take(&mut chunk)) } else { Ok(()) }
            })?;
            apply(chunk)?;
        }
        Ok(compiled)
    }

    /// Every revision before `before` (all, when none), the newest first, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn revisions(&self, before: Option<u64>, limit: u32) -> Result<Vec<Revision>, StoreError> {
        objects::revisions(&self.lock(), before, limit)
    }

    /// How two revisions differ, object by object.
    ///
    /// # Errors
    /// No such revision, or the store fails.
    pub fn diff(&self, from: u64, to: u64) -> Result<Vec<Difference>, StoreError> {
        let connection = self.lock();
        objects::require_revision(&connection, from)?;
        objects::require_revision(&connection, to)?;
        objects::diff(&connection, from, to)
    }

    /// The documents of a revision.
    ///
    /// # Errors
    /// No such revision, or the store fails.
    pub fn document_at(&self, revision: u64) -> Result<RawDocument, StoreError> {
        let connection = self.lock();
        objects::require_revision(&connection, revision)?;
        objects::document_at(&connection, revision)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic of another publisher left a transaction at most, and that is rolled back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads changed bodies; every fault of every object is reported.
fn read_changes(changes: &BTreeMap<Key, Option<Value>>) -> Result<Vec<Change>, StoreError> {
    let mut read = Vec::with_capacity(changes.len());
    let mut faults = Vec::new();
    for (key, body) in changes {
        match body.as_ref().map(|body| document::read(key, body)).transpose() {
            Ok(object) => read.push((key.clone(), object)),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(StoreError::Invalid(faults)) }
}

/// A single finding as an error.
fn invalid(code: Code, path: &str, sentence: &str) -> StoreError {
    StoreError::Invalid(vec![Diagnostic::new(code, path, sentence)])
}

type Numbers = HashSet<E164>;

#[cfg(test)]
mod tests;
