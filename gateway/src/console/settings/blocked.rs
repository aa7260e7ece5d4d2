//! Blocked callers: refused before anything else, at once.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::Query,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;

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
        .route("/console/settings/blocked-callers", get(show).post(block))
        .route("/console/settings/blocked-callers/let-in", post(let_in))
}

const PAGE: &str = "/console/settings/blocked-callers";

/// Rows of a page.
const ROWS: usize = 100;

#[derive(Deserialize)]
struct Blocked {
    list: Option<String>,
    numbers: Vec<String>,
    prefixes: Vec<String>,
    anonymous: bool,
    next: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Begins {
    after: String,
}

#[derive(Template)]
#[template(path = "settings/blocked.html")]
struct BlockedPage {
    shell: Shell,
    blocked: Blocked,
    typed: String,
    note: String,
    fault: Option<String>,
    may: bool,
}

async fn show(desk: Desk, Query(begins): Query<Begins>) -> Shown {
    drawn(&desk, &begins.after, &Form::default(), None).await
}

async fn drawn(desk: &Desk, after: &str, form: &Form, fault: Option<Refused>) -> Shown {
    let after = if after.is_empty() { String::new() } else { format!("&after={}", encoded(after)) };
    let blocked = desk.get(&format!("/api/v1/blocked-callers?limit={ROWS}{after}")).await?;
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(BlockedPage {
        shell: desk.shell(Some(Section::Settings), "Blocked callers").await?,
        blocked,
        typed: form.text("number").to_owned(),
        note: form.text("note").to_owned(),
        fault: fault.map(|refused| refused.sentence()),
        may: desk.may(Permission::RoutingPublish),
    });
    Ok((status, page).into_response())
}

fn path(form: &Form) -> String {
    let number = encoded(form.trimmed("number"));
    match form.trimmed("note") {
        "" => format!("/api/v1/blocked-callers/{number}"),
        note => format!("/api/v1/blocked-callers/{number}?note={}", encoded(note)),
    }
}

async fn block(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    if form.trimmed("number").is_empty() {
        let refused = Refused::new(422, "no_number", "There is no number.", "Write it whole, with +.");
        return drawn(&desk, "", &form, Some(refused)).await;
    }
    match desk.send(Method::PUT, &path(&form), None).await {
        Ok(_) => Ok(page::done(PAGE, "The caller is blocked, from the next call on.")),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn(&desk, "", &form, Some(refused)).await,
    }
}

async fn let_in(desk: Desk, body: Bytes) -> Response {
    let form = Form::read(&body);
    match desk.send(Method::DELETE, &path(&form), None).await {
        Ok(_) => page::done(PAGE, "The caller is let in again."),
        Err(refused) if refused.status == 403 => refused.into_response(),
        Err(refused) => page::not_done(PAGE, &refused),
    }
}
