//! Menus: one key, asked for again a few times.

use super::{Go, Listening, State, Turn, broken, to};
use crate::{
    id::PromptId,
    journey::{scope::in_seconds, told::Told},
    plan::{NodeIndex, node::Node},
};

/// What went wrong.
#[derive(Clone, Copy)]
enum Miss {
    NoInput,
    NoMatch,
}

pub(super) fn enter(node: &Node<NodeIndex>, turn: &mut Turn<'_>) -> Go {
    let Node::Menu { prompt, retries, barge_in, .. } = node else { return broken() };
    if *barge_in && !turn.scope.digits.is_empty() {
        return choose(node, *retries, turn);
    }
    let listening = Listening::Prompt(turn.play(&[prompt]));
    Go::Wait(State::Menu { listening, retries_left: *retries })
}

pub(super) fn go_on(
    node: &Node<NodeIndex>,
    (mut listening, retries_left): (Listening, u32),
    told: Told<'_>,
    turn: &mut Turn<'_>,
) -> Go {
    let Node::Menu { timeout_seconds, barge_in, .. } = node else { return broken() };
    match &listening {
        Listening::Prompt(prompt) if turn.is_over(prompt, told) => {
            listening = Listening::Until(in_seconds(turn.now, *timeout_seconds));
        }
        Listening::Until(at) if turn.is_due(*at, told) => {
            return again(node, retries_left, Miss::NoInput, turn);
        }
        Listening::Prompt(_) | Listening::Until(_) => {}
    }
    let plays = matches!(listening, Listening::Prompt(_));
    if turn.scope.digits.is_empty() || (plays && !*barge_in) {
        return Go::Wait(State::Menu { listening, retries_left });
    }
    if plays {
        turn.stop();
    }
    choose(node, retries_left, turn)
}

/// Uses the first buffered key.
fn choose(node: &Node<NodeIndex>, mut retries_left: u32, turn: &mut Turn<'_>) -> Go {
    let Node::Menu { choices, barge_in, .. } = node else { return broken() };
    while let Some(digit) = turn.scope.digits.pop_front() {
        let key = digit.as_char().to_string();
        if let Some(next) = choices.get(&key) {
            return Go::To(*next, key.clone(), key);
        }
        turn.note(format!("key {key} is no choice"));
        match retries_left.checked_sub(1) {
            // The next key is there already: it would cut the prompt short at once.
            Some(left) if *barge_in && !turn.scope.digits.is_empty() => retries_left = left,
            _ => break,
        }
    }
    again(node, retries_left, Miss::NoMatch, turn)
}

/// Asks again, or gives up when it was asked often enough.
fn again(node: &Node<NodeIndex>, retries_left: u32, miss: Miss, turn: &mut Turn<'_>) -> Go {
    let Node::Menu { prompt, no_input_prompt, no_match_prompt, default, .. } = node else { return broken() };
    let Some(retries_left) = retries_left.checked_sub(1) else { return to(*default, "default") };
    let extra = match miss {
        Miss::NoInput => no_input_prompt.as_ref(),
        Miss::NoMatch => no_match_prompt.as_ref(),
    };
    let prompts: Vec<&PromptId> = extra.into_iter().chain([prompt]).collect();
    let listening = Listening::Prompt(turn.play(&prompts));
    Go::Wait(State::Menu { listening, retries_left })
}
