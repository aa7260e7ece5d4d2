//! The tokio side: opens legs, gives commands to their threads, hands reports to their tasks.

use std::{
    net::{SocketAddr, UdpSocket},
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::Thread,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use rtp_proto::rtp::Ssrc;
use rtrb::{Consumer, Producer, RingBuffer};
use rustix::event::{EventfdFlags, eventfd};
use tokio::{
    io::unix::AsyncFd,
    runtime::Handle,
    sync::mpsc,
    time::{sleep, timeout},
};
use vestibule_routing::{digit::Digit, journey::PlaybackId};

use super::{
    CommandError, MediaEvent, MediaSettings, MediaSnapshot, OpenError, Remote, Sound, SrtpKeys, StartError,
    command::{Command, LegKey, Report, What},
    leg::{LegState, NewLeg, Secure},
    metrics::{ThreadCounters, add},
    playback::Playback,
    port::Ports,
    recording::{Recorder, Tap},
    seats::Seats,
    thread::{MediaThread, Parts},
};

/// The engine. Cheap to clone; the threads end when the last clone and the last leg are gone.
#[derive(Clone, Debug)]
pub struct Media {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: MediaSettings,
    ports: Arc<Ports>,
    links: Vec<Arc<Link>>,
    recorder: Recorder,
}

/// A leg that has a tap, also when its handle is gone.
#[derive(Debug)]
pub(super) struct Tapped {
    link: Arc<Link>,
    key: LegKey,
}

/// What the tokio side knows of one thread.
#[derive(Debug)]
struct Link {
    desk: Mutex<Desk>,
    counters: Arc<ThreadCounters>,
    stop: Arc<AtomicBool>,
    wake: Arc<OwnedFd>,
    thread: Thread,
}

/// Behind a short lock: the writing end of the ring, and who listens to which leg.
#[derive(Debug)]
struct Desk {
    commands: Producer<Command>,
    seats: Seats,
    rng: StdRng,
}

/// What a leg needs from the start.
#[derive(Debug)]
pub struct OpenLeg {
    /// Where its events go. When the channel is full they wait, in their order and without holding up other
    /// legs; only past a thousand waiting ones is an event lost, and counted. The last one,
    /// [`MediaEvent::Closed`], is never lost.
    pub events: mpsc::Sender<MediaEvent>,
}

/// A leg's handle. Dropping it ends the stream: RTCP BYE, [`MediaEvent::Closed`], the port drains.
#[derive(Debug)]
pub struct Leg {
    /// The threads live as long as any leg does.
    _engine: Arc<Inner>,
    link: Arc<Link>,
    key: LegKey,
    local: SocketAddr,
    source: Ssrc,
    closing: Arc<AtomicBool>,
}

impl Media {
    /// Starts the threads. Reports are handed out by tasks on the given runtime.
    pub fn start(settings: MediaSettings, runtime: &Handle) -> Result<Self, StartError> {
        let ports = Arc::new(Ports::new(settings.local_ip, settings.ports.clone(), settings.dscp));
        if ports.total() == 0 {
            return Err(StartError::NoPorts { first: *settings.ports.start(), last: *settings.ports.end() });
        }
        let count = match settings.threads {
            0 => thread_count(settings.calls_expected),
            threads => threads,
        };
        // Legs beside others may fill one thread with more than its share.
        let legs_max = ports.total().min(LEGS_PER_THREAD_MAX);
        let links = (0..count)
            .map(|number| Link::start(number, legs_max, settings.realtime, &ports, runtime))
            .collect::<Result<_, _>>()
            .map_err(StartError::Thread)?;
        let recorder = Recorder::start().map_err(StartError::Thread)?;
        Ok(Self { inner: Arc::new(Inner { settings, ports, links, recorder }) })
    }

    /// Opens a leg on a port of its own. Nothing is sent before [`Leg::set_remote`], and nothing that comes
    /// is taken; the thread is the one with the fewest legs.
    pub fn open(&self, open: OpenLeg) -> Result<Leg, OpenError> {
        let link = self.inner.links.iter().min_by_key(|link| link.held()).ok_or(OpenError::Full)?;
        self.open_on(link, open)
    }

    /// As [`Media::open`], but on the thread of another leg, so that both can be bridged.
    pub fn open_beside(&self, beside: &Leg, open: OpenLeg) -> Result<Leg, OpenError> {
        self.open_on(&beside.link, open)
    }

    fn open_on(&self, link: &Arc<Link>, open: OpenLeg) -> Result<Leg, OpenError> {
        let inner = &self.inner;
        let socket = inner.ports.open(Instant::now())?;
        let port = socket.local_addr().map_or(0, |address| address.port());
        match Leg::open(inner, link, socket, open) {
            Some(leg) => Ok(leg),
            None => {
                inner.ports.release(port, false, Instant::now());
                Err(OpenError::Full)
            }
        }
    }

    /// Whether new calls should be taken: no thread uses more than 70 % of a core, nor will when each of so many calls
    /// has a leg. The share used is known a second late only, and in a second of many calls the threads, which have
    /// real-time priority, would take the core from everything else.
    pub fn admits(&self, calls: usize) -> bool {
        let links = &self.inner.links;
        let bearable: usize = links.iter().map(|link| link.counters.legs_bearable()).sum();
        calls < bearable
            && links.iter().all(|link| {
                let counters = &link.counters;
                counters.busy_percent.load(Relaxed) <= BUSY_PERCENT_MAX
                    && (counters.legs.load(Relaxed) as usize) < counters.legs_bearable()
            })
    }

    /// What the engine counts, now.
    pub fn snapshot(&self) -> MediaSnapshot {
        MediaSnapshot {
            threads: self.inner.links.iter().map(|link| link.counters.snapshot()).collect(),
            ports: self.inner.ports.usage(Instant::now()),
            recorder: self.recorder_snapshot(),
        }
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.inner.recorder
    }
}

impl Leg {
    /// The bound address of the RTP port, for SDP.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Says what was agreed with the other side, first or anew (re-INVITE, UPDATE, hold). A changed address
    /// opens the learning of the source again; a playback goes on. Media is clear from now on.
    pub fn set_remote(&self, remote: Remote) -> Result<(), CommandError> {
        self.link.command(Command::SetRemote { key: self.key, remote, secure: None })
    }

    /// As [`Leg::set_remote`], with media encrypted: nothing clear is sent or taken. A key that was in use before
    /// goes on counting; another one begins, and what is on its way under the old one is still taken until
    /// something comes under the new one.
    pub fn set_secure_remote(&self, remote: Remote, keys: SrtpKeys) -> Result<(), CommandError> {
        let secure = Some(Box::new(Secure::new(keys, self.source)));
        self.link.command(Command::SetRemote { key: self.key, remote, secure })
    }

    /// Plays sounds one after the other, once or for ever, from `start_samples` (8 to a millisecond) on.
    /// Replaces what plays now. Before the first [`Leg::set_remote`] it waits.
    pub fn play(
        &self,
        id: PlaybackId,
        sounds: Vec<Sound>,
        looped: bool,
        start_samples: u64,
    ) -> Result<(), CommandError> {
        let playback = Playback::new(id, sounds, looped, start_samples);
        self.link.command(Command::Play { key: self.key, playback })
    }

    /// Stops what plays; harmless when nothing does.
    pub fn stop_playback(&self) -> Result<(), CommandError> {
        self.link.command(Command::Stop { key: self.key })
    }

    /// Joins two legs: what one hears the other says, until [`Leg::unbridge`] or the end of one of them. A
    /// bridge that either leg has is left for it; what plays on a leg goes on and is heard instead of the
    /// partner until it ends or is stopped. Refused unless one leg was opened beside the other
    /// ([`Media::open_beside`]).
    ///
    /// The same law passes unchanged, another one by table; packets of any length pass as they come.
    /// Telephone events pass where the partner agreed on them too, and are told as [`MediaEvent::Digit`] in
    /// any case. Each leg honours its own [`super::Direction`].
    pub fn bridge(&self, other: &Self) -> Result<(), CommandError> {
        if !Arc::ptr_eq(&self.link, &other.link) || self.key == other.key {
            return Err(CommandError::Apart);
        }
        self.link.command(Command::Bridge { one: self.key, other: other.key })
    }

    /// Takes the leg out of its bridge; it and its partner go on alone. Harmless without one.
    pub fn unbridge(&self) -> Result<(), CommandError> {
        self.link.command(Command::Unbridge { key: self.key })
    }

    /// Sends a digit as a telephone event, after those that are still being sent, for 40 ms to 8 s; sound
    /// makes room for it. Where telephone events were not agreed, nothing is sent, and that is counted.
    pub fn send_digit(&self, digit: Digit, duration: Duration) -> Result<(), CommandError> {
        let duration = duration.clamp(DIGIT_MIN, DIGIT_MAX).as_millis() * 8;
        let duration = u16::try_from(duration).unwrap_or(u16::MAX);
        match rtp_proto::dtmf::Digit::from_char(digit.as_char()) {
            Some(digit) => self.link.command(Command::SendDigit { key: self.key, digit, duration }),
            None => Ok(()),
        }
    }

    pub(super) fn tap(&self, tap: Box<Tap>) -> Result<Tapped, CommandError> {
        self.link.command(Command::Tap { key: self.key, tap })?;
        Ok(Tapped { link: Arc::clone(&self.link), key: self.key })
    }

    fn open(inner: &Arc<Inner>, link: &Arc<Link>, socket: UdpSocket, open: OpenLeg) -> Option<Self> {
        let local = socket.local_addr().ok()?;
        let closing = Arc::new(AtomicBool::new(false));
        let mut guard = link.desk();
        let desk = &mut *guard;
        let key = desk.seats.take(local.port(), open.events)?;
        let state = LegState::new(
            NewLeg {
                key,
                socket,
                local,
                closing: Arc::clone(&closing),
                never_heard: inner.settings.never_heard,
                silence: inner.settings.silence,
            },
            &mut desk.rng,
        );
        let source = state.source();
        if desk.commands.push(Command::Add(Box::new(state))).is_err() {
            add(&link.counters.commands_refused, 1);
            desk.seats.give_back(key);
            return None;
        }
        drop(guard);
        link.thread.unpark();
        Some(Self { _engine: Arc::clone(inner), link: Arc::clone(link), key, local, source, closing })
    }
}

impl Tapped {
    /// Takes the tap of a recording off; nothing happens when the leg is closed or has another one. With a
    /// full ring it stays, writes to nobody and goes with the leg.
    pub(super) fn untap(&self, recording: u64) {
        self.link.command(Command::Untap { key: self.key, recording }).ok();
    }
}

impl Drop for Leg {
    /// Never fails: the thread looks at the flag in the leg's next slot, at most 20 ms later.
    fn drop(&mut self) {
        self.closing.store(true, Relaxed);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for link in &self.links {
            link.stop.store(true, Relaxed);
            link.thread.unpark();
        }
    }
}

impl Link {
    fn start(
        number: usize,
        legs_max: usize,
        realtime: bool,
        ports: &Arc<Ports>,
        runtime: &Handle,
    ) -> std::io::Result<Arc<Self>> {
        let (commands, commands_out) = RingBuffer::new(COMMANDS_MAX);
        let (reports_in, reports) = RingBuffer::new(REPORTS_MAX);
        let counters = Arc::new(ThreadCounters::default());
        let stop = Arc::new(AtomicBool::new(false));
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let readable = {
            let _runtime = runtime.enter();
            #[expect(deprecated, reason = "the other way is unsafe; an owned descriptor meets its contract")]
            AsyncFd::new(Arc::clone(&wake))?
        };
        let thread = MediaThread::new(Parts {
            commands: commands_out,
            reports: reports_in,
            counters: Arc::clone(&counters),
            stop: Arc::clone(&stop),
            wake: Arc::clone(&wake),
            legs_max,
        })?;
        let handle = std::thread::Builder::new()
            .name(format!("media-{number}"))
            .spawn(move || thread.run(realtime))?;
        let link = Arc::new(Self {
            desk: Mutex::new(Desk { commands, seats: Seats::new(legs_max), rng: StdRng::from_os_rng() }),
            counters,
            stop,
            wake,
            thread: handle.thread().clone(),
        });
        runtime.spawn(hand_out(Arc::clone(&link), readable, reports, Arc::clone(ports)));
        Ok(link)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> usize {
        self.desk().seats.held()
    }

    fn command(&self, command: Command) -> Result<(), CommandError> {
        let pushed = self.desk().commands.push(command);
        pushed.map_err(|_| {
            add(&self.counters.commands_refused, 1);
            CommandError::RingFull
        })
    }

    fn deliver(&self, report: Report, ports: &Ports) {
        let key = report.key;
        let event = match report.what {
            What::Latched(source) => MediaEvent::Latched { source },
            What::Digit { digit, source } => match Digit::from_event(digit.event()) {
                Some(digit) => MediaEvent::Digit { digit, source },
                None => return,
            },
            What::PlaybackDone(playback) => MediaEvent::PlaybackDone {
                id: playback.id,
                frames_played: playback.played_samples().div_ceil(FRAME_SAMPLES),
            },
            What::PlaybackStopped(playback) => MediaEvent::PlaybackStopped {
                id: playback.id,
                frames_played: playback.played_samples().div_ceil(FRAME_SAMPLES),
                position_samples: playback.position_samples(),
            },
            What::Inactive { heard_before } => MediaEvent::Inactive { heard_before },
            What::Active => MediaEvent::Active,
            What::Discarded { .. } | What::Unused { .. } | What::Untapped { .. } => return,
            What::WantsRtcp => return self.open_rtcp(key, ports),
            What::Closed(leg) => return self.close(leg, ports),
        };
        if !self.desk().seats.tell(key, event) {
            add(&self.counters.events_lost, 1);
        }
    }

    /// Opens the port above a leg's. A call goes on without RTCP: many trunks send none.
    fn open_rtcp(&self, key: LegKey, ports: &Ports) {
        let mut desk = self.desk();
        let Some(port) = desk.seats.port(key).and_then(|port| port.checked_add(1)) else { return };
        match ports.open_rtcp(port) {
            Ok(socket) => {
                if desk.commands.push(Command::SetRtcp { key, socket }).is_err() {
                    add(&self.counters.commands_refused, 1);
                }
            }
            Err(error) => tracing::debug!(port, %error, "no RTCP socket for a leg"),
        }
    }

    fn close(&self, leg: Box<LegState>, ports: &Ports) {
        let (key, port, stats) = (leg.key(), leg.local_port(), leg.stats());
        add(&self.counters.lost, stats.lost);
        // The socket goes before its port is given to somebody else.
        drop(leg);
        ports.release(port, stats.received + stats.wrong_source > 0, Instant::now());
        self.desk().seats.close(key, MediaEvent::Closed { stats });
    }
}

/// Hands the reports of one thread to the legs' tasks until the thread has ended.
async fn hand_out(
    link: Arc<Link>,
    readable: AsyncFd<Arc<OwnedFd>>,
    mut reports: Consumer<Report>,
    ports: Arc<Ports>,
) {
    loop {
        // Asked before the ring is emptied: nothing is pushed after it was abandoned.
        let ended = reports.is_abandoned();
        while let Ok(report) = reports.pop() {
            link.deliver(report, &ports);
        }
        let behind = link.desk().seats.catch_up();
        let ready = match (ended, behind) {
            (true, false) => return,
            (true, true) => {
                sleep(CATCH_UP_EVERY).await;
                continue;
            }
            (false, true) => timeout(CATCH_UP_EVERY, readable.readable()).await.ok(),
            (false, false) => Some(readable.readable().await),
        };
        match ready {
            Some(Ok(mut ready)) => {
                // Nothing to read means that another wake-up took it.
                rustix::io::read(&link.wake, &mut [0; 8]).ok();
                ready.clear_ready();
            }
            // The runtime shuts down.
            Some(Err(_)) => return,
            None => {}
        }
    }
}

/// One thread for each 2,000 calls, leaving a core to the rest, at least one.
fn thread_count(calls_expected: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    calls_expected.div_ceil(CALLS_PER_THREAD).min(cores.saturating_sub(1)).max(1)
}

/// The shortest digit that every receiver takes (ITU-T Q.24).
const DIGIT_MIN: Duration = Duration::from_millis(40);
/// What one segment of an event can report is 8.19 s.
const DIGIT_MAX: Duration = Duration::from_secs(8);
pub(super) const BUSY_PERCENT_MAX: u32 = 70;
const CALLS_PER_THREAD: usize = 2000;
/// Well above what a core carries; bounds the tables.
const LEGS_PER_THREAD_MAX: usize = 16_384;
const COMMANDS_MAX: usize = 16_384;
const REPORTS_MAX: usize = 16_384;
/// How soon a task that was behind is looked at again.
const CATCH_UP_EVERY: Duration = Duration::from_millis(5);
const FRAME_SAMPLES: u64 = rtp_proto::FRAME_SAMPLES as u64;
