//! What stands beside the form of an object: what is to be copied elsewhere, which secrets it names, where its contacts go.

use axum::{
    Router,
    extract::Path,
    http::Method,
    response::{IntoResponse, Response},
    routing::post,
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    console::{Console, Refused, ask::Desk, page, words::encoded},
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/settings/trunks/{id}/test", post(try_trunk))
}

/// Cards beside a form.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The snippet of a chat window.
    pub(super) snippet: Option<String>,
    /// The address that a provider is given.
    pub(super) webhook: Option<Webhook>,
    /// Which secrets it names: what each is for, and where it is.
    pub(super) secrets: Vec<(&'static str, Vec<String>)>,
    /// Where contacts of a chat window go.
    pub(super) entry_point: Option<EntryPoint>,
    /// Whether a trunk can be asked whether it is there.
    pub(super) may_test: bool,
}

/// Where a provider's requests go.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) address: String,
    /// The document has another: signatures are made over it.
    pub(super) differs: bool,
    /// Its host is known: it is the gateway's public one.
    pub(super) known: bool,
}

/// The entry point of a chat window.
#[derive(Debug, Deserialize)]
pub(super) struct EntryPoint {
    inbox: Option<String>,
    inbox_name: Option<String>,
    pub(super) armed: bool,
}

impl EntryPoint {
    pub(super) fn to(&self) -> &str {
        self.inbox_name.as_deref().or(self.inbox.as_deref()).unwrap_or("no inbox")
    }
}

/// Secrets of a section: where each stands, and what it is for.
fn secrets_of(section: &str) -> &'static [(&'static str, &'static str)] {
    match section {
        "providers" => &[
            ("secrets", "Signs its requests"),
            ("verify_token", "Proves the address to it"),
            ("send.key", "Sends by its API"),
        ],
        "chat_apps" => &[("identity.secrets", "Signs the tokens of visitors")],
        "trunks" => &[
            ("outbound.secret", "Calls over it"),
            ("register.secret", "Registers at it"),
            ("digest.secret", "Proves the carrier"),
        ],
        "consumers" => &[("secrets", "Signs what we send")],
        _ => &[],
    }
}

/// What stands beside an object that is there.
pub(super) async fn of(desk: &Desk, section: &str, id: &str, body: &Value) -> Result<Beside, Refused> {
    if id.is_empty() {
        return Ok(Beside::default());
    }
    let at = |path: &str| path.split('.').try_fold(body, |value, step| value.get(step));
    let named = |path: &str| match at(path) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let public = desk.public_url();
    let base = public.as_deref().unwrap_or("https://THIS-GATEWAY");
    let secrets = secrets_of(section).iter().map(|(path, words)| (*words, named(path))).collect();
    let mut beside = Beside { secrets, ..Beside::default() };
    match section {
        "chat_apps" => {
            let snippet = format!("<script src=\"{base}/chat/{}/widget.js\" async></script>", encoded(id));
            beside.snippet = Some(snippet);
            beside.entry_point = desk.find(&format!("/api/v1/entry-points/chat/{}", encoded(id))).await?;
        }
        "providers" => {
            let address = format!("{base}/webhooks/{}", encoded(id));
            let said = at("url").and_then(Value::as_str).unwrap_or_default();
            let differs = public.is_some() && said != address;
            let address = if public.is_none() && !said.is_empty() { said.to_owned() } else { address };
            beside.webhook = Some(Webhook { known: public.is_some() || !said.is_empty(), address, differs });
        }
        "trunks" => beside.may_test = desk.may(Permission::RoutingEdit) && at("outbound.target").is_some(),
        _ => {}
    }
    Ok(beside)
}

#[derive(Deserialize)]
struct Test {
    up: bool,
    tried: Vec<Tried>,
}

#[derive(Deserialize)]
struct Tried {
    address: String,
    transport: String,
    status: u16,
    milliseconds: u64,
}

impl Tried {
    fn words(&self) -> String {
        let Self { address, transport, status, milliseconds } = self;
        match status {
            408 => format!("{address} over {transport}: no answer in {milliseconds} ms"),
            503 => format!("{address} over {transport}: cannot be reached"),
            status => format!("{address} over {transport}: {status} in {milliseconds} ms"),
        }
    }
}

/// Has the active trunk asked, and says what each of its addresses answered.
async fn try_trunk(desk: Desk, Path(id): Path<String>) -> Response {
    let back = format!("/console/settings/trunks/{}", encoded(&id));
    let path = format!("/api/v1/trunks/{}/test", encoded(&id));
    let test = desk.send(Method::POST, &path, None).await;
    let test: Result<Test, Refused> =
        test.and_then(|test| serde_json::from_value(test).map_err(|error| Refused::unreadable(&error)));
    match test {
        Ok(Test { up, tried }) => {
            let tried = tried.iter().map(Tried::words).collect::<Vec<_>>().join("; ");
            match up {
                true => page::done(&back, &format!("The trunk answers. {tried}.")),
                false => {
                    let detail = format!("The trunk does not answer. {tried}.");
                    let remedy = "See that its address is right, and that the carrier lets this gateway in.";
                    page::not_done(&back, &Refused::new(502, "trunk_silent", detail, remedy))
                }
            }
        }
        Err(refused) if refused.status == 403 => refused.into_response(),
        Err(refused) => page::not_done(&back, &refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_answered_is_said_in_words() {
        let tried = |status| Tried {
            address: "192.0.2.7:5060".into(),
            transport: "udp".into(),
            status,
            milliseconds: 40,
        };
        assert_eq!(tried(200).words(), "192.0.2.7:5060 over udp: 200 in 40 ms");
        assert_eq!(tried(408).words(), "192.0.2.7:5060 over udp: no answer in 40 ms");
        assert_eq!(tried(503).words(), "192.0.2.7:5060 over udp: cannot be reached");
    }
}
