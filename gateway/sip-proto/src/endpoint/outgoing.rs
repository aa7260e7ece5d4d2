//! A call of ours: its INVITE, what comes back to it, and taking it back (RFC 3261 §13.2, §9.1).
//!
//! `Calling → (progress, early media)* → Answered | Failed`. A challenge (401, 407) and a session interval that
//! is too small for the other side (422) take another INVITE, which the application does not see.

use std::{net::SocketAddr, time::Instant};

use super::{
    CallKey, Endpoint, Event, Failure, Outputs, Party, Path, Reply,
    call::{Call, Cancel, Outgoing, PeerAbilities, Phase, Role},
    respond::{ALLOW, SUPPORTED},
    session_timer,
    tables::Handle,
};
use crate::{
    builder::{clean, finish, line, reason_phrase},
    dialog::{Calling, Dialog},
    digest::Login,
    header::{HeaderName, NameAddr, SessionExpires},
    lex::{number, trim},
    message::{Message, Method, StartLine},
    sdp::{self, Codec, LocalMedia, Srtp},
    uri::{Scheme, Uri, UriError},
};

/// INVITEs sent for one call: the first, one with credentials, one after a stale nonce, one for a longer
/// session interval.
const TRIES_MAX: u8 = 4;

/// Whom to call, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the INVITE goes, and from which of our listeners.
    pub path: Path,
    /// The Request-URI, which is To as well: `sip:`, `sips:` or `tel:`, without headers.
    pub uri: String,
    /// Who calls. An empty host stands for our own address, an empty user for none.
    pub from: Party,
    /// Our media address and port, as the outside sees them.
    pub media: SocketAddr,
    /// Codecs to offer, the most wanted first.
    pub codecs: Vec<Codec>,
    /// Whether media is encrypted.
    pub srtp: Srtp,
    /// Who we are, if the other side asks.
    pub login: Option<Login>,
    /// Further headers of the INVITE: name and value. Line ends in values become spaces.
    pub headers: Vec<(&'static str, String)>,
    /// Hops the INVITE may make: those left of the call it continues, less one; else 70.
    pub max_forwards: u8,
}

/// Why no call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The target is no URI.
    #[error("the target is no SIP URI: {0}")]
    Uri(#[from] UriError),
    /// The target has another scheme than `sip`, `sips` and `tel`, or headers.
    #[error("the target must be a sip, sips or tel URI without headers")]
    Kind,
    /// The call has come round too often (RFC 3261 §16.3).
    #[error("the call has made too many hops")]
    TooManyHops,
    /// As many calls or transactions as there may be.
    #[error("no room for another call")]
    Full,
}

impl Endpoint {
    /// Calls somebody. What comes of it is told as [`Event::Progress`], [`Event::Media`], [`Event::Answered`]
    /// and [`Event::Failed`]; [`Command::HangUp`](super::Command::HangUp) takes it back or ends it, and then
    /// nothing more is told.
    ///
    /// # Errors
    /// [`CallError`], and then nothing was sent.
    pub fn call(&mut self, now: Instant, target: Target, out: &mut Outputs) -> Result<CallKey, CallError> {
        target_uri(&target.uri)?;
        if target.max_forwards == 0 {
            return Err(CallError::TooManyHops);
        }
        let full = self.calls.len() >= self.settings.calls_max;
        if full || self.clients.len() >= self.settings.transactions_max {
            return Err(CallError::Full);
        }
        let call_id = format!("{:032x}", rand::Rng::random::<u128>(&mut self.rng));
        let (tag, from) = (self.new_tag(), self.caller_value(&target));
        let dialog = Dialog::calling(Calling {
            call_id: &call_id,
            local_tag: &tag,
            from: &from,
            uri: &target.uri,
            first_cseq: rand::Rng::random_range(&mut self.rng, 1..1 << 20),
            max_forwards: target.max_forwards,
        });
        let media = LocalMedia {
            address: target.media,
            codecs: target.codecs.clone(),
            srtp: target.srtp,
            session_id: u64::from(rand::Rng::random::<u32>(&mut self.rng)),
            version: 1,
        };
        let call = Call {
            key: None,
            phase: Phase::Early,
            path: target.path,
            dialog,
            invite_cseq: 0,
            description: sdp::offer(&media, &mut self.rng).into(),
            media: Some(media),
            negotiated: None,
            unacknowledged: None,
            hang_up_after_ack: None,
            session: None,
            peer: PeerAbilities::default(),
            refresh: None,
            referral: None,
            min_se: self.settings.min_se_seconds,
            login: target.login.clone().map(Box::new),
            wake_at: None,
            role: Role::Client(Box::new(Outgoing {
                target,
                transaction: None,
                forks: Vec::new(),
                cancel: Cancel::No,
                tries: 0,
                proceeding: false,
            })),
        };
        let handle = self.calls.insert(call).ok_or(CallError::Full)?;
        self.send_invite(now, handle, out);
        Ok(handle)
    }

    /// The Call-ID of a call that is not over.
    pub fn call_id(&mut self, call: CallKey) -> Option<&str> {
        self.calls.entry(call).and_then(|call| std::str::from_utf8(&call.dialog.call_id).ok())
    }

    /// Says that a connection could not be made, or is gone (without a connection: that nothing can be sent to a
    /// peer by this transport). INVITEs that wait for a first answer by it, and requests outside calls, fail at once
    /// with 503 (RFC 3261 §8.1.3.1), everything else by its timers.
    pub fn unreachable(&mut self, path: Path, out: &mut Outputs) {
        let same = |other: &Path| {
            other.transport == path.transport
                && other.connection == path.connection
                && (other.peer == path.peer || path.connection.is_some())
        };
        let stuck = self
            .clients
            .select(|entry| (entry.method == Method::Invite || entry.inquiry.is_some()) && same(&entry.path));
        for transaction in stuck {
            if let Some((inquiry, series)) = self.inquiry_of(transaction) {
                self.forget_client(transaction);
                out.replies.push(Reply::without(503, *inquiry, series));
                continue;
            }
            let call = self.clients.entry(transaction).and_then(|entry| entry.call);
            let Some(call) = call.filter(|call| self.is_calling(*call, transaction)) else { continue };
            self.forget_client(transaction);
            self.not_taken(call, Failure::of_our_own(503), out);
        }
    }

    /// Whether the transaction is the call's INVITE, and nothing has come back yet.
    fn is_calling(&mut self, call: Handle, transaction: Handle) -> bool {
        self.calls
            .entry(call)
            .and_then(Call::outgoing)
            .is_some_and(|outgoing| outgoing.transaction == Some(transaction) && !outgoing.proceeding)
    }

    /// Sends the INVITE, for the first time or with what another try needs.
    fn send_invite(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        let (path, secure) = (call.path, call.dialog.secure);
        let (min_se, body) = (call.min_se, call.description.to_string());
        let Some(outgoing) = call.outgoing() else { return };
        outgoing.tries = outgoing.tries.saturating_add(1);
        outgoing.proceeding = false;
        let headers = outgoing.target.headers.clone();
        let forks = std::mem::take(&mut outgoing.forks);
        self.forget_forks(&forks);
        let expires = self.settings.session_expires_seconds.max(min_se).to_string();
        let (contact, min_se) = (self.contact(path, secure), min_se.to_string());
        let mut extra = vec![
            ("Contact", contact.as_str()),
            ("Allow", ALLOW),
            ("Supported", SUPPORTED),
            ("Session-Expires", expires.as_str()),
            ("Min-SE", min_se.as_str()),
        ];
        extra.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
        let transaction = self.send_request(
            now,
            handle,
            Method::Invite,
            (&extra, Some(("application/sdp", body.as_bytes()))),
            out,
        );
        let cseq = transaction.and_then(|sent| self.clients.entry(sent)).map_or(0, |entry| entry.cseq);
        if let Some(call) = self.calls.entry(handle) {
            call.invite_cseq = cseq;
            if let Some(outgoing) = call.outgoing() {
                outgoing.transaction = transaction;
            }
        }
        if transaction.is_none() {
            self.not_taken(handle, Failure::of_our_own(503), out);
        }
    }

    /// The final refusal of our INVITE, whose ACK is sent: another try, or the end.
    pub(super) fn invite_refused(
        &mut self,
        now: Instant,
        handle: Handle,
        status: u16,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let Some(call) = self.calls.entry(handle) else { return };
        let wanted = call.phase == Phase::Early;
        let proven =
            matches!(status, 401 | 407) && call.login.as_mut().is_some_and(|login| login.challenged(message));
        let longer = status == 422 && raise_min_se(call, message);
        let again = wanted && (proven || longer);
        if again && call.outgoing().is_some_and(|outgoing| outgoing.tries < TRIES_MAX) {
            return self.send_invite(now, handle, out);
        }
        self.not_taken(handle, Failure::of(status, message), out);
    }

    /// A call of ours is over before it was answered.
    pub(super) fn not_taken(&mut self, handle: Handle, failure: Failure, out: &mut Outputs) {
        let told = self.calls.entry(handle).is_some_and(|call| call.phase == Phase::Early);
        if told {
            out.events.push((handle, Event::Failed(Box::new(failure))));
        }
        self.forget_call(handle);
    }

    /// The application wants the call no more before it was answered (RFC 3261 §9.1).
    pub(super) fn take_back(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        call.phase = Phase::Ending;
        let Some(outgoing) = call.outgoing() else { return };
        outgoing.cancel = Cancel::Wanted;
        if outgoing.proceeding {
            self.send_cancel(now, handle, out);
        }
    }

    /// CANCEL: a transaction of its own, with the INVITE's Via, Request-URI and number.
    pub(super) fn send_cancel(&mut self, now: Instant, handle: Handle, out: &mut Outputs) {
        let give_up_at = now.checked_add(self.settings.timers.timeout()).unwrap_or(now);
        let Some(outgoing) = self.calls.entry(handle).and_then(Call::outgoing) else { return };
        let Some(transaction) = outgoing.transaction.filter(|_| outgoing.cancel == Cancel::Wanted) else {
            return;
        };
        outgoing.cancel = Cancel::Sent { give_up_at };
        let Some(entry) = self.clients.entry(transaction) else { return };
        let (invite, path, cseq) = (entry.bytes.clone(), entry.path, entry.cseq);
        let Ok(invite) = Message::parse(&invite) else { return };
        let Some(branch) = invite.top_via().and_then(|via| via.branch) else { return };
        let bytes: Box<[u8]> =
            out.message(path, |buffer| derived(buffer, &invite, &invite, Method::Cancel)).into();
        self.keep_client(now, (path, Method::Cancel, branch), (None, cseq), bytes);
        self.wake_call(handle);
    }

    /// CANCEL was sent, and no final response came.
    pub(super) fn cancel_timeout(&mut self, now: Instant, handle: Handle) {
        let Some(outgoing) = self.calls.entry(handle).and_then(Call::outgoing) else { return };
        let over = matches!(outgoing.cancel, Cancel::Sent { give_up_at } if give_up_at <= now);
        if over && let Some(transaction) = outgoing.transaction {
            self.forget_client(transaction);
            self.forget_call(handle);
        }
    }

    /// The value of From, without its tag.
    fn caller_value(&self, target: &Target) -> String {
        let Party { user, host, display } = &target.from;
        let own = self.contact_host(target.path.listener, target.path.peer);
        let host = if host.is_empty() { ip_text(own) } else { clean(host) };
        let user = if user.is_empty() { String::new() } else { format!("{}@", escaped(user)) };
        let name = if display.is_empty() { String::new() } else { format!("\"{}\" ", quoted(display)) };
        format!("{name}<sip:{user}{host}>")
    }
}

/// What may stand in a request line of ours.
pub(super) fn target_uri(text: &str) -> Result<(), CallError> {
    let uri = Uri::parse(text.as_bytes())?;
    if matches!(uri.scheme, Scheme::Other(_)) || uri.headers.is_some() {
        return Err(CallError::Kind);
    }
    Ok(())
}

/// Seconds of Retry-After. `120 (in a meeting);duration=3600`: the seconds come first.
pub(super) fn retry_after(message: &Message<'_>) -> Option<u32> {
    let value = message.header(HeaderName::RetryAfter).map(trim)?;
    number(value.split(|b| !b.is_ascii_digit()).next()?)
}

/// Takes over what a 422 wants; whether it wants more than we offered (RFC 4028 §7.3).
pub(super) fn raise_min_se(call: &mut Call, message: &Message<'_>) -> bool {
    let wanted = message.header(HeaderName::MinSe).and_then(SessionExpires::parse).map(|min| min.seconds);
    match wanted {
        Some(wanted) if wanted > call.min_se && wanted <= session_timer::SECONDS_MAX => {
            call.min_se = wanted;
            true
        }
        Some(_) | None => false,
    }
}

/// A request made of another one's transaction: CANCEL, or the ACK of a refusal, which has the To of the
/// response (RFC 3261 §9.1, §17.1.1.3).
pub(super) fn derived(buffer: &mut Vec<u8>, invite: &Message<'_>, to: &Message<'_>, method: Method) {
    let StartLine::Request { uri, .. } = invite.start else { return };
    let name = method.as_str().as_bytes();
    buffer.extend_from_slice(&[name, b" ", uri, b" SIP/2.0\r\n"].concat());
    for (name, source) in [
        (HeaderName::Via, invite),
        (HeaderName::Route, invite),
        (HeaderName::From, invite),
        (HeaderName::To, to),
        (HeaderName::CallId, invite),
    ] {
        for value in source.all(name) {
            line(buffer, name.as_str(), value);
        }
    }
    let number = invite.cseq().map_or(0, |cseq| cseq.number).to_string();
    line(buffer, "CSeq", &[number.as_bytes(), b" ", name].concat());
    line(buffer, "Max-Forwards", b"70");
    finish(buffer, None);
}

impl Failure {
    /// What a response says.
    fn of(status: u16, message: &Message<'_>) -> Self {
        let reason = match message.start {
            StartLine::Response { reason, .. } => String::from_utf8_lossy(reason).into_owned(),
            StartLine::Request { .. } => String::new(),
        };
        let contacts = if (300..400).contains(&status) { redirections(message) } else { Vec::new() };
        Self { status, reason, retry_after_seconds: retry_after(message), contacts }
    }

    /// What we conclude without a response.
    pub(super) fn of_our_own(status: u16) -> Self {
        let reason = reason_phrase(status).to_owned();
        Self { status, reason, retry_after_seconds: None, contacts: Vec::new() }
    }
}

/// Where a 3xx sends us, by falling `q` (RFC 3261 §8.1.3.4).
fn redirections(message: &Message<'_>) -> Vec<String> {
    let quality = |contact: &NameAddr<'_>| {
        let q = contact.param("q").and_then(|q| std::str::from_utf8(q).ok()?.parse::<f32>().ok());
        q.filter(|q| q.is_finite()).unwrap_or(1.0)
    };
    let mut contacts: Vec<_> = message.contacts().map(|contact| (quality(&contact), contact)).collect();
    contacts.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    contacts.iter().map(|(_, contact)| String::from_utf8_lossy(contact.uri.raw).into_owned()).collect()
}

/// A user part as it may stand in a URI (RFC 3261 §25.1): everything else is escaped.
fn escaped(user: &str) -> String {
    use std::fmt::Write;
    user.bytes().fold(String::with_capacity(user.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").ok();
        }
        text
    })
}

/// A display name as it may stand between quotes.
fn quoted(display: &str) -> String {
    let plain: String = display.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.replace('\\', "\\\\").replace('"', "\\\"")
}

fn ip_text(address: SocketAddr) -> String {
    match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
