//! Users.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{PageQuery, blocking, links::LinkView, sessions::SessionList};
use crate::{
    api::{
        AppState,
        extract::{Json, Path, Query},
        problem::{ApiResult, Problem},
    },
    identity::{Caller, CallerKind, IdentityError, UserChange, UserView, UserWanted},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_users, add_user))
        .routes(routes!(read_user, change_user, remove_user))
        .routes(routes!(make_password_link))
        .routes(routes!(list_sessions, end_sessions))
}

/// A page of users.
#[derive(Debug, Serialize, ToSchema)]
struct UserPage {
    /// By their ids.
    users: Vec<UserView>,
    /// The cursor of the next page; none at the end.
    next: Option<String>,
}

/// List users.
#[utoipa::path(get, path = "/api/v1/users", security(("key" = ["users.manage"])), tag = "identity", params(PageQuery), responses(
    (status = 200, description = "A page of users.", body = UserPage),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_users(
    State(state): State<AppState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<axum::Json<UserPage>> {
    let query = query.checked()?;
    let users = state.identity.users(query.after.as_deref(), query.limit);
    let next = query.next(&users, |user| &user.id);
    Ok(axum::Json(UserPage { users, next }))
}

/// A user who is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    /// What he signs in with: mostly a mail address; upper and lower case are one.
    login: String,
    /// What he is called.
    name: String,
    /// Ids of roles.
    #[serde(default)]
    roles: Vec<String>,
}

/// A user who was added.
#[derive(Debug, Serialize, ToSchema)]
struct AddedUser {
    /// The user.
    user: UserView,
    /// The link by which he sets his password: give it to him alone.
    link: LinkView,
}

/// Add a user, with a link by which he sets his password.
///
/// Roles may hold nothing that the caller does not hold.
#[utoipa::path(post, path = "/api/v1/users", security(("key" = ["users.manage"])), tag = "identity", request_body = NewUser, responses(
    (status = 201, description = "The user, and the link.", body = AddedUser),
    (status = 403, description = "A role holds more than the caller.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "A user or key has this name, or there are too many.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The login, the name or a role cannot be.", body = Problem, content_type = "application/problem+json"),
))]
async fn add_user(
    State(state): State<AppState>,
    caller: Caller,
    Json(NewUser { login, name, roles }): Json<NewUser>,
) -> ApiResult<(StatusCode, axum::Json<AddedUser>)> {
    let wanted = UserWanted { login, name, roles };
    let (user, link) =
        blocking(&state, move |identity| identity.add_user(&caller, &wanted, Timestamp::now())).await?;
    Ok((StatusCode::CREATED, axum::Json(AddedUser { user, link: LinkView::of(&state, &link) })))
}

/// Read a user.
#[utoipa::path(get, path = "/api/v1/users/{id}", security(("key" = ["users.manage"])), tag = "identity",
    params(("id" = String, Path, description = "The user's id, `us_…`")),
    responses(
        (status = 200, description = "The user.", body = UserView),
        (status = 404, description = "No such user.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_user(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<axum::Json<UserView>> {
    let user = state.identity.user(&id).ok_or(IdentityError::Unknown("user"))?;
    Ok(axum::Json(user))
}

/// What is to be changed of a user; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangedUser {
    /// What he is called.
    name: Option<String>,
    /// Ids of all his roles.
    roles: Option<Vec<String>>,
    /// Whether he cannot sign in; who is disabled is signed out.
    disabled: Option<bool>,
    /// Whether he must set another password before he may do anything else.
    must_change: Option<bool>,
}

/// Change a user: name, roles, whether he may sign in.
///
/// Nobody changes his own roles, nobody gives or changes what he does not hold, and the last administrator stays.
#[utoipa::path(patch, path = "/api/v1/users/{id}", security(("key" = ["users.manage"])), tag = "identity", request_body = ChangedUser,
    params(("id" = String, Path, description = "The user's id, `us_…`")),
    responses(
        (status = 200, description = "The user as he is now.", body = UserView),
        (status = 403, description = "It is the caller himself, or he has or would have more than the caller.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such user.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "He is the last administrator.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The name or a role cannot be.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn change_user(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(ChangedUser { name, roles, disabled, must_change }): Json<ChangedUser>,
) -> ApiResult<axum::Json<UserView>> {
    let change = UserChange { name, roles, disabled, must_change };
    let user = blocking(&state, move |identity| identity.change_user(&caller, &id, &change)).await?;
    Ok(axum::Json(user))
}

/// Remove a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}", security(("key" = ["users.manage"])), tag = "identity",
    params(("id" = String, Path, description = "The user's id, `us_…`")),
    responses(
        (status = 204, description = "He is gone, and signed out."),
        (status = 403, description = "It is the caller himself, or he has more than the caller.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such user.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "He is the last administrator.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove_user(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    blocking(&state, move |identity| identity.remove_user(&caller, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a link by which a user sets his password anew; it can be used once.
#[utoipa::path(post, path = "/api/v1/users/{id}/password-link", security(("key" = ["users.manage"])), tag = "identity",
    params(("id" = String, Path, description = "The user's id, `us_…`")),
    responses(
        (status = 201, description = "The link: give it to him alone. Earlier ones hold no longer.", body = LinkView),
        (status = 403, description = "He has more than the caller.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such user.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "He is disabled.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn make_password_link(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<(StatusCode, axum::Json<LinkView>)> {
    let link =
        blocking(&state, move |identity| identity.password_link(&caller, &id, Timestamp::now())).await?;
    Ok((StatusCode::CREATED, axum::Json(LinkView::of(&state, &link))))
}

/// List a user's sessions.
#[utoipa::path(get, path = "/api/v1/users/{id}/sessions", security(("key" = ["users.manage"])), tag = "identity",
    params(("id" = String, Path, description = "The user's id, `us_…`")),
    responses(
        (status = 200, description = "Those that have not ended.", body = SessionList),
        (status = 404, description = "No such user.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_sessions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<SessionList>> {
    state.identity.user(&id).ok_or(IdentityError::Unknown("user"))?;
    let current = match &caller.kind {
        CallerKind::User { session, .. } => Some(session.as_str()),
        CallerKind::Key | CallerKind::Operator => None,
    };
    let sessions = state.identity.sessions(&id, current, Timestamp::now());
    Ok(axum::Json(SessionList { sessions }))
}

/// End all sessions of a user.
#[utoipa::path(delete, path = "/api/v1/users/{id}/sessions", security(("key" = ["users.manage"])), tag = "identity",
    params(("id" = String, Path, description = "The user's id, `us_…`")),
    responses(
        (status = 204, description = "He is signed out everywhere."),
        (status = 403, description = "He has more than the caller.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such user.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn end_sessions(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    blocking(&state, move |identity| identity.end_sessions(&caller, &id, None)).await?;
    Ok(StatusCode::NO_CONTENT)
}
