//! What was said lately in each contact's calls, so that a trace can show the SIP beside the steps.
//!
//! Written by the SIP thread, read by the control API. A contact has one story: its caller's call, and the calls that
//! we place for it. Bounded in bytes: the oldest story is forgotten first, as a whole. Held in memory only; credentials
//! and digits are withheld when it is shown.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use sip_proto::endpoint::Path;

/// Recent messages of recent contacts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Capture {
    stories: Arc<Mutex<Stories>>,
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
struct Stories {
    by_name: HashMap<u64, Story>,
    /// Which story a call belongs to, by its Call-ID.
    of_calls: HashMap<u64, u64>,
    /// In order of their beginning.
    order: VecDeque<u64>,
    bytes: usize,
    bytes_max: usize,
}

/// What was said for one contact.
#[derive(Debug, Default)]
struct Story {
    messages: VecDeque<Captured>,
    /// Its calls, the oldest first.
    calls: VecDeque<u64>,
    /// What it takes of the bound.
    bytes: usize,
}

impl Capture {
    /// Keeps at most so many bytes of messages; 0 keeps nothing.
    pub fn new(bytes_max: usize) -> Self {
        let stories = Stories {
            by_name: HashMap::new(),
            of_calls: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            bytes_max,
        };
        Self { stories: Arc::new(Mutex::new(stories)), off: bytes_max == 0, hasher: RandomState::new() }
    }

    /// Takes note of a message. A story begins with the INVITE that we receive, and is called by its Call-ID; other
    /// messages count when their call is known.
    pub(super) fn note(&self, sent: bool, path: Path, bytes: &[u8]) {
        if self.off {
            return;
        }
        let Some(call_id) = call_id_of(bytes) else { return };
        let call = self.hasher.hash_one(call_id);
        let mut stories = self.lock();
        if !stories.of_calls.contains_key(&call) {
            if sent || !bytes.starts_with(b"INVITE ") {
                return;
            }
            stories.follow(call, call);
        }
        stories.add(call, Captured { at: Timestamp::now(), sent, path, bytes: bytes.into() });
    }

    /// A call that we place belongs to the story of that name, which begins with it if there is none.
    pub(super) fn follow(&self, call_id: &str, story: &str) {
        if !self.off {
            let hash = |text: &str| self.hasher.hash_one(text.as_bytes());
            self.lock().follow(hash(call_id), hash(story));
        }
    }

    /// The messages of a story, oldest first; none when it was long ago.
    pub fn of_story(&self, name: &str) -> Vec<Captured> {
        let name = self.hasher.hash_one(name.as_bytes());
        let stories = self.lock();
        stories.by_name.get(&name).map(|story| story.messages.iter().cloned().collect()).unwrap_or_default()
    }

    /// Forgets a story.
    pub fn forget(&self, name: &str) {
        let name = self.hasher.hash_one(name.as_bytes());
        let mut stories = self.lock();
        stories.order.retain(|one| *one != name);
        stories.remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, Stories> {
        self.stories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stories {
    fn follow(&mut self, call: u64, name: u64) {
        if self.of_calls.contains_key(&call) {
            return;
        }
        let order = &mut self.order;
        let story = self.by_name.entry(name).or_insert_with(|| {
            order.push_back(name);
            Story::default()
        });
        story.calls.push_back(call);
        self.of_calls.insert(call, name);
        if story.calls.len() > CALLS_MAX
            && let Some(oldest) = story.calls.pop_front()
        {
            // What was said in it stays.
            self.of_calls.remove(&oldest);
        } else {
            story.bytes += CALL_BYTES;
            self.bytes += CALL_BYTES;
        }
        self.forget_oldest();
    }

    fn add(&mut self, call: u64, message: Captured) {
        let Some(story) = self.of_calls.get(&call).and_then(|name| self.by_name.get_mut(name)) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(story.bytes);
        story.bytes += message.cost();
        story.messages.push_back(message);
        if story.messages.len() > MESSAGES_MAX
            && let Some(oldest) = story.messages.pop_front()
        {
            story.bytes = story.bytes.saturating_sub(oldest.cost());
        }
        self.bytes += story.bytes;
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, name: u64) {
        let Some(story) = self.by_name.remove(&name) else { return };
        self.bytes = self.bytes.saturating_sub(story.bytes);
        for call in story.calls {
            self.of_calls.remove(&call);
        }
    }
}

impl Captured {
    /// The Call-ID: which of the contact's calls it belongs to.
    pub fn call_id(&self) -> String {
        String::from_utf8_lossy(call_id_of(&self.bytes).unwrap_or_default()).into_owned()
    }

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
/// What the tables need for a call, roughly.
const CALL_BYTES: usize = 160;
/// Messages kept of one story: set-ups and ends of some calls, and changes between.
const MESSAGES_MAX: usize = 128;
/// Calls followed of one story: the caller's, and telephones that rang.
const CALLS_MAX: usize = 16;
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
        let shown: Vec<String> = capture.of_story("one").iter().map(Captured::shown).collect();
        assert_eq!(shown.len(), 3);
        assert!(shown[0].contains("Signal=5") && !shown[0].contains("Digest"), "{}", shown[0]);
        assert!(shown[1].starts_with("SIP/2.0 200 OK\r\n"));
        assert!(shown[2].ends_with("(withheld)") && !shown[2].contains("Signal"), "{}", shown[2]);
        assert!(capture.of_story("unknown").is_empty());
    }

    #[test]
    fn keys_of_encrypted_media_are_withheld() {
        let capture = Capture::new(1 << 20);
        let body = "v=0\r\na=crypto:1 AEAD_AES_128_GCM inline:SECRET|2^20\r\na=sendrecv\r\n";
        capture.note(false, path(), format!("INVITE sip:x SIP/2.0\r\ni: one\r\n\r\n{body}").as_bytes());
        let shown = capture.of_story("one")[0].shown();
        assert!(shown.ends_with("a=crypto:1 AEAD_AES_128_GCM (withheld)\r\na=sendrecv\r\n"), "{shown}");
    }

    #[test]
    fn the_calls_placed_for_a_caller_stand_in_his_story_and_go_with_it() {
        let capture = Capture::new(1 << 20);
        capture.note(false, path(), &message("INVITE sip:x", "caller"));
        capture.follow("taker", "caller");
        capture.note(true, path(), &message("INVITE sip:ann", "taker"));
        capture.note(false, path(), b"SIP/2.0 180 Ringing\r\ni: taker\r\n\r\n");
        capture.follow("taker", "somebody else");
        let calls: Vec<String> = capture.of_story("caller").iter().map(Captured::call_id).collect();
        assert_eq!(calls, ["caller", "taker", "taker"]);
        assert!(capture.of_story("taker").is_empty());
        // A call back begins a story of its own, and takers of it go on with that.
        capture.follow("call back", "ct_1");
        capture.note(true, path(), &message("INVITE sip:bob", "call back"));
        assert_eq!(capture.of_story("ct_1").len(), 1);

        let one = message("INVITE sip:x", "caller 0").len() + size_of::<Captured>() + OVERHEAD_BYTES;
        let capture = Capture::new(4 * (one + CALL_BYTES) + 2 * CALL_BYTES);
        for index in 0..50 {
            let (caller, taker) = (format!("caller {index}"), format!("taker {index}"));
            capture.note(false, path(), &message("INVITE sip:x", &caller));
            capture.follow(&taker, &caller);
            capture.note(true, path(), &message("INVITE sip:x", &taker));
        }
        let stories = capture.lock();
        assert!(stories.bytes <= stories.bytes_max);
        assert_eq!((stories.by_name.len(), stories.of_calls.len(), stories.order.len()), (2, 4, 2));
    }

    #[test]
    fn calls_of_one_story_and_stories_without_messages_are_bounded() {
        let capture = Capture::new(1 << 20);
        capture.note(false, path(), &message("INVITE sip:x", "caller"));
        for index in 0..100 {
            capture.follow(&format!("taker {index}"), "caller");
        }
        capture.note(true, path(), &message("INVITE sip:x", "taker 0"));
        capture.note(true, path(), &message("INVITE sip:x", "taker 99"));
        let calls: Vec<String> = capture.of_story("caller").iter().map(Captured::call_id).collect();
        assert_eq!(calls, ["caller", "taker 99"], "the oldest is followed no more");
        assert_eq!(capture.lock().of_calls.len(), CALLS_MAX);
        for index in 0..10_000 {
            capture.follow(&format!("call {index}"), &format!("ct_{index}"));
        }
        let stories = capture.lock();
        assert!(stories.bytes <= stories.bytes_max && stories.by_name.len() < 10_000);
        assert_eq!(stories.by_name.len(), stories.order.len());
    }

    #[test]
    fn the_oldest_call_goes_first_and_a_chatty_one_loses_its_oldest_messages() {
        let capture = Capture::new(4000);
        for call in 0..100 {
            capture.note(false, path(), &message("INVITE sip:x", &format!("call-{call}")));
        }
        assert!(capture.of_story("call-0").is_empty());
        assert_eq!(capture.of_story("call-99").len(), 1);
        assert!(capture.lock().bytes <= 4000);
        let capture = Capture::new(1 << 20);
        for _ in 0..200 {
            capture.note(false, path(), &message("INVITE sip:x", "one"));
        }
        assert_eq!(capture.of_story("one").len(), MESSAGES_MAX);
        let nothing = Capture::new(0);
        nothing.note(false, path(), &message("INVITE sip:x", "one"));
        assert!(nothing.of_story("one").is_empty());
    }
}
