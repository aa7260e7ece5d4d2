//! Whom the gateway may call: `10.1.0.0/16`, `pbx.example.net`, `*.agents.example`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use crate::document::Network;

/// A name server that is asked: an address, with a port where it is another than 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DnsServer(pub SocketAddr);

impl FromStr for DnsServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = text.parse().or_else(|_| text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53)));
        whole
            .map(Self)
            .map_err(|_| format!("\"{text}\" is no name server; write an address, or address:port"))
    }
}

impl<'de> serde::Deserialize<'de> for DnsServer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One line of the list of hosts that may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedTarget {
    /// Addresses, written into the target as such.
    Network(Network),
    /// This very name.
    Host(String),
    /// Every name that ends with a dot and this one.
    Below(String),
}

impl AllowedTarget {
    /// Whether a target's host is meant; IPv6 addresses without their brackets.
    pub fn allows(&self, host: &str) -> bool {
        // A dot at the end says that the name is whole already.
        let name = host.strip_suffix('.').unwrap_or(host);
        match (self, host.parse::<IpAddr>()) {
            (Self::Network(network), Ok(address)) => network.contains(address),
            (Self::Host(allowed), Err(_)) => name.eq_ignore_ascii_case(allowed),
            (Self::Below(domain), Err(_)) => {
                let name = name.to_ascii_lowercase();
                let before = name.strip_suffix(domain.as_str()).and_then(|rest| rest.strip_suffix('.'));
                before.is_some_and(|before| !before.is_empty())
            }
            (Self::Network(_), Err(_)) | (Self::Host(_) | Self::Below(_), Ok(_)) => false,
        }
    }
}

impl FromStr for AllowedTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(network) = text.parse() {
            return Ok(Self::Network(network));
        }
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        // `10.1.0.0/8` and `300.1.1.1` are slips of a network, not names.
        let numeric = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        if name.len() > 253 || numeric || !name.split('.').all(label) {
            return Err(format!(
                "\"{text}\" is no target; write a network (10.1.0.0/16), a host (pbx.example.net) or all hosts \
                 below a domain (*.example.net)"
            ));
        }
        let name = name.to_ascii_lowercase();
        Ok(if below { Self::Below(name) } else { Self::Host(name) })
    }
}

impl fmt::Display for AllowedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Host(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

impl<'de> serde::Deserialize<'de> for AllowedTarget {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(list: &str, host: &str) -> bool {
        list.parse::<AllowedTarget>().unwrap().allows(host)
    }

    #[test]
    fn networks_hosts_and_domains_are_told_apart() {
        for (list, host) in [
            ("127.0.0.0/8", "127.3.4.5"),
            ("::1", "::1"),
            ("2001:db8::/32", "2001:DB8::7"),
            ("pbx.example.net", "PBX.example.NET"),
            ("pbx.example.net", "pbx.example.net."),
            ("*.example.net", "a.b.example.net"),
        ] {
            assert!(allows(list, host), "{list} {host}");
        }
        for (list, host) in [
            ("127.0.0.0/8", "128.0.0.1"),
            ("127.0.0.0/8", "localhost"),
            ("pbx.example.net", "xpbx.example.net"),
            ("pbx.example.net", "pbx.example.net.evil.example"),
            ("*.example.net", "example.net"),
            ("*.example.net", ".example.net"),
            ("*.example.net", "evilexample.net"),
            ("*.example.net", "é.example.org"),
        ] {
            assert!(!allows(list, host), "{list} {host}");
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in
            ["", "*", "*.", "a..b", "10.0.0.1/8", "300.1.1.1", "sip:pbx.example.net", "pbx:5060", "a b"]
        {
            assert!(text.parse::<AllowedTarget>().is_err(), "{text}");
        }
        for text in ["10.0.0.0/8", "pbx.example.net", "*.example.net"] {
            assert_eq!(text.parse::<AllowedTarget>().unwrap().to_string(), text);
        }
    }
}
