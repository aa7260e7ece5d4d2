//! Inputs: several keys, collected until there are enough.

use super::{Go, Listening, State, Turn, broken, to};
use crate::{
    id::NodeId,
    journey::{scope::in_seconds, told::Told},
    plan::{NodeIndex, node::Node},
};

pub(super) fn enter(id: &NodeId, node: &Node<NodeIndex>, turn: &mut Turn<'_>) -> Go {
    let Node::Input { prompt, .. } = node else { return broken() };
    if turn.scope.digits.is_empty() {
        return ask(turn.play(&[prompt]));
    }
    collect(id, node, String::new(), turn)
}

pub(super) fn go_on(
    (id, node): (&NodeId, &Node<NodeIndex>),
    (listening, collected): (Listening, String),
    told: Told<'_>,
    turn: &mut Turn<'_>,
) -> Go {
    let Node::Input { first_digit_seconds, .. } = node else { return broken() };
    if let Told::Digit(_) = told {
        if let Listening::Prompt(_) = listening {
            turn.stop();
        }
        return collect(id, node, collected, turn);
    }
    match &listening {
        Listening::Prompt(prompt) if turn.is_over(prompt, told) => {
            let listening = Listening::Until(in_seconds(turn.now, *first_digit_seconds));
            Go::Wait(State::Input { listening, collected })
        }
        Listening::Until(at) if turn.is_due(*at, told) => complete(id, node, collected, turn),
        Listening::Prompt(_) | Listening::Until(_) => Go::Wait(State::Input { listening, collected }),
    }
}

fn ask(prompt: crate::journey::prompting::Prompting) -> Go {
    Go::Wait(State::Input { listening: Listening::Prompt(prompt), collected: String::new() })
}

/// Takes buffered keys.
fn collect(id: &NodeId, node: &Node<NodeIndex>, mut collected: String, turn: &mut Turn<'_>) -> Go {
    let Node::Input {
        digits_max,
        terminator,
        restart,
        between_digits_seconds,
        first_digit_seconds,
        prompt,
        ..
    } = node
    else {
        return broken();
    };
    while let Some(digit) = turn.scope.digits.pop_front() {
        let key = digit.as_char();
        if restart.contains(key) {
            collected.clear();
            if turn.scope.digits.is_empty() {
                return ask(turn.play(&[prompt]));
            }
            continue;
        }
        if terminator.contains(key) {
            return complete(id, node, collected, turn);
        }
        collected.push(key);
        if collected.len() >= usize::try_from(*digits_max).unwrap_or(usize::MAX) {
            return complete(id, node, collected, turn);
        }
    }
    let seconds = if collected.is_empty() { *first_digit_seconds } else { *between_digits_seconds };
    Go::Wait(State::Input { listening: Listening::Until(in_seconds(turn.now, seconds)), collected })
}

/// Leads on with what was collected.
fn complete(id: &NodeId, node: &Node<NodeIndex>, collected: String, turn: &mut Turn<'_>) -> Go {
    let Node::Input { next, timeout, secret, .. } = node else { return broken() };
    if collected.is_empty() {
        return to(*timeout, "timeout");
    }
    let shown = if *secret { "*".repeat(collected.len()) } else { collected.clone() };
    turn.scope.set(turn.now, &format!("node.{id}"), collected);
    Go::To(*next, "next".into(), shown)
}
