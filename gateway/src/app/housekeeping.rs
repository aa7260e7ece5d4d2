//! Removes what nobody needs any more, once an hour.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use vestibule_config::{settings::Settings, store::Store};

use crate::{files::Files, recordings::Recordings, telemetry::AuditMetrics, uploads::Uploads};

/// What is looked after beside the store.
pub(super) type Kept = (Recordings, (Files, Files), Uploads);

/// From the start on, for as long as the process runs.
pub(super) async fn go_on(store: Arc<Store>, kept: Kept, settings: Settings, audit: AuditMetrics) {
    let mut hour = 0_u64;
    loop {
        let look =
            settings.audit.look_every_hours > 0 && hour.is_multiple_of(settings.audit.look_every_hours);
        hour = hour.wrapping_add(1);
        let (kept_log, days, metrics) = (store.clone(), settings.audit.days_kept, audit.clone());
        let looked =
            tokio::task::spawn_blocking(move || keep_audit(&kept_log, days, look.then_some(&metrics)));
        if looked.await.is_err() {
            tracing::error!("looking after the audit log met a fault in the gateway");
        }
        let (store, kept, settings) = (store.clone(), kept.clone(), settings.clone());
        let done = tokio::task::spawn_blocking(move || keep_house(&store, &kept, &settings)).await;
        if done.is_err() {
            tracing::error!("housekeeping met a fault in the gateway");
        }
        tokio::time::sleep(HOUR).await;
    }
}

/// Lets lines go whose time is over, and looks at those that are left.
fn keep_audit(store: &Store, days_kept: u64, look: Option<&AuditMetrics>) {
    let days = jiff::SignedDuration::from_hours(
        i64::try_from(days_kept).unwrap_or(i64::MAX / 24).saturating_mul(24),
    );
    if let Some(before) = (days_kept > 0).then(|| jiff::Timestamp::now().checked_sub(days).ok()).flatten() {
        match store.retire_audit(before) {
            Ok(0) => {}
            Ok(lines) => tracing::info!(lines, "lines of the audit log went, whose time was over"),
            Err(error) => tracing::warn!(%error, "lines of the audit log cannot go"),
        }
    }
    let Some(metrics) = look else { return };
    match store.verify_audit(None) {
        Ok(found) => metrics.looked(&found),
        Err(error) => tracing::warn!(%error, "the audit log cannot be read"),
    }
}

fn keep_house(store: &Store, (recordings, (files, mails), uploads): &Kept, settings: &Settings) {
    let days_ago =
        |days: u64| SystemTime::now().checked_sub(Duration::from_secs(days.saturating_mul(86_400)));
    if let Some(before) = days_ago(settings.routing.recordings_unused_days) {
        match store.prune_recordings(before) {
            Ok(0) => {}
            Ok(bytes) => tracing::info!(bytes, "recordings of prompts that nothing names were removed"),
            Err(error) => tracing::warn!(%error, "recordings of prompts cannot be removed"),
        }
    }
    if let Some(before) = days_ago(settings.recordings.days_kept) {
        match recordings.prune(before) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "recordings of calls were removed, whose time is over"),
            Err(error) => tracing::warn!(%error, "recordings of calls cannot be removed"),
        }
    }
    let hours = Duration::from_secs(settings.chat.uploads_kept_hours.saturating_mul(3600));
    if let Some(before) = SystemTime::now().checked_sub(hours) {
        match uploads.prune(before) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "uploads were removed, whose time is over"),
            Err(error) => tracing::warn!(%error, "uploads cannot be removed"),
        }
    }
    if let Some(before) = days_ago(settings.journal.contacts_retention_days) {
        match files.prune(before) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "files of messages were removed, whose time is over"),
            Err(error) => tracing::warn!(%error, "files of messages cannot be removed"),
        }
    }
    if let Some(before) = days_ago(settings.mail.raw_days_kept) {
        match mails.prune(before) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "mails as they came were removed, whose time is over"),
            Err(error) => tracing::warn!(%error, "mails as they came cannot be removed"),
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);
