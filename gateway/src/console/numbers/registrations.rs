//! Texts: which numbers carry them and how far each is registered; registrations with their forms, handed in and corrected.

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

use super::{
    Named, Number, PAGE, PAGES_MAX, Status, after, carriers, names_of, need, number, sentences, some_numbers,
};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        form::Form,
        page,
        shell::{Section, Shell},
        words::{When, encoded},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/numbers/sms", get(show_all))
        .route("/console/numbers/registrations/new", get(show_new).post(add))
        .route("/console/numbers/registrations/{id}", get(show).post(correct))
        .route("/console/numbers/registrations/{id}/join", post(join_here))
}

/// A registration, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Registration {
    pub(super) id: String,
    pub(super) carrier: String,
    pub(super) kind: String,
    pub(super) status: Status,
    editable: bool,
    form: BTreeMap<String, String>,
    numbers: BTreeMap<String, String>,
    by: String,
    created: When,
    changed: When,
    detail: Option<String>,
}

impl Registration {
    /// The business that it is for.
    pub(super) fn business(&self) -> &str {
        self.form.get("business_name").map_or(self.id.as_str(), String::as_str)
    }

    fn kind(&self) -> &'static str {
        if self.kind == "toll_free" { "Toll-free verification" } else { "Campaign (A2P 10DLC)" }
    }

    /// How a number stands in it, and the tone.
    fn attachment<'a>(&self, state: &'a str) -> (&'a str, &'static str) {
        match state {
            "waiting" => ("waits", "plain"),
            "asked" => ("asked for", "live"),
            "attached" => ("belongs to it", "good"),
            "refused" => ("refused", "bad"),
            other => (other, "plain"),
        }
    }
}

/// All registrations, as far as pages are looked through.
pub(super) async fn all(desk: &Desk) -> Result<Vec<Registration>, Refused> {
    #[derive(Deserialize)]
    struct List {
        registrations: Vec<Registration>,
        next: Option<String>,
    }
    let (mut all, mut after) = (Vec::new(), String::new());
    for _ in 0..PAGES_MAX {
        let query = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let list: List = desk.get(&format!("/api/v1/numbers/registrations?limit={PAGE}{query}")).await?;
        all.extend(list.registrations);
        match list.next {
            Some(next) => after = next,
            None => break,
        }
    }
    Ok(all)
}

/// The registration that a number belongs to.
pub(super) async fn of_number(desk: &Desk, number: &Number) -> Result<Option<Registration>, Refused> {
    if number.sms.is("not_capable") {
        return Ok(None);
    }
    Ok(all(desk).await?.into_iter().rev().find(|one| one.numbers.contains_key(&number.number)))
}

/// A field of a registration's form.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    what: String,
    ten_dlc: bool,
    toll_free: bool,
    #[serde(default)]
    pub(super) value: String,
}

impl Field {
    /// `business_name` as people read it.
    pub(super) fn label(&self) -> String {
        let words = self.name.replace('_', " ");
        let mut letters = words.chars();
        letters
            .next()
            .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
    }

    /// What is asked, as a sentence.
    pub(super) fn hint(&self) -> String {
        if self.what.starts_with("http") {
            return format!("{}.", self.what);
        }
        let mut letters = self.what.chars();
        letters
            .next()
            .map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
    }

    /// It takes several lines.
    pub(super) fn is_long(&self) -> bool {
        [
            "description",
            "message_flow",
            "sample_",
            "additional_",
            "opt_in_message",
            "opt_out_message",
            "help_",
        ]
        .iter()
        .any(|name| self.name.starts_with(name))
    }
}

/// The fields of a form: those that it cannot do without, and others.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub(super) needed: Vec<Field>,
    pub(super) others: Vec<Field>,
}

/// The fields of a kind of form, filled.
pub(super) async fn fields(
    desk: &Desk,
    toll_free: bool,
    filled: &BTreeMap<String, String>,
) -> Result<Fields, Refused> {
    #[derive(Deserialize)]
    struct List {
        fields: Vec<Field>,
    }
    let list: List = desk.get("/api/v1/numbers/registrations/fields").await?;
    let fill = |mut field: Field| {
        field.value = filled.get(&field.name).cloned().unwrap_or_default();
        field
    };
    let is_needed = |field: &Field| if toll_free { field.toll_free } else { field.ten_dlc };
    let (needed, others) = list.fields.into_iter().map(fill).partition(is_needed);
    Ok(Fields { needed, others })
}

/// What of a registration's form was filled in: fields of it are named `form.` and their names.
pub(super) fn typed(form: &Form) -> BTreeMap<String, String> {
    let filled = form.named("form.");
    filled
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(name, value)| (name.into(), value.trim().into()))
        .collect()
}

/// Hands a registration in for one number.
pub(super) async fn hand_in(desk: &Desk, number: &Number, form: &Form) -> Result<Registration, Refused> {
    let kind = if number.is_toll_free() { "toll_free" } else { "ten_dlc" };
    let carrier = number.facts.carrier.clone().unwrap_or_default();
    let new = json!({"carrier": carrier, "kind": kind, "form": typed(form), "numbers": [number.number]});
    let made = desk.send(Method::POST, "/api/v1/numbers/registrations", Some(&new)).await?;
    serde_json::from_value(made).map_err(|error| {
        let detail = format!("The gateway's own API gave an answer that this page cannot read: {error}.");
        Refused::new(500, "answer_unreadable", detail, "Report it with the gateway's log.")
    })
}

/// Has a number join a campaign.
pub(super) async fn join(desk: &Desk, id: &str, number: &str) -> Result<(), Refused> {
    let path = format!("/api/v1/numbers/registrations/{}/numbers", encoded(id));
    desk.send(Method::POST, &path, Some(&json!({"number": number}))).await.map(drop)
}

/// Numbers that the SMS page shows at once.
const ROWS: usize = 100;

#[derive(Template)]
#[template(path = "numbers/sms.html")]
struct SmsPage {
    shell: Shell,
    rows: Vec<(Number, Option<Registration>)>,
    registrations: Vec<Registration>,
    carriers: Named,
    more: Option<String>,
    may_register: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Behind {
    after: String,
}

async fn show_all(desk: Desk, Query(Behind { after }): Query<Behind>) -> Shown {
    let carries = |number: &Number| !number.sms.is("not_capable") && number.state != "released";
    let (numbers, next) = some_numbers(&desk, &after, ROWS, carries).await?;
    let registrations = all(&desk).await?;
    let belongs = |number: Number| {
        let its = registrations.iter().rev().find(|one| one.numbers.contains_key(&number.number)).cloned();
        (number, its)
    };
    Ok(page::shown(SmsPage {
        shell: desk.shell(Some(Section::Numbers), "SMS").await?,
        rows: numbers.into_iter().map(belongs).collect(),
        registrations: registrations.iter().rev().cloned().collect(),
        carriers: names_of(&carriers(&desk).await?),
        more: next.map(|next| format!("/console/numbers/sms?after={}", encoded(&next))),
        may_register: desk.may(Permission::NumbersCompliance),
    }))
}

#[derive(Template)]
#[template(path = "numbers/registration.html")]
struct RegistrationPage {
    shell: Shell,
    /// None for a new one.
    registration: Option<Registration>,
    /// The number that a new one is for.
    number: Option<Number>,
    /// Campaigns that the number can join.
    campaigns: Vec<Registration>,
    carriers: Named,
    fields: Fields,
    faults: Vec<String>,
    may_register: bool,
}

impl RegistrationPage {
    fn is_editable(&self) -> bool {
        self.may_register && self.registration.as_ref().is_none_or(|one| one.editable)
    }
}

#[derive(Deserialize)]
struct For {
    number: String,
}

async fn show_new(desk: Desk, Query(For { number: name }): Query<For>) -> Shown {
    drawn_new(&desk, &name, &BTreeMap::new(), Vec::new()).await
}

async fn drawn_new(desk: &Desk, name: &str, filled: &BTreeMap<String, String>, faults: Vec<String>) -> Shown {
    need(desk, Permission::NumbersCompliance)?;
    let number = number(desk, name).await?;
    let toll_free = number.is_toll_free();
    let joins = |one: &Registration| {
        !toll_free && one.kind == "ten_dlc" && Some(&one.carrier) == number.facts.carrier.as_ref()
    };
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = page::shown(RegistrationPage {
        shell: desk.shell(Some(Section::Numbers), "A registration for SMS").await?,
        campaigns: all(desk).await?.into_iter().filter(joins).collect(),
        registration: None,
        carriers: Named::default(),
        fields: fields(desk, toll_free, filled).await?,
        number: Some(number),
        faults,
        may_register: true,
    });
    Ok((status, page).into_response())
}

async fn add(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let number = number(&desk, form.text("number")).await?;
    match hand_in(&desk, &number, &form).await {
        Ok(made) => Ok(page::done(&page_of(&made.id), "It is handed in. The page says how far it is.")),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn_new(&desk, &number.number, &typed(&form), sentences(&refused)).await,
    }
}

fn page_of(id: &str) -> String {
    format!("/console/numbers/registrations/{}", encoded(id))
}

fn api_of(id: &str) -> String {
    format!("/api/v1/numbers/registrations/{}", encoded(id))
}

async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    drawn(&desk, &id, None, Vec::new()).await
}

async fn drawn(
    desk: &Desk,
    id: &str,
    filled: Option<BTreeMap<String, String>>,
    faults: Vec<String>,
) -> Shown {
    let registration: Registration = desk.get(&api_of(id)).await?;
    let filled = filled.as_ref().unwrap_or(&registration.form);
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = page::shown(RegistrationPage {
        shell: desk.shell(Some(Section::Numbers), registration.business().to_owned()).await?,
        fields: fields(desk, registration.kind == "toll_free", filled).await?,
        carriers: names_of(&carriers(desk).await?),
        registration: Some(registration),
        number: None,
        campaigns: Vec::new(),
        faults,
        may_register: desk.may(Permission::NumbersCompliance),
    });
    Ok((status, page).into_response())
}

async fn correct(desk: Desk, Path(id): Path<String>, body: Bytes) -> Shown {
    let filled = typed(&Form::read(&body));
    let corrected: Value = json!({"form": filled});
    match desk.send(Method::PUT, &api_of(&id), Some(&corrected)).await {
        Ok(_) => Ok(page::done(&page_of(&id), "The corrected form is handed in.")),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn(&desk, &id, Some(filled), sentences(&refused)).await,
    }
}

async fn join_here(desk: Desk, Path(id): Path<String>, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let came = join(&desk, &id, form.trimmed("number")).await;
    after(&page_of(&id), came, "The number joins the campaign.")
}
