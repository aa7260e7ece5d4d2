//! Numbers that come from another carrier: ported, or forwarded to a number of ours. Where our carrier takes no orders by its
//! API, people order at its console and tell here how it is getting on.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::Deserialize;
use vestibule_config::{
    carrier::{Transfer, TransferKind, TransferState},
    number::{Capabilities, Holding, HoldingEvent, NumberFacts, NumberKind, NumberRecord, SetupStep, Sms},
    store::{NumberChange, Store, StoreError},
};
use vestibule_routing::address::E164;

use super::{Numbers, NumbersError, SYSTEM, new_id};
use crate::{carrier::accounts, journal::EventKind};

/// An order that somebody makes.
#[derive(Clone, Debug)]
pub struct NewTransfer {
    /// The account that the numbers come to.
    pub carrier: String,
    /// Port or forward.
    pub kind: TransferKind,
    /// The numbers.
    pub numbers: Vec<E164>,
    /// The number of ours that calls are forwarded to.
    pub forward_to: Option<E164>,
    /// What the other carrier is told.
    pub form: BTreeMap<String, String>,
}

/// What people tell of an order.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum TransferEvent {
    /// Handed in, again after something was mended.
    Submitted,
    /// Something is to be mended.
    ActionNeeded {
        /// What.
        reasons: Vec<String>,
    },
    /// Agreed.
    Scheduled {
        /// For when.
        on: Timestamp,
    },
    /// The numbers are here.
    Completed,
    /// Called off.
    Cancelled {
        /// Why.
        reason: String,
    },
}

/// Numbers of one order.
const NUMBERS_MAX: usize = 1000;

impl Numbers {
    /// Orders, the oldest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn transfers(&self, after: Option<String>, limit: u32) -> Result<Vec<Transfer>, NumbersError> {
        self.blocking(move |store| store.records(after.as_deref(), limit)).await
    }

    /// One order.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn transfer(&self, id: &str) -> Result<Transfer, NumbersError> {
        let wanted = id.to_owned();
        let missing = StoreError::NoRecord { kind: "transfer", id: id.to_owned() };
        Ok(self.blocking(move |store| store.record(&wanted)).await?.ok_or(missing)?)
    }

    /// Orders a port or a forwarding: the numbers are on their way from now on.
    ///
    /// # Errors
    /// Something makes no sense, or a number is held already.
    pub async fn order_transfer(&self, new: NewTransfer, actor: String) -> Result<Transfer, NumbersError> {
        self.account_of(&new.carrier).await?;
        self.check_transfer(&new).await?;
        let now = Timestamp::now();
        let transfer = Transfer {
            id: new_id("tf"),
            carrier: new.carrier,
            kind: new.kind,
            numbers: new.numbers,
            forward_to: new.forward_to,
            form: new.form,
            state: TransferState::Submitted,
            order: None,
            by: actor.clone(),
            created: now,
            changed: now,
        };
        let written = transfer.clone();
        let records = self
            .blocking(move |store| {
                store.add_record(&written, &actor, |open: &[Transfer]| {
                    let taken = written
                        .numbers
                        .iter()
                        .find(|number| open.iter().any(|one| one.numbers.contains(*number)));
                    match taken {
                        Some(number) => Err(StoreError::InTheWay(format!("{number} is on its way already"))),
                        None => Ok(()),
                    }
                })?;
                let mut records = Vec::new();
                for number in &written.numbers {
                    let record = on_its_way(*number, written.kind);
                    match store.acquire_number::<Transfer>(record, None, &actor) {
                        Ok(record) => records.push(record),
                        Err(error) => {
                            take_back(store, &written.id, &records, &error, &actor)?;
                            return Err(error);
                        }
                    }
                }
                Ok(records)
            })
            .await?;
        for record in &records {
            self.tell(EventKind::NumberChanged, record).await?;
        }
        self.inner.wake.notify_one();
        Ok(transfer)
    }

    async fn check_transfer(&self, new: &NewTransfer) -> Result<(), NumbersError> {
        let bad = |says: String| Err(NumbersError::Bad(says));
        if new.numbers.is_empty() || new.numbers.len() > NUMBERS_MAX {
            return bad(format!("An order is for 1 to {NUMBERS_MAX} numbers."));
        }
        match (new.kind, new.forward_to) {
            (TransferKind::Port, Some(_)) => return bad("Only a forwarding names `forward_to`.".into()),
            (TransferKind::Forward, None) => {
                return bad("Name in `forward_to` the number of ours that calls are forwarded to.".into());
            }
            (TransferKind::Forward, Some(target)) => {
                if self.record(target).await?.holding != Holding::Owned {
                    return bad(format!("{target} is not ours: calls cannot be forwarded to it."));
                }
            }
            (TransferKind::Port, None) => {}
        }
        for (at, number) in new.numbers.iter().enumerate() {
            let number = *number;
            if new.numbers[..at].contains(&number) {
                return bad(format!("{number} stands twice in the order: name it once."));
            }
            let before = self.blocking(move |store| store.number(number)).await?;
            if before.is_some_and(|record| record.holding != Holding::Released) {
                return Err(StoreError::NumberExists(number).into());
            }
        }
        Ok(())
    }

    /// Tells how an order is getting on.
    ///
    /// # Errors
    /// It has come to its end already, or the store fails.
    pub async fn tell_transfer(
        &self,
        id: &str,
        event: TransferEvent,
        actor: String,
    ) -> Result<Transfer, NumbersError> {
        let state = match event {
            TransferEvent::Submitted => TransferState::Submitted,
            TransferEvent::ActionNeeded { reasons } => TransferState::ActionNeeded { reasons },
            TransferEvent::Scheduled { on } => TransferState::Scheduled { on },
            TransferEvent::Completed => TransferState::Completed,
            TransferEvent::Cancelled { reason } => TransferState::Cancelled { reason },
        };
        self.set_transfer(id, state, None, actor).await
    }

    async fn set_transfer(
        &self,
        id: &str,
        state: TransferState,
        order: Option<String>,
        actor: String,
    ) -> Result<Transfer, NumbersError> {
        let transfer = self.transfer(id).await?;
        if !transfer.goes_on() {
            return Err(StoreError::InTheWay(format!("{id} has come to its end")).into());
        }
        // The numbers first: an order that says it is done has them.
        let arrived = state == TransferState::Completed;
        if arrived || matches!(state, TransferState::Cancelled { .. }) {
            for number in &transfer.numbers {
                self.settle_transferred(&transfer, *number, arrived, actor.clone()).await?;
            }
        }
        let wanted = id.to_owned();
        self.blocking(move |store| {
            store.change_record::<Transfer>(&wanted, &actor, |one| {
                if one.state != state {
                    one.state = state;
                    one.changed = Timestamp::now();
                }
                one.order = order.or(one.order.take());
                Ok(())
            })
        })
        .await
    }

    /// A number arrives, or does not come.
    async fn settle_transferred(
        &self,
        transfer: &Transfer,
        number: E164,
        arrived: bool,
        actor: String,
    ) -> Result<(), NumbersError> {
        let record = self.record(number).await?;
        if !matches!(record.holding, Holding::Porting | Holding::Forwarding) {
            return Ok(());
        }
        let carrier = transfer.carrier.clone();
        let sms = record.facts.capabilities.is_none_or(|can| can.sms);
        let record = self
            .blocking(move |store| {
                if arrived {
                    store.amend_number(number, &actor, |record| {
                        record.facts.carrier = Some(carrier);
                        record.setup =
                            Some(if sms { SetupStep::Registration } else { SetupStep::ActivateVoice });
                    })?;
                    return store.change_number(number, NumberChange::Holding(HoldingEvent::Arrived), &actor);
                }
                store.change_number(number, NumberChange::Holding(HoldingEvent::Release), &actor)?;
                store.change_number(number, NumberChange::Holding(HoldingEvent::Gone), &actor)
            })
            .await?;
        self.tell(EventKind::NumberChanged, &record).await?;
        if arrived && sms {
            self.make_sms_entry_point(&record).await;
        }
        Ok(())
    }

    /// Looks after the orders that our carriers take.
    pub(super) async fn follow_transfers(&self) -> Result<(), NumbersError> {
        for transfer in self.blocking(|store| store.open_records::<Transfer>(None)).await? {
            let name = format!("transfer/{}", transfer.id);
            if !self.is_due(&name) {
                continue;
            }
            let Some(taken) = self.take(&name) else { continue };
            let numbers = self.clone();
            tokio::spawn(async move {
                let _taken = taken;
                match numbers.follow_transfer(&transfer).await {
                    Ok(wait) => numbers.put_off_for(&name, wait),
                    Err(error) => {
                        tracing::warn!(%error, transfer = transfer.id, "an order could not be looked after");
                        numbers.put_off(&name);
                    }
                }
            });
        }
        Ok(())
    }

    async fn follow_transfer(&self, transfer: &Transfer) -> Result<Duration, NumbersError> {
        let poll = Duration::from_secs(self.inner.settings.poll_seconds);
        let account = self.account_of(&transfer.carrier).await?;
        if !accounts::kind(&account.kind).is_some_and(|kind| kind.ports) {
            return Ok(poll);
        }
        let (_, carrier) = self.account(&transfer.carrier).await?;
        let progress = self.counted(carrier.transfer(transfer).await)?;
        if progress.state != transfer.state || progress.order != transfer.order {
            self.set_transfer(&transfer.id, progress.state, progress.order, SYSTEM.to_owned()).await?;
        }
        Ok(poll.min(Duration::from_secs(self.inner.settings.sandbox_seconds.max(1))))
    }
}

/// An order that one of its numbers cannot follow is none: it is cancelled, and the others are let go.
fn take_back(
    store: &Store,
    id: &str,
    taken: &[NumberRecord],
    why: &StoreError,
    actor: &str,
) -> Result<(), StoreError> {
    store.change_record::<Transfer>(id, actor, |one| {
        one.state = TransferState::Cancelled { reason: why.to_string() };
        one.changed = Timestamp::now();
        Ok(())
    })?;
    for record in taken {
        for event in [HoldingEvent::Release, HoldingEvent::Gone] {
            store.change_number(record.number, NumberChange::Holding(event), actor)?;
        }
    }
    Ok(())
}

fn on_its_way(number: E164, kind: TransferKind) -> NumberRecord {
    // Calls are forwarded; texts are not.
    let (holding, texts) = match kind {
        TransferKind::Port => (Holding::Porting, true),
        TransferKind::Forward => (Holding::Forwarding, false),
    };
    let facts = NumberFacts {
        kind: NumberKind::of(number),
        capabilities: Some(Capabilities { voice: true, sms: texts, mms: texts }),
        ..NumberFacts::default()
    };
    NumberRecord::new(number, holding, if texts { Sms::Required } else { Sms::NotCapable }, facts)
}
