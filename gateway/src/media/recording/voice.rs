//! Whether somebody speaks: the energy of frames against a floor that follows the noise of the line.

/// Tells voice from silence, frame by frame of 20 ms.
#[derive(Debug)]
pub(crate) struct Voice {
    /// Mean square of the quietest that was heard lately.
    floor: f64,
    speaking: bool,
    /// Frames in a row that speak for the other state.
    against: u32,
    /// Frames of voice.
    voiced: u64,
    /// Frames since the last voice, or since the start.
    silent: u64,
}

impl Voice {
    pub(crate) fn new() -> Self {
        Self { floor: LEVEL_MIN, speaking: false, against: 0, voiced: 0, silent: 0 }
    }

    /// Takes the next frame.
    pub(crate) fn hear(&mut self, frame: &[i16]) {
        let sum: f64 = frame.iter().map(|&sample| f64::from(sample) * f64::from(sample)).sum();
        let power = sum / frame.len().max(1) as f64;
        self.floor = if power < self.floor { power } else { self.floor * RISE }.clamp(FLOOR_MIN, FLOOR_MAX);
        let (limit, frames) = if self.speaking {
            ((self.floor * STOP_OVER_FLOOR).max(LEVEL_MIN / 2.0), STOP_FRAMES)
        } else {
            ((self.floor * START_OVER_FLOOR).max(LEVEL_MIN), START_FRAMES)
        };
        self.against = if (power >= limit) == self.speaking { 0 } else { self.against + 1 };
        if self.against == frames {
            self.speaking = !self.speaking;
            self.against = 0;
        }
        if self.speaking {
            self.voiced += 1;
            self.silent = 0;
        } else {
            self.silent += 1;
        }
    }

    /// How long it has been silent, in milliseconds.
    pub(crate) fn silent_ms(&self) -> u64 {
        self.silent * FRAME_MS
    }

    /// How much voice was heard, in milliseconds, the pauses between words included.
    pub(crate) fn voiced_ms(&self) -> u64 {
        self.voiced * FRAME_MS
    }

    /// A pause of the recording is no silence of the caller.
    pub(crate) fn begin_anew(&mut self) {
        self.silent = 0;
    }
}

const FRAME_MS: u64 = 20;
/// Mean square of a sine at 0 dBm0.
const AT_0_DBM0: f64 = rtp_proto::tone::PEAK_AT_0_DBM0 * rtp_proto::tone::PEAK_AT_0_DBM0 / 2.0;
/// -47 dBm0: quieter is no voice, whatever the floor; comfort noise and idle lines stay below.
const LEVEL_MIN: f64 = AT_0_DBM0 * 2e-5;
/// -70 and -33 dBm0.
const FLOOR_MIN: f64 = AT_0_DBM0 * 1e-7;
const FLOOR_MAX: f64 = AT_0_DBM0 * 5e-4;
/// 1.5 dB a second: a loud room is learnt in some seconds, and a long sentence hides no voice.
const RISE: f64 = 1.0069;
/// 9 and 6 dB.
const START_OVER_FLOOR: f64 = 8.0;
const STOP_OVER_FLOOR: f64 = 4.0;
/// 60 ms, so that clicks are no voice; 300 ms, so that the gaps of speech are no silence.
const START_FRAMES: u32 = 3;
const STOP_FRAMES: u32 = 15;

#[cfg(test)]
mod tests {
    use rtp_proto::tone::{self, Tone};

    use super::*;

    fn tone(level_dbm0: f64) -> Vec<i16> {
        tone::mix(&[Tone { frequency: 440.0, level_dbm0 }], 160)
    }

    /// Noise of a level, the same each time.
    fn noise(seed: &mut u32, level_dbm0: f64) -> Vec<i16> {
        let peak = (3.0 * AT_0_DBM0).sqrt() * 10_f64.powf(level_dbm0 / 20.0);
        (0..160)
            .map(|_| {
                *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((f64::from(*seed >> 8) / f64::from(1 << 23) - 1.0) * peak) as i16
            })
            .collect()
    }

    #[test]
    fn voice_begins_the_count_of_silence_anew_and_clicks_do_not() {
        let mut voice = Voice::new();
        (0..100).for_each(|_| voice.hear(&[0; 160]));
        assert_eq!((voice.silent_ms(), voice.voiced_ms()), (2000, 0));
        (0..2).for_each(|_| voice.hear(&tone(-10.0)));
        assert_eq!(voice.silent_ms(), 2040, "a click");
        voice.hear(&[0; 160]);
        (0..50).for_each(|_| voice.hear(&tone(-20.0)));
        assert_eq!(voice.silent_ms(), 0);
        (0..10).for_each(|_| voice.hear(&[0; 160]));
        assert_eq!(voice.silent_ms(), 0, "between two words");
        (0..500).for_each(|_| voice.hear(&[0; 160]));
        assert!((9_600..10_200).contains(&voice.silent_ms()), "{}", voice.silent_ms());
        assert!((1000..1400).contains(&voice.voiced_ms()), "{}", voice.voiced_ms());
    }

    #[test]
    fn comfort_noise_is_silence_at_once_and_a_loud_room_after_a_while() {
        let (mut voice, mut seed) = (Voice::new(), 1);
        (0..500).for_each(|_| voice.hear(&noise(&mut seed, -50.0)));
        assert_eq!((voice.silent_ms(), voice.voiced_ms()), (10_000, 0));
        for _ in 0..1500 {
            voice.hear(&noise(&mut seed, -38.0));
        }
        assert!(voice.silent_ms() > 10_000, "{}", voice.silent_ms());
        for _ in 0..25 {
            voice.hear(&tone(-22.0));
        }
        assert_eq!(voice.silent_ms(), 0, "speech in the loud room");
    }

    #[test]
    fn a_minute_of_speech_with_ordinary_gaps_is_never_silent() {
        let (mut voice, mut seed) = (Voice::new(), 1);
        for frame in 0..3000 {
            // Words of half a second, gaps of 200 ms with some noise.
            let speaks = frame % 35 < 25;
            voice.hear(&if speaks { tone(-25.0) } else { noise(&mut seed, -55.0) });
            assert!(voice.silent_ms() <= 100, "at frame {frame}");
        }
    }
}
