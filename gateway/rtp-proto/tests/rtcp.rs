//! RTCP: compounds are read as written, lengths are checked, and the arithmetic is that of RFC 3550.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::time::Duration;

use rtp_proto::{
    rtcp::{
        Compound, DoesNotFit, NtpTime, Packet, ParseError, ReportBlock, SenderInfo, delay_units, packets,
    },
    rtp::{RtpTimestamp, Ssrc},
};

const INFO: SenderInfo = SenderInfo {
    ntp: NtpTime::from_unix(Duration::from_millis(1_500)),
    rtp: RtpTimestamp::new(4_000_000_000),
    packet_count: 77,
    octet_count: 12_320,
};

const BLOCK: ReportBlock = ReportBlock {
    ssrc: Ssrc::new(9),
    fraction_lost: 64,
    cumulative_lost: -3,
    highest_sequence: 0x0002_0001,
    jitter: 21,
    last_report: 0x0001_8000,
    delay: 65_536,
};

fn compound(cname: &str) -> Compound<'_> {
    Compound { ssrc: Ssrc::new(5), sender: Some(INFO), reception: Some(BLOCK), cname, bye: false }
}

fn written(compound: &Compound<'_>) -> Vec<u8> {
    compound.write(&mut [0; 512]).unwrap().to_vec()
}

#[test]
fn a_sender_report_with_name_and_bye_is_read_as_it_was_written() {
    let bytes = written(&Compound { bye: true, ..compound("abc@host") });
    let read: Vec<_> = packets(&bytes).collect::<Result<_, _>>().unwrap();
    let [Packet::SenderReport { ssrc, info, blocks }, name, bye] = &read[..] else { panic!("{read:?}") };
    assert_eq!((*ssrc, *info), (Ssrc::new(5), INFO));
    assert_eq!(blocks.collect::<Vec<_>>(), [BLOCK]);
    assert_eq!(*name, Packet::SourceDescription { cname: b"abc@host" });
    assert_eq!(*bye, Packet::Bye { ssrcs: &[0, 0, 0, 5] });
}

#[test]
fn without_sending_it_is_a_receiver_report_and_without_reception_it_has_no_block() {
    let bytes = written(&Compound { sender: None, ..compound("c") });
    let Some(Ok(Packet::ReceiverReport { blocks, .. })) = packets(&bytes).next() else { panic!("no RR") };
    assert_eq!(blocks.collect::<Vec<_>>(), [BLOCK]);
    let bytes = written(&Compound { sender: None, reception: None, ..compound("c") });
    assert_eq!(bytes[..4], [0x80, 201, 0, 1]);
    let Some(Ok(Packet::ReceiverReport { blocks, .. })) = packets(&bytes).next() else { panic!("no RR") };
    assert_eq!(blocks.count(), 0);
}

#[test]
fn names_of_every_length_leave_whole_words_and_an_end_of_items() {
    for len in 0..=255 {
        let name = "n".repeat(len);
        let bytes = written(&compound(&name));
        assert_eq!(bytes.len() % 4, 0, "{len}");
        assert_eq!(bytes.last(), Some(&0), "{len}");
        let named = packets(&bytes).nth(1).unwrap().unwrap();
        assert_eq!(named, Packet::SourceDescription { cname: name.as_bytes() }, "{len}");
    }
    assert_eq!(compound(&"n".repeat(256)).write(&mut [0; 512]), Err(DoesNotFit));
}

#[test]
fn a_buffer_that_is_too_short_is_refused_at_any_length() {
    let whole = written(&Compound { bye: true, ..compound("name") });
    for len in 0..whole.len() {
        let mut buffer = vec![0; len];
        assert_eq!(Compound { bye: true, ..compound("name") }.write(&mut buffer), Err(DoesNotFit), "{len}");
    }
}

#[test]
fn a_compound_that_is_cut_is_read_up_to_the_cut_and_no_further() {
    let whole = written(&compound("name"));
    for len in 1..whole.len() {
        let read: Vec<_> = packets(&whole[..len]).collect();
        let first = 4 + 4 + 20 + 24;
        if len == first {
            assert!(read.len() == 1 && read[0].is_ok());
        } else {
            assert_eq!(read.last(), Some(&Err(ParseError::Short)), "{len}");
            assert_eq!(read.len(), if len < first { 1 } else { 2 }, "{len}");
        }
    }
}

#[test]
fn a_count_of_blocks_or_sources_beyond_the_packet_is_refused() {
    for (kind, words) in [(200, 6_u8), (201, 1), (203, 1)] {
        let mut bytes = vec![0x82, kind, 0, words];
        bytes.resize(4 + usize::from(words) * 4, 0);
        assert_eq!(packets(&bytes).next(), Some(Err(ParseError::Short)), "{kind}");
    }
}

#[test]
fn padding_and_versions_are_checked_and_unknown_kinds_passed_over() {
    let padded = |count: u8| vec![0xa0, 204, 0, 1, 0, 0, 0, count];
    assert_eq!(packets(&padded(4)).next(), Some(Ok(Packet::Other { kind: 204 })));
    for count in [0, 5, 255] {
        assert_eq!(packets(&padded(count)).next(), Some(Err(ParseError::Padding)), "{count}");
    }
    assert_eq!(packets(&[0x40, 200, 0, 0]).next(), Some(Err(ParseError::Version)));
    let mut bytes = vec![0x80, 205, 0, 0];
    bytes.extend(written(&compound("c")));
    assert_eq!(packets(&bytes).filter(Result::is_ok).count(), 3);
}

#[test]
fn cumulative_loss_keeps_its_sign_in_24_bits_and_stays_at_their_ends() {
    for (lost, expected) in [
        (-1, -1),
        (0x7f_ffff, 0x7f_ffff),
        (0x80_0000, 0x7f_ffff),
        (i32::MAX, 0x7f_ffff),
        (-0x80_0000, -0x80_0000),
        (i32::MIN, -0x80_0000),
    ] {
        let block = ReportBlock { cumulative_lost: lost, ..BLOCK };
        let bytes = written(&Compound { reception: Some(block), ..compound("c") });
        let Some(Ok(Packet::SenderReport { mut blocks, .. })) = packets(&bytes).next() else {
            panic!("no SR")
        };
        assert_eq!(blocks.next().unwrap().cumulative_lost, expected, "{lost}");
    }
}

#[test]
fn ntp_time_counts_from_1900_in_fractions_of_two_to_the_32() {
    assert_eq!(NtpTime::from_unix(Duration::ZERO).bits(), 2_208_988_800 << 32);
    let half = NtpTime::from_unix(Duration::from_millis(1500));
    assert_eq!(half.bits(), (2_208_988_801 << 32) | 0x8000_0000);
    assert_eq!(half.middle(), (2_208_988_801_u64 as u32) << 16 | 0x8000);
    // 7 February 2036: the era of 32-bit seconds ends, and the count begins anew.
    assert_eq!(NtpTime::from_unix(Duration::from_secs((1 << 32) - 2_208_988_800)).bits(), 0);
}

#[test]
fn the_round_trip_is_that_of_the_example_in_rfc_3550() {
    // §6.4.1, figure 2: 0xb710:8000 - 0x0005:4000 - 0xb705:2000 = 0x0006:2000, 6.125 s.
    let block = ReportBlock { last_report: 0xb705_2000, delay: 0x0005_4000, ..BLOCK };
    let now = |middle: u32| {
        let seconds = 2_208_988_800_u64;
        let wanted = (u64::from(middle) << 16).wrapping_sub(seconds << 32) & 0xffff_ffff_ffff;
        NtpTime::from_unix(Duration::new(
            wanted >> 32,
            (((wanted & 0xffff_ffff) * 1_000_000_000) >> 32) as u32,
        ))
    };
    assert_eq!(now(0xb710_8000).middle(), 0xb710_8000);
    assert_eq!(block.round_trip(now(0xb710_8000)), Some(Duration::from_millis(6125)));
    assert_eq!(ReportBlock { last_report: 0, ..block }.round_trip(now(0xb710_8000)), None);
    let ahead = ReportBlock { delay: 0x000b_6001, ..block };
    assert_eq!(ahead.round_trip(now(0xb710_8000)), Some(Duration::ZERO), "a tick too few");
    let nonsense = ReportBlock { delay: 0x00ff_0000, ..block };
    assert_eq!(nonsense.round_trip(now(0xb710_8000)), None);
}

#[test]
fn the_delay_since_a_report_counts_in_65536ths_and_saturates() {
    assert_eq!(delay_units(Duration::from_millis(5250)), 0x0005_4000);
    assert_eq!(delay_units(Duration::from_secs(1 << 40)), u32::MAX);
}
