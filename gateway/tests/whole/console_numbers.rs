//! The console's pages of numbers, by forms alone: voice is set up by every way that the set-up knows, numbers are
//! changed and given back, registrations handed in, accounts kept. Hostile words stay words; who may not act, cannot.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use vestibule::api;
use vestibule_config::{
    carrier::{Purchase, PurchaseState},
    number::NumberFacts,
};

use crate::support::{
    gateway::Gateway,
    reader::{Form, Reader},
};

const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"></script><script>alert(1)</script>'&";

/// A gateway whose task for numbers runs.
fn running() -> Gateway {
    let gateway = Gateway::new();
    tokio::spawn(gateway.state.numbers.clone().go_on());
    gateway
}

/// A key with one role.
async fn key(gateway: &Gateway, role: &str) -> String {
    let body = json!({"name": format!("the {role}"), "roles": [role]});
    let (status, made) = gateway.ask("POST", "/api/v1/keys", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    made["secret"].as_str().unwrap().to_owned()
}

async fn record(gateway: &Gateway, number: &str) -> Value {
    let (status, told) = gateway.get(&format!("/api/v1/numbers/{number}")).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    told["number"].clone()
}

/// Searches, chooses the first number that is not gone when it is bought, and buys it: the set-up's first step is open.
async fn buy(reader: &mut Reader, query: &str) -> String {
    reader.open(&format!("/console/numbers/set-up/search?{query}")).await;
    assert_eq!(reader.status, 200, "{}", reader.text);
    let offers = reader.links("/console/numbers/set-up/review?");
    let offer = offers.iter().find(|link| !link.ends_with("0000")).unwrap();
    let number = offer.rsplit_once("number=%2B").map(|(_, digits)| format!("+{digits}")).unwrap();
    reader.open(offer).await;
    assert!(reader.says("Monthly fee") && reader.says("USD"), "{}", reader.text);
    reader.press("/console/numbers/set-up/buy", None, &[]).await;
    assert_eq!(reader.path, format!("{}/set-up", page(&number)), "{}", reader.text);
    assert!(reader.says("is yours"), "{}", reader.text);
    number
}

fn page(number: &str) -> String {
    format!("/console/numbers/{}", number.replace('+', "%2B"))
}

fn set_up(number: &str) -> String {
    format!("{}/set-up", page(number))
}

fn here(reader: &Reader, step: &str) {
    let at = reader.text.split("aria-current=\"step\">").nth(1).unwrap_or_default();
    assert!(
        at.starts_with(&format!("<span>{step}</span>")),
        "not at {step}: {} {}",
        reader.path,
        reader.text
    );
}

#[tokio::test]
async fn bought_left_and_gone_on_with_to_a_queue_ivr_of_45_seconds_and_its_exits() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    reader.open("/console/numbers/set-up").await;
    assert_eq!(reader.links("/console/numbers/set-up/search").len(), 1);
    let number = buy(&mut reader, "type=local&sms=yes").await;
    here(&reader, "SMS registration");
    // The set-up is left, and found again by somebody else.
    let mut reader = Reader::new(&gateway, &gateway.key);
    reader.open("/console/numbers/set-up").await;
    assert!(reader.says("left at: SMS registration"), "{}", reader.text);
    reader.open(&reader.links(&set_up(&number))[0].clone()).await;
    let to = set_up(&number);
    reader.press(&to, Some(("act", "skip")), &[]).await;
    here(&reader, "Activate voice");
    reader.press(&to, Some(("act", "yes")), &[]).await;
    here(&reader, "IVR or direct line");
    assert_eq!(record(&gateway, &number).await["state"], "direct_line");
    reader.press(&to, Some(("act", "ivr")), &[]).await;
    here(&reader, "Pick IVRs");
    reader.press(&to, Some(("act", "pick")), &[]).await;
    assert_eq!(reader.status, 422);
    assert!(reader.says("No IVR is picked."), "{}", reader.text);
    let picked = [("queue_ivr", "ivr_waiting"), ("queue_wait_seconds", "3")];
    reader.press(&to, Some(("act", "pick")), &picked).await;
    assert_eq!(reader.status, 422, "3 seconds are too few");
    let typed = reader.form(&to, Some(("act", "pick")));
    assert!(
        typed.fields.contains(&("queue_wait_seconds".into(), "3".into())),
        "what was typed stays: {typed:?}"
    );
    let picked = [("queue_ivr", "ivr_waiting"), ("queue_wait_seconds", "45")];
    reader.press(&to, Some(("act", "pick")), &picked).await;
    here(&reader, "Link inboxes");
    assert!(!reader.says("Note:"), "45 seconds are usual: {}", reader.text);
    let exit = "inbox of ivr_waiting/exit_sales";
    reader.press(&to, None, &[("inbox", "ib_support"), (exit, "ib_general")]).await;
    assert_eq!(
        reader.status, 422,
        "a routing test that is stored with the documents does not let it through"
    );
    assert!(reader.says("found ib_general"), "{}", reader.text);
    let typed = reader.form(&to, None).fields;
    assert!(typed.contains(&(exit.into(), "ib_general".into())), "what was chosen stays: {typed:?}");
    reader.press(&to, None, &[(exit, "ib_sales")]).await;
    here(&reader, "Test call");
    let now = record(&gateway, &number).await;
    assert_eq!(
        (&now["state"], &now["queue_ivr"], &now["queue_wait_seconds"], &now["inbox"]),
        (&json!("ivr_linked"), &json!("ivr_waiting"), &json!(45), &json!("ib_support"))
    );
    let (_, exit) = gateway.get("/api/v1/entry-points/ivr/ivr_waiting%2Fexit_sales").await;
    assert_eq!(exit["inbox"], "ib_sales", "{exit}");
    reader.press(&format!("{}/test-call", page(&number)), None, &[]).await;
    here(&reader, "Test call");
    assert!(reader.says("now. Waiting") && reader.text.contains("<noscript><meta http-equiv=\"refresh\""));
    reader.press(&to, None, &[]).await;
    assert_eq!(reader.path, page(&number));
    assert!(reader.says("ready for calls"), "{}", reader.text);
    assert_eq!(record(&gateway, &number).await["setup"], Value::Null);
    reader.open("/console/numbers").await;
    assert!(reader.says("While you wait"), "the Queue IVR stands in its column: {}", reader.text);
}

#[tokio::test]
async fn a_direct_line_has_its_inbox_chosen() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let number = buy(&mut reader, "").await;
    let to = set_up(&number);
    if reader.text.contains("value=\"skip\"") {
        reader.press(&to, Some(("act", "skip")), &[]).await;
    }
    reader.press(&to, Some(("act", "yes")), &[]).await;
    reader.press(&to, Some(("act", "direct")), &[]).await;
    here(&reader, "Link inboxes");
    assert!(!reader.says("Exits of an IVR"), "a direct line has none");
    reader.press(&to, None, &[("inbox", "ib_sales")]).await;
    reader.press(&to, None, &[]).await;
    let now = record(&gateway, &number).await;
    assert_eq!(
        (&now["state"], &now["inbox"], &now["setup"]),
        (&json!("direct_line"), &json!("ib_sales"), &Value::Null)
    );
}

#[tokio::test]
async fn an_initial_ivr_has_only_its_exits_linked() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let number = buy(&mut reader, "").await;
    let to = set_up(&number);
    reader.open(&format!("{to}?step=activate_voice")).await;
    reader.press(&to, Some(("act", "yes")), &[]).await;
    reader.press(&to, Some(("act", "ivr")), &[]).await;
    reader.press(&to, Some(("act", "pick")), &[("initial_ivr", "ivr_main")]).await;
    here(&reader, "Link inboxes");
    let form = reader.form(&to, None);
    let names: Vec<&str> = form.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert!(!names.contains(&"inbox"), "an Initial IVR takes all callers: {names:?}");
    assert!(names.contains(&"inbox of ivr_main/exit_general"), "{names:?}");
    let sales = form.fields.iter().find(|(name, _)| name == "inbox of ivr_main/exit_sales").unwrap();
    assert_eq!(sales.1, "ib_sales", "what it leads to is chosen already");
    reader.press(&to, None, &[]).await;
    here(&reader, "Test call");
    let (_, exit) = gateway.get("/api/v1/entry-points/ivr/ivr_main%2Fexit_sales").await;
    assert_eq!((&exit["inbox"], &exit["sla_minutes"]), (&json!("ib_sales"), &json!(30)), "its SLA stays");
    // Another one is picked after all.
    reader.open(&format!("{to}?step=pick_ivr")).await;
    let picked = reader.form(&to, Some(("act", "pick"))).fields;
    assert!(picked.contains(&("initial_ivr".into(), "ivr_main".into())), "{picked:?}");
    reader.press(&to, Some(("act", "pick")), &[("initial_ivr", "ivr_short")]).await;
    reader.press(&to, None, &[("inbox of ivr_short/exit", "ib_support")]).await;
    let (_, exit) = gateway.get("/api/v1/entry-points/ivr/ivr_short%2Fexit").await;
    assert_eq!(exit["inbox"], "ib_support", "{exit}");
    assert_eq!(record(&gateway, &number).await["initial_ivr"], "ivr_short");
}

#[tokio::test]
async fn without_voice_the_number_is_ours_and_takes_no_calls() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let number = buy(&mut reader, "sms=yes").await;
    let to = set_up(&number);
    reader.press(&to, Some(("act", "off")), &[]).await;
    here(&reader, "Activate voice");
    reader.press(&to, Some(("act", "no")), &[]).await;
    assert_eq!(reader.path, page(&number));
    assert!(reader.says("takes no calls until voice is activated") && reader.says("Go on with it"));
    let now = record(&gateway, &number).await;
    assert_eq!((&now["state"], &now["sms"]["state"]), (&json!("owned_idle"), &json!("off")));
    reader.open(&format!("{to}?step=pick_ivr")).await;
    here(&reader, "Activate voice");
    reader.open("/console/numbers/set-up").await;
    assert!(reader.links(&to).len() == 1 && reader.says("left at: Activate voice"));
}

#[tokio::test]
async fn a_set_up_that_is_left_at_the_pick_of_ivrs_makes_a_direct_line() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let number = buy(&mut reader, "").await;
    let to = set_up(&number);
    reader.open(&format!("{to}?step=activate_voice")).await;
    reader.press(&to, Some(("act", "yes")), &[]).await;
    reader.press(&to, Some(("act", "ivr")), &[]).await;
    reader.press(&to, Some(("act", "leave")), &[]).await;
    assert_eq!(reader.path, page(&number));
    assert!(reader.says("It is a direct line."), "{}", reader.text);
    let now = record(&gateway, &number).await;
    assert_eq!((&now["state"], &now["setup"]), (&json!("direct_line"), &json!("pick_ivr")));
    reader.open(&to).await;
    here(&reader, "Pick IVRs");
    let both = [("initial_ivr", "ivr_short"), ("queue_ivr", "ivr_waiting"), ("queue_wait_seconds", "90")];
    reader.press(&to, Some(("act", "pick")), &both).await;
    assert!(reader.says("Note:") && reader.says("90"), "90 seconds are warned of: {}", reader.text);
}

/// What a toll-free verification needs.
const VERIFICATION: [(&str, &str); 16] = [
    ("form.business_name", "Glad Shoes"),
    ("form.website", "https://example.com"),
    ("form.email", "ann@example.com"),
    ("form.street", "1 Main Street"),
    ("form.city", "Denver"),
    ("form.region", "CO"),
    ("form.postal_code", "80202"),
    ("form.country", "US"),
    ("form.contact_first_name", "Ann"),
    ("form.contact_last_name", "Example"),
    ("form.contact_phone", "+13035550100"),
    ("form.use_case", "CUSTOMER_CARE"),
    ("form.description", "Answers to customers"),
    ("form.message_flow", "They write first"),
    ("form.sample_1", "Glad Shoes: your order is here."),
    ("form.opt_in_type", "VIA_TEXT"),
];

#[tokio::test]
async fn a_toll_free_number_is_verified_on_the_way() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let number = buy(&mut reader, "type=toll_free&sms=yes").await;
    here(&reader, "SMS registration");
    assert!(reader.says("Verify the number"), "{}", reader.text);
    let to = set_up(&number);
    reader.press(&to, Some(("act", "hand_in")), &[("form.business_name", HOSTILE)]).await;
    assert_eq!(reader.status, 422);
    assert!(reader.says("email is missing"), "{}", reader.text);
    is_a_page(&reader);
    let typed = reader.form(&to, Some(("act", "hand_in")));
    assert!(typed.fields.contains(&("form.business_name".into(), HOSTILE.into())), "what was typed stays");
    let mut filled = VERIFICATION.to_vec();
    filled.extend([
        ("form.opt_in_image_urls", "https://example.com/form.png"),
        ("form.message_volume", "1,000"),
    ]);
    reader.press(&to, Some(("act", "hand_in")), &filled).await;
    here(&reader, "Activate voice");
    assert!(reader.says("It is handed in."), "{}", reader.text);
    reader.press(&to, Some(("act", "yes")), &[]).await;
    until(&mut reader, &page(&number), "Approved").await;
    assert!(reader.says("Its verification: Glad Shoes"), "{}", reader.text);
    reader.open("/console/numbers/sms").await;
    assert!(reader.says("Glad Shoes") && reader.says("Toll-free verification"), "{}", reader.text);
}

/// Opens a page until it says something.
async fn until(reader: &mut Reader, path: &str, words: &str) {
    for _ in 0..200 {
        reader.open(path).await;
        if reader.says(words) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path} never said {words}: {}", reader.text)
}

#[tokio::test]
async fn the_same_form_sent_twice_buys_once_and_a_number_that_is_gone_is_told_of() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    reader.open("/console/numbers/set-up/search?by=city&what=Denver").await;
    let offer =
        reader.links("/console/numbers/set-up/review?").into_iter().find(|link| !link.ends_with("0000"));
    reader.open(&offer.unwrap()).await;
    let form: Form = reader.form("/console/numbers/set-up/buy", None);
    let first = reader.submit(form.clone(), None, &[]).await.to_owned();
    let path = reader.path.clone();
    reader.submit(form, None, &[]).await;
    assert_eq!(reader.path, path, "{first}");
    let (_, purchases) = gateway.get("/api/v1/numbers/purchases").await;
    assert_eq!(purchases["purchases"].as_array().unwrap().len(), 1, "{purchases}");
    reader.open("/console/numbers/set-up/search?by=contains&what=0000").await;
    let gone =
        reader.links("/console/numbers/set-up/review?").into_iter().find(|link| link.ends_with("0000"));
    reader.open(&gone.unwrap()).await;
    reader.press("/console/numbers/set-up/buy", None, &[]).await;
    assert!(reader.says("It was not bought.") && reader.says("somebody else"), "{}", reader.text);
    assert!(!reader.text.contains("http-equiv=\"refresh\""), "it is decided");
}

#[tokio::test]
async fn a_search_says_what_is_wrong_with_it_and_keeps_what_was_typed() {
    let gateway = Gateway::new();
    let mut reader = Reader::new(&gateway, &gateway.key);
    reader.open("/console/numbers/set-up/search").await;
    let to = "/console/numbers/set-up/search";
    reader.press(to, None, &[("by", "area_code"), ("what", "11")]).await;
    assert_eq!(reader.status, 422);
    let form = reader.form(to, None);
    assert!(form.fields.contains(&("what".into(), "11".into())), "{form:?}");
    reader.press(to, None, &[("country", "other"), ("what", "")]).await;
    assert!(reader.says("Port or forward") && reader.says("Add your own"), "{}", reader.text);
    reader.press(to, None, &[("country", "US"), ("by", "contains"), ("what", "GLAD")]).await;
    assert!(!reader.links("/console/numbers/set-up/review?").is_empty());
    reader.press(to, None, &[("by", "city"), ("what", "Franc")]).await;
    assert!(reader.says("Nothing found"), "a part of a city finds nothing: {}", reader.text);
}

#[tokio::test]
async fn what_became_of_a_purchase_is_told_plainly_while_nobody_knows() {
    let gateway = Gateway::new();
    let number = vestibule_routing::address::E164::parse("+13035550142").unwrap();
    let mut purchase = Purchase::nameless(number, "sandbox".into(), NumberFacts::default());
    (purchase.id, purchase.key, purchase.open) = ("po_1".into(), "k".into(), true);
    purchase.state = PurchaseState::Unknown;
    gateway.state.store.add_record(&purchase, "ann", |_: &[Purchase]| Ok(())).unwrap();
    let mut reader = Reader::new(&gateway, &gateway.key);
    reader.open("/console/numbers/set-up").await;
    assert!(reader.says("the carrier’s answer is not known"), "{}", reader.text);
    reader.open("/console/numbers/set-up/purchases/po_1").await;
    assert!(reader.says("The carrier’s answer is not known.") && reader.says("not bought twice"));
    assert!(reader.text.contains("http-equiv=\"refresh\""), "it looks again by itself");
    assert_eq!(reader.links("/console/numbers/set-up/purchases/po_1").len(), 1, "or by a link");
}

#[tokio::test]
async fn voice_is_changed_on_the_numbers_page_and_the_number_given_back_with_open_eyes() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let number = buy(&mut reader, "sms=yes").await;
    let to = format!("{}/voice", page(&number));
    reader.open(&page(&number)).await;
    reader.press(&to, None, &[]).await;
    assert!(reader.says("is active. It holds for calls"), "{}", reader.text);
    let linked = [
        ("initial_ivr", "ivr_short"),
        ("queue_ivr", "ivr_waiting"),
        ("queue_wait_seconds", "60"),
        ("inbox", "ib_sales"),
    ];
    reader.press(&to, None, &linked).await;
    assert!(reader.says("Note:") && reader.says("30 to 45 is usual"), "{}", reader.text);
    assert_eq!(record(&gateway, &number).await["initial_ivr"], "ivr_short");
    reader.press(&to, None, &[("queue_wait_seconds", "soon")]).await;
    assert!(reader.status.is_client_error() && reader.says("That was not done."), "{}", reader.text);
    reader.open(&page(&number)).await;
    reader.press(&to, None, &[("initial_ivr", ""), ("queue_ivr", "")]).await;
    assert_eq!(record(&gateway, &number).await["state"], "direct_line");
    reader.press(&format!("{}/off", page(&number)), None, &[]).await;
    assert_eq!(record(&gateway, &number).await["state"], "owned_idle");
    assert!(reader.says("History") && reader.says("setup"), "{}", reader.text);
    let release = format!("{}/release", page(&number));
    reader.open(&release).await;
    assert!(reader.says("What will be noticed") && reader.says("30 days"), "{}", reader.text);
    reader.press(&release, None, &[("confirm", "+13035550000")]).await;
    assert!(reader.status.is_client_error(), "{}", reader.text);
    assert_eq!(record(&gateway, &number).await["state"], "owned_idle");
    let read_out: Vec<String> = number.chars().map(String::from).collect();
    reader.press(&release, None, &[("confirm", &read_out.join(" "))]).await;
    assert!(reader.says("It is being given back"), "{}", reader.text);
    until(&mut reader, &page(&number), "Given back").await;
}

#[tokio::test]
async fn numbers_of_an_own_trunk_are_added_and_told_of_by_hand() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    reader.open("/console/numbers/add").await;
    reader.press("/console/numbers/add", None, &[("number", "12"), ("city", HOSTILE)]).await;
    assert!(reader.status.is_client_error() && reader.says("That was not done."), "{}", reader.text);
    let added = [("number", "+13035550177"), ("city", HOSTILE)];
    reader.press("/console/numbers/add", None, &added).await;
    here(&reader, "SMS registration");
    assert!(reader.says("takes no registrations here"), "{}", reader.text);
    let own = page("+13035550177");
    reader.open(&own).await;
    is_a_page(&reader);
    let to = format!("{own}/sms");
    let rejected = [
        ("event", "reject"),
        ("reasons", "No consent on the website\nNo privacy policy"),
        ("until", "2031-01-31T12:00"),
    ];
    for events in [&[("event", "submit")][..], &[("event", "review_begun")], &rejected] {
        let form = reader.form_with(&to, "reasons");
        reader.submit(form, None, events).await;
    }
    assert!(reader.says("Rejected") && reader.says("No privacy policy"), "{}", reader.text);
    assert!(reader.text.contains("2031-01-31T12:00:00"), "the deadline stands there: {}", reader.text);
    let csv = format!("number,sms,city\n+13035550178,no,\"{}\"\n+1,yes,Denver", "Denver");
    reader.open("/console/numbers/add").await;
    reader.press("/console/numbers/import", Some(("act", "do")), &[("csv", &csv)]).await;
    assert!(reader.status.is_client_error() && reader.says("Line 3:"), "{}", reader.text);
    let csv = "number,sms\n+13035550178,no\n+13035550177,yes";
    reader.press("/console/numbers/import", Some(("act", "try")), &[("csv", csv)]).await;
    assert!(reader.says("1 numbers would be taken up; 1 are held already."), "{}", reader.text);
    reader.press("/console/numbers/import", Some(("act", "do")), &[]).await;
    assert!(reader.says("1 numbers were taken up") && reader.says("+1 303 555 0178"), "{}", reader.text);
}

#[tokio::test]
async fn accounts_at_carriers_keep_their_secrets_to_themselves() {
    let gateway = Gateway::new();
    let mut reader = Reader::new(&gateway, &gateway.key);
    reader.open("/console/numbers/carriers").await;
    let kinds = reader.links("/console/numbers/carriers/new?kind=");
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    let with_secret = kinds.iter().find(|kind| kind.ends_with("twilio")).unwrap();
    reader.open(with_secret).await;
    let new = "/console/numbers/carriers/new";
    let lacking = [("id", "main"), ("name", HOSTILE), ("field.account_sid", "AC1")];
    reader.press(new, None, &lacking).await;
    assert!(reader.status.is_client_error() && reader.says("secret is not set"), "{}", reader.text);
    is_a_page(&reader);
    reader.press(new, None, &[("field.secret", "very-secret-0815")]).await;
    assert_eq!((reader.path.as_str(), reader.status.as_u16()), ("/console/numbers/carriers/main", 200));
    assert!(!reader.text.contains("0815") && reader.text.contains("under seal"), "{}", reader.text);
    reader.press("/console/numbers/carriers/main", None, &[("name", "Main"), ("field.key_sid", "SK1")]).await;
    let (_, account) = gateway.get("/api/v1/carriers/main").await;
    assert_eq!(
        (&account["name"], &account["settings"]["key_sid"], &account["secrets"]),
        (&json!("Main"), &json!("SK1"), &json!(["secret"]))
    );
    reader.open(with_secret).await;
    reader.press(new, None, &[("id", "main"), ("name", "Other"), ("field.account_sid", "AC2")]).await;
    assert!(reader.says("There is an account with the id main already."), "{}", reader.text);
    reader.open("/console/numbers/carriers/sandbox").await;
    reader.press("/console/numbers/carriers/sandbox/test", None, &[]).await;
    assert!(reader.says("It works."), "{}", reader.text);
    reader.open("/console/numbers/carriers/main").await;
    reader.press("/console/numbers/carriers/main/delete", None, &[]).await;
    assert_eq!(reader.path, "/console/numbers/carriers");
    assert_eq!(gateway.get("/api/v1/carriers/main").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_port_is_ordered_and_told_of() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let new = "/console/numbers/transfers/new";
    reader.open(new).await;
    let order =
        [("carrier", "manual"), ("numbers", "+13035550188"), ("form.name", HOSTILE), ("form.account", "9")];
    reader.press(new, None, &order).await;
    assert!(reader.says("It is ordered.") && reader.says("Handed in"), "{}", reader.text);
    is_a_page(&reader);
    let events = format!("{}/events", reader.path);
    reader.press(&events, None, &[("event", "action_needed"), ("reasons", HOSTILE)]).await;
    assert!(reader.says("Something is to be mended"), "{}", reader.text);
    is_a_page(&reader);
    reader.press(&events, None, &[("event", "scheduled"), ("on", "2031-02-01T08:00")]).await;
    assert!(reader.text.contains("2031-02-01T08:00:00"), "{}", reader.text);
    assert_eq!(record(&gateway, "+13035550188").await["state"], "porting");
    reader.press(&events, None, &[("event", "completed")]).await;
    assert_eq!(record(&gateway, "+13035550188").await["state"], "owned_idle");
    reader.open("/console/numbers/transfers").await;
    assert!(reader.says("+1 303 555 0188") && reader.says("Done"), "{}", reader.text);
}

#[tokio::test]
async fn a_test_call_is_followed_as_it_goes_by_one_of_those_who_may_look() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let path = format!("{}/test-call", page("+14155550100"));
    reader.open(&path).await;
    reader.press(&path, None, &[]).await;
    assert!(reader.says("Call +1 415 555 0100 now."), "{}", reader.text);
    let request = Request::get(format!("{path}/stream"))
        .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
        .body(Body::empty())
        .unwrap();
    let response = api::router(gateway.state.clone()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(gateway.state.metrics.api.console_streams.get(), 1);
    let mut told = response.into_body().into_data_stream();
    let first = tokio::time::timeout(Duration::from_secs(20), told.next()).await.unwrap().unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("\"state\":\"waiting\""), "{first:?}");
    drop(told);
    assert_eq!(gateway.state.metrics.api.console_streams.get(), 0);
    reader.open(&format!("{path}/piece")).await;
    assert!(!reader.text.contains("<html") && reader.says("Waiting, until"), "{}", reader.text);
    reader.open(&path).await;
    reader.press(&format!("{path}/close"), None, &[]).await;
    assert!(reader.says("No call is waited for."), "{}", reader.text);
}

#[tokio::test]
async fn who_may_not_act_sees_no_button_and_is_refused_on_a_page() {
    let gateway = running();
    let mut reader = Reader::new(&gateway, &gateway.key);
    let number = buy(&mut reader, "sms=yes").await;
    let own = page(&number);
    let pages = [
        ("/console/numbers", 200),
        (own.as_str(), 200),
        ("/console/numbers/sms", 200),
        ("/console/numbers/transfers", 200),
        ("/console/numbers/carriers", 200),
        ("/console/numbers/carriers/sandbox", 200),
        ("/console/numbers/set-up", 403),
        ("/console/numbers/set-up/search", 403),
        ("/console/numbers/add", 403),
        ("/console/numbers/transfers/new", 403),
        ("/console/numbers/carriers/new?kind=sandbox", 403),
        (&format!("{own}/set-up"), 403),
        (&format!("{own}/release"), 403),
        (&format!("/console/numbers/registrations/new?number={}", number.replace('+', "%2B")), 403),
    ];
    let analyst = key(&gateway, "analyst").await;
    let nobody = key(&gateway, "agent_platform").await;
    let mut looks = Reader::new(&gateway, &analyst);
    let mut outside = Reader::new(&gateway, &nobody);
    for (path, status) in pages {
        looks.open(path).await;
        assert_eq!(looks.status.as_u16(), status, "{path}: {}", looks.text);
        is_a_page(&looks);
        let main = looks.text.split("<main").nth(1).unwrap();
        assert!(
            !main.contains("method=\"post\"") || main.contains("disabled"),
            "{path} shows a button: {main}"
        );
        assert!(!main.contains("Set up voice</a>"), "{path}");
        outside.open(path).await;
        assert_eq!(outside.status, 403, "{path}: {}", outside.text);
        is_a_page(&outside);
    }
    let acts = ["voice", "off", "sms", "keep", "release", "set-up", "test-call"];
    for act in acts {
        looks
            .post(
                &format!("{own}/{act}"),
                &[("event", "switch_off"), ("step", "activate_voice"), ("act", "yes")],
            )
            .await;
        assert_eq!(looks.status, 403, "{act}: {}", looks.text);
        is_a_page(&looks);
    }
    for act in ["set-up/buy", "add", "import", "transfers/new", "carriers/sandbox", "carriers/sandbox/delete"]
    {
        let fields = [
            ("review", "rv_1"),
            ("key", "k"),
            ("name", "x"),
            ("number", "+13035550199"),
            ("carrier", "manual"),
        ];
        looks.post(&format!("/console/numbers/{act}"), &fields).await;
        assert_eq!(looks.status, 403, "{act}: {}", looks.text);
        is_a_page(&looks);
    }
    let now = record(&gateway, &number).await;
    assert_eq!((&now["state"], &now["sms"]["state"]), (&json!("owned_idle"), &json!("required")));
    assert_eq!(gateway.get("/api/v1/carriers/sandbox").await.0, StatusCode::OK);
    assert_eq!(gateway.get("/api/v1/numbers/+13035550199").await.0, StatusCode::NOT_FOUND);
}

fn is_a_page(reader: &Reader) {
    let (path, text) = (&reader.path, &reader.text);
    assert!(reader.headers.contains_key(header::CONTENT_SECURITY_POLICY), "{path}");
    assert!(text.trim_end().ends_with("</html>"), "{path}: {text}");
    for bad in [" style=", " onclick=", "javascript:", "<script>", "<style", "<img"] {
        assert!(!text.contains(bad), "{path} has {bad}: {text}");
    }
}
