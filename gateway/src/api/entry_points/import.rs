//! Very many entry points at once: read line by line as they come, checked, and published as one revision.
//!
//! Lines wait in a file without a name until the last has come, so that neither the request nor its rows are ever in
//! memory as a whole, and a slow sender holds nothing up.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Seek as _, SeekFrom, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    document::{Key, Kind},
    store::StoreError,
};

use super::lines::{Form, checked, columns, read};
use crate::api::{
    AppState,
    extract::{Actor, Query},
    problem::{ApiResult, Problem},
    routing::blocking,
};

/// The path that takes its body line by line, however long it is.
pub(in crate::api) const PATH: &str = "/api/v1/entry-points/import";

/// Longest line, bytes.
const LINE_BYTES_MAX: usize = 4096;

/// Faults that are reported; the count is whole.
const FAULTS_MAX: usize = 1000;

/// What an import is doing; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Imports(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    busy: AtomicBool,
    read: AtomicU64,
    taken_in: AtomicU64,
}

/// The one import under way; dropping it lets the next begin.
struct UnderWay(Arc<Progress>);

impl Imports {
    fn begin(&self) -> ApiResult<UnderWay> {
        if self.0.busy.swap(true, Ordering::AcqRel) {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "import_under_way",
                "Another import is under way.",
                "Look at its progress, and send this one when it has ended.",
            ));
        }
        self.0.read.store(0, Ordering::Relaxed);
        self.0.taken_in.store(0, Ordering::Relaxed);
        Ok(UnderWay(self.0.clone()))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(import_entry_points, import_progress))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Why, 1 to 500 characters.
    #[param(min_length = 1, max_length = 500)]
    note: Option<String>,
    /// Publishes the lines that are sound when others are not.
    #[serde(default)]
    skip_faulty: bool,
}

/// How far an import is.
#[derive(Debug, Serialize, ToSchema)]
struct ProgressView {
    /// Whether one is under way.
    under_way: bool,
    /// Lines that came in.
    read: u64,
    /// Of those, how many are part of the revision that is being made.
    taken_in: u64,
}

/// A line that cannot be taken in.
#[derive(Debug, Serialize, ToSchema)]
struct Fault {
    /// Its number, from 1.
    line: u64,
    /// What is wrong.
    sentence: String,
}

/// Say how far the import is that is under way.
#[utoipa::path(get, path = "/api/v1/entry-points/import", security(("key" = ["routing.read"])), tag = "entry-points", responses(
    (status = 200, description = "The import under way, or the last one.", body = ProgressView),
))]
async fn import_progress(State(state): State<AppState>) -> axum::Json<ProgressView> {
    let progress = &state.imports.0;
    axum::Json(ProgressView {
        under_way: progress.busy.load(Ordering::Acquire),
        read: progress.read.load(Ordering::Relaxed),
        taken_in: progress.taken_in.load(Ordering::Relaxed),
    })
}

/// Import entry points, one a line: NDJSON, CSV or YAML by `Content-Type`. All become one revision.
///
/// NDJSON: `{"entry_point": "voice/+14155550100", "inbox": "ib_sales", "sla_minutes": 60, "armed": true}`. CSV: a first
/// line that names the columns `entry_point,inbox,sla_minutes,armed`. YAML: `"voice/+14155550100": {inbox: ib_sales}`,
/// one entry a line. Sending the same again changes nothing.
#[utoipa::path(post, path = "/api/v1/entry-points/import", security(("key" = ["routing.publish"])), tag = "entry-points",
    params(ImportQuery),
    request_body(content((String = "application/x-ndjson"), (String = "text/csv"), (String = "application/yaml"))),
    responses(
        (status = 200, description = "How many were read, the revision or null, and the lines that were left out.", body = Object),
        (status = 400, description = "A parameter is wrong, or the body broke off.", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The sender is too slow.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another import is under way.", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is longer than http.document_bytes_max.", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "It is of no form that is known.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Lines have faults; each with its number. Nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn import_entry_points(
    State(state): State<AppState>,
    Actor(author): Actor,
    Query(ImportQuery { note, skip_faulty }): Query<ImportQuery>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<axum::Json<Value>> {
    let form = Form::of(&headers)?;
    let under_way = state.imports.begin()?;
    let file =
        tempfile::tempfile_in(state.store.folder()).map_err(|cause| Problem::from(file_failed(cause)))?;
    let mut intake = Intake::new(form, file);
    receive(&state, body, &mut intake, &under_way).await?;
    let Intake { file, lines, faults, faulty, .. } = intake;
    if faulty > 0 && !skip_faulty {
        let detail = format!("{faulty} of {lines} lines cannot be taken in.");
        let remedy = "Correct the lines, or send `skip_faulty=true`.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "lines_faulty", detail, remedy)
            .with(json!({ "lines": faults })));
    }
    let note = note.unwrap_or_else(|| format!("Imported {} entry points", lines - faulty));
    let published = blocking(&state, move |store| {
        let mut staged = staged(file)?;
        let mut line = String::new();
        let next = || {
            line.clear();
            if staged.read_line(&mut line).map_err(file_failed)? == 0 {
                return Ok(None);
            }
            let (id, body): (String, Value) =
                serde_json::from_str(&line).map_err(|error| file_failed(error.into()))?;
            Ok(Some((Key::new(Kind::EntryPoints, id), body)))
        };
        store.import((&author, &note), next, |taken| under_way.0.taken_in.store(taken, Ordering::Relaxed))
    })
    .await?;
    let revision = published.as_ref().map(|published| published.revision.number);
    let changed = published.as_ref().map_or(0, |published| published.revision.changes);
    let warnings = published.map(|published| published.warnings).unwrap_or_default();
    Ok(axum::Json(json!({
        "read": lines, "changed": changed, "revision": revision,
        "left_out": faulty, "faults": faults, "warnings": warnings,
    })))
}

/// Takes the body in, line by line.
async fn receive(state: &AppState, body: Body, intake: &mut Intake, under_way: &UnderWay) -> ApiResult<()> {
    let (mut pieces, mut rest, mut bytes) = (body.into_data_stream(), Vec::new(), 0_usize);
    loop {
        let Ok(piece) = tokio::time::timeout(state.limits.body, pieces.next()).await else {
            let detail = format!("Nothing came for {} seconds.", state.limits.body.as_secs());
            let remedy = "Send without pauses, or raise http.body_seconds.";
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail, remedy));
        };
        let Some(piece) = piece else { break };
        let piece: Bytes = piece.map_err(|_| Problem::bad_request("The body broke off."))?;
        bytes = bytes.saturating_add(piece.len());
        if bytes > state.limits.document_bytes_max {
            let detail = format!("The body is longer than {} bytes.", state.limits.document_bytes_max);
            let remedy = "Send it in parts, or raise http.document_bytes_max.";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail, remedy));
        }
        rest.extend_from_slice(&piece);
        if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
            let after = rest.split_off(end + 1);
            for line in rest.split(|byte| *byte == b'\n') {
                intake.line(line)?;
            }
            rest = after;
            under_way.0.read.store(intake.lines, Ordering::Relaxed);
        }
        if rest.len() > LINE_BYTES_MAX {
            return Err(Problem::bad_request(format!("A line is longer than {LINE_BYTES_MAX} bytes.")));
        }
    }
    intake.line(&rest)?;
    under_way.0.read.store(intake.lines, Ordering::Relaxed);
    Ok(())
}

/// What has come in.
struct Intake {
    form: Form,
    /// The columns of a CSV file, once its first line is there.
    columns: Option<Vec<String>>,
    file: BufWriter<File>,
    lines: u64,
    faults: Vec<Fault>,
    faulty: u64,
}

impl Intake {
    fn new(form: Form, file: File) -> Self {
        Self { form, columns: None, file: BufWriter::new(file), lines: 0, faults: Vec::new(), faulty: 0 }
    }

    fn line(&mut self, line: &[u8]) -> ApiResult<()> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        if self.form == Form::Csv && self.columns.is_none() {
            self.columns = Some(columns(line).map_err(Problem::bad_request)?);
            return Ok(());
        }
        self.lines += 1;
        let row = std::str::from_utf8(line)
            .map_err(|_| "it is no UTF-8".to_owned())
            .and_then(|line| read(line, self.form, self.columns.as_deref().unwrap_or_default()))
            .and_then(checked);
        match row {
            Ok(row) => {
                let staged = serde_json::to_vec(&row).unwrap_or_default();
                let written = self.file.write_all(&staged).and_then(|()| self.file.write_all(b"\n"));
                written.map_err(|cause| Problem::from(file_failed(cause)))
            }
            Err(sentence) => {
                self.faulty += 1;
                if self.faults.len() < FAULTS_MAX {
                    self.faults.push(Fault { line: self.lines, sentence });
                }
                Ok(())
            }
        }
    }
}

/// The staged rows, from the beginning.
fn staged(file: BufWriter<File>) -> Result<BufReader<File>, StoreError> {
    let mut file = file.into_inner().map_err(|error| file_failed(error.into_error()))?;
    file.seek(SeekFrom::Start(0)).map_err(file_failed)?;
    Ok(BufReader::new(file))
}

fn file_failed(cause: std::io::Error) -> StoreError {
    StoreError::File { path: "the file of lines to import".into(), cause }
}
