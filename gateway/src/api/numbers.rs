//! Numbers: searched, bought, set up, given back. Their records are listed and told of in `routing/numbers.rs`.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use vestibule_config::number::{Capabilities, Fee, NumberFacts, NumberKind};
use vestibule_routing::address::E164;

use super::{
    AppState,
    problem::{ApiResult, Problem},
};
use crate::{carrier::contract::NotDone, numbers::NumbersError};

mod buying;
mod held;
mod registering;
mod test_call;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    buying::routes().merge(held::routes()).merge(registering::routes()).merge(test_call::routes())
}

/// What is known of a number.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FactsView {
    /// The account that it is held by, or offered at.
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<String>,
    /// ISO 3166 in two letters.
    country: Option<String>,
    /// The city.
    city: Option<String>,
    /// The state or province.
    region: Option<String>,
    /// `local` or `toll_free`.
    #[serde(rename = "type")]
    #[schema(value_type = Option<String>)]
    kind: Option<NumberKind>,
    /// `voice`, `sms` and `mms`, each true or false; null where that is not known.
    #[schema(value_type = Option<Object>)]
    capabilities: Option<Capabilities>,
    /// `amount` (decimal) and `currency` a month; null where the carrier does not say.
    #[schema(value_type = Option<Object>)]
    monthly_fee: Option<Fee>,
}

impl From<&NumberFacts> for FactsView {
    fn from(facts: &NumberFacts) -> Self {
        Self {
            carrier: facts.carrier.clone(),
            country: facts.country.clone(),
            city: facts.city.clone(),
            region: facts.region.clone(),
            kind: facts.kind,
            capabilities: facts.capabilities,
            monthly_fee: facts.monthly_fee.clone(),
        }
    }
}

pub(super) fn number_in(text: &str) -> ApiResult<E164> {
    E164::parse(text).map_err(|error| Problem::bad_request(format!("\"{text}\" is {error}.")))
}

/// The client's key of a request that must not be done twice.
pub(super) fn idempotency_key(headers: &HeaderMap) -> ApiResult<String> {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    if key.is_empty() || key.len() > KEY_MAX {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "idempotency_key_needed",
            format!("`Idempotency-Key` is missing, or longer than {KEY_MAX} characters."),
            "Send a fresh random key with each purchase, and the same one again when you repeat it.",
        ));
    }
    Ok(key.to_owned())
}

/// Accepted, with where to look.
pub(super) fn accepted(location: &str, body: impl Serialize) -> Response {
    let mut response = (StatusCode::ACCEPTED, axum::Json(body)).into_response();
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

impl From<NumbersError> for Problem {
    fn from(error: NumbersError) -> Self {
        let detail = error.to_string();
        let status = match &error {
            NumbersError::Store(_) | NumbersError::Journal(_) => StatusCode::SERVICE_UNAVAILABLE,
            NumbersError::NoCarrier(_) | NumbersError::NoReview | NumbersError::NoSearch => {
                StatusCode::NOT_FOUND
            }
            NumbersError::Carrier(NotDone::Unknown(_) | NotDone::Later) => StatusCode::BAD_GATEWAY,
            NumbersError::Bad(_) => StatusCode::BAD_REQUEST,
            NumbersError::Form(_)
            | NumbersError::Country(_)
            | NumbersError::KeyReused
            | NumbersError::Carrier(_) => StatusCode::UNPROCESSABLE_ENTITY,
            NumbersError::NotForSale(_) | NumbersError::CallsLive(_) | NumbersError::Drafted(_) => {
                StatusCode::CONFLICT
            }
            NumbersError::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let (code, remedy) = match error {
            NumbersError::Store(error) => return error.into(),
            NumbersError::Journal(error) => return error.into(),
            NumbersError::NoCarrier(_) => {
                ("no_such_carrier", "List the carrier accounts to find it, or add one.")
            }
            NumbersError::Bad(_) => return Self::bad_request(detail),
            NumbersError::Form(faults) => {
                let remedy = "Fill in what the faults name, and send the form again.";
                return Self::new(status, "form_incomplete", detail, remedy).with(json!({"faults": faults}));
            }
            NumbersError::Country(_) => (
                "country_not_searched",
                "Only numbers of US and CA are searched: port it, forward it, or take it up as a number of your own trunk.",
            ),
            NumbersError::NoReview => {
                ("no_such_review", "Review the number again; a review holds for an hour.")
            }
            NumbersError::NoSearch => ("no_such_search", "Search again; nothing of a search is reserved."),
            NumbersError::NotForSale(_) => ("not_for_sale", "Search again, and choose another number."),
            NumbersError::KeyReused => ("key_reused", "Use a fresh Idempotency-Key for another purchase."),
            NumbersError::CallsLive(_) => {
                ("calls_live", "Wait until they have ended, or send `force: true`.")
            }
            NumbersError::Drafted(_) => {
                ("draft_in_the_way", "Publish or discard that edit of the draft first.")
            }
            NumbersError::Fault => ("internal", "Report it with the gateway's log."),
            NumbersError::Carrier(NotDone::Refused { .. }) => {
                ("carrier_refused", "Do as the carrier says, and try again.")
            }
            NumbersError::Carrier(NotDone::Later) => ("carrier_busy", "Try again in a minute."),
            NumbersError::Carrier(NotDone::Unknown(_)) => {
                ("carrier_unreachable", "Test the carrier's account; try again in a moment.")
            }
            NumbersError::Carrier(NotDone::NotSupported(_)) => ("carrier_does_not", "Do as it says."),
            NumbersError::Carrier(NotDone::NotSetUp(_)) => {
                ("carrier_not_set_up", "Complete the carrier's account.")
            }
        };
        Self::new(status, code, detail, remedy)
    }
}

const KEY_MAX: usize = 200;
