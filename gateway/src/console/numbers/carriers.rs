//! Accounts at carriers: added, changed, tested, removed, each with the form of its kind. Secrets go in and never come out.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query},
    http::{Method, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Carrier, after, carriers, need, sentences};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        form::Form,
        page,
        shell::{Section, Shell},
        words::encoded,
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/numbers/carriers", get(list))
        .route("/console/numbers/carriers/new", get(show_new).post(add))
        .route("/console/numbers/carriers/{id}", get(show).post(save))
        .route("/console/numbers/carriers/{id}/test", post(try_out))
        .route("/console/numbers/carriers/{id}/delete", post(delete))
}

/// A kind of carrier, with what an account of it has to know.
#[derive(Clone, Debug, Deserialize)]
struct Kind {
    kind: String,
    name: String,
    fields: Vec<Field>,
    sells: bool,
    registers: bool,
    ports: bool,
    usage: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Field {
    name: String,
    what: String,
    required: bool,
    secret: bool,
}

/// A field as it is drawn.
struct Drawn {
    field: Field,
    /// Of a secret always empty.
    value: String,
    /// A secret that is under seal.
    kept: bool,
}

impl Drawn {
    /// `account_sid` as people read it.
    fn label(&self) -> String {
        let words = self.field.name.replace('_', " ");
        let mut letters = words.chars();
        letters
            .next()
            .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
    }
}

async fn kinds(desk: &Desk) -> Result<Vec<Kind>, Refused> {
    #[derive(Deserialize)]
    struct List {
        kinds: Vec<Kind>,
    }
    Ok(desk.get::<List>("/api/v1/carriers/kinds").await?.kinds)
}

fn kind_of(kinds: Vec<Kind>, name: &str) -> Result<Kind, Refused> {
    kinds.into_iter().find(|kind| kind.kind == name).ok_or_else(|| {
        let detail = format!("There is no kind of carrier \"{name}\".");
        Refused::new(404, "no_such_kind", detail, "Choose one of the list of carriers.")
    })
}

#[derive(Template)]
#[template(path = "numbers/carriers.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Carrier>,
    kinds: Vec<Kind>,
    may_manage: bool,
}

impl ListPage {
    fn kind_name<'a>(&'a self, kind: &'a str) -> &'a str {
        self.kinds.iter().find(|one| one.kind == kind).map_or(kind, |one| one.name.as_str())
    }
}

async fn list(desk: Desk) -> Shown {
    Ok(page::shown(ListPage {
        shell: desk.shell(Some(Section::Numbers), "Carriers").await?,
        rows: carriers(&desk).await?,
        kinds: kinds(&desk).await?,
        may_manage: desk.may(Permission::SecretsManage),
    }))
}

#[derive(Template)]
#[template(path = "numbers/carrier.html")]
struct CarrierPage {
    shell: Shell,
    /// None for a new one.
    account: Option<Carrier>,
    id: String,
    name: String,
    kind: Kind,
    fields: Vec<Drawn>,
    faults: Vec<String>,
    may_manage: bool,
}

/// What a form shows.
struct Filled {
    account: Option<Carrier>,
    id: String,
    name: String,
    settings: BTreeMap<String, String>,
    faults: Vec<String>,
}

async fn drawn(desk: &Desk, kind: Kind, filled: Filled) -> Shown {
    let Filled { account, id, name, settings, faults } = filled;
    let draw = |field: &Field| Drawn {
        value: if field.secret {
            String::new()
        } else {
            settings.get(&field.name).cloned().unwrap_or_default()
        },
        kept: account.as_ref().is_some_and(|account| account.secrets.contains(&field.name)),
        field: field.clone(),
    };
    let title = if account.is_some() { name.clone() } else { format!("New account: {}", kind.name) };
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = page::shown(CarrierPage {
        shell: desk.shell(Some(Section::Numbers), title).await?,
        fields: kind.fields.iter().map(draw).collect(),
        account,
        id,
        name,
        kind,
        faults,
        may_manage: desk.may(Permission::SecretsManage),
    });
    Ok((status, page).into_response())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Of {
    kind: String,
}

async fn show_new(desk: Desk, Query(Of { kind }): Query<Of>) -> Shown {
    need(&desk, Permission::SecretsManage)?;
    let kind = kind_of(kinds(&desk).await?, &kind)?;
    let filled = Filled {
        account: None,
        id: String::new(),
        name: kind.name.clone(),
        settings: BTreeMap::new(),
        faults: Vec::new(),
    };
    drawn(&desk, kind, filled).await
}

async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let account: Carrier = desk.get(&api_of(&id)).await?;
    let kind = kind_of(kinds(&desk).await?, &account.kind)?;
    let (name, settings) = (account.name.clone(), account.settings.clone());
    drawn(&desk, kind, Filled { account: Some(account), id, name, settings, faults: Vec::new() }).await
}

fn api_of(id: &str) -> String {
    format!("/api/v1/carriers/{}", encoded(id))
}

fn page_of(id: &str) -> String {
    format!("/console/numbers/carriers/{}", encoded(id))
}

/// What a form says of an account: secrets that are left empty stay as they are, unless they are to be removed.
fn said(kind: &Kind, form: &Form) -> Value {
    let (mut settings, mut secrets) = (BTreeMap::new(), BTreeMap::new());
    for field in &kind.fields {
        let value = form.trimmed(&format!("field.{}", field.name));
        match (field.secret, value.is_empty()) {
            (true, true) if form.ticked(&format!("remove.{}", field.name)) => {
                secrets.insert(field.name.clone(), "");
            }
            (true, false) => drop(secrets.insert(field.name.clone(), value)),
            (false, false) => drop(settings.insert(field.name.clone(), value)),
            (_, true) => {}
        }
    }
    json!({"kind": kind.kind, "name": form.trimmed("name"), "settings": settings, "secrets": secrets})
}

async fn put(desk: &Desk, account: Option<Carrier>, id: &str, kind: Kind, form: &Form) -> Shown {
    let wanted = said(&kind, form);
    match desk.send(Method::PUT, &api_of(id), Some(&wanted)).await {
        Ok(_) => Ok(page::done(&page_of(id), "It is kept. Test it, to see whether the carrier believes it.")),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => {
            let settings = serde_json::from_value(wanted["settings"].clone()).unwrap_or_default();
            let (id, name) = (id.to_owned(), form.trimmed("name").to_owned());
            drawn(desk, kind, Filled { account, id, name, settings, faults: sentences(&refused) }).await
        }
    }
}

async fn add(desk: Desk, body: Bytes) -> Shown {
    need(&desk, Permission::SecretsManage)?;
    let form = Form::read(&body);
    let kind = kind_of(kinds(&desk).await?, form.text("kind"))?;
    let id = form.trimmed("id");
    // A new one never takes the place of another.
    if carriers(&desk).await?.iter().any(|one| one.id == id) {
        let settings = serde_json::from_value(said(&kind, &form)["settings"].clone()).unwrap_or_default();
        let faults = vec![format!("There is an account with the id {id} already. Choose another id.")];
        let (id, name) = (id.to_owned(), form.trimmed("name").to_owned());
        return drawn(&desk, kind, Filled { account: None, id, name, settings, faults }).await;
    }
    put(&desk, None, id, kind, &form).await
}

async fn save(desk: Desk, Path(id): Path<String>, body: Bytes) -> Shown {
    let account: Carrier = desk.get(&api_of(&id)).await?;
    let kind = kind_of(kinds(&desk).await?, &account.kind)?;
    put(&desk, Some(account), &id, kind, &Form::read(&body)).await
}

async fn try_out(desk: Desk, Path(id): Path<String>) -> Shown {
    let (says, came) = match desk.send(Method::POST, &format!("{}/test", api_of(&id)), None).await {
        Ok(answer) => (answer.get("says").and_then(Value::as_str).unwrap_or_default().to_owned(), Ok(())),
        Err(refused) => (String::new(), Err(refused)),
    };
    after(&page_of(&id), came, &format!("It works. The carrier says: {says}"))
}

async fn delete(desk: Desk, Path(id): Path<String>) -> Shown {
    let came = desk.send(Method::DELETE, &api_of(&id), None).await.map(drop);
    let to = if came.is_ok() { "/console/numbers/carriers".to_owned() } else { page_of(&id) };
    after(&to, came, "The account is removed, with its secrets.")
}
