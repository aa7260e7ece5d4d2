//! What the editor of IVRs asks of the API: kinds of nodes, names, findings of an edit that is not kept, simulations of a
//! draft, documents between YAML and JSON.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::gateway::Gateway;

async fn main_ivr(gateway: &Gateway) -> Value {
    let (status, ivr) = gateway.get("/api/v1/routing/draft/ivrs/ivr_main").await;
    assert_eq!(status, StatusCode::OK);
    ivr
}

#[tokio::test]
async fn an_edit_is_judged_and_simulated_without_being_kept() {
    let gateway = Gateway::new();
    let mut ivr = main_ivr(&gateway).await;
    ivr["nodes"]["greeting"]["next"] = json!("nowhere");
    let findings = "/api/v1/routing/draft/ivrs/ivr_main/findings";
    let (status, said) = gateway.ask("POST", findings, Some(ivr.clone())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(said["publishable"], false);
    assert!(said["diagnostics"].as_array().unwrap().iter().any(|one| one["code"] == "R-1201"));

    let simulate = "/api/v1/ivrs/ivr_main/simulate";
    let call = json!({"call": {"from": "+12125550199"}, "document": ivr});
    let (status, said) = gateway.ask("POST", simulate, Some(call)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");

    ivr["nodes"]["greeting"]["next"] = json!("menu");
    ivr["nodes"]["menu"]["choices"]["1"] = json!("exit_general");
    ivr["nodes"]["menu"]["default"] = json!("exit_sales");
    let call = json!({"call": {"from": "+12125550199", "keys": {"3": "1"}}, "document": ivr});
    let (status, said) = gateway.ask("POST", simulate, Some(call)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert_eq!(said["simulation"]["exit"], "exit_general");
    let path = said["simulation"]["path"].as_array().unwrap();
    assert_eq!(
        path.iter().map(|visit| visit["node"].as_str().unwrap()).collect::<Vec<_>>(),
        ["start", "greeting", "menu", "exit_general"]
    );

    assert_eq!(
        main_ivr(&gateway).await["nodes"]["menu"]["choices"]["1"],
        "exit_sales",
        "the draft was changed"
    );
    let (_, changes) = gateway.get("/api/v1/routing/draft/changes").await;
    assert_eq!(changes["changes"], json!([]));
}

#[tokio::test]
async fn a_queue_ivr_is_simulated_after_the_wait_and_expectations_are_told() {
    let gateway = Gateway::new();
    let call = json!({"call": {"keys": {"33": "2"}, "expect": {"inbox": "ib_support"}}});
    let (status, said) = gateway.ask("POST", "/api/v1/ivrs/ivr_waiting/simulate", Some(call)).await;
    assert_eq!(status, StatusCode::OK, "{said}");
    assert_eq!(said["simulation"]["inbox"], "ib_sales");
    assert_eq!(said["missed"].as_array().unwrap().len(), 1);
    let (status, _) = gateway.ask("POST", "/api/v1/ivrs/none_such/simulate", Some(json!({"call": {}}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn ivrs_are_listed_with_what_is_published_of_them_and_the_numbers_that_lead_there() {
    let gateway = Gateway::new();
    let mut ivr = main_ivr(&gateway).await;
    ivr["nodes"]["greeting"]["next"] = json!("nowhere");
    gateway.ask("PUT", "/api/v1/routing/draft/ivrs/ivr_main", Some(ivr)).await;
    let (_, listed) = gateway.get("/api/v1/routing/draft/ivrs").await;
    let of =
        |id: &str| listed["ivrs"].as_array().unwrap().iter().find(|ivr| ivr["id"] == id).unwrap().clone();
    assert_eq!(of("ivr_main")["state"], "edited");
    assert_eq!(of("ivr_main")["numbers"], json!(["+14155550101"]));
    assert!(of("ivr_main")["errors"].as_u64().unwrap() > 0);
    assert_eq!(of("ivr_short")["state"], "published");
    assert_eq!(of("ivr_short")["errors"], 0);
}

#[tokio::test]
async fn names_and_kinds_of_nodes_are_served() {
    let gateway = Gateway::new();
    let (_, names) = gateway.get("/api/v1/routing/draft/names").await;
    let has =
        |section: &str, name: &str| names[section].as_array().unwrap().iter().any(|one| one["name"] == name);
    assert!(has("prompts", "builtin:welcome") && has("inboxes", "ib_sales") && has("ivrs", "ivr_main"));
    assert!(has("tests", "key 1 leads to sales"));
    let (_, nodes) = gateway.get("/api/v1/routing/nodes").await;
    assert!(nodes["kinds"].as_array().unwrap().iter().any(|kind| kind["type"] == "menu"));
}

#[tokio::test]
async fn a_document_goes_from_json_to_yaml_and_back() {
    let gateway = Gateway::new();
    let document = json!({"version": 1, "ivrs": {"ivr_main": main_ivr(&gateway).await}});
    let (status, said) = gateway.ask("POST", "/api/v1/routing/convert", Some(document.clone())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(said, document);
    let (status, said) = gateway.ask("POST", "/api/v1/routing/convert", Some(json!({"ivrz": {}}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(said["more"]["diagnostics"][0]["code"], "R-1002");
}
