//! Texts that IVRs send: one request to the carrier's API, never a second one, since what a carrier did with a request that
//! broke off is not known.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{Client, redirect::Policy};
use serde_json::{Value, json};
use vestibule_config::{number::SmsUse, store::Store};
use vestibule_routing::{
    address::E164,
    channel::Channel,
    id::{ContactId, ProviderId},
};

use super::providers::{Provider, Providers};
use crate::{
    carrier::{self, Account, Outgoing},
    journal::{Entry, Event, EventKind, Journal, JournalError},
    telemetry::{SmsMetrics, SmsResult},
};

/// Sends texts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Sender {
    client: Client,
    providers: Providers,
    store: Arc<Store>,
    journal: Journal,
    metrics: SmsMetrics,
}

/// A text to be sent.
#[derive(Clone, Debug)]
pub struct Text {
    /// The number of ours that was called.
    pub from: E164,
    /// The customer.
    pub to: E164,
    /// What it says.
    pub text: String,
    /// For whom.
    pub contact: ContactId,
}

/// What a carrier has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// By whom it was sent.
    pub provider: ProviderId,
    /// The carrier's id of it, by which its reports come.
    pub message_id: String,
}

/// Why a text was not sent, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    /// The number has no record, or is not registered for SMS.
    #[error("the number is not registered for SMS")]
    NotRegistered,
    /// The customer wants no messages.
    #[error("the customer wants no messages from this number")]
    OptedOut,
    /// No provider sends for the number.
    #[error("no provider sends for this number")]
    NoProvider,
    /// What the provider is proven to by cannot be read.
    #[error("the key of the provider cannot be read")]
    NoKey,
    /// The carrier did not take it.
    #[error("the carrier answered {status}: {says}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its code and words, as far as they are understood.
        says: String,
    },
    /// The request failed: it may have come through.
    #[error("the carrier was not reached, or did not answer")]
    NotReached(#[from] reqwest::Error),
    /// The carrier answered something that is not understood: it may have been sent.
    #[error("the carrier's answer is not understood")]
    NotUnderstood,
    /// The ledger of opt-outs could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Shorter than the journey waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);
/// Longest answer read, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Longest of a carrier's words that are kept, characters.
const WORDS_MAX: usize = 200;

impl Sender {
    /// A sender for the providers that are set up.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(
        providers: Providers,
        store: Arc<Store>,
        journal: Journal,
        metrics: SmsMetrics,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(3))
            .timeout(ANSWER_WITHIN)
            .user_agent("vestibule")
            .build()?;
        Ok(Self { client, providers, store, journal, metrics })
    }

    /// Sends a text, and tells the feed when the carrier has taken it.
    ///
    /// # Errors
    /// [`NotSent`].
    pub async fn send(&self, text: &Text) -> Result<Sent, NotSent> {
        let sent = self.try_send(text).await;
        let result = match &sent {
            Ok(_) => SmsResult::Sent,
            Err(NotSent::NotRegistered) => SmsResult::NotRegistered,
            Err(NotSent::OptedOut) => SmsResult::OptedOut,
            Err(NotSent::Refused { .. }) => SmsResult::Refused,
            Err(NotSent::NoProvider | NotSent::NoKey | NotSent::Journal(_)) => SmsResult::NotTried,
            Err(NotSent::NotReached(_) | NotSent::NotUnderstood) => SmsResult::Unknown,
        };
        self.metrics.texts.of(result).inc();
        let sent = sent?;
        let data = json!({
            "channel": Channel::Sms, "customer": text.to, "address": text.from, "provider": sent.provider,
            "message_id": sent.message_id, "text": text.text, "by": "ivr",
        });
        let mut entry = Entry::new(text.contact.clone());
        entry.events.push(Event::new(EventKind::MessageSent, Timestamp::now(), &data));
        // The carrier has it: whether the feed learns of it changes nothing for the caller.
        if let Err(error) = self.journal.append_later(entry) {
            tracing::error!(%error, contact = %text.contact, "a text was sent that the feed does not tell of");
        }
        Ok(sent)
    }

    async fn try_send(&self, text: &Text) -> Result<Sent, NotSent> {
        if self.store.sms_use(text.from) != Some(SmsUse::Sends) {
            return Err(NotSent::NotRegistered);
        }
        let (from, to) = (text.from.to_string(), text.to.to_string());
        let wishes = self.journal.reader().opt_outs(to.clone()).await?;
        if wishes.iter().any(|wish| wish.out && wish.channel == "sms" && wish.address == from) {
            return Err(NotSent::OptedOut);
        }
        let provider = self.providers.sender_for(text.from).ok_or(NotSent::NoProvider)?;
        let carrier = carrier::texts_by(provider.kind).ok_or(NotSent::NoProvider)?;
        let account = Account::of(&provider).ok_or(NotSent::NoKey)?;
        let outgoing = Outgoing { from: &from, to: &to, text: &text.text };
        let request = carrier.request(&self.client, &account, &outgoing).ok_or(NotSent::NoKey)?;
        let response = request.send().await?;
        let status = response.status().as_u16();
        let answer = read(response).await?;
        if !(200..300).contains(&status) {
            let (code, says) = carrier.refusal(&answer);
            let code = code.unwrap_or_else(|| status.to_string());
            let says = format!("{code} {}", says.unwrap_or_default());
            return Err(NotSent::Refused { status, says: says.trim_end().chars().take(WORDS_MAX).collect() });
        }
        let message_id = carrier.message_id(&answer).ok_or(NotSent::NotUnderstood)?.to_owned();
        Ok(Sent { provider: provider.id.clone(), message_id })
    }
}

/// The answer as JSON; null when it is none, or longer than is read.
async fn read(mut response: reqwest::Response) -> Result<Value, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Ok(Value::Null);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

impl<'a> Account<'a> {
    /// What is needed to send by a provider; none when it does not send, or while its key cannot be read.
    fn of(provider: &'a Provider) -> Option<Self> {
        let send = provider.send.as_ref()?;
        Some(Self {
            id: provider.account(),
            key: send.key.as_deref()?,
            api: send.api.as_deref(),
            reports_to: &provider.url,
        })
    }
}
