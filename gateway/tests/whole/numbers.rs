//! Numbers over the router: searched and bought at the sandbox, set up, given back; own ones imported; accounts kept.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};

use crate::support::gateway::Gateway;

/// A gateway whose task for numbers runs.
fn running() -> Gateway {
    let gateway = Gateway::new();
    tokio::spawn(gateway.state.numbers.clone().go_on());
    gateway
}

async fn post_with_key(gateway: &Gateway, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", key)
        .body(Body::from(body.to_string()))
        .unwrap();
    gateway.send(request).await
}

async fn review(gateway: &Gateway, number: &str) -> Value {
    let body = json!({"carrier": "sandbox", "number": number});
    let (status, review) = gateway.ask("POST", "/api/v1/numbers/reviews", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{review}");
    review
}

/// A number of a search that is not gone when it is bought.
async fn found(gateway: &Gateway, query: &str) -> String {
    let (status, page) = gateway.get(&format!("/api/v1/numbers/available?limit=30&{query}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let numbers = page["numbers"].as_array().unwrap().iter().map(|one| one["number"].as_str().unwrap());
    numbers.filter(|number| !number.ends_with("0000")).map(str::to_owned).next().unwrap()
}

async fn buy(gateway: &Gateway, number: &str, key: &str) -> (StatusCode, Value) {
    let review = review(gateway, number).await;
    post_with_key(gateway, "/api/v1/numbers/purchases", key, &json!({"review": review["review"]})).await
}

/// Asks until it is as wanted.
async fn until(gateway: &Gateway, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..200 {
        let (_, answer) = gateway.get(path).await;
        if wanted(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} never came to be as wanted: {}", gateway.get(path).await.1)
}

#[tokio::test]
async fn a_search_opens_with_local_numbers_of_the_us_pages_them_and_shows_others_the_next_time() {
    let gateway = Gateway::new();
    let (_, first) = gateway.get("/api/v1/numbers/available").await;
    assert_eq!((first["carrier"].as_str(), first["found"].as_u64()), (Some("sandbox"), Some(30)));
    assert_eq!(first["numbers"].as_array().unwrap().len(), 10);
    let one = &first["numbers"][0];
    assert_eq!((one["country"].as_str(), one["type"].as_str()), (Some("US"), Some("local")));
    assert_eq!(
        (&one["capabilities"]["voice"], &one["monthly_fee"]["currency"]),
        (&json!(true), &json!("USD"))
    );
    let next = first["next"].as_str().unwrap();
    let (_, second) = gateway.get(&format!("/api/v1/numbers/available?after={next}")).await;
    assert_ne!(first["numbers"], second["numbers"]);
    let (_, last) = gateway.get(&format!("/api/v1/numbers/available?limit=30&after={next}")).await;
    assert_eq!((last["numbers"].as_array().unwrap().len(), &last["next"]), (20, &Value::Null));
    let (_, again) = gateway.get("/api/v1/numbers/available").await;
    assert_ne!(first["numbers"], again["numbers"]);
}

#[tokio::test]
async fn a_search_takes_one_way_to_search_and_says_what_to_do_instead_of_others() {
    let gateway = Gateway::new();
    let cases = [
        ("area_code=415&city=Denver", 400, "bad_request"),
        ("area_code=115", 400, "bad_request"),
        ("area_code=800", 400, "bad_request"),
        ("type=toll_free&area_code=415", 400, "bad_request"),
        ("type=toll_free&city=Denver", 400, "bad_request"),
        ("contains=G", 400, "bad_request"),
        ("contains=GL-AD", 400, "bad_request"),
        ("voice=false", 400, "bad_request"),
        ("limit=31", 400, "bad_request"),
        ("country=GB", 422, "country_not_searched"),
        ("carrier=manual", 422, "carrier_does_not"),
        ("carrier=none", 404, "no_such_carrier"),
        ("after=se_1.0", 404, "no_such_search"),
    ];
    for (query, status, code) in cases {
        let (answered, problem) = gateway.get(&format!("/api/v1/numbers/available?{query}")).await;
        assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{query}: {problem}");
    }
    let (_, glad) = gateway.get("/api/v1/numbers/available?contains=glad&limit=30").await;
    let numbers = glad["numbers"].as_array().unwrap();
    assert!(!numbers.is_empty());
    assert!(numbers.iter().all(|one| one["number"].as_str().unwrap().contains("4523")));
    assert_eq!(gateway.get("/api/v1/numbers/available?city=Franc").await.1["found"], json!(0));
    let (_, free) = gateway.get("/api/v1/numbers/available?type=toll_free&country=CA").await;
    assert!(free["numbers"].as_array().unwrap().iter().all(|one| one["type"] == "toll_free"));
}

#[tokio::test]
async fn a_purchase_needs_a_review_and_a_key_and_the_same_key_buys_nothing_more() {
    let gateway = running();
    let number = found(&gateway, "area_code=415&sms=true").await;
    let seen = review(&gateway, &number).await;
    assert_eq!(seen["monthly_fee"], json!({"amount": "1.15", "currency": "USD"}));
    assert_eq!(seen["city"], "San Francisco");
    assert_eq!(seen["warnings"].as_array().unwrap().len(), 2);
    let body = json!({"review": seen["review"]});
    let (status, problem) = gateway.ask("POST", "/api/v1/numbers/purchases", Some(body.clone())).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (400, Some("idempotency_key_needed")));
    let (status, bought) = post_with_key(&gateway, "/api/v1/numbers/purchases", "k1", &body).await;
    assert_eq!((status.as_u16(), bought["state"].as_str()), (201, Some("bought")), "{bought}");
    let (status, again) = post_with_key(&gateway, "/api/v1/numbers/purchases", "k1", &body).await;
    assert_eq!((status.as_u16(), &again["id"]), (201, &bought["id"]));
    let other = json!({"review": "rv_other"});
    let (status, problem) = post_with_key(&gateway, "/api/v1/numbers/purchases", "k1", &other).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (422, Some("key_reused")));
    let (status, problem) = post_with_key(&gateway, "/api/v1/numbers/purchases", "k2", &body).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("number_exists")), "{problem}");
    let purchase = bought["id"].as_str().unwrap();
    until(&gateway, &format!("/api/v1/numbers/purchases/{purchase}"), |one| one["pointed"] == true).await;
    let (_, number_now) = gateway.get(&format!("/api/v1/numbers/{number}")).await;
    assert_eq!(number_now["number"]["state"], "owned_idle");
    assert_eq!(number_now["number"]["setup"], "registration");
    assert_eq!(number_now["number"]["facts"]["carrier"], "sandbox");
    let (_, events) = gateway.get("/api/v1/events?after=0&type=number.changed").await;
    assert_eq!(events["events"][0]["data"]["number"], json!(number));
    let (_, draft) = gateway.get("/api/v1/routing/draft").await;
    assert!(
        draft["entry_points"].get(format!("sms/{number}")).is_some(),
        "its entry point for texts is there"
    );
    let (_, others) =
        gateway.get(&format!("/api/v1/numbers/available?contains={}", number.trim_start_matches("+1"))).await;
    assert_eq!(others["found"], json!(0), "what is sold is shown no more");
}

#[tokio::test]
async fn what_the_carrier_refuses_is_not_bought_and_holds_nothing_up() {
    let gateway = running();
    let (_, page) = gateway.get("/api/v1/numbers/available?contains=0000&limit=30").await;
    let numbers = page["numbers"].as_array().unwrap().iter().map(|one| one["number"].as_str().unwrap());
    let gone = numbers.filter(|number| number.ends_with("0000")).map(str::to_owned).next().unwrap();
    let (status, refused) = buy(&gateway, &gone, "k1").await;
    assert_eq!((status.as_u16(), refused["state"].as_str()), (201, Some("refused")));
    assert!(refused["detail"].as_str().unwrap().contains("somebody else"), "{refused}");
    assert_eq!(gateway.get(&format!("/api/v1/numbers/{gone}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.state.metrics.carrier.undecided.get(), 1, "counted until the task has looked");
    assert_eq!(buy(&gateway, &gone, "k2").await.1["state"], "refused");
}

#[tokio::test]
async fn a_number_goes_from_idle_to_a_direct_line_to_ivrs_and_back_in_one_step_each() {
    let gateway = running();
    let number = found(&gateway, "sms=true").await;
    buy(&gateway, &number, "k1").await;
    let path = format!("/api/v1/numbers/{number}/voice");
    let voice = async |body: Value| gateway.ask("POST", &path, Some(body)).await;
    let (status, set) = voice(json!({"active": true, "inbox": "ib_sales"})).await;
    assert_eq!((status.as_u16(), set["number"]["state"].as_str()), (200, Some("direct_line")), "{set}");
    assert_eq!(
        (&set["number"]["inbox"], &set["number"]["queue_wait_seconds"]),
        (&json!("ib_sales"), &json!(30))
    );
    let (_, set) = voice(json!({"queue_ivr": "ivr_waiting", "queue_wait_seconds": 60,
        "exits": {"ivr_short/exit": "ib_support"}}))
    .await;
    assert_eq!(set["number"]["state"], "ivr_linked");
    assert_eq!(set["warnings"][0]["severity"], "warning", "{set}");
    assert!(
        set["number"]["warnings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|w| w.as_str().unwrap().contains("60 seconds"))
    );
    let (status, problem) = voice(json!({"initial_ivr": "ivr_waiting"})).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (422, Some("routing_invalid")));
    let (_, same) = voice(json!({"active": true})).await;
    assert_eq!(same["revision"], Value::Null, "nothing changed, so nothing was published");
    let (_, set) = voice(json!({"queue_ivr": null})).await;
    assert_eq!(set["number"]["state"], "direct_line");
    let (_, set) = voice(json!({"active": false})).await;
    assert_eq!(set["number"]["state"], "owned_idle");
    let (status, _) =
        gateway.ask("POST", "/api/v1/numbers/+12125550100/voice", Some(json!({"active": true}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "not ours");
}

#[tokio::test]
async fn a_step_publishes_nothing_of_the_draft_and_stops_where_the_draft_edits_the_same() {
    let gateway = running();
    let number = found(&gateway, "").await;
    buy(&gateway, &number, "k1").await;
    let edit = json!({"name": "Renamed"});
    let (status, _) = gateway.ask("PUT", "/api/v1/routing/draft/inboxes/ib_sales", Some(edit)).await;
    assert!(status.is_success());
    let path = format!("/api/v1/numbers/{number}/voice");
    assert_eq!(gateway.ask("POST", &path, Some(json!({"active": true}))).await.0, StatusCode::OK);
    let (_, changes) = gateway.get("/api/v1/routing/draft/changes").await;
    assert!(changes["changes"].to_string().contains("Renamed"), "the edit is still unpublished: {changes}");
    let object = format!("/api/v1/routing/draft/numbers/{number}");
    gateway.ask("PUT", &object, Some(json!({"queue_wait_seconds": 40}))).await;
    let (status, problem) = gateway.ask("POST", &path, Some(json!({"active": false}))).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("draft_in_the_way")));
}

#[tokio::test]
async fn a_set_up_that_was_left_can_be_gone_on_with() {
    let gateway = running();
    let number = found(&gateway, "").await;
    buy(&gateway, &number, "k1").await;
    let path = format!("/api/v1/numbers/{number}/setup");
    let (_, set) = gateway.ask("PUT", &path, Some(json!({"step": "pick_ivr"}))).await;
    assert_eq!(set["setup"], "pick_ivr");
    let gateway = gateway.restarted();
    let (_, now) = gateway.get(&format!("/api/v1/numbers/{number}")).await;
    assert_eq!(now["number"]["setup"], "pick_ivr");
    let (status, _) = gateway.ask("PUT", &path, Some(json!({"step": "dance"}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, done) = gateway.ask("PUT", &path, Some(json!({"step": null}))).await;
    assert_eq!(done["setup"], Value::Null);
}

#[tokio::test]
async fn a_release_says_beforehand_what_goes_takes_routing_first_and_cools_down() {
    let gateway = running();
    let number = found(&gateway, "sms=true").await;
    buy(&gateway, &number, "k1").await;
    let voice = json!({"active": true, "initial_ivr": "ivr_main", "inbox": "ib_sales"});
    gateway.ask("POST", &format!("/api/v1/numbers/{number}/voice"), Some(voice)).await;
    let path = format!("/api/v1/numbers/{number}/release");
    let (_, notice) = gateway.get(&path).await;
    let entry_points = notice["entry_points"].as_array().unwrap();
    assert_eq!(entry_points.len(), 2, "{notice}");
    assert_eq!(notice["exceptions"], json!([format!("voice/{number}")]));
    assert_eq!((&notice["ivrs"], &notice["live_calls"]), (&json!(["ivr_main"]), &json!(0)));
    let (status, _) = gateway.ask("POST", &path, Some(json!({"confirm": "yes"}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    gateway.start("ct_1", &number).await;
    let (status, problem) = gateway.ask("POST", &path, Some(json!({"confirm": number}))).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("calls_live")), "{problem}");
    let (status, released) =
        gateway.ask("POST", &path, Some(json!({"confirm": number, "force": true}))).await;
    assert_eq!((status.as_u16(), released["state"].as_str()), (200, Some("releasing")), "{released}");
    until(&gateway, &format!("/api/v1/numbers/{number}"), |one| one["number"]["state"] == "released").await;
    let (_, draft) = gateway.get("/api/v1/routing/draft").await;
    assert!(draft["numbers"].get(&number).is_none());
    assert!(draft["entry_points"].get(format!("sms/{number}")).is_none());
    let body = json!({"carrier": "sandbox", "number": number});
    let (status, problem) = gateway.ask("POST", "/api/v1/numbers/reviews", Some(body)).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("number_exists")), "it cools down");
    let (status, problem) = gateway
        .ask("POST", "/api/v1/numbers/+14155550100/release", Some(json!({"confirm": "+14155550100"})))
        .await;
    assert_eq!(
        (status.as_u16(), problem["code"].as_str()),
        (409, Some("in_the_way")),
        "a test calls it: {problem}"
    );
}

#[tokio::test]
async fn numbers_of_an_own_trunk_are_imported_all_or_none() {
    let gateway = running();
    let send = async |query: &str, csv: &str| {
        let request = Request::post(format!("/api/v1/numbers/import?{query}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
            .header(header::CONTENT_TYPE, "text/csv")
            .body(Body::from(csv.to_owned()))
            .unwrap();
        gateway.send(request).await
    };
    let (status, problem) = send("carrier=manual", "number,sms\n+442071838750,yes\n0207,no\n").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["more"]["faults"][0]["line"], json!(3), "{problem}");
    assert_eq!(gateway.get("/api/v1/numbers/+442071838750").await.0, StatusCode::NOT_FOUND);
    let csv = "number,sms,city\n+442071838750,yes,London\n+14155550100,no,\n";
    let (_, planned) = send("carrier=manual&dry_run=true", csv).await;
    assert_eq!((&planned["added"], &planned["known"]), (&json!(1), &json!(1)));
    assert_eq!(gateway.get("/api/v1/numbers/+442071838750").await.0, StatusCode::NOT_FOUND);
    let (_, done) = send("carrier=manual", csv).await;
    assert_eq!(done["added"], json!(1));
    let (_, london) = gateway.get("/api/v1/numbers/+442071838750").await;
    assert_eq!(london["number"]["facts"]["city"], "London");
    assert_eq!(send("carrier=sandbox", csv).await.0, StatusCode::BAD_REQUEST);
    let typed = json!({"number": "+4930901820", "carrier": "manual", "sms": false});
    assert_eq!(gateway.ask("POST", "/api/v1/numbers", Some(typed)).await.0, StatusCode::CREATED);
    let confirm = json!({"confirm": "+4930901820"});
    gateway.ask("POST", "/api/v1/numbers/+4930901820/release", Some(confirm)).await;
    until(&gateway, "/api/v1/numbers/+4930901820", |one| one["number"]["state"] == "released").await;
}

#[tokio::test]
async fn an_account_that_holds_numbers_stays_and_wrong_ones_are_refused() {
    let gateway = running();
    let number = found(&gateway, "carrier=sandbox").await;
    buy(&gateway, &number, "k1").await;
    let (status, problem) = gateway.ask("DELETE", "/api/v1/carriers/sandbox", None).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("in_the_way")));
    assert_eq!(gateway.ask("DELETE", "/api/v1/carriers/manual", None).await.0, StatusCode::NO_CONTENT);
    let cases = [
        ("A", json!({"kind": "sandbox", "name": "x"}), 400),
        ("a", json!({"kind": "pigeon", "name": "x"}), 400),
        ("a", json!({"kind": "sandbox", "name": ""}), 400),
        ("a", json!({"kind": "sandbox", "name": "x", "settings": {"wings": "2"}}), 400),
        ("sandbox", json!({"kind": "manual", "name": "x"}), 400),
    ];
    for (id, body, status) in cases {
        let (answered, problem) = gateway.ask("PUT", &format!("/api/v1/carriers/{id}"), Some(body)).await;
        assert_eq!(answered.as_u16(), status, "{problem}");
    }
    let (_, tested) = gateway.ask("POST", "/api/v1/carriers/sandbox/test", None).await;
    assert!(tested["says"].as_str().unwrap().contains("sandbox"));
}

fn form(business: &str) -> Value {
    json!({
        "business_name": business, "entity_type": "PRIVATE_PROFIT", "vertical": "RETAIL", "registration_number": "12-3456789",
        "website": "https://example.com", "email": "ann@example.com", "street": "1 Main St", "city": "Denver", "region": "CO",
        "postal_code": "80202", "country": "US", "contact_first_name": "Ann", "contact_last_name": "Lee",
        "contact_phone": "+13035550100", "use_case": "CUSTOMER_CARE", "description": "Answers to customers",
        "message_flow": "Customers write first", "sample_1": "Acme: your order is on its way",
        "sample_2": "Acme: how can we help?", "opt_in_type": "WEB_FORM", "opt_in_image_urls": "https://example.com/a.png",
        "message_volume": "1,000",
    })
}

async fn register(gateway: &Gateway, kind: &str, business: &str, number: &str) -> (StatusCode, Value) {
    let body = json!({"carrier": "sandbox", "kind": kind, "form": form(business), "numbers": [number]});
    gateway.ask("POST", "/api/v1/numbers/registrations", Some(body)).await
}

async fn until_sms(gateway: &Gateway, number: &str, state: &str) -> Value {
    until(gateway, &format!("/api/v1/numbers/{number}"), |one| one["number"]["sms"]["state"] == state).await
}

#[tokio::test]
async fn a_campaign_is_approved_and_a_second_number_joins_it_without_a_form() {
    let gateway = running();
    let number = found(&gateway, "sms=true").await;
    buy(&gateway, &number, "k1").await;
    let (status, registration) = register(&gateway, "ten_dlc", "Acme", &number).await;
    assert_eq!(
        (status.as_u16(), registration["status"]["state"].as_str()),
        (201, Some("submitted")),
        "{registration}"
    );
    until_sms(&gateway, &number, "approved").await;
    let (_, events) = gateway.get("/api/v1/events?after=0&type=registration.changed").await;
    let mut states: Vec<_> =
        events["events"].as_array().unwrap().iter().map(|e| e["data"]["sms"]["state"].clone()).collect();
    // Who asks late finds the review already over.
    states.retain(|state| state != "in_review");
    assert_eq!(states, ["submitted", "approved"].map(Value::from));
    let second = found(&gateway, "sms=true").await;
    buy(&gateway, &second, "k2").await;
    until_sms(&gateway, &second, "approved").await;
    let (status, problem) = register(&gateway, "ten_dlc", "Acme", &second).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("in_the_way")));
    let (status, problem) = register(&gateway, "toll_free", "Acme", &second).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (400, Some("bad_request")), "{problem}");
}

#[tokio::test]
async fn a_rejected_verification_is_corrected_and_goes_its_way_again() {
    let gateway = running();
    let number = found(&gateway, "type=toll_free&sms=true").await;
    buy(&gateway, &number, "k1").await;
    let (_, now) = gateway.get(&format!("/api/v1/numbers/{number}")).await;
    assert!(now["number"]["warnings"][0].as_str().unwrap().contains("not verified"));
    let body =
        json!({"carrier": "sandbox", "kind": "toll_free", "form": {"website": "x"}, "numbers": [number]});
    let (status, problem) = gateway.ask("POST", "/api/v1/numbers/registrations", Some(body)).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (422, Some("form_incomplete")));
    assert!(problem["more"]["faults"].as_array().unwrap().len() > 10);
    let (_, registration) = register(&gateway, "toll_free", "Please reject", &number).await;
    let rejected = until_sms(&gateway, &number, "rejected").await;
    assert!(
        rejected["number"]["sms"]["reasons"][0].as_str().unwrap().contains("customers agree"),
        "{rejected}"
    );
    let path = format!("/api/v1/numbers/registrations/{}", registration["id"].as_str().unwrap());
    assert_eq!(gateway.get(&path).await.1["editable"], json!(true));
    let (status, corrected) = gateway.ask("PUT", &path, Some(json!({"form": form("Please update")}))).await;
    assert_eq!(
        (status.as_u16(), corrected["status"]["state"].as_str()),
        (200, Some("submitted")),
        "{corrected}"
    );
    let asked = until_sms(&gateway, &number, "update_required").await;
    assert!(asked["number"]["sms"]["deadline"].is_string());
    gateway.ask("PUT", &path, Some(json!({"form": form("Acme")}))).await;
    until_sms(&gateway, &number, "approved").await;
    let (status, problem) = gateway.ask("PUT", &path, Some(json!({"form": form("Acme")}))).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("in_the_way")));
}

#[tokio::test]
async fn a_port_arrives_by_itself_at_the_sandbox_and_by_word_elsewhere() {
    let gateway = running();
    let order = |carrier: &str, number: &str, account: &str| json!({"carrier": carrier, "kind": "port", "numbers": [number], "form": {"account": account}});
    let path = "/api/v1/numbers/transfers";
    let (status, port) = gateway.ask("POST", path, Some(order("sandbox", "+13035550111", "77"))).await;
    assert_eq!((status.as_u16(), port["status"]["state"].as_str()), (201, Some("submitted")), "{port}");
    let (_, number) = gateway.get("/api/v1/numbers/+13035550111").await;
    assert_eq!(number["number"]["state"], "porting");
    until(&gateway, "/api/v1/numbers/+13035550111", |one| one["number"]["state"] == "owned_idle").await;
    let id = port["id"].as_str().unwrap();
    until(&gateway, &format!("{path}/{id}"), |one| one["status"]["state"] == "completed").await;
    let (status, problem) = gateway.ask("POST", path, Some(order("sandbox", "+13035550111", "77"))).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (409, Some("number_exists")), "{problem}");
    let (_, stuck) = gateway.ask("POST", path, Some(order("sandbox", "+13035550112", "0000"))).await;
    let stuck = format!("{path}/{}", stuck["id"].as_str().unwrap());
    until(&gateway, &stuck, |one| one["status"]["state"] == "action_needed").await;
    let cancel = json!({"event": "cancelled", "reason": "wrong account"});
    gateway.ask("POST", &format!("{stuck}/events"), Some(cancel)).await;
    assert_eq!(gateway.get("/api/v1/numbers/+13035550112").await.1["number"]["state"], "released");
    let (_, again) = gateway.ask("POST", path, Some(order("manual", "+13035550112", "77"))).await;
    let again = format!("{path}/{}/events", again["id"].as_str().unwrap());
    let on = json!({"event": "scheduled", "on": "2026-12-01T10:00:00Z"});
    assert_eq!(gateway.ask("POST", &again, Some(on)).await.1["status"]["state"], "scheduled");
    gateway.ask("POST", &again, Some(json!({"event": "completed"}))).await;
    let (_, number) = gateway.get("/api/v1/numbers/+13035550112").await;
    assert_eq!(
        (&number["number"]["state"], &number["number"]["setup"]),
        (&json!("owned_idle"), &json!("registration"))
    );
    let twice = json!({"carrier": "manual", "kind": "port", "numbers": ["+13035550113", "+13035550113"], "form": {"account": "77"}});
    let (status, problem) = gateway.ask("POST", path, Some(twice)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    assert_eq!(gateway.get("/api/v1/numbers/+13035550113").await.0, StatusCode::NOT_FOUND);
    let forward = json!({"carrier": "manual", "kind": "forward", "numbers": ["+442071838751"], "forward_to": "+13035550112"});
    let (status, _) = gateway.ask("POST", path, Some(forward)).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, number) = gateway.get("/api/v1/numbers/+442071838751").await;
    assert_eq!(
        (&number["number"]["state"], &number["number"]["sms"]["state"]),
        (&json!("forwarding"), &json!("not_capable"))
    );
    // By which another company knows its customer, stands in no line of the audit log.
    let (_, log) = gateway.get("/api/v1/audit?action=transfer&limit=100").await;
    let told = log["lines"].as_array().unwrap().iter();
    let accounts: Vec<&Value> = told.filter_map(|line| line["after"]["form"].get("account")).collect();
    assert!(!accounts.is_empty() && accounts.iter().all(|account| *account == "…"), "{log}");
}

#[tokio::test]
async fn a_test_call_is_watched_from_its_arrival_to_its_end() {
    let gateway = Gateway::new();
    let path = "/api/v1/numbers/+14155550100/test-call";
    assert_eq!(gateway.get(path).await.1["code"], "no_test_call");
    gateway.start("ct_before", "+14155550100").await;
    let (status, opened) = gateway.ask("POST", path, Some(json!({"seconds": 30}))).await;
    assert_eq!((status.as_u16(), opened["state"].as_str()), (201, Some("waiting")));
    gateway.start("ct_other", "+14155550101").await;
    let live = gateway.state.live.enter("ct_mine".into()).unwrap();
    gateway.start("ct_mine", "+14155550100").await;
    let arrived = until(&gateway, path, |call| call["state"] == "arrived").await;
    assert_eq!((&arrived["contact"], &arrived["from"]), (&json!("ct_mine"), &json!("+14155550199")));
    live.update(|state| {
        state.answered = Some(jiff::Timestamp::now());
        state.heard = true;
    });
    for key in "123".chars() {
        live.pressed(key);
    }
    let heard = until(&gateway, path, |call| call["keys"] == "123").await;
    assert_eq!((&heard["state"], &heard["heard"]), (&json!("answered"), &json!(true)));
    gateway.end("ct_mine").await;
    drop(live);
    let ended = until(&gateway, path, |call| call["state"] == "ended").await;
    assert_eq!(
        (&ended["keys"], &ended["outcome"]["reason"]),
        (&json!("123"), &json!("completed")),
        "{ended}"
    );
    assert_eq!(gateway.ask("DELETE", path, None).await.0, StatusCode::NO_CONTENT);
    let (status, _) = gateway.ask("POST", "/api/v1/numbers/+12125550100/test-call", Some(json!({}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "not ours");
}
