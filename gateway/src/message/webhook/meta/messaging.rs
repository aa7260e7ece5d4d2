//! Messenger and Instagram: `messaging` events, one thing each but for reports.

use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::json;
use crate::message::{Change, Content, Incoming, MediaLink, What};

/// Most files of one message.
const FILES_MAX: usize = 32;

/// What one event tells.
pub(super) fn read(channel: Channel, event: &Value) -> Vec<Incoming> {
    let kept = |kind: &str| vec![json::part(channel, &format!("{}.{kind}", name(channel)), event)];
    let (Some(customer), Some(address)) =
        (json::scalar(event, "/sender/id"), json::scalar(event, "/recipient/id"))
    else {
        return kept("event");
    };
    let told = |id: String, what| Incoming {
        id,
        channel,
        customer: customer.clone(),
        address: address.clone(),
        at: json::millis(event, "/timestamp"),
        what,
    };
    if let Some(message) = event.get("message") {
        return match of_message(message) {
            Some((id, what)) => vec![told(id, what)],
            None => kept("echo"),
        };
    }
    if let Some(edit) = event.get("message_edit") {
        let (Some(mid), Some(text)) = (json::string(edit, "/mid"), json::string(edit, "/text")) else {
            return kept("message_edit");
        };
        let count = json::scalar(edit, "/num_edit").unwrap_or_default();
        let what = What::Changed { message: mid.clone(), change: Change::Edited { text } };
        return vec![told(format!("{mid}/edit/{count}"), what)];
    }
    if let Some(pressed) = event.get("postback") {
        let stamp = json::scalar(event, "/timestamp").unwrap_or_default();
        let id = json::string(pressed, "/mid").unwrap_or_else(|| format!("{customer}/postback/{stamp}"));
        let content = Content {
            message_id: id.clone(),
            text: json::string(pressed, "/title").unwrap_or_default(),
            payload: json::string(pressed, "/payload"),
            ..Content::default()
        };
        return vec![told(id, What::Message(Box::new(content)))];
    }
    if let Some(reaction) = event.get("reaction") {
        let Some(mid) = json::string(reaction, "/mid") else { return kept("reaction") };
        let action = json::text(reaction, "/action").unwrap_or("react");
        let emoji = json::string(reaction, "/emoji").or_else(|| json::string(reaction, "/reaction"));
        let change = Change::Reaction { emoji: emoji.filter(|_| action != "unreact") };
        let stamp = json::scalar(event, "/timestamp").unwrap_or_default();
        let id = format!("{mid}/{action}/{stamp}");
        return vec![told(id, What::Changed { message: mid, change })];
    }
    let reports = reports(event);
    if reports.is_empty() {
        let kinds = ["read", "delivery", "referral", "optin", "pass_thread_control", "take_thread_control"];
        let kind = kinds.iter().find(|kind| event.get(**kind).is_some()).copied();
        return kept(kind.unwrap_or("event"));
    }
    let report = |(mid, status): (String, &str)| {
        let what = What::Delivery { message: mid.clone(), status: status.to_owned(), error: None };
        told(format!("{mid}/{status}"), what)
    };
    reports.into_iter().map(report).collect()
}

/// A message with its id; none for what we wrote ourselves.
fn of_message(message: &Value) -> Option<(String, What)> {
    let mid = json::string(message, "/mid")?;
    let is = |pointer: &str| message.pointer(pointer).and_then(Value::as_bool) == Some(true);
    if is("/is_echo") {
        return None;
    }
    if is("/is_deleted") {
        let what = What::Changed { message: mid.clone(), change: Change::Deleted };
        return Some((format!("{mid}/deleted"), what));
    }
    let media = json::list(message, "/attachments").iter().take(FILES_MAX).filter_map(|file| {
        let link = json::string(file, "/payload/url")?;
        // A word such as `image`: no more is told.
        Some(MediaLink { link, media_type: json::string(file, "/type"), file_name: None })
    });
    let place = json::list(message, "/attachments").iter().find_map(|file| {
        let at = "/payload/coordinates";
        json::place(file, &format!("{at}/lat"), &format!("{at}/long"), &["/title"])
    });
    let content = Content {
        message_id: mid.clone(),
        text: json::string(message, "/text").or(place).unwrap_or_default(),
        reply_to: json::string(message, "/reply_to/mid"),
        payload: json::string(message, "/quick_reply/payload"),
        media: media.collect(),
        ..Content::default()
    };
    Some((mid, What::Message(Box::new(content))))
}

/// Ours that were delivered or read, where they are named one by one.
fn reports(event: &Value) -> Vec<(String, &'static str)> {
    let delivered = json::list(event, "/delivery/mids").iter().filter_map(Value::as_str);
    let read = json::string(event, "/read/mid").map(|mid| (mid, "read"));
    delivered.map(|mid| (mid.to_owned(), "delivered")).chain(read).collect()
}

fn name(channel: Channel) -> &'static str {
    if channel == Channel::Instagram { "instagram" } else { "messenger" }
}
