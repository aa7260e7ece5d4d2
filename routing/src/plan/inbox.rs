//! Inboxes: where contacts wait for people.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{InboxId, IvrId, PromptId};

/// An inbox with the limits of its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// Its id.
    pub id: InboxId,
    /// What people call it.
    pub name: String,
    /// Service level in minutes; default 1440.
    pub sla_minutes: u32,
    /// Longest wait in seconds, and what happens then; none waits for as long as it takes.
    pub wait_max: Option<(u32, Treatment)>,
    /// Longest queue in contacts, and what happens to the one that finds it full.
    pub queue_length_max: Option<(u32, Treatment)>,
    /// What happens when it is known that nobody is available.
    pub no_one_available: Option<Treatment>,
    /// Queue music of this inbox; the number's own wins.
    pub queue_music: Option<PromptId>,
    /// Priority given to contacts that arrive here, 0 (lowest) to 9; default 5.
    pub priority: u8,
    /// Telephones that are called for those who wait here; none leaves it to others to take them.
    pub dial: Option<Arc<Dial>>,
}

/// Telephones of an inbox, called in the order of its queue. Each has one call at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Which of them are called for a contact.
    pub strategy: Strategy,
    /// Their SIP URIs.
    pub targets: Vec<String>,
    /// How long they ring, in seconds, 1 to 600.
    pub ring_seconds: u32,
}

/// Which of an inbox's telephones are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All that are free, at once.
    RingAll,
    /// One after the other, in the order of the list.
    RoundRobin,
    /// The one whose last call is the longest ago.
    LongestIdle,
}

/// What is done with a call that cannot go on the way it was meant to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Treatment {
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
    /// Refuse with a SIP status when unanswered, else hang up.
    SipCode(u16),
}
