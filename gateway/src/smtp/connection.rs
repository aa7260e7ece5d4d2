//! One connection: bytes in, replies out, and time-outs.

use std::{io, time::Duration};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::Instant,
};

use super::{
    Shared,
    body::{Body, Frame},
    reply::{self, Reply},
    session::{Next, Session},
};

/// How a conversation went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is over.
    Over,
    /// TLS is to be begun; nothing is left of what came before.
    Secure,
}

/// Longest line of a command, with its end. RFC 5321 §4.5.3.1.4 asks for 512 and what extensions add.
const LINE_MAX: usize = 4096;
const READ_BYTES: usize = 16 << 10;

/// Talks until the session ends or wants TLS.
pub(super) async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    session: &mut Session<'_>,
    shared: &Shared,
) -> io::Result<End> {
    let mut wire = Wire::new(stream, shared);
    // The parts of a mail that comes by BDAT.
    let mut chunks = None;
    loop {
        let next = match wire.line().await? {
            Line::Whole(line) => session.line(&line, &|address| shared.standing(address)),
            Line::TooLong => session.too_long(),
            Line::Ended(None) => return Ok(End::Over),
            Line::Ended(Some(last)) => return wire.leave(last).await,
        };
        if !session.in_chunks() {
            chunks = None;
        }
        match next {
            Next::Say(reply) => wire.say(reply),
            Next::Introduce(lines) => wire.introduce(&lines),
            Next::Leave(reply) => return wire.leave(reply).await,
            Next::Secure => {
                wire.say(reply::READY);
                wire.flush().await?;
                // What was sent behind STARTTLS came in the clear: it is dropped with the wire.
                return Ok(End::Secure);
            }
            Next::Data if !wire.input.is_empty() => return wire.leave(reply::TOO_EARLY).await,
            Next::Data => {
                wire.say(reply::SEND);
                let mut body = shared.body();
                if !wire.receive(&mut body, Frame::data()).await? {
                    return Ok(End::Over);
                }
                match finish(shared, session, body).await {
                    // What follows may have been meant as a part of this mail, and be read as commands.
                    reply::BARE => return wire.leave(reply::BARE).await,
                    reply => wire.say(reply),
                }
            }
            Next::Chunk { bytes, last, refused } => {
                let mut body = match refused {
                    Some(_) => shared.body(),
                    None => chunks.take().unwrap_or_else(|| shared.body()),
                };
                if let Some(why) = refused {
                    body.refuse(why);
                }
                if !wire.receive(&mut body, Frame::chunk(bytes)).await? {
                    return Ok(End::Over);
                }
                match refused.or(body.fault()) {
                    None if last => wire.say(finish(shared, session, body).await),
                    None => {
                        chunks = Some(body);
                        wire.say(reply::CHUNK_OK);
                    }
                    Some(why) => {
                        wire.say(why);
                        if refused.is_none() {
                            // The rest of this mail is refused too, chunk by chunk (RFC 3030 §2).
                            session.forget();
                            shared.count_refused();
                        }
                    }
                }
            }
        }
    }
}

/// Takes a mail that has come whole.
async fn finish(shared: &Shared, session: &mut Session<'_>, body: Body) -> Reply {
    let envelope = session.ended();
    match body.finish() {
        Ok(raw) => shared.take(envelope, raw).await,
        Err(why) => {
            shared.count_refused();
            why
        }
    }
}

/// What was read.
enum Line {
    Whole(BytesMut),
    TooLong,
    /// The connection, with what is to be said last if anybody hears it.
    Ended(Option<Reply>),
}

struct Wire<'s, S> {
    stream: &'s mut S,
    shared: &'s Shared,
    input: BytesMut,
    output: Vec<u8>,
    /// Whether the rest of a line that is too long is still to come.
    skipping: bool,
}

impl<'s, S: AsyncRead + AsyncWrite + Unpin> Wire<'s, S> {
    fn new(stream: &'s mut S, shared: &'s Shared) -> Self {
        Self { stream, shared, input: BytesMut::new(), output: Vec::new(), skipping: false }
    }

    fn say(&mut self, reply: Reply) {
        reply.write(&mut self.output);
    }

    fn introduce(&mut self, lines: &[String]) {
        for (number, line) in lines.iter().enumerate() {
            let mark = if number + 1 == lines.len() { ' ' } else { '-' };
            self.output.extend_from_slice(format!("250{mark}{line}\r\n").as_bytes());
        }
    }

    async fn leave(mut self, last: Reply) -> io::Result<End> {
        self.say(last);
        self.flush().await?;
        self.stream.shutdown().await?;
        Ok(End::Over)
    }

    /// Sends what was said. Whoever does not read is waited for as long as for a command.
    async fn flush(&mut self) -> io::Result<()> {
        let writing = async {
            self.stream.write_all(&self.output).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(self.shared.command_within, writing).await??;
        self.output.clear();
        Ok(())
    }

    /// Reads more; how many bytes. Replies go out before anything is waited for.
    async fn fill(&mut self, within: Duration) -> io::Result<usize> {
        if !self.output.is_empty() {
            self.flush().await?;
        }
        self.input.reserve(READ_BYTES);
        tokio::time::timeout(within, self.stream.read_buf(&mut self.input)).await?
    }

    /// The next line.
    async fn line(&mut self) -> io::Result<Line> {
        loop {
            let end = self.input.iter().position(|&byte| byte == b'\n');
            if let Some(end) = end {
                let line = self.input.split_to(end + 1);
                if !std::mem::take(&mut self.skipping) {
                    return Ok(if line.len() > LINE_MAX { Line::TooLong } else { Line::Whole(line) });
                }
                continue;
            }
            if self.input.len() > LINE_MAX {
                self.input.clear();
                if !std::mem::replace(&mut self.skipping, true) {
                    return Ok(Line::TooLong);
                }
            }
            let (shared, within) = (self.shared, self.shared.command_within);
            let read = tokio::select! {
                read = self.fill(within) => read,
                () = shared.readiness.stopping() => return Ok(Line::Ended(Some(reply::STOPPING))),
            };
            match read {
                Ok(0) => return Ok(Line::Ended(None)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Ok(Line::Ended(Some(reply::TOO_LATE)));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a mail, or a chunk of one, to its end; false when the connection has ended first.
    async fn receive(&mut self, body: &mut Body, mut frame: Frame) -> io::Result<bool> {
        let end = Instant::now() + self.shared.data_within;
        loop {
            let (read, ended) = body.ingest(&mut frame, &self.input);
            self.input.advance(read);
            if ended {
                return Ok(true);
            }
            let last = if body.is_hopeless() {
                reply::TOO_LARGE
            } else {
                let left = end.saturating_duration_since(Instant::now());
                match self.fill(left.min(self.shared.command_within)).await {
                    Ok(0) => return Ok(false),
                    Ok(_) => continue,
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => reply::TOO_LATE,
                    Err(error) => return Err(error),
                }
            };
            self.say(last);
            self.flush().await?;
            self.stream.shutdown().await?;
            return Ok(false);
        }
    }
}
