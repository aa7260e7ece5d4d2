//! What a provider said, in our words: the same form for every provider and channel.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use vestibule_routing::channel::Channel;

use super::mail::{
    authentication::{Authentication, Evidence},
    spam::Spam,
};

/// One thing that a webhook request told us. A request may tell of many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Names it among all that this provider sends, repetitions included: the provider's id of the message, with the
    /// type of the event where one message has several. Remembered for 8 days at least, to leave out what comes
    /// again ([`Remembered`](crate::journal::Remembered)).
    pub id: String,
    /// The channel.
    pub channel: Channel,
    /// The customer: an E.164 number where the channel has numbers, else the provider's id of the person or a mailbox.
    pub customer: String,
    /// Ours: what the customer wrote to.
    pub address: String,
    /// When the provider says that it happened; order is the order of arrival all the same.
    pub at: Option<Timestamp>,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The customer wrote.
    Message(Box<Content>),
    /// A message that was received before is no longer what it was.
    Changed {
        /// The provider's id of that message.
        message: String,
        /// How.
        change: Change,
    },
    /// What became of a message that we sent.
    Delivery {
        /// The provider's id of that message.
        message: String,
        /// The provider's word for it: `delivered`, `failed`, `read`.
        status: String,
        /// The provider's code of the failure, if it is one.
        error: Option<String>,
    },
    /// The provider itself noted that the customer wants no more messages, or wants them again.
    OptOut {
        /// Whether no more are wanted.
        out: bool,
    },
    /// Anything else that was properly signed: kept as it came, under the provider's word for it.
    Other {
        /// The provider's name of the event; `unparsed` when the body could not be read.
        kind: String,
        /// The body, or the part of it that tells of this.
        raw: String,
    },
}

/// What a customer wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Content {
    /// The provider's id of the message.
    pub message_id: String,
    /// The text, unchanged; empty when there is only media.
    pub text: String,
    /// The name that the customer goes by, where the provider tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The subject, of mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The provider's id of the message that this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What the customer pressed: the payload of a button or a list row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Which part of how many this is, where the provider sends the parts of a long message singly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
    /// Pictures, sounds, files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<MediaLink>,
    /// The text as HTML, of mail: written by a stranger, and not made harmless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The ids of the mails that came before in the thread, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
    /// The files that came with a mail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// What stands behind the `+` of the address that a mail was sent to: a reply's address may name its thread so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Whether a machine wrote it (an answer while away, a bounce, a mailing list): it must not be answered by one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub automatic: bool,
    /// The link or code by which forwarding of mail to us is confirmed, when the mail asks for that. As it arrives, the
    /// mail only says so; in what is kept, the forwarder has signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<String>,
    /// Whether the mail is really of whom it says, as far as that can be found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// Whether the mail is likely spam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spam: Option<Spam>,
    /// Under which id the mail is kept as it came ([`Files`](crate::files::Files)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// What both are found out by, of mail, until they are.
    #[serde(skip)]
    pub evidence: Option<Arc<Evidence>>,
    /// Whether parts of it were too large or too many, and were left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// A file that came within a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// The name that the sender gave it, without folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The media type that the sender claims.
    pub media_type: String,
    /// Its size.
    pub bytes: usize,
    /// Whether it is Outlook's own wrapping (`winmail.dat`), with the mail's real files within.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub winmail: bool,
    /// What the HTML calls it by (`cid:`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_id: Option<String>,
    /// Under which id it is kept ([`Files`](crate::files::Files)); none until it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What is in it, until it is kept. Documents only describe it.
    #[serde(skip)]
    pub data: Bytes,
}

/// One part of a long message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What the parts of one message have in common.
    pub reference: String,
    /// Counted from 1.
    pub number: u16,
    /// How many there are.
    pub total: u16,
}

/// Where the provider keeps a picture, a sound or a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MediaLink {
    /// The link, or the provider's id where it gives out links on request only.
    pub link: String,
    /// The media type that the provider claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The file name that the customer gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
}

/// How a message changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
pub enum Change {
    /// It says something else now.
    Edited {
        /// What.
        text: String,
    },
    /// The customer took it back.
    Deleted,
    /// The customer reacted to it.
    Reaction {
        /// With what; none when the reaction is taken back.
        emoji: Option<String>,
    },
}

impl Incoming {
    /// What was written, when this is a message.
    pub fn content(&self) -> Option<&Content> {
        match &self.what {
            What::Message(content) => Some(content),
            What::Changed { .. } | What::Delivery { .. } | What::OptOut { .. } | What::Other { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn content_mut(&mut self) -> Option<&mut Content> {
        match &mut self.what {
            What::Message(content) => Some(content),
            What::Changed { .. } | What::Delivery { .. } | What::OptOut { .. } | What::Other { .. } => None,
        }
    }

    /// Bytes that it takes, roughly.
    pub fn size(&self) -> usize {
        let ids = self.id.len() + self.customer.len() + self.address.len();
        let what = match &self.what {
            What::Message(content) => {
                let media = content.media.iter().map(|link| link.link.len() + 128).sum::<usize>();
                let files = content.attachments.iter().map(|file| file.data.len() + 512).sum::<usize>();
                let html = content.html.as_ref().map_or(0, String::len);
                let references = content.references.iter().map(String::len).sum::<usize>();
                let raw = content.evidence.as_ref().map_or(0, |evidence| evidence.raw.len());
                content.text.len() + media + files + html + references + raw + 512
            }
            What::Changed { change: Change::Edited { text }, .. } => text.len(),
            What::Other { raw, .. } => raw.len(),
            What::Changed { .. } | What::Delivery { .. } | What::OptOut { .. } => 256,
        };
        ids + what
    }
}
