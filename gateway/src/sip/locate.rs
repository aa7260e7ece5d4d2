//! Where a SIP URI leads: whether it may be called, and at which addresses (RFC 3263).
//!
//! A host that is an address, or has a port, is taken as it stands. Else NAPTR records say by which transports the
//! domain is called, SRV records on which hosts and ports, in which order, and A and AAAA records where those are. The
//! next address is tried by whoever calls, on 408, 503 and failures of the transport.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use sip_proto::{
    endpoint::Transport,
    uri::{Scheme, Uri, UriError},
};
use vestibule_config::settings::{self, AllowedTarget, Settings};

mod dns;

use dns::{Dns, by_weight};

use crate::leg::Destination;

/// Longest URI of a target, in bytes.
const URI_BYTES_MAX: usize = 512;

/// Addresses tried for one target at most.
const DESTINATIONS_MAX: usize = 8;

/// Transports of one domain that are tried at most.
const SERVICES_MAX: usize = 3;

/// How long it may take to find addresses: the caller hears silence or music meanwhile.
const FIND_WITHIN: Duration = Duration::from_secs(2);

/// The port of a target that names none (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;

/// The same over TLS.
const SIPS_PORT: u16 = 5061;

/// Why a target cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// It is no URI.
    #[error("it is no SIP URI: {0}")]
    Uri(#[from] UriError),
    /// It is longer than 512 bytes.
    #[error("it is longer than {URI_BYTES_MAX} bytes")]
    TooLong,
    /// It has another scheme than `sip` and `sips`, or headers.
    #[error("it must begin with `sip:` or `sips:` and have no headers behind a `?`")]
    Kind,
    /// Its `transport` parameter names none that the gateway calls by.
    #[error("its transport is none of `udp`, `tcp` and `tls`, or not one for `sips:`")]
    Transport,
    /// Its host is on no list.
    #[error("its host is not among hand_off.allowed_targets")]
    NotAllowed,
    /// Its host has no address.
    #[error("its host {host} has no address: {cause}")]
    NoAddress {
        /// The host.
        host: String,
        /// Why.
        cause: io::Error,
    },
}

/// Finds addresses; cheap to clone.
#[derive(Clone, Debug)]
pub struct Locator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dns: Dns,
    allowed: Vec<AllowedTarget>,
    /// By which transports we call, and whether by IPv4.
    listeners: Vec<(Transport, bool)>,
}

/// What is looked for.
#[derive(Clone, Debug)]
struct Search {
    host: String,
    port: Option<u16>,
    /// The transport that the URI names.
    transport: Option<Transport>,
    /// Only TLS will do.
    secure: bool,
}

impl Locator {
    /// Finds by the name servers of the settings, for the listeners that they name.
    pub fn new(settings: &Settings) -> Self {
        let listeners = settings.sip.listen.iter().map(|own| {
            let transport = match own.transport {
                settings::Transport::Udp => Transport::Udp,
                settings::Transport::Tcp => Transport::Tcp,
                settings::Transport::Tls => Transport::Tls,
            };
            (transport, own.address.is_ipv4())
        });
        let allowed = settings.hand_off.allowed_targets.clone();
        Self::with(Dns::new(&settings.sip.dns_servers), allowed, listeners.collect())
    }

    fn with(dns: Dns, allowed: Vec<AllowedTarget>, listeners: Vec<(Transport, bool)>) -> Self {
        Self { inner: Arc::new(Inner { dns, allowed, listeners }) }
    }

    /// Finds by what the system says of names, without NAPTR and SRV: for tools and tests.
    pub fn of_the_system(allowed: Vec<AllowedTarget>) -> Self {
        Self::with(Dns::of_the_system(), allowed, Vec::new())
    }

    /// The addresses of a target whose host must be among `hand_off.allowed_targets`, the first to be called first.
    ///
    /// # Errors
    /// [`LocateError`] says why it cannot be called.
    pub async fn locate(&self, target: &str) -> Result<Vec<Destination>, LocateError> {
        let search = Search::of(target)?;
        if !self.inner.allowed.iter().any(|one| one.allows(&search.host)) {
            return Err(LocateError::NotAllowed);
        }
        self.find(search).await
    }

    /// The addresses of a target that administrators have named themselves.
    ///
    /// # Errors
    /// [`LocateError`] says why it cannot be called.
    pub async fn locate_named(&self, target: &str) -> Result<Vec<Destination>, LocateError> {
        self.find(Search::of(target)?).await
    }

    async fn find(&self, search: Search) -> Result<Vec<Destination>, LocateError> {
        if let Ok(ip) = search.host.parse::<IpAddr>() {
            let transport = search.transport_or_usual();
            let peer = SocketAddr::new(ip, search.port.unwrap_or(usual_port(transport)));
            return Ok(vec![Destination { transport, peer, domain: None }]);
        }
        let mut found = Vec::new();
        let searched = tokio::time::timeout(FIND_WITHIN, self.inner.search(&search, &mut found)).await;
        let fault = match searched {
            // What was found before the time was over is good.
            _ if !found.is_empty() => return Ok(self.inner.reachable(found)),
            Ok(Ok(())) => io::Error::other("the name has none"),
            Ok(Err(fault)) => fault,
            Err(_) => io::Error::from(io::ErrorKind::TimedOut),
        };
        Err(LocateError::NoAddress { host: search.host, cause: fault })
    }
}

impl Inner {
    /// Looks for addresses; those that are found go to `found` one after the other.
    async fn search(&self, search: &Search, found: &mut Vec<Destination>) -> io::Result<()> {
        let mut offered = None;
        for (transport, service) in self.services(search).await {
            let Some(servers) = self.dns.servers(&service).await else { continue };
            offered = Some(transport);
            for server in by_weight(servers, &mut StdRng::from_os_rng()) {
                // A server without an address is passed over; the others serve.
                let addresses = self.dns.addresses(&server.host).await.unwrap_or_default();
                for ip in addresses {
                    found.push(search.at(SocketAddr::new(ip, server.port), transport));
                    if found.len() >= DESTINATIONS_MAX {
                        return Ok(());
                    }
                }
            }
        }
        if offered.is_some() {
            // RFC 3263 §4.2: addresses of the domain itself are asked for only where there are no SRV records.
            return Ok(());
        }
        let transport = search.transport_or_usual();
        let port = search.port.unwrap_or(usual_port(transport));
        let addresses = self.dns.addresses(&search.host).await?;
        let peers = addresses.into_iter().take(DESTINATIONS_MAX).map(|ip| SocketAddr::new(ip, port));
        found.extend(peers.map(|peer| search.at(peer, transport)));
        Ok(())
    }

    /// The SRV names to ask for, in order, with the transport that each stands for (RFC 3263 §4.1, §4.2).
    async fn services(&self, search: &Search) -> Vec<(Transport, String)> {
        // A name without a dot is one of this network, of which no domain says anything.
        if search.port.is_some() || !search.host.trim_end_matches('.').contains('.') {
            return Vec::new();
        }
        let named = |transport| (transport, format!("{}.{}", prefix(transport), search.host));
        if let Some(transport) = search.transport {
            return vec![named(transport)];
        }
        let wanted = |transport: &Transport| {
            (!search.secure || *transport == Transport::Tls)
                && self.listeners.iter().any(|(own, _)| own == transport)
        };
        let mut offered = self.dns.services(&search.host).await;
        offered.retain(|(transport, _)| wanted(transport));
        offered.truncate(SERVICES_MAX);
        if offered.is_empty() {
            offered = [Transport::Udp, Transport::Tcp, Transport::Tls]
                .into_iter()
                .filter(wanted)
                .map(named)
                .collect();
        }
        offered
    }

    /// Those that one of our listeners reaches; all when none does.
    fn reachable(&self, found: Vec<Destination>) -> Vec<Destination> {
        let reached = |to: &Destination| self.listeners.contains(&(to.transport, to.peer.is_ipv4()));
        if found.iter().any(reached) { found.into_iter().filter(reached).collect() } else { found }
    }
}

impl Search {
    fn of(target: &str) -> Result<Self, LocateError> {
        if target.len() > URI_BYTES_MAX {
            return Err(LocateError::TooLong);
        }
        let uri = Uri::parse(target.as_bytes())?;
        if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) || uri.headers.is_some() {
            return Err(LocateError::Kind);
        }
        let host = String::from_utf8_lossy(uri.host).into_owned();
        let secure = uri.scheme == Scheme::Sips;
        Ok(Self { host, port: uri.port, transport: transport_of(&uri)?, secure })
    }

    /// The transport where neither the URI nor the domain says one (RFC 3263 §4.1).
    fn transport_or_usual(&self) -> Transport {
        let usual = if self.secure { Transport::Tls } else { Transport::Udp };
        self.transport.unwrap_or(usual)
    }

    /// A destination; over TLS it must prove to be the domain that was asked for, whatever server serves it
    /// (RFC 5922 §4).
    fn at(&self, peer: SocketAddr, transport: Transport) -> Destination {
        let domain = (transport == Transport::Tls)
            .then(|| self.host.trim_end_matches('.').to_ascii_lowercase().into());
        Destination { transport, peer, domain }
    }
}

/// What stands before a domain in the name of its SRV records.
fn prefix(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    }
}

fn usual_port(transport: Transport) -> u16 {
    if transport == Transport::Tls { SIPS_PORT } else { SIP_PORT }
}

/// The transport that a target names (RFC 3261 §26.2.2: `sips` is TLS, over TCP).
fn transport_of(uri: &Uri<'_>) -> Result<Option<Transport>, LocateError> {
    let named = match uri.param("transport") {
        None => None,
        Some(name) => Some(Transport::from_param(name).ok_or(LocateError::Transport)?),
    };
    match (uri.scheme, named) {
        (Scheme::Sips, Some(Transport::Udp)) => Err(LocateError::Transport),
        (Scheme::Sips, Some(_)) => Ok(Some(Transport::Tls)),
        (_, named) => Ok(named),
    }
}

#[cfg(test)]
mod tests;
