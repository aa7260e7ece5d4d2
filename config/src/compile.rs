//! Objects to plan, or diagnostics that say why not.
//!
//! There is one way only: a set of changed objects on top of what is compiled already. A start is all
//! objects on top of nothing. What a change does not touch is shared with the plan before it, so a changed
//! number or entry point costs microseconds among a million.

use std::{collections::BTreeMap, sync::Arc};

use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    id::{InboxId, IvrId, PromptId},
    plan::{EntryPoint, Ivr, IvrKind, NumberVoice, Plan, schedule::Schedule},
};

use crate::{
    diagnostic::{Code, Diagnostic, step},
    document::{
        ChannelDoc, EntryPointDoc, EntryPointRef, InboxDoc, IvrDoc, Key, Kind, ListDoc, NumberDoc, Object,
        PromptDoc, SettingsDoc, TestDoc, TrunkDoc,
    },
};

mod chat_apps;
mod consumers;
mod ivr;
mod number;
mod prompts;
mod providers;
mod shared;
mod tests_of_document;
mod trunks;

pub use chat_apps::ChatApps;
pub use consumers::Consumers;
pub use prompts::{BUILTINS, PromptSource, PromptTable};
pub use providers::{ProviderKind, Providers};
pub use tests_of_document::differences;
pub use trunks::{Trunk, Trunks};

/// Most findings that one compile reports.
const DIAGNOSTICS_MAX: usize = 1000;

/// A changed object; none when it is removed.
pub type Change = (Key, Option<Object>);

/// What the compiler has to ask of its surroundings.
#[expect(missing_debug_implementations, reason = "holds closures")]
pub struct Context<'a> {
    /// The moment, for dates that have passed.
    pub now: jiff::Timestamp,
    /// Whether a number is ours.
    pub owned: &'a dyn Fn(E164) -> bool,
    /// Whether a recording with this SHA-256 is stored.
    pub recorded: &'a dyn Fn(&str) -> bool,
    /// Whether text prompts can be spoken.
    pub speech: bool,
    /// The kinds of providers there are; empty: not looked at.
    pub provider_kinds: &'a [ProviderKind],
    /// The types of events there are; empty: not looked at.
    pub event_types: &'a [&'static str],
    /// Whether the tests in the document are run. Off at a start: they passed when they were published.
    pub run_tests: bool,
}

/// Routing as it runs, and what the next change needs to know of it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    /// The plan.
    pub plan: Plan,
    /// Carriers' trunks.
    pub trunks: Arc<Trunks>,
    /// Senders of messages.
    pub providers: Arc<Providers>,
    /// Chat windows.
    pub chat_apps: Arc<ChatApps>,
    /// Who is told of events.
    pub consumers: Arc<Consumers>,
    /// Where the sound of each prompt comes from.
    pub prompts: Arc<PromptTable>,
    pub(crate) parts: Arc<Parts>,
}

/// The objects that are few: everything but numbers and entry points.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) settings: SettingsDoc,
    pub(crate) channels: BTreeMap<Channel, ChannelDoc>,
    pub(crate) inboxes: BTreeMap<InboxId, InboxDoc>,
    pub(crate) ivrs: BTreeMap<IvrId, Arc<IvrDoc>>,
    pub(crate) calendars: BTreeMap<vestibule_routing::id::CalendarId, Schedule>,
    pub(crate) lists: BTreeMap<vestibule_routing::id::ListId, ListDoc>,
    pub(crate) prompts: BTreeMap<PromptId, PromptDoc>,
    pub(crate) trunks: BTreeMap<vestibule_routing::id::TrunkId, TrunkDoc>,
    pub(crate) providers: Providers,
    pub(crate) chat_apps: ChatApps,
    pub(crate) consumers: Consumers,
    pub(crate) tests: BTreeMap<String, TestDoc>,
}

/// What came of a compile.
#[derive(Debug)]
pub struct Outcome {
    /// The new routing; none when there are errors.
    pub compiled: Option<Compiled>,
    /// Errors and warnings, at most a thousand.
    pub diagnostics: Vec<Diagnostic>,
}

/// Applies changes to what runs.
///
/// Give the base away when nobody else needs it: then its tables are changed in place.
pub fn compile(base: Compiled, changes: Vec<Change>, context: &Context<'_>) -> Outcome {
    let old_parts = base.parts.clone();
    let mut compiler = Compiler {
        next: base,
        findings: Findings::default(),
        context,
        last_voice: Arc::new(NumberVoice::default()),
    };
    let (mut numbers, mut entry_points, mut shared) = (Vec::new(), Vec::new(), false);
    let mut touched = Touched::default();
    for (key, object) in changes {
        match (key.kind, object) {
            (Kind::Numbers, Some(Object::Number(number, body))) => numbers.push((key, number, Some(body))),
            (Kind::Numbers, _) => numbers.extend(E164::parse(&key.id).ok().map(|number| (key, number, None))),
            (Kind::EntryPoints, Some(Object::EntryPoint(reference, body))) => {
                entry_points.push((key, reference, Some(body)));
            }
            (Kind::EntryPoints, _) => {
                entry_points
                    .extend(EntryPointRef::parse(&key.id).ok().map(|reference| (key, reference, None)));
            }
            (_, object) => {
                shared = true;
                touched.note(&key, object.is_none());
                Arc::make_mut(&mut compiler.next.parts).apply(&key, object);
            }
        }
    }
    if shared {
        compiler.shared_parts(&old_parts);
    }
    for (key, number, body) in numbers {
        compiler.number(&key, number, body);
    }
    for (key, reference, body) in entry_points {
        compiler.entry_point(&key, &reference, body);
    }
    if touched.anything_removed || touched.ivrs {
        compiler.uses(&touched);
    }
    compiler.exits_resolve();
    compiler.finish()
}

/// Which references a change of shared parts may have broken.
#[derive(Debug, Default)]
struct Touched {
    anything_removed: bool,
    ivrs: bool,
}

impl Touched {
    fn note(&mut self, key: &Key, removed: bool) {
        self.ivrs |= key.kind == Kind::Ivrs;
        self.anything_removed |= removed && matches!(key.kind, Kind::Inboxes | Kind::Ivrs | Kind::Prompts);
    }
}

impl Parts {
    fn apply(&mut self, key: &Key, object: Option<Object>) {
        let id = key.id.as_str();
        match object {
            Some(Object::Settings(body)) => self.settings = body,
            Some(Object::Channel(channel, body)) => drop(self.channels.insert(channel, body)),
            Some(Object::Inbox(id, body)) => drop(self.inboxes.insert(id, body)),
            Some(Object::Ivr(id, body)) => drop(self.ivrs.insert(id, Arc::new(body))),
            Some(Object::Calendar(id, body)) => drop(self.calendars.insert(id, body)),
            Some(Object::List(id, body)) => drop(self.lists.insert(id, body)),
            Some(Object::Prompt(id, body)) => drop(self.prompts.insert(id, body)),
            Some(Object::Trunk(id, body)) => drop(self.trunks.insert(id, body)),
            Some(Object::ChatApp(id, body)) => drop(self.chat_apps.insert(id, Arc::new(body))),
            Some(Object::Consumer(id, body)) => drop(self.consumers.insert(id, Arc::new(body))),
            Some(Object::Provider(id, body)) => drop(self.providers.insert(id, Arc::new(body))),
            Some(Object::Test(id, body)) => drop(self.tests.insert(id, body)),
            Some(Object::Number(..) | Object::EntryPoint(..)) => {}
            None => match key.kind {
                Kind::Settings => self.settings = SettingsDoc::default(),
                Kind::Channels => {
                    self.channels.retain(|channel, _| crate::document::channel_name(*channel) != id)
                }
                Kind::Inboxes => drop(self.inboxes.remove(&id.into())),
                Kind::Ivrs => drop(self.ivrs.remove(&id.into())),
                Kind::Calendars => drop(self.calendars.remove(&id.into())),
                Kind::Lists => drop(self.lists.remove(&id.into())),
                Kind::Prompts => drop(self.prompts.remove(&id.into())),
                Kind::Trunks => drop(self.trunks.remove(&id.into())),
                Kind::ChatApps => drop(self.chat_apps.remove(&id.into())),
                Kind::Consumers => drop(self.consumers.remove(&id.into())),
                Kind::Providers => drop(self.providers.remove(&id.into())),
                Kind::Tests => drop(self.tests.remove(id)),
                Kind::Numbers | Kind::EntryPoints => {}
            },
        }
    }
}

/// Collects findings up to the bound.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    all: Vec<Diagnostic>,
    errors: bool,
}

impl Findings {
    pub(crate) fn add(&mut self, code: Code, path: impl Into<String>, sentence: impl Into<String>) {
        let diagnostic = Diagnostic::new(code, path, sentence);
        self.errors |= diagnostic.is_error();
        if self.all.len() < DIAGNOSTICS_MAX {
            self.all.push(diagnostic);
        }
    }

    fn has(&self, code: Code, path: &str) -> bool {
        self.all.iter().any(|finding| finding.code == code && finding.path == path)
    }
}

pub(crate) struct Compiler<'a> {
    pub(crate) next: Compiled,
    pub(crate) findings: Findings,
    pub(crate) context: &'a Context<'a>,
    /// The settings of the number before: numbers set up alike share them.
    pub(crate) last_voice: Arc<NumberVoice>,
}

impl Compiler<'_> {
    /// The inbox, as the one shared copy of its id.
    pub(crate) fn inbox(&mut self, id: &InboxId, path: &str) -> Option<InboxId> {
        match self.next.parts.inboxes.get_key_value(id) {
            Some((shared, _)) => Some(shared.clone()),
            None => {
                self.findings.add(Code::UnknownInbox, path, format!("there is no inbox {id}"));
                None
            }
        }
    }

    /// The prompt, when it exists.
    pub(crate) fn prompt(&mut self, id: &PromptId, path: &str) -> Option<PromptId> {
        if let Some(shared) = self.next.prompts.shared_id(id) {
            return Some(shared);
        }
        self.findings.add(Code::MissingPrompt, path, format!("there is no prompt {id}"));
        None
    }

    /// The IVR, when it exists and is of that kind.
    pub(crate) fn ivr_of_kind(&mut self, id: &IvrId, kind: IvrKind, path: &str) -> Option<IvrId> {
        match self.next.parts.ivrs.get_key_value(id) {
            None => {
                self.findings.add(Code::UnknownIvr, path, format!("there is no IVR {id}"));
                None
            }
            Some((_, ivr)) if ivr.kind != kind => {
                let is = if kind == IvrKind::Initial { "a Queue IVR" } else { "an Initial IVR" };
                self.findings.add(Code::WrongIvrKind, path, format!("{id} is {is}"));
                None
            }
            Some((shared, _)) => Some(shared.clone()),
        }
    }

    fn entry_point(&mut self, key: &Key, reference: &EntryPointRef, body: Option<EntryPointDoc>) {
        let path = key.path();
        let plan_key = reference.key();
        let Some(body) = body else {
            self.next.plan.entry_points.remove(&plan_key);
            return;
        };
        self.entry_point_exists(reference, &path);
        if body.sla_minutes == Some(0) {
            self.findings.add(
                Code::OutOfRange,
                format!("{path}/sla_minutes"),
                "an SLA lasts at least one minute",
            );
        }
        let inbox = body.inbox.and_then(|inbox| self.inbox(&inbox, &format!("{path}/inbox")));
        let entry_point =
            EntryPoint { inbox, sla_minutes: body.sla_minutes, disarmed: body.armed == Some(false) };
        self.next.plan.entry_points.insert(plan_key, entry_point);
    }

    fn entry_point_exists(&mut self, reference: &EntryPointRef, path: &str) {
        let known = match (&reference.channel, &reference.address) {
            (Channel::Voice, Address::Number(number)) => self.next.plan.numbers.contains_key(number),
            (Channel::Sms, Address::Number(number)) => (self.context.owned)(*number),
            (Channel::Chat, Address::Text(id)) => self.next.parts.chat_apps.contains_key(&(&**id).into()),
            (Channel::Ivr, _) => reference.exit().is_some_and(|(ivr, exit)| self.is_exit(&ivr, &exit)),
            _ => true,
        };
        if !known {
            self.findings.add(Code::UnusedEntryPoint, path, format!("{reference} names nothing that exists"));
        }
    }

    fn is_exit(&self, ivr: &IvrId, exit: &vestibule_routing::id::NodeId) -> bool {
        let node = self.next.parts.ivrs.get(ivr).and_then(|ivr| ivr.nodes.get(exit));
        matches!(node, Some(vestibule_routing::plan::node::Node::Exit {}))
    }

    /// What numbers and entry points still use of the parts that went or changed their kind.
    fn uses(&mut self, touched: &Touched) {
        let Compiled { plan, parts, prompts, .. } = &self.next;
        for (number, voice) in &plan.numbers {
            for (what, code) in number::broken(voice, parts, prompts) {
                self.findings.add(
                    code,
                    format!("/numbers/{number}"),
                    format!("the number {number} uses {what}"),
                );
            }
        }
        for ((channel, address), entry_point) in &plan.entry_points {
            let reference = || EntryPointRef { channel: *channel, address: address.clone() };
            if let Some(inbox) = entry_point.inbox.as_ref().filter(|inbox| !parts.inboxes.contains_key(inbox))
            {
                let path = format!("/entry_points/{}", step(&reference().to_string()));
                self.findings.add(
                    Code::StillUsed,
                    path,
                    format!("{} leads to the inbox {inbox}", reference()),
                );
            }
            if touched.ivrs && *channel == Channel::Ivr {
                let gone = reference().exit().is_none_or(|(ivr, exit)| {
                    let node = parts.ivrs.get(&ivr).and_then(|ivr| ivr.nodes.get(&exit));
                    !matches!(node, Some(vestibule_routing::plan::node::Node::Exit {}))
                });
                let path = format!("/entry_points/{}", step(&reference().to_string()));
                if gone && !self.findings.has(Code::UnusedEntryPoint, &path) {
                    self.findings.add(
                        Code::UnusedEntryPoint,
                        path,
                        format!("{} is no exit any more", reference()),
                    );
                }
            }
        }
    }

    /// Every exit leads to an inbox: its exception, else the default of the `ivr` section.
    fn exits_resolve(&mut self) {
        if self.next.plan.default_inboxes.contains_key(&Channel::Ivr) {
            return;
        }
        for (id, ivr) in &self.next.plan.ivrs {
            for (node, _) in exits(ivr).filter(|(node, _)| self.next.plan.exit_inbox(id, node).is_none()) {
                let path = format!("/ivrs/{}/nodes/{}", step(id.as_str()), step(node.as_str()));
                self.findings.add(Code::ExitWithoutInbox, path, format!("the exit {node} leads to no inbox"));
            }
        }
    }

    fn finish(mut self) -> Outcome {
        if !self.findings.errors && self.context.run_tests {
            tests_of_document::run(&self.next, &mut self.findings);
        }
        let compiled = (!self.findings.errors).then_some(self.next);
        Outcome { compiled, diagnostics: self.findings.all }
    }
}

fn exits(
    ivr: &Ivr,
) -> impl Iterator<
    Item = (
        &vestibule_routing::id::NodeId,
        &vestibule_routing::plan::node::Node<vestibule_routing::plan::NodeIndex>,
    ),
> {
    ivr.nodes().filter(|(_, node)| matches!(node, vestibule_routing::plan::node::Node::Exit {}))
}

impl From<&NumberVoice> for NumberDoc {
    fn from(voice: &NumberVoice) -> Self {
        number::export(voice)
    }
}

#[cfg(test)]
mod tests;
