//! One media thread: a wheel of 20 slots of a millisecond, absolute sleeps, nothing shared.
//!
//! The thread parks while it has no legs. When it is late by more than one turn of the wheel it goes on at
//! the present slot; each leg then sees how much time it lost and leaves those frames out. It never bursts.

mod bridge;

use std::{
    collections::VecDeque,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rtrb::{Consumer, Producer};
use rustix::{
    thread::ClockId,
    time::{Timespec, clock_gettime},
};
use thread_priority::{
    RealtimeThreadSchedulePolicy, ScheduleParams, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

use self::bridge::Watch;
use super::{
    Remote,
    command::{Command, LegKey, Report, What},
    engine::BUSY_PERCENT_MAX,
    leg::{LegState, Secure, Visit},
    metrics::{ThreadCounters, add},
    recording::Tap,
};

/// Slots of the wheel, one a millisecond.
const SLOTS: usize = 20;

/// What a leg may use while it is visited.
#[derive(Debug)]
pub(crate) struct Context {
    /// Milliseconds of the monotonic clock for which the slot was due.
    pub(crate) tick: u64,
    /// When the slot was begun.
    pub(crate) now: Instant,
    pub(crate) counters: Arc<ThreadCounters>,
    reports: Producer<Report>,
    /// What cannot be said again, while the ring is full.
    pending: VecDeque<Report>,
    reported: bool,
}

impl Context {
    pub(crate) fn new(reports: Producer<Report>, counters: Arc<ThreadCounters>) -> Self {
        let pending = VecDeque::with_capacity(PENDING_MAX);
        Self { tick: 0, now: Instant::now(), counters, reports, pending, reported: false }
    }

    /// Tells the tokio side what can be said again later; gives it back when the ring is full, or when
    /// something waits that has to come before it.
    pub(crate) fn report(&mut self, key: LegKey, what: What) -> Result<(), What> {
        if !self.pending.is_empty() {
            return Err(what);
        }
        self.reported = true;
        self.reports.push(Report { key, what }).map_err(|rtrb::PushError::Full(report)| report.what)
    }

    /// Tells the tokio side what will not be said again: it waits while the ring is full, and is lost and
    /// counted only when [`PENDING_MAX`] others wait too.
    pub(crate) fn report_once(&mut self, key: LegKey, what: What) {
        let Err(what) = self.report(key, what) else { return };
        if self.pending.len() < PENDING_MAX {
            self.pending.push_back(Report { key, what });
        } else {
            add(&self.counters.events_lost, 1);
        }
    }

    /// Gives what waits to the ring, as far as it has room.
    fn catch_up(&mut self) {
        while let Some(report) = self.pending.pop_front() {
            self.reported = true;
            if let Err(rtrb::PushError::Full(report)) = self.reports.push(report) {
                self.pending.push_front(report);
                return;
            }
        }
    }
}

/// The thread's own state.
#[derive(Debug)]
pub(crate) struct MediaThread {
    commands: Consumer<Command>,
    context: Context,
    /// For one datagram.
    buffer: Box<[u8]>,
    legs: Vec<Option<Box<LegState>>>,
    slots: [Vec<u32>; SLOTS],
    watch: Watch,
    count: usize,
    stop: Arc<AtomicBool>,
    wake: Arc<OwnedFd>,
}

/// What a media thread is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) commands: Consumer<Command>,
    pub(crate) reports: Producer<Report>,
    pub(crate) counters: Arc<ThreadCounters>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) wake: Arc<OwnedFd>,
    pub(crate) legs_max: usize,
}

impl MediaThread {
    pub(crate) fn new(parts: Parts) -> std::io::Result<Self> {
        // Legs go to the emptiest slot, so none grows past its share; twice that for legs in two slots.
        let share = parts.legs_max / SLOTS * 2 + 64;
        Ok(Self {
            commands: parts.commands,
            context: Context::new(parts.reports, parts.counters),
            buffer: vec![0; DATAGRAM_BYTES_MAX].into(),
            legs: (0..parts.legs_max).map(|_| None).collect(),
            slots: std::array::from_fn(|_| Vec::with_capacity(share)),
            watch: Watch::new()?,
            count: 0,
            stop: parts.stop,
            wake: parts.wake,
        })
    }

    /// Runs until the engine is dropped.
    pub(crate) fn run(mut self, realtime: bool) {
        prioritise(realtime, &self.context.counters);
        let mut load = Load::new(self.context.now);
        let mut tick = monotonic_ms() + 1;
        loop {
            // Read before the commands: legs opened until then are seen, and closed before the thread ends.
            let stopping = self.stop.load(Relaxed);
            self.take_commands(tick);
            if self.count == 0 && stopping {
                break;
            }
            if self.count == 0 {
                self.flush();
                load.idle(&self.context.counters);
                std::thread::park();
                load = Load::new(Instant::now());
                tick = monotonic_ms() + 1;
                continue;
            }
            sleep_until(tick);
            let now_us = monotonic_us();
            let late_us = now_us.saturating_sub(tick * 1000);
            self.context.counters.late(late_us);
            if late_us > SLOTS as u64 * 1000 {
                tick = now_us / 1000;
            }
            self.context.tick = tick;
            self.context.now = Instant::now();
            self.relay();
            self.serve(tick);
            self.flush();
            load.sample(self.context.now, &self.context.counters);
            tick += 1;
        }
        // The reader ends when it wakes up and finds the ring abandoned.
        let wake = Arc::clone(&self.wake);
        drop(self);
        signal(&wake);
    }

    fn serve(&mut self, tick: u64) {
        let slot = slot_of(tick);
        let mut at = 0;
        while let Some(&index) = self.slots[slot].get(at) {
            self.relay_unwatched(index);
            let leg = self.legs.get_mut(index as usize).and_then(Option::as_mut);
            let visit = leg.map_or(Visit::Close, |leg| leg.visit(&mut self.context, &mut self.buffer));
            match visit {
                Visit::Stay => at += 1,
                // The next one moves to this place.
                Visit::Close if self.remove(index) => {}
                Visit::Close => at += 1,
            }
        }
    }

    /// Sends a leg home; false when the ring is full, so that it is tried again in its next slot.
    fn remove(&mut self, index: u32) -> bool {
        if let Some(key) = self.legs.get(index as usize).and_then(Option::as_ref).map(|leg| leg.key()) {
            self.unbridge(key);
        }
        if let Some(leg) = self.legs.get_mut(index as usize).and_then(Option::take) {
            let key = leg.key();
            if let Err(What::Closed(leg)) = self.context.report(key, What::Closed(leg)) {
                self.legs[index as usize] = Some(leg);
                return false;
            }
            self.count -= 1;
            self.context.counters.legs.store(u32::try_from(self.count).unwrap_or(u32::MAX), Relaxed);
        }
        for slot in &mut self.slots {
            slot.retain(|&other| other != index);
        }
        true
    }

    fn take_commands(&mut self, tick: u64) {
        for _ in 0..COMMANDS_PER_TICK {
            let Ok(command) = self.commands.pop() else { return };
            match command {
                Command::Add(leg) => self.add(leg, tick),
                Command::SetRemote { key, remote, secure } => self.set_remote(key, &remote, secure),
                Command::SetRtcp { key, socket } => {
                    let now = self.context.now;
                    if let Some(leg) = self.leg(key) {
                        leg.set_rtcp(socket, now);
                    }
                }
                Command::Play { key, playback } => {
                    let before = match self.leg(key) {
                        Some(leg) => leg.play(playback).map(What::PlaybackStopped),
                        None => Some(What::Discarded { playback }),
                    };
                    if let Some(what) = before {
                        self.context.report_once(key, what);
                    }
                }
                Command::Stop { key } => {
                    if let Some(playback) = self.leg(key).and_then(LegState::stop) {
                        self.context.report_once(key, What::PlaybackStopped(playback));
                    }
                }
                Command::Tap { key, tap } => {
                    let before = match self.leg(key) {
                        Some(leg) => leg.set_tap(tap),
                        None => Some(tap),
                    };
                    self.untapped(key, before);
                }
                Command::Untap { key, recording } => {
                    let tap = self.leg(key).and_then(|leg| leg.untap(recording));
                    self.untapped(key, tap);
                }
                Command::Bridge { one, other } => self.bridge(one, other),
                Command::Unbridge { key } => self.unbridge(key),
                Command::SendDigit { key, digit, duration } => {
                    if self.leg(key).is_some_and(|leg| !leg.send_digit(digit, duration)) {
                        add(&self.context.counters.digits_unsent, 1);
                    }
                }
            }
        }
    }

    fn set_remote(&mut self, key: LegKey, remote: &Remote, secure: Option<Box<Secure>>) {
        let now = self.context.now;
        let unused = match self.leg(key) {
            Some(leg) => {
                let unused = leg.set_remote(remote, secure, now);
                let half = leg.needs_half_slots();
                self.place(key.index, half);
                unused
            }
            None => secure,
        };
        if let Some(secure) = unused {
            self.context.report_once(key, What::Unused { secure });
        }
    }

    fn untapped(&mut self, key: LegKey, tap: Option<Box<Tap>>) {
        if let Some(tap) = tap {
            self.context.report_once(key, What::Untapped { tap });
        }
    }

    fn leg(&mut self, key: LegKey) -> Option<&mut LegState> {
        let leg = self.legs.get_mut(key.index as usize)?.as_deref_mut().filter(|leg| leg.key() == key);
        if leg.is_none() {
            add(&self.context.counters.commands_late, 1);
        }
        leg
    }

    fn add(&mut self, mut leg: Box<LegState>, tick: u64) {
        let index = leg.key().index;
        let emptiest = (0..SLOTS).min_by_key(|&slot| self.slots[slot].len()).unwrap_or(0);
        // The first turn is the next time the wheel comes to that slot.
        let wait = (emptiest + SLOTS - slot_of(tick)) % SLOTS;
        leg.start(tick + wait as u64);
        if let Some(place) = self.legs.get_mut(index as usize) {
            self.slots[emptiest].push(index);
            *place = Some(leg);
            self.count += 1;
            self.context.counters.legs.store(u32::try_from(self.count).unwrap_or(u32::MAX), Relaxed);
        }
    }

    /// Visits a leg every 10 ms when its packets are not whole multiples of 20 ms.
    fn place(&mut self, index: u32, half: bool) {
        let Some(first) = self.slots.iter().position(|slot| slot.contains(&index)) else { return };
        let second = (first + SLOTS / 2) % SLOTS;
        let is_half = self.slots[second].contains(&index);
        if half && !is_half {
            self.slots[second].push(index);
        } else if !half && is_half {
            // Keep the slot in which its next packet is due.
            let due = self.legs.get(index as usize).and_then(Option::as_ref).map_or(0, |leg| leg.next_send());
            let other = if slot_of(due) == second { first } else { second };
            self.slots[other].retain(|&entry| entry != index);
        }
    }

    /// One wake-up for all that was reported in a tick.
    fn flush(&mut self) {
        self.context.catch_up();
        if std::mem::take(&mut self.context.reported) {
            signal(&self.wake);
        }
    }
}

/// The share of a core used, measured once a second on the thread's own CPU clock.
struct Load {
    since: Instant,
    cpu: Duration,
    /// Legs then.
    legs: u32,
}

impl Load {
    fn new(now: Instant) -> Self {
        Self { since: now, cpu: thread_cpu(), legs: 0 }
    }

    fn sample(&mut self, now: Instant, counters: &ThreadCounters) {
        let passed = now.saturating_duration_since(self.since);
        if passed < LOAD_WINDOW {
            return;
        }
        let cpu = thread_cpu();
        let used = cpu.saturating_sub(self.cpu);
        let percent = used.as_micros() * 100 / passed.as_micros().max(1);
        let percent = u32::try_from(percent).unwrap_or(100).min(100);
        counters.busy_percent.store(percent, Relaxed);
        let legs = counters.legs.load(Relaxed);
        // Of a thread that does little, what a leg costs cannot be told.
        if percent >= TELLING_PERCENT {
            let mean = legs.midpoint(self.legs);
            counters.legs_bearable.store((mean.saturating_mul(BUSY_PERCENT_MAX) / percent).max(1), Relaxed);
        }
        *self = Self { since: now, cpu, legs };
    }

    fn idle(&self, counters: &ThreadCounters) {
        counters.busy_percent.store(0, Relaxed);
    }
}

fn prioritise(realtime: bool, counters: &ThreadCounters) {
    let slack = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    if realtime {
        let fifo = set_thread_priority_and_policy(
            thread_native_id(),
            ThreadPriority::from_posix(ScheduleParams { sched_priority: FIFO_PRIORITY }),
            ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
        );
        match fifo {
            Ok(()) => {
                counters.realtime.store(true, Relaxed);
                return;
            }
            Err(error) => tracing::warn!(
                ?error,
                "media threads run without real-time priority: give the service CAP_SYS_NICE, or expect gaps of 10 to 30 ms on a busy host"
            ),
        }
    }
    // For Linux, "process" 0 is the calling thread.
    let nice = rustix::process::setpriority_process(None, NICE);
    if let Some(error) = nice.err().or(slack.err()) {
        tracing::warn!(%error, "a media thread keeps its ordinary priority");
    }
}

fn slot_of(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

fn signal(wake: &OwnedFd) {
    // It fails only when the counter is full, and then the reader is about to run anyway.
    rustix::io::write(wake, &1_u64.to_ne_bytes()).ok();
}

fn sleep_until(tick: u64) {
    let due = Timespec {
        tv_sec: i64::try_from(tick / 1000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(tick % 1000 * 1_000_000).unwrap_or(0),
    };
    while rustix::thread::clock_nanosleep_absolute(ClockId::Monotonic, &due) == Err(rustix::io::Errno::INTR) {
    }
}

fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000
}

fn monotonic_ms() -> u64 {
    monotonic_us() / 1000
}

fn thread_cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// The largest datagram that is looked at whole; RTP audio and RTCP stay far below.
pub(crate) const DATAGRAM_BYTES_MAX: usize = 2048;
/// Commands taken in one tick, so that a flood of them does not delay packets.
const COMMANDS_PER_TICK: usize = 256;
/// Reports that wait for room in the ring, beside the thousands in it.
const PENDING_MAX: usize = 4096;
const LOAD_WINDOW: Duration = Duration::from_secs(1);
/// Share of a core from which on the cost of a leg can be told.
const TELLING_PERCENT: u32 = 10;
/// Above ordinary work, below the kernel's own threads.
const FIFO_PRIORITY: i32 = 15;
const NICE: i32 = -11;

#[cfg(test)]
mod tests {
    use rtrb::RingBuffer;

    use super::*;

    const LEG: LegKey = LegKey { index: 0, generation: 1 };

    fn digit(at: usize) -> What {
        let digit = rtp_proto::dtmf::Digit::ALL[at % 16];
        What::Digit { digit, source: crate::media::DigitSource::Rfc4733 }
    }

    fn taken(reports: &mut Consumer<Report>) -> Vec<String> {
        std::iter::from_fn(|| reports.pop().ok()).map(|report| format!("{:?}", report.what)).collect()
    }

    #[test]
    fn digits_wait_while_the_ring_is_full_and_nothing_goes_past_them() {
        let (into, mut reports) = RingBuffer::new(4);
        let mut context = Context::new(into, Arc::default());
        for at in 0..10 {
            context.report_once(LEG, digit(at));
        }
        let mut heard = taken(&mut reports);
        assert_eq!(heard.len(), 4);
        let inactive = || What::Inactive { heard_before: true };
        assert!(context.report(LEG, inactive()).is_err(), "there is room, but digits wait");
        for _ in 0..2 {
            context.catch_up();
            heard.append(&mut taken(&mut reports));
        }
        assert!(context.report(LEG, inactive()).is_ok());
        let expected: Vec<String> = (0..10).map(|at| format!("{:?}", digit(at))).collect();
        assert_eq!(heard, expected);
        assert_eq!(context.counters.snapshot().events_lost, 0);
    }

    #[test]
    fn what_memory_has_no_room_for_is_counted() {
        let (into, _reports) = RingBuffer::new(1);
        let mut context = Context::new(into, Arc::default());
        (0..PENDING_MAX + 4).for_each(|at| context.report_once(LEG, digit(at)));
        assert_eq!(context.counters.snapshot().events_lost, 3);
    }
}
