//! Lets the first user in, and keeps what is known of users and keys fresh.

use std::{net::SocketAddr, time::Duration};

use vestibule_config::settings::Settings;

use crate::{cli::say, identity::Identity, telemetry::Metrics};

/// Seconds between two times at which it is written down who was seen when.
const WRITTEN_EVERY_SECONDS: u32 = 60;

/// Says how the first administrator gets in, while there is none.
pub(super) fn invite(
    settings: &Settings,
    identity: &Identity,
    http: Option<SocketAddr>,
) -> anyhow::Result<()> {
    let Some(http) = http else { return Ok(()) };
    if let Some(link) = identity.first_link(jiff::Timestamp::now())? {
        let (base, minutes) = (base_url(settings, Some(http)), settings.identity.first_link_minutes);
        say(&format!("Console sign-in link (once, {minutes} min): {base}{}", link.path()));
    }
    Ok(())
}

/// Where browsers reach the console.
pub(crate) fn base_url(settings: &Settings, http: Option<SocketAddr>) -> String {
    match &settings.identity.public_url {
        Some(url) => url.as_str().to_owned(),
        None => format!("http://{}", http.unwrap_or(settings.http.listen)),
    }
}

/// Writes down who was seen when, and sees what the command line changes.
pub(super) async fn go_on(identity: Identity, metrics: Metrics) {
    let mut second = 0_u32;
    loop {
        let whole = second.is_multiple_of(WRITTEN_EVERY_SECONDS);
        second = second.wrapping_add(1);
        let kept = identity.blocking(move |identity| {
            if whole { identity.keep(jiff::Timestamp::now()) } else { identity.catch_up() }
        });
        if let Err(error) = kept.await {
            tracing::warn!(%error, "users and keys could not be read again");
        }
        metrics.identity.sessions.set(i64::try_from(identity.sessions_open()).unwrap_or(i64::MAX));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
