//! The recorder thread: takes what the taps hold, puts it in its place and writes the files. It is the only one that
//! waits for the disk.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::Thread,
    time::{Duration, Instant},
};

use super::job::Job;

/// The engine's way to its recorder thread.
#[derive(Debug)]
pub(crate) struct Recorder {
    inbox: Arc<Inbox>,
    thread: Thread,
}

/// What the thread shares.
#[derive(Debug, Default)]
struct Inbox {
    new: Mutex<Vec<Job>>,
    stop: AtomicBool,
    counters: RecorderCounters,
}

/// What the recorder counts; all but `active` only grow.
#[derive(Debug, Default)]
pub(crate) struct RecorderCounters {
    pub(crate) active: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) lost_samples: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Recorder {
    pub(crate) fn start() -> io::Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let shared = Arc::clone(&inbox);
        let handle = std::thread::Builder::new().name("recorder".into()).spawn(move || run(&shared))?;
        Ok(Self { inbox, thread: handle.thread().clone() })
    }

    /// Begins a recording; false when there are too many.
    pub(crate) fn begin(&self, job: Job) -> bool {
        if self.inbox.counters.active.load(Relaxed) >= JOBS_MAX {
            return false;
        }
        self.inbox.counters.active.fetch_add(1, Relaxed);
        self.inbox.arrivals().push(job);
        self.wake();
        true
    }

    /// Something was asked of a recording.
    pub(crate) fn wake(&self) {
        self.thread.unpark();
    }

    pub(crate) fn counters(&self) -> &RecorderCounters {
        &self.inbox.counters
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.inbox.stop.store(true, Relaxed);
        self.wake();
    }
}

impl Inbox {
    fn arrivals(&self) -> MutexGuard<'_, Vec<Job>> {
        self.new.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(inbox: &Inbox) {
    let mut jobs: Vec<Job> = Vec::new();
    loop {
        // Read before the new ones: none comes after it.
        let stopping = inbox.stop.load(Relaxed);
        jobs.append(&mut inbox.arrivals());
        let now = Instant::now();
        jobs.retain_mut(|job| {
            let goes_on = job.turn(Instant::now(), &inbox.counters);
            if !goes_on {
                inbox.counters.active.fetch_sub(1, Relaxed);
            }
            goes_on
        });
        let waiting = jobs.iter_mut().filter(|job| job.wants_sync(now));
        waiting.take(SYNCS_PER_TURN).for_each(|job| job.sync(now));
        match (jobs.is_empty(), stopping) {
            (true, true) => return,
            (true, false) => std::thread::park(),
            (false, _) => std::thread::park_timeout(TURN),
        }
    }
}

const TURN: Duration = Duration::from_millis(100);
/// Far above what one disk takes.
const JOBS_MAX: u64 = 4096;
/// So that a slow disk delays the other recordings by little.
const SYNCS_PER_TURN: usize = 8;
