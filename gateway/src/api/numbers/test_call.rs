//! The test call at the end of a set-up: a window is opened, and told of as the call goes.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{Event as SseEvent, KeepAlive, Sse},
};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_routing::address::E164;

use super::number_in;
use crate::{
    api::{
        AppState,
        extract::{Json, Path},
        problem::{ApiResult, Problem},
    },
    numbers::test_call::{TestCall, TestCallState},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(open_test_call, read_test_call, close_test_call))
        .routes(routes!(stream_test_call))
}

/// How long a call is waited for.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToTest {
    /// Seconds, 30 to 600; 120 when it is not said.
    #[serde(default = "two_minutes")]
    #[schema(minimum = 30, maximum = 600, default = 120)]
    seconds: u64,
}

fn two_minutes() -> u64 {
    120
}

/// Wait for the next call to a number, and watch it. A window that was open for the number is closed.
#[utoipa::path(post, path = "/api/v1/numbers/{number}/test-call", tag = "numbers", request_body = ToTest,
    security(("key" = ["numbers.edit"])),
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 201, description = "Call the number now.", body = TestCall),
        (status = 400, description = "`seconds` is out of range.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The number is not ours.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many windows are open.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn open_test_call(
    State(state): State<AppState>,
    Path(number): Path<String>,
    Json(ToTest { seconds }): Json<ToTest>,
) -> ApiResult<(StatusCode, axum::Json<TestCall>)> {
    let number = number_in(&number)?;
    if !(30..=600).contains(&seconds) {
        return Err(Problem::bad_request(format!("`seconds` is {seconds}, not 30 to 600.")));
    }
    state.numbers.record(number).await?;
    let opened = state.test_calls.open(number, Duration::from_secs(seconds)).await;
    opened.map(|call| (StatusCode::CREATED, axum::Json(call))).ok_or_else(|| {
        let detail = "As many test calls are watched as may at once.";
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_test_calls",
            detail,
            "Try again in a few minutes.",
        )
    })
}

/// Read how a test call is getting on.
#[utoipa::path(get, path = "/api/v1/numbers/{number}/test-call", tag = "numbers",
    security(("key" = ["numbers.read"])),
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "How far it is.", body = TestCall),
        (status = 404, description = "None is watched.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_test_call(
    State(state): State<AppState>,
    Path(number): Path<String>,
) -> ApiResult<axum::Json<TestCall>> {
    let window = state.test_calls.window(number_in(&number)?).ok_or_else(no_test_call)?;
    let call = window.borrow().clone();
    Ok(axum::Json(call))
}

/// Wait for no call any more.
#[utoipa::path(delete, path = "/api/v1/numbers/{number}/test-call", tag = "numbers",
    security(("key" = ["numbers.edit"])),
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 204, description = "The window is closed."),
        (status = 404, description = "None is watched.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn close_test_call(State(state): State<AppState>, Path(number): Path<String>) -> ApiResult<StatusCode> {
    let number: E164 = number_in(&number)?;
    if state.test_calls.close(number) { Ok(StatusCode::NO_CONTENT) } else { Err(no_test_call()) }
}

/// Follow a test call as Server-Sent Events: `test_call` with each change, until it has ended.
#[utoipa::path(get, path = "/api/v1/numbers/{number}/test-call/stream", tag = "numbers",
    security(("key" = ["numbers.read"])),
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream"),
        (status = 404, description = "None is watched.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn stream_test_call(
    State(state): State<AppState>,
    Path(number): Path<String>,
) -> ApiResult<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>> {
    let window = state.test_calls.window(number_in(&number)?).ok_or_else(no_test_call)?;
    let readiness = state.readiness.clone();
    let changes = stream::unfold((window, readiness, true), |(mut window, readiness, first)| async move {
        if !first {
            let over = matches!(window.borrow().state, TestCallState::Ended | TestCallState::Expired);
            if over {
                return None;
            }
            tokio::select! {
                changed = window.changed() => changed.ok()?,
                () = readiness.stopping() => return None,
            }
        }
        let json = serde_json::to_string(&*window.borrow_and_update()).ok()?;
        Some((Ok(SseEvent::default().event("test_call").data(json)), (window, readiness, false)))
    });
    Ok(Sse::new(changes).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

fn no_test_call() -> Problem {
    let detail = "No test call of this number is watched.";
    Problem::new(StatusCode::NOT_FOUND, "no_test_call", detail, "Open one by a POST to the same path.")
}
