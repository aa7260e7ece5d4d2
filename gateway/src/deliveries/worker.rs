//! The task that serves one consumer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use reqwest::Client;
use ring::hmac;
use vestibule_config::document::ConsumerDoc;
use vestibule_routing::id::{ConsumerId, ContactId};

use super::{Known, NotDelivered, cursor_name, post};
use crate::{
    feed::{CloudEvent, Feed, Wanted},
    journal::{EventKind, Journal, JournalError, OutboxRow, OutboxUpdate},
    telemetry::{DeliveryMetrics, DeliveryResult},
};

/// Seconds before each further attempt; together a day. What fails after the last is given up.
const DELAYS: [i64; 11] = [5, 30, 120, 600, 1800, 3600, 7200, 10_800, 14_400, 21_600, 26_100];
/// Failures in a row after which only one event is tried now and then.
const FAILURES_MAX: u32 = 5;
/// Between two such tries, seconds: doubled from the first to the second.
const PROBE_SECONDS: [u64; 2] = [1, 60];
/// Most rows that wait; with more of them, no further events are read.
const ROWS_MAX: usize = 10_000;
/// Events read at once.
const PAGE: usize = 200;
/// Requests at once.
const PARALLEL: usize = 16;
/// How long the feed is waited for before rows are looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    name: String,
    id: ConsumerId,
    doc: Arc<ConsumerDoc>,
    journal: Journal,
    feed: Feed,
    client: Client,
    known: Arc<Known>,
    metrics: DeliveryMetrics,
    kinds: Vec<EventKind>,
    keys: Vec<hmac::Key>,
    /// The event that a consumer that takes nothing was last tried with.
    probed: u64,
}

/// What became of one attempt.
enum Tried {
    /// The consumer has it: these contacts are delivered by it.
    Delivered(Vec<ContactId>),
    Failed,
    /// The event is not in the journal any more.
    Trimmed,
}

/// An event and what it must not overtake.
struct Task {
    seq: u64,
    event: CloudEvent,
    conversation: String,
}

impl Task {
    fn new(event: CloudEvent) -> Self {
        #[derive(serde::Deserialize)]
        struct About {
            #[serde(default)]
            conversation: Option<String>,
        }
        let about = serde_json::from_str::<About>(event.data.get()).ok();
        let conversation = about.and_then(|about| about.conversation).unwrap_or_default();
        Self { seq: event.sequence.parse().unwrap_or(0), event, conversation }
    }

    fn row(&self, attempts: u8, due: Timestamp, error: String) -> OutboxRow {
        let (subject, conversation) = (self.event.subject.clone(), self.conversation.clone());
        OutboxRow { seq: self.seq, subject, conversation, attempts, due, error, dead: false }
    }
}

/// What became of the events of one contact or conversation.
#[derive(Default)]
struct Done {
    kept: Vec<OutboxRow>,
    delivered: Vec<ContactId>,
}

impl Worker {
    pub(super) fn new(
        id: &ConsumerId,
        doc: &Arc<ConsumerDoc>,
        (journal, feed): (Journal, Feed),
        client: Client,
        (known, metrics): (Arc<Known>, DeliveryMetrics),
    ) -> Self {
        let kinds = doc.types.iter().filter_map(|name| EventKind::parse(name)).collect();
        Self {
            name: cursor_name(id),
            id: id.clone(),
            doc: doc.clone(),
            journal,
            feed,
            client,
            known,
            metrics,
            kinds,
            keys: Vec::new(),
            probed: 0,
        }
    }

    pub(super) async fn run(mut self) {
        if self.doc.paused {
            return;
        }
        match post::reveal(&self.doc) {
            Ok(keys) => self.keys = keys,
            Err(error) => {
                tracing::error!(consumer = %self.id, %error, "nothing is delivered to a consumer");
                return self.known.change(|reach| reach.error = Some(error.to_string()));
            }
        }
        loop {
            if let Err(error) = self.serve().await {
                tracing::warn!(consumer = %self.id, %error, "deliveries wait for the journal");
                tokio::time::sleep(LOOK_EVERY).await;
            }
            if self.known.reach().gone {
                tracing::error!(consumer = %self.id, "a consumer says that it is gone (410): nothing is sent any more");
                return;
            }
        }
    }

    /// One turn: rows that are due, then what is new in the feed.
    async fn serve(&mut self) -> Result<(), JournalError> {
        let rows = self.journal.reader().outbox(self.name.clone()).await?;
        let waiting: Vec<OutboxRow> = rows.into_iter().filter(|row| !row.dead).collect();
        let failures = self.known.reach().failures;
        if failures >= FAILURES_MAX {
            return self.probe(waiting, failures).await;
        }
        let blocked = self.retry(&waiting).await?;
        if self.known.reach().gone || blocked.rows >= ROWS_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
            return Ok(());
        }
        let cursor = self.journal.reader().cursor(self.name.clone()).await?;
        let Some(after) = cursor else {
            // A new consumer is told of what happens from now on.
            let last = self.journal.reader().last_seq().await?;
            return self.journal.outbox(OutboxUpdate { cursor: Some(last), ..self.update() }).await;
        };
        let wanted = Wanted { after, limit: PAGE, kinds: self.kinds.clone() };
        let page = tokio::select! {
            page = self.feed.read_or_wait(wanted, LOOK_EVERY) => page?,
            () = self.known.look.notified() => return Ok(()),
        };
        if page.next == after {
            return Ok(());
        }
        let done = self.deliver(page.events.into_iter().map(Task::new).collect(), blocked.names).await;
        let update = OutboxUpdate {
            cursor: Some(page.next),
            put: done.kept,
            delivered: done.delivered,
            ..self.update()
        };
        self.journal.outbox(update).await
    }

    fn update(&self) -> OutboxUpdate {
        OutboxUpdate { consumer: self.name.clone(), ..OutboxUpdate::default() }
    }

    /// Tries one event of a consumer that takes nothing, after a while; a success has all others tried at once. A failure
    /// counts as an attempt of that event if one was due: for how long events are tried must not depend on how many wait.
    async fn probe(&mut self, mut waiting: Vec<OutboxRow>, failures: u32) -> Result<(), JournalError> {
        let [first, longest] = PROBE_SECONDS;
        let doubled = first.saturating_mul(1 << failures.saturating_sub(FAILURES_MAX).min(16)).min(longest);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(doubled)) => {}
            () = self.known.look.notified() => {}
        }
        let now = Timestamp::now();
        let Some((at, alone)) = next_probe(&waiting, self.probed, now) else {
            // Nothing to try it with: the feed is read again.
            self.known.change(|reach| reach.failures = FAILURES_MAX - 1);
            return Ok(());
        };
        let row = waiting.remove(at);
        self.probed = row.seq;
        let seq = row.seq;
        match self.try_row(&row).await? {
            Tried::Delivered(delivered) => {
                for row in &mut waiting {
                    row.due = Timestamp::now();
                }
                let update = OutboxUpdate { put: waiting, remove: vec![seq], delivered, ..self.update() };
                self.journal.outbox(update).await
            }
            Tried::Trimmed => {
                self.journal.outbox(OutboxUpdate { put: vec![self.lost(row)], ..self.update() }).await
            }
            Tried::Failed => {
                if alone {
                    // Nor is there another to try it with.
                    self.known.change(|reach| reach.failures = FAILURES_MAX - 1);
                }
                if row.due > now {
                    return Ok(());
                }
                self.journal.outbox(OutboxUpdate { put: vec![self.next_attempt(row)], ..self.update() }).await
            }
        }
    }

    /// Tries the rows that are due and wait behind none, and says what is still in the way.
    async fn retry(&self, waiting: &[OutboxRow]) -> Result<Blocked, JournalError> {
        let now = Timestamp::now();
        let (mut blocked, mut update) = (Blocked::default(), self.update());
        for row in waiting {
            if blocked.stops(&row.subject, &row.conversation)
                || row.due > now
                || self.known.reach().failures >= FAILURES_MAX
            {
                blocked.add(&row.subject, &row.conversation);
                continue;
            }
            let next = match self.try_row(row).await? {
                Tried::Delivered(delivered) => {
                    update.remove.push(row.seq);
                    update.delivered.extend(delivered);
                    continue;
                }
                Tried::Trimmed => self.lost(row.clone()),
                Tried::Failed => self.next_attempt(row.clone()),
            };
            if !next.dead {
                blocked.add(&row.subject, &row.conversation);
            }
            update.put.push(next);
        }
        if !update.remove.is_empty() || !update.put.is_empty() {
            self.journal.outbox(update).await?;
        }
        Ok(blocked)
    }

    async fn try_row(&self, row: &OutboxRow) -> Result<Tried, JournalError> {
        let wanted = Wanted { after: row.seq.saturating_sub(1), limit: 1, kinds: Vec::new() };
        let page = self.feed.read(&wanted).await?;
        let event = page
            .events
            .into_iter()
            .find(|event| event.sequence.parse() == Ok(row.seq) && event.kind != EventKind::FeedGap);
        let Some(event) = event else { return Ok(Tried::Trimmed) };
        let task = Task::new(event);
        Ok(match self.post(&task).await {
            Ok(()) => Tried::Delivered(queued(&task).into_iter().collect()),
            Err(_) => Tried::Failed,
        })
    }

    /// A row whose event is gone: it is given up, and says so among those that were.
    fn lost(&self, mut row: OutboxRow) -> OutboxRow {
        row.error = NotDelivered::Trimmed.to_string();
        self.give_up(row)
    }

    fn next_attempt(&self, mut row: OutboxRow) -> OutboxRow {
        let delay = DELAYS.get(usize::from(row.attempts)).copied();
        row.attempts = row.attempts.saturating_add(1);
        row.error = self.known.reach().error.unwrap_or_default();
        match delay {
            Some(seconds) => row.due = later(seconds),
            None => row = self.give_up(row),
        }
        row
    }

    fn give_up(&self, row: OutboxRow) -> OutboxRow {
        tracing::error!(consumer = %self.id, seq = row.seq, error = row.error, "a delivery is given up");
        self.metrics.requests.of(DeliveryResult::GivenUp).inc();
        OutboxRow { dead: true, due: Timestamp::now(), ..row }
    }

    /// Delivers what does not wait behind something; events of different contacts and conversations at once.
    async fn deliver(&self, tasks: Vec<Task>, mut blocked: HashSet<String>) -> Done {
        let mut done = Done::default();
        let mut groups = Groups::default();
        for task in tasks {
            let stopped = names(&task.event.subject, &task.conversation).any(|name| blocked.contains(name));
            if stopped {
                blocked.extend(names(&task.event.subject, &task.conversation).map(str::to_owned));
                done.kept.push(task.row(0, Timestamp::now(), String::new()));
            } else {
                groups.add(task);
            }
        }
        let mut results = stream::iter(groups.chains.into_values().map(|chain| self.chain(chain)))
            .buffer_unordered(PARALLEL);
        while let Some(one) = results.next().await {
            done.kept.extend(one.kept);
            done.delivered.extend(one.delivered);
        }
        done
    }

    /// Delivers events one behind the other; behind the first that fails, the others are kept.
    async fn chain(&self, tasks: Vec<Task>) -> Done {
        let mut done = Done::default();
        for task in tasks {
            if !done.kept.is_empty() || self.known.reach().failures >= FAILURES_MAX {
                done.kept.push(task.row(0, Timestamp::now(), String::new()));
                continue;
            }
            match self.post(&task).await {
                Ok(()) => done.delivered.extend(queued(&task)),
                Err(error) => {
                    let [first, ..] = DELAYS;
                    done.kept.push(task.row(1, later(first), error.to_string()));
                }
            }
        }
        done
    }

    async fn post(&self, task: &Task) -> Result<(), NotDelivered> {
        let body = serde_json::to_vec(&task.event).unwrap_or_default();
        let now = Timestamp::now();
        let result = post::send(&self.client, &self.doc.url, &self.keys, (&task.event.id, now), body).await;
        match &result {
            Ok(()) => {
                self.metrics.requests.of(DeliveryResult::Delivered).inc();
                self.known.change(|reach| {
                    reach.failures = 0;
                    reach.error = None;
                    reach.last_success = Some(now);
                });
            }
            Err(error) => {
                self.metrics.requests.of(DeliveryResult::Failed).inc();
                tracing::warn!(consumer = %self.id, seq = task.seq, %error, "a delivery failed");
                self.known.change(|reach| {
                    reach.failures = reach.failures.saturating_add(1);
                    reach.error = Some(error.to_string());
                    reach.gone |= matches!(error, NotDelivered::Gone);
                });
            }
        }
        result
    }
}

/// What later events must not overtake.
#[derive(Default)]
struct Blocked {
    names: HashSet<String>,
    rows: usize,
}

impl Blocked {
    fn stops(&self, subject: &str, conversation: &str) -> bool {
        names(subject, conversation).any(|name| self.names.contains(name))
    }

    fn add(&mut self, subject: &str, conversation: &str) {
        self.rows += 1;
        self.names.extend(names(subject, conversation).map(str::to_owned));
    }
}

/// What a consumer that takes nothing is tried with: of the rows that wait behind none, the one that was due first; while none
/// is due, each in turn, since it may refuse one and take all others. Whether it is the only one.
fn next_probe(waiting: &[OutboxRow], probed: u64, now: Timestamp) -> Option<(usize, bool)> {
    let mut behind = Blocked::default();
    let mut first = Vec::new();
    for (at, row) in waiting.iter().enumerate() {
        if !behind.stops(&row.subject, &row.conversation) {
            first.push((at, row));
        }
        behind.add(&row.subject, &row.conversation);
    }
    let due = first.iter().filter(|(_, row)| row.due <= now).min_by_key(|(_, row)| row.due);
    let turn = || first.iter().find(|(_, row)| row.seq > probed).or(first.first());
    let (at, _) = due.or_else(turn)?;
    Some((*at, first.len() == 1))
}

/// Events in chains: two that share a contact or a conversation are in the same.
#[derive(Default)]
struct Groups {
    chains: BTreeMap<usize, Vec<Task>>,
    of: HashMap<String, usize>,
    next: usize,
}

impl Groups {
    fn add(&mut self, task: Task) {
        let named: Vec<String> = names(&task.event.subject, &task.conversation).map(str::to_owned).collect();
        let found: HashSet<usize> = named.iter().filter_map(|name| self.of.get(name).copied()).collect();
        let group = found.iter().copied().min().unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        for other in found.into_iter().filter(|other| *other != group) {
            let joined = self.chains.remove(&other).unwrap_or_default();
            let chain = self.chains.entry(group).or_default();
            chain.extend(joined);
            chain.sort_by_key(|task| task.seq);
            self.of.values_mut().filter(|of| **of == other).for_each(|of| *of = group);
        }
        self.of.extend(named.into_iter().map(|name| (name, group)));
        self.chains.entry(group).or_default().push(task);
    }
}

fn names<'a>(subject: &'a str, conversation: &'a str) -> impl Iterator<Item = &'a str> {
    [subject, conversation].into_iter().filter(|name| !name.is_empty())
}

fn queued(task: &Task) -> Option<ContactId> {
    (task.event.kind == EventKind::ContactQueued).then(|| ContactId::from(task.event.subject.as_str()))
}

/// A moment in so many seconds, a fifth sooner or later, so that what failed together does not come together again.
fn later(seconds: i64) -> Timestamp {
    let share = rand::rng().random_range(80..=120);
    let delay = SignedDuration::from_millis(seconds.saturating_mul(10).saturating_mul(share));
    Timestamp::now().checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
