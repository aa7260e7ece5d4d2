//! Who may do what: users, roles and API keys.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        form::Form,
        page,
        shell::{Section, Shell},
        words::{When, encoded},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/settings/users", get(users).post(add_user))
        .route("/console/settings/users/{id}", get(user).post(change_user))
        .route("/console/settings/users/{id}/link", post(make_link))
        .route("/console/settings/users/{id}/delete", post(remove_user))
        .route("/console/settings/users/{id}/sign-out", post(sign_user_out))
        .route("/console/settings/roles", get(roles))
        .route("/console/settings/roles/{id}", post(save_role))
        .route("/console/settings/roles/{id}/delete", post(remove_role))
        .route("/console/settings/keys", get(keys).post(add_key))
        .route("/console/settings/keys/{id}/revoke", post(revoke_key))
}

#[derive(Clone, Deserialize)]
struct User {
    id: String,
    login: String,
    name: String,
    roles: Vec<String>,
    disabled: bool,
    has_password: bool,
    last_sign_in: Option<When>,
}

impl User {
    fn state(&self) -> (&'static str, &'static str) {
        match (self.disabled, self.has_password) {
            (true, _) => ("bad", "Disabled"),
            (false, false) => ("warn", "Invited"),
            (false, true) => ("good", "Active"),
        }
    }
}

#[derive(Deserialize)]
struct Users {
    users: Vec<User>,
}

#[derive(Clone, Deserialize)]
struct Role {
    id: String,
    description: String,
    permissions: Vec<String>,
    built_in: bool,
}

impl Role {
    fn has(&self, permission: &str) -> bool {
        self.permissions.iter().any(|held| held == permission)
    }
}

#[derive(Deserialize)]
struct Roles {
    roles: Vec<Role>,
}

async fn all_roles(desk: &Desk) -> Result<Vec<Role>, Refused> {
    Ok(desk.get::<Roles>("/api/v1/roles").await?.roles)
}

/// Something that is shown once: a link or a key.
struct Once {
    words: String,
    secret: String,
}

#[derive(Template)]
#[template(path = "settings/users.html")]
struct UsersPage {
    shell: Shell,
    users: Vec<User>,
    roles: Vec<Role>,
    once: Option<Once>,
    fault: Option<String>,
}

async fn users(desk: Desk) -> Shown {
    users_page(&desk, None, None).await
}

async fn users_page(desk: &Desk, once: Option<Once>, fault: Option<String>) -> Shown {
    let users = desk.get::<Users>("/api/v1/users?limit=500").await?.users;
    let roles = all_roles(desk).await?;
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let shell = desk.shell(Some(Section::Settings), "Users").await?;
    Ok((status, page::shown(UsersPage { shell, users, roles, once, fault })).into_response())
}

/// The link in an answer, as it is shown.
fn link(answer: &Value, words: String) -> Once {
    let url = answer.pointer("/link/url").or_else(|| answer.get("url")).and_then(Value::as_str);
    Once { words, secret: url.unwrap_or_default().to_owned() }
}

async fn add_user(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let wanted = json!({
        "login": form.trimmed("login"), "name": form.trimmed("name"), "roles": form.all("roles"),
    });
    match desk.send(Method::POST, "/api/v1/users", Some(&wanted)).await {
        Ok(answer) => {
            let words = format!("Give {} this link: a password is set by it, once.", form.trimmed("name"));
            users_page(&desk, Some(link(&answer, words)), None).await
        }
        Err(refused) => users_page(&desk, None, Some(refused.sentence())).await,
    }
}

#[derive(Template)]
#[template(path = "settings/user.html")]
struct UserPage {
    shell: Shell,
    user: User,
    roles: Vec<Role>,
    once: Option<Once>,
}

async fn user(desk: Desk, Path(id): Path<String>) -> Shown {
    user_page(&desk, &id, None).await
}

async fn user_page(desk: &Desk, id: &str, once: Option<Once>) -> Shown {
    let user: User = desk.get(&format!("/api/v1/users/{}", encoded(id))).await?;
    let roles = all_roles(desk).await?;
    let shell = desk.shell(Some(Section::Settings), user.name.clone()).await?;
    Ok(page::shown(UserPage { shell, user, roles, once }))
}

fn place_of(id: &str) -> String {
    format!("/console/settings/users/{}", encoded(id))
}

async fn change_user(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let mut wanted = json!({"name": form.trimmed("name"), "disabled": form.ticked("disabled")});
    // One's own roles cannot be changed, so that the form leaves them out.
    if form.ticked("with_roles") {
        wanted["roles"] = form.all("roles").into();
    }
    let path = format!("/api/v1/users/{}", encoded(&id));
    let came = desk.send(Method::PATCH, &path, Some(&wanted)).await.map(drop);
    page::after(&place_of(&id), came, "Saved. It holds from the next request on.")
}

async fn make_link(desk: Desk, Path(id): Path<String>) -> Shown {
    let path = format!("/api/v1/users/{}/password-link", encoded(&id));
    match desk.send(Method::POST, &path, None).await {
        Ok(answer) => {
            let words = "Hand this link over: a new password is set by it, once.".to_owned();
            user_page(&desk, &id, Some(link(&answer, words))).await
        }
        Err(refused) => Ok(page::not_done(&place_of(&id), &refused)),
    }
}

async fn remove_user(desk: Desk, Path(id): Path<String>) -> Response {
    match desk.send(Method::DELETE, &format!("/api/v1/users/{}", encoded(&id)), None).await {
        Ok(_) => page::done("/console/settings/users", "The user is removed."),
        Err(refused) => page::not_done(&place_of(&id), &refused),
    }
}

async fn sign_user_out(desk: Desk, Path(id): Path<String>) -> Response {
    let path = format!("/api/v1/users/{}/sessions", encoded(&id));
    let came = desk.send(Method::DELETE, &path, None).await.map(drop);
    page::after(&place_of(&id), came, "All sessions of this user have ended.")
}

#[derive(Deserialize)]
struct PermissionLine {
    name: String,
    meaning: String,
}

#[derive(Deserialize)]
struct Permissions {
    permissions: Vec<PermissionLine>,
}

#[derive(Template)]
#[template(path = "settings/roles.html")]
struct RolesPage {
    shell: Shell,
    roles: Vec<Role>,
    permissions: Vec<PermissionLine>,
    may: bool,
}

async fn roles(desk: Desk) -> Shown {
    let permissions = desk.get::<Permissions>("/api/v1/permissions").await?.permissions;
    let roles = all_roles(&desk).await?;
    let shell = desk.shell(Some(Section::Settings), "Roles").await?;
    Ok(page::shown(RolesPage { shell, roles, permissions, may: desk.may(Permission::RolesManage) }))
}

async fn save_role(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let id = if id == "new" { form.trimmed("id").to_owned() } else { id };
    let wanted = json!({"description": form.trimmed("description"), "permissions": form.all("permissions")});
    let path = format!("/api/v1/roles/{}", encoded(&id));
    let came = desk.send(Method::PUT, &path, Some(&wanted)).await.map(drop);
    page::after("/console/settings/roles", came, "The role is saved.")
}

async fn remove_role(desk: Desk, Path(id): Path<String>) -> Response {
    let came = desk.send(Method::DELETE, &format!("/api/v1/roles/{}", encoded(&id)), None).await.map(drop);
    page::after("/console/settings/roles", came, "The role is removed.")
}

#[derive(Deserialize)]
struct Key {
    id: String,
    name: String,
    roles: Vec<String>,
    permissions: Vec<String>,
    created: When,
    created_by: String,
    expires: Option<When>,
    last_used: Option<When>,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Template)]
#[template(path = "settings/keys.html")]
struct KeysPage {
    shell: Shell,
    keys: Vec<Key>,
    roles: Vec<Role>,
    once: Option<Once>,
    fault: Option<String>,
}

async fn keys(desk: Desk) -> Shown {
    keys_page(&desk, None, None).await
}

async fn keys_page(desk: &Desk, once: Option<Once>, fault: Option<String>) -> Shown {
    let keys = desk.get::<Keys>("/api/v1/keys?limit=500").await?.keys;
    let roles = all_roles(desk).await?;
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let shell = desk.shell(Some(Section::Settings), "API keys").await?;
    Ok((status, page::shown(KeysPage { shell, keys, roles, once, fault })).into_response())
}

async fn add_key(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let days = form.trimmed("days").parse::<i64>().ok().filter(|days| (1..=3650).contains(days));
    let expires = days.map(|days| jiff::Timestamp::now() + jiff::SignedDuration::from_hours(days * 24));
    let wanted = json!({"name": form.trimmed("name"), "roles": form.all("roles"), "expires": expires});
    match desk.send(Method::POST, "/api/v1/keys", Some(&wanted)).await {
        Ok(answer) => {
            let secret = answer.get("secret").and_then(Value::as_str).unwrap_or_default().to_owned();
            let words = "This is the key. It is shown now, and never again.".to_owned();
            keys_page(&desk, Some(Once { words, secret }), None).await
        }
        Err(refused) => keys_page(&desk, None, Some(refused.sentence())).await,
    }
}

async fn revoke_key(desk: Desk, Path(id): Path<String>) -> Response {
    let came = desk.send(Method::DELETE, &format!("/api/v1/keys/{}", encoded(&id)), None).await.map(drop);
    page::after("/console/settings/keys", came, "The key holds no longer.")
}
