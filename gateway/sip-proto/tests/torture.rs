//! The messages of RFC 4475 and RFC 5118: every one gets the parser's verdict that its RFC wants.

use std::path::PathBuf;

use sip_proto::message::Message;

#[test]
fn every_torture_message_gets_its_verdict() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in index.as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let verdict = match Message::parse(&bytes) {
            Err(error) => Err(error.reason),
            Ok(message) => message.check().map_err(|bad| bad.0),
        };
        seen += 1;
        let fits = match entry["parser"].as_str().unwrap() {
            "accept" => verdict.is_ok(),
            "reject" => verdict.is_err(),
            "either" => true,
            other => panic!("{file}: unknown verdict {other}"),
        };
        if !fits {
            wrong.push(format!("{file}: wanted {}, got {verdict:?}", entry["parser"]));
        }
    }
    assert_eq!(seen, 62);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
