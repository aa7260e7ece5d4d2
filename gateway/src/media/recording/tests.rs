//! Recordings whose time the tests make: packets go into the taps, the recorder's turns are called by hand.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rtp_proto::{
    dtmf::Digit,
    rtp::{Header, PayloadType, RtpTimestamp, SequenceNumber, Ssrc},
    tone,
    wav::Wav,
};
use tempfile::TempDir;
use tokio::sync::mpsc::{Receiver, channel};

use super::{
    file::WavFile,
    job::{Job, SharedDesk},
    recorder::RecorderCounters,
    tap::tap,
    *,
};

const FRAME: usize = 160;

/// A recording with one or two taps.
struct Studio {
    folder: TempDir,
    job: Job,
    desk: SharedDesk,
    taps: Vec<Option<Box<Tap>>>,
    events: Receiver<RecordingEvent>,
    counters: RecorderCounters,
    began: Instant,
    now_ms: u64,
    headers: [Header; 2],
    goes_on: bool,
}

impl Studio {
    fn new(channels: usize, set: impl FnOnce(&mut RecordingSettings)) -> Self {
        Self::with_file(channels, set, None)
    }

    fn with_file(channels: usize, set: impl FnOnce(&mut RecordingSettings), file: Option<WavFile>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (sender, events) = channel(8);
        let mut settings = RecordingSettings::new(folder.path().join("call.wav"), sender);
        set(&mut settings);
        let (began, lost) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let pairs = (0..channels).map(|_| tap(1, began, Arc::clone(&lost)));
        let (taps, readers): (Vec<_>, Vec<_>) = pairs.map(|(tap, reader)| (Some(tap), reader)).unzip();
        let desk = SharedDesk::default();
        let job = Job::new(settings, began, desk.clone(), readers, lost);
        let job = match file {
            Some(file) => job.with_file(file),
            None => job,
        };
        let header = |ssrc| Header {
            marker: false,
            payload_type: PayloadType::PCMU,
            sequence: SequenceNumber::new(65_500),
            timestamp: RtpTimestamp::new(u32::MAX - 5000),
            ssrc: Ssrc::new(ssrc),
        };
        Self {
            folder,
            job,
            desk,
            taps,
            events,
            counters: RecorderCounters::default(),
            began,
            now_ms: 0,
            headers: [header(1), header(2)],
            goes_on: true,
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.began + Duration::from_millis(ms)
    }

    /// A packet of one channel now; its numbers go on.
    fn say(&mut self, channel: usize, payload: &[u8]) {
        self.say_late(channel, payload, 0);
    }

    fn say_late(&mut self, channel: usize, payload: &[u8], late_ms: u64) {
        let (now, header) = (self.at(self.now_ms + late_ms), self.headers[channel]);
        if let Some(tap) = &mut self.taps[channel] {
            tap.take(now, &header, Content::Audio(Law::Mu), payload);
        }
        self.skip(channel, payload.len());
    }

    /// The source went on, but nothing came.
    fn skip(&mut self, channel: usize, samples: usize) {
        let header = &mut self.headers[channel];
        header.sequence = header.sequence.next();
        header.timestamp = header.timestamp.advanced(samples as u32);
    }

    /// 20 ms pass; the recorder takes a turn each 100.
    fn pass(&mut self) {
        self.now_ms += 20;
        if self.now_ms.is_multiple_of(100) {
            self.turn();
        }
    }

    fn turn(&mut self) {
        if self.goes_on {
            self.goes_on = self.job.turn(self.at(self.now_ms), &self.counters);
        }
    }

    fn quiet(&mut self, ms: u64) {
        (0..ms / 20).for_each(|_| self.pass());
    }

    /// Says samples in packets of 20 ms at their time.
    fn play(&mut self, channel: usize, samples: &[i16]) {
        for frame in samples.chunks_exact(FRAME) {
            let payload: Vec<u8> = frame.iter().map(|&sample| Law::Mu.encode(sample)).collect();
            self.say(channel, &payload);
            self.pass();
        }
    }

    fn pause(&self) {
        self.desk.lock().pauses.push((self.now_ms * 8, u64::MAX));
    }

    fn resume(&self) {
        if let Some(pause) = self.desk.lock().pauses.last_mut() {
            pause.1 = self.now_ms * 8;
        }
    }

    fn part(&self) -> PathBuf {
        file::part_of(&self.folder.path().join("call.wav"))
    }

    /// Ends it now; what the summary says and what is in the file.
    fn stop(mut self) -> (RecordingSummary, Vec<Vec<i16>>) {
        self.desk.lock().stop = Some(self.now_ms * 8);
        self.turn();
        self.ended()
    }

    fn ended(mut self) -> (RecordingSummary, Vec<Vec<i16>>) {
        assert!(!self.goes_on, "it is over");
        let summary = std::iter::from_fn(|| self.events.try_recv().ok()).find_map(|event| match event {
            RecordingEvent::Ended(summary) => Some(summary),
            RecordingEvent::Silence { .. } => None,
        });
        let summary = summary.expect("an end");
        let path = summary.path.clone().expect("a file");
        assert_eq!(std::fs::metadata(&path).expect("is there").len(), summary.bytes);
        (summary, channels(&path))
    }

    fn silences(&mut self) -> usize {
        let told = std::iter::from_fn(|| self.events.try_recv().ok());
        told.filter(|event| matches!(event, RecordingEvent::Silence { .. })).count()
    }
}

/// The samples of each channel of a file.
fn channels(path: &std::path::Path) -> Vec<Vec<i16>> {
    let wav = Wav::parse(&std::fs::read(path).expect("a file")).expect("audio");
    assert_eq!(wav.rate, 8000);
    let count = usize::from(wav.channels);
    (0..count).map(|at| wav.samples.iter().skip(at).step_by(count).copied().collect()).collect()
}

/// A frame unlike any other.
fn frame(seed: usize) -> Vec<u8> {
    let mut chance = seed as u32;
    let next = |_| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 24) as u8
    };
    (0..FRAME).map(next).collect()
}

fn linear(payload: &[u8]) -> Vec<i16> {
    payload.iter().map(|&byte| Law::Mu.decode(byte)).collect()
}

/// Where a frame begins in a channel.
fn place_of(channel: &[i16], payload: &[u8]) -> Option<usize> {
    let wanted = linear(payload);
    (0..channel.len().saturating_sub(FRAME - 1)).find(|&at| channel[at..at + FRAME] == wanted)
}

fn digit(digit: Digit, ms: usize) -> Vec<i16> {
    tone::dtmf(digit, -10.0, ms * 8)
}

#[test]
fn both_sides_lie_where_they_were_said_over_loss_jitter_reordering_and_another_source() {
    let mut studio = Studio::new(2, |_| {});
    for at in 0..200 {
        // The left loses some, the right comes up to 120 ms late and, in places, in the wrong order.
        if at % 9 == 4 || (50..70).contains(&at) {
            studio.skip(0, FRAME);
        } else {
            studio.say(0, &frame(at));
        }
        let late = [0, 40, 15, 120, 3][at % 5];
        studio.say_late(1, &frame(at + 1000), late);
        if at == 119 {
            // Another source, whose first packet comes in time.
            studio.headers[1] =
                Header { ssrc: Ssrc::new(99), timestamp: RtpTimestamp::new(5), ..studio.headers[1] };
        }
        studio.pass();
    }
    let (summary, heard) = studio.stop();
    assert_eq!(heard.len(), 2);
    assert_eq!((heard[0].len(), summary.duration_ms, summary.lost_ms), (200 * FRAME, 4000, 0));
    assert!(matches!(summary.end, RecordingEnd::Stopped), "{summary:?}");
    for at in 0..200 {
        let lost = at % 9 == 4 || (50..70).contains(&at);
        let wanted = if lost { vec![0; FRAME] } else { linear(&frame(at)) };
        assert_eq!(heard[0][at * FRAME..][..FRAME], wanted, "left, frame {at}");
        if at > 194 {
            // Some of the right were still on their way.
            continue;
        }
        assert_eq!(heard[1][at * FRAME..][..FRAME], linear(&frame(at + 1000)), "right, frame {at}");
    }
}

#[test]
fn a_source_whose_clock_stood_still_or_runs_off_is_brought_back_to_the_time_of_arrival() {
    let mut studio = Studio::new(2, |_| {});
    // Five seconds of hold, over which the left one's timestamps do not go on.
    for at in 0..50 {
        studio.say(0, &frame(at));
        studio.pass();
    }
    studio.quiet(5000);
    // The right one's clock is 0.5 % slow, and its packets come a little less often.
    let mut due = studio.now_ms * 1000;
    for at in 0..1500 {
        studio.say(0, &frame(at % 97 + 100));
        if studio.now_ms * 1000 >= due {
            studio.say(1, &frame(at % 89 + 300));
            due += 20_100;
        }
        studio.pass();
    }
    // Now: what is said by both at once lies at one place, but for 60 ms.
    let (first, second) = (frame(5000), frame(6000));
    studio.say(0, &first);
    studio.say(1, &second);
    studio.quiet(200);
    let (summary, heard) = studio.stop();
    let now = 36_000 * 8;
    assert_eq!(summary.lost_ms, 0);
    assert_eq!(heard[0][300 * FRAME..][..FRAME], linear(&frame(100)), "after the hold");
    assert_eq!(place_of(&heard[0], &first), Some(now));
    let place = place_of(&heard[1], &second).expect("it is there");
    assert!(place.abs_diff(now) <= 60 * 8, "off by {} samples", place.abs_diff(now));
}

#[test]
fn a_pause_is_cut_out_of_both_sides_and_noted() {
    let mut studio = Studio::new(2, |_| {});
    for at in 0..150 {
        if at == 50 {
            studio.pause();
        }
        if at == 110 {
            studio.resume();
        }
        studio.say(0, &frame(at));
        studio.say(1, &frame(at + 1000));
        studio.pass();
    }
    studio.pause();
    studio.say(0, &frame(7));
    studio.quiet(400);
    let (summary, heard) = studio.stop();
    assert_eq!(summary.duration_ms, 90 * 20);
    let noted = [
        RecordingPause { at_ms: 1000, lasted_ms: Some(1200) },
        RecordingPause { at_ms: 1800, lasted_ms: None },
    ];
    assert_eq!(summary.pauses, noted);
    for (index, at) in (0..50).chain(110..150).enumerate() {
        assert_eq!(heard[0][index * FRAME..][..FRAME], linear(&frame(at)), "frame {at}");
        assert_eq!(heard[1][index * FRAME..][..FRAME], linear(&frame(at + 1000)), "frame {at}");
    }
}

#[test]
fn the_file_can_be_played_while_it_grows_and_lacks_less_than_a_second() {
    let mut studio = Studio::new(2, |_| {});
    for at in 0..500 {
        studio.say(0, &frame(at));
        studio.say(1, &frame(at + 1000));
        studio.pass();
        if at > 60 {
            let heard = channels(&studio.part());
            let lacking = (at + 1) * FRAME - heard[0].len();
            assert!(lacking < 8000, "{lacking} samples are not in the file at frame {at}");
            let whole = heard[1].len() / FRAME - 1;
            assert_eq!(heard[1][whole * FRAME..][..FRAME], linear(&frame(whole + 1000)));
        }
    }
    let part = studio.part();
    let (summary, _) = studio.stop();
    assert!(!part.exists() && summary.path.is_some());
}

#[test]
fn what_a_stalled_recorder_has_no_room_for_is_counted_and_silent_and_the_length_is_kept() {
    let mut studio = Studio::new(2, |_| {});
    for at in 0..600 {
        studio.say(0, &frame(at));
        studio.say(1, &frame(at + 1000));
        // No turn for ten seconds.
        studio.now_ms += 20;
        if !(50..550).contains(&at) {
            studio.turn();
        }
    }
    let (summary, heard) = studio.stop();
    assert_eq!(summary.duration_ms, 12_000);
    for (channel, seed) in [(0, 0), (1, 1000)] {
        let is_there = |at: usize| heard[channel][at * FRAME..][..FRAME] == linear(&frame(at + seed));
        let lost = (0..600).filter(|&at| !is_there(at)).count();
        assert!((300..=330).contains(&lost), "{lost} frames were lost");
        assert!((0..230).chain(551..600).all(is_there));
        let silent = |at: usize| heard[channel][at * FRAME..][..FRAME].iter().all(|&sample| sample == 0);
        assert!((0..600).all(|at| is_there(at) || silent(at)));
        assert_eq!(summary.lost_ms, 2 * 20 * lost as u64);
    }
}

#[test]
fn digits_in_the_audio_are_silent_with_what_is_around_them_and_the_rest_is_untouched() {
    let speech = |ms: usize| -> Vec<i16> {
        (0..ms * 8).map(|at| Law::Mu.decode(Law::Mu.encode(((at * 37) % 9000) as i16 - 4500))).collect()
    };
    let said =
        [speech(1000), digit(Digit::Four, 100), speech(500), digit(Digit::Nine, 60), speech(1000)].concat();
    for mutes in [false, true] {
        let mut studio = Studio::new(1, |settings| settings.mute_digits = mutes);
        studio.play(0, &said);
        let (_, heard) = studio.stop();
        let said: Vec<i16> = said.iter().map(|&sample| Law::Mu.decode(Law::Mu.encode(sample))).collect();
        let whole = said.len() / FRAME * FRAME;
        assert_eq!(heard[0].len(), whole);
        if !mutes {
            assert_eq!(heard[0], said[..whole]);
            continue;
        }
        for (from, until) in [(1000, 1100), (1600, 1660)] {
            let silent = &heard[0][(from - 100) * 8..(until + 100) * 8];
            assert!(silent.iter().all(|&sample| sample == 0), "the digit at {from} ms is heard");
        }
        for (from, until) in [(0, 820), (1280, 1420), (1840, 2600)] {
            assert_eq!(heard[0][from * 8..until * 8], said[from * 8..until * 8], "from {from} ms");
        }
    }
}

#[test]
fn the_audio_around_a_telephone_event_is_silent_where_digits_are_muted() {
    let mut studio = Studio::new(1, |settings| settings.mute_digits = true);
    let voice = vec![4000; 50 * FRAME];
    studio.play(0, &voice);
    let began = studio.headers[0];
    for at in 0..5_u16 {
        // The tone leaks into the audio beside the event.
        let now = studio.at(studio.now_ms);
        let event = Content::Event { duration: (at + 1) * 160 };
        if let Some(tap) = &mut studio.taps[0] {
            let header = Header { timestamp: began.timestamp, sequence: studio.headers[0].sequence, ..began };
            tap.take(now, &header, event, &[]);
        }
        studio.headers[0].sequence = studio.headers[0].sequence.next();
        studio.say(0, &[0x10; FRAME]);
        studio.pass();
    }
    studio.play(0, &voice);
    let (_, heard) = studio.stop();
    let silent = |from: usize, until: usize| heard[0][from * 8..until * 8].iter().all(|&sample| sample == 0);
    assert!(silent(900, 1200));
    let kept = Law::Mu.decode(Law::Mu.encode(4000));
    assert!(heard[0][..899 * 8].iter().chain(&heard[0][1201 * 8..2100 * 8]).all(|&sample| sample == kept));
}

#[test]
fn silence_is_told_once_for_each_silence_and_cut_from_the_end() {
    let mut studio = Studio::new(1, |settings| {
        settings.silence = Some(Duration::from_secs(3));
        settings.trim_silence = true;
    });
    let voice = tone::mix(&[tone::Tone { frequency: 300.0, level_dbm0: -20.0 }], 16_000);
    studio.play(0, &voice);
    studio.quiet(2500);
    assert_eq!(studio.silences(), 0);
    studio.quiet(1500);
    assert_eq!(studio.silences(), 1);
    studio.quiet(5000);
    assert_eq!(studio.silences(), 0, "told once");
    studio.play(0, &voice);
    // A pause is no silence of the caller.
    studio.pause();
    studio.quiet(4000);
    studio.resume();
    studio.quiet(2500);
    assert_eq!(studio.silences(), 0);
    studio.quiet(1500);
    let event = studio.events.try_recv();
    assert!(matches!(event, Ok(RecordingEvent::Silence { heard_before: true })), "{event:?}");
    let (summary, _) = studio.stop();
    assert!((13_400..14_100).contains(&summary.duration_ms), "{summary:?}");
    assert!((4000..5000).contains(&summary.voice_ms), "{summary:?}");
}

#[test]
fn it_ends_when_it_is_as_long_as_it_may_be_or_when_the_leg_is_gone() {
    let mut studio = Studio::new(1, |settings| settings.max = Duration::from_millis(1230));
    studio.play(0, &[3000; 160 * 120]);
    let (summary, _) = studio.ended();
    assert!(matches!(summary.end, RecordingEnd::Full));
    assert_eq!((summary.duration_ms, summary.bytes), (1230, 58 + 1230 * 8));
    let mut studio = Studio::new(2, |settings| settings.bytes_max = 16_064);
    studio.quiet(3000);
    let (summary, _) = studio.ended();
    assert_eq!((summary.duration_ms, summary.bytes), (1000, 58 + 16_000));
    let mut studio = Studio::new(2, |_| {});
    studio.play(0, &[3000; 160 * 50]);
    studio.taps[1] = None;
    studio.play(0, &[3000; 160 * 50]);
    studio.taps[0] = None;
    studio.quiet(200);
    let (summary, heard) = studio.ended();
    assert!(matches!(summary.end, RecordingEnd::LegClosed));
    assert_eq!(heard[0].len(), 160 * 100);
}

#[test]
fn a_full_disk_is_told_and_ends_the_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = WavFile::with_room(20_000, folder.path().join("full.part"), Encoding::G711(Law::Mu), 1);
    let mut studio = Studio::with_file(1, |_| {}, Some(file));
    studio.play(0, &[3000; 160 * 200]);
    assert!(!studio.goes_on);
    let Ok(RecordingEvent::Ended(summary)) = studio.events.try_recv() else { panic!("no end was told") };
    let RecordingEnd::Failed { error } = summary.end else { panic!("{:?}", summary.end) };
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "what this kind of file says");
    assert!(summary.path.is_some_and(|path| path.extension().is_some_and(|part| part == "part")));
    assert!((1500..2500).contains(&summary.duration_ms), "what was written before stays: {}", summary.bytes);
    assert_eq!(studio.counters.failed.load(Relaxed), 1);
}

#[test]
fn an_end_waits_for_a_busy_task_and_a_file_that_is_there_is_left_alone() {
    let mut studio = Studio::new(1, |_| {});
    std::fs::write(studio.part(), b"somebody's").expect("written");
    let (sender, _events) = channel(1);
    studio.job = Job::new(
        RecordingSettings::new(studio.folder.path().join("call.wav"), sender.clone()),
        studio.began,
        studio.desk.clone(),
        Vec::new(),
        Arc::default(),
    );
    sender.try_send(RecordingEvent::Silence { heard_before: false }).expect("room");
    studio.turn();
    assert!(studio.goes_on, "the end is not told yet");
    let told = studio.desk.lock().summary.clone().expect("a handle is told at once");
    assert!(matches!(told.end, RecordingEnd::Failed { .. }));
    drop(_events);
    studio.turn();
    assert!(!studio.goes_on);
    assert_eq!(std::fs::read(studio.part()).expect("is there"), b"somebody's");
}
