//! All records in memory, so that no request waits for the disk to know who asks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use vestibule_config::store::{AuditLine, GUARD, Record, RecordChange};

use super::{
    IdentityError,
    caller::{Caller, CallerKind},
    permission::Permissions,
    record::{Key, Link, Session, User},
    role::{self, ADMINISTRATOR, CustomRole},
    secret,
};

/// The records of one version.
#[derive(Debug, Default)]
pub(super) struct Directory {
    pub(super) version: u64,
    pub(super) users: BTreeMap<String, Arc<User>>,
    pub(super) roles: BTreeMap<String, CustomRole>,
    pub(super) keys: BTreeMap<String, Arc<Key>>,
    /// By the hash of their secret.
    pub(super) sessions: HashMap<String, Arc<Session>>,
    /// By the hash of their token.
    pub(super) links: HashMap<String, Link>,
    logins: HashMap<String, String>,
    key_hashes: HashMap<String, String>,
}

/// What is to be changed, and the lines that tell of it.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) records: Vec<RecordChange>,
    pub(super) lines: Vec<AuditLine>,
}

impl Changes {
    pub(super) fn put(&mut self, kind: &'static str, id: &str, record: &impl Serialize) {
        let record = serde_json::to_value(record).unwrap_or_default();
        self.records.push(RecordChange { kind, id: id.to_owned(), record: Some(record) });
    }

    pub(super) fn remove(&mut self, kind: &'static str, id: &str) {
        self.records.push(RecordChange { kind, id: id.to_owned(), record: None });
    }

    /// A line for the audit log, about a user, role or key.
    pub(super) fn tell(
        &mut self,
        action: &'static str,
        subject: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        self.lines.push(AuditLine { action, subject: subject.to_owned(), before, after });
    }
}

pub(super) const USER: &str = "user";
pub(super) const ROLE: &str = "role";
pub(super) const KEY: &str = "key";
pub(super) const SESSION: &str = "session";
pub(super) const LINK: &str = "link";

/// Who is not known, in the audit log: nobody is given this name.
pub(crate) const NOBODY: &str = "nobody";

impl Directory {
    pub(super) fn load(version: u64, records: Vec<Record>) -> Result<Self, IdentityError> {
        let mut directory = Self { version, ..Self::default() };
        for Record { kind, id, record } in records {
            directory.apply(&kind, &id, Some(record))?;
        }
        Ok(directory)
    }

    /// Takes over a change that is durable.
    pub(super) fn apply(&mut self, kind: &str, id: &str, record: Option<Value>) -> Result<(), IdentityError> {
        match kind {
            USER => {
                if let Some(before) = self.users.remove(id) {
                    self.logins.remove(&before.login);
                }
                if let Some(user) = read::<User>(record, kind, id)? {
                    self.logins.insert(user.login.clone(), id.to_owned());
                    self.users.insert(id.to_owned(), Arc::new(user));
                }
            }
            ROLE => {
                self.roles.remove(id);
                self.roles.extend(read::<CustomRole>(record, kind, id)?.map(|role| (id.to_owned(), role)));
            }
            KEY => {
                let before = self.keys.remove(id);
                if let Some(before) = &before {
                    self.key_hashes.remove(&before.sha256);
                }
                if let Some(key) = read::<Key>(record, kind, id)? {
                    before.and_then(|before| before.last_used.get()).inspect(|at| key.last_used.touch(*at));
                    self.key_hashes.insert(key.sha256.clone(), id.to_owned());
                    self.keys.insert(id.to_owned(), Arc::new(key));
                }
            }
            SESSION => {
                let before = self.sessions.remove(id);
                if let Some(session) = read::<Session>(record, kind, id)? {
                    before
                        .and_then(|before| before.last_seen.get())
                        .inspect(|at| session.last_seen.touch(*at));
                    self.sessions.insert(id.to_owned(), Arc::new(session));
                }
            }
            LINK => {
                self.links.remove(id);
                self.links.extend(read::<Link>(record, kind, id)?.map(|link| (id.to_owned(), link)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes over when keys and sessions were last used.
    pub(super) fn seen_as(&mut self, before: &Self) {
        for (id, key) in &self.keys {
            let at = before.keys.get(id).and_then(|key| key.last_used.get());
            at.inspect(|at| key.last_used.touch(*at));
        }
        for (hash, session) in &self.sessions {
            let at = before.sessions.get(hash).and_then(|session| session.last_seen.get());
            at.inspect(|at| session.last_seen.touch(*at));
        }
    }

    /// What roles allow together. One that does not exist allows nothing.
    pub(super) fn permissions(&self, roles: &[String]) -> Permissions {
        roles.iter().fold(Permissions::NONE, |all, id| {
            let built_in = role::built_in(id).map(|role| role.permissions);
            let own = || self.roles.get(id).map(|role| role.permissions);
            all.with(built_in.or_else(own).unwrap_or_default())
        })
    }

    pub(super) fn key_permissions(&self, key: &Key) -> Permissions {
        self.permissions(&key.roles).with(key.permissions)
    }

    /// Whether there is a role.
    pub(super) fn has_role(&self, id: &str) -> bool {
        role::built_in(id).is_some() || self.roles.contains_key(id)
    }

    pub(super) fn user_of_login(&self, login: &str) -> Option<&Arc<User>> {
        self.logins.get(login).and_then(|id| self.users.get(id))
    }

    /// Whether a user or a key has a name: none is given twice, so that an author is one only.
    pub(super) fn is_taken(&self, name: &str) -> bool {
        name == "system"
            || name == GUARD
            || name == NOBODY
            || self.logins.contains_key(name)
            || self.keys.values().any(|key| key.name == name)
    }

    /// Users who have it in their hands to set everything right.
    pub(super) fn administrators(&self) -> impl Iterator<Item = &Arc<User>> {
        self.users.values().filter(|user| is_active_administrator(user))
    }

    pub(super) fn caller_of_key(&self, key: &str, now: Timestamp) -> Option<Caller> {
        let key = self.keys.get(self.key_hashes.get(&secret::digest(key))?)?;
        if key.expires.is_some_and(|expires| expires <= now) {
            return None;
        }
        key.last_used.touch(now);
        Some(Caller {
            kind: CallerKind::Key,
            id: key.id.clone(),
            name: key.name.clone(),
            permissions: self.key_permissions(key),
        })
    }

    pub(super) fn caller_of_session(
        &self,
        session: &str,
        now: Timestamp,
        idle: SignedDuration,
    ) -> Option<Caller> {
        let session = self.sessions.get(&secret::digest(session)).filter(|s| is_alive(s, now, idle))?;
        let user = self.users.get(&session.user).filter(|user| !user.disabled)?;
        session.last_seen.touch(now);
        Some(Caller {
            kind: CallerKind::User { session: session.id.clone(), must_change: user.must_change },
            id: user.id.clone(),
            name: user.login.clone(),
            // Until he has set his password he may do what everybody may who is signed in.
            permissions: if user.must_change { Permissions::NONE } else { self.permissions(&user.roles) },
        })
    }

    /// What somebody may do who was let in before; none when his key or session holds no longer.
    pub(super) fn still(&self, caller: &Caller, now: Timestamp, idle: SignedDuration) -> Option<Permissions> {
        match &caller.kind {
            CallerKind::Operator => Some(caller.permissions),
            CallerKind::Key => {
                let key = self.keys.get(&caller.id)?;
                key.expires.is_none_or(|expires| expires > now).then(|| self.key_permissions(key))
            }
            CallerKind::User { session, .. } => {
                let of_his = |one: &&Arc<Session>| one.id == *session && one.user == caller.id;
                self.sessions.values().find(of_his).filter(|one| is_alive(one, now, idle))?;
                let user = self.users.get(&caller.id).filter(|user| !user.disabled && !user.must_change)?;
                Some(self.permissions(&user.roles))
            }
        }
    }

    /// A user's sessions that have not ended, the oldest first.
    pub(super) fn sessions_of(&self, user: &str) -> Vec<Arc<Session>> {
        let mut found: Vec<_> = self.sessions.values().filter(|s| s.user == user).cloned().collect();
        found.sort_by_key(|session| (session.created, session.id.clone()));
        found
    }

    /// Ends the sessions of a user, but for one, and his links.
    pub(super) fn sign_out(&self, user: &str, but: Option<&str>, changes: &mut Changes) {
        let ended = self.sessions.iter().filter(|(_, s)| s.user == user && Some(s.id.as_str()) != but);
        ended.for_each(|(hash, _)| changes.remove(SESSION, hash));
        let links = self.links.iter().filter(|(_, link)| link.user.as_deref() == Some(user));
        links.for_each(|(hash, _)| changes.remove(LINK, hash));
    }
}

/// Whether somebody is an administrator who can sign in.
pub(super) fn is_active_administrator(user: &User) -> bool {
    !user.disabled && user.password.is_some() && user.roles.iter().any(|role| role == ADMINISTRATOR)
}

/// Whether a session goes on.
pub(super) fn is_alive(session: &Session, now: Timestamp, idle: SignedDuration) -> bool {
    let quiet = session.last_seen.get().map_or(SignedDuration::MAX, |seen| now.duration_since(seen));
    now < session.expires && quiet < idle
}

fn read<T: DeserializeOwned>(
    record: Option<Value>,
    kind: &str,
    id: &str,
) -> Result<Option<T>, IdentityError> {
    record.map(serde_json::from_value).transpose().map_err(|source| IdentityError::Damaged {
        kind: kind.to_owned(),
        id: id.to_owned(),
        source,
    })
}
