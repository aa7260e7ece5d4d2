//! Twilio: SMS, MMS and WhatsApp by form posts.
//!
//! Signed with HMAC-SHA1 over the address and the sorted parameters (`X-Twilio-Signature`); there is no timestamp in
//! it, so that replays are recognised by the message's id alone.

use std::{borrow::Cow, collections::BTreeSet};

use axum::http::Method;
use ring::hmac;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, header, other, proof, unparsed};
use crate::message::{Content, MediaLink};

/// No answer to the customer.
pub(super) const ACCEPTED: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";

/// Most files of one MMS (the provider's own bound is 10).
const MEDIA_MAX: usize = 32;

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    let signature = proof::base64(header(arrived.headers, "x-twilio-signature")?).ok_or(Refused::Unsigned)?;
    // A value that comes twice is signed once; parameters are sorted by name, then by value.
    let parameters: BTreeSet<_> = form_urlencoded::parse(arrived.body).collect();
    let mut addresses = vec![arrived.url.to_owned()];
    addresses.extend(other_port(arrived.url));
    for address in &mut addresses {
        if !arrived.query.is_empty() {
            address.push('?');
            address.push_str(arrived.query);
        }
    }
    let good = |secret: &String, address: &String| {
        let mut parts = vec![address.as_bytes()];
        parts.extend(parameters.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
        proof::is_hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes(), &parts, &signature)
    };
    let proven =
        credentials.secrets.iter().any(|secret| addresses.iter().any(|address| good(secret, address)));
    if proven { Ok(()) } else { Err(Refused::WrongSignature) }
}

/// The address with the scheme's own port if it names none, and without if it names that: which of them is signed
/// depends on the path that the request took.
fn other_port(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.strip_suffix(port) {
        Some(bare) => Some(format!("{scheme}://{bare}{path}")),
        None if host.rsplit(']').next().is_some_and(|end| end.contains(':')) => None,
        None => Some(format!("{scheme}://{host}{port}{path}")),
    }
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let by_get = arrived.method == Method::GET;
    let sent = if by_get { arrived.query.as_bytes() } else { arrived.body };
    let form = Form(form_urlencoded::parse(sent).collect());
    let sid = form.get("MessageSid").or_else(|| form.get("SmsSid"));
    let (Some(sid), Some(from), Some(to)) = (sid, form.get("From"), form.get("To")) else {
        return match by_get {
            true => vec![other(Channel::Sms, "unparsed", arrived.query, proof::fingerprint(sent))],
            false => unparsed(Channel::Sms, arrived),
        };
    };
    let channel = if from.starts_with("whatsapp:") { Channel::Whatsapp } else { Channel::Sms };
    let bare = |text: &str| text.strip_prefix("whatsapp:").unwrap_or(text).to_owned();
    let (from, to) = (bare(from), bare(to));
    let status = form.get("MessageStatus").or_else(|| form.get("SmsStatus")).unwrap_or("received");
    if status != "received" && status != "receiving" {
        // A report on a message of ours: From is ours there.
        let what = What::Delivery {
            message: sid.to_owned(),
            status: status.to_owned(),
            error: form.get("ErrorCode").map(str::to_owned),
        };
        return vec![Incoming {
            id: format!("{sid}/{status}"),
            channel,
            customer: to,
            address: from,
            at: None,
            what,
        }];
    }
    let raw = || String::from_utf8_lossy(sent);
    if form.get("Body").is_none() && form.get("NumMedia").is_none() {
        return vec![other(channel, "unknown", &raw(), format!("{sid}/{}", proof::fingerprint(sent)))];
    }
    let message = Incoming {
        id: sid.to_owned(),
        channel,
        customer: from.clone(),
        address: to.clone(),
        at: None,
        what: What::Message(Box::new(form.content(sid))),
    };
    let opt_out = form.get("OptOutType").and_then(|kind| match kind {
        "STOP" => Some(true),
        "START" => Some(false),
        _ => None,
    });
    let noted = opt_out.map(|out| Incoming {
        id: format!("{sid}/opt_out"),
        channel,
        customer: from,
        address: to,
        at: None,
        what: What::OptOut { out },
    });
    // The message first: it was received before the opt-out was noted.
    std::iter::once(message).chain(noted).collect()
}

struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Form<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_ref())
    }

    fn content(&self, sid: &str) -> Content {
        let some = |name: &str| self.get(name).filter(|text| !text.is_empty()).map(str::to_owned);
        let files = self.get("NumMedia").and_then(|count| count.parse().ok()).unwrap_or(0_usize);
        let media = (0..files.min(MEDIA_MAX)).filter_map(|index| {
            let link = some(&format!("MediaUrl{index}"))?;
            Some(MediaLink { link, media_type: some(&format!("MediaContentType{index}")), file_name: None })
        });
        Content {
            message_id: sid.to_owned(),
            text: self.get("Body").unwrap_or_default().to_owned(),
            name: some("ProfileName"),
            reply_to: some("OriginalRepliedMessageSid"),
            payload: some("ButtonPayload"),
            media: media.collect(),
            ..Content::default()
        }
    }
}
