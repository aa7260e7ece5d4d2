//! Nodes that say what is seen in the queue.

use std::time::Instant;

use super::{
    super::{
        event::QueueView,
        prompting::Prompting,
        spoken::{minutes, position, wait},
    },
    Go, State, Told, Turn, broken, to,
};
use crate::{
    id::NodeId,
    plan::{NodeIndex, node::Node},
};

/// The queue was looked at, or that takes too long.
pub(super) fn looked(
    id: &NodeId,
    node: &Node<NodeIndex>,
    until: Instant,
    told: Told<'_>,
    turn: &mut Turn<'_>,
) -> Go {
    let view = match told {
        Told::InQueue(view) => view,
        told if turn.is_due(until, told) => None,
        _ => return Go::Wait(State::Looking { until }),
    };
    let sounds = match (node, view) {
        (Node::Position { .. }, Some(QueueView { position: place, .. })) => {
            turn.scope.set(turn.now, &format!("node.{id}"), place.to_string());
            position(place)
        }
        (Node::EstimatedWait { .. }, Some(QueueView { wait: Some(estimate), .. })) => {
            let minutes = minutes(estimate);
            turn.scope.set(turn.now, &format!("node.{id}"), minutes.to_string());
            wait(minutes)
        }
        (Node::EstimatedWait { unknown, .. }, _) => return to(*unknown, "unknown"),
        _ => Vec::new(),
    };
    // Who has pressed a key already wants to get on.
    if sounds.is_empty() || !turn.scope.digits.is_empty() {
        return on(node);
    }
    Go::Wait(State::Saying { prompt: turn.say(sounds) })
}

/// Until it was said, or a key was pressed, which whoever comes next takes.
pub(super) fn said(node: &Node<NodeIndex>, prompt: Prompting, told: Told<'_>, turn: &mut Turn<'_>) -> Go {
    match told {
        Told::Digit(_) => {
            turn.stop();
            on(node)
        }
        Told::Failure(why) => {
            turn.note(format!("{why}: not said"));
            on(node)
        }
        told if turn.is_over(&prompt, told) => on(node),
        _ => Go::Wait(State::Saying { prompt }),
    }
}

fn on(node: &Node<NodeIndex>) -> Go {
    match node {
        Node::Position { next } | Node::EstimatedWait { next, .. } => to(*next, "next"),
        _ => broken(),
    }
}
