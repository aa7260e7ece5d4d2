//! What an SMTP session may say when (RFC 5321 §4.1.4), without sockets and clocks.

use std::{borrow::Cow, net::IpAddr};

use smtp_proto::{Error, MAIL_BODY_BINARYMIME, MailFrom, RcptTo, Request};

use super::reply::{self, Reply};

/// What one session may do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Largest mail, bytes.
    pub mail_bytes_max: usize,
    /// Recipients of one mail.
    pub recipients_max: usize,
    /// Mails of one connection.
    pub mails_max: usize,
    /// Errors of one connection.
    pub errors_max: usize,
}

/// What an address is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Mail to it is taken.
    Known,
    /// It is ours, but takes nothing now.
    NotNow,
    /// It is ours, but not proven to be: only mails are taken that help with that, each by itself.
    Unproven,
    /// It is ours, and nobody has begun to prove it.
    Unrecorded,
    /// It is not ours.
    Unknown,
}

/// Who sends a mail, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// From where it is sent.
    pub peer: IpAddr,
    /// What the server that sends it calls itself.
    pub hello: String,
    /// The sender; empty for what nobody may answer (RFC 5321 §4.5.5).
    pub from: String,
    /// The recipients, each once.
    pub recipients: Vec<String>,
    /// Whether the only recipient is an address that is not proven.
    pub unproven: bool,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A reply, and the next command.
    Say(Reply),
    /// The lines of the reply to EHLO, and the next command.
    Introduce(Vec<String>),
    /// 354, and the mail behind it.
    Data,
    /// So many bytes follow (RFC 3030). They are to be read in any case; kept where no reply says otherwise.
    Chunk {
        /// How many.
        bytes: usize,
        /// Whether the mail ends with them.
        last: bool,
        /// What is said of them instead.
        refused: Option<Reply>,
    },
    /// The handshake of TLS.
    Secure,
    /// A last reply.
    Leave(Reply),
}

/// One session.
#[derive(Debug)]
pub struct Session<'a> {
    host: &'a str,
    peer: IpAddr,
    bounds: Bounds,
    /// Whether TLS can be had, and is not in use.
    can_secure: bool,
    secure: bool,
    /// What the client calls itself; none before it has said so.
    greeted: Option<String>,
    envelope: Option<Envelope>,
    /// Whether parts of the mail came by BDAT.
    chunks: bool,
    mails: usize,
    errors: usize,
}

impl<'a> Session<'a> {
    /// A session of the server that calls itself `host` with a client at `peer`. `can_secure`: STARTTLS is offered.
    pub fn new(host: &'a str, peer: IpAddr, bounds: Bounds, can_secure: bool) -> Self {
        Self {
            host,
            peer,
            bounds,
            can_secure,
            secure: false,
            greeted: None,
            envelope: None,
            chunks: false,
            mails: 0,
            errors: 0,
        }
    }

    /// Everything that was said in the clear is forgotten (RFC 3207 §4.2).
    pub fn secured(&mut self) {
        self.secure = true;
        self.can_secure = false;
        self.greeted = None;
        self.forget();
    }

    /// One line, with its end.
    pub fn line(&mut self, line: &[u8], standing: &dyn Fn(&str) -> Standing) -> Next {
        let clean =
            line.strip_suffix(b"\r\n").filter(|text| !text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
        if clean.is_none() {
            return self.fault(reply::BAD_LINE);
        }
        match Request::parse(&mut line.iter()) {
            Ok(request) => self.request(request, standing),
            Err(error) => self.fault(match error {
                Error::InvalidSenderAddress => reply::BAD_SENDER,
                Error::InvalidRecipientAddress => reply::BAD_RECIPIENT,
                Error::UnsupportedParameter { .. } => reply::BAD_PARAMETER,
                Error::InvalidParameter { .. } | Error::SyntaxError { .. } => reply::BAD_SYNTAX,
                Error::NeedsMoreData { .. } | Error::ResponseTooLong => reply::BAD_LINE,
                Error::UnknownCommand | Error::InvalidResponse { .. } => reply::UNKNOWN_COMMAND,
            }),
        }
    }

    /// A line that is longer than any may be.
    pub fn too_long(&mut self) -> Next {
        self.fault(reply::BAD_LINE)
    }

    /// Whether a part of a mail has come by BDAT.
    pub fn in_chunks(&self) -> bool {
        self.chunks
    }

    /// The mail that has come whole. The next one begins.
    pub fn ended(&mut self) -> Envelope {
        self.mails += 1;
        self.chunks = false;
        let nobody = || Envelope {
            peer: self.peer,
            hello: String::new(),
            from: String::new(),
            recipients: Vec::new(),
            unproven: false,
        };
        self.envelope.take().unwrap_or_else(nobody)
    }

    /// The mail is given up; the next one begins.
    pub fn forget(&mut self) {
        self.envelope = None;
        self.chunks = false;
    }

    fn request(&mut self, request: Request<Cow<'_, str>>, standing: &dyn Fn(&str) -> Standing) -> Next {
        match request {
            Request::Ehlo { host } => {
                self.greeted = Some(host.into_owned());
                self.forget();
                Next::Introduce(self.introduction())
            }
            Request::Helo { host } => {
                self.greeted = Some(host.into_owned());
                self.forget();
                Next::Say(reply::OK)
            }
            Request::Mail { from } => self.mail(&from),
            Request::Rcpt { to } => self.recipient(&to, standing),
            Request::Data => self.data(),
            Request::Bdat { chunk_size, is_last } => self.chunk(chunk_size, is_last),
            Request::StartTls if self.secure => self.fault(reply::SECURE_ALREADY),
            Request::StartTls if self.can_secure => Next::Secure,
            Request::Rset => {
                self.forget();
                Next::Say(reply::RESET)
            }
            Request::Noop { .. } => Next::Say(reply::OK),
            Request::Help { .. } => Next::Say(reply::HELP),
            Request::Vrfy { .. } => Next::Say(reply::NOT_TOLD),
            Request::Quit => Next::Leave(reply::BYE),
            Request::StartTls
            | Request::Auth { .. }
            | Request::Expn { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. }
            | Request::Lhlo { .. } => self.fault(reply::NOT_OFFERED),
        }
    }

    fn introduction(&self) -> Vec<String> {
        let mut lines = vec![self.host.to_owned()];
        lines.extend(
            ["PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"].map(str::to_owned),
        );
        lines.push(format!("SIZE {}", self.bounds.mail_bytes_max));
        if self.can_secure {
            lines.push("STARTTLS".to_owned());
        }
        lines
    }

    fn mail(&mut self, from: &MailFrom<Cow<'_, str>>) -> Next {
        let Some(hello) = self.greeted.clone() else { return self.fault(reply::HELLO_FIRST) };
        if self.envelope.is_some() {
            return self.fault(reply::ONE_MAIL);
        }
        if self.mails >= self.bounds.mails_max {
            return Next::Leave(reply::TOO_MANY_MAILS);
        }
        if from.size > self.bounds.mail_bytes_max {
            return self.fault(reply::TOO_LARGE);
        }
        if from.flags & MAIL_BODY_BINARYMIME != 0 {
            return self.fault(reply::BAD_PARAMETER);
        }
        self.envelope = Some(Envelope {
            peer: self.peer,
            hello,
            from: from.address.as_ref().to_owned(),
            recipients: Vec::new(),
            unproven: false,
        });
        Next::Say(reply::SENDER_OK)
    }

    fn recipient(&mut self, to: &RcptTo<Cow<'_, str>>, standing: &dyn Fn(&str) -> Standing) -> Next {
        if self.chunks {
            return self.fault(reply::IN_CHUNKS);
        }
        let Some(envelope) = &mut self.envelope else { return self.fault(reply::MAIL_FIRST) };
        let address = to.address.as_ref();
        match standing(address) {
            // Whoever tries many addresses is soon told to go.
            Standing::Unknown => return self.fault(reply::NO_SUCH_ADDRESS),
            Standing::NotNow => return Next::Say(reply::NOT_NOW),
            Standing::Unrecorded => return Next::Say(reply::NOT_PROVEN),
            // One answer is given for a mail: what is taken for one and not for another would be lost for that one.
            Standing::Unproven | Standing::Known if envelope.unproven => return Next::Say(reply::ALONE),
            Standing::Unproven if !envelope.recipients.is_empty() => return Next::Say(reply::ALONE),
            Standing::Unproven => envelope.unproven = true,
            Standing::Known => {}
        }
        if envelope.recipients.len() >= self.bounds.recipients_max {
            return Next::Say(reply::TOO_MANY_RECIPIENTS);
        }
        if !envelope.recipients.iter().any(|known| known.eq_ignore_ascii_case(address)) {
            envelope.recipients.push(address.to_owned());
        }
        Next::Say(reply::RECIPIENT_OK)
    }

    fn data(&mut self) -> Next {
        match &self.envelope {
            None => self.fault(reply::MAIL_FIRST),
            Some(_) if self.chunks => self.fault(reply::IN_CHUNKS),
            Some(envelope) if envelope.recipients.is_empty() => self.fault(reply::RECIPIENT_FIRST),
            Some(_) => Next::Data,
        }
    }

    /// A chunk is read even when it is refused: its bytes are no commands.
    fn chunk(&mut self, bytes: usize, last: bool) -> Next {
        let refused = match &self.envelope {
            None => Some(reply::MAIL_FIRST),
            Some(envelope) if envelope.recipients.is_empty() => Some(reply::RECIPIENT_FIRST),
            Some(_) => None,
        };
        self.errors += usize::from(refused.is_some());
        if self.errors > self.bounds.errors_max {
            return Next::Leave(reply::TOO_MANY_ERRORS);
        }
        self.chunks |= refused.is_none();
        Next::Chunk { bytes, last, refused }
    }

    fn fault(&mut self, reply: Reply) -> Next {
        self.errors += 1;
        if self.errors > self.bounds.errors_max {
            Next::Leave(reply::TOO_MANY_ERRORS)
        } else {
            Next::Say(reply)
        }
    }
}

#[cfg(test)]
mod tests;
