//! Vonage's Messages API: SMS, MMS, WhatsApp, Messenger and Viber by JSON, in the form of version 1 (flat) or 0.1.
//!
//! `Authorization: Bearer` holds a JWT (HS256, the account's signature secret) whose `payload_hash` is the body's SHA-256.

use axum::http::header::AUTHORIZATION;
use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, fresh, header, json, proof, unparsed};
use crate::{
    jwt::{self, JwtError},
    message::{Content, MediaLink},
};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let text = header(arrived.headers, AUTHORIZATION.as_str())?;
    let (scheme, token) = text.split_once(' ').ok_or(Refused::Unsigned)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::Unsigned);
    }
    let claims = jwt::verify(token.trim(), credentials.secrets, &[jwt::Algorithm::Hs256]).map_err(
        |error| match error {
            JwtError::NotReadable => Refused::Unsigned,
            JwtError::WrongSignature => Refused::WrongSignature,
        },
    )?;
    let claims = Value::Object(claims);
    // The provider's own library looks at neither of these two: without them any body passes, for ever.
    let hash = json::text(&claims, "/payload_hash").unwrap_or_default();
    let hash = hash.to_ascii_lowercase();
    if !proof::same(hash.as_bytes(), proof::sha256_hex(arrived.body).as_bytes()) {
        return Err(Refused::WrongSignature);
    }
    fresh(json::seconds(&claims, "/iat").ok_or(Refused::Stale)?, arrived.now)
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let Some(body) = json::body(arrived) else { return unparsed(Channel::Sms, arrived) };
    let (Some(id), Some((channel, from, to))) = (json::string(&body, "/message_uuid"), parties(&body)) else {
        return vec![json::part(Channel::Sms, "vonage.event", &body)];
    };
    let at = json::time(&body, "/timestamp");
    if let Some(status) = json::string(&body, "/status") {
        // A report on a message of ours: who it comes from is us.
        let error = json::string(&body, "/error/title").or_else(|| json::scalar(&body, "/error/code"));
        let what = What::Delivery { message: id.clone(), status: status.clone(), error };
        return vec![Incoming {
            id: format!("{id}/{status}"),
            channel,
            customer: to,
            address: from,
            at,
            what,
        }];
    }
    let told =
        |what| Incoming { id: id.clone(), channel, customer: from.clone(), address: to.clone(), at, what };
    if let Some(reacted) = body.get("reaction") {
        let message = json::string(&body, "/context/message_uuid").unwrap_or_default();
        let taken_back = json::text(reacted, "/action") == Some("unreact");
        let emoji = json::string(reacted, "/emoji").filter(|_| !taken_back);
        let change = crate::message::Change::Reaction { emoji };
        return vec![told(What::Changed { message, change })];
    }
    match content(&body, &id) {
        Some(content) => vec![told(What::Message(Box::new(content)))],
        None => vec![Incoming { id: id.clone(), ..json::part(channel, "vonage.message", &body) }],
    }
}

/// Channel, sender and receiver. In version 0.1 the parties are objects.
fn parties(body: &Value) -> Option<(Channel, String, String)> {
    let word = json::text(body, "/channel").or_else(|| json::text(body, "/from/type"));
    let channel = match word? {
        "sms" | "mms" | "rcs" => Channel::Sms,
        "whatsapp" => Channel::Whatsapp,
        "messenger" => Channel::Messenger,
        "viber_service" | "viber_service_msg" => Channel::Viber,
        _ => return None,
    };
    let party = |name: &str| {
        let flat = json::text(body, &format!("/{name}"));
        let number = flat.or_else(|| json::text(body, &format!("/{name}/number")));
        let person = matches!(channel, Channel::Messenger);
        number
            .map(|number| if person { number.to_owned() } else { json::number(number) })
            .or_else(|| json::string(body, &format!("/{name}/id")))
    };
    Some((channel, party("from")?, party("to")?))
}

fn content(body: &Value, id: &str) -> Option<Content> {
    // Version 0.1 has it two steps deeper.
    let old = body.pointer("/message/content");
    let inner = old.unwrap_or(body);
    let kind = json::text(inner, if old.is_some() { "/type" } else { "/message_type" })?;
    let of = |name: &str| json::string(inner, &format!("/{kind}/{name}"));
    let content = match kind {
        "text" => Content { text: json::string(inner, "/text")?, ..Content::default() },
        "image" | "audio" | "video" | "file" | "vcard" | "sticker" => {
            let media = MediaLink { link: of("url")?, media_type: None, file_name: of("name") };
            Content { text: of("caption").unwrap_or_default(), media: vec![media], ..Content::default() }
        }
        "location" => {
            let (latitude, longitude) = ("/location/lat", "/location/long");
            let words = ["/location/name", "/location/address"];
            let place = json::place(inner, latitude, longitude, &words);
            let (latitude, longitude) = ("/location/latitude", "/location/longitude");
            let place = place.or_else(|| json::place(inner, latitude, longitude, &words));
            Content { text: place?, ..Content::default() }
        }
        "reply" | "button" => {
            let text = of("title").or_else(|| of("text")).unwrap_or_default();
            Content { text, payload: of("id").or_else(|| of("payload")), ..Content::default() }
        }
        _ => return None,
    };
    let name = json::string(body, "/profile/name").or_else(|| json::string(body, "/whatsapp/profile/name"));
    Some(Content {
        message_id: id.to_owned(),
        name,
        reply_to: json::string(body, "/context/message_uuid"),
        ..content
    })
}
