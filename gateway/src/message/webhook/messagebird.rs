//! MessageBird (Bird's older platform): SMS by form, JSON or GET, and its conversations by JSON.
//!
//! `MessageBird-Signature-JWT` holds a JWT of a minute's life that names the SHA-256 of the address, query included, and of
//! the body.

use axum::http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, header, json, proof, unparsed};
use crate::{
    jwt::{self, Algorithm, JwtError},
    message::{Content, MediaLink},
};

/// How far its clock may be from ours, as its own libraries have it.
const LEEWAY: SignedDuration = SignedDuration::from_secs(1);

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let token = header(arrived.headers, "messagebird-signature-jwt")?;
    let algorithms = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];
    let claims = jwt::verify(token, credentials.secrets, &algorithms).map_err(|error| match error {
        JwtError::NotReadable => Refused::Unsigned,
        JwtError::WrongSignature => Refused::WrongSignature,
    })?;
    let claims = Value::Object(claims);
    let mut address = arrived.url.to_owned();
    if !arrived.query.is_empty() {
        address.push('?');
        address.push_str(arrived.query);
    }
    let is = |claim: &str, of: &[u8]| {
        json::text(&claims, claim)
            .is_some_and(|hash| proof::same(hash.as_bytes(), proof::sha256_hex(of).as_bytes()))
    };
    let body = match arrived.body {
        [] => claims.get("payload_hash").is_none(),
        body => is("/payload_hash", body),
    };
    let issued = json::text(&claims, "/iss") == Some("MessageBird");
    if !issued || !body || !is("/url_hash", address.as_bytes()) {
        return Err(Refused::WrongSignature);
    }
    within(&claims, arrived.now)
}

fn within(claims: &Value, now: Timestamp) -> Result<(), Refused> {
    let from = json::seconds(claims, "/nbf").ok_or(Refused::Stale)?;
    let until = json::seconds(claims, "/exp").ok_or(Refused::Stale)?;
    let early = from.duration_since(now) > LEEWAY;
    let late = now.duration_since(until) > LEEWAY;
    if early || late { Err(Refused::Stale) } else { Ok(()) }
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let form = |text: &[u8]| {
        let fields = form_urlencoded::parse(text);
        Value::Object(
            fields.map(|(name, value)| (name.into_owned(), value.into_owned().into())).collect::<Map<_, _>>(),
        )
    };
    let body = match json::body(arrived) {
        Some(body) => body,
        None if arrived.method == Method::GET => form(arrived.query.as_bytes()),
        None => form(arrived.body),
    };
    let told = conversation(&body).or_else(|| report(&body)).or_else(|| sms(&body));
    match told {
        Some(told) => vec![told],
        None if body.as_object().is_some_and(|body| !body.is_empty()) => {
            let kind = json::text(&body, "/type").unwrap_or("event");
            vec![json::part(Channel::Sms, &format!("messagebird.{kind}"), &body)]
        }
        None => unparsed(Channel::Sms, arrived),
    }
}

fn sms(body: &Value) -> Option<Incoming> {
    let id = json::scalar(body, "/id")?;
    let text = json::string(body, "/body").or_else(|| json::string(body, "/message"))?;
    let content = Content { message_id: id.clone(), text, ..Content::default() };
    Some(Incoming {
        id,
        channel: Channel::Sms,
        customer: json::number(&json::scalar(body, "/originator")?),
        address: json::number(&json::scalar(body, "/recipient")?),
        at: json::time(body, "/createdDatetime"),
        what: What::Message(Box::new(content)),
    })
}

fn report(body: &Value) -> Option<Incoming> {
    let (message, status) = (json::scalar(body, "/id")?, json::string(body, "/status")?);
    Some(Incoming {
        id: format!("{message}/{status}"),
        channel: Channel::Sms,
        customer: json::number(&json::scalar(body, "/recipient")?),
        address: json::scalar(body, "/originator").map(|ours| json::number(&ours)).unwrap_or_default(),
        at: json::time(body, "/statusDatetime"),
        what: What::Delivery { message, status, error: json::scalar(body, "/statusErrorCode") },
    })
}

/// A message of its conversations, or a report on one of ours.
fn conversation(body: &Value) -> Option<Incoming> {
    let message = body.get("message").filter(|message| message.get("channelId").is_some())?;
    let id = json::string(message, "/id")?;
    let channel = match json::text(message, "/platform").unwrap_or("sms") {
        "whatsapp" | "whatsapp_sandbox" => Channel::Whatsapp,
        "facebook" => Channel::Messenger,
        "instagram" => Channel::Instagram,
        "telegram" => Channel::Telegram,
        "line" => Channel::Line,
        "viber" => Channel::Viber,
        "sms" => Channel::Sms,
        _ => Channel::Custom,
    };
    let (from, to) =
        (json::text(message, "/from").map(json::number)?, json::text(message, "/to").map(json::number)?);
    let at = json::time(message, "/createdDatetime");
    if json::text(message, "/direction") == Some("sent") {
        let status = json::string(message, "/status")?;
        let id_of_report = format!("{id}/{status}");
        let what = What::Delivery { message: id, status, error: json::scalar(message, "/error/code") };
        return Some(Incoming { id: id_of_report, channel, customer: to, address: from, at, what });
    }
    let kind = json::text(message, "/type")?;
    let of = |name: &str| json::string(message, &format!("/content/{kind}/{name}"));
    let media = matches!(kind, "image" | "video" | "audio" | "file").then(|| of("url")).flatten();
    let place = || json::place(message, "/content/location/latitude", "/content/location/longitude", &[]);
    let text = json::string(message, "/content/text").or_else(|| of("caption")).or_else(place);
    if text.is_none() && media.is_none() {
        return None;
    }
    let content = Content {
        message_id: id.clone(),
        text: text.unwrap_or_default(),
        name: json::string(body, "/contact/displayName"),
        media: media.map(|link| MediaLink { link, media_type: None, file_name: None }).into_iter().collect(),
        ..Content::default()
    };
    Some(Incoming { id, channel, customer: from, address: to, at, what: What::Message(Box::new(content)) })
}
