//! Files of messages over real HTTP: fetched after the message, from where they may be, whole or not at all, and told of.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};
use vestibule::message::media::Lookup;

use crate::support::gateway::Gateway;

const SECRET: &str = "a secret of thirty-two bytes long";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and so on";

/// A path, and the proof that came with it.
type Heard = (String, Option<String>);

/// A server that gives out files, and what it was asked.
#[derive(Clone, Default)]
struct Store {
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Where `/away` leads.
    away: Arc<Mutex<String>>,
}

impl Store {
    async fn open(at: &str) -> (Self, String) {
        let store = Self::default();
        let app = Router::new().fallback(get(give)).with_state(store.clone());
        let listener = TcpListener::bind((at, 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, app).await });
        (store, address)
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    fn lead(&self, to: &str) {
        to.clone_into(&mut self.away.lock().unwrap());
    }
}

async fn give(State(store): State<Store>, uri: Uri, headers: HeaderMap) -> Response {
    let proof = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
    let asked = uri.path_and_query().unwrap().to_string();
    let before = {
        let mut heard = store.heard.lock().unwrap();
        heard.push((asked, proof));
        heard.iter().filter(|(path, _)| path == uri.path()).count()
    };
    let typed = |kind: &'static str, body: Body| ([(header::CONTENT_TYPE, kind)], body).into_response();
    let large = || vec![b'x'; 60_000];
    match uri.path() {
        "/away" => {
            let to = store.away.lock().unwrap().clone();
            let headers = [(header::LOCATION, to), (header::CONNECTION, "close".to_owned())];
            (StatusCode::FOUND, headers).into_response()
        }
        "/round" => (StatusCode::FOUND, [(header::LOCATION, "/round")]).into_response(),
        "/large" => typed("text/plain", large().repeat(2).into()),
        "/endless" => {
            let pieces = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(large()));
            typed("text/plain", Body::from_stream(pieces))
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            StatusCode::OK.into_response()
        }
        "/page" => typed("image/png", "<html><script>".into()),
        "/gone" => StatusCode::GONE.into_response(),
        "/late" if before < 2 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "/back" if before < 2 => StatusCode::GONE.into_response(),
        "/missing" => StatusCode::NOT_FOUND.into_response(),
        "/v1/77" => {
            let host = headers.get(header::HOST).unwrap().to_str().unwrap();
            axum::Json(json!({"url": format!("http://{host}/lookaside"), "mime_type": "image/png"}))
                .into_response()
        }
        "/botb:1/getFile" => {
            axum::Json(json!({"ok": true, "result": {"file_path": "photos/1.png"}})).into_response()
        }
        _ => typed("application/octet-stream", PNG.into()),
    }
}

fn signed(id: &str, body: &Value) -> Vec<(&'static str, String)> {
    let stamp = jiff::Timestamp::now().as_second().to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = hmac::sign(&key, format!("{id}.{stamp}.{body}").as_bytes());
    vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", stamp),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(signature))),
    ]
}

/// Publishes a provider `shop` of a kind; `media` as in its document.
async fn provide(gateway: &Gateway, kind: &str, key: Option<&str>, api: Option<&str>) {
    let file = |name: &str, text: &str| {
        let path = gateway.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("file:{}", path.display())
    };
    let mut provider = json!({"name": "Shop", "kind": kind, "url": "https://gw.example.com/webhooks/shop", "account": "us",
        "secrets": [file("secret", SECRET)]});
    if let Some(key) = key {
        provider["media"] = json!({"key": file("media", key), "api": api});
    }
    gateway.publish(&json!({"providers": {"shop": provider}})).await;
}

async fn with(gateway: Gateway) -> Gateway {
    provide(&gateway, "generic", None, None).await;
    tokio::spawn(gateway.state.media_fetcher.clone().run());
    gateway
}

async fn send(gateway: &Gateway, id: &str, links: &[&str]) {
    let media: Vec<_> = links.iter().map(|link| json!({"url": link})).collect();
    let body = json!({"from": "ann", "to": "shop-1", "text": "look", "media": media});
    let status = gateway.post("/webhooks/shop", &signed(id, &body), body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{id}");
}

async fn events(gateway: &Gateway, kind: &str) -> Vec<Value> {
    let (_, page) = gateway.get(&format!("/api/v1/events?after=0&limit=1000&type={kind}")).await;
    page["events"].as_array().unwrap().clone()
}

/// The files of all messages, once none is being fetched for the first time.
async fn settled(gateway: &Gateway) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, page) = gateway.get("/api/v1/message-media").await;
        let mut media = page["media"].as_array().unwrap().clone();
        if !media.is_empty() && media.iter().all(|one| one["attempts"] != 0) {
            media.reverse();
            return media;
        }
        assert!(Instant::now() < until, "{media:?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// What became of one link: its state and the reason.
async fn fate(gateway: &Gateway, link: &str) -> (String, String) {
    let before = events(gateway, "message.received").await.len();
    send(gateway, &format!("m{before}"), &[link]).await;
    let media = settled(gateway).await;
    let last = media.last().unwrap();
    let text = |name: &str| last[name].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

fn failed(reason: &str) -> (String, String) {
    ("failed".into(), reason.into())
}

fn pending(reason: &str) -> (String, String) {
    ("pending".into(), reason.into())
}

fn stored() -> (String, String) {
    ("stored".into(), String::new())
}

#[tokio::test]
async fn a_file_is_fetched_after_its_message_kept_and_told_of() {
    let (store, base) = Store::open("127.0.0.1").await;
    let gateway = with(Gateway::new()).await;
    let links = [format!("{base}/a"), format!("{base}/b")];
    send(&gateway, "m1", &links.each_ref().map(String::as_str)).await;
    let received = &events(&gateway, "message.received").await[0];
    let named = received["data"]["message"]["media"].clone();
    assert_eq!((&named[0]["link"], &named[0]["state"]), (&json!(links[0]), &json!("pending")));
    let media = settled(&gateway).await;
    assert!(
        media.iter().all(|one| one["state"] == "stored" && one["media_type"] == "image/png"),
        "{media:?}"
    );
    let updates = events(&gateway, "message.updated").await;
    assert_eq!(updates.len(), 2);
    for update in &updates {
        let (data, about) = (&update["data"], &update["data"]["media"]);
        assert_eq!((&data["change"], &data["message_id"]), (&json!("media"), &json!("m1")));
        assert_eq!((&update["subject"], &data["customer"]), (&received["subject"], &json!("ann")));
        assert_eq!(data["conversation"], received["data"]["conversation"]);
        let place = usize::try_from(about["place"].as_u64().unwrap()).unwrap();
        assert_eq!((&about["id"], &about["bytes"]), (&named[place]["id"], &json!(PNG.len())));
        let (status, _, bytes) =
            gateway.fetch(&format!("/api/v1/files/{}", about["file"].as_str().unwrap())).await;
        assert_eq!((status, bytes.as_slice()), (StatusCode::OK, PNG));
    }
    // What comes twice is not fetched twice.
    send(&gateway, "m1", &[&links[0]]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(store.heard().len(), 2);
    let (_, of_it) = gateway
        .get(&format!(
            "/api/v1/message-media?state=stored&conversation={}",
            received["data"]["conversation"].as_str().unwrap()
        ))
        .await;
    assert_eq!(of_it["media"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_is_fetched_from_addresses_that_are_not_public_on_any_hop() {
    let (inside, secret) = Store::open("127.0.0.2").await;
    let (store, base) = Store::open("127.0.0.1").await;
    let port = base.rsplit(':').next().unwrap().to_owned();
    let inside_port = secret.rsplit(':').next().unwrap().to_owned();
    let times = Arc::new(Mutex::new(0));
    let lookup = Lookup::new(move |name| {
        let mut times = times.lock().unwrap();
        // A name that was good a moment ago.
        *times += i32::from(name == "rebind.test");
        let found = if name == "rebind.test" && *times > 1 { "127.0.0.2" } else { "127.0.0.1" };
        let found = if name == "private.test" { "10.0.0.1" } else { found };
        Box::pin(async move { Ok(vec![found.parse().unwrap()]) })
    });
    let gateway = with(Gateway::with_lookup(lookup)).await;
    assert_eq!(fate(&gateway, &format!("{secret}/a")).await, failed("forbidden_address"));
    for to in [
        format!("{secret}/a"),
        format!("http://private.test:{port}/a"),
        format!("http://[::1]:{port}/a"),
        format!("http://[::ffff:127.0.0.2]:{inside_port}/a"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
    ] {
        store.lead(&to);
        assert_eq!(fate(&gateway, &format!("{base}/away")).await, failed("forbidden_address"), "{to}");
    }
    store.lead(&format!("http://rebind.test:{inside_port}/a"));
    assert_eq!(fate(&gateway, &format!("http://rebind.test:{port}/away")).await, failed("forbidden_address"));
    for to in
        ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/a", "http://user:word@127.0.0.1/a"]
    {
        store.lead(to);
        assert_eq!(fate(&gateway, &format!("{base}/away")).await, failed("bad_link"), "{to}");
    }
    assert_eq!(fate(&gateway, &format!("{base}/round")).await, failed("bad_link"));
    assert_eq!(inside.heard(), []);
    // A host that the settings name may lie anywhere.
    store.lead(&format!("http://inside.test:{port}/a"));
    assert_eq!(fate(&gateway, &format!("{base}/away")).await, stored());
}

#[tokio::test]
async fn what_is_too_large_too_slow_or_something_else_is_not_kept() {
    let (_, base) = Store::open("127.0.0.1").await;
    let gateway = with(Gateway::new()).await;
    for (path, is) in [
        ("large", failed("too_large")),
        ("endless", failed("too_large")),
        ("page", failed("wrong_type")),
        ("gone", failed("refused")),
        ("missing", pending("refused")),
        ("slow", pending("timed_out")),
    ] {
        assert_eq!(fate(&gateway, &format!("{base}/{path}")).await, is, "{path}");
    }
    assert_eq!(fate(&gateway, "http://127.0.0.1:1/").await, pending("unreachable"));
    assert_eq!(fate(&gateway, "no link").await, failed("bad_link"));
    assert_eq!(std::fs::read_dir(gateway.folder.path().join("files")).unwrap().count(), 0);
    let told = events(&gateway, "message.updated").await;
    let reasons: Vec<_> =
        told.iter().map(|event| event["data"]["media"]["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["too_large", "too_large", "wrong_type", "refused", "bad_link"]);
    let text = String::from_utf8(gateway.state.metrics.text().unwrap()).unwrap();
    assert!(text.contains("vestibule_message_media_fetches_total{result=\"failed\"} 5"), "{text}");
}

#[tokio::test]
async fn what_failed_is_tried_again_by_itself_or_when_asked() {
    let (store, base) = Store::open("127.0.0.1").await;
    let gateway = with(Gateway::new()).await;
    send(&gateway, "m1", &[&format!("{base}/late"), &format!("{base}/back")]).await;
    let media = settled(&gateway).await;
    let (late, back) = (media[0]["id"].as_str().unwrap(), media[1]["id"].as_str().unwrap());
    assert_eq!((&media[0]["state"], &media[1]["state"]), (&json!("pending"), &json!("failed")));
    let retry =
        async |id: &str| gateway.ask("POST", &format!("/api/v1/message-media/{id}/retry"), None).await.0;
    assert_eq!(retry(late).await, StatusCode::CONFLICT);
    assert_eq!(retry("md_none").await, StatusCode::NOT_FOUND);
    assert_eq!(retry(back).await, StatusCode::ACCEPTED);
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, page) = gateway.get("/api/v1/message-media?state=stored").await;
        if page["media"].as_array().unwrap().len() == 2 {
            break;
        }
        assert!(Instant::now() < until, "{page}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (_, view) = gateway.get(&format!("/api/v1/message-media/{late}")).await;
    assert_eq!((&view["attempts"], &view["reason"]), (&json!(2), &Value::Null));
    assert_eq!(store.heard().len(), 4);
    assert_eq!(
        gateway.ask("POST", "/api/v1/message-media/retry", None).await,
        (StatusCode::ACCEPTED, json!({"retried": 0}))
    );
}

#[tokio::test]
async fn a_restart_goes_on_with_what_was_not_fetched_and_leaves_the_rest() {
    let (store, base) = Store::open("127.0.0.1").await;
    let gateway = Gateway::new();
    provide(&gateway, "generic", None, None).await;
    send(&gateway, "m1", &[&format!("{base}/a")]).await;
    let gateway = gateway.restarted();
    let running = tokio::spawn(gateway.state.media_fetcher.clone().run());
    assert_eq!(settled(&gateway).await[0]["state"], "stored");
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let gateway = gateway.restarted();
    tokio::spawn(gateway.state.media_fetcher.clone().run());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((store.heard().len(), events(&gateway, "message.updated").await.len()), (1, 1));
}

#[tokio::test]
async fn a_key_goes_to_the_named_api_and_not_where_it_sends_us_on() {
    let (api, base) = Store::open("127.0.0.1").await;
    let (cdn, elsewhere) = Store::open("127.0.0.1").await;
    let gateway = with(Gateway::new()).await;
    provide(&gateway, "generic", Some("k-1"), Some(&base)).await;
    api.lead(&format!("{elsewhere}/a"));
    assert_eq!(fate(&gateway, &format!("{base}/away")).await, stored());
    assert_eq!(fate(&gateway, &format!("{elsewhere}/b")).await, stored());
    assert_eq!(api.heard(), [("/away".to_owned(), Some("Bearer k-1".to_owned()))]);
    assert_eq!(cdn.heard(), [("/a".to_owned(), None), ("/b".to_owned(), None)]);
}

/// Posts as a provider of the kind does, proven by [`SECRET`].
async fn post(gateway: &Gateway, kind: &str, body: &Value) {
    let body = body.to_string();
    let mac = |key: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), body.as_bytes());
    let headers = match kind {
        "meta" => {
            let hex: String = mac(SECRET).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            vec![("x-hub-signature-256", format!("sha256={hex}"))]
        }
        "line" => vec![("x-line-signature", STANDARD.encode(mac(SECRET)))],
        _ => vec![("x-telegram-bot-api-secret-token", SECRET.to_owned())],
    };
    assert_eq!(gateway.post("/webhooks/shop", &headers, body).await, StatusCode::OK, "{kind}");
}

#[tokio::test]
async fn files_that_have_ids_are_asked_for_at_the_api_with_its_token() {
    let whatsapp = json!({"object": "whatsapp_business_account", "entry": [{"changes": [{"field": "messages", "value": {
        "metadata": {"phone_number_id": "1", "display_phone_number": "14155550100"},
        "messages": [{"id": "wamid.1", "from": "14155550177", "timestamp": "1795000000", "type": "image",
            "image": {"id": "77", "mime_type": "image/png", "url": "https://lapsed.example/"}}]}}]}]});
    let telegram = json!({"update_id": 1, "message": {"message_id": 2, "chat": {"id": 3}, "date": 1_795_000_000,
        "photo": [{"file_id": "AgAC_1"}]}});
    let line = json!({"destination": "us", "events": [{"type": "message", "webhookEventId": "e1", "timestamp": 1,
        "source": {"type": "user", "userId": "U1"}, "message": {"type": "image", "id": "9",
        "contentProvider": {"type": "line"}}}]});
    let bearer = || Some("Bearer b:1".to_owned());
    for (kind, path, body, asked) in [
        ("meta", "/v1", whatsapp, vec![("/v1/77", bearer()), ("/lookaside", bearer())]),
        (
            "telegram",
            "",
            telegram,
            vec![("/botb:1/getFile?file_id=AgAC_1", None), ("/file/botb:1/photos/1.png", None)],
        ),
        ("line", "", line, vec![("/v2/bot/message/9/content", bearer())]),
    ] {
        let (store, base) = Store::open("127.0.0.1").await;
        let gateway = Gateway::new();
        provide(&gateway, kind, None, None).await;
        tokio::spawn(gateway.state.media_fetcher.clone().run());
        post(&gateway, kind, &body).await;
        let media = settled(&gateway).await;
        assert_eq!((&media[0]["state"], &media[0]["reason"]), (&json!("failed"), &json!("no_key")), "{kind}");
        // With a key, it can be had.
        provide(&gateway, kind, Some("b:1"), Some(&format!("{base}{path}"))).await;
        let (_, retried) = gateway.ask("POST", "/api/v1/message-media/retry", None).await;
        assert_eq!(retried["retried"], 1);
        let media = settled(&gateway).await;
        assert_eq!(
            (&media[0]["state"], &media[0]["media_type"]),
            (&json!("stored"), &json!("image/png")),
            "{kind}"
        );
        let asked: Vec<_> = asked.into_iter().map(|(path, proof)| (path.to_owned(), proof)).collect();
        assert_eq!(store.heard(), asked, "{kind}");
    }
}
