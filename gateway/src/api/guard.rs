//! What stands before the handlers: the key, the limits of a body, and the count of answers.

use std::time::Instant;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use hyper::body::Body as _;
use tokio::sync::OwnedSemaphorePermit;

use super::{AppState, chat, problem::Problem, prompts, webhooks};
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

/// Reads the body here, once, within a size and a time, so that no handler waits for a slow sender. Strangers
/// never have more than the small size read.
pub(super) async fn limit_body(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let limits = state.limits;
    let provider = request.uri().path().strip_prefix(webhooks::PREFIX).map(|id| state.providers.get(id));
    let (bytes_max, remedy) = if let Some(provider) = provider {
        if provider.is_some_and(|provider| provider.kind.is_mail()) {
            (limits.mail_webhook_bytes_max, "Raise http.mail_webhook_bytes_max, or have smaller mails sent.")
        } else {
            (
                limits.webhook_bytes_max,
                "Raise http.webhook_bytes_max, or have the provider send less at once.",
            )
        }
    } else if !has_key(&state, &request) {
        // Nothing that a stranger may ask for has a body.
        (STRANGER_BYTES_MAX, "Send a key: nothing that can be asked for without one has a body.")
    } else if prompts::is_upload(request.uri().path()) {
        (prompts::UPLOAD_BYTES_MAX, "Upload a shorter recording, or send it whole.")
    } else if puts_document(&request) {
        (limits.document_bytes_max, "Send it whole, or raise http.document_bytes_max.")
    } else {
        (limits.body_bytes_max, "Split the request, send it whole, or raise http.body_bytes_max.")
    };
    let _place = match large_body(&state, &request, bytes_max) {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    let Ok(read) = tokio::time::timeout(limits.body, to_bytes(body, bytes_max)).await else {
        return Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("The body did not come within {} seconds.", limits.body.as_secs()),
            "Send the body at once, or raise http.body_seconds.",
        )
        .into_response();
    };
    match read {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        Err(_) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("The body is longer than {bytes_max} bytes, or broke off."),
            remedy,
        )
        .into_response(),
    }
}

/// A place for a body of a webhook that may be large, while it is read; small ones need none.
fn large_body(
    state: &AppState,
    request: &Request,
    bytes_max: usize,
) -> Result<Option<OwnedSemaphorePermit>, Problem> {
    let is_webhook = request.uri().path().starts_with(webhooks::PREFIX);
    let at_most = request.body().size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    let small = at_most.unwrap_or(usize::MAX).min(bytes_max) <= state.limits.webhook_bytes_max;
    if !is_webhook || small {
        return Ok(None);
    }
    state.large_bodies.clone().try_acquire_owned().map(Some).map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_large_bodies",
            "As many large mails are coming in as may at once.",
            "Send it again in a moment.",
        )
    })
}

/// Longest body read of a request without a key: small change, so that its answer is 401 and not a broken line.
const STRANGER_BYTES_MAX: usize = 16 << 10;

/// Whether the body may be a whole routing document.
fn puts_document(request: &Request) -> bool {
    let path = request.uri().path();
    request.method() != Method::GET && path.starts_with("/api/v1/routing/")
}

/// Counts answers and times them.
pub(super) async fn measure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let waits = path.starts_with("/api/v1/events")
        || (path.starts_with("/api/v1/conversations/") && path.ends_with("/live"))
        || (path.starts_with(chat::PREFIX) && path.ends_with(chat::WAITING));
    let begun = Instant::now();
    let response = next.run(request).await;
    state.metrics.api.responses.of(StatusClass::of(response.status().as_u16())).inc();
    if !waits {
        state.metrics.api.request_seconds.observe(begun.elapsed().as_secs_f64());
    }
    response
}
