//! What a run does, and what it must hold: one TOML file.

use std::{fs, path::Path, time::Duration};

use anyhow::Context as _;
use serde::Deserialize;

/// One kind of call at one rate for one time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Its name in reports.
    pub(crate) name: String,
    /// The number that is dialled.
    pub(crate) number: String,
    /// Calls begun a second, whether or not earlier ones are answered.
    pub(crate) calls_per_second: f64,
    /// How long calls are begun.
    pub(crate) seconds: f64,
    /// From the ACK to the BYE.
    pub(crate) hold_ms: u64,
    /// Whether audio is sent and received.
    #[serde(default)]
    pub(crate) audio: bool,
    /// Every n-th call's audio is listened to; 0 for none.
    #[serde(default)]
    pub(crate) listen_every: u64,
    /// A time of more calls than can be taken, after `seconds` of the ordinary ones.
    #[serde(default)]
    pub(crate) overload: Option<Overload>,
    /// What must hold.
    #[serde(default)]
    pub(crate) limits: Limits,
}

/// Too many calls for a while, and then the ordinary ones again.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overload {
    /// How many times the ordinary calls.
    pub(crate) factor: f64,
    /// How long.
    pub(crate) seconds: f64,
    /// How long the ordinary calls go on after it.
    pub(crate) after_seconds: f64,
}

/// Limits; an absent one is only reported.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// INVITE to 200, 99th percentile.
    pub(crate) answer_p99_ms: Option<f64>,
    /// CPU time of the whole process for a call.
    pub(crate) cpu_us_per_call: Option<f64>,
    /// CPU time of the whole process for a second of one call's audio.
    pub(crate) cpu_ms_per_call_second: Option<f64>,
    /// How far a packet strays from 20 ms after the one before, 99th percentile.
    pub(crate) pacing_p99_ms: Option<f64>,
    /// Gaps, repetitions and disorder in received sequence numbers.
    pub(crate) sequence_errors: Option<u64>,
    /// Calls begun in the overload that were answered and ended well, as a share of the ordinary ones.
    pub(crate) goodput_share: Option<f64>,
    /// INVITE to 503, 99th percentile.
    pub(crate) refused_p99_ms: Option<f64>,
    /// Seconds after the overload from which on every call is answered again.
    pub(crate) normal_within_s: Option<f64>,
}

impl Scenario {
    /// Reads a file, or a named one of `load-tests/scenarios`.
    pub(crate) fn load(name: &str) -> anyhow::Result<Self> {
        let named = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(format!("{name}.toml"));
        let path = if Path::new(name).exists() { Path::new(name) } else { &named };
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let scenario: Self = toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        anyhow::ensure!(scenario.calls_per_second > 0.0 && scenario.seconds > 0.0, "no calls in {name}");
        Ok(scenario)
    }

    /// Calls in all.
    pub(crate) fn calls(&self) -> u64 {
        let over = self.overload.map_or(0.0, |over| over.factor * over.seconds + over.after_seconds);
        (self.calls_per_second * (self.seconds + over)).round() as u64
    }

    /// When call `number` begins, from the start of the run: open loop, so a slow gateway is given no mercy.
    pub(crate) fn arrival(&self, number: u64) -> Duration {
        // In ordinary seconds; those of an overload pass faster.
        let at = number as f64 / self.calls_per_second;
        let Some(over) = self.overload else { return Duration::from_secs_f64(at) };
        let dense = (at - self.seconds).clamp(0.0, over.factor * over.seconds);
        Duration::from_secs_f64(at - dense + dense / over.factor)
    }

    /// When the overload begins and ends, in seconds from the start of the run.
    pub(crate) fn overloaded(&self) -> Option<(f64, f64)> {
        self.overload.map(|over| (self.seconds, self.seconds + over.seconds))
    }

    /// From the ACK to the BYE.
    pub(crate) fn hold(&self) -> Duration {
        Duration::from_millis(self.hold_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::Scenario;

    #[test]
    fn every_stored_scenario_can_be_read() {
        for name in ["smoke", "calls-1000", "calls-2000", "calls-4000", "media-1000"] {
            let scenario = Scenario::load(name).unwrap();
            assert_eq!(scenario.name, name);
        }
    }

    #[test]
    fn an_overload_is_denser_and_ends() {
        let mut scenario = Scenario::load("calls-1000").unwrap();
        scenario.seconds = 2.0;
        scenario.overload = Some(super::Overload { factor: 10.0, seconds: 3.0, after_seconds: 1.0 });
        assert_eq!(scenario.calls(), 2_000 + 30_000 + 1_000);
        assert_eq!(scenario.overloaded(), Some((2.0, 5.0)));
        for (number, millis) in
            [(0, 0), (1_999, 1_999), (2_000, 2_000), (2_010, 2_001), (32_000, 5_000), (32_500, 5_500)]
        {
            assert_eq!(scenario.arrival(number).as_millis(), millis, "{number}");
        }
    }

    #[test]
    fn arrivals_are_even_and_do_not_wait() {
        let scenario = Scenario::load("calls-1000").unwrap();
        assert_eq!(scenario.arrival(0).as_micros(), 0);
        assert_eq!(scenario.arrival(1).as_micros(), 1000);
        assert_eq!(scenario.arrival(1000).as_micros(), 1_000_000);
    }
}
