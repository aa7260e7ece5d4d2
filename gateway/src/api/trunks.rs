//! Trunks as they are now: whether each answers, and whether we are registered at it.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::AppState;
use crate::trunks::Reach;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_trunks))
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

/// List the trunks of the active revision, whether they answer, and whether we are registered there.
#[utoipa::path(get, path = "/api/v1/trunks", tag = "trunks", responses(
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
