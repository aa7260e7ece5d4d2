//! `[audit]`: the audit log.

use serde::Deserialize;

/// `[audit]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Days for which lines are kept; 0 for ever.
    pub days_kept: u64,
    /// Hours between two looks at the whole log; 0 for none.
    pub look_every_hours: u64,
}
