//! Roles: the built-in ones, and those that a customer makes of permissions.

use serde::{Deserialize, Serialize};

use super::permission::{
    Permission::{self, *},
    Permissions,
};

/// A role that always is there.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its id, by which users and keys name it.
    pub id: &'static str,
    /// Whom it is for.
    pub description: &'static str,
    /// What it allows.
    pub permissions: Permissions,
}

/// The role that may do everything. One enabled user who can sign in always has it.
pub const ADMINISTRATOR: &str = "administrator";

/// The built-in roles.
pub const BUILT_IN: [BuiltIn; 6] = [
    BuiltIn {
        id: ADMINISTRATOR,
        description: "Sets everything up: numbers, IVRs, entry points, users.",
        permissions: Permissions::all(),
    },
    BuiltIn {
        id: "team_manager",
        description: "Watches live contacts, takes and transfers them, sets the SLA of inboxes.",
        permissions: Permissions::of(TEAM_MANAGER),
    },
    BuiltIn {
        id: "analyst",
        description: "Reads contacts, conversations, routing and numbers; changes nothing.",
        permissions: Permissions::of(ANALYST),
    },
    BuiltIn {
        id: "compliance",
        description: "Downloads and deletes recordings, exports what is kept of a customer, reads the audit log.",
        permissions: Permissions::of(COMPLIANCE),
    },
    BuiltIn {
        id: "agent_platform",
        description: "A platform whose agents take contacts: the feed, hand-off, control of calls, replies.",
        permissions: Permissions::of(AGENT_PLATFORM),
    },
    BuiltIn {
        id: "api",
        description: "A program that integrates: contacts, feed, and routing from draft to publish.",
        permissions: Permissions::of(API),
    },
];

const TEAM_MANAGER: &[Permission] = &[
    ContactsRead,
    ContactsControl,
    ConversationsRead,
    ConversationsWrite,
    AvailabilityWrite,
    FeedRead,
    InboxesSla,
    RoutingRead,
    NumbersRead,
];

const ANALYST: &[Permission] = &[
    ContactsRead,
    ConversationsRead,
    FeedRead,
    DeliveriesRead,
    RoutingRead,
    NumbersRead,
    SettingsRead,
    MetricsRead,
];

const COMPLIANCE: &[Permission] = &[
    ContactsRead,
    ConversationsRead,
    RecordingsRead,
    RecordingsDelete,
    NumbersRead,
    PrivacyManage,
    AuditRead,
];

const AGENT_PLATFORM: &[Permission] = &[
    ContactsRead,
    ContactsControl,
    ConversationsRead,
    ConversationsWrite,
    AvailabilityWrite,
    FeedRead,
    FeedConsume,
];

const API: &[Permission] = &[
    ContactsRead,
    ContactsControl,
    ConversationsRead,
    ConversationsWrite,
    AvailabilityWrite,
    FeedRead,
    FeedConsume,
    DeliveriesRead,
    DeliveriesManage,
    RoutingRead,
    RoutingEdit,
    RoutingPublish,
    RoutingArm,
    InboxesSla,
    NumbersRead,
    NumbersEdit,
];

/// A role of the customer's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomRole {
    /// Lower-case letters, digits and `_`; not that of a built-in role.
    pub id: String,
    /// What it is for.
    pub description: String,
    /// What it allows.
    pub permissions: Permissions,
}

/// The built-in role of an id.
pub fn built_in(id: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|role| role.id == id)
}
