//! Nodes that lead on at once.

#![expect(clippy::wildcard_enum_match_arm, reason = "failed_way covers every node")]

use std::collections::BTreeMap;

use super::{Go, RunEnd, Turn, broken, pattern::matches_pattern, to};
use crate::{
    id::{IvrId, NodeId},
    plan::{
        NodeIndex,
        node::{Attestation, Node},
    },
};

/// The nodes that decide at once.
pub(super) fn decide(
    (ivr, id): (&IvrId, &NodeId),
    node: &Node<NodeIndex>,
    guards: &mut BTreeMap<(IvrId, NodeId), u32>,
    turn: &mut Turn<'_>,
) -> Go {
    let (now, scope) = (turn.now, &mut *turn.scope);
    match node {
        Node::Start { next } => to(*next, "next"),
        Node::Schedule { rows, calendar, calendar_rows, default } => {
            if let Some(row) = rows.iter().find(|row| row.period.covers(now.wall)) {
                return to(row.next, &row.period.name);
            }
            let calendar = calendar.as_ref().and_then(|id| scope.plan.calendars.get(id));
            let row = calendar.and_then(|calendar| calendar.row_at(now.wall)).map(|row| row.name.clone());
            match row.as_ref().and_then(|name| calendar_rows.get(name)) {
                Some(next) => to(*next, &row.unwrap_or_default()),
                None => to(*default, "default"),
            }
        }
        Node::SetVariable { name, value, next } => {
            let value = scope.fill(value);
            scope.set(now, name, value);
            to(*next, "next")
        }
        Node::Match { value, patterns, default } => {
            let value = scope.fill(value);
            match patterns.iter().find(|pattern| matches_pattern(&pattern.pattern, &value)) {
                Some(pattern) => to(pattern.next, &pattern.pattern),
                None => to(*default, "default"),
            }
        }
        Node::CallerMatch { .. } => caller_match(id, node, turn),
        Node::BlockList { list, blocked, default } => {
            let listed = scope.plan.lists.get(list).is_some_and(|list| list.contains(&scope.contact.from));
            if listed { to(*blocked, "blocked") } else { to(*default, "default") }
        }
        Node::LoopGuard { times_max, next, exceeded } => {
            let passed = guards.entry((ivr.clone(), id.clone())).or_default();
            *passed = passed.saturating_add(1);
            if *passed <= *times_max { to(*next, "next") } else { to(*exceeded, "exceeded") }
        }
        Node::PercentSplit { percent, next, rest } => {
            if scope.percentile() < u64::from(*percent) {
                to(*next, "next")
            } else {
                to(*rest, "rest")
            }
        }
        other => match failed_way(other) {
            Some(next) => {
                scope.note(now, format!("node {id} is not available: error"));
                to(next, "error")
            }
            None => Go::End(RunEnd::Failed("node is not available")),
        },
    }
}

fn caller_match(id: &NodeId, node: &Node<NodeIndex>, turn: &mut Turn<'_>) -> Go {
    let Node::CallerMatch { list, prefixes, anonymous, attestation, matched, no_match } = node else {
        return broken();
    };
    let caller = &turn.scope.contact.from;
    let list = list.as_ref().and_then(|list| turn.scope.plan.lists.get(list));
    let listed = list.is_some_and(|list| list.contains(caller));
    let number = caller.number.map(|number| number.to_string());
    let prefixed = number.is_some_and(|number| prefixes.iter().any(|prefix| number.starts_with(prefix)));
    // Calls are not verified: the attestation of every one is unknown.
    let attested = *attestation == Some(Attestation::Unknown);
    let matches = listed || prefixed || attested || (*anonymous && caller.anonymous);
    if let Some(wanted) = attestation {
        turn.note(format!("node {id} asks for attestation {wanted:?}: unknown, calls are not verified"));
    }
    if matches { to(*matched, "match") } else { to(*no_match, "no_match") }
}

/// The way a node leaves when what it does has failed.
pub(super) fn failed_way(node: &Node<NodeIndex>) -> Option<NodeIndex> {
    match node {
        Node::Menu { error, .. } | Node::Input { error, .. } | Node::Voicemail { error, .. } => *error,
        Node::DataDip { error, .. }
        | Node::SendSms { error, .. }
        | Node::Callback { error, .. }
        | Node::SubIvr { error, .. } => Some(*error),
        Node::Forward { failed, .. } => Some(*failed),
        Node::EstimatedWait { unknown, .. } => Some(*unknown),
        Node::Start { .. }
        | Node::Schedule { .. }
        | Node::Message { .. }
        | Node::SetVariable { .. }
        | Node::Match { .. }
        | Node::CallerMatch { .. }
        | Node::BlockList { .. }
        | Node::LoopGuard { .. }
        | Node::PercentSplit { .. }
        | Node::Position { .. }
        | Node::WaitMusic { .. }
        | Node::Continue {}
        | Node::ChangePriority { .. }
        | Node::MoveInbox { .. }
        | Node::Exit {}
        | Node::HangUp { .. } => None,
    }
}
