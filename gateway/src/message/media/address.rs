//! Which addresses files are fetched from: public ones, and those that the settings name.
//!
//! A name is resolved by us, what it resolves to is checked, and the connection is made to just that address: a name that
//! resolves to another address a moment later leads nowhere.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};
use vestibule_config::settings::AllowedTarget;

/// Addresses, when they are found.
pub type Finding = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Finds the addresses of a name.
#[derive(Clone)]
pub struct Lookup(Arc<dyn Fn(String) -> Finding + Send + Sync>);

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}

impl Lookup {
    /// A way of one's own.
    pub fn new(find: impl Fn(String) -> Finding + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// The system's way, `/etc/hosts` included.
    pub fn of_the_system() -> Self {
        Self::new(|name| {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        })
    }
}

/// Resolves names to good addresses only.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    allowed: Arc<[AllowedTarget]>,
    lookup: Lookup,
}

/// A name has no address that may be asked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it lies at an address that is neither public nor among message_media.allowed_targets")]
pub(super) struct Forbidden;

impl Guard {
    pub(super) fn new(allowed: &[AllowedTarget], lookup: Lookup) -> Self {
        Self { allowed: allowed.into(), lookup }
    }

    /// Whether the host of a URL may be asked, as far as it is an address itself: names are looked at when they are
    /// resolved.
    pub(super) fn permits(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(address) => self.permits_address(address),
            Err(_) => !host.is_empty(),
        }
    }

    fn permits_address(&self, address: IpAddr) -> bool {
        is_public(address) || self.allowed.iter().any(|target| target.allows(&address.to_string()))
    }

    async fn good(self, name: String) -> Result<Addrs, Box<dyn std::error::Error + Send + Sync>> {
        let named = self.allowed.iter().any(|target| target.allows(&name));
        let found = (self.lookup.0)(name).await?;
        let good: Vec<_> =
            found.into_iter().filter(|address| named || self.permits_address(*address)).collect();
        if good.is_empty() {
            return Err(Forbidden.into());
        }
        // The port is that of the URL.
        Ok(Box::new(good.into_iter().map(|address| SocketAddr::new(address, 0))))
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(self.clone().good(name.as_str().to_owned()))
    }
}

/// Whether an address is one of the public Internet, by the registries of special addresses (RFC 6890 and its heirs).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        // This network, private, shared, loopback, link-local.
        (0 | 10 | 127, _, _) | (100, 64..=127, _) | (169, 254, _) | (172, 16..=31, _) | (192, 168, _)
        // Protocols, documentation, 6to4 relays, benchmarks.
        | (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) | (198, 51, 100) | (203, 0, 113)
        // Multicast, reserved, broadcast.
        | (224..=255, _, _)
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, _, _] = address.segments();
    // What a translator (NAT64, RFC 6052) makes of an IPv4 address is as public as that.
    if [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., w, x, y, z] = address.octets();
        return is_public_v4(Ipv4Addr::new(w, x, y, z));
    }
    // Global unicast is 2000::/3; in it are protocols (Teredo among them), documentation (two networks) and 6to4.
    // Outside lie loopback, mapped IPv4, unique-local, link-local and multicast.
    let special = matches!((a, b), (0x2001, 0..0x200 | 0xdb8) | (0x3fff, 0..0x1000) | (0x2002, _));
    a & 0xe000 == 0x2000 && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
            "3fff:1000::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
        let special = "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 127.255.0.9 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 \
            192.0.2.1 192.88.99.1 192.168.0.1 198.18.0.1 198.51.100.7 203.0.113.9 224.0.0.1 240.0.0.1 255.255.255.255 :: ::1 \
            ::ffff:8.8.8.8 ::ffff:127.0.0.1 ::8.8.8.8 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: \
            3fff::1 fc00::1 fd12::1 fe80::1 fec0::1 ff02::1 5f00::1";
        for text in special.split_whitespace() {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn names_lead_to_good_addresses_only_and_named_hosts_anywhere() {
        let lookup = Lookup::new(|name| {
            let found = match name.as_str() {
                "mixed.example" => vec!["10.0.0.1", "1.1.1.1", "::1"],
                _ => vec!["127.0.0.1"],
            };
            Box::pin(async move { Ok(found.into_iter().map(|text| text.parse().unwrap()).collect()) })
        });
        let guard = |allowed: &[&str]| {
            let allowed: Vec<_> = allowed.iter().map(|text| text.parse().unwrap()).collect();
            Guard::new(&allowed, lookup.clone())
        };
        let of = async |guard: Guard, name: &str| {
            let found = guard.good(name.to_owned()).await.ok()?;
            Some(found.map(|address| address.ip().to_string()).collect::<Vec<_>>())
        };
        assert_eq!(of(guard(&[]), "mixed.example").await, Some(vec!["1.1.1.1".to_owned()]));
        assert_eq!(of(guard(&[]), "inside.example").await, None);
        let inside = Some(vec!["127.0.0.1".to_owned()]);
        assert_eq!(of(guard(&["inside.example"]), "inside.example").await, inside);
        assert_eq!(of(guard(&["127.0.0.0/8"]), "inside.example").await, inside);
        for (url, good) in [
            ("https://[::1]/", false),
            ("https://0x7f.1/", false),
            ("https://2130706433/", false),
            ("https://127.0.0.1./", false),
            ("https://[::ffff:1.1.1.1]/", false),
            ("https://1.1.1.1/", true),
            ("https://name.example/", true),
        ] {
            assert_eq!(guard(&[]).permits(&Url::parse(url).unwrap()), good, "{url}");
        }
    }
}
