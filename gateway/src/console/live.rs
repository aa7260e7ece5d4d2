//! Calls and queues as they are now, kept up to date by Server-Sent Events.
//!
//! The page and the stream draw the same pieces from the same templates. A piece is sent again when what it shows has
//! changed; times tick in the browser.

use std::{convert::Infallible, time::Duration};

use askama::Template;
use axum::{
    Router,
    response::{
        IntoResponse, Response,
        sse::{Event as SseEvent, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{
    Console, Refused,
    ask::{Desk, Shown},
    contacts::{Contact, ContactPage, Names},
    page,
    shell::{Section, Shell},
    words::{self, When},
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/live", get(show)).route("/console/live/stream", get(follow))
}

/// A stream ends after so long, and the page asks for another: somebody who was signed out meanwhile gets none.
pub(super) const STREAM_LASTS: Duration = Duration::from_secs(120);

/// Live contacts shown; more are counted by the API's metrics.
const CONTACTS_MAX: usize = 500;

/// Messages shown that nobody took.
const MESSAGES_MAX: usize = 200;

/// Numbers shown at a glance.
const NUMBERS_MAX: usize = 12;

/// What is live, as one look at the API found it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Live {
    figures: Figures,
    queues: Vec<Queue>,
    calls: Vec<Call>,
    messages: Vec<Thread>,
    trunks: Vec<Trunk>,
    numbers: Vec<Number>,
    may: Powers,
}

/// What the one who looks may do here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Powers {
    call_control: bool,
}

/// The figures on top.
#[derive(Clone, Debug, Default, PartialEq)]
struct Figures {
    calls: usize,
    in_ivr: usize,
    waiting: usize,
    talking: usize,
    messages: usize,
    late: usize,
    longest: Option<When>,
}

/// An inbox with who waits in it.
#[derive(Clone, Debug, PartialEq)]
struct Queue {
    inbox: Inbox,
    waiting: Vec<Call>,
    late: usize,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Inbox {
    id: String,
    name: String,
    waiting: usize,
    agents_available: Option<u32>,
    telephones: usize,
    sla_minutes: u64,
}

impl Inbox {
    fn sla(&self) -> String {
        words::minutes(self.sla_minutes)
    }
}

#[derive(Deserialize)]
struct Inboxes {
    inboxes: Vec<Inbox>,
}

/// A live call.
#[derive(Clone, Debug, PartialEq)]
struct Call {
    contact: Contact,
    what: String,
    kind: &'static str,
    position: u32,
}

/// A conversation with a message that nobody took.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Thread {
    id: String,
    channel: String,
    customer: String,
    address: String,
    inbox: String,
    last: When,
    messages: u64,
    sla_due: Option<When>,
    taken_by: Option<String>,
}

impl Thread {
    fn channel(&self) -> &str {
        words::channel(&self.channel)
    }
}

#[derive(Deserialize)]
struct Threads {
    conversations: Vec<Thread>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Trunk {
    id: String,
    name: String,
    outbound: bool,
    reach: String,
    reach_since: Option<When>,
    registration: Option<Registration>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Registration {
    registered: bool,
    status: u16,
}

impl Trunk {
    /// How it is: class and words.
    fn state(&self) -> (&'static str, String) {
        match (&self.registration, self.reach.as_str()) {
            (Some(Registration { registered: false, status }), _) => {
                ("bad", format!("Not registered ({status})"))
            }
            (_, "down") => ("bad", "Does not answer".to_owned()),
            (Some(_), "up") => ("good", "Registered, answers".to_owned()),
            (Some(_), _) => ("good", "Registered".to_owned()),
            (None, "up") => ("good", "Answers".to_owned()),
            (None, _) if !self.outbound => ("plain", "Brings calls".to_owned()),
            (None, _) => ("plain", "Not asked yet".to_owned()),
        }
    }
}

#[derive(Deserialize)]
struct Trunks {
    trunks: Vec<Trunk>,
}

#[derive(Clone, Debug, PartialEq)]
struct Number {
    number: String,
    calls: usize,
}

/// Looks at what is live.
async fn look(desk: &Desk) -> Shown<(Live, Names)> {
    let path = format!("/api/v1/contacts?state=live&channel=voice&limit={CONTACTS_MAX}");
    let contacts = desk.find::<ContactPage>(&path).await?.map_or_else(Vec::new, |page| page.contacts);
    let path = format!("/api/v1/conversations?open=true&limit={MESSAGES_MAX}");
    let threads = desk.find::<Threads>(&path).await?.map_or_else(Vec::new, |page| page.conversations);
    let inboxes = desk.find::<Inboxes>("/api/v1/inboxes").await?.map_or_else(Vec::new, |list| list.inboxes);
    let trunks = desk.find::<Trunks>("/api/v1/trunks").await?.map_or_else(Vec::new, |list| list.trunks);
    let names = Names::new(inboxes.iter().map(|inbox| (inbox.id.as_str(), inbox.name.as_str())));
    let mut calls: Vec<Call> = contacts.into_iter().map(|contact| call(contact, &names)).collect();
    calls.sort_by_key(|call| call.contact.arrived);
    let mut messages: Vec<Thread> =
        threads.into_iter().filter(|thread| thread.taken_by.is_none() || thread.sla_due.is_some()).collect();
    messages.sort_by(|a, b| (a.sla_due, &a.id).cmp(&(b.sla_due, &b.id)));
    let queues = queues(inboxes, &calls);
    let figures = figures(&calls, &messages);
    let numbers = numbers(&calls);
    let may = Powers { call_control: desk.may(Permission::ContactsControl) };
    Ok((Live { figures, queues, calls, messages, trunks, numbers, may }, names))
}

fn queues(inboxes: Vec<Inbox>, calls: &[Call]) -> Vec<Queue> {
    let queue = |inbox: Inbox| {
        let here = |call: &&Call| call.kind == "waiting" && call.contact.inbox.as_deref() == Some(&inbox.id);
        let mut waiting: Vec<Call> = calls.iter().filter(here).cloned().collect();
        waiting.sort_by_key(|call| call.position);
        let late = waiting.iter().filter(|call| call.contact.sla_due.is_some_and(When::passed)).count();
        Queue { inbox, waiting, late }
    };
    let mut queues: Vec<Queue> = inboxes.into_iter().map(queue).collect();
    // Those where somebody waits come first; else the order stays, so that nothing jumps.
    queues.sort_by_key(|queue| queue.waiting.is_empty() && queue.inbox.waiting == 0);
    queues
}

fn figures(calls: &[Call], messages: &[Thread]) -> Figures {
    let of = |kind| calls.iter().filter(|call| call.kind == kind).count();
    let late = |due: Option<When>| due.is_some_and(When::passed);
    Figures {
        calls: calls.len(),
        in_ivr: of("ivr"),
        waiting: of("waiting"),
        talking: of("talking") + of("held"),
        messages: messages.len(),
        late: calls.iter().filter(|call| call.kind == "waiting" && late(call.contact.sla_due)).count()
            + messages.iter().filter(|thread| late(thread.sla_due)).count(),
        longest: calls
            .iter()
            .filter(|call| call.kind == "waiting")
            .filter_map(|call| call.contact.queued)
            .min(),
    }
}

fn numbers(calls: &[Call]) -> Vec<Number> {
    let mut numbers: Vec<Number> = Vec::new();
    for call in calls {
        match numbers.iter_mut().find(|number| number.number == call.contact.to) {
            Some(number) => number.calls += 1,
            None => numbers.push(Number { number: call.contact.to.clone(), calls: 1 }),
        }
    }
    numbers.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.number.cmp(&b.number)));
    numbers.truncate(NUMBERS_MAX);
    numbers
}

fn call(contact: Contact, names: &Names) -> Call {
    let (kind, what, position) = contact.doing(names);
    Call { contact, what, kind, position }
}

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage {
    shell: Shell,
    live: Live,
    names: Names,
}

async fn show(desk: Desk) -> Shown {
    let (live, names) = look(&desk).await?;
    Ok(page::shown(LivePage { shell: desk.shell(Some(Section::Live), "Live").await?, live, names }))
}

#[derive(Template)]
#[template(path = "live/figures.html")]
struct FiguresPiece<'a> {
    live: &'a Live,
}

#[derive(Template)]
#[template(path = "live/queues.html")]
struct QueuesPiece<'a> {
    live: &'a Live,
}

#[derive(Template)]
#[template(path = "live/calls.html")]
struct CallsPiece<'a> {
    live: &'a Live,
}

#[derive(Template)]
#[template(path = "live/messages.html")]
struct MessagesPiece<'a> {
    live: &'a Live,
    names: &'a Names,
}

#[derive(Template)]
#[template(path = "live/around.html")]
struct AroundPiece<'a> {
    live: &'a Live,
}

/// The pieces that have changed since the last look, with the id of what each replaces.
fn changed(live: &Live, names: &Names, before: Option<&Live>) -> Vec<(&'static str, String)> {
    let differs = |same: fn(&Live, &Live) -> bool| before.is_none_or(|before| !same(before, live));
    let mut pieces = Vec::new();
    let mut add = |id: &'static str, drawn: askama::Result<String>| match drawn {
        Ok(html) => pieces.push((id, html)),
        Err(error) => tracing::error!(%error, id, "a piece of the live page could not be drawn"),
    };
    if differs(|a, b| a.figures == b.figures) {
        add("live-figures", FiguresPiece { live }.render());
    }
    if differs(|a, b| a.queues == b.queues) {
        add("live-queues", QueuesPiece { live }.render());
    }
    if differs(|a, b| a.calls == b.calls) {
        add("live-calls", CallsPiece { live }.render());
    }
    if differs(|a, b| a.messages == b.messages) {
        add("live-messages", MessagesPiece { live, names }.render());
    }
    if differs(|a, b| a.trunks == b.trunks && a.numbers == b.numbers) {
        add("live-around", AroundPiece { live }.render());
    }
    pieces
}

async fn follow(desk: Desk) -> Response {
    let metrics = desk.console.state.metrics.api.clone();
    let Ok(place) = desk.console.streams.clone().try_acquire_owned() else {
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
    let every = Duration::from_millis(desk.console.state.console.live_refresh_ms.max(100));
    let until = Instant::now() + STREAM_LASTS;
    let viewer = Viewer { desk, before: None, every, until, _place: place };
    Sse::new(viewer.stream()).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response()
}

/// Somebody who looks at the live page.
struct Viewer {
    desk: Desk,
    before: Option<Live>,
    every: Duration,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.desk.console.state.metrics.api.console_streams.dec();
    }
}

impl Viewer {
    fn stream(self) -> impl Stream<Item = Result<SseEvent, Infallible>> {
        stream::unfold(self, |mut viewer| async move { viewer.next().await.map(|event| (Ok(event), viewer)) })
    }

    /// What has changed next; none when the gateway stops, or the stream has lasted long enough.
    async fn next(&mut self) -> Option<SseEvent> {
        let readiness = self.desk.console.state.readiness.clone();
        loop {
            if self.before.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(self.every) => {}
                    () = readiness.stopping() => return None,
                }
            }
            if self.until <= Instant::now() {
                return None;
            }
            let (live, names) = match look(&self.desk).await {
                Ok(found) => found,
                // The journal may be away for a moment: the page keeps what it shows.
                Err(_) if self.before.is_some() => continue,
                Err(_) => return None,
            };
            let pieces = changed(&live, &names, self.before.as_ref());
            self.before = Some(live);
            if !pieces.is_empty() {
                let pieces: Vec<_> =
                    pieces.into_iter().map(|(id, html)| json!({"id": id, "html": html})).collect();
                return Some(SseEvent::default().event("pieces").data(json!(pieces).to_string()));
            }
        }
    }
}
