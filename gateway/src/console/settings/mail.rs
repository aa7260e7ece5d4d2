//! Mail set-up: domains with the records for their zones, and mailboxes with what proves that their mail comes here.

mod domains;
mod mailboxes;

use axum::Router;
use serde::Deserialize;

use crate::console::{Console, words::When};

pub(super) fn routes() -> Router<Console> {
    domains::routes().merge(mailboxes::routes())
}

/// Rows of a page.
const ROWS: usize = 100;

/// Where a page of a list begins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Begins {
    after: String,
}

/// What was done to a record.
#[derive(Clone, Debug, Deserialize)]
struct Done {
    at: When,
    actor: String,
    action: String,
}

impl Done {
    /// For people.
    fn said(&self) -> String {
        let action = self.action.split_once('.').map_or(self.action.as_str(), |(_, action)| action);
        action.replace('_', " ")
    }
}
