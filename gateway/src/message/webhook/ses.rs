//! Amazon SES: mail by way of SNS, JSON that is sent as plain text.
//!
//! SNS signs chosen fields with the key of a certificate that the request only names. The link is pinned to Amazon's
//! own hosts before anybody fetches it, and whoever has an account there can have such a signature: it proves something
//! only together with the topic, which must be the provider's `account`.

use std::{borrow::Cow, fmt::Write as _};

use jiff::{SignedDuration, Timestamp};
use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, other, proof, unparsed};
use crate::message::mail::{
    self, Envelope,
    authentication::{Evidence, Finding, Upstream},
};

/// How old a signature may be: repetitions go on for an hour at most.
const AGE_MAX: SignedDuration = SignedDuration::from_hours(2);

/// What SNS sends, of whichever type.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Sent {
    #[serde(rename = "Type")]
    kind: String,
    message_id: String,
    topic_arn: String,
    message: String,
    timestamp: String,
    signature_version: String,
    signature: String,
    #[serde(rename = "SigningCertURL")]
    certificate: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    token: Option<String>,
    #[serde(rename = "SubscribeURL", default)]
    subscribe: Option<String>,
}

impl Sent {
    /// Reads a request that may be of the topic that we know; nothing is proven yet.
    pub(super) fn read(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<Self, Refused> {
        let sent: Self = serde_json::from_slice(arrived.body).map_err(|_| Refused::Unsigned)?;
        if credentials.account != Some(sent.topic_arn.as_str()) || !is_certificate(&sent.certificate) {
            return Err(Refused::WrongSignature);
        }
        Ok(sent)
    }

    /// Where the certificate is, on a host of Amazon.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Proves it with the certificate in PEM that was found there.
    pub(super) fn verify(&self, certificate: &str, now: Timestamp) -> Result<(), Refused> {
        let signature = proof::base64(&self.signature).ok_or(Refused::Unsigned)?;
        let algorithm = match self.signature_version.as_str() {
            "1" => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            "2" => &RSA_PKCS1_2048_8192_SHA256,
            _ => return Err(Refused::Unsigned),
        };
        let signed = self.signed().ok_or(Refused::Unsigned)?;
        let key = public_key(certificate).ok_or(Refused::WrongSignature)?;
        let key = UnparsedPublicKey::new(algorithm, key);
        key.verify(signed.as_bytes(), &signature).map_err(|_| Refused::WrongSignature)?;
        let then: Timestamp = self.timestamp.parse().map_err(|_| Refused::Unsigned)?;
        if now.duration_since(then).abs() > AGE_MAX { Err(Refused::Stale) } else { Ok(()) }
    }

    /// The text that is signed: names and values in the order of the names.
    fn signed(&self) -> Option<String> {
        let start = [("Message", Some(self.message.as_str())), ("MessageId", Some(&self.message_id))];
        let middle = match self.kind.as_str() {
            "Notification" => {
                vec![("Subject", self.subject.as_deref()), ("Timestamp", Some(&self.timestamp))]
            }
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => vec![
                ("SubscribeURL", Some(self.subscribe.as_deref()?)),
                ("Timestamp", Some(&self.timestamp)),
                ("Token", Some(self.token.as_deref()?)),
            ],
            _ => return None,
        };
        let end = [("TopicArn", Some(self.topic_arn.as_str())), ("Type", Some(&self.kind))];
        let mut text = String::new();
        for (name, value) in start.into_iter().chain(middle).chain(end) {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _written = writeln!(text, "{name}\n{value}");
            }
        }
        Some(text)
    }

    /// The link by which the subscription is confirmed, when that is what is asked and the link is Amazon's.
    pub(super) fn confirms(&self) -> Option<&str> {
        let link = self.subscribe.as_deref().filter(|_| self.kind == "SubscriptionConfirmation")?;
        let (_, rest) = amazon(link)?;
        rest.starts_with("/?").then_some(link)
    }

    /// What it tells, once it is proven.
    pub(super) fn tells(&self, arrived: &Arrived<'_>) -> Vec<Incoming> {
        let raw = String::from_utf8_lossy(arrived.body);
        let kept = |kind: &str| vec![other(Channel::Email, kind, &raw, self.message_id.clone())];
        if self.kind != "Notification" {
            return kept(&self.kind);
        }
        let Ok(told) = serde_json::from_str::<Told>(&self.message) else {
            return unparsed(Channel::Email, arrived);
        };
        if told.kind != "Received" {
            return kept(&told.kind);
        }
        match (&told.content, &told.mail) {
            (Some(content), Some(about)) => told.messages(content, about),
            // The mail lies in a bucket, or the action tells of something that failed.
            _ => kept(&told.receipt.action.kind),
        }
    }
}

/// What SES says within.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(rename = "notificationType")]
    kind: String,
    #[serde(default)]
    mail: Option<About>,
    #[serde(default)]
    receipt: Receipt,
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    message_id: String,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    destination: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Receipt {
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    action: Action,
    #[serde(rename = "spamVerdict", default)]
    spam: Verdict,
    #[serde(rename = "virusVerdict", default)]
    virus: Verdict,
    #[serde(rename = "spfVerdict", default)]
    spf: Verdict,
    #[serde(rename = "dkimVerdict", default)]
    dkim: Verdict,
    #[serde(rename = "dmarcVerdict", default)]
    dmarc: Verdict,
}

#[derive(Default, Deserialize)]
struct Verdict {
    #[serde(default)]
    status: String,
}

impl Receipt {
    /// What the provider found out.
    fn upstream(&self) -> Upstream {
        let fails = |verdict: &Verdict| verdict.status.eq_ignore_ascii_case("fail");
        let told = |verdict: &Verdict| Finding::told(&verdict.status, None);
        Upstream {
            spf: told(&self.spf),
            dkim: told(&self.dkim),
            dmarc: told(&self.dmarc),
            spam: Some(fails(&self.spam)),
            score: None,
            virus: fails(&self.virus),
        }
    }
}

#[derive(Default, Deserialize)]
struct Action {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    encoding: Option<String>,
}

impl Told {
    /// One mail to several mailboxes of ours is a message at each of them.
    fn messages(&self, content: &str, about: &About) -> Vec<Incoming> {
        let encoded = self.receipt.action.encoding.as_deref();
        let raw = match encoded.filter(|name| name.eq_ignore_ascii_case("base64")) {
            Some(_) => Cow::Owned(mail::base64(content.as_bytes())),
            None => Cow::Borrowed(content.as_bytes()),
        };
        let mut mail = mail::read(&raw, about.source.as_deref());
        mail.content.evidence = Some(Evidence::of(&raw, self.receipt.upstream()));
        // The rule's recipients are ours; `destination` has everybody's.
        let recipients =
            if self.receipt.recipients.is_empty() { &about.destination } else { &self.receipt.recipients };
        let told = |to: Option<&str>| {
            let id = format!("{}/{}", about.message_id, to.map(mail::mailbox).unwrap_or_default());
            mail.clone().incoming(&Envelope { id: Some(&id), to, raw: &raw })
        };
        if recipients.is_empty() {
            return vec![told(None)];
        }
        recipients.iter().take(RECIPIENTS_MAX).map(|to| told(Some(to))).collect()
    }
}

/// Most recipients of one mail.
const RECIPIENTS_MAX: usize = 100;

/// Host and rest of an https link to `sns.<region>.amazonaws.com` or `.com.cn`.
fn amazon(link: &str) -> Option<(&str, &str)> {
    let rest = link.strip_prefix("https://")?;
    let (host, path) = rest.split_at(rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)))?);
    let region = host.strip_prefix("sns.")?;
    let region =
        region.strip_suffix(".amazonaws.com").or_else(|| region.strip_suffix(".amazonaws.com.cn"))?;
    let good = (1..=32).contains(&region.len())
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (good && link.len() <= LINK_MAX && link.bytes().all(|byte| byte.is_ascii_graphic()))
        .then_some((host, path))
}

/// Longest link, in bytes.
const LINK_MAX: usize = 2000;

/// Whether a link is of a certificate of SNS: a strange request makes us fetch nothing else.
fn is_certificate(link: &str) -> bool {
    let name = amazon(link)
        .and_then(|(_, path)| path.strip_prefix("/SimpleNotificationService-")?.strip_suffix(".pem"));
    name.is_some_and(|name| {
        (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// The RSA key of a certificate, as RSAPublicKey (RFC 8017).
fn public_key(pem: &str) -> Option<Vec<u8>> {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let certificate = webpki::EndEntityCert::try_from(&certificate).ok()?;
    let info = certificate.subject_public_key_info();
    let at = info.windows(RSA_ENCRYPTION.len()).position(|window| window == RSA_ENCRYPTION)?;
    // A bit string without unused bits; keys of 2048 bits and more have a length of two bytes.
    match info.get(at + RSA_ENCRYPTION.len()..)? {
        [0x03, 0x82, _, _, 0, key @ ..] => Some(key.to_vec()),
        _ => None,
    }
}

/// The algorithm `rsaEncryption` with its NULL (RFC 3279 §2.3.1).
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
