//! Buying a number: once, and never lost.
//!
//! 1. The purchase is written down with a reference, before the carrier is asked.
//! 2. The carrier is asked once. What it says for sure ends the purchase.
//! 3. Anything else (time-out, reset, 5xx, 429, a crash of ours) leaves it `unknown`. Then the carrier is asked what became of
//!    it, again and again; nobody may buy the number before that is settled.
//! 4. Only when the carrier has answered, for `carriers.settle_seconds`, that it knows nothing, it was not bought. It is watched
//!    for `carriers.watch_hours` all the same: a number that turns up late is ours.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use vestibule_config::{
    carrier::{Purchase, PurchaseState},
    document::{Key, Kind},
    number::{Capabilities, Holding, NumberRecord, SetupStep, Sms},
    store::StoreError,
};

use super::{Numbers, NumbersError, SYSTEM, new_id};
use crate::{
    carrier::contract::{Bought, Carrier, Found, Held, HeldNumber, NotDone},
    journal::EventKind,
    telemetry::PurchaseResult,
};

/// A purchase that somebody asks for.
#[derive(Clone, Debug)]
pub struct Order {
    /// The review.
    pub review: String,
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// Who.
    pub actor: String,
}

impl Numbers {
    /// Buys a reviewed number, or says how far the purchase with this key is. The answer may come before it is decided.
    ///
    /// # Errors
    /// The key was used for something else, the review is gone, the number is held or being bought, or the store fails.
    pub async fn buy(&self, order: Order) -> Result<Purchase, NumbersError> {
        let key = format!("{}/{}", order.actor, order.key);
        let fingerprint = hash(&order.review);
        let known = key.clone();
        if let Some(purchase) = self.blocking(move |store| store.record_by_key::<Purchase>(&known)).await? {
            return same(purchase, &fingerprint);
        }
        let review = self.reviewed(&order.review)?;
        let now = Timestamp::now();
        let purchase = Purchase {
            id: new_id("po"),
            key: key.clone(),
            fingerprint: fingerprint.clone(),
            carrier: review.carrier,
            number: review.number,
            facts: review.facts,
            state: PurchaseState::Asking,
            by: order.actor,
            created: now,
            changed: now,
            looked: 0,
            detail: None,
            order: None,
            open: true,
        };
        // Taken before it is written, so that the task that looks after open ones leaves it to us.
        let taken = self.take(&purchase.id).ok_or(NumbersError::Fault)?;
        let written = purchase.clone();
        let added = self.blocking(move |store| add(store, &written)).await;
        match added {
            Ok(()) => {}
            Err(NumbersError::Store(StoreError::RecordExists { .. })) => {
                // Two requests with one key at a time: the other one was first.
                let first = self.blocking(move |store| store.record_by_key::<Purchase>(&key)).await?;
                return same(first.ok_or(NumbersError::Fault)?, &fingerprint);
            }
            Err(error) => return Err(error),
        }
        self.inner.metrics.undecided.inc();
        let numbers = self.clone();
        // On its own: a client that goes away stops nothing.
        let done = tokio::spawn(async move {
            let _taken = taken;
            numbers.carry_out(purchase).await
        });
        match done.await {
            Ok(result) => result,
            Err(_) => Err(NumbersError::Fault),
        }
    }

    /// How far a purchase is.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn purchase(&self, id: &str) -> Result<Purchase, NumbersError> {
        let wanted = id.to_owned();
        let missing = StoreError::NoRecord { kind: "purchase", id: id.to_owned() };
        Ok(self.blocking(move |store| store.record::<Purchase>(&wanted)).await?.ok_or(missing)?)
    }

    /// Purchases, the oldest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn purchases(&self, after: Option<String>, limit: u32) -> Result<Vec<Purchase>, NumbersError> {
        self.blocking(move |store| store.records(after.as_deref(), limit)).await
    }

    /// Asks the carrier, once.
    async fn carry_out(&self, purchase: Purchase) -> Result<Purchase, NumbersError> {
        let (_, carrier) = match self.account(&purchase.carrier).await {
            Ok(found) => found,
            // Nothing was asked of anybody.
            Err(error) => return self.refused(&purchase, error.to_string()).await,
        };
        // An earlier purchase of the number, given up already, may have come through by now.
        self.settle_earlier(&purchase).await?;
        let number = purchase.number;
        let record = self.blocking(move |store| store.number(number)).await?;
        if record.is_some_and(|record| record.may_be_taken_up(Timestamp::now()).is_err()) {
            return self
                .refused(&purchase, format!("{number} is ours: an earlier purchase came through"))
                .await;
        }
        let earlier = self.counted(carrier.find(&purchase).await);
        match earlier {
            Ok(Found::Ours(held)) => return self.complete(&purchase, held).await,
            Ok(Found::Nothing | Found::Failed(_)) => {}
            Ok(Found::Pending(order)) => return self.ordered(&purchase, order).await,
            Err(error) => return self.refused(&purchase, format!("not asked to buy: {error}")).await,
        }
        match self.counted(carrier.buy(&purchase).await) {
            Ok(Bought::Done(held)) => self.complete(&purchase, held).await,
            Ok(Bought::Ordered(order)) => self.ordered(&purchase, order).await,
            Err(error @ (NotDone::Refused { .. } | NotDone::NotSupported(_) | NotDone::NotSetUp(_))) => {
                self.refused(&purchase, error.to_string()).await
            }
            Err(error @ (NotDone::Later | NotDone::Unknown(_))) => {
                self.change(&purchase, move |one| {
                    // Unless it was settled in the meantime.
                    if one.is_undecided() {
                        one.state = PurchaseState::Unknown;
                        one.detail = Some(error.to_string());
                    }
                })
                .await
            }
        }
    }

    async fn settle_earlier(&self, purchase: &Purchase) -> Result<(), NumbersError> {
        let open = self.blocking(|store| store.open_records::<Purchase>(None)).await?;
        let earlier = open.into_iter().filter(|one| one.number == purchase.number && one.id != purchase.id);
        for one in earlier.filter(|one| one.state == PurchaseState::NotBought) {
            if let Some(_taken) = self.take(&one.id) {
                self.settle(&one.id).await?;
            }
        }
        Ok(())
    }

    /// Looks at every purchase that something is to be done about.
    pub(super) async fn settle_purchases(&self) -> Result<(), NumbersError> {
        let open = self.blocking(|store| store.open_records::<Purchase>(None)).await?;
        let undecided = open.iter().filter(|one| one.is_undecided()).count();
        self.inner.metrics.undecided.set(i64::try_from(undecided).unwrap_or(i64::MAX));
        for purchase in open {
            if !self.is_due(&purchase.id) {
                continue;
            }
            let Some(taken) = self.take(&purchase.id) else { continue };
            let numbers = self.clone();
            // Each on its own: a carrier that is slow holds up nobody else's purchase.
            tokio::spawn(async move {
                let _taken = taken;
                if let Err(error) = numbers.settle(&purchase.id).await {
                    tracing::warn!(%error, purchase = purchase.id, "a purchase could not be settled");
                    numbers.put_off(&purchase.id);
                }
            });
        }
        Ok(())
    }

    async fn settle(&self, id: &str) -> Result<(), NumbersError> {
        // Read again: it may have come to its end since the list was made.
        let purchase = self.purchase(id).await?;
        if !purchase.open {
            return Ok(());
        }
        let (_, carrier) = self.account(&purchase.carrier).await?;
        if purchase.state == PurchaseState::Bought {
            return self.point(&purchase, &*carrier).await;
        }
        match self.counted(carrier.find(&purchase).await) {
            Ok(Found::Ours(held)) => {
                if purchase.state == PurchaseState::NotBought {
                    self.inner.metrics.purchases.of(PurchaseResult::Late).inc();
                }
                self.complete(&purchase, held).await?;
            }
            Ok(Found::Pending(order)) => {
                self.ordered(&purchase, order).await?;
            }
            Ok(Found::Failed(says)) => {
                self.refused(&purchase, says).await?;
            }
            Ok(Found::Nothing) => self.not_found(&purchase).await?,
            Err(error) => {
                self.change(&purchase, move |one| one.detail = Some(error.to_string())).await?;
                self.put_off(id);
            }
        }
        Ok(())
    }

    /// The carrier says that it knows nothing of a purchase.
    async fn not_found(&self, purchase: &Purchase) -> Result<(), NumbersError> {
        let settings = &self.inner.settings;
        let age = Timestamp::now().duration_since(purchase.created);
        let seconds = |seconds: u64| SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        if purchase.state == PurchaseState::NotBought {
            if age > seconds(settings.watch_hours.saturating_mul(3600)) {
                self.change(purchase, move |one| one.open = false).await?;
            }
            self.put_off_for(&purchase.id, self.watch_every());
            return Ok(());
        }
        // An answer that came in time for the carrier to have settled it, and not the first one.
        let settled = age > seconds(settings.settle_seconds) && purchase.looked > 0;
        self.change(purchase, move |one| {
            one.looked = one.looked.saturating_add(1);
            one.state = if settled { PurchaseState::NotBought } else { PurchaseState::Unknown };
            if settled {
                one.detail = Some(
                    "The carrier knows nothing of it. Nothing was bought; buy it again if you like.".into(),
                );
            }
        })
        .await?;
        if settled {
            self.inner.metrics.purchases.of(PurchaseResult::NotBought).inc();
            self.put_off_for(&purchase.id, self.watch_every());
        } else {
            self.put_off(&purchase.id);
        }
        Ok(())
    }

    /// How often a purchase that was not made is looked for.
    fn watch_every(&self) -> Duration {
        Duration::from_secs(self.inner.settings.settle_seconds.saturating_mul(2).min(600))
    }

    async fn ordered(&self, purchase: &Purchase, order: String) -> Result<Purchase, NumbersError> {
        self.put_off(&purchase.id);
        self.change(purchase, move |one| {
            one.state = PurchaseState::Ordered;
            one.order = Some(order);
        })
        .await
    }

    async fn refused(&self, purchase: &Purchase, says: String) -> Result<Purchase, NumbersError> {
        self.inner.metrics.purchases.of(PurchaseResult::Refused).inc();
        self.change(purchase, move |one| {
            one.state = PurchaseState::Refused;
            one.detail = Some(says);
            one.open = false;
        })
        .await
    }

    /// The number is ours: the purchase and the number's record are written together.
    async fn complete(&self, purchase: &Purchase, held: Held) -> Result<Purchase, NumbersError> {
        let mut facts = purchase.facts.clone();
        facts.carrier = Some(purchase.carrier.clone());
        facts.carrier_ref = Some(held.reference);
        if let (Some(sms), Some(can)) = (held.sms, &mut facts.capabilities) {
            *can = Capabilities { sms, mms: can.mms && sms, ..*can };
        }
        let sms = facts.capabilities.is_none_or(|can| can.sms);
        let state = if sms { Sms::Required } else { Sms::NotCapable };
        let mut record = NumberRecord::new(purchase.number, Holding::Owned, state, facts);
        record.setup = Some(if sms { SetupStep::Registration } else { SetupStep::ActivateVoice });
        let mut done = purchase.clone();
        done.state = PurchaseState::Bought;
        done.changed = Timestamp::now();
        done.detail = None;
        let (written, actor) = (done.clone(), purchase.by.clone());
        let taken_up = self.blocking(move |store| store.acquire_number(record, Some(&written), &actor)).await;
        let record = match taken_up {
            Ok(record) => record,
            Err(NumbersError::Store(StoreError::NumberExists(number))) => {
                return self
                    .refused(purchase, format!("{number} is held already, by another purchase or by hand"))
                    .await;
            }
            Err(error) => return Err(error),
        };
        self.inner.metrics.purchases.of(PurchaseResult::Bought).inc();
        self.is_done(&purchase.id);
        self.tell(EventKind::NumberChanged, &record).await?;
        if sms {
            self.make_sms_entry_point(&record).await;
            if let Err(error) = self.join_approved(&record).await {
                tracing::warn!(%error, "a number did not join the campaign of its account by itself");
            }
        }
        self.inner.wake.notify_one();
        Ok(done)
    }

    /// A number with texts has an entry point of its own at once. That it is bought does not hang on it.
    pub(super) async fn make_sms_entry_point(&self, record: &NumberRecord) {
        let key = Key::new(Kind::EntryPoints, format!("sms/{}", record.number));
        let note = format!("{} takes texts", record.number);
        let made = self
            .blocking(move |store| {
                if store.draft_object(&key)?.1.is_some() {
                    return Ok(());
                }
                store.publish_changes_at_once([(key, Some(json!({})))].into(), SYSTEM, &note).map(|_| ())
            })
            .await;
        if let Err(error) = made {
            tracing::warn!(%error, "a number's entry point for texts was not written; the default inbox takes them");
        }
    }

    /// Tells the carrier where calls and texts go, until it has taken that.
    async fn point(&self, purchase: &Purchase, carrier: &dyn Carrier) -> Result<(), NumbersError> {
        let number = purchase.number;
        let record = self.blocking(move |store| store.number(number)).await?;
        let Some(record) = record else {
            return self.change(purchase, move |one| one.open = false).await.map(|_| ());
        };
        let reference = record.facts.carrier_ref.clone().unwrap_or_default();
        let sms = record.facts.capabilities.is_none_or(|can| can.sms);
        match self.counted(carrier.point(HeldNumber { number, reference: &reference, sms }).await) {
            Ok(()) => {
                self.change(purchase, move |one| {
                    one.open = false;
                    one.detail = None;
                })
                .await?;
                self.is_done(&purchase.id);
            }
            Err(error) => {
                self.change(purchase, move |one| {
                    one.detail = Some(format!("calls do not come yet: {error}"))
                })
                .await?;
                self.put_off(&purchase.id);
            }
        }
        Ok(())
    }

    async fn change(
        &self,
        purchase: &Purchase,
        change: impl FnOnce(&mut Purchase) + Send + 'static,
    ) -> Result<Purchase, NumbersError> {
        let id = purchase.id.clone();
        self.blocking(move |store| {
            store.change_record::<Purchase>(&id, SYSTEM, |one| {
                let before = one.clone();
                change(one);
                // What is ours stays ours, whoever comes late with another word.
                if before.state == PurchaseState::Bought {
                    one.state = before.state;
                }
                if *one != before {
                    one.changed = Timestamp::now();
                }
                Ok(())
            })
        })
        .await
    }
}

/// Writes a purchase down, unless the number is held or being bought.
fn add(store: &vestibule_config::store::Store, purchase: &Purchase) -> Result<(), StoreError> {
    if let Some(record) = store.number(purchase.number)? {
        record.may_be_taken_up(Timestamp::now()).map_err(|_| StoreError::NumberExists(purchase.number))?;
    }
    store.add_record(purchase, &purchase.by, |open: &[Purchase]| {
        let other = open.iter().find(|other| other.number == purchase.number && other.is_undecided());
        match other {
            Some(other) => Err(StoreError::InTheWay(format!(
                "the purchase {} of this number is not settled yet",
                other.id
            ))),
            None => Ok(()),
        }
    })
}

/// The purchase that a key stands for, when it is the one asked for.
fn same(purchase: Purchase, fingerprint: &str) -> Result<Purchase, NumbersError> {
    if purchase.fingerprint == fingerprint { Ok(purchase) } else { Err(NumbersError::KeyReused) }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
