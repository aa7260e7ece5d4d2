//! Entry points of a file or a text, all in one revision. The API takes millions; this page takes what fits a form.

use askama::Template;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use serde::Deserialize;

use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown, answered},
        page,
        shell::{Section, Shell},
        upload::Upload,
        words::encoded,
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/entry-points/import", get(show).post(take_in))
}

/// Forms of a text: its type, what people call it, and the ending of such files.
const FORMS: [(&str, &str, &str); 3] = [
    ("text/csv", "CSV", ".csv"),
    ("application/x-ndjson", "JSON, one a line", ".ndjson"),
    ("application/yaml", "YAML, one a line", ".yaml"),
];

/// Faulty lines that a page shows.
const FAULTS_SHOWN: usize = 200;

/// A line that cannot be taken in.
#[derive(Clone, Debug, Deserialize)]
struct Faulty {
    line: u64,
    sentence: String,
}

/// What came of it.
#[derive(Default, Deserialize)]
struct Came {
    read: u64,
    changed: u64,
    revision: Option<u64>,
    left_out: u64,
    #[serde(default)]
    faults: Vec<Faulty>,
}

/// What was sent, to be shown once more.
#[derive(Clone, Debug, Default)]
struct Typed {
    form: String,
    text: String,
    note: String,
    skip_faulty: bool,
}

#[derive(Template)]
#[template(path = "entry_points/import.html")]
struct ImportPage {
    shell: Shell,
    typed: Typed,
    came: Option<Came>,
    refused: Option<Refused>,
    faults: Vec<Faulty>,
    /// Faulty lines beyond those.
    more: usize,
    may: bool,
}

impl ImportPage {
    fn forms(&self) -> &'static [(&'static str, &'static str, &'static str)] {
        &FORMS
    }
}

async fn show(desk: Desk) -> Shown {
    drawn(&desk, Typed::default(), Ok(None)).await
}

async fn drawn(desk: &Desk, typed: Typed, came: Result<Option<Came>, Refused>) -> Shown {
    let (came, refused) = match came {
        Ok(came) => (came, None),
        Err(refused) => (None, Some(refused)),
    };
    let lines = refused.as_ref().and_then(|refused| refused.more.get("lines")).cloned().unwrap_or_default();
    let mut faults: Vec<Faulty> = match &came {
        Some(came) => came.faults.clone(),
        None => serde_json::from_value(lines).unwrap_or_default(),
    };
    let more = faults.len().saturating_sub(FAULTS_SHOWN);
    faults.truncate(FAULTS_SHOWN);
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(ImportPage {
        shell: desk.shell(Some(Section::EntryPoints), "Import entry points").await?,
        typed,
        came,
        refused,
        faults,
        more,
        may: desk.may(Permission::RoutingPublish),
    });
    Ok((status, page).into_response())
}

async fn take_in(desk: Desk, Upload { form, file }: Upload) -> Shown {
    let typed = Typed {
        form: form.text("form").to_owned(),
        text: form.text("text").to_owned(),
        note: form.trimmed("note").to_owned(),
        skip_faulty: form.ticked("skip_faulty"),
    };
    let lines = match &file {
        Some(file) => file.bytes.clone(),
        None => typed.text.clone().into(),
    };
    if lines.trim_ascii().is_empty() {
        let detail = "There is neither a file nor a text.";
        let refused = Refused::new(422, "nothing_to_import", detail, "Choose a file, or write the lines.");
        return drawn(&desk, typed, Err(refused)).await;
    }
    let kind = kind_of(&typed.form, file.as_ref().map(|file| file.name.as_str()));
    let mut path = format!("/api/v1/entry-points/import?skip_faulty={}", typed.skip_faulty);
    if !typed.note.is_empty() {
        path = format!("{path}&note={}", encoded(&typed.note));
    }
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
    let response = desk.pass_through(Method::POST, &path, &headers, Body::from(lines)).await;
    let came = match answered(response).await {
        Ok((_, bytes)) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|error| Refused::unreadable(&error))
        }
        Err(refused) if refused.status == 403 => return Err(refused),
        Err(refused) => Err(refused),
    };
    drawn(&desk, typed, came).await
}

/// The type of the lines: what was chosen, else what the file's name says, else CSV.
fn kind_of(chosen: &str, name: Option<&str>) -> &'static str {
    let ends = |ending: &str| name.is_some_and(|name| name.to_lowercase().ends_with(ending));
    let named = FORMS.iter().find(|(kind, ..)| *kind == chosen);
    let named = named.or_else(|| FORMS.iter().find(|(.., ending)| ends(ending)));
    match named {
        Some((kind, ..)) => kind,
        None if ends(".yml") => FORMS[2].0,
        None if ends(".json") || ends(".jsonl") => FORMS[1].0,
        None => FORMS[0].0,
    }
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn the_form_of_lines_is_chosen_or_known_by_the_name_of_the_file() {
        assert_eq!(kind_of("text/csv", Some("a.yaml")), "text/csv");
        assert_eq!(kind_of("", Some("A.NDJSON")), "application/x-ndjson");
        assert_eq!(kind_of("", Some("a.yml")), "application/yaml");
        assert_eq!(kind_of("", None), "text/csv");
        assert_eq!(kind_of("text/<script>", Some("x")), "text/csv");
    }
}
