//! Captured SIP messages as a capture file: what Wireshark and tcpdump read.
//!
//! The format is libpcap's classic one (microseconds, little-endian) with raw IP packets, so that no link layer need be
//! made up. IP and UDP headers are: messages are kept without them. One message is one datagram; what is longer than a
//! datagram can be is cut.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::capture::Captured;

/// Link type of packets that begin with their IP header.
const LINKTYPE_RAW: u32 = 101;

/// Longest packet.
const PACKET_BYTES_MAX: usize = 65_535;

/// Stand for the gateway, whose own address of each message is not kept (RFC 5737, RFC 3849).
const OURS_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OURS_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const OUR_PORT: u16 = 5060;

/// A whole capture file.
pub(crate) fn written(messages: &[Captured]) -> Vec<u8> {
    let mut file = Vec::with_capacity(24 + messages.len() * 800);
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(4_u16.to_le_bytes());
    file.extend([0; 8]);
    file.extend(u32::try_from(PACKET_BYTES_MAX).unwrap_or(u32::MAX).to_le_bytes());
    file.extend(LINKTYPE_RAW.to_le_bytes());
    for message in messages {
        let packet = packet(message.path.peer, message.sent, message.shown().as_bytes());
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let micros = message.at.as_microsecond().max(0);
        file.extend(u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX).to_le_bytes());
        file.extend(u32::try_from(micros % 1_000_000).unwrap_or(0).to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(length.to_le_bytes());
        file.extend(packet);
    }
    file
}

/// One datagram with its headers.
fn packet(peer: SocketAddr, sent: bool, payload: &[u8]) -> Vec<u8> {
    let (ours, peer_ip): (IpAddr, IpAddr) = match peer.ip().to_canonical() {
        IpAddr::V4(ip) => (OURS_V4.into(), ip.into()),
        IpAddr::V6(ip) => (OURS_V6.into(), ip.into()),
    };
    let (from, to) = if sent { (ours, peer_ip) } else { (peer_ip, ours) };
    let (from_port, to_port) = if sent { (OUR_PORT, peer.port()) } else { (peer.port(), OUR_PORT) };
    let header = if from.is_ipv4() { 20 } else { 40 };
    let payload = payload.get(..PACKET_BYTES_MAX - header - 8).unwrap_or(payload);
    let length = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);

    let mut datagram = Vec::with_capacity(payload.len() + 8);
    datagram.extend(from_port.to_be_bytes());
    datagram.extend(to_port.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    // RFC 768: the sum runs over a pseudo header too; 0 means that there is none, so that 0 is sent as all ones.
    let mut pseudo = addresses(from, to);
    pseudo.extend([0, 17]);
    pseudo.extend(length.to_be_bytes());
    pseudo.extend(&datagram);
    let sum = match checksum(&pseudo) {
        0 => 0xffff,
        sum => sum,
    };
    if let Some(place) = datagram.get_mut(6..8) {
        place.copy_from_slice(&sum.to_be_bytes());
    }

    let mut packet = ip_header(from, to, length);
    packet.extend(datagram);
    packet
}

fn ip_header(from: IpAddr, to: IpAddr, length: u16) -> Vec<u8> {
    let mut header = Vec::with_capacity(40);
    if from.is_ipv6() {
        header.extend([0x60, 0, 0, 0]);
        header.extend(length.to_be_bytes());
        header.extend([17, 64]);
        header.extend(addresses(from, to));
        return header;
    }
    header.extend([0x45, 0]);
    header.extend(length.saturating_add(20).to_be_bytes());
    // No identification; not to be fragmented; 64 hops; UDP; the checksum comes last.
    header.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    header.extend(addresses(from, to));
    let sum = checksum(&header);
    if let Some(place) = header.get_mut(10..12) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    header
}

fn addresses(from: IpAddr, to: IpAddr) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    for address in [from, to] {
        match address {
            IpAddr::V4(ip) => bytes.extend(ip.octets()),
            IpAddr::V6(ip) => bytes.extend(ip.octets()),
        }
    }
    bytes
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .fold(0, |sum, word| sum.wrapping_add(word));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_the_lengths_and_sums_that_its_readers_check() {
        for (peer, header) in [("192.0.2.9:5062", 20), ("[2001:db8::9]:5062", 40)] {
            for (sent, payload) in [(true, &b"OPTIONS"[..]), (false, b"even")] {
                let packet = packet(peer.parse().unwrap(), sent, payload);
                assert_eq!(packet.len(), header + 8 + payload.len());
                assert!(packet.ends_with(payload));
                if header == 20 {
                    assert_eq!(checksum(&packet[..20]), 0, "the sum of a right header is 0");
                    assert_eq!(u16::from_be_bytes([packet[2], packet[3]]) as usize, packet.len());
                }
                let udp = &packet[header..];
                let mut pseudo = packet[header - if header == 20 { 8 } else { 32 }..header].to_vec();
                pseudo.extend([0, 17, udp[4], udp[5]]);
                pseudo.extend(udp);
                assert_eq!(checksum(&pseudo), 0, "{peer}");
                let port = u16::from_be_bytes(if sent { [udp[2], udp[3]] } else { [udp[0], udp[1]] });
                assert_eq!(port, 5062);
            }
        }
    }
}
