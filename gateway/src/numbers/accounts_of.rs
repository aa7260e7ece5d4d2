//! Accounts at carriers: added, tested, changed, removed. Their secrets are sealed as they come in, and never shown again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use vestibule_config::{
    carrier::{CarrierAccount, Purchase, Record as _},
    store::{Store, StoreError},
};

use super::{Numbers, NumbersError};
use crate::{carrier::accounts, vault::Vault};

/// What an account is to be.
#[derive(Clone, Debug, Default)]
pub struct NewAccount {
    /// What people call it.
    pub name: String,
    /// Which carrier.
    pub kind: String,
    /// What the adapter has to know.
    pub settings: BTreeMap<String, String>,
    /// Secrets; those that are left out stay as they are.
    pub secrets: BTreeMap<String, String>,
}

impl Numbers {
    /// All accounts.
    ///
    /// # Errors
    /// The store fails.
    pub async fn accounts(&self) -> Result<Vec<CarrierAccount>, NumbersError> {
        self.blocking(|store| store.records(None, ACCOUNTS_MAX)).await
    }

    /// One account.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn account_of(&self, id: &str) -> Result<CarrierAccount, NumbersError> {
        let wanted = id.to_owned();
        let found = self.blocking(move |store| store.record(&wanted)).await?;
        found.ok_or_else(|| NumbersError::NoCarrier(id.to_owned()))
    }

    /// Adds or changes an account.
    ///
    /// # Errors
    /// Something of it makes no sense or is missing, its kind would change, or the store fails.
    pub async fn put_account(
        &self,
        id: String,
        wanted: NewAccount,
        actor: String,
    ) -> Result<CarrierAccount, NumbersError> {
        check(&id, &wanted)?;
        let (vault, around) = (self.inner.vault.clone(), self.inner.around.clone());
        let outcome = self
            .blocking(move |store| {
                let before: Option<CarrierAccount> = store.record(&id)?;
                if before.is_none() && store.records::<CarrierAccount>(None, ACCOUNTS_MAX)?.len() >= ACCOUNTS
                {
                    let says = format!("there are {ACCOUNTS} accounts already; remove one that is not used");
                    return Ok(Err(NumbersError::Bad(says)));
                }
                if let Some(before) = before.as_ref().filter(|before| before.kind != wanted.kind) {
                    let says = format!("{id} is of the kind {}; add another account instead", before.kind);
                    return Ok(Err(NumbersError::Bad(says)));
                }
                let mut secrets = match &before {
                    // What cannot be opened any more is replaced by what comes in.
                    Some(before) => open_secrets(store, &vault, before).unwrap_or_default(),
                    None => BTreeMap::new(),
                };
                secrets.extend(wanted.secrets);
                secrets.retain(|_, secret| !secret.is_empty());
                let account = CarrierAccount {
                    id,
                    kind: wanted.kind,
                    name: wanted.name,
                    settings: wanted.settings,
                    secrets: secrets.keys().cloned().collect(),
                    changed: Timestamp::now(),
                };
                if let Err(lacks) = accounts::open(&account, &secrets, &around) {
                    return Ok(Err(NumbersError::Carrier(lacks)));
                }
                let text = serde_json::to_vec(&secrets).unwrap_or_default();
                let sealed = vault.seal(&sealed_name(&account.id), &text);
                store.put_sealed(&account, Some(&sealed), &actor)?;
                Ok(Ok(account))
            })
            .await?;
        self.inner.wake.notify_one();
        outcome
    }

    /// Removes an account that nothing hangs on.
    ///
    /// # Errors
    /// There is none, a number is held by it or a purchase is open, or the store fails.
    pub async fn remove_account(&self, id: String, actor: String) -> Result<(), NumbersError> {
        self.blocking(move |store| {
            if let Some(number) = store.number_held_at(&id)? {
                let says = format!("{number} is held by this account; release it first");
                return Err(StoreError::InTheWay(says));
            }
            let open = store.open_records::<Purchase>(None)?;
            if open.iter().any(|purchase| purchase.carrier == id) {
                let says = "a purchase by this account has not come to its end".to_owned();
                return Err(StoreError::InTheWay(says));
            }
            store.remove_record::<CarrierAccount>(&id, &actor)
        })
        .await
    }

    /// Asks the carrier whether an account works.
    ///
    /// # Errors
    /// It does not.
    pub async fn check_account(&self, id: &str) -> Result<String, NumbersError> {
        let (_, carrier) = self.account(id).await?;
        Ok(self.counted(carrier.test().await)?)
    }

    /// Makes a new master key and seals all secrets with it; how many.
    ///
    /// # Errors
    /// The file or the store fails, or something cannot be opened.
    pub async fn rotate_key(&self, actor: String) -> Result<usize, NumbersError> {
        let (vault, store) = (self.inner.vault.clone(), self.inner.store.clone());
        let rotated =
            crate::blocking::blocking(crate::acting::carried(move || vault.rotate(&store, &actor))).await;
        match rotated {
            Ok(Ok(count)) => Ok(count),
            Ok(Err(crate::vault::RotateError::Store(error))) => Err(error.into()),
            Ok(Err(error)) => {
                tracing::error!(%error, "the master key was not changed");
                Err(NumbersError::Bad(format!("The master key was not changed: {error}.")))
            }
            Err(_) => Err(NumbersError::Fault),
        }
    }
}

/// The secrets of an account.
pub(super) fn open_secrets(
    store: &Store,
    vault: &Vault,
    account: &CarrierAccount,
) -> Result<BTreeMap<String, String>, StoreError> {
    let Some(sealed) = store.sealed::<CarrierAccount>(&account.id)? else { return Ok(BTreeMap::new()) };
    let name = sealed_name(&account.id);
    let opened = vault.open_sealed(&name, &sealed).ok_or(StoreError::Sealed(name))?;
    Ok(serde_json::from_slice(&opened).unwrap_or_default())
}

/// The name that the store keeps sealed secrets under.
fn sealed_name(id: &str) -> String {
    format!("{}/{id}", CarrierAccount::KIND)
}

fn check(id: &str, wanted: &NewAccount) -> Result<(), NumbersError> {
    let bad = |says: String| Err(NumbersError::Bad(says));
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if id.is_empty() || id.len() > 40 || !id.chars().all(letters) {
        return bad("An account's id has 1 to 40 small letters, digits, - and _.".into());
    }
    let Some(kind) = accounts::kind(&wanted.kind) else {
        let names: Vec<&str> = accounts::KINDS.iter().map(|kind| kind.kind).collect();
        return bad(format!("There is no kind \"{}\"; there are {}.", wanted.kind, names.join(", ")));
    };
    if wanted.name.trim().is_empty() || wanted.name.chars().count() > 100 {
        return bad("An account's name has 1 to 100 characters.".into());
    }
    for (values, secret) in [(&wanted.settings, false), (&wanted.secrets, true)] {
        for (name, value) in values {
            if !kind.fields.iter().any(|field| field.name == name && field.secret == secret) {
                let place = if secret { "secrets" } else { "settings" };
                return bad(format!("The kind {} knows no {name} among its {place}.", kind.kind));
            }
            if value.len() > VALUE_MAX {
                return bad(format!("{name} is longer than {VALUE_MAX} bytes."));
            }
        }
    }
    Ok(())
}

/// Accounts there may be; one more is read to see that there are too many.
const ACCOUNTS: usize = 100;
const ACCOUNTS_MAX: u32 = 101;
/// Longest value of a setting or secret, bytes.
const VALUE_MAX: usize = 1000;
