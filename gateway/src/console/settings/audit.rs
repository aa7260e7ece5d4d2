//! The audit log: who changed what; one line with what differs; and whether all of it is as it was written.

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use serde::Deserialize;
use serde_json::Value;
use vestibule_config::store::{ValueDifference, differences};

use crate::console::{
    Console,
    ask::{Desk, Shown},
    page,
    shell::{Section, Shell},
    words::When,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/settings/audit", get(show))
        .route("/console/settings/audit/verify", get(verify))
        .route("/console/settings/audit/{seq}", get(show_one))
}

/// What is looked for, as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Sought {
    actor: String,
    action: String,
    object: String,
    /// From this day on, `2026-11-29`, in UTC.
    since: String,
    before: String,
}

impl Sought {
    fn parameters(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("actor", self.actor.trim()),
            ("action", self.action.trim()),
            ("object", self.object.trim()),
            ("since", self.since.trim()),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The API's path for it.
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.parameters() {
            match name {
                "since" => drop(query.append_pair(name, &format!("{value}T00:00:00Z"))),
                name => drop(query.append_pair(name, value)),
            }
        }
        if !self.before.is_empty() {
            query.append_pair("before", &self.before);
        }
        format!("/api/v1/audit?{}", query.finish())
    }

    /// The address of the page that begins before a line.
    fn page_before(&self, before: u64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.parameters());
        query.append_pair("before", &before.to_string());
        format!("/console/settings/audit?{}", query.finish())
    }
}

#[derive(Deserialize)]
struct Line {
    seq: u64,
    at: When,
    actor: String,
    from: String,
    action: String,
    subject: String,
    before: Option<Value>,
    after: Option<Value>,
    hash: String,
}

#[derive(Deserialize)]
struct Lines {
    lines: Vec<Line>,
    next: Option<u64>,
}

#[derive(Template)]
#[template(path = "settings/audit.html")]
struct AuditPage {
    shell: Shell,
    sought: Sought,
    filtered: bool,
    lines: Vec<Line>,
    older: Option<String>,
    found: Option<Found>,
}

#[derive(Deserialize)]
struct Fault {
    seq: u64,
    sentence: String,
}

/// What a look at all of it has found.
#[derive(Deserialize)]
struct Found {
    sound: bool,
    lines: u64,
    newest: Option<End>,
    faults: Vec<Fault>,
}

#[derive(Deserialize)]
struct End {
    seq: u64,
    hash: String,
}

async fn show(desk: Desk, Query(sought): Query<Sought>) -> Shown {
    drawn(&desk, sought, None).await
}

async fn verify(desk: Desk) -> Shown {
    let found = desk.get("/api/v1/audit/verify").await?;
    drawn(&desk, Sought::default(), Some(found)).await
}

async fn drawn(desk: &Desk, sought: Sought, found: Option<Found>) -> Shown {
    let Lines { lines, next } = desk.get(&sought.path()).await?;
    Ok(page::shown(AuditPage {
        shell: desk.shell(Some(Section::Settings), "Audit").await?,
        filtered: !sought.parameters().is_empty() || !sought.before.is_empty(),
        older: next.map(|next| sought.page_before(next)),
        sought,
        lines,
        found,
    }))
}

/// A value that differs, as text.
struct Row {
    path: String,
    before: String,
    after: String,
}

#[derive(Template)]
#[template(path = "settings/audit_line.html")]
struct LinePage {
    shell: Shell,
    line: Line,
    rows: Vec<Row>,
}

async fn show_one(desk: Desk, Path(seq): Path<u64>) -> Shown {
    let line: Line = desk.get(&format!("/api/v1/audit/{seq}")).await?;
    let rows = rows(&line);
    let shell = desk.shell(Some(Section::Settings), "Audit").await?;
    Ok(page::shown(LinePage { shell, line, rows }))
}

/// What differs between before and after; of something new or gone, all of it.
fn rows(line: &Line) -> Vec<Row> {
    let none = Value::Null;
    let (before, after) = (line.before.as_ref().unwrap_or(&none), line.after.as_ref().unwrap_or(&none));
    if before == after {
        return Vec::new();
    }
    differences(before, after)
        .into_iter()
        .map(|ValueDifference { path, before, after }| Row { path, before: text(before), after: text(after) })
        .collect()
}

fn text(value: Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
    }
}
