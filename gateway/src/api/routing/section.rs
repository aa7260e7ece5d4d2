//! The objects of one section of the draft, page by page.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::store::Listed;

use super::blocking;
use crate::api::{
    AppState,
    extract::{Path, Query},
    problem::{ApiResult, Problem},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_objects))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SectionQuery {
    /// Objects behind this name: the `next` of the page before.
    #[serde(default)]
    after: String,
    /// At most so many.
    #[serde(default = "hundred")]
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: u32,
}

/// An object of the section.
#[derive(Debug, Serialize, ToSchema)]
struct ObjectView {
    /// Its name.
    id: String,
    /// What the draft does to it: `added`, `changed` or `removed`; null when it leaves it alone.
    change: Option<&'static str>,
    /// As the draft has it; null when it is removed.
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
    /// As it is active; null when it is not.
    #[schema(value_type = Option<Object>)]
    active: Option<Value>,
}

/// A page of a section.
#[derive(Debug, Serialize, ToSchema)]
struct SectionPage {
    /// By their names.
    objects: Vec<ObjectView>,
    /// The cursor of the next page; none at the end.
    next: Option<String>,
}

/// List the objects of a section, as they are active and as the draft has them.
#[utoipa::path(get, path = "/api/v1/routing/draft/{section}", security(("key" = ["routing.read"])), tag = "routing",
    params(("section" = String, Path, description = "`inboxes`, `numbers`, `entry_points`, `ivrs` …"), SectionQuery),
    responses(
        (status = 200, description = "A page of objects.", body = SectionPage),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such section.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_objects(
    State(state): State<AppState>,
    Path(section): Path<String>,
    Query(SectionQuery { after, limit }): Query<SectionQuery>,
) -> ApiResult<axum::Json<SectionPage>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let kind = super::draft::key(&section, String::new())?.kind;
    let listed = blocking(&state, move |store| store.draft_page(kind, &after, limit)).await?;
    let full = u32::try_from(listed.len()).is_ok_and(|count| count == limit);
    let next = listed.last().filter(|_| full).map(|object| object.id.clone());
    Ok(axum::Json(SectionPage { objects: listed.into_iter().map(ObjectView::from).collect(), next }))
}

impl From<Listed> for ObjectView {
    fn from(Listed { id, active, body, edited }: Listed) -> Self {
        let change = match (edited, &active, &body) {
            (false, ..) => None,
            (true, _, None) => Some("removed"),
            (true, None, Some(_)) => Some("added"),
            (true, Some(_), Some(_)) => Some("changed"),
        };
        Self { id, change, body, active }
    }
}

fn hundred() -> u32 {
    100
}
