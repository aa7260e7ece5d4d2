//! Offers as carriers, exchanges and browsers send them, and what we make of each.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail loudly")]

use rand::{SeedableRng, rngs::StdRng};
use sip_proto::sdp::{
    self, Codec, Direction, Negotiated, NegotiationError, accept_answer, answer, offer, offer_again, read,
};

#[path = "support/messages.rs"]
mod messages;

use messages::local;

type Verdict = Result<(String, Negotiated), NegotiationError>;

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn answered(name: &str) -> Verdict {
    let (_, bytes) = messages::stored("fuzz/corpus/sdp")
        .into_iter()
        .find(|(file, _)| file.ends_with(&format!("/{name}.sdp")))
        .unwrap_or_else(|| panic!("no offer {name}"));
    answer(&read(&bytes).unwrap(), &local(), None, &mut rng())
}

fn sections(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("m=")).collect()
}

/// One offer: codec, payload type, telephone-event, packet length, direction, RTP and RTCP addresses.
type Wanted =
    (&'static str, Codec, u8, Option<u8>, u8, Direction, Option<&'static str>, Option<&'static str>);

#[rustfmt::skip]
const TAKEN: [Wanted; 15] = [
    ("border-router", Codec::Pcmu, 0, Some(101), 20, Direction::SendRecv, Some("192.0.2.52:17044"), Some("192.0.2.52:17045")),
    ("cloud-carrier", Codec::Pcmu, 0, Some(101), 20, Direction::SendRecv, Some("192.0.2.53:18250"), Some("192.0.2.53:18251")),
    ("open-pbx", Codec::Pcma, 8, Some(101), 20, Direction::SendRecv, Some("192.0.2.61:12004"), Some("192.0.2.61:12005")),
    ("switch", Codec::Pcmu, 0, Some(101), 20, Direction::SendRecv, Some("192.0.2.62:29874"), Some("192.0.2.62:29875")),
    ("fax-beside-audio", Codec::Pcma, 8, None, 20, Direction::SendRecv, Some("192.0.2.63:4000"), Some("192.0.2.63:4001")),
    ("ipv6", Codec::Pcmu, 0, Some(101), 20, Direction::SendRecv, Some("[2001:db8::64]:6000"), Some("[2001:db8::65]:6007")),
    ("hold-sendonly", Codec::Pcmu, 0, Some(96), 20, Direction::RecvOnly, Some("192.0.2.65:5000"), Some("192.0.2.65:5001")),
    ("hold-inactive", Codec::Pcmu, 0, Some(96), 20, Direction::Inactive, Some("192.0.2.65:5000"), Some("192.0.2.65:5001")),
    ("hold-zero", Codec::Pcmu, 0, Some(96), 20, Direction::RecvOnly, None, None),
    ("hold-session-level", Codec::Pcmu, 0, Some(96), 20, Direction::RecvOnly, Some("192.0.2.65:5000"), Some("192.0.2.65:5001")),
    ("secure-or-plain", Codec::Pcmu, 0, Some(101), 20, Direction::SendRecv, Some("192.0.2.66:5000"), Some("192.0.2.66:5001")),
    ("secure-only", Codec::Pcmu, 0, Some(101), 20, Direction::SendRecv, Some("192.0.2.66:5000"), Some("192.0.2.66:5001")),
    ("video-and-second-audio", Codec::Pcma, 97, None, 30, Direction::SendRecv, Some("192.0.2.67:7004"), Some("192.0.2.67:7005")),
    ("host-name-and-big-version", Codec::Pcmu, 0, None, 20, Direction::SendRecv, None, None),
    ("latin1-no-rtpmap", Codec::Pcma, 8, None, 20, Direction::SendRecv, Some("192.0.2.68:8000"), Some("192.0.2.68:8001")),
];

#[test]
fn what_real_senders_offer_is_taken_as_meant() {
    for (name, codec, payload_type, event, ptime, direction, rtp, rtcp) in TAKEN {
        let (_, agreed) = answered(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            (agreed.codec, agreed.payload_type, agreed.telephone_event),
            (codec, payload_type, event),
            "{name}"
        );
        assert_eq!((agreed.ptime_ms, agreed.direction), (ptime, direction), "{name}");
        assert_eq!(agreed.remote, rtp.map(|address| address.parse().unwrap()), "{name}");
        assert_eq!(agreed.rtcp, rtcp.map(|address| address.parse().unwrap()), "{name}");
    }
}

#[test]
fn what_cannot_be_taken_says_why() {
    for (name, wanted) in [
        ("browser", NegotiationError::NoAudio),
        ("fax-only", NegotiationError::NoAudio),
        ("no-common-codec", NegotiationError::NoCommonCodec),
    ] {
        assert_eq!(answered(name).err(), Some(wanted), "{name}");
    }
}

#[test]
fn every_stream_keeps_its_place_in_the_answer() {
    let (text, _) = answered("video-and-second-audio").unwrap();
    assert_eq!(
        sections(&text),
        [
            "m=video 0 RTP/AVP 96",
            "m=audio 0 RTP/AVP 4 18",
            "m=audio 30000 RTP/AVP 97",
            "m=text 0 RTP/AVP 99",
            "m=message 0 TCP/MSRP *"
        ]
    );
    let (text, _) = answered("secure-or-plain").unwrap();
    assert_eq!(sections(&text), ["m=audio 30000 RTP/SAVP 0 101", "m=audio 0 RTP/AVP 0 101"]);
    let (text, _) = answered("host-name-and-big-version").unwrap();
    assert!(text.contains("t=3034423619 3042462419\r\n"), "the times are the offer's: {text}");
    let (text, _) = answered("odd-video-address").unwrap();
    assert_eq!(sections(&text), ["m=audio 30000 RTP/AVP 0", "m=video 0 RTP/AVP 31"]);
}

#[test]
fn keys_of_a_secure_stream_can_be_read_as_received() {
    let stored = messages::stored("fuzz/corpus/sdp");
    let (_, bytes) = stored.iter().find(|(file, _)| file.ends_with("/secure-only.sdp")).unwrap();
    let session = read(bytes).unwrap();
    let keys: Vec<_> = session.media.iter().flat_map(|media| media.crypto.clone()).collect();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.contains("inline:")), "{keys:?}");
}

#[test]
fn an_answer_reverses_hold_and_repeats_the_dynamic_numbers() {
    let (text, _) = answered("hold-sendonly").unwrap();
    assert!(text.contains("m=audio 30000 RTP/AVP 0 96\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-15\r\n"), "{text}");
    assert!(text.ends_with("a=recvonly\r\n"), "{text}");
}

#[test]
fn media_is_never_sent_to_many() {
    for address in ["224.2.1.1/127", "255.255.255.255"] {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        );
        let (_, agreed) = answer(&read(text.as_bytes()).unwrap(), &local(), None, &mut rng()).unwrap();
        assert_eq!((agreed.remote, agreed.rtcp), (None, None), "{address}");
    }
}

#[test]
fn an_address_that_is_none_makes_only_its_own_stream_unusable() {
    for address in ["192.0.2.256", "999", "::g", "2001:db8::1::2"] {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        );
        let verdict = answer(&read(text.as_bytes()).unwrap(), &local(), None, &mut rng()).err();
        assert_eq!(verdict, Some(NegotiationError::NoAudio), "{address}");
    }
}

#[test]
fn a_late_offer_is_answered_by_the_caller() {
    let ours = local();
    let text = offer(&ours, &mut rng());
    let offered = read(text.as_bytes()).unwrap();
    assert_eq!(sections(&text), ["m=audio 30000 RTP/AVP 0 8 101"]);
    // A caller that takes one codec, and numbers its events in its own way.
    let reply = "v=0\r\no=- 5 5 IN IP4 192.0.2.80\r\ns=-\r\nc=IN IP4 192.0.2.80\r\nt=0 0\r\n\
        m=audio 9000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=rtcp-mux\r\n";
    let agreed = accept_answer(&read(reply.as_bytes()).unwrap(), &offered, &ours).unwrap();
    assert_eq!((agreed.codec, agreed.telephone_event), (Codec::Pcma, Some(101)));
    assert_eq!(agreed.rtcp, agreed.remote, "RTCP shares the port");
    let refused = reply.replace("m=audio 9000", "m=audio 0");
    assert_eq!(
        accept_answer(&read(refused.as_bytes()).unwrap(), &offered, &ours),
        Err(NegotiationError::NoAudio)
    );
}

#[test]
fn an_offer_within_a_session_keeps_the_places_of_refused_streams() {
    let (last, _) = answered("fax-beside-audio").unwrap();
    let again = offer_again(&read(last.as_bytes()).unwrap(), &local(), &mut rng());
    assert_eq!(sections(&again), ["m=audio 30000 RTP/AVP 0 8 101", "m=image 0 udptl t38"]);
    let (last, _) = answered("video-and-second-audio").unwrap();
    let again = offer_again(&read(last.as_bytes()).unwrap(), &local(), &mut rng());
    assert_eq!(sections(&again).iter().position(|line| line.starts_with("m=audio 30000")), Some(2));
}

#[test]
fn what_is_no_description_is_an_error() {
    assert_eq!(read(b"").err(), Some(sdp::SdpError::Version));
    assert_eq!(read(b"\0\0").err(), Some(sdp::SdpError::Version));
    assert_eq!(read(b"v=0\r\nm=audio\r\n").err(), Some(sdp::SdpError::Media));
    assert_eq!(read(b"v=0\r\nm=audio 70000 RTP/AVP 0\r\n").err(), Some(sdp::SdpError::Media));
    assert_eq!(read(b"v=0\r\nm=audio \xff RTP/AVP 0\r\n").err(), Some(sdp::SdpError::NotText));
    let many = format!("v=0\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(33));
    assert_eq!(read(many.as_bytes()).err(), Some(sdp::SdpError::TooMany));
}
