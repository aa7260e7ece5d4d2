//! Registrations at Telnyx: brand, campaign and numbers for A2P 10DLC; the verification of a toll-free number.
//!
//! Each step looks whether what it would make is there already: an answer that was lost costs no second fee.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Map, Value, json};
use vestibule_config::carrier::{Attachment, Registration, RegistrationKind, RegistrationState};
use vestibule_routing::address::E164;

use super::{
    super::{
        ask::{id, list, text},
        contract::{NotDone, Progress},
        forms::Form,
    },
    numbers::Account,
};

const BRAND: &str = "brand";
const CAMPAIGN: &str = "campaign";
const VERIFICATION: &str = "verification";

impl Account {
    /// The next step of a registration.
    pub(super) async fn step(&self, registration: &Registration) -> Result<Progress, NotDone> {
        match registration.kind {
            RegistrationKind::TollFree => self.verify(registration).await,
            RegistrationKind::TenDlc => self.campaign(registration).await,
        }
    }

    async fn campaign(&self, registration: &Registration) -> Result<Progress, NotDone> {
        let Some(brand) = registration.known.get(BRAND) else {
            return Ok(learnt(BRAND, self.brand(registration).await?));
        };
        let path = format!("/10dlc/brand/{brand}");
        if let Some(state) = brand_state(&self.get(&path, &[]).await?) {
            if matches!(state, RegistrationState::Rejected { .. }) && registration.corrected {
                self.set(Method::PUT, &path, &brand_body(registration)?).await?;
                let state = Some(RegistrationState::Submitted);
                return Ok(Progress { state, corrected: true, ..Progress::default() });
            }
            return Ok(Progress { state: Some(state), ..Progress::default() });
        }
        let Some(campaign) = registration.known.get(CAMPAIGN) else {
            let there = self.get("/10dlc/campaign", &[("brandId", brand.clone())]).await?;
            let same = |one: &&Value| text(one, "/referenceId").as_ref() == Some(&registration.id);
            let made = match list(&there, "/records").iter().find(same) {
                Some(one) => id(one, "/campaignId")?,
                None => {
                    let body = campaign_body(registration, brand)?;
                    id(&self.post("/10dlc/campaignBuilder", &body).await?, "/campaignId")?
                }
            };
            return Ok(Progress { corrected: true, ..learnt(CAMPAIGN, made) });
        };
        let path = format!("/10dlc/campaign/{campaign}");
        if registration.corrected {
            let form = Form(&registration.form);
            let mut body = json!({"messageFlow": form.needed("message_flow")?});
            put_samples(&mut body, &form)?;
            self.set(Method::PUT, &path, &body).await?;
            let state = Some(RegistrationState::Submitted);
            return Ok(Progress { state, corrected: true, ..Progress::default() });
        }
        let state = campaign_state(&self.get(&path, &[]).await?);
        if state != RegistrationState::Approved {
            return Ok(Progress { state: Some(state), ..Progress::default() });
        }
        let numbers = self.attach(registration, campaign).await?;
        let more = numbers.iter().any(|(_, one)| *one != Attachment::Asked);
        Ok(Progress { numbers, state: Some(state), more, ..Progress::default() })
    }

    async fn brand(&self, registration: &Registration) -> Result<String, NotDone> {
        let body = brand_body(registration)?;
        let name = text(&body, "/displayName").unwrap_or_default();
        let query = [("displayName", name.clone()), ("recordsPerPage", "100".to_owned())];
        let there = self.get("/10dlc/brand", &query).await?;
        let same = |one: &&Value| {
            text(one, "/displayName").as_ref() == Some(&name)
                && text(one, "/companyName")
                    .is_none_or(|company| Some(company) == text(&body, "/companyName"))
        };
        match list(&there, "/records").iter().find(same) {
            Some(one) => id(one, "/brandId"),
            None => id(&self.post("/10dlc/brand", &body).await?, "/brandId"),
        }
    }

    /// Attaches the next number that is not asked for yet, or looks after those that are. A number that is refused is
    /// told as such: it keeps no other from its turn.
    async fn attach(
        &self,
        registration: &Registration,
        campaign: &str,
    ) -> Result<Vec<(E164, Attachment)>, NotDone> {
        let of = |wanted: Attachment| {
            registration.numbers.iter().filter(move |(_, one)| **one == wanted).map(|(number, _)| *number)
        };
        if let Some(number) = of(Attachment::Waiting).next() {
            let body = json!({"phoneNumber": number, "campaignId": campaign});
            let answer = self.set(Method::POST, "/10dlc/phone_number_campaigns", &body).await;
            let attachment = match answer {
                Ok(answer) => attachment(&answer),
                Err(NotDone::Refused { .. }) => Attachment::Refused,
                Err(error) => return Err(error),
            };
            return Ok(vec![(number, attachment)]);
        }
        let mut numbers = Vec::new();
        for number in of(Attachment::Asked) {
            let path = format!("/10dlc/phone_number_campaigns/{}", encoded(&number.to_string()));
            match self.get(&path, &[]).await {
                Ok(answer) => numbers.push((number, attachment(&answer))),
                // Not to be seen yet: it is looked for again.
                Err(NotDone::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(numbers)
    }

    async fn verify(&self, registration: &Registration) -> Result<Progress, NotDone> {
        let path = "/messaging_tollfree/verification/requests";
        let Some(verification) = registration.known.get(VERIFICATION) else {
            let number = registration.numbers.keys().next().copied();
            let number =
                number.ok_or_else(|| NotDone::NotSetUp("the registration has no number".to_owned()))?;
            let query = [
                ("page", "1".to_owned()),
                ("page_size", "20".to_owned()),
                ("phone_number", number.to_string()),
            ];
            let there = self.get(path, &query).await?;
            let of_number = |one: &&Value| {
                list(one, "/phoneNumbers")
                    .iter()
                    .any(|held| text(held, "/phoneNumber") == Some(number.to_string()))
            };
            let made = match list(&there, "/records").iter().find(of_number) {
                Some(one) => id(one, "/id")?,
                None => id(&self.post(path, &verification_body(registration, number)?).await?, "/id")?,
            };
            return Ok(Progress { corrected: true, ..learnt(VERIFICATION, made) });
        };
        let path = format!("{path}/{verification}");
        if let Some(number) = registration.numbers.keys().next().filter(|_| registration.corrected) {
            self.set(Method::PATCH, &path, &verification_body(registration, *number)?).await?;
            let state = Some(RegistrationState::Submitted);
            return Ok(Progress { state, corrected: true, ..Progress::default() });
        }
        let state = verification_state(&self.get(&path, &[]).await?);
        let approved = state == RegistrationState::Approved;
        let numbers = registration.numbers.keys().filter(|_| approved);
        let numbers = numbers.map(|number| (*number, Attachment::Attached)).collect();
        Ok(Progress { numbers, state: Some(state), ..Progress::default() })
    }
}

fn learnt(name: &'static str, value: String) -> Progress {
    Progress { known: vec![(name, value)], more: true, ..Progress::default() }
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// None when it is there, and there is more to do.
fn brand_state(answer: &Value) -> Option<RegistrationState> {
    match (text(answer, "/status").as_deref(), text(answer, "/identityStatus").as_deref()) {
        (Some("REGISTRATION_FAILED"), _) => Some(rejected(answer)),
        (Some("REGISTRATION_PENDING"), _) => Some(RegistrationState::Submitted),
        (_, Some("UNVERIFIED")) => Some(RegistrationState::InReview),
        _ => None,
    }
}

fn campaign_state(answer: &Value) -> RegistrationState {
    match text(answer, "/campaignStatus").as_deref() {
        Some("MNO_PROVISIONED") => RegistrationState::Approved,
        Some("TCR_FAILED" | "TELNYX_FAILED" | "MNO_REJECTED" | "MNO_PROVISIONING_FAILED") => rejected(answer),
        Some("TCR_SUSPENDED" | "TCR_EXPIRED") => RegistrationState::Suspended,
        Some("TCR_PENDING") => RegistrationState::Submitted,
        _ => RegistrationState::InReview,
    }
}

fn rejected(answer: &Value) -> RegistrationState {
    RegistrationState::Rejected {
        reasons: text(answer, "/failureReasons").into_iter().collect(),
        editable_until: None,
    }
}

fn attachment(answer: &Value) -> Attachment {
    match text(answer, "/assignmentStatus").as_deref() {
        Some("ASSIGNED") => Attachment::Attached,
        Some("FAILED_ASSIGNMENT") => Attachment::Refused,
        _ => Attachment::Asked,
    }
}

fn verification_state(answer: &Value) -> RegistrationState {
    let reasons = || text(answer, "/reason").into_iter().collect();
    match text(answer, "/verificationStatus").as_deref() {
        Some("Verified") => RegistrationState::Approved,
        Some("Rejected") => RegistrationState::Rejected { reasons: reasons(), editable_until: None },
        Some("Waiting For Customer") => {
            // The carrier names no day; a week is what carriers usually leave.
            let asked = text(answer, "/updatedAt").and_then(|at| at.parse::<Timestamp>().ok());
            let deadline = asked.unwrap_or_else(Timestamp::now) + SignedDuration::from_hours(7 * 24);
            RegistrationState::UpdateRequired { deadline, reasons: reasons() }
        }
        Some("In Progress") => RegistrationState::InReview,
        _ => RegistrationState::Submitted,
    }
}

/// Fields of the form under the names of the API.
fn put(body: &mut Value, form: &Form<'_>, fields: &[(&str, &str)]) {
    let Value::Object(map) = body else { return };
    for (name, field) in fields {
        if let Some(value) = form.said(field) {
            map.insert((*name).to_owned(), value.into());
        }
    }
}

fn put_samples(body: &mut Value, form: &Form<'_>) -> Result<(), NotDone> {
    for (index, sample) in form.samples()?.into_iter().enumerate() {
        body[format!("sample{}", index + 1)] = sample.into();
    }
    Ok(())
}

fn brand_body(registration: &Registration) -> Result<Value, NotDone> {
    let form = Form(&registration.form);
    let company = form.needed("business_name")?;
    let mut body = json!({
        "entityType": form.needed("entity_type")?,
        "displayName": form.said("display_name").unwrap_or_else(|| company.clone()),
        "companyName": company,
        "country": form.needed("country")?,
        "email": form.needed("email")?,
        "vertical": form.needed("vertical")?,
    });
    put(
        &mut body,
        &form,
        &[
            ("ein", "registration_number"),
            ("website", "website"),
            ("street", "street"),
            ("city", "city"),
            ("state", "region"),
            ("postalCode", "postal_code"),
            ("phone", "contact_phone"),
            ("firstName", "contact_first_name"),
            ("lastName", "contact_last_name"),
        ],
    );
    Ok(body)
}

fn campaign_body(registration: &Registration, brand: &str) -> Result<Value, NotDone> {
    let form = Form(&registration.form);
    let mut body = json!({
        "brandId": brand,
        "referenceId": registration.id,
        "usecase": form.needed("use_case")?,
        "description": form.needed("description")?,
        "messageFlow": form.needed("message_flow")?,
        "embeddedLink": form.flag("embedded_links"),
        "embeddedPhone": form.flag("embedded_phone"),
        "ageGated": form.flag("age_gated"),
        "directLending": form.flag("direct_lending"),
        "subscriberOptin": true,
        "subscriberOptout": true,
        "subscriberHelp": true,
        "termsAndConditions": true,
    });
    put_samples(&mut body, &form)?;
    put(
        &mut body,
        &form,
        &[
            ("optinMessage", "opt_in_message"),
            ("optinKeywords", "opt_in_keywords"),
            ("optoutMessage", "opt_out_message"),
            ("helpMessage", "help_message"),
            ("privacyPolicyLink", "privacy_url"),
            ("termsAndConditionsLink", "terms_url"),
        ],
    );
    Ok(body)
}

fn verification_body(registration: &Registration, number: E164) -> Result<Value, NotDone> {
    let form = Form(&registration.form);
    let mut body = Map::new();
    for (name, field) in [
        ("businessName", "business_name"),
        ("corporateWebsite", "website"),
        ("businessAddr1", "street"),
        ("businessCity", "city"),
        ("businessState", "region"),
        ("businessZip", "postal_code"),
        ("businessContactFirstName", "contact_first_name"),
        ("businessContactLastName", "contact_last_name"),
        ("businessContactEmail", "email"),
        ("businessContactPhone", "contact_phone"),
        ("messageVolume", "message_volume"),
        ("useCase", "use_case"),
        ("useCaseSummary", "description"),
        ("productionMessageContent", "sample_1"),
        ("optInWorkflow", "message_flow"),
    ] {
        body.insert(name.to_owned(), form.needed(field)?.into());
    }
    let pictures: Vec<Value> =
        form.list("opt_in_image_urls").into_iter().map(|url| json!({"url": url})).collect();
    body.insert("optInWorkflowImageURLs".to_owned(), pictures.into());
    body.insert("phoneNumbers".to_owned(), json!([{"phoneNumber": number}]));
    let more = form.said("additional_information").unwrap_or_default();
    body.insert("additionalInformation".to_owned(), more.into());
    let mut body = Value::Object(body);
    put(
        &mut body,
        &form,
        &[
            ("privacyPolicyURL", "privacy_url"),
            ("termsAndConditionURL", "terms_url"),
            ("businessRegistrationNumber", "registration_number"),
        ],
    );
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::{Json, Router, http::StatusCode, routing::any};
    use tokio::net::TcpListener;
    use vestibule_config::carrier::CarrierAccount;

    use super::*;
    use crate::carrier::telnyx::numbers::open;

    const REFUSED: &str = "+14155550101";
    const TAKEN: &str = "+14155550102";

    /// A carrier whose campaign is approved, that refuses one number, and does not show the other at first.
    async fn carrier() -> String {
        let numbers = any(|method: Method, body: String| async move {
            let refusal = json!({"errors": [{"code": "10015", "title": "not yours"}]});
            match method.as_str() {
                "POST" if body.contains(REFUSED) => (StatusCode::UNPROCESSABLE_ENTITY, Json(refusal)),
                "POST" => (StatusCode::OK, Json(json!({"assignmentStatus": "PENDING_ASSIGNMENT"}))),
                _ => (StatusCode::NOT_FOUND, Json(refusal)),
            }
        });
        let router = Router::new()
            .route(
                "/10dlc/brand/{id}",
                any(async || Json(json!({"status": "OK", "identityStatus": "VERIFIED"}))),
            )
            .route("/10dlc/campaign/{id}", any(async || Json(json!({"campaignStatus": "MNO_PROVISIONED"}))))
            .route("/10dlc/phone_number_campaigns", numbers.clone())
            .route("/10dlc/phone_number_campaigns/{number}", numbers);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn a_number_that_is_refused_keeps_no_other_of_its_campaign_from_its_turn() {
        let account: CarrierAccount = serde_json::from_value(json!({
            "id": "tx", "kind": "telnyx", "name": "X", "settings": {"api": carrier().await},
            "secrets": [], "changed": "2026-01-01T00:00:00Z",
        }))
        .expect("an account");
        let asked = open(&reqwest::Client::new(), &account, &BTreeMap::new());
        let number = |text: &str| E164::parse(text).expect("a number");
        let mut registration = Registration {
            id: "rg_1".into(),
            carrier: "tx".into(),
            kind: RegistrationKind::TenDlc,
            form: BTreeMap::new(),
            numbers: [REFUSED, TAKEN].map(|text| (number(text), Attachment::Waiting)).into(),
            state: RegistrationState::InReview,
            known: [(BRAND, "B1"), (CAMPAIGN, "C1")]
                .map(|(name, id)| (name.to_owned(), id.to_owned()))
                .into(),
            corrected: false,
            by: "a test".into(),
            created: Timestamp::UNIX_EPOCH,
            changed: Timestamp::UNIX_EPOCH,
            detail: None,
        };
        for expected in [(REFUSED, Attachment::Refused), (TAKEN, Attachment::Asked)] {
            let progress = asked.register(&registration, &BTreeMap::new()).await.expect("an answer");
            assert_eq!(progress.numbers, [(number(expected.0), expected.1)]);
            registration.numbers.extend(progress.numbers);
        }
        let progress = asked.register(&registration, &BTreeMap::new()).await.expect("an answer");
        assert_eq!(progress.numbers, [], "what is not to be seen yet stays asked for");
        assert_eq!(progress.state, Some(RegistrationState::Approved));
    }
}
