//! Files of chats: a visitor uploads one, names it in a message, and fetches what either side has named.

use axum::{
    Extension,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, header},
    response::Response,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AppState, PREFIX, problem, token_of, visitor};
use crate::{
    api::{
        extract::{Json, Query},
        files::{no_such_file, serve},
        health::Peer,
        problem::ApiResult,
    },
    chat::App,
    uploads::Upload,
};

/// The path of uploads.
const UPLOADS: &str = "/files";

/// What a file is called.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Called {
    #[serde(default)]
    name: Option<String>,
}

/// What messages name it by.
#[derive(Debug, Serialize)]
pub(super) struct Uploaded {
    upload: String,
    name: Option<String>,
    media_type: String,
    bytes: usize,
}

impl From<Upload> for Uploaded {
    fn from(Upload { id, name, media_type, bytes, .. }: Upload) -> Self {
        Self { upload: id, name, media_type, bytes }
    }
}

/// Takes a file, which is the whole body.
pub(super) async fn upload(
    State(state): State<AppState>,
    Extension(app): Extension<App>,
    peer: Option<Extension<Peer>>,
    Query(Called { name }): Query<Called>,
    headers: HeaderMap,
    body: Bytes,
) -> ApiResult<axum::Json<Uploaded>> {
    let visitor = visitor(&state, &app, &headers)?;
    let from = peer.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |Extension(Peer(peer))| peer.ip());
    let claimed = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let put =
        state.chats.upload((&app, &visitor), from, (name.as_deref(), claimed), body, Timestamp::now()).await;
    put.map(|upload| axum::Json(upload.into())).map_err(|refused| problem(&state.metrics.chat, refused))
}

/// Which file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wants {
    file: String,
}

/// Gives out a file that was named in the visitor's own thread. POST, as all of these: a GET from the gateway's own pages
/// would not name its origin.
pub(super) async fn fetch(
    State(state): State<AppState>,
    Extension(app): Extension<App>,
    headers: HeaderMap,
    Json(Wants { file }): Json<Wants>,
) -> ApiResult<Response> {
    let visitor = visitor(&state, &app, &headers)?;
    if !state.journal.reader().chat_has_file(visitor.thread(), file.clone()).await? {
        return Err(no_such_file());
    }
    serve(state.files.find(&file), "application/octet-stream").await
}

/// How long a body may be that a visitor uploads; none when this is no upload, or of nobody whom we know.
pub(in crate::api) fn upload_bytes_max(state: &AppState, request: &Request) -> Option<usize> {
    let (id, path) = request.uri().path().strip_prefix(PREFIX)?.split_once('/')?;
    if path != UPLOADS.trim_start_matches('/') || request.method() != Method::POST {
        return None;
    }
    let app = state.chats.app(id)?;
    state.chats.visitor(&app, token_of(request.headers()), Timestamp::now()).ok()?;
    Some(state.uploads.bytes_max())
}
