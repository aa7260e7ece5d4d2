//! The registry of live contacts, and the only place where journeys are born.
//!
//! Edges bring arriving calls; the hub checks that there is room, pins the active plan, and starts a
//! contact task. Everything the task needs of the process is in [`Services`].

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{runtime::Handle, sync::mpsc};
use vestibule_config::{settings::HandOff, store::Store};
use vestibule_routing::plan::Plan;

use crate::{
    api::{
        live::LiveContacts,
        readiness::{Phase, Readiness},
    },
    availability::Availability,
    callbacks::{Attempt, Callbacks},
    contact_task::{self, called_back},
    data_dip::DataDips,
    dialler::Dialler,
    handling::HandleTimes,
    journal::Journal,
    leg::{ArrivingCall, LegId, Signal},
    media::Media,
    message::Sender,
    places::Places,
    queue::Queues,
    recordings::Recordings,
    repeats::Repeats,
    sip::Locator,
    sip::SipInbox,
    sound::Library,
    telemetry::Metrics,
    trunks::Trunks,
};

/// What contact tasks work with.
#[derive(Clone, Debug)]
pub struct Services {
    /// The store, which holds the active routing.
    pub routing: Arc<Store>,
    /// The journal.
    pub journal: Journal,
    /// Contacts the API shows.
    pub live: LiveContacts,
    /// The media engine.
    pub media: Media,
    /// The IP address written into SDP in place of the bound one.
    pub media_address: Option<std::net::IpAddr>,
    /// Web services that IVRs may ask.
    pub dips: DataDips,
    /// Sends texts.
    pub texts: Sender,
    /// Prompts and music.
    pub sounds: Library,
    /// The queues of all inboxes.
    pub queues: Queues,
    /// Agents available to inboxes.
    pub availability: Availability,
    /// How long talks last.
    pub handling: HandleTimes,
    /// Places that callers may get back.
    pub places: Places,
    /// Callers who are called back.
    pub callbacks: Callbacks,
    /// Recordings of calls.
    pub recordings: Recordings,
    /// Calls the telephones of inboxes.
    pub dialler: Dialler,
    /// Finds the addresses of targets.
    pub locator: Locator,
    /// What is known of trunks.
    pub trunks: Trunks,
    /// Whom contacts may be handed to.
    pub hand_off: Arc<HandOff>,
    /// Contacts of before a restart whose INVITE may come again.
    pub repeats: Repeats,
    /// Watches how calls fare after a publish.
    pub guard: crate::revision_guard::Guard,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether calls are taken.
    pub readiness: Readiness,
}

/// The hub; cheap to clone.
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    services: Arc<Services>,
    runtime: Handle,
    calls: Arc<AtomicUsize>,
    calls_max: usize,
    seed: AtomicU64,
}

/// Signals that wait for one contact: more than its calls make while its task is busy.
const SIGNALS_MAX: usize = 64;

impl Hub {
    /// A hub that holds at most so many calls.
    pub fn new(services: Services, runtime: Handle, calls_max: usize) -> Self {
        let inner = Inner {
            services: Arc::new(services),
            runtime,
            calls: Arc::default(),
            calls_max,
            seed: AtomicU64::new(StdRng::from_os_rng().random()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The runtime that contact tasks run on.
    pub fn runtime(&self) -> &Handle {
        &self.inner.runtime
    }

    /// Calls going on.
    pub fn calls(&self) -> usize {
        self.inner.calls.load(Ordering::Relaxed)
    }

    /// Whether new calls would be refused for want of room. Cheap: asked for every batch of datagrams.
    pub fn is_full(&self) -> bool {
        self.calls() >= self.inner.calls_max || !self.inner.services.media.admits(self.calls())
    }

    /// The routing that is active.
    pub fn plan(&self) -> Arc<Plan> {
        self.inner.services.routing.active().load().plan.clone()
    }

    /// Calls somebody back; the attempt comes back when there is no room for it.
    pub fn call_back(&self, attempt: Attempt, sip: SipInbox) -> Option<Attempt> {
        let Some(place) = self.place() else { return Some(attempt) };
        let (signals, receiver) = mpsc::channel(SIGNALS_MAX);
        let work = called_back::run(
            self.inner.services.clone(),
            attempt,
            (receiver, signals),
            (place, self.rng()),
            sip,
        );
        self.inner.runtime.spawn(work);
        None
    }

    /// A place for another call; none when no call is taken.
    fn place(&self) -> Option<Place> {
        let services = &self.inner.services;
        let takes = services.readiness.phase() == Phase::Ready
            && services.journal.is_ready()
            && services.media.admits(self.calls());
        if !takes {
            return None;
        }
        let place = Place::take(&self.inner);
        if place.is_none() {
            services.metrics.call.full.inc();
        }
        place
    }

    fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.inner.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed))
    }

    /// Takes a call, or says by `None` that it must be refused with 503: drain, journal down, media threads
    /// busy, or as many calls as the limit allows.
    pub fn arrive(&self, call: ArrivingCall) -> Option<mpsc::Sender<(LegId, Signal)>> {
        let place = self.place()?;
        let (signals, receiver) = mpsc::channel(SIGNALS_MAX);
        let services = self.inner.services.clone();
        // Weak: the contact sees the SIP thread go by the end of the channel.
        let ears = (receiver, signals.downgrade());
        self.inner.runtime.spawn(contact_task::run(services, call, ears, (place, self.rng())));
        Some(signals)
    }
}

/// A call's place among those allowed.
#[derive(Debug)]
pub(crate) struct Place {
    calls: Arc<AtomicUsize>,
    active: prometheus::IntGauge,
}

impl Place {
    fn take(inner: &Inner) -> Option<Self> {
        let before = inner.calls.fetch_add(1, Ordering::Relaxed);
        let active = inner.services.metrics.call.active.clone();
        active.inc();
        let place = Self { calls: inner.calls.clone(), active };
        (before < inner.calls_max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
        self.active.dec();
    }
}
