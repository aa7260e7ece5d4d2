//! Forms with a file, as browsers send them (`multipart/form-data`, RFC 7578). The guard before all handlers has read the
//! whole body within the size that [`bytes_max`] allows; here its parts are counted.

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart, Request, multipart::MultipartError},
    http::header,
    response::{IntoResponse, Response},
};

use super::{Console, Refused, form::Form};

/// Parts of one form.
const PARTS_MAX: usize = 64;

/// Room for the fields beside a recording, in bytes.
const FIELDS_BYTES_MAX: usize = 64 << 10;

/// The most that a form of the console may bring to a path, when that is more than other bodies.
pub(crate) fn bytes_max(path: &str, recording_bytes_max: usize) -> Option<usize> {
    let rest = path.strip_prefix("/console/ivrs/prompts");
    let takes_sound = rest.is_some_and(|rest| rest.is_empty() || rest.ends_with("/recording"));
    takes_sound.then(|| recording_bytes_max.saturating_add(FIELDS_BYTES_MAX))
}

/// A form with the file that was chosen, if any.
#[derive(Clone, Debug, Default)]
pub(super) struct Upload {
    pub(super) form: Form,
    pub(super) file: Option<Picked>,
}

/// A file that somebody chose.
#[derive(Clone, Debug)]
pub(super) struct Picked {
    /// What it is called there: a stranger's word.
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl FromRequest<Console> for Upload {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("multipart/form-data")) {
            let body = Bytes::from_request(request, console).await.map_err(|error| unreadable(&error))?;
            return Ok(Self { form: Form::read(&body), file: None });
        }
        let parts = Multipart::from_request(request, console).await.map_err(|error| unreadable(&error))?;
        read(parts).await.map_err(|error| unreadable(&error))
    }
}

async fn read(mut parts: Multipart) -> Result<Upload, MultipartError> {
    let (mut fields, mut file) = (Vec::new(), None);
    for _ in 0..PARTS_MAX {
        let Some(part) = parts.next_field().await? else { break };
        let field = part.name().unwrap_or_default().to_owned();
        match part.file_name().map(str::to_owned) {
            // A browser sends an empty part for a file that was not chosen.
            Some(name) => {
                let bytes = part.bytes().await?;
                if !bytes.is_empty() {
                    file = Some(Picked { name, bytes });
                }
            }
            None => fields.push((field, part.text().await?)),
        }
    }
    Ok(Upload { form: Form::of(fields), file })
}

fn unreadable(error: &dyn std::fmt::Display) -> Response {
    let detail = format!("The form cannot be read: {error}.");
    Refused::new(400, "form_unreadable", detail, "Open the page again, and send it once more.")
        .into_response()
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_forms_with_sound_may_be_long() {
        let most = |path| super::bytes_max(path, 100);
        assert_eq!(most("/console/ivrs/prompts/pr_a/recording"), Some(100 + (64 << 10)));
        assert_eq!(most("/console/ivrs/prompts"), Some(100 + (64 << 10)));
        for path in
            ["/console/ivrs/prompts/pr_a/text", "/console/entry-points/import", "/api/v1/prompts/x/recording"]
        {
            assert_eq!(most(path), None, "{path}");
        }
    }
}
