//! The console's own files: style sheets, modules and pictures. Their address holds a hash of all of them, so they
//! are kept for a year, and a new build has new addresses. Modules find each other by relative names.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};

use super::Console;

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_bytes!(concat!("../../assets/console/", $name)).as_slice()),)*]
    };
}

/// Every file; a new one is named here.
static FILES: &[(&str, &[u8])] = files! {
    "console.css"
    "console.js"
    "live.js"
    "test_call.js"
    "thread.js"
    "icon.svg"
    "ivr/ivr.css"
    "ivr/api.mjs"
    "ivr/compare.mjs"
    "ivr/document.mjs"
    "ivr/dom.mjs"
    "ivr/draft.mjs"
    "ivr/editor.mjs"
    "ivr/fields.mjs"
    "ivr/graph.mjs"
    "ivr/history.mjs"
    "ivr/icons.mjs"
    "ivr/inspector.mjs"
    "ivr/keys.mjs"
    "ivr/layout.mjs"
    "ivr/page.mjs"
    "ivr/palette.mjs"
    "ivr/simulation.mjs"
    "ivr/simulator.mjs"
    "ivr/table.mjs"
};

/// The hash of all files, and the address that they lie under.
static BASE: LazyLock<String> = LazyLock::new(|| {
    let mut all = Sha256::new();
    for (name, bytes) in FILES {
        all.update(name.as_bytes());
        all.update(bytes.len().to_le_bytes());
        all.update(bytes);
    }
    let hash: String = all.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/console/assets/{hash}")
});

/// Where the files are: `/console/assets/` and their hash.
pub(super) fn base() -> &'static str {
    &BASE
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/assets/{hash}/{*name}", get(serve))
}

async fn serve(Path((hash, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some((_, bytes)) = FILES.iter().find(|(known, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let ours = BASE.rsplit('/').next().unwrap_or_default();
    let tag = format!("\"{ours}-{name}\"");
    // A page of the build before asks by another hash: it gets what there is, but must ask again.
    let keep = if hash == ours { "public, max-age=31536000, immutable" } else { "no-cache" };
    let answered = [(header::ETAG, tag.clone()), (header::CACHE_CONTROL, keep.to_owned())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, answered).into_response();
    }
    (answered, [(header::CONTENT_TYPE, kind)], *bytes).into_response()
}
