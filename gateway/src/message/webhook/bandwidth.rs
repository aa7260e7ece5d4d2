//! Bandwidth: SMS and MMS by JSON lists, proven by the name and the password that the application was given. Nothing is
//! signed: keep it behind HTTPS.

use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Credentials, Incoming, Refused, What, json, proof, unparsed};
use crate::message::{Content, MediaLink};

pub(super) fn verify(arrived: &Arrived<'_>, credentials: &Credentials<'_>) -> Result<(), Refused> {
    proof::basic(arrived.headers, credentials.secrets)
}

pub(super) fn read(arrived: &Arrived<'_>) -> Vec<Incoming> {
    match json::body(arrived) {
        Some(Value::Array(events)) if !events.is_empty() => events.iter().map(of_event).collect(),
        Some(event @ Value::Object(_)) => vec![of_event(&event)],
        Some(_) | None => unparsed(Channel::Sms, arrived),
    }
}

fn of_event(event: &Value) -> Incoming {
    let kind = json::text(event, "/type").unwrap_or("event");
    let kept = || json::part(Channel::Sms, &format!("bandwidth.{kind}"), event);
    // The owner is the number of ours, in groups too.
    let (Some(message), Some(owner)) =
        (json::string(event, "/message/id"), json::text(event, "/message/owner"))
    else {
        return kept();
    };
    let at = json::time(event, "/time");
    let told = |id: String, customer: &str, what| Incoming {
        id,
        channel: Channel::Sms,
        customer: json::number(customer),
        address: json::number(owner),
        at,
        what,
    };
    if kind == "message-received" {
        let Some(from) = json::text(event, "/message/from") else { return kept() };
        let media = json::list(event, "/message/media").iter().filter_map(Value::as_str);
        let content = Content {
            message_id: message.clone(),
            text: json::string(event, "/message/text").unwrap_or_default(),
            media: media
                .map(|link| MediaLink { link: link.to_owned(), media_type: None, file_name: None })
                .collect(),
            ..Content::default()
        };
        // A group's message has one id for all of our numbers in it.
        return told(format!("{message}/{owner}"), from, What::Message(Box::new(content)));
    }
    let (Some(status), Some(to)) = (kind.strip_prefix("message-"), json::text(event, "/to")) else {
        return kept();
    };
    let error = json::scalar(event, "/errorCode");
    told(
        format!("{message}/{status}/{to}"),
        to,
        What::Delivery { message: message.clone(), status: status.to_owned(), error },
    )
}
