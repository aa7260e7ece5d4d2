//! Recording what the peers of one or two legs say: to WAV files, by a thread of its own.
//!
//! Each leg hands what it receives to the recorder over a bounded ring; what the leg sends is not recorded, so hold
//! music and announcements are not in the file. Telephone events never sound in it.

mod file;
mod job;
mod recorder;
mod tap;
mod timeline;
mod voice;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rtp_proto::{g711::Law, wav::Encoding};
use tokio::sync::{mpsc, oneshot};

pub use self::file::{Salvaged, salvage};
use self::{
    job::{Job, SharedDesk},
    tap::{TapReader, samples_since, tap},
};
pub(crate) use self::{
    recorder::Recorder,
    tap::{Content, Tap},
};
use super::{CommandError, Leg, Media, engine::Tapped, metrics::RecorderSnapshot};

/// How something is recorded.
#[derive(Clone, Debug)]
pub struct RecordingSettings {
    /// The file's name when it is whole; until then `.part` is appended. The folder exists, the file does not.
    pub path: PathBuf,
    /// How samples are kept. Mu-law, 8 kB a second and channel, unless set; what comes in the other law is
    /// told by table.
    pub encoding: Encoding,
    /// Replaces keyed digits by silence, from 100 ms before to 100 ms after each: what can be heard in the
    /// audio itself, and the audio around telephone events.
    pub mute_digits: bool,
    /// The most that is recorded, pauses left out.
    pub max: Duration,
    /// The most bytes of the file; never more than 4 GiB.
    pub bytes_max: u64,
    /// After so long without voice [`RecordingEvent::Silence`] is told. Noise of the line and comfort noise
    /// are silence.
    pub silence: Option<Duration>,
    /// Cuts the silence after the caller's last word, but for half a second.
    pub trim_silence: bool,
    /// Where its events go. When the channel is full they wait.
    pub events: mpsc::Sender<RecordingEvent>,
}

impl RecordingSettings {
    /// Mu-law, four hours and 1 GiB at most, nothing muted, silence neither told nor cut.
    pub fn new(path: impl Into<PathBuf>, events: mpsc::Sender<RecordingEvent>) -> Self {
        Self {
            path: path.into(),
            encoding: Encoding::G711(Law::Mu),
            mute_digits: false,
            max: Duration::from_secs(4 * 3600),
            bytes_max: 1 << 30,
            silence: None,
            trim_silence: false,
            events,
        }
    }
}

/// What a recording tells.
#[derive(Clone, Debug)]
pub enum RecordingEvent {
    /// The caller has been silent for [`RecordingSettings::silence`], since the last voice, the start or the
    /// end of a pause. Told once for each silence.
    Silence {
        /// Whether there was any voice in the recording before.
        heard_before: bool,
    },
    /// It is over; nothing follows.
    Ended(RecordingSummary),
}

/// What came of a recording.
#[derive(Clone, Debug)]
pub struct RecordingSummary {
    /// The file: whole under its own name; after a failure what there is of it, playable, with `.part`.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its length in milliseconds of sound.
    pub duration_ms: u64,
    /// Sound that came but is silence in the file, because the disk or the recorder was too slow or it came
    /// too late, of all channels together. Not what the network lost.
    pub lost_ms: u64,
    /// Voice of the caller, with the short gaps between words.
    pub voice_ms: u64,
    /// What was cut out.
    pub pauses: Vec<RecordingPause>,
    /// Why it ended.
    pub end: RecordingEnd,
}

/// A pause: it takes no time in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingPause {
    /// Where in the file it lies.
    pub at_ms: u64,
    /// How long it was; none when the recording ended paused.
    pub lasted_ms: Option<u64>,
}

/// Why a recording ended.
#[derive(Clone, Debug)]
pub enum RecordingEnd {
    /// By its handle.
    Stopped,
    /// The caller's leg was closed.
    LegClosed,
    /// It is as long as it may be.
    Full,
    /// The file could not be made, written or named.
    Failed {
        /// What the system said.
        error: Arc<std::io::Error>,
    },
}

impl RecordingSummary {
    /// Nobody knows what became of it.
    fn lost() -> Self {
        let error = std::io::Error::other("the recorder thread has ended");
        let end = RecordingEnd::failed(error);
        Self { path: None, bytes: 0, duration_ms: 0, lost_ms: 0, voice_ms: 0, pauses: Vec::new(), end }
    }
}

impl RecordingEnd {
    fn failed(error: std::io::Error) -> Self {
        Self::Failed { error: Arc::new(error) }
    }
}

/// Why a recording did not begin, or does not take what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A leg's thread took no command.
    #[error(transparent)]
    Leg(#[from] CommandError),
    /// As many recordings go on as the recorder takes.
    #[error("the recorder takes no more recordings")]
    TooMany,
    /// It was paused a thousand times.
    #[error("the recording was paused too often")]
    PausedTooOften,
    /// It has one channel only.
    #[error("the recording has no channel for a second leg")]
    Mono,
}

/// The handle of a recording. Dropping it ends the recording and leaves a whole file, as
/// [`Recording::stop`] does.
#[derive(Debug)]
pub struct Recording {
    media: Media,
    id: u64,
    began: Instant,
    desk: SharedDesk,
    lost: Arc<AtomicU64>,
    stereo: bool,
    /// Who has a tap: the caller, then the taker.
    legs: Vec<Tapped>,
}

impl Media {
    /// Records what the peer of one leg says (mono), or of two (left is the first, right the second). A leg
    /// has one recording at most: another one takes its place, and the earlier one hears nothing more.
    pub fn record(
        &self,
        settings: RecordingSettings,
        caller: &Leg,
        taker: Option<&Leg>,
    ) -> Result<Recording, RecordError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut recording = Recording {
            media: self.clone(),
            id: NEXT.fetch_add(1, Relaxed),
            began: Instant::now(),
            desk: SharedDesk::default(),
            lost: Arc::default(),
            stereo: taker.is_some(),
            legs: Vec::new(),
        };
        let mut readers = vec![recording.tap(caller)?];
        if let Some(taker) = taker {
            readers.push(recording.tap(taker)?);
        }
        let (desk, lost) = (recording.desk.clone(), Arc::clone(&recording.lost));
        let job = Job::new(settings, recording.began, desk, readers, lost);
        if self.recorder().begin(job) { Ok(recording) } else { Err(RecordError::TooMany) }
    }
}

impl Recording {
    /// From now on nothing is kept, until [`Recording::resume`]; the time is cut out of the file and noted in
    /// the summary. Harmless when paused already.
    pub fn pause(&self) -> Result<(), RecordError> {
        let now = self.now();
        let mut desk = self.desk.lock();
        match desk.pauses.last() {
            Some((_, u64::MAX)) => return Ok(()),
            Some(_) if desk.pauses.len() >= PAUSES_MAX => return Err(RecordError::PausedTooOften),
            Some(_) | None => desk.pauses.push((now, u64::MAX)),
        }
        Ok(())
    }

    /// Goes on after [`Recording::pause`]; harmless otherwise.
    pub fn resume(&self) {
        let now = self.now();
        if let Some((from, until)) = self.desk.lock().pauses.last_mut()
            && *until == u64::MAX
        {
            *until = now.max(*from);
        }
    }

    /// Records another leg on the second channel: the call was transferred. What the earlier one still says
    /// is not kept.
    pub fn follow(&mut self, taker: &Leg) -> Result<(), RecordError> {
        if !self.stereo {
            return Err(RecordError::Mono);
        }
        for leg in self.legs.drain(1..) {
            leg.untap(self.id);
        }
        let reader = self.tap(taker)?;
        self.desk.lock().taker = Some(reader);
        self.media.recorder().wake();
        Ok(())
    }

    /// Ends it and waits until the file is whole and on the disk.
    pub async fn stop(self) -> RecordingSummary {
        let (reply, summary) = oneshot::channel();
        {
            let mut desk = self.desk.lock();
            if let Some(summary) = &desk.summary {
                return summary.clone();
            }
            desk.reply = Some(reply);
        }
        drop(self);
        summary.await.unwrap_or_else(|_| RecordingSummary::lost())
    }

    fn tap(&mut self, leg: &Leg) -> Result<TapReader, RecordError> {
        let (tap, reader) = tap(self.id, self.began, Arc::clone(&self.lost));
        self.legs.push(leg.tap(tap)?);
        Ok(reader)
    }

    fn now(&self) -> u64 {
        samples_since(self.began, Instant::now())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        for leg in self.legs.drain(..) {
            leg.untap(self.id);
        }
        let now = self.now();
        self.desk.lock().stop.get_or_insert(now);
        self.media.recorder().wake();
    }
}

impl Media {
    /// What the recorder counts, now.
    pub(super) fn recorder_snapshot(&self) -> RecorderSnapshot {
        let counters = self.recorder().counters();
        RecorderSnapshot {
            active: counters.active.load(Relaxed),
            bytes: counters.bytes.load(Relaxed),
            lost_frames: counters.lost_samples.load(Relaxed).div_ceil(rtp_proto::FRAME_SAMPLES as u64),
            failed: counters.failed.load(Relaxed),
        }
    }
}

const PAUSES_MAX: usize = 1000;

#[cfg(test)]
mod tests;
