//! The words by which customers say that they want no more messages, or want them again.
//!
//! A message counts only when it is one of these words and nothing else, in capitals or not.

use serde::Serialize;
use vestibule_routing::channel::Channel;

use super::Incoming;
use crate::message::What;

/// What a word asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Keyword {
    /// No more messages.
    Stop,
    /// Messages again.
    Start,
    /// Who is this?
    Help,
}

const STOP: [&str; 8] = ["STOP", "CANCEL", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT"];
const START: [&str; 3] = ["START", "YES", "UNSTOP"];
const HELP: [&str; 2] = ["HELP", "INFO"];

impl Keyword {
    /// The word that an SMS is; none on other channels, which have ways of their own.
    pub fn of(incoming: &Incoming) -> Option<Self> {
        let What::Message(content) = &incoming.what else { return None };
        if incoming.channel != Channel::Sms || !content.media.is_empty() {
            return None;
        }
        let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(content.text.trim()));
        // The carriers of toll-free numbers do not take YES for an opt-in.
        let yes_counts = !is_toll_free(&incoming.address) || !is(&["YES"]);
        match () {
            () if is(&STOP) => Some(Self::Stop),
            () if is(&START) && yes_counts => Some(Self::Start),
            () if is(&HELP) => Some(Self::Help),
            () => None,
        }
    }
}

/// Whether a number is a toll-free one of North America.
fn is_toll_free(number: &str) -> bool {
    let code = number.strip_prefix("+1").and_then(|rest| rest.get(..3));
    matches!(code, Some("800" | "833" | "844" | "855" | "866" | "877" | "888"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Content;

    fn of(channel: Channel, address: &str, text: &str) -> Option<Keyword> {
        let content = Content { text: text.into(), ..Content::default() };
        Keyword::of(&Incoming {
            id: "m".into(),
            channel,
            customer: "+14155550177".into(),
            address: address.into(),
            at: None,
            what: What::Message(Box::new(content)),
        })
    }

    #[test]
    fn only_a_whole_message_is_a_word() {
        let sms = |text| of(Channel::Sms, "+14155550101", text);
        assert_eq!(sms(" Stop \n"), Some(Keyword::Stop));
        assert_eq!(sms("optout"), Some(Keyword::Stop));
        assert_eq!(sms("unstop"), Some(Keyword::Start));
        assert_eq!(sms("info"), Some(Keyword::Help));
        assert_eq!(sms("please stop"), None);
        assert_eq!(sms("stop."), None);
        assert_eq!(sms(""), None);
    }

    #[test]
    fn yes_is_no_opt_in_on_toll_free_numbers_nor_stop_an_opt_out_elsewhere_than_in_sms() {
        assert_eq!(of(Channel::Sms, "+14155550101", "yes"), Some(Keyword::Start));
        assert_eq!(of(Channel::Sms, "+18885550101", "yes"), None);
        assert_eq!(of(Channel::Sms, "+18885550101", "start"), Some(Keyword::Start));
        assert_eq!(of(Channel::Whatsapp, "+14155550101", "stop"), None);
    }
}
