//! DTMF in the audio itself (ITU-T Q.23, Q.24), for legs without telephone events. Run it on no others, or digits
//! count twice.
//!
//! Goertzel filters at the eight frequencies over blocks of 102 samples. A block holds a digit when one row and
//! one column stand out of their groups, their levels fit each other, and together they make up nearly the whole
//! signal: that last condition is what speech fails. Two such blocks in a row begin a digit, two without it end
//! it, so 40 ms of tone and 40 ms of pause always suffice and an interruption of 10 ms does not double a digit.

use crate::{dtmf::Digit, g711::Law, tone::PEAK_AT_0_DBM0};

/// Finds digits in the audio of one stream. Takes frames of any size.
#[derive(Clone, Debug, Default)]
pub struct Detector {
    last: [f32; 8],
    before: [f32; 8],
    energy: f32,
    count: u16,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Idle,
    /// One block had this digit.
    Suspected(Digit),
    /// The digit was told.
    Held(Block),
    /// One block lacked it.
    Fading(Block),
}

/// What a block holds, however impure.
#[derive(Clone, Copy, Debug)]
struct Block {
    digit: Digit,
    /// Of both tones, unscaled.
    power: f32,
    /// The two tones' part of the block's whole power.
    share: f32,
    /// Whether they stand well above the other six.
    clear: bool,
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
                let block = self.judge();
                self.last = [0.0; 8];
                self.before = [0.0; 8];
                self.energy = 0.0;
                self.count = 0;
                self.advance(block, &mut heard);
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

    fn filter(&mut self, sample: f32) {
        self.energy += sample * sample;
        self.count = self.count.saturating_add(1);
        for ((last, before), turn) in self.last.iter_mut().zip(&mut self.before).zip(TURNS) {
            (*last, *before) = (sample + turn * *last - *before, *last);
        }
    }

    /// The digit that stands out of the finished block.
    fn judge(&self) -> Option<Block> {
        let mut powers = [0.0_f32; 8];
        for (((power, last), before), turn) in powers.iter_mut().zip(self.last).zip(self.before).zip(TURNS) {
            *power = last * last + before * before - turn * last * before;
        }
        let [r0, r1, r2, r3, c0, c1, c2, c3] = powers;
        let (row, row_power, row_clear) = strongest([r0, r1, r2, r3])?;
        let (column, column_power, column_clear) = strongest([c0, c1, c2, c3])?;
        let balanced = column_power <= row_power * COLUMN_OVER_ROW_MAX
            && row_power <= column_power * ROW_OVER_COLUMN_MAX;
        if !balanced {
            return None;
        }
        let power = row_power + column_power;
        // A sine that fills the block gives 2 * power = energy * samples.
        let share = 2.0 * power / (self.energy * f32::from(BLOCK_SAMPLES));
        Some(Block { digit: key(row, column)?, power, share, clear: row_clear && column_clear })
    }

    fn advance(&mut self, block: Option<Block>, heard: &mut impl FnMut(Digit)) {
        let pure = block.filter(|block| block.clear && block.share >= SHARE_MIN && block.power >= POWER_MIN);
        self.state = match (self.state, pure) {
            (State::Held(held) | State::Fading(held), _) if block.is_some_and(|now| now.goes_on(held)) => {
                State::Held(held)
            }
            (State::Held(held), _) => State::Fading(held),
            (State::Suspected(before), Some(now)) if before == now.digit => {
                heard(now.digit);
                State::Held(now)
            }
            (State::Idle | State::Suspected(_) | State::Fading(_), Some(now)) => State::Suspected(now.digit),
            (State::Idle | State::Suspected(_) | State::Fading(_), None) => State::Idle,
        };
    }
}

impl Block {
    /// Whether the digit begun earlier is still there. An interruption of 10 ms that falls on two blocks leaves
    /// each of them six tenths of the tone, so less purity is asked than at the beginning.
    fn goes_on(self, held: Self) -> bool {
        self.digit == held.digit && self.share >= SHARE_HELD_MIN && self.power * POWER_DROP_MAX >= held.power
    }
}

/// The strongest of a group: its place, its power, and whether it stands well above the others.
fn strongest(powers: [f32; 4]) -> Option<(usize, f32, bool)> {
    let (best, power) = powers.into_iter().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let mut others = powers.into_iter().enumerate().filter(|(index, _)| *index != best);
    Some((best, power, others.all(|(_, other)| other * DOMINANCE <= power)))
}

fn key(row: usize, column: usize) -> Option<Digit> {
    KEYS.get(row)?.get(column).copied()
}

const KEYS: [[Digit; 4]; 4] = [
    [Digit::One, Digit::Two, Digit::Three, Digit::A],
    [Digit::Four, Digit::Five, Digit::Six, Digit::B],
    [Digit::Seven, Digit::Eight, Digit::Nine, Digit::C],
    [Digit::Star, Digit::Zero, Digit::Pound, Digit::D],
];

/// 12.75 ms: the eight frequencies stand near whole cycles, and two blocks fit into 40 ms wherever they begin.
const BLOCK_SAMPLES: u16 = 102;

/// Twice the cosine of each frequency's angle in one sample; checked against the frequencies by a test.
#[expect(clippy::excessive_precision, reason = "the nearest single is meant")]
const TURNS: [f32; 8] =
    [1.70773781, 1.64528104, 1.56868698, 1.47820457, 1.16410402, 0.99637021, 0.79861839, 0.56853271];

/// Of the block's whole power. 1.5 % off in frequency leaves about 0.8, 3.5 % off about 0.55; above this figure digits
/// of 40 ms at 1.5 % are lost, below it more of those of 20 ms are heard.
const SHARE_MIN: f32 = 0.77;

/// The same for a digit that goes on.
const SHARE_HELD_MIN: f32 = 0.4;

/// 12 dB: an echo in the pause is no tone that goes on.
const POWER_DROP_MAX: f32 = 16.0;

/// 6 dB: a neighbour's share when the frequency is 1.5 % off, with noise.
const DOMINANCE: f32 = 4.0;

/// Q.24 asks for 4 dB; 1.5 dB more because frequency error weakens the two unequally.
const COLUMN_OVER_ROW_MAX: f32 = 3.55;

/// Q.24 asks for 8 dB; 1.5 dB more likewise.
const ROW_OVER_COLUMN_MAX: f32 = 8.9;

/// Both tones together at -27 dBm0: peak squared, times a quarter of the block squared.
const POWER_MIN: f32 = {
    let peak = PEAK_AT_0_DBM0 as f32;
    peak * peak / 500.0 * (BLOCK_SAMPLES as f32 / 2.0) * (BLOCK_SAMPLES as f32 / 2.0)
};

#[cfg(test)]
mod tests {
    use super::TURNS;
    use crate::tone::{DTMF_COLUMNS, DTMF_ROWS};

    #[test]
    fn the_filters_stand_at_the_frequencies_of_the_keypad() {
        for (turn, frequency) in TURNS.into_iter().zip(DTMF_ROWS.into_iter().chain(DTMF_COLUMNS)) {
            let exact = 2.0 * (std::f64::consts::TAU * frequency / 8000.0).cos();
            assert!((f64::from(turn) - exact).abs() < 1e-6, "{frequency} Hz");
        }
    }
}
