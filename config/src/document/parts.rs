//! The small objects: settings, channels, inboxes, numbers, lists, prompts, tests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vestibule_routing::{
    address::E164,
    id::{InboxId, IvrId, ListId, PromptId},
    outcome::Reason,
    plan::{AnswerMode, InitialSound, Strategy},
};

/// Settings of routing as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsDoc {
    /// Default inbox of every channel that names none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_inbox: Option<InboxId>,
    /// Callers on this list are refused before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_list: Option<ListId>,
    /// Numbers whose callers go through the draft.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_numbers: Vec<E164>,
    /// SIP statuses of refusals.
    #[serde(default)]
    pub reject_codes: RejectCodesDoc,
}

/// SIP statuses of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RejectCodesDoc {
    /// A number nobody holds.
    pub unknown_number: u16,
    /// A number with voice off, or a disarmed entry point.
    pub voice_off: u16,
    /// A blocked caller.
    pub blocked: u16,
}

impl Default for RejectCodesDoc {
    fn default() -> Self {
        Self { unknown_number: 404, voice_off: 480, blocked: 603 }
    }
}

/// A channel's section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelDoc {
    /// Its default inbox.
    pub inbox: InboxId,
}

/// An inbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboxDoc {
    /// What people call it.
    pub name: String,
    /// Service level in minutes.
    #[serde(default = "one_day")]
    pub sla_minutes: u32,
    /// Longest wait in seconds, and what happens then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_max: Option<LimitDoc>,
    /// Longest queue in contacts, and what happens to the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_length_max: Option<LimitDoc>,
    /// What happens when it is known that nobody is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_one_available: Option<TreatmentDoc>,
    /// Queue music, where a number names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_music: Option<PromptId>,
    /// Priority of contacts, 0 (lowest) to 9.
    #[serde(default = "five")]
    pub priority: u8,
    /// Telephones that are called for those who wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dial: Option<DialDoc>,
}

/// Telephones of an inbox. Their hosts must be among `hand_off.allowed_targets`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialDoc {
    /// `ring_all`, `round_robin` or `longest_idle`.
    pub strategy: Strategy,
    /// SIP URIs, 1 to 100. Each has one call at a time.
    pub targets: Vec<String>,
    /// Seconds for which they ring, 1 to 600.
    #[serde(default = "forty_five")]
    pub ring_seconds: u32,
}

fn forty_five() -> u32 {
    45
}

/// A limit with its treatment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitDoc {
    /// The limit: seconds or contacts.
    pub at: u32,
    /// What happens then.
    #[serde(rename = "then")]
    pub treatment: TreatmentDoc,
}

/// What is done with a call that cannot go on the way it was meant to: `{inbox: ib_other}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreatmentDoc {
    /// Play a prompt, then hang up.
    PromptThenHangUp(PromptId),
    /// Move to another inbox.
    Inbox(InboxId),
    /// Run another Initial IVR.
    Ivr(IvrId),
    /// Record a message for an inbox.
    Voicemail(InboxId),
    /// Send the call to an external number or SIP URI.
    Forward(String),
    /// Refuse with a SIP status.
    SipCode(u16),
}

/// A number's voice settings. Owning the number is recorded elsewhere: see [`crate::number`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberDoc {
    /// Voice is activated; otherwise calls get 480.
    #[serde(default = "yes")]
    pub voice: bool,
    /// Runs as the call arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_ivr: Option<IvrId>,
    /// Runs while the caller waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_ivr: Option<IvrId>,
    /// Seconds before the Queue IVR or the music, 5 to 600.
    #[serde(default = "thirty")]
    pub queue_wait_seconds: u32,
    /// Seconds between two runs of the Queue IVR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_every_seconds: Option<u32>,
    /// What is heard before.
    #[serde(default)]
    pub initial_sound: InitialSound,
    /// Music while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_music: Option<PromptId>,
    /// Music while on hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_music: Option<PromptId>,
    /// When the call is answered.
    #[serde(default)]
    pub answer: AnswerMode,
    /// What happens when an IVR fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<TreatmentDoc>,
}

/// A list of callers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListDoc {
    /// Whole numbers.
    #[serde(default)]
    pub numbers: Vec<E164>,
    /// Beginnings of numbers, `+4420`.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Callers without a number.
    #[serde(default)]
    pub anonymous: bool,
}

/// A prompt: `{file: <sha256 of the recording>}`, `{text: …}` or `{builtin: welcome}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptDoc {
    /// A recording, by the SHA-256 of its bytes in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A text to be spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The voice for the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// A sound that ships with the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<String>,
}

/// A routing test: a scripted call, and what must come of it. Runs before every publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestDoc {
    /// Who calls; none is an anonymous caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<E164>,
    /// The number called.
    pub to: E164,
    /// When: an instant such as `2026-03-02T15:00:00Z`.
    pub at: jiff::Timestamp,
    /// Keys, by the second after arrival at which they are pressed, `{"7": "2"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// When the caller hangs up, in seconds after arrival.
    #[serde(default = "ten_minutes")]
    pub hangs_up_after_seconds: u64,
    /// How long every prompt lasts, in seconds.
    #[serde(default = "two_seconds")]
    pub prompt_seconds: u64,
    /// What must come of it.
    #[serde(default)]
    pub expect: Expectation,
}

/// What a test expects; what is left out is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The inbox in whose queue the call waited last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<InboxId>,
    /// The last exit or hang-up node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<String>,
    /// The SIP status of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_with: Option<u16>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

fn one_day() -> u32 {
    1440
}

fn five() -> u8 {
    5
}

fn yes() -> bool {
    true
}

fn thirty() -> u32 {
    30
}

fn ten_minutes() -> u64 {
    600
}

fn two_seconds() -> u64 {
    2
}
