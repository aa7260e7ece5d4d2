//! Records of what we have to do with carriers: accounts, purchases, registrations for SMS, ports.
//!
//! They stand beside the documents, like the records of numbers: a roll back must neither buy nor release anything. What
//! an account is proven by is sealed and kept apart from its record, which may therefore stand in the audit log.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vestibule_routing::address::E164;

use crate::number::NumberFacts;

/// A record that the store keeps: see [`crate::store::Store::record`].
pub trait Record: Serialize + serde::de::DeserializeOwned {
    /// Its table of records.
    const KIND: &'static str;
    /// What the audit calls it when one is added, changed and removed.
    const ACTIONS: [&'static str; 3];
    /// Its id, unique within the kind.
    fn id(&self) -> &str;
    /// What makes a second request for the same thing known, unique within the kind.
    fn key(&self) -> Option<&str> {
        None
    }
    /// Whether something is still to be done about it.
    fn is_open(&self) -> bool {
        false
    }
}

/// An account at a carrier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarrierAccount {
    /// Its name, for people and for requests.
    pub id: String,
    /// Which carrier, by the name of its adapter.
    pub kind: String,
    /// What people call it.
    pub name: String,
    /// What the adapter has to know beside the secrets, by its own names.
    pub settings: BTreeMap<String, String>,
    /// The names of its secrets; what they are is sealed.
    pub secrets: Vec<String>,
    /// When it last changed.
    pub changed: Timestamp,
}

impl Record for CarrierAccount {
    const KIND: &'static str = "carrier";
    const ACTIONS: [&'static str; 3] = ["carrier.added", "carrier.changed", "carrier.removed"];

    fn id(&self) -> &str {
        &self.id
    }
}

/// How far a purchase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseState {
    /// Written down; the carrier is being asked, or is about to be.
    Asking,
    /// The carrier took the order and has not done it yet.
    Ordered,
    /// The request's outcome is not known: the carrier is asked what became of it, and nothing is bought before.
    Unknown,
    /// The number is ours.
    Bought,
    /// The carrier refused: nothing was bought.
    Refused,
    /// The carrier knows nothing of it after all this time. It is watched for a while longer.
    NotBought,
}

/// The purchase of a number, from before the carrier is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// Its id, `po_…`: also the reference that the carrier gets.
    pub id: String,
    /// The client's `Idempotency-Key`, with who used it.
    pub key: String,
    /// What was asked for, so that a key is not used for something else.
    pub fingerprint: String,
    /// The account.
    pub carrier: String,
    /// The number.
    pub number: E164,
    /// What was reviewed.
    pub facts: NumberFacts,
    /// How far it is.
    pub state: PurchaseState,
    /// Who buys.
    pub by: String,
    /// When it was written down.
    pub created: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
    /// How often the carrier was asked what became of it.
    pub looked: u32,
    /// What went wrong, in the carrier's words.
    pub detail: Option<String>,
    /// The carrier's id of the order, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Something is still to be done: the carrier is asked, watched, or to be told where calls go.
    pub open: bool,
}

impl Purchase {
    /// No purchase at all: for asking a carrier about a number that came to it in another way.
    pub fn nameless(number: E164, carrier: String, facts: NumberFacts) -> Self {
        let now = Timestamp::now();
        Self {
            id: String::new(),
            key: String::new(),
            fingerprint: String::new(),
            carrier,
            number,
            facts,
            state: PurchaseState::Bought,
            by: String::new(),
            created: now,
            changed: now,
            looked: 0,
            detail: None,
            order: None,
            open: false,
        }
    }

    /// Whether it may still end either way.
    pub fn is_undecided(&self) -> bool {
        matches!(self.state, PurchaseState::Asking | PurchaseState::Ordered | PurchaseState::Unknown)
    }
}

impl Record for Purchase {
    const KIND: &'static str = "purchase";
    const ACTIONS: [&'static str; 3] = ["purchase.added", "purchase.changed", "purchase.removed"];

    fn id(&self) -> &str {
        &self.id
    }

    fn key(&self) -> Option<&str> {
        Some(&self.key)
    }

    fn is_open(&self) -> bool {
        self.open
    }
}

/// What a registration for SMS is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationKind {
    /// A brand and a campaign, for local numbers of the United States (A2P 10DLC).
    TenDlc,
    /// The verification of one toll-free number.
    TollFree,
}

/// How far a registration is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RegistrationState {
    /// Handed in, or being handed in.
    Submitted,
    /// Under review.
    InReview,
    /// Something is to be corrected.
    UpdateRequired {
        /// Until when; afterwards it is rejected.
        deadline: Timestamp,
        /// What.
        reasons: Vec<String>,
    },
    /// Numbers may send.
    Approved,
    /// Refused.
    Rejected {
        /// Why.
        reasons: Vec<String>,
        /// Until when the form may be corrected; none for ever.
        editable_until: Option<Timestamp>,
    },
    /// Approved once, stopped by the carrier.
    Suspended,
}

/// A registration for SMS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its id, `rg_…`.
    pub id: String,
    /// The account.
    pub carrier: String,
    /// What it is about.
    pub kind: RegistrationKind,
    /// What was filled in, by the field's name.
    pub form: BTreeMap<String, String>,
    /// The numbers that it is for; those of them that the carrier has attached are marked.
    pub numbers: BTreeMap<E164, Attachment>,
    /// How far it is.
    #[serde(flatten)]
    pub state: RegistrationState,
    /// The carrier's ids of what was made so far, by the adapter's names: each is kept before the next step is taken.
    pub known: BTreeMap<String, String>,
    /// A corrected form is still to be handed in.
    pub corrected: bool,
    /// Who handed it in.
    pub by: String,
    /// When it was begun.
    pub created: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
    /// What went wrong the last time that the carrier was asked.
    pub detail: Option<String>,
}

/// Whether a carrier has tied a number to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// Not asked for yet.
    Waiting,
    /// Asked for.
    Asked,
    /// Done.
    Attached,
    /// Refused.
    Refused,
}

impl Registration {
    /// Whether a corrected form can be handed in.
    pub fn is_editable(&self, now: Timestamp) -> bool {
        match &self.state {
            RegistrationState::UpdateRequired { deadline, .. } => now <= *deadline,
            RegistrationState::Rejected { editable_until, .. } => {
                editable_until.is_none_or(|until| now <= until)
            }
            _ => false,
        }
    }
}

impl Record for Registration {
    const KIND: &'static str = "registration";
    const ACTIONS: [&'static str; 3] = ["registration.added", "registration.changed", "registration.removed"];

    fn id(&self) -> &str {
        &self.id
    }

    fn is_open(&self) -> bool {
        // Approved ones may be suspended, and update requests may be settled at the carrier.
        !matches!(self.state, RegistrationState::Rejected { .. }) || self.corrected
    }
}

/// How far a port or a forwarding is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TransferState {
    /// Handed in.
    Submitted,
    /// The other carrier wants something mended.
    ActionNeeded {
        /// What.
        reasons: Vec<String>,
    },
    /// Agreed, with the day.
    Scheduled {
        /// When it is to happen.
        on: Timestamp,
    },
    /// The numbers are here.
    Completed,
    /// Called off, or refused for good.
    Cancelled {
        /// Why.
        reason: String,
    },
}

/// How a number comes from another carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    /// It moves.
    Port,
    /// It stays, and its calls are forwarded to a number of ours.
    Forward,
}

/// A port or forward order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its id, `tf_…`.
    pub id: String,
    /// The account that the numbers come to.
    pub carrier: String,
    /// Port or forward.
    pub kind: TransferKind,
    /// The numbers.
    pub numbers: Vec<E164>,
    /// The number of ours that calls are forwarded to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_to: Option<E164>,
    /// What the other carrier is told: name, address, account, PIN's last digits … by the field's name.
    pub form: BTreeMap<String, String>,
    /// How far it is.
    #[serde(flatten)]
    pub state: TransferState,
    /// The carrier's id of the order; none while people look after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Who ordered it.
    pub by: String,
    /// When it was ordered.
    pub created: Timestamp,
    /// When it last changed.
    pub changed: Timestamp,
}

impl Transfer {
    /// Whether it may still end either way.
    pub fn goes_on(&self) -> bool {
        !matches!(self.state, TransferState::Completed | TransferState::Cancelled { .. })
    }
}

impl Record for Transfer {
    const KIND: &'static str = "transfer";
    const ACTIONS: [&'static str; 3] = ["transfer.added", "transfer.changed", "transfer.removed"];

    fn id(&self) -> &str {
        &self.id
    }

    fn is_open(&self) -> bool {
        self.goes_on()
    }
}
