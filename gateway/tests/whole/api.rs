//! The control API over its router and over real sockets: keys, problems, contacts, feed, streams.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Instant, timeout},
};
use vestibule::api::{
    self,
    live::{Stage, Wish},
    readiness::Phase,
};
use vestibule_routing::{
    id::ContactId,
    journey::{FeedEvent, Refusal, Request as Wanted},
};

use crate::support::gateway::Gateway;

#[test]
fn the_stored_description_is_what_the_code_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let json = api::openapi_json().unwrap();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &json).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == json, "gateway/openapi.json is stale: run this test with UPDATE_REFERENCE=1");
}

#[tokio::test]
async fn the_description_is_served_without_a_key_and_names_every_path() {
    let gateway = Gateway::new();
    let request = Request::get("/api/v1/openapi.json").body(Body::empty()).unwrap();
    let (status, api) = gateway.send(request).await;
    assert_eq!(status, StatusCode::OK);
    for path in
        ["/api/v1/events", "/api/v1/events/stream", "/api/v1/contacts", "/api/v1/contacts/{id}/hang_up"]
    {
        assert!(api["paths"].get(path).is_some(), "{path} is missing");
    }
    assert_eq!(api["components"]["securitySchemes"]["key"]["scheme"], "bearer");
}

#[tokio::test]
async fn a_request_without_a_key_or_with_a_wrong_one_is_refused() {
    let gateway = Gateway::new();
    let wrong = format!("Bearer vk_{}", "0".repeat(64));
    let near = format!("Bearer {}0", gateway.key);
    for header_value in ["", "Basic eDp5", "Bearer", "Bearer ", wrong.as_str(), near.as_str()] {
        let request = Request::get("/api/v1/contacts")
            .header(header::AUTHORIZATION, header_value)
            .body(Body::empty())
            .unwrap();
        let (status, problem) = gateway.send(request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{header_value}");
        assert_eq!(problem["code"], "key_needed");
    }
    assert_eq!(gateway.get("/api/v1/contacts").await.0, StatusCode::OK);
    assert_eq!(gateway.state.metrics.api.unauthorised.get(), 6);
}

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let gateway = Gateway::new();
    let cases = [
        ("GET", "/nothing", None, 404, "no_such_path"),
        ("DELETE", "/api/v1/events", None, 405, "method_not_allowed"),
        ("GET", "/api/v1/events?after=x", None, 400, "bad_request"),
        ("GET", "/api/v1/events?limit=0", None, 400, "bad_request"),
        ("GET", "/api/v1/events?limit=1001", None, 400, "bad_request"),
        ("GET", "/api/v1/events?wait_seconds=61", None, 400, "bad_request"),
        ("GET", "/api/v1/events?type=contact.begun", None, 400, "bad_request"),
        ("GET", "/api/v1/events?colour=red", None, 400, "bad_request"),
        ("GET", "/api/v1/contacts?state=asleep", None, 400, "bad_request"),
        ("GET", "/api/v1/contacts/ct_none", None, 404, "no_such_contact"),
        ("POST", "/api/v1/contacts/ct_none/hang_up", None, 404, "no_such_contact"),
        ("GET", "/api/v1/consumers/crm/cursor", None, 404, "no_such_consumer"),
        ("GET", "/api/v1/consumers/a%20b/cursor", None, 400, "bad_request"),
        ("PUT", "/api/v1/consumers/crm/cursor", Some(json!({"cursor": 1})), 400, "bad_request"),
        ("PUT", "/api/v1/consumers/crm/cursor", None, 415, "not_json"),
        ("POST", "/api/v1/consumers/crm/lease", Some(json!({"holder": ""})), 400, "bad_request"),
        (
            "POST",
            "/api/v1/consumers/crm/lease",
            Some(json!({"holder": "a", "seconds": 4})),
            400,
            "bad_request",
        ),
        ("DELETE", "/api/v1/consumers/crm/lease", None, 400, "bad_request"),
        ("DELETE", "/api/v1/consumers/crm", None, 404, "no_such_consumer"),
    ];
    for (method, path, body, status, code) in cases {
        let (answered, problem) = gateway.ask(method, path, body).await;
        assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{method} {path}");
    }
    let large =
        Request::put("/api/v1/consumers/crm/cursor").body(Body::from(vec![b' '; (16 << 20) + 1])).unwrap();
    assert_eq!(gateway.send(large).await.1["code"], "body_too_large");
}

#[tokio::test]
async fn health_follows_the_phase_and_the_journal() {
    let gateway = Gateway::new();
    assert_eq!(gateway.get("/livez").await.0, StatusCode::OK);
    assert_eq!(gateway.get("/readyz").await.0, StatusCode::OK);
    gateway.state.readiness.set(Phase::Draining);
    assert_eq!(gateway.get("/readyz").await.1["code"], "draining");
    assert_eq!(gateway.get("/livez").await.0, StatusCode::OK);
    gateway.state.readiness.set(Phase::Ready);
    gateway.state.journal.close();
    assert_eq!(gateway.get("/readyz").await.1["code"], "journal_unavailable");
}

#[tokio::test]
async fn metrics_are_for_loopback_or_a_key() {
    let gateway = Gateway::new();
    let from = |peer: Option<&str>| {
        let mut request = Request::get("/metrics").body(Body::empty()).unwrap();
        if let Some(peer) = peer {
            request.extensions_mut().insert(api::health::Peer(peer.parse().unwrap()));
        }
        request
    };
    assert_eq!(gateway.send(from(None)).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(gateway.send(from(Some("192.0.2.1:5"))).await.0, StatusCode::UNAUTHORIZED);
    for peer in ["127.0.0.1:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
        let (status, text) = gateway.send(from(Some(peer))).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.as_str().unwrap().contains("vestibule_journal_commits_total"));
    }
    assert_eq!(gateway.get("/metrics").await.0, StatusCode::OK);
}

#[tokio::test]
async fn contacts_are_listed_by_page_and_shown_with_their_trace() {
    let gateway = Gateway::new();
    for n in 0..5 {
        gateway.start(&format!("ct_{n}"), "+14155550100").await;
    }
    gateway.start("ct_5", "+14155550101").await;
    gateway.end("ct_0").await;

    let (_, page) = gateway.get("/api/v1/contacts?limit=4").await;
    let ids = |page: &Value| -> Vec<String> {
        page["contacts"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&page), ["ct_5", "ct_4", "ct_3", "ct_2"]);
    let (_, rest) = gateway.get(&format!("/api/v1/contacts?before={}", page["next"].as_str().unwrap())).await;
    assert_eq!(ids(&rest), ["ct_1", "ct_0"]);
    assert!(rest["next"].is_null());
    assert_eq!(ids(&gateway.get("/api/v1/contacts?state=ended").await.1), ["ct_0"]);
    assert_eq!(ids(&gateway.get("/api/v1/contacts?to=%2B14155550101").await.1), ["ct_5"]);

    let (_, ended) = gateway.get("/api/v1/contacts/ct_0").await;
    assert_eq!(ended["trace"], json!([{"step": "one"}]));
    assert_eq!(ended["outcome"], json!({"side": "caller", "reason": "completed"}));
    assert_eq!(ended["state"], "ended");

    let entry = gateway.state.live.enter("ct_1".into()).unwrap();
    assert!(gateway.state.live.enter("ct_1".into()).is_none());
    let queued = FeedEvent::Queued { inbox: "ib_a".into(), sla_due: Timestamp::now() };
    entry.update(|live| {
        live.stage = Stage::Waiting { inbox: "ib_a".into(), position: 2 };
        live.events.push(vestibule::journal::Event::of_journey(Timestamp::now(), &queued));
    });
    let (_, live) = gateway.get("/api/v1/contacts/ct_1").await;
    assert_eq!(live["now"], json!({"stage": "waiting", "inbox": "ib_a", "position": 2}));
    assert_eq!((&live["trace"][0]["event"], &live["inbox"]), (&json!("contact.queued"), &json!("ib_a")));
}

#[tokio::test]
async fn a_request_reaches_the_contact_and_its_answer_comes_back() {
    let gateway = Gateway::new();
    gateway.start("ct_1", "+14155550100").await;
    let entry = gateway.state.live.enter(ContactId::from("ct_1")).unwrap();
    let take = json!({"target": "sip:ann@127.0.0.1:5070;transport=tcp", "by": "ann", "ring_seconds": 20});
    for (reply, status, code) in [
        (Ok(()), StatusCode::ACCEPTED, None),
        (Err(Refusal::NotWaiting), StatusCode::CONFLICT, Some("not_waiting")),
        (Err(Refusal::UnderWay), StatusCode::CONFLICT, Some("take_under_way")),
        (Err(Refusal::Taken), StatusCode::CONFLICT, Some("taken_already")),
    ] {
        let answer = async {
            let Wish::Request(asked) = entry.wish().await else { panic!("a request") };
            let Wanted::Take(callee) = asked.request else { panic!("a take: {:?}", asked.request) };
            assert_eq!((callee.by.as_str(), callee.ring), ("ann", Duration::from_secs(20)));
            assert_eq!(asked.targets[0].ways[0].to.peer.to_string(), "127.0.0.1:5070");
            asked.reply.send(reply).unwrap();
        };
        let ask = gateway.ask("POST", "/api/v1/contacts/ct_1/take", Some(take.clone()));
        let ((got, body), ()) = tokio::join!(ask, answer);
        assert_eq!((got, body["code"].as_str()), (status, code), "{body}");
    }
}

#[tokio::test]
async fn who_asks_a_contact_that_ends_hears_that_it_is_over() {
    let gateway = Gateway::new();
    gateway.start("ct_1", "+14155550100").await;
    let entry = gateway.state.live.enter(ContactId::from("ct_1")).unwrap();
    let contact = gateway.state.live.find("ct_1").unwrap();
    let end = async move {
        let asked = entry.wish().await;
        drop((asked, entry));
    };
    let ((status, problem), ()) = tokio::join!(gateway.ask("POST", "/api/v1/contacts/ct_1/hold", None), end);
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("contact_ended")));
    assert!(contact.ask(Wanted::Hold, Vec::new()).await.is_err(), "also for one who knew it before");
}

#[tokio::test]
async fn a_contact_is_asked_for_no_more_than_it_can_take_in() {
    let gateway = Gateway::new();
    gateway.start("ct_1", "+14155550100").await;
    let _entry = gateway.state.live.enter(ContactId::from("ct_1")).unwrap();
    let contact = gateway.state.live.find("ct_1").unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let contact = contact.clone();
        waiting.push(tokio::spawn(async move { contact.ask(Wanted::Hold, Vec::new()).await }));
        tokio::task::yield_now().await;
    }
    let (status, problem) = gateway.ask("POST", "/api/v1/contacts/ct_1/hold", None).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::SERVICE_UNAVAILABLE, Some("contact_busy")));
    assert!(waiting.iter().all(|task| !task.is_finished()));
}

#[tokio::test]
async fn hanging_up_reaches_the_contact_once_and_only_while_it_lives() {
    let gateway = Gateway::new();
    gateway.start("ct_1", "+14155550100").await;
    let entry = gateway.state.live.enter(ContactId::from("ct_1")).unwrap();
    for _ in 0..2 {
        assert_eq!(gateway.ask("POST", "/api/v1/contacts/ct_1/hang_up", None).await.0, StatusCode::ACCEPTED);
    }
    let wish = timeout(Duration::from_secs(1), entry.wish()).await.unwrap();
    assert!(matches!(wish, Wish::HangUp));
    assert!(timeout(Duration::from_millis(20), entry.wish()).await.is_err());
    drop(entry);
    assert_eq!(gateway.state.live.count(), 0);
    gateway.end("ct_1").await;
    let (status, problem) = gateway.ask("POST", "/api/v1/contacts/ct_1/hang_up", None).await;
    assert_eq!((status, problem["code"].as_str()), (StatusCode::CONFLICT, Some("contact_ended")));
}

#[tokio::test]
async fn a_long_poll_wakes_with_the_commit_and_skips_other_types() {
    let gateway = Gateway::new();
    let begun = Instant::now();
    let poll = gateway.get("/api/v1/events?wait_seconds=30&type=contact.ended");
    let (_, (status, page)) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            gateway.start("ct_1", "+14155550100").await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            gateway.end("ct_1").await;
        },
        poll
    );
    assert_eq!(status, StatusCode::OK);
    assert!((200..5000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    let event = &page["events"][0];
    assert_eq!(event["type"], "contact.ended");
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["subject"], "ct_1");
    assert_eq!(event["data"]["outcome"]["side"], "caller");
    assert_eq!((&page["next"], &event["sequence"]), (&json!(2), &json!("2")));
    assert_eq!(page["events"].as_array().unwrap().len(), 1);

    let (_, empty) = gateway.get("/api/v1/events?after=2&wait_seconds=1").await;
    assert_eq!((&empty["events"], &empty["next"]), (&json!([]), &json!(2)));
}

#[tokio::test]
async fn one_process_of_a_consumer_reads_at_a_time_and_a_late_one_is_refused() {
    let gateway = Gateway::new();
    gateway.start("ct_1", "+14155550100").await;
    let lease = |holder: &str, epoch: Option<u64>| {
        let wish = json!({"holder": holder, "seconds": 30, "epoch": epoch});
        gateway.ask("POST", "/api/v1/consumers/crm/lease", Some(wish))
    };
    let put = |expected: u64, cursor: u64, epoch: Option<u64>| {
        let to = json!({"expected": expected, "cursor": cursor, "epoch": epoch});
        gateway.ask("PUT", "/api/v1/consumers/crm/cursor", Some(to))
    };
    let (status, first) = lease("a", None).await;
    assert_eq!((status, &first["cursor"], &first["lag"]), (StatusCode::OK, &json!(0), &json!(1)), "{first}");
    let epoch = first["lease"]["epoch"].as_u64().unwrap();
    let (status, held) = lease("b", None).await;
    assert_eq!((status, &held["code"]), (StatusCode::CONFLICT, &json!("lease_held")));
    assert_eq!((&held["more"]["cursor"], &held["more"]["expires"]), (&json!(0), &first["lease"]["expires"]));
    assert_eq!(put(0, 1, None).await.1["code"], "lease_held", "who has no lease stores nothing");
    assert_eq!(put(0, 1, Some(epoch + 1)).await.1["code"], "lease_lost");
    assert_eq!(put(0, 1, Some(epoch)).await.1["lease"]["epoch"], epoch);
    assert_eq!(put(0, 1, Some(epoch)).await.1["code"], "cursor_moved");
    assert_eq!(lease("a", Some(epoch)).await.1["lease"]["epoch"], epoch, "renewed");
    // The same process anew: what it was before is refused.
    let again = lease("a", None).await.1["lease"]["epoch"].as_u64().unwrap();
    assert!(again > epoch);
    assert_eq!(lease("a", Some(epoch)).await.1["code"], "lease_lost");
    assert_eq!(put(1, 1, Some(epoch)).await.1["code"], "lease_lost");

    let end = async |epoch: u64| {
        gateway.ask("DELETE", &format!("/api/v1/consumers/crm/lease?epoch={epoch}"), None).await
    };
    let gone = gateway.ask("DELETE", "/api/v1/consumers/crm", None).await;
    assert_eq!(gone.1["code"], "lease_held", "somebody reads");
    assert_eq!(end(epoch).await.1["code"], "lease_lost");
    assert_eq!(end(again).await.0, StatusCode::NO_CONTENT);
    let second = lease("b", None).await.1;
    assert_eq!((&second["cursor"], &second["lease"]["holder"]), (&json!(1), &json!("b")));
    assert_eq!(put(1, 1, Some(again)).await.1["code"], "lease_lost", "who gave it back comes too late");

    let (_, list) = gateway.get("/api/v1/consumers").await;
    assert_eq!(list["consumers"].as_array().unwrap().len(), 1);
    assert_eq!((&list["consumers"][0]["name"], &list["consumers"][0]["lag"]), (&json!("crm"), &json!(0)));
    end(second["lease"]["epoch"].as_u64().unwrap()).await;
    let delete = || gateway.ask("DELETE", "/api/v1/consumers/crm", None);
    assert_eq!(delete().await.0, StatusCode::NO_CONTENT);
    assert_eq!(delete().await.1["code"], "no_such_consumer");
    let begun = json!({"holder": "c", "from": "newest"});
    let (_, newest) = gateway.ask("POST", "/api/v1/consumers/crm/lease", Some(begun)).await;
    assert_eq!((&newest["cursor"], &newest["lag"]), (&json!(1), &json!(0)));
    assert!(
        newest["lease"]["epoch"].as_u64() > second["lease"]["epoch"].as_u64(),
        "also after it was deleted"
    );
}

#[tokio::test]
async fn a_stored_cursor_is_compared_and_set() {
    let gateway = Gateway::new();
    gateway.start("ct_1", "+14155550100").await;
    let path = "/api/v1/consumers/crm-1/cursor";
    let put = |expected: u64, cursor: u64| {
        gateway.ask("PUT", path, Some(json!({"expected": expected, "cursor": cursor})))
    };
    assert_eq!(put(0, 1).await, (StatusCode::OK, json!({"name": "crm-1", "cursor": 1})));
    let (status, problem) = put(0, 1).await;
    assert_eq!((status, &problem["more"]["cursor"]), (StatusCode::CONFLICT, &json!(1)));
    assert_eq!(put(1, 9).await.1["code"], "cursor_ahead");
    assert_eq!(gateway.get(path).await.1["cursor"], 1);
}

/// Reads Server-Sent Events until `count` ids came.
async fn stream_ids(gateway: &Gateway, address: SocketAddr, head: &str, count: usize) -> Vec<String> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /api/v1/events/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{head}\r\n",
        gateway.key
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut ids = Vec::new();
    while ids.len() < count {
        let line = timeout(Duration::from_secs(5), lines.next_line()).await.unwrap().unwrap().unwrap();
        if let Some(id) = line.strip_prefix("id: ") {
            ids.push(id.to_owned());
        }
    }
    ids
}

#[tokio::test]
async fn a_stream_goes_on_behind_the_last_event_id_and_ends_with_the_gateway() {
    let gateway = Gateway::new();
    let address = gateway.serve().await;
    for n in 0..3 {
        gateway.start(&format!("ct_{n}"), "+14155550100").await;
    }
    assert_eq!(stream_ids(&gateway, address, "", 3).await, ["1", "2", "3"]);
    let (resumed, ()) = tokio::join!(stream_ids(&gateway, address, "Last-Event-ID: 2\r\n", 2), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        gateway.end("ct_0").await;
    });
    assert_eq!(resumed, ["3", "4"]);

    let mut open = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /api/v1/events/stream?after=4 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        gateway.key
    );
    open.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    open.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    gateway.state.readiness.set(Phase::Stopping);
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), open.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream was cut off, not ended");
    assert!(TcpStream::connect(address).await.is_err(), "the listener is still there");
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_off() {
    let gateway = Gateway::new();
    let address = gateway.serve().await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nX: ").await.unwrap();
    let begun = Instant::now();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(14), slow.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(begun.elapsed() > Duration::from_secs(8), "{:?}", begun.elapsed());
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn routing_is_edited_validated_published_compared_and_restored() {
    let gateway = Gateway::new();
    let sales = "/api/v1/routing/draft/inboxes/ib_sales";
    let (status, _) = gateway.ask("PATCH", sales, Some(json!({"sla_minutes": 7}))).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(gateway.get(sales).await.1["sla_minutes"], 7);
    let (_, said) = gateway.ask("POST", "/api/v1/routing/validate", None).await;
    assert_eq!(said, json!({"publishable": true, "diagnostics": []}));
    let note = Some(json!({"note": "Sales is quicker"}));
    let (status, published) = gateway.ask("POST", "/api/v1/routing/publish", note.clone()).await;
    assert_eq!((status, published["revision"]["number"].as_u64()), (StatusCode::CREATED, Some(2)));
    assert_eq!(published["revision"]["author"], "first", "the author is the key's name");
    assert_eq!(gateway.get("/api/v1/routing").await.1["revision"], 2);
    let (_, diff) = gateway.get("/api/v1/routing/diff?from=1&to=2").await;
    assert_eq!(diff["differences"][0]["after"]["sla_minutes"], 7);
    let (status, _) = gateway.ask("POST", "/api/v1/routing/revisions/1/restore", note.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, page) = gateway.get("/api/v1/routing/revisions?limit=2").await;
    assert_eq!((&page["revisions"][0]["restores"], &page["next"]), (&json!(1), &json!(2)));
    let (status, problem) = gateway.ask("POST", "/api/v1/routing/publish", note).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["more"]["diagnostics"][0]["code"], "R-1602");
}

#[tokio::test]
async fn an_edit_of_an_old_draft_and_a_faulty_object_are_refused() {
    let gateway = Gateway::new();
    let put = |tag: &'static str, body: Value| {
        Request::builder()
            .method("PUT")
            .uri("/api/v1/routing/draft/entry_points/voice%2F%2B14155550100")
            .header(header::AUTHORIZATION, format!("Bearer {}", gateway.key))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, tag)
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let current = gateway.state.store.draft().unwrap().version;
    let (status, problem) = gateway.send(put("\"999\"", json!({"inbox": "ib_sales"}))).await;
    assert_eq!(
        (status, problem["more"]["version"].as_u64()),
        (StatusCode::PRECONDITION_FAILED, Some(current))
    );
    let (status, _) = gateway.send(put("*", json!({"inbox": "ib_sales"}))).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, problem) = gateway.send(put("*", json!({"inboxes": "ib_sales"}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["more"]["diagnostics"][0]["code"], "R-1003");
    assert_eq!(gateway.get("/api/v1/routing/draft/boxes/x").await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.get("/api/v1/routing/draft/inboxes/none").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn calls_are_simulated_and_numbers_listed() {
    let gateway = Gateway::new();
    let call = json!({"to": "+14155550101", "from": "+12125550199", "at": "2026-03-02T15:00:00Z", "keys": {"3": "1"}});
    let (status, result) = gateway.ask("POST", "/api/v1/routing/simulate", Some(call)).await;
    assert_eq!((status, &result["simulation"]["inbox"]), (StatusCode::OK, &json!("ib_sales")));
    let (status, _) = gateway.ask("POST", "/api/v1/routing/simulate", Some(json!({"to": "nobody"}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, page) = gateway.get("/api/v1/numbers?limit=2").await;
    assert_eq!(page["numbers"][1]["state"], "ivr_linked");
    assert_eq!(page["next"], "+14155550101");
    assert_eq!(gateway.get("/api/v1/numbers/%2B14155550100").await.1["audit"][0]["action"], "number.added");
    assert_eq!(gateway.get("/api/v1/numbers/%2B4412345").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn trunks_are_listed_and_one_that_was_never_asked_is_neither_up_nor_down() {
    let gateway = Gateway::new();
    let (status, body) = gateway.get("/api/v1/trunks").await;
    assert_eq!(status, StatusCode::OK);
    let trunk = &body["trunks"][0];
    assert_eq!((&trunk["id"], &trunk["reach"]), (&json!("tr_local"), &json!("unknown")));
    assert_eq!((&trunk["outbound"], &trunk["reach_since"]), (&json!(false), &Value::Null));
}
