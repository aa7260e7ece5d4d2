//! Who may do what, over the API: roles against routes, signing in, links, sessions, keys, and nobody giving himself more.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt;
use vestibule::{
    api,
    identity::{
        Caller, CallerKind, Credentials, Identity, KeyWanted, Promised, UserWanted,
        permission::{Permission, Permissions},
        role::{ADMINISTRATOR, BUILT_IN},
    },
};

use crate::support::gateway::Gateway;

const PASSWORD: &str = "quite a long password";

/// Somebody at a browser.
struct Browser<'a> {
    gateway: &'a Gateway,
    cookie: String,
}

impl Browser<'_> {
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.ask_from(method, path, body, &[("sec-fetch-site", "same-origin")]).await
    }

    async fn ask_from(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header(header::COOKIE, &self.cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.gateway.send(request.body(body).unwrap()).await
    }
}

/// Posts as a stranger, and gives the cookie that was set.
async fn post(gateway: &Gateway, path: &str, body: Value) -> (StatusCode, Option<String>, Value) {
    post_from(gateway, path, body, &[]).await
}

async fn post_from(
    gateway: &Gateway,
    path: &str,
    body: Value,
    headers: &[(&str, &str)],
) -> (StatusCode, Option<String>, Value) {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = api::router(gateway.state.clone()).oneshot(request).await.unwrap();
    let cookie = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, cookie, serde_json::from_slice(&body).unwrap_or_default())
}

/// The first administrator, by the link of the start.
async fn administrator(gateway: &Gateway) -> Browser<'_> {
    let link = gateway.state.identity.first_link(Timestamp::now()).unwrap().unwrap();
    let chosen =
        json!({"token": link.token, "login": "Ann@Example.com", "name": "Ann", "password": PASSWORD});
    let (status, cookie, body) = post(gateway, "/api/v1/sign-in-links/use", chosen).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    browser(gateway, cookie)
}

fn browser(gateway: &Gateway, cookie: Option<String>) -> Browser<'_> {
    Browser { gateway, cookie: cookie.unwrap().split(';').next().unwrap().to_owned() }
}

/// Another user, added by somebody, who has set his password.
async fn user<'a>(by: &Browser<'a>, login: &str, roles: &[&str]) -> (String, Browser<'a>) {
    let wanted = json!({"login": login, "name": login, "roles": roles});
    let (status, added) = by.ask("POST", "/api/v1/users", Some(wanted)).await;
    assert_eq!(status, StatusCode::CREATED, "{added}");
    let chosen = json!({"token": added["link"]["token"], "password": PASSWORD});
    let (status, cookie, body) = post(by.gateway, "/api/v1/sign-in-links/use", chosen).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    (added["user"]["id"].as_str().unwrap().to_owned(), browser(by.gateway, cookie))
}

fn caller(permissions: Permissions) -> Caller {
    Caller { kind: CallerKind::Key, id: "ak_test".into(), name: "test".into(), permissions }
}

/// Every operation of the description: method, path with something for its parameters, and what it asks for.
fn operations() -> Vec<(String, String, Option<String>)> {
    let description = serde_json::to_value(api::openapi()).unwrap();
    let mut found = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let filled = path.split('/').map(|part| if part.starts_with('{') { "none" } else { part });
            let key =
                operation["security"].as_array().unwrap().iter().find_map(|need| need["key"].as_array());
            let permission = key.map(|scopes| scopes.first().and_then(Value::as_str).unwrap_or_default());
            let path = filled.collect::<Vec<_>>().join("/");
            found.push((method.to_uppercase(), path, permission.map(str::to_owned)));
        }
    }
    found
}

#[tokio::test]
async fn every_route_lets_in_exactly_the_roles_that_hold_what_it_declares() {
    let gateway = Gateway::new();
    // A stream would never end; that it answers at all is looked at elsewhere.
    let operations: Vec<_> =
        operations().into_iter().filter(|(_, path, _)| !path.ends_with("/stream")).collect();
    assert!(operations.len() > 70, "{}", operations.len());
    let router = api::router(gateway.state.clone());
    for role in &BUILT_IN {
        let wanted = KeyWanted {
            name: format!("matrix {}", role.id),
            roles: vec![role.id.into()],
            ..KeyWanted::default()
        };
        let (_, secret) =
            gateway.state.identity.add_key(&caller(Permissions::all()), &wanted, Timestamp::now()).unwrap();
        for (method, path, permission) in &operations {
            let request = Request::builder()
                .method(method.as_str())
                .uri(path)
                .header(header::AUTHORIZATION, format!("Bearer {secret}"))
                .body(Body::empty())
                .unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let place = format!("{} {method} {path}: {status} {body}", role.id);
            let name = permission.as_deref().unwrap_or_default();
            let held = name.is_empty() || role.permissions.has(Permission::parse(name).unwrap());
            assert_eq!(status == StatusCode::FORBIDDEN, !held, "{place}");
            assert!(held || body["more"]["permission"] == name, "{place}");
            assert!(status.as_u16() < 500, "{place}");
            let known = held && permission.is_some();
            assert!(!known || status != StatusCode::UNAUTHORIZED, "{place}");
        }
    }
}

#[tokio::test]
async fn without_a_key_only_the_named_routes_answer() {
    let gateway = Gateway::new();
    let mut open = Vec::new();
    let router = api::router(gateway.state.clone());
    for (method, path, permission) in operations() {
        let request = Request::builder().method(method.as_str()).uri(&path).body(Body::empty()).unwrap();
        let status = router.clone().oneshot(request).await.unwrap().status();
        assert_eq!(status == StatusCode::UNAUTHORIZED, permission.is_some(), "{method} {path}: {status}");
        if permission.is_none() {
            open.push(format!("{method} {path}"));
        }
    }
    open.sort_unstable();
    let named =
        ["POST /api/v1/sessions", "POST /api/v1/sign-in-links/read", "POST /api/v1/sign-in-links/use"];
    assert_eq!(open, named);
    for path in ["/livez", "/readyz", "/api/v1/openapi.json"] {
        assert_eq!(gateway.send(Request::get(path).body(Body::empty()).unwrap()).await.0, StatusCode::OK);
    }
    let metrics = Request::get("/metrics").body(Body::empty()).unwrap();
    assert_eq!(gateway.send(metrics).await.0, StatusCode::UNAUTHORIZED, "metrics are for loopback or a key");
}

#[tokio::test]
async fn the_first_link_makes_one_administrator_who_signs_in_and_out() {
    let gateway = Gateway::new();
    let identity = &gateway.state.identity;
    let stale = identity.first_link(Timestamp::now()).unwrap().unwrap();
    let link = identity.first_link(Timestamp::now()).unwrap().unwrap();
    let read = |token: &str| json!({ "token": token });
    let (status, _, _) = post(&gateway, "/api/v1/sign-in-links/read", read(&stale.token)).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "a new one ends those before");
    let (_, _, says) = post(&gateway, "/api/v1/sign-in-links/read", read(&link.token)).await;
    assert_eq!((&says["purpose"], &says["password_chars_min"]), (&json!("administrator"), &json!(12)));
    let chosen =
        |password: &str| json!({"token": link.token, "login": "ann", "name": "Ann", "password": password});
    let (status, _, problem) = post(&gateway, "/api/v1/sign-in-links/use", chosen("short")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("weak_password")));
    let (status, cookie, body) = post(&gateway, "/api/v1/sign-in-links/use", chosen(PASSWORD)).await;
    assert_eq!((status, &body["user"]["roles"]), (StatusCode::CREATED, &json!(["administrator"])));
    let cookie = cookie.unwrap();
    for part in ["vestibule_session=", "; Path=/", "; HttpOnly", "; SameSite=Strict", "; Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (status, _, _) = post(&gateway, "/api/v1/sign-in-links/use", chosen(PASSWORD)).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "it can be used once");
    assert!(identity.first_link(Timestamp::now()).unwrap().is_none(), "there is an administrator now");
    let ann = browser(&gateway, Some(cookie));
    let (_, me) = ann.ask("GET", "/api/v1/me", None).await;
    assert_eq!((&me["kind"], &me["name"]), (&json!("user"), &json!("ann")));
    assert_eq!(me["permissions"].as_array().unwrap().len(), Permission::ALL.len());
    assert_eq!(ann.ask("GET", "/api/v1/me/sessions", None).await.1["sessions"][0]["current"], true);
    assert_eq!(ann.ask("DELETE", "/api/v1/sessions/current", None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ann.ask("GET", "/api/v1/me", None).await.0, StatusCode::UNAUTHORIZED);
    let (status, cookie, _) =
        post(&gateway, "/api/v1/sessions", json!({"login": " ANN ", "password": PASSWORD})).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(browser(&gateway, cookie).ask("GET", "/api/v1/users", None).await.0, StatusCode::OK);
}

#[tokio::test]
async fn over_https_the_cookie_is_for_the_host_alone_and_no_other_is_believed() {
    let mut settings = Gateway::settings();
    settings.identity.public_url = Some("https://gateway.example.net".parse().unwrap());
    let gateway = Gateway::with_identity(&settings.identity);
    let link = gateway.state.identity.first_link(Timestamp::now()).unwrap().unwrap();
    let chosen = json!({"token": link.token, "login": "ann", "password": PASSWORD});
    let (_, cookie, _) = post(&gateway, "/api/v1/sign-in-links/use", chosen).await;
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("__Host-vestibule_session=") && cookie.ends_with("; Secure"), "{cookie}");
    let ann = browser(&gateway, Some(cookie.clone()));
    assert_eq!(ann.ask("GET", "/api/v1/me", None).await.0, StatusCode::OK);
    let plain = browser(&gateway, Some(cookie.replace("__Host-", "")));
    assert_eq!(plain.ask("GET", "/api/v1/me", None).await.0, StatusCode::UNAUTHORIZED);
    let origin = [("origin", "https://gateway.example.net")];
    let (status, _) = ann.ask_from("PATCH", "/api/v1/users/none", Some(json!({})), &origin).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "a page of ours may");
    let origin = [("origin", "https://gateway.example.net.evil.example"), ("host", "gateway.example.net")];
    assert_eq!(
        ann.ask_from("PATCH", "/api/v1/users/none", Some(json!({})), &origin).await.0,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn what_another_site_has_a_browser_do_is_refused() {
    let gateway = Gateway::new();
    let ann = administrator(&gateway).await;
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "null"), ("host", "gateway:8080")],
        &[("origin", "http://evil.example"), ("host", "gateway:8080")],
    ];
    for headers in foreign {
        let (status, problem) = ann.ask_from("DELETE", "/api/v1/routing/draft", None, headers).await;
        assert_eq!((status.as_u16(), &problem["code"]), (403, &json!("cross_site")), "{headers:?}");
        assert_eq!(ann.ask_from("GET", "/api/v1/me", None, headers).await.0, StatusCode::OK, "{headers:?}");
    }
    let ours: [&[(&str, &str)]; 2] = [
        &[("sec-fetch-site", "same-origin")],
        &[("origin", "http://gateway:8080"), ("host", "Gateway:8080")],
    ];
    for headers in ours {
        let (status, _) = ann.ask_from("DELETE", "/api/v1/routing/draft", None, headers).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{headers:?}");
    }
    // Nor may one sign a browser in as somebody else.
    let evil = [("sec-fetch-site", "cross-site")];
    let credentials = json!({"login": "ann@example.com", "password": PASSWORD});
    let (status, cookie, _) = post_from(&gateway, "/api/v1/sessions", credentials, &evil).await;
    assert_eq!((status, cookie), (StatusCode::FORBIDDEN, None));
    // A key that is sent on purpose is no cookie.
    assert_eq!(gateway.ask("DELETE", "/api/v1/routing/draft", None).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn wrong_passwords_say_nothing_and_are_counted() {
    let gateway = Gateway::new();
    let _ann = administrator(&gateway).await;
    for (login, password) in [("ann@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", "")] {
        let (status, _, problem) =
            post(&gateway, "/api/v1/sessions", json!({"login": login, "password": password})).await;
        assert_eq!((status.as_u16(), &problem["code"]), (401, &json!("wrong_password")), "{login}");
    }
    let wrong = json!({"login": "ann@example.com", "password": "wrong"});
    for _ in 1..10 {
        assert_eq!(post(&gateway, "/api/v1/sessions", wrong.clone()).await.0, StatusCode::UNAUTHORIZED);
    }
    let right = json!({"login": "ann@example.com", "password": PASSWORD});
    let (status, _, problem) = post(&gateway, "/api/v1/sessions", right).await;
    assert_eq!((status.as_u16(), &problem["code"]), (429, &json!("too_many_failures")));
    assert!(problem["more"]["retry_after_seconds"].as_u64().unwrap() > 800);
}

#[tokio::test]
async fn nobody_gives_or_rules_over_more_than_he_holds() {
    let gateway = Gateway::new();
    let ann = administrator(&gateway).await;
    let ann_id = ann.ask("GET", "/api/v1/me", None).await.1["id"].as_str().unwrap().to_owned();
    let hr = json!({"description": "Adds people", "permissions": ["users.manage", "roles.manage", "keys.manage", "contacts.read"]});
    assert_eq!(ann.ask("PUT", "/api/v1/roles/personnel", Some(hr)).await.0, StatusCode::OK);
    let (bob_id, bob) = user(&ann, "bob@example.com", &["personnel"]).await;
    let (cy_id, _) = user(&ann, "cy@example.com", &["analyst"]).await;
    let refused = |code: &'static str| {
        move |(status, body): (StatusCode, Value)| {
            assert_eq!((status.as_u16(), &body["code"]), (403, &json!(code)), "{body}");
        }
    };
    let me = format!("/api/v1/users/{bob_id}");
    for roles in [json!(["administrator"]), json!(["personnel", "compliance"]), json!([])] {
        let answer = bob.ask("PATCH", &me, Some(json!({ "roles": roles }))).await;
        assert_eq!(answer.0, StatusCode::FORBIDDEN, "{}", answer.1);
    }
    refused("oneself")(bob.ask("PATCH", &me, Some(json!({"roles": []}))).await);
    refused("oneself")(bob.ask("PATCH", &me, Some(json!({"disabled": true}))).await);
    refused("oneself")(bob.ask("DELETE", &me, None).await);
    let wider = json!({"permissions": ["users.manage", "contacts.read"]});
    refused("oneself")(bob.ask("PUT", "/api/v1/roles/personnel", Some(wider)).await);
    let other = json!({"permissions": ["recordings.read"]});
    refused("not_held")(bob.ask("PUT", "/api/v1/roles/listeners", Some(other)).await);
    let puppet = json!({"login": "eve", "name": "Eve", "roles": ["administrator"]});
    refused("not_held")(bob.ask("POST", "/api/v1/users", Some(puppet)).await);
    let key = json!({"name": "mine", "permissions": ["routing.publish"]});
    refused("not_held")(bob.ask("POST", "/api/v1/keys", Some(key)).await);
    // Nor by way of somebody who has it.
    for id in [&ann_id, &cy_id] {
        refused("not_held")(bob.ask("POST", &format!("/api/v1/users/{id}/password-link"), None).await);
        refused("not_held")(
            bob.ask("PATCH", &format!("/api/v1/users/{id}"), Some(json!({"disabled": true}))).await,
        );
        refused("not_held")(bob.ask("DELETE", &format!("/api/v1/users/{id}/sessions"), None).await);
        refused("not_held")(bob.ask("DELETE", &format!("/api/v1/users/{id}"), None).await);
    }
    let (_, keys) = bob.ask("GET", "/api/v1/keys", None).await;
    let first = keys["keys"][0]["id"].as_str().unwrap();
    refused("not_held")(bob.ask("DELETE", &format!("/api/v1/keys/{first}"), None).await);
    // What he holds he may give.
    let fair = json!({"login": "dan", "name": "Dan", "roles": ["personnel"]});
    assert_eq!(bob.ask("POST", "/api/v1/users", Some(fair)).await.0, StatusCode::CREATED);
    let key = json!({"name": "reader", "permissions": ["contacts.read"]});
    let (status, made) = bob.ask("POST", "/api/v1/keys", Some(key)).await;
    assert_eq!((status, &made["key"]["created_by"]), (StatusCode::CREATED, &json!("bob@example.com")));
}

#[tokio::test]
async fn one_administrator_who_can_sign_in_always_stays() {
    let gateway = Gateway::new();
    let ann = administrator(&gateway).await;
    let (_, me) = ann.ask("GET", "/api/v1/me", None).await;
    let path = format!("/api/v1/users/{}", me["id"].as_str().unwrap());
    let changes = [json!({"roles": ["analyst"]}), json!({"disabled": true})];
    for change in &changes {
        let (status, problem) = gateway.ask("PATCH", &path, Some(change.clone())).await;
        assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("last_administrator")));
    }
    assert_eq!(gateway.ask("DELETE", &path, None).await.0, StatusCode::CONFLICT);
    // One who has set no password yet is no help.
    let wanted = json!({"login": "bob", "name": "Bob", "roles": ["administrator"]});
    assert_eq!(ann.ask("POST", "/api/v1/users", Some(wanted)).await.0, StatusCode::CREATED);
    assert_eq!(gateway.ask("PATCH", &path, Some(changes[1].clone())).await.0, StatusCode::CONFLICT);
    let (_, eve) = user(&ann, "eve", &["administrator"]).await;
    let (status, view) = eve.ask("PATCH", &path, Some(changes[1].clone())).await;
    assert_eq!((status, &view["disabled"]), (StatusCode::OK, &json!(true)));
    assert_eq!(ann.ask("GET", "/api/v1/me", None).await.0, StatusCode::UNAUTHORIZED, "she is signed out");
    let right = json!({"login": "ann@example.com", "password": PASSWORD});
    assert_eq!(post(&gateway, "/api/v1/sessions", right).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_new_role_holds_from_the_next_request_on_and_one_that_is_used_stays() {
    let gateway = Gateway::new();
    let ann = administrator(&gateway).await;
    let (id, bob) = user(&ann, "bob", &["analyst"]).await;
    assert_eq!(bob.ask("GET", "/api/v1/contacts", None).await.0, StatusCode::OK);
    assert_eq!(bob.ask("GET", "/api/v1/users", None).await.0, StatusCode::FORBIDDEN);
    let role = json!({"permissions": ["users.manage"]});
    assert_eq!(ann.ask("PUT", "/api/v1/roles/clerks", Some(role)).await.0, StatusCode::OK);
    let path = format!("/api/v1/users/{id}");
    assert_eq!(ann.ask("PATCH", &path, Some(json!({"roles": ["clerks"]}))).await.0, StatusCode::OK);
    assert_eq!(bob.ask("GET", "/api/v1/contacts", None).await.0, StatusCode::FORBIDDEN);
    assert_eq!(bob.ask("GET", "/api/v1/users", None).await.0, StatusCode::OK);
    assert_eq!(ann.ask("DELETE", "/api/v1/roles/clerks", None).await.1["code"], "role_used");
    for id in ["administrator", "Big", "", "a%20b"] {
        let (status, _) =
            ann.ask("PUT", &format!("/api/v1/roles/{id}"), Some(json!({"permissions": []}))).await;
        assert!(status.is_client_error(), "{id}: {status}");
    }
    assert_eq!(ann.ask("DELETE", &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(bob.ask("GET", "/api/v1/users", None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(ann.ask("DELETE", "/api/v1/roles/clerks", None).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn who_must_set_a_password_may_do_nothing_else_until_then() {
    let gateway = Gateway::new();
    let ann = administrator(&gateway).await;
    let (id, bob) = user(&ann, "bob", &["analyst"]).await;
    let (_, other, _) =
        post(&gateway, "/api/v1/sessions", json!({"login": "bob", "password": PASSWORD})).await;
    let other = browser(&gateway, other);
    let path = format!("/api/v1/users/{id}");
    assert_eq!(ann.ask("PATCH", &path, Some(json!({"must_change": true}))).await.0, StatusCode::OK);
    let (status, problem) = bob.ask("GET", "/api/v1/contacts", None).await;
    assert_eq!((status.as_u16(), &problem["code"]), (403, &json!("password_change_needed")));
    assert_eq!(bob.ask("GET", "/api/v1/me", None).await.0, StatusCode::OK);
    let new = "another long password";
    for (current, new, status) in
        [("wrong", new, 401), (PASSWORD, "short", 422), (PASSWORD, PASSWORD, 422), (PASSWORD, new, 204)]
    {
        let body = json!({"current": current, "new": new});
        let (answered, problem) = bob.ask("POST", "/api/v1/me/password", Some(body)).await;
        assert_eq!(answered.as_u16(), status, "{problem}");
    }
    assert_eq!(bob.ask("GET", "/api/v1/contacts", None).await.0, StatusCode::OK);
    assert_eq!(other.ask("GET", "/api/v1/me", None).await.0, StatusCode::UNAUTHORIZED, "others have ended");
    let (status, _, _) =
        post(&gateway, "/api/v1/sessions", json!({"login": "bob", "password": PASSWORD})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_password_link_works_once_for_an_hour_and_ends_what_was_open() {
    let gateway = Gateway::new();
    let ann = administrator(&gateway).await;
    let (id, bob) = user(&ann, "bob", &["analyst"]).await;
    let identity = &gateway.state.identity;
    let now = Timestamp::now();
    let operator = Caller::operator();
    let late = identity.password_link(&operator, &id, now).unwrap();
    let past = now + SignedDuration::from_mins(60);
    assert!(identity.read_link(&late.token, past - SignedDuration::from_secs(1)).is_ok());
    assert!(identity.read_link(&late.token, past).is_err(), "its time is over");
    let (_, made) = ann.ask("POST", &format!("/api/v1/users/{id}/password-link"), None).await;
    assert!(identity.read_link(&late.token, now).is_err(), "a new one ends those before");
    let token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(made["url"], format!("/console/sign-in?token={token}"));
    assert_eq!(identity.read_link(&token, now).unwrap().login.as_deref(), Some("bob"));
    let promised = || Promised { password: "another long password".into(), ..Promised::default() };
    identity.use_link(token.clone(), promised(), "", now).await.unwrap();
    assert!(identity.use_link(token, promised(), "", now).await.is_err());
    assert_eq!(bob.ask("GET", "/api/v1/me", None).await.0, StatusCode::UNAUTHORIZED);
    let new = json!({"login": "bob", "password": "another long password"});
    assert_eq!(post(&gateway, "/api/v1/sessions", new).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_end_in_any_case() {
    let gateway = Gateway::new();
    let ann = administrator(&gateway).await;
    let identity = &gateway.state.identity;
    let secret = ann.cookie.split_once('=').unwrap().1;
    let (begun, minute) = (Timestamp::now(), SignedDuration::from_mins(1));
    let at = |minutes: i32| identity.caller(&Credentials::Session(secret), begun + minute * minutes);
    assert!(at(59).is_some(), "it is not idle yet");
    assert!(at(59 + 59).is_some(), "and was used in between");
    assert!(at(59 + 59 + 61).is_none(), "nobody asked for an hour");
    let twelve_hours = 12 * 60;
    for minutes in (0..twelve_hours).step_by(30) {
        at(minutes);
    }
    assert!(at(twelve_hours - 1).is_some());
    assert!(at(twelve_hours + 1).is_none(), "its time is over, though it was used");
    identity.keep(begun + minute * (twelve_hours + 1)).unwrap();
    assert!(identity.sessions("", None, begun).is_empty());
    assert_eq!(identity.sessions_open(), 0);
}

#[tokio::test]
async fn what_was_last_seen_and_all_else_outlives_the_process() {
    let gateway = Gateway::new();
    let ann = administrator(&gateway).await;
    let cookie = ann.cookie.clone();
    let (status, made) =
        ann.ask("POST", "/api/v1/keys", Some(json!({"name": "crm", "roles": ["agent_platform"]}))).await;
    assert_eq!(status, StatusCode::CREATED);
    let identity = gateway.state.identity.clone();
    let used = Timestamp::now() + SignedDuration::from_mins(5);
    identity.caller(&Credentials::Key(made["secret"].as_str().unwrap()), used).unwrap();
    identity.keep(used).unwrap();
    drop(identity);
    let gateway = gateway.restarted();
    let ann = Browser { gateway: &gateway, cookie };
    let (_, keys) = ann.ask("GET", "/api/v1/keys", None).await;
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["name"] == "crm").unwrap();
    let seen: Timestamp = key["last_used"].as_str().unwrap().parse().unwrap();
    assert_eq!(seen.as_millisecond(), used.as_millisecond());
    assert!(!keys.to_string().contains(made["secret"].as_str().unwrap()));
}

#[tokio::test]
async fn a_key_holds_until_it_is_revoked_or_its_time_is_over() {
    let gateway = Gateway::new();
    let identity = &gateway.state.identity;
    let now = Timestamp::now();
    let expires = Some(now + SignedDuration::from_hours(1));
    let wanted = KeyWanted {
        name: "crm".into(),
        permissions: Permissions::of(&[Permission::FeedRead]),
        expires,
        ..KeyWanted::default()
    };
    let (key, secret) = identity.add_key(&Caller::operator(), &wanted, now).unwrap();
    let at = |when| identity.caller(&Credentials::Key(&secret), when);
    assert_eq!(at(now).unwrap().permissions, wanted.permissions);
    assert!(at(now + SignedDuration::from_mins(61)).is_none());
    assert!(identity.add_key(&Caller::operator(), &wanted, now).is_err(), "no two have one name");
    identity.revoke_key(&Caller::operator(), &key.id).unwrap();
    assert!(at(now).is_none());
    let past = KeyWanted { name: "old".into(), expires: Some(now), ..KeyWanted::default() };
    assert!(identity.add_key(&Caller::operator(), &past, now).is_err());
}

#[tokio::test]
async fn the_first_key_is_kept_as_a_hash_and_its_files_are_the_owners() {
    use std::os::unix::fs::PermissionsExt;
    let gateway = Gateway::new();
    let digits = gateway.key.trim_start_matches("vk_");
    for file in std::fs::read_dir(gateway.folder.path()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("config.db") || name == "api-key" {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        if path.is_file() && name != "api-key" {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.windows(digits.len()).any(|part| part == digits.as_bytes()),
                "{name} holds the key"
            );
        }
    }
    let settings = Gateway::settings().identity;
    let (again, made) = Identity::open(gateway.folder.path(), &settings, None).unwrap();
    assert!(made.is_none(), "a second start makes no second key");
    let caller = again.caller(&Credentials::Key(&gateway.key), Timestamp::now()).unwrap();
    assert_eq!((caller.name.as_str(), caller.permissions), ("first", Permissions::all()));
}

#[test]
fn keys_of_earlier_versions_are_taken_over_once() {
    let folder = tempfile::tempdir().unwrap();
    let hashes = folder.path().join("api-keys.json");
    // SHA-256 of "vk_earlier".
    let sha256 = "a3e2b8a1c0";
    let earlier = json!([{"name": "first", "created": "2026-01-01T00:00:00Z", "sha256": sha256}]);
    std::fs::write(&hashes, earlier.to_string()).unwrap();
    let settings = Gateway::settings().identity;
    let (identity, made) = Identity::open(folder.path(), &settings, None).unwrap();
    assert!(made.is_none() && !hashes.exists());
    let keys = identity.keys(None, 10);
    assert_eq!((keys[0].name.as_str(), keys[0].roles.as_slice()), ("first", &[ADMINISTRATOR.to_owned()][..]));
    identity.revoke_key(&Caller::operator(), &keys[0].id).unwrap();
    let (identity, made) = Identity::open(folder.path(), &settings, None).unwrap();
    assert!(made.is_none() && identity.keys(None, 10).is_empty(), "what was revoked stays so");
    std::fs::write(&hashes, "[{]").unwrap();
    assert!(
        Identity::open(folder.path(), &settings, None).is_err(),
        "damaged keys must not be replaced silently"
    );
}

#[test]
fn two_processes_see_what_the_other_changed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Gateway::settings().identity;
    let gateway = Identity::open(folder.path(), &settings, None).unwrap().0;
    let cli = Identity::open(folder.path(), &settings, None).unwrap().0;
    let (operator, now) = (Caller::operator(), Timestamp::now());
    let named = |name: &str| KeyWanted { name: name.into(), ..KeyWanted::default() };
    let user = |login: &str| UserWanted { login: login.into(), name: login.into(), roles: Vec::new() };
    cli.add_key(&operator, &named("from the command line"), now).unwrap();
    gateway.add_user(&operator, &user("ann"), now).unwrap();
    let link = cli.administrator_link(now).unwrap();
    assert!(gateway.read_link(&link.token, now).is_ok());
    cli.catch_up().unwrap();
    let names = |identity: &Identity| -> BTreeMap<String, String> {
        identity.keys(None, 10).into_iter().map(|key| (key.id, key.name)).collect()
    };
    assert_eq!(names(&cli), names(&gateway));
    assert_eq!(names(&cli).len(), 2);
    assert!(cli.user_of_login("ANN").is_some());
    assert!(gateway.add_key(&operator, &named("ann"), now).is_err(), "a key cannot be named as a user is");
}
