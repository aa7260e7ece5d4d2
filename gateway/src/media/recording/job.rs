//! One recording, as the recorder thread works on it.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rtp_proto::FRAME_SAMPLES;
use tokio::sync::{mpsc::error::TrySendError, oneshot};

use super::{
    RecordingEnd, RecordingEvent, RecordingPause, RecordingSettings, RecordingSummary,
    file::WavFile,
    recorder::RecorderCounters,
    tap::{TapReader, samples, samples_since},
    timeline::{CHANNELS_MAX, Frames, HOLD, Timeline},
    voice::Voice,
};

/// What the handle of a recording tells the recorder thread.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// From and until, in samples since the start; the last one may be open.
    pub(crate) pauses: Vec<(u64, u64)>,
    /// When it was asked to stop.
    pub(crate) stop: Option<u64>,
    /// Who waits for the end.
    pub(crate) reply: Option<oneshot::Sender<RecordingSummary>>,
    /// What came of it, when it is over.
    pub(crate) summary: Option<RecordingSummary>,
    /// Another leg for the second channel.
    pub(crate) taker: Option<TapReader>,
}

/// The desk, between one task and the recorder thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedDesk(Arc<Mutex<Desk>>);

impl SharedDesk {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recording that goes on.
#[derive(Debug)]
pub(crate) struct Job {
    settings: RecordingSettings,
    began: Instant,
    desk: SharedDesk,
    readers: Vec<Option<TapReader>>,
    lost: Arc<AtomicU64>,
    lost_counted: u64,
    timeline: Timeline,
    sink: Sink,
    /// None before the first turn, which makes the file.
    file: Option<WavFile>,
    written: Instant,
    silence_told: bool,
    /// It has ended; the event may still wait for room.
    over: Option<RecordingSummary>,
}

/// What becomes of frames: pauses are cut out, the rest is encoded.
#[derive(Debug)]
struct Sink {
    pauses: Vec<(u64, u64)>,
    voice: Voice,
    /// Where the last voice ended in the file, in samples.
    voice_until: u64,
    /// Samples of each channel that are in the file or in `data`.
    kept: u64,
    data: Vec<u8>,
    encoding: rtp_proto::wav::Encoding,
}

impl Job {
    pub(crate) fn new(
        settings: RecordingSettings,
        began: Instant,
        desk: SharedDesk,
        readers: Vec<TapReader>,
        lost: Arc<AtomicU64>,
    ) -> Self {
        let readers: Vec<_> = readers.into_iter().take(CHANNELS_MAX).map(Some).collect();
        Self {
            timeline: Timeline::new(readers.len(), settings.mute_digits),
            sink: Sink {
                pauses: Vec::new(),
                voice: Voice::new(),
                voice_until: 0,
                kept: 0,
                data: Vec::new(),
                encoding: settings.encoding,
            },
            settings,
            began,
            desk,
            readers,
            lost,
            lost_counted: 0,
            file: None,
            written: began,
            silence_told: false,
            over: None,
        }
    }

    /// Takes what has come and writes what is due. False when it is over and everybody knows.
    pub(crate) fn turn(&mut self, now: Instant, counters: &RecorderCounters) -> bool {
        if self.over.is_none()
            && let Some(end) = self.work(now, counters)
        {
            self.end(end, counters);
        }
        let Some(summary) = &self.over else { return true };
        let told = self.settings.events.try_send(RecordingEvent::Ended(summary.clone()));
        matches!(told, Err(TrySendError::Full(_)))
    }

    /// Whether the disk should have what was written.
    pub(crate) fn wants_sync(&self, now: Instant) -> bool {
        self.over.is_none() && self.file.as_ref().is_some_and(|file| file.wants_sync(now))
    }

    /// Brings to the disk what was written; an error shows again at the end.
    pub(crate) fn sync(&mut self, now: Instant) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.sync(now)
        {
            tracing::warn!(%error, path = %file.part().display(), "a recording does not reach the disk");
        }
    }

    /// One turn; says why it is over when it is.
    fn work(&mut self, now: Instant, counters: &RecorderCounters) -> Option<RecordingEnd> {
        if self.file.is_none() {
            match WavFile::create(&self.settings.path, self.settings.encoding, self.readers.len() as u16) {
                Ok(file) => self.file = Some(file),
                Err(error) => return Some(RecordingEnd::failed(error)),
            }
        }
        let stop = self.ask_desk();
        let reached = samples_since(self.began, now);
        let gone =
            self.readers.first_mut().is_none_or(|reader| reader.as_mut().is_none_or(TapReader::is_over));
        let end = stop.map(|at| (at, RecordingEnd::Stopped)).or_else(|| {
            let last = self.timeline.end().min(reached);
            gone.then_some((last, RecordingEnd::LegClosed))
        });
        let until = end.as_ref().map_or(reached, |(at, _)| *at);
        self.take_all(until);
        if end.is_some() {
            // The last packet came at its end.
            let whole = self.timeline.end().clamp(until, until + HOLD);
            let Self { timeline, sink, .. } = self;
            timeline.finish(whole, |at, frames| sink.take(at, frames));
        }
        self.note_lost(counters);
        if let Err(error) = self.write(now, end.is_some(), counters) {
            return Some(RecordingEnd::failed(error));
        }
        if self.is_full() {
            return Some(RecordingEnd::Full);
        }
        self.watch_silence();
        end.map(|(_, end)| end)
    }

    /// What the handle wants.
    fn ask_desk(&mut self) -> Option<u64> {
        let mut desk = self.desk.lock();
        if self.sink.pauses != desk.pauses {
            self.sink.pauses.clone_from(&desk.pauses);
        }
        if let Some(reader) = desk.taker.take()
            && let Some(place) = self.readers.get_mut(1)
        {
            *place = Some(reader);
            self.timeline.begin_source(1);
        }
        desk.stop
    }

    /// Places all packets that came until a time, in the order in which they came: whatever the recorder was
    /// delayed by, the outcome is the same.
    fn take_all(&mut self, until: u64) {
        // A process that was stopped for long catches up by turns.
        let until = until.min(self.timeline.given() + CATCH_UP_MAX);
        let Self { timeline, sink, readers, .. } = self;
        loop {
            let arrivals = readers.iter_mut().enumerate().filter_map(|(channel, reader)| {
                reader.as_mut().and_then(TapReader::next_arrival).map(|arrived| (arrived, channel))
            });
            let Some((arrived, channel)) = arrivals.min().filter(|&(at, _)| u64::from(at) <= until) else {
                break;
            };
            timeline.advance(u64::from(arrived), |at, frames| sink.take(at, frames));
            let reader = readers.get_mut(channel).and_then(Option::as_mut);
            if let Some((entry, payload)) = reader.and_then(TapReader::pop) {
                timeline.take(channel, &entry, payload);
            }
        }
        timeline.advance(until, |at, frames| sink.take(at, frames));
    }

    fn note_lost(&mut self, counters: &RecorderCounters) {
        let lost = self.lost_samples();
        counters.lost_samples.fetch_add(lost - self.lost_counted, Relaxed);
        self.lost_counted = lost;
    }

    fn lost_samples(&self) -> u64 {
        self.lost.load(Relaxed) + self.timeline.late()
    }

    fn write(&mut self, now: Instant, at_once: bool, counters: &RecorderCounters) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let due = now.saturating_duration_since(self.written) >= WRITE_EVERY;
        if self.sink.data.is_empty() || !(due || at_once || self.sink.data.len() >= WRITE_BYTES) {
            return Ok(());
        }
        file.append(&self.sink.data)?;
        counters.bytes.fetch_add(self.sink.data.len() as u64, Relaxed);
        self.sink.data.clear();
        self.written = now;
        Ok(())
    }

    /// The most bytes of audio it may have, whole samples.
    fn data_max(&self) -> u32 {
        let Some(file) = &self.file else { return 0 };
        let by_time = samples(self.settings.max).saturating_mul(u64::from(file.block()));
        let by_bytes = self.settings.bytes_max.min(BYTES_MAX).saturating_sub(HEADER_BYTES);
        let most = u32::try_from(by_time.min(by_bytes)).unwrap_or(u32::MAX);
        most / file.block() * file.block()
    }

    fn is_full(&self) -> bool {
        let block = self.file.as_ref().map_or(1, WavFile::block);
        self.sink.kept.saturating_mul(u64::from(block)) >= u64::from(self.data_max())
    }

    fn watch_silence(&mut self) {
        let Some(limit) = self.settings.silence else { return };
        let silent = u128::from(self.sink.voice.silent_ms()) >= limit.as_millis();
        if !silent {
            self.silence_told = false;
        } else if !self.silence_told {
            // When there is no room it is told in the next turn.
            let event = RecordingEvent::Silence { heard_before: self.sink.voice.voiced_ms() > 0 };
            self.silence_told = self.settings.events.try_send(event).is_ok();
        }
    }

    fn end(&mut self, end: RecordingEnd, counters: &RecorderCounters) {
        let end = match self.close(&end, counters) {
            Ok(()) => end,
            Err(error) => RecordingEnd::failed(error),
        };
        let failed = matches!(end, RecordingEnd::Failed { .. });
        if failed {
            counters.failed.fetch_add(1, Relaxed);
        }
        let file = self.file.take();
        let data_len = file.as_ref().map_or(0, WavFile::data_len);
        let path = match &file {
            Some(_) if !failed => Some(self.settings.path.clone()),
            Some(file) if data_len > 0 => Some(file.part().to_owned()),
            Some(file) => {
                // Nothing is in it; when it stays, it does no harm.
                std::fs::remove_file(file.part()).ok();
                None
            }
            None => None,
        };
        let block = file.as_ref().map_or(1, WavFile::block);
        self.readers.clear();
        let summary = RecordingSummary {
            path,
            bytes: file.as_ref().map_or(0, WavFile::bytes),
            duration_ms: u64::from(data_len / block) / 8,
            lost_ms: self.lost_samples() / 8,
            voice_ms: self.sink.voice.voiced_ms(),
            pauses: self.sink.pauses_in_file(),
            end,
        };
        let mut desk = self.desk.lock();
        if let Some(reply) = desk.reply.take() {
            reply.send(summary.clone()).ok();
        }
        desk.summary = Some(summary.clone());
        drop(desk);
        self.over = Some(summary);
    }

    /// Writes what is left and makes the file whole.
    fn close(&mut self, end: &RecordingEnd, counters: &RecorderCounters) -> io::Result<()> {
        if matches!(end, RecordingEnd::Failed { .. }) {
            return Ok(());
        }
        self.write(Instant::now(), true, counters)?;
        let most = self.data_max();
        let Some(file) = &mut self.file else { return Ok(()) };
        let spoken = (self.sink.voice_until + TRIM_KEEP).saturating_mul(u64::from(file.block()));
        let spoken = if self.settings.trim_silence { u32::try_from(spoken).unwrap_or(most) } else { most };
        file.finish(most.min(spoken))
    }
}

impl Sink {
    fn take(&mut self, at: u64, frames: &Frames) {
        let until = at + FRAME_SAMPLES as u64;
        let overlaps = |&&(from, to): &&(u64, u64)| from < until && at < to;
        // A frame in which it was paused or resumed is cut sample by sample.
        let cut: Vec<(u64, u64)> = self.pauses.iter().filter(overlaps).copied().collect();
        for (index, place) in (at..until).enumerate() {
            if cut.iter().any(|&(from, to)| (from..to).contains(&place)) {
                continue;
            }
            for frame in frames {
                self.encoding.push(frame.get(index).copied().unwrap_or(0), &mut self.data);
            }
            self.kept += 1;
        }
        if !cut.is_empty() {
            return self.voice.begin_anew();
        }
        if let Some(caller) = frames.first() {
            self.voice.hear(caller);
            if self.voice.silent_ms() == 0 {
                self.voice_until = self.kept;
            }
        }
    }

    /// Where in the file something is missing, and how much.
    fn pauses_in_file(&self) -> Vec<RecordingPause> {
        let mut cut = 0;
        self.pauses
            .iter()
            .map(|&(from, to)| {
                let at = from - cut;
                let lasted = (to != u64::MAX).then_some(to - from);
                cut += lasted.unwrap_or(0);
                RecordingPause { at_ms: at / 8, lasted_ms: lasted.map(|samples| samples / 8) }
            })
            .collect()
    }
}

/// With what the timeline holds back, a file lacks less than a second whenever the process dies.
const WRITE_EVERY: Duration = Duration::from_millis(500);
const WRITE_BYTES: usize = 64 << 10;
/// A minute a turn.
const CATCH_UP_MAX: u64 = 60 * 8000;
/// The sizes in a WAV header have 32 bits.
const BYTES_MAX: u64 = u32::MAX as u64 - 1024;
const HEADER_BYTES: u64 = 64;
/// Half a second of silence stays after the last word.
const TRIM_KEEP: u64 = 4000;

#[cfg(test)]
impl Job {
    /// Writes to a file of the test's choice.
    pub(crate) fn with_file(mut self, file: WavFile) -> Self {
        self.file = Some(file);
        self
    }
}
