//! Questions to the name service: NAPTR, SRV, A and AAAA records, kept for as long as each says, within bounds.

use std::{io, net::IpAddr};

use hickory_resolver::{
    TokioResolver,
    proto::rr::{
        RData, RecordType,
        rdata::{NAPTR, SRV},
    },
};
use rand::Rng;
use sip_proto::endpoint::Transport;
use vestibule_config::settings::DnsServer;

use crate::names::{self, whole};

/// Answers that are kept.
const ANSWERS_MAX: u64 = 4096;

/// SRV records of one name that are looked at.
const SERVERS_MAX: usize = 32;

/// The name service.
#[derive(Debug)]
pub(super) struct Dns {
    /// None: the system's own look-up, which knows addresses only.
    resolver: Option<TokioResolver>,
}

/// One SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Dns {
    /// Asks these servers, or those that the system names when there are none.
    pub(super) fn new(servers: &[DnsServer]) -> Self {
        let resolver = names::resolver(servers, ANSWERS_MAX);
        if resolver.is_none() {
            tracing::warn!("SRV records are not asked for: hosts are looked up as the system does");
        }
        Self { resolver }
    }

    /// The system's own look-up.
    pub(super) fn of_the_system() -> Self {
        Self { resolver: None }
    }

    /// The NAPTR records of a domain that say how SIP is spoken there: the transports, the one most wanted first, and
    /// the name of the SRV records of each.
    pub(super) async fn services(&self, domain: &str) -> Vec<(Transport, String)> {
        let Some(resolver) = &self.resolver else { return Vec::new() };
        let Ok(found) = resolver.lookup(whole(domain), RecordType::NAPTR).await else { return Vec::new() };
        let mut records: Vec<&NAPTR> = found
            .answers()
            .iter()
            .filter_map(|answer| match &answer.data {
                RData::NAPTR(record) => Some(record),
                _ => None,
            })
            .filter(|record| record.flags.eq_ignore_ascii_case(b"s"))
            .collect();
        records.sort_by_key(|record| (record.order, record.preference));
        let service =
            |record: &&NAPTR| Some((transport_of(&record.services)?, record.replacement.to_string()));
        records.iter().filter_map(service).collect()
    }

    /// The SRV records of a service; none when there are none. Empty: it is decidedly not offered (RFC 2782).
    pub(super) async fn servers(&self, service: &str) -> Option<Vec<Server>> {
        let found = self.resolver.as_ref()?.srv_lookup(whole(service)).await.ok()?;
        let server = |record: &SRV| Server {
            priority: record.priority,
            weight: record.weight,
            host: record.target.to_string(),
            port: record.port,
        };
        let records = found.answers().iter().filter_map(|answer| match &answer.data {
            RData::SRV(record) => Some(record),
            _ => None,
        });
        Some(records.take(SERVERS_MAX).map(server).filter(|server| server.host != ".").collect())
    }

    /// The addresses of a host.
    pub(super) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match &self.resolver {
            Some(resolver) => {
                let found = resolver.lookup_ip(whole(host)).await.map_err(io::Error::other)?;
                Ok(found.iter().collect())
            }
            None => Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()),
        }
    }
}

/// The transport of a NAPTR record's service (RFC 3263 §4.1).
fn transport_of(service: &[u8]) -> Option<Transport> {
    [(&b"SIP+D2U"[..], Transport::Udp), (b"SIP+D2T", Transport::Tcp), (b"SIPS+D2T", Transport::Tls)]
        .into_iter()
        .find_map(|(name, transport)| service.eq_ignore_ascii_case(name).then_some(transport))
}

/// Servers in the order in which they are tried: by priority, and at random by weight within each (RFC 2782).
pub(super) fn by_weight(mut servers: Vec<Server>, rng: &mut impl Rng) -> Vec<Server> {
    // Those without weight come first in each group, so that they are chosen seldom, but not never.
    servers.sort_by_key(|server| (server.priority, server.weight));
    let mut ordered = Vec::with_capacity(servers.len());
    while let Some(priority) = servers.first().map(|server| server.priority) {
        let group = servers.iter().take_while(|server| server.priority == priority);
        let total: u32 = group.clone().map(|server| u32::from(server.weight)).sum();
        let drawn = rng.random_range(0..=total);
        let mut sum = 0;
        let place = group.clone().position(|server| {
            sum += u32::from(server.weight);
            sum >= drawn
        });
        ordered.push(servers.remove(place.unwrap_or(0)));
    }
    ordered
}
