//! Anything that can sign by Standard Webhooks: a small JSON form of our own, on the `custom` channel.
//!
//! `webhook-signature: v1,<base64 HMAC-SHA256 of id.timestamp.body>`; several signatures stand in one header, parted by
//! spaces. Secrets may have the prefix `whsec_` and are base64 then.

use jiff::Timestamp;
use ring::hmac;
use serde::Deserialize;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, fresh, header, other, proof, unparsed};
use crate::message::{Content, MediaLink};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let id = header(arrived.headers, "webhook-id")?;
    let stamp = header(arrived.headers, "webhook-timestamp")?;
    let signatures = header(arrived.headers, "webhook-signature")?;
    let signatures: Vec<_> = signatures
        .split_ascii_whitespace()
        .filter_map(|signature| proof::base64(signature.strip_prefix("v1,")?))
        .take(SIGNATURES_MAX)
        .collect();
    if signatures.is_empty() {
        return Err(Refused::Unsigned);
    }
    let parts = [id.as_bytes(), b".", stamp.as_bytes(), b".", arrived.body];
    let proven = credentials.secrets.iter().any(|secret| {
        let key = match secret.strip_prefix("whsec_") {
            Some(encoded) => proof::base64(encoded).unwrap_or_default(),
            None => secret.as_bytes().to_vec(),
        };
        let good = |signature: &Vec<u8>| proof::is_hmac(hmac::HMAC_SHA256, &key, &parts, signature);
        !key.is_empty() && signatures.iter().any(good)
    });
    if !proven {
        return Err(Refused::WrongSignature);
    }
    let seconds: i64 = stamp.parse().map_err(|_| Refused::Unsigned)?;
    fresh(Timestamp::from_second(seconds).map_err(|_| Refused::Stale)?, arrived.now)
}

/// Most signatures looked at.
const SIGNATURES_MAX: usize = 8;

/// The body: a message from somebody to an address of ours.
#[derive(Deserialize)]
struct Body {
    /// `message`, or any other word for what is kept as it is.
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    id: Option<String>,
    from: String,
    to: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    reply_to: Option<String>,
    #[serde(default)]
    at: Option<Timestamp>,
    #[serde(default)]
    media: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    url: String,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    file_name: Option<String>,
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let Ok(id) = header(arrived.headers, "webhook-id") else { return unparsed(Channel::Custom, arrived) };
    let Ok(body) = serde_json::from_slice::<Body>(arrived.body) else {
        return unparsed(Channel::Custom, arrived);
    };
    if let Some(kind) = body.kind.as_deref().filter(|kind| *kind != "message") {
        return vec![other(Channel::Custom, kind, &String::from_utf8_lossy(arrived.body), id.to_owned())];
    }
    let media = body.media.into_iter().map(|file| MediaLink {
        link: file.url,
        media_type: file.media_type,
        file_name: file.file_name,
    });
    let content = Content {
        message_id: body.id.unwrap_or_else(|| id.to_owned()),
        text: body.text,
        name: body.name,
        subject: body.subject,
        reply_to: body.reply_to,
        media: media.collect(),
        ..Content::default()
    };
    vec![Incoming {
        id: content.message_id.clone(),
        channel: Channel::Custom,
        customer: body.from,
        address: body.to,
        at: body.at,
        what: What::Message(Box::new(content)),
    }]
}
