//! Files on their way into a chat: uploaded first, named in a message afterwards.
//!
//! An upload waits in a folder of its own, known by a number that nobody guesses, and belongs to who brought it. A message
//! that names it has it kept among the [`Files`] before it is journalled. What no message names goes after some hours.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vestibule_config::settings::{Chat, MediaTypes};

use crate::{
    files::Files,
    message::{Attachment, mail::file_name, media::type_of},
    telemetry::ChatMetrics,
};

/// What is uploaded; cheap to clone.
#[derive(Clone, Debug)]
pub struct Uploads {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    files: Files,
    limits: Chat,
    types: Vec<MediaTypes>,
    /// Bytes that wait.
    held: AtomicU64,
    places: Arc<Semaphore>,
    metrics: ChatMetrics,
}

/// Who brings a file, and alone may name it.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'a> {
    /// A visitor of a chat app.
    Visitor {
        /// The chat app.
        app: &'a str,
        /// The visitor.
        customer: &'a str,
    },
    /// Who has a key of the API.
    Api,
}

/// What waits to be named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// What messages name it by.
    pub id: String,
    owner: String,
    /// The name that it was given, without folders.
    pub name: Option<String>,
    /// What it is, by its bytes.
    pub media_type: String,
    /// Its size.
    pub bytes: usize,
    /// Its id among the files, once a message has named it.
    pub file: String,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum NotUploaded {
    /// Nothing came.
    #[error("a file has at least one byte")]
    Empty,
    /// It is larger than one may be.
    #[error("a file has at most {0} bytes")]
    TooLarge(usize),
    /// It is of a type that is not kept.
    #[error("files of the type {0} are not taken")]
    WrongType(String),
    /// As much waits as may.
    #[error("uploads fill the room that they may have")]
    Full,
    /// The disk does not take it.
    #[error("the file cannot be written: {0}")]
    Unwritable(#[from] io::Error),
}

impl Uploads {
    /// Opens the folder in the data folder, making it if need be, and removes what a crash left half written.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(
        data: &Path,
        files: Files,
        (limits, types): (Chat, Vec<MediaTypes>),
        metrics: ChatMetrics,
    ) -> io::Result<Self> {
        let folder = data.join("uploads");
        fs::create_dir_all(&folder)?;
        let mut held = 0;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let is_about = path.extension().is_some_and(|end| end == "json");
            let beside = path.with_extension(if is_about { "" } else { "json" });
            if !beside.exists() {
                fs::remove_file(&path)?;
            } else if !is_about {
                held += path.metadata()?.len();
            }
        }
        let places = Arc::new(Semaphore::new(limits.uploads_parallel_max));
        let held = AtomicU64::new(held);
        let inner = Inner { folder, files, limits, types, held, places, metrics };
        let uploads = Self { inner: Arc::new(inner) };
        uploads.measure();
        Ok(uploads)
    }

    /// Largest file, bytes; 0: none is taken.
    pub fn bytes_max(&self) -> usize {
        self.inner.limits.file_bytes_max
    }

    /// Most files of one message.
    pub fn per_message_max(&self) -> usize {
        self.inner.limits.files_per_message_max
    }

    /// A place for one that is coming in; none when as many come as may at once.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.places.clone().try_acquire_owned().ok()
    }

    /// Takes a file; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`NotUploaded`].
    pub async fn put(
        &self,
        owner: Owner<'_>,
        (name, claimed): (Option<&str>, Option<&str>),
        bytes: Bytes,
    ) -> Result<Upload, NotUploaded> {
        let inner = &self.inner;
        if bytes.is_empty() {
            return Err(NotUploaded::Empty);
        }
        if bytes.len() > inner.limits.file_bytes_max {
            return Err(NotUploaded::TooLarge(inner.limits.file_bytes_max));
        }
        let media_type = type_of(&bytes, claimed);
        if !inner.types.iter().any(|one| one.allows(&media_type)) {
            return Err(NotUploaded::WrongType(media_type));
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let held = inner.held.fetch_add(size, Ordering::Relaxed);
        if held.saturating_add(size) > inner.limits.uploads_bytes_max {
            inner.held.fetch_sub(size, Ordering::Relaxed);
            return Err(NotUploaded::Full);
        }
        let upload = Upload {
            id: format!("up_{:032x}", StdRng::from_os_rng().random::<u128>()),
            owner: owner.text(),
            name: name.and_then(file_name),
            media_type,
            bytes: bytes.len(),
            file: Files::id_of(&bytes),
        };
        let (uploads, written) = (self.clone(), upload.clone());
        let writing = move || uploads.write(&written, &bytes);
        let done =
            crate::blocking::blocking(writing).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        if let Err(error) = done {
            inner.held.fetch_sub(size, Ordering::Relaxed);
            return Err(error.into());
        }
        inner.metrics.uploads.inc();
        self.measure();
        Ok(upload)
    }

    /// The bytes first, then what they are: without that they are nothing, and go at the next start.
    fn write(&self, upload: &Upload, bytes: &[u8]) -> io::Result<()> {
        let folder = &self.inner.folder;
        let about = serde_json::to_vec(upload)?;
        for (name, content) in [(upload.id.clone(), bytes), (format!("{}.json", upload.id), &about)] {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(folder.join(name)).map_err(|error| error.error)?;
        }
        File::open(folder)?.sync_all()
    }

    /// Keeps what a message names among the files: what it tells of them; none when one of them is not there, or not
    /// this one's to name.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn keep(&self, owner: Owner<'_>, ids: &[String]) -> io::Result<Option<Vec<Attachment>>> {
        if ids.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let (uploads, owner, ids) = (self.clone(), owner.text(), ids.to_vec());
        let keeping = move || {
            let mut kept = Vec::new();
            for id in &ids {
                let Some(upload) = uploads.find(id, &owner)? else { return Ok(None) };
                uploads.inner.files.link(&uploads.inner.folder.join(id), &upload.file)?;
                kept.push(Attachment {
                    name: upload.name,
                    media_type: upload.media_type,
                    bytes: upload.bytes,
                    file: Some(upload.file),
                    ..Attachment::default()
                });
            }
            Ok(Some(kept))
        };
        crate::blocking::blocking(keeping).await.map_err(io::Error::other)?
    }

    fn find(&self, id: &str, owner: &str) -> io::Result<Option<Upload>> {
        let digits = id.strip_prefix("up_").unwrap_or_default();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        match fs::read(self.inner.folder.join(format!("{id}.json"))) {
            Ok(about) => {
                let upload: Upload = serde_json::from_slice(&about)?;
                Ok((upload.owner == owner).then_some(upload))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes what has waited since before a moment; how many. What messages have named is kept elsewhere by now.
    ///
    /// # Errors
    /// The folder cannot be read, or a file cannot be removed.
    pub fn prune(&self, before: SystemTime) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.inner.folder)? {
            let about = entry?.path();
            // The time of the bytes begins anew when a message names them; that of what stands beside them does not.
            if about.extension().is_none_or(|end| end != "json") || about.metadata()?.modified()? >= before {
                continue;
            }
            self.remove(&about)?;
            removed += 1;
        }
        self.measure();
        Ok(removed)
    }

    /// Removes what a customer brought to any chat app, and no message has named; how many.
    ///
    /// # Errors
    /// The folder cannot be read, or a file cannot be removed.
    pub fn erase(&self, customer: &str) -> io::Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.inner.folder)? {
            let about = entry?.path();
            if about.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let upload: Upload = serde_json::from_slice(&fs::read(&about)?)?;
            let owner = upload.owner.strip_prefix("chat/").and_then(|owner| owner.split_once('/'));
            if owner.is_some_and(|(_, owner)| owner == customer) {
                self.remove(&about)?;
                removed += 1;
            }
        }
        self.measure();
        Ok(removed)
    }

    fn remove(&self, about: &Path) -> io::Result<()> {
        let file = about.with_extension("");
        let size = file.metadata().map_or(0, |file| file.len());
        // What is left of a crash between the two goes at the next start.
        fs::remove_file(about)?;
        fs::remove_file(&file)?;
        self.inner.held.fetch_sub(size, Ordering::Relaxed);
        Ok(())
    }

    fn measure(&self) {
        let held = self.inner.held.load(Ordering::Relaxed);
        self.inner.metrics.uploads_held.set(i64::try_from(held).unwrap_or(i64::MAX));
    }
}

impl Owner<'_> {
    fn text(&self) -> String {
        match self {
            // Ids of chat apps have no slash in them.
            Self::Visitor { app, customer } => format!("chat/{app}/{customer}"),
            Self::Api => "api".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ANN: Owner<'_> = Owner::Visitor { app: "shop", customer: "visitor:1" };
    const BOB: Owner<'_> = Owner::Visitor { app: "shop", customer: "visitor:2" };
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn open(data: &Path) -> Uploads {
        let limits = Chat {
            sockets_max: 1,
            messages_per_minute: 1,
            sessions_per_minute: 1,
            file_bytes_max: 100,
            files_per_message_max: 2,
            uploads_per_minute: 10,
            uploads_parallel_max: 1,
            uploads_bytes_max: 60,
            uploads_kept_hours: 1,
        };
        let types = vec!["image/*".parse().unwrap()];
        let files = Files::open(data).unwrap();
        Uploads::open(data, files, (limits, types), ChatMetrics::unregistered().unwrap()).unwrap()
    }

    async fn put(uploads: &Uploads, bytes: &'static [u8]) -> Result<Upload, NotUploaded> {
        uploads.put(ANN, (Some("../a b.png"), Some("text/plain")), Bytes::from_static(bytes)).await
    }

    #[tokio::test]
    async fn a_file_is_named_by_who_brought_it_and_kept_when_it_is() {
        let data = tempfile::tempdir().unwrap();
        let uploads = open(data.path());
        let upload = put(&uploads, PNG).await.unwrap();
        assert_eq!((upload.name.as_deref(), upload.media_type.as_str()), (Some("a b.png"), "image/png"));
        let uploads = open(data.path());
        let ids = [upload.id.clone()];
        assert_eq!(uploads.inner.files.find(&upload.file), None);
        assert_eq!(uploads.keep(BOB, &ids).await.unwrap(), None);
        assert_eq!(uploads.keep(Owner::Api, &ids).await.unwrap(), None);
        assert_eq!(uploads.keep(ANN, &["../../etc/passwd".to_owned()]).await.unwrap(), None);
        for _ in 0..2 {
            let kept = uploads.keep(ANN, &ids).await.unwrap().unwrap();
            assert_eq!((kept[0].file.as_ref(), kept[0].bytes), (Some(&upload.file), PNG.len()));
        }
        assert_eq!(fs::read(uploads.inner.files.find(&upload.file).unwrap()).unwrap(), PNG);
    }

    #[tokio::test]
    async fn what_is_too_much_or_something_else_is_not_taken() {
        let data = tempfile::tempdir().unwrap();
        let uploads = open(data.path());
        assert!(matches!(put(&uploads, b"").await, Err(NotUploaded::Empty)));
        assert!(matches!(put(&uploads, b"words").await, Err(NotUploaded::WrongType(_))));
        assert!(matches!(put(&uploads, &[0; 101]).await, Err(NotUploaded::TooLarge(100))));
        for _ in 0..3 {
            put(&uploads, PNG).await.unwrap();
        }
        assert!(matches!(put(&uploads, PNG).await, Err(NotUploaded::Full)));
    }

    #[tokio::test]
    async fn what_no_message_names_goes_and_what_one_has_named_stays() {
        let data = tempfile::tempdir().unwrap();
        let uploads = open(data.path());
        let (named, other) = (put(&uploads, PNG).await.unwrap(), put(&uploads, PNG).await.unwrap());
        uploads.keep(ANN, std::slice::from_ref(&named.id)).await.unwrap().unwrap();
        fs::write(data.path().join("uploads/up_half"), "half").unwrap();
        let now = SystemTime::now();
        assert_eq!(uploads.prune(now - Duration::from_secs(60)).unwrap(), 0);
        assert_eq!(uploads.prune(now + Duration::from_secs(60)).unwrap(), 2);
        assert_eq!(uploads.keep(ANN, &[other.id]).await.unwrap(), None);
        assert!(uploads.inner.files.find(&named.file).is_some());
        let uploads = open(data.path());
        assert_eq!(fs::read_dir(data.path().join("uploads")).unwrap().count(), 0);
        put(&uploads, PNG).await.unwrap();
    }
}
