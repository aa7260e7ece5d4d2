//! The versions of one IVR: which revisions published it, how two differ, and going back.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    document::{Key, Kind},
    store::{StoreError, ValueDifference, differences},
};

use super::no_ivr;
use crate::api::{
    AppState,
    acts::{How, act},
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
    routing::blocking,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_versions)).routes(routes!(compare)).routes(routes!(restore))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionsQuery {
    /// Versions before this revision: the `next` of the page before.
    before: Option<u64>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CompareQuery {
    /// The one revision.
    from: u64,
    /// The other; the draft, when absent.
    to: Option<u64>,
}

/// How two versions of an IVR differ.
#[derive(Debug, Default, Serialize, ToSchema)]
struct IvrDifference {
    /// Nodes that are new.
    added: Vec<String>,
    /// Nodes that are gone.
    removed: Vec<String>,
    /// Nodes that changed, each with every value that differs.
    #[schema(value_type = Object)]
    changed: BTreeMap<String, Vec<ValueDifference>>,
    /// What differs outside of the nodes.
    #[schema(value_type = Vec<Object>)]
    other: Vec<ValueDifference>,
}

/// Which version is to come back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Restore {
    /// The revision whose form of the IVR it is.
    revision: u64,
}

/// List the versions of one IVR: the revisions that published it, the newest first.
#[utoipa::path(get, path = "/api/v1/ivrs/{id}/versions", security(("key" = ["routing.read"])), tag = "ivrs",
    params(("id" = String, Path, description = "The IVR"), VersionsQuery),
    responses(
        (status = 200, description = "A page of versions; `next` is null at the end.", body = Object),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_versions(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(VersionsQuery { before, limit }): Query<VersionsQuery>,
) -> ApiResult<axum::Json<Value>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let key = Key::new(Kind::Ivrs, id);
    let versions = blocking(&state, move |store| store.versions(&key, before, limit)).await?;
    let full = u32::try_from(versions.len()).is_ok_and(|count| count == limit);
    let next = versions.last().filter(|_| full).map(|version| version.revision);
    Ok(axum::Json(json!({ "versions": versions, "next": next })))
}

/// Compare two versions of one IVR, node by node.
#[utoipa::path(get, path = "/api/v1/ivrs/{id}/diff", security(("key" = ["routing.read"])), tag = "ivrs",
    params(("id" = String, Path, description = "The IVR"), CompareQuery),
    responses(
        (status = 200, description = "Nodes added, removed and changed, with paths.", body = IvrDifference),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such IVR in either, or no such revision.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn compare(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(CompareQuery { from, to }): Query<CompareQuery>,
) -> ApiResult<axum::Json<IvrDifference>> {
    let key = Key::new(Kind::Ivrs, id);
    let (before, after) = blocking(&state, move |store| {
        let after = match to {
            Some(to) => store.object_at(&key, to)?,
            None => store.draft_object(&key)?.1,
        };
        Ok::<_, StoreError>((store.object_at(&key, from)?, after))
    })
    .await?;
    if before.is_none() && after.is_none() {
        return Err(no_ivr());
    }
    let empty = || json!({});
    Ok(axum::Json(by_node(&before.unwrap_or_else(empty), &after.unwrap_or_else(empty))))
}

fn by_node(before: &Value, after: &Value) -> IvrDifference {
    let mut found = IvrDifference::default();
    let has = |side: &Value, node: &str| side["nodes"].get(node).is_some();
    let nodes = [before, after].into_iter().filter_map(|side| side["nodes"].as_object());
    let mut names: Vec<&String> = nodes.flat_map(serde_json::Map::keys).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        match (has(before, name), has(after, name)) {
            (false, _) => found.added.push(name.clone()),
            (_, false) => found.removed.push(name.clone()),
            _ => {
                let inside = differences(&before["nodes"][name], &after["nodes"][name]);
                if !inside.is_empty() {
                    found.changed.insert(name.clone(), inside);
                }
            }
        }
    }
    let rest = |side: &Value| {
        let mut rest = side.clone();
        if let Value::Object(fields) = &mut rest {
            fields.remove("nodes");
        }
        rest
    };
    found.other = differences(&rest(before), &rest(after));
    found
}

/// Restore an older version of one IVR, as a new revision or into the draft.
#[utoipa::path(post, path = "/api/v1/ivrs/{id}/restore", security(("key" = ["routing.publish"])), tag = "ivrs",
    params(("id" = String, Path, description = "The IVR"), How), request_body = Restore,
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 400, description = "The request cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such revision, or it had no such IVR.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It cannot be restored; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn restore(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(id): Path<String>,
    Query(how): Query<How>,
    Json(Restore { revision }): Json<Restore>,
) -> ApiResult<Response> {
    let key = Key::new(Kind::Ivrs, id);
    let note = format!("{} as in revision {revision}", key.id);
    let asked = key.clone();
    let body = blocking(&state, move |store| store.object_at(&asked, revision)).await?.ok_or_else(no_ivr)?;
    let done =
        act(&state, author, (how, note), move |_| Ok(BTreeMap::from([(key.clone(), Some(body.clone()))])))
            .await?;
    Ok(axum::Json(json!({ "done": done.value() })).into_response())
}

fn fifty() -> u32 {
    50
}
