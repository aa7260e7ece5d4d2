//! Consumers of the feed: their stored cursors, and the lease by which processes of one consumer take turns.

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::{Json, Path, Query},
    problem::{ApiResult, Problem},
};
use crate::journal::{Consumer, ConsumerChange};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_consumers))
        .routes(routes!(delete_consumer))
        .routes(routes!(read_cursor, store_cursor))
        .routes(routes!(take_lease, release_lease))
}

/// Every consumer that reads the feed by a name.
#[derive(Debug, Serialize, ToSchema)]
struct FeedConsumerList {
    /// By name.
    consumers: Vec<FeedConsumer>,
}

/// A consumer of the feed.
#[derive(Debug, Serialize, ToSchema)]
struct FeedConsumer {
    /// The consumer's name.
    name: String,
    /// The cursor it stored last.
    cursor: u64,
    /// Events behind its cursor, of all types.
    lag: u64,
    /// When it stored its cursor, or leased, last. After `journal.consumer_idle_days` without, events are no longer
    /// kept for it.
    #[schema(value_type = String, format = DateTime)]
    updated: jiff::Timestamp,
    /// Who reads for it now; nobody, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseView>,
}

/// The right to read for a consumer.
#[derive(Debug, Serialize, ToSchema)]
struct LeaseView {
    /// Who has it.
    holder: String,
    /// Which it is; it is sent when a cursor is stored, and to renew the lease or give it back.
    epoch: u64,
    /// When it ends, unless it is renewed.
    #[schema(value_type = String, format = DateTime)]
    expires: jiff::Timestamp,
}

/// Where a consumer stands.
#[derive(Debug, Serialize, ToSchema)]
struct ConsumerCursor {
    /// The consumer's name.
    name: String,
    /// The cursor it stored last.
    cursor: u64,
    /// The lease that was used, renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseView>,
}

/// A move of a consumer's cursor.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CursorMove {
    /// Where it stands, as far as the consumer knows; 0 when it never stored one.
    expected: u64,
    /// Where it shall stand.
    cursor: u64,
    /// The lease's epoch, for a consumer that several processes read for. It is renewed by this.
    epoch: Option<u64>,
}

/// A wish to read for a consumer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LeaseWish {
    /// The process that reads, in words of its own; another for each process.
    #[schema(min_length = 1, max_length = 128)]
    holder: String,
    /// For how long, unless renewed.
    #[serde(default = "default_seconds")]
    #[schema(minimum = 5, maximum = 600, default = 30)]
    seconds: u32,
    /// The lease to renew. Absent: a new one, which a process that has just started asks for.
    epoch: Option<u64>,
    /// Where a consumer that there was not yet begins.
    #[serde(default)]
    from: Beginning,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Beginning {
    /// At the oldest event that is kept.
    #[default]
    Oldest,
    /// With what comes from now on.
    Newest,
}

/// A lease to give back.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LeaseEnd {
    /// Its epoch.
    epoch: u64,
}

/// List the consumers that have a stored cursor, and how far behind they are.
#[utoipa::path(
    get,
    path = "/api/v1/consumers",
    security(("key" = ["feed.read"])),
    tag = "feed",
    responses((status = 200, description = "All of them; those told by webhook have a list of their own.", body = FeedConsumerList)),
)]
async fn list_consumers(State(state): State<AppState>) -> ApiResult<axum::Json<FeedConsumerList>> {
    let last = state.journal.reader().last_seq().await?;
    let consumers = state.journal.reader().consumers().await?;
    let reads = consumers.into_iter().filter(|consumer| check_name(&consumer.name).is_ok());
    Ok(axum::Json(FeedConsumerList { consumers: reads.map(|consumer| view(consumer, last)).collect() }))
}

/// Forget a consumer and its cursor. Events are no longer kept for it.
#[utoipa::path(
    delete,
    path = "/api/v1/consumers/{name}",
    security(("key" = ["feed.consume"])),
    tag = "feed",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `-`, `_`, `.`")),
    responses(
        (status = 204, description = "It is no more."),
        (status = 404, description = "There is none of this name.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Somebody reads for it now; `more.expires` says until when.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete_consumer(State(state): State<AppState>, Path(name): Path<String>) -> ApiResult<StatusCode> {
    check_name(&name)?;
    state.journal.change_consumer(name, ConsumerChange::Forget).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read a consumer's stored cursor.
#[utoipa::path(
    get,
    path = "/api/v1/consumers/{name}/cursor",
    security(("key" = ["feed.read"])),
    tag = "feed",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `-`, `_`, `.`")),
    responses(
        (status = 200, description = "The cursor.", body = ConsumerCursor),
        (status = 404, description = "This consumer stored none.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_cursor(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> ApiResult<axum::Json<ConsumerCursor>> {
    check_name(&name)?;
    match state.journal.reader().cursor(name.clone()).await? {
        Some(cursor) => Ok(axum::Json(ConsumerCursor { name, cursor, lease: None })),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_consumer",
            "This consumer has no stored cursor.",
            "Store one with `expected` 0; reading then starts at the oldest event that is kept.",
        )),
    }
}

/// Store a consumer's cursor, if it still stands where the consumer thinks. What lies behind a stored
/// cursor is not trimmed while its consumer is active.
///
/// While somebody has the consumer's lease, only its `epoch` may store, which renews it.
#[utoipa::path(
    put,
    path = "/api/v1/consumers/{name}/cursor",
    security(("key" = ["feed.consume"])),
    tag = "feed",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `-`, `_`, `.`")),
    request_body = CursorMove,
    responses(
        (status = 200, description = "Stored, and on the disk.", body = ConsumerCursor),
        (status = 409, description = "It stands elsewhere (`cursor_moved`; `more.cursor` says where), or another process reads now (`lease_held`, `lease_lost`).", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It would stand behind the last event.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn store_cursor(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(to): Json<CursorMove>,
) -> ApiResult<axum::Json<ConsumerCursor>> {
    check_name(&name)?;
    let CursorMove { expected, cursor, epoch } = to;
    let moved = ConsumerChange::Move { expected, cursor, epoch };
    let Consumer { name, cursor, lease, .. } = state.journal.change_consumer(name, moved).await?;
    Ok(axum::Json(ConsumerCursor { name, cursor, lease: lease.map(lease_view) }))
}

/// Ask to be the one that reads for a consumer, or go on being it.
///
/// Of several processes of one consumer, one reads and stores cursors at a time; the others ask again until its lease
/// ends. A consumer that there was not yet begins by this.
#[utoipa::path(
    post,
    path = "/api/v1/consumers/{name}/lease",
    security(("key" = ["feed.consume"])),
    tag = "feed",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `-`, `_`, `.`")),
    request_body = LeaseWish,
    responses(
        (status = 200, description = "You read: go on behind `cursor`, and store with `lease.epoch`.", body = FeedConsumer),
        (status = 409, description = "Another one reads (`lease_held`; `more` says until when, and where the cursor stands), or your lease has gone to another (`lease_lost`).", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "There are as many consumers as there may be.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn take_lease(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Json(wish): Json<LeaseWish>,
) -> ApiResult<axum::Json<FeedConsumer>> {
    check_name(&name)?;
    let LeaseWish { holder, seconds, epoch, from } = wish;
    if !(1..=128).contains(&holder.len()) {
        return Err(Problem::bad_request("`holder` is not 1 to 128 bytes long."));
    }
    if !(5..=600).contains(&seconds) {
        return Err(Problem::bad_request(format!("`seconds` is {seconds}, not 5 to 600.")));
    }
    let lease = ConsumerChange::Lease { holder, seconds, epoch, from_newest: from == Beginning::Newest };
    let consumer = state.journal.change_consumer(name, lease).await?;
    let last = state.journal.reader().last_seq().await?;
    Ok(axum::Json(view(consumer, last)))
}

/// Give a lease back, so that another process need not wait for its end.
#[utoipa::path(
    delete,
    path = "/api/v1/consumers/{name}/lease",
    security(("key" = ["feed.consume"])),
    tag = "feed",
    params(("name" = String, Path, description = "1 to 64 letters, digits, `-`, `_`, `.`"), LeaseEnd),
    responses(
        (status = 204, description = "Given back."),
        (status = 409, description = "It is not, or no longer, the consumer's lease.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn release_lease(
    State(state): State<AppState>,
    Path(name): Path<String>,
    Query(LeaseEnd { epoch }): Query<LeaseEnd>,
) -> ApiResult<StatusCode> {
    check_name(&name)?;
    state.journal.change_consumer(name, ConsumerChange::Release { epoch }).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(consumer: Consumer, last: u64) -> FeedConsumer {
    let Consumer { name, cursor, updated, lease } = consumer;
    FeedConsumer { name, cursor, lag: last.saturating_sub(cursor), updated, lease: lease.map(lease_view) }
}

fn lease_view(lease: crate::journal::Lease) -> LeaseView {
    LeaseView { holder: lease.holder, epoch: lease.epoch, expires: lease.until }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(Problem::bad_request("A consumer's name is 1 to 64 letters, digits, `-`, `_` or `.`."))
}

fn default_seconds() -> u32 {
    30
}
