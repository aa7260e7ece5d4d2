//! What all providers have in common; each provider's own tests stand in a file of its name.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::*;

mod bandwidth;
mod generic;
mod line;
mod mailgun;
mod messagebird;
mod meta;
mod plivo;
mod postmark;
mod sendgrid;
mod ses;
mod sinch;
mod sinch_sms;
mod telegram;
mod telnyx;
mod twilio;
mod viber;
mod vonage;

#[test]
fn the_reference_names_every_kind_and_no_other() {
    let page = include_str!("../../../docs/providers.md");
    // The first table; further tables name some of them again.
    let table = page.lines().skip_while(|line| !line.starts_with("| `kind`")).skip(2);
    let mut named: Vec<&str> = table.map_while(|line| line.strip_prefix("| `")?.split('`').next()).collect();
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
    pub(super) method: Method,
    pub(super) account: Option<&'static str>,
    pub(super) verify_token: Option<&'static str>,
}

impl Post {
    pub(super) fn new(url: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            url,
            query: String::new(),
            headers: HeaderMap::new(),
            body: body.into(),
            second: 0,
            method: Method::POST,
            account: None,
            verify_token: None,
        }
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
            method: &self.method,
            url: self.url,
            query: &self.query,
            headers: &self.headers,
            body: &self.body,
            now: Timestamp::from_second(self.second).unwrap(),
        };
        let (verify_token, account) = (self.verify_token, self.account);
        let credentials = Credentials { secrets: &secrets, verify_token, account };
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

/// What all signed kinds have in common: either secret passes during a change, and nothing else does.
pub(super) fn passes_only_as_it_came(
    post: impl Fn() -> Post,
    kind: Kind,
    (secret, other): (&str, &str),
    signature: &'static str,
) {
    assert!(post().receive(kind, &[other, secret]).is_ok(), "either secret, during a change");
    assert_eq!(post().receive(kind, &[other]), Err(Refused::WrongSignature), "another account's secret");
    let mut altered = post();
    altered.body.push(b' ');
    assert_eq!(altered.receive(kind, &[secret]), Err(Refused::WrongSignature), "another body");
    let mut unsigned = post();
    unsigned.headers.remove(signature);
    assert_eq!(unsigned.receive(kind, &[secret]), Err(Refused::Unsigned), "no signature");
    let mut twice = post();
    let value = twice.headers[signature].clone();
    twice.headers.append(HeaderName::from_static(signature), value);
    assert_eq!(twice.receive(kind, &[secret]), Err(Refused::Repeated), "the header twice");
    let mut nonsense = post();
    nonsense.headers.insert(HeaderName::from_static(signature), HeaderValue::from_static("%%%"));
    assert_eq!(nonsense.receive(kind, &[secret]), Err(Refused::Unsigned), "no signature in its form");
}

/// The one thing that a request tells.
pub(super) fn only(told: Vec<Incoming>) -> Incoming {
    let [only] = <[Incoming; 1]>::try_from(told).unwrap();
    only
}

/// The message that a request tells of.
pub(super) fn message(told: Vec<Incoming>) -> (Incoming, crate::message::Content) {
    let told = only(told);
    let What::Message(content) = told.what.clone() else { panic!("{told:?}") };
    (told, *content)
}

/// Signs a body as kinds do that put a keyed hash of it into a header.
pub(super) fn signed_with(secret: &str, body: &str) -> Vec<u8> {
    use ring::hmac;
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), body.as_bytes()).as_ref().to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a body is read into, whoever sent it.
pub(super) fn read_into(kind: Kind, body: &str, account: Option<&str>) -> Vec<Incoming> {
    let (method, headers, now) = (Method::POST, HeaderMap::new(), Timestamp::UNIX_EPOCH);
    let arrived =
        Arrived { method: &method, url: "", query: "", headers: &headers, body: body.as_bytes(), now };
    read(kind, &arrived, &Credentials { secrets: &[], verify_token: None, account })
}
