//! Telnyx: SMS and MMS by JSON, signed with Ed25519 over `timestamp|body` under the account's key; within 2 s, by its rules.

use jiff::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, fresh, header, json, proof, unparsed};
use crate::message::{Content, MediaLink};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let signature = header(arrived.headers, "telnyx-signature-ed25519")?;
    let stamp = header(arrived.headers, "telnyx-timestamp")?;
    let signature = proof::base64(signature).ok_or(Refused::Unsigned)?;
    let seconds: i64 = stamp.parse().map_err(|_| Refused::Unsigned)?;
    let signed = [stamp.as_bytes(), b"|", arrived.body].concat();
    let good = |key: &String| {
        let key = proof::base64(key).unwrap_or_default();
        UnparsedPublicKey::new(&ED25519, key).verify(&signed, &signature).is_ok()
    };
    if !credentials.secrets.iter().any(good) {
        return Err(Refused::WrongSignature);
    }
    fresh(Timestamp::from_second(seconds).map_err(|_| Refused::Stale)?, arrived.now)
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let Some(body) = json::body(arrived) else { return unparsed(Channel::Sms, arrived) };
    let kind = json::text(&body, "/data/event_type").unwrap_or("event");
    let payload = body.pointer("/data/payload").unwrap_or(&Value::Null);
    let told = match kind {
        "message.received" => received(&body, payload),
        "message.sent" | "message.finalized" => reports(&body, payload),
        _ => Vec::new(),
    };
    if !told.is_empty() {
        return told;
    }
    let kept = json::part(Channel::Sms, &format!("telnyx.{kind}"), &body);
    vec![Incoming { id: json::string(&body, "/data/id").unwrap_or_else(|| kept.id.clone()), ..kept }]
}

fn received(body: &Value, payload: &Value) -> Vec<Incoming> {
    let (Some(id), Some(from), Some(to)) = (
        json::string(payload, "/id"),
        json::text(payload, "/from/phone_number"),
        json::text(payload, "/to/0/phone_number"),
    ) else {
        return Vec::new();
    };
    let media = json::list(payload, "/media").iter().filter_map(|file| {
        let link = json::string(file, "/url")?;
        Some(MediaLink { link, media_type: json::string(file, "/content_type"), file_name: None })
    });
    let content = Content {
        message_id: id.clone(),
        text: json::string(payload, "/text").unwrap_or_default(),
        subject: json::string(payload, "/subject"),
        media: media.collect(),
        ..Content::default()
    };
    vec![Incoming {
        id,
        channel: Channel::Sms,
        customer: json::number(from),
        address: json::number(to),
        at: json::time(body, "/data/occurred_at"),
        what: What::Message(Box::new(content)),
    }]
}

/// One for each to whom the message went.
fn reports(body: &Value, payload: &Value) -> Vec<Incoming> {
    let Some(message) = json::string(payload, "/id") else { return Vec::new() };
    let from = json::text(payload, "/from/phone_number").map(json::number).unwrap_or_default();
    let report = |to: &Value| {
        let (number, status) = (json::text(to, "/phone_number")?, json::text(to, "/status")?);
        Some(Incoming {
            id: format!("{message}/{status}/{number}"),
            channel: Channel::Sms,
            customer: json::number(number),
            address: from.clone(),
            at: json::time(body, "/data/occurred_at"),
            what: What::Delivery {
                message: message.clone(),
                status: status.to_owned(),
                error: json::scalar(payload, "/errors/0/code"),
            },
        })
    };
    json::list(payload, "/to").iter().filter_map(report).collect()
}
