//! What tests of the control API have in common.

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
        self, AppState, Parts,
        live::LiveContacts,
        readiness::{Phase, Readiness},
    },
    callbacks::Callbacks,
    feed::Feed,
    files::Files,
    identity::Identity,
    journal::{ContactEnd, ContactStart, Entry, Journal, Options},
    message::{MediaFetcher, Providers, media::Lookup},
    recordings::Recordings,
    sip::Capture,
    sound::Library,
    telemetry::Metrics,
    uploads::Uploads,
};
use vestibule_config::settings::{self, HandOff};
use vestibule_routing::{
    channel::Channel,
    outcome::{Outcome, Reason, Side},
};

fn recordings(folder: &Path) -> Recordings {
    Recordings::open(folder, settings::Recordings { days_kept: 1, seconds_max: 60 }).unwrap()
}

fn vault(folder: &Path) -> vestibule::vault::Vault {
    vestibule::vault::Vault::open(&folder.join("master-key")).unwrap()
}

/// The sample, active.
fn sample_routing(
    folder: &Path,
    options: vestibule_config::store::Options,
) -> (std::sync::Arc<vestibule_config::store::Store>, Providers) {
    let store = vestibule_config::store::Store::open(folder, options).unwrap();
    store.sign_audit_with(vault(folder).audit_keys()).unwrap();
    store.seed(vestibule_config::sample::SAMPLE).unwrap();
    let store: std::sync::Arc<_> = store.into();
    let providers = Providers::default();
    let followed = providers.clone();
    store.active().subscribe(move |routing| followed.set(&routing.providers));
    (store, providers)
}

/// What is done with mails: kept, and judged without a name server.
fn with_mails(
    folder: &Path,
    store: &std::sync::Arc<vestibule_config::store::Store>,
    journal: &Journal,
    metrics: &Metrics,
) -> vestibule::message::intake::Mails {
    let settings = settings::Settings::load(None, [], &Default::default()).unwrap().settings;
    let mail = settings::Mail { authenticate: false, ..settings.mail };
    let (store, journal) = (store.clone(), journal.clone());
    vestibule::message::intake::Mails {
        mailboxes: vestibule::message::Mailboxes::new(&mail, "mx.example.com", store, journal),
        authenticator: vestibule::message::Authenticator::new(&mail, "localhost", metrics.mail.clone()),
        kept: Some(Files::open_mails(folder).unwrap()),
        bytes_max: 1 << 20,
    }
}

/// Files may lie on one loopback address, of which there are many, and at `inside.test`.
fn media_settings() -> settings::MessageMedia {
    let parsed = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    settings::MessageMedia {
        fetch: true,
        per_message_max: 4,
        parallel_max: 4,
        parallel_per_host_max: 2,
        bytes_max: 100_000,
        types: ["image/*", "text/plain"].map(|text| text.parse().unwrap()).to_vec(),
        connect_seconds: 2,
        idle_seconds: 1,
        total_seconds: 5,
        redirects_max: 3,
        attempts_max: 3,
        age_hours_max: 1,
        allowed_targets: parsed(&["127.0.0.1", "inside.test"]),
        plain_http: true,
    }
}

fn chat_settings() -> settings::Chat {
    settings::Chat {
        sockets_max: 100,
        messages_per_minute: 20,
        sessions_per_minute: 30,
        file_bytes_max: 50_000,
        files_per_message_max: 2,
        uploads_per_minute: 6,
        uploads_parallel_max: 2,
        uploads_bytes_max: 200_000,
        uploads_kept_hours: 1,
    }
}

fn media_fetcher(
    lookup: Option<Lookup>,
    kept: (Journal, Files),
    providers: &Providers,
    metrics: &Metrics,
) -> MediaFetcher {
    let lookup = lookup.unwrap_or_else(Lookup::of_the_system);
    let metrics = metrics.message_media.clone();
    MediaFetcher::new(media_settings(), lookup, kept, providers.clone(), metrics).unwrap()
}

fn numbers(
    folder: &Path,
    store: &std::sync::Arc<vestibule_config::store::Store>,
    journal: &Journal,
    metrics: &Metrics,
) -> vestibule::numbers::Numbers {
    let vault = vault(folder);
    let carriers = settings::Carriers {
        answer_seconds: 2,
        settle_seconds: 4,
        watch_hours: 1,
        poll_seconds: 1,
        sandbox_seconds: 1,
        searches_max: 20,
    };
    let kept = (store.clone(), journal.clone());
    vestibule::numbers::Numbers::new(kept, vault, carriers, metrics.carrier.clone()).unwrap()
}

fn uploads(folder: &Path, files: &Files, metrics: &Metrics) -> Uploads {
    let kept = (chat_settings(), media_settings().types);
    Uploads::open(folder, files.clone(), kept, metrics.chat.clone()).unwrap()
}

/// Trunks that nobody pings.
fn trunks(metrics: &Metrics, locator: &vestibule::sip::Locator) -> vestibule::trunks::Trunks {
    let ping = settings::SipPing { every_seconds: 0, answer_seconds: 1, losses_max: 1 };
    vestibule::trunks::Trunks::new(ping, metrics.trunk.clone(), locator.clone())
}

fn sounds_and_repeats(
    folder: &Path,
    store: &vestibule_config::store::Store,
    metrics: &Metrics,
) -> (Library, api::idempotency::Idempotency) {
    let no_speech = settings::Settings::load(None, [], &settings::Overrides::default()).unwrap().settings.tts;
    let sounds = Library::open(folder.to_owned(), no_speech).unwrap();
    let installed = sounds.clone();
    store.active().subscribe(move |routing| installed.install(&routing.prompts));
    let kept = std::time::Duration::from_secs(60);
    let repeats = api::idempotency::Idempotency::open(folder, kept, 100, metrics.api.clone()).unwrap();
    (sounds, repeats)
}

/// The control API with all that it works with, in a folder of its own.
pub(crate) struct Gateway {
    pub(crate) state: AppState,
    pub(crate) key: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self::with_identity(&Self::settings().identity)
    }

    /// One with other settings of users and sessions.
    pub(crate) fn with_identity(settings: &settings::Identity) -> Self {
        Self::open(tempfile::tempdir().unwrap(), None, None, (settings, Default::default()))
    }

    /// One whose files of messages are looked for by `lookup`.
    pub(crate) fn with_lookup(lookup: Lookup) -> Self {
        let settings = (&Self::settings().identity, Default::default());
        Self::open(tempfile::tempdir().unwrap(), None, Some(lookup), settings)
    }

    /// One whose routing is treated otherwise than by default.
    pub(crate) fn with_routing(options: vestibule_config::store::Options) -> Self {
        Self::open(tempfile::tempdir().unwrap(), None, None, (&Self::settings().identity, options))
    }

    /// The settings as they are delivered.
    pub(crate) fn settings() -> settings::Settings {
        settings::Settings::load(None, [], &Default::default()).unwrap().settings
    }

    /// The same after the process ended and began again.
    pub(crate) fn restarted(self) -> Self {
        let Self { state, key, folder } = self;
        state.journal.close();
        drop(state);
        Self::open(folder, Some(key), None, (&Self::settings().identity, Default::default()))
    }

    #[allow(clippy::too_many_lines, reason = "every part of the process, one after the other")]
    fn open(
        folder: tempfile::TempDir,
        key: Option<String>,
        lookup: Option<Lookup>,
        (people, routing): (&settings::Identity, vestibule_config::store::Options),
    ) -> Self {
        let metrics = Metrics::new().unwrap();
        let options = Options::new(folder.path().join("journal.sqlite"));
        let (journal, _) = Journal::open(options, metrics.journal.clone()).unwrap();
        let (identity, made) =
            Identity::open(folder.path(), people, Some(vault(folder.path()).audit_keys())).unwrap();
        let readiness = Readiness::default();
        readiness.set(Phase::Ready);
        let feed = Feed::new(journal.clone(), "/test");
        let (store, providers) = sample_routing(folder.path(), routing);
        let deliveries =
            vestibule::deliveries::Deliveries::new(journal.clone(), feed.clone(), metrics.delivery.clone())
                .unwrap();
        let files = Files::open(folder.path()).unwrap();
        let with_mails = with_mails(folder.path(), &store, &journal, &metrics);
        let (mails, mailboxes) = (with_mails.kept.clone().unwrap(), with_mails.mailboxes.clone());
        let kept = (journal.clone(), files.clone());
        let media_fetcher = media_fetcher(lookup, kept, &providers, &metrics);
        let intake = vestibule::message::Intake::new(
            store.clone(),
            (journal.clone(), files.clone(), with_mails, media_fetcher.clone()),
            settings::Conversations { idle_hours: 1, email_idle_hours: 1, chat_idle_minutes: 1 },
            metrics.message.clone(),
        );
        let availability = vestibule::availability::Availability::default();
        let uploads = uploads(folder.path(), &files, &metrics);
        let works = (intake.clone(), uploads.clone(), availability.clone());
        let kept = (store.clone(), journal.clone());
        let chats =
            vestibule::chat::Chats::open(folder.path(), kept.0, kept.1, works, chat_settings()).unwrap();
        let followed = chats.clone();
        store.active().subscribe(move |routing| followed.set(routing));
        let (sounds, idempotency) = sounds_and_repeats(folder.path(), &store, &metrics);
        let live = LiveContacts::default();
        let callbacks = Callbacks::new(journal.clone(), Default::default(), metrics.callback.clone());
        let locator = vestibule::sip::Locator::of_the_system(vec!["127.0.0.0/8".parse().unwrap()]);
        let state = AppState::from(Parts {
            test_calls: vestibule::numbers::test_call::TestCalls::new(feed.clone(), live.clone()),
            numbers: numbers(folder.path(), &store, &journal, &metrics),
            callbacks,
            journal,
            feed,
            live,
            identity,
            readiness,
            trunks: trunks(&metrics, &locator),
            locator,
            idempotency,
            imports: Default::default(),
            sounds,
            metrics,
            store,
            intake,
            media_fetcher,
            mailboxes,
            chats,
            deliveries,
            providers,
            capture: Capture::new(1 << 20),
            limits: api::Limits::default(),
            queues: Default::default(),
            availability,
            files,
            uploads,
            mails,
            large_bodies: tokio::sync::Semaphore::new(api::LARGE_BODIES_MAX).into(),
            recordings: recordings(folder.path()),
            hand_off: HandOff { allowed_targets: vec!["127.0.0.0/8".parse().unwrap()], ring_seconds: 45 }
                .into(),
            console: settings::Console::default().into(),
        });
        let key = key.unwrap_or_else(|| made.unwrap().secret);
        Self { state, key, folder }
    }

    /// Asks the router, with the key.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
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

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
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

    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(api::server::serve(listener, None, self.state.clone()));
        address
    }

    pub(crate) async fn start(&self, id: &str, to: &str) {
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

    pub(crate) async fn end(&self, id: &str) {
        let mut end = ContactEnd::new(Timestamp::now(), Outcome::new(Side::Caller, Reason::Completed));
        end.trace = Some(r#"[{"step":"one"}]"#.into());
        self.state.journal.append(Entry::ended(id.into(), end)).await.unwrap();
    }

    /// Puts objects, by section and id, and publishes them.
    pub(crate) async fn publish(&self, objects: &Value) {
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
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
        body: String,
    ) -> StatusCode {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = api::router(self.state.clone()).oneshot(request.body(Body::from(body)).unwrap()).await;
        response.unwrap().status()
    }

    /// Fetches bytes, with the key.
    pub(crate) async fn fetch(&self, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {}", self.key));
        let response =
            api::router(self.state.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec())
    }
}
