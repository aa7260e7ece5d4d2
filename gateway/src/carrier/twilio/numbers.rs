//! Numbers at Twilio: API of 2010-04-01, forms in, JSON out. A purchase is done when it is answered.

use std::{collections::BTreeMap, sync::Arc};

use reqwest::{Client, RequestBuilder};
use serde_json::Value;
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
    Field { name: "account_sid", what: "the account's SID, AC…", required: true, secret: false },
    Field {
        name: "key_sid",
        what: "the SID of an API key, SK…; without one the secret is the auth token",
        required: false,
        secret: false,
    },
    Field {
        name: "secret",
        what: "the API key's secret, or the account's auth token",
        required: true,
        secret: true,
    },
    Field {
        name: "trunk_sid",
        what: "the SIP trunk that leads to this gateway, TK…; without one voice is pointed by hand",
        required: false,
        secret: false,
    },
    Field {
        name: "sms_url",
        what: "this gateway's webhook for texts, https://…/webhooks/…",
        required: false,
        secret: false,
    },
    Field {
        name: "customer_profile_sid",
        what: "the approved customer profile (Trust Hub), BU…; for local registrations",
        required: false,
        secret: false,
    },
    Field {
        name: "a2p_profile_sid",
        what: "the A2P messaging profile (Trust Hub), BU…; for local registrations",
        required: false,
        secret: false,
    },
    Field {
        name: "api",
        what: "where the API is, when not at https://api.twilio.com",
        required: false,
        secret: false,
    },
    Field {
        name: "messaging_api",
        what: "where the messaging API is, when not at https://messaging.twilio.com",
        required: false,
        secret: false,
    },
    Field {
        name: "pricing_api",
        what: "where the pricing API is, when not at https://pricing.twilio.com",
        required: false,
        secret: false,
    },
];

/// An account.
pub(in crate::carrier) struct Account {
    pub(super) client: Client,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) secret: String,
}

/// The adapter of an account.
pub(in crate::carrier) fn open(
    client: &Client,
    account: &CarrierAccount,
    secrets: &BTreeMap<String, String>,
) -> Arc<dyn Carrier> {
    let secret = secrets.get("secret").cloned().unwrap_or_default();
    Arc::new(Account { client: client.clone(), settings: account.settings.clone(), secret })
}

impl Account {
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn sid(&self) -> &str {
        self.setting("account_sid").unwrap_or_default()
    }

    fn base(&self, name: &str, default: &str) -> String {
        self.setting(name).unwrap_or(default).trim_end_matches('/').to_owned()
    }

    /// An address of the account.
    fn at(&self, path: &str) -> String {
        format!("{}/2010-04-01/Accounts/{}{path}", self.base("api", "https://api.twilio.com"), self.sid())
    }

    /// An address of the messaging API.
    pub(super) fn messaging(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.base("messaging_api", "https://messaging.twilio.com"))
    }

    fn proven(&self, request: RequestBuilder) -> RequestBuilder {
        request.basic_auth(self.setting("key_sid").unwrap_or(self.sid()), Some(&self.secret))
    }

    pub(super) async fn get(&self, url: &str, query: &[(&str, String)]) -> Result<Value, NotDone> {
        let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let url = if query.is_empty() { url.to_owned() } else { format!("{url}?{query}") };
        again(words, || self.proven(self.client.get(&url))).await
    }

    fn form(&self, url: &str, form: &[(&str, String)]) -> RequestBuilder {
        let pairs = form.iter().map(|(name, value)| (*name, value.as_str()));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded");
        self.proven(request.body(body))
    }

    /// For what makes something new.
    pub(super) async fn post(&self, url: &str, form: &[(&str, String)]) -> Result<Value, NotDone> {
        once(words, self.form(url, form)).await
    }

    /// For what makes something as it is to be.
    pub(super) async fn set(&self, url: &str, form: &[(&str, String)]) -> Result<Value, NotDone> {
        again(words, || self.form(url, form)).await
    }

    /// Where calls and texts are to go.
    fn targets(&self) -> Vec<(&'static str, String)> {
        let mut form = Vec::new();
        if let Some(trunk) = self.setting("trunk_sid") {
            form.push(("TrunkSid", trunk.to_owned()));
        }
        if let Some(url) = self.setting("sms_url") {
            form.push(("SmsUrl", url.to_owned()));
            form.push(("SmsMethod", "POST".to_owned()));
        }
        form
    }

    async fn ask_search(&self, wanted: &Wanted) -> Result<Vec<Offer>, NotDone> {
        let kind = match wanted.kind {
            NumberKind::Local => "Local",
            NumberKind::TollFree => "TollFree",
        };
        let yes = || "true".to_owned();
        let mut query = vec![("VoiceEnabled", yes()), ("PageSize", "100".to_owned())];
        for (name, wanted) in [("SmsEnabled", wanted.sms), ("MmsEnabled", wanted.mms)] {
            if wanted {
                query.push((name, yes()));
            }
        }
        match &wanted.by {
            By::Anything => {}
            By::AreaCode(code) => query.push(("AreaCode", code.clone())),
            By::City(city) => query.push(("InLocality", city.clone())),
            By::Contains(digits) => query.push(("Contains", digits.clone())),
            By::Number(number) => {
                query.push(("Contains", number.to_string().trim_start_matches("+1").to_owned()))
            }
        }
        let url = self.at(&format!("/AvailablePhoneNumbers/{}/{kind}.json", wanted.country));
        let answer = self.get(&url, &query).await?;
        let offers = list(&answer, "/available_phone_numbers").iter();
        Ok(offers.filter_map(|offer| read_offer(offer, wanted.kind)).collect())
    }

    async fn ask_find(&self, purchase: &Purchase) -> Result<Found, NotDone> {
        let number = purchase.number.to_string();
        let url = self.at("/IncomingPhoneNumbers.json");
        let answer =
            self.get(&url, &[("PhoneNumber", number.clone()), ("PageSize", "20".to_owned())]).await?;
        let found = list(&answer, "/incoming_phone_numbers").iter();
        let ours = found.filter(|one| text(one, "/phone_number").as_ref() == Some(&number)).find(|one| {
            // One of another purchase of ours is that purchase's; one without our name is this one's.
            let name = text(one, "/friendly_name").unwrap_or_default();
            !name.starts_with("po_") || name == purchase.id
        });
        Ok(match ours {
            Some(one) => Found::Ours(read_held(one)?),
            None => Found::Nothing,
        })
    }
}

impl Carrier for Account {
    fn search<'a>(&'a self, wanted: &'a Wanted) -> Asked<'a, Vec<Offer>> {
        Box::pin(self.ask_search(wanted))
    }

    fn price<'a>(&'a self, country: &'a str, kind: NumberKind) -> Asked<'a, Option<Fee>> {
        Box::pin(async move {
            let base = self.base("pricing_api", "https://pricing.twilio.com");
            let answer = self.get(&format!("{base}/v1/PhoneNumbers/Countries/{country}"), &[]).await?;
            let wanted = match kind {
                NumberKind::Local => "local",
                NumberKind::TollFree => "toll free",
            };
            let prices = list(&answer, "/phone_number_prices").iter();
            let price = prices.filter(|price| text(price, "/number_type").as_deref() == Some(wanted));
            let amount = price.filter_map(|price| said(price, "/current_price")).next();
            let currency = text(&answer, "/price_unit").map(|unit| unit.to_uppercase());
            Ok(amount.zip(currency).map(|(amount, currency)| Fee { amount, currency }))
        })
    }

    fn buy<'a>(&'a self, purchase: &'a Purchase) -> Asked<'a, Bought> {
        Box::pin(async move {
            let mut form =
                vec![("PhoneNumber", purchase.number.to_string()), ("FriendlyName", purchase.id.clone())];
            form.extend(self.targets());
            let answer = self.post(&self.at("/IncomingPhoneNumbers.json"), &form).await?;
            read_held(&answer).map(Bought::Done)
        })
    }

    fn find<'a>(&'a self, purchase: &'a Purchase) -> Asked<'a, Found> {
        Box::pin(self.ask_find(purchase))
    }

    fn point<'a>(&'a self, held: HeldNumber<'a>) -> Asked<'a, ()> {
        Box::pin(async move {
            let form = self.targets();
            if form.is_empty() {
                return Ok(());
            }
            let url = self.at(&format!("/IncomingPhoneNumbers/{}.json", held.reference));
            self.set(&url, &form).await.map(|_| ())
        })
    }

    fn release<'a>(&'a self, held: HeldNumber<'a>) -> Asked<'a, ()> {
        Box::pin(async move {
            let url = self.at(&format!("/IncomingPhoneNumbers/{}.json", held.reference));
            match again(words, || self.proven(self.client.delete(&url))).await {
                Ok(_) => Ok(()),
                // It is gone already: 20404, or the bare status.
                Err(NotDone::Refused { code, .. }) if code == "20404" || code == "404" => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn register<'a>(
        &'a self,
        registration: &'a Registration,
        references: &'a BTreeMap<E164, String>,
    ) -> Asked<'a, Progress> {
        Box::pin(self.step(registration, references))
    }

    fn transfer<'a>(&'a self, _: &'a Transfer) -> Asked<'a, TransferProgress> {
        at_once(Err(NotDone::NotSupported(
            "Order the port in the carrier's console, and tell here how it is getting on.",
        )))
    }

    fn test(&self) -> Asked<'_, String> {
        Box::pin(async move {
            let answer = self.get(&self.at(".json"), &[]).await?;
            Ok(text(&answer, "/friendly_name").unwrap_or_else(|| self.sid().to_owned()))
        })
    }
}

pub(super) fn words(answer: &Value) -> (Option<String>, Option<String>) {
    (said(answer, "/code"), said(answer, "/message"))
}

fn read_held(answer: &Value) -> Result<Held, NotDone> {
    let sms = answer.pointer("/capabilities").and_then(|can| can.get("sms").or(can.get("SMS")));
    Ok(Held { reference: id(answer, "/sid")?, sms: sms.and_then(Value::as_bool) })
}

fn read_offer(offer: &Value, kind: NumberKind) -> Option<Offer> {
    let number = E164::parse(&text(offer, "/phone_number")?).ok()?;
    let can = |name: &str| {
        let all = offer.get("capabilities");
        let one = all.and_then(|all| all.get(name).or_else(|| all.get(name.to_uppercase())));
        one.and_then(Value::as_bool).unwrap_or(false)
    };
    let facts = NumberFacts {
        country: text(offer, "/iso_country"),
        city: text(offer, "/locality"),
        region: text(offer, "/region"),
        kind: Some(kind),
        capabilities: Some(Capabilities { voice: can("voice"), sms: can("sms"), mms: can("mms") }),
        ..NumberFacts::default()
    };
    Some(Offer { number, facts })
}
