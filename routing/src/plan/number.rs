//! A number's voice settings.

use super::Treatment;
use crate::id::{IvrId, PromptId};

/// How a number of ours treats calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberVoice {
    /// Voice is activated; otherwise calls get 480.
    pub active: bool,
    /// Runs as the call arrives.
    pub initial_ivr: Option<IvrId>,
    /// Runs while the caller waits.
    pub queue_ivr: Option<IvrId>,
    /// Seconds of initial sound before the Queue IVR or the music, 5 to 600; default 30.
    pub queue_wait_seconds: u32,
    /// Seconds between the end of one Queue IVR run and the next; none means `queue_wait_seconds`.
    pub repeat_every_seconds: Option<u32>,
    /// What is heard in the first interval.
    pub initial_sound: InitialSound,
    /// Music while waiting; none means the inbox's, else the built-in one.
    pub queue_music: Option<PromptId>,
    /// Music while on hold; none means the built-in one.
    pub hold_music: Option<PromptId>,
    /// When the call is answered.
    pub answer: AnswerMode,
    /// What happens when an IVR fails technically; none means the number's direct inbox.
    pub fallback: Option<Treatment>,
}

impl Default for NumberVoice {
    fn default() -> Self {
        Self {
            active: true,
            initial_ivr: None,
            queue_ivr: None,
            queue_wait_seconds: 30,
            repeat_every_seconds: None,
            initial_sound: InitialSound::Ringback,
            queue_music: None,
            hold_music: None,
            answer: AnswerMode::Arrival,
            fallback: None,
        }
    }
}

/// What a caller hears in the first interval of a queue wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InitialSound {
    /// In-band ringing tone.
    #[default]
    Ringback,
    /// The queue music at once.
    QueueMusic,
}

/// When the gateway answers with 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerMode {
    /// When the call reaches an IVR or a queue.
    #[default]
    Arrival,
    /// When somebody takes the call; until then 180. For numbers without IVRs.
    Taken,
}
