//! Requests of ours outside calls: OPTIONS as a ping (RFC 3261 §11), REGISTER (RFC 3261 §10), and their like.
//!
//! Each is a non-INVITE client transaction (RFC 3261 §17.1.2) and ends with exactly one [`Reply`]. A challenge
//! (401, 407) that can be answered takes another transaction, which the application does not see.

use std::time::{Duration, Instant};

use super::{
    Endpoint, Outputs, Path,
    outgoing::{CallError, retry_after, target_uri},
    tables::{ClientMachine, Handle},
};
use crate::{
    builder::{clean, finish, line},
    digest::Login,
    header::HeaderName,
    lex::number,
    message::{Message, Method},
    uri::Uri,
};

/// A request outside calls.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// What the application knows it by; stands in its [`Reply`].
    pub id: u64,
    /// Where it goes, and from which of our listeners.
    pub path: Path,
    /// Its method; INVITE, ACK and CANCEL are none of this kind.
    pub method: Method,
    /// The Request-URI.
    pub uri: String,
    /// The URI of From; empty stands for our own address.
    pub from: String,
    /// The URI of To.
    pub to: String,
    /// The user part of a Contact header with our own address; none for no such header.
    pub contact_user: Option<String>,
    /// Further headers: name and value. Line ends in values become spaces.
    pub headers: Vec<(&'static str, String)>,
    /// Who we are, if the other side asks.
    pub login: Option<Login>,
    /// What it goes on; none begins anew.
    pub series: Option<Series>,
    /// How long an answer is waited for; never longer than 64·T1 (Timer F).
    pub patience: Duration,
}

/// What the requests of one series share (RFC 3261 §10.2.4: one Call-ID, growing numbers).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    call_id: String,
    tag: String,
    cseq: u32,
}

/// What came of a request outside calls.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The id of the [`Inquiry`].
    pub id: u64,
    /// The status of the final response; 408 when none came, 503 when the request could not be sent
    /// (RFC 3261 §8.1.3.1).
    pub status: u16,
    /// Seconds of a Retry-After header.
    pub retry_after_seconds: Option<u32>,
    /// Seconds of a Min-Expires header, which a 423 carries (RFC 3261 §10.3).
    pub min_expires_seconds: Option<u32>,
    /// Seconds for which our own Contact is registered, as a 2xx says: by the parameter of that Contact, else by
    /// the Expires header (RFC 3261 §10.2.4); none when it says neither.
    pub granted_seconds: Option<u32>,
    /// What servers have asked of us so far: the next request proves itself at once.
    pub login: Option<Login>,
    /// What the next request of the series goes on.
    pub series: Series,
}

impl Endpoint {
    /// Sends a request outside calls; its [`Reply`] stands in [`Outputs::replies`].
    ///
    /// # Errors
    /// [`CallError`], and then nothing was sent and no reply comes.
    pub fn inquire(&mut self, now: Instant, inquiry: Inquiry, out: &mut Outputs) -> Result<(), CallError> {
        target_uri(&inquiry.uri)?;
        if matches!(inquiry.method, Method::Invite | Method::Ack | Method::Cancel) {
            return Err(CallError::Kind);
        }
        let series = match inquiry.series.clone() {
            Some(series) => series,
            None => Series {
                call_id: format!("{:032x}", rand::Rng::random::<u128>(&mut self.rng)),
                tag: self.new_tag(),
                cseq: rand::Rng::random_range(&mut self.rng, 1..1 << 20),
            },
        };
        self.send_inquiry(now, Box::new(inquiry), series, out).map_err(|_| CallError::Full)
    }

    /// Sends it, for the first time or with what proves us; given back when there is no room.
    fn send_inquiry(
        &mut self,
        now: Instant,
        mut inquiry: Box<Inquiry>,
        mut series: Series,
        out: &mut Outputs,
    ) -> Result<(), (Box<Inquiry>, Series)> {
        if self.clients.len() >= self.settings.transactions_max {
            return Err((inquiry, series));
        }
        let (path, method) = (inquiry.path, inquiry.method);
        let (via, branch) = self.new_via(&path);
        let cnonce = rand::Rng::random(&mut self.rng);
        series.cseq = series.cseq.wrapping_add(1);
        let login = inquiry.login.as_mut();
        let proof = login.map(|login| login.headers(method.as_str(), inquiry.uri.as_bytes(), cnonce));
        let contact = self.own_contact(&inquiry);
        let from = if inquiry.from.is_empty() { self.own_uri(&inquiry) } else { clean(&inquiry.from) };
        let bytes = out
            .message(path, |buffer| {
                let name = method.as_str();
                buffer.extend_from_slice(format!("{name} {} SIP/2.0\r\n", clean(&inquiry.uri)).as_bytes());
                let Series { call_id, tag, cseq } = &series;
                let mut text = |name: &str, value: String| line(buffer, name, clean(&value).as_bytes());
                text("Via", via);
                text("Max-Forwards", "70".to_owned());
                text("From", format!("<{from}>;tag={tag}"));
                text("To", format!("<{}>", inquiry.to));
                text("Call-ID", call_id.clone());
                text("CSeq", format!("{cseq} {name}"));
                contact.into_iter().for_each(|contact| text("Contact", contact));
                inquiry.headers.iter().for_each(|(name, value)| text(name, value.clone()));
                proof.into_iter().flatten().for_each(|(name, value)| text(name, value));
                finish(buffer, None);
            })
            .into();
        let cseq = series.cseq;
        let sent = self.keep_client(now, (path, method, branch.as_bytes()), (None, cseq), bytes);
        let Some(entry) = sent.and_then(|sent| self.clients.entry(sent)) else {
            return Err((inquiry, series));
        };
        if let ClientMachine::Other(machine) = &mut entry.machine {
            machine.give_up_within(now, inquiry.patience, &self.settings.timers);
        }
        entry.inquiry = Some((inquiry, series));
        sent.into_iter().for_each(|sent| self.wake_client(sent));
        Ok(())
    }

    /// Takes what a transaction was begun for, when that was a request outside calls.
    pub(super) fn inquiry_of(&mut self, transaction: Handle) -> Option<(Box<Inquiry>, Series)> {
        self.clients.entry(transaction)?.inquiry.take()
    }

    /// The final response to a request outside calls.
    pub(super) fn inquiry_answered(
        &mut self,
        now: Instant,
        (mut inquiry, series): (Box<Inquiry>, Series),
        status: u16,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let asked = matches!(status, 401 | 407);
        if asked && inquiry.login.as_mut().is_some_and(|login| login.challenged(message)) {
            if let Err((inquiry, series)) = self.send_inquiry(now, inquiry, series, out) {
                out.replies.push(Reply::without(503, *inquiry, series));
            }
            return;
        }
        if !asked && let Some(login) = &mut inquiry.login {
            login.accepted();
        }
        let seconds = |name| message.header(name).and_then(number);
        let granted = (200..300).contains(&status).then(|| self.granted(&inquiry, message)).flatten();
        out.replies.push(Reply {
            retry_after_seconds: retry_after(message),
            min_expires_seconds: seconds(HeaderName::MinExpires),
            granted_seconds: granted.or_else(|| seconds(HeaderName::Expires)),
            ..Reply::without(status, *inquiry, series)
        });
    }

    /// Seconds for which our own Contact stands in a response.
    fn granted(&self, inquiry: &Inquiry, message: &Message<'_>) -> Option<u32> {
        let own = self.contact_host(inquiry.path.listener, inquiry.path.peer);
        let is_own = |uri: &Uri<'_>| {
            let host = std::str::from_utf8(uri.host).ok().and_then(|host| host.parse().ok());
            let user = inquiry.contact_user.as_deref().map(str::as_bytes);
            host == Some(own.ip()) && uri.port.unwrap_or(5060) == own.port() && uri.user == user
        };
        let mut contacts = message.contacts();
        contacts.find(|contact| is_own(&contact.uri)).and_then(|own| number(own.param("expires")?))
    }

    fn own_contact(&self, inquiry: &Inquiry) -> Option<String> {
        let user = inquiry.contact_user.as_ref()?;
        let secure = inquiry.uri.starts_with("sips:");
        Some(self.contact_as(&format!("{user}@"), inquiry.path, secure))
    }

    fn own_uri(&self, inquiry: &Inquiry) -> String {
        format!("sip:{}", self.contact_host(inquiry.path.listener, inquiry.path.peer))
    }
}

impl Reply {
    /// What we conclude without a response.
    pub(super) fn without(status: u16, inquiry: Inquiry, series: Series) -> Self {
        let Inquiry { id, login, .. } = inquiry;
        Self {
            id,
            status,
            retry_after_seconds: None,
            min_expires_seconds: None,
            granted_seconds: None,
            login,
            series,
        }
    }
}
