//! Prompts that play to their end, and are not waited for without end.

use std::time::Instant;

use super::{action::PlaybackId, scope::in_seconds};
use crate::time::Now;

/// Longest sound of one prompt, in seconds: the gateway takes no longer recording, nor longer spoken text.
pub const PROMPT_SECONDS_MAX: u32 = 600;

/// What a playback may take beyond its sounds, in seconds: starting, pacing, telling its end.
const MARGIN_SECONDS: u32 = 30;

/// A finite playback under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prompting {
    pub(super) id: PlaybackId,
    /// When its end is taken for granted. A plan does not know how long its prompts are, so this is
    /// later than the longest could be; without it a lost end would keep the caller in silence.
    pub(super) overdue: Instant,
}

impl Prompting {
    pub(super) fn new(now: Now, id: PlaybackId, prompts: usize) -> Self {
        let seconds = u32::try_from(prompts).unwrap_or(u32::MAX).saturating_mul(PROMPT_SECONDS_MAX);
        Self { id, overdue: in_seconds(now, seconds.saturating_add(MARGIN_SECONDS)) }
    }
}
