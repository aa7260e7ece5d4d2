//! The form of an inbox: from its document, to its document.

use serde_json::{Map, Value, json};

use crate::console::form::Form;

/// What the form holds, as text that people typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InboxForm {
    pub(super) name: String,
    pub(super) sla_minutes: String,
    pub(super) priority: String,
    pub(super) queue_music: String,
    pub(super) wait_max: LimitForm,
    pub(super) queue_length_max: LimitForm,
    pub(super) no_one_available: TreatmentForm,
    pub(super) dials: bool,
    pub(super) strategy: String,
    pub(super) targets: String,
    pub(super) ring_seconds: String,
    /// Fields of the document that the form does not show; they stay.
    rest: Map<String, Value>,
}

/// A limit with its treatment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LimitForm {
    pub(super) at: String,
    pub(super) treatment: TreatmentForm,
}

/// What is done with a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TreatmentForm {
    pub(super) kind: String,
    pub(super) value: String,
}

/// The treatments that can be chosen: name, words, and what its value is.
pub(super) const TREATMENTS: [(&str, &str); 6] = [
    ("prompt_then_hang_up", "Play a prompt, then hang up"),
    ("inbox", "Move to another inbox"),
    ("ivr", "Run an Initial IVR"),
    ("voicemail", "Record a message for an inbox"),
    ("forward", "Send to an outside number or SIP URI"),
    ("sip_code", "Refuse with a SIP status"),
];

const KNOWN: [&str; 8] = [
    "name",
    "sla_minutes",
    "priority",
    "queue_music",
    "wait_max",
    "queue_length_max",
    "no_one_available",
    "dial",
];

impl InboxForm {
    /// Fields that findings can be about, by their place in the document.
    pub(super) const FIELDS: [&str; 11] = [
        "name",
        "sla_minutes",
        "priority",
        "queue_music",
        "wait_max",
        "queue_length_max",
        "no_one_available",
        "dial",
        "dial.strategy",
        "dial.targets",
        "dial.ring_seconds",
    ];

    /// Filled from a document.
    pub(super) fn of_document(body: &Value) -> Self {
        let text = |field: &str| shown(body.get(field));
        let dial = body.get("dial").filter(|dial| dial.is_object());
        let of_dial = |field: &str| shown(dial.and_then(|dial| dial.get(field)));
        let targets = dial.and_then(|dial| dial.get("targets")).and_then(Value::as_array);
        let targets = targets.into_iter().flatten().map(|target| shown(Some(target)));
        let mut rest = body.as_object().cloned().unwrap_or_default();
        rest.retain(|name, _| !KNOWN.contains(&name.as_str()));
        Self {
            name: text("name"),
            sla_minutes: text("sla_minutes"),
            priority: text("priority"),
            queue_music: text("queue_music"),
            wait_max: LimitForm::of(body.get("wait_max")),
            queue_length_max: LimitForm::of(body.get("queue_length_max")),
            no_one_available: TreatmentForm::of(body.get("no_one_available")),
            dials: dial.is_some(),
            strategy: of_dial("strategy"),
            targets: targets.collect::<Vec<_>>().join("\n"),
            ring_seconds: of_dial("ring_seconds"),
            rest,
        }
    }

    /// Filled from what a browser sent.
    pub(super) fn of_form(form: &Form) -> Self {
        let text = |name: &str| form.trimmed(name).to_owned();
        let treatment = |name: &str| TreatmentForm {
            kind: text(&format!("{name}_kind")),
            value: text(&format!("{name}_value")),
        };
        let limit = |name: &str| LimitForm { at: text(&format!("{name}_at")), treatment: treatment(name) };
        let rest = serde_json::from_str(form.text("rest")).unwrap_or_default();
        Self {
            name: text("name"),
            sla_minutes: text("sla_minutes"),
            priority: text("priority"),
            queue_music: text("queue_music"),
            wait_max: limit("wait_max"),
            queue_length_max: limit("queue_length_max"),
            no_one_available: treatment("no_one_available"),
            dials: form.ticked("dials"),
            strategy: text("strategy"),
            targets: form.lines("targets").join("\n"),
            ring_seconds: text("ring_seconds"),
            rest,
        }
    }

    /// The document that it says.
    pub(super) fn document(&self) -> Value {
        let mut body = self.rest.clone();
        body.retain(|name, _| !KNOWN.contains(&name.as_str()));
        body.insert("name".into(), self.name.as_str().into());
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                body.insert(name.into(), value);
            }
        };
        put("sla_minutes", number(&self.sla_minutes));
        put("priority", number(&self.priority));
        put("queue_music", optional(&self.queue_music));
        put("wait_max", self.wait_max.document());
        put("queue_length_max", self.queue_length_max.document());
        put("no_one_available", self.no_one_available.document());
        if self.dials {
            let mut dial = json!({"targets": self.targets.lines().collect::<Vec<_>>()});
            dial["strategy"] =
                if self.strategy.is_empty() { "ring_all".into() } else { self.strategy.as_str().into() };
            if !self.ring_seconds.is_empty() {
                dial["ring_seconds"] = number(&self.ring_seconds);
            }
            put("dial", dial);
        }
        Value::Object(body)
    }

    /// What the form does not show, for a hidden field.
    pub(super) fn rest(&self) -> String {
        Value::Object(self.rest.clone()).to_string()
    }
}

impl LimitForm {
    fn of(limit: Option<&Value>) -> Self {
        let part = |name: &str| limit.and_then(|limit| limit.get(name));
        Self { at: shown(part("at")), treatment: TreatmentForm::of(part("then")) }
    }

    fn document(&self) -> Value {
        if self.at.is_empty() && self.treatment.kind.is_empty() {
            return Value::Null;
        }
        json!({"at": number(&self.at), "then": self.treatment.document()})
    }
}

impl TreatmentForm {
    fn of(treatment: Option<&Value>) -> Self {
        let first = treatment.and_then(Value::as_object).and_then(|fields| fields.iter().next());
        first.map_or_else(Self::default, |(kind, value)| Self {
            kind: kind.clone(),
            value: shown(Some(value)),
        })
    }

    fn document(&self) -> Value {
        match self.kind.as_str() {
            "" => Value::Null,
            "sip_code" => json!({"sip_code": number(&self.value)}),
            kind => json!({kind: self.value}),
        }
    }
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn optional(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { text.into() }
}

fn number(text: &str) -> Value {
    match text.parse::<u64>() {
        Ok(number) => number.into(),
        Err(_) => optional(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_comes_out_of_its_form_as_it_went_in() {
        let document = json!({
            "name": "Sales", "sla_minutes": 60, "priority": 7, "queue_music": "pr_music", "later": {"x": 1},
            "wait_max": {"at": 300, "then": {"voicemail": "ib_b"}},
            "queue_length_max": {"at": 9, "then": {"sip_code": 486}},
            "no_one_available": {"forward": "+14155550111"},
            "dial": {"strategy": "round_robin", "targets": ["sip:a@b", "sip:c@d"], "ring_seconds": 20},
        });
        let form = InboxForm::of_document(&document);
        assert_eq!(form.document(), document);
        let small = json!({"name": "Small"});
        assert_eq!(InboxForm::of_document(&small).document(), small);
    }

    #[test]
    fn what_is_no_number_is_sent_as_it_is_so_that_the_api_says_so() {
        let form = InboxForm { name: "A".into(), sla_minutes: "soon".into(), ..InboxForm::default() };
        assert_eq!(form.document()["sla_minutes"], json!("soon"));
    }
}
