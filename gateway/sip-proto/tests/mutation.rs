//! 300 000 broken messages from stored ones: nothing panics, and whatever is answered is sound.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may fail loudly")]

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng, rngs::StdRng};
use sip_proto::{
    endpoint::{Endpoint, Listener, Outputs, Path, Settings, Transport},
    message::{Framing, Message, frame},
};

#[path = "support/messages.rs"]
mod messages;

/// Bytes and words that mean something to a reader.
const MEANINGFUL: [&[u8]; 24] = [
    b"\r\n",
    b"\r",
    b"\n ",
    b"\0",
    b" ",
    b"\t",
    b",",
    b";",
    b":",
    b"=",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"@",
    b"[",
    b"]",
    b"%",
    b"?",
    b"\xff",
    b"4294967296",
    b"-1",
    b"\r\nContent-Length: 7\r\n",
    b"\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1\r\n",
];

fn mutated(rng: &mut StdRng, stored: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = stored[rng.random_range(0..stored.len())].1.clone();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = rng.random_range(at..=bytes.len().min(at + 40));
        match rng.random_range(0..7) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 => bytes.extend_from_within(at..end),
            3 => bytes[at..end].iter_mut().for_each(|b| *b ^= 1 << (at % 8)),
            4 => {
                let other = &stored[rng.random_range(0..stored.len())].1;
                let from = rng.random_range(0..=other.len());
                bytes.splice(at..end, other[from..].iter().copied().take(60));
            }
            _ => {
                let word = MEANINGFUL[rng.random_range(0..MEANINGFUL.len())];
                bytes.splice(at..end.min(at + 1), word.iter().copied());
            }
        }
    }
    bytes
}

#[test]
fn three_hundred_thousand_broken_messages_break_nothing() {
    let mut stored = messages::stored("tests/torture");
    stored.extend(messages::stored("fuzz/corpus/sip_message"));
    let mut rng = StdRng::seed_from_u64(0x5eed);
    let mut sound = 0_usize;
    for _ in 0..300_000 {
        let bytes = mutated(&mut rng, &stored);
        messages::read_all(&bytes);
        sound += usize::from(Message::parse(&bytes).is_ok_and(|message| message.check().is_ok()));
    }
    assert!((10_000..250_000).contains(&sound), "the mutations are neither too mild nor too wild: {sound}");
}

#[test]
fn everything_an_endpoint_sends_is_one_sound_message_however_broken_the_request() {
    let mut stored = messages::stored("tests/torture");
    stored.extend(messages::stored("fuzz/corpus/sip_message"));
    let mut rng = StdRng::seed_from_u64(0xbad);
    let mut now = Instant::now();
    let settings = Settings {
        listeners: vec![Listener {
            transport: Transport::Udp,
            advertised: "198.51.100.9:5060".parse().unwrap(),
        }],
        calls_max: 50,
        transactions_max: 200,
        ..Settings::default()
    };
    let mut endpoint = Endpoint::new(settings, StdRng::seed_from_u64(1), now);
    let peer = "192.0.2.1:5060".parse().unwrap();
    let path = Path { transport: Transport::Udp, peer, listener: 0, connection: None };
    let mut out = Outputs::default();
    let mut sent = 0_usize;
    for _ in 0..30_000 {
        let bytes = mutated(&mut rng, &stored);
        out.clear();
        endpoint.receive(now, path, &bytes, &mut out);
        now += Duration::from_millis(20);
        endpoint.handle_timeout(now, &mut out);
        for (_, message) in out.messages() {
            sent += 1;
            let shown = String::from_utf8_lossy(message);
            assert_eq!(frame(message), Framing::Message(message.len()), "{shown}");
            let parsed = Message::parse(message).map_err(|error| error.reason);
            assert!(parsed.is_ok(), "{:?}: {shown}", parsed.err());
        }
        let sizes = endpoint.sizes();
        assert!(sizes.calls <= 50 && sizes.server_transactions <= 200, "{sizes:?}");
    }
    assert!(sent > 10_000, "most were answered: {sent}");
}

#[test]
fn broken_offers_are_answered_stream_by_stream_or_not_at_all() {
    let stored = messages::stored("fuzz/corpus/sdp");
    let mut rng = StdRng::seed_from_u64(0xab5);
    let answered = (0..100_000).filter(|_| messages::negotiate(&mutated(&mut rng, &stored)) > 1).count();
    assert!(answered > 5_000, "{answered}");
}
