//! Whatever a peer or a file holds, nothing panics, and what is read is bounded by what was given.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use rtp_proto::{
    dtmf::EventReceiver,
    g711::Law,
    inband::Detector,
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
