//! The list of contacts: searched, filtered, paged.

use askama::Template;
use axum::{Router, extract::Query, routing::get};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Contact, ContactPage, Names};
use crate::console::{
    Console,
    ask::{Desk, Shown},
    page,
    shell::{Section, Shell},
    words,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/contacts", get(show))
}

/// Rows of a page.
const ROWS: usize = 50;

/// What is looked for, as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Sought {
    /// A part of the customer's address or of ours.
    q: String,
    channel: String,
    state: String,
    outcome: String,
    inbox: String,
    /// Not older than: `1h`, `24h`, `7d` or `30d`.
    since: String,
    before: String,
}

/// Times that can be chosen.
const SINCE: [(&str, &str, i64); 4] = [
    ("1h", "Last hour", 1),
    ("24h", "Last 24 hours", 24),
    ("7d", "Last 7 days", 168),
    ("30d", "Last 30 days", 720),
];

/// Channels that can be chosen.
const CHANNELS: [&str; 11] = [
    "voice",
    "sms",
    "chat",
    "email",
    "whatsapp",
    "messenger",
    "instagram",
    "telegram",
    "line",
    "viber",
    "custom",
];

/// Ends that can be chosen.
const OUTCOMES: [&str; 18] = [
    "completed",
    "cancelled",
    "abandoned_in_ivr",
    "abandoned_in_queue",
    "left_voicemail",
    "callback_requested",
    "hung_up_by_ivr",
    "unknown_number",
    "voice_off",
    "blocked",
    "queue_limit",
    "media_refused",
    "media_timeout",
    "signalling_timeout",
    "hung_up_by_api",
    "overloaded",
    "failed",
    "restarted",
];

impl Sought {
    /// The same as parameters, but for the page.
    fn parameters(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("q", self.q.trim()),
            ("channel", &self.channel),
            ("state", &self.state),
            ("outcome", &self.outcome),
            ("inbox", &self.inbox),
            ("since", &self.since),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The API's path for it.
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &ROWS.to_string());
        for (name, value) in self.parameters() {
            match name {
                // The API looks for three characters at least.
                "q" if value.chars().count() < 3 => {}
                "q" => drop(query.append_pair("address", value)),
                "since" => {
                    let hours =
                        SINCE.iter().find(|(known, ..)| *known == value).map_or(24, |(.., hours)| *hours);
                    let since = Timestamp::now() - SignedDuration::from_hours(hours);
                    query.append_pair("since", &since.to_string());
                }
                name => drop(query.append_pair(name, value)),
            }
        }
        if !self.before.is_empty() {
            query.append_pair("before", &self.before);
        }
        format!("/api/v1/contacts?{}", query.finish())
    }

    /// The address of the page that begins before a contact.
    fn page_before(&self, before: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.parameters());
        query.append_pair("before", before);
        format!("/console/contacts?{}", query.finish())
    }
}

/// One choice of a list.
struct Choice {
    value: String,
    words: String,
    chosen: bool,
}

fn choices<'a>(all: impl Iterator<Item = (&'a str, &'a str)>, chosen: &str) -> Vec<Choice> {
    all.map(|(value, words)| Choice { value: value.into(), words: words.into(), chosen: value == chosen })
        .collect()
}

#[derive(Template)]
#[template(path = "contacts.html")]
struct ContactsPage {
    shell: Shell,
    sought: Sought,
    filtered: bool,
    channels: Vec<Choice>,
    outcomes: Vec<Choice>,
    inboxes: Vec<Choice>,
    times: Vec<Choice>,
    rows: Vec<Contact>,
    names: Names,
    older: Option<String>,
}

async fn show(desk: Desk, Query(sought): Query<Sought>) -> Shown {
    let ContactPage { contacts: rows, next } = desk.get(&sought.path()).await?;
    let names = super::names(&desk).await?;
    let older = next.map(|next| sought.page_before(&next));
    let inboxes = names.iter().map(|(id, name)| (id.as_str(), name.as_str()));
    Ok(page::shown(ContactsPage {
        shell: desk.shell(Some(Section::Contacts), "Contacts").await?,
        filtered: !sought.parameters().is_empty() || !sought.before.is_empty(),
        channels: choices(CHANNELS.iter().map(|name| (*name, words::channel(name))), &sought.channel),
        outcomes: choices(OUTCOMES.iter().map(|name| (*name, words::reason(name))), &sought.outcome),
        inboxes: choices(inboxes, &sought.inbox),
        times: choices(SINCE.iter().map(|(value, words, _)| (*value, *words)), &sought.since),
        sought,
        rows,
        names,
        older,
    }))
}
