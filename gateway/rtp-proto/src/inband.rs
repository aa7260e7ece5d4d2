//! DTMF in the audio itself (ITU-T Q.23, Q.24), for legs without telephone events. Run it on no others, or digits
//! count twice.
//!
//! Goertzel filters at the eight frequencies over blocks of 7.5 ms give the amplitude and the phase of each. What
//! a tone's phase gains from block to block tells its true frequency, and with that the last four blocks are added
//! up in step, so that a tone 1.5 % off loses nothing. A digit begins when one row and one column, both near
//! enough to their frequencies and in level to each other, make up nearly the whole of those 30 ms: that is what
//! speech fails, and tones that last less than 25 ms. It ends when three blocks in a row lack it, so a pause of 30 ms
//! always parts two digits and an interruption of 10 ms none.

use std::f32::consts::{PI, TAU};

use crate::{dtmf::Digit, g711::Law, tone::PEAK_AT_0_DBM0};

/// Finds digits in the audio of one stream. Takes frames of any size.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    last: [f32; 8],
    before: [f32; 8],
    energy: f32,
    count: u16,
    /// The newest last.
    blocks: [Block; BLOCKS],
    held: Option<Held>,
}

/// A block at the eight frequencies: real and imaginary parts, with the phase of the block's end, and its energy.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    re: [f32; 8],
    im: [f32; 8],
    energy: f32,
}

/// The digit that was told and goes on.
#[derive(Clone, Copy, Debug)]
struct Held {
    pair: Pair,
    /// Blocks in a row that lacked it.
    lacking: u8,
}

/// A row and a column, by their places among the eight frequencies, and their powers over a window, unscaled.
#[derive(Clone, Copy, Debug)]
struct Pair {
    digit: Digit,
    row: usize,
    row_power: f32,
    column: usize,
    column_power: f32,
}

impl Detector {
    /// A detector that has heard nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes linear samples at 8 kHz and calls `heard` as each digit begins.
    pub fn handle(&mut self, samples: impl IntoIterator<Item = i16>, mut heard: impl FnMut(Digit)) {
        for sample in samples {
            self.filter(f32::from(sample));
            if self.count == BLOCK_SAMPLES {
                self.end_block();
                self.advance(&mut heard);
            }
        }
    }

    /// Takes a payload of G.711 and calls `heard` as each digit begins.
    pub fn handle_g711(&mut self, law: Law, payload: &[u8], heard: impl FnMut(Digit)) {
        match law {
            Law::Mu => self.handle(payload.iter().map(|&byte| crate::g711::ulaw_to_linear(byte)), heard),
            Law::A => self.handle(payload.iter().map(|&byte| crate::g711::alaw_to_linear(byte)), heard),
        }
    }

    /// Whether the digit that was heard last still sounds, or ended less than 23 ms ago.
    pub fn hears_digit(&self) -> bool {
        self.held.is_some()
    }

    fn filter(&mut self, sample: f32) {
        self.energy += sample * sample;
        self.count = self.count.saturating_add(1);
        for ((last, before), (cosine, _)) in self.last.iter_mut().zip(&mut self.before).zip(STEPS) {
            (*last, *before) = (sample + 2.0 * cosine * *last - *before, *last);
        }
    }

    fn end_block(&mut self) {
        let mut block = Block { energy: self.energy, ..Block::default() };
        let filters = self.last.into_iter().zip(self.before).zip(STEPS);
        for (((last, before), (cosine, sine)), (re, im)) in
            filters.zip(block.re.iter_mut().zip(&mut block.im))
        {
            *re = last - cosine * before;
            *im = sine * before;
        }
        let [_, second, third, fourth] = self.blocks;
        self.blocks = [second, third, fourth, block];
        self.last = [0.0; 8];
        self.before = [0.0; 8];
        self.energy = 0.0;
        self.count = 0;
    }

    fn advance(&mut self, heard: &mut impl FnMut(Digit)) {
        if let Some(held) = &mut self.held {
            let [.., newest] = &self.blocks;
            held.lacking = if newest.holds(held.pair) { 0 } else { held.lacking.saturating_add(1) };
            if held.lacking == LACKING_MAX {
                self.held = None;
            }
        }
        if let Some(pair) = self.judge()
            && self.held.is_none_or(|held| held.pair.digit != pair.digit)
        {
            self.held = Some(Held { pair, lacking: 0 });
            heard(pair.digit);
        }
    }

    /// The pair that makes up the last blocks.
    fn judge(&self) -> Option<Pair> {
        let mut powers = [0.0_f32; 8];
        for block in &self.blocks {
            for (power, (re, im)) in powers.iter_mut().zip(block.re.iter().zip(&block.im)) {
                *power += re * re + im * im;
            }
        }
        let [r0, r1, r2, r3, c0, c1, c2, c3] = powers;
        let (row, row_power) = strongest([r0, r1, r2, r3])?;
        let (column, column_power) = strongest([c0, c1, c2, c3])?;
        // A sine that fills the window gives 2 * power = energy * samples.
        let energy: f32 = self.blocks.iter().map(|block| block.energy).sum();
        let power_min = POWER_MIN.max(SHARE_MIN * energy * WINDOW_SAMPLES / 2.0);
        // Blocks in step add up to this much at most, so nearly all speech ends here.
        if (row_power + column_power) * (BLOCKS as f32) * CORRECTION_MAX < power_min {
            return None;
        }
        let digit = *KEYS.get(row)?.get(column)?;
        let column = column.saturating_add(4);
        let row_power = self.power_in_step(row)?;
        let column_power = self.power_in_step(column)?;
        let balanced = column_power <= row_power * COLUMN_OVER_ROW_MAX
            && row_power <= column_power * ROW_OVER_COLUMN_MAX;
        (balanced && row_power + column_power >= power_min).then_some(Pair {
            digit,
            row,
            row_power,
            column,
            column_power,
        })
    }

    /// The power over all blocks of the tone near a frequency, unless it is too far off.
    fn power_in_step(&self, place: usize) -> Option<f32> {
        let nominal = *ADVANCES.get(place)?;
        let mut parts = [(0.0_f32, 0.0_f32); BLOCKS];
        for (part, block) in parts.iter_mut().zip(&self.blocks) {
            *part = block.at(place)?;
        }
        let (mut re, mut im) = (0.0, 0.0);
        for ((a, b), (c, d)) in parts.iter().zip(parts.iter().skip(1)) {
            re += a * c + b * d;
            im += a * d - b * c;
        }
        let length = re.hypot(im);
        let off = (im.atan2(re) - nominal + PI).rem_euclid(TAU) - PI;
        if length == 0.0 || off.abs() > nominal * DEVIATION_MAX {
            return None;
        }
        let (turn_re, turn_im) = (re / length, im / length);
        let (re, im) = parts.into_iter().fold((0.0, 0.0), |(re, im), (a, b)| {
            (re * turn_re - im * turn_im + a, re * turn_im + im * turn_re + b)
        });
        // What each block loses because the tone runs away from its filter.
        let correction = 1.0 + off * off / 12.0;
        Some((re * re + im * im) * correction)
    }
}

impl Block {
    fn at(&self, place: usize) -> Option<(f32, f32)> {
        Some((*self.re.get(place)?, *self.im.get(place)?))
    }

    /// Whether both tones of a pair are still there.
    fn holds(&self, pair: Pair) -> bool {
        let holds = |place, power: f32| {
            self.at(place).is_some_and(|(re, im)| (re * re + im * im) * BLOCK_POWER_DROP_MAX >= power)
        };
        holds(pair.row, pair.row_power) && holds(pair.column, pair.column_power)
    }
}

/// The strongest of a group: its place and its power.
fn strongest(powers: [f32; 4]) -> Option<(usize, f32)> {
    powers.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))
}

const KEYS: [[Digit; 4]; 4] = [
    [Digit::One, Digit::Two, Digit::Three, Digit::A],
    [Digit::Four, Digit::Five, Digit::Six, Digit::B],
    [Digit::Seven, Digit::Eight, Digit::Nine, Digit::C],
    [Digit::Star, Digit::Zero, Digit::Pound, Digit::D],
];

/// 7.5 ms: four of them, wherever they begin, lie within 37.5 ms, and the phase of a tone 3.5 % off gains less than
/// half a turn in one.
const BLOCK_SAMPLES: u16 = 60;

/// Blocks in the window in which a digit must stand.
const BLOCKS: usize = 4;

const WINDOW_SAMPLES: f32 = BLOCK_SAMPLES as f32 * BLOCKS as f32;

/// Cosine and sine of each frequency's angle in one sample; checked against the frequencies by a test.
const STEPS: [(f32, f32); 8] = [
    (0.8538689, 0.5204881),
    (0.8226405, 0.5685619),
    (0.7843435, 0.6203268),
    (0.7391023, 0.6735932),
    (0.582052, 0.8131516),
    (0.4981851, 0.8670707),
    (0.3993092, 0.9168163),
    (0.2842664, 0.9587453),
];

/// Each frequency's angle in one block.
const ADVANCES: [f32; 8] = [32.84535, 36.2854, 40.14955, 44.34358, 56.97278, 62.95752, 69.60199, 76.95331];

/// Of the frequency. Q.24: 1.5 % is to be taken and 3.5 % not.
const DEVIATION_MAX: f32 = 0.025;

/// The correction for the highest frequency, that far off.
const CORRECTION_MAX: f32 = 1.31;

/// Of the window's whole power, for both tones together. Noise at 12 dB leaves 0.94; a tone of 23 ms gives 0.77, speech
/// in some voices 0.8.
const SHARE_MIN: f32 = 0.85;

/// From the start of a tone, in samples, until a digit is told of it at the latest: the window and the block
/// in which the tone began.
pub const HEARD_AFTER_SAMPLES: usize = BLOCK_SAMPLES as usize * (BLOCKS + 1);

/// So many blocks in a row without a digit end it.
const LACKING_MAX: u8 = 3;

/// 10 dB, from the power of a window to that of one block. An interruption of 10 ms leaves too little in two at most.
const BLOCK_POWER_DROP_MAX: f32 = 10.0 * (BLOCKS as f32) * (BLOCKS as f32);

/// 8 dB. Q.24 asks for 4 and some telephones send 6; the rest is for noise.
const COLUMN_OVER_ROW_MAX: f32 = 6.31;

/// 10 dB. Q.24 asks for 8; the rest is for noise.
const ROW_OVER_COLUMN_MAX: f32 = 10.0;

/// Both tones together at -27 dBm0: peak squared, times a quarter of the window squared.
const POWER_MIN: f32 = {
    let peak = PEAK_AT_0_DBM0 as f32;
    peak * peak / 500.0 * (WINDOW_SAMPLES / 2.0) * (WINDOW_SAMPLES / 2.0)
};

#[cfg(test)]
mod tests {
    use super::{ADVANCES, BLOCK_SAMPLES, STEPS};
    use crate::tone::{DTMF_COLUMNS, DTMF_ROWS};

    #[test]
    fn the_filters_stand_at_the_frequencies_of_the_keypad() {
        let frequencies = DTMF_ROWS.into_iter().chain(DTMF_COLUMNS);
        for ((step, advance), frequency) in STEPS.into_iter().zip(ADVANCES).zip(frequencies) {
            let angle = std::f64::consts::TAU * frequency / 8000.0;
            assert!((f64::from(step.0) - angle.cos()).abs() < 1e-6, "{frequency} Hz");
            assert!((f64::from(step.1) - angle.sin()).abs() < 1e-6, "{frequency} Hz");
            assert!((f64::from(advance) - angle * f64::from(BLOCK_SAMPLES)).abs() < 1e-4, "{frequency} Hz");
        }
    }
}
