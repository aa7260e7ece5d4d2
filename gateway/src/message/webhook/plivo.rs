//! Plivo: SMS and MMS by form posts or GET, signed with `X-Plivo-Signature-V3` (base64 HMAC-SHA256 over address, sorted
//! query, sorted parameters and a nonce). The older V2 is not taken: it does not cover what is told.
//!
//! There is no timestamp: a replay is recognised by the message's id.

use std::collections::BTreeMap;

use axum::http::Method;
use ring::hmac;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, header, json, other, proof, unparsed};
use crate::message::{Content, MediaLink};

/// Most files of one MMS.
const MEDIA_MAX: usize = 32;
/// Most signatures looked at in one header: one for each of the account's tokens.
const SIGNATURES_MAX: usize = 8;

/// Parameters by name, each with its values.
type Parameters = BTreeMap<String, Vec<String>>;

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    // Of a subaccount's message the main account signs too.
    let own = proven(arrived, credentials, ("x-plivo-signature-v3", "x-plivo-signature-v3-nonce"));
    match own {
        Ok(()) => Ok(()),
        Err(error) => {
            let main = ("x-plivo-signature-ma-v3", "x-plivo-signature-v3-nonce");
            proven(arrived, credentials, main).map_err(|_| error)
        }
    }
}

fn proven(
    arrived: &Arrived<'_>,
    credentials: &Credentials<'_>,
    (signature, nonce): (&str, &str),
) -> Result<(), Refused> {
    let signatures: Vec<_> = header(arrived.headers, signature)?
        .split(',')
        .take(SIGNATURES_MAX)
        .filter_map(|signature| proof::base64(signature.trim()))
        .collect();
    let nonce = header(arrived.headers, nonce)?;
    if signatures.is_empty() {
        return Err(Refused::Unsigned);
    }
    let signed = signed(arrived);
    let parts = [signed.as_bytes(), b".", nonce.as_bytes()];
    let good = |secret: &String| {
        let is =
            |signature: &Vec<u8>| proof::is_hmac(hmac::HMAC_SHA256, secret.as_bytes(), &parts, signature);
        signatures.iter().any(is)
    };
    if credentials.secrets.iter().any(good) { Ok(()) } else { Err(Refused::WrongSignature) }
}

/// The address, then the query, then the parameters of the body, each sorted by name and value.
fn signed(arrived: &Arrived<'_>) -> String {
    let (query, body) = (parameters(arrived.query.as_bytes()), parameters(arrived.body));
    let mut signed = arrived.url.to_owned();
    if !query.is_empty() || !body.is_empty() {
        signed.push('?');
    }
    let pairs = |parameters: &Parameters, between: &str| -> Vec<String> {
        let each = |(name, values): (&String, &Vec<String>)| -> Vec<String> {
            values.iter().map(|value| format!("{name}{between}{value}")).collect()
        };
        parameters.iter().flat_map(each).collect()
    };
    signed.push_str(&pairs(&query, "=").join("&"));
    if !query.is_empty() && !body.is_empty() {
        signed.push('.');
    }
    signed.push_str(&pairs(&body, "").concat());
    signed
}

fn parameters(form: &[u8]) -> Parameters {
    let mut parameters = Parameters::new();
    for (name, value) in form_urlencoded::parse(form) {
        parameters.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    parameters.values_mut().for_each(|values| values.sort_unstable());
    parameters
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let form = if arrived.method == Method::GET { arrived.query.as_bytes() } else { arrived.body };
    let form = parameters(form);
    let get = |name: &str| form.get(name).and_then(|values| values.first()).filter(|text| !text.is_empty());
    let (Some(id), Some(from), Some(to)) = (get("MessageUUID"), get("From"), get("To")) else {
        return match arrived.body {
            [] => {
                let raw = arrived.query;
                vec![other(Channel::Sms, "unparsed", raw, proof::fingerprint(raw.as_bytes()))]
            }
            _ => unparsed(Channel::Sms, arrived),
        };
    };
    let (from, to) = (json::number(from), json::number(to));
    if let Some(status) = get("Status") {
        let what = What::Delivery {
            message: id.clone(),
            status: status.clone(),
            error: get("ErrorCode").filter(|code| *code != "000").cloned(),
        };
        // A report on a message of ours: From is ours there.
        let id = format!("{id}/{status}");
        return vec![Incoming { id, channel: Channel::Sms, customer: to, address: from, at: None, what }];
    }
    let media = (0..MEDIA_MAX).map_while(|index| get(&format!("Media{index}")));
    let content = Content {
        message_id: id.clone(),
        text: get("Text").or_else(|| get("Body")).cloned().unwrap_or_default(),
        media: media
            .map(|link| MediaLink { link: link.clone(), media_type: None, file_name: None })
            .collect(),
        ..Content::default()
    };
    vec![Incoming {
        id: id.clone(),
        channel: Channel::Sms,
        customer: from,
        address: to,
        at: None,
        what: What::Message(Box::new(content)),
    }]
}
