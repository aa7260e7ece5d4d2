//! One prompt: heard, given another sound or name, or removed.

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

use super::{Prompt, path, said, sound};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        form::{Faults, Form},
        page,
        shell::{Section, Shell},
        upload::Upload,
        uses::Use,
        words::{encoded, waits},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/ivrs/prompts/{id}", get(show))
        .route("/console/ivrs/prompts/{id}/recording", post(record))
        .route("/console/ivrs/prompts/{id}/text", post(speak))
        .route("/console/ivrs/prompts/{id}/rename", post(rename))
        .route("/console/ivrs/prompts/{id}/delete", post(delete))
}

/// What a refused form had in it.
#[derive(Clone, Debug, Default)]
struct Typed {
    text: Option<String>,
    to: String,
    fault: Option<String>,
    /// What stands in the way of removing it.
    in_the_way: Vec<Use>,
}

#[derive(Template)]
#[template(path = "prompts/one.html")]
struct OnePage {
    shell: Shell,
    one: Prompt,
    faults: Faults,
    typed: Typed,
    text: String,
    may_edit: bool,
    may_publish: bool,
}

impl OnePage {
    fn draft_audio(&self) -> String {
        format!("{}/audio?draft=true", self.one.href())
    }
}

/// Whether the page is shown after it was saved: then it says what stands against a publish.
#[derive(Default, Deserialize)]
struct Asked {
    saved: Option<String>,
}

async fn show(desk: Desk, Path(id): Path<String>, Query(asked): Query<Asked>) -> Shown {
    drawn(&desk, &id, asked.saved.is_some(), Typed::default()).await
}

async fn drawn(desk: &Desk, id: &str, saved: bool, typed: Typed) -> Shown {
    let one: Prompt = desk.get(&path(id)).await?;
    let faults = match saved {
        true => desk.findings("prompts", id, &["file", "text", "voice"]).await?,
        false => Faults::default(),
    };
    let status = if typed.fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(OnePage {
        shell: desk.shell(Some(Section::Ivrs), one.id.clone()).await?,
        text: typed.text.clone().or_else(|| one.text.clone()).unwrap_or_default(),
        one,
        faults,
        typed,
        may_edit: desk.may(Permission::RoutingEdit),
        may_publish: desk.may(Permission::RoutingPublish),
    });
    Ok((status, page).into_response())
}

fn page_of(id: &str) -> String {
    format!("/console/ivrs/prompts/{}", encoded(id))
}

/// On to the page when it is done; else the page with what was typed.
async fn after(desk: &Desk, id: &str, came: Result<(), Refused>, done: &str, typed: Typed) -> Shown {
    match came {
        Ok(()) => Ok(page::done(&format!("{}?saved=1", page_of(id)), done)),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => drawn(desk, id, false, Typed { fault: Some(said(&refused)), ..typed }).await,
    }
}

const IN_THE_DRAFT: &str = "It has another sound in the draft. Callers hear it once the draft is published.";

async fn record(desk: Desk, Path(id): Path<String>, Upload { file, .. }: Upload) -> Shown {
    let came = sound(&desk, &id, file, ("", "")).await;
    after(&desk, &id, came, IN_THE_DRAFT, Typed::default()).await
}

async fn speak(desk: Desk, Path(id): Path<String>, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let text = form.trimmed("text");
    let came = sound(&desk, &id, None, (text, form.trimmed("voice"))).await;
    after(&desk, &id, came, IN_THE_DRAFT, Typed { text: Some(text.to_owned()), ..Typed::default() }).await
}

async fn rename(desk: Desk, Path(id): Path<String>, body: Bytes) -> Shown {
    let to = Form::read(&body).trimmed("to").to_owned();
    let came = desk.send(Method::POST, &format!("{}/rename", path(&id)), Some(&json!({"to": to}))).await;
    match came {
        Ok(answer) => match waits(&answer) {
            Some(waits) => Ok(page::done(&page_of(&id), &waits)),
            None => Ok(page::done(&page_of(&to), "It has its new name wherever it is used, at once.")),
        },
        Err(refused) => {
            let typed = Typed { to, ..Typed::default() };
            after(&desk, &id, Err(refused), "", typed).await
        }
    }
}

/// Removes a prompt that callers could hear at once, and one that only the draft has from the draft.
async fn delete(desk: Desk, Path(id): Path<String>) -> Result<Response, Refused> {
    let one: Prompt = desk.get(&path(&id)).await?;
    let came = match one.is_heard() {
        true => desk.send(Method::DELETE, &path(&id), None).await.map(|answer| waits(&answer)),
        false => {
            let was = desk.draft_object("prompts", &id).await?.map_or_else(String::new, |object| object.was);
            desk.remove_draft("prompts", &id, &was).await.map(|()| None)
        }
    };
    let refused = match came {
        Ok(waits) => {
            let said = waits.as_deref().unwrap_or("The prompt is removed.");
            return Ok(page::done("/console/ivrs/prompts", said));
        }
        Err(refused) => refused,
    };
    let used = refused.more.get("used_by").cloned().unwrap_or_default();
    let typed = Typed { in_the_way: serde_json::from_value(used).unwrap_or_default(), ..Typed::default() };
    after(&desk, &id, Err(refused), "", typed).await
}
