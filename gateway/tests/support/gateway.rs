//! What tests of the control API have in common.

#![allow(dead_code, reason = "no test uses all of it")]
#![allow(unreachable_pub, unnameable_types, reason = "it is part of several tests")]

use std::{net::SocketAddr, path::Path};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;
use vestibule::{
    api::{
        self, AppState,
        keys::Keys,
        live::LiveContacts,
        readiness::{Phase, Readiness},
    },
    callbacks::Callbacks,
    feed::Feed,
    journal::{ContactEnd, ContactStart, Entry, Journal, Options},
    recordings::Recordings,
    sip::Capture,
    telemetry::Metrics,
};
use vestibule_config::settings::{self, HandOff};
use vestibule_routing::{
    channel::Channel,
    outcome::{Outcome, Reason, Side},
};

fn recordings(folder: &Path) -> Recordings {
    Recordings::open(folder, settings::Recordings { days_kept: 1, seconds_max: 60 }).unwrap()
}

/// The control API with all that it works with, in a folder of its own.
pub struct Gateway {
    pub state: AppState,
    pub key: String,
    pub folder: tempfile::TempDir,
}

impl Gateway {
    pub fn new() -> Self {
        Self::open(tempfile::tempdir().unwrap(), None)
    }

    /// The same after the process ended and began again.
    pub fn restarted(self) -> Self {
        let Self { state, key, folder } = self;
        state.journal.close();
        drop(state);
        Self::open(folder, Some(key))
    }

    fn open(folder: tempfile::TempDir, key: Option<String>) -> Self {
        let metrics = Metrics::new().unwrap();
        let options = Options::new(folder.path().join("journal.sqlite"));
        let (journal, _) = Journal::open(options, metrics.journal.clone()).unwrap();
        let (keys, made) = Keys::open(folder.path()).unwrap();
        let readiness = Readiness::default();
        readiness.set(Phase::Ready);
        let feed = Feed::new(journal.clone(), "/test");
        let options = vestibule_config::store::Options::default();
        let store = vestibule_config::store::Store::open(folder.path(), options).unwrap();
        store.seed(vestibule_config::sample::SAMPLE).unwrap();
        let store: std::sync::Arc<_> = store.into();
        let providers = vestibule::message::Providers::default();
        let followed = providers.clone();
        store.active().subscribe(move |routing| followed.set(&routing.providers));
        let deliveries =
            vestibule::deliveries::Deliveries::new(journal.clone(), feed.clone(), metrics.delivery.clone())
                .unwrap();
        let idle = settings::Conversations { idle_hours: 1, email_idle_hours: 1, chat_idle_minutes: 1 };
        let files = vestibule::files::Files::open(folder.path()).unwrap();
        let intake = vestibule::message::Intake::new(
            store.clone(),
            (journal.clone(), files.clone()),
            idle,
            metrics.message.clone(),
        );
        let limits = settings::Chat { sockets_max: 100, messages_per_minute: 20, sessions_per_minute: 30 };
        let chats = vestibule::chat::Chats::open(
            folder.path(),
            store.clone(),
            journal.clone(),
            intake.clone(),
            limits,
        );
        let chats = chats.unwrap();
        let followed = chats.clone();
        store.active().subscribe(move |routing| followed.set(routing));
        let live = LiveContacts::default();
        let callbacks = Callbacks::new(journal.clone(), Default::default(), metrics.callback.clone());
        let locator = vestibule::sip::Locator::of_the_system(vec!["127.0.0.0/8".parse().unwrap()]);
        let state = AppState {
            callbacks,
            journal,
            feed,
            live,
            keys,
            readiness,
            trunks: vestibule::trunks::Trunks::new(
                settings::SipPing { every_seconds: 0, answer_seconds: 1, losses_max: 1 },
                metrics.trunk.clone(),
                locator.clone(),
            ),
            locator,
            metrics,
            store,
            intake,
            chats,
            deliveries,
            providers,
            capture: Capture::new(1 << 20),
            limits: api::Limits::default(),
            queues: Default::default(),
            availability: Default::default(),
            files,
            large_bodies: tokio::sync::Semaphore::new(api::LARGE_BODIES_MAX).into(),
            recordings: recordings(folder.path()),
            hand_off: HandOff { allowed_targets: vec!["127.0.0.0/8".parse().unwrap()], ring_seconds: 45 }
                .into(),
        };
        let key = key.unwrap_or_else(|| made.unwrap().secret);
        Self { state, key, folder }
    }

    /// Asks the router, with the key.
    pub async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask("GET", path, None).await
    }

    pub async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = api::router(self.state.clone()).oneshot(request).await.unwrap();
        let status = response.status();
        let problem = response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.to_str().unwrap().starts_with("application/problem+json"));
        assert_eq!(problem, status.as_u16() >= 400, "{status} has the wrong type of body");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        if problem {
            for member in ["type", "title", "status", "detail", "code", "remedy"] {
                assert!(body.get(member).is_some(), "{member} is missing in {body}");
            }
        }
        (status, body)
    }

    pub async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(api::server::serve(listener, None, self.state.clone()));
        address
    }

    pub async fn start(&self, id: &str, to: &str) {
        let start = ContactStart {
            channel: Channel::Voice,
            from: "+14155550199".into(),
            to: to.into(),
            arrived: Timestamp::now(),
            entry_point: None,
            revision: Some(1),
            trunk: None,
            call_id: None,
            callback: None,
            diverted_from: None,
        };
        self.state.journal.append(Entry::started(id.into(), start)).await.unwrap();
    }

    pub async fn end(&self, id: &str) {
        let mut end = ContactEnd::new(Timestamp::now(), Outcome::new(Side::Caller, Reason::Completed));
        end.trace = Some(r#"[{"step":"one"}]"#.into());
        self.state.journal.append(Entry::ended(id.into(), end)).await.unwrap();
    }

    /// Puts objects, by section and id, and publishes them.
    pub async fn publish(&self, objects: &Value) {
        for (section, objects) in objects.as_object().unwrap() {
            for (id, object) in objects.as_object().unwrap() {
                let path = format!("/api/v1/routing/draft/{section}/{}", id.replace('/', "%2F"));
                let (status, answer) = self.ask("PUT", &path, Some(object.clone())).await;
                assert!(status.is_success(), "{path}: {answer}");
            }
        }
        let (status, answer) =
            self.ask("POST", "/api/v1/routing/publish", Some(json!({"note": "test"}))).await;
        assert!(status.is_success(), "{answer}");
    }

    /// Posts without a key.
    pub async fn post(&self, path: &str, headers: &[(&'static str, String)], body: String) -> StatusCode {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = api::router(self.state.clone()).oneshot(request.body(Body::from(body)).unwrap()).await;
        response.unwrap().status()
    }

    /// Fetches bytes, with the key.
    pub async fn fetch(&self, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        let response =
            api::router(self.state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }
}
