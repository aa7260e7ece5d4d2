//! Telnyx's API v2.

pub(super) mod numbers;
mod registration;

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::{Account, Outgoing, Texts, said};

pub(super) struct Api;

const API: &str = "https://api.telnyx.com";

impl Texts for Api {
    fn needs_account(&self) -> bool {
        false
    }

    fn request(&self, client: &Client, account: &Account<'_>, text: &Outgoing<'_>) -> Option<RequestBuilder> {
        let api = account.api.unwrap_or(API);
        let reports_to = account.reports_to;
        let body = json!({"from": text.from, "to": text.to, "text": text.text, "webhook_url": reports_to});
        let request = client.post(format!("{api}/v2/messages")).header("content-type", "application/json");
        Some(request.bearer_auth(account.key).body(body.to_string()))
    }

    fn message_id<'a>(&self, answer: &'a Value) -> Option<&'a str> {
        answer.pointer("/data/id")?.as_str()
    }

    fn refusal(&self, answer: &Value) -> (Option<String>, Option<String>) {
        (said(answer, "/errors/0/code"), said(answer, "/errors/0/detail"))
    }
}
