//! LINE: events by the list, signed with `X-Line-Signature` (base64 HMAC-SHA256 of the raw body under the channel secret).

use ring::hmac;
use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, header, json, proof, unparsed};
use crate::message::{Change, Content, MediaLink};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let signature = proof::base64(header(arrived.headers, "x-line-signature")?).ok_or(Refused::Unsigned)?;
    let good =
        |secret: &String| proof::is_hmac(hmac::HMAC_SHA256, secret.as_bytes(), &[arrived.body], &signature);
    if credentials.secrets.iter().any(good) { Ok(()) } else { Err(Refused::WrongSignature) }
}

/// Nothing at all when the console asks whether we are there.
pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let body = json::body(arrived).filter(|body| body.get("events").is_some_and(Value::is_array));
    let Some(body) = body else { return unparsed(Channel::Line, arrived) };
    let address = json::text(&body, "/destination").unwrap_or_default();
    json::list(&body, "/events").iter().map(|event| of_event(event, address)).collect()
}

fn of_event(event: &Value, address: &str) -> Incoming {
    let kind = json::text(event, "/type").unwrap_or("event");
    let id = json::string(event, "/webhookEventId");
    // A group and a room are threads of their own, whoever writes in them.
    let from = ["/source/groupId", "/source/roomId", "/source/userId"];
    let customer = from.iter().find_map(|pointer| json::string(event, pointer));
    let (Some(id), Some(customer), Some(what)) = (id.clone(), customer, what(kind, event)) else {
        let kept = json::part(Channel::Line, &format!("line.{kind}"), event);
        return Incoming { id: id.unwrap_or_else(|| kept.id.clone()), ..kept };
    };
    let at = json::millis(event, "/timestamp");
    Incoming { id, channel: Channel::Line, customer, address: address.to_owned(), at, what }
}

fn what(kind: &str, event: &Value) -> Option<What> {
    match kind {
        "message" => Some(What::Message(Box::new(content(event.get("message")?)?))),
        "messageEdited" => {
            let message = json::scalar(event, "/message/id")?;
            let text = json::string(event, "/message/text")?;
            Some(What::Changed { message, change: Change::Edited { text } })
        }
        "unsend" => {
            let message = json::scalar(event, "/unsend/messageId")?;
            Some(What::Changed { message, change: Change::Deleted })
        }
        "postback" => {
            let content = Content {
                message_id: json::string(event, "/webhookEventId")?,
                payload: json::string(event, "/postback/data"),
                ..Content::default()
            };
            Some(What::Message(Box::new(content)))
        }
        "follow" => Some(What::OptOut { out: false }),
        "unfollow" => Some(What::OptOut { out: true }),
        _ => None,
    }
}

fn content(message: &Value) -> Option<Content> {
    let id = json::scalar(message, "/id")?;
    let kind = json::text(message, "/type")?;
    let text = match kind {
        "text" => json::string(message, "/text"),
        "location" => json::place(message, "/latitude", "/longitude", &["/title", "/address"]),
        "sticker" => json::list(message, "/keywords").first().and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    let media = matches!(kind, "image" | "video" | "audio" | "file").then(|| MediaLink {
        // What LINE keeps itself is asked for by the message's id.
        link: json::string(message, "/contentProvider/originalContentUrl").unwrap_or_else(|| id.clone()),
        media_type: Some(kind.to_owned()),
        file_name: json::string(message, "/fileName"),
    });
    Some(Content {
        message_id: id,
        text: text.unwrap_or_default(),
        reply_to: json::scalar(message, "/quotedMessageId"),
        media: media.into_iter().collect(),
        ..Content::default()
    })
}
