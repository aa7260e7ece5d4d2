//! Removes what nobody needs any more, once an hour.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use vestibule_config::{settings::Settings, store::Store};

use crate::recordings::Recordings;

/// From the start on, for as long as the process runs.
pub(super) async fn go_on(store: Arc<Store>, recordings: Recordings, settings: Settings) {
    loop {
        let (store, recordings, settings) = (store.clone(), recordings.clone(), settings.clone());
        let kept = tokio::task::spawn_blocking(move || keep_house(&store, &recordings, &settings)).await;
        if kept.is_err() {
            tracing::error!("housekeeping met a fault in the gateway");
        }
        tokio::time::sleep(HOUR).await;
    }
}

fn keep_house(store: &Store, recordings: &Recordings, settings: &Settings) {
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
}

const HOUR: Duration = Duration::from_secs(3600);
