//! Viber bots: one event a request, signed with `X-Viber-Content-Signature` (hexadecimal HMAC-SHA256 of the raw body under
//! the bot's token). Events do not say which bot they are for: `account` of the provider is our address.

use ring::hmac;
use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, header, json, proof, unparsed};
use crate::message::{Content, MediaLink};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let signature = header(arrived.headers, "x-viber-content-signature")?;
    let signature = proof::hex(signature).ok_or(Refused::Unsigned)?;
    let good =
        |secret: &String| proof::is_hmac(hmac::HMAC_SHA256, secret.as_bytes(), &[arrived.body], &signature);
    if credentials.secrets.iter().any(good) { Ok(()) } else { Err(Refused::WrongSignature) }
}

/// Nothing at all when a new address is tried (`webhook`).
pub(super) fn read(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Vec<Incoming> {
    let Some(event) = json::body(arrived) else { return unparsed(Channel::Viber, arrived) };
    let Some(kind) = json::text(&event, "/event") else { return unparsed(Channel::Viber, arrived) };
    if kind == "webhook" {
        return Vec::new();
    }
    let token = json::scalar(&event, "/message_token");
    let who = ["/sender/id", "/user_id", "/user/id"];
    let customer = who.iter().find_map(|pointer| json::string(&event, pointer));
    let (Some(token), Some(customer)) = (token, customer) else {
        return vec![json::part(Channel::Viber, &format!("viber.{kind}"), &event)];
    };
    let what = match kind {
        "message" => content(&event, &token).map(|content| What::Message(Box::new(content))),
        "delivered" | "seen" | "failed" => Some(What::Delivery {
            message: token.clone(),
            status: kind.to_owned(),
            error: json::string(&event, "/desc"),
        }),
        "subscribed" => Some(What::OptOut { out: false }),
        "unsubscribed" => Some(What::OptOut { out: true }),
        _ => None,
    };
    let id = if kind == "message" { token } else { format!("{token}/{kind}") };
    let Some(what) = what else {
        return vec![Incoming { id, ..json::part(Channel::Viber, &format!("viber.{kind}"), &event) }];
    };
    let address = credentials.account.unwrap_or("viber").to_owned();
    vec![Incoming {
        id,
        channel: Channel::Viber,
        customer,
        address,
        at: json::millis(&event, "/timestamp"),
        what,
    }]
}

fn content(event: &Value, token: &str) -> Option<Content> {
    let message = event.get("message")?;
    let kind = json::text(message, "/type")?;
    let place = || json::place(message, "/location/lat", "/location/lon", &["/location/address"]);
    let card = || {
        let name = json::text(message, "/contact/name")?;
        Some(format!("{name} {}", json::text(message, "/contact/phone_number").unwrap_or_default()))
    };
    let file = matches!(kind, "picture" | "video" | "file" | "sticker" | "url");
    let media = json::string(message, "/media").filter(|_| file).map(|link| MediaLink {
        link,
        media_type: Some(kind.to_owned()),
        file_name: json::string(message, "/file_name"),
    });
    Some(Content {
        message_id: token.to_owned(),
        text: json::string(message, "/text").or_else(place).or_else(card).unwrap_or_default(),
        name: json::string(event, "/sender/name"),
        payload: json::string(message, "/tracking_data"),
        media: media.into_iter().collect(),
        ..Content::default()
    })
}
