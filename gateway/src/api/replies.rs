//! The agents' side of chats: what was said, what they say, and who types.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::StatusCode,
    response::sse::{Event as SseEvent, KeepAlive, Sse},
};
use futures_util::{Stream, stream};
use jiff::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_routing::channel::Channel;

use super::{
    AppState,
    chat::LineView,
    conversations::{closed_already, no_such_conversation},
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
};
use crate::{
    chat::{
        TEXT_BYTES_MAX,
        rooms::{Member, Told},
    },
    journal::{ConversationRow, JournalError, MessageJob},
    uploads::{NotUploaded, Owner},
};

const KEEP_ALIVE: Duration = Duration::from_secs(20);

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_messages, send_message))
        .routes(routes!(show_typing))
        .routes(routes!(follow_conversation))
}

/// A page of a chat.
#[derive(Debug, Serialize, ToSchema)]
struct Messages {
    /// The oldest first. `by` is absent in what the visitor said.
    messages: Vec<LineView>,
    /// Pass it as `after` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// From where on.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Behind {
    /// The last line that is known already; 0 when absent.
    #[serde(default)]
    after: u64,
}

/// Read what was said in a chat, by both sides, earlier conversations of the same visitor included.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/messages", security(("key" = ["conversations.read"])), tag = "conversations",
    params(("id" = String, Path, description = "The conversation's id, `cv_…`"), Behind),
    responses(
        (status = 200, description = "At most 100 lines.", body = Messages),
        (status = 404, description = "No such conversation.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is no chat.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_messages(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(Behind { after }): Query<Behind>,
) -> ApiResult<axum::Json<Messages>> {
    let row = chat(&state, id).await?;
    let lines = state.chats.lines(thread(&row), after).await?;
    let full = lines.len() >= usize::try_from(crate::chat::LINES_AT_ONCE).unwrap_or(usize::MAX);
    let next = lines.last().filter(|_| full).map(|line| line.line);
    Ok(axum::Json(Messages { messages: lines.into_iter().map(LineView::from).collect(), next }))
}

/// What an agent says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Says {
    /// The text, 1 to 4000 bytes; it may be empty or absent where there are files.
    #[serde(default)]
    text: String,
    /// Files that were uploaded before (`POST /api/v1/files`), by their `upload`; as many as chat.files_per_message_max.
    #[serde(default)]
    files: Vec<String>,
    /// Names it: what comes twice is said once. 1 to 64 letters, digits, - and _. Made when absent.
    message_id: Option<String>,
    /// Who says it; the key's name when absent. Visitors read it.
    by: Option<String>,
}

/// Where it stands.
#[derive(Debug, Serialize, ToSchema)]
struct Said {
    /// The id that names it.
    message_id: String,
    /// Its place in the thread.
    line: u64,
}

/// Answer in a chat. Only chats: messages of other channels are answered at their provider, while `reply_allowed` says so.
///
/// It is durable when the answer comes; the visitor reads it at once, or at the next visit. Who answers a chat that
/// nobody took has taken it.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/messages", security(("key" = ["conversations.write"])), tag = "conversations", request_body = Says,
    params(("id" = String, Path, description = "The conversation's id, `cv_…`")),
    responses(
        (status = 201, description = "It is said, once.", body = Said),
        (status = 400, description = "The text or the id is of a wrong form.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such conversation.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is closed, or no chat.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn send_message(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
    Json(Says { text, files, message_id, by }): Json<Says>,
) -> ApiResult<(StatusCode, axum::Json<Said>)> {
    let message_id = message_id.unwrap_or_else(|| format!("{:032x}", StdRng::from_os_rng().random::<u128>()));
    let by = by.unwrap_or(actor);
    if (text.trim().is_empty() && files.is_empty()) || text.len() > TEXT_BYTES_MAX {
        return Err(Problem::bad_request(format!(
            "`text` is {} bytes long, not 1 to {TEXT_BYTES_MAX}.",
            text.len()
        )));
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if message_id.is_empty() || message_id.len() > 64 || !message_id.bytes().all(plain) {
        return Err(Problem::bad_request("`message_id` is 1 to 64 letters, digits, - and _."));
    }
    if by.is_empty() || by.len() > 200 {
        return Err(Problem::bad_request("`by` is 1 to 200 bytes long."));
    }
    let most = state.uploads.per_message_max();
    if files.len() > most {
        return Err(Problem::bad_request(format!("`files` names {} files, not up to {most}.", files.len())));
    }
    let row = chat(&state, id).await?;
    let files = match state.uploads.keep(Owner::Api, &files).await {
        Ok(Some(files)) => files,
        // What was said before may have waited for its answer longer than the upload was there.
        Ok(None) => {
            let line = state.journal.reader().chat_line_of(thread(&row), message_id.clone(), true).await?;
            let line = line.ok_or_else(no_such_upload)?;
            return Ok((StatusCode::CREATED, axum::Json(Said { message_id, line })));
        }
        Err(error) => return Err(NotUploaded::from(error).into()),
    };
    let conversation = row.id.clone();
    let job = MessageJob::Say { conversation, by, message_id: message_id.clone(), text, files };
    match state.journal.messages(job).await {
        Ok(_) => {}
        Err(JournalError::NotOpenConversation) => return Err(closed_already()),
        Err(error) => return Err(error.into()),
    }
    state.chats.tell_lines(thread(&row));
    let line = state.journal.reader().chat_line_of(thread(&row), message_id.clone(), true).await?;
    let line = line.ok_or(JournalError::Down)?;
    Ok((StatusCode::CREATED, axum::Json(Said { message_id, line })))
}

/// Show a visitor that an agent types. It is never kept.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/typing", security(("key" = ["conversations.write"])), tag = "conversations",
    params(("id" = String, Path, description = "The conversation's id, `cv_…`")),
    responses(
        (status = 204, description = "The visitor is told, if connected."),
        (status = 404, description = "No such conversation.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is no chat.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn show_typing(
    State(state): State<AppState>,
    Actor(by): Actor,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let row = chat(&state, id).await?;
    state.chats.agent_types(&thread(&row), &by);
    Ok(StatusCode::NO_CONTENT)
}

/// Follow a chat as Server-Sent Events: `line` with what was said, `typing` with who types (`by` is absent: the visitor).
///
/// The id of a `line` is its place: a client that connects again with `Last-Event-ID` misses nothing.
#[utoipa::path(get, path = "/api/v1/conversations/{id}/live", security(("key" = ["conversations.read"])), tag = "conversations",
    params(("id" = String, Path, description = "The conversation's id, `cv_…`"), Behind,
        ("Last-Event-ID" = Option<u64>, Header, description = "The last line that is known.")),
    responses(
        (status = 200, description = "The stream; it ends when the gateway stops.", content_type = "text/event-stream", body = String),
        (status = 404, description = "No such conversation.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is no chat.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn follow_conversation(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(Behind { after }): Query<Behind>,
    headers: axum::http::HeaderMap,
) -> ApiResult<Sse<impl Stream<Item = Result<SseEvent, Infallible>> + use<>>> {
    let row = chat(&state, id).await?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let member = state.chats.join(thread(&row));
    let following = Following {
        state,
        member,
        thread: thread(&row),
        after: last.unwrap_or(after),
        ready: VecDeque::new(),
        behind: true,
    };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(event), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Following {
    state: AppState,
    member: Member,
    thread: (String, String),
    after: u64,
    ready: VecDeque<LineView>,
    /// There may be lines that were not read.
    behind: bool,
}

impl Following {
    async fn next(&mut self) -> Option<SseEvent> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                let json = serde_json::to_string(&line).ok()?;
                return Some(SseEvent::default().id(line.number().to_string()).event("line").data(json));
            }
            if self.behind {
                let lines = self.state.chats.lines(self.thread.clone(), self.after).await.ok()?;
                self.behind = !lines.is_empty();
                self.after = lines.last().map_or(self.after, |line| line.line);
                self.ready.extend(lines.into_iter().map(LineView::from));
                continue;
            }
            let told = tokio::select! {
                told = self.member.told() => told,
                () = self.state.readiness.stopping() => return None,
            };
            match told {
                Told::Lines => self.behind = true,
                Told::Typing(by) => {
                    let json = serde_json::json!({"by": by, "at": Timestamp::now()}).to_string();
                    return Some(SseEvent::default().event("typing").data(json));
                }
            }
        }
    }
}

async fn chat(state: &AppState, id: String) -> ApiResult<ConversationRow> {
    let row = state.journal.reader().conversation(id).await?.ok_or_else(no_such_conversation)?;
    if serde_json::from_value(row.channel.as_str().into()).ok() == Some(Channel::Chat) {
        Ok(row)
    } else {
        Err(no_chat())
    }
}

fn thread(row: &ConversationRow) -> (String, String) {
    (row.address.clone(), row.customer.clone())
}

fn no_such_upload() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "no_such_upload",
        "`files` names what was not uploaded by this API, or not lately.",
        "Upload it by POST /api/v1/files, and name it by its `upload` within some hours.",
    )
}

fn no_chat() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "not_a_chat",
        "This conversation is no chat: the gateway does not hold its line.",
        "Answer through the channel's provider while `reply_allowed` is true; the feed tells what came in.",
    )
}
