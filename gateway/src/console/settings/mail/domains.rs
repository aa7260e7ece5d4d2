//! Mail domains: the records that prove them and bring their mail, and whether they were found.

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
use serde_json::json;

use super::{Begins, Done, ROWS};
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
        .route("/console/settings/mail-domains", get(list).post(add))
        .route("/console/settings/mail-domains/{domain}", get(show))
        .route("/console/settings/mail-domains/{domain}/verify", post(verify))
        .route("/console/settings/mail-domains/{domain}/delete", post(delete))
}

/// A domain as the API tells it.
#[derive(Clone, Debug, Deserialize)]
struct Domain {
    domain: String,
    state: String,
    verified_by: Option<String>,
    records: Vec<ZoneRecord>,
    checked: Option<When>,
    missing_since: Option<When>,
    problem: Option<String>,
}

/// What is to be written into the zone.
#[derive(Clone, Debug, Deserialize)]
struct ZoneRecord {
    r#type: String,
    name: String,
    value: String,
    why: String,
}

impl Domain {
    /// The state as people read it, and its tone.
    fn state(&self) -> (&'static str, &'static str) {
        match (self.state.as_str(), &self.missing_since) {
            ("verified", Some(_)) => ("its record is missing", "warn"),
            ("verified", None) => ("verified", "good"),
            ("failed", _) => ("failed", "bad"),
            _ => ("waits for its record", "warn"),
        }
    }

    fn is_verified(&self) -> bool {
        self.state == "verified"
    }

    fn needs_no_record(&self) -> bool {
        self.verified_by.as_deref() == Some("start")
    }

    fn href(&self) -> String {
        page_of(&self.domain)
    }
}

#[derive(Deserialize)]
struct Domains {
    mail_domains: Vec<Domain>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "settings/mail_domains.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Domain>,
    next: Option<String>,
    typed: String,
    fault: Option<String>,
    may: bool,
}

async fn list(desk: Desk, Query(begins): Query<Begins>) -> Shown {
    drawn(&desk, begins, String::new(), None).await
}

async fn drawn(desk: &Desk, begins: Begins, typed: String, fault: Option<Refused>) -> Shown {
    let path = format!("/api/v1/mail-domains?limit={ROWS}&after={}", encoded(&begins.after));
    let Domains { mail_domains: rows, next } = desk.get(&path).await?;
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(ListPage {
        shell: desk.shell(Some(Section::Settings), "Mail domains").await?,
        rows,
        next,
        typed,
        fault: fault.map(|refused| refused.sentence()),
        may: desk.may(Permission::MailManage),
    });
    Ok((status, page).into_response())
}

async fn add(desk: Desk, body: Bytes) -> Shown {
    let domain = Form::read(&body).trimmed("domain").to_owned();
    match desk.send(Method::POST, "/api/v1/mail-domains", Some(&json!({"domain": domain}))).await {
        Ok(made) => {
            let made = made.get("domain").and_then(|made| made.as_str()).unwrap_or(&domain).to_owned();
            Ok(page::done(
                &page_of(&made),
                "It is added. Write the TXT record into its zone, then look for it here.",
            ))
        }
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn(&desk, Begins::default(), domain, Some(refused)).await,
    }
}

#[derive(Deserialize)]
struct Detail {
    mail_domain: Domain,
    audit: Vec<Done>,
}

#[derive(Template)]
#[template(path = "settings/mail_domain.html")]
struct DomainPage {
    shell: Shell,
    one: Domain,
    audit: Vec<Done>,
    may: bool,
}

fn page_of(domain: &str) -> String {
    format!("/console/settings/mail-domains/{}", encoded(domain))
}

fn path(domain: &str) -> String {
    format!("/api/v1/mail-domains/{}", encoded(domain))
}

async fn show(desk: Desk, Path(domain): Path<String>) -> Shown {
    let Detail { mail_domain: one, audit } = desk.get(&path(&domain)).await?;
    Ok(page::shown(DomainPage {
        shell: desk.shell(Some(Section::Settings), one.domain.clone()).await?,
        one,
        audit,
        may: desk.may(Permission::MailManage),
    }))
}

async fn verify(desk: Desk, Path(domain): Path<String>) -> Response {
    let back = page_of(&domain);
    let looked = desk.send(Method::POST, &format!("{}/verify", path(&domain)), None).await;
    let found: Result<Domain, Refused> =
        looked.and_then(|found| serde_json::from_value(found).map_err(|error| Refused::unreadable(&error)));
    match found {
        Ok(found) if found.is_verified() && found.problem.is_none() => {
            page::done(&back, "The record was found: the domain is verified.")
        }
        Ok(found) => {
            let detail = found.problem.unwrap_or_else(|| "The record was not found".to_owned());
            let remedy = "New records may take minutes until all name servers have them. Look again then.";
            page::not_done(&back, &Refused::new(422, "record_not_found", format!("{detail}."), remedy))
        }
        Err(refused) if refused.status == 403 => refused.into_response(),
        Err(refused) => page::not_done(&back, &refused),
    }
}

async fn delete(desk: Desk, Path(domain): Path<String>) -> Response {
    match desk.send(Method::DELETE, &path(&domain), None).await {
        Ok(_) => page::done("/console/settings/mail-domains", "The domain is removed."),
        Err(refused) if refused.status == 403 => refused.into_response(),
        Err(refused) => page::not_done(&page_of(&domain), &refused),
    }
}
