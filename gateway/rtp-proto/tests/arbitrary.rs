//! Whatever a peer or a file holds, nothing panics, and what is read is bounded by what was given.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use rtp_proto::{
    dtmf::EventReceiver,
    g711::Law,
    inband::Detector,
    relay::{Content, Line, Rewrite},
    rtcp,
    rtp::{Header, Packet, PayloadType, RtpTimestamp, SequenceNumber, Ssrc},
    stats::Reception,
    wav::Wav,
};

fn headed(head: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200).prop_map(move |tail| [head, &tail].concat())
}

proptest! {
    #[test]
    fn rtp_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..100), first in 0x80..=0xbf_u8) {
        for bytes in [bytes.clone(), [&[first], &bytes[..]].concat()] {
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() + packet.csrcs.len() + 12 <= bytes.len());
            }
        }
    }

    #[test]
    fn rtcp_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 199..=207_u8, count in 0x80..=0xbf_u8) {
        for bytes in [bytes.clone(), [&[count, kind, 0, 6], &bytes[..]].concat()] {
            prop_assert!(rtcp::packets(&bytes).count() <= bytes.len() / 4 + 1);
        }
    }

    #[test]
    fn wav_of_any_bytes(bytes in headed(b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0"), other in headed(b"RIFF\0\0\0\0WAVE")) {
        for bytes in [bytes, other] {
            if let Ok(wav) = Wav::parse(&bytes) {
                prop_assert!(wav.samples.len() <= bytes.len());
                prop_assert!(!wav.samples.is_empty() && !wav.into_mono().is_empty());
            }
        }
    }

    #[test]
    fn a_relayed_line_uses_no_number_twice_and_never_goes_back_at_a_change(
        steps in prop::collection::vec(
            (0..12_u8, -8..20_i16, any::<u16>(), -3000..20_000_i32, any::<bool>(), 0..3000_u64), 0..200)
    ) {
        let (mut now, mut rewrite) = (Instant::now(), Rewrite::default());
        let mut line = Line {
            next: SequenceNumber::new(u16::MAX - 5),
            sent_until: RtpTimestamp::new(u32::MAX - 5),
            clock: RtpTimestamp::new(u32::MAX - 5),
        };
        let (mut source, mut said, mut used) = (Ssrc::new(0), HashSet::new(), HashSet::new());
        let (mut sequence, mut timestamp) = (0_u16, 0_u32);
        for (what, step, jump, units, marker, pause) in steps {
            now += Duration::from_millis(pause);
            line.clock = line.clock.advanced(pause as u32 * 8);
            sequence = if what == 0 { jump } else { sequence.wrapping_add_signed(step) };
            timestamp = timestamp.wrapping_add_signed(units);
            if what == 1 {
                source = Ssrc::new(source.value() + 1);
            }
            let content = if what < 4 { Content::Event { duration: jump } } else { Content::Audio };
            let header = Header {
                marker,
                payload_type: PayloadType::PCMU,
                sequence: SequenceNumber::new(sequence),
                timestamp: RtpTimestamp::new(timestamp),
                ssrc: source,
            };
            // Copies come through as copies, and a number that came before may have been left out then.
            if !said.insert((source.value(), sequence)) {
                continue;
            }
            match what {
                // Something of our own.
                2 => {
                    rewrite.reset();
                    prop_assert!(used.insert(line.next.value()));
                    line.next = line.next.next();
                    line.sent_until = line.sent_until.advanced(160);
                }
                3 => rewrite.withhold(now, &header, content),
                _ => {
                    let Some(out) = rewrite.pass(now, &header, content, &line) else { continue };
                    prop_assert!(used.insert(out.sequence.value()), "{} again", out.sequence.value());
                    if out.marker && !marker && content == Content::Audio {
                        prop_assert_eq!(out.sequence, line.next);
                        prop_assert!(out.timestamp.since(line.sent_until) >= 0);
                    }
                    if out.sequence.since(line.next) >= 0 {
                        line.next = out.sequence.next();
                    }
                    let until = out.timestamp.advanced(160);
                    if until.since(line.sent_until) > 0 {
                        line.sent_until = until;
                    }
                }
            }
        }
    }

    #[test]
    fn events_of_any_bytes_make_at_most_two_presses_a_packet(
        packets in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..6), 0..300_u64), 0..50)
    ) {
        let (mut now, mut receiver) = (Instant::now(), EventReceiver::new());
        for (timestamp, payload, pause) in packets {
            now += Duration::from_millis(pause);
            let mut heard = 0;
            receiver.handle_timeout(now, |_| heard += 1);
            prop_assert!(heard <= 1);
            receiver.handle(now, Ssrc::new(1), RtpTimestamp::new(timestamp), &payload, |_| heard += 1);
            prop_assert!(heard <= 2);
        }
    }

    #[test]
    fn any_sequence_of_packets_is_counted(
        packets in prop::collection::vec((0..3_u32, any::<u16>(), any::<u32>()), 1..200)
    ) {
        let (now, mut reception) = (Instant::now(), Reception::default());
        let count = packets.len() as u64;
        for (ssrc, sequence, timestamp) in packets {
            reception.handle(now, &Header {
                marker: false,
                payload_type: PayloadType::PCMU,
                sequence: SequenceNumber::new(sequence),
                timestamp: RtpTimestamp::new(timestamp),
                ssrc: Ssrc::new(ssrc),
            });
        }
        prop_assert!(reception.report().is_some());
        prop_assert!(reception.summary().received <= count);
    }

    #[test]
    fn any_audio_goes_through_the_detector(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut heard = 0;
        Detector::new().handle_g711(Law::Mu, &bytes, |_| heard += 1);
        prop_assert!(heard <= bytes.len() / 204);
    }
}
