//! API keys.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{PageQuery, blocking};
use crate::{
    api::{
        AppState,
        extract::{Json, Path, Query},
        problem::{ApiResult, Problem},
    },
    identity::{Caller, KeyView, KeyWanted, permission::Permissions},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_keys, add_key)).routes(routes!(revoke_key))
}

/// A page of keys.
#[derive(Debug, Serialize, ToSchema)]
struct KeyPage {
    /// By their ids.
    keys: Vec<KeyView>,
    /// The cursor of the next page; none at the end.
    next: Option<String>,
}

/// List API keys; not what they are, which is not kept.
#[utoipa::path(get, path = "/api/v1/keys", security(("key" = ["keys.manage"])), tag = "identity", params(PageQuery), responses(
    (status = 200, description = "A page of keys.", body = KeyPage),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_keys(
    State(state): State<AppState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<axum::Json<KeyPage>> {
    let query = query.checked()?;
    let keys = state.identity.keys(query.after.as_deref(), query.limit);
    let next = query.next(&keys, |key| &key.id);
    Ok(axum::Json(KeyPage { keys, next }))
}

/// A key that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    /// What it is for: the author of what is changed with it.
    name: String,
    /// Ids of roles.
    #[serde(default)]
    roles: Vec<String>,
    /// Names of permissions beside them.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    permissions: Permissions,
    /// Until when it holds; none: until it is revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
struct AddedKey {
    /// The key as it is listed.
    key: KeyView,
    /// The key itself, `vk_…`: shown now, and never again.
    secret: String,
}

/// Make an API key. It may do nothing that the caller may not.
#[utoipa::path(post, path = "/api/v1/keys", security(("key" = ["keys.manage"])), tag = "identity", request_body = NewKey, responses(
    (status = 201, description = "The key; it is shown once.", body = AddedKey),
    (status = 403, description = "It would have more than the caller.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "A user or key has this name, or there are too many.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The name, a role or the end cannot be.", body = Problem, content_type = "application/problem+json"),
))]
async fn add_key(
    State(state): State<AppState>,
    caller: Caller,
    Json(NewKey { name, roles, permissions, expires }): Json<NewKey>,
) -> ApiResult<(StatusCode, axum::Json<AddedKey>)> {
    let wanted = KeyWanted { name, roles, permissions, expires };
    let (key, secret) =
        blocking(&state, move |identity| identity.add_key(&caller, &wanted, Timestamp::now())).await?;
    Ok((StatusCode::CREATED, axum::Json(AddedKey { key, secret })))
}

/// Revoke an API key: it holds no longer.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", security(("key" = ["keys.manage"])), tag = "identity",
    params(("id" = String, Path, description = "The key's id, `ak_…`")),
    responses(
        (status = 204, description = "It holds no longer."),
        (status = 403, description = "It has more than the caller.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such key.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn revoke_key(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    blocking(&state, move |identity| identity.revoke_key(&caller, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
