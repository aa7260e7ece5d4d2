//! The verdict: every call that was answered stands in the feed once, and has ended once.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{caller::Outcome, http, target::Target};

/// What the callers know, beside what the feed says.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Ledger {
    /// Answered calls that the feed does not know.
    pub(crate) lost: u64,
    /// Calls with more than one contact.
    pub(crate) doubled: u64,
    /// Contacts of ours without an end.
    pub(crate) never_ended: u64,
    /// Contacts of ours that ended more than once.
    pub(crate) ended_twice: u64,
    /// Contacts of ours in the feed.
    pub(crate) contacts: u64,
}

#[derive(Debug, Deserialize)]
struct Page {
    events: Vec<Event>,
    next: u64,
    #[serde(default)]
    last: u64,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    call_id: Option<String>,
}

impl Ledger {
    /// Nothing lost, nothing doubled, nothing left over.
    pub(crate) fn balanced(&self) -> bool {
        self.lost + self.doubled + self.never_ended + self.ended_twice == 0
    }

    /// The feed's newest sequence: where this run begins.
    pub(crate) fn cursor(target: &Target) -> anyhow::Result<u64> {
        Ok(page(target, 0, 1)?.last)
    }

    /// Reads the feed from `after` until the books balance, or ten seconds have shown that they do not.
    pub(crate) fn settle(target: &Target, after: u64, outcome: &Outcome) -> anyhow::Result<Self> {
        let end = Instant::now() + Duration::from_secs(10);
        let mut books = Books::default();
        let mut cursor = after;
        loop {
            loop {
                let page = page(target, cursor, 1000)?;
                cursor = page.next.max(cursor);
                if page.events.is_empty() {
                    break;
                }
                books.enter(page.events, &outcome.mark);
            }
            let ledger = books.compare(outcome);
            if ledger.balanced() || Instant::now() > end {
                return Ok(ledger);
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

#[derive(Debug, Default)]
struct Books {
    contacts: HashMap<String, Vec<String>>,
    ends: HashMap<String, u64>,
}

impl Books {
    fn enter(&mut self, events: Vec<Event>, mark: &str) {
        for event in events {
            match (event.kind.as_str(), event.data.call_id) {
                ("contact.started", Some(call_id)) if call_id.ends_with(mark) => {
                    self.contacts.entry(call_id).or_default().push(event.subject);
                }
                ("contact.ended", _) => *self.ends.entry(event.subject).or_default() += 1,
                _ => {}
            }
        }
    }

    fn compare(&self, outcome: &Outcome) -> Ledger {
        let ends = |wanted: fn(u64) -> bool| {
            let contacts = self.contacts.values().flatten();
            contacts.filter(|contact| wanted(self.ends.get(*contact).copied().unwrap_or(0))).count() as u64
        };
        Ledger {
            lost: outcome.answered.iter().filter(|call| !self.contacts.contains_key(*call)).count() as u64,
            doubled: self.contacts.values().filter(|contacts| contacts.len() > 1).count() as u64,
            never_ended: ends(|count| count == 0),
            ended_twice: ends(|count| count > 1),
            contacts: self.contacts.values().map(|contacts| contacts.len() as u64).sum(),
        }
    }
}

fn page(target: &Target, after: u64, limit: u32) -> anyhow::Result<Page> {
    let path = format!("/api/v1/events?after={after}&limit={limit}");
    let (status, body) = http::get(target.http, &path, Some(&target.key))?;
    anyhow::ensure!(status == 200, "GET {path}: {status} {body}");
    serde_json::from_str(&body).context("reading a page of the feed")
}

#[cfg(test)]
mod tests {
    use super::{Books, Data, Event};
    use crate::caller::Outcome;

    fn event(kind: &str, subject: &str, call_id: Option<&str>) -> Event {
        let data = Data { call_id: call_id.map(str::to_owned) };
        Event { kind: kind.to_owned(), subject: subject.to_owned(), data }
    }

    #[test]
    fn a_promise_without_a_record_is_lost_and_a_second_end_is_seen() {
        let mut books = Books::default();
        let events = vec![
            event("contact.started", "ct_1", Some("a@run")),
            event("contact.started", "ct_2", Some("b@run")),
            event("contact.started", "ct_9", Some("x@other")),
            event("contact.ended", "ct_1", None),
            event("contact.ended", "ct_1", None),
        ];
        books.enter(events, "@run");
        let answered = ["a@run", "b@run", "c@run"].map(str::to_owned).to_vec();
        let ledger = books.compare(&Outcome { mark: "@run".to_owned(), answered, ..Outcome::default() });
        assert_eq!((ledger.lost, ledger.doubled, ledger.never_ended, ledger.ended_twice), (1, 0, 1, 1));
        assert_eq!(ledger.contacts, 2);
        assert!(!ledger.balanced());
    }
}
