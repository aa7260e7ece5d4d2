//! One mail as it came over the wire (RFC 5322, RFC 2045 to 2049), read into our words.
//!
//! Mails are written by strangers. Header blocks are read by `mail-parser`; multiparts are taken apart here, by a loop
//! with bounds, because the parser's own way through nested parts has none. Reading never fails: what cannot be
//! understood is an attachment, and what is too much is left out with [`Content::cut`] set.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::Timestamp;

use super::{Attachment, Content};
pub(crate) use charset::decode as decode_text;
pub use envelope::Envelope;
pub(crate) use headers::Headers;
pub(crate) use split::{entity, parts};
pub(crate) use transfer::base64;

pub mod authentication;
mod charset;
mod envelope;
mod headers;
mod html;
mod kind;
pub mod spam;
mod split;
mod transfer;

/// A mail that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Who wrote it: the mailbox in From, else the envelope's; in lower case, empty when there is none.
    pub from: String,
    /// The first mailbox in To, in lower case. The envelope knows better whom a mail is for.
    pub to: Option<String>,
    /// The mailboxes that it was delivered to before, in lower case: one of ours among them is a circle.
    pub delivered_to: Vec<String>,
    /// When it says that it was written.
    pub at: Option<Timestamp>,
    /// What it says. The bytes of its attachments are in [`Attachment::data`].
    pub content: Content,
}

/// Deepest nesting of multiparts; what is deeper is one attachment.
const DEPTH_MAX: usize = 20;
/// Most parts of one mail.
const PARTS_MAX: usize = 500;
/// Longest text kept, in bytes.
const TEXT_MAX: usize = 256 * 1024;
/// Longest HTML kept, in bytes; a longer one is left out: a part of it would be broken.
const HTML_MAX: usize = 512 * 1024;

/// Reads a mail. `return_path` is the sender of the envelope where it is known: empty for bounces.
pub fn read(raw: &[u8], return_path: Option<&str>) -> Mail {
    let (head, _) = entity(raw);
    let headers = Headers::read(head);
    let mut mail = described(&headers, return_path, raw);
    let found = Found::in_mail(raw);
    found.put_into(&mut mail.content);
    mail.content.confirmation = kind::confirmation(&mail);
    mail
}

/// A mail that a provider took apart: its headers, and what the provider made of the rest.
pub(crate) fn assembled(headers: &Headers, return_path: Option<&str>, parts: Assembled, raw: &[u8]) -> Mail {
    let mut mail = described(headers, return_path, raw);
    let mut found = Found::default();
    found.plain(parts.text, None);
    found.html(parts.html, None);
    // The provider gives both as forms of one text.
    if found.pieces.iter().any(|piece| !piece.html && !piece.text.trim().is_empty()) {
        found.pieces.iter_mut().for_each(|piece| piece.alternative = Some(0));
    }
    found.attachments = parts.attachments;
    if found.attachments.len() > PARTS_MAX {
        found.attachments.truncate(PARTS_MAX);
        found.cut = true;
    }
    found.put_into(&mut mail.content);
    mail.content.confirmation = kind::confirmation(&mail);
    mail
}

/// What a provider made of a mail's body.
#[derive(Debug, Default)]
pub(crate) struct Assembled {
    pub(crate) text: String,
    pub(crate) html: String,
    pub(crate) attachments: Vec<Attachment>,
}

/// What the header of a mail says. `raw` names it when it has no Message-ID.
fn described(headers: &Headers, return_path: Option<&str>, raw: &[u8]) -> Mail {
    let writer = headers.mailboxes("From").into_iter().next();
    let (name, from) = writer.map_or((None, None), |(name, address)| (name, Some(address)));
    let sender = || return_path.map(headers::mailbox).filter(|address| !address.is_empty());
    let id = headers.ids("Message-ID").into_iter().next();
    let mut references = headers.ids("References");
    let first = references.len().saturating_sub(REFERENCES_MAX);
    let content = Content {
        message_id: id.unwrap_or_else(|| fingerprint(raw)),
        name,
        subject: headers.text("Subject"),
        reply_to: headers.ids("In-Reply-To").into_iter().next(),
        references: references.split_off(first),
        automatic: kind::automatic(headers, return_path),
        ..Content::default()
    };
    Mail {
        from: from.or_else(sender).unwrap_or_default(),
        to: headers.mailboxes("To").into_iter().next().map(|(_, address)| address),
        delivered_to: headers.texts("Delivered-To", DELIVERIES_MAX).iter().map(|to| mailbox(to)).collect(),
        at: headers.date(),
        content,
    }
}

/// Most headers of earlier deliveries looked at.
const DELIVERIES_MAX: usize = 50;

/// Most ids of earlier mails kept: the latest.
const REFERENCES_MAX: usize = 50;

/// Whether a mail from this mailbox, signed by these domains, is of a forwarder that asks before it forwards.
pub(crate) fn is_of_forwarder(from: &str, signed_by: &[String]) -> bool {
    kind::is_of_forwarder(from, signed_by)
}

/// The mailbox in a form that can be compared: without brackets, in lower case.
pub(crate) fn mailbox(address: &str) -> String {
    headers::mailbox(address)
}

/// The address without what stands behind a `+` in it (RFC 5233), and that, as it was written.
pub(crate) fn tagged(address: &str) -> Option<(String, String)> {
    let bare = address.trim().trim_start_matches('<').trim_end_matches('>');
    let (local, domain) = bare.rsplit_once('@')?;
    let (user, tag) = local.split_once('+')?;
    let tag = headers::line(tag).filter(|tag| tag.len() <= TAG_MAX)?;
    Some((mailbox(&format!("{user}@{domain}")), tag))
}

/// Longest tag, in bytes (RFC 5321 §4.5.3.1.1 has no longer user).
const TAG_MAX: usize = 64;

/// Text of one line: control characters left out, not too long, not blank.
pub(crate) fn one_line(text: &str) -> Option<String> {
    headers::line(text)
}

/// A file name without folders and control characters, not too long.
pub(crate) fn file_name(name: &str) -> Option<String> {
    let bare = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = bare.chars().filter(|character| !character.is_control()).take(NAME_MAX).collect();
    let clean = clean.trim();
    (!clean.is_empty() && clean != "." && clean != "..").then(|| clean.to_owned())
}

/// Longest name of a file, in characters.
const NAME_MAX: usize = 200;

/// Whether a file is Outlook's own wrapping (TNEF), which has the mail's real files within.
pub(crate) fn is_winmail(media_type: &str, name: Option<&str>) -> bool {
    matches!(media_type, "application/ms-tnef" | "application/vnd.ms-tnef")
        || name.is_some_and(|name| name.eq_ignore_ascii_case("winmail.dat"))
}

fn fingerprint(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().fold(String::from("sha256:"), |mut text, byte| {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// A part that waits to be looked at.
#[derive(Clone, Copy)]
struct Waiting<'a> {
    bytes: &'a [u8],
    depth: usize,
    /// The innermost `multipart/alternative` that it stands in, counted from 1.
    alternative: Option<usize>,
}

/// A piece of the text, in the order of the mail.
struct Piece {
    text: String,
    html: bool,
    alternative: Option<usize>,
}

/// What is found in a body.
#[derive(Default)]
struct Found {
    pieces: Vec<Piece>,
    attachments: Vec<Attachment>,
    cut: bool,
}

impl Found {
    fn in_mail(raw: &[u8]) -> Self {
        let mut found = Self::default();
        let mut waiting = vec![Waiting { bytes: raw, depth: 0, alternative: None }];
        let (mut seen, mut alternatives) = (0, 0);
        while let Some(part) = waiting.pop() {
            let (head, body) = entity(part.bytes);
            let headers = Headers::read(head);
            let boundary = headers.boundary().filter(|_| part.depth < DEPTH_MAX);
            let Some(boundary) = boundary else {
                found.leaf(&headers, body, part.alternative);
                continue;
            };
            let (inner, all) = parts(body, boundary.as_bytes(), PARTS_MAX.saturating_sub(seen));
            found.cut |= !all;
            seen += inner.len();
            let alternative = if headers.media_type() == "multipart/alternative" {
                alternatives += 1;
                Some(alternatives)
            } else {
                part.alternative
            };
            let depth = part.depth + 1;
            // The first is looked at first.
            waiting.extend(inner.into_iter().rev().map(|bytes| Waiting { bytes, depth, alternative }));
        }
        found
    }

    fn leaf(&mut self, headers: &Headers, body: &[u8], alternative: Option<usize>) {
        let media_type = headers.media_type();
        let shown = !headers.is_attachment();
        let bytes = transfer::decode(headers.text("Content-Transfer-Encoding").as_deref(), body);
        match media_type.as_str() {
            "text/plain" if shown => self.plain(text(headers, &bytes), alternative),
            "text/html" if shown => self.html(text(headers, &bytes), alternative),
            _ => self.attachments.push(Attachment {
                winmail: is_winmail(&media_type, headers.file_name().as_deref()),
                name: headers.file_name(),
                bytes: bytes.len(),
                content_id: headers.ids("Content-ID").into_iter().next(),
                data: Bytes::from(bytes.into_owned()),
                media_type,
                file: None,
            }),
        }
    }

    fn plain(&mut self, text: String, alternative: Option<usize>) {
        self.pieces.push(Piece { text: text.replace("\r\n", "\n"), html: false, alternative });
    }

    fn html(&mut self, text: String, alternative: Option<usize>) {
        self.pieces.push(Piece { text, html: true, alternative });
    }

    fn put_into(self, content: &mut Content) {
        let is_said = |piece: &&Piece| !piece.html && !piece.text.trim().is_empty();
        let plain: HashSet<_> =
            self.pieces.iter().filter(is_said).filter_map(|piece| piece.alternative).collect();
        let (mut cut, mut html) = (self.cut, String::new());
        for piece in &self.pieces {
            if piece.html && html.len() + piece.text.len() <= HTML_MAX {
                html.push_str(&piece.text);
            } else if piece.html {
                cut = true;
            }
            // HTML is read for the text only where the same is not said plainly.
            let readable = match (piece.html, piece.alternative) {
                (false, _) => piece.text.clone(),
                (true, Some(alternative)) if plain.contains(&alternative) => continue,
                (true, _) => html::readable(&piece.text, TEXT_MAX),
            };
            // Where nothing more fits, HTML that follows is still kept.
            cut |= content.text.len() == TEXT_MAX && !readable.trim().is_empty();
            if readable.trim().is_empty() || content.text.len() >= TEXT_MAX {
                continue;
            }
            if !content.text.is_empty() {
                content.text.push('\n');
            }
            content.text.push_str(&readable);
            if content.text.len() > TEXT_MAX {
                content.text.truncate(content.text.floor_char_boundary(TEXT_MAX));
                cut = true;
            }
        }
        content.text.truncate(content.text.trim_end().len());
        content.html = Some(html).filter(|html| !html.is_empty());
        content.attachments = self.attachments;
        content.cut = cut;
    }
}

fn text(headers: &Headers, bytes: &[u8]) -> String {
    // A text of which nothing more than the first part is kept need not be decoded as a whole.
    let some = bytes.get(..bytes.len().min(4 * HTML_MAX)).unwrap_or(bytes);
    charset::decode(headers.charset().as_deref(), some)
}

#[cfg(test)]
mod tests;
