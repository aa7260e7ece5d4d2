//! Carriers: what each of them wants to hear when something is asked of it. One file a carrier; names of carriers stand
//! nowhere else but among the webhooks that they send.

pub mod accounts;
mod ask;
pub mod contract;
pub mod forms;
mod manual;
mod sandbox;
mod telnyx;
mod twilio;

use std::sync::LazyLock;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use vestibule_config::compile::ProviderKind;

use crate::message::webhook::Kind;

/// Our account at a carrier.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    /// Its id, where the carrier has such.
    pub id: Option<&'a str>,
    /// The key that proves us.
    pub key: &'a str,
    /// Where the API is, when it is not the carrier's own; without a slash at its end.
    pub api: Option<&'a str>,
    /// Our webhook, which reports are sent to.
    pub reports_to: &'a str,
}

impl std::fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).field("api", &self.api).finish_non_exhaustive()
    }
}

/// A text on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The number of ours.
    pub from: &'a str,
    /// The customer's.
    pub to: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// A carrier that texts are sent by.
pub trait Texts: Sync {
    /// Whether the id of an account is needed beside the key.
    fn needs_account(&self) -> bool;

    /// The request that sends a text; none when the account is not whole.
    fn request(&self, client: &Client, account: &Account<'_>, text: &Outgoing<'_>) -> Option<RequestBuilder>;

    /// The carrier's id of the text that it took, in its answer.
    fn message_id<'a>(&self, answer: &'a Value) -> Option<&'a str>;

    /// The carrier's code and words for a refusal.
    fn refusal(&self, answer: &Value) -> (Option<String>, Option<String>);
}

/// How texts are sent by a kind of provider; none when they are not.
pub fn texts_by(kind: Kind) -> Option<&'static dyn Texts> {
    match kind {
        Kind::Twilio => Some(&twilio::Api),
        Kind::Telnyx => Some(&telnyx::Api),
        _ => None,
    }
}

/// The kinds of providers, for the check of documents.
pub fn kinds() -> &'static [ProviderKind] {
    static KINDS: LazyLock<Vec<ProviderKind>> = LazyLock::new(|| {
        let kind = |name: &&'static str| {
            let kind = Kind::parse(name);
            let texts = kind.and_then(texts_by);
            ProviderKind {
                name,
                sends: texts.is_some(),
                needs_account: texts.is_some_and(Texts::needs_account),
                media_key: kind.is_some_and(Kind::has_media_key),
                needs_media_api: kind.is_some_and(Kind::needs_media_api),
            }
        };
        Kind::NAMES.iter().map(kind).collect()
    });
    &KINDS
}

/// A text or a number in an answer.
fn said(answer: &Value, pointer: &str) -> Option<String> {
    match answer.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
