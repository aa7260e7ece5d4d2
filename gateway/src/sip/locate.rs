//! Where a SIP URI leads: whether it may be called, and at which addresses (RFC 3263).

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use sip_proto::{
    endpoint::Transport,
    uri::{Scheme, Uri, UriError},
};
use vestibule_config::settings::AllowedTarget;

use crate::leg::Destination;

/// Longest URI of a target, in bytes.
const URI_BYTES_MAX: usize = 512;

/// Addresses tried for one target at most.
const DESTINATIONS_MAX: usize = 8;

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
        cause: std::io::Error,
    },
}

/// The addresses of a target whose host must be on the list, the first to be called first.
///
/// # Errors
/// [`LocateError`] says why it cannot be called.
pub async fn locate(target: &str, allowed: &[AllowedTarget]) -> Result<Vec<Destination>, LocateError> {
    addresses(target, Some(allowed)).await
}

/// The addresses of a target that administrators have named themselves.
///
/// # Errors
/// [`LocateError`] says why it cannot be called.
pub async fn locate_named(target: &str) -> Result<Vec<Destination>, LocateError> {
    addresses(target, None).await
}

async fn addresses(target: &str, allowed: Option<&[AllowedTarget]>) -> Result<Vec<Destination>, LocateError> {
    if target.len() > URI_BYTES_MAX {
        return Err(LocateError::TooLong);
    }
    let uri = Uri::parse(target.as_bytes())?;
    if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) || uri.headers.is_some() {
        return Err(LocateError::Kind);
    }
    let transport = transport_of(&uri)?;
    let host = String::from_utf8_lossy(uri.host).into_owned();
    if allowed.is_some_and(|allowed| !allowed.iter().any(|one| one.allows(&host))) {
        return Err(LocateError::NotAllowed);
    }
    let over_tls = transport == Transport::Tls;
    let port = uri.port.unwrap_or(if over_tls { SIPS_PORT } else { SIP_PORT });
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![Destination { transport, peer: SocketAddr::new(ip, port), domain: None }]);
    }
    let domain: Option<Arc<str>> = over_tls.then(|| host.trim_end_matches('.').to_ascii_lowercase().into());
    let no_address = |cause| LocateError::NoAddress { host: host.clone(), cause };
    let found = tokio::net::lookup_host((host.as_str(), port)).await.map_err(no_address)?;
    let found: Vec<Destination> = found
        .take(DESTINATIONS_MAX)
        .map(|peer| Destination { transport, peer, domain: domain.clone() })
        .collect();
    if found.is_empty() {
        return Err(no_address(std::io::Error::other("the name has none")));
    }
    Ok(found)
}

/// The transport that a target asks for (RFC 3261 §26.2.2: `sips` is TLS, over TCP).
fn transport_of(uri: &Uri<'_>) -> Result<Transport, LocateError> {
    let named = match uri.param("transport") {
        None => None,
        Some(name) => Some(Transport::from_param(name).ok_or(LocateError::Transport)?),
    };
    match (uri.scheme, named) {
        (Scheme::Sips, Some(Transport::Udp)) => Err(LocateError::Transport),
        (Scheme::Sips, _) => Ok(Transport::Tls),
        (_, named) => Ok(named.unwrap_or(Transport::Udp)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(target: &str) -> Result<Vec<Destination>, LocateError> {
        let allowed = ["127.0.0.0/8", "::1", "localhost"].map(|text| text.parse().unwrap());
        locate(target, &allowed).await
    }

    #[tokio::test]
    async fn addresses_are_taken_as_they_stand() {
        for (target, transport, peer) in [
            ("sip:ann@127.0.0.1", Transport::Udp, "127.0.0.1:5060"),
            ("sip:ann@127.0.0.1:5070;transport=tcp", Transport::Tcp, "127.0.0.1:5070"),
            ("sip:[::1]:5080;transport=UDP", Transport::Udp, "[::1]:5080"),
            ("sip:ann@127.0.0.1;transport=tls", Transport::Tls, "127.0.0.1:5061"),
            ("sips:ann@127.0.0.1;transport=tcp", Transport::Tls, "127.0.0.1:5061"),
            ("sips:ann@127.0.0.1:5070", Transport::Tls, "127.0.0.1:5070"),
        ] {
            let wanted = Destination { transport, peer: peer.parse().unwrap(), domain: None };
            assert_eq!(found(target).await.unwrap(), [wanted], "{target}");
        }
    }

    #[tokio::test]
    async fn an_allowed_name_is_looked_up() {
        let all = found("sip:ann@localhost:5070").await.unwrap();
        assert!(all.iter().all(|one| one.peer.ip().is_loopback() && one.peer.port() == 5070), "{all:?}");
    }

    #[tokio::test]
    async fn a_name_over_tls_is_kept_for_the_certificate() {
        let all = found("sips:ann@Localhost").await.unwrap();
        assert!(all.iter().all(|one| one.peer.port() == 5061 && one.domain.as_deref() == Some("localhost")));
        let all = found("sip:ann@localhost;transport=tcp").await.unwrap();
        assert!(all.iter().all(|one| one.peer.port() == 5060 && one.domain.is_none()), "{all:?}");
    }

    #[tokio::test]
    async fn what_must_not_or_cannot_be_called_is_told_apart() {
        assert!(matches!(found("sip:ann@192.0.2.1").await, Err(LocateError::NotAllowed)));
        assert!(matches!(found("sip:ann@example.net").await, Err(LocateError::NotAllowed)));
        assert!(matches!(found("tel:+14155550100").await, Err(LocateError::Kind)));
        assert!(matches!(found("sips:ann@127.0.0.1;transport=udp").await, Err(LocateError::Transport)));
        assert!(matches!(found("sip:ann@127.0.0.1?Subject=x").await, Err(LocateError::Kind)));
        assert!(matches!(found("sip:ann@127.0.0.1;transport=ws").await, Err(LocateError::Transport)));
        assert!(matches!(found("ann").await, Err(LocateError::Uri(_))));
        assert!(matches!(
            found(&format!("sip:{}@127.0.0.1", "a".repeat(600))).await,
            Err(LocateError::TooLong)
        ));
    }
}
