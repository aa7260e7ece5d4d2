//! The edges and the wiring.
pub mod queue;
pub mod sip;
