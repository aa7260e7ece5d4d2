//! Routing as people write it, in YAML or JSON, and as the API speaks it.
//!
//! A document is a set of **objects**, each with a [`Kind`] (its section) and an id. Drafts, revisions and
//! differences work object by object; so does [`crate::compile`].

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use vestibule_routing::{
    address::E164,
    id::{CalendarId, ChatAppId, ConsumerId, InboxId, IvrId, ListId, PromptId, ProviderId, TrunkId},
    plan::schedule::Schedule,
};

use crate::diagnostic::{Code, Diagnostic, step};

mod chat_app;
mod consumer;
mod entry_point;
mod ivr;
mod nodes;
mod parts;
mod provider;
mod strict_json;
mod trunk;

pub use chat_app::{ChatAppDoc, IdentityDoc, ThrottleDoc};
pub use consumer::ConsumerDoc;
pub use entry_point::{EntryPointDoc, EntryPointRef, channel, channel_name};
pub use ivr::IvrDoc;
pub use nodes::NODES;
pub use parts::{
    ChannelDoc, DialDoc, Expectation, InboxDoc, LimitDoc, ListDoc, NumberDoc, PromptDoc, RejectCodesDoc,
    SettingsDoc, TestDoc, TreatmentDoc,
};
pub use provider::{MediaDoc, ProviderDoc, SendDoc};
use strict_json::Strict;
pub use trunk::{
    Codec, Digest, DigestAlgorithm, Network, Outbound, Register, SecretError, SecretRef, Srtp, TrunkDoc,
};
pub(crate) use trunk::{network_bits, network_mask};

/// A section of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Settings of routing as a whole: one object, `routing`.
    Settings,
    /// The default inbox of a channel.
    Channels,
    /// Inboxes.
    Inboxes,
    /// Voice settings of numbers.
    Numbers,
    /// Exceptions, SLAs and the armed flag of entry points.
    EntryPoints,
    /// IVRs.
    Ivrs,
    /// Shared calendars.
    Calendars,
    /// Shared lists of callers.
    Lists,
    /// Prompts and music.
    Prompts,
    /// SIP trunks.
    Trunks,
    /// Senders of messages by webhook.
    Providers,
    /// Chat windows on pages.
    ChatApps,
    /// Those who are told of events by webhook.
    Consumers,
    /// Routing tests.
    Tests,
}

impl Kind {
    /// Every section, in the order in which documents are written.
    pub const ALL: [Self; 14] = [
        Self::Settings,
        Self::Channels,
        Self::Inboxes,
        Self::Numbers,
        Self::EntryPoints,
        Self::Ivrs,
        Self::Calendars,
        Self::Lists,
        Self::Prompts,
        Self::Trunks,
        Self::Providers,
        Self::ChatApps,
        Self::Consumers,
        Self::Tests,
    ];

    /// The section's name in documents, addresses of the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Channels => "channels",
            Self::Inboxes => "inboxes",
            Self::Numbers => "numbers",
            Self::EntryPoints => "entry_points",
            Self::Ivrs => "ivrs",
            Self::Calendars => "calendars",
            Self::Lists => "lists",
            Self::Prompts => "prompts",
            Self::Trunks => "trunks",
            Self::Providers => "providers",
            Self::ChatApps => "chat_apps",
            Self::Consumers => "consumers",
            Self::Tests => "tests",
        }
    }

    /// The section of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// Its section.
    pub kind: Kind,
    /// Its name in the section.
    pub id: String,
}

impl Key {
    /// The only object of the settings section.
    pub const SETTINGS_ID: &str = "routing";

    /// A key out of its parts.
    pub fn new(kind: Kind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into() }
    }

    /// Where the object stands in a document, as a JSON pointer.
    pub fn path(&self) -> String {
        match self.kind {
            Kind::Settings => "/settings".to_owned(),
            _ => format!("/{}/{}", self.kind.as_str(), step(&self.id)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.id)
    }
}

/// One object, read.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// Settings of routing.
    Settings(SettingsDoc),
    /// A channel's default inbox.
    Channel(vestibule_routing::channel::Channel, ChannelDoc),
    /// An inbox.
    Inbox(InboxId, InboxDoc),
    /// A number.
    Number(E164, NumberDoc),
    /// An entry point.
    EntryPoint(EntryPointRef, EntryPointDoc),
    /// An IVR.
    Ivr(IvrId, IvrDoc),
    /// A calendar.
    Calendar(CalendarId, Schedule),
    /// A list.
    List(ListId, ListDoc),
    /// A prompt.
    Prompt(PromptId, PromptDoc),
    /// A trunk.
    Trunk(TrunkId, TrunkDoc),
    /// A provider.
    Provider(ProviderId, ProviderDoc),
    /// A chat app.
    ChatApp(ChatAppId, ChatAppDoc),
    /// A consumer.
    Consumer(ConsumerId, ConsumerDoc),
    /// A test.
    Test(String, TestDoc),
}

/// A whole document as objects, not yet read: what drafts hold and the store keeps.
pub type RawDocument = BTreeMap<Key, Value>;

/// Reads YAML or JSON (which is YAML) into objects.
///
/// # Errors
/// Unreadable text, an unknown section or version, a section that is no table.
pub fn parse(text: &str) -> Result<RawDocument, Vec<Diagnostic>> {
    let unreadable = |cause: String| vec![Diagnostic::new(Code::NotReadable, "", cause)];
    // JSON first: exact for what programs send, and faster than a YAML parser for a million objects.
    let value: Value = if text.trim_start().starts_with('{') {
        serde_json::from_str(text)
            .map(|Strict(value)| value)
            .map_err(|error| unreadable(error.to_string()))?
    } else {
        serde_saphyr::from_str(text).map_err(|error| unreadable(error.to_string()))?
    };
    from_value(value)
}

/// The same for a document that was read already.
///
/// # Errors
/// As [`parse`].
pub fn from_value(value: Value) -> Result<RawDocument, Vec<Diagnostic>> {
    let Value::Object(sections) = value else {
        return Err(vec![Diagnostic::new(Code::NotReadable, "", "a document is a table of sections")]);
    };
    let mut objects = RawDocument::new();
    let mut faults = Vec::new();
    for (name, body) in sections {
        if name == "version" {
            if body != 1 {
                faults.push(Diagnostic::new(
                    Code::UnknownVersion,
                    "/version",
                    format!("version {body} is unknown"),
                ));
            }
            continue;
        }
        let path = format!("/{}", step(&name));
        match (Kind::parse(&name), body) {
            (None, _) => {
                faults.push(Diagnostic::new(
                    Code::UnknownSection,
                    path,
                    format!("there is no section {name}"),
                ));
            }
            (Some(_), Value::Null) => {}
            (Some(Kind::Settings), body) => {
                objects.insert(Key::new(Kind::Settings, Key::SETTINGS_ID), body);
            }
            (Some(kind), Value::Object(entries)) => {
                objects.extend(entries.into_iter().map(|(id, body)| (Key::new(kind, id), body)));
            }
            (Some(_), _) => {
                faults.push(Diagnostic::new(
                    Code::BadValue,
                    path,
                    format!("{name} is a table of objects by name"),
                ));
            }
        }
    }
    if faults.is_empty() { Ok(objects) } else { Err(faults) }
}

/// Reads one object's body, YAML or JSON.
///
/// # Errors
/// A sentence that says why it cannot be read.
pub fn parse_value(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{')
        && let Ok(Strict(value)) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// One object's body as YAML.
pub fn value_to_yaml(value: &Value) -> String {
    // Serialising a JSON value can only fail on input and output, and there is none.
    serde_saphyr::to_string(value).unwrap_or_default()
}

/// The document as one JSON value, sections in their order.
pub fn to_value(objects: &RawDocument) -> Value {
    let mut sections = Map::new();
    sections.insert("version".to_owned(), Value::from(1));
    for (key, body) in objects {
        match key.kind {
            Kind::Settings => {
                sections.insert("settings".to_owned(), body.clone());
            }
            kind => {
                let section = sections.entry(kind.as_str()).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(entries) = section {
                    entries.insert(key.id.clone(), body.clone());
                }
            }
        }
    }
    Value::Object(sections)
}

/// The document as YAML.
pub fn to_yaml(objects: &RawDocument) -> String {
    // Serialising a JSON value can only fail on input and output, and there is none.
    serde_saphyr::to_string(&to_value(objects)).unwrap_or_default()
}

/// Reads one object.
///
/// # Errors
/// A name or value of the wrong form; the path leads into the object.
pub fn read(key: &Key, body: &Value) -> Result<Object, Diagnostic> {
    if key.id.is_empty() || key.id.len() > 320 {
        return Err(Diagnostic::new(Code::BadName, key.path(), "a name has 1 to 64 characters"));
    }
    let id = key.id.as_str();
    let plain = |make: fn(&str, &Value, &Key) -> Result<Object, Diagnostic>| {
        let good = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if good { make(id, body, key) } else { Err(bad_name(key)) }
    };
    match key.kind {
        Kind::Settings => Ok(Object::Settings(typed(key, body)?)),
        Kind::Channels => {
            let channel = channel(id).ok_or_else(|| {
                Diagnostic::new(Code::BadName, key.path(), format!("there is no channel {id}"))
            })?;
            Ok(Object::Channel(channel, typed(key, body)?))
        }
        Kind::Numbers => {
            let number = E164::parse(id)
                .map_err(|error| Diagnostic::new(Code::BadAddress, key.path(), format!("{id} is {error}")))?;
            Ok(Object::Number(number, typed(key, body)?))
        }
        Kind::EntryPoints => {
            let reference = EntryPointRef::parse(id)
                .map_err(|reason| Diagnostic::new(Code::BadAddress, key.path(), reason))?;
            Ok(Object::EntryPoint(reference, typed(key, body)?))
        }
        Kind::Inboxes => plain(|id, body, key| Ok(Object::Inbox(id.into(), typed(key, body)?))),
        Kind::Ivrs => plain(|id, body, key| Ok(Object::Ivr(id.into(), typed(key, body)?))),
        Kind::Calendars => plain(|id, body, key| Ok(Object::Calendar(id.into(), typed(key, body)?))),
        Kind::Lists => plain(|id, body, key| Ok(Object::List(id.into(), typed(key, body)?))),
        Kind::Prompts => plain(|id, body, key| Ok(Object::Prompt(id.into(), typed(key, body)?))),
        Kind::ChatApps => plain(|id, body, key| Ok(Object::ChatApp(id.into(), typed(key, body)?))),
        Kind::Consumers => plain(|id, body, key| Ok(Object::Consumer(id.into(), typed(key, body)?))),
        Kind::Providers => plain(|id, body, key| Ok(Object::Provider(id.into(), typed(key, body)?))),
        Kind::Trunks => plain(|id, body, key| Ok(Object::Trunk(id.into(), typed(key, body)?))),
        Kind::Tests => Ok(Object::Test(id.to_owned(), typed(key, body)?)),
    }
}

fn bad_name(key: &Key) -> Diagnostic {
    Diagnostic::new(Code::BadName, key.path(), format!("\"{}\" cannot be a name", key.id))
}

fn typed<'a, T: Deserialize<'a>>(key: &Key, body: &'a Value) -> Result<T, Diagnostic> {
    serde_path_to_error::deserialize(body).map_err(|error| {
        let mut path = key.path();
        for segment in error.path() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => path.push_str(&format!("/{index}")),
                serde_path_to_error::Segment::Map { key } => path.push_str(&format!("/{}", step(key))),
                serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {}
            }
        }
        Diagnostic::new(Code::BadValue, path, error.into_inner().to_string())
    })
}
