//! Consumers that are told of events by webhook, as documents.

use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Somebody who is told of events by signed requests (Standard Webhooks).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerDoc {
    /// What people call it.
    pub name: String,
    /// Where events are posted to, `https://agents.example.com/events`.
    pub url: String,
    /// What requests are signed with, 1 to 4: `whsec_…` or plain. All of them sign, so that they can be changed without a gap.
    pub secrets: Vec<SecretRef>,
    /// Types of events, such as `contact.queued`; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// While set nothing is sent; what was held back is sent once it is unset.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}
