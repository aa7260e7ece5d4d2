//! A conversation: the thread of a chat with a box to answer in, and what is known of it.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::Method,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::Names;
use crate::console::{
    Console,
    ask::{Desk, Shown},
    form::Form,
    page,
    shell::{Section, Shell},
    words::{self, When, encoded},
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/conversations/{id}", get(show))
        .route("/console/conversations/{id}/messages", post(say))
        .route("/console/conversations/{id}/close", post(close))
}

#[derive(Deserialize)]
struct Conversation {
    id: String,
    channel: String,
    address: String,
    customer: String,
    inbox: String,
    opened: When,
    last: When,
    messages: u64,
    sla_due: Option<When>,
    taken_by: Option<String>,
    closed: Option<When>,
    reply_allowed: bool,
    reply_refused_for: Option<String>,
    window_expires_at: Option<When>,
}

impl Conversation {
    fn channel_name(&self) -> &str {
        words::channel(&self.channel)
    }

    fn who(&self) -> &str {
        words::who(&self.customer)
    }

    fn is_chat(&self) -> bool {
        self.channel == "chat"
    }

    /// Why it must not be answered.
    fn refusal(&self) -> &str {
        match self.reply_refused_for.as_deref() {
            Some("opted_out") => "The customer has asked for no more messages.",
            Some("not_registered") => "Our number is not registered for sending.",
            Some("window_expired") => {
                "The channel lets no answer through this long after the customer's last message."
            }
            Some(other) => other,
            None => "",
        }
    }
}

#[derive(Deserialize)]
struct Line {
    line: u64,
    at: When,
    text: String,
    by: Option<String>,
}

#[derive(Deserialize)]
struct Lines {
    messages: Vec<Line>,
    next: Option<u64>,
}

#[derive(Template)]
#[template(path = "conversation.html")]
struct ConversationPage {
    shell: Shell,
    thread: Conversation,
    names: Names,
    /// The last line that is shown.
    last_line: u64,
    lines: Vec<Line>,
    may_answer: bool,
}

/// Pages of lines that are read at most: the oldest lines of a very long chat are left out of sight.
const PAGES_MAX: usize = 20;

async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let path = format!("/api/v1/conversations/{}", encoded(&id));
    let thread: Conversation = desk.get(&path).await?;
    let mut lines = Vec::new();
    if thread.is_chat() {
        let mut after = 0;
        for _ in 0..PAGES_MAX {
            let page: Lines = desk.get(&format!("{path}/messages?after={after}")).await?;
            lines.extend(page.messages);
            let Some(next) = page.next else { break };
            after = next;
        }
    }
    let names = super::names(&desk).await?;
    let may_answer = thread.is_chat() && thread.closed.is_none() && desk.may(Permission::ConversationsWrite);
    let title = thread.who().to_owned();
    let shell = desk.shell(Some(Section::Contacts), title).await?;
    Ok(page::shown(ConversationPage {
        shell,
        thread,
        names,
        last_line: lines.last().map_or(0, |line: &Line| line.line),
        lines,
        may_answer,
    }))
}

async fn say(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let path = format!("/api/v1/conversations/{}/messages", encoded(&id));
    let came =
        desk.send(Method::POST, &path, Some(&json!({"text": form.text("text").trim()}))).await.map(drop);
    page::after(&format!("/console/conversations/{}#answer", encoded(&id)), came, "It is said.")
}

async fn close(desk: Desk, Path(id): Path<String>) -> Response {
    let path = format!("/api/v1/conversations/{}/close", encoded(&id));
    let came = desk.send(Method::POST, &path, None).await.map(drop);
    page::after(&format!("/console/conversations/{}", encoded(&id)), came, "The conversation is closed.")
}
