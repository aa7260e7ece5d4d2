//! Tells consumers of events by signed requests (Standard Webhooks), at least once, in order, for a day.
//!
//! One task a consumer reads the feed from the consumer's own cursor. What fails is kept as a row of the outbox and
//! tried again; until then, later events of the same contact or conversation wait behind it, and others do not. When a
//! consumer fails altogether, its task stops reading and asks again with one event now and then.

mod post;
mod worker;

use std::{collections::HashMap, sync::Arc};

use dashmap::DashMap;
use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
};
use vestibule_config::{compile::Consumers, document::ConsumerDoc, store::Store};
use vestibule_routing::id::ConsumerId;

use self::worker::Worker;
use crate::{
    feed::Feed,
    journal::{Journal, JournalError, OutboxUpdate},
    telemetry::DeliveryMetrics,
};
pub use post::NotDelivered;

/// Deliveries to all consumers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Deliveries {
    journal: Journal,
    feed: Feed,
    client: reqwest::Client,
    known: Arc<DashMap<ConsumerId, Arc<Known>>>,
    metrics: DeliveryMetrics,
}

/// What is known of a consumer.
#[derive(Debug, Default)]
pub struct Known {
    state: std::sync::Mutex<Reach>,
    /// Its task looks at its rows again.
    look: Notify,
}

/// How a consumer answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Failures since the last success.
    pub failures: u32,
    /// Why the last one failed.
    pub error: Option<String>,
    /// When it last took something.
    pub last_success: Option<Timestamp>,
    /// It said that it is gone for good (410): nothing is sent until its document changes.
    pub gone: bool,
}

impl Known {
    /// As it is now.
    pub fn reach(&self) -> Reach {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Reach)) {
        change(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

/// A consumer's name among those that have a cursor.
pub fn cursor_name(id: &ConsumerId) -> String {
    format!("webhook:{id}")
}

impl Deliveries {
    /// Deliveries out of `journal`, whose feed is `feed`.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(journal: Journal, feed: Feed, metrics: DeliveryMetrics) -> Result<Self, reqwest::Error> {
        Ok(Self { journal, feed, client: post::client()?, known: Arc::default(), metrics })
    }

    /// Serves the consumers of the active routing for as long as the process runs.
    pub async fn follow(self, store: Arc<Store>) {
        let (tell, mut changes) = watch::channel(Arc::<Consumers>::default());
        store.active().subscribe(move |routing| {
            tell.send_replace(routing.consumers.clone());
        });
        let mut tasks = JoinSet::new();
        let mut running: HashMap<ConsumerId, (Arc<ConsumerDoc>, AbortHandle)> = HashMap::new();
        loop {
            let consumers = changes.borrow_and_update().clone();
            running.retain(|id, (doc, task)| {
                let same = consumers.get(id) == Some(doc);
                if !same {
                    task.abort();
                    self.known.remove(id);
                }
                same
            });
            for (id, doc) in consumers.iter() {
                if !running.contains_key(id) {
                    let worker = self.worker(id, doc);
                    running.insert(id.clone(), (doc.clone(), tasks.spawn(worker.run())));
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                // Those that were stopped.
                Some(_) = tasks.join_next() => {}
            }
        }
    }

    fn worker(&self, id: &ConsumerId, doc: &Arc<ConsumerDoc>) -> Worker {
        let known = Arc::new(Known::default());
        self.known.insert(id.clone(), known.clone());
        Worker::new(
            id,
            doc,
            (self.journal.clone(), self.feed.clone()),
            self.client.clone(),
            (known, self.metrics.clone()),
        )
    }

    /// What is known of a consumer; none when the active routing has none of that id.
    pub fn known(&self, id: &str) -> Option<Arc<Known>> {
        self.known.get(&ConsumerId::from(id)).map(|known| known.value().clone())
    }

    /// The ids of all consumers, in order.
    pub fn ids(&self) -> Vec<ConsumerId> {
        let mut ids: Vec<_> = self.known.iter().map(|known| known.key().clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Has what was given up sent again: `seq`, or all of it. How many there are.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn replay(&self, id: &ConsumerId, seq: Option<u64>) -> Result<usize, JournalError> {
        let consumer = cursor_name(id);
        let rows = self.journal.reader().outbox(consumer.clone()).await?;
        let mut put: Vec<_> =
            rows.into_iter().filter(|row| row.dead && seq.is_none_or(|seq| seq == row.seq)).collect();
        for row in &mut put {
            (row.dead, row.attempts, row.due) = (false, 0, Timestamp::now());
        }
        let count = put.len();
        if count > 0 {
            self.journal.outbox(OutboxUpdate { consumer, put, ..OutboxUpdate::default() }).await?;
        }
        if let Some(known) = self.known(id.as_str()) {
            known.look.notify_one();
        }
        Ok(count)
    }

    /// Sends an event that is none, to see whether the consumer takes it.
    ///
    /// # Errors
    /// Why it was not delivered.
    pub async fn test(&self, doc: &ConsumerDoc) -> Result<(), NotDelivered> {
        let secrets = post::reveal(doc)?;
        let now = Timestamp::now();
        let id = format!("test_{}", now.as_microsecond());
        let body = serde_json::json!({
            "specversion": "1.0", "id": id, "source": "vestibule", "type": "test", "time": now, "data": {},
        });
        post::send(&self.client, &doc.url, &secrets, (&id, now), body.to_string().into_bytes()).await
    }
}
