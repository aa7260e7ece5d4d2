//! The list of entry points, with the section of each channel: its default inbox and how many exceptions are left.

use askama::Template;
use axum::{
    Router,
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use super::{Channel, Choice, EntryPoint, disarming, inboxes, name_of};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        page,
        shell::{Section, Shell},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/entry-points", get(show))
}

/// Rows of a page.
const ROWS: usize = 100;

/// What is looked for, as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sought {
    channel: String,
    text: String,
    inbox: String,
    /// `yes`, `no`, or empty.
    armed: String,
    /// `yes`, `no`, or empty.
    exception: String,
    after: String,
}

impl Sought {
    /// All of a channel.
    pub(super) fn channel(channel: &str) -> Self {
        Self { channel: channel.to_owned(), ..Self::default() }
    }

    /// What is in the way of seeing everything.
    fn filters(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("text", self.text.trim()),
            ("inbox", self.inbox.as_str()),
            ("armed", self.armed.as_str()),
            ("exception", self.exception.as_str()),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The API's path for it.
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &ROWS.to_string());
        for (name, value) in self.filters() {
            let value = match (name, value) {
                ("armed" | "exception", "yes") => "true",
                ("armed" | "exception", _) => "false",
                (_, value) => value,
            };
            query.append_pair(name, value);
        }
        for (name, value) in [("channel", &self.channel), ("after", &self.after)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        format!("/api/v1/entry-points?{}", query.finish())
    }

    /// The address of the page that begins behind an entry point.
    fn page_after(&self, after: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.filters());
        query.append_pair("channel", &self.channel).append_pair("after", after);
        format!("/console/entry-points?{}", query.finish())
    }

    /// The address of this page.
    fn here(&self) -> String {
        self.page_after(&self.after)
    }
}

#[derive(Deserialize)]
struct Channels {
    channels: Vec<Channel>,
}

#[derive(Deserialize)]
struct Page {
    entry_points: Vec<EntryPoint>,
    next: Option<String>,
}

/// What was written into a form of the page that was refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    pub(super) addresses: String,
    pub(super) inbox: String,
    pub(super) sla_minutes: String,
    pub(super) fault: Option<String>,
}

#[derive(Template)]
#[template(path = "entry_points/list.html")]
struct ListPage {
    shell: Shell,
    sought: Sought,
    filtered: bool,
    channels: Vec<Channel>,
    /// The channel whose section is shown.
    chosen: Option<Channel>,
    inboxes: Vec<Choice>,
    rows: Vec<EntryPoint>,
    further: Option<String>,
    typed: Typed,
    may_publish: bool,
    may_arm: bool,
}

impl ListPage {
    fn inbox_name<'a>(&'a self, id: &'a str) -> &'a str {
        name_of(&self.inboxes, id)
    }

    fn here(&self) -> String {
        self.sought.here()
    }

    fn what_disarming_does(&self) -> &'static str {
        match self.sought.channel.as_str() {
            "" => {
                "Calls get 480, mail is put off with 451, other messages are kept, chat windows are hidden."
            }
            channel => disarming(channel),
        }
    }

    /// Whether something can be done with the rows that are ticked.
    fn may_act(&self) -> bool {
        (self.may_publish || (self.may_arm && self.sought.channel != "ivr")) && !self.rows.is_empty()
    }
}

/// The address of a channel's section.
pub(super) fn section(channel: &str) -> String {
    let channel: String = form_urlencoded::byte_serialize(channel.as_bytes()).collect();
    format!("/console/entry-points?channel={channel}")
}

async fn show(desk: Desk, Query(sought): Query<Sought>) -> Shown {
    drawn(&desk, sought, Typed::default()).await
}

pub(super) async fn drawn(desk: &Desk, sought: Sought, typed: Typed) -> Shown {
    let Channels { channels } = desk.get("/api/v1/channels").await?;
    let chosen = channels.iter().find(|one| one.channel == sought.channel).cloned();
    if chosen.is_none() && !sought.channel.is_empty() {
        let detail = format!("There is no channel {}.", sought.channel);
        return Err(Refused::new(
            404,
            "no_such_channel",
            detail,
            "Choose one of those on the page of entry points.",
        ));
    }
    let Page { entry_points: rows, next } = desk.get(&sought.path()).await?;
    let status = if typed.fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page: Response = page::shown(ListPage {
        shell: desk.shell(Some(Section::EntryPoints), "Entry points").await?,
        filtered: !sought.filters().is_empty(),
        further: next.map(|next| sought.page_after(&next)),
        inboxes: inboxes(desk).await?,
        may_publish: desk.may(Permission::RoutingPublish),
        may_arm: desk.may(Permission::RoutingArm),
        sought,
        channels,
        chosen,
        rows,
        typed,
    });
    Ok((status, page).into_response())
}
