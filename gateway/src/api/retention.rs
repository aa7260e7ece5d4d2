//! How long each kind of data is kept: what the settings say, with what that means.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::AppState;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read_retention))
}

/// How long things are kept, as the settings say.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Events of the feed, days.
    pub events_days: u64,
    /// Records of contacts with all that hangs on them, days.
    pub contacts_days: u64,
    /// Size of the journal at which the oldest events go, bytes.
    pub journal_bytes_max: u64,
    /// Recordings of calls and voicemail, days.
    pub recordings_days: u64,
    /// Mails as they came, days; 0: none is kept.
    pub mails_days: u64,
    /// Files that no message has named yet, hours.
    pub uploads_hours: u64,
    /// Answers to repeated requests, hours.
    pub repeats_hours: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            events_days: 30,
            contacts_days: 400,
            journal_bytes_max: 50 << 30,
            recordings_days: 90,
            mails_days: 30,
            uploads_hours: 24,
            repeats_hours: 24,
        }
    }
}

/// A kind of data.
#[derive(Debug, Serialize, ToSchema)]
struct RetentionView {
    /// The kind: `events`, `contacts`, `journal`, `recordings`, `mails`, `uploads` or `answers`.
    kind: &'static str,
    /// What it is.
    what: &'static str,
    /// The setting that says how long.
    setting: &'static str,
    /// Its value.
    value: u64,
    /// Of what: `days`, `hours` or `bytes`.
    unit: &'static str,
    /// What else decides.
    note: &'static str,
}

/// Every kind.
#[derive(Debug, Serialize, ToSchema)]
struct RetentionList {
    /// In the order of the reference.
    retention: Vec<RetentionView>,
}

/// Say how long each kind of data is kept.
#[utoipa::path(get, path = "/api/v1/retention", security(("key" = ["settings.read"])), tag = "customers", responses(
    (status = 200, description = "Every kind of data, the setting that decides, and its value.", body = RetentionList),
))]
async fn read_retention(State(state): State<AppState>) -> axum::Json<RetentionList> {
    axum::Json(RetentionList { retention: list(state.limits.kept) })
}

fn list(kept: Kept) -> Vec<RetentionView> {
    let row =
        |kind, (setting, value, unit), what, note| RetentionView { kind, what, setting, value, unit, note };
    vec![
        row(
            "contacts",
            ("journal.contacts_retention_days", kept.contacts_days, "days"),
            "Records of ended contacts with their traces, closed conversations, lines of chats, and files of messages.",
            "A file that comes again is kept anew from then on.",
        ),
        row(
            "events",
            ("journal.events_retention_days", kept.events_days, "days"),
            "Events of the feed; texts of SMS, social messages and mails stand in them.",
            "What a consumer has not read or is still owed stays until it has it, or has been idle for journal.consumer_idle_days.",
        ),
        row(
            "journal",
            ("journal.retention_bytes_max", kept.journal_bytes_max, "bytes"),
            "The journal as a whole.",
            "When it is larger, the oldest events go before their time.",
        ),
        row(
            "recordings",
            ("recordings.days_kept", kept.recordings_days, "days"),
            "Recordings of calls, and voicemail.",
            "One can be deleted before, on the page of its contact.",
        ),
        row(
            "mails",
            ("mail.raw_days_kept", kept.mails_days, "days"),
            "Mails as they came.",
            "0: none is kept. What they say stands in the events.",
        ),
        row(
            "uploads",
            ("chat.uploads_kept_hours", kept.uploads_hours, "hours"),
            "Files that visitors uploaded, and no message named.",
            "Once a message names one, it is kept with the message.",
        ),
        row(
            "answers",
            ("http.idempotency_hours", kept.repeats_hours, "hours"),
            "Answers to requests with an Idempotency-Key.",
            "The oldest go first when there are http.idempotency_keys_max of them.",
        ),
    ]
}
