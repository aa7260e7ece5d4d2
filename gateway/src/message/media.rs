//! The files of messages that lie at providers (MMS, WhatsApp, Telegram, …): fetched after the acknowledgement, and kept.
//!
//! What is to be fetched stands in the journal, written with its message (`journal/media.rs`). One task reads what is
//! due, fetches a bounded number at once, and writes what became of it, with the event that tells. A restart goes on
//! where the journal stands: a file may be fetched twice then, and is kept once.

mod address;
mod fetch;
mod sniff;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use tokio::{
    sync::Notify,
    task::{Id, JoinError, JoinSet},
};
use vestibule_config::settings::MessageMedia;

pub use self::address::{Finding, Lookup, is_public};
use self::fetch::{Failure, Fetcher};
pub(crate) use self::sniff::type_of;
use super::providers::Providers;
use crate::{
    files::Files,
    journal::{Journal, JournalError, MediaJob, MediaOutcome, MediaRow, MessageJob},
    telemetry::{MessageMediaMetrics, MessageMediaResult},
};

/// Fetches the files of messages; cheap to clone.
#[derive(Clone, Debug)]
pub struct MediaFetcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: MessageMedia,
    fetcher: Fetcher,
    providers: Providers,
    journal: Journal,
    files: Files,
    metrics: MessageMediaMetrics,
    /// Something new may be due.
    look: Notify,
}

/// How often the journal is asked for what is due, when nobody says that there is something.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Seconds before the second attempt; each further wait is four times as long, to an hour.
const FIRST_WAIT_SECONDS: i64 = 5;
const LONGEST_WAIT_SECONDS: i64 = 3600;
/// Attempts at something that is not there: some stores need a moment before they have it.
const NOT_FOUND_MAX: u32 = 3;

impl MediaFetcher {
    /// A fetcher that finds hosts by `lookup`.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new(
        settings: MessageMedia,
        lookup: Lookup,
        (journal, files): (Journal, Files),
        providers: Providers,
        metrics: MessageMediaMetrics,
    ) -> Result<Self, reqwest::Error> {
        let fetcher = Fetcher::new(&settings, lookup)?;
        let look = Notify::new();
        let inner = Inner { settings, fetcher, providers, journal, files, metrics, look };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Files of one message that are fetched; 0: none at all.
    pub fn per_message_max(&self) -> usize {
        if self.inner.settings.fetch { self.inner.settings.per_message_max } else { 0 }
    }

    /// There is something new to fetch.
    pub fn wake(&self) {
        self.inner.look.notify_one();
    }

    /// Fetches what is due for as long as the process runs.
    pub async fn run(self) {
        if !self.inner.settings.fetch {
            return;
        }
        let mut running = Running::default();
        loop {
            match self.begin(&mut running).await {
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "files of messages wait for the journal"),
            }
            tokio::select! {
                Some(ended) = running.tasks.join_next_with_id() => {
                    if let Some(row) = running.over(&ended) {
                        tracing::error!(media = row.id, "the fetch of a file met a fault in the gateway");
                        self.write(row, Err(Failure::Fault)).await;
                    }
                }
                () = self.inner.look.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Begins as many fetches as may run.
    async fn begin(&self, running: &mut Running) -> Result<(), JournalError> {
        let settings = &self.inner.settings;
        let reader = self.inner.journal.reader();
        self.inner.metrics.waiting.set(i64::try_from(reader.media_pending().await?).unwrap_or(i64::MAX));
        while running.of.len() < settings.parallel_max {
            let full = running.sources_at(settings.parallel_per_host_max);
            // Those that run are still due: so many more are asked for.
            let rows = reader.media_due(Timestamp::now(), full, settings.parallel_max).await?;
            let Some(row) = rows.into_iter().find(|row| !running.has(&row.id)) else { break };
            let task = running.tasks.spawn(self.clone().serve(row.clone()));
            running.of.insert(task.id(), row);
        }
        Ok(())
    }

    /// Fetches one file and writes what became of it.
    async fn serve(self, row: MediaRow) {
        let begun = Instant::now();
        let fetched = self.fetch(&row).await;
        self.inner.metrics.seconds.observe(begun.elapsed().as_secs_f64());
        self.write(row, fetched).await;
    }

    async fn write(&self, row: MediaRow, fetched: Result<Stored, Failure>) {
        let metrics = &self.inner.metrics;
        let (outcome, result) = match fetched {
            Ok(Stored { file, bytes, media_type }) => {
                metrics.bytes.inc_by(bytes);
                (MediaOutcome::Stored { file, bytes, media_type }, MessageMediaResult::Stored)
            }
            Err(failure) => {
                let (provider, attempts) = (&row.provider, row.attempts + 1);
                tracing::warn!(media = row.id, %provider, attempts, %failure, "a file of a message was not fetched");
                self.after(&row, &failure)
            }
        };
        metrics.fetches.of(result).inc();
        let job = MessageJob::Media(MediaJob::Done { id: row.id, outcome });
        if let Err(error) = self.inner.journal.messages(job).await {
            // The row is still due: all of it is done again.
            tracing::warn!(%error, "what became of a file cannot be written");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn fetch(&self, row: &MediaRow) -> Result<Stored, Failure> {
        let inner = &self.inner;
        let provider = inner.providers.get(row.provider.as_str()).ok_or(Failure::NoProvider)?;
        let got = inner.fetcher.fetch(provider.kind, provider.file_account(), &row.link).await?;
        let claimed = got.media_type.as_deref().or(row.media_type.as_deref());
        let media_type = type_of(&got.bytes, claimed);
        if !inner.settings.types.iter().any(|one| one.allows(&media_type)) {
            return Err(Failure::WrongType { media_type });
        }
        let bytes = u64::try_from(got.bytes.len()).unwrap_or(u64::MAX);
        let kept = inner.files.keep(vec![got.bytes]).await;
        let mut ids = kept.map_err(|error| Failure::NotKept(error.kind()))?;
        Ok(Stored { file: ids.pop().ok_or(Failure::Fault)?, bytes, media_type })
    }

    /// What follows from a failure.
    fn after(&self, row: &MediaRow, failure: &Failure) -> (MediaOutcome, MessageMediaResult) {
        let settings = &self.inner.settings;
        let now = Timestamp::now();
        let attempts = row.attempts.saturating_add(1);
        let (reason, detail) = (failure.reason(), failure.to_string());
        let old = now.duration_since(row.since) >= SignedDuration::from_hours(settings.age_hours_max);
        let enough = attempts >= settings.attempts_max
            || (matches!(failure, Failure::Status { status: 404, .. }) && attempts >= NOT_FOUND_MAX);
        if failure.is_final() || enough || old {
            return (MediaOutcome::Failed { reason, detail }, MessageMediaResult::Failed);
        }
        let wait = wait_seconds(attempts, failure.retry_after());
        let due = now.checked_add(SignedDuration::from_secs(wait)).unwrap_or(now);
        (MediaOutcome::Again { due, reason, detail }, MessageMediaResult::Again)
    }

    /// Has files that were given up fetched anew: one, or the oldest of all. How many there are.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn retry(&self, id: Option<String>) -> Result<usize, JournalError> {
        let done = self.inner.journal.messages(MessageJob::Media(MediaJob::Retry { id })).await?;
        self.wake();
        Ok(done.changed)
    }
}

/// A file that is kept.
struct Stored {
    /// Its id among the files.
    file: String,
    bytes: u64,
    media_type: String,
}

/// What is being fetched.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    of: HashMap<Id, MediaRow>,
}

impl Running {
    fn has(&self, id: &str) -> bool {
        self.of.values().any(|row| row.id == id)
    }

    /// Sources that as many are fetched from as may be.
    fn sources_at(&self, max: usize) -> Vec<String> {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        self.of.values().for_each(|row| *counts.entry(&row.source).or_default() += 1);
        counts.into_iter().filter(|(_, count)| *count >= max).map(|(source, _)| source.to_owned()).collect()
    }

    /// One is over; what it was about, when it panicked.
    fn over(&mut self, ended: &Result<(Id, ()), JoinError>) -> Option<MediaRow> {
        match ended {
            Ok((id, ())) => {
                self.of.remove(id);
                None
            }
            Err(error) => self.of.remove(&error.id()),
        }
    }
}

/// How long to wait before the next attempt: longer each time, never shorter than the provider asks, and not all at once.
fn wait_seconds(attempts: u32, asked: Option<i64>) -> i64 {
    let times = 4_i64.saturating_pow(attempts.saturating_sub(1));
    let wait = FIRST_WAIT_SECONDS.saturating_mul(times).min(LONGEST_WAIT_SECONDS);
    let wait = wait.max(asked.unwrap_or(0).min(LONGEST_WAIT_SECONDS));
    wait.saturating_add(rand::rng().random_range(0..=wait / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_are_never_shorter_than_asked() {
        for (attempts, asked, least) in [
            (1, None, 5),
            (2, None, 20),
            (3, None, 80),
            (9, None, 3600),
            (1, Some(100), 100),
            (99, Some(9999), 3600),
        ] {
            let wait = wait_seconds(attempts, asked);
            assert!((least..=least + least / 4).contains(&wait), "{attempts}: {wait}");
        }
    }
}
