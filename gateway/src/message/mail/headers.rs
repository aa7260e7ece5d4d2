//! A header block, read by `mail-parser` and bounded here.

use std::{fmt::Write as _, sync::LazyLock};

use jiff::Timestamp;
use mail_parser::{ContentType, Header, HeaderName, HeaderValue, MessageParser};

/// Headers of a mail or of a part.
#[derive(Debug)]
pub(crate) struct Headers(Vec<Header<'static>>);

/// Longest header block looked at, in bytes.
const BLOCK_MAX: usize = 128 * 1024;
/// Longest subject or name, in characters.
const TEXT_MAX: usize = 1000;
/// Longest id of a mail, in bytes; one that is longer is none.
const ID_MAX: usize = 500;
/// Longest mailbox, in bytes (RFC 5321 §4.5.3.1 gives 64 and 255 to its halves).
const MAILBOX_MAX: usize = 320;

static PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new().with_minimal_headers().with_message_ids().header_address(HeaderName::Sender)
});

impl Headers {
    /// Reads a block. Lines that are no headers are passed over.
    pub(crate) fn read(head: &[u8]) -> Self {
        let mut block = head.get(..head.len().min(BLOCK_MAX)).unwrap_or_default().to_vec();
        block.extend_from_slice(b"\r\n\r\n");
        let mut parsed = PARSER.parse_headers(&block);
        let part = parsed.as_mut().and_then(|message| message.parts.first_mut());
        let headers = part.map(|part| std::mem::take(&mut part.headers)).unwrap_or_default();
        Self(headers.into_iter().map(Header::into_owned).collect())
    }

    /// Reads headers that a provider gives as pairs.
    pub(crate) fn of<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut block = String::new();
        for (name, value) in pairs {
            if block.len() > BLOCK_MAX {
                break;
            }
            let value = value.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
            let value = value.collect::<Vec<_>>().join("\r\n ");
            // Writing to a string cannot fail.
            let _written = write!(block, "{}: {value}\r\n", name.trim().replace([':', '\r', '\n'], ""));
        }
        Self::read(block.as_bytes())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a HeaderValue<'static>> {
        self.0
            .iter()
            .filter(move |header| header.name.as_str().eq_ignore_ascii_case(name))
            .map(|header| &header.value)
    }

    /// How often it stands there.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.all(name).count()
    }

    /// The header as text of one line: encoded words read, control characters left out.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.all(name).find_map(|value| value.as_text()).and_then(line)
    }

    /// The same of the first `max` headers of that name.
    pub(super) fn texts(&self, name: &str, max: usize) -> Vec<String> {
        self.all(name).take(max).filter_map(|value| value.as_text()).filter_map(line).collect()
    }

    /// The ids in the header, without brackets.
    pub(crate) fn ids(&self, name: &str) -> Vec<String> {
        let Some(value) = self.all(name).next() else { return Vec::new() };
        let ids = value.as_text_list().unwrap_or_default().iter().map(AsRef::as_ref);
        let one = if ids.len() == 0 { value.as_text() } else { None };
        ids.chain(one)
            .map(|id| {
                id.chars()
                    .filter(|&c| !c.is_whitespace() && !c.is_control() && c != '<' && c != '>')
                    .collect()
            })
            .filter(|id: &String| !id.is_empty() && id.len() <= ID_MAX)
            .collect()
    }

    /// The mailboxes in the header, in lower case, with the names that they go by.
    pub(crate) fn mailboxes(&self, name: &str) -> Vec<(Option<String>, String)> {
        let lists = self.all(name).filter_map(HeaderValue::as_address);
        lists
            .flat_map(mail_parser::Address::iter)
            .filter_map(|one| Some((one.name().and_then(line), mailbox(one.address()?))))
            .filter(|(_, address)| !address.is_empty())
            .take(MAILBOXES_MAX)
            .collect()
    }

    pub(super) fn date(&self) -> Option<Timestamp> {
        let date = self.all("Date").find_map(HeaderValue::as_datetime)?;
        if date.is_valid() { Timestamp::from_second(date.to_timestamp()).ok() } else { None }
    }

    fn content_type(&self) -> Option<&ContentType<'static>> {
        self.all("Content-Type").find_map(HeaderValue::as_content_type)
    }

    fn disposition(&self) -> Option<&ContentType<'static>> {
        self.all("Content-Disposition").find_map(HeaderValue::as_content_type)
    }

    /// `type/subtype` in lower case; `text/plain` where none is named (RFC 2045 §5.2).
    pub(crate) fn media_type(&self) -> String {
        let Some(named) = self.content_type() else { return "text/plain".into() };
        let whole = match named.subtype() {
            Some(subtype) => format!("{}/{subtype}", named.ctype()),
            None => "application/octet-stream".into(),
        };
        let clean = whole.chars().filter(|character| character.is_ascii_graphic()).take(127);
        clean.map(|character| character.to_ascii_lowercase()).collect()
    }

    /// The boundary, of a multipart.
    pub(crate) fn boundary(&self) -> Option<String> {
        let named = self.content_type().filter(|named| named.ctype().eq_ignore_ascii_case("multipart"))?;
        named
            .attribute("boundary")
            .map(|boundary| boundary.trim_end().to_owned())
            .filter(|text| !text.is_empty())
    }

    pub(crate) fn charset(&self) -> Option<String> {
        self.content_type()?.attribute("charset").map(str::to_owned)
    }

    /// Whether the part is meant to be kept as a file: it says so, or has a name.
    pub(super) fn is_attachment(&self) -> bool {
        let said = self.disposition().is_some_and(|named| named.ctype().eq_ignore_ascii_case("attachment"));
        said || self.file_name().is_some()
    }

    /// The name of the file, without folders.
    pub(crate) fn file_name(&self) -> Option<String> {
        let disposed = self.disposition().and_then(|named| named.attribute("filename"));
        let name = disposed.or_else(|| self.content_type()?.attribute("name"))?;
        super::file_name(name)
    }

    /// The name of a field of a form.
    pub(crate) fn field_name(&self) -> Option<String> {
        self.disposition()?.attribute("name").map(str::to_owned)
    }
}

/// Most mailboxes looked at in one header.
const MAILBOXES_MAX: usize = 100;

/// A mailbox as it can be compared; empty when it is none.
pub(super) fn mailbox(address: &str) -> String {
    let bare = address.trim().trim_start_matches('<').trim_end_matches('>').trim();
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if bare.len() > MAILBOX_MAX || bare.contains(odd) { String::new() } else { bare.to_lowercase() }
}

pub(super) fn line(text: &str) -> Option<String> {
    let clean: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_MAX).collect::<String>();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}
