//! RTP headers: what is written is read, what is malformed is refused, and numbers wrap.

use rtp_proto::rtp::{
    Extension, HEADER_LEN, Header, Packet, ParseError, PayloadType, PayloadTypes, RtpTimestamp,
    SequenceNumber, Ssrc, is_rtcp,
};

const HEADER: Header = Header {
    marker: true,
    payload_type: PayloadType::PCMA,
    sequence: SequenceNumber::new(0x1234),
    timestamp: RtpTimestamp::new(0x5678_9abc),
    ssrc: Ssrc::new(0xdead_beef),
};

/// Two contributing sources, an extension of one word, three bytes of payload, two of padding.
fn full() -> Vec<u8> {
    let mut bytes = HEADER.to_bytes().to_vec();
    bytes[0] = 0x80 | 0x20 | 0x10 | 2;
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2]);
    bytes.extend([0xbe, 0xde, 0, 1, 9, 8, 7, 6]);
    bytes.extend([b'a', b'b', b'c', 0, 2]);
    bytes
}

#[test]
fn a_plain_packet_is_read_as_it_was_written() {
    let mut buffer = [0; 64];
    let written = HEADER.write(b"sound", &mut buffer).unwrap();
    assert_eq!(
        written[..HEADER_LEN],
        [0x80, 0x88, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xad, 0xbe, 0xef]
    );
    let packet = Packet::parse(written).unwrap();
    assert_eq!(packet, Packet { header: HEADER, csrcs: &[], extension: None, payload: b"sound" });
    assert_eq!(HEADER.write(b"sound", &mut [0; 16]), None);
}

#[test]
fn sources_extension_and_padding_are_taken_off_the_payload() {
    let bytes = full();
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.header, HEADER);
    assert_eq!(packet.csrcs, [0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(packet.extension, Some(Extension { profile: 0xbede, data: &[9, 8, 7, 6] }));
    assert_eq!(packet.payload, b"abc");
}

#[test]
fn a_packet_that_is_all_padding_has_an_empty_payload() {
    let mut bytes = HEADER.to_bytes().to_vec();
    bytes[0] |= 0x20;
    bytes.extend([0, 0, 3]);
    assert_eq!(Packet::parse(&bytes).unwrap().payload, b"");
}

#[test]
fn a_datagram_cut_anywhere_in_its_header_is_refused() {
    let bytes = full();
    for len in 0..HEADER_LEN + 16 {
        assert_eq!(Packet::parse(&bytes[..len]), Err(ParseError::Short), "{len} bytes");
    }
}

#[test]
fn a_padding_count_of_none_or_too_many_is_refused() {
    for count in [0, 6, 255] {
        let mut bytes = full();
        *bytes.last_mut().unwrap() = count;
        assert_eq!(Packet::parse(&bytes), Err(ParseError::Padding), "{count}");
    }
    let mut bytes = HEADER.to_bytes().to_vec();
    bytes[0] |= 0x20;
    assert_eq!(Packet::parse(&bytes), Err(ParseError::Padding), "no byte for the count");
}

#[test]
fn an_extension_longer_than_the_datagram_is_refused() {
    let mut bytes = full();
    bytes[HEADER_LEN + 10] = 0xff;
    assert_eq!(Packet::parse(&bytes), Err(ParseError::Short));
}

#[test]
fn other_versions_than_2_are_refused() {
    for version in [0, 1, 3] {
        let mut bytes = HEADER.to_bytes().to_vec();
        bytes[0] = version << 6;
        assert_eq!(Packet::parse(&bytes), Err(ParseError::Version), "{version}");
    }
}

#[test]
fn sequence_numbers_and_timestamps_wrap() {
    let last = SequenceNumber::new(u16::MAX);
    assert_eq!(last.next(), SequenceNumber::new(0));
    assert_eq!(SequenceNumber::new(2).since(last), 3);
    assert_eq!(last.since(SequenceNumber::new(2)), -3);
    let late = RtpTimestamp::new(u32::MAX - 79);
    assert_eq!(late.advanced(160), RtpTimestamp::new(80));
    assert_eq!(late.advanced(160).since(late), 160);
    assert_eq!(late.since(late.advanced(160)), -160);
}

#[test]
fn payload_types_are_seven_bits_and_sets_of_them_hold_both_ends() {
    assert_eq!(PayloadType::new(128), None);
    let [first, last] = [0, 127].map(|value| PayloadType::new(value).unwrap());
    let set: PayloadTypes = [first, last].into_iter().collect();
    assert!(set.contains(first) && set.contains(last));
    assert!(!set.contains(PayloadType::PCMA) && !PayloadTypes::NONE.contains(first));
}

#[test]
fn rtcp_is_told_by_its_second_byte() {
    for (second, expected) in [(191, false), (192, true), (200, true), (223, true), (224, false), (0, false)]
    {
        assert_eq!(is_rtcp(&[0x80, second, 0, 0]), expected, "{second}");
    }
    assert!(!is_rtcp(&[0x80]));
}
