//! Telegram bots: one update a request, proven by a word of our own (`X-Telegram-Bot-Api-Secret-Token`).
//!
//! Updates do not say which bot they are for: `account` of the provider is our address.

use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, header, json, proof, unparsed};
use crate::message::{Change, Content, MediaLink};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let word = header(arrived.headers, "x-telegram-bot-api-secret-token")?;
    let known = credentials.secrets.iter().any(|secret| proof::same(secret.as_bytes(), word.as_bytes()));
    if known { Ok(()) } else { Err(Refused::WrongSignature) }
}

pub(super) fn read(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Vec<Incoming> {
    let Some(update) = json::body(arrived) else { return unparsed(Channel::Telegram, arrived) };
    let Some(id) = json::scalar(&update, "/update_id") else { return unparsed(Channel::Telegram, arrived) };
    let kind = update.as_object().and_then(|update| update.keys().find(|key| *key != "update_id"));
    let kind = kind.map_or("update", String::as_str);
    let inner = update.get(kind).unwrap_or(&Value::Null);
    let Some((chat, what)) = of_update(kind, inner) else {
        return vec![Incoming { id, ..json::part(Channel::Telegram, &format!("telegram.{kind}"), &update) }];
    };
    vec![Incoming {
        id,
        channel: Channel::Telegram,
        customer: chat,
        address: credentials.account.unwrap_or("telegram").to_owned(),
        at: json::seconds(inner, "/edit_date").or_else(|| json::seconds(inner, "/date")),
        what,
    }]
}

/// The chat, and what happened in it.
fn of_update(kind: &str, inner: &Value) -> Option<(String, What)> {
    match kind {
        "message" | "channel_post" | "business_message" => {
            let content = content(inner)?;
            Some((json::scalar(inner, "/chat/id")?, What::Message(Box::new(content))))
        }
        "edited_message" | "edited_channel_post" | "edited_business_message" => {
            let Content { message_id, text, .. } = content(inner)?;
            let what = What::Changed { message: message_id, change: Change::Edited { text } };
            Some((json::scalar(inner, "/chat/id")?, what))
        }
        "callback_query" => {
            let chat = json::scalar(inner, "/message/chat/id").or_else(|| json::scalar(inner, "/from/id"))?;
            let content = Content {
                message_id: json::scalar(inner, "/id")?,
                name: person(inner.get("from")?),
                reply_to: json::scalar(inner, "/message/message_id").map(|id| format!("{chat}/{id}")),
                payload: json::string(inner, "/data").or_else(|| json::string(inner, "/game_short_name")),
                ..Content::default()
            };
            Some((chat, What::Message(Box::new(content))))
        }
        "message_reaction" => {
            let chat = json::scalar(inner, "/chat/id")?;
            let emoji = json::string(inner, "/new_reaction/0/emoji")
                .or_else(|| json::string(inner, "/new_reaction/0/custom_emoji_id"));
            let message = format!("{chat}/{}", json::scalar(inner, "/message_id")?);
            Some((chat, What::Changed { message, change: Change::Reaction { emoji } }))
        }
        "my_chat_member" => {
            let out = match json::text(inner, "/new_chat_member/status")? {
                "kicked" | "left" => true,
                "member" => false,
                _ => return None,
            };
            // Of groups only their admins decide; a private chat is the customer's own.
            let private = json::text(inner, "/chat/type") == Some("private");
            private.then_some((json::scalar(inner, "/chat/id")?, What::OptOut { out }))
        }
        _ => None,
    }
}

/// None for what says nothing: somebody joined, a title was changed.
fn content(message: &Value) -> Option<Content> {
    let chat = json::scalar(message, "/chat/id")?;
    let media = media(message);
    let place = || {
        let words = ["/venue/title", "/venue/address"];
        json::place(message, "/location/latitude", "/location/longitude", &words)
    };
    let card = || {
        let name = json::text(message, "/contact/first_name")?;
        Some(format!("{name} {}", json::text(message, "/contact/phone_number").unwrap_or_default()))
    };
    let text = json::string(message, "/text").or_else(|| json::string(message, "/caption"));
    let text = text.or_else(place).or_else(card).or_else(|| json::string(message, "/sticker/emoji"));
    if text.is_none() && media.is_none() {
        return None;
    }
    let named = message.get("from").or_else(|| message.get("sender_chat"));
    Some(Content {
        message_id: format!("{chat}/{}", json::scalar(message, "/message_id")?),
        text: text.unwrap_or_default(),
        name: named.and_then(person),
        reply_to: json::scalar(message, "/reply_to_message/message_id").map(|id| format!("{chat}/{id}")),
        media: media.into_iter().collect(),
        ..Content::default()
    })
}

/// The file of a message, by the id that it is asked for with.
fn media(message: &Value) -> Option<MediaLink> {
    // Of a picture the largest form stands last.
    let photo = json::list(message, "/photo").last();
    let kinds = ["video", "animation", "audio", "voice", "document", "video_note", "sticker"];
    let file = photo.or_else(|| kinds.iter().find_map(|kind| message.get(*kind)))?;
    Some(MediaLink {
        link: json::string(file, "/file_id")?,
        media_type: json::string(file, "/mime_type").or_else(|| photo.map(|_| "image/jpeg".to_owned())),
        file_name: json::string(file, "/file_name"),
    })
}

fn person(person: &Value) -> Option<String> {
    let words = ["/first_name", "/last_name", "/title"];
    let words: Vec<&str> = words.iter().filter_map(|pointer| json::text(person, pointer)).collect();
    if words.is_empty() { json::string(person, "/username") } else { Some(words.join(" ")) }
}
