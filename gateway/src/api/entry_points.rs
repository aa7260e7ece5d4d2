//! Entry points: where each leads and why, exceptions, SLAs, arming; and the default inboxes of channels.
//!
//! Changes are acts of one step (`acts.rs`).

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::document::{EntryPointDoc, EntryPointRef, Key, Kind};

use std::collections::BTreeMap;

use super::{
    AppState,
    acts::{How, act, if_unchanged, with_tag},
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
    routing::blocking,
};

mod channels;
mod import;
mod lines;
mod many;
mod view;

pub use import::Imports;
pub(super) use import::PATH as IMPORT_PATH;
use view::{EntryPointView, view};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(view::list_entry_points))
        .routes(routes!(read_entry_point, put_entry_point, patch_entry_point, delete_entry_point))
        .merge(many::routes())
        .merge(import::routes())
        .merge(channels::routes())
}

/// Read an entry point: where it leads and why, its SLA, and what uses it.
#[utoipa::path(get, path = "/api/v1/entry-points/{channel}/{address}", security(("key" = ["routing.read"])), tag = "entry-points",
    params(
        ("channel" = String, Path, description = "`voice`, `sms`, `chat`, `email`, `ivr` …"),
        ("address" = String, Path, description = "The address, percent-encoded: `+14155550100`, `ivr_main%2Fexit_sales`"),
    ),
    responses(
        (status = 200, description = "The entry point, and under `used_by` what uses it; its ETag names the revision that changed it last.", body = Object),
        (status = 400, description = "The address does not fit the channel.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such entry point.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_entry_point(
    State(state): State<AppState>,
    Path((channel, address)): Path<(String, String)>,
) -> ApiResult<Response> {
    let (reference, key) = parse(&channel, &address)?;
    let (since, view) = look(&state, &reference, &key).await?.ok_or_else(|| no_entry_point(&reference))?;
    let used = blocking(&state, move |store| store.usage(&key)).await?;
    let mut value = serde_json::to_value(view).unwrap_or_default();
    if let Value::Object(fields) = &mut value {
        fields.insert("used_by".to_owned(), json!(used));
    }
    Ok(with_tag(since, axum::Json(value).into_response()))
}

/// Set an entry point up: its exception, its SLA, and whether it is armed. What is left out of `inbox` and `sla_minutes`
/// is inherited; `armed` stays as it was.
#[utoipa::path(put, path = "/api/v1/entry-points/{channel}/{address}", security(("key" = ["routing.publish"])), tag = "entry-points",
    params(
        ("channel" = String, Path, description = "The channel"), ("address" = String, Path, description = "The address"), How,
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = view::EntryPointBody,
    responses(
        (status = 200, description = "What came of it, and the entry point as it is now.", body = Object),
        (status = 400, description = "The address does not fit the channel, or the body cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Somebody else changed it since it was read.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_entry_point(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(names): Path<(String, String)>,
    Query(how): Query<How>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> ApiResult<Response> {
    change(&state, author, names, (how, &headers), move |_| Some(body.clone())).await
}

/// Change some of an entry point's settings (JSON merge patch, RFC 7396): null takes an exception or an SLA away.
#[utoipa::path(patch, path = "/api/v1/entry-points/{channel}/{address}", security(("key" = ["routing.publish"])), tag = "entry-points",
    params(
        ("channel" = String, Path, description = "The channel"), ("address" = String, Path, description = "The address"), How,
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = view::EntryPointBody,
    responses(
        (status = 200, description = "What came of it, and the entry point as it is now.", body = Object),
        (status = 400, description = "The address does not fit the channel, or the body cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Somebody else changed it since it was read.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn patch_entry_point(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(names): Path<(String, String)>,
    Query(how): Query<How>,
    headers: HeaderMap,
    Json(patch): Json<Value>,
) -> ApiResult<Response> {
    change(&state, author, names, (how, &headers), move |before| {
        let mut body = before.unwrap_or_else(|| json!({}));
        super::routing::merge(&mut body, patch.clone());
        Some(body)
    })
    .await
}

/// Forget an entry point's settings: its contacts go to the channel's default inbox again. A mailbox or an account that
/// is an entry point only by its settings is none any more.
#[utoipa::path(delete, path = "/api/v1/entry-points/{channel}/{address}", security(("key" = ["routing.publish"])), tag = "entry-points",
    params(
        ("channel" = String, Path, description = "The channel"), ("address" = String, Path, description = "The address"), How,
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    responses(
        (status = 200, description = "What came of it, and the entry point as it is now, or null.", body = Object),
        (status = 400, description = "The address does not fit the channel.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such entry point.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Somebody else changed it since it was read.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn delete_entry_point(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(names): Path<(String, String)>,
    Query(how): Query<How>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (reference, key) = parse(&names.0, &names.1)?;
    look(&state, &reference, &key).await?.ok_or_else(|| no_entry_point(&reference))?;
    change(&state, author, names, (how, &headers), |_| None).await
}

async fn change(
    state: &AppState,
    author: String,
    (channel, address): (String, String),
    (how, headers): (How, &HeaderMap),
    next: impl Fn(Option<Value>) -> Option<Value> + Send + 'static,
) -> ApiResult<Response> {
    let (reference, key) = parse(&channel, &address)?;
    let expected = if_unchanged(headers)?;
    let note = format!("Entry point {reference}");
    let wanted = key.clone();
    let done = act(state, author, (how, note), move |reader| {
        let before = reader.live_at(&wanted, expected)?.body;
        Ok(BTreeMap::from([(wanted.clone(), next(before))]))
    })
    .await?;
    let now = look(state, &reference, &key).await?;
    let (since, entry_point) = now.map_or((0, None), |(since, view)| (since, Some(view)));
    let body = json!({ "done": done.value(), "entry_point": entry_point });
    Ok(with_tag(since, (StatusCode::OK, axum::Json(body)).into_response()))
}

/// An entry point as it is now; none when there is none.
async fn look(
    state: &AppState,
    reference: &EntryPointRef,
    key: &Key,
) -> ApiResult<Option<(u64, EntryPointView)>> {
    let asked = key.clone();
    let live = blocking(state, move |store| store.live(&asked)).await?;
    if live.body.is_none() && !view::is_by_itself(state, reference) {
        return Ok(None);
    }
    let active = state.store.active().load();
    let body: EntryPointDoc =
        live.body.and_then(|body| serde_json::from_value(body).ok()).unwrap_or_default();
    Ok(Some((live.since, view(&active, reference, &body))))
}

/// Reads the two parts of a name.
fn parse(channel: &str, address: &str) -> ApiResult<(EntryPointRef, Key)> {
    let reference = EntryPointRef::parse(&format!("{channel}/{address}")).map_err(|reason| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_address",
            format!("This is no entry point: {reason}."),
            "Write channel/address, such as voice/+14155550100 or ivr/ivr_main%2Fsales.",
        )
    })?;
    let key = Key::new(Kind::EntryPoints, reference.to_string());
    Ok((reference, key))
}

fn no_entry_point(reference: &EntryPointRef) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_entry_point",
        format!("There is no entry point {reference}."),
        "List the entry points to find it, or put it.",
    )
}
