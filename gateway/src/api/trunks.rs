//! Trunks as they are now: whether each answers, whether we are registered at it, and a test of the connection.

use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::Path,
    problem::{ApiResult, Problem},
};
use crate::trunks::{NoTest, Reach, Tried};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_trunks)).routes(routes!(reach_trunk))
}

/// A trunk.
#[derive(Debug, Serialize, ToSchema)]
struct TrunkView {
    /// Its id, `tr_…`.
    id: String,
    /// What people call it.
    name: String,
    /// Whether numbers are called over it.
    outbound: bool,
    /// Whether it answers pings: `up`, `down`, or `unknown` while it was not asked.
    reach: &'static str,
    /// Since when; null while that is unknown.
    reach_since: Option<String>,
    /// How we are registered at it; null for a trunk without a registration, and until its first answer.
    registration: Option<RegistrationView>,
}

/// A registration.
#[derive(Debug, Serialize, ToSchema)]
struct RegistrationView {
    /// Whether the registrar knows us.
    registered: bool,
    /// Until when, unless it is refreshed; null when it does not know us.
    until: Option<String>,
    /// The status of its last answer: 408 when none came, 503 when it could not be reached, 0 when nobody could be asked.
    status: u16,
}

/// All trunks.
#[derive(Debug, Serialize, ToSchema)]
struct TrunkList {
    /// By their ids.
    trunks: Vec<TrunkView>,
}

/// What came of a connection test.
#[derive(Debug, Serialize, ToSchema)]
struct TrunkTest {
    /// Whether calls may be tried over it: one address answered.
    up: bool,
    /// Each address that was asked.
    tried: Vec<Tried>,
}

/// List the trunks of the active revision, whether they answer, and whether we are registered there.
#[utoipa::path(get, path = "/api/v1/trunks", security(("key" = ["routing.read"])), tag = "trunks", responses(
    (status = 200, description = "All trunks, by their ids.", body = TrunkList),
))]
async fn list_trunks(State(state): State<AppState>) -> axum::Json<TrunkList> {
    let active = state.store.active().load();
    let view = |trunk: &std::sync::Arc<vestibule_config::compile::Trunk>| {
        let known = state.trunks.known(&trunk.id);
        TrunkView {
            id: trunk.id.to_string(),
            name: trunk.name.clone(),
            outbound: trunk.outbound.is_some(),
            reach: match known.reach {
                Some((Reach::Up, _)) => "up",
                Some((Reach::Down, _)) => "down",
                None => "unknown",
            },
            reach_since: known.reach.map(|(_, since)| since.to_string()),
            registration: known.registration.map(|state| RegistrationView {
                registered: state.until.is_some(),
                until: state.until.map(|until| until.to_string()),
                status: state.status,
            }),
        }
    };
    axum::Json(TrunkList { trunks: active.trunks.iter().map(view).collect() })
}

/// Test the connection to a trunk: sends OPTIONS to each of its addresses now, and says what came back.
#[utoipa::path(post, path = "/api/v1/trunks/{id}/test", security(("key" = ["routing.edit"])), tag = "trunks",
    params(("id" = String, Path, description = "The trunk, `tr_…`")),
    responses(
        (status = 200, description = "What came of each address.", body = TrunkTest),
        (status = 404, description = "No such trunk.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Numbers are not called over it, so that nobody knows where it is.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Its host cannot be found.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Signalling is not up.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn reach_trunk(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<TrunkTest>> {
    let routing = state.store.active().load();
    let trunk = routing.trunks.get(&id.as_str().into()).ok_or_else(|| {
        let detail = format!("The active revision has no trunk {id}.");
        Problem::new(StatusCode::NOT_FOUND, "no_such_trunk", detail, "List the trunks to find it.")
    })?;
    let outbound = trunk.outbound.clone().ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "no_outbound",
            format!("No numbers are called over {id}: it has no `outbound`."),
            "Give the trunk an `outbound` with its host, or have the carrier call a number of yours.",
        )
    })?;
    match state.trunks.test(&outbound).await {
        Ok(tried) => Ok(axum::Json(TrunkTest { up: tried.iter().any(|tried| tried.alive), tried })),
        Err(error @ NoTest::NotFound(_)) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "trunk_not_found",
            error.to_string(),
            "Correct the trunk's host, or see that the name servers answer.",
        )),
        Err(error @ NoTest::NotUp) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "signalling_down",
            error.to_string(),
            "Try again when /readyz says that the gateway is ready.",
        )),
    }
}
