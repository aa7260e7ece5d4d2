//! Numbers of an own trunk: taken up one by one, or from a CSV file.

use askama::Template;
use axum::{
    Router,
    body::{Body, Bytes},
    http::{Method, Request, StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Carrier, carriers, need, page_of, sentences};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown, answered},
        form::Form,
        page,
        shell::{Section, Shell},
        words::encoded,
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/numbers/add", get(show).post(add))
        .route("/console/numbers/import", post(import))
}

/// What was typed.
#[derive(Clone, Debug, Default)]
struct Typed {
    carrier: String,
    number: String,
    city: String,
    region: String,
    country: String,
    csv: String,
    calls_only: bool,
    mms: bool,
}

impl Typed {
    fn of(form: &Form) -> Self {
        let text = |name: &str| form.trimmed(name).to_owned();
        Self {
            carrier: text("carrier"),
            number: text("number"),
            city: text("city"),
            region: text("region"),
            country: text("country"),
            csv: text("csv"),
            calls_only: form.ticked("calls_only"),
            mms: form.ticked("mms"),
        }
    }
}

/// What an import did, or would do.
#[derive(Clone, Debug, Deserialize)]
struct Imported {
    added: usize,
    known: usize,
}

#[derive(Template)]
#[template(path = "numbers/own.html")]
struct OwnPage {
    shell: Shell,
    carriers: Vec<Carrier>,
    typed: Typed,
    faults: Vec<String>,
    tried: Option<Imported>,
}

async fn drawn(desk: &Desk, typed: Typed, faults: Vec<String>, tried: Option<Imported>) -> Shown {
    need(desk, Permission::NumbersBuy)?;
    let carriers = carriers(desk).await?.into_iter().filter(|carrier| !carrier.sells).collect();
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shell = desk.shell(Some(Section::Numbers), "Numbers of your own trunk").await?;
    Ok((status, page::shown(OwnPage { shell, carriers, typed, faults, tried })).into_response())
}

async fn show(desk: Desk) -> Shown {
    drawn(&desk, Typed::default(), Vec::new(), None).await
}

async fn add(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let typed = Typed::of(&form);
    let mut new = json!({"number": typed.number, "sms": !typed.calls_only, "mms": typed.mms});
    for name in ["carrier", "city", "region", "country"] {
        if let value @ Value::String(_) = form.optional(name) {
            new[name] = value;
        }
    }
    match desk.send(Method::POST, "/api/v1/numbers", Some(&new)).await {
        Ok(made) => {
            let number = made.get("number").and_then(Value::as_str).unwrap_or(&typed.number);
            Ok(page::done(
                &format!("{}/set-up", page_of(number)),
                "The number is here. Set it up now, or later.",
            ))
        }
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn(&desk, typed, sentences(&refused), None).await,
    }
}

async fn import(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let (typed, dry) = (Typed::of(&form), form.text("act") == "try");
    match send_csv(&desk, &typed, dry).await {
        Ok(imported) if dry => drawn(&desk, typed, Vec::new(), Some(imported)).await,
        Ok(Imported { added, known }) => {
            let words = format!("{added} numbers were taken up; {known} were held already.");
            Ok(page::done("/console/numbers?unfinished=yes", &words))
        }
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn(&desk, typed, sentences(&refused), None).await,
    }
}

async fn send_csv(desk: &Desk, typed: &Typed, dry: bool) -> Result<Imported, Refused> {
    let path = format!("/api/v1/numbers/import?carrier={}&dry_run={dry}", encoded(&typed.carrier));
    let unreadable = |what: &dyn std::fmt::Display| {
        Refused::new(500, "answer_unreadable", what.to_string(), "Report it with the gateway's log.")
    };
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "text/csv")
        .body(Body::from(typed.csv.clone()))
        .map_err(|error| unreadable(&error))?;
    let (_, bytes) = answered(desk.pass(request).await).await?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))
}
