//! The routing domain: what happens to one contact from arrival to outcome.
//!
//! A [`plan::Plan`] says where every address leads. A [`journey::Journey`] walks one contact through
//! it: resolve the number, run the Initial IVR, wait in the inbox's queue with its timers and its
//! Queue IVR, end with an [`outcome::Outcome`]. The journey is told what happened
//! ([`journey::Event`]) and answers with what it wants done ([`journey::Action`]).
//!
//! This crate is pure: no clock, socket, file, task, thread or randomness. Time is the argument
//! [`time::Now`].
#![deny(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm
)]

pub mod address;
pub mod channel;
pub mod contact;
pub mod digit;
pub mod id;
pub mod journey;
pub mod outcome;
pub mod plan;
pub mod resolve;
pub mod simulate;
pub mod time;
