//! Signing in and out, and oneself.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Origin, blocking, set_cookie, signed_in};
use crate::{
    api::{
        AppState,
        extract::{Json, Path},
        problem::{ApiResult, Problem},
    },
    identity::{
        Caller, CallerKind, From, IdentityError, NewSession, SessionView, UserView, permission::Permissions,
    },
    telemetry::SignIn,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(sign_out))
        .routes(routes!(who_am_i))
        .routes(routes!(set_password))
        .routes(routes!(list_own_sessions))
        .routes(routes!(end_own_session))
}

pub(super) fn open_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(sign_in))
}

/// Who signs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignsIn {
    /// What he signs in with; upper and lower case are one.
    login: String,
    /// His password.
    password: String,
}

/// Who is signed in now.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignedIn {
    /// Who it is. While `must_change` is true he may do nothing but set another password.
    pub(super) user: UserView,
    /// When the session ends in any case.
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires: Timestamp,
}

/// Sign in: the answer sets the cookie of a session.
///
/// The cookie is `vestibule_session`, over HTTPS `__Host-vestibule_session`. What it is sent with to change something must
/// come from a page of the gateway: `Sec-Fetch-Site: same-origin`, or an `Origin` that is its own.
#[utoipa::path(post, path = "/api/v1/sessions", security(()), tag = "identity", request_body = SignsIn, responses(
    (status = 201, description = "Signed in; the cookie is set.", body = SignedIn),
    (status = 401, description = "Login and password do not fit, or the user is disabled.", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The request comes from another site.", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many attempts failed.", body = Problem, content_type = "application/problem+json"),
))]
async fn sign_in(
    State(state): State<AppState>,
    from: Origin,
    Json(SignsIn { login, password }): Json<SignsIn>,
) -> ApiResult<Response> {
    let where_from = From { address: from.address, agent: &from.agent, now: Timestamp::now() };
    let begun = state.identity.sign_in(&login, password, where_from).await;
    state.metrics.identity.sign_ins.of(result_of(&begun)).inc();
    if let Err(error) = &begun {
        tracing::warn!(%error, "a sign-in was refused");
    }
    Ok(signed_in(&begun?, from.secure))
}

/// Sign out: the session that asks ends.
#[utoipa::path(delete, path = "/api/v1/sessions/current", security(("key" = [])), tag = "identity", responses(
    (status = 204, description = "It has ended; the cookie is taken back."),
    (status = 422, description = "A key has no session.", body = Problem, content_type = "application/problem+json"),
))]
async fn sign_out(State(state): State<AppState>, caller: Caller, from: Origin) -> ApiResult<Response> {
    let session = own_session(&caller)?.to_owned();
    blocking(&state, move |identity| identity.end_sessions(&caller, &caller.id, Some(&session))).await?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, "", 0, from.secure);
    Ok(response)
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    /// `user` or `key`.
    kind: &'static str,
    /// The id of the user or key.
    id: String,
    /// The login, or the key's name: the author of what is changed.
    name: String,
    /// All that may be done.
    #[schema(value_type = Vec<String>)]
    permissions: Permissions,
    /// The user, when it is one.
    user: Option<UserView>,
}

/// Say who asks, and what he may do.
#[utoipa::path(get, path = "/api/v1/me", security(("key" = [])), tag = "identity", responses(
    (status = 200, description = "The user or the key.", body = Me),
))]
async fn who_am_i(State(state): State<AppState>, caller: Caller) -> axum::Json<Me> {
    let kind = if matches!(caller.kind, CallerKind::User { .. }) { "user" } else { "key" };
    let user = state.identity.user(&caller.id);
    axum::Json(Me { kind, id: caller.id, name: caller.name, permissions: caller.permissions, user })
}

/// Another password of one's own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// The one until now.
    current: String,
    /// The one from now on.
    new: String,
}

/// Set one's own password; other sessions end.
#[utoipa::path(post, path = "/api/v1/me/password", security(("key" = [])), tag = "identity", request_body = NewPassword, responses(
    (status = 204, description = "It is set."),
    (status = 401, description = "The current password is wrong.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The new one may not be chosen, or a key asks.", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many attempts failed.", body = Problem, content_type = "application/problem+json"),
))]
async fn set_password(
    State(state): State<AppState>,
    caller: Caller,
    from: Origin,
    Json(NewPassword { current, new }): Json<NewPassword>,
) -> ApiResult<StatusCode> {
    state.identity.set_own_password(&caller, current, new, from.address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionList {
    /// Those that have not ended, the oldest first.
    pub(super) sessions: Vec<SessionView>,
}

/// List one's own sessions.
#[utoipa::path(get, path = "/api/v1/me/sessions", security(("key" = [])), tag = "identity", responses(
    (status = 200, description = "Those that have not ended.", body = SessionList),
))]
async fn list_own_sessions(State(state): State<AppState>, caller: Caller) -> axum::Json<SessionList> {
    let current = own_session(&caller).ok();
    let sessions = state.identity.sessions(&caller.id, current, Timestamp::now());
    axum::Json(SessionList { sessions })
}

/// End one of one's own sessions.
#[utoipa::path(delete, path = "/api/v1/me/sessions/{id}", security(("key" = [])), tag = "identity",
    params(("id" = String, Path, description = "The session's id, `ss_…`")),
    responses(
        (status = 204, description = "It has ended."),
        (status = 404, description = "No such session.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn end_own_session(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    blocking(&state, move |identity| identity.end_sessions(&caller, &caller.id, Some(&id))).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn own_session(caller: &Caller) -> ApiResult<&str> {
    match &caller.kind {
        CallerKind::User { session, .. } => Ok(session),
        CallerKind::Key | CallerKind::Operator => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "no_session",
            "A key asks, which has no session.",
            "Revoke the key instead.",
        )),
    }
}

fn result_of(begun: &Result<NewSession, IdentityError>) -> SignIn {
    match begun {
        Ok(_) => SignIn::Done,
        Err(IdentityError::WrongPassword) => SignIn::Wrong,
        Err(IdentityError::TooManyFailures(_)) => SignIn::Throttled,
        Err(_) => SignIn::Failed,
    }
}
