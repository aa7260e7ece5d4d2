//! Where each packet lies on the time of a recording.
//!
//! Time counts in samples since the recording began, the same for all channels. A source's first packet lies where it
//! came; the others lie by their RTP timestamps, so that losses, reordering and jitter leave neither gaps too many
//! nor shifts. A new source, timestamps that jump and a clock that runs fast or slow are brought back to the
//! time of arrival, so that both sides stay in step.

use std::collections::VecDeque;

use rtp_proto::{
    FRAME_SAMPLES,
    inband::{Detector, HEARD_AFTER_SAMPLES},
    rtp::{RtpTimestamp, SequenceNumber, Ssrc},
};

use super::tap::{Content, Entry};

/// One frame of 20 ms of each channel.
pub(crate) type Frames = [[i16; FRAME_SAMPLES]];

/// All channels of a recording.
#[derive(Debug)]
pub(crate) struct Timeline {
    tracks: Vec<Track>,
    /// Until here digits were looked for.
    heard: u64,
    /// Until here it was given out.
    given: u64,
    mutes_digits: bool,
    late: u64,
}

#[derive(Debug, Default)]
struct Track {
    /// Samples from `given` on.
    samples: VecDeque<i16>,
    sync: Option<Sync>,
    detector: Detector,
    /// From and until; what lies there is not given out.
    mutes: VecDeque<(u64, u64)>,
}

/// How timestamps of a source translate.
#[derive(Debug)]
struct Sync {
    ssrc: Ssrc,
    newest: SequenceNumber,
    timestamp: RtpTimestamp,
    /// Where the newest packet lies.
    position: i64,
    /// The least delay of the last packets against the first one, and how many those were.
    lag_min: i64,
    count: u32,
    /// Packets in a row that seemed too late.
    late: u32,
}

impl Timeline {
    /// Nothing was heard on one or more channels.
    pub(crate) fn new(channels: usize, mutes_digits: bool) -> Self {
        let tracks = (0..channels).map(|_| Track::default()).collect();
        Self { tracks, heard: 0, given: 0, mutes_digits, late: 0 }
    }

    /// Samples that came too late, or too far ahead, to be placed.
    pub(crate) fn late(&self) -> u64 {
        self.late
    }

    /// Until where it was given out.
    pub(crate) fn given(&self) -> u64 {
        self.given
    }

    /// The end of what was placed.
    pub(crate) fn end(&self) -> u64 {
        let longest = self.tracks.iter().map(|track| track.samples.len()).max().unwrap_or(0);
        self.given + longest as u64
    }

    /// Somebody else is heard on a channel from now on.
    pub(crate) fn begin_source(&mut self, channel: usize) {
        if let Some(track) = self.tracks.get_mut(channel) {
            track.sync = None;
        }
    }

    /// Places a packet on a channel.
    pub(crate) fn take(&mut self, channel: usize, entry: &Entry, payload: &[u8]) {
        let Some(track) = self.tracks.get_mut(channel) else { return };
        match entry.what {
            Content::Audio(law) => match track.place(self.given, entry) {
                Some(position) => {
                    // Inside what `place` allows.
                    let from = (position - self.given) as usize;
                    let until = from + payload.len();
                    if track.samples.len() < until {
                        track.samples.resize(until, 0);
                    }
                    let places = track.samples.range_mut(from..until);
                    places.zip(payload).for_each(|(place, &byte)| *place = law.decode(byte));
                }
                None => self.late += payload.len() as u64,
            },
            Content::Event { duration } => {
                if self.mutes_digits {
                    let duration = u64::from(duration);
                    let began = track.event_began(entry, duration);
                    track.mute(began.saturating_sub(MUTE_AROUND), began + duration + MUTE_AROUND);
                }
            }
        }
    }

    /// Gives out whole frames that no packet can change any more when all that came until `now` was taken.
    pub(crate) fn advance(&mut self, now: u64, mut give: impl FnMut(u64, &Frames)) {
        while self.heard + FRAME + HOLD <= now {
            self.hear();
            if self.given + FRAME + self.look_back() <= self.heard {
                self.give(&mut give);
            }
        }
    }

    /// Gives out the rest, up to a time.
    pub(crate) fn finish(&mut self, end: u64, mut give: impl FnMut(u64, &Frames)) {
        while self.given < end {
            while self.heard < self.given + FRAME + self.look_back() {
                self.hear();
            }
            self.give(&mut give);
        }
    }

    /// A tone is known as a digit some time after it began, and what came shortly before is not given out either.
    fn look_back(&self) -> u64 {
        if self.mutes_digits { (HEARD_AFTER_SAMPLES as u64 + MUTE_AROUND).next_multiple_of(FRAME) } else { 0 }
    }

    fn hear(&mut self) {
        if self.mutes_digits {
            let (from, until) = (self.heard, self.heard + FRAME);
            for track in &mut self.tracks {
                let frame = track.frame((from - self.given) as usize);
                let mut began = false;
                track.detector.handle(frame, |_| began = true);
                if began || track.detector.hears_digit() {
                    track.mute(
                        from.saturating_sub(HEARD_AFTER_SAMPLES as u64 + MUTE_AROUND),
                        until + MUTE_AROUND,
                    );
                }
            }
        }
        self.heard += FRAME;
    }

    fn give(&mut self, give: &mut impl FnMut(u64, &Frames)) {
        let mut frames = [[0; FRAME_SAMPLES]; CHANNELS_MAX];
        let until = self.given + FRAME;
        for (track, frame) in self.tracks.iter_mut().zip(&mut frames) {
            *frame = track.frame(0);
            for &(from, to) in &track.mutes {
                let muted = (self.given..until).zip(frame.iter_mut());
                muted.filter(|(at, _)| (from..to).contains(at)).for_each(|(_, sample)| *sample = 0);
            }
            track.mutes.retain(|&(_, to)| to > until);
            let rest = track.samples.len();
            track.samples.drain(..FRAME_SAMPLES.min(rest));
        }
        give(self.given, frames.get(..self.tracks.len()).unwrap_or_default());
        self.given = until;
    }
}

impl Track {
    /// Where a packet of sound lies; none when its time was given out, or when it runs far ahead.
    fn place(&mut self, given: u64, entry: &Entry) -> Option<u64> {
        let arrived = i64::from(entry.arrived);
        let given = given.cast_signed();
        if let Some(sync) = self.sync.as_mut().filter(|sync| sync.ssrc == entry.ssrc) {
            let position = sync.position_of(entry.timestamp);
            let ahead = entry.sequence.since(sync.newest);
            if (given..=arrived + AHEAD_MAX).contains(&position) {
                if ahead > 0 {
                    sync.advance(entry, position);
                }
                sync.late = 0;
                return u64::try_from(position).ok();
            }
            // A few are stragglers; many are a source that began anew.
            if position < given && (-MISORDER_MAX..=0).contains(&ahead) && sync.late < STRAGGLERS_MAX {
                sync.late += 1;
                return None;
            }
        }
        let end = given + i64::try_from(self.samples.len()).unwrap_or(0);
        let position = arrived.max(end);
        if position > arrived + AHEAD_MAX {
            return None;
        }
        self.sync = Some(Sync {
            ssrc: entry.ssrc,
            newest: entry.sequence,
            timestamp: entry.timestamp,
            position,
            lag_min: arrived - position,
            count: 0,
            late: 0,
        });
        u64::try_from(position).ok()
    }

    fn event_began(&self, entry: &Entry, duration: u64) -> u64 {
        let arrived = u64::from(entry.arrived);
        let known = self.sync.as_ref().filter(|sync| sync.ssrc == entry.ssrc);
        let position = known.and_then(|sync| u64::try_from(sync.position_of(entry.timestamp)).ok());
        position
            .filter(|&position| position <= arrived + AHEAD_MAX.unsigned_abs())
            .unwrap_or(arrived.saturating_sub(duration))
    }

    fn mute(&mut self, from: u64, until: u64) {
        match self.mutes.back_mut().filter(|(_, to)| *to >= from) {
            Some((start, to)) => (*start, *to) = (from.min(*start), until.max(*to)),
            None => self.mutes.push_back((from, until)),
        }
    }

    fn frame(&self, from: usize) -> [i16; FRAME_SAMPLES] {
        let mut frame = [0; FRAME_SAMPLES];
        let there = self.samples.iter().skip(from);
        frame.iter_mut().zip(there).for_each(|(place, &sample)| *place = sample);
        frame
    }
}

impl Sync {
    fn position_of(&self, timestamp: RtpTimestamp) -> i64 {
        self.position + i64::from(timestamp.since(self.timestamp))
    }

    /// A newer packet. The least delay of many shows how the source's clock runs against ours, whatever the jitter.
    fn advance(&mut self, entry: &Entry, position: i64) {
        (self.newest, self.timestamp, self.position) = (entry.sequence, entry.timestamp, position);
        let lag = i64::from(entry.arrived) - position;
        self.lag_min = if self.count == 0 { lag } else { self.lag_min.min(lag) };
        self.count += 1;
        if self.count == LAG_PACKETS {
            if self.lag_min.abs() > LAG_MAX {
                self.position += self.lag_min;
            }
            self.count = 0;
        }
    }
}

pub(crate) const CHANNELS_MAX: usize = 2;
const FRAME: u64 = FRAME_SAMPLES as u64;
/// 250 ms: how long a packet may be late.
pub(crate) const HOLD: u64 = 2000;
/// 100 ms before and after a digit.
const MUTE_AROUND: u64 = 800;
/// One second: sources may burst, but not buy time.
const AHEAD_MAX: i64 = 8000;
/// 40 ms, by which a clock at 50 parts in a million is off after a quarter of an hour.
const LAG_MAX: i64 = 320;
/// Two and a half seconds of packets of 20 ms.
const LAG_PACKETS: u32 = 128;
const MISORDER_MAX: i16 = 100;
const STRAGGLERS_MAX: u32 = 4;
