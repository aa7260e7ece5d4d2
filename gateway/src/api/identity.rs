//! Users, roles, keys and sessions over the API.

mod keys;
mod links;
mod roles;
mod sessions;
mod users;

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;

use super::{
    AppState, guard,
    health::Peer,
    problem::{ApiResult, Problem},
};
use crate::identity::{Identity, IdentityError, NewSession};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    sessions::routes().merge(users::routes()).merge(roles::routes()).merge(keys::routes())
}

/// What strangers may ask for.
pub(super) fn open_routes() -> OpenApiRouter<AppState> {
    sessions::open_routes().merge(links::open_routes())
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Those behind this id: the `next` of the page before.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: usize,
}

impl PageQuery {
    fn checked(self) -> ApiResult<Self> {
        if (1..=500).contains(&self.limit) {
            return Ok(self);
        }
        Err(Problem::bad_request(format!("`limit` is {}, not 1 to 500.", self.limit)))
    }

    /// The cursor of the next page, when this one is full.
    fn next<T>(&self, page: &[T], id: impl Fn(&T) -> &String) -> Option<String> {
        page.last().filter(|_| page.len() == self.limit).map(|last| id(last).clone())
    }
}

fn fifty() -> usize {
    50
}

/// Where a request comes from.
struct Origin {
    address: Option<IpAddr>,
    agent: String,
    secure: bool,
}

impl FromRequestParts<AppState> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            address: parts.extensions.get::<Peer>().map(|Peer(address)| address.ip()),
            agent: agent.unwrap_or_default().to_owned(),
            secure: guard::is_secure(state, &parts.extensions),
        })
    }
}

/// Runs what waits for the disk where waiting is allowed.
async fn blocking<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&Identity) -> Result<T, IdentityError> + Send + 'static,
) -> ApiResult<T> {
    state.identity.blocking(work).await.map_err(Problem::from)
}

/// The answer to somebody who has just signed in: the cookie, and who he is.
fn signed_in(session: &NewSession, secure: bool) -> Response {
    let seconds = session.expires.duration_since(Timestamp::now()).as_secs().max(0);
    let view = sessions::SignedIn { user: session.user.clone(), expires: session.expires };
    let mut response = (StatusCode::CREATED, axum::Json(view)).into_response();
    set_cookie(&mut response, &session.secret, seconds, secure);
    response
}

/// Scripts cannot read it, and no request that begins at another site carries it.
fn set_cookie(response: &mut Response, secret: &str, seconds: i64, secure: bool) {
    let name = guard::cookie_name(secure);
    let only_encrypted = if secure { "; Secure" } else { "" };
    let cookie =
        format!("{name}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{only_encrypted}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        use IdentityError as E;
        let detail = sentence(&error);
        let (status, code, remedy) = match &error {
            E::Store(_) => return store_failed(error),
            E::Damaged { .. } | E::File { .. } | E::Hash(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "users and keys cannot be used");
                (StatusCode::SERVICE_UNAVAILABLE, "identity_unavailable", "Look at the gateway's log.")
            }
            E::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Try again in a moment."),
            E::WrongPassword => (
                StatusCode::UNAUTHORIZED,
                "wrong_password",
                "Correct them, or ask an administrator for a link that sets the password anew.",
            ),
            E::TooManyFailures(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_failures",
                "Wait; who is locked out has `vestibule sign-in-link` run where the gateway is.",
            ),
            E::NoLink => (
                StatusCode::NOT_FOUND,
                "no_such_link",
                "Ask for another; `vestibule sign-in-link` makes one where the gateway is.",
            ),
            E::WeakPassword { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "weak_password", "Choose another: several words do well.")
            }
            E::Wrong(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "not_allowed", "Correct the request, and send it again.")
            }
            E::Unknown(_) => (StatusCode::NOT_FOUND, "no_such_record", "List them to find it."),
            E::Taken(_) => (StatusCode::CONFLICT, "name_taken", "Take another one."),
            E::RoleUsed => (StatusCode::CONFLICT, "role_used", "Take it away from them first."),
            E::Full { .. } => (
                StatusCode::CONFLICT,
                "too_many",
                "Remove some that nobody needs, or raise the maximum in [identity].",
            ),
            E::NotHeld(_) => (
                StatusCode::FORBIDDEN,
                "not_held",
                "Leave them out, or have somebody do it who holds them: nobody gives, or rules over, more than he has.",
            ),
            E::Oneself => (StatusCode::FORBIDDEN, "oneself", "Have another administrator do it."),
            E::LastAdministrator => (
                StatusCode::CONFLICT,
                "last_administrator",
                "Make somebody else an administrator first, and have him sign in.",
            ),
        };
        let problem = Self::new(status, code, detail, remedy);
        match error {
            E::TooManyFailures(wait) => {
                problem.with(serde_json::json!({ "retry_after_seconds": wait.as_secs().max(1) }))
            }
            E::NotHeld(permissions) => problem.with(serde_json::json!({ "permissions": permissions })),
            _ => problem,
        }
    }
}

fn store_failed(error: IdentityError) -> Problem {
    match error {
        IdentityError::Store(error) => Problem::from(error),
        other => Problem::bad_request(sentence(&other)),
    }
}

/// What an error says, as a sentence.
fn sentence(error: &IdentityError) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let mut sentence: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    sentence.push_str(letters.as_str());
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}
