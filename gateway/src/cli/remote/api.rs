//! One client of the control API, for one run of the command line.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use reqwest::{Client, Method, redirect::Policy};
use serde_json::Value;
use vestibule_config::settings::Settings;

use super::{NotDone, Output, Where};

/// The gateway, and who asks.
pub(super) struct Api {
    client: Client,
    url: String,
    key: String,
    pub(super) json: bool,
}

/// A body with its type.
pub(super) type Body = (&'static str, Vec<u8>);

impl Api {
    pub(super) fn new(settings: &Settings, place: &Where) -> Result<Self, NotDone> {
        let file = settings.data_dir.join("api-key");
        let key = match &place.key {
            Some(key) => key.clone(),
            // The key of this machine's gateway is for nobody else.
            None if place.url.is_some() => {
                return Err(
                    anyhow::anyhow!("no key for that gateway: set VESTIBULE_API_KEY, or give --key").into()
                );
            }
            None => std::fs::read_to_string(&file).with_context(|| {
                format!("no key: set VESTIBULE_API_KEY, or give --key; {} cannot be read", file.display())
            })?,
        };
        let url = place.url.clone().unwrap_or_else(|| format!("http://{}", reached(settings.http.listen)));
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(ANSWER_SECONDS))
            .user_agent("vestibule")
            .build()
            .context("a client cannot be had")?;
        Ok(Self {
            client,
            url: url.trim_end_matches('/').to_owned(),
            key: key.trim().to_owned(),
            json: place.output == Output::Json,
        })
    }

    /// Reads something.
    pub(super) async fn get(&self, path: &str) -> Result<Value, NotDone> {
        read(&self.ask(Method::GET, path, ("application/json", None)).await?)
    }

    /// Sends JSON, and reads the answer; null when there is none.
    pub(super) async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, NotDone> {
        let body = ("application/json", body.to_string().into_bytes());
        read(&self.ask(method, path, ("application/json", Some(body))).await?)
    }

    /// Reads all rows of a list with pages.
    pub(super) async fn all(&self, path: &str, rows: &str) -> Result<Vec<Value>, NotDone> {
        let (mut all, mut next) = (Vec::new(), format!("{path}?limit=500"));
        loop {
            let mut page = self.get(&next).await?;
            if let Some(Value::Array(found)) = page.get_mut(rows).map(Value::take) {
                all.extend(found);
            }
            let Some(after) = page["next"].as_str() else { return Ok(all) };
            let after: String = form_urlencoded::byte_serialize(after.as_bytes()).collect();
            next = format!("{path}?limit=500&after={after}");
        }
    }

    /// Asks; what is accepted, and a body.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        (accept, body): (&str, Option<Body>),
    ) -> Result<Vec<u8>, NotDone> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .header("accept", accept);
        if let Some((kind, bytes)) = body {
            request = request.header("content-type", kind).body(bytes);
        }
        let unreachable = |source| NotDone::Unreachable { url: self.url.clone(), source };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(unreachable)?.to_vec();
        if status.is_success() {
            return Ok(bytes);
        }
        Err(NotDone::Refused { status: status.as_u16(), sentence: refusal(status.as_u16(), &bytes) })
    }
}

/// An address that listens everywhere is reached on this machine.
fn reached(listens: SocketAddr) -> SocketAddr {
    match listens {
        SocketAddr::V4(address) if address.ip().is_unspecified() => ([127, 0, 0, 1], address.port()).into(),
        SocketAddr::V6(address) if address.ip().is_unspecified() => {
            (std::net::Ipv6Addr::LOCALHOST, address.port()).into()
        }
        other => other,
    }
}

fn read(bytes: &[u8]) -> Result<Value, NotDone> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_slice(bytes).context("the answer is no JSON: is this the address of a gateway?")?)
}

/// What a problem document says, with every finding.
fn refusal(status: u16, bytes: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{} {} ({status})", text(&problem, "detail"), text(&problem, "remedy"))];
    for finding in problem["more"]["diagnostics"].as_array().into_iter().flatten() {
        let (code, path, sentence) =
            (text(finding, "code"), text(finding, "path"), text(finding, "sentence"));
        lines.push(format!("  {code} {path}: {sentence}"));
    }
    lines.join("\n")
}

/// A publish may have texts spoken.
const ANSWER_SECONDS: u64 = 120;
