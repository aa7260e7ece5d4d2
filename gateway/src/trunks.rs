//! The trunks as they are now: which of them are there, and by which of them a number is called.
//!
//! A task of its own asks each trunk that numbers are called over, by OPTIONS, whether it is there (`ping`), and another
//! registers at those that want it (`registration`). Tasks follow the active routing: a publish that leaves a trunk as
//! it is leaves its tasks and what they know alone. What is known is read by whoever places calls, by the API and by
//! metrics.

mod ping;
mod registration;
mod test;
mod ways;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use dashmap::DashMap;
use jiff::Timestamp;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use vestibule_config::{
    compile::{self, Trunk},
    document::{Outbound, Register},
    settings::SipPing,
    store::Store,
};
use vestibule_routing::id::TrunkId;

use crate::{
    sip::{Locator, SipInbox},
    telemetry::TrunkMetrics,
};

pub use registration::RegistrationState;
pub use test::{NoTest, Tried};
pub use ways::Way;

use registration::{Registered, Registration};

/// What is known of all trunks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Trunks {
    known: Arc<DashMap<TrunkId, Known>>,
    metrics: TrunkMetrics,
    ping: SipPing,
    locator: Locator,
    /// The SIP thread, once it is followed.
    sip: Arc<OnceLock<SipInbox>>,
    /// Whether the process leaves: registrations end then.
    leaving: Arc<watch::Sender<bool>>,
}

/// Whether a trunk answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It answers our pings.
    Up,
    /// It left several pings in a row unanswered, or answered them with 408 or 503.
    Down,
}

/// What is known of one trunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether it answers, and since when; none when it was never asked.
    pub reach: Option<(Reach, Timestamp)>,
    /// What its registrar says; none when there is nothing to register at, or no answer yet.
    pub registration: Option<RegistrationState>,
}

/// The tasks of all trunks, with what each was begun for.
#[derive(Default)]
struct Tasks {
    pings: HashMap<TrunkId, (Outbound, AbortHandle)>,
    registrations: HashMap<TrunkId, (Register, Registered)>,
    all: JoinSet<()>,
}

/// How long leaving the registrars may take.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

impl Trunks {
    /// Nothing is known yet.
    pub fn new(ping: SipPing, metrics: TrunkMetrics, locator: Locator) -> Self {
        Self {
            known: Arc::default(),
            metrics,
            ping,
            locator,
            sip: Arc::default(),
            leaving: Arc::new(watch::channel(false).0),
        }
    }

    /// What is known of a trunk.
    pub fn known(&self, trunk: &TrunkId) -> Known {
        self.known.get(trunk).map(|known| *known).unwrap_or_default()
    }

    /// Whether calls may be tried over a trunk: it is not down.
    pub fn serves(&self, trunk: &TrunkId) -> bool {
        !matches!(self.known(trunk).reach, Some((Reach::Down, _)))
    }

    /// Follows the active routing for as long as the process runs.
    pub async fn follow(self, store: Arc<Store>, sip: SipInbox) {
        let _first = self.sip.set(sip.clone()).is_ok();
        let (tell, mut changes) = watch::channel(Arc::<compile::Trunks>::default());
        store.active().subscribe(move |routing| {
            tell.send_replace(routing.trunks.clone());
        });
        let mut tasks = Tasks::default();
        loop {
            let trunks = changes.borrow_and_update().clone();
            self.follow_pings(&trunks, &mut tasks, &sip);
            self.follow_registrations(&trunks, &mut tasks, &sip);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                // Those that were stopped.
                Some(_) = tasks.all.join_next() => {}
            }
        }
    }

    /// Takes us off all registrars: no more calls are wanted. Nothing is registered anew.
    pub async fn leave(&self) {
        self.leaving.send_replace(true);
        // Every registration that goes on listens to it.
        if tokio::time::timeout(LEAVE_WITHIN, self.leaving.closed()).await.is_err() {
            tracing::warn!("some registrars were not told in time that we leave");
        }
    }

    /// Stops the pings of trunks that are gone, or called in another way than they were, and begins those of others.
    fn follow_pings(&self, trunks: &compile::Trunks, tasks: &mut Tasks, sip: &SipInbox) {
        let pinged = |trunk: &Arc<Trunk>| trunk.outbound.clone().filter(|outbound| outbound.ping);
        let pinged = |trunk| pinged(trunk).filter(|_| self.ping.every_seconds > 0);
        tasks.pings.retain(|id, (outbound, task)| {
            let same = trunks.get(id).and_then(pinged).as_ref() == Some(outbound);
            if !same {
                task.abort();
                if let Some(mut known) = self.known.get_mut(id) {
                    known.reach = None;
                }
                self.metrics.up.forget(id);
            }
            same
        });
        for trunk in trunks.iter() {
            let Some(outbound) = pinged(trunk) else { continue };
            tasks.pings.entry(trunk.id.clone()).or_insert_with(|| {
                let task = self.clone().ping(trunk.id.clone(), outbound.clone(), sip.clone());
                (outbound, tasks.all.spawn(task))
            });
        }
    }

    /// Ends the registrations of trunks that are gone, and begins those that are new or changed.
    fn follow_registrations(&self, trunks: &compile::Trunks, tasks: &mut Tasks, sip: &SipInbox) {
        if *self.leaving.borrow() {
            return;
        }
        let wanted = |id: &TrunkId| trunks.get(id).and_then(|trunk| trunk.register.as_ref());
        tasks.registrations.retain(|id, _| wanted(id).is_some());
        for trunk in trunks.iter() {
            let Some(register) = &trunk.register else { continue };
            let before = match tasks.registrations.remove(&trunk.id) {
                Some((same, task)) if same == *register => {
                    tasks.registrations.insert(trunk.id.clone(), (same, task));
                    continue;
                }
                before => before.map(|(_, task)| task),
            };
            let next = Registration::new(self.clone(), trunk.id.clone(), register.clone(), sip.clone());
            let task = next.start(before, self.leaving.subscribe());
            tasks.registrations.insert(trunk.id.clone(), (register.clone(), task));
        }
    }

    /// A trunk answers, or does not any more.
    fn note(&self, trunk: &TrunkId, reach: Reach) {
        self.known.entry(trunk.clone()).or_default().reach = Some((reach, Timestamp::now()));
        self.metrics.up.set(trunk, i64::from(reach == Reach::Up));
        match reach {
            Reach::Up => tracing::info!(%trunk, "a trunk answers pings"),
            Reach::Down => {
                tracing::error!(%trunk, "a trunk answers no pings: calls go by others while there are any")
            }
        }
    }
}
