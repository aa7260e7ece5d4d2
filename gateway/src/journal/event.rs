//! What the journal writes: the closed table of event kinds, events, and the entry of one wake-up.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vestibule_routing::{id::ContactId, journey::FeedEvent};

use super::{
    callback::CallbackUpdate,
    contact::{ContactEnd, ContactStart, ContactUpdate},
};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),* $(,)?) => {
        /// The kind of an event: a closed table, published in the reference.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl EventKind {
            /// Every kind, in the order of the product's table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Their CloudEvents types, in the same order.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The CloudEvents `type`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

kinds! {
    /// A contact arrived.
    ContactStarted = "contact.started",
    /// An IVR began.
    ContactIvrEntered = "contact.ivr_entered",
    /// An IVR was left.
    ContactIvrExited = "contact.ivr_exited",
    /// A node of an IVR was reached.
    ContactNodeEntered = "contact.node_entered",
    /// A place in an inbox's queue was taken.
    ContactQueued = "contact.queued",
    /// The contact moved to another inbox.
    ContactMoved = "contact.moved",
    /// The contact was delivered to an inbox.
    ContactDelivered = "contact.delivered",
    /// The inbox took it.
    ContactTaken = "contact.taken",
    /// The inbox refused it.
    ContactRefused = "contact.refused",
    /// Nobody took it in time.
    ContactTakeTimedOut = "contact.take_timed_out",
    /// Both sides hear each other.
    ContactConnected = "contact.connected",
    /// The contact was put on hold.
    ContactHeld = "contact.held",
    /// The hold is over.
    ContactResumed = "contact.resumed",
    /// The contact was transferred.
    ContactTransferred = "contact.transferred",
    /// The contact is over, with its outcome.
    ContactEnded = "contact.ended",
    /// A message arrived.
    MessageReceived = "message.received",
    /// An inbox answered in a chat.
    MessageSent = "message.sent",
    /// A message was edited, deleted or reacted to.
    MessageUpdated = "message.updated",
    /// A provider reported on a delivery.
    MessageDeliveryReported = "message.delivery_reported",
    /// A message could not be understood and is kept raw.
    MessageUnparsed = "message.unparsed",
    /// A visitor of a chat turned out to be somebody whom the site knows.
    CustomerIdentified = "customer.identified",
    /// What is kept of a customer was erased; consumers erase it too.
    CustomerErased = "customer.erased",
    /// What stood here was erased with its customer.
    EventErased = "event.erased",
    /// A customer opted out or in.
    OptoutChanged = "optout.changed",
    /// A voicemail was recorded.
    VoicemailRecorded = "voicemail.recorded",
    /// A recording was stored.
    RecordingStored = "recording.stored",
    /// A recording failed.
    RecordingFailed = "recording.failed",
    /// A callback was asked for.
    CallbackRequested = "callback.requested",
    /// A callback was made.
    CallbackDone = "callback.done",
    /// A number changed its state.
    NumberChanged = "number.changed",
    /// A registration changed its state.
    RegistrationChanged = "registration.changed",
    /// A mail domain was verified, or is no more.
    MailDomainChanged = "mail_domain.changed",
    /// A mailbox changed its state, or a forwarder asks.
    MailboxChanged = "mailbox.changed",
    /// A routing revision became active.
    RevisionActivated = "revision.activated",
    /// Events were trimmed before this reader came to them; never stored, made when read.
    FeedGap = "feed.gap",
}

impl EventKind {
    /// Reads a CloudEvents `type`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// An event that has no sequence yet. Its payload is JSON already and cheap to clone.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When it happened (not when it was written).
    pub at: Timestamp,
    data: Arc<str>,
}

impl Event {
    /// An event with a payload. A payload that is no JSON object becomes `{}`.
    pub fn new(kind: EventKind, at: Timestamp, data: &impl Serialize) -> Self {
        let text = serde_json::to_string(data).ok().filter(|text| text.starts_with('{'));
        Self { kind, at, data: text.map_or_else(|| Arc::from("{}"), Arc::from) }
    }

    /// An event of a journey, with the payload of the published table.
    ///
    /// `Started` and `Ended` carry more than the journey knows: use [`Entry::started`] and
    /// [`Entry::ended`], which write the record too.
    pub fn of_journey(at: Timestamp, event: &FeedEvent) -> Self {
        match event {
            FeedEvent::Started => Self::new(EventKind::ContactStarted, at, &json!({})),
            FeedEvent::IvrEntered { ivr, queue } => {
                Self::new(EventKind::ContactIvrEntered, at, &json!({"ivr": ivr, "queue": queue}))
            }
            FeedEvent::NodeEntered { ivr, node, by, digits } => Self::new(
                EventKind::ContactNodeEntered,
                at,
                &json!({"ivr": ivr, "node": node, "by": by, "digits": digits}),
            ),
            FeedEvent::IvrExited { ivr, node, inbox, failure } => Self::new(
                EventKind::ContactIvrExited,
                at,
                &json!({"ivr": ivr, "node": node, "inbox": inbox, "failure": failure}),
            ),
            FeedEvent::Queued { inbox, sla_due } => {
                Self::new(EventKind::ContactQueued, at, &json!({"inbox": inbox, "sla_due": sla_due}))
            }
            FeedEvent::Moved { from, to } => {
                Self::new(EventKind::ContactMoved, at, &json!({"from_inbox": from, "to_inbox": to}))
            }
            FeedEvent::Taken { inbox, by, target } => {
                Self::new(EventKind::ContactTaken, at, &json!({"inbox": inbox, "by": by, "target": target}))
            }
            FeedEvent::Refused { inbox, by, target, status } => Self::new(
                EventKind::ContactRefused,
                at,
                &json!({"inbox": inbox, "by": by, "target": target, "status": status}),
            ),
            FeedEvent::TakeTimedOut { inbox, by, target } => Self::new(
                EventKind::ContactTakeTimedOut,
                at,
                &json!({"inbox": inbox, "by": by, "target": target}),
            ),
            FeedEvent::Connected { inbox, target } => {
                Self::new(EventKind::ContactConnected, at, &json!({"inbox": inbox, "target": target}))
            }
            FeedEvent::Held { by } => Self::new(EventKind::ContactHeld, at, &json!({"by": by})),
            FeedEvent::Resumed { by } => Self::new(EventKind::ContactResumed, at, &json!({"by": by})),
            FeedEvent::Transferred { to_inbox, to_target, by } => Self::new(
                EventKind::ContactTransferred,
                at,
                &json!({"to_inbox": to_inbox, "to_target": to_target, "by": by}),
            ),
            FeedEvent::Ended(outcome) => Self::new(EventKind::ContactEnded, at, &json!({"outcome": outcome})),
        }
    }

    /// The payload, a JSON object.
    pub fn data(&self) -> &str {
        &self.data
    }
}

/// What one wake-up of a contact writes: stored as one row, in one transaction with the record.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The contact, the CloudEvents `subject`.
    pub contact: ContactId,
    /// The events in order; each gets a sequence of its own.
    pub events: Vec<Event>,
    /// The change of the contact's record, if any.
    pub record: Option<ContactUpdate>,
    /// The change of a callback, if any.
    pub callback: Option<CallbackUpdate>,
}

impl Entry {
    /// Events of a contact that leave its record as it is.
    pub fn new(contact: ContactId) -> Self {
        Self { contact, events: Vec::new(), record: None, callback: None }
    }

    /// The arrival of a contact: `contact.started` and a fresh record.
    pub fn started(contact: ContactId, start: ContactStart) -> Self {
        let event = Event::new(EventKind::ContactStarted, start.arrived, &start);
        let record = Some(ContactUpdate::Started(Box::new(start)));
        Self { contact, events: vec![event], record, callback: None }
    }

    /// The end of a contact: `contact.ended` and the end of its record. Written at most once a contact.
    pub fn ended(contact: ContactId, end: ContactEnd) -> Self {
        let mut entry = Self::new(contact);
        entry.end(end);
        entry
    }

    /// Adds the end of the contact behind the events so far; it replaces a record update set before.
    pub fn end(&mut self, end: ContactEnd) {
        self.events.push(Event::new(EventKind::ContactEnded, end.ended, &end));
        self.record = Some(ContactUpdate::Ended(Box::new(end)));
    }

    /// Adds an event of the journey.
    pub fn push(&mut self, at: Timestamp, event: &FeedEvent) {
        self.events.push(Event::of_journey(at, event));
    }

    /// Bytes this entry takes in the writer's queue, roughly.
    pub(super) fn cost_bytes(&self) -> usize {
        let record = match &self.record {
            Some(ContactUpdate::Ended(end)) => 512 + end.trace.as_ref().map_or(0, String::len),
            Some(_) => 512,
            None => 0,
        };
        128 + record + self.events.iter().map(|event| event.data.len() + 96).sum::<usize>()
    }

    /// Whether this entry ends its contact. Such entries are never refused for want of room: there is
    /// at most one for each live contact, and those are bounded.
    pub(super) fn ends_contact(&self) -> bool {
        matches!(self.record, Some(ContactUpdate::Ended(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_kind_once_and_no_other() {
        let page = include_str!("../../docs/events.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let named: Vec<&str> = rows.collect();
        let all: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(named, all);
    }
}
