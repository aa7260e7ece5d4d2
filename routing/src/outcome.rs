//! How a contact ended: whose doing, and why.

use serde::{Deserialize, Serialize};

/// Who brought the end about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The customer.
    Caller,
    /// The inbox that took (or was to take) the contact.
    Inbox,
    /// The network between us and the customer.
    Carrier,
    /// What administrators set up: an IVR's hang-up, a limit's treatment, an unknown number.
    Plan,
    /// This gateway: overload, failure, restart, drain.
    Gateway,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Ended in the ordinary way after it was taken.
    Completed,
    /// The caller hung up before the call was answered by us.
    Cancelled,
    /// The caller hung up inside an IVR.
    AbandonedInIvr,
    /// The caller hung up while waiting in a queue.
    AbandonedInQueue,
    /// The caller left a message.
    LeftVoicemail,
    /// The caller is to be called back.
    CallbackRequested,
    /// An IVR's hang-up node was reached.
    HungUpByIvr,
    /// Nobody holds this number.
    UnknownNumber,
    /// The number is ours but voice is off, or its entry point is disarmed.
    VoiceOff,
    /// The caller stands on a block list.
    Blocked,
    /// A limit's treatment ended it: maximum wait, queue full, no one available.
    QueueLimit,
    /// No common codec, or the offer could not be answered.
    MediaRefused,
    /// No media came for too long.
    MediaTimeout,
    /// No ACK came, or the session timer ran out.
    SignallingTimeout,
    /// Hung up through the API.
    HungUpByApi,
    /// The gateway could not take it: full, journal down, draining.
    Overloaded,
    /// A failure inside the gateway.
    Failed,
    /// The gateway stopped or was killed while the contact was live.
    Restarted,
}

/// How a contact ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Outcome {
    /// Whose doing.
    pub side: Side,
    /// Why.
    pub reason: Reason,
}

impl Outcome {
    /// An outcome out of its two halves.
    pub const fn new(side: Side, reason: Reason) -> Self {
        Self { side, reason }
    }
}
