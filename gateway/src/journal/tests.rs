//! Tests of the journal that need to look inside.
