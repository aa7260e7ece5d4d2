//! What pages of sites ask for: the chat window's script, a session, and the visitor's side of a chat.
//!
//! No key is asked for. Every request but those for the script names the page's origin, which must be one of the chat
//! app's, and carries the visitor's token. Bodies are answered with problem documents as everywhere.

mod files;
mod socket;

pub(super) use files::upload_bytes_max;

use std::time::Duration;

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    AppState,
    extract::{Json, Path},
    health::Peer,
    problem::{ApiResult, Problem},
};
use crate::{
    chat::{App, Asks, Refused, opening::Opening, rooms::Told, visitor::Visitor},
    journal::{ChatFile, ChatLine},
    telemetry::{ChatMetrics, ChatRefusal},
};

/// The beginning of all its paths.
pub(super) const PREFIX: &str = "/chat/";
/// The path of those who wait for lines, which take long on purpose.
pub(super) const WAITING: &str = "/lines";

const SCRIPT: &str = include_str!("../../assets/chat/widget.js");
const PAGE: &str = include_str!("../../assets/chat/try.html");

/// How long somebody waits for lines without a socket.
const WAIT: Duration = Duration::from_secs(25);

pub(super) fn routes(state: AppState) -> Router<AppState> {
    let of_pages = Router::new()
        .route("/chat/{app}/session", post(begin).options(asked_before))
        .route("/chat/{app}/messages", post(write).options(asked_before))
        .route("/chat/{app}/files", post(files::upload).options(asked_before))
        .route("/chat/{app}/file", post(files::fetch).options(asked_before))
        .route("/chat/{app}/typing", post(types).options(asked_before))
        .route("/chat/{app}/lines", post(wait_for_lines).options(asked_before))
        .route("/chat/{app}/socket", get(socket::open))
        .layer(middleware::from_fn_with_state(state, of_an_allowed_page));
    Router::new()
        .route("/chat/{app}/widget.js", get(script))
        .route("/chat/{app}/try", get(page))
        .merge(of_pages)
}

/// Lets requests through that pages of an allowed origin make, and answers what browsers ask before (CORS).
async fn of_an_allowed_page(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let id =
        request.uri().path().strip_prefix(PREFIX).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let Some(app) = state.chats.app(id) else { return no_such_app(id).into_response() };
    let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let Some(origin) = origin.filter(|origin| app.allows(origin)).map(str::to_owned) else {
        state.metrics.chat.refused.of(ChatRefusal::Origin).inc();
        return not_here().into_response();
    };
    let asks_before = request.method() == Method::OPTIONS;
    request.extensions_mut().insert(app);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(origin) = HeaderValue::from_str(&origin) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if asks_before {
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
            (header::ACCESS_CONTROL_MAX_AGE, "600"),
        ];
        headers.extend(allowed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    }
    response
}

/// What browsers ask before they send a page's request; the headers around it say the rest.
async fn asked_before() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The script that a page names once. It finds the chat app in its own address.
async fn script(State(state): State<AppState>, Path(id): Path<String>, asked: HeaderMap) -> Response {
    if state.chats.app(&id).is_none() {
        return no_such_app(&id).into_response();
    }
    let digits: String = Sha256::digest(SCRIPT).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{digits}\"");
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { SCRIPT.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// A page with the chat on it, to try it. Works where the gateway's own origin is one of the chat app's.
async fn page(State(state): State<AppState>, Path(id): Path<String>) -> Response {
    if state.chats.app(&id).is_none() {
        return no_such_app(&id).into_response();
    }
    let policy = "default-src 'none'; script-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; \
                  form-action 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (headers, PAGE).into_response()
}

/// What a visitor brings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Brings {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    identity: Option<String>,
}

/// What a visitor is told.
#[derive(Debug, Serialize)]
struct SessionView {
    state: Opening,
    token: String,
    customer: String,
    title: String,
    greeting: Option<String>,
    consent: Option<String>,
    closed_text: Option<String>,
    hidden: bool,
    /// The largest file that may be sent; 0: none may.
    file_bytes_max: usize,
    lines: Vec<LineView>,
}

/// A line as both sides read it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(super) struct LineView {
    /// Its place in the thread, from 1; lines of both sides share the count.
    line: u64,
    /// When it was taken in.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The agent who said it; absent: the visitor.
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// The id that its writer gave it.
    id: String,
    /// What was said, unchanged: plain text; empty when files say it all.
    text: String,
    /// What came with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<ChatFile>,
}

impl LineView {
    /// Its place in the thread.
    pub(super) fn number(&self) -> u64 {
        self.line
    }
}

impl From<ChatLine> for LineView {
    fn from(ChatLine { line, at, by, message_id, text, files }: ChatLine) -> Self {
        Self { line, at, by, id: message_id, text, files }
    }
}

async fn begin(
    State(state): State<AppState>,
    Extension(app): Extension<App>,
    peer: Option<Extension<Peer>>,
    Json(Brings { token, identity }): Json<Brings>,
) -> ApiResult<axum::Json<SessionView>> {
    let from = peer.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |Extension(Peer(peer))| peer.ip());
    let asks = Asks { token: token.as_deref(), identity: identity.as_deref(), from };
    let begun = state.chats.begin(&app, asks, Timestamp::now()).await;
    let session = begun.map_err(|refused| problem(&state.metrics.chat, refused))?;
    let doc = &app.doc;
    let hidden = match session.opening {
        Opening::Open | Opening::Busy => false,
        Opening::Closed => doc.hidden_when_closed,
        Opening::Off => true,
    };
    Ok(axum::Json(SessionView {
        state: session.opening,
        customer: session.visitor.customer().to_owned(),
        token: session.token,
        title: doc.title.clone().unwrap_or_else(|| doc.name.clone()),
        greeting: doc.greeting.clone(),
        consent: doc.consent.clone(),
        closed_text: doc.closed_text.clone(),
        hidden,
        file_bytes_max: state.uploads.bytes_max(),
        lines: session.lines.into_iter().map(LineView::from).collect(),
    }))
}

/// Something that a visitor says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Says {
    id: String,
    text: String,
    #[serde(default)]
    files: Vec<String>,
}

/// Where it stands now.
#[derive(Debug, Serialize)]
struct Taken {
    id: String,
    line: u64,
}

async fn write(
    State(state): State<AppState>,
    Extension(app): Extension<App>,
    headers: HeaderMap,
    Json(Says { id, text, files }): Json<Says>,
) -> ApiResult<axum::Json<Taken>> {
    let visitor = visitor(&state, &app, &headers)?;
    match state.chats.write(&app, &visitor, (&id, &text, &files), Timestamp::now()).await {
        Ok(line) => Ok(axum::Json(Taken { id, line })),
        Err(refused) => Err(problem(&state.metrics.chat, refused)),
    }
}

async fn types(
    State(state): State<AppState>,
    Extension(app): Extension<App>,
    headers: HeaderMap,
) -> ApiResult<StatusCode> {
    state.chats.types(&visitor(&state, &app, &headers)?);
    Ok(StatusCode::NO_CONTENT)
}

/// Which lines a visitor has not seen.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Behind {
    after: u64,
}

/// Lines, or an agent who types, or neither when nothing happened for a while.
#[derive(Debug, Default, Serialize)]
struct Happened {
    lines: Vec<LineView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    typing: Option<String>,
}

/// For those whose network lets no socket through: waits until there is something to tell.
async fn wait_for_lines(
    State(state): State<AppState>,
    Extension(app): Extension<App>,
    headers: HeaderMap,
    Json(Behind { after }): Json<Behind>,
) -> ApiResult<axum::Json<Happened>> {
    let visitor = visitor(&state, &app, &headers)?;
    let _place = state.chats.place().ok_or_else(|| too_many(&state.metrics.chat))?;
    let mut member = state.chats.join(visitor.thread());
    let until = tokio::time::Instant::now() + WAIT;
    loop {
        let lines = state.chats.lines(visitor.thread(), after).await?;
        if !lines.is_empty() {
            let lines = lines.into_iter().map(LineView::from).collect();
            return Ok(axum::Json(Happened { lines, typing: None }));
        }
        let told = tokio::select! {
            told = member.told() => told,
            () = tokio::time::sleep_until(until) => return Ok(axum::Json(Happened::default())),
            () = state.readiness.stopping() => return Ok(axum::Json(Happened::default())),
        };
        if let Told::Typing(Some(by)) = told {
            return Ok(axum::Json(Happened { lines: Vec::new(), typing: Some(by.to_string()) }));
        }
    }
}

/// Whose token the request carries.
fn visitor(state: &AppState, app: &App, headers: &HeaderMap) -> ApiResult<Visitor> {
    state
        .chats
        .visitor(app, token_of(headers), Timestamp::now())
        .map_err(|refused| problem(&state.metrics.chat, refused))
}

/// The token that a request carries.
fn token_of(headers: &HeaderMap) -> &str {
    let text = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = text
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map(|(_, token)| token.trim()).unwrap_or_default()
}

/// What a refusal is to the page, and to our counts.
fn problem(metrics: &ChatMetrics, refused: Refused) -> Problem {
    let (count, problem) = told(refused);
    if let Some(count) = count {
        metrics.refused.of(count).inc();
    }
    problem
}

fn told(refused: Refused) -> (Option<ChatRefusal>, Problem) {
    let detail = format!("{refused}.");
    let new = |status, code, remedy: &str| Problem::new(status, code, detail.clone(), remedy);
    match refused {
        Refused::NoSession => {
            let remedy = "Ask for a session again; what is not acknowledged may be sent in it.";
            (Some(ChatRefusal::Token), new(StatusCode::UNAUTHORIZED, "no_session", remedy))
        }
        Refused::Identity(_) => {
            let remedy = "Sign with HS256 and a secret of the chat app: aud its id, sub the visitor, exp within 24 hours.";
            (Some(ChatRefusal::Identity), new(StatusCode::UNAUTHORIZED, "identity_not_believed", remedy))
        }
        Refused::IdentityNeeded => {
            let remedy = "Have the site call Vestibule.identify with a JWT before the chat is opened.";
            (Some(ChatRefusal::Identity), new(StatusCode::UNAUTHORIZED, "identity_needed", remedy))
        }
        Refused::TooMuch => {
            let remedy = "Wait a minute.";
            (Some(ChatRefusal::Rate), new(StatusCode::TOO_MANY_REQUESTS, "too_much", remedy))
        }
        Refused::BadMessage(_) => {
            (Some(ChatRefusal::Message), new(StatusCode::BAD_REQUEST, "bad_message", "Correct it."))
        }
        Refused::NoUpload => {
            let remedy = "Upload it, and name it within some hours.";
            (Some(ChatRefusal::File), new(StatusCode::BAD_REQUEST, "no_such_upload", remedy))
        }
        Refused::NotUploaded(error) => (Some(ChatRefusal::File), error.into()),
        Refused::NotOpen(opening) => {
            let remedy = "Ask for a session later; it says when a chat may be begun.";
            let problem = new(StatusCode::CONFLICT, "chat_not_open", remedy);
            (Some(ChatRefusal::NotOpen), problem.with(serde_json::json!({"state": opening})))
        }
        Refused::NotTaken(_) => {
            let remedy = "Send it again in a moment, with the same id.";
            (Some(ChatRefusal::NotTaken), new(StatusCode::SERVICE_UNAVAILABLE, "not_taken", remedy))
        }
        Refused::Journal(error) => (Some(ChatRefusal::NotTaken), error.into()),
    }
}

fn too_many(metrics: &ChatMetrics) -> Problem {
    metrics.refused.of(ChatRefusal::Sockets).inc();
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_visitors",
        "As many visitors are connected as there may be.",
        "Come again in a moment; the operator raises chat.sockets_max.",
    )
}

fn no_such_app(id: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_chat_app",
        format!("No chat app is called {}.", id.chars().take(64).collect::<String>()),
        "Add it to the section `chat_apps` of the routing document, and publish.",
    )
}

fn not_here() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "origin_not_allowed",
        "The chat may not be shown on the page that asks.",
        "Add the page's origin to `origins` of the chat app, as https://www.example.com.",
    )
}
