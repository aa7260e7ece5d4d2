//! The edges and the wiring.
pub mod journal;
pub mod queue;
pub mod sip;
pub mod telemetry;
