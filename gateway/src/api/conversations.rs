//! Conversations of messages, and the ledger of opt-outs.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::store::Store;
use vestibule_routing::{channel::Channel, id::ConversationId};

use super::{
    AppState,
    extract::{Actor, Path, Query},
    problem::{ApiResult, Problem},
};
use crate::{
    journal::{ConversationRow, JournalError, MessageJob, OptOutRow, window},
    message::intake,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_conversations))
        .routes(routes!(read_conversation))
        .routes(routes!(close_conversation))
        .routes(routes!(read_opt_outs))
}

/// A thread of messages between a customer and an address of ours.
#[derive(Debug, Serialize, ToSchema)]
struct ConversationView {
    /// Its id, `cv_…`.
    id: String,
    /// Its channel.
    channel: String,
    /// Our address.
    address: String,
    /// The customer's address.
    customer: String,
    /// The inbox it is in; it stays there until it is closed.
    inbox: String,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    opened: Timestamp,
    /// When the customer wrote last.
    #[schema(value_type = String, format = DateTime)]
    last: Timestamp,
    /// Messages so far.
    messages: u64,
    /// When the oldest message that nobody took should be answered.
    #[schema(value_type = Option<String>, format = DateTime)]
    sla_due: Option<Timestamp>,
    /// Who took a message of it last.
    taken_by: Option<String>,
    /// When it was closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    closed: Option<Timestamp>,
    /// Whether the customer may be answered now.
    reply_allowed: bool,
    /// Why not: `opted_out`, `not_registered` (the number may not send) or `window_expired`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_refused_for: Option<&'static str>,
    /// Until when the channel lets an answer through, where it has such a rule.
    #[schema(value_type = Option<String>, format = DateTime)]
    window_expires_at: Option<Timestamp>,
}

impl ConversationView {
    fn new(row: ConversationRow, store: &Store, now: Timestamp) -> Self {
        let channel: Option<Channel> = serde_json::from_value(row.channel.as_str().into()).ok();
        let window_expires_at = channel.and_then(|channel| window(channel, row.last));
        let expired = window_expires_at.is_some_and(|expires| expires <= now);
        let by_number = channel.and_then(|channel| intake::reply_refused(store, channel, &row.address));
        let reply_refused_for = match (row.opted_out, by_number, expired) {
            (true, _, _) => Some("opted_out"),
            (false, Some(refused), _) => Some(refused),
            (false, None, expired) => expired.then_some("window_expired"),
        };
        Self {
            id: row.id.to_string(),
            channel: row.channel,
            address: row.address,
            customer: row.customer,
            inbox: row.inbox.to_string(),
            opened: row.opened,
            last: row.last,
            messages: row.messages,
            sla_due: row.sla_due,
            taken_by: row.taken_by,
            closed: row.closed,
            reply_allowed: reply_refused_for.is_none(),
            reply_refused_for,
            window_expires_at,
        }
    }
}

/// A page of conversations.
#[derive(Debug, Serialize, ToSchema)]
struct ConversationPage {
    /// The newest first.
    conversations: Vec<ConversationView>,
    /// Pass it as `before` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which conversations.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Those before this id: the `next` of a page.
    before: Option<String>,
    /// Only those that are not closed.
    #[serde(default)]
    open: bool,
    /// Only those of this customer's address.
    customer: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<usize>,
}

/// List conversations, the newest first.
#[utoipa::path(get, path = "/api/v1/conversations", security(("key" = ["conversations.read"])), tag = "conversations", params(Wanted), responses(
    (status = 200, description = "A page.", body = ConversationPage),
    (status = 400, description = "A parameter cannot be read.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_conversations(
    State(state): State<AppState>,
    Query(Wanted { before, open, customer, limit }): Query<Wanted>,
) -> ApiResult<axum::Json<ConversationPage>> {
    let limit = limit.unwrap_or(100);
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let rows = state.journal.reader().conversations(before, open, customer, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.id.to_string());
    let now = Timestamp::now();
    let conversations = rows.into_iter().map(|row| ConversationView::new(row, &state.store, now)).collect();
    Ok(axum::Json(ConversationPage { conversations, next }))
}

/// Read one conversation.
#[utoipa::path(get, path = "/api/v1/conversations/{id}", security(("key" = ["conversations.read"])), tag = "conversations",
    params(("id" = String, Path, description = "The conversation's id, `cv_…`")),
    responses(
        (status = 200, description = "The conversation.", body = ConversationView),
        (status = 404, description = "No such conversation.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_conversation(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<ConversationView>> {
    let row = state.journal.reader().conversation(id).await?.ok_or_else(no_such_conversation)?;
    Ok(axum::Json(ConversationView::new(row, &state.store, Timestamp::now())))
}

/// Close a conversation: its contacts end as completed, and the customer's next message begins another, which is
/// routed anew.
#[utoipa::path(post, path = "/api/v1/conversations/{id}/close", security(("key" = ["conversations.write"])), tag = "conversations",
    params(("id" = String, Path, description = "The conversation's id, `cv_…`")),
    responses(
        (status = 204, description = "It is closed."),
        (status = 404, description = "No such conversation.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is closed already.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn close_conversation(
    State(state): State<AppState>,
    Actor(by): Actor,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    let row = state.journal.reader().conversation(id).await?.ok_or_else(no_such_conversation)?;
    // A conversation of very many messages is closed in steps, none of which keeps the journal long.
    for step in 0_u32.. {
        let job = MessageJob::Close { conversation: ConversationId::clone(&row.id), by: Some(by.clone()) };
        match state.journal.messages(job).await {
            Ok(_) => {}
            Err(JournalError::NotOpenConversation) if step > 0 => break,
            Err(JournalError::NotOpenConversation) => return Err(closed_already()),
            Err(error) => return Err(error.into()),
        }
        let now = state.journal.reader().conversation(row.id.to_string()).await?;
        if now.is_none_or(|row| row.closed.is_some()) {
            break;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// One line of the ledger.
#[derive(Debug, Serialize, ToSchema)]
struct OptOutView {
    /// The channel.
    channel: String,
    /// Our address.
    address: String,
    /// The customer's address.
    customer: String,
    /// Whether no messages are wanted.
    opted_out: bool,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// The proof: what the customer wrote, or `provider`.
    word: String,
    /// The proof: the contact that said so; absent when the provider told us.
    #[serde(skip_serializing_if = "String::is_empty")]
    contact: String,
}

impl From<OptOutRow> for OptOutView {
    fn from(row: OptOutRow) -> Self {
        let OptOutRow { channel, address, customer, out, since, word, contact } = row;
        Self { channel, address, customer, opted_out: out, since, word, contact }
    }
}

/// What a customer has asked for.
#[derive(Debug, Serialize, ToSchema)]
struct OptOutList {
    /// One for each address of ours that the customer wrote such a word to.
    opt_outs: Vec<OptOutView>,
}

/// Whose.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct Whose {
    /// The customer's address.
    customer: String,
}

/// Read what a customer has asked for in the matter of messages.
#[utoipa::path(get, path = "/api/v1/opt-outs", security(("key" = ["conversations.read"])), tag = "conversations", params(Whose), responses(
    (status = 200, description = "The lines of the ledger.", body = OptOutList),
    (status = 400, description = "No customer is named.", body = Problem, content_type = "application/problem+json"),
))]
async fn read_opt_outs(
    State(state): State<AppState>,
    Query(Whose { customer }): Query<Whose>,
) -> ApiResult<axum::Json<OptOutList>> {
    let rows = state.journal.reader().opt_outs(customer).await?;
    Ok(axum::Json(OptOutList { opt_outs: rows.into_iter().map(OptOutView::from).collect() }))
}

pub(super) fn no_such_conversation() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_conversation",
        "No conversation has this id.",
        "List conversations to find it; ids begin with `cv_`.",
    )
}

pub(super) fn closed_already() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "conversation_closed",
        "This conversation is closed.",
        "Nothing is left to do; the customer's next message begins another.",
    )
}
