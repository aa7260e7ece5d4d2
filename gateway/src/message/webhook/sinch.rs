//! Sinch's Conversation API: all its channels by JSON, signed with `x-sinch-webhook-signature` (base64 HMAC-SHA256 of
//! `body.nonce.timestamp`).
//!
//! Its events do not name our number: `account` of the provider is our address, else the app's id.

use jiff::Timestamp;
use ring::hmac;
use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, fresh, header, json, proof, unparsed};
use crate::message::{Content, MediaLink};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let signature = header(arrived.headers, "x-sinch-webhook-signature")?;
    let nonce = header(arrived.headers, "x-sinch-webhook-signature-nonce")?;
    let stamp = header(arrived.headers, "x-sinch-webhook-signature-timestamp")?;
    let algorithm = header(arrived.headers, "x-sinch-webhook-signature-algorithm")?;
    let signature = proof::base64(signature).ok_or(Refused::Unsigned)?;
    if !algorithm.eq_ignore_ascii_case("HmacSHA256") {
        return Err(Refused::Unsigned);
    }
    let parts = [arrived.body, b".", nonce.as_bytes(), b".", stamp.as_bytes()];
    let good = |secret: &String| proof::is_hmac(hmac::HMAC_SHA256, secret.as_bytes(), &parts, &signature);
    if !credentials.secrets.iter().any(good) {
        return Err(Refused::WrongSignature);
    }
    let seconds: i64 = stamp.parse().map_err(|_| Refused::Unsigned)?;
    fresh(Timestamp::from_second(seconds).map_err(|_| Refused::Stale)?, arrived.now)
}

pub(super) fn read(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Vec<Incoming> {
    let Some(body) = json::body(arrived) else { return unparsed(Channel::Sms, arrived) };
    let address = credentials.account.or_else(|| json::text(&body, "/app_id")).unwrap_or_default();
    let at = json::time(&body, "/event_time").or_else(|| json::time(&body, "/accepted_time"));
    let told = of_message(&body).or_else(|| of_report(&body)).or_else(|| of_wish(&body));
    match told {
        Some((id, (channel, customer), what)) => {
            vec![Incoming { id, channel, customer, address: json::number(address), at, what }]
        }
        None => {
            let kinds =
                body.as_object().and_then(|body| body.keys().find(|key| key.ends_with("_notification")));
            let kind = kinds.map_or("event", String::as_str);
            vec![json::part(Channel::Custom, &format!("sinch.{kind}"), &body)]
        }
    }
}

/// Id, channel and customer, and what happened.
type Told = (String, (Channel, String), What);

fn of_message(body: &Value) -> Option<Told> {
    let message = body.get("message").filter(|message| message.get("contact_message").is_some())?;
    let who = identity(message)?;
    // Without an id of its own it is named by what it says, and when.
    let id = json::string(message, "/id")
        .unwrap_or_else(|| proof::fingerprint(format!("{message}{}", body["accepted_time"]).as_bytes()));
    let said = message.get("contact_message")?;
    let of = |pointer: &str| json::string(said, pointer);
    let choice = said.get("choice_response_message");
    let media = ["/media_message/url", "/media_card_message/url"].iter().find_map(|pointer| of(pointer));
    let place = || {
        let at = "/location_message/coordinates";
        let words = ["/location_message/title", "/location_message/label"];
        json::place(said, &format!("{at}/latitude"), &format!("{at}/longitude"), &words)
    };
    let text = of("/text_message/text").or_else(|| of("/media_card_message/caption")).or_else(place);
    let known = text.is_some() || media.is_some() || choice.is_some();
    let content = Content {
        message_id: id.clone(),
        text: text.unwrap_or_default(),
        name: json::string(message, "/sender_name"),
        reply_to: of("/reply_to/message_id").or_else(|| of("/choice_response_message/message_id")),
        payload: choice.and_then(|choice| json::string(choice, "/postback_data")),
        media: media.map(|link| MediaLink { link, media_type: None, file_name: None }).into_iter().collect(),
        ..Content::default()
    };
    known.then(|| (id, who, What::Message(Box::new(content))))
}

fn of_report(body: &Value) -> Option<Told> {
    let report = body.get("message_delivery_report")?;
    let message = json::string(report, "/message_id")?;
    let status = json::string(report, "/status")?;
    let who = identity(report)
        .unwrap_or_else(|| (Channel::Custom, json::string(report, "/contact_id").unwrap_or_default()));
    let what = What::Delivery {
        message: message.clone(),
        status: status.clone(),
        error: json::string(report, "/reason/code"),
    };
    Some((format!("{message}/{status}"), who, what))
}

fn of_wish(body: &Value) -> Option<Told> {
    let (notice, out) = match (body.get("opt_out_notification"), body.get("opt_in_notification")) {
        (Some(notice), _) => (notice, true),
        (None, Some(notice)) => (notice, false),
        (None, None) => return None,
    };
    let channel = channel(json::text(notice, "/channel")?)?;
    let customer = json::number(json::text(notice, "/identity")?);
    let id = json::string(notice, "/request_id")
        .unwrap_or_else(|| proof::fingerprint(body.to_string().as_bytes()));
    Some((id, (channel, customer), What::OptOut { out }))
}

fn identity(of: &Value) -> Option<(Channel, String)> {
    let channel = channel(json::text(of, "/channel_identity/channel")?)?;
    let identity = json::text(of, "/channel_identity/identity")?;
    let has_numbers = matches!(channel, Channel::Sms | Channel::Whatsapp);
    Some((channel, if has_numbers { json::number(identity) } else { identity.to_owned() }))
}

fn channel(word: &str) -> Option<Channel> {
    Some(match word {
        "SMS" | "MMS" | "RCS" => Channel::Sms,
        "WHATSAPP" => Channel::Whatsapp,
        "MESSENGER" => Channel::Messenger,
        "INSTAGRAM" => Channel::Instagram,
        "VIBER" | "VIBERBM" => Channel::Viber,
        "TELEGRAM" => Channel::Telegram,
        "LINE" => Channel::Line,
        "KAKAOTALK" | "KAKAOTALKCHAT" | "WECHAT" | "APPLEBC" => Channel::Custom,
        _ => return None,
    })
}
