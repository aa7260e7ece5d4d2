//! What tests of the gateway as a whole have in common.

pub(crate) mod gateway;
pub(crate) mod pages;
pub(crate) mod people;
pub(crate) mod reader;
