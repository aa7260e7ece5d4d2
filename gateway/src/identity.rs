//! Who may do what: users, roles, keys, sessions, and the links that let somebody in.
//!
//! Records are kept by [`vestibule_config::store::IdentityStore`], each change with its line of the audit log, and read
//! from memory. The rules stand here: nobody gives what he does not hold, nobody changes his own roles, one
//! administrator always stays, secrets are kept as hashes. The guard of the API asks [`Identity::caller`] who a request
//! is from. Decision 0023; [docs/roles.md](../docs/roles.md).

mod caller;
mod directory;
mod keys;
mod links;
mod password;
pub mod permission;
pub mod record;
pub mod role;
mod roles;
mod secret;
mod sessions;
mod throttle;
mod users;

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use vestibule_config::{
    settings,
    store::{AuditKeys, AuditLine, IdentityStore, RecordChange, StoreError},
};

pub use self::{
    caller::{Caller, CallerKind},
    keys::{FirstKey, KeyView, KeyWanted},
    links::{LinkSays, NewLink, Promised},
    roles::RoleView,
    sessions::{From, NewSession, SessionView},
    users::{UserChange, UserView, UserWanted},
};
use crate::acting;

pub(crate) use self::directory::NOBODY;
use self::{
    directory::{Changes, Directory},
    password::Passwords,
    permission::{Permission, Permissions},
    throttle::Failures,
};

/// Users, keys and sessions; cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Taken before `directory` is changed.
    store: Mutex<IdentityStore>,
    directory: RwLock<Directory>,
    settings: settings::Identity,
    passwords: Passwords,
    logins_failed: Failures<String>,
    addresses_failed: Failures<IpAddr>,
    /// Failures of logins that nobody has, which the audit log tells of.
    strangers_told: Failures<()>,
    /// Those that it did not tell of since.
    strangers_untold: std::sync::atomic::AtomicU64,
}

/// What a request shows for itself.
#[derive(Clone, Debug)]
pub enum Credentials<'a> {
    /// An API key.
    Key(&'a str),
    /// The secret of a session.
    Session(&'a str),
}

/// Why something about users, roles or keys was not done.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be read.
    #[error("the {kind} {id} in config.db is damaged; restore the file from a backup")]
    Damaged {
        /// What it is of.
        kind: String,
        /// Which.
        id: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The files of the first key cannot be used.
    #[error("cannot use {path}")]
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A password could not be hashed.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
    /// Too many passwords are checked at once.
    #[error("too many passwords are being checked")]
    Busy,
    /// Login and password do not fit, or the user may not sign in.
    #[error("login and password do not fit")]
    WrongPassword,
    /// Too many attempts failed.
    #[error("too many attempts failed; the next is looked at in {} seconds", .0.as_secs())]
    TooManyFailures(Duration),
    /// A link was used, has ended, or never was.
    #[error("this link was used already, or its time is over")]
    NoLink,
    /// A password that may not be chosen.
    #[error(
        "a password has {chars_min} characters at least and 256 bytes at most, is no repeated letter, and does not \
         contain the login"
    )]
    WeakPassword {
        /// Shortest one, characters.
        chars_min: usize,
    },
    /// Something of the request is wrong.
    #[error("{0}")]
    Wrong(String),
    /// There is no such user, role, key or session.
    #[error("there is no {0} of this id")]
    Unknown(&'static str),
    /// A name that a user or key has.
    #[error("a user or a key has the name {0}")]
    Taken(String),
    /// Roles that users or keys have.
    #[error("users or keys have this role")]
    RoleUsed,
    /// There are as many as may be.
    #[error("there may be {most} {what}, and there are")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many.
        most: usize,
    },
    /// Somebody would give, or change somebody who has, what he does not hold himself.
    #[error("this takes permissions that you do not hold: {}", names(*.0))]
    NotHeld(Permissions),
    /// Somebody would change his own roles.
    #[error("nobody changes his own roles, disables or removes himself")]
    Oneself,
    /// The last administrator would be gone.
    #[error("this is the last administrator who can sign in")]
    LastAdministrator,
}

fn names(permissions: Permissions) -> String {
    permissions.iter().map(Permission::name).collect::<Vec<_>>().join(", ")
}

type Result<T> = std::result::Result<T, IdentityError>;

impl Identity {
    /// Opens what is kept in a data folder, and makes the first key when there has been none yet. Lines of the audit log are
    /// signed with `audit_keys`.
    ///
    /// # Errors
    /// Something there cannot be read or written, or is damaged.
    pub fn open(
        folder: &Path,
        settings: &settings::Identity,
        audit_keys: Option<AuditKeys>,
    ) -> Result<(Self, Option<FirstKey>)> {
        let mut store = IdentityStore::open(folder)?;
        if let Some(keys) = audit_keys {
            store.sign_audit_with(keys)?;
        }
        let (version, records) = store.load()?;
        let window = Duration::from_secs(settings.failures_window_minutes.saturating_mul(60));
        let remembered = settings.failures_remembered_max;
        let identity = Self {
            shared: Arc::new(Shared {
                store: Mutex::new(store),
                directory: RwLock::new(Directory::load(version, records)?),
                passwords: Passwords::new(settings.checks_parallel_max, settings.password_chars_min)?,
                logins_failed: Failures::new(settings.failures_per_login_max, window, remembered),
                addresses_failed: Failures::new(settings.failures_per_address_max, window, remembered),
                strangers_told: Failures::new(settings.strangers_told_max, window, 1),
                strangers_untold: Default::default(),
                settings: settings.clone(),
            }),
        };
        let first = identity.first_key(folder)?;
        Ok((identity, first))
    }

    /// Who shows such credentials; none when they do not hold. Never waits for the disk.
    pub fn caller(&self, credentials: &Credentials<'_>, now: Timestamp) -> Option<Caller> {
        match credentials {
            Credentials::Key(key) => self.read().caller_of_key(key, now),
            Credentials::Session(session) => self.read().caller_of_session(session, now, self.idle()),
        }
    }

    /// Whether somebody who was let in before still may do something: his key or session holds, and he may. Nothing is
    /// counted as use.
    pub fn still_may(&self, caller: &Caller, permission: Permission, now: Timestamp) -> bool {
        self.read().still(caller, now, self.idle()).is_some_and(|permissions| permissions.has(permission))
    }

    /// How it is set up.
    pub fn settings(&self) -> &settings::Identity {
        &self.shared.settings
    }

    /// Sessions that have not ended.
    pub fn sessions_open(&self) -> usize {
        self.read().sessions.len()
    }

    /// Whether somebody can sign in.
    pub fn has_users(&self) -> bool {
        self.read().users.values().any(|user| user.password.is_some())
    }

    /// Writes down when keys and sessions were last used, forgets what is over, and sees what another process (the
    /// command line) changed. Waits for the disk.
    ///
    /// # Errors
    /// The store fails.
    pub fn keep(&self, now: Timestamp) -> Result<()> {
        self.catch_up()?;
        let (seen, over) = {
            let directory = self.read();
            let keys = directory.keys.iter().filter(|(_, key)| key.last_used.to_be_written());
            let keys = keys.map(|(id, key)| (directory::KEY, id, serde_json::to_value(&**key)));
            let sessions = directory.sessions.iter().filter(|(_, s)| s.last_seen.to_be_written());
            let sessions = sessions.map(|(hash, s)| (directory::SESSION, hash, serde_json::to_value(&**s)));
            let change = |(kind, id, record): (&'static str, &String, serde_json::Result<_>)| {
                Some(RecordChange { kind, id: id.clone(), record: Some(record.ok()?) })
            };
            let seen: Vec<_> = keys.chain(sessions).filter_map(change).collect();
            let mut over = Changes::default();
            let ended = directory.sessions.iter().filter(|(_, s)| !directory::is_alive(s, now, self.idle()));
            ended.for_each(|(hash, _)| over.remove(directory::SESSION, hash));
            let links = directory.links.iter().filter(|(_, link)| link.expires <= now);
            links.for_each(|(hash, _)| over.remove(directory::LINK, hash));
            (seen, over)
        };
        self.store().refresh(&seen)?;
        if over.records.is_empty() {
            return Ok(());
        }
        self.change("system", |_| Ok((Changes { records: over.records.clone(), lines: Vec::new() }, ())))
    }

    /// Sees what another process changed.
    ///
    /// # Errors
    /// The store fails.
    pub fn catch_up(&self) -> Result<()> {
        let store = self.store();
        if store.version()? != self.read().version {
            self.reload(&store)?;
        }
        Ok(())
    }

    fn reload(&self, store: &IdentityStore) -> Result<()> {
        let (version, records) = store.load()?;
        let mut fresh = Directory::load(version, records)?;
        let mut directory = self.shared.directory.write().unwrap_or_else(PoisonError::into_inner);
        fresh.seen_as(&directory);
        *directory = fresh;
        Ok(())
    }

    /// Works changes out from what is there, makes them durable, and has them hold. When another process changed
    /// something in between, they are worked out anew. Waits for the disk.
    fn change<T>(&self, actor: &str, work_out: impl Fn(&Directory) -> Result<(Changes, T)>) -> Result<T> {
        let mut store = self.store();
        for _ in 0..ATTEMPTS_MAX {
            let (version, (changes, value)) = {
                let directory = self.read();
                (directory.version, work_out(&directory)?)
            };
            match store.commit(version, &changes.records, (actor, &changes.lines)) {
                Ok(version) => {
                    let mut directory = self.shared.directory.write().unwrap_or_else(PoisonError::into_inner);
                    directory.version = version;
                    for RecordChange { kind, id, record } in changes.records {
                        directory.apply(kind, &id, record)?;
                    }
                    return Ok(value);
                }
                Err(StoreError::IdentityChanged { .. }) => self.reload(&store)?,
                Err(other) => return Err(other.into()),
            }
        }
        Err(IdentityError::Busy)
    }

    /// Tells the audit log of something that changes no record.
    async fn tell(&self, actor: String, line: AuditLine) -> Result<()> {
        self.blocking(move |identity| Ok(identity.store().note(&actor, &[line])?)).await
    }

    fn store(&self) -> std::sync::MutexGuard<'_, IdentityStore> {
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.shared.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> SignedDuration {
        SignedDuration::from_mins(self.shared.settings.session_idle_minutes)
    }

    /// Runs what waits for the disk where waiting is allowed.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let identity = self.clone();
        crate::blocking::blocking(acting::carried(move || work(&identity)))
            .await
            .map_err(|_| IdentityError::Busy)?
    }
}

/// Whether a caller holds everything of a set.
fn must_hold(caller: &Caller, wanted: Permissions) -> Result<()> {
    let lacking = wanted.without(caller.permissions);
    if lacking.is_empty() { Ok(()) } else { Err(IdentityError::NotHeld(lacking)) }
}

/// How often a change is worked out anew when another process is faster.
const ATTEMPTS_MAX: usize = 5;
