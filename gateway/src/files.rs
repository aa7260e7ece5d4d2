//! Files that came with messages: kept by what is in them, so that the same file is kept once.
//!
//! A file's id is the SHA-256 of its bytes. It is on the disk, with its name in the folder, before anything that tells
//! of it is acknowledged. Mails as they came are kept in the same way in a folder of their own, but not waited for: what
//! they say is in the journal.

use std::{
    fs::{self, File, FileTimes},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

/// The folder of files; cheap to clone.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
    /// Whether the disk is waited for.
    durable: bool,
    /// Bounds the threads that write at once.
    writers: Arc<Semaphore>,
    /// Held while a file's time begins anew, and while an old one is removed: one that came again must not be.
    ages: Arc<Mutex<()>>,
}

/// Batches that are written at the same time: a disk gains little by more.
const WRITERS: usize = 4;

impl Files {
    /// Opens the folder in the data folder, making it if need be, and removes what a crash left half written.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(data: &Path) -> io::Result<Self> {
        Self::open_folder(data.join("files"), true)
    }

    /// The folder of mails as they came: a loss of power may take the newest.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open_mails(data: &Path) -> io::Result<Self> {
        Self::open_folder(data.join("mails"), false)
    }

    fn open_folder(folder: PathBuf, durable: bool) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { folder, durable, writers: Arc::new(Semaphore::new(WRITERS)), ages: Arc::default() })
    }

    /// Keeps files; their ids in the same order. They are on the disk when this returns.
    ///
    /// # Errors
    /// One of them cannot be written; those before it may be there.
    pub async fn keep(&self, files: Vec<Bytes>) -> io::Result<Vec<String>> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let _slot = self.writers.acquire().await.map_err(io::Error::other)?;
        let kept = self.clone();
        let writing = move || files.iter().map(|bytes| kept.write(bytes)).collect();
        crate::blocking::blocking(writing).await.map_err(io::Error::other)?
    }

    /// Where a file is, if it is kept. Ids of another form are none.
    pub fn find(&self, id: &str) -> Option<PathBuf> {
        let is_id = id.len() == 64 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let path = is_id.then(|| place(&self.folder, id))?;
        path.is_file().then_some(path)
    }

    /// Removes those that came last before a moment; how many.
    ///
    /// # Errors
    /// The folder cannot be read, or a file cannot be removed.
    pub fn prune(&self, before: SystemTime) -> io::Result<usize> {
        let mut removed = 0;
        for shelf in fs::read_dir(&self.folder)? {
            let shelf = shelf?;
            if !shelf.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(shelf.path())? {
                let entry = entry?;
                let _ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
                if entry.metadata()?.modified()? < before {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Removes a file, unless it came again since; whether it did.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, id: &str, since: SystemTime) -> io::Result<bool> {
        let Some(path) = self.find(id) else { return Ok(false) };
        let _ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::metadata(&path)?.modified()? >= since {
            return Ok(false);
        }
        fs::remove_file(path).map(|()| true)
    }

    /// The id of a file with these bytes, whether it is kept or not.
    pub fn id_of(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Keeps a file that lies in the data folder already, whose id is known: it has two names from then on.
    ///
    /// # Errors
    /// The disk does not take it.
    pub(crate) fn link(&self, from: &Path, id: &str) -> io::Result<()> {
        let path = place(&self.folder, id);
        let shelf = path.parent().unwrap_or(&self.folder);
        if !self.is_there(&path)? {
            self.make_shelf(shelf)?;
            match fs::hard_link(from, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                linked => linked?,
            }
            // Its time begins now, not when it came.
            self.is_there(&path)?;
        }
        self.settle(shelf)
    }

    fn make_shelf(&self, shelf: &Path) -> io::Result<()> {
        if shelf.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(shelf)?;
        self.settle(&self.folder)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<String> {
        let id = Self::id_of(bytes);
        let path = place(&self.folder, &id);
        let shelf = path.parent().unwrap_or(&self.folder);
        if !self.is_there(&path)? {
            self.make_shelf(shelf)?;
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(bytes)?;
            if self.durable {
                file.as_file().sync_all()?;
            }
            // Another may have written the same meanwhile: either is as good.
            file.persist(&path).map_err(|error| error.error)?;
        }
        // Also for one that was there: whoever wrote it may not have come so far yet.
        self.settle(shelf)?;
        Ok(id)
    }

    fn settle(&self, folder: &Path) -> io::Result<()> {
        if self.durable { File::open(folder)?.sync_all() } else { Ok(()) }
    }

    /// Whether a file is there; then its time begins anew.
    fn is_there(&self, path: &Path) -> io::Result<bool> {
        let _ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        match File::options().append(true).open(path) {
            Ok(file) => file.set_times(FileTimes::new().set_modified(SystemTime::now())).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn place(folder: &Path, id: &str) -> PathBuf {
    folder.join(id.get(..2).unwrap_or_default()).join(id)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_same_file_is_kept_once_and_found_by_its_hash() {
        let data = tempfile::tempdir().unwrap();
        let files = Files::open(data.path()).unwrap();
        let (one, other) = (Bytes::from_static(b"abc"), Bytes::from_static(b""));
        let ids = files.keep(vec![one.clone(), other, one]).await.unwrap();
        assert_eq!(
            ids[0], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "SHA-256 of abc"
        );
        assert_eq!(ids[0], ids[2]);
        assert_eq!(fs::read(files.find(&ids[0]).unwrap()).unwrap(), b"abc");
        assert_eq!(fs::read(files.find(&ids[1]).unwrap()).unwrap(), b"");
        for id in ["", "..", "ba7816bf", &ids[0].to_uppercase(), &ids[0].replace('b', "/")] {
            assert_eq!(files.find(id), None, "{id}");
        }
    }

    #[tokio::test]
    async fn what_was_half_written_goes_at_the_next_start_and_what_is_old_when_its_time_is_over() {
        let data = tempfile::tempdir().unwrap();
        let files = Files::open(data.path()).unwrap();
        let id = files.keep(vec![Bytes::from_static(b"kept")]).await.unwrap().remove(0);
        let half = data.path().join("files/.tmpabc");
        fs::write(&half, "half").unwrap();
        let files = Files::open(data.path()).map(|_| files).unwrap();
        assert!(!half.exists() && files.find(&id).is_some());
        let now = SystemTime::now();
        assert_eq!(files.prune(now - Duration::from_secs(60)).unwrap(), 0);
        assert_eq!(files.prune(now + Duration::from_secs(60)).unwrap(), 1);
        assert_eq!(files.find(&id), None);
    }
}
