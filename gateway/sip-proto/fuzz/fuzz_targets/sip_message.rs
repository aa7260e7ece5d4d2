//! Any bytes are read as a message, and as the beginning of a stream.
#![no_main]

#[path = "../../tests/support/messages.rs"]
mod messages;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    messages::read_all(bytes);
});
