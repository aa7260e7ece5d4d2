//! Builds everything, starts it, stops it: the story of one process.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use sip_proto::endpoint::SavedDialog;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use vestibule_config::{
    sample,
    settings::{self, ClientCertificates, Settings, Transport},
    store::Store,
};

use crate::{
    api::{
        self, AppState,
        https::Https,
        idempotency::Idempotency,
        live::LiveContacts,
        readiness::{Phase, Readiness},
    },
    availability::Availability,
    callbacks::Callbacks,
    chat::Chats,
    cli::{open_store, say},
    data_dip::DataDips,
    deliveries::Deliveries,
    dialler::Dialler,
    feed::Feed,
    files::Files,
    handling::HandleTimes,
    hub::{Hub, Services},
    identity::{FirstKey, Identity},
    journal::{self, Journal},
    media::{Media, MediaSettings},
    message::{Authenticator, Intake, Mailboxes, MediaFetcher, Providers, Sender, intake, media::Lookup},
    numbers::{Numbers, test_call::TestCalls},
    places::Places,
    queue::Queues,
    recordings::Recordings,
    repeats::Repeats,
    sip::{Capture, Gate, Locator, Sip, Sockets, Survivors, Tls},
    smtp::Smtp,
    sound::Library,
    telemetry::{self, Metrics, SipMetrics},
    trunks::Trunks,
    uploads::Uploads,
    vault::Vault,
};
use vestibule_routing::{address::Address, channel::Channel};

mod consumers;
mod housekeeping;
pub(crate) mod identity;
mod measure;

/// How long those who are told why they are cut off may take to hear it.
const CLOSING_MAX: Duration = Duration::from_secs(15);

/// A caller that never sends any media is given up after this long; shorter times would cut callers off
/// that only listen, behind silence suppression or one-way NAT.
const NEVER_HEARD_MAX: Duration = Duration::from_secs(300);

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// When something cannot be opened, bound or started; the message says what.
pub fn serve(settings: Settings) -> anyhow::Result<()> {
    let format = match settings.log.format {
        settings::LogFormat::Text => telemetry::LogFormat::Text,
        settings::LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::start_logs(&settings.log.level, format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("tokio").build()?;
    let result = runtime.block_on(run(&settings, &runtime));
    // Tasks that are still there wait for clients; nothing durable depends on them.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

async fn run(settings: &Settings, runtime: &Runtime) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let running = start(settings, runtime).await?;
    signals.stop().await;
    tokio::select! {
        () = drain(&running, Duration::from_secs(settings.drain.limit_seconds)) => {}
        () = signals.stop() => tracing::warn!(calls = running.hub.calls(), "calls are cut off"),
    }
    running.stop().await
}

/// What is stopped in its order.
struct Running {
    hub: Hub,
    live: LiveContacts,
    readiness: Readiness,
    trunks: Trunks,
    sip: Sip,
    api: JoinSet<()>,
    background: JoinSet<()>,
    repeats: Repeats,
    journal: Journal,
}

impl Running {
    async fn stop(self) -> anyhow::Result<()> {
        self.readiness.set(Phase::Stopping);
        stop_edges(self.sip, self.api, self.background).await;
        self.repeats.end_due(&self.journal, jiff::Timestamp::MAX);
        tokio::task::spawn_blocking(move || self.journal.close()).await?;
        Ok(())
    }
}

async fn start(settings: &Settings, runtime: &Runtime) -> anyhow::Result<Running> {
    let metrics = Metrics::new().context("the metric families could not be registered")?;
    let providers = Providers::default();
    let vault = Vault::of(settings)?;
    let routing = open_store(settings, &vault)?;
    let services = open_services(settings, runtime, routing, (&metrics, &providers)).await?;
    let gate = follow_routing(settings, &services.routing, (&services.sounds, &providers));
    let (identity, new_key) =
        Identity::open(&settings.data_dir, &settings.identity, Some(vault.audit_keys()))?;
    let capture = Capture::new(settings.sip.limits.capture_bytes_max);
    let state = state_of(&services, (identity.clone(), capture.clone(), vault), providers, settings)?;
    let (intake, deliveries, chats) = (state.intake.clone(), state.deliveries.clone(), state.chats.clone());
    let files = (state.files.clone(), state.mails.clone());
    let uploads = state.uploads.clone();
    let media_fetcher = state.media_fetcher.clone();
    let erasing = (state.clone(), services.places.clone());
    let numbers = state.numbers.clone();
    services.routing.active().subscribe(move |routing| chats.set(routing));
    let Services { journal, repeats, readiness, media, queues, recordings, .. } = services.clone();
    let Services { callbacks, dialler, availability, live, locator, trunks, guard, .. } = services.clone();
    let store = services.routing.clone();
    let hub = Hub::new(services, runtime.handle().clone(), settings.media.calls_max);
    let bound = Bound::open(settings)?;
    let sip_addresses = bound.describe();
    let shared = (hub.clone(), gate, metrics.sip.clone());
    let mut background = JoinSet::new();
    let sip = start_sip(settings, bound.sip, shared, capture, &mut background)?;
    background.spawn(trunks.clone().follow(store.clone(), sip.inbox()));
    background.spawn(callbacks.run(hub.clone(), sip.inbox(), (availability, dialler.clone())));
    background.spawn(dialler.run(live.clone(), locator));
    background.spawn(guard.follow(store.clone(), journal.clone()));
    background.spawn(repeats.clone().settle(journal.clone()));
    let http_address = bound.http.as_ref().and_then(|listener| listener.local_addr().ok());
    let mail_address = bound.smtp.as_ref().and_then(|listener| listener.local_addr().ok());
    let edges = (bound.http, bound.https, bound.smtp);
    let api = start_api(edges, state, settings, &mut background)?;
    background.spawn(intake.mailboxes().clone().go_on());
    background.spawn(intake.go_on());
    background.spawn(crate::erasure::go_on(erasing.0, erasing.1));
    background.spawn(media_fetcher.run());
    background.spawn(deliveries.follow(store.clone()));
    background.spawn(consumers::go_on(journal.clone(), metrics.clone()));
    background.spawn(identity::go_on(identity.clone(), metrics.clone()));
    background.spawn(numbers.go_on());
    let (kept, audit) = ((recordings, files, uploads), metrics.audit.clone());
    background.spawn(measure::go_on(media, queues, metrics));
    background.spawn(housekeeping::go_on(store.clone(), kept, settings.clone(), audit));
    readiness.set(Phase::Ready);
    greet(settings, &store, &sip_addresses, (http_address, mail_address), new_key.as_ref());
    identity::invite(settings, &identity, http_address)?;
    Ok(Running { hub, live, readiness, trunks, sip, api, background, repeats, journal })
}

/// Opens what contacts work with.
async fn open_services(
    settings: &Settings,
    runtime: &Runtime,
    routing: Store,
    (metrics, providers): (&Metrics, &Providers),
) -> anyhow::Result<Services> {
    let routing = Arc::new(routing);
    let (journal, repeats) = open_journal(settings, metrics)?;
    let queues = Queues::default();
    let locator = Locator::new(settings);
    let callbacks = Callbacks::new(journal.clone(), queues.clone(), metrics.callback.clone());
    callbacks.load().await?;
    let recordings = Recordings::open(&settings.data_dir, settings.recordings)?;
    for entry in recordings.salvage()? {
        journal.append_later(entry)?;
    }
    let texts = Sender::new(providers.clone(), routing.clone(), journal.clone(), metrics.sms.clone())?;
    Ok(Services {
        routing,
        live: LiveContacts::default(),
        media: Media::start(media_settings(&settings.media), runtime.handle())?,
        media_address: settings.media.advertised_address,
        dips: DataDips::new(settings.data_dip.allowed_url_prefixes.clone())?,
        texts,
        sounds: Library::open(settings.data_dir.clone(), settings.tts.clone())?,
        queues,
        availability: Availability::default(),
        handling: HandleTimes::default(),
        callbacks,
        recordings,
        places: open_places(settings, &journal).await?,
        dialler: Dialler::default(),
        trunks: Trunks::new(settings.sip.ping, metrics.trunk.clone(), locator.clone()),
        locator,
        hand_off: Arc::new(settings.hand_off.clone()),
        guard: crate::revision_guard::Guard::new(settings.guard, metrics.guard.clone()),
        repeats,
        metrics: metrics.clone(),
        readiness: Readiness::default(),
        journal,
    })
}

/// What the API works with.
fn state_of(
    services: &Services,
    (identity, capture, vault): (Identity, Capture, Vault),
    providers: Providers,
    settings: &Settings,
) -> anyhow::Result<AppState> {
    let (routing, journal) = (services.routing.clone(), services.journal.clone());
    let metrics = services.metrics.message.clone();
    let feed = Feed::new(journal.clone(), "vestibule");
    let deliveries = Deliveries::new(journal.clone(), feed.clone(), services.metrics.delivery.clone())?;
    let files = Files::open(&settings.data_dir).context("the folder of files cannot be used")?;
    let mails = Files::open_mails(&settings.data_dir).context("the folder of mails cannot be used")?;
    let host = &settings.smtp.host;
    let mailboxes = Mailboxes::new(&settings.mail, host, routing.clone(), journal.clone());
    let with_mails = intake::Mails {
        mailboxes: mailboxes.clone(),
        authenticator: Authenticator::new(&settings.mail, host, services.metrics.mail.clone()),
        kept: (settings.mail.raw_days_kept > 0).then(|| mails.clone()),
        bytes_max: settings.mail.raw_bytes_max,
    };
    let media_fetcher = MediaFetcher::new(
        settings.message_media.clone(),
        Lookup::of_the_system(),
        (journal.clone(), files.clone()),
        providers.clone(),
        services.metrics.message_media.clone(),
    )?;
    let kept = (journal.clone(), files.clone(), with_mails, media_fetcher.clone());
    let intake = Intake::new(routing.clone(), kept, settings.conversations, metrics);
    let limits = (settings.chat, settings.message_media.types.clone());
    let uploads = Uploads::open(&settings.data_dir, files.clone(), limits, services.metrics.chat.clone());
    let uploads = uploads.context("the folder of uploads cannot be used")?;
    let works = (intake.clone(), uploads.clone(), services.availability.clone());
    let chats = Chats::open(&settings.data_dir, routing, journal, works, settings.chat);
    Ok(AppState::from(api::Parts {
        numbers: open_numbers(settings, vault, services)?,
        test_calls: TestCalls::new(feed.clone(), services.live.clone()),
        feed,
        deliveries,
        files,
        uploads,
        mails,
        large_bodies: Arc::new(tokio::sync::Semaphore::new(api::LARGE_BODIES_MAX)),
        providers,
        intake,
        media_fetcher,
        mailboxes,
        chats: chats.context("chats cannot be had")?,
        journal: services.journal.clone(),
        live: services.live.clone(),
        identity,
        readiness: services.readiness.clone(),
        metrics: services.metrics.clone(),
        store: services.routing.clone(),
        capture,
        limits: http_limits(settings),
        queues: services.queues.clone(),
        callbacks: services.callbacks.clone(),
        availability: services.availability.clone(),
        recordings: services.recordings.clone(),
        locator: services.locator.clone(),
        trunks: services.trunks.clone(),
        idempotency: open_idempotency(settings, services)?,
        imports: Default::default(),
        sounds: services.sounds.clone(),
        hand_off: services.hand_off.clone(),
        console: settings.console.clone().into(),
    }))
}

/// Numbers, with the keys that the secrets of carriers are sealed with.
fn open_numbers(settings: &Settings, vault: Vault, services: &Services) -> anyhow::Result<Numbers> {
    let kept = (services.routing.clone(), services.journal.clone());
    Numbers::new(kept, vault, settings.carriers, services.metrics.carrier.clone())
}

/// The answers to requests that may come again.
fn open_idempotency(settings: &Settings, services: &Services) -> anyhow::Result<Idempotency> {
    let kept = Duration::from_secs(settings.http.idempotency_hours.saturating_mul(3600));
    let keys_max = settings.http.idempotency_keys_max;
    Idempotency::open(&settings.data_dir, kept, keys_max, services.metrics.api.clone())
        .context("the file of idempotency keys cannot be used")
}

/// Makes what new routing needs before it is active, and hands it out when it is.
fn follow_routing(
    settings: &Settings,
    store: &Store,
    (sounds, providers): (&Library, &Providers),
) -> Arc<Gate> {
    let gate = Arc::new(Gate::default());
    let ready = sounds.clone();
    store.prepare_with(move |prompts| ready.prepare(prompts));
    let (library, trunks, providers) = (sounds.clone(), gate.clone(), providers.clone());
    let nobody_proves = settings.sip.tls.client_certificates == ClientCertificates::None;
    store.active().subscribe(move |routing| {
        library.install(&routing.prompts);
        trunks.set(routing.trunks.clone());
        providers.set(&routing.providers);
        for trunk in routing.trunks.iter().filter(|trunk| nobody_proves && trunk.tls_identity.is_some()) {
            tracing::warn!(trunk = %trunk.id, "nobody can call by this trunk: sip.tls.client_certificates asks for none");
        }
    });
    gate
}

/// Serves the API on the plain listener and on that of HTTPS, and mail on its own, where there are such.
fn start_api(
    (plain, secure, mail): (Option<TcpListener>, Option<TcpListener>, Option<TcpListener>),
    state: AppState,
    settings: &Settings,
    background: &mut JoinSet<()>,
) -> anyhow::Result<JoinSet<()>> {
    let mut serving = JoinSet::new();
    let listen = |listener: TcpListener| {
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    if let Some(listener) = plain {
        let listener = listen(listener).context("the HTTP listener could not be used")?;
        serving.spawn(api::server::serve(listener, None, state.clone()));
    }
    let https = if !settings.http.tls.has_certificates() {
        None
    } else {
        let https = Https::open(&settings.http.tls, &settings.data_dir, state.metrics.api.clone());
        let https = Arc::new(https.context("TLS cannot be had (http.tls)")?);
        background.spawn(https.clone().go_on());
        Some(https)
    };
    if let Some(listener) = mail {
        let taken_by = (state.store.clone(), state.intake.clone());
        let shared = (state.readiness.clone(), state.metrics.smtp.clone());
        let smtp = Arc::new(Smtp::new(&settings.smtp, taken_by, https.clone(), shared));
        let listener = listen(listener).context("the mail listener could not be used")?;
        serving.spawn(smtp.serve(listener));
    }
    if let Some(listener) = secure {
        let listener = listen(listener).context("the HTTPS listener could not be used")?;
        serving.spawn(api::server::serve(listener, https, state));
    }
    Ok(serving)
}

/// Ends the calls that are left, and waits for the listeners' end.
async fn stop_edges(sip: Sip, mut api: JoinSet<()>, mut background: JoinSet<()>) {
    sip.stop();
    background.shutdown().await;
    while let Some(ended) = api.join_next().await {
        if ended.is_err() {
            tracing::error!("an HTTP listener had panicked");
        }
    }
}

fn open_journal(settings: &Settings, metrics: &Metrics) -> anyhow::Result<(Journal, Repeats)> {
    let days = |days: u64| Duration::from_secs(days.saturating_mul(86_400));
    let mut options = journal::Options::new(settings.data_dir.join("journal.db"));
    options.commit_window = Duration::from_millis(settings.journal.commit_window_ms);
    options.queue_events_max = settings.journal.queue_events_max;
    options.queue_bytes_max = settings.journal.queue_bytes_max;
    options.free_warn_bytes = settings.journal.free_space_warn_bytes;
    options.free_stop_bytes = settings.journal.free_space_stop_bytes;
    options.retention.events_age_max = days(settings.journal.events_retention_days);
    options.retention.contacts_age_max = days(settings.journal.contacts_retention_days);
    options.retention.bytes_max = settings.journal.retention_bytes_max;
    options.retention.consumer_idle_max = days(settings.journal.consumer_idle_days);
    let (journal, recovered) =
        Journal::open(options, metrics.journal.clone()).context("the journal cannot be opened")?;
    if recovered.contacts > 0 {
        tracing::warn!(
            contacts = recovered.contacts,
            "contacts were live when the gateway stopped; they are ended"
        );
    }
    Ok((journal, Repeats::new(recovered.undecided)))
}

/// The file of live calls, and what a crash has left in it.
fn open_survivors(settings: &Settings) -> anyhow::Result<(Survivors, Vec<SavedDialog>)> {
    let path = settings.data_dir.join("calls.live");
    let (survivors, left) =
        Survivors::open(&path).with_context(|| format!("{} cannot be used", path.display()))?;
    if !left.is_empty() {
        tracing::warn!(calls = left.len(), "calls were live when the gateway stopped; their lines are ended");
    }
    Ok((survivors, left))
}

/// Starts signalling, and what looks after its certificates where a listener speaks TLS.
fn start_sip(
    settings: &Settings,
    sockets: Sockets,
    shared: (Hub, Arc<Gate>, SipMetrics),
    capture: Capture,
    background: &mut JoinSet<()>,
) -> anyhow::Result<Sip> {
    let tls = if sockets.tls.is_empty() {
        None
    } else {
        let tls = Tls::open(&settings.sip.tls, shared.2.clone()).context("TLS cannot be had (sip.tls)")?;
        Some(Arc::new(tls))
    };
    // Without TLS too: SIGHUP must not end a process that has nothing to read again.
    background.spawn(Tls::go_on(tls.clone()));
    Ok(Sip::start(&settings.sip, (sockets, tls), shared, capture, open_survivors(settings)?)?)
}

/// The places that callers lost shortly before the start.
async fn open_places(settings: &Settings, journal: &Journal) -> anyhow::Result<Places> {
    let places = Places::new(settings.queue.place_kept_seconds);
    for lost in journal.reader().lost_places(places.kept_for(), jiff::Timestamp::now()).await? {
        places.keep(lost);
    }
    Ok(places)
}

fn http_limits(all: &Settings) -> api::Limits {
    let settings = &all.http;
    api::Limits {
        body_bytes_max: settings.body_bytes_max,
        document_bytes_max: settings.document_bytes_max,
        webhook_bytes_max: settings.webhook_bytes_max,
        mail_webhook_bytes_max: settings.mail_webhook_bytes_max,
        header: Duration::from_secs(settings.header_seconds),
        body: Duration::from_secs(settings.body_seconds),
        connections_max: settings.connections_max,
        kept: api::retention::Kept {
            events_days: all.journal.events_retention_days,
            contacts_days: all.journal.contacts_retention_days,
            journal_bytes_max: all.journal.retention_bytes_max,
            recordings_days: all.recordings.days_kept,
            mails_days: all.mail.raw_days_kept,
            uploads_hours: all.chat.uploads_kept_hours,
            repeats_hours: settings.idempotency_hours,
        },
    }
}

fn media_settings(settings: &settings::Media) -> MediaSettings {
    MediaSettings {
        local_ip: settings.bind_address,
        ports: settings.port_first..=settings.port_last,
        calls_expected: settings.calls_max,
        threads: settings.threads,
        dscp: settings.dscp,
        silence: settings.inactivity().unwrap_or(Duration::MAX),
        never_heard: settings.inactivity().map_or(Duration::MAX, |silence| silence.max(NEVER_HEARD_MAX)),
        ..MediaSettings::default()
    }
}

/// Sockets, bound before anything is promised.
struct Bound {
    sip: Sockets,
    http: Option<TcpListener>,
    https: Option<TcpListener>,
    smtp: Option<TcpListener>,
}

impl Bound {
    fn open(settings: &Settings) -> anyhow::Result<Self> {
        let mut bound = Self { sip: Sockets::default(), http: None, https: None, smtp: None };
        for listener in &settings.sip.listen {
            let opened = match listener.transport {
                Transport::Udp => UdpSocket::bind(listener.address).map(|socket| bound.sip.udp.push(socket)),
                Transport::Tcp => {
                    TcpListener::bind(listener.address).map(|socket| bound.sip.tcp.push(socket))
                }
                Transport::Tls => {
                    TcpListener::bind(listener.address).map(|socket| bound.sip.tls.push(socket))
                }
            };
            if let Err(error) = opened {
                if listener.named {
                    return Err(error).with_context(|| format!("cannot listen on {listener}"));
                }
                tracing::warn!(%error, %listener, "a default listener is left out");
            }
        }
        if let Some(address) = settings.http.tls.listen {
            let listener = TcpListener::bind(address);
            bound.https = Some(listener.with_context(|| format!("cannot serve HTTPS on {address}"))?);
        }
        if let Some(address) = settings.smtp.listen {
            match TcpListener::bind(address) {
                Ok(listener) => bound.smtp = Some(listener),
                Err(error) if settings.smtp.listen_named => {
                    return Err(error).with_context(|| format!("cannot take mail on {address}"));
                }
                Err(error) => tracing::warn!(%error, %address, "the mail server is left out"),
            }
        }
        match TcpListener::bind(settings.http.listen) {
            Ok(listener) => bound.http = Some(listener),
            Err(error) if settings.http.listen_named => {
                return Err(error).with_context(|| format!("cannot serve HTTP on {}", settings.http.listen));
            }
            Err(error) => tracing::warn!(%error, address = %settings.http.listen, "HTTP is left out"),
        }
        Ok(bound)
    }

    fn describe(&self) -> Vec<String> {
        let Sockets { udp, tcp, tls } = &self.sip;
        let udp = udp.iter().filter_map(|s| Some(format!("udp:{}", s.local_addr().ok()?)));
        let tcp = tcp.iter().filter_map(|s| Some(format!("tcp:{}", s.local_addr().ok()?)));
        let tls = tls.iter().filter_map(|s| Some(format!("tls:{}", s.local_addr().ok()?)));
        udp.chain(tcp).chain(tls).collect()
    }
}

/// Says what runs, and what to try.
fn greet(
    settings: &Settings,
    store: &Store,
    sip: &[String],
    (http, mail): (Option<SocketAddr>, Option<SocketAddr>),
    new_key: Option<&FirstKey>,
) {
    let target = sip.first().and_then(|text| text.split_once(':')).map_or("", |(_, address)| address);
    say(&format!("Vestibule {} takes calls on {}", env!("CARGO_PKG_VERSION"), sip.join(", ")));
    say(&format!(
        "Data in {}; routing revision {}",
        settings.data_dir.display(),
        store.active().load().revision
    ));
    say("Try a call, for example with baresip or SIPp:");
    for (number, what) in [
        ("+14155550100", "a direct line: ringing tone, then music"),
        ("+14155550101", "an Initial IVR: press 1, 2 or 3"),
        ("+14155550102", "an Initial IVR, then a queue with a Queue IVR after 30 s"),
    ] {
        say(&format!("  sip:{number}@{target}  {what}"));
    }
    if let Some(mail) = mail.filter(|_| takes_sample_mail(store)) {
        say(&format!(
            "Try a mail: printf 'From: ann@example.com\\nSubject: Hello\\n\\nHello\\n' | curl -s --crlf smtp://{mail} \
             --mail-from ann@example.com --mail-rcpt help@example.com -T -"
        ));
    }
    let Some(http) = http else { return };
    say_messages(&settings.data_dir, store, http);
    if let Some(key) = new_key {
        say(&format!("API key (shown once; also in {}): {}", key.file.display(), key.secret));
    }
    say(&format!("  curl -H \"Authorization: Bearer $KEY\" 'http://{http}/api/v1/events?after=0'"));
    say(&format!("  http://{http}/metrics  http://{http}/api/v1/openapi.json"));
}

/// Whether the sample's mailbox is still there.
fn takes_sample_mail(store: &Store) -> bool {
    let key = (Channel::Email, Address::Text("help@example.com".into()));
    store.active().load().plan.has_entry_point(&key)
}

/// How to try what the sample has beside its numbers, while it has it.
fn say_messages(data: &Path, store: &Store, http: SocketAddr) {
    let routing = store.active().load();
    if routing.providers.get(&"sample".into()).is_some_and(|provider| provider.kind == "twilio") {
        let token = data.join(sample::TOKEN_FILE);
        let (from, to, token) = ("+14155550177", "+14155550100", token.display());
        say("Try an SMS, signed as a provider does it (one line for a shell):");
        say(&format!(
            "  U=http://{http}/webhooks/sample; S=SM$(date +%s%N); curl -s \"$U\" -H \"X-Twilio-Signature: $(printf %s \
             \"${{U}}BodyHelloFrom{from}MessageSid${{S}}To{to}\" | openssl dgst -sha1 -hmac \"$(cat {token})\" -binary | base64)\" \
             --data-urlencode Body=Hello --data-urlencode From={from} --data-urlencode MessageSid=$S --data-urlencode To={to}"
        ));
    }
    if routing.chat_apps.contains_key(&"sample".into()) {
        say(&format!("Try a chat: http://{http}/chat/sample/try"));
    }
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt })
    }

    /// Waits for the next one.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// No new calls; those that are here go on until they end or the time is over. Then who hears us is told why.
async fn drain(running: &Running, limit: Duration) {
    let Running { hub, readiness, trunks, sip, live, .. } = running;
    readiness.set(Phase::Draining);
    sip.drain(u32::try_from(limit.as_secs()).unwrap_or(u32::MAX));
    tracing::info!(calls = hub.calls(), "draining; tell me again to stop at once");
    trunks.leave().await;
    if ended_within(hub, limit).await {
        return;
    }
    tracing::warn!(calls = hub.calls(), "calls are ended at the end of the drain");
    live.close_all();
    ended_within(hub, CLOSING_MAX).await;
}

/// Whether all calls have ended within a time.
async fn ended_within(hub: &Hub, time: Duration) -> bool {
    let end = Instant::now() + time;
    while hub.calls() > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    hub.calls() == 0
}
