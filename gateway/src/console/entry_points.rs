//! Entry points: by channel, where each leads and why; default inboxes, exceptions, arming, and the way in for many.
//!
//! What is done here holds at once: each act is a revision of its own, and leaves the draft alone.

mod import;
mod list;
mod many;
mod one;

use axum::Router;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Console, Refused,
    ask::Desk,
    form::Finding,
    words::{self, encoded},
};

pub(super) fn routes() -> Router<Console> {
    list::routes().merge(many::routes()).merge(import::routes()).merge(one::routes())
}

/// An entry point as the API tells it.
#[derive(Clone, Debug, Deserialize)]
struct EntryPoint {
    id: String,
    channel: String,
    address: String,
    label: Option<String>,
    inbox: Option<String>,
    inbox_name: Option<String>,
    because: String,
    sla_minutes: Option<u64>,
    sla_of: String,
    armed: bool,
    initial_ivr: Option<String>,
    queue_ivr: Option<String>,
}

impl EntryPoint {
    /// What people call it.
    fn name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.address)
    }

    fn href(&self) -> String {
        format!("/console/entry-points/{}/{}", encoded(&self.channel), encoded(&self.address))
    }

    fn channel_name(&self) -> &str {
        words::channel(&self.channel)
    }

    fn icon(&self) -> &'static str {
        icon(&self.channel)
    }

    fn is_exception(&self) -> bool {
        self.because == "exception"
    }

    fn has_own_sla(&self) -> bool {
        self.sla_of == "entry_point"
    }

    fn sla(&self) -> String {
        self.sla_minutes.map_or_else(|| "–".to_owned(), words::minutes)
    }

    /// Exits are passed by those who were let in elsewhere: there is nothing to arm.
    fn can_be_armed(&self) -> bool {
        self.channel != "ivr"
    }

    /// The object that its address is, with its page.
    fn object(&self) -> Option<(String, &'static str)> {
        match self.channel.as_str() {
            "chat" => {
                Some((format!("/console/settings/chat_apps/{}", encoded(&self.address)), "Its chat window"))
            }
            "ivr" => {
                let ivr = self.address.split_once('/').map_or("", |(ivr, _)| ivr);
                Some((format!("/console/ivrs/{}", encoded(ivr)), "Its IVR"))
            }
            "email" => {
                Some((format!("/console/settings/mailboxes/{}", encoded(&self.address)), "Its mailbox"))
            }
            "voice" | "sms" => Some((format!("/console/numbers/{}", encoded(&self.address)), "Its number")),
            _ => Some(("/console/settings/providers".to_owned(), "Message providers")),
        }
    }
}

/// A channel's section as the API tells it.
#[derive(Clone, Debug, Deserialize)]
struct Channel {
    channel: String,
    default_inbox: Option<String>,
    own: bool,
    entry_points: usize,
    left: usize,
    exceptions: Vec<Exception>,
}

/// How many entry points lead to another inbox.
#[derive(Clone, Debug, Deserialize)]
struct Exception {
    inbox: String,
    entry_points: usize,
}

impl Channel {
    fn name(&self) -> &str {
        words::channel(&self.channel)
    }

    fn icon(&self) -> &'static str {
        icon(&self.channel)
    }

    fn excepted(&self) -> usize {
        self.exceptions.iter().map(|one| one.entry_points).sum()
    }

    /// Whether its addresses are there by themselves: others are written down by hand.
    fn comes_by_itself(&self) -> bool {
        comes_by_itself(&self.channel)
    }
}

fn comes_by_itself(channel: &str) -> bool {
    matches!(channel, "voice" | "sms" | "chat" | "ivr")
}

fn icon(channel: &str) -> &'static str {
    match channel {
        "voice" => "phone",
        "email" => "mail",
        "ivr" => "branch",
        _ => "message",
    }
}

/// What somebody who writes to a disarmed entry point notices.
fn disarming(channel: &str) -> &'static str {
    match channel {
        "voice" => {
            "New calls are answered with 480 and enter neither IVR nor queue. Calls that are inside go on. Nobody is \
             called back later: the caller has to call again."
        }
        "email" => "Mail is put off with 451: its senders keep it and try again for days. Nothing is lost.",
        "chat" => {
            "The chat window is hidden on your pages. What comes of chats that are open is kept, and handed on once it \
             is armed again."
        }
        _ => {
            "Messages are acknowledged and kept, and nobody is handed any. They are handed on once it is armed again: \
             nothing is lost."
        }
    }
}

/// What becomes of an entry point whose settings are forgotten.
fn forgetting(channel: &str) -> &'static str {
    match channel {
        "voice" | "sms" | "chat" | "ivr" => {
            "Its exception, its SLA and its disarming are forgotten. Its contacts go to the channel's default inbox, \
             with that inbox's SLA, and are let in."
        }
        "email" => {
            "It is no entry point any more: mail to it is refused with 550. What came in before stays where it is."
        }
        _ => {
            "Its settings are forgotten. What still comes to it goes to the channel's default inbox, with that inbox's \
             SLA."
        }
    }
}

/// An inbox that can be chosen.
#[derive(Clone, Debug)]
struct Choice {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Listed {
    objects: Vec<Object>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    id: String,
    active: Value,
}

/// Pages of inboxes that are read: more than people choose from.
const INBOX_PAGES_MAX: usize = 4;

/// The inboxes of the active revision, by their names.
async fn inboxes(desk: &Desk) -> Result<Vec<Choice>, Refused> {
    let (mut all, mut after) = (Vec::new(), String::new());
    for _ in 0..INBOX_PAGES_MAX {
        let path = format!("/api/v1/routing/draft/inboxes?limit=500&after={}", encoded(&after));
        let Listed { objects, next } = desk.get(&path).await?;
        all.extend(objects.into_iter().filter(|one| !one.active.is_null()).map(|one| Choice {
            name: one.active.get("name").and_then(Value::as_str).unwrap_or(&one.id).to_owned(),
            id: one.id,
        }));
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    all.sort_by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase()).then_with(|| a.id.cmp(&b.id)));
    Ok(all)
}

/// The name of an inbox among those, or its id.
fn name_of<'a>(inboxes: &'a [Choice], id: &'a str) -> &'a str {
    inboxes.iter().find(|inbox| inbox.id == id).map_or(id, |inbox| inbox.name.as_str())
}

/// Findings that are said in one sentence to a page.
const SAID_MAX: usize = 5;

/// A refusal with what it found, in one sentence.
fn told(refused: Refused) -> Refused {
    let findings = refused.more.get("diagnostics").cloned().unwrap_or_default();
    let findings: Vec<Finding> = serde_json::from_value(findings).unwrap_or_default();
    let said = findings.iter().map(|finding| finding.sentence.as_str());
    let said: Vec<&str> = said.filter(|said| !refused.detail.contains(said)).take(SAID_MAX).collect();
    match said.is_empty() {
        true => refused,
        false => Refused { detail: format!("{} {}.", refused.detail, said.join("; ")), ..refused },
    }
}

/// What an act came to, for people.
fn came_of(answer: &Value, done: &str) -> String {
    if let Some(waits) = words::waits(answer) {
        return waits;
    }
    match answer.pointer("/done/revision").and_then(Value::as_u64) {
        Some(revision) => format!("{done} Revision {revision} is active."),
        None => "It was so before: nothing changed.".to_owned(),
    }
}
