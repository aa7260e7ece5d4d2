//! The list of numbers, which is the Voice page too: what calls do at each, and how far its texts are.

use askama::Template;
use axum::{Router, extract::Query, routing::get};
use serde::Deserialize;

use super::{Named, Number, carriers, ivr_names, ivrs, names_of, some_numbers};
use crate::{
    console::{
        Console,
        ask::{Desk, Shown},
        page,
        shell::{Section, Shell},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/numbers", get(show))
}

/// Rows of a page.
const ROWS: usize = 100;

/// What is looked for, as it stands in the address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Sought {
    /// Digits of the number, or a part of its place.
    q: String,
    carrier: String,
    voice: String,
    sms: String,
    /// Set-ups that are not done, when it is not empty.
    unfinished: String,
    after: String,
}

/// States of voice that can be chosen.
const VOICE: [(&str, &str); 7] = [
    ("owned_idle", "Voice is off"),
    ("direct_line", "Direct line"),
    ("ivr_linked", "IVR"),
    ("porting", "Being ported"),
    ("forwarding", "Being forwarded"),
    ("releasing", "Being given back"),
    ("released", "Given back"),
];

/// States of texts that can be chosen.
const SMS: [(&str, &str); 9] = [
    ("required", "Not registered"),
    ("submitted", "Handed in"),
    ("in_review", "In review"),
    ("update_required", "Correction asked for"),
    ("approved", "Approved"),
    ("rejected", "Rejected"),
    ("suspended", "Suspended"),
    ("off", "Off"),
    ("not_capable", "Calls only"),
];

impl Sought {
    fn parameters(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("q", self.q.trim()),
            ("carrier", &self.carrier),
            ("voice", &self.voice),
            ("sms", &self.sms),
            ("unfinished", &self.unfinished),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    fn takes(&self, number: &Number) -> bool {
        let is = |wanted: &str, has: Option<&str>| wanted.is_empty() || has == Some(wanted);
        let digits: String = self.q.chars().filter(char::is_ascii_digit).collect();
        let words = self.q.trim().to_lowercase();
        let named = words.is_empty()
            || (!digits.is_empty() && number.number.contains(&digits))
            || number.facts.place().to_lowercase().contains(&words);
        named
            && is(&self.carrier, number.facts.carrier.as_deref())
            && is(&self.voice, Some(&number.state))
            && is(&self.sms, Some(&number.sms.state))
            && (self.unfinished.is_empty() || number.setup.is_some())
    }

    fn page_after(&self, after: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.parameters()).append_pair("after", after);
        format!("/console/numbers?{}", query.finish())
    }
}

#[derive(Template)]
#[template(path = "numbers/list.html")]
struct ListPage {
    shell: Shell,
    sought: Sought,
    filtered: bool,
    rows: Vec<Number>,
    carriers: Named,
    ivrs: Named,
    more: Option<String>,
    may_buy: bool,
    may_edit: bool,
}

async fn show(desk: Desk, Query(sought): Query<Sought>) -> Shown {
    let (rows, next) = some_numbers(&desk, &sought.after, ROWS, |number| sought.takes(number)).await?;
    Ok(page::shown(ListPage {
        shell: desk.shell(Some(Section::Numbers), "Numbers & carriers").await?,
        filtered: !sought.parameters().is_empty() || !sought.after.is_empty(),
        more: next.map(|next| sought.page_after(&next)),
        sought,
        rows,
        carriers: names_of(&carriers(&desk).await?),
        ivrs: ivr_names(&ivrs(&desk).await?),
        may_buy: desk.may(Permission::NumbersBuy),
        may_edit: desk.may(Permission::NumbersEdit),
    }))
}
