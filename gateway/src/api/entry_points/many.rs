//! Acts on many entry points in one revision: arming, disarming, exceptions.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    diagnostic::{Code, Diagnostic},
    document::{EntryPointRef, Key, Kind},
    store::StoreError,
};

use crate::api::{
    AppState,
    acts::{How, act, act_at_once},
    extract::{Actor, Json, Query},
    problem::{ApiResult, Problem},
};

/// Entry points that one act may name.
const NAMED_MAX: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(arm_entry_points)).routes(routes!(add_exceptions))
}

/// What is to be armed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Arming {
    /// Their names, `voice/+14155550100`; 1 to 10000.
    #[schema(min_items = 1, max_items = 10_000)]
    entry_points: Vec<String>,
    /// Whether they let contacts in.
    armed: bool,
}

/// Exceptions to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewExceptions {
    /// The inbox that they lead to.
    inbox: String,
    /// Their names, `voice/+14155550100`; 1 to 10000.
    #[schema(min_items = 1, max_items = 10_000)]
    entry_points: Vec<String>,
    /// Takes entry points out of the exceptions that they are in; otherwise those are refused.
    #[serde(default)]
    replace: bool,
}

/// Arm or disarm entry points. A disarmed one answers voice with 480, keeps messages, defers mail, hides the chat.
#[utoipa::path(post, path = "/api/v1/entry-points/arm", security(("key" = ["routing.arm"])), tag = "entry-points",
    params(How), request_body = Arming,
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "A name is wrong, or there are too many.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn arm_entry_points(
    State(state): State<AppState>,
    Actor(author): Actor,
    Query(how): Query<How>,
    Json(Arming { entry_points, armed }): Json<Arming>,
) -> ApiResult<axum::Json<Value>> {
    let keys = keys(&entry_points)?;
    let note = format!("{} {} entry points", if armed { "Armed" } else { "Disarmed" }, keys.len());
    let done = act_at_once(&state, author, (how, note), move |reader| {
        let mut changes = BTreeMap::new();
        for key in &keys {
            let mut body = reader.live(key)?.body.unwrap_or_else(|| json!({}));
            set(&mut body, "armed", armed.into());
            changes.insert(key.clone(), Some(body));
        }
        Ok(changes)
    })
    .await?;
    Ok(axum::Json(json!({ "done": done.value() })))
}

/// Lead entry points to another inbox than their channel's default. Each is in at most one exception.
#[utoipa::path(post, path = "/api/v1/entry-points/exceptions", security(("key" = ["routing.publish"])), tag = "entry-points",
    params(How), request_body = NewExceptions,
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "A name is wrong, or there are too many.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Some are in another exception; the `more` names them.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be so; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn add_exceptions(
    State(state): State<AppState>,
    Actor(author): Actor,
    Query(how): Query<How>,
    Json(NewExceptions { inbox, entry_points, replace }): Json<NewExceptions>,
) -> ApiResult<axum::Json<Value>> {
    let keys = keys(&entry_points)?;
    let note = format!("{} entry points to {inbox}", keys.len());
    let done = act(&state, author, (how, note), move |reader| {
        let (mut changes, mut taken) = (BTreeMap::new(), Vec::new());
        for key in &keys {
            let mut body = reader.live(key)?.body.unwrap_or_else(|| json!({}));
            let before = body.get("inbox").and_then(Value::as_str).filter(|before| *before != inbox);
            if let Some(before) = before.filter(|_| !replace) {
                let sentence = format!("{} is in the exception for {before}", key.id);
                taken.push(Diagnostic::new(Code::Conflict, key.path(), sentence));
            }
            set(&mut body, "inbox", inbox.clone().into());
            changes.insert(key.clone(), Some(body));
        }
        if taken.is_empty() { Ok(changes) } else { Err(StoreError::Invalid(taken)) }
    })
    .await
    .map_err(as_conflict)?;
    Ok(axum::Json(json!({ "done": done.value() })))
}

/// Entry points that are taken are a conflict, not a fault of the document.
fn as_conflict(problem: Problem) -> Problem {
    let findings = problem.more.as_ref().and_then(|more| more["diagnostics"].as_array().cloned());
    let conflict = Code::Conflict.as_str();
    match findings {
        Some(findings) if findings.iter().all(|finding| finding["code"] == conflict) => Problem::new(
            axum::http::StatusCode::CONFLICT,
            "in_another_exception",
            "Some of these entry points are in another exception already.",
            "Leave them out, or send `replace: true`.",
        )
        .with(json!({ "diagnostics": findings })),
        _ => problem,
    }
}

fn keys(names: &[String]) -> ApiResult<BTreeSet<Key>> {
    if !(1..=NAMED_MAX).contains(&names.len()) {
        return Err(Problem::bad_request(format!("Name 1 to {NAMED_MAX} entry points.")));
    }
    let key = |name: &String| {
        EntryPointRef::parse(name)
            .map(|reference| Key::new(Kind::EntryPoints, reference.to_string()))
            .map_err(|reason| Problem::bad_request(format!("This is no entry point: {reason}.")))
    };
    names.iter().map(key).collect()
}

fn set(body: &mut Value, field: &str, value: Value) {
    if let Value::Object(fields) = body {
        fields.insert(field.to_owned(), value);
    }
}
