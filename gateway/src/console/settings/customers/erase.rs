//! Erasing one customer: what goes and what stays is said first, and the address is typed once more.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::Query,
    http::{Method, StatusCode},
    response::IntoResponse,
    routing::get,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        form::Form,
        page,
        shell::{Section, Shell},
        words::When,
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/settings/customers/erase", get(show).post(erase))
}

const PAGE: &str = "/console/settings/customers";

/// Erasures that the page shows.
const ROWS: usize = 20;

/// An erasure as the API tells it.
#[derive(Deserialize)]
pub(super) struct Erasure {
    pub(super) address: Option<String>,
    pub(super) address_print: String,
    state: String,
    waits_for: u64,
    pub(super) asked: When,
    pub(super) asked_by: String,
    pub(super) contacts: u64,
    pub(super) done: Option<When>,
}

impl Erasure {
    pub(super) fn says(&self) -> String {
        match (self.state.as_str(), self.waits_for) {
            ("done", _) => "Nothing is left".to_owned(),
            (_, 1) => "Waits for a call to end".to_owned(),
            ("settling", waits) if waits > 1 => format!("Waits for {waits} calls to end"),
            _ => "Goes on".to_owned(),
        }
    }
}

/// The newest, for those who may see them.
pub(super) async fn all(desk: &Desk) -> Result<Vec<Erasure>, Refused> {
    #[derive(Deserialize)]
    struct Page {
        erasures: Vec<Erasure>,
    }
    let page = desk.find::<Page>(&format!("/api/v1/customers/erasures?limit={ROWS}")).await?;
    Ok(page.map_or_else(Vec::new, |page| page.erasures))
}

#[derive(Template)]
#[template(path = "settings/erase.html")]
struct ErasePage {
    shell: Shell,
    address: String,
    typed: String,
    fault: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    address: String,
}

async fn drawn(desk: &Desk, (address, typed): (&str, &str), fault: Option<Refused>) -> Shown {
    if !desk.may(Permission::PrivacyManage) {
        let remedy = "Ask an administrator for the role `compliance`.";
        return Err(Refused::new(403, "forbidden", "You may not erase what is kept of customers.", remedy));
    }
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(ErasePage {
        shell: desk.shell(Some(Section::Settings), "Erase a customer").await?,
        address: address.to_owned(),
        typed: typed.to_owned(),
        fault: fault.map(|refused| refused.sentence()),
    });
    Ok((status, page).into_response())
}

async fn show(desk: Desk, Query(Asked { address }): Query<Asked>) -> Shown {
    drawn(&desk, (address.trim(), ""), None).await
}

async fn erase(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let (address, typed) = (form.trimmed("address"), form.trimmed("confirm"));
    if address != typed {
        let detail = "What you typed is not the address.";
        let refused = Refused::new(422, "not_confirmed", detail, "Type it once more, as it stands above.");
        return drawn(&desk, (address, typed), Some(refused)).await;
    }
    let wanted = json!({ "address": address });
    match desk.send(Method::POST, "/api/v1/customers/erasures", Some(&wanted)).await {
        Ok(_) => Ok(page::done(PAGE, "It is being erased. The list says when nothing is left.")),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn(&desk, (address, typed), Some(refused)).await,
    }
}
