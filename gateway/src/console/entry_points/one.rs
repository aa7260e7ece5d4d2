//! One entry point: where it leads, its SLA, whether it is armed, what it belongs to and what uses it.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Choice, EntryPoint, came_of, comes_by_itself, disarming, forgetting, inboxes, list::section, name_of,
    told,
};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown, Versioned},
        form::{Faults, Form},
        page,
        shell::{Section, Shell},
        uses::Use,
        words::encoded,
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/entry-points/{channel}/{address}", get(show).post(save))
        .route("/console/entry-points/{channel}/{address}/arm", post(arm))
        .route("/console/entry-points/{channel}/{address}/delete", post(delete))
}

/// The fields of the form.
const FIELDS: [&str; 2] = ["inbox", "sla_minutes"];

#[derive(Deserialize)]
struct Detail {
    #[serde(flatten)]
    entry_point: EntryPoint,
    #[serde(default)]
    used_by: Vec<Use>,
}

#[derive(Deserialize)]
struct DefaultInbox {
    inbox: String,
}

#[derive(Template)]
#[template(path = "entry_points/one.html")]
struct OnePage {
    shell: Shell,
    one: EntryPoint,
    used_by: Vec<Use>,
    inboxes: Vec<Choice>,
    /// The channel's default inbox.
    default_inbox: String,
    /// What the fields hold.
    inbox: String,
    sla_minutes: String,
    was: String,
    faults: Faults,
    may_publish: bool,
    may_arm: bool,
}

impl OnePage {
    fn inbox_name<'a>(&'a self, id: &'a str) -> &'a str {
        name_of(&self.inboxes, id)
    }

    fn what_disarming_does(&self) -> &'static str {
        disarming(&self.one.channel)
    }

    fn what_forgetting_does(&self) -> &'static str {
        forgetting(&self.one.channel)
    }

    /// Whether somebody wrote something down that could be forgotten.
    fn is_set_up(&self) -> bool {
        self.one.is_exception()
            || self.one.has_own_sla()
            || !self.one.armed
            || !comes_by_itself(&self.one.channel)
    }

    fn list(&self) -> String {
        section(&self.one.channel)
    }
}

fn path(channel: &str, address: &str) -> String {
    format!("/api/v1/entry-points/{}/{}", encoded(channel), encoded(address))
}

fn page_of(channel: &str, address: &str) -> String {
    format!("/console/entry-points/{}/{}", encoded(channel), encoded(address))
}

async fn show(desk: Desk, Path((channel, address)): Path<(String, String)>) -> Shown {
    drawn(&desk, (&channel, &address), None).await
}

/// The page, with what was typed and refused, if anything was.
async fn drawn(desk: &Desk, (channel, address): (&str, &str), typed: Option<(&Form, Faults)>) -> Shown {
    let Versioned { body: Detail { entry_point: one, used_by }, tag } =
        desk.get_versioned(&path(channel, address)).await?;
    let default: Option<DefaultInbox> =
        desk.find(&format!("/api/v1/channels/{}/default-inbox", encoded(channel))).await?;
    let own_inbox = one.inbox.clone().filter(|_| one.is_exception()).unwrap_or_default();
    let own_sla = one.sla_minutes.filter(|_| one.has_own_sla()).map(|minutes| minutes.to_string());
    let refused = typed.is_some();
    let (inbox, sla_minutes, was, faults) = match typed {
        Some((form, faults)) => {
            (form.text("inbox").into(), form.text("sla_minutes").into(), form.text("was").into(), faults)
        }
        None => (own_inbox, own_sla.unwrap_or_default(), tag, Faults::default()),
    };
    let page: Response = page::shown(OnePage {
        shell: desk.shell(Some(Section::EntryPoints), one.name()).await?,
        inboxes: inboxes(desk).await?,
        default_inbox: default.map(|default| default.inbox).unwrap_or_default(),
        may_publish: desk.may(Permission::RoutingPublish),
        may_arm: desk.may(Permission::RoutingArm) && one.can_be_armed(),
        one,
        used_by,
        inbox,
        sla_minutes,
        was,
        faults,
    });
    let status = if refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok((status, page).into_response())
}

/// The API's path with the reason that was given.
fn with_note(path: &str, form: &Form) -> String {
    match form.trimmed("note") {
        "" => path.to_owned(),
        note => format!("{path}?note={}", encoded(note)),
    }
}

fn changed(refused: Refused) -> Refused {
    match refused.status {
        412 => Refused::new(
            409,
            "changed_meanwhile",
            "Somebody else changed this entry point while you were at it.",
            "Open the page again, and apply your change to what is there now.",
        ),
        _ => refused,
    }
}

async fn save(desk: Desk, Path((channel, address)): Path<(String, String)>, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let patch = json!({"inbox": form.optional("inbox"), "sla_minutes": form.number("sla_minutes")});
    let path = with_note(&path(&channel, &address), &form);
    match desk.send_if(Method::PATCH, &path, Some(&patch), form.text("was")).await {
        Ok(answer) => Ok(page::done(&page_of(&channel, &address), &came_of(&answer, "Saved."))),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => {
            let faults =
                Faults::of(&changed(refused), "entry_points", &format!("{channel}/{address}"), &FIELDS);
            drawn(&desk, (&channel, &address), Some((&form, faults))).await
        }
    }
}

async fn arm(desk: Desk, Path((channel, address)): Path<(String, String)>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let armed = form.text("armed") == "yes";
    let named = json!({"entry_points": [format!("{channel}/{address}")], "armed": armed});
    let path = with_note("/api/v1/entry-points/arm", &form);
    let done = if armed { "It is armed: contacts are let in." } else { "It is disarmed." };
    answered(&page_of(&channel, &address), desk.send(Method::POST, &path, Some(&named)).await, done)
}

async fn delete(desk: Desk, Path((channel, address)): Path<(String, String)>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let came = desk.send_if(Method::DELETE, &path(&channel, &address), None, form.text("was")).await;
    let to = if came.is_ok() { section(&channel) } else { page_of(&channel, &address) };
    answered(&to, came, "Its settings are forgotten: it follows the channel's default.")
}

fn answered(to: &str, came: Result<Value, Refused>, done: &str) -> Response {
    match came {
        Ok(answer) => page::done(to, &came_of(&answer, done)),
        Err(refused) if refused.status == 403 => refused.into_response(),
        Err(refused) => page::not_done(to, &told(changed(refused))),
    }
}
