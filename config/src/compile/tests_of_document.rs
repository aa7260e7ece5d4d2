//! The routing tests stored in a document: scripted calls, run against the plan to be published.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use vestibule_routing::{
    address::Address,
    channel::Channel,
    contact::{Caller, Contact},
    digit::Digit,
    plan::{EntryPoint, Plan},
    simulate::{Script, Simulation, simulate},
    time::Now,
};

use super::{Compiled, Findings};
use crate::{
    diagnostic::{Code, step},
    document::{Expectation, TestDoc},
};

pub(super) fn run(compiled: &Compiled, findings: &mut Findings) {
    if compiled.parts.tests.is_empty() {
        return;
    }
    let plan = Arc::new(compiled.plan.clone());
    for (name, test) in &compiled.parts.tests {
        let path = format!("/tests/{}", step(name));
        match test.script(name) {
            Err(sentence) => findings.add(Code::BadValue, format!("{path}/keys"), sentence),
            Ok(script) => {
                let plan = as_if_armed(&plan, test);
                for sentence in differences(&test.expect, &simulate(plan, &script)) {
                    findings.add(Code::TestFailed, &path, format!("{name}: {sentence}"));
                }
            }
        }
    }
}

/// A test says where calls go. Whether its number is armed just now is no part of that, unless it expects a refusal:
/// otherwise nobody could disarm a number that has a test.
fn as_if_armed(plan: &Arc<Plan>, test: &TestDoc) -> Arc<Plan> {
    let key = (Channel::Voice, Address::Number(test.to));
    let disarmed = plan.entry_points.get(&key).filter(|entry_point| entry_point.disarmed);
    match disarmed.filter(|_| test.expect.refused_with.is_none()) {
        None => plan.clone(),
        Some(entry_point) => {
            let armed = EntryPoint { disarmed: false, ..entry_point.clone() };
            let mut plan = Plan::clone(plan);
            plan.entry_points.insert(key, armed);
            Arc::new(plan)
        }
    }
}

impl TestDoc {
    /// The test as a scripted caller.
    ///
    /// # Errors
    /// A sentence that says which key or moment cannot be read.
    pub fn script(&self, name: &str) -> Result<Script, String> {
        let mut digits = Vec::with_capacity(self.keys.len());
        for (after, key) in &self.keys {
            let seconds: f64 = after.parse().map_err(|_| format!("\"{after}\" is no number of seconds"))?;
            let after = Duration::try_from_secs_f64(seconds).map_err(|_| format!("{seconds} is no time"))?;
            let mut presses = key.chars().map(Digit::from_char);
            match (presses.next(), presses.next()) {
                (Some(Some(digit)), None) => digits.push((after, digit)),
                _ => return Err(format!("\"{key}\" is no telephone key")),
            }
        }
        Ok(Script {
            contact: Contact {
                id: format!("ct_test_{name}").as_str().into(),
                channel: Channel::Voice,
                to: Address::Number(self.to),
                from: Caller {
                    number: self.from,
                    text: self.from.map(|from| from.to_string()).unwrap_or_default(),
                    anonymous: self.from.is_none(),
                },
                // Virtual time: any instant will do to count from.
                arrived: Now { mono: Instant::now(), wall: self.at },
                // A test is to find the same every time.
                seed: 0,
            },
            digits,
            hangs_up_after: Duration::from_secs(self.hangs_up_after_seconds),
            prompt_length: Duration::from_secs(self.prompt_seconds),
        })
    }
}

/// What is not as expected, each in a sentence.
pub fn differences(expect: &Expectation, found: &Simulation) -> Vec<String> {
    let mut all = Vec::new();
    let said = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    if expect.inbox.is_some() && expect.inbox != found.inbox {
        let (wanted, got) = (expect.inbox.as_ref(), found.inbox.as_ref());
        all.push(format!(
            "expected the inbox {}, found {}",
            said(wanted.map(ToString::to_string)),
            said(got.map(ToString::to_string))
        ));
    }
    let exit = found.exit.as_ref().map(ToString::to_string);
    if expect.exit.is_some() && expect.exit != exit {
        all.push(format!("expected the exit {}, found {}", said(expect.exit.clone()), said(exit)));
    }
    if expect.refused_with.is_some() && expect.refused_with != found.refused_with {
        all.push(format!(
            "expected a refusal with {}, found {}",
            said(expect.refused_with.map(|code| code.to_string())),
            said(found.refused_with.map(|code| code.to_string()))
        ));
    }
    if let Some(reason) = expect.reason.filter(|reason| *reason != found.outcome.reason) {
        all.push(format!("expected it to end with {reason:?}, found {:?}", found.outcome.reason));
    }
    all
}
