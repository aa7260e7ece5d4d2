//! The figures of a run and the verdict, as JSON and Markdown.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde::Serialize;

use crate::{
    audio::Totals,
    caller::{End, Fate, Outcome},
    ledger::Ledger,
    scenario::Scenario,
    target::Cpu,
};

/// A judged run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    scenario: String,
    calls: u64,
    answered: u64,
    failed: BTreeMap<String, u64>,
    retransmissions: u64,
    calls_per_second: f64,
    answer_ms: Quantiles,
    call_seconds: f64,
    cpu: Cpu,
    cpu_us_per_call: f64,
    sip_thread_us_per_call: f64,
    cpu_ms_per_call_second: Option<f64>,
    pacing_ms: Option<Quantiles>,
    audio: Option<Totals>,
    overload: Option<OverloadReport>,
    ledger: Ledger,
    /// What does not hold; empty when the run passed.
    faults: Vec<String>,
}

/// What an overload did.
#[derive(Clone, Copy, Debug, Serialize)]
struct OverloadReport {
    /// Calls begun in it.
    begun: u64,
    /// Of these, answered and ended well.
    well: u64,
    /// Of these, refused with 503.
    refused: u64,
    /// Those that went well, as a share of the ordinary ones of the same time.
    goodput_share: f64,
    /// INVITE to 503.
    refused_ms: Quantiles,
    /// Seconds after it to the beginning of the last call that was not answered.
    normal_after_s: f64,
}

impl OverloadReport {
    fn new(scenario: &Scenario, fates: &[Fate]) -> Option<Self> {
        let (from, until) = scenario.overloaded()?;
        let within: Vec<&Fate> = fates.iter().filter(|fate| (from..until).contains(&fate.begun_s)).collect();
        let refused: Vec<f64> = fates
            .iter()
            .filter_map(|fate| match fate.end {
                End::Refused(after) => Some(after),
                End::Well | End::Failed => None,
            })
            .collect();
        let well = within.iter().filter(|fate| fate.end == End::Well).count() as u64;
        let ordinary = scenario.calls_per_second * (until - from);
        let last = fates.iter().filter(|fate| fate.begun_s >= until && fate.end != End::Well);
        Some(Self {
            begun: within.len() as u64,
            well,
            refused: within.iter().filter(|fate| matches!(fate.end, End::Refused(_))).count() as u64,
            goodput_share: well as f64 / ordinary.max(1.0),
            refused_ms: Quantiles::of(refused),
            normal_after_s: last.map(|fate| fate.begun_s - until).fold(0.0, f64::max),
        })
    }
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Quantiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = ((values.len() as f64) * share).ceil() as usize;
            values.get(place.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

impl Report {
    /// Judges a run by the scenario's limits and the ledger.
    pub(crate) fn new(scenario: &Scenario, outcome: &Outcome, cpu: Cpu, ledger: &Ledger) -> Self {
        let answered = outcome.answered.len() as u64;
        let calls = answered.max(1) as f64;
        let strays =
            outcome.audio.as_ref().map(|audio| audio.strays_ms.iter().map(|ms| f64::from(*ms)).collect());
        let mut report = Self {
            scenario: scenario.name.clone(),
            calls: outcome.begun,
            answered,
            failed: outcome.failed.clone(),
            retransmissions: outcome.retransmissions,
            calls_per_second: outcome.begun as f64 / outcome.wall_s.max(0.001),
            answer_ms: Quantiles::of(outcome.answer_ms.clone()),
            call_seconds: outcome.call_seconds,
            cpu,
            cpu_us_per_call: cpu.process_s * 1e6 / calls,
            sip_thread_us_per_call: cpu.sip_s * 1e6 / calls,
            cpu_ms_per_call_second: scenario
                .audio
                .then(|| cpu.process_s * 1e3 / outcome.call_seconds.max(0.001)),
            pacing_ms: strays.map(Quantiles::of),
            audio: outcome.audio.clone(),
            overload: OverloadReport::new(scenario, &outcome.fates),
            ledger: ledger.clone(),
            faults: Vec::new(),
        };
        report.judge(scenario);
        report
    }

    fn judge(&mut self, scenario: &Scenario) {
        let limits = &scenario.limits;
        let mut faults = Vec::new();
        for (reason, count) in &self.failed {
            faults.push(format!("{count} calls: {reason}"));
        }
        if !self.ledger.balanced() {
            faults.push(format!("the ledger does not balance: {:?}", self.ledger));
        }
        let mut at_most = |name: &str, value: Option<f64>, limit: Option<f64>| {
            if let (Some(value), Some(limit)) = (value, limit)
                && value > limit
            {
                faults.push(format!("{name} is {value:.3}, more than {limit}"));
            }
        };
        at_most("answer p99 (ms)", Some(self.answer_ms.p99), limits.answer_p99_ms);
        at_most("CPU a call (us)", Some(self.cpu_us_per_call), limits.cpu_us_per_call);
        at_most("CPU a call-second (ms)", self.cpu_ms_per_call_second, limits.cpu_ms_per_call_second);
        at_most("pacing p99 (ms)", self.pacing_ms.map(|pacing| pacing.p99), limits.pacing_p99_ms);
        if let Some(over) = &self.overload {
            at_most("refusal p99 (ms)", Some(over.refused_ms.p99), limits.refused_p99_ms);
            at_most("return to normal (s)", Some(over.normal_after_s), limits.normal_within_s);
            if let Some(least) = limits.goodput_share.filter(|least| over.goodput_share < *least) {
                faults.push(format!(
                    "goodput is {:.2} of the ordinary calls, less than {least}",
                    over.goodput_share
                ));
            }
        }
        if let Some(audio) = &self.audio {
            if audio.silent_calls + audio.without_ringback > 0 {
                let Totals { silent_calls, without_ringback, .. } = audio;
                faults.push(format!("{silent_calls} calls heard nothing, {without_ringback} no ringback"));
            }
            if limits.sequence_errors.is_some_and(|limit| audio.sequence_errors > limit) {
                faults.push(format!("{} sequence errors", audio.sequence_errors));
            }
        }
        self.faults = faults;
    }

    /// Whether everything holds.
    pub(crate) fn passed(&self) -> bool {
        self.faults.is_empty()
    }

    /// One line for logs.
    pub(crate) fn closing_line(&self) -> String {
        let verdict = if self.passed() { "passed".to_owned() } else { self.faults.join("; ") };
        format!(
            "load: {}: {} calls, {} answered, verdict: {verdict}",
            self.scenario, self.calls, self.answered
        )
    }

    /// A table for people.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("| {} | |\n| --- | --- |\n", self.scenario);
        let mut row = |name: &str, value: String| {
            writeln!(text, "| {name} | {value} |").ok();
        };
        let failed: u64 = self.failed.values().sum();
        row("calls begun, answered, failed", format!("{}, {}, {failed}", self.calls, self.answered));
        row("calls a second over the whole run", format!("{:.0}", self.calls_per_second));
        row("requests sent again", self.retransmissions.to_string());
        row("INVITE to 200, ms: p50, p99, p99.9, max", self.answer_ms.text());
        row(
            "CPU a call, µs: process, SIP thread",
            format!("{:.0}, {:.0}", self.cpu_us_per_call, self.sip_thread_us_per_call),
        );
        if let (Some(cpu), Some(pacing), Some(audio)) =
            (self.cpu_ms_per_call_second, self.pacing_ms, &self.audio)
        {
            row("CPU a call-second, ms", format!("{cpu:.3}"));
            row("off 20 ms, ms: p50, p99, p99.9, max", pacing.text());
            row("packets heard, sequence errors", format!("{}, {}", audio.packets, audio.sequence_errors));
            row("listened to, without ringback", format!("{}, {}", audio.listened, audio.without_ringback));
        }
        if let Some(over) = &self.overload {
            row(
                "in the overload: begun, well, refused",
                format!("{}, {}, {}", over.begun, over.well, over.refused),
            );
            row("goodput, share of the ordinary calls", format!("{:.3}", over.goodput_share));
            row("INVITE to 503, ms: p50, p99, p99.9, max", over.refused_ms.text());
            row("all answered again after, s", format!("{:.2}", over.normal_after_s));
        }
        let Ledger { lost, doubled, never_ended, ended_twice, contacts } = self.ledger;
        row("contacts in the feed", contacts.to_string());
        row(
            "lost, doubled, never ended, ended twice",
            format!("{lost}, {doubled}, {never_ended}, {ended_twice}"),
        );
        text
    }

    /// Writes STEM.json and STEM.md.
    pub(crate) fn write(&self, stem: &Path) -> anyhow::Result<()> {
        if let Some(folder) = stem.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(stem.with_extension("json"), serde_json::to_string_pretty(self)?)?;
        fs::write(stem.with_extension("md"), self.markdown())?;
        Ok(())
    }
}

impl Quantiles {
    fn text(&self) -> String {
        format!("{:.2}, {:.2}, {:.2}, {:.2}", self.p50, self.p99, self.p999, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Fate, OverloadReport, Quantiles};

    #[test]
    fn an_overload_is_judged_by_the_calls_begun_in_it() {
        let mut scenario = crate::scenario::Scenario::load("calls-1000").unwrap();
        (scenario.calls_per_second, scenario.seconds) = (10.0, 1.0);
        scenario.overload = Some(crate::scenario::Overload { factor: 2.0, seconds: 1.0, after_seconds: 5.0 });
        let fate = |begun_s, end| Fate { begun_s, end };
        let mut fates: Vec<Fate> = (0..9).map(|n| fate(1.0 + f64::from(n) / 20.0, End::Well)).collect();
        fates.extend((0..11).map(|n| fate(1.5 + f64::from(n) / 40.0, End::Refused(f64::from(n)))));
        fates.extend([
            fate(0.5, End::Well),
            fate(3.0, End::Refused(1.0)),
            fate(2.5, End::Failed),
            fate(4.0, End::Well),
        ]);
        let report = OverloadReport::new(&scenario, &fates).unwrap();
        assert_eq!((report.begun, report.well, report.refused), (20, 9, 11));
        assert!((report.goodput_share - 0.9).abs() < 1e-9 && (report.normal_after_s - 1.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let quantiles = Quantiles::of((1..=1000).rev().map(f64::from).collect());
        assert_eq!((quantiles.p50, quantiles.p99, quantiles.max), (500.0, 990.0, 1000.0));
        assert!(Quantiles::of(Vec::new()).max.abs() < f64::EPSILON);
    }
}
