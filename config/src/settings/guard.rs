//! `[guard]`: taking a revision back that callers fare badly under.

use serde::Deserialize;

/// `[guard]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Minutes for which calls are watched after a publish; 0: the guard is off.
    pub bake_minutes: u64,
    /// Calls that must have ended before anything is concluded.
    pub calls_min: u64,
    /// Calls that may take an error transition, in percent.
    pub errors_percent_max: u64,
    /// Calls whose callers may hang up at the first node, in percent.
    pub hang_ups_percent_max: u64,
}
