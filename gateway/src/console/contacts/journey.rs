//! A contact's way: in plain words, step by step, and as the events of the feed.

use serde::Deserialize;
use serde_json::Value;

use super::{Contact, Names};
use crate::console::words::{self, When, duration_ms};

/// An event of the feed, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) time: When,
    #[serde(default)]
    pub(super) sequence: String,
    #[serde(default)]
    data: Value,
}

impl Event {
    fn text(&self, field: &str) -> &str {
        self.data.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// What it says beside its type.
    pub(super) fn payload(&self) -> String {
        serde_json::to_string_pretty(&self.data).unwrap_or_default()
    }
}

/// One step of the journey.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Since the arrival, such as `+3.2 s`.
    pub(super) after: String,
    pub(super) words: String,
    /// `ivr`, `queue`, `talk`, `end` or plain: the colour of its dot.
    pub(super) kind: &'static str,
}

/// The steps: those that the journey noted, with their reasons; of a contact that goes on, its events so far.
pub(super) fn steps(contact: &Contact, trace: &Value, names: &Names) -> Vec<Step> {
    let Some(steps) = trace.as_array() else { return Vec::new() };
    let mut all = Vec::with_capacity(steps.len());
    for step in steps {
        if let Some(words) = step.get("what").and_then(Value::as_str) {
            let at = step.get("at_ms").and_then(Value::as_u64).unwrap_or(0);
            let kind = kind_of_words(words);
            all.push(Step { after: offset(i128::from(at)), words: plain(words, contact, names), kind });
        } else if let (Some(kind), Some(at)) =
            (step.get("event").and_then(Value::as_str), moment(step.get("at")))
        {
            let data = step.get("data").cloned().unwrap_or_default();
            let event = Event { kind: kind.to_owned(), time: at, sequence: String::new(), data };
            let after = at.0.duration_since(contact.arrived.0).as_millis();
            all.push(Step {
                after: offset(after),
                words: sentence(&event, names),
                kind: kind_of_event(kind),
            });
        }
    }
    all
}

/// A step in the words of the trace, with the names of inboxes, and the end as people say it.
fn plain(step: &str, contact: &Contact, names: &Names) -> String {
    if let (true, Some(outcome)) = (step.starts_with("ended: "), &contact.outcome) {
        let reason = words::reason(&outcome.reason).to_lowercase();
        return format!("ended: {reason}, by {}", words::side(&outcome.side));
    }
    let name = |word: &str| names.of(word).to_owned();
    step.split(' ').map(name).collect::<Vec<_>>().join(" ")
}

fn moment(value: Option<&Value>) -> Option<When> {
    value.and_then(Value::as_str).and_then(|text| text.parse().ok()).map(When)
}

fn offset(ms: i128) -> String {
    let ms = ms.max(0);
    match ms {
        0..60_000 => format!("+{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("+{}:{:02}", ms / 60_000, ms / 1000 % 60),
    }
}

fn kind_of_words(words: &str) -> &'static str {
    let has = |part: &str| words.contains(part);
    match () {
        () if has("queue") || has("waits") => "queue",
        () if has("ended") || has("hang") || has("hung") => "end",
        () if has("taken") || has("connected") || has("hold") => "talk",
        () if has("IVR") || has("node") || has("menu") => "ivr",
        () => "plain",
    }
}

fn kind_of_event(kind: &str) -> &'static str {
    match kind {
        "contact.ivr_entered" | "contact.node_entered" | "contact.ivr_exited" => "ivr",
        "contact.queued" | "contact.moved" | "contact.refused" | "contact.take_timed_out" => "queue",
        "contact.taken"
        | "contact.connected"
        | "contact.held"
        | "contact.resumed"
        | "contact.transferred" => "talk",
        "contact.ended" => "end",
        _ => "plain",
    }
}

/// An event as a sentence.
pub(super) fn sentence(event: &Event, names: &Names) -> String {
    let text = |field: &str| event.text(field).to_owned();
    let inbox = |field: &str| names.of(event.text(field)).to_owned();
    match event.kind.as_str() {
        "contact.started" => "Arrived.".to_owned(),
        "contact.ivr_entered" => format!("Entered the IVR {}.", text("ivr")),
        "contact.node_entered" => match event.text("digits") {
            "" => format!("Came to the node {}.", text("node")),
            digits => format!("Pressed {digits}, and came to the node {}.", text("node")),
        },
        "contact.ivr_exited" => format!("Left the IVR {} at {}.", text("ivr"), text("node")),
        "contact.queued" => format!("Began to wait in {}.", inbox("inbox")),
        "contact.moved" => format!("Moved from {} to {}.", inbox("from_inbox"), inbox("to_inbox")),
        "contact.delivered" => format!("{} was told.", text("consumer")),
        "contact.taken" => format!("Taken by {}.", text("by")),
        "contact.refused" => format!("{} did not take it.", text("by")),
        "contact.take_timed_out" => format!("{} did not answer.", text("target")),
        "contact.connected" => format!("Connected to {}.", text("target")),
        "contact.held" => "Put on hold.".to_owned(),
        "contact.resumed" => "Back from hold.".to_owned(),
        "contact.transferred" => match event.text("to_inbox") {
            "" => format!("Transferred to {} by {}.", text("to_target"), text("by")),
            _ => format!("Transferred to {} by {}.", inbox("to_inbox"), text("by")),
        },
        "contact.ended" => {
            let outcome = event.data.get("outcome");
            let part =
                |name| outcome.and_then(|one| one.get(name)).and_then(Value::as_str).unwrap_or_default();
            format!(
                "Ended: {}, by {}.",
                words::reason(part("reason")).to_lowercase(),
                words::side(part("side"))
            )
        }
        "voicemail.recorded" => "Left a voicemail.".to_owned(),
        "recording.stored" => "A recording was stored.".to_owned(),
        "recording.failed" => format!("A recording failed: {}.", text("reason")),
        "callback.requested" => format!("Asked to be called back on {}.", text("number")),
        "message.received" => "A message was received.".to_owned(),
        "message.sent" => format!("{} answered.", text("by")),
        other => format!("{other}."),
    }
}

/// What happened, in a few sentences.
pub(super) fn summary(contact: &Contact, events: &[Event], names: &Names) -> Vec<String> {
    let noun = if contact.is_voice() { "called" } else { "wrote to" };
    let mut said = vec![format!("{} {noun} {}.", contact.who(), contact.to)];
    if let Some(diverted) = &contact.diverted_from {
        said.push(format!("The call was diverted here from {diverted}."));
    }
    let of = |kind: &'static str| events.iter().filter(move |event| event.kind == kind);
    for event in of("contact.ivr_entered") {
        let exit = of("contact.ivr_exited")
            .find(|exit| exit.text("ivr") == event.text("ivr") && exit.time >= event.time);
        said.push(match exit {
            Some(exit) if exit.text("inbox").is_empty() => {
                format!("It ran through the IVR {} and left it at {}.", event.text("ivr"), exit.text("node"))
            }
            Some(exit) => format!(
                "The IVR {} led it by {} to {} in {}.",
                event.text("ivr"),
                exit.text("node"),
                names.of(exit.text("inbox")),
                event.time.until(&exit.time)
            ),
            None => format!("It entered the IVR {}.", event.text("ivr")),
        });
    }
    if let Some(queued) = of("contact.queued").next() {
        let taken = of("contact.connected").chain(of("contact.taken")).map(|event| event.time).min();
        let end = taken.or(contact.ended);
        let inbox = names.of(queued.text("inbox"));
        said.push(match end {
            Some(end) => format!("It waited in {inbox} for {}.", queued.time.until(&end)),
            None => format!("It waits in {inbox}."),
        });
    }
    for taken in of("contact.taken") {
        match taken.text("target") {
            "" => said.push(format!("{} took it.", taken.text("by"))),
            target => said.push(format!("{} took it at {target}.", taken.text("by"))),
        }
    }
    if let Some(last) = of("contact.transferred").next_back() {
        said.push(sentence(last, names));
    }
    if let Some(outcome) = &contact.outcome {
        let lasted = contact.ended.map(|ended| contact.arrived.until(&ended)).unwrap_or_default();
        said.push(format!(
            "{} after {lasted}; the end came from {}.",
            words::reason(&outcome.reason),
            words::side(&outcome.side)
        ));
    }
    if let Some(waited) = contact.abandoned_at.as_ref().and_then(|place| place.get("waited_ms")?.as_u64()) {
        said.push(format!("By then it had waited {}.", duration_ms(i128::from(waited))));
    }
    said
}

/// A message of a contact, with what came with it.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// Who of us said it; none: the customer did.
    pub(super) by: Option<String>,
    pub(super) at: When,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) files: Vec<Attached>,
}

/// A file that came with a message.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    /// Its name, as the sender says.
    pub(super) name: String,
    /// Where it is fetched.
    pub(super) href: String,
    pub(super) size: String,
}

/// What was said in a contact, as its events have it.
pub(super) fn said(events: &[Event]) -> Vec<Said> {
    events.iter().filter_map(one_said).collect()
}

fn one_said(event: &Event) -> Option<Said> {
    if event.kind == "message.sent" {
        let (by, text) = (Some(event.text("by").to_owned()), event.text("text").to_owned());
        return Some(Said { by, at: event.time, subject: String::new(), text, files: Vec::new() });
    }
    let message = event.data.get("message").filter(|_| event.kind == "message.received")?;
    let text = |field: &str| message.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let attached = |file: &Value| {
        let hash = file.get("file").and_then(Value::as_str)?;
        let name = file.get("name").and_then(Value::as_str).unwrap_or(hash);
        let size = file.get("bytes").and_then(Value::as_u64).map(words::bytes).unwrap_or_default();
        Some(Attached {
            name: name.to_owned(),
            href: format!("/api/v1/files/{}", words::encoded(hash)),
            size,
        })
    };
    let files = message.get("attachments").and_then(Value::as_array);
    let files = files.into_iter().flatten().filter_map(attached).collect();
    Some(Said { by: None, at: event.time, subject: text("subject"), text: text("text"), files })
}

/// The conversation that a contact belongs to, as its events have it.
pub(super) fn conversation(events: &[Event]) -> Option<String> {
    events.iter().map(|event| event.text("conversation")).find(|id| !id.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, second: u32, data: Value) -> Event {
        let time = When(format!("2026-03-02T15:00:{second:02}Z").parse().unwrap());
        Event { kind: kind.into(), time, sequence: String::new(), data }
    }

    fn contact() -> Contact {
        serde_json::from_value(json!({
            "id": "ct_1", "state": "ended", "channel": "voice", "from": "+12125550199", "to": "+14155550101",
            "arrived": "2026-03-02T15:00:00Z", "ended": "2026-03-02T15:00:50Z",
            "outcome": {"side": "caller", "reason": "abandoned_in_queue"},
            "abandoned_at": {"in": "queue", "inbox": "ib_sales", "waited_ms": 30_000},
        }))
        .unwrap()
    }

    #[test]
    fn a_journey_is_told_in_sentences() {
        let names = Names::new([("ib_sales", "Sales")].into_iter());
        let events = [
            event("contact.ivr_entered", 1, json!({"ivr": "ivr_main", "queue": false})),
            event(
                "contact.ivr_exited",
                9,
                json!({"ivr": "ivr_main", "node": "exit_sales", "inbox": "ib_sales"}),
            ),
            event("contact.queued", 10, json!({"inbox": "ib_sales"})),
        ];
        let told = summary(&contact(), &events, &names).join(" ");
        assert_eq!(
            told,
            "+12125550199 called +14155550101. The IVR ivr_main led it by exit_sales to Sales in 8 s. It waited in \
             Sales for 40 s. Abandoned in the queue after 50 s; the end came from the caller. By then it had waited 30 s."
        );
    }

    #[test]
    fn steps_are_read_in_both_forms() {
        let stored = json!([{"at_ms": 2300, "what": "waits in the queue of ib_sales"}]);
        let live =
            json!([{"at": "2026-03-02T15:01:05Z", "event": "contact.queued", "data": {"inbox": "ib_sales"}}]);
        let names = Names::new([("ib_sales", "Sales")].into_iter());
        let stored = &steps(&contact(), &stored, &names)[0];
        assert_eq!((stored.after.as_str(), stored.kind), ("+2.3 s", "queue"));
        let live = &steps(&contact(), &live, &names)[0];
        assert_eq!((live.after.as_str(), live.words.as_str()), ("+1:05", "Began to wait in Sales."));
        assert!(steps(&contact(), &Value::Null, &names).is_empty());
    }

    #[test]
    fn messages_are_shown_with_their_files() {
        let events = [
            event(
                "message.received",
                1,
                json!({"conversation": "cv_1", "message": {"text": "Hello", "subject": "Re",
                "attachments": [{"name": "../a b.pdf", "bytes": 2048, "file": "ab/12"}]}}),
            ),
            event("message.sent", 2, json!({"by": "Ann", "text": "Hi"})),
        ];
        let said = said(&events);
        assert_eq!(
            (said[0].text.as_str(), said[0].subject.as_str(), said[1].by.as_deref()),
            ("Hello", "Re", Some("Ann"))
        );
        assert_eq!(said[0].files[0].href, "/api/v1/files/ab%2F12");
        assert_eq!(said[0].files[0].size, "2 KiB");
        assert_eq!(conversation(&events).as_deref(), Some("cv_1"));
    }
}
