//! The audit log: read, and proven unchanged.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::store::{AuditEnd, AuditFilter, AuditFindings, AuditRow};

use super::{
    AppState,
    extract::{Path, Query},
    problem::{ApiResult, Problem},
    routing::blocking,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_audit))
        .routes(routes!(verify_audit))
        .routes(routes!(read_audit_line))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Lines before this one: the `next` of the page before.
    before: Option<u64>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
    /// Who: a user's login, a key's name, or `system`.
    actor: Option<String>,
    /// What was done: the whole action (`user.added`), or all that begins with a word (`user`).
    action: Option<String>,
    /// What it was done to: `inboxes/ib_sales`, `revision/7`, `us_…`, a number.
    object: Option<String>,
    /// From then on.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Before then.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// A page of the audit log.
#[derive(Debug, Serialize, ToSchema)]
struct AuditPage {
    /// The newest first. Each has `seq`, `at`, `actor`, `from`, `action`, `subject`, `before`, `after` and `hash`.
    #[schema(value_type = Vec<Object>)]
    lines: Vec<AuditRow>,
    /// The cursor of the next page; none at the end.
    next: Option<u64>,
    /// The end of the whole log: note its `seq` and `hash` elsewhere to see later whether they are there still.
    #[schema(value_type = Option<Object>)]
    newest: Option<AuditEnd>,
}

/// Read the audit log, the newest first.
#[utoipa::path(get, path = "/api/v1/audit", security(("key" = ["audit.read"])), tag = "audit", params(AuditQuery), responses(
    (status = 200, description = "A page of lines.", body = AuditPage),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_audit(
    State(state): State<AppState>,
    Query(query): Query<AuditQuery>,
) -> ApiResult<axum::Json<AuditPage>> {
    let AuditQuery { before, limit, actor, action, object: subject, since, until } = query;
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let filter = AuditFilter { before, actor, action, subject, since, until };
    let (lines, newest) =
        blocking(&state, move |store| Ok((store.audit_page(&filter, limit)?, store.newest_audit()?))).await?;
    let full = u32::try_from(lines.len()).is_ok_and(|count| count == limit);
    let next = lines.last().filter(|_| full).map(|line| line.seq);
    Ok(axum::Json(AuditPage { lines, next, newest }))
}

/// Read one line of the audit log.
#[utoipa::path(get, path = "/api/v1/audit/{id}", security(("key" = ["audit.read"])), tag = "audit",
    params(("id" = u64, Path, description = "Its number, `seq`")),
    responses(
        (status = 200, description = "The line, with what was before and after.", body = Object),
        (status = 400, description = "This is no number.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such line, or its time is over.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_audit_line(
    State(state): State<AppState>,
    Path(seq): Path<u64>,
) -> ApiResult<axum::Json<AuditRow>> {
    let line = blocking(&state, move |store| store.audit_line(seq)).await?;
    line.map(axum::Json).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_line",
            format!("The audit log has no line {seq}."),
            "List the log to find it; lines go when audit.days_kept is over.",
        )
    })
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NotedQuery {
    /// The number of a line that was noted before; with `hash`.
    seq: Option<u64>,
    /// Its hash.
    hash: Option<String>,
}

/// Look at every line of the audit log: whether one was changed, moved or put in, or is gone.
///
/// A cut end is found by the head, which is signed with the master key. With `seq` and `hash` of a line that was noted
/// elsewhere it also says whether that one is there still.
#[utoipa::path(get, path = "/api/v1/audit/verify", security(("key" = ["audit.read"])), tag = "audit", params(NotedQuery), responses(
    (status = 200, description = "`sound`; and `faults`: what is wrong at which line.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn verify_audit(
    State(state): State<AppState>,
    Query(NotedQuery { seq, hash }): Query<NotedQuery>,
) -> ApiResult<axum::Json<AuditFindings>> {
    let noted = match (seq, hash) {
        (Some(seq), Some(hash)) => Some(AuditEnd { seq, hash: hash.to_ascii_lowercase() }),
        (None, None) => None,
        _ => return Err(Problem::bad_request("`seq` and `hash` come together.")),
    };
    let findings = blocking(&state, move |store| store.verify_audit(noted.as_ref())).await?;
    state.metrics.audit.looked(&findings);
    Ok(axum::Json(findings))
}

fn fifty() -> u32 {
    50
}
