//! Any bytes are read as an offer; what is answered must fit it.
#![no_main]

#[path = "../../tests/support/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    messages::negotiate(bytes);
});
