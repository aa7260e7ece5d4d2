//! `[identity]`: users, keys and sessions.

use std::str::FromStr;

use serde::Deserialize;

use super::layers::{self, Fault};

/// `[identity]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Where browsers reach the console, `https://gateway.example.net`; none: they ask the HTTP listener.
    #[serde(deserialize_with = "layers::optional")]
    pub public_url: Option<PublicUrl>,
    /// Minutes without a request after which a session ends.
    pub session_idle_minutes: i64,
    /// Hours after which a session ends in any case.
    pub session_hours_max: i64,
    /// Sessions of one user; the oldest ends when one more begins.
    pub sessions_per_user_max: usize,
    /// Shortest password, characters.
    pub password_chars_min: usize,
    /// Minutes for which a link to set a password holds that an administrator makes.
    pub password_link_minutes: i64,
    /// Hours for which the link of a new user holds.
    pub invitation_hours: i64,
    /// Minutes for which the link of the first user holds.
    pub first_link_minutes: i64,
    /// Failed sign-ins for one login within the window.
    pub failures_per_login_max: u32,
    /// Failed sign-ins from one address within the window.
    pub failures_per_address_max: u32,
    /// The window, minutes.
    pub failures_window_minutes: u64,
    /// Logins, and addresses, whose failures are remembered.
    pub failures_remembered_max: usize,
    /// Failed sign-ins of logins that nobody has, within the window, that the audit log tells one by one.
    pub strangers_told_max: u32,
    /// Passwords that are checked at once.
    pub checks_parallel_max: usize,
    /// Users.
    pub users_max: usize,
    /// Roles of one's own.
    pub roles_max: usize,
    /// API keys.
    pub keys_max: usize,
}

/// Where browsers reach us: scheme, host and perhaps a port; no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// As it stands before a path, which is the origin that browsers name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether browsers come by HTTPS.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim_end_matches('/').to_ascii_lowercase();
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
        match host {
            Some(host) if !host.is_empty() && host.bytes().all(plain) => Ok(Self(text)),
            _ => Err("write it as https://host or https://host:port, without a path".into()),
        }
    }
}

/// What may be wrong with users, keys and sessions.
pub(super) fn faults(identity: &Identity) -> Vec<Fault> {
    let zero = |n: usize| n == 0;
    vec![
        ("identity.session_idle_minutes", identity.session_idle_minutes < 1, "must be at least 1"),
        ("identity.session_hours_max", identity.session_hours_max < 1, "must be at least 1"),
        ("identity.sessions_per_user_max", zero(identity.sessions_per_user_max), "must be at least 1"),
        (
            "identity.password_chars_min",
            !(8..=64).contains(&identity.password_chars_min),
            "must be from 8 to 64",
        ),
        ("identity.password_link_minutes", identity.password_link_minutes < 1, "must be at least 1"),
        ("identity.invitation_hours", identity.invitation_hours < 1, "must be at least 1"),
        ("identity.first_link_minutes", identity.first_link_minutes < 1, "must be at least 1"),
        ("identity.failures_per_login_max", identity.failures_per_login_max == 0, "must be at least 1"),
        ("identity.failures_per_address_max", identity.failures_per_address_max == 0, "must be at least 1"),
        ("identity.failures_window_minutes", identity.failures_window_minutes == 0, "must be at least 1"),
        ("identity.failures_remembered_max", zero(identity.failures_remembered_max), "must be at least 1"),
        ("identity.strangers_told_max", identity.strangers_told_max == 0, "must be at least 1"),
        (
            "identity.checks_parallel_max",
            !(1..=64).contains(&identity.checks_parallel_max),
            "must be from 1 to 64",
        ),
        ("identity.users_max", zero(identity.users_max), "must be at least 1"),
        ("identity.keys_max", zero(identity.keys_max), "must be at least 1"),
    ]
}
