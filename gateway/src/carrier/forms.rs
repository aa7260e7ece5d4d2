//! The forms of registrations: one set of fields for all carriers, and what of it each kind needs.

use std::collections::BTreeMap;

use serde::Serialize;
use vestibule_config::carrier::RegistrationKind;

use super::contract::NotDone;

/// A field of a form.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub struct FormField {
    /// Its name.
    pub name: &'static str,
    /// What is asked.
    pub what: &'static str,
    /// Needed for a local registration (A2P 10DLC).
    pub ten_dlc: bool,
    /// Needed for a toll-free verification.
    pub toll_free: bool,
}

const fn field(name: &'static str, what: &'static str, ten_dlc: bool, toll_free: bool) -> FormField {
    FormField { name, what, ten_dlc, toll_free }
}

/// Every field.
pub const FIELDS: &[FormField] = &[
    field("business_name", "the business's legal name", true, true),
    field("display_name", "the name that customers know it by, where it is another", false, false),
    field(
        "entity_type",
        "PRIVATE_PROFIT, PUBLIC_PROFIT, NON_PROFIT, GOVERNMENT or SOLE_PROPRIETOR",
        true,
        false,
    ),
    field("vertical", "the line of business, for example RETAIL or TECHNOLOGY", true, false),
    field("registration_number", "the tax or registration number (EIN)", true, false),
    field("website", "https://…, which must say how customers agree to texts", true, true),
    field("email", "where the carrier writes to", true, true),
    field("street", "street and number", true, true),
    field("city", "city", true, true),
    field("region", "state or province, two letters", true, true),
    field("postal_code", "postal code", true, true),
    field("country", "country, two letters", true, true),
    field("contact_first_name", "first name of the person to ask", false, true),
    field("contact_last_name", "last name of the person to ask", false, true),
    field("contact_phone", "telephone of the person to ask, +1…", true, true),
    field(
        "use_case",
        "what texts are for, in the carrier's own words, for example CUSTOMER_CARE",
        true,
        true,
    ),
    field("description", "what texts are sent, and why", true, true),
    field("message_flow", "how customers agree to texts", true, true),
    field("sample_1", "a text as it would be sent; it names the business", true, true),
    field("sample_2", "another one", true, false),
    field("sample_3", "another one", false, false),
    field("opt_in_type", "VERBAL, WEB_FORM, PAPER_FORM, VIA_TEXT or MOBILE_QR_CODE", false, true),
    field(
        "opt_in_image_urls",
        "addresses of pictures that show how customers agree; separated by commas",
        false,
        true,
    ),
    field("opt_in_keywords", "words that customers send to agree; separated by commas", false, false),
    field("opt_in_message", "what is answered to these", false, false),
    field("opt_out_message", "what is answered to STOP", false, false),
    field("help_message", "what is answered to HELP", false, false),
    field("message_volume", "texts a month: 10, 100, 1,000, 10,000, 100,000 …", false, true),
    field("embedded_links", "whether texts hold links: yes or no", false, false),
    field("embedded_phone", "whether texts hold telephone numbers: yes or no", false, false),
    field("age_gated", "whether texts are for adults only: yes or no", false, false),
    field("direct_lending", "whether texts are about loans: yes or no", false, false),
    field("privacy_url", "the privacy policy", false, false),
    field("terms_url", "the terms and conditions", false, false),
    field("additional_information", "anything else that the carrier should know", false, false),
];

/// Longest value of a field, characters.
const VALUE_MAX: usize = 4000;

/// What is wrong with a form; empty when nothing is.
pub fn faults(kind: RegistrationKind, form: &BTreeMap<String, String>) -> Vec<String> {
    let mut all = Vec::new();
    for (name, value) in form {
        if !FIELDS.iter().any(|field| field.name == name) {
            all.push(format!("there is no field {name}"));
        }
        if value.chars().count() > VALUE_MAX {
            all.push(format!("{name} is longer than {VALUE_MAX} characters"));
        }
    }
    for field in FIELDS {
        let needed = match kind {
            RegistrationKind::TenDlc => field.ten_dlc,
            RegistrationKind::TollFree => field.toll_free,
        };
        if needed && form.get(field.name).is_none_or(|value| value.trim().is_empty()) {
            all.push(format!("{} is missing: {}", field.name, field.what));
        }
    }
    all
}

/// What was filled in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form<'a>(pub(super) &'a BTreeMap<String, String>);

impl Form<'_> {
    /// A field, where it is filled in.
    pub(super) fn said(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A field that this carrier cannot do without.
    pub(super) fn needed(&self, name: &str) -> Result<String, NotDone> {
        self.said(name).ok_or_else(|| NotDone::NotSetUp(format!("the form's {name} is missing")))
    }

    /// A field that says yes or no.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.said(name).is_some_and(|value| matches!(value.to_lowercase().as_str(), "yes" | "true" | "1"))
    }

    /// A field that holds several.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let value = self.said(name).unwrap_or_default();
        value.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
    }

    /// The sample messages; the first one is needed.
    pub(super) fn samples(&self) -> Result<Vec<String>, NotDone> {
        let first = self.needed("sample_1")?;
        let others = ["sample_2", "sample_3"].into_iter().filter_map(|name| self.said(name));
        Ok(std::iter::once(first).chain(others).collect())
    }
}
