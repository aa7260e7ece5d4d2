//! Blocked callers: the list that `settings.block_list` names, one number at a time.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    document::{Key, Kind},
    store::{Reader, StoreError},
};
use vestibule_routing::address::E164;

use super::{
    AppState,
    acts::{How, act_at_once},
    extract::{Actor, Path, Query},
    problem::{ApiResult, Problem},
};

/// The list that is made when there is none.
const LIST: &str = "blocked_callers";

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_blocked)).routes(routes!(block_caller, unblock_caller))
}

/// A page of blocked callers.
#[derive(Debug, Serialize, ToSchema)]
struct Blocked {
    /// The list, `null` when nobody was ever blocked.
    list: Option<String>,
    /// Numbers, in their order.
    numbers: Vec<String>,
    /// Beginnings of numbers.
    prefixes: Vec<String>,
    /// Whether callers without a number are blocked.
    anonymous: bool,
    /// The last number of the page; null at the end.
    next: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BlockedQuery {
    /// Numbers behind this one: the `next` of the page before.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: usize,
}

/// List the callers who are refused before anything else.
#[utoipa::path(get, path = "/api/v1/blocked-callers", security(("key" = ["routing.read"])), tag = "blocked-callers", params(BlockedQuery), responses(
    (status = 200, description = "A page of numbers; prefixes stand on every page.", body = Blocked),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_blocked(
    State(state): State<AppState>,
    Query(BlockedQuery { after, limit }): Query<BlockedQuery>,
) -> ApiResult<axum::Json<Blocked>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let plan = state.store.active().load().plan.clone();
    let id = plan.block_list.clone();
    let list = id.as_ref().and_then(|id| plan.lists.get(id));
    let mut numbers: Vec<String> =
        list.iter().flat_map(|list| list.numbers.iter()).map(ToString::to_string).collect();
    numbers.sort_unstable();
    numbers.retain(|number| after.as_ref().is_none_or(|after| number > after));
    let more = numbers.len() > limit;
    numbers.truncate(limit);
    Ok(axum::Json(Blocked {
        list: id.map(|id| id.to_string()),
        prefixes: list.map(|list| list.prefixes.clone()).unwrap_or_default(),
        anonymous: list.is_some_and(|list| list.anonymous),
        next: numbers.last().filter(|_| more).cloned(),
        numbers,
    }))
}

/// Block a caller, at once: the next call is refused (603, or what `settings.reject_codes.blocked` says).
#[utoipa::path(put, path = "/api/v1/blocked-callers/{number}", security(("key" = ["routing.publish"])), tag = "blocked-callers",
    params(("number" = String, Path, description = "The caller, `+14155550123`"), How),
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "This is no number.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn block_caller(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(number): Path<String>,
    Query(how): Query<How>,
) -> ApiResult<axum::Json<Value>> {
    let number = parse(&number)?.to_string();
    let note = "Blocked a caller".to_owned();
    let done = act_at_once(&state, author, (how, note), move |reader| {
        let (mut changes, list) = block_list(reader)?;
        let mut body = reader.live(&list)?.body.unwrap_or_else(|| json!({}));
        with_numbers(&mut body, |numbers| {
            if !numbers.iter().any(|known| known == number.as_str()) {
                numbers.push(number.clone().into());
            }
        });
        changes.insert(list, Some(body));
        Ok(changes)
    })
    .await?;
    Ok(axum::Json(json!({ "done": done.value() })))
}

/// Let a blocked caller in again. Prefixes that hold the number stay.
#[utoipa::path(delete, path = "/api/v1/blocked-callers/{number}", security(("key" = ["routing.publish"])), tag = "blocked-callers",
    params(("number" = String, Path, description = "The caller"), How),
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "This is no number.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "It is not blocked by itself.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn unblock_caller(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(number): Path<String>,
    Query(how): Query<How>,
) -> ApiResult<axum::Json<Value>> {
    let number = parse(&number)?;
    let plan = state.store.active().load().plan.clone();
    let list = plan.block_list.as_ref().and_then(|id| plan.lists.get(id));
    if !list.is_some_and(|list| list.numbers.contains(&number)) {
        let detail = "This number is not in the list of blocked callers.";
        return Err(Problem::new(
            axum::http::StatusCode::NOT_FOUND,
            "not_blocked",
            detail,
            "List the blocked callers; a prefix may hold it.",
        ));
    }
    let (number, note) = (number.to_string(), "Let a blocked caller in again".to_owned());
    let done = act_at_once(&state, author, (how, note), move |reader| {
        let (_, list) = block_list(reader)?;
        let mut body = reader.live(&list)?.body.unwrap_or_else(|| json!({}));
        with_numbers(&mut body, |numbers| numbers.retain(|known| known != number.as_str()));
        Ok(BTreeMap::from([(list, Some(body))]))
    })
    .await?;
    Ok(axum::Json(json!({ "done": done.value() })))
}

type Changes = BTreeMap<Key, Option<Value>>;

/// The list of blocked callers, with what makes it one when there is none.
fn block_list(reader: &Reader<'_>) -> Result<(Changes, Key), StoreError> {
    let settings = Key::new(Kind::Settings, Key::SETTINGS_ID);
    let mut body = reader.live(&settings)?.body.unwrap_or_else(|| json!({}));
    if let Some(list) = body["block_list"].as_str() {
        return Ok((Changes::new(), Key::new(Kind::Lists, list)));
    }
    if let Value::Object(fields) = &mut body {
        fields.insert("block_list".to_owned(), LIST.into());
    }
    Ok((Changes::from([(settings, Some(body))]), Key::new(Kind::Lists, LIST)))
}

/// Changes the numbers of a list's body.
fn with_numbers(body: &mut Value, change: impl FnOnce(&mut Vec<Value>)) {
    let Value::Object(fields) = body else { return };
    if let Value::Array(numbers) = fields.entry("numbers").or_insert_with(|| json!([])) {
        change(numbers);
    }
}

fn parse(number: &str) -> ApiResult<E164> {
    E164::parse(number).map_err(|error| Problem::bad_request(format!("{number} is {error}.")))
}

fn fifty() -> usize {
    50
}
