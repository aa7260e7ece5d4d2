//! Encrypted streams: keys in offers and answers (RFC 4568), and what is made of odd ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use rand::{SeedableRng, rngs::StdRng};
use sip_proto::sdp::{
    self, CryptoSuite, KeyIdentifier, LocalMedia, Negotiated, NegotiationError, Srtp, SrtpKeys,
};

#[path = "support/messages.rs"]
mod messages;

type Verdict = Result<(String, Negotiated), NegotiationError>;

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
const CM_80: &str = "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";
const CM_32: &str = "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:HhscGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQAf\r\n";
const GCM_128: &str = "a=crypto:30 AEAD_AES_128_GCM inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==\r\n";
const GCM_256: &str = "a=crypto:4 AEAD_AES_256_GCM inline:\
    AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKis=\r\n";

fn local(srtp: Srtp) -> LocalMedia {
    LocalMedia { srtp, ..messages::local() }
}

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn stream(protocol: &str, lines: &[&str]) -> String {
    format!("m=audio 4000 {protocol} 0\r\n{}", lines.concat())
}

fn answered(srtp: Srtp, streams: &[String], in_use: Option<SrtpKeys>, seed: u64) -> Verdict {
    let offer = format!("{HEAD}{}", streams.concat());
    sdp::answer(&sdp::read(offer.as_bytes()).unwrap(), &local(srtp), in_use, &mut rng(seed))
}

fn lines<'t>(text: &'t str, prefix: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.starts_with(prefix)).collect()
}

#[test]
fn the_strongest_suite_offered_is_answered_by_its_tag_and_a_key_of_our_own() {
    use CryptoSuite::{AeadAes128Gcm, AeadAes256Gcm, AesCm128HmacSha1Tag32, AesCm128HmacSha1Tag80};
    for (offered, suite, start) in [
        (&[CM_32, CM_80, GCM_128, GCM_256][..], AeadAes256Gcm, "a=crypto:4 AEAD_AES_256_GCM inline:"),
        (&[CM_32, GCM_128, CM_80], AeadAes128Gcm, "a=crypto:30 AEAD_AES_128_GCM inline:"),
        (&[CM_32, CM_80], AesCm128HmacSha1Tag80, "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:"),
        (&[CM_32], AesCm128HmacSha1Tag32, "a=crypto:2 AES_CM_128_HMAC_SHA1_32 inline:"),
    ] {
        let (text, agreed) = answered(Srtp::Allowed, &[stream("RTP/SAVP", offered)], None, 1).unwrap();
        let keys = agreed.srtp.unwrap();
        assert_eq!((keys.theirs.suite(), keys.ours.suite(), keys.key_identifier), (suite, suite, None));
        assert_eq!(keys.theirs.key_and_salt()[..4].len(), 4);
        assert_ne!(keys.theirs.key_and_salt(), keys.ours.key_and_salt(), "a key of our own");
        assert_eq!(keys.ours.key_and_salt().len(), suite.key_len());
        let crypto = lines(&text, "a=crypto:");
        assert!(crypto.len() == 1 && crypto[0].starts_with(start), "{text}");
        assert_eq!(lines(&text, "m="), ["m=audio 30000 RTP/SAVP 0"]);
    }
}

#[test]
fn the_profile_is_repeated_as_offered() {
    for protocol in ["RTP/SAVP", "RTP/SAVPF", "rtp/savp"] {
        let (text, agreed) = answered(Srtp::Required, &[stream(protocol, &[CM_80])], None, 1).unwrap();
        assert_eq!(lines(&text, "m="), [format!("m=audio 30000 {protocol} 0")]);
        assert!(agreed.srtp.is_some());
    }
}

#[test]
fn what_a_trunk_allows_decides() {
    let clear = || stream("RTP/AVP", &[]);
    let safe = || stream("RTP/SAVP", &[CM_80]);
    let opportunistic = || stream("RTP/AVP", &[CM_80]);
    let verdict = |srtp, streams: &[String]| {
        answered(srtp, streams, None, 1).map(|(text, agreed)| {
            let taken =
                text.lines().filter(|line| line.starts_with("m=")).position(|m| !m.contains(" 0 RTP"));
            (taken.unwrap(), agreed.srtp.is_some())
        })
    };
    use NegotiationError::{Clear, NoAudio, NoUsableKey};
    for (srtp, offer, wanted) in [
        (Srtp::Off, vec![clear()], Ok((0, false))),
        (Srtp::Off, vec![safe()], Err(NoAudio)),
        (Srtp::Off, vec![safe(), clear()], Ok((1, false))),
        (Srtp::Off, vec![opportunistic()], Ok((0, false))),
        (Srtp::Allowed, vec![clear()], Ok((0, false))),
        (Srtp::Allowed, vec![clear(), safe()], Ok((1, true))),
        (Srtp::Allowed, vec![opportunistic()], Ok((0, true))),
        (Srtp::Allowed, vec![stream("RTP/SAVP", &[])], Err(NoUsableKey)),
        (Srtp::Allowed, vec![stream("UDP/TLS/RTP/SAVPF", &[CM_80])], Err(NoAudio)),
        (Srtp::Required, vec![safe()], Ok((0, true))),
        (Srtp::Required, vec![clear(), safe()], Ok((1, true))),
        (Srtp::Required, vec![clear()], Err(Clear)),
        (Srtp::Required, vec![opportunistic()], Err(Clear)),
        (
            Srtp::Required,
            vec![stream("RTP/SAVP", &["a=crypto:1 NEW inline:AAAA\r\n"]), clear()],
            Err(NoUsableKey),
        ),
    ] {
        assert_eq!(verdict(srtp, &offer), wanted, "{srtp:?} {offer:?}");
    }
}

#[test]
fn odd_lines_are_passed_over_and_the_others_still_count() {
    let taken = |odd: &[&str]| {
        let lines: Vec<&str> = odd.iter().copied().chain([CM_32]).collect();
        answered(Srtp::Allowed, &[stream("RTP/SAVP", &lines)], None, 1)
            .unwrap()
            .1
            .srtp
            .unwrap()
            .theirs
            .suite()
    };
    for odd in [
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:***not base64***\r\n",
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODw==\r\n",
        "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n",
        &CM_80.replace("\r\n", " UNENCRYPTED_SRTP\r\n"),
        &CM_80.replace("\r\n", " KDR=4\r\n"),
        &CM_80.replace("\r\n", "|2^99\r\n"),
        "a=crypto:\r\n",
        "a=crypto\r\n",
    ] {
        assert_eq!(taken(&[odd]), CryptoSuite::AesCm128HmacSha1Tag32, "{odd}");
    }
    let twice = CM_80.replace("crypto:7", "crypto:30");
    assert_eq!(
        taken(&[GCM_128, &twice]),
        CryptoSuite::AesCm128HmacSha1Tag32,
        "a tag used twice names no line"
    );
    let leading = twice.replace("crypto:30", "crypto:030");
    assert_eq!(taken(&[GCM_128, &leading]), CryptoSuite::AesCm128HmacSha1Tag32, "the same number");
}

#[test]
fn a_key_identifier_is_told_and_not_repeated() {
    let line = CM_80.replace("\r\n", "|2^31|1:4\r\n");
    let (text, agreed) = answered(Srtp::Allowed, &[stream("RTP/SAVP", &[&line])], None, 1).unwrap();
    assert_eq!(agreed.srtp.unwrap().key_identifier, Some(KeyIdentifier { value: 1, len: 4 }));
    assert!(!lines(&text, "a=crypto:")[0].contains('|'), "{text}");
}

#[test]
fn our_key_stays_as_long_as_theirs_and_is_never_used_for_another() {
    let (_, first) = answered(Srtp::Allowed, &[stream("RTP/SAVP", &[CM_80])], None, 1).unwrap();
    let again = |lines: &[&str]| {
        answered(Srtp::Allowed, &[stream("RTP/SAVP", lines)], first.srtp, 2).unwrap().1.srtp.unwrap()
    };
    assert_eq!(Some(again(&[CM_80])), first.srtp);
    let renumbered = CM_80.replace("crypto:7", "crypto:1");
    assert_eq!(Some(again(&[&renumbered])), first.srtp, "a tag is only a name");
    for other in [CM_80.replace("AAEC", "BAEC"), CM_80.replace("\r\n", "|1:4\r\n"), GCM_128.to_owned()] {
        assert_ne!(again(&[&other]).ours, first.srtp.unwrap().ours, "{other}");
    }
    let (_, fresh) = answered(Srtp::Allowed, &[stream("RTP/SAVP", &[CM_80])], None, 2).unwrap();
    assert_ne!(fresh.srtp, first.srtp, "another call");
}

#[test]
fn our_own_offer_is_encrypted_where_that_is_required_and_its_answer_names_a_line_of_it() {
    for srtp in [Srtp::Off, Srtp::Allowed] {
        let text = sdp::offer(&local(srtp), &mut rng(3));
        assert_eq!(lines(&text, "m="), ["m=audio 30000 RTP/AVP 0 8 101"]);
        assert!(lines(&text, "a=crypto").is_empty());
    }
    let text = sdp::offer(&local(Srtp::Required), &mut rng(3));
    assert_eq!(lines(&text, "m="), ["m=audio 30000 RTP/SAVP 0 8 101"]);
    let crypto = lines(&text, "a=crypto:");
    for (line, (tag, suite)) in crypto.iter().zip((1..).zip(CryptoSuite::ALL)) {
        assert!(line.starts_with(&format!("a=crypto:{tag} {} inline:", suite.name())), "{line}");
    }
    assert_eq!(crypto.len(), 4);
    let offer = sdp::read(text.as_bytes()).unwrap();
    let (reply, theirs) = sdp::answer(&offer, &local(Srtp::Allowed), None, &mut rng(4)).unwrap();
    let accepted = |reply: &str| {
        sdp::accept_answer(&sdp::read(reply.as_bytes()).unwrap(), &offer, &local(Srtp::Required))
    };
    let ours = accepted(&reply).unwrap().srtp.unwrap();
    let theirs = theirs.srtp.unwrap();
    assert_eq!((ours.ours, ours.theirs), (theirs.theirs, theirs.ours));
    let other_tag = reply.replace("crypto:1 ", "crypto:2 ");
    assert_eq!(accepted(&other_tag), Err(NegotiationError::NoUsableKey), "not what that line offered");
    let unknown = reply.replace("crypto:1 ", "crypto:9 ");
    assert_eq!(accepted(&unknown), Err(NegotiationError::NoUsableKey));
    assert_eq!(accepted(&reply.replace("RTP/SAVP", "RTP/AVP")), Err(NegotiationError::Clear));
    let bare: String =
        reply.lines().filter(|line| !line.contains("crypto")).map(|l| format!("{l}\r\n")).collect();
    assert_eq!(accepted(&bare), Err(NegotiationError::NoUsableKey));
}

#[test]
fn a_clear_offer_of_ours_is_not_answered_by_an_encrypted_stream() {
    let text = sdp::offer(&local(Srtp::Allowed), &mut rng(3));
    let offer = sdp::read(text.as_bytes()).unwrap();
    let reply = format!("{HEAD}{}", stream("RTP/SAVP", &[CM_80]));
    let verdict = sdp::accept_answer(&sdp::read(reply.as_bytes()).unwrap(), &offer, &local(Srtp::Allowed));
    assert_eq!(verdict, Err(NegotiationError::NoAudio));
}

#[test]
fn an_offer_within_an_encrypted_session_stays_encrypted_with_new_keys() {
    for (protocol, srtp) in
        [("RTP/SAVP", Srtp::Allowed), ("RTP/AVP", Srtp::Allowed), ("RTP/SAVPF", Srtp::Required)]
    {
        let (last, agreed) = answered(srtp, &[stream(protocol, &[CM_80])], None, 1).unwrap();
        let again = sdp::offer_again(&sdp::read(last.as_bytes()).unwrap(), &local(srtp), &mut rng(5));
        assert_eq!(lines(&again, "m="), [format!("m=audio 30000 {protocol} 0 8 101")]);
        assert_eq!(lines(&again, "a=crypto:").len(), 4);
        let old = lines(&last, "a=crypto:")[0].rsplit(':').next().unwrap();
        assert!(agreed.srtp.is_some() && !again.contains(old), "{again}");
    }
    let (last, _) = answered(Srtp::Allowed, &[stream("RTP/AVP", &[])], None, 1).unwrap();
    let again = sdp::offer_again(&sdp::read(last.as_bytes()).unwrap(), &local(Srtp::Allowed), &mut rng(5));
    assert!(lines(&again, "a=crypto").is_empty(), "a clear session stays clear");
}
