//! Accounts at carriers: which kinds there are; added, tested, changed, removed. Secrets go in and never come out.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::carrier::CarrierAccount;

use super::{
    AppState,
    extract::{Actor, Json, Path},
    problem::{ApiResult, Problem},
};
use crate::{
    carrier::accounts::{self, AdapterKind},
    numbers::accounts_of::NewAccount,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_carriers))
        .routes(routes!(list_carrier_kinds))
        .routes(routes!(rotate_master_key))
        .routes(routes!(read_carrier, put_carrier, remove_carrier))
        .routes(routes!(check_carrier))
}

/// An account at a carrier.
#[derive(Debug, Serialize, ToSchema)]
struct CarrierView {
    /// Its id.
    id: String,
    /// Which carrier: one of the kinds.
    kind: String,
    /// What people call it.
    name: String,
    /// What the adapter has to know.
    #[schema(value_type = Object)]
    settings: BTreeMap<String, String>,
    /// The names of the secrets that are set. Their values are never shown.
    secrets: Vec<String>,
    /// Numbers can be searched and bought.
    sells: bool,
    /// Registrations for SMS are handed in by it.
    registers: bool,
    /// Port and forward orders are handed in by it; otherwise people look after them.
    ports: bool,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    changed: Timestamp,
}

impl From<CarrierAccount> for CarrierView {
    fn from(account: CarrierAccount) -> Self {
        let kind = accounts::kind(&account.kind);
        Self {
            sells: kind.is_some_and(|kind| kind.sells),
            registers: kind.is_some_and(|kind| kind.registers),
            ports: kind.is_some_and(|kind| kind.ports),
            id: account.id,
            kind: account.kind,
            name: account.name,
            settings: account.settings,
            secrets: account.secrets,
            changed: account.changed,
        }
    }
}

/// All accounts.
#[derive(Debug, Serialize, ToSchema)]
struct CarriersView {
    /// The accounts, by their ids.
    carriers: Vec<CarrierView>,
}

/// List the accounts at carriers.
#[utoipa::path(get, path = "/api/v1/carriers", tag = "carriers", security(("key" = ["numbers.read"])), responses(
    (status = 200, description = "All accounts, at most 100.", body = CarriersView),
))]
async fn list_carriers(State(state): State<AppState>) -> ApiResult<axum::Json<CarriersView>> {
    let carriers = state.numbers.accounts().await?.into_iter().map(CarrierView::from).collect();
    Ok(axum::Json(CarriersView { carriers }))
}

/// The kinds of carriers.
#[derive(Debug, Serialize, ToSchema)]
struct KindsView {
    /// The kinds, with what each has to know.
    kinds: &'static [AdapterKind],
}

/// List the kinds of carriers, with what an account of each has to have.
#[utoipa::path(get, path = "/api/v1/carriers/kinds", tag = "carriers", security(("key" = ["numbers.read"])), responses(
    (status = 200, description = "The kinds.", body = KindsView),
))]
async fn list_carrier_kinds() -> axum::Json<KindsView> {
    axum::Json(KindsView { kinds: accounts::KINDS })
}

/// Read an account.
#[utoipa::path(get, path = "/api/v1/carriers/{id}", tag = "carriers", security(("key" = ["numbers.read"])),
    params(("id" = String, Path, description = "The account")),
    responses(
        (status = 200, description = "The account, without its secrets.", body = CarrierView),
        (status = 404, description = "No such account.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_carrier(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<CarrierView>> {
    Ok(axum::Json(state.numbers.account_of(&id).await?.into()))
}

/// An account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToPutCarrier {
    /// Which carrier: one of the kinds. It cannot be changed.
    kind: String,
    /// What people call it, 1 to 100 characters.
    name: String,
    /// What the adapter has to know.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: BTreeMap<String, String>,
    /// Secrets, sealed as they come in. Those that are left out stay as they are; an empty text removes one.
    #[serde(default)]
    #[schema(value_type = Object)]
    secrets: BTreeMap<String, String>,
}

/// Add or change an account.
#[utoipa::path(put, path = "/api/v1/carriers/{id}", tag = "carriers", request_body = ToPutCarrier,
    security(("key" = ["secrets.manage"])),
    params(("id" = String, Path, description = "A name of your own: small letters, digits, - and _")),
    responses(
        (status = 200, description = "The account as it is now.", body = CarrierView),
        (status = 400, description = "Something makes no sense.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Something that the carrier needs is missing.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_carrier(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
    Json(ToPutCarrier { kind, name, settings, secrets }): Json<ToPutCarrier>,
) -> ApiResult<axum::Json<CarrierView>> {
    let wanted = NewAccount { kind, name, settings, secrets };
    Ok(axum::Json(state.numbers.put_account(id, wanted, actor).await?.into()))
}

/// Remove an account, with its secrets. Refused while it holds a number.
#[utoipa::path(delete, path = "/api/v1/carriers/{id}", tag = "carriers", security(("key" = ["secrets.manage"])),
    params(("id" = String, Path, description = "The account")),
    responses(
        (status = 204, description = "It is gone."),
        (status = 404, description = "No such account.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It holds a number, or a purchase is not settled.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn remove_carrier(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    state.numbers.remove_account(id, actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask the carrier whether an account works.
#[utoipa::path(post, path = "/api/v1/carriers/{id}/test", tag = "carriers", security(("key" = ["secrets.manage"])),
    params(("id" = String, Path, description = "The account")),
    responses(
        (status = 200, description = "It does: `says` is what it is called there.", body = Object),
        (status = 404, description = "No such account.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The carrier does not believe it, or something is missing.", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The carrier was not reached.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn check_carrier(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<Value>> {
    let says = state.numbers.check_account(&id).await?;
    Ok(axum::Json(json!({"says": says})))
}

/// Make a new master key, and seal the secrets of all accounts with it.
#[utoipa::path(post, path = "/api/v1/carriers/rotate-master-key", tag = "carriers", security(("key" = ["secrets.manage"])),
    responses(
        (status = 200, description = "Done: `resealed` says how many accounts.", body = Object),
        (status = 400, description = "The file of keys cannot be written.", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Something cannot be opened with the keys there are; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn rotate_master_key(
    State(state): State<AppState>,
    Actor(actor): Actor,
) -> ApiResult<axum::Json<Value>> {
    let resealed = state.numbers.rotate_key(actor).await?;
    Ok(axum::Json(json!({"resealed": resealed})))
}
