//! What stands before the handlers: who asks and whether he may, the limits of a body, and the count of answers.

use std::time::Instant;

use axum::{
    body::{Body, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{Extensions, HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::Body as _;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use vestibule_config::settings;

use super::{
    AppState,
    access::{ACCESS, Found, Needs},
    chat, entry_points, files, idempotency,
    problem::Problem,
    prompts,
    server::Encrypted,
    webhooks,
};
use crate::{
    identity::{Caller, CallerKind, Credentials, permission::Permission},
    telemetry::StatusClass,
};

/// The pages of the console.
const CONSOLE: &str = "/console";

/// A request with a session's cookie that another site had the browser make; or nobody can tell.
#[derive(Clone, Copy, Debug)]
struct CrossSite;

/// Finds out who asks, once, and puts the [`Caller`] into the request.
pub(super) async fn identify(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path.starts_with(webhooks::PREFIX) || path.starts_with(chat::PREFIX) {
        return next.run(request).await;
    }
    let (headers, changes) = (request.headers(), !request.method().is_safe());
    let secure = is_secure(&state, request.extensions());
    let origin = Origin::of(&state, headers, secure);
    if changes && path.starts_with(CONSOLE) && origin != Origin::Ours {
        return cross_site(&state).into_response();
    }
    if headers.contains_key(header::AUTHORIZATION) {
        let caller =
            bearer(headers).and_then(|key| state.identity.caller(&Credentials::Key(key), Timestamp::now()));
        caller.and_then(|caller| request.extensions_mut().insert(caller));
    } else if let Some(secret) = cookie(headers, cookie_name(secure)) {
        let caller = state.identity.caller(&Credentials::Session(secret), Timestamp::now());
        if changes && origin != Origin::Ours {
            request.extensions_mut().insert(CrossSite);
        } else {
            caller.and_then(|caller| request.extensions_mut().insert(caller));
        }
    }
    next.run(request).await
}

/// Lets a request through whose caller may what the route declares.
pub(super) async fn allow(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let Some(caller) = extensions.get::<Caller>() else {
        let strange = extensions.get::<CrossSite>().is_some();
        return if strange { cross_site(&state) } else { refused(&state) }.into_response();
    };
    let template = extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    match ACCESS.of(request.method(), template) {
        Found::Needs(Needs::Known) => next.run(request).await,
        Found::Needs(Needs::One(permission)) if caller.may(permission) => next.run(request).await,
        Found::Needs(Needs::One(permission)) => forbidden(&state, caller, permission).into_response(),
        Found::OtherMethods => super::problem::method_not_allowed().await.into_response(),
        Found::Nothing => {
            tracing::error!(path = template, "a route declares no permission, and is refused");
            undeclared(&state).into_response()
        }
    }
}

/// Keeps other sites from signing a browser in here.
pub(super) async fn ours_only(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let secure = is_secure(&state, request.extensions());
    if Origin::of(&state, request.headers(), secure) == Origin::Others {
        return cross_site(&state).into_response();
    }
    next.run(request).await
}

/// The answer to a request of nobody whom we know.
pub(super) fn refused(state: &AppState) -> Problem {
    state.metrics.api.unauthorised.inc();
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "key_needed",
        "This path needs an API key or a session, and the request has none that holds.",
        "Send `Authorization: Bearer vk_…` (the first start wrote a key to api-key in the data folder), or sign in.",
    )
}

fn cross_site(state: &AppState) -> Problem {
    state.metrics.api.forbidden.inc();
    Problem::new(
        StatusCode::FORBIDDEN,
        "cross_site",
        "The browser does not say that a page of ours made this request.",
        "Use the console at its own address; behind a proxy, set identity.public_url. Programs send a key.",
    )
}

fn undeclared(state: &AppState) -> Problem {
    state.metrics.api.forbidden.inc();
    Problem::new(
        StatusCode::FORBIDDEN,
        "not_declared",
        "This path declares no permission, so that nobody may use it.",
        "Report it: it is a fault of the gateway.",
    )
}

fn forbidden(state: &AppState, caller: &Caller, permission: Permission) -> Problem {
    state.metrics.api.forbidden.inc();
    if matches!(caller.kind, CallerKind::User { must_change: true, .. }) {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "password_change_needed",
            "Set another password first.",
            "POST /api/v1/me/password with the current and the new one.",
        );
    }
    Problem::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        format!("This takes the permission {permission}, which {} does not have.", caller.kind.noun()),
        "Ask an administrator for a role that has it; GET /api/v1/me shows what you may do.",
    )
    .with(serde_json::json!({ "permission": permission }))
}

/// Where a browser says that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A page of ours.
    Ours,
    /// A page of another site, or none at all.
    Others,
    /// It does not say: an old browser, or a program.
    Unsaid,
}

impl Origin {
    fn of(state: &AppState, headers: &HeaderMap, secure: bool) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // Pages cannot set either. The first is sent to secure places and loopback only.
        if let Some(site) = headers.get("sec-fetch-site") {
            return if site == "same-origin" { Self::Ours } else { Self::Others };
        }
        if !headers.contains_key(header::ORIGIN) {
            return Self::Unsaid;
        }
        let origin = text(header::ORIGIN).unwrap_or_default();
        let public = state.identity.settings().public_url.as_ref();
        let named = public.is_some_and(|url| url.as_str().eq_ignore_ascii_case(origin));
        let scheme = if secure { "https://" } else { "http://" };
        let host = origin.strip_prefix(scheme).filter(|host| !host.is_empty());
        let asked =
            host.is_some_and(|host| text(header::HOST).is_some_and(|asked| asked.eq_ignore_ascii_case(host)));
        if named || asked { Self::Ours } else { Self::Others }
    }
}

/// Whether the browser comes by HTTPS: to us, or to a proxy in front.
pub(super) fn is_secure(state: &AppState, extensions: &Extensions) -> bool {
    let encrypted = extensions.get::<Encrypted>().is_some_and(|Encrypted(encrypted)| *encrypted);
    encrypted || state.identity.settings().public_url.as_ref().is_some_and(settings::PublicUrl::is_secure)
}

/// The cookie that holds a session. Under this prefix browsers take it from the host itself only, and over HTTPS.
pub(super) fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-vestibule_session" } else { "vestibule_session" }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, secret) = text?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// Reads the body here, once, within a size and a time, so that no handler waits for a slow sender. Strangers
/// never have more than the small size read.
pub(super) async fn limit_body(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let limits = state.limits;
    if request.uri().path() == entry_points::IMPORT_PATH && request.extensions().get::<Caller>().is_some() {
        // Read line by line by its handler, within the same time for each piece.
        return next.run(request).await;
    }
    let provider = request.uri().path().strip_prefix(webhooks::PREFIX).map(|id| state.providers.get(id));
    let (bytes_max, remedy) = if let Some(provider) = provider {
        if provider.is_some_and(|provider| provider.kind.is_mail()) {
            (limits.mail_webhook_bytes_max, "Raise http.mail_webhook_bytes_max, or have smaller mails sent.")
        } else {
            (
                limits.webhook_bytes_max,
                "Raise http.webhook_bytes_max, or have the provider send less at once.",
            )
        }
    } else if let Some(bytes_max) = chat::upload_bytes_max(&state, &request) {
        (bytes_max, "Send a smaller file, or raise chat.file_bytes_max.")
    } else if request.extensions().get::<Caller>().is_none() {
        // What a stranger may ask for has a short body, or none.
        (STRANGER_BYTES_MAX, "Send a key, or sign in: nothing that can be asked for without has such a body.")
    } else if prompts::is_upload(request.uri().path()) {
        (prompts::UPLOAD_BYTES_MAX, "Upload a shorter recording, or send it whole.")
    } else if let Some(bytes_max) =
        crate::console::form_bytes_max(request.uri().path(), prompts::UPLOAD_BYTES_MAX)
    {
        (bytes_max, "Choose a shorter recording, or send it whole.")
    } else if files::is_upload(&request) {
        (state.uploads.bytes_max(), "Send a smaller file, or raise chat.file_bytes_max.")
    } else if puts_document(&request) {
        (limits.document_bytes_max, "Send it whole, or raise http.document_bytes_max.")
    } else {
        (limits.body_bytes_max, "Split the request, send it whole, or raise http.body_bytes_max.")
    };
    let place = match large_body(&state, &request, bytes_max) {
        Ok(place) => place,
        Err(problem) => return problem.into_response(),
    };
    let (parts, body) = request.into_parts();
    let Ok(read) = tokio::time::timeout(limits.body, to_bytes(body, bytes_max)).await else {
        return Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            format!("The body did not come within {} seconds.", limits.body.as_secs()),
            "Send the body at once, or raise http.body_seconds.",
        )
        .into_response();
    };
    match read {
        Ok(bytes) => {
            let request = Request::from_parts(parts, Body::from(bytes));
            let Some(place) = place else { return next.run(request).await };
            // What was begun with so much goes on when the client has left, and keeps its place for as long.
            idempotency::to_its_end(async move {
                let _place = place;
                next.run(request).await
            })
            .await
        }
        Err(_) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("The body is longer than {bytes_max} bytes, or broke off."),
            remedy,
        )
        .into_response(),
    }
}

/// A place for a body that may be large (of a webhook, or a file), until it is dealt with; small ones need none.
fn large_body(
    state: &AppState,
    request: &Request,
    bytes_max: usize,
) -> Result<Option<OwnedSemaphorePermit>, Problem> {
    if files::is_upload(request) || chat::upload_bytes_max(state, request).is_some() {
        return state.uploads.place().map(Some).ok_or_else(files::too_many_uploads);
    }
    let is_webhook = request.uri().path().starts_with(webhooks::PREFIX);
    let at_most = request.body().size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    let small = at_most.unwrap_or(usize::MAX).min(bytes_max) <= state.limits.webhook_bytes_max;
    if !(is_webhook || puts_document(request)) || small {
        return Ok(None);
    }
    state.large_bodies.clone().try_acquire_owned().map(Some).map_err(|_| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_large_bodies",
            "As many large mails and documents are coming in as may at once.",
            "Send it again in a moment.",
        )
    })
}

/// Longest body read of a request of nobody whom we know: small change, so that its answer is 401 and not a broken line.
const STRANGER_BYTES_MAX: usize = 16 << 10;

/// Whether the body may be a whole routing document.
fn puts_document(request: &Request) -> bool {
    let path = request.uri().path();
    request.method() != Method::GET && path.starts_with("/api/v1/routing/")
}

/// Counts answers and times them.
pub(super) async fn measure(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let waits = path.starts_with("/api/v1/events")
        || (path.starts_with("/api/v1/conversations/") && path.ends_with("/live"))
        || path.ends_with("/test-call/stream")
        || (path.starts_with(chat::PREFIX) && path.ends_with(chat::WAITING));
    let begun = Instant::now();
    let response = next.run(request).await;
    state.metrics.api.responses.of(StatusClass::of(response.status().as_u16())).inc();
    if !waits {
        state.metrics.api.request_seconds.observe(begun.elapsed().as_secs_f64());
    }
    response
}
