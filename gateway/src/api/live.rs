//! Contacts that go on, as the control API sees them; filled by the hub.

use std::sync::{Arc, Mutex, PoisonError};

use dashmap::{DashMap, Entry};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Notify;
use vestibule_routing::id::{ContactId, InboxId, IvrId, NodeId};

use crate::journal::Event;

/// All live contacts of the process.
#[derive(Clone, Debug, Default)]
pub struct LiveContacts {
    contacts: Arc<DashMap<ContactId, Arc<LiveContact>>>,
}

/// One live contact.
#[derive(Debug, Default)]
pub struct LiveContact {
    state: Mutex<LiveState>,
    hang_up: Notify,
}

/// What is known of a live contact beside its record.
#[derive(Clone, Debug, Default)]
pub struct LiveState {
    /// What it is doing.
    pub stage: Stage,
    /// When it was answered.
    pub answered: Option<Timestamp>,
    /// Its events so far: the trace.
    pub events: Vec<Event>,
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

    /// How many there are.
    pub fn count(&self) -> usize {
        self.contacts.len()
    }
}

impl LiveContact {
    /// A copy of what is known now.
    pub fn state(&self) -> LiveState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for the contact to be ended. Asking again changes nothing.
    pub fn ask_to_hang_up(&self) {
        self.hang_up.notify_one();
    }
}

impl LiveEntry {
    /// Changes what the API shows.
    pub fn update(&self, change: impl FnOnce(&mut LiveState)) {
        change(&mut self.contact.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Returns when someone asks for the contact to be ended; also when it was asked before. Safe to use
    /// in a `select!`.
    pub async fn hang_up_asked(&self) {
        self.contact.hang_up.notified().await;
    }
}

impl Drop for LiveEntry {
    fn drop(&mut self) {
        self.all.contacts.remove(&self.id);
    }
}
