//! One signed request (Standard Webhooks 1.0).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use reqwest::{Client, StatusCode, redirect::Policy};
use ring::hmac;
use vestibule_config::document::{ConsumerDoc, SecretError};

/// Why a consumer does not have an event.
#[derive(Debug, thiserror::Error)]
pub enum NotDelivered {
    /// No answer came, or not in time.
    #[error("no answer: {0}")]
    NoAnswer(#[source] reqwest::Error),
    /// It answered with another status than 2xx.
    #[error("it answered {0}")]
    Status(u16),
    /// It said that it is gone for good.
    #[error("it answered 410: it is gone for good")]
    Gone,
    /// A secret cannot be read.
    #[error("a secret cannot be had: {0}")]
    Secret(#[from] SecretError),
    /// A secret is empty, or `whsec_` is not followed by base64.
    #[error("a secret is empty, or what follows whsec_ is not base64")]
    BadSecret,
    /// The event is not in the journal any more.
    #[error("the event was trimmed from the journal")]
    Trimmed,
}

/// A consumer answers within this time, or it counts as failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

pub(super) fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .redirect(Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .timeout(ANSWER_WITHIN)
        .pool_max_idle_per_host(16)
        .user_agent("vestibule")
        .build()
}

/// The keys that a consumer's requests are signed with.
pub(super) fn reveal(doc: &ConsumerDoc) -> Result<Vec<hmac::Key>, NotDelivered> {
    doc.secrets
        .iter()
        .map(|secret| {
            let text = secret.reveal()?;
            let bytes = match text.strip_prefix("whsec_") {
                Some(encoded) => STANDARD.decode(encoded).map_err(|_| NotDelivered::BadSecret)?,
                None => text.into_bytes(),
            };
            if bytes.is_empty() {
                Err(NotDelivered::BadSecret)
            } else {
                Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
            }
        })
        .collect()
}

/// The header that proves a body: one signature for each key.
fn signatures(keys: &[hmac::Key], id: &str, stamp: &str, body: &[u8]) -> String {
    let mut header = String::new();
    for key in keys {
        let mut context = hmac::Context::with_key(key);
        [id.as_bytes(), b".", stamp.as_bytes(), b".", body].iter().for_each(|part| context.update(part));
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        STANDARD.encode_string(context.sign(), &mut header);
    }
    header
}

pub(super) async fn send(
    client: &Client,
    url: &str,
    keys: &[hmac::Key],
    (id, now): (&str, Timestamp),
    body: Vec<u8>,
) -> Result<(), NotDelivered> {
    let stamp = now.as_second().to_string();
    let request = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", &stamp)
        .header("webhook-signature", signatures(keys, id, &stamp, &body))
        .body(body);
    // The URL is the consumer's own and may hold a secret: it does not go into logs.
    let answer = request.send().await.map_err(|error| NotDelivered::NoAnswer(error.without_url()))?;
    match answer.status() {
        StatusCode::GONE => Err(NotDelivered::Gone),
        status if status.is_success() => Ok(()),
        status => Err(NotDelivered::Status(status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_signed_as_the_standards_own_library_signs_them() {
        // PyPI standardwebhooks 1.1: Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").sign(…)
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let keys = [hmac::Key::new(hmac::HMAC_SHA256, b"other"), hmac::Key::new(hmac::HMAC_SHA256, &key)];
        let body = r#"{"from":"ann","to":"shop","text":"Hi é"}"#;
        let header = signatures(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body.as_bytes());
        let (_, second) = header.split_once(' ').unwrap();
        assert_eq!(second, "v1,wJnAR3g6E7DiT8zUAEt+XPvjEoIPXxM20rY+aQpTpxg=");
    }
}
