//! What SRTP costs: nanoseconds to protect and to open a packet of 172 bytes, by suite; the best of ten runs.

use std::{hint::black_box, time::Instant};

use rtp_proto::{
    rtp::{Header, PayloadType, RtpTimestamp, SequenceNumber, Ssrc},
    srtp::{MasterKey, OVERHEAD_MAX, Receiver, Sender, Suite},
};

const LEN: usize = 172;
const PACKETS: u16 = 20_000;

fn main() {
    for suite in Suite::ALL {
        let runs: Vec<_> = (0..10).filter_map(|_| run(suite)).collect();
        let best = |side: fn(&(f64, f64)) -> f64| runs.iter().map(side).fold(f64::INFINITY, f64::min);
        println!("{suite:?}: protect {:.0} ns, open {:.0} ns", best(|run| run.0), best(|run| run.1));
    }
}

fn run(suite: Suite) -> Option<(f64, f64)> {
    let master = MasterKey::new(suite, &vec![7; suite.key_len() + suite.salt_len()])?;
    let source = Ssrc::new(1);
    let (mut sender, mut receiver) = (Sender::new(&master, source), Receiver::new(&master, None));
    let mut packets: Vec<_> = (0..PACKETS)
        .map(|number| {
            let mut packet = [0xff; LEN + OVERHEAD_MAX];
            let header = Header {
                marker: false,
                payload_type: PayloadType::PCMU,
                sequence: SequenceNumber::new(number),
                timestamp: RtpTimestamp::new(u32::from(number) * 160),
                ssrc: source,
            };
            packet[..12].copy_from_slice(&header.to_bytes());
            packet
        })
        .collect();
    let start = Instant::now();
    for packet in &mut packets {
        sender.protect_rtp(black_box(packet), LEN).ok()?;
    }
    let protect = start.elapsed();
    let start = Instant::now();
    for packet in &mut packets {
        receiver.unprotect_rtp(black_box(&mut packet[..LEN + suite.rtp_tag_len()])).ok()?;
    }
    let open = start.elapsed();
    let each = |time: std::time::Duration| time.as_secs_f64() * 1e9 / f64::from(PACKETS);
    Some((each(protect), each(open)))
}
