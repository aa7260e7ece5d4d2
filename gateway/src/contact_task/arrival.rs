//! What a call that has just arrived means: the contact, and the beginning of its record.

use sip_proto::endpoint::{HangUpCause, Party};
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    id::ContactId,
    outcome::{Outcome, Reason, Side},
    time::Now,
};

use crate::{journal::ContactStart, leg::ArrivingCall};

/// The contact an INVITE makes. What the invite asserts is believed: it was taken from calls of
/// trunks that are not trusted.
pub(super) fn contact_of(call: &ArrivingCall, id: ContactId, seed: u64, now: Now) -> Contact {
    let invite = &call.invite;
    let to = match E164::from_user_part(&invite.user) {
        Some(number) => Address::Number(number),
        None => Address::Text(invite.user.as_str().into()),
    };
    let party = invite.asserted.as_ref().unwrap_or(&invite.from);
    let nameless = party.user.is_empty() || party.user.eq_ignore_ascii_case("anonymous");
    let anonymous = invite.private || nameless;
    let from = Caller { number: E164::from_user_part(&party.user), text: party.user.clone(), anonymous };
    Contact { id, channel: Channel::Voice, to, from, arrived: now, seed }
}

/// What a cause means for the contact. `Completed` is refined by the journey, which knows where it was.
pub(super) fn outcome_of(cause: HangUpCause) -> Outcome {
    match cause {
        HangUpCause::Cancelled => Outcome::new(Side::Caller, Reason::Cancelled),
        HangUpCause::Bye => Outcome::new(Side::Caller, Reason::Completed),
        HangUpCause::NoAck | HangUpCause::SessionExpired => {
            Outcome::new(Side::Carrier, Reason::SignallingTimeout)
        }
        HangUpCause::MediaRefused => Outcome::new(Side::Carrier, Reason::MediaRefused),
    }
}

/// Who diverted a call: a number where it is one.
fn diverter(party: &Party) -> Option<String> {
    let number = E164::from_user_part(&party.user).map(|number| number.to_string());
    let text = number.unwrap_or_else(|| party.user.chars().take(DIVERTER_CHARS_MAX).collect());
    (!text.is_empty()).then_some(text)
}

/// More than any number or name of a telephone.
const DIVERTER_CHARS_MAX: usize = 128;

pub(super) fn start_of(call: &ArrivingCall, contact: &Contact, revision: u64) -> ContactStart {
    let to = match &contact.to {
        Address::Number(number) => number.to_string(),
        Address::Text(text) => text.to_string(),
    };
    let from = match contact.from.number {
        Some(number) => number.to_string(),
        None => contact.from.text.clone(),
    };
    ContactStart {
        channel: Channel::Voice,
        from,
        entry_point: Some(to.clone()),
        to,
        arrived: contact.arrived.wall,
        // The draft has none.
        revision: Some(revision).filter(|revision| *revision > 0),
        trunk: Some(call.trunk.clone()),
        call_id: Some(call.invite.call_id.clone()),
        diverted_from: call.invite.diverted_from.as_ref().and_then(diverter),
        callback: None,
    }
}
