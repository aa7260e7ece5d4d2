//! Numbers and carriers: what we hold and what calls do there, the set-up of voice step by step, texts, ports, accounts.
//!
//! All of it is asked of the API of numbers; nothing is decided here.

mod carriers;
mod list;
mod one;
mod own;
mod registrations;
mod release;
mod test_call;
mod transfers;
mod wizard;

use axum::Router;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Console, Refused,
    ask::{Desk, Shown},
    page,
    words::When,
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .merge(list::routes())
        .merge(one::routes())
        .merge(own::routes())
        .merge(release::routes())
        .merge(test_call::routes())
        .merge(wizard::routes())
        .merge(registrations::routes())
        .merge(transfers::routes())
        .merge(carriers::routes())
}

/// Records that one page of the API holds at most.
const PAGE: usize = 500;

/// Pages of the API that are looked through for one page of ours; what lies behind is reached by "more".
const PAGES_MAX: usize = 20;

/// A number, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
struct Number {
    number: String,
    state: String,
    sms: Status,
    initial_ivr: Option<String>,
    queue_ivr: Option<String>,
    queue_wait_seconds: Option<u32>,
    inbox: Option<String>,
    facts: Facts,
    setup: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// What is known of a number, held or for sale.
#[derive(Clone, Debug, Default, Deserialize)]
struct Facts {
    #[serde(default)]
    carrier: Option<String>,
    country: Option<String>,
    city: Option<String>,
    region: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    capabilities: Option<Capabilities>,
    monthly_fee: Option<Fee>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Capabilities {
    voice: bool,
    sms: bool,
    mms: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Fee {
    amount: String,
    currency: String,
}

/// How far a number, or a registration, is with texts.
#[derive(Clone, Debug, Deserialize)]
struct Status {
    state: String,
    deadline: Option<When>,
    #[serde(default)]
    reasons: Vec<String>,
    editable_until: Option<When>,
}

impl Status {
    /// The state as people read it, and its tone.
    fn words(&self) -> (&str, &'static str) {
        match self.state.as_str() {
            "not_capable" => ("Calls only", "plain"),
            "off" => ("Off", "plain"),
            "required" => ("Not registered", "warn"),
            "submitted" => ("Handed in", "live"),
            "in_review" => ("In review", "live"),
            "update_required" => ("Correction asked for", "bad"),
            "approved" => ("Approved", "good"),
            "rejected" => ("Rejected", "bad"),
            "suspended" => ("Suspended", "bad"),
            other => (other, "plain"),
        }
    }

    fn is(&self, state: &str) -> bool {
        self.state == state
    }
}

impl Facts {
    /// Where it is: city and region, or the country, or nothing.
    fn place(&self) -> String {
        let parts: Vec<&str> = [&self.city, &self.region].into_iter().flatten().map(String::as_str).collect();
        match (parts.is_empty(), &self.country) {
            (false, _) => parts.join(", "),
            (true, Some(country)) => country.clone(),
            (true, None) => String::new(),
        }
    }

    fn kind(&self) -> &str {
        match self.kind.as_deref() {
            Some("local") => "Local",
            Some("toll_free") => "Toll-free",
            _ => "",
        }
    }

    /// What it carries: icon and words of each.
    fn carries(&self) -> Vec<(&'static str, &'static str)> {
        let Some(can) = self.capabilities else { return Vec::new() };
        let all =
            [(can.voice, "phone", "Calls"), (can.sms, "message", "Texts"), (can.mms, "picture", "Pictures")];
        all.into_iter().filter(|(has, ..)| *has).map(|(_, icon, words)| (icon, words)).collect()
    }

    fn fee(&self) -> String {
        self.monthly_fee.as_ref().map_or_else(String::new, |fee| format!("{} {}", fee.amount, fee.currency))
    }
}

impl Number {
    /// The number as people read it.
    fn shown(&self) -> String {
        shown(&self.number)
    }

    /// What calls do, and the tone of it.
    fn voice(&self) -> (&str, &'static str) {
        match self.state.as_str() {
            "owned_idle" => ("Voice is off", "warn"),
            "direct_line" => ("Direct line", "good"),
            "ivr_linked" => ("IVR", "good"),
            "porting" => ("Being ported", "live"),
            "forwarding" => ("Being forwarded", "live"),
            "releasing" => ("Being given back", "bad"),
            "released" => ("Given back", "plain"),
            other => (other, "plain"),
        }
    }

    /// Calls are taken.
    fn is_active(&self) -> bool {
        matches!(self.state.as_str(), "direct_line" | "ivr_linked")
    }

    /// It is ours, and can be set up.
    fn is_held(&self) -> bool {
        self.is_active() || self.state == "owned_idle"
    }

    fn is_toll_free(&self) -> bool {
        self.facts.kind.as_deref() == Some("toll_free")
    }

    /// The step of its set-up, for people.
    fn left_at(&self) -> Option<&'static str> {
        self.setup.as_deref().and_then(wizard::Step::parse).map(wizard::Step::title)
    }
}

/// `+1 415 555 0100` for numbers of the North American plan; others as they are.
fn shown(number: &str) -> String {
    let national = number.strip_prefix("+1").filter(|rest| rest.len() == 10 && rest.is_ascii());
    national.map_or_else(
        || number.to_owned(),
        |rest| {
            let (area, rest) = rest.split_at(3);
            let (exchange, line) = rest.split_at(3);
            format!("+1 {area} {exchange} {line}")
        },
    )
}

/// The address of a number's page.
fn page_of(number: &str) -> String {
    format!("/console/numbers/{}", super::words::encoded(number))
}

/// The API's path of a number.
fn api_of(number: &str) -> String {
    format!("/api/v1/numbers/{}", super::words::encoded(number))
}

/// An account at a carrier.
#[derive(Clone, Debug, Deserialize)]
struct Carrier {
    id: String,
    kind: String,
    name: String,
    settings: std::collections::BTreeMap<String, String>,
    secrets: Vec<String>,
    sells: bool,
    registers: bool,
    ports: bool,
    changed: When,
}

/// An IVR, as the API lists it.
#[derive(Clone, Debug, Deserialize)]
struct Ivr {
    id: String,
    name: String,
    kind: String,
    revision: Option<u64>,
}

impl Ivr {
    /// It can be linked as an Initial IVR (or as a Queue IVR).
    fn may_be(&self, kind: &str) -> bool {
        self.revision.is_some() && self.kind == kind
    }
}

/// Ids with the names that people give them.
#[derive(Clone, Debug, Default)]
struct Named(Vec<(String, String)>);

impl Named {
    /// The name of an id; the id when it is not known.
    fn of<'a>(&'a self, id: &'a str) -> &'a str {
        self.0.iter().find(|(known, _)| known == id).map_or(id, |(_, name)| name)
    }

    fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }
}

/// The accounts at carriers.
async fn carriers(desk: &Desk) -> Result<Vec<Carrier>, Refused> {
    #[derive(Deserialize)]
    struct List {
        carriers: Vec<Carrier>,
    }
    Ok(desk.get::<List>("/api/v1/carriers").await?.carriers)
}

fn names_of(carriers: &[Carrier]) -> Named {
    Named(carriers.iter().map(|one| (one.id.clone(), one.name.clone())).collect())
}

/// The IVRs; none for somebody who may not see routing.
async fn ivrs(desk: &Desk) -> Result<Vec<Ivr>, Refused> {
    #[derive(Deserialize)]
    struct List {
        ivrs: Vec<Ivr>,
    }
    Ok(desk.find::<List>("/api/v1/ivrs").await?.map_or_else(Vec::new, |list| list.ivrs))
}

fn ivr_names(ivrs: &[Ivr]) -> Named {
    Named(ivrs.iter().map(|one| (one.id.clone(), one.name.clone())).collect())
}

/// The inboxes; none for somebody who may not see them.
async fn inboxes(desk: &Desk) -> Result<Named, Refused> {
    #[derive(Deserialize)]
    struct Inbox {
        id: String,
        name: String,
    }
    #[derive(Deserialize)]
    struct List {
        inboxes: Vec<Inbox>,
    }
    let list: Option<List> = desk.find("/api/v1/inboxes").await?;
    let list = list.map_or_else(Vec::new, |list| list.inboxes);
    Ok(Named(list.into_iter().map(|inbox| (inbox.id, inbox.name)).collect()))
}

/// The default inbox of a channel, as people call it.
async fn default_inbox(desk: &Desk, channel: &str, inboxes: &Named) -> Result<String, Refused> {
    #[derive(Deserialize)]
    struct Default {
        inbox: String,
    }
    let found: Option<Default> = desk.find(&format!("/api/v1/channels/{channel}/default-inbox")).await?;
    Ok(found.map_or_else(|| "none".to_owned(), |found| inboxes.of(&found.inbox).to_owned()))
}

/// One number.
async fn number(desk: &Desk, number: &str) -> Result<Number, Refused> {
    #[derive(Deserialize)]
    struct Told {
        number: Number,
    }
    Ok(desk.get::<Told>(&api_of(number)).await?.number)
}

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<Number>,
    next: Option<String>,
}

fn numbers_after(after: &str) -> String {
    let behind =
        if after.is_empty() { String::new() } else { format!("&after={}", super::words::encoded(after)) };
    format!("/api/v1/numbers?limit={PAGE}{behind}")
}

/// Numbers behind one that are wanted: at most so many, with where to go on.
async fn some_numbers(
    desk: &Desk,
    after: &str,
    most: usize,
    wanted: impl Fn(&Number) -> bool,
) -> Result<(Vec<Number>, Option<String>), Refused> {
    let (mut found, mut after) = (Vec::new(), after.to_owned());
    for _ in 0..PAGES_MAX {
        let page: Numbers = desk.get(&numbers_after(&after)).await?;
        for number in page.numbers {
            if found.len() == most {
                return Ok((found, Some(after)));
            }
            after.clone_from(&number.number);
            if wanted(&number) {
                found.push(number);
            }
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok((found, None)),
        }
    }
    Ok((found, Some(after)))
}

/// Refuses a page of acts to those who may not act; the API would refuse the acts themselves.
fn need(desk: &Desk, permission: Permission) -> Shown<()> {
    if desk.may(permission) {
        return Ok(());
    }
    let detail = format!("This takes the permission {permission}, which this person does not have.");
    Err(Refused::new(403, "forbidden", detail, "Ask an administrator for a role that has it."))
}

/// On to a page, which says what came of an act; who may not act is refused on a page of its own.
fn after(to: &str, came: Result<(), Refused>, sentence: &str) -> Shown {
    match came {
        Err(refused) if refused.status == 403 => Err(refused),
        came => Ok(page::after(to, came, sentence)),
    }
}

/// What a refusal says, sentence by sentence: its findings where it has some.
fn sentences(refused: &Refused) -> Vec<String> {
    let said = |finding: &Value| match finding {
        Value::String(text) => text.clone(),
        other => {
            let part = |name: &str| other.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let line = other.get("line").and_then(Value::as_u64);
            let line = line.map_or_else(String::new, |line| format!("Line {line}: "));
            let sentence = part("sentence");
            let stop = if sentence.ends_with('.') { "" } else { "." };
            format!("{line}{sentence}{stop} {}", part("remedy"))
        }
    };
    for name in ["diagnostics", "faults"] {
        if let Some(findings) = refused.more.get(name).and_then(Value::as_array)
            && !findings.is_empty()
        {
            return findings.iter().map(said).collect();
        }
    }
    vec![refused.sentence()]
}

/// What an act of the API warns of, in words.
fn warned(answer: &Value) -> String {
    let warnings = answer.get("warnings").and_then(Value::as_array);
    let said = warnings.into_iter().flatten().filter_map(|one| one.get("sentence").and_then(Value::as_str));
    said.fold(String::new(), |all, one| format!("{all} Note: {one}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_said() {
        assert_eq!(shown("+14155550100"), "+1 415 555 0100");
        assert_eq!(shown("+442071838750"), "+442071838750");
    }

    #[test]
    fn a_refusal_is_told_by_its_findings() {
        let mut refused = Refused::new(422, "x", "Two faults.", "Mend them.");
        assert_eq!(sentences(&refused), ["Two faults. Mend them."]);
        refused.more = json!({"faults": ["email is missing"]});
        assert_eq!(sentences(&refused), ["email is missing"]);
        refused.more = json!({"faults": [{"line": 3, "sentence": "No number.", "remedy": "Write one."}]});
        assert_eq!(sentences(&refused), ["Line 3: No number. Write one."]);
    }
}
