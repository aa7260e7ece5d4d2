//! SIP edge.
pub(crate) mod socket;
