//! Publishing by two people: what waits for the second one, and what he says.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::store::{Decider, PublishRequest, Published, StoreError};

use super::{PublishedView, blocking};
use crate::{
    api::{
        AppState,
        extract::{Json, Path, Query},
        problem::{ApiResult, Problem},
    },
    identity::{Caller, CallerKind},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_publish_requests))
        .routes(routes!(read_publish_request))
        .routes(routes!(approve_publish))
        .routes(routes!(refuse_publish))
        .routes(routes!(withdraw_publish))
}

/// What came of a publish.
#[derive(Debug)]
pub(in crate::api) enum Came {
    /// It is active.
    Published(Published),
    /// It waits for a second person.
    Requested(PublishRequest),
}

impl Came {
    /// Sorts what the store says.
    pub(in crate::api) fn of(result: Result<Published, StoreError>) -> Result<Self, StoreError> {
        match result {
            Ok(published) => Ok(Self::Published(published)),
            Err(StoreError::AwaitsSecond(request)) => Ok(Self::Requested(*request)),
            Err(error) => Err(error),
        }
    }
}

impl IntoResponse for Came {
    fn into_response(self) -> Response {
        match self {
            Self::Published(published) => {
                (StatusCode::CREATED, axum::Json(PublishedView::from(published))).into_response()
            }
            Self::Requested(request) => {
                (StatusCode::ACCEPTED, axum::Json(json!({ "request": request }))).into_response()
            }
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RequestsQuery {
    /// Only those that wait.
    #[serde(default)]
    #[param(default = false)]
    open: bool,
    /// Requests below this number: the `next` of the page before.
    before: Option<u64>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

/// List what somebody wanted to publish while `routing.publish_needs_second` is on, the newest first.
#[utoipa::path(get, path = "/api/v1/routing/publish-requests", security(("key" = ["routing.read"])), tag = "routing", params(RequestsQuery), responses(
    (status = 200, description = "A page of requests; `next` is null at the end; `needed` says whether a publish needs a second person.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_publish_requests(
    State(state): State<AppState>,
    Query(RequestsQuery { open, before, limit }): Query<RequestsQuery>,
) -> ApiResult<axum::Json<Value>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let requests = blocking(&state, move |store| store.publish_requests(open, before, limit)).await?;
    let full = u32::try_from(requests.len()).is_ok_and(|count| count == limit);
    let next = requests.last().filter(|_| full).map(|request| request.id);
    Ok(axum::Json(json!({"requests": requests, "next": next, "needed": state.store.needs_second()})))
}

/// Read a request to publish, with every object that it changes beside what is published now.
#[utoipa::path(get, path = "/api/v1/routing/publish-requests/{id}", security(("key" = ["routing.read"])), tag = "routing",
    params(("id" = u64, Path, description = "The request")),
    responses(
        (status = 200, description = "The request, and `objects`: up to 200 and 256 KiB, with `key`, `before` and `after`; `left_out`: how many more it changes.", body = Object),
        (status = 400, description = "This is no number.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such request.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_publish_request(
    State(state): State<AppState>,
    Path(id): Path<u64>,
) -> ApiResult<axum::Json<Value>> {
    let (request, objects) = blocking(&state, move |store| store.publish_request(id)).await?;
    let shown = objects.as_array().map_or(0, |objects| u64::try_from(objects.len()).unwrap_or(u64::MAX));
    let left_out = request.changes.saturating_sub(shown);
    Ok(axum::Json(json!({"request": request, "objects": objects, "left_out": left_out})))
}

/// Approve a request: it is published now. Only somebody who is signed in does that, and not who asked, by whatever key.
#[utoipa::path(post, path = "/api/v1/routing/publish-requests/{id}/approve", security(("key" = ["routing.publish"])), tag = "routing",
    params(("id" = u64, Path, description = "The request")),
    responses(
        (status = 201, description = "It is active as a new revision.", body = PublishedView),
        (status = 400, description = "This is no number.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "A key asks, or the person who asked for it.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such request.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is decided already.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It collides with what was published since, or has errors by now; it waits on.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn approve_publish(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<u64>,
) -> ApiResult<Response> {
    let (name, person) = person(&state, &caller)?;
    let published =
        blocking(&state, move |store| store.approve_publish(id, Decider { name: &name, person: &person }))
            .await?;
    Ok(Came::Published(published).into_response())
}

/// Why something is refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Refusal {
    /// Why; 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

/// Refuse a request, and say why.
#[utoipa::path(post, path = "/api/v1/routing/publish-requests/{id}/refuse", security(("key" = ["routing.publish"])), tag = "routing",
    params(("id" = u64, Path, description = "The request")), request_body = Refusal,
    responses(
        (status = 200, description = "The request.", body = Object),
        (status = 400, description = "The request cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "A key asks, or the person who asked for it: he takes it back.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such request.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is decided already.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn refuse_publish(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<u64>,
    Json(Refusal { reason }): Json<Refusal>,
) -> ApiResult<axum::Json<Value>> {
    let reason = reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::bad_request("`reason` is 1 to 500 characters."));
    }
    let (name, person) = person(&state, &caller)?;
    let request = blocking(&state, move |store| {
        store.refuse_publish(id, Decider { name: &name, person: &person }, &reason)
    })
    .await?;
    Ok(axum::Json(json!({ "request": request })))
}

/// Take a request back that one has made.
#[utoipa::path(post, path = "/api/v1/routing/publish-requests/{id}/withdraw", security(("key" = ["routing.publish"])), tag = "routing",
    params(("id" = u64, Path, description = "The request")),
    responses(
        (status = 200, description = "The request.", body = Object),
        (status = 400, description = "This is no number.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such request.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is decided already, or somebody else asked for it.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn withdraw_publish(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<u64>,
) -> ApiResult<axum::Json<Value>> {
    let (name, person) = (caller.name.clone(), state.identity.person(&caller));
    let request =
        blocking(&state, move |store| store.withdraw_publish(id, Decider { name: &name, person: &person }))
            .await?;
    Ok(axum::Json(json!({ "request": request })))
}

/// Who decides: somebody who is signed in. A key proves no second person.
fn person(state: &AppState, caller: &Caller) -> ApiResult<(String, String)> {
    if matches!(caller.kind, CallerKind::User { .. }) {
        return Ok((caller.name.clone(), state.identity.person(caller)));
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "person_needed",
        "A person decides about a publish, not a key.",
        "Sign in to the console, and decide there.",
    ))
}

fn fifty() -> u32 {
    50
}

const REASON_CHARS_MAX: usize = 500;
