//! Files that came with messages.

use std::io;

use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::Stream;
use tokio::io::AsyncReadExt;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::Path,
    problem::{ApiResult, Problem},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read_file))
}

/// Fetch a file that came with a message. Its name and the media type that the sender claims are in the event. It was
/// made by a stranger: it is served as bytes to be saved, never to be shown.
#[utoipa::path(get, path = "/api/v1/files/{sha256}", tag = "conversations",
    params(("sha256" = String, Path, description = "The file's id in events: the SHA-256 of its bytes, in small hex digits")),
    responses(
        (status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "No such file, or not any more.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_file(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<Response> {
    let path = state.files.find(&id).ok_or_else(no_such_file)?;
    let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(&error))?;
    let length = file.metadata().await.map_err(|error| unreadable(&error))?.len();
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
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
pub(super) fn in_pieces(file: tokio::fs::File) -> impl Stream<Item = io::Result<Vec<u8>>> {
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

fn no_such_file() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_file",
        "No file with this hash is kept.",
        "Take the id from `file` of an attachment; files are kept as long as contacts are.",
    )
}
