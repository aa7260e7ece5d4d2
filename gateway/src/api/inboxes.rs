//! Inboxes as they are now: who waits, and how many agents are available.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::document::{Key, Kind};
use vestibule_routing::{id::InboxId, plan::Inbox};

use super::{
    AppState,
    acts::{How, act, if_unchanged},
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
};

/// Most agents of one inbox.
const AGENTS_MAX: u32 = 1_000_000;

/// Longest time for which what was told may hold, in seconds.
const VALID_SECONDS_MAX: u64 = 86_400;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_inboxes))
        .routes(routes!(tell_availability))
        .routes(routes!(set_sla))
}

/// An inbox.
#[derive(Debug, Serialize, ToSchema)]
struct InboxView {
    /// Its id, `ib_…`.
    id: String,
    /// What people call it.
    name: String,
    /// Contacts that wait in its queue.
    waiting: usize,
    /// Agents who could take a contact now; null when that is not known.
    agents_available: Option<u32>,
    /// Telephones that are called for those who wait.
    telephones: usize,
    /// Its service level in minutes; entry points may have their own.
    sla_minutes: u32,
}

/// All inboxes.
#[derive(Debug, Serialize, ToSchema)]
struct InboxList {
    /// By their ids.
    inboxes: Vec<InboxView>,
}

/// How many agents are available.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AvailabilityBody {
    /// Agents who could take a contact now; null when that is not known. 0 has the inbox's `no_one_available`
    /// applied to those who wait.
    agents_available: Option<u32>,
    /// Seconds for which that holds, 1 to 86400; until it is told anew when absent.
    valid_seconds: Option<u64>,
}

/// List the inboxes of the active revision with their queues.
#[utoipa::path(get, path = "/api/v1/inboxes", security(("key" = ["contacts.read"])), tag = "inboxes", responses(
    (status = 200, description = "All inboxes, by their ids.", body = InboxList),
))]
async fn list_inboxes(State(state): State<AppState>) -> axum::Json<InboxList> {
    let lengths: std::collections::HashMap<InboxId, usize> = state.queues.lengths().into_iter().collect();
    let plan = state.store.active().load().plan.clone();
    let view = |(id, inbox): (&InboxId, &std::sync::Arc<Inbox>)| InboxView {
        id: id.to_string(),
        name: inbox.name.clone(),
        waiting: lengths.get(id).copied().unwrap_or(0),
        agents_available: state.availability.agents(id),
        telephones: inbox.dial.as_ref().map_or(0, |dial| dial.targets.len()),
        sla_minutes: inbox.sla_minutes,
    };
    let mut inboxes: Vec<InboxView> = plan.inboxes.iter().map(view).collect();
    inboxes.sort_by(|a, b| a.id.cmp(&b.id));
    axum::Json(InboxList { inboxes })
}

/// Tell how many agents are available to an inbox. Those who wait there are looked at anew.
#[utoipa::path(put, path = "/api/v1/inboxes/{id}/availability", security(("key" = ["availability.write"])), tag = "inboxes",
    params(("id" = String, Path, description = "The inbox's id, `ib_…`")),
    request_body = AvailabilityBody,
    responses(
        (status = 204, description = "It holds from now on."),
        (status = 400, description = "A number is out of range.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such inbox.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn tell_availability(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(AvailabilityBody { agents_available, valid_seconds }): Json<AvailabilityBody>,
) -> ApiResult<StatusCode> {
    let inbox = InboxId::new(id);
    if state.store.active().load().plan.inbox(&inbox).is_none() {
        return Err(no_such_inbox(&inbox));
    }
    if agents_available.is_some_and(|agents| agents > AGENTS_MAX) {
        return Err(Problem::bad_request(format!("`agents_available` is more than {AGENTS_MAX}.")));
    }
    if valid_seconds.is_some_and(|seconds| !(1..=VALID_SECONDS_MAX).contains(&seconds)) {
        return Err(Problem::bad_request(format!("`valid_seconds` is not 1 to {VALID_SECONDS_MAX}.")));
    }
    state.availability.tell(&inbox, agents_available, valid_seconds.map(Duration::from_secs));
    Ok(StatusCode::NO_CONTENT)
}

/// The service level of an inbox.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Sla {
    /// Minutes within which a contact should be answered; entry points may have their own.
    #[schema(minimum = 1)]
    sla_minutes: u32,
}

/// Set the service level of an inbox, and nothing else of it, at once. It holds for contacts that arrive from then on.
#[utoipa::path(put, path = "/api/v1/inboxes/{id}/sla", security(("key" = ["inboxes.sla"])), tag = "inboxes",
    params(
        ("id" = String, Path, description = "The inbox's id, `ib_…`"), How,
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = Sla,
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "A number is out of range.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such inbox.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Somebody else changed it since it was read.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn set_sla(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(id): Path<String>,
    Query(how): Query<How>,
    headers: HeaderMap,
    Json(Sla { sla_minutes }): Json<Sla>,
) -> ApiResult<axum::Json<serde_json::Value>> {
    if sla_minutes == 0 {
        return Err(Problem::bad_request("`sla_minutes` is at least 1."));
    }
    let inbox = InboxId::new(id);
    if state.store.active().load().plan.inbox(&inbox).is_none() {
        return Err(no_such_inbox(&inbox));
    }
    let (key, expected) = (Key::new(Kind::Inboxes, inbox.as_str()), if_unchanged(&headers)?);
    let note = format!("SLA of {inbox}: {sla_minutes} minutes");
    let done = act(&state, author, (how, note), move |reader| {
        let Some(mut body) = reader.live_at(&key, expected)?.body else { return Ok(BTreeMap::new()) };
        body["sla_minutes"] = sla_minutes.into();
        Ok(BTreeMap::from([(key.clone(), Some(body))]))
    })
    .await?;
    Ok(axum::Json(serde_json::json!({ "done": done.value() })))
}

fn no_such_inbox(inbox: &InboxId) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_inbox",
        format!("The active revision has no inbox {inbox}."),
        "List the inboxes to find it.",
    )
}
