//! Bodies of forms: `multipart/form-data` (RFC 7578) and `application/x-www-form-urlencoded`.

use std::borrow::Cow;

use axum::http::{HeaderMap, header::CONTENT_TYPE};

use crate::message::mail::{Headers, decode_text, entity, parts};

/// Most fields read.
const FIELDS_MAX: usize = 600;

/// The fields of a form.
pub(super) struct Form<'a>(Vec<Field<'a>>);

/// One field.
pub(super) struct Field<'a> {
    pub(super) name: Cow<'a, str>,
    /// None of fields that are texts.
    pub(super) file_name: Option<String>,
    pub(super) media_type: Option<String>,
    pub(super) data: Cow<'a, [u8]>,
}

impl<'a> Form<'a> {
    /// Reads the body in the form that the header names; none when it is neither.
    pub(super) fn read(headers: &HeaderMap, body: &'a [u8]) -> Option<Self> {
        let named = headers.get(CONTENT_TYPE)?.as_bytes();
        let named = Headers::read(&[b"Content-Type: ", named].concat());
        match named.media_type().as_str() {
            "multipart/form-data" => Some(Self::multipart(body, named.boundary()?.as_bytes())),
            "application/x-www-form-urlencoded" => {
                let pairs = form_urlencoded::parse(body).take(FIELDS_MAX);
                let field = |(name, value): (_, Cow<'a, str>)| {
                    let data = match value {
                        Cow::Borrowed(value) => Cow::Borrowed(value.as_bytes()),
                        Cow::Owned(value) => Cow::Owned(value.into_bytes()),
                    };
                    Field { name, file_name: None, media_type: None, data }
                };
                Some(Self(pairs.map(field).collect()))
            }
            _ => None,
        }
    }

    fn multipart(body: &'a [u8], boundary: &[u8]) -> Self {
        let (found, _) = parts(body, boundary, FIELDS_MAX);
        let fields = found.into_iter().filter_map(|part| {
            let (head, data) = entity(part);
            let headers = Headers::read(head);
            Some(Field {
                name: Cow::Owned(headers.field_name()?),
                file_name: headers.file_name(),
                media_type: (headers.count("Content-Type") > 0).then(|| headers.media_type()),
                data: Cow::Borrowed(data),
            })
        });
        Self(fields.collect())
    }

    /// The bytes of the first field of that name.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|field| field.name == name).map(|field| field.data.as_ref())
    }

    /// The first field of that name as text: what is not UTF-8 is read as Western European.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.bytes(name).map(|bytes| decode_text(None, bytes))
    }

    /// The fields that are files: those whose names begin so.
    pub(super) fn files(&self, prefix: &'a str) -> impl Iterator<Item = &Field<'a>> {
        self.0.iter().filter(move |field| field.file_name.is_some() && field.name.starts_with(prefix))
    }
}
