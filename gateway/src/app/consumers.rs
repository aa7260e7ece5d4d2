//! Shows how far consumers are behind the feed.

use std::time::Duration;

use crate::{journal::Journal, telemetry::Metrics};

/// Every ten seconds, for as long as the process runs.
pub(super) async fn go_on(journal: Journal, metrics: Metrics) {
    loop {
        let last = *journal.committed().borrow();
        match journal.reader().consumers().await {
            Ok(consumers) => {
                let lag = &metrics.journal.consumer_lag;
                // Those that are gone are shown no more.
                lag.reset();
                for consumer in consumers {
                    let behind = i64::try_from(last.saturating_sub(consumer.cursor)).unwrap_or(i64::MAX);
                    lag.with_label_values(&[&consumer.name]).set(behind);
                }
            }
            Err(error) => tracing::warn!(%error, "how far consumers are behind cannot be read"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

const EVERY: Duration = Duration::from_secs(10);
