//! API keys: 256 random bits each, kept as SHA-256 only.
//!
//! The first start makes one key, and writes it in clear to a file that only the owner can read, so that
//! whoever set the gateway up can use it; that file may be deleted, the hash stays.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The keys that open the API.
#[derive(Clone, Debug)]
pub struct Keys {
    keys: Arc<[StoredKey]>,
}

/// A key that was just made. Shown once: only its hash is kept by the gateway.
pub struct NewKey {
    /// The key, `vk_` and 64 hexadecimal digits.
    pub secret: String,
    /// The file that holds it, readable by its owner only.
    pub file: PathBuf,
}

/// Why the keys could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file could not be read or written.
    #[error("cannot use {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file of hashes is damaged.
    #[error("{path} is not a list of API keys; restore it, or delete it to have a new key made")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    name: String,
    created: Timestamp,
    /// SHA-256 of the key, hexadecimal. A key is 256 random bits, so that a slow hash would add nothing.
    sha256: String,
}

impl Keys {
    /// Reads the keys of a data folder; makes the first one when there are none.
    ///
    /// # Errors
    /// When a file cannot be read or written, or is damaged.
    pub fn open(folder: &Path) -> Result<(Self, Option<NewKey>), KeysError> {
        let path = folder.join(HASHES);
        match fs::read(&path) {
            Ok(text) => {
                let keys: Vec<StoredKey> =
                    serde_json::from_slice(&text).map_err(|source| KeysError::Damaged { path, source })?;
                Ok((Self { keys: keys.into() }, None))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make_first(folder),
            Err(source) => Err(KeysError::File { path, source }),
        }
    }

    /// The name of the key, when it is one of ours. Takes the same time for every wrong key.
    pub fn check(&self, secret: &str) -> Option<&str> {
        let hash = hex(&Sha256::digest(secret.as_bytes()));
        let mut name = None;
        for key in self.keys.iter() {
            if bool::from(key.sha256.as_bytes().ct_eq(hash.as_bytes())) {
                name = Some(key.name.as_str());
            }
        }
        name
    }

    fn make_first(folder: &Path) -> Result<(Self, Option<NewKey>), KeysError> {
        let secret = format!("vk_{}", hex(&StdRng::from_os_rng().random::<[u8; 32]>()));
        let key = StoredKey {
            name: "first".into(),
            created: Timestamp::now(),
            sha256: hex(&Sha256::digest(secret.as_bytes())),
        };
        let file = folder.join(SECRET);
        // The secret first: should we die between the two, the next start makes a new pair.
        write_private(&file, format!("{secret}\n").as_bytes())?;
        let hashes = folder.join(HASHES);
        let json = serde_json::to_vec_pretty(&[&key])
            .map_err(|source| KeysError::Damaged { path: hashes.clone(), source })?;
        write_private(&hashes, &json)?;
        Ok((Self { keys: [key].into() }, Some(NewKey { secret, file })))
    }
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Puts a file in place whole or not at all, readable by its owner only.
fn write_private(path: &Path, content: &[u8]) -> Result<(), KeysError> {
    let write = || {
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
    };
    write().map_err(|source| KeysError::File { path: path.to_owned(), source })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const HASHES: &str = "api-keys.json";
const SECRET: &str = "api-key";
