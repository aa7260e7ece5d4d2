//! Twilio's API of 2010-04-01.

pub(super) mod numbers;
mod registration;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use super::{Account, Outgoing, Texts, said};

pub(super) struct Api;

const API: &str = "https://api.twilio.com";

impl Texts for Api {
    fn needs_account(&self) -> bool {
        true
    }

    fn request(&self, client: &Client, account: &Account<'_>, text: &Outgoing<'_>) -> Option<RequestBuilder> {
        let id = account.id?;
        // A key of its own is `SID:secret`; without one the account's token proves us.
        let (user, secret) = account.key.split_once(':').unwrap_or((id, account.key));
        let pairs = [
            ("From", text.from),
            ("To", text.to),
            ("Body", text.text),
            ("StatusCallback", account.reports_to),
        ];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let path: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let api = account.api.unwrap_or(API);
        let request = client.post(format!("{api}/2010-04-01/Accounts/{path}/Messages.json"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Some(request.basic_auth(user, Some(secret)).body(form))
    }

    fn message_id<'a>(&self, answer: &'a Value) -> Option<&'a str> {
        answer.get("sid")?.as_str()
    }

    fn refusal(&self, answer: &Value) -> (Option<String>, Option<String>) {
        (said(answer, "/code"), said(answer, "/message"))
    }
}
