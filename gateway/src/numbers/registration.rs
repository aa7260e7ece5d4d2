//! Registrations for SMS: handed in step by step, followed until they are decided, and passed on to the numbers they are for.
//!
//! A step is asked of the carrier only after what the step before taught is written down. Voice does not depend on any of it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use vestibule_config::{
    carrier::{Attachment, Registration, RegistrationKind, RegistrationState},
    number::{Holding, NumberKind, NumberRecord, Sms, SmsEvent},
    store::{NumberChange, StoreError},
};
use vestibule_routing::address::E164;

use super::{Numbers, NumbersError, SYSTEM, new_id};
use crate::{
    carrier::{
        accounts,
        contract::{Carrier, Progress},
        forms,
    },
    journal::EventKind,
};

/// A registration that somebody hands in.
#[derive(Clone, Debug)]
pub struct NewRegistration {
    /// The account.
    pub carrier: String,
    /// What it is about.
    pub kind: RegistrationKind,
    /// What was filled in.
    pub form: BTreeMap<String, String>,
    /// The numbers that it is for.
    pub numbers: Vec<E164>,
}

/// Steps taken in one go.
const STEPS_MAX: usize = 50;
/// Numbers of one registration.
const NUMBERS_MAX: usize = 400;

impl Numbers {
    /// Registrations, the oldest first.
    ///
    /// # Errors
    /// The store fails.
    pub async fn registrations(
        &self,
        after: Option<String>,
        limit: u32,
    ) -> Result<Vec<Registration>, NumbersError> {
        self.blocking(move |store| store.records(after.as_deref(), limit)).await
    }

    /// One registration.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub async fn registration(&self, id: &str) -> Result<Registration, NumbersError> {
        let wanted = id.to_owned();
        let missing = StoreError::NoRecord { kind: "registration", id: id.to_owned() };
        Ok(self.blocking(move |store| store.record(&wanted)).await?.ok_or(missing)?)
    }

    /// Hands a registration in.
    ///
    /// # Errors
    /// The form lacks something, the account does not register, or a number cannot be registered.
    pub async fn register(&self, new: NewRegistration, actor: String) -> Result<Registration, NumbersError> {
        let account = self.account_of(&new.carrier).await?;
        if !accounts::kind(&account.kind).is_some_and(|kind| kind.registers) {
            let says =
                "Register at your carrier, and tell what came of it by the number's registration events.";
            return Err(crate::carrier::contract::NotDone::NotSupported(says).into());
        }
        check_form(new.kind, &new.form)?;
        if new.numbers.is_empty() || new.numbers.len() > NUMBERS_MAX {
            return Err(NumbersError::Bad(format!("A registration is for 1 to {NUMBERS_MAX} numbers.")));
        }
        if new.kind == RegistrationKind::TollFree && new.numbers.len() > 1 {
            return Err(NumbersError::Bad("Toll-free numbers are verified one by one.".into()));
        }
        for number in &new.numbers {
            may_join(&self.record(*number).await?, &new.carrier, new.kind)?;
        }
        let now = Timestamp::now();
        let registration = Registration {
            id: new_id("rg"),
            carrier: new.carrier,
            kind: new.kind,
            form: new.form,
            numbers: new.numbers.into_iter().map(|number| (number, Attachment::Waiting)).collect(),
            state: RegistrationState::Submitted,
            known: BTreeMap::new(),
            corrected: false,
            by: actor.clone(),
            created: now,
            changed: now,
            detail: None,
        };
        let written = registration.clone();
        self.blocking(move |store| {
            store.add_record(&written, &actor, |open: &[Registration]| {
                let taken = written
                    .numbers
                    .keys()
                    .find(|number| open.iter().any(|one| one.numbers.contains_key(*number)));
                match taken {
                    Some(number) => {
                        Err(StoreError::InTheWay(format!("{number} belongs to a registration already")))
                    }
                    None => Ok(()),
                }
            })
        })
        .await?;
        self.pass_on(&registration).await?;
        self.inner.wake.notify_one();
        Ok(registration)
    }

    /// Hands in a corrected form.
    ///
    /// # Errors
    /// It is not asked for, comes too late, or lacks something.
    pub async fn correct(
        &self,
        id: &str,
        form: BTreeMap<String, String>,
        actor: String,
    ) -> Result<Registration, NumbersError> {
        check_form(self.registration(id).await?.kind, &form)?;
        let wanted = id.to_owned();
        let registration = self
            .blocking(move |store| {
                store.change_record::<Registration>(&wanted, &actor, |one| {
                    let now = Timestamp::now();
                    if !one.is_editable(now) {
                        let says =
                            "the form cannot be corrected now: nothing is asked for, or its time is over";
                        return Err(StoreError::InTheWay(says.to_owned()));
                    }
                    one.form = form;
                    one.corrected = true;
                    one.state = RegistrationState::Submitted;
                    one.changed = now;
                    one.detail = None;
                    Ok(())
                })
            })
            .await?;
        self.is_done(&name_of(id));
        self.pass_on(&registration).await?;
        self.inner.wake.notify_one();
        Ok(registration)
    }

    /// Has a local number join a campaign, without a new form.
    ///
    /// # Errors
    /// It cannot, or belongs to one already.
    pub async fn join(&self, id: &str, number: E164, actor: String) -> Result<Registration, NumbersError> {
        let registration = self.registration(id).await?;
        if registration.kind == RegistrationKind::TollFree {
            return Err(NumbersError::Bad("Toll-free numbers are verified one by one.".into()));
        }
        may_join(&self.record(number).await?, &registration.carrier, registration.kind)?;
        let wanted = id.to_owned();
        let registration = self
            .blocking(move |store| {
                let open = store.open_records::<Registration>(None)?;
                if open.iter().any(|one| one.id != wanted && one.numbers.contains_key(&number)) {
                    return Err(StoreError::InTheWay(format!("{number} belongs to a registration already")));
                }
                store.change_record::<Registration>(&wanted, &actor, |one| {
                    if one.numbers.len() >= NUMBERS_MAX {
                        return Err(StoreError::InTheWay(
                            "the campaign has as many numbers as it may".into(),
                        ));
                    }
                    let entry = one.numbers.entry(number).or_insert(Attachment::Waiting);
                    if *entry == Attachment::Refused {
                        *entry = Attachment::Waiting;
                    }
                    one.changed = Timestamp::now();
                    Ok(())
                })
            })
            .await?;
        self.is_done(&name_of(id));
        self.pass_on(&registration).await?;
        self.inner.wake.notify_one();
        Ok(registration)
    }

    /// A local number with texts that was just bought joins the approved campaign of its account, where there is one.
    pub(super) async fn join_approved(&self, record: &NumberRecord) -> Result<(), NumbersError> {
        let Some(carrier) = record.facts.carrier.clone() else { return Ok(()) };
        if NumberKind::of(record.number) != Some(NumberKind::Local) || record.sms != Sms::Required {
            return Ok(());
        }
        let open = self.blocking(|store| store.open_records::<Registration>(None)).await?;
        let approved = open.into_iter().find(|one| {
            one.carrier == carrier
                && one.kind == RegistrationKind::TenDlc
                && one.state == RegistrationState::Approved
                && one.numbers.len() < NUMBERS_MAX
        });
        match approved {
            Some(one) => self.join(&one.id, record.number, SYSTEM.to_owned()).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Looks after every registration that is not decided for good.
    pub(super) async fn follow_registrations(&self) -> Result<(), NumbersError> {
        for registration in self.blocking(|store| store.open_records::<Registration>(None)).await? {
            let name = name_of(&registration.id);
            if !self.is_due(&name) {
                continue;
            }
            let Some(taken) = self.take(&name) else { continue };
            let numbers = self.clone();
            tokio::spawn(async move {
                let _taken = taken;
                match numbers.advance(&registration.id).await {
                    Ok(wait) => numbers.put_off_for(&name, wait),
                    Err(error) => {
                        numbers.note_trouble(&registration.id, &error).await;
                        numbers.put_off(&name);
                    }
                }
            });
        }
        Ok(())
    }

    /// Takes the steps that can be taken now; how long until the next look.
    async fn advance(&self, id: &str) -> Result<Duration, NumbersError> {
        let mut registration = self.registration(id).await?;
        let (account, carrier) = self.account(&registration.carrier).await?;
        for _ in 0..STEPS_MAX {
            let references = self.references(&registration, &*carrier).await?;
            let progress = self.counted(carrier.register(&registration, &references).await)?;
            let more = progress.more;
            registration = self.learn(id, progress).await?;
            self.pass_on(&registration).await?;
            if !more {
                break;
            }
        }
        let settings = &self.inner.settings;
        let sandbox = account.kind == "sandbox";
        let seconds = if sandbox { settings.sandbox_seconds.max(1) } else { settings.poll_seconds };
        Ok(Duration::from_secs(seconds.min(settings.poll_seconds)))
    }

    async fn references(
        &self,
        registration: &Registration,
        carrier: &dyn Carrier,
    ) -> Result<BTreeMap<E164, String>, NumbersError> {
        let mut all = BTreeMap::new();
        for number in registration.numbers.keys() {
            let number = *number;
            let Some(record) = self.blocking(move |store| store.number(number)).await? else { continue };
            all.extend(self.reference(&record, carrier).await?.map(|reference| (number, reference)));
        }
        Ok(all)
    }

    async fn learn(&self, id: &str, progress: Progress) -> Result<Registration, NumbersError> {
        let wanted = id.to_owned();
        self.blocking(move |store| {
            store.change_record::<Registration>(&wanted, SYSTEM, |one| {
                let before = one.clone();
                for (name, value) in progress.known {
                    one.known.insert(name.to_owned(), value);
                }
                for (number, attachment) in progress.numbers {
                    one.numbers.insert(number, attachment);
                }
                // A correction that came in meanwhile is still to be handed in.
                one.corrected &= !progress.corrected;
                if let Some(state) = progress.state {
                    one.state = overdue(state, Timestamp::now());
                }
                one.detail = None;
                if *one != before {
                    one.changed = Timestamp::now();
                }
                Ok(())
            })
        })
        .await
    }

    async fn note_trouble(&self, id: &str, error: &NumbersError) {
        let (wanted, says) = (id.to_owned(), error.to_string());
        let noted = self
            .blocking(move |store| {
                store.change_record::<Registration>(&wanted, SYSTEM, |one| {
                    one.detail = Some(says);
                    Ok(())
                })
            })
            .await;
        if let Err(error) = noted {
            tracing::warn!(%error, registration = id, "a registration could not be looked after");
        }
    }

    /// Has the numbers of a registration be as it says.
    async fn pass_on(&self, registration: &Registration) -> Result<(), NumbersError> {
        for (number, attachment) in &registration.numbers {
            let number = *number;
            let Some(record) = self.blocking(move |store| store.number(number)).await? else { continue };
            let mut sms = record.sms.clone();
            let mut events = Vec::new();
            for event in towards(&record.sms, &registration.state, *attachment) {
                // What cannot happen in this state has happened already, or is not for us to decide.
                if let Ok(next) = sms.after(event.clone(), Timestamp::now()) {
                    sms = next;
                    events.push(event);
                }
            }
            if sms == record.sms {
                continue;
            }
            let record = self
                .blocking(move |store| {
                    let mut record = None;
                    for event in events {
                        record = Some(store.change_number(number, NumberChange::Sms(event), SYSTEM)?);
                    }
                    Ok(record)
                })
                .await?;
            if let Some(record) = record {
                self.tell(EventKind::RegistrationChanged, &record).await?;
            }
        }
        Ok(())
    }
}

/// What brings a number's state towards that of its registration.
fn towards(sms: &Sms, state: &RegistrationState, attachment: Attachment) -> Vec<SmsEvent> {
    let then = |event: SmsEvent| vec![SmsEvent::Submit, event];
    match (state, attachment) {
        // What sends is stopped only by what says so.
        (RegistrationState::Rejected { .. } | RegistrationState::Suspended, _) if *sms == Sms::Approved => {
            vec![SmsEvent::Suspend]
        }
        (RegistrationState::Submitted, _) => vec![SmsEvent::Submit],
        (RegistrationState::InReview, _)
        | (RegistrationState::Approved, Attachment::Waiting | Attachment::Asked) => {
            then(SmsEvent::ReviewBegun)
        }
        (RegistrationState::UpdateRequired { deadline, .. }, _) => {
            then(SmsEvent::UpdateAsked { deadline: *deadline })
        }
        (RegistrationState::Approved, Attachment::Attached) => then(SmsEvent::Approve),
        (RegistrationState::Approved, Attachment::Refused) => {
            let reasons = vec!["The carrier has not tied the number to the campaign.".to_owned()];
            then(SmsEvent::Reject { reasons, editable_until: None })
        }
        (RegistrationState::Rejected { reasons, editable_until }, _) => {
            then(SmsEvent::Reject { reasons: reasons.clone(), editable_until: *editable_until })
        }
        (RegistrationState::Suspended, _) => Vec::new(),
    }
}

/// A form that was not corrected in time is rejected.
fn overdue(state: RegistrationState, now: Timestamp) -> RegistrationState {
    match state {
        RegistrationState::UpdateRequired { deadline, reasons } if now > deadline => {
            RegistrationState::Rejected { reasons, editable_until: Some(deadline) }
        }
        other => other,
    }
}

fn check_form(kind: RegistrationKind, form: &BTreeMap<String, String>) -> Result<(), NumbersError> {
    let faults = forms::faults(kind, form);
    if faults.is_empty() { Ok(()) } else { Err(NumbersError::Form(faults)) }
}

fn may_join(record: &NumberRecord, carrier: &str, kind: RegistrationKind) -> Result<(), NumbersError> {
    let number = record.number;
    let bad = |says: String| Err(NumbersError::Bad(says));
    if record.holding != Holding::Owned || record.facts.carrier.as_deref() != Some(carrier) {
        return bad(format!("{number} is not held by the account {carrier}."));
    }
    match record.sms {
        Sms::NotCapable => return bad(format!("{number} carries no texts.")),
        Sms::Off => return bad(format!("SMS of {number} is switched off; switch it on first.")),
        _ => {}
    }
    let fits = match kind {
        RegistrationKind::TenDlc => NumberKind::Local,
        RegistrationKind::TollFree => NumberKind::TollFree,
    };
    match NumberKind::of(number) {
        Some(is) if is == fits => Ok(()),
        _ => bad(format!("{number} is registered in another way.")),
    }
}

fn name_of(id: &str) -> String {
    format!("registration/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-02T15:00:00Z".parse().unwrap()
    }

    fn after(sms: Sms, state: &RegistrationState, attachment: Attachment) -> Sms {
        towards(&sms, state, attachment)
            .into_iter()
            .fold(sms, |sms, event| sms.clone().after(event, now()).unwrap_or(sms))
    }

    #[test]
    fn a_number_follows_its_registration_from_every_state_and_looking_again_changes_nothing() {
        let rejected = RegistrationState::Rejected { reasons: vec!["x".into()], editable_until: None };
        let asked = RegistrationState::UpdateRequired { deadline: now(), reasons: vec![] };
        let cases = [
            (RegistrationState::Submitted, Attachment::Waiting, Sms::Submitted),
            (RegistrationState::InReview, Attachment::Waiting, Sms::InReview),
            (RegistrationState::Approved, Attachment::Asked, Sms::InReview),
            (RegistrationState::Approved, Attachment::Attached, Sms::Approved),
            (asked, Attachment::Waiting, Sms::UpdateRequired { deadline: now() }),
            (
                rejected,
                Attachment::Waiting,
                Sms::Rejected { reasons: vec!["x".into()], editable_until: None },
            ),
        ];
        for (state, attachment, wanted) in cases {
            let sms = after(Sms::Required, &state, attachment);
            assert_eq!(sms, wanted);
            assert_eq!(after(sms, &state, attachment), wanted);
            assert_eq!(after(Sms::Off, &state, attachment), Sms::Off);
        }
    }

    #[test]
    fn what_sends_is_suspended_when_its_registration_is_lost() {
        let suspended = after(Sms::Approved, &RegistrationState::Suspended, Attachment::Attached);
        assert_eq!(suspended, Sms::Suspended);
        assert_eq!(after(suspended, &RegistrationState::Approved, Attachment::Attached), Sms::Approved);
        assert_eq!(after(Sms::Approved, &RegistrationState::InReview, Attachment::Attached), Sms::Approved);
    }

    #[test]
    fn a_form_that_was_not_corrected_in_time_is_rejected() {
        let asked = RegistrationState::UpdateRequired { deadline: now(), reasons: vec!["x".into()] };
        assert_eq!(overdue(asked.clone(), now()), asked);
        let late = now() + jiff::SignedDuration::from_secs(1);
        assert!(matches!(overdue(asked, late), RegistrationState::Rejected { .. }));
    }
}
