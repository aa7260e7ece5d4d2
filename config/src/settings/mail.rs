//! `[mail]`: what is found out of mails, and what is kept of them, whichever way they come.

use serde::Deserialize;

use super::DnsServer;

/// `[mail]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Whether mail is taken only for addresses whose domain and forwarding are verified.
    pub require_verified: bool,
    /// Minutes between two looks for the records of mail domains.
    pub domain_check_minutes: u64,
    /// Whether SPF, DKIM, DMARC and ARC are looked at.
    pub authenticate: bool,
    /// Name servers that are asked; none means those of the system.
    pub dns_servers: Vec<DnsServer>,
    /// Answers that are kept.
    pub dns_answers_max: u64,
    /// Milliseconds for which a mail waits for the answers.
    pub authentication_ms: u64,
    /// Mails that are looked at at once.
    pub authentications_max: usize,
    /// Domains whose word is believed for what they forward.
    pub trusted_forwarders: Vec<String>,
    /// Points from which on a mail is marked as spam.
    pub spam_score: u32,
    /// Days for which mails are kept as they came; 0: none is.
    pub raw_days_kept: u64,
    /// Largest mail that is kept as it came, bytes.
    pub raw_bytes_max: usize,
}
