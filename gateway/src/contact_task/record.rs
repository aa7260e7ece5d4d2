//! What the contact's record will say, kept together on the way.

use std::time::Instant;

use vestibule_routing::{
    id::NodeId,
    journey::FeedEvent,
    outcome::{Outcome, Reason, Side},
};

use crate::journal::{ContactProgress, ContactStart, Place};

/// One contact's record in the making.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) start: ContactStart,
    /// The record was begun before a restart.
    pub(super) continued: bool,
    pub(super) progress: ContactProgress,
    pub(super) node: Option<NodeId>,
    changed: bool,
}

impl Record {
    pub(super) fn new(start: ContactStart, continued: bool) -> Self {
        Self { start, continued, progress: ContactProgress::default(), node: None, changed: false }
    }

    /// Takes over what an event says.
    pub(super) fn note(&mut self, event: &FeedEvent) {
        match event {
            FeedEvent::IvrEntered { ivr, .. } => {
                self.progress.ivr = Some(ivr.clone());
                self.changed = true;
            }
            FeedEvent::NodeEntered { node, .. } => self.node = Some(node.clone()),
            FeedEvent::Queued { inbox, .. } | FeedEvent::Moved { to: inbox, .. } => {
                self.progress.inbox = Some(inbox.clone());
                self.changed = true;
            }
            FeedEvent::IvrExited { .. } | FeedEvent::Started | FeedEvent::Ended(_) => {}
        }
    }

    /// Whether the stored record lacks something; asking makes it up to date.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Where an abandoned contact was abandoned.
    pub(super) fn abandoned_at(&self, outcome: Outcome, queued_at: Option<Instant>) -> Option<Place> {
        if outcome.side != Side::Caller {
            return None;
        }
        match outcome.reason {
            Reason::AbandonedInQueue => Some(Place::Queue {
                inbox: self.progress.inbox.clone()?,
                waited_ms: queued_at
                    .map_or(0, |at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
            }),
            Reason::AbandonedInIvr => {
                Some(Place::Ivr { ivr: self.progress.ivr.clone()?, node: self.node.clone()? })
            }
            Reason::Cancelled => Some(Place::Ringing),
            _ => None,
        }
    }
}
