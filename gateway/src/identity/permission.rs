//! What may be done, as a closed set of names. Every route of the API asks for one of them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! permissions {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// Something that a caller may be allowed to do. Names are stable: they stand in roles, keys and the description.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Permission { $($(#[doc = $doc])* $variant,)* }

        impl Permission {
            /// Every one, in the order of the reference.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it allows, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

permissions! {
    /// See contacts, their traces and SIP, queues, inboxes and callbacks.
    ContactsRead = "contacts.read",
    /// Take, refuse, transfer, hold, record and hang up contacts; cancel callbacks.
    ContactsControl = "contacts.control",
    /// See conversations, their messages and files, and opt-outs.
    ConversationsRead = "conversations.read",
    /// Answer in conversations, and close them.
    ConversationsWrite = "conversations.write",
    /// Say how many agents an inbox has.
    AvailabilityWrite = "availability.write",
    /// Read the event feed.
    FeedRead = "feed.read",
    /// Keep cursors in the event feed, and take turns by leases: for consumers.
    FeedConsume = "feed.consume",
    /// See how consumers answer that are told of events by webhook, and what could not be delivered.
    DeliveriesRead = "deliveries.read",
    /// Send undelivered events again, and test deliveries.
    DeliveriesManage = "deliveries.manage",
    /// Listen to and download recordings of calls and voicemail.
    RecordingsRead = "recordings.read",
    /// Delete recordings of calls and voicemail.
    RecordingsDelete = "recordings.delete",
    /// See routing: documents, revisions, prompts, trunks, simulations.
    RoutingRead = "routing.read",
    /// Edit the draft of the routing, and upload prompts.
    RoutingEdit = "routing.edit",
    /// Publish the draft, and restore revisions.
    RoutingPublish = "routing.publish",
    /// Arm and disarm entry points.
    RoutingArm = "routing.arm",
    /// Change the SLA of inboxes.
    InboxesSla = "inboxes.sla",
    /// See numbers and their registrations.
    NumbersRead = "numbers.read",
    /// Search, buy and take up numbers, port and forward them.
    NumbersBuy = "numbers.buy",
    /// Set numbers up: voice, SMS, links.
    NumbersEdit = "numbers.edit",
    /// Release numbers, and change whether they are held.
    NumbersRelease = "numbers.release",
    /// Register numbers, brands and campaigns for SMS.
    NumbersCompliance = "numbers.compliance",
    /// See mail domains and mailboxes, and forwarders' questions with their links and codes.
    MailRead = "mail.read",
    /// Add, verify and remove mail domains and mailboxes.
    MailManage = "mail.manage",
    /// Put secrets of carriers, trunks and providers under seal; they are never shown.
    SecretsManage = "secrets.manage",
    /// Erase and export what is kept of a customer.
    PrivacyManage = "privacy.manage",
    /// See the settings of the process.
    SettingsRead = "settings.read",
    /// Read metrics from elsewhere than the machine itself.
    MetricsRead = "metrics.read",
    /// Add, change, disable and remove users, and end their sessions.
    UsersManage = "users.manage",
    /// Add, change and remove roles.
    RolesManage = "roles.manage",
    /// Make and revoke API keys.
    KeysManage = "keys.manage",
    /// Read and verify the audit log.
    AuditRead = "audit.read",
}

impl Permission {
    /// The one of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.name() == name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Permission {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Permission {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("there is no permission \"{name}\"")))
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions(u64);

impl Permissions {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// Those of a list.
    pub const fn of(list: &[Permission]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// All of them.
    pub const fn all() -> Self {
        Self::of(Permission::ALL)
    }

    /// Whether one is among them.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Those of either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that `other` lacks.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.has(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(list: I) -> Self {
        list.into_iter().fold(Self::NONE, |all, one| all.with(Self::of(&[one])))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::name)).finish()
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Permission>::deserialize(deserializer)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_a_set_holds_what_was_put_into_it() {
        let mut names: Vec<_> = Permission::ALL.iter().map(|permission| permission.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Permission::ALL.len());
        assert!(names.len() < 64, "a set is 64 bits");
        let some = Permissions::of(&[Permission::ContactsRead, Permission::AuditRead]);
        assert_eq!(some.iter().collect::<Vec<_>>(), [Permission::ContactsRead, Permission::AuditRead]);
        assert_eq!(serde_json::to_string(&some).unwrap(), r#"["contacts.read","audit.read"]"#);
        assert_eq!(serde_json::from_str::<Permissions>(r#"["audit.read","contacts.read"]"#).unwrap(), some);
        assert!(serde_json::from_str::<Permissions>(r#"["everything"]"#).is_err());
        assert!(Permissions::all().without(some).with(some) == Permissions::all());
    }
}
