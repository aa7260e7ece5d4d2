//! Registrations at Twilio: brand, messaging service, campaign and numbers for A2P 10DLC; the verification of a toll-free
//! number. The business itself is registered in Trust Hub beforehand.
//!
//! Each step looks whether what it would make is there already: an answer that was lost costs no second fee.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
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
const SERVICE: &str = "service";
const CAMPAIGN: &str = "campaign";
const VERIFICATION: &str = "verification";

type Pairs = Vec<(&'static str, String)>;

impl Account {
    /// The next step of a registration.
    pub(super) async fn step(
        &self,
        registration: &Registration,
        references: &BTreeMap<E164, String>,
    ) -> Result<Progress, NotDone> {
        match registration.kind {
            RegistrationKind::TollFree => self.verify(registration, references).await,
            RegistrationKind::TenDlc => self.campaign(registration, references).await,
        }
    }

    async fn campaign(
        &self,
        registration: &Registration,
        references: &BTreeMap<E164, String>,
    ) -> Result<Progress, NotDone> {
        let known = |name: &str| registration.known.get(name).cloned();
        let Some(brand) = known(BRAND) else { return Ok(learnt(BRAND, self.brand().await?)) };
        let answer = self.get(&self.messaging(&format!("a2p/BrandRegistrations/{brand}")), &[]).await?;
        if let Some(state) = brand_state(&answer) {
            let failed = matches!(state, RegistrationState::Rejected { .. });
            if failed && registration.corrected {
                // What was wrong is in the profile, and was mended there.
                self.set(&self.messaging(&format!("a2p/BrandRegistrations/{brand}")), &[]).await?;
                let state = Some(RegistrationState::Submitted);
                return Ok(Progress { state, corrected: true, ..Progress::default() });
            }
            return Ok(Progress { state: Some(state), ..Progress::default() });
        }
        let Some(service) = known(SERVICE) else {
            return Ok(learnt(SERVICE, self.service(registration).await?));
        };
        let base = self.messaging(&format!("Services/{service}/Compliance/Usa2p"));
        let Some(campaign) = known(CAMPAIGN) else {
            let there = self.get(&base, &[("PageSize", "20".to_owned())]).await?;
            let found = list(&there, "/compliance").iter().find_map(|one| text(one, "/sid"));
            let sid = match found {
                Some(sid) => sid,
                None => id(&self.post(&base, &campaign_form(registration, &brand)?).await?, "/sid")?,
            };
            return Ok(Progress { corrected: true, ..learnt(CAMPAIGN, sid) });
        };
        let url = format!("{base}/{campaign}");
        if registration.corrected {
            self.set(&url, &correction_form(registration)?).await?;
            let state = Some(RegistrationState::Submitted);
            return Ok(Progress { state, corrected: true, ..Progress::default() });
        }
        let answer = self.get(&url, &[]).await?;
        let state = campaign_state(&answer);
        if state != RegistrationState::Approved {
            return Ok(Progress { state: Some(state), ..Progress::default() });
        }
        let attached = self.attach(registration, references, &service).await?;
        let more = attached.is_some();
        Ok(Progress {
            numbers: attached.into_iter().collect(),
            state: Some(state),
            more,
            ..Progress::default()
        })
    }

    async fn brand(&self) -> Result<String, NotDone> {
        let setting = |name: &str| {
            let lacks =
                || NotDone::NotSetUp(format!("{name} is not set: make the profile in Trust Hub first"));
            self.setting(name).map(str::to_owned).ok_or_else(lacks)
        };
        let (customer, a2p) = (setting("customer_profile_sid")?, setting("a2p_profile_sid")?);
        let url = self.messaging("a2p/BrandRegistrations");
        let there = self.get(&url, &[("PageSize", "100".to_owned())]).await?;
        let same = |one: &&Value| {
            text(one, "/customer_profile_bundle_sid").as_ref() == Some(&customer)
                && text(one, "/a2p_profile_bundle_sid").as_ref() == Some(&a2p)
        };
        match list(&there, "/data").iter().find(same) {
            Some(one) => id(one, "/sid"),
            None => {
                let form = [("CustomerProfileBundleSid", customer), ("A2PProfileBundleSid", a2p)];
                id(&self.post(&url, &form).await?, "/sid")
            }
        }
    }

    async fn service(&self, registration: &Registration) -> Result<String, NotDone> {
        let name = format!("Vestibule {}", registration.id);
        let url = self.messaging("Services");
        let there = self.get(&url, &[("PageSize", "1000".to_owned())]).await?;
        let same = |one: &&Value| text(one, "/friendly_name").as_ref() == Some(&name);
        match list(&there, "/services").iter().find(same) {
            Some(one) => id(one, "/sid"),
            None => {
                let mut form = vec![("FriendlyName", name)];
                form.push(("UseInboundWebhookOnNumber", "true".to_owned()));
                id(&self.post(&url, &form).await?, "/sid")
            }
        }
    }

    /// Attaches the next number that is not yet.
    async fn attach(
        &self,
        registration: &Registration,
        references: &BTreeMap<E164, String>,
        service: &str,
    ) -> Result<Option<(E164, Attachment)>, NotDone> {
        let open = |one: &Attachment| matches!(one, Attachment::Waiting | Attachment::Asked);
        let Some((number, _)) = registration.numbers.iter().find(|(_, one)| open(one)) else {
            return Ok(None);
        };
        let Some(reference) = references.get(number) else { return Ok(Some((*number, Attachment::Refused))) };
        let url = self.messaging(&format!("Services/{service}/PhoneNumbers"));
        match self.set(&url, &[("PhoneNumberSid", reference.clone())]).await {
            Ok(_) => Ok(Some((*number, Attachment::Attached))),
            // It is in this service already.
            Err(NotDone::Refused { code, .. }) if code == "21710" => {
                Ok(Some((*number, Attachment::Attached)))
            }
            Err(NotDone::Refused { .. }) => Ok(Some((*number, Attachment::Refused))),
            Err(error) => Err(error),
        }
    }

    async fn verify(
        &self,
        registration: &Registration,
        references: &BTreeMap<E164, String>,
    ) -> Result<Progress, NotDone> {
        let url = self.messaging("Tollfree/Verifications");
        let Some(verification) = registration.known.get(VERIFICATION) else {
            let number = registration.numbers.keys().next().and_then(|number| references.get(number));
            let lacks = || NotDone::NotSetUp("the number is not held by this account".to_owned());
            let number = number.ok_or_else(lacks)?;
            let there = self.get(&url, &[("TollfreePhoneNumberSid", number.clone())]).await?;
            let found = list(&there, "/verifications").iter().find_map(|one| text(one, "/sid"));
            let sid = match found {
                Some(sid) => sid,
                None => {
                    let mut form = verification_form(registration)?;
                    form.push(("TollfreePhoneNumberSid", number.clone()));
                    form.push(("ExternalReferenceId", registration.id.clone()));
                    id(&self.post(&url, &form).await?, "/sid")?
                }
            };
            return Ok(Progress { corrected: true, ..learnt(VERIFICATION, sid) });
        };
        let url = format!("{url}/{verification}");
        if registration.corrected {
            self.set(&url, &verification_form(registration)?).await?;
            let state = Some(RegistrationState::Submitted);
            return Ok(Progress { state, corrected: true, ..Progress::default() });
        }
        let state = verification_state(&self.get(&url, &[]).await?);
        let approved = state == RegistrationState::Approved;
        let numbers = registration.numbers.keys().filter(|_| approved);
        let numbers = numbers.map(|number| (*number, Attachment::Attached)).collect();
        Ok(Progress { numbers, state: Some(state), ..Progress::default() })
    }
}

fn learnt(name: &'static str, sid: String) -> Progress {
    Progress { known: vec![(name, sid)], more: true, ..Progress::default() }
}

/// None when it is approved, and there is more to do.
fn brand_state(answer: &Value) -> Option<RegistrationState> {
    match text(answer, "/status").as_deref() {
        Some("APPROVED") => None,
        Some("FAILED" | "DELETION_PENDING" | "DELETION_FAILED") => {
            Some(RegistrationState::Rejected { reasons: reasons(answer), editable_until: None })
        }
        Some("SUSPENDED") => Some(RegistrationState::Suspended),
        Some("IN_REVIEW") => Some(RegistrationState::InReview),
        _ => Some(RegistrationState::Submitted),
    }
}

fn campaign_state(answer: &Value) -> RegistrationState {
    match text(answer, "/campaign_status").as_deref() {
        Some("VERIFIED") => RegistrationState::Approved,
        Some("FAILED") => RegistrationState::Rejected { reasons: reasons(answer), editable_until: None },
        Some("SUSPENDED") => RegistrationState::Suspended,
        _ => RegistrationState::InReview,
    }
}

fn verification_state(answer: &Value) -> RegistrationState {
    match text(answer, "/status").as_deref() {
        Some("TWILIO_APPROVED") => RegistrationState::Approved,
        Some("TWILIO_REJECTED") => {
            let allowed = answer.get("edit_allowed").and_then(Value::as_bool).unwrap_or(false);
            let until = text(answer, "/edit_expiration").and_then(|at| at.parse().ok());
            let editable_until = if allowed { until } else { Some(Timestamp::UNIX_EPOCH) };
            RegistrationState::Rejected { reasons: reasons(answer), editable_until }
        }
        Some("IN_REVIEW") => RegistrationState::InReview,
        _ => RegistrationState::Submitted,
    }
}

fn reasons(answer: &Value) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for pointer in ["/rejection_reason", "/failure_reason"] {
        all.extend(text(answer, pointer));
    }
    for one in list(answer, "/errors").iter().chain(list(answer, "/rejection_reasons")) {
        let said =
            ["/description", "/reason", "/message", "/error_code"].into_iter().find_map(|at| text(one, at));
        all.push(said.unwrap_or_else(|| one.to_string()));
    }
    all
}

fn campaign_form(registration: &Registration, brand: &str) -> Result<Pairs, NotDone> {
    let form = Form(&registration.form);
    let mut pairs =
        vec![("BrandRegistrationSid", brand.to_owned()), ("UsAppToPersonUsecase", form.needed("use_case")?)];
    pairs.extend(
        correction_form(registration)?
            .into_iter()
            .filter(|(name, _)| !matches!(*name, "AgeGated" | "DirectLending")),
    );
    for (name, field) in [
        ("OptInMessage", "opt_in_message"),
        ("OptOutMessage", "opt_out_message"),
        ("HelpMessage", "help_message"),
    ] {
        pairs.extend(form.said(field).map(|value| (name, value)));
    }
    pairs.extend(form.list("opt_in_keywords").into_iter().map(|word| ("OptInKeywords", word)));
    Ok(pairs)
}

fn correction_form(registration: &Registration) -> Result<Pairs, NotDone> {
    let form = Form(&registration.form);
    let mut pairs = vec![
        ("Description", form.needed("description")?),
        ("MessageFlow", form.needed("message_flow")?),
        ("HasEmbeddedLinks", form.flag("embedded_links").to_string()),
        ("HasEmbeddedPhone", form.flag("embedded_phone").to_string()),
        ("AgeGated", form.flag("age_gated").to_string()),
        ("DirectLending", form.flag("direct_lending").to_string()),
    ];
    pairs.extend(form.samples()?.into_iter().map(|sample| ("MessageSamples", sample)));
    for (name, field) in [("PrivacyPolicyUrl", "privacy_url"), ("TermsAndConditionsUrl", "terms_url")] {
        pairs.extend(form.said(field).map(|value| (name, value)));
    }
    Ok(pairs)
}

fn verification_form(registration: &Registration) -> Result<Pairs, NotDone> {
    let form = Form(&registration.form);
    let mut pairs = vec![
        ("BusinessName", form.needed("business_name")?),
        ("BusinessWebsite", form.needed("website")?),
        ("NotificationEmail", form.needed("email")?),
        ("UseCaseCategories", form.needed("use_case")?),
        ("UseCaseSummary", form.needed("description")?),
        ("ProductionMessageSample", form.needed("sample_1")?),
        ("OptInType", form.needed("opt_in_type")?),
        ("MessageVolume", form.needed("message_volume")?),
    ];
    pairs.extend(form.list("opt_in_image_urls").into_iter().map(|url| ("OptInImageUrls", url)));
    for (name, field) in [
        ("BusinessStreetAddress", "street"),
        ("BusinessCity", "city"),
        ("BusinessStateProvinceRegion", "region"),
        ("BusinessPostalCode", "postal_code"),
        ("BusinessCountry", "country"),
        ("BusinessContactFirstName", "contact_first_name"),
        ("BusinessContactLastName", "contact_last_name"),
        ("BusinessContactEmail", "email"),
        ("BusinessContactPhone", "contact_phone"),
        ("BusinessRegistrationNumber", "registration_number"),
        ("AdditionalInformation", "additional_information"),
        ("PrivacyPolicyUrl", "privacy_url"),
        ("TermsAndConditionsUrl", "terms_url"),
    ] {
        pairs.extend(form.said(field).map(|value| (name, value)));
    }
    Ok(pairs)
}
