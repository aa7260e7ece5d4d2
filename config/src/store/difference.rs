//! How two bodies of one object differ, value by value.

use serde::Serialize;
use serde_json::Value;

use crate::diagnostic::step;

/// A value that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValueDifference {
    /// Where in the object, as a JSON pointer.
    pub path: String,
    /// Before; none when it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// After; none when it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// Every place at which two values differ, in the order of their paths. Lists are compared place by place.
pub fn differences(before: &Value, after: &Value) -> Vec<ValueDifference> {
    let mut all = Vec::new();
    compare("", Some(before), Some(after), &mut all);
    all
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, all: &mut Vec<ValueDifference>) {
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                compare(&format!("{path}/{}", step(name)), before.get(name), after.get(name), all);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                compare(&format!("{path}/{index}"), before.get(index), after.get(index), all);
            }
        }
        (before, after) if before == after => {}
        (before, after) => all.push(ValueDifference {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_place_that_differs_is_named_and_no_other() {
        let before = json!({"name": "A", "nodes": {"a/b": {"x": 1}, "c": {"list": [1, 2]}}});
        let after = json!({"name": "A", "nodes": {"a/b": {"x": 2}, "c": {"list": [1]}, "d": {}}});
        let found: Vec<String> = differences(&before, &after).into_iter().map(|one| one.path).collect();
        assert_eq!(found, ["/nodes/a~1b/x", "/nodes/c/list/1", "/nodes/d"]);
        assert!(differences(&before, &before).is_empty());
    }
}
