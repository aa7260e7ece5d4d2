//! The draft: read, put whole, edit by object, validate, publish.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    document::{self, Key, Kind},
    store::{Published, StoreError},
};

use super::{Came, blocking, if_match, tagged};
use crate::api::{
    AppState,
    extract::{Actor, Json, Path},
    problem::{ApiResult, Problem},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(read_draft, put_draft, discard_draft))
        .routes(routes!(list_changes))
        .routes(routes!(read_object, put_object, patch_object, delete_object))
        .routes(routes!(validate_routing))
        .routes(routes!(publish_draft))
}

/// Why something is published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Note {
    /// 1 to 500 characters.
    pub(in crate::api) note: String,
}

/// What was published.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct PublishedView {
    /// The new revision.
    #[schema(value_type = Object)]
    revision: vestibule_config::store::Revision,
    /// Findings that did not stop it.
    #[schema(value_type = Vec<Object>)]
    warnings: Vec<vestibule_config::diagnostic::Diagnostic>,
}

impl From<Published> for PublishedView {
    fn from(published: Published) -> Self {
        Self { revision: published.revision, warnings: published.warnings }
    }
}

/// Read the document that publishing the draft would make active; YAML when `Accept` asks for it.
#[utoipa::path(get, path = "/api/v1/routing/draft", security(("key" = ["routing.read"])), tag = "routing", responses(
    (status = 200, description = "The whole document; its version is the ETag.", body = Object),
))]
async fn read_draft(State(state): State<AppState>, headers: HeaderMap) -> ApiResult<Response> {
    let (version, raw) = blocking(&state, |store| store.draft_document()).await?;
    let wants_yaml = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("yaml"));
    if wants_yaml {
        let kind = [(header::CONTENT_TYPE, "application/yaml")];
        return Ok(tagged(version, (kind, document::to_yaml(&raw))));
    }
    Ok(tagged(version, axum::Json(document::to_value(&raw))))
}

/// Put a whole document, YAML or JSON, into the draft; what it lacks is removed.
#[utoipa::path(put, path = "/api/v1/routing/draft", security(("key" = ["routing.edit"])), tag = "routing",
    request_body(content = String, content_type = "application/yaml"),
    responses(
        (status = 204, description = "Done; the new version is the ETag."),
        (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The document has faults.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_draft(State(state): State<AppState>, headers: HeaderMap, body: String) -> ApiResult<Response> {
    let expected = if_match(&headers)?;
    let version = blocking(&state, move |store| {
        let raw = document::parse(&body).map_err(StoreError::Invalid)?;
        store.edit_all(&raw, expected)
    })
    .await?;
    Ok(tagged(version, StatusCode::NO_CONTENT))
}

/// Forget all edits.
#[utoipa::path(delete, path = "/api/v1/routing/draft", security(("key" = ["routing.edit"])), tag = "routing", responses(
    (status = 204, description = "Done; the new version is the ETag."),
    (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
))]
async fn discard_draft(State(state): State<AppState>, headers: HeaderMap) -> ApiResult<Response> {
    let expected = if_match(&headers)?;
    let version = blocking(&state, move |store| store.discard_draft(expected)).await?;
    Ok(tagged(version, StatusCode::NO_CONTENT))
}

/// List the draft's edits.
#[utoipa::path(get, path = "/api/v1/routing/draft/changes", security(("key" = ["routing.read"])), tag = "routing", responses(
    (status = 200, description = "Every edited object with its new `body`, null when it is removed, and its `active` one, null when there is none.", body = Object),
))]
async fn list_changes(State(state): State<AppState>) -> ApiResult<Response> {
    let (draft, active) = blocking(&state, |store| store.draft_beside_active()).await?;
    let change = |(key, body)| json!({"key": key, "body": body, "active": active.get(key)});
    let changes: Vec<Value> = draft.changes.iter().map(change).collect();
    Ok(tagged(draft.version, axum::Json(json!({"version": draft.version, "changes": changes}))))
}

/// Read one object as the draft has it.
#[utoipa::path(get, path = "/api/v1/routing/draft/{section}/{id}", security(("key" = ["routing.read"])), tag = "routing",
    params(
        ("section" = String, Path, description = "`inboxes`, `numbers`, `entry_points`, `ivrs` …"),
        ("id" = String, Path, description = "The object's name, percent-encoded: `voice%2F%2B14155550100`"),
    ),
    responses(
        (status = 200, description = "The object; the draft's version is the ETag.", body = Object),
        (status = 404, description = "No such object.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_object(
    State(state): State<AppState>,
    Path((section, id)): Path<(String, String)>,
) -> ApiResult<Response> {
    let key = key(&section, id)?;
    let (version, body) = blocking(&state, move |store| store.draft_object(&key)).await?;
    body.map(|body| tagged(version, axum::Json(body))).ok_or_else(no_object)
}

/// Put one object into the draft.
#[utoipa::path(put, path = "/api/v1/routing/draft/{section}/{id}", security(("key" = ["routing.edit"])), tag = "routing",
    params(("section" = String, Path, description = "The section"), ("id" = String, Path, description = "The object's name")),
    request_body = Object,
    responses(
        (status = 204, description = "Done; the new version is the ETag."),
        (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The object has faults.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_object(
    State(state): State<AppState>,
    Path((section, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> ApiResult<Response> {
    let (key, expected) = (key(&section, id)?, if_match(&headers)?);
    let version = blocking(&state, move |store| store.edit(&key, Some(&body), expected)).await?;
    Ok(tagged(version, StatusCode::NO_CONTENT))
}

/// Change some fields of one object in the draft (JSON merge patch, RFC 7396).
#[utoipa::path(patch, path = "/api/v1/routing/draft/{section}/{id}", security(("key" = ["routing.edit"])), tag = "routing",
    params(("section" = String, Path, description = "The section"), ("id" = String, Path, description = "The object's name")),
    request_body = Object,
    responses(
        (status = 204, description = "Done; the new version is the ETag."),
        (status = 404, description = "No such object.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The object has faults.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn patch_object(
    State(state): State<AppState>,
    Path((section, id)): Path<(String, String)>,
    headers: HeaderMap,
    Json(patch): Json<Value>,
) -> ApiResult<Response> {
    let (key, expected) = (key(&section, id)?, if_match(&headers)?);
    let version = blocking(&state, move |store| {
        let (read, body) = store.draft_object(&key)?;
        let Some(mut body) = body else { return Ok(None) };
        merge(&mut body, patch);
        // The version that was read: an edit in between must not be lost.
        store.edit(&key, Some(&body), Some(expected.unwrap_or(read))).map(Some)
    })
    .await?;
    version.map(|version| tagged(version, StatusCode::NO_CONTENT)).ok_or_else(no_object)
}

/// Remove one object in the draft.
#[utoipa::path(delete, path = "/api/v1/routing/draft/{section}/{id}", security(("key" = ["routing.edit"])), tag = "routing",
    params(("section" = String, Path, description = "The section"), ("id" = String, Path, description = "The object's name")),
    responses(
        (status = 204, description = "Done; the new version is the ETag."),
        (status = 404, description = "No such object.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete_object(
    State(state): State<AppState>,
    Path((section, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (key, expected) = (key(&section, id)?, if_match(&headers)?);
    let version = blocking(&state, move |store| {
        let (_, body) = store.draft_object(&key)?;
        body.map(|_| store.edit(&key, None, expected)).transpose()
    })
    .await?;
    version.map(|version| tagged(version, StatusCode::NO_CONTENT)).ok_or_else(no_object)
}

/// Say what publishing would say: of the draft, or of a document in the body.
#[utoipa::path(post, path = "/api/v1/routing/validate", security(("key" = ["routing.read"])), tag = "routing",
    request_body(content = String, content_type = "application/yaml"),
    responses((status = 200, description = "`publishable`, and the findings.", body = Object))
)]
async fn validate_routing(State(state): State<AppState>, body: String) -> ApiResult<Response> {
    let findings = blocking(&state, move |store| {
        if body.trim().is_empty() { store.validate() } else { store.validate_document(&body) }
    })
    .await?;
    let publishable = !findings.iter().any(vestibule_config::diagnostic::Diagnostic::is_error);
    Ok(axum::Json(json!({"publishable": publishable, "diagnostics": findings})).into_response())
}

/// Publish the draft as a new revision; live calls keep the one they began with.
#[utoipa::path(post, path = "/api/v1/routing/publish", security(("key" = ["routing.publish"])), tag = "routing", request_body = Note, responses(
    (status = 201, description = "The new revision is active.", body = PublishedView),
    (status = 202, description = "It waits for a second person, as `request`; `routing.publish_needs_second` is on.", body = Object),
    (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The draft has errors; nothing was changed.", body = Problem, content_type = "application/problem+json"),
))]
async fn publish_draft(
    State(state): State<AppState>,
    Actor(author): Actor,
    headers: HeaderMap,
    Json(Note { note }): Json<Note>,
) -> ApiResult<Response> {
    let expected = if_match(&headers)?;
    let came = blocking(&state, move |store| Came::of(store.publish(&author, &note, expected))).await?;
    Ok(came.into_response())
}

pub(super) fn key(section: &str, id: String) -> ApiResult<Key> {
    let kind = Kind::parse(section).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_section",
            format!("There is no section {section}."),
            "Use inboxes, numbers, entry_points, ivrs, calendars, lists, prompts, trunks, tests, channels or settings.",
        )
    })?;
    Ok(Key::new(kind, id))
}

fn no_object() -> Problem {
    let detail = "The draft has no object of this name.";
    Problem::new(StatusCode::NOT_FOUND, "no_such_object", detail, "Read the draft to find it.")
}

/// RFC 7396 §2.
pub(in crate::api) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    if let Value::Object(fields) = target {
        for (name, value) in patch {
            if value.is_null() {
                fields.remove(&name);
            } else {
                merge(fields.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}
