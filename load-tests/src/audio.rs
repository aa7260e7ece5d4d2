//! Audio both ways for many calls on one socket: sends 20 ms G.711 packets spread over the time, and watches what
//! comes back: order, pace by the kernel's time stamps, and, for some calls, the ringback's frequencies.

use std::{
    collections::HashMap,
    io::IoSliceMut,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::AsRawFd as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    cmsg_space,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt},
        time::TimeSpec,
    },
};
use serde::Serialize;

/// What all calls together received.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Totals {
    /// Packets received.
    pub(crate) packets: u64,
    /// Gaps, repetitions and disorder in sequence numbers.
    pub(crate) sequence_errors: u64,
    /// Calls with audio that received none.
    pub(crate) silent_calls: u64,
    /// Calls that were listened to.
    pub(crate) listened: u64,
    /// Of those, the ones in which the ringback was not heard.
    pub(crate) without_ringback: u64,
    /// How far packets strayed from 20 ms after the one before, in milliseconds; sorted in the report.
    #[serde(skip)]
    pub(crate) strays_ms: Vec<f32>,
}

/// The audio of all calls of a run.
#[derive(Debug)]
pub(crate) struct Audio {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Where the gateway is to send.
    pub(crate) local: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    slots: Vec<Mutex<HashMap<SocketAddr, Stream>>>,
    totals: Mutex<Totals>,
    stop: AtomicBool,
}

#[derive(Debug)]
struct Stream {
    sequence: u16,
    stamp: u32,
    source: u32,
    last: Option<(u16, Duration)>,
    packets: u64,
    errors: u64,
    strays_ms: Vec<f32>,
    recording: Option<Vec<u8>>,
}

impl Audio {
    /// Opens the socket and starts the sending and the receiving thread.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RcvBuf, &BUFFER_BYTES)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let local = socket.local_addr()?;
        let shared = Arc::new(Shared {
            socket,
            slots: (0..SLOTS).map(|_| Mutex::default()).collect(),
            totals: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let (sender, receiver) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![thread::spawn(move || send(&sender)), thread::spawn(move || receive(&receiver))];
        Ok(Self { shared, threads, local })
    }

    /// A call was answered: its audio goes to `remote` from now on.
    pub(crate) fn open(&self, remote: SocketAddr, number: u64, listen: bool) {
        let source = u32::try_from(number).unwrap_or(u32::MAX) ^ 0x4C6F_6164;
        let stream = Stream {
            sequence: source as u16,
            stamp: source.wrapping_mul(0x9E37_79B1),
            source,
            last: None,
            packets: 0,
            errors: 0,
            strays_ms: Vec::new(),
            recording: listen.then(Vec::new),
        };
        locked(self.shared.slot(remote)).insert(remote, stream);
    }

    /// The call is over.
    pub(crate) fn close(&self, remote: SocketAddr) {
        let Some(stream) = locked(self.shared.slot(remote)).remove(&remote) else { return };
        let mut totals = locked(&self.shared.totals);
        totals.packets += stream.packets;
        totals.sequence_errors += stream.errors;
        totals.silent_calls += u64::from(stream.packets == 0);
        totals.strays_ms.extend(&stream.strays_ms);
        if let Some(recording) = stream.recording {
            totals.listened += 1;
            totals.without_ringback += u64::from(!rings(&recording));
        }
    }

    /// Ends the threads and gives the totals.
    pub(crate) fn finish(self) -> Totals {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().ok();
        }
        std::mem::take(&mut locked(&self.shared.totals))
    }
}

impl Shared {
    /// Ports are even and handed out in order, so this spreads the calls over the 20 ms.
    fn slot(&self, remote: SocketAddr) -> &Mutex<HashMap<SocketAddr, Stream>> {
        &self.slots[usize::from(remote.port() / 2) % SLOTS]
    }
}

/// One slot a millisecond, on time by the clock and not by the last wake-up.
fn send(shared: &Shared) {
    let began = Instant::now();
    let mut packets = Vec::new();
    for tick in 1_u64.. {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        for (remote, stream) in locked(&shared.slots[(tick % SLOTS as u64) as usize]).iter_mut() {
            packets.push((*remote, stream.packet()));
        }
        for (remote, packet) in packets.drain(..) {
            shared.socket.send_to(&packet, remote).ok();
        }
        thread::sleep((began + Duration::from_millis(tick)).saturating_duration_since(Instant::now()));
    }
}

fn receive(shared: &Shared) {
    let mut buffer = [0_u8; 2048];
    let mut control = cmsg_space!(TimeSpec);
    while !shared.stop.load(Ordering::Relaxed) {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let descriptor = shared.socket.as_raw_fd();
        let Ok(message) =
            recvmsg::<SockaddrIn>(descriptor, &mut parts, Some(&mut control), MsgFlags::empty())
        else {
            continue;
        };
        let at = message.cmsgs().ok().into_iter().flatten().find_map(|part| match part {
            ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
            _ => None,
        });
        let (Some(at), Some(remote), length) = (at, message.address, message.bytes) else { continue };
        let remote = SocketAddr::V4(SocketAddrV4::new(remote.ip(), remote.port()));
        if let Some(stream) = locked(shared.slot(remote)).get_mut(&remote) {
            stream.take(&buffer[..length], at);
        }
    }
}

impl Stream {
    fn packet(&mut self) -> [u8; 172] {
        let mut packet = [0xFF_u8; 172];
        packet[0] = 0x80;
        packet[1] = 0;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.stamp.to_be_bytes());
        packet[8..12].copy_from_slice(&self.source.to_be_bytes());
        self.sequence = self.sequence.wrapping_add(1);
        self.stamp = self.stamp.wrapping_add(160);
        packet
    }

    fn take(&mut self, data: &[u8], at: Duration) {
        if data.len() < 12 || data[0] >> 6 != 2 {
            return;
        }
        let sequence = u16::from_be_bytes([data[2], data[3]]);
        self.packets += 1;
        if let Some((before, then)) = self.last {
            self.errors += u64::from(sequence != before.wrapping_add(1));
            let between = at.saturating_sub(then).as_secs_f32() * 1000.0;
            self.strays_ms.push((between - 20.0).abs());
        }
        self.last = Some((sequence, at));
        if let Some(recording) = self.recording.as_mut().filter(|recording| recording.len() < RECORDED) {
            recording.extend_from_slice(&data[12..]);
        }
    }
}

/// Whether 440 and 480 Hz hold most of the power of what was recorded.
fn rings(recording: &[u8]) -> bool {
    let samples: Vec<f64> = recording.iter().map(|octet| linear(*octet)).collect();
    let blocks: Vec<&[f64]> = samples.chunks_exact(320).collect();
    let held = blocks.iter().filter(|block| power(block, 440.0) + power(block, 480.0) > 0.8).count();
    !blocks.is_empty() && held * 2 > blocks.len()
}

/// µ-law to linear.
fn linear(octet: u8) -> f64 {
    let octet = !octet;
    let magnitude = ((i32::from(octet & 0x0F) << 3) + 0x84) << (octet >> 4 & 7);
    f64::from(if octet & 0x80 == 0 { magnitude - 0x84 } else { 0x84 - magnitude })
}

/// Goertzel: the share of the power at a frequency.
fn power(samples: &[f64], frequency: f64) -> f64 {
    let total: f64 = samples.iter().map(|sample| sample * sample).sum();
    let turn = 2.0 * (std::f64::consts::TAU * frequency / 8000.0).cos();
    let (before, last) =
        samples.iter().fold((0.0, 0.0), |(before, last), sample| (last, sample + turn * last - before));
    let energy = before * before + last * last - turn * before * last;
    if total < 1.0 { 0.0 } else { 2.0 * energy / (samples.len() as f64 * total) }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SLOTS: usize = 20;
const BUFFER_BYTES: usize = 8 << 20;
/// Octets recorded of a call that is listened to: 1.6 s, less than one ring.
const RECORDED: usize = 12_800;

#[cfg(test)]
mod tests {
    use super::{power, rings};

    #[test]
    fn silence_does_not_ring() {
        assert!(!rings(&[0xFF; 12_800]));
        assert!(!rings(&[]));
    }

    #[test]
    fn a_tone_is_found_at_its_own_frequency_only() {
        let tone: Vec<f64> =
            (0..320).map(|n| (std::f64::consts::TAU * 440.0 * f64::from(n) / 8000.0).sin()).collect();
        assert!(power(&tone, 440.0) > 0.9);
        assert!(power(&tone, 600.0) < 0.05);
    }
}
