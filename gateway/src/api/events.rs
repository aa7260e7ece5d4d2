//! The event feed over HTTP: pages by cursor with long poll, and Server-Sent Events.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event as SseEvent, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::Query,
    problem::{ApiResult, Problem},
};
use crate::{
    feed::{CloudEvent, FeedPage, Wanted},
    identity::{Caller, permission::Permission},
    journal::EventKind,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_events)).routes(routes!(stream_events))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Events behind this cursor; 0 or nothing for all that are kept.
    #[serde(default)]
    after: u64,
    /// At most so many events.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
    /// How long to wait for a first event.
    #[serde(default)]
    #[param(maximum = 60, default = 0)]
    wait_seconds: u64,
    /// Only these types, separated by commas; `feed.gap` always comes.
    #[serde(rename = "type")]
    #[param(example = "contact.started,contact.ended")]
    kinds: Option<String>,
}

/// Read events behind a cursor, and wait for one if there is none.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    security(("key" = ["feed.read"])),
    tag = "feed",
    params(EventsQuery),
    responses(
        (status = 200, description = "Events in order, and the cursor to go on with.", body = FeedPage),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The cursor is behind the last event: was the gateway restored from a backup?", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_events(
    State(state): State<AppState>,
    Query(query): Query<EventsQuery>,
) -> ApiResult<axum::Json<FeedPage>> {
    if !(1..=LIMIT_MAX).contains(&query.limit) {
        return Err(Problem::bad_request(format!("`limit` is {}, not 1 to {LIMIT_MAX}.", query.limit)));
    }
    if query.wait_seconds > WAIT_SECONDS_MAX {
        let text = format!("`wait_seconds` is {}, more than {WAIT_SECONDS_MAX}.", query.wait_seconds);
        return Err(Problem::bad_request(text));
    }
    let wanted = Wanted { after: query.after, limit: query.limit, kinds: kinds(query.kinds.as_deref())? };
    let patience = Duration::from_secs(query.wait_seconds);
    let page = tokio::select! {
        page = state.feed.read_or_wait(wanted.clone(), patience) => page?,
        () = state.readiness.stopping() => state.feed.read(&wanted).await?,
    };
    Ok(axum::Json(page))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Events behind this cursor; the header `Last-Event-ID` goes before it.
    #[serde(default)]
    after: u64,
    /// Only these types, separated by commas; `feed.gap` always comes.
    #[serde(rename = "type")]
    kinds: Option<String>,
}

/// Follow the feed as Server-Sent Events.
///
/// Each has `id` (the cursor), `event` (the type) and `data` (the CloudEvent). A client that connects again
/// with `Last-Event-ID` misses nothing.
#[utoipa::path(
    get,
    path = "/api/v1/events/stream",
    security(("key" = ["feed.read"])),
    tag = "feed",
    params(StreamQuery, ("Last-Event-ID" = Option<u64>, Header, description = "The cursor to go on behind.")),
    responses(
        (status = 200, description = "The stream; it ends when the gateway stops, or the reader's key or session does.", content_type = "text/event-stream", body = String),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The cursor is behind the last event: was the gateway restored from a backup?", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn stream_events(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<StreamQuery>,
    headers: HeaderMap,
) -> ApiResult<Sse<impl Stream<Item = Result<SseEvent, Infallible>> + use<>>> {
    let after = match headers.get("last-event-id") {
        None => query.after,
        Some(id) => id
            .to_str()
            .ok()
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Problem::bad_request("`Last-Event-ID` is no cursor of this feed."))?,
    };
    let wanted = Wanted { after, limit: STREAM_PAGE, kinds: kinds(query.kinds.as_deref())? };
    state.feed.check(after).await?;
    let reading = Reading { state, caller, wanted, ready: VecDeque::new() };
    let events = stream::unfold(reading, |mut reading| async move {
        let event = reading.next().await?;
        Some((Ok(event), reading))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// A stream's place in the feed.
struct Reading {
    state: AppState,
    /// Who reads: for as long as he may.
    caller: Caller,
    wanted: Wanted,
    ready: VecDeque<CloudEvent>,
}

impl Reading {
    /// The next event; none when the gateway stops, the journal cannot be read, or the reader may read no longer.
    async fn next(&mut self) -> Option<SseEvent> {
        while self.ready.is_empty() {
            let page = tokio::select! {
                page = self.state.feed.read_or_wait(self.wanted.clone(), STREAM_PATIENCE) => page,
                () = self.state.readiness.stopping() => return None,
            };
            if !self.state.identity.still_may(&self.caller, Permission::FeedRead, Timestamp::now()) {
                return None;
            }
            match page {
                Ok(page) => {
                    self.wanted.after = page.next;
                    self.ready.extend(page.events);
                }
                Err(error) => {
                    // The client connects again with its last id, and misses nothing.
                    tracing::error!(error = &error as &dyn std::error::Error, "a stream of events ends");
                    return None;
                }
            }
        }
        let event = self.ready.pop_front()?;
        let json = serde_json::to_string(&event).ok()?;
        Some(SseEvent::default().id(event.sequence).event(event.kind.as_str()).data(json))
    }
}

fn kinds(text: Option<&str>) -> Result<Vec<EventKind>, Problem> {
    let names = text.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| {
            EventKind::parse(name)
                .ok_or_else(|| Problem::bad_request(format!("`{name}` is no type of event of this feed.")))
        })
        .collect()
}

fn default_limit() -> usize {
    100
}

const LIMIT_MAX: usize = 1000;
const WAIT_SECONDS_MAX: u64 = 60;
const STREAM_PAGE: usize = 200;
/// How long events are waited for before it is looked whether the reader still may.
const STREAM_PATIENCE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
