//! What can happen to a contact.

use std::time::Duration;

use super::{
    action::PlaybackId,
    hand_off::{Request, RequestId, TargetIndex},
};
use crate::{
    digit::Digit,
    outcome::{Outcome, Reason},
};

/// A contact's place in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// 1 is next.
    pub position: u32,
    /// How long the wait is estimated to be; none when there is nothing to tell it by.
    pub wait: Option<Duration>,
}

/// What came of a caller's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is kept.
    Kept,
    /// It was too short, or nothing was said.
    TooShort,
    /// It could not be recorded.
    Failed,
}

/// Something that happened, told to the journey by its contact task.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Digit(Digit),
    /// A playback played to its end (never for looped ones, nor for one that was replaced).
    PlaybackDone(PlaybackId),
    /// The answer to a data dip: variables to set, or nothing when it failed or timed out.
    DataDip {
        /// The number given in the request's action.
        request: u32,
        /// Values by variable name; none when the request failed.
        values: Option<Vec<(String, String)>>,
    },
    /// What became of a text to the caller.
    SmsSent {
        /// The number given in the request's action.
        request: u32,
        /// Whether the carrier has taken it.
        sent: bool,
    },
    /// The answer to [`super::Action::LookAtQueue`]; none for who waits in no queue.
    InQueue(Option<QueueView>),
    /// The caller who is recorded has said nothing for ten seconds.
    RecordingSilent,
    /// The recording is over.
    Recorded(Recorded),
    /// Whether the callback is stored, and will be made whatever happens.
    CallbackStored(bool),
    /// The queue had no room: sent in answer to entering it.
    QueueFull,
    /// It became known (or unknown) how many agents are available to this inbox.
    Availability(Option<u32>),
    /// The caller is gone, or the call ended in the network.
    HungUp(Outcome),
    /// The gateway stops: the caller hears so, and the contact ends.
    Closing,
    /// Hung up through the API.
    HangUpRequested,
    /// Somebody wants something of the contact; [`super::Action::Reply`] is the answer.
    Requested(RequestId, Request),
    /// Whom [`super::Action::Call`] called has answered.
    CallAnswered(RequestId, TargetIndex),
    /// Whom [`super::Action::Call`] called did not answer: the SIP status, 408 when nobody picked up.
    CallFailed(RequestId, TargetIndex, u16),
    /// Whoever talked to the caller is gone, and why.
    TakerGone(Reason),
    /// Whoever talks to the caller has put the call on hold by telephone, or talks again.
    TakerHeld(bool),
    /// A playback could not be played, or not to its end, and why. One that is heard no longer has no
    /// say: its failure may be told late.
    PlaybackFailed(PlaybackId, &'static str),
    /// A deadline passed; sent by the contact task when [`super::Journey::deadline`] is due.
    Deadline,
}
