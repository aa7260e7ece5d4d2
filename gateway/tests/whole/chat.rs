//! Chats over the router and over real sockets: whose pages may, who a visitor is, nothing lost or doubled.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    http::{Request, Response, StatusCode},
};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use tower::ServiceExt as _;
use vestibule::api;

use crate::support::gateway::Gateway;

const ORIGIN: &str = "https://www.example.com";

async fn with_app(more: &Value) -> Gateway {
    let gateway = Gateway::new();
    let mut app = json!({"name": "Shop", "origins": [ORIGIN, "https://*.shop.example"]});
    app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gateway.publish(&json!({"chat_apps": {"shop": app}})).await;
    gateway
}

/// What a page asks for.
async fn page(gateway: &Gateway, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
    let mut request = Request::post(format!("/chat/shop/{path}"))
        .header("origin", ORIGIN)
        .header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    gateway.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn begins(gateway: &Gateway) -> String {
    let (status, session) = page(gateway, "session", "", &json!({})).await;
    assert_eq!((status, &session["state"]), (StatusCode::OK, &json!("open")), "{session}");
    session["token"].as_str().unwrap().to_owned()
}

async fn says(gateway: &Gateway, token: &str, id: &str, text: &str) -> (StatusCode, Value) {
    page(gateway, "messages", token, &json!({"id": id, "text": text})).await
}

async fn kinds(gateway: &Gateway) -> Vec<(String, String)> {
    let (_, page) = gateway.get("/api/v1/events?after=0&limit=1000").await;
    let text = |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
    page["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (text(event, "type"), text(event, "subject")))
        .collect()
}

async fn conversation(gateway: &Gateway) -> String {
    let (_, list) = gateway.get("/api/v1/conversations?open=true").await;
    list["conversations"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_chat_is_one_contact_with_lines_of_both_sides() {
    let gateway = with_app(&json!({})).await;
    let token = begins(&gateway).await;
    for (id, line) in [("m1", 1), ("m2", 2), ("m1", 1)] {
        let (status, taken) = says(&gateway, &token, id, "hello <b>there</b>").await;
        assert_eq!((status, &taken["line"]), (StatusCode::OK, &json!(line)), "{taken}");
    }
    let id = conversation(&gateway).await;
    let path = format!("/api/v1/conversations/{id}/messages");
    let answer = json!({"text": "Hi!", "message_id": "a1", "by": "Ann"});
    for _ in 0..2 {
        let (status, said) = gateway.ask("POST", &path, Some(answer.clone())).await;
        assert_eq!((status, &said["line"]), (StatusCode::CREATED, &json!(3)), "{said}");
    }
    let told = kinds(&gateway).await;
    let names: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    let wanted = [
        "contact.started",
        "message.received",
        "contact.queued",
        "message.received",
        "contact.taken",
        "message.sent",
    ];
    assert_eq!(names, wanted);
    assert!(told.iter().all(|(_, subject)| *subject == told[0].1), "one contact: {told:?}");
    let (_, messages) = gateway.get(&path).await;
    let lines: Vec<_> = messages["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["by"].clone(), line["text"].clone()))
        .collect();
    let visitor = (Value::Null, json!("hello <b>there</b>"));
    assert_eq!(lines, [visitor.clone(), visitor, (json!("Ann"), json!("Hi!"))]);
    let (_, session) = page(&gateway, "session", "", &json!({"token": token})).await;
    assert_eq!(session["lines"].as_array().unwrap().len(), 3, "who comes again reads what was said");
    let (_, waited) = page(&gateway, "lines", &token, &json!({"after": 2})).await;
    assert_eq!(waited["lines"][0]["text"], json!("Hi!"));
}

#[tokio::test]
async fn a_closed_chat_is_answered_no_more_and_the_next_word_begins_another() {
    let gateway = with_app(&json!({})).await;
    let token = begins(&gateway).await;
    says(&gateway, &token, "m1", "one").await;
    let id = conversation(&gateway).await;
    let (status, _) = gateway.ask("POST", &format!("/api/v1/conversations/{id}/close"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let path = format!("/api/v1/conversations/{id}/messages");
    let (status, problem) = gateway.ask("POST", &path, Some(json!({"text": "late"}))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("conversation_closed")));
    let (status, taken) = says(&gateway, &token, "m2", "two").await;
    assert_eq!((status, &taken["line"]), (StatusCode::OK, &json!(2)), "lines of a visitor are counted on");
    assert_ne!(conversation(&gateway).await, id);
}

/// A header of an answer.
fn said<'a>(answer: &'a Response<Body>, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn only_pages_of_the_list_are_served() {
    let gateway = with_app(&json!({})).await;
    let ask = async |method: &str, path: &str, origin: Option<&str>| {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        api::router(gateway.state.clone()).oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap()
    };
    for origin in [None, Some("https://evil.example"), Some("null"), Some("http://www.example.com")] {
        let answer = ask("POST", "/chat/shop/session", origin).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin:?}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
    for origin in [ORIGIN, "https://a.shop.example"] {
        let before = ask("OPTIONS", "/chat/shop/messages", Some(origin)).await;
        assert_eq!(
            (before.status(), said(&before, "access-control-allow-origin")),
            (StatusCode::NO_CONTENT, origin)
        );
        let answer = ask("POST", "/chat/shop/session", Some(origin)).await;
        assert_eq!((answer.status(), said(&answer, "access-control-allow-origin")), (StatusCode::OK, origin));
        assert_eq!(answer.headers()["vary"], "Origin");
    }
    assert_eq!(ask("POST", "/chat/other/session", Some(ORIGIN)).await.status(), StatusCode::NOT_FOUND);
    let script = ask("GET", "/chat/shop/widget.js", None).await;
    assert_eq!(
        (script.status(), said(&script, "content-type")),
        (StatusCode::OK, "text/javascript; charset=utf-8")
    );
    assert_eq!(ask("GET", "/chat/shop/try", None).await.status(), StatusCode::OK);
    assert_eq!(ask("GET", "/chat/other/widget.js", None).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_no_message_or_too_much_is_refused() {
    let gateway = with_app(&json!({})).await;
    let token = begins(&gateway).await;
    let code =
        async |token: &str, id: &str, text: &str| says(&gateway, token, id, text).await.1["code"].clone();
    assert_eq!(code("", "m1", "x").await, json!("no_session"));
    assert_eq!(code("a.b", "m1", "x").await, json!("no_session"));
    assert_eq!(code(&token, "m 1", "x").await, json!("bad_message"));
    assert_eq!(code(&token, "m1", " ").await, json!("bad_message"));
    assert_eq!(code(&token, "m1", &"x".repeat(4001)).await, json!("bad_message"));
    for count in 0..20 {
        assert_eq!(code(&token, &format!("m{count}"), "x").await, Value::Null);
    }
    assert_eq!(code(&token, "m20", "x").await, json!("too_much"));
    for _ in 1..30 {
        assert_eq!(page(&gateway, "session", "", &json!({})).await.0, StatusCode::OK);
    }
    assert_eq!(page(&gateway, "session", "", &json!({})).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn hours_throttle_and_the_armed_flag_decide_who_begins_and_cut_off_nobody() {
    let gateway = with_app(&json!({"closed_text": "Tomorrow."})).await;
    let token = begins(&gateway).await;
    says(&gateway, &token, "m1", "one").await;
    let never = json!({"rows": [{"name": "open", "dates": {"first": "2001-01-01", "last": "2001-01-01"},
        "zone": "UTC"}]});
    let state = async |token: Option<&str>| {
        let session = page(&gateway, "session", "", &json!({"token": token})).await.1;
        (
            session["state"].clone(),
            session["hidden"].clone(),
            session["token"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let set = async |more: Value| {
        let mut app = json!({"name": "Shop", "origins": [ORIGIN]});
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.publish(&json!({"calendars": {"never": never}, "chat_apps": {"shop": app}})).await;
    };
    for (more, wanted, hidden) in [
        (json!({"hours": "never"}), "closed", false),
        (json!({"hours": "never", "hidden_when_closed": true}), "closed", true),
        (json!({"throttle": {"percent": 0}}), "busy", false),
    ] {
        set(more).await;
        let (state_of_new, is_hidden, stranger) = state(None).await;
        assert_eq!((state_of_new, is_hidden), (json!(wanted), json!(hidden)));
        let (status, problem) = says(&gateway, &stranger, "m1", "x").await;
        assert_eq!((status, &problem["more"]["state"]), (StatusCode::CONFLICT, &json!(wanted)));
        assert_eq!(state(Some(&token)).await.0, json!("open"), "who talks already talks on");
        assert_eq!(says(&gateway, &token, wanted, "on").await.0, StatusCode::OK);
    }
    set(json!({"throttle": {"percent": 100}})).await;
    assert_eq!(state(None).await.0, json!("open"));
    gateway.publish(&json!({"entry_points": {"chat/shop": {"armed": false}}})).await;
    let (off, is_hidden, _) = state(None).await;
    assert_eq!((off, is_hidden), (json!("off"), json!(true)));
}

#[tokio::test]
async fn a_long_queue_takes_no_more() {
    let gateway = with_app(&json!({"throttle": {"wait_seconds": 1}})).await;
    let token = begins(&gateway).await;
    says(&gateway, &token, "m1", "one").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (_, session) = page(&gateway, "session", "", &json!({})).await;
    assert_eq!(session["state"], json!("busy"), "the first waits for more than a second");
    let path = format!("/api/v1/conversations/{}/messages", conversation(&gateway).await);
    gateway.ask("POST", &path, Some(json!({"text": "Hi!"}))).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    begins(&gateway).await;
}

#[tokio::test]
async fn a_wait_is_estimated_by_who_waits_and_who_is_there() {
    let gateway = with_app(&json!({"throttle": {"wait_seconds": 5}})).await;
    let handled = begins(&gateway).await;
    says(&gateway, &handled, "m1", "one").await;
    let thread = conversation(&gateway).await;
    let inbox = gateway.get(&format!("/api/v1/conversations/{thread}")).await.1["inbox"].clone();
    let path = format!("/api/v1/conversations/{thread}/messages");
    gateway.ask("POST", &path, Some(json!({"text": "Hi!"}))).await;
    tokio::time::sleep(Duration::from_millis(3200)).await;
    gateway.ask("POST", &format!("/api/v1/conversations/{thread}/close"), None).await;
    for _ in 0..2 {
        let token = begins(&gateway).await;
        assert_eq!(says(&gateway, &token, "m1", "one").await.0, StatusCode::OK);
    }
    // What is known of the queue is read again after two seconds.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let state_with = async |agents: u32| {
        let path = format!("/api/v1/inboxes/{}/availability", inbox.as_str().unwrap());
        let (status, answer) = gateway.ask("PUT", &path, Some(json!({"agents_available": agents}))).await;
        assert!(status.is_success(), "{answer}");
        page(&gateway, "session", "", &json!({})).await.1["state"].clone()
    };
    // Of agents nothing is known.
    begins(&gateway).await;
    assert_eq!(state_with(1).await, json!("busy"), "two before, of three seconds each");
    assert_eq!(state_with(4).await, json!("open"));
}

#[tokio::test]
async fn a_site_names_its_visitors() {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("site");
    std::fs::write(&secret, "a secret of thirty-two bytes long").unwrap();
    let identity = json!({"secrets": [format!("file:{}", secret.display())], "required": true});
    let app = json!({"name": "Shop", "origins": [ORIGIN], "identity": identity});
    gateway.publish(&json!({"chat_apps": {"shop": app}})).await;
    let (status, problem) = page(&gateway, "session", "", &json!({})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("identity_needed")));
    let exp = jiff::Timestamp::now().as_second() + 3600;
    let jwt = |aud: &str| signed(&json!({"aud": aud, "sub": "u-1", "name": "Ann", "exp": exp}));
    let (status, problem) = page(&gateway, "session", "", &json!({"identity": jwt("other")})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("identity_not_believed")));
    let (_, session) = page(&gateway, "session", "", &json!({"identity": jwt("shop")})).await;
    assert_eq!(session["customer"], json!("user:u-1"));
    let token = session["token"].as_str().unwrap();
    assert_eq!(says(&gateway, token, "m1", "hello").await.0, StatusCode::OK);
    let (_, events) = gateway.get("/api/v1/events?after=0&type=message.received").await;
    assert_eq!(events["events"][0]["data"]["message"]["name"], json!("Ann"));
    let (_, session) = page(&gateway, "session", "", &json!({"token": token})).await;
    assert_eq!(session["customer"], json!("user:u-1"), "the token is good for as long as the JWT");
}

#[tokio::test]
async fn a_stranger_of_before_is_served_no_more_once_visitors_must_be_known() {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("site");
    std::fs::write(&secret, "a secret of thirty-two bytes long").unwrap();
    let app = |required: bool| {
        let identity = json!({"secrets": [format!("file:{}", secret.display())], "required": required});
        json!({"chat_apps": {"shop": {"name": "Shop", "origins": [ORIGIN], "identity": identity}}})
    };
    gateway.publish(&app(false)).await;
    let token = begins(&gateway).await;
    assert_eq!(says(&gateway, &token, "m1", "hello").await.0, StatusCode::OK);
    gateway.publish(&app(true)).await;
    assert_eq!(says(&gateway, &token, "m2", "hello").await.1["code"], "no_session");
    assert_eq!(page(&gateway, "lines", &token, &json!({"after": 0})).await.1["code"], "no_session");
}

#[tokio::test]
async fn what_a_stranger_said_is_theirs_once_the_site_knows_them() {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("site");
    std::fs::write(&secret, "a secret of thirty-two bytes long").unwrap();
    let identity = json!({"secrets": [format!("file:{}", secret.display())]});
    let app = json!({"name": "Shop", "origins": [ORIGIN], "identity": identity});
    gateway.publish(&json!({"chat_apps": {"shop": app}})).await;
    let exp = jiff::Timestamp::now().as_second() + 3600;
    let jwt = signed(&json!({"aud": "shop", "sub": "u-1", "exp": exp}));
    let identified = async |token: &str| {
        let (status, session) =
            page(&gateway, "session", "", &json!({"identity": jwt, "token": token})).await;
        assert_eq!((status, &session["customer"]), (StatusCode::OK, &json!("user:u-1")), "{session}");
        session
    };
    let texts = |session: &Value| -> Vec<String> {
        let lines = session["lines"].as_array().unwrap();
        lines.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    };
    let told = async || {
        let (_, page) = gateway.get("/api/v1/events?after=0&type=customer.identified").await;
        page["events"].as_array().unwrap().clone()
    };
    // Who said nothing yet changes nothing.
    identified(&begins(&gateway).await).await;
    assert!(told().await.is_empty());

    // A chat that goes on goes on, under another name.
    let stranger = begins(&gateway).await;
    says(&gateway, &stranger, "m1", "one").await;
    let thread = conversation(&gateway).await;
    let session = identified(&stranger).await;
    assert_eq!(texts(&session), ["one"]);
    let known = session["token"].as_str().unwrap().to_owned();
    let (_, taken) = says(&gateway, &known, "m1", "one").await;
    assert_eq!(taken["line"], json!(1), "what was not acknowledged comes again, and is there");
    let (_, taken) = says(&gateway, &known, "m2", "two").await;
    assert_eq!(taken["line"], json!(2));
    assert_eq!(conversation(&gateway).await, thread);
    let events = told().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["data"]["conversation"], json!(thread));
    assert_eq!(
        (&events[0]["data"]["customer"], &events[0]["data"]["lines"]),
        (&json!("user:u-1"), &json!(1))
    );
    let (_, page) = gateway.get("/api/v1/events?after=0&type=message.received,contact.started").await;
    let all = page["events"].as_array().unwrap();
    assert_eq!(all.len(), 3, "two messages of one contact: {all:?}");
    assert!(all.iter().all(|event| event["subject"] == events[0]["subject"]), "{all:?}");
    identified(&stranger).await;
    assert_eq!(told().await.len(), 1, "once");

    // Another browser of theirs, with a chat of its own: it ends in the one that goes on.
    let elsewhere = begins(&gateway).await;
    says(&gateway, &elsewhere, "m3", "three").await;
    assert_eq!(texts(&identified(&elsewhere).await), ["one", "two", "three"]);
    let events = told().await;
    assert_eq!(events[1]["data"]["into"], json!(thread));
    assert_eq!(conversation(&gateway).await, thread, "one conversation is open");
    let (_, view) = gateway.get(&format!("/api/v1/conversations/{thread}")).await;
    assert_eq!(view["messages"], json!(3), "{view}");
    let (_, ended) = gateway.get("/api/v1/events?after=0&type=contact.ended").await;
    assert_eq!(ended["events"][0]["subject"], events[1]["subject"]);
}

fn signed(claims: &Value) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"a secret of thirty-two bytes long");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, text.as_bytes())))
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(address: SocketAddr, token: &str, after: u64, origin: &str) -> Result<Socket, u16> {
    let mut request = format!("ws://{address}/chat/shop/socket?after={after}").into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    let protocols = format!("vestibule.chat.v1, token.{token}");
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    match tokio_tungstenite::connect_async(request).await {
        Ok((socket, response)) => {
            assert_eq!(response.headers()["sec-websocket-protocol"], "vestibule.chat.v1");
            Ok(socket)
        }
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// The next thing told; none when the socket ends.
async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match timeout(Duration::from_secs(5), socket.next()).await.expect("something is told")? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

async fn tell(socket: &mut Socket, what: &Value) {
    socket.send(Message::Text(what.to_string().into())).await.unwrap();
}

#[tokio::test]
async fn a_socket_hears_all_lines_once_over_cuts_and_a_restart() {
    let gateway = with_app(&json!({})).await;
    let token = begins(&gateway).await;
    let address = gateway.serve().await;
    assert_eq!(connect(address, &token, 0, "https://evil.example").await.err(), Some(403));
    assert_eq!(connect(address, "a.b", 0, ORIGIN).await.err(), Some(401));
    let mut socket = connect(address, &token, 0, ORIGIN).await.unwrap();
    tell(&mut socket, &json!({"type": "message", "id": "m1", "text": "one"})).await;
    let (mut acks, mut lines) = (0, 0);
    while acks + lines < 2 {
        let told = next(&mut socket).await.unwrap();
        match told["type"].as_str().unwrap() {
            "ack" => acks += u64::from(told == json!({"type": "ack", "id": "m1", "line": 1})),
            "line" => lines += u64::from(told["text"] == "one"),
            other => panic!("{other}"),
        }
    }
    let path = format!("/api/v1/conversations/{}", conversation(&gateway).await);
    let answer = async |text: &str| {
        gateway.ask("POST", &format!("{path}/messages"), Some(json!({"text": text}))).await
    };
    gateway.ask("POST", &format!("{path}/typing"), None).await;
    assert_eq!(next(&mut socket).await.unwrap()["type"], "typing");
    answer("two").await;
    let told = next(&mut socket).await.unwrap();
    assert_eq!((&told["line"], &told["text"]), (&json!(2), &json!("two")));
    drop(socket);
    answer("three").await;
    let mut socket = connect(address, &token, 2, ORIGIN).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap()["text"], "three");
    drop(socket);
    let gateway = gateway.restarted();
    let address = gateway.serve().await;
    let mut socket = connect(address, &token, 1, ORIGIN).await.unwrap();
    for (line, text) in [(2, "two"), (3, "three")] {
        let told = next(&mut socket).await.unwrap();
        assert_eq!((&told["line"], &told["text"]), (&json!(line), &json!(text)));
    }
    tell(&mut socket, &json!({"type": "message", "id": "m1", "text": "one"})).await;
    assert_eq!(
        next(&mut socket).await.unwrap(),
        json!({"type": "ack", "id": "m1", "line": 1}),
        "sent again after the cut"
    );
}

#[tokio::test]
async fn a_socket_refuses_what_is_no_message_and_goes_on() {
    let gateway = with_app(&json!({})).await;
    let token = begins(&gateway).await;
    let address = gateway.serve().await;
    let mut socket = connect(address, &token, 0, ORIGIN).await.unwrap();
    for bad in [json!("x"), json!({"type": "other"}), json!({"type": "message", "id": "a b", "text": "x"})] {
        tell(&mut socket, &bad).await;
        assert_eq!(next(&mut socket).await.unwrap()["code"], "bad_message", "{bad}");
    }
    tell(&mut socket, &json!({"type": "typing"})).await;
    tell(&mut socket, &json!({"type": "message", "id": "m1", "text": "x"})).await;
    assert_ne!(next(&mut socket).await.unwrap()["type"], "refused");
    socket.send(Message::Binary(vec![1].into())).await.unwrap();
    while next(&mut socket).await.is_some() {}
    let mut socket = connect(address, &token, 1, ORIGIN).await.unwrap();
    // The gateway may close before all of it is sent.
    socket.send(Message::Text("x".repeat(40 << 10).into())).await.unwrap_or_default();
    assert_eq!(next(&mut socket).await, None, "a frame that is too long ends the socket");
}

#[tokio::test]
async fn an_agent_follows_a_chat() {
    let gateway = with_app(&json!({})).await;
    let token = begins(&gateway).await;
    says(&gateway, &token, "m1", "one").await;
    let path = format!("/api/v1/conversations/{}/live?after=0", conversation(&gateway).await);
    let request = Request::get(path).header("authorization", format!("Bearer {}", gateway.key));
    let response =
        api::router(gateway.state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let mut stream = response.into_body().into_data_stream();
    let mut heard = String::new();
    let mut told = async |wanted: &str| {
        while !heard.contains(wanted) {
            let bytes = timeout(Duration::from_secs(5), stream.next())
                .await
                .expect("something is told")
                .unwrap()
                .unwrap();
            heard.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    };
    told("\"text\":\"one\"").await;
    assert_eq!(page(&gateway, "typing", &token, &json!({})).await.0, StatusCode::NO_CONTENT);
    told("event: typing").await;
    says(&gateway, &token, "m2", "two").await;
    told("id: 2").await;
}

#[tokio::test]
async fn other_channels_are_not_answered_here() {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("secret");
    std::fs::write(&secret, "12345").unwrap();
    let provider = json!({"name": "S", "kind": "twilio", "url": "https://gw.example.com/webhooks/s",
        "secrets": [format!("file:{}", secret.display())]});
    gateway.publish(&json!({"providers": {"s": provider}})).await;
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345");
    let text = "https://gw.example.com/webhooks/sBodyhiFrom+14155550177MessageSidSM1To+14155550100";
    let signature = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        ring::hmac::sign(&key, text.as_bytes()),
    );
    let body = "Body=hi&From=%2B14155550177&MessageSid=SM1&To=%2B14155550100".to_owned();
    assert_eq!(gateway.post("/webhooks/s", &[("x-twilio-signature", signature)], body).await, StatusCode::OK);
    let path = format!("/api/v1/conversations/{}/messages", conversation(&gateway).await);
    let (status, problem) = gateway.ask("POST", &path, Some(json!({"text": "x"}))).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("not_a_chat")));
    assert_eq!(gateway.get(&path).await.0, StatusCode::CONFLICT);
    let (status, _) = gateway.get("/api/v1/conversations/cv_none/messages").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
