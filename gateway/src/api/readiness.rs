//! Whether this process takes calls: a latch that the start releases and the drain closes.

use std::sync::Arc;

use tokio::sync::watch;

/// Where the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not everything is up yet.
    Starting,
    /// Calls are taken.
    Ready,
    /// No new calls; those that are here go on.
    Draining,
    /// The process leaves: streams and long polls end.
    Stopping,
}

/// The phase, shared; anyone may wait for it to change.
#[derive(Clone, Debug)]
pub struct Readiness {
    phase: Arc<watch::Sender<Phase>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Starting)) }
    }
}

impl Readiness {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Goes on to a phase.
    pub fn set(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Returns once the process stops.
    pub async fn stopping(&self) {
        let mut phase = self.phase.subscribe();
        // The sender lives in `self`, so that this cannot fail.
        let _phase = phase.wait_for(|phase| *phase == Phase::Stopping).await;
    }
}
