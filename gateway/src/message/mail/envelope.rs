//! Whom a mail is for, and what tells it from all others.

use vestibule_routing::channel::Channel;

use super::{Mail, fingerprint, mailbox};
use crate::message::{Incoming, What};

/// What is known of a mail beside the mail itself.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The provider's own id of the mail, where it has one.
    pub id: Option<&'a str>,
    /// The mailbox that it was sent to, where that is told.
    pub to: Option<&'a str>,
    /// What names the mail when the provider does not: its bytes, which repetitions have in common.
    pub raw: &'a [u8],
}

impl Mail {
    /// The mail as an incoming message.
    pub fn incoming(self, envelope: &Envelope<'_>) -> Incoming {
        let told = envelope.to.map(mailbox).filter(|address| !address.is_empty());
        let address = told.or(self.to).unwrap_or_default();
        let id = match envelope.id {
            Some(id) => id.to_owned(),
            // An id that a stranger chose must not make another mail of the same id a repetition.
            None => {
                let hash = fingerprint(envelope.raw);
                let hash: String = hash.chars().skip("sha256:".len()).take(32).collect();
                format!("{}/{address}/{hash}", self.content.message_id)
            }
        };
        let mut content = self.content;
        // It was here before (RFC 5321 §6.3 leaves it to us how that is seen).
        content.automatic |= !address.is_empty() && self.delivered_to.contains(&address);
        let what = What::Message(Box::new(content));
        Incoming { id, channel: Channel::Email, customer: self.from, address, at: self.at, what }
    }
}
