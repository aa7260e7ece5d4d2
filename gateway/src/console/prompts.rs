//! The library of prompts: what callers hear. Listened to in the browser, uploaded or spoken from a text, renamed, and
//! removed once nothing uses them.

mod one;

use askama::Template;
use axum::{
    Router,
    body::Body,
    extract::{Path, Query},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Console, Refused,
    ask::{Desk, Shown, answered},
    page,
    shell::{Section, Shell},
    upload::{Picked, Upload},
    uses::Use,
    words::{self, encoded},
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/ivrs/prompts", get(list).post(add))
        .route("/console/ivrs/prompts/{id}/audio", get(hear))
        .merge(one::routes())
}

/// Rows of a page: what uses each is asked for one by one.
const ROWS: usize = 50;

/// Uses that a row names.
const USES_SHOWN: usize = 3;

/// A prompt as the API tells it.
#[derive(Clone, Debug, Deserialize)]
struct Prompt {
    id: String,
    source: String,
    text: Option<String>,
    voice: Option<String>,
    duration_ms: Option<u64>,
    status: String,
    #[serde(default)]
    used_by: Vec<Use>,
}

impl Prompt {
    fn is_builtin(&self) -> bool {
        self.status == "builtin"
    }

    fn is_text(&self) -> bool {
        self.source == "text"
    }

    /// Where it comes from, for people.
    fn source_words(&self) -> &'static str {
        match self.source.as_str() {
            "recording" => "Recording",
            "text" => "Spoken text",
            _ => "Built in",
        }
    }

    /// The state as people read it, and its tone.
    fn state(&self) -> (&'static str, &'static str) {
        match self.status.as_str() {
            "published" => ("published", "good"),
            "changed" => ("edited in the draft", "draft"),
            "draft" => ("not published yet", "draft"),
            "removed" => ("removed in the draft", "bad"),
            _ => ("built in", "plain"),
        }
    }

    /// Whether callers hear it already.
    fn is_heard(&self) -> bool {
        self.status != "draft"
    }

    /// Whether the draft has another sound than callers hear.
    fn is_drafted(&self) -> bool {
        matches!(self.status.as_str(), "draft" | "changed")
    }

    fn lasts(&self) -> String {
        self.duration_ms.map_or_else(|| "–".to_owned(), |ms| words::duration_ms(ms.into()))
    }

    fn href(&self) -> String {
        format!("/console/ivrs/prompts/{}", encoded(&self.id))
    }

    /// Where it is heard: as callers hear it, or as the draft has it when they do not yet.
    fn audio(&self) -> String {
        let draft = if self.is_heard() { "" } else { "?draft=true" };
        format!("{}/audio{draft}", self.href())
    }

    fn first_uses(&self) -> &[Use] {
        self.used_by.get(..USES_SHOWN).unwrap_or(&self.used_by)
    }

    fn more_uses(&self) -> usize {
        self.used_by.len().saturating_sub(USES_SHOWN)
    }
}

#[derive(Deserialize)]
struct Prompts {
    prompts: Vec<Prompt>,
}

/// What is looked for, as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Sought {
    text: String,
    after: String,
}

/// What was written into the form for a new one, when that was refused.
#[derive(Clone, Debug, Default)]
struct Typed {
    id: String,
    text: String,
    voice: String,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "prompts/list.html")]
struct ListPage {
    shell: Shell,
    sought: Sought,
    rows: Vec<Prompt>,
    builtins: Vec<Prompt>,
    further: Option<String>,
    typed: Typed,
    may_edit: bool,
}

async fn list(desk: Desk, Query(sought): Query<Sought>) -> Shown {
    drawn(&desk, sought, Typed::default()).await
}

async fn drawn(desk: &Desk, sought: Sought, typed: Typed) -> Shown {
    let Prompts { prompts } = desk.get("/api/v1/prompts?builtin=true").await?;
    let text = sought.text.trim().to_lowercase();
    let found = prompts.into_iter().filter(|prompt| prompt.id.to_lowercase().contains(&text));
    let (builtins, own): (Vec<Prompt>, Vec<Prompt>) = found.partition(Prompt::is_builtin);
    let mut rows: Vec<Prompt> = own.into_iter().filter(|one| one.id > sought.after).take(ROWS + 1).collect();
    let further = (rows.len() > ROWS).then(|| {
        rows.truncate(ROWS);
        let last = rows.last().map_or("", |prompt| prompt.id.as_str());
        format!("/console/ivrs/prompts?text={}&after={}", encoded(&text), encoded(last))
    });
    for row in &mut rows {
        if let Some(known) = desk.find::<Prompt>(&path(&row.id)).await? {
            row.used_by = known.used_by;
        }
    }
    let status = if typed.fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(ListPage {
        shell: desk.shell(Some(Section::Ivrs), "Prompts").await?,
        sought,
        rows,
        builtins,
        further,
        typed,
        may_edit: desk.may(Permission::RoutingEdit),
    });
    Ok((status, page).into_response())
}

fn path(id: &str) -> String {
    format!("/api/v1/prompts/{}", encoded(id))
}

/// Whether it is heard as the draft has it.
#[derive(Deserialize)]
struct HearQuery {
    #[serde(default)]
    draft: bool,
}

async fn hear(
    desk: Desk,
    Path(id): Path<String>,
    Query(HearQuery { draft }): Query<HearQuery>,
    headers: HeaderMap,
) -> Response {
    let path = format!("{}/audio?draft={draft}", path(&id));
    desk.pass_through(Method::GET, &path, &headers, Body::empty()).await
}

async fn add(desk: Desk, Upload { form, file }: Upload) -> Shown {
    let id = form.trimmed("id").to_owned();
    let (text, voice) = (form.trimmed("text").to_owned(), form.trimmed("voice").to_owned());
    let came = match desk.draft_object("prompts", &id).await {
        _ if id.is_empty() => Err(Refused::new(422, "no_name", "The prompt has no name.", "Give it one.")),
        Ok(Some(_)) => {
            let detail = format!("There is a prompt {id} already.");
            Err(Refused::new(409, "prompt_exists", detail, "Choose another name, or change it on its page."))
        }
        Ok(None) => sound(&desk, &id, file, (&text, &voice)).await,
        Err(refused) => Err(refused),
    };
    match came {
        Ok(()) => Ok(page::done(
            &format!("/console/ivrs/prompts/{}?saved=1", encoded(&id)),
            "It is in the draft. Callers hear it once an IVR uses it and the draft is published.",
        )),
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => {
            let typed = Typed { id, text, voice, fault: Some(said(&refused)) };
            drawn(&desk, Sought::default(), typed).await
        }
    }
}

/// What is wrong, with the first finding when there is one.
fn said(refused: &Refused) -> String {
    let finding = refused.more.pointer("/diagnostics/0/sentence").and_then(|sentence| sentence.as_str());
    match finding.filter(|finding| !refused.detail.contains(finding)) {
        Some(finding) => format!("{finding}. {}", refused.remedy),
        None => refused.sentence(),
    }
}

/// Gives a prompt its sound in the draft: the file when one was chosen, else the text.
async fn sound(
    desk: &Desk,
    id: &str,
    file: Option<Picked>,
    (text, voice): (&str, &str),
) -> Result<(), Refused> {
    if let Some(file) = file {
        let path = format!("{}/recording", path(id));
        let response = desk.pass_through(Method::PUT, &path, &HeaderMap::new(), Body::from(file.bytes)).await;
        return answered(response).await.map(drop);
    }
    if text.is_empty() {
        let detail = "There is neither a recording nor a text.";
        return Err(Refused::new(422, "no_sound", detail, "Choose a file, or write what is to be said."));
    }
    let mut document = json!({"text": text});
    if !voice.is_empty() {
        document["voice"] = voice.into();
    }
    let was = desk.draft_object("prompts", id).await?.map_or_else(String::new, |object| object.was);
    desk.put_draft("prompts", id, &document, &was).await
}
