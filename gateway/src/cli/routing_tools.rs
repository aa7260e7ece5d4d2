//! `simulate` and `test`: routing without calls.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use vestibule_config::{
    diagnostic::{Code, Diagnostic},
    number::{Holding, Sms},
    settings::Settings,
    store::Store,
};
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    digit::Digit,
    simulate::{Script, simulate as run_script},
    time::Now,
};

use super::{EXIT_SETTINGS, complain, open_store, read_document, say};
use crate::vault::Vault;

/// What `simulate` is asked.
#[derive(Debug, Args)]
pub(super) struct SimulateArgs {
    /// The number called, `+14155550101`.
    to: String,
    /// The number calling; none calls anonymously.
    #[arg(long)]
    from: Option<String>,
    /// When, `2026-03-02T15:00:00Z`; now, when left out.
    #[arg(long)]
    at: Option<jiff::Timestamp>,
    /// Keys with the second at which each is pressed, `7:2,12:1`.
    #[arg(long, default_value = "")]
    keys: String,
    /// Second at which the caller hangs up.
    #[arg(long, default_value_t = 600)]
    hangs_up_after: u64,
    /// The revision; the active one, when left out.
    #[arg(long)]
    revision: Option<u64>,
}

/// Shows what would happen to a call, as JSON.
pub(super) fn simulate(settings: &Settings, arguments: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let store = open_store(settings, &Vault::of(settings)?)?;
    let plan = match arguments.revision {
        Some(revision) => store.routing_at(revision)?.plan,
        None => store.active().load().plan.clone(),
    };
    let number = |text: &str| E164::parse(text).with_context(|| format!("\"{text}\" is no number"));
    let wall = arguments.at.unwrap_or_else(jiff::Timestamp::now);
    let from = arguments.from.as_deref().map(number).transpose()?;
    let contact = Contact {
        id: "ct_simulated".into(),
        channel: Channel::Voice,
        to: Address::Number(number(&arguments.to)?),
        from: Caller { number: from, text: String::new(), anonymous: from.is_none() },
        arrived: Now { mono: std::time::Instant::now(), wall },
        seed: 0,
    };
    let script = Script {
        contact,
        digits: keys(&arguments.keys)?,
        hangs_up_after: Duration::from_secs(arguments.hangs_up_after),
        prompt_length: Duration::from_secs(2),
    };
    say(&serde_json::to_string_pretty(&run_script(plan, &script))?);
    Ok(ExitCode::SUCCESS)
}

/// Runs the tests of a document, or of the active routing: a document with a failing test is not sound.
pub(super) fn test(settings: &Settings, document: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let findings = match document {
        Some(path) => match read_document(&path) {
            Ok(text) => validate_alone(settings, &text)?,
            Err(error) => {
                complain(&format!("{error:#}"));
                return Ok(ExitCode::from(EXIT_SETTINGS));
            }
        },
        None => {
            let store = open_store(settings, &Vault::of(settings)?)?;
            let revision = store.active().load().revision;
            let document = vestibule_config::document::to_yaml(&store.document_at(revision)?);
            store.validate_document(&document)?
        }
    };
    for finding in &findings {
        say(&finding.to_string());
    }
    let failed = findings.iter().filter(|finding| finding.is_error()).count();
    say(if failed == 0 { "all routing tests pass" } else { "the document is not sound" });
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Validates a document by itself, without a data folder: the numbers that it names count as ours.
pub(super) fn validate_alone(settings: &Settings, text: &str) -> anyhow::Result<Vec<Diagnostic>> {
    let store = scratch_store(settings)?;
    let findings = store.validate_document(text)?;
    let named: Vec<E164> = findings
        .iter()
        .filter(|finding| finding.code == Code::NotOurNumber)
        .filter_map(|finding| E164::parse(finding.path.strip_prefix("/numbers/")?).ok())
        .collect();
    if named.is_empty() {
        return Ok(findings);
    }
    for number in named {
        store.add_number(number, Holding::Owned, Sms::Off, "check")?;
    }
    Ok(store.validate_document(text)?)
}

/// A store that is thrown away.
fn scratch_store(settings: &Settings) -> anyhow::Result<Store> {
    let folder = std::env::temp_dir().join(format!("vestibule-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let store = Store::open(&folder, settings.into())?;
    store.seed(vestibule_config::sample::SAMPLE)?;
    // The open database lives on without its name.
    std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    Ok(store)
}

fn keys(text: &str) -> anyhow::Result<Vec<(Duration, Digit)>> {
    let mut keys = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
        let Some((second, pressed)) = pair.split_once(':') else { bail!("\"{pair}\" is not second:key") };
        let second: f64 = second.trim().parse().with_context(|| format!("\"{second}\" is no second"))?;
        for key in pressed.trim().chars() {
            let digit = Digit::from_char(key).with_context(|| format!("\"{key}\" is no telephone key"))?;
            keys.push((Duration::try_from_secs_f64(second)?, digit));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use vestibule_config::settings::Overrides;

    use super::*;

    #[test]
    fn a_document_that_is_not_utf_8_is_bad_input_to_test() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"version: \xff\xfe").unwrap();
        let settings = Settings::load(None, [], &Overrides::default()).unwrap().settings;
        assert_eq!(test(&settings, Some(file.path().to_owned())).unwrap(), ExitCode::from(EXIT_SETTINGS));
    }

    #[test]
    fn numbers_that_a_document_names_count_as_ours_and_other_faults_stay() {
        let settings = Settings::load(None, [], &Overrides::default()).unwrap().settings;
        let document = |inbox: &str| {
            format!(
                "version: 1\nsettings: {{default_inbox: {inbox}}}\ninboxes: {{ib_a: {{name: A}}}}\n\
                 numbers: {{\"+442079460000\": {{}}}}\n"
            )
        };
        let errors = |text: &str| -> Vec<Code> {
            let findings = validate_alone(&settings, text).unwrap();
            findings.iter().filter(|finding| finding.is_error()).map(|finding| finding.code).collect()
        };
        assert_eq!(errors(&document("ib_a")), []);
        assert!(errors(&document("ib_b")).contains(&Code::UnknownInbox));
    }
}
