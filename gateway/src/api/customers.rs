//! What is kept of one customer, as one document: for the customer's right to see it.
//!
//! The document is made and sent piece by piece, however long it is, and ends with `"complete": true`; one that broke off
//! lacks that. Records are looked through one after the other, so few documents are made at once, and others wait.

use std::time::Duration;

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
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    extract::Query,
    problem::{ApiResult, Problem},
};
use crate::journal::{
    ContactFilter, ContactRow, ConversationRow, JournalError, MediaFilter, MediaRow, OptOutRow,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(export_customer))
}

/// Longest address, in characters.
const ADDRESS_CHARS_MAX: usize = 320;

/// Pieces of documents that are made at the same time.
static MAKERS: Semaphore = Semaphore::const_new(2);

/// Records that are read at once.
const READ_AT_ONCE: usize = 200;

/// How long a reader may leave a piece where it is.
const READ_WITHIN: Duration = Duration::from_secs(60);

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
/// Events are there as long as the feed keeps them; texts of SMS, social messages and mails stand in them. Of a contact with
/// more than 10 000 the rest is left out, and `events_cut` says where to go on.
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
    let address = address_of(&address)?;
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

/// The address of a customer, if it can be one.
///
/// A `+` in a query is a blank to every reader of forms: a number that begins with a blank was meant with a `+`.
pub(super) fn address_of(text: &str) -> ApiResult<String> {
    let digits =
        text.strip_prefix(' ').filter(|rest| rest.len() >= 7 && rest.bytes().all(|b| b.is_ascii_digit()));
    let address = digits.map_or_else(|| text.trim().to_owned(), |digits| format!("+{digits}"));
    let length = address.chars().count();
    if !(3..=ADDRESS_CHARS_MAX).contains(&length) || address.contains(char::is_control) {
        let detail = format!("`address` has {length} characters, not 3 to {ADDRESS_CHARS_MAX}.");
        return Err(Problem::bad_request(detail));
    }
    Ok(address)
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
            let filter = ContactFilter {
                before,
                address: Some(self.address.to_lowercase()),
                ..ContactFilter::default()
            };
            let (rows, next) = self.state.journal.reader().contacts(filter, READ_AT_ONCE).await?;
            for row in rows.into_iter().filter(|row| row.from == self.address || row.to == self.address) {
                // A place for as long as this one is made, not for as long as somebody takes to read it. Never closed.
                let place = MAKERS.acquire().await;
                let contact = self.contact(row).await?;
                drop(place);
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
        // Told where it happens: the rest of very many stands in the feed.
        let cut = events.last().filter(|_| events.len() >= EVENTS_MAX).map(|last| {
            json!({ "after": last.seq, "subject": row.id,
                    "go_on": format!("GET /api/v1/events?after={}, of which those with this subject", last.seq) })
        });
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
            "trace": parsed(trace), "recordings": stored, "events_cut": cut, "events": self.state.feed.told(events),
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
                let place = MAKERS.acquire().await;
                let conversation = self.conversation(row).await?;
                drop(place);
                self.item(&conversation, &mut first).await?;
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// A conversation with its files, and a chat with what was said.
    async fn conversation(&self, row: ConversationRow) -> Result<Value, Broken> {
        let media = self.media(&row).await?;
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

    /// All files of a conversation.
    async fn media(&self, row: &ConversationRow) -> Result<Vec<MediaRow>, Broken> {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let filter =
                MediaFilter { before, conversation: Some(row.id.to_string()), ..MediaFilter::default() };
            let some = self.state.journal.reader().media(filter, READ_AT_ONCE).await?;
            before = some.last().map(|one| one.id.clone());
            let full = some.len() == READ_AT_ONCE;
            all.extend(some);
            if !full {
                return Ok(all);
            }
        }
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
        match timeout(READ_WITHIN, self.pieces.send(Ok(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Broken::Unread),
        }
    }
}

fn opt_out(row: OptOutRow) -> Value {
    json!({ "channel": row.channel, "address": row.address, "out": row.out, "since": row.since, "word": row.word,
            "contact": row.contact })
}
