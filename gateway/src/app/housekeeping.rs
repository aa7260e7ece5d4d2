//! Removes what nobody needs any more, once an hour.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use vestibule_config::store::Store;

/// From the start on, for as long as the process runs.
pub(super) async fn go_on(store: Arc<Store>, recordings_unused_days: u64) {
    let unused = Duration::from_secs(recordings_unused_days.saturating_mul(86_400));
    loop {
        let store = store.clone();
        let pruned = tokio::task::spawn_blocking(move || {
            SystemTime::now().checked_sub(unused).map_or(Ok(0), |before| store.prune_recordings(before))
        })
        .await;
        match pruned {
            Ok(Ok(0)) => {}
            Ok(Ok(bytes)) => tracing::info!(bytes, "recordings that nothing names were removed"),
            Ok(Err(error)) => tracing::warn!(%error, "recordings that nothing names cannot be removed"),
            Err(_) => tracing::error!("removing recordings met a fault in the gateway"),
        }
        tokio::time::sleep(HOUR).await;
    }
}

const HOUR: Duration = Duration::from_secs(3600);
