//! Whether a trunk is there: OPTIONS now and then (RFC 3261 §11), with hysteresis.

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sip_proto::message::Method;
use vestibule_config::{document::Outbound, settings::SipPing};
use vestibule_routing::id::TrunkId;

use super::{Reach, Trunks};
use crate::{
    leg::Destination,
    sip::{Inquiring, SipInbox},
};

/// Between two pings of a trunk that has just failed to answer one, or is down.
const AGAIN: Duration = Duration::from_secs(5);

/// One answer has a trunk up; only several losses in a row have it down.
#[derive(Clone, Copy, Debug)]
struct Watch {
    settings: SipPing,
    reach: Option<Reach>,
    losses: u32,
}

impl Watch {
    fn new(settings: SipPing) -> Self {
        Self { settings, reach: None, losses: 0 }
    }

    /// What a ping came to; the trunk's new state, when that changes it.
    fn pinged(&mut self, answered: bool) -> Option<Reach> {
        self.losses = if answered { 0 } else { self.losses.saturating_add(1) };
        let reach = match answered {
            true => Reach::Up,
            false if self.losses >= self.settings.losses_max => Reach::Down,
            false => return None,
        };
        (self.reach.replace(reach) != Some(reach)).then_some(reach)
    }

    /// How long until the next ping.
    fn pause(&self) -> Duration {
        let every = Duration::from_secs(self.settings.every_seconds.max(1));
        if self.losses > 0 { every.min(AGAIN) } else { every }
    }
}

impl Trunks {
    /// Pings a trunk for as long as it is called in this way.
    pub(super) async fn ping(self, trunk: TrunkId, outbound: Outbound, sip: SipInbox) {
        let mut watch = Watch::new(self.ping);
        let mut rng = StdRng::from_os_rng();
        loop {
            let answered = self.is_there(&outbound, &sip).await;
            if let Some(reach) = watch.pinged(answered) {
                self.note(&trunk, reach);
            }
            // A tenth more or less, so that the pings of many trunks spread.
            let pause = watch.pause().mul_f64(rng.random_range(0.9..1.1));
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether the first of a trunk's addresses answers, or else any of the others.
    async fn is_there(&self, outbound: &Outbound, sip: &SipInbox) -> bool {
        let uri = outbound.uri();
        let destinations = match self.locator.locate_named(&uri).await {
            Ok(destinations) => destinations,
            Err(error) => {
                tracing::warn!(%error, "a trunk cannot be pinged");
                return false;
            }
        };
        let ask = |to: &Destination| self.ask(to.clone(), uri.clone(), sip);
        let Some((first, others)) = destinations.split_first() else { return false };
        if ask(first).await {
            return true;
        }
        let mut answers: FuturesUnordered<_> = others.iter().map(ask).collect();
        while let Some(answered) = answers.next().await {
            if answered {
                return true;
            }
        }
        false
    }

    async fn ask(&self, to: Destination, uri: String, sip: &SipInbox) -> bool {
        let inquiring = Inquiring {
            to,
            method: Method::Options,
            uri: uri.clone(),
            from: String::new(),
            to_uri: uri,
            contact_user: None,
            headers: vec![("Accept", "application/sdp".to_owned())],
            login: None,
            series: None,
            patience: Duration::from_secs(self.ping.answer_seconds),
        };
        let reply = sip.inquire(inquiring).await;
        reply.is_some_and(|reply| is_alive(reply.status))
    }
}

/// Whether a final answer shows that calls may be tried: any does, a 401 or 404 too, but for 503, which asks for
/// none, and 408, by which a proxy says that nobody is behind it (and we, that nobody answered).
pub(super) fn is_alive(status: u16) -> bool {
    !matches!(status, 408 | 503)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(SipPing { every_seconds: 30, answer_seconds: 4, losses_max: 3 })
    }

    #[test]
    fn one_answer_has_a_trunk_up_and_only_losses_in_a_row_have_it_down() {
        let mut watch = watch();
        assert_eq!(watch.pinged(true), Some(Reach::Up));
        assert_eq!(watch.pause(), Duration::from_secs(30));
        let said: Vec<_> = [false, false, true, false, false, false, false, true, true]
            .map(|answered| watch.pinged(answered))
            .into_iter()
            .collect();
        let down = Some(Reach::Down);
        assert_eq!(said, [None, None, None, None, None, down, None, Some(Reach::Up), None]);
    }

    #[test]
    fn a_trunk_that_never_answered_is_down_after_as_many_losses() {
        let mut watch = watch();
        let said: Vec<_> = (0..3).map(|_| watch.pinged(false)).collect();
        assert_eq!(said, [None, None, Some(Reach::Down)]);
    }

    #[test]
    fn who_fails_to_answer_is_asked_again_soon() {
        let mut watch = watch();
        watch.pinged(false);
        assert_eq!(watch.pause(), Duration::from_secs(5));
        watch.pinged(true);
        assert_eq!(watch.pause(), Duration::from_secs(30));
        let mut often = Watch::new(SipPing { every_seconds: 2, answer_seconds: 1, losses_max: 1 });
        often.pinged(false);
        assert_eq!(often.pause(), Duration::from_secs(2));
    }

    #[test]
    fn any_answer_is_one_but_for_those_that_say_that_nobody_serves() {
        assert!([200, 302, 401, 404, 405, 480, 481, 486, 500, 501, 603].into_iter().all(is_alive));
        assert!(![408, 503].into_iter().any(is_alive));
    }
}
