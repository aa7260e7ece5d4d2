//! Files of messages that lie at providers: how far they are, and trying again what was given up.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::{Path, Query},
    problem::{ApiResult, Problem},
};
use crate::journal::{MediaFilter, MediaReason, MediaRow, MediaState};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_message_media))
        .routes(routes!(read_message_media))
        .routes(routes!(retry_message_media))
        .routes(routes!(retry_all_message_media))
}

/// A file of a message that lay elsewhere when the message came.
#[derive(Debug, Serialize, ToSchema)]
struct MessageMediaView {
    /// Its id, `md_…`.
    id: String,
    /// The contact of the message.
    contact: String,
    /// Its conversation.
    conversation: String,
    /// The provider that brought the message.
    provider: String,
    /// The provider's id of the message.
    message_id: String,
    /// Its place in the message's `media`, from 0.
    place: u32,
    /// When the message came.
    #[schema(value_type = String, format = DateTime)]
    arrived: Timestamp,
    /// `pending`, `stored`, or `failed`: given up until it is tried anew.
    state: MediaState,
    /// Attempts so far, since it is tried.
    attempts: u32,
    /// When it is tried next, while it is pending.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<Timestamp>,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<MediaReason>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// `GET /api/v1/files/{file}` fetches it, once it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    /// Its size.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// What it is, by its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    /// What the provider says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    claimed_type: Option<String>,
    /// The name that the customer gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
}

impl From<MediaRow> for MessageMediaView {
    fn from(row: MediaRow) -> Self {
        Self {
            id: row.id,
            contact: row.contact.to_string(),
            conversation: row.conversation.to_string(),
            provider: row.provider.to_string(),
            message_id: row.message_id,
            place: row.place,
            arrived: row.arrived,
            state: row.state,
            attempts: row.attempts,
            due: (row.state == MediaState::Pending).then_some(row.due),
            reason: row.reason,
            detail: row.detail,
            file: row.file,
            bytes: row.bytes,
            media_type: row.media_type,
            claimed_type: row.claimed_type,
            file_name: row.file_name,
        }
    }
}

/// A page of files.
#[derive(Debug, Serialize, ToSchema)]
struct MessageMediaPage {
    /// The newest first.
    media: Vec<MessageMediaView>,
    /// Pass it as `before` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which files.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Those before this id: the `next` of a page.
    before: Option<String>,
    /// Only `pending`, `stored` or `failed` ones.
    #[param(inline)]
    state: Option<MediaState>,
    /// Only those of this conversation.
    conversation: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<usize>,
}

/// List the files of messages that lay at providers, the newest first: what is still to be fetched, what is kept, and what
/// was given up.
#[utoipa::path(get, path = "/api/v1/message-media", security(("key" = ["conversations.read"])), tag = "conversations", params(Wanted), responses(
    (status = 200, description = "A page.", body = MessageMediaPage),
    (status = 400, description = "A parameter cannot be read.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_message_media(
    State(state): State<AppState>,
    Query(Wanted { before, state: wanted, conversation, limit }): Query<Wanted>,
) -> ApiResult<axum::Json<MessageMediaPage>> {
    let limit = limit.unwrap_or(100);
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let filter = MediaFilter { before, state: wanted, conversation };
    let rows = state.journal.reader().media(filter, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.id.clone());
    Ok(axum::Json(MessageMediaPage { media: rows.into_iter().map(MessageMediaView::from).collect(), next }))
}

/// Read how far a file of a message is.
#[utoipa::path(get, path = "/api/v1/message-media/{id}", security(("key" = ["conversations.read"])), tag = "conversations",
    params(("id" = String, Path, description = "Its id, `md_…`, as in `media` of the message")),
    responses(
        (status = 200, description = "The file's state.", body = MessageMediaView),
        (status = 404, description = "No such file.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_message_media(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<MessageMediaView>> {
    let row = state.journal.reader().one_media(id).await?.ok_or_else(no_such_media)?;
    Ok(axum::Json(row.into()))
}

/// Fetch a file that was given up anew, with as many attempts as one that just came.
#[utoipa::path(post, path = "/api/v1/message-media/{id}/retry", security(("key" = ["conversations.write"])), tag = "conversations",
    params(("id" = String, Path, description = "Its id, `md_…`")),
    responses(
        (status = 202, description = "It is tried at once.", body = MessageMediaView),
        (status = 404, description = "No such file.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It was not given up.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn retry_message_media(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<(StatusCode, axum::Json<MessageMediaView>)> {
    state.journal.reader().one_media(id.clone()).await?.ok_or_else(no_such_media)?;
    if state.media_fetcher.retry(Some(id.clone())).await? == 0 {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "media_not_failed",
            "This file was not given up.",
            "Read its state: what is pending is tried by itself, what is stored is there.",
        ));
    }
    let row = state.journal.reader().one_media(id).await?.ok_or_else(no_such_media)?;
    Ok((StatusCode::ACCEPTED, axum::Json(row.into())))
}

/// How many are tried anew.
#[derive(Debug, Serialize, ToSchema)]
struct MessageMediaRetried {
    /// At most 1000: ask again until it is 0.
    retried: usize,
}

/// Fetch all files that were given up anew, the oldest first.
#[utoipa::path(post, path = "/api/v1/message-media/retry", security(("key" = ["conversations.write"])), tag = "conversations", responses(
    (status = 202, description = "They are tried at once.", body = MessageMediaRetried),
))]
async fn retry_all_message_media(
    State(state): State<AppState>,
) -> ApiResult<(StatusCode, axum::Json<MessageMediaRetried>)> {
    let retried = state.media_fetcher.retry(None).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(MessageMediaRetried { retried })))
}

fn no_such_media() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_media",
        "No file of a message has this id.",
        "Take it from `media` of a `message.received`; it is known as long as the contact is.",
    )
}
