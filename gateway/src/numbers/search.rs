//! Searching a carrier's stock, and reviewing one number of it. Nothing is reserved: what was shown may be gone.

use std::{
    collections::VecDeque,
    sync::PoisonError,
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use vestibule_config::{
    carrier::CarrierAccount,
    number::{NumberFacts, NumberKind, TOLL_FREE},
};
use vestibule_routing::address::E164;

use super::{Numbers, NumbersError, new_id};
use crate::carrier::{
    accounts,
    contract::{By, Offer, Wanted, keypad_digits},
};

/// What was shown lately.
#[derive(Debug, Default)]
pub(super) struct Desk {
    searches: VecDeque<Search>,
    reviews: VecDeque<Review>,
}

#[derive(Debug)]
struct Search {
    id: String,
    carrier: String,
    offers: Vec<Offer>,
    at: Instant,
}

/// A number that somebody is about to buy.
#[derive(Clone, Debug)]
pub struct Review {
    /// Its id, `rv_…`.
    pub id: String,
    /// The account.
    pub carrier: String,
    /// The number.
    pub number: E164,
    /// What is known of it.
    pub facts: NumberFacts,
    /// What usage costs.
    pub usage: &'static str,
    at: Instant,
}

/// What is searched for, as people say it.
#[derive(Clone, Debug, Default)]
pub struct SearchFor {
    /// The account; the first that sells when absent.
    pub carrier: Option<String>,
    /// The country; US when absent.
    pub country: Option<String>,
    /// The type.
    pub kind: Option<NumberKind>,
    /// With texts.
    pub sms: bool,
    /// With pictures.
    pub mms: bool,
    /// An area code.
    pub area_code: Option<String>,
    /// A city's whole name.
    pub city: Option<String>,
    /// A pattern.
    pub contains: Option<String>,
}

/// A page of a search.
#[derive(Clone, Debug)]
pub struct SearchPage {
    /// The account that was searched.
    pub carrier: String,
    /// Numbers of this page.
    pub offers: Vec<Offer>,
    /// How many the search found.
    pub found: usize,
    /// Where to go on.
    pub next: Option<String>,
}

impl Numbers {
    /// Searches anew: others may be found than the last time.
    ///
    /// # Errors
    /// What is searched for makes no sense, or the carrier was not asked with success.
    pub async fn search(&self, wanted: SearchFor, limit: usize) -> Result<SearchPage, NumbersError> {
        let asked = read(&wanted)?;
        let account = match &wanted.carrier {
            Some(id) => self.account_of(id).await?,
            None => self.selling_account().await?,
        };
        let (_, carrier) = self.account(&account.id).await?;
        let mut offers = self.counted(carrier.search(&asked).await)?;
        offers.retain(|offer| asked.takes(offer));
        // Carriers sort in ways of their own; nobody is to be led to the same few numbers.
        offers.shuffle(&mut StdRng::from_os_rng());
        offers.truncate(SHOWN_MAX);
        let id = new_id("se");
        let search = Search { id: id.clone(), carrier: account.id, offers, at: Instant::now() };
        self.remember(|desk| &mut desk.searches, search);
        self.search_page(&id, 0, limit)
    }

    /// More of a search.
    ///
    /// # Errors
    /// The search is forgotten.
    pub fn search_on(&self, cursor: &str, limit: usize) -> Result<SearchPage, NumbersError> {
        let (id, from) = cursor.split_once('.').ok_or(NumbersError::NoSearch)?;
        self.search_page(id, from.parse().map_err(|_| NumbersError::NoSearch)?, limit)
    }

    fn search_page(&self, id: &str, from: usize, limit: usize) -> Result<SearchPage, NumbersError> {
        let desk = self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let search = desk.searches.iter().find(|search| search.id == id && search.at.elapsed() < SEARCH_KEPT);
        let search = search.ok_or(NumbersError::NoSearch)?;
        let offers: Vec<Offer> = search.offers.iter().skip(from).take(limit).cloned().collect();
        let to = from.saturating_add(offers.len());
        let next = (to < search.offers.len()).then(|| format!("{id}.{to}"));
        Ok(SearchPage { carrier: search.carrier.clone(), offers, found: search.offers.len(), next })
    }

    /// Reviews one number: what it is, and what it costs.
    ///
    /// # Errors
    /// It is ours, cools down, or is not for sale any more; or the carrier was not asked with success.
    pub async fn review(&self, carrier: &str, number: E164) -> Result<Review, NumbersError> {
        let (account, adapter) = self.account(carrier).await?;
        self.may_be_bought(number).await?;
        let shown = self.shown(carrier, number);
        let mut offer = match shown {
            Some(offer) => offer,
            None => {
                let kind = NumberKind::of(number).unwrap_or(NumberKind::Local);
                let wanted = Wanted {
                    country: "US".into(),
                    kind,
                    sms: false,
                    mms: false,
                    by: By::Number(number),
                    seed: 0,
                };
                let found = self.counted(adapter.search(&wanted).await)?;
                found
                    .into_iter()
                    .find(|offer| offer.number == number)
                    .ok_or(NumbersError::NotForSale(number))?
            }
        };
        if offer.facts.monthly_fee.is_none() {
            let country = offer.facts.country.clone().unwrap_or_else(|| "US".into());
            let kind = offer.facts.kind.or(NumberKind::of(number)).unwrap_or(NumberKind::Local);
            // Without a price the number can still be bought: the review says that the carrier does not tell it.
            offer.facts.monthly_fee = self.counted(adapter.price(&country, kind).await).unwrap_or_default();
        }
        let review = Review {
            id: new_id("rv"),
            carrier: account.id,
            number,
            facts: offer.facts,
            usage: accounts::kind(&account.kind).map_or("", |kind| kind.usage),
            at: Instant::now(),
        };
        self.remember(|desk| &mut desk.reviews, review.clone());
        Ok(review)
    }

    /// A review that was made within the last hour.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn reviewed(&self, id: &str) -> Result<Review, NumbersError> {
        let desk = self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let found = desk.reviews.iter().find(|review| review.id == id && review.at.elapsed() < REVIEW_KEPT);
        found.cloned().ok_or(NumbersError::NoReview)
    }

    fn shown(&self, carrier: &str, number: E164) -> Option<Offer> {
        let desk = self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = desk.searches.iter().rev().filter(|search| search.carrier == carrier);
        let mut offers =
            recent.filter(|search| search.at.elapsed() < SEARCH_KEPT).flat_map(|one| &one.offers);
        offers.find(|offer| offer.number == number).cloned()
    }

    /// Whether we hold the number, or gave it back lately.
    async fn may_be_bought(&self, number: E164) -> Result<(), NumbersError> {
        let record = self.blocking(move |store| store.number(number)).await?;
        match record {
            Some(record) => Ok(record
                .may_be_taken_up(jiff::Timestamp::now())
                .map_err(|_| vestibule_config::store::StoreError::NumberExists(number))?),
            None => Ok(()),
        }
    }

    async fn selling_account(&self) -> Result<CarrierAccount, NumbersError> {
        let sells = |account: &CarrierAccount| accounts::kind(&account.kind).is_some_and(|kind| kind.sells);
        let mut selling: Vec<_> = self.accounts().await?.into_iter().filter(sells).collect();
        // A real one before the sandbox.
        selling.sort_by_key(|account| account.kind == "sandbox");
        let none = || NumbersError::NoCarrier("that sells numbers".into());
        selling.into_iter().next().ok_or_else(none)
    }

    fn remember<T>(&self, list: impl Fn(&mut Desk) -> &mut VecDeque<T>, one: T) {
        let mut desk = self.inner.desk.lock().unwrap_or_else(PoisonError::into_inner);
        let list = list(&mut desk);
        if list.len() >= self.inner.settings.searches_max {
            list.pop_front();
            self.inner.metrics.forgotten.inc();
        }
        list.push_back(one);
    }
}

/// Reads what is searched for.
fn read(wanted: &SearchFor) -> Result<Wanted, NumbersError> {
    let bad = |says: &str| Err(NumbersError::Bad(says.to_owned()));
    let country = wanted.country.as_deref().unwrap_or("US").to_ascii_uppercase();
    if country != "US" && country != "CA" {
        return Err(NumbersError::Country(country));
    }
    let kind = wanted.kind.unwrap_or(NumberKind::Local);
    let by = match (&wanted.area_code, &wanted.city, &wanted.contains) {
        (None, None, None) => By::Anything,
        (Some(code), None, None) => {
            if code.len() != 3
                || !code.bytes().all(|b| b.is_ascii_digit())
                || !matches!(code.as_bytes()[0], b'2'..=b'9')
            {
                return bad("An area code is three digits, the first from 2 to 9.");
            }
            if TOLL_FREE.contains(&code.as_str()) != (kind == NumberKind::TollFree) {
                return bad("This area code is of the other type of numbers.");
            }
            By::AreaCode(code.clone())
        }
        (None, Some(_), None) if kind == NumberKind::TollFree => {
            return bad("Toll-free numbers are of no city.");
        }
        (None, Some(city), None) => {
            let city = city.trim();
            if city.is_empty() || city.chars().count() > 80 {
                return bad("Name the city in full, in 1 to 80 characters.");
            }
            By::City(city.to_owned())
        }
        (None, None, Some(pattern)) => match keypad_digits(pattern.trim()) {
            Some(digits) if (2..=10).contains(&digits.len()) => By::Contains(digits),
            _ => {
                return bad(
                    "`contains` takes 2 to 10 letters and digits; letters stand for the keypad's digits.",
                );
            }
        },
        _ => return bad("Search by an area code, by a city or by a pattern, not by several of them."),
    };
    let seed = StdRng::from_os_rng().random();
    Ok(Wanted { country, kind, sms: wanted.sms || wanted.mms, mms: wanted.mms, by, seed })
}

/// Numbers that a search shows.
const SHOWN_MAX: usize = 30;
const SEARCH_KEPT: Duration = Duration::from_secs(900);
const REVIEW_KEPT: Duration = Duration::from_secs(3600);
