//! The IVR interpreter: one run of one IVR.
//!
//! A run is somewhere in its arena and waits for a key, a playback's end, an answer or a time. Whatever
//! happens, it walks on until it waits again or ends; the walk is bounded.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what a state is not waiting for is ignored; failed_way covers every node"
)]

use std::{sync::Arc, time::Instant};

use super::{
    Timer,
    action::{Action, Actions, DataDip, FeedEvent, PlaybackId, Sound},
    scope::{Scope, in_seconds},
};
use crate::{
    digit::Digit,
    id::{NodeId, PromptId},
    plan::{Ivr, NodeIndex, node::Node},
    time::Now,
};

/// Nodes visited without a pause before the run counts as broken.
const VISITS_WITHOUT_WAIT_MAX: u32 = 200;

/// Nodes visited in all before the run counts as broken.
const VISITS_MAX: u32 = 1000;

/// One run.
#[derive(Debug)]
pub(super) struct IvrRun {
    pub(super) ivr: Arc<Ivr>,
    at: NodeIndex,
    state: State,
    visits: u32,
    visits_without_wait: u32,
    /// Music of `wait_music` nodes.
    music: PromptId,
}

/// What the run waits for.
#[derive(Debug)]
enum State {
    /// A message plays.
    Message { playback: PlaybackId },
    /// A menu's prompt plays, or its time runs.
    Menu { playback: Option<PlaybackId>, until: Option<Instant>, retries_left: u32 },
    /// Keys are collected.
    Input { playback: Option<PlaybackId>, until: Option<Instant>, collected: String },
    /// A web service is asked.
    DataDip { request: u32, until: Instant },
    /// Queue music plays until a time.
    Music { until: Instant },
    /// The last prompt plays before the end.
    LastWords { playback: PlaybackId, sip_status: u16 },
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunEnd {
    /// At an exit node.
    Exit(NodeId),
    /// At a hang-up node.
    HangUp { node: NodeId, sip_status: u16 },
    /// At a continue node: back to waiting.
    Continue(NodeId),
    /// It cannot go on.
    Failed(&'static str),
}

/// What the run is told.
#[derive(Debug)]
pub(super) enum Told<'a> {
    Digit(Digit),
    PlaybackDone(PlaybackId),
    DataDip { request: u32, values: Option<&'a [(String, String)]> },
    Time,
    Failure(&'static str),
}

/// Where a node leads.
enum Go {
    /// To another node, by the named transition, with the keys used.
    To(NodeIndex, String, String),
    /// Nowhere yet.
    Wait(State),
    End(RunEnd),
}

impl IvrRun {
    /// Begins a run; an end at once is possible.
    pub(super) fn begin(
        ivr: Arc<Ivr>,
        music: PromptId,
        now: Now,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> (Self, Option<RunEnd>) {
        scope.guards.clear();
        let at = ivr.start();
        let state = State::Music { until: now.mono };
        let mut run = Self { ivr, at, state, visits: 0, visits_without_wait: 0, music };
        let end = run.walk(now, (None, String::new()), scope, out);
        (run, end)
    }

    /// The soonest time the run wants to be woken at.
    pub(super) fn deadline(&self) -> Option<(Instant, Timer)> {
        match &self.state {
            State::Message { .. } | State::LastWords { .. } => None,
            State::Menu { until, .. } => until.map(|at| (at, Timer::MenuTimeout)),
            State::Input { until, collected, .. } if collected.is_empty() => {
                until.map(|at| (at, Timer::FirstDigitTimeout))
            }
            State::Input { until, .. } => until.map(|at| (at, Timer::NextDigitTimeout)),
            State::DataDip { until, .. } => Some((*until, Timer::DataDipTimeout)),
            State::Music { until } => Some((*until, Timer::WaitMusicEnd)),
        }
    }

    /// Tells the run what happened.
    pub(super) fn handle(
        &mut self,
        now: Now,
        told: Told<'_>,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Option<RunEnd> {
        if let Told::Digit(digit) = told {
            scope.keep(now, digit);
        }
        let ivr = self.ivr.clone();
        let Some((id, node)) = ivr.node(self.at) else { return Some(RunEnd::Failed("no such node")) };
        let go = if let Told::Failure(why) = told {
            match (failed_way(node), &self.state) {
                (_, State::LastWords { sip_status, .. }) => {
                    Go::End(RunEnd::HangUp { node: id.clone(), sip_status: *sip_status })
                }
                (Some(next), _) => Go::To(next, "error".into(), String::new()),
                (None, _) => Go::End(RunEnd::Failed(why)),
            }
        } else {
            self.go_on(now, id, node, &told, scope, out)
        };
        match go {
            Go::Wait(state) => {
                self.state = state;
                None
            }
            Go::End(end) => Some(end),
            Go::To(next, by, digits) => {
                self.at = next;
                self.visits_without_wait = 0;
                self.walk(now, (Some(by), digits), scope, out)
            }
        }
    }

    /// Visits nodes until one waits.
    fn walk(
        &mut self,
        now: Now,
        mut way: (Option<String>, String),
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Option<RunEnd> {
        let ivr = self.ivr.clone();
        loop {
            self.visits = self.visits.saturating_add(1);
            self.visits_without_wait = self.visits_without_wait.saturating_add(1);
            if self.visits > VISITS_MAX || self.visits_without_wait > VISITS_WITHOUT_WAIT_MAX {
                return Some(RunEnd::Failed("too many nodes visited"));
            }
            let Some((id, node)) = ivr.node(self.at) else { return Some(RunEnd::Failed("no such node")) };
            let (by, digits) = std::mem::take(&mut way);
            scope.note(
                now,
                format!(
                    "node {id} of {}{}",
                    ivr.id,
                    by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default()
                ),
            );
            scope.emit(FeedEvent::NodeEntered { ivr: ivr.id.clone(), node: id.clone(), by, digits }, out);
            match self.enter(now, id, node, scope, out) {
                Go::Wait(state) => {
                    self.state = state;
                    return None;
                }
                Go::End(end) => return Some(end),
                Go::To(next, by, digits) => {
                    self.at = next;
                    way = (Some(by), digits);
                }
            }
        }
    }

    fn enter(
        &mut self,
        now: Now,
        id: &NodeId,
        node: &Node<NodeIndex>,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Go {
        match node {
            Node::Start { next } => to(*next, "next"),
            Node::Message { prompt, interruptible, next } => {
                if *interruptible && !scope.digits.is_empty() {
                    return to(*next, "next");
                }
                Go::Wait(State::Message { playback: scope.play_prompts(&[prompt], out) })
            }
            Node::Menu { prompt, retries, barge_in, .. } => {
                if *barge_in && !scope.digits.is_empty() {
                    return self.menu_choice(now, node, *retries, scope, out);
                }
                let playback = Some(scope.play_prompts(&[prompt], out));
                Go::Wait(State::Menu { playback, until: None, retries_left: *retries })
            }
            Node::Input { prompt, .. } => {
                let playback = scope.digits.is_empty().then(|| scope.play_prompts(&[prompt], out));
                self.collect(now, id, node, (playback, String::new()), scope, out)
            }
            Node::DataDip { url, post, headers, body, timeout_ms, captures, .. } => {
                scope.requests = scope.requests.wrapping_add(1);
                let timeout = std::time::Duration::from_millis(u64::from(*timeout_ms));
                let fill = |(name, value): (&String, &String)| (name.clone(), scope.fill(value));
                out.push(Action::DataDip(DataDip {
                    request: scope.requests,
                    post: *post,
                    url: scope.fill(url),
                    headers: headers.iter().map(fill).collect(),
                    body: body.as_ref().map(|body| scope.fill(body)),
                    timeout,
                    captures: captures.iter().map(|(n, p)| (n.clone(), p.clone())).collect(),
                }));
                Go::Wait(State::DataDip { request: scope.requests, until: now.after(timeout).mono })
            }
            Node::WaitMusic { seconds, .. } => {
                scope.play(vec![Sound::Prompt(self.music.clone())], true, true, out);
                Go::Wait(State::Music { until: in_seconds(now, *seconds) })
            }
            Node::Continue {} => Go::End(RunEnd::Continue(id.clone())),
            Node::Exit {} => Go::End(RunEnd::Exit(id.clone())),
            Node::HangUp { sip_status, prompt: None } => {
                Go::End(RunEnd::HangUp { node: id.clone(), sip_status: *sip_status })
            }
            Node::HangUp { sip_status, prompt: Some(prompt) } => {
                let playback = scope.play_prompts(&[prompt], out);
                Go::Wait(State::LastWords { playback, sip_status: *sip_status })
            }
            other => decide(now, id, other, &self.ivr, scope),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each waiting state: a table, read top-down")]
    fn go_on(
        &mut self,
        now: Now,
        id: &NodeId,
        node: &Node<NodeIndex>,
        told: &Told<'_>,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Go {
        let state = std::mem::replace(&mut self.state, State::Music { until: now.mono });
        match (node, state) {
            (Node::Message { interruptible, next, .. }, State::Message { playback }) => match told {
                Told::PlaybackDone(done) if *done == playback => to(*next, "next"),
                Told::Digit(_) if *interruptible => {
                    out.push(Action::StopPlayback);
                    to(*next, "next")
                }
                _ => Go::Wait(State::Message { playback }),
            },
            (
                Node::Menu { timeout_seconds, barge_in, .. },
                State::Menu { mut playback, mut until, retries_left },
            ) => {
                match told {
                    Told::PlaybackDone(done) if playback == Some(*done) => {
                        playback = None;
                        until = Some(in_seconds(now, *timeout_seconds));
                    }
                    Told::Time if until.is_some_and(|at| at <= now.mono) => {
                        return self.menu_again(node, retries_left, Miss::NoInput, scope, out);
                    }
                    _ => {}
                }
                if !scope.digits.is_empty() && (playback.is_none() || *barge_in) {
                    if playback.is_some() {
                        out.push(Action::StopPlayback);
                    }
                    return self.menu_choice(now, node, retries_left, scope, out);
                }
                Go::Wait(State::Menu { playback, until, retries_left })
            }
            (
                Node::Input { first_digit_seconds, timeout, .. },
                State::Input { mut playback, until, collected },
            ) => {
                match told {
                    Told::PlaybackDone(done) if playback == Some(*done) => {
                        let until = Some(in_seconds(now, *first_digit_seconds));
                        return Go::Wait(State::Input { playback: None, until, collected });
                    }
                    Told::Time if until.is_some_and(|at| at <= now.mono) => {
                        return if collected.is_empty() {
                            to(*timeout, "timeout")
                        } else {
                            self.collected(now, id, node, collected, scope)
                        };
                    }
                    Told::Digit(_) => {
                        if playback.take().is_some() {
                            out.push(Action::StopPlayback);
                        }
                        return self.collect(now, id, node, (None, collected), scope, out);
                    }
                    _ => {}
                }
                Go::Wait(State::Input { playback, until, collected })
            }
            (Node::DataDip { next, error, .. }, State::DataDip { request, until }) => match told {
                Told::DataDip { request: answered, values } if *answered == request => match values {
                    Some(values) => {
                        for (name, value) in *values {
                            scope.set(now, name, value.clone());
                        }
                        to(*next, "next")
                    }
                    None => to(*error, "error"),
                },
                Told::Time if until <= now.mono => to(*error, "error"),
                _ => Go::Wait(State::DataDip { request, until }),
            },
            (Node::WaitMusic { next, .. }, State::Music { until }) => {
                if until <= now.mono {
                    to(*next, "next")
                } else {
                    Go::Wait(State::Music { until })
                }
            }
            (Node::HangUp { .. }, State::LastWords { playback, sip_status }) => match told {
                Told::PlaybackDone(done) if *done == playback => {
                    Go::End(RunEnd::HangUp { node: id.clone(), sip_status })
                }
                _ => Go::Wait(State::LastWords { playback, sip_status }),
            },
            (_, state) => Go::Wait(state),
        }
    }

    /// Uses the first buffered key as a menu's choice.
    fn menu_choice(
        &mut self,
        now: Now,
        node: &Node<NodeIndex>,
        mut retries_left: u32,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Go {
        let Node::Menu { choices, barge_in, .. } = node else { return Go::End(RunEnd::Failed("not a menu")) };
        while let Some(digit) = scope.digits.pop_front() {
            let key = digit.as_char().to_string();
            if let Some(next) = choices.get(&key) {
                return Go::To(*next, key.clone(), key);
            }
            scope.note(now, format!("key {key} is no choice"));
            match retries_left.checked_sub(1) {
                // The next key is there already: it would cut the prompt short at once.
                Some(left) if *barge_in && !scope.digits.is_empty() => retries_left = left,
                _ => break,
            }
        }
        self.menu_again(node, retries_left, Miss::NoMatch, scope, out)
    }

    /// Asks again, or gives up when it was asked often enough.
    fn menu_again(
        &mut self,
        node: &Node<NodeIndex>,
        retries_left: u32,
        miss: Miss,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Go {
        let Node::Menu { prompt, no_input_prompt, no_match_prompt, default, .. } = node else {
            return Go::End(RunEnd::Failed("not a menu"));
        };
        let Some(retries_left) = retries_left.checked_sub(1) else { return to(*default, "default") };
        let extra = match miss {
            Miss::NoInput => no_input_prompt.as_ref(),
            Miss::NoMatch => no_match_prompt.as_ref(),
        };
        let prompts: Vec<&PromptId> = extra.into_iter().chain([prompt]).collect();
        let playback = Some(scope.play_prompts(&prompts, out));
        Go::Wait(State::Menu { playback, until: None, retries_left })
    }

    /// Takes buffered keys into an input.
    fn collect(
        &mut self,
        now: Now,
        id: &NodeId,
        node: &Node<NodeIndex>,
        (playback, mut collected): (Option<PlaybackId>, String),
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Go {
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
            return Go::End(RunEnd::Failed("not an input"));
        };
        while let Some(digit) = scope.digits.pop_front() {
            let key = digit.as_char();
            if restart.contains(key) {
                collected.clear();
                if scope.digits.is_empty() {
                    let playback = Some(scope.play_prompts(&[prompt], out));
                    return Go::Wait(State::Input { playback, until: None, collected });
                }
                continue;
            }
            if terminator.contains(key) {
                return self.collected(now, id, node, collected, scope);
            }
            collected.push(key);
            if collected.len() >= usize::try_from(*digits_max).unwrap_or(usize::MAX) {
                return self.collected(now, id, node, collected, scope);
            }
        }
        let seconds = if collected.is_empty() { *first_digit_seconds } else { *between_digits_seconds };
        let until = playback.is_none().then(|| in_seconds(now, seconds));
        Go::Wait(State::Input { playback, until, collected })
    }

    /// An input is complete.
    fn collected(
        &mut self,
        now: Now,
        id: &NodeId,
        node: &Node<NodeIndex>,
        collected: String,
        scope: &mut Scope,
    ) -> Go {
        let Node::Input { next, timeout, secret, .. } = node else {
            return Go::End(RunEnd::Failed("not an input"));
        };
        if collected.is_empty() {
            return to(*timeout, "timeout");
        }
        let shown = if *secret { "*".repeat(collected.len()) } else { collected.clone() };
        scope.set(now, &format!("node.{id}"), collected);
        Go::To(*next, "next".into(), shown)
    }
}

/// What went wrong in a menu.
#[derive(Clone, Copy)]
enum Miss {
    NoInput,
    NoMatch,
}

fn to(next: NodeIndex, by: &str) -> Go {
    Go::To(next, by.to_owned(), String::new())
}

/// The nodes that decide at once.
fn decide(now: Now, id: &NodeId, node: &Node<NodeIndex>, ivr: &Ivr, scope: &mut Scope) -> Go {
    match node {
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
        Node::CallerMatch { list, prefixes, anonymous, matched, no_match, attestation: _ } => {
            let caller = &scope.contact.from;
            let listed =
                list.as_ref().and_then(|list| scope.plan.lists.get(list)).is_some_and(|l| l.contains(caller));
            let number = caller.number.map(|number| number.to_string()).unwrap_or_default();
            let prefixed =
                !number.is_empty() && prefixes.iter().any(|prefix| number.starts_with(prefix.as_str()));
            if listed || prefixed || (*anonymous && caller.anonymous) {
                to(*matched, "match")
            } else {
                to(*no_match, "no_match")
            }
        }
        Node::BlockList { list, blocked, default } => {
            let listed = scope.plan.lists.get(list).is_some_and(|list| list.contains(&scope.contact.from));
            if listed { to(*blocked, "blocked") } else { to(*default, "default") }
        }
        Node::LoopGuard { times_max, next, exceeded } => {
            let passed = scope.guards.entry(format!("{}/{id}", ivr.id)).or_default();
            *passed = passed.saturating_add(1);
            if *passed <= *times_max { to(*next, "next") } else { to(*exceeded, "exceeded") }
        }
        Node::Position { next } | Node::ChangePriority { next, .. } | Node::MoveInbox { next, .. } => {
            scope.note(now, format!("node {id} is not available yet: passed over"));
            to(*next, "next")
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

/// The way a node leaves when what it does has failed.
fn failed_way(node: &Node<NodeIndex>) -> Option<NodeIndex> {
    match node {
        Node::Menu { error, .. } | Node::Input { error, .. } | Node::Voicemail { error, .. } => *error,
        Node::DataDip { error, .. }
        | Node::SendSms { error, .. }
        | Node::Callback { error, .. }
        | Node::SubIvr { error, .. } => Some(*error),
        Node::Forward { failed, .. } => Some(*failed),
        Node::EstimatedWait { unknown, .. } => Some(*unknown),
        Node::PercentSplit { rest, .. } => Some(*rest),
        Node::Start { .. }
        | Node::Schedule { .. }
        | Node::Message { .. }
        | Node::SetVariable { .. }
        | Node::Match { .. }
        | Node::CallerMatch { .. }
        | Node::BlockList { .. }
        | Node::LoopGuard { .. }
        | Node::Position { .. }
        | Node::WaitMusic { .. }
        | Node::Continue {}
        | Node::ChangePriority { .. }
        | Node::MoveInbox { .. }
        | Node::Exit {}
        | Node::HangUp { .. } => None,
    }
}

/// `*` is any text, `?` any one character, in any case. Linear in pattern times text.
pub(crate) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let (mut p, mut t, mut star) = (0_usize, 0_usize, None::<(usize, usize)>);
    while t < text.len() {
        let wanted = pattern.get(p);
        if wanted == Some(&'*') {
            star = Some((p, t));
            p = p.saturating_add(1);
        } else if wanted.is_some_and(|c| *c == '?' || Some(c) == text.get(t)) {
            p = p.saturating_add(1);
            t = t.saturating_add(1);
        } else if let Some((star_p, star_t)) = star {
            p = star_p.saturating_add(1);
            t = star_t.saturating_add(1);
            star = Some((star_p, t));
        } else {
            return false;
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}
