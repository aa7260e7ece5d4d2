//! Handing contacts to those who take them: take, refuse, transfer, hold and resume.
//!
//! A request is granted or refused at once; what comes of it is told by the feed: `contact.taken`,
//! `contact.refused`, `contact.take_timed_out`, `contact.transferred` and so on.

use std::{sync::Arc, time::Duration};

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_routing::{
    id::{ContactId, InboxId},
    journey::{Callee, Refusal, Request},
};

use super::{
    AppState,
    contacts::{contact_over, no_such_contact},
    extract::{Actor, Json, Path},
    live::{HandOff, HandOffState, LiveContact, Located, NoReply},
    problem::{ApiResult, Problem},
};
use crate::{
    journal::{JournalError, MessageJob},
    sip::LocateError,
};

/// Longest name of who asks, in characters.
const BY_MAX: usize = 200;

/// Longest time for which a telephone may ring.
const RING_SECONDS_MAX: u64 = 600;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(take_contact))
        .routes(routes!(refuse_contact))
        .routes(routes!(transfer_contact))
        .routes(routes!(hold_contact))
        .routes(routes!(resume_contact))
}

/// Whom to call.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TakeBody {
    /// The SIP URI to call; its host must be among `hand_off.allowed_targets`. Calls need it, messages have none.
    target: Option<String>,
    /// Who takes the contact; the name of the API key when absent.
    by: Option<String>,
    /// Seconds for which the telephone rings, 1 to 600; `hand_off.ring_seconds` when absent.
    ring_seconds: Option<u64>,
}

/// Who refuses.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct RefuseBody {
    /// Who does not take the contact; the name of the API key when absent.
    by: Option<String>,
}

/// Where to: an inbox, or somebody who is called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TransferBody {
    /// The SIP URI to call; its host must be among `hand_off.allowed_targets`.
    target: Option<String>,
    /// The inbox in whose queue the caller waits next.
    inbox: Option<String>,
    /// Who transfers; the name of the API key when absent.
    by: Option<String>,
    /// Seconds for which the telephone rings, 1 to 600; `hand_off.ring_seconds` when absent.
    ring_seconds: Option<u64>,
}

/// Take a waiting contact. A call: somebody is called, and connected when they answer; the caller hears the queue
/// until then. A message: it is theirs at once. Asking again for the same target and taker changes nothing.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/take", security(("key" = ["contacts.control"])), tag = "hand-off",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    request_body = TakeBody,
    responses(
        (status = 202, description = "The telephone rings; the feed tells what comes of it.", body = HandOff),
        (status = 200, description = "The same taker has it already.", body = HandOff),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait, somebody else takes it, or it has ended.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The target cannot or must not be called.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn take_contact(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
    Json(TakeBody { target, by, ring_seconds }): Json<TakeBody>,
) -> ApiResult<(StatusCode, axum::Json<HandOff>)> {
    let by = name(by, actor)?;
    let contact = match find(&state, &id).await? {
        Found::Call(contact) => contact,
        Found::Message(contact) => return take_message(&state, contact, target, by).await,
    };
    let target = target.ok_or_else(no_target)?;
    let (callee, targets) = callee(&state, target, by, ring_seconds).await?;
    let wanted = |state| HandOff { state, by: callee.by.clone(), targets: callee.targets.clone() };
    match contact.ask(Request::Take(callee.clone()), targets).await {
        Ok(Ok(())) => Ok((StatusCode::ACCEPTED, axum::Json(wanted(HandOffState::Ringing)))),
        Ok(Err(refusal)) => {
            let current = contact.state().hand_off;
            match current.filter(|current| *current == wanted(current.state)) {
                Some(HandOff { state: HandOffState::Ringing, .. }) => {
                    Ok((StatusCode::ACCEPTED, axum::Json(wanted(HandOffState::Ringing))))
                }
                Some(current) => Ok((StatusCode::OK, axum::Json(current))),
                None => Err(refused(refusal)),
            }
        }
        Err(error) => Err(not_answered(error)),
    }
}

/// Say that the inbox does not take the contact now. It waits on.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/refuse", security(("key" = ["contacts.control"])), tag = "hand-off",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    request_body = RefuseBody,
    responses(
        (status = 204, description = "The feed has `contact.refused`."),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait, or somebody is called for it.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn refuse_contact(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
    Json(RefuseBody { by }): Json<RefuseBody>,
) -> ApiResult<StatusCode> {
    let by = name(by, actor)?;
    if let Found::Message(contact) = find(&state, &id).await? {
        let job = MessageJob::Refuse { contact, by };
        state.journal.messages(job).await.map_err(message_refused)?;
    } else {
        ask(&state, &id, Request::Refuse { by }, Vec::new()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Transfer a contact: to another inbox's queue, or to somebody who is called while the caller hears hold music.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/transfer", security(("key" = ["contacts.control"])), tag = "hand-off",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    request_body = TransferBody,
    responses(
        (status = 202, description = "It is under way; the feed tells what comes of it."),
        (status = 400, description = "Neither or both of `target` and `inbox` are named.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody talks to it, or somebody is called for it.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The target cannot or must not be called, or there is no such inbox.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn transfer_contact(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
    Json(TransferBody { target, inbox, by, ring_seconds }): Json<TransferBody>,
) -> ApiResult<StatusCode> {
    let by = name(by, actor)?;
    let (request, targets) = match (target, inbox) {
        (Some(target), None) => {
            let (callee, targets) = callee(&state, target, by, ring_seconds).await?;
            (Request::Transfer(callee), targets)
        }
        (None, Some(inbox)) => (Request::Move { inbox: InboxId::new(inbox), by }, Vec::new()),
        (Some(_), Some(_)) | (None, None) => {
            return Err(Problem::bad_request("Name either `target` or `inbox`."));
        }
    };
    ask(&state, &id, request, targets).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Put the caller on hold: hold music is heard. Once is enough.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/hold", security(("key" = ["contacts.control"])), tag = "hand-off",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    responses(
        (status = 204, description = "The caller is on hold."),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody talks to it.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn hold_contact(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    ask(&state, &id, Request::Hold, Vec::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// End the hold. Harmless when there is none.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/resume", security(("key" = ["contacts.control"])), tag = "hand-off",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    responses(
        (status = 204, description = "Caller and taker hear each other."),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody talks to it.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn resume_contact(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    ask(&state, &id, Request::Resume, Vec::new()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn ask(state: &AppState, id: &str, request: Request, targets: Vec<Located>) -> ApiResult<()> {
    match live(state, id).await?.ask(request, targets).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(refusal)) => Err(refused(refusal)),
        Err(error) => Err(not_answered(error)),
    }
}

/// A contact that goes on.
enum Found {
    Call(Arc<LiveContact>),
    Message(ContactId),
}

async fn find(state: &AppState, id: &str) -> ApiResult<Found> {
    if let Some(contact) = state.live.find(id) {
        return Ok(Found::Call(contact));
    }
    let row = state.journal.reader().contact(id.to_owned()).await?.ok_or_else(no_such_contact)?;
    if row.ended.is_some() || row.channel == "voice" {
        return Err(contact_over());
    }
    Ok(Found::Message(ContactId::new(row.id)))
}

async fn take_message(
    state: &AppState,
    contact: ContactId,
    target: Option<String>,
    by: String,
) -> ApiResult<(StatusCode, axum::Json<HandOff>)> {
    if target.is_some() {
        return Err(Problem::bad_request("A message is taken without a `target`: nobody is called."));
    }
    let job = MessageJob::Take { contact, by: by.clone() };
    state.journal.messages(job).await.map_err(message_refused)?;
    Ok((StatusCode::OK, axum::Json(HandOff { state: HandOffState::Connected, by, targets: Vec::new() })))
}

fn message_refused(error: JournalError) -> Problem {
    match error {
        JournalError::TakenBy { .. } => Problem::new(
            StatusCode::CONFLICT,
            "taken_already",
            format!("Nothing was done: {error}."),
            "Leave it to whoever took it.",
        ),
        JournalError::NotOpen(_) => Problem::new(
            StatusCode::CONFLICT,
            "not_waiting",
            "Nothing was done: the contact is over, or is held until its entry point is armed.",
            "Wait for `contact.queued`.",
        ),
        other => other.into(),
    }
}

fn no_target() -> Problem {
    Problem::bad_request("A call is taken by a `target`: the SIP URI of who is to be called.")
}

pub(super) async fn live(state: &AppState, id: &str) -> ApiResult<Arc<LiveContact>> {
    if let Some(contact) = state.live.find(id) {
        return Ok(contact);
    }
    match state.journal.reader().contact(id.to_owned()).await? {
        Some(_) => Err(contact_over()),
        None => Err(no_such_contact()),
    }
}

async fn callee(
    state: &AppState,
    target: String,
    by: String,
    ring_seconds: Option<u64>,
) -> ApiResult<(Callee, Vec<Located>)> {
    let seconds = ring_seconds.unwrap_or(state.hand_off.ring_seconds);
    if !(1..=RING_SECONDS_MAX).contains(&seconds) {
        return Err(Problem::bad_request(format!(
            "`ring_seconds` is {seconds}, not 1 to {RING_SECONDS_MAX}."
        )));
    }
    let destinations = state.locator.locate(&target).await.map_err(|error| not_callable(&error))?;
    let callee = Callee { targets: vec![target], ring: Duration::from_secs(seconds), by };
    Ok((callee, vec![Located::at(destinations)]))
}

fn name(by: Option<String>, actor: String) -> ApiResult<String> {
    match by {
        None => Ok(actor),
        Some(by) if (1..=BY_MAX).contains(&by.chars().count()) && !by.chars().any(char::is_control) => Ok(by),
        Some(_) => Err(Problem::bad_request(format!("`by` is a name of 1 to {BY_MAX} characters."))),
    }
}

fn not_callable(error: &LocateError) -> Problem {
    let (code, remedy) = match error {
        LocateError::NotAllowed => {
            ("target_not_allowed", "Add the host to hand_off.allowed_targets, and restart the gateway.")
        }
        LocateError::NoAddress { .. } => ("target_unknown", "Look at the name and at the name service."),
        LocateError::Uri(_) | LocateError::TooLong | LocateError::Kind | LocateError::Transport => {
            ("target_unusable", "Write it as sip:user@host:port, with ;transport=tcp for TCP.")
        }
    };
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        code,
        format!("The target cannot be called: {error}."),
        remedy,
    )
}

fn refused(refusal: Refusal) -> Problem {
    let (status, code, remedy) = match refusal {
        Refusal::Committed => (
            StatusCode::CONFLICT,
            "contact_committed",
            "Leave it: the caller leaves a message, or will be called back.",
        ),
        Refusal::NotWaiting => (
            StatusCode::CONFLICT,
            "not_waiting",
            "Wait for `contact.queued`; a caller in an IVR cannot be taken.",
        ),
        Refusal::UnderWay => {
            (StatusCode::CONFLICT, "take_under_way", "Wait until the feed tells what came of the other call.")
        }
        Refusal::Taken => (StatusCode::CONFLICT, "taken_already", "Leave it to whoever took it."),
        Refusal::NotConnected => (StatusCode::CONFLICT, "not_connected", "Take the contact first."),
        Refusal::NoSuchInbox => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "no_such_inbox",
            "Name an inbox of the revision under which the contact arrived.",
        ),
    };
    Problem::new(status, code, format!("Nothing was done: {refusal}."), remedy)
}

pub(super) fn not_answered(error: NoReply) -> Problem {
    match error {
        NoReply::Ended => contact_over(),
        NoReply::Busy => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "contact_busy",
            format!("Nothing was done: {error}."),
            "Try again in a moment.",
        ),
    }
}
