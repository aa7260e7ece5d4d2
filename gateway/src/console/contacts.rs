//! Contacts, live and past: the list, one contact with all that is known of it, and what may be done with a live one.

mod acts;
mod conversation;
mod journey;
mod ladder;
mod list;
mod one;

use std::collections::BTreeMap;

use axum::Router;
use serde::Deserialize;

use super::{
    Console, Refused,
    ask::Desk,
    words::{self, When},
};

pub(super) fn routes() -> Router<Console> {
    list::routes().merge(one::routes()).merge(acts::routes()).merge(conversation::routes())
}

/// A contact as the API tells it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Contact {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) channel: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) arrived: When,
    pub(super) answered: Option<When>,
    pub(super) ended: Option<When>,
    pub(super) entry_point: Option<String>,
    pub(super) ivr: Option<String>,
    pub(super) inbox: Option<String>,
    pub(super) revision: Option<u64>,
    pub(super) trunk: Option<String>,
    pub(super) call_id: Option<String>,
    pub(super) diverted_from: Option<String>,
    pub(super) outcome: Option<Outcome>,
    pub(super) abandoned_at: Option<serde_json::Value>,
    pub(super) now: Option<Stage>,
    pub(super) hand_off: Option<HandOff>,
    pub(super) queued: Option<When>,
    pub(super) sla_due: Option<When>,
    #[serde(default)]
    pub(super) held: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Outcome {
    pub(super) side: String,
    pub(super) reason: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct HandOff {
    pub(super) state: String,
    pub(super) by: String,
    pub(super) targets: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub(super) enum Stage {
    Ringing,
    InIvr { ivr: String, node: String },
    Waiting { inbox: String, position: u32 },
    Connected { inbox: String },
    Ending,
}

/// A page of contacts as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ContactPage {
    pub(super) contacts: Vec<Contact>,
    pub(super) next: Option<String>,
}

/// Names of inboxes by their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    pub(super) fn new<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(names.map(|(id, name)| (id.to_owned(), name.to_owned())).collect())
    }

    /// The name, or the id of what has none any more.
    pub(super) fn of<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.get(id).map_or(id, String::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &String)> {
        self.0.iter()
    }
}

impl Contact {
    /// What it is doing now: a kind, words, and its place in the queue.
    pub(super) fn doing(&self, names: &Names) -> (&'static str, String, u32) {
        let with = |hand_off: &HandOff| match hand_off.targets.as_slice() {
            [] => hand_off.by.clone(),
            targets => targets.join(", "),
        };
        let rings = self.hand_off.as_ref().filter(|one| one.state == "ringing");
        match &self.now {
            Some(Stage::Ringing) => ("ringing", "Ringing".to_owned(), 0),
            Some(Stage::InIvr { ivr, node }) => ("ivr", format!("{ivr} · {node}"), 0),
            Some(Stage::Waiting { inbox, position }) => {
                let ringing = rings.map(|rings| format!(", ringing {}", with(rings))).unwrap_or_default();
                ("waiting", format!("Waits in {}{ringing}", names.of(inbox)), *position)
            }
            Some(Stage::Connected { .. }) => {
                let whom = self.hand_off.as_ref().map(with).unwrap_or_default();
                match self.held {
                    true => ("held", format!("On hold by {whom}"), 0),
                    false => ("talking", format!("Talks to {whom}"), 0),
                }
            }
            Some(Stage::Ending) => ("ending", "Ending".to_owned(), 0),
            None => ("message", self.inbox.as_deref().map_or("", |inbox| names.of(inbox)).to_owned(), 0),
        }
    }

    /// The customer's address.
    pub(super) fn who(&self) -> &str {
        words::who(&self.from)
    }

    pub(super) fn is_live(&self) -> bool {
        self.state == "live"
    }

    pub(super) fn is_voice(&self) -> bool {
        self.channel == "voice"
    }

    pub(super) fn channel_name(&self) -> &str {
        words::channel(&self.channel)
    }

    /// The icon of its channel.
    pub(super) fn icon(&self) -> &'static str {
        match self.channel.as_str() {
            "voice" => "phone",
            "email" => "mail",
            _ => "message",
        }
    }

    /// How long it lasted, or lasts.
    pub(super) fn lasted(&self) -> String {
        self.ended.map(|ended| self.arrived.until(&ended)).unwrap_or_default()
    }

    /// How it ended, for people; its tone.
    pub(super) fn end(&self) -> (&str, &'static str) {
        match &self.outcome {
            Some(outcome) => (words::reason(&outcome.reason), words::tone(&outcome.reason)),
            None if self.is_live() => ("Live", "live"),
            None => ("Ended", "plain"),
        }
    }
}

#[derive(Deserialize)]
struct InboxNames {
    inboxes: Vec<InboxName>,
}

#[derive(Deserialize)]
struct InboxName {
    id: String,
    name: String,
}

/// The names of all inboxes.
async fn names(desk: &Desk) -> Result<Names, Refused> {
    let list: Option<InboxNames> = desk.find("/api/v1/inboxes").await?;
    let inboxes = list.map_or_else(Vec::new, |list| list.inboxes);
    Ok(Names::new(inboxes.iter().map(|inbox| (inbox.id.as_str(), inbox.name.as_str()))))
}
