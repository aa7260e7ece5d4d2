//! The console: pages for people, over the control API.
//!
//! **It has no power that the API lacks.** A page asks the API in this process, as the person who is signed in
//! ([`ask`]), so permissions are checked in one place, and what the console shows is what the API tells. Pages are HTML
//! from compiled templates, which escape what strangers have written; they can be read, and their forms be sent, without
//! a script. Small modules of our own (`assets/console/`) add what moves.
//!
//! A request goes through `guard` (headers, origin, session), then to the page's handler, which takes a
//! [`Desk`](ask::Desk): the one who asks, with the API at hand. How a page is added stands in `ARCHITECTURE.md`.

pub mod ask;
mod assets;
mod contacts;
mod draft;
mod entry_points;
mod form;
mod guard;
mod inboxes;
mod ivrs;
mod live;
mod numbers;
mod page;
mod prompts;
mod revisions;
mod session;
mod settings;
mod shell;
mod upload;
mod uses;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    http::Method,
    middleware,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use tokio::sync::Semaphore;

use crate::api::AppState;

pub use ask::Refused;
pub(crate) use upload::bytes_max as form_bytes_max;

/// What all pages work with; cheap to clone.
#[derive(Clone, Debug)]
pub struct Console {
    /// What it shares with the API, and asks it by.
    state: AppState,
    /// Streams of the live page that may still be opened.
    streams: Arc<Semaphore>,
}

/// Everything under `/console`.
pub fn routes(state: &AppState) -> Router<AppState> {
    let streams = Arc::new(Semaphore::new(state.console.live_streams_max.min(Semaphore::MAX_PERMITS)));
    let console = Console { state: state.clone(), streams };
    // A new page is merged here, and has its line in `shell::MENU` when it stands in the menu.
    let pages = Router::new()
        .route("/console", get(|| async { Redirect::to(HOME) }))
        .merge(session::routes())
        .merge(live::routes())
        .merge(contacts::routes())
        .merge(entry_points::routes())
        .merge(inboxes::routes())
        .merge(ivrs::routes())
        .merge(numbers::routes())
        .merge(prompts::routes())
        .merge(settings::routes())
        .merge(revisions::routes())
        .route("/console/{*path}", get(no_such_page))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(console.clone(), guard::need_session));
    Router::new()
        .route("/", get(|| async { Redirect::to(HOME) }))
        .merge(pages)
        .merge(session::doors())
        .merge(assets::routes())
        .layer(middleware::from_fn(guard::every_answer))
        .with_state(console)
}

/// Where people begin.
const HOME: &str = "/console/live";

async fn no_such_page() -> Response {
    Refused::new(404, "no_such_page", "There is no page at this address.", "Use the menu.").into_response()
}

async fn wrong_method(method: Method) -> Response {
    let detail = format!("This page does not take {method} requests.");
    Refused::new(405, "method_not_allowed", detail, "Go back and use the page's own buttons.").into_response()
}
