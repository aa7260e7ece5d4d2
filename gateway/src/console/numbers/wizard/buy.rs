//! The way to a new number: search, review, buy, and wait for the carrier's word.

use askama::Template;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query},
    http::{Method, Request, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::{Frame, Purchase, address};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown, answered},
        form::Form,
        numbers::{Carrier, Facts, carriers, need, sentences, shown},
        page,
        shell::{Section, Shell},
        words::encoded,
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/numbers/set-up/search", get(search))
        .route("/console/numbers/set-up/review", get(review))
        .route("/console/numbers/set-up/buy", post(buy))
        .route("/console/numbers/set-up/purchases/{id}", get(purchase))
}

/// Rows of a search: the carrier is asked for no more.
const ROWS: usize = 30;

/// What is searched for, as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Sought {
    carrier: String,
    country: String,
    #[serde(rename = "type")]
    kind: String,
    sms: String,
    mms: String,
    /// What `what` is: `area_code`, `city` or `contains`.
    by: String,
    what: String,
}

impl Sought {
    /// The API's path for it.
    fn path(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &ROWS.to_string());
        for (name, value) in [("carrier", &self.carrier), ("country", &self.country), ("type", &self.kind)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        for (name, value) in [("sms", &self.sms), ("mms", &self.mms)] {
            if !value.is_empty() {
                query.append_pair(name, "true");
            }
        }
        let what = self.what.trim();
        if !what.is_empty() {
            let by = if self.by.is_empty() { "area_code" } else { self.by.as_str() };
            query.append_pair(by, what);
        }
        format!("/api/v1/numbers/available?{}", query.finish())
    }
}

/// A number for sale.
#[derive(Clone, Debug, Deserialize)]
struct Offer {
    number: String,
    #[serde(flatten)]
    facts: Facts,
}

impl Offer {
    fn shown(&self) -> String {
        shown(&self.number)
    }
}

#[derive(Default, Deserialize)]
struct Found {
    carrier: String,
    numbers: Vec<Offer>,
}

#[derive(Template)]
#[template(path = "numbers/wizard/search.html")]
struct SearchPage {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    sought: Sought,
    carriers: Vec<Carrier>,
    found: Found,
}

async fn search(desk: Desk, Query(sought): Query<Sought>) -> Shown {
    need(&desk, Permission::NumbersBuy)?;
    let carriers: Vec<Carrier> = carriers(&desk).await?.into_iter().filter(|one| one.sells).collect();
    // Nothing to ask where nobody sells, and numbers of other countries come in other ways.
    let asks = !carriers.is_empty() && sought.country != "other";
    let (found, faults) = match asks {
        false => (Found::default(), Vec::new()),
        true => match desk.get::<Found>(&sought.path()).await {
            Ok(found) => (found, Vec::new()),
            Err(refused) => (Found::default(), sentences(&refused)),
        },
    };
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let shell = desk.shell(Some(Section::Numbers), "A new number").await?;
    let page = SearchPage { shell, frame: Frame::before(), faults, sought, carriers, found };
    Ok((status, page::shown(page)).into_response())
}

/// The number that was chosen.
#[derive(Deserialize)]
struct Chosen {
    carrier: String,
    number: String,
}

/// What a purchase would mean, as the API tells it.
#[derive(Deserialize)]
struct Review {
    review: String,
    number: String,
    #[serde(flatten)]
    facts: Facts,
    usage_note: String,
    warnings: Vec<String>,
}

#[derive(Template)]
#[template(path = "numbers/wizard/review.html")]
struct ReviewPage {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    review: Review,
    shown: String,
    carrier: String,
    /// Named with the purchase: the same form sent twice buys once.
    key: String,
}

async fn review(desk: Desk, Query(Chosen { carrier, number }): Query<Chosen>) -> Shown {
    need(&desk, Permission::NumbersBuy)?;
    let chosen = json!({"carrier": carrier, "number": number});
    let answer = match desk.send(Method::POST, "/api/v1/numbers/reviews", Some(&chosen)).await {
        Ok(answer) => answer,
        Err(refused) if refused.status == 409 => return Ok(page::not_done(SEARCH, &refused)),
        Err(refused) => return Err(refused),
    };
    let review: Review = serde_json::from_value(answer).map_err(|error| unreadable(&error))?;
    Ok(page::shown(ReviewPage {
        shell: desk.shell(Some(Section::Numbers), "Review and buy").await?,
        frame: Frame::before(),
        faults: Vec::new(),
        shown: shown(&review.number),
        key: crate::numbers::new_id("by"),
        carrier,
        review,
    }))
}

const SEARCH: &str = "/console/numbers/set-up/search";

fn unreadable(what: &dyn std::fmt::Display) -> Refused {
    let detail = format!("The gateway's own API gave an answer that this page cannot read: {what}.");
    Refused::new(500, "answer_unreadable", detail, "Report it with the gateway's log.")
}

async fn buy(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    match order(&desk, form.text("review"), form.text("key")).await {
        Ok(purchase) => {
            let to = format!("/console/numbers/set-up/purchases/{}", encoded(&purchase.id));
            Ok(Redirect::to(&to).into_response())
        }
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) if refused.status == 409 => Ok(page::not_done(SEARCH, &refused)),
        // The review is forgotten, or the store is away: the same number is reviewed once more.
        Err(refused) => {
            let (carrier, number) = (encoded(form.text("carrier")), encoded(form.text("number")));
            let again = format!("/console/numbers/set-up/review?carrier={carrier}&number={number}");
            Ok(page::not_done(&again, &refused))
        }
    }
}

async fn order(desk: &Desk, review: &str, key: &str) -> Result<Purchase, Refused> {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/numbers/purchases")
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Body::from(json!({"review": review}).to_string()))
        .map_err(|error| unreadable(&error))?;
    let (_, bytes) = answered(desk.pass(request).await).await?;
    serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))
}

#[derive(Template)]
#[template(path = "numbers/wizard/purchase.html")]
struct PurchasePage {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    purchase: Purchase,
}

/// How a purchase is getting on; once it is done, on to the set-up.
async fn purchase(desk: Desk, Path(id): Path<String>) -> Shown<Response> {
    let purchase: Purchase = desk.get(&format!("/api/v1/numbers/purchases/{}", encoded(&id))).await?;
    if purchase.state == "bought" {
        let words = format!("{} is yours. It stays so even if you leave the set-up here.", purchase.shown());
        return Ok(page::done(&address(&purchase.number, None), &words));
    }
    let shell = desk.shell(Some(Section::Numbers), "Buying").await?;
    let page = PurchasePage { shell, frame: Frame::before(), faults: Vec::new(), purchase };
    Ok(page::shown(page))
}
