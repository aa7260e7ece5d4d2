//! Registrations for SMS, and numbers that come from other carriers.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::carrier::{Attachment, Registration, RegistrationKind, Transfer, TransferKind};

use super::number_in;
use crate::{
    api::{
        AppState,
        extract::{Actor, Json, Path, Query},
        problem::{ApiResult, Problem},
    },
    carrier::forms::{self, FormField},
    identity::{Caller, permission::Permission},
    numbers::{
        registration::NewRegistration,
        transfers::{NewTransfer, TransferEvent},
    },
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_registrations, register_numbers))
        .routes(routes!(list_form_fields))
        .routes(routes!(read_registration, correct_registration))
        .routes(routes!(join_registration))
        .routes(routes!(list_transfers, order_transfer))
        .routes(routes!(read_transfer))
        .routes(routes!(tell_transfer))
}

/// What a form says by which another company knows its customer.
const PROOFS: [&str; 2] = ["pin", "account"];

/// A registration for SMS.
#[derive(Debug, Serialize, ToSchema)]
struct RegistrationView {
    /// Its id, `rg_…`.
    id: String,
    /// The carrier account.
    carrier: String,
    /// `ten_dlc` or `toll_free`.
    #[schema(value_type = String)]
    kind: RegistrationKind,
    /// `state`: `submitted`, `in_review`, `update_required` (with `deadline` and `reasons`), `approved`, `rejected` (with
    /// `reasons` and `editable_until`) or `suspended`.
    #[schema(value_type = Object)]
    status: Value,
    /// Whether the form can be corrected now.
    editable: bool,
    /// What was filled in.
    #[schema(value_type = Object)]
    form: BTreeMap<String, String>,
    /// The numbers: `waiting`, `asked`, `attached` or `refused`.
    #[schema(value_type = Object)]
    numbers: BTreeMap<String, Attachment>,
    /// Who handed it in.
    by: String,
    /// When it was begun.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    changed: Timestamp,
    /// What went wrong the last time that the carrier was asked.
    detail: Option<String>,
}

impl From<Registration> for RegistrationView {
    fn from(registration: Registration) -> Self {
        Self {
            status: serde_json::to_value(&registration.state).unwrap_or_default(),
            editable: registration.is_editable(Timestamp::now()),
            id: registration.id,
            carrier: registration.carrier,
            kind: registration.kind,
            form: registration.form,
            numbers: registration.numbers.iter().map(|(number, one)| (number.to_string(), *one)).collect(),
            by: registration.by,
            created: registration.created,
            changed: registration.changed,
            detail: registration.detail,
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PageQuery {
    /// Those behind this id: the `next` of the page before.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

fn fifty() -> u32 {
    50
}

impl PageQuery {
    fn checked(self) -> ApiResult<(Option<String>, u32)> {
        if (1..=500).contains(&self.limit) {
            return Ok((self.after, self.limit));
        }
        Err(Problem::bad_request(format!("`limit` is {}, not 1 to 500.", self.limit)))
    }
}

fn next<T>(page: &[T], limit: u32, id: impl Fn(&T) -> &String) -> Option<String> {
    let full = u32::try_from(page.len()).is_ok_and(|count| count == limit);
    page.last().filter(|_| full).map(|last| id(last).clone())
}

/// A page of registrations.
#[derive(Debug, Serialize, ToSchema)]
struct RegistrationsView {
    /// The registrations, the oldest first.
    registrations: Vec<RegistrationView>,
    /// Pass as `after` for the next page; null at the end.
    next: Option<String>,
}

/// List registrations for SMS, the oldest first.
#[utoipa::path(get, path = "/api/v1/numbers/registrations", tag = "numbers", params(PageQuery),
    security(("key" = ["numbers.read"])),
    responses(
        (status = 200, description = "A page of registrations.", body = RegistrationsView),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_registrations(
    State(state): State<AppState>,
    Query(query): Query<PageQuery>,
) -> ApiResult<axum::Json<RegistrationsView>> {
    let (after, limit) = query.checked()?;
    let page = state.numbers.registrations(after, limit).await?;
    let next = next(&page, limit, |one| &one.id);
    Ok(axum::Json(RegistrationsView {
        registrations: page.into_iter().map(RegistrationView::from).collect(),
        next,
    }))
}

/// The fields of forms.
#[derive(Debug, Serialize, ToSchema)]
struct FieldsView {
    /// The fields, in the order in which they are asked.
    fields: &'static [FormField],
}

/// List the fields of the forms of registrations.
#[utoipa::path(get, path = "/api/v1/numbers/registrations/fields", tag = "numbers",
    security(("key" = ["numbers.read"])),
    responses((status = 200, description = "The fields.", body = FieldsView))
)]
async fn list_form_fields() -> axum::Json<FieldsView> {
    axum::Json(FieldsView { fields: forms::FIELDS })
}

/// A registration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToRegister {
    /// The carrier account that holds the numbers.
    carrier: String,
    /// `ten_dlc` (local numbers: a brand and a campaign) or `toll_free` (one number).
    #[schema(value_type = String)]
    kind: RegistrationKind,
    /// What is filled in: see the fields.
    #[schema(value_type = Object)]
    form: BTreeMap<String, String>,
    /// The numbers.
    numbers: Vec<String>,
}

/// Hand a registration for SMS in. It goes its way step by step; voice does not depend on it.
#[utoipa::path(post, path = "/api/v1/numbers/registrations", tag = "numbers", request_body = ToRegister,
    security(("key" = ["numbers.compliance"])),
    responses(
        (status = 201, description = "It is on its way.", body = RegistrationView),
        (status = 400, description = "A number cannot be registered like that.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such account or number.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A number belongs to a registration already.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The form lacks something: `more.faults`; or the account registers nothing.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn register_numbers(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Json(ToRegister { carrier, kind, form, numbers }): Json<ToRegister>,
) -> ApiResult<(StatusCode, axum::Json<RegistrationView>)> {
    let numbers = numbers.iter().map(|number| number_in(number)).collect::<ApiResult<_>>()?;
    let new = NewRegistration { carrier, kind, form, numbers };
    Ok((StatusCode::CREATED, axum::Json(state.numbers.register(new, actor).await?.into())))
}

/// Read a registration.
#[utoipa::path(get, path = "/api/v1/numbers/registrations/{id}", tag = "numbers",
    security(("key" = ["numbers.read"])),
    params(("id" = String, Path, description = "The registration, `rg_…`")),
    responses(
        (status = 200, description = "The registration.", body = RegistrationView),
        (status = 404, description = "No such registration.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_registration(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<RegistrationView>> {
    Ok(axum::Json(state.numbers.registration(&id).await?.into()))
}

/// A corrected form.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToCorrect {
    /// What is filled in, whole.
    #[schema(value_type = Object)]
    form: BTreeMap<String, String>,
}

/// Hand in a corrected form, while something is asked for or a rejection can be mended.
#[utoipa::path(put, path = "/api/v1/numbers/registrations/{id}", tag = "numbers", request_body = ToCorrect,
    security(("key" = ["numbers.compliance"])),
    params(("id" = String, Path, description = "The registration, `rg_…`")),
    responses(
        (status = 200, description = "It is handed in again.", body = RegistrationView),
        (status = 404, description = "No such registration.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It cannot be corrected now.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The form lacks something: `more.faults`.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn correct_registration(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
    Json(ToCorrect { form }): Json<ToCorrect>,
) -> ApiResult<axum::Json<RegistrationView>> {
    Ok(axum::Json(state.numbers.correct(&id, form, actor).await?.into()))
}

/// A number that joins.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToJoin {
    /// The number.
    number: String,
}

/// Have a local number join a campaign, without a new form.
#[utoipa::path(post, path = "/api/v1/numbers/registrations/{id}/numbers", tag = "numbers", request_body = ToJoin,
    security(("key" = ["numbers.compliance"])),
    params(("id" = String, Path, description = "The registration, `rg_…`")),
    responses(
        (status = 200, description = "The registration as it is now.", body = RegistrationView),
        (status = 400, description = "The number cannot join.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such registration or number.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The number belongs to another registration.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn join_registration(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
    Json(ToJoin { number }): Json<ToJoin>,
) -> ApiResult<axum::Json<RegistrationView>> {
    Ok(axum::Json(state.numbers.join(&id, number_in(&number)?, actor).await?.into()))
}

/// A port or forward order.
#[derive(Debug, Serialize, ToSchema)]
struct TransferView {
    /// Its id, `tf_…`.
    id: String,
    /// The carrier account that the numbers come to.
    carrier: String,
    /// `port` or `forward`.
    #[schema(value_type = String)]
    kind: TransferKind,
    /// The numbers.
    numbers: Vec<String>,
    /// The number of ours that calls are forwarded to.
    forward_to: Option<String>,
    /// What the other carrier is told. `pin` and `account` are `…` for those who may not order (`numbers.buy`).
    #[schema(value_type = Object)]
    form: BTreeMap<String, String>,
    /// `state`: `submitted`, `action_needed` (with `reasons`), `scheduled` (with `on`), `completed` or `cancelled` (with
    /// `reason`).
    #[schema(value_type = Object)]
    status: Value,
    /// The carrier's id of it; null while people look after it.
    order: Option<String>,
    /// Who ordered it.
    by: String,
    /// When it was ordered.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    changed: Timestamp,
}

impl TransferView {
    /// As it is shown to somebody: by what the other company knows its customer is for those who order.
    fn shown_to(caller: &Caller, transfer: Transfer) -> Self {
        let mut view = Self::from(transfer);
        if !caller.may(Permission::NumbersBuy) {
            for proof in PROOFS {
                view.form.entry(proof.to_owned()).and_modify(|value| "…".clone_into(value));
            }
        }
        view
    }
}

impl From<Transfer> for TransferView {
    fn from(transfer: Transfer) -> Self {
        Self {
            status: serde_json::to_value(&transfer.state).unwrap_or_default(),
            id: transfer.id,
            carrier: transfer.carrier,
            kind: transfer.kind,
            numbers: transfer.numbers.iter().map(ToString::to_string).collect(),
            forward_to: transfer.forward_to.map(|number| number.to_string()),
            form: transfer.form,
            order: transfer.order,
            by: transfer.by,
            created: transfer.created,
            changed: transfer.changed,
        }
    }
}

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
struct TransfersView {
    /// The orders, the oldest first.
    transfers: Vec<TransferView>,
    /// Pass as `after` for the next page; null at the end.
    next: Option<String>,
}

/// List port and forward orders, the oldest first.
#[utoipa::path(get, path = "/api/v1/numbers/transfers", tag = "numbers", params(PageQuery),
    security(("key" = ["numbers.read"])),
    responses(
        (status = 200, description = "A page of orders.", body = TransfersView),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_transfers(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> ApiResult<axum::Json<TransfersView>> {
    let (after, limit) = query.checked()?;
    let page = state.numbers.transfers(after, limit).await?;
    let next = next(&page, limit, |one| &one.id);
    Ok(axum::Json(TransfersView {
        transfers: page.into_iter().map(|one| TransferView::shown_to(&caller, one)).collect(),
        next,
    }))
}

/// An order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToOrder {
    /// The carrier account that the numbers come to.
    carrier: String,
    /// `port` or `forward`. A forwarded number carries calls only.
    #[schema(value_type = String)]
    kind: TransferKind,
    /// The numbers.
    numbers: Vec<String>,
    /// Of a forwarding: the number of ours that calls are forwarded to.
    forward_to: Option<String>,
    /// What the other carrier is told: `name`, `address`, `account`, `pin` …
    #[serde(default)]
    #[schema(value_type = Object)]
    form: BTreeMap<String, String>,
}

/// Order a port or a forwarding. The numbers are `porting` or `forwarding` until they are here, and idle then.
#[utoipa::path(post, path = "/api/v1/numbers/transfers", tag = "numbers", request_body = ToOrder,
    security(("key" = ["numbers.buy"])),
    responses(
        (status = 201, description = "It is ordered, or kept for who orders it at the carrier.", body = TransferView),
        (status = 400, description = "Something makes no sense.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such account or number.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A number is held, or on its way already.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn order_transfer(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Json(ToOrder { carrier, kind, numbers, forward_to, form }): Json<ToOrder>,
) -> ApiResult<(StatusCode, axum::Json<TransferView>)> {
    let numbers = numbers.iter().map(|number| number_in(number)).collect::<ApiResult<_>>()?;
    let forward_to = forward_to.as_deref().map(number_in).transpose()?;
    let new = NewTransfer { carrier, kind, numbers, forward_to, form };
    Ok((StatusCode::CREATED, axum::Json(state.numbers.order_transfer(new, actor).await?.into())))
}

/// Read an order.
#[utoipa::path(get, path = "/api/v1/numbers/transfers/{id}", tag = "numbers",
    security(("key" = ["numbers.read"])),
    params(("id" = String, Path, description = "The order, `tf_…`")),
    responses(
        (status = 200, description = "The order.", body = TransferView),
        (status = 404, description = "No such order.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_transfer(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<TransferView>> {
    Ok(axum::Json(TransferView::shown_to(&caller, state.numbers.transfer(&id).await?)))
}

/// Tell how an order is getting on: `{"event": "submitted"}`, `action_needed` (with `reasons`), `scheduled` (with `on`),
/// `completed` or `cancelled` (with `reason`).
#[utoipa::path(post, path = "/api/v1/numbers/transfers/{id}/events", tag = "numbers", request_body = Object,
    security(("key" = ["numbers.buy"])),
    params(("id" = String, Path, description = "The order, `tf_…`")),
    responses(
        (status = 200, description = "The order as it is now.", body = TransferView),
        (status = 400, description = "No such event.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such order.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has come to its end.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn tell_transfer(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
    Json(event): Json<TransferEvent>,
) -> ApiResult<axum::Json<TransferView>> {
    Ok(axum::Json(state.numbers.tell_transfer(&id, event, actor).await?.into()))
}
