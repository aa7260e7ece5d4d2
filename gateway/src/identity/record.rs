//! What is kept of users, keys, sessions and one-time links.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::permission::Permissions;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `us_…`.
    pub id: String,
    /// What he signs in with, lower-case: mostly a mail address.
    pub login: String,
    /// What he is called.
    pub name: String,
    /// The argon2id hash of his password, as a PHC string; none until he has set one.
    pub password: Option<String>,
    /// Ids of roles.
    pub roles: Vec<String>,
    /// He cannot sign in.
    pub disabled: bool,
    /// He must set another password before he may do anything else.
    pub must_change: bool,
    /// Since when he is known.
    pub created: Timestamp,
    /// When he last signed in.
    pub last_sign_in: Option<Timestamp>,
}

impl User {
    /// What the audit log shows: everything but the hash.
    pub(super) fn shown(&self) -> serde_json::Value {
        serde_json::json!({
            "login": self.login, "name": self.name, "roles": self.roles, "disabled": self.disabled,
            "must_change": self.must_change, "password": self.password.as_ref().map(|_| "set"),
        })
    }
}

/// A key of a program.
#[derive(Debug, Serialize, Deserialize)]
pub struct Key {
    /// `ak_…`.
    pub id: String,
    /// What it is for: the author of what is changed with it.
    pub name: String,
    /// SHA-256 of the key, hexadecimal.
    pub sha256: String,
    /// Ids of roles.
    pub roles: Vec<String>,
    /// What it may do beside that.
    pub permissions: Permissions,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// The person who made it, or the key that made it; none of keys of before that was kept.
    #[serde(default)]
    pub person: Option<String>,
    /// Until when it holds; none: until it is revoked.
    pub expires: Option<Timestamp>,
    /// When it was last used; to the minute after a restart.
    pub last_used: Seen,
}

impl Key {
    /// What the audit log shows: everything but the hash.
    pub(super) fn shown(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "roles": self.roles, "permissions": self.permissions, "expires": self.expires,
        })
    }
}

/// A user who is signed in somewhere.
#[derive(Debug, Serialize, Deserialize)]
pub struct Session {
    /// `ss_…`; not its secret.
    pub id: String,
    /// SHA-256 of its secret, hexadecimal.
    pub sha256: String,
    /// Whose it is.
    pub user: String,
    /// When it began.
    pub created: Timestamp,
    /// When it ends in any case.
    pub expires: Timestamp,
    /// When something was last asked for by it.
    pub last_seen: Seen,
    /// The program that it began with, as it calls itself.
    pub agent: String,
}

/// A link that can be used once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Link {
    /// SHA-256 of its token, hexadecimal.
    pub sha256: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Whose password it sets; none: a new administrator's.
    pub user: Option<String>,
    /// When it ends.
    pub expires: Timestamp,
}

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To add an administrator: at the first start, and for those who are locked out.
    Administrator,
    /// To set a user's password.
    Password,
}

/// A moment that moves while records are only read. It is written down now and then.
#[derive(Debug, Default)]
pub struct Seen {
    ms: AtomicI64,
    written_ms: AtomicI64,
}

impl Seen {
    /// At a moment.
    pub(super) fn at(now: Timestamp) -> Self {
        let ms = now.as_millisecond();
        Self { ms: AtomicI64::new(ms), written_ms: AtomicI64::new(ms) }
    }

    /// The moment; none when there was none.
    pub fn get(&self) -> Option<Timestamp> {
        let ms = self.ms.load(Ordering::Relaxed);
        (ms > 0).then(|| Timestamp::from_millisecond(ms).unwrap_or_default())
    }

    /// Moves on to a later moment.
    pub(super) fn touch(&self, now: Timestamp) {
        self.ms.fetch_max(now.as_millisecond(), Ordering::Relaxed);
    }

    /// Whether it moved since it was written down, which the caller is about to do.
    pub(super) fn to_be_written(&self) -> bool {
        let ms = self.ms.load(Ordering::Relaxed);
        self.written_ms.swap(ms, Ordering::Relaxed) != ms
    }
}

impl Serialize for Seen {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Timestamp>::deserialize(deserializer)?.map(Self::at).unwrap_or_default())
    }
}
