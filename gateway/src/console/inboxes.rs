//! Inboxes: where contacts wait for people. The list, one inbox with its form, and how many agents are available.

mod form;

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use self::form::InboxForm;
use super::{
    Console, Refused,
    ask::{Desk, Shown},
    form::{Faults, Form},
    page,
    shell::{Section, Shell},
    words::{self, encoded},
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/inboxes", get(list))
        .route("/console/inboxes/new", get(show_new).post(add))
        .route("/console/inboxes/{id}", get(show).post(save))
        .route("/console/inboxes/{id}/delete", post(delete))
        .route("/console/inboxes/{id}/availability", post(availability))
}

/// An inbox of the active revision.
#[derive(Clone, Debug, Deserialize)]
struct Inbox {
    id: String,
    name: String,
    waiting: usize,
    agents_available: Option<u32>,
    telephones: usize,
    sla_minutes: u64,
}

#[derive(Deserialize)]
struct Inboxes {
    inboxes: Vec<Inbox>,
}

impl Inbox {
    fn sla(&self) -> String {
        words::minutes(self.sla_minutes)
    }
}

#[derive(Deserialize)]
struct Changes {
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    key: Key,
    body: Value,
}

#[derive(Deserialize)]
struct Key {
    kind: String,
    id: String,
}

/// A row of the list.
struct Row {
    id: String,
    name: String,
    /// As it is in the active revision.
    active: Option<Inbox>,
    /// `new`, `changed`, `removed`, or empty: what the draft does to it.
    draft: &'static str,
}

#[derive(Template)]
#[template(path = "inboxes.html")]
struct InboxesPage {
    shell: Shell,
    rows: Vec<Row>,
    may_edit: bool,
}

async fn list(desk: Desk) -> Shown {
    let active: Inboxes = desk.get("/api/v1/inboxes").await?;
    let changes: Option<Changes> = desk.find("/api/v1/routing/draft/changes").await?;
    let mut rows: Vec<Row> = active
        .inboxes
        .into_iter()
        .map(|inbox| Row { id: inbox.id.clone(), name: inbox.name.clone(), active: Some(inbox), draft: "" })
        .collect();
    let changes = changes.map_or_else(Vec::new, |changes| changes.changes);
    for Change { key, body } in changes.into_iter().filter(|change| change.key.kind == "inboxes") {
        let name = body.get("name").and_then(Value::as_str).unwrap_or(&key.id).to_owned();
        match rows.iter_mut().find(|row| row.id == key.id) {
            Some(row) if body.is_null() => row.draft = "removed",
            Some(row) => (row.draft, row.name) = ("changed", name),
            None => rows.push(Row { id: key.id, name, active: None, draft: "new" }),
        }
    }
    rows.sort_by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase()).then_with(|| a.id.cmp(&b.id)));
    let shell = desk.shell(Some(Section::Inboxes), "Inboxes").await?;
    Ok(page::shown(InboxesPage { shell, rows, may_edit: desk.may(Permission::RoutingEdit) }))
}

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    shell: Shell,
    /// Empty for a new one.
    id: String,
    was: String,
    form: InboxForm,
    faults: Faults,
    active: Option<Inbox>,
    others: Vec<(String, String)>,
    may_edit: bool,
    may_tell: bool,
}

/// The page of an inbox, filled from a form.
async fn drawn(desk: &Desk, id: &str, was: &str, form: InboxForm, faults: Faults) -> Shown {
    let inboxes: Inboxes = desk.get("/api/v1/inboxes").await?;
    let others = inboxes.inboxes.iter().filter(|inbox| inbox.id != id);
    let others = others.map(|inbox| (inbox.id.clone(), inbox.name.clone())).collect();
    let active = inboxes.inboxes.into_iter().find(|inbox| inbox.id == id);
    let title = if id.is_empty() { "New inbox".to_owned() } else { form.name.clone() };
    let status = if faults.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(InboxPage {
        shell: desk.shell(Some(Section::Inboxes), title).await?,
        id: id.to_owned(),
        was: was.to_owned(),
        form,
        faults,
        active,
        others,
        may_edit: desk.may(Permission::RoutingEdit),
        may_tell: desk.may(Permission::AvailabilityWrite),
    });
    Ok((status, page).into_response())
}

/// Whether the page is shown after it was saved: then it says what stands against a publish.
#[derive(Deserialize)]
struct Asked {
    saved: Option<String>,
}

async fn show_new(desk: Desk) -> Shown {
    drawn(&desk, "", "", InboxForm::default(), Faults::default()).await
}

async fn show(desk: Desk, Path(id): Path<String>, Query(asked): Query<Asked>) -> Shown {
    let edited = desk.draft_object("inboxes", &id).await?.ok_or_else(|| {
        let detail = format!("The draft has no inbox {id}.");
        Refused::new(404, "no_such_inbox", detail, "The list of inboxes shows those there are.")
    })?;
    let faults = match asked.saved {
        Some(_) => desk.findings("inboxes", &id, &InboxForm::FIELDS).await?,
        None => Faults::default(),
    };
    drawn(&desk, &id, &edited.was, InboxForm::of_document(&edited.body), faults).await
}

async fn add(desk: Desk, body: Bytes) -> Shown {
    let form = InboxForm::of_form(&Form::read(&body));
    let id = id_of(&form.name);
    match desk.put_draft("inboxes", &id, &form.document(), "").await {
        Ok(()) => Ok(page::done(
            &format!("/console/inboxes/{}?saved=1", encoded(&id)),
            "The inbox is in the draft. Publish it to have contacts wait there.",
        )),
        Err(refused) => {
            let faults = Faults::of(&refused, "inboxes", &id, &InboxForm::FIELDS);
            drawn(&desk, "", "", form, faults).await
        }
    }
}

async fn save(desk: Desk, Path(id): Path<String>, body: Bytes) -> Shown {
    let sent = Form::read(&body);
    let (form, was) = (InboxForm::of_form(&sent), sent.text("was"));
    match desk.put_draft("inboxes", &id, &form.document(), was).await {
        Ok(()) => Ok(page::done(
            &format!("/console/inboxes/{}?saved=1", encoded(&id)),
            "Saved in the draft. It holds for new contacts once it is published.",
        )),
        Err(refused) => {
            let faults = Faults::of(&refused, "inboxes", &id, &InboxForm::FIELDS);
            drawn(&desk, &id, was, form, faults).await
        }
    }
}

async fn delete(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    let was = Form::read(&body).text("was").to_owned();
    match desk.remove_draft("inboxes", &id, &was).await {
        Ok(()) => page::done(
            "/console/inboxes",
            "Removed in the draft. Contacts that wait there stay until they are taken.",
        ),
        Err(refused) => page::not_done(&format!("/console/inboxes/{}", encoded(&id)), &refused),
    }
}

async fn availability(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let told = json!({"agents_available": form.number("agents")});
    let path = format!("/api/v1/inboxes/{}/availability", encoded(&id));
    let came = desk.send(Method::PUT, &path, Some(&told)).await.map(drop);
    page::after(&format!("/console/inboxes/{}", encoded(&id)), came, "It holds from now on.")
}

/// An id out of a name: `Sales & more` becomes `ib_sales_more`.
fn id_of(name: &str) -> String {
    let words = name.to_lowercase();
    let words: Vec<&str> =
        words.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let id: String = words.join("_").chars().take(48).collect();
    if id.is_empty() { "ib_inbox".to_owned() } else { format!("ib_{id}") }
}
