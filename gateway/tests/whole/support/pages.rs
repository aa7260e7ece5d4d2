//! Pages of the console as a browser asks for them: opened, and their forms sent.

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use serde_json::json;
use tower::ServiceExt;
use vestibule::api;

use super::gateway::Gateway;

/// What a stranger writes who wants to be more than text.
pub(crate) const HOSTILE: &str =
    "<img src=x onerror=\"document.title='owned'\"></script><script>alert(1)</script>'&";

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn goes_to(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }

    /// The sentence left for the next page.
    pub(crate) fn says(&self) -> String {
        let lines = self.headers.get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap());
        let flash = lines.filter_map(|line| line.strip_prefix("vestibule_flash=")).next().unwrap_or_default();
        let flash = flash.split(';').next().unwrap_or_default().replace('+', " ");
        percent_decoded(&flash)
    }

    /// The value of a hidden field.
    pub(crate) fn field(&self, name: &str) -> String {
        let before = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.text.split_once(&before).expect("the page has no such field");
        let value: String = rest.chars().take_while(|letter| *letter != '"').collect();
        value.replace("&#34;", "\"").replace("&#38;", "&")
    }

    /// Whether words stand on the page.
    pub(crate) fn shows(&self, words: &str) -> bool {
        self.text.contains(words)
    }
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

async fn send(gateway: &Gateway, request: Request<Body>) -> Answer {
    let response = api::router(gateway.state.clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 8 << 20).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// Opens a page as whoever has a key.
pub(crate) async fn open(gateway: &Gateway, key: &str, path: &str) -> Answer {
    let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {key}"));
    let answer = send(gateway, request.body(Body::empty()).unwrap()).await;
    if answer.text.contains("</html>") {
        is_a_page(path, &answer);
    }
    answer
}

/// Sends a form, as the browser does from a page of ours.
pub(crate) async fn submit(gateway: &Gateway, key: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    let form: Vec<String> = fields
        .iter()
        .map(|(name, value)| {
            let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            format!("{name}={encoded}")
        })
        .collect();
    sent(gateway, key, path, "application/x-www-form-urlencoded", form.join("&").into_bytes()).await
}

/// Sends a form with a file.
pub(crate) async fn upload(
    gateway: &Gateway,
    key: &str,
    path: &str,
    fields: &[(&str, &str)],
    file: (&str, &[u8]),
) -> Answer {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--XyZ\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let (name, bytes) = file;
    let head = format!(
        "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--XyZ--\r\n");
    sent(gateway, key, path, "multipart/form-data; boundary=XyZ", body).await
}

async fn sent(gateway: &Gateway, key: &str, path: &str, kind: &str, body: Vec<u8>) -> Answer {
    let request = Request::post(path)
        .header("sec-fetch-site", "same-origin")
        .header(header::CONTENT_TYPE, kind)
        .header(header::AUTHORIZATION, format!("Bearer {key}"));
    let answer = send(gateway, request.body(Body::from(body)).unwrap()).await;
    if answer.text.contains("</html>") {
        is_a_page(path, &answer);
    }
    answer
}

/// A key with one role.
pub(crate) async fn key(gateway: &Gateway, role: &str) -> String {
    let (status, made) = gateway
        .ask("POST", "/api/v1/keys", Some(json!({"name": format!("the {role}"), "roles": [role]})))
        .await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["secret"].as_str().unwrap().to_owned()
}

/// A whole page under the policy, on which hostile words stayed words.
pub(crate) fn is_a_page(path: &str, answer: &Answer) {
    let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
    let text = &answer.text;
    assert!(text.trim_end().ends_with("</html>"), "{path}: {text}");
    for bad in [" style=", " onclick=", "javascript:", "<script>", "<style", "<img"] {
        assert!(!text.contains(bad), "{path} has {bad}");
    }
    for elsewhere in ["src=\"http", "src=\"//"] {
        assert!(!text.contains(elsewhere), "{path} loads from elsewhere");
    }
}
