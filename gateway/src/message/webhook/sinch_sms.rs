//! Sinch's SMS API (batches): texts by JSON, proven by the name and the password that the callback was given. Nothing is
//! signed: keep it behind HTTPS.

use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, json, proof, unparsed};
use crate::message::{Content, MediaLink};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    proof::basic(arrived.headers, credentials.secrets)
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    let Some(body) = json::body(arrived) else { return unparsed(Channel::Sms, arrived) };
    let kind = json::text(&body, "/type").unwrap_or("event");
    let told = match kind {
        "mo_text" | "mo_media" => received(&body),
        "recipient_delivery_report_sms" | "recipient_delivery_report_mms" => report(&body),
        _ => None,
    };
    vec![told.unwrap_or_else(|| json::part(Channel::Sms, &format!("sinch_sms.{kind}"), &body))]
}

fn received(body: &Value) -> Option<Incoming> {
    let id = json::string(body, "/id")?;
    // The body of an MMS is an object.
    let text = json::string(body, "/body").or_else(|| json::string(body, "/body/message"));
    let media = json::list(body, "/body/media").iter().filter_map(|file| {
        let (link, media_type) = (json::string(file, "/url")?, json::string(file, "/content_type"));
        Some(MediaLink { link, media_type, file_name: None })
    });
    let content = Content {
        message_id: id.clone(),
        text: text.unwrap_or_default(),
        subject: json::string(body, "/body/subject"),
        media: media.collect(),
        ..Content::default()
    };
    Some(Incoming {
        id,
        channel: Channel::Sms,
        customer: json::number(json::text(body, "/from")?),
        address: json::number(json::text(body, "/to")?),
        at: json::time(body, "/received_at"),
        what: What::Message(Box::new(content)),
    })
}

/// A report on one receiver of a batch; it does not say from which number of ours it went.
fn report(body: &Value) -> Option<Incoming> {
    let (batch, to) = (json::string(body, "/batch_id")?, json::text(body, "/recipient")?);
    let status = json::string(body, "/status")?;
    Some(Incoming {
        id: format!("{batch}/{to}/{status}"),
        channel: Channel::Sms,
        customer: json::number(to),
        address: String::new(),
        at: json::time(body, "/at"),
        what: What::Delivery {
            message: batch,
            status,
            error: json::scalar(body, "/code").filter(|code| code != "0"),
        },
    })
}
