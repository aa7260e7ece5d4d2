//! What is known of where a mail comes from: the results of SPF, DKIM, DMARC and ARC in the words of RFC 8601, and what
//! there is to find them out by.

use std::net::IpAddr;

use bytes::Bytes;
use serde::Serialize;

/// The results, all four in every mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Authentication {
    /// Whether the server that sent it may send for the domain of the envelope (RFC 7208).
    pub spf: Finding,
    /// Whether a domain signed it, and it is unchanged (RFC 6376).
    pub dkim: Finding,
    /// Whether one of both is of the domain in From (RFC 9989).
    pub dmarc: Finding,
    /// Whether those who passed it on have sealed it one after the other (RFC 8617); the domain is the last one's.
    pub arc: Finding,
}

/// One result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The result.
    pub result: AuthResult,
    /// The domain that it is about.
    pub domain: Option<String>,
    /// Why, where there is more to say.
    pub reason: Option<String>,
}

/// A result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthResult {
    /// It is as it says.
    Pass,
    /// It is not.
    Fail,
    /// It is most likely not.
    Softfail,
    /// The domain, or the signature, leaves it open.
    Neutral,
    /// There is nothing to go by, or nobody looked.
    #[default]
    None,
    /// It could not be found out now.
    Temperror,
    /// It can never be found out: a record or signature is broken.
    Permerror,
}

impl Finding {
    /// A result for this reason, of no domain.
    pub(crate) fn because(result: AuthResult, reason: &str) -> Self {
        Self { result, domain: None, reason: Some(reason.to_owned()) }
    }

    /// A provider's word for a result, such as `pass` or `SoftFail`; none for words of another kind.
    pub(crate) fn told(word: &str, domain: Option<&str>) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase();
        let result = match word.as_str() {
            "pass" => AuthResult::Pass,
            "fail" | "hardfail" | "failed" => AuthResult::Fail,
            "softfail" => AuthResult::Softfail,
            "neutral" => AuthResult::Neutral,
            "none" | "gray" => AuthResult::None,
            "temperror" | "processing_failed" => AuthResult::Temperror,
            "permerror" => AuthResult::Permerror,
            _ => return None,
        };
        let reason = Some("told by the provider".to_owned());
        Some(Self { result, domain: domain.map(str::to_owned), reason })
    }
}

/// What to find it out by; only until it is found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The mail as it came; empty when the provider took it apart.
    pub raw: Bytes,
    /// Who brought it to our own mail server.
    pub origin: Option<Origin>,
    /// What the provider says of it.
    pub upstream: Upstream,
}

impl Evidence {
    /// A mail as it came, of which its provider says this.
    pub(crate) fn of(raw: &[u8], upstream: Upstream) -> std::sync::Arc<Self> {
        Self { raw: Bytes::copy_from_slice(raw), origin: None, upstream }.into()
    }
}

/// Who brought a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// From where.
    pub address: IpAddr,
    /// What the server calls itself.
    pub hello: String,
    /// The sender of the envelope; empty for bounces.
    pub from: String,
}

/// What a provider found out itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// SPF: the provider saw the sender's server, and we did not.
    pub spf: Option<Finding>,
    /// DKIM, where the mail does not come as it was.
    pub dkim: Option<Finding>,
    /// DMARC, likewise.
    pub dmarc: Option<Finding>,
    /// Whether its filter takes the mail for spam.
    pub spam: Option<bool>,
    /// What the filter counted, in its own words.
    pub score: Option<String>,
    /// Whether it found something that does harm.
    pub virus: bool,
}

impl Upstream {
    /// A score, which means spam from 5 on: what most filters count by.
    pub(crate) fn scored(&mut self, score: &str) {
        let score = score.trim();
        if let Ok(number) = score.parse::<f64>() {
            self.score = Some(score.chars().take(20).collect());
            self.spam = Some(self.spam.unwrap_or(false) || number >= SCORE_OF_SPAM);
        }
    }
}

const SCORE_OF_SPAM: f64 = 5.0;
