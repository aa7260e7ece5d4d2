//! `Idempotency-Key`: a POST that is sent again under the same key is answered as it was, and not done again.
//!
//! Keys stand in a file of their own, `idempotency.db`, so that a client may ask again after a restart of ours. What is
//! kept is the answer to what was done (2xx); whatever was refused or failed may be tried again under the same key. A
//! request that was under way when the process died is answered 409: nobody knows whether it was done.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use parking::Kept;
use sha2::{Digest as _, Sha256};

use super::{AppState, problem::Problem};
use crate::{identity::Caller, telemetry::ApiMetrics};

mod parking;

/// The header.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Paths that are left alone. An import may be too long to be held, and changes nothing when it comes again. A purchase of a
/// number has a record by its key, whose answer goes on changing after the first.
const LEFT_ALONE: [&str; 2] = [super::entry_points::IMPORT_PATH, "/api/v1/numbers/purchases"];

/// Longest key, bytes.
const KEY_BYTES_MAX: usize = 255;

/// Longest answer that is kept, bytes; none of ours is longer.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Keys and the answers given under them; cheap to clone.
#[derive(Clone, Debug)]
pub struct Idempotency {
    table: Arc<parking::Table>,
    metrics: ApiMetrics,
}

impl Idempotency {
    /// Opens the file in the data folder.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(folder: &Path, kept: Duration, keys_max: u64, metrics: ApiMetrics) -> rusqlite::Result<Self> {
        let table = parking::Table::open(&folder.join("idempotency.db"), kept, keys_max)?;
        Ok(Self { table: Arc::new(table), metrics })
    }

    /// Forgets the answers in which something stands.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn erase(&self, text: String) -> rusqlite::Result<()> {
        let table = self.table.clone();
        let erased = tokio::task::spawn_blocking(move || table.erase(&text)).await;
        erased.unwrap_or(Err(rusqlite::Error::InvalidQuery))
    }
}

/// Looks a POST's key up, and keeps its answer.
pub(super) async fn once(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if request.method() == Method::GET {
        return next.run(request).await;
    }
    // A client that goes away leaves nothing half done, unsaid in the audit log, or free to be done again under the same key.
    to_its_end(done_once(state, request, next)).await
}

/// Answers a request in a task of its own, which goes on when the client goes away: only its answer is lost.
pub(super) async fn to_its_end(answer: impl Future<Output = Response> + Send + 'static) -> Response {
    match tokio::spawn(answer).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "a request met a fault in the gateway");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The request met a fault in the gateway.",
                "Read what the request was to change before it is sent again; the gateway's log says more.",
            )
            .into_response()
        }
    }
}

async fn done_once(state: AppState, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || LEFT_ALONE.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let Some(key) = request.headers().get(KEY).cloned() else { return next.run(request).await };
    match answer(&state, &key, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn answer(
    state: &AppState,
    key: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let text = key.to_str().unwrap_or_default();
    if text.is_empty() || text.len() > KEY_BYTES_MAX {
        return Err(Problem::bad_request(format!(
            "`Idempotency-Key` is 1 to {KEY_BYTES_MAX} printable characters."
        )));
    }
    let (parts, body) = request.into_parts();
    // The guard before has read the body within its limits already.
    let body = to_bytes(body, usize::MAX).await.map_err(|_| Problem::bad_request("The body broke off."))?;
    let who = parts.extensions.get::<Caller>().map_or("", |caller| caller.id.as_str());
    let name = hash([who.as_bytes(), text.as_bytes()]);
    let what = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let print = hash([what.as_bytes(), &body]);
    let table = state.idempotency.table.clone();
    let asked = name.clone();
    let kept = blocking(move || table.begin(&asked, &print)).await?;
    match kept {
        Kept::Free { forgotten } => state.idempotency.metrics.idempotency_forgotten.inc_by(forgotten),
        Kept::UnderWay => return Err(under_way()),
        Kept::Unknown => return Err(unknown()),
        Kept::Other => return Err(other()),
        Kept::Answered(answer) => {
            state.idempotency.metrics.idempotency_replayed.inc();
            return Ok(replay(answer));
        }
    }
    // Given back when the handler panics or its client goes away.
    let place = Place { table: state.idempotency.table.clone(), name: Some(name) };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    keep(place, response).await
}

/// Keeps an answer before it is given.
async fn keep(mut place: Place, response: Response) -> Result<Response, Problem> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|_| unknown())?;
    let text =
        |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok().map(str::to_owned));
    let answer = parking::Answer {
        status: parts.status.as_u16(),
        kind: text(header::CONTENT_TYPE),
        location: text(header::LOCATION),
        tag: text(header::ETAG),
        body: body.to_vec(),
    };
    if let Some(name) = place.name.take() {
        let table = place.table.clone();
        // The deed is done: an answer that cannot be kept must still be given.
        if let Err(problem) = blocking(move || table.finish(&name, &answer)).await {
            tracing::error!(detail = problem.detail, "the answer to an idempotent request cannot be kept");
        }
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn replay(answer: parking::Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Bytes::from(answer.body)).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    for (name, text) in
        [(header::CONTENT_TYPE, answer.kind), (header::LOCATION, answer.location), (header::ETAG, answer.tag)]
    {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The place of a request under way; dropping it lets the key be used anew.
struct Place {
    table: Arc<parking::Table>,
    name: Option<String>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            self.table.give_up(&name);
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let failed = |detail: String| {
        tracing::error!(error = detail, "the file of idempotency keys failed");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            detail,
            "Try again in a moment; if it stays, look at the gateway's log and its disk.",
        )
    };
    match crate::blocking::blocking(work).await {
        Ok(result) => result.map_err(|error| failed(error.to_string())),
        Err(_) => Err(failed("the request met a fault in the gateway".to_owned())),
    }
}

fn under_way() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "request_under_way",
        "A request with this Idempotency-Key is being answered.",
        "Send it again in a moment.",
    )
}

fn unknown() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "outcome_unknown",
        "The gateway stopped while it answered a request with this Idempotency-Key.",
        "Read what the request was to change, and send it under a new key if it is still needed.",
    )
}

fn other() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_key_reused",
        "This Idempotency-Key was used for another request.",
        "Use a new key for each request that is not a repetition.",
    )
}

/// Each part with its length before it, so that no two lists look the same.
fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
