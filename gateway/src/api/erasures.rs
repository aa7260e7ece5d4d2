//! Erasing what is kept of a customer: asking for it, and how far it is. The work is [`crate::erasure`]'s.

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::document::EntryPointRef;
use vestibule_routing::{address::E164, channel::Channel};

use super::{
    AppState,
    customers::address_of,
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
    routing::blocking,
};
use crate::{
    contact_id::new_erasure_id,
    journal::{Erase, EraseStep, ErasureRow, ErasureState, MessageJob},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(erase_customer, list_erasures)).routes(routes!(read_erasure))
}

/// Erasures that go on at once.
const OPEN_MAX: usize = 1000;

/// Whose data is erased.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ErasureWanted {
    /// The customer's address as it is recorded: a number with `+`, a mailbox, an account.
    #[schema(min_length = 3, max_length = 320)]
    address: String,
}

/// An erasure.
#[derive(Debug, Serialize, ToSchema)]
struct ErasureView {
    /// Its id, `er_…`.
    id: String,
    /// Whose data; absent once nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// The first 32 hexadecimal digits of a SHA-256 of the address: who knows the address can tell that it was meant.
    address_print: String,
    /// How far it is.
    state: ErasureState,
    /// Calls that go on and callbacks that are being made: it waits for their end.
    waits_for: u64,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    asked: Timestamp,
    /// By whom.
    asked_by: String,
    /// Records of contacts that were emptied.
    contacts: u64,
    /// Conversations that were.
    conversations: u64,
    /// Lines of chats that went, of both sides.
    lines: u64,
    /// Events that are tombstones (`event.erased`) now.
    events: u64,
    /// Recordings, files and mails that went.
    files: u64,
    /// When nothing was left.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<Timestamp>,
}

impl From<ErasureRow> for ErasureView {
    fn from(row: ErasureRow) -> Self {
        Self {
            id: row.id,
            address: row.address,
            address_print: row.print,
            state: row.state,
            waits_for: row.waits_for,
            asked: row.asked,
            asked_by: row.asked_by,
            contacts: row.contacts,
            conversations: row.conversations,
            lines: row.lines,
            events: row.events,
            files: row.files,
            done: row.done,
        }
    }
}

/// A page of erasures.
#[derive(Debug, Serialize, ToSchema)]
struct ErasurePage {
    /// The newest first.
    erasures: Vec<ErasureView>,
    /// Pass it as `before` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Which erasures.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ErasuresWanted {
    /// Those before this id: the `next` of a page.
    before: Option<String>,
    /// 1 to 500; 100 when absent.
    limit: Option<usize>,
}

/// Erase what is kept of a customer. It is durable when this is answered, goes on by itself, and cannot be taken back.
///
/// Open conversations are closed, callbacks taken back; calls that go on are waited for, and not cut. Contacts keep their
/// times, inbox and outcome, and say `erased` for the address; traces, texts, lines of chats, files, mails, recordings,
/// voicemail and captured SIP go; events become `event.erased`, so that cursors stay, and what consumers do not have yet of
/// them is not delivered any more. `customer.erased` tells consumers which contacts and conversations to erase themselves.
///
/// An opt-out goes on to hold, under a hash of the address; the audit log keeps that it was done and by whom. Asked
/// again while it goes on, this answers with the same erasure.
#[utoipa::path(post, path = "/api/v1/customers/erasures", security(("key" = ["privacy.manage"])), tag = "customers",
    request_body = ErasureWanted, responses(
        (status = 202, description = "It goes on.", body = ErasureView),
        (status = 400, description = "This is no address.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is an address of ours (`own_address`).", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many go on already, or the journal takes nothing.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn erase_customer(
    State(state): State<AppState>,
    Actor(by): Actor,
    Json(ErasureWanted { address }): Json<ErasureWanted>,
) -> ApiResult<(StatusCode, axum::Json<ErasureView>)> {
    let address = address_of(&address)?;
    if is_ours(&state, &address).await? {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "own_address",
            "This is an address of ours: every customer's contacts have it.",
            "Name the customer's address, as it stands on the page of a contact under From.",
        ));
    }
    let open = state.journal.reader().erasures_open().await?;
    let same = |row: &&ErasureRow| row.address.as_deref() == Some(address.as_str());
    if open.len() >= OPEN_MAX && !open.iter().any(|row| same(&row)) {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_erasures",
            format!("{OPEN_MAX} erasures go on already."),
            "Ask again when some of them are done; the gateway's log says why one does not come further.",
        ));
    }
    let id = new_erasure_id(Timestamp::now(), &mut StdRng::from_os_rng());
    let what = Erase::Ask { address: address.clone(), by };
    state.journal.messages(MessageJob::Erase(EraseStep { id, what })).await?;
    let open = state.journal.reader().erasures_open().await?;
    let row = open.into_iter().find(|row| same(&row)).ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "erased_meanwhile",
            "One of the same address was done this moment.",
            "Read the list of erasures; ask again if something has come since.",
        )
    })?;
    Ok((StatusCode::ACCEPTED, axum::Json(row.into())))
}

/// Whether contacts of many customers have this address.
async fn is_ours(state: &AppState, address: &str) -> ApiResult<bool> {
    let plan = state.store.active().load().plan.clone();
    let names = Channel::ALL.into_iter().filter_map(|channel| {
        let channel = serde_json::to_value(channel).ok()?;
        EntryPointRef::parse(&format!("{}/{address}", channel.as_str()?)).ok()
    });
    if names.into_iter().any(|name| plan.has_entry_point(&name.key())) {
        return Ok(true);
    }
    let name = address.to_owned();
    blocking(state, move |store| {
        let number = E164::parse(&name).ok().map(|number| store.number(number)).transpose()?.flatten();
        Ok(number.is_some() || store.mailbox(&name.to_lowercase())?.is_some())
    })
    .await
}

/// List erasures, the newest first: those that go on, and what is left of those that are done.
#[utoipa::path(get, path = "/api/v1/customers/erasures", security(("key" = ["privacy.manage"])), tag = "customers", params(ErasuresWanted), responses(
    (status = 200, description = "A page.", body = ErasurePage),
    (status = 400, description = "A parameter cannot be read.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_erasures(
    State(state): State<AppState>,
    Query(ErasuresWanted { before, limit }): Query<ErasuresWanted>,
) -> ApiResult<axum::Json<ErasurePage>> {
    let limit = limit.unwrap_or(100);
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let rows = state.journal.reader().erasures(before, limit).await?;
    let next = rows.last().filter(|_| rows.len() == limit).map(|row| row.id.clone());
    Ok(axum::Json(ErasurePage { erasures: rows.into_iter().map(ErasureView::from).collect(), next }))
}

/// Read how far an erasure is.
#[utoipa::path(get, path = "/api/v1/customers/erasures/{id}", security(("key" = ["privacy.manage"])), tag = "customers",
    params(("id" = String, Path, description = "Its id, `er_…`")),
    responses(
        (status = 200, description = "The erasure.", body = ErasureView),
        (status = 404, description = "There is none.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_erasure(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<ErasureView>> {
    let row = state.journal.reader().erasure(id).await?;
    row.map(|row| axum::Json(row.into())).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_erasure",
            "No erasure has this id.",
            "`GET /api/v1/customers/erasures` lists them.",
        )
    })
}
