//! Symmetric RTP: the caller is learned, strangers are not.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rtp_proto::{
    latch::{Latch, PROBATION, SILENCE, Verdict, WINDOW, is_public},
    rtp::{Header, PayloadType, PayloadTypes, RtpTimestamp, SequenceNumber, Ssrc},
};

const CALLER: &str = "198.18.0.1:4000";
const STRANGER: &str = "198.18.9.9:6000";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn header(ssrc: u32, sequence: u16) -> Header {
    Header {
        marker: false,
        payload_type: PayloadType::PCMU,
        sequence: SequenceNumber::new(sequence),
        timestamp: RtpTimestamp::new(0),
        ssrc: Ssrc::new(ssrc),
    }
}

fn latch(signalled: &str) -> Latch {
    Latch::new(address(signalled), PayloadTypes::NONE.with(PayloadType::PCMU))
}

/// Packets in sequence from one source; the last verdict.
fn talk(latch: &mut Latch, now: Instant, from: &str, ssrc: u32, first: u16, count: u16) -> Verdict {
    let mut verdict = Verdict::Dropped;
    for at in 0..count {
        verdict = latch.handle(now, address(from), &header(ssrc, first.wrapping_add(at)));
    }
    verdict
}

fn locked(now: Instant) -> Latch {
    let mut latch = latch(CALLER);
    assert_eq!(talk(&mut latch, now, CALLER, 1, 0, 3), Verdict::Latched(address(CALLER)));
    latch
}

#[test]
fn packets_in_sequence_complete_the_probation_over_the_wrap() {
    let (now, mut latch) = (Instant::now(), latch(CALLER));
    assert_eq!(latch.destination(), Some(address(CALLER)));
    let count = u16::from(PROBATION);
    assert_eq!(talk(&mut latch, now, CALLER, 1, 65_534, count - 1), Verdict::Probation);
    assert!(!latch.is_latched());
    let last = 65_534_u16.wrapping_add(count - 1);
    assert_eq!(talk(&mut latch, now, CALLER, 1, last, 1), Verdict::Latched(address(CALLER)));
    assert_eq!(talk(&mut latch, now, CALLER, 1, last + 1, 1), Verdict::Accepted);
}

#[test]
fn a_gap_or_another_ssrc_begins_the_probation_anew() {
    let (now, mut latch) = (Instant::now(), latch(CALLER));
    talk(&mut latch, now, CALLER, 1, 0, 2);
    assert_eq!(talk(&mut latch, now, CALLER, 1, 9, 2), Verdict::Probation);
    assert_eq!(talk(&mut latch, now, CALLER, 2, 11, 2), Verdict::Probation);
    assert_eq!(talk(&mut latch, now, CALLER, 2, 13, 1), Verdict::Latched(address(CALLER)));
}

#[test]
fn behind_a_public_address_only_its_host_is_learned_though_from_any_port() {
    let (now, mut latch) = (Instant::now(), latch("8.8.8.8:4000"));
    assert_eq!(talk(&mut latch, now, "9.9.9.9:4000", 1, 0, 9), Verdict::Dropped);
    assert_eq!(latch.wrong_source_count(), 9);
    assert_eq!(talk(&mut latch, now, "8.8.8.8:7777", 1, 0, 3), Verdict::Latched(address("8.8.8.8:7777")));
    assert_eq!(latch.destination(), Some(address("8.8.8.8:7777")));
}

#[test]
fn behind_a_private_address_the_source_of_the_nat_is_learned() {
    let (now, mut latch) = (Instant::now(), latch("192.168.1.2:4000"));
    assert_eq!(talk(&mut latch, now, "8.8.8.8:900", 1, 0, 3), Verdict::Latched(address("8.8.8.8:900")));
}

#[test]
fn a_stranger_before_the_caller_does_not_keep_him_from_his_probation() {
    let (now, mut latch) = (Instant::now(), latch("192.168.1.2:4000"));
    for round in 0..3 {
        assert!(!matches!(talk(&mut latch, now, "8.8.8.8:900", 7, round * 5, 1), Verdict::Latched(_)));
        let verdict = talk(&mut latch, now, "192.168.1.2:4000", 1, round, 1);
        assert_eq!(matches!(verdict, Verdict::Latched(_)), round == 2);
    }
}

#[test]
fn once_learned_strangers_are_dropped_and_counted_even_with_the_callers_ssrc() {
    let now = Instant::now();
    let mut latch = locked(now);
    assert_eq!(talk(&mut latch, now, STRANGER, 1, 3, 50), Verdict::Dropped);
    assert_eq!(talk(&mut latch, now + SILENCE * 2, STRANGER, 1, 3, 50), Verdict::Dropped);
    assert_eq!((latch.destination(), latch.wrong_source_count()), (Some(address(CALLER)), 100));
}

#[test]
fn after_silence_the_same_host_and_ssrc_may_come_from_another_port() {
    let now = Instant::now();
    let (moved, quiet) = ("198.18.0.1:4999", now + SILENCE);
    let mut latch = locked(now);
    assert_eq!(talk(&mut latch, quiet - Duration::from_millis(1), moved, 1, 3, 5), Verdict::Dropped);
    assert!(latch.is_open(quiet));
    assert_eq!(talk(&mut latch, quiet, moved, 2, 3, 5), Verdict::Dropped);
    assert_eq!(talk(&mut latch, quiet, moved, 1, 3, 3), Verdict::Latched(address(moved)));
}

#[test]
fn signalling_opens_a_window_in_which_another_source_may_be_learned() {
    let now = Instant::now();
    let types = PayloadTypes::NONE.with(PayloadType::PCMU);
    let mut latch = locked(now);
    latch.signalled(now, address(CALLER), types);
    assert_eq!(talk(&mut latch, now, CALLER, 1, 3, 1), Verdict::Accepted);
    assert_eq!(talk(&mut latch, now + WINDOW, "198.18.0.1:5000", 2, 0, 3), Verdict::Dropped);
    latch.signalled(now, address(CALLER), types);
    let other = "198.18.0.1:5000";
    assert_eq!(talk(&mut latch, now, other, 2, 0, 3), Verdict::Latched(address(other)));
}

#[test]
fn signalling_of_another_host_forgets_the_known_one() {
    let now = Instant::now();
    let mut latch = locked(now);
    latch.signalled(now, address("8.8.4.4:10"), PayloadTypes::NONE.with(PayloadType::PCMU));
    assert_eq!((latch.is_latched(), latch.destination()), (false, Some(address("8.8.4.4:10"))));
    assert_eq!(talk(&mut latch, now, CALLER, 1, 3, 5), Verdict::Dropped);
}

#[test]
fn payload_types_that_were_not_negotiated_are_dropped_from_anyone() {
    let now = Instant::now();
    let mut latch = locked(now);
    let alaw = Header { payload_type: PayloadType::PCMA, ..header(1, 3) };
    assert_eq!(latch.handle(now, address(CALLER), &alaw), Verdict::Dropped);
    assert_eq!((latch.wrong_payload_count(), latch.wrong_source_count()), (1, 0));
}

#[test]
fn nothing_is_sent_to_an_address_that_means_hold() {
    assert_eq!(latch("0.0.0.0:4000").destination(), None);
    assert_eq!(latch("198.18.0.1:0").destination(), None);
    assert_eq!(latch("[::]:4000").destination(), None);
}

#[test]
fn a_mapped_address_is_the_same_as_the_plain_one() {
    let (now, mut latch) = (Instant::now(), latch("8.8.8.8:4000"));
    let verdict = talk(&mut latch, now, "[::ffff:8.8.8.8]:4000", 1, 0, 3);
    assert_eq!(verdict, Verdict::Latched(address("8.8.8.8:4000")));
}

#[test]
fn public_addresses_are_told_from_local_ones() {
    for text in ["8.8.8.8", "100.63.0.1", "2606:4700::1"] {
        assert!(is_public(text.parse().expect(text)), "{text}");
    }
    for text in [
        "10.0.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.0.1",
        "224.0.0.1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ] {
        assert!(!is_public(text.parse().expect(text)), "{text}");
    }
}
