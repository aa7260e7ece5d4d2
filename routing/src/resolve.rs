//! Where a contact goes: the precedence rules, in their order.

use std::sync::Arc;

use crate::{
    address::Address,
    channel::Channel,
    contact::Contact,
    id::{InboxId, IvrId, NodeId},
    outcome::Reason,
    plan::{EntryPoint, EntryPointKey, Inbox, Ivr, NumberVoice, Plan},
};

/// What the plan says about an arriving call.
#[derive(Clone, Debug)]
pub enum Route {
    /// Refuse it.
    Reject {
        /// SIP status.
        status: u16,
        /// Why.
        reason: Reason,
    },
    /// Run the Initial IVR.
    Ivr(Arc<NumberVoice>, Arc<Ivr>),
    /// Queue for an inbox.
    Inbox(Arc<NumberVoice>, InboxId),
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRoute {
    /// The inbox.
    pub inbox: InboxId,
    /// Minutes until it should be answered.
    pub sla_minutes: u32,
    /// The entry point lets nothing in at the moment: the message is kept until it does.
    pub disarmed: bool,
}

impl Plan {
    /// Resolves an arriving call (number, block list, Initial IVR, exception, default).
    pub fn resolve_voice(&self, contact: &Contact) -> Route {
        let codes = self.reject_codes;
        let unknown = Route::Reject { status: codes.unknown_number, reason: Reason::UnknownNumber };
        let Address::Number(number) = &contact.to else { return unknown };
        let Some(voice) = self.numbers.get(number) else { return unknown };
        let entry_point = self.entry_points.get(&(Channel::Voice, contact.to.clone()));
        if !voice.active || entry_point.is_some_and(|entry| entry.disarmed) {
            return Route::Reject { status: codes.voice_off, reason: Reason::VoiceOff };
        }
        let blocked = self.block_list.as_ref().and_then(|list| self.lists.get(list));
        if blocked.is_some_and(|list| list.contains(&contact.from)) {
            return Route::Reject { status: codes.blocked, reason: Reason::Blocked };
        }
        match voice.initial_ivr.as_ref().and_then(|ivr| self.ivrs.get(ivr)) {
            Some(ivr) => Route::Ivr(voice.clone(), ivr.clone()),
            None => match self.direct_inbox(contact) {
                Some(inbox) => Route::Inbox(voice.clone(), inbox),
                None => Route::Reject { status: codes.voice_off, reason: Reason::VoiceOff },
            },
        }
    }

    /// The number's own inbox: its exception, else the channel's default.
    pub fn direct_inbox(&self, contact: &Contact) -> Option<InboxId> {
        self.inbox_of(&(contact.channel, contact.to.clone()))
    }

    /// Where a message to this entry point goes: its exception, else the channel's default. None when the channel has
    /// no default inbox, which no compiled plan leaves out.
    pub fn resolve_message(&self, key: &EntryPointKey) -> Option<MessageRoute> {
        let inbox = self.inbox_of(key)?;
        let entry_point = self.entry_points.get(key);
        let sla_minutes = self.sla_minutes(entry_point, &inbox);
        Some(MessageRoute { inbox, sla_minutes, disarmed: entry_point.is_some_and(|entry| entry.disarmed) })
    }

    /// Whether an entry point is set up by itself, and not only covered by its channel's default.
    pub fn has_entry_point(&self, key: &EntryPointKey) -> bool {
        self.entry_points.contains_key(key)
    }

    /// The inbox of an IVR's exit: its exception, else the default of the `ivr` section.
    pub fn exit_inbox(&self, ivr: &IvrId, exit: &NodeId) -> Option<InboxId> {
        self.inbox_of(&exit_key(ivr, exit))
    }

    /// The inbox's settings.
    pub fn inbox(&self, id: &InboxId) -> Option<&Arc<Inbox>> {
        self.inboxes.get(id)
    }

    /// SLA in minutes at an entry point: its own, else the inbox's.
    pub fn sla_minutes(&self, entry_point: Option<&EntryPoint>, inbox: &InboxId) -> u32 {
        entry_point
            .and_then(|entry| entry.sla_minutes)
            .or_else(|| self.inboxes.get(inbox).map(|inbox| inbox.sla_minutes))
            .unwrap_or(SLA_MINUTES_DEFAULT)
    }

    fn inbox_of(&self, key: &(Channel, Address)) -> Option<InboxId> {
        let exception = self.entry_points.get(key).and_then(|entry| entry.inbox.as_ref());
        exception.or_else(|| self.default_inboxes.get(&key.0)).cloned()
    }
}

/// The key of an IVR's exit among the entry points.
pub fn exit_key(ivr: &IvrId, exit: &NodeId) -> (Channel, Address) {
    (Channel::Ivr, Address::Text(format!("{ivr}/{exit}").into()))
}

/// One day.
const SLA_MINUTES_DEFAULT: u32 = 1440;
