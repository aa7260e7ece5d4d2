//! Records of numbers: whether we hold one, and how far its registration for SMS has come.
//!
//! They stand beside the documents, since a roll back must never buy or release a number. What a number
//! does with calls is a matter of the documents ([`crate::document::NumberDoc`]).

use serde::{Deserialize, Serialize};
use vestibule_routing::{address::E164, plan::NumberVoice};

/// Days for which a released number is not bought again.
pub const COOL_DOWN_DAYS: i64 = 30;

/// What we know of a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberRecord {
    /// The number.
    pub number: E164,
    /// Whether we hold it.
    pub holding: Holding,
    /// How far it may be used for SMS.
    pub sms: Sms,
    /// When the record last changed.
    pub changed: jiff::Timestamp,
    /// Since when we hold it as we do; none in records of before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding_since: Option<jiff::Timestamp>,
    /// What is known of it.
    #[serde(default)]
    pub facts: NumberFacts,
    /// Where its set-up was left; none when it is done, or was never begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<SetupStep>,
}

/// What a carrier says of a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberFacts {
    /// The account that it is held by; none for one that was only taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The carrier's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier_ref: Option<String>,
    /// Its country, ISO 3166 in two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// Its city.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    /// Its state or province, in two letters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Local or toll-free; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<NumberKind>,
    /// What it can carry; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// What it costs a month; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_fee: Option<Fee>,
}

/// The type of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberKind {
    /// Of a place.
    Local,
    /// Free for who calls.
    TollFree,
}

/// What a number can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Capabilities {
    /// Calls.
    pub voice: bool,
    /// Texts.
    pub sms: bool,
    /// Texts with pictures.
    pub mms: bool,
}

/// A sum of money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// The amount as a decimal number: never a binary fraction.
    pub amount: String,
    /// ISO 4217.
    pub currency: String,
}

/// Where the set-up of a number was left: what is to be asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetupStep {
    /// Registration or verification for SMS; may be skipped.
    Registration,
    /// Whether it takes calls.
    ActivateVoice,
    /// Whether it is linked to an IVR.
    LinkIvr,
    /// Which IVRs.
    PickIvr,
    /// Which inboxes its exits lead to.
    LinkInboxes,
    /// A call, to hear that it works.
    TestCall,
}

impl NumberRecord {
    /// A record that begins now.
    pub fn new(number: E164, holding: Holding, sms: Sms, facts: NumberFacts) -> Self {
        let now = jiff::Timestamp::now();
        Self { number, holding, sms, changed: now, holding_since: Some(now), facts, setup: None }
    }

    /// Whole days for which we have held it as we do.
    pub fn held_days(&self, now: jiff::Timestamp) -> i64 {
        now.duration_since(self.holding_since.unwrap_or(self.changed)).as_secs() / 86_400
    }

    /// Whether a number with this record may be bought, or taken up otherwise.
    ///
    /// # Errors
    /// It is held, or cools down.
    pub fn may_be_taken_up(&self, now: jiff::Timestamp) -> Result<(), NotPossible> {
        self.holding.after(HoldingEvent::Buy, self.held_days(now)).map(|_| ())
    }
}

impl NumberKind {
    /// The type of a number of the North American plan; none for another.
    pub fn of(number: E164) -> Option<Self> {
        let text = number.to_string();
        let national = text.strip_prefix("+1").filter(|national| national.len() == 10)?;
        let toll_free = TOLL_FREE.iter().any(|code| national.starts_with(code));
        Some(if toll_free { Self::TollFree } else { Self::Local })
    }
}

/// The area codes of toll-free numbers.
pub const TOLL_FREE: [&str; 7] = ["800", "833", "844", "855", "866", "877", "888"];

/// Whether we hold a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// On its way to us from another carrier.
    Porting,
    /// Another carrier is to forward its calls to us.
    Forwarding,
    /// Ours.
    Owned,
    /// Being given back.
    Releasing,
    /// Given back; cooling down.
    Released,
}

/// The state that people see: holding, and what the active plan does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberState {
    /// See [`Holding::Porting`].
    Porting,
    /// See [`Holding::Forwarding`].
    Forwarding,
    /// Ours, but voice is off: it never answers.
    OwnedIdle,
    /// Straight to an inbox.
    DirectLine,
    /// An Initial IVR, a Queue IVR or both.
    IvrLinked,
    /// See [`Holding::Releasing`].
    Releasing,
    /// See [`Holding::Released`].
    Released,
}

/// What happens to the holding of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldingEvent {
    /// The port or the forwarding is done.
    Arrived,
    /// We give it back. The caller has made sure that no call is live, or forces it.
    Release,
    /// We keep it after all.
    Keep,
    /// The carrier confirms that it is gone.
    Gone,
    /// We buy it again after the cool-down.
    Buy,
}

/// How far a number may be used for SMS. Voice does not depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Sms {
    /// The number cannot carry SMS.
    NotCapable,
    /// Switched off: messages are acknowledged and journalled, not handed off.
    Off,
    /// Registration is needed and not begun.
    Required,
    /// Handed in.
    Submitted,
    /// Under review.
    InReview,
    /// Something is to be corrected.
    UpdateRequired {
        /// Until when; afterwards it is rejected.
        deadline: jiff::Timestamp,
    },
    /// May send.
    Approved,
    /// Refused.
    Rejected {
        /// Why.
        reasons: Vec<String>,
        /// Until when the form may be corrected; none for ever.
        editable_until: Option<jiff::Timestamp>,
    },
    /// Approved once, stopped by the carrier.
    Suspended,
}

/// What a number's registration means for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsUse {
    /// Messages are kept, and handed to nobody.
    Off,
    /// Messages come in; none may be sent.
    Receives,
    /// Messages come in, and may be answered.
    Sends,
}

/// What happens to the registration of a number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum SmsEvent {
    /// We switch SMS off.
    SwitchOff,
    /// We switch SMS on.
    SwitchOn,
    /// We hand the form in, for the first time or corrected.
    Submit,
    /// The review has begun.
    ReviewBegun,
    /// The carrier asks for corrections.
    UpdateAsked {
        /// Until when.
        deadline: jiff::Timestamp,
    },
    /// The carrier approves, or lifts a suspension.
    Approve,
    /// The carrier refuses.
    Reject {
        /// Why.
        reasons: Vec<String>,
        /// Until when the form may be corrected.
        #[serde(default)]
        editable_until: Option<jiff::Timestamp>,
    },
    /// The carrier stops sending.
    Suspend,
}

/// A transition that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} is not possible in the state {state}")]
pub struct NotPossible {
    /// The state.
    pub state: String,
    /// The event.
    pub event: String,
}

impl Holding {
    /// Whether calls to it may be routed.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Owned | Self::Releasing)
    }

    /// The state after an event. `since` is how long the number has been in its state, in days.
    ///
    /// # Errors
    /// The event makes no sense in this state.
    pub fn after(self, event: HoldingEvent, since_days: i64) -> Result<Self, NotPossible> {
        match (self, event) {
            (Self::Porting | Self::Forwarding, HoldingEvent::Arrived) => Ok(Self::Owned),
            (Self::Owned | Self::Porting | Self::Forwarding, HoldingEvent::Release) => Ok(Self::Releasing),
            (Self::Releasing, HoldingEvent::Keep) => Ok(Self::Owned),
            (Self::Releasing, HoldingEvent::Gone) => Ok(Self::Released),
            (Self::Released, HoldingEvent::Buy) if since_days >= COOL_DOWN_DAYS => Ok(Self::Owned),
            _ => Err(NotPossible { state: format!("{self:?}"), event: format!("{event:?}") }),
        }
    }
}

impl NumberState {
    /// What people see of a number.
    pub fn of(holding: Holding, voice: Option<&NumberVoice>) -> Self {
        match (holding, voice) {
            (Holding::Porting, _) => Self::Porting,
            (Holding::Forwarding, _) => Self::Forwarding,
            (Holding::Releasing, _) => Self::Releasing,
            (Holding::Released, _) => Self::Released,
            (Holding::Owned, Some(voice)) if voice.active => {
                if voice.initial_ivr.is_some() || voice.queue_ivr.is_some() {
                    Self::IvrLinked
                } else {
                    Self::DirectLine
                }
            }
            (Holding::Owned, _) => Self::OwnedIdle,
        }
    }
}

impl Sms {
    /// Whether we may answer by SMS.
    pub fn may_send(&self) -> bool {
        *self == Self::Approved
    }

    /// What it means for messages.
    pub fn use_of(&self) -> SmsUse {
        match self {
            Self::NotCapable | Self::Off => SmsUse::Off,
            Self::Approved => SmsUse::Sends,
            Self::Required
            | Self::Submitted
            | Self::InReview
            | Self::UpdateRequired { .. }
            | Self::Rejected { .. }
            | Self::Suspended => SmsUse::Receives,
        }
    }

    /// The state after an event.
    ///
    /// # Errors
    /// The event makes no sense in this state, or comes too late.
    pub fn after(&self, event: SmsEvent, now: jiff::Timestamp) -> Result<Self, NotPossible> {
        let refused = || NotPossible { state: format!("{self:?}"), event: format!("{event:?}") };
        match (self, &event) {
            (Self::NotCapable, _) => Err(refused()),
            (Self::Off, SmsEvent::SwitchOn) => Ok(Self::Required),
            (Self::Off, _) => Err(refused()),
            (_, SmsEvent::SwitchOff) => Ok(Self::Off),
            (Self::Required | Self::UpdateRequired { .. }, SmsEvent::Submit) => Ok(Self::Submitted),
            (Self::Rejected { editable_until, .. }, SmsEvent::Submit)
                if editable_until.is_none_or(|until| now <= until) =>
            {
                Ok(Self::Submitted)
            }
            (Self::Submitted, SmsEvent::ReviewBegun) => Ok(Self::InReview),
            (Self::Submitted | Self::InReview, SmsEvent::UpdateAsked { deadline }) => {
                Ok(Self::UpdateRequired { deadline: *deadline })
            }
            (Self::Submitted | Self::InReview | Self::Suspended, SmsEvent::Approve) => Ok(Self::Approved),
            (
                Self::Submitted | Self::InReview | Self::UpdateRequired { .. },
                SmsEvent::Reject { reasons, editable_until },
            ) => Ok(Self::Rejected { reasons: reasons.clone(), editable_until: *editable_until }),
            (Self::Approved, SmsEvent::Suspend) => Ok(Self::Suspended),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> jiff::Timestamp {
        "2026-03-02T15:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_number_is_ported_kept_released_and_bought_again_only_after_the_cool_down() {
        let owned = Holding::Porting.after(HoldingEvent::Arrived, 0).unwrap();
        let releasing = owned.after(HoldingEvent::Release, 0).unwrap();
        assert_eq!(releasing.after(HoldingEvent::Keep, 0), Ok(Holding::Owned));
        let released = releasing.after(HoldingEvent::Gone, 0).unwrap();
        assert!(released.after(HoldingEvent::Buy, 29).is_err());
        assert_eq!(released.after(HoldingEvent::Buy, 30), Ok(Holding::Owned));
        assert!(owned.after(HoldingEvent::Gone, 0).is_err(), "nothing is gone that was not given back");
    }

    #[test]
    fn the_visible_state_follows_the_links() {
        let mut voice = NumberVoice::default();
        assert_eq!(NumberState::of(Holding::Owned, None), NumberState::OwnedIdle);
        assert_eq!(NumberState::of(Holding::Owned, Some(&voice)), NumberState::DirectLine);
        voice.queue_ivr = Some("ivr_q".into());
        assert_eq!(NumberState::of(Holding::Owned, Some(&voice)), NumberState::IvrLinked);
        voice.active = false;
        assert_eq!(NumberState::of(Holding::Owned, Some(&voice)), NumberState::OwnedIdle);
        assert_eq!(NumberState::of(Holding::Releasing, Some(&voice)), NumberState::Releasing);
    }

    #[test]
    fn a_registration_goes_its_way_and_only_approval_may_send() {
        let mut state = Sms::Required;
        for event in [
            SmsEvent::Submit,
            SmsEvent::ReviewBegun,
            SmsEvent::UpdateAsked { deadline: now() },
            SmsEvent::Submit,
            SmsEvent::Approve,
        ] {
            assert!(!state.may_send());
            state = state.after(event, now()).unwrap();
        }
        assert!(state.may_send());
        let suspended = state.after(SmsEvent::Suspend, now()).unwrap();
        assert_eq!(suspended.after(SmsEvent::Approve, now()), Ok(Sms::Approved));
        assert!(Sms::Required.after(SmsEvent::Approve, now()).is_err());
        assert!(Sms::NotCapable.after(SmsEvent::SwitchOn, now()).is_err());
    }

    #[test]
    fn a_rejected_form_can_be_corrected_until_its_deadline() {
        let rejected = Sms::Rejected { reasons: vec!["no consent".to_owned()], editable_until: Some(now()) };
        assert_eq!(rejected.after(SmsEvent::Submit, now()), Ok(Sms::Submitted));
        let late = now() + jiff::SignedDuration::from_secs(1);
        assert!(rejected.after(SmsEvent::Submit, late).is_err());
        assert_eq!(rejected.after(SmsEvent::SwitchOff, late), Ok(Sms::Off));
    }
}
