//! A text to the caller, by the carrier of the number that was called.

#![expect(clippy::wildcard_enum_match_arm, reason = "what it is not waiting for is ignored")]

use std::time::Instant;

use super::{Go, State, Turn, broken, to};
use crate::{
    journey::{action::Action, scope::in_seconds, told::Told},
    plan::{NodeIndex, node::Node},
};

/// How long a carrier may take, in seconds.
const SENDING_SECONDS: u32 = 10;

pub(super) fn send(node: &Node<NodeIndex>, turn: &mut Turn<'_>) -> Go {
    let Node::SendSms { text, error, .. } = node else { return broken() };
    let from = &turn.scope.contact.from;
    if from.anonymous || from.number.is_none() {
        turn.note("no text: the caller has no number".to_owned());
        return to(*error, "error");
    }
    let request = turn.scope.requests.wrapping_add(1);
    turn.scope.requests = request;
    turn.out.push(Action::SendSms { request, text: turn.scope.fill(text) });
    Go::Wait(State::Sms { request, until: in_seconds(turn.now, SENDING_SECONDS) })
}

pub(super) fn go_on(
    node: &Node<NodeIndex>,
    (request, until): (u32, Instant),
    told: Told<'_>,
    turn: &mut Turn<'_>,
) -> Go {
    let Node::SendSms { success, error, .. } = node else { return broken() };
    match told {
        Told::SmsSent { request: answered, sent } if answered == request => {
            if sent {
                to(*success, "success")
            } else {
                to(*error, "error")
            }
        }
        told if turn.is_due(until, told) => to(*error, "error"),
        _ => Go::Wait(State::Sms { request, until }),
    }
}
