//! A mail as it comes in, within bounds.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use smtp_proto::request::receiver::{BdatReceiver, DataReceiver};

use super::reply::{self, Reply};

/// Memory for all mails that are coming in, or are here and not yet kept.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    /// So many bytes in all.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), bytes_max })
    }

    fn take(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// Memory that was taken for one mail; it is given back when this goes.
#[derive(Debug)]
struct Taken {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A mail that came whole, with the memory that was taken for it.
struct Whole {
    bytes: Vec<u8>,
    _taken: Taken,
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A mail that is coming in: by DATA, or in chunks.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    /// Where bytes go that are not kept.
    waste: Vec<u8>,
    wasted: usize,
    bytes_max: usize,
    taken: Taken,
    fault: Option<Reply>,
}

/// How a mail, or a part of it, is cut out of the stream.
pub enum Frame {
    /// Up to a line of one dot (RFC 5321 §4.5.2).
    Data(DataReceiver),
    /// So many bytes (RFC 3030).
    Chunk(BdatReceiver),
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Data(_) => "Data",
            Self::Chunk(_) => "Chunk",
        })
    }
}

impl Frame {
    /// The frame of DATA.
    pub fn data() -> Self {
        let mut receiver = DataReceiver::new();
        // The command's own line end stands before the first line: a mail may be a dot alone.
        let ended = receiver.ingest(&mut b"\r\n".iter(), &mut Vec::new());
        debug_assert!(!ended, "nothing has come yet");
        Self::Data(receiver)
    }

    /// The frame of one BDAT.
    pub fn chunk(bytes: usize) -> Self {
        Self::Chunk(BdatReceiver::new(bytes, false))
    }
}

/// Memory is taken in steps of so many bytes.
const STEP: usize = 64 << 10;

impl Body {
    /// An empty one.
    pub fn new(bytes_max: usize, budget: Arc<Budget>) -> Self {
        let taken = Taken { budget, bytes: 0 };
        Self { bytes: Vec::new(), waste: Vec::new(), wasted: 0, bytes_max, taken, fault: None }
    }

    /// What comes from now on is read and left out.
    pub fn refuse(&mut self, why: Reply) {
        self.fault.get_or_insert(why);
        self.bytes = Vec::new();
        // Others may have it while the rest of this one is still to come.
        self.taken = Taken { budget: self.taken.budget.clone(), bytes: 0 };
    }

    /// Reads from the beginning of `input`; how many bytes, and whether the frame has ended.
    pub fn ingest(&mut self, frame: &mut Frame, input: &[u8]) -> (usize, bool) {
        // Only what has come is counted: there may be more behind the end of the mail.
        if self.bytes.len() > self.bytes_max {
            self.refuse(reply::TOO_LARGE);
        }
        let wanted = self.bytes.len() + input.len();
        while self.fault.is_none() && self.taken.bytes < wanted {
            if !self.taken.budget.take(STEP) {
                self.refuse(reply::NO_MEMORY);
                break;
            }
            self.taken.bytes += STEP;
        }
        let sink = if self.fault.is_some() {
            self.waste.clear();
            &mut self.waste
        } else {
            &mut self.bytes
        };
        let mut rest = input.iter();
        let ended = match frame {
            Frame::Data(receiver) => receiver.ingest(&mut rest, sink),
            Frame::Chunk(receiver) => receiver.ingest(&mut rest, sink),
        };
        let read = input.len() - rest.as_slice().len();
        if self.fault.is_some() {
            self.wasted += read;
        }
        (read, ended)
    }

    /// Why it is not taken, as far as is known yet.
    pub fn fault(&self) -> Option<Reply> {
        self.fault
    }

    /// Whether so much was sent in vain that there is no use in reading on.
    pub fn is_hopeless(&self) -> bool {
        self.wasted > self.bytes_max
    }

    /// The mail, when it may be taken. Its memory counts until the last who reads it is done: whoever makes it durable
    /// holds it until that has come about, or has not.
    ///
    /// # Errors
    /// Too large, no memory, or a CR or LF stands alone: others may have read such a mail as two (CVE-2023-51764).
    pub fn finish(self) -> Result<Bytes, Reply> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.bytes.len() > self.bytes_max => Err(reply::TOO_LARGE),
            None if has_bare(&self.bytes) => Err(reply::BARE),
            None => Ok(Bytes::from_owner(Whole { bytes: self.bytes, _taken: self.taken })),
        }
    }
}

/// Whether a CR or LF stands without the other.
fn has_bare(mail: &[u8]) -> bool {
    let mut before = 0;
    mail.iter().any(|&byte| {
        let bare = (byte == b'\n') != (before == b'\r');
        before = byte;
        bare
    }) || before == b'\r'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]], max: usize) -> (Result<Bytes, Reply>, bool, usize) {
        let mut body = Body::new(max, Budget::new(1 << 20));
        let (mut frame, mut ended, mut left) = (Frame::data(), false, 0);
        for piece in pieces {
            let (read, done) = body.ingest(&mut frame, piece);
            ended |= done;
            left += piece.len() - read;
        }
        (body.finish(), ended, left)
    }

    #[test]
    fn a_mail_ends_at_a_line_of_one_dot_and_nowhere_else() {
        let ok = |text: &'static str| (Ok(Bytes::from(text)), true, 0);
        assert_eq!(read(&[b".\r\n"], 99), ok(""));
        assert_eq!(read(&[b"a\r\n.\r\n"], 99), ok("a\r\n"));
        assert_eq!(read(&[b"..a\r\n..\r\n.", b"\r\n"], 99), ok(".a\r\n.\r\n"));
        assert_eq!(read(&[b"a\r\n.\r\nQUIT\r\n"], 99), (Ok(Bytes::from("a\r\n")), true, 6));
        for smuggled in
            ["a\n.\n", "a\n.\r\n", "a\r\n.\n", "a\r.\r", "a\r\n.\r", "a\r\n.\0\r\n", "a\r\r\n.\r\r\n"]
        {
            let (mail, ended, _) = read(&[smuggled.as_bytes()], 99);
            // The parser ends a mail at CR LF . CR CR LF too: then it is refused, and the connection with it.
            assert!(!ended || mail == Err(reply::BARE), "{smuggled:?} ends no mail");
        }
    }

    #[test]
    fn a_cr_or_lf_alone_is_refused() {
        for bare in [
            "a\nb\r\n.\r\n",
            "a\rb\r\n.\r\n",
            "a\n.\nMAIL FROM:<x@y>\r\n.\r\n",
            "\n\r\n.\r\n",
            "a\r\r\n.\r\n",
        ] {
            assert_eq!(read(&[bare.as_bytes()], 99).0, Err(reply::BARE), "{bare:?}");
        }
        assert!(has_bare(b"a\r") && has_bare(b"\n") && !has_bare(b"") && !has_bare(b"a\r\n\r\n"));
    }

    #[test]
    fn what_is_too_large_is_read_to_its_end_and_left_out() {
        assert_eq!(read(&[b"12345678\r\n.\r\n"], 10).0, Ok(Bytes::from("12345678\r\n")));
        let piece = [b'a'; 50];
        assert_eq!(read(&[&piece, &piece, &piece, b"\r\n.\r\nX"], 99), (Err(reply::TOO_LARGE), true, 1));
        let mut body = Body::new(10, Budget::new(1 << 20));
        for _ in 0..3 {
            body.ingest(&mut Frame::chunk(50), &piece);
        }
        assert!(body.is_hopeless());
    }

    #[test]
    fn memory_is_bounded_over_all_mails_and_comes_back() {
        let budget = Budget::new(2 * STEP);
        let mut one = Body::new(1 << 20, budget.clone());
        one.ingest(&mut Frame::chunk(STEP + 1), &vec![0; STEP + 1]);
        let mut other = Body::new(1 << 20, budget.clone());
        other.ingest(&mut Frame::chunk(1), b"a");
        assert_eq!(other.finish(), Err(reply::NO_MEMORY));
        drop(one);
        let mut third = Body::new(1 << 20, budget);
        third.ingest(&mut Frame::chunk(1), b"a");
        assert_eq!(third.finish(), Ok(Bytes::from("a")));
    }

    #[test]
    fn a_mail_counts_until_the_last_who_reads_it_is_done() {
        let budget = Budget::new(STEP);
        let came = |text: &[u8]| {
            let mut body = Body::new(1 << 20, budget.clone());
            body.ingest(&mut Frame::chunk(text.len()), text);
            body.finish()
        };
        let mail = came(b"one").unwrap();
        assert_eq!(came(b"two"), Err(reply::NO_MEMORY), "the first is not kept yet");
        let part = mail.slice(1..);
        drop(mail);
        assert_eq!(came(b"two"), Err(reply::NO_MEMORY), "somebody reads it still");
        drop(part);
        assert_eq!(came(b"two"), Ok(Bytes::from("two")));
    }

    #[test]
    fn what_is_refused_takes_no_memory_while_its_rest_comes() {
        let budget = Budget::new(STEP);
        let mut refused = Body::new(10, budget.clone());
        refused.ingest(&mut Frame::chunk(50), &[b'a'; 50]);
        refused.ingest(&mut Frame::chunk(50), &[b'a'; 50]);
        let mut other = Body::new(10, budget);
        other.ingest(&mut Frame::chunk(1), b"a");
        assert_eq!(other.finish(), Ok(Bytes::from("a")));
        assert_eq!(refused.finish(), Err(reply::TOO_LARGE));
    }
}
