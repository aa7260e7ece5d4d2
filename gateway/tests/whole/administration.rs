//! Administration over the API: IVR versions, repeated requests, blocked callers, prompts, imports, test numbers.

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use rtp_proto::{tone, wav::Wav};
use serde_json::{Value, json};
use vestibule_config::store::Drafted;
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    id::IvrId,
    resolve::Route,
    time::Now,
};

use crate::support::gateway::Gateway;

impl Gateway {
    async fn raw(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        extra: (&str, &str),
        body: &[u8],
    ) -> (u16, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, kind);
        if !extra.0.is_empty() {
            request = request.header(extra.0, extra.1);
        }
        let (status, answer) = self.send(request.body(Body::from(body.to_vec())).unwrap()).await;
        (status.as_u16(), answer)
    }
}

#[tokio::test]
async fn an_ivr_is_edited_checked_published_alone_compared_and_restored() {
    let gateway = Gateway::new();
    let (_, yaml) = {
        let request = Request::get("/api/v1/ivrs/ivr_short")
            .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
            .header(header::ACCEPT, "application/yaml");
        gateway.send(request.body(Body::empty()).unwrap()).await
    };
    let yaml = yaml.as_str().unwrap().to_owned();
    assert!(yaml.contains("kind: initial"), "{yaml}");
    let broken = yaml.replace("next: connecting", "next: nowhere");
    let put = |text: String| {
        let gateway = &gateway;
        async move {
            gateway.raw("PUT", "/api/v1/ivrs/ivr_short", "application/yaml", ("", ""), text.as_bytes()).await
        }
    };
    assert_eq!(put(broken).await.0, 204);
    let (_, found) = gateway.get("/api/v1/ivrs/ivr_short/diagnostics").await;
    assert_eq!(found["nodes"]["greeting"][0]["code"], "R-1201", "{found}");
    let (_, list) = gateway.get("/api/v1/ivrs").await;
    let short = list["ivrs"].as_array().unwrap().iter().find(|ivr| ivr["id"] == "ivr_short").unwrap();
    assert_eq!((&short["status"], &short["numbers"]), (&json!("changed"), &json!(1)));
    assert!(short["errors"].as_u64().unwrap() >= 1, "{short}");
    let note = json!({"note": "shorter"});
    assert_eq!(gateway.ask("POST", "/api/v1/ivrs/ivr_short/publish", Some(note.clone())).await.0, 422);
    // Somebody else's edit stays in the draft.
    gateway.ask("PUT", "/api/v1/routing/draft/inboxes/ib_new", Some(json!({"name": "New"}))).await;
    assert_eq!(
        put(yaml.replace("next: connecting", "next: exit").replace("connecting:", "unused:")).await.0,
        204
    );
    let (status, answer) = gateway.ask("POST", "/api/v1/ivrs/ivr_short/publish", Some(note)).await;
    assert_eq!((status, &answer["revision"]["number"]), (StatusCode::CREATED, &json!(2)), "{answer}");
    let (_, draft) = gateway.get("/api/v1/routing/draft/changes").await;
    assert_eq!(draft["changes"][0]["key"]["id"], "ib_new");
    let (_, diff) = gateway.get("/api/v1/ivrs/ivr_short/diff?from=1&to=2").await;
    assert_eq!((&diff["added"], &diff["removed"]), (&json!(["unused"]), &json!(["connecting"])));
    assert_eq!(
        diff["changed"],
        json!({"greeting": [{"path": "/next", "before": "connecting", "after": "exit"}]})
    );
    let (status, restored) =
        gateway.ask("POST", "/api/v1/ivrs/ivr_short/restore", Some(json!({"revision": 1}))).await;
    assert_eq!((status, &restored["done"]["revision"]), (StatusCode::OK, &json!(3)), "{restored}");
    let (_, versions) = gateway.get("/api/v1/ivrs/ivr_short/versions").await;
    let revisions: Vec<u64> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["revision"].as_u64().unwrap())
        .collect();
    assert_eq!(revisions, [3, 2, 1]);
    assert_eq!(versions["versions"][1]["note"], "shorter");
    assert_eq!(gateway.get("/api/v1/ivrs/ivr_none").await.0, 404);
    assert_eq!(gateway.get("/api/v1/ivrs/ivr_short?revision=99").await.0, 404);
}

#[tokio::test]
async fn a_request_that_comes_again_under_its_key_is_answered_as_before_and_not_done_again() {
    let gateway = Gateway::new();
    let post = |key: &'static str, body: Value| {
        let gateway = &gateway;
        async move {
            let bytes = body.to_string().into_bytes();
            gateway.raw("POST", "/api/v1/numbers", "application/json", ("Idempotency-Key", key), &bytes).await
        }
    };
    let number = json!({"number": "+14155550177"});
    let first = post("k1", number.clone()).await;
    assert_eq!(first.0, 201);
    assert_eq!(post("k1", number.clone()).await, first, "the same answer again");
    assert_eq!(post("k2", number.clone()).await.0, 409, "under another key it is another request");
    let (status, other) = post("k1", json!({"number": "+14155550178"})).await;
    assert_eq!((status, &other["code"]), (422, &json!("idempotency_key_reused")));
    // What was refused may be tried again.
    assert_eq!(post("k3", json!({"number": "12"})).await.0, 400);
    assert_eq!(post("k3", json!({"number": "+14155550178"})).await.0, 201);
    assert_eq!(gateway.state.metrics.api.idempotency_replayed.get(), 1);
    let long = "x".repeat(256);
    let (status, _) =
        gateway.raw("POST", "/api/v1/numbers", "application/json", ("Idempotency-Key", &long), b"{}").await;
    assert_eq!(status, 400);
    let gateway = gateway.restarted();
    let (status, again) = gateway
        .raw(
            "POST",
            "/api/v1/numbers",
            "application/json",
            ("Idempotency-Key", "k1"),
            number.to_string().as_bytes(),
        )
        .await;
    assert_eq!((status, again), first, "and after a restart");
}

#[tokio::test]
async fn a_caller_is_blocked_and_let_in_again_at_once() {
    let gateway = Gateway::new();
    let call = || {
        let from = Caller {
            number: Some(E164::parse("+12125550123").unwrap()),
            text: String::new(),
            anonymous: false,
        };
        let contact = Contact {
            id: "ct_1".into(),
            channel: Channel::Voice,
            to: Address::Number(E164::parse("+14155550100").unwrap()),
            from,
            arrived: Now { mono: std::time::Instant::now(), wall: jiff::Timestamp::now() },
            seed: 0,
        };
        gateway.state.store.active().load().plan.resolve_voice(&contact)
    };
    assert!(matches!(call(), Route::Inbox(..)));
    let path = "/api/v1/blocked-callers/+12125550123";
    assert_eq!(gateway.ask("DELETE", path, None).await.0, 404);
    let (status, answer) = gateway.ask("PUT", path, None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(matches!(call(), Route::Reject { status: 603, .. }));
    let (_, list) = gateway.get("/api/v1/blocked-callers").await;
    assert_eq!(list["numbers"], json!(["+12125550123"]));
    assert_eq!(gateway.ask("PUT", path, None).await.1["done"]["revision"], Value::Null);
    assert_eq!(gateway.ask("DELETE", path, None).await.0, StatusCode::OK);
    assert!(matches!(call(), Route::Inbox(..)));
    assert_eq!(gateway.ask("PUT", "/api/v1/blocked-callers/12", None).await.0, 400);
}

#[tokio::test]
async fn recordings_of_every_form_are_heard_and_prompts_renamed_and_removed() {
    let gateway = Gateway::new();
    for (name, kind) in
        [("mp3", "audio/mpeg"), ("flac", "audio/flac"), ("ogg", "audio/ogg"), ("m4a", "audio/mp4")]
    {
        let file = std::fs::read(format!("{}/tests/sounds/tone.{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let path = format!("/api/v1/prompts/pr_{name}/recording");
        let (status, kept) = gateway.raw("PUT", &path, kind, ("", ""), &file).await;
        assert_eq!(status, 200, "{name}: {kept}");
        let length = kept["duration_ms"].as_u64().unwrap();
        assert!((550..=700).contains(&length), "{name} lasts {length} ms");
        let (status, _, wav) = gateway.fetch(&format!("/api/v1/prompts/pr_{name}/audio?draft=true")).await;
        assert_eq!(status, StatusCode::OK);
        let samples = Wav::parse(&wav).unwrap().into_mono();
        let middle = &samples[1600..3200];
        let share = tone::power_share(middle, 1000.0);
        assert!(share > 0.9, "{name}: a tone of 1000 Hz is {share} of what is heard");
        // Cut short in the middle: refused or shorter, and never a fault of ours.
        let (status, _) = gateway.raw("PUT", &path, kind, ("", ""), &file[..file.len() / 2]).await;
        assert!([200, 422].contains(&status), "{name}: {status}");
    }
    let (status, refused) = gateway
        .raw("PUT", "/api/v1/prompts/pr_x/recording", "audio/mpeg", ("", ""), b"no sound at all")
        .await;
    assert_eq!((status, &refused["code"]), (422, &json!("recording_unusable")));
    gateway.publish(&json!({"inboxes": {"ib_sales": {"name": "Sales", "queue_music": "pr_mp3"}}})).await;
    let (_, list) = gateway.get("/api/v1/prompts?builtin=true").await;
    let mp3 = list["prompts"].as_array().unwrap().iter().find(|prompt| prompt["id"] == "pr_mp3").unwrap();
    assert_eq!((&mp3["source"], &mp3["status"]), (&json!("recording"), &json!("published")));
    assert!(mp3["duration_ms"].as_u64().unwrap() >= 100, "{mp3}");
    let (status, used) = gateway.ask("DELETE", "/api/v1/prompts/pr_mp3", None).await;
    assert_eq!((status.as_u16(), &used["more"]["used_by"][0]["id"]), (409, &json!("ib_sales")));
    let (status, answer) =
        gateway.ask("POST", "/api/v1/prompts/pr_mp3/rename", Some(json!({"to": "pr_music"}))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (_, inbox) = gateway.get("/api/v1/routing/draft/inboxes/ib_sales").await;
    assert_eq!(inbox["queue_music"], "pr_music");
    assert_eq!(gateway.get("/api/v1/prompts/pr_mp3").await.0, 404);
    assert_eq!(gateway.get("/api/v1/prompts/pr_music").await.1["used_by"][0]["id"], "ib_sales");
    assert_eq!(gateway.ask("DELETE", "/api/v1/prompts/pr_ogg", None).await.0, StatusCode::OK);
    assert_eq!(gateway.ask("DELETE", "/api/v1/prompts/pr_ogg", None).await.0, 404);
    let (status, headers, _) = gateway.fetch("/api/v1/prompts/builtin:welcome/audio").await;
    assert_eq!((status, headers[header::CONTENT_TYPE].to_str().unwrap()), (StatusCode::OK, "audio/wav"));
}

#[tokio::test]
async fn many_entry_points_are_imported_in_one_revision_or_none_of_them() {
    let gateway = Gateway::new();
    let path = "/api/v1/entry-points/import";
    let lines: String = (0..30_000)
        .map(|n| {
            format!(
                "{{\"entry_point\":\"email/box{n}@example.com\",\"inbox\":\"ib_sales\",\"armed\":true}}\n"
            )
        })
        .collect();
    let (status, done) = gateway.raw("POST", path, "application/x-ndjson", ("", ""), lines.as_bytes()).await;
    assert_eq!((status, &done["changed"], &done["revision"]), (200, &json!(30_000), &json!(2)), "{done}");
    let (_, again) = gateway.raw("POST", path, "application/x-ndjson", ("", ""), lines.as_bytes()).await;
    assert_eq!((&again["changed"], &again["revision"]), (&json!(0), &Value::Null));
    let (_, progress) = gateway.get(path).await;
    assert_eq!(progress, json!({"under_way": false, "read": 30_000, "taken_in": 30_000}));
    let csv = "entry_point,inbox,sla_minutes,armed\nemail/a@example.com,ib_sales,5,true\nvoice/12,,,\n\nemail/b@example.com,ib_sales,x,\n";
    let (status, refused) = gateway.raw("POST", path, "text/csv", ("", ""), csv.as_bytes()).await;
    assert_eq!((status, &refused["code"]), (422, &json!("lines_faulty")));
    let faulty: Vec<u64> = refused["more"]["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["line"].as_u64().unwrap())
        .collect();
    assert_eq!(faulty, [2, 3]);
    let skipping = format!("{path}?skip_faulty=true&note=some");
    let (status, some) = gateway.raw("POST", &skipping, "text/csv", ("", ""), csv.as_bytes()).await;
    assert_eq!((status, &some["changed"], &some["left_out"]), (200, &json!(1), &json!(2)), "{some}");
    // A line that is well-formed and leads nowhere: nothing of all that stands.
    let wrong = "\"email/c@example.com\": {inbox: ib_sales}\n\"email/d@example.com\": {inbox: ib_none}\n";
    let (status, refused) = gateway.raw("POST", path, "application/yaml", ("", ""), wrong.as_bytes()).await;
    assert_eq!((status, &refused["more"]["diagnostics"][0]["code"]), (422, &json!("R-1102")));
    assert_eq!(gateway.get("/api/v1/entry-points/email/c@example.com").await.0, 404);
    assert_eq!(gateway.raw("POST", path, "image/png", ("", ""), b"x").await.0, 415);
    let long = format!("{}\n", "x".repeat(5000));
    assert_eq!(gateway.raw("POST", path, "text/csv", ("", ""), long.as_bytes()).await.0, 400);
    let (_, revisions) = gateway.get("/api/v1/routing/revisions?limit=1").await;
    assert_eq!(
        (&revisions["revisions"][0]["number"], &revisions["revisions"][0]["note"]),
        (&json!(3), &json!("some"))
    );
}

#[tokio::test]
async fn a_test_number_goes_through_the_draft_and_nobody_else_does() {
    let gateway = Gateway::new();
    let store = gateway.state.store.clone();
    assert!(matches!(store.drafted().unwrap(), Drafted::Same));
    assert_eq!(gateway.ask("PUT", "/api/v1/test-numbers/+14155550199", None).await.0, 404);
    let (status, _) = gateway.ask("PUT", "/api/v1/test-numbers/+14155550101", None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(gateway.get("/api/v1/test-numbers").await.1, json!({"numbers": ["+14155550101"]}));
    let (_, mut ivr) = gateway.get("/api/v1/routing/draft/ivrs/ivr_main").await;
    ivr["nodes"]["new"] = json!({"type": "exit"});
    ivr["nodes"]["menu"]["choices"]["4"] = json!("new");
    gateway.ask("PUT", "/api/v1/routing/draft/ivrs/ivr_main", Some(ivr.clone())).await;
    let nodes = |plan: &vestibule_routing::plan::Plan| plan.ivrs[&IvrId::from("ivr_main")].nodes().count();
    let Drafted::Ready(drafted) = store.drafted().unwrap() else { panic!("the draft is sound") };
    assert_eq!(nodes(&drafted.plan), nodes(&store.active().load().plan) + 1);
    assert_eq!(drafted.revision, 0);
    let Drafted::Ready(again) = store.drafted().unwrap() else { panic!("the draft is sound") };
    assert!(std::sync::Arc::ptr_eq(&drafted, &again), "it is compiled once");
    ivr["nodes"]["menu"]["choices"]["4"] = json!("nowhere");
    gateway.ask("PUT", "/api/v1/routing/draft/ivrs/ivr_main", Some(ivr)).await;
    assert!(matches!(store.drafted().unwrap(), Drafted::Broken(_)));
    let number = E164::parse("+14155550101").unwrap();
    let closed = store.active().load().without(number);
    let key = (Channel::Voice, Address::Number(number));
    assert!(
        closed.plan.entry_points[&key].disarmed
            && store.active().load().plan.entry_points.get(&key).is_none()
    );
    assert_eq!(gateway.ask("DELETE", "/api/v1/test-numbers/+14155550101", None).await.0, StatusCode::OK);
    assert_eq!(gateway.get("/api/v1/test-numbers").await.1, json!({"numbers": []}));
}

#[tokio::test]
async fn a_trunk_is_tested_only_where_calls_go_out() {
    let gateway = Gateway::new();
    let ask = |id: &str| {
        let (gateway, path) = (&gateway, format!("/api/v1/trunks/{id}/test"));
        async move {
            let (status, body) = gateway.ask("POST", &path, None).await;
            (status.as_u16(), body["code"].clone())
        }
    };
    assert_eq!(ask("tr_none").await, (404, json!("no_such_trunk")));
    assert_eq!(ask("tr_local").await, (409, json!("no_outbound")));
}
