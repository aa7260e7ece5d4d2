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
use crate::acting;

mod draft;
mod impact;
mod ivrs;
pub(super) mod numbers;
mod requests;
mod revisions;
mod section;

pub(super) use draft::{Note, PublishedView, merge};
pub(super) use requests::Came;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    draft::routes()
        .merge(impact::routes())
        .merge(ivrs::routes())
        .merge(requests::routes())
        .merge(revisions::routes())
        .merge(section::routes())
        .merge(numbers::routes())
}

/// Runs what may wait for the disk where waiting is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Arc<Store>) -> Result<T, StoreError> + Send + 'static,
) -> ApiResult<T> {
    let store = state.store.clone();
    match crate::blocking::blocking(acting::carried(move || work(&store))).await {
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

/// Whether the client wants YAML.
pub(super) fn wants_yaml(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|value| value.contains("yaml"))
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
            StoreError::IdentityChanged { .. } => Self::new(
                StatusCode::CONFLICT,
                "identity_changed",
                detail,
                "Read it again, and send the change again.",
            ),
            StoreError::ObjectChanged { found, .. } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "object_changed",
                detail,
                "Read it again, apply your change to it, and send its new ETag.",
            )
            .with(json!({ "revision": found })),
            StoreError::AwaitsSecond(request) => Self::new(
                StatusCode::CONFLICT,
                "awaits_second_person",
                detail,
                "Have somebody else approve it: it stands in the console under Revisions.",
            )
            .with(json!({ "request": request })),
            StoreError::SamePerson(_) => Self::new(
                StatusCode::FORBIDDEN,
                "second_person_needed",
                detail,
                "Have somebody else decide; take it back if it is not wanted any more.",
            ),
            StoreError::NoRevision(_) => {
                Self::new(StatusCode::NOT_FOUND, "no_such_revision", detail, "List the revisions to find it.")
            }
            error => {
                let (status, code, remedy) = of_record(&error);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    tracing::error!(error = %detail, "the configuration store failed a request");
                }
                Self::new(status, code, detail, remedy)
            }
        }
    }
}

/// What a refusal is about records, or a failure of the store, is called, and what to do about it.
fn of_record(error: &StoreError) -> (StatusCode, &'static str, &'static str) {
    match error {
        StoreError::RecordingsFull { .. } => (
            StatusCode::INSUFFICIENT_STORAGE,
            "recordings_full",
            "Raise routing.recordings_bytes_max, or wait until recordings that nothing names are removed.",
        ),
        StoreError::NoNumber(_) => (StatusCode::NOT_FOUND, "no_such_number", "List the numbers to find it."),
        StoreError::NumberExists(_) => (StatusCode::CONFLICT, "number_exists", "Change the number instead."),
        StoreError::NoRecord { .. } => {
            (StatusCode::NOT_FOUND, "no_such_record", "List the records to find it.")
        }
        StoreError::RecordExists { .. } => {
            (StatusCode::CONFLICT, "record_exists", "Change that one instead.")
        }
        StoreError::InTheWay(_) => {
            (StatusCode::CONFLICT, "in_the_way", "Wait until that is done, and try again.")
        }
        StoreError::Sealed(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "secrets_sealed",
            "Put the key that it was sealed with back into master-key in the data folder, or set the secrets anew.",
        ),
        StoreError::NoMailRecord(_) => (
            StatusCode::NOT_FOUND,
            "no_such_mail_record",
            "List the mail domains or mailboxes to find it, or add it; a mailbox needs its domain first.",
        ),
        StoreError::MailRecordExists(_) => (StatusCode::CONFLICT, "mail_record_exists", "Read it instead."),
        StoreError::MailDomainUsed(_) => {
            (StatusCode::CONFLICT, "mail_domain_used", "Remove its mailboxes first.")
        }
        StoreError::NotPossible(_) => {
            (StatusCode::CONFLICT, "not_possible", "Read the number's state first.")
        }
        StoreError::Interrupted => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Report it with the gateway's log.")
        }
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "Try again in a moment; if it stays, look at the gateway's log and its disk.",
        ),
    }
}
