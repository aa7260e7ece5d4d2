//! Consumers that are told of events by webhook: how they answer, what was given up, and sending it again.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_routing::id::ConsumerId;

use super::{
    AppState,
    extract::{Path, Query},
    problem::{ApiResult, Problem},
};
use crate::deliveries::cursor_name;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_webhook_consumers))
        .routes(routes!(list_undelivered))
        .routes(routes!(replay_undelivered))
        .routes(routes!(try_webhook_consumer))
}

/// A consumer of the active routing.
#[derive(Debug, Serialize, ToSchema)]
struct ConsumerView {
    /// Its id.
    id: String,
    /// `answers`, `fails`, or `gone` when it said 410: nothing is sent until its document changes.
    state: &'static str,
    /// Failures since the last success.
    failures: u32,
    /// Why the last one failed.
    error: Option<String>,
    /// When it last took something.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_success: Option<Timestamp>,
    /// The sequence up to which it was told, but for what is undelivered.
    cursor: Option<u64>,
    /// Deliveries that will be tried again.
    waiting: usize,
    /// Deliveries that were given up.
    given_up: usize,
}

/// All of them.
#[derive(Debug, Serialize, ToSchema)]
struct ConsumerList {
    /// By their ids.
    consumers: Vec<ConsumerView>,
}

/// List the consumers that are told of events by webhook, and how they answer.
#[utoipa::path(get, path = "/api/v1/webhook-consumers", security(("key" = ["deliveries.read"])), tag = "events", responses(
    (status = 200, description = "All of them.", body = ConsumerList),
))]
async fn list_webhook_consumers(State(state): State<AppState>) -> ApiResult<axum::Json<ConsumerList>> {
    let mut consumers = Vec::new();
    for id in state.deliveries.ids() {
        let Some(known) = state.deliveries.known(id.as_str()) else { continue };
        let rows = state.journal.reader().outbox(cursor_name(&id)).await?;
        let given_up = rows.iter().filter(|row| row.dead).count();
        let reach = known.reach();
        consumers.push(ConsumerView {
            state: match (reach.gone, reach.error.is_some()) {
                (true, _) => "gone",
                (false, true) => "fails",
                (false, false) => "answers",
            },
            failures: reach.failures,
            error: reach.error,
            last_success: reach.last_success,
            cursor: state.journal.reader().cursor(cursor_name(&id)).await?,
            waiting: rows.len() - given_up,
            given_up,
            id: id.to_string(),
        });
    }
    Ok(axum::Json(ConsumerList { consumers }))
}

/// A delivery that did not succeed yet.
#[derive(Debug, Serialize, ToSchema)]
struct UndeliveredView {
    /// The event's sequence in the feed.
    sequence: u64,
    /// The contact it is about; empty when it is about none.
    subject: String,
    /// Attempts so far; 0 when it waits behind another of its contact or conversation.
    attempts: u8,
    /// The next attempt is not made before.
    #[schema(value_type = String, format = DateTime)]
    due: Timestamp,
    /// Why the last attempt failed.
    error: String,
    /// Given up: it is not tried again by itself.
    given_up: bool,
}

/// What is undelivered.
#[derive(Debug, Serialize, ToSchema)]
struct UndeliveredList {
    /// The oldest first, at most 1000.
    undelivered: Vec<UndeliveredView>,
}

/// List what a consumer does not have yet: waiting for another attempt, or given up after a day.
#[utoipa::path(get, path = "/api/v1/webhook-consumers/{id}/undelivered", security(("key" = ["deliveries.read"])), tag = "events",
    params(("id" = String, Path, description = "The consumer's id")),
    responses(
        (status = 200, description = "The oldest first.", body = UndeliveredList),
        (status = 404, description = "No such consumer.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_undelivered(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<UndeliveredList>> {
    let id = known(&state, &id)?;
    let rows = state.journal.reader().outbox(cursor_name(&id)).await?;
    let undelivered = rows.into_iter().take(1000).map(|row| UndeliveredView {
        sequence: row.seq,
        subject: row.subject,
        attempts: row.attempts,
        due: row.due,
        error: row.error,
        given_up: row.dead,
    });
    Ok(axum::Json(UndeliveredList { undelivered: undelivered.collect() }))
}

/// What is to be sent again.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Replay {
    /// One event, by its sequence; all that were given up when absent.
    sequence: Option<u64>,
}

/// How much is sent again.
#[derive(Debug, Serialize, ToSchema)]
struct Replayed {
    /// Deliveries that will be tried at once.
    replayed: usize,
}

/// Send what was given up again.
#[utoipa::path(post, path = "/api/v1/webhook-consumers/{id}/replay", security(("key" = ["deliveries.manage"])), tag = "events",
    params(("id" = String, Path, description = "The consumer's id"), Replay),
    responses(
        (status = 202, description = "It is tried at once.", body = Replayed),
        (status = 404, description = "No such consumer.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn replay_undelivered(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(Replay { sequence }): Query<Replay>,
) -> ApiResult<(StatusCode, axum::Json<Replayed>)> {
    let id = known(&state, &id)?;
    let replayed = state.deliveries.replay(&id, sequence).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(Replayed { replayed })))
}

/// Send a consumer an event of type `test`, signed like any other.
#[utoipa::path(post, path = "/api/v1/webhook-consumers/{id}/test", security(("key" = ["deliveries.manage"])), tag = "events",
    params(("id" = String, Path, description = "The consumer's id")),
    responses(
        (status = 204, description = "It was taken."),
        (status = 404, description = "No such consumer.", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "It was not taken.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn try_webhook_consumer(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let id = known(&state, &id)?;
    let active = state.store.active().load();
    let doc = active.consumers.get(&id).ok_or_else(no_such_consumer)?;
    state.deliveries.test(doc).await.map(|()| StatusCode::NO_CONTENT).map_err(|error| {
        Problem::new(
            StatusCode::BAD_GATEWAY,
            "not_delivered",
            format!("The consumer did not take it: {error}."),
            "Look at its address, at its secret, and at its own log.",
        )
    })
}

fn known(state: &AppState, id: &str) -> ApiResult<ConsumerId> {
    state.deliveries.known(id).map(|_| ConsumerId::from(id)).ok_or_else(no_such_consumer)
}

fn no_such_consumer() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_consumer",
        "The active routing has no consumer of this id.",
        "Add it to the section `consumers` of the routing document, and publish.",
    )
}
