//! IVRs: which there are, their drafts, versions and differences, findings by node, export and import.
//!
//! An IVR's draft is its edit in the one draft of routing; its versions are the revisions that published it.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    diagnostic::{Code, Diagnostic},
    document::{Key, Kind},
    store::StoreError,
};

use super::{
    AppState,
    extract::{Actor, Json, Path, Query},
    live::Stage,
    problem::{ApiResult, Problem},
    routing::{Came, PublishedView, blocking, if_match, tagged},
};

mod versions;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_ivrs))
        .routes(routes!(read_ivr, put_ivr))
        .routes(routes!(ivr_diagnostics))
        .routes(routes!(publish_ivr))
        .merge(versions::routes())
}

/// An IVR.
#[derive(Debug, Serialize, ToSchema)]
struct IvrView {
    /// Its id, `ivr_…`.
    id: String,
    /// What people call it, as the draft has it.
    name: String,
    /// `initial` or `queue`.
    kind: String,
    /// `published`; `changed`: the draft differs; `draft`: never published; `removed`: the draft takes it away.
    status: &'static str,
    /// The revision that published it last.
    revision: Option<u64>,
    /// Nodes that it has, as the draft has it.
    nodes: usize,
    /// Numbers whose Initial or Queue IVR it is.
    numbers: usize,
    /// Calls that are inside now.
    calls: usize,
    /// Findings of the draft that stop a publish.
    errors: usize,
    /// Findings of the draft that do not.
    warnings: usize,
}

/// All IVRs.
#[derive(Debug, Serialize, ToSchema)]
struct IvrList {
    /// By their ids.
    ivrs: Vec<IvrView>,
}

/// List IVRs, published or only in the draft, with their findings and the calls inside.
#[utoipa::path(get, path = "/api/v1/ivrs", security(("key" = ["routing.read"])), tag = "ivrs", responses(
    (status = 200, description = "All IVRs.", body = IvrList),
))]
async fn list_ivrs(State(state): State<AppState>) -> ApiResult<axum::Json<IvrList>> {
    let (live, draft, findings) = blocking(&state, |store| {
        Ok::<_, StoreError>((store.live_section(Kind::Ivrs)?, store.draft()?, store.validate()?))
    })
    .await?;
    let edits: BTreeMap<&str, Option<&Value>> = draft
        .changes
        .iter()
        .filter(|(key, _)| key.kind == Kind::Ivrs)
        .map(|(key, body)| (key.id.as_str(), body.as_ref()))
        .collect();
    let active = state.store.active().load();
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    for voice in active.plan.numbers.values() {
        let linked: BTreeSet<_> = [&voice.initial_ivr, &voice.queue_ivr].into_iter().flatten().collect();
        for ivr in linked {
            *numbers.entry(ivr.to_string()).or_default() += 1;
        }
    }
    let stages = state.live.stages();
    let ids: BTreeSet<&str> = live.keys().map(String::as_str).chain(edits.keys().copied()).collect();
    let view = |id: &str| {
        let published = live.get(id);
        let edit = edits.get(id);
        let body = edit.copied().flatten().or_else(|| published.and_then(|live| live.body.as_ref()));
        let text = |field: &str| body.and_then(|body| body[field].as_str()).unwrap_or_default().to_owned();
        let own = findings_of(&findings, id);
        let errors = own.iter().filter(|finding| finding.is_error()).count();
        IvrView {
            name: text("name"),
            kind: text("kind"),
            status: match (published, edit) {
                (_, Some(None)) => "removed",
                (None, _) => "draft",
                (Some(live), Some(Some(body))) if live.body.as_ref() != Some(*body) => "changed",
                _ => "published",
            },
            revision: published.map(|live| live.since),
            nodes: body.and_then(|body| body["nodes"].as_object()).map_or(0, serde_json::Map::len),
            numbers: numbers.get(id).copied().unwrap_or_default(),
            calls: stages
                .iter()
                .filter(|stage| matches!(stage, Stage::InIvr { ivr, .. } if ivr.as_str() == id))
                .count(),
            errors,
            warnings: own.len() - errors,
            id: id.to_owned(),
        }
    };
    Ok(axum::Json(IvrList { ivrs: ids.into_iter().map(view).collect() }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReadQuery {
    /// As this revision had it; as it is published, when absent.
    revision: Option<u64>,
    /// As the draft has it.
    #[serde(default)]
    draft: bool,
}

/// Read or export one IVR; YAML when `Accept` asks for it. The ETag is the draft's version, for a `PUT`.
#[utoipa::path(get, path = "/api/v1/ivrs/{id}", security(("key" = ["routing.read"])), tag = "ivrs",
    params(("id" = String, Path, description = "The IVR, `ivr_…`"), ReadQuery),
    responses(
        (status = 200, description = "The IVR.", content((Object = "application/json"), (String = "application/yaml"))),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such IVR, or no such revision.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_ivr(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(ReadQuery { revision, draft }): Query<ReadQuery>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let key = Key::new(Kind::Ivrs, id);
    let (version, body) = blocking(&state, move |store| match revision {
        Some(revision) => Ok((store.draft_object(&key)?.0, store.object_at(&key, revision)?)),
        None if draft => store.draft_object(&key),
        None => Ok((store.draft_object(&key)?.0, store.live(&key)?.body)),
    })
    .await?;
    let body = body.ok_or_else(no_ivr)?;
    if super::routing::wants_yaml(&headers) {
        let kind = [(header::CONTENT_TYPE, "application/yaml")];
        return Ok(tagged(version, (kind, vestibule_config::document::value_to_yaml(&body))));
    }
    Ok(tagged(version, axum::Json(body)))
}

/// Import one IVR, YAML or JSON, into the draft.
#[utoipa::path(put, path = "/api/v1/ivrs/{id}", security(("key" = ["routing.edit"])), tag = "ivrs",
    params(
        ("id" = String, Path, description = "The IVR; made when there is none"),
        ("If-Match" = Option<String>, Header, description = "The draft's ETag"),
    ),
    request_body(content((String = "application/yaml"), (Object = "application/json"))),
    responses(
        (status = 204, description = "It stands in the draft, whose new version is the ETag."),
        (status = 400, description = "`If-Match` is no ETag of the draft.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It has faults; each with its path.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_ivr(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: String,
) -> ApiResult<Response> {
    let (key, expected) = (Key::new(Kind::Ivrs, id), if_match(&headers)?);
    let version = blocking(&state, move |store| {
        let body = vestibule_config::document::parse_value(&body).map_err(|fault| {
            StoreError::Invalid(vec![Diagnostic::new(Code::NotReadable, key.path(), fault)])
        })?;
        store.edit(&key, Some(&body), expected)
    })
    .await?;
    Ok(tagged(version, StatusCode::NO_CONTENT))
}

/// Say what is wrong with one IVR as the draft has it, by node.
#[utoipa::path(get, path = "/api/v1/ivrs/{id}/diagnostics", security(("key" = ["routing.read"])), tag = "ivrs",
    params(("id" = String, Path, description = "The IVR")),
    responses(
        (status = 200, description = "Findings of the IVR as a whole under `ivr`, those of its nodes under `nodes`.", body = Object),
        (status = 404, description = "No such IVR.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn ivr_diagnostics(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<Value>> {
    let key = Key::new(Kind::Ivrs, id.clone());
    let (known, findings) =
        blocking(&state, move |store| Ok((store.draft_object(&key)?.1.is_some(), store.validate()?))).await?;
    if !known {
        return Err(no_ivr());
    }
    let whole = Key::new(Kind::Ivrs, id.clone()).path();
    let (mut of_ivr, mut nodes) = (Vec::new(), BTreeMap::<String, Vec<&Diagnostic>>::new());
    for finding in findings_of(&findings, &id) {
        let inside = finding.path.strip_prefix(&format!("{whole}/nodes/"));
        match inside.and_then(|rest| rest.split('/').next()) {
            Some(node) => {
                nodes.entry(node.replace("~1", "/").replace("~0", "~")).or_default().push(finding);
            }
            None => of_ivr.push(finding),
        }
    }
    Ok(axum::Json(json!({ "ivr": of_ivr, "nodes": nodes })))
}

/// Publish the draft of one IVR, and nothing else of the draft.
#[utoipa::path(post, path = "/api/v1/ivrs/{id}/publish", security(("key" = ["routing.publish"])), tag = "ivrs",
    params(
        ("id" = String, Path, description = "The IVR"),
        ("If-Match" = Option<String>, Header, description = "The draft's ETag"),
    ),
    request_body = super::routing::Note,
    responses(
        (status = 201, description = "The new revision is active.", body = PublishedView),
        (status = 202, description = "It waits for a second person, as `request`.", body = Object),
        (status = 400, description = "The request cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The draft was changed by somebody else.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The draft of the IVR has errors, or there is none; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn publish_ivr(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(super::routing::Note { note }): Json<super::routing::Note>,
) -> ApiResult<Response> {
    let (keys, expected) = (BTreeSet::from([Key::new(Kind::Ivrs, id)]), if_match(&headers)?);
    let came =
        blocking(&state, move |store| Came::of(store.publish_some(&keys, &author, &note, expected))).await?;
    Ok(came.into_response())
}

/// The findings that lie in an IVR, and those of its exits.
fn findings_of<'a>(findings: &'a [Diagnostic], id: &str) -> Vec<&'a Diagnostic> {
    let own = Key::new(Kind::Ivrs, id).path();
    let below = format!("{own}/");
    findings.iter().filter(|finding| finding.path == own || finding.path.starts_with(&below)).collect()
}

fn no_ivr() -> Problem {
    let detail = "There is no IVR of this name.";
    Problem::new(StatusCode::NOT_FOUND, "no_such_ivr", detail, "List the IVRs to find it.")
}
