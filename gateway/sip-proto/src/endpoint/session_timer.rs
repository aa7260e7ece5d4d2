//! Session timers (RFC 4028), from the answering side.

use std::time::{Duration, Instant};

use super::Settings;
pub(super) use super::call::SessionTimer;
use crate::{
    header::{HeaderName, SessionExpires},
    message::Message,
};

/// Session intervals above a day are nobody's wish.
pub(super) const SECONDS_MAX: u32 = 86_400;

/// The caller asks for an interval below our minimum, and would understand a 422 (RFC 4028 §9).
pub(super) fn too_small(message: &Message<'_>, min_se_seconds: u32) -> bool {
    message.lists(HeaderName::Supported, "timer")
        && asked(message).is_some_and(|asked| asked.seconds < min_se_seconds)
}

/// The session timer that the answer to this request will carry, if any: what the request asks for,
/// bounded by our longest interval; else ours, when the other side understands timers at all.
pub(super) fn wanted(message: &Message<'_>, settings: &Settings, now: Instant) -> Option<SessionTimer> {
    let peer_knows =
        message.lists(HeaderName::Supported, "timer") || message.lists(HeaderName::Require, "timer");
    let floor = message
        .header(HeaderName::MinSe)
        .and_then(SessionExpires::parse)
        .map(|min| min.seconds)
        .unwrap_or(0)
        .max(settings.min_se_seconds);
    let (seconds, ours) = match asked(message) {
        Some(asked) => {
            let seconds = asked.seconds.min(settings.session_expires_seconds).max(floor);
            (seconds, !asked.refresher_is_uac.unwrap_or(peer_knows))
        }
        None if peer_knows => (settings.session_expires_seconds.max(floor), false),
        None => return None,
    };
    Some(started(seconds, ours, now))
}

/// A timer that starts now.
///
/// We refresh at half the interval. When the other side refreshes, the session is over a third of the
/// interval, at most 32 s, before its end (RFC 4028 §10).
pub(super) fn started(seconds: u32, ours: bool, now: Instant) -> SessionTimer {
    let interval = Duration::from_secs(u64::from(seconds));
    let third =
        Duration::from_secs(u64::from(seconds.checked_div(3).unwrap_or(0))).min(Duration::from_secs(32));
    let (refresh, expiry) = if ours {
        (Some(Duration::from_secs(u64::from(seconds.checked_div(2).unwrap_or(0)))), interval)
    } else {
        (None, interval.saturating_sub(third))
    };
    SessionTimer {
        seconds,
        ours,
        refresh_at: refresh.and_then(|after| now.checked_add(after)),
        expires_at: now.checked_add(expiry).unwrap_or(now),
    }
}

/// The headers of a 2xx: Session-Expires, and Require when the caller has to refresh (RFC 4028 §9).
/// `answering` tells the request's sender who it is: `uac` is always the sender of the request.
pub(super) fn headers(timer: &SessionTimer) -> Vec<(&'static str, String)> {
    let refresher = if timer.ours { "uas" } else { "uac" };
    let mut headers = vec![("Session-Expires", format!("{};refresher={refresher}", timer.seconds))];
    if !timer.ours {
        headers.push(("Require", "timer".to_owned()));
    }
    headers
}

fn asked(message: &Message<'_>) -> Option<SessionExpires> {
    message.header(HeaderName::SessionExpires).and_then(SessionExpires::parse)
}
