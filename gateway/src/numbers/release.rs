//! Giving a number back: what callers will notice is said beforehand, routing goes first, then the carrier takes it.

use serde::Serialize;
use serde_json::Value;
use vestibule_config::{
    carrier::Purchase,
    document::{Key, Kind},
    number::{Holding, HoldingEvent, NumberRecord},
    store::{NumberChange, StoreError},
};
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
};

use super::{Numbers, NumbersError, SYSTEM};
use crate::{
    carrier::{
        accounts,
        contract::{Carrier, Found, HeldNumber},
    },
    journal::{ContactFilter, ContactState, EventKind},
};

/// What callers will notice when a number is given back.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub struct Notice {
    /// Its entry points, which go with it.
    pub entry_points: Vec<String>,
    /// Those of them that have an inbox or a time of their own.
    pub exceptions: Vec<String>,
    /// IVRs that it is linked to; they stay.
    pub ivrs: Vec<String>,
    /// Routing tests that call it, and fail without it.
    pub tests: Vec<String>,
    /// Calls that go on.
    pub live_calls: usize,
    /// Unpublished edits of it, which go too.
    pub drafted: Vec<String>,
    /// What callers and writers will notice, in words.
    pub says: Vec<String>,
    /// Days after which it can be bought again, if it is still there.
    pub cool_down_days: i64,
}

impl Numbers {
    /// What giving a number back would mean.
    ///
    /// # Errors
    /// There is no such number, or something cannot be read.
    pub async fn release_notice(&self, number: E164) -> Result<Notice, NumbersError> {
        let record = self.record(number).await?;
        let live_calls = self.live_calls(number).await?;
        let touched = self.touched(number).await?;
        let active = self.inner.store.active().load();
        let voice = active.plan.numbers.get(&number);
        let ivrs = voice.iter().flat_map(|voice| [&voice.initial_ivr, &voice.queue_ivr]).flatten();
        let exceptions = [Channel::Voice, Channel::Sms].into_iter().filter_map(|channel| {
            let entry = active.plan.entry_points.get(&(channel, Address::Number(number)))?;
            let own = entry.inbox.is_some() || entry.sla_minutes.is_some();
            own.then(|| format!("{}/{number}", name(channel)))
        });
        let mut notice = Notice {
            entry_points: touched
                .published
                .iter()
                .filter(|key| key.kind == Kind::EntryPoints)
                .map(|key| key.id.clone())
                .collect(),
            exceptions: exceptions.collect(),
            ivrs: ivrs.map(ToString::to_string).collect(),
            tests: touched
                .published
                .iter()
                .filter(|key| key.kind == Kind::Tests)
                .map(|key| key.id.clone())
                .collect(),
            live_calls,
            drafted: touched.drafted.iter().map(ToString::to_string).collect(),
            says: Vec::new(),
            cool_down_days: vestibule_config::number::COOL_DOWN_DAYS,
        };
        if voice.is_some() && !notice.entry_points.iter().any(|one| one.starts_with("voice/")) {
            notice.entry_points.insert(0, format!("voice/{number}"));
        }
        notice.says = words(&record, voice.is_some_and(|voice| voice.active), live_calls);
        Ok(notice)
    }

    /// Gives a number back. Calls that go on are not cut off by us; new ones are refused at once.
    ///
    /// # Errors
    /// Calls go on and it is not forced, the state does not allow it, or routing cannot do without it.
    pub async fn release(
        &self,
        number: E164,
        force: bool,
        actor: String,
    ) -> Result<NumberRecord, NumbersError> {
        let record = self.record(number).await?;
        record.holding.after(HoldingEvent::Release, 0).map_err(StoreError::NotPossible)?;
        let live = self.live_calls(number).await?;
        if live > 0 && !force {
            return Err(NumbersError::CallsLive(live));
        }
        let touched = self.touched(number).await?;
        if let Some(test) = touched.published.iter().find(|key| key.kind == Kind::Tests) {
            let says = format!("the routing test \"{}\" calls {number}; change or remove it first", test.id);
            return Err(StoreError::InTheWay(says).into());
        }
        let gone = touched.published.into_iter().filter(|key| key.kind != Kind::Tests);
        let changes: std::collections::BTreeMap<Key, Option<Value>> = gone.map(|key| (key, None)).collect();
        let drafted = touched.drafted;
        let record = self
            .blocking(move |store| {
                if !changes.is_empty() {
                    store.publish_changes_at_once(changes, &actor, &format!("{number} is given back"))?;
                }
                for key in &drafted {
                    store.forget_edit(key)?;
                }
                store.change_number(number, NumberChange::Holding(HoldingEvent::Release), &actor)
            })
            .await?;
        self.tell(EventKind::NumberChanged, &record).await?;
        self.inner.wake.notify_one();
        Ok(record)
    }

    /// Has the carriers take back what is given back.
    pub(super) async fn finish_releases(&self) -> Result<(), NumbersError> {
        let releasing = self.blocking(|store| store.numbers_releasing(RELEASES_MAX)).await?;
        for record in releasing {
            let name = format!("release/{}", record.number);
            if !self.is_due(&name) {
                continue;
            }
            let Some(taken) = self.take(&name) else { continue };
            let numbers = self.clone();
            tokio::spawn(async move {
                let _taken = taken;
                match numbers.finish_release(&record).await {
                    Ok(()) => numbers.is_done(&name),
                    Err(error) => {
                        tracing::warn!(%error, "a number could not be given back yet");
                        numbers.put_off(&name);
                    }
                }
            });
        }
        Ok(())
    }

    async fn finish_release(&self, record: &NumberRecord) -> Result<(), NumbersError> {
        let number = record.number;
        // Kept after all in the meantime: then nothing is given back.
        if self.record(number).await?.holding != Holding::Releasing {
            return Ok(());
        }
        if self.inner.store.active().load().plan.numbers.contains_key(&number) {
            let says = format!("{number} is routed still; remove it from routing and publish");
            return Err(StoreError::InTheWay(says).into());
        }
        if let Some(account) = &record.facts.carrier {
            let (_, carrier) = self.account(account).await?;
            // None: the carrier does not have it any more.
            if let Some(reference) = self.reference(record, &*carrier).await? {
                let held = HeldNumber { number, reference: &reference, sms: false };
                self.counted(carrier.release(held).await)?;
            }
        }
        let change = NumberChange::Holding(HoldingEvent::Gone);
        let record = self.blocking(move |store| store.change_number(number, change, SYSTEM)).await?;
        self.tell(EventKind::NumberChanged, &record).await?;
        Ok(())
    }

    /// The carrier's id of a number that it holds; asked for where we were never told. None when it holds no such number.
    pub(super) async fn reference(
        &self,
        record: &NumberRecord,
        carrier: &dyn Carrier,
    ) -> Result<Option<String>, NumbersError> {
        if let Some(reference) = &record.facts.carrier_ref {
            return Ok(Some(reference.clone()));
        }
        let account = record.facts.carrier.clone().unwrap_or_default();
        if !self
            .account_of(&account)
            .await
            .is_ok_and(|one| accounts::kind(&one.kind).is_some_and(|kind| kind.sells))
        {
            return Ok(Some(String::new()));
        }
        let asked = Purchase::nameless(record.number, account, record.facts.clone());
        Ok(match self.counted(carrier.find(&asked).await)? {
            Found::Ours(held) => Some(held.reference),
            Found::Pending(reference) => Some(reference),
            Found::Failed(_) | Found::Nothing => None,
        })
    }

    /// The record of a number.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn record(&self, number: E164) -> Result<NumberRecord, NumbersError> {
        let record = self.blocking(move |store| store.number(number)).await?;
        Ok(record.ok_or(StoreError::NoNumber(number))?)
    }

    async fn live_calls(&self, number: E164) -> Result<usize, NumbersError> {
        let filter = ContactFilter {
            state: Some(ContactState::Live),
            channel: Some("voice".into()),
            to: Some(number.to_string()),
            ..ContactFilter::default()
        };
        let (calls, _) = self.inner.journal.reader().contacts(filter, CALLS_SHOWN_MAX).await?;
        Ok(calls.len())
    }

    /// Objects that are about a number, published and drafted.
    async fn touched(&self, number: E164) -> Result<Touched, NumbersError> {
        self.blocking(move |store| {
            let keys = [
                Key::new(Kind::Numbers, number.to_string()),
                Key::new(Kind::EntryPoints, format!("voice/{number}")),
                Key::new(Kind::EntryPoints, format!("sms/{number}")),
            ];
            let mut touched = Touched::default();
            let draft = store.draft()?;
            for key in keys {
                if store.published_object(&key)?.is_some() {
                    touched.published.push(key.clone());
                }
                if draft.changes.contains_key(&key) {
                    touched.drafted.push(key);
                }
            }
            for (key, body) in store.published_of(Kind::Tests)? {
                if body.get("to").and_then(Value::as_str) == Some(&number.to_string()) {
                    touched.published.push(key);
                }
            }
            Ok(touched)
        })
        .await
    }
}

#[derive(Debug, Default)]
struct Touched {
    published: Vec<Key>,
    drafted: Vec<Key>,
}

fn name(channel: Channel) -> &'static str {
    if channel == Channel::Sms { "sms" } else { "voice" }
}

fn words(record: &NumberRecord, voice: bool, live_calls: usize) -> Vec<String> {
    let mut says = Vec::new();
    if voice {
        says.push("Who calls is refused at once, and hears that the number does not exist once the carrier has it back.".to_owned());
    }
    if record.facts.capabilities.is_none_or(|can| can.sms) {
        says.push(
            "Texts to it come no more, and none can be sent from it: running conversations end.".to_owned(),
        );
    }
    if live_calls > 0 {
        says.push(format!("{live_calls} call(s) go on; the carrier may cut them off."));
    }
    if record.facts.carrier.is_none() {
        says.push("It is not held by an account of ours: give it back at your carrier too.".to_owned());
    }
    says.push(format!(
        "It cannot be bought again for {} days, and somebody else may have it by then.",
        vestibule_config::number::COOL_DOWN_DAYS
    ));
    says
}

/// Releases looked after in one go.
const RELEASES_MAX: u32 = 200;
/// Live calls counted.
const CALLS_SHOWN_MAX: usize = 1000;
