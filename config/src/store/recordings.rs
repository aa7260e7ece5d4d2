//! Recordings of prompts: files named by the hash of their bytes.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError};
use crate::{document::Kind, file::write_whole};

/// A stored recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recording {
    /// SHA-256 of its bytes, hexadecimal, small letters: the name by which documents know it.
    pub sha256: String,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// The folder of recordings.
#[derive(Debug)]
pub(super) struct Recordings {
    folder: PathBuf,
    bytes_max: u64,
    /// Held while files come or go, so that the room is counted right and nothing goes that comes back.
    changing: Mutex<()>,
}

impl Recordings {
    pub(super) fn open(folder: PathBuf, bytes_max: u64) -> Result<Self, StoreError> {
        fs::create_dir_all(&folder).map_err(|cause| StoreError::File { path: folder.clone(), cause })?;
        Ok(Self { folder, bytes_max, changing: Mutex::default() })
    }

    fn add(&self, bytes: &[u8]) -> Result<String, StoreError> {
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.folder.join(&hash);
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |cause| StoreError::File { path: path.clone(), cause };
        if path.exists() {
            // Wanted again: its time without use begins anew.
            let file = fs::File::options().write(true).open(&path).map_err(failed)?;
            file.set_modified(SystemTime::now()).map_err(failed)?;
            return Ok(hash);
        }
        let kept: u64 = self.list()?.iter().map(|recording| recording.bytes).sum();
        let adds = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if kept.saturating_add(adds) > self.bytes_max {
            return Err(StoreError::RecordingsFull { max: self.bytes_max });
        }
        write_whole(&path, bytes).map_err(failed)?;
        Ok(hash)
    }

    fn list(&self) -> Result<Vec<Recording>, StoreError> {
        list(&self.folder).map_err(|cause| StoreError::File { path: self.folder.clone(), cause })
    }

    /// Removes what is not in use and was not touched since; how many bytes that freed.
    fn prune(&self, in_use: &HashSet<String>, untouched_since: SystemTime) -> Result<u64, StoreError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |cause| StoreError::File { path: self.folder.clone(), cause };
        let mut freed = 0;
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // What a crash left half-written goes as well.
            let ours = is_sha256(&name) || name.ends_with(".part");
            let file = entry.metadata().map_err(failed)?;
            if ours && !in_use.contains(&name) && file.modified().map_err(failed)? < untouched_since {
                fs::remove_file(entry.path()).map_err(failed)?;
                freed += file.len();
            }
        }
        Ok(freed)
    }
}

impl Store {
    /// Stores a recording and returns the hash by which documents name it. Storing it twice is harmless.
    ///
    /// # Errors
    /// All recordings together would be too long, or the file cannot be written.
    pub fn add_recording(&self, bytes: &[u8]) -> Result<String, StoreError> {
        self.recordings.add(bytes)
    }

    /// Where the recording with this hash is, or would be. The hash must be one: see [`is_sha256`].
    pub fn recording(&self, sha256: &str) -> PathBuf {
        self.recordings.folder.join(sha256)
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
        let mut found = self.recordings.list()?;
        found.retain(|recording| after.is_none_or(|after| recording.sha256.as_str() > after));
        found.sort_unstable_by(|a, b| a.sha256.cmp(&b.sha256));
        found.truncate(limit);
        Ok(found)
    }

    /// Removes recordings that no kept revision and no draft names, and that were uploaded before
    /// `uploaded_before`: an upload comes before the edit that names it. Returns the bytes that are free now.
    ///
    /// # Errors
    /// The store or the folder fails.
    pub fn prune_recordings(&self, uploaded_before: SystemTime) -> Result<u64, StoreError> {
        // Held to the end: no publish may come to need what goes just now.
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT json_extract(body, '$.file') FROM objects WHERE kind = ?1
             UNION SELECT json_extract(body, '$.file') FROM draft WHERE kind = ?1",
        )?;
        let names = statement.query_map([Kind::Prompts.as_str()], |row| row.get::<_, Option<String>>(0))?;
        let in_use: HashSet<String> = names.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        self.recordings.prune(&in_use, uploaded_before)
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
