//! Revisions: list, read, compare, restore; and what would happen to a call under one.

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    document::{self, TestDoc},
    store::GUARD,
};
use vestibule_routing::simulate::simulate;

use super::{
    Came, blocking,
    draft::{Note, PublishedView},
};
use crate::api::{
    AppState,
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(active_routing))
        .routes(routes!(list_revisions))
        .routes(routes!(read_revision))
        .routes(routes!(restore_revision))
        .routes(routes!(compare_revisions))
        .routes(routes!(simulate_call))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RevisionsQuery {
    /// Revisions below this number: the `next` of the page before.
    before: Option<u64>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CompareQuery {
    /// The one revision.
    from: u64,
    /// The other.
    to: u64,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SimulateQuery {
    /// The revision; the active one when absent.
    revision: Option<u64>,
}

/// Say which revision is active, how much it routes, how many edits of the draft are not published, and what the guard took back.
#[utoipa::path(get, path = "/api/v1/routing", security(("key" = ["routing.read"])), tag = "routing", responses(
    (status = 200, description = "The active revision and its counts.", body = Object),
))]
async fn active_routing(State(state): State<AppState>) -> ApiResult<axum::Json<Value>> {
    let (draft_changes, newest) =
        blocking(&state, |store| Ok((store.draft_size()?, store.revisions(None, 1)?))).await?;
    // Told until somebody has published again.
    let taken_back =
        newest.first().filter(|revision| revision.author == GUARD).map(|revision| &revision.note);
    let active = state.store.active().load();
    Ok(axum::Json(json!({
        "draft_changes": draft_changes,
        "taken_back": taken_back,
        "revision": active.revision,
        "numbers": active.plan.numbers.len(),
        "entry_points": active.plan.entry_points.len(),
        "inboxes": active.plan.inboxes.len(),
        "ivrs": active.plan.ivrs.len(),
        "trunks": active.trunks.iter().count(),
    })))
}

/// List revisions, newest first.
#[utoipa::path(get, path = "/api/v1/routing/revisions", security(("key" = ["routing.read"])), tag = "routing", params(RevisionsQuery), responses(
    (status = 200, description = "A page of revisions; `next` is absent at the end.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_revisions(
    State(state): State<AppState>,
    Query(RevisionsQuery { before, limit }): Query<RevisionsQuery>,
) -> ApiResult<axum::Json<Value>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let revisions = blocking(&state, move |store| store.revisions(before, limit)).await?;
    let next = revisions.last().map(|revision| revision.number).filter(|number| *number > 1);
    Ok(axum::Json(json!({"revisions": revisions, "next": next})))
}

/// Read the document of a revision; YAML when `Accept` asks for it.
#[utoipa::path(get, path = "/api/v1/routing/revisions/{number}", security(("key" = ["routing.read"])), tag = "routing",
    params(("number" = u64, Path, description = "The revision")),
    responses(
        (status = 200, description = "The document.", body = Object),
        (status = 404, description = "No such revision.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_revision(
    State(state): State<AppState>,
    Path(number): Path<u64>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let raw = blocking(&state, move |store| store.document_at(number)).await?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("yaml") {
        return Ok(([(header::CONTENT_TYPE, "application/yaml")], document::to_yaml(&raw)).into_response());
    }
    Ok(axum::Json(document::to_value(&raw)).into_response())
}

/// Restore a revision as a new one.
#[utoipa::path(post, path = "/api/v1/routing/revisions/{number}/restore", security(("key" = ["routing.publish"])), tag = "routing",
    params(("number" = u64, Path, description = "The revision to restore")),
    request_body = Note,
    responses(
        (status = 201, description = "The new revision is active.", body = PublishedView),
        (status = 202, description = "It waits for a second person, as `request`.", body = Object),
        (status = 404, description = "No such revision.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be restored; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn restore_revision(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(number): Path<u64>,
    Json(Note { note }): Json<Note>,
) -> ApiResult<Response> {
    let came = blocking(&state, move |store| Came::of(store.roll_back(number, &author, &note))).await?;
    Ok(came.into_response())
}

/// Compare two revisions, object by object.
#[utoipa::path(get, path = "/api/v1/routing/diff", security(("key" = ["routing.read"])), tag = "routing", params(CompareQuery), responses(
    (status = 200, description = "Objects that differ, with both bodies.", body = Object),
    (status = 404, description = "No such revision.", body = Problem, content_type = "application/problem+json"),
))]
async fn compare_revisions(
    State(state): State<AppState>,
    Query(CompareQuery { from, to }): Query<CompareQuery>,
) -> ApiResult<axum::Json<Value>> {
    let differences = blocking(&state, move |store| store.diff(from, to)).await?;
    Ok(axum::Json(json!({"from": from, "to": to, "differences": differences})))
}

/// Say step by step what would happen to a call: `{"to": "+1…", "from": "+1…", "at": "…", "keys": {"7": "2"}}`.
#[utoipa::path(post, path = "/api/v1/routing/simulate", security(("key" = ["routing.read"])), tag = "routing", params(SimulateQuery),
    request_body = Object,
    responses(
        (status = 200, description = "The steps, where it ended up, and how it ended.", body = Object),
        (status = 400, description = "The call cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such revision.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn simulate_call(
    State(state): State<AppState>,
    Query(SimulateQuery { revision }): Query<SimulateQuery>,
    Json(mut call): Json<Value>,
) -> ApiResult<axum::Json<Value>> {
    if let Value::Object(fields) = &mut call {
        fields.entry("at").or_insert_with(|| jiff::Timestamp::now().to_string().into());
    }
    let call: TestDoc =
        serde_json::from_value(call).map_err(|error| Problem::bad_request(error.to_string()))?;
    let script = call.script("simulated").map_err(Problem::bad_request)?;
    let result = blocking(&state, move |store| {
        let plan = match revision {
            Some(revision) => store.routing_at(revision)?.plan,
            None => store.active().load().plan.clone(),
        };
        Ok((plan.revision, simulate(plan, &script)))
    })
    .await?;
    Ok(axum::Json(json!({"revision": result.0, "simulation": result.1})))
}

fn fifty() -> u32 {
    50
}
