//! Entry points over the API: where each leads and why, exceptions, arming, what uses what, what a publish touches.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use serde_json::{Value, json};
use vestibule::api::live::Stage;

use crate::support::gateway::Gateway;

fn ids(page: &Value) -> Vec<&str> {
    page["entry_points"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_entry_point_is_listed_once_and_in_order_whether_set_up_or_there_by_itself() {
    let gateway = Gateway::new();
    let (status, all) = gateway.get("/api/v1/entry-points?limit=500").await;
    assert_eq!(status, StatusCode::OK);
    let all_ids = ids(&all);
    assert!(all_ids.windows(2).all(|pair| pair[0] < pair[1]), "{all_ids:?}");
    for id in [
        "chat/sample",
        "email/help@example.com",
        "ivr/ivr_main/exit_general",
        "ivr/ivr_main/exit_sales",
        "sms/+14155550102",
        "voice/+14155550100",
        "voice/+14155550102",
    ] {
        assert!(all_ids.contains(&id), "{id} is missing in {all_ids:?}");
    }
    let (mut paged, mut path) = (Vec::new(), "/api/v1/entry-points?limit=3".to_owned());
    loop {
        let (_, page) = gateway.get(&path).await;
        paged.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/entry-points?limit=3&after={}", next.replace('+', "%2B"));
    }
    assert_eq!(paged, all_ids);
    let only = |page: (StatusCode, Value)| ids(&page.1).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let voice = only(gateway.get("/api/v1/entry-points?channel=voice").await);
    assert_eq!(voice, ["voice/+14155550100", "voice/+14155550101", "voice/+14155550102"]);
    let sales = only(gateway.get("/api/v1/entry-points?inbox=ib_sales").await);
    assert_eq!(sales, ["ivr/ivr_main/exit_sales", "ivr/ivr_waiting/exit_sales"]);
    assert_eq!(
        only(gateway.get("/api/v1/entry-points?text=MAIN%20LINE&exception=false").await),
        ["ivr/ivr_main/exit_general"]
    );
    assert_eq!(gateway.get("/api/v1/entry-points?channel=fax").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_exception_is_made_at_once_and_its_end_returns_traffic_to_the_default() {
    let gateway = Gateway::new();
    let path = "/api/v1/entry-points/voice/+14155550101";
    let (_, before) = gateway.get(path).await;
    assert_eq!((&before["inbox"], &before["because"]), (&json!("ib_general"), &json!("default")));
    assert_eq!((&before["sla_minutes"], &before["sla_of"]), (&json!(1440), &json!("inbox")));
    assert_eq!(before["initial_ivr"], "ivr_main");
    // Somebody else's edit waits in the draft, and another of the same entry point.
    for (section, id) in [("inboxes", "ib_new"), ("entry_points", "voice%2F+14155550101")] {
        let body = if section == "inboxes" { json!({"name": "New"}) } else { json!({"sla_minutes": 7}) };
        let (status, _) =
            gateway.ask("PUT", &format!("/api/v1/routing/draft/{section}/{id}"), Some(body)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let (status, put) =
        gateway.ask("PUT", path, Some(json!({"inbox": "ib_sales", "sla_minutes": 5, "armed": true}))).await;
    assert_eq!((status, &put["done"]["revision"]), (StatusCode::OK, &json!(2)), "{put}");
    assert_eq!(put["entry_point"]["because"], "exception");
    let plan = gateway.state.store.active().load().plan.clone();
    assert!(plan.inbox(&"ib_new".into()).is_none(), "the draft was published along");
    // The draft is as it was; what it says of the entry point collides when it is published.
    let (_, draft) = gateway.get("/api/v1/routing/draft/changes").await;
    assert_eq!(draft["changes"].as_array().unwrap().len(), 2);
    let (status, refused) =
        gateway.ask("POST", "/api/v1/routing/publish", Some(json!({"note": "mine"}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused["more"]["diagnostics"][0]["code"], "R-1601");
    // The same again changes nothing.
    let (_, again) =
        gateway.ask("PATCH", path, Some(json!({"inbox": "ib_sales", "sla_minutes": 5, "armed": true}))).await;
    assert_eq!(again["done"]["revision"], Value::Null, "{again}");
    let (_, patched) = gateway.ask("PATCH", path, Some(json!({"inbox": null}))).await;
    assert_eq!(patched["entry_point"]["inbox"], "ib_general");
    assert_eq!(patched["entry_point"]["sla_of"], "entry_point");
    let (status, gone) = gateway.ask("DELETE", path, None).await;
    assert_eq!((status, &gone["entry_point"]["sla_of"]), (StatusCode::OK, &json!("inbox")));
    assert_eq!(gateway.ask("DELETE", "/api/v1/entry-points/email/no@example.com", None).await.0, 404);
    let (_, mailbox) = gateway.ask("DELETE", "/api/v1/entry-points/email/help@example.com", None).await;
    assert_eq!(mailbox["entry_point"], Value::Null);
}

#[tokio::test]
async fn who_changes_what_somebody_else_changed_is_told() {
    let gateway = Gateway::new();
    let request = |tag: &str, body: &Value| {
        Request::put("/api/v1/entry-points/email/help@example.com")
            .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, tag)
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let (_, headers, _) = gateway.fetch("/api/v1/entry-points/email/help@example.com").await;
    let tag = headers[header::ETAG].to_str().unwrap().to_owned();
    assert_eq!(gateway.send(request(&tag, &json!({"inbox": "ib_sales"}))).await.0, StatusCode::OK);
    let (status, problem) = gateway.send(request(&tag, &json!({"inbox": "ib_general"}))).await;
    assert_eq!((status.as_u16(), &problem["code"]), (412, &json!("object_changed")));
    assert_eq!(gateway.send(request("W/\"x\"", &json!({}))).await.0, StatusCode::BAD_REQUEST);
    let (status, problem) = gateway.send(request("*", &json!({"inbox": "ib_nowhere"}))).await;
    assert_eq!((status.as_u16(), &problem["more"]["diagnostics"][0]["code"]), (422, &json!("R-1102")));
    assert_eq!(gateway.send(request("*", &json!({"inbox": 5}))).await.0, 422);
}

#[tokio::test]
async fn exceptions_are_counted_and_an_entry_point_is_in_one_of_them() {
    let gateway = Gateway::new();
    let voice = |list: &Value| {
        list["channels"].as_array().unwrap().iter().find(|one| one["channel"] == "voice").unwrap().clone()
    };
    let before = voice(&gateway.get("/api/v1/channels").await.1);
    // One is set up with the default's inbox as its own.
    assert_eq!((&before["entry_points"], &before["left"]), (&json!(3), &json!(2)), "{before}");
    let make = |inbox: &str, replace: bool| json!({"inbox": inbox, "entry_points": ["voice/+14155550101", "voice/+14155550102"], "replace": replace});
    let path = "/api/v1/entry-points/exceptions";
    assert_eq!(gateway.ask("POST", path, Some(make("ib_sales", false))).await.0, StatusCode::OK);
    let after = voice(&gateway.get("/api/v1/channels").await.1);
    assert_eq!(after["left"], 0);
    assert!(
        after["exceptions"].as_array().unwrap().contains(&json!({"inbox": "ib_sales", "entry_points": 2}))
    );
    let (status, refused) = gateway.ask("POST", path, Some(make("ib_support", false))).await;
    assert_eq!((status.as_u16(), &refused["code"]), (409, &json!("in_another_exception")));
    assert_eq!(gateway.ask("POST", path, Some(make("ib_support", true))).await.0, StatusCode::OK);
    let path = "/api/v1/channels/voice/default-inbox";
    assert_eq!(gateway.get(path).await.1, json!({"inbox": "ib_general"}));
    assert_eq!(gateway.ask("PUT", path, Some(json!({"inbox": "ib_sales"}))).await.0, StatusCode::OK);
    assert_eq!(gateway.get(path).await.1, json!({"inbox": "ib_sales"}));
    assert_eq!(gateway.ask("PUT", path, Some(json!({"inbox": "ib_x"}))).await.0, 422);
    assert_eq!(gateway.get("/api/v1/channels/fax/default-inbox").await.0, 404);
}

#[tokio::test]
async fn many_entry_points_are_disarmed_in_one_revision_or_in_the_draft() {
    let gateway = Gateway::new();
    let body =
        json!({"entry_points": ["voice/+14155550100", "voice/+14155550101", "chat/sample"], "armed": false});
    let (_, drafted) = gateway.ask("POST", "/api/v1/entry-points/arm?draft=true", Some(body.clone())).await;
    assert_eq!(drafted["done"]["published"], false);
    assert_eq!(ids(&gateway.get("/api/v1/entry-points?armed=false").await.1), Vec::<&str>::new());
    let (_, done) = gateway.ask("POST", "/api/v1/entry-points/arm?note=quiet", Some(body)).await;
    assert_eq!(done["done"]["revision"], 2);
    let (_, off) = gateway.get("/api/v1/entry-points?armed=false").await;
    assert_eq!(ids(&off), ["chat/sample", "voice/+14155550100", "voice/+14155550101"]);
    let (_, revisions) = gateway.get("/api/v1/routing/revisions?limit=1").await;
    assert_eq!(revisions["revisions"][0]["note"], "quiet");
    let wrong = json!({"entry_points": ["voice/12"], "armed": true});
    assert_eq!(gateway.ask("POST", "/api/v1/entry-points/arm", Some(wrong)).await.0, 400);
}

#[tokio::test]
async fn what_uses_an_object_is_known_to_the_place() {
    let gateway = Gateway::new();
    let paths = |answer: &Value| -> Vec<String> {
        answer["used_by"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap().into()).collect()
    };
    let (_, ivr) = gateway.get("/api/v1/usage/ivrs/ivr_main").await;
    let ivr = paths(&ivr);
    assert!(ivr.contains(&"/numbers/+14155550101".to_owned()), "{ivr:?}");
    assert!(ivr.iter().any(|path| path.starts_with("/entry_points/ivr~1ivr_main~1")), "{ivr:?}");
    let (_, inbox) = gateway.get("/api/v1/usage/inboxes/ib_general").await;
    let inbox = paths(&inbox);
    for path in ["/channels/voice/inbox", "/entry_points/voice~1+14155550100", "/settings/default_inbox"] {
        assert!(inbox.contains(&path.to_owned()), "{inbox:?}");
    }
    gateway
        .publish(&json!({
            "prompts": {"pr_hello": {"builtin": "welcome"}},
            "lists": {"blocked": {}, "unused": {}},
            "settings": {"routing": {"default_inbox": "ib_general", "block_list": "blocked"}},
            "inboxes": {"ib_sales": {"name": "Sales", "queue_music": "pr_hello"}},
        }))
        .await;
    assert_eq!(
        paths(&gateway.get("/api/v1/usage/prompts/pr_hello").await.1),
        ["/inboxes/ib_sales/queue_music"]
    );
    assert_eq!(paths(&gateway.get("/api/v1/usage/lists/blocked").await.1), ["/settings/block_list"]);
    assert!(paths(&gateway.get("/api/v1/usage/lists/unused").await.1).is_empty());
    assert_eq!(gateway.get("/api/v1/usage/lists/none").await.0, 404);
    assert_eq!(gateway.get("/api/v1/usage/spoons/none").await.0, 404);
}

#[tokio::test]
async fn what_a_publish_would_touch_is_known_before_it() {
    let gateway = Gateway::new();
    let entry = gateway.state.live.enter("ct_1".into()).unwrap();
    entry.update(|live| live.stage = Stage::InIvr { ivr: "ivr_main".into(), node: "menu".into() });
    let other = gateway.state.live.enter("ct_2".into()).unwrap();
    other.update(|live| live.stage = Stage::InIvr { ivr: "ivr_short".into(), node: "greeting".into() });
    let place = gateway.state.queues.keep(&"ib_sales".into(), &"ct_3".into(), jiff::Timestamp::now(), 5);
    let (_, nothing) = gateway.get("/api/v1/routing/draft/impact").await;
    assert_eq!((&nothing["publishable"], &nothing["objects"]), (&json!(false), &json!([])));
    let (_, ivr) = gateway.get("/api/v1/routing/draft/ivrs/ivr_main").await;
    let mut ivr = ivr;
    ivr["nodes"]["exit_new"] = json!({"type": "exit"});
    ivr["nodes"]["menu"]["choices"]["4"] = json!("exit_new");
    for (path, body) in [
        ("ivrs/ivr_main", ivr),
        ("inboxes/ib_sales", json!({"name": "Sales", "sla_minutes": 10})),
        ("entry_points/email%2Fhelp@example.com", json!({"armed": false})),
    ] {
        let (status, _) = gateway.ask("PUT", &format!("/api/v1/routing/draft/{path}"), Some(body)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let (_, impact) = gateway.get("/api/v1/routing/draft/impact").await;
    assert_eq!(impact["inside_ivrs"], json!({"ivr_main": 1}));
    assert_eq!(impact["waiting_in_inboxes"], json!({"ib_sales": 1}));
    assert_eq!(impact["numbers"], json!({"count": 1, "first": ["+14155550101"]}));
    assert_eq!(impact["exits"]["count"], 4);
    assert_eq!(impact["entry_points"]["first"], json!(["email/help@example.com"]));
    assert_eq!((&impact["publishable"], &impact["live"]), (&json!(true), &json!(2)), "{impact}");
    drop(place);
}
