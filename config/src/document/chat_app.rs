//! Chat apps, as documents.

use serde::{Deserialize, Serialize};
use vestibule_routing::id::CalendarId;

use super::SecretRef;

/// A chat window on somebody's pages. Its entry point is `chat/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatAppDoc {
    /// What people call it.
    pub name: String,
    /// The pages that may show it, as browsers name them: `https://www.example.com`, or `https://*.example.com` for all
    /// that lie below.
    pub origins: Vec<String>,
    /// When it is open; none: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<CalendarId>,
    /// What visitors read when it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_text: Option<String>,
    /// Whether it is not shown at all when it is closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden_when_closed: bool,
    /// Keeps some visitors from beginning a chat; none: everybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleDoc>,
    /// The words above the chat; its name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What a visitor reads first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<String>,
    /// What a visitor agrees to by writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<String>,
    /// How the site tells who its visitors are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityDoc>,
}

/// Who may begin a chat when there are too many. One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ThrottleDoc {
    /// So many of a hundred visitors may, 0 to 100; each stays what it is for 24 hours.
    Percent(u8),
    /// Nobody begins while a chat waits longer than so many seconds to be taken, 1 to 86 400.
    WaitSeconds(u32),
}

/// Visitors are named by a JWT (HS256) that the site's own server makes: `aud` is the chat app's id, `sub` the
/// visitor, `exp` at most 24 hours ahead; `name` and `email` may follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityDoc {
    /// What the site signs with, 1 to 4.
    pub secrets: Vec<SecretRef>,
    /// Whether visitors without such a JWT are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}
