//! What a publish of the draft would touch, and what uses what.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    active::ActiveRouting,
    diagnostic::Diagnostic,
    document::{Key, Kind},
    store::{Difference, StoreError},
};
use vestibule_routing::{id::IvrId, plan::node::Node};

use super::blocking;
use crate::api::{
    AppState,
    extract::Path,
    live::Stage,
    problem::{ApiResult, Problem},
};

/// Names that are listed of each kind; the counts are whole.
const NAMED_MAX: usize = 100;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(draft_impact)).routes(routes!(usage))
}

/// What a publish of the draft would touch.
#[derive(Debug, Serialize, ToSchema)]
struct Impact {
    /// The draft's version that this was made from.
    draft_version: u64,
    /// Whether it can be published.
    publishable: bool,
    /// What stops it, and what is only to be noticed.
    #[schema(value_type = Vec<Object>)]
    diagnostics: Vec<Diagnostic>,
    /// Objects that change.
    objects: Vec<Changed>,
    /// Contacts that are live now. They keep the revision they began with.
    live: usize,
    /// Calls that are inside an IVR that changes now, by IVR.
    inside_ivrs: BTreeMap<String, usize>,
    /// Contacts that wait in an inbox that changes now, by inbox.
    waiting_in_inboxes: BTreeMap<String, usize>,
    /// Numbers that change, or whose IVR does.
    numbers: Touched,
    /// Exits of IVRs that change, appear or go.
    exits: Touched,
    /// Entry points that change.
    entry_points: Touched,
}

/// An object that changes.
#[derive(Debug, Serialize, ToSchema)]
struct Changed {
    /// Its section.
    section: &'static str,
    /// Its name.
    id: String,
    /// `added`, `changed` or `removed`.
    change: &'static str,
}

/// Some of many.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Touched {
    /// How many.
    count: usize,
    /// The first hundred.
    first: Vec<String>,
}

impl From<BTreeSet<String>> for Touched {
    fn from(all: BTreeSet<String>) -> Self {
        Self { count: all.len(), first: all.into_iter().take(NAMED_MAX).collect() }
    }
}

/// Say what publishing the draft would touch: live calls inside, waiting callers, numbers, exits, entry points.
#[utoipa::path(get, path = "/api/v1/routing/draft/impact", security(("key" = ["routing.read"])), tag = "routing", responses(
    (status = 200, description = "What it would touch, as things are now.", body = Impact),
))]
async fn draft_impact(State(state): State<AppState>) -> ApiResult<axum::Json<Impact>> {
    let (version, differences, diagnostics) = blocking(&state, |store| {
        let draft = store.draft()?;
        let mut differences = Vec::with_capacity(draft.changes.len());
        for (key, after) in draft.changes {
            let before = store.live(&key)?.body;
            if before != after {
                differences.push(Difference { key, before, after });
            }
        }
        let diagnostics = store.validate()?;
        Ok::<_, StoreError>((draft.version, differences, diagnostics))
    })
    .await?;
    let active = state.store.active().load();
    let stages = state.live.stages();
    let ids = |kind: Kind| -> BTreeSet<&str> {
        differences.iter().filter(|one| one.key.kind == kind).map(|one| one.key.id.as_str()).collect()
    };
    let (ivrs, inboxes) = (ids(Kind::Ivrs), ids(Kind::Inboxes));
    let lengths = state.queues.lengths();
    let waiting = lengths.into_iter().filter(|(inbox, _)| inboxes.contains(inbox.as_str()));
    Ok(axum::Json(Impact {
        draft_version: version,
        publishable: !differences.is_empty() && !diagnostics.iter().any(Diagnostic::is_error),
        diagnostics,
        live: stages.len(),
        inside_ivrs: inside(&stages, &ivrs),
        waiting_in_inboxes: waiting.map(|(inbox, count)| (inbox.to_string(), count)).collect(),
        numbers: numbers(&active, &ids(Kind::Numbers), &ivrs).into(),
        exits: exits(&active, &differences).into(),
        entry_points: ids(Kind::EntryPoints).into_iter().map(str::to_owned).collect::<BTreeSet<_>>().into(),
        objects: differences.iter().map(changed).collect(),
    }))
}

/// Say what uses an object of the active revision: numbers and inboxes an IVR, nodes a prompt, and so on.
#[utoipa::path(get, path = "/api/v1/usage/{section}/{id}", security(("key" = ["routing.read"])), tag = "routing",
    params(
        ("section" = String, Path, description = "`ivrs`, `prompts`, `calendars`, `inboxes`, `lists`, `numbers` …"),
        ("id" = String, Path, description = "The object's name"),
    ),
    responses(
        (status = 200, description = "Every place that uses it, at most a thousand.", body = Object),
        (status = 404, description = "No such object.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn usage(
    State(state): State<AppState>,
    Path((section, id)): Path<(String, String)>,
) -> ApiResult<axum::Json<Value>> {
    let key = super::draft::key(&section, id)?;
    let used = blocking(&state, move |store| {
        let known = store.live(&key)?.body.is_some();
        known.then(|| store.usage(&key)).transpose()
    })
    .await?;
    let used = used.ok_or_else(|| {
        let detail = "The active revision has no object of this name.";
        Problem::new(axum::http::StatusCode::NOT_FOUND, "no_such_object", detail, "List them to find it.")
    })?;
    Ok(axum::Json(json!({ "used_by": used })))
}

fn changed(difference: &Difference) -> Changed {
    Changed {
        section: difference.key.kind.as_str(),
        id: difference.key.id.clone(),
        change: match (&difference.before, &difference.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        },
    }
}

fn inside(stages: &[Stage], ivrs: &BTreeSet<&str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for stage in stages {
        if let Stage::InIvr { ivr, .. } = stage
            && ivrs.contains(ivr.as_str())
        {
            *counts.entry(ivr.to_string()).or_default() += 1;
        }
    }
    counts
}

fn numbers(active: &ActiveRouting, changed: &BTreeSet<&str>, ivrs: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut all: BTreeSet<String> = changed.iter().map(|id| (*id).to_owned()).collect();
    if !ivrs.is_empty() {
        let uses = |ivr: &Option<IvrId>| ivr.as_ref().is_some_and(|ivr| ivrs.contains(ivr.as_str()));
        let linked = active.plan.numbers.iter();
        let linked = linked.filter(|(_, voice)| uses(&voice.initial_ivr) || uses(&voice.queue_ivr));
        all.extend(linked.map(|(number, _)| number.to_string()));
    }
    all
}

/// Exits of IVRs that change: those that are there now, and those that would be.
fn exits(active: &ActiveRouting, differences: &[Difference]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for Difference { key: Key { id, .. }, after, .. } in
        differences.iter().filter(|one| one.key.kind == Kind::Ivrs)
    {
        let now = active.plan.ivrs.get(&IvrId::from(id.as_str())).into_iter().flat_map(|ivr| ivr.nodes());
        all.extend(
            now.filter(|(_, node)| matches!(node, Node::Exit {})).map(|(node, _)| format!("ivr/{id}/{node}")),
        );
        let nodes = after.as_ref().and_then(|body| body["nodes"].as_object());
        let then = nodes.into_iter().flatten().filter(|(_, node)| node["type"] == "exit");
        all.extend(then.map(|(node, _)| format!("ivr/{id}/{node}")));
    }
    all
}
