//! What is kept of one customer, as one document: for the customer's right to see it.
//!
//! The document is made and sent piece by piece, however long it is, and ends with `"complete": true`; one that broke off
//! lacks that. Records are looked through one after the other, so few documents are made at once, and others wait.

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::Query,
    problem::{ApiResult, Problem},
};
use crate::journal::{ContactFilter, ContactRow, ConversationRow, JournalError, MediaFilter, OptOutRow};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(export_customer))
}

/// Longest address, in characters.
const ADDRESS_CHARS_MAX: usize = 320;

/// Documents that are made at the same time.
static MAKERS: Semaphore = Semaphore::const_new(2);

/// Records that are read at once.
const READ_AT_ONCE: usize = 200;

/// Events of one contact that the document holds.
const EVENTS_MAX: usize = 10_000;

/// Lines of a chat that are read at once.
const LINES_AT_ONCE: u32 = 500;

/// Pieces that wait for a slow reader.
const PIECES_WAITING: usize = 8;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// The customer's address as it is recorded: a number with `+`, a mailbox, an account.
    #[param(min_length = 3, max_length = 320)]
    address: String,
}

/// Export what is kept of a customer: contacts with their traces, events and recordings, conversations with what was said
/// and sent, callbacks that are still to be made, and the ledger of opt-outs.
///
/// Recordings and files are named by the paths under which they are fetched. The document ends with `"complete": true`.
/// Events are there as long as the feed keeps them; texts of SMS, social messages and mails stand in them.
#[utoipa::path(get, path = "/api/v1/customers/export", security(("key" = ["privacy.manage"])), tag = "customers", params(ExportQuery),
    responses(
        (status = 200, description = "The document, as a file to be saved.", body = Object),
        (status = 400, description = "This is no address.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn export_customer(
    State(state): State<AppState>,
    Query(ExportQuery { address }): Query<ExportQuery>,
) -> ApiResult<Response> {
    let address = address.trim().to_owned();
    let length = address.chars().count();
    if !(3..=ADDRESS_CHARS_MAX).contains(&length) || address.contains(char::is_control) {
        let detail = format!("`address` has {length} characters, not 3 to {ADDRESS_CHARS_MAX}.");
        return Err(Problem::bad_request(detail));
    }
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    tokio::spawn(async move {
        let mut document = Document { state, address, pieces };
        if let Err(Broken::Journal(error)) = document.write().await {
            tracing::error!(%error, "what is kept of a customer could not be exported");
            // Whoever reads sees that it broke off.
            let _gone = document.pieces.send(Err(std::io::Error::other(error))).await;
        }
    });
    let body = stream::unfold(waiting, async |mut waiting| Some((waiting.recv().await?, waiting)));
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"customer.json\""),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Why a document was not made to its end.
enum Broken {
    /// The journal cannot be read.
    Journal(JournalError),
    /// Nobody reads it any more.
    Unread,
}

impl From<JournalError> for Broken {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// A document while it is made.
struct Document {
    state: AppState,
    address: String,
    pieces: mpsc::Sender<std::io::Result<Bytes>>,
}

impl Document {
    async fn write(&mut self) -> Result<(), Broken> {
        // Never closed.
        let _place = MAKERS.acquire().await;
        let head = json!({ "address": self.address, "made": Timestamp::now() }).to_string();
        let head = head.strip_suffix('}').unwrap_or(&head);
        self.say(format!("{head},\"contacts\":[")).await?;
        self.contacts().await?;
        self.say("],\"conversations\":[").await?;
        self.conversations().await?;
        let callbacks = self.state.journal.reader().callbacks().await?;
        let callbacks: Vec<Value> = callbacks
            .into_iter()
            .filter(|row| row.number == self.address)
            .map(|row| {
                json!({ "id": row.id, "contact": row.contact.as_str(), "number": row.number, "company": row.company,
                        "inbox": row.inbox.as_str(), "since": row.since, "expires": row.expires })
            })
            .collect();
        let opt_outs = self.state.journal.reader().opt_outs(self.address.clone()).await?;
        let opt_outs: Vec<Value> = opt_outs.into_iter().map(opt_out).collect();
        let tail = json!({ "callbacks": callbacks, "opt_outs": opt_outs, "complete": true }).to_string();
        self.say(format!("],{}", tail.strip_prefix('{').unwrap_or(&tail))).await
    }

    async fn contacts(&self) -> Result<(), Broken> {
        let (mut before, mut first) = (None, true);
        loop {
            // Also where it was called: a callback's contact.
            let filter =
                ContactFilter { before, address: Some(self.address.clone()), ..ContactFilter::default() };
            let (rows, next) = self.state.journal.reader().contacts(filter, READ_AT_ONCE).await?;
            for row in rows.into_iter().filter(|row| row.from == self.address || row.to == self.address) {
                let contact = self.contact(row).await?;
                self.item(&contact, &mut first).await?;
            }
            match next {
                Some(next) => before = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// A contact with its trace, its events and its recordings.
    async fn contact(&self, row: ContactRow) -> Result<Value, Broken> {
        let reader = self.state.journal.reader();
        let trace = reader.contact(row.id.clone()).await?.and_then(|row| row.trace);
        let events = reader.events_of(row.id.clone(), (row.arrived, row.ended), EVENTS_MAX).await?;
        let recordings = self.state.recordings.clone();
        let id = row.id.clone();
        let stored = tokio::task::spawn_blocking(move || recordings.of(&id).unwrap_or_default()).await;
        let path = |file: &str| format!("/api/v1/contacts/{}/recordings/{file}", row.id);
        let stored: Vec<Value> = stored
            .unwrap_or_default()
            .iter()
            .map(|one| json!({ "kind": one.kind, "bytes": one.bytes, "fetch": path(&one.file) }))
            .collect();
        let parsed = |text: Option<String>| text.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        Ok(json!({
            "id": row.id, "channel": row.channel, "from": row.from, "to": row.to, "arrived": row.arrived,
            "answered": row.answered, "ended": row.ended, "entry_point": row.entry_point, "ivr": row.ivr,
            "inbox": row.inbox, "revision": row.revision, "trunk": row.trunk, "call_id": row.call_id,
            "diverted_from": row.diverted_from, "outcome_side": row.outcome_side,
            "outcome_reason": row.outcome_reason, "abandoned_at": parsed(row.abandoned_at),
            "trace": parsed(trace), "recordings": stored, "events": self.state.feed.told(events),
        }))
    }

    async fn conversations(&self) -> Result<(), Broken> {
        let (mut before, mut first) = (None, true);
        loop {
            let customer = Some(self.address.clone());
            let reader = self.state.journal.reader();
            let rows = reader.conversations(before, false, customer, READ_AT_ONCE).await?;
            let full = rows.len() == READ_AT_ONCE;
            before = rows.last().map(|row| row.id.to_string());
            for row in rows {
                let conversation = self.conversation(row).await?;
                self.item(&conversation, &mut first).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// A conversation with its files, and a chat with what was said.
    async fn conversation(&self, row: ConversationRow) -> Result<Value, Broken> {
        let filter = MediaFilter { conversation: Some(row.id.to_string()), ..MediaFilter::default() };
        let media = self.state.journal.reader().media(filter, EVENTS_MAX).await?;
        let files: Vec<Value> = media
            .into_iter()
            .map(|one| {
                let fetch = one.file.map(|file| format!("/api/v1/files/{file}"));
                json!({ "id": one.id, "contact": one.contact.as_str(), "name": one.file_name, "bytes": one.bytes,
                        "media_type": one.media_type, "arrived": one.arrived, "fetch": fetch })
            })
            .collect();
        let lines = if row.channel == "chat" { self.lines(&row).await? } else { Vec::new() };
        Ok(json!({
            "id": row.id.to_string(), "channel": row.channel, "address": row.address, "customer": row.customer,
            "inbox": row.inbox.as_str(), "opened": row.opened, "last": row.last, "messages": row.messages,
            "taken_by": row.taken_by, "closed": row.closed, "files": files, "lines": lines,
        }))
    }

    async fn lines(&self, row: &ConversationRow) -> Result<Vec<Value>, Broken> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let thread = (row.address.clone(), row.customer.clone());
            let lines = self.state.journal.reader().chat_lines(thread, after, LINES_AT_ONCE).await?;
            let Some(last) = lines.last() else { return Ok(all) };
            after = last.line;
            // The thread of a visitor is one; what was said in this conversation is taken out of it.
            let within = |at: Timestamp| at >= row.opened && row.closed.is_none_or(|closed| at <= closed);
            all.extend(lines.iter().filter(|line| within(line.at)).map(|line| {
                json!({ "line": line.line, "at": line.at, "by": line.by, "text": line.text,
                        "files": line.files.len() })
            }));
        }
    }

    /// One of a list.
    async fn item(&self, item: &impl Serialize, first: &mut bool) -> Result<(), Broken> {
        let comma = if std::mem::take(first) { "" } else { "," };
        let text = serde_json::to_string(item).unwrap_or_else(|_| "null".to_owned());
        self.say(format!("{comma}{text}")).await
    }

    async fn say(&self, text: impl Into<Bytes>) -> Result<(), Broken> {
        self.pieces.send(Ok(text.into())).await.map_err(|_| Broken::Unread)
    }
}

fn opt_out(row: OptOutRow) -> Value {
    json!({ "channel": row.channel, "address": row.address, "out": row.out, "since": row.since, "word": row.word,
            "contact": row.contact })
}
