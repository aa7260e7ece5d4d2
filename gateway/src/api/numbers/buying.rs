//! The way to a number: search, review, buy; or take up what an own trunk brings.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    carrier::{Purchase, PurchaseState},
    number::NumberKind,
};

use super::{FactsView, accepted, idempotency_key, number_in};
use crate::{
    api::{
        AppState,
        extract::{Actor, Json, Path, Query},
        problem::{ApiResult, Problem},
    },
    numbers::{
        import::Imported,
        purchase::Order,
        search::{Review, SearchFor},
    },
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(search_numbers))
        .routes(routes!(review_number))
        .routes(routes!(buy_number, list_purchases))
        .routes(routes!(read_purchase))
        .routes(routes!(import_numbers))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// The carrier account; the first that sells numbers when absent, a real one before the sandbox.
    carrier: Option<String>,
    /// `US` (when absent) or `CA`.
    country: Option<String>,
    /// `local` (when absent) or `toll_free`.
    #[serde(rename = "type")]
    #[param(value_type = Option<String>)]
    kind: Option<NumberKind>,
    /// Only numbers that carry texts. All of them carry calls.
    #[serde(default)]
    sms: bool,
    /// Only numbers that carry texts with pictures.
    #[serde(default)]
    mms: bool,
    /// An area code: three digits. Not together with `city` or `contains`.
    area_code: Option<String>,
    /// A city's full name. Not together with `area_code` or `contains`.
    city: Option<String>,
    /// 2 to 10 digits, or letters of the keypad (`GLAD` is 4523), that the number contains.
    contains: Option<String>,
    /// The `next` of the page before; everything else but `limit` is left out then. Without it, the search begins anew,
    /// and shows other numbers.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "ten")]
    #[param(minimum = 1, maximum = 30, default = 10)]
    limit: usize,
}

fn ten() -> usize {
    10
}

/// A number for sale.
#[derive(Debug, Serialize, ToSchema)]
struct OfferView {
    /// The number.
    number: String,
    #[serde(flatten)]
    facts: FactsView,
}

/// A page of a search. Nothing of it is reserved.
#[derive(Debug, Serialize, ToSchema)]
struct SearchView {
    /// The carrier account that was searched.
    carrier: String,
    /// The numbers, in no order.
    numbers: Vec<OfferView>,
    /// How many the search found, 30 at most.
    found: usize,
    /// Pass as `after` for the next page; null at the end.
    next: Option<String>,
}

/// Search a carrier's stock of numbers.
///
/// Up to 30 numbers a search, in random order. Searching again loads others, and earlier ones may not come back.
#[utoipa::path(get, path = "/api/v1/numbers/available", tag = "numbers", params(SearchQuery),
    security(("key" = ["numbers.buy"])),
    responses(
        (status = 200, description = "A page of numbers.", body = SearchView),
        (status = 400, description = "What is searched for makes no sense.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such carrier account, or the search is forgotten.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Numbers of that country, or of that account, are not searched.", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The carrier was not reached.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn search_numbers(
    State(state): State<AppState>,
    Query(query): Query<SearchQuery>,
) -> ApiResult<axum::Json<SearchView>> {
    if !(1..=30).contains(&query.limit) {
        return Err(Problem::bad_request(format!("`limit` is {}, not 1 to 30.", query.limit)));
    }
    let page = match &query.after {
        Some(cursor) => state.numbers.search_on(cursor, query.limit)?,
        None => {
            let SearchQuery { carrier, country, kind, sms, mms, area_code, city, contains, limit, .. } =
                query;
            let wanted = SearchFor { carrier, country, kind, sms, mms, area_code, city, contains };
            state.numbers.search(wanted, limit).await?
        }
    };
    let offer = |offer: &crate::carrier::contract::Offer| OfferView {
        number: offer.number.to_string(),
        facts: FactsView::from(&offer.facts),
    };
    Ok(axum::Json(SearchView {
        numbers: page.offers.iter().map(offer).collect(),
        carrier: page.carrier,
        found: page.found,
        next: page.next,
    }))
}

/// A number that is about to be bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToReview {
    /// The carrier account that offers it.
    carrier: String,
    /// The number.
    number: String,
}

/// What a purchase would mean.
#[derive(Debug, Serialize, ToSchema)]
struct ReviewView {
    /// Its id, to be sent with the purchase within an hour.
    review: String,
    /// The number.
    number: String,
    #[serde(flatten)]
    facts: FactsView,
    /// What usage costs beside the monthly fee.
    usage_note: &'static str,
    /// What to know beforehand.
    warnings: Vec<String>,
}

/// Review a number before it is bought: what it is, and what it costs. Nothing is reserved.
#[utoipa::path(post, path = "/api/v1/numbers/reviews", tag = "numbers", request_body = ToReview,
    security(("key" = ["numbers.buy"])),
    responses(
        (status = 201, description = "What the purchase would mean.", body = ReviewView),
        (status = 400, description = "It is no E.164 number.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such carrier account.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is held, cools down, or is not for sale any more.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The account sells no numbers.", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "The carrier was not reached.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn review_number(
    State(state): State<AppState>,
    Json(ToReview { carrier, number }): Json<ToReview>,
) -> ApiResult<(StatusCode, axum::Json<ReviewView>)> {
    let review = state.numbers.review(&carrier, number_in(&number)?).await?;
    let view = ReviewView {
        warnings: warnings(&review),
        number: review.number.to_string(),
        facts: FactsView { carrier: Some(review.carrier), ..FactsView::from(&review.facts) },
        review: review.id,
        usage_note: review.usage,
    };
    Ok((StatusCode::CREATED, axum::Json(view)))
}

fn warnings(review: &Review) -> Vec<String> {
    let mut all = Vec::new();
    let can = review.facts.capabilities;
    if can.is_some_and(|can| !can.sms) {
        all.push("It carries calls only: no texts.".to_owned());
    } else if review.facts.kind == Some(NumberKind::TollFree) {
        all.push("Texts from a toll-free number are blocked or throttled until it is verified.".to_owned());
    } else {
        all.push(
            "Texts from a local number are blocked until it belongs to an approved campaign (A2P 10DLC)."
                .to_owned(),
        );
    }
    if can.is_none_or(|can| can.sms) {
        all.push(
            "Your website, and an IVR that offers texts, must say how customers agree to them.".to_owned(),
        );
    }
    if review.facts.monthly_fee.is_none() {
        all.push("The carrier does not tell the monthly fee here; its price list does.".to_owned());
    }
    all
}

/// The purchase of a reviewed number.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToBuy {
    /// The review's id.
    review: String,
}

/// A purchase.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PurchaseView {
    /// Its id, `po_…`: also the reference at the carrier.
    id: String,
    /// The number.
    number: String,
    #[serde(flatten)]
    facts: FactsView,
    /// `asking`, `ordered` (the carrier takes its time), `unknown` (the carrier is asked what became of it, and nothing is
    /// bought before), `bought`, `refused` or `not_bought`.
    #[schema(value_type = String)]
    state: PurchaseState,
    /// Calls and texts are sent here by the carrier.
    pointed: bool,
    /// Who bought it.
    by: String,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// When it last changed.
    #[schema(value_type = String, format = DateTime)]
    changed: Timestamp,
    /// What went wrong.
    detail: Option<String>,
}

impl From<Purchase> for PurchaseView {
    fn from(purchase: Purchase) -> Self {
        Self {
            facts: FactsView { carrier: Some(purchase.carrier), ..FactsView::from(&purchase.facts) },
            number: purchase.number.to_string(),
            pointed: purchase.state == PurchaseState::Bought && !purchase.open,
            id: purchase.id,
            state: purchase.state,
            by: purchase.by,
            created: purchase.created,
            changed: purchase.changed,
            detail: purchase.detail,
        }
    }
}

/// Buy a reviewed number. From then on it is ours, and costs its fee, even if its set-up is left.
///
/// Needs an `Idempotency-Key`: the same key again answers how far the purchase is, and buys nothing. What a carrier did with
/// a request that broke off is found out by asking it; meanwhile the state is `unknown`. A purchase that the carrier
/// refuses is answered 201 too, with the state `refused`.
#[utoipa::path(post, path = "/api/v1/numbers/purchases", tag = "numbers", request_body = ToBuy,
    security(("key" = ["numbers.buy"])),
    params(("Idempotency-Key" = String, Header, description = "A key of your own, 1 to 200 characters")),
    responses(
        (status = 201, description = "The purchase has come to its end: see its state.", body = PurchaseView),
        (status = 202, description = "It is not decided yet: ask again at `Location`.", body = PurchaseView),
        (status = 400, description = "The key is missing.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such review any more.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The number is held, or another purchase of it is not settled.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The key was used for another purchase.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn buy_number(
    State(state): State<AppState>,
    Actor(actor): Actor,
    headers: HeaderMap,
    Json(ToBuy { review }): Json<ToBuy>,
) -> ApiResult<Response> {
    let key = idempotency_key(&headers)?;
    let purchase = state.numbers.buy(Order { review, key, actor }).await?;
    let location = format!("/api/v1/numbers/purchases/{}", purchase.id);
    if purchase.is_undecided() {
        return Ok(accepted(&location, PurchaseView::from(purchase)));
    }
    Ok((StatusCode::CREATED, axum::Json(PurchaseView::from(purchase))).into_response())
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PurchasesQuery {
    /// Purchases behind this id: the `next` of the page before.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: u32,
}

fn fifty() -> u32 {
    50
}

/// A page of purchases.
#[derive(Debug, Serialize, ToSchema)]
struct PurchasesView {
    /// The purchases, the oldest first.
    purchases: Vec<PurchaseView>,
    /// Pass as `after` for the next page; null at the end.
    next: Option<String>,
}

/// List purchases, the oldest first.
#[utoipa::path(get, path = "/api/v1/numbers/purchases", tag = "numbers", params(PurchasesQuery),
    security(("key" = ["numbers.read"])),
    responses(
        (status = 200, description = "A page of purchases.", body = PurchasesView),
        (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list_purchases(
    State(state): State<AppState>,
    Query(PurchasesQuery { after, limit }): Query<PurchasesQuery>,
) -> ApiResult<axum::Json<PurchasesView>> {
    if !(1..=500).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is {limit}, not 1 to 500.")));
    }
    let purchases = state.numbers.purchases(after, limit).await?;
    let full = u32::try_from(purchases.len()).is_ok_and(|count| count == limit);
    let next = purchases.last().filter(|_| full).map(|purchase| purchase.id.clone());
    Ok(axum::Json(PurchasesView { purchases: purchases.into_iter().map(PurchaseView::from).collect(), next }))
}

/// Read how far a purchase is.
#[utoipa::path(get, path = "/api/v1/numbers/purchases/{id}", tag = "numbers",
    security(("key" = ["numbers.read"])),
    params(("id" = String, Path, description = "The purchase, `po_…`")),
    responses(
        (status = 200, description = "The purchase.", body = PurchaseView),
        (status = 404, description = "No such purchase.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_purchase(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> ApiResult<axum::Json<PurchaseView>> {
    Ok(axum::Json(state.numbers.purchase(&id).await?.into()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// The carrier account that holds them, for example `manual`.
    carrier: String,
    /// Say only what would be done.
    #[serde(default)]
    dry_run: bool,
}

/// Take up numbers of an own trunk from a CSV file. With a fault in any line, none is taken up.
///
/// The first line names the columns: `number`, and if you like `sms`, `mms`, `city`, `region`, `country`. Numbers that are held
/// already stay as they are.
#[utoipa::path(post, path = "/api/v1/numbers/import", tag = "numbers", params(ImportQuery),
    security(("key" = ["numbers.buy"])),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, description = "What was done, or would be.", body = Imported),
        (status = 400, description = "The account's numbers are not imported.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such carrier account.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Lines have faults: `more.faults` names them all.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn import_numbers(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Query(ImportQuery { carrier, dry_run }): Query<ImportQuery>,
    csv: String,
) -> ApiResult<axum::Json<Imported>> {
    let imported = state.numbers.import(carrier, &csv, dry_run, actor).await?;
    if imported.faults.is_empty() {
        return Ok(axum::Json(imported));
    }
    let detail = format!("{} line(s) have faults; no number was taken up.", imported.faults.len());
    let remedy = "Correct what the faults name, and send the file again.";
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "lines_faulty", detail, remedy)
        .with(serde_json::json!({"faults": imported.faults})))
}
