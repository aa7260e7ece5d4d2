//! Where the files of messages lie at each kind of provider, and what proves us there.
//!
//! Nothing is fetched here: it is only said what to ask. Whoever asks decides which addresses are good, follows
//! redirections, and takes the proof to no other host than that of the request it stands in.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Url, header::HeaderValue};
use serde_json::Value;

use super::Kind;

/// What files are had by.
#[derive(Clone, Copy, Default)]
pub struct FileAccount<'a> {
    /// The key of the provider's document, or what does in its place.
    pub key: Option<&'a str>,
    /// Where the API is, when it is not the provider's own; without a slash at its end.
    pub api: Option<&'a str>,
}

/// A GET to make.
#[derive(Clone)]
pub struct Ask {
    /// To where.
    pub url: Url,
    /// The `Authorization` that goes with it, to this host alone.
    pub proof: Option<HeaderValue>,
}

// Neither says what it holds: a link may be the only proof that a file needs.
impl std::fmt::Debug for FileAccount<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileAccount").field("api", &self.api).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// The first thing to ask.
#[derive(Clone, Debug)]
pub enum First {
    /// It answers with the file.
    File(Ask),
    /// It answers with JSON that says where the file is: see [`then`].
    Where(Ask),
}

/// Why nothing can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// The kind needs a key, and there is none.
    #[error("the provider's document has no media.key, or it cannot be read")]
    NoKey,
    /// What stands in place of the link is none, and no id either.
    #[error("the message names no link that can be followed")]
    BadLink,
    /// The answer does not say where the file is.
    #[error("the provider's answer does not say where the file is")]
    NotSaid,
}

/// How a kind of provider gives out files.
enum Way {
    /// By the link of the message.
    Link,
    /// By the link; hosts below these names, and the named API, want to know who asks.
    Proven(&'static [&'static str], fn(&str) -> String),
    /// By an id, with the same kind of proof; links are followed without any.
    ById,
}

fn way(kind: Kind) -> Way {
    match kind {
        Kind::Twilio => Way::Proven(&["twilio.com"], basic),
        Kind::Bandwidth => Way::Proven(&["bandwidth.com"], basic),
        Kind::Plivo => Way::Proven(&["plivo.com"], basic),
        Kind::Mailgun => Way::Proven(&["mailgun.net", "mailgun.org"], basic),
        Kind::Messagebird => Way::Proven(&["messagebird.com"], |key| format!("AccessKey {key}")),
        // Whose API it is, only the document says.
        Kind::Generic => Way::Proven(&[], bearer),
        Kind::Meta | Kind::Telegram | Kind::Line => Way::ById,
        Kind::Telnyx
        | Kind::Vonage
        | Kind::Sinch
        | Kind::SinchSms
        | Kind::Viber
        | Kind::Postmark
        | Kind::Sendgrid
        | Kind::Ses => Way::Link,
    }
}

impl Kind {
    /// Whether a key may be needed to have the files of its messages.
    pub fn has_media_key(self) -> bool {
        !matches!(way(self), Way::Link)
    }

    /// Whether only the document can say to whom the key goes.
    pub fn needs_media_api(self) -> bool {
        matches!(way(self), Way::Proven([], _))
    }
}

/// What does in place of a key of its own: Twilio's account proves us for messages and their files alike.
pub fn key_in_place(
    kind: Kind,
    account: Option<&str>,
    send_key: Option<&str>,
    secret: Option<&str>,
) -> Option<String> {
    if kind != Kind::Twilio {
        return None;
    }
    match send_key {
        // A key of its own is `SID:secret`; the account's token is also what webhooks are signed with.
        Some(key) if key.contains(':') => Some(key.to_owned()),
        other => Some(format!("{}:{}", account?, other.or(secret)?)),
    }
}

/// What to ask for a file that a message names by `link`.
///
/// # Errors
/// [`NoWay`].
pub fn first(kind: Kind, account: FileAccount<'_>, link: &str) -> Result<First, NoWay> {
    let is_link = link.starts_with("https://") || link.starts_with("http://");
    match way(kind) {
        Way::ById if !is_link => by_id(kind, account, link),
        Way::Link | Way::ById => Ok(First::File(Ask { url: url(link)?, proof: None })),
        Way::Proven(hosts, proof) => {
            let url = url(link)?;
            let known = is_below(&url, hosts) || account.api.is_some_and(|api| same_origin(&url, api));
            let proof = account.key.filter(|_| known).map(proof).map(|text| header(&text)).transpose()?;
            Ok(First::File(Ask { url, proof }))
        }
    }
}

fn by_id(kind: Kind, account: FileAccount<'_>, id: &str) -> Result<First, NoWay> {
    let key = account.key.ok_or(NoWay::NoKey)?;
    // Ids go into paths and queries: what could leave its place there is no id.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(NoWay::BadLink);
    }
    let api = |own| account.api.unwrap_or(own);
    let proof = || header(&bearer(key)).map(Some);
    Ok(match kind {
        Kind::Line => {
            let url = url(&format!("{}/v2/bot/message/{id}/content", api(LINE)))?;
            First::File(Ask { url, proof: proof()? })
        }
        Kind::Telegram => {
            let url = url(&format!("{}/bot{}/getFile?file_id={id}", api(TELEGRAM), token(key)?))?;
            First::Where(Ask { url, proof: None })
        }
        _ => First::Where(Ask { url: url(&format!("{}/{id}", api(META)))?, proof: proof()? }),
    })
}

/// Where the file is, by the answer to a [`First::Where`].
///
/// # Errors
/// [`NoWay`].
pub fn then(kind: Kind, account: FileAccount<'_>, answer: &Value) -> Result<Ask, NoWay> {
    let key = account.key.ok_or(NoWay::NoKey)?;
    let said = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).ok_or(NoWay::NotSaid);
    if kind == Kind::Telegram {
        let path = said("/result/file_path")?;
        if path.split('/').any(|step| matches!(step, "" | "." | "..")) || path.contains(['?', '#', '\\', '%'])
        {
            return Err(NoWay::NotSaid);
        }
        let api = account.api.unwrap_or(TELEGRAM);
        return Ok(Ask { url: url(&format!("{api}/file/bot{}/{path}", token(key)?))?, proof: None });
    }
    let url = url(said("/url")?)?;
    let known = is_below(&url, META_HOSTS) || account.api.is_some_and(|api| same_origin(&url, api));
    let proof = if known { Some(header(&bearer(key))?) } else { None };
    Ok(Ask { url, proof })
}

const LINE: &str = "https://api-data.line.me";
const TELEGRAM: &str = "https://api.telegram.org";
/// With its version: without one, an app gets the oldest that it may use.
const META: &str = "https://graph.facebook.com/v23.0";
const META_HOSTS: &[&str] = &["facebook.com", "fbsbx.com"];

fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(key))
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// A bot's token, as it may stand in a path.
fn token(key: &str) -> Result<&str, NoWay> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":-_".contains(&byte);
    if key.bytes().all(plain) { Ok(key) } else { Err(NoWay::NoKey) }
}

fn header(text: &str) -> Result<HeaderValue, NoWay> {
    let mut value = HeaderValue::from_str(text).map_err(|_| NoWay::NoKey)?;
    value.set_sensitive(true);
    Ok(value)
}

fn url(text: &str) -> Result<Url, NoWay> {
    let url = Url::parse(text).map_err(|_| NoWay::BadLink)?;
    if url.has_host() { Ok(url) } else { Err(NoWay::BadLink) }
}

/// Whether the host is one of these names or below one, and asked over TLS.
fn is_below(url: &Url, names: &[&str]) -> bool {
    let host = url.host_str().unwrap_or_default();
    let below =
        |name: &&str| host.strip_suffix(*name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    url.scheme() == "https" && names.iter().any(below)
}

fn same_origin(url: &Url, api: &str) -> bool {
    Url::parse(api).is_ok_and(|api| api.origin() == url.origin())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ACCOUNT: FileAccount<'_> = FileAccount { key: Some("12:k-Y_"), api: None };

    fn asked(first: First) -> (String, Option<String>) {
        let (First::File(ask) | First::Where(ask)) = first;
        (ask.url.to_string(), ask.proof.map(|proof| proof.to_str().unwrap().to_owned()))
    }

    fn proof(kind: Kind, link: &str) -> Option<String> {
        asked(first(kind, ACCOUNT, link).unwrap()).1
    }

    #[test]
    fn credentials_go_to_the_providers_own_hosts_only() {
        let basic = Some("Basic MTI6ay1ZXw==".to_owned());
        assert_eq!(proof(Kind::Twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1/Media/ME1"), basic);
        assert_eq!(proof(Kind::Bandwidth, "https://messaging.bandwidth.com/api/v2/users/1/media/a"), basic);
        for link in [
            "http://api.twilio.com/x",
            "https://api.twilio.com.evil.example/x",
            "https://eviltwilio.com/x",
            "https://api.twilio.com@evil.example/x",
            "https://cdn.example/x",
        ] {
            assert_eq!(proof(Kind::Twilio, link), None, "{link}");
        }
        assert_eq!(proof(Kind::Telnyx, "https://media.telnyx.com/x"), None);
        assert_eq!(proof(Kind::Meta, "https://scontent.facebook.com/x"), None);
        let of_api = FileAccount { key: Some("k"), api: Some("https://files.example:8443/v1") };
        let at = |link| asked(first(Kind::Generic, of_api, link).unwrap()).1;
        assert_eq!(at("https://files.example:8443/other"), Some("Bearer k".to_owned()));
        assert_eq!(at("https://files.example/other"), None);
    }

    #[test]
    fn ids_are_asked_for_as_each_api_documents() {
        let bearer = || Some("Bearer 12:k-Y_".to_owned());
        let at = |kind, id| asked(first(kind, ACCOUNT, id).unwrap());
        assert_eq!(at(Kind::Meta, "77"), ("https://graph.facebook.com/v23.0/77".into(), bearer()));
        assert_eq!(
            at(Kind::Line, "9"),
            ("https://api-data.line.me/v2/bot/message/9/content".into(), bearer())
        );
        let asks = "https://api.telegram.org/bot12:k-Y_/getFile?file_id=AgAC-1_x";
        assert_eq!(at(Kind::Telegram, "AgAC-1_x"), (asks.into(), None));
        let then = |kind, answer| then(kind, ACCOUNT, &answer).map(|ask| asked(First::File(ask)));
        assert_eq!(
            then(Kind::Telegram, json!({"result": {"file_path": "photos/file_1.jpg"}})),
            Ok(("https://api.telegram.org/file/bot12:k-Y_/photos/file_1.jpg".into(), None))
        );
        let url = "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=77";
        assert_eq!(then(Kind::Meta, json!({"url": url})), Ok((url.into(), bearer())));
        assert_eq!(
            then(Kind::Meta, json!({"url": "https://evil.example/"})),
            Ok(("https://evil.example/".into(), None))
        );
    }

    #[test]
    fn an_account_that_sends_needs_no_second_key() {
        let key = |account, send, secret| key_in_place(Kind::Twilio, account, send, secret);
        assert_eq!(key(Some("AC1"), Some("SK1:s"), Some("t")), Some("SK1:s".into()));
        assert_eq!(key(Some("AC1"), None, Some("t")), Some("AC1:t".into()));
        assert_eq!(key(None, None, Some("t")), None);
        assert_eq!(key_in_place(Kind::Telnyx, Some("a"), Some("b"), Some("c")), None);
    }

    #[test]
    fn what_would_leave_its_place_is_not_asked() {
        for id in ["", "../me", "7?x=1", "7/8", "é"] {
            assert_eq!(first(Kind::Meta, ACCOUNT, id).unwrap_err(), NoWay::BadLink, "{id}");
        }
        for path in ["../x", "a//b", "a?b", "", "a\\b", "%2e%2e/x"] {
            let answer = json!({"result": {"file_path": path}});
            assert_eq!(then(Kind::Telegram, ACCOUNT, &answer).unwrap_err(), NoWay::NotSaid, "{path}");
        }
        assert_eq!(first(Kind::Meta, FileAccount::default(), "7").unwrap_err(), NoWay::NoKey);
        assert_eq!(first(Kind::Twilio, ACCOUNT, "ME1").unwrap_err(), NoWay::BadLink);
        let odd = FileAccount { key: Some("a/b"), api: None };
        assert_eq!(first(Kind::Telegram, odd, "7").unwrap_err(), NoWay::NoKey);
    }
}
