//! API keys, and the first of them.
//!
//! The first start makes one key, and writes it in clear to a file that only its owner can read, so that whoever set the
//! gateway up can use it; that file may be deleted, the hash stays. Earlier versions kept hashes in `api-keys.json`: they
//! are taken over as administrators' keys, which is what they were.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Caller, CallerKind, Identity, IdentityError, Result,
    directory::{Changes, Directory, KEY},
    must_hold,
    permission::Permissions,
    record::{Key, Seen},
    role::ADMINISTRATOR,
    secret,
};

/// The key of the first start. Shown once: only its hash is kept by the gateway.
pub struct FirstKey {
    /// The key, `vk_` and 64 hexadecimal digits.
    pub secret: String,
    /// The file that holds it, readable by its owner only.
    pub file: PathBuf,
}

impl std::fmt::Debug for FirstKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstKey").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A key that is wanted.
#[derive(Clone, Debug, Default)]
pub struct KeyWanted {
    /// What it is for.
    pub name: String,
    /// Ids of roles.
    pub roles: Vec<String>,
    /// What it may do beside that.
    pub permissions: Permissions,
    /// Until when it holds; none: until it is revoked.
    pub expires: Option<Timestamp>,
}

/// A key as it is shown.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct KeyView {
    /// `ak_…`.
    pub id: String,
    /// What it is for: the author of what is changed with it.
    pub name: String,
    /// Ids of its roles.
    pub roles: Vec<String>,
    /// All that it may do, by its roles and beside them.
    #[schema(value_type = Vec<String>)]
    pub permissions: Permissions,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Until when it holds; none: until it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
    /// When it was last used.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_used: Option<Timestamp>,
}

/// A line of `api-keys.json` of earlier versions.
#[derive(Debug, Deserialize)]
struct Earlier {
    name: String,
    created: Timestamp,
    sha256: String,
}

impl Identity {
    /// Keys after `after` in the order of their ids, at most `limit`.
    pub fn keys(&self, after: Option<&str>, limit: usize) -> Vec<KeyView> {
        let directory = self.read();
        let behind = directory.keys.values().filter(|key| after.is_none_or(|after| key.id.as_str() > after));
        behind.take(limit).map(|key| view(&directory, key)).collect()
    }

    /// Makes a key for somebody who holds all that it may do; its secret is shown once.
    ///
    /// # Errors
    /// The name is taken or no name, a role does not exist, it would be given more than the caller holds, there are
    /// too many, or the store fails.
    pub fn add_key(&self, caller: &Caller, wanted: &KeyWanted, now: Timestamp) -> Result<(KeyView, String)> {
        let made = secret::new("vk_");
        let key = self.change(&caller.name, |directory| {
            named(&wanted.name)?;
            let most = self.shared.settings.keys_max;
            if directory.keys.len() >= most {
                return Err(IdentityError::Full { what: "keys", most });
            }
            if directory.is_taken(&wanted.name) {
                return Err(IdentityError::Taken(wanted.name.clone()));
            }
            super::roles::must_exist(directory, &wanted.roles)?;
            must_hold(caller, directory.permissions(&wanted.roles).with(wanted.permissions))?;
            if wanted.expires.is_some_and(|expires| expires <= now) {
                return Err(IdentityError::Wrong("`expires` lies in the past.".into()));
            }
            let key = Key {
                id: secret::id("ak_"),
                name: wanted.name.clone(),
                sha256: secret::digest(&made),
                roles: wanted.roles.clone(),
                permissions: wanted.permissions,
                created: now,
                created_by: caller.name.clone(),
                person: Some(person(directory, caller)),
                expires: wanted.expires,
                last_used: Seen::default(),
            };
            let mut changes = Changes::default();
            changes.put(KEY, &key.id, &key);
            changes.tell("key.added", &key.id, None, Some(key.shown()));
            Ok((changes, view(directory, &key)))
        })?;
        Ok((key, made))
    }

    /// The person behind a caller: who has signed in, or by way of how many keys ever made this one. Of keys that nobody made
    /// who signed in (the first one, and those of the command line) it is `system`.
    pub fn person(&self, caller: &Caller) -> String {
        person(&self.read(), caller)
    }

    /// Revokes a key: it holds no longer.
    ///
    /// # Errors
    /// There is none, it may do more than the caller, or the store fails.
    pub fn revoke_key(&self, caller: &Caller, id: &str) -> Result<()> {
        self.change(&caller.name, |directory| {
            let key = directory.keys.get(id).ok_or(IdentityError::Unknown("key"))?;
            must_hold(caller, directory.key_permissions(key))?;
            let mut changes = Changes::default();
            changes.remove(KEY, id);
            changes.tell("key.revoked", id, Some(key.shown()), None);
            Ok((changes, ()))
        })
    }

    /// Takes earlier keys over, or makes the first one when nothing was ever kept here.
    pub(super) fn first_key(&self, folder: &Path) -> Result<Option<FirstKey>> {
        let path = folder.join(EARLIER);
        match fs::read(&path) {
            Ok(text) => {
                let damaged = |source| IdentityError::Damaged {
                    kind: "list of keys".into(),
                    id: EARLIER.into(),
                    source,
                };
                let earlier: Vec<Earlier> = serde_json::from_slice(&text).map_err(damaged)?;
                let keys = earlier.into_iter().map(|key| administrators(&key.name, key.sha256, key.created));
                self.keep_keys(keys.collect())?;
                fs::remove_file(&path).map_err(|source| IdentityError::File { path, source })?;
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.read().version == 0 {
                    self.make_first(folder).map(Some)
                } else {
                    Ok(None)
                }
            }
            Err(source) => Err(IdentityError::File { path, source }),
        }
    }

    fn make_first(&self, folder: &Path) -> Result<FirstKey> {
        let secret = secret::new("vk_");
        let file = folder.join(SECRET);
        // The secret first: should we die between the two, the next start makes a new pair.
        write_private(&file, format!("{secret}\n").as_bytes())
            .map_err(|source| IdentityError::File { path: file.clone(), source })?;
        self.keep_keys(vec![administrators("first", secret::digest(&secret), Timestamp::now())])?;
        Ok(FirstKey { secret, file })
    }

    fn keep_keys(&self, keys: Vec<Key>) -> Result<()> {
        self.change("system", |directory| {
            let mut changes = Changes::default();
            let known = |key: &&Key| directory.keys.values().any(|known| known.sha256 == key.sha256);
            for key in keys.iter().filter(|key| !known(key)) {
                changes.put(KEY, &key.id, key);
                changes.tell("key.added", &key.id, None, Some(key.shown()));
            }
            Ok((changes, ()))
        })
    }
}

fn person(directory: &Directory, caller: &Caller) -> String {
    let key = match caller.kind {
        CallerKind::Key => directory.keys.get(&caller.id),
        CallerKind::User { .. } | CallerKind::Operator => return caller.name.clone(),
    };
    let Some(mut key) = key else { return caller.name.clone() };
    // Keys of before persons were kept name who made them, which may be a key.
    for _ in 0..MAKERS_MAX {
        if let Some(person) = &key.person {
            return person.clone();
        }
        match directory.keys.values().find(|maker| maker.name == key.created_by) {
            Some(maker) => key = maker,
            None => break,
        }
    }
    key.created_by.clone()
}

fn administrators(name: &str, sha256: String, created: Timestamp) -> Key {
    Key {
        id: secret::id("ak_"),
        name: name.to_owned(),
        sha256,
        roles: vec![ADMINISTRATOR.to_owned()],
        permissions: Permissions::NONE,
        created,
        created_by: "system".into(),
        person: None,
        expires: None,
        last_used: Seen::default(),
    }
}

fn view(directory: &Directory, key: &Key) -> KeyView {
    KeyView {
        id: key.id.clone(),
        name: key.name.clone(),
        roles: key.roles.clone(),
        permissions: directory.key_permissions(key),
        created: key.created,
        created_by: key.created_by.clone(),
        expires: key.expires,
        last_used: key.last_used.get(),
    }
}

/// What names and logins may look like: they stand in revisions and logs.
pub(super) fn named(name: &str) -> Result<()> {
    let fits = (1..=100).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(|c| c.is_control() || c.is_whitespace() && c != ' ');
    if fits {
        return Ok(());
    }
    Err(IdentityError::Wrong("A name has 1 to 100 characters, none of them a control character.".into()))
}

/// Puts a file in place whole or not at all, readable by its owner only.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Keys that made each other, looked through for a person.
const MAKERS_MAX: usize = 32;
const EARLIER: &str = "api-keys.json";
const SECRET: &str = "api-key";
