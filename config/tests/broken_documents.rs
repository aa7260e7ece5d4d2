//! Broken documents by the hundred: each is refused with the path to the fault, or is sound.
//!
//! The sample is taken apart into its values, and each is spoilt in every way that suits it. Whatever is wrong with the outcome
//! must be said with a path that leads to the place, or to what names it; and nothing of it may reach what is active.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as it should be")]

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use vestibule_config::{
    diagnostic::Diagnostic,
    document,
    sample::SAMPLE,
    store::{Options, Store},
};

/// One way of spoiling a document.
struct Broken {
    /// What was done, for the reader of a failure.
    what: String,
    /// Where.
    path: String,
    document: Value,
}

/// Every value of a document with its path; sections and their tables too.
fn places(value: &Value, path: &str, all: &mut Vec<String>) {
    all.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, inside) in fields {
                places(inside, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(values) => {
            for (index, inside) in values.iter().enumerate() {
                places(inside, &format!("{path}/{index}"), all);
            }
        }
        _ => {}
    }
}

/// What a value may be spoilt into.
fn spoilt(value: &Value) -> Vec<Value> {
    let mut all = vec![json!(null), json!([[]]), json!({"no_such_field": 1}), json!(-1), json!(1e300)];
    match value {
        Value::String(text) => {
            all.extend([
                json!(""),
                json!(5),
                json!(format!("{text} no such thing")),
                json!("x".repeat(5000)),
            ]);
        }
        Value::Number(_) => all.extend([json!(0), json!("7"), json!(u64::MAX), json!(1.5)]),
        Value::Bool(_) => all.push(json!("yes")),
        Value::Object(fields) => {
            let mut more = fields.clone();
            more.insert("no_such_field".to_owned(), json!(1));
            all.push(Value::Object(more));
            for name in fields.keys() {
                let mut fewer: Map<String, Value> = fields.clone();
                fewer.remove(name);
                all.push(Value::Object(fewer));
            }
        }
        Value::Array(values) => {
            let mut twice = values.clone();
            twice.extend(values.iter().cloned());
            all.extend([json!([]), Value::Array(twice), json!("no list")]);
        }
        Value::Null => {}
    }
    all.retain(|other| other != value);
    all
}

fn all_broken() -> Vec<Broken> {
    let sample: Value = document::to_value(&document::parse(SAMPLE).unwrap());
    let mut paths = Vec::new();
    places(&sample, "", &mut paths);
    let mut all = Vec::new();
    for path in paths.iter().filter(|path| !path.is_empty()) {
        for other in spoilt(sample.pointer(path).unwrap()) {
            let mut document = sample.clone();
            let shown: String = other.to_string().chars().take(80).collect();
            *document.pointer_mut(path).unwrap() = other;
            all.push(Broken { what: format!("{path} = {shown}"), path: path.clone(), document });
        }
    }
    all
}

/// The object that a path leads into: its section and name.
fn object(path: &str) -> String {
    path.split('/').take(3).collect::<Vec<_>>().join("/")
}

/// The first of what is wrong that names no place of the document, as it is, as it was, or as it should be.
fn without_place<'a>(findings: &'a [Diagnostic], broken: &Broken, sample: &Value) -> Option<&'a Diagnostic> {
    findings.iter().find(|finding| {
        let mut path = finding.path.as_str();
        // What is missing has no place: then what it should stand in has.
        while broken.document.pointer(path).is_none() && sample.pointer(path).is_none() {
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => return true,
            }
        }
        finding.path.is_empty() || path.is_empty()
    })
}

#[test]
fn hundreds_of_broken_documents_are_refused_with_the_path_to_the_fault_and_the_running_plan_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    store.seed(SAMPLE).unwrap();
    let sample: Value = document::to_value(&document::parse(SAMPLE).unwrap());
    let all = all_broken();
    let (mut refused, mut sound, mut by_code) = (0, 0, BTreeMap::<&str, usize>::new());
    for broken in &all {
        let findings = store.validate_document(&broken.document.to_string()).unwrap();
        let errors: Vec<&Diagnostic> = findings.iter().filter(|finding| finding.is_error()).collect();
        if let Some(finding) = without_place(&findings, broken, &sample) {
            panic!("{}: {finding} names no place", broken.what);
        }
        if errors.is_empty() {
            sound += 1;
            continue;
        }
        refused += 1;
        for finding in &errors {
            *by_code.entry(finding.code.as_str()).or_default() += 1;
            assert!(!finding.sentence.is_empty() && !finding.remedy.is_empty(), "{}: {finding}", broken.what);
        }
        // A fault of form is found where it is; one of meaning there, or at what names the place.
        let form = errors.iter().find(|finding| finding.code.as_str() == "R-1003");
        if let Some(form) = form.filter(|_| broken.path.matches('/').count() >= 2) {
            assert_eq!(object(&form.path), object(&broken.path), "{}: {form}", broken.what);
        }
    }
    assert!(refused > 1_000, "{refused} of {} were refused: {by_code:?}", all.len());
    assert!(sound > 0 && by_code.len() >= 15, "{sound} are sound; {by_code:?}");
    assert_eq!(store.active().load().revision, 1);
    assert!(store.draft().unwrap().changes.is_empty());
    assert_eq!(document::to_value(&store.document_at(1).unwrap()).pointer("/ivrs"), sample.pointer("/ivrs"));
}

#[test]
fn text_that_is_no_document_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    store.seed(SAMPLE).unwrap();
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let bomb = format!("a: &a [x,x,x,x,x,x,x,x,x]\n{}", {
        let line = |n: u8| {
            format!("{0}: &{0} [*{1},*{1},*{1},*{1},*{1},*{1},*{1},*{1}]\n", n as char, (n - 1) as char)
        };
        (b'b'..=b'k').map(line).collect::<String>()
    });
    let twice = "inboxes: {ib_a: {name: A}, ib_a: {name: B}}";
    for text in
        ["", "[]", "5", "\"x\"", "{", "{\"version\": 2}", "a: b: c", "\u{0}", &deep, &bomb, twice, "ivrs: []"]
    {
        let findings = store.validate_document(text).unwrap();
        let shown: String = text.chars().take(40).collect();
        assert!(findings.iter().any(Diagnostic::is_error), "{shown}: {findings:?}");
    }
}
