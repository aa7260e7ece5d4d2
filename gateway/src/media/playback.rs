//! What a leg plays: sounds one after the other, once or for ever, and how far it has come.

use rtp_proto::{frames::Audio, g711::Law};
use vestibule_routing::journey::PlaybackId;

/// One piece of a playback.
#[derive(Clone, Debug)]
pub enum Sound {
    /// Encoded audio, shared by every leg that plays it.
    Audio(Audio),
    /// Silence of so many samples (8 to a millisecond).
    Silence {
        /// Length in samples of 8 kHz.
        samples: u32,
    },
}

impl Sound {
    fn samples(&self) -> usize {
        match self {
            Self::Audio(audio) => audio.law(Law::Mu).len(),
            Self::Silence { samples } => usize::try_from(*samples).unwrap_or(usize::MAX),
        }
    }
}

/// A playback with its position. It holds its sounds, so that a publish never cuts a prompt short.
#[derive(Debug)]
pub(crate) struct Playback {
    pub(crate) id: PlaybackId,
    sounds: Box<[Sound]>,
    index: usize,
    offset: usize,
    looped: bool,
    played: u64,
}

impl Playback {
    /// Starts at `start_samples`; a looped playback takes it modulo its length, another one ends at once
    /// when it lies past the end.
    pub(crate) fn new(id: PlaybackId, sounds: Vec<Sound>, looped: bool, start_samples: u64) -> Self {
        let sounds: Box<[Sound]> = sounds.into_iter().filter(|sound| sound.samples() > 0).collect();
        let total: u64 = sounds.iter().map(|sound| sound.samples() as u64).sum();
        let mut playback = Self { id, index: 0, offset: 0, looped: looped && total > 0, played: 0, sounds };
        let start = if playback.looped { start_samples % total } else { start_samples.min(total) };
        playback.skip(start);
        playback.played = 0;
        playback
    }

    /// Whether all was played.
    pub(crate) fn is_done(&self) -> bool {
        self.index >= self.sounds.len()
    }

    /// Samples played since the start, over all rounds.
    pub(crate) fn played_samples(&self) -> u64 {
        self.played
    }

    /// Where in the list of sounds it stands: the start offset with which it would go on.
    pub(crate) fn position_samples(&self) -> u64 {
        let before: u64 = self.sounds.iter().take(self.index).map(|sound| sound.samples() as u64).sum();
        before + self.offset as u64
    }

    /// Writes the next samples in the wanted law; silence after the end.
    pub(crate) fn fill(&mut self, law: Law, frame: &mut [u8]) {
        let mut filled = 0;
        while filled < frame.len() {
            let rest = frame.len() - filled;
            let Some(sound) = self.sounds.get(self.index) else {
                frame[filled..].fill(law.silence());
                return;
            };
            let count = rest.min(sound.samples() - self.offset);
            let target = &mut frame[filled..filled + count];
            match sound {
                Sound::Audio(audio) => match audio.law(law).get(self.offset..self.offset + count) {
                    Some(bytes) => target.copy_from_slice(bytes),
                    None => target.fill(law.silence()),
                },
                Sound::Silence { .. } => target.fill(law.silence()),
            }
            filled += count;
            self.advance(count);
        }
    }

    /// Passes over samples, as if they had been played: the thread was late.
    pub(crate) fn skip(&mut self, samples: u64) {
        let mut rest = samples;
        while rest > 0 {
            let Some(sound) = self.sounds.get(self.index) else { return };
            let left = sound.samples() - self.offset;
            let count = left.min(usize::try_from(rest).unwrap_or(usize::MAX));
            self.advance(count);
            rest -= count as u64;
        }
    }

    fn advance(&mut self, samples: usize) {
        self.offset += samples;
        self.played += samples as u64;
        if self.sounds.get(self.index).is_some_and(|sound| self.offset >= sound.samples()) {
            self.offset = 0;
            self.index += 1;
            if self.looped && self.index == self.sounds.len() {
                self.index = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sounds() -> Vec<Sound> {
        vec![
            Sound::Audio(Audio::encode(&[1000; 160])),
            Sound::Silence { samples: 100 },
            Sound::Audio(Audio::encode(&[-1000; 320])),
        ]
    }

    #[test]
    fn a_frame_goes_across_sounds_and_ends_in_silence() {
        let mut playback = Playback::new(PlaybackId(1), sounds(), false, 100);
        let (loud, quiet, silence) = (Law::Mu.encode(1000), Law::Mu.encode(-1000), Law::Mu.silence());
        let mut frame = [0; 480];
        playback.fill(Law::Mu, &mut frame);
        assert!(frame[..60].iter().all(|&byte| byte == loud));
        assert!(frame[60..160].iter().all(|&byte| byte == silence));
        assert!(frame[160..].iter().all(|&byte| byte == quiet));
        assert!(playback.is_done());
        assert_eq!(playback.played_samples(), 480);
        playback.fill(Law::Mu, &mut frame);
        assert_eq!(frame, [silence; 480]);
        assert_eq!(playback.played_samples(), 480);
    }

    #[test]
    fn a_position_is_where_the_same_sounds_go_on() {
        for start in [0, 1, 159, 160, 260, 579, 580, 1000] {
            let mut playback = Playback::new(PlaybackId(1), sounds(), true, start);
            assert_eq!(playback.position_samples(), start % 580);
            playback.skip(700);
            assert_eq!(playback.position_samples(), (start + 700) % 580);
            assert_eq!(playback.played_samples(), 700);
        }
    }

    #[test]
    fn a_start_past_the_end_is_the_end() {
        assert!(Playback::new(PlaybackId(1), sounds(), false, 580).is_done());
        assert!(Playback::new(PlaybackId(1), sounds(), false, u64::MAX).is_done());
    }
}
