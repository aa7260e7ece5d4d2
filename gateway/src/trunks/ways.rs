//! By which trunks a number is called, and in which order.

use sip_proto::{digest::Login, sdp::Srtp};
use vestibule_config::{
    compile::{self, Trunk},
    document::Outbound,
};
use vestibule_routing::{address::E164, id::TrunkId};

use super::Trunks;
use crate::leg::{Destination, srtp_of};

/// Trunks that one call is tried by at most.
const TRUNKS_MAX: usize = 4;

/// One place where a call may go.
#[derive(Clone, Debug)]
pub struct Way {
    /// Where the INVITE goes.
    pub to: Destination,
    /// The URI that is called instead of the target, which is a number.
    pub uri: Option<String>,
    /// What proves us there.
    pub login: Option<Login>,
    /// Whether media is encrypted; none: as the trunk says that the address belongs to, if any.
    pub srtp: Option<Srtp>,
    /// The trunk that it is a session of.
    pub trunk: Option<TrunkId>,
}

impl From<Destination> for Way {
    fn from(to: Destination) -> Self {
        Self { to, uri: None, login: None, srtp: None, trunk: None }
    }
}

impl Trunks {
    /// Where a number is called: by the trunk that its caller came by if that goes both ways, then by the others in
    /// the order of their ids; those that are down come in only when all are.
    ///
    /// # Errors
    /// No trunk calls numbers, or none of those that do can be used; the text says why.
    pub async fn ways_to(
        &self,
        number: &E164,
        came_by: Option<&TrunkId>,
        trunks: &compile::Trunks,
    ) -> Result<Vec<Way>, String> {
        let mut ways = Vec::new();
        let mut fault = "no trunk calls numbers (outbound)".to_owned();
        for (trunk, outbound) in self.candidates(came_by, trunks) {
            match self.ways_by(trunk, outbound, number).await {
                Ok(found) => ways.extend(found),
                Err(why) => {
                    tracing::warn!(trunk = %trunk.id, %why, "a number cannot be called by a trunk");
                    fault = why;
                }
            }
        }
        if ways.is_empty() { Err(fault) } else { Ok(ways) }
    }

    fn candidates<'a>(
        &self,
        came_by: Option<&TrunkId>,
        trunks: &'a compile::Trunks,
    ) -> Vec<(&'a Trunk, &'a Outbound)> {
        let outbound = |trunk: &'a Trunk| Some((trunk, trunk.outbound.as_ref()?));
        let mut all: Vec<_> = trunks.iter().filter_map(|trunk| outbound(trunk)).collect();
        // Stable: the others keep their order.
        all.sort_by_key(|(trunk, _)| Some(&trunk.id) != came_by);
        if all.iter().any(|(trunk, _)| self.serves(&trunk.id)) {
            all.retain(|(trunk, _)| self.serves(&trunk.id));
        }
        all.truncate(TRUNKS_MAX);
        all
    }

    /// The ways to a number by one trunk.
    async fn ways_by(&self, trunk: &Trunk, outbound: &Outbound, number: &E164) -> Result<Vec<Way>, String> {
        let login = match (&outbound.user, &outbound.secret) {
            (Some(user), Some(secret)) => {
                Some(Login::new(user, &secret.reveal().map_err(|error| error.to_string())?))
            }
            (None, _) | (_, None) => None,
        };
        let uri = outbound.uri_of(&number.to_string());
        let destinations = self.locator.locate_named(&uri).await.map_err(|error| error.to_string())?;
        let srtp = Some(srtp_of(trunk));
        let way = |to| Way {
            to,
            uri: Some(uri.clone()),
            login: login.clone(),
            srtp,
            trunk: Some(trunk.id.clone()),
        };
        Ok(destinations.into_iter().map(way).collect())
    }
}

#[cfg(test)]
mod tests {
    use vestibule_config::{sample::SAMPLE, settings::SipPing, store};

    use super::*;
    use crate::{sip::Locator, telemetry::TrunkMetrics, trunks::Reach};

    fn trunks() -> Trunks {
        let ping = SipPing { every_seconds: 30, answer_seconds: 4, losses_max: 3 };
        Trunks::new(ping, TrunkMetrics::unregistered().unwrap(), Locator::of_the_system(Vec::new()))
    }

    /// The sample with these trunks besides its own; each calls numbers at a port of its own.
    fn routing(ids: &[&str]) -> std::sync::Arc<compile::Trunks> {
        let folder = tempfile::tempdir().unwrap();
        let store = store::Store::open(folder.path(), store::Options::default()).unwrap();
        let added: String = (1..)
            .zip(ids)
            .map(|(n, id)| {
                format!(
                    "  {id}: {{name: {id}, allowed: [192.0.2.{n}], outbound: {{target: 'sip:192.0.2.{n}:506{n}'}}}}\n"
                )
            })
            .collect();
        store.seed(&SAMPLE.replacen("trunks:\n", &format!("trunks:\n{added}"), 1)).unwrap();
        store.active().load().trunks.clone()
    }

    async fn ports(trunks: &Trunks, came_by: Option<&str>, plan: &compile::Trunks) -> Vec<u16> {
        let number = E164::parse("+14155550999").unwrap();
        let came_by = came_by.map(TrunkId::new);
        let ways = trunks.ways_to(&number, came_by.as_ref(), plan).await.unwrap();
        assert!(ways.iter().all(|way| way.uri.as_ref().unwrap().starts_with("sip:+14155550999@192.0.2.")));
        ways.iter().map(|way| way.to.peer.port()).collect()
    }

    #[tokio::test]
    async fn without_a_trunk_that_calls_numbers_there_is_no_way() {
        let number = E164::parse("+14155550999").unwrap();
        let refused = trunks().ways_to(&number, None, &routing(&[])).await.unwrap_err();
        assert!(refused.contains("outbound"), "{refused}");
    }

    #[tokio::test]
    async fn the_trunk_that_the_caller_came_by_comes_first_and_those_that_are_down_only_when_all_are() {
        let (trunks, plan) = (trunks(), routing(&["tr_a", "tr_b", "tr_c"]));
        assert_eq!(ports(&trunks, None, &plan).await, [5061, 5062, 5063]);
        assert_eq!(ports(&trunks, Some("tr_b"), &plan).await, [5062, 5061, 5063]);
        assert_eq!(ports(&trunks, Some("tr_local"), &plan).await, [5061, 5062, 5063]);
        trunks.note(&TrunkId::new("tr_b"), Reach::Down);
        assert_eq!(ports(&trunks, Some("tr_b"), &plan).await, [5061, 5063]);
        trunks.note(&TrunkId::new("tr_b"), Reach::Up);
        trunks.note(&TrunkId::new("tr_a"), Reach::Down);
        trunks.note(&TrunkId::new("tr_c"), Reach::Down);
        assert_eq!(ports(&trunks, None, &plan).await, [5062]);
        trunks.note(&TrunkId::new("tr_b"), Reach::Down);
        assert_eq!(
            ports(&trunks, None, &plan).await,
            [5061, 5062, 5063],
            "pings may be wrong: better than none"
        );
    }
}
