//! One contact's run through routing, pinned to the plan it began with.

pub mod action;
pub mod event;

pub use action::{Action, Actions, FeedEvent, Playback, PlaybackId, Sound};
pub use event::Event;
