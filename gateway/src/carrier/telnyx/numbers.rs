//! Numbers at Telnyx: API v2, JSON in and out. A purchase is an order, which takes its time.

use std::{collections::BTreeMap, sync::Arc};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use vestibule_config::{
    carrier::{CarrierAccount, Purchase, Registration, Transfer},
    number::{Capabilities, Fee, NumberFacts, NumberKind},
};
use vestibule_routing::address::E164;

use super::super::{
    accounts::Field,
    ask::{again, id, list, once, text},
    contract::{
        Asked, Bought, By, Carrier, Found, Held, HeldNumber, NotDone, Offer, Progress, TransferProgress,
        Wanted, at_once,
    },
    said,
};

/// What an account has to have.
pub(in crate::carrier) const FIELDS: &[Field] = &[
    Field { name: "api_key", what: "an API key, KEY…", required: true, secret: true },
    Field {
        name: "connection_id",
        what: "the SIP connection that leads to this gateway; without one voice is pointed by hand",
        required: false,
        secret: false,
    },
    Field {
        name: "messaging_profile_id",
        what: "the messaging profile whose webhook is this gateway's",
        required: false,
        secret: false,
    },
    Field {
        name: "api",
        what: "where the API is, when not at https://api.telnyx.com/v2",
        required: false,
        secret: false,
    },
];

/// An account.
pub(in crate::carrier) struct Account {
    client: Client,
    settings: BTreeMap<String, String>,
    key: String,
}

/// The adapter of an account.
pub(in crate::carrier) fn open(
    client: &Client,
    account: &CarrierAccount,
    secrets: &BTreeMap<String, String>,
) -> Arc<dyn Carrier> {
    let key = secrets.get("api_key").cloned().unwrap_or_default();
    Arc::new(Account { client: client.clone(), settings: account.settings.clone(), key })
}

impl Account {
    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> RequestBuilder {
        let base = self.setting("api").unwrap_or("https://api.telnyx.com/v2").trim_end_matches('/');
        let request = self.client.request(method, format!("{base}{path}")).bearer_auth(&self.key);
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Value, NotDone> {
        let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        again(words, || self.request(Method::GET, &path, None)).await
    }

    /// For what makes something new.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, NotDone> {
        once(words, self.request(Method::POST, path, Some(body))).await
    }

    /// For what makes something as it is to be.
    pub(super) async fn set(&self, method: Method, path: &str, body: &Value) -> Result<Value, NotDone> {
        again(words, || self.request(method.clone(), path, Some(body))).await
    }

    async fn ask_search(&self, wanted: &Wanted) -> Result<Vec<Offer>, NotDone> {
        let kind = match wanted.kind {
            NumberKind::Local => "local",
            NumberKind::TollFree => "toll_free",
        };
        let mut query = vec![
            ("filter[country_code]", wanted.country.clone()),
            ("filter[phone_number_type]", kind.to_owned()),
            ("filter[limit]", "100".to_owned()),
            ("filter[best_effort]", "false".to_owned()),
            ("filter[features][]", "voice".to_owned()),
        ];
        for (feature, wanted) in [("sms", wanted.sms), ("mms", wanted.mms)] {
            if wanted {
                query.push(("filter[features][]", feature.to_owned()));
            }
        }
        match &wanted.by {
            By::Anything => {}
            By::AreaCode(code) => query.push(("filter[national_destination_code]", code.clone())),
            By::City(city) => query.push(("filter[locality]", city.clone())),
            By::Contains(digits) => query.push(("filter[phone_number][contains]", digits.clone())),
            By::Number(number) => query.push((
                "filter[phone_number][contains]",
                number.to_string().trim_start_matches("+1").to_owned(),
            )),
        }
        let answer = self.get("/available_phone_numbers", &query).await?;
        let offers = list(&answer, "/data").iter();
        Ok(offers.filter_map(|offer| read_offer(offer, wanted)).collect())
    }

    async fn ask_find(&self, purchase: &Purchase) -> Result<Found, NotDone> {
        let number = purchase.number.to_string();
        let answer = self.get("/phone_numbers", &[("filter[phone_number]", number.clone())]).await?;
        let found =
            list(&answer, "/data").iter().filter(|one| text(one, "/phone_number").as_ref() == Some(&number));
        for one in found {
            // One of another purchase of ours is that purchase's; one without our name is this one's.
            let name = text(one, "/customer_reference").unwrap_or_default();
            if name.starts_with("po_") && name != purchase.id {
                continue;
            }
            match text(one, "/status").as_deref() {
                Some("deleted" | "ported-out" | "port-failed") => {}
                Some("purchase-failed") => {
                    return Ok(Found::Failed("the carrier could not buy it".to_owned()));
                }
                Some("purchase-pending") => return Ok(Found::Pending(id(one, "/id")?)),
                _ => return Ok(Found::Ours(Held { reference: id(one, "/id")?, sms: None })),
            }
        }
        let query = [("filter[customer_reference]", purchase.id.clone())];
        let answer = self.get("/number_orders", &query).await?;
        let order = list(&answer, "/data")
            .iter()
            .find(|order| text(order, "/customer_reference").as_ref() == Some(&purchase.id));
        let Some(order) = order else { return Ok(Found::Nothing) };
        Ok(match text(order, "/status").as_deref() {
            Some("failure") => Found::Failed("the carrier's order failed".to_owned()),
            // Done, but the number is not listed yet; or not done yet.
            _ => Found::Pending(id(order, "/id")?),
        })
    }

    async fn ask_point(&self, held: HeldNumber<'_>) -> Result<(), NotDone> {
        if let Some(connection) = self.setting("connection_id") {
            let path = format!("/phone_numbers/{}", held.reference);
            self.set(Method::PATCH, &path, &json!({"connection_id": connection})).await?;
        }
        if let Some(profile) = self.setting("messaging_profile_id").filter(|_| held.sms) {
            let path = format!("/phone_numbers/{}/messaging", held.reference);
            self.set(Method::PATCH, &path, &json!({"messaging_profile_id": profile})).await?;
        }
        Ok(())
    }
}

impl Carrier for Account {
    fn search<'a>(&'a self, wanted: &'a Wanted) -> Asked<'a, Vec<Offer>> {
        Box::pin(self.ask_search(wanted))
    }

    fn price<'a>(&'a self, _: &'a str, _: NumberKind) -> Asked<'a, Option<Fee>> {
        // It stands with each number of a search.
        at_once(Ok(None))
    }

    fn buy<'a>(&'a self, purchase: &'a Purchase) -> Asked<'a, Bought> {
        Box::pin(async move {
            let mut body = json!({
                "phone_numbers": [{"phone_number": purchase.number}], "customer_reference": purchase.id,
            });
            for name in ["connection_id", "messaging_profile_id"] {
                if let Some(value) = self.setting(name) {
                    body[name] = json!(value);
                }
            }
            let answer = self.post("/number_orders", &body).await?;
            let order = id(&answer, "/data/id")?;
            match text(&answer, "/data/status").as_deref() {
                Some("failure") => {
                    let says = "the order failed".to_owned();
                    Err(NotDone::Refused { code: "failure".to_owned(), says })
                }
                _ => Ok(Bought::Ordered(order)),
            }
        })
    }

    fn find<'a>(&'a self, purchase: &'a Purchase) -> Asked<'a, Found> {
        Box::pin(self.ask_find(purchase))
    }

    fn point<'a>(&'a self, held: HeldNumber<'a>) -> Asked<'a, ()> {
        Box::pin(self.ask_point(held))
    }

    fn release<'a>(&'a self, held: HeldNumber<'a>) -> Asked<'a, ()> {
        Box::pin(async move {
            let path = format!("/phone_numbers/{}", held.reference);
            match again(words, || self.request(Method::DELETE, &path, None)).await {
                Ok(_) => Ok(()),
                // It is gone already: its code of "resource not found", or the bare status.
                Err(NotDone::Refused { code, .. }) if code == "10005" || code == "404" => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn register<'a>(
        &'a self,
        registration: &'a Registration,
        _: &'a BTreeMap<E164, String>,
    ) -> Asked<'a, Progress> {
        Box::pin(self.step(registration))
    }

    fn transfer<'a>(&'a self, _: &'a Transfer) -> Asked<'a, TransferProgress> {
        at_once(Err(NotDone::NotSupported(
            "Order the port in the carrier's portal, and tell here how it is getting on.",
        )))
    }

    fn test(&self) -> Asked<'_, String> {
        Box::pin(async move {
            let answer = self.get("/phone_numbers", &[("page[size]", "1".to_owned())]).await?;
            let count = said(&answer, "/meta/total_results").unwrap_or_else(|| "some".to_owned());
            Ok(format!("an account that holds {count} numbers"))
        })
    }
}

pub(super) fn words(answer: &Value) -> (Option<String>, Option<String>) {
    let says = said(answer, "/errors/0/detail").or_else(|| said(answer, "/errors/0/title"));
    (said(answer, "/errors/0/code"), says)
}

fn read_offer(offer: &Value, wanted: &Wanted) -> Option<Offer> {
    let number = E164::parse(&text(offer, "/phone_number")?).ok()?;
    let can =
        |name: &str| list(offer, "/features").iter().any(|one| text(one, "/name").as_deref() == Some(name));
    let region = |kind: &str| {
        let all = list(offer, "/region_information").iter();
        let mut of_kind = all.filter(|one| text(one, "/region_type").as_deref() == Some(kind));
        of_kind.find_map(|one| text(one, "/region_name"))
    };
    let fee = said(offer, "/cost_information/monthly_cost").zip(text(offer, "/cost_information/currency"));
    let facts = NumberFacts {
        country: Some(region("country_code").unwrap_or_else(|| wanted.country.clone())),
        city: region("location").or_else(|| region("rate_center")),
        region: region("state"),
        kind: Some(wanted.kind),
        capabilities: Some(Capabilities { voice: can("voice"), sms: can("sms"), mms: can("mms") }),
        monthly_fee: fee.map(|(amount, currency)| Fee { amount, currency }),
        ..NumberFacts::default()
    };
    Some(Offer { number, facts })
}
