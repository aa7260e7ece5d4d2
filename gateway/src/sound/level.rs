//! One loudness for everything that speaks.

use rtp_proto::{FRAME_SAMPLES, tone};

/// Level of speech with pauses left out; the built-in prompts have it too.
const SPEECH_DBM0: f64 = -20.0;

/// What lies so far under the loud frames is a pause, in dB.
const PAUSE_DB: f64 = 25.0;

/// At most so much louder, in dB: a recording of nearly nothing must not become noise.
const GAIN_MAX_DB: f64 = 30.0;

/// Brings samples to the level of a telephone voice, pauses left out, unless peaks would be cut.
pub(super) fn levelled(samples: &[i16]) -> Vec<i16> {
    let levels: Vec<f64> = samples.chunks(FRAME_SAMPLES).map(tone::level_dbm0).collect();
    let mut sorted = levels.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    // A click is louder than any speech, and must not make a pause of it.
    let loudest = sorted.get(sorted.len() * 19 / 20).copied().unwrap_or(f64::NEG_INFINITY);
    let active: Vec<i16> = samples
        .chunks(FRAME_SAMPLES)
        .zip(&levels)
        .filter(|(_, level)| **level > loudest - PAUSE_DB)
        .flat_map(|(frame, _)| frame.iter().copied())
        .collect();
    let level = tone::level_dbm0(&active);
    if !level.is_finite() {
        return samples.to_vec();
    }
    let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
    let gain = 10_f64
        .powf((SPEECH_DBM0 - level).min(GAIN_MAX_DB) / 20.0)
        .min(f64::from(i16::MAX) / f64::from(peak.max(1)));
    samples.iter().map(|sample| (f64::from(*sample) * gain).round() as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_and_soft_speech_come_to_one_level_and_pauses_do_not_count() {
        for level in [-45.0, -30.0, -8.0] {
            let tone = tone::Tone { frequency: 500.0, level_dbm0: level };
            let mut samples = tone::mix(&[tone], 16_000);
            samples.extend([0; 64_000]);
            let heard = levelled(&samples);
            assert!((tone::level_dbm0(&heard[..16_000]) - SPEECH_DBM0).abs() < 0.2, "from {level} dBm0");
        }
    }

    #[test]
    fn silence_stays_silence_and_peaks_are_not_cut() {
        assert_eq!(levelled(&[0; 800]), [0; 800]);
        let mut samples = vec![100; 8000];
        samples[4000] = i16::MAX;
        assert_eq!(levelled(&samples).into_iter().max(), Some(i16::MAX));
    }
}
