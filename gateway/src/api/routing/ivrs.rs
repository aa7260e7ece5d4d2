//! What the editor of IVRs asks: the kinds of nodes, the names that nodes may refer to, findings as somebody writes, and
//! what a caller would hear.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    compile::{BUILTINS, differences},
    diagnostic::Diagnostic,
    document::{self, Key, Kind, NODES, TestDoc},
    store::{Section, Store, StoreError},
};
use vestibule_routing::{
    address::E164,
    id::IvrId,
    plan::{IvrKind, NumberVoice, Plan},
    simulate::simulate,
};

use super::{blocking, draft::key};
use crate::api::{
    AppState,
    extract::{Json, Path, Query},
    problem::{ApiResult, Problem},
};

/// Numbers that are named for an IVR; the count is whole.
const NUMBERS_NAMED_MAX: usize = 20;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(describe_nodes))
        .routes(routes!(list_names))
        .routes(routes!(convert_document))
        .routes(routes!(list_ivrs))
        .routes(routes!(try_object))
        .routes(routes!(simulate_ivr))
}

/// Describe the kinds of nodes: fields with their forms, ranges and defaults, and transitions.
#[utoipa::path(get, path = "/api/v1/routing/nodes", security(("key" = ["routing.read"])), tag = "routing", responses(
    (status = 200, description = "Groups and kinds.", body = Object),
))]
async fn describe_nodes() -> ApiResult<axum::Json<Value>> {
    // It is a part of the program, and held against the types by tests.
    Ok(axum::Json(serde_json::from_str(NODES).unwrap_or_default()))
}

/// Read a document or a part of one, YAML or JSON, and say it as JSON; as YAML when `Accept` asks for it. Nothing is kept.
#[utoipa::path(post, path = "/api/v1/routing/convert", security(("key" = ["routing.read"])), tag = "routing",
    request_body(content = String, content_type = "application/yaml"),
    responses(
        (status = 200, description = "The same document.", body = Object),
        (status = 422, description = "It cannot be read.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn convert_document(headers: HeaderMap, body: String) -> ApiResult<Response> {
    let document = document::parse(&body).map_err(StoreError::Invalid)?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.contains("yaml") {
        return Ok(
            ([(header::CONTENT_TYPE, "application/yaml")], document::to_yaml(&document)).into_response()
        );
    }
    Ok(axum::Json(document::to_value(&document)).into_response())
}

/// List the names that nodes may refer to, as the draft has them: prompts, inboxes, lists, calendars, IVRs; and the tests.
#[utoipa::path(get, path = "/api/v1/routing/draft/names", security(("key" = ["routing.read"])), tag = "routing", responses(
    (status = 200, description = "Names by section, with what people call them.", body = Object),
))]
async fn list_names(State(state): State<AppState>) -> ApiResult<axum::Json<Value>> {
    let names = blocking(&state, |store| {
        let section = |kind| Ok::<_, StoreError>(present(store.draft_section(kind)?));
        let mut prompts: Vec<Value> = section(Kind::Prompts)?.map(|(name, body)| prompt(&name, &body)).collect();
        prompts.extend(BUILTINS.iter().map(|name| json!({"name": format!("builtin:{name}"), "builtin": true})));
        Ok(json!({
            "prompts": prompts,
            "inboxes": section(Kind::Inboxes)?.map(|(name, body)| titled(&name, &body)).collect::<Vec<_>>(),
            "lists": section(Kind::Lists)?.map(|(name, body)| titled(&name, &body)).collect::<Vec<_>>(),
            "calendars": section(Kind::Calendars)?.map(|(name, body)| calendar(&name, &body)).collect::<Vec<_>>(),
            "tests": section(Kind::Tests)?.map(|(name, call)| json!({"name": name, "call": call})).collect::<Vec<_>>(),
            "ivrs": section(Kind::Ivrs)?.map(|(name, body)| titled(&name, &body)).collect::<Vec<_>>(),
        }))
    })
    .await?;
    Ok(axum::Json(names))
}

/// The objects that the draft does not remove.
fn present(section: Section) -> impl Iterator<Item = (String, Value)> {
    section.into_iter().filter_map(|(name, object)| Some((name, object.body?)))
}

fn titled(name: &str, body: &Value) -> Value {
    json!({"name": name, "title": body["name"], "kind": body["kind"]})
}

fn prompt(name: &str, body: &Value) -> Value {
    json!({"name": name, "says": body["text"], "file": body["file"]})
}

fn calendar(name: &str, body: &Value) -> Value {
    let rows = body["rows"].as_array().into_iter().flatten().map(|row| row["name"].clone());
    json!({"name": name, "rows": rows.collect::<Vec<_>>()})
}

/// An IVR, as a list of them shows it.
#[derive(Debug, Serialize, ToSchema)]
struct IvrView {
    /// Its id.
    id: String,
    /// What people call it.
    name: String,
    /// `initial` or `queue`.
    kind: String,
    /// `published`; `edited`, `new` or `removed` when the draft says so.
    state: &'static str,
    /// How many nodes the draft has.
    nodes: usize,
    /// Findings that would stop a publish.
    errors: usize,
    /// Findings that would not.
    warnings: usize,
    /// How many numbers the active revision links to it.
    number_count: usize,
    /// The first of them.
    numbers: Vec<String>,
    /// The revision that published it last.
    revision: Option<u64>,
    /// Who published that.
    published_by: Option<String>,
    /// When.
    published_at: Option<String>,
}

/// List the IVRs of the draft: what is published of each, its findings, and the numbers that lead to it.
#[utoipa::path(get, path = "/api/v1/routing/draft/ivrs", security(("key" = ["routing.read"])), tag = "routing", responses(
    (status = 200, description = "Every IVR, by name of object.", body = Object),
))]
async fn list_ivrs(State(state): State<AppState>) -> ApiResult<axum::Json<Value>> {
    let ivrs = blocking(&state, |store| {
        let (section, findings) = (store.draft_section(Kind::Ivrs)?, store.validate()?);
        let mut numbers = numbers_by_ivr(&store.active().load().plan);
        Ok(section
            .into_iter()
            .map(|(id, object)| {
                let of = format!("{}/", Key::new(Kind::Ivrs, &id).path());
                let count = |errors: bool| {
                    let own = findings.iter().filter(|one| format!("{}/", one.path).starts_with(&of));
                    own.filter(|one| one.is_error() == errors).count()
                };
                let mut linked = numbers.remove(&IvrId::from(id.as_str())).unwrap_or_default();
                let body = object.body.clone().unwrap_or_default();
                let state = match (object.edited, &object.body, &object.published) {
                    (_, None, _) => "removed",
                    (false, ..) => "published",
                    (true, Some(_), None) => "new",
                    (true, ..) => "edited",
                };
                let number_count = linked.len();
                linked.sort();
                linked.truncate(NUMBERS_NAMED_MAX);
                let (revision, published_by, published_at) = match object.published {
                    Some((revision, by, at)) => (Some(revision), Some(by), Some(at.to_string())),
                    None => (None, None, None),
                };
                IvrView {
                    name: body["name"].as_str().unwrap_or(&id).to_owned(),
                    kind: body["kind"].as_str().unwrap_or_default().to_owned(),
                    nodes: body["nodes"].as_object().map_or(0, serde_json::Map::len),
                    errors: count(true),
                    warnings: count(false),
                    numbers: linked.iter().map(ToString::to_string).collect(),
                    id,
                    state,
                    number_count,
                    revision,
                    published_by,
                    published_at,
                }
            })
            .collect::<Vec<_>>())
    })
    .await?;
    Ok(axum::Json(json!({ "ivrs": ivrs })))
}

fn numbers_by_ivr(plan: &Plan) -> BTreeMap<IvrId, Vec<E164>> {
    let mut all: BTreeMap<IvrId, Vec<E164>> = BTreeMap::new();
    for (number, voice) in &plan.numbers {
        for ivr in [&voice.initial_ivr, &voice.queue_ivr].into_iter().flatten() {
            all.entry(ivr.clone()).or_default().push(*number);
        }
    }
    all
}

/// Say what publishing the draft would say if it had this object; nothing is kept.
#[utoipa::path(post, path = "/api/v1/routing/draft/{section}/{id}/findings", security(("key" = ["routing.read"])), tag = "routing",
    params(("section" = String, Path, description = "The section"), ("id" = String, Path, description = "The object's name")),
    request_body = Object,
    responses(
        (status = 200, description = "`publishable`, and the findings.", body = Object),
        (status = 404, description = "No such section.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn try_object(
    State(state): State<AppState>,
    Path((section, id)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> ApiResult<axum::Json<Value>> {
    let key = key(&section, id)?;
    let findings = blocking(&state, move |store| store.try_out(&key, &body)).await?;
    let publishable = !findings.iter().any(Diagnostic::is_error);
    Ok(axum::Json(json!({"publishable": publishable, "diagnostics": findings})))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SimulateQuery {
    /// The revision; the draft when absent.
    revision: Option<u64>,
}

/// A call to be simulated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SimulatedCall {
    /// The call as tests of documents write it. Without `to` a number of ours is taken; without `at` it is now.
    #[schema(value_type = Object)]
    call: Value,
    /// The IVR in place of the one that the draft has; it is not kept.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    document: Option<Value>,
    /// The number leads where it leads; otherwise it leads to this IVR.
    #[serde(default)]
    as_linked: bool,
}

/// Say step by step what a caller of an IVR would meet, under the draft or a revision, whatever number leads to it.
#[utoipa::path(post, path = "/api/v1/ivrs/{id}/simulate", security(("key" = ["routing.read"])), tag = "routing",
    params(("id" = String, Path, description = "The IVR"), SimulateQuery),
    request_body = SimulatedCall,
    responses(
        (status = 200, description = "The steps, the nodes, how it ended, and what of `expect` was missed.", body = Object),
        (status = 400, description = "The call cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such revision, or it has no such IVR.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The draft has errors.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn simulate_ivr(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(SimulateQuery { revision }): Query<SimulateQuery>,
    Json(asked): Json<SimulatedCall>,
) -> ApiResult<axum::Json<Value>> {
    let SimulatedCall { mut call, document, as_linked } = asked;
    let (ivr, key) = (IvrId::from(id.as_str()), Key::new(Kind::Ivrs, id));
    let plan = blocking(&state, move |store| plan_of(store, revision, document.as_ref(), &key)).await?;
    if !plan.ivrs.contains_key(&ivr) {
        let detail = format!("There is no IVR {ivr} in what is simulated.");
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_ivr", detail, "List the IVRs to find it."));
    }
    if let Value::Object(fields) = &mut call {
        fields.entry("at").or_insert_with(|| Timestamp::now().to_string().into());
        fields.entry("to").or_insert_with(|| any_number(&plan, &ivr).into());
    }
    let call: TestDoc =
        serde_json::from_value(call).map_err(|error| Problem::bad_request(error.to_string()))?;
    let script = call.script("simulated").map_err(Problem::bad_request)?;
    let to = call.to;
    let simulation = blocking(&state, move |_| {
        let plan = if as_linked { plan } else { leading_to(&plan, &ivr, to) };
        Ok(simulate(plan, &script))
    })
    .await?;
    let missed = differences(&call.expect, &simulation);
    Ok(axum::Json(json!({"call": call, "simulation": simulation, "missed": missed})))
}

fn plan_of(
    store: &Arc<Store>,
    revision: Option<u64>,
    document: Option<&Value>,
    key: &Key,
) -> Result<Arc<Plan>, StoreError> {
    match revision {
        Some(revision) => Ok(store.routing_at(revision)?.plan),
        None => store.draft_plan(document.map(|body| (key, body))),
    }
}

/// A number that leads to the IVR, else any.
fn any_number(plan: &Plan, ivr: &IvrId) -> String {
    let leads = |voice: &NumberVoice| {
        voice.initial_ivr.as_ref() == Some(ivr) || voice.queue_ivr.as_ref() == Some(ivr)
    };
    let linked = plan.numbers.iter().filter(|(_, voice)| leads(voice)).map(|(number, _)| *number).min();
    let any = || plan.numbers.keys().min().copied();
    linked.or_else(any).map_or_else(|| "+14155550100".to_owned(), |number| number.to_string())
}

/// The plan with a number that leads to an IVR, at once or after the wait.
fn leading_to(plan: &Arc<Plan>, ivr: &IvrId, number: E164) -> Arc<Plan> {
    let kind = plan.ivrs.get(ivr).map(|ivr| ivr.kind);
    let mut voice = plan.numbers.get(&number).map(|voice| (**voice).clone()).unwrap_or_default();
    voice.active = true;
    match kind {
        Some(IvrKind::Queue) => {
            voice.initial_ivr = None;
            voice.queue_ivr = Some(ivr.clone());
        }
        _ => voice.initial_ivr = Some(ivr.clone()),
    }
    let mut plan = Plan::clone(plan);
    plan.numbers.insert(number, Arc::new(voice));
    Arc::new(plan)
}
