//! Recordings of calls: begun, paused, ended, fetched and deleted.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_routing::id::PromptId;

use super::{
    AppState,
    extract::{Json, Path},
    hand_off::{live, not_answered},
    live::{NotRecorded, RecordingAction},
    problem::{ApiResult, Problem},
    ranges,
};
use crate::recordings::StoredRecording;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(record_contact))
        .routes(routes!(list_call_recordings))
        .routes(routes!(read_call_recording, delete_call_recording))
}

/// What is wanted of a recording.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum RecordBody {
    /// Begin; once is enough.
    Start {
        /// A prompt of the contact's routing that both hear before: that the call is recorded.
        consent_prompt: Option<String>,
        /// Whether keyed digits are replaced by silence; true when absent.
        #[serde(default = "yes")]
        mute_digits: bool,
    },
    /// Leave out what is said from now on.
    Pause {},
    /// Go on after a pause.
    Resume {},
    /// End it; another may begin.
    Stop {},
}

/// The recordings of a contact.
#[derive(Debug, Serialize, ToSchema)]
struct RecordingList {
    /// In their order.
    recordings: Vec<StoredRecording>,
}

/// Record the talk of a contact: start, pause, resume, stop. The file is WAV, mu-law, the caller left and the taker
/// right; the feed tells when it is stored.
#[utoipa::path(post, path = "/api/v1/contacts/{id}/recording", security(("key" = ["contacts.control"])), tag = "recordings",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    request_body = RecordBody,
    responses(
        (status = 202, description = "It is as wanted, or begins when the prompt was heard."),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nobody talks to it, it is not recorded, or it has ended.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "There is no such prompt.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn record_contact(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(body): Json<RecordBody>,
) -> ApiResult<StatusCode> {
    let action = match body {
        RecordBody::Start { consent_prompt, mute_digits } => {
            RecordingAction::Start { consent: consent_prompt.map(PromptId::new), mute_digits }
        }
        RecordBody::Pause {} => RecordingAction::Pause,
        RecordBody::Resume {} => RecordingAction::Resume,
        RecordBody::Stop {} => RecordingAction::Stop,
    };
    match live(&state, &id).await?.record(action).await {
        Ok(Ok(())) => Ok(StatusCode::ACCEPTED),
        Ok(Err(why)) => Err(not_recorded(why)),
        Err(error) => Err(not_answered(error)),
    }
}

/// List the recordings of a contact that are kept.
#[utoipa::path(get, path = "/api/v1/contacts/{id}/recordings", security(("key" = ["recordings.read"])), tag = "recordings",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    responses((status = 200, description = "Its recordings; none is an empty list.", body = RecordingList))
)]
async fn list_call_recordings(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<RecordingList>> {
    let recordings = in_folder(move || state.recordings.of(&id)).await?.map_err(|error| broken(&error))?;
    Ok(axum::Json(RecordingList { recordings }))
}

/// Fetch a recording, or a part of it.
#[utoipa::path(get, path = "/api/v1/contacts/{id}/recordings/{file}", security(("key" = ["recordings.read"])), tag = "recordings",
    params(
        ("id" = String, Path, description = "The contact's id, `ct_…`"),
        ("file" = String, Path, description = "The name of the file"),
    ),
    responses(
        (status = 200, description = "The file.", body = Vec<u8>, content_type = "audio/wav"),
        (status = 206, description = "The part that `Range` asks for.", body = Vec<u8>, content_type = "audio/wav"),
        (status = 404, description = "No such recording.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_call_recording(
    State(state): State<AppState>,
    Path((id, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let path = in_folder(move || state.recordings.find(&id, &file)).await?.ok_or_else(no_such_recording)?;
    let file = tokio::fs::File::open(path).await.map_err(|error| broken(&error))?;
    ranges::served(file, &headers, "audio/wav").await.map_err(|error| broken(&error))
}

/// Delete a recording, for good.
#[utoipa::path(delete, path = "/api/v1/contacts/{id}/recordings/{file}", security(("key" = ["recordings.delete"])), tag = "recordings",
    params(
        ("id" = String, Path, description = "The contact's id, `ct_…`"),
        ("file" = String, Path, description = "The name of the file"),
    ),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "No such recording.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete_call_recording(
    State(state): State<AppState>,
    Path((id, file)): Path<(String, String)>,
) -> ApiResult<StatusCode> {
    let removed = in_folder(move || state.recordings.find(&id, &file).map(std::fs::remove_file)).await?;
    removed.ok_or_else(no_such_recording)?.map_err(|error| broken(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn in_folder<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> ApiResult<T> {
    crate::blocking::blocking(work).await.map_err(|fault| broken(&std::io::Error::other(fault)))
}

fn no_such_recording() -> Problem {
    let detail = "This contact has no recording of that name.";
    Problem::new(StatusCode::NOT_FOUND, "no_such_recording", detail, "List its recordings to find it.")
}

fn broken(error: &std::io::Error) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "recordings_unavailable",
        format!("The folder of recordings cannot be used: {error}."),
        "Look at the disk of the data folder.",
    )
}

fn not_recorded(why: NotRecorded) -> Problem {
    let (status, code, remedy) = match why {
        NotRecorded::NotConnected => (StatusCode::CONFLICT, "not_connected", "Take the contact first."),
        NotRecorded::NotRecording => (StatusCode::CONFLICT, "not_recording", "Start the recording first."),
        NotRecorded::NoSuchPrompt => {
            (StatusCode::UNPROCESSABLE_ENTITY, "no_such_prompt", "Name a prompt of the contact's revision.")
        }
        NotRecorded::Busy => (StatusCode::SERVICE_UNAVAILABLE, "recorder_busy", "Try again in a moment."),
    };
    Problem::new(status, code, format!("Nothing was done: {why}."), remedy)
}

fn yes() -> bool {
    true
}
