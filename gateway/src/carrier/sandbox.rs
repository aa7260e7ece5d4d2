//! A carrier that is part of the gateway: for trying everything out on a laptop, and for tests.
//!
//! Nothing here is real but the way it goes: a fixed stock of numbers, fees, reviews that take their time. It does the same
//! every time. What it sold is in the store, so it survives a restart like a carrier would. Some things fail on purpose:
//! numbers that end in 0000 are gone when they are bought; a business whose name has "reject" in it is rejected, one with
//! "update" is asked to correct its form; a port whose account is "0000" needs action.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use vestibule_config::{
    carrier::{Attachment, Purchase, Registration, RegistrationState, Transfer, TransferState},
    number::{Capabilities, Fee, NumberFacts, NumberKind, TOLL_FREE},
    store::Store,
};
use vestibule_routing::address::E164;

use super::contract::{
    Asked, Bought, Carrier, Found, Held, HeldNumber, NotDone, Offer, Progress, TransferProgress, Wanted,
    at_once,
};

/// The adapter.
pub(super) struct Sandbox {
    pub(super) store: Arc<Store>,
    /// Seconds of each step of a review or a port.
    pub(super) step_seconds: u64,
}

/// Numbers of each area code.
const PER_CODE: u64 = 1000;
/// Numbers of one search.
const SHOWN_MAX: usize = 30;

impl Carrier for Sandbox {
    fn search<'a>(&'a self, wanted: &'a Wanted) -> Asked<'a, Vec<Offer>> {
        at_once(self.find_offers(wanted))
    }

    fn price<'a>(&'a self, _: &'a str, kind: NumberKind) -> Asked<'a, Option<Fee>> {
        at_once(Ok(Some(fee(kind))))
    }

    fn buy<'a>(&'a self, purchase: &'a Purchase) -> Asked<'a, Bought> {
        at_once(self.sell(purchase))
    }

    fn find<'a>(&'a self, purchase: &'a Purchase) -> Asked<'a, Found> {
        at_once(self.sold(&purchase.number.to_string()).map(|sold| match sold {
            Some(sold) if sold["reference"] == json!(purchase.id) => Found::Ours(held(purchase.number)),
            _ => Found::Nothing,
        }))
    }

    fn point<'a>(&'a self, _: HeldNumber<'a>) -> Asked<'a, ()> {
        at_once(Ok(()))
    }

    fn release<'a>(&'a self, number: HeldNumber<'a>) -> Asked<'a, ()> {
        at_once(self.store.sandbox_sell(&number.number.to_string(), None).map_err(failed))
    }

    fn register<'a>(
        &'a self,
        registration: &'a Registration,
        _: &'a BTreeMap<E164, String>,
    ) -> Asked<'a, Progress> {
        at_once(Ok(self.review(registration, Timestamp::now())))
    }

    fn transfer<'a>(&'a self, transfer: &'a Transfer) -> Asked<'a, TransferProgress> {
        at_once(Ok(self.port(transfer, Timestamp::now())))
    }

    fn test(&self) -> Asked<'_, String> {
        at_once(Ok("the sandbox: nothing is bought and nothing costs".to_owned()))
    }
}

impl Sandbox {
    fn find_offers(&self, wanted: &Wanted) -> Result<Vec<Offer>, NotDone> {
        let mut all: Vec<Offer> = stock(wanted).filter(|offer| wanted.takes(offer)).collect();
        all.sort_by_cached_key(|offer| mixed(wanted.seed, &offer.number.to_string()));
        let mut shown = Vec::new();
        for offer in all {
            if shown.len() >= SHOWN_MAX {
                break;
            }
            if self.sold(&offer.number.to_string())?.is_none() {
                shown.push(offer);
            }
        }
        Ok(shown)
    }

    fn sold(&self, name: &str) -> Result<Option<Value>, NotDone> {
        self.store.sandbox_sold(name).map_err(failed)
    }

    fn sell(&self, purchase: &Purchase) -> Result<Bought, NotDone> {
        let name = purchase.number.to_string();
        let refused = |says: &str| NotDone::Refused { code: "not_available".into(), says: says.into() };
        if name.ends_with("0000") {
            return Err(refused("somebody else has bought this number"));
        }
        match self.sold(&name)? {
            Some(sold) if sold["reference"] == json!(purchase.id) => Ok(Bought::Done(held(purchase.number))),
            Some(_) => Err(refused("this number is sold")),
            None => {
                let record = json!({"reference": purchase.id});
                self.store.sandbox_sell(&name, Some(&record)).map_err(failed)?;
                Ok(Bought::Done(held(purchase.number)))
            }
        }
    }

    /// Steps that have passed since a moment.
    fn steps_since(&self, then: Timestamp, now: Timestamp) -> u64 {
        let seconds = u64::try_from(now.duration_since(then).as_secs()).unwrap_or(0);
        seconds.checked_div(self.step_seconds).unwrap_or(u64::MAX)
    }

    fn review(&self, registration: &Registration, now: Timestamp) -> Progress {
        let handed_in = registration.known.get(HANDED_IN).and_then(|at| at.parse::<Timestamp>().ok());
        let Some(handed_in) = handed_in.filter(|_| !registration.corrected) else {
            return Progress {
                known: vec![(HANDED_IN, now.to_string())],
                state: Some(RegistrationState::Submitted),
                corrected: true,
                ..Progress::default()
            };
        };
        let state = match self.steps_since(handed_in, now) {
            0 => RegistrationState::Submitted,
            1 => RegistrationState::InReview,
            _ => decision(registration, handed_in),
        };
        let attached = state == RegistrationState::Approved;
        let waiting = registration.numbers.iter().filter(|(_, one)| **one != Attachment::Attached);
        let numbers =
            waiting.filter(|_| attached).map(|(number, _)| (*number, Attachment::Attached)).collect();
        Progress { numbers, state: Some(state), ..Progress::default() }
    }

    fn port(&self, transfer: &Transfer, now: Timestamp) -> TransferProgress {
        let order = Some(format!("sb-{}", transfer.id));
        let steps = self.steps_since(transfer.created, now);
        let step = SignedDuration::from_secs(i64::try_from(self.step_seconds).unwrap_or(i64::MAX));
        let state = if transfer.form.get("account").is_some_and(|account| account == "0000") {
            let reasons = vec!["The account number is not known to the other carrier.".to_owned()];
            TransferState::ActionNeeded { reasons }
        } else {
            match steps {
                0 => TransferState::Submitted,
                1 => TransferState::Scheduled { on: transfer.created + step * 2 },
                _ => TransferState::Completed,
            }
        };
        TransferProgress { order, state }
    }
}

fn decision(registration: &Registration, handed_in: Timestamp) -> RegistrationState {
    let business = registration.form.get("business_name").map(|name| name.to_lowercase()).unwrap_or_default();
    let days = |days: i64| handed_in + SignedDuration::from_hours(days * 24);
    if business.contains("reject") {
        let reasons = vec!["The website does not say how customers agree to texts.".to_owned()];
        return RegistrationState::Rejected { reasons, editable_until: Some(days(7)) };
    }
    if business.contains("update") {
        let reasons = vec!["The sample message does not name the business.".to_owned()];
        return RegistrationState::UpdateRequired { deadline: days(6), reasons };
    }
    RegistrationState::Approved
}

fn held(number: E164) -> Held {
    Held { reference: format!("sb-{number}"), sms: None }
}

fn failed(error: vestibule_config::store::StoreError) -> NotDone {
    NotDone::Unknown(error.to_string())
}

fn fee(kind: NumberKind) -> Fee {
    let amount = match kind {
        NumberKind::Local => "1.15",
        NumberKind::TollFree => "2.15",
    };
    Fee { amount: amount.into(), currency: "USD".into() }
}

/// The numbers of the codes that a search may look at.
fn stock(wanted: &Wanted) -> impl Iterator<Item = Offer> {
    let local = PLACES
        .iter()
        .filter(|place| wanted.kind == NumberKind::Local && place.3 == wanted.country)
        .map(|(code, city, region, country)| (*code, Some((*city, *region)), *country));
    let country: &'static str = if wanted.country == "CA" { "CA" } else { "US" };
    let toll_free = TOLL_FREE
        .iter()
        .filter(|_| wanted.kind == NumberKind::TollFree)
        .map(move |code| (*code, None, country));
    local.chain(toll_free).flat_map(|(code, place, country)| {
        (0..PER_CODE).filter_map(move |index| offer(code, place, country, index))
    })
}

fn offer(
    code: &str,
    place: Option<(&'static str, &'static str)>,
    country: &'static str,
    index: u64,
) -> Option<Offer> {
    let chance = mixed(index, code);
    // 200 to 999, but neither those of services (N11) nor those of directories and fiction (555).
    let exchange = 200 + chance % 800;
    if exchange % 100 == 11 || exchange == 555 {
        return None;
    }
    // A twentieth of them ends in 0000, which is gone when it is bought.
    let line = if chance % 20 == 7 { 0 } else { (chance >> 16) % 10_000 };
    let number = E164::parse(&format!("+1{code}{exchange}{line:04}")).ok()?;
    let sms = !(chance >> 40).is_multiple_of(10);
    let kind = if place.is_some() { NumberKind::Local } else { NumberKind::TollFree };
    let facts = NumberFacts {
        country: Some(country.into()),
        city: place.map(|(city, _)| city.into()),
        region: place.map(|(_, region)| region.into()),
        kind: Some(kind),
        capabilities: Some(Capabilities { voice: true, sms, mms: sms && !(chance >> 48).is_multiple_of(5) }),
        monthly_fee: Some(fee(kind)),
        ..NumberFacts::default()
    };
    Some(Offer { number, facts })
}

/// A number that looks like chance and is always the same (FNV-1a, then the last step of SplitMix64).
fn mixed(seed: u64, text: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

const HANDED_IN: &str = "handed_in";

/// Area code, city, state or province, country.
const PLACES: [(&str, &str, &str, &str); 62] = [
    ("201", "Jersey City", "NJ", "US"),
    ("202", "Washington", "DC", "US"),
    ("203", "Bridgeport", "CT", "US"),
    ("205", "Birmingham", "AL", "US"),
    ("206", "Seattle", "WA", "US"),
    ("207", "Portland", "ME", "US"),
    ("208", "Boise", "ID", "US"),
    ("210", "San Antonio", "TX", "US"),
    ("212", "New York", "NY", "US"),
    ("213", "Los Angeles", "CA", "US"),
    ("214", "Dallas", "TX", "US"),
    ("215", "Philadelphia", "PA", "US"),
    ("216", "Cleveland", "OH", "US"),
    ("225", "Baton Rouge", "LA", "US"),
    ("302", "Wilmington", "DE", "US"),
    ("303", "Denver", "CO", "US"),
    ("304", "Charleston", "WV", "US"),
    ("305", "Miami", "FL", "US"),
    ("307", "Cheyenne", "WY", "US"),
    ("308", "Grand Island", "NE", "US"),
    ("312", "Chicago", "IL", "US"),
    ("313", "Detroit", "MI", "US"),
    ("314", "St. Louis", "MO", "US"),
    ("316", "Wichita", "KS", "US"),
    ("317", "Indianapolis", "IN", "US"),
    ("401", "Providence", "RI", "US"),
    ("404", "Atlanta", "GA", "US"),
    ("405", "Oklahoma City", "OK", "US"),
    ("406", "Billings", "MT", "US"),
    ("410", "Baltimore", "MD", "US"),
    ("412", "Pittsburgh", "PA", "US"),
    ("414", "Milwaukee", "WI", "US"),
    ("415", "San Francisco", "CA", "US"),
    ("501", "Little Rock", "AR", "US"),
    ("502", "Louisville", "KY", "US"),
    ("503", "Portland", "OR", "US"),
    ("505", "Albuquerque", "NM", "US"),
    ("512", "Austin", "TX", "US"),
    ("515", "Des Moines", "IA", "US"),
    ("601", "Jackson", "MS", "US"),
    ("602", "Phoenix", "AZ", "US"),
    ("603", "Manchester", "NH", "US"),
    ("605", "Sioux Falls", "SD", "US"),
    ("612", "Minneapolis", "MN", "US"),
    ("615", "Nashville", "TN", "US"),
    ("617", "Boston", "MA", "US"),
    ("701", "Fargo", "ND", "US"),
    ("702", "Las Vegas", "NV", "US"),
    ("704", "Charlotte", "NC", "US"),
    ("801", "Salt Lake City", "UT", "US"),
    ("802", "Burlington", "VT", "US"),
    ("803", "Columbia", "SC", "US"),
    ("804", "Richmond", "VA", "US"),
    ("808", "Honolulu", "HI", "US"),
    ("907", "Anchorage", "AK", "US"),
    ("204", "Winnipeg", "MB", "CA"),
    ("403", "Calgary", "AB", "CA"),
    ("416", "Toronto", "ON", "CA"),
    ("514", "Montreal", "QC", "CA"),
    ("604", "Vancouver", "BC", "CA"),
    ("613", "Ottawa", "ON", "CA"),
    ("902", "Halifax", "NS", "CA"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carrier::contract::By;

    fn sandbox() -> (Sandbox, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), vestibule_config::store::Options::default()).unwrap();
        (Sandbox { store: Arc::new(store), step_seconds: 10 }, folder)
    }

    fn wanted(by: By) -> Wanted {
        Wanted { country: "US".into(), kind: NumberKind::Local, sms: false, mms: false, by, seed: 1 }
    }

    #[test]
    fn another_search_shows_others_and_the_same_one_the_same() {
        let (sandbox, _folder) = sandbox();
        let first = sandbox.find_offers(&wanted(By::Anything)).unwrap();
        assert_eq!(first.len(), 30);
        assert_eq!(first, sandbox.find_offers(&wanted(By::Anything)).unwrap());
        let other = sandbox.find_offers(&Wanted { seed: 2, ..wanted(By::Anything) }).unwrap();
        assert!(first.iter().all(|offer| !other.contains(offer)));
        let places: std::collections::HashSet<_> =
            first.iter().map(|offer| offer.facts.city.clone()).collect();
        assert!(places.len() > 10, "{places:?}");
    }

    #[test]
    fn every_way_to_search_finds_what_it_says_and_nothing_else() {
        let (sandbox, _folder) = sandbox();
        let found = |by| sandbox.find_offers(&wanted(by)).unwrap();
        let number = |offer: &Offer| offer.number.to_string();
        assert!(found(By::AreaCode("415".into())).iter().all(|offer| number(offer).starts_with("+1415")));
        assert!(found(By::AreaCode("999".into())).is_empty());
        assert!(
            found(By::City("portland".into())).iter().all(|o| o.facts.city.as_deref() == Some("Portland"))
        );
        assert!(found(By::City("port".into())).is_empty());
        let glad = found(By::Contains("4523".into()));
        assert!(!glad.is_empty() && glad.iter().all(|offer| number(offer).contains("4523")));
        let mms = sandbox.find_offers(&Wanted { mms: true, ..wanted(By::Anything) }).unwrap();
        assert!(mms.iter().all(|offer| offer.facts.capabilities.unwrap().mms));
        let free = Wanted { kind: NumberKind::TollFree, ..wanted(By::Anything) };
        let free = sandbox.find_offers(&free).unwrap();
        assert!(free.iter().all(|o| NumberKind::of(o.number) == Some(NumberKind::TollFree)));
        let canada = sandbox.find_offers(&Wanted { country: "CA".into(), ..wanted(By::Anything) }).unwrap();
        assert!(canada.iter().all(|offer| offer.facts.country.as_deref() == Some("CA")));
    }
}
