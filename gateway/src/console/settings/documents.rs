//! Objects of the routing document that are edited by plain forms, as [`super::fields`] describes them.

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
use serde_json::{Map, Value};

use super::{
    beside::{self, Beside},
    fields::{Field, Kind, SECTIONS, Section},
};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        form::{Faults, Finding, Form},
        page,
        shell::{self, Shell},
        words::{When, encoded},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/settings/{section}", get(list))
        .route("/console/settings/{section}/new", get(show_new).post(add))
        .route("/console/settings/{section}/{id}", get(show).post(save))
        .route("/console/settings/{section}/{id}/delete", post(delete))
        .route("/console/settings/consumers/{id}/replay", post(replay))
        .route("/console/settings/consumers/{id}/test", post(try_out))
}

fn section(name: &str) -> Result<&'static Section, Refused> {
    SECTIONS.iter().find(|section| section.name == name).ok_or_else(|| {
        Refused::new(404, "no_such_page", "There is no such page of settings.", "Use the list of settings.")
    })
}

#[derive(Deserialize)]
struct Listed {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    id: String,
    change: Option<String>,
    body: Value,
    active: Value,
}

/// A row of a list.
struct Row {
    id: String,
    name: String,
    change: Option<String>,
    /// How it is: class and words.
    state: Option<(&'static str, String)>,
}

impl Row {
    fn is_removed(&self) -> bool {
        self.change.as_deref() == Some("removed")
    }
}

#[derive(Template)]
#[template(path = "settings/documents.html")]
struct ListPage {
    shell: Shell,
    section: &'static Section,
    rows: Vec<Row>,
    may_edit: bool,
}

async fn list(desk: Desk, Path(name): Path<String>) -> Shown {
    let section = section(&name)?;
    let listed: Listed = desk.get(&format!("/api/v1/routing/draft/{name}?limit=500")).await?;
    let states = states(&desk, section).await?;
    let row = |object: Object| {
        let body = if object.body.is_null() { &object.active } else { &object.body };
        let name = body.get("name").and_then(Value::as_str).unwrap_or(&object.id).to_owned();
        let state = states.iter().find(|(id, _)| *id == object.id).map(|(_, state)| state.clone());
        Row { id: object.id, name, change: object.change, state }
    };
    let rows = listed.objects.into_iter().map(row).collect();
    let shell = desk.shell(Some(shell::Section::Settings), section.title).await?;
    Ok(page::shown(ListPage { shell, section, rows, may_edit: desk.may(Permission::RoutingEdit) }))
}

/// What is known of the objects of a section beside their documents.
async fn states(desk: &Desk, section: &Section) -> Result<Vec<(String, (&'static str, String))>, Refused> {
    #[derive(Deserialize)]
    struct Trunk {
        id: String,
        reach: String,
        registration: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Trunks {
        trunks: Vec<Trunk>,
    }
    if section.name == "trunks" {
        let list: Option<Trunks> = desk.find("/api/v1/trunks").await?;
        let state = |trunk: Trunk| {
            let registered = trunk.registration.as_ref().and_then(|one| one.get("registered")?.as_bool());
            let state = match (registered, trunk.reach.as_str()) {
                (Some(false), _) => ("bad", "Not registered".to_owned()),
                (_, "down") => ("bad", "Does not answer".to_owned()),
                (Some(true), _) => ("good", "Registered".to_owned()),
                (None, "up") => ("good", "Answers".to_owned()),
                (None, _) => ("plain", "Not asked".to_owned()),
            };
            (trunk.id, state)
        };
        return Ok(list.map_or_else(Vec::new, |list| list.trunks.into_iter().map(state).collect()));
    }
    if section.name == "consumers" {
        let state = |consumer: Consumer| {
            let state = consumer.state();
            (consumer.id, state)
        };
        return Ok(consumers(desk).await?.into_iter().map(state).collect());
    }
    Ok(Vec::new())
}

/// A consumer, as the API tells it.
#[derive(Deserialize)]
struct Consumer {
    id: String,
    state: String,
    failures: u32,
    error: Option<String>,
    last_success: Option<When>,
    waiting: usize,
    given_up: usize,
}

impl Consumer {
    fn state(&self) -> (&'static str, String) {
        match (self.state.as_str(), self.given_up) {
            ("gone", _) => ("bad", "Wants no more (410)".to_owned()),
            ("fails", _) => ("bad", format!("Fails, {} waiting", self.waiting)),
            (_, 0) => ("good", "Answers".to_owned()),
            (_, given_up) => ("warn", format!("Answers, {given_up} given up")),
        }
    }
}

async fn consumers(desk: &Desk) -> Result<Vec<Consumer>, Refused> {
    #[derive(Deserialize)]
    struct List {
        consumers: Vec<Consumer>,
    }
    let list: Option<List> = desk.find("/api/v1/webhook-consumers").await?;
    Ok(list.map_or_else(Vec::new, |list| list.consumers))
}

#[derive(Deserialize)]
struct Undelivered {
    sequence: u64,
    subject: String,
    attempts: u8,
    due: When,
    error: String,
    given_up: bool,
}

/// A field as it is drawn.
struct Drawn {
    field: &'static Field,
    value: String,
    ticked: bool,
    findings: Vec<Finding>,
}

impl Drawn {
    /// How it is drawn.
    fn is(&self, kind: &str) -> bool {
        match self.field.kind {
            Kind::Text | Kind::Needed => kind == "text",
            Kind::Number => kind == "number",
            Kind::Lines | Kind::Json => kind == "area",
            Kind::Tick(_) => kind == "tick",
            Kind::Choice(_) => kind == "choice",
        }
    }

    fn needed(&self) -> bool {
        self.field.kind == Kind::Needed
    }

    fn choices(&self) -> &'static [(&'static str, &'static str)] {
        match self.field.kind {
            Kind::Choice(choices) => choices,
            _ => &[],
        }
    }

    fn rows(&self) -> usize {
        let least = if self.field.kind == Kind::Json { 12 } else { 3 };
        self.value.lines().count().clamp(least, 24)
    }
}

#[derive(Template)]
#[template(path = "settings/document.html")]
struct ObjectPage {
    shell: Shell,
    section: &'static Section,
    /// Empty for a new one.
    id: String,
    typed_id: String,
    name: String,
    was: String,
    groups: Vec<(&'static str, Vec<Drawn>)>,
    faults: Faults,
    consumer: Option<Consumer>,
    undelivered: Vec<Undelivered>,
    beside: Beside,
    may_edit: bool,
    may_deliver: bool,
}

/// What a form shows.
struct Filled<'a> {
    id: &'a str,
    typed_id: String,
    was: &'a str,
    body: Value,
    faults: Faults,
}

async fn drawn(desk: &Desk, section: &'static Section, filled: Filled<'_>) -> Shown {
    let Filled { id, typed_id, was, body, faults } = filled;
    let draw = |field: &'static Field| Drawn {
        value: shown(field, at(&body, field.path)),
        ticked: matches!(field.kind, Kind::Tick(unsaid)
            if at(&body, field.path).and_then(Value::as_bool).unwrap_or(unsaid)),
        findings: faults.at(field.path).to_vec(),
        field,
    };
    let groups = section.groups.iter().map(|group| (group.title, group.fields.iter().map(draw).collect()));
    let consumer = match section.name {
        "consumers" => consumers(desk).await?.into_iter().find(|consumer| consumer.id == id),
        _ => None,
    };
    let undelivered = match &consumer {
        Some(_) => undelivered(desk, id).await?,
        None => Vec::new(),
    };
    let beside = beside::of(desk, section.name, id, &body).await?;
    let name = body.get("name").and_then(Value::as_str).unwrap_or(id).to_owned();
    let title = if id.is_empty() { format!("New {}", section.one) } else { name.clone() };
    let status = if faults.refused() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let groups = groups.collect();
    let page = ObjectPage {
        shell: desk.shell(Some(shell::Section::Settings), title).await?,
        section,
        id: id.to_owned(),
        typed_id,
        name,
        was: was.to_owned(),
        groups,
        faults,
        consumer,
        undelivered,
        beside,
        may_edit: desk.may(Permission::RoutingEdit),
        may_deliver: desk.may(Permission::DeliveriesManage),
    };
    Ok((status, page::shown(page)).into_response())
}

async fn undelivered(desk: &Desk, id: &str) -> Result<Vec<Undelivered>, Refused> {
    #[derive(Deserialize)]
    struct List {
        undelivered: Vec<Undelivered>,
    }
    let path = format!("/api/v1/webhook-consumers/{}/undelivered", encoded(id));
    let list: Option<List> = desk.find(&path).await?;
    Ok(list.map_or_else(Vec::new, |list| list.undelivered.into_iter().take(100).collect()))
}

/// What stands at a path of steps parted by dots.
fn at<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(body, |value, step| value.get(step)).filter(|value| !value.is_null())
}

/// A value as its field shows it.
fn shown(field: &Field, value: Option<&Value>) -> String {
    match (field.kind, value) {
        (Kind::Json, Some(value)) => serde_json::to_string_pretty(value).unwrap_or_default(),
        (_, None) => String::new(),
        (Kind::Lines, Some(Value::Array(lines))) => lines
            .iter()
            .map(|line| line.as_str().map_or_else(|| line.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join("\n"),
        (_, Some(Value::String(text))) => text.clone(),
        (_, Some(other)) => other.to_string(),
    }
}

/// What a form says of a field; none when it says nothing.
fn said(field: &Field, form: &Form) -> Option<Value> {
    match field.kind {
        Kind::Text | Kind::Needed => Some(form.optional(field.path)),
        Kind::Number => Some(form.number(field.path)),
        Kind::Lines => {
            let lines = form.lines(field.path);
            Some(if lines.is_empty() { Value::Null } else { lines.into() })
        }
        Kind::Tick(unsaid) => {
            let ticked = form.ticked(field.path);
            Some(if ticked == unsaid { Value::Null } else { ticked.into() })
        }
        Kind::Choice(choices) => {
            let value = form.text(field.path);
            let unsaid = choices.first().is_some_and(|(first, _)| *first == value);
            Some(if unsaid || value.is_empty() { Value::Null } else { value.into() })
        }
        Kind::Json => match form.trimmed(field.path) {
            "" => Some(Value::Null),
            // What is no JSON goes on as text, so that the API says what is wrong with it.
            text => Some(serde_json::from_str(text).unwrap_or_else(|_| text.into())),
        },
    }
}

/// Lays what a form says over a document: what the form does not show stays.
fn laid_over(section: &Section, mut body: Value, form: &Form) -> Value {
    if !body.is_object() {
        body = Value::Object(Map::new());
    }
    for field in section.groups.iter().flat_map(|group| group.fields) {
        if let (Some(value), Value::Object(fields)) = (said(field, form), &mut body) {
            put(fields, field.path, value);
        }
    }
    body
}

/// Puts a value at a path; null takes it away, and objects that are empty then. An object of which only ticks are left
/// that were taken away is as good as empty: a form shows those ticks even where there is no such object.
fn put(fields: &mut Map<String, Value>, path: &str, value: Value) {
    let Some((step, rest)) = path.split_once('.') else {
        if value.is_null() {
            fields.remove(path);
        } else {
            fields.insert(path.to_owned(), value);
        }
        return;
    };
    if value.is_null() && !fields.get(step).is_some_and(Value::is_object) {
        return;
    }
    let inner = fields.entry(step).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
        if inner.values().all(|left| *left == Value::Bool(false)) {
            fields.remove(step);
        }
    }
}

async fn show_new(desk: Desk, Path(name): Path<String>) -> Shown {
    let filled =
        Filled { id: "", typed_id: String::new(), was: "", body: Value::Null, faults: Faults::default() };
    drawn(&desk, section(&name)?, filled).await
}

/// Whether the page is shown after it was saved: then it says what stands against a publish.
#[derive(Deserialize)]
struct Asked {
    saved: Option<String>,
}

async fn show(desk: Desk, Path((name, id)): Path<(String, String)>, Query(asked): Query<Asked>) -> Shown {
    let section = section(&name)?;
    let edited = desk.draft_object(&name, &id).await?.ok_or_else(|| none(section, &id))?;
    let faults = match asked.saved {
        Some(_) => desk.findings(&name, &id, &paths(section)).await?,
        None => Faults::default(),
    };
    let filled = Filled { id: &id, typed_id: String::new(), was: &edited.was, body: edited.body, faults };
    drawn(&desk, section, filled).await
}

fn none(section: &Section, id: &str) -> Refused {
    let detail = format!("The draft has no {} {id}.", section.one);
    Refused::new(404, "no_such_object", detail, "Look at the list.")
}

async fn add(desk: Desk, Path(name): Path<String>, body: Bytes) -> Shown {
    let (section, form) = (section(&name)?, Form::read(&body));
    let id = form.trimmed("id").to_owned();
    let document = laid_over(section, Value::Null, &form);
    match desk.put_draft(&name, &id, &document, "").await {
        Ok(()) => Ok(page::done(
            &format!("/console/settings/{name}/{}?saved=1", encoded(&id)),
            "It is in the draft, and holds once the draft is published.",
        )),
        Err(refused) => {
            let faults = Faults::of(&refused, &name, &id, &paths(section));
            drawn(&desk, section, Filled { id: "", typed_id: id, was: "", body: document, faults }).await
        }
    }
}

async fn save(desk: Desk, Path((name, id)): Path<(String, String)>, body: Bytes) -> Shown {
    let (section, form) = (section(&name)?, Form::read(&body));
    let edited = desk.draft_object(&name, &id).await?.ok_or_else(|| none(section, &id))?;
    let document = laid_over(section, edited.body, &form);
    let was = form.text("was");
    match desk.put_draft(&name, &id, &document, was).await {
        Ok(()) => Ok(page::done(
            &format!("/console/settings/{name}/{}?saved=1", encoded(&id)),
            "Saved in the draft. It holds once the draft is published.",
        )),
        Err(refused) => {
            let faults = Faults::of(&refused, &name, &id, &paths(section));
            let filled = Filled { id: &id, typed_id: String::new(), was, body: document, faults };
            drawn(&desk, section, filled).await
        }
    }
}

fn paths(section: &Section) -> Vec<&'static str> {
    section.groups.iter().flat_map(|group| group.fields).map(|field| field.path).collect()
}

async fn delete(desk: Desk, Path((name, id)): Path<(String, String)>, body: Bytes) -> Response {
    let was = Form::read(&body).text("was").to_owned();
    match desk.remove_draft(&name, &id, &was).await {
        Ok(()) => page::done(&format!("/console/settings/{}", encoded(&name)), "Removed in the draft."),
        Err(refused) => {
            page::not_done(&format!("/console/settings/{}/{}", encoded(&name), encoded(&id)), &refused)
        }
    }
}

async fn replay(desk: Desk, Path(id): Path<String>) -> Response {
    let path = format!("/api/v1/webhook-consumers/{}/replay", encoded(&id));
    let came = desk.send(Method::POST, &path, None).await.map(drop);
    page::after(&format!("/console/settings/consumers/{}", encoded(&id)), came, "It is sent again, now.")
}

async fn try_out(desk: Desk, Path(id): Path<String>) -> Response {
    let path = format!("/api/v1/webhook-consumers/{}/test", encoded(&id));
    let came = desk.send(Method::POST, &path, None).await.map(drop);
    page::after(
        &format!("/console/settings/consumers/{}", encoded(&id)),
        came,
        "The consumer took a test event.",
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_changes_what_it_shows_and_leaves_the_rest() {
        let trunks = section("trunks").unwrap();
        let before = json!({
            "name": "Old", "allowed": ["10.0.0.0/8"], "digest": {"user": "u", "secret": "env:S", "algorithms": ["md5"]},
            "outbound": {"target": "sip:a", "ping": false},
        });
        let form = Form::read(b"name=New&allowed=192.0.2.0%2F24&digest.user=u&digest.secret=env%3AS&outbound.target=&trusted=on&srtp=allowed&concurrent_max=9&outbound.ping=on");
        let after = laid_over(trunks, before, &form);
        assert_eq!(
            after,
            json!({"name": "New", "allowed": ["192.0.2.0/24"], "concurrent_max": 9,
                   "digest": {"user": "u", "secret": "env:S", "algorithms": ["md5"]}})
        );
        let with_ping = "name=New&allowed=192.0.2.0%2F24&outbound.target=sip%3Aa";
        let after = laid_over(trunks, after, &Form::read(with_ping.as_bytes()));
        assert_eq!(after["outbound"], json!({"target": "sip:a", "ping": false}));
        let after =
            laid_over(trunks, after, &Form::read(b"name=New&allowed=192.0.2.0%2F24&outbound.target="));
        assert_eq!(after.get("outbound"), None, "{after}");
    }

    #[test]
    fn every_field_of_a_form_has_a_place_of_its_own() {
        for section in &SECTIONS {
            let mut all = paths(section);
            all.sort_unstable();
            let count = all.len();
            all.dedup();
            assert_eq!(count, all.len(), "{}", section.name);
        }
    }
}
