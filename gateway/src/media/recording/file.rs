//! The file of a recording: playable from its first write on, under its own name when it is whole.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rtp_proto::{
    SAMPLE_RATE,
    wav::{self, Encoding},
};

/// A WAV file that grows.
#[derive(Debug)]
pub(crate) struct WavFile {
    file: File,
    part: PathBuf,
    path: PathBuf,
    encoding: Encoding,
    channels: u16,
    data_len: u32,
    synced: Instant,
    dirty: bool,
}

impl WavFile {
    /// Makes the file beside its later name. One that is there already is somebody's recording and stays.
    pub(crate) fn create(path: &Path, encoding: Encoding, channels: u16) -> io::Result<Self> {
        let part = part_of(path);
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&part)?;
        Self::begin(file, part, path.to_owned(), encoding, channels)
    }

    fn begin(
        file: File,
        part: PathBuf,
        path: PathBuf,
        encoding: Encoding,
        channels: u16,
    ) -> io::Result<Self> {
        let mut begun =
            Self { file, part, path, encoding, channels, data_len: 0, synced: Instant::now(), dirty: true };
        begun.write_header()?;
        Ok(begun)
    }

    /// Bytes of audio so far.
    pub(crate) fn data_len(&self) -> u32 {
        self.data_len
    }

    /// Bytes of one sample of all channels.
    pub(crate) fn block(&self) -> u32 {
        u32::from(self.encoding.sample_bytes()) * u32::from(self.channels)
    }

    /// Bytes of the whole file.
    pub(crate) fn bytes(&self) -> u64 {
        (self.header().len() as u64) + u64::from(self.data_len) + u64::from(self.data_len & 1)
    }

    /// Where the file is as long as it is not whole.
    pub(crate) fn part(&self) -> &Path {
        &self.part
    }

    /// Adds audio, then says so in the header: whatever happens between the two, the file can be played.
    pub(crate) fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let added = u32::try_from(data.len()).ok().and_then(|len| self.data_len.checked_add(len));
        let data_len = added.ok_or(io::ErrorKind::FileTooLarge)?;
        self.file.write_all_at(data, self.header().len() as u64 + u64::from(self.data_len))?;
        self.data_len = data_len;
        self.dirty = true;
        self.write_header()
    }

    /// Whether it is time for [`WavFile::sync`].
    pub(crate) fn wants_sync(&self, now: Instant) -> bool {
        self.dirty && now.saturating_duration_since(self.synced) >= SYNC_EVERY
    }

    /// Brings it to the disk: what a power cut can take are the seconds since.
    pub(crate) fn sync(&mut self, now: Instant) -> io::Result<()> {
        self.file.sync_data()?;
        (self.synced, self.dirty) = (now, false);
        Ok(())
    }

    /// Cuts it to so many bytes of audio at most, brings it to the disk and gives it its name.
    pub(crate) fn finish(&mut self, data_len_max: u32) -> io::Result<()> {
        if data_len_max < self.data_len {
            self.data_len = data_len_max;
            self.write_header()?;
        }
        self.file.set_len(self.bytes())?;
        self.file.sync_all()?;
        std::fs::rename(&self.part, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        wav::header(SAMPLE_RATE, self.channels, self.encoding, self.data_len)
    }

    fn write_header(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.header(), 0)
    }

    /// A file that takes so many bytes and no more, as on a full disk.
    #[cfg(test)]
    pub(crate) fn with_room(bytes: u64, part: PathBuf, encoding: Encoding, channels: u16) -> Self {
        use nix::{
            fcntl::{FcntlArg, SealFlag, fcntl},
            sys::memfd::{MFdFlags, memfd_create},
        };
        let file: File = memfd_create("full", MFdFlags::MFD_ALLOW_SEALING).expect("a file").into();
        file.set_len(bytes).expect("room");
        fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).expect("sealed");
        Self::begin(file, part.clone(), part, encoding, channels).expect("room for the header")
    }
}

/// The name of a recording that is not whole.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

/// What callers say is nobody else's business.
const MODE: u32 = 0o600;
const SYNC_EVERY: Duration = Duration::from_secs(10);
