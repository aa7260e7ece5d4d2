//! The trunks as they are now: which of them are there, and by which of them a number is called.
//!
//! A task of its own asks each trunk that numbers are called over, by OPTIONS, whether it is there
//! (`ping`). Tasks follow the active routing: a publish that leaves a trunk as it is leaves its tasks and what
//! they know alone. What is known is read by whoever places calls, by the API and by metrics.

mod ping;
mod ways;

use std::{collections::HashMap, sync::Arc};

use dashmap::DashMap;
use jiff::Timestamp;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use vestibule_config::{
    compile::{self, Trunk},
    document::Outbound,
    settings::SipPing,
    store::Store,
};
use vestibule_routing::id::TrunkId;

use crate::{sip::SipInbox, telemetry::TrunkMetrics};

pub use ways::Way;

/// What is known of all trunks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Trunks {
    known: Arc<DashMap<TrunkId, Known>>,
    metrics: TrunkMetrics,
    ping: SipPing,
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
}

/// The tasks of a trunk, and what they were begun for.
struct Followed {
    outbound: Outbound,
    pings: AbortHandle,
}

impl Trunks {
    /// Nothing is known yet.
    pub fn new(ping: SipPing, metrics: TrunkMetrics) -> Self {
        Self { known: Arc::default(), metrics, ping }
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
        let (tell, mut changes) = watch::channel(Arc::<compile::Trunks>::default());
        store.active().subscribe(move |routing| {
            tell.send_replace(routing.trunks.clone());
        });
        let mut tasks = JoinSet::new();
        let mut followed: HashMap<TrunkId, Followed> = HashMap::new();
        loop {
            let trunks = changes.borrow_and_update().clone();
            self.forget_but(&trunks, &mut followed);
            for trunk in trunks.iter().filter(|trunk| self.is_pinged(trunk)) {
                let Some(outbound) = trunk.outbound.clone() else { continue };
                if !followed.contains_key(&trunk.id) {
                    let pings =
                        tasks.spawn(self.clone().ping(trunk.id.clone(), outbound.clone(), sip.clone()));
                    followed.insert(trunk.id.clone(), Followed { outbound, pings });
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                // The tasks that were stopped.
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    /// Stops the tasks of trunks that are gone, or called in another way than they were.
    fn forget_but(&self, trunks: &compile::Trunks, followed: &mut HashMap<TrunkId, Followed>) {
        followed.retain(|id, task| {
            let same = trunks.get(id).is_some_and(|trunk| {
                self.is_pinged(trunk) && trunk.outbound.as_ref() == Some(&task.outbound)
            });
            if !same {
                task.pings.abort();
                self.known.remove(id);
                self.metrics.up.forget(id);
            }
            same
        });
    }

    fn is_pinged(&self, trunk: &Trunk) -> bool {
        self.ping.every_seconds > 0 && trunk.outbound.as_ref().is_some_and(|outbound| outbound.ping)
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
