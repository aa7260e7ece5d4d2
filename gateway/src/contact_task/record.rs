//! What the contact's record will say, kept together on the way.

use std::{sync::Arc, time::Instant};

use vestibule_routing::{
    id::{ContactId, NodeId},
    journey::{Callee, FeedEvent},
    outcome::{Outcome, Reason, Side},
};

use crate::{
    api::live::{HandOff, HandOffState},
    journal::{ContactProgress, ContactStart, Place},
    revision_guard::Course,
};

/// One contact's record in the making.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) start: ContactStart,
    /// The record was begun before a restart.
    pub(super) continued: bool,
    pub(super) progress: ContactProgress,
    pub(super) node: Option<NodeId>,
    /// How the call fared in its IVRs.
    pub(super) course: Course,
    /// Whom the contact is handed to.
    pub(super) hand_off: Option<HandOff>,
    changed: bool,
}

impl Record {
    pub(super) fn new(start: ContactStart, continued: bool) -> Self {
        Self {
            start,
            continued,
            progress: ContactProgress::default(),
            node: None,
            course: Course::default(),
            hand_off: None,
            changed: false,
        }
    }

    /// What the SIP of the contact is kept under: the caller's Call-ID; the contact's id when we called.
    pub(super) fn story(&self, id: &ContactId) -> Arc<str> {
        self.start.call_id.as_deref().unwrap_or_else(|| id.as_str()).into()
    }

    /// Takes over what an event says.
    pub(super) fn note(&mut self, event: &FeedEvent) {
        self.course.note(event);
        match event {
            FeedEvent::IvrEntered { ivr, .. } => {
                self.progress.ivr = Some(ivr.clone());
                self.changed = true;
            }
            FeedEvent::NodeEntered { node, .. } => self.node = Some(node.clone()),
            FeedEvent::Queued { inbox, .. } | FeedEvent::Moved { to: inbox, .. } => {
                self.progress.inbox = Some(inbox.clone());
                // Moving on in the queue changes nothing for whoever is being called.
                if matches!(event, FeedEvent::Queued { .. }) {
                    self.hand_off = None;
                }
                self.changed = true;
            }
            FeedEvent::Taken { by, target, .. }
            | FeedEvent::Transferred { by, to_target: Some(target), .. } => {
                let (by, targets) = (by.clone(), vec![target.clone()]);
                self.hand_off = Some(HandOff { state: HandOffState::Connected, by, targets });
            }
            FeedEvent::Refused { target: Some(target), .. } | FeedEvent::TakeTimedOut { target, .. } => {
                self.stops_ringing(target);
            }
            FeedEvent::IvrExited { .. }
            | FeedEvent::Connected { .. }
            | FeedEvent::Refused { target: None, .. }
            | FeedEvent::Held { .. }
            | FeedEvent::Resumed { .. }
            | FeedEvent::Transferred { to_target: None, .. }
            | FeedEvent::Started
            | FeedEvent::Ended(_) => {}
        }
    }

    /// Somebody is called. During a transfer it is still shown who has the caller.
    pub(super) fn rings(&mut self, callee: &Callee) {
        let (by, targets) = (callee.by.clone(), callee.targets.clone());
        self.hand_off.get_or_insert(HandOff { state: HandOffState::Ringing, by, targets });
    }

    fn stops_ringing(&mut self, target: &str) {
        let Some(hand_off) = self.hand_off.as_mut().filter(|one| one.state == HandOffState::Ringing) else {
            return;
        };
        hand_off.targets.retain(|other| other != target);
        if hand_off.targets.is_empty() {
            self.hand_off = None;
        }
    }

    pub(super) fn rings_no_more(&mut self) {
        self.hand_off.take_if(|hand_off| hand_off.state == HandOffState::Ringing);
    }

    /// Whether somebody talks to the caller.
    pub(super) fn is_connected(&self) -> bool {
        self.hand_off.as_ref().is_some_and(|hand_off| hand_off.state == HandOffState::Connected)
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
