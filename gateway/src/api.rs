//! The control API: what it serves, and to whom. What is under `/api/v1` declares the permission that it takes.
//!
//! Handlers read the journal, the live contacts and the plan; they never touch SIP or media. Groups of
//! endpoints are modules with a `routes()`; [`router`] merges them.

pub mod ask;
mod audit;
pub mod blocked;
pub mod callbacks;
pub mod carriers;
pub mod chat;
mod consumers;
mod contact_trace;
pub mod contacts;
pub mod conversations;
pub mod customers;
pub mod deliveries;
pub mod entry_points;
mod erasures;
pub mod events;
pub mod extract;
pub mod files;
pub mod hand_off;
pub mod health;
pub mod https;
pub mod idempotency;
pub mod identity;
pub mod inboxes;
pub mod ivrs;
pub mod live;
pub mod mail;
pub mod message_media;
pub mod numbers;
pub mod problem;
pub mod prompts;
mod ranges;
pub mod readiness;
pub mod recordings;
pub mod replies;
pub mod retention;
pub mod routing;
pub mod server;
pub mod test_numbers;
pub mod trunks;
pub mod webhooks;

mod access;
mod acts;
mod guard;
mod noted;

use axum::{Router, extract::DefaultBodyLimit, middleware, routing::get};
use utoipa::openapi::{
    OpenApi, OpenApiBuilder,
    info::{InfoBuilder, LicenseBuilder},
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use self::{ask::Inner, live::LiveContacts, readiness::Readiness};
use crate::{feed::Feed, identity::Identity, journal::Journal, sip::Capture, telemetry::Metrics};

/// What handlers work with, [`Parts`]. It is cloned several times a request, so that this costs two counts only.
#[derive(Clone, Debug)]
pub struct AppState {
    parts: Arc<Parts>,
    /// The API, for those in the process who ask it.
    inner: Inner,
}

impl From<Parts> for AppState {
    fn from(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), inner: Inner::default() }
    }
}

impl std::ops::Deref for AppState {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// The parts of the gateway that handlers work with.
#[derive(Debug)]
pub struct Parts {
    /// The journal.
    pub journal: Journal,
    /// The feed of the journal.
    pub feed: Feed,
    /// Contacts that go on.
    pub live: LiveContacts,
    /// Who may do what.
    pub identity: Identity,
    /// Whether calls are taken.
    pub readiness: Readiness,
    /// All metric families.
    pub metrics: Metrics,
    /// Routing: drafts, revisions, numbers.
    pub store: Arc<vestibule_config::store::Store>,
    /// Recent SIP messages of calls.
    pub capture: Capture,
    /// What a request may cost.
    pub limits: Limits,
    /// The queues of all inboxes.
    pub queues: crate::queue::Queues,
    /// Recordings of calls.
    pub recordings: crate::recordings::Recordings,
    /// Files that came with messages.
    pub files: crate::files::Files,
    /// Mails as they came.
    pub mails: crate::files::Files,
    /// Files on their way into chats.
    pub uploads: crate::uploads::Uploads,
    /// A permit for each large body that is read.
    pub large_bodies: Arc<Semaphore>,
    /// Callers who are to be called back.
    pub callbacks: crate::callbacks::Callbacks,
    /// Agents available to inboxes.
    pub availability: crate::availability::Availability,
    /// Finds the addresses of targets.
    pub locator: crate::sip::Locator,
    /// What is known of trunks.
    pub trunks: crate::trunks::Trunks,
    /// Who sends messages.
    pub providers: crate::message::Providers,
    /// Tells consumers by webhook.
    pub deliveries: crate::deliveries::Deliveries,
    /// Numbers, and the carriers that they are held at.
    pub numbers: crate::numbers::Numbers,
    /// Test calls that are watched.
    pub test_calls: crate::numbers::test_call::TestCalls,
    /// Takes messages in.
    pub intake: crate::message::Intake,
    /// Which addresses mail is taken for.
    pub mailboxes: crate::message::Mailboxes,
    /// Fetches files of messages.
    pub media_fetcher: crate::message::MediaFetcher,
    /// Chats with visitors of pages.
    pub chats: crate::chat::Chats,
    /// Answers to requests that may come again.
    pub idempotency: idempotency::Idempotency,
    /// The import of entry points under way.
    pub imports: entry_points::Imports,
    /// What callers hear.
    pub sounds: crate::sound::Library,
    /// Whom contacts may be handed to.
    pub hand_off: Arc<vestibule_config::settings::HandOff>,
    /// How the console's pages are.
    pub console: Arc<vestibule_config::settings::Console>,
}

/// Bodies of more than [`Limits::webhook_bytes_max`] that are read at once: mails with their files.
pub const LARGE_BODIES_MAX: usize = 8;

/// Bounds of the HTTP listener; the settings' `[http]`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body, bytes.
    pub body_bytes_max: usize,
    /// Largest body of a request that puts a whole routing document, bytes; only for those who have a key.
    pub document_bytes_max: usize,
    /// Largest body of a webhook, bytes.
    pub webhook_bytes_max: usize,
    /// Largest body of a webhook that mail comes by, bytes.
    pub mail_webhook_bytes_max: usize,
    /// Time for the request line and headers.
    pub header: Duration,
    /// Time for a body.
    pub body: Duration,
    /// Connections at once.
    pub connections_max: usize,
    /// How long things are kept, to be told.
    pub kept: retention::Kept,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            document_bytes_max: 256 << 20,
            webhook_bytes_max: 4 << 20,
            mail_webhook_bytes_max: 40 << 20,
            header: Duration::from_secs(10),
            body: Duration::from_secs(30),
            connections_max: 1024,
            kept: retention::Kept::default(),
        }
    }
}

/// Every path of the process's HTTP listener.
pub fn router(state: AppState) -> Router {
    Router::new()
        .merge(guarded(&state))
        .merge(health::routes())
        .merge(webhooks::routes())
        .merge(chat::routes(state.clone()))
        .merge(crate::console::routes(&state))
        .route("/api/v1/openapi.json", get(serve_openapi))
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        // The guard below bounds bodies, by the settings.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(state.clone(), guard::limit_body))
        .layer(middleware::from_fn_with_state(state.clone(), guard::identify))
        .layer(middleware::from_fn_with_state(state.clone(), guard::measure))
        .with_state(state)
}

/// The paths under `/api/v1`, for those within the process.
fn api(state: AppState) -> Router {
    guarded(&state)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

/// What is described, with what stands before it.
fn guarded(state: &AppState) -> Router<AppState> {
    let (known, _) = described().split_for_parts();
    let (strangers, _) = open().split_for_parts();
    known
        .layer(middleware::from_fn_with_state(state.clone(), noted::note))
        .layer(middleware::from_fn_with_state(state.clone(), idempotency::once))
        .layer(middleware::from_fn_with_state(state.clone(), guard::allow))
        .merge(
            strangers
                .layer(middleware::from_fn_with_state(state.clone(), noted::note))
                .layer(middleware::from_fn_with_state(state.clone(), guard::ours_only)),
        )
}

/// The description of the API, as served at `/api/v1/openapi.json` and kept in `gateway/openapi.json`.
pub fn openapi() -> OpenApi {
    let mut api = described().merge(open()).split_for_parts().1;
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "An API key, `vk_…`. The first is made at the first start. What stands beside it is the permission that \
             it must have.",
        ))
        .build();
    let session = ApiKeyValue::with_description(
        guard::cookie_name(false),
        "Somebody who signed in; `__Host-vestibule_session` over HTTPS.",
    );
    let components = api.components.get_or_insert_with(Default::default);
    components.add_security_scheme("key", SecurityScheme::Http(key));
    components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    for item in api.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            for list in operation.security.iter_mut() {
                let session = list.iter().find_map(same_for_sessions);
                list.extend(session);
            }
        }
    }
    api
}

/// What a key must have, a session must have.
fn same_for_sessions(requirement: &SecurityRequirement) -> Option<SecurityRequirement> {
    let value = serde_json::to_value(requirement).ok()?;
    let scopes = value.get("key")?.as_array()?.iter().filter_map(|scope| scope.as_str());
    Some(SecurityRequirement::new("session", scopes))
}

/// The description as pretty JSON with a final newline.
///
/// # Errors
/// Never in practice: the description is plain data.
pub fn openapi_json() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&openapi()).map(|json| json + "\n")
}

/// The endpoints under `/api/v1`; a new group of endpoints is merged here.
fn described() -> OpenApiRouter<AppState> {
    let info = InfoBuilder::new()
        .title("Vestibule control API")
        .version("1")
        .description(Some(
            "Contacts, the event feed and routing. Errors are RFC 9457 problem documents with a stable \
             `code` and a `remedy`; lists are pages with a cursor.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").build()));
    let base = OpenApiBuilder::new().info(info.build()).build();
    OpenApiRouter::with_openapi(base)
        .merge(events::routes())
        .merge(consumers::routes())
        .merge(deliveries::routes())
        .merge(contacts::routes())
        .merge(contact_trace::routes())
        .merge(conversations::routes())
        .merge(customers::routes())
        .merge(erasures::routes())
        .merge(retention::routes())
        .merge(replies::routes())
        .merge(hand_off::routes())
        .merge(inboxes::routes())
        .merge(trunks::routes())
        .merge(callbacks::routes())
        .merge(recordings::routes())
        .merge(files::routes())
        .merge(mail::routes())
        .merge(message_media::routes())
        .merge(routing::routes())
        .merge(numbers::routes())
        .merge(carriers::routes())
        .merge(entry_points::routes())
        .merge(ivrs::routes())
        .merge(blocked::routes())
        .merge(test_numbers::routes())
        .merge(prompts::routes())
        .merge(identity::routes())
        .merge(audit::routes())
}

/// The endpoints under `/api/v1` that ask for no key.
fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(identity::open_routes())
}

async fn serve_openapi() -> axum::response::Response {
    use axum::response::IntoResponse;
    axum::Json(openapi()).into_response()
}
