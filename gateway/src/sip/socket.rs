//! A UDP socket that sends and receives in batches: one system call for up to [`BATCH`] datagrams.
//!
//! Owned by one SIP thread; never blocks. The kernel's drop counter comes along with the datagrams, so
//! that a full receive buffer is seen instead of guessed.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, setsockopt, sockopt,
    },
};

/// Datagrams taken or given in one system call.
pub(crate) const BATCH: usize = 64;

/// The largest SIP datagram there can be: a UDP payload.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// The socket with its receive buffers.
pub(crate) struct BatchSocket {
    socket: UdpSocket,
    local: SocketAddr,
    buffers: Vec<Vec<u8>>,
    dropped: u32,
}

impl std::fmt::Debug for BatchSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchSocket").field("local", &self.local).finish_non_exhaustive()
    }
}

/// The kernel's view of a batch, made once for each thread: it is large, and must be zeroed when it is made.
pub(crate) struct Batches {
    receive: MultiHeaders<SockaddrStorage>,
    send: MultiHeaders<SockaddrStorage>,
}

impl Batches {
    pub(crate) fn new() -> Self {
        let control = cmsg_space!(u32, nix::sys::time::TimeSpec);
        Self {
            receive: MultiHeaders::preallocate(BATCH, Some(control)),
            send: MultiHeaders::preallocate(BATCH, None),
        }
    }
}

/// What is asked of the kernel for a SIP socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketOptions {
    /// Bytes wanted for each of the two socket buffers.
    pub(crate) buffer_bytes: usize,
    /// Differentiated services code point of what we send, 0 to 63.
    pub(crate) dscp: u8,
}

impl BatchSocket {
    /// Takes a bound socket over: non-blocking, large buffers, marked packets, drop counter on.
    pub(crate) fn new(socket: UdpSocket, options: SocketOptions) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        // FORCE needs CAP_NET_ADMIN; the plain form is capped by the kernel's rmem_max, which is no error.
        if setsockopt(&socket, sockopt::RcvBufForce, &options.buffer_bytes).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &options.buffer_bytes)?;
        }
        setsockopt(&socket, sockopt::SndBuf, &options.buffer_bytes)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        mark(&socket, options.dscp)?;
        let local = socket.local_addr()?;
        Ok(Self { socket, local, buffers: vec![vec![0; DATAGRAM_BYTES_MAX]; BATCH], dropped: 0 })
    }

    /// Where it is bound.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// For polling.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Datagrams the kernel dropped so far because the receive buffer was full.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Hands every datagram of one batch to `each`, with the time at which the kernel had it; the number of datagrams, 0 when none waits.
    pub(crate) fn receive(
        &mut self,
        batches: &mut Batches,
        mut each: impl FnMut(SocketAddr, Option<jiff::Timestamp>, &[u8]),
    ) -> io::Result<usize> {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let received = match recvmmsg(
            self.socket.as_raw_fd(),
            &mut batches.receive,
            slices.iter_mut(),
            MsgFlags::MSG_DONTWAIT,
            None,
        ) {
            Ok(received) => received,
            // ECONNREFUSED is the echo of an ICMP error for something sent earlier.
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut count = 0;
        for message in received {
            count += 1;
            let mut arrived = None;
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::RxqOvfl(total) => self.dropped = total,
                    ControlMessageOwned::ScmTimestampns(at) => {
                        let nanos = i32::try_from(at.tv_nsec()).unwrap_or(0);
                        arrived = jiff::Timestamp::new(at.tv_sec(), nanos).ok();
                    }
                    _ => {}
                }
            }
            let Some(peer) = message.address.as_ref().and_then(socket_addr) else { continue };
            if let Some(bytes) = message.iovs().next() {
                each(peer, arrived, bytes);
            }
        }
        Ok(count)
    }

    /// Sends datagrams in batches. What the kernel does not take now is left to the protocol's
    /// retransmissions, as a lost datagram is; the number not sent.
    pub(crate) fn send<'a>(
        &self,
        batches: &mut Batches,
        datagrams: impl ExactSizeIterator<Item = (SocketAddr, &'a [u8])>,
    ) -> usize {
        let total = datagrams.len();
        if total == 0 {
            return 0;
        }
        let mut slices = Vec::with_capacity(total);
        let mut addresses = Vec::with_capacity(total);
        for (to, bytes) in datagrams {
            slices.push([IoSlice::new(bytes)]);
            addresses.push(Some(SockaddrStorage::from(to)));
        }
        let mut sent = 0;
        for (slices, addresses) in slices.chunks(BATCH).zip(addresses.chunks(BATCH)) {
            sent += self.send_batch(batches, slices, addresses);
        }
        total - sent
    }

    fn send_batch(
        &self,
        batches: &mut Batches,
        slices: &[[IoSlice<'_>; 1]],
        addresses: &[Option<SockaddrStorage>],
    ) -> usize {
        let mut done = 0;
        let mut sent = 0;
        // A refused destination stops the kernel's batch at that datagram: step over it and go on.
        while let (Some(slices), Some(addresses)) = (slices.get(done..), addresses.get(done..)) {
            if slices.is_empty() {
                break;
            }
            match sendmmsg(
                self.socket.as_raw_fd(),
                &mut batches.send,
                slices,
                addresses,
                [],
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(results) => {
                    let count = results.count();
                    sent += count;
                    done += count.max(1);
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => done += 1,
            }
        }
        sent
    }
}

fn mark(socket: &UdpSocket, dscp: u8) -> nix::Result<()> {
    let class = i32::from(dscp) << 2;
    if socket.local_addr().is_ok_and(|local| local.is_ipv6()) {
        setsockopt(socket, sockopt::Ipv6TClass, &class)
    } else {
        setsockopt(socket, sockopt::Ipv4Tos, &class)
    }
}

fn socket_addr(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound() -> BatchSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        BatchSocket::new(socket, SocketOptions { buffer_bytes: 1 << 20, dscp: 24 }).unwrap()
    }

    #[test]
    fn more_than_a_batch_goes_through_in_order() {
        let (sender, mut receiver) = (bound(), bound());
        let texts: Vec<String> = (0..150).map(|i| format!("datagram {i}")).collect();
        let mut batches = Batches::new();
        let unsent = sender.send(&mut batches, texts.iter().map(|text| (receiver.local(), text.as_bytes())));
        assert_eq!(unsent, 0);
        let mut seen = Vec::new();
        while seen.len() < texts.len() {
            let count = receiver
                .receive(&mut batches, |from, at, bytes| {
                    assert!(at.is_some(), "the kernel stamps");
                    assert_eq!(from, sender.local());
                    seen.push(String::from_utf8(bytes.to_vec()).unwrap());
                })
                .unwrap();
            assert!(count > 0, "loopback delivers at once, got {} of {}", seen.len(), texts.len());
        }
        assert_eq!(seen, texts);
    }

    #[test]
    fn a_refused_destination_does_not_hold_the_others_up() {
        let (sender, mut receiver) = (bound(), bound());
        let nowhere: SocketAddr = "[::1]:9".parse().unwrap();
        let mut batches = Batches::new();
        let unsent = sender
            .send(&mut batches, [(nowhere, &b"lost"[..]), (receiver.local(), &b"heard"[..])].into_iter());
        assert_eq!(unsent, 1);
        let mut seen = Vec::new();
        receiver.receive(&mut batches, |_, _, bytes| seen.push(bytes.to_vec())).unwrap();
        assert_eq!(seen, [b"heard".to_vec()]);
    }
}
