//! Mailboxes: whether their mail goes to an inbox, forwarders' questions, and the test that proves the forwarding.

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
        .route("/console/settings/mailboxes", get(list).post(add))
        .route("/console/settings/mailboxes/{address}", get(show))
        .route("/console/settings/mailboxes/{address}/test", post(begin_test))
        .route("/console/settings/mailboxes/{address}/state", post(say))
        .route("/console/settings/mailboxes/{address}/delete", post(delete))
}

/// A mailbox as the API tells it.
#[derive(Clone, Debug, Deserialize)]
struct Mailbox {
    address: String,
    state: String,
    live: bool,
    verified_by: Option<VerifiedBy>,
    #[serde(default)]
    confirmations: Vec<Confirmation>,
    test_expires: Option<When>,
}

#[derive(Clone, Debug, Deserialize)]
struct VerifiedBy {
    how: String,
    #[serde(default)]
    note: String,
}

/// A forwarder's question.
#[derive(Clone, Debug, Deserialize)]
struct Confirmation {
    at: When,
    from: String,
    subject: Option<String>,
    link_or_code: String,
}

impl Confirmation {
    /// Whether a page is to be opened; otherwise a code is to be typed at the forwarder.
    fn is_link(&self) -> bool {
        self.link_or_code.starts_with("https://") || self.link_or_code.starts_with("http://")
    }
}

impl Mailbox {
    /// The state as people read it, and its tone.
    fn state(&self) -> (&'static str, &'static str) {
        match (self.state.as_str(), self.live) {
            ("verified", true) => ("live", "good"),
            ("verified", false) => ("verified, but not live", "warn"),
            ("forwarding_requested", _) => ("a forwarder asks", "warn"),
            _ => ("not verified", "warn"),
        }
    }

    fn is_verified(&self) -> bool {
        self.state == "verified"
    }

    fn is_tested(&self) -> bool {
        self.test_expires.is_some_and(|expires| !expires.passed())
    }

    fn domain(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    fn href(&self) -> String {
        page_of(&self.address)
    }

    /// What verified it, for people.
    fn proof(&self) -> Option<String> {
        self.verified_by.as_ref().map(|by| match by.how.as_str() {
            "test" => "A test mail came in.".to_owned(),
            "hand" => format!("By hand: {}", by.note),
            _ => "It was there from the start.".to_owned(),
        })
    }
}

#[derive(Deserialize)]
struct Mailboxes {
    mailboxes: Vec<Mailbox>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "settings/mailboxes.html")]
struct ListPage {
    shell: Shell,
    rows: Vec<Mailbox>,
    next: Option<String>,
    typed: String,
    fault: Option<String>,
    may: bool,
}

async fn list(desk: Desk, Query(begins): Query<Begins>) -> Shown {
    drawn_list(&desk, begins, String::new(), None).await
}

async fn drawn_list(desk: &Desk, begins: Begins, typed: String, fault: Option<Refused>) -> Shown {
    let path = format!("/api/v1/mailboxes?limit={ROWS}&after={}", encoded(&begins.after));
    let Mailboxes { mailboxes: rows, next } = desk.get(&path).await?;
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(ListPage {
        shell: desk.shell(Some(Section::Settings), "Mailboxes").await?,
        rows,
        next,
        typed,
        fault: fault.map(|refused| refused.sentence()),
        may: desk.may(Permission::MailManage),
    });
    Ok((status, page).into_response())
}

async fn add(desk: Desk, body: Bytes) -> Shown {
    let address = Form::read(&body).trimmed("address").to_owned();
    match desk.send(Method::POST, "/api/v1/mailboxes", Some(&json!({"address": address}))).await {
        Ok(made) => {
            let made = made.get("address").and_then(|made| made.as_str()).unwrap_or(&address).to_owned();
            Ok(page::done(&page_of(&made), "It is added. Set the forwarding up, and prove it with a test."))
        }
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn_list(&desk, Begins::default(), address, Some(refused)).await,
    }
}

#[derive(Deserialize)]
struct Detail {
    mailbox: Mailbox,
    audit: Vec<Done>,
}

/// A word that is told once.
#[derive(Deserialize)]
struct Test {
    word: String,
    expires: When,
}

#[derive(Deserialize)]
struct Led {
    inbox: Option<String>,
    inbox_name: Option<String>,
    armed: bool,
}

impl Led {
    fn to(&self) -> &str {
        self.inbox_name.as_deref().or(self.inbox.as_deref()).unwrap_or("nowhere")
    }
}

#[derive(Template)]
#[template(path = "settings/mailbox.html")]
struct MailboxPage {
    shell: Shell,
    one: Mailbox,
    audit: Vec<Done>,
    /// Its entry point; none when nobody has set it up.
    led: Option<Led>,
    /// The state of its domain.
    domain_state: Option<String>,
    test: Option<Test>,
    may: bool,
}

impl MailboxPage {
    fn entry_point(&self) -> String {
        format!("/console/entry-points/email/{}", encoded(&self.one.address))
    }

    fn domain_is_verified(&self) -> bool {
        self.domain_state.as_deref() == Some("verified")
    }
}

fn page_of(address: &str) -> String {
    format!("/console/settings/mailboxes/{}", encoded(address))
}

fn path(address: &str) -> String {
    format!("/api/v1/mailboxes/{}", encoded(address))
}

async fn show(desk: Desk, Path(address): Path<String>) -> Shown {
    drawn(&desk, &address, None).await
}

async fn drawn(desk: &Desk, address: &str, test: Option<Test>) -> Shown {
    #[derive(Deserialize)]
    struct Found {
        mail_domain: Stands,
    }
    #[derive(Deserialize)]
    struct Stands {
        state: String,
    }
    let Detail { mailbox: one, audit } = desk.get(&path(address)).await?;
    let domain: Option<Found> = desk.find(&format!("/api/v1/mail-domains/{}", encoded(one.domain()))).await?;
    let led = desk.find(&format!("/api/v1/entry-points/email/{}", encoded(&one.address))).await?;
    Ok(page::shown(MailboxPage {
        shell: desk.shell(Some(Section::Settings), one.address.clone()).await?,
        domain_state: domain.map(|found| found.mail_domain.state),
        led,
        one,
        audit,
        test,
        may: desk.may(Permission::MailManage),
    }))
}

async fn begin_test(desk: Desk, Path(address): Path<String>) -> Shown {
    let test = desk.send(Method::POST, &format!("{}/test", path(&address)), None).await?;
    let test = serde_json::from_value(test).map_err(|error| Refused::unreadable(&error))?;
    drawn(&desk, &address, Some(test)).await
}

async fn say(desk: Desk, Path(address): Path<String>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let event = form.text("event");
    let done =
        if event == "verify" { "It is verified, by your word." } else { "Its mail is put off from now on." };
    let said = json!({"event": event, "note": form.trimmed("note")});
    let came = desk.send(Method::POST, &format!("{}/state", path(&address)), Some(&said)).await;
    match came {
        Err(refused) if refused.status == 403 => refused.into_response(),
        came => page::after(&page_of(&address), came.map(drop), done),
    }
}

async fn delete(desk: Desk, Path(address): Path<String>) -> Response {
    match desk.send(Method::DELETE, &path(&address), None).await {
        Ok(_) => page::done("/console/settings/mailboxes", "The mailbox is removed: its mail is put off."),
        Err(refused) if refused.status == 403 => refused.into_response(),
        Err(refused) => page::not_done(&page_of(&address), &refused),
    }
}
