//! The test call at the end of a set-up: for a while, the next call to a number is watched, as it really comes in.
//!
//! Nothing is made up: the call is found in the feed, its sound and keys are those that the media threads heard.

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;
use vestibule_routing::address::E164;

use crate::{
    api::live::{LiveContact, LiveContacts, Stage},
    feed::{CloudEvent, Feed, Wanted},
    journal::EventKind,
};

/// Windows that are open; cheap to clone.
#[derive(Clone, Debug)]
pub struct TestCalls {
    feed: Feed,
    live: LiveContacts,
    windows: Arc<DashMap<E164, watch::Receiver<TestCall>>>,
}

/// How far a test call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TestCallState {
    /// No call has come yet.
    Waiting,
    /// One has come, and is not answered.
    Arrived,
    /// It is answered.
    Answered,
    /// It is over.
    Ended,
    /// None came in time.
    Expired,
}

/// A test call.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TestCall {
    /// The number to be called.
    pub number: String,
    /// How far it is.
    pub state: TestCallState,
    /// Until when a call is waited for.
    #[schema(value_type = String, format = DateTime)]
    pub until: Timestamp,
    /// The call, `ct_…`.
    pub contact: Option<String>,
    /// Who called; empty when withheld.
    pub from: Option<String>,
    /// Sound of the caller has come: packets from one place, several in a row.
    pub heard: bool,
    /// The keys that the caller has pressed so far.
    pub keys: String,
    /// What the call is doing.
    pub now: Option<Stage>,
    /// How it ended: `side` and `reason`.
    #[schema(value_type = Option<Object>)]
    pub outcome: Option<Value>,
}

/// How often a call is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long what came of a test call is kept after its end.
const KEPT: Duration = Duration::from_secs(600);
/// Windows at once; further ones are refused.
const WINDOWS_MAX: usize = 100;
/// Longest test call that is watched.
const WATCHED_MAX: Duration = Duration::from_secs(900);

impl TestCalls {
    /// Watches calls of this feed.
    pub fn new(feed: Feed, live: LiveContacts) -> Self {
        Self { feed, live, windows: Arc::default() }
    }

    /// Waits for a call to the number from now on; a window that was open for it is closed. None when there are too many.
    pub async fn open(&self, number: E164, patience: Duration) -> Option<TestCall> {
        if self.windows.len() >= WINDOWS_MAX && !self.windows.contains_key(&number) {
            return None;
        }
        let until = Timestamp::now() + SignedDuration::try_from(patience).unwrap_or_default();
        let call = TestCall {
            number: number.to_string(),
            state: TestCallState::Waiting,
            until,
            contact: None,
            from: None,
            heard: false,
            keys: String::new(),
            now: None,
            outcome: None,
        };
        let (told, window) = watch::channel(call.clone());
        // Before the cursor is taken: the one that is replaced sees that it is.
        self.windows.insert(number, window);
        let newest = self.feed.read(&Wanted { limit: 1, ..Wanted::default() }).await;
        let after = newest.ok()?.last;
        let calls = self.clone();
        tokio::spawn(async move {
            let following = calls.follow(number, &told, (after, patience));
            // Nobody looks any more, or another window is open for the number.
            tokio::select! {
                () = following => tokio::time::sleep(KEPT).await,
                () = told.closed() => return,
            }
            drop(told);
            calls.windows.remove_if(&number, |_, window| window.has_changed().is_err());
        });
        Some(call)
    }

    /// How a test call is getting on; each change can be waited for.
    pub fn window(&self, number: E164) -> Option<watch::Receiver<TestCall>> {
        self.windows.get(&number).map(|window| window.clone())
    }

    /// Waits for nothing any more.
    pub fn close(&self, number: E164) -> bool {
        self.windows.remove(&number).is_some()
    }

    async fn follow(&self, number: E164, told: &watch::Sender<TestCall>, (after, patience): (u64, Duration)) {
        let Some((started, after)) = self.arrival(number, after, patience).await else {
            told.send_modify(|call| call.state = TestCallState::Expired);
            return;
        };
        let live = self.live.find(&started.subject);
        let from = data(&started).get("from").and_then(Value::as_str).map(str::to_owned);
        told.send_modify(|call| {
            call.state = TestCallState::Arrived;
            call.contact = Some(started.subject.clone());
            call.from = from;
        });
        let wanted = Wanted { after, limit: PAGE, kinds: vec![EventKind::ContactEnded] };
        let ended = self.find(wanted, WATCHED_MAX, |event| event.subject == started.subject);
        tokio::pin!(ended);
        let ended = loop {
            tokio::select! {
                ended = &mut ended => break ended,
                () = tokio::time::sleep(LOOK_EVERY) => look(live.as_deref(), told),
            }
        };
        look(live.as_deref(), told);
        told.send_modify(|call| {
            call.state = TestCallState::Ended;
            call.now = None;
            call.outcome = ended.and_then(|(event, _)| data(&event).get("outcome").cloned());
        });
    }

    async fn arrival(&self, number: E164, after: u64, patience: Duration) -> Option<(CloudEvent, u64)> {
        let number = Value::from(number.to_string());
        let wanted = Wanted { after, limit: PAGE, kinds: vec![EventKind::ContactStarted] };
        self.find(wanted, patience, |event| {
            let data = data(event);
            data.get("to") == Some(&number) && data.get("channel").and_then(Value::as_str) == Some("voice")
        })
        .await
    }

    /// The first event that is meant, and the cursor to read on after; none when it does not come in time.
    async fn find(
        &self,
        mut wanted: Wanted,
        patience: Duration,
        meant: impl Fn(&CloudEvent) -> bool,
    ) -> Option<(CloudEvent, u64)> {
        let deadline = tokio::time::Instant::now() + patience;
        while tokio::time::Instant::now() < deadline {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            match self.feed.read_or_wait(wanted.clone(), left).await {
                Ok(page) => {
                    if let Some(event) = page.events.into_iter().find(&meant) {
                        return Some((event, wanted.after));
                    }
                    wanted.after = page.next;
                }
                Err(error) => {
                    tracing::warn!(%error, "a test call cannot be watched for want of the journal");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
        None
    }
}

/// Passes on what is seen of a call.
fn look(live: Option<&LiveContact>, told: &watch::Sender<TestCall>) {
    let Some(state) = live.map(LiveContact::state) else { return };
    told.send_if_modified(|call| {
        let before = call.clone();
        if state.answered.is_some() {
            call.state = TestCallState::Answered;
        }
        call.heard = state.heard;
        call.keys.clone_from(&state.keys);
        call.now = Some(state.stage);
        *call != before
    });
}

fn data(event: &CloudEvent) -> Value {
    serde_json::from_str(event.data.get()).unwrap_or_default()
}

/// Events read at once.
const PAGE: usize = 200;
