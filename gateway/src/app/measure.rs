//! Takes over into metrics what nobody counts at the moment it happens.

use std::time::Duration;

use crate::{
    media::{Media, MediaSnapshot},
    queue::Queues,
    telemetry::Metrics,
};

/// Once a second, for as long as the process runs.
pub(super) async fn go_on(media: Media, queues: Queues, metrics: Metrics) {
    let mut last = media.snapshot();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let next = media.snapshot();
        take(&last, &next, &metrics);
        last = next;
        metrics.queue.waiting.set(i64::try_from(queues.waiting()).unwrap_or(i64::MAX));
    }
}

fn take(last: &MediaSnapshot, next: &MediaSnapshot, metrics: &Metrics) {
    let _unused = (last, next, metrics);
}
