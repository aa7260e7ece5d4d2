//! The contact's task, as far as the contact waits: its place in a queue, its inbox's telephones, a place had back.

use std::time::Instant;

use vestibule_routing::{
    id::InboxId,
    journey::{Callback, Event, FeedEvent, QueueView},
    outcome::{Outcome, Reason},
};

use super::{Answer, ContactTask};
use crate::{
    journal::{CallbackRow, ContactStart},
    places::LostPlace,
};

impl ContactTask {
    pub(super) fn enter_queue(&mut self, inbox: &InboxId, priority: u8, length_max: Option<u32>) {
        let arrived = self.place_in(inbox);
        // Before the new place is taken: giving the old one up later would remove the new one,
        // if both are the same (back from an inbox that was full).
        (self.ticket, self.dial_wait, self.agents) = (None, None, None);
        match self.services.queues.join(inbox, &self.id, arrived, priority, length_max) {
            Ok(ticket) => {
                self.queued_at.get_or_insert_with(Instant::now);
                self.ticket = Some(ticket);
                self.wait_for_phones(inbox, priority);
                self.watch_agents(inbox);
            }
            Err(_) => {
                self.services.metrics.queue.full.inc();
                self.pending.push_back(Event::QueueFull);
            }
        }
        self.measure_queues();
    }

    /// Since when the caller counts as waiting in an inbox.
    fn place_in(&mut self, inbox: &InboxId) -> jiff::Timestamp {
        let ContactStart { from, to, arrived, .. } = &self.record.start;
        if let Some(since) = self.services.places.take(from, to, inbox, *arrived) {
            tracing::debug!(contact = %self.id, %since, "a caller who rang again has the old place");
            self.waits_since = self.waits_since.min(since);
        }
        self.waits_since
    }

    /// Keeps the place of a caller who is gone from the queue, for when he rings again.
    pub(super) fn keep_place(&self, outcome: Outcome) {
        let lost = matches!(
            outcome.reason,
            Reason::AbandonedInQueue | Reason::MediaTimeout | Reason::SignallingTimeout | Reason::Restarted
        );
        if let Some(inbox) =
            self.record.progress.inbox.clone().filter(|_| lost && !self.record.is_connected())
        {
            let ContactStart { from, to, .. } = self.record.start.clone();
            let lost = jiff::Timestamp::now();
            self.services.places.keep(LostPlace { from, to, inbox, arrived: self.waits_since, lost });
        }
    }

    /// Has the inbox's telephones called, if it has any.
    fn wait_for_phones(&mut self, inbox: &InboxId, priority: u8) {
        let dial = self.journey.plan().inbox(inbox).and_then(|inbox| inbox.dial.clone());
        self.dial_wait =
            dial.map(|dial| self.services.dialler.wait(inbox, &self.id, self.waits_since, priority, dial));
    }

    /// Looks at how many agents are available, now and as long as the contact waits there.
    fn watch_agents(&mut self, inbox: &InboxId) {
        let mut agents = self.services.availability.watch(inbox);
        let known = agents.borrow_and_update().agents(Instant::now());
        self.pending.extend(known.map(|known| Event::Availability(Some(known))));
        self.agents = Some(agents);
    }

    /// Tells the journey where the caller stands.
    pub(super) fn look_at_queue(&mut self) {
        let view = self.ticket.as_ref().map(|ticket| {
            let (inbox, position) = (ticket.inbox(), ticket.position());
            let agents = self.services.availability.agents(inbox).or_else(|| self.telephones(inbox));
            let wait = agents.and_then(|agents| self.services.handling.wait(inbox, position, agents));
            QueueView { position, wait }
        });
        self.pending.push_back(Event::InQueue(view));
    }

    /// Telephones that are called for those who wait in the inbox: as many agents as are known of.
    fn telephones(&self, inbox: &InboxId) -> Option<u32> {
        let dial = self.journey.plan().inbox(inbox)?.dial.as_ref()?;
        u32::try_from(dial.targets.len()).ok()
    }

    /// Has the caller called back, in the place that he has in the queue.
    pub(super) fn store_callback(&mut self, callback: Callback) {
        let Some(ticket) = &self.ticket else {
            return self.pending.push_back(Event::CallbackStored(false));
        };
        let now = jiff::Timestamp::now();
        let hours = jiff::SignedDuration::from_hours(i64::from(callback.window_hours));
        let row = CallbackRow {
            id: format!("cb_{}", self.id.as_str().trim_start_matches("ct_")),
            contact: self.id.clone(),
            number: callback.number.to_string(),
            company: self.record.start.to.clone(),
            trunk: self.record.start.trunk.clone(),
            inbox: ticket.inbox().clone(),
            priority: ticket.priority(),
            since: self.waits_since,
            expires: now.checked_add(hours).unwrap_or(jiff::Timestamp::MAX),
            gap_seconds: callback.gap_minutes.saturating_mul(60),
            attempts_left: callback.attempts,
            attempts: 0,
            not_before: now,
        };
        let (callbacks, answers) = (self.services.callbacks.clone(), self.answers.clone());
        tokio::spawn(async move {
            let stored = callbacks.store(row).await;
            if let Err(error) = &stored {
                tracing::error!(%error, "a callback could not be stored");
            }
            // The contact may be gone by now; the callback is made all the same.
            answers.send(Answer::Event(Event::CallbackStored(stored.is_ok()))).await.unwrap_or_default();
        });
    }

    /// Sees who was called back into the queue, and measures how long who took the contact talks to the caller,
    /// transfers included.
    pub(super) fn follow(&mut self, event: &FeedEvent) {
        match event {
            FeedEvent::Queued { .. } if self.attempt.is_some() => {
                // The place passes on: from the callback to the contact, which is just about to have it.
                if let Some(attempt) = self.attempt.take() {
                    attempt.reached(&self.id);
                }
            }
            FeedEvent::Connected { inbox, .. } => self.talk_since = Some((Instant::now(), inbox.clone())),
            FeedEvent::Queued { .. } | FeedEvent::Ended(_) => {
                if let Some((since, inbox)) = self.talk_since.take() {
                    self.services.handling.note(&inbox, since.elapsed());
                }
            }
            _ => {}
        }
    }

    pub(super) fn leave_queue(&mut self) {
        (self.dial_wait, self.agents) = (None, None);
        if self.ticket.take().is_some()
            && let Some(since) = self.queued_at.take()
        {
            self.services.metrics.queue.wait_seconds.observe(since.elapsed().as_secs_f64());
        }
        self.measure_queues();
    }

    fn measure_queues(&self) {
        let waiting = i64::try_from(self.services.queues.waiting()).unwrap_or(i64::MAX);
        self.services.metrics.queue.waiting.set(waiting);
    }
}
