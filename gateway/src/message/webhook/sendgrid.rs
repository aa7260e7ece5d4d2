//! SendGrid Inbound Parse: mail by `multipart/form-data`, signed with ECDSA over P-256.
//!
//! Signed is the timestamp and the raw body; the public key is what the provider shows: base64 of its DER form. The
//! field `email` has the mail as it came (a switch at the provider); without, it is read from what the provider made
//! of it. Repetitions go on for 3 days.

use jiff::{SignedDuration, Timestamp};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde::Deserialize;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, form::Form, header, mails, proof, unparsed};
use crate::message::mail::{
    self, Assembled, Envelope, Headers,
    authentication::{AuthResult, Evidence, Finding, Upstream},
};

/// How old a signature may be: whether repetitions are signed anew is not said.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(4 * 24);

/// What stands before the point in the DER form of a public key on P-256 (RFC 5480).
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let signature = header(arrived.headers, "x-twilio-email-event-webhook-signature")?;
    let stamp = header(arrived.headers, "x-twilio-email-event-webhook-timestamp")?;
    let signature = proof::base64(signature).ok_or(Refused::Unsigned)?;
    let signed = [stamp.as_bytes(), arrived.body].concat();
    let good = |key: &String| {
        let key = proof::base64(key.trim()).unwrap_or_default();
        let point = key.strip_prefix(&SPKI_P256);
        point.is_some_and(|point| {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(&signed, &signature).is_ok()
        })
    };
    if !credentials.secrets.iter().any(good) {
        return Err(Refused::WrongSignature);
    }
    let seconds = stamp.parse().map_err(|_| Refused::Unsigned)?;
    let then = Timestamp::from_second(seconds).map_err(|_| Refused::Stale)?;
    if arrived.now.duration_since(then).abs() > AGE_MAX { Err(Refused::Stale) } else { Ok(()) }
}

#[derive(Default, Deserialize)]
struct Route {
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    from: Option<String>,
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let Some(form) = Form::read(arrived.headers, arrived.body) else {
        return unparsed(Channel::Email, arrived);
    };
    let route = form
        .bytes("envelope")
        .and_then(|json| serde_json::from_slice::<Route>(json).ok())
        .unwrap_or_default();
    let sender = route.from.as_deref();
    let (mail, raw) = match (form.bytes("email"), form.bytes("headers")) {
        (Some(raw), _) => (mail::read(raw, sender), raw),
        // A repetition has the same headers; the form around them may differ.
        (None, Some(head)) => (assembled(&form, head, sender), head),
        (None, None) => return unparsed(Channel::Email, arrived),
    };
    let mut mail = mail;
    let whole = form.bytes("email").unwrap_or_default();
    mail.content.evidence = Some(Evidence::of(whole, upstream(&form)));
    // One mail to several of our mailboxes is a message at each of them.
    let told = |to: Option<&str>| mail.clone().incoming(&Envelope { id: None, to, raw });
    if route.to.is_empty() {
        return vec![told(None)];
    }
    route.to.iter().take(RECIPIENTS_MAX).map(|to| told(Some(to))).collect()
}

/// What the provider found out: it saw the sender's server.
fn upstream(form: &Form<'_>) -> Upstream {
    let mut upstream = Upstream {
        spf: form.text("SPF").and_then(|word| Finding::told(&word, None)),
        dkim: form.text("dkim").and_then(|told| signature(&told)),
        ..Upstream::default()
    };
    upstream.scored(&form.text("spam_score").unwrap_or_default());
    upstream
}

/// The provider's form of it: `{@example.org : pass}`, one for each signature.
fn signature(told: &str) -> Option<Finding> {
    let bare = told.trim().trim_start_matches('{').trim_end_matches('}');
    let findings = bare.split(',').filter_map(|one| {
        let (domain, word) = one.split_once(':')?;
        Finding::told(word, Some(domain.trim().trim_start_matches('@')))
    });
    let mut findings: Vec<Finding> = findings.take(10).collect();
    findings.sort_by_key(|finding| finding.result != AuthResult::Pass);
    findings.into_iter().next()
}

/// Most recipients of one mail.
const RECIPIENTS_MAX: usize = 100;

fn assembled(form: &Form<'_>, head: &[u8], sender: Option<&str>) -> mail::Mail {
    let charsets =
        form.bytes("charsets").and_then(|json| serde_json::from_slice::<serde_json::Value>(json).ok());
    let text = |name: &str| {
        let charset = charsets.as_ref().and_then(|all| all.get(name)?.as_str());
        form.bytes(name).map(|bytes| mail::decode_text(charset, bytes)).unwrap_or_default()
    };
    let info =
        form.bytes("attachment-info").and_then(|json| serde_json::from_slice::<serde_json::Value>(json).ok());
    let files = form.files("attachment").map(|file| {
        let said = |key: &str| info.as_ref()?.get(file.name.as_ref())?.get(key)?.as_str();
        let name = said("filename").or(file.file_name.as_deref());
        let media_type = said("type").or(file.media_type.as_deref());
        mails::attachment(name, media_type, said("content-id"), file.data.to_vec())
    });
    let parts = Assembled { text: text("text"), html: text("html"), attachments: files.collect() };
    mail::assembled(&Headers::read(head), sender, parts, head)
}
