//! Sans-IO SIP: bytes and time in, bytes and events out.
//!
//! Layers, bottom up: [`message`] reads a message as borrowed slices; [`sdp`] reads and answers
//! offers, [`digest`] checks credentials; [`endpoint`] runs transactions (RFC 3261 §17, RFC 6026) and calls. No socket, clock, task or
//! thread: the caller brings the bytes, the time and the random numbers.
#![deny(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm
)]

mod body;
mod builder;
mod dialog;
pub mod digest;
pub mod endpoint;
pub mod header;
mod lex;
pub mod message;
mod parse;
pub mod sdp;
mod transaction;
pub mod uri;
mod wheel;

pub use builder::reason_phrase;
pub use transaction::TimerValues;
