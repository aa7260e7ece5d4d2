//! Forms as browsers send them, and what is wrong with what they hold.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Refused;

/// The fields of a form, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// Fields that were read already.
    pub(super) fn of(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }

    /// A field as it was typed; empty when the form has none of this name.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value.as_str())
    }

    /// A field without white space around it.
    pub(super) fn trimmed(&self, name: &str) -> &str {
        self.text(name).trim()
    }

    /// Whether a box was ticked.
    pub(super) fn ticked(&self, name: &str) -> bool {
        self.0.iter().any(|(found, _)| found == name)
    }

    /// All values of a name: the ticked boxes of a group.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The fields whose names begin like this, by the rest of their names.
    pub(super) fn named<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(beginning)?, value.as_str())))
    }

    /// The lines of a field, without empty ones.
    pub(super) fn lines(&self, name: &str) -> Vec<&str> {
        self.text(name).lines().map(str::trim).filter(|line| !line.is_empty()).collect()
    }

    /// A field as JSON: null when empty, a number when it is one, else the text, so that the API says what is wrong
    /// with it.
    pub(super) fn number(&self, name: &str) -> Value {
        match self.trimmed(name) {
            "" => Value::Null,
            text => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
        }
    }

    /// A field as JSON text: null when empty.
    pub(super) fn optional(&self, name: &str) -> Value {
        match self.trimmed(name) {
            "" => Value::Null,
            text => Value::from(text),
        }
    }
}

/// One finding about a document, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Finding {
    /// `error` or `warning`.
    #[serde(default)]
    pub(super) severity: String,
    /// Where, as a JSON pointer into the whole document.
    #[serde(default)]
    pub(super) path: String,
    /// What is wrong.
    #[serde(default)]
    pub(super) sentence: String,
    /// What to do.
    #[serde(default)]
    pub(super) remedy: String,
}

impl Finding {
    /// Whether it stops a publish.
    pub(super) fn is_error(&self) -> bool {
        self.severity != "warning"
    }
}

/// Findings by the field that they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    by_field: BTreeMap<String, Vec<Finding>>,
    elsewhere: Vec<Finding>,
    /// They are about what stands in the draft, not about what was not taken.
    saved: bool,
}

impl Faults {
    /// The findings in a refusal of `section/id`; each goes to the field whose path it has or lies below. What is
    /// about no field of the form stands above it.
    pub(super) fn of(refused: &Refused, section: &str, id: &str, fields: &[&str]) -> Self {
        let findings = refused.more.get("diagnostics").cloned().unwrap_or_default();
        let mut findings: Vec<Finding> = serde_json::from_value(findings).unwrap_or_default();
        if findings.is_empty() {
            findings.push(Finding {
                severity: "error".into(),
                path: String::new(),
                sentence: refused.detail.clone(),
                remedy: refused.remedy.clone(),
            });
        }
        Self::placed(findings, &pointer(section, id), fields)
    }

    /// The findings about an object that stands in the draft, among those about all of it.
    pub(super) fn of_draft(findings: Vec<Finding>, section: &str, id: &str, fields: &[&str]) -> Self {
        let object = pointer(section, id);
        let about = |path: &str| {
            path.strip_prefix(object.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let findings = findings.into_iter().filter(|finding| about(&finding.path)).collect();
        Self { saved: true, ..Self::placed(findings, &object, fields) }
    }

    fn placed(findings: Vec<Finding>, object: &str, fields: &[&str]) -> Self {
        let mut faults = Self::default();
        for finding in findings {
            let inside = finding.path.strip_prefix(object).unwrap_or_default().trim_start_matches('/');
            let dotted = inside.replace('/', ".");
            let field = fields
                .iter()
                .filter(|field| dotted == **field || dotted.starts_with(&format!("{field}.")))
                .max_by_key(|field| field.len());
            match field {
                Some(field) => faults.by_field.entry((*field).to_owned()).or_default().push(finding),
                None => faults.elsewhere.push(finding),
            }
        }
        faults
    }

    /// The findings about a field.
    pub(super) fn at(&self, field: &str) -> &[Finding] {
        self.by_field.get(field).map_or(&[], Vec::as_slice)
    }

    /// The findings about no field of the form.
    pub(super) fn elsewhere(&self) -> &[Finding] {
        &self.elsewhere
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.by_field.is_empty() || !self.elsewhere.is_empty()
    }

    /// Whether what was sent was not taken.
    pub(super) fn refused(&self) -> bool {
        self.any() && !self.saved
    }
}

/// Where an object stands in the document, as a JSON pointer.
fn pointer(section: &str, id: &str) -> String {
    format!("/{section}/{}", id.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn findings_stand_at_their_fields() {
        let mut refused = Refused::new(422, "routing_invalid", "two findings", "");
        refused.more = json!({"diagnostics": [
            {"path": "/inboxes/ib_a/dial/targets/0", "sentence": "no URI", "severity": "error"},
            {"path": "/inboxes/ib_a/name", "sentence": "no name", "severity": "error"},
            {"path": "/inboxes/ib_ab/name", "sentence": "of another", "severity": "error"},
        ]});
        let faults = Faults::of(&refused, "inboxes", "ib_a", &["name", "dial", "dial.targets"]);
        assert_eq!(faults.at("dial.targets")[0].sentence, "no URI");
        assert_eq!(faults.at("name")[0].sentence, "no name");
        assert!(faults.at("dial").is_empty());
        assert_eq!(faults.elsewhere().len(), 1);
    }

    #[test]
    fn a_form_is_read_as_browsers_write_it() {
        let form = Form::read("name=A%20b+c&n=+5+&x=y&lines=one%0D%0A%0D%0Atwo".as_bytes());
        assert_eq!(form.text("name"), "A b c");
        assert_eq!(form.number("n"), json!(5));
        assert_eq!(form.number("x"), json!("y"));
        assert_eq!(form.number("none"), Value::Null);
        assert_eq!(form.lines("lines"), ["one", "two"]);
    }
}
