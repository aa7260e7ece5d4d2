//! The routing that everything reads: swapped whole, never changed in place.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    plan::{EntryPoint, Plan},
};

use crate::compile::{ChatApps, Compiled, Consumers, PromptTable, Providers, Trunks};

/// One revision, ready to route. Whoever routes a contact keeps its plan until the contact ends.
#[derive(Clone, Debug, Default)]
pub struct ActiveRouting {
    /// The revision's number; 0 before the first publish.
    pub revision: u64,
    /// The plan.
    pub plan: Arc<Plan>,
    /// Carriers' trunks.
    pub trunks: Arc<Trunks>,
    /// Senders of messages.
    pub providers: Arc<Providers>,
    /// Chat windows.
    pub chat_apps: Arc<ChatApps>,
    /// Who is told of events.
    pub consumers: Arc<Consumers>,
    /// Where the sound of each prompt comes from.
    pub prompts: Arc<PromptTable>,
    pub(crate) compiled: Compiled,
}

impl ActiveRouting {
    /// Compiled routing as a revision.
    pub fn new(revision: u64, mut compiled: Compiled) -> Self {
        compiled.plan.revision = revision;
        Self {
            revision,
            // The tables are persistent maps: this clone shares them.
            plan: Arc::new(compiled.plan.clone()),
            trunks: compiled.trunks.clone(),
            providers: compiled.providers.clone(),
            chat_apps: compiled.chat_apps.clone(),
            consumers: compiled.consumers.clone(),
            prompts: compiled.prompts.clone(),
            compiled,
        }
    }

    /// The same, but that calls to a number are let in no more.
    #[must_use]
    pub fn without(&self, number: E164) -> Self {
        let mut plan = Plan::clone(&self.plan);
        let key = (Channel::Voice, Address::Number(number));
        let entry_point = plan.entry_points.get(&key).cloned().unwrap_or_default();
        plan.entry_points.insert(key, EntryPoint { disarmed: true, ..entry_point });
        Self { plan: Arc::new(plan), ..self.clone() }
    }

    /// Whether a channel names its default inbox itself; otherwise it follows the settings of the document.
    pub fn names_default_inbox(&self, channel: Channel) -> bool {
        self.compiled.parts.channels.contains_key(&channel)
    }
}

type Subscriber = Box<dyn Fn(&Arc<ActiveRouting>) + Send + Sync>;

/// Holds what is active. Reading takes no lock.
#[derive(Default)]
pub struct Active {
    current: ArcSwap<ActiveRouting>,
    subscribers: Mutex<Vec<Subscriber>>,
}

impl Active {
    /// What is active now.
    pub fn load(&self) -> Arc<ActiveRouting> {
        self.current.load_full()
    }

    /// Has `told` called after every change, on the thread that publishes, in the order of the revisions;
    /// and once at once, so that no change between a load and the subscription is missed. It must be quick,
    /// and must not publish or subscribe itself.
    pub fn subscribe(&self, told: impl Fn(&Arc<ActiveRouting>) + Send + Sync + 'static) {
        let mut subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        told(&self.load());
        subscribers.push(Box::new(told));
    }

    pub(crate) fn swap(&self, next: ActiveRouting) {
        let next = Arc::new(next);
        let subscribers = self.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        self.current.store(next.clone());
        for told in subscribers.iter() {
            told(&next);
        }
    }
}

impl fmt::Debug for Active {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Active(revision {})", self.load().revision)
    }
}
