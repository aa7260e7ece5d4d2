//! Purchases at a carrier that misbehaves: it commits and then times out, breaks off, fails, is slow, or says that it is busy.
//! Nothing is bought twice, nothing is lost, also over a restart.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderMap, Request, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::gateway::Gateway;

const SID: &str = "AC00000000000000000000000000000001";
const SECRET: &str = "hush-hush-of-the-carrier";
const NUMBER: &str = "+14155551212";

/// What the carrier does with a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Does it, and answers.
    None,
    /// Does it, and never answers.
    CommitsAndHangs,
    /// Does it, and the answer breaks off.
    CommitsAndBreaksOff,
    /// Does it, and answers with a status.
    CommitsAndSays(u16),
    /// Does it, and answers late, but in time.
    CommitsSlowly,
    /// Does nothing, and answers with a status.
    Says(u16),
    /// Does nothing, and never answers.
    Hangs,
}

/// A carrier with a memory.
#[derive(Clone, Default)]
struct Carrier {
    /// Numbers that we have there, with the names that we gave them.
    held: Arc<Mutex<BTreeMap<String, String>>>,
    /// Purchases that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
    /// Purchases that were made, and charged.
    sold: Arc<Mutex<Vec<String>>>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    /// Statuses of the next answers to anything else.
    other: Arc<Mutex<VecDeque<u16>>>,
    /// Looks that were asked for.
    looks: Arc<Mutex<usize>>,
}

impl Carrier {
    async fn open() -> (Self, String) {
        let carrier = Self::default();
        let router = Router::new()
            .route("/2010-04-01/Accounts/{account}/IncomingPhoneNumbers.json", get(list).post(buy))
            .route("/2010-04-01/Accounts/{account}/IncomingPhoneNumbers/{file}", delete(release).post(point))
            .route("/2010-04-01/Accounts/{account}/AvailablePhoneNumbers/{country}/{kind}", get(search))
            .route("/2010-04-01/Accounts/{file}", get(account))
            .route("/v1/PhoneNumbers/Countries/{country}", get(prices))
            .with_state(carrier.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, router).await });
        (carrier, address)
    }

    fn will(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }

    fn commit(&self, number: &str, name: &str) {
        self.held.lock().unwrap().insert(number.to_owned(), name.to_owned());
        self.sold.lock().unwrap().push(number.to_owned());
    }

    fn sold(&self) -> usize {
        self.sold.lock().unwrap().len()
    }

    /// The status to answer with, when it is to fail.
    fn failure(&self) -> Option<Response> {
        let status = self.other.lock().unwrap().pop_front()?;
        Some(StatusCode::from_u16(status).unwrap().into_response())
    }
}

fn sid(number: &str) -> String {
    format!("PN{:0>32}", number.trim_start_matches('+'))
}

fn held(number: &str, name: &str) -> Value {
    json!({"sid": sid(number), "phone_number": number, "friendly_name": name, "capabilities": {"voice": true, "sms": true}})
}

async fn buy(State(carrier): State<Carrier>, headers: HeaderMap, body: Bytes) -> Response {
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let (number, name) = (form["PhoneNumber"].clone(), form["FriendlyName"].clone());
    assert!(headers["authorization"].to_str().unwrap().starts_with("Basic "));
    carrier.asked.lock().unwrap().push(number.clone());
    let fault = carrier.faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
    if carrier.held.lock().unwrap().contains_key(&number) {
        let refused = json!({"code": 21422, "message": "not available"});
        return (StatusCode::BAD_REQUEST, axum::Json(refused)).into_response();
    }
    if !matches!(fault, Fault::Says(_) | Fault::Hangs) {
        carrier.commit(&number, &name);
    }
    match fault {
        Fault::CommitsAndHangs | Fault::Hangs => std::future::pending().await,
        Fault::CommitsAndSays(status) | Fault::Says(status) => {
            (StatusCode::from_u16(status).unwrap(), "<html>").into_response()
        }
        Fault::CommitsAndBreaksOff => {
            let broken = std::io::Error::other("broken");
            let parts = [Ok(Bytes::from("{\"sid\": \"PN")), Err(broken)];
            (StatusCode::CREATED, Body::from_stream(futures_util::stream::iter(parts))).into_response()
        }
        Fault::CommitsSlowly => {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            (StatusCode::CREATED, axum::Json(held(&number, &name))).into_response()
        }
        Fault::None => (StatusCode::CREATED, axum::Json(held(&number, &name))).into_response(),
    }
}

async fn list(State(carrier): State<Carrier>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    *carrier.looks.lock().unwrap() += 1;
    if let Some(failure) = carrier.failure() {
        return failure;
    }
    let all = carrier.held.lock().unwrap();
    let found: Vec<Value> = all
        .iter()
        .filter(|(number, _)| query.get("PhoneNumber").is_none_or(|wanted| wanted == *number))
        .map(|(number, name)| held(number, name))
        .collect();
    axum::Json(json!({"incoming_phone_numbers": found})).into_response()
}

async fn release(State(carrier): State<Carrier>, Path((_, file)): Path<(String, String)>) -> Response {
    if let Some(failure) = carrier.failure() {
        return failure;
    }
    let mut all = carrier.held.lock().unwrap();
    let before = all.len();
    all.retain(|number, _| format!("{}.json", sid(number)) != file);
    let gone = json!({"code": 20404, "message": "not found"});
    if all.len() < before {
        StatusCode::NO_CONTENT.into_response()
    } else {
        (StatusCode::NOT_FOUND, axum::Json(gone)).into_response()
    }
}

async fn point(State(carrier): State<Carrier>, body: Bytes) -> Response {
    if let Some(failure) = carrier.failure() {
        return failure;
    }
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    assert_eq!(form["SmsUrl"], "https://gw.example.com/webhooks/tw");
    axum::Json(json!({})).into_response()
}

async fn search(
    State(carrier): State<Carrier>,
    Path((_, country, kind)): Path<(String, String, String)>,
) -> Response {
    if let Some(failure) = carrier.failure() {
        return failure;
    }
    assert_eq!((country.as_str(), kind.as_str()), ("US", "Local.json"));
    let can = json!({"voice": true, "SMS": true, "MMS": true});
    let one = json!({"phone_number": NUMBER, "locality": "San Francisco", "region": "CA", "iso_country": "US", "capabilities": can});
    axum::Json(json!({"available_phone_numbers": [one]})).into_response()
}

async fn account(headers: HeaderMap) -> Response {
    let wanted =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{SID}:{SECRET}"));
    if headers["authorization"] != format!("Basic {wanted}").as_str() {
        let refused = json!({"code": 20003, "message": "Authenticate"});
        return (StatusCode::UNAUTHORIZED, axum::Json(refused)).into_response();
    }
    axum::Json(json!({"friendly_name": "Acme"})).into_response()
}

async fn prices() -> Response {
    let local = json!({"number_type": "local", "current_price": "1.15"});
    axum::Json(json!({"price_unit": "usd", "phone_number_prices": [local]})).into_response()
}

async fn with_carrier() -> (Gateway, Carrier) {
    let (carrier, api) = Carrier::open().await;
    let gateway = Gateway::new();
    let settings = json!({"account_sid": SID, "api": api, "messaging_api": api, "pricing_api": api,
        "sms_url": "https://gw.example.com/webhooks/tw"});
    let account =
        json!({"kind": "twilio", "name": "Ours", "settings": settings, "secrets": {"secret": SECRET}});
    let (status, answer) = gateway.ask("PUT", "/api/v1/carriers/tw", Some(account)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    tokio::spawn(gateway.state.numbers.clone().go_on());
    (gateway, carrier)
}

async fn review(gateway: &Gateway) -> String {
    let body = json!({"carrier": "tw", "number": NUMBER});
    let (status, review) = gateway.ask("POST", "/api/v1/numbers/reviews", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{review}");
    review["review"].as_str().unwrap().to_owned()
}

async fn post(gateway: &Gateway, review: &str, key: &str) -> (StatusCode, Value) {
    let request = Request::post("/api/v1/numbers/purchases")
        .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Body::from(json!({"review": review}).to_string()))
        .unwrap();
    gateway.send(request).await
}

async fn settled(gateway: &Gateway, id: &Value, wanted: &str) -> Value {
    let path = format!("/api/v1/numbers/purchases/{}", id.as_str().unwrap());
    for _ in 0..400 {
        let (_, purchase) = gateway.get(&path).await;
        if purchase["state"] == wanted {
            return purchase;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never {wanted}: {}", gateway.get(&path).await.1)
}

#[tokio::test]
async fn a_carrier_that_commits_and_then_misbehaves_has_sold_once_and_the_number_is_ours() {
    for fault in [
        Fault::CommitsAndHangs,
        Fault::CommitsAndBreaksOff,
        Fault::CommitsAndSays(500),
        Fault::CommitsAndSays(503),
        Fault::CommitsAndSays(429),
        Fault::CommitsSlowly,
        Fault::None,
    ] {
        let (gateway, carrier) = with_carrier().await;
        carrier.will(fault);
        let review = review(&gateway).await;
        let (status, purchase) = post(&gateway, &review, "k").await;
        let at_once = matches!(fault, Fault::None | Fault::CommitsSlowly);
        assert_eq!(status.as_u16(), if at_once { 201 } else { 202 }, "{fault:?}: {purchase}");
        let (_, again) = post(&gateway, &review, "k").await;
        assert_eq!(again["id"], purchase["id"], "{fault:?}");
        let bought = settled(&gateway, &purchase["id"], "bought").await;
        assert_eq!(bought["monthly_fee"], json!({"amount": "1.15", "currency": "USD"}));
        assert_eq!((carrier.asked.lock().unwrap().len(), carrier.sold()), (1, 1), "{fault:?}");
        let (_, number) = gateway.get(&format!("/api/v1/numbers/{NUMBER}")).await;
        assert_eq!(number["number"]["state"], "owned_idle", "{fault:?}");
    }
}

#[tokio::test]
async fn while_it_is_not_known_nobody_buys_the_number_and_the_carrier_is_asked_before_anything_else() {
    let (gateway, carrier) = with_carrier().await;
    carrier.will(Fault::Hangs);
    let seen = review(&gateway).await;
    let (_, purchase) = post(&gateway, &seen, "k1").await;
    assert_eq!(purchase["state"], "unknown", "{purchase}");
    let (status, problem) = post(&gateway, &seen, "k2").await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("in_the_way")), "{problem}");
    // An answer of the carrier that is none settles nothing.
    carrier.other.lock().unwrap().extend([500, 500, 500]);
    settled(&gateway, &purchase["id"], "not_bought").await;
    assert_eq!((carrier.asked.lock().unwrap().len(), carrier.sold()), (1, 0));
    assert!(*carrier.looks.lock().unwrap() > 4);
    let (status, bought) = post(&gateway, &review(&gateway).await, "k3").await;
    assert_eq!((status.as_u16(), bought["state"].as_str()), (201, Some("bought")), "{bought}");
    assert_eq!(carrier.sold(), 1);
}

#[tokio::test]
async fn a_purchase_that_comes_through_late_is_ours_and_is_not_made_again() {
    let (gateway, carrier) = with_carrier().await;
    carrier.will(Fault::Says(500));
    let (_, purchase) = post(&gateway, &review(&gateway).await, "k1").await;
    settled(&gateway, &purchase["id"], "not_bought").await;
    let seen = review(&gateway).await;
    carrier.commit(NUMBER, purchase["id"].as_str().unwrap());
    let (_, second) = post(&gateway, &seen, "k2").await;
    assert_eq!(second["state"], "refused", "{second}");
    assert_eq!(settled(&gateway, &purchase["id"], "bought").await["number"], NUMBER);
    assert_eq!((carrier.asked.lock().unwrap().len(), carrier.sold()), (1, 1));
}

#[tokio::test]
async fn a_purchase_in_the_middle_of_which_the_gateway_ends_is_found_by_the_next_one() {
    for fault in [Fault::CommitsAndHangs, Fault::Hangs] {
        let (gateway, carrier) = with_carrier().await;
        carrier.will(fault);
        let review = review(&gateway).await;
        let asking = async { post(&gateway, &review, "k1").await };
        assert!(tokio::time::timeout(Duration::from_millis(700), asking).await.is_err(), "it hangs");
        let (_, page) = gateway.get("/api/v1/numbers/purchases").await;
        assert_eq!(
            page["purchases"][0]["state"], "asking",
            "it is written down before the carrier is asked: {page}"
        );
        let gateway = gateway.restarted();
        tokio::spawn(gateway.state.numbers.clone().go_on());
        let wanted = if fault == Fault::Hangs { "not_bought" } else { "bought" };
        settled(&gateway, &page["purchases"][0]["id"], wanted).await;
        assert_eq!(carrier.asked.lock().unwrap().len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn two_requests_with_one_key_at_a_time_buy_once() {
    let (gateway, carrier) = with_carrier().await;
    carrier.will(Fault::CommitsSlowly);
    let review = review(&gateway).await;
    let (first, second) = tokio::join!(post(&gateway, &review, "k"), post(&gateway, &review, "k"));
    assert_eq!(first.1["id"], second.1["id"], "{first:?} {second:?}");
    settled(&gateway, &first.1["id"], "bought").await;
    assert_eq!((carrier.asked.lock().unwrap().len(), carrier.sold()), (1, 1));
}

#[tokio::test]
async fn what_changes_nothing_twice_is_tried_again_until_the_carrier_has_done_it() {
    let (gateway, carrier) = with_carrier().await;
    carrier.other.lock().unwrap().extend([500, 429]);
    let (status, page) = gateway.get("/api/v1/numbers/available?carrier=tw").await;
    assert_eq!((status.as_u16(), page["found"].as_u64()), (200, Some(1)), "{page}");
    let (_, purchase) = post(&gateway, &review(&gateway).await, "k").await;
    settled(&gateway, &purchase["id"], "bought").await;
    carrier.other.lock().unwrap().extend([500; 4]);
    let path = format!("/api/v1/numbers/{NUMBER}/release");
    let (status, _) = gateway.ask("POST", &path, Some(json!({"confirm": NUMBER}))).await;
    assert_eq!(status, StatusCode::OK);
    for _ in 0..400 {
        let (_, number) = gateway.get(&format!("/api/v1/numbers/{NUMBER}")).await;
        if number["number"]["state"] == "released" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(gateway.get(&format!("/api/v1/numbers/{NUMBER}")).await.1["number"]["state"], "released");
    assert!(carrier.held.lock().unwrap().is_empty());
}

#[tokio::test]
async fn secrets_are_sealed_never_shown_and_read_again_after_the_master_key_was_changed() {
    let (gateway, _carrier) = with_carrier().await;
    let (_, account) = gateway.get("/api/v1/carriers/tw").await;
    assert_eq!(account["secrets"], json!(["secret"]));
    let shown = gateway.get("/api/v1/carriers").await.1.to_string();
    assert!(!shown.contains(SECRET));
    let (_, tested) = gateway.ask("POST", "/api/v1/carriers/tw/test", None).await;
    assert_eq!(tested["says"], "Acme");
    let (_, rotated) = gateway.ask("POST", "/api/v1/carriers/rotate-master-key", None).await;
    assert_eq!(rotated["resealed"], json!(1));
    // Without the secret in the request it stays as it is.
    let mut changed = json!({"kind": "twilio", "name": "Renamed", "settings": account["settings"]});
    assert_eq!(gateway.ask("PUT", "/api/v1/carriers/tw", Some(changed.clone())).await.0, StatusCode::OK);
    let gateway = gateway.restarted();
    assert_eq!(gateway.ask("POST", "/api/v1/carriers/tw/test", None).await.1["says"], "Acme");
    for entry in std::fs::read_dir(gateway.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        let clear = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!clear, "the secret stands in {}", path.display());
    }
    changed["secrets"] = json!({"secret": "wrong"});
    gateway.ask("PUT", "/api/v1/carriers/tw", Some(changed)).await;
    let (status, problem) = gateway.ask("POST", "/api/v1/carriers/tw/test", None).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (422, Some("carrier_refused")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("Authenticate"));
}
