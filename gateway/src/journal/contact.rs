//! Contact records: one for every contact, begun with `contact.started`, finished with `contact.ended`.

use jiff::Timestamp;
use serde::Serialize;
use vestibule_routing::{
    channel::Channel,
    id::{InboxId, IvrId, NodeId, TrunkId},
    outcome::Outcome,
};

/// A change of a contact's record.
#[derive(Clone, Debug)]
pub enum ContactUpdate {
    /// The record begins.
    Started(Box<ContactStart>),
    /// Something became known while the contact is live; kept for the case of a crash.
    Progress(Box<ContactProgress>),
    /// The record is finished; later updates are ignored.
    Ended(Box<ContactEnd>),
}

/// What is known as a contact arrives; also the payload of `contact.started`.
#[derive(Clone, Debug, Serialize)]
pub struct ContactStart {
    /// How it arrived.
    pub channel: Channel,
    /// The customer's address as text; empty when withheld.
    pub from: String,
    /// What was dialled or written to.
    pub to: String,
    /// When it arrived.
    pub arrived: Timestamp,
    /// The entry point it resolved to, if any.
    pub entry_point: Option<String>,
    /// The revision of the routing documents that it runs under.
    pub revision: Option<u64>,
    /// The trunk of a call.
    pub trunk: Option<TrunkId>,
    /// The SIP Call-ID of a call.
    pub call_id: Option<String>,
    /// Who had a call before it was diverted here: a number where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverted_from: Option<String>,
    /// The callback by which we called the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback: Option<String>,
}

/// What becomes known on the way; a `None` leaves the stored value.
#[derive(Clone, Debug, Default)]
pub struct ContactProgress {
    /// When we answered.
    pub answered: Option<Timestamp>,
    /// The IVR it is in, or was in last.
    pub ivr: Option<IvrId>,
    /// The inbox it belongs to.
    pub inbox: Option<InboxId>,
}

/// How a contact ended; also the payload of `contact.ended`, without the trace.
#[derive(Clone, Debug, Serialize)]
pub struct ContactEnd {
    /// When it ended.
    pub ended: Timestamp,
    /// Whose doing, and why.
    pub outcome: Outcome,
    /// When we answered, if we did.
    pub answered: Option<Timestamp>,
    /// The IVR it was in last.
    pub ivr: Option<IvrId>,
    /// The inbox it belonged to last.
    pub inbox: Option<InboxId>,
    /// Where an abandoned contact was abandoned.
    pub abandoned_at: Option<Place>,
    /// The trace as a JSON array, for the record only.
    #[serde(skip)]
    pub trace: Option<String>,
}

impl ContactEnd {
    /// An end of which only the time and the outcome are known.
    pub fn new(ended: Timestamp, outcome: Outcome) -> Self {
        Self { ended, outcome, answered: None, ivr: None, inbox: None, abandoned_at: None, trace: None }
    }
}

/// Where a contact was when its customer gave up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "in")]
pub enum Place {
    /// In an IVR, at this node.
    Ivr {
        /// The IVR.
        ivr: IvrId,
        /// The node.
        node: NodeId,
    },
    /// In an inbox's queue.
    Queue {
        /// The inbox.
        inbox: InboxId,
        /// How long it had waited there, in milliseconds.
        waited_ms: u64,
    },
    /// Before it was answered.
    Ringing,
}
