//! IVRs: everything that can be wrong with one is said before it is published.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use vestibule_routing::{
    digit::Digit,
    id::{IvrId, NodeId},
    plan::{
        Ivr, IvrFault, IvrKind,
        node::{Node, Pattern},
        schedule::{Period, Schedule},
    },
};

use super::{Compiler, Parts};
use crate::{
    diagnostic::{Code, step},
    document::IvrDoc,
};

/// Longest text of a `send_sms` node, bytes: what carriers take as one message.
const SMS_BYTES_MAX: usize = 1600;

impl Compiler<'_> {
    pub(super) fn ivrs(&mut self, old: &Parts) {
        let parts = self.next.parts.clone();
        self.next.plan.ivrs.retain(|id, _| parts.ivrs.contains_key(id));
        for (id, doc) in &parts.ivrs {
            let path = format!("/ivrs/{}", step(id.as_str()));
            self.ivr_references(doc, &path);
            let unchanged = old.ivrs.get(id).is_some_and(|old| Arc::ptr_eq(old, doc));
            if unchanged && self.next.plan.ivrs.contains_key(id) {
                continue;
            }
            self.ivr_shape(doc, &path);
            let nodes: Vec<_> = doc.nodes.iter().map(|(id, node)| (id.clone(), node.clone())).collect();
            match Ivr::build(id.clone(), doc.name.clone(), doc.kind, &doc.start, &nodes) {
                Ok(ivr) => drop(self.next.plan.ivrs.insert(id.clone(), Arc::new(ivr))),
                Err(faults) => {
                    for fault in faults {
                        let path = format!("{path}/nodes/{}", step(fault.node().as_str()));
                        self.findings.add(code_of(&fault), path, fault.to_string());
                    }
                }
            }
        }
    }

    /// References to other objects; looked at again whenever shared parts change.
    fn ivr_references(&mut self, doc: &IvrDoc, path: &str) {
        for (id, node) in &doc.nodes {
            let path = format!("{path}/nodes/{}", step(id.as_str()));
            for prompt in node.prompts() {
                self.prompt(prompt, &path);
            }
            if let Node::MoveInbox { inbox, .. } | Node::Voicemail { inbox, .. } = node {
                self.inbox(inbox, &format!("{path}/inbox"));
            }
            if let Node::SubIvr { ivr, .. } = node {
                self.part(doc.kind, ivr, &format!("{path}/ivr"));
            }
            let list = match node {
                Node::BlockList { list, .. } => Some(list),
                Node::CallerMatch { list, .. } => list.as_ref(),
                _ => None,
            };
            if let Some(list) = list.filter(|list| !self.next.parts.lists.contains_key(list)) {
                self.findings.add(
                    Code::UnknownList,
                    format!("{path}/list"),
                    format!("there is no list {list}"),
                );
            }
            if let Node::Schedule { calendar: Some(calendar), calendar_rows, .. } = node {
                match self.next.parts.calendars.get(calendar).cloned() {
                    Some(shared) => self.calendar_covered(&shared, calendar_rows, &path),
                    None => {
                        let sentence = format!("there is no calendar {calendar}");
                        self.findings.add(Code::UnknownCalendar, format!("{path}/calendar"), sentence);
                    }
                }
            }
        }
    }

    /// An IVR that runs as a part of one of the given kind.
    fn part(&mut self, whole: IvrKind, part: &IvrId, path: &str) {
        let Some(doc) = self.next.parts.ivrs.get(part).cloned() else {
            return self.findings.add(Code::UnknownIvr, path, format!("there is no IVR {part}"));
        };
        if whole == IvrKind::Initial && doc.kind != whole {
            self.findings.add(Code::WrongIvrKind, path, format!("{part} is a Queue IVR"));
        }
        if depth(part, &self.next.parts.ivrs, &mut BTreeMap::new()).is_none_or(|depth| depth > PARTS_MAX) {
            let sentence =
                format!("{part} leads into itself, or more than {PARTS_MAX} IVRs lie within each other");
            self.findings.add(Code::IvrWithinItself, path, sentence);
        }
    }

    fn calendar_covered(&mut self, calendar: &Schedule, rows: &BTreeMap<String, NodeId>, path: &str) {
        for row in calendar.rows.iter().filter(|row| !rows.contains_key(&row.name)) {
            let sentence = format!("the calendar's row {} leads nowhere", row.name);
            self.findings.add(Code::UncoveredSchedule, format!("{path}/calendar_rows"), sentence);
        }
        for name in rows.keys().filter(|name| calendar.rows.iter().all(|row| row.name != **name)) {
            let sentence = format!("the calendar has no row {name}");
            self.findings.add(Code::UncoveredSchedule, format!("{path}/calendar_rows"), sentence);
        }
    }

    /// What can be seen in the IVR alone.
    fn ivr_shape(&mut self, doc: &IvrDoc, path: &str) {
        let at = |id: &NodeId| format!("{path}/nodes/{}", step(id.as_str()));
        let reached = reachable(doc);
        for (id, node) in &doc.nodes {
            if id.as_str().is_empty() || id.as_str().len() > 64 || id.as_str().contains(['/', '\n']) {
                self.findings.add(Code::BadName, at(id), format!("\"{id}\" cannot be a node's name"));
            }
            if matches!(node, Node::Start { .. }) && *id != doc.start {
                self.findings.add(
                    Code::BadStart,
                    at(id),
                    format!("{id} is a start node, but the IVR begins elsewhere"),
                );
            }
            if !reached.contains(id) {
                let code =
                    if matches!(node, Node::Exit {}) { Code::UnreachableExit } else { Code::UnreachableNode };
                self.findings.add(code, at(id), format!("nothing leads to {id}"));
            }
            if doc.kind == IvrKind::Initial && node.is_queue_only() {
                self.findings.add(Code::QueueOnlyNode, at(id), format!("{id} belongs in a Queue IVR"));
            }
            self.node(node, id, &at(id));
        }
        if let Some(cycle) = busy_cycle(doc) {
            let names: Vec<&str> = cycle.iter().map(|id| id.as_str()).collect();
            let path = cycle.first().map_or_else(|| path.to_owned(), at);
            self.findings.add(
                Code::BusyCycle,
                path,
                format!("nothing waits in the cycle {}", names.join(" → ")),
            );
        }
    }

    fn node(&mut self, node: &Node<NodeId>, id: &NodeId, path: &str) {
        match node {
            Node::Menu { timeout_seconds, retries, choices, .. } => {
                self.range("timeout_seconds", *timeout_seconds, 1, 60, path);
                self.range("retries", *retries, 0, 10, path);
                self.menu_keys(choices.keys(), path);
            }
            Node::Input { .. } => self.input(node, path),
            Node::Match { patterns, .. } => self.patterns(patterns, path),
            Node::CallerMatch { prefixes, .. } => self.prefixes(prefixes, path),
            Node::Schedule { rows, calendar, .. } => {
                self.periods(rows.iter().map(|row| &row.period), path);
                if rows.is_empty() && calendar.is_none() {
                    self.findings.add(Code::EmptyRow, path, format!("{id} has neither rows nor a calendar"));
                }
            }
            Node::DataDip { url, timeout_ms, .. } => {
                self.range("timeout_ms", *timeout_ms, 100, 10_000, path);
                if !url.starts_with("https://") && !url.starts_with("http://") {
                    self.findings.add(
                        Code::DataDipTarget,
                        format!("{path}/url"),
                        format!("\"{url}\" is no URL"),
                    );
                }
            }
            Node::LoopGuard { times_max, .. } => self.range("times_max", *times_max, 1, 100, path),
            Node::Forward { to, ring_seconds, .. } => {
                self.range("ring_seconds", *ring_seconds, 1, 600, path);
                if !super::number::is_forward_target(to) {
                    let sentence = format!("\"{to}\" is neither a number nor a SIP URI");
                    self.findings.add(Code::BadTarget, format!("{path}/to"), sentence);
                }
            }
            Node::WaitMusic { seconds, .. } => self.range("seconds", *seconds, 1, 3600, path),
            Node::HangUp { sip_status, .. } if *sip_status != 200 => {
                self.sip_code(*sip_status, &format!("{path}/sip_status"));
            }
            Node::Voicemail { .. } | Node::Callback { .. } => self.left_behind(node, path),
            Node::SendSms { text, .. } => {
                if text.trim().is_empty() || text.len() > SMS_BYTES_MAX {
                    let sentence = format!("{id} sends {} bytes, not 1 to {SMS_BYTES_MAX}", text.len());
                    self.findings.add(Code::OutOfRange, format!("{path}/text"), sentence);
                }
                if self.next.parts.providers.values().all(|provider| provider.send.is_none()) {
                    self.findings.add(Code::NoSender, path, format!("no provider sends what {id} says"));
                }
            }
            Node::ChangePriority { priority, .. } => {
                self.range("priority", u32::from(*priority), 0, 9, path);
            }
            Node::PercentSplit { percent, .. } => {
                self.range("percent", u32::from(*percent), 0, 100, path);
            }
            Node::Start { .. }
            | Node::SubIvr { .. }
            | Node::Position { .. }
            | Node::EstimatedWait { .. }
            | Node::MoveInbox { .. }
            | Node::Message { .. }
            | Node::SetVariable { .. }
            | Node::BlockList { .. }
            | Node::Continue {}
            | Node::Exit {}
            | Node::HangUp { .. } => {}
        }
    }

    /// What callers leave: messages, and numbers to be called back at.
    fn left_behind(&mut self, node: &Node<NodeId>, path: &str) {
        if let Node::Voicemail { seconds_max, seconds_min, .. } = node {
            self.range("seconds_max", *seconds_max, 5, 600, path);
            self.range("seconds_min", *seconds_min, 0, (*seconds_max).min(30), path);
        }
        if let Node::Callback { attempts, gap_minutes, window_hours, prefixes, .. } = node {
            self.range("attempts", u32::from(*attempts), 1, 10, path);
            self.range("gap_minutes", *gap_minutes, 1, 1440, path);
            self.range("window_hours", *window_hours, 1, 336, path);
            self.prefixes(prefixes, path);
        }
    }

    fn input(&mut self, node: &Node<NodeId>, path: &str) {
        let Node::Input {
            digits_max, first_digit_seconds, between_digits_seconds, terminator, restart, ..
        } = node
        else {
            return;
        };
        self.range("digits_max", *digits_max, 1, 64, path);
        self.range("first_digit_seconds", *first_digit_seconds, 1, 60, path);
        self.range("between_digits_seconds", *between_digits_seconds, 1, 30, path);
        for (name, key) in [("terminator", terminator), ("restart", restart)] {
            if !key.is_empty() && !is_key(key) {
                self.findings.add(Code::BadKey, format!("{path}/{name}"), format!("\"{key}\" is no key"));
            }
        }
    }

    /// A pattern of wildcards only would leave nothing to the default.
    fn patterns(&mut self, patterns: &[Pattern<NodeId>], path: &str) {
        for (index, pattern) in patterns.iter().enumerate() {
            let text = &pattern.pattern;
            if text.contains('*') && text.chars().all(|c| matches!(c, '*' | '?')) {
                let path = format!("{path}/patterns/{index}");
                self.findings.add(Code::CatchAllPattern, path, format!("\"{text}\" matches everything"));
            }
        }
    }

    fn range(&mut self, name: &str, value: u32, least: u32, most: u32, path: &str) {
        if !(least..=most).contains(&value) {
            let sentence = format!("{name} is {value}, outside {least} to {most}");
            self.findings.add(Code::OutOfRange, format!("{path}/{name}"), sentence);
        }
    }

    fn menu_keys<'k>(&mut self, keys: impl ExactSizeIterator<Item = &'k String>, path: &str) {
        if keys.len() == 0 {
            self.findings.add(Code::BadKey, format!("{path}/choices"), "the menu has no choices");
        }
        for key in keys.filter(|key| !is_key(key)) {
            let path = format!("{path}/choices/{}", step(key));
            self.findings.add(Code::BadKey, path, format!("\"{key}\" is no telephone key"));
        }
    }

    pub(super) fn periods<'p>(&mut self, rows: impl Iterator<Item = &'p Period>, path: &str) {
        let mut names = BTreeSet::new();
        for (index, row) in rows.enumerate() {
            let path = format!("{path}/rows/{index}");
            if !names.insert(row.name.as_str()) {
                self.findings.add(Code::DuplicateName, &path, format!("two rows are called {}", row.name));
            }
            let backwards = row.dates.is_some_and(|dates| dates.last < dates.first);
            if backwards || (row.dates.is_none() && row.weekdays.is_empty()) {
                self.findings.add(Code::EmptyRow, &path, format!("the row {} never holds", row.name));
            }
            let today = row.zone.to_datetime(self.context.now).date();
            // A row over midnight still holds on the day after its last date.
            let over = row.dates.filter(|_| row.weekdays.is_empty()).map(|dates| {
                if row.end > row.start { dates.last } else { dates.last.tomorrow().unwrap_or(dates.last) }
            });
            if over.is_some_and(|last| last < today) {
                self.findings.add(
                    Code::PastDate,
                    &path,
                    format!("the dates of the row {} have passed", row.name),
                );
            }
        }
    }
}

/// IVRs within each other at most.
const PARTS_MAX: usize = 8;

/// How many IVRs lie within each other where one is run, itself counted; none when it lies within itself.
fn depth(
    id: &IvrId,
    all: &BTreeMap<IvrId, Arc<IvrDoc>>,
    known: &mut BTreeMap<IvrId, Option<usize>>,
) -> Option<usize> {
    if let Some(depth) = known.get(id) {
        return *depth;
    }
    // Until it is known: who comes back here has come in a circle.
    known.insert(id.clone(), None);
    let mut deepest = 0;
    for node in all.get(id).into_iter().flat_map(|doc| doc.nodes.values()) {
        if let Node::SubIvr { ivr, .. } = node {
            deepest = deepest.max(depth(ivr, all, known)?);
        }
    }
    known.insert(id.clone(), Some(deepest + 1));
    Some(deepest + 1)
}

/// A document holds its nodes by id; two with one id can only come from elsewhere.
fn code_of(fault: &IvrFault) -> Code {
    match fault {
        IvrFault::DanglingTransition { .. } => Code::DanglingTransition,
        IvrFault::DuplicateNode { .. } => Code::DuplicateName,
    }
}

/// The keys that telephones have; A to D are no part of menus.
fn is_key(text: &str) -> bool {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(key), None) => Digit::from_char(key).is_some() && !key.is_ascii_alphabetic(),
        _ => false,
    }
}

fn reachable(doc: &IvrDoc) -> BTreeSet<NodeId> {
    let mut reached = BTreeSet::new();
    let mut open = vec![doc.start.clone()];
    while let Some(id) = open.pop() {
        if let Some(node) = doc.nodes.get(&id)
            && reached.insert(id)
        {
            open.extend(node.transitions().into_iter().map(|(_, target)| target));
        }
    }
    reached
}

/// A cycle of nodes none of which waits: takes away, again and again, what leads to no such node.
fn busy_cycle(doc: &IvrDoc) -> Option<Vec<NodeId>> {
    let mut busy: BTreeMap<&NodeId, BTreeSet<NodeId>> = doc
        .nodes
        .iter()
        .filter(|(_, node)| !node.waits())
        .map(|(id, node)| (id, node.transitions().into_iter().map(|(_, target)| target).collect()))
        .collect();
    loop {
        let ends: Vec<&NodeId> = busy
            .iter()
            .filter(|(_, targets)| !targets.iter().any(|target| busy.contains_key(target)))
            .map(|(id, _)| *id)
            .collect();
        if ends.is_empty() {
            break;
        }
        for id in ends {
            busy.remove(id);
        }
    }
    // What is left leads on for ever: following it comes round.
    let mut path: Vec<NodeId> = Vec::new();
    let mut id = (*busy.keys().next()?).clone();
    loop {
        if let Some(start) = path.iter().position(|seen| *seen == id) {
            return Some(path.split_off(start));
        }
        let next = busy.get(&id)?.iter().find(|target| busy.contains_key(target))?.clone();
        path.push(id);
        id = next;
    }
}
