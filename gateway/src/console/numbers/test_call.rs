//! The live test call: "call it now", and what is heard of the call that really comes.

use askama::Template;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    http::{HeaderMap, Method},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::{Number, after, api_of, number, page_of, shown};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        form::Form,
        live::STREAM_LASTS,
        page::{self, Page},
        shell::{Section, Shell},
        words::{self, When},
    },
    identity::permission::Permission,
    telemetry::ApiMetrics,
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/numbers/{number}/test-call", get(show).post(open))
        .route("/console/numbers/{number}/test-call/piece", get(draw))
        .route("/console/numbers/{number}/test-call/stream", get(follow))
        .route("/console/numbers/{number}/test-call/close", post(close))
}

/// A test call, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct TestCall {
    state: String,
    until: When,
    contact: Option<String>,
    from: Option<String>,
    heard: bool,
    keys: String,
    outcome: Option<Outcome>,
}

#[derive(Clone, Debug, Deserialize)]
struct Outcome {
    side: String,
    reason: String,
}

impl TestCall {
    /// Nothing more will come.
    fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "ended" | "expired")
    }

    fn has_come(&self) -> bool {
        self.contact.is_some()
    }

    /// The keys as they are read out: `1 2 3`.
    fn keys(&self) -> String {
        let keys: Vec<String> = self.keys.chars().map(String::from).collect();
        keys.join(" ")
    }

    fn who(&self) -> &str {
        words::who(self.from.as_deref().unwrap_or_default())
    }

    fn ended(&self) -> String {
        self.outcome.as_ref().map_or_else(
            || "It is over.".to_owned(),
            |end| format!("It is over: {}, by {}.", words::reason(&end.reason), words::side(&end.side)),
        )
    }
}

/// What is known of the test call of a number, as it is drawn on pages and drawn anew while it goes on.
#[derive(Template)]
#[template(path = "numbers/test_call_piece.html")]
pub(super) struct Piece {
    shown: String,
    call: Option<TestCall>,
}

impl Piece {
    /// A call is waited for, or goes on: the page is to look again.
    pub(super) fn goes_on(&self) -> bool {
        self.call.as_ref().is_some_and(|call| !call.is_over())
    }
}

/// Looks at the test call of a number.
pub(super) async fn piece(desk: &Desk, number: &str) -> Result<Piece, Refused> {
    let call = desk.find(&format!("{}/test-call", api_of(number))).await?;
    Ok(Piece { shown: shown(number), call })
}

#[derive(Template)]
#[template(path = "numbers/test_call.html")]
struct TestCallPage {
    shell: Shell,
    number: Number,
    piece: Piece,
    may_edit: bool,
}

async fn show(desk: Desk, Path(name): Path<String>) -> Shown {
    let number = number(&desk, &name).await?;
    let title = format!("Test call to {}", number.shown());
    Ok(page::shown(TestCallPage {
        shell: desk.shell(Some(Section::Numbers), title).await?,
        piece: piece(&desk, &number.number).await?,
        number,
        may_edit: desk.may(Permission::NumbersEdit),
    }))
}

async fn draw(desk: Desk, Path(name): Path<String>) -> Shown {
    Ok(Page(piece(&desk, &name).await?).into_response())
}

/// Where the form stands: on the set-up, or on a page of its own.
fn back(number: &str, form: &Form) -> String {
    match form.text("from") {
        "set-up" => format!("{}/set-up?step=test_call", page_of(number)),
        _ => format!("{}/test-call", page_of(number)),
    }
}

async fn open(desk: Desk, Path(name): Path<String>, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let seconds = form.number("seconds");
    let wanted = if seconds.is_null() { json!({}) } else { json!({"seconds": seconds}) };
    let came =
        desk.send(Method::POST, &format!("{}/test-call", api_of(&name)), Some(&wanted)).await.map(drop);
    after(&back(&name, &form), came, &format!("Call {} now.", shown(&name)))
}

async fn close(desk: Desk, Path(name): Path<String>, body: Bytes) -> Shown {
    let came = desk.send(Method::DELETE, &format!("{}/test-call", api_of(&name)), None).await.map(drop);
    after(&back(&name, &Form::read(&body)), came, "No call is waited for any more.")
}

/// One who follows a test call takes a place among those who look at live pages.
struct Place {
    metrics: ApiMetrics,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.console_streams.dec();
    }
}

async fn follow(desk: Desk, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let metrics = desk.console.state.metrics.api.clone();
    let Ok(permit) = desk.console.streams.clone().try_acquire_owned() else {
        metrics.console_streams_refused.inc();
        let detail = "As many live pages are kept up to date as may be at once.";
        return page::problem(&Refused::new(
            503,
            "too_many_streams",
            detail,
            "Raise console.live_streams_max.",
        ));
    };
    metrics.console_streams.inc();
    let place = Place { metrics, _permit: permit };
    let path = format!("{}/test-call/stream", api_of(&name));
    let (parts, body) = desk.pass_through(Method::GET, &path, &headers, Body::empty()).await.into_parts();
    // As long as the live page's: somebody who was signed out meanwhile gets no more.
    let until = Box::pin(tokio::time::sleep(STREAM_LASTS));
    let told = body.into_data_stream().take_until(until).map(move |part| {
        let _held = &place;
        part
    });
    Response::from_parts(parts, Body::from_stream(told))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn drawn(call: serde_json::Value) -> String {
        let call = Some(serde_json::from_value(call).unwrap());
        Piece { shown: "+1 415 555 0100".into(), call }.render().unwrap()
    }

    #[test]
    fn what_is_heard_of_a_call_is_said_as_it_comes() {
        let mut call = json!({"state": "waiting", "until": "2031-01-01T00:00:00Z", "contact": null, "from": null,
            "heard": false, "keys": "", "outcome": null});
        assert!(drawn(call.clone()).contains("Call +1 415 555 0100 now."));
        call["state"] = "arrived".into();
        (call["contact"], call["from"]) = ("ct_1".into(), "<img>".into());
        let piece = drawn(call.clone());
        assert!(piece.contains("Not answered yet") && !piece.contains("<img>"), "{piece}");
        call["state"] = "answered".into();
        assert!(drawn(call.clone()).contains("Press 1, 2 and 3"));
        (call["heard"], call["keys"]) = (true.into(), "123".into());
        let piece = drawn(call.clone());
        assert!(piece.contains("Heard you") && piece.contains("Digits 1 2 3 OK"), "{piece}");
        (call["state"], call["heard"], call["keys"]) = ("ended".into(), false.into(), "".into());
        call["outcome"] = json!({"side": "caller", "reason": "abandoned_in_queue"});
        let piece = drawn(call.clone());
        assert!(piece.contains("No sound came") && piece.contains("No digits came"), "{piece}");
        assert!(piece.contains("Abandoned in the queue, by the caller."), "{piece}");
        (call["state"], call["contact"]) = ("expired".into(), json!(null));
        assert!(drawn(call).contains("No call came in time."));
    }
}
