//! Entry points: `voice/+14155550100`, `ivr/ivr_main/sales`, `email/help@example.com`.

use std::fmt;

use serde::{Deserialize, Serialize};
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    id::{InboxId, IvrId, NodeId},
    plan::EntryPointKey,
};

/// The name of an entry point: its channel and address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryPointRef {
    /// The section.
    pub channel: Channel,
    /// The address; for exits of IVRs `ivr/exit`.
    pub address: Address,
}

impl EntryPointRef {
    /// Reads `channel/address`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, address) =
            text.split_once('/').ok_or_else(|| format!("\"{text}\" has no channel before its address"))?;
        let channel = channel(name).ok_or_else(|| format!("there is no channel {name}"))?;
        let address = match channel {
            Channel::Voice | Channel::Sms | Channel::Whatsapp | Channel::Viber => {
                Address::Number(E164::parse(address).map_err(|error| format!("{address} is {error}"))?)
            }
            Channel::Ivr => match address.split_once('/') {
                Some((ivr, exit)) if !ivr.is_empty() && !exit.is_empty() => Address::Text(address.into()),
                _ => return Err(format!("\"{text}\" does not name an IVR and its exit")),
            },
            Channel::Email if !address.contains('@') => return Err(format!("\"{address}\" is no mailbox")),
            Channel::Email => Address::Text(address.to_lowercase().into()),
            Channel::Chat
            | Channel::Messenger
            | Channel::Instagram
            | Channel::Telegram
            | Channel::Line
            | Channel::Custom => {
                if address.is_empty() {
                    return Err(format!("\"{text}\" has no address"));
                }
                Address::Text(address.into())
            }
        };
        Ok(Self { channel, address })
    }

    /// The key under which plans hold it.
    pub fn key(&self) -> EntryPointKey {
        (self.channel, self.address.clone())
    }

    /// The IVR and exit that it names, when it is one of the `ivr` section.
    pub fn exit(&self) -> Option<(IvrId, NodeId)> {
        match (&self.channel, &self.address) {
            (Channel::Ivr, Address::Text(text)) => {
                text.split_once('/').map(|(ivr, exit)| (ivr.into(), exit.into()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for EntryPointRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Number(number) => write!(f, "{}/{number}", channel_name(self.channel)),
            Address::Text(text) => write!(f, "{}/{text}", channel_name(self.channel)),
        }
    }
}

/// The settings of one entry point. One that is not mentioned goes to its channel's default inbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryPointDoc {
    /// The exception: this inbox in place of the channel's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<InboxId>,
    /// SLA in minutes, in place of the inbox's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla_minutes: Option<u32>,
    /// Whether contacts are let in; filled in from `routing.arm_new` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<bool>,
}

/// A channel's name in documents.
pub fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Voice => "voice",
        Channel::Sms => "sms",
        Channel::Chat => "chat",
        Channel::Messenger => "messenger",
        Channel::Instagram => "instagram",
        Channel::Whatsapp => "whatsapp",
        Channel::Telegram => "telegram",
        Channel::Line => "line",
        Channel::Viber => "viber",
        Channel::Email => "email",
        Channel::Custom => "custom",
        Channel::Ivr => "ivr",
    }
}

/// The channel of that name.
pub fn channel(name: &str) -> Option<Channel> {
    Channel::ALL.into_iter().find(|channel| channel_name(*channel) == name)
}
