//! Callers who are to be called back.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::Path,
    problem::{ApiResult, Problem},
};
use crate::journal::CallbackRow;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_callbacks)).routes(routes!(cancel_callback))
}

/// A callback that is still to be made.
#[derive(Debug, Serialize, ToSchema)]
struct CallbackView {
    /// Its id, `cb_…`.
    id: String,
    /// The contact that asked for it.
    contact: String,
    /// The number to call.
    number: String,
    /// The number of ours that was called.
    company_number: String,
    /// The inbox it waits in.
    inbox: String,
    /// Since when it counts as waiting: the place in the queue.
    #[schema(value_type = String, format = DateTime)]
    waits_since: Timestamp,
    /// When it is given up.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
    /// Attempts so far.
    attempts: u8,
    /// Attempts that are left.
    attempts_left: u8,
    /// The next attempt is not made before.
    #[schema(value_type = String, format = DateTime)]
    not_before: Timestamp,
}

/// All callbacks that are still to be made.
#[derive(Debug, Serialize, ToSchema)]
struct CallbackList {
    /// In the order of their places.
    callbacks: Vec<CallbackView>,
}

impl From<CallbackRow> for CallbackView {
    fn from(row: CallbackRow) -> Self {
        Self {
            id: row.id,
            contact: row.contact.to_string(),
            number: row.number,
            company_number: row.company,
            inbox: row.inbox.to_string(),
            waits_since: row.since,
            expires: row.expires,
            attempts: row.attempts,
            attempts_left: row.attempts_left,
            not_before: row.not_before,
        }
    }
}

/// List the callbacks that are still to be made.
#[utoipa::path(get, path = "/api/v1/callbacks", security(("key" = ["contacts.read"])), tag = "callbacks", responses(
    (status = 200, description = "All of them, in the order of their places.", body = CallbackList),
))]
async fn list_callbacks(State(state): State<AppState>) -> axum::Json<CallbackList> {
    let callbacks = state.callbacks.list().into_iter().map(CallbackView::from).collect();
    axum::Json(CallbackList { callbacks })
}

/// Take a callback back. The feed has `callback.done` with the result `cancelled`.
#[utoipa::path(delete, path = "/api/v1/callbacks/{id}", security(("key" = ["contacts.control"])), tag = "callbacks",
    params(("id" = String, Path, description = "The callback's id, `cb_…`")),
    responses(
        (status = 204, description = "It will not be made."),
        (status = 404, description = "No such callback, or its number is being called.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn cancel_callback(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let cancelled = state.callbacks.cancel(&id);
    cancelled.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_callback",
            format!("There is no callback {id} that could be taken back."),
            "List the callbacks; one whose number is being called can be hung up as a contact.",
        )
    })
}
