//! The IVR interpreter: one run of one IVR.
//!
//! A run is somewhere in its arena and waits for a key, a playback's end, an answer or a time. Whatever
//! happens, it walks on until it waits again or ends; the walk is bounded, and every wait has a deadline.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what a state is not waiting for is ignored; the nodes that decide at once are elsewhere"
)]

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{
    Timer,
    action::{Action, Actions, DataDip, FeedEvent, Message, Sound},
    prompting::Prompting,
    scope::{Scope, in_seconds},
    told::Told,
    voicemail::{Left, Voicemail},
};
use crate::{
    id::{InboxId, IvrId, NodeId, PromptId},
    plan::{Ivr, NodeIndex, node::Node},
    time::Now,
};

mod callback;
mod decide;
mod input;
mod menu;
mod part;
mod pattern;
mod say;
mod text;

use callback::Offer;
use part::Caller;

/// Nodes visited at once before the run counts as broken. As many are forgiven with every second that
/// passes: a loop that takes time may turn for hours, one that takes none ends whatever drives it.
const VISITS_AT_ONCE_MAX: u32 = 200;

/// Seconds after the ringing time at which a forwarded call that nobody spoke of is given up.
const FORWARD_MARGIN: u32 = 5;

/// How long a look at the queue may take, in seconds: it is answered at once.
const LOOK_SECONDS: u32 = 2;

/// One run.
#[derive(Debug)]
pub(super) struct IvrRun {
    pub(super) ivr: Arc<Ivr>,
    at: NodeIndex,
    state: State,
    /// Nodes visited and not forgiven yet.
    visits: u32,
    /// When visits were last forgiven.
    forgiven: Instant,
    /// How often each loop guard was passed.
    guards: BTreeMap<(IvrId, NodeId), u32>,
    /// Music of `wait_music` nodes.
    music: PromptId,
    /// Whether it runs while the caller waits.
    queue: bool,
    /// The caller will be called back.
    called_back: bool,
    /// The IVRs that this one runs as a part of, the outermost first.
    callers: Vec<Caller>,
    /// What nodes asked of the wait, and the wait has not taken yet.
    pub(super) wishes: Wishes,
}

/// What the nodes of a run want of the wait it runs in; of several the last counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Another inbox.
    pub(super) inbox: Option<InboxId>,
    /// Another priority.
    pub(super) priority: Option<u8>,
    /// Somebody to be called in the caller's name, and for how long.
    pub(super) forward: Option<(String, u32)>,
}

/// What the run waits for.
#[derive(Debug)]
enum State {
    /// A message plays.
    Message { prompt: Prompting },
    /// A menu asks.
    Menu { listening: Listening, retries_left: u32 },
    /// Keys are collected.
    Input { listening: Listening, collected: String },
    /// A web service is asked.
    DataDip { request: u32, until: Instant },
    /// A text is on its way.
    Sms { request: u32, until: Instant },
    /// Queue music plays until a time.
    Music { until: Instant },
    /// Somebody is called; the caller hears ringing.
    Forward { until: Instant },
    /// It looks at the queue.
    Looking { until: Instant },
    /// What it saw there is said.
    Saying { prompt: Prompting },
    /// The caller leaves a message.
    Voicemail(Voicemail),
    /// The caller is offered to be called back.
    Callback(Offer),
    /// The last prompt plays before the end.
    LastWords { prompt: Prompting, sip_status: u16 },
}

/// A caller is asked for keys: first a prompt plays, then the time runs.
#[derive(Debug)]
enum Listening {
    Prompt(Prompting),
    Until(Instant),
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
    /// The caller has left a message.
    LeftVoicemail(NodeId),
    /// It cannot go on.
    Failed(&'static str),
}

impl RunEnd {
    /// The node, and what failed.
    pub(super) fn parts(self) -> (Option<NodeId>, Option<&'static str>) {
        match self {
            Self::Exit(node)
            | Self::HangUp { node, .. }
            | Self::Continue(node)
            | Self::LeftVoicemail(node) => (Some(node), None),
            Self::Failed(why) => (None, Some(why)),
        }
    }
}

/// Where a node leads.
enum Go {
    /// To another node, by the named transition, with the keys used.
    To(NodeIndex, String, String),
    /// Nowhere yet.
    Wait(State),
    /// Into another IVR, which is a part of this one.
    Into(IvrId),
    End(RunEnd),
}

/// One wake-up: when it is, and what a node may use.
struct Turn<'a> {
    now: Now,
    scope: &'a mut Scope,
    out: &'a mut Actions,
}

impl Turn<'_> {
    fn note(&mut self, what: impl Into<String>) {
        self.scope.note(self.now, what);
    }

    fn say(&mut self, sounds: Vec<Sound>) -> Prompting {
        self.scope.say(self.now, sounds, self.out)
    }

    fn play(&mut self, prompts: &[&PromptId]) -> Prompting {
        self.scope.play_prompts(self.now, prompts, self.out)
    }

    fn stop(&mut self) {
        self.scope.stop(self.out);
    }

    fn is_over(&mut self, prompt: &Prompting, told: Told<'_>) -> bool {
        self.scope.is_over(self.now, prompt, told, self.out)
    }

    fn is_due(&self, at: Instant, told: Told<'_>) -> bool {
        matches!(told, Told::Time) && at <= self.now.mono
    }
}

impl IvrRun {
    /// Begins a run; an end at once is possible.
    pub(super) fn begin(
        ivr: Arc<Ivr>,
        (music, queue): (PromptId, bool),
        now: Now,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> (Self, Option<RunEnd>) {
        let mut run = Self {
            at: ivr.start(),
            ivr,
            state: State::Music { until: now.mono },
            visits: 0,
            forgiven: now.mono,
            guards: BTreeMap::new(),
            music,
            queue,
            called_back: false,
            callers: Vec::new(),
            wishes: Wishes::default(),
        };
        let mut turn = Turn { now, scope, out };
        let go = run.visit(None, String::new(), &mut turn);
        let end = run.follow(go, &mut turn);
        (run, end)
    }

    /// When the run wants to be woken, and why. It never waits without.
    pub(super) fn deadline(&self) -> (Instant, Timer) {
        match &self.state {
            State::Message { prompt }
            | State::LastWords { prompt, .. }
            | State::Menu { listening: Listening::Prompt(prompt), .. }
            | State::Input { listening: Listening::Prompt(prompt), .. } => {
                (prompt.overdue, Timer::PlaybackOverdue)
            }
            State::Menu { listening: Listening::Until(at), .. } => (*at, Timer::MenuTimeout),
            State::Input { listening: Listening::Until(at), collected } if collected.is_empty() => {
                (*at, Timer::FirstDigitTimeout)
            }
            State::Input { listening: Listening::Until(at), .. } => (*at, Timer::NextDigitTimeout),
            State::DataDip { until, .. } => (*until, Timer::DataDipTimeout),
            State::Sms { until, .. } => (*until, Timer::SmsTimeout),
            State::Music { until } => (*until, Timer::WaitMusicEnd),
            State::Forward { until } => (*until, Timer::TakeTimeout),
            State::Looking { until } => (*until, Timer::QueueLookTimeout),
            State::Saying { prompt } => (prompt.overdue, Timer::PlaybackOverdue),
            State::Voicemail(voicemail) => voicemail.deadline(),
            State::Callback(offer) => offer.deadline(),
        }
    }

    /// The message that the caller leaves, while that lasts.
    pub(super) fn voicemail(&self) -> Option<&Voicemail> {
        match &self.state {
            State::Voicemail(voicemail) => Some(voicemail),
            _ => None,
        }
    }

    /// Whether the caller does what must not be cut off.
    pub(super) fn is_committed(&self) -> bool {
        match &self.state {
            State::Voicemail(voicemail) => voicemail.is_committed(),
            State::Callback(offer) => offer.is_storing() || self.called_back,
            _ => self.called_back,
        }
    }

    /// Whether the caller will be called back: the call goes on only to say so.
    pub(super) fn is_called_back(&self) -> bool {
        self.called_back
    }

    /// Whether the run waits for what comes of a forwarded call.
    pub(super) fn is_forwarding(&self) -> bool {
        matches!(self.state, State::Forward { .. })
    }

    /// Whether what is heard is the gateway's own words.
    fn is_speaking_itself(&self) -> bool {
        matches!(self.state, State::Voicemail(_) | State::Saying { .. })
    }

    /// The node where the run is.
    pub(super) fn place(&self) -> Option<NodeId> {
        self.ivr.node(self.at).map(|(id, _)| id.clone())
    }

    /// Tells the run what happened.
    pub(super) fn handle(
        &mut self,
        now: Now,
        told: Told<'_>,
        scope: &mut Scope,
        out: &mut Actions,
    ) -> Option<RunEnd> {
        let mut turn = Turn { now, scope, out };
        if let Told::Digit(digit) = told {
            turn.scope.keep(now, digit);
        }
        let ivr = self.ivr.clone();
        let Some((id, node)) = ivr.node(self.at) else { return Some(RunEnd::Failed("no such node")) };
        let go = match told {
            // Ringing that is not heard changes nothing for whoever is called.
            Told::Failure(_) if self.is_forwarding() => return None,
            // A message can be left without a greeting, and what is not said leads on as if it were.
            told @ Told::Failure(_) if self.is_speaking_itself() => self.go_on(id, node, told, &mut turn),
            Told::Failure(why) => self.failed(id, node, why),
            told => self.go_on(id, node, told, &mut turn),
        };
        self.follow(go, &mut turn)
    }

    /// Visits nodes until one waits, or the run ends.
    fn follow(&mut self, mut go: Go, turn: &mut Turn<'_>) -> Option<RunEnd> {
        loop {
            go = match go {
                Go::Wait(state) => {
                    self.state = state;
                    return None;
                }
                Go::To(next, by, digits) => {
                    self.at = next;
                    self.visit(Some(by), digits, turn)
                }
                Go::Into(part) => self.enter_part(&part, turn),
                Go::End(end) => match self.leave_part(end, turn) {
                    Ok(go) => go,
                    Err(end) => return Some(end),
                },
            };
        }
    }

    fn visit(&mut self, by: Option<String>, digits: String, turn: &mut Turn<'_>) -> Go {
        if !self.may_visit(turn.now) {
            return Go::End(RunEnd::Failed("too many nodes visited"));
        }
        let ivr = self.ivr.clone();
        let Some((id, node)) = ivr.node(self.at) else { return Go::End(RunEnd::Failed("no such node")) };
        turn.note(match &by {
            Some(by) => format!("node {id} of {} by {by}", ivr.id),
            None => format!("node {id} of {}", ivr.id),
        });
        let entered = FeedEvent::NodeEntered { ivr: ivr.id.clone(), node: id.clone(), by, digits };
        turn.scope.emit(entered, turn.out);
        self.enter(id, node, turn)
    }

    /// Counts a visit; whether the time that has passed allows it.
    fn may_visit(&mut self, now: Now) -> bool {
        let passed = now.mono.saturating_duration_since(self.forgiven).as_millis();
        let forgiven = passed.saturating_mul(u128::from(VISITS_AT_ONCE_MAX)) / 1000;
        if forgiven > 0 {
            self.visits = self.visits.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
            self.forgiven = now.mono;
        }
        self.visits = self.visits.saturating_add(1);
        self.visits <= VISITS_AT_ONCE_MAX
    }

    fn enter(&mut self, id: &NodeId, node: &Node<NodeIndex>, turn: &mut Turn<'_>) -> Go {
        match node {
            Node::Message { interruptible: true, next, .. } if !turn.scope.digits.is_empty() => {
                to(*next, "next")
            }
            Node::Message { prompt, .. } => Go::Wait(State::Message { prompt: turn.play(&[prompt]) }),
            Node::Menu { .. } => menu::enter(node, turn),
            Node::Input { .. } => input::enter(id, node, turn),
            Node::DataDip { .. } => ask_service(node, turn),
            Node::SendSms { .. } => text::send(node, turn),
            Node::WaitMusic { seconds, .. } => {
                turn.scope.play(vec![Sound::Prompt(self.music.clone())], true, true, turn.out);
                Go::Wait(State::Music { until: in_seconds(turn.now, *seconds) })
            }
            Node::ChangePriority { priority, next } => {
                self.wishes.priority = Some(*priority);
                to(*next, "next")
            }
            Node::MoveInbox { inbox, next } => {
                self.wishes.inbox = Some(inbox.clone());
                to(*next, "next")
            }
            Node::Forward { to, ring_seconds, .. } => {
                self.wishes.forward = Some((turn.scope.fill(to), *ring_seconds));
                turn.scope.play(vec![Sound::Ringback], true, false, turn.out);
                Go::Wait(State::Forward {
                    until: in_seconds(turn.now, ring_seconds.saturating_add(FORWARD_MARGIN)),
                })
            }
            Node::Position { .. } | Node::EstimatedWait { .. } => {
                turn.out.push(Action::LookAtQueue);
                Go::Wait(State::Looking { until: in_seconds(turn.now, LOOK_SECONDS) })
            }
            Node::Voicemail { greeting, inbox, seconds_max, seconds_min, .. } => {
                let message =
                    Message { inbox: inbox.clone(), seconds_max: *seconds_max, seconds_min: *seconds_min };
                Go::Wait(State::Voicemail(Voicemail::begin(
                    turn.now, greeting, message, turn.scope, turn.out,
                )))
            }
            // One is enough.
            Node::Callback { next, .. } if self.called_back => to(*next, "next"),
            Node::Callback { .. } => callback::enter(node, turn),
            Node::SubIvr { ivr, .. } => Go::Into(ivr.clone()),
            Node::Continue {} => Go::End(RunEnd::Continue(id.clone())),
            Node::Exit {} => Go::End(RunEnd::Exit(id.clone())),
            Node::HangUp { sip_status, prompt: None } => {
                Go::End(RunEnd::HangUp { node: id.clone(), sip_status: *sip_status })
            }
            Node::HangUp { sip_status, prompt: Some(prompt) } => {
                Go::Wait(State::LastWords { prompt: turn.play(&[prompt]), sip_status: *sip_status })
            }
            other => decide::decide((&self.ivr.id, id), other, &mut self.guards, turn),
        }
    }

    fn go_on(&mut self, id: &NodeId, node: &Node<NodeIndex>, told: Told<'_>, turn: &mut Turn<'_>) -> Go {
        match std::mem::replace(&mut self.state, State::Music { until: turn.now.mono }) {
            State::Message { prompt } => message(node, prompt, told, turn),
            State::Menu { listening, retries_left } => {
                menu::go_on(node, (listening, retries_left), told, turn)
            }
            State::Input { listening, collected } => {
                input::go_on((id, node), (listening, collected), told, turn)
            }
            State::DataDip { request, until } => service_said(node, (request, until), told, turn),
            State::Sms { request, until } => text::go_on(node, (request, until), told, turn),
            State::Music { until } => match node {
                Node::WaitMusic { next, .. } if until <= turn.now.mono => to(*next, "next"),
                _ => Go::Wait(State::Music { until }),
            },
            State::Forward { until } => match (node, told) {
                (Node::Forward { failed, .. }, Told::ForwardFailed) => to(*failed, "failed"),
                (Node::Forward { failed, .. }, told) if turn.is_due(until, told) => to(*failed, "failed"),
                _ => Go::Wait(State::Forward { until }),
            },
            State::Looking { until } => say::looked(id, node, until, told, turn),
            State::Saying { prompt } => say::said(node, prompt, told, turn),
            State::Callback(offer) => {
                self.called_back |= offer.is_storing() && matches!(told, Told::CallbackStored(true));
                callback::go_on(node, offer, told, turn)
            }
            State::Voicemail(voicemail) => leave_message((id, node), voicemail, told, turn),
            State::LastWords { prompt, sip_status } if turn.is_over(&prompt, told) => {
                Go::End(RunEnd::HangUp { node: id.clone(), sip_status })
            }
            state @ State::LastWords { .. } => Go::Wait(state),
        }
    }

    /// What the node needs has failed: by its way for that, if it has one.
    fn failed(&self, id: &NodeId, node: &Node<NodeIndex>, why: &'static str) -> Go {
        match (&self.state, decide::failed_way(node)) {
            (State::LastWords { sip_status, .. }, _) => {
                Go::End(RunEnd::HangUp { node: id.clone(), sip_status: *sip_status })
            }
            (_, Some(next)) => to(next, "error"),
            (_, None) => Go::End(RunEnd::Failed(why)),
        }
    }
}

fn message(node: &Node<NodeIndex>, prompt: Prompting, told: Told<'_>, turn: &mut Turn<'_>) -> Go {
    let Node::Message { interruptible, next, .. } = node else { return broken() };
    match told {
        Told::Digit(_) if *interruptible => {
            turn.stop();
            to(*next, "next")
        }
        told if turn.is_over(&prompt, told) => to(*next, "next"),
        _ => Go::Wait(State::Message { prompt }),
    }
}

fn leave_message(
    (id, node): (&NodeId, &Node<NodeIndex>),
    mut voicemail: Voicemail,
    told: Told<'_>,
    turn: &mut Turn<'_>,
) -> Go {
    let Node::Voicemail { error, .. } = node else { return broken() };
    match (voicemail.handle(turn.now, told, turn.scope, turn.out), error) {
        (None, _) => Go::Wait(State::Voicemail(voicemail)),
        (Some(Left::Message), _) => Go::End(RunEnd::LeftVoicemail(id.clone())),
        (Some(Left::Nothing | Left::Failed), Some(next)) => to(*next, "error"),
        (Some(Left::Nothing), None) => Go::End(RunEnd::HangUp { node: id.clone(), sip_status: 200 }),
        (Some(Left::Failed), None) => Go::End(RunEnd::Failed("a message could not be recorded")),
    }
}

fn ask_service(node: &Node<NodeIndex>, turn: &mut Turn<'_>) -> Go {
    let Node::DataDip { url, post, headers, body, timeout_ms, captures, .. } = node else { return broken() };
    let request = turn.scope.requests.wrapping_add(1);
    turn.scope.requests = request;
    let timeout = std::time::Duration::from_millis(u64::from(*timeout_ms));
    let fill = |(name, value): (&String, &String)| (name.clone(), turn.scope.fill(value));
    turn.out.push(Action::DataDip(DataDip {
        request,
        post: *post,
        url: turn.scope.fill(url),
        headers: headers.iter().map(fill).collect(),
        body: body.as_ref().map(|body| turn.scope.fill(body)),
        timeout,
        captures: captures.iter().map(|(name, pointer)| (name.clone(), pointer.clone())).collect(),
    }));
    Go::Wait(State::DataDip { request, until: turn.now.after(timeout).mono })
}

fn service_said(
    node: &Node<NodeIndex>,
    (request, until): (u32, Instant),
    told: Told<'_>,
    turn: &mut Turn<'_>,
) -> Go {
    let Node::DataDip { next, error, .. } = node else { return broken() };
    match told {
        Told::DataDip { request: answered, values } if answered == request => {
            let Some(values) = values else { return to(*error, "error") };
            for (name, value) in values {
                turn.scope.set(turn.now, name, value.clone());
            }
            to(*next, "next")
        }
        told if turn.is_due(until, told) => to(*error, "error"),
        _ => Go::Wait(State::DataDip { request, until }),
    }
}

fn to(next: NodeIndex, by: &str) -> Go {
    Go::To(next, by.to_owned(), String::new())
}

/// A state and its node go together always; if ever they do not, the run fails and the call goes on.
fn broken() -> Go {
    Go::End(RunEnd::Failed("a node and its state do not match"))
}
