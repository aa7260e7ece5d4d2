//! Who had a call before it was diverted to us: Diversion (RFC 5806) and History-Info (RFC 7044).

use crate::{
    header::{HeaderName, NameAddr},
    lex::trim,
    message::Message,
};

/// Entries that are looked at; a loop of diversions makes no more of one call.
const ENTRIES_MAX: usize = 32;

/// Who diverted the call last, unless they want that withheld.
pub(super) fn diverted_from<'a>(message: &Message<'a>) -> Option<NameAddr<'a>> {
    // RFC 5806 §4: the newest stands on top.
    match message.elements(HeaderName::Diversion).find_map(NameAddr::parse) {
        Some(newest) => (!is_withheld(&newest)).then_some(newest),
        None => from_history(message),
    }
}

/// The entry before the newest one that a diversion made: such a URI has a `cause` (RFC 7044 §10.1, RFC 4458 §2.2).
fn from_history<'a>(message: &Message<'a>) -> Option<NameAddr<'a>> {
    let entries = message.elements(HeaderName::HistoryInfo).take(ENTRIES_MAX);
    let entries: Vec<NameAddr<'a>> = entries.filter_map(NameAddr::parse).collect();
    let place = entries.iter().rposition(|entry| entry.uri.param("cause").is_some())?;
    let made = entries.get(place)?;
    // `mp` and `rc` say from which entry; without either it is the one before.
    let named = ["mp", "rc"].into_iter().find_map(|name| made.param(name)).map(trim);
    let diverter = match named {
        Some(index) => entries.iter().find(|entry| entry.param("index").map(trim) == Some(index)),
        None => place.checked_sub(1).and_then(|before| entries.get(before)),
    };
    diverter.copied().filter(|entry| !is_withheld(entry))
}

/// A diverter who wants privacy: by `privacy` (RFC 5806 §4.3) or by the header in the URI (RFC 7044 §10.1.2).
fn is_withheld(entry: &NameAddr<'_>) -> bool {
    let asked = entry.param("privacy").map(trim).is_some_and(|privacy| {
        let plain =
            privacy.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\"")).unwrap_or(privacy);
        !plain.eq_ignore_ascii_case(b"off")
    });
    let header = entry.uri.headers.unwrap_or_default();
    let withheld = header.split(|&byte| byte == b'&').any(|header| {
        let mut parts = header.split(|&byte| byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        name.eq_ignore_ascii_case(b"Privacy") && !value.eq_ignore_ascii_case(b"none")
    });
    asked || withheld
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diverter(headers: &str) -> Option<String> {
        let text = format!("INVITE sip:x@198.51.100.9 SIP/2.0\r\n{headers}Content-Length: 0\r\n\r\n");
        let message = Message::parse(text.as_bytes()).ok()?;
        diverted_from(&message).and_then(|entry| entry.uri.user_text())
    }

    #[test]
    fn the_newest_diversion_stands_on_top_and_goes_before_the_history() {
        let newest = "Diversion: \"Shop, Main\" <sip:+14155550177@c.example>;reason=no-answer;counter=1, \
             <sip:+14155550188@c.example>;reason=unconditional\r\n\
             History-Info: <sip:+14155550199@c.example>;index=1,<sip:x@c.example;cause=302>;index=1.1;mp=1\r\n";
        assert_eq!(diverter(newest).as_deref(), Some("+14155550177"));
        assert_eq!(
            diverter("Diversion: <tel:+14155550177>;reason=user-busy\r\n").as_deref(),
            Some("+14155550177")
        );
        assert_eq!(diverter(""), None);
    }

    #[test]
    fn history_tells_of_a_diversion_only_where_an_entry_has_a_cause() {
        let routed = "History-Info: <sip:+14155550100@a.example>;index=1\r\n\
             History-Info: <sip:+14155550100@b.example>;index=1.1;rc=1\r\n";
        assert_eq!(diverter(routed), None);
        let diverted = "History-Info: <sip:+14155550177@a.example?Reason=SIP%3Bcause%3D302>;index=1\r\n\
             History-Info: <sip:+14155550166@a.example;cause=486>;index=1.1;mp=1\r\n\
             History-Info: <sip:+14155550100@a.example;cause=302>;index=1.2;mp=1.1, <sip:+14155550100@us.example>;index=1.2.1;np=1.2\r\n";
        assert_eq!(diverter(diverted).as_deref(), Some("+14155550166"), "the last of them");
        let unnamed = "History-Info: <sip:a@a.example>;index=1,<sip:b@a.example;cause=408>;index=2\r\n";
        assert_eq!(diverter(unnamed).as_deref(), Some("a"));
        assert_eq!(diverter("History-Info: <sip:b@a.example;cause=408>;index=1\r\n"), None);
    }

    #[test]
    fn a_diverter_who_wants_privacy_is_not_told() {
        for header in [
            "Diversion: <sip:+14155550177@c.example>;privacy=full;reason=no-answer",
            "Diversion: <sip:+14155550177@c.example>;privacy=\"uri\"",
            "History-Info: <sip:+14155550177@a.example?Privacy=history>;index=1,<sip:b@a.example;cause=302>;index=1.1;mp=1",
        ] {
            assert_eq!(diverter(&format!("{header}\r\n")), None, "{header}");
        }
        let open = "Diversion: <sip:+14155550177@c.example>;privacy=off\r\n";
        assert_eq!(diverter(open).as_deref(), Some("+14155550177"));
    }
}
