//! What stands before the handlers: the key, the limits of a body, and the count of answers.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{AppState, problem::Problem, prompts};
use crate::telemetry::StatusClass;

/// Lets a request with a key of ours through.
pub(super) async fn need_key(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if has_key(&state, &request) {
        return next.run(request).await;
    }
    refused(&state).into_response()
}

/// The answer to a request without a key of ours.
pub(super) fn refused(state: &AppState) -> Problem {
    state.metrics.api.unauthorised.inc();
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "key_needed",
        "This path needs an API key, and the request has none that is known.",
        "Send `Authorization: Bearer vk_…`; the first start wrote a key to api-key in the data folder.",
    )
}

/// Whether the request carries a key of ours.
pub(super) fn has_key(state: &AppState, request: &Request) -> bool {
    let text = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, secret)) = text.and_then(|text| text.split_once(' ')) else { return false };
    scheme.eq_ignore_ascii_case("bearer") && state.keys.check(secret.trim()).is_some()
}

/// Reads the body here, once, within a size and a time, so that no handler waits for a slow sender.
pub(super) async fn limit_body(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (bytes_max, time) = if prompts::is_upload(parts.uri.path()) {
        (prompts::UPLOAD_BYTES_MAX, UPLOAD_TIMEOUT)
    } else {
        (BODY_BYTES_MAX, BODY_TIMEOUT)
    };
    let Ok(read) = tokio::time::timeout(time, to_bytes(body, bytes_max)).await else {
        return Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("The body did not come within {} seconds.", time.as_secs()),
            "Send the body at once.",
        )
        .into_response();
    };
    match read {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(_) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("The body is longer than {} MiB, or broke off.", bytes_max >> 20),
            "Split the request, or send it whole.",
        )
        .into_response(),
    }
}

/// Counts answers and times them.
pub(super) async fn measure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let waits = request.uri().path().starts_with("/api/v1/events");
    let begun = Instant::now();
    let response = next.run(request).await;
    state.metrics.api.responses.of(StatusClass::of(response.status().as_u16())).inc();
    if !waits {
        state.metrics.api.request_seconds.observe(begun.elapsed().as_secs_f64());
    }
    response
}

/// A routing document of many IVRs fits; uploads of sound have a path of their own.
const BODY_BYTES_MAX: usize = 16 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest upload over a slow line.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);
