//! Acts of one step: what a request changes becomes a revision of its own at once, or goes into the draft.
//!
//! A one-step act leaves the draft of others alone, and says in its note what it did. With `?draft=true` the same change
//! waits in the draft for the next publish.

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};
use vestibule_config::{
    document::Key,
    store::{Published, Reader, StoreError},
};

use std::collections::BTreeMap;

use super::{
    AppState,
    problem::{ApiResult, Problem},
    routing::blocking,
};

/// How an act is to be done.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Puts the change into the draft in place of publishing it at once.
    #[serde(default)]
    #[param(default = false)]
    draft: bool,
    /// Why, 1 to 500 characters; what was done, when absent.
    #[param(min_length = 1, max_length = 500)]
    note: Option<String>,
}

/// What came of an act.
#[derive(Clone, Copy, Debug)]
pub(super) enum Done {
    /// It is active, by this revision.
    Published(u64),
    /// It was so before.
    Unchanged,
    /// It stands in the draft, whose version this is.
    Drafted(u64),
    /// It waits for a second person, as this request.
    Requested(u64),
}

impl Done {
    fn of(result: Result<Option<Published>, StoreError>) -> Result<Self, StoreError> {
        match result {
            Ok(Some(published)) => Ok(Self::Published(published.revision.number)),
            Ok(None) => Ok(Self::Unchanged),
            Err(StoreError::AwaitsSecond(request)) => Ok(Self::Requested(request.id)),
            Err(error) => Err(error),
        }
    }

    /// As JSON.
    pub(super) fn value(self) -> Value {
        match self {
            Self::Published(revision) => json!({ "published": true, "revision": revision }),
            Self::Unchanged => json!({ "published": true, "revision": null }),
            Self::Drafted(version) => json!({ "published": false, "draft_version": version }),
            Self::Requested(request) => json!({ "published": false, "request": request }),
        }
    }
}

type Changes = BTreeMap<Key, Option<Value>>;

/// Carries an act out.
pub(super) async fn act(
    state: &AppState,
    author: String,
    (how, note): (How, String),
    change: impl Fn(&Reader<'_>) -> Result<Changes, StoreError> + Send + 'static,
) -> ApiResult<Done> {
    let note: String = how.note.unwrap_or(note).chars().take(NOTE_CHARS_MAX).collect();
    if how.draft {
        let version = blocking(state, move |store| store.edit_some(change)).await?;
        return Ok(Done::Drafted(version));
    }
    blocking(state, move |store| Done::of(store.act(&author, &note, change))).await
}

/// Carries an act of operation out: it waits for no second person.
pub(super) async fn act_at_once(
    state: &AppState,
    author: String,
    (how, note): (How, String),
    change: impl Fn(&Reader<'_>) -> Result<Changes, StoreError> + Send + 'static,
) -> ApiResult<Done> {
    if how.draft {
        return act(state, author, (how, note), change).await;
    }
    let note: String = how.note.unwrap_or(note).chars().take(NOTE_CHARS_MAX).collect();
    blocking(state, move |store| Done::of(store.act_at_once(&author, &note, change))).await
}

/// The tag of an object that a revision changed last.
pub(super) fn tag(since: u64) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"r{since}\"")).ok()
}

/// An answer that carries an object's tag.
pub(super) fn with_tag(since: u64, mut response: Response) -> Response {
    if let Some(tag) = tag(since) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The revision of an object that the client says it read.
pub(super) fn if_unchanged(headers: &HeaderMap) -> ApiResult<Option<u64>> {
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number =
        text.strip_prefix("\"r").and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| Problem::bad_request("`If-Match` is no ETag of this object."))
}

const NOTE_CHARS_MAX: usize = 500;
