//! One number: what calls do there, how far its texts are, what is known of it, and what was done to it.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{Method, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Named, Number, after, api_of, carriers, default_inbox, inboxes, ivrs, page_of,
    registrations::{self, Registration},
    sentences, warned,
};
use crate::{
    console::{
        Console,
        ask::{Desk, Shown},
        form::Form,
        page,
        shell::{Section, Shell},
        words::When,
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/numbers/{number}", get(show))
        .route("/console/numbers/{number}/voice", post(set_voice))
        .route("/console/numbers/{number}/off", post(voice_off))
        .route("/console/numbers/{number}/sms", post(tell_sms))
        .route("/console/numbers/{number}/keep", post(keep))
}

/// What the form of voice holds.
#[derive(Clone, Debug, Default)]
struct VoiceForm {
    inbox: String,
    initial_ivr: String,
    queue_ivr: String,
    queue_wait_seconds: String,
}

impl VoiceForm {
    fn of_number(number: &Number) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let wait = number.queue_wait_seconds.map_or_else(|| "30".to_owned(), |wait| wait.to_string());
        Self {
            inbox: text(&number.inbox),
            initial_ivr: text(&number.initial_ivr),
            queue_ivr: text(&number.queue_ivr),
            queue_wait_seconds: wait,
        }
    }

    fn of_form(form: &Form) -> Self {
        let text = |name: &str| form.trimmed(name).to_owned();
        Self {
            inbox: text("inbox"),
            initial_ivr: text("initial_ivr"),
            queue_ivr: text("queue_ivr"),
            queue_wait_seconds: text("queue_wait_seconds"),
        }
    }
}

/// What was done to the record of a number.
#[derive(Deserialize)]
struct Done {
    at: When,
    actor: String,
    action: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Done {
    /// What of the record is another now: its name, before, after.
    fn changes(&self) -> Vec<(String, String, String)> {
        let empty = serde_json::Map::new();
        let fields = |record: &Option<Value>| {
            record.as_ref().and_then(Value::as_object).cloned().unwrap_or_else(|| empty.clone())
        };
        let (before, after) = (fields(&self.before), fields(&self.after));
        let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let told = |value: Option<&Value>| match value {
            None | Some(Value::Null) => "nothing".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        names
            .into_iter()
            .filter(|name| !matches!(name.as_str(), "changed" | "number"))
            .filter(|name| before.get(*name) != after.get(*name))
            .map(|name| (name.replace('_', " "), told(before.get(name)), told(after.get(name))))
            .collect()
    }
}

#[derive(Deserialize)]
struct Told {
    number: Number,
    audit: Vec<Done>,
}

/// What the one who looks may do.
struct Powers {
    edit: bool,
    register: bool,
    release: bool,
}

#[derive(Template)]
#[template(path = "numbers/one.html")]
struct OnePage {
    shell: Shell,
    number: Number,
    form: VoiceForm,
    faults: Vec<String>,
    history: Vec<Done>,
    carriers: Named,
    /// The account registers by itself; otherwise people tell what came of it.
    registers: bool,
    registration: Option<Registration>,
    initial: Vec<(String, String)>,
    queue: Vec<(String, String)>,
    inboxes: Named,
    default_inbox: String,
    may: Powers,
}

/// The IVRs of a kind that can be linked; one that is linked stays among them.
pub(super) fn linkable(ivrs: &[super::Ivr], kind: &str, linked: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = ivrs
        .iter()
        .filter(|ivr| ivr.may_be(kind) || ivr.id == linked)
        .map(|ivr| (ivr.id.clone(), ivr.name.clone()))
        .collect();
    if !linked.is_empty() && !all.iter().any(|(id, _)| id == linked) {
        all.push((linked.to_owned(), linked.to_owned()));
    }
    all
}

async fn drawn(desk: &Desk, name: &str, typed: Option<VoiceForm>, faults: Vec<String>) -> Shown {
    let Told { number, audit } = desk.get(&api_of(name)).await?;
    let form = typed.unwrap_or_else(|| VoiceForm::of_number(&number));
    let (accounts, ivrs, inboxes) = (carriers(desk).await?, ivrs(desk).await?, inboxes(desk).await?);
    let account = number.facts.carrier.as_ref().and_then(|id| accounts.iter().find(|one| one.id == *id));
    let registration = registrations::of_number(desk, &number).await?;
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = page::shown(OnePage {
        shell: desk.shell(Some(Section::Numbers), number.shown()).await?,
        initial: linkable(&ivrs, "initial", &form.initial_ivr),
        queue: linkable(&ivrs, "queue", &form.queue_ivr),
        registers: account.is_some_and(|account| account.registers),
        carriers: super::names_of(&accounts),
        default_inbox: default_inbox(desk, "voice", &inboxes).await?,
        inboxes,
        registration,
        history: audit,
        form,
        faults,
        may: Powers {
            edit: desk.may(Permission::NumbersEdit),
            register: desk.may(Permission::NumbersCompliance),
            release: desk.may(Permission::NumbersRelease),
        },
        number,
    });
    Ok((status, page).into_response())
}

async fn show(desk: Desk, Path(number): Path<String>) -> Shown {
    drawn(&desk, &number, None, Vec::new()).await
}

/// Activates voice, and links what the form says: one publish.
async fn set_voice(desk: Desk, Path(number): Path<String>, body: Bytes) -> Shown {
    let sent = Form::read(&body);
    let mut wanted = json!({"active": true});
    // A number that was idle is activated by a button alone.
    if sent.ticked("inbox") {
        for name in ["inbox", "initial_ivr", "queue_ivr"] {
            wanted[name] = sent.optional(name);
        }
        let wait = sent.number("queue_wait_seconds");
        if !wait.is_null() {
            wanted["queue_wait_seconds"] = wait;
        }
    }
    match desk.send(Method::POST, &format!("{}/voice", api_of(&number)), Some(&wanted)).await {
        Ok(answer) => {
            Ok(page::done(&page_of(&number), &format!("{}{}", published(&answer), warned(&answer))))
        }
        Err(refused) if refused.status == 403 => Err(refused),
        Err(refused) => {
            let typed = sent.ticked("inbox").then(|| VoiceForm::of_form(&sent));
            drawn(&desk, &number, typed, sentences(&refused)).await
        }
    }
}

/// What an act on voice has come to.
pub(super) fn published(answer: &Value) -> String {
    match answer.get("revision").and_then(Value::as_u64) {
        Some(revision) => format!("Revision {revision} is active. It holds for calls that come from now on."),
        None => "Nothing was another already, so nothing was published.".to_owned(),
    }
}

async fn voice_off(desk: Desk, Path(number): Path<String>) -> Shown {
    let path = format!("{}/voice", api_of(&number));
    let came = desk.send(Method::POST, &path, Some(&json!({"active": false}))).await.map(drop);
    let words = "Voice is off: callers are refused with 480 from now on. Calls that go on are not cut.";
    after(&page_of(&number), came, words)
}

/// An event of the registration, as a form tells it.
fn event_of(form: &Form) -> Value {
    let mut event = json!({"event": form.trimmed("event")});
    match form.trimmed("event") {
        "update_asked" => event["deadline"] = moment(form.trimmed("until")),
        "reject" => {
            event["reasons"] = form.lines("reasons").into();
            event["editable_until"] = moment(form.trimmed("until"));
        }
        _ => {}
    }
    event
}

/// What browsers write for a moment (`2026-01-31T12:00`) is meant in UTC; anything else goes on as it is.
pub(super) fn moment(typed: &str) -> Value {
    if typed.is_empty() {
        return Value::Null;
    }
    let said: Result<jiff::civil::DateTime, _> = typed.parse();
    match said.ok().and_then(|said| said.in_tz("UTC").ok()) {
        Some(moment) => moment.timestamp().to_string().into(),
        None => typed.into(),
    }
}

async fn tell_sms(desk: Desk, Path(number): Path<String>, body: Bytes) -> Shown {
    let event = event_of(&Form::read(&body));
    let path = format!("{}/registration", api_of(&number));
    let came = desk.send(Method::POST, &path, Some(&event)).await.map(drop);
    after(&page_of(&number), came, "It holds for texts from now on.")
}

async fn keep(desk: Desk, Path(number): Path<String>) -> Shown {
    let path = format!("{}/holding", api_of(&number));
    let came = desk.send(Method::POST, &path, Some(&json!({"event": "keep"}))).await.map(drop);
    after(&page_of(&number), came, "The number is kept. Voice is off until it is activated again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_a_browser_is_meant_in_utc() {
        assert_eq!(moment("2026-01-31T12:00"), json!("2026-01-31T12:00:00Z"));
        assert_eq!(moment(""), Value::Null);
        assert_eq!(moment("soon"), json!("soon"), "so that the API says what is wrong with it");
    }

    #[test]
    fn the_history_says_what_became_another() {
        let done = Done {
            at: When(jiff::Timestamp::UNIX_EPOCH),
            actor: "ann".into(),
            action: "number.changed".into(),
            before: Some(json!({"holding": "owned", "changed": 1, "setup": "registration"})),
            after: Some(json!({"holding": "owned", "changed": 2, "setup": null})),
        };
        assert_eq!(done.changes(), [("setup".into(), "registration".into(), "nothing".into())]);
    }
}
