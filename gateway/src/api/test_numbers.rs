//! Test numbers: who calls one goes through the draft, and everybody else through what is active.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::document::{Key, Kind};
use vestibule_routing::address::E164;

use super::{
    AppState,
    acts::{How, act},
    extract::{Actor, Path, Query},
    problem::{ApiResult, Problem},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_test_numbers))
        .routes(routes!(add_test_number, remove_test_number))
}

/// All test numbers.
#[derive(Debug, Serialize, ToSchema)]
struct TestNumbers {
    /// In their order.
    numbers: Vec<String>,
}

/// List the numbers whose callers go through the draft.
#[utoipa::path(get, path = "/api/v1/test-numbers", security(("key" = ["routing.read"])), tag = "routing", responses(
    (status = 200, description = "All of them.", body = TestNumbers),
))]
async fn list_test_numbers(State(state): State<AppState>) -> axum::Json<TestNumbers> {
    let plan = state.store.active().load().plan.clone();
    let mut numbers: Vec<String> = plan.test_numbers.iter().map(ToString::to_string).collect();
    numbers.sort_unstable();
    axum::Json(TestNumbers { numbers })
}

/// Make a number of ours a test number: its callers go through the draft as it is when they call. While the draft has
/// errors, they get 480.
#[utoipa::path(put, path = "/api/v1/test-numbers/{number}", security(("key" = ["routing.publish"])), tag = "routing",
    params(("number" = String, Path, description = "The number, `+14155550100`"), How),
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "This is no number.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "It is not ours.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn add_test_number(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(number): Path<String>,
    Query(how): Query<How>,
) -> ApiResult<axum::Json<Value>> {
    let number = parse(&number)?;
    if !state.store.active().load().plan.numbers.contains_key(&number) {
        let detail = format!("The active revision does not route {number}.");
        return Err(Problem::new(
            axum::http::StatusCode::NOT_FOUND,
            "no_such_number",
            detail,
            "Activate voice for the number first.",
        ));
    }
    change(&state, author, how, (number, true)).await
}

/// Make a test number an ordinary one again.
#[utoipa::path(delete, path = "/api/v1/test-numbers/{number}", security(("key" = ["routing.publish"])), tag = "routing",
    params(("number" = String, Path, description = "The number"), How),
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "This is no number.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove_test_number(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(number): Path<String>,
    Query(how): Query<How>,
) -> ApiResult<axum::Json<Value>> {
    change(&state, author, how, (parse(&number)?, false)).await
}

async fn change(
    state: &AppState,
    author: String,
    how: How,
    (number, wanted): (E164, bool),
) -> ApiResult<axum::Json<Value>> {
    let note = format!("{number} is {}", if wanted { "a test number" } else { "no test number any more" });
    let number = Value::from(number.to_string());
    let done = act(state, author, (how, note), move |reader| {
        let settings = Key::new(Kind::Settings, Key::SETTINGS_ID);
        let mut body = reader.live(&settings)?.body.unwrap_or_else(|| json!({}));
        if let Value::Object(fields) = &mut body
            && let Value::Array(numbers) = fields.entry("test_numbers").or_insert_with(|| json!([]))
        {
            numbers.retain(|known| *known != number);
            if wanted {
                numbers.push(number.clone());
            }
        }
        Ok(BTreeMap::from([(settings, Some(body))]))
    })
    .await?;
    Ok(axum::Json(json!({ "done": done.value() })))
}

fn parse(number: &str) -> ApiResult<E164> {
    E164::parse(number).map_err(|error| Problem::bad_request(format!("{number} is {error}.")))
}
