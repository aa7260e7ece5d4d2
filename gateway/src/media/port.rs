//! UDP ports for media: an even one out of the range for each leg, at random, and a rest before reuse.
//!
//! A port that received RTP drains after its leg closed, so that late packets of the last caller do not
//! reach a new call: 30 s while half of the ports are free, proportionally less below that. Nothing here
//! reads a clock; the caller gives the time.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Why there is no port for a leg.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Every port of the range is in use.
    #[error("all {total} media ports are in use")]
    Exhausted {
        /// How many even ports the range has.
        total: usize,
    },
    /// The kernel refused; not because the port was taken.
    #[error("cannot bind a media socket to {address}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
}

/// How the ports of the range are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortUse {
    /// Held by a leg.
    pub used: usize,
    /// Resting before reuse.
    pub draining: usize,
    /// Ready.
    pub free: usize,
    /// Legs refused since the start because no port was free.
    pub exhausted: u64,
}

/// The allocator. Shared; its lock is held for a few instructions and never across a system call.
#[derive(Debug)]
pub(crate) struct Ports {
    ip: IpAddr,
    dscp: u8,
    total: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    free: Vec<u16>,
    draining: VecDeque<(Instant, u16)>,
    used: usize,
    exhausted: u64,
}

impl Ports {
    /// The even ports of a range on one local address.
    pub(crate) fn new(ip: IpAddr, range: RangeInclusive<u16>, dscp: u8) -> Self {
        // The odd neighbour is for RTCP, so it has to lie in the range too.
        let last = *range.end();
        let free: Vec<u16> = range.filter(|port| port % 2 == 0 && *port > 0 && *port < last).collect();
        let total = free.len();
        let state =
            State { rng: StdRng::from_os_rng(), free, draining: VecDeque::new(), used: 0, exhausted: 0 };
        Self { ip, dscp, total, state: Mutex::new(state) }
    }

    /// A socket for RTCP, on the port above one that was given out.
    pub(crate) fn open_rtcp(&self, port: u16) -> io::Result<UdpSocket> {
        media_socket(SocketAddr::new(self.ip, port), self.dscp)
    }

    /// How many legs the range can carry.
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// A bound socket on a random free port.
    pub(crate) fn open(&self, now: Instant) -> Result<UdpSocket, PortError> {
        for _ in 0..TRIES_MAX {
            let Some(port) = self.take(now) else { break };
            let address = SocketAddr::new(self.ip, port);
            match media_socket(address, self.dscp) {
                Ok(socket) => return Ok(socket),
                // Another process has it: let it rest and try the next.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => self.release(port, true, now),
                Err(source) => {
                    self.release(port, false, now);
                    return Err(PortError::Bind { address, source });
                }
            }
        }
        self.lock().exhausted += 1;
        Err(PortError::Exhausted { total: self.total })
    }

    /// Gives a port back after its socket was closed.
    pub(crate) fn release(&self, port: u16, received_rtp: bool, now: Instant) {
        let mut state = self.lock();
        state.used = state.used.saturating_sub(1);
        if received_rtp {
            state.draining.push_back((now, port));
        } else {
            state.free.push(port);
        }
    }

    /// How the ports are used.
    pub(crate) fn usage(&self, now: Instant) -> PortUse {
        let mut state = self.lock();
        self.end_drains(&mut state, now);
        PortUse {
            used: state.used,
            draining: state.draining.len(),
            free: state.free.len(),
            exhausted: state.exhausted,
        }
    }

    fn take(&self, now: Instant) -> Option<u16> {
        let mut state = self.lock();
        self.end_drains(&mut state, now);
        if state.free.is_empty() {
            // The drain is a courtesy to the next caller; refusing the call would be none.
            let (_, port) = state.draining.pop_front()?;
            state.free.push(port);
        }
        let count = state.free.len();
        let index = state.rng.random_range(0..count);
        let port = state.free.swap_remove(index);
        state.used += 1;
        Some(port)
    }

    fn end_drains(&self, state: &mut State, now: Instant) {
        while let Some(&(since, port)) = state.draining.front() {
            if now.saturating_duration_since(since) < self.drain_time(state.free.len()) {
                break;
            }
            state.draining.pop_front();
            state.free.push(port);
        }
    }

    fn drain_time(&self, free: usize) -> Duration {
        let half = (self.total / 2).max(1);
        let share = u32::try_from((free.min(half) * 1000) / half).unwrap_or(1000);
        DRAIN_MAX * share / 1000
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket for RTP or RTCP: non-blocking, marked, with a receive buffer that one flood cannot turn into
/// megabytes.
fn media_socket(address: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER_BYTES)?;
    // The code point is the upper six bits of the traffic class (RFC 2474 §3).
    let class = i32::from(dscp) << 2;
    if address.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6TClass, &class)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4Tos, &class)?;
    }
    Ok(socket)
}

/// The longest rest of a port.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// Ports tried for one leg when other processes hold some of the range.
const TRIES_MAX: usize = 32;
/// What a stalled leg may cost the kernel.
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn ports(first: u16, last: u16) -> Ports {
        Ports::new(IpAddr::V4(Ipv4Addr::LOCALHOST), first..=last, 46)
    }

    #[test]
    fn only_even_ports_with_an_odd_neighbour_are_given() {
        assert_eq!(ports(41_001, 41_010).total(), 4);
        assert_eq!(ports(41_000, 41_003).total(), 2);
        assert_eq!(ports(0, 0).total(), 0);
    }

    #[test]
    fn a_port_that_received_rtp_rests_and_another_does_not() {
        let ports = ports(41_100, 41_131);
        let start = Instant::now();
        let taken: Vec<u16> = (0..2).filter_map(|_| ports.take(start)).collect();
        ports.release(taken[0], true, start);
        ports.release(taken[1], false, start);
        assert_eq!(ports.usage(start), PortUse { used: 0, draining: 1, free: 15, exhausted: 0 });
        let almost = start + Duration::from_millis(29_900);
        assert_eq!(ports.usage(almost).draining, 1);
        assert_eq!(ports.usage(start + DRAIN_MAX).draining, 0);
    }

    #[test]
    fn the_rest_shortens_as_free_ports_fall_and_ends_when_none_is_left() {
        let ports = ports(41_200, 41_215);
        let start = Instant::now();
        let taken: Vec<u16> = (0..8).filter_map(|_| ports.take(start)).collect();
        assert_eq!(taken.len(), 8);
        assert_eq!(ports.take(start), None);
        ports.release(taken[0], false, start);
        ports.release(taken[1], true, start);
        assert_eq!(ports.drain_time(1), Duration::from_millis(7500));
        assert_eq!(ports.usage(start + Duration::from_secs(7)).draining, 1);
        assert_eq!(ports.usage(start + Duration::from_secs(8)).draining, 0);
        let later = start + Duration::from_secs(8);
        assert!(ports.take(later).is_some() && ports.take(later).is_some());
        ports.release(taken[2], true, later);
        assert_eq!(ports.take(later), Some(taken[2]), "a resting port is better than no call");
    }

    #[test]
    fn exhaustion_is_an_error_and_counted() {
        let ports = ports(41_300, 41_303);
        let now = Instant::now();
        let held: Vec<_> = (0..2).map(|_| ports.open(now)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert!(matches!(ports.open(now), Err(PortError::Exhausted { total: 2 })));
        assert_eq!(ports.usage(now).exhausted, 1);
    }

    #[test]
    fn a_port_that_another_process_holds_is_passed_over() {
        let ports = ports(41_400, 41_403);
        let _other = UdpSocket::bind("127.0.0.1:41400");
        let socket = ports.open(Instant::now()).expect("the other port");
        assert_eq!(socket.local_addr().map(|a| a.port()).ok(), Some(41_402));
    }
}
