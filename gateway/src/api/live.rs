//! Contacts that go on, as the control API sees them; filled by the hub.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dashmap::{DashMap, Entry};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Notify, oneshot};
use vestibule_routing::{
    id::{ContactId, InboxId, IvrId, NodeId, PromptId},
    journey::{Refusal, Request},
};

use crate::{dialler::PhoneInUse, journal::Event, leg::Destination, queue::PlaceInQueue, trunks::Way};

/// All live contacts of the process.
#[derive(Clone, Debug, Default)]
pub struct LiveContacts {
    contacts: Arc<DashMap<ContactId, Arc<LiveContact>>>,
}

/// One live contact.
#[derive(Debug, Default)]
pub struct LiveContact {
    state: Mutex<LiveState>,
    desk: Mutex<Desk>,
    bell: Notify,
}

/// What waits for the contact's task.
#[derive(Debug, Default)]
struct Desk {
    hang_up: bool,
    close: bool,
    asked: VecDeque<Wish>,
    closed: bool,
}

/// What a contact's task is asked for.
#[derive(Debug)]
pub enum Wish {
    /// The end of the contact.
    HangUp,
    /// The end of the contact, since the gateway stops.
    Close,
    /// Something that the journey decides.
    Request(Asked),
    /// Something about its recording.
    Recording {
        /// What.
        action: RecordingAction,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), NotRecorded>>,
    },
}

/// What is wanted of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingAction {
    /// Begin, after both have heard a prompt.
    Start {
        /// The prompt that says so; none when they know.
        consent: Option<PromptId>,
        /// Keyed digits are replaced by silence.
        mute_digits: bool,
    },
    /// Leave out what is said from now on.
    Pause,
    /// Go on.
    Resume,
    /// End it.
    Stop,
}

/// Why a recording is not as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// Nobody talks to the caller.
    #[error("nobody talks to this contact")]
    NotConnected,
    /// It is not recorded.
    #[error("this contact is not recorded")]
    NotRecording,
    /// The prompt has no sound.
    #[error("the contact's routing has no such prompt")]
    NoSuchPrompt,
    /// The recorder takes no more.
    #[error("the recorder is busy")]
    Busy,
}

/// Something asked of a live contact.
#[derive(Debug)]
pub struct Asked {
    /// What.
    pub request: Request,
    /// Where its targets are, in their order.
    pub targets: Vec<Located>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<(), Refusal>>,
}

/// Where a target is called.
#[derive(Debug)]
pub struct Located {
    /// The first, or the next when that one does not answer.
    pub ways: Vec<Way>,
    /// Kept until the call is over: the phone is in use.
    pub phone: Option<PhoneInUse>,
    /// The call whose place it takes there (RFC 3891).
    pub replaces: Option<String>,
}

impl Located {
    /// A target that is called by its own URI.
    pub fn at(destinations: Vec<Destination>) -> Self {
        Self::by(destinations.into_iter().map(Way::from).collect())
    }

    /// A target that is called in these ways.
    pub fn by(ways: Vec<Way>) -> Self {
        Self { ways, phone: None, replaces: None }
    }
}

/// Why a live contact gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReply {
    /// It ended.
    #[error("the contact has ended")]
    Ended,
    /// Too much is asked of it at once.
    #[error("the contact is busy with other requests")]
    Busy,
}

/// Keys of a caller that are remembered.
pub const KEYS_MAX: usize = 64;

/// Requests that wait for one contact.
const REQUESTS_MAX: usize = 8;

/// What is known of a live contact beside its record.
#[derive(Clone, Debug, Default)]
pub struct LiveState {
    /// What it is doing.
    pub stage: Stage,
    /// When it was answered.
    pub answered: Option<Timestamp>,
    /// Its events so far: the trace.
    pub events: Vec<Event>,
    /// Whom it is handed to.
    pub hand_off: Option<HandOff>,
    /// Sound of the caller has come: packets from one place, several in a row.
    pub heard: bool,
    /// The keys that the caller has pressed, the last [`KEYS_MAX`] of them.
    pub keys: String,
    /// Its place in the queue: where it stands is looked up when somebody asks.
    pub place: Option<PlaceInQueue>,
}

/// Whom a contact is handed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct HandOff {
    /// How far it is.
    pub state: HandOffState,
    /// Who asked for it.
    pub by: String,
    /// Who is called, or talks to the caller; several while several telephones ring.
    pub targets: Vec<String>,
}

/// How far a hand-off is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandOffState {
    /// The telephone rings.
    Ringing,
    /// They talk; a message is theirs.
    Connected,
}

/// What a live contact is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// It arrived, and is not answered.
    #[default]
    Ringing,
    /// It runs through an IVR.
    InIvr {
        /// The IVR.
        #[schema(value_type = String)]
        ivr: IvrId,
        /// The node it stands at.
        #[schema(value_type = String)]
        node: NodeId,
    },
    /// It waits in an inbox's queue, perhaps in its Queue IVR.
    Waiting {
        /// The inbox.
        #[schema(value_type = String)]
        inbox: InboxId,
        /// 1 is next.
        position: u32,
    },
    /// Someone talks to it.
    Connected {
        /// The inbox.
        #[schema(value_type = String)]
        inbox: InboxId,
    },
    /// It is being ended.
    Ending,
}

/// A live contact's entry; dropping it takes the contact out.
#[derive(Debug)]
pub struct LiveEntry {
    id: ContactId,
    contact: Arc<LiveContact>,
    all: LiveContacts,
}

impl LiveContacts {
    /// Enters a contact; none when one with this id is there already.
    pub fn enter(&self, id: ContactId) -> Option<LiveEntry> {
        match self.contacts.entry(id.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => {
                let contact = Arc::new(LiveContact::default());
                vacant.insert(contact.clone());
                Some(LiveEntry { id, contact, all: self.clone() })
            }
        }
    }

    /// A live contact.
    pub fn find(&self, id: &str) -> Option<Arc<LiveContact>> {
        self.contacts.get(&ContactId::from(id)).map(|contact| contact.clone())
    }

    /// What each of them is doing; a position in a queue is what it was when it was told last.
    pub fn stages(&self) -> Vec<Stage> {
        self.contacts.iter().map(|contact| contact.lock_state().stage.clone()).collect()
    }

    /// Ends all of them, since the gateway stops.
    pub fn close_all(&self) {
        for contact in self.contacts.iter() {
            contact.desk().close = true;
            contact.bell.notify_one();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.contacts.len()
    }
}

impl LiveContact {
    /// A copy of what is known now.
    pub fn state(&self) -> LiveState {
        let mut state = self.lock_state().clone();
        if let (Stage::Waiting { position, .. }, Some(place)) = (&mut state.stage, &state.place) {
            *position = place.position();
        }
        state
    }

    /// Asks something of the contact.
    ///
    /// # Errors
    /// [`NoReply`], and then nothing is done.
    pub async fn ask(&self, request: Request, targets: Vec<Located>) -> Result<Result<(), Refusal>, NoReply> {
        let (reply, answer) = oneshot::channel();
        self.lay_down(Wish::Request(Asked { request, targets, reply }))?;
        answer.await.map_err(|_| NoReply::Ended)
    }

    /// Asks for something about the contact's recording.
    ///
    /// # Errors
    /// [`NoReply`], and then nothing is done.
    pub async fn record(&self, action: RecordingAction) -> Result<Result<(), NotRecorded>, NoReply> {
        let (reply, answer) = oneshot::channel();
        self.lay_down(Wish::Recording { action, reply })?;
        answer.await.map_err(|_| NoReply::Ended)
    }

    fn lay_down(&self, wish: Wish) -> Result<(), NoReply> {
        let mut desk = self.desk();
        if desk.closed {
            return Err(NoReply::Ended);
        }
        if desk.asked.len() >= REQUESTS_MAX {
            return Err(NoReply::Busy);
        }
        desk.asked.push_back(wish);
        drop(desk);
        self.bell.notify_one();
        Ok(())
    }

    fn lock_state(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the contact to be ended. Asking again changes nothing.
    pub fn ask_to_hang_up(&self) {
        self.desk().hang_up = true;
        self.bell.notify_one();
    }
}

impl LiveEntry {
    /// Changes what the API shows.
    pub fn update(&self, change: impl FnOnce(&mut LiveState)) {
        change(&mut self.contact.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The caller has pressed a key.
    pub fn pressed(&self, key: char) {
        self.update(|state| {
            if state.keys.len() >= KEYS_MAX {
                state.keys.remove(0);
            }
            state.keys.push(key);
        });
    }

    /// What is asked of the contact next; also what was asked before. Safe to use in a `select!`.
    pub async fn wish(&self) -> Wish {
        loop {
            if let Some(wish) = self.next_wish() {
                return wish;
            }
            self.contact.bell.notified().await;
        }
    }

    fn next_wish(&self) -> Option<Wish> {
        let mut desk = self.contact.desk();
        if std::mem::take(&mut desk.hang_up) {
            return Some(Wish::HangUp);
        }
        if std::mem::take(&mut desk.close) {
            return Some(Wish::Close);
        }
        desk.asked.pop_front()
    }
}

impl Drop for LiveEntry {
    fn drop(&mut self) {
        self.all.contacts.remove(&self.id);
        // Those who still wait for an answer hear that it is over.
        let mut desk = self.contact.desk();
        desk.closed = true;
        desk.asked.clear();
    }
}
