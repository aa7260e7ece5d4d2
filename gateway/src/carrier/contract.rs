//! What the gateway asks of a carrier that numbers are held at, and what may come of it.
//!
//! Used rarely and off the hot path, so behind a `dyn` trait. Adapters are stateless towards us: what must be remembered is
//! in the records they are handed, and is written down before they are asked for the next thing.

use std::{collections::BTreeMap, future::Future, pin::Pin};

use vestibule_config::{
    carrier::{Attachment, Purchase, Registration, RegistrationState, Transfer, TransferState},
    number::{Fee, NumberFacts, NumberKind},
};
use vestibule_routing::address::E164;

/// What a carrier comes to answer.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, NotDone>> + Send + 'a>>;

/// A carrier that numbers are held at.
pub trait Carrier: Send + Sync {
    /// Numbers that may be bought, in any order. Nothing is reserved.
    fn search<'a>(&'a self, wanted: &'a Wanted) -> Asked<'a, Vec<Offer>>;

    /// What a number of this type costs a month; none where the carrier does not say.
    fn price<'a>(&'a self, country: &'a str, kind: NumberKind) -> Asked<'a, Option<Fee>>;

    /// Buys a number. Asked once: on [`NotDone::Unknown`] and [`NotDone::Later`] only [`Carrier::find`] tells more.
    fn buy<'a>(&'a self, purchase: &'a Purchase) -> Asked<'a, Bought>;

    /// What became of a purchase; may be asked at any time, and as often as one likes.
    fn find<'a>(&'a self, purchase: &'a Purchase) -> Asked<'a, Found>;

    /// Has calls and texts to a number sent to this gateway. May be asked again.
    fn point<'a>(&'a self, held: HeldNumber<'a>) -> Asked<'a, ()>;

    /// Gives a number back. May be asked again: one that is gone already is given back.
    fn release<'a>(&'a self, held: HeldNumber<'a>) -> Asked<'a, ()>;

    /// Takes the next step of a registration, or looks how it is getting on. One step that makes something new at most,
    /// and only after a look whether it is there already.
    fn register<'a>(
        &'a self,
        registration: &'a Registration,
        references: &'a BTreeMap<E164, String>,
    ) -> Asked<'a, Progress>;

    /// Hands in a port or forward order, or looks how it is getting on.
    fn transfer<'a>(&'a self, transfer: &'a Transfer) -> Asked<'a, TransferProgress>;

    /// Whether the account works: says what it is called at the carrier.
    fn test(&self) -> Asked<'_, String>;
}

/// A number that is held at the carrier.
#[derive(Clone, Copy, Debug)]
pub struct HeldNumber<'a> {
    /// The number.
    pub number: E164,
    /// The carrier's id of it.
    pub reference: &'a str,
    /// Whether it can carry texts.
    pub sms: bool,
}

/// Which numbers are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// ISO 3166 in two letters.
    pub country: String,
    /// Local or toll-free.
    pub kind: NumberKind,
    /// Only such as carry texts.
    pub sms: bool,
    /// Only such as carry texts with pictures.
    pub mms: bool,
    /// Which of them.
    pub by: By,
    /// Chosen anew for each search, so that the next one shows others.
    pub seed: u64,
}

/// By what numbers are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// Nothing.
    Anything,
    /// Three digits.
    AreaCode(String),
    /// The whole name.
    City(String),
    /// Digits that stand somewhere in the national number.
    Contains(String),
    /// This very number.
    Number(E164),
}

/// A number that may be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The number.
    pub number: E164,
    /// What is said of it.
    pub facts: NumberFacts,
}

/// What came of a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bought {
    /// The number is ours; the carrier's id of it.
    Done(Held),
    /// The order was taken, and is not done yet; the carrier's id of it.
    Ordered(String),
}

/// A number that we have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The carrier's id of it.
    pub reference: String,
    /// Whether it carries texts, where the carrier says it only now.
    pub sms: Option<bool>,
}

/// What a carrier knows of a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The number is ours.
    Ours(Held),
    /// The order is there, and not done yet.
    Pending(String),
    /// The order is there, and failed.
    Failed(String),
    /// Nothing.
    Nothing,
}

/// How far a registration has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Ids that the carrier gave out; an empty text forgets one.
    pub known: Vec<(&'static str, String)>,
    /// Numbers whose attachment changed.
    pub numbers: Vec<(E164, Attachment)>,
    /// The state, when it is known.
    pub state: Option<RegistrationState>,
    /// The corrected form is handed in.
    pub corrected: bool,
    /// There is another step to be taken at once.
    pub more: bool,
}

/// How far a port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferProgress {
    /// The carrier's id of the order.
    pub order: Option<String>,
    /// How far it is.
    pub state: TransferState,
}

/// Why a carrier did not do what it was asked, or may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// It refused. Asking again changes nothing.
    #[error("the carrier refused ({code}): {says}")]
    Refused {
        /// Its code, or the HTTP status.
        code: String,
        /// Its words.
        says: String,
    },
    /// It was asked too often.
    #[error("the carrier asks us to come back later")]
    Later,
    /// It was not reached, broke off, was too slow, failed, or is not understood: it may have done it.
    #[error("it is not known what the carrier did: {0}")]
    Unknown(String),
    /// This carrier does not do that; what to do instead.
    #[error("{0}")]
    NotSupported(&'static str),
    /// The account lacks something.
    #[error("the account is not set up for this: {0}")]
    NotSetUp(String),
}

/// An answer that is there already.
pub(super) fn at_once<'a, T: Send + 'a>(result: Result<T, NotDone>) -> Asked<'a, T> {
    Box::pin(async move { result })
}

/// The keypad's digits of letters and digits; none when there is anything else.
pub fn keypad_digits(text: &str) -> Option<String> {
    text.chars()
        .map(|c| match c.to_ascii_uppercase() {
            digit @ '0'..='9' => Some(digit),
            'A'..='C' => Some('2'),
            'D'..='F' => Some('3'),
            'G'..='I' => Some('4'),
            'J'..='L' => Some('5'),
            'M'..='O' => Some('6'),
            'P'..='S' => Some('7'),
            'T'..='V' => Some('8'),
            'W'..='Z' => Some('9'),
            _ => None,
        })
        .collect()
}

impl Wanted {
    /// Whether an offer is one of those: carriers are not always exact.
    pub fn takes(&self, offer: &Offer) -> bool {
        let facts = &offer.facts;
        let able = facts
            .capabilities
            .is_none_or(|can| can.voice && (can.sms || !self.sms) && (can.mms || !self.mms));
        let number = offer.number.to_string();
        let national = number.strip_prefix("+1").unwrap_or(&number);
        let by = match &self.by {
            By::Anything => true,
            By::AreaCode(code) => national.starts_with(code.as_str()),
            By::City(city) => {
                facts.city.as_deref().is_some_and(|place| place.to_lowercase() == city.to_lowercase())
            }
            By::Contains(digits) => national.contains(digits.as_str()),
            By::Number(wanted) => offer.number == *wanted,
        };
        able && by && NumberKind::of(offer.number).is_none_or(|kind| kind == self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_the_digits_of_the_keypad_and_nothing_else_is_taken() {
        assert_eq!(keypad_digits("GLAD").as_deref(), Some("4523"));
        assert_eq!(keypad_digits("1-800"), None);
        assert_eq!(keypad_digits("pQrSwxyz09").as_deref(), Some("7777999909"));
    }

    #[test]
    fn a_part_of_a_citys_name_is_not_the_city() {
        let offer = Offer {
            number: E164::parse("+14155550100").unwrap(),
            facts: NumberFacts { city: Some("San Francisco".into()), ..NumberFacts::default() },
        };
        let wanted = |by| Wanted {
            country: "US".into(),
            kind: NumberKind::Local,
            sms: false,
            mms: false,
            by,
            seed: 0,
        };
        assert!(wanted(By::City("san francisco".into())).takes(&offer));
        assert!(!wanted(By::City("San".into())).takes(&offer));
        assert!(wanted(By::Contains("5550".into())).takes(&offer));
        assert!(
            !wanted(By::Contains("1415".into())).takes(&offer),
            "the country code is no part of the pattern"
        );
        assert!(!wanted(By::AreaCode("212".into())).takes(&offer));
    }
}
