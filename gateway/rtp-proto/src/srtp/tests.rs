//! Packets that other implementations made: those of RFC 7714, and those of a widely used library.

use super::{KeyIdentifier, MasterKey, OVERHEAD_MAX, Receiver, Sender, SrtpError, Suite, keys::SessionKeys};
use crate::rtp::{HEADER_LEN, Ssrc};

pub(super) fn hex(digits: &str) -> Vec<u8> {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    digits.as_bytes().chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect()
}

fn counting(len: usize) -> Vec<u8> {
    (0x10..).take(len).collect()
}

fn master(suite: Suite) -> MasterKey {
    MasterKey::new(suite, &counting(suite.key_len().wrapping_add(suite.salt_len()))).unwrap()
}

fn rtp_of(sequence: u16) -> Vec<u8> {
    let [s0, s1] = sequence.to_be_bytes();
    let head = [0x90, 0x80, s0, s1, 0, 0, 0, 160, 0xca, 0xfe, 0xba, 0xbe];
    let extension = [0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0];
    let payload: Vec<u8> = (0..20).collect();
    [&head[..], &extension, &payload].concat()
}

fn report() -> Vec<u8> {
    let words: Vec<u8> = (0..24).collect();
    [&hex("81c90007cafebabe")[..], &words].concat()
}

fn sealed(
    packet: &[u8],
    protect: impl FnOnce(&mut [u8], usize) -> Result<usize, SrtpError>,
) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = [packet, &[0; OVERHEAD_MAX]].concat();
    let len = protect(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn opened(
    packet: &[u8],
    unprotect: impl FnOnce(&mut [u8]) -> Result<usize, SrtpError>,
) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let len = unprotect(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

/// The keys under which RFC 7714 §16 and §17 protect; they stand for session keys there.
fn gcm_keys(suite: Suite) -> SessionKeys {
    let key: Vec<u8> = (0..).take(suite.key_len()).collect();
    SessionKeys::given(&key, b"Quid pro quo", &[])
}

const GALLIA: &str =
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
const GALLIA_PROTECTED: [(Suite, &str); 2] = [
    (
        Suite::AeadAes128Gcm,
        "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
    ),
    (
        Suite::AeadAes256Gcm,
        "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
    ),
];

#[test]
fn rtp_in_gcm_is_that_of_rfc_7714_section_16() {
    let plain = hex(GALLIA);
    for (suite, protected) in GALLIA_PROTECTED {
        let (keys, master) = (gcm_keys(suite), master(suite));
        let mut sender = Sender::given(&master, Ssrc::new(0x5501_a0b2), [&keys, &keys], 0);
        let packet = sealed(&plain, |buffer, len| sender.protect_rtp(buffer, len)).unwrap();
        assert_eq!(packet, [&plain[..HEADER_LEN], &hex(protected)].concat(), "{suite:?}");
        let mut receiver = Receiver::given(&master, None, [&keys, &keys]);
        assert_eq!(opened(&packet, |packet| receiver.unprotect_rtp(packet)), Ok(plain.clone()), "{suite:?}");
    }
}

const MARS: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
const MARS_PROTECTED: [(Suite, &str); 2] = [
    (
        Suite::AeadAes128Gcm,
        "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4",
    ),
    (
        Suite::AeadAes256Gcm,
        "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
    ),
];
/// Authenticated, but in the clear (RFC 7714 §17.3).
const MARS_TAGGED: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef841dd9683dd78ec92ae58790125f62b3000005d4";

#[test]
fn rtcp_in_gcm_is_that_of_rfc_7714_section_17() {
    let plain = hex(MARS);
    for (suite, protected) in MARS_PROTECTED {
        let (keys, master) = (gcm_keys(suite), master(suite));
        let mut sender = Sender::given(&master, Ssrc::new(0x4d61_7273), [&keys, &keys], 0x5d3);
        let packet = sealed(&plain, |buffer, len| sender.protect_rtcp(buffer, len)).unwrap();
        assert_eq!(packet, hex(protected), "{suite:?}");
        let mut receiver = Receiver::given(&master, None, [&keys, &keys]);
        assert_eq!(opened(&packet, |packet| receiver.unprotect_rtcp(packet)), Ok(plain.clone()), "{suite:?}");
    }
    let (keys, master) = (gcm_keys(Suite::AeadAes128Gcm), master(Suite::AeadAes128Gcm));
    let mut tagged = hex(MARS_TAGGED);
    let receiver = || Receiver::given(&master, None, [&keys, &keys]);
    assert_eq!(opened(&tagged, |packet| receiver().unprotect_rtcp(packet)), Ok(plain));
    tagged[20] ^= 1;
    let changed = opened(&tagged, |packet| receiver().unprotect_rtcp(packet));
    assert_eq!(changed, Err(SrtpError::Authentication), "in the clear, but not to be changed");
}

/// What libsrtp makes of the packets above under the counting key: RTP after its sequence number wrapped, and
/// the first RTCP packet; without the parts that stay in the clear.
const OF_LIBSRTP: [(Suite, &str, &str); 4] = [
    (
        Suite::AeadAes256Gcm,
        "76ed992db5b658bbfcbfd4bf9932f64784b46f6b1e014c205929e929cff820eaa3395e94",
        "113e6a8470fac926a1492832e6f0f379e7304c9ca7003e259479d32ca729336b764370e2294ab21180000001",
    ),
    (
        Suite::AeadAes128Gcm,
        "112d9bd3825ed5dc1844fc62ac1bb5451f1f73b33290a2abd375eb0d39e55cc90d70f342",
        "ae9e9eba79cdff691beda81514f2e0b0cc94e183254cbc2b4e786a48056a6409968cb355d541845980000001",
    ),
    (
        Suite::AesCm128HmacSha1Tag80,
        "d94fe0429f6ffe3f4f3525ce3037fb0ffb3aace7cf2ac2de092b76e0fe1d",
        "6be8f7f763778ec8d4fced3516ea8063b9490b6018a7b72780000001955211ec826e9e1faba3",
    ),
    (
        Suite::AesCm128HmacSha1Tag32,
        "d94fe0429f6ffe3f4f3525ce3037fb0ffb3aace7cf2ac2de",
        "6be8f7f763778ec8d4fced3516ea8063b9490b6018a7b72780000001955211ec826e9e1faba3",
    ),
];

#[test]
fn every_suite_speaks_with_libsrtp_from_the_master_key_on() {
    for (suite, rtp, rtcp) in OF_LIBSRTP {
        let master = master(suite);
        let mut sender = Sender::new(&master, Ssrc::new(0xcafe_babe));
        let mut receiver = Receiver::new(&master, None);
        for sequence in [40_000, 65_535, 0] {
            let plain = rtp_of(sequence);
            let packet = sealed(&plain, |buffer, len| sender.protect_rtp(buffer, len)).unwrap();
            if sequence == 0 {
                assert_eq!(packet, [&plain[..20], &hex(rtp)].concat(), "{suite:?}");
            }
            assert_eq!(opened(&packet, |p| receiver.unprotect_rtp(p)), Ok(plain), "{suite:?} {sequence}");
        }
        let packet = sealed(&report(), |buffer, len| sender.protect_rtcp(buffer, len)).unwrap();
        assert_eq!(packet, [&report()[..8], &hex(rtcp)].concat(), "{suite:?}");
        assert_eq!(opened(&packet, |p| receiver.unprotect_rtcp(p)), Ok(report()), "{suite:?}");
    }
}

#[test]
fn a_key_identifier_is_taken_out_and_another_one_refused() {
    for suite in Suite::ALL {
        let master = master(suite);
        let mut sender = Sender::new(&master, Ssrc::new(0xcafe_babe));
        let identifier = hex("0102");
        let named = |packet: Vec<u8>, tag_len: usize| {
            let behind = if suite.tag_is_last() { tag_len } else { 0 };
            let (front, tag) = packet.split_at(packet.len() - behind);
            [front, &identifier, tag].concat()
        };
        let rtp = sealed(&rtp_of(1), |buffer, len| sender.protect_rtp(buffer, len)).unwrap();
        let rtcp = sealed(&report(), |buffer, len| sender.protect_rtcp(buffer, len)).unwrap();
        let (rtp, rtcp) = (named(rtp, suite.rtp_tag_len()), named(rtcp, suite.rtcp_tag_len()));
        for (value, fits) in [(0x0102, true), (0x0103, false)] {
            let mut receiver = Receiver::new(&master, KeyIdentifier::new(value, 2));
            let wanted = |plain| if fits { Ok(plain) } else { Err(SrtpError::KeyIdentifier) };
            assert_eq!(opened(&rtp, |p| receiver.unprotect_rtp(p)), wanted(rtp_of(1)), "{suite:?}");
            assert_eq!(opened(&rtcp, |p| receiver.unprotect_rtcp(p)), wanted(report()), "{suite:?}");
        }
    }
}

#[test]
fn a_sender_ends_when_its_rtcp_indices_are_used_up() {
    let (suite, keys) = (Suite::AeadAes128Gcm, gcm_keys(Suite::AeadAes128Gcm));
    let mut sender = Sender::given(&master(suite), Ssrc::new(0xcafe_babe), [&keys, &keys], (1 << 31) - 2);
    assert!(sealed(&report(), |buffer, len| sender.protect_rtcp(buffer, len)).is_ok());
    let spent = sealed(&report(), |buffer, len| sender.protect_rtcp(buffer, len));
    assert_eq!(spent, Err(SrtpError::IndexUsed));
}
