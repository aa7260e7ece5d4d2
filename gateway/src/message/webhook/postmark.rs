//! Postmark: mail by JSON, proven by the name and the password in the address that it was given.
//!
//! With `RawEmail` (a switch at the provider) the mail is read as it came; without, from what the provider made of it.

use serde::Deserialize;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, mails, proof, unparsed};
use crate::message::{
    Attachment,
    mail::{
        self, Assembled, Envelope, Headers,
        authentication::{Evidence, Finding, Upstream},
    },
};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    proof::basic(arrived.headers, credentials.secrets)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    #[serde(rename = "MessageID")]
    message_id: String,
    #[serde(default)]
    from_full: Option<Mailbox>,
    #[serde(default)]
    to_full: Vec<Mailbox>,
    #[serde(default)]
    original_recipient: Option<String>,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    date: Option<String>,
    #[serde(default)]
    text_body: Option<String>,
    #[serde(default)]
    html_body: Option<String>,
    #[serde(default)]
    raw_email: Option<String>,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    attachments: Vec<File>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mailbox {
    email: String,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(rename = "ContentID", default)]
    content_id: Option<String>,
    /// The provider's pages give the bytes two names.
    #[serde(default)]
    content: String,
    #[serde(default)]
    data: String,
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let Ok(body) = serde_json::from_slice::<Body>(arrived.body) else {
        return unparsed(Channel::Email, arrived);
    };
    let to = body.original_recipient.as_deref().filter(|to| !to.is_empty());
    let to = to.or_else(|| body.to_full.first().map(|mailbox| mailbox.email.as_str()));
    let envelope = Envelope { id: Some(&body.message_id), to, raw: arrived.body };
    let whole = body.raw_email.as_deref().unwrap_or_default();
    let mut mail = if whole.is_empty() { body.assembled() } else { mail::read(whole.as_bytes(), None) };
    mail.content.evidence = Some(Evidence::of(whole.as_bytes(), body.upstream()));
    vec![mail.incoming(&envelope)]
}

impl Body {
    /// What the provider found out: the first header of each name is its own, those of the mail follow.
    fn upstream(&self) -> Upstream {
        let said = |name: &str| {
            self.headers
                .iter()
                .find(|header| header.name.eq_ignore_ascii_case(name))
                .map(|header| header.value.trim())
        };
        let word = |text: &str| {
            text.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
        };
        let mut upstream = Upstream {
            spf: said("Received-SPF").and_then(|text| Finding::told(&word(text), None)),
            spam: said("X-Spam-Status").map(|text| word(text).eq_ignore_ascii_case("yes")),
            ..Upstream::default()
        };
        let flag = upstream.spam;
        upstream.scored(said("X-Spam-Score").unwrap_or_default());
        upstream.spam = flag.or(upstream.spam);
        upstream
    }

    fn assembled(&self) -> mail::Mail {
        let given = self.headers.iter().map(|header| (header.name.as_str(), header.value.as_str()));
        // These stand in fields of their own, and not among the headers.
        let own = [("Subject", &self.subject), ("Date", &self.date)];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let headers = Headers::of(own.chain(given));
        let parts = Assembled {
            text: self.text_body.clone().unwrap_or_default(),
            html: self.html_body.clone().unwrap_or_default(),
            attachments: self.attachments.iter().map(File::attachment).collect(),
        };
        // The provider's id stands in for a missing Message-ID.
        let mut mail = mail::assembled(&headers, None, parts, self.message_id.as_bytes());
        if let Some(from) = &self.from_full {
            mail.from = mail::mailbox(&from.email);
            mail.content.name = from.name.as_deref().and_then(mail::one_line);
        }
        mail
    }
}

impl File {
    fn attachment(&self) -> Attachment {
        let bytes = if self.content.is_empty() { &self.data } else { &self.content };
        mails::attachment(
            self.name.as_deref(),
            self.content_type.as_deref(),
            self.content_id.as_deref(),
            mail::base64(bytes.as_bytes()),
        )
    }
}
