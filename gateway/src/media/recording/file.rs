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
    g711::Law,
    wav::{self, Encoding},
};

/// A recording of a process that was cut off, made whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Its file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its length in milliseconds of sound.
    pub duration_ms: u64,
}

/// Makes what a process has left whole that was cut off; none when there is less than a second of it, which is
/// removed then.
///
/// # Errors
/// When the file cannot be read, written or named.
pub fn salvage(part: &Path) -> io::Result<Option<Salvaged>> {
    let Some(mut left) = WavFile::reopen(part)?.filter(|left| left.duration_ms() >= LEAST_MS) else {
        return std::fs::remove_file(part).map(|()| None);
    };
    left.write_header()?;
    left.finish(u32::MAX)?;
    Ok(Some(Salvaged { bytes: left.bytes(), duration_ms: left.duration_ms(), path: left.path }))
}

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

    /// Opens what a process has left that was cut off; none when it is no recording.
    fn reopen(part: &Path) -> io::Result<Option<Self>> {
        let Some(name) = part.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
        let Some(name) = name.strip_suffix(PART) else { return Ok(None) };
        let file = OpenOptions::new().read(true).write(true).open(part)?;
        let mut head = [0; HEAD_BYTES];
        if file.read_exact_at(&mut head, 0).is_err() || !head.starts_with(b"RIFF") {
            return Ok(None);
        }
        let field = |at: usize| match head.get(at..at + 2) {
            Some([low, high]) => u16::from_le_bytes([*low, *high]),
            _ => 0,
        };
        let encoding = match (field(20), field(34)) {
            (7, 8) => Encoding::G711(Law::Mu),
            (6, 8) => Encoding::G711(Law::A),
            (1, 16) => Encoding::Pcm16,
            _ => return Ok(None),
        };
        let path = part.with_file_name(name);
        let (channels, synced) = (field(22), Instant::now());
        let part = part.to_owned();
        let mut left = Self { file, part, path, encoding, channels, data_len: 0, synced, dirty: true };
        if left.block() == 0 {
            return Ok(None);
        }
        let data = left.file.metadata()?.len().saturating_sub(left.header().len() as u64);
        let data = u32::try_from(data).unwrap_or(u32::MAX);
        left.data_len = data / left.block() * left.block();
        Ok(Some(left))
    }

    /// Bytes of audio so far.
    pub(crate) fn data_len(&self) -> u32 {
        self.data_len
    }

    fn duration_ms(&self) -> u64 {
        u64::from(self.data_len / self.block()) / u64::from(SAMPLE_RATE / 1000)
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
    name.push(PART);
    name.into()
}

/// What stands behind the name until the file is whole.
const PART: &str = ".part";
/// The fields that are looked at stand in the first bytes of every file of ours.
const HEAD_BYTES: usize = 40;
/// Less is no recording.
const LEAST_MS: u64 = 1000;
/// What callers say is nobody else's business.
const MODE: u32 = 0o600;
const SYNC_EVERY: Duration = Duration::from_secs(10);
