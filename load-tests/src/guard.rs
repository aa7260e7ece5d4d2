//! Keeps the load at home: any target that is not loopback is refused.

use std::net::SocketAddr;

/// Gives the address back when it is on loopback.
pub(crate) fn loopback(address: SocketAddr) -> anyhow::Result<SocketAddr> {
    anyhow::ensure!(address.ip().is_loopback(), "{address} is not on loopback: load stays on this machine");
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::loopback;

    #[test]
    fn only_loopback_is_a_target() {
        for (address, good) in
            [("127.0.0.1:5060", true), ("127.8.8.8:1", true), ("[::1]:5060", true), ("192.0.2.1:5060", false)]
        {
            assert_eq!(loopback(address.parse().unwrap()).is_ok(), good, "{address}");
        }
    }
}
