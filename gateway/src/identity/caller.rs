//! Who asks.

use super::permission::{Permission, Permissions};

/// Who a request is from. It is put into the request's extensions by the guard, which reads a key or a session, or by
/// code of this process that asks the API for somebody.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What he is.
    pub kind: CallerKind,
    /// The id of the user (`us_…`) or key (`ak_…`).
    pub id: String,
    /// The user's login or the key's name: the author of what he changes. No user and key share one.
    pub name: String,
    /// What he may do.
    pub permissions: Permissions,
}

/// What a caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// A program with an API key.
    Key,
    /// A person who has signed in; by which session.
    User {
        /// The session's id, `ss_…`.
        session: String,
        /// He must set a password before he may do anything else.
        must_change: bool,
    },
    /// Whoever reaches the data folder: the command line.
    Operator,
}

impl Caller {
    /// The command line, which may do everything: whoever can write to the data folder can do so in any case.
    pub fn operator() -> Self {
        Self {
            kind: CallerKind::Operator,
            id: String::new(),
            name: "system".into(),
            permissions: Permissions::all(),
        }
    }

    /// Whether he may do something.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.has(permission)
    }
}

impl CallerKind {
    /// How to speak of him.
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Key => "this key",
            Self::User { .. } => "this user",
            Self::Operator => "the operator",
        }
    }
}
