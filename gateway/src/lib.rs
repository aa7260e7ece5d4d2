//! The edges and the wiring.
pub mod api;
pub mod feed;
pub mod journal;
pub mod media;
pub mod queue;
pub mod sip;
pub mod telemetry;
