//! Files of chats over the router: uploaded by who may, named once, fetched by who is in the chat, and by nobody else.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use vestibule::api;

use crate::support::gateway::Gateway;

const ORIGIN: &str = "https://www.example.com";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and so on";

async fn with_app() -> Gateway {
    let gateway = Gateway::new();
    gateway.publish(&json!({"chat_apps": {"shop": {"name": "Shop", "origins": [ORIGIN]}}})).await;
    gateway
}

/// What a page asks for, as bytes.
async fn page(gateway: &Gateway, path: &str, token: &str, body: Body) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::post(format!("/chat/shop/{path}"))
        .header("origin", ORIGIN)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"));
    let request = request.body(body).unwrap();
    let response = api::router(gateway.state.clone()).oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
}

async fn told(gateway: &Gateway, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
    let (status, _, body) = page(gateway, path, token, Body::from(body.to_string())).await;
    (status, serde_json::from_slice(&body).unwrap())
}

async fn begins(gateway: &Gateway) -> String {
    let (_, session) = told(gateway, "session", "", &json!({})).await;
    assert_eq!(session["file_bytes_max"], 50_000);
    session["token"].as_str().unwrap().to_owned()
}

async fn uploads(gateway: &Gateway, token: &str, bytes: &[u8]) -> (StatusCode, Value) {
    let (status, _, body) = page(gateway, "files?name=..%2Fcat.png", token, Body::from(bytes.to_vec())).await;
    (status, serde_json::from_slice(&body).unwrap())
}

async fn says(gateway: &Gateway, token: &str, id: &str, files: &[&str]) -> (StatusCode, Value) {
    told(gateway, "messages", token, &json!({"id": id, "text": "", "files": files})).await
}

async fn fetches(gateway: &Gateway, token: &str, file: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    page(gateway, "file", token, Body::from(json!({"file": file}).to_string())).await
}

#[tokio::test]
async fn a_visitors_file_comes_with_its_line_and_to_nobody_else() {
    let gateway = with_app().await;
    let (ann, bob) = (begins(&gateway).await, begins(&gateway).await);
    let (status, uploaded) = uploads(&gateway, &ann, PNG).await;
    assert_eq!((status, &uploaded["name"]), (StatusCode::OK, &json!("cat.png")), "{uploaded}");
    assert_eq!((&uploaded["media_type"], &uploaded["bytes"]), (&json!("image/png"), &json!(PNG.len())));
    let upload = uploaded["upload"].as_str().unwrap();
    assert_eq!(says(&gateway, &bob, "m1", &[upload]).await.1["code"], "no_such_upload");
    for _ in 0..2 {
        let (status, taken) = says(&gateway, &ann, "m1", &[upload]).await;
        assert_eq!((status, &taken["line"]), (StatusCode::OK, &json!(1)), "{taken}");
    }
    let (_, events) = gateway.get("/api/v1/events?after=0&type=message.received").await;
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
    let attachment = &events["events"][0]["data"]["message"]["attachments"][0];
    assert_eq!((&attachment["name"], &attachment["media_type"]), (&json!("cat.png"), &json!("image/png")));
    let file = attachment["file"].as_str().unwrap();
    let (status, _, bytes) = gateway.fetch(&format!("/api/v1/files/{file}")).await;
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, PNG));
    let (status, headers, bytes) = fetches(&gateway, &ann, file).await;
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, PNG));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("access-control-allow-origin", ORIGIN),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert_eq!(fetches(&gateway, &bob, file).await.0, StatusCode::NOT_FOUND);
    assert_eq!(fetches(&gateway, "", file).await.0, StatusCode::UNAUTHORIZED);
    let (_, session) = told(&gateway, "session", "", &json!({"token": ann})).await;
    assert_eq!(session["lines"][0]["files"][0]["file"], file);
    // The upload may go; what was said keeps its file.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    assert_eq!(gateway.state.uploads.prune(later).unwrap(), 1);
    assert_eq!(fetches(&gateway, &ann, file).await.0, StatusCode::OK);
    assert_eq!(says(&gateway, &ann, "m1", &[upload]).await.1["line"], 1, "what was acknowledged stays so");
}

#[tokio::test]
async fn an_agents_file_reaches_the_visitor() {
    let gateway = with_app().await;
    let ann = begins(&gateway).await;
    told(&gateway, "messages", &ann, &json!({"id": "m1", "text": "hello"})).await;
    let (_, list) = gateway.get("/api/v1/conversations").await;
    let path = format!("/api/v1/conversations/{}/messages", list["conversations"][0]["id"].as_str().unwrap());
    let request = |key: &str, bytes: &[u8]| {
        let request =
            Request::post("/api/v1/files?name=plan.png").header("authorization", format!("Bearer {key}"));
        request.body(Body::from(bytes.to_vec())).unwrap()
    };
    let (status, uploaded) = gateway.send(request(&gateway.key, PNG)).await;
    assert_eq!((status, &uploaded["media_type"]), (StatusCode::CREATED, &json!("image/png")), "{uploaded}");
    assert_eq!(gateway.send(request("vk_none", PNG)).await.0, StatusCode::UNAUTHORIZED);
    let (status, problem) = gateway.send(request(&gateway.key, b"<html>")).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, &json!("file_type_not_taken"))
    );
    let (status, problem) = gateway.send(request(&gateway.key, &[0; 60_000])).await;
    assert_eq!((status, &problem["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("body_too_large")));
    let upload = uploaded["upload"].as_str().unwrap();
    assert_eq!(
        says(&gateway, &ann, "m2", &[upload]).await.1["code"],
        "no_such_upload",
        "it is not the visitor's"
    );
    let say = async |body: Value| gateway.ask("POST", &path, Some(body)).await;
    assert_eq!(say(json!({"files": ["up_0"]})).await.1["code"], "no_such_upload");
    assert_eq!(say(json!({"files": [upload, upload, upload]})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(say(json!({})).await.0, StatusCode::BAD_REQUEST);
    for _ in 0..2 {
        let (status, said) = say(json!({"files": [upload], "message_id": "a1", "by": "Eve"})).await;
        assert_eq!((status, &said["line"]), (StatusCode::CREATED, &json!(2)), "{said}");
    }
    let (_, lines) = told(&gateway, "lines", &ann, &json!({"after": 1})).await;
    let file = &lines["lines"][0]["files"][0];
    assert_eq!((&file["name"], &lines["lines"][0]["by"]), (&json!("plan.png"), &json!("Eve")));
    let (status, _, bytes) = fetches(&gateway, &ann, file["file"].as_str().unwrap()).await;
    assert_eq!((status, bytes.as_slice()), (StatusCode::OK, PNG));
    let (_, events) = gateway.get("/api/v1/events?after=0&type=message.sent").await;
    assert_eq!(events["events"][0]["data"]["attachments"][0]["file"], file["file"]);
    let (_, messages) = gateway.get(&path).await;
    assert_eq!(messages["messages"][1]["files"][0]["media_type"], "image/png");
}

#[tokio::test]
async fn strangers_and_those_who_send_too_much_upload_nothing() {
    let gateway = with_app().await;
    let ann = begins(&gateway).await;
    let code = async |token: &str, bytes: &[u8]| {
        let (status, answer) = uploads(&gateway, token, bytes).await;
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let of = |status: StatusCode, code: &str| (status, code.to_owned());
    let small = vec![0; 17 << 10];
    assert_eq!(code("", &small).await, of(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"), "not even read");
    assert_eq!(code("", PNG).await, of(StatusCode::UNAUTHORIZED, "no_session"));
    assert_eq!(code(&ann, &[0; 50_001]).await, of(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"));
    assert_eq!(code(&ann, b"").await, of(StatusCode::BAD_REQUEST, "no_file"));
    assert_eq!(code(&ann, b"MZ\x90\0").await, of(StatusCode::UNSUPPORTED_MEDIA_TYPE, "file_type_not_taken"));
    let mut large = PNG.to_vec();
    large.resize(50_000, 0);
    for _ in 0..4 {
        assert_eq!(code(&ann, &large).await.0, StatusCode::OK);
    }
    assert_eq!(code(&ann, PNG).await, of(StatusCode::TOO_MANY_REQUESTS, "too_much"));
    let mut request =
        Request::post("/api/v1/files").header("authorization", format!("Bearer {}", gateway.key));
    request = request.header("content-type", "image/png");
    let (status, problem) = gateway.send(request.body(Body::from(PNG)).unwrap()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("uploads_full")));
    let _all = [gateway.state.uploads.place().unwrap(), gateway.state.uploads.place().unwrap()];
    assert_eq!(code(&ann, PNG).await, of(StatusCode::SERVICE_UNAVAILABLE, "too_many_uploads"));
}
