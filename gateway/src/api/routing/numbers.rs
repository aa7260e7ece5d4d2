//! Numbers: what we hold, and what the active revision does with them.

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    number::{NumberRecord, NumberState},
    store::AuditRow,
};
use vestibule_routing::address::E164;

use super::blocking;
use crate::api::{
    AppState,
    extract::{Path, Query},
    problem::{ApiResult, Problem},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_numbers)).routes(routes!(read_number))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NumbersQuery {
    /// Numbers behind this one: the `next` of the page before.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

/// A number.
#[derive(Debug, Serialize, ToSchema)]
struct NumberView {
    /// The number.
    number: String,
    /// `owned_idle`, `direct_line`, `ivr_linked`, `porting`, `forwarding`, `releasing` or `released`.
    #[schema(value_type = String)]
    state: NumberState,
    /// How far it may be used for SMS.
    #[schema(value_type = Object)]
    sms: Value,
    /// The Initial IVR that is linked.
    initial_ivr: Option<String>,
    /// The Queue IVR that is linked.
    queue_ivr: Option<String>,
    /// Seconds before the Queue IVR or the music.
    queue_wait_seconds: Option<u32>,
}

/// List numbers with what is linked to them.
#[utoipa::path(get, path = "/api/v1/numbers", tag = "numbers", params(NumbersQuery), responses(
    (status = 200, description = "A page of numbers; `next` is absent at the end.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_numbers(
    State(state): State<AppState>,
    Query(NumbersQuery { after, limit }): Query<NumbersQuery>,
) -> ApiResult<axum::Json<Value>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let after = after.as_deref().map(parse).transpose()?;
    let records = blocking(&state, move |store| store.numbers(after, limit)).await?;
    let full = u32::try_from(records.len()).is_ok_and(|count| count == limit);
    let next = records.last().filter(|_| full).map(|record| record.number.to_string());
    let numbers: Vec<NumberView> = records.into_iter().map(|record| view(&state, record)).collect();
    Ok(axum::Json(json!({"numbers": numbers, "next": next})))
}

/// Read a number with the audit of its record.
#[utoipa::path(get, path = "/api/v1/numbers/{number}", tag = "numbers",
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "The number and what was done to its record.", body = Object),
        (status = 404, description = "No such number.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_number(
    State(state): State<AppState>,
    Path(number): Path<String>,
) -> ApiResult<axum::Json<Value>> {
    let number = parse(&number)?;
    let (record, audit): (Option<NumberRecord>, Vec<AuditRow>) =
        blocking(&state, move |store| Ok((store.number(number)?, store.audit(&number.to_string(), 100)?)))
            .await?;
    let record = record.ok_or_else(|| {
        let detail = format!("{number} is not ours.");
        Problem::new(StatusCode::NOT_FOUND, "no_such_number", detail, "List the numbers to find it.")
    })?;
    Ok(axum::Json(json!({"number": view(&state, record), "audit": audit})))
}

fn view(state: &AppState, record: NumberRecord) -> NumberView {
    let active = state.store.active().load();
    let voice = active.plan.numbers.get(&record.number);
    NumberView {
        number: record.number.to_string(),
        state: NumberState::of(record.holding, voice.map(|voice| &**voice)),
        sms: serde_json::to_value(&record.sms).unwrap_or_default(),
        initial_ivr: voice.and_then(|voice| voice.initial_ivr.as_ref()).map(ToString::to_string),
        queue_ivr: voice.and_then(|voice| voice.queue_ivr.as_ref()).map(ToString::to_string),
        queue_wait_seconds: voice.map(|voice| voice.queue_wait_seconds),
    }
}

fn parse(text: &str) -> ApiResult<E164> {
    E164::parse(text).map_err(|error| Problem::bad_request(format!("\"{text}\" is {error}.")))
}

fn fifty() -> u32 {
    50
}
