//! Typed identifiers. Each is a short shared string with a prefix that explains a pasted id.

use std::{fmt, sync::Arc};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text as it was written in a document or made by the gateway.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
    )*};
}

ids! {
    /// An inbox, `ib_…`.
    InboxId,
    /// An IVR document, `ivr_…`.
    IvrId,
    /// A node's id inside its IVR, as the author named it.
    NodeId,
    /// A prompt or a piece of music, `pr_…`, or `builtin:…` for those that ship with the gateway.
    PromptId,
    /// A shared calendar, `cal_…`.
    CalendarId,
    /// A shared list of numbers or prefixes, `ls_…`.
    ListId,
    /// A SIP trunk, `tr_…`.
    TrunkId,
    /// A consumer of events, `co_…`.
    ConsumerId,
    /// A chat window on somebody's pages.
    ChatAppId,
    /// A provider that sends messages, `pv_…`.
    ProviderId,
    /// One arriving call, chat session or message, `ct_…`.
    ContactId,
    /// The thread contacts belong to, `cv_…`.
    ConversationId,
}
