//! Recordings of prompts: uploaded as WAV, MP3, FLAC, Ogg or M4A, kept as 8 kHz mono at one level, named by hash.
//!
//! A document names a recording by its hash: `prompts: {welcome: {file: …}}`. An upload for a prompt puts that
//! into the draft as well; what callers hear changes with the next publish.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    document::{Key, Kind},
    store::{Recording, StoreError},
};

use super::{
    AppState,
    extract::{Path, Query},
    problem::{ApiResult, Problem},
    routing::{blocking, if_match, tagged},
};
use crate::sound::{self, SoundError};

mod library;

/// Longest upload, in bytes.
pub(super) const UPLOAD_BYTES_MAX: usize = 20 << 20;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_recordings, add_recording))
        .routes(routes!(read_recording))
        .routes(routes!(put_prompt_recording))
        .merge(library::routes())
    // The guard before all handlers bounds the body.
}

/// Whether a path takes uploads, which may be longer and come slower than other bodies.
pub(super) fn is_upload(path: &str) -> bool {
    path == "/api/v1/recordings" || (path.starts_with("/api/v1/prompts/") && path.ends_with("/recording"))
}

/// A recording as it is kept.
#[derive(Debug, Serialize, ToSchema)]
struct RecordingView {
    /// SHA-256 of the file as kept: what documents write behind `file`.
    sha256: String,
    /// Length of the file as kept.
    bytes: u64,
    /// Length in milliseconds.
    duration_ms: u64,
}

impl From<Recording> for RecordingView {
    fn from(Recording { sha256, bytes }: Recording) -> Self {
        // Kept files have a header of 44 bytes and 16 bytes a millisecond.
        Self { sha256, bytes, duration_ms: bytes.saturating_sub(44) / 16 }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RecordingsQuery {
    /// Recordings behind this hash: the `next` of the page before.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: usize,
}

/// List the recordings that are kept, by their hashes.
#[utoipa::path(get, path = "/api/v1/recordings", security(("key" = ["routing.read"])), tag = "prompts", params(RecordingsQuery), responses(
    (status = 200, description = "A page of recordings; `next` is absent at the end.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_recordings(
    State(state): State<AppState>,
    Query(RecordingsQuery { after, limit }): Query<RecordingsQuery>,
) -> ApiResult<axum::Json<Value>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let found = blocking(&state, move |store| store.recordings(after.as_deref(), limit)).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|recording| recording.sha256.clone());
    let recordings: Vec<RecordingView> = found.into_iter().map(RecordingView::from).collect();
    Ok(axum::Json(json!({"recordings": recordings, "next": next})))
}

/// Upload a recording: WAV (PCM, float, mu-law, A-law), MP3, FLAC, Ogg (Vorbis, FLAC) or M4A (AAC), at most 20 MiB and 10
/// minutes.
#[utoipa::path(post, path = "/api/v1/recordings", security(("key" = ["routing.edit"])), tag = "prompts",
    request_body(content = Vec<u8>, content_type = "audio/wav"),
    responses(
        (status = 201, description = "It is kept; documents name it by the hash.", body = RecordingView),
        (status = 413, description = "It is longer than 20 MiB.", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "Recordings fill all the room they may have.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is no recording that can be played.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn add_recording(State(state): State<AppState>, body: Bytes) -> ApiResult<Response> {
    let kept = keep(&state, body).await?;
    let place = format!("/api/v1/recordings/{}", kept.sha256);
    Ok((StatusCode::CREATED, [(header::LOCATION, place)], axum::Json(kept)).into_response())
}

/// Hear a recording as it is kept: WAV of 16 bits, 8 kHz, one channel.
#[utoipa::path(get, path = "/api/v1/recordings/{sha256}", security(("key" = ["routing.read"])), tag = "prompts",
    params(("sha256" = String, Path, description = "The hash of the recording")),
    responses(
        (status = 200, description = "The file.", body = Vec<u8>, content_type = "audio/wav"),
        (status = 404, description = "No such recording.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_recording(State(state): State<AppState>, Path(sha256): Path<String>) -> ApiResult<Response> {
    let file = blocking(&state, move |store| store.read_recording(&sha256)).await?;
    let file = file.ok_or_else(|| {
        let detail = "No recording with this hash is kept.";
        Problem::new(StatusCode::NOT_FOUND, "no_such_recording", detail, "List the recordings to find it.")
    })?;
    Ok(([(header::CONTENT_TYPE, "audio/wav")], file).into_response())
}

/// Upload a recording for a prompt: keeps it and puts it into the draft. It is heard after the next publish.
#[utoipa::path(put, path = "/api/v1/prompts/{id}/recording", security(("key" = ["routing.edit"])), tag = "prompts",
    params(("id" = String, Path, description = "The prompt's name; made when there is none")),
    request_body(content = Vec<u8>, content_type = "audio/wav"),
    responses(
        (status = 200, description = "It is kept and stands in the draft, whose new version is the ETag.", body = RecordingView),
        (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is longer than 20 MiB.", body = Problem, content_type = "application/problem+json"),
        (status = 507, description = "Recordings fill all the room they may have.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is no recording that can be played, or the prompt's name cannot be used.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_prompt_recording(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<Response> {
    let (expected, key) = (if_match(&headers)?, Key::new(Kind::Prompts, id));
    // Looked at before anything is kept; the hash is not known yet, and any will do.
    let (asked, any) = (key.clone(), json!({ "file": "0".repeat(64) }));
    blocking(&state, move |store| store.check_edit(&asked, Some(&any), expected)).await?;
    let kept = keep(&state, body).await?;
    let document = json!({ "file": kept.sha256 });
    let version = blocking(&state, move |store| store.edit(&key, Some(&document), expected)).await?;
    Ok(tagged(version, axum::Json(kept)))
}

/// Brings an upload to its kept form and stores it.
async fn keep(state: &AppState, body: Bytes) -> ApiResult<RecordingView> {
    let (sha256, bytes) = blocking(state, move |store| {
        let file = match sound::canonical(&body) {
            Ok(file) => file,
            Err(error) => return Ok(Err(unusable(&error))),
        };
        Ok::<_, StoreError>(Ok((store.add_recording(&file)?, file.len())))
    })
    .await??;
    Ok(Recording { sha256, bytes: u64::try_from(bytes).unwrap_or(u64::MAX) }.into())
}

fn unusable(error: &SoundError) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "recording_unusable",
        format!("The upload cannot be played: {error}."),
        "Send a WAV, MP3, FLAC, Ogg (Vorbis or FLAC) or M4A (AAC) file: 4 to 192 kHz, at most 8 channels and 10 minutes.",
    )
}

fn fifty() -> usize {
    50
}
