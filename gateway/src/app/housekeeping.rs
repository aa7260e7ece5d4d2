//! Removes what nobody needs any more, once an hour.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use vestibule_config::{settings::Settings, store::Store};

use crate::{files::Files, recordings::Recordings};

/// From the start on, for as long as the process runs.
pub(super) async fn go_on(store: Arc<Store>, kept: (Recordings, Files), settings: Settings) {
    loop {
        let (store, kept, settings) = (store.clone(), kept.clone(), settings.clone());
        let done = tokio::task::spawn_blocking(move || keep_house(&store, &kept, &settings)).await;
        if done.is_err() {
            tracing::error!("housekeeping met a fault in the gateway");
        }
        tokio::time::sleep(HOUR).await;
    }
}

fn keep_house(store: &Store, (recordings, files): &(Recordings, Files), settings: &Settings) {
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
    if let Some(before) = days_ago(settings.journal.contacts_retention_days) {
        match files.prune(before) {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "files of messages were removed, whose time is over"),
            Err(error) => tracing::warn!(%error, "files of messages cannot be removed"),
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);
