//! What the providers of mail have in common.

use vestibule_routing::channel::Channel;

use super::{Incoming, What, proof};
use crate::message::{Attachment, mail, mail::Mail};

/// Whose the mail is for the provider, and for whom.
pub(super) struct Envelope<'a> {
    /// The provider's own id of the mail, where it has one.
    pub(super) id: Option<&'a str>,
    /// The mailbox that it was sent to, where the provider tells it.
    pub(super) to: Option<&'a str>,
    /// What names the mail when the provider does not: its bytes, which repetitions have in common.
    pub(super) raw: &'a [u8],
}

/// A mail, as an incoming message.
pub(super) fn incoming(mail: Mail, envelope: &Envelope<'_>) -> Incoming {
    let told = envelope.to.map(mail::mailbox).filter(|address| !address.is_empty());
    let address = told.or(mail.to).unwrap_or_default();
    let id = match envelope.id {
        Some(id) => id.to_owned(),
        // An id that a stranger chose must not make another mail of the same id a repetition.
        None => {
            let hash: String = proof::sha256_hex(envelope.raw).chars().take(32).collect();
            format!("{}/{address}/{hash}", mail.content.message_id)
        }
    };
    let what = What::Message(Box::new(mail.content));
    Incoming { id, channel: Channel::Email, customer: mail.from, address, at: mail.at, what }
}

/// A file that a provider took out of a mail.
pub(super) fn attachment(
    name: Option<&str>,
    media_type: Option<&str>,
    content_id: Option<&str>,
    data: Vec<u8>,
) -> Attachment {
    let cid = content_id.map(|id| id.trim().trim_start_matches('<').trim_end_matches('>'));
    let bare = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let media_type = if bare.is_empty() { "application/octet-stream" } else { bare };
    Attachment {
        name: name.and_then(mail::file_name),
        media_type: media_type.chars().take(127).collect::<String>().to_ascii_lowercase(),
        bytes: data.len(),
        content_id: cid.filter(|id| !id.is_empty() && id.len() <= 500).map(str::to_owned),
        data: data.into(),
        file: None,
    }
}
