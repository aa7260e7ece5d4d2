//! REFER within a call: the other side asks us to call somebody in its place (RFC 3515, RFC 3891).
//!
//! It is answered with 202 at once, and told by NOTIFY that we try, and what came of it. What to make of it is the
//! application's to decide.

use std::time::Instant;

use super::{
    Endpoint, Event, Outputs, Path, Refer,
    call::{Phase, Referral},
    tables::Handle,
};
use crate::{
    builder::reason_phrase,
    header::{HeaderName, NameAddr},
    lex::trim,
    message::{Message, Method},
    uri::percent_decoded,
};

/// Longest value of a Replaces header that is passed on, in bytes.
const REPLACES_BYTES_MAX: usize = 1024;

impl Endpoint {
    pub(super) fn refer(
        &mut self,
        now: Instant,
        path: Path,
        handle: Handle,
        message: &Message<'_>,
        out: &mut Outputs,
    ) {
        let Some(call) = self.calls.entry(handle) else { return };
        if call.phase != Phase::Answered {
            return self.respond(now, message, path, 403, (&[], None), out);
        }
        if call.referral.is_some() {
            return self.respond(now, message, path, 491, (&[], None), out);
        }
        let refer = match read(message) {
            Ok(refer) => refer,
            Err(status) => return self.respond(now, message, path, status, (&[], None), out),
        };
        let id = message.cseq().map_or(0, |cseq| cseq.number);
        let quiet = message.header(HeaderName::ReferSub).is_some_and(|value| {
            let value = value.split(|byte| *byte == b';').next().unwrap_or_default();
            trim(value).eq_ignore_ascii_case(b"false")
        });
        call.referral = Some(Referral { id, quiet });
        let secure = call.dialog.secure;
        let contact = self.contact(path, secure);
        let mut extra = vec![("Contact", contact.as_str())];
        if quiet {
            extra.push(("Refer-Sub", "false"));
        }
        self.respond(now, message, path, 202, (&extra, None), out);
        self.notify(now, handle, (100, "active;expires=180"), out);
        out.events.push((handle, Event::Refer(Box::new(refer))));
    }

    /// Tells what came of a REFER, which is over with it.
    pub(super) fn tell_referral(&mut self, now: Instant, handle: Handle, status: u16, out: &mut Outputs) {
        self.notify(now, handle, (status, "terminated;reason=noresource"), out);
        if let Some(call) = self.calls.entry(handle) {
            call.referral = None;
        }
    }

    fn notify(&mut self, now: Instant, handle: Handle, (status, state): (u16, &str), out: &mut Outputs) {
        let Some(call) = self.calls.entry(handle) else { return };
        let (path, secure) = (call.path, call.dialog.secure);
        let Some(Referral { id, quiet: false }) = call.referral else { return };
        let (contact, event) = (self.contact(path, secure), format!("refer;id={id}"));
        let extra = [("Event", event.as_str()), ("Subscription-State", state), ("Contact", contact.as_str())];
        let body = format!("SIP/2.0 {status} {}\r\n", reason_phrase(status));
        let body = Some(("message/sipfrag;version=2.0", body.as_bytes()));
        self.send_request(now, handle, Method::Notify, (&extra, body), out);
    }
}

/// What a REFER asks for, or the status that refuses it.
fn read(message: &Message<'_>) -> Result<Refer, u16> {
    let mut values = message.all(HeaderName::ReferTo);
    // Exactly one (RFC 3515 §2.4.1).
    let (Some(value), None) = (values.next(), values.next()) else { return Err(400) };
    let uri = NameAddr::parse(value).map(|to| to.uri).ok_or(400_u16)?;
    // Nobody is asked to do anything but to call.
    if uri.param("method").is_some_and(|method| !method.eq_ignore_ascii_case(b"INVITE")) {
        return Err(403);
    }
    let raw = uri.raw.split(|byte| *byte == b'?').next().unwrap_or_default();
    let target = std::str::from_utf8(raw).map_err(|_| 400_u16)?.to_owned();
    let replaces = uri.headers.map(replaces).transpose()?.flatten();
    let by = message.header(HeaderName::ReferredBy).and_then(NameAddr::parse);
    let by = by.map(|by| String::from_utf8_lossy(by.uri.raw).into_owned());
    Ok(Refer { target, replaces, by })
}

/// The Replaces header among those of a URI, its escapes undone. Others are not passed on.
fn replaces(headers: &[u8]) -> Result<Option<String>, u16> {
    let pair = headers.split(|byte| *byte == b'&').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(at)?;
        name.eq_ignore_ascii_case(b"Replaces").then_some(value.get(1..).unwrap_or_default())
    });
    let Some(value) = pair else { return Ok(None) };
    let value = String::from_utf8(percent_decoded(value)).map_err(|_| 400_u16)?;
    let plain = value.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    let whole = value.contains(";to-tag=") && value.contains(";from-tag=");
    if value.len() > REPLACES_BYTES_MAX || !plain || !whole {
        return Err(400);
    }
    Ok(Some(value))
}
