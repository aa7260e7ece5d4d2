//! Signing in and out, first users and forgotten passwords by links, one's own account.
//!
//! Sessions are the API's: the doors here ask it for one, and hand its cookie on.

use askama::Template;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, State},
    http::{Extensions, HeaderMap, Method, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Console, HOME, Refused,
    ask::{Desk, Shown, answered},
    form::Form,
    page::{self, Page},
    shell::{Door, Shell},
    words::{When, encoded},
};
use crate::{
    api::{health::Peer, server::Encrypted},
    identity::Caller,
};

/// Pages of those who are signed in.
pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/sign-out", post(sign_out))
        .route("/console/account", get(account))
        .route("/console/account/password", post(set_password))
        .route("/console/account/sessions/end", post(end_session))
}

/// Pages of those who are not.
pub(super) fn doors() -> Router<Console> {
    Router::new()
        .route("/console/sign-in", get(show_sign_in).post(sign_in))
        .route("/console/sign-in/link", post(use_link))
}

/// One who is signed in.
#[derive(Clone, Debug)]
pub(super) struct SignedIn {
    pub(super) caller: Caller,
    /// What the API is to know of the request: who makes it, from where, and how.
    pub(super) extensions: Extensions,
}

impl SignedIn {
    /// Whoever the API's guard found the request to be from.
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        let caller = extensions.get::<Caller>()?.clone();
        let mut kept = origin(extensions);
        kept.insert(caller.clone());
        Some(Self { caller, extensions: kept })
    }
}

/// Where a request comes from.
fn origin(extensions: &Extensions) -> Extensions {
    let mut kept = Extensions::new();
    extensions.get::<Peer>().copied().and_then(|peer| kept.insert(peer));
    extensions.get::<Encrypted>().copied().and_then(|encrypted| kept.insert(encrypted));
    kept
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    all.flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// A place in the console: never another site.
pub(super) fn inside(next: Option<&str>) -> String {
    let good = |path: &&str| path.starts_with("/console/") && !path.contains(['\\', '\n', '\r']);
    next.filter(good).unwrap_or(HOME).to_owned()
}

/// Where to go once signed in, and the link that somebody came by.
#[derive(Debug, Deserialize)]
struct Came {
    next: Option<String>,
    token: Option<String>,
}

/// What a link is for.
#[derive(Deserialize)]
struct Purpose {
    purpose: String,
    login: Option<String>,
    password_chars_min: usize,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    door: Door,
    next: String,
    login: String,
    fault: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_in_link.html")]
struct LinkPage {
    door: Door,
    token: String,
    purpose: Purpose,
    login: String,
    name: String,
    fault: Option<String>,
}

async fn show_sign_in(State(console): State<Console>, Query(came): Query<Came>, parts: Parts) -> Response {
    if let Some(token) = came.token {
        return by_link(&console, &parts, token, LinkFilled::default()).await;
    }
    let next = inside(came.next.as_deref());
    if SignedIn::of(&parts.extensions).is_some() {
        return Redirect::to(&next).into_response();
    }
    Page(SignInPage { door: Door::new(&console), next, login: String::new(), fault: None }).into_response()
}

/// What somebody typed who came by a link, and what is wrong with it.
#[derive(Default)]
struct LinkFilled {
    login: String,
    name: String,
    fault: Option<String>,
}

async fn by_link(console: &Console, parts: &Parts, token: String, filled: LinkFilled) -> Response {
    let said = ask_as_stranger(console, parts, "/api/v1/sign-in-links/read", &json!({"token": token})).await;
    let purpose = match said.and_then(|(_, body)| read::<Purpose>(body)) {
        Ok(purpose) => purpose,
        Err(refused) => return page::of_refusal(refused, console, None).await,
    };
    let status = if filled.fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let LinkFilled { login, name, fault } = filled;
    let page = LinkPage { door: Door::new(console), token, purpose, login, name, fault };
    (status, Page(page)).into_response()
}

async fn sign_in(State(console): State<Console>, parts: Parts, body: Bytes) -> Response {
    let form = Form::read(&body);
    let next = inside(Some(form.text("next")));
    let (login, password) = (form.trimmed("login").to_owned(), form.text("password"));
    let wanted = json!({"login": login, "password": password});
    match ask_as_stranger(&console, &parts, "/api/v1/sessions", &wanted).await {
        Ok((headers, body)) => signed_in(&headers, &next_of(&body, &next)),
        Err(refused) => {
            let fault = Some(match refused.status {
                401 => "Login and password do not fit.".to_owned(),
                _ => refused.sentence(),
            });
            let page = Page(SignInPage { door: Door::new(&console), next, login, fault });
            (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
        }
    }
}

async fn use_link(State(console): State<Console>, parts: Parts, body: Bytes) -> Response {
    let form = Form::read(&body);
    let token = form.text("token").to_owned();
    let (login, name) = (form.trimmed("login").to_owned(), form.trimmed("name").to_owned());
    let mut filled = LinkFilled { login: login.clone(), name: name.clone(), fault: None };
    if form.text("password") != form.text("again") {
        filled.fault = Some("The two passwords are not the same.".to_owned());
        return by_link(&console, &parts, token, filled).await;
    }
    let mut wanted = json!({"token": token, "password": form.text("password")});
    if form.ticked("login") {
        wanted["login"] = login.into();
        wanted["name"] = name.into();
    }
    match ask_as_stranger(&console, &parts, "/api/v1/sign-in-links/use", &wanted).await {
        Ok((headers, body)) => signed_in(&headers, &next_of(&body, HOME)),
        Err(refused) => {
            filled.fault = Some(refused.sentence());
            by_link(&console, &parts, token, filled).await
        }
    }
}

/// Whoever must set another password goes there first.
fn next_of(body: &Value, next: &str) -> String {
    let must = body.pointer("/user/must_change").and_then(Value::as_bool).unwrap_or(false);
    if must { "/console/account".to_owned() } else { next.to_owned() }
}

/// On, with the cookie that the API has set.
fn signed_in(headers: &HeaderMap, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    for cookie in headers.get_all(header::SET_COOKIE) {
        response.headers_mut().append(header::SET_COOKIE, cookie.clone());
    }
    response
}

/// Asks what strangers may ask for.
async fn ask_as_stranger(
    console: &Console,
    parts: &Parts,
    path: &str,
    body: &Value,
) -> Result<(HeaderMap, Value), Refused> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .map_err(|error| Refused::new(500, "internal", error.to_string(), "Report it."))?;
    if let Some(agent) = parts.headers.get(header::USER_AGENT) {
        request.headers_mut().insert(header::USER_AGENT, agent.clone());
    }
    let response = console.state.ask(&origin(&parts.extensions), request).await;
    let (headers, bytes) = answered(response).await?;
    Ok((headers, serde_json::from_slice(&bytes).unwrap_or_default()))
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Refused> {
    serde_json::from_value(value).map_err(|error| {
        Refused::new(500, "answer_unreadable", error.to_string(), "Report it with the gateway's log.")
    })
}

async fn sign_out(desk: Desk) -> Response {
    let request =
        Request::builder().method(Method::DELETE).uri("/api/v1/sessions/current").body(Body::empty());
    let headers = match request {
        Ok(request) => desk.pass(request).await.headers().clone(),
        Err(_) => HeaderMap::new(),
    };
    signed_in(&headers, "/console/sign-in")
}

#[derive(Deserialize)]
struct Me {
    name: String,
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    name: String,
    roles: Vec<String>,
    must_change: bool,
    last_sign_in: Option<When>,
}

#[derive(Deserialize)]
struct Session {
    id: String,
    created: When,
    last_seen: Option<When>,
    agent: String,
    current: bool,
}

#[derive(Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    shell: Shell,
    me: Me,
    sessions: Vec<Session>,
}

async fn account(desk: Desk) -> Shown {
    let me: Me = desk.get("/api/v1/me").await?;
    let sessions: Option<Sessions> = desk.find("/api/v1/me/sessions").await?;
    let shell = desk.shell(None, "Your account").await?;
    Ok(page::shown(AccountPage { shell, me, sessions: sessions.map_or_else(Vec::new, |list| list.sessions) }))
}

async fn set_password(desk: Desk, body: Bytes) -> Response {
    let form = Form::read(&body);
    if form.text("new") != form.text("again") {
        let refused =
            Refused::new(422, "not_the_same", "The two new passwords are not the same.", "Type it again.");
        return page::not_done("/console/account", &refused);
    }
    let wanted = json!({"current": form.text("current"), "new": form.text("new")});
    let came = desk.send(Method::POST, "/api/v1/me/password", Some(&wanted)).await.map(drop);
    page::after("/console/account", came, "The password is set. Your other sessions have ended.")
}

async fn end_session(desk: Desk, body: Bytes) -> Response {
    let path = format!("/api/v1/me/sessions/{}", encoded(Form::read(&body).text("session")));
    let came = desk.send(Method::DELETE, &path, None).await.map(drop);
    page::after("/console/account", came, "The session has ended.")
}
