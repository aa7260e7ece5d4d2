//! One SIP listener: `udp:127.0.0.1:5060`.

use std::{fmt, net::SocketAddr, str::FromStr};

/// What carries SIP messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream, framed by Content-Length (RFC 3261 §18.3).
    Tcp,
    /// The same inside TLS (RFC 3261 §26.3.1).
    Tls,
}

/// A socket that takes SIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Transport.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
    /// Whether somebody asked for it by name: then a taken port fails the start. One of the default list
    /// is left out with a warning instead.
    pub named: bool,
}

impl FromStr for Listener {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || format!("\"{text}\" is no listener; write transport:address:port, such as udp:0.0.0.0:5060");
        let (transport, address) = text.split_once(':').ok_or_else(form)?;
        let transport = match transport {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            _ => return Err(form()),
        };
        let address = address.parse().map_err(|_| form())?;
        Ok(Self { transport, address, named: false })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        write!(f, "{transport}:{}", self.address)
    }
}

impl<'de> serde::Deserialize<'de> for Listener {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
