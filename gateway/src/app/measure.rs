//! Takes over into metrics what nobody counts at the moment it happens.

use std::time::Duration;

use crate::{
    media::{LATENESS_BOUNDS_US, Media, MediaSnapshot, ThreadSnapshot},
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
        let now = jiff::Timestamp::now();
        let oldest = queues.oldest().map_or(0, |arrived| now.duration_since(arrived).as_secs());
        metrics.queue.oldest_seconds.set(oldest.max(0));
    }
}

fn take(last: &MediaSnapshot, next: &MediaSnapshot, metrics: &Metrics) {
    let media = &metrics.media;
    let grown = |counter: fn(&ThreadSnapshot) -> u64| next.sum(counter).saturating_sub(last.sum(counter));
    media.received.inc_by(grown(|thread| thread.received));
    media.sent.inc_by(grown(|thread| thread.sent));
    media.relayed.inc_by(grown(|thread| thread.relayed));
    media.digits_sent.inc_by(grown(|thread| thread.digits_sent));
    media.digits_unsent.inc_by(grown(|thread| thread.digits_unsent));
    media.lost.inc_by(grown(|thread| thread.lost));
    media.wrong_source.inc_by(grown(|thread| thread.wrong_source));
    media.srtp_unauthentic.inc_by(grown(|thread| thread.srtp_unauthentic));
    media.srtp_replayed.inc_by(grown(|thread| thread.srtp_replayed));
    media.skipped.inc_by(grown(|thread| thread.skipped_frames));
    media.rings_full.inc_by(grown(|thread| thread.commands_refused));
    media.events_lost.inc_by(grown(|thread| thread.events_lost));
    media.ports_exhausted.inc_by(next.ports.exhausted.saturating_sub(last.ports.exhausted));
    let (before, now) = (&last.recorder, &next.recorder);
    media.recordings.set(i64::try_from(now.active).unwrap_or(i64::MAX));
    media.recording_bytes.inc_by(now.bytes.saturating_sub(before.bytes));
    media.recording_lost.inc_by(now.lost_frames.saturating_sub(before.lost_frames));
    media.recordings_failed.inc_by(now.failed.saturating_sub(before.failed));
    for (bucket, bound) in LATENESS_BOUNDS_US.iter().chain(LATENESS_BOUNDS_US.last()).enumerate() {
        let count = |snapshot: &MediaSnapshot| {
            snapshot.threads.iter().filter_map(|thread| thread.lateness.get(bucket)).sum::<u64>()
        };
        // A thousand slots a second and thread at most.
        for _ in 0..count(next).saturating_sub(count(last)) {
            media.pacing_seconds.observe(f64::from(*bound) / 1_000_000.0);
        }
    }
    media.streams.set(next.threads.iter().map(|thread| i64::from(thread.legs)).sum());
    media.realtime.set(i64::from(next.threads.iter().all(|thread| thread.realtime)));
    media.ports_used.set(i64::try_from(next.ports.used).unwrap_or(i64::MAX));
    media.ports_draining.set(i64::try_from(next.ports.draining).unwrap_or(i64::MAX));
}
