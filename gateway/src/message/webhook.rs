//! Webhooks of providers: each file here knows one provider, and all have the same small shape.
//!
//! `verify` proves over the raw bytes who sent a request; `read` puts it into our words. What is properly signed and
//! cannot be understood is kept as [`What::Other`], never refused: the provider would send it again for days.

use std::sync::Arc;

use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use vestibule_routing::channel::Channel;

use super::{
    Incoming, What,
    mail::{
        self,
        authentication::{Evidence, Origin, Upstream},
    },
};
use crate::{chat::visitor::Visitor, journal::Remembered, smtp};

mod bandwidth;
pub mod files;
mod form;
mod generic;
mod json;
mod line;
mod mailgun;
mod mails;
mod messagebird;
mod meta;
mod plivo;
mod postmark;
mod proof;
mod sendgrid;
mod ses;
mod sinch;
mod sinch_sms;
mod telegram;
mod telnyx;
mod twilio;
mod viber;
mod vonage;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// The kinds of providers: a closed table, as documents name them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// Every name.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The kind of that name.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name in documents and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

kinds! {
    /// Twilio messaging: SMS, MMS, WhatsApp.
    Twilio = "twilio",
    /// Telnyx messaging: SMS, MMS.
    Telnyx = "telnyx",
    /// Bandwidth messaging: SMS, MMS.
    Bandwidth = "bandwidth",
    /// Vonage's Messages API: SMS, MMS, WhatsApp, Messenger, Viber.
    Vonage = "vonage",
    /// Plivo messaging: SMS, MMS.
    Plivo = "plivo",
    /// Sinch's Conversation API: all its channels.
    Sinch = "sinch",
    /// Sinch's SMS API: SMS, MMS.
    SinchSms = "sinch_sms",
    /// MessageBird, the older platform of Bird: SMS, and its conversations.
    Messagebird = "messagebird",
    /// Meta: WhatsApp, Messenger, Instagram.
    Meta = "meta",
    /// Telegram bots.
    Telegram = "telegram",
    /// LINE.
    Line = "line",
    /// Viber bots.
    Viber = "viber",
    /// Anything that signs by Standard Webhooks and speaks our own small form.
    Generic = "generic",
    /// Postmark: mail.
    Postmark = "postmark",
    /// Mailgun routes: mail.
    Mailgun = "mailgun",
    /// SendGrid Inbound Parse: mail.
    Sendgrid = "sendgrid",
    /// Amazon SES by way of SNS: mail.
    Ses = "ses",
}

impl Kind {
    /// Whether mail comes by it: whole mails, with their files.
    pub fn is_mail(self) -> bool {
        matches!(self, Self::Postmark | Self::Mailgun | Self::Sendgrid | Self::Ses)
    }

    /// For how long the ids that it gives are remembered, as far as they keep a captured request from being taken again.
    pub fn remembered(self) -> Remembered {
        match self {
            // Signed without a time: such a request would be believed for ever, and says the same for ever.
            Self::Twilio | Self::Plivo | Self::Meta | Self::Line | Self::Viber => Remembered::Records,
            // Refused when they are old.
            Self::Telnyx
            | Self::Vonage
            | Self::Sinch
            | Self::Messagebird
            | Self::Generic
            | Self::Mailgun
            | Self::Sendgrid
            | Self::Ses => Remembered::Repeats,
            // A word or a password: whoever has captured one request need not send it again to be believed.
            Self::Bandwidth | Self::SinchSms | Self::Telegram | Self::Postmark => Remembered::Repeats,
        }
    }
}

/// A request to the address of a provider, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// GET, where a provider proves a new address, or POST.
    pub method: &'a Method,
    /// Our address as the provider knows it, from the documents: never from Host. Without query.
    pub url: &'a str,
    /// The query as it came, without `?`; empty when there is none.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The raw body.
    pub body: &'a [u8],
    /// When it came.
    pub now: Timestamp,
}

/// What a provider proves itself by.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Secrets or public keys, 1 to 4: each is tried, so that they can be changed without a gap.
    pub secrets: &'a [String],
    /// The word that Meta's subscription handshake must name.
    pub verify_token: Option<&'a str>,
    /// Our account at the provider, where a request must name it.
    pub account: Option<&'a str>,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// Why a request is not believed. It is answered 401 and leaves nothing behind but a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature, or not in the form that the provider gives it.
    #[error("the request is not signed")]
    Unsigned,
    /// The signature is of another secret, or of another body.
    #[error("the signature is wrong")]
    WrongSignature,
    /// The signature is right, and too old or from the future.
    #[error("the signature's time is not now")]
    Stale,
    /// A header that must come once came twice.
    #[error("a header came twice")]
    Repeated,
}

/// Something whose sender is proven. Only [`receive`] makes it, and whoever has a [`Visitor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl Verified<Vec<Incoming>> {
    /// What a visitor of a chat says: that it is this one, our own token has proven.
    pub(crate) fn of_visitor(_visitor: &Visitor, incoming: Incoming) -> Self {
        Self(vec![incoming])
    }

    /// A mail that came to our own mail server, once for each address of ours among its recipients: that these are ours, the
    /// session has made sure of. `told_as` gives the address of ours that a recipient means.
    pub(crate) fn of_mail(
        envelope: &smtp::session::Envelope,
        told_as: impl Fn(&str) -> String,
        raw: &Bytes,
    ) -> Self {
        let mut mail = mail::read(raw, Some(&envelope.from));
        let origin =
            Origin { address: envelope.peer, hello: envelope.hello.clone(), from: envelope.from.clone() };
        let upstream = Upstream::default();
        mail.content.evidence = Some(Arc::new(Evidence { raw: raw.clone(), origin: Some(origin), upstream }));
        // Several recipients may mean one address of ours, by tags that their sender chose: it is told once.
        let mut told: Vec<Incoming> = Vec::new();
        for recipient in &envelope.recipients {
            let to = told_as(recipient);
            if told.iter().any(|known| known.address == to) {
                continue;
            }
            let mut incoming = mail.clone().incoming(&mail::Envelope { id: None, to: Some(&to), raw });
            if let Some(content) = incoming.content_mut() {
                content.tag =
                    mail::tagged(recipient).filter(|_| mail::mailbox(recipient) != to).map(|(_, tag)| tag);
            }
            told.push(incoming);
        }
        Self(told)
    }
}

impl<T> Verified<T> {
    /// What was proven.
    pub fn into_inner(self) -> T {
        self.0
    }
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// It tells of so many things; when they are durable, the answer may be given.
    Tells(Verified<Vec<Incoming>>),
    /// It asks whether we are there: the answer, with nothing to keep.
    Asks(Answer),
    /// It can be believed or not when the certificate at this link is known: fetch it, and call
    /// [`receive_with`]. The link is pinned to the provider's own hosts; the request is not proven yet.
    NeedsCertificate(String),
    /// It is proven, and asks that a subscription is confirmed by opening this link, which is on the provider's own
    /// hosts.
    Confirms(Verified<String>),
}

/// What a provider expects to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The media type of the body, when there is one.
    pub media_type: Option<&'static str>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// 200 without a body.
    pub const OK: Self = Self { status: StatusCode::OK, media_type: None, body: String::new() };

    /// 200 with a body.
    pub fn with(media_type: &'static str, body: impl Into<String>) -> Self {
        Self { status: StatusCode::OK, media_type: Some(media_type), body: body.into() }
    }
}

/// Proves who sent a request and reads it.
///
/// # Errors
/// [`Refused`] when the sender is not proven.
pub fn receive(
    kind: Kind,
    arrived: &Arrived<'_>,
    credentials: &Credentials<'_>,
) -> Result<Received, Refused> {
    receive_with(kind, arrived, credentials, None)
}

/// As [`receive`], with the certificate in PEM that it needed.
///
/// # Errors
/// [`Refused`] when the sender is not proven.
pub fn receive_with(
    kind: Kind,
    arrived: &Arrived<'_>,
    credentials: &Credentials<'_>,
    certificate: Option<&str>,
) -> Result<Received, Refused> {
    if kind == Kind::Meta
        && let Some(answer) = meta::subscription(arrived, credentials)?
    {
        return Ok(Received::Asks(answer));
    }
    if kind == Kind::Ses {
        let sent = ses::Sent::read(arrived, credentials)?;
        let Some(certificate) = certificate else {
            return Ok(Received::NeedsCertificate(sent.certificate().to_owned()));
        };
        sent.verify(certificate, arrived.now)?;
        return Ok(match sent.confirms() {
            Some(link) => Received::Confirms(Verified(link.to_owned())),
            None => Received::Tells(Verified(sent.tells(arrived))),
        });
    }
    verify(kind, arrived, credentials)?;
    Ok(Received::Tells(Verified(read(kind, arrived, credentials))))
}

fn verify(kind: Kind, arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let verify = match kind {
        Kind::Twilio => twilio::verify,
        Kind::Telnyx => telnyx::verify,
        Kind::Bandwidth => bandwidth::verify,
        Kind::Vonage => vonage::verify,
        Kind::Plivo => plivo::verify,
        Kind::Sinch => sinch::verify,
        Kind::SinchSms => sinch_sms::verify,
        Kind::Messagebird => messagebird::verify,
        Kind::Meta => meta::verify,
        Kind::Telegram => telegram::verify,
        Kind::Line => line::verify,
        Kind::Viber => viber::verify,
        Kind::Generic => generic::verify,
        Kind::Postmark => postmark::verify,
        Kind::Mailgun => mailgun::verify,
        Kind::Sendgrid => sendgrid::verify,
        // Proven with a certificate, above.
        Kind::Ses => |_: &Arrived<'_>, _: &Credentials<'_>| Err(Refused::Unsigned),
    };
    verify(arrived, credentials)
}

fn read(kind: Kind, arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Vec<Incoming> {
    match kind {
        Kind::Twilio => twilio::read(arrived),
        Kind::Telnyx => telnyx::read(arrived),
        Kind::Bandwidth => bandwidth::read(arrived),
        Kind::Vonage => vonage::read(arrived),
        Kind::Plivo => plivo::read(arrived),
        Kind::Sinch => sinch::read(arrived, credentials),
        Kind::SinchSms => sinch_sms::read(arrived),
        Kind::Messagebird => messagebird::read(arrived),
        Kind::Meta => meta::read(arrived),
        Kind::Telegram => telegram::read(arrived, credentials),
        Kind::Line => line::read(arrived),
        Kind::Viber => viber::read(arrived, credentials),
        Kind::Generic => generic::read(arrived),
        Kind::Postmark => postmark::read(arrived),
        Kind::Mailgun => mailgun::read(arrived),
        Kind::Sendgrid => sendgrid::read(arrived),
        Kind::Ses => Vec::new(),
    }
}

/// What the provider expects to hear when all is kept.
pub fn accepted(kind: Kind) -> Answer {
    match kind {
        Kind::Twilio => Answer::with("text/xml", twilio::ACCEPTED),
        _ => Answer::OK,
    }
}

/// Something properly signed that could not be read, as it came.
fn unparsed(channel: Channel, arrived: &Arrived<'_>) -> Vec<Incoming> {
    vec![other(channel, "unparsed", &String::from_utf8_lossy(arrived.body), proof::fingerprint(arrived.body))]
}

/// An event of a kind that we do not know, or that could not be read. `id` names it among the provider's events.
fn other(channel: Channel, kind: &str, raw: &str, id: String) -> Incoming {
    Incoming {
        id,
        channel,
        customer: String::new(),
        address: String::new(),
        at: None,
        what: What::Other { kind: kind.to_owned(), raw: raw.to_owned() },
    }
}

/// The header, which must come once and as text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Refused> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).ok_or(Refused::Unsigned)?;
    if values.next().is_some() { Err(Refused::Repeated) } else { Ok(value.trim()) }
}

/// Whether a signature made at `then` is taken now.
fn fresh(then: Timestamp, now: Timestamp) -> Result<(), Refused> {
    if now.duration_since(then).abs() > AGE_MAX { Err(Refused::Stale) } else { Ok(()) }
}

/// How old a signed request may be, and how far its clock may be ahead of ours.
const AGE_MAX: SignedDuration = SignedDuration::from_mins(5);

#[cfg(test)]
mod tests;
