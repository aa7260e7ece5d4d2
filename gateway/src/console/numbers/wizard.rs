//! Set up voice, step by step: a number is bought or taken as it is, registered for texts, activated, linked, tried out.
//!
//! Where a set-up is left stands in the number's record, so it can be gone on with by anybody, from anywhere. Each step is
//! a form of its own, done when it is sent: nothing is kept in the browser.

mod buy;
mod steps;

use std::collections::BTreeMap;

use askama::Template;
use axum::{Router, http::Method, response::Response, routing::get};
use serde::Deserialize;
use serde_json::json;

use super::{Number, PAGE, PAGES_MAX, api_of, need, page_of, some_numbers};
use crate::{
    console::{
        Console, Refused,
        ask::{Desk, Shown},
        page,
        shell::{Section, Shell},
    },
    identity::permission::Permission,
};

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/console/numbers/set-up", get(start)).merge(buy::routes()).merge(steps::routes())
}

/// A step of the set-up of a number that is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Registration,
    ActivateVoice,
    LinkIvr,
    PickIvr,
    LinkInboxes,
    TestCall,
}

impl Step {
    const ALL: [Self; 6] = [
        Self::Registration,
        Self::ActivateVoice,
        Self::LinkIvr,
        Self::PickIvr,
        Self::LinkInboxes,
        Self::TestCall,
    ];

    /// The one of a name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    /// Its name in the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::ActivateVoice => "activate_voice",
            Self::LinkIvr => "link_ivr",
            Self::PickIvr => "pick_ivr",
            Self::LinkInboxes => "link_inboxes",
            Self::TestCall => "test_call",
        }
    }

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Registration => "SMS registration",
            Self::ActivateVoice => "Activate voice",
            Self::LinkIvr => "IVR or direct line",
            Self::PickIvr => "Pick IVRs",
            Self::LinkInboxes => "Link inboxes",
            Self::TestCall => "Test call",
        }
    }

    /// It only makes sense for a number that takes calls.
    fn needs_voice(self) -> bool {
        self > Self::ActivateVoice
    }
}

/// A line of the list of steps.
struct Line {
    words: &'static str,
    /// Where it can be gone to again.
    href: Option<String>,
    here: bool,
}

/// The list of steps, with the number on top.
struct Frame {
    number: Option<String>,
    lines: Vec<Line>,
}

impl Frame {
    /// Before a number is ours.
    fn before() -> Self {
        let mut lines = vec![Line { words: "Number", href: None, here: true }];
        lines.extend(Step::ALL.map(|step| Line { words: step.title(), href: None, here: false }));
        Self { number: None, lines }
    }

    fn at(number: &Number, here: Step) -> Self {
        let reached = number.setup.as_deref().and_then(Step::parse).unwrap_or(Step::TestCall);
        let line = |step: Step| Line {
            words: step.title(),
            href: (step != here && step <= reached && (number.is_active() || !step.needs_voice()))
                .then(|| address(&number.number, Some(step))),
            here: step == here,
        };
        let mut lines = vec![Line { words: "Number", href: Some(page_of(&number.number)), here: false }];
        lines.extend(Step::ALL.map(line));
        Self { number: Some(number.shown()), lines }
    }
}

/// The address of a number's set-up, at a step.
fn address(number: &str, step: Option<Step>) -> String {
    let step = step.map_or_else(String::new, |step| format!("?step={}", step.name()));
    format!("{}/set-up{step}", page_of(number))
}

/// Keeps where the set-up is, and goes there.
async fn go_on(desk: &Desk, number: &str, step: Step, sentence: &str) -> Shown {
    keep(desk, number, Some(step)).await?;
    let to = address(number, None);
    Ok(if sentence.is_empty() {
        axum::response::IntoResponse::into_response(axum::response::Redirect::to(&to))
    } else {
        page::done(&to, sentence)
    })
}

async fn keep(desk: &Desk, number: &str, step: Option<Step>) -> Shown<()> {
    let body = json!({"step": step.map(Step::name)});
    desk.send(Method::PUT, &format!("{}/setup", api_of(number)), Some(&body)).await.map(drop)
}

/// Left for later, or for good: on to the number's page.
fn leave(number: &str, sentence: &str) -> Response {
    page::done(&page_of(number), sentence)
}

/// A purchase, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
struct Purchase {
    id: String,
    number: String,
    state: String,
    detail: Option<String>,
}

impl Purchase {
    fn is_undecided(&self) -> bool {
        matches!(self.state.as_str(), "asking" | "ordered" | "unknown")
    }

    fn shown(&self) -> String {
        super::shown(&self.number)
    }
}

/// Numbers whose set-up is not finished that are shown at the start.
const UNFINISHED_MAX: usize = 100;

#[derive(Template)]
#[template(path = "numbers/wizard/start.html")]
struct StartPage {
    shell: Shell,
    frame: Frame,
    faults: Vec<String>,
    unfinished: Vec<Number>,
    /// There are more.
    more: bool,
    undecided: Vec<Purchase>,
    may_buy: bool,
}

async fn start(desk: Desk) -> Shown {
    need(&desk, Permission::NumbersEdit)?;
    let wanted = |number: &Number| number.is_held() && (number.setup.is_some() || !number.is_active());
    let (unfinished, more) = some_numbers(&desk, "", UNFINISHED_MAX, wanted).await?;
    Ok(page::shown(StartPage {
        shell: desk.shell(Some(Section::Numbers), "Set up voice").await?,
        frame: Frame::before(),
        faults: Vec::new(),
        unfinished,
        more: more.is_some(),
        undecided: undecided(&desk).await?,
        may_buy: desk.may(Permission::NumbersBuy),
    }))
}

/// Purchases of which it is not known yet what became of them.
async fn undecided(desk: &Desk) -> Result<Vec<Purchase>, Refused> {
    #[derive(Deserialize)]
    struct List {
        purchases: Vec<Purchase>,
        next: Option<String>,
    }
    let (mut found, mut after) = (BTreeMap::new(), String::new());
    for _ in 0..PAGES_MAX {
        let query = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let list: List = desk.get(&format!("/api/v1/numbers/purchases?limit={PAGE}{query}")).await?;
        let open = list.purchases.into_iter().filter(Purchase::is_undecided);
        found.extend(open.map(|purchase| (purchase.id.clone(), purchase)));
        match list.next {
            Some(next) => after = next,
            None => break,
        }
    }
    Ok(found.into_values().collect())
}
