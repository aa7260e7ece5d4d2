//! `/livez`, `/readyz` and `/metrics`: for supervisors, load balancers and Prometheus.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{AppState, guard, problem::Problem, readiness::Phase};
use crate::identity::{Caller, permission::Permission};

/// The peer of a connection, put into each of its requests by the server.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

async fn readyz(State(state): State<AppState>) -> Response {
    let not_ready = |code, detail: &str, remedy: &str| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail, remedy).into_response()
    };
    match state.readiness.phase() {
        Phase::Starting => not_ready("starting", "The gateway is starting.", "Ask again in a moment."),
        Phase::Draining | Phase::Stopping => {
            not_ready("draining", "The gateway takes no new calls.", "Send calls to another node.")
        }
        Phase::Ready if !state.journal.is_ready() => not_ready(
            "journal_unavailable",
            "The journal cannot commit, so that no call may be answered.",
            "Look at the disk of the data folder and at the log.",
        ),
        Phase::Ready => "ready\n".into_response(),
    }
}

async fn metrics(State(state): State<AppState>, request: Request) -> Response {
    let peer = request.extensions().get::<Peer>();
    let loopback = peer.is_some_and(|Peer(address)| address.ip().to_canonical().is_loopback());
    let allowed = |caller: &Caller| caller.may(Permission::MetricsRead);
    if !loopback && !request.extensions().get::<Caller>().is_some_and(allowed) {
        return guard::refused(&state).into_response();
    }
    match state.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
