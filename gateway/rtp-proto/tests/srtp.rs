//! SRTP as a stream goes: losses, wraps, replays, forgeries.

#![expect(clippy::unwrap_used, reason = "a test fails where a packet cannot be made")]

use proptest::prelude::*;
use rtp_proto::{
    rtp::{Header, PayloadType, RtpTimestamp, SequenceNumber, Ssrc},
    srtp::{INDEX_LEN, KeyIdentifier, MasterKey, OVERHEAD_MAX, Receiver, Sender, SrtpError, Suite},
};

const SOURCE: Ssrc = Ssrc::new(0x1234_5678);

fn master(suite: Suite, seed: u8) -> MasterKey {
    MasterKey::new(suite, &vec![seed; suite.key_len() + suite.salt_len()]).unwrap()
}

fn pair(suite: Suite) -> (Sender, Receiver) {
    let master = master(suite, 7);
    (Sender::new(&master, SOURCE), Receiver::new(&master, None))
}

fn plain(source: Ssrc, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        marker: false,
        payload_type: PayloadType::PCMU,
        sequence: SequenceNumber::new(sequence),
        timestamp: RtpTimestamp::new(u32::from(sequence) * 160),
        ssrc: source,
    };
    [&header.to_bytes(), payload].concat()
}

fn protected(sender: &mut Sender, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = [packet, &[0; OVERHEAD_MAX]].concat();
    let len = sender.protect_rtp(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn unprotected(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let len = receiver.unprotect_rtp(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

fn any_suite() -> impl Strategy<Value = Suite> {
    prop::sample::select(Suite::ALL.to_vec())
}

proptest! {
    #[test]
    fn what_is_protected_is_opened_over_wraps_losses_and_disorder(
        suite in any_suite(),
        // A sender begins below 2^15, so that a loss before the first wrap cannot be mistaken for none.
        first in 0..0x8000_u64,
        steps in prop::collection::vec((1..9000_u64, 0..100_u64), 1..60),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (mut sender, mut receiver) = pair(suite);
        let mut index = first;
        for (step, back) in steps {
            index += step;
            // One ahead, then one from before it that was late.
            let late = index.saturating_sub(back % step).max(first);
            for index in [index, late] {
                let packet = plain(SOURCE, index as u16, &payload);
                match protected(&mut sender, &packet) {
                    Ok(safe) => {
                        prop_assert_eq!(safe.len(), packet.len() + suite.rtp_tag_len());
                        prop_assert_eq!(unprotected(&mut receiver, &safe), Ok(packet));
                        prop_assert_eq!(unprotected(&mut receiver, &safe), Err(SrtpError::Replayed));
                    }
                    Err(error) => {
                        prop_assert_eq!(error, SrtpError::IndexUsed);
                        prop_assert_eq!(back % step, 0, "the same packet again");
                    }
                }
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_and_forgotten(
        suite in any_suite(),
        payload in prop::collection::vec(any::<u8>(), 1..100),
        bit in any::<prop::sample::Index>(),
    ) {
        let (mut sender, mut receiver) = pair(suite);
        let packet = plain(SOURCE, 5, &payload);
        let safe = protected(&mut sender, &packet).unwrap();
        let mut forged = safe.clone();
        let bit = bit.index(forged.len() * 8);
        forged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(unprotected(&mut receiver, &forged).is_err());
        prop_assert_eq!(unprotected(&mut receiver, &safe), Ok(packet));
    }

    #[test]
    fn a_report_is_opened_once_and_no_flipped_bit_passes(
        suite in any_suite(),
        words in prop::collection::vec(any::<u32>(), 0..20),
        bit in any::<prop::sample::Index>(),
    ) {
        let (mut sender, mut receiver) = pair(suite);
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let packet = [&[0x80, 201, 0, words.len() as u8 + 1][..], &SOURCE.value().to_be_bytes(), &body].concat();
        let mut safe = [&packet[..], &[0; OVERHEAD_MAX]].concat();
        let len = sender.protect_rtcp(&mut safe, packet.len()).unwrap();
        prop_assert_eq!(len, packet.len() + suite.rtcp_tag_len() + INDEX_LEN);
        safe.truncate(len);
        let mut forged = safe.clone();
        let bit = bit.index(len * 8);
        forged[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(receiver.unprotect_rtcp(&mut forged).is_err());
        let mut first = safe.clone();
        let len = receiver.unprotect_rtcp(&mut first).unwrap();
        prop_assert_eq!(&first[..len], &packet[..]);
        prop_assert_eq!(receiver.unprotect_rtcp(&mut safe), Err(SrtpError::Replayed));
    }

    #[test]
    fn whatever_bytes_come_nothing_panics_and_nothing_passes(
        suite in any_suite(),
        bytes in prop::collection::vec(any::<u8>(), 0..120),
        first in 0x80..=0xbf_u8,
        identifier in 0..5_usize,
    ) {
        let master = master(suite, 7);
        let mut sender = Sender::new(&master, SOURCE);
        let mut receiver = Receiver::new(&master, KeyIdentifier::new(1, identifier));
        for mut bytes in [bytes.clone(), [&[first], &bytes[..]].concat()] {
            prop_assert!(receiver.unprotect_rtp(&mut bytes).is_err());
            prop_assert!(receiver.unprotect_rtcp(&mut bytes).is_err());
            let len = bytes.len();
            prop_assert_eq!(sender.protect_rtp(&mut bytes, len + 1), Err(SrtpError::Malformed));
            prop_assert!(sender.protect_rtp(&mut bytes, len).is_err());
            prop_assert!(sender.protect_rtcp(&mut bytes, len).is_err());
        }
    }
}

#[test]
fn an_index_is_never_used_for_two_contents() {
    for suite in Suite::ALL {
        let (mut sender, _) = pair(suite);
        assert!(protected(&mut sender, &plain(SOURCE, 9, b"one")).is_ok());
        assert_eq!(protected(&mut sender, &plain(SOURCE, 9, b"two")), Err(SrtpError::IndexUsed));
        assert!(protected(&mut sender, &plain(SOURCE, 500, b"three")).is_ok());
        assert_eq!(protected(&mut sender, &plain(SOURCE, 10, b"late")), Err(SrtpError::IndexUsed));
        assert_eq!(protected(&mut sender, &plain(Ssrc::new(1), 11, b"x")), Err(SrtpError::OtherSource));
    }
}

#[test]
fn a_refused_packet_leaves_buffer_and_index_as_they_were() {
    for suite in Suite::ALL {
        let (mut sender, mut receiver) = pair(suite);
        let packet = plain(SOURCE, 3, b"sound");
        let mut tight = packet.clone();
        assert_eq!(sender.protect_rtp(&mut tight, packet.len()), Err(SrtpError::NoRoom));
        assert_eq!(tight, packet);
        let safe = protected(&mut sender, &packet).unwrap();
        assert_eq!(unprotected(&mut receiver, &safe), Ok(packet));
    }
}

#[test]
fn sources_are_counted_apart_and_the_longest_silent_one_is_forgotten_first() {
    let master = master(Suite::AeadAes256Gcm, 7);
    let mut receiver = Receiver::new(&master, None);
    let packet_of = |source: u32| {
        let source = Ssrc::new(source);
        protected(&mut Sender::new(&master, source), &plain(source, 40_000, b"sound")).unwrap()
    };
    for source in 0..16 {
        assert!(unprotected(&mut receiver, &packet_of(source)).is_ok());
    }
    for source in 0..16 {
        assert_eq!(unprotected(&mut receiver, &packet_of(source)), Err(SrtpError::Replayed), "{source}");
    }
    assert!(unprotected(&mut receiver, &packet_of(16)).is_ok());
    for source in 1..17 {
        assert_eq!(unprotected(&mut receiver, &packet_of(source)), Err(SrtpError::Replayed), "{source}");
    }
}

#[test]
fn a_stranger_cannot_move_the_rollover_counter_or_make_a_source_known() {
    let (mut sender, mut receiver) = pair(Suite::AesCm128HmacSha1Tag80);
    let stranger = master(Suite::AesCm128HmacSha1Tag80, 8);
    let mut stranger = Sender::new(&stranger, SOURCE);
    let forged = protected(&mut stranger, &plain(SOURCE, 60_000, b"noise")).unwrap();
    assert_eq!(unprotected(&mut receiver, &forged), Err(SrtpError::Authentication));
    for sequence in 1..4 {
        let packet = plain(SOURCE, sequence, b"sound");
        let safe = protected(&mut sender, &packet).unwrap();
        assert_eq!(unprotected(&mut receiver, &safe), Ok(packet));
    }
}

#[test]
fn keys_have_the_length_of_their_suite_and_are_not_shown() {
    for (suite, len) in Suite::ALL.into_iter().zip([44, 28, 30, 30]) {
        assert_eq!(suite.key_len() + suite.salt_len(), len);
        assert!(MasterKey::new(suite, &vec![0xab; len]).is_some());
        assert!(MasterKey::new(suite, &vec![0xab; len - 1]).is_none());
        assert!(MasterKey::new(suite, &vec![0xab; len + 1]).is_none());
        let shown = format!("{:?} {:?}", master(suite, 0xab), pair(suite));
        assert!(!shown.to_lowercase().contains("ab, ab") && !shown.contains("171"), "{shown}");
    }
    assert!(KeyIdentifier::new(256, 1).is_none() && KeyIdentifier::new(0, 129).is_none());
    assert!(KeyIdentifier::new(u128::MAX, 128).is_some());
}
