//! Tones: ringback, DTMF, and how much of a signal stands at one frequency.

use std::f64::consts::TAU;

use crate::{SAMPLE_RATE, dtmf::Digit};

/// Peak of a sine at 0 dBm0 on the 16-bit scale: mu-law's overload point, +3.17 dBm0, is 32124 (G.711).
pub const PEAK_AT_0_DBM0: f64 = 22_300.0;

/// Frequencies in hertz of the rows of the keypad (ITU-T Q.23).
pub const DTMF_ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];

/// Frequencies in hertz of the columns of the keypad (ITU-T Q.23).
pub const DTMF_COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// One sine: frequency in hertz and level in dBm0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// Hertz.
    pub frequency: f64,
    /// Level in dBm0.
    pub level_dbm0: f64,
}

/// So many samples of the tones added together, clipped to 16 bits.
pub fn mix(tones: &[Tone], samples: usize) -> Vec<i16> {
    let mut sum = vec![0.0_f64; samples];
    for tone in tones {
        let peak = PEAK_AT_0_DBM0 * 10_f64.powf(tone.level_dbm0 / 20.0);
        let step = TAU * tone.frequency / f64::from(SAMPLE_RATE);
        let mut index = 0.0;
        for value in &mut sum {
            *value += peak * (step * index).sin();
            index += 1.0;
        }
    }
    // A float cast saturates.
    sum.into_iter().map(|value| value.round() as i16).collect()
}

/// One period of North American ringback: 440 and 480 Hz for 2 s, then 4 s of silence. Both tones complete
/// whole cycles, so that it can be repeated without a click.
pub fn ringback(level_dbm0: f64) -> Vec<i16> {
    let tones = [440.0, 480.0].map(|frequency| Tone { frequency, level_dbm0 });
    let mut samples = mix(&tones, RINGBACK_ON_SAMPLES);
    samples.resize(RINGBACK_SAMPLES, 0);
    samples
}

/// The two tones of a key, each at the given level.
pub fn dtmf(digit: Digit, level_dbm0: f64, samples: usize) -> Vec<i16> {
    let (row, column) = dtmf_frequencies(digit);
    mix(&[row, column].map(|frequency| Tone { frequency, level_dbm0 }), samples)
}

/// Row and column frequency in hertz of a key (ITU-T Q.23).
pub const fn dtmf_frequencies(digit: Digit) -> (f64, f64) {
    let [r1, r2, r3, r4] = DTMF_ROWS;
    let [c1, c2, c3, c4] = DTMF_COLUMNS;
    match digit {
        Digit::One => (r1, c1),
        Digit::Two => (r1, c2),
        Digit::Three => (r1, c3),
        Digit::A => (r1, c4),
        Digit::Four => (r2, c1),
        Digit::Five => (r2, c2),
        Digit::Six => (r2, c3),
        Digit::B => (r2, c4),
        Digit::Seven => (r3, c1),
        Digit::Eight => (r3, c2),
        Digit::Nine => (r3, c3),
        Digit::C => (r3, c4),
        Digit::Star => (r4, c1),
        Digit::Zero => (r4, c2),
        Digit::Pound => (r4, c3),
        Digit::D => (r4, c4),
    }
}

/// The share, 0 to 1, of a signal's power that stands at one frequency in hertz; 0 for silence.
pub fn power_share(samples: &[i16], frequency: f64) -> f64 {
    let total: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    if total == 0.0 {
        return 0.0;
    }
    let turn = 2.0 * (TAU * frequency / f64::from(SAMPLE_RATE)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in samples {
        (last, before) = (f64::from(sample) + turn * last - before, last);
    }
    let energy = last * last + before * before - turn * last * before;
    2.0 * energy / (total * samples.len() as f64)
}

/// Level of a signal in dBm0 by its mean power; minus infinity for silence.
pub fn level_dbm0(samples: &[i16]) -> f64 {
    let total: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    let mean = total / samples.len().max(1) as f64;
    10.0 * (2.0 * mean / PEAK_AT_0_DBM0.powi(2)).log10()
}

const RINGBACK_ON_SAMPLES: usize = 2 * SAMPLE_RATE as usize;
const RINGBACK_SAMPLES: usize = 6 * SAMPLE_RATE as usize;
