//! One contact: what happened in plain words, its journey, its SIP as a ladder, its recordings.

use askama::Template;
use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, Method, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Contact, Names,
    journey::{self, Step},
    ladder::{Ladder, Message},
};
use crate::console::{
    Console,
    ask::{Desk, Shown},
    page,
    shell::{Section, Shell},
    words::{self, encoded},
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/contacts/{id}", get(show))
        .route("/console/contacts/{id}/pcap", get(download_pcap))
        .route("/console/contacts/{id}/recordings/{file}", get(play))
}

#[derive(Deserialize)]
struct Detail {
    #[serde(flatten)]
    contact: Contact,
    #[serde(default)]
    trace: Value,
}

#[derive(Deserialize)]
struct Sip {
    messages: Vec<Message>,
}

/// A recording as the API tells it.
#[derive(Deserialize)]
struct Recording {
    file: String,
    bytes: u64,
    kind: String,
}

impl Recording {
    fn size(&self) -> String {
        words::bytes(self.bytes)
    }

    fn path(&self) -> String {
        encoded(&self.file)
    }
}

#[derive(Deserialize)]
struct Recordings {
    recordings: Vec<Recording>,
}

#[derive(Template)]
#[template(path = "contact.html")]
struct ContactPage {
    shell: Shell,
    contact: Contact,
    names: Names,
    summary: Vec<String>,
    steps: Vec<Step>,
    said: Vec<journey::Said>,
    conversation: Option<String>,
    events: Vec<journey::Event>,
    ladder: Ladder,
    recordings: Vec<Recording>,
    doing: (&'static str, String, u32),
    may: Powers,
}

/// What the one who looks may do with it.
struct Powers {
    call_control: bool,
    compliance: bool,
}

#[derive(Deserialize)]
struct Events {
    events: Vec<journey::Event>,
}

async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let path = format!("/api/v1/contacts/{}", encoded(&id));
    let Detail { contact, trace } = desk.get(&path).await?;
    let names = super::names(&desk).await?;
    let events =
        desk.find::<Events>(&format!("{path}/events")).await?.map_or_else(Vec::new, |page| page.events);
    let messages = match contact.is_voice() {
        true => desk.find::<Sip>(&format!("{path}/sip")).await?.map_or_else(Vec::new, |sip| sip.messages),
        false => Vec::new(),
    };
    let recordings = desk.find::<Recordings>(&format!("{path}/recordings")).await?;
    let who = contact.who().to_owned();
    Ok(page::shown(ContactPage {
        shell: desk.shell(Some(Section::Contacts), who).await?,
        summary: journey::summary(&contact, &events, &names),
        said: if contact.is_voice() { Vec::new() } else { journey::said(&events) },
        conversation: journey::conversation(&events),
        steps: journey::steps(&contact, &trace, &names),
        events,
        ladder: Ladder::drawn(messages),
        recordings: recordings.map_or_else(Vec::new, |list| list.recordings),
        doing: contact.doing(&names),
        may: Powers {
            call_control: desk.may(Permission::ContactsControl),
            compliance: desk.may(Permission::RecordingsDelete),
        },
        contact,
        names,
    }))
}

/// The SIP of a contact as a file for Wireshark.
async fn download_pcap(desk: Desk, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let path = format!("/api/v1/contacts/{}/pcap", encoded(&id));
    through(&desk, &path, &headers).await
}

/// A recording, also a part of it: players ask for ranges.
async fn play(desk: Desk, Path((id, file)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let path = format!("/api/v1/contacts/{}/recordings/{}", encoded(&id), encoded(&file));
    let mut response = through(&desk, &path, &headers).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

/// Something of the API as it is; what the API refuses is drawn as a page.
async fn through(desk: &Desk, path: &str, headers: &HeaderMap) -> Response {
    let response = desk.pass_through(Method::GET, path, headers, Body::empty()).await;
    if response.status().is_success() || response.status().is_redirection() || response.status() == 416 {
        return response;
    }
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap_or_default();
    let refused = serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        crate::console::Refused::new(status, "refused", "This cannot be fetched.", "Try again in a moment.")
    });
    refused.into_response()
}
