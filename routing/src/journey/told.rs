//! What an event means to whatever waits: an IVR, a queue wait, a last prompt.

use super::{
    action::PlaybackId,
    event::{Event, QueueView, Recorded},
};
use crate::digit::Digit;

/// An [`Event`] without those that concern the journey as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told<'a> {
    Digit(Digit),
    PlaybackDone(PlaybackId),
    DataDip {
        request: u32,
        values: Option<&'a [(String, String)]>,
    },
    SmsSent {
        request: u32,
        sent: bool,
    },
    Time,
    Failure(&'static str),
    /// Whom a forward node had called does not take the call.
    ForwardFailed,
    InQueue(Option<QueueView>),
    RecordingSilent,
    Recorded(Recorded),
    CallbackStored(bool),
}

impl<'a> Told<'a> {
    pub(super) fn of(event: &'a Event) -> Option<Self> {
        match event {
            Event::Digit(digit) => Some(Told::Digit(*digit)),
            Event::PlaybackDone(id) => Some(Told::PlaybackDone(*id)),
            Event::DataDip { request, values } => {
                Some(Told::DataDip { request: *request, values: values.as_deref() })
            }
            Event::SmsSent { request, sent } => Some(Told::SmsSent { request: *request, sent: *sent }),
            Event::Deadline => Some(Told::Time),
            Event::PlaybackFailed(_, why) => Some(Told::Failure(why)),
            Event::InQueue(view) => Some(Told::InQueue(*view)),
            Event::RecordingSilent => Some(Told::RecordingSilent),
            Event::Recorded(recorded) => Some(Told::Recorded(*recorded)),
            Event::CallbackStored(stored) => Some(Told::CallbackStored(*stored)),
            Event::QueueFull
            | Event::Availability(_)
            | Event::HungUp(_)
            | Event::HangUpRequested
            | Event::Closing
            | Event::Requested(..)
            | Event::CallAnswered(..)
            | Event::CallFailed(..)
            | Event::TakerGone(_)
            | Event::TakerHeld(_) => None,
        }
    }
}
