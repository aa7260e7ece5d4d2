//! The compiled routing: immutable, cheap to share, changed by making the next one.
//!
//! All tables are persistent maps, so that one change among a million entry points makes a new plan in
//! microseconds and shares everything else with the plans that live calls still hold.

use std::sync::Arc;

use imbl::HashMap;

use crate::{
    address::Address,
    channel::Channel,
    id::{CalendarId, InboxId, IvrId, ListId},
};

pub mod inbox;
pub mod ivr;
pub mod list;
pub mod node;
pub mod number;
pub mod schedule;

pub use inbox::{Dial, Inbox, Strategy, Treatment};
pub use ivr::{Ivr, IvrFault, IvrKind, NodeIndex};
pub use number::{AnswerMode, InitialSound, NumberVoice};

/// The key of an entry point: an address on a channel.
pub type EntryPointKey = (Channel, Address);

/// An exception or a setting of one entry point; entry points without one follow the channel default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPoint {
    /// The inbox named by an exception; none means the channel's default inbox.
    pub inbox: Option<InboxId>,
    /// SLA in minutes that overrides the inbox's.
    pub sla_minutes: Option<u32>,
    /// A disarmed entry point answers voice with 480.
    pub disarmed: bool,
}

/// One revision's routing, compiled. Built by the `config` crate, which leaves no dangling reference.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The revision this plan was compiled from; 0 for a plan that was never published.
    pub revision: u64,
    /// Entry points with an exception, a disarmed flag or an SLA of their own.
    pub entry_points: HashMap<EntryPointKey, EntryPoint>,
    /// Numbers we hold, with their voice settings.
    pub numbers: HashMap<crate::address::E164, Arc<NumberVoice>>,
    /// The default inbox of every channel section.
    pub default_inboxes: HashMap<Channel, InboxId>,
    /// Inboxes.
    pub inboxes: HashMap<InboxId, Arc<Inbox>>,
    /// Published IVRs.
    pub ivrs: HashMap<IvrId, Arc<Ivr>>,
    /// Shared calendars, for schedule nodes.
    pub calendars: HashMap<CalendarId, Arc<schedule::Schedule>>,
    /// Shared lists, for block and match nodes.
    pub lists: HashMap<ListId, Arc<list::NumberList>>,
    /// The list whose callers are refused before anything else (603).
    pub block_list: Option<ListId>,
    /// Numbers whose callers go through the draft.
    pub test_numbers: imbl::HashSet<crate::address::E164>,
    /// SIP status codes of refusals.
    pub reject_codes: RejectCodes,
}

/// SIP status codes of refusals (settings of the document).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectCodes {
    /// A number nobody holds; default 404.
    pub unknown_number: u16,
    /// A number of ours with voice off, or a disarmed entry point; default 480.
    pub voice_off: u16,
    /// A blocked caller; default 603.
    pub blocked: u16,
}

impl Default for RejectCodes {
    fn default() -> Self {
        Self { unknown_number: 404, voice_off: 480, blocked: 603 }
    }
}
