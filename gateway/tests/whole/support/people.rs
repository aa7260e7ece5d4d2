//! Users who are signed in, for tests of the control API.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};
use tower::ServiceExt;
use vestibule::api;

use super::gateway::Gateway;

pub(crate) const PASSWORD: &str = "quite a long password";

/// Somebody at a browser.
pub(crate) struct Person<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) cookie: String,
}

impl<'a> Person<'a> {
    /// Makes a user with roles, sets the password by the link, and is signed in.
    pub(crate) async fn new(gateway: &'a Gateway, login: &str, roles: &[&str]) -> Self {
        let wanted = json!({"login": login, "name": login, "roles": roles});
        let (status, made) = gateway.ask("POST", "/api/v1/users", Some(wanted)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let url = made["link"]["url"].as_str().unwrap();
        let token = url.split_once("token=").unwrap().1;
        let (status, cookie) =
            post(gateway, "/api/v1/sign-in-links/use", json!({"token": token, "password": PASSWORD})).await;
        assert!(status.is_success());
        Self { gateway, cookie: cookie.unwrap() }
    }

    /// Asks, as a page of ours does.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::COOKIE, &self.cookie)
            .header("sec-fetch-site", "same-origin");
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.gateway.send(request.body(body).unwrap()).await
    }
}

/// Signs in, and gives the cookie.
pub(crate) async fn sign_in(gateway: &Gateway, login: &str, password: &str) -> (StatusCode, Option<String>) {
    post(gateway, "/api/v1/sessions", json!({"login": login, "password": password})).await
}

/// Posts as a stranger, and gives the cookie that was set.
async fn post(gateway: &Gateway, path: &str, body: Value) -> (StatusCode, Option<String>) {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = api::router(gateway.state.clone()).oneshot(request).await.unwrap();
    let cookie = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
    (response.status(), cookie.and_then(|cookie| cookie.split(';').next().map(str::to_owned)))
}
