//! What was told and what was said of one contact: its events of the feed, and its SIP as a capture file.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    contacts::no_such_contact,
    extract::Path,
    problem::{ApiResult, Problem},
};
use crate::{feed::CloudEvent, sip::pcap};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_contact_events)).routes(routes!(download_contact_sip))
}

/// The events of a contact.
#[derive(Debug, Serialize, ToSchema)]
struct ContactEvents {
    /// In their order; at most 1000, the oldest.
    events: Vec<CloudEvent>,
}

/// Most events of one contact that are listed.
const EVENTS_MAX: usize = 1000;

/// List the events of one contact that are kept, as the feed has told them.
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{id}/events",
    security(("key" = ["contacts.read"])),
    tag = "contacts",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    responses(
        (status = 200, description = "Its events.", body = ContactEvents),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_contact_events(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<ContactEvents>> {
    let row = state.journal.reader().contact(id).await?.ok_or_else(no_such_contact)?;
    let rows = state.journal.reader().events_of(row.id, (row.arrived, row.ended), EVENTS_MAX).await?;
    Ok(axum::Json(ContactEvents { events: state.feed.told(rows) }))
}

/// Fetch the recent SIP messages of a contact as a capture file (pcap), for Wireshark and its like.
///
/// Each message stands in a UDP datagram of its own between its real peer and 192.0.2.1, which stands for the gateway,
/// also when it went over TCP or TLS. What is withheld from the list of messages is withheld here.
#[utoipa::path(
    get,
    path = "/api/v1/contacts/{id}/pcap",
    security(("key" = ["contacts.read"])),
    tag = "contacts",
    params(("id" = String, Path, description = "The contact's id, `ct_…`")),
    responses(
        (status = 200, description = "The file; without a packet when the call is too long ago to be remembered.", body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap"),
        (status = 404, description = "No such contact.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn download_contact_sip(State(state): State<AppState>, Path(id): Path<String>) -> ApiResult<Response> {
    let row = state.journal.reader().contact(id).await?.ok_or_else(no_such_contact)?;
    let captured = state.capture.of_story(row.call_id.as_ref().unwrap_or(&row.id));
    let name = format!("attachment; filename=\"{}.pcap\"", row.id);
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.tcpdump.pcap".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, pcap::written(&captured)).into_response())
}
