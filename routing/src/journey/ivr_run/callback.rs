//! Callbacks: the caller says whether to be called back, and at which number.
//!
//! ```text
//! offer, number, keys ──► 1: stored ──► next      (from here on the caller is not taken: the callback has the place)
//!                     ├─► 2: another number is keyed, and offered in its turn
//!                     └─► *, or no key: declined
//! ```

use std::time::Instant;

use super::{
    super::{
        Timer,
        action::{Action, Callback, Sound},
        prompting::Prompting,
        scope::{Scope, in_seconds},
        spoken::{digits, word},
    },
    Go, State, Told, Turn, broken, to,
};
use crate::{
    address::{Address, E164},
    plan::{NodeIndex, node::Node},
};

/// Seconds for the key after the offer.
const CHOICE_SECONDS: u32 = 8;

/// Seconds between the keys of a number.
const BETWEEN_SECONDS: u32 = 5;

/// How long a callback may take to be stored, in seconds.
const STORING_SECONDS: u32 = 5;

/// The longest number that is keyed, with what is dialled before it.
const KEYS_MAX: usize = 18;

/// Where the talk about a callback is.
#[derive(Debug)]
pub(super) enum Offer {
    /// The number is said, and which keys there are.
    Offering { prompt: Prompting, number: E164 },
    /// A key is waited for.
    Choosing { until: Instant, number: E164 },
    /// Another number is asked for.
    AskingNumber { prompt: Prompting },
    /// It is keyed.
    Keying { until: Instant, keyed: String },
    /// The callback is being stored.
    Storing { until: Instant },
}

impl Offer {
    pub(super) fn deadline(&self) -> (Instant, Timer) {
        match self {
            Self::Offering { prompt, .. } | Self::AskingNumber { prompt } => {
                (prompt.overdue, Timer::PlaybackOverdue)
            }
            Self::Choosing { until, .. } => (*until, Timer::MenuTimeout),
            Self::Keying { until, .. } => (*until, Timer::NextDigitTimeout),
            Self::Storing { until } => (*until, Timer::CallbackTimeout),
        }
    }

    /// Whether the caller has said yes, and the callback is on its way to be stored.
    pub(super) fn is_storing(&self) -> bool {
        matches!(self, Self::Storing { .. })
    }
}

pub(super) fn enter(node: &Node<NodeIndex>, turn: &mut Turn<'_>) -> Go {
    // Keys pressed before the number is heard confirm nothing.
    turn.scope.digits.clear();
    let caller = &turn.scope.contact.from;
    match caller.number.filter(|_| !caller.anonymous) {
        Some(number) => offer(node, number, true, turn),
        None => ask_number(node, turn),
    }
}

pub(super) fn go_on(node: &Node<NodeIndex>, at: Offer, told: Told<'_>, turn: &mut Turn<'_>) -> Go {
    let pressed = matches!(told, Told::Digit(_));
    match at {
        Offer::Offering { prompt, number } if pressed => {
            turn.stop();
            match chosen(node, number, turn) {
                Some(go) => go,
                None => wait(Offer::Offering { prompt, number }),
            }
        }
        Offer::Choosing { until, number } if pressed => match chosen(node, number, turn) {
            Some(go) => go,
            None => wait(Offer::Choosing { until, number }),
        },
        Offer::AskingNumber { .. } if pressed => {
            turn.stop();
            key(node, String::new(), turn)
        }
        Offer::Keying { keyed, .. } if pressed => key(node, keyed, turn),
        Offer::Offering { prompt, number } if turn.is_over(&prompt, told) => {
            wait(Offer::Choosing { until: in_seconds(turn.now, CHOICE_SECONDS), number })
        }
        Offer::AskingNumber { prompt } if turn.is_over(&prompt, told) => {
            wait(Offer::Keying { until: in_seconds(turn.now, CHOICE_SECONDS), keyed: String::new() })
        }
        Offer::Choosing { until, .. } if turn.is_due(until, told) => declined(node),
        Offer::Keying { until, keyed } if turn.is_due(until, told) => keyed_whole(node, &keyed, turn),
        Offer::Storing { until } => match told {
            Told::CallbackStored(true) => next(node),
            Told::CallbackStored(false) => failed(node),
            told if turn.is_due(until, told) => failed(node),
            _ => wait(Offer::Storing { until }),
        },
        at => wait(at),
    }
}

/// What the key means: none when it means nothing.
fn chosen(node: &Node<NodeIndex>, number: E164, turn: &mut Turn<'_>) -> Option<Go> {
    let key = turn.scope.digits.pop_front()?;
    turn.scope.digits.clear();
    match key.as_char() {
        '1' => Some(store(node, number, turn)),
        '2' if takes_others(node) => Some(ask_number(node, turn)),
        '*' => Some(declined(node)),
        _ => None,
    }
}

fn offer(node: &Node<NodeIndex>, number: E164, first: bool, turn: &mut Turn<'_>) -> Go {
    let Node::Callback { prompt, .. } = node else { return broken() };
    let keys = if takes_others(node) { "callback_keys_or_other" } else { "callback_keys" };
    let mut sounds = vec![if first { Sound::Prompt(prompt.clone()) } else { word("callback_number") }];
    sounds.extend(digits(&number.to_string()));
    sounds.push(word(keys));
    wait(Offer::Offering { prompt: turn.say(sounds), number })
}

fn ask_number(node: &Node<NodeIndex>, turn: &mut Turn<'_>) -> Go {
    if !takes_others(node) {
        turn.note("the caller has no number to be called back at");
        return failed(node);
    }
    wait(Offer::AskingNumber { prompt: turn.say(vec![word("callback_enter")]) })
}

fn key(node: &Node<NodeIndex>, mut keyed: String, turn: &mut Turn<'_>) -> Go {
    while let Some(key) = turn.scope.digits.pop_front() {
        match key.as_char() {
            '#' => return keyed_whole(node, &keyed, turn),
            '*' => return ask_number(node, turn),
            key if keyed.len() < KEYS_MAX => keyed.push(key),
            _ => return keyed_whole(node, &keyed, turn),
        }
    }
    wait(Offer::Keying { until: in_seconds(turn.now, BETWEEN_SECONDS), keyed })
}

fn keyed_whole(node: &Node<NodeIndex>, keyed: &str, turn: &mut Turn<'_>) -> Go {
    let Node::Callback { prefixes, .. } = node else { return broken() };
    let number = dialled(keyed, turn.scope);
    match number.filter(|number| prefixes.iter().any(|prefix| number.to_string().starts_with(prefix))) {
        Some(number) => offer(node, number, false, turn),
        None => {
            turn.note("the number keyed is none that is called back");
            failed(node)
        }
    }
}

/// The number that keys mean, for somebody who called one of ours.
fn dialled(keyed: &str, scope: &Scope) -> Option<E164> {
    let company = match &scope.contact.to {
        Address::Number(number) => number.to_string(),
        Address::Text(_) => String::new(),
    };
    let american = company.starts_with("+1");
    let abroad = if american { "011" } else { "00" };
    if let Some(number) = keyed.strip_prefix(abroad) {
        return E164::parse(&format!("+{number}")).ok();
    }
    // Ten digits are a whole number in the North American plan, and nowhere else for certain.
    if american && keyed.len() == 10 {
        return E164::parse(&format!("+1{keyed}")).ok();
    }
    E164::from_user_part(keyed)
}

fn store(node: &Node<NodeIndex>, number: E164, turn: &mut Turn<'_>) -> Go {
    let Node::Callback { attempts, gap_minutes, window_hours, .. } = node else { return broken() };
    let (attempts, gap_minutes, window_hours) = (*attempts, *gap_minutes, *window_hours);
    turn.out.push(Action::StoreCallback(Callback { number, attempts, gap_minutes, window_hours }));
    wait(Offer::Storing { until: in_seconds(turn.now, STORING_SECONDS) })
}

fn takes_others(node: &Node<NodeIndex>) -> bool {
    matches!(node, Node::Callback { prefixes, .. } if !prefixes.is_empty())
}

fn wait(at: Offer) -> Go {
    Go::Wait(State::Callback(at))
}

fn next(node: &Node<NodeIndex>) -> Go {
    match node {
        Node::Callback { next, .. } => to(*next, "next"),
        _ => broken(),
    }
}

fn declined(node: &Node<NodeIndex>) -> Go {
    match node {
        Node::Callback { declined: Some(declined), .. } => to(*declined, "declined"),
        node => failed(node),
    }
}

fn failed(node: &Node<NodeIndex>) -> Go {
    match node {
        Node::Callback { error, .. } => to(*error, "error"),
        _ => broken(),
    }
}
