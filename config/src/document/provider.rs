//! Providers that bring messages, as documents.

use serde::{Deserialize, Serialize};

use vestibule_routing::address::E164;

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
    /// Sends texts for IVRs (`send_sms`), where its kind can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<SendDoc>,
    /// How the files of its messages are had, where their links alone do not do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaDoc>,
}

/// How the files of messages are had. What the key is, the reference of providers says for each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MediaDoc {
    /// What proves us where files lie. It goes to hosts of the provider, and to that of `api`, only.
    pub key: SecretRef,
    /// Where its API is, when it is not the provider's own: `https://api.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}

/// How texts are sent. The kinds `twilio` and `telnyx` can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendDoc {
    /// What proves us to it. Telnyx: an API key. Twilio: `SID:secret` of an API key, or the auth token of `account`.
    pub key: SecretRef,
    /// The numbers of ours that it sends for; none: all that no other provider names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<E164>,
    /// Where its API is, when it is not the provider's own: `https://api.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
}
