//! What was dialled or written to.

use std::{fmt, sync::Arc};

/// An E.164 number: a plus sign and 2 to 15 digits, the first not zero (ITU-T E.164 §6).
///
/// Kept in eight bytes, since a plan may hold a million of them. There is no constructor but
/// [`E164::parse`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164(u64);

/// Why a text is not an E.164 number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an E.164 number: a plus sign and 2 to 15 digits, the first not zero, for example +14155550100")]
pub struct NotE164;

impl E164 {
    /// Reads the canonical form, `+14155550100`; nothing else (no spaces, no dashes) is taken.
    pub fn parse(text: &str) -> Result<Self, NotE164> {
        let digits = text.strip_prefix('+').ok_or(NotE164)?;
        if !(2..=15).contains(&digits.len())
            || digits.starts_with('0')
            || !digits.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(NotE164);
        }
        digits.parse().map(Self).map_err(|_| NotE164)
    }

    /// Reads the user part of a SIP or tel URI: visual separators (RFC 3966 §5.1.1) are dropped, and a
    /// number of 11 to 15 digits without plus is taken as international, as carriers commonly send it.
    pub fn from_user_part(user: &str) -> Option<Self> {
        let bare: String = user.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
        if bare.starts_with('+') {
            return Self::parse(&bare).ok();
        }
        (11..=15).contains(&bare.len()).then(|| Self::parse(&format!("+{bare}")).ok()).flatten()
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for E164 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for E164 {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// An address on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A telephone number (voice, sms, whatsapp).
    Number(E164),
    /// A mailbox, account id, chat app id, or `ivr/exit` for exits of IVRs.
    Text(Arc<str>),
}
