//! Routing over the API: the draft, revisions, simulation, numbers.
//!
//! Documents are edited in one shared draft; its version is the `ETag`, and `If-Match` keeps two editors
//! from overwriting each other. Findings of the compiler come in the `more` of a problem document.

use std::sync::Arc;

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use vestibule_config::store::{Store, StoreError};

use super::{
    AppState,
    problem::{ApiResult, Problem},
};

mod draft;
mod numbers;
mod revisions;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    draft::routes().merge(revisions::routes()).merge(numbers::routes())
}

/// Runs what may wait for the disk where waiting is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Arc<Store>) -> Result<T, StoreError> + Send + 'static,
) -> ApiResult<T> {
    let store = state.store.clone();
    match tokio::task::spawn_blocking(move || work(&store)).await {
        Ok(result) => result.map_err(Problem::from),
        Err(_) => Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The request met a fault in the gateway.",
            "Report it with the gateway's log.",
        )),
    }
}

/// The draft's version that the client says it read.
pub(super) fn if_match(headers: &HeaderMap) -> ApiResult<Option<u64>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    version.map(Some).ok_or_else(|| Problem::bad_request("`If-Match` is no ETag of the draft."))
}

/// An answer that carries the draft's version.
pub(super) fn tagged(version: u64, response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Invalid(diagnostics) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "routing_invalid",
                detail,
                "Correct what the diagnostics name.",
            )
            .with(json!({ "diagnostics": diagnostics })),
            StoreError::VersionMismatch { found, .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "draft_changed",
                detail,
                "Read the draft again, apply your edit to it, and send its new ETag.",
            )
            .with(json!({ "version": found })),
            StoreError::NoRevision(_) => {
                Self::new(StatusCode::NOT_FOUND, "no_such_revision", detail, "List the revisions to find it.")
            }
            StoreError::RecordingsFull { .. } => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "recordings_full",
                detail,
                "Raise routing.recordings_bytes_max, or wait until recordings that nothing names are removed.",
            ),
            StoreError::NoNumber(_) => {
                Self::new(StatusCode::NOT_FOUND, "no_such_number", detail, "List the numbers to find it.")
            }
            StoreError::NumberExists(_) => {
                Self::new(StatusCode::CONFLICT, "number_exists", detail, "Change the number instead.")
            }
            StoreError::NotPossible(_) => {
                Self::new(StatusCode::CONFLICT, "not_possible", detail, "Read the number's state first.")
            }
            StoreError::Database(_) | StoreError::File { .. } | StoreError::TooNew { .. } => {
                tracing::error!(error = %detail, "the configuration store failed a request");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "store_unavailable",
                    detail,
                    "Try again in a moment; if it stays, look at the gateway's log and its disk.",
                )
            }
        }
    }
}
