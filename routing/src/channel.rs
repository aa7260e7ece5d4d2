//! The ways a contact can arrive.

use serde::{Deserialize, Serialize};

/// A channel; `Ivr` exists only as a section of entry points (the exits of IVRs).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Telephone calls.
    Voice,
    /// SMS and MMS.
    Sms,
    /// The embedded web chat.
    Chat,
    /// Facebook Messenger.
    Messenger,
    /// Instagram messaging.
    Instagram,
    /// WhatsApp.
    Whatsapp,
    /// Telegram.
    Telegram,
    /// LINE.
    Line,
    /// Viber.
    Viber,
    /// Email.
    Email,
    /// Anything else, through the generic webhook.
    Custom,
    /// Exits of IVRs.
    Ivr,
}

impl Channel {
    /// Every channel, in the order of the product's vocabulary.
    pub const ALL: [Self; 12] = [
        Self::Voice,
        Self::Sms,
        Self::Chat,
        Self::Messenger,
        Self::Instagram,
        Self::Whatsapp,
        Self::Telegram,
        Self::Line,
        Self::Viber,
        Self::Email,
        Self::Custom,
        Self::Ivr,
    ];
}
