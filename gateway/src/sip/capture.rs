//! What was said lately in each call, so that a trace can show the SIP beside the steps.
//!
//! Written by the SIP thread, read by the control API. Bounded in bytes: the oldest call is forgotten first. Held
//! in memory only; credentials and digits are withheld when it is shown.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use sip_proto::endpoint::Path;

/// Recent messages of recent calls; cheap to clone.
#[derive(Clone, Debug)]
pub struct Capture {
    calls: Arc<Mutex<Calls>>,
    off: bool,
    hasher: RandomState,
}

/// One message as it went over the wire.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When it was received or sent.
    pub at: Timestamp,
    /// We sent it.
    pub sent: bool,
    /// How it went, and from or to whom.
    pub path: Path,
    bytes: Box<[u8]>,
}

#[derive(Debug)]
struct Calls {
    by_call_id: HashMap<u64, VecDeque<Captured>>,
    /// In order of their INVITE.
    order: VecDeque<u64>,
    bytes: usize,
    bytes_max: usize,
}

impl Capture {
    /// Keeps at most so many bytes of messages; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> Self {
        let calls = Calls { by_call_id: HashMap::new(), order: VecDeque::new(), bytes: 0, bytes_max };
        Self { calls: Arc::new(Mutex::new(calls)), off: bytes_max == 0, hasher: RandomState::new() }
    }

    /// Takes note of a message. A call begins with the INVITE that we receive; other messages count when their
    /// call is known.
    pub(super) fn note(&self, sent: bool, path: Path, bytes: &[u8]) {
        if self.off {
            return;
        }
        let Some(call_id) = call_id_of(bytes) else { return };
        let call = self.hasher.hash_one(call_id);
        let mut calls = self.lock();
        if !calls.by_call_id.contains_key(&call) {
            if sent || !bytes.starts_with(b"INVITE ") {
                return;
            }
            calls.order.push_back(call);
            calls.by_call_id.insert(call, VecDeque::with_capacity(8));
        }
        let message = Captured { at: Timestamp::now(), sent, path, bytes: bytes.into() };
        calls.add(call, message);
    }

    /// The messages of a call, oldest first; none when it was long ago.
    pub fn of_call(&self, call_id: &str) -> Vec<Captured> {
        let call = self.hasher.hash_one(call_id.as_bytes());
        self.lock()
            .by_call_id
            .get(&call)
            .map(|messages| messages.iter().cloned().collect())
            .unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    fn add(&mut self, call: u64, message: Captured) {
        let Some(messages) = self.by_call_id.get_mut(&call) else { return };
        self.bytes += message.cost();
        messages.push_back(message);
        if messages.len() > MESSAGES_MAX
            && let Some(oldest) = messages.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(oldest.cost());
        }
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            let messages = self.by_call_id.remove(&oldest).unwrap_or_default();
            self.bytes = self.bytes.saturating_sub(messages.iter().map(Captured::cost).sum());
        }
    }
}

impl Captured {
    /// The message as text. Credentials, the keys of encrypted media, and the body of an INFO (it may carry digits that an IVR treats as
    /// secret), are replaced.
    pub fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut shown = String::with_capacity(text.len());
        let mut secret = false;
        for line in head.split("\r\n") {
            // A line that begins with white space goes on with the one before (RFC 3261 §7.3.1).
            if line.starts_with([' ', '\t']) && secret {
                continue;
            }
            let name = line.split(':').next().unwrap_or_default().trim();
            secret = ["Authorization", "Proxy-Authorization"].iter().any(|s| name.eq_ignore_ascii_case(s));
            shown.push_str(if secret { name } else { line });
            shown.push_str(if secret { ": (withheld)\r\n" } else { "\r\n" });
        }
        shown.push_str("\r\n");
        if head.starts_with("INFO ") && !body.is_empty() {
            shown.push_str("(withheld)");
        } else {
            shown.extend(body.split_inclusive('\n').flat_map(without_key));
        }
        shown
    }

    fn cost(&self) -> usize {
        self.bytes.len() + size_of::<Self>() + OVERHEAD_BYTES
    }
}

/// A line of a description; the key in one of `a=crypto` (RFC 4568) is replaced.
fn without_key(line: &str) -> [&str; 2] {
    let key = line.starts_with("a=crypto:").then(|| line.find("inline:")).flatten();
    match key.and_then(|key| line.split_at_checked(key)) {
        Some((start, _)) => [start, "(withheld)\r\n"],
        None => [line, ""],
    }
}

/// The value of the Call-ID header, from the first lines alone.
fn call_id_of(bytes: &[u8]) -> Option<&[u8]> {
    bytes
        .split(|&byte| byte == b'\n')
        .take(LINES_MAX)
        .take_while(|line| !line.trim_ascii().is_empty())
        .find_map(|line| {
            // Most lines are told apart by their first letter.
            if !matches!(line.first(), Some(b'C' | b'c' | b'i' | b'I')) {
                return None;
            }
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            let name = name.trim_ascii();
            let is_call_id = name.eq_ignore_ascii_case(b"Call-ID") || name.eq_ignore_ascii_case(b"i");
            is_call_id.then(|| value.get(1..).unwrap_or_default().trim_ascii())
        })
}

/// What the tables need for a message beside it, roughly.
const OVERHEAD_BYTES: usize = 64;
/// Messages kept of one call: a set-up, an end, and some changes between.
const MESSAGES_MAX: usize = 48;
/// Lines looked at for a Call-ID.
const LINES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use sip_proto::endpoint::Transport;

    use super::*;

    fn path() -> Path {
        Path {
            transport: Transport::Udp,
            peer: "192.0.2.1:5060".parse().unwrap(),
            listener: 0,
            connection: None,
        }
    }

    fn message(line: &str, call_id: &str) -> Vec<u8> {
        format!(
            "{line} SIP/2.0\r\nContact: <sip:a@b>\r\nCall-ID: {call_id}\r\nAuthorization: Digest secret,\r\n Digest=more\r\n\r\nSignal=5"
        )
        .into_bytes()
    }

    #[test]
    fn a_call_keeps_its_messages_and_withholds_secrets() {
        let capture = Capture::new(1 << 20);
        capture.note(false, path(), &message("BYE sip:x", "unknown"));
        capture.note(false, path(), &message("INVITE sip:x", "one"));
        capture.note(true, path(), b"SIP/2.0 200 OK\r\ni: one\r\n\r\n");
        capture.note(false, path(), &message("INFO sip:x", "one"));
        let shown: Vec<String> = capture.of_call("one").iter().map(Captured::shown).collect();
        assert_eq!(shown.len(), 3);
        assert!(shown[0].contains("Signal=5") && !shown[0].contains("Digest"), "{}", shown[0]);
        assert!(shown[1].starts_with("SIP/2.0 200 OK\r\n"));
        assert!(shown[2].ends_with("(withheld)") && !shown[2].contains("Signal"), "{}", shown[2]);
        assert!(capture.of_call("unknown").is_empty());
    }

    #[test]
    fn keys_of_encrypted_media_are_withheld() {
        let capture = Capture::new(1 << 20);
        let body = "v=0\r\na=crypto:1 AEAD_AES_128_GCM inline:SECRET|2^20\r\na=sendrecv\r\n";
        capture.note(false, path(), format!("INVITE sip:x SIP/2.0\r\ni: one\r\n\r\n{body}").as_bytes());
        let shown = capture.of_call("one")[0].shown();
        assert!(shown.ends_with("a=crypto:1 AEAD_AES_128_GCM (withheld)\r\na=sendrecv\r\n"), "{shown}");
    }

    #[test]
    fn the_oldest_call_goes_first_and_a_chatty_one_loses_its_oldest_messages() {
        let capture = Capture::new(4000);
        for call in 0..100 {
            capture.note(false, path(), &message("INVITE sip:x", &format!("call-{call}")));
        }
        assert!(capture.of_call("call-0").is_empty());
        assert_eq!(capture.of_call("call-99").len(), 1);
        assert!(capture.lock().bytes <= 4000);
        let capture = Capture::new(1 << 20);
        for _ in 0..200 {
            capture.note(false, path(), &message("INVITE sip:x", "one"));
        }
        assert_eq!(capture.of_call("one").len(), MESSAGES_MAX);
        let nothing = Capture::new(0);
        nothing.note(false, path(), &message("INVITE sip:x", "one"));
        assert!(nothing.of_call("one").is_empty());
    }
}
