//! The kinds of nodes as the IVR editor shows them: titles, forms, ranges and transitions of each.
//!
//! The description is data, and the tests below hold it against the types that documents are read with and the ranges
//! that the compiler checks, so that neither can change without the other.

/// The description of all kinds of nodes, JSON.
pub const NODES: &str = include_str!("nodes.json");

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::{Map, Value, json};
    use vestibule_routing::{id::NodeId, plan::node::Node};

    use super::NODES;
    use crate::document::{self, Key, Kind};

    fn kinds() -> Vec<Value> {
        let described: Value = serde_json::from_str(NODES).unwrap();
        described["kinds"].as_array().unwrap().clone()
    }

    fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
        value[name].as_array().unwrap()
    }

    fn text<'v>(value: &'v Value, name: &str) -> &'v str {
        value[name].as_str().unwrap()
    }

    /// A node of a kind with what must be there, as the editor adds it.
    fn node(kind: &Value) -> Map<String, Value> {
        let mut node = Map::from_iter([("type".to_owned(), kind["type"].clone())]);
        for field in list(kind, "fields").iter().filter(|field| field.get("default").is_none()) {
            let least = if text(field, "form") == "whole" { field["minimum"].clone() } else { json!("") };
            node.insert(text(field, "name").to_owned(), field.get("new").cloned().unwrap_or(least));
        }
        for transition in list(kind, "transitions").iter().filter(|one| one.get("optional").is_none()) {
            let target = match transition.get("form").and_then(Value::as_str) {
                None => json!(""),
                Some("by_key" | "by_calendar_row") => json!({}),
                Some("patterns" | "rows") => json!([]),
                Some(other) => panic!("{other} is no form of transitions"),
            };
            node.insert(text(transition, "name").to_owned(), target);
        }
        node
    }

    fn read(node: &Map<String, Value>) -> Result<Node<NodeId>, serde_json::Error> {
        serde_json::from_value(Value::Object(node.clone()))
    }

    #[test]
    fn every_kind_of_node_is_described_and_no_other() {
        let error = read(&Map::from_iter([("type".to_owned(), json!("none such"))])).unwrap_err().to_string();
        let known: BTreeSet<String> = error.split('`').skip(3).step_by(2).map(str::to_owned).collect();
        let described: BTreeSet<String> = kinds().iter().map(|kind| text(kind, "type").to_owned()).collect();
        assert!(known.len() > 20, "{error}");
        assert_eq!(described, known);
    }

    #[test]
    fn every_field_and_transition_is_described_with_its_default() {
        for kind in kinds() {
            let name = text(&kind, "type");
            let parsed = read(&node(&kind)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let Value::Object(written) = serde_json::to_value(parsed).unwrap() else { panic!("{name}") };
            let mut described = BTreeSet::from(["type"]);
            for field in list(&kind, "fields") {
                described.insert(text(field, "name"));
                if let Some(default) = field.get("default") {
                    assert_eq!(&written[text(field, "name")], default, "{name}.{}", text(field, "name"));
                }
            }
            described.extend(list(&kind, "transitions").iter().map(|transition| text(transition, "name")));
            let known: BTreeSet<&str> = written.keys().map(String::as_str).collect();
            assert_eq!(described, known, "{name}");
        }
    }

    #[test]
    fn what_has_no_default_must_be_there_and_what_is_optional_may_be_left_out() {
        for kind in kinds() {
            let whole = node(&kind);
            for field in whole.keys().filter(|field| *field != "type") {
                let mut without = whole.clone();
                without.remove(field);
                let listed = list(&kind, "transitions").iter().any(|one| {
                    text(one, "name") == field
                        && matches!(one["form"].as_str(), Some("rows" | "by_calendar_row"))
                });
                assert_eq!(read(&without).is_ok(), listed, "{}.{field}", text(&kind, "type"));
            }
        }
    }

    #[test]
    fn queue_only_kinds_are_marked_and_groups_exist() {
        let described: Value = serde_json::from_str(NODES).unwrap();
        let groups: BTreeSet<&str> =
            list(&described, "groups").iter().map(|group| text(group, "name")).collect();
        for kind in kinds() {
            let marked = kind["queue_only"].as_bool().unwrap_or(false);
            assert_eq!(read(&node(&kind)).unwrap().is_queue_only(), marked, "{}", text(&kind, "type"));
            assert!(groups.contains(text(&kind, "group")));
        }
    }

    /// Findings of R-1211 when a field has a value.
    fn out_of_range(kind: &Value, field: &str, value: &Value) -> bool {
        let mut node = node(kind);
        node.insert(field.to_owned(), value.clone());
        let ivr = json!({"name": "Ranges", "kind": "queue", "start": "a", "nodes": {"a": node}});
        let key = Key::new(Kind::Ivrs, "ranges");
        let object = document::read(&key, &ivr).unwrap();
        let context = crate::compile::Context {
            now: jiff::Timestamp::UNIX_EPOCH,
            owned: &|_| true,
            recorded: &|_| true,
            speech: true,
            provider_kinds: &[],
            event_types: &[],
            run_tests: false,
        };
        let outcome =
            crate::compile::compile(crate::compile::Compiled::default(), vec![(key, Some(object))], &context);
        let at = format!("/ivrs/ranges/nodes/a/{field}");
        outcome.diagnostics.iter().any(|finding| finding.code.as_str() == "R-1211" && finding.path == at)
    }

    #[test]
    fn ranges_are_those_that_the_compiler_checks() {
        for kind in kinds() {
            for field in list(&kind, "fields").iter().filter(|field| text(field, "form") == "whole") {
                let (name, place) = (text(field, "name"), text(&kind, "type"));
                let (least, most) = (field["minimum"].as_u64().unwrap(), field["maximum"].as_u64().unwrap());
                assert!(!out_of_range(&kind, name, &json!(least)), "{place}.{name} at {least}");
                assert!(!out_of_range(&kind, name, &json!(most)), "{place}.{name} at {most}");
                assert!(out_of_range(&kind, name, &json!(most + 1)), "{place}.{name} above {most}");
                if least > 0 {
                    assert!(out_of_range(&kind, name, &json!(least - 1)), "{place}.{name} below {least}");
                }
            }
        }
    }

    #[test]
    fn the_reference_of_nodes_names_every_field() {
        let reference = include_str!("../../docs/nodes.md");
        let rows: BTreeMap<&str, &str> = reference
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|line| line.split_once('`'))
            .collect();
        for kind in kinds() {
            let row = rows[text(&kind, "type")];
            for field in list(&kind, "fields") {
                assert!(
                    row.contains(&format!("`{}`", text(field, "name"))),
                    "{} {}",
                    text(&kind, "type"),
                    field["name"]
                );
            }
        }
    }
}
