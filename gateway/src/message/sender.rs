//! Texts that IVRs send: one request to the carrier's API, never a second one, since what a carrier did with a request that
//! broke off is not known.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use vestibule_config::{number::SmsUse, store::Store};
use vestibule_routing::{
    address::E164,
    channel::Channel,
    id::{ContactId, ProviderId},
};

use super::{
    providers::{Provider, Providers},
    webhook::Kind,
};
use crate::{
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
        let (request, id) = match provider.kind {
            Kind::Twilio => (twilio(&self.client, &provider, (&from, &to), &text.text), "/sid"),
            Kind::Telnyx => (telnyx(&self.client, &provider, (&from, &to), &text.text), "/data/id"),
            _ => return Err(NotSent::NoProvider),
        };
        let response = request.ok_or(NotSent::NoKey)?.send().await?;
        let status = response.status();
        let answer = read(response).await?;
        if !status.is_success() {
            return Err(NotSent::Refused { status: status.as_u16(), says: words(&answer, status) });
        }
        let message_id = answer.pointer(id).and_then(Value::as_str).ok_or(NotSent::NotUnderstood)?;
        Ok(Sent { provider: provider.id.clone(), message_id: message_id.to_owned() })
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

/// What a carrier says of a refusal.
fn words(answer: &Value, status: StatusCode) -> String {
    let part = |pointers: [&str; 2]| {
        pointers.iter().find_map(|pointer| match answer.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    };
    let code = part(["/code", "/errors/0/code"]).unwrap_or_else(|| status.as_str().to_owned());
    let text = part(["/message", "/errors/0/detail"]).unwrap_or_default();
    format!("{code} {text}").trim_end().chars().take(WORDS_MAX).collect()
}

fn twilio(
    client: &Client,
    provider: &Provider,
    (from, to): (&str, &str),
    text: &str,
) -> Option<RequestBuilder> {
    let send = provider.send.as_ref()?;
    let (account, key) = (provider.account()?, send.key.as_deref()?);
    // A key of its own is `SID:secret`; without one the account's token proves us.
    let (user, secret) = key.split_once(':').unwrap_or((account, key));
    let api = send.api.as_deref().unwrap_or("https://api.twilio.com");
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("From", from), ("To", to), ("Body", text), ("StatusCallback", &provider.url)])
        .finish();
    let account: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
    let request = client.post(format!("{api}/2010-04-01/Accounts/{account}/Messages.json"));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    Some(request.basic_auth(user, Some(secret)).body(form))
}

fn telnyx(
    client: &Client,
    provider: &Provider,
    (from, to): (&str, &str),
    text: &str,
) -> Option<RequestBuilder> {
    let send = provider.send.as_ref()?;
    let api = send.api.as_deref().unwrap_or("https://api.telnyx.com");
    let body = json!({"from": from, "to": to, "text": text, "webhook_url": provider.url});
    let request = client.post(format!("{api}/v2/messages")).header("content-type", "application/json");
    Some(request.bearer_auth(send.key.as_deref()?).body(body.to_string()))
}
