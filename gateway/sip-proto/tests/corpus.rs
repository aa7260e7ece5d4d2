//! The stored inputs of the fuzz targets, replayed without a fuzzer.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use sip_proto::message::Message;

#[path = "support/messages.rs"]
mod messages;

#[test]
fn the_stored_inputs_of_the_fuzz_targets_are_read_whole() {
    for (file, bytes) in messages::stored("fuzz/corpus/sip_message") {
        messages::read_all(&bytes);
        if !bytes.starts_with(b"\r\n") {
            let verdict = Message::parse(&bytes).map_err(|e| e.reason).map(|message| message.check());
            assert_eq!(verdict, Ok(Ok(())), "{file}");
        }
    }
    for (_, bytes) in messages::stored("fuzz/corpus/sdp") {
        messages::negotiate(&bytes);
    }
}
