//! What all providers have in common; each provider's own tests stand in a file of its name.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;

mod generic;
mod mailgun;
mod postmark;
mod sendgrid;
mod ses;
mod twilio;

#[test]
fn the_reference_names_every_kind_and_no_other() {
    let page = include_str!("../../../docs/providers.md");
    let mut named: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    named.retain(|name| *name != "kind");
    let mut kinds = Kind::NAMES.to_vec();
    named.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(named, kinds);
}

/// A POST that came at a second since 1970.
pub(super) struct Post {
    pub(super) url: &'static str,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) second: i64,
}

impl Post {
    pub(super) fn new(url: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { url, query: String::new(), headers: HeaderMap::new(), body: body.into(), second: 0 }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn at(mut self, second: i64) -> Self {
        self.second = second;
        self
    }

    pub(super) fn receive(&self, kind: Kind, secrets: &[&str]) -> Result<Received, Refused> {
        let secrets: Vec<String> = secrets.iter().map(|&secret| secret.to_owned()).collect();
        let arrived = Arrived {
            method: &Method::POST,
            url: self.url,
            query: &self.query,
            headers: &self.headers,
            body: &self.body,
            now: Timestamp::from_second(self.second).unwrap(),
        };
        let credentials = Credentials { secrets: &secrets, verify_token: None, account: None };
        receive(kind, &arrived, &credentials)
    }

    pub(super) fn tells(&self, kind: Kind, secrets: &[&str]) -> Vec<Incoming> {
        match self.receive(kind, secrets).unwrap() {
            Received::Tells(incoming) => incoming.into_inner(),
            Received::Asks(answer) => panic!("it asks, and hears {answer:?}"),
            Received::NeedsCertificate(link) | Received::Confirms(Verified(link)) => {
                panic!("it names {link}")
            }
        }
    }
}
