//! Meta: WhatsApp (Cloud API), Messenger and Instagram, all by one webhook of an app.
//!
//! `X-Hub-Signature-256: sha256=<hex HMAC-SHA256(app secret, raw body)>`, without a timestamp: repetitions, for up to seven
//! days, are recognised by the ids inside. One request may tell of a thousand things.

mod messaging;
mod whatsapp;

use axum::http::Method;
use ring::hmac;
use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Answer, Arrived, Credentials, Incoming, Refused, header, json, proof, unparsed};

/// Longest challenge given back.
const CHALLENGE_BYTES_MAX: usize = 256;

/// The answer to who asks for a subscription: a GET, which bears no signature, but the word that we chose.
pub(super) fn subscription(
    arrived: &Arrived<'_>,
    credentials: &Credentials<'_>,
) -> Result<Option<Answer>, Refused> {
    if arrived.method != Method::GET {
        return Ok(None);
    }
    let asked = |name: &str| {
        form_urlencoded::parse(arrived.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    };
    let (Some(mode), Some(word), Some(challenge)) =
        (asked("hub.mode"), asked("hub.verify_token"), asked("hub.challenge"))
    else {
        return Err(Refused::Unsigned);
    };
    let known = credentials.verify_token.is_some_and(|known| proof::same(known.as_bytes(), word.as_bytes()));
    // What is given back may be shown by a browser: nothing but a plain word.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let harmless = challenge.len() <= CHALLENGE_BYTES_MAX && challenge.bytes().all(plain);
    if mode != "subscribe" || !known || !harmless {
        return Err(Refused::WrongSignature);
    }
    Ok(Some(Answer::with("text/plain; charset=utf-8", challenge)))
}

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let signature = header(arrived.headers, "x-hub-signature-256")?;
    let signature = signature.strip_prefix("sha256=").and_then(proof::hex).ok_or(Refused::Unsigned)?;
    let good =
        |secret: &String| proof::is_hmac(hmac::HMAC_SHA256, secret.as_bytes(), &[arrived.body], &signature);
    if credentials.secrets.iter().any(good) { Ok(()) } else { Err(Refused::WrongSignature) }
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let Some(body) = json::body(arrived) else { return unparsed(Channel::Whatsapp, arrived) };
    let object = json::text(&body, "/object").unwrap_or_default();
    let channel = match object {
        "whatsapp_business_account" => Channel::Whatsapp,
        "instagram" => Channel::Instagram,
        "page" => Channel::Messenger,
        _ => return unparsed(Channel::Whatsapp, arrived),
    };
    let entries = json::list(&body, "/entry");
    if entries.is_empty() {
        return unparsed(channel, arrived);
    }
    entries.iter().flat_map(|entry| of_entry(channel, object, entry)).collect()
}

fn of_entry(channel: Channel, object: &str, entry: &Value) -> Vec<Incoming> {
    let mut told = Vec::new();
    for change in json::list(entry, "/changes") {
        let field = json::text(change, "/field").unwrap_or("change");
        match (channel, change.get("value")) {
            (Channel::Whatsapp, Some(value)) if field == "messages" => told.extend(whatsapp::read(value)),
            _ => told.push(json::part(channel, &format!("{object}.{field}"), change)),
        }
    }
    for event in json::list(entry, "/messaging") {
        told.extend(messaging::read(channel, event));
    }
    for event in json::list(entry, "/standby") {
        // Another app talks to the customer: we only look on.
        told.push(json::part(channel, &format!("{object}.standby"), event));
    }
    if told.is_empty() {
        told.push(json::part(channel, &format!("{object}.entry"), entry));
    }
    told
}
