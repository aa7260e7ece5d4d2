//! Recordings of real legs: what their peers say stands in the file, sample by sample and in step.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rtp_proto::{
    dtmf::Digit as Key,
    g711::Law,
    rtp::PayloadType,
    wav::{Encoding, Wav},
};
use tempfile::TempDir;
use tokio::{sync::mpsc::channel, task::block_in_place, time::timeout};
use vestibule::media::{
    Leg, Media, MediaEvent, OpenLeg, RecordError, RecordingEnd, RecordingEvent, RecordingSettings, Remote,
};

use super::{EVENT, engine, open, peer::Peer, settings, until};

/// A leg that heard its peer, and nothing more comes.
async fn side(media: &Media, beside: Option<&Leg>, law: Law) -> (Leg, Peer) {
    let (leg, mut events) = match beside {
        Some(beside) => {
            let (events, receiver) = channel(64);
            (media.open_beside(beside, OpenLeg { events }).expect("a leg"), receiver)
        }
        None => open(media),
    };
    let mut peer = Peer::new(leg.local_addr());
    let remote = Remote::new(peer.addr(), law);
    peer.header.payload_type = remote.payload_type;
    leg.set_remote(remote).expect("taken");
    block_in_place(|| peer.talk(4));
    until(&mut events, |event| matches!(event, MediaEvent::Latched { .. })).await;
    pause(150);
    (leg, peer)
}

fn pause(ms: u64) {
    block_in_place(|| std::thread::sleep(Duration::from_millis(ms)));
}

fn frame(seed: u32) -> Vec<u8> {
    let mut chance = seed;
    let next = |_| {
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (chance >> 24) as u8
    };
    (0..160).map(next).collect()
}

/// Both say a frame each 20 ms. Their clocks ran on since they spoke last, at the given time.
fn talk(since: &mut Instant, one: &mut Peer, other: Option<&mut Peer>, frames: std::ops::Range<u32>) {
    let mut due = Instant::now();
    let silent = u32::try_from(due.saturating_duration_since(*since).as_millis() * 8).expect("short");
    let mut peers: Vec<_> = [Some(one), other].into_iter().flatten().collect();
    for peer in &mut peers {
        peer.header.timestamp = peer.header.timestamp.advanced(silent);
    }
    for at in frames {
        for (seed, peer) in [at, at + 10_000].into_iter().zip(&mut peers) {
            let kind = peer.header.payload_type;
            peer.send(kind, &frame(seed));
        }
        due += Duration::from_millis(20);
        block_in_place(|| std::thread::sleep(due.saturating_duration_since(Instant::now())));
    }
    *since = due;
}

fn channels(path: &Path) -> Vec<Vec<i16>> {
    let wav = Wav::parse(&std::fs::read(path).expect("a file")).expect("audio");
    let count = usize::from(wav.channels);
    (0..count).map(|at| wav.samples.iter().skip(at).step_by(count).copied().collect()).collect()
}

/// Where a frame stands.
fn place(channel: &[i16], law: Law, seed: u32) -> Option<usize> {
    let wanted: Vec<i16> = frame(seed).iter().map(|&byte| law.decode(byte)).collect();
    channel.windows(160).position(|samples| samples == wanted)
}

/// Asserts that frames stand one behind the other; where the first one does.
fn assert_run(channel: &[i16], law: Law, frames: std::ops::Range<u32>) -> usize {
    let start = place(channel, law, frames.start).expect("the first frame");
    for (index, seed) in frames.enumerate() {
        let wanted: Vec<i16> = frame(seed).iter().map(|&byte| law.decode(byte)).collect();
        assert_eq!(channel[start + index * 160..][..160], wanted, "frame {seed}");
    }
    start
}

struct Tape {
    _folder: TempDir,
    path: PathBuf,
    settings: RecordingSettings,
    events: tokio::sync::mpsc::Receiver<RecordingEvent>,
}

impl Tape {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("call.wav");
        let (sender, events) = channel(8);
        Self { settings: RecordingSettings::new(&path, sender), path, _folder: folder, events }
    }

    async fn event(&mut self) -> RecordingEvent {
        timeout(Duration::from_secs(5), self.events.recv()).await.ok().flatten().expect("an event")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridged_pair_is_recorded_side_by_side_and_follows_a_transfer() {
    let media = engine(settings(50_000));
    let (one, mut caller) = side(&media, None, Law::Mu).await;
    let (other, mut taker) = side(&media, Some(&one), Law::A).await;
    one.bridge(&other).expect("taken");
    let mut tape = Tape::new();
    tape.settings.encoding = Encoding::Pcm16;
    let mut recording = media.record(tape.settings.clone(), &one, Some(&other)).expect("recorded");
    assert_eq!(media.snapshot().recorder.active, 1);
    // The media thread takes commands once a tick.
    pause(150);
    let mut since = Instant::now();
    talk(&mut since, &mut caller, Some(&mut taker), 0..60);
    let (third, mut next) = side(&media, Some(&one), Law::Mu).await;
    one.bridge(&third).expect("taken");
    recording.follow(&third).expect("followed");
    drop(other);
    pause(150);
    talk(&mut since, &mut caller, Some(&mut next), 100..150);
    pause(250);
    let summary = recording.stop().await;
    assert!(matches!(summary.end, RecordingEnd::Stopped), "{summary:?}");
    assert_eq!((summary.path.as_deref(), summary.lost_ms), (Some(tape.path.as_path()), 0));
    let heard = channels(&tape.path);
    assert_eq!(heard[0].len() as u64 / 8, summary.duration_ms);
    for (frames, law) in [(0..60, Law::A), (100..150, Law::Mu)] {
        let left = assert_run(&heard[0], Law::Mu, frames.clone());
        let right = assert_run(&heard[1], law, frames.start + 10_000..frames.end + 10_000);
        assert!(left.abs_diff(right) <= 30 * 8, "out of step by {} samples", left.abs_diff(right));
    }
    assert!(matches!(tape.event().await, RecordingEvent::Ended(_)));
    let counted = media.snapshot().recorder;
    assert_eq!((counted.active, counted.lost_frames, counted.failed), (0, 0, 0));
    assert_eq!(counted.bytes, heard[0].len() as u64 * 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leg_alone_is_recorded_while_the_file_can_be_read_and_ends_with_it() {
    let media = engine(settings(50_200));
    let (leg, mut peer) = side(&media, None, Law::Mu).await;
    let mut tape = Tape::new();
    let _recording = media.record(tape.settings.clone(), &leg, None).expect("recorded");
    // The media thread takes commands once a tick.
    pause(150);
    let mut since = Instant::now();
    talk(&mut since, &mut peer, None, 0..40);
    // Keys do not sound, and the time they take is kept.
    block_in_place(|| peer.press(EVENT, Key::Five, 5, 3));
    peer.header.payload_type = PayloadType::PCMU;
    since = Instant::now();
    talk(&mut since, &mut peer, None, 40..100);
    let part = PathBuf::from(format!("{}.part", tape.path.display()));
    let so_far = channels(&part);
    assert!(so_far.len() == 1 && so_far[0].len() > 8000, "{} samples", so_far[0].len());
    assert_run(&so_far[0], Law::Mu, 0..40);
    pause(200);
    drop(leg);
    let RecordingEvent::Ended(summary) = tape.event().await else { panic!("no end") };
    assert!(matches!(summary.end, RecordingEnd::LegClosed), "{summary:?}");
    let heard = channels(&tape.path);
    let before = assert_run(&heard[0], Law::Mu, 0..40);
    let after = assert_run(&heard[0], Law::Mu, 40..100);
    assert_eq!(after - before, 48 * 160);
    assert!(heard[0][before + 40 * 160..after].iter().all(|&sample| sample == 0), "the key sounds");
    assert!(!part.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_left_out_and_a_dropped_handle_leaves_a_whole_file() {
    let media = engine(settings(50_400));
    let (one, mut caller) = side(&media, None, Law::Mu).await;
    let (other, mut taker) = side(&media, Some(&one), Law::Mu).await;
    one.bridge(&other).expect("taken");
    let mut tape = Tape::new();
    let recording = media.record(tape.settings.clone(), &one, Some(&other)).expect("recorded");
    // The media thread takes commands once a tick.
    pause(150);
    let mut since = Instant::now();
    talk(&mut since, &mut caller, Some(&mut taker), 0..30);
    // On a busy machine a packet is read late.
    pause(300);
    recording.pause().expect("taken");
    talk(&mut since, &mut caller, Some(&mut taker), 200..240);
    pause(300);
    recording.resume();
    // What is placed by its time stamp must not fall into the pause by a few milliseconds.
    pause(300);
    talk(&mut since, &mut caller, Some(&mut taker), 300..330);
    pause(300);
    drop(recording);
    let RecordingEvent::Ended(summary) = tape.event().await else { panic!("no end") };
    let noted = summary.pauses[0];
    assert!(summary.pauses.len() == 1 && noted.lasted_ms.is_some_and(|ms| ms >= 860), "{noted:?}");
    let heard = channels(&tape.path);
    for (channel, seed) in [(0, 0), (1, 10_000)] {
        assert_run(&heard[channel], Law::Mu, seed..seed + 30);
        assert_run(&heard[channel], Law::Mu, seed + 300..seed + 330);
        assert!((200..240).all(|at| place(&heard[channel], Law::Mu, seed + at).is_none()));
    }
    let (left, right) = (place(&heard[0], Law::Mu, 300), place(&heard[1], Law::Mu, 10_300));
    assert!(left.zip(right).is_some_and(|(left, right)| left.abs_diff(right) <= 240), "{left:?} {right:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_says_nothing_more_is_told_and_a_file_that_cannot_be_made_too() {
    let media = engine(settings(50_600));
    let (leg, mut peer) = side(&media, None, Law::Mu).await;
    let mut tape = Tape::new();
    tape.settings.silence = Some(Duration::from_millis(900));
    let mut recording = media.record(tape.settings.clone(), &leg, None).expect("recorded");
    // The media thread takes commands once a tick.
    pause(150);
    let mut since = Instant::now();
    talk(&mut since, &mut peer, None, 0..40);
    let said = Instant::now();
    let event = tape.event().await;
    assert!(matches!(event, RecordingEvent::Silence { heard_before: true }), "{event:?}");
    let after = said.elapsed().as_millis();
    assert!((900..2500).contains(&after), "after {after} ms");
    assert_eq!(recording.follow(&leg), Err(RecordError::Mono));
    assert!(recording.stop().await.voice_ms >= 700);
    let mut lost = Tape::new();
    lost.settings.path = "/nowhere/at/all.wav".into();
    let recording = media.record(lost.settings.clone(), &leg, None).expect("begun");
    let RecordingEvent::Ended(summary) = lost.event().await else { panic!("no end") };
    assert!(matches!(summary.end, RecordingEnd::Failed { .. }) && summary.path.is_none());
    assert!(matches!(recording.stop().await.end, RecordingEnd::Failed { .. }), "said again to the handle");
    assert_eq!(media.snapshot().recorder.failed, 1);
    assert_eq!(peer.header.payload_type, PayloadType::PCMU);
}
