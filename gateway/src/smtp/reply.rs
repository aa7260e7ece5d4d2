//! What is said to a mail server: a code (RFC 5321 §4.2), an enhanced one (RFC 3463), and words.

/// One reply, of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The code.
    pub code: u16,
    /// The enhanced code; empty where RFC 2034 §4 has none.
    pub enhanced: &'static str,
    /// What it means, for people.
    pub text: &'static str,
}

impl Reply {
    const fn new(code: u16, enhanced: &'static str, text: &'static str) -> Self {
        Self { code, enhanced, text }
    }

    /// Adds it to what is to be sent.
    pub fn write(self, output: &mut Vec<u8>) {
        let Self { code, enhanced, text } = self;
        let gap = if enhanced.is_empty() { "" } else { " " };
        output.extend_from_slice(format!("{code} {enhanced}{gap}{text}\r\n").as_bytes());
    }

    /// Whether the client is told to do otherwise, now or for good.
    pub fn is_refusal(self) -> bool {
        self.code >= 400
    }
}

pub(super) const OK: Reply = Reply::new(250, "2.0.0", "OK");
pub(super) const RESET: Reply = Reply::new(250, "2.0.0", "Forgotten");
pub(super) const SENDER_OK: Reply = Reply::new(250, "2.1.0", "Go on");
pub(super) const RECIPIENT_OK: Reply = Reply::new(250, "2.1.5", "Known");
pub(super) const CHUNK_OK: Reply = Reply::new(250, "2.0.0", "Go on");
pub(super) const KEPT: Reply = Reply::new(250, "2.0.0", "Kept");
pub(super) const BYE: Reply = Reply::new(221, "2.0.0", "Goodbye");
pub(super) const READY: Reply = Reply::new(220, "2.0.0", "Ready for TLS");
pub(super) const SEND: Reply = Reply::new(354, "", "Send the mail, and end it with a line of one dot");
pub(super) const NOT_TOLD: Reply = Reply::new(252, "2.5.2", "Nothing is told of addresses; send the mail");
pub(super) const HELP: Reply = Reply::new(214, "2.0.0", "This server takes mail for its own addresses");

pub(super) const STOPPING: Reply = Reply::new(421, "4.3.2", "Going down; try again");
pub(super) const TOO_LATE: Reply = Reply::new(421, "4.4.2", "Too long without a word");
pub(super) const TOO_MANY_CONNECTIONS: Reply = Reply::new(421, "4.7.0", "Too many connections; try again");
pub(super) const TOO_MANY_ERRORS: Reply = Reply::new(421, "4.7.0", "Too many errors");
pub(super) const TOO_MANY_MAILS: Reply = Reply::new(421, "4.7.0", "Enough for one connection; come again");
pub(super) const NO_MEMORY: Reply = Reply::new(452, "4.3.1", "Too much at once; try again");
pub(super) const NOT_KEPT: Reply = Reply::new(451, "4.3.0", "Not kept; try again");
pub(super) const NOT_NOW: Reply = Reply::new(451, "4.2.1", "This address takes no mail now; try again");
pub(super) const NOT_PROVEN: Reply = Reply::new(
    451,
    "4.7.1",
    "This address is not verified yet, and takes only what helps with it; try again",
);
pub(super) const ALONE: Reply =
    Reply::new(452, "4.5.3", "This address is not verified yet: send its mail by itself");
pub(super) const TOO_MANY_RECIPIENTS: Reply =
    Reply::new(452, "4.5.3", "Too many recipients; send the mail again");

pub(super) const UNKNOWN_COMMAND: Reply = Reply::new(500, "5.5.1", "No such command");
pub(super) const BAD_LINE: Reply =
    Reply::new(500, "5.5.2", "Lines end in CR LF, have no other CR, and are shorter");
pub(super) const BAD_SYNTAX: Reply = Reply::new(501, "5.5.4", "Not understood");
pub(super) const BAD_SENDER: Reply = Reply::new(501, "5.1.7", "Not an address");
pub(super) const BAD_RECIPIENT: Reply = Reply::new(501, "5.1.3", "Not an address");
pub(super) const BAD_PARAMETER: Reply = Reply::new(555, "5.5.4", "A parameter is not supported");
pub(super) const NOT_OFFERED: Reply = Reply::new(502, "5.5.1", "Not offered here");
pub(super) const HELLO_FIRST: Reply = Reply::new(503, "5.5.1", "Say EHLO first");
pub(super) const MAIL_FIRST: Reply = Reply::new(503, "5.5.1", "Say MAIL first");
pub(super) const ONE_MAIL: Reply = Reply::new(503, "5.5.1", "A mail is begun already");
pub(super) const RECIPIENT_FIRST: Reply = Reply::new(503, "5.5.1", "No recipient is known");
pub(super) const IN_CHUNKS: Reply =
    Reply::new(503, "5.5.1", "The mail is begun with BDAT; end it so, or say RSET");
pub(super) const SECURE_ALREADY: Reply = Reply::new(503, "5.5.1", "TLS is in use");
pub(super) const NO_SUCH_ADDRESS: Reply = Reply::new(550, "5.1.1", "No such address here");
pub(super) const TOO_LARGE: Reply = Reply::new(552, "5.3.4", "The mail is too large");
pub(super) const BARE: Reply = Reply::new(554, "5.6.0", "A CR or LF stands alone in the mail");
pub(super) const SPOKE_FIRST: Reply = Reply::new(554, "5.5.0", "You spoke before you were greeted");
pub(super) const TOO_EARLY: Reply = Reply::new(554, "5.5.1", "The mail came before it was asked for");
