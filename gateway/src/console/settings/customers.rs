//! Data of customers: how long each kind is kept, and what is kept of one of them as a file.

mod erase;

use askama::Template;
use axum::{
    Router,
    body::Body,
    extract::Query,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown, answered},
        page,
        shell::{Section, Shell},
        words::{self, encoded},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/settings/customers", get(show))
        .route("/console/settings/customers/export", get(export))
        .merge(erase::routes())
}

/// A kind of data as the API tells it.
#[derive(Deserialize)]
struct Kind {
    what: String,
    setting: String,
    value: u64,
    unit: String,
    note: String,
}

impl Kind {
    fn kept(&self) -> String {
        match (self.unit.as_str(), self.value) {
            ("bytes", bytes) => words::bytes(bytes),
            (_, 0) => "not kept".to_owned(),
            (unit, 1) => format!("1 {}", unit.trim_end_matches('s')),
            (unit, value) => format!("{value} {unit}"),
        }
    }
}

#[derive(Deserialize)]
struct Retention {
    retention: Vec<Kind>,
}

#[derive(Template)]
#[template(path = "settings/customers.html")]
struct CustomersPage {
    shell: Shell,
    /// Empty for those who may not see settings.
    kinds: Vec<Kind>,
    typed: String,
    fault: Option<String>,
    may_export: bool,
    erasures: Vec<erase::Erasure>,
}

async fn show(desk: Desk) -> Shown {
    drawn(&desk, String::new(), None).await
}

async fn drawn(desk: &Desk, typed: String, fault: Option<Refused>) -> Shown {
    let may_export = desk.may(Permission::PrivacyManage);
    let kinds = match desk.get::<Retention>("/api/v1/retention").await {
        Ok(Retention { retention }) => retention,
        Err(refused) if refused.status == 403 && may_export => Vec::new(),
        Err(refused) => return Err(refused),
    };
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(CustomersPage {
        shell: desk.shell(Some(Section::Settings), "Customer data").await?,
        kinds,
        typed,
        fault: fault.map(|refused| refused.sentence()),
        may_export,
        erasures: erase::all(desk).await?,
    });
    Ok((status, page).into_response())
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    address: String,
}

/// The file of one customer, piece by piece as the API makes it.
async fn export(desk: Desk, Query(Asked { address }): Query<Asked>) -> Shown<Response> {
    let path = format!("/api/v1/customers/export?address={}", encoded(address.trim()));
    let response = desk.pass_through(Method::GET, &path, &HeaderMap::new(), Body::empty()).await;
    if response.status().is_success() {
        return Ok(response);
    }
    match answered(response).await {
        Err(refused) if refused.status == 400 => drawn(&desk, address, Some(refused)).await,
        Err(refused) => Err(refused),
        Ok(_) => drawn(&desk, address, None).await,
    }
}
