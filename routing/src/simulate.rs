//! What would happen to a contact: a journey in virtual time, with scripted keys.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    contact::Contact,
    digit::Digit,
    id::{InboxId, IvrId, NodeId},
    journey::{Action, Event, FeedEvent, Journey, PlaybackId, QueueView, Recorded, Step},
    outcome::{Outcome, Reason, Side},
    plan::{Plan, node::Node},
    time::Now,
};

/// Steps of virtual time taken at most; a journey that re-arms its timers for hours stays below it.
const WAKE_UPS_MAX: u32 = 100_000;

/// A scripted caller.
#[derive(Clone, Debug)]
pub struct Script {
    /// The contact; its arrival is the beginning of virtual time.
    pub contact: Contact,
    /// Keys, each pressed so long after the arrival.
    pub digits: Vec<(Duration, Digit)>,
    /// When the caller hangs up.
    pub hangs_up_after: Duration,
    /// How long every prompt lasts.
    pub prompt_length: Duration,
}

/// Nodes of a simulation's path at most; a longer one is cut.
pub const PATH_MAX: usize = 512;

/// A node that the call came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Milliseconds since the contact arrived.
    pub at_ms: u64,
    /// The IVR.
    pub ivr: IvrId,
    /// The node.
    pub node: NodeId,
    /// The transition by which it was reached; none where a run begins.
    pub by: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulation {
    /// The steps.
    pub steps: Vec<Step>,
    /// The nodes, in the order in which the call came to them.
    pub path: Vec<Visit>,
    /// Whether the call was answered.
    pub answered: bool,
    /// The SIP status of a refusal.
    pub refused_with: Option<u16>,
    /// The last exit or hang-up node reached; later waiting and failures leave it as it is.
    pub exit: Option<NodeId>,
    /// The inbox the contact waited in last.
    pub inbox: Option<InboxId>,
    /// How it ended.
    pub outcome: Outcome,
}

/// Runs a script against a plan.
pub fn simulate(plan: Arc<Plan>, script: &Script) -> Simulation {
    let mut run = Run {
        result: Simulation {
            steps: Vec::new(),
            path: Vec::new(),
            answered: false,
            refused_with: None,
            exit: None,
            inbox: None,
            outcome: Outcome::new(Side::Gateway, Reason::Failed),
        },
        playback: None,
        answers: VecDeque::new(),
        arrived: script.contact.arrived.mono,
    };
    let start = script.contact.arrived;
    let mut out = Vec::new();
    let mut journey = Journey::new(plan.clone(), script.contact.clone(), start, &mut out);
    let mut now = start;
    run.take(now, (&plan, script.prompt_length), &mut out);
    let mut keys: Vec<(Instant, Digit)> =
        script.digits.iter().map(|(after, digit)| (start.after(*after).mono, *digit)).collect();
    keys.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let end = start.after(script.hangs_up_after).mono;
    for _ in 0..WAKE_UPS_MAX {
        if journey.outcome().is_some() {
            break;
        }
        let (at, event) = run.next(&journey, &mut keys, end);
        now = start.after(at.saturating_duration_since(start.mono));
        journey.handle(now, event, &mut out);
        run.take(now, (&plan, script.prompt_length), &mut out);
    }
    run.result.steps = journey.trace().steps().to_vec();
    if let Some(outcome) = journey.outcome() {
        run.result.outcome = outcome;
    }
    run.result
}

struct Run {
    result: Simulation,
    /// The playback under way, and when it ends.
    playback: Option<(Instant, PlaybackId)>,
    /// What comes back of what was asked for, in its order.
    answers: VecDeque<(Instant, Event)>,
    arrived: Instant,
}

impl Run {
    /// The next thing to happen, and when.
    fn next(
        &mut self,
        journey: &Journey,
        keys: &mut Vec<(Instant, Digit)>,
        end: Instant,
    ) -> (Instant, Event) {
        let deadline = journey.deadline().map(|(at, _)| at);
        let key = keys.last().map(|(at, _)| *at);
        let playback = self.playback.map(|(at, _)| at);
        let answer = self.answers.front().map(|(at, _)| *at);
        let soonest = [deadline, key, playback, answer, Some(end)].into_iter().flatten().min().unwrap_or(end);
        if answer == Some(soonest)
            && let Some(answer) = self.answers.pop_front()
        {
            return answer;
        }
        if playback == Some(soonest)
            && let Some((at, id)) = self.playback.take()
        {
            return (at, Event::PlaybackDone(id));
        }
        if key == Some(soonest)
            && let Some((at, digit)) = keys.pop()
        {
            return (at, Event::Digit(digit));
        }
        if deadline == Some(soonest) {
            return (soonest, Event::Deadline);
        }
        (end, Event::HungUp(Outcome::new(Side::Caller, Reason::Completed)))
    }

    fn answers(&mut self, at: Now, event: Event) {
        self.answers.push_back((at.mono, event));
    }

    fn take(&mut self, now: Now, (plan, prompt_length): (&Plan, Duration), out: &mut Vec<Action>) {
        for action in out.drain(..) {
            match action {
                Action::Answer => self.result.answered = true,
                Action::Play(playback) => {
                    let count = u32::try_from(playback.sounds.len()).unwrap_or(1);
                    let length = prompt_length.saturating_mul(count);
                    self.playback = (!playback.looped).then(|| (now.after(length).mono, playback.id));
                }
                Action::StopPlayback => self.playback = None,
                Action::EnterQueue { inbox, .. } => self.result.inbox = Some(inbox),
                // Nobody else calls, and how long calls last is not known.
                Action::LookAtQueue => {
                    self.answers(now, Event::InQueue(Some(QueueView { position: 1, wait: None })));
                }
                // The caller speaks as long as a prompt, and then is silent.
                Action::Record(_) => {
                    self.answers(now.after(prompt_length.saturating_add(SILENCE)), Event::RecordingSilent);
                }
                Action::EndRecording => {
                    self.answers.retain(|(_, answer)| !matches!(answer, Event::RecordingSilent));
                    self.answers(now, Event::Recorded(Recorded::Kept));
                }
                Action::StoreCallback(_) => self.answers(now, Event::CallbackStored(true)),
                // Nothing is sent by a simulation; the carrier is taken to be willing.
                Action::SendSms { request, .. } => {
                    self.answers(now, Event::SmsSent { request, sent: true });
                }
                // The simulation asks nobody, so it fails.
                Action::DataDip(dip) => {
                    self.answers(now, Event::DataDip { request: dip.request, values: None });
                }
                Action::Emit(FeedEvent::NodeEntered { ivr, node, by, .. }) => {
                    if self.result.path.len() < PATH_MAX {
                        let passed = now.mono.saturating_duration_since(self.arrived).as_millis();
                        let at_ms = u64::try_from(passed).unwrap_or(u64::MAX);
                        self.result.path.push(Visit { at_ms, ivr, node, by });
                    }
                }
                Action::Emit(FeedEvent::IvrExited { ivr, node: Some(node), .. })
                    if is_end(plan, &ivr, &node) =>
                {
                    self.result.exit = Some(node);
                }
                Action::End { sip_status, .. } => {
                    self.result.refused_with =
                        (!self.result.answered && sip_status >= 300).then_some(sip_status);
                }
                // Nobody takes a simulated contact.
                Action::Call { .. }
                | Action::GiveUp(_)
                | Action::Connect(..)
                | Action::Separate
                | Action::Join
                | Action::Release
                | Action::Reply { .. } => {}
                Action::Emit(_) | Action::Ring | Action::LeaveQueue => {}
            }
        }
    }
}

/// How long a caller is silent who has said all.
const SILENCE: Duration = Duration::from_secs(10);

/// Whether the node is an exit or a hang-up; a run also ends by going back to waiting.
fn is_end(plan: &Plan, ivr: &IvrId, node: &NodeId) -> bool {
    let nodes = plan.ivrs.get(ivr).into_iter().flat_map(|ivr| ivr.nodes());
    nodes.filter(|(id, _)| *id == node).any(|(_, node)| matches!(node, Node::Exit {} | Node::HangUp { .. }))
}
