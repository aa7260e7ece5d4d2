//! The library of prompts: which there are, how long they are, hearing, renaming and removing them.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    compile::{BUILTINS, PromptSource},
    document::{Key, Kind, PromptDoc},
    store::StoreError,
};
use vestibule_routing::id::PromptId;

use crate::api::{
    AppState,
    acts::{How, act},
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
    routing::blocking,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_prompts))
        .routes(routes!(read_prompt, delete_prompt))
        .routes(routes!(hear_prompt))
        .routes(routes!(rename_prompt))
}

/// A prompt.
#[derive(Debug, Serialize, ToSchema)]
struct PromptView {
    /// Its name; built-in ones begin with `builtin:`.
    id: String,
    /// `recording`, `text` or `builtin`.
    source: &'static str,
    /// The recording's hash.
    sha256: Option<String>,
    /// What is spoken.
    text: Option<String>,
    /// The voice.
    voice: Option<String>,
    /// Its length, when callers hear it already.
    duration_ms: Option<u64>,
    /// `published`, `changed`, `draft`, `removed`, or `builtin`.
    status: &'static str,
}

/// All prompts.
#[derive(Debug, Serialize, ToSchema)]
struct PromptList {
    /// By their names; those that ship with the gateway last.
    prompts: Vec<PromptView>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Also those that ship with the gateway.
    #[serde(default)]
    builtin: bool,
}

/// A prompt's new name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewName {
    /// Letters, digits, `_`, `-` and `.`, at most 64.
    to: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HearQuery {
    /// As the draft has it; a text may take a while to be spoken.
    #[serde(default)]
    draft: bool,
}

/// List prompts with their sources and lengths.
#[utoipa::path(get, path = "/api/v1/prompts", security(("key" = ["routing.read"])), tag = "prompts", params(ListQuery), responses(
    (status = 200, description = "All prompts.", body = PromptList),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_prompts(
    State(state): State<AppState>,
    Query(ListQuery { builtin }): Query<ListQuery>,
) -> ApiResult<axum::Json<PromptList>> {
    let (live, draft) = blocking(&state, |store| {
        Ok::<_, StoreError>((store.live_section(Kind::Prompts)?, store.draft()?.changes))
    })
    .await?;
    let edits: BTreeMap<String, Option<Value>> = draft
        .into_iter()
        .filter(|(key, _)| key.kind == Kind::Prompts)
        .map(|(key, body)| (key.id, body))
        .collect();
    let ids: BTreeSet<&String> = live.keys().chain(edits.keys()).collect();
    let mut prompts = Vec::with_capacity(ids.len());
    for id in ids {
        let published = live.get(id).and_then(|live| live.body.as_ref());
        let status = match (published, edits.get(id)) {
            (_, Some(None)) => "removed",
            (None, _) => "draft",
            (Some(published), Some(Some(edit))) if edit != published => "changed",
            _ => "published",
        };
        let body = edits.get(id).and_then(Option::as_ref).or(published);
        prompts.push(view(&state, id, body, status));
    }
    if builtin {
        let id = |name: &&str| format!("builtin:{name}");
        prompts.extend(
            BUILTINS.iter().map(|name| view(&state, &id(name), Some(&json!({"builtin": name})), "builtin")),
        );
    }
    Ok(axum::Json(PromptList { prompts }))
}

/// Read one prompt with what uses it.
#[utoipa::path(get, path = "/api/v1/prompts/{id}", security(("key" = ["routing.read"])), tag = "prompts",
    params(("id" = String, Path, description = "The prompt's name")),
    responses(
        (status = 200, description = "The prompt as the draft has it, and under `used_by` what uses it.", body = Object),
        (status = 404, description = "No such prompt.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_prompt(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<axum::Json<Value>> {
    let key = Key::new(Kind::Prompts, id.clone());
    let (live, edited, used) = blocking(&state, move |store| {
        Ok::<_, StoreError>((store.live(&key)?.body, store.draft_object(&key)?.1, store.usage(&key)?))
    })
    .await?;
    let status = match (&live, &edited) {
        (None, None) => return Err(no_prompt()),
        (None, Some(_)) => "draft",
        (Some(_), None) => "removed",
        (Some(live), Some(edited)) if live != edited => "changed",
        _ => "published",
    };
    let view = view(&state, &id, edited.as_ref().or(live.as_ref()), status);
    let mut value = serde_json::to_value(view).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("used_by".to_owned(), json!(used));
    }
    Ok(axum::Json(value))
}

/// Hear a prompt: WAV of 16 bits, 8 kHz, one channel. Built-in ones are named `builtin:welcome`.
#[utoipa::path(get, path = "/api/v1/prompts/{id}/audio", security(("key" = ["routing.read"])), tag = "prompts",
    params(("id" = String, Path, description = "The prompt's name"), HearQuery),
    responses(
        (status = 200, description = "The sound.", body = Vec<u8>, content_type = "audio/wav"),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such prompt.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Its sound cannot be made.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn hear_prompt(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(HearQuery { draft }): Query<HearQuery>,
) -> ApiResult<Response> {
    let key = Key::new(Kind::Prompts, id.clone());
    let active = state.store.active().load().prompts.clone();
    let sounds = state.sounds.clone();
    let wav = blocking(&state, move |store| {
        let source = if draft {
            store.draft_object(&key)?.1.as_ref().and_then(source_of)
        } else {
            active.get(&PromptId::new(id)).cloned()
        };
        Ok::<_, StoreError>(source.map(|source| sounds.wav(&source)))
    })
    .await?;
    let wav = wav.ok_or_else(no_prompt)?.map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "no_sound",
            format!("The sound of this prompt cannot be made: {error}."),
            "Correct the text or the voice, see that the speech command runs, or upload a recording.",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, "audio/wav")], wav).into_response())
}

/// Give a prompt another name, everywhere at once.
#[utoipa::path(post, path = "/api/v1/prompts/{id}/rename", security(("key" = ["routing.publish"])), tag = "prompts",
    params(("id" = String, Path, description = "The prompt's name"), How), request_body = NewName,
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "The request cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such prompt is published.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There is a prompt of the new name.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn rename_prompt(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(id): Path<String>,
    Query(how): Query<How>,
    Json(NewName { to }): Json<NewName>,
) -> ApiResult<axum::Json<Value>> {
    let (from, next) = (Key::new(Kind::Prompts, id.clone()), Key::new(Kind::Prompts, to.clone()));
    let (asked, taken) = (from.clone(), next.clone());
    let (live, other, used) = blocking(&state, move |store| {
        Ok::<_, StoreError>((store.live(&asked)?.body, store.live(&taken)?.body, store.usage(&asked)?))
    })
    .await?;
    let body = live.ok_or_else(no_prompt)?;
    if other.is_some() {
        let detail = format!("There is a prompt {to} already.");
        return Err(Problem::new(StatusCode::CONFLICT, "prompt_exists", detail, "Choose another name."));
    }
    let users: BTreeSet<Key> = used
        .iter()
        .filter_map(|usage| Some(Key::new(Kind::parse(usage.section)?, usage.id.clone())))
        .collect();
    let note = format!("Prompt {id} is called {to} now");
    let done = act(&state, author, (how, note), move |reader| {
        let mut changes = BTreeMap::from([(from.clone(), None), (next.clone(), Some(body.clone()))]);
        for user in &users {
            let Some(mut body) = reader.live(user)?.body else { continue };
            rename_in(&mut body, &id, &to);
            changes.insert(user.clone(), Some(body));
        }
        // A place that was missed names a prompt that is gone: the publish is refused then.
        Ok(changes)
    })
    .await?;
    Ok(axum::Json(json!({ "done": done.value() })))
}

/// Remove a prompt that nothing uses.
#[utoipa::path(delete, path = "/api/v1/prompts/{id}", security(("key" = ["routing.publish"])), tag = "prompts",
    params(("id" = String, Path, description = "The prompt's name"), How),
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such prompt is published.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is used; the `more` says by what.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete_prompt(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(id): Path<String>,
    Query(how): Query<How>,
) -> ApiResult<axum::Json<Value>> {
    let key = Key::new(Kind::Prompts, id.clone());
    let asked = key.clone();
    let (live, used) =
        blocking(&state, move |store| Ok::<_, StoreError>((store.live(&asked)?.body, store.usage(&asked)?)))
            .await?;
    live.ok_or_else(no_prompt)?;
    if !used.is_empty() {
        let detail = format!("{} places use the prompt {id}.", used.len());
        let remedy = "First change what uses it.";
        return Err(
            Problem::new(StatusCode::CONFLICT, "still_used", detail, remedy).with(json!({ "used_by": used }))
        );
    }
    let note = format!("Prompt {id} removed");
    let done = act(&state, author, (how, note), move |_| Ok(BTreeMap::from([(key.clone(), None)]))).await?;
    Ok(axum::Json(json!({ "done": done.value() })))
}

fn view(state: &AppState, id: &str, body: Option<&Value>, status: &'static str) -> PromptView {
    let doc: Option<PromptDoc> = body.and_then(|body| serde_json::from_value(body.clone()).ok());
    let doc = doc.unwrap_or(PromptDoc { file: None, text: None, voice: None, builtin: None });
    let active = &state.store.active().load().prompts;
    let heard = active.get(&PromptId::new(id)).is_some();
    let sound = heard.then(|| state.sounds.of(active).get(&PromptId::new(id))).flatten();
    PromptView {
        id: id.to_owned(),
        source: match (&doc.file, &doc.text) {
            (Some(_), _) => "recording",
            (_, Some(_)) => "text",
            _ => "builtin",
        },
        sha256: doc.file,
        text: doc.text,
        voice: doc.voice,
        duration_ms: sound.map(|sound| sound.duration_ms()),
        status,
    }
}

/// Where the sound of a prompt's body comes from; none for one that is not sound.
fn source_of(body: &Value) -> Option<PromptSource> {
    let doc: PromptDoc = serde_json::from_value(body.clone()).ok()?;
    match (doc.file, doc.text, doc.builtin) {
        (Some(sha256), None, None) => {
            vestibule_config::store::is_sha256(&sha256).then_some(PromptSource::File { sha256 })
        }
        (None, Some(text), None) => Some(PromptSource::Text { text, voice: doc.voice }),
        (None, None, Some(name)) => {
            BUILTINS.iter().copied().find(|builtin| *builtin == name).map(PromptSource::Builtin)
        }
        _ => None,
    }
}

/// Writes another name wherever a prompt is named.
fn rename_in(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if names_prompt(name) && value == from {
                    *value = to.into();
                } else {
                    rename_in(value, from, to);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| rename_in(value, from, to)),
        _ => {}
    }
}

/// Whether a field of a document names a prompt.
fn names_prompt(field: &str) -> bool {
    let whole = ["prompt", "greeting", "queue_music", "hold_music", "music", "prompt_then_hang_up"];
    whole.contains(&field) || field.ends_with("_prompt")
}

fn no_prompt() -> Problem {
    let detail = "There is no prompt of this name.";
    Problem::new(StatusCode::NOT_FOUND, "no_such_prompt", detail, "List the prompts to find it.")
}
