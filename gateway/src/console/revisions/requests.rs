//! What waits for a second person: shown with what it changes, approved, refused, taken back.

use axum::{Router, body::Bytes, extract::Path, http::Method, response::Response, routing::post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CHANGES_SHOWN, Change, pretty};
use crate::console::{
    Console, Refused,
    ask::Desk,
    form::Form,
    page,
    words::{When, waits},
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/revisions/requests/{id}/approve", post(approve))
        .route("/console/revisions/requests/{id}/refuse", post(refuse))
        .route("/console/revisions/requests/{id}/withdraw", post(withdraw))
}

/// Requests that are shown with what they change.
const REQUESTS_SHOWN: usize = 20;

#[derive(Clone, Deserialize)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) author: String,
    pub(super) person: String,
    pub(super) note: String,
    pub(super) created: When,
    pub(super) restores: Option<u64>,
    changes: usize,
}

/// One that waits.
pub(super) struct Row {
    pub(super) request: Request,
    pub(super) changes: Vec<Change>,
    pub(super) more: usize,
    /// Whoever looks at it has asked for it.
    pub(super) own: bool,
}

/// All that wait.
pub(super) struct Waiting {
    /// A publish waits for a second person.
    pub(super) needed: bool,
    pub(super) rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Listed {
    requests: Vec<Request>,
    needed: bool,
}

#[derive(Deserialize)]
struct Whole {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    key: String,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
}

/// What waits, with what each would change.
pub(super) async fn waiting(desk: &Desk) -> Result<Waiting, Refused> {
    let path = format!("/api/v1/routing/publish-requests?open=true&limit={REQUESTS_SHOWN}");
    let Listed { requests, needed } = desk.get(&path).await?;
    let mut rows = Vec::new();
    for request in requests {
        let path = format!("/api/v1/routing/publish-requests/{}", request.id);
        // It may be decided by now.
        let Some(Whole { objects }) = desk.find(&path).await? else { continue };
        let changes: Vec<Change> = objects.into_iter().take(CHANGES_SHOWN).map(change).collect();
        let more = request.changes.saturating_sub(changes.len());
        let name = &desk.who.caller.name;
        let own = *name == request.author || *name == request.person;
        rows.push(Row { request, changes, more, own });
    }
    Ok(Waiting { needed, rows })
}

fn change(Object { key, before, after }: Object) -> Change {
    let (section, id) = key.split_once('/').unwrap_or(("", &key));
    let what = match (before.is_null(), after.is_null()) {
        (_, true) => "removed",
        (true, false) => "added",
        (false, false) => "changed",
    };
    Change { section: section.into(), id: id.into(), what, before: pretty(&before), after: pretty(&after) }
}

/// What came of a publish, for people: it is active, or waits.
pub(super) fn words(answer: &Value, done: &str) -> String {
    match waits(answer) {
        Some(waits) => waits,
        None => {
            let number = answer.pointer("/revision/number").and_then(Value::as_u64).unwrap_or_default();
            format!("Revision {number} {done}.")
        }
    }
}

async fn approve(desk: Desk, Path(id): Path<u64>) -> Response {
    let path = format!("/api/v1/routing/publish-requests/{id}/approve");
    match desk.send(Method::POST, &path, None).await {
        Ok(published) => page::done(LIST, &words(&published, "is active")),
        Err(refused) => page::not_done(LIST, &refused),
    }
}

async fn refuse(desk: Desk, Path(id): Path<u64>, body: Bytes) -> Response {
    let reason = json!({"reason": Form::read(&body).trimmed("reason")});
    let path = format!("/api/v1/routing/publish-requests/{id}/refuse");
    let came = desk.send(Method::POST, &path, Some(&reason)).await.map(drop);
    page::after(LIST, came, &format!("Request {id} is refused."))
}

async fn withdraw(desk: Desk, Path(id): Path<u64>) -> Response {
    let path = format!("/api/v1/routing/publish-requests/{id}/withdraw");
    let came = desk.send(Method::POST, &path, None).await.map(drop);
    page::after(LIST, came, &format!("Request {id} is taken back."))
}

const LIST: &str = "/console/revisions";
