//! Permissions and roles.

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::blocking;
use crate::{
    api::{
        AppState,
        extract::{Json, Path},
        problem::{ApiResult, Problem},
    },
    identity::{
        Caller, RoleView,
        permission::{Permission, Permissions},
        role::CustomRole,
    },
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_permissions))
        .routes(routes!(list_roles))
        .routes(routes!(put_role, remove_role))
}

/// Something that may be allowed.
#[derive(Debug, Serialize, ToSchema)]
struct PermissionView {
    /// Its name.
    name: &'static str,
    /// What it allows.
    meaning: &'static str,
}

/// All that may be allowed.
#[derive(Debug, Serialize, ToSchema)]
struct PermissionList {
    /// Every permission.
    permissions: Vec<PermissionView>,
}

/// List all permissions.
#[utoipa::path(get, path = "/api/v1/permissions", security(("key" = [])), tag = "identity", responses(
    (status = 200, description = "All of them.", body = PermissionList),
))]
async fn list_permissions() -> axum::Json<PermissionList> {
    let view = |permission: &Permission| PermissionView {
        name: permission.name(),
        meaning: permission.meaning().trim(),
    };
    axum::Json(PermissionList { permissions: Permission::ALL.iter().map(view).collect() })
}

/// All roles.
#[derive(Debug, Serialize, ToSchema)]
struct RoleList {
    /// The built-in ones first.
    roles: Vec<RoleView>,
}

/// List all roles.
#[utoipa::path(get, path = "/api/v1/roles", security(("key" = [])), tag = "identity", responses(
    (status = 200, description = "All of them.", body = RoleList),
))]
async fn list_roles(State(state): State<AppState>) -> axum::Json<RoleList> {
    axum::Json(RoleList { roles: state.identity.roles() })
}

/// A role as it should be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WantedRole {
    /// What it is for.
    #[serde(default)]
    description: String,
    /// Names of permissions.
    #[schema(value_type = Vec<String>)]
    permissions: Permissions,
}

/// Make a role of one's own, or change it.
///
/// It may hold nothing that the caller does not hold, and not be one that he has.
#[utoipa::path(put, path = "/api/v1/roles/{id}", security(("key" = ["roles.manage"])), tag = "identity", request_body = WantedRole,
    params(("id" = String, Path, description = "Lower-case letters, digits and `_`")),
    responses(
        (status = 200, description = "The role as it is now.", body = RoleView),
        (status = 400, description = "There is no such permission.", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "It has or would have more than the caller, or the caller has it.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are too many.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The id cannot be, or is that of a built-in role.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_role(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Json(WantedRole { description, permissions }): Json<WantedRole>,
) -> ApiResult<axum::Json<RoleView>> {
    let wanted = CustomRole { id, description, permissions };
    let role = blocking(&state, move |identity| identity.put_role(&caller, &wanted)).await?;
    Ok(axum::Json(role))
}

/// Remove a role that nobody has.
#[utoipa::path(delete, path = "/api/v1/roles/{id}", security(("key" = ["roles.manage"])), tag = "identity",
    params(("id" = String, Path, description = "The role's id")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 403, description = "It holds more than the caller.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such role of one's own.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Users or keys have it.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove_role(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    blocking(&state, move |identity| identity.remove_role(&caller, &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
