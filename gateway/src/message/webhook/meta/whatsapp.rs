//! WhatsApp's `messages` field: messages and reports on ours, any number of each.

use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::json;
use crate::message::{Change, Content, Incoming, MediaLink, What};

/// What one change tells.
pub(super) fn read(value: &Value) -> Vec<Incoming> {
    let address = json::text(value, "/metadata/display_phone_number").map(json::number).unwrap_or_default();
    let contacts = json::list(value, "/contacts");
    let mut told = Vec::new();
    for message in json::list(value, "/messages") {
        told.push(of_message(message, contacts, &address));
    }
    for status in json::list(value, "/statuses") {
        told.push(of_status(status, &address));
    }
    if told.is_empty() {
        told.push(json::part(Channel::Whatsapp, "whatsapp.messages", value));
    }
    told
}

/// Who wrote: the number, or since 2026, for who has a user name instead, the id within the business.
fn customer(message: &Value, contacts: &[Value]) -> Option<String> {
    let of_contacts = || contacts.first().and_then(|contact| json::string(contact, "/user_id"));
    let number = json::text(message, "/from").map(json::number);
    number.or_else(|| json::string(message, "/from_user_id")).or_else(of_contacts)
}

fn of_message(message: &Value, contacts: &[Value], address: &str) -> Incoming {
    let kind = json::text(message, "/type").unwrap_or("message");
    let (Some(id), Some(customer)) = (json::string(message, "/id"), customer(message, contacts)) else {
        return json::part(Channel::Whatsapp, &format!("whatsapp.{kind}"), message);
    };
    let what = match kind {
        "reaction" => changed(message, "/reaction/message_id", || Change::Reaction {
            emoji: json::string(message, "/reaction/emoji"),
        }),
        "edit" => changed(message, "/edit/original_message_id", || {
            let edited = message.pointer("/edit/message").unwrap_or(&Value::Null);
            Change::Edited { text: content(edited).text }
        }),
        "revoke" => changed(message, "/revoke/original_message_id", || Change::Deleted),
        "text" | "image" | "video" | "audio" | "document" | "sticker" | "location" | "contacts"
        | "interactive" | "button" | "order" => {
            let name = contacts.first().and_then(|contact| json::string(contact, "/profile/name"));
            let reply_to = json::string(message, "/context/id");
            let said = content(message);
            let nothing = said.text.is_empty() && said.payload.is_none() && said.media.is_empty();
            (!nothing)
                .then(|| What::Message(Box::new(Content { message_id: id.clone(), name, reply_to, ..said })))
        }
        _ => None,
    };
    let Some(what) = what else {
        return json::part(Channel::Whatsapp, &format!("whatsapp.{kind}"), message);
    };
    Incoming {
        id,
        channel: Channel::Whatsapp,
        customer,
        address: address.to_owned(),
        at: json::seconds(message, "/timestamp"),
        what,
    }
}

fn changed(message: &Value, pointer: &str, change: impl FnOnce() -> Change) -> Option<What> {
    Some(What::Changed { message: json::string(message, pointer)?, change: change() })
}

/// What a message says, in whatever form.
fn content(message: &Value) -> Content {
    let kind = json::text(message, "/type").unwrap_or_default();
    let at = |name: &str| format!("/{kind}/{name}");
    match kind {
        "text" => said(json::string(message, "/text/body")),
        "image" | "video" | "audio" | "document" | "sticker" => {
            // A link lapses after minutes; by the id a new one is had as long as the file is there.
            let link = json::string(message, &at("id")).or_else(|| json::string(message, &at("url")));
            let media = link.map(|link| MediaLink {
                link,
                media_type: json::string(message, &at("mime_type")),
                file_name: json::string(message, &at("filename")),
            });
            Content { media: media.into_iter().collect(), ..said(json::string(message, &at("caption"))) }
        }
        "location" => {
            let words = ["/location/name", "/location/address"];
            said(json::place(message, "/location/latitude", "/location/longitude", &words))
        }
        "contacts" => said(Some(cards(json::list(message, "/contacts")))),
        "interactive" => {
            let kind = json::text(message, "/interactive/type").unwrap_or_default();
            let of = |name: &str| json::string(message, &format!("/interactive/{kind}/{name}"));
            let payload = of("id").or_else(|| of("response_json"));
            Content { payload, ..said(of("title").or_else(|| of("body"))) }
        }
        "button" => Content {
            payload: json::string(message, "/button/payload"),
            ..said(json::string(message, "/button/text"))
        },
        "order" => Content {
            payload: message.pointer("/order").map(Value::to_string),
            ..said(json::string(message, "/order/text"))
        },
        _ => Content::default(),
    }
}

fn said(text: Option<String>) -> Content {
    Content { text: text.unwrap_or_default(), ..Content::default() }
}

/// Names and numbers of cards, a line each.
fn cards(cards: &[Value]) -> String {
    let line = |card: &Value| {
        let mut line = json::string(card, "/name/formatted_name").unwrap_or_default();
        for phone in json::list(card, "/phones").iter().filter_map(|phone| json::text(phone, "/phone")) {
            line.push(' ');
            line.push_str(phone);
        }
        line
    };
    cards.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn of_status(status: &Value, address: &str) -> Incoming {
    let (Some(message), Some(word)) = (json::string(status, "/id"), json::string(status, "/status")) else {
        return json::part(Channel::Whatsapp, "whatsapp.status", status);
    };
    let to = json::text(status, "/recipient_id").map(json::number);
    Incoming {
        id: format!("{message}/{word}"),
        channel: Channel::Whatsapp,
        customer: to.or_else(|| json::string(status, "/recipient_user_id")).unwrap_or_default(),
        address: address.to_owned(),
        at: json::seconds(status, "/timestamp"),
        what: What::Delivery { message, status: word, error: json::scalar(status, "/errors/0/code") },
    }
}
