//! One call in virtual time, and plans to call.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    digit::Digit,
    id::{InboxId, IvrId, NodeId},
    journey::{
        Action, Callback, Callee, DataDip, Event, FeedEvent, Journey, Message, Playback, PlaybackId, Refusal,
        Request, RequestId, Sound,
    },
    outcome::Outcome,
    plan::{EntryPoint, Inbox, Ivr, IvrKind, NumberVoice, Plan, node::Node},
    resolve::exit_key,
    time::Now,
};

pub(super) const NUMBER: &str = "+14155550100";

pub(super) fn inbox(id: &str) -> (InboxId, Arc<Inbox>) {
    let id = InboxId::from(id);
    let inbox = Inbox {
        id: id.clone(),
        name: id.to_string(),
        sla_minutes: 1440,
        wait_max: None,
        queue_length_max: None,
        no_one_available: None,
        queue_music: None,
        priority: 5,
        dial: None,
    };
    (id, Arc::new(inbox))
}

pub(super) fn number_key(channel: Channel, number: &str) -> (Channel, Address) {
    (channel, Address::Number(E164::parse(number).unwrap()))
}

pub(super) fn plan() -> Plan {
    let mut plan = Plan::default();
    plan.default_inboxes.insert(Channel::Voice, "ib_general".into());
    plan.default_inboxes.insert(Channel::Ivr, "ib_general".into());
    plan.inboxes.extend([inbox("ib_general"), inbox("ib_sales")]);
    plan
}

pub(super) fn with_number(mut plan: Plan, voice: NumberVoice) -> Plan {
    plan.numbers.insert(E164::parse(NUMBER).unwrap(), Arc::new(voice));
    plan
}

pub(super) fn with_ivr(mut plan: Plan, id: &str, kind: IvrKind, nodes: &str) -> Plan {
    let nodes: serde_json::Map<String, serde_json::Value> = serde_json::from_str(nodes).unwrap();
    let nodes: Vec<(NodeId, Node<NodeId>)> = nodes
        .into_iter()
        .map(|(id, node)| (NodeId::new(id), serde_json::from_value(node).unwrap()))
        .collect();
    let ivr = Ivr::build(id.into(), id.to_owned(), kind, &"start".into(), &nodes).unwrap();
    plan.ivrs.insert(IvrId::from(id), Arc::new(ivr));
    plan
}

pub(super) const MENU: &str = r#"{
    "start": {"type": "message", "prompt": "welcome", "interruptible": false, "next": "menu"},
    "menu": {"type": "menu", "prompt": "menu", "no_match_prompt": "no_match", "no_input_prompt": "no_input",
             "choices": {"1": "sales", "2": "again"}, "default": "other"},
    "again": {"type": "message", "prompt": "again", "next": "menu"},
    "sales": {"type": "exit"},
    "other": {"type": "exit"}
}"#;

pub(super) struct Bench {
    pub(super) journey: Journey,
    pub(super) now: Now,
    pub(super) start: Now,
    pub(super) actions: Vec<Action>,
    pub(super) playing: Option<Playback>,
    /// The last playback that was begun.
    pub(super) begun: PlaybackId,
    /// Where the contact takes a place: inbox, priority, longest queue.
    pub(super) place: Option<(String, u8, Option<u32>)>,
    pub(super) dips: Vec<DataDip>,
    /// Texts to the caller.
    pub(super) texts: Vec<(u32, String)>,
    /// How often the queue was looked at.
    pub(super) looks: u32,
    /// The message that is recorded.
    pub(super) recording: Option<Message>,
    pub(super) callbacks: Vec<Callback>,
    pub(super) rings: bool,
    pub(super) events: Vec<FeedEvent>,
    pub(super) ended: Option<(Outcome, u16)>,
    pub(super) answered: bool,
    /// Whom the journey has called, and who has not answered, failed or been given up.
    pub(super) ringing: Option<(RequestId, Callee)>,
    /// Those of its targets whose phones still ring.
    phones: BTreeSet<usize>,
    /// The call that was connected with the caller, and whether the two hear each other.
    pub(super) talks: Option<(RequestId, bool)>,
    /// Which target of that request it was.
    pub(super) talks_to: usize,
    /// Whoever talked hung up, and the caller was not led on yet.
    pub(super) taker_gone: bool,
    pub(super) replies: Vec<(RequestId, Result<(), Refusal>)>,
    requests: u32,
}

impl Bench {
    pub(super) fn new(plan: Plan) -> Self {
        Self::called_by(plan, "+12125550199")
    }

    /// A call from a number; from nobody known when it is none.
    pub(super) fn called_by(plan: Plan, number: &str) -> Self {
        Self::arriving(plan, number, 0)
    }

    /// A call for which chance decides as the seed says.
    pub(super) fn with_seed(plan: Plan, seed: u64) -> Self {
        Self::arriving(plan, "+12125550199", seed)
    }

    fn arriving(plan: Plan, number: &str, seed: u64) -> Self {
        let number = E164::parse(number).ok();
        let from = Caller { number, text: String::new(), anonymous: number.is_none() };
        let now = Now { mono: Instant::now(), wall: "2026-03-02T10:00:00Z".parse().unwrap() };
        let contact = Contact {
            id: "ct_1".into(),
            channel: Channel::Voice,
            to: Address::Number(E164::parse(NUMBER).unwrap()),
            from,
            arrived: now,
            seed,
        };
        let mut out = Vec::new();
        let journey = Journey::new(Arc::new(plan), contact, now, &mut out);
        let mut bench = Self {
            journey,
            now,
            start: now,
            actions: out,
            playing: None,
            begun: PlaybackId(0),
            place: None,
            dips: Vec::new(),
            texts: Vec::new(),
            looks: 0,
            recording: None,
            callbacks: Vec::new(),
            rings: false,
            events: Vec::new(),
            ended: None,
            answered: false,
            ringing: None,
            phones: BTreeSet::new(),
            talks: None,
            talks_to: 0,
            taker_gone: false,
            replies: Vec::new(),
            requests: 0,
        };
        bench.take();
        bench
    }

    pub(super) fn take(&mut self) {
        for action in self.actions.drain(..) {
            assert!(self.ended.is_none(), "nothing follows the end: {action:?}");
            match action {
                Action::Answer => {
                    assert!(!self.answered, "answered once");
                    self.answered = true;
                }
                Action::Play(playback) => {
                    assert!(self.answered, "nothing is played before the answer");
                    assert!(!playback.sounds.is_empty(), "something is to be heard");
                    self.begun = playback.id;
                    self.playing = Some(playback);
                }
                Action::StopPlayback => self.playing = None,
                Action::Emit(event) => self.events.push(event),
                Action::End { outcome, sip_status } => self.ended = Some((outcome, sip_status)),
                Action::EnterQueue { inbox, priority, length_max } => {
                    self.talks.take_if(|_| std::mem::take(&mut self.taker_gone));
                    self.place = Some((inbox.to_string(), priority, length_max));
                }
                Action::LeaveQueue => assert!(self.place.take().is_some(), "a place is left once"),
                Action::SendSms { request, text } => self.texts.push((request, text)),
                Action::DataDip(dip) => self.dips.push(dip),
                Action::LookAtQueue => self.looks += 1,
                Action::Record(message) => {
                    assert!(self.ringing.is_none() && self.talks.is_none(), "nobody cuts a message off");
                    assert!(self.recording.replace(message).is_none(), "one recording at a time");
                }
                Action::EndRecording => assert!(self.recording.take().is_some(), "a recording ends once"),
                Action::StoreCallback(callback) => self.callbacks.push(callback),
                Action::Ring => self.rings = true,
                Action::Call { request, callee } => {
                    assert!(self.ringing.is_none(), "one phone at a time");
                    self.phones = (0..callee.targets.len()).collect();
                    self.ringing = Some((request, callee));
                }
                Action::GiveUp(request) => drop(self.ringing.take_if(|(id, _)| *id == request)),
                Action::Connect(request, index) => {
                    assert!(self.answered, "nobody talks to who was not answered");
                    self.ringing.take_if(|(id, _)| *id == request);
                    self.talks = Some((request, true));
                    self.talks_to = index;
                    self.taker_gone = false;
                }
                Action::Separate => {
                    let (_, joined) = self.talks.as_mut().expect("somebody talks");
                    assert!(std::mem::replace(joined, false), "separated once");
                }
                Action::Join => {
                    let (_, joined) = self.talks.as_mut().expect("somebody talks");
                    assert!(!std::mem::replace(joined, true), "joined once");
                }
                Action::Release => assert!(self.talks.take().is_some(), "somebody talks"),
                Action::Reply { request, result } => self.replies.push((request, result)),
            }
        }
        assert!(self.ended.is_none() || self.ringing.is_none(), "no phone rings after the end");
    }

    /// Asks for something; the answer.
    pub(super) fn ask(&mut self, request: Request) -> Result<(), Refusal> {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.tell(Event::Requested(id, request));
        let (answered, result) = self.replies.pop().expect("an answer");
        assert_eq!(answered, id);
        result
    }

    /// The phone that rings is answered.
    pub(super) fn picks_up(&mut self) {
        let id = self.ringing.as_ref().expect("a phone rings").0;
        self.tell(Event::CallAnswered(id, 0));
    }

    /// The phone that rings is not answered.
    pub(super) fn does_not_pick_up(&mut self, status: u16) {
        let id = self.ringing.as_ref().expect("a phone rings").0;
        self.tell(Event::CallFailed(id, 0, status));
    }

    /// The names of the events so far, with what matters of each.
    pub(super) fn told(&self) -> Vec<String> {
        self.events.iter().map(|event| format!("{event:?}")).collect()
    }

    /// A phone of which the event says that it is over rings no more.
    pub(super) fn stop_phone(&mut self, event: &Event) {
        self.taker_gone |= matches!(event, Event::TakerGone(_)) && self.talks.is_some();
        if let Event::CallAnswered(id, index) | Event::CallFailed(id, index, _) = event
            && self.ringing.as_ref().is_some_and(|(ringing, _)| ringing == id)
        {
            self.phones.remove(index);
            self.ringing.take_if(|_| self.phones.is_empty());
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.stop_phone(&event);
        if let Event::Recorded(_) = event {
            self.recording = None;
        }
        self.journey.handle(self.now, event, &mut self.actions);
        self.take();
    }

    pub(super) fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.tell(Event::Digit(Digit::from_char(key).unwrap()));
        }
    }

    /// The last playback that was begun failed.
    pub(super) fn fails(&mut self, why: &'static str) {
        self.tell(Event::PlaybackFailed(self.begun, why));
    }

    pub(super) fn played(&mut self) {
        let playback = self.playing.take().expect("something plays");
        assert!(!playback.looped, "what plays for ever has no end");
        self.tell(Event::PlaybackDone(playback.id));
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        let end = self.now.after(Duration::from_secs(seconds));
        let mut wakes = 0;
        while let Some((at, timer)) = self.journey.deadline().filter(|(at, _)| *at <= end.mono) {
            wakes += 1;
            assert!(wakes < 100_000, "{timer:?} is due again and again");
            self.now = self.start.after(at.max(self.now.mono) - self.start.mono);
            self.tell(Event::Deadline);
        }
        self.now = end;
    }

    pub(super) fn hears(&self) -> Vec<String> {
        let sounds = self.playing.as_ref().map(|playback| playback.sounds.as_slice()).unwrap_or_default();
        sounds
            .iter()
            .map(|sound| match sound {
                Sound::Prompt(prompt) => prompt.to_string(),
                other => format!("{other:?}"),
            })
            .collect()
    }

    /// Answers the last data dip.
    pub(super) fn dip_answers(&mut self, values: Option<&[(&str, &str)]>) {
        let request = self.dips.last().unwrap().request;
        let owned = |values: &[(&str, &str)]| {
            values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        self.tell(Event::DataDip { request, values: values.map(owned) });
    }

    /// Whether a step of the trace contains the text.
    pub(super) fn traced(&self, text: &str) -> bool {
        self.journey.trace().steps().iter().any(|step| step.what.contains(text))
    }

    /// The node that ended the last run of an IVR.
    pub(super) fn left_by(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|event| match event {
            FeedEvent::IvrExited { node, .. } => node.as_ref().map(|node| node.as_str()),
            _ => None,
        })
    }

    pub(super) fn queued_in(&self) -> Option<&str> {
        self.events.iter().rev().find_map(|event| match event {
            FeedEvent::Queued { inbox, .. } => Some(inbox.as_str()),
            FeedEvent::Moved { to, .. } => Some(to.as_str()),
            _ => None,
        })
    }
}

pub(super) fn initial() -> Plan {
    let voice = NumberVoice { initial_ivr: Some("ivr_main".into()), ..NumberVoice::default() };
    let mut plan = with_ivr(with_number(plan(), voice), "ivr_main", IvrKind::Initial, MENU);
    let sales = EntryPoint { inbox: Some("ib_sales".into()), ..EntryPoint::default() };
    plan.entry_points.insert(exit_key(&"ivr_main".into(), &"sales".into()), sales);
    plan
}

pub(super) const QUEUE: &str = r#"{
    "start": {"type": "message", "prompt": "busy", "next": "menu"},
    "menu": {"type": "menu", "prompt": "stay", "retries": 0, "choices": {"1": "stay", "2": "leave"}, "default": "stay"},
    "stay": {"type": "continue"},
    "leave": {"type": "exit"}
}"#;

pub(super) fn queue() -> Plan {
    let voice = NumberVoice {
        queue_ivr: Some("ivr_wait".into()),
        queue_wait_seconds: 30,
        repeat_every_seconds: Some(45),
        ..NumberVoice::default()
    };
    let mut plan = with_ivr(with_number(plan(), voice), "ivr_wait", IvrKind::Queue, QUEUE);
    let leave = EntryPoint { inbox: Some("ib_sales".into()), ..EntryPoint::default() };
    plan.entry_points.insert(exit_key(&"ivr_wait".into(), &"leave".into()), leave);
    plan
}

/// The nodes as the Initial IVR of the number.
pub(super) fn with_initial(plan: Plan, nodes: &str) -> Plan {
    let voice = NumberVoice { initial_ivr: Some("i".into()), ..NumberVoice::default() };
    with_ivr(with_number(plan, voice), "i", IvrKind::Initial, nodes)
}

/// A call into an Initial IVR of these nodes.
pub(super) fn call(nodes: &str) -> Bench {
    Bench::new(with_initial(plan(), nodes))
}

pub(super) fn edit(plan: &mut Plan, id: &str, f: impl FnOnce(&mut Inbox)) {
    let mut i = (**plan.inboxes.get(&InboxId::from(id)).unwrap()).clone();
    f(&mut i);
    plan.inboxes.insert(id.into(), Arc::new(i));
}
