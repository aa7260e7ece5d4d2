//! The parts that are few: settings, channels, inboxes, calendars, lists, IVRs.

use std::sync::Arc;

use imbl::HashMap;
use vestibule_routing::{
    channel::Channel,
    plan::{Dial, Inbox, RejectCodes, Treatment, list::NumberList},
};

use super::{Compiler, Parts};
use crate::{
    diagnostic::{Code, step},
    document::{DialDoc, InboxDoc, LimitDoc, ListDoc, channel_name},
};

impl Compiler<'_> {
    /// Builds all shared parts again, and keeps what came out the same.
    pub(super) fn shared_parts(&mut self, old: &Parts) {
        self.prompts();
        self.trunks();
        self.providers();
        self.chat_apps();
        self.consumers();
        self.calendars();
        self.lists();
        self.settings();
        self.inboxes();
        self.ivrs(old);
    }

    fn settings(&mut self) {
        let parts = self.next.parts.clone();
        let codes = parts.settings.reject_codes;
        for (name, code) in [
            ("unknown_number", codes.unknown_number),
            ("voice_off", codes.voice_off),
            ("blocked", codes.blocked),
        ] {
            self.sip_code(code, &format!("/settings/reject_codes/{name}"));
        }
        self.next.plan.reject_codes = RejectCodes {
            unknown_number: codes.unknown_number,
            voice_off: codes.voice_off,
            blocked: codes.blocked,
        };
        if let Some(list) = parts.settings.block_list.as_ref().filter(|list| !parts.lists.contains_key(list))
        {
            self.findings.add(Code::UnknownList, "/settings/block_list", format!("there is no list {list}"));
        }
        self.next.plan.block_list = parts.settings.block_list.clone();
        self.next.plan.test_numbers = parts.settings.test_numbers.iter().copied().collect();
        let mut defaults = HashMap::new();
        for channel in Channel::ALL {
            let own = parts.channels.get(&channel).map(|doc| &doc.inbox);
            let (wanted, path) = match own {
                Some(inbox) => (Some(inbox), format!("/channels/{}/inbox", channel_name(channel))),
                None => (parts.settings.default_inbox.as_ref(), "/settings/default_inbox".to_owned()),
            };
            match wanted {
                Some(inbox) => {
                    if let Some(inbox) = self.inbox(inbox, &path) {
                        defaults.insert(channel, inbox);
                    }
                }
                None => {
                    let name = channel_name(channel);
                    let sentence = format!("the channel {name} has no default inbox");
                    self.findings.add(Code::NoDefaultInbox, format!("/channels/{name}"), sentence);
                }
            }
        }
        self.next.plan.default_inboxes = defaults;
    }

    fn inboxes(&mut self) {
        let parts = self.next.parts.clone();
        self.next.plan.inboxes.retain(|id, _| parts.inboxes.contains_key(id));
        for (id, doc) in &parts.inboxes {
            let path = format!("/inboxes/{}", step(id.as_str()));
            if doc.priority > 9 || doc.sla_minutes == 0 {
                let sentence = "the priority lies between 0 and 9, the SLA is at least one minute";
                self.findings.add(Code::OutOfRange, &path, sentence);
            }
            let inbox = self.compile_inbox(id, doc, &path);
            // What stayed the same stays shared with the plans before.
            if self.next.plan.inboxes.get(id).is_none_or(|old| **old != inbox) {
                self.next.plan.inboxes.insert(id.clone(), Arc::new(inbox));
            }
        }
    }

    fn compile_inbox(&mut self, id: &vestibule_routing::id::InboxId, doc: &InboxDoc, path: &str) -> Inbox {
        Inbox {
            id: id.clone(),
            name: doc.name.clone(),
            sla_minutes: doc.sla_minutes,
            wait_max: self.limit(doc.wait_max.as_ref(), &format!("{path}/wait_max")),
            queue_length_max: self.limit(doc.queue_length_max.as_ref(), &format!("{path}/queue_length_max")),
            no_one_available: doc
                .no_one_available
                .as_ref()
                .and_then(|treatment| self.treatment(treatment, &format!("{path}/no_one_available"))),
            queue_music: doc
                .queue_music
                .as_ref()
                .and_then(|id| self.prompt(id, &format!("{path}/queue_music"))),
            priority: doc.priority,
            dial: doc.dial.as_ref().map(|dial| self.dial(dial, &format!("{path}/dial"))),
        }
    }

    fn dial(&mut self, doc: &DialDoc, path: &str) -> Arc<Dial> {
        if !(1..=600).contains(&doc.ring_seconds) {
            let sentence = format!("{} seconds lie outside 1 to 600", doc.ring_seconds);
            self.findings.add(Code::OutOfRange, format!("{path}/ring_seconds"), sentence);
        }
        if !(1..=DIAL_TARGETS_MAX).contains(&doc.targets.len()) {
            let sentence = format!("{} telephones lie outside 1 to {DIAL_TARGETS_MAX}", doc.targets.len());
            self.findings.add(Code::OutOfRange, format!("{path}/targets"), sentence);
        }
        for (index, target) in doc.targets.iter().enumerate() {
            let path = format!("{path}/targets/{index}");
            if !is_sip_uri(target) {
                self.findings.add(Code::BadTarget, path, format!("\"{target}\" is no SIP URI"));
            } else if doc.targets.iter().take(index).any(|other| other == target) {
                self.findings.add(Code::DuplicateName, path, format!("{target} stands in the list before"));
            }
        }
        Arc::new(Dial {
            strategy: doc.strategy,
            targets: doc.targets.clone(),
            ring_seconds: doc.ring_seconds,
        })
    }

    fn limit(&mut self, limit: Option<&LimitDoc>, path: &str) -> Option<(u32, Treatment)> {
        let limit = limit?;
        if limit.at == 0 {
            self.findings.add(Code::OutOfRange, format!("{path}/at"), "a limit is at least 1");
        }
        Some((limit.at, self.treatment(&limit.treatment, &format!("{path}/then"))?))
    }

    fn calendars(&mut self) {
        let parts = self.next.parts.clone();
        self.next.plan.calendars.retain(|id, _| parts.calendars.contains_key(id));
        for (id, calendar) in &parts.calendars {
            let path = format!("/calendars/{}", step(id.as_str()));
            self.periods(calendar.rows.iter(), &path);
            if self.next.plan.calendars.get(id).is_none_or(|old| **old != *calendar) {
                self.next.plan.calendars.insert(id.clone(), Arc::new(calendar.clone()));
            }
        }
    }

    fn lists(&mut self) {
        let parts = self.next.parts.clone();
        self.next.plan.lists.retain(|id, _| parts.lists.contains_key(id));
        for (id, doc) in &parts.lists {
            self.prefixes(&doc.prefixes, &format!("/lists/{}", step(id.as_str())));
            let list = compile_list(doc);
            if self.next.plan.lists.get(id).is_none_or(|old| **old != list) {
                self.next.plan.lists.insert(id.clone(), Arc::new(list));
            }
        }
    }

    /// An empty prefix would match everyone: the blocked-all-callers trap.
    pub(super) fn prefixes(&mut self, prefixes: &[String], path: &str) {
        for (index, prefix) in prefixes.iter().enumerate() {
            let digits = prefix.strip_prefix('+').unwrap_or_default();
            let good = (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            if !good {
                let path = format!("{path}/prefixes/{index}");
                let sentence = format!("\"{prefix}\" is no prefix: a plus sign and at least one digit");
                self.findings.add(Code::CatchAllPattern, path, sentence);
            }
        }
    }
}

/// Whether a text has the form of a SIP URI that can be called: the whole check is made when it is.
pub(super) fn is_sip_uri(text: &str) -> bool {
    let strange = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '?' | ',');
    let host = |rest: &str| {
        let host = rest.split(';').next().unwrap_or_default();
        !host.rsplit('@').next().unwrap_or_default().is_empty()
    };
    text.len() <= 512
        && !text.contains(strange)
        && text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:")).is_some_and(host)
}

/// Telephones of one inbox.
const DIAL_TARGETS_MAX: usize = 100;

fn compile_list(doc: &ListDoc) -> NumberList {
    NumberList {
        numbers: doc.numbers.iter().copied().collect(),
        prefixes: doc.prefixes.clone(),
        anonymous: doc.anonymous,
    }
}
