//! Recordings of prompts: files named by the hash of their bytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError};
use crate::file::write_whole;

/// A stored recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recording {
    /// SHA-256 of its bytes, hexadecimal, small letters: the name by which documents know it.
    pub sha256: String,
    /// Length of the file in bytes.
    pub bytes: u64,
}

impl Store {
    /// Stores a recording and returns the hash by which documents name it. Storing it twice is harmless.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_recording(&self, bytes: &[u8]) -> Result<String, StoreError> {
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.recording(&hash);
        if !path.exists() {
            write_whole(&path, bytes).map_err(|cause| StoreError::File { path, cause })?;
        }
        Ok(hash)
    }

    /// Where the recording with this hash is, or would be. The hash must be one: see [`is_sha256`].
    pub fn recording(&self, sha256: &str) -> PathBuf {
        self.recordings.join(sha256)
    }

    /// The bytes of a recording; none when it is not stored.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_recording(&self, sha256: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if !is_sha256(sha256) {
            return Ok(None);
        }
        let path = self.recording(sha256);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(StoreError::File { path, cause }),
        }
    }

    /// Stored recordings by their hashes, those behind `after`, at most `limit`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn recordings(&self, after: Option<&str>, limit: usize) -> Result<Vec<Recording>, StoreError> {
        let mut found = list(&self.recordings)
            .map_err(|cause| StoreError::File { path: self.recordings.clone(), cause })?;
        found.retain(|recording| after.is_none_or(|after| recording.sha256.as_str() > after));
        found.sort_unstable_by(|a, b| a.sha256.cmp(&b.sha256));
        found.truncate(limit);
        Ok(found)
    }

    pub(super) fn has_recording(&self, sha256: &str) -> bool {
        is_sha256(sha256) && self.recording(sha256).is_file()
    }
}

/// Whether a text is a hash as documents write it: 64 hexadecimal digits, small letters.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn list(folder: &Path) -> io::Result<Vec<Recording>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Ok(sha256) = entry.file_name().into_string()
            && is_sha256(&sha256)
        {
            found.push(Recording { sha256, bytes: entry.metadata()?.len() });
        }
    }
    Ok(found)
}
