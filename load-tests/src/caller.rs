//! Places the calls: one UDP socket, as a trunk has, and a timer heap. A reading thread hands in what arrives, so
//! that a late answer is stamped when it came.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap},
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt};

use crate::{
    audio::{Audio, Totals},
    message::{Names, Response, answer_request},
    scenario::Scenario,
};

/// What the callers saw.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What the Call-IDs of this run end with.
    pub(crate) mark: String,
    /// Calls begun.
    pub(crate) begun: u64,
    /// Call-IDs of calls that got a 200.
    pub(crate) answered: Vec<String>,
    /// Calls that failed, by reason.
    pub(crate) failed: BTreeMap<String, u64>,
    /// INVITE to 200, milliseconds.
    pub(crate) answer_ms: Vec<f64>,
    /// What became of each call, and when it began.
    pub(crate) fates: Vec<Fate>,
    /// Requests sent again.
    pub(crate) retransmissions: u64,
    /// Seconds that answered calls lasted, together.
    pub(crate) call_seconds: f64,
    /// From the first INVITE to the last answer.
    pub(crate) wall_s: f64,
    /// What was heard.
    pub(crate) audio: Option<Totals>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// Seconds from the start of the run to its first INVITE.
    pub(crate) begun_s: f64,
    /// How it went.
    pub(crate) end: End,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    /// Answered, and ended by the caller.
    Well,
    /// Refused with 503, after so many milliseconds.
    Refused(f64),
    /// Anything else.
    Failed,
}

/// Places all calls of a scenario and waits for their ends.
pub(crate) fn run(scenario: &Scenario, target: SocketAddr) -> anyhow::Result<Outcome> {
    anyhow::ensure!(target.is_ipv4(), "the load callers speak IPv4");
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
    // The plain form is capped by the kernel: what is lost here must not look lost there.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BYTES)?;
    }
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let (sender, receiver) = sync_channel(65_536);
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (socket, stop) = (Arc::clone(&socket), Arc::clone(&stop));
        thread::spawn(move || read(&socket, &sender, &stop))
    };
    let audio = if scenario.audio { Some(Audio::start()?) } else { None };
    let mut callers = Callers {
        scenario,
        target,
        local: socket.local_addr()?,
        socket: &socket,
        audio: audio.as_ref(),
        mark: format!("@load-{}-{}", std::process::id(), socket.local_addr()?.port()),
        began: Instant::now(),
        calls: HashMap::new(),
        timers: BinaryHeap::new(),
        outcome: Outcome::default(),
    };
    callers.place_all(&receiver);
    let mut outcome = callers.outcome;
    stop.store(true, Ordering::Relaxed);
    drop(receiver);
    reader.join().ok();
    outcome.audio = audio.map(Audio::finish);
    Ok(outcome)
}

fn read(socket: &UdpSocket, sender: &SyncSender<(Instant, Vec<u8>)>, stop: &AtomicBool) {
    let mut buffer = [0_u8; 65_535];
    while !stop.load(Ordering::Relaxed) {
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        if sender.send((Instant::now(), buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

struct Callers<'a> {
    scenario: &'a Scenario,
    target: SocketAddr,
    local: SocketAddr,
    socket: &'a UdpSocket,
    audio: Option<&'a Audio>,
    mark: String,
    began: Instant,
    calls: HashMap<String, Call>,
    timers: BinaryHeap<Reverse<(Instant, String)>>,
    outcome: Outcome,
}

struct Call {
    names: Names,
    number: u64,
    stage: Stage,
    /// When the stage's timer is due; other entries of the heap are stale.
    due: Instant,
    /// The request that is repeated, and the time to its next copy.
    request: String,
    patience: Duration,
    begun: Instant,
    stage_began: Instant,
    answered: Option<Answered>,
}

struct Answered {
    at: Instant,
    contact: String,
    to: String,
    ack: String,
    media: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// INVITE sent, nothing heard.
    Inviting,
    /// A provisional response came.
    Proceeding,
    /// In the call.
    Talking,
    /// BYE sent.
    Leaving,
}

impl Callers<'_> {
    fn place_all(&mut self, arriving: &Receiver<(Instant, Vec<u8>)>) {
        self.outcome.mark.clone_from(&self.mark);
        let began = Instant::now();
        self.began = began;
        let total = self.scenario.calls();
        while self.outcome.begun < total || !self.calls.is_empty() {
            let mut now = Instant::now();
            while self.outcome.begun < total && began + self.scenario.arrival(self.outcome.begun) <= now {
                self.begin(self.outcome.begun, now);
                self.outcome.begun += 1;
                now = Instant::now();
            }
            self.fire(now);
            let next =
                (self.outcome.begun < total).then(|| began + self.scenario.arrival(self.outcome.begun));
            let due = self.timers.peek().map(|Reverse((at, _))| *at);
            let wake = next.into_iter().chain(due).min().unwrap_or(now + TICK).min(now + TICK);
            match arriving.recv_timeout(wake.saturating_duration_since(now)) {
                Ok((at, data)) => {
                    self.take(at, &data);
                    // Whatever else is there already, before the timers have their turn.
                    for (at, data) in arriving.try_iter().take(64) {
                        self.take(at, &data);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        self.outcome.wall_s = began.elapsed().as_secs_f64();
    }

    fn begin(&mut self, number: u64, now: Instant) {
        let call_id = format!("{number:x}{}", self.mark);
        let names = Names {
            call_id: call_id.clone(),
            tag: format!("l{}n{number:x}", std::process::id()),
            number: self.scenario.number.clone(),
            local: self.local,
            remote: self.target,
        };
        // Without audio the offer names a port that nobody reads: the discard port.
        let media = self.audio.map_or(SocketAddr::new(self.local.ip(), 9), |audio| audio.local);
        let request = names.invite(media);
        self.send(&request);
        let call = Call {
            names,
            number,
            stage: Stage::Inviting,
            due: now + T1,
            request,
            patience: T1,
            begun: now,
            stage_began: now,
            answered: None,
        };
        self.calls.insert(call_id.clone(), call);
        self.timers.push(Reverse((now + T1, call_id)));
    }

    fn fire(&mut self, now: Instant) {
        while self.timers.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, call_id))) = self.timers.pop() else { return };
            let Some(mut call) = self.calls.remove(&call_id) else { continue };
            if call.due != at || self.due(&mut call, now) {
                self.calls.insert(call_id, call);
            }
        }
    }

    /// A call's timer is due. False when the call is over.
    fn due(&mut self, call: &mut Call, now: Instant) -> bool {
        if call.stage == Stage::Talking {
            self.leave(call, now);
            return true;
        }
        if now.duration_since(call.stage_began) > GIVE_UP {
            self.fail(
                call,
                if call.stage == Stage::Leaving { "BYE unanswered" } else { "INVITE unanswered" },
            );
            return false;
        }
        if call.stage != Stage::Proceeding {
            self.outcome.retransmissions += 1;
            self.send(&call.request);
            call.patience = (call.patience * 2).min(T2);
        }
        self.arm(call, now + call.patience);
        true
    }

    fn leave(&mut self, call: &mut Call, now: Instant) {
        if let Some(answered) = &call.answered {
            self.outcome.call_seconds += now.duration_since(answered.at).as_secs_f64();
            if let (Some(audio), Some(media)) = (self.audio, answered.media) {
                audio.close(media);
            }
            call.request = call.names.bye(&answered.contact, &answered.to);
        }
        self.send(&call.request);
        (call.stage, call.stage_began, call.patience) = (Stage::Leaving, now, T1);
        self.arm(call, now + T1);
    }

    fn take(&mut self, at: Instant, data: &[u8]) {
        if let Some(response) = Response::read(data) {
            let Some(mut call) = self.calls.remove(&response.call_id) else { return };
            if self.on_response(&mut call, response, at) {
                self.calls.insert(call.names.call_id.clone(), call);
            }
        } else if let Some((method, call_id, answer)) = answer_request(data) {
            self.send(&answer);
            if method == "BYE"
                && let Some(mut call) = self.calls.remove(&call_id)
            {
                self.fail(&mut call, "hung up by the gateway");
            }
        }
    }

    /// False when the call is over.
    fn on_response(&mut self, call: &mut Call, response: Response, at: Instant) -> bool {
        match (response.method.as_str(), response.status, call.stage) {
            ("INVITE", 100..200, Stage::Inviting) => {
                call.stage = Stage::Proceeding;
                self.arm(call, at + T2);
            }
            ("INVITE", 200..300, Stage::Inviting | Stage::Proceeding) => {
                return self.answered(call, response, at);
            }
            ("INVITE", 200..300, _) => {
                if let Some(answered) = &call.answered {
                    self.send(&answered.ack);
                }
            }
            ("INVITE", 300.., Stage::Inviting | Stage::Proceeding) => {
                self.send(&call.names.ack_refusal(&response.to));
                if response.status == 503 && self.scenario.overload.is_some() {
                    let after = at.duration_since(call.begun).as_secs_f64() * 1000.0;
                    self.end(call, End::Refused(after));
                    return false;
                }
                self.fail(call, &format!("refused with {}", response.status));
                return false;
            }
            ("BYE", 200..300, Stage::Leaving) => {
                self.end(call, End::Well);
                return false;
            }
            ("BYE", 300.., Stage::Leaving) => {
                self.fail(call, &format!("BYE refused with {}", response.status));
                return false;
            }
            _ => {}
        }
        true
    }

    /// False when the answer cannot be used.
    fn answered(&mut self, call: &mut Call, response: Response, at: Instant) -> bool {
        self.outcome.answered.push(call.names.call_id.clone());
        self.outcome.answer_ms.push(at.duration_since(call.stage_began).as_secs_f64() * 1000.0);
        let (Some(contact), Some(media)) = (response.contact, response.media) else {
            self.fail(call, "a 200 without Contact or audio");
            return false;
        };
        let ack = call.names.ack(&contact, &response.to);
        self.send(&ack);
        if let Some(audio) = self.audio {
            let every = self.scenario.listen_every;
            audio.open(media, call.number, every > 0 && call.number.is_multiple_of(every));
        }
        call.answered = Some(Answered { at, contact, to: response.to, ack, media: Some(media) });
        call.stage = Stage::Talking;
        self.arm(call, at + self.scenario.hold());
        true
    }

    fn arm(&mut self, call: &mut Call, due: Instant) {
        call.due = due;
        self.timers.push(Reverse((due, call.names.call_id.clone())));
    }

    fn fail(&mut self, call: &mut Call, reason: &str) {
        *self.outcome.failed.entry(reason.to_owned()).or_default() += 1;
        self.end(call, End::Failed);
        if let (Some(audio), Some(media)) =
            (self.audio, call.answered.as_ref().and_then(|answered| answered.media))
        {
            audio.close(media);
        }
    }

    fn end(&mut self, call: &Call, end: End) {
        let begun_s = call.begun.saturating_duration_since(self.began).as_secs_f64();
        self.outcome.fates.push(Fate { begun_s, end });
    }

    fn send(&self, text: &str) {
        // A full buffer loses the datagram, as a network does; retransmission and the report show it.
        self.socket.send_to(text.as_bytes(), self.target).ok();
    }
}

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const GIVE_UP: Duration = Duration::from_secs(16);
const RECEIVE_BYTES: usize = 64 << 20;
const TICK: Duration = Duration::from_millis(100);
