//! Seals secrets before they are stored: ChaCha20-Poly1305 with random nonces (RFC 8439), bound to the name of what they
//! belong to, so that one cannot be put in the place of another.
//!
//! The keys stand in a file of their own, one a line, the newest first: it seals, the others only open. With the file gone,
//! nothing that was sealed can be read.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};
use vestibule_config::{
    settings::Settings,
    store::{AuditKeys, Store, StoreError},
};

/// What secrets are sealed with; cheap to clone.
#[derive(Clone)]
pub struct Vault {
    keys: Arc<RwLock<Vec<MasterKey>>>,
    audit: AuditKeys,
    path: Arc<Path>,
}

struct MasterKey {
    /// The beginning of its hash: says which key sealed something.
    id: [u8; ID_BYTES],
    text: String,
    key: LessSafeKey,
}

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file could not be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} line {line} is no key: each line is vm_ and 64 hexadecimal digits")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The file holds no key.
    #[error("{0} holds no key; restore it, or delete it to have one made and set all secrets anew")]
    Empty(PathBuf),
}

impl Vault {
    /// The keys of this gateway.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn of(settings: &Settings) -> Result<Self, VaultError> {
        let named = settings.secrets.master_key_file.clone();
        Self::open(&named.unwrap_or_else(|| settings.data_dir.join("master-key")))
    }

    /// Reads the keys; makes the first one when there is no such file.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn open(path: &Path) -> Result<Self, VaultError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = new_key_text() + "\n";
                write_private(path, &text)?;
                text
            }
            Err(source) => return Err(VaultError::File { path: path.to_owned(), source }),
        };
        let mut keys = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let damaged = || VaultError::Damaged { path: path.to_owned(), line: index + 1 };
            keys.push(MasterKey::parse(line).ok_or_else(damaged)?);
        }
        if keys.is_empty() {
            return Err(VaultError::Empty(path.to_owned()));
        }
        let audit = AuditKeys::new(keys.iter().map(MasterKey::for_audit).collect());
        Ok(Self { keys: Arc::new(RwLock::new(keys)), audit, path: path.into() })
    }

    /// What the head of the audit log is signed with: keys made from these, which change with them.
    pub fn audit_keys(&self) -> AuditKeys {
        self.audit.clone()
    }

    /// Seals a secret under a name with the newest key.
    pub fn seal(&self, name: &str, secret: &[u8]) -> Vec<u8> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.first().map(|key| key.seal(name, secret)).unwrap_or_default()
    }

    /// Opens what was sealed under a name; none when no key fits, or it is not what was sealed.
    pub fn open_sealed(&self, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        open_with(&keys, name, sealed)
    }

    /// Seals everything that another than the newest key has sealed with the newest one.
    ///
    /// # Errors
    /// Something cannot be opened, or the store fails; nothing is changed then.
    pub fn reseal(&self, store: &Store, actor: &str) -> Result<usize, StoreError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Some(newest) = keys.first() else { return Ok(0) };
        store.reseal(actor, |name, sealed| {
            if sealed.get(1..=ID_BYTES) == Some(&newest.id) {
                return Ok(None);
            }
            let secret = open_with(&keys, name, sealed).ok_or_else(|| StoreError::Sealed(name.to_owned()))?;
            Ok(Some(newest.seal(name, &secret)))
        })
    }

    /// Makes a new key and seals everything with it. The key before stays in the file, for the sake of backups; those
    /// before that go.
    ///
    /// # Errors
    /// The file cannot be written, something cannot be opened, or the store fails.
    pub fn rotate(&self, store: &Store, actor: &str) -> Result<usize, RotateError> {
        {
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            let text = new_key_text();
            let Some(fresh) = MasterKey::parse(&text) else { return Ok(0) };
            let lines: Vec<&str> =
                std::iter::once(text.as_str()).chain(keys.iter().map(|key| key.text.as_str())).collect();
            // On the disk before anything is sealed with it.
            write_private(&self.path, &(lines.join("\n") + "\n"))?;
            keys.insert(0, fresh);
            self.audit.set(keys.iter().map(MasterKey::for_audit).collect());
        }
        let count = self.reseal(store, actor)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.truncate(KEYS_KEPT);
        self.audit.set(keys.iter().map(MasterKey::for_audit).collect());
        let lines: Vec<&str> = keys.iter().map(|key| key.text.as_str()).collect();
        write_private(&self.path, &(lines.join("\n") + "\n"))?;
        Ok(count)
    }
}

/// Why the keys were not changed, or not all secrets sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The file of keys.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("path", &self.path).finish_non_exhaustive()
    }
}

impl MasterKey {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("vm_").filter(|digits| digits.len() == 64)?;
        let mut bytes = [0_u8; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(Sha256::digest(bytes).get(..ID_BYTES)?);
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &bytes).ok()?);
        Some(Self { id, text: text.to_owned(), key })
    }

    /// A key for another use than sealing, from which this one cannot be found out.
    fn for_audit(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"vestibule audit head\0").chain_update(&self.text).finalize().into()
    }

    /// The form, the key's id, the nonce, then what is sealed. Secrets are few: random nonces of 96 bits do not meet.
    fn seal(&self, name: &str, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = StdRng::from_os_rng().random();
        let mut text = secret.to_vec();
        let sealed = self.key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut text,
        );
        // It fails for texts of 256 GiB only.
        if sealed.is_err() {
            return Vec::new();
        }
        [&[FORM][..], &self.id, &nonce, &text].concat()
    }
}

fn open_with(keys: &[MasterKey], name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let (form, rest) = sealed.split_first()?;
    let (id, rest) = rest.split_at_checked(ID_BYTES)?;
    let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
    if *form != FORM {
        return None;
    }
    let key = keys.iter().find(|key| key.id == id)?;
    let mut text = text.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let opened = key.key.open_in_place(nonce, Aad::from(name.as_bytes()), &mut text).ok()?;
    Some(opened.to_vec())
}

fn new_key_text() -> String {
    let bytes: [u8; 32] = StdRng::from_os_rng().random();
    bytes.iter().fold(String::from("vm_"), |text, byte| text + &format!("{byte:02x}"))
}

/// Puts a file in place whole or not at all, readable by its owner only.
fn write_private(path: &Path, content: &str) -> Result<(), VaultError> {
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let fresh = path.with_extension("new");
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    };
    write().map_err(|source| VaultError::File { path: path.to_owned(), source })
}

const ID_BYTES: usize = 4;
const FORM: u8 = 1;
const KEYS_KEPT: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_name_only_and_not_when_it_was_changed() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(&folder.path().join("master-key")).unwrap();
        let sealed = vault.seal("carrier/a", b"hush");
        assert!(!sealed.windows(4).any(|bytes| bytes == b"hush"));
        assert_eq!(vault.open_sealed("carrier/a", &sealed).as_deref(), Some(&b"hush"[..]));
        assert_eq!(vault.open_sealed("carrier/b", &sealed), None);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(vault.open_sealed("carrier/a", &changed), None, "byte {index}");
        }
        assert_ne!(sealed, vault.seal("carrier/a", b"hush"), "the nonce is another each time");
    }

    #[test]
    fn the_key_is_made_once_is_the_owners_and_a_damaged_file_is_not_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master-key");
        let sealed = Vault::open(&path).unwrap().seal("x", b"hush");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Vault::open(&path).unwrap().open_sealed("x", &sealed).unwrap(), b"hush");
        fs::write(&path, "vm_12\n").unwrap();
        assert!(matches!(Vault::open(&path), Err(VaultError::Damaged { line: 1, .. })));
        fs::write(&path, "# nothing\n").unwrap();
        assert!(matches!(Vault::open(&path), Err(VaultError::Empty(_))));
    }

    #[test]
    fn an_older_key_still_opens_after_a_new_one_was_put_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master-key");
        let sealed = Vault::open(&path).unwrap().seal("x", b"hush");
        let old = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{}\n{old}", new_key_text())).unwrap();
        let vault = Vault::open(&path).unwrap();
        assert_eq!(vault.open_sealed("x", &sealed).unwrap(), b"hush");
        fs::write(&path, new_key_text()).unwrap();
        assert_eq!(Vault::open(&path).unwrap().open_sealed("x", &sealed), None);
    }
}
