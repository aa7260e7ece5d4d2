//! What the providers of mail have in common.

use crate::message::{Attachment, mail};

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
    let name = name.and_then(mail::file_name);
    let media_type = media_type.chars().take(127).collect::<String>().to_ascii_lowercase();
    Attachment {
        winmail: mail::is_winmail(&media_type, name.as_deref()),
        name,
        media_type,
        bytes: data.len(),
        content_id: cid.filter(|id| !id.is_empty() && id.len() <= 500).map(str::to_owned),
        data: data.into(),
        file: None,
    }
}
