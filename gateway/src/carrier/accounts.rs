//! Which adapters there are, what each has to know, and how an account becomes one.

use std::{collections::BTreeMap, sync::Arc};

use reqwest::Client;
use serde::Serialize;
use vestibule_config::{carrier::CarrierAccount, store::Store};

use super::{
    contract::{Carrier, NotDone},
    manual::Manual,
    sandbox::Sandbox,
    telnyx, twilio,
};

/// What an adapter has to know of an account.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub struct Field {
    /// Its name in `settings` or `secrets`.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Whether the adapter cannot do without.
    pub required: bool,
    /// Whether it is a secret, sealed and never shown again.
    pub secret: bool,
}

/// An adapter.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub struct AdapterKind {
    /// Its name, an account's `kind`.
    pub kind: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// What it has to know.
    pub fields: &'static [Field],
    /// Numbers can be searched and bought.
    pub sells: bool,
    /// Registrations for SMS are handed in by it.
    pub registers: bool,
    /// Port and forward orders are handed in by it; otherwise people look after them.
    pub ports: bool,
    /// What usage costs beside the monthly fee.
    pub usage: &'static str,
}

/// What adapters are made with.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Asks them.
    pub client: Client,
    /// Where the sandbox keeps what it sold.
    pub store: Arc<Store>,
    /// How long the sandbox takes for a step.
    pub sandbox_seconds: u64,
}

/// Every adapter.
pub const KINDS: &[AdapterKind] = &[
    AdapterKind {
        kind: "sandbox",
        name: "Sandbox",
        fields: &[],
        sells: true,
        registers: true,
        ports: true,
        usage: "Nothing is charged: the sandbox is for trying things out, and its numbers cannot be called from outside.",
    },
    AdapterKind {
        kind: "twilio",
        name: "Twilio",
        fields: twilio::numbers::FIELDS,
        sells: true,
        registers: true,
        ports: false,
        usage: "Calls, texts and registrations are charged by use, as the carrier's price list says.",
    },
    AdapterKind {
        kind: "telnyx",
        name: "Telnyx",
        fields: telnyx::numbers::FIELDS,
        sells: true,
        registers: true,
        ports: false,
        usage: "Calls, texts and registrations are charged by use, as the carrier's price list says.",
    },
    AdapterKind {
        kind: "manual",
        name: "Your own trunk",
        fields: &[],
        sells: false,
        registers: false,
        ports: false,
        usage: "Your carrier charges as you agreed with it.",
    },
];

/// An adapter by its name.
pub fn kind(name: &str) -> Option<&'static AdapterKind> {
    KINDS.iter().find(|one| one.kind == name)
}

/// The adapter of an account, with its secrets opened.
///
/// # Errors
/// There is no such kind, or something that it needs is not set.
pub fn open(
    account: &CarrierAccount,
    secrets: &BTreeMap<String, String>,
    around: &Surroundings,
) -> Result<Arc<dyn Carrier>, NotDone> {
    let adapter = kind(&account.kind)
        .ok_or_else(|| NotDone::NotSetUp(format!("there is no kind of carrier \"{}\"", account.kind)))?;
    for field in adapter.fields.iter().filter(|field| field.required) {
        let values = if field.secret { secrets } else { &account.settings };
        if values.get(field.name).is_none_or(|value| value.trim().is_empty()) {
            return Err(NotDone::NotSetUp(format!("{} is not set ({})", field.name, field.what)));
        }
    }
    Ok(match adapter.kind {
        "manual" => Arc::new(Manual),
        "twilio" => twilio::numbers::open(&around.client, account, secrets),
        "telnyx" => telnyx::numbers::open(&around.client, account, secrets),
        _ => Arc::new(Sandbox { store: around.store.clone(), step_seconds: around.sandbox_seconds }),
    })
}
