//! Numbers and the carriers that they are held at: search, purchase, set-up, release, registration, ports.
//!
//! What must not happen twice is written down before a carrier is asked, and what a carrier did with a request that broke off
//! is found out by asking it (`numbers/purchase.rs`). One task ([`Numbers::go_on`]) does what is still to be done, also
//! after a restart. What calls do at a number is routing, and stands in the documents (`numbers/voice.rs`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use dashmap::DashSet;
use jiff::Timestamp;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use reqwest::{Client, redirect::Policy};
use serde_json::json;
use tokio::sync::Notify;
use vestibule_config::{
    carrier::CarrierAccount,
    number::NumberRecord,
    settings::Carriers,
    store::{Store, StoreError},
};
use vestibule_routing::{address::E164, id::ContactId};

use crate::{
    acting,
    carrier::{
        accounts::{self, Surroundings},
        contract::{Carrier, NotDone},
    },
    journal::{Entry, Event, EventKind, Journal, JournalError},
    telemetry::{CarrierMetrics, CarrierResult},
    vault::Vault,
};

pub mod accounts_of;
pub mod import;
pub mod purchase;
pub mod registration;
pub mod release;
pub mod search;
pub mod test_call;
pub mod transfers;
pub mod voice;

/// Everything about numbers; cheap to clone.
#[derive(Clone, Debug)]
pub struct Numbers {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<Store>,
    journal: Journal,
    vault: Vault,
    settings: Carriers,
    metrics: CarrierMetrics,
    around: Surroundings,
    desk: Mutex<search::Desk>,
    /// What a task is about just now: nobody else begins with it.
    busy: DashSet<String>,
    /// When what failed is tried again, and how often it failed.
    later: Mutex<HashMap<String, (Instant, u32)>>,
    wake: Notify,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why something about numbers was not done.
#[derive(Debug, thiserror::Error)]
pub enum NumbersError {
    /// The carrier did not do it, or it is not known.
    #[error(transparent)]
    Carrier(#[from] NotDone),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The feed could not be told.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// There is no such account.
    #[error("there is no carrier account \"{0}\"")]
    NoCarrier(String),
    /// Something asked for makes no sense.
    #[error("{0}")]
    Bad(String),
    /// Numbers of this country are not searched.
    #[error("numbers of {0} cannot be searched here")]
    Country(String),
    /// The review was too long ago, or never made.
    #[error("there is no such review any more")]
    NoReview,
    /// The search was too long ago.
    #[error("this search is forgotten")]
    NoSearch,
    /// The number cannot be bought any more.
    #[error("{0} is not for sale at this carrier any more")]
    NotForSale(E164),
    /// The key was used for something else.
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    /// Calls are going on.
    #[error("{0} call(s) of this number go on")]
    CallsLive(usize),
    /// A form lacks something.
    #[error("the form has {} fault(s), the first: {}", .0.len(), .0.first().map_or("", String::as_str))]
    Form(Vec<String>),
    /// Something of the draft would be published with it.
    #[error("the draft has unpublished edits of {0}")]
    Drafted(String),
    /// A task met a fault.
    #[error("the request met a fault in the gateway")]
    Fault,
}

/// Shortest and longest time between two tries.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// What nobody asked for any more since it was due is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// How often the task looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What the gateway itself does is done by it.
pub(crate) const SYSTEM: &str = "system";

impl Numbers {
    /// Numbers of this store. The first time, it gets a sandbox and an account for own trunks.
    ///
    /// # Errors
    /// When the store or the TLS library fails.
    pub fn new(
        (store, journal): (Arc<Store>, Journal),
        vault: Vault,
        settings: Carriers,
        metrics: CarrierMetrics,
    ) -> anyhow::Result<Self> {
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(settings.answer_seconds))
            .user_agent("vestibule")
            .build()?;
        let around = Surroundings { client, store: store.clone(), sandbox_seconds: settings.sandbox_seconds };
        let inner = Inner {
            store,
            journal,
            vault,
            settings,
            metrics,
            around,
            desk: Mutex::default(),
            busy: DashSet::new(),
            later: Mutex::default(),
            wake: Notify::new(),
        };
        let numbers = Self { inner: Arc::new(inner) };
        numbers.make_first_accounts()?;
        let resealed = numbers.inner.vault.reseal(&numbers.inner.store, SYSTEM);
        match resealed {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "secrets were sealed anew with the newest key"),
            // The accounts that cannot be opened say so when they are used; everything else goes on.
            Err(error) => tracing::error!(%error, "secrets cannot be opened; restore the file of keys"),
        }
        Ok(numbers)
    }

    fn make_first_accounts(&self) -> Result<(), StoreError> {
        let store = &self.inner.store;
        if !store.records::<CarrierAccount>(None, 1)?.is_empty() {
            return Ok(());
        }
        for kind in accounts::KINDS.iter().filter(|kind| kind.fields.is_empty()) {
            let account = CarrierAccount {
                id: kind.kind.to_owned(),
                kind: kind.kind.to_owned(),
                name: kind.name.to_owned(),
                settings: BTreeMap::new(),
                secrets: Vec::new(),
                changed: Timestamp::now(),
            };
            store.put_sealed(&account, None, SYSTEM)?;
        }
        Ok(())
    }

    /// Does what is still to be done, for as long as the process runs.
    pub async fn go_on(self) {
        loop {
            if let Err(error) = self.look_after().await {
                tracing::warn!(%error, "numbers could not be looked after");
            }
            tokio::select! {
                () = self.inner.wake.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look_after(&self) -> Result<(), NumbersError> {
        self.inner
            .later
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (at, _)| at.elapsed() < FORGOTTEN_AFTER);
        self.settle_purchases().await?;
        self.finish_releases().await?;
        self.follow_registrations().await?;
        self.follow_transfers().await
    }

    /// Runs what may wait for the disk where waiting is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Store>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, NumbersError> {
        let store = self.inner.store.clone();
        match crate::blocking::blocking(acting::carried(move || work(&store))).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(NumbersError::Fault),
        }
    }

    /// An account with its adapter.
    async fn account(&self, id: &str) -> Result<(CarrierAccount, Arc<dyn Carrier>), NumbersError> {
        let (wanted, vault) = (id.to_owned(), self.inner.vault.clone());
        let found = self
            .blocking(move |store| {
                let Some(account) = store.record::<CarrierAccount>(&wanted)? else { return Ok(None) };
                let secrets = accounts_of::open_secrets(store, &vault, &account)?;
                Ok(Some((account, secrets)))
            })
            .await?;
        let (account, secrets) = found.ok_or_else(|| NumbersError::NoCarrier(id.to_owned()))?;
        let carrier = accounts::open(&account, &secrets, &self.inner.around)?;
        Ok((account, carrier))
    }

    /// Counts what came of asking a carrier.
    fn counted<T>(&self, result: Result<T, NotDone>) -> Result<T, NotDone> {
        let label = match &result {
            Ok(_) => CarrierResult::Done,
            Err(NotDone::Refused { .. } | NotDone::NotSupported(_) | NotDone::NotSetUp(_)) => {
                CarrierResult::Refused
            }
            Err(NotDone::Later) => CarrierResult::Later,
            Err(NotDone::Unknown(_)) => CarrierResult::Unknown,
        };
        self.inner.metrics.requests.of(label).inc();
        result
    }

    /// Tells the feed of a number, after its record is changed: who missed it reads the record.
    pub(crate) async fn tell(&self, kind: EventKind, record: &NumberRecord) -> Result<(), JournalError> {
        let data = json!({"number": record.number, "holding": record.holding, "sms": record.sms});
        let mut entry = Entry::new(ContactId::from(""));
        entry.events.push(Event::new(kind, record.changed, &data));
        self.inner.journal.append(entry).await.map(|_receipt| ())
    }

    /// Takes something up, so that nobody else does; gives it back when dropped. None while another has it.
    fn take(&self, name: &str) -> Option<Taken> {
        let free = self.inner.busy.insert(name.to_owned());
        free.then(|| Taken { inner: self.inner.clone(), name: name.to_owned() })
    }

    /// Whether something that failed may be tried again.
    fn is_due(&self, name: &str) -> bool {
        let later = self.inner.later.lock().unwrap_or_else(PoisonError::into_inner);
        later.get(name).is_none_or(|(at, _)| Instant::now() >= *at)
    }

    /// Puts something off: twice as long each time, with a random part so that not all come back at once.
    fn put_off(&self, name: &str) {
        let mut later = self.inner.later.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = later.get(name).map_or(0, |(_, failures)| *failures).saturating_add(1);
        let wait = TRY_AGAIN.0.saturating_mul(1_u32 << failures.saturating_sub(1).min(9)).min(TRY_AGAIN.1);
        let wait = wait.mul_f64(StdRng::from_os_rng().random_range(0.8..1.2));
        later.insert(name.to_owned(), (Instant::now() + wait, failures));
    }

    /// Something is to be looked at again after a time.
    fn put_off_for(&self, name: &str, wait: Duration) {
        let mut later = self.inner.later.lock().unwrap_or_else(PoisonError::into_inner);
        later.insert(name.to_owned(), (Instant::now() + wait, 0));
    }

    fn is_done(&self, name: &str) {
        self.inner.later.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// Something that a task is about.
struct Taken {
    inner: Arc<Inner>,
    name: String,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.inner.busy.remove(&self.name);
    }
}

/// An id with a prefix that says what it is, and 80 random bits; ids that are made later sort later.
pub(crate) fn new_id(prefix: &str) -> String {
    let time = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
    let chance: u64 = StdRng::from_os_rng().random();
    format!("{prefix}_{time:011x}{chance:016x}")
}
