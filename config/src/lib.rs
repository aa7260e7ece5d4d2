//! Documents to plans.
