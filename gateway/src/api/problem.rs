//! Errors towards clients: RFC 9457 problem documents with a stable code and a remedy.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::journal::JournalError;

/// A problem document.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// A URI reference that names the kind of problem: `/problems/` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in a few words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    pub detail: String,
    /// The stable code to switch on.
    pub code: &'static str,
    /// What to do about it.
    pub remedy: String,
    /// Anything more, by the code: for example diagnostics of a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub more: Option<Box<serde_json::Value>>,
}

/// A handler's result.
pub type ApiResult<T> = Result<T, Problem>;

impl Problem {
    /// A problem with everything that a client needs to understand it.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            kind: format!("/problems/{code}"),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            remedy: remedy.into(),
            more: None,
        }
    }

    /// Adds something for the machine.
    #[must_use]
    pub fn with(mut self, more: serde_json::Value) -> Self {
        self.more = Some(Box::new(more));
        self
    }

    /// Something in the request cannot be read or is out of range.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        let remedy = "Correct the request; /api/v1/openapi.json describes it.";
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail, remedy)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"vestibule\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        let detail = error.to_string();
        match error {
            JournalError::CursorMoved { current, .. } => Self::new(
                StatusCode::CONFLICT,
                "cursor_moved",
                detail,
                "Read the cursor again: another instance of this consumer has moved it.",
            )
            .with(serde_json::json!({ "cursor": current })),
            JournalError::CursorAhead { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "cursor_ahead",
                detail,
                "Use the `next` of a page that was read from this gateway; after a restore from a backup, start again.",
            ),
            JournalError::LeaseHeld { until, cursor, .. } => Self::new(
                StatusCode::CONFLICT,
                "lease_held",
                detail,
                "Try again at its end; its holder sends the lease's `epoch`.",
            )
            .with(serde_json::json!({ "expires": until, "cursor": cursor })),
            JournalError::LeaseLost => Self::new(
                StatusCode::CONFLICT,
                "lease_lost",
                detail,
                "Drop what you have read and not stored: another one reads now. Ask for a lease without `epoch` to read again.",
            ),
            JournalError::NoSuchConsumer => Self::new(
                StatusCode::NOT_FOUND,
                "no_such_consumer",
                detail,
                "`GET /api/v1/consumers` has their names.",
            ),
            JournalError::TooManyConsumers { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "too_many_consumers",
                detail,
                "Reuse a consumer's name instead of making a new one for each run.",
            ),
            _ => {
                tracing::error!(error = &error as &dyn std::error::Error, "the journal failed a request");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "journal_unavailable",
                    detail,
                    "Try again in a moment; if it stays, look at the gateway's log, its disk and /readyz.",
                )
            }
        }
    }
}

/// The answer for a path that nothing serves.
pub(super) async fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "Nothing is served at this path.",
        "/api/v1/openapi.json lists the paths.",
    )
}

/// The answer for a path that is served by other methods.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This path is not served by this method.",
        "/api/v1/openapi.json lists the methods of each path.",
    )
}
