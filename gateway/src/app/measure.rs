//! Takes over into metrics what nobody counts at the moment it happens.

use std::time::Duration;

use crate::{
    media::{Media, MediaSnapshot, ThreadSnapshot},
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
    let media = &metrics.media;
    let grown = |counter: fn(&ThreadSnapshot) -> u64| next.sum(counter).saturating_sub(last.sum(counter));
    media.received.inc_by(grown(|thread| thread.received));
    media.sent.inc_by(grown(|thread| thread.sent));
    media.lost.inc_by(grown(|thread| thread.lost));
    media.wrong_source.inc_by(grown(|thread| thread.wrong_source));
    media.skipped.inc_by(grown(|thread| thread.skipped_frames));
    media.rings_full.inc_by(grown(|thread| thread.commands_refused));
    media.streams.set(next.threads.iter().map(|thread| i64::from(thread.legs)).sum());
    media.realtime.set(i64::from(next.threads.iter().all(|thread| thread.realtime)));
    media.ports_used.set(i64::try_from(next.ports.used).unwrap_or(i64::MAX));
    media.ports_draining.set(i64::try_from(next.ports.draining).unwrap_or(i64::MAX));
}
