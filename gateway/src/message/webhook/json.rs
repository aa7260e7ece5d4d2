//! How JSON of providers is read: by pointers, and leniently, since fields come, go and change between text and number.

use jiff::Timestamp;
use serde_json::Value;
use vestibule_routing::channel::Channel;

use super::{Arrived, Incoming, other, proof};

/// The text at a pointer (RFC 6901), if there is some.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The same as a string of its own.
pub(super) fn string(value: &Value, pointer: &str) -> Option<String> {
    text(value, pointer).map(str::to_owned)
}

/// Text, or a whole number as text: ids are either, by provider and by year.
pub(super) fn scalar(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The list at a pointer; empty when there is none.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Seconds since 1970, as number or text.
pub(super) fn seconds(value: &Value, pointer: &str) -> Option<Timestamp> {
    Timestamp::from_second(scalar(value, pointer)?.parse().ok()?).ok()
}

/// Milliseconds since 1970, as number or text.
pub(super) fn millis(value: &Value, pointer: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(scalar(value, pointer)?.parse().ok()?).ok()
}

/// A time as RFC 3339 has it.
pub(super) fn time(value: &Value, pointer: &str) -> Option<Timestamp> {
    text(value, pointer)?.parse().ok()
}

/// A telephone number as E.164: providers leave the plus out. What is none (a short code, a name) stays as it is.
pub(super) fn number(text: &str) -> String {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let long = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if long { format!("+{digits}") } else { text.to_owned() }
}

/// A place as people and programs can read it (RFC 5870), with its name and address where there are such.
pub(super) fn place(value: &Value, latitude: &str, longitude: &str, words: &[&str]) -> Option<String> {
    let mut place = format!("geo:{},{}", scalar(value, latitude)?, scalar(value, longitude)?);
    for words in words.iter().filter_map(|pointer| text(value, pointer)) {
        place.push(' ');
        place.push_str(words);
    }
    Some(place)
}

/// A part that is kept as it came, under the provider's word for it. It is named by what it says.
pub(super) fn part(channel: Channel, kind: &str, value: &Value) -> Incoming {
    let raw = value.to_string();
    other(channel, kind, &raw, proof::fingerprint(raw.as_bytes()))
}

/// The body, if it is JSON.
pub(super) fn body(arrived: &Arrived<'_>) -> Option<Value> {
    serde_json::from_slice(arrived.body).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_a_plus_and_names_stay() {
        for (given, wanted) in [
            ("14155550100", "+14155550100"),
            ("+14155550100", "+14155550100"),
            ("12345", "12345"),
            ("Shop", "Shop"),
            ("", ""),
        ] {
            assert_eq!(number(given), wanted);
        }
    }

    #[test]
    fn fields_are_read_whatever_their_form() {
        let value =
            json!({"a": {"id": 7, "name": "x", "none": ""}, "t": "1700000000", "ms": 1_700_000_000_000_i64});
        assert_eq!((scalar(&value, "/a/id").as_deref(), text(&value, "/a/none")), (Some("7"), None));
        assert_eq!(seconds(&value, "/t"), millis(&value, "/ms"));
        assert!(list(&value, "/a").is_empty());
        let here = json!({"lat": 1.5, "lon": "-2", "name": "Home"});
        assert_eq!(place(&here, "/lat", "/lon", &["/name", "/address"]).as_deref(), Some("geo:1.5,-2 Home"));
    }
}
