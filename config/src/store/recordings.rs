//! Recordings of prompts: files named by the hash of their bytes.

use std::{fs, io::Write as _, path::PathBuf};

use sha2::{Digest as _, Sha256};

use super::{Store, StoreError};

impl Store {
    /// Stores a recording and returns the hash by which documents name it. Storing it twice is harmless.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_recording(&self, bytes: &[u8]) -> Result<String, StoreError> {
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.recording(&hash);
        if path.exists() {
            return Ok(hash);
        }
        // Written aside and renamed: a file under its name is always whole.
        let aside = path.with_extension("new");
        let written = fs::File::create(&aside).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, &path)?;
            fs::File::open(&self.recordings)?.sync_all()
        });
        written.map_err(|cause| StoreError::File { path, cause })?;
        Ok(hash)
    }

    /// Where the recording with this hash is, or would be.
    pub fn recording(&self, sha256: &str) -> PathBuf {
        self.recordings.join(sha256)
    }

    pub(super) fn has_recording(&self, sha256: &str) -> bool {
        self.recording(sha256).is_file()
    }
}
