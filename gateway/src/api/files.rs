//! Files that came with messages, and those that answers will bring.

use std::io;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::{Path, Query},
    problem::{ApiResult, Problem},
};
use crate::uploads::{NotUploaded, Owner, Upload};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read_file)).routes(routes!(upload_file)).routes(routes!(read_mail))
}

/// The path of uploads.
const UPLOADS: &str = "/api/v1/files";

/// Whether a request uploads a file.
pub(super) fn is_upload(request: &Request) -> bool {
    request.method() == Method::POST && request.uri().path() == UPLOADS
}

/// What a file is called.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Called {
    /// Its name; folders are cut off.
    name: Option<String>,
}

/// A file that waits to be named in a message.
#[derive(Debug, Serialize, ToSchema)]
struct UploadView {
    /// What `files` of a message names it by, `up_…`. Without that it is removed after some hours.
    upload: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What it is, by its bytes.
    media_type: String,
    /// Its size.
    bytes: usize,
}

/// Upload a file that an answer in a chat will name: the whole body is the file.
#[utoipa::path(post, path = "/api/v1/files", security(("key" = ["conversations.write"])), tag = "conversations", params(Called),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "It is on the disk.", body = UploadView),
        (status = 413, description = "It is larger than chat.file_bytes_max.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Files of its type are not kept (message_media.types).", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many come at once, or uploads fill the room that they may have.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn upload_file(
    State(state): State<AppState>,
    Query(Called { name }): Query<Called>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<(StatusCode, axum::Json<UploadView>)> {
    let claimed = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let upload = state.uploads.put(Owner::Api, (name.as_deref(), claimed), body).await?;
    let Upload { id, name, media_type, bytes, .. } = upload;
    Ok((StatusCode::CREATED, axum::Json(UploadView { upload: id, name, media_type, bytes })))
}

impl From<NotUploaded> for Problem {
    fn from(error: NotUploaded) -> Self {
        let (status, code, remedy) = match error {
            NotUploaded::Empty => (StatusCode::BAD_REQUEST, "no_file", "Send the file as the whole body."),
            NotUploaded::TooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "file_too_large",
                "Send a smaller one, or raise chat.file_bytes_max.",
            ),
            NotUploaded::WrongType(_) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "file_type_not_taken",
                "Send it in another form, or add its type to message_media.types.",
            ),
            NotUploaded::Full => (
                StatusCode::SERVICE_UNAVAILABLE,
                "uploads_full",
                "Try again later; the operator raises chat.uploads_bytes_max.",
            ),
            NotUploaded::Unwritable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "files_unavailable", "Look at the disk of the data folder.")
            }
        };
        Self::new(status, code, format!("{error}."), remedy)
    }
}

/// As many files come in as may at once.
pub(super) fn too_many_uploads() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_uploads",
        "As many files are coming in as may at once.",
        "Send it again in a moment; the operator raises chat.uploads_parallel_max.",
    )
}

/// Fetch a file that came with a message. Its name and the media type that the sender claims are in the event. It was
/// made by a stranger: it is served as bytes to be saved, never to be shown.
#[utoipa::path(get, path = "/api/v1/files/{sha256}", security(("key" = ["conversations.read"])), tag = "conversations",
    params(("sha256" = String, Path, description = "The file's id in events: the SHA-256 of its bytes, in small hex digits")),
    responses(
        (status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "No such file, or not any more.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_file(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<Response> {
    serve(state.files.find(&id), "application/octet-stream").await
}

/// Fetch a mail as it came, with its headers: `raw` of the message in events. It was made by a stranger: it is served to
/// be saved, never to be shown.
#[utoipa::path(get, path = "/api/v1/mails/{sha256}", security(("key" = ["conversations.read"])), tag = "conversations",
    params(("sha256" = String, Path, description = "The mail's id in events: the SHA-256 of its bytes, in small hex digits")),
    responses(
        (status = 200, description = "The mail.", body = Vec<u8>, content_type = "message/rfc822"),
        (status = 404, description = "No such mail, or not any more.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_mail(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<Response> {
    serve(state.mails.find(&id), "message/rfc822").await
}

/// A file as something to be saved.
pub(super) async fn serve(path: Option<std::path::PathBuf>, media_type: &'static str) -> ApiResult<Response> {
    let path = path.ok_or_else(no_such_file)?;
    let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(&error))?;
    let length = file.metadata().await.map_err(|error| unreadable(&error))?.len();
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
        // What has this name never changes.
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned()),
    ];
    Ok((headers, Body::from_stream(in_pieces(file))).into_response())
}

/// A file piece by piece: it may be larger than what should be held in memory.
pub(super) fn in_pieces(file: impl AsyncRead + Unpin) -> impl Stream<Item = io::Result<Vec<u8>>> {
    futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then_some((piece, file)))
    })
}

const PIECE_BYTES: usize = 64 << 10;

fn unreadable(error: &io::Error) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "files_unavailable",
        format!("The folder of files cannot be used: {error}."),
        "Look at the disk of the data folder.",
    )
}

pub(super) fn no_such_file() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_file",
        "No file with this hash is kept.",
        "Take the id from `file` of an attachment or `raw` of a mail; files are kept as long as contacts are, mails for `mail.raw_days_kept`.",
    )
}
