//! Asks web services for values, on behalf of IVRs.
//!
//! Only URLs that begin with an allow-listed prefix are asked; no redirect is followed, since it would
//! lead around the list. Answers are JSON, bounded in size and time. Every failure is the same to the
//! caller: the node's `error` way, with the reason in the log.

use std::time::Duration;

use reqwest::{Client, Method, header::CONTENT_TYPE, redirect::Policy};
use vestibule_routing::journey::DataDip;

/// Largest answer read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Web services that IVRs may ask.
#[derive(Clone, Debug)]
pub struct DataDips {
    client: Client,
    allowed: Vec<String>,
}

/// Why a web service gave no values.
#[derive(Debug, thiserror::Error)]
pub enum DataDipError {
    /// The URL begins with none of the allowed prefixes.
    #[error("the URL is not on the allow-list; add its prefix to data_dip.allowed_url_prefixes")]
    NotAllowed,
    /// The request failed or timed out.
    #[error("the web service could not be asked")]
    Request(#[from] reqwest::Error),
    /// It answered with another status than 2xx.
    #[error("the web service answered {0}")]
    Status(u16),
    /// The answer is larger than is read.
    #[error("the answer of the web service is larger than 64 KiB")]
    TooLarge,
    /// The answer is not JSON.
    #[error("the answer of the web service is not JSON")]
    NotJson(#[from] serde_json::Error),
}

impl DataDips {
    /// A client for URLs that begin with one of `allowed`.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(allowed: Vec<String>) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .pool_max_idle_per_host(16)
            .user_agent("vestibule")
            .build()?;
        Ok(Self { client, allowed })
    }

    /// The values asked for; none when anything failed. A pointer that finds nothing gives no value.
    pub async fn ask(&self, dip: &DataDip) -> Option<Vec<(String, String)>> {
        match tokio::time::timeout(dip.timeout, self.try_ask(dip)).await {
            Ok(Ok(values)) => Some(values),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a data dip failed");
                None
            }
            Err(_) => {
                tracing::warn!(timeout_ms = dip.timeout.as_millis(), "a data dip timed out");
                None
            }
        }
    }

    async fn try_ask(&self, dip: &DataDip) -> Result<Vec<(String, String)>, DataDipError> {
        if !self.allowed.iter().any(|prefix| is_below(&dip.url, prefix)) {
            return Err(DataDipError::NotAllowed);
        }
        let method = if dip.post { Method::POST } else { Method::GET };
        let mut request = self.client.request(method, &dip.url).timeout(dip.timeout);
        for (name, value) in &dip.headers {
            request = request.header(name, value);
        }
        if let Some(body) = &dip.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let mut response = request.send().await?;
        if !response.status().is_success() {
            return Err(DataDipError::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(DataDipError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        let answer: serde_json::Value = serde_json::from_slice(&bytes)?;
        let value = |pointer: &String| answer.pointer(pointer).map(text_of);
        Ok(dip.captures.iter().filter_map(|(name, pointer)| Some((name.clone(), value(pointer)?))).collect())
    }
}

/// Whether the URL lies below the prefix: same scheme, host and port, and a path that begins with the
/// prefix's. Compared as parsed URLs, so that `https://good.example@evil.example/` is no way around.
fn is_below(url: &str, prefix: &str) -> bool {
    let (Ok(url), Ok(prefix)) = (reqwest::Url::parse(url), reqwest::Url::parse(prefix)) else { return false };
    let below = url.path() == prefix.path()
        || url
            .path()
            .strip_prefix(prefix.path())
            .is_some_and(|rest| prefix.path().ends_with('/') || rest.starts_with('/'));
    url.origin().is_tuple() && url.origin() == prefix.origin() && url.username().is_empty() && below
}

fn text_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, routing::get};

    use super::*;

    async fn server() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route(
                "/crm/ok",
                get(|| async { Json(serde_json::json!({"customer": {"tier": "gold", "visits": 3}})) }),
            )
            .route("/crm/slow", get(|| async { tokio::time::sleep(Duration::from_secs(5)).await }))
            .route("/crm/away", get(|| async { axum::response::Redirect::temporary("/elsewhere") }))
            .route("/crm/large", get(|| async { "x".repeat(ANSWER_BYTES_MAX + 1) }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    fn dip(url: String) -> DataDip {
        DataDip {
            request: 1,
            post: false,
            url,
            headers: Vec::new(),
            body: None,
            timeout: Duration::from_millis(500),
            captures: vec![
                ("tier".into(), "/customer/tier".into()),
                ("visits".into(), "/customer/visits".into()),
                ("none".into(), "/nothing".into()),
            ],
        }
    }

    #[tokio::test]
    async fn values_are_taken_out_of_the_answer() {
        let base = server().await;
        let dips = DataDips::new(vec![format!("{base}/crm/")]).unwrap();
        let values = dips.ask(&dip(format!("{base}/crm/ok"))).await;
        assert_eq!(values, Some(vec![("tier".into(), "gold".into()), ("visits".into(), "3".into())]));
    }

    #[tokio::test]
    async fn slow_large_redirecting_and_missing_answers_are_failures() {
        let base = server().await;
        let dips = DataDips::new(vec![format!("{base}/crm/")]).unwrap();
        for path in ["slow", "away", "large", "missing"] {
            assert_eq!(dips.ask(&dip(format!("{base}/crm/{path}"))).await, None, "{path}");
        }
    }

    #[test]
    fn the_allow_list_cannot_be_walked_around() {
        let prefix = "https://crm.example/api/";
        assert!(is_below("https://crm.example/api/customers?x=1", prefix));
        for url in [
            "https://crm.example/apix",
            "https://crm.example:8443/api/a",
            "http://crm.example/api/a",
            "https://crm.example@evil.example/api/a",
            "https://crm.example/api/../admin",
            "https://crm.example.evil.example/api/a",
        ] {
            assert!(!is_below(url, prefix), "{url}");
        }
        assert!(!is_below("https://crm.example/api2", "https://crm.example/api"));
    }
}
