//! Numbers that come from another carrier: orders to port or forward them, with how far each is.

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

use super::{Carrier, Named, after, carriers, names_of, need, one::moment, sentences};
use crate::{
    console::{
        Console,
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
        .route("/console/numbers/transfers", get(list))
        .route("/console/numbers/transfers/new", get(show_new).post(add))
        .route("/console/numbers/transfers/{id}", get(show))
        .route("/console/numbers/transfers/{id}/events", post(tell))
}

/// An order, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
struct Transfer {
    id: String,
    carrier: String,
    kind: String,
    numbers: Vec<String>,
    forward_to: Option<String>,
    form: BTreeMap<String, String>,
    status: State,
    order: Option<String>,
    by: String,
    created: When,
    changed: When,
}

#[derive(Clone, Debug, Deserialize)]
struct State {
    state: String,
    #[serde(default)]
    reasons: Vec<String>,
    on: Option<When>,
    reason: Option<String>,
}

impl Transfer {
    fn kind(&self) -> &'static str {
        if self.kind == "forward" { "Forwarding" } else { "Port" }
    }

    /// The state as people read it, and its tone.
    fn state(&self) -> (&str, &'static str) {
        match self.status.state.as_str() {
            "submitted" => ("Handed in", "live"),
            "action_needed" => ("Something is to be mended", "bad"),
            "scheduled" => ("Agreed", "live"),
            "completed" => ("Done", "good"),
            "cancelled" => ("Called off", "plain"),
            other => (other, "plain"),
        }
    }

    fn is_open(&self) -> bool {
        !matches!(self.status.state.as_str(), "completed" | "cancelled")
    }

    /// Its first number, and how many more there are.
    fn title(&self) -> String {
        let first = self.numbers.first().map_or_else(String::new, |number| super::shown(number));
        match self.numbers.len() {
            0 | 1 => first,
            many => format!("{first} and {} more", many - 1),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Behind {
    after: String,
}

#[derive(Template)]
#[template(path = "numbers/transfers.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Transfer>,
    carriers: Named,
    more: Option<String>,
    may_order: bool,
}

async fn list(desk: Desk, Query(Behind { after }): Query<Behind>) -> Shown {
    #[derive(Deserialize)]
    struct List {
        transfers: Vec<Transfer>,
        next: Option<String>,
    }
    let query = if after.is_empty() { String::new() } else { format!("&after={}", encoded(&after)) };
    let List { transfers, next } = desk.get(&format!("/api/v1/numbers/transfers?limit=100{query}")).await?;
    Ok(page::shown(ListPage {
        shell: desk.shell(Some(Section::Numbers), "Ports and forwarding").await?,
        rows: transfers,
        carriers: names_of(&carriers(&desk).await?),
        more: next.map(|next| format!("/console/numbers/transfers?after={}", encoded(&next))),
        may_order: desk.may(Permission::NumbersBuy),
    }))
}

/// What the other carrier is told: name of the field, what is asked.
const FORM: [(&str, &str); 4] = [
    ("name", "Name on the other carrier’s bill"),
    ("address", "Address on that bill"),
    ("account", "Account number there"),
    ("pin", "PIN or passcode there"),
];

#[derive(Template)]
#[template(path = "numbers/transfer_new.html")]
struct NewPage {
    shell: Shell,
    carriers: Vec<Carrier>,
    carrier: String,
    kind: String,
    numbers: String,
    forward_to: String,
    fields: Vec<(&'static str, &'static str, String)>,
    faults: Vec<String>,
}

async fn drawn_new(desk: &Desk, form: &Form, faults: Vec<String>) -> Shown {
    need(desk, Permission::NumbersBuy)?;
    let text = |name: &str| form.trimmed(name).to_owned();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = page::shown(NewPage {
        shell: desk.shell(Some(Section::Numbers), "Port or forward numbers").await?,
        carriers: carriers(desk).await?,
        carrier: text("carrier"),
        kind: text("kind"),
        numbers: form.text("numbers").to_owned(),
        forward_to: text("forward_to"),
        fields: FORM.map(|(name, what)| (name, what, text(&format!("form.{name}")))).to_vec(),
        faults,
    });
    Ok((status, page).into_response())
}

async fn show_new(desk: Desk) -> Shown {
    drawn_new(&desk, &Form::default(), Vec::new()).await
}

async fn add(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let told: BTreeMap<&str, &str> =
        form.named("form.").filter(|(_, value)| !value.trim().is_empty()).collect();
    let mut new = json!({
        "carrier": form.trimmed("carrier"), "kind": form.trimmed("kind"),
        "numbers": form.lines("numbers"), "form": told,
    });
    if form.trimmed("kind") == "forward" {
        new["forward_to"] = form.optional("forward_to");
    }
    match desk.send(Method::POST, "/api/v1/numbers/transfers", Some(&new)).await {
        Ok(made) => {
            let id = made.get("id").and_then(Value::as_str).unwrap_or_default();
            Ok(page::done(&page_of(id), "It is ordered. The numbers are idle once they are here."))
        }
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn_new(&desk, &form, sentences(&refused)).await,
    }
}

fn page_of(id: &str) -> String {
    format!("/console/numbers/transfers/{}", encoded(id))
}

#[derive(Template)]
#[template(path = "numbers/transfer.html")]
struct TransferPage {
    shell: Shell,
    transfer: Transfer,
    carriers: Named,
    may_order: bool,
}

async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let transfer: Transfer = desk.get(&format!("/api/v1/numbers/transfers/{}", encoded(&id))).await?;
    Ok(page::shown(TransferPage {
        shell: desk.shell(Some(Section::Numbers), transfer.title()).await?,
        transfer,
        carriers: names_of(&carriers(&desk).await?),
        may_order: desk.may(Permission::NumbersBuy),
    }))
}

async fn tell(desk: Desk, Path(id): Path<String>, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let mut event = json!({"event": form.trimmed("event")});
    match form.trimmed("event") {
        "action_needed" => event["reasons"] = form.lines("reasons").into(),
        "scheduled" => event["on"] = moment(form.trimmed("on")),
        "cancelled" => event["reason"] = form.lines("reasons").join(" ").into(),
        _ => {}
    }
    let path = format!("/api/v1/numbers/transfers/{}/events", encoded(&id));
    let came = desk.send(Method::POST, &path, Some(&event)).await.map(drop);
    after(&page_of(&id), came, "It is noted.")
}
