//! Giving a number back: what callers will notice is said first, and the number is typed once more.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{Method, StatusCode},
    response::IntoResponse,
    routing::get,
};
use serde::Deserialize;
use serde_json::json;

use super::{Number, api_of, need, number, page_of, sentences};
use crate::{
    console::{
        Console,
        ask::{Desk, Shown},
        form::Form,
        page,
        shell::{Section, Shell},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/numbers/{number}/release", get(show).post(release))
}

/// What goes with a number, as the API says beforehand.
#[derive(Deserialize)]
struct Notice {
    entry_points: Vec<String>,
    exceptions: Vec<String>,
    ivrs: Vec<String>,
    tests: Vec<String>,
    live_calls: usize,
    drafted: Vec<String>,
    says: Vec<String>,
    cool_down_days: i64,
}

#[derive(Template)]
#[template(path = "numbers/release.html")]
struct ReleasePage {
    shell: Shell,
    number: Number,
    notice: Notice,
    typed: String,
    faults: Vec<String>,
}

async fn drawn(desk: &Desk, name: &str, typed: &str, faults: Vec<String>) -> Shown {
    need(desk, Permission::NumbersRelease)?;
    let number = number(desk, name).await?;
    let notice: Notice = desk.get(&format!("{}/release", api_of(name))).await?;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let title = format!("Give {} back", number.shown());
    let shell = desk.shell(Some(Section::Numbers), title).await?;
    let page = page::shown(ReleasePage { shell, number, notice, typed: typed.to_owned(), faults });
    Ok((status, page).into_response())
}

async fn show(desk: Desk, Path(number): Path<String>) -> Shown {
    drawn(&desk, &number, "", Vec::new()).await
}

async fn release(desk: Desk, Path(number): Path<String>, body: Bytes) -> Shown {
    let form = Form::read(&body);
    // People type it as they read it.
    let typed: String =
        form.trimmed("confirm").chars().filter(|letter| *letter == '+' || letter.is_ascii_digit()).collect();
    let wanted = json!({"confirm": typed, "force": form.ticked("force")});
    match desk.send(Method::POST, &format!("{}/release", api_of(&number)), Some(&wanted)).await {
        Ok(_) => Ok(page::done(&page_of(&number), "It is being given back, and is routed no more.")),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn(&desk, &number, form.trimmed("confirm"), sentences(&refused)).await,
    }
}
