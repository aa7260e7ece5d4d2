//! Numbers: what we hold, and what the active revision does with them.

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    number::{
        Holding, HoldingEvent, NumberKind, NumberRecord, NumberState, SetupStep, Sms, SmsEvent, SmsUse,
    },
    store::{AuditRow, NumberChange},
};
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    id::ContactId,
    plan::NumberVoice,
};

use super::blocking;
use crate::{
    api::{
        AppState,
        extract::{Actor, Json, Path, Query},
        numbers::FactsView,
        problem::{ApiResult, Problem},
    },
    journal::{Entry, Event, EventKind},
    numbers::import::Line,
};

pub(in crate::api) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_numbers, add_number))
        .routes(routes!(read_number))
        .routes(routes!(change_registration))
        .routes(routes!(change_holding))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NumbersQuery {
    /// Numbers behind this one: the `next` of the page before.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

/// A number.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct NumberView {
    /// The number.
    number: String,
    /// `owned_idle`, `direct_line`, `ivr_linked`, `porting`, `forwarding`, `releasing` or `released`.
    #[schema(value_type = String)]
    state: NumberState,
    /// How far it may be used for SMS.
    #[schema(value_type = Object)]
    sms: Value,
    /// The Initial IVR that is linked.
    initial_ivr: Option<String>,
    /// The Queue IVR that is linked.
    queue_ivr: Option<String>,
    /// Seconds before the Queue IVR or the music.
    queue_wait_seconds: Option<u32>,
    /// The number's inbox, where it is not the default.
    inbox: Option<String>,
    /// What is known of it.
    facts: FactsView,
    /// Where its set-up was left: `registration`, `activate_voice`, `link_ivr`, `pick_ivr`, `link_inboxes` or `test_call`;
    /// null when it is done.
    #[schema(value_type = Option<String>)]
    setup: Option<SetupStep>,
    /// What to know of it.
    warnings: Vec<String>,
}

/// List numbers with what is linked to them.
#[utoipa::path(get, path = "/api/v1/numbers", security(("key" = ["numbers.read"])), tag = "numbers", params(NumbersQuery), responses(
    (status = 200, description = "A page of numbers; `next` is absent at the end.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
async fn list_numbers(
    State(state): State<AppState>,
    Query(NumbersQuery { after, limit }): Query<NumbersQuery>,
) -> ApiResult<axum::Json<Value>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let after = after.as_deref().map(parse).transpose()?;
    let records = blocking(&state, move |store| store.numbers(after, limit)).await?;
    let full = u32::try_from(records.len()).is_ok_and(|count| count == limit);
    let next = records.last().filter(|_| full).map(|record| record.number.to_string());
    let numbers: Vec<NumberView> = records.into_iter().map(|record| view(&state, record)).collect();
    Ok(axum::Json(json!({"numbers": numbers, "next": next})))
}

/// Read a number with the audit of its record.
#[utoipa::path(get, path = "/api/v1/numbers/{number}", security(("key" = ["numbers.read"])), tag = "numbers",
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "The number and what was done to its record.", body = Object),
        (status = 404, description = "No such number.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_number(
    State(state): State<AppState>,
    Path(number): Path<String>,
) -> ApiResult<axum::Json<Value>> {
    let number = parse(&number)?;
    let (record, audit): (Option<NumberRecord>, Vec<AuditRow>) =
        blocking(&state, move |store| Ok((store.number(number)?, store.audit(&number.to_string(), 100)?)))
            .await?;
    let record = record.ok_or_else(|| {
        let detail = format!("{number} is not ours.");
        Problem::new(StatusCode::NOT_FOUND, "no_such_number", detail, "List the numbers to find it.")
    })?;
    Ok(axum::Json(json!({"number": view(&state, record), "audit": audit})))
}

/// A number to be taken up.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewNumber {
    /// The number, E.164 with its `+`.
    number: String,
    /// Whether it can carry SMS; true when absent.
    #[serde(default = "yes")]
    sms: bool,
    /// Whether it can carry pictures too.
    #[serde(default)]
    mms: bool,
    /// The carrier account that holds it, for example `manual`; one that sells numbers takes none up.
    carrier: Option<String>,
    /// Its city.
    city: Option<String>,
    /// Its state or province.
    region: Option<String>,
    /// Its country, in two letters.
    country: Option<String>,
}

fn yes() -> bool {
    true
}

/// Take up a number of a carrier of your own: its calls and messages come by a trunk and a provider that you set up.
#[utoipa::path(post, path = "/api/v1/numbers", security(("key" = ["numbers.buy"])), tag = "numbers", request_body = NewNumber, responses(
    (status = 201, description = "It has a record; voice is set up in the routing document.", body = NumberView),
    (status = 400, description = "It is no E.164 number.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It has a record already.", body = Problem, content_type = "application/problem+json"),
))]
async fn add_number(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Json(new): Json<NewNumber>,
) -> ApiResult<(StatusCode, axum::Json<NumberView>)> {
    let NewNumber { number, sms, mms, carrier, city, region, country } = new;
    let number = parse(&number)?;
    if let Some(carrier) = carrier {
        let line = Line { number, sms, mms, city, region, country };
        let record = state.numbers.take_up(&carrier, &line, actor).await?;
        return Ok((StatusCode::CREATED, axum::Json(view(&state, record))));
    }
    let sms = if sms { Sms::Required } else { Sms::NotCapable };
    let record = blocking(&state, move |store| store.add_number(number, Holding::Owned, sms, &actor)).await?;
    tell(&state, EventKind::NumberChanged, &record).await?;
    Ok((StatusCode::CREATED, axum::Json(view(&state, record))))
}

/// Tell what happened to a number's registration for SMS.
///
/// `{"event": "submit"}`, `review_begun`, `update_asked` (with `deadline`), `approve`, `reject` (with `reasons`,
/// `editable_until`), `suspend`, `switch_off` or `switch_on`. While it is off, messages are kept and handed to nobody; what
/// was kept is handed on when it is switched on.
#[utoipa::path(post, path = "/api/v1/numbers/{number}/registration", security(("key" = ["numbers.compliance"])), tag = "numbers", request_body = Object,
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "The number as it is now.", body = NumberView),
        (status = 400, description = "No such event.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "It has no record.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "That cannot happen in its state.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn change_registration(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(number): Path<String>,
    Json(event): Json<SmsEvent>,
) -> ApiResult<axum::Json<NumberView>> {
    let record = change(&state, actor, &number, NumberChange::Sms(event)).await?;
    tell(&state, EventKind::RegistrationChanged, &record).await?;
    Ok(axum::Json(view(&state, record)))
}

/// What happened to a number.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct HoldingChange {
    /// `arrived` (a port or forwarding is done), `release`, `keep`, `gone`, or `buy` (30 days after it was gone).
    #[schema(value_type = String)]
    event: HoldingEvent,
}

/// Tell whether a number is held.
#[utoipa::path(post, path = "/api/v1/numbers/{number}/holding", security(("key" = ["numbers.release"])), tag = "numbers", request_body = HoldingChange,
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "The number as it is now.", body = NumberView),
        (status = 404, description = "It has no record.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "That cannot happen in its state.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "It is routed still.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn change_holding(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(number): Path<String>,
    Json(HoldingChange { event }): Json<HoldingChange>,
) -> ApiResult<axum::Json<NumberView>> {
    let held = parse(&number)?;
    let record = blocking(&state, move |store| store.number(held)).await?;
    if event == HoldingEvent::Release && record.is_some_and(|record| record.facts.carrier.is_some()) {
        let detail = format!("{held} is held by a carrier account.");
        let remedy = "Give it back by `POST /api/v1/numbers/{number}/release`, which says beforehand what callers notice.";
        return Err(Problem::new(StatusCode::CONFLICT, "held_by_carrier", detail, remedy));
    }
    let record = change(&state, actor, &number, NumberChange::Holding(event)).await?;
    tell(&state, EventKind::NumberChanged, &record).await?;
    Ok(axum::Json(view(&state, record)))
}

async fn change(
    state: &AppState,
    actor: String,
    number: &str,
    change: NumberChange,
) -> ApiResult<NumberRecord> {
    let number = parse(number)?;
    blocking(state, move |store| store.change_number(number, change, &actor)).await
}

/// Tells the feed, after the record is changed: who missed it reads the record.
async fn tell(state: &AppState, kind: EventKind, record: &NumberRecord) -> ApiResult<()> {
    let data = json!({"number": record.number, "holding": record.holding, "sms": record.sms});
    let mut entry = Entry::new(ContactId::from(""));
    entry.events.push(Event::new(kind, record.changed, &data));
    state.journal.append(entry).await?;
    Ok(())
}

pub(in crate::api) fn view(state: &AppState, record: NumberRecord) -> NumberView {
    let active = state.store.active().load();
    let voice = active.plan.numbers.get(&record.number);
    NumberView {
        number: record.number.to_string(),
        state: NumberState::of(record.holding, voice.map(|voice| &**voice)),
        sms: serde_json::to_value(&record.sms).unwrap_or_default(),
        initial_ivr: voice.and_then(|voice| voice.initial_ivr.as_ref()).map(ToString::to_string),
        queue_ivr: voice.and_then(|voice| voice.queue_ivr.as_ref()).map(ToString::to_string),
        queue_wait_seconds: voice.map(|voice| voice.queue_wait_seconds),
        inbox: active
            .plan
            .entry_points
            .get(&(Channel::Voice, Address::Number(record.number)))
            .and_then(|entry| entry.inbox.as_ref())
            .map(ToString::to_string),
        warnings: warnings(&record, voice.map(|voice| &**voice)),
        facts: FactsView::from(&record.facts),
        setup: record.setup,
    }
}

/// What to know of a number.
fn warnings(record: &NumberRecord, voice: Option<&NumberVoice>) -> Vec<String> {
    let mut all = Vec::new();
    let toll_free = NumberKind::of(record.number) == Some(NumberKind::TollFree);
    match record.sms.use_of() {
        SmsUse::Receives if toll_free => {
            all.push("It is not verified: texts from it are blocked or throttled.".to_owned());
        }
        SmsUse::Receives => {
            all.push("It belongs to no approved campaign: no texts may be sent from it.".to_owned());
        }
        SmsUse::Sends => {
            all.push(
                "Your website, and an IVR that offers texts, must say how customers agree to them."
                    .to_owned(),
            );
        }
        SmsUse::Off => {}
    }
    if let Some(wait) = voice.map(|voice| voice.queue_wait_seconds).filter(|wait| !(30..=45).contains(wait)) {
        all.push(format!(
            "Callers wait {wait} seconds before the Queue IVR or the music; 30 to 45 is usual."
        ));
    }
    all
}

fn parse(text: &str) -> ApiResult<E164> {
    E164::parse(text).map_err(|error| Problem::bad_request(format!("\"{text}\" is {error}.")))
}

fn fifty() -> u32 {
    50
}
