//! Any rate to 8 kHz: a windowed-sinc low-pass evaluated at every output sample.
//!
//! Runs once for each recording, off every hot path.

/// Taps on each side, in output samples.
const HALF_WIDTH: f64 = 16.0;

/// Pass band of the telephone, as a share of half the lower rate.
const CUTOFF: f64 = 0.92;

/// The samples at 8 kHz.
pub(super) fn to_8_khz(samples: &[i16], rate: u32) -> Vec<i16> {
    if rate == 8000 || samples.is_empty() {
        return samples.to_vec();
    }
    let ratio = f64::from(rate) / 8000.0;
    // Below 8 kHz the input's own band is the narrower one.
    let scale = ratio.max(1.0);
    let reach = HALF_WIDTH * scale;
    let count = (samples.len() as f64 / ratio) as usize;
    (0..count)
        .map(|index| {
            let centre = index as f64 * ratio;
            let first = (centre - reach).ceil().max(0.0) as usize;
            let last = ((centre + reach).floor() as usize).min(samples.len() - 1);
            let sum: f64 = samples
                .get(first..=last)
                .unwrap_or_default()
                .iter()
                .zip(first..)
                .map(|(sample, at)| f64::from(*sample) * tap(at as f64 - centre, scale))
                .sum();
            sum.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16
        })
        .collect()
}

/// The impulse response at a distance: sinc under a Hann window.
fn tap(distance: f64, scale: f64) -> f64 {
    let x = distance / scale;
    if x.abs() >= HALF_WIDTH {
        return 0.0;
    }
    let angle = std::f64::consts::PI * x * CUTOFF;
    let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
    let window = 0.5 + 0.5 * (std::f64::consts::PI * x / HALF_WIDTH).cos();
    CUTOFF * sinc * window / scale
}

#[cfg(test)]
mod tests {
    use rtp_proto::tone::{level_dbm0, power_share};

    use super::*;

    fn sine(rate: u32, frequency: f64) -> Vec<i16> {
        (0..rate)
            .map(|i| {
                (10_000.0 * (std::f64::consts::TAU * frequency * f64::from(i) / f64::from(rate)).sin()) as i16
            })
            .collect()
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_level_from_any_rate() {
        for rate in [11_025, 16_000, 22_050, 44_100, 48_000] {
            let out = to_8_khz(&sine(rate, 1000.0), rate);
            assert!(power_share(&out, 1000.0) > 0.98, "{rate}");
            assert!((level_dbm0(&out) - level_dbm0(&sine(8000, 1000.0))).abs() < 0.3, "{rate}");
        }
    }

    #[test]
    fn what_8_khz_cannot_carry_is_taken_away_instead_of_folded() {
        let out = to_8_khz(&sine(48_000, 6000.0), 48_000);
        assert!(level_dbm0(&out) < -45.0);
    }
}
