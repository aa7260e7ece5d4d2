//! Providers that bring messages, as documents.

use serde::{Deserialize, Serialize};

use super::SecretRef;

/// A provider's account, whose webhooks come to `/webhooks/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderDoc {
    /// What people call it.
    pub name: String,
    /// Whose form and signatures its requests have; the names stand in the reference of providers.
    pub kind: String,
    /// Our address as the provider knows it, `https://gw.example.com/webhooks/{id}`, without a query. Some providers
    /// sign it, so it is never taken from what a request claims.
    pub url: String,
    /// What it signs with, or its public key; 1 to 4, so that a secret can be changed without a gap.
    pub secrets: Vec<SecretRef>,
    /// The word by which it proves that it asks for a subscription, where it does that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify_token: Option<SecretRef>,
    /// Our account or address there, where its requests do not say to whom they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}
