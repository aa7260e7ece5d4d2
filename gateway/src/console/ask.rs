//! Asking the API in this process, as the one who is signed in.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, Method, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Console, page, session::SignedIn};
use crate::identity::permission::Permission;

/// Largest answer of the API that a page reads.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Headers of a request that matter to the API.
const ASKED_WITH: [HeaderName; 6] = [
    header::ACCEPT,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::RANGE,
    HeaderName::from_static("last-event-id"),
];

/// What the API said in place of an answer (RFC 9457), or what the console says in the same form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// What is wrong.
    pub detail: String,
    /// What to do about it.
    #[serde(default)]
    pub remedy: String,
    /// Anything more: for example `diagnostics` of a document.
    #[serde(default)]
    pub more: Value,
}

impl Refused {
    /// A refusal of the console's own.
    pub fn new(status: u16, code: &str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, code: code.into(), detail: detail.into(), remedy: remedy.into(), more: Value::Null }
    }

    pub(super) fn unreadable(what: &dyn std::fmt::Display) -> Self {
        let detail = format!("The gateway's own API gave an answer that this page cannot read: {what}.");
        Self::new(500, "answer_unreadable", detail, "Report it with the gateway's log.")
    }

    /// What is wrong and what to do, in one line.
    pub fn sentence(&self) -> String {
        format!("{} {}", self.detail, self.remedy)
    }
}

impl IntoResponse for Refused {
    /// An answer that `guard` draws as a page.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a page's handler gives.
pub(super) type Shown<T = Response> = Result<T, Refused>;

/// An answer with its version.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// The answer.
    pub body: T,
    /// Its `ETag`, to be sent back as `If-Match`.
    pub tag: String,
}

/// One who is signed in, with the API at hand: what every handler of a page takes.
#[derive(Clone, Debug)]
pub struct Desk {
    pub(super) console: Console,
    pub(super) who: SignedIn,
    /// What the page before has left to say.
    pub(super) flash: Option<page::Flash>,
}

impl FromRequestParts<Console> for Desk {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Refused> {
        let who = SignedIn::of(&parts.extensions)
            .ok_or_else(|| Refused::new(401, "not_signed_in", "Nobody is signed in.", "Sign in first."))?;
        let flash = page::Flash::of(&parts.headers);
        Ok(Self { console: console.clone(), who, flash })
    }
}

impl Desk {
    /// Whether the one who is signed in holds a permission. The API checks it all the same: this only decides what
    /// is shown.
    pub fn may(&self, permission: Permission) -> bool {
        self.who.caller.may(permission)
    }

    /// Where people and providers find this gateway, when the settings say so.
    pub(super) fn public_url(&self) -> Option<String> {
        let settings = self.console.state.identity.settings();
        settings.public_url.as_ref().map(|url| url.as_str().to_owned())
    }

    /// Reads something.
    ///
    /// # Errors
    /// What the API says.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refused> {
        Ok(self.get_versioned(path).await?.body)
    }

    /// Reads something that has a version.
    ///
    /// # Errors
    /// What the API says.
    pub async fn get_versioned<T: DeserializeOwned>(&self, path: &str) -> Result<Versioned<T>, Refused> {
        let (headers, bytes) = self.ask(Method::GET, path, &[], None).await?;
        let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
        let body = serde_json::from_slice(&bytes).map_err(|error| Refused::unreadable(&error))?;
        Ok(Versioned { body, tag })
    }

    /// Reads something, or nothing when the API does not have it, or does not show it to this person.
    ///
    /// # Errors
    /// What the API says otherwise.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Refused> {
        match self.get(path).await {
            Ok(found) => Ok(Some(found)),
            Err(refused) if matches!(refused.status, 403 | 404) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Does something; gives the answer, null when there is none.
    ///
    /// # Errors
    /// What the API says.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        self.send_if(method, path, body, "").await
    }

    /// Does something, if what it changes still has the version that was read; empty: whatever version it has.
    ///
    /// # Errors
    /// What the API says.
    pub async fn send_if(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        tag: &str,
    ) -> Result<Value, Refused> {
        let versions = [(header::IF_MATCH, tag)];
        let versions = if tag.is_empty() { &[][..] } else { &versions[..] };
        let (_, bytes) = self.ask(method, path, versions, body).await?;
        if bytes.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| Refused::unreadable(&error))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Option<&Value>,
    ) -> Result<(HeaderMap, Bytes), Refused> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request.body(body).map_err(|error| Refused::unreadable(&error))?;
        answered(self.pass(request).await).await
    }

    /// Passes a request on, as the one who is signed in.
    pub(super) async fn pass(&self, request: Request<Body>) -> Response {
        self.console.state.ask(&self.who.extensions, request).await
    }

    /// Passes something of the API through as it is, with the headers that matter: files, sounds, streams.
    pub(super) async fn pass_through(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Body,
    ) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for name in ASKED_WITH {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        match request.body(body) {
            Ok(request) => self.pass(request).await,
            Err(error) => Refused::unreadable(&error).into_response(),
        }
    }
}

/// An answer of the API, or what it says in place of one.
pub(super) async fn answered(response: Response) -> Result<(HeaderMap, Bytes), Refused> {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|error| Refused::unreadable(&error))?;
    if parts.status.is_success() {
        return Ok((parts.headers, bytes));
    }
    Err(serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        let detail = format!("The API answered {}.", parts.status);
        Refused::new(parts.status.as_u16(), "refused", detail, "Try again in a moment.")
    }))
}
