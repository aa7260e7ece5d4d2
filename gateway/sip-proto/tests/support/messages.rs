//! The stored messages, and what every reader of them is put through.
#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};

use rand::{SeedableRng, rngs::StdRng};
use sip_proto::{
    header::{HeaderName, NameAddr, RAck, SessionExpires},
    message::{Framing, Message, frame},
    sdp::{self, Codec, LocalMedia, Srtp},
};

/// Every file below a folder of this crate, in the order of their names.
pub(crate) fn stored(folder: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    collect(&root, &mut found);
    found.sort();
    assert!(!found.is_empty(), "{folder} is empty");
    found.iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|kind| kind != "json" && kind != "md") {
            found.push(path);
        }
    }
}

/// Calls everything that reads a message. The result only keeps the optimiser honest.
pub(crate) fn read_all(bytes: &[u8]) -> usize {
    let framed = match frame(bytes) {
        Framing::Message(length) => {
            assert!(length <= bytes.len(), "a frame ends within its buffer");
            length
        }
        Framing::NeedMore | Framing::Ping | Framing::Pong | Framing::Broken(_) => 0,
    };
    let parsed = Message::parse(bytes);
    let message = match &parsed {
        Ok(message) => message,
        Err(error) => match &error.salvage {
            Some(message) => message,
            None => return framed,
        },
    };
    let mut seen = framed + usize::from(message.check().is_ok());
    seen += message.vias().filter(|via| via.branch.is_some()).count();
    seen += message.contacts().map(|contact| contact.display_text().len()).sum::<usize>();
    for party in [message.from(), message.to()].into_iter().flatten() {
        seen += party.tag().map_or(0, <[u8]>::len) + party.uri.user_text().map_or(0, |user| user.len());
    }
    seen += message.cseq().map_or(0, |cseq| cseq.method.len());
    seen += message.call_id().map_or(0, <[u8]>::len) + message.content_type().map_or(0, <[u8]>::len);
    seen += message.header(HeaderName::RAck).and_then(RAck::parse).map_or(0, |_| 1);
    seen += message.header(HeaderName::SessionExpires).and_then(SessionExpires::parse).map_or(0, |_| 1);
    seen += message.elements(HeaderName::PAssertedIdentity).filter_map(NameAddr::parse).count();
    seen += usize::from(message.lists(HeaderName::Supported, "timer"));
    seen + negotiate(message.body)
}

/// Our side of a call.
pub(crate) fn local() -> LocalMedia {
    LocalMedia {
        address: "198.51.100.7:30000".parse().unwrap(),
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        srtp: Srtp::Allowed,
        session_id: 1,
        version: 1,
    }
}

/// Answers an offer, and holds the answer against RFC 3264 §6.
pub(crate) fn negotiate(body: &[u8]) -> usize {
    let Ok(offer) = sdp::read(body) else { return 0 };
    let Ok((text, agreed)) = sdp::answer(&offer, &local(), None, &mut StdRng::seed_from_u64(1)) else {
        return 1;
    };
    let answer = sdp::read(text.as_bytes()).unwrap();
    assert_eq!(answer.media.len(), offer.media.len(), "every stream is answered: {text}");
    assert_eq!(answer.media.iter().filter(|media| media.port != 0).count(), 1, "one is taken: {text}");
    for (theirs, ours) in offer.media.iter().zip(&answer.media) {
        assert_eq!((theirs.kind, theirs.protocol), (ours.kind, ours.protocol));
        assert!(ours.port == 0 || theirs.port != 0, "a stream that is gone stays gone: {text}");
        assert_eq!(ours.crypto.len(), usize::from(ours.port != 0 && agreed.srtp.is_some()), "{text}");
    }
    usize::from(agreed.payload_type)
}
