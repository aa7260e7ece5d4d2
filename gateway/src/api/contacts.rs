//! Contacts, live and past, with their traces; and hanging up.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::{Path, Query},
    live::{HandOff, LiveState, Stage},
    problem::{ApiResult, Problem},
};
use crate::journal::{ContactFilter, ContactRow, ContactState, EventKind};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_contacts))
        .routes(routes!(read_contact))
        .routes(routes!(read_contact_sip))
        .routes(routes!(hang_up_contact))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ContactsQuery {
    /// Contacts older than this id: the `next` of the page before.
    before: Option<String>,
    /// At most so many.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: usize,
    /// `live` or `ended`; both when absent.
    #[param(value_type = Option<String>)]
    state: Option<ContactState>,
    /// The channel, for example `voice`.
    channel: Option<String>,
    /// The customer's address, exactly as recorded.
    from: Option<String>,
    /// The address that was dialled or written to, exactly as recorded.
    to: Option<String>,
    /// The inbox.
    inbox: Option<String>,
    /// A part of the customer's address, or of the one that was dialled or written to; at least 3 characters.
    #[param(min_length = 3)]
    address: Option<String>,
    /// Why it ended, for example `abandoned_in_queue`.
    outcome: Option<String>,
    /// Only those that arrived then or later.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only those that arrived before.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// A contact.
#[derive(Debug, Serialize, ToSchema)]
struct ContactView {
    /// Its id, `ct_…`.
    id: String,
    /// `live` or `ended`.
    #[schema(value_type = String)]
    state: ContactState,
    /// How it arrived.
    channel: String,
    /// The customer's address; empty when withheld.
    from: String,
    /// What was dialled or written to.
    to: String,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    arrived: Timestamp,
    /// When it was answered.
    #[schema(value_type = Option<String>, format = DateTime)]
    answered: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended: Option<Timestamp>,
    /// The entry point it resolved to.
    entry_point: Option<String>,
    /// The IVR it was in last.
    ivr: Option<String>,
    /// The inbox it belongs to.
    inbox: Option<String>,
    /// The revision it runs under.
    revision: Option<u64>,
    /// The trunk it came in by.
    trunk: Option<String>,
    /// The SIP Call-ID.
    call_id: Option<String>,
    /// Who had the call before it was diverted here, as a trusted trunk says.
    diverted_from: Option<String>,
    /// How it ended.
    outcome: Option<OutcomeView>,
    /// Where it was abandoned.
    #[schema(value_type = Option<Object>)]
    abandoned_at: Option<Box<RawValue>>,
    /// What it is doing, while it is live.
    now: Option<Stage>,
    /// Whom it is handed to, while it is live.
    hand_off: Option<HandOff>,
    /// Since when it is in a queue, of a live call that came to one.
    #[schema(value_type = Option<String>, format = DateTime)]
    queued: Option<Timestamp>,
    /// By when it should be taken, of a live call that came to a queue.
    #[schema(value_type = Option<String>, format = DateTime)]
    sla_due: Option<Timestamp>,
    /// Whether its caller is on hold, while it is live.
    held: bool,
}

/// How a contact ended.
#[derive(Debug, Serialize, ToSchema)]
struct OutcomeView {
    /// Whose doing.
    side: String,
    /// Why.
    reason: String,
}

/// A page of contacts, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct ContactPage {
    /// The contacts.
    contacts: Vec<ContactView>,
    /// Pass as `before` for the next page, even after an empty one; absent at the end.
    next: Option<String>,
}

/// A contact with its trace.
#[derive(Debug, Serialize, ToSchema)]
struct ContactDetail {
    #[serde(flatten)]
    contact: ContactView,
    /// Every step, in order; of a live contact, the steps so far.
    #[schema(value_type = Vec<Object>)]
    trace: Option<Box<RawValue>>,
}

/// List contacts, live and past, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/contacts",
    security(("key" = ["contacts.read"])),
    tag = "contacts",
    params(ContactsQuery),
    responses(
        (status = 200, description = "A page of contacts.", body = ContactPage),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_contacts(
    State(state): State<AppState>,
    Query(query): Query<ContactsQuery>,
) -> ApiResult<axum::Json<ContactPage>> {
    if !(1..=LIMIT_MAX).contains(&query.limit) {
        return Err(Problem::bad_request(format!("`limit` is {}, not 1 to {LIMIT_MAX}.", query.limit)));
    }
    if query.address.as_ref().is_some_and(|part| part.chars().count() < ADDRESS_PART_MIN) {
        let detail = format!("`address` is shorter than {ADDRESS_PART_MIN} characters.");
        return Err(Problem::bad_request(detail));
    }
    let ContactsQuery { before, limit, state: wanted, channel, from, to, inbox, .. } = query;
    let ContactsQuery { address, outcome, since, until, .. } = query;
    let address = address.map(|part| part.to_lowercase());
    let filter =
        ContactFilter { before, state: wanted, channel, from, to, inbox, address, outcome, since, until };
    let (rows, next) = state.journal.reader().contacts(filter, limit).await?;
    let contacts = rows
        .into_iter()
        .map(|row| {
            let live = live_state(&state, &row);
            view(row, live.as_ref())
        })
        .collect();
    Ok(axum::Json(ContactPage { contacts, next }))
}

/// Read a contact with its trace.
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{id}",
    security(("key" = ["contacts.read"])),
    tag = "contacts",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    responses(
        (status = 200, description = "The contact.", body = ContactDetail),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_contact(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<ContactDetail>> {
    let mut row = state.journal.reader().contact(id).await?.ok_or_else(no_such_contact)?;
    let stored = row.trace.take().and_then(|trace| RawValue::from_string(trace).ok());
    let live = live_state(&state, &row);
    let trace = live.as_ref().and_then(steps).or(stored);
    Ok(axum::Json(ContactDetail { contact: view(row, live.as_ref()), trace }))
}

/// Recent SIP messages of a contact: of its caller, and of whom the gateway called for it.
#[derive(Debug, Serialize, ToSchema)]
struct SipTrace {
    /// The messages, oldest first; empty when the call is too long ago to be remembered.
    messages: Vec<SipMessage>,
}

/// One SIP message.
#[derive(Debug, Serialize, ToSchema)]
struct SipMessage {
    /// When it was received or sent.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `received` or `sent`.
    direction: &'static str,
    /// `UDP`, `TCP` or `TLS`.
    transport: &'static str,
    /// The other side's address and port.
    peer: String,
    /// Which call it belongs to: the caller's, or one that the gateway placed for the contact.
    call_id: String,
    /// The message. Credentials, keys of encrypted media and bodies of INFO are withheld.
    text: String,
}

/// Read the recent SIP messages of a contact, of all its calls.
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{id}/sip",
    security(("key" = ["contacts.read"])),
    tag = "contacts",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    responses(
        (status = 200, description = "The messages, oldest first.", body = SipTrace),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_contact_sip(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<SipTrace>> {
    let row = state.journal.reader().contact(id).await?.ok_or_else(no_such_contact)?;
    let captured = state.capture.of_story(row.call_id.as_ref().unwrap_or(&row.id));
    let messages = captured.iter().map(|message| SipMessage {
        at: message.at,
        direction: if message.sent { "sent" } else { "received" },
        transport: message.path.transport.as_str(),
        peer: message.path.peer.to_string(),
        call_id: message.call_id(),
        text: message.shown(),
    });
    Ok(axum::Json(SipTrace { messages: messages.collect() }))
}

/// End a live contact.
#[utoipa::path(
    post,
    path = "/api/v1/contacts/{id}/hang_up",
    security(("key" = ["contacts.control"])),
    tag = "contacts",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    responses(
        (status = 202, description = "It is being ended; `contact.ended` tells when it is over."),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has ended already.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn hang_up_contact(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    if let Some(contact) = state.live.find(&id) {
        contact.ask_to_hang_up();
        return Ok(StatusCode::ACCEPTED);
    }
    if state.journal.reader().contact(id).await?.is_none() {
        return Err(no_such_contact());
    }
    Err(contact_over())
}

pub(super) fn contact_over() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "contact_ended",
        "This contact is over.",
        "Nothing is left to do; its record shows how it ended.",
    )
}

pub(super) fn no_such_contact() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_contact",
        "No contact has this id, or its record was trimmed.",
        "List contacts to find it; ids begin with `ct_`.",
    )
}

fn live_state(state: &AppState, row: &ContactRow) -> Option<LiveState> {
    let live = row.ended.is_none().then(|| state.live.find(&row.id)).flatten();
    live.map(|contact| contact.state())
}

fn view(row: ContactRow, live: Option<&LiveState>) -> ContactView {
    let outcome = row.outcome_side.zip(row.outcome_reason);
    let waits = live.and_then(waiting);
    let (ivr, inbox) = match live.map(|live| &live.stage) {
        Some(Stage::InIvr { ivr, .. }) => (Some(ivr.to_string()), row.inbox),
        Some(Stage::Waiting { inbox, .. } | Stage::Connected { inbox }) => (row.ivr, Some(inbox.to_string())),
        Some(Stage::Ringing | Stage::Ending) | None => (row.ivr, row.inbox),
    };
    ContactView {
        id: row.id,
        state: if row.ended.is_some() { ContactState::Ended } else { ContactState::Live },
        channel: row.channel,
        from: row.from,
        to: row.to,
        arrived: row.arrived,
        answered: row.answered.or_else(|| live.and_then(|live| live.answered)),
        ended: row.ended,
        entry_point: row.entry_point,
        ivr,
        inbox,
        revision: row.revision,
        trunk: row.trunk,
        call_id: row.call_id,
        diverted_from: row.diverted_from,
        outcome: outcome.map(|(side, reason)| OutcomeView { side, reason }),
        abandoned_at: row.abandoned_at.and_then(|place| RawValue::from_string(place).ok()),
        now: live.map(|live| live.stage.clone()),
        hand_off: live.and_then(|live| live.hand_off.clone()),
        queued: waits.as_ref().map(|waits| waits.0),
        sla_due: waits.and_then(|waits| waits.1),
        held: live.is_some_and(is_held),
    }
}

/// Since when a live call is in a queue, and by when it should be taken.
fn waiting(live: &LiveState) -> Option<(Timestamp, Option<Timestamp>)> {
    #[derive(Deserialize)]
    struct Queued {
        sla_due: Option<Timestamp>,
    }
    let queued = live.events.iter().find(|event| event.kind == EventKind::ContactQueued)?;
    let due = serde_json::from_str(queued.data()).ok().and_then(|data: Queued| data.sla_due);
    Some((queued.at, due))
}

fn is_held(live: &LiveState) -> bool {
    let holds = |kind| matches!(kind, EventKind::ContactHeld | EventKind::ContactResumed);
    let last = live.events.iter().rev().find(|event| holds(event.kind));
    last.is_some_and(|event| event.kind == EventKind::ContactHeld)
        && matches!(live.stage, Stage::Connected { .. })
}

/// The events of a live contact as a trace.
fn steps(live: &LiveState) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Step<'a> {
        at: Timestamp,
        event: &'static str,
        data: Option<&'a RawValue>,
    }
    let steps = live.events.iter().map(|event| Step {
        at: event.at,
        event: event.kind.as_str(),
        data: serde_json::from_str(event.data()).ok(),
    });
    serde_json::value::to_raw_value(&steps.collect::<Vec<_>>()).ok()
}

fn default_limit() -> usize {
    50
}

const LIMIT_MAX: usize = 500;

/// Shortest part of an address that is looked for.
const ADDRESS_PART_MIN: usize = 3;
