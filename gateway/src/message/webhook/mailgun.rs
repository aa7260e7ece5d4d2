//! Mailgun routes: mail by form posts, signed within the form.
//!
//! Signed is `timestamp` + `token` and nothing else: the mail itself is protected by TLS alone. A delivery that is
//! repeated carries its first signature, so that it is taken for as long as the provider repeats it (8 hours).
//! With an address that ends in `mime` the mail comes as it is (`body-mime`), else taken apart.

use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, form::Form, mails, other, proof, unparsed};
use crate::message::mail::{
    self, Assembled, Envelope, Headers,
    authentication::{Evidence, Finding, Upstream},
};

/// How old a signature may be: the provider's last repetition comes after 8 hours.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(9);

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let proof = Proof::find(arrived).ok_or(Refused::Unsigned)?;
    let signature = proof::hex(&proof.signature).ok_or(Refused::Unsigned)?;
    let parts = [proof.timestamp.as_bytes(), proof.token.as_bytes()];
    let good = |key: &String| proof::is_hmac(hmac::HMAC_SHA256, key.as_bytes(), &parts, &signature);
    if !credentials.secrets.iter().any(good) {
        return Err(Refused::WrongSignature);
    }
    let seconds = proof.timestamp.parse().map_err(|_| Refused::Unsigned)?;
    let then = Timestamp::from_second(seconds).map_err(|_| Refused::Stale)?;
    if arrived.now.duration_since(then).abs() > AGE_MAX { Err(Refused::Stale) } else { Ok(()) }
}

struct Proof {
    timestamp: String,
    token: String,
    signature: String,
}

impl Proof {
    /// Mails are signed in fields of the form, events (which come here by a mistake in the settings) in their JSON.
    fn find(arrived: &Arrived<'_>) -> Option<Self> {
        if let Some(form) = Form::read(arrived.headers, arrived.body) {
            let text = |name| form.text(name);
            return Some(Self {
                timestamp: text("timestamp")?,
                token: text("token")?,
                signature: text("signature")?,
            });
        }
        let event: serde_json::Value = serde_json::from_slice(arrived.body).ok()?;
        let text = |name| event.get("signature")?.get(name)?.as_str().map(str::to_owned);
        Some(Self { timestamp: text("timestamp")?, token: text("token")?, signature: text("signature")? })
    }
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let Some(form) = Form::read(arrived.headers, arrived.body) else { return event(arrived) };
    let to = form.text("recipient");
    let sender = form.text("sender");
    if let Some(kind) = form.text("event") {
        let raw = String::from_utf8_lossy(arrived.body);
        return vec![other(Channel::Email, &kind, &raw, proof::fingerprint(arrived.body))];
    }
    if let Some(raw) = form.bytes("body-mime") {
        let envelope = Envelope { id: None, to: to.as_deref(), raw };
        let mut mail = mail::read(raw, sender.as_deref());
        // The provider's own headers stand in the form, and not in the mail, which its writer made.
        mail.content.evidence = Some(Evidence::of(raw, upstream(&listed(&form))));
        return vec![mail.incoming(&envelope)];
    }
    let (text, html) = (form.text("body-plain"), form.text("body-html"));
    let listed = listed(&form);
    if (text.is_none() && html.is_none() && listed.is_empty()) || to.is_none() {
        return unparsed(Channel::Email, arrived);
    }
    let single = ["From", "To", "Subject", "Date", "Message-Id", "In-Reply-To", "References"];
    // The list is not there when the route stores the mail first; some headers are fields as well.
    let single = single.map(|name| (name, form.text(name).or_else(|| form.text(&name.to_lowercase()))));
    let single = single.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let headers =
        Headers::of(listed.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(single));
    let files = form.files("attachment-").map(|file| {
        mails::attachment(file.file_name.as_deref(), file.media_type.as_deref(), None, file.data.to_vec())
    });
    let parts = Assembled {
        text: text.unwrap_or_default(),
        html: html.unwrap_or_default(),
        attachments: files.collect(),
    };
    // The signed token is the same whenever the same delivery is repeated.
    let token = form.text("token").unwrap_or_default();
    let mut mail = mail::assembled(&headers, sender.as_deref(), parts, token.as_bytes());
    mail.content.media = form.text("attachments").map(|json| stored(&json)).unwrap_or_default();
    mail.content.evidence = Some(Evidence::of(&[], upstream(&listed)));
    let envelope = Envelope { id: None, to: to.as_deref(), raw: token.as_bytes() };
    vec![mail.incoming(&envelope)]
}

/// The headers that the provider lists, its own among them.
fn listed(form: &Form<'_>) -> Vec<(String, String)> {
    let json = form.text("message-headers");
    json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

/// What the provider found out. Whoever wrote the mail may have put such headers into it: the last one counts, which the
/// provider added.
fn upstream(listed: &[(String, String)]) -> Upstream {
    let said = |name: &str| {
        listed
            .iter()
            .rev()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    };
    let mut upstream = Upstream {
        spf: said("X-Mailgun-Spf").and_then(|word| Finding::told(word, None)),
        dkim: said("X-Mailgun-Dkim-Check-Result").and_then(|word| Finding::told(word, None)),
        spam: said("X-Mailgun-Sflag").map(|flag| flag.trim().eq_ignore_ascii_case("yes")),
        ..Upstream::default()
    };
    // The flag is the provider's own reading of its score.
    let flag = upstream.spam;
    upstream.scored(said("X-Mailgun-Sscore").unwrap_or_default());
    upstream.spam = flag.or(upstream.spam);
    upstream
}

/// Files that the provider keeps, and names by link.
fn stored(json: &str) -> Vec<crate::message::MediaLink> {
    #[derive(serde::Deserialize)]
    struct File {
        url: String,
        #[serde(rename = "content-type", default)]
        media_type: Option<String>,
        #[serde(default)]
        name: Option<String>,
    }
    let files: Vec<File> = serde_json::from_str(json).unwrap_or_default();
    let link = |file: File| crate::message::MediaLink {
        link: file.url,
        media_type: file.media_type,
        file_name: file.name.as_deref().and_then(mail::file_name),
    };
    files.into_iter().take(FILES_MAX).map(link).collect()
}

/// Most stored files of one mail.
const FILES_MAX: usize = 500;

fn event(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let event: serde_json::Value = serde_json::from_slice(arrived.body).unwrap_or_default();
    let Some(kind) = event.pointer("/event-data/event").and_then(|kind| kind.as_str()) else {
        return unparsed(Channel::Email, arrived);
    };
    let raw = String::from_utf8_lossy(arrived.body);
    vec![other(Channel::Email, kind, &raw, proof::fingerprint(arrived.body))]
}
