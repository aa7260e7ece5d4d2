//! Why a contact went where it went, step by step.

use serde::{Deserialize, Serialize};

/// Steps kept; a longer trace ends with a marker.
pub const TRACE_STEPS_MAX: usize = 512;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds since the contact arrived.
    pub at_ms: u64,
    /// What happened, in words.
    pub what: String,
}

/// A contact's trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trace {
    steps: Vec<Step>,
}

impl Trace {
    /// Adds a step; the last one that fits says that the rest is missing.
    pub fn push(&mut self, at_ms: u64, what: impl Into<String>) {
        match self.steps.len().checked_add(1) {
            Some(TRACE_STEPS_MAX) => {
                self.steps.push(Step { at_ms, what: "trace full: later steps are left out".into() })
            }
            Some(length) if length < TRACE_STEPS_MAX => self.steps.push(Step { at_ms, what: what.into() }),
            _ => {}
        }
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}
